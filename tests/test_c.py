"""The export to C: compiled, as C and as C++, it says what the model says.

All networks are in one library, whose headers live together in one translation unit.
"""

import ctypes
import re
import shutil
import subprocess
import sys
from math import exp, expm1
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier as SklearnClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler

import fastnn
from fastnn import MLPClassifier, MLPRegressor, TableEncoder, TabularClassifier, TabularRegressor
from fastnn.export.c import RESERVED, _identifiers
from fastnn.kernels.laws.activations import ACTIVATIONS
from fastnn.kernels.laws.losses import OUT_ACTIVATIONS
from fastnn.tables.columns import Category, Column, Number

ROOT = Path(__file__).parents[1]
X, y = load_iris(return_X_y=True)
STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Wdouble-promotion", "-Werror", "-O1"]
#: The compilers that are there, and how they are called.
COMPILERS = {
    f"{command} {standard}": [command, f"-std={standard}", "-x", language, *STRICT]
    for command, standard, language in (
        ("gcc", "c99", "c"),
        ("g++", "c++11", "c++"),
        ("clang", "c99", "c"),
        ("clang++", "c++20", "c++"),
    )
    if shutil.which(command) and sys.platform != "win32"
}
#: Laws of a user's: with branches, of functions that are none of C's, and one that does not pass on NaN by itself.
OWN = {
    "softsign": fastnn.activation(lambda z: z / (1 + abs(z)), lambda z: 1 / (1 + abs(z)) ** 2),
    "bent": fastnn.activation(lambda z: z if z > 0 else expm1(z), lambda z: 1.0 if z > 0 else exp(z)),
    "hard": fastnn.activation(lambda z: max(-2.0, min(2.0, z)), lambda z: 1.0 if abs(z) < 2 else 0.0),
    "stairs": fastnn.activation(lambda z: 1.0 if z > 0 else 0.0, lambda z: 0.0),
}
LAWS = {**ACTIVATIONS, **OWN}

needs_compiler = pytest.mark.skipif(not COMPILERS, reason="there is no compiler")
pytestmark = pytest.mark.filterwarnings("ignore:Stochastic Optimizer")


def fitted(kind, Y, dtype=np.float64, before=(), hidden=(5, 4), **parameters):
    """A model of iris."""
    model = kind(hidden_layer_sizes=hidden, max_iter=3, random_state=0, **parameters)
    return (make_pipeline(*before, model) if before else model).fit(X.astype(dtype), Y)


def one_law(law, dtype):
    """A network that does nothing but a law."""
    model = MLPRegressor(hidden_layer_sizes=(1,), max_iter=1).fit(np.ones((2, 1), dtype), np.ones(2))
    model.activation, model.coefs_, model.intercepts_ = law, [np.ones((1, 1), dtype)] * 2, [np.zeros(1, dtype)] * 2
    return model


def tails(n_classes, dtype):
    """The probabilities that belong to x and 0, or to x, 0 and -x."""
    model = MLPClassifier(hidden_layer_sizes=(), max_iter=1).fit(np.eye(n_classes, 1, dtype=dtype), range(n_classes))
    model.coefs_ = [np.array([[1] if n_classes == 2 else [1, 0, -1]], dtype)]
    model.intercepts_ = [np.zeros_like(intercept) for intercept in model.intercepts_]
    return model


def with_output(out_activation, dtype):
    """A regressor with outputs of any kind."""
    model = fitted(MLPRegressor, X[:, :3], dtype)
    model.out_activation_ = out_activation
    return model


