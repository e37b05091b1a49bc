"""Dropout: units are left out at random, the others are scaled up, so that the mean stays (Srivastava et al. 2014).

    A = A m / (1 - p)        D = D m / (1 - p)        m = 0 for a part p of the numbers, 1 for the others

m is a function of a key (which stands for the seed, the step and the layer), of the example and of the unit: the same
for any number of threads, any vectors, and in whatever order.
"""

import numpy as np

from fastnn.kernels.layouts.run import WHOLE
from fastnn.kernels.machine.jit import inline, kernel
from fastnn.kernels.machine.simd import (
    lanes,
    load_first,
    scales_of_rows,
    scales_of_units,
    store,
    store_first,
    where_positive,
)

_GOLDEN, _C, _D = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


@inline
def key_of(seed, step, layer):
    """64 bits for a layer in a step (splitmix64, of Steele et al. 2014)."""
    x = np.uint64(seed)
    for number in (np.uint64(step), np.uint64(layer)):
        x = np.uint64(x + _GOLDEN * (number + np.uint64(1)))
        x = np.uint64((x ^ (x >> np.uint64(30))) * _C)
        x = np.uint64((x ^ (x >> np.uint64(27))) * _D)
        x = np.uint64(x ^ (x >> np.uint64(31)))
    return x


@inline
def scale_of(like, dropped):
    """1 / (1 - p), of the dtype of an array."""
    return like.dtype.type(WHOLE) / like.dtype.type(WHOLE - dropped)


@kernel
def drop_columns(A, D, rows, key, first_unit, dropped, first, last):
    """A and D, if it has rows, of the units from `first_unit` on (units, m); column i is example rows[i]."""
    scale, full = scale_of(A, dropped), lanes(A)
    for j in range(A.shape[0]):
        for i in range(first, last, full):
            count = min(full, last - i)
            m = scales_of_rows(A, key, rows, i, count, first_unit + j, dropped, scale)
            store_first(A, j, i, count, where_positive(m, m * load_first(A, j, i, count)))  # or 0, also of infinity
            if D.shape[0]:
                store_first(D, j, i, count, m * load_first(D, j, i, count))


@kernel
def drop_rows(A, D, rows, key, dropped, n):
    """A and D, if it has rows, of n units (m, n or more); row i is example rows[i]."""
    scale, full = scale_of(A, dropped), lanes(A)
    for i in range(A.shape[0]):
        for j in range(0, n, full):
            count = min(full, n - j)
            m = scales_of_units(A, key, rows[i], j, dropped, scale)
            store_first(A, i, j, count, where_positive(m, m * load_first(A, i, j, count)))
            if D.shape[0]:
                store_first(D, i, j, count, m * load_first(D, i, j, count))


@kernel
def masks_of_rows(M, rows, key, dropped):
    """M = m / (1 - p) of each unit (m, n), in whole vectors; row i is example rows[i]."""
    scale = scale_of(M, dropped)
    for i in range(M.shape[0]):
        for j in range(0, M.shape[1], lanes(M)):
            store(M, i, j, scales_of_units(M, key, rows[i], j, dropped, scale))
