"""Teams: under every threading layer, with fewer threads than asked for, and on fewer cores than threads."""
import os
import subprocess
import sys

import numpy as np
import pytest

from fastnn.comparison import WORKLOADS
from fastnn.network import Network
from fastnn.training import Adam, Crew, Trainer

OUT_ACTIVATIONS = {"binary": "logistic", "multiclass": "softmax", "regression": "identity"}


def layers_that_install():
    """The threading layers of Numba that can be used here."""
    code = "import sys, numba; from numba.np.ufunc.parallel import _launch_threads; _launch_threads()"
    return [layer for layer in ("workqueue", "omp", "tbb") if not subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "NUMBA_THREADING_LAYER": layer}, capture_output=True,
        check=False).returncode]


def digest(name, n_threads):
    """A hash of the parameters after two steps of a workload."""
    workload = WORKLOADS[name]
    n_samples, rng = 2 * workload.batch_size - 3, np.random.default_rng(0)
    network = Network(workload.layer_sizes, workload.activation, OUT_ACTIVATIONS[workload.task])
    theta = (0.1 * rng.standard_normal(network.n_params)).astype(workload.dtype)
    X = rng.standard_normal((n_samples, workload.n_features)).astype(workload.dtype)
    Y = rng.integers(0, 2, (n_samples, workload.n_outputs)).astype(workload.dtype)
    trainer = Trainer(network, theta, Adam(1e-3), X, Y, workload.batch_size, alpha=1e-4)
    trainer.crew = Crew(n_threads, n_threads)
    trainer.crew.sizes = [n_threads]
    costs = trainer.run(rng.permutation(n_samples), 2)
    return hash((theta.tobytes(), costs.tobytes()))


if __name__ == "__main__":                       # one line for each workload and number of threads
    for name in WORKLOADS:
        for n_threads in (1, 2, 3, 4):
            print(name, n_threads, digest(name, n_threads), flush=True)


@pytest.mark.parametrize("name", WORKLOADS)
def test_same_bits_for_any_number_of_threads_on_every_workload(name):
    assert len({digest(name, n_threads) for n_threads in (1, 2, 3, 4)}) == 1


SETTINGS = [{"NUMBA_THREADING_LAYER": layer} for layer in layers_that_install()] + [{"OMP_THREAD_LIMIT": "1"}]


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: " ".join(map("=".join, setting.items())))
def test_same_bits_under_every_threading_layer(setting):
    environment = {**os.environ, "PYTHONHASHSEED": "0", "NUMBA_NUM_THREADS": "4", **setting}
    run = subprocess.run([sys.executable, __file__], env=environment, capture_output=True, text=True, check=True,
                         timeout=300)
    digests = {}
    for line in run.stdout.splitlines():
        name, _, number = line.rsplit(" ", 2)
        digests.setdefault(name, set()).add(number)
    assert list(digests) == list(WORKLOADS)
    assert {len(numbers) for numbers in digests.values()} == {1}, run.stdout
