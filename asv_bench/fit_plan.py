"""Time each way of doing a step on random networks, and fit what its parts cost: see `fastnn.training.plan`.

    python fit_plan.py [NETWORKS]

prints the nanoseconds of each way, how near they come, and how much longer steps take than by the best way for each.
"""

import sys
import time

import numpy as np
from scipy.optimize import nnls

from fastnn.network import Network
from fastnn.training import Adam, Trainer, plan, trainer
from fastnn.training.crew import Crew
from fastnn.training.ways import columns, online, units

WAYS = (columns, units, online)


def random_case(rng):
    """Network, batch size and dtype, as people have them."""
    n_hidden = rng.choice(4, p=[0.12, 0.45, 0.3, 0.13])
    n_x, *hidden = np.exp(rng.uniform(np.log([2] + [4] * n_hidden), np.log([1000] + [400] * n_hidden))).astype(int)
    n_y = int(rng.choice([1, 1, 2, 3, 5, 10, 20]))
    out_activation = "logistic" if n_y == 1 else "identity" if n_y == 2 else "softmax"
    activation = str(rng.choice(["relu", "relu", "tanh", "logistic"]))
    batch_size = int(rng.choice([1, 2, 4, 8, 16, 32, 32, 64, 100, 128, 200, 200, 256, 512]))
    sizes = (int(n_x), *map(int, hidden), n_y)
    return Network(sizes, activation, out_activation), batch_size, np.dtype(rng.choice(["float32", "float64"]))


def microseconds(network, batch_size, dtype, rng):
    """The least time of a step, by each way that can, on one thread."""
    n_samples = max(4 * batch_size, 1000)
    X = rng.standard_normal((n_samples, network.layer_sizes[0])).astype(dtype)
    Y = rng.random((n_samples, network.layer_sizes[-1])).astype(dtype) / network.layer_sizes[-1]
    order, trainers, best = np.arange(n_samples), {}, {}
    for way in WAYS:
        if way.can(network, batch_size, dtype):
            trainer.way_of = lambda *case, way=way: way
            theta = rng.standard_normal(network.n_params).astype(dtype) / 10
            trainers[way] = Trainer(network, theta, Adam(1e-4), X, Y, batch_size, n_threads=1)
            trainers[way].crew = Crew(1, 1)
            trainers[way].run(order, 5)
    for _ in range(7):
        for way, each in trainers.items():
            n_steps = max(3, int(3000 / best.get(way, 1000)))
            start = time.perf_counter()
            each.run(order, n_steps)
            best[way] = min(best.get(way, np.inf), (time.perf_counter() - start) / n_steps * 1e6)
    return best


def main(n_networks):
    rng = np.random.default_rng(0)
    cases = [(case := random_case(rng), microseconds(*case, rng)) for _ in range(n_networks)]
    fitted = {}
    for way in WAYS:
        if not any(way in times for _, times in cases):
            fitted[way] = np.array(way.NANOSECONDS)
            continue
        counts = np.array([way.terms(*case) for case, times in cases if way in times], float)
        taken = np.array([times[way] * 1000 for _, times in cases if way in times])
        fitted[way], _ = nnls(counts / taken[:, np.newaxis], np.ones(len(taken)))
        ratios = np.quantile(counts @ fitted[way] / taken, [0.05, 0.25, 0.5, 0.75, 0.95])
        print(f"{way.__name__}: NANOSECONDS = {fitted[way].round(3).tolist()}")
        print("    said / taken, quantiles 5, 25, 50, 75, 95 %:", ratios.round(2).tolist())
    for name, choose in (
        ("as fitted", lambda case, ways: min(ways, key=lambda way: np.dot(way.terms(*case), fitted[way]))),
        ("as in the plan", lambda case, ways: min(ways, key=lambda way: plan.cost(way, *case))),
        ("all by columns", lambda case, ways: columns),
        ("without online", lambda case, ways: min(set(ways) - {online}, key=ways.get)),
        ("without units", lambda case, ways: min(set(ways) - {units}, key=ways.get)),
    ):
        longer = [times[choose(case, times)] / min(times.values()) - 1 for case, times in cases if len(times) > 1]
        print(f"{name}: {100 * np.mean(longer):.1f} % longer than by the best way for each")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 500)
