"""Steps of a small network: the lanes run along the units, and its weights are kept transposed for a whole run.

Examples are rows here, as in ``few``: X, A, Z, dZ (m, n).  The products are those of ``layers``, their sides changed:

    Z_l = A_{l-1} W_l^T + b_l           affine       of A_{l-1} and W_l^T, which has b_l as one more row
    dW_l^T = A_{l-1}^T dZ_l             backproject  of A_{l-1} and dZ_l
    dZ_{l-1} = dZ_l W_l * g'(A_{l-1})   backproject  of dZ_l, flipped, and W_l

Nothing that belongs to the examples is transposed, no gradient is summed along the lanes, and a batch can be cut
anywhere.  The output layer has W_L as it is, and its Z_L, A_L and dZ_L are (n_L, m) as elsewhere, for the losses:

    Z_L = W_L A_{L-1}^T + b_L           few.affine   inner products of the rows of A_{L-1} and W_L
    dW_L = dZ_L A_{L-1}                 backproject  of dZ_L, flipped, and A_{L-1}
    dZ_{L-1} = dZ_L^T W_L * g'(A_{L-1}) backproject  of dZ_L and W_L

With one hidden layer of relu and one output, all that is between X and Z_L takes another way: ``signs``.

The batch is cut into shards, as in ``epoch``.  Each member of a team has parameters and moments of its own, and updates
all of them by the gradients of all shards: that takes less than what others have updated takes to come.
Rows have room for whole vectors; beyond the units of a layer, its weights are zeros, and stay so.
"""
from fastnn.kernels import few, signs
from fastnn.kernels.activations import IDENTITY, LOGISTIC, RELU, activate, times_derivative
from fastnn.kernels.epoch import (
    A_IN,
    A_OUT,
    A_ROW,
    ACTIVATION,
    N_IN,
    N_OUT,
    W_ROWS,
    W_T,
    W_T_ROW,
    B,
    W,
    minibatch,
    penalty,
    rule_of,
    turn_back,
)
from fastnn.kernels.jit import entry, inline, kernel, part
from fastnn.kernels.layers import affine, backproject, gather
from fastnn.kernels.losses import sum_first
from fastnn.kernels.simd import (
    COLS,
    flush_subnormals,
    fma,
    lanes,
    load,
    load_first,
    matrix,
    prefetch,
    restore_mode,
    splat,
    store,
    tile,
    zero,
)
from fastnn.kernels.team import barrier, new_queue, roll_call, share, take


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
    n_in, row = layer[N_IN], layer[W_T_ROW]
    return matrix(own, layer[W_T], n_in, row), matrix(own, layer[W_T] + n_in * row, 1, row)


@part
def output_parameters(own, layer):
    """W_L (n_y, n_in or more) and b_L (1, n_y)."""
    n_y, row = layer[N_OUT], layer[W_T_ROW]
    return matrix(own, layer[W_T], n_y, row), matrix(own, layer[W_T] + n_y * row, 1, n_y)


@inline
def _output_strip(dZ, W, A, dW, db, k, activation, cols):
    w, g, b = tile(A, 1, COLS), tile(A, 1, COLS), tile(A, 1, COLS)
    for c in range(cols):
        w[0, c], g[0, c], b[0, c] = load(W, 0, k + c * lanes(A)), zero(A), zero(A)
    for i in range(A.shape[0]):
        dz = splat(A, dZ[0, i])
        for c in range(cols):
            a = load(A, i, k + c * lanes(A))
            g[0, c], da = fma(dz, a, g[0, c]), times_derivative(dz * w[0, c], a, activation)
            b[0, c] = b[0, c] + da
            store(A, i, k + c * lanes(A), da)
    for c in range(cols):
        store(dW, 0, k + c * lanes(A), g[0, c])
        store(db, 0, k + c * lanes(A), b[0, c])


@kernel
def one_output(dZ, W, A, dW, db, n, activation):
    """All that one output does to the n units below it: dW = dZ A, A becomes dA = W dZ * g'(A), and db the sum of that.

    dZ (1, m), W, dW, db (1, n or more), A (m, n or more).
    """
    across = COLS * lanes(A)
    wide = n - n % across
    for k in range(0, wide, across):
        _output_strip(dZ, W, A, dW, db, k, activation, COLS)
    for k in range(wide, n, lanes(A)):
        _output_strip(dZ, W, A, dW, db, k, activation, 1)


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
    return layers.shape[0] == 2 and layers[0, ACTIVATION] == RELU and layers[1, N_OUT] == 1


