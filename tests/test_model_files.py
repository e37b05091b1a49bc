"""What was saved comes back, and nothing else does."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from fastnn import MLPClassifier, MLPRegressor, TableEncoder, TabularClassifier, TabularRegressor, load, save
from fastnn.model_files import ATTRIBUTES, FORMAT, ModelFileError, read

X, y = load_iris(return_X_y=True)
QUICK = {"hidden_layer_sizes": (5, 4), "max_iter": 3, "random_state": 0}

pytestmark = pytest.mark.filterwarnings("ignore:Stochastic Optimizer")


@pytest.fixture(scope="module")
def model():
    return MLPClassifier(**QUICK).fit(X, y)


@pytest.fixture
def path(tmp_path, model):
    return save(model, tmp_path / "model.fastnn", note=["é", 1])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_loaded_classifier_is_the_same_bits(tmp_path, dtype, early_stopping):
    expected = MLPClassifier(**QUICK, early_stopping=early_stopping).fit(X.astype(dtype), y)
    got = load(save(expected, tmp_path / "m.fastnn"))
    assert type(got) is MLPClassifier
    assert got.get_params() == expected.get_params()
    for name in ATTRIBUTES:
        assert getattr(got, name) == getattr(expected, name), name
    for coef, expected_coef in zip(got.coefs_ + got.intercepts_, expected.coefs_ + expected.intercepts_, strict=True):
        assert coef.dtype == dtype
        np.testing.assert_array_equal(coef, expected_coef)
    np.testing.assert_array_equal(got.predict_proba(X.astype(dtype)), expected.predict_proba(X.astype(dtype)))
    assert got.score(X, y) == expected.score(X, y)


@pytest.mark.parametrize("targets", [1, 3])
def test_a_loaded_regressor_is_the_same_bits(tmp_path, targets):
    Y = X[:, :targets].squeeze()
    expected = MLPRegressor(**QUICK).fit(X, Y)
    np.testing.assert_array_equal(load(save(expected, tmp_path / "m.fastnn")).predict(X), expected.predict(X))


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["setosa", "versicolor", "größer"]),
        np.array(["a", "bb", "ccc"], object),
        np.array([3, 5, 9], np.int32),
        np.array([0.0, 1.0, 2.0]),
        np.array([False, True]),
        np.array(["no", "yes"]),
    ],
)
def test_classes_come_back_with_their_type(tmp_path, labels):
    target = labels[y % len(labels)]
    expected = MLPClassifier(**QUICK).fit(X, target)
    got = load(save(expected, tmp_path / "m.fastnn"))
    assert got.classes_.dtype == expected.classes_.dtype
    np.testing.assert_array_equal(got.classes_, expected.classes_)
    np.testing.assert_array_equal(got.predict(X), expected.predict(X))


def test_several_labels_at_once_come_back(tmp_path):
    target = np.stack([y == 0, y > 0, X[:, 0] > 5], axis=1).astype(int)
    expected = MLPClassifier(**QUICK).fit(X, target)
    got = load(save(expected, tmp_path / "m.fastnn"))
    np.testing.assert_array_equal(got.predict(X), expected.predict(X))


def test_no_hidden_layer_comes_back(tmp_path):
    expected = MLPClassifier(**QUICK | {"hidden_layer_sizes": ()}).fit(X, y)
    got = load(save(expected, tmp_path / "m.fastnn"))
    np.testing.assert_array_equal(got.predict_proba(X), expected.predict_proba(X))


def test_names_of_features_come_back(tmp_path):
    frame = pd.DataFrame(X, columns=["a", "b", "c", "d"])
    got = load(save(MLPClassifier(**QUICK).fit(frame, y), tmp_path / "m.fastnn"))
    assert got.feature_names_in_.dtype == object
    assert list(got.feature_names_in_) == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    "change",
    [
        lambda coef: coef.astype(np.float16),
        lambda coef: coef.astype(">f8"),
        np.asfortranarray,
        lambda coef: (100 * coef).astype(int),
    ],
)
def test_weights_of_any_type_and_layout_are_saved_as_they_predict(tmp_path, change):
    model = MLPRegressor(**QUICK).fit(X, y)
    model.coefs_ = [change(coef) for coef in model.coefs_]
    got = load(save(model, tmp_path / "m"))
    assert all(coef.flags.c_contiguous for coef in got.coefs_)
    np.testing.assert_array_equal(got.predict(X), model.predict(X))


def test_weights_that_do_not_fit_are_not_saved(tmp_path):
    model = MLPRegressor(**QUICK).fit(X, y)
    model.coefs_[0] = np.ones((3, 5))
    with pytest.raises(ValueError, match="those of 3 features and 1 outputs, but 4 and 1"):
        save(model, tmp_path / "m")


def test_a_link_stays_a_link_and_a_missing_folder_is_named(tmp_path, model):
    (tmp_path / "real.fastnn").touch()
    (tmp_path / "link.fastnn").symlink_to(tmp_path / "real.fastnn")
    save(model, tmp_path / "link.fastnn")
    assert (tmp_path / "link.fastnn").is_symlink()
    load(tmp_path / "real.fastnn")
    with pytest.raises(FileNotFoundError, match=r"none'$"):
        save(model, tmp_path / "none" / "m.fastnn")


def test_a_class_of_the_same_name_is_not_saved(tmp_path):
    other = type("MLPRegressor", (MLPRegressor,), {"__module__": "mine"})(**QUICK).fit(X, y)
    with pytest.raises(TypeError, match="model is a MLPRegressor, but"):
        save(other, tmp_path / "m")


def test_losses_come_back_with_their_type(path):
    got = load(path)
    assert {type(loss) for loss in (got.loss_, got.best_loss_, *got.loss_curve_)} == {np.float64}


def test_a_loaded_model_learns_on(path):
    got = load(path)
    before = [coef.copy() for coef in got.coefs_]
    got.partial_fit(X, y)
    assert not np.array_equal(got.coefs_[0], before[0])


def test_a_random_state_that_is_no_number_is_left_behind(tmp_path):
    model = MLPClassifier(**QUICK | {"random_state": np.random.RandomState(0)}).fit(X, y)
    assert load(save(model, tmp_path / "m.fastnn")).random_state is None


def test_numpy_numbers_are_parameters_too(tmp_path):
    model = MLPClassifier(np.array([5]), alpha=np.float32(0.5), max_iter=np.int64(2), random_state=np.int64(1))
    got = load(save(model.fit(X, y), tmp_path / "m.fastnn")).get_params()
    assert (got["hidden_layer_sizes"], got["alpha"], got["max_iter"], got["random_state"]) == ((5,), 0.5, 2, 1)


def test_extra_data_comes_back(path):
    assert read(path)[1] == {"note": ["é", 1]}


def test_the_extension_is_added_where_there_is_none(tmp_path, model):
    assert save(model, tmp_path / "m") == tmp_path / "m.fastnn"
    load(tmp_path / "m")


def test_a_failed_save_leaves_the_old_file_and_nothing_else(path, model):
    before = path.read_bytes()
    with pytest.raises(TypeError, match="cannot hold"):
        save(model, path, extra=object())
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("estimator", "error", "message"),
    [
        (MLPClassifier(), NotFittedError, "not fitted"),
        (LogisticRegression(), TypeError, "model is a LogisticRegression, but"),
    ],
)
def test_what_is_no_fitted_network_is_not_saved(tmp_path, estimator, error, message):
    with pytest.raises(error, match=message):
        save(estimator, tmp_path / "m.fastnn")
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def boats():
    """120 boats: numbers with gaps, categories, a date; what to predict is a class and a number."""
    rng = np.random.default_rng(0)
    kind = rng.choice(["barge", "ferry", "yacht"], 120)
    length = np.select([kind == "barge", kind == "ferry"], [60, 30], 12) + rng.normal(0, 4, 120)
    return pd.DataFrame(
        {
            "length": np.where(rng.random(120) < 0.1, np.nan, length),
            "flag": rng.choice(["NL", "DE", "DK"], 120),
            "launched": pd.to_datetime("1990-01-01") + pd.to_timedelta(rng.integers(0, 12000, 120), "D"),
            "motor": rng.random(120) < 0.5,
            "kind": kind,
            "price": 1000 * length**2,
        }
    )


@pytest.fixture(params=["classifier", "regressor"])
def pipeline(request, boats):
    """A fitted Pipeline of encoder and network, its table, and what it was fitted to."""
    table = boats.drop(columns=["kind", "price"])
    if request.param == "classifier":
        return make_pipeline(TableEncoder(), MLPClassifier(**QUICK)).fit(table, boats["kind"]), table
    return make_pipeline(TableEncoder(), MLPRegressor(**QUICK)).fit(table, boats["price"]), table


def test_a_loaded_pipeline_is_the_same_bits_for_the_same_table(tmp_path, pipeline):
    expected, table = pipeline
    got = load(save(expected, tmp_path / "m.fastnn"))
    assert type(got) is Pipeline
    assert list(got.named_steps) == list(expected.named_steps)
    np.testing.assert_array_equal(got.predict(table), expected.predict(table))
    np.testing.assert_array_equal(got[:-1].get_feature_names_out(), expected[:-1].get_feature_names_out())


def test_a_loaded_pipeline_says_the_same_of_a_table_of_text(tmp_path, pipeline):
    expected, table = pipeline
    table.to_csv(tmp_path / "t.csv", index=False)
    text = pd.read_csv(tmp_path / "t.csv", dtype=str, keep_default_na=False).replace("", None)
    got = load(save(expected, tmp_path / "m.fastnn"))
    np.testing.assert_array_equal(got.predict(text), expected.predict(table))


def test_a_loaded_pipeline_saved_again_is_the_same_file(tmp_path, pipeline):
    first = save(pipeline[0], tmp_path / "first.fastnn")
    second = save(load(first), tmp_path / "second.fastnn")
    with np.load(first) as a, np.load(second) as b:
        assert {name: a[name].tobytes() for name in a} == {name: b[name].tobytes() for name in b}


def test_a_pipeline_whose_encoder_makes_dataframes_comes_back(tmp_path, boats):
    table = boats[["length", "flag"]]
    expected = make_pipeline(TableEncoder().set_output(transform="pandas"), MLPRegressor(**QUICK))
    expected.fit(table, boats["price"])
    got = load(save(expected, tmp_path / "m.fastnn"))
    np.testing.assert_array_equal(got.predict(table), expected.predict(table))


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([("scale", StandardScaler()), ("net", MLPClassifier())], "step 'scale' is StandardScaler, but a Pipeline"),
        ([("table", TableEncoder()), ("line", LogisticRegression())], "step 'line' is LogisticRegression, but"),
        ([("table", TableEncoder()), ("skip", "passthrough"), ("net", MLPClassifier())], "step 'skip' is passthrough"),
        ([("table", TableEncoder()), ("s", StandardScaler()), ("net", MLPClassifier())], "step 's' is StandardScaler"),
        ([("net", MLPClassifier())], "step 'net' is MLPClassifier, but a Pipeline that can be saved"),
        ([("table", TableEncoder())], "the Pipeline has one step only, but"),
    ],
    ids=lambda case: "-".join(name for name, _ in case) if isinstance(case, list) else "",
)
def test_a_pipeline_of_other_steps_is_refused_and_the_step_is_named(tmp_path, steps, message):
    with pytest.raises(TypeError, match=message):
        save(Pipeline(steps), tmp_path / "m.fastnn")
    assert not list(tmp_path.iterdir())


def test_a_pipeline_that_is_not_fitted_is_not_saved(tmp_path):
    with pytest.raises(NotFittedError):
        save(make_pipeline(TableEncoder(), MLPClassifier()), tmp_path / "m.fastnn")


def test_a_file_of_version_0_1_0_says_what_it_said_then():
    model, extra = read(Path(__file__).parent / "data" / "format-1.fastnn")
    assert (list(model.named_steps), extra) == (["encoder", "network"], {"target": "kind", "task": "classification"})
    text = pd.DataFrame(
        {
            "length": ["61.5", None, "12.25", "30"],
            "code": ["A1", "07", "B9", None],  # B9 was in no row that it was trained on
            "built": ["1991-02-11", "2003-05-14", "1999-12-31", None],
            "motor": ["True", "False", "True", None],
        }
    )
    typed = text.astype({"length": float, "built": "datetime64[us]"})
    typed["motor"] = pd.array([True, False, True, None], "boolean")
    expected = [  # as fastnn 0.1.0 printed them
        [0.9983333, 0.0016543445, 1.2336065e-05],
        [2.6101829e-05, 0.9484526, 0.051521223],
        [0.00045190752, 0.016645001, 0.98290306],
        [0.81794816, 0.0043248516, 0.17772701],
    ]
    for frame in (text, typed):
        np.testing.assert_allclose(model.predict_proba(frame), expected, rtol=1e-5)
    assert model.predict(text).tolist() == ["barge", "ferry", "yacht", "barge"]


def test_a_network_of_version_0_1_0_without_a_table_is_read(path, model):
    rewrite(path, lambda header: (header.update(format=1), header.pop("steps")))
    np.testing.assert_array_equal(load(path).predict_proba(X), model.predict_proba(X))


@pytest.mark.parametrize(
    "change",
    [
        lambda header: header.update(encoder="x"),
        lambda header: header.update(encoder={}),
        lambda header: header.update(steps=["only"]),
        lambda header: header.update(steps=3),
        lambda header: header.pop("encoder"),
        lambda header: header["encoder"].update(version=99),
        lambda header: header["encoder"].update(columns=[]),
        lambda header: header["encoder"]["columns"][0].update(mean="x"),
        lambda header: header["encoder"]["columns"][0].update(mean=None),
        lambda header: header["encoder"]["columns"][0].update(mean=float("nan")),
        lambda header: header["encoder"]["columns"][0].update(scale=0),
        lambda header: header["encoder"]["columns"][0].update(low="x"),
        lambda header: header["encoder"]["columns"][0].update(name=3),
        lambda header: header["encoder"]["columns"][0].update(call="x"),
        lambda header: header["encoder"]["columns"][1].update(categories=5),
        lambda header: header["encoder"]["columns"][1].update(categories=[1, 2]),
    ],
)
def test_an_encoder_that_makes_no_sense_is_refused(tmp_path, pipeline, change):
    path = save(pipeline[0], tmp_path / "m.fastnn")
    rewrite(path, change)
    with pytest.raises(ModelFileError, match="damaged"):
        load(path)
    with pytest.raises(ModelFileError, match="damaged"):
        read(path, to_predict=True)


def test_an_encoder_and_a_network_of_different_widths_are_refused(tmp_path, boats):
    fitted = (
        make_pipeline(TableEncoder(), MLPRegressor(**QUICK)).fit(boats[names], boats["price"])
        for names in (["length"], ["length", "flag"])
    )
    narrow, wide = (save(pipeline, tmp_path / f"{i}.fastnn") for i, pipeline in enumerate(fitted))
    with np.load(wide) as entries:
        encoder = json.loads(entries["header"].tobytes())["encoder"]
    rewrite(narrow, lambda header: header.update(encoder=encoder))
    with pytest.raises(ModelFileError, match="encoder and its network do not fit together"):
        load(narrow)


TABULAR = {"hidden_layer_sizes": (6, 5), "n_members": 2, "n_bins": 4, "max_iter": 3, "random_state": 0}


@pytest.fixture(params=["classifier", "regressor", "targets"])
def tabular(request, boats):
    """A fitted TabularClassifier or TabularRegressor, and its table."""
    table = boats.drop(columns=["kind", "price"])
    if request.param == "classifier":
        return TabularClassifier(**TABULAR).fit(table, boats["kind"]), table
    targets = ["price", "length"] if request.param == "targets" else "price"
    return TabularRegressor(**TABULAR).fit(table, boats[targets].fillna(0)), table


def test_a_loaded_tabular_model_is_the_same_bits(tmp_path, tabular):
    expected, table = tabular
    got = load(save(expected, tmp_path / "m.fastnn"))
    assert type(got) is type(expected)
    assert got.get_params() == expected.get_params()
    assert (got.n_iter_, got.n_features_in_, got.history_) == (3, 4, expected.history_)
    assert list(got.feature_names_in_) == list(table.columns)
    np.testing.assert_array_equal(got.predict(table), expected.predict(table))
    if hasattr(expected, "classes_"):
        assert got.classes_.dtype == expected.classes_.dtype
        np.testing.assert_array_equal(got.classes_, expected.classes_)
        np.testing.assert_array_equal(got.predict_proba(table), expected.predict_proba(table))
    for member, expected_member in zip(got.estimators_, expected.estimators_, strict=True):
        assert member.get_params() == expected_member.get_params()
        assert member.history_ == expected_member.history_
    names = got.embedding_.get_feature_names_out()
    assert list(names) == list(expected.embedding_.get_feature_names_out())


def test_a_loaded_tabular_model_saved_again_is_the_same_file(tmp_path, tabular):
    first = save(tabular[0], tmp_path / "first.fastnn")
    second = save(load(first), tmp_path / "second.fastnn")
    with np.load(first) as a, np.load(second) as b:
        assert {name: a[name].tobytes() for name in a} == {name: b[name].tobytes() for name in b}


def test_parameters_of_a_tabular_model_come_back(tmp_path, boats):
    encoder = TableEncoder(categorical=["length"], ignore=pd.Index(["flag"]), dates={"launched": "ymd"})
    options = {
        "encoder": encoder,
        "class_weight": {"barge": 2.0, "ferry": 1.0, "yacht": 1.0},
        "checkpoint": tmp_path / "training",
        "activation": ("relu", "tanh"),
        "scoring": "f1_macro",
    }
    expected = TabularClassifier(**TABULAR, **options).fit(boats.drop(columns=["kind", "price"]), boats["kind"])
    got = load(save(expected, tmp_path / "m.fastnn"))
    wanted = expected.get_params() | {"checkpoint": str(tmp_path / "training")} | {"encoder__ignore": ["flag"]}
    assert got.get_params() | {"encoder": encoder} == wanted
    frozen = FrozenEstimator(expected.encoder_)
    expected.set_params(encoder=frozen, checkpoint=None).fit(boats.drop(columns=["kind", "price"]), boats["kind"])
    got = load(save(expected, tmp_path / "m.fastnn"))
    assert type(got.encoder) is FrozenEstimator
    assert got.encoder.estimator is got.encoder_
    np.testing.assert_array_equal(got.predict_proba(boats), expected.predict_proba(boats))
    np.testing.assert_array_equal(got.fit(boats, boats["kind"]).predict(boats), expected.predict(boats))


@pytest.mark.parametrize("before", [[], [TableEncoder()]])
def test_a_pipeline_that_ends_with_a_tabular_model_comes_back(tmp_path, boats, before):
    table = boats[["length", "flag"]]
    expected = make_pipeline(*before, TabularRegressor(**TABULAR)).fit(table, boats["price"])
    got = load(save(expected, tmp_path / "m.fastnn"))
    assert list(got.named_steps) == list(expected.named_steps)
    np.testing.assert_array_equal(got.predict(table), expected.predict(table))


def test_a_tabular_model_that_cannot_be_saved_is_refused(tmp_path, boats):
    with pytest.raises(NotFittedError):
        save(TabularClassifier(), tmp_path / "m.fastnn")
    model = TabularRegressor(**TABULAR).fit(boats[["length"]], boats["price"])
    model.scoring = lambda model, X, y: 0.0
    with pytest.raises(TypeError, match="scoring is a function, which a file cannot hold"):
        save(model, tmp_path / "m.fastnn")
    other = type("TabularRegressor", (TabularRegressor,), {"__module__": "mine"})(**TABULAR)
    with pytest.raises(TypeError, match="model is a TabularRegressor, but"):
        save(other.fit(boats[["length"]], boats["price"]), tmp_path / "m")
    model = TabularRegressor(**TABULAR).fit(boats[["length"]], boats["price"])
    model.embedding_.edges_ = [np.arange(9.0)]
    with pytest.raises(ValueError, match="coefs_ are those of 5 features and 1 outputs, but 9 and 1"):
        save(model, tmp_path / "m.fastnn")
    assert not list(tmp_path.iterdir())


def test_a_tabular_file_that_is_cut_or_has_a_flipped_bit_is_refused_or_the_same(tmp_path, tabular):
    model, table = tabular
    path = save(model, tmp_path / "m.fastnn")
    expected, content = model.predict(table), bytearray(path.read_bytes())
    for length in [*range(0, len(content), 487), len(content) - 1]:
        path.write_bytes(content[:length])
        with pytest.raises(ModelFileError, match=r"m\.fastnn is"):
            load(path)
    for position in range(0, len(content), 487):
        content[position] ^= 4
        path.write_bytes(content)
        try:
            np.testing.assert_array_equal(load(path).predict(table), expected)
        except ModelFileError:
            pass
        content[position] ^= 4


@pytest.mark.parametrize(
    "change",
    [
        lambda header: header.update({"class": "TabularClassifier"}),
        lambda header: header.update({"class": "MLPRegressor"}),
        lambda header: header.update(encoder={}),
        lambda header: header.update(members=[]),
        lambda header: header.update(members=header["members"] * 2),
        lambda header: header["members"][0].update({"class": "MLPClassifier"}),
        lambda header: header["members"][0]["attributes"].update(n_features_in_=3),
        lambda header: header["members"][1]["parameters"].update(activation="glue"),
        lambda header: header["parameters"].update(n_members=0),
        lambda header: header["parameters"].update(encoder={"is_frozen": False, "parameters": {"colour": 1}}),
        lambda header: header["parameters"].pop("encoder"),
        lambda header: header["attributes"].pop("encoder_"),
        lambda header: header["attributes"].update(n_bins="x"),
        lambda header: header["attributes"]["encoder_"]["columns"].pop(),
        lambda header: header["attributes"]["encoder_"]["columns"][0].update(mean=float("nan")),
    ],
)
def test_a_tabular_header_that_makes_no_sense_is_refused(tmp_path, boats, change):
    path = save(TabularRegressor(**TABULAR).fit(boats[["length", "flag"]], boats["price"]), tmp_path / "m.fastnn")
    rewrite(path, change)
    with pytest.raises(ModelFileError, match="damaged"):
        load(path)


@pytest.mark.parametrize(
    "changed",
    [
        {"center": np.zeros(3)},
        {"center": np.zeros(4, np.float32)},
        {"scale": np.zeros(5)},
        {"scale": np.full(4, np.nan)},
        {"edges": np.zeros(5)},
        {"edges": np.arange(6.0)},
        {"edges": np.array(["x"] * 5)},
        {"n_edges": np.array([4, 0, 0, 0])},
        {"n_edges": np.array([5, 0, 0])},
        {"y_mean": np.zeros(2)},
        {"y_scale": np.array("x")},
        {"y_max": np.array(np.inf)},
        {"member_1_coefs_0": np.zeros((9, 5), np.float32)},
        {"member_1_coefs_0": np.zeros((7, 6), np.float32)},
        {"member_0_intercepts_2": np.zeros(2, np.float32)},
    ],
)
def test_arrays_of_a_tabular_file_that_do_not_fit_are_refused(tmp_path, boats, changed):
    path = save(TabularRegressor(**TABULAR).fit(boats[["length", "flag"]], boats["price"]), tmp_path / "m.fastnn")
    with np.load(path) as entries:
        assert changed.keys() <= set(entries.files)
        assert (entries["n_edges"].tolist(), entries["edges"].size) == ([5, 0, 0, 0], 5)
    rewrite(path, **changed)
    with pytest.raises(ModelFileError, match="damaged"):
        load(path)
    with pytest.raises(ModelFileError, match="damaged"):
        read(path, to_predict=True)


def same_predictions(got, expected, table):
    for method in ("predict", "predict_proba", "predict_log_proba"):
        assert hasattr(got, method) == hasattr(expected, method)
        if hasattr(expected, method):
            a, b = getattr(got, method)(table), getattr(expected, method)(table)
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("expected", "target"),
    [
        (MLPClassifier(**QUICK), y),
        (MLPClassifier(**QUICK), np.array(["no", "yes"], object)[y % 2]),
        (MLPClassifier(**QUICK), np.ones(150, int)),
        (MLPClassifier(**QUICK, activation=["tanh", "mish"]), np.stack([y == 0, y > 0, X[:, 0] > 5], axis=1)),
        (MLPRegressor(**QUICK, n_threads=True), X[:, 0]),
        (MLPRegressor(**QUICK, loss="poisson"), X[:, :2]),
        (MLPRegressor(**QUICK, loss="quantile", quantile=[0.1, 0.5, 0.9]), X[:, 0]),
    ],
    ids=["classes", "two", "one", "labels", "number", "counts", "quantiles"],
)
def test_what_only_predicts_says_the_same(tmp_path, expected, target):
    expected.fit(X, target)
    got, _ = read(save(expected, tmp_path / "m.fastnn"), to_predict=True)
    assert not hasattr(got, "fit")
    same_predictions(got, expected, X)


@pytest.mark.parametrize(
    "classes",
    [np.ones(3, int), np.array([0.5, 1, 2]), np.array([0, 1, np.nan]), np.array([b"a", b"b", b"c"]), np.zeros((3, 1))],
    ids=["twice", "no whole numbers", "nan", "bytes", "a matrix"],
)
def test_labels_that_are_none_are_refused(tmp_path, classes):
    path = save(MLPClassifier(**QUICK).fit(X, y), tmp_path / "m.fastnn")
    rewrite(path, classes=classes)
    for to_predict in False, True:
        with pytest.raises(ModelFileError, match="but different labels are wanted, each once"):
            read(path, to_predict=to_predict)


@pytest.mark.parametrize("names", [["a", "b", "b", "c"], ["a", "b"]])
def test_names_of_features_that_do_not_fit_are_refused(tmp_path, names):
    path = save(MLPClassifier(**QUICK).fit(X, y), tmp_path / "m.fastnn")
    rewrite(path, lambda header: header.update(feature_names=names))
    for to_predict in False, True:
        with pytest.raises(ModelFileError, match="but 4 names are wanted, each once"):
            read(path, to_predict=to_predict)


def test_what_only_predicts_says_the_same_of_a_table(tmp_path, tabular, pipeline):
    got, _ = read(save(tabular[0], tmp_path / "tabular.fastnn"), to_predict=True)
    same_predictions(got, *tabular)
    got, _ = read(save(pipeline[0], tmp_path / "pipeline.fastnn"), to_predict=True)
    (_, encoder), (_, network) = got.steps
    expected, table = pipeline
    np.testing.assert_array_equal(encoder.transform(table), expected[0].transform(table))
    same_predictions(network, expected[1], encoder.transform(table))


@pytest.mark.parametrize("content", [b"", b"P", b"hello", b"\x80\x04K\x01.", b"PK\5\6" + bytes(18)])
def test_a_foreign_file_is_refused_by_name(tmp_path, content):
    path = tmp_path / "other.fastnn"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=r"other\.fastnn is not a fastnn model file"):
        load(path)


def test_arrays_of_something_else_are_refused(tmp_path):
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(ModelFileError, match=r"other\.npz is not a fastnn model file"):
        load(tmp_path / "other.npz")


def test_a_file_cut_anywhere_is_refused(path):
    content = path.read_bytes()
    for length in [*range(0, len(content), 97), len(content) - 1]:
        path.write_bytes(content[:length])
        with pytest.raises(ModelFileError, match=r"model\.fastnn is"):
            load(path)


def test_a_file_with_a_flipped_bit_is_the_same_model_or_refused(path, model):
    content = bytearray(path.read_bytes())
    expected = model.predict_proba(X)
    for position in range(0, len(content), 53):
        content[position] ^= 4
        path.write_bytes(content)
        try:
            np.testing.assert_array_equal(load(path).predict_proba(X), expected)
        except ModelFileError:
            pass
        content[position] ^= 4


def rewrite(path, change_header=None, **changed):
    """Write the file again, with a changed header or other arrays."""
    with np.load(path) as entries:
        arrays = dict(entries)
    header = json.loads(arrays["header"].tobytes())
    if change_header:
        change_header(header)
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    with path.open("wb") as file:
        np.savez(file, **arrays | changed)


def test_a_newer_format_is_refused_with_both_numbers(path):
    rewrite(path, lambda header: header.update(format=FORMAT + 1))
    with pytest.raises(ModelFileError, match=f"format {FORMAT + 1}, but this fastnn reads {FORMAT}"):
        load(path)


@pytest.mark.parametrize(
    "changed",
    [
        {"coefs_0": np.zeros((3, 5))},
        {"coefs_0": np.zeros((5, 5))},
        {"coefs_1": np.zeros((5, 3))},
        {"coefs_1": np.zeros((5, 4), np.float32)},
        {"coefs_1": np.zeros((5, 4), int)},
        {"intercepts_0": np.zeros(2)},
        {"intercepts_0": np.zeros((5, 1))},
        {"classes": np.arange(4)},
        {"coefs_0": np.array(["x"])},
    ],
)
def test_arrays_that_do_not_fit_together_are_refused(path, changed):
    rewrite(path, **changed)
    with pytest.raises(ModelFileError, match="do not fit together"):
        load(path)
    with pytest.raises(ModelFileError, match="do not fit together"):
        read(path, to_predict=True)


@pytest.mark.parametrize(
    "change",
    [
        lambda header: header.update({"class": "Popen"}),
        lambda header: header["parameters"].update(colour="red"),
        lambda header: header["attributes"].update(n_layers_=9),
        lambda header: header["attributes"].update(out_activation_="sine"),
        lambda header: header.update(format="new"),
        lambda header: header.update(format=None),
        lambda header: header.pop("attributes"),
        lambda header: header["parameters"].update(activation="glue"),
        lambda header: header["parameters"].update(activation=["relu"] * 7),
        lambda header: header["parameters"].update(learning_rate_init=[0.1, 0.2]),
        lambda header: header["attributes"].update(t_="many"),
        lambda header: header["attributes"].update(loss_curve_=3),
    ],
)
def test_a_header_that_makes_no_sense_is_refused(path, change):
    rewrite(path, change)
    with pytest.raises(ModelFileError, match="damaged"):
        load(path)


def test_loading_runs_no_code(path, tmp_path):
    class Trap:
        def __reduce__(self):
            return (tmp_path / "trapped").touch, ()

    rewrite(path, classes=np.array([Trap(), 1, 2], object))
    with pytest.raises(ModelFileError, match="allow_pickle"):
        load(path)
    assert not (tmp_path / "trapped").exists()


@pytest.mark.parametrize("name", [".", "..", "/", "folder.fastnn"])
def test_a_folder_is_an_os_error(tmp_path, monkeypatch, model, name):
    monkeypatch.chdir(tmp_path)
    Path("folder.fastnn").mkdir()
    with pytest.raises(OSError, match=r"Is a directory|Permission denied|File exists"):
        load(name)
    with pytest.raises(OSError, match=r"Is a directory|Permission denied|File exists"):
        save(model, name)
    assert [path.name for path in Path().iterdir()] == ["folder.fastnn"]


def test_a_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none.fastnn")


def test_an_array_larger_than_memory_is_refused(path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (2**50,)})
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("huge.npy", header.getvalue())
    with pytest.raises(ModelFileError, match="damaged"):
        load(path)
