"""Beside scikit-learn's MLPs, one against the other: the same numbers, errors and warnings; and their own tests."""

import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from conftest import examples
from scipy.optimize import check_grad
from sklearn import neural_network as theirs
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.estimator_checks import (
    check_dataframe_column_names_consistency,
    check_inplace_ensure_writeable,
    check_param_validation,
    parametrize_with_checks,
)

import fastnn
from fastnn import MLPClassifier, MLPRegressor, reference, training
from fastnn.network import Network

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def standard(array):
    return (array - array.mean(axis=0)) / array.std(axis=0)


iris_X, iris_y = load_iris(return_X_y=True)
cancer_X, cancer_y = load_breast_cancer(return_X_y=True)
diabetes_X, diabetes_y = load_diabetes(return_X_y=True)
iris_X, cancer_X, diabetes_y = standard(iris_X), standard(cancer_X), standard(diabetes_y)
TASKS = {
    "binary": ("MLPClassifier", cancer_X, cancer_y),
    "multiclass": ("MLPClassifier", iris_X, iris_y),
    "multilabel": ("MLPClassifier", iris_X, np.stack([iris_y > 0, iris_y == 1], axis=1).astype(int)),
    "regression": ("MLPRegressor", diabetes_X, diabetes_y),
    "multioutput": ("MLPRegressor", iris_X[:, :2], iris_X[:, 2:]),
    "counts": ("MLPRegressor", iris_X, iris_y),
}
CASES = [
    ("binary", {}),
    ("binary", {"activation": "tanh"}),
    ("binary", {"early_stopping": True}),
    ("binary", {"solver": "sgd", "learning_rate": "invscaling", "power_t": 0.2}),
    ("multiclass", {"activation": "logistic", "hidden_layer_sizes": (6, 5)}),
    ("multiclass", {"solver": "sgd", "nesterovs_momentum": False}),
    ("multiclass", {"batch_size": 32, "shuffle": False, "alpha": 0.3}),
    ("multilabel", {"activation": "relu"}),
    ("multilabel", {"solver": "sgd", "momentum": 0.0, "early_stopping": True}),
    ("regression", {"activation": "identity"}),
    ("regression", {"early_stopping": True, "validation_fraction": 0.3}),
    ("regression", {"solver": "sgd", "learning_rate": "adaptive", "tol": 1e3, "n_iter_no_change": 2}),
    ("multioutput", {"beta_1": 0.8, "beta_2": 0.99, "epsilon": 1e-6}),
    ("multioutput", {"solver": "sgd"}),
    ("counts", {"loss": "poisson"}),
    ("counts", {"loss": "poisson", "solver": "sgd", "activation": "tanh"}),
]


def pair(task, **parameters):
    """Our estimator and theirs, unfitted, and data."""
    kind, X, y = TASKS[task]
    parameters = {"hidden_layer_sizes": (7,), "random_state": 0, "max_iter": 20, **parameters}
    return getattr(fastnn, kind)(**parameters), getattr(theirs, kind)(**parameters), X, y


def assert_same(got, expected, X, rtol):
    for name in ("coefs_", "intercepts_"):
        for ours, their in zip(getattr(got, name), getattr(expected, name), strict=True):
            np.testing.assert_allclose(ours, their, rtol=rtol, atol=rtol / 1e3)
    np.testing.assert_allclose(got.predict(X), expected.predict(X), rtol=rtol, atol=rtol / 1e3)
    if isinstance(got, MLPClassifier):
        np.testing.assert_allclose(got.predict_proba(X), expected.predict_proba(X), rtol=rtol, atol=rtol / 1e3)
    public = [name for name in vars(expected) if name.endswith("_") and not name.startswith("_")]
    assert {name for name in public if not hasattr(got, name)} == set()
    for name in ("loss_", "best_loss_", "loss_curve_", "validation_scores_", "best_validation_score_"):
        if getattr(expected, name, None) is not None:
            np.testing.assert_allclose(getattr(got, name), getattr(expected, name), rtol=rtol)
    for name in ("n_iter_", "t_", "n_layers_", "n_outputs_", "out_activation_", "n_features_in_"):
        assert getattr(got, name) == getattr(expected, name), name


@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
@pytest.mark.parametrize(("task", "parameters"), CASES, ids=str)
def test_twenty_epochs_are_scikit_learns(task, parameters, weighted):
    ours, their, X, y = pair(task, **parameters)
    weight = np.random.default_rng(0).uniform(0, 2, len(X)) if weighted else None
    assert_same(ours.fit(X, y, sample_weight=weight), their.fit(X, y, sample_weight=weight), X, 1e-6)


