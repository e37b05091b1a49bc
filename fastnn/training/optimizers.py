"""Optimizers: their constants, their moments, and the numbers of each step: see `kernels.laws.optimizers`."""

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from fastnn.kernels.laws.optimizers import ALPHA, AVERAGE, L1, RATE, RULES, Rule
from fastnn.network import Array
from fastnn.training.schedules import Average, Schedule

Numbers = npt.NDArray[np.float64]


@dataclass
class Optimizer:
    """What all optimizers have.

    Attributes
    ----------
    learning_rate : float
        The step size now; a schedule and the correction of a bias come besides.
    t : int
        How many steps were taken.
    moments : array (n_moments * n_params,) or None
        Those of all parameters, one after the other; the average of the weights comes last, if there is one.
    by_inputs : bool
        How each of them is laid out: see `parameters`.
    schedule : Schedule or None
        What the learning rate is multiplied by.
    l1_ratio : float
        Which part of the penalty is L1.
    average : Average or None
        How the average of the weights is formed.
    seed : int
        Of what is random in a step.
    """

    learning_rate_init: float
    learning_rate: float = field(init=False)
    t: int = field(init=False, default=0)
    moments: Array | None = field(init=False, default=None, repr=False)
    by_inputs: bool = field(init=False, default=False, repr=False)
    schedule: Schedule | None = field(init=False, default=None, repr=False)
    l1_ratio: float = field(init=False, default=0.0)
    average: Average | None = field(init=False, default=None, repr=False)
    seed: int = field(init=False, default=0)

    law: ClassVar[str] = "no_step"

    def __post_init__(self) -> None:
        self.learning_rate = float(self.learning_rate_init)

    @property
    def rule(self) -> Rule:
        """The update of one parameter."""
        rule = RULES[self.law]
        if self.l1_ratio or self.average:
            return replace(rule, has_l1=self.l1_ratio > 0, is_averaged=self.average is not None)
        return rule

    @property
    def n_moments(self) -> int:
        """How many numbers are kept for each parameter."""
        return RULES[self.law].n_moments + (self.average is not None)

    def constants(self) -> list[float]:
        """What the rule needs besides the rates."""
        return []

    def rates(self, factors: Any, n_steps: int) -> Any:
        """The rates of the rule in each of the next steps, or for all; factors: those of the schedule."""
        return self.learning_rate * factors

    def numbers(self, alpha: float, n_steps: int) -> Numbers:
        """What the rule takes in each of the next steps, where alpha is the strength of the penalty."""
        rule = RULES[self.law]
        numbers = np.empty((n_steps, RATE + rule.n_rates))
        factors = self.schedule.factors(self.t, n_steps) if self.schedule else 1.0
        penalty = alpha * self.learning_rate * factors if rule.is_decoupled else alpha
        numbers[:, ALPHA], numbers[:, L1] = penalty * (1 - self.l1_ratio), penalty * self.l1_ratio
        numbers[:, AVERAGE] = self.average.factors(self.t, n_steps) if self.average else 0.0
        numbers.T[RATE:] = self.rates(factors, n_steps)
        return numbers

    def steps_end(self, n_steps: int) -> None:
        """What so many steps do, once they are done."""
        self.t += n_steps

    def state(self) -> dict[str, float]:
        """The numbers that change, but for the moments."""
        return {name: value for name, value in vars(self).items() if type(value) in (int, float)}

    is_for_one_epoch = False

    def iteration_ends(self, time_step: int) -> None:
        """What an epoch's end does, after `time_step` examples in all."""

    def trigger_stopping(self, message: str, verbose: bool) -> bool:
        """Whether to stop when there is no progress any more; on a plateau, the step size is divided by 5 before."""
        if not self.falls_on_plateaus:
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

    @property
    def falls_on_plateaus(self) -> bool:
        """Whether the learning rate is divided by 5 where training would stop, until it is below 1e-6."""
        return self.schedule is not None and self.schedule.law == "plateau"


@dataclass
class SGD(Optimizer):
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

    momentum: float = 0.9
    nesterovs_momentum: bool = True
    lr_schedule: str = "constant"
    power_t: float = 0.5

    @property
    def law(self) -> str:  # type: ignore[override]
        """The name of its rule."""
        return "nesterov" if self.nesterovs_momentum else "sgd"

    def constants(self) -> list[float]:
        """The decay of the velocity."""
        return [self.momentum]

    @property
    def is_for_one_epoch(self) -> bool:  # type: ignore[override]
        """Whether the learning rate is another in every epoch."""
        return self.lr_schedule == "invscaling"

    def iteration_ends(self, time_step: int) -> None:
        """What an epoch's end does, after `time_step` examples in all."""
        if self.lr_schedule == "invscaling":
            self.learning_rate = float(self.learning_rate_init) / (time_step + 1) ** self.power_t

    @property
    def falls_on_plateaus(self) -> bool:
        """As "plateau" does, so does "adaptive"."""
        return self.lr_schedule == "adaptive" or super().falls_on_plateaus


#: Rates that are computed at a time, for those who ask for one after the other.
BLOCK = 256


def _powers(beta: float, t: Any) -> Any:
    """beta^t = e^(t log beta), which takes an eighth of the time of a power, 0.07 us that a short step would feel."""
    # e^-700 is as good as 0, and beyond that NumPy may raise.
    return np.exp(np.maximum(t * np.log(beta), -700.0)) if beta else 0.0 * t


