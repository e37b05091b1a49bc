"""Forward propagation: of many examples, a chunk at a time; of a few, by coefs and intercepts where they are.

Many examples are columns, as in training, and theta holds the parameters.  To bring a few into columns, or the
parameters into theta, would take longer than the products.  So these are rows, the lanes run along the units, and what
is read is coef (n_in, n_out) = W^T, a row of it for each input:

    z = sum over k of x_k coef_k + intercept
"""

from numba import types

from fastnn.kernels.laws.activations import RELU
from fastnn.kernels.laws.units import activate
from fastnn.kernels.layouts.examples import Pieces, Rows
from fastnn.kernels.layouts.predict import Kept, Room
from fastnn.kernels.layouts.run import A_IN, A_OUT, FORM, N_IN, N_OUT, VALUE, B, Model, W
from fastnn.kernels.machine.host import REGISTERS
from fastnn.kernels.machine.jit import entry, inline, kernel, packed, part, release_gil, take_gil, unit
from fastnn.kernels.machine.records import kept
from fastnn.kernels.machine.simd import (
    fma,
    lanes,
    load,
    load_first,
    matrix,
    matrix_at,
    maximum,
    rolled,
    splat,
    store,
    store_first,
    sum_lanes,
    tile,
    zero,
)
from fastnn.kernels.machine.team import barrier, claim, clear, dismiss, roll_call, run_together, share, take
from fastnn.kernels.products.columns import gather, transpose
from fastnn.kernels.products.pieces import embed, sum_pieces
from fastnn.kernels.products.vectors import softmax
from fastnn.kernels.ways.columns import forward, inputs
from fastnn.kernels.ways.sparse import first_layer

#: Of few examples, as many go through the network at a time; and how many vectors of units a tile has.
TOGETHER, UNITS = 4, 4 if REGISTERS == 32 else 2
#: Of a single example, up to so many vectors of units go together; and where there are few, in how many parts their
#: sums are cut, each of which would wait for the last product.
WIDE, PARTS, FEW_UNITS = REGISTERS // 2, 4, 2


@kernel
def is_finite(A, m):
    """Whether none of the numbers of A (n, m or more) is infinite or NaN: for those, 0 times them is NaN."""
    s, full = tile(A, 1, 4), lanes(A)
    wide = m - m % (4 * full)
    for c in range(4):
        s[0, c] = zero(A)
    for k in range(A.shape[0]):
        for i in range(0, wide, 4 * full):
            for c in range(4):
                s[0, c] = fma(load(A, k, i + c * full), zero(A), s[0, c])
        for i in range(wide, m, full):
            s[0, 0] = fma(load(A, k, i), zero(A), s[0, 0])
    return sum_lanes((s[0, 0] + s[0, 1]) + (s[0, 2] + s[0, 3])) == 0


