"""Many networks at once: one on each core, in one process, over the same examples.

Training lets go of Python's lock, so that threads of one process train as many networks as there are cores, and
nothing is copied to or from other processes.  Each network is trained by one thread, as a loop would train it: the
results are the same for any number of threads, to the bit.
"""

import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import copy_context
from functools import partial
from itertools import product
from numbers import Integral
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from sklearn import config_context, get_config
from sklearn.base import clone
from sklearn.utils import _safe_indexing, check_array, check_consistent_length, check_random_state
from sklearn.utils.validation import _check_sample_weight, _get_feature_names

from fastnn.estimators import MLPClassifier, MLPRegressor, refuse_masked
from fastnn.network import issparse
from fastnn.system import blas_on_one_thread, get_n_threads, share_threads

T = TypeVar("T")
#: Seconds after which the waiting thread looks whether Ctrl-C was pressed, where that does not wake it.
LOOK = 0.1


def fit_many(
    estimator: Any,
    X: Any,
    y: Any = None,
    *,
    params: Iterable[Mapping[str, Any]] | None = None,
    seeds: Iterable[int] | None = None,
    rows: Iterable[npt.ArrayLike] | None = None,
    sample_weight: npt.ArrayLike | None = None,
    n_jobs: int | None = None,
) -> list[Any]:
    """Fit copies of an estimator, one on each core at a time.

    Parameters
    ----------
    estimator : estimator
        An `MLPClassifier` or `MLPRegressor`, or anything else of scikit-learn's kind, such as a pipeline that ends in
        one.  It is not changed.
    X : array-like or sparse matrix (n_samples, n_features)
        Examples, which all share: an array in C order of float32 or float64 is not copied.
    y : array-like (n_samples,) or (n_samples, n_outputs), default None
        Their targets.
    params : iterable of dict, default None
        Parameters of each copy, as `set_params` takes them; None for those of the estimator.
    seeds : iterable of int, default None
        `random_state` of each copy, also of the steps of a pipeline that have one: there is a copy for each of
        `params` with each seed.  With None, `random_state` stays what it is; but where that is None, it becomes a seed
        that is drawn from NumPy's global generator.
    rows : iterable of array-like, default None
        For each copy, in their order, the rows that it learns from, as numbers or as a mask; None for all.
    sample_weight : array-like (n_samples,), default None
        What each example counts for.
    n_jobs : int or None, default None
        How many are fitted at a time; None for the limit of the process (see `fastnn.set_n_threads`), -1 for all cores.

    Returns
    -------
    list
        The fitted copies, for each of `params` those of all seeds: the same, to the bit, as from a loop.

    Raises
    ------
    Exception
        What a fit raises, with a note that says which one it was.  The others are stopped.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from fastnn import MLPClassifier, fit_many
    >>> X, y = load_iris(return_X_y=True)
    >>> params = [{"alpha": 1e-4}, {"alpha": 1.0}]
    >>> models = fit_many(MLPClassifier(max_iter=500), X, y, params=params, seeds=range(3))
    >>> [(model.alpha, model.random_state) for model in models]
    [(0.0001, 0), (0.0001, 1), (0.0001, 2), (1.0, 0), (1.0, 1), (1.0, 2)]
    """
    estimator, settings = clone(estimator), [{}] if params is None else list(params)
    for setting in settings:
        if not isinstance(setting, Mapping):
            raise TypeError(f"params must be dicts of parameters, such as [{{'alpha': 0.1}}], got {setting!r}")
    if seeds is not None:
        if not isinstance(seeds, Iterable):
            raise TypeError(f"seeds must be numbers such as range(8), got {seeds!r}")
        seeds, names = list(seeds), names_of_seeds(estimator)
        if not names:
            raise ValueError(f"seeds are for estimators with a random_state, which {estimator!r} has not")
        settings = [{**setting, **dict.fromkeys(names, seed)} for setting, seed in product(settings, seeds)]
    all_rows = [None] * len(settings) if rows is None else list(rows)
    if len(all_rows) != len(settings):
        raise ValueError(f"rows are for {len(all_rows)} copies, but there are {len(settings)} to be fitted")
    if rows is not None:
        check_consistent_length(X, y)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, X)
    examples = Examples(estimator, X, y)
    drawn = drawn_seeds(estimator, settings)

    def fit(number: int) -> Any:
        setting, chosen = settings[number], all_rows[number]
        try:
            model = with_seed(clone(estimator).set_params(**clone(dict(setting), safe=False)), drawn[number])
            weights = {} if sample_weight is None else {"sample_weight": sample_weight}
            if chosen is None:
                return examples.fit(model, **weights)
            weights = {name: _safe_indexing(weight, chosen) for name, weight in weights.items()}
            return examples.of(chosen).fit(model, **weights)
        except Exception as error:
            error.add_note(f"This was fit {number + 1} of {len(settings)}, with {setting}.")
            raise

    return at_once([partial(fit, number) for number in range(len(settings))], n_jobs)