PEOPLE = pd.DataFrame(
    {
        "height in m": [1.5, 1.9, None, 1.7, 1.8, 1.65],
        "int": [1e9, 2e9, 3e9, 1e9, 2e9, 5e9],
        "since": pd.to_datetime(["2020-01-31", "2021-05-06", None, "2024-02-29", "1969-12-31", "2022-01-01"]),
        "member": [True, False, True, True, False, True],
        "Größe": ["klein", "groß", None, "klein", 'mit "\\?', "groß"],
        "code": ["1", "02", "3.50", "-4", "1", "07"],
        "says": ["true", "FALSE", "true", "no", "no", "maybe"],
    }
)
CATEGORIES = ["Größe", "code", "says"]
WEIGHT = np.array([50.0, 90, 70, 60, 85, 65])
#: Values of the columns, of each kind, that are looked up in another way than they were written, or not at all.
VALUES = {
    Number: [None, 0.0, -0.0, 1.7, -1e300, 1e300, 1e9, float("inf"), 1577836800.25],
    Category: (
        "None 1 01 1.0 1. +1 1.5 2 02 002 2.00 3.5 3.50 03.500 3. -4 -04 -4.0 - -- 4 0 07 7 7.0.0 true TRUE True t"
        " truex false FALSE maybe MAYBE klein groß gro n/a NA ? 1e0 . .5 00 é"
    ).split()
    + [None, "", 'mit "\\?', " 1", "1 "],
}


def table(dtype):
    pipeline = make_pipeline(
        TableEncoder(categorical=CATEGORIES), MLPRegressor(hidden_layer_sizes=(4,), max_iter=3, random_state=0)
    ).fit(PEOPLE, WEIGHT)
    network = pipeline[-1]
    network.coefs_ = [coef.astype(dtype) for coef in network.coefs_]
    network.intercepts_ = [intercept.astype(dtype) for intercept in network.intercepts_]
    return pipeline


#: Tabular models of all kinds, of `PEOPLE`: targets, and parameters.
TABULAR = {
    "table_number": (TabularRegressor, 1e6 + WEIGHT / 100, {}),
    "table_numbers": (TabularRegressor, np.stack([WEIGHT, -1e3 * WEIGHT], axis=1), {"n_bins": 0}),
    "table_alone": (TabularRegressor, WEIGHT, {"n_members": 1}),
    "table_constant": (TabularRegressor, np.full(6, 0.1), {"hidden_layer_sizes": ()}),
    "table_wide": (TabularRegressor, WEIGHT, {"hidden_layer_sizes": (128, 128, 128), "n_members": 2}),
    "table_two": (TabularClassifier, WEIGHT > 69, {}),
    "table_three": (TabularClassifier, np.array(list("abcabc")), {}),
    "table_one": (TabularClassifier, np.zeros(6), {"n_members": 1}),
}
PARAMETERS = {"hidden_layer_sizes": (8, 6), "n_members": 3, "n_bins": 4, "max_iter": 3, "random_state": 0}


def embedded():
    """A tabular model that gives what its embedding makes."""
    model = TabularRegressor(**PARAMETERS, encoder=TableEncoder(categorical=CATEGORIES)).fit(PEOPLE, WEIGHT)
    n = len(model.embedding_.get_feature_names_out())
    identity = MLPRegressor(hidden_layer_sizes=(), max_iter=1).fit(np.eye(n, dtype=np.float32), np.eye(n))
    identity.coefs_, identity.intercepts_ = [np.eye(n, dtype=np.float32)], [np.zeros(n, np.float32)]
    model.estimators_ = [identity]
    model.y_mean_, model.y_scale_, model.y_min_, model.y_max_ = np.array([0.0, 1, -9, 9])[:, np.newaxis] * np.ones(n)
    return model


LABELS = {
    "texts": np.array(["no", "größer ??/", 'a "quoted" \\ one']),
    "objects": np.array(["a", "bb", "\r\n"], object),
    "integers": np.array([-(2**63), 2**40, 2**63 - 1]),
    "floats": np.array([0.0, 2.0, -1e15]),
    "booleans": np.array([False, True, True]),
}


