"""A network within other compiled code: one example or some, by whoever calls, with room of its own on his stack.

Nothing is shared but what is read, so that any number of threads may call.  Who calls knows an address, and at it the
words of a network: addresses of machine code and of records, and what there is to check.  He is compiled without the
kernels here, and need not be compiled anew where they change; only the words keep their places.

First, if columns of a table or scalings come before the network:

    x_k = min(max((x_k - shift_k) / divisor_k + offset_k, low_k), high_k)     stage by stage

then `predict.through`, and what the model makes of A_L; and the other way, for an output a of the model,

    dA_{l-1} = W_l^T dZ_l     dZ_{l-1} = dA_{l-1} * g'(Z_{l-1})     da/dx_k = dA_0,k / divisor_k

A model of tables has several networks, whose outputs are averaged, and pieces of each column before them.  The sum of
its pieces, each times a row of W_1^T, is a linear spline of the column, whose values at the knots are known beforehand:

    Z_1 = b_1 + sum over k of s(x_k) W_1^T[k] + (1 - f) P_k[i] + f P_k[i + 1],    f = (x_k - t_i) / (t_{i+1} - t_i)

between the knots t_i and t_{i+1} of column k.  So the matrix W_1^T here has the rows of the columns, then the values at
all knots, and b_1 comes behind it.
"""

import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastnn.kernels.laws.activations import KEPT
from fastnn.kernels.laws.elementary import exp
from fastnn.kernels.laws.units import activate
from fastnn.kernels.layouts.embedded import (
    BY,
    CEILING,
    DIVISOR,
    FLOOR,
    HIGH,
    IDENTITY,
    INSTEAD,
    LEAST,
    LOGISTIC,
    LOW,
    MOST,
    N_CATEGORIES,
    N_FEATURES,
    N_OUTPUTS,
    NETWORK,
    OFFSET,
    PLACE,
    PREDICT,
    SHIFT,
    SHIFT_REST,
    SOFTMAX,
    TO,
)
from fastnn.kernels.layouts.run import (
    A_OUT,
    FORM,
    LOSS,
    N_IN,
    N_OUT,
    PENALTY,
    SLOPE,
    VALUE,
    W_ROWS,
    B,
    Batches,
    Model,
    Rule,
    Run,
    W,
)
from fastnn.kernels.machine.jit import call, entry, kernel, part, release_gil, take_gil
from fastnn.kernels.machine.records import contents
from fastnn.kernels.machine.simd import array_at, lanes, load, matrix, matrix_at, store
from fastnn.kernels.machine.team import clear
from fastnn.kernels.predict import activate_units, inner_product, through, units, units_of_one
from fastnn.kernels.products.columns import transpose
from fastnn.kernels.products.slopes import times_slope
from fastnn.kernels.products.sparse import product
from fastnn.kernels.products.vectors import softmax


@intrinsic
def on_stack(typingctx, like, rows, cols):
    """Room (rows, cols) for numbers of the kind of `like`, until the caller returns.  Not in a loop."""
    kind = types.Array(getattr(like, "dtype", like), 2, "C")

    def codegen(context, builder, sig, args):
        rows, cols = (
            context.cast(builder, value, from_type, types.intp)
            for value, from_type in zip(args[1:], sig.args[1:], strict=True)
        )
        number = context.get_data_type(kind.dtype)
        place = builder.alloca(number, builder.mul(rows, cols))
        place.align = 64
        return array_at(context, builder, kind, place, rows, cols)

    return kind(like, rows, cols), codegen


@intrinsic
def word(typingctx, network, number):
    """One of the words of a network, by its address."""

    def codegen(context, builder, sig, args):
        words = builder.inttoptr(args[0], context.get_value_type(types.int64).as_pointer())
        return builder.load(builder.gep(words, [args[1]]))

    return types.int64(network, types.int64), codegen


