"""The output activation, then the loss of each example and dZ_L in one pass.

    loss                 A_L = g(Z_L)          L(a, y) of one example                     dZ_L
    LOG_LOSS             logistic(z_j)         - sum_j y_j log a_j + (1 - y_j) log(1 - a_j)   A_L - Y
    CROSS_ENTROPY        softmax(z)            - sum_j y_j log a_j                        A_L - Y
    SQUARED_ERROR        z_j                   sum_j (a_j - y_j)^2 / 2                    A_L - Y
    POISSON              e^z_j                 sum_j y_j log(y_j / a_j) - y_j + a_j       A_L - Y

Probabilities are kept eps away from 0 and 1 in the loss, as scikit-learn does.
"""
import numpy as np

from fastnn.kernels.activations import LOGISTIC, activate, exp, log
from fastnn.kernels.jit import kernel, unit
from fastnn.kernels.simd import lanes, load, load_first, maximum, splat, store, sum_lanes, zero

LOG_LOSS, CROSS_ENTROPY, SQUARED_ERROR, POISSON = range(4)


@kernel
def softmax(Z, first, last):
    """Z = e^(z_j - max) / sum_j e^(z_j - max), column by column, whole vectors of them.  Z (n, m)."""
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


@unit
def output(Z, first, last, loss):
    """A_L = g(Z_L), in place, in the columns from first to last; for softmax, whole vectors of them.  Z (n_L, m)."""
    if loss == CROSS_ENTROPY:
        softmax(Z, first, last)
    elif loss == LOG_LOSS:
        activate(Z, first, last, LOGISTIC)
    elif loss == POISSON:
        for j in range(Z.shape[0]):
            z = Z[j, first:last]
            for i in range(z.size):
                z[i] = exp(z[i])


@unit
def loss_and_dZ(A, Y, losses, first, last, loss):
    """The loss of each example, and dZ_L = A_L - Y in the place of A_L.  A, Y (n_L, m), losses (m)."""
    number = A.dtype.type
    one, half, eps = number(1), number(0.5), number(np.finfo(A.dtype).eps)
    cost = losses[first:last]
    for i in range(cost.size):
        cost[i] = number(0)
    for j in range(A.shape[0]):
        a, y = A[j, first:last], Y[j, first:last]
        if loss == SQUARED_ERROR:
            for i in range(a.size):
                a[i] -= y[i]
                cost[i] += half * a[i] * a[i]
        elif loss == CROSS_ENTROPY:
            some = 0                          # of many classes, most have no example in a block
            for i in range(a.size):
                some |= y[i] != 0
            if some:
                for i in range(a.size):
                    cost[i] -= y[i] * log(min(max(a[i], eps), one - eps))
                    a[i] -= y[i]
        elif loss == POISSON:
            for i in range(a.size):
                cost[i] += (y[i] * log(y[i] / a[i]) if y[i] != 0 else number(0)) - y[i] + a[i]
                a[i] -= y[i]
        else:
            for i in range(a.size):
                p = min(max(a[i], eps), one - eps)
                cost[i] -= y[i] * log(p) + (one - y[i]) * log(one - p)
                a[i] -= y[i]


@unit
def loss_and_dZ_of_classes(A, classes, rows, losses, first, last):
    """The same for CROSS_ENTROPY, where classes[rows[i], 0] is the class of example i: its y is 1, the others are 0."""
    number = A.dtype.type
    one, eps, cost = number(1), number(np.finfo(A.dtype).eps), losses[first:last]
    for i in range(first, last):
        j = int(classes[rows[i], 0])
        losses[i] = A[j, i]
        A[j, i] -= one
    for i in range(cost.size):
        cost[i] = -log(min(max(cost[i], eps), one - eps))


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
