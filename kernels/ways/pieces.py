"""Steps with examples in columns, as in `ways.columns`, where the first layer takes columns with pieces beside them.

Its inputs are e_c = V_c^T q_c of each column with pieces and all the numbers: see `products.pieces`.  V is trained with
the rest, and lies in theta behind it.
"""

from fastnn.kernels.laws.activations import LINEAR
from fastnn.kernels.laws.units import update
from fastnn.kernels.layouts.columns import FIRST, LAST, LAYER, LINE, NONE
from fastnn.kernels.layouts.run import DZ, N_IN, N_OUT, W
from fastnn.kernels.machine.jit import kernel, part
from fastnn.kernels.machine.simd import lanes, matrix
from fastnn.kernels.machine.team import share
from fastnn.kernels.products import norms
from fastnn.kernels.products.columns import backproject, gather, transpose
from fastnn.kernels.products.pieces import embed, map_gradient, sum_pieces
from fastnn.kernels.run import loop
from fastnn.kernels.ways import columns
from fastnn.kernels.ways.columns import (
    A_T,
    ROWS_AT_ONCE,
    back,
    drop,
    forward,
    inputs,
    loss_and_output_gradient,
    panels,
    product_gradient,
    targets,
    transposed,
    update_groups,
)


@part
def map_of(theta, room):
    """V (n_pieces, width), or what stands for it."""
    return matrix(theta, room.V, room.U.shape[0], room.U.shape[1])


@kernel
def propagate(run, step, rank, first, last):
    """Forward propagation, the loss, and back to de, of the examples from first to last; de as rows, too."""
    model, batches, room = run.model, run.batches, run.room
    layers, work, width, rows, theta = model.layers, room.work[0], room.width, step.rows, run.model.theta
    n_in, n_embedded = layers[0, N_IN], room.dE.shape[1]
    A, as_rows = inputs(model, work, width, 0), matrix(room.own[rank], -first * n_in, last, n_in)
    embed(batches.X, rows, map_of(theta, room), room.U, as_rows, first, last)
    is_kept = layers[0, A_T] != NONE
    gather(as_rows, room.rows, A, transposed(model, work, width, 0), first, last, is_kept, room.A_T_streamed)
    targets(model, batches, room, rows, work, first, last)
    for l in range(layers.shape[0]):
        A = inputs(model, work, width, l)
        if l > 0 and layers[l, A_T] != NONE:
            panels(A, transposed(model, work, width, l), 0, A.shape[0], first, last, room.A_T_streamed)
        forward(model, A, work, width, l, 0, layers[l, N_OUT], first, last)
        drop(model, step, rows, work, width, l, 0, layers[l, N_OUT], first, last)
    loss_and_output_gradient(model, batches, room, rows, work, first, last)
    for l in range(layers.shape[0] - 1, 0, -1):
        back(model, room, work, l, 0, layers[l, N_IN], 0, layers[l, N_OUT], first, last, columns.ALL)
    W_1, dZ_1 = (
        matrix(theta, layers[0, W], layers[0, N_OUT], n_in),
        matrix(work, layers[0, DZ], layers[0, N_OUT], width),
    )
    dE_T = matrix(work, room.dE_T, n_embedded, width)
    backproject(W_1, False, dZ_1, dE_T[:0], dE_T, dE_T, first, last, LINEAR)
    transpose(dE_T, room.dE, first, last)


@kernel
def gradients(run, step, g, stop):
    """The gradients of these groups of rows of the weights, of one layer."""
    model, room, groups, G = run.model, run.room, run.room.groups, run.room.G[0]
    nothing = matrix(room.work, 0, 0, 0)
    product_gradient(
        model,
        room,
        room.work[0],
        nothing,
        step.rows[:0],
        step.rows.size,
        groups[g, LAYER],
        groups[g, FIRST],
        groups[stop - 1, LAST],
        step.accumulate,
        G,
        G,
    )


