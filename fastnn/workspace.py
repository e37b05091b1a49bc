"""The room that the kernels need: the table of layers, and one flat buffer that holds everything."""
from functools import lru_cache
from itertools import pairwise
from math import ceil, gcd, lcm
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn.kernels import activations, epoch, few, losses, predict, simd
from fastnn.network import Array, Network, aligned

#: How many examples go through the network before the gradient takes them in (a larger batch takes several turns),
#: and how many a prediction takes at a time, so that they stay in the cache from layer to layer.
CHUNK, PREDICTED, PREDICTED_FEW = 512, 128, 32
#: How many weights one update takes at least.
UPDATED = 1024
#: The most weights that are not worth a cut in `kernels.few`.
UNCUT = 2500
#: Bytes of the parameters of a small network, at most.
SMALL = 2**17
#: And of one without a hidden layer and with one output: each member of a team updates all of them.
TINY = 36_000
#: Arithmetic (floating point operations) of a step that is short: on two cores, one of 0.1e6 took 3.5 us alone, 4.1
#: together and 3.2 in two shards; one of 2.4e6 took 36, 26 and 23, one of 20e6 no less for its shards.  A step of
#: 0.03e6 had better stay alone, for which the shards would be in vain.
SHORT = 1e5, 1e7
#: Bytes of the weights of a layer that a core's second cache holds beside the rest: of more there is a transposed copy,
#: or its columns would come from memory, a line for a few numbers, on processors with few registers and small caches.
FITS = 2**20 if simd.REGISTERS == 32 else 2**18
#: Bytes of the parameters of a network that a core's second cache just holds with their moments and gradient.
LAYERED = 6.5e5
#: Bytes of the examples that a step without a hidden layer reads at a time: a second cache holds them, and the next.
READ = 2**17
#: The most units of a first layer for which its examples are not transposed: see `is_in_place`.
IN_PLACE = 3
#: Bytes of a page of memory, at whose end prefetchers stop.
PAGE = 4096
ACTIVATIONS = {"identity": activations.IDENTITY, "logistic": activations.LOGISTIC,
               "tanh": activations.TANH, "relu": activations.RELU}
LOSSES = {("log_loss", "logistic"): losses.LOG_LOSS, ("log_loss", "softmax"): losses.CROSS_ENTROPY,
          ("squared_error", "identity"): losses.SQUARED_ERROR, ("poisson", "exp"): losses.POISSON}


