"""Searches: scikit-learn's results, on the threads of one process; and weak candidates that stop early."""

import _thread
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import loguniform
from sklearn import datasets, model_selection, neural_network
from sklearn import model_selection as theirs
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.linear_model import Ridge
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.multioutput import MultiOutputRegressor
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks

import fastnn
from fastnn import EnsembleClassifier, GridSearchCV, MLPClassifier, MLPRegressor, RandomizedSearchCV, progress, searches

X, y = datasets.load_iris(return_X_y=True)
SMALL = {"hidden_layer_sizes": (6,), "max_iter": 20, "random_state": 0}
GRID = {"alpha": [1e-4, 1.0], "learning_rate_init": [0.001, 0.03]}
WIDE = {"alpha": [1e-4, 1.0], "learning_rate_init": [1e-5, 1e-3, 3e-3, 0.01, 0.03]}


def assert_same_results(got, expected, without=("time",)):
    got, expected = (
        {name: column for name, column in results.items() if not any(word in name for word in without)}
        for results in (got, expected)
    )
    assert list(got) == list(expected)
    for name, column in got.items():
        np.testing.assert_array_equal(column, expected[name], err_msg=name)


SEARCHES = {
    "plain": (MLPClassifier(**SMALL), GRID, {}),
    "multimetric": (MLPClassifier(**SMALL), GRID, {"scoring": ["accuracy", "neg_log_loss"], "refit": "neg_log_loss"}),
    "train scores": (MLPClassifier(**SMALL), GRID, {"return_train_score": True, "refit": False}),
    "two grids": (MLPClassifier(**SMALL), [{"alpha": [1.0]}, {"activation": ["tanh"]}], {"scoring": "f1_macro"}),
    "pipeline": (
        make_pipeline(StandardScaler(), MLPClassifier(**SMALL)),
        {"mlpclassifier__alpha": [0.1, 1.0], "standardscaler": [StandardScaler(with_mean=False), "passthrough"]},
        {},
    ),
    "a scorer of one's own": (
        MLPClassifier(**SMALL),
        GRID,
        {"scoring": lambda model, X, y: {"right": model.score(X, y), "rows": len(X)}, "refit": "right"},
    ),
    "another estimator": (DecisionTreeClassifier(random_state=0), {"max_depth": [1, 2]}, {}),
    "distances": (KNeighborsClassifier(), {"metric": ["euclidean"], "n_neighbors": [1, 5]}, {}),
}


@pytest.mark.parametrize("n_jobs", [1, 3])
@pytest.mark.parametrize("case", SEARCHES.values(), ids=SEARCHES)
def test_results_are_those_of_scikit_learns_search(case, n_jobs):
    estimator, grid, more = case
    got, expected = (
        library.GridSearchCV(estimator, grid, cv=3, n_jobs=jobs, **more).fit(X, y)
        for library, jobs in ((fastnn, n_jobs), (theirs, 1))
    )
    assert_same_results(got.cv_results_, expected.cv_results_)
    for name in ("best_index_", "best_params_", "best_score_", "n_splits_", "multimetric_", "n_features_in_"):
        assert getattr(got, name, None) == getattr(expected, name, None), name
    if more.get("refit", True):
        np.testing.assert_array_equal(got.predict(X), expected.predict(X))
        assert got.refit_time_ > 0


def test_scores_are_those_of_scikit_learns_network():
    got, expected = (
        search(network(**SMALL), GRID, cv=3).fit(X, y)
        for search, network in (
            (GridSearchCV, MLPClassifier),
            (theirs.GridSearchCV, neural_network.MLPClassifier),
        )
    )
    np.testing.assert_allclose(got.cv_results_["mean_test_score"], expected.cv_results_["mean_test_score"], rtol=1e-12)


def test_a_matrix_of_distances_is_cut_in_columns_too():
    distances = np.abs(X[:, :1] - X[:, 0])
    search = GridSearchCV(KNeighborsClassifier(metric="precomputed"), {"n_neighbors": [1, 5]}, cv=3).fit(distances, y)
    expected = theirs.GridSearchCV(KNeighborsClassifier(metric="precomputed"), {"n_neighbors": [1, 5]}, cv=3)
    assert_same_results(search.cv_results_, expected.fit(distances, y).cv_results_)


