"""Ensembles: networks that differ in their random numbers, whose mean predicts better than one of them does.

How far they are from one another says how sure they are (Lakshminarayanan et al. 2017).
"""

from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any, ClassVar, Self, cast

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, RegressorMixin, _fit_context, is_regressor
from sklearn.utils import check_array, check_random_state, column_or_1d, get_tags
from sklearn.utils._param_validation import HasMethods, Interval
from sklearn.utils.validation import _num_samples, check_is_fitted, validate_data

from fastnn.estimators import MLPClassifier, MLPRegressor, refuse_masked
from fastnn.many import fit_many, is_network, names_of_seeds
from fastnn.network import Array, issparse


def mean_and_std(outputs: Iterable[Array]) -> tuple[Array, Array]:
    """Mean and standard deviation of arrays of one shape, one after the other (Welford 1962)."""
    n, mean, squares = 0, cast(Array, 0.0), cast(Array, 0.0)
    for n, output in enumerate(outputs, 1):
        difference = output - mean
        mean = mean + difference / n
        squares = squares + difference * (output - mean)
    return mean, np.sqrt(squares / n)


class _Ensemble(MetaEstimatorMixin, BaseEstimator):
    """What the classifier and the regressor share: everything but what is predicted."""

    _member: ClassVar[type]  # what the members are, unless a user says otherwise
    estimators_: list[Any]
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "estimator": [HasMethods(["fit", "predict"]), None],
        "n_estimators": [Interval(Integral, 1, None, closed="left")],
        "bootstrap": ["boolean"],
        "max_samples": [Interval(Integral, 1, None, closed="left"), Interval(Real, 0, 1, closed="right")],
        "random_state": ["random_state"],
        "n_jobs": [Integral, None],
    }

    def __init__(
        self,
        estimator: Any = None,
        n_estimators: int = 8,
        *,
        bootstrap: bool = False,
        max_samples: float = 1.0,
        random_state: int | np.random.RandomState | None = None,
        n_jobs: int | None = None,
    ) -> None:
        self.estimator = estimator
        self.n_estimators = n_estimators
        self.bootstrap = bootstrap
        self.max_samples = max_samples
        self.random_state = random_state
        self.n_jobs = n_jobs

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any, sample_weight: npt.ArrayLike | None = None) -> Self:
        """Train the members on X and y, one on each core.

        Parameters
        ----------
        X : array-like or sparse matrix (n_samples, n_features)
            Examples, as the members take them.
        y : array-like (n_samples,) or (n_samples, n_outputs)
            Their targets.
        sample_weight : array-like (n_samples,) or None
            What each example counts for.

        Returns
        -------
        self
        """
        X, y = self._validated(X, y=y, multi_output=True, y_numeric=is_regressor(self))
        if not issparse(y):
            y = check_array(y, ensure_2d=False, dtype=None, input_name="y", estimator=self)
            if y.ndim == 2 and y.shape[1] == 1:
                y = column_or_1d(y, warn=True)
        member, random_state = self._new_member(), check_random_state(self.random_state)
        seeds = random_state.randint(np.iinfo(np.int32).max, size=self.n_estimators).tolist()
        has_seed = bool(names_of_seeds(member))
        members = fit_many(
            member,
            X,
            y,
            params=None if has_seed else [{}] * self.n_estimators,
            seeds=seeds if has_seed else None,
            rows=self._rows(_num_samples(X), random_state),
            sample_weight=sample_weight,
            n_jobs=self.n_jobs,
        )
        self._learn_targets(y, members)
        self.estimators_ = members
        return self

    def _new_member(self) -> Any:
        return self._member() if self.estimator is None else self.estimator

    def _validated(self, X: Any, **more: Any) -> Any:
        """Data as all members take them; what others than networks take, they know themselves."""
        if not is_network(self._new_member()):
            return validate_data(self, X, skip_check_array=True, **more)
        refuse_masked(X, "X")
        refuse_masked(more.get("y"), "y")
        return validate_data(self, X, accept_sparse=["csr", "csc"], dtype=(np.float64, np.float32), **more)

    def _rows(self, n_samples: int, random_state: np.random.RandomState) -> list[npt.NDArray[np.int64]] | None:
        """From which rows each member learns; None for all of them from all."""
        n = self.max_samples if isinstance(self.max_samples, Integral) else max(1, int(self.max_samples * n_samples))
        if n > n_samples:
            raise ValueError(f"max_samples is {self.max_samples}, but X has {n_samples} examples")
        if self.bootstrap:
            return [random_state.randint(n_samples, size=n) for _ in range(self.n_estimators)]
        return [random_state.permutation(n_samples)[:n] for _ in range(self.n_estimators)] if n < n_samples else None

    def _learn_targets(self, y: Any, members: list[Any]) -> None:
        """What the ensemble has to know of the targets."""

    def _of_all(self, method: str, X: Any) -> Iterable[tuple[Any, Array]]:
        """Each member, with what it says of X."""
        check_is_fitted(self)
        X = self._validated(X, reset=False)
        return ((member, getattr(member, method)(X)) for member in self.estimators_)

    def __sklearn_tags__(self) -> Any:
        tags, of_member = super().__sklearn_tags__(), get_tags(self._new_member())
        tags.input_tags, tags.target_tags = of_member.input_tags, of_member.target_tags
        tags.classifier_tags, tags.regressor_tags = of_member.classifier_tags, of_member.regressor_tags
        return tags


