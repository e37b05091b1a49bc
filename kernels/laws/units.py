"""Units of the laws: passes over blocks of numbers, which kernels call by their addresses.

One call goes over some columns of all rows of a block, so that it costs nothing beside the numbers.  Whoever trains
asks for the addresses once (see `addresses`), and puts them where the kernels find them.
"""

from fastnn.kernels.laws.activations import ACTIVATIONS, KEPT
from fastnn.kernels.laws.addresses import title_of
from fastnn.kernels.laws.elementary import exp, log
from fastnn.kernels.laws.losses import LOSSES, OUT_ACTIVATIONS, eps
from fastnn.kernels.laws.optimizers import ALPHA, AVERAGE, L1, RATE, RULES
from fastnn.kernels.laws.translation import kernel_of
from fastnn.kernels.machine.host import REGISTERS, STREAMS
from fastnn.kernels.machine.jit import call, inline, kernel, unit
from fastnn.kernels.machine.simd import (
    first_numbers,
    fma,
    lanes,
    load,
    load_first,
    maximum,
    prefetch,
    prefetch_to_write,
    rolled,
    splat,
    splats,
    store,
    store_first,
    stream,
    sum_lanes,
    tile,
    zero,
)

#: What makes a small number large: clipped, w times it has w's sign.
LARGE = 1e30
#: Bytes ahead that an update asks for what comes from other cores.
AHEAD = 512
#: Vectors that go through several steps at a time.
AT_ONCE = 4 if REGISTERS == 32 else 2


def _unit_of(function, sort, law):
    """A unit that is made of a law: its contents are in its name, and so in that of its kept machine code."""
    name, is_kept = title_of(sort, law)
    return unit(function, name=name, is_kept=is_kept)


def activation_unit(law):
    """Z = g(Z) and D = g'(Z), if D has rows and the law keeps it, in the columns from first to last.  Z, D (n, m)."""
    value, slope = kernel_of(law.value, 1), kernel_of(law.slope, 1)

    def activate(Z, D, first, last):
        for j in range(Z.shape[0]):
            z = Z[j, first:last]
            for i in range(z.size):
                z[i] = value(z[i])

    def activate_and_keep(Z, D, first, last):
        if D.shape[0] == 0:
            activate_alone(Z, D, first, last)
        for j in range(D.shape[0]):
            z, d = Z[j, first:last], D[j, first:last]
            for i in range(z.size):
                z_i = z[i]
                d[i], z[i] = slope(z_i), value(z_i)

    if law.form != KEPT:
        return _unit_of(activate, "activate", law)
    activate_alone = kernel(activate)
    return _unit_of(activate_and_keep, "activate", law)


@unit
def softmax(Z, D, first, last):
    """Z = e^(z_j - max) / sum_j e^(z_j - max), column by column, whole vectors of them.  Z (n, m); D is left alone."""
    for i in range(first, last, lanes(Z)):
        largest = load(Z, 0, i)
        for j in range(1, Z.shape[0]):
            largest = maximum(load(Z, j, i), largest)
        for j in range(Z.shape[0]):
            store(Z, j, i, load(Z, j, i) - largest)
    for j in range(Z.shape[0]):
        z = Z[j, first:last]
        for i in range(z.size):
            z[i] = exp(z[i])
    for i in range(first, last, lanes(Z)):
        total = zero(Z)
        for j in range(Z.shape[0]):
            total = total + load(Z, j, i)
        share = splat(Z, Z.dtype.type(1)) / total
        for j in range(Z.shape[0]):
            store(Z, j, i, load(Z, j, i) * share)


def output_unit(name):
    """A_L = g(Z_L), in place: as an activation that keeps nothing."""
    value = OUT_ACTIVATIONS[name]
    if value is None:
        return softmax
    value_of = kernel_of(value)

    def output(Z, D, first, last):
        for j in range(Z.shape[0]):
            z = Z[j, first:last]
            for i in range(z.size):
                z[i] = value_of(z[i])

    return _unit_of(output, "output", name)


