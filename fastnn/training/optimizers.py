"""Optimizers: their constants, their moments, and the learning rate of each step."""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn.kernels.laws.optimizers import RULES, Rule
from fastnn.network import Array
from fastnn.training.schedules import Schedule


def factors(schedule: Schedule | None, n_steps: int) -> Any:
    """Those of a schedule, or 1."""
    return schedule.factors(n_steps) if schedule else 1.0


@dataclass
class SGD:
    """Stochastic gradient descent with momentum.

    Parameters
    ----------
    learning_rate_init, momentum : float
        Step size and decay of the velocity.
    nesterovs_momentum : bool
        Whether the gradient counts from where the velocity leads (Sutskever et al. 2013).
    lr_schedule : {"constant", "invscaling", "adaptive"}
        What becomes of the learning rate: nothing; divided by t^power_t at the end of an epoch, with t the examples
        seen; divided by 5 where training would stop, until it is below 1e-6.
    power_t : float
        Exponent of "invscaling".
    """

    learning_rate_init: float
    momentum: float = 0.9
    nesterovs_momentum: bool = True
    lr_schedule: str = "constant"
    power_t: float = 0.5
    learning_rate: float = field(init=False)
    moments: Array | None = field(init=False, default=None, repr=False)
    by_inputs: bool = field(init=False, default=False, repr=False)  # how they are laid out: see `parameters`
    schedule: Schedule | None = field(init=False, default=None, repr=False)

    n_moments = 1

    def __post_init__(self) -> None:
        self.learning_rate = float(self.learning_rate_init)

    @property
    def rule(self) -> Rule:
        """The update of one parameter."""
        return RULES["nesterov" if self.nesterovs_momentum else "sgd"]

    def constants(self) -> list[float]:
        """What the rule needs besides the rate."""
        return [self.momentum]

    def alphas(self, alpha: float, n_steps: int) -> npt.NDArray[np.float64]:
        """The strength of the L2 penalty in each of the next steps."""
        return np.full(n_steps, alpha)

    def rates(self, n_steps: int) -> npt.NDArray[np.float64]:
        """The learning rate of each of the next steps."""
        return np.full(n_steps, self.learning_rate) * factors(self.schedule, n_steps)

    def steps_end(self, n_steps: int) -> None:
        """What so many steps do, once they are done."""
        if self.schedule:
            self.schedule.n_taken += n_steps

    @property
    def is_for_one_epoch(self) -> bool:
        """Whether the learning rate is another in every epoch."""
        return self.lr_schedule == "invscaling"

    def iteration_ends(self, time_step: int) -> None:
        """What an epoch's end does, after `time_step` examples in all."""
        if self.lr_schedule == "invscaling":
            self.learning_rate = float(self.learning_rate_init) / (time_step + 1) ** self.power_t

    def trigger_stopping(self, message: str, verbose: bool) -> bool:
        """Whether to stop when there is no progress any more."""
        if self.lr_schedule != "adaptive":
            if verbose:
                print(message + " Stopping.")
            return True
        if self.learning_rate <= 1e-6:
            if verbose:
                print(message + " Learning rate too small. Stopping.")
            return True
        self.learning_rate /= 5.0
        if verbose:
            print(f"{message} Setting learning rate to {self.learning_rate:f}")
        return False


#: Rates that are computed at a time, for those who ask for one after the other.
BLOCK = 256


def _adam_rates(rate: float, beta_1: float, beta_2: float, first: int, n_steps: int) -> npt.NDArray[np.float64]:
    """The learning rate of the steps from `first` on, correction of the bias included."""
    # beta^t = e^(t log beta): a power takes eight times as long, 0.07 us that a short step would feel.
    # e^-700 is as good as 0, and beyond that NumPy may raise.
    t = np.arange(first, first + n_steps)
    decay_1, decay_2 = (np.exp(np.maximum(t * np.log(beta), -700.0)) if beta else 0.0 * t for beta in (beta_1, beta_2))
    with np.errstate(divide="ignore", invalid="ignore"):  # of step 0, which nobody takes
        return np.asarray(rate * np.sqrt(1 - decay_2) / (1 - decay_1))


