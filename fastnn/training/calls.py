"""Calls of kernels: on one thread or on a team, with the GIL kept or let go."""

import os
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import typeof, types
from numba.np.ufunc import parallel as numba_threads

from fastnn import progress
from fastnn.kernels.machine.jit import address_of
from fastnn.kernels.machine.team import new_team
from fastnn.kernels.machine.workers import WORKERS
from fastnn.kernels.products.sparse import Rows
from fastnn.network import Array

#: Seconds below which a call keeps the GIL: a busy thread gives it back after as long as this.
BRIEF = sys.getswitchinterval()
#: Two teams at once crowd the cores: whoever comes second works alone.
_region = threading.Lock()
#: Whether this process may start a region: a child of a process that had threads has none, and OpenMP would abort it.
_alone = False
#: Where the machine code of a kernel for a dtype is.
_addresses: dict[tuple[Any, np.dtype[Any]], int] = {}

progress.report_compilations()


def _after_fork() -> None:
    """In a forked child: a lock that a thread of the parent held stays locked for ever, and its threads are gone."""
    global _alone, _region
    _region, _alone = threading.Lock(), _alone or numba_threads._is_initialized


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@contextmanager
def team_of(wanted: int) -> Iterator[int]:
    """How many threads make the call in this block: as many as are wanted, or one where no region can be had."""
    if wanted > 1 and not _alone and _region.acquire(blocking=False):
        try:
            yield wanted
        finally:
            _region.release()
    else:
        yield 1


def has_helpers(size: int) -> bool:
    """Whether a team of this size consists of threads of our own: see `Kernel.with_helpers`."""
    return size > 1 and numba_threads.threading_layer() == "workqueue"


class Kernel(NamedTuple):
    """A kernel, to be called alone or as one of a team; and the kernel that calls it by its address."""

    alone: Any
    caller: Any

    def __call__(self, wanted: int, seconds: float, dtype: np.dtype[Any], *args: Any) -> None:
        """Call it on up to `wanted` threads, if a region can be had, for about so many seconds."""
        keeps_gil = seconds < BRIEF
        if wanted == 1:
            self.alone(keeps_gil, 1, new_team(1), *args)
            return
        with team_of(wanted) as size:
            if size == 1:
                self.alone(keeps_gil, 1, new_team(1), *args)
            elif has_helpers(size):
                self.with_helpers(size, *args)
            else:
                self.caller(self.compile(dtype, *args), keeps_gil, size, new_team(size), *args)

    def is_compiled(self, dtype: np.dtype[Any]) -> bool:
        """Whether there is machine code for arrays of a dtype already."""
        return (self.alone, dtype) in _addresses

    def compile(self, dtype: np.dtype[Any], *args: Any, more: tuple[Any, ...] = ()) -> int:
        """The address of the machine code for arrays of a dtype, in arguments like these.

        More is what its caller takes besides.
        """
        if not self.is_compiled(dtype):
            kinds = tuple(map(typeof, (True, 1, new_team(1), *args)))
            with WORKERS.wish_for([(self.caller.full_name, (types.int64, *kinds, *map(typeof, more)))]):
                _addresses[self.alone, dtype] = address_of(self.alone, kinds)
        return _addresses[self.alone, dtype]

    def with_helpers(self, wanted: int, *args: Any) -> None:
        """A call by this thread and threads of our own.

        Numba's layer "workqueue" aborts the process where two threads enter a region at once, and the other may be
        anybody's.  It takes 60 us to enter one; to call the helpers takes about as long.  Who comes late, because
        a busy thread has the GIL, finds the team closed (see `team.roll_call`).
        """
        calls, args = list[Future[None]](), (new_team(wanted), *args)
        try:
            with suppress(RuntimeError):  # at the end of the interpreter there are no new threads
                for _ in range(wanted - 1):
                    calls.append(_helpers().submit(self.alone, False, wanted, *args))
            self.alone(False, wanted, *args)
        finally:
            wait([call for call in calls if not call.cancel()])


@cache
def _helpers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(numba_threads.NUM_THREADS, "fastnn")


def examples(array: npt.ArrayLike, dtype: npt.DTypeLike) -> Array:
    """The array as the kernels read it: C-contiguous, of this dtype, and read-only; copied only where it has to be.

    Read-only always, because to Numba that is another type: memory maps would need other machine code.
    """
    if isinstance(array, np.ndarray) and array.dtype == dtype and array.flags.c_contiguous and array.flags.aligned:
        view: Array = array.view()  # what `require` would find out, but sooner
    else:
        view = np.require(array, dtype, ["C", "A"]).view()
    view.flags.writeable = False
    return view


def rows_of(X: Any, dtype: npt.DTypeLike) -> Rows:
    """The rows of a sparse X as the kernels read them; copied only where they have to be.

    Raises
    ------
    ValueError
        Where it is broken: neither SciPy nor scikit-learn looks at all its numbers.
    """
    X = X.tocsr()
    starts, n_numbers = X.indptr, len(X.data)
    if (
        len(X.indices) < n_numbers
        or starts[0] != 0
        or starts[-1] > n_numbers
        or (np.diff(starts) < 0).any()
        or (n_numbers and (X.indices.min() < 0 or X.indices.max() >= X.shape[1]))
    ):
        raise ValueError(f"the sparse X of shape {X.shape} is broken: its indices or its indptr are out of range")
    features, starts = (
        np.require(array, kind, ["C", "A"]).view() for array, kind in ((X.indices, np.int32), (starts, np.int64))
    )
    features.flags.writeable = starts.flags.writeable = False
    return Rows(examples(X.data, dtype), features, starts)
