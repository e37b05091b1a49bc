"""ONNX: onnxruntime computes what the model predicts, and a file that comes back is the same network."""

import json
import math
import sys
from typing import get_args

import numpy as np
import pandas as pd
import pytest
from sklearn import neural_network as sklearn_network
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.ensemble import VotingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, Normalizer, RobustScaler, StandardScaler

from fastnn import (
    MLPClassifier,
    MLPRegressor,
    TableEncoder,
    TabularClassifier,
    TabularRegressor,
    from_onnx,
    load,
    save,
    to_onnx,
)
from fastnn.export import expressions
from fastnn.export.onnx import OPERATORS, OPSETS, OUT_ACTIVATIONS
from fastnn.foreign import _estimator
from fastnn.kernels.laws.activations import ACTIVATIONS, Activation
from fastnn.kernels.laws.losses import LOSSES
from fastnn.kernels.laws.losses import OUT_ACTIVATIONS as OUT_ACTIVATIONS_OF_LOSSES
from fastnn.tables.columns import Category, Column, Number, labels

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnx.reference")
onnxruntime = pytest.importorskip("onnxruntime")
helper, numpy_helper = onnx.helper, onnx.numpy_helper

X, y = load_iris(return_X_y=True)
QUICK = {"hidden_layer_sizes": (5, 4), "max_iter": 3, "random_state": 0}
TYPES = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(string)": object}


def session(model):
    if model.producer_name == "fastnn":
        onnx.checker.check_model(model, full_check=True)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # it warns of every version that is newer than those that it was tried with
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def run(model, feeds):
    """What onnxruntime gives, by names: of a matrix, or of the columns of a table."""
    runs = session(model)
    if not isinstance(feeds, dict):
        (given,) = runs.get_inputs()
        feeds = {given.name: np.asarray(feeds, TYPES[given.type])}
    return dict(zip([output.name for output in runs.get_outputs()], runs.run(None, feeds), strict=True))


def network(coefs, *activations, out="identity", dtype=np.float64, classes=None, intercepts=None):
    """An estimator with these weights: of ones and zeros, its sums are exact."""
    coefs = [np.array(coef, dtype) for coef in coefs]
    intercepts = intercepts or [np.zeros(coef.shape[1]) for coef in coefs]
    laws = [law if isinstance(law, Activation) else ACTIVATIONS[law] for law in activations]
    return _estimator(coefs, [np.array(b, dtype) for b in intercepts], laws, out, classes)


def bound(model, X):
    """How far the last sums of two ways to compute a network may be apart, where activations are no steeper than 1.

    A sum of n terms is right to n roundings of the sum of their absolute values, and so is what its terms are of.
    """
    A, n_roundings = np.abs(X), 0
    for coef, intercept in zip(model.coefs_, model.intercepts_, strict=True):
        A, n_roundings = A @ np.abs(coef) + np.abs(intercept), n_roundings + len(coef) + 8
    return 2 * n_roundings * np.finfo(model.coefs_[0].dtype).eps * A.max()


# ---- activations ----


def points(dtype):
    """Numbers of all sizes, and those where laws have their kinks."""
    rng = np.random.default_rng(0)
    powers = 10.0 ** rng.uniform(-30, 1.9, 300)
    z = np.concatenate([rng.normal(size=300), rng.uniform(-90, 90, 300), powers, -powers, [0.0, -0.0, 1, -1]])
    return z.astype(dtype)


def of_law(law, dtype):
    """A network that gives g(x)."""
    return network([[[1]], [[1]]], law, dtype=dtype)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_a_law_of_the_table_is_as_right_in_onnxruntime_as_in_the_kernels(name, dtype):
    law, z = ACTIVATIONS[name], points(dtype)
    expected = np.array([law.value(float(each)) for each in z])
    got = run(to_onnx(of_law(name, dtype)), z[:, np.newaxis])["variable"]
    assert got.dtype == dtype
    # Where a rounding is no normal number, parts of a law have fewer places.
    scale = np.maximum(np.abs(expected), np.finfo(dtype).tiny / np.finfo(dtype).eps)
    assert (np.abs(got - expected) / scale).max() <= law.ulps * np.finfo(dtype).eps


#: Of a user's own, and the error they may have, in eps: of themselves, or of the largest where they cross 0.
OWN = {
    "softsign": (lambda z: z / (1 + abs(z)), 4),
    "staircase": (lambda z: 1.0 if z > 1 else 0.5 if z > 0 else 0.0, 0),
    "constant": (lambda z: 0.25, 0),
    "cubed": (lambda z: z**3, 4),
    "power": (lambda z: abs(z) ** 1.5, 8),
    "atan": (math.atan, 4),
    "erf": (math.erf, 4),
    "wave": (lambda z: math.sin(z) + math.cos(z), 4),
    "root": (lambda z: math.sqrt(1 + z * z), 4),
    "logarithm": (lambda z: math.log(1 + max(z, 0.0)), 4),
    "cut": (lambda z: min(math.tanh(z), 0.5) - 1, 4),
    "hat": (lambda z: math.exp(-z) if z >= 0 else math.exp(z), 4),
}


def operations(symbol):
    if symbol.op in ("arg", "const"):
        return set()
    return {symbol.op}.union(*map(operations, symbol.args))


def test_every_operation_of_an_expression_has_a_node_and_a_law_that_is_tried():
    assert OPERATORS.keys() == expressions.OPERATIONS.keys()
    used = set().union(*(operations(expressions.expression(law)) for law, _ in OWN.values()))
    assert used == set(expressions.OPERATIONS)


@pytest.mark.parametrize("name", OWN)
def test_a_law_of_a_users_own_is_exported(name, dtype):
    law, ulps = OWN[name]
    z = np.concatenate([np.linspace(-6, 6, 241), 10.0 ** np.arange(-20, 0)]).astype(dtype)
    expected = np.array([law(float(each)) for each in z])
    got = run(to_onnx(of_law(Activation(name, law, law), dtype)), z[:, np.newaxis])["variable"]
    scale = np.abs(expected) if name in ("atan", "erf", "softsign") else np.abs(expected).max()
    assert (np.abs(got - expected) <= ulps * np.finfo(dtype).eps * scale).all()


def test_a_law_that_is_no_expression_is_refused_by_its_name():
    def rounded(z):
        return float(round(z))

    def within_one(z):
        while z > 1:
            z = z - 1
        return z

    def largest(z):
        return max(0.0, z, -z)

    with pytest.raises(ValueError, match="within_one has too many branches"):
        to_onnx(of_law(Activation("within_one", within_one, within_one), np.float64))
    with pytest.raises(ValueError, match=r"largest is no expression .* of 3 numbers, but 2 are wanted"):
        to_onnx(of_law(Activation("largest", largest, largest), np.float64))
    with pytest.raises(ValueError, match="rounded is no expression of elementary operations"):
        to_onnx(of_law(Activation("rounded", rounded, rounded), np.float64))


@pytest.mark.parametrize("law", [*ACTIVATIONS, *OWN])
def test_a_missing_value_makes_the_outputs_of_its_row_nan(law, dtype):
    law = Activation(law, OWN[law][0], OWN[law][0]) if law in OWN else law
    got = run(to_onnx(of_law(law, dtype)), [[0.5], [np.nan]])["variable"]
    assert np.isnan(got).tolist() == [False, True]


# ---- outputs ----


def test_every_output_activation_of_the_losses_is_exported():
    assert OUT_ACTIVATIONS.keys() == OUT_ACTIVATIONS_OF_LOSSES.keys()


@pytest.mark.parametrize("out", OUT_ACTIVATIONS)
def test_a_missing_value_makes_all_outputs_of_its_row_nan(out, dtype):
    model = network([np.ones((2, 3))], out=out, dtype=dtype)
    *_, got = run(to_onnx(model), [[1, 2], [np.nan, 2]]).values()
    assert np.isnan(got).tolist() == [[False] * 3, [True] * 3]


#: The errors of exp, and of what comes after it, in eps: where probabilities are small they are all there is.
ROUNDINGS = {np.dtype(np.float32): 2e-6, np.dtype(np.float64): 32 * np.finfo(float).eps}


def least(dtype):
    return -69 if dtype == np.float32 else -690  # 1e-30 and 1e-300


def test_both_probabilities_of_two_classes_are_right_where_they_are_small(dtype):
    z = np.linspace(least(dtype), -least(dtype), 501).astype(dtype)
    got = run(to_onnx(network([[[1]]], out="logistic", dtype=dtype)), z[:, np.newaxis])["probabilities"]
    exact = z.astype(np.longdouble)
    expected = np.stack([1 / (1 + np.exp(exact)), 1 / (1 + np.exp(-exact))], axis=1)
    np.testing.assert_allclose(got, expected, rtol=ROUNDINGS[dtype])
    model = network([[[1]]], out="logistic", dtype=dtype)
    np.testing.assert_allclose(got[:, 1], model.predict_proba(z[:, np.newaxis])[:, 1], rtol=ROUNDINGS[dtype])
    np.testing.assert_allclose(got, model.predict_proba(z[:, np.newaxis]), atol=np.finfo(dtype).eps)


