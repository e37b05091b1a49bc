"""Networks in a user's own compiled code: `predict_one` and its kin."""

import ctypes
import gc
import os
import pickle
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from copy import copy, deepcopy

import numba
import numpy as np
import pandas as pd
import pytest
from numba import njit, prange
from numba.core.errors import TypingError
from numba.core.runtime import _nrt_python, rtsys
from scipy import LowLevelCallable
from scipy.integrate import quad
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler

import fastnn
from fastnn import MLPClassifier, MLPRegressor, TableEncoder, TabularClassifier, TabularRegressor, gradients
from fastnn.embedded import ABI, CompiledNetwork, NetworkType
from fastnn.kernels.laws.activations import ACTIVATIONS
from fastnn.kernels.laws.losses import LOSSES

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 5))
FOUR = np.digitize(X[:, 0], [-1, 0, 1])
LABELS = np.stack([X[:, 0] > 0, X[:, 1] > 0, X[:, 2] > 1], axis=1).astype(int)
QUICK = dict(hidden_layer_sizes=(7, 6), max_iter=20, random_state=0)


def fitted(model, y, scale=1.0):
    return model.fit(X * scale, y)


MODELS = {
    "two classes": fitted(MLPClassifier(**QUICK), X[:, 0] > 0),
    "four classes": fitted(MLPClassifier(**QUICK), FOUR),
    "labels": fitted(MLPClassifier(**QUICK), LABELS),
    "one class": fitted(MLPClassifier(**QUICK), np.zeros(120)),
    "no hidden layer": fitted(MLPClassifier(**{**QUICK, "hidden_layer_sizes": ()}), X[:, 0] > 0),
    "a number": fitted(MLPRegressor(**QUICK), X[:, 0]),
    "numbers": fitted(MLPRegressor(**QUICK), X[:, :2]),
    "layers of one unit": fitted(
        MLPRegressor(**{**QUICK, "hidden_layer_sizes": (1, 9, 1)}, activation="tanh"), X[:, 0]
    ),
    "wide": fitted(MLPRegressor(**{**QUICK, "hidden_layer_sizes": (133,)}), X[:, 0]),
    "quantiles": fitted(MLPRegressor("quantile", quantile=(0.1, 0.5, 0.9), **QUICK), X[:, 0]),
    "scaled": make_pipeline(
        StandardScaler(), MinMaxScaler((-1, 2), clip=True), RobustScaler(), MaxAbsScaler(), MLPRegressor(**QUICK)
    ).fit(X * 3 + 5, X[:, 0]),
}
MODELS |= {
    f"activation {name}": fitted(MLPRegressor(activation=name, **QUICK), X[:, 0], scale=2.0) for name in ACTIVATIONS
}
MODELS |= {
    f"loss {name}": fitted(MLPRegressor(name, **QUICK), np.abs(X[:, 0]) + 0.1)
    for name, out_activation in LOSSES
    if out_activation in ("identity", "exp")
}


FEW = dict(hidden_layer_sizes=(7, 6), n_members=2, n_bins=6, max_iter=10, learning_rate_init=0.03, random_state=0)
NUMBERS = pd.DataFrame(X, columns=list("abcde")).assign(b=np.where(RNG.random(120) < 0.2, np.nan, X[:, 1] * 100), c=7)
TABLE = NUMBERS.assign(
    colour=RNG.choice(["red", "green", None], 120),
    day=pd.Timestamp("2020-01-01") + pd.to_timedelta(RNG.integers(0, 900, 120), "D"),
    flag=X[:, 1] > 0,
)
#: Rows that no model was trained on, so that none of them is on an edge between two pieces.
OTHERS = NUMBERS.assign(a=RNG.normal(size=120), d=RNG.normal(size=120), e=3 * RNG.normal(size=120))
OTHERS["b"] = 100 * RNG.normal(size=120) + np.where(RNG.random(120) < 0.2, np.nan, 0.0)
TABULAR = {
    "a number": TabularRegressor(**FEW).fit(NUMBERS, X[:, 0]),
    "numbers in their units": TabularRegressor(**FEW).fit(NUMBERS, X[:, :2] * [1, 1e3] + [0, 1e4]),
    # Not all can be told apart, or it would be so sure that 1 - p has no digits in float32.
    "two classes": TabularClassifier(**FEW).fit(NUMBERS, X[:, 0] + 2 * np.sin(37 * np.arange(120)) > 0),
    "four classes": TabularClassifier(**FEW).fit(NUMBERS, FOUR),
    "one class": TabularClassifier(**FEW).fit(NUMBERS, np.zeros(120)),
    "one member": TabularRegressor(**{**FEW, "n_members": 1}).fit(NUMBERS, X[:, 0]),
    "no pieces": TabularRegressor(**{**FEW, "n_bins": 0}).fit(NUMBERS, X[:, 0]),
    "no hidden layer": TabularClassifier(**{**FEW, "hidden_layer_sizes": ()}).fit(NUMBERS, FOUR),
    "layers of one unit": TabularRegressor(**{**FEW, "hidden_layer_sizes": (1, 9, 1)}).fit(NUMBERS, X[:, 0]),
    "wide": TabularRegressor(**{**FEW, "hidden_layer_sizes": (133,)}).fit(NUMBERS, X[:, 0]),
    "behind a scaling": make_pipeline(StandardScaler(), TabularRegressor(**FEW)).fit(NUMBERS, X[:, 0]),
}


