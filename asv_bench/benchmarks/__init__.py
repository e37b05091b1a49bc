"""Benchmarks of fastnn. The library is a parameter: rivals are measured in the same way, where they are installed."""

from collections.abc import Callable

from fastnn.comparison import steps

THREADS = {"1": 1, "all": steps.thread_counts()[-1]}


def skip_missing(library: str, installed: Callable[[], list[str]] = steps.installed) -> None:
    """Skip the benchmark if the library is not installed: to be called first in `setup`, before data are made."""
    if library not in installed():
        raise NotImplementedError(f"{library} is not installed")
