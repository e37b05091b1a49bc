"""What a fitted encoder makes of tables, and tells of them: without scikit-learn, which takes a second to import."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from . import columns
from .columns import Column, Count, TableError, check_columns
from .frames import Frame

VERSION = 2  # of the state; fastnn 0.1.0 wrote a list


class Encoding:
    """A `TableEncoder` as far as it makes a matrix of a table: the estimator derives from it, and learns the columns.

    Parameters
    ----------
    decimal : {None, ".", ","}, default=None
    **of_fitting
        The other parameters of the estimator: they have done what they are for.
    """

    columns_: list[Column]
    left_out_: dict[str, str]
    notes_: list[str]
    n_features_in_: int
    feature_names_in_: NDArray[Any]
    _names: list[str]

    def __init__(self, *, decimal: str | None = None, **of_fitting: Any) -> None:
        self.decimal = decimal

    def transform(self, X: Any) -> NDArray[np.float32]:
        """The matrix, of shape (n_rows, n_features_out)."""
        table, rows = self._columns_of(X)
        widths = [len(column.outputs) for column in self.columns_]
        out = np.empty((len(rows), sum(widths)), np.float32)
        for column, values, stop, width in zip(self.columns_, table, np.cumsum(widths), widths, strict=True):
            column.encode(values, out[:, stop - width : stop])
        return out

    @classmethod
    def from_state(cls, state: dict[str, Any] | list[dict[str, Any]]) -> Self:
        """The encoder whose `to_state` this is, or that fastnn 0.1.0 kept.

        Parameters
        ----------
        state : dict or list
            What JSON made of it.

        Returns
        -------
        TableEncoder
            Fitted.

        Raises
        ------
        TableError
            The state is of a newer fastnn.
        """
        if isinstance(state, list):
            names = [column["name"] for column in state]
            state = {"version": VERSION, "names": names, "named": True, "columns": state}
        if state["version"] != VERSION:
            raise TableError(f"the table's encoder has version {state['version']}, but this fastnn reads {VERSION}")
        encoder = cls(**state.get("parameters", {}))
        encoder.columns_ = [columns.from_dict(column) for column in state["columns"]]
        encoder.left_out_ = dict(state.get("left_out", {}))
        encoder.notes_ = list(state.get("notes", []))
        encoder._keep_names(state["names"], state["named"])
        return encoder

    def _keep_names(self, names: list[str], named: bool) -> None:
        self._names = list(names)
        self.n_features_in_ = len(names)
        if named:
            self.feature_names_in_ = np.array(names, object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_

    def _columns_of(self, X: Any) -> tuple[list[NDArray[Any]], Sequence[Any]]:
        """The columns of a table that are read."""
        frame = Frame.of(X)
        wanted = [column.name for column in self.columns_]
        names = frame.names
        if frame.named and hasattr(self, "feature_names_in_"):
            check_columns(names, wanted)
        elif len(names) == self.n_features_in_:
            names = self._names
        else:
            raise TableError(
                f"X has {len(names)} features, but TableEncoder is expecting {self.n_features_in_} features as input"
            )
        at = {name: j for j, name in enumerate(names)}
        return [frame.column(at[name]) for name in wanted], frame.rows


class Unusual:
    """What `TableEncoder.unusual` tells, of a table that comes in pieces.

    Parameters
    ----------
    encoder : Encoding
        Fitted.
    """

    def __init__(self, encoder: Encoding) -> None:
        self._encoder = encoder
        self._counts: list[columns.Counts] = [defaultdict(Count) for _ in encoder.columns_]

    def transform(self, X: Any) -> NDArray[np.float32]:
        """The matrix of the next piece; what is unusual in it is counted."""
        frame = Frame.of(X)
        self.add(frame)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "column .* held .* in training")  # which is counted
            return self._encoder.transform(frame)

    def add(self, X: Any) -> None:
        """Count what is unusual in the next piece."""
        table, rows = self._encoder._columns_of(X)
        for column, values, counts in zip(self._encoder.columns_, table, self._counts, strict=True):
            column.count_unusual(values, rows, counts)

    def sentences(self) -> list[str]:
        """About all pieces so far."""
        found = zip(self._encoder.columns_, self._counts, strict=True)
        return [sentence for column, counts in found for sentence in column.unusual(counts)]
