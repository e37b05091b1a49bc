"""Networks within other compiled code: `predict_one` and its kin, in a user's own `@njit` functions or for C.

A `CompiledNetwork` is a word to Numba: an address, at which there are those of machine code and of what it needs (see
`kernels.embedded`).  A user's function is compiled without our kernels, in a moment, and what is kept of it may stay
where fastnn or the network changes.
"""

from __future__ import annotations

import ctypes
from collections import deque
from copy import copy
from functools import cached_property
from numbers import Integral
from types import ModuleType
from typing import Any
from weakref import WeakValueDictionary, finalize

import numpy as np
import numpy.typing as npt
from scipy import LowLevelCallable
from sklearn.utils import check_array

from fastnn.export.description import Description, Member, Pieces, Scaling, describe
from fastnn.kernels.layouts import embedded as kernels
from fastnn.kernels.layouts import run
from fastnn.kernels.layouts.predict import Room
from fastnn.kernels.machine import kinds as of_values
from fastnn.kernels.machine.code import entry
from fastnn.kernels.machine.kinds import in_memory, kind_of
from fastnn.kernels.machine.words import new_team
from fastnn.network import Array, Network, aligned
from fastnn.tables.columns import FARTHEST, Number, check_columns
from fastnn.tables.frames import Frame
from fastnn.training.calls import BRIEF, READ, WRITTEN, ByDtype, examples
from fastnn.training.memory import new_model, new_table, padded, with_laws
from fastnn.training.optimizers import Adam
from fastnn.training.parameters import moments_by, pack, unpack
from fastnn.training.trainer import Trainer

#: The version of what a caller's machine code knows: the places of the words.
ABI = 1
#: Bytes of the stack that a call may take.
STACK = 1 << 18
#: How many rows of `predict_batch` go through the network together.
TOGETHER = 32
#: What is raised in compiled code: no text is made there, what came and what is wanted are arguments beside it.
WRONG_X = "x has so many features, but the network expects so many (-1: it is gone, Python did not keep it):"
WRONG_OUT = "out has so many numbers for an example, but the network predicts so many:"
WRONG_ROWS = "X has so many rows, but out or Y so many:"
WRONG_JACOBIAN = "out has so many numbers, but n_outputs * n_features (of one number predicted, n_features) are wanted:"
WRONG_Y = "Y has so many targets for an example, but the network expects so many:"
WRONG_BATCH = "X has so many examples, but a step takes 1 or more, up to the batch_size that model.jit() was told:"
WRONG_CLASS = "Y holds this, but classes are numbers from 0 to one less than there are:"
TOO_WIDE = f"the network is too wide for input_gradient, which would take more than {STACK:,} bytes of the stack"
#: What Python calls, with the addresses of machine code and of records.
CALL_PREDICT = ByDtype("embedded.call_predict", "bool", "int64", "int64", READ, WRITTEN)
CALL_INPUT_GRADIENT = ByDtype(
    "embedded.call_input_gradient", "bool", "int64", "int64", READ, "int64", "bool", "{}[:,:,::1]"
)
CALL_TRAIN_STEP = ByDtype("embedded.call_train_step", "int64", "int64", READ, READ, WRITTEN)
#: For how many steps the rates of an optimizer are made ready: after that, they stay.
STEPS = 1 << 16