def networks():
    """All that is compiled, by the names in C."""
    for dtype in "f", "d":
        kind = np.dtype(dtype)
        for name, law in LAWS.items():
            yield f"law_{name}_{dtype}", one_law(name if name in ACTIVATIONS else law, kind)
        for name in OUT_ACTIVATIONS:
            yield f"out_{name}_{dtype}", with_output(name, kind)
        yield f"classes_{dtype}", fitted(MLPClassifier, y, kind, activation=("tanh", "identity"))
        yield f"tails_2_{dtype}", tails(2, kind)
        yield f"tails_3_{dtype}", tails(3, kind)
        yield f"two_{dtype}", fitted(MLPClassifier, y > 0, kind)
        yield f"one_{dtype}", fitted(MLPClassifier, 0 * y, kind)
        yield f"labels_{dtype}", fitted(MLPClassifier, np.stack([y > 0, y > 1, y == 0], axis=1).astype(int), kind)
        yield f"number_{dtype}", fitted(MLPRegressor, X[:, 0], kind, hidden=())
        yield f"wide_{dtype}", fitted(MLPRegressor, X, kind, hidden=(33, 1, 18))
        yield f"quantiles_{dtype}", fitted(MLPRegressor, X[:, 0], kind, loss="quantile", quantile=(0.1, 0.5, 0.9))
        yield f"counts_{dtype}", fitted(MLPRegressor, X[:, 0], kind, loss="poisson")
        for number, scaler in enumerate(SCALERS):
            yield f"scaled{number}_{dtype}", fitted(MLPClassifier, y, kind, before=scaler)
        yield f"table_{dtype}", table(kind)
    for name, (kind, target, parameters) in TABULAR.items():
        model = kind(**PARAMETERS | parameters, encoder=TableEncoder(categorical=CATEGORIES))
        yield name, model.fit(PEOPLE, target)
    yield "table_embedded", embedded()
    scaled = PEOPLE[["height in m", "int"]]
    yield "table_scaled", make_pipeline(StandardScaler(), TabularRegressor(**PARAMETERS)).fit(scaled, WEIGHT)
    yield "theirs", fitted(SklearnClassifier, y)
    for name, labels in LABELS.items():
        yield f"with_{name}", fitted(MLPClassifier, labels[y])


SCALERS = [
    (StandardScaler(),),
    (StandardScaler(with_mean=False), MaxAbsScaler()),
    (RobustScaler(), StandardScaler(with_std=False)),
    (MinMaxScaler((-1, 2), clip=True),),
]


def exported(name, model, header):
    """Functions that a library has for a network."""
    last = model[-1] if hasattr(model, "steps") else model
    real = "float" if f"const float {name}_W1" in header else "double"
    kind = f"{name}_row" if f"{name}_row;" in header else real
    width = f"{name.upper()}_N_FEATURES" if kind == real else "1"
    is_classifier = hasattr(last, "predict_proba")
    function = f"{name}_predict_proba" if is_classifier else f"{name}_predict"
    real_out = "double" if f"double {name}_out_mean" in header else real
    lines = [
        f"SHARED void {name}_outputs(const {kind} *x, {real_out} *out, int m) "
        f"{{ for (int i = 0; i < m; ++i) {function}(x + {width} * i, out + {name.upper()}_N_OUTPUTS * i); }}",
        f"SHARED int {name}_wrong(void) {{ return {name}_test(); }}",
    ]
    if f"int {name}_predict(" in header:
        lines += [f"SHARED int {name}_class(const {kind} *x) {{ return {name}_predict(x); }}"]
        declared = re.search(rf"static (const .*){name}_classes", header)[1]
        lines += [f"SHARED {declared}*{name}_all_classes(void) {{ return {name}_classes; }}"]
    elif is_classifier:
        lines += [f"SHARED void {name}_has(const {real} *x, int *labels) {{ {name}_predict(x, labels); }}"]
    if kind != real:
        lines += [
            f"SHARED void {name}_matrix(const {kind} *x, {real} *out, int m) "
            f"{{ for (int i = 0; i < m; ++i) {name}_encode(x + i, out + {name.upper()}_N_FEATURES * i); }}"
        ]
    return "\n".join(lines)


