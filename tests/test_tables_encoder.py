"""What a column is, is decided once; the same value then gives the same inputs in every table and of every type."""

import io
import json
import pickle
import re
import subprocess
import sys
import warnings
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastnn import TableEncoder
from fastnn.tables import TableError, read


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


@pytest.fixture
def table(tmp_path):
    """The frame that `read` makes of a CSV file with these columns."""

    def make(**columns):
        path = tmp_path / "t.csv"
        pd.DataFrame({name: pd.Series(values, dtype=object) for name, values in columns.items()}).to_csv(
            path, index=False
        )
        return read(path).frame

    return make


def texts(*values):
    return pd.DataFrame({"x": pd.Series(values, range(1, len(values) + 1), dtype=object)})


def decided(frame, **parameters):
    """Kind of each column, "left out" among them."""
    return {name: kind for name, kind, _ in TableEncoder(**parameters).fit(frame).summary()}


def kind_of(*values, **parameters):
    return decided(texts(*values).assign(other=np.sqrt(range(len(values)))), **parameters)["x"]


# ---- one column ----


def test_numbers_are_imputed_by_the_median_then_scaled(people):
    filled = np.array([20, 30, 30, 50.0])
    expected = (filled - filled.mean()) / filled.std()
    np.testing.assert_allclose(TableEncoder().fit_transform(people[["age"]])[:, 0], expected, rtol=1e-6)


def test_text_becomes_one_input_for_each_category_and_one_for_missing(people):
    encoder = TableEncoder().fit(people[["city"]])
    assert encoder.get_feature_names_out().tolist() == ["city=Oslo", "city=Rome", "city=(missing)"]
    np.testing.assert_array_equal(encoder.transform(people[["city"]]), [[0, 1, 0], [0, 0, 1], [1, 0, 0], [0, 1, 0]])


def test_an_unknown_category_is_zero_everywhere(people):
    np.testing.assert_array_equal(
        TableEncoder().fit(people[["city"]]).transform(pd.DataFrame({"city": ["Bern"]})), [[0] * 3]
    )


def test_a_missing_value_is_zero_everywhere_where_none_was_seen():
    encoder = TableEncoder().fit(pd.DataFrame({"city": ["Rome", "Oslo"]}))
    np.testing.assert_array_equal(encoder.transform(pd.DataFrame({"city": [None, "Rome"]})), [[0, 0], [0, 1]])


