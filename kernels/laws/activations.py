"""Activations: g and g' of one number.

The products know some slopes by heart, and take them as they leave the registers: these are written in A = g(Z), which
is there anyway, and the products of relu apply g as well.  Of any other law, D = g'(Z) is kept when A is made.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, log, tanh

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


def leaky_relu(z):
    """z above 0, z / 100 below (Maas et al. 2013)."""
    return z if z > 0 else 0.01 * z


def leaky_step(z):
    """1 above 0; at the kink, the slope on its left."""
    return 1.0 if z > 0 else 0.01


def minus_one(z):
    """e^z - 1 = 2 t / (1 - t) with t = tanh(z / 2), for z <= 0: of small z nothing is lost."""
    t = tanh(z / 2)
    return 2 * t / (1 - t)


def elu(z):
    """z above 0, e^z - 1 below (Clevert et al. 2016)."""
    return z if z > 0 else minus_one(min(z, 0))


def elu_slope(z):
    """1 above 0, e^z below."""
    return exp(min(z, 0))


def selu(z):
    """An elu whose outputs tend to mean 0 and variance 1 (Klambauer et al. 2017)."""
    return 1.0507009873554805 * (z if z > 0 else 1.6732632423543772 * minus_one(min(z, 0)))


def selu_slope(z):
    """At the kink, the slope on its left."""
    return 1.0507009873554805 * (1.0 if z > 0 else 1.6732632423543772 * exp(min(z, 0)))


def softplus(z):
    """log(1 + e^z) = max(z, 0) + log(1 + e^-|z|), whose last part is right to the last place (Kahan's way)."""
    e = exp(-abs(z))
    w = 1 + e
    return max(z, 0) + (e if w == 1 else log(w) * (e / (w - 1)))


def silu(z):
    """z / (1 + e^-z) (Elfwing et al. 2018); 0 at minus infinity."""
    return max(z, -1000) * logistic(z)


def silu_slope(z):
    """s + z s (1 - s), with s = 1 / (1 + e^-z)."""
    return logistic(z) * (1 + max(z, -1000) * logistic(-z))


def mish(z):
    """z tanh(softplus z) = z n / (n + 2), with n = e^z (e^z + 2) (Misra 2020); 0 at minus infinity."""
    e = exp(min(z, 20))
    n = e * (e + 2)
    return max(z, -1000) * (n / (n + 2))


def mish_slope(z):
    """n / (n + 2) + z 4 e (e + 1) / (n + 2)^2, with e = e^z."""
    e = exp(min(z, 20))
    n = e * (e + 2)
    return n / (n + 2) + max(min(z, 20), -1000) * (4 * e * (e + 1) / ((n + 2) * (n + 2)))


def normal_distribution(z):
    """Phi(z), of the standard normal distribution.

    Below 0 it is t / 2 e^(p - z^2 / 2), with t = 1 / (1 + |z| / sqrt 8) and a polynomial p of t, which Chebyshev's
    points gave from SciPy's erfcx, 2e-14 near the truth.
    """
    t = 1 / (1 + abs(z) * 0.35355339059327373)
    u = 2.1 * t - 1.1
    p = 1.5342780186430267e-08
    p = p * u - 4.2813316331771406e-08
    p = p * u - 6.757703807164467e-08
    p = p * u + 3.8023395261362857e-07
    p = p * u - 1.6932331756992355e-07
    p = p * u - 1.5250316803007005e-06
    p = p * u + 2.729394811032525e-06
    p = p * u + 2.6854366249944696e-06
    p = p * u - 1.4154095548173759e-05
    p = p * u + 6.45754009399446e-06
    p = p * u + 4.728025642773149e-05
    p = p * u - 7.547003055254618e-05
    p = p * u - 0.00010652819856522169
    p = p * u + 0.00039263504917488504
    p = p * u + 8.798394757346335e-05
    p = p * u - 0.0016686994434763286
    p = p * u + 0.0007265906558477484
    p = p * u + 0.007220453053834983
    p = p * u - 0.006351743130957508
    p = p * u - 0.041958868755980074
    p = p * u + 0.03675216721731434
    p = p * u + 0.6445991025363815
    p = p * u - 0.6396612122643843
    tail = t / 2 * exp(p - z * z / 2)
    return tail if z < 0 else 1 - tail


def gelu(z):
    """z Phi(z) (Hendrycks & Gimpel 2016); 0 at minus infinity."""
    return max(z, -100) * normal_distribution(z)


def gelu_slope(z):
    """Phi(z) + z e^(-z^2 / 2) / sqrt(2 pi)."""
    return normal_distribution(z) + max(min(z, 100), -100) * 0.3989422804014327 * exp(-z * z / 2)


def gelu_tanh(z):
    """gelu with tanh in place of the distribution: z / (1 + e^-2u), u = sqrt(2 / pi) (z + 0.044715 z^3)."""
    x = max(z, -100)
    return x * logistic(1.5957691216057308 * x * (1 + 0.044715 * x * x))


def gelu_tanh_slope(z):
    """s + z s (1 - s) 2 u', with s = 1 / (1 + e^-2u)."""
    x = max(min(z, 100), -100)
    u = 1.5957691216057308 * x * (1 + 0.044715 * x * x)
    return logistic(u) * (1 + x * logistic(-u) * (1.5957691216057308 * (1 + 0.134145 * x * x)))


#: All of them, by their names.
ACTIVATIONS = {
    law.name: law
    for law in (
        Activation("identity", identity, one, LINEAR, ulps=0),
        Activation("logistic", logistic, logistic_slope, LOGISTIC, ulps=3),
        Activation("tanh", tanh, tanh_slope, TANH, ulps=6),
        Activation("relu", relu, step, RELU, ulps=0),
        Activation("leaky_relu", leaky_relu, leaky_step, ulps=1),
        Activation("elu", elu, elu_slope, ulps=8),
        Activation("selu", selu, selu_slope, ulps=10),
        Activation("softplus", softplus, logistic, ulps=4),
        Activation("silu", silu, silu_slope, ulps=400),  # 3, but where e^z is too small to have all places
        Activation("mish", mish, mish_slope, ulps=400),
        Activation("gelu", gelu, gelu_slope, ulps=3000),  # 150 down to -10: the rounding of z^2 / 2
        Activation("gelu_tanh", gelu_tanh, gelu_tanh_slope, ulps=1000),
    )
}