def compiled(folder, compiler, source, *flags):
    """The library that a source becomes."""
    (folder / "all.c").write_text(source)
    library = folder / f"{compiler.replace(' ', '')}.so"
    command = [*COMPILERS[compiler], "-shared", "-fPIC", "-I", folder, folder / "all.c", *flags, "-o", library, "-lm"]
    subprocess.run(command, check=True)
    return ctypes.CDLL(str(library))


class Compiled:
    """The networks, and a library of them."""

    def __init__(self, folder, compiler, models, headers):
        shared = 'extern "C"' if "++" in compiler else "extern"
        parts = [f"#define SHARED {shared}"]
        for name, header in headers.items():
            (folder / f"{name}.h").write_text(header, encoding="ascii")
            parts += [f"#define {name.upper()}_TEST", f'#include "{name}.h"']
        declared = [exported(name, models[name], headers[name]) for name in headers]
        self.library = compiled(folder, compiler, "\n".join([*parts, *declared, ""]))
        self.models, self.headers = models, headers

    def outputs(self, name, rows):
        """What the C of a network says of rows: an array (m, n_x), or structs."""
        dtype = np.float32 if f"const float {name}_W1" in self.headers[name] else np.float64
        rows = rows if isinstance(rows, ctypes.Array) else np.ascontiguousarray(rows, dtype)
        n_out = int(re.search(rf"{name.upper()}_N_OUTPUTS (\d+)", self.headers[name])[1])
        dtype = np.float64 if f"double {name}_out_mean" in self.headers[name] else dtype
        out = np.full((len(rows), n_out), -7, dtype)
        pointer = rows if isinstance(rows, ctypes.Array) else rows.ctypes.data_as(ctypes.c_void_p)
        getattr(self.library, f"{name}_outputs")(pointer, out.ctypes.data_as(ctypes.c_void_p), len(rows))
        return out

    def classes(self, name, rows):
        if isinstance(rows, ctypes.Array):
            return [getattr(self.library, f"{name}_class")(ctypes.byref(row)) for row in rows]
        rows = np.ascontiguousarray(rows, np.float32 if f"const float {name}_W1" in self.headers[name] else np.float64)
        return [getattr(self.library, f"{name}_class")(row.ctypes.data_as(ctypes.c_void_p)) for row in rows]


@pytest.fixture(scope="module")
def models():
    return dict(networks())


@pytest.fixture(scope="module", params=COMPILERS)
def c(request, models, tmp_path_factory):
    headers = {name: fastnn.to_c(model, name) for name, model in models.items()}
    return Compiled(tmp_path_factory.mktemp("c"), request.param, models, headers)


def numbers(dtype):
    """Of all magnitudes, and where laws bend."""
    rng = np.random.default_rng(0)
    magnitudes = np.exp(np.linspace(np.log(1e-30), np.log(1e4), 600))
    z = np.concatenate([magnitudes, -magnitudes, 5 * rng.standard_normal(600), np.arange(-40, 41), [0.0, 2.0, -2.0]])
    return z.astype(dtype)[:, np.newaxis]


@pytest.mark.parametrize("name", LAWS)
def test_every_law_is_as_exact_in_c_as_it_is_here(c, name, dtype):
    z, law = numbers(dtype), LAWS[name]
    expected = np.array([law.value(float(number)) for number in z[:, 0]])
    got = c.outputs(f"law_{name}_{dtype.char}", z)[:, 0].astype(np.float64)
    ulps = abs(got - expected) / np.spacing(abs(expected).astype(dtype))
    # In float64, what it is compared with errs as much; and the functions of C have one or two ulps.
    assert ulps.max() <= 2 * law.ulps + 4


@pytest.mark.parametrize("name", OUT_ACTIVATIONS)
def test_every_output_activation_has_its_c(c, name, dtype):
    expected = c.models[f"out_{name}_{dtype.char}"].predict(X)
    got = c.outputs(f"out_{name}_{dtype.char}", X)
    # Four layers at most, of sums of up to six numbers about 10; e^z has the absolute error of z.
    np.testing.assert_allclose(got, expected, rtol=300 * np.finfo(dtype).eps, atol=300 * np.finfo(dtype).eps)