@part
def signs_of(model, work, m):
    """Room for them (m, vectors): where A_1 would be."""
    layer = model.layers[1]
    return matrix(work, layer[A_IN], m, layer[W_T_ROW] // lanes(work))


@part
def forward(model, batches, own, work, Z_L, rows, soon):
    """Z_L, without b_L, of these rows of X; and those that come soon, in the next step, are asked for."""
    layers, n_x, n_hidden, m = model.layers, model.layers[0, N_IN], model.layers.shape[0] - 1, rows.size
    A = activations(work, layers[0], m)
    for i in range(m):
        row, next_row = rows[i], soon[min(i, soon.size - 1)]
        for k in range(0, n_x, lanes(work)):
            prefetch(batches.X, next_row, k)
            store(A, i, k, load_first(batches.X, row, k, n_x - k))
        prefetch(batches.X, next_row, n_x - 1)
        prefetch(batches.Y, next_row, 0)
    if has_signs(layers):
        signs.forward(A, matrix(own, layers[0, W_T], n_x + 1, layers[0, W_T_ROW]), output_parameters(own, layers[1])[0],
                      signs_of(model, work, m), Z_L, whole(work, layers[0, N_OUT]))
        return
    for l in range(n_hidden):
        layer, n_out = layers[l], layers[l, N_OUT]
        W_T_and_b, Z = matrix(own, layer[W_T], layer[N_IN] + 1, layer[W_T_ROW]), activations(work, layers[l + 1], m)
        affine(A, own[:0], W_T_and_b, Z, 0, whole(work, n_out), RELU if layer[ACTIVATION] == RELU else IDENTITY)
        activate(Z, 0, whole(work, n_out), layer[ACTIVATION])
        if layer[ACTIVATION] == LOGISTIC:            # of 0, it is not
            for i in range(m):
                for j in range(n_out, whole(work, n_out)):
                    Z[i, j] = work.dtype.type(0)
        A = Z
    few.affine(A, own[:0], output_parameters(own, layers[n_hidden])[0], Z_L, 0, m, IDENTITY)


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
        start, rows, row = layers[0, W_T], layers[0, N_IN] + 1, layers[0, W_T_ROW]
        signs.back(dZ, activations(work, layers[0], m), matrix(own, start, rows, row), W, signs_of(model, work, m),
                   matrix(G, start, rows, row), dW, whole(work, layers[0, N_OUT]))
        return
    if n_hidden == 0:
        backproject(dZ, True, activations(work, top, m), none, dW, dW, 0, whole(work, top[N_IN]), IDENTITY)
    for l in range(n_hidden - 1, -1, -1):
        # A_l becomes dZ_l.  What still takes A_l as it was comes first.
        layer, above, n = layers[l], layers[l + 1], whole(work, layers[l, N_OUT])
        A, (dW_T, db) = activations(work, above, m), hidden_parameters(G, layer)
        if l == n_hidden - 1 and top[N_OUT] == 1:
            one_output(dZ, W, A, dW, db, n, layer[ACTIVATION])
        elif l == n_hidden - 1:
            backproject(dZ, True, A, none, dW, dW, 0, n, IDENTITY)
            backproject(dZ, False, W, none, A, A, 0, n, layer[ACTIVATION])
            column_sums(A, db, n)
        else:
            W = matrix(own, above[W_ROWS], above[N_OUT], n)
            backproject(dZ, True, W, none, A, A, 0, n, layer[ACTIVATION])
            column_sums(A, db, n)
        backproject(activations(work, layer, m), False, A, none, dW_T, dW_T, 0, n, IDENTITY)
        dZ = A


@kernel
def propagate(model, batches, room, own, rows, soon, s, G):
    """Forward propagation, the loss, and back to the gradient of the examples of shard s; returns their loss."""
    work, m, top = room.work[s], rows.size, model.layers[model.layers.shape[0] - 1]
    n_y, b = top[N_OUT], output_parameters(own, top)[1]
    Z_L, Y_T = matrix(work, top[A_OUT], n_y, room.width), matrix(work, room.Y_T, n_y, room.width)
    forward(model, batches, own, work, Z_L, rows, soon)
    for j in range(n_y):
        z, b_j = Z_L[j], b[0, j]
        for i in range(m):
            z[i] += b_j
    if batches.Y.shape[1] == n_y:
        for j in range(n_y):
            for i in range(m):
                Y_T[j, i] = batches.Y[rows[i], j]
    turn_back(model, batches, room, rows, work, 0, m)
    back(model, own, work, Z_L, G, m)
    return sum_first(matrix(work, room.losses, 1, room.width), m)


@part
def turn(layers, flat, own, inwards):
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
def turn_all(model, rule, own, n, inwards):
    """Parameters and moments: there are n numbers of each in own, and one behind the other."""
    n_params = model.theta.size
    turn(model.layers, model.theta, own, inwards)
    for i in range(rule.moments.size // n_params):
        turn(model.layers, rule.moments[i * n_params:], own[(i + 1) * n:], inwards)


@part
def copy_rows(model, room, own):
    """W_l of the layers between hidden layers, as it is, for the way back."""
    for l in range(1, model.layers.shape[0] - 1):
        layer = model.layers[l]
        W_l = matrix(own, layer[W_ROWS], layer[W_T_ROW], whole(own, layer[N_IN]))
        gather(hidden_parameters(own, layer)[0], room.rows, W_l, W_l, 0, layer[N_IN], False, False)
        for j in range(layer[N_OUT]):
            for k in range(layer[N_IN], W_l.shape[1]):
                W_l[j, k] = own.dtype.type(0)


@kernel
def update(model, room, rule, own, G, per_example, rate, is_first):
    """All parameters, by the gradients of all shards.  G (n_shards, n)."""
    n = G.shape[1]
    theta, moments = matrix(own, 0, 1, n), matrix(own, n, rule.moments.size // model.theta.size, n)
    for l in range(model.layers.shape[0]):
        layer, is_last = model.layers[l], l == model.layers.shape[0] - 1
        middle = layer[W_T] + (layer[N_OUT] if is_last else layer[N_IN]) * layer[W_T_ROW]
        squares = rule_of(rule, theta, G, moments, layer[W_T], middle, rule.alpha, per_example, rate, False)
        if is_first:
            room.squares[l] = squares
        end = middle + (layer[N_OUT] if is_last else layer[W_T_ROW])
        rule_of(rule, theta, G, moments, middle, end, rule.alpha - rule.alpha, per_example, rate, False)
    copy_rows(model, room, own)


@part
def steps(rank, size, team, model, batches, room, rule, costs):
    """The part of one member of the team in a run of steps: as `epoch.steps`."""
    n_shards, n, own = room.work.shape[0], room.G.shape[1], room.own[rank]
    turn_all(model, rule, own, n, True)
    copy_rows(model, room, own)
    soon, per_soon = minibatch(batches, 0)
    for step in range(rule.rates.size):
        rows, per_example = soon, per_soon
        soon, per_soon = minibatch(batches, step + 1)
        # Members may be a step apart, and who is ahead must not write what others still read.
        even, place = step % 2, room.losses + 2 * room.width + step % 2
        G = room.G[even * n_shards:(even + 1) * n_shards]
        for i in range(size):                                              # one's own part, then what others have left
            owner = (rank + i) % size
            first, last = share(n_shards, owner, size)
            begin, end = take(team, 0, rank, size, owner, first, last, 1)
            while begin < end:
                for s in range(begin, end):
                    first_row, last_row = share(rows.size, s, n_shards)
                    room.work[s, place] = propagate(model, batches, room, own, rows[first_row:last_row],
                                                    soon[min(first_row, soon.size - 1):], s, G[s])
                begin, end = take(team, 0, rank, size, owner, first, last, 1)
        barrier(team, size)
        new_queue(team, 0, rank)
        update(model, room, rule, own, G, per_example, rule.rates[step], rank == 0)
        if rank == 0:
            cost = costs.dtype.type(0)
            for s in range(n_shards):
                cost += room.work[s, place]
            costs[step, 0] = cost * per_example
            costs[step, 1] = penalty(room) * per_example
    if rank == 0:
        turn_all(model, rule, own, n, False)


@entry
def train(wanted, team, model, batches, room, rule, costs):
    """A run of steps, as one of `wanted` threads that make this call: alone, or in the region of `epoch`."""
    rank, size = roll_call(team, wanted)
    if rank < size:
        mode = flush_subnormals()
        steps(rank, size, team, model, batches, room, rule, costs)
        restore_mode(mode)