def predicted(model, rows):
    """What the model says, as `predict_one` should."""
    out = model.predict_proba(rows) if hasattr(model, "predict_proba") else model.predict(rows)
    return out.reshape(len(rows), -1)


def jacobian(model, x, h=1e-5):
    """Central differences (n_outputs, n_features)."""
    steps = h * np.eye(x.size)
    return (predicted(model, x + steps) - predicted(model, x - steps)).T / (2 * h)


@njit
def rows_one_by_one(net, X, out):
    for i in range(len(X)):
        fastnn.predict_one(net, X[i], out[i])


@njit(parallel=True)
def rows_in_parallel(net, X, out):
    for i in prange(len(X)):
        fastnn.predict_one(net, X[i], out[i])


@njit
def batch(net, X, out):
    fastnn.predict_batch(net, X, out)


@njit
def gradient(net, x, out):
    fastnn.input_gradient(net, x, out)


@njit
def steps(net, X, Y, batch_size):
    loss = 0.0
    for i in range(0, len(X), batch_size):
        loss = fastnn.train_step(net, X[i : i + batch_size], Y[i : i + batch_size])
    return loss


@pytest.mark.parametrize("name", MODELS)
def test_compiled_code_predicts_what_the_model_does(name):
    model = MODELS[name]
    net, expected = fastnn.jit(model), predicted(model, X)
    for function in rows_one_by_one, rows_in_parallel, batch:
        got = np.empty((len(X), net.n_outputs))
        function(net, X, got)
        # Sums of up to 133 terms, in another order: 133 eps of numbers near 1.
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", [name for name in MODELS if "relu" not in name])
def test_gradients_are_those_of_central_differences(name):
    model = MODELS[name]
    net = fastnn.jit(model)
    for x in X[:3]:
        got = np.empty((net.n_outputs, net.n_features))
        gradient(net, x, got)
        # The differences are right to h^2, and to eps / h = 2e-11 of the values.
        np.testing.assert_allclose(got, jacobian(model, x), rtol=1e-6, atol=1e-8)


def test_single_precision_is_as_exact_as_the_model():
    model = MLPClassifier(**QUICK).fit(X.astype(np.float32), FOUR)
    rows = X.astype(np.float32)
    net, got = model.jit(), np.empty((len(X), 4), np.float32)
    batch(net, rows, got)
    assert net.dtype == np.float32
    np.testing.assert_allclose(got, model.predict_proba(rows), rtol=1e-6)


def test_the_dtype_may_be_another_than_that_of_the_parameters():
    model, got = MODELS["four classes"], np.empty((len(X), 4), np.float32)
    batch(model.jit(dtype="float32"), X.astype(np.float32), got)
    np.testing.assert_allclose(got, model.predict_proba(X), rtol=2e-5, atol=1e-6)


def test_scalings_keep_the_digits_of_large_numbers():
    """A mean of 1e6 and deviations of 0.3, in float32, whose numbers there are 0.06 apart: none is lost."""
    rows = (1e6 + 0.3 * X).astype(np.float32)
    model = make_pipeline(StandardScaler(), MLPRegressor(**QUICK)).fit(rows.astype(np.float64), X[:, 0])
    got = np.empty((len(X), 1), np.float32)
    batch(fastnn.jit(model, dtype="float32"), rows, got)
    np.testing.assert_allclose(got[:, 0], model.predict(rows.astype(np.float64)), rtol=1e-4, atol=1e-5)


def test_tables_are_rows_of_numbers():
    table = pd.DataFrame(
        {
            "colour": RNG.choice(["red", "green", None], 120),
            "size": np.where(RNG.random(120) < 0.1, np.nan, X[:, 0] * 100),
            "day": pd.Timestamp("2020-01-01") + pd.to_timedelta(RNG.integers(0, 900, 120), "D"),
            "flag": X[:, 1] > 0,
        }
    )
    model = make_pipeline(TableEncoder(), MLPClassifier(**QUICK)).fit(table, X[:, 0] > 0)
    other = table.copy()
    other.loc[0, "colour"], other.loc[1, "size"], other.loc[2, "size"] = "blue", np.inf, 1e9
    net = fastnn.jit(model, dtype="float64")
    got = np.empty((len(table), 2))
    batch(net, net.rows(other), got)
    # The encoder's matrix is float32.
    np.testing.assert_allclose(got, model.predict_proba(other), atol=1e-5)
    slopes = np.empty((2, net.n_features))
    fastnn.input_gradient(net, net.rows(other)[2], slopes)
    assert np.isnan(slopes[:, 0]).all(), "a category has no derivative"
    assert (slopes[:, 1] == 0).all(), "the number is far outside, and cut off"
    assert (slopes[:, 2] != 0).all()


