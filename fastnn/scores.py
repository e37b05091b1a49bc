"""How good predictions are, by scikit-learn's metrics, and what the simplest guess would reach."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

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


def is_very_skewed(y: NDArray[Any]) -> bool:
    """Whether y is positive with a long tail upwards that its logarithm has not."""
    from scipy.stats import skew

    return bool(y.min() > 0 and skew(y) > 2 and abs(skew(np.log(y))) < skew(y) / 2)
