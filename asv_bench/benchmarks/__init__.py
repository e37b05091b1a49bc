"""Benchmarks of fastnn. The library is a parameter: rivals are measured in the same way, where they are installed."""

from fastnn.comparison import installed, thread_counts

THREADS = {"1": 1, "all": thread_counts()[-1]}


def skip_missing(library: str) -> None:
    """Skip the benchmark if the library is not installed: to be called first in `setup`, before data are made."""
    if library not in installed():
        raise NotImplementedError(f"{library} is not installed")
