"""Steps of one example, too few to fill a vector: its lanes run along the units of a layer.

A step does no more than read theta twice and update it.  So the rows of a large W are cut in parts (as many for any
team, because sums are), and each worker has some of them, from the first time they are read to their update: they stay
in its cache, and what travels is activations, and on the way back the sum over each part, of which each worker takes
what it needs:

    dA_{l-1} = the sum of W_l^T dz_l over the parts     dZ_{l-1} = dA_{l-1} * g'(Z_{l-1}), of one's own units
"""

from fastnn.kernels.laws.activations import KEPT, RELU
from fastnn.kernels.laws.units import activate, loss_and_dZ, sum_first
from fastnn.kernels.layouts.columns import FIRST, LAST, LAYER
from fastnn.kernels.layouts.online import MOST_PARTS
from fastnn.kernels.layouts.run import A_IN, A_OUT, DZ, FORM, N_IN, N_OUT, PARTS, SLOPE, VALUE, B, W
from fastnn.kernels.machine.jit import kernel, part
from fastnn.kernels.machine.simd import lanes, matrix
from fastnn.kernels.machine.team import share
from fastnn.kernels.products.vectors import affine, backproject, gradient, join, softmax
from fastnn.kernels.run import loop
from fastnn.kernels.ways.columns import gradients, update_groups

#: A field of a layer in the table, besides those of every way: PARTS, in how many parts the rows of its weights are
#: cut.


@part
def row_of(work, start, n):
    """Room for n numbers, in whole vectors."""
    return matrix(work, start, 1, n + -n % lanes(work))


@part
def own_units(layer, rank, size):
    """The units of a layer that this worker has: (first, last)."""
    first, last = share(layer[PARTS], rank, size)
    return layer[N_OUT] * first // layer[PARTS], layer[N_OUT] * last // layer[PARTS]


@part
def inputs(run, own, l):
    """A_{l-1}, which layer l takes."""
    return row_of(own if l == 0 else run.room.work[0], run.model.layers[l, A_IN], run.model.layers[l, N_IN])


@kernel
def forward(run, worker, step, l):
    """One's own units of A_l, or of Z_L.  X is copied to where it can be read in whole vectors."""
    model, own, row = run.model, run.room.own[worker.rank], step.rows[0]
    layer, A = model.layers[l], inputs(run, own, l)
    n_in, n_out = layer[N_IN], layer[N_OUT]
    if l == 0:
        for k in range(n_in):
            A[0, k] = run.batches.X[row, k]
    begin, end = own_units(layer, worker.rank, worker.size)
    Z = row_of(run.room.work[0], layer[A_OUT], n_out)
    affine(
        matrix(model.theta, layer[W], n_out, n_in),
        model.theta[layer[B] : layer[B] + n_out],
        A,
        Z,
        begin,
        end,
        layer[FORM] == RELU,
    )
    D = row_of(run.room.work[0], layer[SLOPE], n_out)
    activate(layer[VALUE], Z, D if layer[FORM] == KEPT else D[:0], begin, end)


@kernel
def loss_and_output_gradient(run, worker, step):
    """The loss of the example, and dZ_L, which every worker finds out for itself."""
    model, batches, room, row = run.model, run.batches, run.room, step.rows[0]
    own, last = room.own[worker.rank], model.layers[model.layers.shape[0] - 1]
    n_y = last[N_OUT]
    Z, A_L = row_of(room.work[0], last[A_OUT], n_y), matrix(own, last[DZ], 1, n_y)
    Y, losses = matrix(own, room.Y_T, 1, n_y), matrix(own, room.losses, 2, room.width)
    # To the passes of a loss, the units of one example are what the examples of one unit are elsewhere.
    for j in range(n_y):
        A_L[0, j] = Z[0, j]
    if model.is_softmax:
        softmax(A_L)
    else:
        activate(model.output, A_L, A_L[:0], 0, n_y)
    if batches.Y.shape[1] < n_y:  # of many classes, the example has one
        j = int(batches.Y[row, 0])
        Y[0, j] = Y.dtype.type(1)
        loss_and_dZ(model.loss, A_L, Y, losses[1], model.constants, j, j + 1)
        losses[0, 0] = losses[1, j]
    else:
        for j in range(n_y):
            Y[0, j] = batches.Y[row, j]
        loss_and_dZ(model.loss, A_L, Y, losses[1], model.constants, 0, n_y)
        losses[0, 0] = sum_first(losses[1:], n_y)
    if batches.weights.size:
        losses[0, 0] *= batches.weights[row]
        for j in range(n_y):
            A_L[0, j] *= batches.weights[row]