class _Buffer:
    """Room given out piece by piece, each on a cache line of its own, before the buffer itself is made."""

    def __init__(self) -> None:
        self.size = 0

    def room(self, numbers: int) -> int:
        start, self.size = self.size, self.size + -(-numbers // 16) * 16
        return start


def line(dtype: npt.DTypeLike) -> int:
    """How many numbers one cache line holds: whole vectors of them."""
    return 64 // np.dtype(dtype).itemsize


def strip(dtype: npt.DTypeLike) -> int:
    """How many examples a strip has: those of a tile, or of a cache line."""
    return epoch.LINE * epoch.TOGETHER * simd.REGISTER_BYTES // np.dtype(dtype).itemsize


def on_pages(n_rows: int, numbers: int, dtype: npt.DTypeLike) -> Array:
    """Zeros (n_rows, numbers or more), each row on pages of its own if there are several: see `epoch.Room`."""
    dtype = np.dtype(dtype)
    if n_rows == 1:
        return aligned((1, numbers), dtype)
    return aligned((n_rows, ceil(numbers * dtype.itemsize / PAGE) * PAGE // dtype.itemsize), dtype, PAGE)


def padded(numbers: int, dtype: npt.DTypeLike) -> int:
    """The length of a row: an odd number of cache lines, because rows at powers of two compete for the same ones."""
    return (ceil(numbers / line(dtype)) | 1) * line(dtype)


def panels(n: int, m: int, dtype: npt.DTypeLike) -> tuple[int, int]:
    """The shape of the panels that hold the transpose of an array (n, m), of whole vectors: see `layers.panels`."""
    width = simd.COLS * simd.REGISTER_BYTES // np.dtype(dtype).itemsize
    return ceil(n / width) * m, width


def is_narrow(n_in: int, n_out: int, m: int, dtype: npt.DTypeLike) -> bool:
    """Whether `inner` forms the gradient of a layer, over m examples, faster than `outer`.

    For few inputs or outputs, whose tiles would not be full; and enough examples, or horizontal sums of hardly anything
    are what takes the time: 24 inputs, 1000 units and 5 examples took 5 times as long.
    """
    fills_a_tile = 32 if simd.REGISTERS == 32 else simd.REGISTER_BYTES // np.dtype(dtype).itemsize
    return (n_in < fills_a_tile or n_out < 8) and m > min(4 * min(n_in, n_out), n_in * n_out / 8)


def is_in_place(network: Network, dtype: npt.DTypeLike) -> bool:
    """Whether the first layer takes the rows of X where they are: few units, whose inputs fill vectors."""
    n_x, n_1 = network.layer_sizes[:2]
    return n_1 <= IN_PLACE and n_x >= simd.REGISTER_BYTES // np.dtype(dtype).itemsize


def n_shards(network: Network, chunk: int, dtype: npt.DTypeLike) -> int:
    """Into how many parts a chunk of examples is cut, each with a gradient of its own: 1, 2, 4 or 8.

    Between cores, the gradients of the shards are what travels; without shards it is the activations, those of the
    inputs included, unless they stream.  So a network has shards if its parameters are fewer than that, long enough to
    fill the tiles; in a short step, where the way counts for more than the tiles, two of a strip or more.  The number
    must not depend on the threads: it decides the order of the sums, and so the bits.  But it should suit two and four:
    of three or five shards, one of two threads waits for the other.
    """
    travelling = network.layer_sizes[1 if simd.STREAMS_A_T and not is_in_place(network, dtype) else 0:]
    if network.n_params > chunk * sum(travelling):
        return 1
    is_short = SHORT[0] <= 6 * network.n_params * chunk <= SHORT[1]
    most = min(chunk // 96, chunk * sum(travelling) // network.n_params, 8)
    if is_short and chunk >= 2 * strip(dtype):
        most = max(most, 2)
    return 2 ** (max(most, 1).bit_length() - 1)


def goes_by_layers(network: Network, chunk: int, dtype: npt.DTypeLike) -> bool:
    """Whether a team works at one layer at a time, if there is one shard.

    Or each member takes its examples through all layers.  By layers each has half of the parameters in its caches, and
    the activations travel, at barriers.  On a Xeon with AVX-512 that takes up to 28 % less from 170 000 parameters in
    float32 and 99 000 in float64 on, whatever the batch; it is no better at 150 000 and 74 000, and 7 to 20 % slower
    below; on Zen 4 it is up to 10 % less, from there on.  With the names of Zen 3 and before, the way of the parameters
    is short; but a batch that has no equal halves of whole strips, and takes much longer than the barriers, is faster
    by layers.  On Zen 4, so are batches with far fewer activations than the network has parameters: 12 to 40 % less.
    """
    if not simd.STREAMS_A_T:
        is_batch_small = simd.STREAMS and network.n_params > max(5 * chunk * sum(network.layer_sizes), 2e4)
        return is_batch_small or network.n_params * np.dtype(dtype).itemsize > LAYERED
    half = ceil(chunk / strip(dtype)) // 2 * strip(dtype)
    largest_share = max(half, chunk - half) / chunk
    is_long = 6 * network.n_params * chunk > (1e7 if largest_share > 0.65 else 1e8)
    return is_long and largest_share > 0.6


def is_streamed(theta: Array) -> bool:
    """Whether a team writes theta past the caches: whole vectors of memory, and few enough to come back in time.

    On Zen 4 an update of 90 000 parameters on two cores takes 26 us so, 39 otherwise.  Not so by layers and in
    `kernels.few`, where most parameters are read by one member alone.
    """
    return simd.STREAMS and theta.nbytes <= LAYERED and theta.ctypes.data % simd.REGISTER_BYTES == 0


def _new_table(network: Network) -> npt.NDArray[np.int64]:
    """The table of layers, but for its offsets into the workspace."""
    layers = np.zeros((len(network.shapes), epoch.FIELDS), np.int64)
    for block in network.blocks:
        layers[block.layer - 1, epoch.W if block.is_penalised else epoch.B] = block.start
    for layer, (n_out, n_in) in zip(layers, network.shapes, strict=True):
        layer[[epoch.N_IN, epoch.N_OUT, epoch.ACTIVATION]] = n_in, n_out, ACTIVATIONS[network.activation]
    layers[-1, epoch.ACTIVATION] = activations.IDENTITY      # the output activation comes with the loss
    return layers


def _groups(l: int, layer: npt.NDArray[np.int64], rows: int, parts: int = 1) -> list[list[int]]:
    """The rows of a layer's weights, cut in parts, in groups of so many."""
    n_in, n_out, start = (int(layer[name]) for name in (epoch.N_IN, epoch.N_OUT, epoch.W))
    bounds = [n_out * part // parts for part in range(parts + 1)]
    ends = [min(begin + rows, last) for first, last in pairwise(bounds) for begin in range(first, last, rows)]
    return [[l, begin, end, start + (begin + end) * n_in // 2] for begin, end in zip([0, *ends], ends, strict=False)]


def _gradient_in_turns(network: Network, layers: npt.NDArray[np.int64], groups: npt.NDArray[np.int64], n_threads: int,
                       dtype: npt.DTypeLike) -> Array:
    """G of one shard: each member of a team has room for the rows it is at; if that would hold all, there is one G."""
    layer = layers[groups[:, epoch.LAYER]]
    rows = np.maximum(groups[:, epoch.LAST] - groups[:, epoch.FIRST], layer[:, epoch.TURN])
    weights = np.minimum(rows, layer[:, epoch.N_OUT]) * layer[:, epoch.N_IN]
    G = on_pages(n_threads, int(weights.max()) + line(dtype) + max(network.layer_sizes), dtype)
    return G if G.shape[1] < network.n_params else aligned((1, network.n_params), dtype)


def for_few(network: Network, theta: Array, batch_size: int, n_threads: int) -> tuple[epoch.Model, epoch.Room]:
    """What `kernels.few.train` needs to train theta on batches of up to `batch_size` examples, at most few.MOST."""
    dtype, buffer, own, groups = theta.dtype, _Buffer(), _Buffer(), []
    layers, (n_x, *hidden, n_y) = _new_table(network), network.layer_sizes
    layers[:, [epoch.A_T, epoch.W_T]] = epoch.NONE
    layers[0, epoch.A_IN] = own.room(batch_size * padded(n_x, dtype))
    for l, n in enumerate(hidden):
        layers[l, epoch.A_OUT] = layers[l + 1, epoch.A_IN] = buffer.room(batch_size * padded(n, dtype))
        layers[l, epoch.DZ] = buffer.room(batch_size * padded(n, dtype))
    layers[-1, epoch.A_OUT] = buffer.room(batch_size * padded(n_y, dtype))
    layers[-1, epoch.DZ] = own.room(batch_size * padded(n_y, dtype))
    for l, layer in enumerate(layers):
        layer[epoch.PARTS] = few.MOST_PARTS if layer[epoch.N_IN] * layer[epoch.N_OUT] > UNCUT else 1
        # In large groups: a step is hardly more than the update.
        groups += _groups(l, layer, ceil(8 * UPDATED / layer[epoch.N_IN]), layer[epoch.PARTS])
    width = padded(max([n_y, few.MOST, *hidden]), dtype)
    Y_T, losses = own.room(n_y), own.room(2 * width)
    waiting = buffer.room(2 * few.MOST_PARTS * batch_size * width)
    table = np.array(groups, np.int64)
    return epoch.Model(theta, layers, LOSSES[network.loss, network.out_activation]), epoch.Room(
        work=aligned((1, buffer.size), dtype), Y_T=Y_T, losses=losses, waiting=waiting, width=width,
        own=on_pages(n_threads, own.size, dtype), block_width=0, W_T=aligned(0, dtype),
        G=_gradient_in_turns(network, layers, table, n_threads, dtype), chunk=batch_size,
        rows=np.arange(max(network.layer_sizes)), groups=table, squares=aligned(len(groups), dtype),
        by_layers=False, A_T_streamed=False, theta_streamed=False)


def shards_of_small(network: Network, batch_size: int, dtype: npt.DTypeLike) -> int:
    """Into how many shards `kernels.small` cuts a batch: two are worth their barrier sooner than in `kernels.epoch`.

    On Zen 4 two threads take 7 to 30 % less for their shards of 32 to 63 examples, and one thread 2 to 14 % more.
    """
    is_cut = batch_size >= 64 or (batch_size >= 32 and 6 * network.n_params * batch_size > 2e5)
    return max(n_shards(network, batch_size, dtype), 2 if is_cut else 1)


def is_linear(network: Network, dtype: npt.DTypeLike) -> bool:
    """Whether `kernels.linear` trains this network: no hidden layer, one output."""
    return network.layer_sizes[1:] == (1,) and network.n_params * np.dtype(dtype).itemsize <= TINY


def for_linear(network: Network, theta: Array, batch_size: int, n_threads: int) -> tuple[epoch.Model, epoch.Room]:
    """What `kernels.linear.train` needs to train theta on batches of up to `batch_size` examples."""
    dtype, buffer, layers = theta.dtype, _Buffer(), _new_table(network)
    vector = simd.REGISTER_BYTES // dtype.itemsize
    shards = shards_of_small(network, batch_size, dtype)
    if network.n_params * batch_size > 1e4:                  # two threads are worth their barrier
        shards = max(shards, 2)
    block = max(READ // (network.layer_sizes[0] * dtype.itemsize) // vector, 1)
    width = min(block, ceil(batch_size / shards / vector)) * vector
    layers[0, epoch.A_OUT] = buffer.room(width)
    Y_T, losses = buffer.room(width), buffer.room(2 * width + 2)
    room = epoch.Room(
        work=on_pages(shards, buffer.size, dtype), Y_T=Y_T, losses=losses, waiting=0, width=width,
        own=on_pages(n_threads, 3 * network.n_params, dtype), block_width=0, W_T=aligned(0, dtype),
        G=on_pages(2 * shards, network.n_params, dtype), chunk=batch_size, rows=np.arange(0),
        groups=np.zeros((0, epoch.GROUP_FIELDS), np.int64), squares=aligned(1, dtype), by_layers=False,
        A_T_streamed=False, theta_streamed=False)
    return epoch.Model(theta, layers, LOSSES[network.loss, network.out_activation]), room


def has_signs(network: Network) -> bool:
    """Whether the steps of this network, if it is small, are those of `kernels.signs`."""
    return len(network.shapes) == 2 and network.activation == "relu" and network.layer_sizes[-1] == 1


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
        shard = ceil(batch_size / shards_of_small(network, batch_size, dtype)) * n_x * np.dtype(dtype).itemsize
        return shard <= 2**16 and n_y <= n_x // 20
    n_bytes, vector = network.n_params * np.dtype(dtype).itemsize, simd.REGISTER_BYTES // np.dtype(dtype).itemsize
    if n_bytes > SMALL or n_y > 24 or sum(n_in * n_out for n_in, n_out in pairwise(hidden)) > 4096:
        return False
    if n_x > 40 and is_in_place(network, dtype):
        return False
    lanes_an_example = ceil(batch_size / vector) * vector / batch_size
    if lanes_an_example >= 1.6:
        return True
    rows = [ceil(n / vector) * vector for n in hidden]
    lanes = sum((n_in + 1) * row for n_in, row in zip([n_x, *hidden], rows, strict=False)) + n_y * (rows[-1] + 1)
    most = 1.3 if network.activation in ("logistic", "tanh") else 1.7
    are_lanes_full = (n_x <= 40 and has_signs(network)) or lanes <= most * lanes_an_example * network.n_params
    return are_lanes_full and n_bytes * n_y * batch_size <= 1e7


def for_small(network: Network, theta: Array, batch_size: int, n_threads: int) -> tuple[epoch.Model, epoch.Room]:
    """What `kernels.small.train` needs to train theta on batches of up to `batch_size` examples."""
    dtype, vector = theta.dtype, simd.REGISTER_BYTES // theta.dtype.itemsize
    *widths, n_y = network.layer_sizes
    if has_signs(network):
        widths[0] += 1                                       # a column of ones
    rows = [ceil(n / line(dtype)) * line(dtype) if n < 8 * line(dtype) else padded(n, dtype) for n in widths]
    shards = shards_of_small(network, batch_size, dtype)
    m = ceil(batch_size / shards)
    end = ceil(m / vector) * vector
    layers, buffer, own, copies = _new_table(network), _Buffer(), _Buffer(), _Buffer()
    places = [buffer.room(m * row) for row in rows] + [buffer.room(n_y * end)]
    for l, (n_out, n_in) in enumerate(network.shapes):
        layer, is_last = layers[l], l == len(layers) - 1
        layer[[epoch.A_IN, epoch.A_OUT, epoch.A_ROW]] = places[l], places[l + 1], rows[l]
        layer[epoch.W_T_ROW] = row = rows[l] if is_last else rows[l + 1]
        layer[epoch.W_T] = own.room(n_out * (row + 1) if is_last else (n_in + 1) * row)
        layer[epoch.W_ROWS] = 0 if l == 0 or is_last else copies.room(row * ceil(n_in / vector) * vector)
    Y_T, losses = buffer.room(n_y * end), buffer.room(2 * end + 2)
    G = on_pages(2 * shards, own.size, dtype)
    layers[:, epoch.W_ROWS] += 3 * G.shape[1]                # parameters and up to two moments come first
    room = epoch.Room(
        work=on_pages(shards, buffer.size, dtype), Y_T=Y_T, losses=losses, waiting=0, width=end,
        own=on_pages(n_threads, 3 * G.shape[1] + copies.size, dtype), block_width=0, W_T=aligned(0, dtype), G=G,
        chunk=batch_size, rows=np.arange(max(network.layer_sizes)), groups=np.zeros((0, epoch.GROUP_FIELDS), np.int64),
        squares=aligned(len(layers), dtype), by_layers=False, A_T_streamed=False, theta_streamed=False)
    return epoch.Model(theta, layers, LOSSES[network.loss, network.out_activation]), room


def for_training(network: Network, theta: Array, batch_size: int, n_threads: int) -> tuple[epoch.Model, epoch.Room]:
    """What `kernels.epoch.train` needs to train theta on batches of up to `batch_size` examples."""
    dtype, chunk = theta.dtype, min(batch_size, CHUNK)
    shards = n_shards(network, chunk, dtype)
    m = ceil(chunk / shards)
    width = padded(m, dtype)
    buffer, flipped, groups = _Buffer(), _Buffer(), []
    vector = simd.REGISTER_BYTES // dtype.itemsize
    layers = _new_table(network)
    n_x, block_width = network.layer_sizes[0], padded(epoch.BLOCK // dtype.itemsize + vector, dtype)
    by_layers = shards == 1 and goes_by_layers(network, chunk, dtype)
    in_place = not by_layers and is_in_place(network, dtype)
    is_kept = by_layers or is_narrow(n_x, network.layer_sizes[1], m, dtype)     # A_0: others, or the gradient, take it
    a_in = epoch.NONE if in_place else buffer.room(n_x * width if is_kept else 0)
    for l, (n_out, n_in) in enumerate(network.shapes):
        layer = layers[l]
        layer[epoch.A_IN] = a_in
        layer[epoch.A_OUT] = layer[epoch.DZ] = a_in = buffer.room(n_out * width)
        if layer[epoch.A_IN] == epoch.NONE or is_narrow(n_in, n_out, m, dtype):
            layer[epoch.A_T] = epoch.NONE
            if l:                # `inner` takes A itself, in the second half of the step: dZ must not overwrite it
                layers[l - 1, epoch.DZ] = buffer.room(n_in * width)
        else:
            layer[epoch.A_T] = buffer.room(int(np.prod(panels(n_in, width, dtype))))
        # A group of rows is what one update takes: full tiles, and enough numbers to be worth the call; if it may be,
        # whole vectors.
        unit, layer[epoch.W_T] = simd.ROWS, epoch.NONE
        whole = lcm(unit, vector // gcd(n_in, vector))
        if whole * n_in <= UPDATED:
            unit = whole
        if l and n_out * n_in * dtype.itemsize > FITS:
            unit, layer[epoch.W_T_ROW] = lcm(unit, line(dtype)), padded(n_out, dtype)
            layer[epoch.W_T] = flipped.room(n_in * padded(n_out, dtype))
        groups += _groups(l, layer, unit * ceil(UPDATED / (unit * n_in)))
        # As many rows at a time as the cache holds with their moments: their gradient reads all the examples.
        layer[epoch.TURN] = 32768 // n_in
    Y_T, losses = buffer.room(network.layer_sizes[-1] * width), buffer.room(2 * width)
    waiting = buffer.room(max(network.layer_sizes[1:-2], default=0) * width if by_layers else 0)
    table, is_used_up = np.array(groups, np.int64), shards == 1 and chunk == batch_size
    G = (_gradient_in_turns(network, layers, table, n_threads, dtype) if is_used_up
         else on_pages(shards, network.n_params, dtype))
    room = epoch.Room(
        work=on_pages(shards, buffer.size, dtype), Y_T=Y_T, losses=losses, waiting=waiting, width=width,
        own=on_pages(n_threads, 0 if is_kept else n_x * block_width, dtype), block_width=block_width,
        W_T=aligned(flipped.size, dtype), G=G, chunk=chunk, rows=np.arange(max(network.layer_sizes)), groups=table,
        squares=aligned(len(groups), dtype), by_layers=by_layers,
        A_T_streamed=simd.STREAMS_A_T and shards == 1,       # the panels of a shard are read where they are written
        theta_streamed=is_streamed(theta) and not by_layers)
    return epoch.Model(theta, layers, LOSSES[network.loss, network.out_activation]), room


@lru_cache(maxsize=32)
def _prediction_layout(network: Network, width: int) -> tuple[npt.NDArray[np.int64], int]:
    """The table of layers, and the size of the buffer: kept, because one row is soon predicted."""
    layers, buffer = _new_table(network), _Buffer()
    rooms = [buffer.room(max(network.layer_sizes[first::2]) * width) for first in (0, 1)]      # the layers take turns
    for l, layer in enumerate(layers):
        layer[[epoch.A_IN, epoch.A_OUT]] = rooms[l % 2], rooms[1 - l % 2]
    return layers, buffer.size


_FIRST_ROWS = np.arange(PREDICTED)


def _on_lines(n_rows: int, numbers: int, dtype: np.dtype[Any]) -> Array:
    """Room (n_rows, numbers) that starts on a cache line, or every vector would be on two; zeros would take long."""
    buffer = np.empty(n_rows * numbers + line(dtype), dtype)
    start = -buffer.ctypes.data % 64 // dtype.itemsize
    return buffer[start:start + n_rows * numbers].reshape(n_rows, numbers)


def for_prediction(network: Network, theta: Array, n_samples: int, n_threads: int
                   ) -> tuple[epoch.Model, predict.Room]:
    """What `kernels.predict.predict` needs, for up to `n_samples` examples in each thread."""
    width = padded(min(n_samples, PREDICTED), theta.dtype)
    layers, size = _prediction_layout(network, width)
    room = predict.Room(work=_on_lines(n_threads, size, theta.dtype), width=width, rows=_FIRST_ROWS)
    return epoch.Model(theta, layers, LOSSES[network.loss, network.out_activation]), room


def for_prediction_of_few(network: Network, coefs: list[Array], intercepts: list[Array], n_threads: int
                          ) -> tuple[epoch.Model, predict.Room]:
    """What `kernels.predict.predict_few` needs: the addresses of coefs and intercepts, which the caller keeps alive."""
    dtype, layers = coefs[0].dtype, _new_table(network)
    width = padded(max(network.layer_sizes[1:]), dtype)
    size = PREDICTED_FEW * width
    for l, (coef, intercept) in enumerate(zip(coefs, intercepts, strict=True)):
        layers[l, [epoch.W, epoch.B]] = coef.ctypes.data, intercept.ctypes.data
        layers[l, epoch.A_OUT] = l % 2 * size
    room = predict.Room(work=_on_lines(n_threads, 2 * size, dtype), width=width, rows=_FIRST_ROWS[:PREDICTED_FEW])
    return epoch.Model(aligned(0, dtype), layers, LOSSES[network.loss, network.out_activation]), room