def test_nan_makes_nan_of_every_output(c):
    for name, model in c.models.items():
        if "table" not in name:
            rows = np.full((1, model.n_features_in_), 0.5)
            rows[0, -1] = np.nan
            assert np.isnan(c.outputs(name, rows)).all(), name
    for name in "classes_f", "two_d", "one_f":
        assert c.classes(name, np.full((1, 4), np.nan)) == [-1]


@pytest.mark.parametrize("name", ["classes", "two", "one", "labels", *(f"scaled{i}" for i in range(len(SCALERS)))])
def test_probabilities_and_classes_are_those_of_the_model(c, name, dtype):
    name, rows = f"{name}_{dtype.char}", X.astype(dtype).astype(np.float64)
    model = c.models[name]
    np.testing.assert_allclose(c.outputs(name, rows), model.predict_proba(rows), atol=100 * np.finfo(dtype).eps)
    if "labels" in name:
        labels = np.empty(3, np.intc)
        for row, expected in zip(np.ascontiguousarray(rows, dtype), model.predict(rows), strict=True):
            getattr(c.library, f"{name}_has")(*(a.ctypes.data_as(ctypes.c_void_p) for a in (row, labels)))
            np.testing.assert_array_equal(labels, expected)
    else:
        classes = model[-1].classes_ if hasattr(model, "steps") else model.classes_
        np.testing.assert_array_equal(classes[c.classes(name, rows)], model.predict(rows))


@pytest.mark.parametrize("name", ["number", "wide", "quantiles", "counts"])
def test_numbers_are_those_of_the_model(c, name, dtype):
    name = f"{name}_{dtype.char}"
    expected = c.models[name].predict(X.astype(dtype).astype(np.float64)).reshape(len(X), -1)
    tolerance = 300 * np.finfo(dtype).eps  # four layers at most, of sums of up to 33 numbers about 10
    np.testing.assert_allclose(c.outputs(name, X), expected, rtol=tolerance, atol=tolerance)


def test_quantiles_do_not_cross(c):
    rows = 100 * np.random.default_rng(0).standard_normal((200, 4))
    got = c.outputs("quantiles_d", rows)
    assert (np.diff(got, axis=1) >= 0).all()
    np.testing.assert_allclose(got, c.models["quantiles_d"].predict(rows), rtol=1e-12)


def test_a_model_of_scikit_learn_is_exported_as_well(c):
    np.testing.assert_allclose(c.outputs("theirs", X), c.models["theirs"].predict_proba(X), atol=1e-14)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_small_probabilities_keep_their_digits(c, n_classes, dtype):
    x = np.linspace(-40, 40, 161)  # e^-80 is a normal number of float32
    logits = x[:, np.newaxis] * ([0, 1] if n_classes == 2 else [1, 0, -1])
    expected = np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))
    got = c.outputs(f"tails_{n_classes}_{dtype.char}", x[:, np.newaxis])
    # The expected ones have the absolute error of the logarithm, half an ulp of 80.
    np.testing.assert_allclose(got, expected, rtol=8 * np.finfo(dtype).eps + 2e-14)


@needs_compiler
def test_what_is_small_beside_the_mean_is_kept(tmp_path):
    """Of a mean of 1e6 and a standard deviation of 0.3, float32 has steps of 0.06."""
    rng = np.random.default_rng(0)
    rows = (1e6 + 0.3 * rng.standard_normal((50, 4))).astype(np.float32)
    model = make_pipeline(StandardScaler(), MLPRegressor(hidden_layer_sizes=(5,), max_iter=3, random_state=0))
    model.fit(rows.astype(np.float64), rows[:, 0] - 1e6)
    network = model[-1]
    network.coefs_ = [coef.astype(np.float32) for coef in network.coefs_]
    network.intercepts_ = [intercept.astype(np.float32) for intercept in network.intercepts_]
    c = Compiled(tmp_path, next(iter(COMPILERS)), {"far": model}, {"far": fastnn.to_c(model, "far")})
    expected = model.predict(rows.astype(np.float64))
    # Two layers of sums of up to five numbers about 1, whose rounding is half an ulp each.
    np.testing.assert_allclose(c.outputs("far", rows)[:, 0], expected, atol=16 * np.finfo(np.float32).eps)


