"""Forward propagation on the kernels: of many rows by theta, of a few by coefs and intercepts where they are."""

import ctypes
from functools import cache, lru_cache
from operator import is_
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from fastnn.kernels.laws.activations import LINEAR, RELU
from fastnn.kernels.layouts import run
from fastnn.kernels.layouts.predict import Kept, Room
from fastnn.kernels.machine.code import entry
from fastnn.kernels.machine.kinds import array, in_memory, kind_of
from fastnn.kernels.machine.words import new_team
from fastnn.network import Array, Network, aligned, common_dtype, issparse, layer_sizes_of_coefs
from fastnn.system import get_n_threads
from fastnn.training.calls import Kernel, examples, here, rows_of, team_of
from fastnn.training.memory import Buffer, line, new_model, new_table, padded, with_laws
from fastnn.training.parameters import pack

PREDICT = Kernel(entry("predict.predict"), entry("predict.predict_team"))
PREDICT_PIECES = Kernel(entry("predict.predict_pieces"), entry("predict.predict_team"))
PREDICT_SPARSE = Kernel(entry("predict.predict_sparse"), entry("predict.predict_team"))
#: Arithmetic of a prediction (floating point operations) below which it takes one thread.
PREDICT_SERIAL_BELOW = 2e7
#: The same of a few examples: 0.4e6 took 10.5 us alone and 19 together, 5.3e6 66 and 47; and of one, bytes of its
#: weights, those that a core does not have in its caches: of 2.7e6 it took 47 us alone and 40 together.
FEW_SERIAL_BELOW, ROW_SERIAL_BELOW = 4e6, 1.5e6
#: Up to so many rows are predicted by coefs and intercepts where they are; for more, theta is made of them.
FEW = 1024
#: How many examples go through the network at a time, so that they stay in the cache from layer to layer; of few.
PREDICTED, PREDICTED_FEW = 128, 32


@lru_cache(maxsize=32)
def _prediction_layout(network: Network, n_first: int, width: int) -> tuple[npt.NDArray[np.int64], int]:
    """The table of layers, and the size of the buffer, with room for n_first numbers of each example to begin with."""
    layers, buffer, sizes = new_table(network), Buffer(), (n_first, *network.layer_sizes[1:])
    rooms = [buffer.room(max(sizes[first::2]) * width) for first in (0, 1)]  # the layers take turns
    for l, layer in enumerate(layers):
        layer[[run.A_IN, run.A_OUT]] = rooms[l % 2], rooms[1 - l % 2]
    return layers, buffer.size


_FIRST_ROWS = np.arange(PREDICTED)


def _model(network: Network, theta: Array, layers: npt.NDArray[np.int64]) -> run.Model:
    """With the addresses of the laws.  Of slopes nothing is kept."""
    layers = layers.copy()
    layers[:, run.FORM] = np.where(layers[:, run.FORM] == RELU, RELU, LINEAR)
    return with_laws(new_model(network, theta, layers), network, is_trained=False)


def _on_lines(n_rows: int, numbers: int, dtype: np.dtype[Any]) -> Array:
    """Room (n_rows, numbers) that starts on a cache line, or every vector would be on two; zeros would take long."""
    buffer = np.empty(n_rows * numbers + line(dtype), dtype)
    start = -buffer.ctypes.data % 64 // dtype.itemsize
    return buffer[start : start + n_rows * numbers].reshape(n_rows, numbers)


def room_for_many(network: Network, theta: Array, n_samples: int, n_threads: int) -> tuple[run.Model, Room]:
    """What `kernels.predict.predict` needs, for up to `n_samples` examples in each thread."""
    width = padded(min(n_samples, PREDICTED), theta.dtype)
    layers, size = _prediction_layout(network, network.layer_sizes[0], width)
    room = Room(work=_on_lines(n_threads, size, theta.dtype), width=width, rows=_FIRST_ROWS)
    return _model(network, theta, layers), room


def room_for_few(
    network: Network, coefs: list[Array], intercepts: list[Array], n_threads: int
) -> tuple[run.Model, Room]:
    """What `kernels.predict.predict_few` needs: the addresses of coefs and intercepts, which the caller keeps alive."""
    dtype, layers = coefs[0].dtype, new_table(network)
    width = padded(max(network.layer_sizes[1:]), dtype)
    size = PREDICTED_FEW * width
    for l, (coef, intercept) in enumerate(zip(coefs, intercepts, strict=True)):
        layers[l, [run.W, run.B]] = coef.ctypes.data, intercept.ctypes.data
        layers[l, run.A_OUT] = l % 2 * size
    room = Room(work=_on_lines(n_threads, 2 * size, dtype), width=width, rows=_FIRST_ROWS[:PREDICTED_FEW])
    return _model(network, aligned(0, dtype), layers), room


