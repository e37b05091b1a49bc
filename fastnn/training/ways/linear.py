"""Room for `kernels.ways.linear`."""

from math import ceil

import numpy as np
import numpy.typing as npt

from fastnn.kernels.layouts import run, units
from fastnn.kernels.machine.code import entry
from fastnn.network import Array, Network, aligned
from fastnn.training.calls import Kernel
from fastnn.training.memory import Buffer, new_model, new_table, on_pages, vector
from fastnn.training.ways.units import shards

TRAIN = Kernel(entry("ways.linear.train_linear"), entry("epochs.train_epochs"))
#: Bytes of the parameters, at most: each worker updates all of them.
TINY = 36_000
#: Bytes of the examples that are read at a time: a second cache holds them, and the next.
READ = 2**17
#: Parameters times examples of a step for which two threads are worth their barrier.
SHARED = 1e4


def can(network: Network, batch_size: int, dtype: npt.DTypeLike) -> bool:
    """Whether this way trains the network: no hidden layer, one output."""
    return (
        network.layer_sizes[1:] == (1,)
        and not network.input_dropout
        and network.n_params * np.dtype(dtype).itemsize <= TINY
    )


def room(network: Network, theta: Array, batch_size: int, n_threads: int) -> tuple[run.Model, units.Room]:
    """What the kernel needs to train theta on batches of up to `batch_size` examples."""
    dtype, buffer, layers = theta.dtype, Buffer(), new_table(network)
    n = shards(network, batch_size, dtype)
    if network.n_params * batch_size > SHARED:
        n = max(n, 2)
    block = max(READ // (network.layer_sizes[0] * dtype.itemsize) // vector(dtype), 1)
    width = min(block, ceil(batch_size / n / vector(dtype))) * vector(dtype)
    layers[0, run.A_OUT] = buffer.room(width)
    Y_T, losses = buffer.room(width), buffer.room(2 * width + 2)
    return new_model(network, theta, layers), units.Room(
        work=on_pages(n, buffer.size, dtype),
        Y_T=Y_T,
        losses=losses,
        width=width,
        own=on_pages(n_threads, 4 * network.n_params, dtype),
        G=on_pages(2 * n, network.n_params, dtype),
        chunk=batch_size,
        rows=np.arange(0),
        ranges=np.array([[0, network.n_params - 1, 1], [network.n_params - 1, network.n_params, 0]]),
        squares=aligned(2, dtype),
        gradient_squares=aligned(1, dtype),
        own_squares=on_pages(n_threads, 1, dtype),
    )