# ---- tables ----


def structs(header, name, frame):
    """Rows of a table, as C has them."""
    members = re.search(rf"typedef struct {{(.*?)}} {name}_row;", header, re.S)[1]
    kinds = [ctypes.c_double if "double" in line else ctypes.c_char_p for line in members.strip().splitlines()]
    fields = [re.search(r"(\w+);", line)[1] for line in members.strip().splitlines()]

    class Row(ctypes.Structure):
        _fields_ = list(zip(fields, kinds, strict=True))

    rows = (Row * len(frame))()
    for (_, column), field, kind in zip(frame.items(), fields, kinds, strict=True):
        if column.dtype.kind == "M":
            column = (column - pd.Timestamp(0)).dt.total_seconds()
        for row, value in zip(rows, column, strict=True):
            if kind is ctypes.c_char_p:
                setattr(row, field, None if value is None or value is np.nan else str(value).encode())
            else:
                setattr(row, field, np.nan if value is None else float(value))
    return rows


def matrix(c, name, frame):
    rows, header = structs(c.headers[name], name, frame), c.headers[name]
    dtype = np.float32 if f"const float {name}_W1" in header else np.float64
    out = np.empty((len(rows), int(re.search(r"_N_FEATURES (\d+)", header)[1])), dtype)
    getattr(c.library, f"{name}_matrix")(rows, out.ctypes.data_as(ctypes.c_void_p), len(rows))
    return out


def test_a_table_is_predicted_as_it_is_here(c, dtype):
    name = f"table_{dtype.char}"
    got = c.outputs(name, structs(c.headers[name], name, PEOPLE))[:, 0]
    np.testing.assert_allclose(got, c.models[name].predict(PEOPLE), atol=100 * np.finfo(dtype).eps)


@pytest.mark.parametrize("kind", get_args(Column))
def test_every_value_of_a_column_makes_the_same_inputs(c, kind, dtype):
    name = f"table_{dtype.char}"
    encoder = c.models[name][0]
    n_columns = 0
    for column in encoder.columns_:
        if isinstance(column, kind):
            values = [value for value in VALUES[kind] if column.kind != "date" or value is None or abs(value) < 1e11]
            frame = PEOPLE.iloc[np.zeros(len(values), int)].reset_index(drop=True)
            if column.kind == "date":
                frame[column.name] = pd.to_datetime(pd.Series(values, dtype=float), unit="s")
            else:
                frame[column.name] = pd.Series(values, dtype=object if kind is Category else float)
            np.testing.assert_array_equal(matrix(c, name, frame), encoder.transform(frame), err_msg=column.name)
            n_columns += 1
    assert n_columns == {Number: 4, Category: 3}[kind]


def unusual():
    """Rows with what was not in training."""
    frame = PEOPLE.copy()
    frame.loc[0, "Größe"], frame.loc[1, "code"], frame.loc[2, "says"] = "riesig", None, "?"
    frame.loc[3, "height in m"], frame.loc[4, "height in m"], frame.loc[5, "int"] = np.inf, 1e12, np.nan
    return frame


@pytest.mark.parametrize("rows", [PEOPLE, unusual()], ids=["usual", "unusual"])
@pytest.mark.parametrize("name", TABULAR)
def test_a_tabular_model_says_what_it_says_here(c, name, rows):
    model, given = c.models[name], structs(c.headers[name], name, rows)
    got = c.outputs(name, given)
    # Of sums of 30 numbers about 1 in up to three layers, 1e-5 is a hundred roundings.
    if hasattr(model, "predict_proba"):
        np.testing.assert_allclose(got, model.predict_proba(rows), rtol=1e-5)
        assert model.classes_[c.classes(name, given)].tolist() == model.predict(rows).tolist()
    else:
        expected = model.predict(rows).reshape(got.shape)
        np.testing.assert_allclose(
            (got - model.y_mean_) / model.y_scale_, (expected - model.y_mean_) / model.y_scale_, rtol=1e-5, atol=1e-5
        )