def test_booleans_and_dates_are_numbers_of_one_column_each(people):
    encoder = TableEncoder().fit(people)
    assert encoder.get_feature_names_out()[-2:].tolist() == ["member", "since"]
    X = encoder.transform(people)
    days = np.array([0, 366, 366, 366 + 365 + 365])  # the missing date is the median
    np.testing.assert_allclose(X[:, -1], (days - days.mean()) / days.std(), rtol=1e-5, atol=1e-6)
    member = np.array([1, 0, 1, 1])
    np.testing.assert_allclose(X[:, -2], (member - 0.75) / member.std(), rtol=1e-6)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["1.5", "2", "-3e2", ".5", "+4."], [1.5, 2, -300, 0.5, 4]),
        (["1,250.00", "900", "1,000,000.5"], [1250, 900, 1000000.5]),
        (["1.250,00", "900", "1.000.000,5"], [1250, 900, 1000000.5]),
        (["1 250,5", "1\u00a0000,0", "3"], [1250.5, 1000, 3]),
        (["1'250.5", "3.25"], [1250.5, 3.25]),
        (["1,5", "2,25", "3"], [1.5, 2.25, 3]),
        (["$900", "$1,200.50", "-$5", "$ 7"], [900, 1200.5, -5, 7]),
        (["900 €", "1.200,50 €", "-5 €"], [900, 1200.5, -5]),
        (["12 %", "7.5%", "100%"], [12, 7.5, 100]),
        (["(1,250.50)", "3.5", "\u22127.25"], [-1250.5, 3.5, -7.25]),
        (["1.250,00-", "12,50", "3,5-"], [-1250, 12.5, -3.5]),
        (["1,250-", "2,300.5", "900"], [-1250, 2300.5, 900]),
        (["(12.50)", "$(0.01)", "($2.5)", "3"], [-12.5, -0.01, -2.5, 3]),
        (['="0.27"', "0.5", '="-3"'], [0.27, 0.5, -3]),
        (["'0.27", "0.5", "'12"], [0.27, 0.5, 12]),
        (["CHF 1'250.-", "CHF 90.50", "Fr. 7.\u2013", "CHF 5.--"], [1250, 90.5, 7, 5]),
        (["1250,-", "12,5", "\u20ac 7,-"], [1250, 12.5, 7]),
        (["01", "0.5", "12.25"], [1, 0.5, 12.25]),
        (["1,250", "2,500.0", "7"], [1250, 2500, 7]),
        (["1,250", "2,50", "7"], [1.25, 2.5, 7]),
    ],
)
def test_numbers_are_read_as_people_write_them(values, expected):
    encoder = TableEncoder().fit(texts(*values))
    x = np.array(expected)
    np.testing.assert_allclose(encoder.transform(texts(*values))[:, 0], (x - x.mean()) / x.std(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([f"{i * 1.1:.1f}" for i in range(30)] + ["?", "NA", "-", "n/a"], "number"),
        ([f"{i * 1.1:.1f}" for i in range(30)] + ["<0.5"] * 5, "number"),
        ([f"{i * 1.1:.1f}" for i in range(30)] + ["broken", "error"], "number"),
        ([f"{i * 1.1:.1f}" for i in range(30)] + ["low", "high"] * 9, "category"),
        ([f"{i * 1.1:.1f}" for i in range(30)] + list("abcdeff"), "category"),
        (["1", "2", "x"] * 9, "category"),
        (["1", "2", "3"] * 30 + ["3+"], "category"),
        (["1", "2", "3"] * 9, "number"),
        (["01", "02", "10"] * 9, "category"),
        (["00060", "12345"] * 9, "category"),
        (["001", "008.45", "250.5"] * 9, "category"),
        (['="0060"', '="1234"'] * 9, "category"),
        (["1-", "2-", "3"] * 9, "category"),
        (["TRUE", "FALSE", "unknown"] * 9, "category"),
        (["TRUE", "FALSE"] * 9, "boolean"),
        (["true", "", "False"] * 9, "boolean"),
        (["yes", "no"] * 9, "category"),
        (["1_000", "2_000"] * 9, "category"),
        (["0x1A", "0x1B"] * 9, "category"),
        (["2024-01-31", "2024-02-29 12:30", ""] * 9, "date"),
        (["31/01/2024", "01/02/2024"] * 9, "date"),
        (["01/31/2024 1:05 PM", "02/01/2024 12:00 AM"] * 9, "date"),
        (["2024/1/31", "2024/2/1"] * 9, "date"),
        (["2024-01-31", "9999-12-31", "1582-10-15", "0000-00-00"] * 9, "date"),
        (["2024-01-31-A7", "2024-02-01-B2"] * 9, "category"),
        (["26/03/24", "27/03/24"] * 9, "category"),
        (["10-20-30", "11-21-31"] * 9, "category"),
        (["12:30", "13:45"] * 9, "category"),
        (["10-20", "20-30"] * 9, "category"),
        (["12345678901234567890", "12345678901234567891"] * 9, "category"),
        (["", "?", "NA"] * 9, "left out"),
        (["a"] * 27, "left out"),
        (["7"] * 27, "left out"),
        ([f"A-{i}" for i in range(27)], "left out"),
        ([str(i) for i in range(100, 127)], "left out"),
        ([str(i * i) for i in range(27)], "number"),
        ([str(i % 26) for i in range(27)], "number"),
        ([f"2024-01-{i + 1:02}" for i in range(27)], "date"),
    ],
)
def test_what_a_column_is_follows_from_all_of_its_values(values, kind):
    assert kind_of(*values) == kind


def test_the_user_has_the_last_word():
    values = ["01", "02", "x"] * 9
    assert kind_of(*values, numeric=["x"]) == "number"
    assert kind_of(*["1", "2", "3"] * 9, categorical=["x"]) == "category"
    assert kind_of(*map(str, range(27)), numeric=["x"]) == "number"
    assert kind_of(*[f"A-{i}" for i in range(27)], categorical=["x"]) == "category"
    assert kind_of(*values, ignore=["x"]) == "left out"
    assert kind_of(*["05/04/2024", "06/04/2024"] * 9, dates={"x": "mdy"}) == "date"
    assert decided(pd.DataFrame({"n": [1.0, 2.0, 1.0]}), categorical=["n"]) == {"n": "category"}


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"categorical": ["X"]}, r"no column 'X' \(meant: 'x'\?\)"),
        ({"categorical": ["x"], "numeric": ["x"]}, "column 'x' is said to be a category and in numeric as well"),
        ({"decimal": ";"}, "decimal is ';', but"),
        ({"ignore": ["x"]}, r"no column to learn from; left out are 'x' \(as told\)"),
        ({"numeric": ["x"]}, "column 'x' holds no numbers, but 'a'"),
        ({"dates": ["x"]}, "column 'x' holds no dates, but 'a'"),
        ({"dates": {"x": "day"}}, "dates says 'day' of column 'x', but ymd, dmy or mdy is wanted"),
    ],
)
def test_parameters_that_fit_no_table_are_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        TableEncoder(**parameters).fit(texts("a", "b", "a"))