def _seen_as(n_dimensions):
    """An intrinsic: a C-contiguous array as one of so many dimensions, the first of which are 1; it costs nothing."""

    @intrinsic
    def seen_as(typingctx, array):
        kind = types.Array(array.dtype, n_dimensions, "C")

        def codegen(context, builder, sig, args):
            source = context.make_array(array)(context, builder, args[0])
            shape = [context.get_constant(types.intp, 1)] * (n_dimensions - array.ndim)
            return array_at(context, builder, kind, source.data, *shape, *cgutils.unpack_tuple(builder, source.shape))

        return kind(array), codegen

    return seen_as


as_block, as_blocks = _seen_as(2), _seen_as(3)


@kernel
def encode(net, X, i, m, A_0):
    """The matrix A_0 (m, n_x or more) of the m rows of X (any, n_columns) from i on."""
    columns, scalings, zero, one = net.columns, net.scalings, X.dtype.type(0), X.dtype.type(1)
    for e in range(m):
        for c in range(X.shape[1]):
            x, place = X[i + e, c], c
            if columns.shape[0]:
                place = columns[c, PLACE]
                n_categories = columns[c, N_CATEGORIES]
                for k in range(n_categories):
                    A_0[e, place + k] = one if x == X.dtype.type(k) else zero
                if n_categories:
                    continue
            A_0[e, place] = x
        for s in range(scalings.shape[0]):
            for k in range(scalings.shape[1]):
                by, x = scalings[s, k], A_0[e, k]
                x = by[INSTEAD] if x - x != zero else x  # of infinity, too
                x = by[LEAST] if x < by[LEAST] else (by[MOST] if x > by[MOST] else x)
                x = ((x - by[SHIFT]) - by[SHIFT_REST]) / by[DIVISOR] + by[OFFSET]
                A_0[e, k] = by[LOW] if x < by[LOW] else (by[HIGH] if x > by[HIGH] else x)


@part
def piece_of(knots, first, end, x):
    """The last of the knots from `first` to the last but one before `end` that is not above x, or `first`."""
    k, above = first, end - 1
    while above - k > 1:
        middle = (k + above) // 2
        if knots[middle] <= x:
            k = middle
        else:
            above = middle
    return k


@kernel
def expand(pieces, A_0, m, numbers, rows):
    """The terms of Z_1, for m rows of A_0 (m, n_columns): numbers (m, n_terms) times these rows of W_1^T and b_1."""
    zero, one, knots, n_columns = A_0.dtype.type(0), A_0.dtype.type(1), pieces.knots, pieces.centers.size
    most = A_0.dtype.type(1e9)  # s(z) is that of it beyond, and no square overflows
    for e in range(m):
        q = n_columns
        for c in range(n_columns):
            x, first, end = A_0[e, c], pieces.ends[c], pieces.ends[c + 1]
            z = pieces.scales[c] * (x - pieces.centers[c])
            z = -most if z < -most else (most if z > most else z)
            third = z / A_0.dtype.type(3)
            numbers[e, c], rows[e, c] = z / np.sqrt(one + third * third), c
            if first < end:
                k = piece_of(knots, first, end, x)
                f = one if x >= knots[k + 1] else zero
                if knots[k] < x < knots[k + 1]:
                    f = (x - knots[k]) / (knots[k + 1] - knots[k])
                numbers[e, q], rows[e, q] = one - f, n_columns + k
                numbers[e, q + 1], rows[e, q + 1] = f, n_columns + k + 1
                q += 2
        numbers[e, q], rows[e, q] = one, n_columns + knots.size


@kernel
def add_terms(layer, numbers, rows, m, Z):
    """Z_1 (m, n_1 or more), by the terms of each example."""
    coef = matrix_at(Z, layer[W], layer[N_IN] + 1, layer[N_OUT])
    for e in range(m):
        product(numbers[e], rows[e], coef, Z, e)


