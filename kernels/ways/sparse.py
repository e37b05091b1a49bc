"""Steps with examples of which most numbers are zero, such as texts: the first layer takes the others alone.

Its weights are W_1^T (n_x, n_1) in theta, a row for each feature.  The other layers are those of `ways.columns`.  In a
step, only the features of its examples are touched:

    Z_1 = sum over k of x_k W_1^T[k] + b_1, of each example         dW_1^T[k] = sum of x_k dZ_1 over the examples

The optimizer moves every weight in every step: by the penalty, and by moments that die away.  Of a feature that does
not occur that is put off, and caught up with when it does, or at the end of the call: in registers, several steps in
one go, where a pass over all the weights would be a step from memory.  Nothing is left out, and each number is the same
as if it had been done at once.  So is the penalty of each step, but it is known when all have caught up with it.

Features are in sections, by blocks of BLOCK, which the workers share out: a row of W_1^T is moved by one worker at a
time.
"""

from fastnn.kernels.laws.activations import RELU
from fastnn.kernels.laws.units import activate, advance, sum_first
from fastnn.kernels.layouts.columns import FIRST, LAST, LAYER, LINE, NONE
from fastnn.kernels.layouts.examples import Rows
from fastnn.kernels.layouts.run import A_OUT, DROPPED, DZ, FORM, N_IN, N_OUT, VALUE, B, W
from fastnn.kernels.layouts.sparse import BLOCK, N_SECTIONS
from fastnn.kernels.machine.jit import kernel, part
from fastnn.kernels.machine.simd import (
    lanes,
    load,
    matrix,
    maximum,
    scales_of_units,
    splat,
    store,
    store_first,
    sum_lanes,
    zero,
)
from fastnn.kernels.machine.team import barrier, share
from fastnn.kernels.products import norms
from fastnn.kernels.products.columns import gather, panels, row_sums, transpose
from fastnn.kernels.products.dropout import key_of, scale_of
from fastnn.kernels.products.norms import sum_of_squares
from fastnn.kernels.products.sparse import add_product, clear_row, product
from fastnn.kernels.run import loop, minibatch
from fastnn.kernels.ways import columns
from fastnn.kernels.ways.columns import (
    A_T,
    back,
    drop,
    forward,
    inputs,
    kept,
    loss_and_output_gradient,
    product_gradient,
    targets,
    transposed,
    update_groups,
)


