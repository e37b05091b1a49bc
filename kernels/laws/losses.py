"""Losses: L(a, y) of one output and its target, and its derivative by z, where a = g(z) is the output activation.

An example has the sum over its outputs.  Probabilities are kept eps away from 0 and 1 in a loss, as scikit-learn does.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import exp, log, tanh

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
    constants_of_others : tuple of float
        Where each output has its own: those of the second output, the third and so on.
    is_coupled : bool
        Of softmax outputs: whether `slope` is u = a dL/da, and the derivative by z is u - a times the sum of all u.
    """

    name: str
    out_activation: str
    value: Callable[..., float]
    slope: Callable[..., float]
    constants: tuple[float, ...] = field(default=())
    is_mean_over_outputs: bool = False
    constants_of_others: tuple[float, ...] = field(default=())
    is_coupled: bool = False


#: g of the output layer, of one number; softmax, of all outputs of an example, is in `units`.
OUT_ACTIVATIONS: dict[str, Callable[[float], float] | None] = {
    "logistic": logistic,
    "softmax": None,
    "identity": identity,
    "exp": exp,
}


def eps(x):
    """The distance from 1 to the next larger number of the kind of x."""
    import numpy as np  # where it is needed: the table of names is read by the command's --help, too

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


def power(p, gamma):
    """p^gamma."""
    return exp(gamma * log(p))


def focal(a, y, gamma):
    """-y (1 - a)^gamma log a - (1 - y) a^gamma log(1 - a): who is sure counts less (Lin et al. 2017)."""
    p = probability(a)
    return -(y * power(1 - p, gamma) * log(p) + (1 - y) * power(p, gamma) * log(1 - p))


def focal_slope(a, y, gamma):
    """Its derivative by z, with a = 1 / (1 + e^-z)."""
    p = probability(a)
    of_one = power(1 - p, gamma) * (gamma * p * log(p) - (1 - p))
    of_zero = power(p, gamma) * (p - gamma * (1 - p) * log(1 - p))
    return y * of_one + (1 - y) * of_zero


def focal_of_classes(a, y, gamma):
    """-y (1 - a)^gamma log a."""
    p = probability(a)
    return -(y * power(1 - p, gamma) * log(p))


def focal_of_classes_slope(a, y, gamma):
    """a times its derivative by a."""
    p = probability(a)
    return y * power(1 - p, gamma) * (gamma * p * log(p) / (1 - p) - 1)


def squared_error(a, y):
    """(a - y)^2 / 2."""
    return (a - y) * (a - y) / 2


def poisson(a, y):
    """y log(y / a) - y + a: half the deviance of Poisson's distribution."""
    return (y * log(y / a) if y > 0 else 0.0) - y + a


def gamma(a, y):
    """y / a - log(y / a) - 1: half the deviance of the gamma distribution."""
    return y / a - log(y / a) - 1


def relative_difference(a, y):
    """dL/dz of the gamma deviance, with a = e^z: 1 - y / a."""
    return 1 - y / a


def absolute_error(a, y):
    """|a - y|."""
    return abs(a - y)


def sign(a, y):
    """The sign of a - y: 0 where there is no error."""
    return 1.0 if a > y else -1.0 if a < y else 0.0


def huber(a, y, delta):
    """r^2 / 2 of errors r = a - y up to delta, delta (|r| - delta / 2) of larger ones (Huber 1964)."""
    r = abs(a - y)
    return r * r / 2 if r <= delta else delta * (r - delta / 2)


def clipped_difference(a, y, delta):
    """a - y, between -delta and delta."""
    return max(min(a - y, delta), -delta)


def log_cosh(a, y):
    """log cosh r of r = a - y: by log(1 + 2 sinh^2(r / 2)) of small r, which is about r^2 / 2 (Kahan's way)."""
    r = abs(a - y)
    t = tanh(min(r, 1) / 2)
    u = 2 * t * t / (1 - t * t)
    w = 1 + u
    small = u if w == 1 else log(w) * (u / (w - 1))
    return small if r < 1 else r + log(1 + exp(-2 * r)) - 0.6931471805599453


def tanh_of_difference(a, y):
    """tanh(a - y)."""
    return tanh(a - y)


def quantile(a, y, q):
    """max(q (y - a), (q - 1) (y - a)): the pinball loss, least at the q-quantile (Koenker & Bassett 1978)."""
    r = y - a
    return q * r if r > 0 else (q - 1) * r


def quantile_slope(a, y, q):
    """-q below the target, 1 - q above, 0 at it."""
    return -q if a < y else 1 - q if a > y else 0.0


#: All of them, by their names and output activations.
LOSSES = {
    (law.name, law.out_activation): law
    for law in (
        Loss("log_loss", "logistic", log_loss, difference),
        Loss("log_loss", "softmax", cross_entropy, difference),
        Loss("focal", "logistic", focal, focal_slope, (2.0,)),
        Loss("focal", "softmax", focal_of_classes, focal_of_classes_slope, (2.0,), is_coupled=True),
        Loss("squared_error", "identity", squared_error, difference, is_mean_over_outputs=True),
        Loss("absolute_error", "identity", absolute_error, sign, is_mean_over_outputs=True),
        Loss("huber", "identity", huber, clipped_difference, (1.0,), is_mean_over_outputs=True),
        Loss("log_cosh", "identity", log_cosh, tanh_of_difference, is_mean_over_outputs=True),
        Loss("quantile", "identity", quantile, quantile_slope, (0.5,), is_mean_over_outputs=True),
        Loss("poisson", "exp", poisson, difference),
        Loss("gamma", "exp", gamma, relative_difference),
    )
}
