"""The target of a table: classes or numbers, as its values show."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import columns, decisions
from .columns import TableError, examples
from .frames import series_values

MANY_CLASSES, FEW_ROWS = 20, 5  # more classes, and fewer rows of each: the target may be none of classes
LARGEST = 1e100  # its square is a number still
_OTHER_UNIT = "too {} to compute with: another unit may do"
MAX_INTEGER_CLASSES = 20  # more distinct integers than that are quantities, not names of classes
NAMES = ("None", "NA", "N/A", "n/a")  # mean a missing value in numbers, but may be the name of a class among words


@dataclass
class Target:
    """What is to be predicted.

    Parameters
    ----------
    y : ndarray of shape (n_known,)
        Classes (texts as written, bool or int64), or the float64 of a regression.
    task : str
        "classification" or "regression".
    rows : ndarray of bool of shape (n_rows,)
        The rows of the column that have a target: those that y is of.
    notes : list of str
        What a user should know, a sentence each.
    """

    y: NDArray[Any]
    task: str
    rows: NDArray[np.bool_]
    notes: list[str] = field(default_factory=list)


def target(column: Any, task: str = "auto", decimal: str | None = None, *, others: Any = None) -> Target:
    """The target that a column holds, and the task.

    Parameters
    ----------
    column : pandas.Series of shape (n_rows,)
    task : {"auto", "classification", "regression"}
        "auto": text, booleans, categories and few distinct integers are classes; other numbers a regression, also
        where they are written as 1,250.00 or $900.
    decimal : {None, ".", ","}
        The decimal mark of numbers that are written as text. None: as the values show.
    others : pandas.DataFrame or None, default None
        The other columns of the table, which decide the decimal mark where the values leave it open.

    Raises
    ------
    TableError
        There is nothing to learn (no value, one class, another class in most rows), or the values do not fit the task.

    Examples
    --------
    >>> import pandas as pd
    >>> from fastnn.tables import target
    >>> found = target(pd.Series(["1,250.00", "$900", ""], name="price"))
    >>> found.task, found.y.tolist()
    ('regression', [1250.0, 900.0])
    """
    name, rows = str(column.name), column.index.tolist()
    values = series_values(name, column)
    if values.dtype.kind == "M":
        values = columns.labels(values)
    if values.dtype.kind == "O":
        counts = decisions.count(values)
        marks = set[str]()
        if others is not None and not decimal and any("," in text for text in counts):
            marks = decisions.told_marks(series_values(str(other), others[other]) for other in others)
        text = _decide(name, counts, task, decimal, marks)
        if str(column.dtype) == "category" and task != "regression":
            text = decisions.Text("category")
    else:
        counts = Counter[str]()
        text = decisions.typed(name, values) or decisions.Text("number")
        _check_finite(name, column)
    if text.kind in ("number", "boolean"):
        found = _numbers(name, values, rows, task, text)
        if found.task != "classification" or not _is_frequent(values, "None"):
            return found
    if task == "regression":
        some = next((value for value in values.tolist() if value is not None), None)
        raise TableError(f"target {name!r} should hold numbers, but holds {some!r}" if some else _missing(name))
    if task == "auto" and text.kind == "date":
        raise TableError(
            f"target {name!r} holds dates, such as {next(iter(counts))}, which are not predicted: make a number of "
            "them, such as days from a fixed one; --task classification takes each for a class"
        )
    return _labels(name, values, counts)


def _is_frequent(values: NDArray[Any], word: str) -> bool:
    """Whether a word for nothing occurs so often beside classes that it may be one."""
    n = int((values == word).sum())
    return n >= 5 and n >= 0.05 * len(values)


def _taken_for_missing(name: str, values: NDArray[Any], known: NDArray[np.bool_]) -> list[str]:
    """A note that counts the signs that stand for a missing value; nothing is said of empty cells."""
    if values.dtype.kind != "O":
        return []
    marks = Counter(text for text in values[~known].tolist() if text in columns.MISSING)
    told = ", ".join(f"{mark!r} ({n:,} row{'s' if n > 1 else ''})" for mark, n in marks.most_common())
    return [f"target {name!r}: taken for a missing value: {told}"] if told else []


def _decide(name: str, counts: Counter[str], task: str, decimal: str | None, others: set[str]) -> decisions.Text:
    try:
        return decisions.decide_text(name, counts, "number" if task == "regression" else None, decimal, others)
    except TableError:  # dates that may be of either order
        return decisions.Text("date")


def _check_finite(name: str, column: Any) -> None:
    infinite = np.flatnonzero(np.isinf(column.to_numpy(np.float64, na_value=np.nan)))
    if len(infinite):
        row, value = column.index[infinite[0]], column.iloc[infinite[0]]
        raise TableError(f"target {name!r} should hold finite numbers, but row {row} holds {value}")


def _missing(name: str) -> str:
    return f"target {name!r} is missing in every row"


def _numbers(name: str, values: NDArray[Any], rows: list[Any], task: str, text: decisions.Text) -> Target:
    """A target of numbers or booleans: of a regression, or names of classes."""
    x = columns.Number(name, 0.0, 0.0, 1.0, form=text.form).values(values)
    known = ~np.isnan(x)
    odd = ~known & ~columns.absent(values)
    notes = (
        [f"target {name!r}: {columns.no_values(int(odd.sum()), 'number')}: {examples(values, odd, rows)}"]
        if odd.any()
        else []
    )
    if odd.sum() > decisions.ODD * known.sum() and task == "regression":
        row = np.flatnonzero(odd)[0]
        raise TableError(f"target {name!r} should hold numbers, but row {rows[row]} holds {values[row]!r}")
    if not known.any():
        raise TableError(_missing(name))
    notes += _taken_for_missing(name, values, known)
    y = x[known]
    written = _written(values[known], y, text.form)
    whole = bool((np.abs(y) < 2**53).all()) and bool((y == np.round(y)).all())
    if task == "auto" and text.kind != "boolean":
        n_distinct = len(np.unique(y))
        few = n_distinct <= MAX_INTEGER_CLASSES and 2 * n_distinct <= len(y)
        task = "classification" if whole and few and not written else "regression"
    if task == "regression":
        told = text.note or written or ("numbers are read with a decimal comma" if text.form == "," else "")
        low, high = float(y.min()), float(y.max())
        if high / 2 - low / 2 <= 1e-10 * max(abs(low), abs(high)) / 2:  # halves: the difference may overflow
            nearly = "nearly " if low < high else ""
            raise TableError(f"target {name!r} is {nearly}{y[0]:g} in every row: there is nothing to learn")
        for extreme in (low, high):
            if abs(extreme) > LARGEST:
                raise TableError(f"target {name!r} holds {extreme:g}, {_OTHER_UNIT.format('large')}")
        if high - low < 1 / LARGEST:
            raise TableError(f"target {name!r} holds {low:g} to {high:g}, {_OTHER_UNIT.format('small')}")
        return Target(y, task, known, [*([f"target {name!r}: {told}"] if told else []), *notes])
    if not whole:
        value = y[(y != np.round(y)) | (np.abs(y) >= 2**53)][0]
        raise TableError(f"target {name!r} holds {value:g}, which is no class (--task regression?)")
    return _classes(name, y.astype(bool if text.kind == "boolean" else np.int64), known, notes)


def _written(values: NDArray[Any], y: NDArray[np.float64], form: str) -> str:
    """How a number was written that has more than digits and a decimal mark."""
    plain = re.compile(rf"[-+]?\d*{re.escape(form)}?\d*([eE][-+]?\d+)?")
    if values.dtype.kind == "O":
        for text, x in zip(values.tolist(), y.tolist(), strict=True):
            if not plain.fullmatch(text) and text.casefold() not in ("true", "false"):
                return f"{text} is read as the number {x:.12g}"
    return ""


def _labels(name: str, values: NDArray[Any], counts: Counter[str]) -> Target:
    """A target of words: classes."""
    known, notes = ~columns.absent(values), []
    for word in NAMES:
        named = values == word
        n = int(named.sum())
        if n and counts and (n >= min(min(counts.values()), 0.02 * len(values)) or _is_frequent(values, word)):
            known |= named
            notes.append(
                f"target {name!r}: {word!r} is taken for a class ({n:,} rows); if it is none, empty these cells"
            )
    notes += _taken_for_missing(name, values, known)
    if not known.any():
        raise TableError(_missing(name))
    return _classes(name, values[known].astype(str), known, notes)


def _classes(name: str, y: NDArray[Any], known: NDArray[np.bool_], notes: list[str]) -> Target:
    classes, counts = np.unique(y, return_counts=True)
    if len(classes) == 1:
        raise TableError(f"target {name!r} has one class only, {classes[0]}: at least two are wanted")
    if len(y) > 2 and (counts == 1).sum() > len(y) / 2:
        raise TableError(
            f"target {name!r} has another class in most rows ({len(classes):,} in {len(y):,}, such as "
            f"{columns.listed(classes, 3)}): {_reason(y)}"
        )
    if len(classes) > MANY_CLASSES and np.median(counts) < FEW_ROWS:
        notes.append(
            f"target {name!r} has {len(classes):,} classes, such as {columns.listed(classes, 3)}, and half of them in "
            f"fewer than {FEW_ROWS} rows: {_reason(y)}"
        )
    return Target(y, "classification", known, notes)


def _reason(y: NDArray[Any]) -> str:
    """Why a target has a class of its own in most rows, and what to do."""
    if y.dtype.kind != "U":
        return "a number to predict? (--task regression)"
    texts = y.tolist()
    likely = {
        "these are dates, which are not predicted: make a number of them, such as days from a fixed day": columns.DATE,
        "these are times, which are not predicted: make a number of them, such as minutes": re.compile(
            r"\d{1,3}:\d\d(:\d\d)?.*"
        ),
        "these are ranges: write one number for each, such as the middle": re.compile(
            r"[\d.,]+\s*(-|\u2013|to)\s*[\d.,]+.*"
        ),
        "these are numbers with a unit: remove the unit": re.compile(
            r"[-+\u2212]?\d[\d.,]*\s*[^\W\d]{1,5}[\d\u00b2\u00b3]?"
        ),
    }
    for reason, pattern in likely.items():
        if sum(pattern.fullmatch(text) is not None for text in texts) > len(texts) / 2:
            return reason
    is_number = [not (np.isnan(columns.number(text, ".")) and np.isnan(columns.number(text, ","))) for text in texts]
    if sum(is_number) > len(texts) / 2:
        if all(is_number):
            return "numbers that are different in most rows are predicted by --task regression; see also --decimal"
        odd = next(text for text, good in zip(texts, is_number, strict=True) if not good)
        return f"most are numbers, but not {odd!r}: mend or empty such cells"
    return "an id or a free text? There is nothing to learn from classes that hardly occur; choose another target"
