"""The workspace of `kernels.ways.sparse`."""

from typing import NamedTuple

import numpy as np

#: In how many sections the features are, a power of two, and in blocks of how many.
N_SECTIONS, BLOCK = 8, 64


class Room(NamedTuple):
    """The workspace of a run: that of `ways.columns`, where there is one shard; and of the first layer."""

    work: np.ndarray
    Y_T: int
    waiting: int
    losses: int
    width: int
    W_T: np.ndarray
    G: np.ndarray  # (1, any): the gradient of b_1 and all that comes after it in theta
    chunk: int
    rows: np.ndarray
    groups: np.ndarray
    weights: np.ndarray
    biases: np.ndarray
    squares: np.ndarray
    gradient_squares: np.ndarray  # (n_groups + N_SECTIONS,)
    A_T_streamed: bool
    theta_streamed: bool
    own: np.ndarray  # (n_threads, any): Z_1 of a block of examples, for each worker
    dZ: np.ndarray  # (chunk, n): dZ_1 of each example, in whole vectors
    last: np.ndarray  # (n_x,), int32: in which step the parameters of a feature are, in this call
    places: np.ndarray  # (n_x,), int32: where its gradient is, if it occurs in the step
    features: np.ndarray  # (N_SECTIONS, any), int32: those that occur, in the order in which they do
    n_features: np.ndarray  # (N_SECTIONS, LINE or more), int64: how many
    dW_T: np.ndarray  # (N_SECTIONS * any, n): their gradients
    step_squares: np.ndarray  # (N_SECTIONS, n_steps * lanes): twice the penalty on the weights before each step
    factors: np.ndarray  # (n_steps,): what a gradient is multiplied by in each
    numbers: np.ndarray  # (n_numbers,): those of X after dropout; or (0,), without it: to be read,
    written: np.ndarray  # and the same memory, to be written
