"""dA * g'(Z) of vectors, as the products form it before their results leave the registers."""

from fastnn.kernels.laws.activations import KEPT, RELU, TANH
from fastnn.kernels.machine.jit import inline
from fastnn.kernels.machine.simd import splat, where_positive


@inline
def times_slope(da, kept, array, form):
    """da * g'(z), of a law whose form is not LINEAR.  `kept` is a = g(z), or g'(z); `array`, one of its dtype.

    But for relu, a slope is c_0 + c_1 a + c_2 a^2: 1 - a^2 for tanh, a - a^2 for logistic, and what is kept, a itself.
    One formula for all is half of the machine code.
    """
    if form == RELU:
        return where_positive(kept, da)
    number = array.dtype.type
    c_0, c_1, c_2 = number(form == TANH), number(form != TANH), number(form == KEPT) - number(1)
    return da * (splat(array, c_0) + kept * (splat(array, c_1) + kept * splat(array, c_2)))
