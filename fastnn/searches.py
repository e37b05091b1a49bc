"""GridSearchCV and RandomizedSearchCV: scikit-learn's searches, on the threads of one process.

Candidates and folds are trained one on each core, and each fold is cut from the data once for all candidates.
What is not about that is left to scikit-learn: the parameters, the results, what is refitted.
"""

import threading
import time
from collections.abc import Callable, Collection, Generator, Iterable, Mapping
from contextvars import copy_context
from math import inf
from numbers import Integral
from traceback import format_exc
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from joblib import parallel_config
from joblib.logger import short_format_time
from sklearn import model_selection as theirs
from sklearn.base import _fit_context, clone, is_classifier
from sklearn.metrics._scorer import _MultimetricScorer
from sklearn.model_selection import ParameterGrid, ParameterSampler, check_cv
from sklearn.model_selection._search import BaseSearchCV
from sklearn.model_selection._validation import _insert_error_scores, _score, _warn_or_raise_about_fit_failures
from sklearn.utils import get_tags, indexable
from sklearn.utils._param_validation import Interval
from sklearn.utils.metaestimators import _safe_split
from sklearn.utils.validation import _check_method_params, _num_samples

from fastnn import progress
from fastnn.many import Examples, at_once, drawn_seeds, n_threads_of, with_seed

#: Of the candidates that are left, one in so many goes on; and after how many times as many epochs the next time.
FACTOR = 3


class NotInPartsError(ValueError):
    """What is searched cannot be trained in parts."""


class _Cut(NamedTuple):
    """The data of a fold, with what a fit and a score take besides."""

    examples: Examples
    train: tuple[Any, Any]
    test: tuple[Any, Any]
    fit_params: dict[str, Any]
    score_params_train: dict[str, Any]
    score_params_test: dict[str, Any]


class _Fold:
    """One split of the data, cut when it is first wanted, and kept as long as there are trials of it."""

    def __init__(self, data: tuple[Any, ...], split: tuple[npt.ArrayLike, npt.ArrayLike], n_trials: int) -> None:
        self._data, (self._train, self._test), self._n_trials = data, map(np.asarray, split), n_trials
        self._lock, self._cuts = threading.Lock(), dict[bool, _Cut]()

    def cut(self, model: Any) -> _Cut:
        """The data as this candidate takes them: of a matrix of distances, columns are cut as well."""
        is_pairwise = get_tags(model).input_tags.pairwise
        with self._lock:
            if is_pairwise not in self._cuts:
                estimator, X, y, fit_params, score_params = self._data
                train = _safe_split(model, X, y, self._train)
                self._cuts[is_pairwise] = _Cut(
                    Examples(estimator, *train),
                    train,
                    _safe_split(model, X, y, self._test, self._train),
                    _check_method_params(X, params=fit_params, indices=self._train),
                    _check_method_params(X, params=score_params, indices=self._train),
                    _check_method_params(X, params=score_params, indices=self._test),
                )
            return self._cuts[is_pairwise]

    def leave(self) -> None:
        """One of the trials is over."""
        with self._lock:
            self._n_trials -= 1
            if not self._n_trials:
                self._cuts.clear()


