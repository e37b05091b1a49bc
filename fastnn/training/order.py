"""The order of the examples: that of `numpy.random.RandomState.shuffle`, sooner."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn.kernels.layouts.epochs import N

Words = npt.NDArray[np.uint32]


def _state(bits: Any) -> Words:
    """The memory of a Mersenne Twister of NumPy: its words, and how many of them are used up (N + 1,)."""
    memory = (ctypes.c_uint32 * (N + 1)).from_address(bits.ctypes.state_address)
    return np.frombuffer(memory, np.uint32)


@cache
def _state_is_known() -> bool:
    """Whether this NumPy keeps the state as others have."""
    bits = np.random.MT19937(0)
    state: Any = bits.state["state"]
    return np.array_equal(_state(bits), [*state["key"], state["pos"]])


def is_mersenne_twister(random_state: np.random.RandomState) -> bool:
    """Whether the kernels can shuffle by the numbers of this one."""
    is_numpys = type(random_state) is np.random.RandomState  # another may have a `shuffle` of its own
    return is_numpys and type(random_state._bit_generator) is np.random.MT19937 and _state_is_known()


@contextmanager
def words_of(random_state: np.random.RandomState | None) -> Iterator[Words]:
    """What `kernels.shuffle` needs of a Mersenne Twister, while nobody else draws from it; nothing, of none."""
    if random_state is None:
        yield np.empty(0, np.uint32)
        return
    bits: Any = random_state._bit_generator
    with bits.lock:
        yield _state(bits)
