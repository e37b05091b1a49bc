"""A matrix of columns with pieces beside them, held by positions: see `kernels.products.pieces`."""

from typing import Any, Self

import numpy as np
import numpy.typing as npt

from fastnn.network import Array


class PieceMatrix:
    """Columns (n_samples, n) and, behind them, the pieces of some of these, of which only positions are held.

    Parameters
    ----------
    numbers : array (n_samples, n)
        The columns.
    positions : array (n_samples, k)
        For each column with pieces, in which piece a number lies, and how far in it: from 0 to that column's n_pieces.
    n_pieces : tuple of int
        How many pieces each of these columns has.

    Attributes
    ----------
    shape : (int, int)
        That of the whole matrix: n + sum of n_pieces columns.
    dtype : dtype
    """

    def __init__(self, numbers: Array, positions: Array, n_pieces: tuple[int, ...]) -> None:
        self.numbers, self.positions, self.n_pieces = numbers, positions, n_pieces
        self.shape, self.dtype = (len(numbers), numbers.shape[1] + sum(n_pieces)), numbers.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> Self:
        return type(self)(self.numbers[rows], self.positions[rows], self.n_pieces)

    def toarray(self) -> npt.NDArray[Any]:
        """The matrix (n_samples, n + sum of n_pieces)."""
        out, at = np.empty(self.shape, self.dtype), self.numbers.shape[1]
        out[:, :at] = self.numbers
        for c, n in enumerate(self.n_pieces):
            out[:, at : at + n] = np.clip(self.positions[:, c, np.newaxis] - np.arange(n), 0, 1) - 0.5
            at += n
        return out

    def n_inputs(self, width: int) -> int:
        """How many inputs a network takes that makes `width` numbers of the pieces of a column."""
        return self.numbers.shape[1] + width * len(self.n_pieces)
