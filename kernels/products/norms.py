"""Norms: of a gradient, and of the weights that come into a unit."""

from math import sqrt

import numpy as np

from fastnn.kernels.machine.jit import kernel, unit
from fastnn.kernels.machine.simd import fma, lanes, load, load_first, splat, store_first, sum_lanes, zero


@unit(returns=lambda args: args[0].dtype)
def sum_of_squares(G, first, last):
    """That of the sum of the rows of G (n_shards, any), from first to last."""
    s, full = zero(G), lanes(G)
    for p in range(first, last, full):
        count = min(full, last - p)
        g = load_first(G, 0, p, count)
        for shard in range(1, G.shape[0]):
            g = g + load_first(G, shard, p, count)
        s = fma(g, g, s)
    return sum_lanes(s)


@kernel
def norm(squares, mean_factor):
    """That of a gradient, by the sums of the squares of its parts (any,); times a factor."""
    total = squares.dtype.type(0)
    for g in range(squares.size):
        total += squares[g]
    return sqrt(total) * mean_factor


@kernel
def clip(squares, mean_factor, most):
    """What a gradient is multiplied by, for a norm of at most that (Pascanu et al. 2013); 0 where it is not finite."""
    kind, length = squares.dtype.type, norm(squares, mean_factor)
    if not length < kind(np.inf):
        return kind(0)
    return most / length if length > most else kind(1)


@kernel
def constrain_rows(W, most, average, part):
    """Rows of W (n, n_in) that are longer than that are cut back to it.

    The average of W (n, n_in), if it has rows, has gone the part `part` of the way to W as it was, and goes back.
    """
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
            for k in range(0, n_in, full):
                count = min(full, n_in - k)
                old = load_first(W, j, k, count)
                new = old * factor
                store_first(W, j, k, count, new)
                if average.shape[0]:
                    a = load_first(average, j, k, count)
                    store_first(average, j, k, count, fma(splat(W, part), new - old, a))


@kernel
def constrain_columns(W_T, most, squares, average, part):
    """As `constrain_rows` for the columns of W_T (n_in, n), and of its average.  squares (n) is room."""
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
        if average.shape[0]:
            a = average[k]
            for j in range(squares.size):
                a[j] += part * (w[j] * squares[j] - w[j])
        for j in range(squares.size):
            w[j] *= squares[j]
