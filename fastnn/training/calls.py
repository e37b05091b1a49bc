"""Calls of kernels: on one thread or on a team, with the GIL kept or let go."""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from math import inf
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastnn import progress, system
from fastnn.kernels.layouts.examples import Pieces, Rows
from fastnn.kernels.machine import words as team
from fastnn.kernels.machine.code import Code, Entry, entry
from fastnn.kernels.machine.kinds import kind_of
from fastnn.kernels.machine.words import new_team
from fastnn.network import Array, issparse
from fastnn.pieces import PieceMatrix

#: Seconds below which a call keeps the GIL: a busy thread gives it back after as long as this.
BRIEF = SWITCH = sys.getswitchinterval()
#: The same where other threads of ours are at work, which give it back soon.
BRIEF_AMONG_OURS = 5e-5
#: For what part of the time that a call takes, at most, it waits for helpers that are asleep.
PATIENCE = 0.05
#: Seconds between short calls, and of a call, for which helpers are woken.
RARE = 1e-3
#: What a helper does: see `kernels.machine.team`.
SERVE = entry("machine.team.serve")
#: The machine code of kernels for a dtype, and that of the kernels that call them on a team.
_alone: dict[tuple[Entry, np.dtype[Any]], Code] = {}
_on_team: dict[tuple[Entry, np.dtype[Any]], Code] = {}

progress.report_compilations()


class Stopped(BaseException):
    """Another thread has told this one to stop: see `fastnn.many`."""


class Here(threading.local):
    """What a call has to know of the thread that it is made in."""

    brief = BRIEF
    is_stopped: Callable[[], bool] | None = None

    def keeps_gil(self, seconds: float) -> bool:
        """Whether a call of so many seconds keeps the GIL."""
        return seconds < self.brief

    @property
    def is_one_of_many(self) -> bool:
        """Whether what is done here is a task of `fastnn.many.at_once`, which an interrupt ends with all the others."""
        return self.is_stopped is not None

    def go_on(self) -> None:
        """Raise `Stopped` where the thread is to stop."""
        if self.is_stopped and self.is_stopped():
            raise Stopped


here = Here()


