"""The clock: things timed turn by turn (A B C A B C ...), so that a change of the machine's speed meets them all."""

import time
from collections.abc import Callable, Iterator, Sequence


def timed(run: Callable[[int], object], n: int) -> float:
    """Seconds for one of the n steps or calls that run(n) does."""
    start = time.perf_counter()
    run(n)
    return (time.perf_counter() - start) / n


def interleaved(
    turns: Sequence[Callable[[int], object]], *, n_runs: int, seconds: float, pause: float, least: int
) -> Iterator[tuple[int, float]]:
    """Time the turns one after another, n_runs times, once each has been through untimed runs that warm it up.

    Parameters
    ----------
    turns : sequence of callables
        Each does n steps or calls, when called with n.
    n_runs : int
        Timed runs of each.
    seconds : float
        Length of a run, roughly.
    pause : float
        Seconds of rest before each run: idle threads of the library before may spin for some 25 ms.
    least : int
        Steps or calls in a run at least, however long they take.

    Yields
    ------
    turn : int
        Whose run has just ended.
    seconds : float
        What a step or call of it took.
    """
    lengths = []
    for run in turns:
        time.sleep(pause)
        run(1)  # compiles
        length = least
        while (step := timed(run, length)) * length < seconds:  # until it runs as it will
            length *= 2
        lengths.append(max(least, int(seconds / step)))
    for _ in range(n_runs):
        for turn, (run, length) in enumerate(zip(turns, lengths, strict=True)):
            time.sleep(pause)
            run(1 + length // 10)  # wakes the threads and fills the caches
            yield turn, timed(run, length)
