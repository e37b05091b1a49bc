"""How many threads train: measured while they do."""

from math import inf
from statistics import median

#: Seconds between two returns to Python: how soon an interrupt is heard.
SLICE = 0.1
#: Seconds of training that decide whether another number of threads is faster; and of one of the calls in which they
#: are measured.
TRIAL, CALL = 0.03, 0.002
#: Seconds until a larger number is tried again: soon at first, later seldom; and how many times as long until a smaller
#: one is, which lets cores fall asleep.
SOON, SELDOM, SMALLER = 0.2, 1.0, 5
#: How much slower the larger of two teams may seem after a trial, and still take the next turn; and after that.  A
#: virtual core is moved to a better physical one only while it is busy: so the larger team stays unless it is clearly
#: slower.
DOUBT, SURE = 1.15, 1.03


class Crew:
    """How many threads train: the number that is fastest, measured while they do.

    It depends on the network, the machine and what else that does: where another process takes a core, a team of two
    waits for it and is slower than one thread alone.  The result is the same for all, to the bit.

    Parameters
    ----------
    most, guess : int
        The largest number, and the first.
    """

    def __init__(self, most: int, guess: int) -> None:
        self.sizes = sorted({most, *(2**k for k in range(most.bit_length()))})
        self.size = self._settled = guess
        self.seconds_per_step: dict[int, float] = {}
        self.fastest = inf  # seconds a step of the best call
        self._pace = 0.0  # and of the last one
        self._awake = False  # the first call of a team wakes its threads, and the first of all may compile
        self._trial = False
        self._steps, self._seconds = 0, 0.0  # of this turn
        self._paces: list[float] = []  # of the calls of a trial
        self._now, self._patience = 0.0, SOON  # seconds of training, and until other sizes are tried again
        self._tried: dict[int, float] = {}  # when each was

    def steps(self) -> int | None:
        """How many steps the next call should take; None where nothing is known."""
        if not self._pace:
            return None
        if not self._awake:
            return max(1, int(CALL / 8 / self._pace))  # it may be much slower
        return max(1, int((CALL if self._trial else max(SLICE - self._seconds, CALL)) / self._pace))

    def note(self, n_steps: int, seconds: float) -> None:
        """These steps took so long: decide who takes the next ones."""
        self._pace = seconds / n_steps
        if not self._awake:
            self._awake = True
            return
        self.fastest = min(self.fastest, self._pace)
        self._steps, self._seconds = self._steps + n_steps, self._seconds + seconds
        if self._trial:
            self._paces.append(self._pace)
        hopeless = len(self._paces) > 2 and self._seconds > 2 * self._steps * min(self.seconds_per_step.values())
        if self._seconds < (TRIAL if self._trial else SLICE) and not hopeless:
            return
        # A core that was idle is slow at first.  And a single call in which the system moves a thread says nothing.
        pace = median(self._paces[len(self._paces) // 2 :]) if self._trial else self._seconds / self._steps
        self._now += self._seconds
        self._steps, self._seconds, self._paces = 0, 0.0, []
        before, paces = self.size, self.seconds_per_step
        paces[before], self._tried[before] = pace, self._now
        doubt = (DOUBT if self._trial else SURE) * min(paces.values())
        self.size = max(size for size in paces if paces[size] <= doubt)
        if self.size != self._settled:
            self._settled, self._patience = self.size, SOON
        old = [
            size
            for size in paces
            if size != self.size
            and self._now - self._tried[size] > self._patience * (SMALLER if size < self.size else 1)
        ]
        if old:
            self._patience = min(2 * self._patience, SELDOM)
        for size in old:
            del paces[size]
        place = self.sizes.index(self.size)
        untried = set(self.sizes[max(place - 1, 0) : place + 2]) - set(paces)
        self._trial = bool(untried)
        self.size = min(untried, default=self.size)
        self._awake = self.size == before