def test_random_candidates_are_those_of_scikit_learns_search():
    got, expected = (
        library.RandomizedSearchCV(
            MLPRegressor(**SMALL), {"alpha": loguniform(1e-4, 1), "activation": ["tanh", "relu"]}, n_iter=4, cv=2
        )
        .set_params(random_state=3)
        .fit(X[:, :3], X[:, 3])
        for library in (fastnn, theirs)
    )
    assert_same_results(got.cv_results_, expected.cv_results_)


def test_weights_and_groups_go_where_they_go_in_scikit_learns():
    given = {"sample_weight": np.arange(150.0) % 3, "groups": np.arange(150) % 5}
    got, expected = (
        library.GridSearchCV(MLPClassifier(**SMALL), GRID, cv=model_selection.GroupKFold(3)).fit(X, y, **given)
        for library in (fastnn, theirs)
    )
    assert_same_results(got.cv_results_, expected.cv_results_)


def test_a_table_is_searched_as_a_table():
    table = pd.DataFrame(X, columns=["a", "b", "c", "d"])

    def scorer(model, X, y):
        return accuracy_score(y, model.predict(X[list(model.feature_names_in_)]))

    got, expected = (
        library.GridSearchCV(MLPClassifier(**SMALL), GRID, cv=2, scoring=scorer).fit(table, pd.Series(y))
        for library in (fastnn, theirs)
    )
    assert_same_results(got.cv_results_, expected.cv_results_)
    assert list(got.feature_names_in_) == ["a", "b", "c", "d"]


def test_each_fold_is_cut_once_and_forgotten_after_its_last_candidate(monkeypatch):
    cuts, folds, safe_split, leave = [], [], searches._safe_split, searches._Fold.leave

    def cut(*args):
        cuts.append(args)
        return safe_split(*args)

    def note(fold):
        leave(fold)
        folds.append(len(fold._cuts))

    monkeypatch.setattr(searches, "_safe_split", cut)
    monkeypatch.setattr(searches._Fold, "leave", note)
    GridSearchCV(MLPClassifier(**SMALL), GRID, cv=3, n_jobs=1).fit(X, y)
    assert len(cuts) == 6  # to train on, and to score
    assert folds == [1, 1, 1, 0] * 3


def test_without_a_random_state_each_fit_has_a_seed_of_numpys_global_generator():
    def scores(n_jobs):
        np.random.seed(0)  # noqa: NPY002
        search = GridSearchCV(MLPClassifier(max_iter=5), GRID, cv=3, n_jobs=n_jobs, refit=False).fit(X, y)
        return search.cv_results_["mean_test_score"]

    one, three = scores(1), scores(3)
    np.testing.assert_array_equal(one, three)
    assert len(set(one)) > 1


@pytest.mark.parametrize("n_jobs", [1, 3])
def test_a_candidate_that_cannot_be_fitted_has_the_score_of_errors(n_jobs):
    search = GridSearchCV(MLPClassifier(**SMALL), {"alpha": [1.0, -1.0]}, cv=3, n_jobs=n_jobs, error_score=-7.0)
    with pytest.warns(match="3 fits failed out of a total of 6"):
        search.fit(X, y)
    assert search.cv_results_["mean_test_score"][1] == -7
    with pytest.raises(ValueError, match=r"This was a fit with alpha=-1\.0"):
        search.set_params(error_score="raise").fit(X, y)


def test_a_scorer_that_fails_is_told_of():
    def fails(model, X, y):
        raise RuntimeError("no score today")

    search = GridSearchCV(MLPClassifier(**SMALL), GRID, cv=2, scoring=fails, refit=False)
    with pytest.warns(match="no score today"), pytest.warns(match="non-finite"):
        search.fit(X, y)
    assert np.isnan(search.cv_results_["mean_test_score"]).all()


def test_what_is_printed_is_what_scikit_learn_prints(capsys):
    def printed(library, verbose, scoring):
        search = library.GridSearchCV(MLPClassifier(**SMALL), {"alpha": [0.1]}, cv=2, verbose=verbose, scoring=scoring)
        search.set_params(n_jobs=1, refit=False, return_train_score=True).fit(X, y)
        return re.sub(r"[\d.]+(s|min)$", "", capsys.readouterr().out, flags=re.M)

    for verbose, scoring in ((1, None), (2, None), (3, None), (3, ["accuracy", "f1_macro"])):
        assert printed(fastnn, verbose, scoring) == printed(theirs, verbose, scoring)
    assert "[CV 1/2; 1/1] START ..." in printed(fastnn, 10, None)


