"""Steps with examples along the lanes, in columns: the way of large networks and large batches.

A step has two halves.  In the first, the examples of the batch are shared out: each worker takes its columns, a block
at a time, through the whole network and back, to dZ of every layer.  In the second, the parameters are shared out: each
worker sums dW = dZ A^T of its rows over all the examples and updates them while they are in its cache.  What others
will read, parameters and transposed activations, it writes past its caches on the processors where that is faster: see
`machine.host.STREAMS`.

What travels between the cores is then the activations, and the parameters.  Where these are many, or a batch has no
equal halves, the workers share out the units of one layer after the other instead: a weight is then read by one worker,
forward and back, and there are barriers after each layer.

Where a network has fewer parameters than activations, the batch is cut into shards: dW of a shard is formed by the
worker that has its columns, and what travels is the gradients.  The number of shards is the network's, not the team's.

If the first layer has few units and many inputs, it takes the rows of X where they are: see `products.rows`.
"""

from fastnn.kernels.laws.activations import KEPT, LINEAR, RELU
from fastnn.kernels.laws.optimizers import AVERAGE
from fastnn.kernels.laws.units import activate, loss_and_dZ, loss_and_dZ_of_classes, sum_first, update, weigh
from fastnn.kernels.layouts.columns import BLOCK, FIRST, LAST, LAYER, LINE, MIDDLE, NONE, TOGETHER
from fastnn.kernels.layouts.run import (
    A_IN,
    A_OUT,
    A_T,
    DROPPED,
    DZ,
    FORM,
    N_IN,
    N_OUT,
    ROW,
    ROWS_AT_ONCE,
    SLOPE,
    VALUE,
    W_T,
    B,
    W,
)
from fastnn.kernels.machine.host import COLS, REGISTER_BYTES
from fastnn.kernels.machine.jit import kernel, part
from fastnn.kernels.machine.simd import SHORT, lanes, load_first, matrix, maximum, splat, store, store_first, zero
from fastnn.kernels.machine.team import share
from fastnn.kernels.products import norms
from fastnn.kernels.products.columns import affine, backproject, gather, inner, outer, panels, row_sums
from fastnn.kernels.products.dropout import drop_columns, key_of
from fastnn.kernels.products.rows import inner_products, sum_of_rows
from fastnn.kernels.run import loop

#: Which of the rows of dZ `back` takes.
ALL, FIRST_PART, REST = range(3)


@part
def inputs(model, work, width, l):
    """A_{l-1}, which layer l takes."""
    return matrix(work, model.layers[l, A_IN], model.layers[l, N_IN], width)


@part
def kept(model, work, width, l, j, n):
    """What is kept of g'(Z_l) in n rows from j; no rows, if its law keeps nothing."""
    return matrix(work, model.layers[l, SLOPE] + j * width, n if model.layers[l, FORM] == KEPT else 0, width)


@kernel
def forward(model, A, work, width, l, j, end, first, last):
    """A_l = g(W_l A_{l-1} + b_l), in rows from j to end and columns from first to last; the last layer stops at Z."""
    layer, n_in, n_out = model.layers[l], model.layers[l, N_IN], end - j
    Z = matrix(work, layer[A_OUT] + j * width, n_out, width)
    affine(
        matrix(model.theta, layer[W] + j * n_in, n_out, n_in),
        model.theta[layer[B] + j :],
        A,
        Z,
        first,
        last,
        layer[FORM] == RELU,
    )
    activate(layer[VALUE], Z, kept(model, work, width, l, j, n_out), first, last + (first - last) % lanes(work))


@part
def drop(model, step, rows, work, width, l, j, end, first, last):
    """Dropout of A_l, which layer l + 1 takes, in rows from j to end and columns from first to last."""
    if l + 1 < model.layers.shape[0] and model.layers[l + 1, DROPPED]:
        A = matrix(work, model.layers[l, A_OUT] + j * width, end - j, width)
        D, key = kept(model, work, width, l, j, end - j), key_of(step.seed, step.of_all, l + 1)
        drop_columns(A, D, rows, key, j, model.layers[l + 1, DROPPED], first, last)


