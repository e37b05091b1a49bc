"""Memory for the kernels: the table of layers, and room on cache lines and pages."""

from functools import cache
from math import ceil, inf
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn.kernels.laws import activations
from fastnn.kernels.laws.addresses import address_of, unit_and_kinds
from fastnn.kernels.laws.optimizers import Rule
from fastnn.kernels.layouts import epochs, predict, run
from fastnn.kernels.layouts.examples import Pieces, Rows
from fastnn.kernels.layouts.run import WHOLE
from fastnn.kernels.machine import host
from fastnn.network import Array, Network, aligned

#: How many examples go through the network before the gradient takes them in: a larger batch takes several turns.
CHUNK = 512
#: Bytes of a page of memory, at whose end prefetchers stop.
PAGE = 4096


class Buffer:
    """Room given out piece by piece, each on a cache line of its own, before the buffer itself is made."""

    def __init__(self) -> None:
        self.size = 0

    def room(self, numbers: int) -> int:
        """Where room for so many numbers begins."""
        start, self.size = self.size, self.size + -(-numbers // 16) * 16
        return start


def line(dtype: npt.DTypeLike) -> int:
    """How many numbers one cache line holds: whole vectors of them."""
    return 64 // np.dtype(dtype).itemsize


def vector(dtype: npt.DTypeLike) -> int:
    """How many numbers one register holds."""
    return host.REGISTER_BYTES // np.dtype(dtype).itemsize


def on_pages(n_rows: int, numbers: int, dtype: npt.DTypeLike) -> Array:
    """Zeros (n_rows, numbers or more), each row on pages of its own if there are several: see `ways.columns.Room`."""
    dtype = np.dtype(dtype)
    if n_rows == 1:
        return aligned((1, numbers), dtype)
    return aligned((n_rows, ceil(numbers * dtype.itemsize / PAGE) * PAGE // dtype.itemsize), dtype, PAGE)


def padded(numbers: int, dtype: npt.DTypeLike) -> int:
    """The length of a row: an odd number of cache lines, because rows at powers of two compete for the same ones."""
    return (ceil(numbers / line(dtype)) | 1) * line(dtype)


def new_table(network: Network) -> npt.NDArray[np.int64]:
    """The table of layers: sizes, laws but for their addresses, and where the parameters are in theta."""
    layers = np.zeros((len(network.shapes), run.FIELDS), np.int64)
    for block in network.blocks:
        if block.layer:
            layers[block.layer - 1, run.W if block.is_penalised else run.B] = block.start
    for layer, (n_out, n_in) in zip(layers, network.shapes, strict=True):
        layer[[run.N_IN, run.N_OUT]] = n_in, n_out
    for layer, law in zip(layers, network.hidden_laws, strict=False):
        layer[run.FORM] = law.form
    layers[1:, run.DROPPED], layers[0, run.DROPPED] = network.dropout * WHOLE, network.input_dropout * WHOLE
    layers[-1, run.FORM] = activations.LINEAR  # the output activation comes with the loss
    return layers


def is_slow(law: activations.Activation) -> bool:
    """Whether the products leave the activation to a pass of its own."""
    return law.form not in (activations.LINEAR, activations.RELU)


def new_model(network: Network, theta: Array, layers: npt.NDArray[np.int64]) -> run.Model:
    """The network for the kernels, but for the addresses of its laws."""
    constants = np.array([*network.loss_law.constants, *network.loss_law.constants_of_others], theta.dtype)
    return run.Model(theta, layers, 0, 0, constants, network.out_activation == "softmax")


def with_laws(model: run.Model, network: Network, is_trained: bool = True) -> run.Model:
    """The same with the addresses of its laws, which are compiled if need be."""
    dtype = model.constants.dtype
    for layer, law in zip(model.layers, network.hidden_laws, strict=False):
        if is_slow(law):
            layer[run.VALUE] = address_of("activate", law, dtype)
    return model._replace(
        output=address_of("output", network.out_activation, dtype),
        loss=address_of("loss", network.loss_law, dtype) if is_trained else 0,
    )


def laws_of(network: Network, rule: Rule, dtype: np.dtype[Any], is_sparse: bool) -> list[tuple[str, Any]]:
    """The units of all laws that training needs, and the kinds of their arguments: other processes may compile them."""
    laws: list[tuple[str, Any]] = [("advance", rule)] if is_sparse else []
    laws += ("update", rule), ("loss", network.loss_law)
    if network.out_activation != "identity":
        laws.append(("output", network.out_activation))
    laws += [("activate", law) for law in network.hidden_laws if is_slow(law)]
    return [unit_and_kinds(sort, law, dtype) for sort, law in laws]


def _read_only(array: Any) -> Any:
    array.flags.writeable = False
    return array


def no_validation(dtype: npt.DTypeLike, kind: type) -> epochs.Validation:
    """No examples are set aside; each field of the type that it has where there are some."""
    nothing, numbers, block = aligned(0, dtype), np.empty(0), aligned((0, 1), dtype)
    model = run.Model(nothing, np.zeros((0, run.FIELDS), np.int64), 0, 0, nothing, False)
    room = predict.Room(block, 0, np.empty(0, np.int64))
    X: Any = _read_only(aligned((0, 1), dtype))
    if kind is Rows:
        X = Rows(_read_only(aligned(0, dtype)), _read_only(np.empty(0, np.int32)), _read_only(np.empty(0, np.int64)))
    elif kind is Pieces:
        X = Pieces(X, X, _read_only(np.empty(0, np.int64)))
    refused = np.empty(0, np.bool_)
    return epochs.Validation(0, 1, model, X, room, block, refused, np.empty((0, 1)), numbers, numbers, nothing)


@cache
def no_epochs(dtype: npt.DTypeLike, kind: type = np.ndarray) -> epochs.Epochs:
    """Steps that are not told of by epochs, and never stop; for examples of a kind: arrays, `Rows` or `Pieces`."""
    return epochs.Epochs(
        words=np.empty(0, np.uint32),
        numbers=np.empty(0, np.uint32),
        told=np.empty((0, epochs.TOLD)),
        carried=np.zeros(epochs.CARRIED),
        scale=1.0,
        tol=0.0,
        n_iter_no_change=inf,
        decides=epochs.BY_LOSS,
        takes_last=False,
        validation=no_validation(dtype, kind),
        kept=aligned(0, dtype),
        best=aligned(0, dtype),
    )