def room_for_pieces(network: Network, theta: Array, n_samples: int, n_threads: int) -> tuple[run.Model, Room]:
    """What `kernels.predict.predict_pieces` needs."""
    dtype, n_in = theta.dtype, network.layer_sizes[0]
    width = padded(min(n_samples, PREDICTED), dtype)
    layers, size = _prediction_layout(network, n_in, width)
    size += PREDICTED * n_in + sum(network.n_pieces) * network.width
    room = Room(work=_on_lines(n_threads, size, dtype), width=width, rows=_FIRST_ROWS)
    return _model(network, theta, layers), room


def room_for_sparse(
    network: Network, W_T: Array, rest: Array, n_samples: int, n_threads: int
) -> tuple[run.Model, Room]:
    """What `kernels.predict.predict_sparse` needs.

    W_T (n_x, n_1), which the caller keeps alive, is W_1^T; rest is what comes after W_1 in theta.
    """
    width, n_1 = padded(min(n_samples, PREDICTED), rest.dtype), network.layer_sizes[1]
    layers, size = _prediction_layout(network, n_1, width)
    room = Room(work=_on_lines(n_threads, size, rest.dtype), width=width, rows=_FIRST_ROWS)
    model = _model(network, rest, layers)
    model.layers[:, [run.W, run.B]] -= W_T.size
    model.layers[0, run.W] = W_T.ctypes.data
    return model, room


def _refuse(X: Array, refused: npt.NDArray[np.bool_], estimator_name: str) -> None:
    """Raise scikit-learn's ValueError where a kernel has met NaN or infinity."""
    if any(refused.tolist()):  # NumPy's own takes a microsecond
        from sklearn.utils import assert_all_finite

        assert_all_finite(X, input_name="X", estimator_name=estimator_name)


def flops_of(network: Network, X: Any) -> float:
    """The arithmetic (floating point operations) of a prediction."""
    n_x, n_1 = network.layer_sizes[:2]
    n_first = X.nnz if issparse(X) else X.shape[0] * n_x
    return 2.0 * (n_first * n_1 + X.shape[0] * (network.n_params - n_x * n_1))


def n_threads_for(network: Network, X: Any, n_threads: int | None) -> int:
    """How many threads, at most n_threads, predict these examples."""
    return get_n_threads(n_threads) if flops_of(network, X) >= PREDICT_SERIAL_BELOW else 1


