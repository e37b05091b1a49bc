"""Room for `kernels.ways.online`."""

from math import ceil

import numpy as np
import numpy.typing as npt

from fastnn.kernels.laws.activations import KEPT
from fastnn.kernels.layouts import columns, online, run
from fastnn.kernels.machine.code import entry
from fastnn.network import Array, Network, aligned
from fastnn.training.calls import Kernel
from fastnn.training.memory import Buffer, new_model, new_table, on_pages, padded, vector
from fastnn.training.ways.columns import UPDATED, gradient_in_turns, groups_of, ranges_of

TRAIN = Kernel(entry("ways.online.train_online"), entry("epochs.train_epochs"))
#: The most weights that are not worth a cut.
UNCUT = 2500


def can(network: Network, batch_size: int, dtype: npt.DTypeLike) -> bool:
    """Whether this way trains the network: by one example at a time, nothing of which is dropped."""
    is_dropped = network.dropout or network.input_dropout
    return batch_size == 1 and not network.loss_law.is_coupled and not is_dropped


#: What each of the `terms` costs, in nanoseconds: see `plan.cost`.
NANOSECONDS = (85, 274, 7.95, 0.024)


def terms(network: Network, batch_size: int, dtype: npt.DTypeLike) -> tuple[int, ...]:
    """What a step consists of: the step and its layers (one each), weights (vectors of their rows), and units."""
    weights = sum(n_out * ceil(n_in / vector(dtype)) for n_out, n_in in network.shapes)
    return 1, len(network.shapes), weights, sum(network.layer_sizes[1:])


def room(network: Network, theta: Array, batch_size: int, n_threads: int) -> tuple[run.Model, online.Room]:
    """What the kernel needs to train theta on one example at a time."""
    dtype, buffer, own, groups = theta.dtype, Buffer(), Buffer(), []
    layers, (n_x, *hidden, n_y) = new_table(network), network.layer_sizes
    layers[:, run.W_T] = columns.NONE
    layers[0, run.A_IN] = own.room(padded(n_x, dtype))
    for l, n in enumerate(hidden):
        layers[l, run.A_OUT] = layers[l, run.SLOPE] = layers[l + 1, run.A_IN] = buffer.room(padded(n, dtype))
        layers[l, run.DZ] = buffer.room(padded(n, dtype))
        if layers[l, run.FORM] == KEPT:
            layers[l, run.SLOPE] = layers[l, run.DZ]
    layers[-1, run.A_OUT] = layers[-1, run.SLOPE] = buffer.room(padded(n_y, dtype))
    layers[-1, run.DZ] = own.room(padded(n_y, dtype))
    for l, layer in enumerate(layers):
        layer[run.PARTS] = online.MOST_PARTS if layer[run.N_IN] * layer[run.N_OUT] > UNCUT else 1
        # In large groups: a step is hardly more than the update.
        groups += groups_of(l, layer, ceil(8 * UPDATED / layer[run.N_IN]), layer[run.PARTS])
    width = padded(max(n_y, *hidden, 1), dtype)
    Y_T, losses = own.room(n_y), own.room(2 * width)
    waiting = buffer.room(2 * online.MOST_PARTS * width)
    table = np.array(groups, np.int64)
    weights, biases = ranges_of(table, layers)
    return new_model(network, theta, layers), online.Room(
        work=aligned((1, buffer.size), dtype),
        Y_T=Y_T,
        losses=losses,
        waiting=waiting,
        width=width,
        own=on_pages(n_threads, own.size, dtype),
        W_T=aligned(0, dtype),
        G=gradient_in_turns(network, layers, table, n_threads, dtype),
        chunk=1,
        rows=np.arange(max(network.layer_sizes)),
        groups=table,
        weights=weights,
        biases=biases,
        squares=aligned(len(groups), dtype),
        gradient_squares=aligned(0, dtype),
        theta_streamed=False,
    )
