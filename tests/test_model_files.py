"""What was saved comes back, and nothing else does."""

import io
import json
import zipfile

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression

from fastnn import MLPClassifier, MLPRegressor, load, save
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


@pytest.mark.parametrize(
    "change",
    [
        lambda header: header.update({"class": "Popen"}),
        lambda header: header["parameters"].update(colour="red"),
        lambda header: header["attributes"].update(n_layers_=9),
        lambda header: header.pop("attributes"),
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
