"""Steps with units along the lanes, and the weights transposed for a whole run: the way of small networks.

Examples are rows here: X, A, Z, dZ (m, n).  The products are those of `products.columns`, their sides changed:

    Z_l = A_{l-1} W_l^T + b_l           affine       of A_{l-1} and W_l^T, which has b_l as one more row
    dW_l^T = A_{l-1}^T dZ_l             backproject  of A_{l-1} and dZ_l
    dZ_{l-1} = dZ_l W_l * g'(Z_{l-1})   backproject  of dZ_l, transposed, and W_l

Nothing that belongs to the examples is transposed, no gradient is summed along the lanes, and a batch can be cut
anywhere.  The output layer has W_L as it is, and its Z_L, A_L and dZ_L are (n_L, m) as elsewhere, for the losses:

    Z_L = W_L A_{L-1}^T + b_L           vectors.affine   inner products of the rows of A_{L-1} and W_L
    dW_L = dZ_L A_{L-1}                 backproject      of dZ_L, transposed, and A_{L-1}
    dZ_{L-1} = dZ_L^T W_L * g'(Z_{L-1}) backproject      of dZ_L and W_L

With one hidden layer of relu and one output, all that is between X and Z_L takes another way: `products.signs`.

The batch is cut into shards.  Each worker has parameters and moments of its own, and updates all of them by the
gradients of all shards: that takes less than what others have updated takes to come.  Rows have room for whole vectors;
beyond the units of a layer, its weights are zeros, and stay so.
"""

from fastnn.kernels.laws.activations import KEPT, LINEAR, LOGISTIC, RELU
from fastnn.kernels.laws.optimizers import AVERAGE
from fastnn.kernels.laws.units import activate, sum_first, update
from fastnn.kernels.layouts.run import (
    A_IN,
    A_OUT,
    A_ROW,
    DROPPED,
    FORM,
    N_IN,
    N_OUT,
    ROW,
    SLOPE,
    VALUE,
    W_ROWS,
    W_T,
    B,
    W,
)
from fastnn.kernels.machine.host import COLS
from fastnn.kernels.machine.jit import inline, kernel, part
from fastnn.kernels.machine.simd import fma, lanes, load, load_first, matrix, prefetch, splat, store, tile, zero
from fastnn.kernels.machine.team import share
from fastnn.kernels.products import norms, signs, vectors
from fastnn.kernels.products.columns import affine, backproject, gather
from fastnn.kernels.products.dropout import drop_rows, key_of, masks_of_rows, scale_of
from fastnn.kernels.products.slopes import times_slope
from fastnn.kernels.run import loop
from fastnn.kernels.ways.columns import loss_and_output_gradient

#: Fields of a layer in the table, besides those of every way: W_T, where W_l^T is among a worker's own, and b_l behind
#: it (of the last layer, W_L as it is), with rows of so many numbers: ROW; W_ROWS, where W_l is, as it is, for the way
#: back; and A_ROW, the length of the rows of A_{l-1}.


@part
def whole(a, n):
    """How many numbers the vectors have that hold n of them."""
    return n + -n % lanes(a)


@part
def activations(work, layer, m):
    """A_{l-1} of m examples, which this layer takes: (m, n_in or more)."""
    return matrix(work, layer[A_IN], m, layer[A_ROW])


@part
def hidden_parameters(own, layer):
    """W_l^T (n_in, n_out or more) and b_l (1, n_out or more)."""
    n_in, row = layer[N_IN], layer[ROW]
    return matrix(own, layer[W_T], n_in, row), matrix(own, layer[W_T] + n_in * row, 1, row)


@part
def output_parameters(own, layer):
    """W_L (n_y, n_in or more) and b_L (1, n_y)."""
    n_y, row = layer[N_OUT], layer[ROW]
    return matrix(own, layer[W_T], n_y, row), matrix(own, layer[W_T] + n_y * row, 1, n_y)


@inline
def _output_strip(dZ, W, A, slope, dW, db, k, form, cols):
    w, g, b = tile(A, 1, COLS), tile(A, 1, COLS), tile(A, 1, COLS)
    for c in range(cols):
        w[0, c], g[0, c], b[0, c] = load(W, 0, k + c * lanes(A)), zero(A), zero(A)
    for i in range(A.shape[0]):
        dz = splat(A, dZ[0, i])
        for c in range(cols):
            a, s = load(A, i, k + c * lanes(A)), load(slope, i, k + c * lanes(A))
            g[0, c], da = fma(dz, a, g[0, c]), times_slope(dz * w[0, c], s, form)
            b[0, c] = b[0, c] + da
            store(A, i, k + c * lanes(A), da)
    for c in range(cols):
        store(dW, 0, k + c * lanes(A), g[0, c])
        store(db, 0, k + c * lanes(A), b[0, c])