class Helpers:
    """Threads of our own that wait for jobs: see `kernels.machine.team`.

    They are started when they are first wanted, and woken then; who wants them for long waits until they are there.
    """

    def __init__(self) -> None:
        self.words = np.zeros(system.most_threads() * team.LINE, np.int64)
        # Two teams at once crowd the cores: whoever comes second works alone.  Not a lock, which an interrupt could
        # leave locked for ever: whose team it is, as long as that lives.
        self._team: dict[str, weakref.ref[team_of]] = {}
        self._calls: list[threading.Lock] = []  # each is held until its helper is called
        self._threads: list[threading.Thread] = []
        self._is_closed, self._asked = False, -inf

    def claim(self, holder: team_of) -> bool:
        """Whether the helpers are the holder's now, until it gives them back or is no more."""
        mine = weakref.ref(holder)
        other = self._team.setdefault("of", mine)
        if other is not mine and other() is None:
            self._team.pop("of", None)
            other = self._team.setdefault("of", mine)
        return other is mine

    def give_back(self) -> None:
        """Nobody has them."""
        self._team.pop("of", None)

    def call(self, wanted: int, seconds: float) -> None:
        """Have wanted - 1 of them come; for a call of so many seconds, wait some of that time until they are there.

        For a short call that comes alone nobody is woken, which takes longer.
        """
        with suppress(RuntimeError):  # at the end of the interpreter there are no new threads
            while len(self._threads) < min(wanted - 1, len(self.words) // team.LINE) and not self._is_closed:
                self._start()
        words, mine = self.words, range(team.HOW, min(wanted - 1, len(self._threads)) * team.LINE, team.LINE)
        if all(words.item(how) >= team.READY for how in mine):
            return
        now = time.perf_counter()
        before, self._asked = self._asked, now
        if seconds < RARE and now - before > RARE:
            return
        for helper, how in enumerate(mine):
            if words[how] == team.ASLEEP:
                words[how] = team.CALLED
                with suppress(RuntimeError):  # it is called by `close`
                    self._calls[helper].release()
        end = now + min(PATIENCE * seconds, SWITCH)
        while any(words.item(how) == team.CALLED for how in mine) and time.perf_counter() < end:
            time.sleep(0)  # which lets go of the GIL

    def _start(self) -> None:
        i, called, serve = len(self._threads), threading.Lock(), SERVE.like(self.words, 0).call
        called.acquire()

        def help() -> None:
            while True:
                called.acquire()
                if self._is_closed:
                    return
                serve(self.words, i * team.LINE)

        thread = threading.Thread(target=help, name=f"fastnn-{i}", daemon=True)
        thread.start()
        self._calls.append(called)
        self._threads.append(thread)

    def close(self) -> None:
        """The interpreter ends: who waits goes home, and who is at work when that is done."""
        self._is_closed = True
        for called, thread in zip(self._calls, self._threads, strict=True):
            with suppress(RuntimeError):  # it is called already
                called.release()
            thread.join(1)


_helpers = Helpers()


def _after_fork() -> None:
    """In a forked child: the helpers are the parent's, and a lock that one of its threads held stays locked."""
    global _helpers
    _helpers = Helpers()


atexit.register(lambda: _helpers.close())
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class team_of:
    """How many threads, at most, make the call of so many seconds in this block, and the words of the helpers."""

    def __init__(self, wanted: int, seconds: float) -> None:
        self.helpers, self.wanted, self.seconds, self.most = _helpers, wanted, seconds, 1

    def __enter__(self) -> tuple[int, npt.NDArray[np.int64]]:
        if self.wanted > 1 and self.helpers.claim(self):
            self.helpers.call(self.wanted, self.seconds)
            self.most = self.wanted
        return self.most, self.helpers.words

    def __exit__(self, *exception: object) -> None:
        if self.most > 1:
            self.helpers.give_back()


#: Kinds of arguments but for the dtype: arrays that are read or written to, and their numbers.
READ, WRITTEN, READ_VECTOR, WRITTEN_VECTOR, NUMBER = "const {}[:,::1]", "{}[:,::1]", "const {}[::1]", "{}[::1]", "{}"


class ByDtype:
    """A kernel that takes arrays of one dtype, and whose machine code is loaded when it is first called for that."""

    def __init__(self, name: str, *kinds: str) -> None:
        self._entry, self._kinds = entry(name), kinds
        self._calls: dict[np.dtype[Any], Any] = {}

    def wish(self, dtype: np.dtype[Any]) -> tuple[str, tuple[str, ...]]:
        """Its name, and the kinds of its arguments for a dtype: other processes may compile it."""
        return self._entry.full_name, tuple(kind.format(dtype.name) for kind in self._kinds)

    def __call__(self, dtype: np.dtype[Any], *args: Any) -> Any:
        if dtype not in self._calls:
            self._calls[dtype] = self._entry.load(self.wish(dtype)[1]).call
        return self._calls[dtype](*args)


class Kernel(NamedTuple):
    """A kernel, to be called alone or as one of a team; and the kernel that calls it by its address, on a team.

    What it takes besides arrays of a dtype is of the same kinds in all calls.
    """

    alone: Entry
    caller: Entry

    def __call__(self, wanted: int, seconds: float, dtype: np.dtype[Any], *args: Any) -> None:
        """Call it on up to `wanted` threads, if they can be had, for about so many seconds."""
        code = self.code(dtype, *args)
        if wanted == 1:
            code.call(here.keeps_gil(seconds), 1, new_team(1), *args)
            return
        with team_of(wanted, seconds) as (most, helpers):
            call, keeps_gil = self.code_on_team(dtype, *args).call, here.keeps_gil(seconds)
            call(code.address, keeps_gil, most, new_team(most), helpers, *args)

    def is_loaded(self, dtype: np.dtype[Any]) -> bool:
        """Whether there is machine code for arrays of a dtype already."""
        return (self.alone, dtype) in _alone and (self.alone, dtype) in _on_team

    def code(
        self, dtype: np.dtype[Any], *args: Any, more: tuple[Any, ...] = (), before: Callable[[], list[Any]] = list
    ) -> Code:
        """The machine code for arrays of a dtype, in arguments like these.

        More is what its caller takes besides.  If it has to be compiled, so has its caller, and what `before` returns.
        """
        key = self.alone, dtype
        if key not in _alone:
            team, rest = kind_of(new_team(1)), tuple(map(kind_of, args))

            def all_that_is_needed() -> list[Any]:
                return [(self.caller.full_name, self._kinds_on_team(*args, *more)), *before()]

            _alone[key] = self.alone.load(("bool", "int64", team, *rest), all_that_is_needed)
        return _alone[key]

    def code_on_team(self, dtype: np.dtype[Any], *args: Any) -> Code:
        """That of its caller, in arguments like these, with what the caller takes besides."""
        key = self.alone, dtype
        if key not in _on_team:
            _on_team[key] = self.caller.load(self._kinds_on_team(*args))
        return _on_team[key]

    def _kinds_on_team(self, *args: Any) -> tuple[Any, ...]:
        team = kind_of(new_team(1))
        return "int64", "bool", "int64", team, kind_of(_helpers.words), *map(kind_of, args)


def examples(array: npt.ArrayLike, dtype: npt.DTypeLike) -> Array:
    """The array as the kernels read it: C-contiguous, of this dtype, and read-only; copied only where it has to be.

    Read-only always, because to Numba that is another type: memory maps would need other machine code.
    """
    if isinstance(array, np.ndarray) and array.dtype == dtype and array.flags.c_contiguous and array.flags.aligned:
        view: Array = array.view()  # what `require` would find out, but sooner
    else:
        view = np.require(array, dtype, ["C", "A"]).view()
    view.setflags(write=False)
    return view


def pieces_of(X: Any, dtype: npt.DTypeLike) -> Pieces:
    """A `PieceMatrix` as the kernels read it; copied only where it has to be."""
    starts = np.cumsum([0, *X.n_pieces])
    return Pieces(examples(X.numbers, dtype), examples(X.positions, dtype), examples(starts, np.int64))


def taken(X: Any, dtype: npt.DTypeLike) -> Any:
    """Examples as the kernels read them: an array, sparse, or columns with pieces."""
    if issparse(X):
        return rows_of(X, dtype)
    return pieces_of(X, dtype) if isinstance(X, PieceMatrix) else examples(X, dtype)


def rows_of(X: Any, dtype: npt.DTypeLike) -> Rows:
    """The rows of a sparse X as the kernels read them; copied only where they have to be.

    Raises
    ------
    ValueError
        Where it is broken: neither SciPy nor scikit-learn looks at all its numbers.
    """
    X = X.tocsr()
    starts = X.indptr
    n_numbers = int(starts[-1])  # there may be room for more
    features = X.indices[:n_numbers]
    if (
        min(len(features), len(X.data)) < n_numbers
        or len(starts) != X.shape[0] + 1
        or starts[0] != 0
        or (np.diff(starts) < 0).any()
        or (n_numbers and (features.min() < 0 or features.max() >= X.shape[1]))
    ):
        raise ValueError(f"the sparse X of shape {X.shape} is broken: its indices or its indptr are out of range")
    features, starts = (
        np.require(array, kind, ["C", "A"]).view() for array, kind in ((features, np.int32), (starts, np.int64))
    )
    features.flags.writeable = starts.flags.writeable = False
    return Rows(examples(X.data[:n_numbers], dtype), features, starts)
