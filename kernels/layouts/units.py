"""The workspace of `kernels.ways.units`, and of `kernels.ways.linear`."""

from typing import NamedTuple

import numpy as np


class Room(NamedTuple):
    """The workspace of a run; what a shard or a worker has is on pages of its own."""

    work: np.ndarray  # (n_shards, any): activations and dZ of every layer, at the offsets of the table
    Y_T: int  # where Y_T (n_y, width) is in there,
    losses: int  # and (2, width): loss and weight of each example; then two numbers, the sums of losses
    width: int  # how many columns the arrays of the output layer have
    own: np.ndarray  # (n_threads, any): parameters, moments and copies of each worker
    G: np.ndarray  # (2 n_shards, any): the gradient of the sum of the losses of each shard, by turns
    chunk: int  # how many examples go through at a time: all
    rows: np.ndarray  # 0, 1 ... to the widest layer
    ranges: np.ndarray  # (2 L, 3): where a worker's own W and b of each layer are: see `update_unit`
    squares: np.ndarray  # (2 L,): twice the penalty on the weights of each layer
    gradient_squares: np.ndarray  # (1,): the sum of the squares of the gradient,
    own_squares: np.ndarray  # (n_threads, any): and of what each worker finds out itself