@pytest.mark.parametrize("out", ["softmax", "exp", "logistic"])
def test_outputs_are_right_where_they_are_small(out, dtype):
    Z = np.random.default_rng(0).uniform(least(dtype) / 2, -least(dtype) / 2, (300, 3))
    Z = (np.round(16 * Z) / 16).astype(dtype)  # whose differences are exact: a rounding of z is one of e^z, times z
    model = network([np.eye(3)], out=out, dtype=dtype)
    *_, got = run(to_onnx(model), Z).values()
    exact = Z.astype(np.longdouble)
    exps = np.exp(exact - exact.max(axis=1, keepdims=True))
    expected = {
        "softmax": exps / exps.sum(axis=1, keepdims=True),
        "exp": np.exp(exact),
        "logistic": 1 / (1 + np.exp(-exact)),
    }[out]
    assert got.min() < (1e-14 if dtype == np.float32 else 1e-140)
    np.testing.assert_allclose(got, expected, rtol=ROUNDINGS[dtype])
    predicted = model.predict(Z) if out == "exp" else model.predict_proba(Z)
    np.testing.assert_allclose(got, predicted, rtol=ROUNDINGS[dtype])


LABELS = {
    "text": np.array(["setosa", "größer", ""]),
    "objects": np.array(["a", "bb", "ccc"], object),
    "int32": np.array([3, 5, 9], np.int32),
    "large": np.array([0, 2**40, 2**40 + 1]),
    "negative": np.array([-5, 0, 7]),
    "uint8": np.array([0, 1, 255], np.uint8),
    "uint64": np.array([0, 1, 2**64 - 1], np.uint64),
    "numbers": np.array([0.0, 1.0, 2.0]),
    "float32": np.array([0, 1, 2], np.float32),
    "booleans": np.array([False, True]),
    "two texts": np.array(["no", "yes"]),
    "two numbers": np.array([2**40, 2**40 + 1]),
    "one": np.array(["only"]),
}


def labelled(classes, dtype=np.float64):
    """A network of three features, whose classes are of the largest."""
    if len(classes) < 3:
        return network([[[-1], [1], [0]]], out="logistic", classes=classes, dtype=dtype)
    return network([np.eye(3)], out="softmax", classes=classes, dtype=dtype)


@pytest.mark.parametrize("kind", LABELS)
def test_labels_are_those_that_predict_gives(kind):
    model, Z = labelled(np.sort(LABELS[kind])), np.random.default_rng(0).normal(size=(50, 3))
    expected, got = model.predict(Z), run(to_onnx(model), Z)["label"]
    assert len(set(expected.tolist())) == len(LABELS[kind])
    assert got.shape == (50,)
    assert got.tolist() == expected.tolist()
    if expected.dtype.kind in "iufb" and expected.dtype.itemsize == 8:
        assert got.dtype == expected.dtype


@pytest.mark.parametrize("classes", [LABELS["text"], LABELS["two texts"]], ids=["three", "two"])
def test_of_equal_probabilities_the_label_is_the_first(classes, dtype):
    model = labelled(np.sort(classes), dtype)
    Z = np.array([[0, 0, 0], [1, 1, 1], [0, 1e-12, 0], [1e-12, 0, 0]], dtype)
    assert run(to_onnx(model), Z)["label"].tolist() == model.predict(Z).tolist()
    assert run(to_onnx(model), Z[:1])["label"].tolist() == model.classes_[:1].tolist()


def test_several_labels_at_once_are_zeros_and_ones(dtype):
    model, Z = network([np.eye(3)], out="logistic", dtype=dtype), np.random.default_rng(0).normal(size=(50, 3))
    got = run(to_onnx(model), Z)
    assert got["label"].dtype == np.int64
    np.testing.assert_array_equal(got["label"], model.predict(Z))
    assert got["probabilities"].shape == (50, 3)


def test_classes_that_onnx_has_not_are_refused():
    model = labelled(LABELS["int32"])
    model.classes_ = np.array([b"a", b"b", b"c"])
    with pytest.raises(TypeError, match="but texts, numbers or booleans are wanted"):
        to_onnx(model)


# ---- whole models ----

#: Of each kind of estimator: targets, and parameters.
MODELS = {
    **{name: (MLPRegressor, 1 + y, {"loss": name}) for name, out in LOSSES if out in ("identity", "exp")},
    "several targets": (MLPRegressor, X[:, :3], {}),
    "quantiles": (MLPRegressor, X[:, 0], {"loss": "quantile", "quantile": (0.1, 0.5, 0.9)}),
    "one quantile": (MLPRegressor, X[:, 0], {"loss": "quantile", "quantile": [0.5]}),
    "classes": (MLPClassifier, y, {}),
    "focal": (MLPClassifier, y, {"loss": "focal"}),
    "two classes": (MLPClassifier, y == 0, {}),
    "several labels": (MLPClassifier, np.stack([y == 0, y > 0, X[:, 0] > 5], axis=1).astype(int), {}),
    "one class": (MLPClassifier, np.zeros(len(y)), {}),
    "no hidden layer": (MLPClassifier, y, {"hidden_layer_sizes": ()}),
    "tanh, relu": (MLPClassifier, y, {"activation": ("tanh", "relu")}),
    "scikit-learn's classifier": (sklearn_network.MLPClassifier, y, {}),
    "scikit-learn's regressor": (sklearn_network.MLPRegressor, y, {}),
}


@pytest.fixture(scope="module")
def fitted():
    known = {}

    def fit(name, dtype=None):
        dtype = np.dtype(dtype or np.float64)
        if (name, dtype) not in known:
            kind, targets, parameters = MODELS[name]
            known[name, dtype] = kind(**QUICK | parameters).fit(X.astype(dtype), targets)
        return known[name, dtype]

    return fit


def test_every_loss_has_a_model_that_is_tried():
    assert {name for name, _ in LOSSES} - {"log_loss"} <= MODELS.keys()


@pytest.mark.parametrize("name", MODELS)
def test_onnxruntime_predicts_what_the_model_predicts(fitted, name, dtype):
    model = fitted(name, dtype)
    Z = X.astype(dtype)
    got, error = run(to_onnx(model), Z), bound(model, Z)
    if not hasattr(model, "predict_proba"):
        expected = model.predict(Z)
        assert got.keys() == {"variable"}
        assert (got["variable"].shape, got["variable"].dtype) == (expected.shape, dtype)
        relative = model.out_activation_ == "exp"
        np.testing.assert_allclose(got["variable"], expected, rtol=error * relative, atol=error * (not relative))
    else:
        assert list(got) == ["label", "probabilities"]
        expected = model.predict_proba(Z)
        assert (got["probabilities"].shape, got["probabilities"].dtype) == (expected.shape, dtype)
        np.testing.assert_allclose(got["probabilities"], expected, rtol=2 * error)  # of e^z, and of their sum
        np.testing.assert_array_equal(got["label"], model.predict(Z))


@pytest.mark.parametrize("name", MODELS)
def test_onnxs_own_program_says_the_same_as_onnxruntime(fitted, name):
    made = to_onnx(fitted(name))
    expected = run(made, X)
    with np.errstate(all="ignore"):
        got = onnx.reference.ReferenceEvaluator(made).run(None, {"X": X})
    for output, value in zip(expected, got, strict=True):
        if output == "label":
            np.testing.assert_array_equal(value, expected[output])
        else:
            error = bound(fitted(name), X)
            np.testing.assert_allclose(value, expected[output], rtol=2 * error, atol=error * (output == "variable"))


def test_sorted_quantiles_do_not_cross(dtype):
    model = network([[[2, 1, 3]]], dtype=dtype)
    model.set_params(loss="quantile", quantile=(0.1, 0.5, 0.9))
    got = run(to_onnx(model), [[1], [-1], [np.nan]])["variable"]
    np.testing.assert_array_equal(got, [[1, 2, 3], [-3, -2, -1], [np.nan] * 3])


@pytest.mark.parametrize("wanted", ["float32", np.float64])
def test_the_dtype_may_be_another_than_that_of_the_parameters(fitted, dtype, wanted):
    model = fitted("classes", dtype)
    got = run(model.to_onnx(dtype=wanted), X)["probabilities"]
    assert got.dtype == wanted
    np.testing.assert_allclose(got, model.predict_proba(X), rtol=2 * bound(fitted("classes", np.float32), X))


LAST = min(OPSETS[-1], onnx.defs.onnx_opset_version())


@pytest.mark.parametrize("opset", range(OPSETS[0], LAST + 1))
def test_all_versions_of_the_operators_say_the_same(fitted, opset):
    expected = run(to_onnx(fitted("tanh, relu")), X)
    made = to_onnx(fitted("tanh, relu"), opset=opset)
    assert made.opset_import[0].version == opset
    for name, value in run(made, X).items():
        np.testing.assert_array_equal(value, expected[name])


