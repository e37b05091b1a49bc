"""exp, log and tanh of one number.

They are ours, because Numba has had no vector mathematics library since 0.62 and calls the scalar one of C for each
number (19 ns for a tanh, where a loop over these takes 0.5 ns).  exp and log are a reduction of the argument, a Taylor
polynomial (coefficients 1 / k!, so no table of magic numbers) and a scaling by powers of two; tanh is a continued
fraction.  Over the whole range the tests hold exp to 1.1 ulp, log to 2, tanh to 6.
"""

import math

import numpy as np
from numba import types
from numba.extending import overload

from fastnn.kernels.machine.jit import law
from fastnn.kernels.machine.simd import fma

#: ln 2 beyond the precision of a float64: math.log(2) + LN2_REST.
LN2_REST = 2.3190468138462996e-17


def _continued_fraction(levels):
    """Polynomials p, r in q = t^2, the highest power first: tanh t = t p / r = t / (1 + q / (3 + q / (5 + ...))).

    Lambert's of 1768, cut off after 2 levels - 1; scaled to r(0) = 1.
    """
    p, r = np.array([1.0]), np.array([2.0 * levels - 1])
    for k in range(2 * levels - 3, 0, -2):
        p, r = r, np.polyadd(k * r, np.append(p, 0.0))
    return p / r[-1], r / r[-1]


def _laws(number, integer, degree, log_terms, ln2_bits, smallest, largest, levels, doublings, saturated):
    """exp, log and tanh for one dtype; every constant has that dtype, or float64 would creep in.

    After the reduction |r| <= ln 2 / 2: `degree` is the first for which the next Taylor term, relative to
    r, is below half an ulp: r^degree / (degree + 1)!.  `log_terms` likewise, with s^2 <= 0.0295.
    n * ln2_high is exact for every n that occurs: its last bits are zero.  Beyond `smallest` and `largest`
    exp is 0 and infinite.

    tanh x is that of x / 2^doublings, a continued fraction of so many levels, doubled again; 1 beyond `saturated`.
    Its division comes last, and few of its operations wait for one another: half the time of e^2x - 1 over e^2x + 1.

    Integers become numbers and numbers integers by way of `magic`: it is so large that its last bit counts ones.
    (Registers of 256 bits have no instruction for int64.)
    """
    info = np.finfo(number)
    one, two, half, zero = number(1), number(2), number(0.5), number(0)
    infinity, nan, tiny = number(np.inf), number(np.nan), info.tiny
    smallest, largest = number(smallest), number(largest)
    log2e, root_two = number(1 / math.log(2)), number(math.sqrt(2))
    ln2_high = number(math.floor(math.log(2) * 2.0**ln2_bits) / 2.0**ln2_bits)
    ln2_low = number(math.log(2) - float(ln2_high) + LN2_REST)
    taylor = tuple(number(1 / math.factorial(k)) for k in range(degree, 1, -1))
    artanh = tuple(number(2 / (2 * k + 1)) for k in range(log_terms, 0, -1))
    bias, shift, unit = integer(info.maxexp - 1), integer(info.nmant), integer(1)
    exponent_of_one, mantissa = integer(int(bias) << int(shift)), integer((1 << info.nmant) - 1)
    scale, bias_alone = number(2.0 ** (info.nmant + 1)), number(info.maxexp - 1)
    bias_and_scale = number(info.maxexp + info.nmant)
    magic = number(1.5 * 2.0**info.nmant)
    bits_of_magic = magic.view(integer)
    two_biases = integer(2 * int(bias))
    numerator, denominator = (tuple(number(c) for c in side) for side in _continued_fraction(levels))
    part, saturated = number(0.5**doublings), number(saturated)

    @law
    def power_of_two(biased):
        return integer(biased << shift).view(number)

    @law
    def bits_of(x):
        return number(x).view(integer)  # (Numba takes .view of a call only)

    @law
    def reduced(x):
        """n and e^r - 1, for x = n ln 2 + r."""
        shifted = x * log2e + magic
        n = shifted - magic
        r = x - n * ln2_high - n * ln2_low
        p = taylor[0]
        for k in range(1, len(taylor)):
            p = p * r + taylor[k]
        return integer(bits_of(shifted) - bits_of_magic), p * (r * r) + r

    @law
    def exp(x):
        bounded = smallest if x < smallest else (largest if x > largest else x)
        n, p = reduced(bounded)
        # The scaling takes two steps, so that subnormal results and the overflow come out right.
        both = integer(n + two_biases)
        first = integer(both >> unit)
        return (p + one) * power_of_two(first) * power_of_two(integer(both - first))

    @law
    def log(x):
        bits = bits_of(x * scale if x < tiny else x)
        e = integer(integer(bits >> shift) + bits_of_magic).view(number) - magic
        m = integer((bits & mantissa) | exponent_of_one).view(number)  # 1 <= m < 2
        e = e - (bias_and_scale if x < tiny else bias_alone)
        e = e + one if m > root_two else e
        m = m * half if m > root_two else m
        s = (m - one) / (m + one)  # log m = 2 artanh(s) = 2 s + 2 s^3 / 3 + 2 s^5 / 5 ...
        z = s * s
        p = artanh[0]
        for k in range(1, len(artanh)):
            p = p * z + artanh[k]
        y = e * ln2_high + (two * s + (s * (z * p) + e * ln2_low))
        y = -infinity if x == zero else (nan if x < zero else y)
        return x if x != x or x == infinity else y

    @law
    def tanh(x):
        t = x * part
        q = t * t
        p, r = numerator[0], denominator[0]
        for k in range(1, len(numerator)):
            p = p * q + numerator[k]
        for k in range(1, len(denominator)):
            r = r * q + denominator[k]
        p = p * t  # tanh t = p / r
        for _ in range(doublings):  # tanh 2t = 2 tanh t / (1 + tanh^2 t)
            p, r = two * p * r, fma(p, p, r * r)  # (which product is rounded, it is to say)
        y = p / r
        y = -one if y < -one else (one if y > one else y)  # rounded
        return -one if x < -saturated else (one if x > saturated else y)

    return exp, log, tanh


SINGLE = _laws(
    np.float32,
    np.uint32,
    degree=7,
    log_terms=4,
    ln2_bits=15,
    smallest=-104,
    largest=89,
    levels=4,
    doublings=2,
    saturated=9,
)
DOUBLE = _laws(
    np.float64,
    np.uint64,
    degree=13,
    log_terms=9,
    ln2_bits=40,
    smallest=-746,
    largest=710,
    levels=9,
    doublings=2,
    saturated=19,
)


def exp(x):
    """e^x; 0 and infinity beyond the range."""


def log(x):
    """The natural logarithm; -infinity for 0, NaN below."""


def tanh(x):
    """(e^x - e^-x) / (e^x + e^-x)."""


def _choose_by_dtype(function, single, double):
    @overload(function)
    def chosen(x):
        if x == types.float32:
            return lambda x: single(x)
        return lambda x: double(x)


for _function, _single, _double in zip((exp, log, tanh), SINGLE, DOUBLE, strict=True):
    _choose_by_dtype(_function, _single, _double)
