"""What a column is: decided once, from all of its values in training, with the evidence said.

The rules, in their order, for a column of texts (numbers, booleans and dates of other types are what their type says):

1. true and false: a boolean.
2. Codes: a zero before other digits, or 16 digits and more: a category. A number would forget what was written.
3. Dates, if nine values in ten are: 2024-01-31, or 31/01/2024 and 01/31/2024 where the column shows which is the day.
4. Numbers, if nine values in ten are, and the rest are a few different words: they count as missing. Whole numbers of a
   few values with words among them are codes.
5. Anything else: a category.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import columns
from .columns import DATE, MISSING, Category, Column, Number, TableError, counted, date, examples, number

# What people write for "no number here"; in lower case. None of it says that a column is one of words.
MARKS = (
    {mark.casefold() for mark in MISSING}
    | {"not available", "no data", "n. a."}
    | set(
        "- -- --- \u2013 \u2014 . .. ... * x/x n.a. n.a k.a. nil missing unknown none unavailable "
        "#value! #div/0! #ref! #name? #num! #null!".split()
    )
)
FEW = 20  # different whole numbers: with words among them, they may be codes
ODD = 0.1  # part of the values that may be no numbers in a column of numbers ...
ODD_WORDS = 5  # ... and how many different ones
UNIQUE = 20  # rows from which on it is no accident that all values are different


@dataclass
class Decision:
    """A column that is read, or why it is not; and what the user should know."""

    column: Column | None = None
    reason: str = ""
    notes: list[str] = field(default_factory=list)
    row_numbers: bool = False  # left out for counting the rows: the last resort where there is no other column


@dataclass
class Text:
    """What a column of texts is, before anything is learned from it."""

    kind: str  # "number", "boolean", "date", "category" or "empty"
    form: str = "."
    note: str = ""


def decide(name: str, column: NDArray[Any], text: Text, forced: str | None, max_categories: int, rows: Any) -> Decision:
    """Decide what a column is, and learn it.

    Parameters
    ----------
    name : str
    column : ndarray of shape (n_rows,)
        As `columns` takes it.
    text : Text
        What `decide_text` or `typed` said.
    forced : {None, "category", "number", "date"}
        What the user said; then nothing is left out for being an id.
    max_categories : int
    rows : sequence
        Names of the rows, for notes.
    """
    notes = [f"column {name!r}: {text.note}"] if text.note else []
    if text.kind == "empty":
        return Decision(reason="no values", notes=notes)
    if text.kind == "category":
        return _category(name, column, forced is not None, max_categories, notes)
    x = Number(name, 0.0, 0.0, 1.0, text.kind, text.form).values(column)
    odd = np.isnan(x) & ~columns.absent(column)
    what = "dates" if text.kind == "date" else "numbers"
    if np.isnan(x).all():
        if forced:
            raise TableError(f"column {name!r} holds no {what}, but {examples(column, odd, rows) if odd.any() else ''}")
        return Decision(reason="no values", notes=notes)
    if odd.any():
        shown = Counter(column[odd].tolist() if column.dtype.kind == "O" else map(str, column[odd])).most_common(4)
        words = ", ".join(f"{word!r} ({n:,})" for word, n in shown[:3]) + (" ..." if len(shown) > 3 else "")
        notes.append(f"column {name!r}: {counted(odd, 'value')} no {what} and count as missing: {words}")
    low, high = np.nanmin(x), np.nanmax(x)
    if high / 2 - low / 2 <= 1e-10 * max(abs(low), abs(high)) / 2:  # halves: the difference may overflow
        shown_as = columns.day(low) if text.kind == "date" else f"{low:g}"
        return Decision(reason=f"always {shown_as}", notes=notes)
    learned = Number.fit(name, x, text.kind, text.form)
    if text.kind == "number" and not forced and not np.isnan(x).any():
        counts_rows = _counts_rows(x, unnamed=not name or name.startswith("Unnamed: "))
        if counts_rows:
            return Decision(learned, counts_rows, notes, row_numbers=True)
    return Decision(learned, notes=notes)


def _counts_rows(x: NDArray[np.float64], unnamed: bool) -> str:
    """Why a column of numbers tells nothing but which row it is, or nothing.

    Whole numbers, all different and almost without gaps: this is also seen when the rows were shuffled, or a part of
    them was taken for a test.  Other numbers are as good as never like that.
    """
    n = len(x)
    whole = bool((x == np.round(x)).all()) and float(np.abs(x).max()) < 2**53
    if not whole or n < (2 if unnamed else UNIQUE) or x.max() - x.min() >= 2 * n or len(np.unique(x)) < n:
        return ""
    return "numbers of the rows" if (np.diff(x) == 1).all() else "another whole number in each row, as in a list of ids"


def _category(name: str, column: NDArray[Any], forced: bool, max_categories: int, notes: list[str]) -> Decision:
    texts = columns.labels(column)
    counts = Counter(texts.tolist())
    n_missing = sum(counts.pop(mark, 0) for mark in [None, *MISSING])
    if not counts:
        return Decision(reason="no values", notes=notes)
    if len(counts) == 1 and not n_missing:
        return Decision(reason=f"always {next(iter(counts))!r}", notes=notes)
    n = len(texts) - n_missing
    if not forced and len(counts) == n >= UNIQUE:
        return Decision(reason="another text in every row", notes=notes)
    kept = counts
    if len(counts) > max_categories:
        kept = Counter({label: m for label, m in counts.items() if m > 1}) or counts
        if not forced and len(kept) == len(counts) == n:
            return Decision(reason="another text in every row", notes=notes)
        kept = Counter(dict(sorted(kept.items(), key=lambda item: (-item[1], item[0]))[:max_categories]))
        rare = n - sum(kept.values())
        if rare:
            notes.append(
                f"column {name!r}: of {len(counts):,} categories the {len(kept):,} most frequent are kept; "
                f"the others, {rare:,} values, are no category"
            )
    return Decision(Category(name, sorted(kept), n_missing > 0), notes=notes)


def typed(column: NDArray[Any]) -> Text | None:
    """What a column is by its type; None for texts."""
    kinds = {"b": Text("boolean"), "M": Text("date", "ymd"), "f": Text("number")}
    return kinds.get(column.dtype.kind)


def count(column: NDArray[Any]) -> Counter[str]:
    """How often each text occurs that is not plainly missing."""
    counts = Counter(column.tolist())
    for mark in [None, *MISSING]:
        counts.pop(mark, 0)
    return counts


def decimal_marks(texts: Iterable[str]) -> set[str]:
    """The decimal marks, "." and ",", that the numbers among these texts can only be read with.

    1,5 and 1.250,0 are numbers with a comma alone, 0.5 and 1,250.0 with a point alone; 1,250 is one with either.
    """
    found: set[str] = set()
    for text in texts:
        if "." in text or "," in text:
            point, comma = (not np.isnan(number(text, mark)) for mark in ".,")
            if point != comma:
                found.add("." if point else ",")
    return found


def decide_text(name: str, counts: Counter[str], forced: str | None, decimal: str | None, others: set[str]) -> Text:
    """What a column of texts is.

    Parameters
    ----------
    name : str
    counts : Counter
        As `count` made it.
    forced : {None, "category", "number", "date"}
    decimal : {None, ".", ","}
        What the user said.
    others : set of str
        The decimal marks of all columns of the table: they decide what this one leaves open.
    """
    if not counts:
        return Text("empty")
    if forced == "category":
        return Text("category")
    if not forced:
        if all(text.casefold() in ("true", "false") for text in counts):
            return Text("boolean")
        if any(_is_code(text) for text in counts):
            return Text("category")
    if forced != "number":
        dates = _dates(name, counts, forced)
        if dates:
            return dates
    return _numbers(counts, forced, decimal, others)


def _is_code(text: str) -> bool:
    return text.isdecimal() and (len(text) > 15 or (len(text) > 1 and text[0] == "0"))


def _few_odd(counts: Counter[str], odd: list[str], part: float = ODD) -> bool:
    words = [text for text in odd if text.casefold() not in MARKS]
    n = sum(m for text, m in counts.items() if text.casefold() not in MARKS)
    return len(words) <= ODD_WORDS and sum(counts[text] for text in words) <= part * n


def _dates(name: str, counts: Counter[str], forced: str | None) -> Text | None:
    if not forced and not any(DATE.fullmatch(text) for text in list(counts)[:1000]):
        return None
    fits = {order: [text for text in counts if not np.isnan(date(text, order))] for order in ("ymd", "dmy", "mdy")}
    n = {order: sum(counts[text] for text in texts) for order, texts in fits.items()}
    shaped = [text for text in counts if DATE.fullmatch(text)]
    odd = [text for text in counts if not DATE.fullmatch(text)]
    if not shaped or (not forced and not _few_odd(counts, odd)):
        return None
    best = max(n, key=lambda order: n[order])
    if not n[best] or (not forced and sum(counts[text] for text in shaped) - n[best] > ODD * counts.total()):
        return None
    if best == "ymd":
        return Text("date", "ymd")
    dotted = all("." in text for text in shaped)
    if n["dmy"] == n["mdy"] and not dotted:
        if all(date(text, "dmy") == date(text, "mdy") for text in shaped):  # 01/01/2024, 05/05/2024
            return Text("date", "dmy")
        text = next(text for text in shaped if date(text, "dmy") != date(text, "mdy"))
        raise TableError(
            f"column {name!r}: no value tells whether {text} is {columns.day(date(text, 'dmy'))} or "
            f"{columns.day(date(text, 'mdy'))}; write the dates like that, or leave the column out "
            f"(--ignore {name!r} or ignore=[{name!r}]), or say dates={{{name!r}: 'dmy'}} or 'mdy' in Python"
        )
    if dotted and n["dmy"] == n["mdy"]:
        best = "dmy"
    first = (
        next(text for text in fits[best] if np.isnan(date(text, "mdy" if best == "dmy" else "dmy")))
        if (n["dmy"] != n["mdy"])
        else fits[best][0]
    )
    return Text("date", best, f"dates are read {'day' if best == 'dmy' else 'month'} first, as {first} shows")


def _numbers(counts: Counter[str], forced: str | None, decimal: str | None, others: set[str]) -> Text:
    marks = decimal_marks(counts)
    form, note = decimal or ".", ""
    if decimal is None and len(marks) == 1:
        form = next(iter(marks))
    elif decimal is None and len(marks) == 2:  # the one that reads more of them
        form = max(".,", key=lambda mark: sum(m for text, m in counts.items() if not np.isnan(number(text, mark))))
    elif decimal is None and len(others) == 1:
        form = next(iter(others))
    values = {text: number(text, form) for text in counts}
    odd = [text for text, x in values.items() if np.isnan(x)]
    good = {text: x for text, x in values.items() if not np.isnan(x)}
    if not good and not forced:
        return Text("empty" if all(text.casefold() in MARKS for text in counts) else "category")
    limits = [text for text in odd if text[0] in "<>\u2264\u2265" and not np.isnan(number(text[1:].strip(" ="), form))]
    words = [text for text in odd if text.casefold() not in MARKS and text not in limits]
    if not forced:
        n = sum(m for text, m in counts.items() if text.casefold() not in MARKS)
        whole_and_few = len(good) <= FEW and all(x == round(x) for x in good.values())
        if not _few_odd(counts, words) or sum(counts[text] for text in limits) > 0.5 * n or (words and whole_and_few):
            return Text("category")
    if form == ",":
        note = "numbers are read with a decimal comma"
        shown = next((t for t in good if np.isnan(number(t, "."))), None)
        note += f", as {shown} shows" if shown else ""
    if not marks and decimal is None:
        open_ = next((t for t in good if not number(t, ".") == number(t, ",")), None)
        if open_:
            other = "," if form == "." else "."
            why = " as in other columns" if len(others) == 1 else ""
            given, instead = (f"{number(open_, mark):.12g}" for mark in (form, other))
            note = f"{open_} is read as {given}{why}; with --decimal {other} it is {instead}"
    return Text("number", form, note)
