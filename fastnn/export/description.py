"""What a fitted model computes, from the columns of a table or a matrix to what `predict` returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn.inference import sizes_of_members
from fastnn.kernels.laws.activations import Activation
from fastnn.network import Array, law_of
from fastnn.tables.columns import Category, Column, Number


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
class Pieces:
    """What a `PiecewiseLinearEncoder` makes of a matrix: all columns scaled and clipped, then the pieces of each.

    Parameters
    ----------
    center, scale : array (n_features,)
        z = scale (x - center), and the column is z / sqrt(1 + (z / 3)^2).  float64.
    edges : list of arrays
        t of each column; empty where it has no pieces, which are min(max((x - t_k) / (t_{k+1} - t_k), 0), 1) - 1/2.
    """

    center: Array
    scale: Array
    edges: list[Array]

    @property
    def n_columns(self) -> int:
        """How many columns they make."""
        return len(self.edges) + sum(max(len(edges) - 1, 0) for edges in self.edges)


@dataclass(frozen=True)
class Member:
    """The layers of one network: coefs (n_in, n_out), intercepts (n_out,)."""

    coefs: list[Array]
    intercepts: list[Array]


@dataclass(frozen=True)
class Outcome:
    """What is made of standardised numbers: a = a scale + mean, kept between low and high.

    Parameters
    ----------
    mean, scale, low, high : array (n_outputs,)
        float64.
    """

    mean: Array
    scale: Array
    low: Array
    high: Array


@dataclass(frozen=True)
class Description:
    """What a model computes.

    First the matrix: of a `TableEncoder`, from its `columns` of the table, or what comes in.  Then the `scalings`, one
    after another, and the `pieces`; the layers of each member, and the output activation; the mean of the members'
    outputs; the `outcome`; and what `predict` makes of it.

    Parameters
    ----------
    n_features_in : int
        Columns of what comes in.
    names : list of str
        Their names: of the data frame that it was fitted to, or x0, x1 ...
    columns : list of (int, Number or Category), or None
        Which columns of a table are read, and how each becomes columns of the matrix, in this order; None for a matrix.
    scalings : list of Scaling
    pieces : Pieces or None
    members : list of Member
        One or more, of the same sizes.
    activations : list of Activation
        Of the hidden layers.
    out_activation : {"logistic", "softmax", "identity", "exp"}
    outcome : Outcome or None
        Of what is a number.
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
    pieces: Pieces | None
    members: list[Member]
    activations: list[Activation]
    out_activation: str
    outcome: Outcome | None
    task: str
    classes: npt.NDArray[Any] | None
    is_sorted: bool
    is_flat: bool

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the parameters."""
        return np.result_type(*self.coefs)

    @property
    def coefs(self) -> list[Array]:
        """Those of the first member."""
        return self.members[0].coefs

    @property
    def intercepts(self) -> list[Array]:
        """Those of the first member."""
        return self.members[0].intercepts


def describe(model: Any) -> Description:
    """What a fitted model computes.

    Parameters
    ----------
    model : MLPClassifier, MLPRegressor, TabularClassifier, TabularRegressor or Pipeline
        An estimator of fastnn or of scikit-learn; or a Pipeline that ends with one, after a StandardScaler,
        MinMaxScaler, MaxAbsScaler or RobustScaler, several of these, or (before an MLP) a `TableEncoder`.

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
    columns, first, members = None, (before or [network])[0], [network]
    pieces = outcome = None
    if _is_tabular(network):
        if before and isinstance(before[0], TableEncoder):
            raise TypeError(f"a {type(network).__name__} has a TableEncoder, but one comes before it")
        embedding, members = network.embedding_, network.estimators_
        columns = _columns(network.encoder_)
        if before:
            columns = _before_scalings(columns, before, getattr(first, "feature_names_in_", None))
            before = []
        pieces = Pieces(embedding.center_, embedding.scale_, list(embedding.edges_))
        if hasattr(network, "y_mean_"):
            numbers = network.y_mean_, network.y_scale_, network.y_min_, network.y_max_
            outcome = Outcome(*(np.atleast_1d(np.asarray(each, np.float64)) for each in numbers))
    elif before and isinstance(before[0], TableEncoder):
        columns = _columns(before.pop(0))
    scalings = list(map(_scaling, before))
    names = getattr(first, "feature_names_in_", None)
    n_columns = sum(len(column.outputs) for _, column in columns) if columns else int(first.n_features_in_)
    sizes = sizes_of_members(members, n_columns, pieces.edges if pieces else None)
    one, n_hidden, task, classes = members[0], len(sizes) - 2, "numbers", None
    if hasattr(network, "classes_"):
        classes = network.classes_
        task = "labels" if one._label_binarizer.y_type_.startswith("multilabel") else "classes"
    is_sorted = bool(getattr(one, "_quantiles", list)())
    return Description(
        n_features_in=int(first.n_features_in_),
        names=[f"x{j}" for j in range(first.n_features_in_)] if names is None else list(map(str, names)),
        columns=columns,
        scalings=scalings,
        pieces=pieces,
        members=[
            Member([np.asarray(coef) for coef in member.coefs_], [np.asarray(b) for b in member.intercepts_])
            for member in members
        ],
        activations=[law_of(one.activation, l) for l in range(1, n_hidden + 1)],
        out_activation=one.out_activation_,
        outcome=outcome,
        task=task,
        classes=classes,
        is_sorted=is_sorted,
        is_flat=task == "classes" or (task == "numbers" and sizes[-1] == 1 and not is_sorted),
    )


