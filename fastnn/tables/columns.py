"""What a column is once it is decided: how each of its values becomes inputs of a network.

A column arrives as a NumPy array of one dimension: float64 (nan is missing), bool, datetime64 (NaT is missing), or
objects, each a text or None.  Nothing here looks at more than one value at a time, so what is said of a row cannot
depend on its neighbours; and nothing here needs pandas or scikit-learn.
"""

from __future__ import annotations

import difflib
import re
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property, lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

FAR = 1.0  # widths of the training range beyond it: such a value is told ...
MANY = 10  # rows from which on it is no accident that no value can be read
OUTLYING = 1e3  # standard deviations by the widths of the middle: what is farther out does not count for the range
NORMAL_SPREAD = 3.29  # standard deviations between the quantiles 0.05 and 0.95 of normal numbers
FARTHEST = 10.0  # ... and counts as no more than this many, or one slip of the pen decides what is predicted
LOOKED_AT = 1000  # values among which the different ones are found that are told

# What pandas.read_csv takes for missing, and the question mark of the UCI tables.
MISSING = frozenset(
    "? #N/A #N/A|N/A #NA -1.#IND -1.#QNAN -NaN -nan 1.#IND 1.#QNAN <NA> N/A NA NULL NaN None n/a nan null".split()
) | {"#N/A N/A"}


class TableError(ValueError):
    """A table that cannot be read, or cannot be learned from."""


@dataclass
class Count:
    """How many values of a column are so, in all pieces of a table, and the first of them.

    Parameters
    ----------
    n : int
    row : object
        Name of the row where the first one stands.
    shown : list of str
        The first different ones: no more than are told, and one.
    """

    n: int = 0
    row: Any = None
    shown: list[str] = field(default_factory=list)

    def add(self, which: NDArray[np.bool_], column: NDArray[Any], rows: Sequence[Any]) -> None:
        """Count the values for which this is true."""
        at = np.flatnonzero(which)
        if not len(at):
            return
        if not self.n:
            self.row = rows[at[0]]
        values = column[at[: max(LOOKED_AT - self.n, 0)]].tolist()
        shown = [*self.shown, *(f"{v:g}" if isinstance(v, float) else repr(v) for v in values)]
        self.shown = list(dict.fromkeys(shown))[:4]
        self.n += len(at)

    @property
    def examples(self) -> str:
        """The first three different ones, and where the first stands."""
        return ", ".join(self.shown[:3]) + (" ..." if len(self.shown) > 3 else "") + f" (row {self.row})"


Counts: TypeAlias = defaultdict[str, Count]