@kernel
def back_to_matrix(pieces, layer, A_0, m, dZ, dA_0):
    """dA_0 (m, n_columns or more) = the derivative by the matrix A_0, of that by Z_1, dZ (m, n_1 or more).

    On a knot it is that of the piece above, which is 0 on the last one, but for s.
    """
    coef, one, knots, n_columns = (
        matrix_at(dZ, layer[W], layer[N_IN] + 1, layer[N_OUT]),
        dZ.dtype.type(1),
        pieces.knots,
        pieces.centers.size,
    )
    for e in range(m):
        for c in range(n_columns):
            x, first, end = A_0[e, c], pieces.ends[c], pieces.ends[c + 1]
            third = pieces.scales[c] * (x - pieces.centers[c]) / dZ.dtype.type(3)
            r = one / (one + third * third)
            da = pieces.scales[c] * (r * np.sqrt(r)) * inner_product(dZ, e, coef[c : c + 1])
            if first < end:
                k = piece_of(knots, first, end, x)
                if knots[k] <= x < knots[k + 1]:
                    row = n_columns + k
                    below, above = coef[row : row + 1], coef[row + 1 : row + 2]
                    rise = inner_product(dZ, e, above) - inner_product(dZ, e, below)
                    da += rise / (knots[k + 1] - knots[k])
            dA_0[e, c] = da


@part
def member_of(net, p):
    """The network of one member."""
    model, n_layers = net.model, net.model.layers.shape[0] // net.n_members
    layers = model.layers[p * n_layers : (p + 1) * n_layers]
    return Model(model.theta, layers, model.output, model.loss, model.constants, model.is_softmax)


@part
def settle(net, out, i, m, n_y):
    """What the model makes of the sums of its members' outputs, in the m rows of out from i on."""
    n_members, by = out.dtype.type(net.n_members), net.outcome
    for e in range(i, i + m):
        for k in range(n_y):
            a = out[e, k]
            if net.n_members > 1:
                a /= n_members
            if by.shape[0]:
                a = a * by[BY, k] + by[TO, k]
                a = by[FLOOR, k] if a < by[FLOOR, k] else (by[CEILING, k] if a > by[CEILING, k] else a)
            out[e, k] = a


@part
def settle_slopes(net, sums, i, m, first, out):
    """The same of sums of derivatives: out[i ..., j - first] of those of output j; sums (m, n_y) are as `settle` has.

    0 where the outcome is cut off.
    """
    n_members, by = out.dtype.type(net.n_members), net.outcome
    for e in range(m):
        for number in range(out.shape[1]):
            slope, j = out.dtype.type(1) / n_members, number + first
            if by.shape[0]:
                a = sums[e, j] / n_members * by[BY, j] + by[TO, j]
                slope *= out.dtype.type(0) if a < by[FLOOR, j] or a > by[CEILING, j] else by[BY, j]
            for c in range(out.shape[2]):
                out[i + e, number, c] *= slope


@part
def sort(out, i, n):
    """Sort the first n numbers of row i."""
    for j in range(1, n):
        a, k = out[i, j], j
        while k > 0 and out[i, k - 1] > a:
            out[i, k] = out[i, k - 1]
            k -= 1
        out[i, k] = a