class CompiledNetwork:
    """A trained network for compiled code, made by `model.jit()`.

    It has parameters of its own: a later `fit` of the model does not change it, nor a `fastnn.train_step` the model.
    What compiled code has of it is its address: keep it in Python as long as a jitclass, a typed.List or a generator of
    Numba's has it.

    Attributes
    ----------
    dtype : dtype
        float32 or float64: that of the arrays that it takes.
    n_features, n_outputs : int
        How many numbers an example has, and a prediction.
    n_targets : int
        How many numbers the target of an example has in `fastnn.train_step`.
    batch_size : int
        How many examples a `fastnn.train_step` takes at most; 0, if there is none.
    has_categories : bool
        Whether some of the numbers of an example are those of categories: see `rows`.
    coefs_, intercepts_ : lists of arrays
        Copies of the parameters, as an estimator has them; not of a model of tables, whose members have them.
    """

    def __init__(self, description: Description, dtype: npt.DTypeLike, trainer: Any = None) -> None:
        members, pieces = description.members, description.pieces
        if pieces:
            members = [Member([_at_knots(pieces, one.coefs[0]), *one.coefs[1:]], one.intercepts) for one in members]
        sizes = (len(members[0].coefs[0]), *(coef.shape[1] for coef in members[0].coefs))
        network = Network(sizes, tuple(description.activations), description.out_activation)
        self._description, self._network, self._trainer = description, network, trainer
        self.dtype = np.dtype(dtype)
        # Of each member: W and b of all layers, and the same with W^T.
        self._thetas = (
            [trainer.model.theta] if trainer else [pack(network, one.coefs, one.intercepts, dtype) for one in members]
        )
        self._thetas_T = [aligned(network.n_params, dtype) for _ in members]
        for theta, theta_T in zip(self._thetas, self._thetas_T, strict=True):
            for block in network.blocks:
                values = theta[block.start : block.end].reshape(block.shape)
                theta_T[block.start : block.end] = values.T.ravel()
        has_complement = description.task == "classes" and description.out_activation == "logistic"
        columns = description.columns
        self.n_features = sizes[0] if columns is None else len(columns)
        self.has_categories = any(not isinstance(column, Number) for _, column in columns or [])
        self.n_outputs = 2 if has_complement else sizes[-1]
        is_of_classes = description.task == "classes" and description.out_activation == "softmax"
        self.n_targets = 1 if is_of_classes else sizes[-1]
        self.batch_size = trainer.batch_size if trainer else 0
        # All that the words refer to, so that it lives as long.
        self._kept: list[Any] = []
        self._words = aligned(kernels.WORDS, np.int64)
        self._words[[kernels.N_FEATURES, kernels.N_OUTPUTS, kernels.N_TARGETS, kernels.MOST_ROWS]] = (
            self.n_features,
            self.n_outputs,
            self.n_targets,
            self.batch_size,
        )
        self._n_numbers = sizes[-1]
        n_classes = 0 if description.task == "numbers" else sizes[-1] if is_of_classes else 2
        self._words[kernels.N_CLASSES], self._words[kernels.N_NUMBERS] = n_classes, sizes[-1]
        record, two, three = (
            self._embedded(has_complement),
            of_values.array(self.dtype.name, 2),
            of_values.array(self.dtype.name, 3),
        )
        left_out = (sizes[0] - record.pieces.n_terms) * sizes[1] if pieces else 0
        self._n_products = len(members) * (network.n_params - left_out)  # for an example
        self._words[kernels.NETWORK] = self._keep(record)
        self._words[kernels.PREDICT] = _address("predict", self.dtype, record, two, two)
        if record.gradient_rows:
            kinds = two, "int64", "bool", three
            self._words[kernels.GRADIENT] = _address("input_gradient", self.dtype, record, *kinds)
        if trainer:
            trained = self._trained()
            self._words[kernels.TRAINED] = self._keep(trained)
            self._words[kernels.TRAIN] = _address("train_step", (self.dtype, trainer.way), trained, two, two, two)

    @property
    def _numba_type_(self) -> Any:
        """What Numba asks of an argument that it does not know; from then on it does."""
        from fastnn.embedded.njit import type_of

        return type_of(self.dtype)

    @cached_property
    def _address(self) -> int:
        """Where the words are, for whoever asks for the first time: they outlive the network (see `_let_go`)."""
        address = int(self._words.ctypes.data)
        _lent[address] = self
        finalize(self, _let_go, self._words).atexit = False
        return address

    def _keep(self, record: Any) -> int:
        """The address of a record; what it refers to is kept."""
        memory = in_memory(record)
        self._kept += [record, memory]
        return int(memory.ctypes.data)

    def _embedded(self, has_complement: bool) -> kernels.Embedded:
        network, dtype, description = self._network, self.dtype, self._description
        layers, size, pieces = new_table(network), dtype.itemsize, _pieces(description, dtype)
        n_x = pieces.centers.size if pieces.n_terms else network.layer_sizes[0]
        width = padded(max(n_x, *network.layer_sizes[1:]), dtype)
        # Of pieces, a number and a place for each term; of the others, one more prediction for all.
        more = pieces.n_terms * (size + 4) + (width * size if len(self._thetas) > 1 else 0)
        rows = _rows(2 * width * size + more)
        gradient_bytes = (2 * len(layers) + 2) * width * size + more
        gradient_rows = _rows(gradient_bytes) if gradient_bytes <= STACK else 0
        for l, layer in enumerate(layers):
            layer[run.A_OUT], layer[run.SLOPE] = l % 2 * rows * width, 2 * l * gradient_rows * width
        nothing = aligned(0, dtype)
        model = with_laws(new_model(network, nothing, layers), network, is_trained=False)
        members = np.tile(layers, (len(self._thetas), 1))
        for p, (theta, theta_T) in enumerate(zip(self._thetas, self._thetas_T, strict=True)):
            for block in network.blocks:
                layer, start = members[p * len(layers) + block.layer - 1], block.start * size
                layer[run.W if block.is_penalised else run.B] = theta_T.ctypes.data + start
                if block.is_penalised:
                    layer[run.W_ROWS] = theta.ctypes.data + start
        forms = {"identity": kernels.IDENTITY, "logistic": kernels.LOGISTIC, "exp": kernels.EXP}
        columns, scalings = _encoding(description, n_x, dtype)
        return kernels.Embedded(
            model=model._replace(layers=members),
            n_members=len(self._thetas),
            room=Room(work=aligned((0, 1), dtype), width=width, rows=np.arange(rows)),
            size=2 * rows * width,
            gradient_rows=gradient_rows,
            gradient_size=2 * len(layers) * gradient_rows * width,
            columns=columns,
            scalings=scalings,
            pieces=pieces,
            outcome=_outcome(description, network.layer_sizes[-1], dtype),
            nothing=aligned((1, width), dtype),
            output_form=forms.get(description.out_activation, kernels.SOFTMAX),
            has_complement=has_complement,
            is_sorted=description.is_sorted,
        )

    def _trained(self) -> kernels.Trained:
        trainer = self._trainer
        trainer.compile()
        optimizer, n_rows = trainer.optimizer, trainer.batch_size
        order = np.arange(n_rows)
        numbers = optimizer.numbers(trainer.alpha, STEPS if isinstance(optimizer, Adam) else 1)
        ready = trainer._run_of(trainer._batches(order, 0), numbers)
        law = trainer.network.loss_law
        scale = 1 / self._network.layer_sizes[-1] if law.is_mean_over_outputs else 1.0
        return kernels.Trained(
            run=ready,
            train=trainer._address,
            team=new_team(1),
            order=order,
            numbers=ready.rule.numbers,
            done=np.zeros(1, np.int64),
            costs=np.zeros((1, run.COSTS), self.dtype),
            theta_T=self._thetas_T[0],
            scale=np.full(1, scale, self.dtype),
        )

    @property
    def coefs_(self) -> list[Array]:
        """Copies of the weights (n_in, n_out) of each layer."""
        return self._unpacked()[0]

    @property
    def intercepts_(self) -> list[Array]:
        """Copies of the intercepts (n_out,) of each layer."""
        return self._unpacked()[1]

    def _unpacked(self) -> tuple[list[Array], list[Array]]:
        if self._description.pieces:
            raise AttributeError(
                "a network for tables has no coefs_ and intercepts_: the model's estimators_ have them"
            )
        return unpack(self._network, self._thetas[0])

    def _predict(self, X: Array, out: Array) -> None:
        seconds = 2e-10 * len(X) * self._n_products
        words = int(self._words[kernels.PREDICT]), int(self._words[kernels.NETWORK])
        CALL_PREDICT(self.dtype, seconds < BRIEF, *words, examples(X, self.dtype), out)

    def _input_gradient(self, X: Array, first: int, is_raw: bool, out: Array) -> None:
        if not self._words[kernels.GRADIENT]:
            raise ValueError(TOO_WIDE)
        seconds = 2e-10 * len(X) * self._n_products * (1 + out.shape[1])
        words = int(self._words[kernels.GRADIENT]), int(self._words[kernels.NETWORK])
        CALL_INPUT_GRADIENT(self.dtype, seconds < BRIEF, *words, examples(X, self.dtype), first, is_raw, out)

    def cfunc(self) -> LowLevelCallable:
        """What C calls: ``double f(int n, double *x, void *network)``, with the network as its user data.

        It returns what is predicted for the n numbers at x: the one number of a regressor, or of two classes the
        probability of the second; where there are several, the last; NaN where n is not `n_features`.  Any thread may
        call it, without the GIL.  It lives as long as the callable.

        Returns
        -------
        scipy.LowLevelCallable
            Whose `function` is a ctypes function, and whose `user_data` is a ctypes.c_void_p.

        Examples
        --------
        >>> import numpy as np
        >>> from scipy.integrate import quad
        >>> import fastnn
        >>> model = fastnn.MLPRegressor(hidden_layer_sizes=(), random_state=0).fit([[0.0], [1.0]], [0.0, 1.0])
        >>> area, error = quad(model.jit().cfunc(), 0, 1)
        """
        function = "number_for_c_single" if self.dtype == np.float32 else "number_for_c_double"
        code = entry(f"embedded.{function}").load(("int32", "float64*", "int64"))
        kind = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_int, ctypes.POINTER(ctypes.c_double), ctypes.c_void_p)
        network = ctypes.c_void_p(self._address)
        network.network = self  # type: ignore[attr-defined]  # which lives as long
        return LowLevelCallable(kind(code.c_address), network)

    def rows(self, X: Any) -> Array:
        """Rows of a table as compiled code takes them: a number for each column that is read.

        Parameters
        ----------
        X : data frame or array (n_samples, n_columns)
            As the model takes it.

        Returns
        -------
        array (n_samples, n_features)
            Of the network's dtype: float32 has seven digits, which for dates of today are two minutes.  Of a
            TableEncoder's numbers, these, and NaN for missing ones; of dates the seconds since 1970; of categories
            their places among those that the encoder knows, and -1 for others.

        Raises
        ------
        ValueError
            Where X has another number of features, or a column is missing.
        """
        columns, names, n_columns = self._description.columns, self._description.names, self._description.n_features_in
        if columns is None:
            X = check_array(
                X, dtype=self.dtype, order="C", ensure_all_finite=False, ensure_min_samples=0, input_name="X"
            )
            _check_shape("X", X.shape, (len(X), n_columns))
            return X
        frame, at = Frame.of(X), {}
        if frame.named and names != [f"x{j}" for j in range(n_columns)]:
            check_columns(frame.names, [names[place] for place, _ in columns])
            at = {name: j for j, name in enumerate(frame.names)}
        elif len(frame.names) != n_columns:
            raise ValueError(f"X has {len(frame.names)} features, but this network expects {n_columns}")
        rows, most = np.empty((len(frame.rows), len(columns)), self.dtype), float(np.finfo(self.dtype).max)
        for k, (place, column) in enumerate(columns):
            values = frame.column(at.get(names[place], place))
            if isinstance(column, Number):
                rows[:, k] = np.clip(column.values(values), -most, most)  # infinite would be missing
            else:
                codes = column.codes(values)
                rows[:, k] = np.where(codes == -2, len(column.categories) if column.missing else -1, codes)
        return rows

    def __reduce__(self) -> Any:
        raise TypeError(
            "a CompiledNetwork holds addresses of this process: pickle the model, and make another by jit()"
        )

    def __repr__(self) -> str:
        train = f", batch_size={self.batch_size}" if self.batch_size else ""
        members = f"{len(self._thetas)} x " if len(self._thetas) > 1 else ""
        sizes = len(self._description.coefs[0]), *self._network.layer_sizes[1:]
        return f"<CompiledNetwork {members}{'-'.join(map(str, sizes))}, {self.dtype}{train}>"


