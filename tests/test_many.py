"""Many networks at once: what a loop would train, on any number of threads, and nothing left behind."""

import _thread
import gc
import os
import signal
import threading
import time
import warnings
import weakref
from functools import partial

import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy.sparse import csc_matrix
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import SGDClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastnn
from fastnn import MLPClassifier, MLPRegressor, fit_many
from fastnn.many import at_once
from fastnn.training import calls, trainer

X, y = load_iris(return_X_y=True)
names = np.array(["setosa", "versicolor", "virginica"])[y]
SMALL = {"hidden_layer_sizes": (5,), "max_iter": 12, "random_state": 0}
ENDLESS = {"max_iter": 10**9, "tol": 0.0, "n_iter_no_change": np.inf}
interrupt = partial(os.kill, os.getpid(), signal.SIGINT) if os.name == "posix" else _thread.interrupt_main
JOBS = pytest.mark.parametrize("n_jobs", [1, 3, None])


def arrays(model):
    network = model[-1] if hasattr(model, "steps") else model
    return [*network.coefs_, *network.intercepts_]


def assert_same(got, expected):
    assert len(got) == len(expected)
    for one, other in zip(got, expected, strict=True):
        for a, b in zip(arrays(one), arrays(other), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.fixture(autouse=True)
def _nothing_is_left_behind():
    before, filters = set(threading.enumerate()), [*warnings.filters]
    yield
    # The helpers of teams wait for the next job.
    assert {thread for thread in threading.enumerate() if not thread.name.startswith("fastnn-")} <= before
    assert warnings.filters == filters


CASES = {
    "adam": (MLPClassifier(**SMALL), X, y),
    "names": (MLPClassifier(**SMALL), X, names),
    "objects": (MLPClassifier(**SMALL), X, names.astype(object)),
    "early stopping": (MLPClassifier(**SMALL, early_stopping=True, validation_fraction=0.3), X, y),
    "dropout, float32": (MLPRegressor(**SMALL, dropout=0.2, average="ema"), X[:, :3].astype(np.float32), X[:, 3]),
    "lbfgs": (MLPRegressor(**SMALL, solver="lbfgs"), X[:, :3], X[:, 3]),
    "several targets": (MLPRegressor(**SMALL, solver="sgd", learning_rate="adaptive"), X[:, :2], X[:, 2:]),
    "sparse": (MLPClassifier(**SMALL), csc_matrix(X), y),
    "Fortran": (MLPClassifier(**SMALL), np.asfortranarray(X), y),
    "lists": (MLPClassifier(**SMALL), X.tolist(), names.tolist()),
    "pipeline": (make_pipeline(StandardScaler(), MLPClassifier(**SMALL)), X, y),
}


@JOBS
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_it_trains_what_a_loop_would_train(case, n_jobs):
    estimator, X, y = case
    prefix = "mlpclassifier__" if hasattr(estimator, "steps") else ""
    params = [{f"{prefix}alpha": 1e-4}, {f"{prefix}alpha": 1.0, f"{prefix}hidden_layer_sizes": (4, 3)}]
    got = fit_many(estimator, X, y, params=params, seeds=[5, 7], n_jobs=n_jobs)
    seeds = [{f"{prefix}random_state": seed} for seed in (5, 7)]
    assert_same(got, [clone(estimator).set_params(**p, **s).fit(X, y) for p in params for s in seeds])


def test_the_estimator_and_the_parameters_of_the_copies_stay_what_they_are():
    estimator = MLPClassifier(**SMALL, n_threads=2)
    models = fit_many(estimator, X, y, params=[{"alpha": 0.1}], seeds=[3, 4])
    assert not hasattr(estimator, "coefs_")
    assert [model.get_params() for model in models] == [
        {**estimator.get_params(), "alpha": 0.1, "random_state": seed} for seed in (3, 4)
    ]


def test_a_table_gives_its_names_and_the_same_bits():
    table = pd.DataFrame(X, columns=["a", "b", "c", "d"])
    (model,) = fit_many(MLPClassifier(**SMALL), table, pd.Series(y))
    assert list(model.feature_names_in_) == ["a", "b", "c", "d"]
    assert_same([model], [MLPClassifier(**SMALL).fit(table, y)])
    np.testing.assert_array_equal(model.predict(table), model.predict(table))  # and no warning of missing names


def test_what_all_learn_from_is_not_copied(monkeypatch):
    seen, init = [], trainer.Trainer.__init__

    def note(self, network, theta, optimizer, X, *args, **kwargs):
        init(self, network, theta, optimizer, X, *args, **kwargs)
        seen.append(self.X)

    monkeypatch.setattr(trainer.Trainer, "__init__", note)
    fit_many(MLPClassifier(**SMALL), X, y, seeds=range(3))
    fortran = np.asfortranarray(X)
    fit_many(MLPClassifier(**SMALL), fortran, y, seeds=range(2))
    assert [np.shares_memory(each, X) for each in seen] == [True] * 3 + [False] * 2
    assert np.shares_memory(*seen[3:])  # which was made once


@JOBS
def test_each_may_learn_from_rows_of_its_own(n_jobs):
    rng, weight = np.random.default_rng(0), np.arange(150.0) % 4
    rows = [rng.integers(0, 150, 90), np.flatnonzero(y != 1), y > 0]
    got = fit_many(MLPClassifier(**SMALL), X, y, seeds=range(3), rows=rows, sample_weight=weight, n_jobs=n_jobs)
    expected = [
        MLPClassifier(**SMALL | {"random_state": seed}).fit(X[rows[seed]], y[rows[seed]], weight[rows[seed]])
        for seed in range(3)
    ]
    assert_same(got, expected)


def test_weights_are_those_of_all():
    weight = np.arange(150.0) % 4
    got = fit_many(MLPClassifier(**SMALL), X, y, seeds=[0], sample_weight=weight)
    assert_same(got, [MLPClassifier(**SMALL).fit(X, y, weight)])


@pytest.mark.parametrize("estimator", [MLPClassifier(max_iter=3), make_pipeline(MLPClassifier(max_iter=3))], ids=str)
def test_without_a_random_state_each_has_a_seed_of_numpys_global_generator(estimator):
    def models(n_jobs):
        np.random.seed(3)  # noqa: NPY002
        return fit_many(estimator, X, y, params=[{}] * 4, n_jobs=n_jobs)

    one, three = models(1), models(3)
    assert_same(one, three)
    assert not np.array_equal(arrays(one[0])[0], arrays(one[1])[0])
    assert_same(one[1:2], [clone(one[1]).fit(X, y)])  # the seed is its parameter now


@pytest.mark.parametrize("wrap", [lambda network: network, make_pipeline], ids=["alone", "pipeline"])
@pytest.mark.parametrize("random_state", [0, None])
def test_numpys_global_generator_is_asked_only_where_a_seed_is_missing(random_state, wrap):
    np.random.seed(3)  # noqa: NPY002
    before = np.random.get_state()[2]  # noqa: NPY002
    fit_many(wrap(MLPClassifier(**SMALL | {"random_state": random_state})), X, y, params=[{}] * 2)
    assert (np.random.get_state()[2] == before) == (random_state == 0)  # noqa: NPY002


def test_estimators_of_others_are_fitted_as_well():
    got = fit_many(SGDClassifier(max_iter=20, tol=None), X, y, seeds=range(4), n_jobs=2)
    expected = [SGDClassifier(max_iter=20, tol=None, random_state=seed).fit(X, y) for seed in range(4)]
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_array_equal(one.coef_, other.coef_)


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"params": [{"alpha": 1.0}, {"alpha": -1.0}]}, ValueError, "'alpha' parameter of MLPClassifier must be"),
        ({"params": [{"alpha": 1.0}, {"alpha": -1.0}]}, ValueError, r"fit 2 of 2, with {'alpha': -1.0}"),
        ({"params": [{"beta": 1.0}]}, ValueError, "Invalid parameter 'beta'"),
        ({"params": {"alpha": 1.0}}, TypeError, r"params must be dicts of parameters, .* got 'alpha'"),
        ({"seeds": 3}, TypeError, r"seeds must be numbers such as range\(8\), got 3"),
        ({"rows": [np.arange(5)] * 2}, ValueError, "rows are for 2 copies, but there are 1 to be fitted"),
        ({"rows": [np.array([150])]}, IndexError, "fit 1 of 1"),
        ({"n_jobs": 0}, ValueError, "n_jobs must be a whole number other than 0, or None, got 0"),
        ({"n_jobs": 1.5}, ValueError, "n_jobs must be a whole number other than 0, or None, got 1.5"),
        ({"X": [["a"]], "y": [0]}, ValueError, "could not convert string to float"),
        ({"X": np.full((150, 4), np.nan)}, ValueError, "(?s)Input X contains NaN.*fit 1 of 1"),
        ({"X": np.ma.masked_less(X, 1)}, ValueError, "Input X contains masked values"),
        ({"y": y[:-1]}, ValueError, "inconsistent numbers of samples"),
        ({"y": y[:-1], "rows": [np.arange(5)]}, ValueError, "inconsistent numbers of samples"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused(wrong, error, message):
    with pytest.raises(error, match=message):
        fit_many(**{"estimator": MLPClassifier(**SMALL), "X": X, "y": y} | wrong)


def test_seeds_are_for_what_has_a_random_state():
    with pytest.raises(ValueError, match="seeds are for estimators with a random_state, which StandardScaler"):
        fit_many(StandardScaler(), X, seeds=[1])
    assert len(fit_many(StandardScaler(), X, params=[{}, {"with_mean": False}])) == 2


def test_an_error_stops_the_others():
    params = [ENDLESS, ENDLESS, {"alpha": -1.0}]
    with pytest.raises(ValueError, match="fit 3 of 3"):
        fit_many(MLPClassifier(**SMALL), X, y, params=params, n_jobs=3)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_an_interrupt_stops_all(solver):
    endless = {"max_iter": 10**9, "max_fun": 10**9, "tol": 0.0} if solver == "lbfgs" else ENDLESS
    estimator = MLPRegressor(**SMALL | endless, solver=solver)
    hard = np.random.default_rng(0).standard_normal((400, 2))
    timer = threading.Timer(
        0.3, interrupt
    )  # when all are at work: hypothesis swallows what comes while it counts garbage
    timer.start()
    with pytest.raises(KeyboardInterrupt):  # L-BFGS comes to an end now and then
        fit_many(estimator, hard[:, :1], hard[:, 1], seeds=range(1000), n_jobs=2)
    timer.join()


def test_an_interrupt_is_heard_while_somebody_watches():
    at_work, sent = set(), []

    def look(epoch):
        at_work.add(threading.get_ident())
        if len(at_work) == 2 and not sent:
            sent.append(True)
            _thread.interrupt_main()

    with pytest.raises(KeyboardInterrupt), fastnn.watch(look):
        fit_many(MLPClassifier(**SMALL | ENDLESS), X, y, seeds=range(3), n_jobs=2)


def test_an_interrupt_that_a_watcher_raises_stops_all():
    def look(epoch):
        if epoch.n_iter == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), fastnn.watch(look):
        fit_many(MLPClassifier(**SMALL | ENDLESS), X, y, seeds=range(3), n_jobs=2)


