"""Dropout: units are left out at random, the others are scaled up, so that the mean stays (Srivastava et al. 2014).

    A = A m / (1 - p)        D = D m / (1 - p)        m = 0 for a part p of the numbers, 1 for the others

m is a function of a key (which stands for the seed, the step and the layer), of the example and of the unit: the same
for any number of threads, any vectors, and in whatever order.
"""

import numpy as np

from fastnn.kernels.machine.jit import inline, kernel
from fastnn.kernels.machine.simd import matrix

#: How many parts p is given in: a random number has 32 bits.
WHOLE = 2**32
_ROW, _UNIT = np.uint32(0x9E3779B1), np.uint32(0x85EBCA77)
_A, _B = np.uint32(0x21F0AAAD), np.uint32(0xD35A2D97)
_GOLDEN, _C, _D = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


@inline
def mixed(x):
    """A permutation of 32 bits, of which each depends on all (Wellons 2018)."""
    x = np.uint32(x ^ (x >> np.uint32(16)))
    x = np.uint32(x * _A)
    x = np.uint32(x ^ (x >> np.uint32(15)))
    x = np.uint32(x * _B)
    return np.uint32(x ^ (x >> np.uint32(15)))


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
def of_unit(key, unit):
    """The half of a random number that a unit has."""
    return mixed(np.uint32(np.uint32(key) + np.uint32(unit) * _UNIT))


@inline
def of_row(key, row):
    """And that of an example."""
    return np.uint32(np.uint32(key >> np.uint64(32)) + np.uint32(row) * _ROW)


@inline
def factor(unit, row, dropped, scale):
    """m / (1 - p) by the two halves: 0 or `scale`."""
    return scale if mixed(np.uint32(unit + row)) >= np.uint32(dropped) else scale - scale


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
        a, unit = matrix(A, j * A.shape[1] + first, 1, last - first)[0], of_unit(key, first_unit + j)
        for i in range(a.size):
            s = factor(unit, of_row(key, rows[first + i]), dropped, scale)
            a[i] = a[i] * s if s > 0 else s  # what is dropped may be infinite
        if D.shape[0]:
            d = matrix(D, j * D.shape[1] + first, 1, last - first)[0]
            for i in range(d.size):
                d[i] *= factor(unit, of_row(key, rows[first + i]), dropped, scale)


@kernel
def drop_rows(A, D, rows, key, dropped, n):
    """A and D, if it has rows, of n units (m, n or more); row i is example rows[i]."""
    scale = scale_of(A, dropped)
    for i in range(A.shape[0]):
        a, row = A[i, :n], of_row(key, rows[i])
        for j in range(a.size):
            s = factor(of_unit(key, j), row, dropped, scale)
            a[j] = a[j] * s if s > 0 else s
        if D.shape[0]:
            d = D[i, :n]
            for j in range(d.size):
                d[j] *= factor(of_unit(key, j), row, dropped, scale)
