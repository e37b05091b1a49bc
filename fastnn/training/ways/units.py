"""Room for `kernels.ways.units`."""

from dataclasses import replace
from itertools import pairwise
from math import ceil

import numpy as np
import numpy.typing as npt

from fastnn.kernels.laws.activations import KEPT, RELU
from fastnn.kernels.layouts import run, units
from fastnn.kernels.machine.code import entry
from fastnn.network import Array, Network, aligned
from fastnn.training.calls import Kernel
from fastnn.training.memory import CHUNK, Buffer, is_slow, line, new_model, new_table, on_pages, padded, vector
from fastnn.training.ways.columns import n_shards

TRAIN = Kernel(entry("ways.units.train_by_units"), entry("epochs.train_epochs"))
#: Bytes of the parameters, at most: with their moments and gradients, a second cache holds them.
SMALL = 2**17


def shards(network: Network, batch_size: int, dtype: npt.DTypeLike) -> int:
    """Into how many shards a batch is cut: two are worth their barrier sooner than in `ways.columns`.

    On Zen 4 two threads take 7 to 30 % less for their shards of 32 to 63 examples, and one thread 2 to 14 % more.
    """
    is_cut = batch_size >= 64 or (batch_size >= 32 and 6 * network.n_params * batch_size > 2e5)
    return max(n_shards(network, batch_size, dtype), 2 if is_cut else 1)


def has_signs(network: Network) -> bool:
    """Whether the steps of this network, if it is small, are those of `products.signs`, dropout included."""
    laws = replace(network, dropout=0.0).hidden_laws
    return [law.form for law in laws] == [RELU] and network.layer_sizes[-1] == 1


def can(network: Network, batch_size: int, dtype: npt.DTypeLike) -> bool:
    """Whether this way trains the network: parameters that a second cache holds, by batches that go through at once."""
    return batch_size <= CHUNK and network.n_params * np.dtype(dtype).itemsize <= SMALL


#: What each of the `terms` costs, in nanoseconds: see `plan.cost`.
NANOSECONDS = (146, 174, 0.276, 0.418, 3.20, 2.29, 3.49, 8.61, 29.2, 0.302)


def terms(network: Network, batch_size: int, dtype: npt.DTypeLike) -> tuple[int, ...]:
    """What a step consists of, in vectors unless it is said otherwise.

    The step and its layers (one each); products below the output layer, and of it; examples, and inputs of theirs;
    parameters with their gradients; numbers of slow activations; outputs; and weights between hidden layers, of which
    there are copies (numbers).
    """
    (n_x, *hidden, n_y), full = network.layer_sizes, vector(dtype)
    pairs, last = list(pairwise([n_x, *hidden])), [n_x, *hidden][-1]
    rows = sum((n_in + 1) * ceil(n_out / full) for n_in, n_out in pairs) + n_y * (ceil(last / full) + 1)
    return (
        1,
        len(network.shapes),
        batch_size
        * sum(
            2 * n_in * ceil(n_out / full) + (l > 0) * ceil(n_in / full) * n_out for l, (n_in, n_out) in enumerate(pairs)
        ),
        batch_size * n_y * ceil(last / full) * (3 if hidden else 2),
        batch_size,
        batch_size * ceil(n_x / full),
        (1 + shards(network, batch_size, dtype)) * rows,
        batch_size * sum(ceil(n / full) * is_slow(law) for n, law in zip(hidden, network.hidden_laws, strict=True)),
        ceil(batch_size / full) * n_y,
        sum(n_in * n_out for n_in, n_out in pairs[1:]),
    )


def room(network: Network, theta: Array, batch_size: int, n_threads: int) -> tuple[run.Model, units.Room]:
    """What the kernel needs to train theta on batches of up to `batch_size` examples."""
    dtype, full = theta.dtype, vector(theta.dtype)
    *widths, n_y = network.layer_sizes
    layers = new_table(network)
    if has_signs(network):
        widths[0] += 1  # a column of ones
        layers[0, run.FORM] = RELU
    rows = [ceil(n / line(dtype)) * line(dtype) if n < 8 * line(dtype) else padded(n, dtype) for n in widths]
    n = shards(network, batch_size, dtype)
    m = ceil(batch_size / n)
    end = ceil(m / full) * full
    buffer, own, copies, ranges = Buffer(), Buffer(), Buffer(), []
    places = [buffer.room(m * row) for row in rows] + [buffer.room(n_y * end)]
    for l, (n_out, n_in) in enumerate(network.shapes):
        layer, is_last = layers[l], l == len(layers) - 1
        layer[[run.A_IN, run.A_OUT, run.SLOPE, run.A_ROW]] = places[l], places[l + 1], places[l + 1], rows[l]
        if layer[run.FORM] == KEPT or (network.dropout and not is_last):  # or the masks of `signs`
            layer[run.SLOPE] = buffer.room(m * rows[l + 1])
        layer[run.ROW] = row = rows[l] if is_last else rows[l + 1]
        layer[run.W_T] = start = own.room(n_out * (row + 1) if is_last else (n_in + 1) * row)
        middle = start + (n_out if is_last else n_in) * row
        ranges += [[start, middle, 1], [middle, middle + (n_out if is_last else row), 0]]
        layer[run.W_ROWS] = 0 if l == 0 or is_last else copies.room(row * ceil(n_in / full) * full)
    Y_T, losses = buffer.room(n_y * end), buffer.room(2 * end + 2)
    G = on_pages(2 * n, own.size, dtype)
    layers[:, run.W_ROWS] += 4 * G.shape[1]  # parameters and up to three moments come first
    return new_model(network, theta, layers), units.Room(
        work=on_pages(n, buffer.size, dtype),
        Y_T=Y_T,
        losses=losses,
        width=end,
        own=on_pages(n_threads, 4 * G.shape[1] + copies.size, dtype),
        G=G,
        chunk=batch_size,
        rows=np.arange(max(network.layer_sizes)),
        ranges=np.array(ranges),
        squares=aligned(len(ranges), dtype),
        gradient_squares=aligned(1, dtype),
        own_squares=on_pages(n_threads, max(rows), dtype),
    )
