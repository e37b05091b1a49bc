"""The order of the examples: that of `numpy.random.RandomState.shuffle`, sooner."""

import ctypes
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn.kernels import shuffle as shuffling


def _state(bits: Any) -> npt.NDArray[np.uint32]:
    """The memory of a Mersenne Twister of NumPy: its words, and how many of them are used up (N + 1,)."""
    memory = (ctypes.c_uint32 * (shuffling.N + 1)).from_address(bits.ctypes.state_address)
    return np.frombuffer(memory, np.uint32)


@cache
def _state_is_known() -> bool:
    """Whether this NumPy keeps the state as others have."""
    bits = np.random.MT19937(0)
    state: Any = bits.state["state"]
    return np.array_equal(_state(bits), [*state["key"], state["pos"]])


def shuffle(order: npt.NDArray[np.int64], random_state: np.random.RandomState) -> None:
    """random_state.shuffle(order), sooner."""
    bits: Any = random_state._bit_generator
    if type(bits) is not np.random.MT19937 or not _state_is_known():
        random_state.shuffle(order)
        return
    with bits.lock:
        shuffling.shuffle(order, _state(bits), np.empty(shuffling.N, np.uint32))
