"""Room for `kernels.ways.units`."""

from itertools import pairwise
from math import ceil

import numpy as np
import numpy.typing as npt

from fastnn.kernels import run
from fastnn.kernels.ways import units
from fastnn.network import Array, Network, aligned
from fastnn.training.calls import training
from fastnn.training.memory import CHUNK, Buffer, keeps_slopes, line, new_model, new_table, on_pages, padded, vector
from fastnn.training.ways.columns import is_in_place, n_shards

TRAIN = training(units.train)
#: Bytes of the parameters of a small network, at most.
SMALL = 2**17


def shards(network: Network, batch_size: int, dtype: npt.DTypeLike) -> int:
    """Into how many shards a batch is cut: two are worth their barrier sooner than in `ways.columns`.

    On Zen 4 two threads take 7 to 30 % less for their shards of 32 to 63 examples, and one thread 2 to 14 % more.
    """
    is_cut = batch_size >= 64 or (batch_size >= 32 and 6 * network.n_params * batch_size > 2e5)
    return max(n_shards(network, batch_size, dtype), 2 if is_cut else 1)


def has_signs(network: Network) -> bool:
    """Whether the steps of this network, if it is small, are those of `kernels.signs`."""
    return len(network.shapes) == 2 and network.activation == "relu" and network.layer_sizes[-1] == 1


def can(network: Network, batch_size: int, dtype: npt.DTypeLike) -> bool:
    """Whether this way trains the network: by batches that go through at once."""
    return batch_size <= CHUNK


def is_small(network: Network, batch_size: int, dtype: npt.DTypeLike) -> bool:
    """Whether `kernels.small` trains this network, and not `kernels.epoch`.

    With one hidden layer its steps take 10 to 35 % less on the processors where both were timed.  What it loses by:
    every member of a team updates all parameters, and brings the gradient together; outputs are not along the lanes;
    weights between hidden layers, of which there are copies; units that do not fill their vectors.  What it gains by
    most: examples that would not fill theirs, and signs, if there are not many inputs.  Of 2900 networks on Zen 4, this
    takes a way that is slower by more than 10 % in one of twelve, and 2 % too long in the mean.

    Without a hidden layer (for one output, see `is_linear`), the inputs of a shard are all that a step works on: up to
    35 % less if these are in the first caches, and there are 20 times as many of them as outputs.
    """
    n_x, *hidden, n_y = network.layer_sizes
    if batch_size > CHUNK:
        return False
    if not hidden:
        shard = ceil(batch_size / shards(network, batch_size, dtype)) * n_x * np.dtype(dtype).itemsize
        return shard <= 2**16 and n_y <= n_x // 20
    n_bytes, full = network.n_params * np.dtype(dtype).itemsize, vector(dtype)
    if n_bytes > SMALL or n_y > 24 or sum(n_in * n_out for n_in, n_out in pairwise(hidden)) > 4096:
        return False
    if n_x > 40 and is_in_place(network, dtype):
        return False
    lanes_an_example = ceil(batch_size / full) * full / batch_size
    if lanes_an_example >= 1.6:
        return True
    rows = [ceil(n / full) * full for n in hidden]
    lanes = sum((n_in + 1) * row for n_in, row in zip([n_x, *hidden], rows, strict=False)) + n_y * (rows[-1] + 1)
    most = 1.3 if network.activation in ("logistic", "tanh") else 1.7
    are_lanes_full = (n_x <= 40 and has_signs(network)) or lanes <= most * lanes_an_example * network.n_params
    return are_lanes_full and n_bytes * n_y * batch_size <= 1e7


def room(network: Network, theta: Array, batch_size: int, n_threads: int) -> tuple[run.Model, units.Room]:
    """What the kernel needs to train theta on batches of up to `batch_size` examples."""
    dtype, full = theta.dtype, vector(theta.dtype)
    *widths, n_y = network.layer_sizes
    if has_signs(network):
        widths[0] += 1  # a column of ones
    rows = [ceil(n / line(dtype)) * line(dtype) if n < 8 * line(dtype) else padded(n, dtype) for n in widths]
    n = shards(network, batch_size, dtype)
    m = ceil(batch_size / n)
    end = ceil(m / full) * full
    layers, buffer, own, copies, ranges = new_table(network), Buffer(), Buffer(), Buffer(), []
    places = [buffer.room(m * row) for row in rows] + [buffer.room(n_y * end)]
    for l, (n_out, n_in) in enumerate(network.shapes):
        layer, is_last = layers[l], l == len(layers) - 1
        layer[[run.A_IN, run.A_OUT, run.SLOPE, run.A_ROW]] = places[l], places[l + 1], places[l + 1], rows[l]
        if not is_last and keeps_slopes(network):
            layer[run.SLOPE] = buffer.room(m * rows[l + 1])
        layer[run.ROW] = row = rows[l] if is_last else rows[l + 1]
        layer[run.W_T] = start = own.room(n_out * (row + 1) if is_last else (n_in + 1) * row)
        middle = start + (n_out if is_last else n_in) * row
        ranges += [[start, middle, 1], [middle, middle + (n_out if is_last else row), 0]]
        layer[run.W_ROWS] = 0 if l == 0 or is_last else copies.room(row * ceil(n_in / full) * full)
    Y_T, losses = buffer.room(n_y * end), buffer.room(2 * end + 2)
    G = on_pages(2 * n, own.size, dtype)
    layers[:, run.W_ROWS] += 3 * G.shape[1]  # parameters and up to two moments come first
    return new_model(network, theta, layers), units.Room(
        work=on_pages(n, buffer.size, dtype),
        Y_T=Y_T,
        losses=losses,
        width=end,
        own=on_pages(n_threads, 3 * G.shape[1] + copies.size, dtype),
        G=G,
        chunk=batch_size,
        rows=np.arange(max(network.layer_sizes)),
        ranges=np.array(ranges),
        squares=aligned(len(ranges), dtype),
    )
