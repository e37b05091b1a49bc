"""Calls of kernels: on one thread or on a team, with the GIL kept or let go."""

import os
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
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


class Kernel(NamedTuple):
    """A kernel, to be called alone or as one of a team; and the kernel that calls it on a team."""

    alone: Any
    team: Any

    def __call__(self, wanted: int, seconds: float, dtype: np.dtype[Any], *args: Any) -> None:
        """Call it on up to `wanted` threads, if a region can be had, for about so many seconds."""
        keeps_gil = seconds < BRIEF
        if wanted > 1 and not _alone and _region.acquire(blocking=False):
            try:
                if numba_threads.threading_layer() == "workqueue":
                    self._with_helpers(wanted, new_team(wanted), *args)
                else:
                    self.team(self.compile(dtype, *args), keeps_gil, wanted, new_team(wanted), *args)
            finally:
                _region.release()
        else:
            self.alone(keeps_gil, 1, new_team(1), *args)

    def is_compiled(self, dtype: np.dtype[Any]) -> bool:
        """Whether there is machine code for arrays of a dtype already."""
        return (self.alone, dtype) in _addresses

    def compile(self, dtype: np.dtype[Any], *args: Any) -> int:
        """The address of the machine code for arrays of a dtype, in arguments like these."""
        if not self.is_compiled(dtype):
            kinds = tuple(map(typeof, (True, 1, new_team(1), *args)))
            with WORKERS.wish_for([(self.team.full_name, (types.int64, *kinds))]):
                _addresses[self.alone, dtype] = address_of(self.alone, kinds)
        return _addresses[self.alone, dtype]

    def _with_helpers(self, wanted: int, *args: Any) -> None:
        """The same call by this thread and threads of our own.

        Numba's layer "workqueue" aborts the process where two threads enter a region at once, and the other may be
        anybody's.  It takes 60 us to enter one; to call the helpers takes about as long.  Who comes late, because
        a busy thread has the GIL, finds the team closed (see `team.roll_call`).
        """
        calls: list[Future[None]] = []
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