def _adam_rates(rate: float, beta_1: float, beta_2: float, first: int, n_steps: int) -> Numbers:
    """The learning rate of the steps from `first` on, correction of the bias included."""
    t = np.arange(first, first + n_steps)
    with np.errstate(divide="ignore", invalid="ignore"):  # of step 0, which nobody takes
        return np.asarray(rate * np.sqrt(1 - _powers(beta_2, t)) / (1 - _powers(beta_1, t)))


@lru_cache
def _adam_block(rate: float, beta_1: float, beta_2: float, number: int) -> Numbers:
    return _adam_rates(rate, beta_1, beta_2, number * BLOCK, BLOCK)


@dataclass
class Adam(Optimizer):
    """Adam (Kingma & Ba 2015).

    Parameters
    ----------
    learning_rate_init, beta_1, beta_2, epsilon : float
        Step size, decays of the two moments, and what keeps the division finite.
    """

    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8

    law = "adam"

    @property
    def last_rate(self) -> float:
        """The step size of the last step, correction of the bias included."""
        return float(_adam_rates(self.learning_rate, self.beta_1, self.beta_2, max(self.t, 1), 1)[0])

    def constants(self) -> list[float]:
        """Decays of the moments, and what keeps the division finite."""
        return [self.beta_1, 1 - self.beta_1, self.beta_2, 1 - self.beta_2, self.epsilon]

    def rates(self, factors: Any, n_steps: int) -> Any:
        """The learning rate of each of the next steps, correction of the bias included."""
        parameters, first = (self.learning_rate, self.beta_1, self.beta_2), self.t + 1
        if n_steps > BLOCK:
            return _adam_rates(*parameters, first, n_steps) * factors
        block = _adam_block(*parameters, first // BLOCK)
        if first % BLOCK + n_steps > BLOCK:
            block = np.concatenate([block, _adam_block(*parameters, first // BLOCK + 1)])
        return block[first % BLOCK : first % BLOCK + n_steps] * factors


@dataclass
class AdamW(Adam):
    """Adam with a decay of the weights that is no part of the gradient (Loshchilov & Hutter 2019).

    Parameters
    ----------
    learning_rate_init, beta_1, beta_2, epsilon : float
        As in Adam.
    """

    law = "adamw"


@dataclass
class NAdam(Adam):
    """Adam with Nesterov's momentum (Dozat 2016).

    Parameters
    ----------
    learning_rate_init, beta_1, beta_2, epsilon : float
        As in Adam.

    Attributes
    ----------
    product : float
        mu_1 ... mu_t, with the decays mu_t = beta_1 (1 - 0.96^(t / 250) / 2).
    """

    product: float = field(init=False, default=1.0)

    law = "nadam"

    def _decays(self, n: int) -> Numbers:
        """mu of the next n steps."""
        t = np.arange(self.t + 1, self.t + n + 1)
        return np.asarray(self.beta_1 * (1 - 0.5 * 0.96 ** (t * 0.004)))

    def rates(self, factors: Any, n_steps: int) -> Any:
        """What m and g are multiplied by in each of the next steps (2, n_steps)."""
        mu = self._decays(n_steps + 1)
        products = self.product * np.cumprod(mu)
        t = np.arange(self.t + 1, self.t + n_steps + 1)
        c = self.learning_rate * factors * np.sqrt(1 - _powers(self.beta_2, t))
        return np.array([c * mu[1:] / (1 - products[1:]), c * (1 - mu[:-1]) / (1 - products[:-1])])

    def steps_end(self, n_steps: int) -> None:
        """What so many steps do, once they are done."""
        self.product *= float(np.prod(self._decays(n_steps)))
        super().steps_end(n_steps)


@dataclass
class RMSprop(Optimizer):
    """A step size for each weight, by the mean of the squares of its gradient (Tieleman & Hinton 2012).

    Parameters
    ----------
    learning_rate_init, rho, epsilon : float
        Step size, decay of the mean, and what keeps the division finite.
    """

    rho: float = 0.9
    epsilon: float = 1e-8

    law = "rmsprop"

    def constants(self) -> list[float]:
        """Decay of the mean, and what keeps the division finite."""
        return [self.rho, 1 - self.rho, self.epsilon]


@dataclass
class NoStep(Optimizer):
    """Parameters stay as they are; the gradient of the last step is left in `moments`."""

    learning_rate_init: float = 0.0


#: Those that train, by the names of the solvers.
OPTIMIZERS: dict[str, type[Optimizer]] = {
    "sgd": SGD,
    "adam": Adam,
    "adamw": AdamW,
    "nadam": NAdam,
    "rmsprop": RMSprop,
}


def to_dict(optimizer: Optimizer) -> dict[str, Any]:
    """The optimizer as plain data, which others than fastnn can hold."""
    state = dict(vars(optimizer), solver=next(name for name, kind in OPTIMIZERS.items() if kind is type(optimizer)))
    for name in ("schedule", "average"):
        if state.get(name) is not None:
            state[name] = dict(vars(state[name]))
    return state


def from_dict(state: dict[str, Any]) -> Optimizer:
    """The optimizer whose `to_dict` this is."""
    state = dict(state)
    kind = OPTIMIZERS[state.pop("solver")]
    optimizer = kind.__new__(kind)
    for name, of in ("schedule", Schedule), ("average", Average):
        if state.get(name) is not None:
            made: Any = of.__new__(of)
            vars(made).update(state[name])
            state[name] = made
    vars(optimizer).update(state)
    return optimizer
