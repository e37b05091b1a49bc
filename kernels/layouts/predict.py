"""Forward propagation: its workspace: see `kernels.predict`."""

from typing import NamedTuple

import numpy as np

from fastnn.kernels.layouts.run import Model


class Room(NamedTuple):
    """The workspace of a prediction by up to n_threads threads; `width` examples have room in each."""

    work: np.ndarray  # (n_threads, any): the activations, at the offsets of the table of layers
    width: int
    rows: np.ndarray  # 0, 1 ... for as many examples as are taken at a time


class Kept(NamedTuple):
    """What many predictions have in common."""

    model: Model
    room: Room
    team: np.ndarray  # the state of a team of n_threads
    refused: np.ndarray  # (n_threads,)