def test_a_type_that_is_not_what_the_user_says_is_refused():
    frame = pd.DataFrame({"x": [1.0, 2.0], "d": pd.to_datetime(["2024-01-31", "2024-02-01"])})
    with pytest.raises(TableError, match="column 'x' is said to hold dates, but holds numbers"):
        TableEncoder(dates=["x"]).fit(frame)
    with pytest.raises(TableError, match="column 'd' is said to hold numbers, but holds dates"):
        TableEncoder(numeric=["d"]).fit(frame)


def test_odd_values_of_a_column_of_numbers_are_counted_and_named():
    encoder = TableEncoder().fit(texts(*[f"{i}.5" for i in range(30)], "<0.5", "<0.5", "-", ""))
    assert encoder.notes_ == ["column 'x': 3 values are no numbers and count as missing: '<0.5' (2), '-' (1)"]


# ---- decided by the column, and said ----


def test_the_order_of_a_date_is_decided_by_the_whole_column():
    day_first = TableEncoder().fit(texts("03/04/2024", "05/06/2024", "25/12/2024"))
    month_first = TableEncoder().fit(texts("03/04/2024", "05/06/2024", "12/25/2024"))
    assert day_first.summary()[0][2] == "2024-04-03 to 2024-12-25, day first"
    assert month_first.summary()[0][2] == "2024-03-04 to 2024-12-25, month first"
    assert "read day first, as 25/12/2024 shows" in day_first.notes_[0]
    assert TableEncoder().fit(texts("03.04.2024", "05.04.2024")).summary()[0][2].endswith("day first")


def test_a_date_of_either_order_is_refused_with_what_to_do():
    message = "column 'x': no value tells whether 03/04/2024 is 2024-04-03 or 2024-03-04; .*--ignore 'x'"
    with pytest.raises(TableError, match=message):
        TableEncoder().fit(texts("03/04/2024", "05/06/2024"))


def test_columns_of_decimal_commas_decide_for_those_that_leave_it_open():
    frame = pd.DataFrame({"a": ["1,5", "2,5", "3,5"], "b": ["1.250", "2.500", "4.000"]})
    encoder = TableEncoder().fit(frame)
    assert [detail for _, _, detail in encoder.summary()] == [
        "1.5 to 3.5, decimal comma",
        "1250 to 4000, decimal comma",
    ]
    assert any("1.250 is read as 1250" in note and "--decimal ." in note for note in encoder.notes_)


def test_a_number_that_may_be_either_is_told_with_the_option_that_decides():
    encoder = TableEncoder().fit(texts("1,250", "2,500", "4,000"))
    assert encoder.notes_ == ["column 'x': 1,250 is read as 1250; with --decimal , it is 1.25"]
    assert TableEncoder(decimal=",").fit(texts("1,250", "2,500")).summary()[0][2] == "1.25 to 2.5, decimal comma"


def test_what_can_be_read_with_the_other_decimal_mark_alone_is_and_is_told():
    encoder = TableEncoder(decimal=",").fit(texts("1.5", "2.25", "7"))
    assert encoder.summary()[0][2] == "1.5 to 7"
    assert encoder.notes_ == ["column 'x': 1.5 is a number with a decimal point alone"]


def test_numbers_that_are_taken_for_a_category_are_told():
    encoder = TableEncoder().fit(texts(*[f"{i % 9}.5" for i in range(90)], *"abcdef"))
    assert encoder.notes_ == [
        "column 'x': 90 of 96 values are numbers, but not 'a', 'b', 'c' and 3 more: "
        "taken for a category (see --numeric)"
    ]


def test_the_decimal_mark_is_kept_for_later_tables():
    encoder = TableEncoder().fit(texts("1,5", "2,5", "9"))
    np.testing.assert_array_equal(encoder.transform(texts("2,500")), encoder.transform(texts("2,5")))