@pytest.mark.parametrize("opset", [12, 26, 0, -1, "18", 18.0, True])
def test_other_versions_are_refused(fitted, opset):
    with pytest.raises(ValueError, match=f"opset is {opset!r}, but a number from 13 to {LAST} is wanted"):
        to_onnx(fitted("classes"), opset=opset)


@pytest.mark.parametrize("dtype", ["float16", int, "no dtype"])
def test_other_dtypes_are_refused(fitted, dtype):
    with pytest.raises(ValueError, match="but float32 or float64 is wanted"):
        to_onnx(fitted("classes"), dtype=dtype)


def test_parameters_that_float32_does_not_hold_are_refused():
    model = network([[[1e300]]])
    assert run(to_onnx(model), [[1]])["variable"] == 1e300
    with pytest.raises(ValueError, match=r"the parameters reach 1e\+300, which is too large for float32"):
        to_onnx(model, dtype="float32")


def test_what_is_no_network_or_not_fitted_is_refused():
    with pytest.raises(TypeError, match="model is a LinearRegression, but"):
        to_onnx(LinearRegression().fit(X, y))
    with pytest.raises(TypeError, match="a step of the Pipeline is a Normalizer, but"):
        to_onnx(make_pipeline(Normalizer(), MLPRegressor(**QUICK)).fit(X, y))
    with pytest.raises(NotFittedError):
        MLPRegressor().to_onnx()


@pytest.mark.parametrize("layer", [0, 2])
def test_parameters_that_do_not_fit_are_refused(fitted, layer):
    model = from_onnx(to_onnx(fitted("classes")))
    model.coefs_[layer] = model.coefs_[layer][:3] if layer == 0 else np.ones((4, 2))
    model.intercepts_[layer] = model.intercepts_[layer][: model.coefs_[layer].shape[1]]
    with pytest.raises(ValueError, match=r"coefs_ are those of . features and . outputs, but 4 and 3 are what the mo"):
        model.to_onnx()


def test_a_file_says_what_it_is_and_where_it_comes_from():
    model = MLPRegressor(**QUICK).fit(pd.DataFrame(X, columns=list("abcd")), y)
    made = to_onnx(model)
    assert made.producer_name == "fastnn"
    assert made.doc_string == "a multilayer perceptron of 4 - 5 - 4 - 1 units"
    assert made.graph.name == "MLPRegressor"
    told = {each.key: json.loads(each.value) for each in made.metadata_props}
    assert told == {"feature_names": ["a", "b", "c", "d"], "parameters": {"loss": "squared_error"}}
    assert not any(each.data_location for each in made.graph.initializer)


def test_what_is_the_same_is_written_once(fitted):
    made = to_onnx(network([np.eye(2), np.eye(2)], "gelu"))
    nodes = [(node.op_type, tuple(node.input)) for node in made.graph.node]
    assert len(nodes) == len(set(nodes))
    constants = [each.raw_data for each in made.graph.initializer if not each.dims]
    assert len(constants) == len(set(constants))


