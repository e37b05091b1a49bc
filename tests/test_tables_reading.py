"""A file is read as people have it, or refused in one line that names the file, the line and what to do."""

import bz2
import gzip
import lzma
import os
import threading
import zipfile
from datetime import datetime

import pandas as pd
import pytest

from fastnn.tables import TableError, pieces, read, reading
from fastnn.training.prediction import FEW

# name: (content, heading, rows). Nothing stands for None.
_ = None
ODD_FILES = {
    "commas": ("a,b\n1,x\n2,y\n", "a b", [["1", "x"], ["2", "y"]]),
    "semicolons": ("a;b\n1;x\n2;y\n", "a b", [["1", "x"], ["2", "y"]]),
    "tabs": ("a\tb\n1\tx\n2\ty\n", "a b", [["1", "x"], ["2", "y"]]),
    "bars": ("a|b\n1|x\n2|y\n", "a b", [["1", "x"], ["2", "y"]]),
    "blanks": ("a b c\n1 2 x\n3 4 y\n", "a b c", [["1", "2", "x"], ["3", "4", "y"]]),
    "aligned by blanks": ("  a   b\n  1  10\n200   3\n", "a b", [["1", "10"], ["200", "3"]]),
    "semicolons, commas in texts": (
        "x;town;y\n1.5;Bonn, Beuel;n\n2;Ulm;y\n3;Rome, Italy;y\n",
        "x town y",
        [["1.5", "Bonn, Beuel", "n"], ["2", "Ulm", "y"], ["3", "Rome, Italy", "y"]],
    ),
    "tabs, commas in every text": (
        "x\ttown\n1.5\tBonn, Beuel\n2\tRome, Italy\n",
        "x town",
        [["1.5", "Bonn, Beuel"], ["2", "Rome, Italy"]],
    ),
    "semicolons, a comma in the heading": (
        "x (cm, about);y\n1;n\n2;y\n",
        ["x (cm, about)", "y"],
        [["1", "n"], ["2", "y"]],
    ),
    "bars, a comma in the heading": (
        "x|town, state\n1|Austin, Texas\n2|Reno, Nevada\n",
        ["x", "town, state"],
        [["1", "Austin, Texas"], ["2", "Reno, Nevada"]],
    ),
    "commas, semicolons in texts": ("x,y\n1,a; b\n2,c\n", "x y", [["1", "a; b"], ["2", "c"]]),
    "decimal commas only": ("a;b\n1,5;2,25\n3,5;4,75\n", "a b", [["1,5", "2,25"], ["3,5", "4,75"]]),
    "decimal commas and whole numbers": (
        "a;b;n\n1,5;2,25;3\n3,5;4,75;4\n",
        "a b n",
        [["1,5", "2,25", "3"], ["3,5", "4,75", "4"]],
    ),
    "decimal commas between tabs": ("a\tb\n1,5\t2,25\n3,5\t4,75\n", "a b", [["1,5", "2,25"], ["3,5", "4,75"]]),
    "decimal commas in quotes": ('a,b\n"1,5","2,25"\n"3,5","4,75"\n', "a b", [["1,5", "2,25"], ["3,5", "4,75"]]),
    "one column of decimal commas": ("a\n1,5\n2,5\n", "a", [["1,5"], ["2,5"]]),
    "thousands": ('a,b\n"1,250.00",x\n"900.50",y\n', "a b", [["1,250.00", "x"], ["900.50", "y"]]),
    "points for thousands": ("a;b\n1.250,00;x\n900,50;y\n", "a b", [["1.250,00", "x"], ["900,50", "y"]]),
    "blanks for thousands": ("a;b\n1 250,00;x\n900,50;y\n", "a b", [["1 250,00", "x"], ["900,50", "y"]]),
    "currency and percent": ("a,b\n$900,12 %\n$1200,5 %\n", "a b", [["$900", "12 %"], ["$1200", "5 %"]]),
    "comments above": ("# made on Monday\n# by hand\na,b\n1,x\n", "a b", [["1", "x"]]),
    "comments with commas above": ("# made on Monday, by hand; all of it\na;b;c\n1;x;2\n", "a b c", [["1", "x", "2"]]),
    "the heading is a comment": ("#a,b\n1,2\n3,4\n", "a b", [["1", "2"], ["3", "4"]]),
    "a title above": ("Report of May\n\na;b;c\n1;x;2\n3;y;4\n", "a b c", [["1", "x", "2"], ["3", "y", "4"]]),
    "a title of a spreadsheet": (
        "Report of May;;\n;;\na;b;c\n1;x;2\n3;y;4\n",
        "a b c",
        [["1", "x", "2"], ["3", "y", "4"]],
    ),
    "sep=": ("sep=;\na;b\n1;x\n", "a b", [["1", "x"]]),
    "blanks around": (" a , b\n 1 , x y \n 2 ,  \n", "a b", [["1", "x y"], ["2", _]]),
    "blanks before quotes": ('"a", "b"\n1, "x, y"\n', "a b", [["1", "x, y"]]),
    "names of rows": ('"a","b"\n"r1",1,"x"\n"r2",2,"y"\n', "a b", [["1", "x"], ["2", "y"]]),
    "names of rows, one column": ('"a"\n"1",1.5\n"2",2.5\n', "a", [["1.5"], ["2.5"]]),
    "names of rows, between blanks": ('"a" "b"\n"1" 1.5 "x"\n"2" 2.5 "y z"\n', "a b", [["1.5", "x"], ["2.5", "y z"]]),
    "names of rows without quotes": ("a,b\nMazda RX4,1.5,x\nValiant,2,y\n", "a b", [["1.5", "x"], ["2", "y"]]),
    "exponents between blanks": (
        "  a  b\n -1.5e-02   3.6e+01\n  2.5e-01  -1.2E-03\n",
        "a b",
        [["-1.5e-02", "3.6e+01"], ["2.5e-01", "-1.2E-03"]],
    ),
    "row numbers of pandas": (",a\n0,x\n1,y\n", ["Unnamed: 0", "a"], [["0", "x"], ["1", "y"]]),
    "short rows": ("a,b,c\n1,2,3\n4,5\n6\n", "a b c", [["1", "2", "3"], ["4", "5", _], ["6", _, _]]),
    "Windows": ("a,b\r\n1,x\r\n2,y\r\n", "a b", [["1", "x"], ["2", "y"]]),
    "old Mac": ("a,b\r1,x\r2,y\r", "a b", [["1", "x"], ["2", "y"]]),
    "no last line break": ("a,b\n1,x\n2,y", "a b", [["1", "x"], ["2", "y"]]),
    "byte order mark": ("\ufeffa,b\n1,x\n", "a b", [["1", "x"]]),
    "UTF-16": ("a;b\n1;é\n".encode("utf-16"), "a b", [["1", "é"]]),
    "Latin-1": ("größe,b\n1,é\n".encode("latin-1"), ["größe", "b"], [["1", "é"]]),
    "gzip": (gzip.compress(b"a,b\n1,x\n"), "a b", [["1", "x"]]),
    "bzip2": (bz2.compress(b"a,b\n1,x\n"), "a b", [["1", "x"]]),
    "xz": (lzma.compress(b"a,b\n1,x\n"), "a b", [["1", "x"]]),
    "one column": ("a\n1\n2\n", "a", [["1"], ["2"]]),
    "one column of texts": ("town\nBonn, Beuel\nUlm\nSan Remo\n", "town", [["Bonn, Beuel"], ["Ulm"], ["San Remo"]]),
    "one column of percentages": ("share\n50 %\n20 %\n", ["share"], [["50 %"], ["20 %"]]),
    "one column, a comma in its heading": ("speed (m/s, mean)\n1\n2\n", ["speed (m/s, mean)"], [["1"], ["2"]]),
    "one column, empty cells": ("a\n1\n\n2\n  \n3\n\n  \n \n", "a", [["1"], [_], ["2"], [_], ["3"]]),
    "one column, empty quotes": ('a\n1\n""\n2\n""\n', "a", [["1"], [_], ["2"], [_]]),
    "one row": ("a,b\n1,x\n", "a b", [["1", "x"]]),
    "the same name twice": ("x,y,y\n1,2,3\n", ["x", "y", "y.1"], [["1", "2", "3"]]),
    "empty lines": ("\n\na,b\n\n1,x\n   \n2,y\n\n\n", "a b", [["1", "x"], ["2", "y"]]),
    "trailing separators": ("a;b;\n1;x;\n2;y;\n", "a b", [["1", "x"], ["2", "y"]]),
    "trailing separators below the heading": ("a;b\n1;x;\n2;y;\n", "a b", [["1", "x"], ["2", "y"]]),
    "empty columns and rows": ("a;b;;\n1;x;;\n;;;\n2;y;;\n;;;\n;;;\n", "a b", [["1", "x"], [_, _], ["2", "y"]]),
    "quotes in quotes": ('a,b\n"he said ""no"", then",1\n', "a b", [['he said "no", then', "1"]]),
    "line breaks in quotes": ('a,b\n"one\ntwo",1\nthree,2\n', "a b", [["one\ntwo", "1"], ["three", "2"]]),
    "line breaks in the heading": ('"a\n(cm)",b\n1,2\n', ["a\n(cm)", "b"], [["1", "2"]]),
    "inches": ('a,b\n5" pipe,1\n6" pipe,2\n', "a b", [['5" pipe', "1"], ['6" pipe', "2"]]),
    "apostrophes": ("a,b\nit's,1\ndon't,2\n", "a b", [["it's", "1"], ["don't", "2"]]),
    "dates and times": (
        "a,b\n2024-01-31 12:30:00,1\n2024-02-01 09:00:00,2\n",
        "a b",
        [["2024-01-31 12:30:00", "1"], ["2024-02-01 09:00:00", "2"]],
    ),
    "long numbers": ("id,b\n12345678901234567890,1\n", "id b", [["12345678901234567890", "1"]]),
    "codes": ("zip,b\n01067,1\n00060,2\n", "zip b", [["01067", "1"], ["00060", "2"]]),
    "words of no value": ("a,b\nNA,None\nnull,?\n", "a b", [["NA", "None"], ["null", "?"]]),
    "numbered columns": ("0,1,2\n5,6,7\n", "0 1 2", [["5", "6", "7"]]),
    "other scripts": ("température,城市\n1,東京\n", "température 城市", [["1", "東京"]]),
}


