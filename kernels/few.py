"""Steps of a few examples, too few to fill a vector: its lanes run along the units of a layer.

    affine        z = W a + b,  a = g(z)          inner products of the rows of W with a
    backproject   da = W^T dz * g'(a)             a sum of the rows of W
    gradient      dW = the sum of dz a^T

Examples are rows here, and so are the activations: X, A, Z, dZ (m, n).  Rows of A and dZ have room for whole vectors,
and in A zeros beyond its units.  A step does no more than read theta twice and update it; so one member of a
team goes forward and back, and the update, which takes most of the time, is shared out.
"""
from fastnn.kernels.activations import RELU, activate, exp, times_derivative
from fastnn.kernels.epoch import (
    A_IN,
    A_OUT,
    ACTIVATION,
    DZ,
    FIRST,
    LAST,
    LAYER,
    N_IN,
    N_OUT,
    B,
    W,
    first_group,
    gradients,
    minibatch,
    penalty,
    update,
)
from fastnn.kernels.jit import entry, inline, kernel, part
from fastnn.kernels.losses import CROSS_ENTROPY, loss_and_dZ, output, sum_first
from fastnn.kernels.simd import (
    flush_subnormals,
    fma,
    lane,
    lanes,
    load,
    load_first,
    matrix,
    maximum,
    restore_mode,
    splat,
    square,
    store,
    store_first,
    sum_rows,
    tile,
    zero,
)
from fastnn.kernels.team import barrier, roll_call

#: How many are few: with more, the lanes had better run along them.
MOST = 3


@kernel
def affine(W, b, A, Z, activation):
    """Z = g(W A + b), example by example.  W (n_out, n_in), b (n_out), or (0) for none, A (m, n_in), Z (m, n_out)."""
    n_out, n_in, full = W.shape[0], W.shape[1], lanes(W)
    whole, z = n_in - n_in % full, square(W)
    for i in range(A.shape[0]):
        for j in range(0, n_out, full):
            for r in range(full):
                z[r, 0] = zero(W)
            for k in range(0, whole, full):
                a = load(A, i, k)
                for r in range(full):
                    z[r, 0] = fma(load(W, min(j + r, n_out - 1), k), a, z[r, 0])
            if whole < n_in:
                a = load(A, i, whole)
                for r in range(full):
                    z[r, 0] = fma(load_first(W, min(j + r, n_out - 1), whole, n_in - whole), a, z[r, 0])
            count = min(full, n_out - j)
            g = sum_rows(z)
            if b.size:
                g = g + load_first(matrix(b, 0, 1, n_out), 0, j, count)
            g = maximum(g, zero(W)) if activation == RELU else g
            if count == full:                        # a mask takes long
                store(Z, i, j, g)
            else:
                store_first(Z, i, j, count, g)
    activate(Z, 0, n_out, activation)


@inline
def _backproject_tile(W, dZ, A, dA, i, k, count, activation, cols):
    d = tile(W, 1, 4)
    for c in range(cols):
        d[0, c] = zero(W)
    for j in range(W.shape[0]):
        dz = splat(W, dZ[i, j])
        for c in range(cols):
            w = load(W, j, k + c * lanes(W)) if cols > 1 else load_first(W, j, k, count)
            d[0, c] = fma(dz, w, d[0, c])
    for c in range(cols):
        a = load(A, i, k + c * lanes(W))
        store(dA, i, k + c * lanes(W), times_derivative(d[0, c], a, activation))


@kernel
def backproject(W, dZ, A, dA, m, activation):
    """dA = W^T dZ * g'(A), example by example.  W (n_out, n_in), dZ (m, n_out), A, dA (m, n_in)."""
    n_in, full = W.shape[1], lanes(W)
    width = 4 * full
    for i in range(m):
        if n_in < width:
            for k in range(0, n_in, full):
                _backproject_tile(W, dZ, A, dA, i, k, n_in - k, activation, 1)
        else:
            for k in range(0, n_in, width):          # the last one may come again, to be whole
                _backproject_tile(W, dZ, A, dA, i, min(k, n_in - width), width, activation, 4)


@inline
def _gradient_vector(d, A, k, m):
    g = d[0, 0] * load(A, 0, k)
    for i in range(1, m):
        g = fma(d[0, i], load(A, i, k), g)
    return g


@inline
def _gradient(dZ, A, dW, begin, end, m):
    d, n_in, full = tile(dW, 1, MOST), dW.shape[1], lanes(dW)
    for j in range(begin, end):
        for i in range(m):
            d[0, i] = splat(dW, dZ[i, j])
        # The end of a row may run into the next one, which comes after.
        whole = n_in - n_in % full if (j + 1) * n_in + -n_in % full > end * n_in else n_in
        for k in range(0, whole, full):
            store(dW, j, k, _gradient_vector(d, A, k, m))
        if whole < n_in:
            store_first(dW, j, whole, n_in - whole, _gradient_vector(d, A, whole, m))


@kernel
def gradient(dZ, A, dW, db, m, begin, end):
    """dW = the sum of dZ A^T, and db, in the rows from begin to end, for m from 1 to MOST.

    dZ (m, n_out), A (m, n_in), dW (n_out, n_in), db (1, n_out).
    """
    if m == 1:
        _gradient(dZ, A, dW, begin, end, 1)
    elif m == 2:
        _gradient(dZ, A, dW, begin, end, 2)
    else:
        _gradient(dZ, A, dW, begin, end, 3)
    for j in range(begin, end):
        db[0, j] = dZ[0, j]
    for i in range(1, m):
        for j in range(begin, end):
            db[0, j] += dZ[i, j]