def test_numbers_beyond_float32_are_not_missing():
    table = pd.DataFrame(X, columns=list("abcde"))
    model = make_pipeline(TableEncoder(), MLPRegressor(**QUICK)).fit(table, X[:, 0])
    table.loc[0, "a"], table.loc[1, "b"], table.loc[2, "c"] = 1e300, -1e39, np.inf
    net = fastnn.jit(model)
    rows, got = net.rows(table), np.empty((len(X), 1), np.float32)
    batch(net, rows, got)
    assert np.isfinite(rows[:2]).all()
    assert np.isnan(rows[2, 2]), "infinity is missing"
    np.testing.assert_allclose(got[:, 0], model.predict(table), rtol=1e-4, atol=1e-5)


def test_scales_beyond_the_dtype_are_refused():
    for size in 1e60, 1e-60:
        pipeline = make_pipeline(StandardScaler(), MLPRegressor(**QUICK)).fit(size * X, X[:, 0])
        table = pd.DataFrame(size * X, columns=list("abcde"))
        encoded = make_pipeline(TableEncoder(), MLPRegressor(**QUICK)).fit(table, X[:, 0])
        for model, rows in (pipeline, size * X), (encoded, table):
            with pytest.raises(ValueError, match=r"scales by numbers that no float32 can hold: .*float64"):
                fastnn.jit(model, dtype="float32")
            net = fastnn.jit(model, dtype="float64")
            got = np.empty((len(X), 1))
            batch(net, net.rows(rows), got)
            # The encoder's matrix is float32.
            np.testing.assert_allclose(got[:, 0], model.predict(rows), rtol=1e-4, atol=1e-5)


def test_rows_of_another_table_are_refused():
    table = pd.DataFrame(X, columns=list("abcde")).assign(f=np.where(X[:, 0] > 0, "x", "y"))
    net = fastnn.jit(make_pipeline(TableEncoder(), MLPRegressor(**QUICK)).fit(table, X[:, 0]))
    np.testing.assert_array_equal(net.rows(table[list("fedcba")].assign(g=0)), net.rows(table))
    np.testing.assert_array_equal(net.rows(table.to_numpy()), net.rows(table))
    with pytest.raises(ValueError, match=r"no column 'a' .meant: 'A'"):
        net.rows(table.rename(columns={"a": "A"}))
    with pytest.raises(ValueError, match="X has 5 features, but this network expects 6"):
        net.rows(table.to_numpy()[:, :5])
    plain = MODELS["a number"].jit()
    with pytest.raises(ValueError, match=r"\(120, 4\), but .* \(120, 5\)"):
        plain.rows(X[:, :4])
    with pytest.raises(TypeError, match="toarray"):
        plain.rows(csr_array(X))


def test_a_missing_number_is_passed_on():
    for name in "activation relu", "activation gelu", "four classes", "quantiles":
        net = fastnn.jit(MODELS[name])
        x, out = np.full(5, np.nan), np.zeros(net.n_outputs)
        fastnn.predict_one(net, x, out)
        assert np.isnan(out).all(), name


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", TABULAR)
def test_models_of_tables_predict_the_same(name, dtype):
    model = TABULAR[name]
    net, expected = fastnn.jit(model, dtype=dtype), predicted(model, OTHERS)
    for function in rows_one_by_one, rows_in_parallel, batch:
        got = np.empty((len(OTHERS), net.n_outputs), dtype)
        function(net, net.rows(OTHERS), got)
        # float32 networks, on a float32 matrix: 1e-5 of the largest number of each output.
        assert (np.abs(got - expected) <= 1e-5 * np.abs(expected).max(axis=0)).all()


@pytest.mark.parametrize("name", TABULAR)
def test_gradients_by_the_columns_of_a_table_are_those_of_central_differences(name):
    net = fastnn.jit(TABULAR[name], dtype="float64")
    rows, h = net.rows(OTHERS)[:20], 1e-6
    got = np.empty((len(rows), net.n_outputs, net.n_features))
    for x, slopes in zip(rows, got, strict=True):
        gradient(net, x, slopes)
    assert (got != 0).any()
    for k, size in enumerate(np.nanstd(rows, axis=0)):
        ahead, behind = np.empty((2, len(rows), net.n_outputs))
        step = h * size * np.eye(net.n_features)[k]
        batch(net, rows + step, ahead)
        batch(net, rows - step, behind)
        # The differences are right to h^2, and to eps / h = 2e-10 of the values.
        expected = (ahead - behind) / (2 * h * size)
        np.testing.assert_allclose(got[:, :, k], expected, rtol=1e-6, atol=1e-8 * np.abs(ahead).max() / size)


