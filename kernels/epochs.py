"""Epochs in one call: the order of the examples, the steps, the loss, the score of the validation set, when to stop.

The kernels that train and predict are called by their addresses, so that this is compiled without them.

    loss of an epoch      = the mean over its examples, as each step saw them, times `scale`, plus the mean penalty
    accuracy              = the weight of the examples whose labels are all right, of the weight of all
    R^2 of an output      = 1 - sum of w (y - a)^2 / sum of w (y - mean of y)^2, in the mean over the outputs

Training goes on while the loss falls below the best by more than tol, or the score rises above the best by tol at
least; it stops after more than n_iter_no_change epochs without that.
"""

from typing import NamedTuple

import numpy as np
from numba import types

from fastnn.kernels.machine.jit import entry, inline, kernel, packed, part, release_gil, take_gil, unit
from fastnn.kernels.machine.team import claim, clear, dismiss, run_together
from fastnn.kernels.predict import Room
from fastnn.kernels.run import Batches, Model, Rule, Run
from fastnn.kernels.shuffle import shuffle

#: What is told of an epoch.
LOSS, SCORE, TOLD = range(3)
#: What is carried from call to call: sums over the steps of an epoch that has not ended; how many have, in this call;
#: how many steps were taken in all; the best loss and score; how many epochs were without progress.
LOSSES, PENALTIES, ENDED, TAKEN, BEST_LOSS, BEST_SCORE, NO_IMPROVEMENT, CARRIED = range(8)


class Validation(NamedTuple):
    """The examples that are set aside, and what it takes to predict them; without rows, there is no validation."""

    predict: int  # the address of `kernels.predict.predict`
    most: int  # threads
    model: Model
    X: np.ndarray  # (n, n_x)
    room: Room
    out: np.ndarray  # (n, n_y)
    refused: np.ndarray  # (most,)
    y: np.ndarray  # (n, n_y), float64; or (n, 1), the number of the class
    weights: np.ndarray  # (n,), float64; or (0,), for weights of one
    totals: np.ndarray  # (n_y,), float64: what R^2 divides by; or (0,), for accuracy


class Epochs(NamedTuple):
    """What is done before and after the steps of an epoch."""

    words: np.ndarray  # (N + 1,), uint32: see `shuffle`; or (0,), for the same order in all epochs
    numbers: np.ndarray  # (N,), uint32
    told: np.ndarray  # (n_epochs, TOLD), float64: one row for each epoch that may end in this call; or (0, TOLD)
    carried: np.ndarray  # (CARRIED,), float64
    scale: float
    tol: float
    n_iter_no_change: float
    validation: Validation
    best: np.ndarray  # (n_params,): theta after the epoch with the best score


@inline
def _is_label_right(out, y, i):
    n_y = out.shape[1]
    if y.shape[1] < n_y:  # the first of the largest
        label = int(y[i, 0])
        for j in range(n_y):
            if not (out[i, j] < out[i, label] or (j >= label and out[i, j] == out[i, label])):
                return False
        return True
    for j in range(n_y):  # a label of NaN is right whatever comes
        if y[i, j] == y[i, j] and not (out[i, j] > 0.5 if y[i, j] > 0.5 else out[i, j] <= 0.5):
            return False
    return True


@kernel
def accuracy(v):
    """The weight of the examples whose labels are all right, of the weight of all."""
    right, total = 0.0, 0.0
    for i in range(v.y.shape[0]):
        weight = v.weights[i] if v.weights.size else 1.0
        total += weight
        if _is_label_right(v.out, v.y, i):
            right += weight
    return right / total


@kernel
def r_squared(v):
    """1 - sum of w (y - a)^2 / total, in the mean over the outputs; 1 without an error, 0 where else y is constant."""
    score = 0.0
    for j in range(v.y.shape[1]):
        residual = 0.0
        for i in range(v.y.shape[0]):
            difference = v.y[i, j] - v.out[i, j]
            residual += (v.weights[i] if v.weights.size else 1.0) * difference * difference
        if not residual < np.inf or v.totals[j] != v.totals[j]:
            score += np.nan
        elif residual == 0:
            score += 1
        elif v.totals[j] != 0:
            score += 1 - residual / v.totals[j]
    return score / v.y.shape[1]


