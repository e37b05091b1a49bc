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

    from .columns import Number
    from .frames import Frame

    table = Frame.of(frame)
    if isinstance(wanted, int):
        if len(table.names) != wanted:
            raise TableError(f"the table has {len(table.names)} columns, but this network expects {wanted}")
        names = table.names
    else:
        names = list(wanted)
        check_columns(table.names, names)
    X = np.empty((len(table.rows), len(names)))
    for j, name in enumerate(names):
        column = table.column(table.names.index(name))
        X[:, j] = Number(name, 0.0, 0.0, 1.0).values(column)
        if np.isnan(X[:, j]).any():
            row = np.flatnonzero(np.isnan(X[:, j]))[0]
            value = column[row]
            held = repr(value) if isinstance(value, str) else "nothing" if value is None or value != value else value
            raise TableError(f"column {name!r} should hold numbers, but row {table.rows[row]} holds {held}")
    return X