@dataclass
class Number:
    """A column of numbers, booleans or dates (in seconds since 1970): (x - mean) / scale, a missing x being the median.

    Parameters
    ----------
    name : str
    median, mean, scale : float
        Of the training rows; the last two after the missing ones had been filled in.  Where a few numbers are far out
        (the standard deviation is 1000 times the width of the middle nine tenths), the median and that width.
    kind : {"number", "boolean", "date"}
    form : str
        How a text is read: the decimal mark of a number, "." or ","; the order of a date, "ymd", "dmy" or "mdy".
    low, high : float or None
        Range of the training rows. None: not known (models of fastnn 0.1.0).
    missing : bool
        Whether a value was missing in training.
    """

    name: str
    median: float
    mean: float
    scale: float
    kind: str = "number"
    form: str = "."
    low: float | None = None
    high: float | None = None
    missing: bool = True

    @classmethod
    def fit(cls, name: str, x: NDArray[np.float64], kind: str, form: str) -> Number:
        """Learn from the values, nan where one is missing; at least one is not."""
        missing = np.isnan(x)
        median = float(np.median(x[~missing] / 2) * 2)  # half of it: the middle of two large numbers is their sum first
        low, high = float(np.min(x[~missing])), float(np.max(x[~missing]))
        x = np.where(missing, median, x)
        unit = 2.0 ** np.frexp(max(abs(low), abs(high)))[1] if max(abs(low), abs(high)) < 1e300 else 2.0**1000
        mean, scale = float((x / unit).mean() * unit), float((x / unit).std() * unit)
        least, most = (float(q * unit) for q in np.quantile(x / unit, [0.05, 0.95]))
        if 0 < most / 2 - least / 2 < scale / 2 / OUTLYING:
            # A few numbers are so far out that all others would be one in float32: the others decide.
            mean, scale = median, (most - least) / NORMAL_SPREAD
            low, high = max(low, median - OUTLYING * scale), min(high, median + OUTLYING * scale)
        return cls(name, median, mean, scale or 1.0, kind, form, low, high, bool(missing.any()))

    @property
    def outputs(self) -> list[str]:
        return [self.name]

    @property
    def detail(self) -> str:
        """What there is to know besides the kind."""
        if self.low is None or self.high is None or self.kind == "boolean":
            return ""
        show = day if self.kind == "date" else "{:g}".format
        order = {"dmy": ", day first", "mdy": ", month first", ",": ", decimal comma"}.get(self.form, "")
        return f"{show(self.low)} to {show(self.high)}{order}"

    def values(self, column: NDArray[Any]) -> NDArray[np.float64]:
        """The column as float64; nan where a value is missing, or is none."""
        if column.dtype.kind != "O":
            is_date = column.dtype.kind == "M"
            if is_date != (self.kind == "date") and not absent(column).all():  # all missing: of no type in particular
                wanted, found = ("numbers", "dates") if is_date else ("dates such as 2024-01-31", "numbers")
                raise TableError(f"column {self.name!r} should hold {wanted}, but holds {found}")
            x = seconds(column) if is_date else column.astype(np.float64)
            return np.where(np.isinf(x), np.nan, x)
        if self.kind == "date":
            return each(column, lambda text: date(text, self.form))
        x = numbers(column, self.form)
        if np.isnan(x).any():  # booleans beside a missing one come as texts
            truth = each(column, lambda text: _TRUTH.get(text.casefold(), np.nan))
            x = np.where(np.isnan(x), truth, x)
        return x

    def encode(self, column: NDArray[Any], out: NDArray[np.float32]) -> None:
        x = self.values(column)
        if column.dtype.kind == "O" and len(x) >= MANY and np.isnan(x).all() and not absent(column).all():
            shown = examples(column, ~absent(column), range(len(column)))
            warnings.warn(
                f"column {self.name!r} held {self.kind}s in training, but now no value of it is one: {shown}",
                stacklevel=5,
            )
        x = np.where(np.isnan(x), self.median, x)
        x = np.clip(x, *self.beyond(FARTHEST))
        # Halves: the difference of two large numbers is no overflow, and all others give the same bits.
        z = (x / 2 - self.mean / 2) / (self.scale / 2)
        out[:, 0] = np.clip(z, -1e30, 1e30)

    def beyond(self, widths: float) -> tuple[float, float]:
        """The training range, widened by so many of its widths on either side."""
        if self.low is None or self.high is None:
            return -np.inf, np.inf
        with np.errstate(over="ignore"):
            reach = np.float64(widths) * (np.float64(self.high) - self.low)
            return float(self.low - reach), float(self.high + reach)

    def count_unusual(self, column: NDArray[Any], rows: Sequence[Any], counts: Counts) -> None:
        """Count what was not so in training."""
        x, empty = self.values(column), absent(column)
        counts["odd"].add(np.isnan(x) & ~empty, column, rows)
        if not self.missing:
            counts["missing"].add(empty, column, rows)
        low, high = self.beyond(FAR)
        far = (x < low) | (x > high)
        if far.any():
            shown = np.array(list(map(day, x)), object) if self.kind == "date" else x
            counts["far"].add(far, shown, rows)

    def unusual(self, counts: Counts) -> list[str]:
        """Sentences about what was counted."""
        odd, missing, far = counts["odd"], counts["missing"], counts["far"]
        found = []
        if odd.n:
            found.append(f"{no_values(odd.n, self.kind)}: {odd.examples}")
        if missing.n:
            found.append(f"{counted(missing.n, 'value')} missing, and none was in training")
        if far.n:
            seen = f"far outside of what was seen in training ({self.detail})"
            found.append(f"{counted(far.n, 'value')} {seen}: {far.examples}")
        return [f"column {self.name!r}: {sentence}" for sentence in found]