def test_without_onnx_an_error_says_what_to_install(fitted, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    for call in fitted("classes").to_onnx, lambda: from_onnx(b""):
        with pytest.raises(ImportError, match=r'onnx is not installed: pip install "fastnn-mlp\[onnx\]"'):
            call()


# ---- scaled columns ----

SCALERS = [
    (StandardScaler(),),
    (StandardScaler(with_mean=False),),
    (StandardScaler(with_std=False),),
    (StandardScaler(with_mean=False, with_std=False),),
    (MinMaxScaler(),),
    (MinMaxScaler((-1, 3), clip=True),),
    (MaxAbsScaler(),),
    (RobustScaler(),),
    (RobustScaler(with_centering=False), "passthrough", MinMaxScaler(clip=True)),
]


@pytest.mark.parametrize("scalers", SCALERS, ids=str)
def test_scalers_of_a_pipeline_are_in_the_graph(scalers, dtype):
    model = make_pipeline(*scalers, MLPClassifier(**QUICK)).fit(X[::2].astype(dtype), y[::2])
    Z = np.concatenate([3 * X, X - 10])
    made = to_onnx(model)
    assert run(made, [[np.nan, 1, 1, 1]])["probabilities"].dtype == dtype
    assert np.isnan(run(made, [[np.nan, 1, 1, 1]])["probabilities"]).all()
    network, scaled = model[-1], model[:-1].transform(Z)
    got = run(made, Z)["probabilities"]
    np.testing.assert_allclose(got, network.predict_proba(scaled), rtol=2 * bound(network, scaled), atol=1e-300)


def test_the_digits_of_a_large_mean_are_kept_for_a_network_of_float32():
    rng = np.random.default_rng(0)
    Z = 1e6 + 0.3 * rng.normal(size=(200, 3))
    model = make_pipeline(StandardScaler(), MLPRegressor(**QUICK)).fit(Z, rng.normal(size=200))
    made = to_onnx(model, dtype="float32")
    assert made.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.DOUBLE
    error = bound(network([coef for coef in model[-1].coefs_], "relu", "relu", dtype=np.float32), model[0].transform(Z))
    np.testing.assert_allclose(run(made, Z)["variable"], model.predict(Z), atol=error)


# ---- tables ----


def table(n=60):
    """Columns of all kinds, some of whose values are missing."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "large": 1e6 + rng.normal(size=n),
            "label": rng.choice(["red", "green", "blue"], n),  # as the output is called
            "whole": rng.integers(0, 9, n).astype(float),
            "code": rng.choice(["01", "2", "10"], n),
            "truth": rng.choice(["true", "FALSE"], n),
            "flag": rng.random(n) > 0.5,
            "since": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 10**7, n), unit="s"),
            "grade": rng.choice(["A", "B", "NA!"], n).astype(object),
            "same": 1.0,
        }
    )
    frame.loc[3, "large"] = frame.loc[4, "grade"] = None
    return frame


def odd_table():
    """A table with what the first had not."""
    frame = table()
    frame.loc[[0, 1, 2, 3, 4], "large"] = [np.nan, np.inf, -np.inf, 1e300, 0]
    frame.loc[[0, 1, 2], "label"] = ["purple", None, "Red"]
    frame.loc[[0, 1, 2, 3], "code"] = ["1", "01.0", "2.0", "x"]
    frame.loc[[0, 1], "truth"] = ["TRUE", "maybe"]
    frame.loc[[0, 1, 2], "grade"] = [None, "NA", "n/a"]
    frame.loc[5, "since"] = pd.NaT
    frame.loc[6, "since"] = pd.Timestamp("1900-01-01")
    return frame


ENCODER = {"categorical": ["code", "truth", "grade"]}


def columns(encoder, frame):
    """A table as a graph takes it."""
    arrays, _ = encoder._columns_of(frame)
    feeds = {}
    for column, values in zip(encoder.columns_, arrays, strict=True):
        if isinstance(column, Category):
            values = np.array([text or "" for text in labels(values)], object)
        else:
            values = column.values(values)
        feeds[column.name] = values[:, np.newaxis]
    return feeds


def test_every_kind_of_column_is_in_the_table_that_is_tried():
    encoder = TableEncoder(**ENCODER).fit(table())
    assert {type(column) for column in encoder.columns_} == set(get_args(Column))
    assert {column.kind for column in encoder.columns_} == {"number", "category", "boolean", "date"}
    assert {column.missing for column in encoder.columns_ if isinstance(column, Category)} == {True, False}


@pytest.mark.parametrize("rows", [table, odd_table])
@pytest.mark.parametrize("forget_range", [False, True], ids=["", "of 0.1.0"])
def test_the_matrix_of_a_table_is_that_of_the_encoder_to_the_bit(rows, forget_range):
    encoder = TableEncoder(**ENCODER).fit(table())
    for column in encoder.columns_:
        if isinstance(column, Number) and forget_range:
            column.low = column.high = None
    n = len(encoder.get_feature_names_out())
    model = make_pipeline(encoder, network([np.eye(n)], dtype=np.float32))
    frame = rows()
    np.testing.assert_array_equal(
        run(to_onnx(model), columns(encoder, frame))["variable"], encoder.transform(frame), strict=True
    )


@pytest.mark.parametrize("between", [(), (StandardScaler(),)], ids=["", "scaled"])
def test_a_table_is_predicted_from_its_columns(between, dtype):
    frame = table()
    model = make_pipeline(TableEncoder(**ENCODER), *between, MLPClassifier(**QUICK)).fit(frame, frame["code"])
    made = to_onnx(model, dtype=dtype)
    kinds = {each.name: (each.type.tensor_type.elem_type, each.doc_string) for each in made.graph.input}
    text, number = (onnx.TensorProto.STRING, "a text; '' where it is missing"), onnx.TensorProto.DOUBLE
    assert kinds == {
        "large": (number, "a number; NaN where it is missing"),
        "label": text,
        "whole": (number, "a number; NaN where it is missing"),
        "code": text,
        "truth": text,
        "flag": (number, "0 or 1; NaN where it is missing"),
        "since": (number, "seconds since 1970 (UTC); NaN where it is missing"),
        "grade": text,
    }
    got = run(made, columns(model[0], frame))
    assert list(got) == ["label_1", "probabilities"]
    error = bound(model[-1], model[:-1].transform(frame))  # the encoder's matrix is of float32
    np.testing.assert_allclose(got["probabilities"], model.predict_proba(frame), rtol=2 * error)
    assert got["label_1"].tolist() == model.predict(frame).tolist()


# ---- tabular models ----

#: Targets, and parameters.
TABULAR = {
    "number": (TabularRegressor, 1e6 + table()["whole"] / 10, {}),
    "numbers": (TabularRegressor, np.stack([table()["whole"], -1e3 * table()["flag"]], axis=1), {"n_bins": 0}),
    "alone": (TabularRegressor, table()["whole"], {"n_members": 1}),
    "constant": (TabularRegressor, np.full(60, 0.1), {"hidden_layer_sizes": ()}),
    "two": (TabularClassifier, table()["flag"], {}),
    "three": (TabularClassifier, table()["code"], {}),
    "one": (TabularClassifier, np.zeros(60), {"n_members": 1}),
}


@pytest.fixture(scope="module")
def tabular():
    return {
        name: kind(**QUICK | {"n_members": 3, "n_bins": 4} | parameters, encoder=TableEncoder(**ENCODER)).fit(
            table(), target
        )
        for name, (kind, target, parameters) in TABULAR.items()
    }


@pytest.mark.parametrize("rows", [table, odd_table])
@pytest.mark.parametrize("name", TABULAR)
def test_onnxruntime_says_what_a_tabular_model_says(tabular, name, rows, dtype):
    model, frame = tabular[name], rows()
    got = run(to_onnx(model, dtype=dtype), columns(model.encoder_, frame))
    # Of sums of 30 numbers about 1 in up to three layers, 1e-5 is a hundred roundings of float32.
    if hasattr(model, "predict_proba"):
        assert list(got) == ["label_1", "probabilities"]
        assert got["probabilities"].dtype == dtype
        np.testing.assert_allclose(got["probabilities"], model.predict_proba(frame), rtol=1e-5)
        assert got["label_1"].tolist() == model.predict(frame).tolist()
    else:
        expected = model.predict(frame)
        assert (got["variable"].dtype, got["variable"].shape) == (np.float64, expected.shape)
        np.testing.assert_allclose(got["variable"] / model.y_scale_, expected / model.y_scale_, rtol=0, atol=1e-5)


@pytest.mark.parametrize("opset", [OPSETS[0], LAST])
def test_all_versions_of_the_operators_say_the_same_of_a_table(tabular, opset):
    feeds = columns(tabular["number"].encoder_, table())
    expected = run(to_onnx(tabular["number"]), feeds)["variable"]
    np.testing.assert_array_equal(run(to_onnx(tabular["number"], opset=opset), feeds)["variable"], expected)


@pytest.mark.parametrize("rows", [table, odd_table])
@pytest.mark.parametrize("n_bins", [0, 5])
def test_the_matrix_of_an_embedding_is_that_of_the_encoder_to_the_bit(rows, n_bins):
    model = TabularRegressor(**QUICK | {"n_bins": n_bins}, encoder=TableEncoder(**ENCODER)).fit(table(), range(60))
    model.embedding_.scale_[0] = 0.0
    n = len(model.embedding_.get_feature_names_out())
    model.estimators_ = [network([np.eye(n)], dtype=np.float32)]
    model.y_mean_, model.y_scale_, model.y_min_, model.y_max_ = np.array([0.0, 1, -9, 9])[:, np.newaxis] * np.ones(n)
    frame = rows()
    got = run(to_onnx(model), columns(model.encoder_, frame))["variable"]
    np.testing.assert_array_equal(got, model.embedding_.transform(model.encoder_.transform(frame)))


@pytest.mark.parametrize("scaler", [StandardScaler(), MinMaxScaler((-1, 3)), RobustScaler()], ids=str)
def test_a_scaler_before_a_tabular_model_becomes_a_part_of_its_columns(scaler):
    frame = pd.DataFrame({"far": 1e6 + X[:, 0], "gaps": np.where(X[:, 1] > 3, np.nan, X[:, 1]), "two": X[:, 2] > 4})
    model = make_pipeline(scaler, "passthrough", TabularRegressor(**QUICK)).fit(frame, X[:, 3])
    made = to_onnx(model)
    got = run(made, {name: frame[[name]].to_numpy(np.float64) for name in frame})["variable"]
    np.testing.assert_allclose(got, model.predict(frame), rtol=0, atol=1e-5 * np.std(X[:, 3]))


def test_what_comes_before_a_tabular_model_and_cannot_be_told_is_refused():
    matrix = np.where(X > 5, 5, X)
    with pytest.raises(TypeError, match="a MinMaxScaler with clip=True comes before a TabularClassifier or"):
        to_onnx(make_pipeline(MinMaxScaler(clip=True), TabularRegressor(**QUICK)).fit(matrix, y))
    with pytest.raises(TypeError, match="a TabularRegressor has a TableEncoder, but one comes before it"):
        to_onnx(make_pipeline(TableEncoder(), TabularRegressor(**QUICK)).fit(matrix, y))
    encoder = TableEncoder(categorical=["x3"])
    with pytest.raises(TypeError, match="column 'x3' is read as categories of scaled numbers, but numbers are wanted"):
        to_onnx(make_pipeline(StandardScaler(), TabularRegressor(**QUICK, encoder=encoder)).fit(matrix, y))
    with pytest.raises(NotFittedError):
        to_onnx(TabularClassifier())


def test_a_graph_of_several_members_says_so_and_does_not_come_back(tabular):
    made = to_onnx(tabular["three"])
    assert made.doc_string.startswith("the mean of 3 multilayer perceptrons of ")
    assert made.graph.name == "TabularClassifier"
    assert made.SerializeToString() == tabular["three"].to_onnx().SerializeToString()
    with pytest.raises(ValueError, match=r"the graph takes 'large', .* but one matrix is wanted"):
        from_onnx(made)


# ---- skl2onnx ----


class Derived(MLPClassifier):
    """A class of a user's own."""


def converted(model, dtype, **options):
    skl2onnx = pytest.importorskip("skl2onnx")
    return skl2onnx.to_onnx(model, X[:1].astype(dtype), options={id(model): options} if options else None)


CONVERTED = {
    (name, is_told)
    for name, (kind, *_) in MODELS.items()
    for is_told in (False, True)
    if kind is MLPClassifier or (kind is MLPRegressor and not is_told)
}


@pytest.mark.parametrize(("name", "is_told"), sorted(CONVERTED))
def test_skl2onnx_converts_an_estimator(fitted, name, is_told, dtype):
    model = fitted(name, dtype)
    expected = run(to_onnx(model), X.astype(dtype))
    for output, got in run(converted(model, dtype, **{"zipmap": False} if is_told else {}), X).items():
        flat = output == "variable" and expected[output].ndim == 1  # other estimators of scikit-learn take matrices
        np.testing.assert_array_equal(got, expected[output][:, np.newaxis] if flat else expected[output])


@pytest.mark.parametrize("kind", [MLPClassifier, Derived])
def test_skl2onnx_converts_a_pipeline_that_ends_with_one(kind, dtype):
    halves = ColumnTransformer([("a", StandardScaler(), [0, 1]), ("b", MinMaxScaler(), [2, 3])])
    model = make_pipeline(halves, kind(**QUICK)).fit(X.astype(dtype), y + 2**40)
    got, scaled = run(converted(model, dtype), X), halves.transform(X)
    # skl2onnx scales by its own operators, in float32 even of float64: the rest is as right as that.
    error = bound(network(model[-1].coefs_, "relu", "relu", dtype=np.float32), scaled)
    np.testing.assert_allclose(got["probabilities"], model.predict_proba(X.astype(dtype)), rtol=2 * error)
    np.testing.assert_array_equal(got["label"], model.predict(X))


def test_skl2onnx_converts_a_search():
    search = GridSearchCV(MLPClassifier(**QUICK), {"alpha": [1e-4, 1e-3]}, cv=2).fit(X, y)
    got = run(converted(search, np.float64), X)
    np.testing.assert_array_equal(got["label"], search.predict(X))


def test_a_missing_skl2onnx_is_named(monkeypatch):
    from fastnn.export.onnx import register

    monkeypatch.setitem(sys.modules, "skl2onnx", None)
    with pytest.raises(ImportError, match="pip install skl2onnx"):
        register(MLPClassifier)


def test_skl2onnx_converts_others_that_hold_one_once_it_is_registered():
    pytest.importorskip("skl2onnx")
    from fastnn.export.onnx import register

    register(MLPClassifier, MLPRegressor)
    register(TabularClassifier)
    members = [("a", MLPClassifier(**QUICK)), ("b", Derived(**QUICK | {"random_state": 1}))]
    members += [("c", TabularClassifier(**QUICK, n_bins=4))]
    model = VotingClassifier(members, voting="soft", flatten_transform=False).fit(X, y)
    got = run(converted(model, np.float64, zipmap=False), X)
    np.testing.assert_allclose(got["probabilities"], model.predict_proba(X), rtol=1e-6)  # it adds up in float32


@pytest.mark.parametrize("kind", [TabularRegressor, TabularClassifier])
def test_skl2onnx_converts_a_tabular_model_of_a_matrix(kind, dtype):
    halves = ColumnTransformer([("a", StandardScaler(), [0, 1]), ("b", "passthrough", [2, 3])])
    model = make_pipeline(halves, kind(**QUICK, n_bins=4)).fit(X.astype(dtype), y)
    got = run(converted(model, dtype), X)
    assert {value.dtype for value in got.values()} == {dtype} | ({np.dtype(np.int64)} if len(got) > 1 else set())
    if kind is TabularClassifier:
        np.testing.assert_allclose(got["probabilities"], model.predict_proba(X.astype(dtype)), rtol=1e-5)
        np.testing.assert_array_equal(got["label"], model.predict(X.astype(dtype)))
    else:
        np.testing.assert_allclose(got["variable"][:, 0], model.predict(X.astype(dtype)), rtol=0, atol=1e-5)


def test_skl2onnx_converts_a_tabular_model_of_a_table():
    skl2onnx = pytest.importorskip("skl2onnx")
    types, frame = skl2onnx.common.data_types, table()[["large", "label", "flag", "same"]]
    model = TabularRegressor(**QUICK, n_bins=4).fit(frame, table()["whole"])
    given = {
        "large": types.DoubleTensorType([None, 1]),
        "label": types.StringTensorType([None, 1]),
        "flag": types.BooleanTensorType([None, 1]),
        "same": types.FloatTensorType([None, 1]),
    }
    feeds = {name: frame[[name]].to_numpy() for name in frame} | {"same": np.ones((60, 1), np.float32)}
    got = run(skl2onnx.to_onnx(model, initial_types=list(given.items())), feeds)["variable"]
    np.testing.assert_allclose(got[:, 0], model.predict(frame), rtol=0, atol=1e-5 * model.y_scale_)
    with pytest.raises(TypeError, match="column 'label' comes in as numbers, but TabularRegressor expects texts"):
        skl2onnx.to_onnx(model, initial_types=list((given | {"label": given["same"]}).items()))
    with pytest.raises(ValueError, match="3 columns come in, but TabularRegressor expects 4"):
        skl2onnx.to_onnx(model, initial_types=list(given.items())[:3])


def test_skl2onnx_is_told_which_versions_there_are(fitted):
    skl2onnx = pytest.importorskip("skl2onnx")
    with pytest.raises(ValueError, match=f"opset is 12, but a number from 13 to {LAST} is wanted"):
        skl2onnx.to_onnx(fitted("classes"), X[:1], target_opset=12)


# ---- and back ----


def same_bits(got, expected, Z):
    """Two estimators predict the same bits."""
    assert type(got).__name__ == type(expected).__name__
    for call in "predict", "predict_proba":
        if hasattr(expected, call):
            np.testing.assert_array_equal(getattr(got, call)(Z), getattr(expected, call)(Z), strict=True)


@pytest.mark.parametrize("name", [name for name in MODELS if not name.startswith("scikit")])
def test_a_model_comes_back_with_the_same_bits(fitted, name, dtype):
    model = fitted(name, dtype)
    got = from_onnx(to_onnx(model).SerializeToString())
    same_bits(got, model, X.astype(dtype))
    for parameter in "hidden_layer_sizes", "loss":
        assert getattr(got, parameter) == getattr(model, parameter)
    for attribute in "n_features_in_", "n_layers_", "n_outputs_", "out_activation_":
        assert getattr(got, attribute) == getattr(model, attribute)


@pytest.mark.parametrize("name", ["scikit-learn's classifier", "scikit-learn's regressor"])
def test_a_model_of_scikit_learn_becomes_one_of_fastnn(fitted, name, dtype):
    model = fitted(name, dtype)
    got = from_onnx(to_onnx(model))
    same_bits(got, getattr(sys.modules["fastnn"], type(model).__name__).from_sklearn(model), X.astype(dtype))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_law_of_the_table_is_recognised_in_what_is_written_of_it(name, dtype):
    model = network([np.eye(3), np.eye(3), np.eye(3)], name, "tanh", dtype=dtype)
    got = from_onnx(to_onnx(model))
    assert got.activation == (name if name == "tanh" else (name, "tanh"))
    assert got.coefs_[0].dtype == dtype


@pytest.mark.parametrize("kind", LABELS)
def test_classes_come_back(kind):
    model = labelled(np.sort(LABELS[kind]))
    got = from_onnx(to_onnx(model))
    assert got.classes_.tolist() == model.classes_.tolist()
    assert got.predict(X[:, :3]).tolist() == model.predict(X[:, :3]).tolist()


def test_names_and_what_it_was_trained_for_come_back():
    frame = pd.DataFrame(X, columns=list("abcd"))
    model = MLPRegressor(**QUICK, loss="quantile", quantile=[0.2, 0.6]).fit(frame, y)
    got = from_onnx(to_onnx(model))
    assert got.feature_names_in_.tolist() == list("abcd")
    assert (got.loss, got.quantile) == ("quantile", (0.2, 0.6))
    assert from_onnx(to_onnx(MLPRegressor(**QUICK, loss="huber", delta=3.0).fit(X, y))).delta == 3
    assert from_onnx(to_onnx(MLPClassifier(**QUICK, loss="focal", gamma=1.5).fit(X, y))).gamma == 1.5
    assert not hasattr(from_onnx(to_onnx(MLPRegressor(**QUICK).fit(X, y))), "feature_names_in_")


@pytest.mark.parametrize("name", ["classes", "two classes", "several labels", "poisson", "quantiles"])
def test_what_came_back_is_trained_on_and_saved(fitted, name, tmp_path):
    _, targets, _ = MODELS[name]
    model = from_onnx(to_onnx(fitted(name)))
    same_bits(load(save(model, tmp_path / "model")), model, X)
    before = model.coefs_[0].copy()
    model.partial_fit(X, targets)
    step = np.abs(model.coefs_[0] - before).max()
    assert 0 < step < 0.01  # it goes on from there
    model.set_params(warm_start=True, max_iter=1, random_state=0).fit(X, targets)
    assert np.abs(model.coefs_[0] - before).max() < 0.02
    same_bits(load(save(model, tmp_path / "model")), model, X)


@pytest.mark.parametrize("scaler", [StandardScaler(), MinMaxScaler((-1, 2)), MaxAbsScaler(), RobustScaler()], ids=str)
def test_scaled_columns_become_a_part_of_the_first_layer(scaler, dtype):
    model = make_pipeline(scaler, MLPClassifier(**QUICK)).fit(X.astype(dtype), y)
    got = from_onnx(to_onnx(model))
    assert got.coefs_[0].dtype == np.float64  # for means that are large
    error = bound(model[-1], scaler.transform(X))  # scalers are of float32, too
    np.testing.assert_allclose(got.predict_proba(X), model.predict_proba(X), rtol=2 * error)


def test_scalers_that_cut_off_and_tables_are_refused():
    model = make_pipeline(MinMaxScaler(clip=True), MLPRegressor(**QUICK)).fit(X, y)
    with pytest.raises(
        ValueError, match=r"node 'Min 4' \(Min\) is neither a layer \(Gemm, MatMul\) nor one of the act"
    ):
        from_onnx(to_onnx(model))
    frame = table()[["large", "code"]]
    model = make_pipeline(TableEncoder(), MLPRegressor(**QUICK)).fit(frame, np.arange(60.0))
    with pytest.raises(ValueError, match="the graph takes 'large', 'code', but one matrix is wanted"):
        from_onnx(to_onnx(model))


# ---- graphs of others ----

#: Weights of two layers, and a bias.
CONSTANTS = {
    "W": np.array([[1, -2, 0.5], [0.25, 1, -1]], np.float32),
    "b": np.array([0.5, -1, 2], np.float32),
    "V": np.array([[1, 2], [-1, 0.5], [0.5, -0.25]], np.float32),
}


def graph(*nodes, outputs=("Y",), opset=18, shape=("n", 2), **constants):
    """A model of nodes (operator, inputs, output), and attributes if there are; of X, to Y, whatever that is."""
    made = [
        helper.make_node(op.rpartition(".")[2], *ends, domain=op.rpartition(".")[0], **dict(*more))
        for op, *ends, more in (node if isinstance(node[-1], dict) else (*node, {}) for node in nodes)
        for ends in [(ends[0].split(), ends[1].split())]
        for more in [[more]]
    ]
    given = helper.make_tensor_value_info("X", onnx.TensorProto.FLOAT, shape)
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in (CONSTANTS | constants).items()]
    values = [onnx.ValueInfoProto(name=name) for name in outputs]
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(helper.make_graph(made, "g", [given], values, tensors), opset_imports=opsets, ir_version=8)


