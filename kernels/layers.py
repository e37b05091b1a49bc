"""The three products of a layer, with what is fused into them.

    affine        Z  = W A + b,  A = g(Z)
    backproject   dA = W^T dZ * g'(A)
    outer, inner  dW = dZ A^T                  row_sums  db = sums of the rows of dZ

Examples are columns: Z, dZ (n_out, m), A, dA (n_in, m), W (n_out, n_in).  A tile of up to ROWS x COLS
vectors is accumulated in registers.  Its body is written once for any `rows`, `cols` and `count` (how many
lanes of the last vector exist); inlined where these are constants, it is unrolled and loses its masks.
What does not fill a tile takes a smaller one: a strip of columns is COLS vectors wide or one, masked, which may be half
a vector; its rows are taken 6 at a time, and the last ones 4, 2 or 1.
"""
from fastnn.kernels.activations import LOGISTIC, RELU, TANH, activate
from fastnn.kernels.jit import inline, kernel
from fastnn.kernels.simd import (
    COLS,
    ROWS,
    fma,
    half,
    lane,
    lanes,
    load_first,
    maximum,
    prefetch,
    rolled,
    splat,
    square,
    store_first,
    stream,
    sum_rows,
    tile,
    transpose_square,
    where_positive,
    zero,
)


@inline
def _affine_tile(W, b, A, Z, j, i, activation, rows, cols, count):
    z, a = tile(Z, ROWS, COLS), tile(Z, 1, COLS)
    for r in range(rows):
        for c in range(cols):
            z[r, c] = splat(Z, b[j + r])
    for k in range(W.shape[1]):
        rolled()
        prefetch(W, j + rows, rows * k)              # the weights of the next tile: other cores have written some
        for c in range(cols):
            a[0, c] = load_first(A, k, i + c * lanes(A), count)
        for r in range(rows):
            w = splat(A, W[j + r, k])
            for c in range(cols):
                z[r, c] = fma(w, a[0, c], z[r, c])
    for r in range(rows):
        for c in range(cols):
            value = maximum(z[r, c], zero(Z)) if activation == RELU else z[r, c]
            store_first(Z, j + r, i + c * lanes(Z), count, value)


@inline
def _affine_strip(W, b, A, Z, i, activation, cols, count):
    n_out, left = W.shape[0], W.shape[0] % 6
    for j in range(0, n_out - left, 6):
        _affine_tile(W, b, A, Z, j, i, activation, 6, cols, count)
    if left & 4:
        _affine_tile(W, b, A, Z, n_out - left, i, activation, 4, cols, count)
    if left & 2:
        _affine_tile(W, b, A, Z, n_out - left, i, activation, 2, cols, count)
    if left & 1:
        _affine_tile(W, b, A, Z, n_out - 1, i, activation, 1, cols, count)


@kernel
def affine(W, b, A, Z, first, last, activation):
    """Z = g(W A + b) in the columns from first to last.  W (n_out, n_in), b (n_out), A (n_in, m), Z (n_out, m).

    relu is applied to a tile before it leaves the registers, logistic and tanh while the columns are in the cache.
    """
    full = lanes(A)
    wide = last - (last - first) % (COLS * full)
    for i in range(first, wide, COLS * full):
        _affine_strip(W, b, A, Z, i, activation, COLS, full)
        activate(Z, i, i + COLS * full, activation)
    for i in range(wide, last, full):
        if last - i > full // 2:
            _affine_strip(W, b, A, Z, i, activation, 1, min(full, last - i))
        else:
            _affine_strip(W, b, half(A), half(Z), i, activation, 1, last - i)
    activate(Z, wide, last, activation)


@inline
def _backproject_tile(W, dZ, A, dA, k, i, activation, rows, cols, count):
    g, d = tile(dA, ROWS, COLS), tile(dA, 1, COLS)
    for r in range(rows):
        for c in range(cols):
            g[r, c] = zero(dA)
    for j in range(W.shape[0]):
        rolled()
        for c in range(cols):
            d[0, c] = load_first(dZ, j, i + c * lanes(dZ), count)
        for r in range(rows):
            w = splat(dZ, W[j, k + r])
            for c in range(cols):
                g[r, c] = fma(w, d[0, c], g[r, c])
    if activation == RELU:
        for r in range(rows):
            for c in range(cols):
                g[r, c] = where_positive(load_first(A, k + r, i + c * lanes(A), count), g[r, c])
    elif activation == TANH:
        for r in range(rows):
            for c in range(cols):
                a = load_first(A, k + r, i + c * lanes(A), count)
                g[r, c] = g[r, c] - g[r, c] * a * a
    elif activation == LOGISTIC:
        for r in range(rows):
            for c in range(cols):
                a = load_first(A, k + r, i + c * lanes(A), count)
                g[r, c] = g[r, c] * (a - a * a)
    for r in range(rows):
        for c in range(cols):
            store_first(dA, k + r, i + c * lanes(dA), count, g[r, c])


