"""What a fitted model computes, from the columns of a table or a matrix to what `predict` returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastnn.kernels.laws.activations import Activation
from fastnn.network import Array, law_of, layer_sizes_of_coefs

if TYPE_CHECKING:
    from fastnn.tables.columns import Column


@dataclass(frozen=True)
class Scaling:
    """Each column of a matrix moved and scaled: z = (x - shift) / divisor + offset, kept between low and high.

    Parameters
    ----------
    shift, divisor, offset, low, high : array (n_features,)
        float64; low and high are infinite where nothing is cut off.
    """

    shift: Array
    divisor: Array
    offset: Array
    low: Array
    high: Array


@dataclass(frozen=True)
class Description:
    """What a model computes.

    First the matrix: of a `TableEncoder`, from its `columns` of the table, or what comes in.  Then the `scalings`, one
    after another; the layers; the output activation; and what `predict` makes of it.

    Parameters
    ----------
    n_features_in : int
        Columns of what comes in.
    names : list of str
        Their names: of the data frame that it was fitted to, or x0, x1 ...
    columns : list of (int, Number or Category), or None
        Which columns of a table are read, and how each becomes columns of the matrix, in this order; None for a matrix.
    scalings : list of Scaling
    coefs, intercepts : list of arrays (n_in, n_out), (n_out,)
    activations : list of Activation
        Of the hidden layers.
    out_activation : {"logistic", "softmax", "identity", "exp"}
    task : {"classes", "labels", "numbers"}
        What is predicted: one of the classes, for each label whether the example has it, or numbers.
    classes : array or None
        The labels.  Of a logistic output, its number is the probability of the second class; there may be one class
        only, which is always predicted.
    is_sorted : bool
        Whether the outputs of an example are sorted: several quantiles do not cross.
    is_flat : bool
        Whether there is one number for each example, and `predict` has shape (n_samples,).
    """

    n_features_in: int
    names: list[str]
    columns: list[tuple[int, Column]] | None
    scalings: list[Scaling]
    coefs: list[Array]
    intercepts: list[Array]
    activations: list[Activation]
    out_activation: str
    task: str
    classes: npt.NDArray[Any] | None
    is_sorted: bool
    is_flat: bool

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the parameters."""
        return np.result_type(*self.coefs)


def describe(model: Any) -> Description:
    """What a fitted model computes.

    Parameters
    ----------
    model : MLPClassifier, MLPRegressor or Pipeline
        An estimator of fastnn or of scikit-learn; or a Pipeline that ends with one, after a `TableEncoder`, a
        StandardScaler, MinMaxScaler, MaxAbsScaler or RobustScaler, or several of these.

    Returns
    -------
    Description

    Raises
    ------
    TypeError
        Where it is anything else.
    ValueError
        Where its parameters do not fit one another, or what comes in.
    sklearn.exceptions.NotFittedError
        Where it is not fitted.
    """
    from sklearn.pipeline import Pipeline
    from sklearn.utils.validation import check_is_fitted

    from fastnn.tables.encoder import TableEncoder

    steps = [model]
    if isinstance(model, Pipeline):  # without those that are "passthrough"
        steps = [step for _, step in model.steps if step is not None and not isinstance(step, str)]
    *before, network = steps or [None]
    network = _network(network)
    for step in (*before, network):
        check_is_fitted(step)
    columns, scalings, first = None, [], (before or [network])[0]
    if before and isinstance(before[0], TableEncoder):
        encoder = before.pop(0)
        at = {name: j for j, name in enumerate(encoder._names)}
        columns = [(at[column.name], column) for column in encoder.columns_]
    for step in before:
        scalings.append(_scaling(step))
    names = getattr(first, "feature_names_in_", None)
    sizes = layer_sizes_of_coefs(network.coefs_, network.intercepts_)
    n_columns = sum(len(column.outputs) for _, column in columns) if columns else int(first.n_features_in_)
    if (sizes[0], sizes[-1]) != (n_columns, network.n_outputs_):
        raise ValueError(
            f"coefs_ are those of {sizes[0]} features and {sizes[-1]} outputs, but {n_columns} and "
            f"{network.n_outputs_} are what the model has"
        )
    n_hidden = len(network.coefs_) - 1
    task, classes = "numbers", None
    if hasattr(network, "classes_"):
        classes = network.classes_
        task = "labels" if network._label_binarizer.y_type_.startswith("multilabel") else "classes"
    n_outputs, is_sorted = network.intercepts_[-1].size, bool(getattr(network, "_quantiles", list)())
    return Description(
        n_features_in=int(first.n_features_in_),
        names=[f"x{j}" for j in range(first.n_features_in_)] if names is None else list(map(str, names)),
        columns=columns,
        scalings=scalings,
        coefs=[np.asarray(coef) for coef in network.coefs_],
        intercepts=[np.asarray(intercept) for intercept in network.intercepts_],
        activations=[law_of(network.activation, l) for l in range(1, n_hidden + 1)],
        out_activation=network.out_activation_,
        task=task,
        classes=classes,
        is_sorted=is_sorted,
        is_flat=task == "classes" or (task == "numbers" and n_outputs == 1 and not is_sorted),
    )


def _network(model: Any) -> Any:
    """The last step, if it is one of these: what is not theirs is not known."""
    kinds = {
        kind.__name__ for kind in type(model).__mro__ if kind.__module__.partition(".")[0] in ("fastnn", "sklearn")
    }
    if not kinds & {"MLPClassifier", "MLPRegressor"}:
        raise TypeError(
            f"model is a {type(model).__name__}, but an MLPClassifier, an MLPRegressor or a Pipeline that ends with "
            "one is wanted"
        )
    return model


def _scaling(step: Any) -> Scaling:
    """A step of a Pipeline that scales each column."""
    from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler

    n, nothing = getattr(step, "n_features_in_", 0), None
    zeros, ones = np.zeros(n), np.ones(n)
    low, high = np.full(n, -np.inf), np.full(n, np.inf)

    def filled(values: Any, default: Array) -> Array:
        return default if values is nothing else np.asarray(values, np.float64)

    if type(step) is StandardScaler:
        mean = step.mean_ if step.with_mean else None
        return Scaling(filled(mean, zeros), filled(step.scale_, ones), zeros, low, high)
    if type(step) is RobustScaler:
        return Scaling(filled(step.center_, zeros), filled(step.scale_, ones), zeros, low, high)
    if type(step) is MaxAbsScaler:
        if getattr(step, "clip", False):
            low, high = -ones, ones
        return Scaling(zeros, filled(step.scale_, ones), zeros, low, high)
    if type(step) is MinMaxScaler:
        first, last = step.feature_range
        if step.clip:
            low, high = np.full(n, float(first)), np.full(n, float(last))
        # scikit-learn's x scale_ + min_, which is first where x is the least.
        return Scaling(filled(step.data_min_, zeros), 1 / np.asarray(step.scale_), np.full(n, float(first)), low, high)
    raise TypeError(
        f"a step of the Pipeline is a {type(step).__name__}, but a TableEncoder (first), StandardScaler, MinMaxScaler, "
        "MaxAbsScaler or RobustScaler is wanted"
    )
