"""Activations: g and g' of one number.

The products know some slopes by heart, and take them as they leave the registers: these are written in A = g(Z), which
is there anyway, and the products of relu apply g as well.  Of any other law, D = g'(Z) is kept when A is made.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, tanh

#: How the products form dA * g'(Z): see `products.slopes`.
LINEAR, RELU, TANH, LOGISTIC, KEPT = range(5)


@dataclass(frozen=True)
class Activation:
    """An activation of hidden layers.

    Parameters
    ----------
    name : str
        As users say it.
    value, slope : callable
        g(z) and g'(z) of one number.
    form : int
        How the products form the slope: by a law that they know, or KEPT.
    ulps : float
        The largest error of g, in units of the last place: what the tests hold it to.
    """

    name: str
    value: Callable[[float], float]
    slope: Callable[[float], float]
    form: int = KEPT
    ulps: float = 4.0


def identity(z):
    """z."""
    return z


def one(z):
    """The slope of the identity."""
    return 1.0


def logistic(z):
    """1 / (1 + e^-z), by powers that cannot overflow."""
    e = exp(-abs(z))
    return (1 if z >= 0 else e) / (1 + e)


def logistic_slope(z):
    """e^-z / (1 + e^-z)^2."""
    e = exp(-abs(z))
    return e / ((1 + e) * (1 + e))


def tanh_slope(z):
    """1 - tanh^2 z = 4 e^-2z / (1 + e^-2z)^2."""
    e = exp(-2 * abs(z))
    return 4 * e / ((1 + e) * (1 + e))


def relu(z):
    """max(z, 0)."""
    return 0.0 if z < 0 else z


def step(z):
    """[z > 0]: at the kink, the slope on its left."""
    return 1.0 if z > 0 else 0.0


#: All of them, by their names.
ACTIVATIONS = {
    law.name: law
    for law in (
        Activation("identity", identity, one, LINEAR, ulps=0),
        Activation("logistic", logistic, logistic_slope, LOGISTIC, ulps=3),
        Activation("tanh", tanh, tanh_slope, TANH, ulps=6),
        Activation("relu", relu, step, RELU, ulps=0),
    )
}