#: The networks whose addresses compiled code has been told, by these.
_lent: WeakValueDictionary[int, CompiledNetwork] = WeakValueDictionary()
#: Words of networks that are gone.
_gone: deque[Any] = deque(maxlen=10_000)


def _let_go(words: Any) -> None:
    """Have the next call raise an error: a jitclass, a list or a generator of Numba's does not keep the network."""
    words[kernels.N_FEATURES] = -1
    _gone.append(words)


def _network_at(address: int) -> CompiledNetwork:
    if (network := _lent.get(address)) is None:
        raise ReferenceError("the network is gone: it must be kept in Python as long as compiled code has it")
    return network


#: Where machine code is, for each kind of record.
_addresses: dict[Any, int] = {}


def _address(function: str, key: Any, record: Any, *kinds: str) -> int:
    """The address of the machine code of a kernel that takes this record and arguments of these kinds."""
    if (function, key) not in _addresses:
        _addresses[function, key] = entry(f"embedded.{function}").load((("at", kind_of(record)), *kinds)).address
    return _addresses[function, key]


def _rows(n_bytes: int) -> int:
    """How many rows go through the network together, where each takes so much of the stack."""
    if n_bytes > STACK:
        raise ValueError(
            f"an example of this network takes {n_bytes:,} bytes of the stack, but compiled code has {STACK:,}"
        )
    return min(TOGETHER, STACK // (4 * n_bytes) or 1)


@np.errstate(over="ignore")  # limits that are beyond the dtype are none
def _encoding(description: Description, n_x: int, dtype: np.dtype[Any]) -> tuple[npt.NDArray[np.int64], Array]:
    """What `kernels.embedded.encode` does before the network: columns, and stages of scalings."""
    columns: list[tuple[int, int]] = []
    stages = [_stage(scaling, dtype) for scaling in description.scalings]
    if description.columns is not None:
        first, place = np.zeros((n_x, kernels.SCALING)), 0
        first[:, [kernels.LEAST, kernels.LOW]], first[:, [kernels.MOST, kernels.HIGH]] = -np.inf, np.inf
        first[:, kernels.DIVISOR] = 1
        for _, column in description.columns:
            n_categories = 0 if isinstance(column, Number) else len(column.outputs)
            columns.append((place, n_categories))
            if isinstance(column, Number):
                low, high = column.beyond(FARTHEST)
                high_part = float(np.float64(column.mean).astype(dtype))
                first[place] = (
                    *(column.median, low, high),
                    *(high_part, column.mean - high_part, column.scale, 0.0, -1e30, 1e30),
                )
            place += len(column.outputs)
        stages.insert(0, first)
    numbers = np.array(stages).reshape(-1, n_x, kernels.SCALING).astype(dtype)
    _check_scales(numbers[:, :, kernels.SHIFT], numbers[:, :, kernels.DIVISOR])
    return np.array(columns, np.int64).reshape(-1, kernels.COLUMN), numbers


def _check_scales(shifts: Array, scales: Array) -> None:
    if not (np.isfinite(shifts).all() and np.isfinite(scales).all() and (scales != 0).all()):
        raise ValueError(
            f"the model scales by numbers that no {scales.dtype} can hold: fastnn.jit(model, dtype='float64') does"
        )


def _stage(scaling: Scaling, dtype: np.dtype[Any]) -> npt.NDArray[np.float64]:
    shift = scaling.shift.astype(dtype).astype(np.float64)
    nothing = np.full(shift.shape, np.nan)
    columns = nothing, np.full(shift.shape, -np.inf), np.full(shift.shape, np.inf), shift, scaling.shift - shift
    return np.stack([*columns, scaling.divisor, scaling.offset, scaling.low, scaling.high], axis=1)


@np.errstate(over="ignore")
def _pieces(description: Description, dtype: np.dtype[Any]) -> kernels.Pieces:
    """What `kernels.embedded.expand` does before the network."""
    pieces = description.pieces or Pieces(np.empty(0), np.empty(0), [])
    centers, scales = pieces.center.astype(dtype), pieces.scale.astype(dtype)
    _check_scales(centers, scales[pieces.scale != 0])  # a constant column has 0
    numbers = [len(edges) for edges in pieces.edges]
    n_terms = len(numbers) + 2 * np.count_nonzero(numbers) + 1 if description.pieces else 0
    knots = np.concatenate([np.empty(0), *pieces.edges]).astype(dtype)
    return kernels.Pieces(centers, scales, knots, np.cumsum([0, *numbers]), n_terms)


def _at_knots(pieces: Pieces, coef: Array) -> Array:
    """The first coefs: of the columns, then for each edge the sum of its column's pieces there, times their coefs."""
    n_columns = len(pieces.edges)
    out, begin = [coef[:n_columns].astype(np.float64)], n_columns
    for edges in pieces.edges:
        if len(edges):
            some = coef[begin : begin + len(edges) - 1].astype(np.float64)
            rises = np.concatenate([np.zeros_like(some[:1]), np.cumsum(some, axis=0)])
            out.append(rises - some.sum(axis=0) / 2)  # each piece is from -1/2 to 1/2
            begin += len(some)
    return np.concatenate(out)


@np.errstate(over="ignore")
def _outcome(description: Description, n_y: int, dtype: np.dtype[Any]) -> Array:
    """What `kernels.embedded.settle` does after the networks."""
    if (of := description.outcome) is None:
        return np.empty((0, n_y), dtype)
    numbers = np.stack([of.mean, of.scale, of.low, of.high]).astype(dtype)
    _check_scales(numbers[kernels.TO], numbers[kernels.BY])
    return numbers


# ---- what users call, in Python as in compiled code ----


def predict_one(net: CompiledNetwork, x: Array, out: Array) -> None:
    """What a model predicts for one example, for compiled code: its probabilities, or its numbers.

    It can be called in `@njit` functions, in `prange` loops and from threads: nothing is allocated, and nothing but
    `out` is written to.  A row with NaN or infinity in it gives NaN, where a model would raise.

    Parameters
    ----------
    net : CompiledNetwork
        What `model.jit()` has made.
    x : array (n_features,)
        C-contiguous, of the dtype of the network.  Of a Pipeline, as that takes it: scalings are part of the network;
        for a TableEncoder, and models of tables, see `CompiledNetwork.rows`.
    out : array (n_outputs,)
        Becomes what `predict_proba` of a classifier says, or `predict` of a regressor.

    Raises
    ------
    ValueError
        Where x or out have another size.  (In a `prange` loop Numba raises a SystemError, or nothing: check before it.)

    Examples
    --------
    >>> import numpy as np
    >>> from numba import njit
    >>> import fastnn
    >>> model = fastnn.MLPRegressor(random_state=0, max_iter=5).fit(np.eye(4), np.arange(4.0))
    >>> @njit
    ... def mean_of(net, X):
    ...     out, total = np.empty(1), 0.0
    ...     for i in range(len(X)):
    ...         fastnn.predict_one(net, X[i], out)
    ...         total += out[0]
    ...     return total / len(X)
    >>> bool(np.isclose(mean_of(model.jit(), np.eye(4)), model.predict(np.eye(4)).mean()))
    True
    """
    X, into = _blocks("predict_one", net, {"x": x}, {"out": out}, (1,))
    _check_shape("x", np.shape(x), (net.n_features,))
    _check_shape("out", np.shape(out), (net.n_outputs,))
    net._predict(X, into)


def predict_batch(net: CompiledNetwork, X: Array, out: Array) -> None:
    """What a model predicts for some examples, on the thread that calls; for compiled code: see `predict_one`.

    Parameters
    ----------
    net : CompiledNetwork
        What `model.jit()` has made.
    X : array (n_samples, n_features)
        C-contiguous, of the dtype of the network.
    out : array (n_samples, n_outputs)
        Becomes what `predict_proba` of a classifier says, or `predict` of a regressor.

    Raises
    ------
    ValueError
        Where X or out have another shape.
    """
    _blocks("predict_batch", net, {"X": X}, {"out": out}, (2,))
    _check_shape("X", X.shape, (len(X), net.n_features))
    _check_shape("out", out.shape, (len(X), net.n_outputs))
    net._predict(X, out)


def input_gradient(net: CompiledNetwork, x: Array, out: Array) -> None:
    """The derivatives of what a model predicts by the numbers of an example; for compiled code: see `predict_one`.

    Parameters
    ----------
    net : CompiledNetwork
        What `model.jit()` has made.
    x : array (n_features,)
        C-contiguous, of the dtype of the network.
    out : array (n_outputs, n_features), or (n_features,)
        Becomes the Jacobian matrix of `predict_one`; it shares no memory with x.  In one dimension: of the one number
        that is predicted, or of two classes that of the probability of the second.  It is 0 where a number is missing
        or is cut off before the network or after it, and NaN for a category of a table.  On an edge between two pieces
        of a column, where it jumps, it is that of one of them.

    Raises
    ------
    ValueError
        Where x or out have another size.
    """
    X, into = _blocks("input_gradient", net, {"x": x}, {"out": out}, (1, 2))
    _check_shape("x", np.shape(x), (net.n_features,))
    _check_shape("out", out.shape, (net.n_features,) if out.ndim == 1 else (net.n_outputs, net.n_features))
    if out.ndim == 1 and net._n_numbers != 1:
        raise ValueError(f"{net.n_outputs} numbers are predicted: out must be ({net.n_outputs}, {net.n_features})")
    net._input_gradient(X, net.n_outputs - len(into), False, into[np.newaxis])


def train_step(net: CompiledNetwork, X: Array, Y: Array) -> float:
    """A step of training, for compiled code: the optimizer and the penalty are those of the model.

    One thread at a time trains a network; others that predict with it meanwhile may see it half changed.

    Parameters
    ----------
    net : CompiledNetwork
        What `model.jit(batch_size=...)` has made.
    X : array (n_samples, n_features) or (n_features,)
        Examples, `net.batch_size` or fewer; C-contiguous, of the dtype of the network.
    Y : array (n_samples, n_targets) or (n_targets,)
        Numbers; for a classifier the number of the class of each example in `classes_`, or for several labels 0 and 1.
        Of two classes, and of labels, it may be between 0 and 1.

    Returns
    -------
    float
        The mean loss before the step, penalty included.

    Raises
    ------
    ValueError
        Where they have other shapes, or there is no such class.
    """
    read, target = _blocks("train_step", net, {"X": X, "Y": Y}, {}, (1, 2))
    if not 1 <= len(read) <= net.batch_size:
        raise ValueError(
            f"X has {len(read)} examples, but this network takes 1 to {net.batch_size} in a step"
            if net.batch_size
            else "the network was made for predictions: model.jit(batch_size=...) makes one that can be trained"
        )
    _check_shape("X", read.shape, (len(read), net.n_features))
    _check_shape("Y", target.shape, (len(read), net.n_targets))
    n_classes = int(net._words[kernels.N_CLASSES])
    if n_classes:  # of two, how likely the second is may be a target, too
        is_one = (target >= 0) & (target <= n_classes - 1) & ((n_classes == 2) | (target == np.floor(target)))
        if not is_one.all():
            numbers = "numbers" if n_classes == 2 else "whole numbers"
            raise ValueError(f"Y holds {target[~is_one][0]:g}, but classes are {numbers} from 0 to {n_classes - 1}")
    told = np.empty((1, 1), net.dtype)
    words = int(net._words[kernels.TRAIN]), int(net._words[kernels.TRAINED])
    CALL_TRAIN_STEP(net.dtype, *words, examples(read, net.dtype), examples(target, net.dtype), told)
    return float(told[0, 0])


def _check_shape(name: str, shape: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    if shape != wanted:
        raise ValueError(f"{name} has shape {shape}, but this network expects {wanted}")


def _blocks(
    name: str, net: Any, read: dict[str, Any], written: dict[str, Any], dimensions: tuple[int, ...]
) -> list[Array]:
    """The arrays as they are, a vector as one row; a TypeError for what a user's compiled function would not take."""
    if not isinstance(net, CompiledNetwork):
        raise TypeError(f"{name} takes a network, as model.jit() makes it, first, got {net!r}")
    for argument, array in {**read, **written}.items():
        if (
            not isinstance(array, np.ndarray)
            or array.dtype != net.dtype
            or array.ndim not in dimensions
            or not array.flags.c_contiguous
            or not (array.flags.writeable or argument in read)
        ):
            from fastnn.embedded.njit import check_value  # which says it in Numba's words

            check_value(name, net, argument, array, dimensions, argument in read)
    return [np.atleast_2d(array) for array in (*read.values(), *written.values())]


# ---- how networks are made ----


def jit(model: Any, *, dtype: npt.DTypeLike | None = None, batch_size: int | None = None) -> CompiledNetwork:
    """A fitted model for compiled code: see `predict_one`, `predict_batch`, `input_gradient` and `train_step`.

    Parameters
    ----------
    model : MLPClassifier, MLPRegressor, TabularClassifier, TabularRegressor or Pipeline
        An estimator of fastnn or of scikit-learn; or a Pipeline that ends with one, after a StandardScaler,
        MinMaxScaler, MaxAbsScaler or RobustScaler, several of these, or (before an MLP) a `TableEncoder`.
    dtype : {float32, float64} or None, default None
        Of the arrays that it will take; None for that of the parameters.
    batch_size : int or None, default None
        How many examples a `train_step` takes at most; None for a network that only predicts, as those for tables do.

    Returns
    -------
    CompiledNetwork

    Raises
    ------
    TypeError
        Where the model is anything else.
    ValueError
        Where the parameters are not right, what a model is trained with needs whole epochs, or the scales of its
        columns do not fit the dtype.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> model = fastnn.MLPClassifier(random_state=0, max_iter=5).fit(np.eye(3), [0, 1, 2])
    >>> net, out = fastnn.jit(model), np.empty(3)
    >>> fastnn.predict_one(net, np.array([0.0, 1.0, 0.0]), out)
    >>> bool(np.allclose(out, model.predict_proba([[0.0, 1.0, 0.0]])[0]))
    True
    """
    description = describe(model)
    dtype = description.dtype if dtype is None else np.dtype(dtype)
    if dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise ValueError(f"dtype must be float32 or float64, got {dtype}")
    trainer = None if batch_size is None else trainer_of(model, dtype, batch_size)
    return CompiledNetwork(description, dtype, trainer)


def trainer_of(model: Any, dtype: npt.DTypeLike, batch_size: int, way: ModuleType | None = None) -> Trainer:
    """What takes steps from where an estimator is, by this way of doing a step or the plan's."""
    if not hasattr(model, "_trained_network"):
        raise ValueError(
            "batch_size is for an MLPClassifier or MLPRegressor of fastnn, which single steps can train, but the model "
            f"is a {type(model).__name__}"
        )
    if not isinstance(batch_size, Integral) or isinstance(batch_size, bool) or batch_size < 1:
        raise ValueError(f"batch_size must be a positive integer or None, got {batch_size!r}")
    for name, wanted in (
        ("learning_rate", "constant"),
        ("warmup", 0),
        ("average", None),
        ("label_smoothing", 0),
        ("class_weight", None),
    ):
        if getattr(model, name, wanted) != wanted:
            raise ValueError(f"{name}={getattr(model, name)!r} is not for single steps, for which it is {wanted!r}")
    if model.solver == "lbfgs":
        raise ValueError("solver='lbfgs' takes all examples at once: there are no single steps")
    if describe(model).is_sorted:
        raise ValueError("several quantiles are not for single steps")
    network, optimizer, last = model._trained_network(), model._new_optimizer(), getattr(model, "_optimizer", None)
    if type(last) is type(optimizer) and last.moments is not None:
        optimizer = copy(last)
        n_moments = optimizer.n_moments
        optimizer.moments = moments_by(
            network, last.moments[: n_moments * network.n_params], n_moments, last.by_inputs, False
        )
        optimizer.schedule = optimizer.average = None
    theta = pack(network, model.coefs_, model.intercepts_, dtype)
    is_of_classes = network.out_activation == "softmax"
    X = aligned((batch_size, network.layer_sizes[0]), dtype)
    Y = aligned((batch_size, 1 if is_of_classes else network.layer_sizes[-1]), dtype)
    norms = {"clip_norm": model.clip_norm or 0.0, "max_norm": model.max_norm or 0.0}
    return Trainer(network, theta, optimizer, X, Y, int(batch_size), model.alpha, n_threads=1, way=way, **norms)


def __getattr__(name: str) -> Any:
    if name == "NetworkType":  # by which users' kept functions know it
        from fastnn.embedded.njit import NetworkType

        return NetworkType
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