@kernel
def one_output(dZ, W, A, slope, dW, db, n, form):
    """All that one output does to the n units below it: dW = dZ A, A becomes dA = W dZ * g'(Z), and db the sum of that.

    dZ (1, m), W, dW, db (1, n or more), A, slope (m, n or more): what tells the slope may be A.
    """
    across = COLS * lanes(A)
    wide = n - n % across
    for k in range(0, wide, across):
        _output_strip(dZ, W, A, slope, dW, db, k, form, COLS)
    for k in range(wide, n, lanes(A)):
        _output_strip(dZ, W, A, slope, dW, db, k, form, 1)


@inline
def _sum_strip(dZ, db, k, cols):
    # In four parts: each sum would wait for the last.
    s, m = tile(dZ, 4, COLS), dZ.shape[0]
    for c in range(cols):
        for r in range(4):
            s[r, c] = zero(dZ)
    for i in range(0, m - m % 4, 4):
        for r in range(4):
            for c in range(cols):
                s[r, c] = s[r, c] + load(dZ, i + r, k + c * lanes(dZ))
    for i in range(m - m % 4, m):
        for c in range(cols):
            s[0, c] = s[0, c] + load(dZ, i, k + c * lanes(dZ))
    for c in range(cols):
        store(db, 0, k + c * lanes(dZ), (s[0, c] + s[1, c]) + (s[2, c] + s[3, c]))


@kernel
def column_sums(dZ, db, n):
    """db = the sum of the rows of dZ.  dZ (m, n or more), db (1, n or more)."""
    across = COLS * lanes(dZ)
    wide = n - n % across
    for k in range(0, wide, across):
        _sum_strip(dZ, db, k, COLS)
    for k in range(wide, n, lanes(dZ)):
        _sum_strip(dZ, db, k, 1)


@part
def has_signs(layers):
    """Whether `signs` has what this network needs."""
    return layers.shape[0] == 2 and layers[0, FORM] == RELU and layers[1, N_OUT] == 1