@dataclass
class Category:
    """A column of labels: one input a category, 1 where the row has it. An unknown category is 0 in all of them.

    A value is the category of that label. If there is none, it is the one of the same number (1 and 01 and 1.0) or
    truth (True and TRUE), if just one is: other readers make such numbers of labels.

    Parameters
    ----------
    name : str
    categories : list of str
        The labels as written, sorted.
    missing : bool
        Whether a missing value is a category of its own, the last one.
    """

    name: str
    categories: list[str]
    missing: bool
    kind = "category"

    @property
    def outputs(self) -> list[str]:
        return [f"{self.name}={category}" for category in self.categories + ["(missing)"] * self.missing]

    @property
    def detail(self) -> str:
        return listed(self.categories, 5) + (" or missing" if self.missing else "")

    @cached_property
    def _codes(self) -> dict[str | None, int]:
        return {label: code for code, label in enumerate(self.categories)}

    @cached_property
    def _codes_by_value(self) -> dict[str, int]:
        keys = Counter(map(value_key, self.categories))
        return {value_key(label): code for code, label in enumerate(self.categories) if keys[value_key(label)] == 1}

    def code(self, text: str | None) -> int:
        """Which category a text is: -1 for an unknown one, -2 for a missing value."""
        if text is None or (text in MISSING and text not in self._codes):
            return -2
        code = self._codes.get(text)
        return self._codes_by_value.get(value_key(text), -1) if code is None else code

    def codes(self, column: NDArray[Any]) -> NDArray[np.intp]:
        return each(labels(column), self.code, missing=-2, dtype=np.intp)

    def encode(self, column: NDArray[Any], out: NDArray[np.float32]) -> None:
        code = self.codes(column)
        if self.missing:
            code[code == -2] = len(self.categories)
        rows = np.flatnonzero(code >= 0)
        out[:] = 0
        out[rows, code[rows]] = 1

    def count_unusual(self, column: NDArray[Any], rows: Sequence[Any], counts: Counts) -> None:
        """Count what was not so in training."""
        column = labels(column)
        code = self.codes(column)
        counts["unknown"].add(code == -1, column, rows)
        if not self.missing:
            counts["missing"].add(code == -2, column, rows)

    def unusual(self, counts: Counts) -> list[str]:
        """Sentences about what was counted."""
        unknown, missing = counts["unknown"], counts["missing"]
        found = []
        if unknown.n:
            found.append(f"{counted(unknown.n, 'value')} unknown from training: {unknown.examples}")
        if missing.n:
            found.append(f"{counted(missing.n, 'value')} missing, and none was in training")
        return [f"column {self.name!r}: {sentence}" for sentence in found]


Column = Number | Category


def to_dict(column: Column) -> dict[str, Any]:
    """The column for a JSON file."""
    return asdict(column)


def from_dict(state: dict[str, Any]) -> Column:
    """The column whose `to_dict` this is, or whose state fastnn 0.1.0 wrote."""
    if "categories" in state:
        return Category(**state)
    state = dict(state)
    if "date" in state:
        state |= {"kind": "date", "form": "ymd"} if state.pop("date") else {}
    return Number(**state)


# ---- values ----


def each(
    column: NDArray[Any], of: Callable[[str], Any], missing: Any = np.nan, dtype: Any = np.float64
) -> NDArray[Any]:
    """`of` every text, asked once for each that is different."""
    known = {text: missing if text is None else of(text) for text in set(column.tolist())}
    return np.fromiter(map(known.__getitem__, column.tolist()), dtype, len(column))


def absent(column: NDArray[Any]) -> NDArray[np.bool_]:
    """Where a value is missing, not where it is a strange one."""
    if column.dtype.kind == "O":
        return each(column, MISSING.__contains__, True, np.bool_)
    if column.dtype.kind == "M":
        return np.isnat(column)
    return np.isnan(column) if column.dtype.kind == "f" else np.zeros(len(column), bool)


def labels(column: NDArray[Any]) -> NDArray[Any]:
    """The column as texts, None where a value is missing: a whole number without its point, as it would be written."""
    if column.dtype.kind == "O":
        return column
    texts = [plain(value) for value in column.tolist()] if column.dtype.kind != "M" else list(map(day, seconds(column)))
    out = np.empty(len(texts), object)
    out[:] = texts
    out[absent(column)] = None
    return out