class _Trial:
    """One candidate in one fold: trained in one go, or from pause to pause, and scored.

    Parameters
    ----------
    search : GridSearchCV or RandomizedSearchCV
    new : callable
        Makes the model.
    scorer : callable
    parameters : dict
    fold : _Fold
    pauses : collection of int
        After which epochs it pauses.
    name : str
        Which one it is, for whoever looks on.
    """

    def __init__(
        self,
        search: Any,
        new: Callable[[], Any],
        scorer: Any,
        parameters: Mapping[str, Any],
        fold: _Fold,
        pauses: Collection[int],
        name: str,
    ) -> None:
        self._search, self._new, self._scorer, self._fold, self._pauses = search, new, scorer, fold, pauses
        self._name, self._parameters = name, ", ".join(f"{key}={parameters[key]}" for key in sorted(parameters))
        self._model: Any = None
        self._parts: Generator[int, None, None] | None = None
        self._context, self._fit_time, self.is_over = copy_context(), 0.0, False

    def go(self) -> dict[str, Any]:
        """Train up to the next pause, or to the end, and score: what scikit-learn's `_fit_and_score` returns."""
        return self._context.run(self._go)

    def stop(self) -> None:
        """Leave it at that, if it is not over."""
        if not self.is_over:
            if self._parts is not None:
                self._context.run(self._parts.close)
            self._end()

    def _end(self) -> None:
        self.is_over, self._model, self._parts = True, None, None
        self._fold.leave()

    def _go(self) -> dict[str, Any]:
        if self._model is None:
            self._model = self._new()
            if self._search.verbose > 9:
                self._tell("START", self._parameters)
        error, error_score, start = None, self._search.error_score, time.perf_counter()
        cut = self._fold.cut(self._model)
        try:
            is_last = self._train(cut)
        except NotInPartsError:
            raise
        except Exception as raised:
            if error_score == "raise":
                raised.add_note(f"This was a fit with {self._parameters}.")
                raise
            error, is_last = format_exc(), True
        trained = time.perf_counter()
        self._fit_time += trained - start

        def scores(part: tuple[Any, Any], params: dict[str, Any]) -> Any:
            if error is None:
                return _score(self._model, *part, self._scorer, params, error_score)
            if isinstance(self._scorer, _MultimetricScorer):
                return dict.fromkeys(self._scorer._scorers, error_score)
            return error_score

        result = {"fit_error": error, "test_scores": scores(cut.test, cut.score_params_test)}
        score_time = 0.0 if error else time.perf_counter() - trained
        if self._search.return_train_score:
            result["train_scores"] = scores(cut.train, cut.score_params_train)
        result |= {"n_test_samples": _num_samples(cut.test[0]), "fit_time": self._fit_time, "score_time": score_time}
        if is_last:
            self._end()
        if self._search.verbose > 1:
            scores_said = said(result) if self._search.verbose > 2 else ""
            total = short_format_time(self._fit_time + score_time)
            self._tell("END", f"{self._parameters};{scores_said} total time={total}")
        return result

    def _train(self, cut: _Cut) -> bool:
        """Whether that was the last part."""
        if not self._pauses:
            cut.examples.fit(self._model, **cut.fit_params)
            return True
        if self._parts is None:
            with progress.in_parts(self._pauses) as fits:
                cut.examples.fit(self._model, **cut.fit_params)
            if len(fits) != 1:
                raise NotInPartsError(
                    f"stop_weak is for estimators that train one network of fastnn, but {self._model!r} trains "
                    f"{len(fits) or 'none'}"
                )
            self._parts = fits[0]
        return next(self._parts, None) is None

    def _tell(self, what: str, more: str) -> None:
        print(f"{f'[CV{self._name}] {what} ':.<{max(0, 80 - len(more))}}{more}")


def said(result: dict[str, Any]) -> str:
    """The scores, as scikit-learn prints them."""
    test, train = result["test_scores"], result.get("train_scores")
    if not isinstance(test, dict):
        return f", score={test:.3f}" if train is None else f", score=(train={train:.3f}, test={test:.3f})"
    with_train = {name: "" if train is None else f"train={train[name]:.3f}, " for name in sorted(test)}
    return "".join(f" {name}: ({trained}test={test[name]:.3f})" for name, trained in with_train.items())


