"""The update rules: one fused pass over a part of theta.

The gradient of the penalised mean is formed on the way, g = (G + alpha W) / m, with G summed over the m
examples: the sum of the rows of G, one for each shard of the batch.  Each rule takes the parameters from first
to last, and returns alpha times the sum of the squares of their old values: twice the penalty.
theta (1, n_params), G (n_shards, n_params), moments (1 or 2, n_params).
"""
from fastnn.kernels.jit import inline, kernel
from fastnn.kernels.simd import (
    fma,
    lanes,
    load_first,
    prefetch,
    prefetch_to_write,
    splat,
    sqrt,
    store_first,
    sum_lanes,
    zero,
)

SGD, ADAM, NO_STEP = range(3)
#: How many bytes ahead an update asks for what comes from other cores.
SOON = 512
#: The places of the array of constants.
MOMENTUM, NESTEROV = 0, 1
BETA_1, REST_1, BETA_2, REST_2, EPSILON = range(5)


@inline
def total(G, p, count):
    """The gradient of `count` parameters from p on, summed over the shards."""
    g = load_first(G, 0, p, count)
    for shard in range(1, G.shape[0]):
        g = g + load_first(G, shard, p, count)
    return g


@inline
def ask(theta, G, p):
    """Ask for what is needed soon after p: theta, which other cores have read, and gradients, which they have made."""
    soon = p + SOON // theta.itemsize
    prefetch_to_write(theta, 0, soon)
    for shard in range(G.shape[0]):
        prefetch(G, shard, soon)


@inline
def _no_step(theta, G, moments, p, count, decay, factor):
    w = load_first(theta, 0, p, count)
    store_first(moments, 0, p, count, factor * fma(decay, w, total(G, p, count)))
    return w


@kernel
def no_step(theta, G, moments, first, last, alpha, per_example, rate, constants):
    """theta stays; the gradient g goes to the place of the moments, for an optimizer that is not among the kernels."""
    squares, decay, factor = zero(theta), splat(theta, alpha), splat(theta, per_example)
    whole = last - (last - first) % lanes(theta)
    for p in range(first, whole, lanes(theta)):      # without masks, which take long
        w = _no_step(theta, G, moments, p, lanes(theta), decay, factor)
        squares = fma(w, w, squares)
    if whole < last:
        w = _no_step(theta, G, moments, whole, last - whole, decay, factor)
        squares = fma(w, w, squares)
    return alpha * sum_lanes(squares)


@inline
def _sgd(theta, G, moments, p, count, decay, factor, momentum, nesterov):
    w = load_first(theta, 0, p, count)
    step = factor * fma(decay, w, total(G, p, count))
    v = momentum * load_first(moments, 0, p, count) - step
    store_first(moments, 0, p, count, v)
    store_first(theta, 0, p, count, w + (momentum * v - step if nesterov else v))
    return w


@kernel
def sgd(theta, G, moments, first, last, alpha, per_example, rate, constants):
    """v = mu v - rate g, theta += v; with Nesterov's momentum theta += mu v - rate g (Sutskever et al. 2013)."""
    squares, momentum, nesterov = zero(theta), splat(theta, constants[MOMENTUM]), constants[NESTEROV] > 0
    decay, factor = splat(theta, alpha), splat(theta, rate * per_example)
    whole = last - (last - first) % lanes(theta)
    for p in range(first, whole, lanes(theta)):      # without masks, which take long
        ask(theta, G, p)
        w = _sgd(theta, G, moments, p, lanes(theta), decay, factor, momentum, nesterov)
        squares = fma(w, w, squares)
    if whole < last:
        w = _sgd(theta, G, moments, whole, last - whole, decay, factor, momentum, nesterov)
        squares = fma(w, w, squares)
    return alpha * sum_lanes(squares)


@inline
def _adam(theta, G, moments, p, count, decay, factor, betas, epsilon, rate):
    beta_1, rest_1, beta_2, rest_2 = betas
    w = load_first(theta, 0, p, count)
    g = factor * fma(decay, w, total(G, p, count))
    m = fma(beta_1, load_first(moments, 0, p, count), rest_1 * g)
    v = fma(beta_2, load_first(moments, 1, p, count), rest_2 * (g * g))
    store_first(moments, 0, p, count, m)
    store_first(moments, 1, p, count, v)
    store_first(theta, 0, p, count, w - rate * m / (sqrt(v) + epsilon))
    return w


@kernel
def adam(theta, G, moments, first, last, alpha, per_example, rate, constants):
    """m = b1 m + (1 - b1) g, v = b2 v + (1 - b2) g^2, theta -= rate m / (sqrt(v) + epsilon) (Kingma & Ba 2015).

    The correction of the bias is in `rate`: learning rate * sqrt(1 - b2^t) / (1 - b1^t), their section 2.
    """
    squares, decay, factor = zero(theta), splat(theta, alpha), splat(theta, per_example)
    betas = (splat(theta, constants[BETA_1]), splat(theta, constants[REST_1]),
             splat(theta, constants[BETA_2]), splat(theta, constants[REST_2]))
    epsilon, rate = splat(theta, constants[EPSILON]), splat(theta, rate)
    whole = last - (last - first) % lanes(theta)
    for p in range(first, whole, lanes(theta)):      # without masks, which take long
        ask(theta, G, p)
        w = _adam(theta, G, moments, p, lanes(theta), decay, factor, betas, epsilon, rate)
        squares = fma(w, w, squares)
    if whole < last:
        w = _adam(theta, G, moments, whole, last - whole, decay, factor, betas, epsilon, rate)
        squares = fma(w, w, squares)
    return alpha * sum_lanes(squares)