class Examples:
    """Examples for many fits: what a network would make of them first is made once.

    Parameters
    ----------
    estimator : estimator
        What is fitted, with other parameters perhaps.
    X, y : array-like
        Left as they are, unless the estimator is one of ours that has to make an array of them.
    """

    def __init__(self, estimator: Any, X: Any, y: Any) -> None:
        self.X, self.y, self._names = X, y, None
        if not is_network(estimator) or estimator._has_callbacks():
            return  # nobody knows what they look at
        refuse_masked(X, "X")
        refuse_masked(y, "y")
        if not (type(X) is np.ndarray and X.dtype.char in "fd" and X.flags.c_contiguous):
            self._names = _get_feature_names(X)
            self.X = check_array(
                X,
                accept_sparse=["csr", "csc"],
                dtype=(np.float64, np.float32),
                order="C",
                input_name="X",
                estimator=estimator,
            )
            if issparse(X):
                self.X = self.X.tocsr()
        if y is not None and not issparse(y) and not isinstance(y, np.ndarray):
            self.y = check_array(y, ensure_2d=False, dtype=None, input_name="y", estimator=estimator)

    def of(self, rows: npt.ArrayLike) -> "Examples":
        """Those in these rows."""
        some = object.__new__(Examples)
        some._names, some.X = self._names, _safe_indexing(self.X, rows)
        some.y = None if self.y is None else _safe_indexing(self.y, rows)
        return some

    def fit(self, model: Any, **more: Any) -> Any:
        """The model, fitted with them."""
        model.fit(self.X, self.y, **more) if self.y is not None else model.fit(self.X, **more)
        if self._names is not None:
            model.feature_names_in_ = self._names
        return model


def is_network(estimator: Any) -> bool:
    """Whether it is one of our own, of which is known what it takes; a subclass may take anything."""
    return type(estimator) in (MLPClassifier, MLPRegressor)


def names_of_seeds(estimator: Any) -> list[str]:
    """The parameters that are a `random_state`, of the estimator and of what it consists of."""
    return [name for name in estimator.get_params() if name.split("__")[-1] == "random_state"]


def drawn_seeds(estimator: Any, settings: Sequence[Mapping[str, Any]]) -> list[int]:
    """A seed for each setting, from NumPy's global generator; where none is needed, that is left as it is."""
    own, given, n = estimator.get_params(), [item for setting in settings for item in setting.items()], len(settings)
    is_needed = any(
        value is None and name.split("__")[-1] == "random_state" for name, value in [*own.items(), *given]
    ) or any(hasattr(value, "get_params") for _, value in given)  # which may lack one of its own
    return check_random_state(None).randint(np.iinfo(np.int32).max, size=n).tolist() if is_needed else [0] * n


def with_seed(model: Any, seed: int) -> Any:
    """The model, where what would take its random numbers from NumPy's global generator has this seed.

    That generator is one for all threads: each would wait for the others, and what it got would be chance.
    """
    params = model.get_params()
    without = [name for name in names_of_seeds(model) if params[name] is None]
    return model.set_params(**dict.fromkeys(without, seed)) if without else model


def n_threads_of(n_jobs: int | None) -> int:
    """How many threads n_jobs means; joblib's -1 is all, -2 all but one."""
    if n_jobs is not None and (not isinstance(n_jobs, Integral) or isinstance(n_jobs, bool) or n_jobs == 0):
        raise ValueError(f"n_jobs must be a whole number other than 0, or None, got {n_jobs!r}")
    if n_jobs is None or n_jobs > 0:
        return get_n_threads(n_jobs)
    return max(1, get_n_threads() + 1 + int(n_jobs))


def at_once(tasks: Iterable[Callable[[], T]], n_jobs: int | None = None) -> list[T]:
    """Do tasks on threads of their own, so many at a time, each with its share of the cores.

    What holds in this thread holds in them: who watches, scikit-learn's configuration, NumPy's handling of errors.
    An error in one of them, or Ctrl-C, stops all; nothing goes on after the call.  A task that has tasks of its own
    does them one by one.

    Parameters
    ----------
    tasks : iterable of callable
        They are begun in their order, and forgotten when they are done.
    n_jobs : int or None
        As in `fit_many`.

    Returns
    -------
    list
        What they return, in their order.
    """
    from fastnn.training.calls import BRIEF_AMONG_OURS, Stopped, here

    n_threads, waiting = n_threads_of(n_jobs), deque(enumerate(tasks))
    if here.is_one_of_many:
        return [task() for _, task in waiting]
    results: dict[int, T] = {}
    failed: dict[int, BaseException] = {}
    n_workers, stop, config = min(n_threads, len(waiting)), threading.Event(), get_config()
    share = max(1, n_threads // max(n_workers, 1))

    def work(ended: threading.Event) -> None:
        number, here.brief, here.is_stopped = -1, BRIEF_AMONG_OURS, stop.is_set
        try:
            share_threads(share)
            with config_context(**config):
                while not stop.is_set():
                    try:
                        number, task = waiting.popleft()
                    except IndexError:  # there are no more
                        break
                    results[number] = task()
                    del task
        except Stopped:
            pass
        except BaseException as error:
            failed[number] = error
            stop.set()
        finally:
            ended.set()

    # An event for each, because Ctrl-C in `Thread.join` has Python before 3.13 take the thread for ended.
    ends = [threading.Event() for _ in range(n_workers)]
    threads = [threading.Thread(target=copy_context().run, args=(work, ended), daemon=True) for ended in ends]
    # Filters of warnings are one list for all threads, and blocks that put them back overlap.
    with warnings.catch_warnings(), blas_on_one_thread():
        try:
            for thread in threads:
                thread.start()
            for ended in ends:
                while not ended.wait(LOOK):
                    pass
        finally:
            stop.set()
            for thread, ended in zip(threads, ends, strict=True):
                if thread.ident is not None:
                    ended.wait()
                    thread.join()
    if failed:
        raise failed[min(failed)]
    return [results[number] for number in sorted(results)]