@pytest.mark.parametrize("rows", [PEOPLE, unusual()], ids=["usual", "unusual"])
def test_what_an_embedding_makes_is_the_same_to_the_bit(c, rows):
    got, model = c.outputs("table_embedded", structs(c.headers["table_embedded"], "table_embedded", rows)), embedded()
    np.testing.assert_array_equal(got, model.embedding_.transform(model.encoder_.transform(rows)))


def test_numbers_that_are_scaled_before_a_tabular_model_are_columns_of_the_row(c):
    model, rows = c.models["table_scaled"], PEOPLE[["height in m", "int"]]
    header = c.headers["table_scaled"]
    assert "double height_in_m; /*" in header
    got = c.outputs("table_scaled", structs(header, "table_scaled", rows))[:, 0]
    np.testing.assert_allclose(got, model.predict(rows), rtol=1e-5)


def test_names_of_columns_become_identifiers_that_do_not_clash():
    names = ["a b", "a-b", "int", "2nd", "Größe", "", "λ", "_x", "NAN", "linux", "a_b_2", "x" * 300]
    found = _identifiers(names)
    assert len(set(found)) == len(names)
    assert not RESERVED & set(found)
    assert all(re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII) for name in found)
    assert found[:6] == ["a_b", "a_b_2", "column_int", "column_2nd", "Groe", "column"]


# ---- labels ----


@pytest.mark.parametrize("kind", LABELS)
def test_classes_are_what_they_were(c, kind):
    labels = c.models[f"with_{kind}"].classes_
    function = getattr(c.library, f"with_{kind}_all_classes")
    element = {"U": ctypes.c_char_p, "O": ctypes.c_char_p, "f": ctypes.c_double}.get(labels.dtype.kind, ctypes.c_int64)
    function.restype = ctypes.POINTER(element)
    got = function()[: len(labels)]
    assert got == [label.encode() if isinstance(label, str) else label for label in labels.tolist()]


# ---- the header ----


def test_the_test_within_finds_nothing_wrong(c):
    assert {name: getattr(c.library, f"{name}_wrong")() for name in c.models} == dict.fromkeys(c.models, 0)


@needs_compiler
@pytest.mark.parametrize("name", ["classes_f", "scaled0_d", "table_f", "table_three", "table_wide"])
def test_the_test_within_finds_a_wrong_number(tmp_path, models, name):
    header = fastnn.to_c(models[name], name)
    last = max(map(int, re.findall(rf"{name}_b(\d+)\[", header)))
    wrong = re.sub(rf"({name}_b{last}\[\d+\] = {{\s*)(\S+?)(f?)([,\n])", r"\1(\2\3 + 0.01\3)\4", header)
    assert wrong != header
    c = Compiled(tmp_path, next(iter(COMPILERS)), {name: models[name]}, {name: wrong})
    assert getattr(c.library, f"{name}_wrong")() > 0


def test_nothing_changes_and_nothing_is_allocated(models):
    for name, model in models.items():
        header = fastnn.to_c(model, name)
        assert set(re.findall(r"static (\w+)", header)) == {"const", "inline"}
        assert "alloc" not in header
        assert header == fastnn.to_c(model, name)