def test_what_tells_nothing_is_left_out_with_a_reason():
    n = 40
    frame = pd.DataFrame(
        {
            "Unnamed: 0": range(n),
            "x": np.sqrt(np.arange(n)),
            "id": [f"A{i}" for i in range(n)],
            "number": np.random.RandomState(0).permutation(n) + 1000,
            "none": [None] * n,
            "always": [14.62, np.nextafter(14.62, 15)] * (n // 2),
        }
    )
    encoder = TableEncoder().fit(frame)
    assert encoder.get_feature_names_out().tolist() == ["x"]
    assert encoder.left_out_ == {
        "Unnamed: 0": "whole numbers without heading, as row numbers have none",
        "id": "another text in every row",
        "number": "another whole number in each row, as in a list of ids",
        "none": "no values",
        "always": "always 14.62",
    }


@pytest.mark.parametrize(
    "values",
    [range(10), [3, 8, 11, 40, 90], [0, 1, 2] * 4, [5.0, None, 4.0, 9.0], [4, 1, 3, 2]],
    ids=["counting", "with gaps", "repeated", "with a blank", "shuffled"],
)
@pytest.mark.parametrize("name", ["Unnamed: 0", "", "index"])
def test_whole_numbers_without_heading_are_left_out_unless_named(name, values):
    frame = pd.DataFrame({name: values, "x": np.sqrt(range(len(values)))})
    assert decided(frame)[name] == "left out"
    assert decided(frame, numeric=[name])[name] == "number"
    assert decided(frame.assign(**{name: frame["x"]}))[name] == "number"


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([*range(1900, 1980)], "number"),
        ([*range(1, 81)], "left out"),
        ([*range(3000, 3080)], "left out"),
        ([*range(19000, 19080)], "left out"),
        ([*range(1, 40), None, *range(41, 81)], "left out"),
    ],
)
def test_years_are_no_ids(values, kind):
    assert decided(pd.DataFrame({"n": values, "x": np.sqrt(range(80))}))["n"] == kind


def test_a_code_among_plain_numbers_is_told():
    values = [str(i % 9) for i in range(40)]
    encoder = TableEncoder().fit(texts(*values, "07"))
    assert encoder.columns_[0].kind == "category"
    assert "07 is a code and no number, so all are taken for a category (see --numeric)" in encoder.notes_[0]
    assert TableEncoder(numeric=["x"]).fit(texts(*values, "07")).notes_ == []
    assert TableEncoder().fit(texts(*["01", "02", "10"] * 9)).notes_ == []


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (["12%", "0.12", "7 %"], "12% as 12, 0.12 as 0.12"),
        (["$900", "\u20ac5", "7"], "$900 as 900, \u20ac5 as 5"),
        (["12%", "0", "7 %"], None),
        (["$900", "7", "$5"], None),
        (["Fr. 900", "Fr 7"], None),
    ],
)
def test_numbers_of_several_units_are_told(values, told):
    notes = TableEncoder().fit(texts(*values)).notes_
    assert told in notes[0] if told else notes == []


def test_whole_numbers_that_rise_with_the_rows_are_told():
    x = np.sqrt(range(40))
    n = np.arange(40) ** 2
    assert "'n' rises with the rows: ignore it" in TableEncoder().fit(pd.DataFrame({"n": n, "x": x})).notes_[0]
    assert TableEncoder(numeric=["n"]).fit(pd.DataFrame({"n": n, "x": x})).notes_ == []
    assert TableEncoder().fit(pd.DataFrame({"n": n[::-1], "x": x})).notes_ == []


