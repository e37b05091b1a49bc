"""The three products of a layer, with what is fused into them.

    affine        Z  = W A + b, or A = relu(Z)
    backproject   dA = W^T dZ * g'(A)
    outer, inner  dW = dZ A^T                  row_sums (and inner)  db = the sums of the rows of dZ

Examples are columns: Z, dZ (n_out, m), A, dA (n_in, m), W (n_out, n_in).  A tile of up to ROWS x COLS
vectors is accumulated in registers.  Its body is written once for any `rows` and `cols`; inlined where these are
constants, it is unrolled.  What does not fill a tile takes a smaller one: a strip of columns is COLS vectors wide or
one; its rows are taken ROWS at a time (TALL in a strip of one vector, which would have too few sums to keep the
multipliers busy), and what is left by SHORT.  The last tile may overlap the one before; rows that are written
already are not stored again.

Few examples, that would leave half a vector empty, fill it another way: with several terms of their sums (`affine`), or
along the inputs (`backproject`); in `outer`, half a register is enough for the last columns of W.

The rows of these arrays have room for whole vectors, and what lies beyond the last example means nothing.  But what
sums over the examples wants zeros there in dZ, and finite numbers in A; backproject of zeros leaves zeros.
"""

from fastnn.kernels.laws.activations import KEPT, LOGISTIC, RELU, TANH
from fastnn.kernels.machine.host import COLS, ROWS
from fastnn.kernels.machine.jit import inline, unit
from fastnn.kernels.machine.simd import (
    SHORT,
    TALL,
    fma,
    folds,
    half,
    lane,
    lanes,
    load,
    load_first,
    load_folded,
    matrix,
    maximum,
    prefetch,
    prefetch_early,
    rolled,
    splat,
    splat_folded,
    square,
    store,
    store_first,
    stream,
    sum_lanes,
    sum_rows,
    tile,
    transpose_square,
    unfold,
    zero,
)
from fastnn.kernels.products.slopes import times_slope

#: Bytes of a core's first cache; and how many rows ahead a tile asks for its strip, where that is longer.
FIRST_CACHE, AHEAD = 2**15, 8


@inline
def _ahead(A, n, cols):
    # How many rows ahead a tile asks for its strip.  If n rows of A, with the weights of this tile and of the next, are
    # more than the first cache holds, it comes from the second, a line far from the last one, which nobody foresees.
    # Otherwise, and in a strip of four (short) vectors, where there are 24 multiply-adds to a line and not 12, it asks
    # in vain: a branch in the loop would take longer.
    return AHEAD if COLS == 2 and cols == 2 and n * (COLS * lanes(A) + 2 * ROWS) * A.itemsize > FIRST_CACHE else 0


@inline
def _next_strip(A, i, last):
    # Other cores have written some of A: the tiles of one strip ask for the next, in turns for its lines.
    return i + COLS * lanes(A) if i + COLS * lanes(A) < last else i


@inline
def _bias(b, A, j, i):
    # b_j for a vector of examples; or, where these are rows and the lanes are units, b of those.
    return splat(A, b[j]) if b.size else load(A, A.shape[0] - 1, i)


@inline
def _affine_tile(W, b, A, Z, j, i, ahead, is_relu, rows, cols):
    z, a, n_in = tile(Z, TALL, COLS), tile(Z, 1, COLS), A.shape[0] - (b.size == 0)
    rows_ahead = _ahead(A, n_in, cols)
    line = ahead + j // ROWS % 2 * lanes(A)
    for r in range(rows):
        for c in range(cols):
            z[r, c] = _bias(b, A, j + r, i + c * lanes(Z))
    for k in range(n_in):
        rolled()
        prefetch(W, j + rows, rows * k)  # the weights of the next tile: other cores have written some
        if cols == COLS:
            prefetch_early(A, k, line)
        if cols == 2:
            prefetch(A, k + rows_ahead, i)
        for c in range(cols):
            a[0, c] = load(A, k, i + c * lanes(A))
        for r in range(rows):
            w = splat(A, W[j + r, k])
            for c in range(cols):
                z[r, c] = fma(w, a[0, c], z[r, c])
    for r in range(rows):
        for c in range(cols):
            store(Z, j + r, i + c * lanes(Z), maximum(z[r, c], zero(Z)) if is_relu else z[r, c])


