"""Optimizers: the rule for one parameter w, by the gradient g of the penalised mean and the rate of the step.

A rule is written for vectors of parameters: it adds, multiplies, divides and takes roots.  It returns the new w, and
the new moments.  What goes with any rule, the penalty and the average of the weights, is in `units.update_unit`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

#: What changes from step to step: the strength of the L2 penalty (or, where that is decoupled, the part of themselves
#: that weights lose) and of the L1 penalty (or, what they lose); how far the average goes to where the weights are;
#: from RATE on, the rates of the rule.
ALPHA, L1, AVERAGE, RATE = range(4)


@dataclass(frozen=True)
class Rule:
    """An update rule.

    Parameters
    ----------
    name : str
        Of the rule.
    step : callable
        step(w, g, *rates, *moments, *constants), which returns the new (w, *moments).
    n_moments, n_constants, n_rates : int
        How many it takes.
    is_decoupled : bool
        Whether the penalty is no part of the gradient: the weights shrink before the step.
    has_l1 : bool
        Whether there is an L1 penalty as well.
    is_averaged : bool
        Whether the average of the weights is kept, behind the moments.
    """

    name: str
    step: Callable[..., tuple[float, ...]]
    n_moments: int
    n_constants: int
    n_rates: int = 1
    is_decoupled: bool = False
    has_l1: bool = False
    is_averaged: bool = False


def sgd(w, g, rate, v, momentum):
    """v = mu v - rate g, w += v."""
    v = momentum * v - rate * g
    return w + v, v


def nesterov(w, g, rate, v, momentum):
    """v = mu v - rate g, w += mu v - rate g: from where the velocity leads (Sutskever et al. 2013)."""
    v = momentum * v - rate * g
    return w + (momentum * v - rate * g), v


def adam(w, g, rate, m, v, beta_1, rest_1, beta_2, rest_2, epsilon):
    """m = b1 m + (1 - b1) g, v = b2 v + (1 - b2) g^2, w -= rate m / (sqrt(v) + epsilon) (Kingma & Ba 2015).

    The correction of the bias is in `rate`: learning rate * sqrt(1 - b2^t) / (1 - b1^t), their section 2.
    `rest_1` is 1 - b1, `rest_2` 1 - b2.
    """
    m = beta_1 * m + rest_1 * g
    v = beta_2 * v + rest_2 * (g * g)
    return w - rate * m / (sqrt(v) + epsilon), m, v


def nadam(w, g, rate_m, rate_g, m, v, beta_1, rest_1, beta_2, rest_2, epsilon):
    """Adam's moments, w -= (rate_m m + rate_g g) / (sqrt(v) + epsilon): from where m leads (Dozat 2016).

    With the decays mu_t = b1 (1 - 0.96^(t / 250) / 2), and c = learning rate * sqrt(1 - b2^t):
    rate_m = c mu_{t+1} / (1 - mu_1 ... mu_{t+1}), rate_g = c (1 - mu_t) / (1 - mu_1 ... mu_t).
    """
    m = beta_1 * m + rest_1 * g
    v = beta_2 * v + rest_2 * (g * g)
    return w - (rate_m * m + rate_g * g) / (sqrt(v) + epsilon), m, v


def rmsprop(w, g, rate, v, rho, rest, epsilon):
    """v = rho v + (1 - rho) g^2, w -= rate g / (sqrt(v) + epsilon) (Tieleman & Hinton 2012).  `rest` is 1 - rho."""
    v = rho * v + rest * (g * g)
    return w - rate * g / (sqrt(v) + epsilon), v


def no_step(w, g, rate, gradient):
    """w stays; g takes the place of a moment, for an optimizer that is not among the kernels."""
    return w, g


#: All of them, by their names.
RULES = {
    rule.name: rule
    for rule in (
        Rule("sgd", sgd, 1, 1),
        Rule("nesterov", nesterov, 1, 1),
        Rule("adam", adam, 2, 5),
        Rule("adamw", adam, 2, 5, is_decoupled=True),
        Rule("nadam", nadam, 2, 5, n_rates=2),
        Rule("rmsprop", rmsprop, 1, 3),
        Rule("no_step", no_step, 1, 0),
    )
}
