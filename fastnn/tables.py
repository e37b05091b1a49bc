"""Tables: how columns of numbers, text and dates become the matrix that a network reads, and a column its target."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # pandas takes half a second to import: a user of arrays need not wait, nor install it
    import pandas as pd

MAX_CATEGORIES = 100  # of one column; a network reads one input for each
MAX_INTEGER_CLASSES = 20  # more distinct integers than that are quantities, not names of classes


class TableError(ValueError):
    """A table that cannot be read, or cannot be learned from."""


@dataclass
class Number:
    """A column of numbers, booleans or dates (in seconds): (x - mean) / scale, a missing x being the median."""

    name: str
    median: float
    mean: float
    scale: float
    date: bool = False

    @classmethod
    def fit(cls, column: pd.Series, date: bool) -> Number:
        x = _seconds(column) if date else _numbers(column)
        median = float(np.nanmedian(x))
        x = np.where(np.isnan(x), median, x)
        with np.errstate(over="ignore", invalid="ignore"):  # encode complains, and names the column
            return cls(str(column.name), median, float(x.mean()), float(x.std()) or 1.0, date)

    @property
    def outputs(self) -> list[str]:
        return [self.name]

    def encode(self, column: pd.Series, out: NDArray[np.float32]) -> None:
        x = _seconds(column) if self.date else _numbers(column)
        with np.errstate(over="ignore", invalid="ignore"):
            out[:, 0] = (np.where(np.isnan(x), self.median, x) - self.mean) / self.scale
        if not np.isfinite(out).all():
            raise TableError(f"column {self.name!r} holds a number too large to compute with: {np.nanmax(np.abs(x)):g}")


@dataclass
class Category:
    """A column of text: one input a category, 1 where the row has it. An unknown category is 0 in all of them."""

    name: str
    categories: list[str]
    missing: bool  # whether a missing value is a category of its own, the last one

    @classmethod
    def fit(cls, column: pd.Series) -> Category:
        counts = column.dropna().astype(str).value_counts()
        if len(counts) > MAX_CATEGORIES:
            counts = counts[counts > 1]
        most_frequent = sorted(counts.index, key=lambda category: (-counts[category], category))[:MAX_CATEGORIES]
        return cls(str(column.name), sorted(most_frequent), bool(column.isna().any()))

    @property
    def outputs(self) -> list[str]:
        return [f"{self.name}={category}" for category in self.categories + ["(missing)"] * self.missing]

    def encode(self, column: pd.Series, out: NDArray[np.float32]) -> None:
        import pandas as pd

        known = column.notna().to_numpy()
        code = np.full(len(column), len(self.categories) if self.missing else -1)
        code[known] = pd.Index(self.categories).get_indexer(pd.Index(column[known].astype(str)))
        rows = np.flatnonzero(code >= 0)
        out[:] = 0
        out[rows, code[rows]] = 1


@dataclass
class Encoder:
    """What turns a table into a float32 matrix: learned from one table, then the same for every other.

    Parameters
    ----------
    columns : list of Number and Category
        The columns that are read, in this order; other columns of a table are ignored.

    Examples
    --------
    >>> import pandas as pd
    >>> flowers = pd.DataFrame({"petal": [1.4, 4.7, None], "colour": ["white", "violet", "white"]})
    >>> encoder = Encoder.fit(flowers)
    >>> encoder.feature_names
    ['petal', 'colour=violet', 'colour=white']
    >>> encoder.transform(flowers).shape
    (3, 3)
    """

    columns: list[Number | Category]

    @classmethod
    def fit(cls, frame: pd.DataFrame) -> Encoder:
        """Learn medians, scales and categories; columns that tell nothing (see `left_out`) are not read later."""
        columns: list[Number | Category] = []
        for name in frame:
            column, kind = frame[name], _kind(frame[name])
            if kind == "text":
                category = Category.fit(column)
                columns += [category] if category.categories else []
            elif kind != "empty":
                columns.append(Number.fit(column, date=kind == "date"))
        if not columns:
            raise TableError(f"no column to learn from; the columns are {listed(frame.columns)}")
        return cls(columns)

    def left_out(self, frame: pd.DataFrame) -> list[str]:
        """Names of the columns of `frame` that are not read: empty ones, and text that never occurs twice."""
        read = {column.name for column in self.columns}
        return [str(name) for name in frame if str(name) not in read]

    @property
    def feature_names(self) -> list[str]:
        """One name for each column of the matrix."""
        return [name for column in self.columns for name in column.outputs]

    def transform(self, frame: pd.DataFrame) -> NDArray[np.float32]:
        """The matrix, float32 of shape (n_rows, n_features).

        Raises
        ------
        TableError
            A column is missing, or holds something else than it did when the encoder was fitted.
        """
        frame = frame.rename(columns=str)
        check_columns(frame, [column.name for column in self.columns])
        widths = [len(column.outputs) for column in self.columns]
        out = np.empty((len(frame), sum(widths)), np.float32)
        for column, stop, width in zip(self.columns, np.cumsum(widths), widths, strict=True):
            column.encode(frame[column.name], out[:, stop - width : stop])
        return out

    def state(self) -> list[dict[str, Any]]:
        """The encoder as lists, dicts, strings and numbers, for a JSON file."""
        return [asdict(column) for column in self.columns]

    @classmethod
    def from_state(cls, state: list[dict[str, Any]]) -> Encoder:
        """The encoder whose `state` this is."""
        return cls([Category(**column) if "categories" in column else Number(**column) for column in state])


def read(path: Path) -> pd.DataFrame:
    """Read a CSV file (separated by commas, semicolons, tabs or bars; compressed or not), or a Parquet file.

    Rows are numbered from 1, so that a message about row 3 means the third one below the header.
    """
    import pandas as pd

    if not path.is_file():
        raise TableError(f"no such file: {path}")
    try:
        if path.suffix in (".parquet", ".pq"):
            frame = pd.read_parquet(path)
        else:
            frame = _read_csv(path)
            separators = [s for s in ";\t|" if s in str(frame.columns[0])]
            if separators and len(frame.columns) == 1:
                frame = _read_csv(path, separators[0])
    except ImportError:
        raise TableError(f"{path}: reading Parquet files takes pyarrow (pip install pyarrow)") from None
    except pd.errors.EmptyDataError:
        raise TableError(f"{path} is empty") from None
    except (ValueError, OSError, EOFError, pd.errors.ParserWarning) as error:
        raise TableError(f"{path} cannot be read: {str(error).strip().splitlines()[0]}") from error
    if frame.empty:
        raise TableError(f"{path} has no rows below its header")
    return frame.rename(columns=str).set_axis(range(1, len(frame) + 1), axis="index")


def target(column: pd.Series, task: str = "auto") -> tuple[NDArray[Any], str]:
    """The target that a column without missing values holds, and the task.

    Parameters
    ----------
    column : pandas.Series
    task : {"auto", "classification", "regression"}
        "auto": text, booleans, categories and few distinct integers are classes; other numbers a regression.

    Returns
    -------
    y : array of str, bool or int64 (classification), of float64 (regression)
    task : str
        "classification" or "regression".
    """
    if not len(column):
        raise TableError(f"target {column.name!r} is missing in every row")
    kind = _kind(column)
    numbers = _numbers(column) if kind == "number" else np.empty(0)
    whole = kind == "number" and bool((np.abs(numbers) < 2**53).all()) and bool((numbers == np.round(numbers)).all())
    if task == "auto":
        n_distinct = column.nunique()
        few = n_distinct <= MAX_INTEGER_CLASSES and 2 * n_distinct <= len(column)
        is_class = kind == "text" or _is_boolean(column) or (whole and few)
        task = "classification" if is_class else "regression"
    if task == "regression":
        y = _numbers(column)
        if not y.std() > 0:
            raise TableError(f"target {column.name!r} is {y[0]:g} in every row: there is nothing to learn")
        return y, task
    if kind == "number" and not whole:
        value = numbers[numbers != np.round(numbers)][0]
        raise TableError(f"target {column.name!r} holds {value:g}, which is no class (--task regression?)")
    if _is_boolean(column):
        y = numbers.astype(bool)
    else:
        y = numbers.astype(np.int64) if whole else column.astype(str).to_numpy(dtype=object).astype(str)
    classes = np.unique(y)
    if len(classes) == 1:
        raise TableError(f"target {column.name!r} has one class only, {classes[0]}: at least two are wanted")
    if len(classes) == len(y) > 2:
        raise TableError(f"target {column.name!r} has another class in every row: there is nothing to learn")
    return y, task


def check_columns(frame: pd.DataFrame, names: Iterable[str]) -> None:
    """Raise a TableError that lists the columns, those that may be meant first, unless all `names` are among them."""
    columns = [str(column) for column in frame]
    missing = [name for name in names if name not in columns]
    if missing:
        lower = {column.lower(): column for column in columns}
        close = [lower[match] for name in missing for match in difflib.get_close_matches(name.lower(), lower, n=1)]
        hint = f" (meant: {listed(close)}?)" if close else ""
        raise TableError(f"no column {listed(missing)}{hint}; the columns are {listed(columns)}")


def matrix(frame: pd.DataFrame, wanted: int | Iterable[str]) -> Any:
    """The numbers of a table for a network without encoder: all columns, so many in all, or those of these names."""
    import pandas as pd

    if isinstance(wanted, int):
        if frame.shape[1] != wanted:
            raise TableError(f"the table has {frame.shape[1]} columns, but this network expects {wanted}")
        names = [str(name) for name in frame]
    else:
        names = list(wanted)
        check_columns(frame, names)
    X = np.stack([_numbers(frame[name]) for name in names], axis=1)
    for name, x in zip(names, X.T, strict=True):
        _check(frame[name], np.isnan(x), "numbers")
    return X if isinstance(wanted, int) else pd.DataFrame(X, columns=names)


def listed(names: Iterable[Any], limit: int = 20) -> str:
    """Names for a message, the first ones if there are many."""
    quoted = [repr(str(name)) for name in names]
    return ", ".join(quoted[:limit]) + (f" and {len(quoted) - limit} more" if len(quoted) > limit else "")


def _read_csv(path: Path, separator: str = ",") -> pd.DataFrame:
    import pandas as pd

    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)  # more fields than column names: some would be lost
        return pd.read_csv(path, sep=separator, index_col=False, na_values=["?"], low_memory=False)


def _kind(column: pd.Series) -> str:
    """'number' (or boolean), 'date', 'text' or 'empty'."""
    import pandas as pd

    present = column.dropna()
    if present.empty:
        return "empty"
    if isinstance(column.dtype, pd.CategoricalDtype):
        return "text"
    if pd.api.types.is_datetime64_any_dtype(column):
        return "date"
    if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_timedelta64_dtype(column) or _is_boolean(column):
        return "number"
    if pd.api.types.infer_dtype(present) in ("integer", "floating", "decimal", "mixed-integer-float"):
        return "number"
    return "date" if present.astype(str).str.match(r"\d{4}-\d\d-\d\d").all() else "text"


def _is_boolean(column: pd.Series) -> bool:
    """A column of booleans with gaps comes from a CSV file as a column of objects."""
    import pandas as pd

    return pd.api.types.infer_dtype(column, skipna=True) == "boolean"


def _numbers(column: pd.Series) -> NDArray[Any]:
    """The column as float64, missing values as nan."""
    import pandas as pd

    if pd.api.types.is_timedelta64_dtype(column):
        column = column.dt.total_seconds()
    x = np.asarray(pd.to_numeric(column.astype(object), errors="coerce"), np.float64)
    _check(column, np.isnan(x) & column.notna().to_numpy(), "numbers")
    _check(column, np.isinf(x), "finite numbers")
    return x


def _seconds(column: pd.Series) -> NDArray[Any]:
    """The column of dates as seconds since 1970, missing ones as nan."""
    import pandas as pd

    dates = pd.to_datetime(column, format="ISO8601", utc=True, errors="coerce")
    _check(column, (dates.isna() & column.notna()).to_numpy(), "dates such as 2024-01-31")
    return ((dates - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1)).to_numpy(np.float64)


def _check(column: pd.Series, bad: NDArray[np.bool_], wanted: str) -> None:
    if bad.any():
        row = np.flatnonzero(bad)[0]
        value = column.iloc[row]
        found = repr(value) if isinstance(value, str) else value
        raise TableError(f"column {column.name!r} should hold {wanted}, but row {column.index[row]} holds {found}")
