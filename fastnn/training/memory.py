"""Memory for the kernels: the table of layers, and room on cache lines and pages."""

from contextlib import AbstractContextManager
from functools import cache
from math import ceil, inf
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types

from fastnn.kernels import epochs, passes, predict, run
from fastnn.kernels.laws import activations, units
from fastnn.kernels.laws.optimizers import Rule
from fastnn.kernels.machine import simd
from fastnn.kernels.machine.workers import WORKERS
from fastnn.kernels.products.dropout import WHOLE
from fastnn.kernels.products.pieces import Pieces
from fastnn.kernels.products.sparse import Rows
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
    return simd.REGISTER_BYTES // np.dtype(dtype).itemsize


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
            layer[run.VALUE] = units.address_of(units.activation_unit(law), dtype)
    return model._replace(
        output=units.address_of(units.output_unit(network.out_activation), dtype),
        loss=units.address_of(units.loss_unit(network.loss_law), dtype) if is_trained else 0,
    )


def laws_wished_for(
    network: Network, rule: Rule, dtype: np.dtype[Any], is_sparse: bool
) -> AbstractContextManager[None]:
    """While what trains is compiled: other processes may compile the laws."""
    laws: list[Any] = [
        *([units.advance_unit(rule)] if is_sparse else []),
        units.update_unit(rule),
        units.loss_unit(network.loss_law),
        units.output_unit(network.out_activation),
    ]
    laws += [units.activation_unit(law) for law in network.hidden_laws if is_slow(law)]
    return units.wish_for([law for law in laws if law is not None], dtype)


def around_steps_wished_for(dtype: np.dtype[Any]) -> AbstractContextManager[None]:
    """And what comes before and after all steps: transposed parameters."""
    number = types.float32 if dtype == np.float32 else types.float64
    read, written = types.Array(number, 2, "C", readonly=True), types.Array(number, 2, "C")
    return WORKERS.wish_for(
        [
            (passes.transpose.full_name, (read, written)),
        ]
    )


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
