"""Room for `kernels.ways.columns`, and how its work is cut."""

from itertools import pairwise
from math import ceil, gcd, lcm
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn.kernels.laws.activations import KEPT
from fastnn.kernels.layouts import columns, run
from fastnn.kernels.machine import host
from fastnn.kernels.machine.code import entry
from fastnn.network import Array, Network, aligned
from fastnn.training.calls import Kernel
from fastnn.training.memory import CHUNK, Buffer, is_slow, line, new_model, new_table, on_pages, padded, vector

TRAIN = Kernel(entry("ways.columns.train_by_columns"), entry("epochs.train_epochs"))
#: How many weights one update takes at least.
UPDATED = 1024
#: How many weights are updated at a time, so that a cache holds them with their moments.
AT_ONCE = 32768
#: Arithmetic (floating point operations) of a step that is short: on two cores, one of 0.1e6 took 3.5 us alone, 4.1
#: together and 3.2 in two shards; one of 2.4e6 took 36, 26 and 23, one of 20e6 no less for its shards.  A step of
#: 0.03e6 had better stay alone, for which the shards would be in vain.
SHORT = 1e5, 1e7
#: Bytes of the weights of a layer that a core's second cache holds beside the rest: of more there is a transposed copy,
#: or its columns would come from memory, a line for a few numbers, on processors with few registers and small caches.
FITS = 2**20 if host.REGISTERS == 32 else 2**18
#: Bytes of the parameters of a network that a core's second cache just holds with their moments and gradient.
LAYERED = 6.5e5
#: The most units of a first layer for which its examples are not transposed: see `is_in_place`.
IN_PLACE = 3


def strip(dtype: npt.DTypeLike) -> int:
    """How many examples a strip has: those of a tile, or of a cache line."""
    return columns.LINE * columns.TOGETHER * vector(dtype)


def panels(n: int, m: int, dtype: npt.DTypeLike) -> tuple[int, int]:
    """The shape of the panels that hold the transpose of whole vectors of an array (n, m): see `products.columns`."""
    width = host.COLS * host.REGISTER_BYTES // np.dtype(dtype).itemsize
    return ceil(n / width) * m, width


def is_narrow(n_in: int, n_out: int, m: int, dtype: npt.DTypeLike) -> bool:
    """Whether `inner` forms the gradient of a layer, over m examples, faster than `outer`.

    For few inputs or outputs, whose tiles would not be full; and enough examples, or horizontal sums of hardly anything
    are what takes the time: 24 inputs, 1000 units and 5 examples took 5 times as long.
    """
    fills_a_tile = 32 if host.REGISTERS == 32 else host.REGISTER_BYTES // np.dtype(dtype).itemsize
    return (n_in < fills_a_tile or n_out < 8) and m > min(4 * min(n_in, n_out), n_in * n_out / 8)


def is_in_place(network: Network, dtype: npt.DTypeLike) -> bool:
    """Whether the first layer takes the rows of X where they are: few units, whose inputs fill vectors."""
    n_x, n_1 = network.layer_sizes[:2]
    return n_1 <= IN_PLACE and not network.input_dropout and n_x >= host.REGISTER_BYTES // np.dtype(dtype).itemsize