def loss_unit(law):
    """The loss of each example, and dZ_L in the place of A_L.

    A, Y (n_L, m), losses (m); constants: those that the law takes, for all outputs or for each.
    """
    n_constants, is_coupled = len(law.constants), law.is_coupled
    value, slope = kernel_of(law.value, 2 + n_constants), kernel_of(law.slope, 2 + n_constants)

    @inline
    def couple(A, Y, constants, first, last):
        # First the sum of all u, then u again: there is no room for both u and a.
        more = first_numbers(constants, n_constants)
        for i in range(first, last):
            total = A.dtype.type(0)
            for j in range(A.shape[0]):
                total += slope(A[j, i], Y[j, i], *more)
            for j in range(A.shape[0]):
                A[j, i] = slope(A[j, i], Y[j, i], *more) - A[j, i] * total

    def loss_and_dZ(A, Y, losses, constants, first, last):
        cost = losses[first:last]
        for i in range(cost.size):
            cost[i] = A.dtype.type(0)
        for j in range(A.shape[0]):
            more = first_numbers(constants[j * n_constants if constants.size > n_constants else 0 :], n_constants)
            a, y = A[j, first:last], Y[j, first:last]
            for i in range(a.size):
                a_i, y_i = a[i], y[i]
                cost[i] += value(a_i, y_i, *more)
                if not is_coupled:
                    a[i] = slope(a_i, y_i, *more)
        if is_coupled:
            couple(A, Y, constants, first, last)

    return _unit_of(loss_and_dZ, "loss", law)


@unit
def loss_and_dZ_of_classes(A, classes, rows, losses, first, last):
    """The cross-entropy, where classes[rows[i], 0] is the class of example i: its y is 1, the others are 0."""
    one, eps_of, cost = A.dtype.type(1), eps(A.dtype.type(1)), losses[first:last]
    for i in range(first, last):
        j = int(classes[rows[i], 0])
        losses[i] = A[j, i]
        A[j, i] -= one
    for i in range(cost.size):
        cost[i] = -log(min(max(cost[i], eps_of), one - eps_of))


@kernel
def sum_first(a, n):
    """The sum of the first n numbers of a (1, any)."""
    whole, g = n - n % lanes(a), zero(a)
    for j in range(0, whole, lanes(a)):
        g = g + load(a, 0, j)
    return sum_lanes(g + load_first(a, 0, whole, n - whole))


@unit
def weigh(dZ, losses, scratch, weights, rows, first, last):
    """Multiply the loss of example i, and its column of dZ, by weights[rows[i]].  dZ (n_L, m), losses, scratch (m)."""
    cost, weight = losses[first:last], scratch[first:last]
    for i in range(cost.size):
        weight[i] = weights[rows[first + i]]
        cost[i] *= weight[i]
    for j in range(dZ.shape[0]):
        d = dZ[j, first:last]
        for i in range(d.size):
            d[i] *= weight[i]


@inline
def _total(G, p, count):
    """The gradient of `count` parameters from p on, summed over the shards."""
    g = load_first(G, 0, p, count)
    for shard in range(1, G.shape[0]):
        g = g + load_first(G, shard, p, count)
    return g


@inline
def _clipped(w, bound):
    """w, between -bound and bound."""
    low = bound - bound - bound
    return maximum(low, low - low - maximum(low - low - w, low))


@inline
def _ask(theta, G, p):
    """Ask for what is needed soon after p: theta, which other cores have read, and gradients, which they have made.

    Not on AMD's processors: on Zen 4 that only takes time, up to a tenth of a step.
    """
    if not STREAMS:
        ahead = p + AHEAD // theta.itemsize
        prefetch_to_write(theta, 0, ahead)
        if G.shape[0] > 1:
            for shard in range(G.shape[0]):
                prefetch(G, shard, ahead)


