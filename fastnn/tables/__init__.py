"""Tables: how files of numbers, text and dates are read, and become the matrix and the target of a network.

``read`` makes a table of a file, ``pieces`` several of one that is larger than memory; ``TableEncoder`` makes a matrix
of a table, ``target`` the target of one column.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from .columns import TableError, check_columns, listed
from .reading import Table, pieces, read
from .target import Target, target

if TYPE_CHECKING:
    from .encoder import TableEncoder

__all__ = [
    "Table",
    "TableEncoder",
    "TableError",
    "Target",
    "check_columns",
    "listed",
    "matrix",
    "pieces",
    "read",
    "target",
]


def __getattr__(name: str) -> Any:
    if name == "TableEncoder":  # scikit-learn takes a second to import: a reader of tables need not wait
        from .encoder import TableEncoder

        return TableEncoder
    raise AttributeError(f"module 'fastnn.tables' has no attribute {name!r}")


def matrix(frame: Any, wanted: int | Iterable[str]) -> Any:
    """The numbers of a table for a network without encoder: all columns, so many in all, or those of these names."""
    import numpy as np
    import pandas as pd

    from .columns import Number
    from .frames import series_values

    if isinstance(wanted, int):
        if frame.shape[1] != wanted:
            raise TableError(f"the table has {frame.shape[1]} columns, but this network expects {wanted}")
        names = [str(name) for name in frame]
    else:
        names = list(wanted)
        check_columns(frame, names)
    X = np.empty((len(frame), len(names)))
    for j, name in enumerate(names):
        column = frame[name]
        X[:, j] = Number(name, 0.0, 0.0, 1.0).values(series_values(name, column))
        if np.isnan(X[:, j]).any():
            row = np.flatnonzero(np.isnan(X[:, j]))[0]
            value = column.iloc[row]
            held = repr(value) if isinstance(value, str) else "nothing" if pd.isna(value) else value
            raise TableError(f"column {name!r} should hold numbers, but row {column.index[row]} holds {held}")
    return X
