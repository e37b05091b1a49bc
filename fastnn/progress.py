"""Looking on: what happens in a fit, epoch by epoch, and what is being compiled."""

import sys
from collections.abc import Callable, Collection, Generator, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple


@dataclass(frozen=True)
class Epoch:
    """What one epoch of training came to.

    Attributes
    ----------
    n_iter, max_iter : int
        The number of the epoch, from 1, and of the last one that may come.
    loss : float
        The mean over the epoch, penalty included.
    validation_score : float or None
        Accuracy or R^2, where ``early_stopping`` has one computed.
    n_samples : int
        Examples trained on in this epoch.
    seconds : float
        How long that took.
    validation_loss : float or None
        The mean loss of the validation set, without the penalty.
    learning_rate : float or None
        In the last step; None for "lbfgs".
    gradient_norm : float or None
        The mean over the steps, where ``clip_norm`` has it computed.

    Examples
    --------
    >>> import fastnn
    >>> epochs = []
    >>> with fastnn.watch(epochs.append):
    ...     _ = fastnn.MLPRegressor(max_iter=2, random_state=0).fit([[0.0], [1.0]], [0.0, 1.0])
    >>> [epoch.n_iter for epoch in epochs]
    [1, 2]
    """

    n_iter: int
    max_iter: int
    loss: float
    validation_score: float | None
    n_samples: int
    seconds: float
    validation_loss: float | None = None
    learning_rate: float | None = None
    gradient_norm: float | None = None


_watchers: ContextVar[tuple[Callable[[Epoch], object], ...]] = ContextVar("watchers", default=())
_compilation_watchers: ContextVar[tuple[Callable[[str], object], ...]] = ContextVar("compilation_watchers", default=())


@contextmanager
def _added(callback: Callable[..., object], watchers: ContextVar[tuple[Callable[..., object], ...]]) -> Iterator[None]:
    """One watcher more, within the block."""
    token = watchers.set((*watchers.get(), callback))
    try:
        yield
    finally:
        watchers.reset(token)


@contextmanager
def watch(callback: Callable[[Epoch], object]) -> Iterator[None]:
    """Have `callback` called after every epoch of every fit within the block, pipelines and searches included.

    Parameters
    ----------
    callback : callable
        Takes an `Epoch`.  A KeyboardInterrupt that it raises ends the fit as Ctrl-C does, with a usable model.

    Examples
    --------
    >>> import fastnn
    >>> losses = []
    >>> with fastnn.watch(lambda epoch: losses.append(epoch.loss)):
    ...     _ = fastnn.MLPRegressor(max_iter=3, random_state=0).fit([[0.0], [1.0]], [0.0, 1.0])
    >>> len(losses)
    3
    """
    with _added(callback, _watchers):
        yield


@contextmanager
def bar(max_iter: int) -> Iterator[None]:
    """A progress bar for the fits within the block, in a terminal or a notebook; an ImportError without rich."""
    try:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    except ImportError as error:
        raise ImportError("verbose='bar' needs rich: install fastnn-mlp[cli]") from error
    columns = BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[told]}"), TimeRemainingColumn()
    with Progress(*columns) as drawn:
        task = drawn.add_task("epochs", total=max_iter, told="")

        def show(epoch: Epoch) -> None:
            score = "" if epoch.validation_score is None else f", validation score {epoch.validation_score:.4f}"
            drawn.update(task, completed=epoch.n_iter, total=epoch.max_iter, told=f"loss {epoch.loss:.4g}{score}")

        with watch(show):
            yield


def is_watched() -> bool:
    """Whether anybody wants to know of the epochs that end here."""
    return bool(_watchers.get())


def report(epoch: Epoch) -> None:
    """Tell whoever watches."""
    for callback in _watchers.get():
        callback(epoch)


class Parts(NamedTuple):
    """Fits that are done in parts: after which epochs each pauses, and what is left of them to do."""

    pauses: Collection[int]
    fits: list[Generator[int, None, None]]


_parts: ContextVar[Parts | None] = ContextVar("parts", default=None)


@contextmanager
def in_parts(pauses: Collection[int]) -> Iterator[list[Generator[int, None, None]]]:
    """Have each `fit` within the block return before it trains, and leave an iterator that does.

    That yields after these epochs, where the model predicts as if training had ended, which `close` makes true.
    """
    parts = Parts(pauses, [])
    token = _parts.set(parts)
    try:
        yield parts.fits
    finally:
        _parts.reset(token)


def parts_wanted() -> Parts | None:
    """Whether the fits that begin here are done in parts, and in which."""
    return _parts.get()


_noticed = False


@contextmanager
def compilation(callback: Callable[[str], object]) -> Iterator[None]:
    """Have `callback` called with the name of each kernel whose compilation begins within the block.

    A kernel is compiled when it is first used on a machine; later its machine code is loaded, and nothing is reported.
    Where nobody watches, a process that compiles says so once, if there is a terminal.

    Parameters
    ----------
    callback : callable
        Takes the name of the kernel.

    Examples
    --------
    >>> import fastnn
    >>> names = []
    >>> with fastnn.compilation(names.append):
    ...     fastnn.warmup()
    """
    report_compilations()
    with _added(callback, _compilation_watchers):
        yield


def _notice(name: str) -> None:
    global _noticed
    from fastnn.kernels.machine.cache import CAN_WRITE

    with suppress(AttributeError, OSError, ValueError):  # there may be no stderr, or anything in its place
        if not _noticed and sys.stderr.isatty():
            _noticed = True
            kept = "they are kept for next time" if CAN_WRITE else "they cannot be kept (`fastnn info` says why)"
            print(
                f"fastnn: compiling the kernels for this processor, which takes some seconds; {kept}",
                file=sys.stderr,
                flush=True,
            )


@cache
def report_compilations() -> None:
    """From now on, tell whoever watches what is being compiled."""
    from fastnn.kernels.machine.code import WATCHERS

    def tell(name: str) -> None:
        for callback in _compilation_watchers.get() or (_notice,):
            callback(name)

    WATCHERS.append(tell)