def plain(value: Any) -> str:
    """A number or a date as a person writes it."""
    if isinstance(value, datetime):
        return value.isoformat(" ").removesuffix(" 00:00:00")
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return str(value)


def numbers(column: NDArray[Any], decimal: str = ".") -> NDArray[np.float64]:
    """Texts as float64: nan where one is missing, or no finite number."""
    if decimal == ".":  # a hundred times faster than one by one, and the rule
        try:
            x = np.where(column == None, "nan", column).astype(np.float64)  # noqa: E711 elementwise
            if "_" not in "\n".join(filter(None, column)):
                return np.where(np.isinf(x), np.nan, x)
        except ValueError:
            pass
    return each(column, lambda text: number(text, decimal))


_TRUTH = {"true": 1.0, "false": 0.0}
_MONEY = (
    r"(?:[$€£¥₹₩₽₺₫฿₴₪¢]|(?:US|CA|AU|NZ|HK)\$|R\$|USD|EUR|GBP|CHF|JPY|CNY|INR|AUD|CAD|SEK|NOK|DKK|PLN|CZK|kr|zł|Fr)\.?"
)
_BLANK = "[ \u00a0\u2009\u202f'\u2019]"


@cache
def number_pattern(decimal: str) -> re.Pattern[str]:
    """Numbers as people write them, with this decimal mark.

    1250, 1,250.00, 1 250.0, 1.25e3, $900, -5 %, (1,250.00), $(0.01), 1.50-, CHF 1'250.-
    """
    point, group = (r"\.", ",") if decimal == "." else (",", r"\.")
    grouped = rf"[1-9]\d{{0,2}}(?:(?:{group}\d{{3}})+|(?:{_BLANK}\d{{3}})+)"
    body = rf"(?P<whole>{grouped}|\d+)(?:[.,][-\u2013\u2014]{{1,2}}|{point}(?P<part>\d*))?|{point}(?P<only>\d+)"
    sign = "(?P<sign{}>[-+\u2212])?\\s*"
    return re.compile(
        rf"(?:(?P<unit1>{_MONEY})\s*(?=\())?(?P<bracket>\()?\s*{sign.format(1)}(?:(?P<unit2>{_MONEY})\s*)?"
        rf"{sign.format(2)}(?:{body})(?P<exponent>[eE][-+]?\d+)?(?P<sign3>[-\u2212])?"
        rf"\s*(?P<unit3>{_MONEY}|%)?\s*(?P<end>\))?"
    )


def bare(text: str) -> str:
    """A text without what spreadsheets are told by: ="0.27" and '0.27 are 0.27."""
    if text.startswith('="') and text.endswith('"'):
        return text[2:-1]
    return text.removeprefix("'")


def unit(text: str, decimal: str = ".") -> str:
    """The currency or percent sign of a number, or nothing."""
    found = number_pattern(decimal).fullmatch(bare(text))
    return (found["unit1"] or found["unit2"] or found["unit3"] or "").rstrip(".") if found else ""


def number(text: str, decimal: str = ".") -> float:
    """The number that a text is, or nan. Of `12 %` it is 12."""
    found = number_pattern(decimal).fullmatch(bare(text))
    if not found:
        return np.nan
    n_signs = sum(found[group] is not None for group in ("bracket", "sign1", "sign2", "sign3"))
    if bool(found["bracket"]) != bool(found["end"]) or n_signs > 1:
        return np.nan
    if found["sign3"] and not (found["part"] or found["only"] or not found["whole"].isdecimal()):  # 2- may be a grade
        return np.nan
    digits = re.sub(r"\D", "", found["whole"] or "0") + "." + (found["part"] or found["only"] or "0")
    x = float(digits + (found["exponent"] or ""))
    negative = found["bracket"] or (found["sign1"] or found["sign2"] or found["sign3"] or "+") != "+"
    return np.nan if np.isinf(x) else -x if negative else x


DATE = re.compile(
    r"(?P<a>\d{4}|\d{1,2})(?P<mark>[-/.])(?P<b>\d{1,2})(?P=mark)(?P<c>\d{4}|\d{1,2})"
    r"(?:[T ]\s*(?P<h>\d{1,2}):(?P<m>\d\d)(?::(?P<s>\d\d)(?:[.,](?P<f>\d+))?)?"
    r"\s*(?P<half>[AaPp]\.?[Mm]\.?)?\s*(?P<zone>[Zz]|UTC|[-+]\d\d:?\d\d)?)?"
)


