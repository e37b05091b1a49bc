"""A table becomes a matrix and a target, and an error says what it cannot be."""

import json

import numpy as np
import pandas as pd
import pytest

from fastnn import tables
from fastnn.tables import Encoder, TableError


@pytest.fixture
def people():
    return pd.DataFrame(
        {
            "age": [20.0, 30.0, None, 50.0],
            "city": ["Rome", None, "Oslo", "Rome"],
            "member": [True, False, True, True],
            "since": pd.to_datetime(["2020-01-01", "2021-01-01", None, "2023-01-01"]),
        },
        index=range(1, 5),
    )


def encoded(frame):
    return Encoder.fit(frame).transform(frame)


def test_numbers_are_imputed_by_the_median_then_scaled(people):
    filled = np.array([20, 30, 30, 50.0])
    expected = (filled - filled.mean()) / filled.std()
    np.testing.assert_allclose(encoded(people[["age"]])[:, 0], expected, rtol=1e-6)


def test_text_becomes_one_input_for_each_category_and_one_for_missing(people):
    encoder = Encoder.fit(people[["city"]])
    assert encoder.feature_names == ["city=Oslo", "city=Rome", "city=(missing)"]
    np.testing.assert_array_equal(encoder.transform(people), [[0, 1, 0], [0, 0, 1], [1, 0, 0], [0, 1, 0]])


def test_an_unknown_category_is_zero_everywhere(people):
    encoder = Encoder.fit(people[["city"]])
    np.testing.assert_array_equal(encoder.transform(pd.DataFrame({"city": ["Bern"]})), [[0, 0, 0]])


def test_a_missing_value_is_zero_everywhere_where_none_was_seen():
    encoder = Encoder.fit(pd.DataFrame({"city": ["Rome", "Oslo"]}))
    np.testing.assert_array_equal(encoder.transform(pd.DataFrame({"city": [None, "Rome"]})), [[0, 0], [0, 1]])


def test_booleans_and_dates_are_numbers_of_one_column_each(people):
    encoder = Encoder.fit(people)
    assert encoder.feature_names[-2:] == ["member", "since"]
    X = encoder.transform(people)
    assert X.shape == (4, 6)
    assert np.isfinite(X).all()
    days = np.array([0, 366, 366, 366 + 365 + 365])  # the missing date is the median
    np.testing.assert_allclose(X[:, -1], (days - days.mean()) / days.std(), rtol=1e-5, atol=1e-6)


def test_booleans_with_gaps_and_iso_dates_are_recognised_in_a_csv_file(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("flag,day\nTrue,2024-01-31\n,2024-02-01\nFalse,\n")
    assert Encoder.fit(tables.read(path)).feature_names == ["flag", "day"]


def test_the_state_is_json_and_gives_the_same_matrix(people):
    encoder = Encoder.fit(people)
    got = Encoder.from_state(json.loads(json.dumps(encoder.state())))
    np.testing.assert_array_equal(got.transform(people), encoder.transform(people))


def test_the_matrix_is_float32_and_does_not_depend_on_other_columns_or_their_order(people):
    encoder = Encoder.fit(people)
    got = encoder.transform(people.assign(other=1)[["since", "other", "member", "city", "age"]])
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, encoder.transform(people))


def test_columns_that_tell_nothing_are_left_out():
    n = tables.MAX_CATEGORIES + 1
    frame = pd.DataFrame({"x": range(n), "id": [f"id{i}" for i in range(n)], "none": [None] * n})
    encoder = Encoder.fit(frame)
    assert encoder.feature_names == ["x"]
    assert encoder.left_out(frame) == ["id", "none"]


def test_of_many_categories_the_most_frequent_are_kept():
    words = [f"w{i}" for i in range(tables.MAX_CATEGORIES + 50) for _ in range(3 if i >= 50 else 2)]
    got = Encoder.fit(pd.DataFrame({"word": words})).feature_names
    assert got == sorted(f"word=w{i}" for i in range(50, tables.MAX_CATEGORIES + 50))