@pytest.fixture
def written(tmp_path):
    def write(content, name="t.csv"):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


@pytest.mark.parametrize(("content", "heading", "rows"), ODD_FILES.values(), ids=ODD_FILES)
def test_a_file_as_people_have_it_is_read(written, content, heading, rows):
    frame = read(written(content)).frame
    assert list(frame.columns) == (heading.split() if isinstance(heading, str) else heading)
    assert frame.to_numpy(object).tolist() == rows
    assert list(frame.index) == list(range(1, len(rows) + 1))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("\n \n", "is empty"),
        ("# nothing\n", "has no rows below its heading"),
        ("a,b\n", "has no rows below its heading"),
        ("a,b\n1,2\n1,2,3\n", "line 3: 3 fields between commas, but the heading has 2; .*--separator"),
        ("a,b\n1,2,3,4\n1,2,3,4\n", "line 2: 4 fields between commas, but the heading has 2"),
        ("a,b\n1,5,2\n3,7,4\n", "line 2: 3 fields between commas, .* around a text or number"),
        ("item,price\nA,1,250.00\nB,2,500.50\n", "line 2: 3 fields"),
        ("a,b\nSmith\\, J,2\nDoe\\, K,4\n", "line 2: 3 fields"),
        ("a,b\nAustin, Texas,2\nReno, Nevada,4\n", "line 2: 3 fields"),
        ("a,b\nr1,x,2\nr1,y,4\n", "line 2: 3 fields"),
        ("  -1.5e-02   3.6e-01\n   3.6e-01  -3.0e-01\n", "seems to have no heading: its first line is '-1.5e-02'"),
        ('a,b\n"x\ny",2\n1,2,3\n', "line 4: 3 fields"),
        ('a,b\n1,2\n3,"4\n5,6\n', "line 3: a quotation mark is opened and not closed"),
        ('a,b\n1,"' + "x\n" * 70_000, "line 2: a text of more than 131,072 characters; a quotation mark that is not"),
        ("0.844,1\n0.25,0\n", "seems to have no heading: its first line is '0.844', '1'"),
        ("5,3,1\n1,2,3\n", "seems to have no heading"),
        ("<!DOCTYPE html><html></html>", "is a web page"),
        ('[{"a": 1}]', "is JSON"),
        (b"\x00\x01\x02\x00", "is no text and no Parquet file"),
        (b"PAR1", "cannot be read"),
        (gzip.compress(b"a,b\n1,2\n")[:-9], "is compressed, and damaged or cut short"),
    ],
)
def test_a_file_that_is_no_table_is_refused_in_one_line(written, content, message):
    with pytest.raises(TableError, match=rf"t\.csv.* ?{message}") as caught:
        read(written(content))
    assert "\n" not in str(caught.value)


