"""The estimators where they are used: in pipelines, searches and ensembles; beside threads, forks and processes."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pandas as pd
import polars
import pytest
from sklearn import neural_network as theirs
from sklearn import set_config
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.datasets import load_iris
from sklearn.ensemble import BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401  (it makes the search importable)
from sklearn.inspection import partial_dependence, permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    RandomizedSearchCV,
    cross_validate,
    learning_curve,
)
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from threadpoolctl import threadpool_info

import fastnn
from fastnn import MLPClassifier, MLPRegressor
from fastnn.training import prediction, trainer

pytestmark = pytest.mark.filterwarnings("ignore")

X, y = load_iris(return_X_y=True)
frame = pd.DataFrame(X, columns=["a", "b", "c", "d"]).assign(kind=np.where(X[:, 0] > 6, "big", "small"))
SMALL = {"hidden_layer_sizes": (5,), "max_iter": 15, "random_state": 0}


def columns(model):
    return make_pipeline(
        ColumnTransformer([("numbers", StandardScaler(), ["a", "b", "c", "d"]), ("text", OneHotEncoder(), ["kind"])]),
        model,
    )


COMPOSITES = {
    "Pipeline": lambda model: make_pipeline(StandardScaler(), model).fit(X, y).predict_proba(X),
    "ColumnTransformer": lambda model: columns(model).fit(frame, y).predict_proba(frame),
    "GridSearchCV": lambda model: (
        GridSearchCV(model, {"alpha": [1e-4, 1], "activation": ["relu", "tanh"]}, cv=2)
        .fit(X, y)
        .cv_results_["mean_test_score"]
    ),
    "RandomizedSearchCV": lambda model: (
        RandomizedSearchCV(model, {"learning_rate_init": [0.001, 0.01, 0.1]}, n_iter=2, cv=2, random_state=0)
        .fit(X, y)
        .predict_proba(X)
    ),
    "HalvingGridSearchCV": lambda model: (
        HalvingGridSearchCV(
            model, {"alpha": [1e-4, 1e-2]}, resource="max_iter", max_resources=8, min_resources=4, cv=2, random_state=0
        )
        .fit(X, y)
        .predict_proba(X)
    ),
    "VotingClassifier": lambda model: (
        VotingClassifier([("mlp", model), ("line", LogisticRegression())], voting="soft").fit(X, y).predict_proba(X)
    ),
    "StackingClassifier": lambda model: StackingClassifier([("mlp", model)], cv=2).fit(X, y).predict_proba(X),
    "BaggingClassifier": lambda model: BaggingClassifier(model, 3, random_state=0).fit(X, y).predict_proba(X),
    "CalibratedClassifierCV": lambda model: CalibratedClassifierCV(model, cv=2).fit(X, y).predict_proba(X),
    "MultiOutputClassifier": lambda model: np.stack(
        MultiOutputClassifier(model).fit(X, np.stack([y, 2 - y], axis=1)).predict_proba(X)
    ),
    "permutation_importance": lambda model: (
        permutation_importance(model.fit(X, y), X, y, n_repeats=2, random_state=0).importances
    ),
    "learning_curve": lambda model: learning_curve(
        model, X, y, cv=2, train_sizes=[0.5, 1.0], shuffle=True, random_state=0
    )[2],
    "partial_dependence": lambda model: (
        partial_dependence(model.fit(X, y), X, [0], grid_resolution=5, kind="average").average
    ),
}


@pytest.mark.parametrize("composite", COMPOSITES.values(), ids=COMPOSITES)
def test_it_does_there_what_scikit_learns_does(composite):
    got, expected = (composite(library.MLPClassifier(**SMALL)) for library in (fastnn, theirs))
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-7)


def test_a_transformed_target():
    got, expected = (
        TransformedTargetRegressor(library.MLPRegressor(**SMALL), transformer=StandardScaler())
        .fit(X[:, :3], X[:, 3])
        .predict(X[:, :3])
        for library in (fastnn, theirs)
    )
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_sample_weights_are_routed():
    weight = np.random.default_rng(0).uniform(0, 2, len(X))
    set_config(enable_metadata_routing=True)
    try:
        scores = [
            cross_validate(
                make_pipeline(
                    StandardScaler().set_fit_request(sample_weight=False),
                    library.MLPClassifier(**SMALL)
                    .set_fit_request(sample_weight=True)
                    .set_score_request(sample_weight=True),
                ),
                X,
                y,
                cv=2,
                params={"sample_weight": weight},
            )["test_score"]
            for library in (fastnn, theirs)
        ]
    finally:
        set_config(enable_metadata_routing=False)
    np.testing.assert_allclose(scores[0], scores[1])


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames_bring_their_names(library):
    table = frame[["a", "b", "c", "d"]]
    if library == "polars":
        table = polars.DataFrame(table.to_dict("list"))
    model = MLPClassifier(**SMALL).fit(table, y)
    assert list(model.feature_names_in_) == ["a", "b", "c", "d"]
    np.testing.assert_array_equal(model.predict(table), MLPClassifier(**SMALL).fit(X, y).predict(X))
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(frame[["d", "c", "b", "a"]])


def test_it_is_shown_in_a_notebook():
    assert "MLPClassifier" in MLPClassifier(alpha=0.5)._repr_html_()
    assert repr(MLPClassifier(alpha=0.5)) == "MLPClassifier(alpha=0.5)"


def test_a_saved_model_holds_weights_and_what_training_needs_to_go_on(tmp_path):
    data = np.random.default_rng(0).standard_normal((300, 51))
    model = MLPRegressor(random_state=0, max_iter=3).fit(data[:, :50], data[:, 50])
    joblib.dump(model, tmp_path / "model")
    weights = sum(array.nbytes for array in (*model.coefs_, *model.intercepts_))
    assert (tmp_path / "model").stat().st_size < 3.1 * weights  # and the two moments of Adam
    model = joblib.load(tmp_path / "model", mmap_mode="r")
    assert model.predict(np.ones((1, 50))).shape == (1,)


def fitted(seed, n_threads=None):
    return MLPClassifier((40,), max_iter=10, random_state=seed, n_threads=n_threads).fit(X, y).predict_proba(X)


@pytest.fixture
def teams(monkeypatch):
    """Even small steps are taken by teams."""
    monkeypatch.setattr(trainer, "SERIAL_BELOW", 0)
    monkeypatch.setattr(prediction, "PREDICT_SERIAL_BELOW", 0)
    monkeypatch.setattr("fastnn.system._n_threads", 4)
    monkeypatch.setattr("joblib.cpu_count", lambda: 4)


def test_fits_in_several_threads_at_once(teams):
    expected = [fitted(seed) for seed in range(8)]
    with ThreadPoolExecutor(4) as pool:
        got = list(pool.map(fitted, range(8)))
    np.testing.assert_array_equal(got, expected)


def test_blas_has_its_threads_again_after_lbfgs_in_several_threads():
    before = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
    model = MLPClassifier(solver="lbfgs", **SMALL)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda seed: clone(model).set_params(random_state=seed).fit(X, y), range(8)))
    assert [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"] == before


BESIDE_ANOTHER_LIBRARY = """
import threading, warnings; warnings.simplefilter("ignore")
import numba, numpy as np
import fastnn
from fastnn.training import prediction, trainer

