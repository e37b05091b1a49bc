"""Examples that are no plain array."""

from typing import NamedTuple

import numpy as np


class Rows(NamedTuple):
    """The rows of X, compressed (CSR): those of row i are the numbers from starts[i] to starts[i + 1]."""

    numbers: np.ndarray  # (n_numbers,)
    features: np.ndarray  # (n_numbers,), int32: the column of each
    starts: np.ndarray  # (n_samples + 1,), int64


class Pieces(NamedTuple):
    """X (n_samples, n), and where the numbers of some of its columns are among their edges."""

    numbers: np.ndarray  # (n_samples, n)
    positions: np.ndarray  # (n_samples, k): p of each column that has pieces
    starts: np.ndarray  # (k + 1,), int64: where the pieces of each begin, among those of all