def test_the_scratch_is_what_the_arrays_take(models):
    """Two hidden layers of 5 and 4 units by turns, and 3 probabilities; behind a table, 4 units and its matrix."""
    assert "#define CLASSES_F_SCRATCH 48\n" in fastnn.to_c(models["classes_f"], "classes_f")
    n_inputs = len(models["table_d"][0].get_feature_names_out())
    assert f"#define TABLE_D_SCRATCH {8 * (n_inputs + 4)}\n" in fastnn.to_c(models["table_d"], "table_d")
    model = models["table_three"]  # twice 3 probabilities, and the pieces
    n_inputs, n_pieces = (len(step.get_feature_names_out()) for step in (model.encoder_, model.embedding_))
    assert f"#define THREE_SCRATCH {4 * (n_inputs + n_pieces + 8 + 6 + 3 + 3)}\n" in fastnn.to_c(model, "three")


def test_names_of_features_stand_in_the_comment_and_do_not_end_it(tmp_path):
    names = ["a */ int", "b ??/", "c\nd", "/* é"]
    model = MLPRegressor(hidden_layer_sizes=(2,), max_iter=2, random_state=0).fit(pd.DataFrame(X, columns=names), y)
    header = fastnn.to_c(model, "named")
    assert "x[3]: / * \\xe9" in header
    for compiler in COMPILERS:
        Compiled(tmp_path, compiler, {"named": model}, {"named": header})


def test_the_method_and_the_function_are_the_same(models):
    assert models["wide_f"].to_c("it") == fastnn.to_c(models["wide_f"], "it")
    assert "network_predict(" in models["wide_f"].to_c()


@needs_compiler
def test_it_becomes_the_program_of_the_example(tmp_path):
    """As examples/c/README.md says."""
    text = (ROOT / "examples" / "c" / "README.md").read_text()
    (program,) = re.findall(r"```python\n(.*?)```", text, re.S)
    (commands,) = re.findall(r"```sh\n(.*?)```", text, re.S)
    shutil.copy(ROOT / "examples" / "c" / "main.c", tmp_path)
    exec(program.replace('Path("flower.h")', f"Path({str(tmp_path / 'flower.h')!r})"), {})
    for command in commands.splitlines():
        got = subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert got == "virginica 0.8\n"


# ---- what is refused ----


@pytest.mark.parametrize("name", ["", "2nd", "a b", "größe", "_x", "int", "a-b", "class", "a\n"])
def test_a_name_that_is_no_identifier_is_refused(models, name):
    with pytest.raises(ValueError, match=re.escape(f"name is {name!r}, but an identifier of C")):
        fastnn.to_c(models["wide_f"], name)


def test_what_c_cannot_hold_is_refused(models):
    with pytest.raises(TypeError, match="name is a int, but a str"):
        fastnn.to_c(models["wide_f"], 3)
    with pytest.raises(TypeError, match="model is a LogisticRegression, but"):
        fastnn.to_c(LogisticRegression())
    with pytest.raises(NotFittedError):
        fastnn.to_c(MLPRegressor())
    with pytest.raises(ValueError, match="has a NUL in it"):
        fastnn.to_c(fitted(MLPClassifier, np.array(["a\0b", "c"])[y % 2]))
    with pytest.raises(TypeError, match="integers below 2"):
        fastnn.to_c(fitted(MLPClassifier, np.array([1, 2**64 - 1], np.uint64)[y % 2]))
    broken = fitted(MLPRegressor, y)
    broken.coefs_[1][0, 0] = np.inf
    with pytest.raises(ValueError, match="coefs_ or intercepts_ hold NaN or infinity"):
        fastnn.to_c(broken)


def test_a_scaling_beyond_float32_is_refused():
    model = fitted(MLPRegressor, y, np.float32, before=(StandardScaler(),))
    model[0].scale_[0] = 1e300
    with pytest.raises(ValueError, match="scales by numbers that no float can hold"):
        fastnn.to_c(model)


def test_a_law_that_is_no_expression_is_refused():
    import math

    steps = fastnn.activation(lambda z: float(math.floor(z)) * 0 + z, lambda z: 1.0)
    model = fitted(MLPRegressor, y)
    model.activation = steps
    with pytest.raises(ValueError, match="no expression of elementary operations"):
        fastnn.to_c(model)