@inline
def _affine_row(W, b, A, Z, j, i, is_relu, cols):
    # One row has as many sums as the strip has columns: each would wait for the last.  So it is cut in ROWS parts.
    z, n_in = tile(Z, TALL, COLS), A.shape[0] - (b.size == 0)
    for c in range(cols):
        z[0, c] = _bias(b, A, j, i + c * lanes(Z))
        for r in range(1, ROWS):
            z[r, c] = zero(Z)
    whole = n_in - n_in % ROWS
    for k in range(0, whole, ROWS):
        rolled()
        for r in range(ROWS):
            w = splat(A, W[j, k + r])
            for c in range(cols):
                z[r, c] = fma(w, load(A, k + r, i + c * lanes(A)), z[r, c])
    for k in range(whole, n_in):
        rolled()
        for c in range(cols):
            z[0, c] = fma(splat(A, W[j, k]), load(A, k, i + c * lanes(A)), z[0, c])
    for c in range(cols):
        for r in range(1, ROWS):
            z[0, c] = z[0, c] + z[r, c]
        store(Z, j, i + c * lanes(Z), maximum(z[0, c], zero(Z)) if is_relu else z[0, c])


@inline
def _affine_strip(W, b, A, Z, i, ahead, is_relu, cols):
    rows, j, n_out = ROWS if cols > 1 else TALL, 0, W.shape[0]
    # Which rows are cut in parts must not depend on the width of the strip, which depends on the number of threads.
    even = n_out - n_out % 2 if n_out >= SHORT else 0
    while j + rows <= even:
        _affine_tile(W, b, A, Z, j, i, ahead, is_relu, rows, cols)
        j += rows
    while j < even:
        _affine_tile(W, b, A, Z, min(j, even - SHORT), i, ahead, is_relu, SHORT, cols)
        j += SHORT
    for j in range(even, n_out):
        _affine_row(W, b, A, Z, j, i, is_relu, cols)