def test_warnings_are_heard():
    with pytest.warns(ConvergenceWarning, match="Maximum iterations") as heard:
        fit_many(MLPClassifier(**SMALL), X, y, seeds=range(3), n_jobs=3)
    assert len(heard) == 3


def test_a_warning_that_is_an_error_is_one():
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        with pytest.raises(ConvergenceWarning, match="fit 1 of 1"):
            fit_many(MLPClassifier(**SMALL), X, y, seeds=[0])


def test_filters_that_overlapping_blocks_leave_behind_are_put_back():
    first, second = threading.Event(), threading.Event()

    def outer():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            first.set()
            second.wait(10)

    def inner():
        first.wait(10)
        with warnings.catch_warnings():
            second.set()
            time.sleep(0.05)  # its end comes after that of the other

    at_once([outer, inner], 2)  # the fixture looks


def test_what_holds_here_holds_in_the_threads():
    epochs = []
    with fastnn.watch(epochs.append), sklearn.config_context(assume_finite=True), np.errstate(over="raise"):
        found = at_once([lambda: (sklearn.get_config()["assume_finite"], np.geterr()["over"])] * 2, 2)
        fit_many(MLPClassifier(**SMALL), X, y, seeds=range(2), n_jobs=2)
    assert found == [(True, "raise")] * 2
    assert sorted(epoch.n_iter for epoch in epochs) == [epoch for epoch in range(1, 13) for _ in range(2)]