@entry(no_cpython_wrapper=True)
def predict(net, X, out):
    """What the model predicts for each row of X (m, n_features): out (m, n_outputs)."""
    room, pieces, n_layers = net.room, net.pieces, net.model.layers.shape[0]
    n_y, rows, has_pieces = net.model.layers[n_layers - 1, N_OUT], room.rows.size, net.pieces.n_terms > 0
    is_encoded, is_settled = net.scalings.shape[0] > 0, net.n_members > 1 or net.outcome.shape[0] > 0
    work, A_0 = on_stack(X, 1, net.size)[0], on_stack(X, rows if is_encoded else 0, net.scalings.shape[1])
    others = on_stack(X, rows if net.n_members > 1 else 0, n_y)
    numbers = on_stack(X, rows if has_pieces else 0, pieces.n_terms)
    terms = on_stack(np.int32(0), rows if has_pieces else 0, pieces.n_terms)
    for i in range(0, X.shape[0], rows):
        m = min(rows, X.shape[0] - i)
        if is_encoded:
            encode(net, X, i, m, A_0)
        if has_pieces:
            expand(pieces, A_0, m, numbers, terms)
        for p in range(net.n_members):
            model, first, x, row = member_of(net, p), 0, X, i
            if has_pieces:
                layer = model.layers[0]
                A_1 = matrix(work, layer[A_OUT], rows, room.width)
                add_terms(layer, numbers, terms, m, A_1)
                activate_units(model, layer, A_1[:m], 0, layer[N_OUT])
                first, x, row = 1, A_1, 0
            elif is_encoded:
                x, row = A_0, 0
            x = x[:1] if X.shape[0] == 1 else x  # one by itself takes another way
            into = out[i - row : i + m] if p == 0 else others  # where there are several, the row is 0
            through(model, first, x, room, work, row, m, into)
            if p > 0:
                for e in range(m):
                    for k in range(n_y):
                        out[i + e, k] += others[e, k]
        if is_settled:
            settle(net, out, i, m, n_y)
        if net.has_complement:
            for e in range(i, i + m):
                out[e, 1] = out[e, 0]
                out[e, 0] = X.dtype.type(1) - out[e, 1]
        if net.is_sorted:
            for e in range(i, i + m):
                sort(out, e, n_y)


@kernel
def forward_to_go_back(net, model, X, i, numbers, terms, m, work):
    """A_l of all hidden layers of a member, D_l = g'(Z_l) where it is kept, and Z_L.

    For m rows of X from i on; or, where there are pieces, of these terms.
    """
    layers, width, x, row = model.layers, net.room.width, X, i
    for l in range(layers.shape[0]):
        layer = layers[l]
        n_in, n_out = layer[N_IN], layer[N_OUT]
        intercept = matrix_at(X, layer[B], 1, n_out)
        A, D = matrix(work, layer[SLOPE], m, width), matrix(work, layer[SLOPE] + m * width, m, width)
        if l == 0 and net.pieces.n_terms > 0:
            add_terms(layer, numbers, terms, m, A)
        elif n_out == 1:
            for e in range(m):
                A[e, 0] = inner_product(x, row + e, matrix_at(X, layer[W], 1, n_in)) + intercept[0, 0]
        elif X.shape[0] == 1:
            units_of_one(x, row, matrix_at(X, layer[W], n_in, n_out), intercept, A, 0, n_out)
        else:
            units(x, row, m, matrix_at(X, layer[W], n_in, n_out), intercept, A)
        if layer[FORM] == KEPT:
            activate(layer[VALUE], A, D, 0, n_out)
        else:
            activate_units(model, layer, A, 0, n_out)
        x, row = A, 0


@part
def output_slope(net, z, a, j, is_raw, dz):
    """dz (n_y) = the derivative of output j of an example by z (n_y), its Z_L; a (1, n_y) gets A_L, if need be.

    Of probabilities near 1 nothing is lost: 1 - a is formed by e^-|z|, or by the others.
    """
    zero, one = dz.dtype.type(0), dz.dtype.type(1)
    for k in range(dz.size):
        a[0, k], dz[k] = z[k], zero
    if net.is_sorted:  # output j is the one that has j before it
        for k in range(z.size):
            n_before = 0
            for other in range(z.size):
                n_before += z[other] < z[k] or (z[other] == z[k] and other < k)
            if n_before == j:
                dz[k] = one
        return
    dz[j] = one
    if is_raw or net.output_form == IDENTITY:
        return
    if net.output_form == SOFTMAX:
        softmax(a)
        others = zero
        for k in range(z.size):
            if k != j:
                others += a[0, k]
                dz[k] = -a[0, j] * a[0, k]
        dz[j] = a[0, j] * others
    elif net.output_form == LOGISTIC:
        power = exp(-abs(z[j]))
        dz[j] = power / ((one + power) * (one + power))
    else:
        dz[j] = exp(z[j])