@kernel
def update_map(run, step, clip, c):
    """V_c by its gradient times clip, and U_c by V_c."""
    model, room, rule, X = run.model, run.room, run.rule, run.batches.X
    n, place = model.theta.size, room.groups.shape[0] + c
    theta, moments = matrix(model.theta, 0, 1, n), matrix(rule.moments, 0, rule.moments.size // n, n)
    update(rule, theta, room.G, moments, room.squares, room.weights, place, place + 1, step, clip, False)
    sum_pieces(map_of(model.theta, room), room.U, X.starts[c], X.starts[c + 1])


@part
def squares_of(room, ranges, g):
    return norms.sum_of_squares(room.G, ranges[g, 0], ranges[g, 1])


@kernel
def parameters(run, step, begin, end):
    """The gradients of some groups of rows, and of the maps of some columns, which are behind them.

    After the final chunk, their update; or, where the gradient is clipped, its squares.
    """
    model, room, groups = run.model, run.room, run.room.groups
    n_groups, is_clipped, one = groups.shape[0], run.rule.clip_norm > 0, model.theta.dtype.type(1)
    while begin < end:
        stop = begin + 1
        if begin >= n_groups:
            c, G = begin - n_groups, map_of(room.G[0], room)
            map_gradient(run.batches.X, step.rows, room.dE, room.sums, G, c, step.accumulate, step.is_final)
            if step.is_final and is_clipped:
                room.gradient_squares[begin] = squares_of(room, room.weights, begin)
            elif step.is_final:
                update_map(run, step, one, c)
        else:
            l, j = groups[begin, LAYER], groups[begin, FIRST]
            most = model.layers[l, ROWS_AT_ONCE]
            while stop < min(end, n_groups) and groups[stop, LAYER] == l and groups[stop, LAST] - j <= most:
                stop += 1
            gradients(run, step, begin, stop)
            if step.is_final and is_clipped:
                for g in range(begin, stop):
                    room.gradient_squares[g] = squares_of(room, room.weights, g) + squares_of(room, room.biases, g)
            elif step.is_final:
                update_groups(run, step, one, begin, stop, room.G, room.G)
        begin = stop


@kernel
def clip_and_update(run, step, begin, end):
    """The update of these groups and maps, by gradients that are clipped."""
    room, n_groups = run.room, run.room.groups.shape[0]
    clip = norms.clip(room.gradient_squares, step.mean_factor, run.rule.clip_norm)
    if step.is_final and clip > 0:
        for unit in range(begin, end):
            if unit < n_groups:
                update_groups(run, step, clip, unit, unit + 1, room.G, room.G)
            else:
                update_map(run, step, clip, unit - n_groups)


@part
def begin(run, worker):
    """U of each column, and the transposed copies of the weights."""
    starts, room = run.batches.X.starts, run.room
    first, last = share(starts.size - 1, worker.rank, worker.size)
    for c in range(first, last):
        sum_pieces(map_of(run.model.theta, room), room.U, starts[c], starts[c + 1])
    columns.begin(run, worker)


@part
def n_phases(run):
    """Forward and back; the parameters; their update, if the gradient is clipped before."""
    return 3 if run.rule.clip_norm > 0 else 2


@kernel
def part_of(run, step, phase, rank, size):
    """Equal parts."""
    units, together = run.room.groups.shape[0] + run.batches.X.starts.size - 1, 1
    if phase == 0:
        units, together = columns.lines(step.rows.size, lanes(run.model.theta)), columns.TOGETHER
    first, last = share(units, rank, size)
    return first, last, together


@kernel
def work(run, worker, step, phase, begin, end):
    """Some units of one phase of a step."""
    if phase == 0:
        vector, block = lanes(run.model.theta), columns.BLOCK // run.model.theta.itemsize
        last = min(end * LINE * vector, step.rows.size)
        for first in range(begin * LINE * vector, last, block):
            propagate(run, step, worker.rank, first, min(first + block, last))
    elif phase == 1:
        parameters(run, step, begin, end)
    else:
        clip_and_update(run, step, begin, end)


train = loop("pieces", begin, n_phases, part_of, columns.is_private, work, columns.loss, columns.end)
