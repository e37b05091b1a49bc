"""Optimizers: the rule for one parameter w, by the gradient g of the penalised mean and the rate of the step.

A rule is written for vectors of parameters: it adds, multiplies, divides and takes roots.  It returns the new w, and
the new moments.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt


@dataclass(frozen=True)
class Rule:
    """An update rule.

    Parameters
    ----------
    name : str
        Of the rule.
    step : callable
        step(w, g, rate, *moments, *constants), which returns the new (w, *moments).
    n_moments, n_constants : int
        How many it takes.
    is_decoupled : bool
        Whether the penalty is no part of the gradient: the weights shrink by a part of themselves before the step.
    """

    name: str
    step: Callable[..., tuple[float, ...]]
    n_moments: int
    n_constants: int
    is_decoupled: bool = False


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
        Rule("no_step", no_step, 1, 0),
    )
}
