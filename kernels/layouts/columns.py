"""The workspace of `kernels.ways.columns`."""

from typing import NamedTuple

import numpy as np

from fastnn.kernels.machine.host import COLS, REGISTER_BYTES

#: Fields of a layer in the table, besides those of every way: A_T, where the panels of its inputs are; W_T, where the
#: transposed copy of its weights is, with rows of so many numbers: ROW; and how many rows of the weights are updated at
#: a time, ROWS_AT_ONCE. The fields of a group of rows of the weights: which layer, which rows, and where in theta its
#: middle is.
LAYER, FIRST, LAST, MIDDLE = range(4)
#: In A_IN: this layer, the first, takes the rows of X where they are.  In A_T: its gradient is formed by `inner`, which
#: needs no transposed copy.  In W_T: `backproject` takes W.
NONE = -1
#: Examples are shared out by lines of so many vectors, because no two threads write to one cache line; and if they can,
#: threads take as many as fill a tile.
LINE = 64 // REGISTER_BYTES
TOGETHER = max(COLS // LINE, 1)
#: How many bytes of a row go through all layers before the next block does.
BLOCK = 256


class Room(NamedTuple):
    """The workspace of a run.

    A chunk of examples is cut into shards.  What a shard has is on pages of its own: prefetchers read on beyond the
    end of an array, up to that of the page, and would take the next shard's lines from the core that writes to them.
    """

    work: np.ndarray  # (n_shards, any): activations and dZ of every layer, at the offsets of the table
    Y_T: int  # where Y_T (n_y, width) is in there,
    waiting: int  # and the products that wait for their rest: see `back`
    losses: int  # and (2, width): loss and weight of each example
    width: int  # how many columns the arrays of a shard have
    own: np.ndarray  # (n_threads, any): the inputs of its block of examples, for each worker
    block_width: int  # in so many columns
    W_T: np.ndarray  # transposed weights, at the offsets of the table
    G: np.ndarray  # (n_shards, n_params or more): the gradient of the sum of the losses of each shard; or
    # (n_threads, fewer): of what a worker is at, see `gradients`
    chunk: int  # how many examples go through at a time
    rows: np.ndarray  # 0, 1 ... to the widest layer
    groups: np.ndarray  # (n_groups, 4), int64: which rows of the weights are updated together,
    weights: np.ndarray  # (n_groups, 3): the range of parameters that these weights are: see `update_unit`,
    biases: np.ndarray  # and their biases
    squares: np.ndarray  # (n_groups,): twice the penalty on the weights of each
    gradient_squares: np.ndarray  # (n_groups,): sums of the squares of the gradient of each
    by_layers: bool  # whether the workers are at one layer at a time, not at some examples each
    A_T_streamed: bool  # whether A_T goes past the caches, for other cores (see `simd.stream`),
    theta_streamed: bool  # and what is updated