def test_what_is_not_there_is_refused_by_name(tmp_path):
    with pytest.raises(TableError, match=r"no such file: .*x\.csv"):
        read(tmp_path / "x.csv")
    with pytest.raises(TableError, match="is a folder"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("content", "note"),
    [
        ("# one\n# two\na,b\n1,2\n", "lines 1 to 2 are comments"),
        ("Report\na,b,c\n1,2,3\n", "skipped above the heading: 'Report'"),
        ("a,b,c\n1,2,3\n1,2\n1\n", "2 rows have fewer fields than the heading (first: line 3)"),
        ('"a"\n"1",2\n', "names of rows: left out"),
        ("a;b;;\n1;2;;\n", "2 columns without heading and values: left out"),
        ("a;b\n1;2\n;\n;\n", "2 empty rows at the end: left out"),
        ("a,a\n1,2\n", "several columns are called 'a': the later ones are 'a.1'"),
        ("é,a\n1,2\n".encode("latin-1"), "is not UTF-8 (line 1)"),
    ],
)
def test_what_was_not_taken_as_it_is_is_told(written, content, note):
    notes = read(written(content)).notes
    assert len(notes) == 1
    assert note in notes[0]


def test_a_plain_file_needs_no_note(written):
    table = read(written("a,b\n1,x\n,y\n"))
    assert (table.notes, table.same_names) == ([], {})


