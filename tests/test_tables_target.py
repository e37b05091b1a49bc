"""A target is classes or numbers, as its values show; one that cannot be learned is refused with the likely reason."""

import numpy as np
import pandas as pd
import pytest

from fastnn.tables import TableError, target


def column(values):
    return pd.Series(values, name="y", index=range(1, len(values) + 1))


def texts(values):
    return column(np.array([*values, None], object)[:-1])


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
        (["True", "False", "True"], "classification", "b"),
        (["0", "1", "0", "1"], "classification", "i"),
        (["01", "02", "01", "02"], "classification", "U"),
        (["1.5", "2", "3"], "regression", "f"),
        (["1,5", "2,5", "3"], "regression", "f"),
    ],
)
def test_the_task_follows_from_the_target(values, task, dtype):
    found = target(column(values))
    assert (found.task, found.y.dtype.kind) == (task, dtype)
    assert found.rows.all()


@pytest.mark.parametrize(
    ("values", "expected", "note"),
    [
        (["1,250.00", "900.50", "7"], [1250, 900.5, 7], "1,250.00 is read as the number 1250"),
        (["$900", "$1250", "$900"] * 9, [900, 1250, 900] * 9, "$900 is read as the number 900"),
        (["12 %", "7 %", "12 %"] * 9, [12, 7, 12] * 9, "12 % is read as the number 12"),
        (["1.250,00", "900,5", "7"], [1250, 900.5, 7], "1.250,00 is read as the number 1250"),
        (["1,5", "2,5", "7"], [1.5, 2.5, 7], "numbers are read with a decimal comma"),
        (["1,250", "2,500", "7"], [1250, 2500, 7], "1,250 is read as 1250; with --decimal , it is 1.25"),
    ],
)
def test_numbers_as_people_write_them_are_a_regression_with_a_note(values, expected, note):
    for task in ("auto", "regression"):
        found = target(texts(values), task)
        assert found.task == "regression"
        np.testing.assert_array_equal(found.y, expected)
        assert len(found.notes) == 1
        assert note in found.notes[0]


def test_the_decimal_mark_can_be_told():
    np.testing.assert_array_equal(target(texts(["1,250", "2,500", "7"]), decimal=",").y, [1.25, 2.5, 7])


def test_labels_are_kept_as_written():
    assert target(texts(["01", "1", "A", "01", "1", "A"])).y.tolist() == ["01", "1", "A", "01", "1", "A"]
    assert target(texts(["TRUE", "FALSE", "unknown"] * 3)).y.tolist() == ["TRUE", "FALSE", "unknown"] * 3


def test_rows_without_a_target_are_left_out():
    found = target(texts(["1.5", None, "?", "NA", "-", "2.5", "3.5"] + [str(i + 0.5) for i in range(20)]))
    assert found.rows.tolist() == [True, False, False, False, False] + [True] * 22
    assert len(found.y) == 23
    assert found.notes == [
        "target 'y': 1 value is no number and counts as missing: '-' (row 5)",
        "target 'y': taken for a missing value: '?' (1 row), 'NA' (1 row)",
    ]
    typed = target(column([1.0, np.nan, 0.0, 1.0, 0.0]))
    assert (typed.y.tolist(), typed.rows.tolist()) == ([1, 0, 1, 0], [True, False, True, True, True])


@pytest.mark.parametrize("word", ["None", "NA"])
def test_a_word_for_nothing_is_a_class_among_words_and_missing_among_numbers(word):
    found = target(texts(["mild", "severe", word] * 4))
    assert found.y.tolist() == ["mild", "severe", word] * 4
    assert f"{word!r} is taken for a class (4 rows)" in found.notes[0]
    assert target(texts(["0", "1", word] * 4)).rows.tolist() == [True, True, False] * 4
    rare = target(texts(["mild", "severe"] * 200 + [word]))
    assert not rare.rows[-1]
    assert f"taken for a missing value: {word!r} (1 row)" in rare.notes[0]


