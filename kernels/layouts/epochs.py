"""Epochs: what is told of each, what is carried on, and what goes with the steps: see `kernels.epochs`."""

from typing import NamedTuple

import numpy as np

from fastnn.kernels.layouts.predict import Room
from fastnn.kernels.layouts.run import Model

#: What is told of an epoch: among others the mean norm of the gradients, where they are clipped.
EPOCH_LOSS, SCORE, VALIDATION_LOSS, EPOCH_NORM, TOLD = range(5)
#: What is carried from call to call: sums over the steps of an epoch that has not ended; how many have, in this call;
#: how many steps were taken in all; the best loss and score; how many epochs were without progress; and b of the last
#: epoch, and of the best.
LOSSES, PENALTIES, NORMS, ENDED, TAKEN, BEST_LOSS, BEST_SCORE, NO_IMPROVEMENT, SHARPNESS, BEST_SHARPNESS, CARRIED = (
    range(11)
)
#: By what it is decided whether there is progress, and which parameters are the best.
BY_LOSS, BY_SCORE, BY_VALIDATION_LOSS, BY_CALIBRATED_LOSS = range(4)
#: Examples whose losses are computed at a time.
BLOCK = 64


class Validation(NamedTuple):
    """The examples that are set aside, and what it takes to predict them; without rows, there is no validation."""

    predict: int  # the address of `kernels.predict.predict`
    most: int  # threads
    model: Model
    X: np.ndarray  # (n, n_x)
    room: Room
    out: np.ndarray  # (n, n_y): outputs; or z, where the calibrated loss decides
    refused: np.ndarray  # (most,)
    y: np.ndarray  # (n, n_y), float64; or (n, 1), the number of the class
    weights: np.ndarray  # (n,), float64; or (0,), for weights of one
    totals: np.ndarray  # (n_y,), float64: what R^2 divides by; or (0,), for accuracy
    scratch: np.ndarray  # ((2 n_y + 1) * BLOCK,): outputs, targets and losses of a block of them


class Epochs(NamedTuple):
    """What is done before and after the steps of an epoch."""

    words: np.ndarray  # (N + 1,), uint32: see `shuffle`; or (0,), for the same order in all epochs
    numbers: np.ndarray  # (N,), uint32
    told: np.ndarray  # (n_epochs, TOLD), float64: one row for each epoch that may end in this call; or (0, TOLD)
    carried: np.ndarray  # (CARRIED,), float64
    scale: float
    tol: float
    n_iter_no_change: float
    decides: int  # BY_LOSS, BY_SCORE, BY_VALIDATION_LOSS or BY_CALIBRATED_LOSS
    takes_last: bool  # whether of several epochs that are the best, the last one counts
    validation: Validation
    kept: np.ndarray  # (n_params,): the parameters that predict: theta, or the average of it
    best: np.ndarray  # (n_params,): what they were after the best epoch


#: Words of the generator's state, and how far apart those are that make a new one.
N, M = 624, 397