@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel", "regression"])
@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
def test_lbfgs_takes_scikit_learns_way(task, weighted):
    ours, their, X, y = pair(task, solver="lbfgs", activation="tanh", alpha=1.0)
    weight = np.random.default_rng(0).uniform(0, 2, len(X)) if weighted else None
    ours.fit(X, y, sample_weight=weight)
    their.fit(X, y, sample_weight=weight)
    assert ours.n_iter_ == their.n_iter_
    np.testing.assert_allclose(ours.loss_, their.loss_, rtol=1e-6)


@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
def test_the_objective_has_the_gradient_that_it_says(network, weighted, monkeypatch):
    monkeypatch.setattr(training.objective, "CHUNK", 16)
    monkeypatch.setattr(training.objective, "SLICE", 0)  # slices of 16 examples
    net, rng = Network(*network), np.random.default_rng(0)
    X, Y = examples(network, 50, np.float64)
    weight = rng.uniform(0, 2, 50) if weighted else None
    objective = training.Objective(net, X.T, Y.T, 0.5, weight, None, np.float64)
    assert len(objective.totals) == 4
    theta = net.from_dict(reference.initialize_parameters(net.layer_sizes, 1), np.float64)
    theta += 0.1 * rng.standard_normal(theta.size)  # away from the corner of relu
    error = check_grad(lambda t: objective(t)[0], lambda t: objective(t)[1], theta, seed=0)
    assert error < 1e-5 * max(1, np.abs(objective(theta)[1]).max())


def test_weights_are_repetitions():
    ours, _, X, y = pair("multiclass", batch_size=len(iris_X))
    weight = np.random.default_rng(0).integers(0, 3, len(X))
    got = ours.fit(X, y, sample_weight=weight).predict_proba(X)
    ours.set_params(batch_size=int(weight.sum()))
    expected = ours.fit(X.repeat(weight, axis=0), y.repeat(weight)).predict_proba(X)
    np.testing.assert_allclose(got, expected, rtol=1e-9)


@pytest.mark.parametrize("dtype_of_model", [np.float32, np.float64])
@pytest.mark.parametrize("dtype_of_rows", [np.float32, np.float64])
def test_predictions_have_the_wider_dtype(dtype_of_model, dtype_of_rows):
    ours, their, X, y = pair("multiclass")
    for model in (ours, their):
        model.fit(X.astype(dtype_of_model), y)
    got, expected = (model.predict_proba(X.astype(dtype_of_rows)) for model in (ours, their))
    assert got.dtype == expected.dtype
    np.testing.assert_allclose(got, expected, rtol=1e-3)


