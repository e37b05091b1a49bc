"""MLPClassifier and MLPRegressor: scikit-learn's multilayer perceptrons on the kernels."""

import os
import time
import warnings
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from contextlib import nullcontext
from copy import copy
from dataclasses import replace
from functools import cache, partial
from inspect import signature
from math import nan
from numbers import Integral, Real
from operator import index, is_
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from scipy.optimize import OptimizeResult, minimize
from scipy.sparse import csr_matrix
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, check_scoring, get_scorer_names
from sklearn.model_selection import train_test_split
from sklearn.neural_network import _multilayer_perceptron as multilayer_perceptron
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import _safe_indexing, assert_all_finite, check_array, check_random_state, column_or_1d
from sklearn.utils._param_validation import Interval, InvalidParameterError, StrOptions
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call, type_of_target, unique_labels
from sklearn.utils.optimize import _check_optimize_result
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from fastnn import conversion, inference, initialization, progress
from fastnn.callbacks import CallbackSupport, FitCallbacks, as_callbacks
from fastnn.conversion import SKLEARN_SCHEDULES
from fastnn.inference import network_of
from fastnn.kernels.laws.activations import ACTIVATIONS, Activation
from fastnn.kernels.laws.losses import LOSSES, Loss
from fastnn.network import (
    Array,
    Network,
    activation_of,
    aligned,
    check_activations,
    common_dtype,
    hashable,
    issparse,
    layer_sizes_of_coefs,
)
from fastnn.pieces import PieceMatrix
from fastnn.system import blas_on_one_thread

#: Kinds of parameters that cannot change; and those that were found to be right.
PLAIN = {int, float, str, bool, type(None)}
_valid: dict[Any, bool] = {}
#: What scikit-learn's parameters may be, it knows itself; these are ours, or may be more.
_OURS: dict[str, list[Any]] = {
    "n_threads": [Interval(Integral, 1, None, closed="left"), None],
    "activation": [StrOptions(set(ACTIVATIONS)), Activation, tuple, list],
    "learning_rate": [StrOptions({*SKLEARN_SCHEDULES, "plateau", "cosine", "one_cycle", "step", "coslog4"}), callable],
    "solver": [StrOptions({"lbfgs", "sgd", "adam", "adamw", "nadam", "rmsprop"})],
    "verbose": ["verbose", StrOptions({"bar"})],
    "warmup": [Interval(Real, 0, 1, closed="left")],
    "rho": [Interval(Real, 0, 1, closed="left")],
    "l1_ratio": [Interval(Real, 0, 1, closed="both")],
    "clip_norm": [Interval(Real, 0, None, closed="neither"), None],
    "max_norm": [Interval(Real, 0, None, closed="neither"), None],
    "dropout": [Interval(Real, 0, 1, closed="left")],
    "input_dropout": [Interval(Real, 0, 1, closed="left")],
    "average": [StrOptions({"ema", "swa"}), None],
    "average_decay": [Interval(Real, 0, 1, closed="left")],
    "average_start": [Interval(Real, 0, 1, closed="left")],
    "scoring": [StrOptions({"loss", *get_scorer_names()}), callable, None],
    "best_epoch": [StrOptions({"first", "last"})],
    "checkpoint": [str, os.PathLike, None],
    "checkpoint_interval": [Interval(Real, 0, None, closed="left")],
    "init": [StrOptions({"glorot", *initialization.INITIALIZERS}), tuple, list],
    "output_intercepts": [StrOptions({"random", "mean"})],
    "max_time": [Interval(Real, 0, None, closed="neither"), None],
}
#: What `scoring` has for losses, by what the kernels call them.
_LOSSES = {"loss": "validation_loss", "calibrated_loss": "calibrated_loss"}
_REGRESSION_LOSSES = {name for name, out_activation in LOSSES if out_activation in ("identity", "exp")}


_NOT_FINITE = (
    "Solver produced non-finite parameter weights. The input data may contain large values and need to be preprocessed."
)


def takes_weights(scorer: Callable[..., Any]) -> bool:
    """Whether a scorer of a user's has `sample_weight`; those of scikit-learn have."""
    parameters = signature(scorer).parameters
    return "sample_weight" in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def refuse_masked(array: Any, name: str) -> None:
    """Raise a ValueError for missing values: scikit-learn would take the numbers under the mask."""
    if np.ma.is_masked(array):
        raise ValueError(
            f"Input {name} contains masked values, which are missing values: fill them in, or leave their rows out."
        )


class Exported:
    """A fitted model in other programs: see `fastnn.export`."""

    def to_c(self, name: str = "network") -> str:
        """The same model as a header of C, without any dependency: see `fastnn.to_c`, which takes pipelines as well.

        Parameters
        ----------
        name : str, default "network"
            What all names in it begin with.

        Returns
        -------
        str
            The text of the header.
        """
        from fastnn.export.c import to_c

        return to_c(self, name)

    def to_torch(self, logits: bool = False) -> Any:
        """The model as a module of PyTorch: see `fastnn.to_torch`, which takes pipelines as well.

        Parameters
        ----------
        logits : bool, default False
            Whether it ends before the output activation, as PyTorch's losses want it.

        Returns
        -------
        torch.nn.Sequential
            A tabular model's takes what its `encoder_` makes of a table.
        """
        from fastnn.export.torch import to_torch

        return to_torch(self, logits=logits)

    def to_onnx(self, dtype: npt.DTypeLike | None = None, opset: int | None = None) -> Any:
        """The model as an ONNX graph, which onnxruntime and other programs compute (see `fastnn.to_onnx`).

        Parameters
        ----------
        dtype : {"float32", "float64"} or None, default None
            What it is computed in; None for the dtype of the parameters.
        opset : int or None, default None
            The version of ONNX's operators, from 13 to 25; None for 18.

        Returns
        -------
        onnx.ModelProto
        """
        from fastnn.export.onnx import to_onnx

        return to_onnx(self, dtype=dtype, opset=opset)

    def onnx_parser(self) -> Callable[..., None]:
        """What skl2onnx asks for where it does not know a class: from then on it does."""
        from fastnn.export.onnx import register

        register(type(self))
        return lambda scope=None, inputs=None: None  # the outputs are those of any classifier or regressor

    def onnx_shape_calculator(self) -> Callable[..., None]:
        """What tells skl2onnx the types of the outputs."""
        from fastnn.export.onnx import infer_types

        return infer_types

    def onnx_converter(self) -> Callable[..., None]:
        """What writes the model into a graph of skl2onnx."""
        from fastnn.export.onnx import convert

        return convert


class InCompiledCode:
    """What a fitted model is to compiled code, and its derivatives, which are computed there."""

    n_threads: int | None

    def jit(self, dtype: npt.DTypeLike | None = None, batch_size: int | None = None) -> Any:
        """This model for compiled code, such as a user's own `@njit` functions.

        Parameters
        ----------
        dtype : {float32, float64} or None, default None
            Of the arrays that it will take; None for that of the parameters.
        batch_size : int or None, default None
            How many examples a `fastnn.train_step` takes at most; None for a network that only predicts, as those of
            models for tables do.

        Returns
        -------
        fastnn.embedded.CompiledNetwork
            A copy of the parameters, for `fastnn.predict_one`, `predict_batch`, `input_gradient` and `train_step`.
        """
        from fastnn import embedded

        return embedded.jit(self, dtype=dtype, batch_size=batch_size)

    def cfunc(self) -> Any:
        """A copy of this model for C: ``double f(int n, double *x, void *network)``.

        Returns
        -------
        scipy.LowLevelCallable
            See `fastnn.embedded.CompiledNetwork.cfunc`.
        """
        return self.jit().cfunc()

    def input_gradient(self, X: Any, raw: bool = False) -> Array:
        """The derivatives of what is predicted by the numbers of each row.

        Of a table, by the columns that are read, those of `encoder_.columns_`: 0 where a number is missing or is cut
        off, NaN for a category.  They jump at the edges of pieces, where they are those of one of the two.

        Parameters
        ----------
        X : data frame or array-like (n_samples, n_features)
            Examples, one a row.
        raw : bool, default False
            Whether those of the outputs before the output activation are wanted, such as log odds; of several members
            the mean of these.

        Returns
        -------
        array (n_samples, n_features), or (n_samples, n_outputs, n_features)
            Of a regressor's one number, or of two classes the probability of the second; or of all numbers, if there
            are more.
        """
        from fastnn import gradients

        return gradients.input_gradient(self, X, raw, self.n_threads)

    def hessian_vector_product(self, X: Any, v: npt.ArrayLike, raw: bool = False) -> Array:
        """How the derivatives by the inputs change along a vector: H v, by central differences of `input_gradient`.

        There is none on an edge between two pieces of a column of a table: what comes out there is large, and nothing
        to go by.

        Parameters
        ----------
        X : data frame or array-like (n_samples, n_features)
            Examples, one a row.
        v : array-like (n_features,) or (n_samples, n_features)
            The vector, for all or for each; of a table with a number for each column that is read, 0 for categories.
        raw : bool, default False
            Whether it is about the outputs before the output activation.

        Returns
        -------
        array (n_samples, n_features), or (n_samples, n_outputs, n_features)
            float64, with about ten right digits where the activations are smooth.
        """
        from fastnn import gradients

        return gradients.hessian_vector_product(self, X, v, raw, self.n_threads)