def test_a_search_is_copied_and_pickled():
    search = GridSearchCV(MLPClassifier(**SMALL), GRID, cv=2, stop_weak=5).fit(X, y)
    again = pickle.loads(pickle.dumps(search))
    np.testing.assert_array_equal(again.predict(X), search.predict(X))
    assert clone(search).stop_weak == 5
    assert not hasattr(clone(search), "cv_results_")


def test_an_interrupt_stops_all():
    before = threading.enumerate()
    endless = MLPClassifier(max_iter=10**9, tol=0.0, n_iter_no_change=np.inf)
    interrupt = partial(os.kill, os.getpid(), signal.SIGINT) if os.name == "posix" else _thread.interrupt_main
    timer = threading.Timer(0.3, interrupt)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        GridSearchCV(endless, GRID, cv=2, n_jobs=2, stop_weak=10**8).fit(X, y)
    timer.join()
    assert [thread for thread in threading.enumerate() if not thread.name.startswith("fastnn-")] == [
        thread for thread in before if not thread.name.startswith("fastnn-")
    ]


def test_a_search_of_ensembles_is_one_of_threads():
    ensemble = EnsembleClassifier(MLPClassifier(**SMALL), 2, random_state=0)
    got, expected = (
        library.GridSearchCV(ensemble, {"n_estimators": [1, 2]}, cv=2).fit(X, y) for library in (fastnn, theirs)
    )
    assert_same_results(got.cv_results_, expected.cv_results_)


def test_callbacks_of_the_search_are_called():
    pytest.importorskip("sklearn.callback", reason="scikit-learn has callbacks from 1.9 on")
    search = GridSearchCV(MLPClassifier(**SMALL), GRID, cv=2)
    told = []

    class Callback:
        def setup(self, estimator, context):
            told.append("setup")

        def teardown(self, estimator, context):
            told.append("teardown")

        def on_fit_task_begin(self, estimator, context, **more):
            told.append(context.task_name)

        def on_fit_task_end(self, estimator, context, **more):
            pass

    search.set_callbacks(Callback()).fit(X, y)
    assert told.count("candidate-split-evaluation") == 8
    with pytest.raises(ValueError, match="stop_weak is for searches without callbacks"):
        search.set_params(stop_weak=3).fit(X, y)