MISTAKES = {
    "alpha": lambda C, X, y: C(alpha=-1).fit(X, y),
    "negative": lambda C, X, y: C(alpha=-1.0).fit(X, y),
    "hidden layer": lambda C, X, y: C(hidden_layer_sizes=(0,)).fit(X, y),
    "lbfgs partial": lambda C, X, y: C(solver="lbfgs").partial_fit(X, y, classes=[0, 1]),
    "no classes": lambda C, X, y: C().partial_fit(X, y),
    "partial early stopping": lambda C, X, y: C(early_stopping=True).partial_fit(X, y, classes=[0, 1]),
    "new class": lambda C, X, y: C().partial_fit(X, y, classes=[0, 1]).partial_fit(X, y + 1),
    "warm start": lambda C, X, y: C(warm_start=True, max_iter=1).fit(X, y).fit(X, y + 1),
    "features": lambda C, X, y: C(max_iter=1).fit(X, y).predict(X[:, :2]),
    "weights": lambda C, X, y: C().fit(X, y, sample_weight=np.zeros(len(X))),
    "shape of weights": lambda C, X, y: C().fit(X, y, sample_weight=np.ones(3)),
    "NaN": lambda C, X, y: C().fit(np.full_like(X, np.nan), y),
    "unfitted": lambda C, X, y: C().predict(X),
    "validation set": lambda C, X, y: C(early_stopping=True, validation_fraction=0.01).fit(X[:30], y[:30]),
    "diverged": lambda C, X, y: C(max_iter=5).fit(1e308 * X, y),
    "no rows": lambda C, X, y: C().fit(X[:0], y[:0]),
    "lengths": lambda C, X, y: C().fit(X, y[:-1]),
    "no columns": lambda C, X, y: C().fit(X[:, :0], y),
    "text": lambda C, X, y: C().fit(np.full(X.shape, "a"), y),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
@pytest.mark.filterwarnings("ignore")
def test_mistakes_are_told_in_scikit_learns_words(mistake):
    told = []
    for kind in (MLPClassifier, theirs.MLPClassifier):
        try:
            mistake(kind, cancer_X, cancer_y)
        except Exception as error:
            told.append((type(error), str(error)))
    assert len(told) == 2
    assert told[0] == told[1]


@pytest.mark.parametrize("parameters", [{"max_iter": 2}, {"solver": "lbfgs", "max_iter": 2}, {"batch_size": 1000}])
def test_warnings_are_scikit_learns(parameters):
    told = []
    for kind in (MLPClassifier, theirs.MLPClassifier):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            kind(**parameters).fit(iris_X, iris_y)
        told.append([(warning.category, str(warning.message)) for warning in caught])
    assert told[0] == told[1] != []


@pytest.mark.parametrize(
    "parameters",
    [{}, {"solver": "sgd", "learning_rate": "adaptive"}, {"early_stopping": True}, {"solver": "lbfgs"}],
    ids=str,
)
@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_a_model_goes_to_scikit_learn_and_back(task, parameters, dtype):
    ours, _, X, y = pair(task, **parameters)
    X = X.astype(dtype)
    their = ours.fit(X, y).to_sklearn()
    back = type(ours).from_sklearn(their)
    assert type(their) is getattr(theirs, type(ours).__name__)
    np.testing.assert_array_equal(back.predict(X), ours.predict(X))
    tolerance = 1e-9 if dtype == np.float64 else 1e-4
    np.testing.assert_allclose(their.predict(X), ours.predict(X), rtol=tolerance, atol=tolerance)
    if not parameters.get("early_stopping") and parameters.get("solver") != "lbfgs":
        for _ in range(5):
            for model in (ours, their, back):
                model.partial_fit(X, y)
        np.testing.assert_array_equal(back.predict(X), ours.predict(X))
        np.testing.assert_allclose(their.predict(X), ours.predict(X), rtol=tolerance, atol=tolerance)


def test_only_scikit_learns_model_is_converted():
    with pytest.raises(TypeError, match="must be scikit-learn's MLPClassifier, got MLPRegressor"):
        MLPClassifier.from_sklearn(theirs.MLPRegressor())
    assert MLPRegressor(alpha=3).to_sklearn().alpha == 3


def run_scikit_learns_tests(*arguments):
    options = ["-q", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", "/", *arguments]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options, "--pyargs", "sklearn.neural_network.tests.test_mlp"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_scikit_learns_own_tests_pass():
    run = run_scikit_learns_tests("-p", "sklearn_swap")
    assert run.returncode == 0, run.stdout
    passed = re.search(r"(\d+) passed, 1 skipped", run.stdout)
    assert passed
    assert int(passed[1]) > 50


def test_scikit_learns_own_tests_do_not_run_without_the_swap():
    run = run_scikit_learns_tests("-p", "sklearn_swap", "-p", "sklearn.neural_network.tests.test_mlp")
    assert run.returncode == pytest.ExitCode.USAGE_ERROR
    assert "does not test fastnn.MLPClassifier" in run.stdout + run.stderr


def also_fails_in_scikit_learn(estimator):
    """What scikit-learn's MLP with these parameters does not pass either."""
    reason = "so does scikit-learn's"
    if estimator.solver == "lbfgs" and isinstance(estimator, MLPClassifier):
        return {"check_classifiers_multilabel_output_format_predict_proba": reason}
    return {}


CHECKED = [
    MLPClassifier(),
    MLPRegressor(),
    MLPClassifier(solver="lbfgs"),
    MLPRegressor(solver="lbfgs"),
    MLPClassifier(solver="sgd", max_iter=100),
    MLPRegressor(activation="tanh", hidden_layer_sizes=(5, 3)),
]


@parametrize_with_checks(CHECKED, expected_failed_checks=also_fails_in_scikit_learn)
@pytest.mark.filterwarnings("ignore")
def test_scikit_learns_checks_of_estimators(estimator, check):
    check(estimator)


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
@pytest.mark.parametrize(
    "check", [check_dataframe_column_names_consistency, check_param_validation, check_inplace_ensure_writeable]
)
@pytest.mark.filterwarnings("ignore")
def test_scikit_learns_further_checks(check, kind, early_stopping):
    check(kind.__name__, kind(early_stopping=early_stopping, max_iter=20))


def test_no_convergence_of_lbfgs_is_a_warning():
    with pytest.warns(ConvergenceWarning, match="lbfgs failed to converge"):
        MLPClassifier(solver="lbfgs", max_iter=1).fit(iris_X, iris_y)
