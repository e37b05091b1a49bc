"""`fastnn predict` of a table in pieces writes, byte for byte, what it writes of the whole."""

import contextlib
import gzip
import io
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline

import fastnn
from fastnn import MLPClassifier, MLPRegressor, TableEncoder, cli, tables
from fastnn.tables import read, reading

RNG = np.random.default_rng(0)
ROWS = [
    [f"{x:.2f}", str(i % 5), "red" if i % 2 else "blue", f"2024-{1 + i % 12:02}-{1 + i % 28:02}"]
    for i, x in enumerate(RNG.standard_normal(40))
]
HEADING = ["x", "n", "colour", "since"]


def run(*arguments):
    """The command in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as exit_:
        cli.main([str(argument) for argument in arguments])
    return SimpleNamespace(code=exit_.value.code or 0, out=out.getvalue(), err=err.getvalue())


def text(rows=ROWS, heading=HEADING, separator=",", end="\n"):
    return end.join(separator.join(row) for row in [heading, *rows]) + end


def changed(row, column, value, more=()):
    """The rows with another value in one of them, and what is in `more`."""
    rows = [list(of) for of in ROWS]
    rows[row][column] = value
    return [*rows, *more]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Models of three classes and of a number, behind an encoder, and one that takes numbers alone."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "t.csv").write_text(text())
    frame = read(folder / "t.csv").frame
    options = {"hidden_layer_sizes": (7,), "max_iter": 3, "tol": 1e9, "n_iter_no_change": 3, "random_state": 0}
    y = np.array(["a", "b,c", 'd"'])[np.arange(40) % 3]
    with_commas = frame.assign(x=frame["x"].str.replace(".", ","))
    for name, table, decimal in ("classes", frame, None), ("commas", with_commas, ","):
        model = make_pipeline(TableEncoder(decimal=decimal), MLPClassifier(**options)).fit(table, y)
        fastnn.save(model, folder / name, target="y")
    numbers = frame[["x", "n"]].astype(float)
    fastnn.save(MLPRegressor(**options).fit(numbers, numbers["x"]), folder / "numbers")
    return folder


TABLES = {
    "plain": text(),
    "line breaks in quotes": text([[f'"{x}\n"', n, f'"{colour}\n\n"', since] for x, n, colour, since in ROWS]),
    "whole numbers, later a text": text(changed(33, 1, "many")),
    "whole numbers, later missing": text(changed(33, 1, "")),
    "whole numbers, later a decimal": text(changed(33, 1, "2.5")),
    "carriage returns": text(end="\r\n"),
    "byte order mark": "\ufeff" + text(),
    "UTF-16": text().encode("utf-16"),
    "Latin-1, late": text(changed(37, 2, "weiß")).encode("latin-1"),
    "no last line break": text().rstrip("\n"),
    "empty lines at the end": text() + "\n\n  \n",
    "empty rows at the end": text(changed(0, 0, "1", [["", "", "", ""]] * 9)),
    "empty rows between": text([*ROWS[:9], *[["", "", "", ""]] * 9, *ROWS[9:]]),
    "short rows": text(changed(20, 1, "4", [["1"], ["2", "3"]])),
    "unknown categories": text([[x, n, f"colour {i}" if i % 3 else "red", d] for i, (x, n, _, d) in enumerate(ROWS)]),
    "dates that are none": text(changed(30, 3, "soon")),
    "far values": text([[f"{i}e9", n, c, "1066-01-01"] for i, (_, n, c, _) in enumerate(ROWS)]),
    "names of rows": text([[f'"r{i}"', *row] for i, row in enumerate(ROWS)]),
    "a column without heading, later filled": text(
        [[*row, "late" if i > 35 else ""] for i, row in enumerate(ROWS)], [*HEADING, ""]
    ),
    "the same name twice": text([[*row, "1"] for row in ROWS], [*HEADING, "x"]),
    "another order and more": text([row[::-1] + ["?"] for row in ROWS], [*HEADING[::-1], "more"]),
    "comments and a title": "# by hand\nReport of May\n\n" + text(),
    "gzip": gzip.compress(text().encode()),
    "a heading alone": text([]),
    "a long row at the end": text([*ROWS, ["1", "2", "red", "2024-01-01", "5"]]),
    "a quotation mark that is not closed": text(changed(39, 2, '"red')),
    "two rows": text(ROWS[:2]),
}


def predictions(model, data, folder):
    """What the command leaves and says; its name of the table is always the same."""
    (folder / "t.csv").write_bytes(data.encode() if isinstance(data, str) else data)
    output = folder / "out.csv"
    output.unlink(missing_ok=True)
    got = run("predict", model, folder / "t.csv", "--output", output)
    return got.code, got.out, got.err, output.read_bytes() if output.exists() else None


@pytest.mark.parametrize("size", [2, 3, 7])
@pytest.mark.parametrize("data", TABLES.values(), ids=TABLES)
def test_the_same_bytes_in_pieces(models, tmp_path, monkeypatch, data, size):
    monkeypatch.setattr(reading, "ROWS", sys.maxsize)
    expected = predictions(models / "classes.fastnn", data, tmp_path)
    monkeypatch.setattr(reading, "ROWS", size)
    monkeypatch.setattr(reading, "CHUNK", 10 * size)
    assert predictions(models / "classes.fastnn", data, tmp_path) == expected
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.csv", "t.csv"][expected[0] // 2 :]


@pytest.mark.parametrize("size", [2, 7])
def test_the_same_bytes_with_decimal_commas_in_pieces(models, tmp_path, monkeypatch, size):
    data = text([[x.replace(".", ","), n, c, d] for x, n, c, d in ROWS], separator=";")
    monkeypatch.setattr(reading, "ROWS", sys.maxsize)
    expected = predictions(models / "commas.fastnn", data, tmp_path)
    monkeypatch.setattr(reading, "ROWS", size)
    assert expected[::2] == (0, "")
    assert predictions(models / "commas.fastnn", data, tmp_path) == expected


def test_pieces_of_the_usual_size_are_predicted_as_the_whole(models, tmp_path, monkeypatch):
    rows = [[x, n, "green" if i < 4200 else f"colour {i}", d] for i, (x, n, _, d) in enumerate(ROWS * 301)]
    data = text(rows)
    got = predictions(models / "classes.fastnn", data, tmp_path)
    assert "12,040 values are unknown from training: 'green' (row 1)" in got[2]
    monkeypatch.setattr(reading, "ROWS", sys.maxsize)
    assert got == predictions(models / "classes.fastnn", data, tmp_path)
    assert got[1].startswith(f"{tmp_path / 'out.csv'}: 12040 rows of predicted_y, probability_a")


def test_a_table_comes_in_pieces_through_a_pipe(models, tmp_path):
    expected = predictions(models / "classes.fastnn", text(), tmp_path)[3]
    code = (
        "import sys; from fastnn.tables import reading; from fastnn import cli; reading.ROWS = reading.IN_MEMORY = 3;"
        "cli.main(['predict', sys.argv[1], '-'])"
    )
    command = [sys.executable, "-c", code, models / "classes.fastnn"]
    got = subprocess.run(command, input=text().encode(), capture_output=True, check=True)
    assert (got.stdout, got.stderr) == (expected, b"")


def test_an_error_in_a_late_piece_names_its_rows_and_leaves_what_was_there(models, tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "ROWS", 10)
    (tmp_path / "out.csv").write_text("before")
    (tmp_path / "t.csv").write_text(text(changed(25, 0, "none")))
    got = run("predict", models / "numbers.fastnn", tmp_path / "t.csv", "--output", tmp_path / "out.csv")
    message = "rows 21 to 30: column 'x' should hold numbers, but row 26 holds 'none'"
    assert (got.code, got.out, got.err) == (2, "", f"fastnn: {message}\n")
    assert (tmp_path / "out.csv").read_text() == "before"
    assert len(list(tmp_path.iterdir())) == 2


def test_the_output_may_be_compressed_or_a_link(models, tmp_path):
    expected = predictions(models / "classes.fastnn", text(), tmp_path)[3]
    run("predict", models / "classes.fastnn", tmp_path / "t.csv", "--output", tmp_path / "p.csv.gz")
    assert gzip.decompress((tmp_path / "p.csv.gz").read_bytes()) == expected
    (tmp_path / "link.csv").symlink_to("out.csv")
    (tmp_path / "out.csv").write_text("before")
    run("predict", models / "classes.fastnn", tmp_path / "t.csv", "--output", tmp_path / "link.csv")
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "out.csv").read_bytes() == expected


def test_a_device_is_written_where_it_is(models, tmp_path):
    (tmp_path / "t.csv").write_text(text())
    got = run("predict", models / "classes.fastnn", tmp_path / "t.csv", "--output", os.devnull)
    assert got.code == 0
    assert not os.path.isfile(os.devnull)


@pytest.mark.parametrize(("output", "message"), [("none/p.csv", "none: No such file"), (".", ".: Is a directory")])
def test_an_output_that_cannot_be_written_is_told_before_the_work(models, tmp_path, monkeypatch, output, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tables, "pieces", None)
    (tmp_path / "t.csv").write_text(text())
    got = run("predict", models / "classes.fastnn", "t.csv", "--output", output)
    assert got.code == 2
    assert got.err.startswith(f"fastnn: {message}")