class _MLP(inference._Network, Exported, InCompiledCode, CallbackSupport, BaseEstimator):
    """What the classifier and the regressor share: everything but the targets."""

    _theirs: ClassVar[type]  # scikit-learn's class of the same name
    loss: str | Loss
    coefs_: list[Array]
    intercepts_: list[Array]
    loss_curve_: list[np.float64]
    best_loss_: Any
    validation_scores_: Any
    best_validation_score_: Any
    history_: dict[str, list[float]]
    _no_improvement_count: int
    _optimizer: Any
    _is_to_converge = True  # or to be trained for max_iter epochs, after which nobody warns

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        incremental: bool = False,
        classes: Any = None,
        held_out: tuple[Any, Any, Any] = (None, None, None),
    ) -> Self:
        if incremental and sample_weight is None and classes is None and self._fit_again(X, y):
            return self
        if "_epoch" in self.__dict__ and not incremental:
            raise RuntimeError(f"this {type(self).__name__} is being fitted: a callback may fit a clone of it")
        wanted = None if incremental else progress.parts_wanted()
        pauses = wanted.pauses if wanted else ()
        parts = self._fit_in_parts(X, y, sample_weight, incremental, classes, held_out, pauses)
        next(parts)
        if wanted:
            wanted.fits.append(parts)
        else:
            for _ in parts:
                pass
        return self

    def _fit_in_parts(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        incremental: bool,
        classes: Any,
        held_out: tuple[Any, Any, Any],
        pauses: Collection[int],
    ) -> Generator[int, None, None]:
        """Yields when all is known to fit together, and after the epochs of `pauses`, of which it yields the number.

        At a pause the model predicts, and whoever closes this there has it as if training had ended.
        """
        from fastnn import training
        from fastnn.training.calls import here

        callbacks = None if incremental or not self._has_callbacks() else FitCallbacks(self, X, y, sample_weight)
        # Nothing in it is changed in place, but for records that grow: these are cut, because they may be long.
        before = dict(self.__dict__)
        records = [getattr(self, "loss_curve_", None), *(getattr(self, "history_", None) or {}).values()]
        lengths = [(record, len(record)) for record in records if type(record) is list]

        def refuse() -> None:
            for record, length in lengths:
                del record[length:]
            self.__dict__.update(before)
            for name in self.__dict__.keys() - before.keys():
                del self.__dict__[name]

        self.__dict__.setdefault("_kept", {}).pop("again", None)
        try:
            X, Y, sample_weight = self._checked(X, y, sample_weight, incremental, classes)
            network = self._trained_network(getattr(X, "n_pieces", ()))
            theta = aligned(network.n_params, common_dtype(*self.coefs_, *self.intercepts_))
            if self.solver == "lbfgs":
                if any(each is not None for each in held_out):
                    raise ValueError("X_val and y_val are for solvers that take minibatches, but solver='lbfgs'")
                train = self._lbfgs(network, theta, X, Y, sample_weight, callbacks)
            else:
                train = self._stochastic(
                    network, theta, X, Y, y, sample_weight, incremental, self._held_out(*held_out), callbacks
                )
            training.pack(network, self.coefs_, self.intercepts_, theta.dtype, theta, issparse(X))
            yield 0
        except BaseException:
            refuse()
            raise
        is_interrupted, is_kept = False, True
        try:
            with progress.bar(self.max_iter) if self.verbose == "bar" else nullcontext():
                yield from train(pauses)
        except KeyboardInterrupt:
            if here.is_one_of_many:  # all are to end
                raise
            is_interrupted = True
        except Warning:  # such as that there was no convergence, where it is an error: it is trained
            raise
        except Exception:  # of a callback, or a scorer
            is_kept = False
            refuse()
            raise
        finally:
            if is_kept:
                self.coefs_, self.intercepts_ = training.unpack(network, theta, issparse(X))
                if network.n_pieces:  # its moments are those of factors of coefs_[0]
                    self._optimizer = None
        if is_interrupted:
            warnings.warn("Training interrupted by user.", stacklevel=1)
        if "again" in self._kept:
            self._kept["again"].note(self)
        is_best_kept = self.early_stopping and self.solver != "lbfgs" and np.isfinite(self.best_validation_score_)
        if not np.isfinite(theta).all() or not (is_best_kept or np.isfinite(getattr(self, "loss_", 0.0))):
            refuse()
            raise ValueError(_NOT_FINITE)
        if callbacks:
            callbacks.ends()

    def _trained_network(self, n_pieces: tuple[int, ...] = ()) -> Network:
        """The network as it is trained: with its loss, and dropout, and pieces if X has some."""
        sizes = layer_sizes_of_coefs(self.coefs_[bool(n_pieces) :], self.intercepts_)
        dropout = float(self.dropout) if sizes[1:-1] else 0.0, float(self.input_dropout)
        return network_of(sizes, hashable(self.activation), self.out_activation_, self._loss_law(), *dropout, n_pieces)

    def set_callbacks(self, *callbacks: Any) -> Self:
        """Have callbacks called in every fit; not in `partial_fit`.

        Parameters
        ----------
        *callbacks : callable, or instances that follow the FitCallback protocol of scikit-learn 1.9
            A plain function takes a `fastnn.Epoch` after every epoch, and returns True to stop.  Those that were set
            before are forgotten.

        Returns
        -------
        self

        Examples
        --------
        >>> from fastnn import MLPRegressor
        >>> model = MLPRegressor(random_state=0).set_callbacks(lambda epoch: epoch.n_iter == 3)
        >>> model.fit([[0.0], [1.0]], [0.0, 1.0]).n_iter_
        3
        """
        self.__dict__.pop("_skl_callbacks", None)
        if callbacks:
            self._skl_callbacks = as_callbacks(callbacks)
        return self

    def _has_callbacks(self) -> bool:
        return bool(self.__dict__.get("_skl_callbacks"))

    def _fit_again(self, X: Any, y: Any) -> bool:
        """`partial_fit` where nothing has changed since the last but the numbers of plain data; False, if it is not so.

        All that takes longer than the step of one example is ready then.
        """
        from fastnn import training

        again = self.__dict__.get("_kept", {}).pop("again", None)  # it is for one call at a time
        if again is None or not again.is_of(self, X, y) or (Y := self._plain_targets(y)) is None:
            return False
        trainer, epochs, optimizer = again.trainer, again.epochs, copy(self._optimizer)  # forgotten, if this is refused
        theta, optimizer.moments = trainer.model.theta, optimizer.moments.copy()
        if len(X) > 1:
            self._random_state = check_random_state(self.random_state)
            epochs.random_state = self._random_state if self.shuffle else None
            epochs.order[:] = again.order
        epochs.best_loss, epochs.no_improvement_count = self.best_loss_, self._no_improvement_count
        trainer.take(optimizer, X, self._trained_on(Y.reshape(len(Y), -1)))
        training.pack(trainer.network, self.coefs_, self.intercepts_, theta.dtype, theta)
        start = time.perf_counter()
        while not (told := epochs.run(1)).loss.size and not epochs.is_interrupted:
            pass
        if epochs.is_interrupted:
            warnings.warn("Training interrupted by user.", stacklevel=1)
        if not np.isfinite(theta).all() or not np.isfinite(told.loss).all():
            raise ValueError(_NOT_FINITE)
        self.coefs_, self.intercepts_ = training.unpack(trainer.network, theta)
        self._optimizer, self.n_iter_ = optimizer, told.loss.size
        if told.loss.size:
            again.note(self)
            self._kept["again"] = again
            self._note_epochs(epochs, told, len(X), time.perf_counter() - start, [self._optimizer.learning_rate])
        return True

    def _note_history(self, n_epochs: int, **columns: list[float]) -> None:
        """Write down what epochs came to, in the columns of the record; of what is not known there, NaN."""
        n_before = len(self.history_["loss"])
        for name in {**self.history_, **columns}:
            self.history_.setdefault(name, [nan] * n_before).extend(columns.get(name) or [nan] * n_epochs)

    def _note_epochs(self, epochs: Any, told: Any, n_samples: int, seconds: float, learning_rates: list[float]) -> bool:
        """Write down what epochs came to.  Whether that was the last."""
        n_epochs = told.loss.size
        self.t_ += n_epochs * n_samples
        self.loss_curve_.extend(told.loss)
        self.loss_ = self.loss_curve_[-1]
        columns = {"loss": told.loss.tolist()}
        if epochs.is_validated:
            columns |= {"validation_loss": told.validation_loss.tolist(), "validation_score": told.score.tolist()}
        if self.clip_norm is not None:
            columns["gradient_norm"] = told.gradient_norm.tolist()
        self._note_history(n_epochs, **columns, learning_rate=learning_rates, seconds=[seconds / n_epochs] * n_epochs)
        self._no_improvement_count = epochs.no_improvement_count
        if self._prints:
            print(f"Iteration {self.n_iter_}, loss = {self.loss_:.8f}")
        if self.early_stopping:
            scores = -told.validation_loss if self.scoring in _LOSSES else told.score
            self.validation_scores_.extend(scores.tolist())
            self.best_validation_score_ = epochs.best_score
            if self._prints:
                print(f"Validation score: {self.validation_scores_[-1]:f}")
        else:
            self.best_loss_ = epochs.best_loss
        self._optimizer.iteration_ends(self.t_)
        if self._no_improvement_count > self.n_iter_no_change:
            if self._optimizer.trigger_stopping(self._stopping_message(), self._prints):
                return True
            self._no_improvement_count = epochs.no_improvement_count = 0
        return False

    def _checked(self, X: Any, y: Any, sample_weight: Any, incremental: bool, classes: Any) -> tuple[Any, Array, Any]:
        """The data of a fit, once all is known to fit together; and where it begins anew, the first parameters."""
        if incremental:
            self._validate_params()
        hidden = self.hidden_layer_sizes
        hidden = list(hidden) if hasattr(hidden, "__iter__") else [hidden]
        if np.any(np.array(hidden) <= 0):
            raise ValueError(f"hidden_layer_sizes must be > 0, got {hidden}.")
        check_activations(self.activation, "identity", len(hidden))
        if incremental:
            self._check_classes(y, classes)
        first_pass = not hasattr(self, "coefs_") or (not self.warm_start and not incremental)
        refuse_masked(X, "X")
        refuse_masked(y, "y")
        if isinstance(X, PieceMatrix):
            Y = self._validate_input(X.numbers, y, incremental, reset=first_pass)[1]
            self.n_features_in_ = X.shape[1]
        else:
            X, Y = self._validate_input(X, y, incremental, reset=first_pass)
        if issparse(X):
            X = X.tocsr()
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, X, ensure_non_negative=True)
        Y = Y.reshape(len(Y), -1)
        sample_weight = self._weighted(Y, sample_weight, incremental)
        n_outputs = self._n_outputs(Y)
        if incremental and self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        if incremental and (self.warmup or self.average or self.learning_rate not in (*SKLEARN_SCHEDULES, "plateau")):
            raise ValueError(
                f"learning_rate={self.learning_rate!r}, warmup={self.warmup!r} and average={self.average!r} go by the "
                "steps of a whole fit, which partial_fit does not know"
            )
        if issparse(X) and self.max_norm is not None:
            raise ValueError("max_norm is not for a sparse X: X.toarray() is a dense one")
        if self.checkpoint is not None and incremental:
            raise ValueError("checkpoint is for fit: what partial_fit comes to, pickle keeps")
        if self.checkpoint is not None and self.warm_start:
            raise ValueError("checkpoint is for one fit, which warm_start would go on from: one of them is wanted")
        if self.solver == "lbfgs":
            self._check_lbfgs()
        if (
            first_pass or X.shape[0] > 1 or self.dropout or self.input_dropout
        ):  # one row has no order, and to seed a generator takes as long as its step
            self._random_state = check_random_state(self.random_state)
        if first_pass:
            self._initialize([X.shape[1], *hidden, n_outputs], X.dtype, Y, sample_weight, getattr(X, "n_pieces", ()))
        else:
            self._check_goes_on(X.shape[1], hidden, n_outputs)
        self.n_outputs_ = n_outputs
        self._begin_record(incremental)
        return X, Y, sample_weight

    def _check_goes_on(self, n_features: int, hidden: list[int], n_outputs: int) -> None:
        """Raise a ValueError unless the parameters that are there are those of a network for these data."""
        n_x, *widths, n_y = layer_sizes_of_coefs(self.coefs_, self.intercepts_)
        name, advice = type(self).__name__, "`fit` without warm_start begins anew"
        if n_x != n_features:
            raise ValueError(f"X has {n_features} features, but {name} is expecting {n_x} features as input.")
        if n_y != n_outputs:
            raise ValueError(f"y takes {n_outputs} output{'s' * (n_outputs > 1)}, but this {name} has {n_y}: {advice}")
        if widths != hidden:
            raise ValueError(f"hidden_layer_sizes is {hidden}, but this {name} has hidden layers of {widths}: {advice}")
        if self.out_activation_ != self._out_activation():
            raise ValueError(
                f"the outputs are to be {self._out_activation()}, but those of this {name} are "
                f"{self.out_activation_}: {advice}"
            )

    @classmethod
    @cache
    def _get_param_names(cls) -> list[str]:
        """As scikit-learn's, which finds them out anew for each copy and each change of a parameter."""
        return super()._get_param_names()

    def _validate_params(self) -> None:
        """As scikit-learn's, which takes longer than many an epoch: parameters that are right are so another time."""
        named = {name: self.__dict__.get(name) for name in self._parameter_constraints}
        seed, values = named["random_state"], named.values()
        if type(seed) is int and 0 <= seed < 2**32:  # one is as right as another
            named["random_state"] = 0
        parameters = tuple((value, type(value)) for value in values)
        # What cannot change, and is the same as what is equal to it: in a tuple, a float might be equal.
        are_plain = all(
            type(value) in PLAIN or (type(value) is tuple and all(type(n) is int for n in value)) for value in values
        )
        if not are_plain or (type(self), parameters) not in _valid:
            super()._validate_params()
            if are_plain:
                if len(_valid) >= 1000:
                    _valid.clear()
                _valid[type(self), parameters] = True

    def _check_classes(self, y: Any, classes: Any) -> None:
        """In the first call of `partial_fit`, a classifier learns which classes there are."""

    def _n_outputs(self, Y: Array) -> int:
        return Y.shape[1]

    def _loss_law(self) -> str | Loss:
        """What is minimised."""
        return self.loss

    def _trained_on(self, Y: Array) -> Array:
        """The targets as the loss takes them."""
        return Y

    def _to_score(self, Y: Array) -> Array:
        """The targets as the score takes them."""
        return Y

    def _weighted(self, Y: Array, sample_weight: Any, incremental: bool) -> Any:
        """What each example counts for, with all that has to do with it."""
        return sample_weight

    def _held_out(self, X: Any, y: Any, sample_weight: Any) -> tuple[Any, Array, Any, Any] | None:
        """The examples that a user has set aside: X, y as numbers, weights, and y as it is; None without any."""
        if X is None and y is None and sample_weight is None:
            return None
        if X is None or y is None:
            raise ValueError(f"X_val and y_val belong together, got {'X_val' if y is None else 'y_val'} alone")
        refuse_masked(X, "X_val")
        X, Y = self._validated(X), self._numbers_of(y)
        if Y.shape[0] != X.shape[0]:
            raise ValueError(f"X_val has {X.shape[0]} examples, but y_val {Y.shape[0]}")
        if X.shape[0] < 2:
            raise ValueError("X_val has one example, but a score needs two")
        if not isinstance(X, PieceMatrix) and not np.isfinite(X.data if issparse(X) else X).all():
            assert_all_finite(X, input_name="X_val", estimator_name=type(self).__name__)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, X, ensure_non_negative=True)
        return X, Y, sample_weight, y

    def _numbers_of(self, y: Any) -> Array:
        """The targets of other examples than those that are trained on (n_samples, n_y), as numbers."""
        raise NotImplementedError

    def _check_lbfgs(self) -> None:
        """Raise a ValueError for what is only for minibatches."""
        for name, nothing in (
            ("clip_norm", None),
            ("max_norm", None),
            ("dropout", 0),
            ("input_dropout", 0),
            ("average", None),
            ("l1_ratio", 0),
            ("checkpoint", None),
        ):
            if getattr(self, name) != nothing:
                raise ValueError(
                    f"{name}={getattr(self, name)!r} is for solvers that take minibatches, but solver='lbfgs'"
                )

    def _initialize(
        self,
        layer_sizes: list[int],
        dtype: npt.DTypeLike,
        Y: Array,
        sample_weight: Array | None,
        n_pieces: tuple[int, ...],
    ) -> None:
        """The first parameters, by `init`, and no record of a training."""
        self.n_iter_ = self.t_ = 0
        self.n_layers_ = len(layer_sizes)
        self.out_activation_ = self._out_activation()
        if n_pieces:
            layer_sizes = [layer_sizes[0] - sum(n_pieces) + Network.width * len(n_pieces), *layer_sizes[1:]]
        if isinstance(self.init, str):
            laws = [activation_of(self.activation, l) for l in range(1, len(layer_sizes) - 1)] or [self.activation]
            first = initialization.draw(self.init, layer_sizes, laws, self._random_state, dtype)
        else:
            first = initialization.given(self.init, layer_sizes, dtype)
        self.coefs_, self.intercepts_ = first
        if n_pieces:
            self.coefs_.insert(0, initialization.of_pieces(self._random_state, n_pieces, Network.width, dtype))
        if self.output_intercepts == "mean":
            of_mean = initialization.output_intercepts(self.out_activation_, Y, layer_sizes[-1], sample_weight)
            if of_mean is not None:
                self.intercepts_[-1][:] = of_mean
        self._kept: dict[str, Any] = {}  # what the next prediction may use again
        for name in (
            "loss_curve_",
            "_no_improvement_count",
            "validation_scores_",
            "best_validation_score_",
            "best_loss_",
            "history_",
        ):
            self.__dict__.pop(name, None)

    def _begin_record(self, incremental: bool) -> None:
        """What training writes down, where it is not there yet: the last fit may have had another solver."""
        if not incremental or type(self.__dict__.get("history_")) is not dict:
            self.history_ = {name: [*column] for name, column in getattr(self, "history_", {"loss": []}).items()}
        if self.solver == "lbfgs":
            return
        for name, value in ("loss_curve_", []), ("_no_improvement_count", 0), ("t_", 0):
            self.__dict__.setdefault(name, value)
        self.t_ = index(self.t_)  # or the record could not go on after the training
        if not incremental or type(self.loss_curve_) is not list:  # what a user has kept of it does not grow
            self.loss_curve_ = [*self.loss_curve_]
        if self.early_stopping:
            self.best_loss_ = None
            self.validation_scores_ = [*(getattr(self, "validation_scores_", None) or [])]
            if not self.validation_scores_:
                self.best_validation_score_ = -np.inf
        else:
            self.validation_scores_ = self.best_validation_score_ = None
            if getattr(self, "best_loss_", None) is None:
                self.best_loss_ = np.inf

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        for name in ("_kept", "_random_state"):  # made of coefs_ and intercepts_, or by every fit
            state.pop(name, None)
        if state.get("_optimizer") is not None:  # as data alone: who loads it has no more classes to trust
            from fastnn.training.optimizers import to_dict

            state["_optimizer"] = to_dict(state["_optimizer"])
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if isinstance(self.__dict__.get("_optimizer"), dict):  # what older ones have pickled was the object
            from fastnn.training.optimizers import from_dict

            self._optimizer = from_dict(self._optimizer)
        self.__dict__.pop("_theta", None)  # of 0.1.0, whose coefs_ were transposed views of it
        if hasattr(self, "coefs_"):
            self.coefs_, self._kept = [np.ascontiguousarray(coef) for coef in self.coefs_], {}

    def _new_optimizer(self) -> Any:
        from fastnn import training

        constants: tuple[Any, ...] = self.beta_1, self.beta_2, self.epsilon
        if self.solver == "rmsprop":
            constants = self.rho, self.epsilon
        elif self.solver == "sgd":
            schedule = self.learning_rate if self.learning_rate in SKLEARN_SCHEDULES else "constant"
            constants = self.momentum, self.nesterovs_momentum, schedule, self.power_t
        optimizer = training.OPTIMIZERS[self.solver](self.learning_rate_init, *constants)
        optimizer.l1_ratio = float(self.l1_ratio)
        return optimizer

    def _lbfgs(
        self,
        network: Network,
        theta: Array,
        X: Any,
        Y: Array,
        sample_weight: Any,
        callbacks: FitCallbacks | None,
    ) -> Callable[[Collection[int]], Iterable[int]]:
        """Ready to minimise the cost over all the examples, theta being trained in place; without pauses."""
        from fastnn import training

        objective = training.Objective(
            network, X, self._trained_on(Y), self.alpha, sample_weight, self.n_threads, theta.dtype
        )
        objective.trainer.compile()
        start, end = time.perf_counter(), np.inf

        def look(intermediate_result: OptimizeResult) -> None:
            nonlocal start
            theta[:] = intermediate_result.x
            self.n_iter_ += 1
            self.loss_ = np.float64(intermediate_result.fun)
            if self._prints:
                print(f"Iteration {self.n_iter_}, loss = {self.loss_:.8f}")
            now = time.perf_counter()
            self._note_history(1, loss=[float(self.loss_)], seconds=[now - start])
            is_last = self._report(network, theta, issparse(X), X.shape[0], callbacks)
            start = time.perf_counter()
            if now > end or is_last:
                raise StopIteration
            if callbacks:
                callbacks.epoch_begins(partial(self._as_it_is, network, theta, issparse(X)))

        def minimise(pauses: Collection[int]) -> Iterable[int]:
            nonlocal start, end
            self.n_iter_, start = 0, time.perf_counter()
            if callbacks:
                callbacks.epoch_begins(partial(self._as_it_is, network, theta, issparse(X)))
            end = np.inf if self.max_time is None else start + self.max_time
            with blas_on_one_thread():
                result = minimize(
                    objective,
                    theta.astype(np.float64),
                    method="L-BFGS-B",
                    jac=True,
                    callback=look,
                    options={"maxfun": self.max_fun, "maxiter": self.max_iter, "gtol": self.tol},
                )
            if result.status != 99:  # or one of us has stopped it, and that is why it is no optimum
                self.n_iter_ = _check_optimize_result("lbfgs", result, self.max_iter)
            theta[:], self.loss_ = result.x, np.float64(result.fun)
            return ()

        return minimise

    def _stochastic(
        self,
        network: Network,
        theta: Array,
        X: Any,
        Y: Array,
        y: Any,
        sample_weight: Any,
        incremental: bool,
        held_out: tuple[Any, Array, Any, Any] | None,
        callbacks: FitCallbacks | None,
    ) -> "partial[Iterator[int]]":
        """Ready to run epochs of minibatch steps, theta being trained in place."""
        from fastnn import training

        optimizer = self._new_optimizer()
        last = getattr(self, "_optimizer", None)
        if incremental and last is not None and type(last) is type(optimizer):
            optimizer = copy(last)  # where the fit diverges, this one is forgotten
            optimizer.schedule = optimizer.average = None  # which went by the steps of a whole fit
            optimizer.l1_ratio = float(self.l1_ratio)
            if last.moments is not None:
                moments = last.moments[: optimizer.n_moments * theta.size]
                optimizer.moments = training.moments_by(
                    network, moments, optimizer.n_moments, last.by_inputs, issparse(X)
                )
        optimizer.by_inputs = issparse(X)
        self._optimizer = optimizer
        order, validation, checkpoint = np.arange(X.shape[0]), None, None
        if self.checkpoint is not None:
            from fastnn.checkpoints import Checkpoint

            checkpoint = Checkpoint(self, [X, Y, sample_weight, str(theta.dtype)], (held_out or [])[:3])
        if self.early_stopping and held_out is None:
            stratify = Y if isinstance(self, ClassifierMixin) and self.n_outputs_ == 1 else None
            order, rows = train_test_split(
                order, random_state=self._random_state, test_size=self.validation_fraction, stratify=stratify
            )
            if checkpoint:
                order, rows = checkpoint.split(order, rows)
            if len(rows) < 2:
                raise ValueError(
                    "The validation set is too small. Increase 'validation_fraction' or the size of your dataset."
                )
            weights = None if sample_weight is None else sample_weight[rows]
            held_out = X[rows], Y[rows], weights, _safe_indexing(y, rows)
        batch_size = min(200, len(order)) if self.batch_size == "auto" else self.batch_size
        if batch_size > len(order):
            warnings.warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped", stacklevel=1
            )
            batch_size = len(order)
        n_steps = self.max_iter * -(-len(order) // batch_size)
        if self.warmup or self.learning_rate not in SKLEARN_SCHEDULES:
            optimizer.schedule = training.Schedule(self.learning_rate, self.warmup, n_steps)
        if self.average:
            optimizer.average = training.Average(self.average, self.average_decay, self.average_start, n_steps)
        if network.dropout or network.input_dropout:  # or scikit-learn's numbers would be others
            # And other masks in the fits of a warm start, whose random state may be the same.
            optimizer.seed = optimizer.seed or int(self._random_state.randint(1, 2**31 - 1)) + self.t_
        trainer = training.Trainer(
            network,
            theta,
            optimizer,
            X,
            self._trained_on(Y),
            batch_size,
            self.alpha,
            sample_weight,
            self.n_threads,
            prepared=self._kept.pop("prepared", None) if incremental else None,
            clip_norm=self.clip_norm or 0.0,
            max_norm=self.max_norm or 0.0,
        )
        trainer.compile()
        kept = optimizer.moments[-theta.size :] if self.average else theta
        if self.average:
            kept[:] = theta
        if held_out is not None:
            if issparse(X) != issparse(held_out[0]):  # the parameters are laid out for the one or the other
                held_out = csr_matrix(held_out[0]) if issparse(X) else held_out[0].toarray(), *held_out[1:]
            targets, is_classified = self._to_score(held_out[1]), isinstance(self, ClassifierMixin)
            validation = training.validation(
                network,
                kept,
                held_out[0],
                targets,
                held_out[2],
                is_classified,
                self.n_threads,
                self.early_stopping and self.scoring == "calibrated_loss",
            )
        score = self._scorer(held_out) if self.early_stopping and held_out is not None else None
        more = score, incremental, callbacks, checkpoint
        return partial(self._epochs, network, trainer, kept, order, validation, *more)

    def _scorer(self, held_out: tuple[Any, Array, Any, Any]) -> Callable[[list[Array], list[Array]], float] | None:
        """What scores parameters on the examples that are set aside; None where the kernels do."""
        if self.scoring is None or self.scoring in _LOSSES:
            return None
        X, _, weights, y = held_out
        model, scorer = copy(self), check_scoring(self, self.scoring)
        X = X.toarray() if isinstance(X, PieceMatrix) else X
        model.__dict__.pop("feature_names_in_", None)  # X is an array by now
        more = {"sample_weight": weights}
        if weights is None or (callable(self.scoring) and not takes_weights(self.scoring)):
            more = {}

        def score(coefs: list[Array], intercepts: list[Array]) -> float:
            model.coefs_, model.intercepts_, model._kept = coefs, intercepts, {}
            try:
                value = scorer(model, X, y, **more)
            except (AttributeError, TypeError, ValueError) as error:
                name = self.scoring if isinstance(self.scoring, str) else getattr(self.scoring, "__name__", "scoring")
                raise ValueError(f"scoring={name!r} cannot score this {type(self).__name__}: {error}") from error
            if not isinstance(value, Real) or value != value:
                raise ValueError(f"scoring must return a number, got {value!r}")
            return float(value)

        return score

    def _epochs(
        self,
        network: Network,
        trainer: Any,
        kept: Array,
        order: npt.NDArray[np.int64],
        validation: Any,
        score: Callable[[list[Array], list[Array]], float] | None,
        incremental: bool,
        callbacks: FitCallbacks | None,
        checkpoint: Any,
        pauses: Collection[int],
    ) -> Iterator[int]:
        """The epochs, as a generator that yields at pauses."""
        from fastnn import training

        decides = "loss"
        if self.early_stopping:
            decides = _LOSSES.get(self.scoring, "score") if isinstance(self.scoring, str) else "score"

        # The mean over the outputs, where the gradient has the sum: scikit-learn's convention.
        scale = 1 / self.n_outputs_ if network.loss_law.is_mean_over_outputs else 1
        epochs = training.Epochs(
            trainer,
            order,
            self._random_state if self.shuffle and len(order) > 1 else None,
            scale,
            self.tol,
            self.n_iter_no_change,
            validation,
            np.inf if self.early_stopping else self.best_loss_,
            self.best_validation_score_ if self.early_stopping else -np.inf,
            self._no_improvement_count,
            decides,
            self.best_epoch == "last",
            kept,
            score and (lambda: score(*training.unpack(network, kept, trainer.is_sparse))),
        )
        as_it_is = partial(self._as_it_is, network, kept, trainer.is_sparse)
        self.n_iter_, max_iter = 0, 1 if incremental else self.max_iter
        is_over = checkpoint is not None and checkpoint.restore(epochs)
        start = time.perf_counter()
        end = np.inf if self.max_time is None or incremental else start + self.max_time
        try:
            while self.n_iter_ < max_iter:
                if is_over:
                    return
                if time.perf_counter() > end:
                    if not self.n_iter_ and self._is_to_converge:
                        warnings.warn(
                            f"max_time={self.max_time:g} seconds were over before the first epoch was",
                            ConvergenceWarning,
                            stacklevel=1,
                        )
                    return
                is_told = bool(callbacks) or progress.is_watched()
                one_by_one = is_told or self.verbose or score or self._optimizer.is_for_one_epoch
                if callbacks and epochs.is_at_the_start:
                    callbacks.epoch_begins(as_it_is)
                last = min((pause for pause in pauses if self.n_iter_ < pause < max_iter), default=max_iter)
                told = epochs.run(1 if one_by_one else last - self.n_iter_)
                n_epochs = told.loss.size
                if not n_epochs:
                    if checkpoint and checkpoint.is_due():
                        checkpoint.write(epochs, False)
                    if epochs.is_interrupted:
                        raise KeyboardInterrupt
                    continue
                self.n_iter_ += n_epochs
                seconds, rates = time.perf_counter() - start, epochs.learning_rates(n_epochs)
                is_last = self._note_epochs(epochs, told, len(order), seconds, rates)
                is_stopped = self._report(network, kept, trainer.is_sparse, len(order), callbacks)
                if epochs.is_interrupted:
                    raise KeyboardInterrupt
                is_over = is_last or is_stopped
                if checkpoint and checkpoint.is_due():
                    checkpoint.write(epochs, is_over)
                if is_over:
                    return
                if self.n_iter_ in pauses and self.n_iter_ < max_iter:
                    self.__dict__.update(self._as_it_is(network, epochs.calibrated_best(), trainer.is_sparse))
                    start = time.perf_counter()
                    yield self.n_iter_
                    end += time.perf_counter() - start
                start = time.perf_counter()
            if not incremental and self._is_to_converge:
                warnings.warn(
                    f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached and the "
                    "optimization hasn't converged yet.",
                    ConvergenceWarning,
                    stacklevel=1,
                )
        finally:
            if checkpoint and np.isfinite(trainer.model.theta).all():
                checkpoint.write(epochs, is_over)
            trainer.model.theta[:] = epochs.calibrated_best()
            if incremental:
                self._kept["prepared"] = trainer.prepared
                parameters = (self.__dict__.get(name) for name in self._parameter_constraints)
                changeable = any(isinstance(value, list | dict | np.ndarray) for value in parameters)
                if not (trainer.is_sparse or trainer.weights.size or self.verbose or changeable):
                    self._kept["again"] = _Again(self, trainer, epochs)

    def _as_it_is(self, network: Network, theta: Array, by_inputs: bool) -> dict[str, Any]:
        """What a copy of the model needs to predict with these parameters."""
        from fastnn import training

        coefs, intercepts = training.unpack(network, theta, by_inputs)
        return {"coefs_": coefs, "intercepts_": intercepts, "_kept": {}}

    def _report(
        self, network: Network, theta: Array, by_inputs: bool, n_samples: int, callbacks: FitCallbacks | None
    ) -> bool:
        """Tell whoever watches what an epoch came to; they may predict.  Whether one of them wants to stop."""
        if not (callbacks or progress.is_watched()):
            return False
        as_it_is = self._as_it_is(network, theta, by_inputs)
        self.__dict__.update(as_it_is)
        last = {name: column[-1] for name, column in self.history_.items()}
        self._epoch = progress.Epoch(
            self.n_iter_,
            self.max_iter,
            self.loss_,
            last.get("validation_score"),
            n_samples,
            last["seconds"],
            last.get("validation_loss"),
            last.get("learning_rate"),
            last.get("gradient_norm"),
        )
        try:
            progress.report(self._epoch)
            return bool(callbacks and callbacks.epoch_ends(lambda: as_it_is))
        finally:
            self.__dict__.pop("_epoch", None)  # one of them may have trained the model

    @property
    def _prints(self) -> bool:
        """Whether lines are printed: a bar is drawn otherwise."""
        return bool(self.verbose) and self.verbose != "bar"

    @property
    def best_iteration_(self) -> int:
        """The epoch, counted from 1, whose parameters `early_stopping` has kept."""
        scores = getattr(self, "validation_scores_", None)
        if not scores:
            raise AttributeError(f"{type(self).__name__} has no best_iteration_: it is fitted with early_stopping=True")
        best = np.flatnonzero(np.asarray(scores) == self.best_validation_score_)
        # Epochs of a warm start may have come before, without scores.
        n_before = max(len(getattr(self, "loss_curve_", [])) - len(scores), 0)
        return n_before + (int(best[-1 if self.best_epoch == "last" else 0]) + 1 if len(best) else len(scores))

    def _stopping_message(self) -> str:
        what = "Validation score" if self.early_stopping else "Training loss"
        return f"{what} did not improve more than tol={self.tol:f} for {self.n_iter_no_change} consecutive epochs."

    def _are_plain(self, X: Any, y: Any, reset: bool) -> bool:
        """Whether data need no more looks, which would take longer than a step; if so, the estimator knows of them."""
        if not (
            type(X) is np.ndarray
            and type(y) is np.ndarray
            and X.ndim == 2
            and X.dtype.char in "fd"
            and y.shape == (len(X),)
            and X.size
            and (
                reset
                or (X.shape[1] == getattr(self, "n_features_in_", None) and not hasattr(self, "feature_names_in_"))
            )
            and np.isfinite(X).all()
        ):
            return False
        if reset:
            self.n_features_in_ = X.shape[1]
            self.__dict__.pop("feature_names_in_", None)
        return True

    def _validated(self, X: Any) -> Any:
        if isinstance(X, PieceMatrix):
            return X
        # What is right at first sight needs no more looks, which take longer than the prediction of one row.
        if (
            type(X) is np.ndarray
            and X.ndim == 2
            and X.dtype.char in "fd"
            and len(X)
            and X.shape[1] == getattr(self, "n_features_in_", None)
            and not hasattr(self, "feature_names_in_")
            and hasattr(self, "coefs_")
        ):
            return X  # the predictor looks at its numbers
        check_is_fitted(self)
        refuse_masked(X, "X")
        X = validate_data(self, X, accept_sparse=["csr", "csc"], reset=False)  # no text, even if it is of digits
        if X.dtype.kind not in "fiub":
            raise ValueError(f"X holds {X.dtype}, but {type(self).__name__} expects numbers")
        return X if X.dtype.char in "fd" else X.astype(common_dtype(X.dtype, *self.coefs_))

    def to_sklearn(self) -> Any:
        """The same model as scikit-learn's own estimator: parameters, attributes and the state of the optimizer.

        Returns
        -------
        sklearn.neural_network.MLPClassifier or MLPRegressor
            It shares no memory with this one.
        """
        return conversion.to_sklearn(self, self._theirs)

    @classmethod
    def from_sklearn(cls, model: Any) -> Self:
        """A model of scikit-learn's own estimator: parameters, attributes and the state of the optimizer.

        Parameters
        ----------
        model : sklearn.neural_network.MLPClassifier or MLPRegressor
            Fitted or not.

        Returns
        -------
        The estimator of the same name; it shares no memory with `model`.

        Raises
        ------
        TypeError
            If it is anything else.
        """
        if not isinstance(model, cls._theirs):
            raise TypeError(f"model must be scikit-learn's {cls._theirs.__name__}, got {model!r}")
        return conversion.from_sklearn(model, cls)

    def _check_solver(self) -> bool:
        if self.solver == "lbfgs":
            raise AttributeError("partial_fit is only available for stochastic optimizers. lbfgs is not stochastic.")
        return True

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


#: What training writes down, and of which kind that is, unless somebody has put something else there.
RECORD = (
    ("loss_curve_", (list,)),
    ("t_", (int,)),
    ("best_loss_", (float, np.float64)),
    ("_no_improvement_count", (int,)),
)


class _Again:
    """What a `partial_fit` leaves for the next, and what has to be the same for that."""

    def __init__(self, model: _MLP, trainer: Any, epochs: Any) -> None:
        self.trainer, self.epochs, self.order = trainer, epochs, np.arange(trainer.X.shape[0])
        names = *model._parameter_constraints, "classes_", "_label_binarizer", "out_activation_", "n_outputs_"
        self._same = [(name, model.__dict__.get(name)) for name in names]
        self._state: tuple[Any, ...] = ()  # until `note`

    def note(self, model: _MLP) -> None:
        """The parameters and the optimizer are those."""
        self._state = model.coefs_, model.intercepts_, model._optimizer
        self._arrays = [*model.coefs_, *model.intercepts_]
        self._kinds = [(array.shape, array.dtype) for array in self._arrays]

    def is_of(self, model: _MLP, X: Any, y: Any) -> bool:
        """Whether it serves for these data: as many, and in all else nothing has changed."""
        state = model.__dict__
        return bool(
            type(X) is np.ndarray
            and X.dtype.char in "fd"
            and X.shape == self.trainer.X.shape
            and type(y) is np.ndarray
            and y.shape == (len(X),)
            and self._state
            and all(state.get(name) is value for name, value in self._same)
            and all(type(state.get(name)) in kinds for name, kinds in RECORD)
            and "feature_names_in_" not in state
            and all(map(is_, map(state.get, ("coefs_", "intercepts_", "_optimizer")), self._state))
            and all(map(is_, [*model.coefs_, *model.intercepts_], self._arrays))
            and [(array.shape, array.dtype) for array in self._arrays] == self._kinds
            and self.trainer.has_as_many_threads(model.n_threads)
            and not progress.is_watched()
            and np.isfinite(X).all()
        )


class MLPClassifier(ClassifierMixin, inference.MLPClassifier, _MLP):
    """Multilayer perceptron for classification: scikit-learn's, many times as fast.

    It minimises the log loss, or the focal loss.  Two classes (or several labels at once) have logistic outputs, more
    have softmax.

    Parameters
    ----------
    hidden_layer_sizes : sequence of int, default (100,)
        The widths of the hidden layers; () for none, which is logistic (or softmax) regression.
    activation : str or Activation, or a sequence of these, default "relu"
        g of the hidden layers, or of each of them: "identity", "logistic", "tanh", "relu", "leaky_relu", "elu", "selu",
        "softplus", "silu", "mish", "gelu" or "gelu_tanh"; of your own, by `fastnn.activation`.
    solver : {"adam", "adamw", "nadam", "rmsprop", "sgd", "lbfgs"}, default "adam"
        Adam (Kingma & Ba 2015), AdamW (Loshchilov & Hutter 2019), whose weights lose the part alpha * learning_rate of
        themselves in each step, NAdam (Dozat 2016), RMSprop (Tieleman & Hinton 2012), stochastic gradient descent with
        momentum, or SciPy's L-BFGS-B on all examples at once.
    alpha : float, default 0.0001
        Strength of the L2 penalty, alpha / (2 m) times the sum of the squares of the weights, over batches of m.
    batch_size : int or "auto", default "auto"
        Examples in a batch; "auto" is min(200, n_samples).
    learning_rate : str or callable, default "constant"
        What becomes of the step size.  For "sgd", as in scikit-learn: with "invscaling", it is learning_rate_init /
        (`t_` + 1)^power_t at the end of an epoch; with "adaptive", it is divided by 5 where training would stop, until
        it is below 1e-6.  For all, "plateau" is what "adaptive" is for "sgd"; and by the progress over the steps of
        max_iter epochs: "cosine", "one_cycle", "step", "coslog4" (see ``fastnn.training.schedules``), or a function of
        that: a number between 0 and 1, for which it gives a factor.
    learning_rate_init : float, default 0.001
        The (first) step size.
    power_t : float, default 0.5
        Exponent of "invscaling".
    max_iter : int, default 200
        Epochs at most; for "lbfgs", iterations.
    shuffle : bool, default True
        Whether every epoch takes the examples in a new order.
    random_state : int, RandomState or None, default None
        For the initial weights, the order of the examples and the validation set.
    tol : float, default 1e-4
        What an epoch must improve the loss (or validation score) by, to count as progress.
    verbose : bool or "bar", default False
        Whether to print the loss of every epoch, or to draw a progress bar, which needs rich.
    warm_start : bool, default False
        Whether `fit` goes on from the last solution.
    momentum : float, default 0.9
        For "sgd": the decay of the velocity, between 0 and 1.
    nesterovs_momentum : bool, default True
        For "sgd": whether the gradient counts from where the velocity leads (Sutskever et al. 2013).
    early_stopping : bool, default False
        Whether to set aside `validation_fraction` of the examples, stop when their score improves no more, and
        return the best weights.
    validation_fraction : float, default 0.1
        For `early_stopping`: the part of the examples that is set aside, between 0 and 1.
    beta_1, beta_2 : float, defaults 0.9, 0.999
        For "adam": the decays of the two moments.
    epsilon : float, default 1e-8
        For "adam": what keeps the division finite.
    n_iter_no_change : int, default 10
        Epochs without progress before training stops.
    max_fun : int, default 15000
        For "lbfgs": evaluations of the cost at most.
    loss : {"log_loss", "focal"}, default "log_loss"
        What is minimised: the log loss; or the focal loss, to which examples that are predicted with certainty count
        less (Lin et al. 2017).  As all that follow, not in scikit-learn.
    gamma : float, default 2
        For "focal": the exponent; 0 is the log loss.
    label_smoothing : float, default 0
        What each label is sure of less than 1, in equal parts to all classes (Szegedy et al. 2016).
    class_weight : dict, "balanced" or None, default None
        What the examples of each class count for, besides `sample_weight`: {class: weight}; "balanced" for
        n_samples / (n_classes * how many the class has); None for 1.
    warmup : float, default 0
        In which part of the steps of max_iter epochs, from the first on, the step size rises in proportion.
    rho : float, default 0.9
        For "rmsprop": the decay of the mean of the squares.
    l1_ratio : float, default 0
        Which part of the penalty is L1: that is alpha / m times (l1_ratio times the sum of the absolute values of the
        weights, plus (1 - l1_ratio) / 2 times that of their squares).  With "adamw", weights become exactly 0.
    clip_norm : float or None, default None
        The norm that the gradient of the mean loss, without the penalty, has at most in a step (Pascanu et al. 2013); a
        step is left out if it is not finite.
    max_norm : float or None, default None
        The norm that the weights which come into a hidden unit have at most after a step (Srivastava et al. 2014).
    dropout, input_dropout : float, default 0
        Which part of the hidden units, and of the inputs, is left out at random in each step (Srivastava et al. 2014).
    average : {"ema", "swa"} or None, default None
        Whether the parameters are an average of those that the steps came to: the exponential moving average, or the
        mean over the last part of the steps (Izmailov et al. 2018).  Validation scores are those of the average.
    average_decay : float, default 0.999
        For "ema": the part of the average that stays in a step; (1 + t) / (10 + t) in step t, while that is less.
    average_start : float, default 0.75
        For "swa": after which part of the steps of max_iter epochs the mean begins.
    init : str or (coefs, intercepts), default "glorot"
        The first weights: "glorot", as in scikit-learn (Glorot & Bengio 2010); "he", for relu and its kin (He et al.
        2015), "lecun", for selu (LeCun et al. 1998) or "orthogonal" (Saxe et al. 2014), with biases of 0; or copies of
        these arrays, such as those of another model.
    output_intercepts : {"random", "mean"}, default "random"
        Whether the first intercepts of the outputs are those of `init`, or predict the mean of the targets.
    scoring : str, callable or None, default None
        What `early_stopping` goes by: accuracy; "loss" for the validation loss, of which the scores are the negatives;
        "calibrated_loss" for the log loss that is left once the outputs are as sure as they should be, for which the
        last weights are divided by a temperature in the end (Guo et al. 2017, Berta et al. 2025); or a scorer of
        scikit-learn.
    best_epoch : {"first", "last"}, default "first"
        For `early_stopping`: of several epochs with the best score, whose weights are kept.
    checkpoint : path or None, default None
        A file for the state of the training, which is written while it goes on and when it ends, and holds data alone
        (it needs safetensors).  A `fit` with the same examples and parameters that finds it there goes on from it, to
        the same bits, on however many threads; one with others refuses it.  So it is for one fit, and not for a search.
    checkpoint_interval : float, default 30
        Seconds from one state to the next.
    max_time : float or None, default None
        Seconds after which training ends, at the end of an epoch (or an iteration), unless an epoch takes longer than
        a tenth of one.
    n_threads : int or None, default None
        How many threads at most; None for the limit of the process (see `fastnn.set_n_threads`).

    Attributes
    ----------
    classes_ : array (n_classes,)
        The labels, sorted.
    coefs_, intercepts_ : list of arrays (n_in, n_out), (n_out,)
        The parameters of each layer, in the dtype of the training data.
    loss_, best_loss_, loss_curve_ : float, float or None, list of float
        Mean loss of the last epoch, of the best, and of all, penalty included (but that of "adamw", which is no part of
        what is minimised).
    validation_scores_, best_validation_score_ : list of float, float; None without `early_stopping`
        Accuracy, or `scoring`, on the validation set after each epoch, and the best.
    best_iteration_ : int
        With `early_stopping`: the epoch whose weights were kept, counted from 1.
    history_ : dict of lists
        What each epoch came to: "loss", "learning_rate" (in its last step) and "seconds" (of epochs that are run
        together, the mean); with validation, "validation_loss" (without the penalty) and "validation_score"; with
        `clip_norm`, "gradient_norm" (the mean over the steps, before they are clipped).
    n_iter_, t_ : int
        Epochs (or iterations) of the last fit, and examples seen in all.
    n_features_in_, n_layers_, n_outputs_ : int
        Columns of X, layers with the input's, and outputs.
    feature_names_in_ : array of str
        The names of the columns, where X is a data frame.
    out_activation_ : {"logistic", "softmax", "identity", "exp"}
        g of the output layer.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.model_selection import train_test_split
    >>> from fastnn import MLPClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> X_train, X_test, y_train, y_test = train_test_split(X / 16, y, random_state=0)
    >>> model = MLPClassifier(random_state=0, max_iter=100).fit(X_train, y_train)
    >>> model.score(X_test, y_test) > 0.95
    True
    """

    _theirs = multilayer_perceptron.MLPClassifier
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **_theirs._parameter_constraints,
        **_OURS,
        "loss": [StrOptions({"log_loss", "focal"})],
        "scoring": [StrOptions({*_LOSSES, *get_scorer_names()}), callable, None],
        "gamma": [Interval(Real, 0, None, closed="left")],
        "label_smoothing": [Interval(Real, 0, 1, closed="left")],
        "class_weight": [dict, list, StrOptions({"balanced"}), None],
    }

    def __init__(
        self,
        hidden_layer_sizes: npt.ArrayLike = (100,),
        activation: str | Activation = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: int | np.random.RandomState | None = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: int | float = 10,
        max_fun: int = 15000,
        loss: str = "log_loss",
        gamma: float = 2.0,
        label_smoothing: float = 0.0,
        class_weight: Any = None,
        warmup: float = 0.0,
        rho: float = 0.9,
        l1_ratio: float = 0.0,
        clip_norm: float | None = None,
        max_norm: float | None = None,
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        average: str | None = None,
        average_decay: float = 0.999,
        average_start: float = 0.75,
        init: Any = "glorot",
        output_intercepts: str = "random",
        scoring: Any = None,
        best_epoch: str = "first",
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_interval: float = 30.0,
        max_time: float | None = None,
        n_threads: int | None = None,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.loss = loss
        self.gamma = gamma
        self.label_smoothing = label_smoothing
        self.class_weight = class_weight
        self.warmup = warmup
        self.rho = rho
        self.l1_ratio = l1_ratio
        self.clip_norm = clip_norm
        self.max_norm = max_norm
        self.dropout = dropout
        self.input_dropout = input_dropout
        self.average = average
        self.average_decay = average_decay
        self.average_start = average_start
        self.init = init
        self.output_intercepts = output_intercepts
        self.scoring = scoring
        self.best_epoch = best_epoch
        self.checkpoint = checkpoint
        self.checkpoint_interval = checkpoint_interval
        self.max_time = max_time
        self.n_threads = n_threads

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: Any,
        y: npt.ArrayLike,
        sample_weight: npt.ArrayLike | None = None,
        *,
        X_val: Any = None,
        y_val: npt.ArrayLike | None = None,
        sample_weight_val: npt.ArrayLike | None = None,
    ) -> Self:
        """Train on X and the labels y.

        Parameters
        ----------
        X : array-like or sparse matrix (n_samples, n_features)
            float32 stays float32; everything else becomes float64.
        y : array-like (n_samples,) or (n_samples, n_labels)
            Classes, or for several labels at once 0 and 1.
        sample_weight : array-like (n_samples,) or None
            What each example counts for; None for 1.
        X_val, y_val, sample_weight_val : array-like
            Examples that are watched: see `history_`.  With `early_stopping`, their score decides, in place of that of
            a part of X.

        Returns
        -------
        self
        """
        return self._fit(X, y, sample_weight, held_out=(X_val, y_val, sample_weight_val))

    @available_if(_MLP._check_solver)
    def partial_fit(
        self, X: Any, y: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None, classes: npt.ArrayLike | None = None
    ) -> Self:
        """Train for one epoch on X and y, going on from where the last call ended; not with "lbfgs".

        Parameters
        ----------
        X, y, sample_weight : array-like
            As in `fit`.
        classes : array-like (n_classes,)
            All the classes that will ever come; needed in the first call.

        Returns
        -------
        self
        """
        return self._fit(X, y, sample_weight, incremental=True, classes=classes)

    def score(self, X: Any, y: Any, sample_weight: npt.ArrayLike | None = None) -> float:
        """The accuracy: which part of the examples is predicted rightly, of several labels with all of them.

        Parameters
        ----------
        X : array-like or sparse matrix (n_samples, n_features)
            Examples, one a row.
        y : array-like (n_samples,) or (n_samples, n_labels)
            Their classes.
        sample_weight : array-like (n_samples,) or None
            What each example counts for; None for 1.

        Returns
        -------
        float
        """
        labels = self.predict(X)
        is_plain = (
            sample_weight is None and type(y) is np.ndarray and y.dtype == labels.dtype and y.dtype.kind in "iubU"
        )
        if is_plain and y.shape == labels.shape == (len(y),):  # as scikit-learn's, which takes longer than to predict
            return float((labels == y).mean())
        return accuracy_score(y, labels, sample_weight=sample_weight)

    def _check_classes(self, y: Any, classes: Any) -> None:
        if _check_partial_fit_first_call(self, classes):
            self._label_binarizer = LabelBinarizer()
            self._label_binarizer.fit(y if type_of_target(y).startswith("multilabel") else classes)

    def _learn_classes(self, y: Any) -> None:
        """As LabelBinarizer().fit(y), which takes longer than many an epoch."""
        self._label_binarizer = LabelBinarizer()
        if y.ndim == 1 and y.dtype.kind in "iubU" and len(y):
            self._label_binarizer.classes_ = np.unique(y)
            self._label_binarizer.y_type_ = "multiclass" if len(self._label_binarizer.classes_) > 2 else "binary"
            self._label_binarizer.sparse_input_ = False
        else:
            self._label_binarizer.fit(y)
        self.classes_ = self._label_binarizer.classes_

    def _places(self, y: npt.NDArray[Any]) -> npt.NDArray[np.int64] | None:
        """The numbers of the classes of y; None where it has others, or labels of another kind."""
        if (
            y.ndim > 1
            or self._label_binarizer.y_type_ not in ("binary", "multiclass")
            or y.dtype != self.classes_.dtype
        ):
            return None
        places = np.searchsorted(self.classes_, y)
        is_known = places.max() < len(self.classes_) and (self.classes_[places] == y).all()
        return places if is_known else None

    def _plain_targets(self, y: npt.NDArray[Any]) -> Any:
        """The numbers of the classes, or whether it is the second of two; None where there are others in y."""
        places = self._places(y)
        return places if places is None or self._out_activation() == "softmax" else places == 1

    def _validate_input(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Any]:
        if type(y) is np.ndarray and y.dtype.kind in "iubU" and self._are_plain(X, y, reset):
            if not incremental and reset:
                self._learn_classes(y)
            Y = self._plain_targets(y)
            if Y is not None and (incremental or not self.warm_start):
                return X, Y
        X, y = validate_data(
            self, X, y, accept_sparse=["csr", "csc"], multi_output=True, dtype=(np.float64, np.float32), reset=reset
        )
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if not hasattr(self, "classes_") or (not self.warm_start and not incremental):
            self._learn_classes(y)
        else:
            classes = unique_labels(y)
            if self.warm_start:
                if set(classes) != set(self.classes_):
                    raise ValueError(
                        "warm_start can only be used where `y` has the same classes as in the previous "
                        f"call to fit. Previously got {self.classes_}, `y` has {classes}"
                    )
            elif len(np.setdiff1d(classes, self.classes_, assume_unique=True)):
                raise ValueError(
                    f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes_}. 'y' has {classes}."
                )
        if self._out_activation() == "softmax" and (y.ndim > 1 or issparse(y)):
            raise ValueError("The object was not fitted with multilabel input.")
        if self._out_activation() == "softmax":  # numbers of classes: the rows of zeros and a one would be large
            return X, np.searchsorted(self.classes_, y)
        places = self._places(y)
        return X, self._label_binarizer.transform(y).astype(bool) if places is None else places == 1

    def _n_outputs(self, Y: Array) -> int:
        return len(self.classes_) if self._out_activation() == "softmax" else super()._n_outputs(Y)

    def _numbers_of(self, y: Any) -> Array:
        y = check_array(y, ensure_2d=False, dtype=None, input_name="y_val")
        if y.ndim == 2 and y.shape[1] == 1:
            y = y.ravel()
        if self._label_binarizer.y_type_.startswith("multilabel"):
            return np.asarray(self._label_binarizer.transform(y), bool)
        unknown = np.setdiff1d(y, self.classes_)
        if len(unknown):
            raise ValueError(f"y_val has classes that y has not: {unknown}")
        places = np.searchsorted(self.classes_, y)[:, np.newaxis]
        return places if self._out_activation() == "softmax" else places == 1

    def _loss_law(self) -> str | Loss:
        if self.loss == "log_loss":
            return self.loss
        return replace(LOSSES[self.loss, self._out_activation()], constants=(float(self.gamma),))

    def _trained_on(self, Y: Array) -> Array:
        if not self.label_smoothing and self.loss == "log_loss":
            return Y
        if self._out_activation() == "softmax":
            n_classes = len(self.classes_)
            return (1 - self.label_smoothing) * np.eye(n_classes)[Y[:, 0]] + self.label_smoothing / n_classes
        return (1 - self.label_smoothing) * Y + self.label_smoothing / 2

    def _to_score(self, Y: Array) -> Array:
        is_one = len(self.classes_) == 1 and not self._label_binarizer.y_type_.startswith("multilabel")
        return np.full(Y.shape, np.nan) if is_one else Y  # of one class, all are right

    def _weighted(self, Y: Array, sample_weight: Any, incremental: bool) -> Any:
        if self.class_weight is None:
            return sample_weight
        if incremental and self.class_weight == "balanced":
            raise ValueError(
                "class_weight='balanced' needs all the data at once, which partial_fit does not have: give the weights"
            )
        if self._label_binarizer.y_type_.startswith("multilabel"):
            labels: Any = np.asarray(Y, int)
        else:
            labels = self.classes_[Y[:, 0].astype(np.intp)]
        if isinstance(self.class_weight, dict):
            unknown = [label for label in self.class_weight if label not in self.classes_]
            if unknown:
                raise ValueError(f"class_weight names {unknown}, but the classes are {self.classes_}")
        weights = compute_sample_weight(self.class_weight, labels)
        if not (np.isfinite(weights).all() and (weights >= 0).all()):
            raise ValueError(f"class_weight must hold numbers that are not negative, got {self.class_weight}")
        return weights if sample_weight is None else weights * sample_weight

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class MLPRegressor(RegressorMixin, inference.MLPRegressor, _MLP):
    """Multilayer perceptron for regression: scikit-learn's, many times as fast.

    It minimises half the squared error, or another loss, for one target or several.

    Parameters
    ----------
    loss : str or Loss, default "squared_error"
        What is minimised: "squared_error"; "absolute_error", "huber" (see `delta`) or "log_cosh", to which outliers
        count less; "quantile" (see `quantile`); "poisson", for counts and rates, or "gamma", for positive targets: half
        the deviance, with outputs e^z.  Of your own, by `fastnn.loss`.
    hidden_layer_sizes : sequence of int, default (100,)
        The widths of the hidden layers; () for none, which is linear regression.
    activation : str or Activation, or a sequence of these, default "relu"
        g of the hidden layers, or of each of them: "identity", "logistic", "tanh", "relu", "leaky_relu", "elu", "selu",
        "softplus", "silu", "mish", "gelu" or "gelu_tanh"; of your own, by `fastnn.activation`.
    solver : {"adam", "adamw", "nadam", "rmsprop", "sgd", "lbfgs"}, default "adam"
        Adam (Kingma & Ba 2015), AdamW (Loshchilov & Hutter 2019), whose weights lose the part alpha * learning_rate of
        themselves in each step, NAdam (Dozat 2016), RMSprop (Tieleman & Hinton 2012), stochastic gradient descent with
        momentum, or SciPy's L-BFGS-B on all examples at once.
    alpha : float, default 0.0001
        Strength of the L2 penalty, alpha / (2 m) times the sum of the squares of the weights, over batches of m.
    batch_size : int or "auto", default "auto"
        Examples in a batch; "auto" is min(200, n_samples).
    learning_rate : str or callable, default "constant"
        What becomes of the step size.  For "sgd", as in scikit-learn: with "invscaling", it is learning_rate_init /
        (`t_` + 1)^power_t at the end of an epoch; with "adaptive", it is divided by 5 where training would stop, until
        it is below 1e-6.  For all, "plateau" is what "adaptive" is for "sgd"; and by the progress over the steps of
        max_iter epochs: "cosine", "one_cycle", "step", "coslog4" (see ``fastnn.training.schedules``), or a function of
        that: a number between 0 and 1, for which it gives a factor.
    learning_rate_init : float, default 0.001
        The (first) step size.
    power_t : float, default 0.5
        Exponent of "invscaling".
    max_iter : int, default 200
        Epochs at most; for "lbfgs", iterations.
    shuffle : bool, default True
        Whether every epoch takes the examples in a new order.
    random_state : int, RandomState or None, default None
        For the initial weights, the order of the examples and the validation set.
    tol : float, default 1e-4
        What an epoch must improve the loss (or validation score) by, to count as progress.
    verbose : bool or "bar", default False
        Whether to print the loss of every epoch, or to draw a progress bar, which needs rich.
    warm_start : bool, default False
        Whether `fit` goes on from the last solution.
    momentum : float, default 0.9
        For "sgd": the decay of the velocity, between 0 and 1.
    nesterovs_momentum : bool, default True
        For "sgd": whether the gradient counts from where the velocity leads (Sutskever et al. 2013).
    early_stopping : bool, default False
        Whether to set aside `validation_fraction` of the examples, stop when their score improves no more, and
        return the best weights.
    validation_fraction : float, default 0.1
        For `early_stopping`: the part of the examples that is set aside, between 0 and 1.
    beta_1, beta_2 : float, defaults 0.9, 0.999
        For "adam": the decays of the two moments.
    epsilon : float, default 1e-8
        For "adam": what keeps the division finite.
    n_iter_no_change : int, default 10
        Epochs without progress before training stops.
    max_fun : int, default 15000
        For "lbfgs": evaluations of the cost at most.
    delta : float, default 1.0
        For "huber": the error from which on it counts in proportion, in units of y; so scale y, or choose it by y's
        spread.  As all that follow, not in scikit-learn.
    quantile : float or sequence of float, default 0.5
        For "quantile": which; of several, in rising order, `predict` has a column for each, and they do not cross.
    warmup : float, default 0
        In which part of the steps of max_iter epochs, from the first on, the step size rises in proportion.
    rho : float, default 0.9
        For "rmsprop": the decay of the mean of the squares.
    l1_ratio : float, default 0
        Which part of the penalty is L1: that is alpha / m times (l1_ratio times the sum of the absolute values of the
        weights, plus (1 - l1_ratio) / 2 times that of their squares).  With "adamw", weights become exactly 0.
    clip_norm : float or None, default None
        The norm that the gradient of the mean loss, without the penalty, has at most in a step (Pascanu et al. 2013); a
        step is left out if it is not finite.
    max_norm : float or None, default None
        The norm that the weights which come into a hidden unit have at most after a step (Srivastava et al. 2014).
    dropout, input_dropout : float, default 0
        Which part of the hidden units, and of the inputs, is left out at random in each step (Srivastava et al. 2014).
    average : {"ema", "swa"} or None, default None
        Whether the parameters are an average of those that the steps came to: the exponential moving average, or the
        mean over the last part of the steps (Izmailov et al. 2018).  Validation scores are those of the average.
    average_decay : float, default 0.999
        For "ema": the part of the average that stays in a step; (1 + t) / (10 + t) in step t, while that is less.
    average_start : float, default 0.75
        For "swa": after which part of the steps of max_iter epochs the mean begins.
    init : str or (coefs, intercepts), default "glorot"
        The first weights: "glorot", as in scikit-learn (Glorot & Bengio 2010); "he", for relu and its kin (He et al.
        2015), "lecun", for selu (LeCun et al. 1998) or "orthogonal" (Saxe et al. 2014), with biases of 0; or copies of
        these arrays, such as those of another model.
    output_intercepts : {"random", "mean"}, default "random"
        Whether the first intercepts of the outputs are those of `init`, or predict the mean of the targets.
    scoring : str, callable or None, default None
        What `early_stopping` goes by: R^2; "loss" for the validation loss, of which the scores are the negatives; or a
        scorer of scikit-learn.
    best_epoch : {"first", "last"}, default "first"
        For `early_stopping`: of several epochs with the best score, whose weights are kept.
    checkpoint : path or None, default None
        A file for the state of the training, which is written while it goes on and when it ends, and holds data alone
        (it needs safetensors).  A `fit` with the same examples and parameters that finds it there goes on from it, to
        the same bits, on however many threads; one with others refuses it.  So it is for one fit, and not for a search.
    checkpoint_interval : float, default 30
        Seconds from one state to the next.
    max_time : float or None, default None
        Seconds after which training ends, at the end of an epoch (or an iteration), unless an epoch takes longer than
        a tenth of one.
    n_threads : int or None, default None
        How many threads at most; None for the limit of the process (see `fastnn.set_n_threads`).

    Attributes
    ----------
    coefs_, intercepts_ : list of arrays (n_in, n_out), (n_out,)
        The parameters of each layer, in the dtype of the training data.
    loss_, best_loss_, loss_curve_ : float, float or None, list of float
        Mean loss of the last epoch, of the best, and of all, penalty included (but that of "adamw", which is no part of
        what is minimised).
    validation_scores_, best_validation_score_ : list of float, float; None without `early_stopping`
        R^2, or `scoring`, on the validation set after each epoch, and the best.
    best_iteration_ : int
        With `early_stopping`: the epoch whose weights were kept, counted from 1.
    history_ : dict of lists
        What each epoch came to: "loss", "learning_rate" (in its last step) and "seconds" (of epochs that are run
        together, the mean); with validation, "validation_loss" (without the penalty) and "validation_score"; with
        `clip_norm`, "gradient_norm" (the mean over the steps, before they are clipped).
    n_iter_, t_ : int
        Epochs (or iterations) of the last fit, and examples seen in all.
    n_features_in_, n_layers_, n_outputs_ : int
        Columns of X, layers with the input's, and outputs.
    feature_names_in_ : array of str
        The names of the columns, where X is a data frame.
    out_activation_ : {"logistic", "softmax", "identity", "exp"}
        g of the output layer.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from fastnn import MLPRegressor
    >>> X, y = make_regression(200, 5, random_state=0)
    >>> model = MLPRegressor(hidden_layer_sizes=(50,), max_iter=500, learning_rate_init=0.01, random_state=0)
    >>> model.fit(X, y).score(X, y) > 0.99
    True
    """

    _theirs = multilayer_perceptron.MLPRegressor
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **_theirs._parameter_constraints,
        **_OURS,
        "loss": [StrOptions(_REGRESSION_LOSSES), Loss],
        "delta": [Interval(Real, 0, None, closed="neither")],
        "quantile": [Interval(Real, 0, 1, closed="neither"), tuple, list],
    }

    def __init__(
        self,
        loss: str | Loss = "squared_error",
        hidden_layer_sizes: npt.ArrayLike = (100,),
        activation: str | Activation = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: int | np.random.RandomState | None = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: int | float = 10,
        max_fun: int = 15000,
        delta: float = 1.0,
        quantile: float | Sequence[float] = 0.5,
        warmup: float = 0.0,
        rho: float = 0.9,
        l1_ratio: float = 0.0,
        clip_norm: float | None = None,
        max_norm: float | None = None,
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        average: str | None = None,
        average_decay: float = 0.999,
        average_start: float = 0.75,
        init: Any = "glorot",
        output_intercepts: str = "random",
        scoring: Any = None,
        best_epoch: str = "first",
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_interval: float = 30.0,
        max_time: float | None = None,
        n_threads: int | None = None,
    ) -> None:
        self.loss = loss
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.delta = delta
        self.quantile = quantile
        self.warmup = warmup
        self.rho = rho
        self.l1_ratio = l1_ratio
        self.clip_norm = clip_norm
        self.max_norm = max_norm
        self.dropout = dropout
        self.input_dropout = input_dropout
        self.average = average
        self.average_decay = average_decay
        self.average_start = average_start
        self.init = init
        self.output_intercepts = output_intercepts
        self.scoring = scoring
        self.best_epoch = best_epoch
        self.checkpoint = checkpoint
        self.checkpoint_interval = checkpoint_interval
        self.max_time = max_time
        self.n_threads = n_threads

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: Any,
        y: npt.ArrayLike,
        sample_weight: npt.ArrayLike | None = None,
        *,
        X_val: Any = None,
        y_val: npt.ArrayLike | None = None,
        sample_weight_val: npt.ArrayLike | None = None,
    ) -> Self:
        """Train on X and the targets y.

        Parameters
        ----------
        X : array-like or sparse matrix (n_samples, n_features)
            float32 stays float32; everything else becomes float64.
        y : array-like (n_samples,) or (n_samples, n_outputs)
            Numbers.
        sample_weight : array-like (n_samples,) or None
            What each example counts for; None for 1.
        X_val, y_val, sample_weight_val : array-like
            Examples that are watched: see `history_`.  With `early_stopping`, their score decides, in place of that of
            a part of X.

        Returns
        -------
        self
        """
        return self._fit(X, y, sample_weight, held_out=(X_val, y_val, sample_weight_val))

    @available_if(_MLP._check_solver)
    def partial_fit(self, X: Any, y: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None) -> Self:
        """Train for one epoch on X and y, going on from where the last call ended; not with "lbfgs".

        Parameters
        ----------
        X, y, sample_weight : array-like
            As in `fit`.

        Returns
        -------
        self
        """
        return self._fit(X, y, sample_weight, incremental=True)

    def _plain_targets(self, y: npt.NDArray[Any]) -> Any:
        """y, if that is right at first sight; or None."""
        is_right = y.dtype.kind in "fiub" and np.isfinite(y).all() and self.loss not in ("poisson", "gamma")
        return y if is_right else None

    def _validate_input(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Any]:
        if not (type(y) is np.ndarray and y.dtype.kind in "fiub" and self._are_plain(X, y, reset)):
            X, y = validate_data(
                self,
                X,
                y,
                accept_sparse=["csr", "csc"],
                multi_output=True,
                y_numeric=True,
                dtype=(np.float64, np.float32),
                reset=reset,
            )
        if issparse(y):
            raise ValueError(f"y is a {type(y).__name__}, but MLPRegressor expects an array: y.toarray() is one")
        if y.dtype.kind not in "fiub":
            raise ValueError(f"y holds {y.dtype} such as {y.flat[0]!r}, but MLPRegressor expects numbers")
        self._check_range(y, "y")
        if not np.isfinite(y.astype(X.dtype, copy=False)).all():
            raise ValueError(_NOT_FINITE)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if self._quantiles() and y.ndim > 1:
            raise ValueError(f"several quantiles are of one target, but y has shape {y.shape}")
        return X, y

    def _check_range(self, y: npt.NDArray[Any], name: str) -> None:
        """Raise a ValueError where the loss has no such targets."""
        for loss, theirs, wanted, is_wrong in (
            ("poisson", "HalfPoissonLoss", "non-negative", y.min() < 0),
            ("gamma", "HalfGammaLoss", "positive", y.min() <= 0),
        ):
            if self.loss == loss and is_wrong:
                raise ValueError(
                    f"Some value(s) of {name} are out of the valid range of the loss {theirs!r}: "
                    f"loss={loss!r} requires {wanted} {name}, got {y.min():g}."
                )

    def _n_outputs(self, Y: Array) -> int:
        return len(self._quantiles()) or super()._n_outputs(Y)

    def _loss_law(self) -> str | Loss:
        constants: dict[str, tuple[Any, ...]] = {
            "huber": (self.delta,),
            "quantile": tuple(self._quantiles()) or (self.quantile,),
        }
        if not isinstance(self.loss, str) or self.loss not in constants:
            return self.loss
        first, *others = map(float, constants[self.loss])
        return replace(LOSSES[self.loss, "identity"], constants=(first,), constants_of_others=tuple(others))

    def _trained_on(self, Y: Array) -> Array:
        n_quantiles = len(self._quantiles())
        return np.repeat(Y, n_quantiles, axis=1) if n_quantiles else Y

    def _numbers_of(self, y: Any) -> Array:
        y = check_array(y, ensure_2d=False, dtype="numeric", input_name="y_val")
        self._check_range(y, "y_val")
        Y = self._trained_on(y.reshape(len(y), -1))
        if Y.shape[1] != self.n_outputs_:
            raise ValueError(f"y_val has {Y.shape[1]} targets, but y {self.n_outputs_}")
        return Y

    def _validate_params(self) -> None:
        try:
            super()._validate_params()
        except InvalidParameterError as error:
            if isinstance(self.loss, (str, Loss)):
                raise
            raise InvalidParameterError(
                f"{error} Since scikit-learn 1.7, the first position is `loss`: write "
                f"MLPRegressor(hidden_layer_sizes={self.loss!r})."
            ) from None