@lru_cache(maxsize=2**14)  # a table that comes in pieces has the same days in many
def date(text: str, order: str = "ymd") -> float:
    """The date that a text is, in seconds since 1970 (UTC where it names no zone), or nan."""
    found = DATE.fullmatch(text)
    if not found:
        return np.nan
    part = dict(zip(order, (found["a"], found["b"], found["c"]), strict=True))
    if len(part["y"]) != 4 or max(len(part["m"]), len(part["d"])) > 2:
        return np.nan
    hour = int(found["h"] or 0)
    if found["half"]:
        hour = hour % 12 + 12 * (found["half"][0] in "pP")
    try:
        when = datetime(
            int(part["y"]), int(part["m"]), int(part["d"]), hour, int(found["m"] or 0), int(found["s"] or 0), tzinfo=UTC
        )
    except ValueError:  # no such day
        return np.nan
    zone = found["zone"] or "Z"
    offset = 0 if zone in "Zz" or zone == "UTC" else int(zone[0] + "60") * int(zone[1:3]) + int(zone[0] + zone[-2:])
    return (when - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() + float(f"0.{found['f'] or 0}") - 60 * offset


def seconds(column: NDArray[Any]) -> NDArray[np.float64]:
    """datetime64 as seconds since 1970, nan where it is NaT."""
    x = column.astype("datetime64[us]").astype(np.int64) / 1e6
    return np.where(np.isnat(column), np.nan, x)


def day(second: float) -> str:
    """Seconds since 1970 as a date, with the time of day if there is one."""
    if np.isnan(second):
        return "NaT"
    try:
        text = (datetime(1970, 1, 1) + timedelta(seconds=float(second))).isoformat(" ")
    except OverflowError:  # a year before 1 or after 9999
        return str(np.datetime64(int(second), "s")).replace("T", " ").removesuffix(" 00:00:00")
    return text.removesuffix(" 00:00:00")


_WHOLE = re.compile(r"(-?)0*(\d+?)(?:\.0*)?")
_PART = re.compile(r"(-?)0*(\d+?)\.(\d*?)0*")


def value_key(text: str) -> str:
    """The same for labels that another reader may take for one value: 1, 01 and 1.0; true and TRUE."""
    if found := _WHOLE.fullmatch(text):
        return found[1] + found[2]
    if found := _PART.fullmatch(text):
        return f"{found[1]}{found[2]}.{found[3]}"
    return text.casefold() if text.casefold() in _TRUTH else text


# ---- words ----


def listed(names: Iterable[Any], limit: int = 20) -> str:
    """Names for a message, the first ones if there are many."""
    quoted = [repr(str(name)) for name in names]
    return ", ".join(quoted[:limit]) + (f" and {len(quoted) - limit} more" if len(quoted) > limit else "")


def counted(n: int, what: str) -> str:
    return f"1 {what} is" if n == 1 else f"{n:,} {what}s are"


def no_values(n: int, kind: str) -> str:
    """So many values that cannot be read."""
    what = "date" if kind == "date" else "number"
    return f"{counted(n, 'value')} no {what}{'s and count' if n > 1 else ' and counts'} as missing"


def examples(column: NDArray[Any], which: NDArray[np.bool_], rows: Sequence[Any]) -> str:
    """The first three different ones, and where the first stands."""
    count = Count()
    count.add(which, column, rows)
    return count.examples


def check_columns(columns: Iterable[Any], names: Iterable[str]) -> None:
    """Raise a TableError that lists the columns, those that may be meant first, unless all `names` are among them."""
    columns = [str(column) for column in columns]
    missing = [name for name in names if name not in columns]
    if missing:
        lower = {column.lower(): column for column in columns}
        close = [lower[match] for name in missing for match in difflib.get_close_matches(name.lower(), lower, n=1)]
        hint = f" (meant: {listed(close)}?)" if close else ""
        raise TableError(f"no column {listed(missing)}{hint}; the columns are {listed(columns)}")
