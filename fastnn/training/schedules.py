"""Schedules: what the learning rate is multiplied by, and how weights are averaged, as training goes on."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]


def cosine(progress: Numbers) -> Numbers:
    """(1 + cos(pi t)) / 2 (Loshchilov & Hutter 2017)."""
    return (1 + np.cos(np.pi * progress)) / 2


def one_cycle(progress: Numbers) -> Numbers:
    """Up from 1/25 to 1 in the first 30 %, then down to 1/250 000, both along a cosine (Smith & Topin 2018)."""
    up, down = cosine(1 - progress / 0.3), cosine((progress - 0.3) / 0.7)
    return np.where(progress < 0.3, 1 / 25 + (1 - 1 / 25) * up, 4e-6 + (1 - 4e-6) * down)


def step(progress: Numbers) -> Numbers:
    """1, a tenth from the half on, a hundredth from three quarters on (He et al. 2016)."""
    return np.where(progress < 0.5, 1, np.where(progress < 0.75, 0.1, 0.01))


def coslog4(progress: Numbers) -> Numbers:
    """(1 - cos(2 pi log2(1 + 15 t))) / 2: four cycles, each twice as long as the last (Holzmüller et al. 2024)."""
    return (1 - np.cos(2 * np.pi * np.log2(1 + 15 * progress))) / 2


#: All of them, by their names.
SCHEDULES: dict[str, Callable[[Numbers], Numbers]] = {law.__name__: law for law in (cosine, one_cycle, step, coslog4)}


class Schedule:
    """The factors of a run of steps.

    Parameters
    ----------
    law : str or callable
        A name in the table, "constant", "plateau" (which goes by the epochs: see `optimizers`), or a function of the
        progress, a number between 0 and 1.
    warmup : float
        In which part of the steps, from the first on, the rate rises in proportion.
    n_steps : int
        How many there will be.
    """

    def __init__(self, law: Any, warmup: float, n_steps: int) -> None:
        self.law, self.warmup, self.n_steps = law, warmup, n_steps

    def factors(self, first: int, n_steps: int) -> Numbers:
        """Of the steps from `first` on."""
        return self.at(np.arange(first, first + n_steps))

    def at(self, steps: npt.NDArray[np.int64]) -> Numbers:
        """Of these steps: each at its middle, so that none is 0 because it is the first or the last."""
        progress = (steps + 0.5) / self.n_steps
        if callable(self.law):
            factors = np.array([float(self.law(float(t))) for t in progress])
            if not (np.isfinite(factors).all() and (factors >= 0).all()):
                raise ValueError(f"learning_rate must give numbers that are not negative, got {factors.min()}")
        else:
            factors = SCHEDULES[self.law](progress) if self.law in SCHEDULES else np.ones(len(steps))
        return factors * np.minimum(progress / self.warmup, 1) if self.warmup else factors


class Average:
    """How far the average of the weights goes to where they are, after each step.

    Parameters
    ----------
    law : {"ema", "swa"}
        The exponential moving average; or the mean over the steps from `start` on (Izmailov et al. 2018).
    decay : float
        Of "ema": the part of the average that stays, once that is less than (1 + t) / (10 + t) in step t = 0, 1 ...: or
        in a short training it would be the first weights (TensorFlow's `num_updates`).
    start : float
        Of "swa": after which part of the steps.
    n_steps : int
        How many there will be.
    """

    def __init__(self, law: str, decay: float, start: float, n_steps: int) -> None:
        self.law, self.decay, self.first = law, decay, int(start * n_steps)

    def factors(self, first: int, n_steps: int) -> Numbers:
        """Of the steps from `first` on."""
        t = np.arange(first, first + n_steps)
        if self.law == "ema":
            return np.where(t == 0, 1.0, np.maximum(1 - self.decay, 9 / (10 + t)))
        return 1 / np.maximum(t - self.first + 1.0, 1.0)