def _columns(encoder: Any) -> list[tuple[int, Column]]:
    """Which columns of a table an encoder reads, and how."""
    at = {name: j for j, name in enumerate(encoder._names)}
    return [(at[column.name], column) for column in encoder.columns_]


def _before_scalings(columns: list[tuple[int, Column]], steps: list[Any], names: Any) -> list[tuple[int, Column]]:
    """The columns that an encoder reads of scaled numbers, as columns of the numbers before they were scaled.

    A median, a mean and a range lie where they did; a length is multiplied by the divisors.
    """
    scalings = list(map(_scaling, steps))
    for step, scaling in zip(steps, scalings, strict=True):
        if np.isfinite([scaling.low, scaling.high]).any():
            raise TypeError(
                f"a {type(step).__name__} with clip=True comes before a TabularClassifier or TabularRegressor, but one "
                "without is wanted"
            )
    found: list[tuple[int, Column]] = []
    for j, column in columns:
        if isinstance(column, Category):
            raise TypeError(
                f"column {column.name!r} is read as categories of scaled numbers, but numbers are wanted, or no scaler"
            )
        state = vars(column) | {"name": column.name if names is None else str(names[j])}
        for scaling in reversed(scalings):
            for name in "median", "mean", "low", "high":
                if state[name] is not None:
                    state[name] = float((state[name] - scaling.offset[j]) * scaling.divisor[j] + scaling.shift[j])
            state["scale"] = float(state["scale"] * scaling.divisor[j])
        found.append((j, Number(**state)))
    return found


def _names_of_kinds(model: Any) -> set[str]:
    """The classes of fastnn and of scikit-learn that a model is of."""
    return {kind.__name__ for kind in type(model).__mro__ if kind.__module__.partition(".")[0] in ("fastnn", "sklearn")}


def _is_tabular(model: Any) -> bool:
    return bool(_names_of_kinds(model) & {"TabularClassifier", "TabularRegressor"})


def _network(model: Any) -> Any:
    """The last step, if it is one of these: what is not theirs is not known."""
    wanted = "MLPClassifier", "MLPRegressor", "TabularClassifier", "TabularRegressor"
    if not _names_of_kinds(model) & {*wanted}:
        raise TypeError(
            f"model is a {type(model).__name__}, but an {wanted[0]}, {wanted[1]}, {wanted[2]}, {wanted[3]} or a "
            "Pipeline that ends with one is wanted"
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