def update_unit(law):
    """One fused pass over ranges of parameters, by the rule of an optimizer.

    The gradient of the penalised mean is formed on the way, with G summed over the m examples:

        g = (G * clip + alpha W + l1 sign(W)) * mean_factor; or, where the penalty is decoupled,
        g = G * clip * mean_factor, W -= alpha W before the step, and after it W goes by l1 towards 0, not beyond
        average += part (W - average), where that is kept, after the step

    G is the sum of its rows, one for each shard of the batch.  squares[r], if there is room, becomes twice the penalty
    on the old values of range r: alpha times the sum of their squares, and 2 l1 times that of their absolute values.
    Vectors of memory that are filled go past the caches if `streamed`: see `simd.stream`.  theta (1, n_params), G
    (n_shards, n_params), moments (n_moments or one more, n_params), constants (n_constants), ranges (any, 3): from, to,
    and whether the penalty is on it; those from `begin` to `end` are updated; numbers (RATE + n_rates): of this step.
    """
    step, n_constants, n_moments, n_rates = kernel_of(law.step), law.n_constants, law.n_moments, law.n_rates
    is_decoupled, has_l1, is_averaged = law.is_decoupled, law.has_l1, law.is_averaged

    @inline
    def update_vector(theta, G, moments, p, count, decay, l1, part, factor, clip, rates, constants, streamed):
        w, total = load_first(theta, 0, p, count), clip * _total(G, p, count)
        if is_decoupled:
            w, g = w - decay * w, factor * total
        elif has_l1:
            g = factor * (fma(decay, w, total) + _clipped(splat(theta, theta.dtype.type(LARGE)) * w, l1))
        else:
            g = factor * fma(decay, w, total)
        if n_moments == 2:
            new, m, v = step(
                w, g, *rates, load_first(moments, 0, p, count), load_first(moments, 1, p, count), *constants
            )
            store_first(moments, 1, p, count, v)
        else:
            new, m = step(w, g, *rates, load_first(moments, 0, p, count), *constants)
        store_first(moments, 0, p, count, m)
        if is_decoupled and has_l1:
            new = new - _clipped(new, l1)
        if is_averaged:
            average = load_first(moments, n_moments, p, count)
            store_first(moments, n_moments, p, count, fma(part, new - average, average))
        if STREAMS and streamed:
            stream(theta, 0, p, new)
        else:
            store_first(theta, 0, p, count, new)
        return w

    def update(theta, G, moments, constants, squares, ranges, begin, end, mean_factor, clip, numbers, streamed):
        factor, clip, rates, more = (
            splat(theta, mean_factor),
            splat(theta, clip),
            splats(theta, numbers[RATE:], n_rates),
            splats(theta, constants, n_constants),
        )
        full, alpha, nothing, two = lanes(theta), numbers[ALPHA], theta.dtype.type(0), theta.dtype.type(2)
        part = splat(theta, numbers[AVERAGE])
        for r in range(begin, end):
            first, last, s, s_1 = ranges[r, 0], ranges[r, 1], zero(theta), zero(theta)
            decay = splat(theta, alpha if ranges[r, 2] else nothing)
            l1 = splat(theta, numbers[L1] if ranges[r, 2] else nothing)
            start = min(first + -first % full, last)
            if first < start:  # up to where a whole vector of memory begins
                w = update_vector(
                    theta, G, moments, first, start - first, decay, l1, part, factor, clip, rates, more, False
                )
                s = fma(w, w, s)
                if has_l1:
                    s_1 = s_1 + maximum(w, zero(theta) - w)
            whole = last - (last - start) % full
            for p in range(start, whole, full):  # without masks, which take long
                _ask(theta, G, p)
                w = update_vector(theta, G, moments, p, full, decay, l1, part, factor, clip, rates, more, streamed)
                s = fma(w, w, s)
                if has_l1:
                    s_1 = s_1 + maximum(w, zero(theta) - w)
            if whole < last:
                w = update_vector(
                    theta, G, moments, whole, last - whole, decay, l1, part, factor, clip, rates, more, False
                )
                s = fma(w, w, s)
                if has_l1:
                    s_1 = s_1 + maximum(w, zero(theta) - w)
            if squares.size and ranges[r, 2]:
                squares[r] = nothing if is_decoupled else alpha * sum_lanes(s)
                if has_l1 and not is_decoupled:
                    squares[r] += two * numbers[L1] * sum_lanes(s_1)

    return _unit_of(update, "update", law)


