"""The update rules: one fused pass over a part of theta.

The gradient of the penalised mean is formed on the way, g = (G + alpha W) / m, with G summed over the m
examples.  Each rule returns alpha times the sum of the squares of the old parameters: twice the penalty.
theta, G and the moments are rows of flat vectors: (1, n).
"""
from fastnn.kernels.jit import kernel
from fastnn.kernels.simd import fma, lanes, load_first, splat, sqrt, store_first, sum_lanes, zero

SGD, ADAM = range(2)
#: The places of the array of constants.
MOMENTUM, NESTEROV = 0, 1
BETA_1, REST_1, BETA_2, REST_2, EPSILON = range(5)


@kernel
def sgd(theta, G, velocity, alpha, per_example, rate, constants):
    """v = mu v - rate g, theta += v; with Nesterov's momentum theta += mu v - rate g (Sutskever et al. 2013)."""
    n, squares, momentum = theta.shape[1], zero(theta), splat(constants[MOMENTUM])
    decay, factor = splat(alpha), splat(rate * per_example)
    for p in range(0, n, lanes(theta)):
        count = min(lanes(theta), n - p)
        w = load_first(theta, 0, p, count)
        step = factor * fma(decay, w, load_first(G, 0, p, count))
        v = momentum * load_first(velocity, 0, p, count) - step
        store_first(velocity, 0, p, count, v)
        store_first(theta, 0, p, count, w + (momentum * v - step if constants[NESTEROV] > 0 else v))
        squares = fma(w, w, squares)
    return alpha * sum_lanes(squares)


@kernel
def adam(theta, G, mean, variance, alpha, per_example, rate, constants):
    """m = b1 m + (1 - b1) g, v = b2 v + (1 - b2) g^2, theta -= rate m / (sqrt(v) + epsilon) (Kingma & Ba 2015).

    The correction of the bias is in `rate`: learning rate * sqrt(1 - b2^t) / (1 - b1^t), their section 2.
    """
    n, squares, decay, factor = theta.shape[1], zero(theta), splat(alpha), splat(per_example)
    beta_1, rest_1 = splat(constants[BETA_1]), splat(constants[REST_1])
    beta_2, rest_2 = splat(constants[BETA_2]), splat(constants[REST_2])
    epsilon, rate = splat(constants[EPSILON]), splat(rate)
    for p in range(0, n, lanes(theta)):
        count = min(lanes(theta), n - p)
        w = load_first(theta, 0, p, count)
        g = factor * fma(decay, w, load_first(G, 0, p, count))
        m = fma(beta_1, load_first(mean, 0, p, count), rest_1 * g)
        v = fma(beta_2, load_first(variance, 0, p, count), rest_2 * (g * g))
        store_first(mean, 0, p, count, m)
        store_first(variance, 0, p, count, v)
        store_first(theta, 0, p, count, w - rate * m / (sqrt(v) + epsilon))
        squares = fma(w, w, squares)
    return alpha * sum_lanes(squares)
