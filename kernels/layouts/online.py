"""The workspace of `kernels.ways.online`."""

from typing import NamedTuple

import numpy as np

#: In how many parts a W is cut at most: for up to as many threads.
MOST_PARTS = 4


class Room(NamedTuple):
    """The workspace of a run."""

    work: np.ndarray  # (1, any): activations and dZ of the hidden layers, and Z_L
    Y_T: int  # where Y (1, n_y) is among a worker's own,
    losses: int  # and (2, width): the loss of the example; that of each output
    waiting: int  # in `work`: the sums over the parts of two layers (2, MOST_PARTS, width)
    width: int  # of a row there
    own: np.ndarray  # (n_threads, any): X, dZ_L, Y and losses, for each worker
    W_T: np.ndarray  # of no use here: see `columns.Room`, as for the following
    G: np.ndarray  # (n_threads, any): see `columns.gradients`
    chunk: int
    rows: np.ndarray
    groups: np.ndarray
    weights: np.ndarray
    biases: np.ndarray
    squares: np.ndarray
    gradient_squares: np.ndarray
    theta_streamed: bool