def advance_unit(law):
    """Several steps of a range of parameters, by the rule of an optimizer: what `update_unit` does in one.

    They are taken from `begin` to `end`, with the numbers of a vector in registers from the first to the last.  Only
    the last may have a gradient, G (1, last - first or more) times clip, or (0, any): before it, there is the penalty.
    squares (n_steps, lanes) gets, added, twice the penalty on the values before each step.  theta (1, n_params),
    moments (n_moments or one more, n_params), constants (n_constants); factors (n_steps), numbers (n_steps, RATE +
    n_rates): of each step.
    """
    step, n_constants, n_moments, n_rates = kernel_of(law.step), law.n_constants, law.n_moments, law.n_rates
    is_decoupled, has_l1, is_averaged = law.is_decoupled, law.has_l1, law.is_averaged
    n_kept = n_moments + is_averaged

    @inline
    def advance_vectors(
        theta, G, moments, constants, squares, p, count, first, begin, end, factors, clip, numbers, cols
    ):
        # Several vectors at a time: each step of one would wait for the last.
        w, m, full = tile(theta, 1, AT_ONCE), tile(theta, 3, AT_ONCE), lanes(theta)
        more, two = splats(theta, constants, n_constants), splat(theta, theta.dtype.type(2))
        for c in range(cols):
            q, n = p + c * full, min(full, count - c * full)
            w[0, c] = load_first(theta, 0, q, n)
            for i in range(n_kept):
                m[i, c] = load_first(moments, i, q, n)
        for t in range(begin, end):
            rolled()
            factor, decay, l1, part, rates, s = (
                splat(theta, factors[t]),
                splat(theta, numbers[t, ALPHA]),
                splat(theta, numbers[t, L1]),
                splat(theta, numbers[t, AVERAGE]),
                splats(theta, numbers[t, RATE:], n_rates),
                load(squares, t, 0),
            )
            for c in range(cols):
                g = zero(theta)
                if t == end - 1 and G.shape[0]:
                    g = splat(theta, clip) * load_first(G, 0, p - first + c * full, min(full, count - c * full))
                if is_decoupled:
                    w[0, c], g = w[0, c] - decay * w[0, c], factor * g
                else:
                    s, g = fma(decay * w[0, c], w[0, c], s), fma(decay, w[0, c], g)
                    if has_l1:
                        s = fma(two * l1, maximum(w[0, c], zero(theta) - w[0, c]), s)
                        g = g + _clipped(splat(theta, theta.dtype.type(LARGE)) * w[0, c], l1)
                    g = factor * g
                if n_moments == 2:
                    w[0, c], m[0, c], m[1, c] = step(w[0, c], g, *rates, m[0, c], m[1, c], *more)
                else:
                    w[0, c], m[0, c] = step(w[0, c], g, *rates, m[0, c], *more)
                if is_decoupled and has_l1:
                    w[0, c] = w[0, c] - _clipped(w[0, c], l1)
                if is_averaged:
                    m[n_moments, c] = fma(part, w[0, c] - m[n_moments, c], m[n_moments, c])
            store(squares, t, 0, s)
        for c in range(cols):
            q, n = p + c * full, min(full, count - c * full)
            store_first(theta, 0, q, n, w[0, c])
            for i in range(n_kept):
                store_first(moments, i, q, n, m[i, c])

    def advance(theta, G, moments, constants, squares, first, last, begin, end, factors, clip, numbers):
        across = AT_ONCE * lanes(theta)
        for p in range(first, last, across):
            count = min(across, last - p)
            if count > across // 2:
                advance_vectors(
                    theta, G, moments, constants, squares, p, count, first, begin, end, factors, clip, numbers, AT_ONCE
                )
            else:
                advance_vectors(
                    theta,
                    G,
                    moments,
                    constants,
                    squares,
                    p,
                    count,
                    first,
                    begin,
                    end,
                    factors,
                    clip,
                    numbers,
                    AT_ONCE // 2,
                )

    return _unit_of(advance, "advance", law)


@kernel
def activate(address, Z, D, first, last):
    """A = g(Z), and D = g'(Z) where it is kept, by the address of a law; none for what the products do."""
    if address:
        call(address, Z, D, first, last)


@kernel
def loss_and_dZ(address, A, Y, losses, constants, first, last):
    """The loss of each example and dZ_L, by the address of a law."""
    call(address, A, Y, losses, constants, first, last)


@kernel
def update(rule, theta, G, moments, squares, ranges, begin, end, step, clip, streamed):
    """The ranges of parameters from begin to end, in this step."""
    call(
        rule.update,
        theta,
        G,
        moments,
        rule.constants,
        squares,
        ranges,
        begin,
        end,
        step.mean_factor,
        clip,
        step.numbers,
        streamed,
    )


@kernel
def advance(rule, theta, G, moments, squares, first, last, begin, end, factors, clip):
    """The parameters from first to last, in the steps from begin to end."""
    call(
        rule.advance,
        theta,
        G,
        moments,
        rule.constants,
        squares,
        first,
        last,
        begin,
        end,
        factors,
        clip,
        rule.numbers,
    )


#: What makes the unit of a law, by its sort.
MAKERS = {
    "activate": activation_unit,
    "output": output_unit,
    "loss": loss_unit,
    "update": update_unit,
    "advance": advance_unit,
}
# Those of the tables, so that other processes know them by their names.
for _law in ACTIVATIONS.values():
    activation_unit(_law)
for _name in OUT_ACTIVATIONS:
    if _name != "identity":
        output_unit(_name)
for _law in LOSSES.values():
    loss_unit(_law)
for _law in RULES.values():
    update_unit(_law)
    advance_unit(_law)