def test_columns_of_all_kinds_are_those_of_the_model():
    model = TabularRegressor(**FEW).fit(TABLE, X[:, 0] + TABLE["flag"])
    table = TABLE.copy()
    table.loc[0, "colour"], table.loc[1, "a"], table.loc[2, "a"], table.loc[3, "a"] = "blue", np.nan, np.inf, 1e9
    net = model.jit(dtype="float64")
    rows, got = net.rows(table), np.empty((len(table), 1))
    batch(net, rows, got)
    # The matrix and the members are float32.
    np.testing.assert_allclose(got[:, 0], model.predict(table), atol=1e-5)
    slopes = np.array([np.empty(net.n_features)] * 4)
    for x, out in zip(rows, slopes, strict=False):
        gradient(net, x, out)
    names = [column.name for column in model.encoder_.columns_]
    assert np.isnan(slopes[:, names.index("colour")]).all(), "a category has no derivative"
    assert (slopes[1:, names.index("a")] == 0).all(), "missing, or far outside"
    assert (slopes[:2, names.index("day")] != 0).all()
    # float32 rows, where the day has some minutes.
    np.testing.assert_allclose(model.input_gradient(table)[:4], slopes, rtol=0.01, atol=1e-4)


def test_threads_make_no_difference_to_models_of_tables(monkeypatch):
    monkeypatch.setattr(gradients, "SERIAL_BELOW", 0)
    for model in TABULAR["two classes"], TABULAR["numbers in their units"]:
        net = model.jit()
        one, many = np.empty((2, 120, net.n_outputs), np.float32)
        rows_one_by_one(net, net.rows(OTHERS), one)
        rows_in_parallel(net, net.rows(OTHERS), many)
        np.testing.assert_array_equal(one, many)
        slopes = [copy(model).set_params(n_threads=n).input_gradient(OTHERS) for n in (1, 3)]
        np.testing.assert_array_equal(*slopes)


def test_where_a_prediction_is_cut_off_it_has_no_slope():
    model = TabularRegressor(**FEW).fit(NUMBERS, X[:, 0] > 0)
    slopes, is_cut = model.input_gradient(OTHERS), np.isin(model.predict(OTHERS), [0, 1])
    assert 0 < is_cut.sum() < 120
    assert (slopes[is_cut] == 0).all()
    assert (slopes[~is_cut] != 0).any(axis=1).all()


def test_raw_gradients_of_a_table_are_those_of_the_mean_of_log_odds():
    model, h = TABULAR["two classes"], 1e-3

    def log_odds(a):
        matrix = model.embedding_.transform(model.encoder_.transform(OTHERS.assign(a=a)))
        each = [network.predict_proba(matrix)[:, 1].astype(float) for network in model.estimators_]
        with np.errstate(divide="ignore"):
            return np.mean([np.log(p / (1 - p)) for p in each], axis=0)

    got = model.input_gradient(OTHERS, raw=True)[:, 0]
    above, below = log_odds(OTHERS["a"] + h), log_odds(OTHERS["a"] - h)
    is_open = np.maximum(abs(above), abs(below)) < 8  # beyond it, float32 has no digits of 1 - p
    got, expected = got[is_open], (above[is_open] - below[is_open]) / (2 * h)
    assert is_open.sum() > 60
    # A row or two have an edge within h; the others are right to eps / h of float32 and to h^2.
    assert np.quantile(np.abs(got - expected), 0.95) < 0.01 * np.abs(expected).max()


def test_second_derivatives_by_columns_in_units_of_their_own():
    model = TABULAR["a number"]
    v = np.array([0.0, 1.0, 0.0, 0.0])  # along b, whose numbers are around 100
    got, net, h = model.hessian_vector_product(OTHERS, v), model.jit("float64"), 1e-3
    rows = net.rows(OTHERS).astype(np.float32).astype(float)
    slopes = np.empty((2, len(rows), net.n_features))
    for sign, out in zip((1, -1), slopes, strict=True):
        for x, each in zip(rows + sign * h * v, out, strict=True):
            gradient(net, x, each)
    expected = (slopes[0] - slopes[1]) / (2 * h)
    assert np.isfinite(got).all(), "also where b is missing"
    assert (got != 0).any()
    # A row or two have an edge within h.
    assert np.quantile(np.abs(got - expected), 0.95) < 1e-5 * np.quantile(np.abs(expected), 0.95)
    of_all = TabularRegressor(**FEW).fit(TABLE, X[:, 0])
    with pytest.raises(ValueError, match="v holds numbers for categories"):
        of_all.hessian_vector_product(TABLE, np.ones(of_all.jit().n_features))


def test_contributions_of_columns_add_up():
    model, background = TABULAR["two classes"], OTHERS.dropna()
    phi = fastnn.expected_gradients(model, background[:4], background, n_samples=20_000, random_state=0)
    expected = model.predict_proba(background[:4])[:, 1] - model.predict_proba(background)[:, 1].mean()
    np.testing.assert_allclose(phi.sum(axis=1), expected, atol=0.02)
    with pytest.raises(ValueError, match="missing values"):
        fastnn.expected_gradients(model, OTHERS, background)


