"""Products with rows of numbers that are mostly zero: only the others are held, and come to W.

The weights are W^T (n_x, n), a row of them for each feature, and the lanes run along the units:

    z = sum over k of x_k W^T[k]        of the numbers of one row of X
    dW^T[k] += x_k dz                   of the rows of W^T that occur in it

Nothing becomes dense.
"""

from fastnn.kernels.machine.jit import inline, kernel, unit
from fastnn.kernels.machine.simd import fma, lanes, load, load_first, rolled, splat, store, store_first, tile, zero

#: Vectors of units that are formed in one pass over a row.
UNITS = 4


@inline
def _strip(numbers, features, W_T, Z, i, j, count, cols):
    z = tile(Z, 1, UNITS)
    for c in range(cols):
        z[0, c] = zero(Z)
    for p in range(numbers.size):
        rolled()
        x, k = splat(Z, numbers[p]), features[p]
        for c in range(cols):
            w = load(W_T, k, j + c * lanes(Z)) if cols > 1 else load_first(W_T, k, j, count)
            z[0, c] = fma(x, w, z[0, c])
    for c in range(cols):
        if cols > 1:
            store(Z, i, j + c * lanes(Z), z[0, c])
        else:
            store_first(Z, i, j, count, z[0, c])


@unit
def product(numbers, features, W_T, Z, i):
    """Z[i] = the product of one row of X, of these numbers, and W_T (n_x, n).  Z (any, n)."""
    n, full, j = W_T.shape[1], lanes(Z), 0
    while j + UNITS * full <= n:
        _strip(numbers, features, W_T, Z, i, j, full, UNITS)
        j += UNITS * full
    if j + 2 * full <= n:
        _strip(numbers, features, W_T, Z, i, j, full, 2)
        j += 2 * full
    while j < n:
        _strip(numbers, features, W_T, Z, i, j, min(full, n - j), 1)
        j += full


@kernel
def add_product(x, dZ, i, G, row):
    """G[row] += x dZ[i].  dZ (any, n), G (any, n): whole vectors."""
    x = splat(dZ, x)
    for j in range(0, dZ.shape[1], lanes(dZ)):
        store(G, row, j, fma(x, load(dZ, i, j), load(G, row, j)))


@kernel
def clear_row(G, row):
    """G[row] = 0, in whole vectors."""
    for j in range(0, G.shape[1], lanes(G)):
        store(G, row, j, zero(G))
