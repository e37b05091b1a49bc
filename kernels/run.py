"""Runs of minibatch steps in one call: no step allocates, or returns to Python.

Here is what all ways of doing a step have in common: minibatches, chunks of those that are large, the phases of a step,
how a team shares out a phase, barriers, costs.  A way (see `ways`) says how it cuts the work, and does it.

A phase consists of units of work, which the workers of a team share out: each takes its own part, then helps the
others.  Where that is no use, a worker has its part alone; and where a phase is private, each worker does all of it, on
its own copy of what is changed, and nobody waits.  Every number is computed by one worker, in an order that does not
depend on how many there are: the bits are the same for any team.

A batch larger than the workspace goes through in chunks, whose gradients are added before the update.  Weights of the
examples multiply their losses, and a mean is then divided by the sum of the weights.
"""

from typing import NamedTuple

import numpy as np

from fastnn.kernels.layouts.run import LOSS, NORM, PENALTY
from fastnn.kernels.machine.jit import entry, part, release_gil, take_gil
from fastnn.kernels.machine.records import record
from fastnn.kernels.machine.simd import flush_subnormals, restore_mode
from fastnn.kernels.machine.team import barrier, new_queue, roll_call, take
from fastnn.kernels.products.norms import norm

# gradient is clipped, the sums of `gradient_squares` (any,) are those of its squares


class Worker(NamedTuple):
    """One thread of a team."""

    rank: int
    size: int  # of the team
    team: np.ndarray  # its shared state


class Step(NamedTuple):
    """A step, or the part of it that one chunk is."""

    number: int  # in this call
    rows: np.ndarray  # of its examples
    next_rows: np.ndarray  # of those that come next, which may be asked for
    accumulate: bool  # whether gradients are added to those of the chunk before
    is_final: bool  # whether it is the last chunk
    mean_factor: float  # what the loss of each example counts for in the mean
    numbers: np.ndarray  # (any,): those of the rule
    seed: int
    of_all: int  # its number, of all


@part
def minibatch(batches, number):
    """The rows of a step's examples, and what the loss of each counts for in the mean."""
    kind, order = batches.weights.dtype.type, batches.order
    steps_per_epoch = (order.size + batches.batch_size - 1) // batches.batch_size
    start = (batches.first_step + number) % steps_per_epoch * batches.batch_size
    rows = order[start : min(start + batches.batch_size, order.size)]
    total = kind(rows.size)
    if batches.weights.size:
        total = kind(0)
        for row in rows:
            total += batches.weights[row]
    return rows, kind(1) / total if total > 0 else kind(0)  # a batch of weight zero has no gradient


@part
def penalty(room):
    """The penalty on the weights, as they were before the update."""
    total = room.squares.dtype.type(0)
    for g in range(room.squares.size):
        total += room.squares[g]
    return total * room.squares.dtype.type(0.5)


def loop(name, begin, n_phases, part_of, is_private, work, loss, end):
    """The kernel that trains by a way of doing a step, of these functions of it:

    begin(run, worker)      brings parameters to where this way keeps them; a barrier comes after
    n_phases(run)           how many times the workers meet in a step; the last phase updates the parameters
    part_of(run, step, phase, rank, size)
                            the units of work (first, last) that this worker has in a phase, and how many had better be
                            taken together; 0, if it keeps them to itself
    is_private(phase)       whether every worker does all of a phase, on its own copy, so that nobody waits after it
    work(run, worker, step, phase, first, last)
                            does these units
    loss(run, worker, step) the sum of the losses of a chunk, once its last phase is done by the first worker
    end(run, worker, costs) brings the parameters back, if they were elsewhere
    """

    def train(keeps_gil, wanted, team, run, costs):
        """Steps, as one of `wanted` threads.  costs (n_steps, COSTS): mean loss, penalty, and norm of the gradient."""
        gil = release_gil(keeps_gil)
        rank, size = roll_call(team, wanted)
        if rank < size:
            mode, worker, run = flush_subnormals(), Worker(rank, size, team), record(run)
            batches, kind = run.batches, run.model.theta.dtype.type
            begin(run, worker)
            barrier(team, size)
            queue, last_phase = 0, n_phases(run) - 1
            next_batch, next_factor = minibatch(batches, 0)
            for number in range(run.rule.numbers.shape[0]):
                batch, factor = next_batch, next_factor
                next_batch, next_factor = minibatch(batches, number + 1)
                cost = kind(0)
                for start in range(batches.begin, min(batches.end, batch.size), run.room.chunk):
                    stop = start + run.room.chunk
                    is_final = stop >= batch.size
                    step = Step(
                        number,
                        batch[start:stop],
                        next_batch if is_final else batch[stop:],
                        start > 0,
                        is_final,
                        factor,
                        run.rule.numbers[number],
                        batches.seed,
                        batches.number + number,
                    )
                    for phase in range(last_phase + 1):
                        for turn in range(size):  # one's own part, then what others have left
                            owner = (rank + turn) % size
                            first, last, together = part_of(run, step, phase, owner, size)
                            if together:
                                first_unit, last_unit = take(team, queue, rank, size, owner, first, last, together)
                            else:
                                first_unit, last_unit = first, last if turn == 0 else first
                            while first_unit < last_unit:
                                work(run, worker, step, phase, first_unit, last_unit)
                                if together:
                                    first_unit, last_unit = take(team, queue, rank, size, owner, first, last, together)
                                else:
                                    first_unit = last_unit
                        if phase == last_phase and rank == 0:
                            cost += loss(run, worker, step)
                        if not is_private(phase):
                            queue = 1 - queue
                            new_queue(team, queue, rank)
                            barrier(team, size)
                if rank == 0 and batches.begin < batch.size:
                    costs[number, LOSS] = cost * factor + (costs[number, LOSS] if batches.begin > 0 else kind(0))
                    costs[number, PENALTY] = penalty(run.room) * factor
                    costs[number, NORM] = norm(run.room.gradient_squares, factor)
            end(run, worker, costs)
            restore_mode(mode)
        take_gil(gil)

    train.__name__ = train.__qualname__ = f"train_{name}"
    train.__module__ = work.__module__
    return entry(train, nogil=False)
