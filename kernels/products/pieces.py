"""Columns with pieces beside them, and a map of the pieces of each to a few numbers, by looking them up.

Of a number of column c that lies between the edges k and k + 1 of n_c pieces, at the fraction f of the way, the
position p = k + f is held, and the pieces are what follows from it:

    q_i = min(max(p - i, 0), 1) - 1/2               i = 0 ... n_c - 1: 1/2 before k, f - 1/2 at k, -1/2 after it
    e_c = sum over i of q_i V_c[i]                  V_c (n_c, width)
        = U_c[k] + f V_c[k]                         with U_c[0] = -1/2 sum of V_c[i], U_c[k + 1] = U_c[k] + V_c[k]

The width is whole vectors.  So a number costs one product, however many pieces there are.  And the gradient is formed
of two sums for each piece, over the examples that lie in it, S[k] of de_c and F[k] of f de_c:

    dV_c[i] = sum over the examples of q_i de_c = F[i] + sum over k > i of S[k] - 1/2 sum over k of S[k]
"""

from fastnn.kernels.machine.jit import kernel, part
from fastnn.kernels.machine.simd import fma, lanes, load, matrix, splat, store, zero


@part
def piece_of(X, row, c):
    """In which piece of column c the number of a row lies, and at what fraction of the way."""
    p = X.positions[row, c]
    k = min(int(p), X.starts[c + 1] - X.starts[c] - 1)
    return k, p - X.positions.dtype.type(k)


@kernel
def sum_pieces(V, U, first, last):
    """U_c of a column whose pieces are those from first to last.  V, U (n_pieces, width)."""
    full, minus_half = lanes(V), splat(V, V.dtype.type(-0.5))
    for j in range(0, V.shape[1], full):
        u = zero(V)
        for i in range(first, last):
            u = fma(minus_half, load(V, i, j), u)
        for i in range(first, last):
            store(U, i, j, u)
            u = u + load(V, i, j)


@kernel
def embed(X, rows, V, U, A, first, last):
    """A[i] = e_0, e_1 ... of X[rows[i]], then its numbers, for i from first to last.  A (any, k width + n)."""
    full, k, width = lanes(V), X.positions.shape[1], V.shape[1]
    for i in range(first, last):
        row = rows[i]
        for c in range(k):
            piece, f = piece_of(X, row, c)
            piece, f = piece + X.starts[c], splat(V, f)
            for j in range(0, width, full):
                store(A, i, c * width + j, fma(f, load(V, piece, j), load(U, piece, j)))
        for j in range(X.numbers.shape[1]):
            A[i, k * width + j] = X.numbers[row, j]


@kernel
def map_gradient(X, rows, dE, sums, G, c, accumulate, is_final):
    """dV_c over these examples, whose de are dE (m, k width), in G (n_pieces, width), once the chunk is the final one.

    sums (2, n_pieces width): S and F.
    """
    full, width, first, last = lanes(dE), G.shape[1], X.starts[c], X.starts[c + 1]
    S, F = matrix(sums[0], 0, last, width), matrix(sums[1], 0, last, width)
    if not accumulate:
        for i in range(first, last):
            for j in range(0, width, full):
                store(S, i, j, zero(dE))
                store(F, i, j, zero(dE))
    for i in range(rows.size):
        piece, f = piece_of(X, rows[i], c)
        piece, f = piece + first, splat(dE, f)
        for j in range(0, width, full):
            de = load(dE, i, c * width + j)
            store(S, piece, j, load(S, piece, j) + de)
            store(F, piece, j, fma(f, de, load(F, piece, j)))
    if is_final:
        half = splat(dE, dE.dtype.type(0.5))
        for j in range(0, width, full):
            total = zero(dE)
            for i in range(first, last):
                total = total + load(S, i, j)
            total = zero(dE) - half * total
            for i in range(last - 1, first - 1, -1):
                store(G, i, j, load(F, i, j) + total)
                total = total + load(S, i, j)