@kernel
def forward_in_place(model, X, rows, next_rows, work, width, first, last):
    """A_1 = g(W_1 X^T + b_1) of these rows of X, in columns from first to last; the next ones are asked for."""
    layer = model.layers[0]
    n_in, n_out, full = layer[N_IN], layer[N_OUT], lanes(work)
    Z = matrix(work, layer[A_OUT], n_out, width)
    for j in range(n_out):
        z = matrix(work, layer[A_OUT] + j * width, 1, width)
        inner_products(
            X,
            rows,
            next_rows if j == 0 else rows,
            matrix(model.theta, layer[W] + j * n_in, 1, n_in),
            matrix(z, first, 1, width - first),
        )
        b = splat(work, model.theta[layer[B] + j])
        for i in range(first, last, full):
            z_i = load_first(z, 0, i, last - i) + b
            store_first(z, 0, i, last - i, maximum(z_i, zero(work)) if layer[FORM] == RELU else z_i)
    activate(layer[VALUE], Z, kept(model, work, width, 0, 0, n_out), first, last)


@part
def transposed(model, work, width, l):
    """A_T of layer l, in panels."""
    across = COLS * lanes(work)
    return matrix(work, model.layers[l, A_T], (model.layers[l, N_IN] + across - 1) // across * width, across)


@part
def transpose_weights(model, room, l, j, end):
    """W_T = W^T of layer l, in the rows of W from j, where a vector starts, to end."""
    layer = model.layers[l]
    W_T_l = matrix(room.W_T, layer[W_T], layer[N_IN], layer[ROW])
    gather(matrix(model.theta, layer[W], layer[N_OUT], layer[N_IN]), room.rows, W_T_l, W_T_l, j, end, False, False)


@kernel
def back(model, room, work, l, k, end, j, stop, first, last, which):
    """dZ_{l-1} = W_l^T dZ_l * g'(Z_{l-1}) in the rows from k to end and the columns from first to last.

    Of the rows of dZ_l, it takes those from j to stop: ALL, or a FIRST_PART, whose product waits until the REST is
    there.
    """
    layers, width, n_in, n = model.layers, room.width, model.layers[l, N_IN], end - k
    is_transposed = layers[l, W_T] != NONE
    W_l = matrix(model.theta, layers[l, W] + j * n_in + k, stop - j, n_in)  # from its column k on
    if is_transposed:
        W_l = matrix(room.W_T, layers[l, W_T] + k * layers[l, ROW] + j, n_in, layers[l, ROW])
    slope = matrix(work, layers[l - 1, SLOPE] + k * width, n, width)
    dZ = matrix(work, layers[l - 1, DZ] + k * width, n, width)
    waiting = matrix(work, room.waiting + k * width, n, width)
    backproject(
        W_l,
        is_transposed,
        matrix(work, layers[l, DZ] + j * width, stop - j, width),
        waiting if which == REST else waiting[:0],
        slope,
        waiting if which == FIRST_PART else dZ,
        first,
        last,
        LINEAR if which == FIRST_PART else layers[l - 1, FORM],
    )


@kernel
def begin_with(model, batches, room, step, rows, work, A, first, last):
    """X of the examples from first to last, as columns of A_0, if that is wanted, and their targets."""
    layers, width = model.layers, room.width
    if layers[0, A_IN] != NONE:
        A_T_0, is_kept, is_dropped = transposed(model, work, width, 0), layers[0, A_T] != NONE, layers[0, DROPPED] > 0
        gather(batches.X, rows, A, A_T_0, first, last, is_kept and not is_dropped, room.A_T_streamed)
        if is_dropped:
            key = key_of(step.seed, step.of_all, 0)
            drop_columns(A, A[:0], rows, key, 0, layers[0, DROPPED], first, last)
            if is_kept:
                panels(A, A_T_0, 0, A.shape[0], first, last, room.A_T_streamed)
    targets(model, batches, room, rows, work, first, last)


@part
def targets(model, batches, room, rows, work, first, last):
    """Y of the examples from first to last, as columns, if these are not classes."""
    n_y = model.layers[model.layers.shape[0] - 1, N_OUT]
    Y_T = matrix(work, room.Y_T, n_y, room.width)
    if n_y == 1:
        for i in range(first, last):
            Y_T[0, i] = batches.Y[rows[i], 0]
        for i in range(last, last + (first - last) % lanes(work)):
            Y_T[0, i] = Y_T[0, last - 1]
    elif batches.Y.shape[1] == n_y:
        gather(batches.Y, rows, Y_T, Y_T, first, last, False, False)


@part
def loss_and_output_gradient(model, batches, room, rows, work, first, last):
    """The losses of the examples from first to last, and dZ_L."""
    layers, width = model.layers, room.width
    n_layers, end = layers.shape[0], last + (first - last) % lanes(work)
    n_y = layers[n_layers - 1, N_OUT]
    dZ, losses = matrix(work, layers[n_layers - 1, A_OUT], n_y, width), matrix(work, room.losses, 2, width)
    activate(model.output, dZ, dZ[:0], first, end)
    if batches.Y.shape[1] < n_y:
        loss_and_dZ_of_classes(dZ, batches.Y, rows, losses[0], first, last)
    else:
        loss_and_dZ(model.loss, dZ, matrix(work, room.Y_T, n_y, width), losses[0], model.constants, first, end)
    if batches.weights.size:
        weigh(dZ, losses[0], losses[1], batches.weights, rows, first, last)
    if last < end:  # what is summed over the examples is summed over whole vectors
        i = end - lanes(work)
        for j in range(n_y):
            store(dZ, j, i, load_first(dZ, j, i, last - i))


@kernel
def propagate(run, step, rows, next_rows, rank, s, first, last):
    """Forward propagation, the loss, and back to dZ_1, in the columns from first to last of shard s.

    Column i of the shard is example rows[i], and next_rows[i] comes next.  Where nothing but this pass takes A_0, it is
    made in the room that this worker has for it, again and again, because that stays in the cache: its first column is
    number `first`.
    """
    model, batches, room = run.model, run.batches, run.room
    layers, work, width = model.layers, room.work[s], room.width
    A = inputs(model, work, width, 0)
    if layers[0, A_T] != NONE:
        A = matrix(room.own[rank], -first, layers[0, N_IN], room.block_width)
    begin_with(model, batches, room, step, rows, work, A, first, last)
    for l in range(layers.shape[0]):
        if l > 0:
            A = inputs(model, work, width, l)
            if layers[l, A_T] != NONE:
                panels(A, transposed(model, work, width, l), 0, A.shape[0], first, last, room.A_T_streamed)
        if layers[l, A_IN] != NONE:
            forward(model, A, work, width, l, 0, layers[l, N_OUT], first, last)
        else:
            forward_in_place(
                model,
                batches.X,
                rows[first:last],
                next_rows[min(first, next_rows.size - 1) :],
                work,
                width,
                first,
                last,
            )
        drop(model, step, rows, work, width, l, 0, layers[l, N_OUT], first, last)
    loss_and_output_gradient(model, batches, room, rows, work, first, last)
    for l in range(layers.shape[0] - 1, 0, -1):
        back(model, room, work, l, 0, layers[l, N_IN], 0, layers[l, N_OUT], first, last, ALL)


@part
def gradients(model, room, rank, g):
    """G of the weights and G of the biases, by the places of theta, for the layer of these groups: from g on.

    If there is one shard, and one chunk, a gradient is used up where it is formed.  It has then no place of its own,
    but one that stays in the cache: the weights at the start of what a worker has for it, the biases at its end.
    """
    G, n, group = room.G, model.theta.size, room.groups[g]
    if G.shape[1] >= n:
        return G, G
    layer, end = model.layers[group[LAYER]], G.shape[1] - room.rows.size
    start = layer[W] + group[FIRST] * layer[N_IN]
    start -= start % lanes(G)  # a vector of G is one of memory where one of theta is
    return matrix(G[rank], -start, 1, n), matrix(G[rank], end - layer[B] - group[FIRST], 1, n)


@kernel
def gradient(run, rows, next_rows, s, l, j, end, accumulate, G_W, G_b):
    """dW = dZ A^T and db of layer l, in the rows from j to end, over the examples `rows` of shard s.  G (n_params).

    And the examples that come next are asked for: see `outer`.
    """
    model, X, room = run.model, run.batches.X, run.room
    layers, work, width, m = model.layers, room.work[s], room.width, rows.size
    n_in, n_out = layers[l, N_IN], layers[l, N_OUT]
    if layers[l, A_IN] == NONE:
        for unit in range(j, end):
            sum_of_rows(
                matrix(work, layers[l, DZ] + unit * width, 1, width),
                X,
                rows,
                matrix(G_W, layers[l, W] + unit * n_in, 1, n_in),
                accumulate,
            )
        dZ, db = matrix(work, layers[l, DZ], n_out, width), matrix(G_b, layers[l, B], 1, n_out)
        row_sums(dZ, db, j, end, m, accumulate)
    else:
        product_gradient(
            model, room, work, X, next_rows if l == 0 else next_rows[:0], m, l, j, end, accumulate, G_W, G_b
        )


@part
def product_gradient(model, room, work, X, next_rows, m, l, j, end, accumulate, G_W, G_b):
    """dW = dZ A^T and db of layer l, by the product that suits its shape."""
    layers, width, n_in, n_out = model.layers, room.width, model.layers[l, N_IN], model.layers[l, N_OUT]
    dZ = matrix(work, layers[l, DZ], n_out, width)
    dW, db = matrix(G_W, layers[l, W], n_out, n_in), matrix(G_b, layers[l, B], 1, n_out)
    if layers[l, A_T] == NONE:
        A = inputs(model, work, width, l)
        if n_out > 1:
            inner(dZ, A, dW, db, j, end, m, accumulate)
        elif j < end:
            inner(A, dZ, matrix(G_W, layers[l, W], n_in, 1), matrix(G_b, 0, 1, 0), 0, n_in, m, accumulate)
            row_sums(dZ, db, j, end, m, accumulate)
    else:
        outer(dZ, transposed(model, work, width, l), dW, X, next_rows, j, end, m, accumulate)
        row_sums(dZ, db, j, end, m, accumulate)


@part
def update_groups(run, step, clip, begin, end, G_W, G_b):
    """Weights and biases of these groups of rows, which are of one layer, by G (n_shards, n_params) times clip."""
    model, room, rule = run.model, run.room, run.rule
    l, n, none = room.groups[begin, LAYER], model.theta.size, room.squares[:0]
    theta, moments = matrix(model.theta, 0, 1, n), matrix(rule.moments, 0, rule.moments.size // n, n)
    is_constrained = rule.max_norm > 0 and l < model.layers.shape[0] - 1
    streamed = room.theta_streamed and not is_constrained
    update(rule, theta, G_W, moments, room.squares, room.weights, begin, end, step, clip, streamed)
    update(rule, theta, G_b, moments, none, room.biases, begin, end, step, clip, False)
    if is_constrained:
        n_in, first = model.layers[l, N_IN], room.groups[begin, FIRST]
        start, n_rows = model.layers[l, W] + first * n_in, room.groups[end - 1, LAST] - first
        place, n_averages = moments.shape[0] * n - n + start, n_rows if step.numbers[AVERAGE] > 0 else 0
        average = matrix(rule.moments, place, n_averages, n_in)
        W_rows = matrix(model.theta, start, n_rows, n_in)
        norms.constrain_rows(W_rows, rule.max_norm, average, step.numbers[AVERAGE])
    if model.layers[l, W_T] != NONE:
        transpose_weights(model, room, l, room.groups[begin, FIRST], room.groups[end - 1, LAST])


@part
def lines(m, vector):
    """Over how many lines m examples go."""
    return (m + LINE * vector - 1) // (LINE * vector)


@part
def propagate_all(run, step, rows, next_rows, rank, s, first, last):
    """`propagate`, block by block: a few examples that are left over go with the last one."""
    vector = lanes(run.model.theta)
    block = BLOCK // REGISTER_BYTES * vector
    while first < last:
        end = first + block if last - first > block + vector else last
        propagate(run, step, rows, next_rows, rank, s, first, end)
        first = end


@kernel
def first_half(run, step, rank, begin, end):
    """Forward and back for these shards, and their gradients; or, if there is one, for these lines of its examples."""
    layers, vector, n_shards = run.model.layers, lanes(run.model.theta), run.room.work.shape[0]
    rows, next_rows = step.rows, step.next_rows
    if n_shards == 1:
        propagate_all(run, step, rows, next_rows, rank, 0, begin * LINE * vector, min(end * LINE * vector, rows.size))
        return
    for s in range(begin, end):
        first, last = share(rows.size, s, n_shards)
        own, own_next = rows[first:last], next_rows[min(first, next_rows.size - 1) : last]
        propagate_all(run, step, own, own_next, rank, s, 0, own.size)
        for l in range(layers.shape[0]):
            gradient(run, own, own_next, s, l, 0, layers[l, N_OUT], step.accumulate, run.room.G[s], run.room.G[s])


@part
def rows_of_group(vector):
    """How many rows of activations are one unit of work: whole vectors, for the panels; and a tile."""
    return max(vector, SHORT)


@kernel
def row_groups(n, rows):
    """Over how many groups of so many rows n rows of activations go; the last has more rather than less than SHORT."""
    return max(1, (n + rows - SHORT) // rows)


@kernel
def n_phases(run):
    """The two halves of the step, the second of which is two if gradients are clipped; by layers more: see `work`."""
    n_layers, more = run.model.layers.shape[0], 1 if run.rule.clip_norm > 0 else 0
    return (n_layers + 2 * max(n_layers - 2, 0) + 2 if run.room.by_layers else 2) + more


@part
def is_of_parameters(run, phase):
    """Whether a phase shares out the parameters."""
    return phase >= n_phases(run) - (2 if run.rule.clip_norm > 0 else 1)


@kernel
def layer_of(phase, n_layers):
    """Whose activations or dZ the groups of rows are that this phase has."""
    return phase - 1 if phase < n_layers else n_layers - 3 - (phase - n_layers - 1) // 2


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


@kernel
def part_of(run, step, phase, rank, size):
    """Equal parts; of the parameters, as many for each."""
    model, room, m = run.model, run.room, step.rows.size
    n_layers, vector, n_shards, n = model.layers.shape[0], lanes(model.theta), room.work.shape[0], model.theta.size
    if is_of_parameters(run, phase):
        return first_group(room.groups, n * rank // size), first_group(room.groups, n * (rank + 1) // size), 1
    if n_shards > 1:
        units, together = n_shards, 1
    elif not room.by_layers or phase == 0 or phase == n_layers:
        units, together = lines(m, vector), TOGETHER
    else:
        units, together = row_groups(model.layers[layer_of(phase, n_layers), N_OUT], rows_of_group(vector)), 1
    first, last = share(units, rank, size)
    return first, last, together


@part
def is_private(phase):
    """Nothing is."""
    return False


@kernel
def back_by_rows(run, l, begin, end, m, which):
    """Some units of the work at dZ_l: a unit is a group of its rows.

    Half of the rows of dZ_{l+1} are likely to be in this worker's cache, because it has made them; the others would
    have to come from another core.  So it takes its own to the rows of dZ_l that are the other's, first: the
    FIRST_PART, which waits.  Then, to its own rows, what is the REST: and all that comes from the other core is the
    part for those.
    """
    layers, group = run.model.layers, rows_of_group(lanes(run.model.theta))
    n, n_above = layers[l, N_OUT], layers[l + 1, N_OUT]
    groups, middle = row_groups(n, group), row_groups(n_above, group) // 2 * group
    half = groups // 2
    bound = groups - half if which == FIRST_PART else half  # before it, units with the first half's dZ
    while begin < end:
        is_second = begin >= bound
        next_begin = end if is_second else min(end, bound)
        shift = 0
        if which == FIRST_PART:
            shift = -bound if is_second else half
        k, stop = (begin + shift) * group, n if next_begin + shift == groups else (next_begin + shift) * group
        back(
            run.model,
            run.room,
            run.room.work[0],
            l + 1,
            k,
            stop,
            middle if is_second else 0,
            n_above if is_second else middle,
            0,
            m,
            which,
        )
        begin = next_begin


@kernel
def work(run, worker, step, phase, begin, end):
    """Some units of one phase of a step.

    There are two, the halves of the step.  By layers there are more, because what the workers have made of the rows of
    one layer, all of them take for the next:

        0          A_0; a unit is a line of examples
        1 ...      A_1 to A_{L-1}; a unit is a group of rows
        L          Z_L, the loss, dZ_L and dZ_{L-1}; a line of examples
        L + 1 ...  dZ_{L-2} to dZ_1, two phases for each: see `back_by_rows`; a group of rows
        the last   the parameters; a group of rows of the weights

    Where gradients are clipped, they are formed in a phase of their own, before the last.
    """
    model, batches, room, rows = run.model, run.batches, run.room, step.rows
    layers, n_layers, work, width, m = model.layers, model.layers.shape[0], room.work[0], room.width, rows.size
    vector = lanes(model.theta)
    if phase == n_phases(run) - 1:
        second_half(run, step, worker.rank, begin, end)
    elif is_of_parameters(run, phase):
        gradients_and_norms(run, step, worker.rank, begin, end)
    elif not room.by_layers:
        first_half(run, step, worker.rank, begin, end)
    elif phase == 0:
        first, last = begin * LINE * vector, min(end * LINE * vector, m)
        begin_with(model, batches, room, step, rows, work, inputs(model, work, width, 0), first, last)
    elif phase == n_layers:
        first, last, l = begin * LINE * vector, min(end * LINE * vector, m), n_layers - 1
        forward(model, inputs(model, work, width, l), work, width, l, 0, layers[l, N_OUT], first, last)
        loss_and_output_gradient(model, batches, room, rows, work, first, last)
        if l > 0:
            back(model, room, work, l, 0, layers[l, N_IN], 0, layers[l, N_OUT], first, last, ALL)
    elif phase > n_layers:
        back_by_rows(run, layer_of(phase, n_layers), begin, end, m, FIRST_PART if (phase - n_layers) % 2 else REST)
    else:
        l = layer_of(phase, n_layers)
        n, group = layers[l, N_OUT], rows_of_group(vector)
        j, stop = begin * group, n if end == row_groups(n, group) else end * group
        forward(model, inputs(model, work, width, l), work, width, l, j, stop, 0, m)
        drop(model, step, rows, work, width, l, j, stop, 0, m)
        if layers[l + 1, A_T] != NONE:
            A = inputs(model, work, width, l + 1)
            panels(A, transposed(model, work, width, l + 1), j, stop, 0, m, room.A_T_streamed)


@kernel
def gradients_and_norms(run, step, rank, begin, end):
    """The gradient, unless the shards have theirs, and after the final chunk its squares, for these groups of rows."""
    room = run.room
    for g in range(begin, end):
        G = gradients(run.model, room, rank, g)[0]
        if room.work.shape[0] == 1:
            l, j, stop = room.groups[g, LAYER], room.groups[g, FIRST], room.groups[g, LAST]
            gradient(run, step.rows, step.next_rows, 0, l, j, stop, step.accumulate, G[0], G[0])
        if step.is_final:
            room.gradient_squares[g] = norms.sum_of_squares(G, room.weights[g, 0], room.weights[g, 1])
            room.gradient_squares[g] += norms.sum_of_squares(G, room.biases[g, 0], room.biases[g, 1])


@kernel
def second_half(run, step, rank, begin, end):
    """The gradient, unless there is one, and after the final chunk the update, for these groups of rows."""
    is_clipped, clip = run.rule.clip_norm > 0, run.model.theta.dtype.type(1)
    if is_clipped and step.is_final:
        clip = norms.clip(run.room.gradient_squares, step.mean_factor, run.rule.clip_norm)
    layers, groups = run.model.layers, run.room.groups
    while begin < end:
        l, j, stop = groups[begin, LAYER], groups[begin, FIRST], begin + 1
        while stop < end and groups[stop, LAYER] == l and groups[stop, LAST] - j <= layers[l, ROWS_AT_ONCE]:
            stop += 1
        G_W, G_b = gradients(run.model, run.room, rank, begin)
        if run.room.work.shape[0] == 1 and not is_clipped:
            gradient(run, step.rows, step.next_rows, 0, l, j, groups[stop - 1, LAST], step.accumulate, G_W[0], G_b[0])
        if step.is_final and clip > 0:
            update_groups(run, step, clip, begin, stop, G_W, G_b)
        begin = stop


@part
def begin(run, worker):
    """The transposed copies of the weights."""
    groups = run.room.groups
    first, last = share(groups.shape[0], worker.rank, worker.size)
    for g in range(first, last):
        if run.model.layers[groups[g, LAYER], W_T] != NONE:
            transpose_weights(run.model, run.room, groups[g, LAYER], groups[g, FIRST], groups[g, LAST])


@part
def loss(run, worker, step):
    """The sum of the losses of the examples of all shards."""
    room, total, n_shards = run.room, run.model.theta.dtype.type(0), run.room.work.shape[0]
    for s in range(n_shards):
        first, last = share(step.rows.size, s, n_shards)
        total += sum_first(matrix(room.work[s], room.losses, 1, room.width), last - first)
    return total


@part
def end(run, worker, costs):
    """Theta is where it was."""


train = loop("by_columns", begin, n_phases, part_of, is_private, work, loss, end)
