"""Steps of a few examples, too few to fill a vector: its lanes run along the units of a layer.

    affine        z = W a + b,  a = g(z)          inner products of the rows of W with a
    backproject   W^T dz                          a sum of the rows of W
    gradient      dW = the sum of dz a^T

Examples are rows here, and so are the activations: X, A, Z, dZ (m, n).  Rows of A and dZ have room for whole vectors,
and in A zeros beyond its units.

A step does no more than read theta twice and update it.  So the rows of a large W are cut in parts (as many for any
team, because sums are), and each member has some of them, from the first time they are read to their update: they stay
in its cache, and what travels is activations, and on the way back the sum over each part, of which each member takes
what it needs:

    dA_{l-1} = the sum of W_l^T dz_l over the parts     dZ_{l-1} = dA_{l-1} * g'(A_{l-1}), of one's own units
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
    PARTS,
    B,
    W,
    gradients,
    minibatch,
    penalty,
    update,
)
from fastnn.kernels.jit import entry, inline, kernel, part, unit
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
from fastnn.kernels.team import barrier, roll_call, share

#: How many are few: with more, the lanes had better run along them.
MOST = 3
#: And in how many parts a W is cut: for up to as many threads.
MOST_PARTS = 4


@unit
def affine(W, b, A, Z, begin, end, activation):
    """Z = g(W A + b), example by example, by the rows of W from begin to end.

    W (n_out, n_in), b (n_out), or (0) for none, A (m, n_in), Z (m, n_out).
    """
    n_in, full = W.shape[1], lanes(W)
    whole, z = n_in - n_in % full, square(W)
    for i in range(A.shape[0]):
        for j in range(begin, end, full):
            for r in range(full):
                z[r, 0] = zero(W)
            for k in range(0, whole, full):
                a = load(A, i, k)
                for r in range(full):
                    z[r, 0] = fma(load(W, min(j + r, end - 1), k), a, z[r, 0])
            if whole < n_in:
                a = load(A, i, whole)
                for r in range(full):
                    z[r, 0] = fma(load_first(W, min(j + r, end - 1), whole, n_in - whole), a, z[r, 0])
            count = min(full, end - j)
            g = sum_rows(z)
            if b.size:
                g = g + load_first(matrix(b, 0, 1, b.size), 0, j, count)
            g = maximum(g, zero(W)) if activation == RELU else g
            if count == full:                        # a mask takes long
                store(Z, i, j, g)
            else:
                store_first(Z, i, j, count, g)
    activate(Z, begin, end, activation)


@inline
def _backproject_tile(W, dZ, dA, i, begin, end, k, count, cols):
    d = tile(W, 1, 4)
    for c in range(cols):
        d[0, c] = zero(W)
    for j in range(begin, end):
        dz = splat(W, dZ[i, j])
        for c in range(cols):
            w = load(W, j, k + c * lanes(W)) if cols > 1 else load_first(W, j, k, count)
            d[0, c] = fma(dz, w, d[0, c])
    for c in range(cols):
        store(dA, i, k + c * lanes(W), d[0, c])


@unit
def backproject(W, dZ, dA, m, begin, end):
    """dA = W^T dZ, example by example, of the rows from begin to end.  W (n_out, n_in), dZ (m, n_out), dA (m, n_in)."""
    n_in, full = W.shape[1], lanes(W)
    width = 4 * full
    for i in range(m):
        if n_in < width:
            for k in range(0, n_in, full):
                _backproject_tile(W, dZ, dA, i, begin, end, k, n_in - k, 1)
        else:
            for k in range(0, n_in, width):          # the last one may come again, to be whole
                _backproject_tile(W, dZ, dA, i, begin, end, min(k, n_in - width), width, 4)


@unit
def join(dA, A, dZ, m, parts, begin, end, activation):
    """dZ = the sum of the parts of dA, * g'(A), of the units from begin to end.  dA (parts m, n), A, dZ (m, n)."""
    for i in range(m):
        for k in range(begin, end, lanes(A)):
            da = load(dA, i, k)
            for p in range(1, parts):
                da = da + load(dA, p * m + i, k)
            store_first(dZ, i, k, end - k, times_derivative(da, load(A, i, k), activation))


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


@unit
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


@part
def own_units(layer, rank, size):
    """The units of a layer that this member has: (first, last)."""
    first, last = share(layer[PARTS], rank, size)
    return layer[N_OUT] * first // layer[PARTS], layer[N_OUT] * last // layer[PARTS]