def of_activation(*nodes, **constants):
    """Two layers, between which z becomes a."""
    layers = ("Gemm", "X W b", "z"), ("MatMul", "a V", "Y")
    return graph(layers[0], *nodes, layers[1], **constants)


F = np.float32
#: Nodes that are activations: their names, the nodes from z to a, and constants.
NODES = [
    ("identity", [("Identity", "z", "a")], {}),
    ("logistic", [("Sigmoid", "z", "a")], {}),
    ("tanh", [("Tanh", "z", "a")], {}),
    ("relu", [("Relu", "z", "a")], {}),
    ("relu", [("Max", "z c", "a")], {"c": F(0)}),
    ("leaky_relu", [("LeakyRelu", "z", "a")], {}),
    ("leaky_relu", [("LeakyRelu", "z", "a", {"alpha": 0.01})], {}),
    ("elu", [("Elu", "z", "a")], {}),
    ("elu", [("Celu", "z", "a", {"alpha": 1.0})], {}),
    ("selu", [("Selu", "z", "a")], {}),
    ("softplus", [("Softplus", "z", "a")], {}),
    ("softplus", [("Softplus", "z", "s"), ("Greater", "z c", "g"), ("Where", "g z s", "a")], {"c": F(20)}),
    ("silu", [("Sigmoid", "z", "s"), ("Mul", "s z", "a")], {}),
    ("mish", [("Mish", "z", "a")], {}),
    ("mish", [("Softplus", "z", "s"), ("Tanh", "s", "t"), ("Mul", "z t", "a")], {}),
    (
        "gelu",
        [("Div", "z c", "d"), ("Erf", "d", "e"), ("Add", "e one", "f"), ("Mul", "z f", "m"), ("Mul", "m half", "a")],
        {"c": F(2**0.5), "one": F(1), "half": F(0.5)},
    ),
    (
        "gelu",
        [("Mul", "c z", "d"), ("Erf", "d", "e"), ("Add", "one e", "f"), ("Mul", "half z", "m"), ("Mul", "f m", "a")],
        {"c": F(0.5**0.5), "one": F(1), "half": F(0.5)},
    ),
    (
        "gelu_tanh",
        [
            ("Pow", "z three", "p"),
            ("Mul", "c p", "q"),
            ("Add", "z q", "r"),
            ("Mul", "r d", "s"),
            ("Tanh", "s", "t"),
            ("Add", "t one", "u"),
            ("Mul", "z u", "v"),
            ("Mul", "half v", "a"),
        ],
        {"c": F(0.044715), "d": F((2 / np.pi) ** 0.5), "one": F(1), "half": F(0.5), "three": F(3)},
    ),
]