def test_what_a_column_is_does_not_depend_on_the_rows_to_learn_from():
    n = 60
    words = ["w", "x", *["y", "x"] * (n // 2 - 1)]
    frame = pd.DataFrame(
        {
            "comma": ["3,512", "4,512"] * (n // 2 - 1) + ["3,512", "2,5"],
            "day": ["01/02/2024", "03/04/2024"] * (n // 2 - 1) + ["25/12/2024"] * 2,
            "code": ["7", "12"] * (n // 2 - 1) + ["07"] * 2,
            "id": range(1, n + 1),
            "gap": [None] * (n // 2) + [1.5, 2.5] * (n // 4),
            "word": words,
        },
        dtype=object,
    )
    half = np.random.RandomState(0).permutation(n - 2)[: n // 2 + 5]
    encoder, everything = TableEncoder().fit(frame, rows=half), TableEncoder().fit(frame)
    assert [row[:2] for row in encoder.summary()] == [row[:2] for row in everything.summary()]
    assert encoder.notes_ == everything.notes_
    # ... but ranges and categories are of those rows alone
    learned = TableEncoder().fit(frame.iloc[:, 4:].assign(x=np.sqrt(range(n))), rows=range(1, n - 5))
    x = np.sqrt(range(1, n - 5))
    assert learned.columns_[-1].mean == pytest.approx(x.mean())
    assert learned.columns_[1].categories == ["x", "y"]


def test_a_column_of_one_value_in_the_rows_to_learn_from_is_left_out():
    frame = pd.DataFrame({"n": [1.5] * 5 + [2.5], "word": ["a"] * 5 + ["b"], "no": [None] * 5 + [3], "x": range(6)})
    assert TableEncoder().fit(frame, rows=range(5)).left_out_ == {
        "n": "always 1.5 in the rows to train",
        "word": "always 'a' in the rows to train",
        "no": "no values in the rows to train",
    }


def test_numbers_of_the_rows_are_read_where_there_is_nothing_else():
    encoder = TableEncoder().fit(pd.DataFrame({"x": range(50)}))
    assert encoder.get_feature_names_out().tolist() == ["x"]
    assert "there is no other" in encoder.notes_[0]


def test_of_many_categories_the_most_frequent_are_kept():
    words = [f"w{i:03}" for i in range(60) for _ in range(3 if i >= 30 else 2)] + [f"once{i}" for i in range(9)]
    encoder = TableEncoder(max_categories=30).fit(pd.DataFrame({"word": words}))
    assert encoder.get_feature_names_out().tolist() == [f"word=w{i:03}" for i in range(30, 60)]
    assert "of 69 categories the 30 most frequent are kept; the others, 69 values," in encoder.notes_[0]


# ---- the same table, whatever its type ----


def typed_frames(csv):
    yield "pandas", pd.read_csv(io.StringIO(csv))
    yield "nullable", pd.read_csv(io.StringIO(csv), dtype_backend="numpy_nullable")
    yield "texts", pd.read_csv(io.StringIO(csv), dtype=str)
    yield "strings", pd.read_csv(io.StringIO(csv), dtype="string", keep_default_na=False)
    yield "categories", pd.read_csv(io.StringIO(csv)).astype("category")
    pa = pytest.importorskip("pyarrow")
    pl = pytest.importorskip("polars")
    yield "Arrow-backed", pd.read_csv(io.StringIO(csv), dtype_backend="pyarrow")
    yield "Arrow", pa.Table.from_pandas(pd.read_csv(io.StringIO(csv)), preserve_index=False)
    yield "polars", pl.read_csv(io.StringIO(csv))
    yield "polars, in another order", pl.read_csv(io.StringIO(csv), try_parse_dates=True)[:, ::-1]


CSV = """whole,part,gaps,flag,word,code,day,level,euro
1,0.5,3,True,b,01,2024-01-31,1,"1.250,5"
2,1.5,,False,a,02,2023-12-31,2,"3,25"
7,-2.25,5,True,,07,9999-12-31,x,"7,5"
4,1e3,9,True,b,01,,1,"0,5"
"""


def test_the_same_table_gives_the_same_numbers_whatever_its_types(tmp_path):
    (tmp_path / "t.csv").write_text(CSV)
    frame = read(tmp_path / "t.csv").frame
    encoder = TableEncoder().fit(frame)
    assert [kind for _, kind, _ in encoder.summary()] == [
        "number",
        "number",
        "number",
        "boolean",
        "category",
        "category",
        "date",
        "category",
        "number",
    ]
    expected = encoder.transform(frame)
    for name, typed in typed_frames(CSV):
        np.testing.assert_array_equal(encoder.transform(typed), expected, err_msg=name)


@pytest.mark.parametrize(
    "values", [[1, 2], [1.0, 2.0], ["1", "2"], ["01", "02"], ["1.0", "2.0"], [True, 2], [Decimal("1"), 2]]
)
@pytest.mark.parametrize("codes", [["1", "2", "x"], ["01", "02", "A7"], ["1.0", "2.0", "x"]])
def test_a_code_is_the_category_of_its_label_or_else_of_its_value(codes, values):
    expected = [[1, 0, 0], [0, 1, 0]] if values[0] is not True else [[0, 0, 0], [0, 1, 0]]
    np.testing.assert_array_equal(TableEncoder().fit(texts(*codes)).transform(texts(*values)), expected)


def test_labels_of_the_same_value_are_different_categories():
    encoder = TableEncoder().fit(texts("1", "01", "x"))
    np.testing.assert_array_equal(
        encoder.transform(texts("01", "1", 1, "001")), [[1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 0]]
    )


def test_dates_of_all_types_are_the_same_numbers():
    day = ["2024-01-31", "2024-03-01"]
    encoder = TableEncoder().fit(texts(*day))
    expected = encoder.transform(texts(*day))
    for same in (
        pd.to_datetime(day),
        pd.to_datetime(day, utc=True),
        pd.to_datetime(["2024-01-31 02:00", "2024-03-01 02:00"]).tz_localize("Asia/Jerusalem"),
        pd.PeriodIndex(day, freq="D"),
        [date(2024, 1, 31), datetime(2024, 3, 1)],
        np.array(day, "datetime64[D]").astype(object),
        pd.Series([np.datetime64(day[0], "ns"), pd.Timestamp(day[1])], dtype=object),
        ["2024-01-31T00:00:00Z", "2024-03-01 01:30+01:30"],
    ):
        np.testing.assert_array_equal(encoder.transform(pd.DataFrame({"x": same})), expected)


@pytest.mark.parametrize(
    "values", [[True, 1, "x"], [1, True, "x"], [1.0, "1", True], [np.int8(1), np.bool_(True), "1.0"]]
)
def test_mixed_values_are_each_what_they_are_alone(values):
    encoder = TableEncoder().fit(texts("1", "True", "x"))
    alone = [encoder.transform(texts(value)) for value in values]
    np.testing.assert_array_equal(encoder.transform(texts(*values)), np.concatenate(alone))


def test_what_a_mask_hides_is_missing():
    hidden = np.ma.masked_array([[1.0, 5], [2, 6], [99, 8]], mask=[[0, 0], [0, 0], [1, 0]])
    encoder = TableEncoder().fit(np.array([[1.0, 5], [2, 6], [3, 8]]))
    np.testing.assert_array_equal(encoder.transform(hidden), encoder.transform([[1, 5], [2, 6], [np.nan, 8]]))


def test_ids_of_many_digits_are_no_numbers():
    big = 2**60
    encoder = TableEncoder().fit(pd.DataFrame({"x": [big, big + 1, big]}))
    assert encoder.get_feature_names_out().tolist() == [f"x={big}", f"x={big + 1}"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (pd.to_timedelta(["1h", "2h"]), "column 'x' holds durations"),
        (np.array([1j, 2]), "column 'x' holds complex numbers"),
        ([[1, 2], [3]], "column 'x' holds a list"),
        ([{"a": 1}, 2], "column 'x' holds a dict"),
        ([b"a", b"b"], "column 'x' holds a bytes"),
        ([1j, 2], "column 'x' holds complex numbers"),
        ([pd.Timedelta("1h"), "a"], "column 'x' holds a Timedelta"),
    ],
)
def test_what_is_neither_number_text_nor_date_is_refused_by_name(values, message):
    with pytest.raises(TableError, match=message):
        TableEncoder().fit(pd.DataFrame({"x": values, "z": [1, 2]}))


def test_what_is_not_read_may_hold_anything():
    frame = pd.DataFrame({"x": [1.0, 2.0], "z": [[1], {2}]})
    encoder = TableEncoder(ignore=["z"]).fit(frame)
    np.testing.assert_array_equal(encoder.transform(frame), [[-1], [1]])
    np.testing.assert_array_equal(encoder.transform(frame.assign(z=[1j, 2j])), [[-1], [1]])


def test_a_network_that_predicts_from_a_table_needs_neither_pandas_nor_scikit_learn():
    program = (
        "import sys, numpy as np; from fastnn.tables import columns\n"
        "out = np.empty((3, 1), np.float32)\n"
        "columns.from_dict({'name': 'x', 'median': 1.0, 'mean': 1.0, 'scale': 2.0}).encode("
        "np.array(['3', None, '1,5'], object), out)\n"
        "print(out.ravel().tolist(), {'pandas', 'sklearn', 'clevercsv'} & set(sys.modules))"
    )
    got = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert got.stdout == "[1.0, 0.0, 0.0] set()\n"


def test_columns_of_one_name_are_refused():
    with pytest.raises(TableError, match="several columns 'a': which one is meant"):
        TableEncoder().fit(pd.DataFrame([[1, 2], [3, 4]], columns=["a", "a"]))


def test_a_missing_column_is_named_with_what_may_be_meant(people):
    other = people.rename(columns={"age": "Age"}).drop(columns=["city", "since"])
    message = r"no column 'age', 'city', 'since' \(meant: 'Age'\?\); the columns are 'Age', 'member'"
    with pytest.raises(TableError, match=message):
        TableEncoder().fit(people).transform(other)


def test_a_column_without_any_value_is_missing_whatever_its_type():
    encoder = TableEncoder().fit(
        pd.DataFrame({"n": [1.0, 2.0, None], "d": ["2024-01-31", "2024-02-01", None], "w": ["a", "b", None]})
    )
    expected = encoder.transform(pd.DataFrame({"n": [None], "d": [None], "w": [None]}, dtype=object))
    for nothing in (
        np.array([np.nan]),
        np.array(["NaT"], "datetime64[us]"),
        np.array([""]),
        pd.array([pd.NA], "Int64"),
    ):
        got = encoder.transform(pd.DataFrame({"n": nothing, "d": nothing, "w": nothing}))
        np.testing.assert_array_equal(got, expected)


def test_a_date_for_a_number_and_a_number_for_a_date_are_refused():
    dates = pd.DataFrame({"x": pd.to_datetime(["2024-01-31", "2024-02-01"])})
    floats = pd.DataFrame({"x": [1.0, 2.0]})
    with pytest.raises(TableError, match="column 'x' should hold numbers, but holds dates"):
        TableEncoder().fit(floats).transform(dates)
    with pytest.raises(TableError, match="column 'x' should hold dates such as 2024-01-31, but holds numbers"):
        TableEncoder().fit(dates).transform(floats)


# ---- a row alone ----

CELLS = st.one_of(
    st.sampled_from(
        "1 01 1.0 2 2,5 1,250 1,250.00 TRUE true x ? NA <0.5 - inf nan 1e400 2024-01-31 31/01/2024 9999-12-31 $900 "
        "1_0 (5) 0.5".split()
        + ["", "12 %"]
    ),
    st.floats(allow_nan=False, width=32).map(repr),
    st.text(max_size=3),
)


@settings(max_examples=200, deadline=None)
@given(rows=st.lists(st.tuples(*[CELLS] * 5), min_size=1, max_size=6))
def test_what_is_said_of_a_row_does_not_depend_on_its_neighbours(rows):
    whole = TableEncoder(numeric=["n"], categorical=["c"], dates={"d": "dmy"}).fit(
        pd.DataFrame(
            {
                "n": ["1", "2.5", "4"],
                "c": ["1", "01", "TRUE"],
                "d": ["31/01/2024", "01/02/2024", ""],
                "comma": ["1,5", "2,5", "9"],
                "code": ["01", "2", "x"],
            }
        )
    )
    frame = pd.DataFrame(rows, columns=["n", "c", "d", "comma", "code"], dtype=object)
    alone = [whole.transform(frame.iloc[[i]]) for i in range(len(frame))]
    np.testing.assert_array_equal(whole.transform(frame), np.concatenate(alone))
    assert np.isfinite(alone).all()


# ---- large numbers, and unusual ones ----


@pytest.mark.parametrize("x", [[1e300, -1e300, 5e299], [1.7e308, -1.7e308, 0.0], [1e-300, 3e-300, 2e-300]])
def test_numbers_of_any_size_are_standardised(x):
    got = TableEncoder().fit_transform(pd.DataFrame({"x": x}))[:, 0]
    small = np.array(x) / max(np.abs(x))
    np.testing.assert_allclose(got, (small - small.mean()) / small.std(), rtol=1e-6, atol=1e-6)


def test_a_value_far_outside_counts_as_one_ten_widths_away():
    encoder = TableEncoder().fit(pd.DataFrame({"x": [0.0, 1.0, 2.0]}))
    got = encoder.transform(pd.DataFrame({"x": [1e300, 22.0, 21.0, -1e9, -20.0]}))[:, 0]
    assert got[0] == got[1] > got[2]
    assert got[3] == got[4]


def test_infinity_is_missing():
    encoder = TableEncoder().fit(pd.DataFrame({"x": [0.0, np.inf, 2.0, 7.0]}))
    assert encoder.notes_ == ["column 'x': 1 value is no number and counts as missing: 'inf' (1)"]
    np.testing.assert_array_equal(*(encoder.transform(pd.DataFrame({"x": [v]})) for v in (np.inf, np.nan)))


def test_what_is_unusual_in_a_later_table_is_told():
    encoder = TableEncoder().fit(
        pd.DataFrame(
            {"x": [0.0, 1.0, 2.0], "town": ["Ulm", "Jena", "Ulm"], "d": ["2024-01-01", "2024-01-02", "2024-01-03"]}
        )
    )
    usual = pd.DataFrame({"x": [3.0], "town": ["Jena"], "d": ["2024-01-03"]}, index=[1])
    assert encoder.unusual(usual) == []
    odd = pd.DataFrame(
        {
            "x": ["99", "1,5", "", "1"],
            "town": ["Bonn", "Rome", "", "Ulm"],
            "d": ["2030-01-01", "soon", None, "2024-01-01"],
        },
        index=range(1, 5),
    )
    assert encoder.unusual(odd) == [
        "column 'x': 1 value is no number and counts as missing: '1,5' (row 2)",
        "column 'x': 1 value is missing, and none was in training",
        "column 'x': 1 value is far outside of what was seen in training (0 to 2): 99 (row 1)",
        "column 'town': 2 values are unknown from training: 'Bonn', 'Rome' (row 1)",
        "column 'town': 1 value is missing, and none was in training",
        "column 'd': 1 value is no date and counts as missing: 'soon' (row 2)",
        "column 'd': 1 value is missing, and none was in training",
        "column 'd': 1 value is far outside of what was seen in training (2024-01-01 to 2024-01-03): "
        "'2030-01-01' (row 1)",
    ]


# ---- as a transformer ----


# No check is expected to fail.
@parametrize_with_checks([TableEncoder(), TableEncoder(max_categories=3)])
def test_scikit_learn_s_checks_pass(estimator, check):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check(estimator)


def test_it_works_in_company(people):
    encoder = clone(TableEncoder(categorical=["city"])).set_output(transform="pandas")
    got = encoder.fit_transform(people)
    assert list(got.columns) == encoder.get_feature_names_out().tolist()
    assert list(got.index) == list(people.index)
    pipeline = make_pipeline(TableEncoder(), FunctionTransformer())
    expected = TableEncoder().fit_transform(people)
    np.testing.assert_array_equal(pipeline.fit_transform(people), expected)
    of_columns = ColumnTransformer([("table", TableEncoder(), ["age", "city"])], remainder="drop")
    np.testing.assert_array_equal(of_columns.fit_transform(people), expected[:, :4])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(TableEncoder().fit(people))).transform(people), expected)


def test_the_matrix_is_float32_and_does_not_depend_on_other_columns_or_their_order(people):
    encoder = TableEncoder().fit(people)
    got = encoder.transform(people.assign(other=1)[["since", "other", "member", "city", "age"]])
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, encoder.transform(people))


def test_the_example_of_the_docs_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rows = [f"{30 + i % 17};{'Ulm' if i % 3 else 'Jena'};$1,{100 + 5 * (i % 17)}.50\n" for i in range(60)]
    (tmp_path / "houses.csv").write_text("area;town;price\n" + "".join(rows))
    page = (Path(__file__).parents[1] / "docs" / "tables.md").read_text(encoding="utf-8")
    exec(re.search(r"```python\n(.*?)```", page, re.S)[1], {})
    assert "town         category   'Jena', 'Ulm'" in capsys.readouterr().out


# ---- kept with the model ----


def test_the_state_is_json_and_gives_the_same_encoder(people):
    encoder = TableEncoder(categorical=["city"], dates={"since": "ymd"}).fit(people.assign(always=1))
    got = TableEncoder.from_state(json.loads(json.dumps(encoder.to_state(), allow_nan=False)))
    np.testing.assert_array_equal(got.transform(people), encoder.transform(people))
    assert got.get_params() == encoder.get_params() | {"categorical": ["city"], "numeric": [], "ignore": []}
    for name in ("columns_", "left_out_", "notes_", "n_features_in_"):
        assert getattr(got, name) == getattr(encoder, name)
    assert got.summary() == encoder.summary()


def test_the_state_of_an_encoder_of_arrays_knows_no_names():
    X = np.random.RandomState(0).rand(5, 3)
    encoder = TableEncoder().fit(X)
    got = TableEncoder.from_state(encoder.to_state())
    assert not hasattr(got, "feature_names_in_")
    np.testing.assert_array_equal(got.transform(X), encoder.transform(X))


def test_the_state_that_0_1_0_kept_gives_its_numbers():
    state = [
        {"name": "age", "median": 30.0, "mean": 32.5, "scale": 10.897247358851684, "date": False},
        {"name": "since", "median": 1609459200.0, "mean": 1609459200.0, "scale": 38664574.0, "date": True},
        {"name": "city", "categories": ["Oslo", "Rome"], "missing": True},
    ]
    encoder = TableEncoder.from_state(state)
    got = encoder.transform(texts().assign(age=[], since=[], city=[]).reindex([1, 2]).assign(
        age=["50", None], since=["2023-01-01", ""], city=["Rome", None]))  # fmt: skip
    seconds = 1672531200.0
    expected = [
        [(50 - 32.5) / 10.897247358851684, (seconds - 1609459200.0) / 38664574.0, 0, 1, 0],
        [-2.5 / 10.897247358851684, 0, 0, 0, 1],
    ]
    np.testing.assert_array_equal(got, np.array(expected).astype(np.float32))
    assert encoder.feature_names_in_.tolist() == ["age", "since", "city"]
    assert encoder.unusual(pd.DataFrame({"age": [1e9], "since": ["2024-01-01"], "city": ["Rome"]})) == []


def test_the_state_of_a_newer_version_is_refused(people):
    state = TableEncoder().fit(people).to_state() | {"version": 99}
    with pytest.raises(TableError, match="version 99, but this fastnn reads 2"):
        TableEncoder.from_state(state)
