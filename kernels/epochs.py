"""Epochs in one call: the order of the examples, the steps, the loss, the score of the validation set, when to stop.

The kernels that train and predict are called by their addresses, so that this is compiled without them.

    loss of an epoch      = the mean over its examples, as each step saw them, times `scale`, plus the mean penalty
    validation loss       = the mean over the examples that are set aside, times `scale`
    calibrated loss       = the least log loss of outputs g(b z) over b: what is left of it once the outputs are as sure
                            as they should be (Berta et al. 2025); b is one over the "temperature"
    accuracy              = the weight of the examples whose labels are all right, of the weight of all
    R^2 of an output      = 1 - sum of w (y - a)^2 / sum of w (y - mean of y)^2, in the mean over the outputs

Training goes on while the loss falls below the best by more than tol, or the score (or minus the validation loss) rises
above the best by tol at least; it stops after more than n_iter_no_change epochs without that.
"""

import numpy as np
from numba import types

from fastnn.kernels.laws.elementary import exp
from fastnn.kernels.laws.units import loss_and_dZ
from fastnn.kernels.layouts.epochs import (
    BEST_LOSS,
    BEST_SCORE,
    BEST_SHARPNESS,
    BLOCK,
    BY_CALIBRATED_LOSS,
    BY_LOSS,
    BY_SCORE,
    ENDED,
    EPOCH_LOSS,
    EPOCH_NORM,
    LOSSES,
    NO_IMPROVEMENT,
    NORMS,
    PENALTIES,
    SCORE,
    SHARPNESS,
    TAKEN,
    VALIDATION_LOSS,
)
from fastnn.kernels.layouts.run import LOSS, NORM, PENALTY, Batches, Rule, Run
from fastnn.kernels.machine.jit import entry, inline, kernel, packed, part, release_gil, take_gil, unit
from fastnn.kernels.machine.simd import matrix
from fastnn.kernels.machine.team import claim, clear, dismiss, run_together
from fastnn.kernels.shuffle import shuffle

#: Of the calibrated loss: how often Newton's method goes on at most, when b is near enough, and between which bounds.
NEWTON_STEPS, NEAR, SHARPNESS_BOUNDS = 12, 1e-3, (0.1, 3.0)


@inline
def _is_label_right(out, y, i, half):
    n_y = out.shape[1]
    if y.shape[1] < n_y:  # the first of the largest
        label = int(y[i, 0])
        for j in range(n_y):
            if not (out[i, j] < out[i, label] or (j >= label and out[i, j] == out[i, label])):
                return False
        return True
    for j in range(n_y):  # a label of NaN is right whatever comes
        if y[i, j] == y[i, j] and not (out[i, j] > half if y[i, j] > 0.5 else out[i, j] <= half):
            return False
    return True


@kernel
def accuracy(v, half):
    """The weight of the examples whose labels are all right, of the weight of all; an output beyond `half` says yes."""
    right, total = 0.0, 0.0
    for i in range(v.y.shape[0]):
        weight = v.weights[i] if v.weights.size else 1.0
        total += weight
        if _is_label_right(v.out, v.y, i, half):
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
def validation_loss(v):
    """The mean of w L(a, y) over the examples that are set aside."""
    (n, n_y), total, total_weight, kind = v.out.shape, 0.0, 0.0, v.scratch.dtype.type
    A, Y = matrix(v.scratch, 0, n_y, BLOCK), matrix(v.scratch, n_y * BLOCK, n_y, BLOCK)
    losses = v.scratch[2 * n_y * BLOCK :]
    for start in range(0, n, BLOCK):
        m = min(BLOCK, n - start)
        for i in range(m):
            for j in range(n_y):
                y = v.y[start + i, j] if v.y.shape[1] == n_y else (1.0 if v.y[start + i, 0] == j else 0.0)
                A[j, i], Y[j, i] = v.out[start + i, j], kind(y if y == y else 0.0)
        loss_and_dZ(v.model.loss, A, Y, losses, v.model.constants, 0, m)
        for i in range(m):
            weight = v.weights[start + i] if v.weights.size else 1.0
            total += weight * losses[i]
            total_weight += weight
    return total / total_weight


@inline
def _sharpened(v, i, b):
    """Log loss of example i with b z in place of z, its first and its second derivative by b."""
    n_y, kind = v.out.shape[1], v.out.dtype.type
    loss, slope, curvature = 0.0, 0.0, 0.0
    if v.model.is_softmax:
        total, mean, square, z_y, largest = 0.0, 0.0, 0.0, 0.0, v.out[i, 0]
        for j in range(n_y):
            largest = max(largest, v.out[i, j])
        for j in range(n_y):
            z = v.out[i, j] - largest
            weight = exp(kind(b) * z)
            total += weight
            mean += weight * z
            square += weight * z * z
            y = v.y[i, j] if v.y.shape[1] == n_y else (1.0 if v.y[i, 0] == j else 0.0)
            z_y += y * z
        mean /= total
        loss, slope, curvature = np.log(total) - b * z_y, mean - z_y, square / total - mean * mean
    else:
        for j in range(n_y):
            z, y = float(v.out[i, j]), v.y[i, j]
            if y == y:  # a label of NaN costs nothing
                e = exp(kind(-b * abs(z)))
                p = 1 / (1 + e) if z >= 0 else e / (1 + e)
                loss += np.log1p(e) + max(b * z, 0.0) - b * z * y
                slope += (p - y) * z
                curvature += p * (1 - p) * z * z
    return loss, slope, curvature