@kernel
def largest(a, n):
    """The largest of the first n numbers of a (1, any)."""
    most, full = a[0, 0], lanes(a)
    if n < full:
        for j in range(1, n):
            most = max(most, a[0, j])
        return most
    g = load(a, 0, 0)
    for j in range(full, n, full):                   # the last one may come again, to be whole
        g = maximum(g, load(a, 0, min(j, n - full)))
    for r in range(full):
        most = max(most, lane(g, r))
    return most


@kernel
def softmax(Z):
    """Z = e^(z - max) / sum e^(z - max), of one example.  Z (1, n_L)."""
    z, most = Z[0], largest(Z, Z.shape[1])
    for j in range(z.size):
        z[j] = exp(z[j] - most)
    scale = z.dtype.type(1) / sum_first(Z, z.size)
    for j in range(z.size):
        z[j] *= scale


@part
def rows_of(work, start, m, n):
    """Room for n numbers of each of m examples, in rows of whole vectors."""
    return matrix(work, start, m, n + -n % lanes(work))


@kernel
def propagate(model, batches, room, rows):
    """Forward propagation, the loss, and back to dZ_1, of these examples."""
    layers, work, m, n_layers = model.layers, room.work[0], rows.size, model.layers.shape[0]
    n_x, n_y = layers[0, N_IN], layers[n_layers - 1, N_OUT]
    A = rows_of(work, layers[0, A_IN], m, n_x)
    for i in range(m):
        for k in range(n_x):
            A[i, k] = batches.X[rows[i], k]
    for l in range(n_layers):
        layer = layers[l]
        n_in, n_out = layer[N_IN], layer[N_OUT]
        affine(matrix(model.theta, layer[W], n_out, n_in), model.theta[layer[B]:],
               rows_of(work, layer[A_IN], m, n_in), rows_of(work, layer[A_OUT], m, n_out), layer[ACTIVATION])
    dZ, Y = rows_of(work, layers[n_layers - 1, DZ], m, n_y), matrix(work, room.Y_T, 1, n_y)
    losses = matrix(work, room.losses, 3, room.width)
    for i in range(m):
        # To the passes of the loss, the units of one example are what the examples of one unit are elsewhere.
        A_L = matrix(work, layers[n_layers - 1, DZ] + i * dZ.shape[1], 1, n_y)
        losses[0, i] = 0
        if model.loss == CROSS_ENTROPY:
            softmax(A_L)
            has_class = batches.Y.shape[1] < n_y
            first = int(batches.Y[rows[i], 0]) if has_class else 0
            for j in range(first, first + 1 if has_class else n_y):      # of many classes, an example has one
                Y[0, j] = Y.dtype.type(1) if has_class else batches.Y[rows[i], j]
                if Y[0, j] != 0:
                    loss_and_dZ(A_L, Y, losses[1], j, j + 1, model.loss)
                    losses[0, i] += losses[1, j]
        else:
            for j in range(n_y):
                Y[0, j] = batches.Y[rows[i], j]
            output(A_L, losses[1], losses[2], 0, n_y, model.loss)
            loss_and_dZ(A_L, Y, losses[1], 0, n_y, model.loss)
            losses[0, i] = sum_first(losses[1:], n_y)
        if batches.weights.size:
            weight = batches.weights[rows[i]]
            losses[0, i] *= weight
            for j in range(n_y):
                dZ[i, j] *= weight
    for l in range(n_layers - 1, 0, -1):
        n_out, n_in = layers[l, N_OUT], layers[l, N_IN]
        dA = rows_of(work, layers[l - 1, DZ], m, n_in)
        backproject(matrix(model.theta, layers[l, W], n_out, n_in), dZ, rows_of(work, layers[l, A_IN], m, n_in), dA, m,
                    layers[l - 1, ACTIVATION])
        dZ = dA


@part
def steps(rank, size, team, model, batches, room, rule, costs):
    """The part of one member of the team in a run of steps: as `epoch.steps`."""
    layers, groups, n, work = model.layers, room.groups, model.theta.size, room.work[0]
    begin, end = first_group(groups, n * rank // size), first_group(groups, n * (rank + 1) // size)
    for step in range(rule.rates.size):
        rows, per_example = minibatch(batches, step)
        m = rows.size
        if rank == 0:
            propagate(model, batches, room, rows)
        barrier(team, size)
        for g in range(begin, end):
            layer = layers[groups[g, LAYER]]
            n_in, n_out = layer[N_IN], layer[N_OUT]
            G_W, G_b = gradients(model, room, rank, g)
            gradient(rows_of(work, layer[DZ], m, n_out), rows_of(work, layer[A_IN], m, n_in),
                     matrix(G_W[0], layer[W], n_out, n_in), matrix(G_b[0], layer[B], 1, n_out), m,
                     groups[g, FIRST], groups[g, LAST])
            update(model, room, rule, g, g + 1, per_example, rule.rates[step], G_W, G_b)
        barrier(team, size)
        if rank == 0:
            cost = costs.dtype.type(0)
            for i in range(m):
                cost += work[room.losses + i]
            costs[step, 0] = cost * per_example
            costs[step, 1] = penalty(room) * per_example


@entry
def train(wanted, team, model, batches, room, rule, costs):
    """A run of steps, as one of `wanted` threads that make this call: alone, or in the region of `epoch`."""
    rank, size = roll_call(team, wanted)
    if rank < size:
        mode = flush_subnormals()
        steps(rank, size, team, model, batches, room, rule, costs)
        restore_mode(mode)
