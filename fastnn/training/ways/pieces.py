"""Room for `kernels.ways.pieces`."""

from itertools import accumulate

import numpy as np

from fastnn.kernels.layouts import columns as by_columns
from fastnn.kernels.layouts import pieces, run
from fastnn.kernels.machine.code import entry
from fastnn.network import Array, Network, aligned
from fastnn.training.calls import Kernel
from fastnn.training.memory import CHUNK, Buffer, new_model, new_table, on_pages, padded, vector
from fastnn.training.ways.columns import lay_out, ranges_of

TRAIN = Kernel(entry("ways.pieces.train_pieces"), entry("epochs.train_epochs"))


def room(network: Network, theta: Array, batch_size: int, n_threads: int) -> tuple[run.Model, pieces.Room]:
    """What the kernel needs to train theta on batches of up to `batch_size` examples."""
    dtype, full, chunk, n_in = theta.dtype, vector(theta.dtype), min(batch_size, CHUNK), network.layer_sizes[0]
    width, buffer, transposed, layers = padded(chunk, dtype), Buffer(), Buffer(), new_table(network)
    groups = np.array(
        lay_out(network, layers, buffer.room(n_in * width), buffer, transposed, chunk, width, dtype), np.int64
    )
    n_embedded, n_pieces = len(network.n_pieces) * network.width, sum(network.n_pieces)
    Y_T, losses, dE_T = (buffer.room(n * width) for n in (network.layer_sizes[-1], 2, n_embedded))
    weights, biases = ranges_of(groups, layers)
    V = network.blocks[-1].start
    bounds = V + np.array([*accumulate(network.n_pieces, initial=0)]) * network.width
    maps = np.column_stack([bounds[:-1], bounds[1:], np.ones_like(bounds[1:])])
    n_units = len(groups) + len(maps)
    return new_model(network, theta, layers), pieces.Room(
        work=on_pages(1, buffer.size, dtype),
        Y_T=Y_T,
        waiting=0,
        losses=losses,
        width=width,
        own=on_pages(n_threads, n_in * (by_columns.BLOCK // dtype.itemsize + full), dtype),
        W_T=aligned(transposed.size, dtype),
        G=aligned((1, network.n_params), dtype),
        chunk=chunk,
        rows=np.arange(max(chunk, *network.layer_sizes)),
        groups=groups,
        weights=np.concatenate([weights, maps]),
        biases=biases,
        squares=aligned(n_units, dtype),
        gradient_squares=aligned(n_units, dtype),
        A_T_streamed=False,
        theta_streamed=False,
        V=V,
        U=aligned((n_pieces, network.width), dtype),
        sums=aligned((2, n_pieces * network.width), dtype),
        dE_T=dE_T,
        dE=aligned((chunk, n_embedded), dtype),
    )