@inline
def _backproject_strip(W, dZ, A, dA, i, activation, cols, count):
    n_in, left = W.shape[1], W.shape[1] % 6
    for k in range(0, n_in - left, 6):
        _backproject_tile(W, dZ, A, dA, k, i, activation, 6, cols, count)
    if left & 4:
        _backproject_tile(W, dZ, A, dA, n_in - left, i, activation, 4, cols, count)
    if left & 2:
        _backproject_tile(W, dZ, A, dA, n_in - left, i, activation, 2, cols, count)
    if left & 1:
        _backproject_tile(W, dZ, A, dA, n_in - 1, i, activation, 1, cols, count)


@kernel
def backproject(W, dZ, A, dA, first, last, activation):
    """dA = W^T dZ * g'(A) in the columns from first to last.  W (n_out, n_in), dZ (n_out, m), A, dA (n_in, m).

    dA may be A: a tile reads its part of A before it writes there.
    """
    full = lanes(A)
    wide = last - (last - first) % (COLS * full)
    for i in range(first, wide, COLS * full):
        _backproject_strip(W, dZ, A, dA, i, activation, COLS, full)
    for i in range(wide, last, full):
        if last - i > full // 2:
            _backproject_strip(W, dZ, A, dA, i, activation, 1, min(full, last - i))
        else:
            _backproject_strip(W, half(dZ), half(A), half(dA), i, activation, 1, last - i)


@inline
def _outer_tile(dZ, X, rows_of_X, dW, j, k, first, last, more, rows, cols, count):
    g, x = tile(dW, ROWS, COLS), tile(dW, 1, COLS)
    for r in range(rows):
        for c in range(cols):
            g[r, c] = load_first(dW, j + r, k + c * lanes(dW), count) if more else zero(dW)
    for i in range(first, last):
        rolled()
        for c in range(cols):
            x[0, c] = load_first(X, rows_of_X[i], k + c * lanes(X), count)
        for r in range(rows):
            d = splat(X, dZ[j + r, i])
            for c in range(cols):
                g[r, c] = fma(d, x[0, c], g[r, c])
    for r in range(rows):
        for c in range(cols):
            store_first(dW, j + r, k + c * lanes(dW), count, g[r, c])


@inline
def _outer_strip(dZ, X, rows_of_X, dW, j, end, k, first, last, more, cols, count):
    left = (end - j) % 6
    for row in range(j, end - left, 6):
        _outer_tile(dZ, X, rows_of_X, dW, row, k, first, last, more, 6, cols, count)
    if left & 4:
        _outer_tile(dZ, X, rows_of_X, dW, end - left, k, first, last, more, 4, cols, count)
    if left & 2:
        _outer_tile(dZ, X, rows_of_X, dW, end - left, k, first, last, more, 2, cols, count)
    if left & 1:
        _outer_tile(dZ, X, rows_of_X, dW, end - 1, k, first, last, more, 1, cols, count)


@kernel
def outer(dZ, X, rows_of_X, dW, j, end, first, last, more):
    """dW = dZ X in the rows from j to end: the sum of the outer products of the examples from first to last.

    dZ (n_out, m), dW (n_out, n_in); X (any, n_in) holds A transposed, one example a row, and example i is
    row rows_of_X[i] of it: for the first layer, the user's own X.  With `more`, dW += dZ X.
    Summing along the lanes of A instead (`inner`) needs no transposed copy, but a horizontal sum a weight:
    it is the faster way only for a layer with few inputs or few outputs.
    """
    n_in, full = dW.shape[1], lanes(dW)
    wide = n_in - n_in % (COLS * full)
    for k in range(0, wide, COLS * full):
        _outer_strip(dZ, X, rows_of_X, dW, j, end, k, first, last, more, COLS, full)
    for k in range(wide, n_in, full):
        if n_in - k > full // 2:
            _outer_strip(dZ, X, rows_of_X, dW, j, end, k, first, last, more, 1, min(full, n_in - k))
        else:
            _outer_strip(dZ, half(X), rows_of_X, half(dW), j, end, k, first, last, more, 1, n_in - k)