@kernel
def calibrated_loss(v, b):
    """The least mean log loss of the examples that are set aside, by Newton's method from b on; and where it is.

    Their outputs are z.
    """
    for _ in range(NEWTON_STEPS):
        loss, slope, curvature, total = 0.0, 0.0, 0.0, 0.0
        for i in range(v.out.shape[0]):
            weight = v.weights[i] if v.weights.size else 1.0
            its_loss, its_slope, its_curvature = _sharpened(v, i, b)
            loss += weight * its_loss
            slope += weight * its_slope
            curvature += weight * its_curvature
            total += weight
        there = b
        if curvature > 0:  # not more than twice or half as sharp at a time, and within bounds
            there = min(max(b - slope / curvature, b / 2, SHARPNESS_BOUNDS[0]), 2 * b, SHARPNESS_BOUNDS[1])
        if not abs(there - b) > NEAR * b:
            break
        b = there
    return loss / total, b


@kernel
def predict(e, team, helpers, size):
    """The outputs of the examples that are set aside."""
    v = e.validation
    clear(team)
    size = min(size, v.most)
    run_together(helpers, size, *packed(v.predict, True, size, team, v.model, v.X, v.room, v.out, v.refused))


@kernel
def keep_best(e, score):
    """Note whether a score is progress, and keep the parameters if it is the best."""
    carried, is_weighted = e.carried, e.validation.weights.size > 0
    best = carried[BEST_SCORE]
    carried[NO_IMPROVEMENT] = 0.0 if score >= best + e.tol else carried[NO_IMPROVEMENT] + 1
    # Where the examples weigh nothing the score is NaN, and nothing tells which parameters are the best: the last.
    if score > best or (e.takes_last and score == best) or (is_weighted and score != score and best == -np.inf):
        for p in range(e.kept.size):
            e.best[p] = e.kept[p]
        carried[BEST_SHARPNESS] = carried[SHARPNESS]
    if score > best:
        carried[BEST_SCORE] = score


@unit(returns=lambda args: types.boolean)
def steps_end(e, team, helpers, size, costs, first, n_samples, batch_size):
    """Add up what these steps cost, from that step of the epoch on; and where it ends, tell what it came to.

    Whether that was the last epoch, because nothing improves.
    """
    carried, stop = e.carried, first * batch_size
    carried[TAKEN] += costs.shape[0]
    for number in range(costs.shape[0]):
        start, stop = stop, min(stop + batch_size, n_samples)
        carried[LOSSES] += (stop - start) * costs[number, LOSS]
        carried[PENALTIES] += (stop - start) * costs[number, PENALTY]
        carried[NORMS] += costs[number, NORM]
    if stop < n_samples:
        return False
    loss = carried[LOSSES] / n_samples * e.scale + carried[PENALTIES] / n_samples
    norm = carried[NORMS] / ((n_samples + batch_size - 1) // batch_size)
    carried[LOSSES] = carried[PENALTIES] = carried[NORMS] = 0.0
    score = loss_then = np.nan
    if e.validation.y.shape[0]:
        predict(e, team, helpers, size)
        half = 0.0 if e.decides == BY_CALIBRATED_LOSS else 0.5
        score = r_squared(e.validation) if e.validation.totals.size else accuracy(e.validation, half)
        if e.decides == BY_CALIBRATED_LOSS:
            loss_then, carried[SHARPNESS] = calibrated_loss(e.validation, carried[SHARPNESS])
        else:
            loss_then = validation_loss(e.validation) * e.scale
    if e.decides == BY_LOSS:
        carried[NO_IMPROVEMENT] = carried[NO_IMPROVEMENT] + 1 if loss > carried[BEST_LOSS] - e.tol else 0.0
        if loss < carried[BEST_LOSS]:
            carried[BEST_LOSS] = loss
    else:
        keep_best(e, score if e.decides == BY_SCORE else -loss_then)
    row = int(carried[ENDED])
    e.told[row, EPOCH_LOSS], e.told[row, SCORE] = loss, score
    e.told[row, VALIDATION_LOSS], e.told[row, EPOCH_NORM] = loss_then, norm
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
            batches.seed,
            batches.number + done,
        ),
        run.room,
        Rule(
            rule.update,
            rule.advance,
            rule.numbers[done : done + n],
            rule.constants,
            rule.moments,
            rule.clip_norm,
            rule.max_norm,
        ),
    )


@entry(nogil=False)
def train_epochs(address, keeps_gil, wanted, team, helpers, run, costs, epochs):
    """Steps by the kernel at this address, on a team of up to `wanted` threads, until all are done or training stops.

    costs (n_steps, COSTS): see `run`.  Returns how many there were.
    """
    gil, size = release_gil(keeps_gil), claim(helpers, wanted)
    batches, done, n_steps = run.batches, 0, run.rule.numbers.shape[0]
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
            stops = steps_end(epochs, team, helpers, size, cost, place, n_samples, batch_size)
        done += n
    dismiss(helpers, size)
    take_gil(gil)
    return done
