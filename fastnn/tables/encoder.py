"""`TableEncoder`: a table of numbers, texts and dates in, the float32 matrix out that a network reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from . import columns, decisions
from .columns import Column, TableError, check_columns, listed
from .encoding import VERSION, Encoding, Unusual
from .frames import Frame


class TableEncoder(TransformerMixin, Encoding, BaseEstimator):
    """Make a float32 matrix of a table with numbers, texts, booleans and dates.

    What each column is, is decided in `fit` from all of its values and kept: the same
    value gives the same inputs in every later table, whatever stands beside it.

    * Numbers, booleans and dates: one input, (x - mean) / scale; the median where a value is missing.  A few numbers
      that are far out do not count for the scale.
    * Categories: one input each, 1 where the row has it; 0 in all of them for an unknown one.
    * Left out, with a reason: columns without values, with the same value in each row, and those that count the rows
      (of a data frame) or have another text in each.

    Parameters
    ----------
    categorical, numeric, dates, ignore : sequence of str, default=()
        Names of columns that are categories, numbers, dates, or not to be read, whatever their values look like.
        `dates` may be a dict of name to order: "ymd", "dmy" or "mdy".
    decimal : {None, ".", ","}, default=None
        The decimal mark of numbers that are written as text. None: as the values of each column show.
    max_categories : int, default=100
        Categories kept of a column at most, the most frequent ones.

    Attributes
    ----------
    columns_ : list of Number and Category
        The columns that are read, in this order.
    left_out_ : dict of str to str
        The other columns, and why.
    notes_ : list of str
        What a user should know about the table, a sentence each.
    n_features_in_ : int
        Number of columns of the table.
    feature_names_in_ : ndarray of str
        Their names, if they have some. Later tables may have other columns besides, in any order.

    Raises
    ------
    TableError
        No column to learn from, a column of another kind than any above, or a name in the parameters that is none.

    Examples
    --------
    >>> import pandas as pd
    >>> from fastnn import TableEncoder
    >>> flowers = pd.DataFrame({"petal": [1.4, 4.7, None], "colour": ["white", "violet", "white"]})
    >>> encoder = TableEncoder().fit(flowers)
    >>> encoder.get_feature_names_out().tolist()
    ['petal', 'colour=violet', 'colour=white']
    >>> encoder.transform(flowers).shape
    (3, 3)
    """

    def __init__(
        self,
        *,
        categorical: Sequence[str] = (),
        numeric: Sequence[str] = (),
        dates: Sequence[str] | Mapping[str, str] = (),
        ignore: Sequence[str] = (),
        decimal: str | None = None,
        max_categories: int = 100,
    ) -> None:
        self.categorical = categorical
        self.numeric = numeric
        self.dates = dates
        self.ignore = ignore
        self.decimal = decimal
        self.max_categories = max_categories

    def fit(self, X: Any, y: Any = None, *, rows: Any = None) -> Self:
        """Decide what each column is, and learn it.

        Parameters
        ----------
        X : DataFrame (pandas, polars, Arrow) or array of shape (n_rows, n_columns)
            The table to learn from.
        y : None
            Not looked at.
        rows : array of int, default None
            Positions of the rows to learn medians, means and categories from, such as those that a split has put aside
            to train; None: all. What a column is, its decimal mark and its order of dates, is decided from all rows, so
            that it does not depend on the split.

        Returns
        -------
        self
        """
        frame = Frame.of(X)
        names = frame.names
        to_learn = None if rows is None else np.arange(len(frame.rows))[rows]
        if to_learn is not None and not len(to_learn):
            raise ValueError("rows is empty, but the positions of rows to learn from are wanted")
        forced = self._forced(names)
        table = {name: frame.column(j) for j, name in enumerate(names) if forced.get(name) != "ignore"}
        texts: dict[str, decisions.Text] = {}
        counts = {}
        for name, column in table.items():
            known = decisions.typed(name, column, forced.get(name))
            if known is None:
                counts[name] = decisions.count(column)
            else:
                texts[name] = known
        open_ = [name for name in counts if forced.get(name) != "category"]
        others = decisions.told_marks(table[name] for name in open_)
        orders = dict(self.dates) if isinstance(self.dates, Mapping) else {}
        for name in counts:
            texts[name] = (
                decisions.Text("date", orders[name])
                if name in orders
                else decisions.decide_text(name, counts[name], forced.get(name), self.decimal, others)
            )
        self.columns_: list[Column] = []
        self.left_out_: dict[str, str] = {}
        self.notes_: list[str] = []
        spare = []
        if commas := [name for name in open_ if texts[name].kind == "number" and texts[name].form == ","]:
            shown = next((text for name in commas for text in counts[name] if "," in text), "")
            self.notes_.append(f"numbers with a decimal comma{shown and f', such as {shown},'} are in {listed(commas)}")
        for name in names:
            if name not in table:
                self.left_out_[name] = "as told"
                continue
            decision = decisions.decide(
                name,
                table[name],
                texts[name],
                forced.get(name),
                self.max_categories,
                frame.rows,
                to_learn,
                frame.named,
            )
            self.notes_ += decision.notes
            if decision.column is None or decision.row_numbers:
                self.left_out_[name] = decision.reason
                spare += [decision.column] if decision.column else []
            else:
                self.columns_.append(decision.column)
        if not self.columns_ and spare:
            self.columns_ = spare
            for found in spare:
                reason = self.left_out_.pop(found.name)
                self.notes_.append(f"column {found.name!r} is read although it holds {reason}: there is no other")
        if not self.columns_:
            reasons = ", ".join(f"{name!r} ({reason})" for name, reason in list(self.left_out_.items())[:20])
            one = "; there is 1 sample only" if len(frame.rows) == 1 else ""
            raise TableError(f"no column to learn from{one}; left out are {reasons}")
        self._keep_names(names, frame.named)
        return self

    def transform(self, X: Any) -> NDArray[np.float32]:
        """The matrix, of shape (n_rows, n_features_out).

        Parameters
        ----------
        X : DataFrame (pandas, polars, Arrow) or array of shape (n_rows, n_columns)
            A table with the columns that `fit` saw.

        Returns
        -------
        array (n_rows, n_features_out)
            float32.

        Raises
        ------
        TableError
            A column is missing, or holds something else than it did when the encoder was fitted.

        Warns
        -----
        UserWarning
            Of a column of numbers or dates, no text in ten rows or more can be read: they count as missing.
        """
        check_is_fitted(self)
        return super().transform(X)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:
        """One name for each column of the matrix: of the column, or ``column=category``.

        Parameters
        ----------
        input_features : sequence of str or None, default None
            None, or the names that `fit` saw.

        Returns
        -------
        array (n_features_out,) of str
        """
        check_is_fitted(self)
        if input_features is not None and list(input_features) != self._names:
            raise ValueError("input_features is not equal to feature_names_in_")
        return np.array([name for column in self.columns_ for name in column.outputs], object)

    def summary(self) -> list[tuple[str, str, str]]:
        """What was decided of each column.

        Returns
        -------
        list of (name, kind, detail)
            The kind is "left out" where a column is not read; the detail is the reason then.
        """
        check_is_fitted(self)
        read = {column.name: (column.name, str(column.kind), column.detail) for column in self.columns_}
        return [read.get(name, (name, "left out", self.left_out_.get(name, ""))) for name in self._names]

    def unusual(self, X: Any) -> list[str]:
        """Sentences about what this table has and that of training had not.

        Values far outside the range (further from it than it is wide), values that are no numbers, unknown categories,
        and missing values where none was missing.

        Parameters
        ----------
        X : DataFrame (pandas, polars, Arrow) or array of shape (n_rows, n_columns)
            A table with the columns that `fit` saw.

        Returns
        -------
        list of str
            Empty where there is nothing to tell.
        """
        found = Unusual(self)
        found.add(X)
        return found.sentences()

    def to_state(self) -> dict[str, Any]:
        """The fitted encoder as dicts, lists, strings and numbers, for a JSON file.

        Returns
        -------
        dict
            What `from_state` takes.
        """
        check_is_fitted(self)
        parameters = self.get_params()
        for name in ("categorical", "numeric", "dates", "ignore"):
            given = parameters[name]
            parameters[name] = dict(given) if isinstance(given, Mapping) else list(map(str, given))
        return {
            "version": VERSION,
            "parameters": parameters,
            "names": self._names,
            "named": hasattr(self, "feature_names_in_"),
            "columns": [columns.to_dict(column) for column in self.columns_],
            "left_out": self.left_out_,
            "notes": self.notes_,
        }

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if "columns_" in state:  # as data alone: who loads it has no more classes to trust
            state["columns_"] = [columns.to_dict(column) for column in state["columns_"]]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if hasattr(self, "columns_"):  # what older ones have pickled were the objects
            self.columns_ = [columns.from_dict(c) if isinstance(c, dict) else c for c in self.columns_]

    def _forced(self, names: list[str]) -> dict[str, str]:
        """What the user said of columns."""
        if self.decimal not in (None, ".", ","):
            raise ValueError(f"decimal is {self.decimal!r}, but '.', ',' or None is wanted")
        if isinstance(self.dates, Mapping):
            for name, order in self.dates.items():
                if order not in ("ymd", "dmy", "mdy"):
                    raise ValueError(f"dates says {order!r} of column {name!r}, but ymd, dmy or mdy is wanted")
        forced: dict[str, str] = {}
        given = {"category": "categorical", "number": "numeric", "date": "dates", "ignore": "ignore"}
        for kind, parameter in given.items():
            value = getattr(self, parameter)
            for name in [value] if isinstance(value, str) else value:
                check_columns(names, [str(name)])
                if str(name) in forced:
                    raise ValueError(f"column {name!r} is said to be a {forced[str(name)]} and in {parameter} as well")
                forced[str(name)] = kind
        return forced

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        tags.transformer_tags.preserves_dtype = []
        return tags