def test_a_constant_column_is_zero():
    np.testing.assert_array_equal(encoded(pd.DataFrame({"x": [3, 3, 3]})), np.zeros((3, 1)))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["1", "x"], r"column 'x' should hold numbers, but row 2 holds 'x'"),
        ([1, np.inf], r"column 'x' should hold finite numbers, but row 2 holds inf"),
        ([1, 1e300], r"column 'x' holds a number too large"),
    ],
)
def test_what_is_no_number_is_refused_by_column_and_row(values, message):
    encoder = Encoder.fit(pd.DataFrame({"x": [1.0, 2.0]}))
    with pytest.raises(TableError, match=message):
        encoder.transform(pd.DataFrame({"x": values}, index=[1, 2]))


def test_a_missing_column_is_named_with_what_may_be_meant(people):
    other = people.rename(columns={"age": "Age"}).drop(columns=["city", "since"])
    message = r"no column 'age', 'city', 'since' \(meant: 'Age'\?\); the columns are 'Age', 'member'"
    with pytest.raises(TableError, match=message):
        Encoder.fit(people).transform(other)


@pytest.mark.parametrize(
    ("values", "task", "dtype"),
    [
        (["a", "b", "a"], "classification", "U"),
        ([True, False, True], "classification", "b"),
        ([0, 1, 2, 0, 1, 2], "classification", "i"),
        ([0.0, 1.0, 0.0, 1.0], "classification", "i"),
        ([0.5, 1.0, 0.0, 1.0], "regression", "f"),
        (list(range(100)), "regression", "f"),
        ([1, 2, 3], "regression", "f"),
        (pd.Categorical([1, 2, 1]), "classification", "U"),
        (np.array([True, False, None], object)[:2], "classification", "b"),
    ],
)
def test_the_task_follows_from_the_target(values, task, dtype):
    y, got = tables.target(pd.Series(values, name="y"))
    assert (got, y.dtype.kind) == (task, dtype)


@pytest.mark.parametrize(
    ("values", "task", "message"),
    [
        ([], "auto", "'y' is missing in every row"),
        (["a", "a"], "auto", "one class only, a"),
        ([1.5, 2.5], "classification", "holds 1.5, which is no class"),
        (["a", "1"], "regression", "should hold numbers, but row 0 holds 'a'"),
        ([2, 2, 2, 2], "regression", "is 2 in every row"),
        ([1.0, np.inf], "auto", "should hold finite numbers, but row 1 holds inf"),
        (["a", "b", "c"], "auto", "another class in every row"),
        (pd.to_datetime(["2024-01-01", "2024-01-02"]), "auto", "should hold numbers"),
    ],
)
def test_a_target_that_cannot_be_learned_is_refused(values, task, message):
    with pytest.raises(TableError, match=message):
        tables.target(pd.Series(values, name="y"), task)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_separator_of_a_csv_file_is_found(tmp_path, separator):
    path = tmp_path / "t.csv"
    path.write_text(f"a{separator}b\n1{separator}x\n")
    pd.testing.assert_frame_equal(tables.read(path), pd.DataFrame({"a": [1], "b": ["x"]}, index=[1]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"a,b\n", "no rows"),
        (b"a,b\n1,2\n1,2,3\n", "cannot be read"),
        (b"a,b\n1,2,3\n1,2,3\n", "cannot be read"),
        (b"a,b\n\xff\xfe,1\n", "cannot be read"),
        (b'a,b\n"1,2\n', "cannot be read"),
    ],
)
def test_a_file_that_is_no_table_is_refused_by_name(tmp_path, content, message):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(TableError, match=rf"t\.csv.* {message}"):
        tables.read(path)


def test_parquet_is_read_like_csv(tmp_path, people):
    pytest.importorskip("pyarrow")
    people.to_parquet(tmp_path / "t.parquet")
    people.to_csv(tmp_path / "t.csv", index=False)
    X = [encoded(tables.read(tmp_path / name)) for name in ("t.parquet", "t.csv")]
    np.testing.assert_array_equal(*X)


def test_a_damaged_parquet_file_is_refused_by_name(tmp_path):
    pytest.importorskip("pyarrow")
    (tmp_path / "t.parquet").write_bytes(b"PAR1")
    with pytest.raises(TableError, match=r"t\.parquet cannot be read"):
        tables.read(tmp_path / "t.parquet")