@numba.njit(parallel=True, nogil=True)
def theirs(numbers):
    total = 0.0
    for i in numba.prange(numbers.size):
        total += np.sqrt(numbers[i])
    return total

def other():
    while not done.is_set():
        theirs(numbers)
        entered.set()

trainer.SERIAL_BELOW = prediction.PREDICT_SERIAL_BELOW = 0
rng, done, entered = np.random.default_rng(0), threading.Event(), threading.Event()
numbers, X = rng.random(1_000_000), rng.random((200, 20))
thread = threading.Thread(target=other)
thread.start()
entered.wait()
models = [fastnn.MLPClassifier((30,), batch_size=50, max_iter=40, random_state=0, n_threads=n).fit(X, X[:, 0] > 0.5)
          for n in (1, 2)]
probabilities = [model.predict_proba(X) for model in models]
done.set()
thread.join()
assert np.array_equal(*probabilities)
print(numba.threading_layer())
"""


def test_another_librarys_parallel_code_may_run_at_once():
    run = subprocess.run(
        [sys.executable, "-c", BESIDE_ANOTHER_LIBRARY],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "NUMBA_THREADING_LAYER": "workqueue"},  # which aborts where two threads enter it at once
        check=False,
    )
    assert run.stdout.strip() == "workqueue", run.stderr


@pytest.mark.parametrize(
    ("variable", "expected"),
    [("1", 1), ("3", 3), ("2,4", 2), (" 2 ", 2), ("64", 4), ("", 4), ("0", 4), ("-1", 4), ("many", 4)],
)
def test_omp_num_threads_is_a_limit_where_nothing_else_is_said(monkeypatch, variable, expected):
    monkeypatch.setattr("joblib.cpu_count", lambda: 4)
    monkeypatch.setenv("OMP_NUM_THREADS", variable)
    assert fastnn.get_n_threads() == expected
    assert fastnn.get_n_threads(2) == 2  # as n_threads= of an estimator
    monkeypatch.setattr("fastnn.system._n_threads", 3)  # as set_n_threads
    assert fastnn.get_n_threads() == 3


def test_a_limit_counts_in_all_threads(monkeypatch):
    monkeypatch.setattr("joblib.cpu_count", lambda: 4)
    fastnn.set_n_threads(2)
    try:
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(fastnn.get_n_threads).result() == 2
    finally:
        fastnn.set_n_threads(None)


@pytest.mark.parametrize(
    "stream", ["None", "open(os.devnull, 'w')", "types.SimpleNamespace(write=len, flush=list)", "closed"]
)
def test_a_compilation_needs_no_stderr(tmp_path, stream):
    way = "sys.stderr.close()" if stream == "closed" else f"sys.stderr = {stream}"
    program = (
        f"import os, sys, types; {way}\nimport numpy as np, fastnn.training\nfrom fastnn.kernels import passes\n"
        "passes.row_sums(np.ones((2, 16)), sums := np.zeros((1, 2))); print(sums.sum())"
    )
    run = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)},
    )
    assert run.stdout.strip() == "32.0"


def fitted_with_helpers(seed):
    return fitted(seed), sum(thread.name.startswith("fastnn") for thread in threading.enumerate())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_child_of_a_process_that_had_teams(teams):
    expected = fitted(1)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        for got, n_helpers in pool.map_async(fitted_with_helpers, [1, 1]).get(timeout=60):
            np.testing.assert_array_equal(got, expected)
            assert n_helpers > 0  # of its own


def threads_of_a_worker(_):
    return fastnn.get_n_threads(), fitted(1)


def test_processes_share_the_cores():
    expected = fitted(1)
    with joblib.parallel_config("loky", n_jobs=2, inner_max_num_threads=1):
        results = joblib.Parallel()(joblib.delayed(threads_of_a_worker)(i) for i in range(2))
    for n_threads, got in results:
        assert n_threads == 1
        np.testing.assert_array_equal(got, expected)
    search = GridSearchCV(MLPClassifier(**SMALL), {"alpha": [0.1, 0.2]}, cv=2, n_jobs=2).fit(X, y)
    assert search.best_score_ == GridSearchCV(MLPClassifier(**SMALL), {"alpha": [0.1, 0.2]}, cv=2).fit(X, y).best_score_


@pytest.mark.skipif(sys.platform == "win32", reason="a process cannot send itself Ctrl-C")
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_ctrl_c_ends_a_fit_with_a_usable_model(solver):
    rng = np.random.default_rng(0)
    data, target = rng.standard_normal((20_000, 50)), rng.standard_normal(20_000)  # float32 may seem to converge
    model = MLPRegressor(
        hidden_layer_sizes=(100,), solver=solver, max_iter=10**6, tol=0, n_iter_no_change=np.inf, max_fun=10**9
    )
    clone(model).set_params(max_iter=1, max_fun=2).fit(data, target)  # compiles, where that was not done yet
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        model.fit(data, target)
    timer.join()
    assert 0 < model.n_iter_ < 10**6
    assert np.isfinite(model.predict(data)).all()