@inline
def _inner_tile(dZ, A, dW, j, end, k, first, last, more, cols):
    # As many sums as there are lanes, in rows x cols: `sum_rows` takes them all at once.  Rows beyond the end repeat
    # the last one, and are not stored.
    g, a, rows = square(dW), tile(dW, 1, 4), lanes(dW) // cols
    for s in range(lanes(dW)):
        g[s, 0] = zero(dW)
    for i in range(first, last, lanes(dW)):
        count = min(lanes(dW), last - i)
        for c in range(cols):
            a[0, c] = load_first(A, k + c, i, count)
        for r in range(rows):
            d = load_first(dZ, min(j + r, end - 1), i, count)
            for c in range(cols):
                g[r * cols + c, 0] = fma(d, a[0, c], g[r * cols + c, 0])
    sums = sum_rows(g)
    for r in range(rows):
        if j + r < end:
            for c in range(cols):
                total = lane(sums, r * cols + c)
                dW[j + r, k + c] = dW[j + r, k + c] + total if more else total


@kernel
def inner(dZ, A, dW, j, end, first, last, more):
    """dW = dZ A^T in the rows from j to end, by inner products of rows, over the examples from first to last.

    dZ (n_out, m), A (n_in, m), dW (n_out, n_in).  With `more`, dW += dZ A^T.  A matrix of one row is faster as one
    of one column: dW^T = A dZ^T, and the memory is the same.
    """
    n_in, cols = dW.shape[1], min(4, lanes(dW))
    wide = n_in - n_in % cols
    for k in range(0, wide, cols):
        for row in range(j, end, lanes(dW) // cols):
            _inner_tile(dZ, A, dW, row, end, k, first, last, more, cols)
    for k in range(wide, n_in):
        for row in range(j, end, lanes(dW)):
            _inner_tile(dZ, A, dW, row, end, k, first, last, more, 1)


@kernel
def row_sums(dZ, db, j, end, first, last, more):
    """db = the sums of the rows from j to end of dZ, over the examples from first to last.  dZ (n, m), db (1, n)."""
    g = square(dZ)
    for row in range(j, end, lanes(dZ)):
        for r in range(lanes(dZ)):
            g[r, 0] = zero(dZ)
        for i in range(first, last, lanes(dZ)):
            for r in range(lanes(dZ)):
                g[r, 0] = g[r, 0] + load_first(dZ, min(row + r, end - 1), i, min(lanes(dZ), last - i))
        sums, count = sum_rows(g), min(lanes(dZ), end - row)
        if more:
            sums = sums + load_first(db, 0, row, count)
        store_first(db, 0, row, count, sums)


@inline
def _gather_square(X, rows_of_X, A, i, k, last, examples, features):
    t = square(X)
    for e in range(lanes(X)):
        t[e, 0] = load_first(X, rows_of_X[i + min(e, examples - 1)], k, features)
        # The rows are anywhere in memory: ask for the next ones while these are turned.
        prefetch(X, rows_of_X[min(i + lanes(X) + e, last - 1)], k)
    transpose_square(t)
    for f in range(lanes(X)):
        if f < features:
            store_first(A, k + f, i, examples, t[f, 0])


@kernel
def gather(X, rows_of_X, A, first, last):
    """A[:, i] = X[rows_of_X[i]] for i from first to last: the chosen rows of X (any, n), as columns of A (n, m)."""
    n, full = X.shape[1], lanes(X)
    for i in range(first, last, full):
        examples = min(full, last - i)
        for k in range(0, n, full):
            features = min(full, n - k)
            if examples == full and features == full:
                _gather_square(X, rows_of_X, A, i, k, last, full, full)
            else:
                _gather_square(X, rows_of_X, A, i, k, last, examples, features)


@inline
def _transpose_square(A, A_T, i, k, examples, units, streamed):
    t = square(A)
    for u in range(lanes(A)):
        t[u, 0] = load_first(A, k + min(u, units - 1), i, examples)
    transpose_square(t)
    for e in range(lanes(A)):
        if e < examples:
            if streamed:
                stream(A_T, i + e, k, t[e, 0])
            else:
                store_first(A_T, i + e, k, units, t[e, 0])


@kernel
def transpose(A, A_T, first, last, streamed):
    """A_T = A^T in the columns from first to last of A (n, m); A_T (m, n), or with longer rows.

    If `streamed`, whole vectors go past the caches: then the rows of A_T have room for these, and start where one can.
    """
    n, full = A.shape[0], lanes(A)
    for i in range(first, last, full):
        examples = min(full, last - i)
        for k in range(0, n, full):
            units = min(full, n - k)
            if examples == full and units == full:
                _transpose_square(A, A_T, i, k, full, full, streamed)
            else:
                _transpose_square(A, A_T, i, k, examples, units, streamed)