@kernel
def keep_best_score(e, theta, team, helpers, size):
    """Predict the examples that are set aside, and note whether that is progress."""
    v, carried = e.validation, e.carried
    clear(team)
    size = min(size, v.most)
    run_together(helpers, size, *packed(v.predict, True, size, team, v.model, v.X, v.room, v.out, v.refused))
    score = r_squared(v) if v.totals.size else accuracy(v)
    improves = score >= carried[BEST_SCORE] + e.tol
    carried[NO_IMPROVEMENT] = 0.0 if improves else carried[NO_IMPROVEMENT] + 1
    # Where the examples weigh nothing the score is NaN, and nothing tells which parameters are the best: the last.
    if score > carried[BEST_SCORE] or (v.weights.size and score != score and carried[BEST_SCORE] == -np.inf):
        for p in range(theta.size):
            e.best[p] = theta[p]
    if score > carried[BEST_SCORE]:
        carried[BEST_SCORE] = score
    return score


@unit(returns=lambda args: types.boolean)
def steps_end(e, theta, team, helpers, size, costs, first, n_samples, batch_size):
    """Add up what these steps cost, from that step of the epoch on; and where it ends, tell what it came to.

    Whether that was the last epoch, because nothing improves.
    """
    carried, stop = e.carried, first * batch_size
    carried[TAKEN] += costs.shape[0]
    for number in range(costs.shape[0]):
        start, stop = stop, min(stop + batch_size, n_samples)
        carried[LOSSES] += (stop - start) * costs[number, 0]
        carried[PENALTIES] += (stop - start) * costs[number, 1]
    if stop < n_samples:
        return False
    loss = carried[LOSSES] / n_samples * e.scale + carried[PENALTIES] / n_samples
    carried[LOSSES] = carried[PENALTIES] = 0.0
    score = np.nan
    if e.validation.y.shape[0]:
        score = keep_best_score(e, theta, team, helpers, size)
    else:
        carried[NO_IMPROVEMENT] = carried[NO_IMPROVEMENT] + 1 if loss > carried[BEST_LOSS] - e.tol else 0.0
        if loss < carried[BEST_LOSS]:
            carried[BEST_LOSS] = loss
    row = int(carried[ENDED])
    e.told[row, LOSS], e.told[row, SCORE] = loss, score
    carried[ENDED] = row + 1
    return carried[NO_IMPROVEMENT] > e.n_iter_no_change


@part
def some_steps(run, place, done, n):
    """The n steps of a call, of which some are done, from that place in the epoch on."""
    batches, rule = run.batches, run.rule
    return Run(
        run.model,
        Batches(
            batches.X,
            batches.Y,
            batches.weights,
            batches.order,
            place,
            batches.batch_size,
            batches.begin,
            batches.end,
        ),
        run.room,
        Rule(
            rule.update,
            rule.advance,
            rule.alphas[done : done + n],
            rule.rates[done : done + n],
            rule.constants,
            rule.moments,
        ),
    )


@entry(nogil=False)
def train_epochs(address, keeps_gil, wanted, team, helpers, run, costs, epochs):
    """Steps by the kernel at this address, on a team of up to `wanted` threads, until all are done or training stops.

    costs (n_steps, 2): mean loss and penalty of each.  Returns how many there were.
    """
    gil, size = release_gil(keeps_gil), claim(helpers, wanted)
    batches, done, n_steps = run.batches, 0, run.rule.rates.size
    n_samples, batch_size = batches.order.size, batches.batch_size
    steps_per_epoch = (n_samples + batch_size - 1) // batch_size
    is_whole = batches.end >= batch_size  # and not a piece of a step, after which come others
    stops = False
    while done < n_steps and not stops:
        place = (batches.first_step + done) % steps_per_epoch
        n = min(n_steps - done, steps_per_epoch - place)
        if epochs.words.size and place == 0 and batches.begin == 0:
            shuffle(batches.order, epochs.words, epochs.numbers)
        part, cost = some_steps(run, place, done, n), costs[done : done + n]
        clear(team)
        run_together(helpers, size, *packed(address, True, size, team, part, cost))
        if is_whole and epochs.told.shape[0]:
            stops = steps_end(epochs, run.model.theta, team, helpers, size, cost, place, n_samples, batch_size)
        done += n
    dismiss(helpers, size)
    take_gil(gil)
    return done