def test_models_of_tables_are_c_functions():
    model = TABULAR["two classes"]
    net, callable_ = model.jit(), model.cfunc()
    x = net.rows(OTHERS)[0]
    got = callable_.function(len(x), (ctypes.c_double * len(x))(*x), callable_.user_data)
    assert got == pytest.approx(model.predict_proba(OTHERS)[0, 1], rel=1e-5)


def test_models_of_tables_are_not_trained_by_steps():
    with pytest.raises(ValueError, match="which single steps can train, but the model is a TabularRegressor"):
        TABULAR["a number"].jit(batch_size=1)
    net = TABULAR["a number"].jit()
    assert repr(net) == "<CompiledNetwork 2 x 28-7-6-1, float32>"
    with pytest.raises(ValueError, match=r"1 or more, .* 1, 0\)"):
        steps(net, np.zeros((1, 4), np.float32), np.zeros((1, 1), np.float32), 1)
    with pytest.raises(AttributeError, match="estimators_"):
        net.coefs_  # noqa: B018


def test_pieces_narrower_than_the_dtype_are_jumps():
    """Edges that are one number in float32, and quartiles that float32 cannot square."""
    model = TabularRegressor(**FEW).fit(NUMBERS, X[:, 0])
    model.embedding_.edges_[0][:] = -2, -1, 0.5, 0.5 + 1e-12, 0.5 + 2e-12, 1, 2
    model.embedding_.edges_[1][:] = -1, -1 + 1e-12, -0.5, 0, 0.5, 1, 1 + 1e-12
    model.embedding_.scale_[2] = 1e30
    net, got = model.jit(), np.empty((120, 1), np.float32)
    batch(net, net.rows(OTHERS), got)
    np.testing.assert_allclose(got[:, 0], model.predict(OTHERS), atol=1e-5)
    assert np.isfinite(model.input_gradient(OTHERS)).all()


def test_outcomes_beyond_the_dtype_are_refused():
    model = TabularRegressor(**FEW).fit(NUMBERS, 1e60 * X[:, 0])
    with pytest.raises(ValueError, match="no float32 can hold"):
        model.jit()
    out = np.empty((120, 1))
    batch(model.jit(dtype="float64"), model.jit(dtype="float64").rows(OTHERS), out)
    np.testing.assert_allclose(out[:, 0], model.predict(OTHERS), atol=1e55)


def test_a_category_behind_a_scaling_is_refused():
    model = TabularRegressor(**FEW, encoder=TableEncoder(categorical=["x2"]))
    pipeline = make_pipeline(MaxAbsScaler(), model).fit(np.round(X), X[:, 0])
    with pytest.raises(TypeError, match="read as categories of scaled numbers"):
        fastnn.jit(pipeline)


SOLVERS = {
    "adam": {},
    "sgd": dict(solver="sgd"),
    "adamw": dict(solver="adamw", alpha=0.01),
    "nadam": dict(solver="nadam"),
    "rmsprop": dict(solver="rmsprop"),
    "clipped": dict(clip_norm=0.1),
    "max_norm": dict(max_norm=0.5),
    "l1": dict(l1_ratio=0.5, alpha=0.1),
    "linear": dict(hidden_layer_sizes=()),
    "wide": dict(hidden_layer_sizes=(200, 200)),
}


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("batch_size", [1, 50])
def test_steps_are_those_of_partial_fit(name, batch_size):
    model = MLPClassifier(**{**QUICK, "max_iter": 1, "shuffle": False, "batch_size": batch_size, **SOLVERS[name]})
    model.fit(X, FOUR)
    net = model.jit(batch_size=batch_size)
    steps(net, X, FOUR[:, np.newaxis].astype(float), batch_size)  # the last batch is smaller
    expected = deepcopy(model).partial_fit(X, FOUR)
    for got, wanted in zip([*net.coefs_, *net.intercepts_], [*expected.coefs_, *expected.intercepts_], strict=True):
        np.testing.assert_array_equal(got, wanted)
    out = np.empty(4)
    fastnn.predict_one(net, X[0], out)
    np.testing.assert_allclose(out, expected.predict_proba(X[:1])[0], rtol=1e-12)


@pytest.mark.parametrize("name", ["a number", "numbers", "two classes", "labels", "loss poisson"])
def test_the_loss_of_a_step_is_that_of_the_curve(name):
    targets = {"a number": X[:, 0], "numbers": X[:, :2], "two classes": X[:, 0] > 0, "labels": LABELS}
    y, model = targets.get(name, np.abs(X[:, 0])), deepcopy(MODELS[name])
    got = fastnn.train_step(model.jit(batch_size=120), X, np.ascontiguousarray(y.reshape(120, -1), float))
    model.set_params(batch_size=120, shuffle=False).partial_fit(X, y)
    assert got == pytest.approx(model.loss_curve_[-1], rel=1e-12)


def test_a_network_is_a_copy():
    model = clone(MODELS["a number"]).set_params(warm_start=True).fit(X, X[:, 0])
    before, out = model.predict(X[:1]), np.empty(1)
    net = model.jit(batch_size=120)
    model.fit(X, -X[:, 0])
    fastnn.predict_one(net, X[0], out)
    np.testing.assert_allclose(out, before, rtol=1e-12)
    after = model.predict(X[:1])
    fastnn.train_step(net, X, X[:, :1].copy())
    np.testing.assert_array_equal(model.predict(X[:1]), after)