def test_a_second_column_of_a_name_can_be_told_from_the_first(written):
    assert read(written("y,y.1,y\n1,2,3\n")).same_names == {"y.2": "y"}


def test_the_separator_and_the_decimal_mark_can_be_told(written):
    path = written("a;b,c\n1;2,3\n")
    assert list(read(path, separator=",").frame) == ["a;b", "c"]
    assert list(read(path, separator=";").frame) == ["a", "b,c"]
    assert list(read(path, decimal=",").frame) == ["a", "b,c"]


def test_a_decimal_comma_that_is_told_separates_nothing(written):
    frame = read(written("a b c\n1,5 2,5 3,5\n4,5 5,5 6,5\n"), decimal=",").frame
    assert frame.to_numpy().tolist() == [["1,5", "2,5", "3,5"], ["4,5", "5,5", "6,5"]]


@pytest.mark.parametrize("told", [{"separator": "::"}, {"separator": '"'}, {"decimal": ";"}])
def test_a_separator_that_is_none_is_refused(written, told):
    with pytest.raises(TableError, match=f"{next(iter(told))} is .*, but"):
        read(written("a,b\n1,2\n"), **told)


def test_a_file_in_a_zip_archive_is_read_and_a_workbook_refused(tmp_path):
    for name, inner in (("t.zip", "t.csv"), ("t.xlsx", "xl/workbook.xml")):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr(inner, "a,b\n1,x\n")
    assert read(tmp_path / "t.zip").frame.to_numpy().tolist() == [["1", "x"]]
    with pytest.raises(TableError, match="Excel workbook: save the sheet as CSV"):
        read(tmp_path / "t.xlsx")


