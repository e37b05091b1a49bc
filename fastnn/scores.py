"""How good predictions are, by scikit-learn's metrics, and what the simplest guess would reach."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_PRODUCTS = 1e11  # for the importances of all columns: some seconds
REPEATS = 5  # of the shuffling of a column
QUANTILES = (0, 0.05, 0.25, 0.5, 0.75, 0.95, 1)


def of_classes(
    true: NDArray[Any], predicted: NDArray[Any], probabilities: NDArray[Any], classes: Sequence[Any]
) -> dict[str, float]:
    """Scores of a classification, the one to look at first coming first.

    Parameters
    ----------
    true, predicted : arrays of shape (n_rows,)
        Labels.
    probabilities : array of shape (n_rows, n_classes)
        Of `classes`, which are in order. A class of the test that is not among them has probability 0.

    Returns
    -------
    dict
        "accuracy", "balanced accuracy" and "AUC", the more the better, and "log loss", the less the better. The AUC is
        the mean over the classes in the test, each against the rest; nan, if all rows are of one class.

    Examples
    --------
    >>> of_classes(np.array([0, 1, 1]), np.array([0, 1, 0]), np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]]), [0, 1])
    ... # doctest: +ELLIPSIS
    {'accuracy': 0.666..., 'balanced accuracy': 0.75, 'log loss': 0.340..., 'AUC': 1.0}
    """
    from sklearn import metrics

    labels = np.union1d(classes, true)
    P = np.zeros((len(true), len(labels)), np.float32)  # float32: log loss clips 0 to the least of the type
    P[:, np.searchsorted(labels, classes)] = probabilities
    found = [true == label for label in labels]
    areas = [
        metrics.roc_auc_score(is_label, p) for is_label, p in zip(found, P.T, strict=True) if 0 < is_label.mean() < 1
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a class that is only predicted counts in none of these
        balanced = metrics.balanced_accuracy_score(true, predicted)
    return {
        "accuracy": float(metrics.accuracy_score(true, predicted)),
        "balanced accuracy": float(balanced),
        "log loss": float(metrics.log_loss(true, P, labels=labels)),
        "AUC": float(np.mean(areas)) if areas else float("nan"),
    }


def of_numbers(true: NDArray[Any], predicted: NDArray[Any]) -> dict[str, float]:
    """Scores of a regression: "R^2", and "MAE" and "RMSE" (mean absolute and root mean square error, in y's unit).

    Examples
    --------
    >>> of_numbers(np.array([0.0, 2.0]), np.array([1.0, 2.0]))  # doctest: +ELLIPSIS
    {'R^2': 0.5, 'MAE': 0.5, 'RMSE': 0.707...}
    """
    from sklearn import metrics

    return {
        "R^2": float(metrics.r2_score(true, predicted)),
        "MAE": float(metrics.mean_absolute_error(true, predicted)),
        "RMSE": float(metrics.root_mean_squared_error(true, predicted)),
    }


def of_simplest_guess(known: NDArray[Any], true: NDArray[Any], classes: Sequence[Any]) -> dict[str, float]:
    """Scores of always guessing the most frequent class of `known`, at the classes' frequencies; or its mean."""
    from sklearn.dummy import DummyClassifier, DummyRegressor

    guess = DummyClassifier(strategy="prior") if classes else DummyRegressor(strategy="mean")
    guess.fit(np.zeros((len(known), 1)), known)
    X = np.zeros((len(true), 1))
    if classes:
        return of_classes(true, guess.predict(X), guess.predict_proba(X), guess.classes_)
    return of_numbers(true, guess.predict(X))


def errors(true: NDArray[Any], predicted: NDArray[Any], classes: Sequence[Any]) -> dict[str, Any]:
    """What went wrong, for a report: the confusion matrix; or, without classes, quantiles of the residuals.

    Returns
    -------
    dict
        "confusion_matrix", row i counting the rows of labels[i] by what was predicted, and its "labels" in order; or
        "residuals", the quantiles of true - predicted, in y's unit.
    """
    from sklearn.metrics import confusion_matrix

    if classes:
        labels = np.union1d(classes, true)
        counts = confusion_matrix(true, predicted, labels=labels)
        return {"labels": labels.tolist(), "confusion_matrix": counts.tolist()}
    values = np.quantile(true - predicted, QUANTILES)
    return {"residuals": {f"{quantile:.0%}": float(value) for quantile, value in zip(QUANTILES, values, strict=True)}}


def _first_weights(model: Any, X: NDArray[Any]) -> NDArray[Any]:
    """Squares of what each feature has a first layer see of it."""
    if not hasattr(model, "estimators_"):
        return ((model.coefs_[0] * X.std(axis=0)[:, np.newaxis]) ** 2).sum(axis=1)
    scales = model.embedding_.transform(X).std(axis=0)
    inputs = sum(((network.coefs_[0] * scales[:, np.newaxis]) ** 2).sum(axis=1) for network in model.estimators_)
    n_pieces = [max(len(edges) - 1, 0) for edges in model.embedding_.edges_]
    features = np.arange(X.shape[1])
    return np.bincount(np.concatenate([features, np.repeat(features, n_pieces)]), inputs)


def importances(model: Any, X: NDArray[Any], y: NDArray[Any], widths: Sequence[int], seed: int) -> dict[str, Any]:
    """How much lower the score of a network gets when a column of the table is shuffled (Breiman 2001).

    It is bounded: of a wide table, or for a large network, fewer rows are looked at, but no less than 200, then fewer
    columns, those with the largest weights, but no less than 10.

    Parameters
    ----------
    model : MLPClassifier, MLPRegressor, TabularClassifier or TabularRegressor
        A fitted one; a tabular one takes the matrix.
    X : array of shape (n_rows, n_features)
        What the encoder made of a table that was not trained on. The rows are in no order.
    y : array of shape (n_rows,)
        What is so.
    widths : sequence of int
        How many of the features each column of the table has become.
    seed : int
        For the shuffling.

    Returns
    -------
    dict
        The number of "rows" and of "repeats"; the "positions" of the columns, the most important first, and the "mean"
        and the standard deviation, "std", for each of these.
    """
    from sklearn.inspection import permutation_importance

    networks = getattr(model, "estimators_", [model])
    n_inputs = X.shape[1] + sum(len(network.coefs_[0]) for network in networks)
    n_products = sum(coef.size for network in networks for coef in network.coefs_) + 10 * n_inputs  # a row, copied too
    n_columns = int(np.clip(MOST_PRODUCTS / (200 * REPEATS * n_products), 10, 400))
    n_rows = int(np.clip(MOST_PRODUCTS / (min(n_columns, len(widths)) * REPEATS * n_products), 200, 10_000))
    X, y = X[:n_rows], y[:n_rows]
    weights = _first_weights(model, X)
    blocks = [slice(stop - width, stop) for stop, width in zip(np.cumsum(widths), widths, strict=True)]
    chosen = np.argsort([-weights[block].sum() for block in blocks], kind="stable")[:n_columns]
    blocks = [blocks[i] for i in chosen]
    # To shuffle the table would give the same, but to encode it takes longer than to predict it: here, a column is the
    # numbers of the rows that its values come from.
    in_order = np.repeat(np.arange(len(X), dtype=np.int32)[:, np.newaxis], len(blocks), axis=1)

    def score(model: Any, rows: NDArray[Any], y: NDArray[Any]) -> float:
        shuffled = X.copy()
        for j in np.flatnonzero((rows != in_order).any(axis=0)):
            shuffled[:, blocks[j]] = X[rows[:, j], blocks[j]]
        return float(model.score(shuffled, y))

    found = permutation_importance(model, in_order, y, scoring=score, n_repeats=REPEATS, random_state=seed)
    order = np.argsort(-found.importances_mean, kind="stable")
    return {
        "rows": len(X),
        "repeats": REPEATS,
        "positions": chosen[order].tolist(),
        "mean": found.importances_mean[order].tolist(),
        "std": found.importances_std[order].tolist(),
    }


def is_very_skewed(y: NDArray[Any]) -> bool:
    """Whether y is positive with a long tail upwards that its logarithm has not."""
    from scipy.stats import skew

    return bool(y.min() > 0 and skew(y) > 2 and abs(skew(np.log(y))) < skew(y) / 2)