@pytest.mark.parametrize("function", [rows_one_by_one, batch])
def test_many_threads_at_once(function):
    model = MODELS["wide"]
    net, expected = model.jit(), predicted(model, X)
    free = njit(nogil=True)(function.py_func)

    def work(_):
        out = np.empty((len(X), 1))
        for _ in range(20):
            free(net, X, out)
        return out

    with ThreadPoolExecutor(16) as pool:
        for got in pool.map(work, range(16)):
            np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-13)


def test_a_network_may_be_a_global():
    net = MODELS["a number"].jit()

    @njit
    def of_global(x):
        out = np.empty(1)
        fastnn.predict_one(net, x, out)
        return out[0]

    assert of_global(X[0]) == pytest.approx(MODELS["a number"].predict(X[:1])[0])


def test_compiled_code_gives_a_network_back():
    net = MODELS["a number"].jit(batch_size=3)

    @njit
    def same(net):
        return net, (net.n_features, net.n_outputs, net.n_targets, net.batch_size)

    got, numbers = same(net)
    assert got is net
    assert numbers == (5, 1, 1, 3)


def test_a_network_that_python_has_not_kept_is_an_error():
    """As with a jitclass or a typed list, all that a generator has is an address."""

    @njit
    def predictions(net, x):
        out = np.empty(1)
        for _ in range(2):
            fastnn.predict_one(net, x, out)
            yield out[0]

    net = MODELS["a number"].jit()
    assert next(predictions(net, X[0])) == pytest.approx(MODELS["a number"].predict(X[:1])[0])
    left = predictions(net, X[0])
    del net
    gc.collect()
    with pytest.raises(ValueError, match=r"-1: it is gone.*5, -1"):
        next(left)


def test_c_calls_it():
    model = MLPRegressor(**QUICK, activation="tanh").fit(X[:, :1], np.sin(X[:, 0]))
    expected, _ = quad(lambda x: model.predict([[x]])[0], 0, 2)
    for dtype, tolerance in (np.float64, 1e-12), (np.float32, 1e-5):
        callable_ = model.jit(dtype=dtype).cfunc()
        assert isinstance(callable_, LowLevelCallable)
        got, _ = quad(callable_, 0, 2)
        assert got == pytest.approx(expected, rel=tolerance)
    x = (ctypes.c_double * 2)(0.1, 0.2)
    assert np.isnan(callable_.function(2, x, callable_.user_data)), "there is one feature"
    classifier = MODELS["two classes"]
    numbers = (ctypes.c_double * 5)(*X[0])
    of_classes = classifier.cfunc()
    got = of_classes.function(5, numbers, of_classes.user_data)
    assert got == pytest.approx(classifier.predict_proba(X[:1])[0, 1])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda net: rows_one_by_one(net, np.zeros((1, 4)), np.zeros((1, 1))), "so many features.*4, 5"),
        (lambda net: rows_one_by_one(net, np.zeros((1, 5)), np.zeros((1, 3))), "so many numbers.*3, 1"),
        (lambda net: batch(net, np.zeros((2, 5)), np.zeros((3, 1))), "so many rows.*2, 3"),
        (lambda net: gradient(net, np.zeros(5), np.zeros(4)), "4, 5"),
        (lambda net: gradient(net, np.zeros(5), np.zeros((2, 5))), "10, 5"),
        (lambda net: steps(net, np.zeros((9, 5)), np.zeros((9, 1)), 9), "so many examples.*9, 8"),
        (lambda net: steps(net, np.zeros((2, 5)), np.zeros((2, 2)), 2), "so many targets.*2, 1"),
        (lambda net: fastnn.predict_one(net, np.zeros(4), np.zeros(1)), r"\(4,\), but .* \(5,\)"),
        (lambda net: fastnn.predict_one(net, np.zeros(0), np.zeros(1)), r"\(0,\), but .* \(5,\)"),
        (lambda net: rows_one_by_one(net, np.zeros((1, 0)), np.zeros((1, 1))), "so many features.*0, 5"),
        (lambda net: fastnn.predict_batch(net, np.zeros((2, 5)), np.zeros((3, 1))), r"\(3, 1\), but .* \(2, 1\)"),
        (lambda net: fastnn.input_gradient(net, np.zeros(5), np.zeros(4)), r"\(4,\), but .* \(5,\)"),
        (lambda net: fastnn.train_step(net, np.zeros((9, 5)), np.zeros((9, 1))), "9 examples, but .* 1 to 8"),
    ],
)
def test_what_does_not_fit_is_said(call, message):
    with pytest.raises(ValueError, match=message):
        call(MODELS["a number"].jit(batch_size=8))