def test_scikit_learns_own_tests_pass():
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", "/"]
        + ["-p", "search_swap", "--pyargs", "sklearn.model_selection.tests.test_search"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stdout
    assert int(re.search(r"(\d+) passed", run.stdout)[1]) > 80


QUICK = {"hidden_layer_sizes": (20,), "learning_rate_init": 0.02, "max_iter": 60, "random_state": 0}
CHECKED = [
    GridSearchCV(MLPClassifier(**QUICK), {"alpha": [1e-3, 1.0]}, cv=2),
    RandomizedSearchCV(MLPRegressor(**QUICK), {"alpha": [1e-3, 1.0]}, n_iter=2, cv=2, stop_weak=10),
]


@parametrize_with_checks(CHECKED)
@pytest.mark.filterwarnings("ignore")
def test_scikit_learns_checks_of_estimators(estimator, check):
    check(estimator)


# Fits in parts.

PARTS = {
    "adam": (MLPClassifier, {}),
    "until it converges": (MLPClassifier, {"tol": 0.1, "n_iter_no_change": 2}),
    "early stopping": (MLPClassifier, {"early_stopping": True, "validation_fraction": 0.3, "n_iter_no_change": 4}),
    "scorer": (MLPClassifier, {"early_stopping": True, "validation_fraction": 0.3, "scoring": "neg_log_loss"}),
    "by the progress": (MLPRegressor, {"learning_rate": "cosine", "warmup": 0.2, "average": "swa", "dropout": 0.1}),
    "adaptive": (MLPRegressor, {"solver": "sgd", "learning_rate": "adaptive", "tol": 1e-2, "n_iter_no_change": 2}),
    "invscaling": (MLPRegressor, {"solver": "sgd", "learning_rate": "invscaling"}),
    "lbfgs": (MLPRegressor, {"solver": "lbfgs"}),
}


def target(kind):
    return y if kind is MLPClassifier else X[:, 0]


@pytest.mark.parametrize("case", PARTS.values(), ids=PARTS)
def test_a_fit_in_parts_comes_to_the_same_bits(case):
    kind, parameters = case
    expected, got = (kind(**SMALL | parameters) for _ in range(2))
    expected.fit(X, target(kind))
    with progress.in_parts([3, 4, 11]) as fits:
        got.fit(X, target(kind))
    (parts,) = fits
    paused = [epoch for epoch in parts if got.predict(X) is not None]
    assert paused == ([] if got.solver == "lbfgs" else [epoch for epoch in (3, 4, 11) if epoch < expected.n_iter_])
    for name in "n_iter_", "loss_", "loss_curve_", "best_loss_", "validation_scores_":
        assert getattr(got, name, None) == getattr(expected, name, None), name
    for a, b in zip([*got.coefs_, *got.intercepts_], [*expected.coefs_, *expected.intercepts_], strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_fit_that_is_left_at_a_pause_is_that_of_so_many_epochs(early_stopping):
    parameters = SMALL | {"early_stopping": early_stopping, "validation_fraction": 0.3}
    expected, got = (MLPClassifier(**parameters | {"max_iter": n}) for n in (7, 20))
    expected.fit(X, y)
    with progress.in_parts([7]) as fits:
        got.fit(X, y)
    assert next(fits[0]) == 7
    at_the_pause = got.predict_proba(X)
    fits[0].close()
    np.testing.assert_array_equal(at_the_pause, got.predict_proba(X))
    np.testing.assert_array_equal(at_the_pause, expected.predict_proba(X))


def test_a_fit_that_is_left_before_it_trains_leaves_the_model_as_it_was():
    model = MLPClassifier(**SMALL)
    with progress.in_parts([7]) as fits:
        model.fit(X, y)
    fits[0].close()
    assert not hasattr(model, "coefs_")


# Weak candidates.


@pytest.mark.parametrize("n_jobs", [1, 3])
def test_weak_candidates_stop_and_the_others_come_to_the_same_scores(n_jobs):
    everything = GridSearchCV(MLPClassifier(**SMALL), WIDE, cv=3, n_jobs=1).fit(X, y)
    search = GridSearchCV(MLPClassifier(**SMALL), WIDE, cv=3, n_jobs=n_jobs, stop_weak=2).fit(X, y)
    stopped = search.cv_results_["stopped_epoch"]
    assert sorted(stopped) == [0] + [2] * 6 + [6] * 2 + [18]  # of 10, 4 go on, then 2, then 1
    for split in range(3):
        scores = search.cv_results_[f"split{split}_test_score"]
        full = everything.cv_results_[f"split{split}_test_score"]
        np.testing.assert_array_equal(scores[stopped == 0], full[stopped == 0])
    for epoch in 2, 6, 18:  # and those that were stopped have the scores that they had then
        short = GridSearchCV(MLPClassifier(**SMALL | {"max_iter": epoch}), WIDE, cv=3).fit(X, y)
        means = short.cv_results_["mean_test_score"]
        np.testing.assert_array_equal(search.cv_results_["mean_test_score"][stopped == epoch], means[stopped == epoch])
        left = (stopped == 0) | (stopped >= epoch)
        assert means[stopped == epoch].max() <= means[left & (stopped != epoch)].min()
    assert stopped[search.best_index_] == 0
    assert search.best_params_ == search.cv_results_["params"][list(stopped).index(0)]


def test_a_candidate_that_was_stopped_is_not_the_best_whatever_its_score_was():
    # After two epochs the fast one is ahead; what comes after that makes it worse than the slow one was by then.
    scores = {2: {"slow": 0.5, "fast": 0.9}, 20: {"slow": 0.6, "fast": 0.1}}

    def score(model, X, y):
        return scores[model.n_iter_]["fast" if model.learning_rate_init > 0.01 else "slow"]

    search = GridSearchCV(
        MLPClassifier(**SMALL), {"learning_rate_init": [0.001, 0.03]}, cv=2, stop_weak=2, scoring=score
    )
    search.fit(X, y)
    assert search.cv_results_["stopped_epoch"].tolist() == [2, 0]
    assert search.cv_results_["mean_test_score"].tolist() == [0.5, 0.1]
    assert search.best_params_ == {"learning_rate_init": 0.03}


def test_one_candidate_alone_is_not_stopped():
    search = GridSearchCV(MLPClassifier(**SMALL), {"alpha": [1.0]}, cv=2, stop_weak=3).fit(X, y)
    assert search.cv_results_["stopped_epoch"].tolist() == [0]


def test_fits_that_are_over_are_not_stopped_but_count():
    quick = {"alpha": [1e-4, 1.0, 10.0], "max_iter": [4]}
    slow = {"alpha": [1e-4, 1.0, 10.0], "max_iter": [20]}
    search = GridSearchCV(MLPClassifier(**SMALL), [quick, slow], cv=2, stop_weak=5).fit(X, y)
    stopped = search.cv_results_["stopped_epoch"]
    assert stopped[:3].tolist() == [0] * 3
    assert set(stopped) <= {0, 5, 15}


ONE_NETWORK = {
    "pipeline": lambda network: make_pipeline(StandardScaler(), network),
    "transformed target": lambda network: TransformedTargetRegressor(network, transformer=StandardScaler()),
}


@pytest.mark.parametrize("wrapped", ONE_NETWORK.values(), ids=ONE_NETWORK)
def test_what_holds_one_network_may_stop(wrapped):
    estimator = wrapped(MLPRegressor(**SMALL))
    (prefix,) = [name.removesuffix("alpha") for name in estimator.get_params() if name.endswith("alpha")]
    grid = {f"{prefix}{name}": values for name, values in WIDE.items()}
    everything = GridSearchCV(estimator, grid, cv=2).fit(X[:, 1:], X[:, 0])
    search = GridSearchCV(estimator, grid, cv=2, stop_weak=3).fit(X[:, 1:], X[:, 0])
    stopped = search.cv_results_["stopped_epoch"]
    assert sorted(stopped) == [0] + [3] * 6 + [9] * 2 + [0] or sorted(stopped) == [0, 0] + [3] * 6 + [9] * 2
    full = everything.cv_results_["mean_test_score"]
    np.testing.assert_array_equal(search.cv_results_["mean_test_score"][stopped == 0], full[stopped == 0])


@pytest.mark.parametrize(
    ("estimator", "trains"),
    [(Ridge(), "none"), (MultiOutputRegressor(MLPRegressor(**SMALL)), "2")],
    ids=["none", "two"],
)
def test_what_cannot_be_trained_in_parts_is_refused(estimator, trains):
    name = "alpha" if trains == "none" else "estimator__alpha"
    with pytest.raises(ValueError, match=f"(?s)stop_weak is for estimators that train one network.*trains {trains}"):
        GridSearchCV(estimator, {name: [1.0, 2.0]}, cv=2, stop_weak=3).fit(X[:, :2], X[:, 2:])


def test_who_goes_on_is_decided_by_one_score():
    scoring = {"accuracy": "accuracy", "loss": make_scorer(accuracy_score)}
    search = GridSearchCV(MLPClassifier(**SMALL), GRID, cv=2, stop_weak=3, scoring=scoring, refit=False)
    with pytest.raises(ValueError, match="stop_weak goes by one score: refit must be its name, got refit=False"):
        search.fit(X, y)
    search.set_params(refit="loss").fit(X, y)
    assert "stopped_epoch" in search.cv_results_


def test_a_candidate_that_fails_is_the_weakest():
    search = GridSearchCV(MLPClassifier(**SMALL), {"alpha": [-1.0, 1e-3, 1.0]}, cv=2, stop_weak=3)
    with pytest.warns(match="2 fits failed"), pytest.warns(match="non-finite"):
        search.fit(X, y)
    assert search.best_params_["alpha"] > 0


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "3"])
def test_stop_weak_is_an_epoch(wrong):
    with pytest.raises(ValueError, match="'stop_weak' parameter of GridSearchCV must be"):
        GridSearchCV(MLPClassifier(**SMALL), GRID, stop_weak=wrong).fit(X, y)
