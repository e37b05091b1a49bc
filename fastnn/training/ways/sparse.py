"""Room for `kernels.ways.sparse`."""

from math import ceil
from typing import Any

import numpy as np

from fastnn.kernels.layouts import columns as by_columns
from fastnn.kernels.layouts import run, sparse
from fastnn.kernels.machine.code import entry
from fastnn.network import Array, Network, aligned
from fastnn.training.calls import Kernel
from fastnn.training.memory import CHUNK, Buffer, new_model, new_table, on_pages, padded, vector
from fastnn.training.ways.columns import lay_out, ranges_of

TRAIN = Kernel(entry("ways.sparse.train_sparse"), entry("epochs.train_epochs"))
#: How many steps a call may have: for each, there are sums of squares.
MOST_STEPS = 256


def numbers_after_dropout(n_numbers: int, dtype: np.dtype[Any]) -> dict[str, Array]:
    """Room for the numbers of X after dropout: an array to be read, as those of X are, and the same to be written."""
    written = aligned(n_numbers, dtype)
    numbers = written.view()
    numbers.flags.writeable = False
    return {"numbers": numbers, "written": written}


def room(
    network: Network, theta: Array, batch_size: int, n_threads: int, n_numbers: int
) -> tuple[run.Model, sparse.Room]:
    """What the kernel needs to train theta on batches of up to `batch_size` examples, with up to so many numbers."""
    dtype, full, chunk, (n_x, n_1) = theta.dtype, vector(theta.dtype), min(batch_size, CHUNK), network.layer_sizes[:2]
    width, buffer, transposed, layers = padded(chunk, dtype), Buffer(), Buffer(), new_table(network)
    groups = np.array(
        lay_out(network, layers, by_columns.NONE, buffer, transposed, chunk, width, dtype, True), np.int64
    )
    Y_T, losses = buffer.room(network.layer_sizes[-1] * width), buffer.room(2 * width)
    weights, biases = ranges_of(groups, layers)
    weights[0, :2] = 0  # those of the first layer are moved otherwise
    blocks = ceil(n_x / sparse.BLOCK)
    most = min(n_numbers, ceil(blocks / sparse.N_SECTIONS) * sparse.BLOCK)  # features of a section in a step
    whole = ceil(n_1 / full) * full
    return new_model(network, theta, layers), sparse.Room(
        work=on_pages(1, buffer.size, dtype),
        Y_T=Y_T,
        waiting=0,
        losses=losses,
        width=width,
        W_T=aligned(transposed.size, dtype),
        G=on_pages(1, network.n_params - n_x * n_1, dtype),
        chunk=chunk,
        rows=np.arange(max(chunk, *network.layer_sizes[1:])),
        groups=groups,
        weights=weights,
        biases=biases,
        squares=aligned(len(groups), dtype),
        gradient_squares=aligned(len(groups) + sparse.N_SECTIONS, dtype),
        A_T_streamed=False,
        theta_streamed=False,
        own=on_pages(n_threads, n_1 * (by_columns.BLOCK // dtype.itemsize + full), dtype),
        dZ=aligned((chunk, whole), dtype),
        last=np.zeros(n_x, np.int32),
        places=np.zeros(n_x, np.int32),
        features=np.zeros((sparse.N_SECTIONS, most), np.int32),
        n_features=np.zeros((sparse.N_SECTIONS, 8), np.int64),
        dW_T=np.empty((sparse.N_SECTIONS * most, whole), dtype),
        step_squares=aligned((sparse.N_SECTIONS, MOST_STEPS * full), dtype),
        factors=aligned(MOST_STEPS, dtype),
        **numbers_after_dropout(0, dtype),
    )