def test_each_has_its_share_of_the_threads():
    limit = fastnn.get_n_threads(4)
    assert at_once([fastnn.get_n_threads] * 8, 4) == [1] * 8
    assert at_once([fastnn.get_n_threads] * 2, 4) == [max(1, limit // 2)] * 2
    assert fastnn.get_n_threads(4) == limit


def test_so_many_work_at_a_time():
    together = threading.Barrier(3)
    assert at_once([lambda: together.wait(10) >= 0] * 9, 3) == [True] * 9
    threads = at_once([threading.get_ident] * 5, 1)
    assert len(set(threads)) == 1
    assert threads[0] != threading.get_ident()


def test_tasks_of_a_task_are_done_by_its_thread():
    for inner, own in at_once([lambda: (at_once([threading.get_ident] * 3, 3), threading.get_ident())] * 2, 2):
        assert inner == [own] * 3


def test_tasks_are_forgotten_when_they_are_done():
    class Task:
        def __call__(self):
            gc.collect()
            return len([task for task in known if task() is not None])

    tasks = [Task() for _ in range(3)]
    known = [weakref.ref(task) for task in tasks]
    assert at_once((tasks.pop(0) for _ in range(3)), 1) == [3, 2, 1]


def test_a_call_beside_others_of_ours_lets_go_of_the_lock_sooner():
    assert calls.here.keeps_gil(1e-3)
    assert at_once([lambda: calls.here.keeps_gil(1e-3), lambda: calls.here.keeps_gil(1e-5)], 1) == [False, True]