def test_a_pipe_is_read_like_a_file(tmp_path):
    reading, writing = os.pipe()

    def feed():
        with os.fdopen(writing, "wb") as file:
            file.write(b"a;b\n" + b"1;x, y\n" * 20_000)

    thread = threading.Thread(target=feed)
    thread.start()
    frame = read(f"/dev/fd/{reading}").frame
    thread.join()
    os.close(reading)
    assert frame.shape == (20_000, 2)


@pytest.fixture(params=[(1, 1), (2, 7), (3, 64)], ids=lambda sizes: f"{sizes[0]} rows, {sizes[1]} bytes")
def small_pieces(request, monkeypatch):
    monkeypatch.setattr(reading, "ROWS", request.param[0])
    monkeypatch.setattr(reading, "AT_ONCE", 2)
    monkeypatch.setattr(reading, "CHUNK", request.param[1])


def check_pieces(path):
    """Those of a file, one below the other, are what `read` returns."""
    expected, got = read(path), list(pieces(path))
    assert all(len(piece.frame) >= min(reading.ROWS, len(expected.frame)) for piece in got)
    assert len(got) == max(len(expected.frame) // reading.ROWS, 1)
    frame = pd.concat([piece.frame for piece in got])
    assert list(frame.columns) == list(expected.frame.columns)
    assert frame.index.tolist() == expected.frame.index.tolist()
    pd.testing.assert_frame_equal(frame.astype(object), expected.frame.astype(object))
    assert (got[-1].notes, got[-1].same_names) == (expected.notes, expected.same_names)


@pytest.mark.parametrize("content", [content for content, _, _ in ODD_FILES.values()], ids=ODD_FILES)
def test_a_file_says_the_same_in_pieces(written, small_pieces, content):
    check_pieces(written(content))


@pytest.mark.parametrize(
    "content",
    [
        'a,b\n"1\n\n2\n3",x\n"\n",y\n"4\n",z\n',
        "a,,b\n1,,x\n2,,y\n3,,z\n4,late,u\n",
        "a,,b\n1,,x\n2,,y\n3,,z\n4\n",
        "a,b\n" + "1,2\n" * 5 + ",\n" * 7 + "3,4\n" + ",\n" * 4,
        b"a,b\n" + b"1,2\n" * 9 + "é,ü\n".encode("latin-1"),
        b"a,b\n" + b"1,2\n" * 9 + b"\x81,2\n",
        "a\n" + "1\n" * 4 + "\n" * 5 + "2\n" + "\n \n" * 6,
        "a,b\r\n" + "1,x\r\n" * 8 + "\r\n   \r\n",
        "a;a;b\n" + "1,5;2,5;x\n" * 6,
        'a,b\n"1",2,3\n"2",4,5\n"3",4,5\n"4",4,5\n',
        "a,b\n1,2,\n3,4,\n5,6,,,\n7,8\n",
    ],
)
def test_what_all_rows_decide_is_the_same_in_pieces(written, small_pieces, content):
    check_pieces(written(content))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b\n", "has no rows below its heading"),
        ("a,b\n,\n,\n,\n,\n", "has no rows below its heading"),
        ("a,b\n" + "1,2\n" * 9 + "1,2,3\n", "line 11: 3 fields"),
        ('a,b\n"r",2,3\n"s",4,5\n"r",4,5\n', "line 2: 3 fields"),
        (gzip.compress(b"a,b\n" + b"1,2\n" * 99)[:-9], "damaged or cut short"),
    ],
)
def test_what_is_wrong_in_the_last_row_is_told_before_the_first_piece(written, small_pieces, content, message):
    with pytest.raises(TableError, match=message):
        next(pieces(written(content)))