@part
def forward(rank, size, team, model, batches, room, own, rows):
    """Z_L of these examples.  X is copied to where it can be read in whole vectors."""
    layers, work, m = model.layers, room.work[0], rows.size
    A = rows_of(own, layers[0, A_IN], m, layers[0, N_IN])
    for i in range(m):
        for k in range(layers[0, N_IN]):
            A[i, k] = batches.X[rows[i], k]
    for l in range(layers.shape[0]):
        layer = layers[l]
        n_in, n_out = layer[N_IN], layer[N_OUT]
        begin, end = own_units(layer, rank, size)
        Z = rows_of(work, layer[A_OUT], m, n_out)
        affine(matrix(model.theta, layer[W], n_out, n_in), model.theta[layer[B]:layer[B] + n_out], A, Z, begin, end,
               layer[ACTIVATION])
        barrier(team, size)
        A = Z


@part
def turn_back(model, batches, room, own, rows):
    """The loss of these examples, and dZ_L, which every member finds out for itself."""
    m, last = rows.size, model.layers[model.layers.shape[0] - 1]
    n_y = last[N_OUT]
    Z, dZ = rows_of(room.work[0], last[A_OUT], m, n_y), rows_of(own, last[DZ], m, n_y)
    Y, losses = matrix(own, room.Y_T, 1, n_y), matrix(own, room.losses, 2, room.width)
    for i in range(m):
        # To the passes of the loss, the units of one example are what the examples of one unit are elsewhere.
        A_L = matrix(own, last[DZ] + i * dZ.shape[1], 1, n_y)
        for j in range(n_y):
            A_L[0, j] = Z[i, j]
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
            output(A_L, 0, n_y, model.loss)
            loss_and_dZ(A_L, Y, losses[1], 0, n_y, model.loss)
            losses[0, i] = sum_first(losses[1:], n_y)
        if batches.weights.size:
            weight = batches.weights[rows[i]]
            losses[0, i] *= weight
            for j in range(n_y):
                dZ[i, j] *= weight


@part
def dZ_of(model, room, own, l, m):
    """dZ of layer l; of the last one, this member's."""
    layer = model.layers[l]
    return rows_of(own if l == model.layers.shape[0] - 1 else room.work[0], layer[DZ], m, layer[N_OUT])


@part
def back(rank, size, team, model, room, own, m):
    """dZ of the other layers, of one's own units."""
    layers, work = model.layers, room.work[0]
    for l in range(layers.shape[0] - 1, 0, -1):
        n_in, n_out, parts = layers[l, N_IN], layers[l, N_OUT], layers[l, PARTS]
        # Members may be a layer apart, and who is ahead must not write what others still read.
        start = room.waiting + l % 2 * MOST_PARTS * m * room.width
        first, last = share(parts, rank, size)
        for p in range(first, last):
            backproject(matrix(model.theta, layers[l, W], n_out, n_in), dZ_of(model, room, own, l, m),
                        matrix(work, start + p * m * room.width, m, room.width), m,
                        n_out * p // parts, n_out * (p + 1) // parts)
        barrier(team, size)
        begin, end = own_units(layers[l - 1], rank, size)
        join(matrix(work, start, parts * m, room.width), rows_of(work, layers[l, A_IN], m, n_in),
             dZ_of(model, room, own, l - 1, m), m, parts, begin, end, layers[l - 1, ACTIVATION])


@part
def steps(rank, size, team, model, batches, room, rule, costs):
    """The part of one member of the team in a run of steps: as `epoch.steps`."""
    layers, groups, own = model.layers, room.groups, room.own[rank]
    for step in range(rule.rates.size):
        rows, per_example = minibatch(batches, step)
        m = rows.size
        forward(rank, size, team, model, batches, room, own, rows)
        turn_back(model, batches, room, own, rows)
        back(rank, size, team, model, room, own, m)
        for g in range(groups.shape[0]):
            l = groups[g, LAYER]
            begin, end = own_units(layers[l], rank, size)
            if begin <= groups[g, FIRST] < end:
                layer = layers[l]
                n_in, n_out = layer[N_IN], layer[N_OUT]
                G_W, G_b = gradients(model, room, rank, g)
                gradient(dZ_of(model, room, own, l, m), rows_of(own if l == 0 else room.work[0], layer[A_IN], m, n_in),
                         matrix(G_W[0], layer[W], n_out, n_in), matrix(G_b[0], layer[B], 1, n_out), m,
                         groups[g, FIRST], groups[g, LAST])
                update(model, room, rule, g, g + 1, per_example, rule.rates[step], G_W, G_b)
        barrier(team, size)
        if rank == 0:
            cost = costs.dtype.type(0)
            for i in range(m):
                cost += own[room.losses + i]
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
