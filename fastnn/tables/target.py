"""The target of a table: classes or numbers, as its values show."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import columns, decisions
from .columns import TableError, counted, examples

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


def target(column: Any, task: str = "auto", decimal: str | None = None) -> Target:
    """The target that a column holds, and the task.

    Parameters
    ----------
    column : pandas.Series of shape (n_rows,)
    task : {"auto", "classification", "regression"}
        "auto": text, booleans, categories and few distinct integers are classes; other numbers a regression, also
        where they are written as 1,250.00 or $900.
    decimal : {None, ".", ","}
        The decimal mark of numbers that are written as text. None: as the values show.

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
    from .encoder import series_values

    name, rows = str(column.name), column.index.tolist()
    values = series_values(name, column)
    if values.dtype.kind == "M":
        values = columns.labels(values)
    notes: list[str] = []
    if values.dtype.kind == "O":
        counts = decisions.count(values)
        forced = {"regression": "number", "classification": None}.get(task)
        try:
            text = decisions.decide_text(name, counts, forced, decimal, set())
        except TableError:  # dates of either order: no target in any
            text = decisions.Text("date")
        if str(column.dtype) == "category" and task != "regression":
            text = decisions.Text("category")
    else:
        text, counts = decisions.typed(values) or decisions.Text("number"), Counter()
        infinite = np.isinf(column.to_numpy(np.float64, na_value=np.nan))
        if infinite.any():
            row = np.flatnonzero(infinite)[0]
            raise TableError(
                f"target {name!r} should hold finite numbers, but row {rows[row]} holds {column.iloc[row]}"
            )

    if text.kind in ("number", "boolean"):
        x = columns.Number(name, 0.0, 0.0, 1.0, form=text.form).values(values)
        known = ~np.isnan(x)
        odd = ~known & ~columns.absent(values)
        if odd.any() and task == "regression" and not _mostly(known, odd):
            row = np.flatnonzero(odd)[0]
            raise TableError(f"target {name!r} should hold numbers, but row {rows[row]} holds {values[row]!r}")
        if odd.any():
            notes.append(
                f"target {name!r}: {counted(odd, 'value')} no numbers, left out: {examples(values, odd, rows)}"
            )
        _check_known(name, known)
        y = x[known]
        if _is_regression(y, task, text.kind):
            notes += [f"target {name!r}: {note}" for note in (text.note, _written(values, y, known)) if note]
            if y.max() == y.min():
                raise TableError(f"target {name!r} is {y[0]:g} in every row: there is nothing to learn")
            return Target(y, "regression", known, notes)
        if (y != np.round(y)).any():
            raise TableError(
                f"target {name!r} holds {y[y != np.round(y)][0]:g}, which is no class (--task regression?)"
            )
        return _classes(name, y.astype(bool if text.kind == "boolean" else np.int64), known, notes)

    if task == "regression":
        some = [value for value in values.tolist() if value is not None]
        raise TableError(f"target {name!r} should hold numbers, but holds {some[0]!r}" if some else _missing(name))
    known = ~columns.absent(values)
    for word in NAMES:
        rows_of_word = values == word
        n = int(rows_of_word.sum())
        if n and counts and n >= min(min(counts.values()), 0.02 * len(values)):
            known |= rows_of_word
            notes.append(
                f"target {name!r}: {word!r} is taken for a class ({n:,} rows); if it is none, empty these cells"
            )
        elif n:
            notes.append(f"target {name!r}: {word!r} is taken for a missing value ({n:,} rows)")
    _check_known(name, known)
    return _classes(name, values[known].astype(str), known, notes)


def _mostly(known: NDArray[np.bool_], odd: NDArray[np.bool_]) -> bool:
    return bool(odd.sum() <= decisions.ODD * known.sum())


def _missing(name: str) -> str:
    return f"target {name!r} is missing in every row"


def _check_known(name: str, known: NDArray[np.bool_]) -> None:
    if not known.any():
        raise TableError(_missing(name))


def _is_regression(y: NDArray[np.float64], task: str, kind: str) -> bool:
    if task != "auto" or kind == "boolean":
        return task == "regression"
    whole = bool((np.abs(y) < 2**53).all()) and bool((y == np.round(y)).all())
    n_distinct = len(np.unique(y))
    return not (whole and n_distinct <= MAX_INTEGER_CLASSES and 2 * n_distinct <= len(y))


def _written(values: NDArray[Any], y: NDArray[np.float64], known: NDArray[np.bool_]) -> str:
    """How a number was written that is more than digits and a point."""
    if values.dtype.kind == "O":
        for text, x in zip(values[known].tolist(), y.tolist(), strict=True):
            if not re.fullmatch(r"[-+\d.eE]*", text):
                return f"{text} is read as the number {x:.12g}"
    return ""


def _classes(name: str, y: NDArray[Any], known: NDArray[np.bool_], notes: list[str]) -> Target:
    classes, counts = np.unique(y, return_counts=True)
    if len(classes) == 1:
        raise TableError(f"target {name!r} has one class only, {classes[0]}: at least two are wanted")
    if len(y) > 2 and (counts == 1).sum() > len(y) / 2:
        raise TableError(
            f"target {name!r} has another class in most rows ({len(classes):,} in {len(y):,}, such as "
            f"{columns.listed(classes, 3)}): {_reason(y)}"
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
    return "an id or a free text? There is nothing to learn from a class that occurs once; choose another target"
