"""Runs of minibatch steps in one call: no step allocates, or returns to Python.

A step has two halves.  In the first, the examples of the batch are shared out: each member of the team
takes its columns, a block at a time, through the whole network and back, to dZ of every layer.  In the
second, the parameters are shared out: each member sums dW = dZ A^T of its rows over all the examples and
updates them while they are in its cache.  A member that is done helps the others.  What those will read, parameters and
transposed activations, it writes past its caches on the processors where that is faster: see `simd.STREAMS`.

What travels between the cores is then the activations, and the parameters.  Where these are many, or a batch has no
equal halves, the members share out the units of one layer after the other instead: a weight is then read by one member,
forward and back, and there are barriers after each layer.

Where a network has fewer parameters than activations, the batch is cut into shards: dW of a shard is formed by the
member that has its columns, and what travels is the gradients.  The number of shards is the network's, not the team's,
and every number is computed by one thread, in an order that does not depend on how many there are: the bits are the
same for any team.

If the first layer has few units and many inputs, it takes the rows of X where they are: see ``rows``.

A batch larger than the workspace goes through in chunks, whose gradients are added before the update.
Weights of the examples multiply their losses, and a mean is then divided by the sum of the weights.
"""
from typing import NamedTuple

import numpy as np

from fastnn.kernels.activations import IDENTITY, RELU, activate
from fastnn.kernels.jit import call, entry, kernel, packed, part
from fastnn.kernels.layers import affine, backproject, gather, inner, outer, panels, row_sums
from fastnn.kernels.losses import loss_and_dZ, loss_and_dZ_of_classes, output, sum_first, weigh
from fastnn.kernels.optimizers import ADAM, SGD, adam, no_step, sgd
from fastnn.kernels.rows import inner_products, sum_of_rows
from fastnn.kernels.simd import (
    COLS,
    FEW,
    REGISTER_BYTES,
    flush_subnormals,
    lanes,
    load_first,
    matrix,
    maximum,
    restore_mode,
    splat,
    store,
    store_first,
    zero,
)
from fastnn.kernels.team import barrier, new_queue, region, roll_call, share, take

