"""Steps of a network without a hidden layer that has one output: logistic regression, or a linear one.

    z_i = w x_i + b             an inner product of a row of X
    dw = the sum of dz_i x_i    a sum of the rows of X

The examples are rows, and they are read where they are: nothing is copied, nothing is transposed.  They are taken a
block at a time, which comes from memory for z and is in the cache for dw; meanwhile the next one is asked for.

The batch is cut into shards, and as in `ways.units` each worker has parameters and moments of its own, and updates all
of them by the gradients of all shards.
"""

from fastnn.kernels.laws.units import sum_first, update
from fastnn.kernels.layouts.run import A_OUT
from fastnn.kernels.machine.jit import kernel, part
from fastnn.kernels.machine.simd import matrix, prefetch
from fastnn.kernels.machine.team import share
from fastnn.kernels.products.rows import inner_products, sum_of_rows
from fastnn.kernels.run import loop
from fastnn.kernels.ways.columns import loss_and_output_gradient
from fastnn.kernels.ways.units import clip_of, gradients, is_private, loss, loss_of_shard, n_phases, part_of


@part
def propagate(run, theta, rows, next_rows, s, G, accumulate):
    """The loss of the examples of one block of shard s, and their gradient: G (1, n_params), or added to it."""
    model, batches, room = run.model, run.batches, run.room
    work, n_x, m = room.work[s], batches.X.shape[1], rows.size
    Z, Y_T = matrix(work, model.layers[0, A_OUT], 1, room.width), matrix(work, room.Y_T, 1, room.width)
    inner_products(batches.X, rows, next_rows, theta, Z)
    for i in range(m):
        Z[0, i] += theta[0, n_x]
        Y_T[0, i] = batches.Y[rows[i], 0]
        prefetch(batches.Y, next_rows[min(i, next_rows.size - 1)], 0)
    loss_and_output_gradient(model, batches, room, rows, work, 0, m)
    sum_of_rows(Z, batches.X, rows, G, accumulate)
    db = sum_first(Z, m)
    G[0, n_x] = G[0, n_x] + db if accumulate else db
    return sum_first(matrix(work, room.losses, 1, room.width), m)


@part
def update_all(run, step, theta, moments, rank):
    """All parameters of this worker, by the gradients of all shards."""
    squares, clip = run.room.squares if rank == 0 else run.room.squares[:0], clip_of(run, step, rank)
    if clip > 0:
        update(run.rule, theta, gradients(run.room, step), moments, squares, run.room.ranges, 0, 2, step, clip, False)


@part
def copy(a, b):
    for i in range(a.size):
        b[i] = a[i]


@part
def begin(run, worker):
    """Parameters and moments of this worker's own."""
    own = run.room.own[worker.rank]
    copy(run.model.theta, own)
    copy(run.rule.moments, own[run.model.theta.size :])


@kernel
def work(run, worker, step, phase, begin, end):
    """The gradients of some shards; or the update."""
    room, own, n, n_shards = run.room, run.room.own[worker.rank], run.model.theta.size, run.room.work.shape[0]
    theta, moments = matrix(own, 0, 1, n), matrix(own, n, run.rule.moments.size // n, n)
    if phase == 1:
        update_all(run, step, theta, moments, worker.rank)
        return
    G = gradients(room, step)
    for s in range(begin, end):
        first, last = share(step.rows.size, s, n_shards)
        total = own.dtype.type(0)
        for row in range(first, max(last, first + 1), room.width):  # where there is no example: no gradient
            next_row = row + room.width
            ahead = step.next_rows[min(first, step.next_rows.size - 1) :]
            if next_row < last:
                ahead = step.rows[next_row:]
            total += propagate(run, theta, step.rows[row : min(next_row, last)], ahead, s, G[s : s + 1], row > first)
        room.work[s, loss_of_shard(room, step)] = total


@part
def end(run, worker, costs):
    """The parameters of one worker are those of all."""
    if worker.rank == 0:
        own, n = run.room.own[0], run.model.theta.size
        copy(own[:n], run.model.theta)
        copy(own[n : n + run.rule.moments.size], run.rule.moments)


train = loop("linear", begin, n_phases, part_of, is_private, work, loss, end)
