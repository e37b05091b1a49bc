"""Which way of doing a step trains a network: the one that is expected to take the least time.

What a step costs is a sum of what it consists of, each with the nanoseconds that one of them takes: so many products of
vectors, numbers to transpose, parameters to update.  The nanoseconds were fitted to the steps of 500 random networks on
one thread of a Zen 4, which `asv_bench/fit_plan.py` does again in half a minute: half of the steps take that within
10 %, nine of ten within 25 %.  By the ways that are chosen so, steps take 2 % longer in the mean than by the best
way for each, and 5 % where that may be another for two threads.  If all went by columns it would be 15 %.

On other processors the nanoseconds are others, but what is counted is what counts there too; of a Xeon with AVX-512 it
is known that small networks are faster by units on it as well.  Not known: Arm, and processors with shorter vectors.

`linear` is chosen wherever it can be: by another way, steps take 1.04 to 1.7 times as long.
"""

from functools import lru_cache
from types import ModuleType

import numpy.typing as npt

from fastnn.network import Network
from fastnn.training.ways import columns, linear, online, units


def cost(way: ModuleType, network: Network, batch_size: int, dtype: npt.DTypeLike) -> float:
    """The nanoseconds that a step is expected to take by this way."""
    terms = way.terms(network, batch_size, dtype)
    return float(sum(count * each for count, each in zip(terms, way.NANOSECONDS, strict=True)))


@lru_cache(maxsize=32)
def way_of(network: Network, batch_size: int, dtype: npt.DTypeLike, is_clipped: bool = False) -> ModuleType:
    """The way that takes the least time; where gradients are clipped, of those that have them whole."""
    if linear.can(network, batch_size, dtype):
        return linear
    ways = [way for way in (online, units, columns)[is_clipped:] if way.can(network, batch_size, dtype)]
    return min(ways, key=lambda way: cost(way, network, batch_size, dtype))
