"""What a column is: decided once, from all of its values, with the evidence said.

The rules, in their order, for a column of texts (numbers, booleans and dates of other types are what their type says):

1. true and false: a boolean.
2. Codes: a zero before other digits, or 16 digits and more: a category. A number would forget what was written. Where
   there are fractions such as 0.5, they are numbers.
3. Dates, if nine values in ten are: 2024-01-31, or 31/01/2024 and 01/31/2024 where the column shows which is the day.
4. Numbers, if nine values in ten are, and the rest are a few different words: they count as missing. Whole numbers of a
   few values with words among them are codes.
5. Anything else: a category.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import columns
from .columns import DATE, MISSING, Category, Column, Number, TableError, date, examples, number

# What people write for "no number here"; in lower case. None of it says that a column is one of words.
MARKS = (
    {mark.casefold() for mark in MISSING}
    | {"not available", "no data", "n. a.", "0000-00-00 00:00:00"}
    | set(
        "- -- --- \u2013 \u2014 . .. ... * x/x n.a. n.a k.a. nil missing unknown none unavailable "
        "#value! #div/0! #ref! #name? #num! #null! 0000-00-00".split()
    )
)
FEW = 20  # different whole numbers: with words among them, they may be codes
ODD = 0.1  # part of the values that may be no numbers in a column of numbers ...
ODD_WORDS = 5  # ... and how many different ones
IN_TRAINING = " in the rows to train"
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


def decide(
    name: str,
    column: NDArray[Any],
    text: Text,
    forced: str | None,
    max_categories: int,
    rows: Any,
    to_learn: NDArray[np.intp] | None = None,
    may_be_ids: bool = True,
) -> Decision:
    """Decide what a column is from all rows, and learn it from some.

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
    to_learn : ndarray of int or None
        The rows that ranges, means and categories are of. None: all.
    may_be_ids : bool
        Whether numbers may be left out for being ids; not those of an array, which somebody has put there.
    """
    notes = [f"column {name!r}: {text.note}"] if text.note else []
    if text.kind == "empty":
        return Decision(reason="no values", notes=notes)
    if text.kind == "category":
        return _category(name, column, forced is not None, max_categories, notes, to_learn)
    x = Number(name, 0.0, 0.0, 1.0, text.kind, text.form).values(column)
    odd = np.isnan(x) & ~columns.absent(column)
    if np.isnan(x).all():
        if forced and odd.any():
            what, other = "dates" if text.kind == "date" else "numbers", ""
            for form in ("ymd", "dmy", "mdy") if text.kind == "date" else ():
                if np.isnan(Number(name, 0.0, 0.0, 1.0, "date", form).values(column)[odd]).mean() < 0.5:
                    what, other = f"dates of the order {text.form}", f": that is the order {form}"
                    break
            raise TableError(f"column {name!r} holds no {what}, but {examples(column, odd, rows)}{other}")
        return Decision(reason="no values", notes=notes)
    if odd.any():
        shown = Counter(column[odd].tolist() if column.dtype.kind == "O" else map(str, column[odd])).most_common(4)
        words = ", ".join(f"{word!r} ({n:,})" for word, n in shown[:3]) + (" ..." if len(shown) > 3 else "")
        notes.append(f"column {name!r}: {columns.no_values(int(odd.sum()), text.kind)}: {words}")
    learned_from = x if to_learn is None else x[to_learn]
    if np.isnan(learned_from).all():
        return Decision(reason="no values" + IN_TRAINING, notes=notes)
    low, high = np.nanmin(learned_from), np.nanmax(learned_from)
    if high / 2 - low / 2 <= 1e-10 * max(abs(low), abs(high)) / 2:  # halves: the difference may overflow
        shown_as = columns.day(low) if text.kind == "date" else f"{low:g}"
        if text.kind == "boolean":
            shown_as = str(column[x == low][0])
        where = IN_TRAINING if np.nanmin(x) < low or np.nanmax(x) > high else ""
        return Decision(reason=f"always {shown_as}{where}", notes=notes)
    learned = Number.fit(name, learned_from, text.kind, text.form)
    if text.kind == "number" and not forced and may_be_ids:
        present = x[~np.isnan(x)]
        counts_rows = _counts_rows(name, present)
        if counts_rows:
            return Decision(learned, counts_rows, notes, row_numbers=True)
        if len(present) >= UNIQUE and _whole(present) and (np.diff(present) > 0).all():
            notes.append(f"column {name!r} rises with the rows: ignore it (--ignore {name!r}) if it numbers them")
    return Decision(learned, notes=notes)


UNNAMED = re.compile(r"|Unnamed: \d+(\.\d+)?")  # what pandas calls columns without heading, and what `read` does
INDEX = re.compile(r"index|level_\d+")  # and row numbers that were made a column


def _whole(x: NDArray[np.float64]) -> bool:
    return bool((x == np.round(x)).all()) and float(np.abs(x).max()) < 2**53


def _counts_rows(name: str, x: NDArray[np.float64]) -> str:
    """Why a column of numbers, those that are not missing, tells nothing but which row it is; or nothing.

    Whole numbers without heading, or all different and almost without gaps: this is also seen when the rows were
    shuffled, or a part of them was taken for a test.  Other numbers are as good as never like that, but for years.
    """
    if not _whole(x):
        return ""
    if UNNAMED.fullmatch(name):
        return "whole numbers without heading, as row numbers have none"
    if INDEX.fullmatch(name):
        return "row numbers, by its name"
    n = len(x)
    years = x.min() >= 1500 and x.max() <= 2200
    if n < UNIQUE or years or x.max() - x.min() >= 2 * n or len(np.unique(x)) < n:
        return ""
    return "another whole number in each row, as in a list of ids"


def _category(
    name: str,
    column: NDArray[Any],
    forced: bool,
    max_categories: int,
    notes: list[str],
    to_learn: NDArray[np.intp] | None,
) -> Decision:
    texts = columns.labels(column)
    everywhere = count(texts)
    if not everywhere:
        return Decision(reason="no values", notes=notes)
    n = sum(everywhere.values())
    if not forced and len(everywhere) == n and (n >= UNIQUE or n > max_categories):
        return Decision(reason="another text in every row", notes=notes)
    if to_learn is not None:
        texts = texts[to_learn]
    counts = count(texts)
    n_missing = len(texts) - sum(counts.values())
    if not counts:
        return Decision(reason="no values" + IN_TRAINING, notes=notes)
    if len(counts) == 1 and not n_missing:
        where = IN_TRAINING if len(everywhere) > 1 else ""
        return Decision(reason=f"always {next(iter(counts))!r}{where}", notes=notes)
    kept = counts
    if len(counts) > max_categories:
        kept = Counter({label: m for label, m in counts.items() if m > 1}) or counts
        kept = Counter(dict(sorted(kept.items(), key=lambda item: (-item[1], item[0]))[:max_categories]))
        rare = sum(m for label, m in everywhere.items() if label not in kept)
        if rare:
            notes.append(
                f"column {name!r}: of {len(everywhere):,} categories the {len(kept):,} most frequent are kept; "
                f"the others, {rare:,} values, are no category"
            )
    return Decision(Category(name, sorted(kept), n_missing > 0), notes=notes)


def typed(name: str, column: NDArray[Any], forced: str | None = None) -> Text | None:
    """What a column is by its type, or as a category; None for texts."""
    found = {"b": Text("boolean"), "M": Text("date", "ymd"), "f": Text("number")}.get(column.dtype.kind)
    if found and forced == "category":
        return Text("category")
    if found and forced and (forced == "date") != (found.kind == "date") and not columns.absent(column).all():
        raise TableError(f"column {name!r} is said to hold {forced}s, but holds {found.kind}s")
    return found


def count(column: NDArray[Any]) -> Counter[str]:
    """How often each text occurs that is not plainly missing."""
    counts = Counter(column.tolist())
    for mark in [None, *MISSING]:
        counts.pop(mark, 0)
    return counts


def decimal_marks(texts: Collection[str]) -> set[str]:
    """The decimal marks, "." and ",", that the numbers among these texts can only be read with.

    1,5 and 1.250,0 are numbers with a comma alone, 0.5 and 1,250.0 with a point alone; 1,250 is one with either.
    """
    found: set[str] = set()
    with_comma = any("," in text for text in texts)
    for text in texts:
        if found and not with_comma:
            break
        if "." in text or "," in text:
            point, comma = (not np.isnan(number(text, mark)) for mark in ".,")
            if point != comma:
                found.add("." if point else ",")
    return found


def told_marks(table: Iterable[NDArray[Any]]) -> set[str]:
    """The decimal marks of those columns that can be read with one alone: they decide for the others."""
    marks = [decimal_marks(count(column)) for column in table if column.dtype.kind == "O"]
    return {mark for found in marks if len(found) == 1 for mark in found}


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
        codes = [text for text in counts if _is_code(text)]
        if codes and not _has_fractions(counts):
            few = 2 * sum(counts[text] for text in codes) < sum(counts.values())
            note = f"{codes[0]} is a code and no number, so all are taken for a category (see --numeric)" if few else ""
            return Text("category", note=note)
    dates = _dates(name, counts, forced == "date") if forced != "number" else None
    if dates or forced == "date":
        return dates or Text("date", "ymd")
    return _numbers(counts, forced == "number", decimal, others)


def _has_fractions(texts: Collection[str]) -> bool:
    """Whether 0.5 or the like is among them, and no 008.45, which is a code as well."""
    return bool(decimal_marks(texts)) and not any(re.match(r"0\d+[.,]", text) for text in texts)


def _is_code(text: str) -> bool:
    text = columns.bare(text)
    return text.isdecimal() and (len(text) > 15 or (len(text) > 1 and text[0] == "0"))


def _few(words: list[str], counts: Counter[str]) -> bool:
    """Whether these, of all values, are few enough to be slips and marks in a column of something else."""
    n = sum(m for text, m in counts.items() if text.casefold() not in MARKS)
    return len(words) <= ODD_WORDS and sum(counts[text] for text in words) <= ODD * n


def _dates(name: str, counts: Counter[str], forced: bool) -> Text | None:
    """The dates that a column holds, if it does."""
    if not forced and not any(DATE.fullmatch(text) for text in islice(counts, 1000)):
        return None
    days = {order: {text: date(text, order) for text in counts} for order in ("ymd", "dmy", "mdy")}
    n = {order: sum(counts[text] for text, x in found.items() if x == x) for order, found in days.items()}
    best = "ymd" if n["ymd"] >= max(n.values()) else "dmy" if n["dmy"] >= n["mdy"] else "mdy"
    odd = [text for text, x in days[best].items() if x != x and text.casefold() not in MARKS]
    if not n[best] or not (forced or _few(odd, counts)):
        return None
    if best == "ymd":
        return Text("date", best)
    other = "mdy" if best == "dmy" else "dmy"
    telling = next((text for text, x in days[best].items() if x == x and days[other][text] != days[other][text]), None)
    if telling:
        return Text("date", best, f"dates are read {'day' if best == 'dmy' else 'month'} first, as {telling} shows")
    text = next((text for text, x in days[best].items() if x == x and x != days[other][text]), None)
    if not text:  # 01/01/2024, 05/05/2024
        return Text("date", best)
    if all("." in text for text, x in days[best].items() if x == x):
        return Text("date", best, f"dates are read day first, {text} as {columns.day(days['dmy'][text])}")
    raise TableError(
        f"column {name!r}: no value tells whether {text} is {columns.day(days['dmy'][text])} or "
        f"{columns.day(days['mdy'][text])}; write the dates like that, or leave the column out "
        f"(--ignore {name!r}), or say which it is (--date '{name}=dmy' or '{name}=mdy'; "
        f"dates={{{name!r}: 'dmy'}} in Python)"
    )


def _mixed_units(texts: list[str], form: str) -> str:
    """What to say where numbers of several units are in a column, or percentages beside other numbers."""
    if all(text[0] in "0123456789+-." and text[-1] in "0123456789." for text in texts):
        return ""
    units: dict[str, str] = {}
    for text in texts:
        if number(text, form) != 0:
            units.setdefault(columns.unit(text, form), text)
    plain = units.get("")
    if len(units) - (plain is not None) < 2 and not (plain and "%" in units):
        return ""
    shown = ", ".join(f"{text} as {number(text, form):.12g}" for text in [*units.values()][:3])
    return f"numbers of several units are read without them: {shown}"


def _numbers(counts: Counter[str], forced: bool, decimal: str | None, others: set[str]) -> Text:
    """The numbers that a column holds, if it does."""
    marks = decimal_marks(counts)
    texts = np.array([*counts, None], object)[:-1]
    possible = [*marks] if len(marks) == 1 else [decimal] if decimal else [".", ","]
    read = {mark: columns.numbers(texts, mark) for mark in possible}
    if len(possible) == 2 and marks:  # columns of both: the mark that reads more of them
        form = max(".,", key=lambda mark: sum(m for m, x in zip(counts.values(), read[mark], strict=True) if x == x))
    elif len(possible) == 2:
        form = next(iter(others)) if len(others) == 1 else "."
    else:
        form = possible[0]
    x = read[form]
    good = x[~np.isnan(x)]
    odd = texts[np.isnan(x)].tolist()
    if not len(good) and not forced:
        return Text("empty" if all(text.casefold() in MARKS for text in odd) else "category")
    limits = [text for text in odd if text[0] in "<>\u2264\u2265" and not np.isnan(number(text[1:].strip(" ="), form))]
    words = [text for text in odd if text.casefold() not in MARKS and text not in limits]
    if not forced:
        n = sum(m for text, m in counts.items() if text.casefold() not in MARKS)
        n_good = sum(counts.values()) - sum(counts[text] for text in odd)
        whole_and_few = len(good) <= FEW and bool((good == np.round(good)).all())
        if not _few(words, counts) or sum(counts[text] for text in limits) > n / 2 or (words and whole_and_few):
            note = ""
            if n_good > n / 2:
                shown = columns.listed(words + limits, 3)
                note = f"{n_good:,} of {n:,} values are numbers, but not {shown}: taken for a category (see --numeric)"
            return Text("category", note=note)
    notes = []
    if decimal and form != decimal:
        shown = next(text for text in texts.tolist() if form in text and not np.isnan(number(text, form)))
        notes.append(f"{shown} is a number with a decimal {'point' if form == '.' else 'comma'} alone")
    elif len(possible) == 2 and not marks:
        other = "," if form == "." else "."
        for first in np.flatnonzero(~np.isnan(x) & (read["."] != read[","]))[:1]:
            why = " as in other columns" if len(others) == 1 else ""
            now, then = x[first], read[other][first]
            notes.append(f"{texts[first]} is read as {now:.12g}{why}; with --decimal {other} it is {then:.12g}")
    if units := _mixed_units(texts[~np.isnan(x)].tolist(), form):
        notes.append(units)
    return Text("number", form, "; ".join(notes))
