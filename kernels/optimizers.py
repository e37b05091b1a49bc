"""The update rules: one fused pass over a part of theta.

The gradient of the penalised mean is formed on the way, g = (G + alpha W) / m, with G summed over the m
examples: the sum of the rows of G, one for each shard of the batch.  Each rule takes the parameters from first
to last, and returns alpha times the sum of the squares of their old values: twice the penalty.  Those that fill
vectors of memory go past the caches if `streamed`: see `simd.stream`.
theta (1, n_params), G (n_shards, n_params), moments (1 or 2, n_params).
"""
from fastnn.kernels.jit import inline, kernel
from fastnn.kernels.simd import (
    STREAMS,
    fma,
    lanes,
    load_first,
    prefetch,
    prefetch_to_write,
    splat,
    sqrt,
    store_first,
    stream,
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
    """Ask for what is needed soon after p: theta, which other cores have read, and gradients, which they have made.

    Not on AMD's processors: on Zen 4 that only takes time, up to a tenth of a step.
    """
    if not STREAMS:
        soon = p + SOON // theta.itemsize
        prefetch_to_write(theta, 0, soon)
        if G.shape[0] > 1:
            for shard in range(G.shape[0]):
                prefetch(G, shard, soon)


@inline
def _put(theta, p, count, w, streamed):
    if STREAMS and streamed:
        stream(theta, 0, p, w)
    else:
        store_first(theta, 0, p, count, w)


@inline
def _pass(step, terms, theta, G, moments, first, last, alpha, per_example, streamed):
    squares, decay, factor = zero(theta), splat(theta, alpha), splat(theta, per_example)
    start = min(first + -first % lanes(theta), last)
    if first < start:                                # up to where a whole vector of memory begins
        w = step(theta, G, moments, first, start - first, decay, factor, terms, False)
        squares = fma(w, w, squares)
    whole = last - (last - start) % lanes(theta)
    for p in range(start, whole, lanes(theta)):      # without masks, which take long
        ask(theta, G, p)
        w = step(theta, G, moments, p, lanes(theta), decay, factor, terms, streamed)
        squares = fma(w, w, squares)
    if whole < last:
        w = step(theta, G, moments, whole, last - whole, decay, factor, terms, False)
        squares = fma(w, w, squares)
    return alpha * sum_lanes(squares)


@inline
def _no_step(theta, G, moments, p, count, decay, factor, terms, streamed):
    w = load_first(theta, 0, p, count)
    store_first(moments, 0, p, count, factor * fma(decay, w, total(G, p, count)))
    return w


@kernel
def no_step(theta, G, moments, first, last, alpha, per_example, rate, constants, streamed):
    """theta stays; the gradient g goes to the place of the moments, for an optimizer that is not among the kernels."""
    return _pass(_no_step, (), theta, G, moments, first, last, alpha, per_example, streamed)


@inline
def _sgd(theta, G, moments, p, count, decay, factor, terms, streamed):
    momentum, nesterov = terms
    w = load_first(theta, 0, p, count)
    step = factor * fma(decay, w, total(G, p, count))
    v = momentum * load_first(moments, 0, p, count) - step
    store_first(moments, 0, p, count, v)
    _put(theta, p, count, w + (momentum * v - step if nesterov else v), streamed)
    return w


@kernel
def sgd(theta, G, moments, first, last, alpha, per_example, rate, constants, streamed):
    """v = mu v - rate g, theta += v; with Nesterov's momentum theta += mu v - rate g (Sutskever et al. 2013)."""
    terms = splat(theta, constants[MOMENTUM]), constants[NESTEROV] > 0
    return _pass(_sgd, terms, theta, G, moments, first, last, alpha, rate * per_example, streamed)


@inline
def _adam(theta, G, moments, p, count, decay, factor, terms, streamed):
    beta_1, rest_1, beta_2, rest_2, epsilon, rate = terms
    w = load_first(theta, 0, p, count)
    g = factor * fma(decay, w, total(G, p, count))
    m = fma(beta_1, load_first(moments, 0, p, count), rest_1 * g)
    v = fma(beta_2, load_first(moments, 1, p, count), rest_2 * (g * g))
    store_first(moments, 0, p, count, m)
    store_first(moments, 1, p, count, v)
    _put(theta, p, count, w - rate * m / (sqrt(v) + epsilon), streamed)
    return w


@kernel
def adam(theta, G, moments, first, last, alpha, per_example, rate, constants, streamed):
    """m = b1 m + (1 - b1) g, v = b2 v + (1 - b2) g^2, theta -= rate m / (sqrt(v) + epsilon) (Kingma & Ba 2015).

    The correction of the bias is in `rate`: learning rate * sqrt(1 - b2^t) / (1 - b1^t), their section 2.
    """
    terms = (splat(theta, constants[BETA_1]), splat(theta, constants[REST_1]), splat(theta, constants[BETA_2]),
             splat(theta, constants[REST_2]), splat(theta, constants[EPSILON]), splat(theta, rate))
    return _pass(_adam, terms, theta, G, moments, first, last, alpha, per_example, streamed)