@lru_cache
def _adam_block(rate: float, beta_1: float, beta_2: float, number: int) -> npt.NDArray[np.float64]:
    return _adam_rates(rate, beta_1, beta_2, number * BLOCK, BLOCK)


@dataclass
class Adam:
    """Adam (Kingma & Ba 2015).

    Parameters
    ----------
    learning_rate_init, beta_1, beta_2, epsilon : float
        Step size, decays of the two moments, and what keeps the division finite.
    """

    learning_rate_init: float
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    t: int = 0
    moments: Array | None = field(init=False, default=None, repr=False)
    by_inputs: bool = field(init=False, default=False, repr=False)  # how they are laid out: see `parameters`
    schedule: Schedule | None = field(init=False, default=None, repr=False)

    n_moments = 2
    is_for_one_epoch = False

    @property
    def learning_rate(self) -> float:
        """The step size of the last step, correction of the bias included."""
        return float(_adam_rates(self.learning_rate_init, self.beta_1, self.beta_2, max(self.t, 1), 1)[0])

    @property
    def rule(self) -> Rule:
        """The update of one parameter."""
        return RULES["adam"]

    def constants(self) -> list[float]:
        """What the rule needs besides the rate."""
        return [self.beta_1, 1 - self.beta_1, self.beta_2, 1 - self.beta_2, self.epsilon]

    def alphas(self, alpha: float, n_steps: int) -> npt.NDArray[np.float64]:
        """The strength of the L2 penalty in each of the next steps."""
        return np.full(n_steps, alpha)

    def rates(self, n_steps: int) -> npt.NDArray[np.float64]:
        """The learning rate of each of the next steps, correction of the bias included."""
        parameters, first = (self.learning_rate_init, self.beta_1, self.beta_2), self.t + 1
        if n_steps > BLOCK or self.schedule:
            return _adam_rates(*parameters, first, n_steps) * factors(self.schedule, n_steps)
        block = _adam_block(*parameters, first // BLOCK)
        if first % BLOCK + n_steps > BLOCK:
            block = np.concatenate([block, _adam_block(*parameters, first // BLOCK + 1)])
        return block[first % BLOCK : first % BLOCK + n_steps]

    def steps_end(self, n_steps: int) -> None:
        """What so many steps do, once they are done."""
        self.t += n_steps
        if self.schedule:
            self.schedule.n_taken += n_steps

    def iteration_ends(self, time_step: int) -> None:
        """Nothing: the moments do it all."""

    def trigger_stopping(self, message: str, verbose: bool) -> bool:
        """Whether to stop when there is no progress any more: always."""
        if verbose:
            print(message + " Stopping.")
        return True


@dataclass
class AdamW(Adam):
    """Adam with a decay of the weights that is no part of the gradient (Loshchilov & Hutter 2019).

    Parameters
    ----------
    learning_rate_init, beta_1, beta_2, epsilon : float
        As in Adam.
    """

    @property
    def rule(self) -> Rule:
        """The update of one parameter."""
        return RULES["adamw"]

    def alphas(self, alpha: float, n_steps: int) -> npt.NDArray[np.float64]:
        """What part of themselves the weights lose in each of the next steps."""
        return np.full(n_steps, alpha * self.learning_rate_init) * factors(self.schedule, n_steps)


@dataclass
class NoStep:
    """Parameters stay as they are; the gradient of the last step is left in `moments`."""

    moments: Array | None = field(init=False, default=None, repr=False)

    n_moments = 1

    @property
    def rule(self) -> Rule:
        """The update of one parameter."""
        return RULES["no_step"]

    def constants(self) -> list[float]:
        """None."""
        return []

    def alphas(self, alpha: float, n_steps: int) -> npt.NDArray[np.float64]:
        """The strength of the L2 penalty in each of the next steps."""
        return np.full(n_steps, alpha)

    def rates(self, n_steps: int) -> npt.NDArray[np.float64]:
        """Of no meaning."""
        return np.zeros(n_steps)

    def steps_end(self, n_steps: int) -> None:
        """Nothing."""