@part
def dZ_of(run, own, l):
    """dZ of layer l; of the last one, this worker's."""
    layer = run.model.layers[l]
    return row_of(own if l == run.model.layers.shape[0] - 1 else run.room.work[0], layer[DZ], layer[N_OUT])


@part
def waiting(run, l, parts):
    """The sums over the parts of layer l: by turns, because workers may be a layer apart."""
    room = run.room
    return matrix(room.work[0], room.waiting + l % 2 * MOST_PARTS * room.width, parts, room.width)


@kernel
def sum_parts(run, worker, l):
    """dA_{l-1} by one's own parts of layer l."""
    layer, own = run.model.layers[l], run.room.own[worker.rank]
    n_in, n_out, parts = layer[N_IN], layer[N_OUT], layer[PARTS]
    first, last = share(parts, worker.rank, worker.size)
    sums = waiting(run, l, parts)
    for p in range(first, last):
        backproject(
            matrix(run.model.theta, layer[W], n_out, n_in),
            dZ_of(run, own, l),
            sums[p : p + 1],
            n_out * p // parts,
            n_out * (p + 1) // parts,
        )


@kernel
def join_parts(run, worker, l):
    """dZ_l of one's own units, by the sums over the parts of the layer above."""
    layer, own = run.model.layers[l], run.room.own[worker.rank]
    begin, end = own_units(layer, worker.rank, worker.size)
    join(
        waiting(run, l + 1, run.model.layers[l + 1, PARTS]),
        row_of(run.room.work[0], layer[SLOPE], layer[N_OUT]),
        dZ_of(run, own, l),
        begin,
        end,
        layer[FORM],
    )


@kernel
def gradients_and_update(run, worker, step):
    """dW, db and the update of one's own units of all layers."""
    model, room = run.model, run.room
    own, groups = room.own[worker.rank], room.groups
    for g in range(groups.shape[0]):
        l = groups[g, LAYER]
        layer = model.layers[l]
        begin, end = own_units(layer, worker.rank, worker.size)
        if begin <= groups[g, FIRST] < end:
            n_in, n_out = layer[N_IN], layer[N_OUT]
            G_W, G_b = gradients(model, room, worker.rank, g)
            gradient(
                dZ_of(run, own, l),
                inputs(run, own, l),
                matrix(G_W[0], layer[W], n_out, n_in),
                matrix(G_b[0], layer[B], 1, n_out),
                groups[g, FIRST],
                groups[g, LAST],
            )
            update_groups(run, step, model.theta.dtype.type(1), g, g + 1, G_W, G_b)


@part
def begin(run, worker):
    """Theta is read where it is."""


@part
def n_phases(run):
    """See `work`."""
    return 2 * run.model.layers.shape[0]


@part
def part_of(run, step, phase, rank, size):
    """Every worker has its own units, from the first phase to the last."""
    return 0, 1, 0


@part
def is_private(phase):
    """Nothing is."""
    return False


@kernel
def work(run, worker, step, phase, begin, end):
    """One phase of a step:

    0 ...      A_1 to A_{L-1}, and Z_L
    L ...      the loss and dZ_L, then dZ_{L-1} to dZ_2; and of each, the sums over the parts of its layer
    the last   dZ_1, or without a hidden layer dZ_L; the gradients and the update
    """
    n_layers = run.model.layers.shape[0]
    if phase < n_layers:
        forward(run, worker, step, phase)
        return
    l = 2 * n_layers - 1 - phase  # whose dZ is found out
    if l == n_layers - 1:
        loss_and_output_gradient(run, worker, step)
    else:
        join_parts(run, worker, l)
    if l > 0:
        sum_parts(run, worker, l)
    else:
        gradients_and_update(run, worker, step)


@part
def loss(run, worker, step):
    """The loss of the example."""
    return run.room.own[worker.rank, run.room.losses]


@part
def end(run, worker, costs):
    """Theta is where it was."""


train = loop("online", begin, n_phases, part_of, is_private, work, loss, end)
