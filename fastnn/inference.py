"""What trained models say of examples, without scikit-learn, which takes a second to import.

Each class here is the estimator of its name as far as it predicts.  The estimator derives from it, adds training, and
looks at what comes in; alone, it is what `fastnn predict` reads of a model file, and takes arrays of finite numbers.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from fastnn.kernels.laws.activations import Activation
from fastnn.kernels.laws.losses import LOSSES, Loss
from fastnn.network import Array, Network, hashable, layer_sizes_of_coefs

#: One object for each kind of network: what it computes of itself is kept, because one row is soon predicted.
network_of = lru_cache(maxsize=32)(Network)
#: Rows that are predicted at a time.
ROWS_AT_ONCE = 8192


class LabelBinarizer:
    """Of scikit-learn's, what a prediction asks.

    Attributes
    ----------
    y_type_ : {"binary", "multiclass", "multilabel-indicator"}
    sparse_input_ : bool
        Whether what is predicted of several labels is a sparse matrix.
    """

    y_type_: str
    sparse_input_ = False

    def fit(self, y: npt.NDArray[Any]) -> Self:
        """Learn from the classes, or of several labels from a matrix."""
        self.y_type_ = "multilabel-indicator" if y.ndim == 2 else "multiclass" if len(y) > 2 else "binary"
        return self


class _Network:
    """What the classifier and the regressor share."""

    coefs_: list[Array]
    intercepts_: list[Array]
    activation: str | Activation | Sequence[str | Activation]
    out_activation_: str
    n_outputs_: int
    n_threads: int | None

    def __init__(self, *, activation: Any = "relu", n_threads: int | None = None, **of_training: Any) -> None:
        if n_threads is not None and (not isinstance(n_threads, int) or n_threads < 1):
            raise ValueError(f"n_threads must be a positive integer or None, got {n_threads!r}")
        self.activation = activation
        self.n_threads = n_threads

    def _validated(self, X: Any) -> Any:
        """What the network takes: who may be given anything else, looks at it here."""
        return X

    def _outputs(self, X: Any) -> Array:
        """A_L^T (n_samples, n_outputs), in the wider dtype of X and the parameters."""
        kept = self.__dict__.setdefault("_kept", {})
        coefs, intercepts, predictor = self.coefs_, self.intercepts_, kept.get("predictor")
        if predictor is None or not predictor.is_of(coefs, intercepts, hashable(self.activation), self.out_activation_):
            from fastnn import training

            sizes = layer_sizes_of_coefs(coefs, intercepts)
            network = network_of(sizes, hashable(self.activation), self.out_activation_)
            kept["predictor"] = predictor = training.Predictor(network, coefs, intercepts, type(self).__name__)
        outputs: Array = predictor(X, self.n_threads)
        if outputs.shape[1] != self.n_outputs_:
            raise ValueError(f"n_outputs_ is {self.n_outputs_}, but the last of coefs_ has {outputs.shape[1]} columns")
        return outputs


class MLPClassifier(_Network):
    """A network of classes, or of several labels at once."""

    classes_: npt.NDArray[Any]
    _label_binarizer: Any

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """The class of each example.

        Parameters
        ----------
        X : array-like or sparse matrix (n_samples, n_features)
            Examples, one a row.

        Returns
        -------
        array (n_samples,) or (n_samples, n_labels)
        """
        return self._labels(self._outputs(self._validated(X)))

    def predict_proba(self, X: Any) -> Array:
        """The probability of each class, in the order of `classes_`.

        Parameters
        ----------
        X : array-like or sparse matrix (n_samples, n_features)
            Examples, one a row.

        Returns
        -------
        array (n_samples, n_classes)
        """
        outputs = self._outputs(self._validated(X))
        return np.hstack([1 - outputs, outputs]) if self.n_outputs_ == 1 else outputs

    def predict_log_proba(self, X: Any) -> Array:
        """The logarithm of `predict_proba`.

        Parameters
        ----------
        X : array-like or sparse matrix (n_samples, n_features)
            Examples, one a row.

        Returns
        -------
        array (n_samples, n_classes)
        """
        return np.log(self.predict_proba(X))

    def _out_activation(self) -> str:
        return "softmax" if self._label_binarizer.y_type_ == "multiclass" else "logistic"

    def _labels(self, outputs: Array) -> npt.NDArray[Any]:
        """What scikit-learn's binarizer would say, sooner."""
        kind = self._label_binarizer.y_type_
        if kind == "multiclass":
            return self.classes_.take(outputs.argmax(axis=1))
        if kind == "binary":
            is_second = outputs.ravel() > 0.5
            return self.classes_[is_second.astype(np.intp) if len(self.classes_) == 2 else np.zeros(len(outputs), int)]
        if self._label_binarizer.sparse_input_:
            return self._label_binarizer.inverse_transform(outputs)
        return (outputs > 0.5).astype(int)


