"""The workspace of `kernels.ways.pieces`."""

from typing import NamedTuple

import numpy as np


class Room(NamedTuple):
    """The workspace of a run: that of `ways.columns`, where there is one shard; and what the map takes."""

    work: np.ndarray
    Y_T: int
    waiting: int
    losses: int
    width: int
    own: np.ndarray  # (n_threads, any): the inputs of a block of examples, as rows
    W_T: np.ndarray
    G: np.ndarray  # (1, n_params)
    chunk: int
    rows: np.ndarray
    groups: np.ndarray
    weights: np.ndarray  # (n_groups + k, 3): the weights of each group, then V_c of each column
    biases: np.ndarray
    squares: np.ndarray  # (n_groups + k,)
    gradient_squares: np.ndarray  # (n_groups + k,)
    A_T_streamed: bool
    theta_streamed: bool
    V: int  # where V (n_pieces, width) is in theta
    U: np.ndarray  # (n_pieces, width)
    sums: np.ndarray  # (2, n_pieces width)
    dE_T: int  # where de of all columns are in `work`, as columns
    dE: np.ndarray  # (chunk, k width): and as rows