def test_every_law_of_the_table_is_among_the_nodes_that_are_tried():
    assert {name for name, *_ in NODES} == set(ACTIVATIONS)


@pytest.mark.parametrize(("name", "nodes", "constants"), NODES, ids=[f"{n} {k[0][0]}" for n, k, _ in NODES])
def test_an_activation_of_another_program_is_recognised(name, nodes, constants):
    model = of_activation(*nodes, **constants)
    Z = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    got = from_onnx(model)
    assert got.activation == name
    # Gelu and others of onnxruntime are right to some more roundings than ours.
    np.testing.assert_allclose(got.predict(Z), run(model, Z)["Y"], atol=2 * bound(got, Z))


def test_nodes_of_later_versions_are_recognised():
    for approximate, name in (b"none", "gelu"), (b"tanh", "gelu_tanh"), (None, "gelu"):
        node = "Gelu", "z", "a", {} if approximate is None else {"approximate": approximate}
        assert from_onnx(of_activation(node)).activation == name


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (("LeakyRelu", "z", "a", {"alpha": 0.2}), r"node 'a' \(LeakyRelu\) with alpha=0.2 is neither a layer"),
        (("Elu", "z", "a", {"alpha": 0.5}), r"\(Elu\) with alpha=0.5 is neither"),
        (("Selu", "z", "a", {"alpha": 1.0}), r"\(Selu\) with alpha=1 is neither"),
        (("HardSigmoid", "z", "a"), r"\(HardSigmoid\) is neither"),
        (("mine.Relu", "z", "a"), r"\(Relu\) is neither"),
        (("Mul", "z z", "a"), r"\(Mul\) is neither"),
        (("Cast", "z", "a", {"to": onnx.TensorProto.FLOAT16}), r"\(Cast\) with to=10 is neither"),
        (("Cast", "z", "a", {"to": onnx.TensorProto.INT64}), r"\(Cast\) with to=7 is neither"),
        (("Dropout", "z ratio yes", "a"), r"\(Dropout\) is neither"),
        (("Reshape", "z one", "a"), r"node 'a' \(Reshape\) makes a matrix of 1 columns of one of 3"),
        (("Softmax", "z", "a"), r"\(Softmax\) is neither"),
        (("Max", "z c", "a"), r"\(Max\) is neither"),
    ],
)
def test_what_is_no_activation_is_named(node, message):
    constants = {"ratio": F(0.5), "yes": np.bool_(True), "one": np.array([-1, 1]), "c": F(0.5)}
    with pytest.raises(ValueError, match=message):
        from_onnx(of_activation(node, **constants))


#: Layers in other words: nodes from X to Y.
LAYERS = {
    "MatMul, Add": [("MatMul", "X W", "m"), ("Add", "b m", "Y")],
    "transB": [("Gemm", "X U b", "Y", {"transB": 1})],
    "alpha, beta": [("Gemm", "X W b", "Y", {"alpha": 0.5, "beta": 2.0})],
    "no bias": [("Gemm", "X W", "Y")],
    "one bias": [("Gemm", "X W one", "Y")],
    "a row of biases": [("Gemm", "X W row", "Y")],
    "two layers": [("Gemm", "X W b", "z"), ("MatMul", "z V", "m"), ("Add", "m one", "Y")],
    "Transpose": [("Transpose", "U", "T", {"perm": [1, 0]}), ("MatMul", "X T", "Y")],
    "Constant": [("Constant", "", "k", {"value_float": 2.0}), ("MatMul", "X W", "m"), ("Add", "m k", "Y")],
    "nothing": [
        ("Cast", "X", "c", {"to": onnx.TensorProto.DOUBLE}),
        ("Flatten", "c", "f"),
        ("Cast", "f", "d", {"to": onnx.TensorProto.FLOAT}),
        ("Dropout", "d", "e"),
        ("Reshape", "e two", "r"),
        ("Gemm", "r W b", "g"),
        ("Reshape", "g same", "h"),
        ("Identity", "h", "Y"),
    ],
    "scaled": [
        ("Sub", "X means", "s"),
        ("Div", "s means", "d"),
        ("Neg", "d", "e"),
        ("Gemm", "e W b", "g"),
        ("Mul", "g b", "m"),
        ("Sub", "one m", "Y"),
    ],
    "Scaler": [
        ("ai.onnx.ml.Scaler", "X", "s", {"offset": [1.0, 2.0], "scale": [0.5, 0.25]}),
        ("Gemm", "s W b", "Y"),
    ],
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_in_other_words_are_read(name):
    constants = {
        "U": CONSTANTS["W"].T,
        "one": F(1),
        "row": np.array([[1, 2, 3]], F),
        "two": np.array([-1, 2]),
        "same": np.array([0, -1]),
        "means": np.array([0.5, 4], F),
    }
    model = graph(*LAYERS[name], **constants)
    Z = np.random.default_rng(0).normal(size=(20, 2)).astype(np.float32)
    got = from_onnx(model)
    assert got.hidden_layer_sizes == ((3,) if name == "two layers" else ())
    expected = network(got.coefs_, *["identity"] * (len(got.coefs_) - 1), dtype=np.float32)
    np.testing.assert_allclose(got.predict(Z), run(model, Z)["Y"], atol=bound(expected, 1 + np.abs(Z)))


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([("Gemm", "X W b", "Y", {"transA": 1})], "transA=1 is no product of a matrix with weights that are constant"),
        ([("MatMul", "X X", "Y")], r"node 'Y' \(MatMul\) is no product of a matrix with weights that are constant"),
        ([("MatMul", "X b", "Y")], r"has weights of shape \(3,\) and float32, but a matrix of floats is wanted"),
        ([("MatMul", "X whole", "Y")], r"has weights of shape \(2, 3\) and int64"),
        ([("MatMul", "X half", "Y")], "initializer 'half' is of type FLOAT16, which is not known: FLOAT or DOUBLE"),
        ([("Gemm", "X W column", "Y")], r"node 'Y' \(Gemm\) has an array of shape \(2,\) for 3 columns"),
        ([("MatMul", "X W", "m"), ("Add", "m column", "Y")], r"node 'Y' \(Add\) has an array of shape \(2,\) for 3"),
        ([("Relu", "X", "Y")], r"node 'Y' \(Relu\) is where a layer is wanted, a Gemm or MatMul"),
        ([("Identity", "X", "Y")], r"input 'X' is where a layer is wanted, a Gemm or MatMul"),
        ([("MatMul", "X W", "z"), ("Relu", "z", "Y")], r"node 'Y' \(Relu\) is where a layer is wanted"),
        ([("MatMul", "X V", "Y")], r"takes an array \(n, 2\), but a matrix \(n, 3\) is wanted"),
        ([("MatMul", "X W", "z"), ("Relu", "nothing", "Y")], r"node 'Y' \(Relu\) takes 'nothing', which nothing bef"),
        ([("MatMul", "X W", "z")], "the graph has no value 'Y', its output"),
        ([("MatMul", "X W", "z"), ("MatMul", "z W", "Y")], r"coefs_\[1\] has shape \(2, 3\), but this network expects"),
        ([("MatMul", "X W", "z"), ("Softmax", "z", "Y", {"axis": 0})], "Softmax.* with axis=0 goes along another axis"),
        ([("MatMul", "X W", "z"), ("Reshape", "z flat", "Y")], "makes a matrix of 1 columns of one of 3: it mixes the"),
        ([("MatMul", "X W", "z"), ("TopK", "z k", "Y i", {"largest": 0})], "does not say of which quantiles"),
        ([("MatMul", "X infinite", "Y")], "the network holds NaN or infinity, but numbers are wanted"),
        ([("MatMul", "X empty", "Y")], r"coefs_\[0\] has shape \(2, 0\)"),
    ],
)
def test_what_is_no_network_is_named(nodes, message):
    constants = {
        "whole": np.ones((2, 3), int),
        "half": np.ones((2, 3), np.float16),
        "column": np.ones(2, F),
        "flat": np.array([-1]),
        "k": np.array([3]),
        "infinite": np.full((2, 3), np.inf, F),
        "empty": np.ones((2, 0), F),
    }
    with pytest.raises(ValueError, match=message):
        from_onnx(graph(*nodes, **constants))


