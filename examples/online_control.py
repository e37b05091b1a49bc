"""Learning while acting, all in one compiled loop: a pendulum, too weak to lift itself, that learns to swing up.

The network begins with no idea of what a torque does. In every step it is asked what would come of some random plans,
the first torque of the best plan is applied, and one `train_step` learns from what has happened so far.
"""

from time import perf_counter

import numpy as np
from numba import njit

import fastnn

N_PLANS, HORIZON, BATCH = 50, 20, 32


@njit(cache=True)
def live(net, n_steps, seed):
    """The angle from upright after each step."""
    np.random.seed(seed)
    angle, velocity, angles = np.pi, 0.0, np.empty(n_steps)
    X, Y, x, change = np.empty((n_steps, 4)), np.empty((n_steps, 1)), np.empty(4), np.empty(1)
    some_X, some_Y = np.empty((BATCH, 4)), np.empty((BATCH, 1))
    for step in range(n_steps):
        best, torque = np.inf, 0.0
        for _ in range(N_PLANS):
            a, v, u, cost, first = angle, velocity, 0.0, 0.0, 0.0
            for ahead in range(HORIZON):
                if ahead % 5 == 0:
                    u = np.random.uniform(-2, 2)
                    first = u if ahead == 0 else first
                x[:] = np.cos(a), np.sin(a), v / 8, u / 2
                fastnn.predict_one(net, x, change)
                v += change[0]
                a += 0.05 * v
                cost += 2 - 2 * np.cos(a) + 0.02 * v**2
            if cost < best:
                best, torque = cost, first
        X[step] = np.cos(angle), np.sin(angle), velocity / 8, torque / 2
        Y[step, 0] = 0.05 * (15 * np.sin(angle) + 3 * torque)  # what the pendulum does
        velocity += Y[step, 0]
        angle += 0.05 * velocity
        angles[step] = abs((angle + np.pi) % (2 * np.pi) - np.pi)
        for i in range(BATCH):
            k = np.random.randint(step + 1)
            some_X[i], some_Y[i] = X[k], Y[k]
        fastnn.train_step(net, some_X, some_Y)
    return angles


def main(n_steps=500, seed=0):
    model = fastnn.MLPRegressor(hidden_layer_sizes=(32,), activation="tanh", learning_rate_init=0.01, random_state=0)
    net = model.partial_fit(np.zeros((1, 4)), [0.0]).jit(batch_size=BATCH)
    live(model.jit(batch_size=BATCH), 1, seed)  # compiles
    began = perf_counter()
    angles = live(net, n_steps, seed)
    took = perf_counter() - began
    print(f"{n_steps} steps, as many of training, {n_steps * N_PLANS * HORIZON} predictions: {took:.2f} s")
    print(f"degrees from upright: {np.degrees(angles[:100].mean()):.0f} in the first 100 steps, ", end="")
    print(f"{np.degrees(np.median(angles[-100:])):.0f} in the last 100")
    return angles


if __name__ == "__main__":
    main()