def test_a_class_that_is_none_is_refused():
    net = MODELS["four classes"].jit(batch_size=1)
    for y in -1.0, 4.0, np.nan, np.inf:
        with pytest.raises(ValueError, match="class"):
            steps(net, X[:1], np.array([[y]]), 1)
        with pytest.raises(ValueError, match="class"):
            fastnn.train_step(net, X[:1], np.array([[y]]))


def test_a_class_that_is_between_two_is_refused():
    net = MODELS["four classes"].jit(batch_size=1)
    with pytest.raises(ValueError, match=r"class.*1\.5, 4"):
        steps(net, X[:1], np.array([[1.5]]), 1)
    with pytest.raises(ValueError, match=r"1\.5, but classes are whole numbers from 0 to 3"):
        fastnn.train_step(net, X[:1], np.array([[1.5]]))


@pytest.mark.parametrize(("name", "y"), [("two classes", [[5.0]]), ("labels", [[0.0, 1.0, 5.0]])])
def test_targets_of_logistic_outputs_are_between_0_and_1(name, y):
    net = MODELS[name].jit(batch_size=1)
    with pytest.raises(ValueError, match=r"class.*5\.0, 2"):
        steps(net, X[:1], np.array(y), 1)
    with pytest.raises(ValueError, match="5, but classes are numbers from 0 to 1"):
        fastnn.train_step(net, X[:1], np.array(y))
    assert np.isfinite(fastnn.train_step(net, X[:1], np.clip(y, 0.25, 0.75)))


@pytest.mark.parametrize(
    ("x", "out", "message"),
    [
        (X[0].astype(np.float32), np.empty(1), "model.jit\\(dtype='float32'\\)"),
        (X[:, 0], np.empty(1), "array\\(float64, 1d, A\\): np.ascontiguousarray makes one$"),
        (
            X[0].copy(),
            np.empty(4)[::2],
            "out, got array\\(float64, 1d, A\\)$",
        ),  # what is written to a copy would be lost
        (X[0].astype(np.float16), np.empty(1), "array\\(float16, 1d, C\\)$"),  # for which there is no network
        (X[0].astype(int), np.empty(1), "array\\(int64, 1d, C\\)$"),
        (X[:1], np.empty(1), "1 dimensions for x"),
        ([1.0] * 5, np.empty(1), "1 dimensions for x"),
    ],
)
def test_arrays_of_another_kind_are_refused_when_it_is_compiled(x, out, message):
    net = MODELS["a number"].jit()

    @njit
    def one(net, x, out):
        fastnn.predict_one(net, x, out)

    with pytest.raises(TypingError, match=f"(?m){message}"):
        one(net, numba.typed.List(x) if isinstance(x, list) else x, out)
    with pytest.raises(TypeError, match=message):
        fastnn.predict_one(net, x, out)


def test_what_numba_has_no_name_for_is_refused():
    net = MODELS["a number"].jit()
    for x, message in ((X[0].astype(">f8"), ">f8"), (pd.Series(X[0]), "Series")):
        with pytest.raises(TypeError, match=f"predict_one takes .* for x, got .*{message}"):
            fastnn.predict_one(net, x, np.empty(1))


def test_read_only_arrays_are_read_and_not_written():
    net, x, out = MODELS["a number"].jit(), X[0].copy(), np.empty(1)
    x.flags.writeable = False
    rows_one_by_one(net, x[np.newaxis], out[np.newaxis])
    fastnn.predict_one(net, x, out)
    out.flags.writeable = False
    with pytest.raises(TypeError, match="read-only"):
        fastnn.predict_one(net, x, out)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (dict(learning_rate="cosine"), "learning_rate='cosine'"),
        (dict(average="ema"), "average='ema'"),
        (dict(label_smoothing=0.1), "label_smoothing"),
        (dict(class_weight="balanced"), "class_weight"),
        (dict(solver="lbfgs"), "lbfgs"),
    ],
)
def test_what_is_for_whole_epochs_is_refused(parameters, message):
    model = MLPClassifier(**{**QUICK, "max_iter": 1, **parameters}).fit(X, FOUR)
    with pytest.raises(ValueError, match=message):
        model.jit(batch_size=1)


def test_a_network_too_wide_for_gradients_predicts():
    model = MLPRegressor(**{**QUICK, "hidden_layer_sizes": (6_000,), "max_iter": 1}).fit(X, X[:, 0])
    net, out = model.jit(), np.empty((3, 1))
    rows_one_by_one(net, X[:3], out)
    # Sums of 6000 terms, in another order: 6000 eps of numbers near 1.
    np.testing.assert_allclose(out[:, 0], model.predict(X[:3]), atol=1e-12)
    for call in (
        lambda: gradient(net, X[0], np.empty(5)),
        lambda: fastnn.input_gradient(net, X[0], np.empty(5)),
        lambda: model.input_gradient(X),
    ):
        with pytest.raises(ValueError, match="too wide"):
            call()