@part
def back(net, model, X, A_0, m, work, dZ, dA):
    """da/dA_0 (m, n_x or more), of dZ_L (m, n_y) in dZ.  It and dA (m, widest) take turns; returns which has it."""
    layers, width, has_pieces = model.layers, net.room.width, net.pieces.n_terms > 0
    for l in range(layers.shape[0] - 1, 0 if has_pieces else -1, -1):
        n_in, n_out = layers[l, N_IN], layers[l, N_OUT]
        W_l, nothing = matrix_at(X, layers[l, W_ROWS], n_out, n_in), net.nothing[:, :n_in]
        if X.shape[0] == 1:
            units_of_one(dZ, 0, W_l, nothing, dA, 0, n_in)
        else:
            units(dZ, 0, m, W_l, nothing, dA)
        if l > 0:
            below, form = layers[l - 1], layers[l - 1, FORM]
            kept = matrix(work, below[SLOPE] + (m * width if form == KEPT else 0), m, width)
            for e in range(m):
                for k in range(0, n_in, lanes(X)):
                    store(dA, e, k, times_slope(load(dA, e, k), load(kept, e, k), form))
        dZ, dA = dA, dZ
    if has_pieces:
        back_to_matrix(net.pieces, layers[0], A_0, m, dZ, dA)
        dZ, dA = dA, dZ
    return dZ


@kernel
def to_columns(net, X, i, m, dA_0, out, j, is_added):
    """out[i ..., j] (m, n_features) = the derivative by the numbers of the columns, of that by the matrix.

    Or it is added to that of other members.  It is 0 where a number is missing or is cut off; NaN for a category, which
    has none.
    """
    columns, scalings, zero = net.columns, net.scalings, X.dtype.type(0)
    for e in range(m):
        for c in range(X.shape[1]):
            k, x, is_number = c, X[i + e, c], True
            if columns.shape[0]:
                k, is_number = columns[c, PLACE], columns[c, N_CATEGORIES] == 0
            da = dA_0[e, k]
            for s in range(scalings.shape[0]):
                by = scalings[s, k]
                is_cut = x - x != zero or x < by[LEAST] or x > by[MOST]
                x = ((x - by[SHIFT]) - by[SHIFT_REST]) / by[DIVISOR] + by[OFFSET]
                da = zero if is_cut or x < by[LOW] or x > by[HIGH] else da / by[DIVISOR]
            da = da if is_number else zero / zero
            out[i + e, j, c] = out[i + e, j, c] + da if is_added else da


@entry(no_cpython_wrapper=True)
def input_gradient(net, X, first, is_raw, out):
    """The derivatives of the outputs of the model, from `first` on, by the numbers of each row of X (m, n_features).

    out (m, n_outputs - first, n_features).  If raw, those of the mean of the members' Z_L, and what is made of numbers.
    """
    pieces, width, rows = net.pieces, net.room.width, min(net.gradient_rows, X.shape[0])
    last, zero = net.model.layers[net.model.layers.shape[0] - 1], X.dtype.type(0)
    n_y, is_encoded, has_pieces = last[N_OUT], net.scalings.shape[0] > 0, net.pieces.n_terms > 0
    work, A_0, turns = (
        on_stack(X, 1, net.gradient_size)[0],
        on_stack(X, rows if is_encoded else 0, net.scalings.shape[1]),
        on_stack(X, 2 * rows, width),
    )
    numbers = on_stack(X, rows if has_pieces else 0, pieces.n_terms)
    terms = on_stack(np.int32(0), rows if has_pieces else 0, pieces.n_terms)
    a, dz, sums = on_stack(X, 1, n_y), on_stack(X, 1, n_y), on_stack(X, rows, n_y)
    for i in range(0, X.shape[0], rows):
        m, x, row = min(rows, X.shape[0] - i), X, i
        if is_encoded:
            encode(net, X, i, m, A_0)
            x, row = A_0[:1] if X.shape[0] == 1 else A_0, 0
        if has_pieces:
            expand(pieces, A_0, m, numbers, terms)
        for e in range(m):
            for k in range(n_y):
                sums[e, k] = zero
        for p in range(net.n_members):
            model = member_of(net, p)
            forward_to_go_back(net, model, x, row, numbers, terms, m, work)
            Z_L = matrix(work, last[SLOPE], m, width)
            for e in range(m):
                for k in range(n_y):
                    sums[e, k] += Z_L[e, k]
            for number in range(out.shape[1]):
                j = number + first
                for e in range(m):
                    output_slope(net, Z_L[e, :n_y], a, 0 if net.has_complement else j, is_raw, dz[0])
                    for k in range(n_y):
                        turns[e, k] = -dz[0, k] if net.has_complement and j == 0 else dz[0, k]
                dA_0 = back(net, model, X, A_0, m, work, turns[:rows], turns[rows:])
                to_columns(net, X, i, m, dA_0, out, number, p > 0)
        if net.n_members > 1 or net.outcome.shape[0] > 0:
            settle_slopes(net, sums, i, m, first, out)