class MLPRegressor(_Network):
    """A network of numbers."""

    loss: str | Loss
    quantile: float | Sequence[float]

    def __init__(self, *, loss: str = "squared_error", quantile: Any = 0.5, **others: Any) -> None:
        super().__init__(**others)
        self.loss = loss
        self.quantile = quantile

    def predict(self, X: Any) -> Array:
        """The prediction for each example.

        Parameters
        ----------
        X : array-like or sparse matrix (n_samples, n_features)
            Examples, one a row.

        Returns
        -------
        array (n_samples,) or (n_samples, n_outputs)
        """
        return self._targets(self._outputs(self._validated(X)))

    def _quantiles(self) -> list[float]:
        """Those that are wanted together; none, if it is one or none."""
        if self.loss != "quantile" or not isinstance(self.quantile, tuple | list):
            return []
        quantiles = list(self.quantile)
        if (
            not quantiles
            or not all(isinstance(q, int | float | np.floating) and 0 < q < 1 for q in quantiles)
            or any(a >= b for a, b in pairwise(quantiles))
        ):
            raise ValueError(f"quantile must be between 0 and 1, and several in rising order, got {self.quantile!r}")
        return quantiles

    def _out_activation(self) -> str:
        return (
            self.loss.out_activation
            if isinstance(self.loss, Loss)
            else next(out_activation for name, out_activation in LOSSES if name == self.loss)
        )

    def _targets(self, outputs: Array) -> Array:
        if self._quantiles():
            outputs.sort(axis=1)  # so that they do not cross (Chernozhukov et al. 2010)
            return outputs
        return outputs.ravel() if self.n_outputs_ == 1 else outputs


class PiecewiseLinearEncoder:
    """The embedding of a matrix."""

    center_: Array
    scale_: Array
    edges_: list[Array]
    n_features_in_: int

    def __init__(self, n_bins: int = 48) -> None:
        self.n_bins = n_bins

    def transform(self, X: Array) -> npt.NDArray[np.float32]:
        """The columns, scaled and clipped, then their pieces."""
        X = np.asarray(X, np.float64)
        at = X.shape[1]
        out = np.empty((len(X), at + sum(len(edges) - 1 for edges in self.edges_ if len(edges))), np.float32)
        out[:, :at] = self._scaled(X)
        for j, edges in enumerate(self.edges_):
            if len(edges):
                pieces = (X[:, j, np.newaxis] - edges[:-1]) / np.diff(edges)
                out[:, at : at + len(edges) - 1] = np.clip(pieces, 0, 1) - 0.5
                at += len(edges) - 1
        return out

    def _scaled(self, X: Array) -> Array:
        with np.errstate(over="ignore"):  # what is beyond all bounds is cut off
            z = np.clip((X - self.center_) * self.scale_, -1e30, 1e30)
        return np.asarray(z / np.sqrt(1 + (z / 3) ** 2))


class _Tabular:
    """What the classifier and the regressor of tables share."""

    encoder_: Any  # None where X is the matrix that it would make of a table
    embedding_: PiecewiseLinearEncoder
    estimators_: list[Any]

    def __init__(self, **of_training: Any) -> None:
        pass

    def _mean_of_members(self, method: str, X: Any) -> Array:
        """The mean of what this method of theirs predicts; some rows at a time, because the pieces are many columns."""
        if not hasattr(self, "estimators_"):
            from sklearn.utils.validation import check_is_fitted

            check_is_fitted(self)
        matrix, means = np.asarray(X if self.encoder_ is None else self.encoder_.transform(X)), []
        for first in range(0, len(matrix), ROWS_AT_ONCE):
            block = np.asarray(self.embedding_.transform(matrix[first : first + ROWS_AT_ONCE]))
            outputs = [getattr(network, method)(block) for network in self.estimators_]
            means.append(np.mean(outputs, axis=0, dtype=np.float64))
        return np.concatenate(means)