def n_shards(network: Network, chunk: int, dtype: npt.DTypeLike) -> int:
    """Into how many parts a chunk of examples is cut, each with a gradient of its own: 1, 2, 4 or 8.

    Between cores, the gradients of the shards are what travels; without shards it is the activations, those of the
    inputs included, unless they stream.  So a network has shards if its parameters are fewer than that, long enough to
    fill the tiles; in a short step, where the way counts for more than the tiles, two of a strip or more.  The number
    must not depend on the threads: it decides the order of the sums, and so the bits.  But it should suit two and four:
    of three or five shards, one of two threads waits for the other.
    """
    travelling = network.layer_sizes[1 if host.STREAMS_A_T and not is_in_place(network, dtype) else 0 :]
    if network.n_params > chunk * sum(travelling):
        return 1
    is_short = SHORT[0] <= 6 * network.n_params * chunk <= SHORT[1]
    most = min(chunk // 96, chunk * sum(travelling) // network.n_params, 8)
    if is_short and chunk >= 2 * strip(dtype):
        most = max(most, 2)
    return 2 ** (max(most, 1).bit_length() - 1)


def goes_by_layers(network: Network, chunk: int, dtype: npt.DTypeLike) -> bool:
    """Whether a team works at one layer at a time, if there is one shard.

    Or each worker takes its examples through all layers.  By layers each has half of the parameters in its caches, and
    the activations travel, at barriers.  On a Xeon with AVX-512 that takes up to 28 % less from 170 000 parameters in
    float32 and 99 000 in float64 on, whatever the batch; it is no better at 150 000 and 74 000, and 7 to 20 % slower
    below; on Zen 4 it is up to 10 % less, from there on.  With the names of Zen 3 and before, the way of the parameters
    is short; but a batch that has no equal halves of whole strips, and takes much longer than the barriers, is faster
    by layers.  On Zen 4, so are batches with far fewer activations than the network has parameters: 12 to 40 % less.
    """
    if not host.STREAMS_A_T:
        is_batch_small = host.STREAMS and network.n_params > max(5 * chunk * sum(network.layer_sizes), 2e4)
        return is_batch_small or network.n_params * np.dtype(dtype).itemsize > LAYERED
    half = ceil(chunk / strip(dtype)) // 2 * strip(dtype)
    largest_share = max(half, chunk - half) / chunk
    is_long = 6 * network.n_params * chunk > (1e7 if largest_share > 0.65 else 1e8)
    return is_long and largest_share > 0.6


def is_streamed(theta: Array) -> bool:
    """Whether a team writes theta past the caches: whole vectors of memory, and few enough to come back in time.

    On Zen 4 an update of 90 000 parameters on two cores takes 26 us so, 39 otherwise.  Not so by layers and in
    `ways.online`, where most parameters are read by one worker alone.
    """
    return host.STREAMS and theta.nbytes <= LAYERED and theta.ctypes.data % host.REGISTER_BYTES == 0


def groups_of(l: int, layer: npt.NDArray[np.int64], rows: int, parts: int = 1) -> list[list[int]]:
    """The rows of a layer's weights, cut in parts, in groups of so many."""
    n_in, n_out, start = (int(layer[name]) for name in (run.N_IN, run.N_OUT, run.W))
    bounds = [n_out * part // parts for part in range(parts + 1)]
    ends = [min(begin + rows, last) for first, last in pairwise(bounds) for begin in range(first, last, rows)]
    return [[l, begin, end, start + (begin + end) * n_in // 2] for begin, end in zip([0, *ends], ends, strict=False)]


def ranges_of(
    groups: npt.NDArray[np.int64], layers: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Where in theta the weights of each group are, and its biases: (n_groups, 3), the penalty being on the former."""
    layer, bounds = layers[groups[:, columns.LAYER]], groups[:, [columns.FIRST, columns.LAST]]
    weights, biases = np.ones((len(groups), 3), np.int64), np.zeros((len(groups), 3), np.int64)
    weights[:, :2] = layer[:, [run.W]] + bounds * layer[:, [run.N_IN]]
    biases[:, :2] = layer[:, [run.B]] + bounds
    return weights, biases


def gradient_in_turns(
    network: Network, layers: npt.NDArray[np.int64], groups: npt.NDArray[np.int64], n_threads: int, dtype: npt.DTypeLike
) -> Array:
    """G of one shard: each worker of a team has room for the rows it is at; if that would hold all, there is one G."""
    layer = layers[groups[:, columns.LAYER]]
    rows = np.maximum(groups[:, columns.LAST] - groups[:, columns.FIRST], layer[:, run.ROWS_AT_ONCE])
    weights = np.minimum(rows, layer[:, run.N_OUT]) * layer[:, run.N_IN]
    G = on_pages(n_threads, int(weights.max()) + line(dtype) + max(network.layer_sizes), dtype)
    return G if G.shape[1] < network.n_params else aligned((1, network.n_params), dtype)


def can(network: Network, batch_size: int, dtype: npt.DTypeLike) -> bool:
    """Whether this way trains the network: any."""
    return True


#: What each of the `terms` costs, in nanoseconds: see `plan.cost`.
NANOSECONDS = (151, 403, 0.293, 0.251, 0.440, 4.28, 8.46, 30.6)


def terms(network: Network, batch_size: int, dtype: npt.DTypeLike) -> tuple[int, ...]:
    """What a step consists of.

    The step and its layers (one each); products (vectors); inputs, and activations of hidden layers, transposed
    (numbers); parameters (vectors); slow activations (vectors); outputs (vectors).
    """
    (n_x, *hidden, n_y), full = network.layer_sizes, vector(dtype)
    strips = ceil(batch_size / full)
    return (
        1,
        len(network.shapes),
        strips * sum(n_in * n_out * (3 if l else 2) for l, (n_out, n_in) in enumerate(network.shapes)),
        batch_size * n_x,
        batch_size * sum(hidden),
        network.n_params // full,
        strips * sum(n * is_slow(law) for n, law in zip(hidden, network.hidden_laws, strict=True)),
        strips * n_y,
    )


def lay_out(
    network: Network,
    layers: npt.NDArray[np.int64],
    a_in: int,
    buffer: Buffer,
    transposed: Buffer,
    m: int,
    width: int,
    dtype: np.dtype[Any],
    is_sparse: bool = False,
) -> list[list[int]]:
    """Fill in the table of layers, and give them room; returns the groups of rows of the weights.

    If the first layer is sparse, its weights are in no group.
    """
    groups, full = [], vector(dtype)
    for l, (n_out, n_in) in enumerate(network.shapes):
        layer = layers[l]
        layer[run.A_IN] = a_in
        layer[run.A_OUT] = layer[run.DZ] = layer[run.SLOPE] = a_in = buffer.room(n_out * width)
        if layer[run.FORM] == KEPT:
            layer[run.DZ] = layer[run.SLOPE] = buffer.room(n_out * width)
        if layer[run.A_IN] == columns.NONE or is_narrow(n_in, n_out, m, dtype):
            layer[run.A_T] = columns.NONE
            if l and layers[l - 1, run.FORM] != KEPT:
                # `inner` takes A itself, in the second half of the step: dZ must not overwrite it.
                layers[l - 1, run.DZ] = buffer.room(n_in * width)
        else:
            layer[run.A_T] = buffer.room(int(np.prod(panels(n_in, width, dtype))))
        # A group of rows is what one update takes: full tiles, and enough numbers to be worth the call; if it may be,
        # whole vectors.
        unit, layer[run.W_T] = host.ROWS, columns.NONE
        if l == 0 and is_sparse:
            groups += [[0, 0, n_out, int(layer[run.B])]]
            continue
        whole = lcm(unit, full // gcd(n_in, full))
        if whole * n_in <= UPDATED:
            unit = whole
        if l and n_out * n_in * dtype.itemsize > FITS:
            unit, layer[run.ROW] = lcm(unit, line(dtype)), padded(n_out, dtype)
            layer[run.W_T] = transposed.room(n_in * padded(n_out, dtype))
        groups += groups_of(l, layer, unit * ceil(UPDATED / (unit * n_in)))
        # As many rows at a time as the cache holds with their moments: their gradient reads all the examples.
        layer[run.ROWS_AT_ONCE] = AT_ONCE // n_in
    return groups


def room(
    network: Network, theta: Array, batch_size: int, n_threads: int, is_clipped: bool = False
) -> tuple[run.Model, columns.Room]:
    """What the kernel needs to train theta on batches of up to `batch_size` examples."""
    dtype, chunk = theta.dtype, min(batch_size, CHUNK)
    shards = n_shards(network, chunk, dtype)
    m = ceil(chunk / shards)
    width = padded(m, dtype)
    buffer, transposed = Buffer(), Buffer()
    full, layers = vector(dtype), new_table(network)
    n_x, block_width = network.layer_sizes[0], padded(columns.BLOCK // dtype.itemsize + full, dtype)
    by_layers = shards == 1 and goes_by_layers(network, chunk, dtype)
    in_place = not by_layers and is_in_place(network, dtype)
    is_kept = by_layers or is_narrow(n_x, network.layer_sizes[1], m, dtype)  # A_0: others, or the gradient, take it
    a_in = columns.NONE if in_place else buffer.room(n_x * width if is_kept else 0)
    groups = lay_out(network, layers, a_in, buffer, transposed, m, width, dtype)
    Y_T, losses = buffer.room(network.layer_sizes[-1] * width), buffer.room(2 * width)
    waiting = buffer.room(max(network.layer_sizes[1:-2], default=0) * width if by_layers else 0)
    table, is_used_up = np.array(groups, np.int64), shards == 1 and chunk == batch_size and not is_clipped
    G = (
        gradient_in_turns(network, layers, table, n_threads, dtype)
        if is_used_up
        else on_pages(shards, network.n_params, dtype)
    )
    weights, biases = ranges_of(table, layers)
    return new_model(network, theta, layers), columns.Room(
        work=on_pages(shards, buffer.size, dtype),
        Y_T=Y_T,
        losses=losses,
        waiting=waiting,
        width=width,
        own=on_pages(n_threads, 0 if is_kept else n_x * block_width, dtype),
        block_width=block_width,
        W_T=aligned(transposed.size, dtype),
        G=G,
        chunk=chunk,
        rows=np.arange(max(network.layer_sizes)),
        groups=table,
        weights=weights,
        biases=biases,
        squares=aligned(len(groups), dtype),
        gradient_squares=aligned(len(groups), dtype),
        by_layers=by_layers,
        A_T_streamed=host.STREAMS_A_T and shards == 1,  # the panels of a shard are read where they are written
        theta_streamed=is_streamed(theta) and not by_layers,
    )
