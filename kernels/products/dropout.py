"""Dropout: units are left out at random, the others are scaled up, so that the mean stays (Srivastava et al. 2014).

    A = A m / (1 - p)        D = D m / (1 - p)        m = 0 for a part p of the numbers, 1 for the others

m is a function of a key (which stands for the seed, the step and the layer), of the example and of the unit: the same
for any number of threads, any vectors, and in whatever order.
"""

import numpy as np

from fastnn.kernels.machine.jit import inline, kernel
from fastnn.kernels.machine.simd import matrix, random_bits

#: How many parts p is given in: a random number has 32 bits.
WHOLE = 2**32
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
def factor(key, row, unit, dropped, scale):
    """m / (1 - p), 0 or `scale`."""
    return scale if random_bits(key, row, unit) >= np.uint32(dropped) else scale - scale


@inline
def scale_of(like, dropped):
    """1 / (1 - p), of the dtype of an array."""
    return like.dtype.type(WHOLE) / like.dtype.type(WHOLE - dropped)


@kernel
def drop_columns(A, D, rows, key, first_unit, dropped, first, last):
    """A and D, if it has rows, of the units from `first_unit` on (units, m); column i is example rows[i]."""
    scale = scale_of(A, dropped)
    for j in range(A.shape[0]):
        # Not as slices, which would end where the rows of A do, where A stands for a part of its columns.
        a, unit = matrix(A, j * A.shape[1] + first, 1, last - first)[0], first_unit + j
        if D.shape[0]:
            d = matrix(D, j * D.shape[1] + first, 1, last - first)[0]
            for i in range(a.size):
                s = factor(key, rows[first + i], unit, dropped, scale)
                a[i], d[i] = a[i] * s if s > 0 else s, d[i] * s  # what is dropped may be infinite
        else:
            for i in range(a.size):
                s = factor(key, rows[first + i], unit, dropped, scale)
                a[i] = a[i] * s if s > 0 else s


@kernel
def drop_rows(A, D, rows, key, dropped, n):
    """A and D, if it has rows, of n units (m, n or more); row i is example rows[i]."""
    scale = scale_of(A, dropped)
    for i in range(A.shape[0]):
        a, row = A[i, :n], rows[i]
        if D.shape[0]:
            d = D[i, :n]
            for j in range(a.size):
                s = factor(key, row, j, dropped, scale)
                a[j], d[j] = a[j] * s if s > 0 else s, d[j] * s
        else:
            for j in range(a.size):
                s = factor(key, row, j, dropped, scale)
                a[j] = a[j] * s if s > 0 else s


@kernel
def masks_of_rows(M, rows, key, dropped):
    """M = m / (1 - p) of each unit (m, n); row i is example rows[i]."""
    scale = scale_of(M, dropped)
    for i in range(M.shape[0]):
        m, row = M[i], rows[i]
        for j in range(m.size):
            m[j] = factor(key, row, j, dropped, scale)
