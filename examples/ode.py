"""A network as the right-hand side of a differential equation: a pendulum whose acceleration was learned from examples.

SciPy's `solve_ivp` calls a compiled function that asks the network; with numbalsoda (pip install numbalsoda) the solver
is compiled code as well.
"""

from importlib.util import find_spec
from time import perf_counter

import numpy as np
from numba import carray, cfunc, njit
from scipy.integrate import solve_ivp

import fastnn

TIMES, START = np.linspace(0, 20, 201), np.array([2.0, 0.0])  # seconds; angle and velocity


@njit(cache=True)
def slope(t, y, net):
    dy = np.empty(2)
    fastnn.predict_one(net, y, dy[1:])
    dy[0] = y[1]
    return dy


def by_scipy(slope, *args):
    return solve_ivp(slope, TIMES[[0, -1]], START, t_eval=TIMES, args=args, rtol=1e-8, atol=1e-8).y.T


def by_numbalsoda(net):
    from numbalsoda import lsoda, lsoda_sig

    @cfunc(lsoda_sig)
    def slope_for_c(t, y, dy, _):  # which takes no network: it is a global
        state, slopes = carray(y, (2,)), carray(dy, (2,))
        fastnn.predict_one(net, state, slopes[1:])
        slopes[0] = state[1]

    return lambda: lsoda(slope_for_c.address, START, TIMES, rtol=1e-8, atol=1e-8)[0]


def main(n_examples=1000):
    X = np.random.default_rng(0).uniform(-2.5, 2.5, (n_examples, 2))
    y = -np.sin(X[:, 0]) - 0.1 * X[:, 1]
    model = fastnn.MLPRegressor(hidden_layer_sizes=(20, 20), activation="tanh", solver="lbfgs", alpha=0, random_state=0)
    net = model.set_params(tol=1e-9, max_iter=1000).fit(X, y).jit()
    ways = {
        "solve_ivp, model.predict": lambda: by_scipy(lambda t, y: [y[1], model.predict(y[np.newaxis])[0]]),
        "solve_ivp, predict_one in @njit": lambda: by_scipy(slope, net),
        "numbalsoda, all compiled": by_numbalsoda(net) if find_spec("numbalsoda") else None,
    }
    truth, solutions = by_scipy(lambda t, y: [y[1], -np.sin(y[0]) - 0.1 * y[1]]), []
    for name, solve in ways.items():
        if solve:
            solve()  # compiles
            began = perf_counter()
            solutions.append(solve())
            took, error = perf_counter() - began, abs(solutions[-1] - truth)[:, 0].max()
            print(f"{name:32} {1e3 * took:7.2f} ms for 20 s of the pendulum; angle right to {error:.4f} rad")
    return truth, solutions


if __name__ == "__main__":
    main()