@inline
def _add_folded(z, W, A, j, k, i, count, rows, cols):
    a = tile(A, 1, COLS)
    for c in range(cols):
        a[0, c] = load_folded(A, k, i + c * (lanes(A) // folds(A)), count)
    for r in range(rows):
        w = splat_folded(W, j + r, k, count)
        for c in range(cols):
            z[r, c] = fma(w, a[0, c], z[r, c])


@inline
def _folded_product(z, W, A, n_in, j, i, rows, cols):
    # z[r, 0] = row j + r of W A: the columns of few examples from i on, then zeros.
    whole = n_in - n_in % folds(A)
    for r in range(rows):
        for c in range(cols):
            z[r, c] = zero(A)
    for k in range(0, whole, folds(A)):
        rolled()
        _add_folded(z, W, A, j, k, i, folds(A), rows, cols)
    if whole < n_in:
        _add_folded(z, W, A, j, whole, i, n_in - whole, rows, cols)
    for r in range(rows):
        z[r, 0] = unfold(z[r, 0], z[r, 1] if cols > 1 else zero(A))


@inline
def _affine_few_tile(W, b, A, Z, j, i, is_relu, rows, cols):
    z = tile(Z, ROWS, COLS)
    _folded_product(z, W, A, A.shape[0] - (b.size == 0), j, i, rows, cols)
    for r in range(rows):
        z[r, 0] = z[r, 0] + _bias(b, A, j + r, i)
        store(Z, j + r, i, maximum(z[r, 0], zero(Z)) if is_relu else z[r, 0])


@inline
def _affine_few(W, b, A, Z, i, is_relu, cols):
    j, n_out = 0, W.shape[0]
    while j + ROWS <= n_out:
        _affine_few_tile(W, b, A, Z, j, i, is_relu, ROWS, cols)
        j += ROWS
    while j + 1 < n_out and n_out >= SHORT:
        _affine_few_tile(W, b, A, Z, min(j, n_out - SHORT), i, is_relu, SHORT, cols)
        j += SHORT
    while j < n_out:
        _affine_few_tile(W, b, A, Z, j, i, is_relu, 1, cols)
        j += 1


@unit
def affine(W, b, A, Z, first, last, is_relu):
    """Z = W A + b in the columns from first to last.  W (n_out, n_in or more).

    b (n_out), A (n_in, m), Z (n_out, m).

    Without numbers in b, A has one more row, which is the bias of each column: of units, whose examples are rows.
    relu is applied to a tile before it leaves the registers; other laws, by the caller, while the block is in the
    cache.
    """
    full = lanes(A)
    wide = last - (last - first) % (COLS * full)
    for i in range(first, wide, COLS * full):
        _affine_strip(W, b, A, Z, i, _next_strip(A, i, last), is_relu, COLS)
    for i in range(wide, last, full):
        if last - i > full // 2:
            _affine_strip(W, b, A, Z, i, i, is_relu, 1)
        elif last - i > full // folds(A):
            _affine_few(W, b, A, Z, i, is_relu, 2)
        else:
            _affine_few(W, b, A, Z, i, is_relu, 1)


@inline
def _times_slope(g, kept, k, i, form, rows, cols):
    for r in range(rows):
        for c in range(cols):
            g[r, c] = times_slope(g[r, c], load(kept, k + r, i + c * lanes(kept)), form)


@inline
def _backproject_tile(W, is_transposed, dZ, partial, kept, dA, k, first_unwritten, i, ahead, form, rows, cols):
    g, d, rows_ahead = tile(dA, TALL, COLS), tile(dA, 1, COLS), _ahead(dZ, dZ.shape[0], cols)
    line = ahead + k // ROWS % 2 * lanes(dZ)
    for r in range(rows):
        for c in range(cols):
            g[r, c] = zero(dA)
            if partial.shape[0]:  # another core has written it
                prefetch(partial, k + r, i + c * lanes(dA))
    for j in range(dZ.shape[0]):
        rolled()
        if COLS == 2 and not is_transposed:  # a line of W for `rows` numbers
            prefetch(W, j + ROWS, k)
        if cols == 2:
            prefetch(dZ, j + rows_ahead, i)
        if cols == COLS:
            prefetch_early(dZ, j, line)
        for c in range(cols):
            d[0, c] = load(dZ, j, i + c * lanes(dZ))
        for r in range(rows):
            w = splat(dZ, W[k + r, j] if is_transposed else W[j, k + r])
            for c in range(cols):
                g[r, c] = fma(w, d[0, c], g[r, c])
    if partial.shape[0]:
        for r in range(rows):
            for c in range(cols):
                g[r, c] = g[r, c] + load(partial, k + r, i + c * lanes(dA))
    if form == RELU:  # once a tile: `times_slope` asks for each vector
        _times_slope(g, kept, k, i, RELU, rows, cols)
    elif form == TANH:
        _times_slope(g, kept, k, i, TANH, rows, cols)
    elif form == LOGISTIC:
        _times_slope(g, kept, k, i, LOGISTIC, rows, cols)
    elif form == KEPT:
        _times_slope(g, kept, k, i, KEPT, rows, cols)
    for r in range(rows):
        if k + r >= first_unwritten:
            for c in range(cols):
                store(dA, k + r, i + c * lanes(dA), g[r, c])


@inline
def _backproject_strip(W, is_transposed, dZ, partial, kept, dA, i, ahead, form, cols):
    rows, k, n_in = ROWS if cols > 1 else TALL, 0, dA.shape[0]
    while k + rows <= n_in:
        _backproject_tile(W, is_transposed, dZ, partial, kept, dA, k, k, i, ahead, form, rows, cols)
        k += rows
    while k + 1 < n_in and n_in >= SHORT:
        _backproject_tile(W, is_transposed, dZ, partial, kept, dA, min(k, n_in - SHORT), k, i, ahead, form, SHORT, cols)
        k += SHORT
    while k < n_in:
        _backproject_tile(W, is_transposed, dZ, partial, kept, dA, k, k, i, ahead, form, 1, cols)
        k += 1


@inline
def _put_row(g, partial, kept, dA, k, i, form):
    if partial.shape[0]:
        g = g + load(partial, k, i)
    store(dA, k, i, times_slope(g, load(kept, k, i), form))


@inline
def _backproject_few_rows(W_T, dZ, partial, kept, dA, k, i, form, rows, cols):
    g = tile(dA, ROWS, COLS)
    _folded_product(g, W_T, dZ, dZ.shape[0], k, i, rows, cols)
    for r in range(rows):
        _put_row(g[r, 0], partial, kept, dA, k + r, i, form)


@inline
def _backproject_few_tile(W, dZ, partial, kept, dA, k, i, form, examples, cols):
    # The lanes run along a row of W, and the sums are turned when they are done.
    g, w, t, n_in = tile(dA, TALL, COLS), tile(dA, 1, COLS), square(dA), dA.shape[0]
    for row in range(k, min(k + cols * lanes(dA), partial.shape[0])):  # another core has written it
        prefetch(partial, row, i)
    for e in range(examples):
        for c in range(cols):
            g[e, c] = zero(dA)
    for j in range(dZ.shape[0]):
        rolled()
        for c in range(cols):
            w[0, c] = load(W, j, k + c * lanes(W)) if cols > 1 else load_first(W, j, k, n_in - k)
        for e in range(examples):
            d = splat(dZ, dZ[j, i + e])
            for c in range(cols):
                g[e, c] = fma(d, w[0, c], g[e, c])
    for c in range(cols):
        for e in range(lanes(dA)):
            t[e, 0] = g[e, c] if e < examples else zero(dA)
        transpose_square(t)
        for f in range(lanes(dA)):
            row = k + c * lanes(dA) + f
            if row < n_in:
                _put_row(t[f, 0], partial, kept, dA, row, i, form)


@inline
def _backproject_few(W, is_transposed, dZ, partial, kept, dA, i, form, cols):
    n_in, across, examples = dA.shape[0], COLS * lanes(dA), cols * (lanes(dA) // folds(dA))
    if is_transposed:
        most, whole = n_in - n_in % ROWS, n_in - n_in % ROWS % SHORT
        for k in range(0, most, ROWS):
            _backproject_few_rows(W, dZ, partial, kept, dA, k, i, form, ROWS, cols)
        for k in range(most, whole, SHORT):
            _backproject_few_rows(W, dZ, partial, kept, dA, k, i, form, SHORT, cols)
        for k in range(whole, n_in):
            _backproject_few_rows(W, dZ, partial, kept, dA, k, i, form, 1, cols)
    else:
        for k in range(0, n_in - n_in % across, across):
            _backproject_few_tile(W, dZ, partial, kept, dA, k, i, form, examples, COLS)
        for k in range(n_in - n_in % across, n_in, lanes(dA)):
            _backproject_few_tile(W, dZ, partial, kept, dA, k, i, form, examples, 1)


@inline
def _backproject(W, is_transposed, dZ, partial, kept, dA, first, last, form):
    full = lanes(dA)
    wide = last - (last - first) % (COLS * full)
    for i in range(first, wide, COLS * full):
        _backproject_strip(W, is_transposed, dZ, partial, kept, dA, i, _next_strip(dZ, i, last), form, COLS)
    for i in range(wide, last, full):
        if last - i > full // 2:
            _backproject_strip(W, is_transposed, dZ, partial, kept, dA, i, i, form, 1)
        elif last - i > full // folds(dA):
            _backproject_few(W, is_transposed, dZ, partial, kept, dA, i, form, 2)
        else:
            _backproject_few(W, is_transposed, dZ, partial, kept, dA, i, form, 1)


@unit
def backproject(W, is_transposed, dZ, partial, kept, dA, first, last, form):
    """dA = (W^T dZ + partial) * g'(Z) in the columns from first to last.

    W (n_out, n_in), dZ (n_out, m), dA (n_in, m); partial (n_in, m), or (0, m) for none.  kept (n_in, m) is what tells
    the slope, in the form of the law: see `slopes`.

    If `is_transposed`, W^T comes in the place of W, with rows of any length: the columns of a W that does not fit the
    cache come from far, a line for a few numbers.  dA may be `kept`: a tile reads its part before it writes there.
    """
    if is_transposed:
        _backproject(W, True, dZ, partial, kept, dA, first, last, form)
    else:
        _backproject(W, False, dZ, partial, kept, dA, first, last, form)


@inline
def rows_of_panel(A_T, n):
    """How many rows each of the panels of A_T has that hold the transpose of an array of n rows."""
    width = COLS * lanes(A_T)
    return A_T.shape[0] // ((n + width - 1) // width)


@inline
def _outer_tile(dZ, A_T, dW, X, next_rows, j, first_unwritten, end, k, m, accumulate, rows, cols):
    g, a, n_in = tile(dW, TALL, COLS), tile(dW, 1, COLS), dW.shape[1]
    col = k % (COLS * lanes(dZ))
    for r in range(rows):
        for c in range(cols):
            at = k + c * lanes(dW)
            g[r, c] = load_first(dW, j + r, at, n_in - at) if accumulate else zero(dW)
    number = j // ROWS
    asks = rows == ROWS and cols == COLS and number < 2 * COLS and next_rows.size >= m
    for i in range(m):
        rolled()
        if asks:  # each row twice: half of these tiles ask for half of the rows
            prefetch(X, next_rows[(i + number // COLS * m) // 2], k + number % COLS * lanes(dW))
        for c in range(cols):
            a[0, c] = load(A_T, i, col + c * lanes(A_T))
        for r in range(rows):
            d = splat(A_T, dZ[j + r, i])
            for c in range(cols):
                g[r, c] = fma(d, a[0, c], g[r, c])
    if k + cols * lanes(dW) <= n_in:
        for r in range(rows):
            if j + r >= first_unwritten:
                for c in range(cols):
                    store(dW, j + r, k + c * lanes(dW), g[r, c])
    else:
        # A whole vector may spill into the next row, which is written later; only the last row is masked: a mask takes
        # longer than the sums of 20 examples.
        for r in range(rows):
            if j + r >= first_unwritten:
                for c in range(cols):
                    at = k + c * lanes(dW)
                    if accumulate or (j + r) * n_in + at + lanes(dW) > end * n_in:
                        store_first(dW, j + r, at, n_in - at, g[r, c])
                    else:
                        store(dW, j + r, at, g[r, c])


@inline
def _outer_strip(dZ, A_T, dW, X, next_rows, j, end, k, m, accumulate, cols):
    rows = ROWS if cols > 1 else TALL
    while j + rows <= end:
        _outer_tile(dZ, A_T, dW, X, next_rows, j, j, end, k, m, accumulate, rows, cols)
        j += rows
    while j + 1 < end and end >= SHORT:
        _outer_tile(dZ, A_T, dW, X, next_rows, min(j, end - SHORT), j, end, k, m, accumulate, SHORT, cols)
        j += SHORT
    while j < end:
        _outer_tile(dZ, A_T, dW, X, next_rows, j, j, end, k, m, accumulate, 1, cols)
        j += 1


@unit
def outer(dZ, A_T, dW, X, next_rows, j, end, m, accumulate):
    """dW = dZ A^T in the rows from j to end: the sum of the outer products of the m examples.  With `accumulate`, +=.

    dZ (n_out, any), dW (n_out, n_in).  A_T holds A transposed in panels: see `panels`.  The last columns come first.
    On the way, the rows `next_rows` of X (any, n_in) are asked for, if there are m of them: what comes next.  They are
    anywhere in memory, and who asks for them all at once waits for them.
    Summing along the lanes of A instead (`inner`) needs no transposed copy, but a horizontal sum a weight:
    it is the faster way only for a layer with few inputs or few outputs.
    """
    n_in, full, down = dW.shape[1], lanes(dW), rows_of_panel(A_T, dW.shape[1])
    width = COLS * full
    for k in range((n_in - 1) // width * width, -1, -width):
        panel = matrix(A_T, k * down, m, width)
        if n_in - k > width - full:
            _outer_strip(dZ, panel, dW, X, next_rows, j, end, k, m, accumulate, COLS)
        else:
            for start in range(k + (n_in - 1 - k) // full * full, k - 1, -full):
                if n_in - start > full // 2:
                    _outer_strip(dZ, panel, dW, X, next_rows, j, end, start, m, accumulate, 1)
                else:
                    _outer_strip(dZ, half(panel), half(dW), X, next_rows, j, end, start, m, accumulate, 1)


@unit
def row_sums(dZ, db, j, end, m, accumulate):
    """db = the sums of the rows from j to end of dZ (n, any), over m examples.  With `accumulate`, +=.  db (1, n)."""
    g = square(dZ)
    for row in range(j, end, lanes(dZ)):
        for r in range(lanes(dZ)):
            g[r, 0] = zero(dZ)
        for i in range(0, m, lanes(dZ)):
            for r in range(lanes(dZ)):
                g[r, 0] = g[r, 0] + load(dZ, min(row + r, end - 1), i)
        sums, count = sum_rows(g), min(lanes(dZ), end - row)
        if accumulate:
            sums = sums + load_first(db, 0, row, count)
        if count == lanes(dZ):  # a mask takes long
            store(db, 0, row, sums)
        else:
            store_first(db, 0, row, count, sums)


@inline
def _inner_tile(dZ, A, dW, db, j, end, k, m, accumulate, cols, summed):
    # As many sums as there are lanes, in rows x cols: `sum_rows` takes them all at once.  Rows beyond the end repeat
    # the last one, and are not stored.
    g, s, a, rows = square(dW), square(dW), tile(dW, 1, 4), lanes(dW) // cols
    for t in range(lanes(dW)):
        g[t, 0] = zero(dW)
    for r in range(rows):
        s[r, 0] = zero(dW)
    for i in range(0, m, lanes(dW)):
        for c in range(cols):
            a[0, c] = load(A, k + c, i)
        for r in range(rows):
            d = load(dZ, min(j + r, end - 1), i)
            for c in range(cols):
                g[r * cols + c, 0] = fma(d, a[0, c], g[r * cols + c, 0])
            if summed:
                s[r, 0] = s[r, 0] + d
    sums = sum_rows(g)
    for r in range(rows):
        if j + r < end:
            for c in range(cols):
                total = lane(sums, r * cols + c)
                dW[j + r, k + c] = dW[j + r, k + c] + total if accumulate else total
            if summed:
                total = sum_lanes(s[r, 0])
                db[0, j + r] = db[0, j + r] + total if accumulate else total


@unit
def inner(dZ, A, dW, db, j, end, m, accumulate):
    """dW = dZ A^T in the rows from j to end, by inner products of rows, over the m examples; and db, the sums of dZ.

    With `accumulate`, +=.  dZ (n_out, any), A (n_in, any), dW (n_out, n_in), db (1, n_out), or (1, 0) for none.
    A matrix of one row is faster as one of one column: dW^T = A dZ^T, and the memory is the same.
    """
    n_in, cols = dW.shape[1], min(4, lanes(dW))
    wide = n_in - n_in % cols
    for k in range(0, wide, cols):
        for row in range(j, end, lanes(dW) // cols):
            if k == 0 and db.shape[1]:  # while dZ is at hand
                _inner_tile(dZ, A, dW, db, row, end, k, m, accumulate, cols, True)
            else:
                _inner_tile(dZ, A, dW, db, row, end, k, m, accumulate, cols, False)
    for k in range(wide, n_in):
        for row in range(j, end, lanes(dW)):
            _inner_tile(dZ, A, dW, db, row, end, k, m, accumulate, 1, False)
    if wide == 0 and db.shape[1]:
        row_sums(dZ, db, j, end, m, accumulate)


@inline
def _put_rows(t, A_T, row, col, streamed):
    for e in range(lanes(A_T)):
        if streamed:
            stream(A_T, row + e, col, t[e, 0])
        else:
            store(A_T, row + e, col, t[e, 0])


@inline
def _gather_square(X, rows_of_X, A, A_T, i, k, last, features, kept, down, streamed):
    t, width = square(X), COLS * lanes(X)
    for e in range(lanes(X)):
        t[e, 0] = load_first(X, rows_of_X[min(i + e, last - 1)], k, features)
        # The rows are anywhere in memory: ask for the next ones while these are turned.
        prefetch(X, rows_of_X[min(i + lanes(X) + e, rows_of_X.size - 1)], k)
    if kept:
        _put_rows(t, A_T, k // width * down + i, k % width, streamed)
    transpose_square(t)
    for f in range(lanes(X)):
        if f < features:
            store(A, k + f, i, t[f, 0])


@unit
def gather(X, rows_of_X, A, A_T, first, last, kept, streamed):
    """A[:, i] = X[rows_of_X[i]] for i from first to last: the chosen rows of X (any, n), as columns of A (n, m).

    If `kept`, these rows go to the panels A_T as well: see `panels`.  The last vector is filled with the last example.
    """
    n, full, down = X.shape[1], lanes(X), rows_of_panel(A_T, X.shape[1])
    for i in range(first, last, full):
        for k in range(0, n - n % full, full):
            _gather_square(X, rows_of_X, A, A_T, i, k, last, full, kept, down, streamed)
        if n % full:
            _gather_square(X, rows_of_X, A, A_T, i, n - n % full, last, n % full, kept, down, streamed)


@unit
def panels(A, A_T, begin, end, first, last, streamed):
    """A_T = A^T in the rows from begin, where a vector starts, to end of A (n, m), and the columns from first to last.

    A_T consists of panels of COLS vectors across, one above the other: each holds as many columns of A^T, so that
    `outer` reads memory from the front to the end.  A[k, i] is A_T[k // width * rows of a panel + i, k % width].
    If `streamed`, it goes past the caches: then the panels start on a cache line.
    """
    n, full, width, down = A.shape[0], lanes(A), COLS * lanes(A), rows_of_panel(A_T, A.shape[0])
    for i in range(first, last, full):
        for k in range(begin, end, full):
            t = square(A)
            for u in range(full):
                t[u, 0] = load(A, min(k + u, n - 1), i)
            transpose_square(t)
            _put_rows(t, A_T, k // width * down + i, k % width, streamed)


@inline
def _transpose_square(A, A_T, i, k, examples, units):
    t = square(A)
    for u in range(lanes(A)):
        t[u, 0] = load_first(A, k + min(u, units - 1), i, examples)
    transpose_square(t)
    for e in range(lanes(A)):
        if e < examples:
            store_first(A_T, i + e, k, units, t[e, 0])


@unit
def transpose(A, A_T, first, last):
    """A_T = A^T in the columns from first to last of A (n, m); A_T (m, n)."""
    n, full = A.shape[0], lanes(A)
    for i in range(first, last, full):
        examples = min(full, last - i)
        for k in range(0, n, full):
            units = min(full, n - k)
            if examples == full and units == full:
                _transpose_square(A, A_T, i, k, full, full)
            else:
                _transpose_square(A, A_T, i, k, examples, units)
