"""Losses: L(a, y) of one output and its target, and its derivative by z, where a = g(z) is the output activation.

An example has the sum over its outputs.  Probabilities are kept eps away from 0 and 1 in a loss, as scikit-learn does.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import exp, log

import numpy as np

from fastnn.kernels.laws.activations import identity, logistic


@dataclass(frozen=True)
class Loss:
    """A loss, for outputs of one kind.

    Parameters
    ----------
    name : str
        As users say it.
    out_activation : {"identity", "logistic", "softmax", "exp"}
        g of the output layer.
    value, slope : callable
        L(a, y, *constants), and its derivative by z, of one number each; a = g(z).
    constants : tuple of float
        What they take besides, such as a threshold: other numbers need no other machine code.
    is_mean_over_outputs : bool
        Whether it is reported as the mean over the outputs, where the gradient has their sum: scikit-learn's convention
        for the squared error.
    """

    name: str
    out_activation: str
    value: Callable[..., float]
    slope: Callable[..., float]
    constants: tuple[float, ...] = field(default=())
    is_mean_over_outputs: bool = False


#: g of the output layer, of one number; softmax, of all outputs of an example, is in `units`.
OUT_ACTIVATIONS: dict[str, Callable[[float], float] | None] = {
    "logistic": logistic,
    "softmax": None,
    "identity": identity,
    "exp": exp,
}


def eps(x):
    """The distance from 1 to the next larger number of the kind of x."""
    return np.finfo(np.result_type(x)).eps


def probability(a):
    """a, kept eps away from 0 and 1."""
    return min(max(a, eps(a)), 1 - eps(a))


def difference(a, y):
    """dL/dz where loss and output activation belong together."""
    return a - y


def log_loss(a, y):
    """-y log a - (1 - y) log(1 - a): two classes."""
    p = probability(a)
    return -(y * log(p) + (1 - y) * log(1 - p))


def cross_entropy(a, y):
    """-y log a: one of several classes."""
    return -(y * log(probability(a)))


def squared_error(a, y):
    """(a - y)^2 / 2."""
    return (a - y) * (a - y) / 2


def poisson(a, y):
    """y log(y / a) - y + a: half the deviance of Poisson's distribution."""
    return (y * log(y / a) if y > 0 else 0.0) - y + a


#: All of them, by their names and output activations.
LOSSES = {
    (law.name, law.out_activation): law
    for law in (
        Loss("log_loss", "logistic", log_loss, difference),
        Loss("log_loss", "softmax", cross_entropy, difference),
        Loss("squared_error", "identity", squared_error, difference, is_mean_over_outputs=True),
        Loss("poisson", "exp", poisson, difference),
    )
}