@pytest.mark.parametrize("classes", [["0", "1"], ["True", "False"], ["-1", "0", "1"]])
def test_a_frequent_none_is_a_class_beside_few_whole_numbers_and_booleans(classes):
    found = target(texts([*classes, "None"] * 6 + ["nan", "NULL", "nan"]))
    assert set(found.y) == {*classes, "None"}
    assert "'None' is taken for a class (6 rows)" in found.notes[0]
    assert found.notes[1] == "target 'y': taken for a missing value: 'nan' (2 rows), 'NULL' (1 row)"
    rare = target(texts(classes * 60 + ["None"] * 5))
    assert rare.y.dtype.kind in "ib"
    assert rare.notes == ["target 'y': taken for a missing value: 'None' (5 rows)"]
    numbers = target(texts([f"{i}.5" for i in range(50)] + ["None"] * 10))
    assert (numbers.task, len(numbers.y)) == ("regression", 50)


def test_the_other_columns_decide_the_decimal_mark_that_a_target_leaves_open():
    y = texts(["1,250", "2,500", "7"])
    comma = pd.DataFrame({"a": ["1,5", "2", "3"], "n": [1, 2, 3]})
    assert target(y, others=comma).y.tolist() == [1.25, 2.5, 7]
    assert target(y, others=comma[["n"]]).y.tolist() == [1250, 2500, 7]
    assert target(y, others=comma, decimal=".").y.tolist() == [1250, 2500, 7]
    assert "as in other columns" in target(y, others=comma).notes[0]


@pytest.mark.parametrize(
    ("label", "reason"),
    [("{} kg", "numbers with a unit"), ("{}:30", "these are times"), ("A-{}", "an id or a free text")],
)
def test_many_classes_of_few_rows_are_told_with_the_likely_reason(label, reason):
    found = target(texts([label.format(i) for i in range(30)] * 3))
    assert "has 30 classes" in found.notes[0]
    assert reason in found.notes[0]
    assert target(texts([label.format(i) for i in range(30)] * 5)).notes == []
    assert target(texts([label.format(i) for i in range(20)] * 3)).notes == []


@pytest.mark.parametrize(
    ("values", "task", "message"),
    [
        ([], "auto", "'y' is missing in every row"),
        ([None, "", "?"], "auto", "'y' is missing in every row"),
        ([np.nan, np.nan], "auto", "'y' is missing in every row"),
        (["a", "a"], "auto", "one class only, a"),
        ([1.5, 2.5], "classification", "holds 1.5, which is no class"),
        (["a", "1"], "regression", "should hold numbers, but row 1 holds 'a'"),
        (["a", "b"], "regression", "should hold numbers, but row 1 holds 'a'"),
        ([2, 2, 2, 2], "regression", "is 2 in every row"),
        ([2.5, 2.5, 2.5 + 1e-13], "auto", "is nearly 2.5 in every row"),
        ([1e-200, 2e-200, 5e-201], "auto", "holds 5e-201 to 2e-200, too small to compute with"),
        ([1.5, 2.5, -1e200], "auto", "holds -1e.200, too large to compute with"),
        ([1.0, np.inf], "auto", "should hold finite numbers, but row 2 holds inf"),
        (
            pd.to_datetime(["2024-01-01", "2024-01-02"]),
            "auto",
            "holds dates, such as 2024-01-01, which are not predicted",
        ),
        (["31/01/2024", "01/02/2024"], "auto", "holds dates"),
        (["03/04/2024", "01/02/2024"], "auto", "holds dates"),
        (pd.to_timedelta(["1h", "2h"]), "auto", "holds durations"),
        (["Anna went", "Ben came", "Cleo slept"], "auto", "another class in most rows .* an id or a free text"),
        ([f"{i} kg" for i in range(9)], "auto", "numbers with a unit: remove the unit"),
        ([f"{i}:30" for i in range(9)], "auto", "these are times"),
        ([f"{i}-{i + 9}" for i in range(9)], "auto", "these are ranges"),
        ([f"{i}.5" for i in range(20)] + ["low", "mid", "high"], "auto", "most are numbers, but not 'low'"),
        ([1, 2, 3, 4], "classification", "another class in most rows .* a number to predict"),
    ],
)
def test_a_target_that_cannot_be_learned_is_refused(values, task, message):
    with pytest.raises(TableError, match=message):
        target(column(values), task)