#: The fields of a layer in the table: sizes, offsets into theta and the workspace, the length of a row of W_T, and how
#: many rows of the weights are updated at a time.  And for `small`, where it has W, and the length of a row of A_{l-1};
#: for `few`, in how many parts the rows of the weights are cut.
N_IN, N_OUT, ACTIVATION, W, B, A_IN, A_OUT, DZ, A_T, W_T, W_T_ROW, TURN, W_ROWS, A_ROW, PARTS, FIELDS = range(16)
#: The fields of a group of rows of the weights: which layer, which rows, and where in theta its middle is.
LAYER, FIRST, LAST, MIDDLE, GROUP_FIELDS = range(5)
#: In A_IN: this layer, the first, takes the rows of X where they are.  In A_T: its gradient is formed by `inner`, which
#: needs no transposed copy.  In W_T: `backproject` takes W.
NONE = -1
#: Which of the rows of dZ `back` takes.
ALL, PART, REST = range(3)
#: Examples are shared out by lines of so many vectors, because no two threads write to one cache line; and if they can,
#: threads take as many as fill a tile.
LINE = 64 // REGISTER_BYTES
TOGETHER = max(COLS // LINE, 1)
#: How many bytes of a row go through the network at a time.
BLOCK = 256


class Model(NamedTuple):
    """The network and its parameters."""

    theta: np.ndarray            # (n_params,)
    layers: np.ndarray           # (L, FIELDS), int64
    loss: int                    # one of losses.py


class Batches(NamedTuple):
    """Which examples the steps take: batch_size at a time in this order, again and again from its start."""

    X: np.ndarray                # (n_samples, n_x)
    Y: np.ndarray                # (n_samples, n_y); or (n_samples, 1) with more outputs: the number of its class
    weights: np.ndarray          # (n_samples,); or (0,), for weights of one
    order: np.ndarray            # (n_samples,), int64
    first_step: int
    batch_size: int
    begin: int                   # the examples of each batch that this call takes: all, from 0 to batch_size; or, in a
    end: int                     # step that takes long, some chunks, and the call with the last of them ends the step


class Rule(NamedTuple):
    """The optimizer."""

    optimizer: int               # one of optimizers.py
    alpha: float                 # strength of the L2 penalty, in the dtype of theta
    rates: np.ndarray            # (n_steps,): one step for each
    constants: np.ndarray        # what the rule needs besides
    moments: np.ndarray          # one or two of them, (n_params) each, in one flat vector


class Room(NamedTuple):
    """The workspace of a run.

    A chunk of examples is cut into shards.  What a shard has is on pages of its own: prefetchers read on beyond the
    end of an array, up to that of the page, and would take the next shard's lines from the core that writes to them.
    """

    work: np.ndarray             # (n_shards, any): activations and dZ of every layer, at the offsets of the table
    Y_T: int                     # where Y_T (n_y, width) is in there,
    waiting: int                 # and the products that wait for their rest: see `back`
    losses: int                  # and (2, width): loss and weight of each example; then two numbers
    width: int                   # how many columns the arrays of a shard have
    own: np.ndarray              # (n_threads, any): what each member of a team has for itself: the inputs of its block
    block_width: int             # of examples, in so many columns; or, in `small`, all the parameters and moments
    W_T: np.ndarray              # transposed weights, at the offsets of the table
    G: np.ndarray                # (n_shards, n_params or more): the gradient of the sum of the losses of each shard; or
                                 # (n_threads, fewer): of what a member is at, see `gradients`
    chunk: int                   # how many examples go through at a time
    rows: np.ndarray             # 0, 1 ... to the widest layer
    groups: np.ndarray           # (n_groups, GROUP_FIELDS), int64: what one update takes
    squares: np.ndarray          # (n_groups,): alpha times the sum of the squares of the weights of each
    by_layers: bool              # whether the members work at one layer at a time, not at some examples each
    A_T_streamed: bool           # whether A_T goes past the caches, for other cores (see `simd.stream`),
    theta_streamed: bool         # and what is updated


@part
def inputs(model, work, width, l):
    """A_{l-1}, which layer l takes."""
    return matrix(work, model.layers[l, A_IN], model.layers[l, N_IN], width)


@kernel
def forward(model, A, work, width, l, j, end, first, last):
    """A_l = g(W_l A_{l-1} + b_l), in rows from j to end and columns from first to last; the last layer stops at Z."""
    layers, n_in, n_out = model.layers, model.layers[l, N_IN], end - j
    affine(matrix(model.theta, layers[l, W] + j * n_in, n_out, n_in), model.theta[layers[l, B] + j:], A,
           matrix(work, layers[l, A_OUT] + j * width, n_out, width), first, last, layers[l, ACTIVATION])


@kernel
def forward_in_place(model, X, rows, soon, work, width, first, last):
    """A_1 = g(W_1 X^T + b_1) of these rows of X, in columns from first to last; those that come soon are asked for."""
    layer = model.layers[0]
    n_in, n_out, full = layer[N_IN], layer[N_OUT], lanes(work)
    Z = matrix(work, layer[A_OUT], n_out, width)
    for j in range(n_out):
        z = matrix(work, layer[A_OUT] + j * width, 1, width)
        inner_products(X, rows, soon if j == 0 else rows, matrix(model.theta, layer[W] + j * n_in, 1, n_in),
                       matrix(z, first, 1, width - first))
        b = splat(work, model.theta[layer[B] + j])
        for i in range(first, last, full):
            z_i = load_first(z, 0, i, last - i) + b
            store_first(z, 0, i, last - i, maximum(z_i, zero(work)) if layer[ACTIVATION] == RELU else z_i)
    activate(Z, first, last, layer[ACTIVATION])


@part
def transposed(model, work, width, l):
    """A_T of layer l, in panels."""
    across = COLS * lanes(work)
    return matrix(work, model.layers[l, A_T], (model.layers[l, N_IN] + across - 1) // across * width, across)


@part
def transpose_weights(model, room, l, j, end):
    """W_T = W^T of layer l, in the rows of W from j, where a vector starts, to end."""
    layer = model.layers[l]
    W_T_l = matrix(room.W_T, layer[W_T], layer[N_IN], layer[W_T_ROW])
    gather(matrix(model.theta, layer[W], layer[N_OUT], layer[N_IN]), room.rows, W_T_l, W_T_l, j, end, False, False)


@kernel
def back(model, room, work, width, l, k, end, j, stop, first, last, which):
    """dZ_{l-1} = W_l^T dZ_l * g'(A_{l-1}) in the rows from k to end and the columns from first to last.

    Of the rows of dZ_l, it takes those from j to stop: all, or a PART, whose product waits until the REST is there.
    """
    layers, n_in, n = model.layers, model.layers[l, N_IN], end - k
    flipped = layers[l, W_T] != NONE
    W_l = matrix(model.theta, layers[l, W] + j * n_in + k, stop - j, n_in)            # from its column k on
    if flipped:
        W_l = matrix(room.W_T, layers[l, W_T] + k * layers[l, W_T_ROW] + j, n_in, layers[l, W_T_ROW])
    A, dA = matrix(work, layers[l, A_IN] + k * width, n, width), matrix(work, layers[l - 1, DZ] + k * width, n, width)
    waiting = matrix(work, room.waiting + k * width, n, width)
    backproject(W_l, flipped, matrix(work, layers[l, DZ] + j * width, stop - j, width),
                waiting if which == REST else waiting[:0], A, waiting if which == PART else dA, first, last,
                IDENTITY if which == PART else layers[l - 1, ACTIVATION])


@kernel
def begin_with(model, batches, room, rows, work, A, first, last):
    """X of the examples from first to last, as columns of A_0, if that is wanted, and Y, if these are not classes."""
    layers, width, n_y = model.layers, room.width, model.layers[model.layers.shape[0] - 1, N_OUT]
    if layers[0, A_IN] != NONE:
        A_T_0, is_kept = transposed(model, work, width, 0), layers[0, A_T] != NONE
        gather(batches.X, rows, A, A_T_0, first, last, is_kept, room.A_T_streamed)
    Y_T = matrix(work, room.Y_T, n_y, width)
    if n_y == 1:
        for i in range(first, last):
            Y_T[0, i] = batches.Y[rows[i], 0]
        for i in range(last, last + (first - last) % lanes(work)):
            Y_T[0, i] = Y_T[0, last - 1]
    elif batches.Y.shape[1] == n_y:
        gather(batches.Y, rows, Y_T, Y_T, first, last, False, False)


@part
def turn_back(model, batches, room, rows, work, first, last):
    """The loss of the examples from first to last, and dZ_L."""
    layers, width = model.layers, room.width
    n_layers, end = layers.shape[0], last + (first - last) % lanes(work)
    n_y = layers[n_layers - 1, N_OUT]
    dZ, losses = matrix(work, layers[n_layers - 1, A_OUT], n_y, width), matrix(work, room.losses, 2, width)
    output(dZ, first, end, model.loss)
    if batches.Y.shape[1] < n_y:
        loss_and_dZ_of_classes(dZ, batches.Y, rows, losses[0], first, last)
    else:
        loss_and_dZ(dZ, matrix(work, room.Y_T, n_y, width), losses[0], first, end, model.loss)
    if batches.weights.size:
        weigh(dZ, losses[0], losses[1], batches.weights, rows, first, last)
    if last < end:                                       # what is summed over the examples is summed over whole vectors
        i = end - lanes(work)
        for j in range(n_y):
            store(dZ, j, i, load_first(dZ, j, i, last - i))


@kernel
def propagate(model, batches, room, rows, soon, rank, s, first, last):
    """Forward propagation, the loss, and back to dZ_1, in the columns from first to last of shard s.

    Column i of the shard is example rows[i], and soon[i] comes soon.  Where nothing but this pass takes A_0, it is made
    in the room that this member of the team has for it, again and again, because that stays in the cache: its first
    column is number `first`.
    """
    layers, work, width = model.layers, room.work[s], room.width
    A = inputs(model, work, width, 0)
    if layers[0, A_T] != NONE:
        A = matrix(room.own[rank], -first, layers[0, N_IN], room.block_width)
    begin_with(model, batches, room, rows, work, A, first, last)
    for l in range(layers.shape[0]):
        if l > 0:
            A = inputs(model, work, width, l)
            if layers[l, A_T] != NONE:
                panels(A, transposed(model, work, width, l), 0, A.shape[0], first, last, room.A_T_streamed)
        if layers[l, A_IN] != NONE:
            forward(model, A, work, width, l, 0, layers[l, N_OUT], first, last)
        else:
            forward_in_place(model, batches.X, rows[first:last], soon[min(first, soon.size - 1):], work, width, first,
                             last)
    turn_back(model, batches, room, rows, work, first, last)
    for l in range(layers.shape[0] - 1, 0, -1):
        back(model, room, work, width, l, 0, layers[l, N_IN], 0, layers[l, N_OUT], first, last, ALL)


@part
def gradients(model, room, rank, g):
    """G of the weights and G of the biases, by the places of theta, for the layer of these groups: from g on.

    If there is one shard, and one chunk, a gradient is used up where it is formed.  It has then no place of its own,
    but one that stays in the cache: the weights at the start of what a member has for it, the biases at its end.
    """
    G, n, group = room.G, model.theta.size, room.groups[g]
    if G.shape[1] >= n:
        return G, G
    layer, end = model.layers[group[LAYER]], G.shape[1] - room.rows.size
    start = layer[W] + group[FIRST] * layer[N_IN]
    start -= start % lanes(G)                            # a vector of G is one of memory where one of theta is
    return matrix(G[rank], -start, 1, n), matrix(G[rank], end - layer[B] - group[FIRST], 1, n)


@kernel
def gradient(model, batches, room, rows, soon, s, l, j, end, more, G_W, G_b):
    """dW = dZ A^T and db of layer l, in the rows from j to end, over the examples `rows` of shard s.  G (n_params).

    And the examples that come `soon` are asked for: see `outer`.
    """
    layers, work, width, m = model.layers, room.work[s], room.width, rows.size
    n_in, n_out = layers[l, N_IN], layers[l, N_OUT]
    dZ = matrix(work, layers[l, DZ], n_out, width)
    dW, db = matrix(G_W, layers[l, W], n_out, n_in), matrix(G_b, layers[l, B], 1, n_out)
    if layers[l, A_IN] == NONE:
        for unit in range(j, end):
            sum_of_rows(matrix(work, layers[l, DZ] + unit * width, 1, width), batches.X, rows,
                        matrix(G_W, layers[l, W] + unit * n_in, 1, n_in), more)
        row_sums(dZ, db, j, end, m, more)
    elif layers[l, A_T] == NONE:
        A = inputs(model, work, width, l)
        if n_out > 1:
            inner(dZ, A, dW, db, j, end, m, more)
        elif j < end:
            inner(A, dZ, matrix(G_W, layers[l, W], n_in, 1), matrix(G_b, 0, 1, 0), 0, n_in, m, more)
            row_sums(dZ, db, j, end, m, more)
    else:
        outer(dZ, transposed(model, work, width, l), dW, batches.X, soon if l == 0 else soon[:0], j, end, m, more)
        row_sums(dZ, db, j, end, m, more)


@part
def rule_of(rule, theta, G, moments, first, last, alpha, per_example, rate, streamed):
    """The parameters from first to last, by the rule of the optimizer."""
    if rule.optimizer == ADAM:
        return adam(theta, G, moments, first, last, alpha, per_example, rate, rule.constants, streamed)
    if rule.optimizer == SGD:
        return sgd(theta, G, moments, first, last, alpha, per_example, rate, rule.constants, streamed)
    return no_step(theta, G, moments, first, last, alpha, per_example, rate, rule.constants, streamed)


@part
def update(model, room, rule, begin, end, per_example, rate, G_W, G_b):
    """Weights and biases of these groups of rows, which are of one layer.  G (n_shards, n_params)."""
    layer, groups, n = model.layers[room.groups[begin, LAYER]], room.groups, model.theta.size
    theta = matrix(model.theta, 0, 1, n)
    moments = matrix(rule.moments, 0, rule.moments.size // n, n)
    for g in range(begin, end):
        first, last = layer[W] + groups[g, FIRST] * layer[N_IN], layer[W] + groups[g, LAST] * layer[N_IN]
        room.squares[g] = rule_of(rule, theta, G_W, moments, first, last, rule.alpha, per_example, rate,
                                  room.theta_streamed)
    rule_of(rule, theta, G_b, moments, layer[B] + groups[begin, FIRST], layer[B] + groups[end - 1, LAST],
            rule.alpha - rule.alpha, per_example, rate, False)
    if layer[W_T] != NONE:
        transpose_weights(model, room, groups[begin, LAYER], groups[begin, FIRST], groups[end - 1, LAST])


@part
def lines(m, vector):
    """Over how many lines m examples go."""
    return (m + LINE * vector - 1) // (LINE * vector)


@part
def propagate_all(model, batches, room, rows, soon, rank, s, first, last):
    """`propagate`, block by block: a few examples that are left over go with the last one."""
    vector = lanes(model.theta)
    block = BLOCK // REGISTER_BYTES * vector
    while first < last:
        end = first + block if last - first > block + vector else last
        propagate(model, batches, room, rows, soon, rank, s, first, end)
        first = end


@kernel
def first_half(model, batches, room, rows, soon, rank, begin, end, more):
    """Forward and back for these shards, and their gradients; or, if there is one, for these lines of its examples."""
    layers, vector, n_shards = model.layers, lanes(model.theta), room.work.shape[0]
    if n_shards == 1:
        propagate_all(model, batches, room, rows, soon, rank, 0, begin * LINE * vector,
                      min(end * LINE * vector, rows.size))
        return
    for s in range(begin, end):
        first, last = share(rows.size, s, n_shards)
        own, own_soon = rows[first:last], soon[min(first, soon.size - 1):last]
        propagate_all(model, batches, room, own, own_soon, rank, s, 0, own.size)
        for l in range(layers.shape[0]):
            gradient(model, batches, room, own, own_soon, s, l, 0, layers[l, N_OUT], more, room.G[s], room.G[s])


@part
def rows_of_group(vector):
    """How many rows of activations are one unit of work: whole vectors, for the panels; and a tile."""
    return max(vector, FEW)


@kernel
def row_groups(n, rows):
    """Over how many groups of so many rows n rows of activations go; the last has more rather than less than FEW."""
    return max(1, (n + rows - FEW) // rows)


@kernel
def n_phases(model, room):
    """How many times the members of a team meet in a step: see `phase`."""
    n_layers = model.layers.shape[0]
    return n_layers + 2 * max(n_layers - 2, 0) + 2 if room.by_layers else 2


@kernel
def layer_of(number, n_layers):
    """Whose activations or dZ the groups of rows are that phase `number` has."""
    return number - 1 if number < n_layers else n_layers - 3 - (number - n_layers - 1) // 2


@kernel
def n_units(model, room, m, number):
    """How many units of work phase `number` has, and how many of them had better be taken together."""
    n_layers, vector, n_shards = model.layers.shape[0], lanes(model.theta), room.work.shape[0]
    if number == n_phases(model, room) - 1:
        return room.groups.shape[0], 1
    if n_shards > 1:
        return n_shards, 1
    if not room.by_layers or number == 0 or number == n_layers:
        return lines(m, vector), TOGETHER
    return row_groups(model.layers[layer_of(number, n_layers), N_OUT], rows_of_group(vector)), 1


@kernel
def back_by_rows(model, room, l, begin, end, m, which):
    """Some units of the work at dZ_l: a unit is a group of its rows.

    Half of the rows of dZ_{l+1} are likely to be in this member's cache, because it has made them; the others would
    have to come from another core.  So it takes its own to the rows of dZ_l that are the other's, first: the PART that
    waits.  Then, to its own rows, what is the REST: and all that comes from the other core is the part for those.
    """
    layers, work, width, group = model.layers, room.work[0], room.width, rows_of_group(lanes(model.theta))
    n, n_above = layers[l, N_OUT], layers[l + 1, N_OUT]
    groups, middle = row_groups(n, group), row_groups(n_above, group) // 2 * group
    half = groups // 2
    turn = groups - half if which == PART else half                        # before it, units with the first half's dZ
    while begin < end:
        is_second = begin >= turn
        next_begin = end if is_second else min(end, turn)
        shift = 0
        if which == PART:
            shift = -turn if is_second else half
        k, stop = (begin + shift) * group, n if next_begin + shift == groups else (next_begin + shift) * group
        back(model, room, work, width, l + 1, k, stop, middle if is_second else 0, n_above if is_second else middle,
             0, m, which)
        begin = next_begin


@kernel
def phase(model, batches, room, rule, rows, soon, rank, number, begin, end, more, final, per_example, rate):
    """Some units of one phase of a step.

    There are two, the halves of the step.  By layers there are more, because what the members have made of the rows of
    one layer, all of them take for the next:

        0          A_0; a unit is a line of examples
        1 ...      A_1 to A_{L-1}; a unit is a group of rows
        L          Z_L, the loss, dZ_L and dZ_{L-1}; a line of examples
        L + 1 ...  dZ_{L-2} to dZ_1, two phases for each: see `back_by_rows`; a group of rows
        the last   the parameters; a group of rows of the weights
    """
    layers, n_layers, work, width, m = model.layers, model.layers.shape[0], room.work[0], room.width, rows.size
    vector = lanes(model.theta)
    if number == n_phases(model, room) - 1:
        second_half(model, batches, room, rule, rows, soon, rank, begin, end, more, final, per_example, rate)
    elif not room.by_layers:
        first_half(model, batches, room, rows, soon, rank, begin, end, more)
    elif number == 0:
        first, last = begin * LINE * vector, min(end * LINE * vector, m)
        begin_with(model, batches, room, rows, work, inputs(model, work, width, 0), first, last)
    elif number == n_layers:
        first, last, l = begin * LINE * vector, min(end * LINE * vector, m), n_layers - 1
        forward(model, inputs(model, work, width, l), work, width, l, 0, layers[l, N_OUT], first, last)
        turn_back(model, batches, room, rows, work, first, last)
        if l > 0:
            back(model, room, work, width, l, 0, layers[l, N_IN], 0, layers[l, N_OUT], first, last, ALL)
    elif number > n_layers:
        back_by_rows(model, room, layer_of(number, n_layers), begin, end, m, PART if (number - n_layers) % 2 else REST)
    else:
        l = layer_of(number, n_layers)
        n, group = layers[l, N_OUT], rows_of_group(vector)
        j, stop = begin * group, n if end == row_groups(n, group) else end * group
        forward(model, inputs(model, work, width, l), work, width, l, j, stop, 0, m)
        if layers[l + 1, A_T] != NONE:
            A = inputs(model, work, width, l + 1)
            panels(A, transposed(model, work, width, l + 1), j, stop, 0, m, room.A_T_streamed)


@kernel
def second_half(model, batches, room, rule, rows, soon, rank, begin, end, more, final, per_example, rate):
    """The gradient, unless the shards have theirs, and after the final chunk the update, for these groups of rows."""
    layers, groups = model.layers, room.groups
    while begin < end:
        l, j, turn = groups[begin, LAYER], groups[begin, FIRST], begin + 1
        while turn < end and groups[turn, LAYER] == l and groups[turn, LAST] - j <= layers[l, TURN]:
            turn += 1
        G_W, G_b = gradients(model, room, rank, begin)
        if room.work.shape[0] == 1:
            gradient(model, batches, room, rows, soon, 0, l, j, groups[turn - 1, LAST], more, G_W[0], G_b[0])
        if final:
            update(model, room, rule, begin, turn, per_example, rate, G_W, G_b)
        begin = turn


@kernel
def first_group(groups, place):
    """The first group whose middle is not before this place in theta."""
    low, high = 0, groups.shape[0]
    while low < high:
        g = (low + high) // 2
        if groups[g, MIDDLE] < place:
            low = g + 1
        else:
            high = g
    return low


@part
def penalty(room):
    """alpha / 2 times the sum of the squares of the weights, as they were before the update."""
    total = room.squares.dtype.type(0)
    for g in range(room.squares.size):
        total += room.squares[g]
    return total * room.squares.dtype.type(0.5)


@part
def minibatch(batches, step):
    """The rows of this step's examples, and what the loss of each counts for in the mean."""
    number, order = batches.weights.dtype.type, batches.order
    steps_per_epoch = (order.size + batches.batch_size - 1) // batches.batch_size
    start = (batches.first_step + step) % steps_per_epoch * batches.batch_size
    rows = order[start:min(start + batches.batch_size, order.size)]
    total = number(rows.size)
    if batches.weights.size:
        total = number(0)
        for row in rows:
            total += batches.weights[row]
    return rows, number(1) / total if total > 0 else number(0)             # a batch of weight zero has no gradient


@part
def steps(rank, size, team, model, batches, room, rule, costs):
    """The part of one member of the team in a run of steps.  costs (n_steps, 2): mean loss and penalty of each."""
    number, n = model.theta.dtype.type, model.theta.size
    n_shards, chunk, groups = room.work.shape[0], room.chunk, room.groups
    first, last = share(groups.shape[0], rank, size)
    for g in range(first, last):
        if model.layers[groups[g, LAYER], W_T] != NONE:
            transpose_weights(model, room, groups[g, LAYER], groups[g, FIRST], groups[g, LAST])
    barrier(team, size)
    turn = 0                                                               # of the two queues
    following, per_following = minibatch(batches, 0)
    for step in range(rule.rates.size):
        batch, per_example = following, per_following
        following, per_following = minibatch(batches, step + 1)
        m, cost = batch.size, number(0)
        for done in range(batches.begin, min(batches.end, m), chunk):
            rows, more, final = batch[done:done + chunk], done > 0, done + chunk >= m
            soon = following if final else batch[done + chunk:]
            for p in range(n_phases(model, room)):
                is_last, (units, together) = p == n_phases(model, room) - 1, n_units(model, room, rows.size, p)
                for i in range(size):                                      # one's own part, then what others have left
                    owner = (rank + i) % size
                    first, last = share(units, owner, size)
                    if is_last:                                            # as many parameters for each
                        first = first_group(groups, n * owner // size)
                        last = first_group(groups, n * (owner + 1) // size)
                    begin, end = take(team, turn, rank, size, owner, first, last, together)
                    while begin < end:
                        phase(model, batches, room, rule, rows, soon, rank, p, begin, end, more, final, per_example,
                              rule.rates[step])
                        begin, end = take(team, turn, rank, size, owner, first, last, together)
                if is_last and rank == 0:
                    for s in range(n_shards):
                        first, last = share(rows.size, s, n_shards)
                        cost += sum_first(matrix(room.work[s], room.losses, 1, room.width), last - first)
                turn = 1 - turn
                new_queue(team, turn, rank)
                barrier(team, size)
        if rank == 0:
            costs[step, 0] = cost * per_example + (costs[step, 0] if batches.begin > 0 else number(0))
            costs[step, 1] = penalty(room) * per_example


@entry
def train(wanted, team, model, batches, room, rule, costs):
    """A run of steps, as one of `wanted` threads that make this call: alone, or in the region below."""
    rank, size = roll_call(team, wanted)
    if rank < size:
        mode = flush_subnormals()
        steps(rank, size, team, model, batches, room, rule, costs)
        restore_mode(mode)


@entry(nogil=False)
def train_briefly(address, wanted, team, model, batches, room, rule, costs):
    """`train`, by its address, and the GIL is kept: to get it back from a busy thread takes 5 ms."""
    call(address, wanted, team, model, batches, room, rule, costs)


@entry
def train_team(address, wanted, team, model, batches, room, rule, costs):
    """`train`, by its address, on a team of up to `wanted` threads in one parallel region."""
    function, frame = packed(address, wanted, team, model, batches, room, rule, costs)
    region(wanted, function, frame)


@entry(nogil=False)
def train_team_briefly(address, wanted, team, model, batches, room, rule, costs):
    """`train_team`, and the GIL is kept."""
    function, frame = packed(address, wanted, team, model, batches, room, rule, costs)
    region(wanted, function, frame)