@entry(no_cpython_wrapper=True)
def train_step(net, X, Y, told):
    """A step of training on the rows of X (m, n_x) and Y (m, n_targets), of which there are no more than have room.

    told (1, 1): the mean loss, penalty included, as it was before the step.
    """
    m, batches, rule, number = X.shape[0], net.run.batches, net.run.rule, net.done[0]
    at = min(number, net.numbers.shape[0] - 1)
    run = Run(
        contents(net.run.model),
        Batches(X, Y, batches.weights, net.order[:m], 0, m, 0, m, batches.seed, batches.number + number),
        contents(net.run.room),
        Rule(
            rule.update,
            rule.advance,
            net.numbers[at : at + 1],
            rule.constants,
            rule.moments,
            rule.clip_norm,
            rule.max_norm,
        ),
    )
    clear(net.team)
    call(net.train, True, 1, net.team, run, net.costs)
    net.done[0] = number + 1
    theta, theta_T, layers = net.run.model.theta, net.theta_T, net.run.model.layers
    for l in range(layers.shape[0]):
        n_in, n_out, b = layers[l, N_IN], layers[l, N_OUT], layers[l, B]
        transpose(matrix(theta, layers[l, W], n_out, n_in), matrix(theta_T, layers[l, W], n_in, n_out), 0, n_in)
        for j in range(b, b + n_out):
            theta_T[j] = theta[j]
    told[0, 0] = net.costs[0, LOSS] * net.scale[0] + net.costs[0, PENALTY]


@entry(nogil=False)
def call_predict(keeps_gil, code, network, X, out):
    """`predict`, from Python."""
    gil = release_gil(keeps_gil)
    call(code, network, X, out)
    take_gil(gil)


@entry(nogil=False)
def call_input_gradient(keeps_gil, code, network, X, first, is_raw, out):
    """`input_gradient`, from Python."""
    gil = release_gil(keeps_gil)
    call(code, network, X, first, is_raw, out)
    take_gil(gil)


@entry(nogil=False)
def call_train_step(code, trained, X, Y, told):
    """`train_step`, from Python."""
    call(code, trained, X, Y, told)


@intrinsic
def number_at(typingctx, numbers, k):
    """One of the numbers that C hands over."""

    def codegen(context, builder, sig, args):
        return builder.load(builder.gep(args[0], [args[1]]))

    return numbers.dtype(numbers, types.int64), codegen


def _number_for_c(name, number):
    def number_for_c(n, x, network):
        """The last number of what is predicted for the n numbers at x; NaN where there is another number of them."""
        n_features, n_outputs = word(network, N_FEATURES), word(network, N_OUTPUTS)
        if n != n_features:
            return np.nan
        X, out = on_stack(number(0), 1, n_features), on_stack(number(0), 1, n_outputs)
        for k in range(n_features):
            X[0, k] = number(number_at(x, k))
        call(word(network, PREDICT), word(network, NETWORK), X, out)
        return np.float64(out[0, n_outputs - 1])

    number_for_c.__name__ = number_for_c.__qualname__ = f"number_for_c_{name}"
    return entry(number_for_c, no_cpython_wrapper=True)


number_for_c_single, number_for_c_double = _number_for_c("single", np.float32), _number_for_c("double", np.float64)