def test_a_quotation_mark_that_is_not_closed_is_told_with_its_line_in_pieces(written, small_pieces):
    with pytest.raises(TableError, match="line 7: a quotation mark is opened and not closed"):
        list(pieces(written("a,b\n" + "1,2\n" * 5 + '3,"4\n5,6\n')))


def test_a_piece_has_whole_vectors_of_rows_and_more_than_are_few():
    assert reading.ROWS > FEW
    assert reading.ROWS % 64 == 0


def test_a_pipe_that_is_not_small_is_read_in_pieces(monkeypatch, small_pieces):
    monkeypatch.setattr(reading, "IN_MEMORY", 10)
    end, writing = os.pipe()
    os.write(writing, b"a;b\n" + b"1;x, y\n" * 20)
    os.close(writing)
    try:
        assert sum(len(piece.frame) for piece in pieces(f"/dev/fd/{end}")) == 20
    finally:
        os.close(end)


def test_parquet_says_the_same_in_pieces(tmp_path, small_pieces):
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame(
        {
            "n": range(7),
            "x": [0.5, None, 1.5, None, None, 2.5, 3.0],
            "t": [None, None, None, None, "a", "b", None],
            "truth": [True, False, True, True, True, None, True],
            "kind": pd.Categorical(["u", "u", "u", "v", None, "w", "w"]),
            "d": pd.to_datetime(["2024-01-31", None, None, None, "2024-02-01", None, "2024-02-02"]),
        },
        index=pd.RangeIndex(10, 24, 2, name="row"),
    )
    frame.to_parquet(tmp_path / "t.parquet", row_group_size=3)
    check_pieces(tmp_path / "t.parquet")
    (tmp_path / "t.gz").write_bytes(gzip.compress((tmp_path / "t.parquet").read_bytes()))
    check_pieces(tmp_path / "t.gz")


def test_ids_of_parquet_keep_their_digits_where_one_is_missing(tmp_path, small_pieces):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    ids = [2**53 + 1, 2, 3, 4, None, 2**53 + 3]
    pq.write_table(pa.table({"id": pa.array(ids, pa.int64())}), tmp_path / "t.parquet")
    check_pieces(tmp_path / "t.parquet")
    assert read(tmp_path / "t.parquet").frame["id"].tolist()[-1] == ids[-1]


def test_damage_in_a_late_part_of_a_parquet_file_is_told_with_its_place(tmp_path, monkeypatch):
    pytest.importorskip("pyarrow")
    monkeypatch.setattr(reading, "ROWS", 1000)
    path = tmp_path / "t.parquet"
    pd.DataFrame({"x": range(5000)}).to_parquet(path, row_group_size=1000, compression="gzip")
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 100] = bytes(100)
    path.write_bytes(content)
    with pytest.raises(TableError, match=r"cannot be read after row 2,000: "):
        list(pieces(path))


def test_parquet_keeps_its_types(tmp_path):
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame({"n": [1, 2], "x": [0.5, None], "t": ["a", None], "d": pd.to_datetime(["2024-01-31", None])})
    frame.set_index("n").to_parquet(tmp_path / "t.parquet")
    got = read(tmp_path / "t.parquet").frame
    assert list(got.index) == [1, 2]
    assert [got[name].dtype.kind for name in ("n", "x", "d")] == ["i", "f", "M"]


def test_dates_beyond_2262_of_parquet_s_old_type_are_what_they_are(tmp_path):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    days = [datetime(9999, 12, 31), datetime(2024, 1, 31)]
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"d": pa.array(days, pa.timestamp("us"))}), path, use_deprecated_int96_timestamps=True)
    assert read(path).frame["d"].dt.year.tolist() == [9999, 2024]