@entry(nogil=False)
def predict(keeps_gil, wanted, team, model, X, room, out, refused):
    """out = A_L^T for the rows of X, as one of `wanted` threads that make this call.  X (m, n_x), out (m, n_y).

    refused (wanted,), all False, becomes True where a thread meets NaN or infinity in X.
    """
    gil = release_gil(keeps_gil)
    rank, size = roll_call(team, wanted)
    if rank < size:
        layers, n_layers, width, work = model.layers, model.layers.shape[0], room.width, room.work[rank]
        A_0 = inputs(model, work, width, 0)
        A_L = matrix(work, layers[n_layers - 1, A_OUT], layers[n_layers - 1, N_OUT], width)
        vector, block = lanes(X), min(width, room.rows.size)
        for turn in range(size):
            owner = (rank + turn) % size
            first, last = share((X.shape[0] + vector - 1) // vector, owner, size)
            begin, end = take(team, 0, rank, size, owner, first, last, 1)
            while begin < end:
                for i in range(begin * vector, min(end * vector, X.shape[0]), block):
                    m = min(block, min(end * vector, X.shape[0]) - i)
                    gather(X[i : i + m], room.rows, A_0, A_0, 0, m, False, False)
                    refused[rank] |= not is_finite(A_0, m)  # here, because X comes from memory once, and in parts
                    for l in range(n_layers):
                        forward(model, inputs(model, work, width, l), work, width, l, 0, layers[l, N_OUT], 0, m)
                    activate(model.output, A_L, A_L[:0], 0, m + -m % vector)
                    transpose(A_L, out[i : i + m], 0, m)
                begin, end = take(team, 0, rank, size, owner, first, last, 1)
    take_gil(gil)


@entry(nogil=False)
def predict_sparse(keeps_gil, wanted, team, model, X, room, out, refused):
    """`predict` of the rows of a sparse X: in the table of layers, the first W is the address of W_1^T (n_x, n_1)."""
    gil = release_gil(keeps_gil)
    rank, size = roll_call(team, wanted)
    if rank < size:
        layers, n_layers, width, work = model.layers, model.layers.shape[0], room.width, room.work[rank]
        n_x, n_1, n_samples = layers[0, N_IN], layers[0, N_OUT], X.starts.size - 1
        W_T, scratch = matrix_at(work, layers[0, W], n_x, n_1), work[layers[0, A_IN] :]
        A_L = matrix(work, layers[n_layers - 1, A_OUT], layers[n_layers - 1, N_OUT], width)
        vector, block = lanes(work), min(width, room.rows.size)
        for turn in range(size):
            owner = (rank + turn) % size
            first, last = share((n_samples + vector - 1) // vector, owner, size)
            begin, end = take(team, 0, rank, size, owner, first, last, 1)
            while begin < end:
                for i in range(begin * vector, min(end * vector, n_samples), block):
                    m = min(block, min(end * vector, n_samples) - i)
                    rows = Rows(X.numbers, X.features, X.starts[i : i + m + 1])
                    first_layer(model, rows, room.rows, W_T, scratch, room.rows, work, width, 0, m)
                    for l in range(1, n_layers):
                        forward(model, inputs(model, work, width, l), work, width, l, 0, layers[l, N_OUT], 0, m)
                    activate(model.output, A_L, A_L[:0], 0, m + -m % vector)
                    transpose(A_L, out[i : i + m], 0, m)
                begin, end = take(team, 0, rank, size, owner, first, last, 1)
    take_gil(gil)


@entry(nogil=False)
def predict_pieces(keeps_gil, wanted, team, model, X, room, out, refused):
    """`predict` of columns with pieces: theta ends with V, and there is room behind the activations for U and rows."""
    gil = release_gil(keeps_gil)
    rank, size = roll_call(team, wanted)
    if rank < size:
        layers, n_layers, width, work = model.layers, model.layers.shape[0], room.width, room.work[rank]
        n_in, n_samples, n_pieces = layers[0, N_IN], X.numbers.shape[0], X.starts[X.starts.size - 1]
        w = (n_in - X.numbers.shape[1]) // X.positions.shape[1]
        U = matrix(work, work.size - n_pieces * w, n_pieces, w)
        V = matrix(model.theta, model.theta.size - n_pieces * w, n_pieces, w)
        for c in range(X.starts.size - 1):
            sum_pieces(V, U, X.starts[c], X.starts[c + 1])
        A_0 = inputs(model, work, width, 0)
        A_L = matrix(work, layers[n_layers - 1, A_OUT], layers[n_layers - 1, N_OUT], width)
        vector, block = lanes(work), min(width, room.rows.size)
        as_rows = matrix(work, work.size - n_pieces * w - block * n_in, block, n_in)
        for turn in range(size):
            owner = (rank + turn) % size
            first, last = share((n_samples + vector - 1) // vector, owner, size)
            begin, end = take(team, 0, rank, size, owner, first, last, 1)
            while begin < end:
                for i in range(begin * vector, min(end * vector, n_samples), block):
                    m = min(block, min(end * vector, n_samples) - i)
                    some = Pieces(X.numbers[i : i + m], X.positions[i : i + m], X.starts)
                    embed(some, room.rows, V, U, as_rows, 0, m)
                    gather(as_rows, room.rows, A_0, A_0, 0, m, False, False)
                    for l in range(n_layers):
                        forward(model, inputs(model, work, width, l), work, width, l, 0, layers[l, N_OUT], 0, m)
                    activate(model.output, A_L, A_L[:0], 0, m + -m % vector)
                    transpose(A_L, out[i : i + m], 0, m)
                begin, end = take(team, 0, rank, size, owner, first, last, 1)
    take_gil(gil)


@inline
def _units_of_one(x, i, coef, intercept, Z, j, count, cols, parts):
    # The last vectors may have fewer units, or none.
    z, n_in, full = tile(Z, PARTS, WIDE), coef.shape[0], lanes(Z)
    whole = n_in - n_in % parts
    for c in range(cols):
        z[0, c] = load_first(intercept, 0, j + c * full, count - c * full)
        for p in range(1, parts):
            z[p, c] = zero(Z)
    for k in range(0, whole, parts):
        rolled()
        for p in range(parts):
            x_k = splat(Z, x[i, k + p])
            for c in range(cols):
                z[p, c] = fma(x_k, load_first(coef, k + p, j + c * full, count - c * full), z[p, c])
    for k in range(whole, n_in):
        rolled()
        x_k = splat(Z, x[i, k])
        for c in range(cols):
            z[0, c] = fma(x_k, load_first(coef, k, j + c * full, count - c * full), z[0, c])
    for c in range(cols):
        for p in range(1, parts):
            z[0, c] = z[0, c] + z[p, c]
        store_first(Z, 0, j + c * full, count - c * full, z[0, c])


@unit
def units_of_one(x, i, coef, intercept, Z, first, last):
    """Z = x coef + intercept in the units from first to last, of row i of x: a matrix times a vector.

    The rows of coef come from memory: long stretches of each, or all of it, at a time.  A unit's sum is in PARTS if the
    layer has FEW_UNITS, for which others would wait, and in one if not: so it is the same in any share of the units.
    """
    full, j = lanes(Z), first
    if coef.shape[1] <= FEW_UNITS * full:
        _units_of_one(x, i, coef, intercept, Z, 0, coef.shape[1], FEW_UNITS, PARTS)
        return
    while j < last:
        count = last - j
        if count > WIDE // 2 * full:
            _units_of_one(x, i, coef, intercept, Z, j, min(count, WIDE * full), WIDE, 1)
            j += WIDE * full
        elif count > 2 * full:
            _units_of_one(x, i, coef, intercept, Z, j, count, WIDE // 2, 1)
            j += WIDE // 2 * full
        else:
            _units_of_one(x, i, coef, intercept, Z, j, count, 2, 1)
            j += 2 * full


@inline
def _units_of_some(x, i, m, coef, intercept, Z, e, j, count, cols):
    # Where there are fewer examples than rows of a tile, it has the last one again.
    z, w = tile(Z, TOGETHER, UNITS), tile(Z, 1, UNITS)
    for c in range(cols):
        w[0, c] = load(intercept, 0, j + c * lanes(Z)) if cols > 1 else load_first(intercept, 0, j, count)
        for r in range(TOGETHER):
            z[r, c] = w[0, c]
    for k in range(coef.shape[0]):
        rolled()
        for c in range(cols):
            w[0, c] = load(coef, k, j + c * lanes(Z)) if cols > 1 else load_first(coef, k, j, count)
        for r in range(TOGETHER):
            x_k = splat(Z, x[i + min(e + r, m - 1), k])
            for c in range(cols):
                z[r, c] = fma(x_k, w[0, c], z[r, c])
    for r in range(TOGETHER):
        for c in range(cols):
            store(Z, min(e + r, m - 1), j + c * lanes(Z), z[r, c])


@inline
def _units(x, i, m, coef, intercept, Z, j, count, cols):
    for e in range(0, m, TOGETHER):
        _units_of_some(x, i, m, coef, intercept, Z, e, j, count, cols)


@unit
def units(x, i, m, coef, intercept, Z):
    """Z = x coef + intercept of the m examples from row i of x on, TOGETHER in a tile.

    Some units of all examples after the others: their columns of coef stay in the cache.
    x (any, n_in), coef (n_in, n_out), intercept (1, n_out), Z (m, n_out, in whole vectors).
    """
    n_out, full, j = coef.shape[1], lanes(Z), 0
    while j + UNITS * full <= n_out:
        _units(x, i, m, coef, intercept, Z, j, full, UNITS)
        j += UNITS * full
    if UNITS > 2 and j + 2 * full <= n_out:
        _units(x, i, m, coef, intercept, Z, j, full, 2)
        j += 2 * full
    while j < n_out:
        _units(x, i, m, coef, intercept, Z, j, min(full, n_out - j), 1)
        j += full


@kernel
def inner_product(x, i, coef):
    """The inner product of row i of x (any, n or more) and coef (1, n)."""
    z, n, full = tile(x, 1, PARTS), coef.shape[1], lanes(x)
    wide, whole = n - n % (PARTS * full), n - n % full
    for p in range(PARTS):
        z[0, p] = zero(x)
    for k in range(0, wide, PARTS * full):
        for p in range(PARTS):
            z[0, p] = fma(load(x, i, k + p * full), load(coef, 0, k + p * full), z[0, p])
    for k in range(wide, whole, full):
        z[0, 0] = fma(load(x, i, k), load(coef, 0, k), z[0, 0])
    if whole < n:
        z[0, 1] = fma(load_first(x, i, whole, n - whole), load_first(coef, 0, whole, n - whole), z[0, 1])
    return sum_lanes((z[0, 0] + z[0, 1]) + (z[0, 2] + z[0, 3]))


@kernel
def is_row_finite(X, i):
    """Whether none of the numbers of row i of X is infinite or NaN: for those, 0 times them is NaN."""
    n, s = X.shape[1], zero(X)
    whole = n - n % lanes(X)
    for k in range(0, whole, lanes(X)):
        s = fma(load(X, i, k), zero(X), s)
    if whole < n:
        s = fma(load_first(X, i, whole, n - whole), zero(X), s)
    return sum_lanes(s) == 0


@part
def activate_units(model, layer, Z, first, last):
    """Z = g(Z) in the units from first to last."""
    if layer[FORM] == RELU:
        for e in range(Z.shape[0]):
            for j in range(first, last, lanes(Z)):
                store(Z, e, j, maximum(load(Z, e, j), zero(Z)))
    activate(layer[VALUE], Z, Z[:0], first, last)


@part
def put_outputs(model, room, work, i, m, out):
    """out = A_L^T of the m rows from i on."""
    layers, last = model.layers, model.layers.shape[0] - 1
    for e in range(m):
        A_L = matrix(work, layers[last, A_OUT] + e * room.width, 1, layers[last, N_OUT])
        if model.is_softmax:
            softmax(A_L)
        else:
            activate(model.output, A_L, A_L[:0], 0, A_L.shape[1])
        for j in range(A_L.shape[1]):
            out[i + e, j] = A_L[0, j]


@kernel
def through(model, first, X, room, work, i, m, out):
    """out = A_L^T for the m rows of X, which are A_first^T, from i on."""
    layers, x, row = model.layers, X, i
    for l in range(first, layers.shape[0]):
        layer = layers[l]
        n_in, n_out = layer[N_IN], layer[N_OUT]
        intercept = matrix_at(X, layer[B], 1, n_out)
        Z = matrix(work, layer[A_OUT], m, room.width)
        if n_out == 1:
            coef = matrix_at(X, layer[W], 1, n_in)
            for e in range(m):
                Z[e, 0] = inner_product(x, row + e, coef) + intercept[0, 0]
        elif X.shape[0] == 1:  # in a group of its own, a row of several is as the others
            units_of_one(x, row, matrix_at(X, layer[W], n_in, n_out), intercept, Z, 0, n_out)
        else:
            units(x, row, m, matrix_at(X, layer[W], n_in, n_out), intercept, Z)
        activate_units(model, layer, Z, 0, n_out)
        x, row = Z, 0
    put_outputs(model, room, work, i, m, out)


@kernel
def through_together(model, X, room, team, rank, size, out):
    """`through` of a single row of X by a team: each has some units of every layer, as many vectors of them."""
    layers, work, x = model.layers, room.work[0], X
    for l in range(layers.shape[0]):
        layer, full = layers[l], lanes(X)
        n_in, n_out = layer[N_IN], layer[N_OUT]
        first, last = share((n_out + full - 1) // full, rank, size)
        first, last = first * full, min(last * full, n_out)
        intercept, Z = matrix_at(X, layer[B], 1, n_out), matrix(work, layer[A_OUT], 1, room.width)
        if n_out <= FEW_UNITS * full:  # by one
            first, last = 0, n_out if rank == 0 else 0
        if n_out == 1:
            if rank == 0:
                Z[0, 0] = inner_product(x, 0, matrix_at(X, layer[W], 1, n_in)) + intercept[0, 0]
        elif first < last:
            units_of_one(x, 0, matrix_at(X, layer[W], n_in, n_out), intercept, Z, first, last)
        if first < last:
            activate_units(model, layer, Z, first, last)
        barrier(team, size)
        x = Z
    if rank == 0:
        put_outputs(model, room, work, 0, 1, out)


def _contents(like):
    """The type of `Kept`, for arrays of this one's dtype."""
    vector, block = types.Array(like.dtype, 1, "C"), types.Array(like.dtype, 2, "C")
    whole, address = types.int64, types.int64
    model = types.NamedTuple([vector, types.int64[:, ::1], address, address, vector, types.boolean], Model)
    room = types.NamedTuple([block, whole, types.int64[::1]], Room)
    return types.NamedTuple([model, room, types.int64[::1], types.boolean[::1]], Kept)


kept_few = kept(_contents)


@entry(nogil=False)
def predict_at_once(address, X, out):
    """`predict_few` by this thread alone, at once.  Whether there is NaN or infinity in X."""
    few = kept_few(address, X)
    refused = False
    for i in range(X.shape[0]):
        refused |= not is_row_finite(X, i)
    for i in range(0, X.shape[0], few.room.rows.size):
        through(few.model, 0, X, few.room, few.room.work[0], i, min(few.room.rows.size, X.shape[0] - i), out)
    return refused


@entry(nogil=False)
def predict_few(keeps_gil, wanted, team, address, X, out):
    """`predict` of a few examples: W and B in the table of layers are the addresses of coefs and intercepts.

    They are shared out TOGETHER, so that what is done with an example does not depend on the number of threads.
    """
    gil = release_gil(keeps_gil)
    rank, size = roll_call(team, wanted)
    few = kept_few(address, X)
    refused = few.refused
    if rank < size and X.shape[0] == 1 and size > 1:
        if rank == 0:
            refused[0] = not is_row_finite(X, 0)
        through_together(few.model, X, few.room, team, rank, size, out)
    elif rank < size:
        for turn in range(size):
            owner = (rank + turn) % size
            first, last = share((X.shape[0] + TOGETHER - 1) // TOGETHER, owner, size)
            begin, end = take(team, 0, rank, size, owner, first, last, 1)
            while begin < end:
                stop = min(end * TOGETHER, X.shape[0])
                for i in range(begin * TOGETHER, stop):
                    refused[rank] |= not is_row_finite(X, i)
                for i in range(begin * TOGETHER, stop, few.room.rows.size):
                    m = min(few.room.rows.size, stop - i)
                    through(few.model, 0, X, few.room, few.room.work[rank], i, m, out)
                begin, end = take(team, 0, rank, size, owner, first, last, 1)
    take_gil(gil)


@entry(nogil=False)
def predict_few_team(function, keeps_gil, wanted, helpers, address, X, out):
    """`predict_few`, by its own address, on a team.  Whether there is NaN or infinity in X."""
    gil, size, few = release_gil(keeps_gil), claim(helpers, wanted), kept_few(address, X)
    team, refused = few.team, few.refused
    clear(team)
    for rank in range(refused.size):
        refused[rank] = False
    run_together(helpers, size, *packed(function, True, size, team, address, X, out))
    dismiss(helpers, size)
    take_gil(gil)
    for rank in range(refused.size):
        if refused[rank]:
            return True
    return False


@entry(nogil=False)
def predict_team(address, keeps_gil, wanted, team, helpers, model, X, room, out, refused):
    """One of these, by its address, on a team of up to `wanted` threads."""
    gil, size = release_gil(keeps_gil), claim(helpers, wanted)
    run_together(helpers, size, *packed(address, True, size, team, model, X, room, out, refused))
    dismiss(helpers, size)
    take_gil(gil)