class EnsembleClassifier(ClassifierMixin, _Ensemble):
    """Classifiers that differ in their random numbers: the mean of their probabilities predicts.

    Parameters
    ----------
    estimator : estimator or None, default None
        What the members are copies of; None for `MLPClassifier` with its defaults.  Another one needs `predict_proba`.
    n_estimators : int, default 8
        How many there are.
    bootstrap : bool, default False
        Whether each learns from examples that are drawn with replacement (bagging, Breiman 1996).
    max_samples : float or int, default 1.0
        From how many examples each learns: a part of them, or a number.  Without `bootstrap` none comes twice.
    random_state : int, RandomState or None, default None
        For the seeds of the members, and for their examples.
    n_jobs : int or None, default None
        How many are trained at a time; None for the limit of the process (see `fastnn.set_n_threads`), -1 for all.

    Attributes
    ----------
    estimators_ : list of estimators
        The members.
    classes_ : array (n_classes,)
        The labels, sorted.
    n_features_in_, feature_names_in_ : int, array of str
        Columns of X, and their names, where X is a data frame.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from fastnn import EnsembleClassifier, MLPClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> ensemble = EnsembleClassifier(MLPClassifier(max_iter=500), random_state=0).fit(X, y)
    >>> probabilities, spread = ensemble.predict_proba(X[:2], return_std=True)
    >>> probabilities.shape, spread.shape, ensemble.score(X, y) > 0.95
    ((2, 3), (2, 3), True)
    """

    _member = MLPClassifier

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """The class of each example: the most probable, or of several labels those more probable than not.

        Parameters
        ----------
        X : array-like or sparse matrix (n_samples, n_features)
            Examples, one a row.

        Returns
        -------
        array (n_samples,) or (n_samples, n_labels)
        """
        probabilities = self.predict_proba(X)
        if self._is_multilabel:
            return (probabilities > 0.5).astype(int)
        return self.classes_.take(probabilities.argmax(axis=1))

    def predict_proba(self, X: Any, return_std: bool = False) -> Any:
        """The probability of each class, in the order of `classes_`: the mean over the members.

        Parameters
        ----------
        X : array-like or sparse matrix (n_samples, n_features)
            Examples, one a row.
        return_std : bool, default False
            Whether to return the standard deviation over the members as well.

        Returns
        -------
        array (n_samples, n_classes), or a tuple of two
        """
        mean, std = mean_and_std(self._in_order(*said) for said in self._of_all("predict_proba", X))
        return (mean, std) if return_std else mean

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

    def _learn_targets(self, y: Any, members: list[Any]) -> None:
        self._is_multilabel = y.ndim == 2
        self.classes_ = members[0].classes_ if self._is_multilabel else np.unique(y)

    def _in_order(self, member: Any, probabilities: Array) -> Array:
        """Probabilities of all classes, where a member may have met some of them only."""
        if self._is_multilabel or len(member.classes_) == len(self.classes_):
            return probabilities
        of_all = np.zeros((len(probabilities), len(self.classes_)), probabilities.dtype)
        known = np.searchsorted(self.classes_, member.classes_)
        of_all[:, known] = probabilities if len(known) > 1 else 1
        return of_all


class EnsembleRegressor(RegressorMixin, _Ensemble):
    """Regressors that differ in their random numbers: the mean of their predictions predicts.

    Parameters
    ----------
    estimator : estimator or None, default None
        What the members are copies of; None for `MLPRegressor` with its defaults.
    n_estimators : int, default 8
        How many there are.
    bootstrap : bool, default False
        Whether each learns from examples that are drawn with replacement (bagging, Breiman 1996).
    max_samples : float or int, default 1.0
        From how many examples each learns: a part of them, or a number.  Without `bootstrap` none comes twice.
    random_state : int, RandomState or None, default None
        For the seeds of the members, and for their examples.
    n_jobs : int or None, default None
        How many are trained at a time; None for the limit of the process (see `fastnn.set_n_threads`), -1 for all.

    Attributes
    ----------
    estimators_ : list of estimators
        The members.
    n_features_in_, feature_names_in_ : int, array of str
        Columns of X, and their names, where X is a data frame.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from fastnn import EnsembleRegressor, MLPRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> ensemble = EnsembleRegressor(MLPRegressor(learning_rate_init=0.01), random_state=0).fit(X, y)
    >>> predicted, spread = ensemble.predict(X[:2], return_std=True)
    >>> predicted.shape, spread.shape
    ((2,), (2,))
    """

    _member = MLPRegressor

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """The prediction for each example: the mean over the members.

        Parameters
        ----------
        X : array-like or sparse matrix (n_samples, n_features)
            Examples, one a row.
        return_std : bool, default False
            Whether to return the standard deviation over the members as well.

        Returns
        -------
        array (n_samples,) or (n_samples, n_outputs), or a tuple of two
        """
        mean, std = mean_and_std(output for _, output in self._of_all("predict", X))
        return (mean, std) if return_std else mean
