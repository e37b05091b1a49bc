"""A table of any library, column by column, as the NumPy arrays that `columns` takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import columns
from .columns import TableError, listed


@dataclass
class Frame:
    """A table whose columns are converted when they are asked for, once: what is not read, may hold anything.

    Parameters
    ----------
    names : list of str
        Names of the columns: x0, x1 ... for an array.
    named : bool
        Whether they are the table's own.
    rows : sequence
        Names of the rows, for messages.
    column : callable
        The array of a column, by its place.
    """

    names: list[str]
    named: bool
    rows: Sequence[Any]
    column: Callable[[int], NDArray[Any]]

    @classmethod
    def of(cls, X: Any) -> Frame:
        """The frame of pandas, polars or Arrow, or the array of two dimensions, X; or itself."""
        if isinstance(X, cls):
            return X
        if hasattr(X, "toarray"):
            raise TypeError("X is a sparse matrix, but a table or a dense array is wanted: X.toarray() makes one")
        if hasattr(X, "iloc") and hasattr(X, "columns"):
            names = [str(name) for name in X.columns]
            frame = cls(names, True, X.index.tolist(), lambda j: series_values(names[j], X.iloc[:, j]))
        elif hasattr(X, "columns") or hasattr(X, "column_names"):
            frame = _of_narwhals(X)
        else:
            array = np.ma.asarray(X) if isinstance(X, np.ma.MaskedArray) else np.asarray(X)
            if array.ndim != 2:
                raise TableError(
                    f"Expected 2D array, got {array.ndim}D array instead. Reshape your data using array.reshape(-1, 1) "
                    "if it is one column, or array.reshape(1, -1) if it is one row."
                )
            names = [f"x{j}" for j in range(array.shape[1])]
            frame = cls(names, False, range(len(array)), lambda j: _values(names[j], array[:, j]))
        for n, what in ((len(frame.rows), "sample"), (len(frame.names), "feature")):
            if n == 0:
                shape = len(frame.rows), len(frame.names)
                raise TableError(f"Found array with 0 {what}(s) (shape={shape}) while a minimum of 1 is required.")
        if twice := [name for name, n in Counter(frame.names).items() if n > 1]:
            raise TableError(f"there are several columns {listed(twice)}: which one is meant?")
        frame.column = cache(frame.column)
        return frame


def _of_narwhals(X: Any) -> Frame:
    """Of polars, Arrow and whatever else narwhals knows."""
    try:
        import narwhals as nw  # comes with scikit-learn since its version 1.9
    except ModuleNotFoundError:
        found = f"{type(X).__module__.split('.')[0]}.{type(X).__name__}"
        raise TypeError(f"X is a {found}: reading it takes narwhals (pip install narwhals)") from None

    if hasattr(X, "collect"):
        raise TypeError(f"X is a {type(X).__name__}, but a table in memory is wanted: X.collect() is one")
    frame = nw.from_native(X, eager_only=True)
    names = list(frame.columns)

    def column(j: int) -> NDArray[Any]:
        series = frame[names[j]]
        is_large = series.dtype in (nw.Int128, nw.UInt128)
        if series.dtype.is_float() or (series.dtype.is_integer() and not is_large and not series.null_count()):
            return _values(names[j], series.to_numpy())
        found = np.empty(len(series), object)
        found[:] = series.to_list()
        return _values(names[j], found, text=isinstance(series.dtype, nw.Categorical | nw.Enum))

    return Frame(names, True, range(len(frame)), column)


def series_values(name: str, column: Any) -> NDArray[Any]:
    """A column of pandas as `columns` takes it."""
    import pandas as pd

    kind = column.dtype
    if isinstance(kind, pd.CategoricalDtype):
        # By its categories: a whole number among them is no decimal fraction because a value is missing.
        labels = np.array([*_values(name, column.cat.categories.to_numpy(object), text=True), None], object)
        return labels[column.cat.codes.to_numpy()]
    if isinstance(kind, pd.PeriodDtype):
        column = column.dt.to_timestamp()
    if isinstance(kind, pd.SparseDtype):
        column = column.sparse.to_dense()
    if getattr(column.dtype, "kind", "O") == "M":  # also with a time zone, or of Arrow
        if str(kind).startswith(
            ("date32", "date64")
        ):  # of Arrow, without times: pandas raises where it is asked for their zone
            return column.to_numpy(object, na_value=None).astype("datetime64[us]")
        if getattr(column.dt, "tz", None) is not None:
            column = column.dt.tz_convert("UTC").dt.tz_localize(None)
        return column.to_numpy("datetime64[us]")
    if isinstance(column.dtype, np.dtype):
        return _values(name, column.to_numpy())
    missing = column.isna().to_numpy()  # of pandas or of Arrow, with its own missing value
    if getattr(column.dtype, "kind", "O") in "iufb" and not missing.any():
        return _values(name, column.to_numpy())
    if getattr(column.dtype, "kind", "O") == "f":
        return column.to_numpy(np.float64, na_value=np.nan)
    x = column.to_numpy(object).copy()
    x[missing] = None
    return _values(name, x)


def _values(name: str, x: NDArray[Any], text: bool = False) -> NDArray[Any]:
    """One column as `columns` takes it: float64, bool, datetime64, or objects that are texts or None."""
    if isinstance(x, np.ma.MaskedArray):
        hidden = np.ma.getmaskarray(x)
        if hidden.any():
            x = x.astype(object)
            x[hidden] = None
        x = np.asarray(x.data)
    kind = x.dtype.kind
    if text:
        x = x.astype(object)
    elif kind in "iu" and len(x) and (int(x.max()) > 2**53 or int(x.min()) < -(2**53)):
        x = x.astype(object)  # ids: two of them are one float64
    elif kind in "fiu":
        return x.astype(np.float64)
    elif kind == "b":
        return x
    elif kind == "M":
        return x.astype("datetime64[us]")
    elif kind == "c":
        raise TableError(f"Complex data not supported: column {name!r} holds complex numbers")
    elif kind in "SVm":
        what = {"S": "bytes", "V": "records", "m": "durations"}[kind]
        raise TableError(f"column {name!r} holds {what}, but numbers, texts, booleans or dates are wanted")
    if kind == "O" and set(map(type, x.tolist())) <= {str, type(None)}:
        known = {text: (text and text.strip()) or None for text in set(x.tolist())}
        if all(text is stripped for text, stripped in known.items()):
            return x
        return np.array([*map(known.__getitem__, x.tolist()), None], object)[:-1]
    out = np.empty(len(x), object)
    out[:] = [_value(name, value) for value in x.tolist()]
    present = [value for value in out if value is not None]
    types = set(map(type, present))
    if text or types <= {str}:
        words = [None if value is None else columns.plain(value).strip() or None for value in out]
        return np.array([*words, None], object)[:-1]
    if types == {bool} and len(present) == len(out):
        return out.astype(bool)
    if types <= {int, float} and all(abs(v) <= 2**53 for v in present if type(v) is int):
        return np.array([np.nan if v is None else v for v in out], np.float64)
    if types == {datetime}:
        epoch = [None if v is None else np.datetime64(v, "us") for v in out]
        return np.array(epoch, "datetime64[us]")
    return _values(name, out, text=True)


def _value(name: str, value: Any) -> str | int | float | bool | datetime | None:
    """One value of a column of objects."""
    if value is None or type(value) in (str, int, bool):
        return value
    if isinstance(value, np.datetime64):
        value = value.astype("datetime64[us]").item()
    elif isinstance(value, np.generic) and not isinstance(value, np.timedelta64):
        value = value.item()
    if value is None:
        return None
    if isinstance(value, float | Decimal):
        return None if value != value else float(value)
    if isinstance(value, str | bool | int):
        return value
    if isinstance(value, date):
        if value != value:  # NaT
            return None
        if not isinstance(value, datetime):
            return datetime(value.year, value.month, value.day)
        value = value.to_pydatetime(warn=False) if hasattr(value, "to_pydatetime") else value
        return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
    if isinstance(value, Real):
        return float(value)
    if type(value).__name__ in ("NAType", "NaTType"):
        return None
    raise TableError(
        f"column {name!r} holds a {type(value).__name__}, but numbers, texts, booleans or dates are wanted"
    )