def predict(network: Network, theta: Array, X: Any, n_threads: int | None, estimator_name: str) -> Array:
    """A_L^T (n_samples, n_outputs) for the rows of X (n_samples, n_x), in the wider dtype of X and theta.

    On up to n_threads threads if it is worth it.
    Raises scikit-learn's ValueError, in the name of this estimator, if X has NaN or infinity.
    """
    if X.ndim != 2 or X.shape[1] != network.layer_sizes[0] or theta.shape != (network.n_params,):
        raise ValueError(
            f"X has shape {X.shape} and theta {theta.shape}, but this network expects "
            f"(n_samples, {network.layer_sizes[0]}) and ({network.n_params},)"
        )
    dtype = common_dtype(X.dtype, theta.dtype)
    X, theta, flops = examples(X, dtype), theta.astype(dtype, copy=False), flops_of(network, X)
    wanted = n_threads_for(network, X, n_threads)
    out, refused = np.empty((len(X), network.layer_sizes[-1]), dtype), np.zeros(wanted, np.bool_)
    model, room = room_for_many(network, theta, -(-len(X) // wanted), wanted)
    PREDICT(wanted, 1e-10 * flops, dtype, model, X, room, out, refused)
    _refuse(X, refused, estimator_name)
    return out


class Few:
    """What `kernels.predict.predict_few` needs for up to n_threads threads, at an address."""

    def __init__(self, network: Network, coefs: list[Array], intercepts: list[Array], n_threads: int) -> None:
        self.n_threads = n_threads
        room = room_for_few(network, coefs, intercepts, n_threads)
        self._kept = Kept(*room, new_team(n_threads), np.zeros(n_threads, np.bool_))
        self._memory = in_memory(self._kept)
        self.address = self._memory.ctypes.data


def _few_kinds(dtype: np.dtype[Any]) -> tuple[str, str, str]:
    """Those of an address, X and out."""
    return "int64", array(dtype.name, 2, is_written=False), array(dtype.name, 2)


@cache
def few_at_once(dtype: np.dtype[Any]) -> Any:
    """`kernels.predict.predict_at_once`, for arrays of a dtype."""
    return entry("predict.predict_at_once").load(_few_kinds(dtype)).call


@cache
def few_on_team(dtype: np.dtype[Any]) -> tuple[int, Any]:
    """The address of `kernels.predict.predict_few`, and `predict_few_team`, which calls it."""
    words, kinds, caller = kind_of(new_team(1)), _few_kinds(dtype), entry("predict.predict_few_team")
    kinds_of_caller = "int64", "bool", "int64", words, *kinds
    few = entry("predict.predict_few").load(
        ("bool", "int64", words, *kinds), lambda: [(caller.full_name, kinds_of_caller)]
    )
    return few.address, caller.load(kinds_of_caller).call


class _Head(ctypes.Structure):
    """The beginning of an array: where its numbers and its shape are, and of which type it is."""

    _fields_: ClassVar = [
        ("data", ctypes.c_void_p),
        ("n_dimensions", ctypes.c_int),
        ("dimensions", ctypes.c_void_p),  # and strides, one after the other
        ("strides", ctypes.c_void_p),
        ("base", ctypes.c_void_p),
        ("dtype", ctypes.c_void_p),
    ]


def _bytes_at(address: int, n: int) -> Any:
    return (ctypes.c_char * n).from_address(address)


class Predictor:
    """Forward propagation through one network, a few rows by coefs and intercepts where they are.

    Where those are C-contiguous and of one dtype, float32 or float64, a change of a number in them counts in the next
    prediction; else, this one is not of them any more (see `is_of`).

    Parameters
    ----------
    network : Network
    coefs, intercepts : list of arrays (n_in, n_out), (n_out,)
    estimator_name : str
        Who does not take NaN and infinity, in the error that says so.
    """

    def __init__(self, network: Network, coefs: list[Array], intercepts: list[Array], estimator_name: str) -> None:
        if layer_sizes_of_coefs(coefs, intercepts) != network.layer_sizes:
            raise ValueError(
                f"the shapes of coefs_ are {[coef.shape for coef in coefs]}, but a network of "
                f"{network.layer_sizes} units is wanted"
            )
        self.network, self.estimator_name, self._flops_of_row = network, estimator_name, 2 * network.n_params
        self.dtype = common_dtype(*coefs, *intercepts)
        self._given = [*coefs, *intercepts]
        arrays = [examples(array, self.dtype) for array in self._given]
        self._is_in_place = all(map(np.may_share_memory, arrays, self._given))
        # What NumPy keeps of an array: to ask it for the parts takes several times as long.
        heads = [_Head.from_address(id(array) + object.__basicsize__) for array in self._given]
        self._heads = [_bytes_at(ctypes.addressof(head), ctypes.sizeof(head)) for head in heads]
        self._shapes = [
            _bytes_at(head.dimensions, 2 * array.ndim * ctypes.sizeof(ctypes.c_ssize_t))
            for head, array in zip(heads, self._given, strict=True)
        ]
        self._known = [head.raw for head in self._heads], [shape.raw for shape in self._shapes]
        self.coefs, self.intercepts = arrays[: len(coefs)], arrays[len(coefs) :]
        # A few rows take less than what has to be made ready for them: so it is, once.  One call that keeps the GIL,
        # and one that has the team, use it at a time.
        self._alone = self._team = Few(network, self.coefs, self.intercepts, 1)
        self._predict_at_once = few_at_once(self.dtype)
        #: Up to so many rows take one thread.
        self._at_once: int = min(FEW, int(FEW_SERIAL_BELOW / self._flops_of_row))
        if self._flops_of_row // 2 * self.dtype.itemsize >= ROW_SERIAL_BELOW:
            self._at_once = 0

    def is_of(self, coefs: list[Array], intercepts: list[Array], activation: Any, out_activation: str) -> bool:
        """Whether it is that of these arrays, as they are now."""
        arrays, (heads, shapes) = [*coefs, *intercepts], self._known
        return (
            self._is_in_place
            and len(arrays) == len(self._given)
            and all(map(is_, arrays, self._given))
            and [head.raw for head in self._heads] == heads
            and [shape.raw for shape in self._shapes] == shapes  # which lie where the heads say
            and activation == self.network.activation
            and out_activation == self.network.out_activation
        )

    def __call__(self, X: Any, n_threads: int | None = None) -> Array:
        """A_L^T (n_samples, n_outputs) for the rows of X (n_samples, n_x), in the wider dtype of X and the parameters.

        On up to n_threads threads if it is worth it; X may be sparse.
        Raises scikit-learn's ValueError if X has NaN or infinity.
        """
        if (
            type(X) is np.ndarray
            and X.dtype is self.dtype
            and len(X) <= self._at_once
            and here.keeps_gil(1e-10 * self._flops_of_row * len(X))
        ):
            if X.ndim != 2 or X.shape[1] != self.network.layer_sizes[0]:
                raise ValueError(
                    f"X has shape {X.shape}, but this network expects (n_samples, {self.network.layer_sizes[0]})"
                )
            out = np.empty((len(X), self.network.layer_sizes[-1]), self.dtype)
            if self._predict_at_once(self._alone.address, examples(X, self.dtype), out):
                _refuse(X, np.ones(1, np.bool_), self.estimator_name)
            return out
        if issparse(X):
            return self._of_sparse(X, n_threads)
        dtype = self.dtype if X.dtype == self.dtype else common_dtype(X.dtype, self.dtype)
        if len(X) > FEW or dtype != self.dtype:
            theta = pack(self.network, self.coefs, self.intercepts, dtype)
            return predict(self.network, theta, X, n_threads, self.estimator_name)
        if X.ndim != 2 or X.shape[1] != self.network.layer_sizes[0]:
            raise ValueError(
                f"X has shape {X.shape}, but this network expects (n_samples, {self.network.layer_sizes[0]})"
            )
        X, seconds = examples(X, dtype), 1e-10 * self._flops_of_row * len(X)
        out = np.empty((len(X), self.network.layer_sizes[-1]), dtype)
        wanted = self._n_threads(len(X), n_threads)
        if wanted == 1 and here.keeps_gil(seconds):
            if self._predict_at_once(self._alone.address, X, out):
                _refuse(X, np.ones(1, np.bool_), self.estimator_name)
            return out
        with team_of(wanted, seconds) as (most, helpers):
            few = self._team
            if most == 1:
                few = Few(self.network, self.coefs, self.intercepts, 1)
            elif few.n_threads < most:
                few = self._team = Few(self.network, self.coefs, self.intercepts, most)
            address, predict_few_team = few_on_team(dtype)
            if predict_few_team(address, here.keeps_gil(seconds), most, helpers, few.address, X, out):
                _refuse(X, np.ones(1, np.bool_), self.estimator_name)
        return out

    def _n_threads(self, n_samples: int, n_threads: int | None) -> int:
        """How many threads, at most n_threads, predict a few examples."""
        is_worth_it = self._flops_of_row * n_samples >= FEW_SERIAL_BELOW
        if n_samples == 1:
            is_worth_it = self._flops_of_row // 2 * self.dtype.itemsize >= ROW_SERIAL_BELOW
        return get_n_threads(n_threads) if is_worth_it else 1

    def _of_sparse(self, X: Any, n_threads: int | None) -> Array:
        network, dtype, (n_samples, n_x) = self.network, common_dtype(X.dtype, self.dtype), X.shape
        if n_x != network.layer_sizes[0]:
            raise ValueError(f"X has shape {X.shape}, but this network expects (n_samples, {network.layer_sizes[0]})")
        wanted, W_T = n_threads_for(network, X, n_threads), examples(self.coefs[0], dtype)
        parts = [self.intercepts[0]]
        for coef, intercept in zip(self.coefs[1:], self.intercepts[1:], strict=True):
            parts += [coef.T.ravel(), intercept]
        rest = np.concatenate(parts).astype(dtype, copy=False)
        out, refused = np.empty((n_samples, network.layer_sizes[-1]), dtype), np.zeros(wanted, np.bool_)
        model, room = room_for_sparse(network, W_T, rest, -(-n_samples // wanted), wanted)
        rows = rows_of(X, dtype)
        PREDICT_SPARSE(wanted, 1e-10 * flops_of(network, X), dtype, model, rows, room, out, refused)
        return out
