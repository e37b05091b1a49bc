"""Steps of a network without a hidden layer that has one output: logistic regression, or a linear one.

    z_i = w x_i + b             an inner product of a row of X
    dw = the sum of dz_i x_i    a sum of the rows of X

The examples are rows, and they are read where they are: nothing is copied, nothing is transposed.  They are taken a
block at a time, which comes from memory for z and is in the cache for dw; meanwhile the next one is asked for.

The batch is cut into shards, as in ``epoch``, and as in ``small`` each member of a team has parameters and moments of
its own, and updates all of them by the gradients of all shards.
"""
from fastnn.kernels.epoch import A_OUT, minibatch, penalty, rule_of, turn_back
from fastnn.kernels.jit import entry, part
from fastnn.kernels.losses import sum_first
from fastnn.kernels.rows import inner_products, sum_of_rows
from fastnn.kernels.simd import flush_subnormals, matrix, prefetch, restore_mode
from fastnn.kernels.team import barrier, new_queue, roll_call, share, take


@part
def propagate(model, batches, room, theta, rows, soon, s, G, more):
    """The loss of the examples of one block of shard s, and their gradient: G (1, n_params), or with `more`, +=."""
    work, n_x, m = room.work[s], batches.X.shape[1], rows.size
    Z, Y_T = matrix(work, model.layers[0, A_OUT], 1, room.width), matrix(work, room.Y_T, 1, room.width)
    inner_products(batches.X, rows, soon, theta, Z)
    for i in range(m):
        Z[0, i] += theta[0, n_x]
        Y_T[0, i] = batches.Y[rows[i], 0]
        prefetch(batches.Y, soon[min(i, soon.size - 1)], 0)
    turn_back(model, batches, room, rows, work, 0, m)
    sum_of_rows(Z, batches.X, rows, G, more)
    db = sum_first(Z, m)
    G[0, n_x] = G[0, n_x] + db if more else db
    return sum_first(matrix(work, room.losses, 1, room.width), m)


@part
def update(room, rule, theta, moments, G, per_example, rate, is_first):
    """All parameters, by the gradients of all shards.  G (n_shards, n_params)."""
    n_x = theta.shape[1] - 1
    squares = rule_of(rule, theta, G, moments, 0, n_x, rule.alpha, per_example, rate, False)
    if is_first:
        room.squares[0] = squares
    rule_of(rule, theta, G, moments, n_x, n_x + 1, rule.alpha - rule.alpha, per_example, rate, False)


@part
def copy(a, b):
    for i in range(a.size):
        b[i] = a[i]


@part
def steps(rank, size, team, model, batches, room, rule, costs):
    """The part of one member of the team in a run of steps: as `epoch.steps`."""
    number, n, n_shards, own = model.theta.dtype.type, model.theta.size, room.work.shape[0], room.own[rank]
    theta, moments = matrix(own, 0, 1, n), matrix(own, n, rule.moments.size // n, n)
    copy(model.theta, own)
    copy(rule.moments, own[n:])
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
                    cost = number(0)
                    for row in range(first_row, max(last_row, first_row + 1), room.width):   # no example: no gradient
                        next_row = row + room.width
                        ahead = rows[next_row:] if next_row < last_row else soon[min(first_row, soon.size - 1):]
                        cost += propagate(model, batches, room, theta, rows[row:min(next_row, last_row)], ahead, s,
                                          G[s:s + 1], row > first_row)
                    room.work[s, place] = cost
                begin, end = take(team, 0, rank, size, owner, first, last, 1)
        barrier(team, size)
        new_queue(team, 0, rank)
        update(room, rule, theta, moments, G, per_example, rule.rates[step], rank == 0)
        if rank == 0:
            cost = number(0)
            for s in range(n_shards):
                cost += room.work[s, place]
            costs[step, 0] = cost * per_example
            costs[step, 1] = penalty(room) * per_example
    if rank == 0:
        copy(own[:n], model.theta)
        copy(own[n:n + rule.moments.size], rule.moments)


@entry
def train(wanted, team, model, batches, room, rule, costs):
    """A run of steps, as one of `wanted` threads that make this call: alone, or in the region of `epoch`."""
    rank, size = roll_call(team, wanted)
    if rank < size:
        mode = flush_subnormals()
        steps(rank, size, team, model, batches, room, rule, costs)
        restore_mode(mode)
