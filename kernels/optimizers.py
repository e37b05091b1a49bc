"""The update rules: one fused pass over a part of theta.

The gradient of the penalised mean is formed on the way, g = (G + alpha W) / m, with G summed over the m
examples.  Each rule returns alpha times the sum of the squares of the old parameters: twice the penalty.
"""
import numpy as np

from fastnn.kernels.jit import kernel

SGD, ADAM = range(2)
#: The places of the array of constants.
MOMENTUM, NESTEROV = 0, 1
BETA_1, REST_1, BETA_2, REST_2, EPSILON = range(5)


@kernel
def sgd(theta, G, velocity, alpha, per_example, rate, constants):
    """v = mu v - rate g, theta += v; with Nesterov's momentum theta += mu v - rate g (Sutskever et al. 2013)."""
    momentum, nesterov = constants[MOMENTUM], constants[NESTEROV] > 0
    squares = theta.dtype.type(0)
    for p in range(theta.size):
        w = theta[p]
        step = rate * ((G[p] + alpha * w) * per_example)
        v = momentum * velocity[p] - step
        velocity[p] = v
        theta[p] = w + (momentum * v - step if nesterov else v)
        squares += alpha * w * w
    return squares


@kernel
def adam(theta, G, mean, variance, alpha, per_example, rate, constants):
    """m = b1 m + (1 - b1) g, v = b2 v + (1 - b2) g^2, theta -= rate m / (sqrt(v) + epsilon) (Kingma & Ba 2015).

    The correction of the bias is in `rate`: learning rate * sqrt(1 - b2^t) / (1 - b1^t), their section 2.
    """
    beta_1, rest_1, beta_2, rest_2 = constants[BETA_1], constants[REST_1], constants[BETA_2], constants[REST_2]
    epsilon = constants[EPSILON]
    squares = theta.dtype.type(0)
    for p in range(theta.size):
        w = theta[p]
        g = (G[p] + alpha * w) * per_example
        m = beta_1 * mean[p] + rest_1 * g
        v = beta_2 * variance[p] + rest_2 * (g * g)
        mean[p] = m
        variance[p] = v
        theta[p] = w - rate * m / (np.sqrt(v) + epsilon)
        squares += alpha * w * w
    return squares