@part
def signs_of(model, work, m):
    """Room for them (m, vectors): where A_1 would be."""
    layer = model.layers[1]
    return matrix(work, layer[A_IN], m, layer[ROW] // lanes(work))


@part
def slope_of(model, work, A, l):
    """What tells g'(Z_l): A_l, or where it is kept.  (m, n_l or more)"""
    return matrix(work, model.layers[l, SLOPE], A.shape[0], A.shape[1])


@part
def forward(model, batches, step, own, work, Z_L, rows, next_rows):
    """Z_L, without b_L, of these rows of X; and the next ones, of the next step, are asked for."""
    layers, n_x, n_hidden, m = model.layers, model.layers[0, N_IN], model.layers.shape[0] - 1, rows.size
    A = activations(work, layers[0], m)
    for i in range(m):
        row, next_row = rows[i], next_rows[min(i, next_rows.size - 1)]
        for k in range(0, n_x, lanes(work)):
            prefetch(batches.X, next_row, k)
            store(A, i, k, load_first(batches.X, row, k, n_x - k))
        prefetch(batches.X, next_row, n_x - 1)
        prefetch(batches.Y, next_row, 0)
    if layers[0, DROPPED]:
        drop_rows(A, A[:0], rows, key_of(step.seed, step.of_all, 0), layers[0, DROPPED], n_x)
    if has_signs(layers):
        M = matrix(work, layers[0, SLOPE], m, layers[0, ROW])
        if layers[1, DROPPED]:
            masks_of_rows(M, rows, key_of(step.seed, step.of_all, 1), layers[1, DROPPED])
        signs.forward(
            A,
            matrix(own, layers[0, W_T], n_x + 1, layers[0, ROW]),
            output_parameters(own, layers[1])[0],
            M if layers[1, DROPPED] else M[:0],
            signs_of(model, work, m),
            Z_L,
            whole(work, layers[0, N_OUT]),
        )
        return
    for l in range(n_hidden):
        layer, n_out = layers[l], layers[l, N_OUT]
        W_T_and_b, Z = matrix(own, layer[W_T], layer[N_IN] + 1, layer[ROW]), activations(work, layers[l + 1], m)
        affine(A, own[:0], W_T_and_b, Z, 0, whole(work, n_out), layer[FORM] == RELU)
        D = slope_of(model, work, Z, l)
        activate(layer[VALUE], Z, D if layer[FORM] == KEPT else D[:0], 0, whole(work, n_out))
        # Of the units that fill a vector up, z is 0, but g(z) need not be.
        if layer[FORM] == LOGISTIC or layer[FORM] == KEPT:
            for i in range(m):
                for j in range(n_out, whole(work, n_out)):
                    Z[i, j] = work.dtype.type(0)
                    D[i, j] = work.dtype.type(0)
        if layers[l + 1, DROPPED]:
            drop_rows(Z, D, rows, key_of(step.seed, step.of_all, l + 1), layers[l + 1, DROPPED], n_out)
        A = Z
    vectors.affine(A, own[:0], output_parameters(own, layers[n_hidden])[0], Z_L, 0, m, False)


@part
def back(model, own, work, dZ, G, m):
    """The gradient of the sum of the losses of m examples, from dZ_L."""
    layers, n_hidden = model.layers, model.layers.shape[0] - 1
    top = layers[n_hidden]
    W, _ = output_parameters(own, top)
    dW, db = output_parameters(G, top)
    none = matrix(work, 0, 0, 0)
    for j in range(top[N_OUT]):
        db[0, j] = sum_first(dZ[j:], m)
    if has_signs(layers):
        start, rows, row = layers[0, W_T], layers[0, N_IN] + 1, layers[0, ROW]
        signs.back(
            dZ,
            activations(work, layers[0], m),
            matrix(own, start, rows, row),
            W,
            signs_of(model, work, m),
            matrix(G, start, rows, row),
            dW,
            scale_of(work, layers[1, DROPPED]),
            whole(work, layers[0, N_OUT]),
        )
        return
    if n_hidden == 0:
        backproject(dZ, True, activations(work, top, m), none, dW, dW, 0, whole(work, top[N_IN]), LINEAR)
    for l in range(n_hidden - 1, -1, -1):
        # A_l becomes dZ_l.  What still takes A_l as it was comes first.
        layer, above, n = layers[l], layers[l + 1], whole(work, layers[l, N_OUT])
        A, (dW_T, db) = activations(work, above, m), hidden_parameters(G, layer)
        slope = slope_of(model, work, A, l)
        if l == n_hidden - 1 and top[N_OUT] == 1:
            one_output(dZ, W, A, slope, dW, db, n, layer[FORM])
        elif l == n_hidden - 1:
            backproject(dZ, True, A, none, dW, dW, 0, n, LINEAR)
            backproject(dZ, False, W, none, slope, A, 0, n, layer[FORM])
            column_sums(A, db, n)
        else:
            W = matrix(own, above[W_ROWS], above[N_OUT], n)
            backproject(dZ, True, W, none, slope, A, 0, n, layer[FORM])
            column_sums(A, db, n)
        backproject(activations(work, layer, m), False, A, none, dW_T, dW_T, 0, n, LINEAR)
        dZ = A


@kernel
def propagate(run, step, own, rows, next_rows, s, G):
    """Forward propagation, the loss, and back to the gradient of the examples of shard s; returns their loss."""
    model, batches, room = run.model, run.batches, run.room
    work, m, top = room.work[s], rows.size, model.layers[model.layers.shape[0] - 1]
    n_y, b = top[N_OUT], output_parameters(own, top)[1]
    Z_L, Y_T = matrix(work, top[A_OUT], n_y, room.width), matrix(work, room.Y_T, n_y, room.width)
    forward(model, batches, step, own, work, Z_L, rows, next_rows)
    for j in range(n_y):
        z, b_j = Z_L[j], b[0, j]
        for i in range(m):
            z[i] += b_j
    if batches.Y.shape[1] == n_y:
        for j in range(n_y):
            for i in range(m):
                Y_T[j, i] = batches.Y[rows[i], j]
    loss_and_output_gradient(model, batches, room, rows, work, 0, m)
    back(model, own, work, Z_L, G, m)
    return sum_first(matrix(work, room.losses, 1, room.width), m)


@part
def copy_parameters(layers, flat, own, inwards):
    """Parameters, or one of their moments: flat (n_params) into own, where the weights are transposed; or back."""
    for l in range(layers.shape[0]):
        layer, is_last = layers[l], l == layers.shape[0] - 1
        W_l, b_l = matrix(flat, layer[W], layer[N_OUT], layer[N_IN]), matrix(flat, layer[B], 1, layer[N_OUT])
        own_W, own_b = output_parameters(own, layer) if is_last else hidden_parameters(own, layer)
        for j in range(layer[N_OUT]):
            for k in range(layer[N_IN]):
                row, col = (j, k) if is_last else (k, j)
                if inwards:
                    own_W[row, col] = W_l[j, k]
                else:
                    W_l[j, k] = own_W[row, col]
        for j in range(layer[N_OUT]):
            if inwards:
                own_b[0, j] = b_l[0, j]
            else:
                b_l[0, j] = own_b[0, j]


@kernel
def copy_all(model, rule, own, n, inwards):
    """Parameters and moments: there are n numbers of each in own, and one behind the other."""
    n_params = model.theta.size
    copy_parameters(model.layers, model.theta, own, inwards)
    for i in range(rule.moments.size // n_params):
        copy_parameters(model.layers, rule.moments[i * n_params :], own[(i + 1) * n :], inwards)


@part
def copy_rows(model, room, own):
    """W_l of the layers between hidden layers, as it is, for the way back."""
    for l in range(1, model.layers.shape[0] - 1):
        layer = model.layers[l]
        W_l = matrix(own, layer[W_ROWS], layer[ROW], whole(own, layer[N_IN]))
        gather(hidden_parameters(own, layer)[0], room.rows, W_l, W_l, 0, layer[N_IN], False, False)
        for j in range(layer[N_OUT]):
            for k in range(layer[N_IN], W_l.shape[1]):
                W_l[j, k] = own.dtype.type(0)


@kernel
def update_all(run, step, own, rank):
    """All parameters of this worker, by the gradients of all shards."""
    model, room, rule = run.model, run.room, run.rule
    n, n_moments, layers = room.G.shape[1], rule.moments.size // model.theta.size, model.layers
    theta, moments = matrix(own, 0, 1, n), matrix(own, n, n_moments, n)
    squares = room.squares if rank == 0 else room.squares[:0]
    G, clip = gradients(room, step), clip_of(run, step, rank)
    if clip > 0:
        update(rule, theta, G, moments, squares, room.ranges, 0, room.ranges.shape[0], step, clip, False)
    if rule.max_norm > 0:
        for l in range(layers.shape[0] - 1):
            W_T, room_for_squares = hidden_parameters(own, layers[l])[0], room.own_squares[rank, : layers[l, ROW]]
            average = hidden_parameters(own[n_moments * n :], layers[l])[0]
            if step.numbers[AVERAGE] <= 0:
                average = average[:0]
            norms.constrain_columns(W_T, rule.max_norm, room_for_squares, average, step.numbers[AVERAGE])
    copy_rows(model, room, own)


@kernel
def clip_of(run, step, rank):
    """What the gradient is multiplied by, which every worker finds out for itself."""
    room, rule, G = run.room, run.rule, gradients(run.room, step)
    squares = room.own_squares[rank, :1]
    if rule.clip_norm <= 0:
        return G.dtype.type(1)
    squares[0] = G.dtype.type(0)
    for r in range(room.ranges.shape[0]):
        squares[0] += norms.sum_of_squares(G, room.ranges[r, 0], room.ranges[r, 1])
    if rank == 0:
        room.gradient_squares[0] = squares[0]
    return norms.clip(squares, step.mean_factor, rule.clip_norm)


@part
def gradients(room, step):
    """G of this step.  Workers may be a step apart, and who is ahead must not write what others still read."""
    n_shards = room.work.shape[0]
    return room.G[step.number % 2 * n_shards : (step.number % 2 + 1) * n_shards]


@part
def loss_of_shard(room, step):
    """Where the sum of the losses of a shard is, in this step."""
    return room.losses + 2 * room.width + step.number % 2


@part
def begin(run, worker):
    """Parameters and moments of this worker's own."""
    own = run.room.own[worker.rank]
    copy_all(run.model, run.rule, own, run.room.G.shape[1], True)
    copy_rows(run.model, run.room, own)


@part
def n_phases(run):
    """The gradients of the shards, and the update."""
    return 2


@part
def part_of(run, step, phase, rank, size):
    """The shards are shared out; every worker updates its own parameters."""
    first, last = share(run.room.work.shape[0], rank, size)
    return (first, last, 1) if phase == 0 else (0, 1, 0)


@part
def is_private(phase):
    """The update."""
    return phase == 1


@kernel
def work(run, worker, step, phase, begin, end):
    """The gradients of some shards; or the update."""
    own, room, n_shards = run.room.own[worker.rank], run.room, run.room.work.shape[0]
    if phase == 1:
        update_all(run, step, own, worker.rank)
        return
    G = gradients(room, step)
    for s in range(begin, end):
        first, last = share(step.rows.size, s, n_shards)
        room.work[s, loss_of_shard(room, step)] = propagate(
            run, step, own, step.rows[first:last], step.next_rows[min(first, step.next_rows.size - 1) :], s, G[s]
        )


@part
def loss(run, worker, step):
    """The sum of the losses of all shards."""
    total = run.model.theta.dtype.type(0)
    for s in range(run.room.work.shape[0]):
        total += run.room.work[s, loss_of_shard(run.room, step)]
    return total


@part
def end(run, worker, costs):
    """The parameters of one worker are those of all."""
    if worker.rank == 0:
        copy_all(run.model, run.rule, run.room.own[0], run.room.G.shape[1], False)


train = loop("by_units", begin, n_phases, part_of, is_private, work, loss, end)
