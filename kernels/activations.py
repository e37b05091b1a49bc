"""g and g': the laws of one number first, then the pass over a block.

g' is written in the output A = g(Z), so that Z may be overwritten by A:

    identity  g' = 1        logistic  g' = A (1 - A)        tanh  g' = 1 - A^2        relu  g' = [A > 0]

exp, expm1 and log are ours, because Numba has had no vector mathematics library since 0.62 and calls
the scalar one of C for each number (19 ns for a tanh, where a loop over these takes 0.5 ns).  Each is a
reduction of the argument, a Taylor polynomial (coefficients 1 / k!, so no table of magic numbers) and a
scaling by powers of two.  Over the whole range the tests hold exp to 1.1 ulp, log to 2, logistic to 3, tanh to 2.5.
"""
import math

import numpy as np
from numba import types
from numba.extending import overload

from fastnn.kernels.jit import kernel, law

IDENTITY, LOGISTIC, TANH, RELU = range(4)

#: ln 2 beyond the precision of a float64: math.log(2) + LN2_REST.
LN2_REST = 2.3190468138462996e-17


def _laws(number, integer, degree, log_terms, ln2_bits, smallest, largest):
    """exp, log, logistic and tanh for one dtype; every constant has that dtype, or float64 would creep in.

    After the reduction |r| <= ln 2 / 2: `degree` is the first for which the next Taylor term, relative to
    r, is below half an ulp: r^degree / (degree + 1)!.  `log_terms` likewise, with s^2 <= 0.0295.
    n * ln2_high is exact for every n that occurs: its last bits are zero.  Beyond `smallest` and `largest`
    exp is 0 and infinite.
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
    exponent_of_one, mantissa = integer(bias << shift), integer((1 << info.nmant) - 1)
    scale, scale_bits = number(2.0 ** (info.nmant + 1)), number(info.nmant + 1)

    @law
    def power_of_two(n):
        return integer((n + bias) << shift).view(number)

    @law
    def bits_of(x):
        return number(x).view(integer)                                      # (Numba takes .view of a call only)

    @law
    def reduced(x):
        """n and e^r - 1, for x = n ln 2 + r."""
        n = np.floor(x * log2e + half)
        r = x - n * ln2_high - n * ln2_low
        p = taylor[0]
        for k in range(1, len(taylor)):
            p = p * r + taylor[k]
        return integer(n), p * (r * r) + r

    @law
    def exp(x):
        bounded = smallest if x < smallest else (largest if x > largest else x)
        n, p = reduced(bounded)
        # The scaling takes two steps, so that subnormal results and the overflow come out right.
        first = integer(n >> unit)
        y = (p + one) * power_of_two(first) * power_of_two(integer(n - first))
        return x if x != x else y

    @law
    def expm1(x):                             # for 0 <= x <= 40
        n, p = reduced(x)
        s = power_of_two(n)
        return p * s + (s - one)

    @law
    def log(x):
        bits = bits_of(x * scale if x < tiny else x)
        e = number(integer(bits >> shift) - bias)
        m = integer((bits & mantissa) | exponent_of_one).view(number)       # 1 <= m < 2
        e = e + one if m > root_two else e
        m = m * half if m > root_two else m
        e = e - scale_bits if x < tiny else e
        s = (m - one) / (m + one)             # log m = 2 artanh(s) = 2 s + 2 s^3 / 3 + 2 s^5 / 5 ...
        z = s * s
        p = artanh[0]
        for k in range(1, len(artanh)):
            p = p * z + artanh[k]
        y = e * ln2_high + (two * s + (s * (z * p) + e * ln2_low))
        y = -infinity if x == zero else (nan if x < zero else y)
        return x if x != x or x == infinity else y

    @law
    def logistic(x):
        e = exp(-abs(x))                      # cannot overflow
        return (one if x >= zero else e) / (one + e)

    @law
    def tanh(x):
        size = abs(x)
        e = expm1(two * (size if size < number(20) else number(20)))
        y = e / (e + two)
        y = -y if x < zero else y
        return x if x != x else y

    return exp, log, logistic, tanh


SINGLE = _laws(np.float32, np.int32, degree=7, log_terms=4, ln2_bits=15, smallest=-104, largest=89)
DOUBLE = _laws(np.float64, np.int64, degree=13, log_terms=9, ln2_bits=40, smallest=-746, largest=710)


def exp(x):
    """e^x; 0 and infinity beyond the range."""


def log(x):
    """The natural logarithm; -infinity for 0, NaN below."""


def logistic(x):
    """1 / (1 + e^-x)."""


def tanh(x):
    """(e^2x - 1) / (e^2x + 1)."""


def _choose_by_dtype(function, single, double):
    @overload(function)
    def chosen(x):
        if x == types.float32:
            return lambda x: single(x)
        return lambda x: double(x)


for _function, _single, _double in zip((exp, log, logistic, tanh), SINGLE, DOUBLE, strict=True):
    _choose_by_dtype(_function, _single, _double)


@kernel
def activate(Z, first, last, activation):
    """Z = g(Z) in the columns from first to last, for g = tanh or logistic; others leave Z alone.  Z (n, m)."""
    if activation == TANH:
        for j in range(Z.shape[0]):
            z = Z[j, first:last]
            for i in range(z.size):
                z[i] = tanh(z[i])
    elif activation == LOGISTIC:
        for j in range(Z.shape[0]):
            z = Z[j, first:last]
            for i in range(z.size):
                z[i] = logistic(z[i])