@part
def section_of(k):
    return (k // BLOCK) % N_SECTIONS


@part
def first_weights(run):
    """W_1^T (n_x, n_1)."""
    layer = run.model.layers[0]
    return matrix(run.model.theta, layer[W], layer[N_IN], layer[N_OUT])


@part
def squares_of(room, section):
    """Twice the penalty on the weights of a section (n_steps, lanes)."""
    full = lanes(room.work)
    return matrix(room.step_squares, section * room.step_squares.shape[1], room.factors.size, full)


@part
def advance_rows(run, section, G, k, end, to, clip):
    """The weights of the features from k to end, all of which are in the same step, up to another one."""
    model, rule, room = run.model, run.rule, run.room
    n, n_out = model.theta.size, model.layers[0, N_OUT]
    theta, moments = matrix(model.theta, 0, 1, n), matrix(rule.moments, 0, rule.moments.size // n, n)
    first, last, squares = k * n_out, end * n_out, squares_of(room, section)
    advance(rule, theta, G, moments, squares, first, last, room.last[k], to, room.factors, clip)
    for feature in range(k, end):
        room.last[feature] = to


@kernel
def catch_up(run, step, begin, end):
    """The weights of the features of these examples, of some sections, as they are before this step."""
    X, room = run.batches.X, run.room
    nothing = matrix(run.model.theta, 0, 0, 1)
    for row in step.rows:
        for p in range(X.starts[row], X.starts[row + 1]):
            k = X.features[p]
            section = section_of(k)
            if begin <= section < end and room.last[k] < step.number:
                advance_rows(run, section, nothing, k, k + 1, step.number, nothing.dtype.type(1))


@kernel
def first_layer(model, X, rows, W_T, scratch, numbers, work, width, first, last):
    """A_1 of the examples from first to last, as columns; the last layer stops at Z.

    scratch (last - first, n_1); numbers: 0, 1 ... to last.
    """
    layer, full, n_out = model.layers[0], lanes(work), model.layers[0, N_OUT]
    Z_rows, Z = matrix(scratch, -first * n_out, last, n_out), matrix(work, layer[A_OUT], n_out, width)
    end = last + (first - last) % full
    for i in range(first, last):
        start, stop = X.starts[rows[i]], X.starts[rows[i] + 1]
        product(X.numbers[start:stop], X.features[start:stop], W_T, Z_rows, i)
    gather(Z_rows, numbers, Z, Z, first, last, False, False)
    for j in range(n_out):
        b = splat(work, model.theta[layer[B] + j])
        for i in range(first, end, full):
            z = load(Z, j, i) + b
            store(Z, j, i, maximum(z, zero(work)) if layer[FORM] == RELU else z)
    activate(layer[VALUE], Z, kept(model, work, width, 0, 0, n_out), first, end)


@part
def numbers_of(run):
    """The numbers of X, after dropout."""
    return run.room.numbers if run.room.numbers.size else run.batches.X.numbers


@kernel
def drop_numbers(X, rows, written, key, dropped, first, last):
    """X of the examples from first to last after dropout, at the places that it has in X."""
    W, scale = matrix(written, 0, 1, written.size), scale_of(written, dropped)
    for i in range(first, last):
        for p in range(X.starts[rows[i]], X.starts[rows[i] + 1]):
            m = scales_of_units(W, key, rows[i], X.features[p], dropped, scale)
            store_first(W, 0, p, 1, m * splat(W, X.numbers[p]))


@kernel
def propagate(run, step, rank, first, last):
    """Forward propagation, the loss, and back to dZ_1, of the examples from first to last; dZ_1 as rows, too."""
    model, batches, room = run.model, run.batches, run.room
    layers, work, width, X, rows = model.layers, room.work[0], room.width, batches.X, step.rows
    if layers[0, DROPPED]:
        key = key_of(step.seed, step.of_all, 0)
        drop_numbers(X, rows, room.written, key, layers[0, DROPPED], first, last)
    taken = Rows(numbers_of(run), X.features, X.starts)
    first_layer(model, taken, rows, first_weights(run), room.own[rank], room.rows, work, width, first, last)
    drop(model, step, rows, work, width, 0, 0, layers[0, N_OUT], first, last)
    targets(model, batches, room, rows, work, first, last)
    for l in range(1, layers.shape[0]):
        A = inputs(model, work, width, l)
        if layers[l, A_T] != NONE:
            panels(A, transposed(model, work, width, l), 0, A.shape[0], first, last, room.A_T_streamed)
        forward(model, A, work, width, l, 0, layers[l, N_OUT], first, last)
        drop(model, step, rows, work, width, l, 0, layers[l, N_OUT], first, last)
    loss_and_output_gradient(model, batches, room, rows, work, first, last)
    for l in range(layers.shape[0] - 1, 0, -1):
        back(model, room, work, l, 0, layers[l, N_IN], 0, layers[l, N_OUT], first, last, columns.ALL)
    transpose(matrix(work, layers[0, DZ], layers[0, N_OUT], width), room.dZ, first, last)


@kernel
def first_gradient(run, step, begin, end):
    """dW_1^T of the features of these examples, of some sections; and after the final chunk, their update."""
    X, room = run.batches.X, run.room
    most, number, n = room.features.shape[1], step.number, room.dW_T.shape[1]
    numbers = numbers_of(run)
    if not step.accumulate:
        for section in range(begin, end):
            room.n_features[section, 0] = 0
    for i in range(step.rows.size):
        row = step.rows[i]
        for p in range(X.starts[row], X.starts[row + 1]):
            k = X.features[p]
            section = section_of(k)
            if begin <= section < end:
                count, place = room.n_features[section, 0], room.places[k]
                if place >= count or room.features[section, place] != k:
                    place = count
                    room.places[k], room.features[section, place], room.n_features[section, 0] = place, k, count + 1
                    clear_row(room.dW_T, section * most + place)
                add_product(numbers[p], room.dZ, i, room.dW_T, section * most + place)
    if step.is_final:
        for section in range(begin, end):
            if run.rule.clip_norm > 0:
                used = matrix(room.dW_T, section * most * n, 1, room.n_features[section, 0] * n)
                room.gradient_squares[room.groups.shape[0] + section] = sum_of_squares(used, 0, used.shape[1])
            else:
                update_features(run, number, section, room.dW_T.dtype.type(1))


@kernel
def update_features(run, number, section, clip):
    """The update of the weights of the features of a section that occur, by their gradients times clip."""
    room = run.room
    n, most = room.dW_T.shape[1], room.features.shape[1]
    for place in range(room.n_features[section, 0]):
        k, G = room.features[section, place], matrix(room.dW_T, (section * most + place) * n, 1, n)
        advance_rows(run, section, G, k, k + 1, number + 1, clip)


@kernel
def clip_and_update(run, step, begin, end):
    """The update of some sections of features, and of some groups of rows, by gradients that are clipped."""
    room, rule = run.room, run.rule
    clip = norms.clip(room.gradient_squares, step.mean_factor, rule.clip_norm)
    if not (step.is_final and clip > 0):
        return
    G = matrix(room.G, -run.model.layers[0, B], 1, run.model.theta.size)
    for unit in range(begin, end):
        if unit < N_SECTIONS:
            update_features(run, step.number, unit, clip)
        else:
            update_groups(run, step, clip, unit - N_SECTIONS, unit - N_SECTIONS + 1, G, G)


@kernel
def other_gradients(run, step, begin, end):
    """The gradients of these groups of rows of the other weights, and of b_1; after the final chunk, their update."""
    model, room, groups, m = run.model, run.room, run.room.groups, step.rows.size
    layers, work, n = model.layers, room.work[0], model.theta.size
    G, nothing = matrix(room.G, -layers[0, B], 1, n), matrix(room.work, 0, 0, 0)
    for g in range(begin, end):
        l, j, stop = groups[g, LAYER], groups[g, FIRST], groups[g, LAST]
        if l == 0:
            dZ, db = matrix(work, layers[0, DZ], stop, room.width), matrix(G[0], layers[0, B], 1, stop)
            row_sums(dZ, db, j, stop, m, step.accumulate)
        else:
            product_gradient(model, room, work, nothing, step.rows[:0], m, l, j, stop, step.accumulate, G[0], G[0])
        if step.is_final and run.rule.clip_norm > 0:
            room.gradient_squares[g] = sum_of_squares(G, room.weights[g, 0], room.weights[g, 1])
            room.gradient_squares[g] += sum_of_squares(G, room.biases[g, 0], room.biases[g, 1])
        elif step.is_final:
            update_groups(run, step, G.dtype.type(1), g, g + 1, G, G)


@part
def begin(run, worker):
    """Every feature is in step 0."""
    room = run.room
    first, last = share(room.last.size, worker.rank, worker.size)
    for k in range(first, last):
        room.last[k] = 0
    first, last = share(N_SECTIONS, worker.rank, worker.size)
    for section in range(first, last):
        for t in range(run.rule.numbers.shape[0]):
            store(squares_of(room, section), t, 0, zero(room.work))
    columns.begin(run, worker)


@part
def n_phases(run):
    """What is put off; forward and back; the first gradient; the others; the update, if they are clipped before."""
    return 5 if run.rule.clip_norm > 0 else 4


@kernel
def part_of(run, step, phase, rank, size):
    """Equal parts."""
    units, together = N_SECTIONS, 1
    if phase == 1:
        units, together = columns.lines(step.rows.size, lanes(run.model.theta)), columns.TOGETHER
    elif phase == 3:
        units = run.room.groups.shape[0]
    elif phase == 4:
        units = N_SECTIONS + run.room.groups.shape[0]
    first, last = share(units, rank, size)
    return first, last, together


@part
def is_private(phase):
    """Nothing is."""
    return False


@kernel
def work(run, worker, step, phase, begin, end):
    """Some units of one phase of a step."""
    run.room.factors[step.number] = step.mean_factor  # by whoever works in this step: it is the same
    if phase == 0:
        catch_up(run, step, begin, end)
    elif phase == 1:
        vector, block = lanes(run.model.theta), columns.BLOCK // run.model.theta.itemsize
        last = min(end * LINE * vector, step.rows.size)
        for first in range(begin * LINE * vector, last, block):
            propagate(run, step, worker.rank, first, min(first + block, last))
    elif phase == 2:
        first_gradient(run, step, begin, end)
    elif phase == 4:
        clip_and_update(run, step, begin, end)
    else:
        other_gradients(run, step, begin, end)


@part
def loss(run, worker, step):
    """The sum of the losses of the examples."""
    return sum_first(matrix(run.room.work[0], run.room.losses, 1, run.room.width), step.rows.size)


@kernel
def end(run, worker, costs):
    """All weights catch up with the last step, unless it goes on; the penalty of each step is known then."""
    room, n_steps = run.room, run.rule.numbers.shape[0]
    m = minibatch(run.batches, n_steps - 1)[0].size
    if not run.batches.begin < m <= run.batches.end:  # the last chunk comes in another call
        return
    nothing = matrix(run.model.theta, 0, 0, 1)
    first_section, last_section = share(N_SECTIONS, worker.rank, worker.size)
    for block in range(0, room.last.size, BLOCK):
        section = section_of(block)
        if first_section <= section < last_section:
            k, stop = block, min(block + BLOCK, room.last.size)
            while k < stop:
                together = k + 1
                while together < stop and room.last[together] == room.last[k]:
                    together += 1
                if room.last[k] < n_steps:
                    advance_rows(run, section, nothing, k, together, n_steps, nothing.dtype.type(1))
                k = together
    barrier(worker.team, worker.size)
    if worker.rank == 0:
        half = costs.dtype.type(0.5)
        for t in range(n_steps):
            total = costs.dtype.type(0)
            for section in range(N_SECTIONS):
                total += sum_lanes(load(squares_of(room, section), t, 0))
            costs[t, 1] += total * half * room.factors[t]


train = loop("sparse", begin, n_phases, part_of, is_private, work, loss, end)
