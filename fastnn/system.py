"""What the machine has: how many threads to use, and what `fastnn info` prints."""

import os
import platform
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache, lru_cache
from numbers import Integral
from typing import Any

import fastnn

_n_threads: int | None = None


def set_n_threads(n_threads: int | None) -> None:
    """How many threads this process may use, where an estimator says nothing else.

    It is a limit: small steps are faster on fewer, and while it trains fastnn measures how many are best.

    Parameters
    ----------
    n_threads : int or None
        None for as many as there are cores, less those that the affinity of the process, the quota of its container,
        the variable OMP_NUM_THREADS or Numba (NUMBA_NUM_THREADS, `numba.set_num_threads`) do not leave it.  A number
        counts for all threads of Python and goes before OMP_NUM_THREADS.

    Raises
    ------
    ValueError
        Unless it is None or a positive integer.

    Examples
    --------
    >>> import fastnn
    >>> fastnn.set_n_threads(1)
    >>> fastnn.get_n_threads()
    1
    >>> fastnn.set_n_threads(None)
    """
    global _n_threads
    if n_threads is not None and (not isinstance(n_threads, Integral) or isinstance(n_threads, bool) or n_threads < 1):
        raise ValueError(f"n_threads must be a positive integer or None, got {n_threads!r}")
    _n_threads = None if n_threads is None else int(n_threads)


def get_n_threads(n_threads: int | None = None) -> int:
    """How many threads may be used.

    Numba starts its threads once: there are never more than that, nor than `numba.set_num_threads` allows.

    Parameters
    ----------
    n_threads : int or None, default None
        How many are asked for; None for what `set_n_threads` says.

    Returns
    -------
    int
        At least 1.

    Examples
    --------
    >>> import fastnn
    >>> fastnn.get_n_threads(1)
    1
    """
    return min(n_threads or _n_threads or _usual_n_threads(), _limit())


def most_threads() -> int:
    """How many threads Numba starts at most: NUMBA_NUM_THREADS, or the cores that this process may use."""
    if sys.modules.get("numba") is not None:
        from numba import config

        return int(vars(config)["NUMBA_NUM_THREADS"])
    wanted = os.environ.get("NUMBA_NUM_THREADS", "")
    if wanted.isdecimal() and int(wanted):
        return int(wanted)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Share(threading.local):
    """How many threads this one may use, where others are at work beside it."""

    n_threads: int | None = None


_share = _Share()


def share_threads(n_threads: int) -> None:
    """From now on, this thread uses at most so many."""
    _share.n_threads = n_threads


def _limit() -> int:
    """How many threads there may be, whatever is asked for."""
    share = _share.n_threads or most_threads()
    parallel = sys.modules.get("numba.np.ufunc.parallel")
    if getattr(parallel, "_is_initialized", False):  # or else to ask Numba would start its threads
        from numba import get_num_threads

        return min(share, get_num_threads())
    return share


def _usual_n_threads() -> int:
    """The cores that this process may use, or OMP_NUM_THREADS if that is less, which may be a list: "4,2"."""
    import joblib  # now: it takes long, and what is soon predicted takes one thread

    wanted = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    affinity = frozenset(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    cores = _cores(joblib.cpu_count, affinity, os.environ.get("LOKY_MAX_CPU_COUNT"), int(time.monotonic()))
    return min(cores, int(wanted)) if wanted.isdecimal() and int(wanted) else cores


@lru_cache(maxsize=1)
def _cores(count: Callable[[], int], affinity: Any, limit: str | None, second: int) -> int:
    """What joblib counts, which takes 60 us: once a second, or where something that it looks at has changed."""
    return count()


_blas = threading.Lock()


@cache
def _controller() -> Any:
    """The libraries that are loaded: to look for them takes as long as many an optimization."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


@contextmanager
def blas_on_one_thread() -> Iterator[None]:
    """While SciPy works between our calls: idle threads of its BLAS would spin on the cores of the team.

    One block at a time, because each puts back the number that it found; a second one leaves BLAS as it is.
    """
    if _blas.acquire(blocking=False):
        try:
            with _controller().limit(limits=1, user_api="blas"):
                yield
        finally:
            _blas.release()
    else:
        yield


def _processor() -> str:
    if sys.platform == "linux":
        with suppress(OSError), open("/proc/cpuinfo") as lines:
            for line in lines:
                if line.lower().startswith(("model name", "hardware", "cpu model")):
                    return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _about_cache() -> str:
    """What the folders of machine code are used for, and which are not."""
    from fastnn.kernels.machine import cache

    elsewhere = f"kept in {cache.FOLDERS[-1]}" if cache.CAN_WRITE else "compiled by every process"
    said = [
        "none can be used: everything is compiled by every process"
        if not cache.FOLDERS
        else "read and written"
        if cache.CAN_WRITE and len(cache.FOLDERS) == 1
        else f"read only; what is missing in it is {elsewhere}"
    ]
    return "; ".join([*said, *(f"{place} is not used: {why}" for place, why in cache.REFUSED.items())])


def system_info() -> dict[str, Any]:
    """Versions, processor, SIMD width, threads and cache folder, for reports.

    Returns
    -------
    dict
        JSON-able.  "cache_folder" is where machine code is looked for first, or None; "cache" says whether it can be
        written, and which folders were not used, and why.
    """
    import llvmlite
    import numpy
    import sklearn

    from fastnn.kernels.machine import cache, host

    return {
        "fastnn": fastnn.__version__,
        "numba": host.numba_version(),
        "llvmlite": llvmlite.__version__,
        "numpy": numpy.__version__,
        "scikit-learn": sklearn.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": _processor(),
        "cores": os.cpu_count(),
        "threads": get_n_threads(),
        "simd_bits": 8 * host.REGISTER_BYTES,
        "tile": f"{host.ROWS} x {host.COLS}",
        "cache_folder": str(cache.FOLDERS[0]) if cache.FOLDERS else None,
        "cache": _about_cache(),
    }
