"""Norms: of a gradient, and of the weights that come into a unit."""

from math import sqrt

from fastnn.kernels.machine.jit import kernel, unit
from fastnn.kernels.machine.simd import fma, lanes, load, load_first, splat, store, store_first, sum_lanes, zero


@unit
def add_squares(G, first, last, squares, g):
    """squares[g] += the squares of the sum of the rows of G (n_shards, any), from first to last.

    squares (any,) is of float64, in which they cannot overflow.
    """
    s = 0.0
    for p in range(first, last):
        total = 0.0
        for shard in range(G.shape[0]):
            total += G[shard, p]
        s += total * total
    squares[g] += s


@unit(returns=lambda args: args[1])
def norm(squares, mean_factor):
    """That of a gradient, by the sums of the squares of its parts, float64; times a factor."""
    total = 0.0
    for g in range(squares.size):
        total += squares[g]
    return type(mean_factor)(sqrt(total) * mean_factor)


@kernel
def scale(G, first, last, factor):
    """G (n_shards, any) times a factor, from first to last."""
    for shard in range(G.shape[0]):
        g = G[shard, first:last]
        for p in range(g.size):
            g[p] *= factor


@kernel
def constrain_rows(W, most):
    """Rows of W (n, n_in) that are longer than that are cut back to it."""
    for j in range(W.shape[0]):
        s = zero(W)
        n_in, full = W.shape[1], lanes(W)
        whole = n_in - n_in % full
        for k in range(0, whole, full):
            w = load(W, j, k)
            s = fma(w, w, s)
        w = load_first(W, j, whole, n_in - whole)
        length = sqrt(sum_lanes(fma(w, w, s)))
        if length > most:
            factor = splat(W, W.dtype.type(most) / length)
            for k in range(0, whole, full):
                store(W, j, k, load(W, j, k) * factor)
            store_first(W, j, whole, n_in - whole, w * factor)


@kernel
def constrain_columns(W_T, most, squares):
    """Columns of W_T (n_in, n) that are longer than that are cut back to it.  squares (n) is room."""
    for j in range(squares.size):
        squares[j] = W_T.dtype.type(0)
    for k in range(W_T.shape[0]):
        w = W_T[k]
        for j in range(squares.size):
            squares[j] += w[j] * w[j]
    bound = W_T.dtype.type(most)
    for j in range(squares.size):
        length = sqrt(squares[j])
        squares[j] = bound / length if length > bound else W_T.dtype.type(1)
    for k in range(W_T.shape[0]):
        w = W_T[k]
        for j in range(squares.size):
            w[j] *= squares[j]