class TabularClassifier(_Tabular):
    """Classes of the rows of a table."""

    classes_: npt.NDArray[Any]

    def predict_proba(self, X: Any) -> Array:
        """The probability of each class, in the order of `classes_`: the mean of the members'.

        Parameters
        ----------
        X : data frame or array-like (n_samples, n_columns)
            A table with the columns that `fit` saw.

        Returns
        -------
        array (n_samples, n_classes)
        """
        return self._mean_of_members("predict_proba", X)

    def predict_log_proba(self, X: Any) -> Array:
        """The logarithm of `predict_proba`.

        Parameters
        ----------
        X : data frame or array-like (n_samples, n_columns)
            A table with the columns that `fit` saw.

        Returns
        -------
        array (n_samples, n_classes)
        """
        return np.log(self.predict_proba(X))

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """The class of each row.

        Parameters
        ----------
        X : data frame or array-like (n_samples, n_columns)
            A table with the columns that `fit` saw.

        Returns
        -------
        array (n_samples,)
        """
        places = self.predict_proba(X).argmax(axis=1)
        return self.classes_[np.minimum(places, len(self.classes_) - 1)]  # of one class there are two probabilities


class Units(NamedTuple):
    """What targets are before they are standardised."""

    least: Array
    most: Array
    mean: Array
    scale: Array

    @classmethod
    def of(cls, y: Array, weights: Array | None) -> Self:
        """Learn from the rows that count."""
        rows = y if weights is None else y[weights > 0]
        least, most = rows.min(axis=0), rows.max(axis=0)
        unit = np.maximum(abs(least), abs(most))
        unit = np.where(unit > 0, unit, 1.0)  # the squares of large numbers, and of small ones, are none
        mean = np.average(y / unit, axis=0, weights=weights)
        std = np.sqrt(np.average((y / unit - mean) ** 2, axis=0, weights=weights))
        return cls(least, most, mean * unit, np.where(std > 0, std * unit, 1.0))

    def standardised(self, y: Array) -> Array:
        """Targets as the networks learn them, in float32."""
        with np.errstate(over="ignore"):
            # Halves: the difference of two large numbers is no overflow, and all others give the same bits.
            z = (y / 2 - self.mean / 2) / (self.scale / 2)
        return np.asarray(z).astype(np.float32)

    def restored(self, outputs: Array) -> Array:
        """Predictions, between the least and the largest target."""
        with np.errstate(over="ignore"):
            return np.asarray(np.clip(outputs * self.scale + self.mean, self.least, self.most))


class TabularRegressor(_Tabular):
    """Numbers for the rows of a table."""

    y_min_: Array
    y_max_: Array
    y_mean_: Array
    y_scale_: Array

    def predict(self, X: Any) -> Array:
        """The prediction for each row: the mean of the members'.

        Parameters
        ----------
        X : data frame or array-like (n_samples, n_columns)
            A table with the columns that `fit` saw.

        Returns
        -------
        array (n_samples,) or (n_samples, n_targets)
        """
        mean = self._mean_of_members("predict", X)
        return Units(self.y_min_, self.y_max_, self.y_mean_, self.y_scale_).restored(mean)


class Pipeline:
    """An encoder of tables and what takes the matrix that it makes, by the names of these steps."""

    def __init__(self, steps: list[tuple[str, Any]]) -> None:
        self.steps = steps


def sizes_of_members(members: Sequence[Any], n_columns: int, edges: Sequence[Array] | None = None) -> tuple[int, ...]:
    """The layer sizes of all members; a ValueError where they do not fit one another, or what comes in.

    Parameters
    ----------
    members : sequence of MLPClassifier or MLPRegressor
    n_columns : int
        Of the matrix that comes in.
    edges : sequence of arrays, or None
        Of each column, where the pieces between them come in besides.
    """
    if edges is not None:
        if len(edges) != n_columns:
            raise ValueError(f"embedding_ has {len(edges)} columns, but {n_columns} are what the encoder makes")
        n_columns += sum(max(len(each) - 1, 0) for each in edges)
    sizes = layer_sizes_of_coefs(members[0].coefs_, members[0].intercepts_)
    for member in members:
        its = layer_sizes_of_coefs(member.coefs_, member.intercepts_)
        if (its[0], its[-1]) != (n_columns, member.n_outputs_):
            raise ValueError(
                f"coefs_ are those of {its[0]} features and {its[-1]} outputs, but {n_columns} and "
                f"{member.n_outputs_} are what the model has"
            )
        if its != sizes:
            raise ValueError(f"the members have the sizes {sizes} and {its}, but the same are wanted")
    return sizes
