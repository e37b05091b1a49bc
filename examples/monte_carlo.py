"""A Monte-Carlo loop that asks a network in every step: how many cracked parts break within 400 loads?

The network stands for a program that knows the stress at the tip of a crack, and is expensive to ask. How far the crack
grows decides what is asked next, so NumPy has to go with all parts at once, step by step.
"""

from time import perf_counter

import numpy as np
from numba import njit, prange

import fastnn

N_LOADS, FIRST, GROWTH = 400, 0.1, 4.4e-4


def stress(X):
    """At the tip of a crack of some length (its part of the width), under a load: what the expensive program says."""
    length, load = X.T
    return (
        load * np.sqrt(np.pi * length) * (1.12 - 0.23 * length + 10.6 * length**2 - 21.7 * length**3 + 30 * length**4)
    )


@njit(parallel=True, cache=True)
def broken(net, n_parts):
    n_broken = 0
    for part in prange(n_parts):
        np.random.seed(part)  # the same loads, whichever thread takes the part
        x, out = np.array([FIRST, 0.0]), np.empty(1)
        for _ in range(N_LOADS):
            x[1] = 1 + 0.3 * np.random.normal()
            fastnn.predict_one(net, x, out)
            x[0] += GROWTH * out[0] ** 3
            if x[0] > 0.7:
                n_broken += 1
                break
    return n_broken


def broken_by_numpy(predict, n_parts):
    loads = np.stack([1 + 0.3 * np.random.RandomState(part).normal(size=N_LOADS) for part in range(n_parts)])
    length = np.full(n_parts, FIRST)
    for load in loads.T:
        (whole,) = np.nonzero(length <= 0.7)
        length[whole] += GROWTH * predict(np.stack([length[whole], load[whole]], axis=1)) ** 3
    return int((length > 0.7).sum())


def main(n_parts=5000):
    X = np.random.default_rng(0).uniform([0.05, -0.5], [0.75, 2.5], (1000, 2))
    model = fastnn.MLPRegressor(hidden_layer_sizes=(20, 20), activation="tanh", solver="lbfgs", alpha=0, random_state=0)
    net = model.set_params(max_iter=2000, tol=1e-9).fit(X, stress(X)).jit()
    broken(net, 1)  # compiles
    ways = {
        "predict_one in a prange loop": lambda: broken(net, n_parts),
        "model.predict, all parts at once": lambda: broken_by_numpy(model.predict, n_parts),
        "the expensive program": lambda: broken_by_numpy(stress, n_parts),
    }
    counts = []
    for name, count in ways.items():
        began = perf_counter()
        counts.append(count())
        print(f"{name:33} {counts[-1]:6} of {n_parts} parts break ({perf_counter() - began:.3f} s)")
    return counts


if __name__ == "__main__":
    main()