class _OnThreads(BaseSearchCV):
    """What both searches have in place of scikit-learn's `fit`."""

    stop_weak: int | None

    def _candidates(self) -> Iterable[Mapping[str, Any]]:
        raise NotImplementedError

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any = None, **params: Any) -> Self:
        """Try all candidates, and fit the best one on all the data.

        Parameters
        ----------
        X : array-like or sparse matrix (n_samples, n_features)
            Examples.
        y : array-like (n_samples,) or (n_samples, n_outputs), default None
            Their targets.
        **params : dict of str -> object
            For the `fit` of the estimator, the scorer and the splitter, as in scikit-learn.

        Returns
        -------
        self
        """
        if self.__dict__.get("_skl_callbacks"):  # of scikit-learn 1.9, whose own `fit` calls them
            if self.stop_weak:
                raise ValueError("stop_weak is for searches without callbacks")
            with parallel_config("threading", n_jobs=n_threads_of(self.n_jobs)):
                return super().fit(X, y, **params)
        scorers, refit_metric = self._get_scorers()
        X, y = indexable(X, y)
        params = _check_method_params(X, params=params)
        routed = self._get_routed_params_for_fit(params)
        cv, of_split = check_cv(self.cv, y, classifier=is_classifier(self.estimator)), routed.splitter.split
        self._checked_cv_orig, self.n_splits_ = cv, cv.get_n_splits(X, y, **of_split)
        splits, candidates, estimator = (
            list(cv.split(X, y, **of_split)),
            list(self._candidates()),
            clone(self.estimator),
        )
        if len(splits) != self.n_splits_:
            raise ValueError(
                "cv.split and cv.get_n_splits return inconsistent results. "
                f"Expected {self.n_splits_} splits, got {len(splits)}"
            )
        if not (splits and candidates):
            raise ValueError("No fits were performed. Was the CV iterator empty? Were there no candidates?")
        if self.verbose > 0:
            print(
                f"Fitting {len(splits)} folds for each of {len(candidates)} candidates, totalling "
                f"{len(splits) * len(candidates)} fits"
            )
        data = estimator, X, y, routed.estimator.fit, routed.scorer.score
        folds = [_Fold(data, split, len(candidates)) for split in splits]
        out, more = self._tried(estimator, scorers, candidates, folds)
        _warn_or_raise_about_fit_failures(out, self.error_score)
        if callable(self.scoring):
            _insert_error_scores(out, self.error_score)
        results = self._format_results(candidates, len(splits), out, more)
        self.multimetric_ = isinstance(out[0]["test_scores"], dict)
        if callable(self.scoring) and self.multimetric_:
            self._check_refit_for_multimetric(out[0]["test_scores"])
            refit_metric = self.refit
        if self.refit or not self.multimetric_:
            self.best_index_ = self._select_best_index(self.refit, refit_metric, results)
            if not callable(self.refit):
                self.best_score_ = results[f"mean_test_{refit_metric}"][self.best_index_]
            self.best_params_ = results["params"][self.best_index_]
        if self.refit:
            self.best_estimator_ = clone(estimator).set_params(**clone(self.best_params_, safe=False))
            start = time.perf_counter()
            given = (X,) if y is None else (X, y)
            self.best_estimator_.fit(*given, **routed.estimator.fit)
            self.refit_time_ = time.perf_counter() - start
            if hasattr(self.best_estimator_, "feature_names_in_"):
                self.feature_names_in_ = self.best_estimator_.feature_names_in_
        self.scorer_ = scorers._scorers if isinstance(scorers, _MultimetricScorer) else scorers
        self.cv_results_ = results
        return self

    def _tried(
        self, estimator: Any, scorer: Any, candidates: list[Mapping[str, Any]], folds: list[_Fold]
    ) -> tuple[list[dict[str, Any]], dict[str, list[int]]]:
        """What came of each candidate in each fold, candidate by candidate; and columns for the results."""
        n_folds = len(folds)
        seeds = drawn_seeds(estimator, [candidate for candidate in candidates for _ in folds])
        pauses = [self.stop_weak * FACTOR**rung for rung in range(n_rungs(len(candidates)))] if self.stop_weak else []

        def trial(place: tuple[int, int]) -> _Trial:
            number, of_fold = place
            parameters, seed = candidates[number], seeds[number * n_folds + of_fold]

            def new() -> Any:
                return with_seed(clone(estimator).set_params(**clone(dict(parameters), safe=False)), seed)

            name = f" {of_fold + 1}/{n_folds}" * (self.verbose > 2)
            name += f"; {number + 1}/{len(candidates)}" * (self.verbose > 9)
            return _Trial(self, new, scorer, parameters, folds[of_fold], pauses, name)

        # Fold by fold: its data are forgotten when all candidates have been through it.
        places = [(number, of_fold) for of_fold in range(n_folds) for number in range(len(candidates))]
        trials, stopped = {place: trial(place) for place in places}, [0] * len(candidates)
        try:
            results = self._halved(trials, pauses, stopped) if pauses else self._gone(trials)
        finally:
            for each in trials.values():
                each.stop()
        return [results[place] for place in sorted(places)], {"stopped_epoch": stopped} if self.stop_weak else {}

    def _gone(self, trials: dict[tuple[int, int], _Trial]) -> dict[tuple[int, int], dict[str, Any]]:
        """What comes of trials, on to their next pauses."""
        return dict(zip(trials, at_once([trial.go for trial in trials.values()], self.n_jobs), strict=True))

    def _halved(
        self, trials: dict[tuple[int, int], _Trial], pauses: list[int], stopped: list[int]
    ) -> dict[tuple[int, int], dict[str, Any]]:
        """Successive halving (Jamieson & Talwalkar 2016): at each pause the weak candidates stop, in all folds.

        They all wait for one another, so that what stops is the same on any number of threads.
        """
        left, results = list(range(len(stopped))), self._gone(trials)
        for pause in pauses:
            means = {number: self._mean(results[place] for place in trials if place[0] == number) for number in left}
            left.sort(key=lambda number: -means[number])
            n_kept = -(-len(left) // FACTOR)
            for place, trial in trials.items():
                if place[0] in left[n_kept:] and not trial.is_over:
                    stopped[place[0]] = pause
                    trial.stop()
            del left[n_kept:]
            left.sort()
            results |= self._gone({place: trial for place, trial in trials.items() if not trial.is_over})
        return results

    def _mean(self, results: Iterable[dict[str, Any]]) -> float:
        """The score that decides, in the mean over the folds; the least, where there is none."""
        scores = [result["test_scores"] for result in results]
        if any(isinstance(score, dict) and self.refit not in score for score in scores):
            raise ValueError(f"stop_weak goes by one score: refit must be its name, got refit={self.refit!r}")
        mean = float(np.mean([score[self.refit] if isinstance(score, dict) else score for score in scores]))
        return mean if mean == mean else -inf

    @staticmethod
    def _select_best_index(refit: Any, refit_metric: Any, results: dict[str, Any]) -> Any:
        """The best of the candidates that were trained to the end."""
        if not callable(refit) and "stopped_epoch" in results:
            ranks = results[f"rank_test_{refit_metric}"]
            return np.where(results["stopped_epoch"] == 0, ranks, len(ranks) + 1).argmin()
        return BaseSearchCV._select_best_index(refit, refit_metric, results)


def n_rungs(n_candidates: int) -> int:
    """How often the weak ones stop until there is one left."""
    return 0 if n_candidates <= 1 else 1 + n_rungs(-(-n_candidates // FACTOR))


#: What both docstrings say.
_STOP_WEAK: dict[str, list[Any]] = {"stop_weak": [Interval(Integral, 1, None, closed="left"), None]}


class GridSearchCV(_OnThreads, theirs.GridSearchCV):
    """scikit-learn's `GridSearchCV`, one candidate in one fold on each core, in one process.

    Results and attributes are scikit-learn's; the scores are those of fitting one by one, for any number of threads.
    Where `random_state` is None, each fit has a seed that is drawn from NumPy's global generator.  The estimator may be
    of any kind; what is Python in it waits for Python's lock.

    Parameters
    ----------
    estimator : estimator
        An `MLPClassifier` or `MLPRegressor`, a pipeline that ends in one, or anything else that scikit-learn's takes.
    param_grid : dict or list of dict
        The values of each parameter; all combinations are tried.
    scoring : str, callable, list, tuple or dict, default None
        The score, or several; None for that of the estimator.  They are called on several threads.
    n_jobs : int or None, default None
        How many are fitted at a time, on threads; None for the limit of the process (see `fastnn.set_n_threads`), -1
        for all cores.
    refit : bool, str or callable, default True
        Whether to fit the best candidate on all the data; of several scores, by which.
    cv : int, cross-validation generator or iterable, default None
        The folds; None for 5.
    verbose : int, default 0
        How much is printed.
    pre_dispatch : int or str, default "2*n_jobs"
        Of no effect: nothing is copied.
    error_score : "raise" or number, default nan
        The score of a candidate that cannot be fitted.
    return_train_score : bool, default False
        Whether to score the data that were trained on, too.
    stop_weak : int or None, default None
        Successive halving: after this epoch all but the better third of the candidates stop, by their mean score (that
        of `refit`), and so do two thirds of those that are left after 3, 9, ... times as many epochs, until there is
        one.  The others are trained as if nobody had looked.  The estimator must train one network of fastnn, with
        minibatches.  None trains all to the end.

    Attributes
    ----------
    cv_results_ : dict of arrays
        As scikit-learn's; with `stop_weak` also "stopped_epoch", after which a candidate was stopped (its scores are
        those of then), or 0.
    best_estimator_, best_score_, best_params_, best_index_, refit_time_
        Of the best candidate; with `stop_weak`, of those that were not stopped.
    scorer_, n_splits_, multimetric_, classes_, n_features_in_, feature_names_in_
        As scikit-learn's.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from fastnn import GridSearchCV, MLPClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> search = GridSearchCV(MLPClassifier(max_iter=300, random_state=0), {"alpha": [1e-4, 1.0, 100.0]}, cv=3)
    >>> search.fit(X, y).best_params_["alpha"] < 100
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **theirs.GridSearchCV._parameter_constraints,
        **_STOP_WEAK,
    }

    def __init__(
        self,
        estimator: Any,
        param_grid: Any,
        *,
        scoring: Any = None,
        n_jobs: int | None = None,
        refit: Any = True,
        cv: Any = None,
        verbose: int = 0,
        pre_dispatch: int | str = "2*n_jobs",
        error_score: Any = np.nan,
        return_train_score: bool = False,
        stop_weak: int | None = None,
    ) -> None:
        super().__init__(
            estimator,
            param_grid,
            scoring=scoring,
            n_jobs=n_jobs,
            refit=refit,
            cv=cv,
            verbose=verbose,
            pre_dispatch=pre_dispatch,
            error_score=error_score,
            return_train_score=return_train_score,
        )
        self.stop_weak = stop_weak

    def _candidates(self) -> Iterable[Mapping[str, Any]]:
        return ParameterGrid(self.param_grid)


class RandomizedSearchCV(_OnThreads, theirs.RandomizedSearchCV):
    """scikit-learn's `RandomizedSearchCV`, one candidate in one fold on each core, in one process.

    All is as in `GridSearchCV`, but for the candidates.

    Parameters
    ----------
    estimator : estimator
        An `MLPClassifier` or `MLPRegressor`, a pipeline that ends in one, or anything else that scikit-learn's takes.
    param_distributions : dict or list of dict
        What each parameter is drawn from: a list, or a distribution with `rvs`.
    n_iter : int, default 10
        How many candidates are drawn.
    scoring : str, callable, list, tuple or dict, default None
        The score, or several, as in `GridSearchCV`.
    n_jobs : int or None, default None
        How many threads.
    refit : bool, str or callable, default True
        Whether to fit the best candidate on all the data; of several scores, by which.
    cv : int, cross-validation generator or iterable, default None
        The folds.
    verbose : int, default 0
        How much is printed.
    pre_dispatch : int or str, default "2*n_jobs"
        Of no effect.
    random_state : int, RandomState or None, default None
        By which the candidates are drawn.
    error_score : "raise" or number, default nan
        The score of a candidate that cannot be fitted.
    return_train_score : bool, default False
        Whether to score the data that were trained on, too.
    stop_weak : int or None, default None
        After which epoch the weak candidates stop, as in `GridSearchCV`.

    Attributes
    ----------
    cv_results_, best_estimator_, best_score_, best_params_, best_index_, refit_time_
        As those of `GridSearchCV`.
    scorer_, n_splits_, multimetric_, classes_, n_features_in_, feature_names_in_
        As scikit-learn's.

    Examples
    --------
    >>> from scipy.stats import loguniform
    >>> from sklearn.datasets import load_iris
    >>> from fastnn import MLPClassifier, RandomizedSearchCV
    >>> X, y = load_iris(return_X_y=True)
    >>> model = MLPClassifier(max_iter=100, random_state=0)
    >>> search = RandomizedSearchCV(
    ...     model, {"alpha": loguniform(1e-5, 10)}, n_iter=9, cv=3, random_state=0, stop_weak=10
    ... )
    >>> search.fit(X, y).cv_results_["stopped_epoch"].tolist().count(0)
    1
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **theirs.RandomizedSearchCV._parameter_constraints,
        **_STOP_WEAK,
    }

    def __init__(
        self,
        estimator: Any,
        param_distributions: Any,
        *,
        n_iter: int = 10,
        scoring: Any = None,
        n_jobs: int | None = None,
        refit: Any = True,
        cv: Any = None,
        verbose: int = 0,
        pre_dispatch: int | str = "2*n_jobs",
        random_state: Any = None,
        error_score: Any = np.nan,
        return_train_score: bool = False,
        stop_weak: int | None = None,
    ) -> None:
        super().__init__(
            estimator,
            param_distributions,
            n_iter=n_iter,
            scoring=scoring,
            n_jobs=n_jobs,
            refit=refit,
            cv=cv,
            verbose=verbose,
            pre_dispatch=pre_dispatch,
            random_state=random_state,
            error_score=error_score,
            return_train_score=return_train_score,
        )
        self.stop_weak = stop_weak

    def _candidates(self) -> Iterable[Mapping[str, Any]]:
        return ParameterSampler(self.param_distributions, self.n_iter, random_state=self.random_state)