@pytest.mark.parametrize(("shape", "is_read"), [(("n", 2), True), ((7, 2), True), ((7, "k"), True), ((2,), False)])
def test_the_input_is_a_matrix(shape, is_read):
    model = graph(("MatMul", "X W", "Y"), shape=shape)
    if is_read:
        assert from_onnx(model).n_features_in_ == 2
    else:
        with pytest.raises(ValueError, match=r"the graph takes an array \(2\), but a matrix \(n, 2\) is wanted"):
            from_onnx(model)


def test_pixels_in_rows_and_columns_are_refused():
    model = graph(("Flatten", "X", "f"), ("MatMul", "f W", "Y"), shape=("n", 1, 2))
    with pytest.raises(ValueError, match=r"the graph takes an array \(n, 1, 2\), but a matrix \(n, 2\) is wanted"):
        from_onnx(model)


def test_softmax_of_old_versions_is_read_where_it_means_the_same():
    nodes = ("MatMul", "X W", "z"), ("Softmax", "z", "Y")
    for opset, is_read in ((7, True), (12, True), (13, True), (6, False)):
        if is_read:
            assert from_onnx(graph(*nodes, opset=opset)).out_activation_ == "softmax"
        else:
            with pytest.raises(ValueError, match="the operators are of version 6, but 7 or a later one is wanted"):
                from_onnx(graph(*nodes, opset=opset))
    for opset in 12, 13:
        with pytest.raises(ValueError, match="with axis=0 goes along another axis than that of the columns"):
            from_onnx(graph(nodes[0], (*nodes[1], {"axis": 0}), opset=opset))


Z = np.random.default_rng(0).normal(size=(30, 2)).astype(np.float32)


def test_probabilities_make_a_classifier():
    model = graph(("Gemm", "X W b", "z"), ("Softmax", "z", "Y"))
    got = from_onnx(model)
    assert got.classes_.tolist() == [0, 1, 2]
    np.testing.assert_allclose(got.predict_proba(Z), run(model, Z)["Y"], rtol=2 * bound(got, Z))
    named = from_onnx(model, classes=["b", "c", "a"])
    assert named.classes_.tolist() == ["a", "b", "c"]
    np.testing.assert_allclose(named.predict_proba(Z), got.predict_proba(Z)[:, [2, 0, 1]], rtol=4 * np.finfo(F).eps)


def test_logarithms_of_probabilities_make_a_classifier():
    model = graph(("Gemm", "X W b", "z"), ("LogSoftmax", "z", "Y"))
    got = from_onnx(model)
    np.testing.assert_allclose(got.predict_log_proba(Z), run(model, Z)["Y"], atol=2 * bound(got, Z))


def test_two_outputs_of_softmax_are_two_classes():
    model = graph(("MatMul", "X W", "h"), ("Relu", "h", "a"), ("MatMul", "a V", "z"), ("Softmax", "z", "Y"))
    got = from_onnx(model, classes=["yes", "no"])
    assert got.classes_.tolist() == ["no", "yes"]
    assert got.n_outputs_ == 1
    np.testing.assert_allclose(got.predict_proba(Z), run(model, Z)["Y"][:, ::-1], atol=2 * bound(got, Z))


def test_one_sigmoid_is_two_classes_and_several_are_labels():
    one = graph(("MatMul", "X w", "z"), ("Sigmoid", "z", "Y"), w=np.array([[1], [2]], F))
    got = from_onnx(one)
    assert got.classes_.tolist() == [0, 1]
    np.testing.assert_allclose(got.predict_proba(Z)[:, 1:], run(one, Z)["Y"], rtol=2 * bound(got, Z))
    several = graph(("MatMul", "X W", "z"), ("Sigmoid", "z", "Y"))
    got = from_onnx(several)
    np.testing.assert_array_equal(got.predict(Z), run(several, Z)["Y"] > 0.5)
    with pytest.raises(ValueError, match="but of 3 logistic outputs each is a label, of which an example may have sev"):
        from_onnx(several, classes=[0, 1, 2])


def test_of_logits_the_classes_make_a_classifier():
    model = graph(("Gemm", "X W b", "Y"))
    assert isinstance(from_onnx(model), MLPRegressor)
    got = from_onnx(model, classes=["a", "b", "c"])
    np.testing.assert_array_equal(got.predict(Z), np.array(["a", "b", "c"])[run(model, Z)["Y"].argmax(axis=1)])
    single = graph(("MatMul", "X w", "Y"), w=np.array([[1], [2]], F))
    np.testing.assert_array_equal(from_onnx(single, classes=[3, 5]).predict(Z) == 5, run(single, Z)["Y"].ravel() > 0)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (["a", "b"], r"classes are \['a', 'b'\], but 3 outputs take 3 different ones"),
        (["a", "b", "b"], r"classes are \['a', 'b', 'b'\], but 3 outputs take 3 different ones"),
        ([["a", "b", "c"]], r"classes are \[\['a', 'b', 'c'\]\], but 3 outputs take 3 different ones"),
    ],
)
def test_classes_that_do_not_fit_are_refused(classes, message):
    with pytest.raises(ValueError, match=message):
        from_onnx(graph(("MatMul", "X W", "Y")), classes=classes)


TO_LABELS = {
    "of the largest": [("ArgMax", "p", "i", {"axis": 1, "keepdims": 0}), ("Gather", "c i", "L")],
    "by the logits": [("ArgMax", "z", "i", {"axis": -1, "keepdims": 0}), ("Gather", "c i", "L")],
    "along the rows": [("ArgMax", "p", "i", {"axis": 0}), ("Gather", "c i", "L")],
    "the last of the largest": [
        ("ArgMax", "p", "i", {"axis": 1, "keepdims": 0, "select_last_index": 1}),
        ("Gather", "c i", "L"),
    ],
    "of the smallest": [("Neg", "p", "q"), ("ArgMax", "q", "i", {"axis": 1, "keepdims": 0}), ("Gather", "c i", "L")],
    "of others": [("Gather", "c places", "L")],
    "in a node": [
        ("Constant", "", "k", {"value_strings": [b"x", b"y", b"w"]}),
        ("ArgMax", "p", "i", {"axis": 1, "keepdims": 0}),
        ("Gather", "k i", "L"),
    ],
}


@pytest.mark.parametrize("kind", TO_LABELS)
def test_labels_are_read_if_they_are_those_of_the_probabilities(kind):
    nodes = ("MatMul", "X W", "z"), ("Softmax", "z", "p"), *TO_LABELS[kind]
    constants = {"c": np.array(["x", "y", "w"], object), "places": np.array([0, 1])}
    model = graph(*nodes, outputs=("L", "p"), **constants)
    if kind in ("of the largest", "by the logits", "in a node"):
        got = from_onnx(model)
        assert got.classes_.tolist() == ["w", "x", "y"]
        np.testing.assert_array_equal(got.predict(Z), run(model, Z)["L"])
    else:
        with pytest.raises(ValueError, match="gives labels, but other ones than those of the largest probabilities"):
            from_onnx(model)