def test_what_is_no_model_is_refused():
    with pytest.raises(TypeError, match="Ridge"):
        fastnn.jit(Ridge())
    with pytest.raises(ValueError, match="float16"):
        MODELS["a number"].jit(dtype=np.float16)
    for batch_size in 0, 2.0, True:
        with pytest.raises(ValueError, match="batch_size"):
            MODELS["a number"].jit(batch_size=batch_size)
    with pytest.raises(ValueError, match="Pipeline"):
        fastnn.jit(MODELS["scaled"], batch_size=1)
    with pytest.raises(ValueError, match="stack"):
        MLPRegressor(hidden_layer_sizes=(20_000,), max_iter=1).fit(X, X[:, 0]).jit()
    with pytest.raises(TypeError, match="pickle the model"):
        pickle.dumps(MODELS["a number"].jit())


USER = """
    import sys
    import numpy as np
    from numba import njit
    import fastnn

    @njit(cache=True)
    def total(net, X):
        out, sum_ = np.empty(net.n_outputs), 0.0
        for i in range(len(X)):
            fastnn.predict_one(net, X[i], out)
            sum_ += out[-1]
        return sum_

    n = int(sys.argv[1])
    X = np.eye(n)
    model = fastnn.MLPRegressor(hidden_layer_sizes=(n,), max_iter=1, random_state=0).fit(X, X[0])
    assert np.isclose(total(model.jit(), X), model.predict(X).sum())
    print(sum(total.stats.cache_hits.values()))
"""


def test_what_numba_keeps_of_a_users_function_serves_other_networks(tmp_path):
    (tmp_path / "user.py").write_text(textwrap.dedent(USER))
    environment = {**os.environ, "NUMBA_CACHE_DIR": "", "PYTHONWARNINGS": "ignore"}
    hits = [
        subprocess.run(
            [sys.executable, tmp_path / "user.py", str(n)],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for n in (3, 8)
    ]
    assert hits == ["0", "1"]


def test_what_is_kept_of_a_users_function_knows_the_version_of_the_words():
    """The class and its name stand in the index of a user's cache, which is read before anything is compared."""
    net = MODELS["a number"].jit()
    kind = numba.typeof(net)
    assert (type(kind), kind.name) == (NetworkType, f"fastnn.CompiledNetwork(float64, {ABI})")
    assert NetworkType.__module__ == CompiledNetwork.__module__ == "fastnn.embedded"
    assert pickle.loads(pickle.dumps(kind)) == kind


def allocations(function, *arguments):
    """How many there are in a call, which has been compiled."""
    before = rtsys.get_allocation_stats().alloc
    function(*arguments)
    return rtsys.get_allocation_stats().alloc - before


@njit
def predictions_and_gradients(net, x, out, slopes, times):
    for _ in range(times):
        fastnn.predict_one(net, x, out)
        fastnn.input_gradient(net, x, slopes)


@njit
def and_steps(net, x, out, slopes, times):
    predictions_and_gradients(net, x, out, slopes, times)
    for _ in range(times):
        fastnn.train_step(net, x, out)


@pytest.mark.parametrize("is_of_tables", [False, True])
def test_nothing_is_allocated(is_of_tables):
    net = TABULAR["a number"].jit("float64") if is_of_tables else MODELS["a number"].jit(batch_size=1)
    function = predictions_and_gradients if is_of_tables else and_steps
    arguments = net, np.zeros(net.n_features), np.empty(1), np.empty(net.n_features)
    function(*arguments, 1)
    enabled = _nrt_python.memsys_stats_enabled()
    _nrt_python.memsys_enable_stats()
    try:
        some, none = allocations(function, *arguments, 100), allocations(function, *arguments, 0)
        assert some == none, "but for those of Numba's wrapper"
    finally:
        if not enabled:
            _nrt_python.memsys_disable_stats()


@pytest.mark.parametrize("v", [np.ones(4), np.ones((3, 5)), 1.0, np.full(5, np.nan)])
def test_a_vector_that_is_none_is_refused(v):
    with pytest.raises(ValueError, match=r"v has shape|v holds NaN"):
        MODELS["a number"].hessian_vector_product(X[:2], v)


@pytest.mark.parametrize("parameters", [dict(n_samples=0), dict(n_samples=2.5), dict(n_threads=0), dict(n_threads=-1)])
def test_samples_and_threads_are_positive_integers(parameters):
    with pytest.raises((ValueError, TypeError), match=r"n_samples|n_threads"):
        fastnn.expected_gradients(MODELS["a number"], X[:2], X, **parameters)


@pytest.mark.parametrize("size", [1e-300, 1e300])
def test_the_hessian_takes_vectors_of_any_size(size):
    """H v is proportional to v: a factor changes the last digits alone."""
    v = np.array([1.0, -2.0, 0.5, 3.0, 1.0])
    expected = MODELS["activation tanh"].hessian_vector_product(X[:3], v)
    got = MODELS["activation tanh"].hessian_vector_product(X[:3], size * v) / size
    # Steps that differ by some eps change the differences of gradients, eps / step, by about 1e-10 of their size.
    np.testing.assert_allclose(got, expected, rtol=1e-8, atol=1e-9 * np.abs(expected).max())
