"""The products of one unit of the first layer, with examples that are read where they are: rows of X.

    z_i = w x_i                  inner products
    dw = the sum of dz_i x_i     a sum of rows

Nothing is copied, and nothing is transposed, which takes longer than the products of a unit or a few.
"""

from fastnn.kernels.machine.jit import inline, unit
from fastnn.kernels.machine.simd import (
    SHORT,
    fma,
    lanes,
    load,
    load_first,
    prefetch,
    splat,
    square,
    store,
    store_first,
    sum_rows,
    tile,
    zero,
)

#: What is summed at a time for dw: so many vectors of a row; or one vector, in so many parts.
WIDE, PARTS = 8, 4


@inline
def _inner_products(X, rows, next_rows, w, Z, i, n_rows):
    z, n = square(X), X.shape[1]
    whole = n - n % lanes(X)
    for r in range(lanes(X)):
        z[r, 0] = zero(X)
    for k in range(0, whole, lanes(X)):
        w_k = load(w, 0, k)
        for r in range(n_rows):
            z[r, 0] = fma(load(X, rows[i + r], k), w_k, z[r, 0])
            prefetch(X, next_rows[min(i + r, next_rows.size - 1)], k)
    if whole < n:
        w_k = load_first(w, 0, whole, n - whole)
        for r in range(n_rows):
            z[r, 0] = fma(load_first(X, rows[i + r], whole, n - whole), w_k, z[r, 0])
            prefetch(X, next_rows[min(i + r, next_rows.size - 1)], n - 1)
    store_first(Z, 0, i, n_rows, sum_rows(z))


@unit
def inner_products(X, rows, next_rows, w, Z):
    """Z = w X^T, of these rows of X (any, n_x); the next ones are asked for.  w (1, n_x or more), Z (1, m)."""
    m, few, i = rows.size, min(SHORT, lanes(X)), 0
    while i + lanes(X) <= m:
        _inner_products(X, rows, next_rows, w, Z, i, lanes(X))
        i += lanes(X)
    while i < m and m >= few:  # the last ones may come again
        _inner_products(X, rows, next_rows, w, Z, min(i, m - few), min(SHORT, lanes(X)))
        i += few
    while i < m:
        _inner_products(X, rows, next_rows, w, Z, i, 1)
        i += 1


@inline
def _sum_strip(dZ, X, rows, dw, k, count, accumulate, parts, cols):
    g, m = tile(X, PARTS, WIDE), rows.size
    for r in range(parts):
        for c in range(cols):
            g[r, c] = zero(X)
    for i in range(0, m - m % parts, parts):
        for r in range(parts):
            dz = splat(X, dZ[0, i + r])
            for c in range(cols):
                x = load(X, rows[i + r], k + c * lanes(X)) if cols > 1 else load_first(X, rows[i + r], k, count)
                g[r, c] = fma(dz, x, g[r, c])
    for i in range(m - m % parts, m):
        dz = splat(X, dZ[0, i])
        for c in range(cols):
            x = load(X, rows[i], k + c * lanes(X)) if cols > 1 else load_first(X, rows[i], k, count)
            g[0, c] = fma(dz, x, g[0, c])
    for c in range(cols):
        for r in range(1, parts):
            g[0, c] = g[0, c] + g[r, c]
        if accumulate:
            g[0, c] = g[0, c] + load_first(dw, 0, k + c * lanes(X), count)
        if cols > 1:
            store(dw, 0, k + c * lanes(X), g[0, c])
        else:
            store_first(dw, 0, k, count, g[0, c])


@unit
def sum_of_rows(dZ, X, rows, dw, accumulate):
    """dw = dZ X, of these rows of X (any, n_x); with `accumulate`, +=.  dZ (1, m), dw (1, n_x or more)."""
    n_x, across = X.shape[1], WIDE * lanes(X)
    wide = n_x - n_x % across
    for k in range(0, wide, across):
        _sum_strip(dZ, X, rows, dw, k, across, accumulate, 1, WIDE)
    for k in range(wide, n_x, lanes(X)):
        _sum_strip(dZ, X, rows, dw, k, min(n_x - k, lanes(X)), accumulate, PARTS, 1)
