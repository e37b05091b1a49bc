"""Which way of doing a step trains a network."""

from types import ModuleType

import numpy.typing as npt

from fastnn.network import Network
from fastnn.training.ways import columns, linear, online, units


def way_of(network: Network, batch_size: int, dtype: npt.DTypeLike) -> ModuleType:
    """The way that takes the least time."""
    if linear.can(network, batch_size, dtype):
        return linear
    if online.can(network, batch_size, dtype):
        return online
    return units if units.is_small(network, batch_size, dtype) else columns
