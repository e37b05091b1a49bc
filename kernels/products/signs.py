"""A hidden layer of relu between the inputs and one output: of its activations, no more is kept than their signs.

With s_i = [z_i > 0], which says what units of example i are active, A_1 = s_i z_i and dZ_1 = s_i w dz_i: w is the row
of W_2, and dz_i is dZ_2, a number.  So all gradients are in the sums over those examples for which a unit is active:

    T = sum of dz_i (x_i, 1)^T s_i      (n_x + 1, n_1)
    (dW_1^T, db_1) = T * w              each row of T times w
    dW_2                                the sums of the columns of T * (W_1^T, b_1)

Examples are rows, as in `ways.units`; the inputs have one more column, of ones.  Neither A_1 nor dZ_1 is ever written,
and what takes the time of a matrix product, T, is additions alone.

With dropout, z_i is multiplied by its mask, so that s_i is 0 for what is dropped; and T by the mask of the others.
"""

from fastnn.kernels.machine.host import COLS, ROWS
from fastnn.kernels.machine.jit import inline, unit
from fastnn.kernels.machine.simd import (
    SHORT,
    add_where,
    fma,
    lanes,
    load,
    maximum,
    rolled,
    splat,
    square,
    store,
    store_first,
    store_signs,
    sum_rows,
    tile,
    zero,
)

#: A tile of T with few rows is as much wider.
LOW, WIDE = ROWS // 2, 2 * COLS


@inline
def _forward_tile(A_0, W, w, M, signs, outputs, i, k, n_in, rows, cols):
    z, a = tile(A_0, ROWS, COLS), tile(A_0, 1, COLS)
    for c in range(cols):
        for r in range(rows):
            z[r, c] = load(W, n_in, k + c * lanes(A_0))
    for j in range(n_in):
        rolled()
        for c in range(cols):
            a[0, c] = load(W, j, k + c * lanes(A_0))
        for r in range(rows):
            x = splat(A_0, A_0[i + r, j])
            for c in range(cols):
                z[r, c] = fma(x, a[0, c], z[r, c])
    for c in range(cols):
        w_c = load(w, 0, k + c * lanes(A_0))
        if M.shape[0]:
            for r in range(rows):
                z[r, c] = z[r, c] * load(M, i + r, k + c * lanes(A_0))
        for r in range(rows):
            store_signs(signs, i + r, k // lanes(A_0) + c, z[r, c])
            outputs[r, 0] = fma(w_c, maximum(z[r, c], zero(A_0)), outputs[r, 0])


@inline
def _forward_rows(A_0, W, w, M, signs, Z, i, n_in, n, rows):
    outputs, across = square(A_0), COLS * lanes(A_0)
    for r in range(lanes(A_0)):
        outputs[r, 0] = zero(A_0)
    for k in range(0, n - n % across, across):
        _forward_tile(A_0, W, w, M, signs, outputs, i, k, n_in, rows, COLS)
    for k in range(n - n % across, n, lanes(A_0)):
        _forward_tile(A_0, W, w, M, signs, outputs, i, k, n_in, rows, 1)
    store_first(Z, 0, i, rows, sum_rows(outputs))


@unit
def forward(A_0, W, w, M, signs, Z, n):
    """Z_2 = w relu(Z_1), without b_2, and the signs of Z_1 = (x_i, 1) W, in whole vectors of n numbers.

    A_0 (m, more than n_in), W (n_in + 1, n or more), the last row of which is b_1; w (1, n or more), Z (1, m); M (m, n
    or more), the masks of dropout, or no rows.
    """
    m, n_in, i = A_0.shape[0], W.shape[0] - 1, 0
    rows, few = min(ROWS, lanes(A_0)), min(SHORT, lanes(A_0))  # as many sums as `sum_rows` takes
    while i + rows <= m:
        _forward_rows(A_0, W, w, M, signs, Z, i, n_in, n, min(ROWS, lanes(A_0)))
        i += rows
    while i < m and m >= few:  # the last ones may come again
        _forward_rows(A_0, W, w, M, signs, Z, min(i, m - few), n_in, n, min(SHORT, lanes(A_0)))
        i += few
    while i < m:
        _forward_rows(A_0, W, w, M, signs, Z, i, n_in, n, 1)
        i += 1


@inline
def _back_tile(A_0, W, w, signs, G, dw, scale, j, first_unwritten, k, rows, cols):
    t = tile(A_0, ROWS, WIDE)
    for r in range(rows):
        for c in range(cols):
            t[r, c] = zero(A_0)
    for i in range(A_0.shape[0]):
        rolled()
        for r in range(rows):
            x = splat(A_0, A_0[i, j + r])
            for c in range(cols):
                t[r, c] = add_where(signs, i, k // lanes(A_0) + c, t[r, c], x)
    for c in range(cols):
        at = k + c * lanes(A_0)
        w_c, g = load(w, 0, at), zero(A_0)
        if first_unwritten:
            g = load(dw, 0, at)
        for r in range(rows):
            t[r, c] = t[r, c] * splat(A_0, scale)
            if first_unwritten <= j + r < W.shape[0]:
                g = fma(t[r, c], load(W, j + r, at), g)
                store(G, j + r, at, t[r, c] * w_c)
        store(dw, 0, at, g)


@inline
def _back_rows(A_0, W, w, signs, G, dw, scale, j, first_unwritten, n, rows, cols):
    across = cols * lanes(A_0)
    for k in range(0, n - n % across, across):
        _back_tile(A_0, W, w, signs, G, dw, scale, j, first_unwritten, k, rows, cols)
    for k in range(n - n % across, n, lanes(A_0)):
        _back_tile(A_0, W, w, signs, G, dw, scale, j, first_unwritten, k, rows, 1)


@unit
def back(dZ, A_0, W, w, signs, G, dw, scale, n):
    """G = (dW_1^T, db_1) and dw = dW_2.  dZ (1, m), G (n_in + 1, n), dw (1, n), the others as in `forward`.

    scale is 1 / (1 - p), of dropout.  The rows of A_0 are multiplied by dZ on the way.
    """
    n_rows = W.shape[0]
    for i in range(A_0.shape[0]):
        dz = splat(A_0, dZ[0, i])
        for k in range(0, n_rows - 1, lanes(A_0)):
            store(A_0, i, k, dz * load(A_0, i, k))
        A_0[i, n_rows - 1] = dZ[0, i]
    if n_rows <= LOW:
        _back_rows(A_0, W, w, signs, G, dw, scale, 0, 0, n, LOW, WIDE)
        return
    for first_unwritten in range(0, n_rows, ROWS):  # the last ones may come again, and count once
        _back_rows(
            A_0, W, w, signs, G, dw, scale, max(min(first_unwritten, n_rows - ROWS), 0), first_unwritten, n, ROWS, COLS
        )