def test_other_outputs_are_named():
    nodes = ("MatMul", "X W", "z"), ("Softmax", "z", "p")
    with pytest.raises(
        ValueError, match="the graph gives 'z', 'p', but numbers, or labels and probabilities, are want"
    ):
        from_onnx(graph(*nodes, outputs=("z", "p")))


def test_what_is_beside_a_graph_is_forgotten_where_it_does_not_fit():
    for told in (
        {"parameters": '{"loss": "no loss"}', "feature_names": '["a"]'},
        {"parameters": '{"loss": "poisson", "solver": "lbfgs"}', "feature_names": "{}"},
        {"parameters": "[" * 100_000, "feature_names": "nothing"},
    ):
        model = graph(("MatMul", "X W", "Y"))
        helper.set_model_props(model, told)
        got = from_onnx(model)
        assert (got.loss, got.solver, hasattr(got, "feature_names_in_")) == ("squared_error", "adam", False)


@pytest.mark.parametrize("name", ["classes", "two classes", "texts", "several labels", "one target"])
@pytest.mark.parametrize("scaled", [False, True], ids=["", "scaled"])
def test_files_of_skl2onnx_are_read(name, scaled):
    skl2onnx = pytest.importorskip("skl2onnx")
    targets = {
        "classes": y,
        "two classes": y == 0,
        "texts": np.array(["a", "b", "c"])[y],
        "several labels": np.eye(3, dtype=int)[y],
    }.get(name)
    kind = sklearn_network.MLPRegressor if targets is None else sklearn_network.MLPClassifier
    model = kind(**QUICK, activation="tanh").fit(X, X[:, 0] if targets is None else targets)
    model = make_pipeline(StandardScaler().fit(X), model) if scaled else model
    options = {} if name in ("texts", "one target") else {id(model): {"zipmap": False}}
    got = from_onnx(skl2onnx.to_onnx(model, X[:1].astype(np.float32), options=options))
    error = bound(network(got.coefs_, "tanh", "tanh", dtype=np.float32), X)  # its constants are of float32
    if targets is None:
        np.testing.assert_allclose(got.predict(X), model.predict(X), atol=error)
    else:
        np.testing.assert_allclose(got.predict_proba(X), model.predict_proba(X), rtol=2 * error, atol=1e-7)
        assert got.predict(X).tolist() == model.predict(X).tolist()


def test_files_of_pytorch_are_read(tmp_path):
    torch = pytest.importorskip("torch")
    nn = torch.nn
    for law, name in (
        (nn.GELU(), "gelu"),
        (nn.SiLU(), "silu"),
        (nn.Softplus(), "softplus"),
        (nn.LeakyReLU(), "leaky_relu"),
    ):
        net = nn.Sequential(nn.Flatten(), nn.Linear(4, 5), nn.Dropout(0.1), law, nn.Linear(5, 3), nn.Softmax(dim=-1))
        given = torch.tensor(X.astype(np.float32))
        torch.onnx.export(net.eval(), (given[:2],), tmp_path / "net.onnx", dynamo=False, opset_version=17)
        got = from_onnx(tmp_path / "net.onnx")
        assert got.activation == name
        expected = net(given).detach().numpy()
        np.testing.assert_allclose(got.predict_proba(X.astype(np.float32)), expected, rtol=2 * bound(got, X))


# ---- files from anybody ----


def test_a_path_bytes_and_a_model_are_the_same(tmp_path):
    model = graph(("Gemm", "X W b", "Y"))
    (tmp_path / "g.onnx").write_bytes(model.SerializeToString())
    sources = model, model.SerializeToString(), tmp_path / "g.onnx", str(tmp_path / "g.onnx")
    assert len({from_onnx(source).predict(Z).tobytes() for source in sources}) == 1


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        (b"", ValueError, "this is no ONNX model: it has no graph"),
        (b"PK\x03\x04 and so on", ValueError, "this is no ONNX model"),
        (None, TypeError, "got a NoneType, but a path, bytes or a ModelProto is wanted"),
        ("none.onnx", FileNotFoundError, "none.onnx"),
    ],
)
def test_what_is_no_file_of_onnx_is_refused(source, error, message):
    with pytest.raises(error, match=message):
        from_onnx(source)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"raw_data": b"1234"}, r"initializer 'W' has shape \(2, 3\), but 4 bytes"),
        ({"dims": [2**40, 2**40]}, "initializer 'W' has shape .*, but 24 bytes"),
        ({"dims": [-2, -3]}, r"initializer 'W' has shape \(-2, -3\)"),
        ({"data_type": 999}, "initializer 'W' is of type 999, which is not known"),
        ({"raw_data": None}, r"initializer 'W' has shape \(2, 3\), but 0 values"),
    ],
)
def test_an_array_of_another_size_than_it_says_is_refused(change, message):
    model = graph(("Gemm", "X W b", "Y"))
    (tensor,) = (each for each in model.graph.initializer if each.name == "W")
    for name, value in change.items():
        tensor.ClearField(name)
        if isinstance(value, list):
            tensor.dims.extend(value)
        elif value is not None:
            setattr(tensor, name, value)
    with pytest.raises(ValueError, match=message):
        from_onnx(model)


def test_an_array_that_a_node_would_make_is_not_made():
    nodes = ("ConstantOfShape", "size", "weights"), ("MatMul", "X weights", "Y")
    with pytest.raises(ValueError, match="is no product of a matrix with weights that are constant"):
        from_onnx(graph(*nodes, size=np.array([2, 2**40])))


def beside(folder, location="W.bin", offset="4", length="24"):
    """A file whose W lies in another one."""
    model = graph(("Gemm", "X W b", "Y"))
    (tensor,) = (each for each in model.graph.initializer if each.name == "W")
    (folder / "W.bin").write_bytes(b"----" + tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in ("location", location), ("offset", offset), ("length", length):
        if value is not None:
            tensor.external_data.add(key=key, value=value)
    (folder / "g.onnx").write_bytes(model.SerializeToString())
    return folder / "g.onnx"


def test_data_beside_a_file_are_read(tmp_path, monkeypatch):
    expected = from_onnx(graph(("Gemm", "X W b", "Y"))).predict(Z)
    for length in "24", None:
        np.testing.assert_array_equal(from_onnx(beside(tmp_path, length=length)).predict(Z), expected)
    monkeypatch.chdir(tmp_path)
    np.testing.assert_array_equal(from_onnx("g.onnx").predict(Z), expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"offset": "5"}, "needs 24 bytes, but 24 at 5 of 'W.bin', which has 28, are told"),
        ({"offset": "-4"}, "needs 24 bytes, but 24 at -4 of"),
        ({"length": "20"}, "needs 24 bytes, but 20 at 4 of"),
        ({"offset": "x"}, "lies at no place of 'W.bin'"),
        ({"location": "none.bin"}, "lies in 'none.bin', which is not there"),
        ({"location": "../secret.bin"}, "lies in '../secret.bin', which is no file in the folder of the model"),
        ({"location": "link.bin"}, "lies in 'link.bin', which is no file in the folder of the model"),
        ({"location": "."}, "which is no file in the folder of the model"),
        ({"location": ""}, "which is no file in the folder of the model"),
        ({"location": "/etc/hosts"}, "which is no file in the folder of the model"),
    ],
)
def test_data_beside_a_file_are_of_the_size_that_is_wanted_and_in_its_folder(tmp_path, change, message):
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(bytes(100))
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    with pytest.raises(ValueError, match=message):
        from_onnx(beside(folder, **change))


def test_data_beside_bytes_are_not_looked_for(tmp_path, monkeypatch):
    path = beside(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        ValueError, match=r"lies in another file, 'W.bin': from_onnx finds it where it is given the path"
    ):
        from_onnx(path.read_bytes())


def test_a_function_of_the_file_is_not_taken_for_the_node_of_its_name():
    model = of_activation(("Relu", "z", "a"))
    relu = helper.make_function("", "Relu", ["x"], ["y"], [helper.make_node("Neg", ["x"], ["y"])], model.opset_import)
    model.functions.append(relu)
    with pytest.raises(ValueError, match=r"node 'a' \(Relu\) is neither a layer"):
        from_onnx(model)


def test_damaged_files_are_refused_or_read_and_raise_nothing_else():
    whole = to_onnx(network([np.eye(2), np.eye(2)], "softplus", out="logistic", dtype=np.float32)).SerializeToString()
    rng, n_refused = np.random.default_rng(0), 0
    for _ in range(400):
        damaged = bytearray(whole)
        for place in rng.integers(0, len(whole), rng.integers(1, 4)):
            damaged[place] = rng.integers(0, 256)
        try:
            from_onnx(damaged[: rng.integers(len(whole) // 2, len(whole))] if rng.random() < 0.2 else damaged)
        except ValueError:
            n_refused += 1
    assert n_refused > 100
