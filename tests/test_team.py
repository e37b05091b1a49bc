"""Teams: under every threading layer, with fewer threads than asked for, and on fewer cores than threads."""

import os
import subprocess
import sys

import numpy as np
import pytest

from fastnn.comparison.steps import WORKLOADS
from fastnn.kernels.machine.jit import entry
from fastnn.kernels.machine.team import new_team, take
from fastnn.network import Network, aligned
from fastnn.training import Adam, Trainer
from fastnn.training.crew import Crew

OUT_ACTIVATIONS = {"binary": "logistic", "multiclass": "softmax", "regression": "identity"}


def layers_that_install():
    """The threading layers of Numba that can be used here."""
    code = "import sys, numba; from numba.np.ufunc.parallel import _launch_threads; _launch_threads()"
    return [
        layer
        for layer in ("workqueue", "omp", "tbb")
        if not subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "NUMBA_THREADING_LAYER": layer},
            capture_output=True,
            check=False,
        ).returncode
    ]


def digest(name, n_threads):
    """A hash of the parameters after two steps of a workload."""
    workload = WORKLOADS[name]
    n_samples, rng = 2 * workload.batch_size - 3, np.random.default_rng(0)
    network = Network(workload.layer_sizes, workload.activation, OUT_ACTIVATIONS[workload.task])
    theta = aligned(network.n_params, workload.dtype)
    theta[:] = 0.1 * rng.standard_normal(network.n_params)
    X = rng.standard_normal((n_samples, workload.n_features)).astype(workload.dtype)
    Y = rng.integers(0, 2, (n_samples, workload.n_outputs)).astype(workload.dtype)
    trainer = Trainer(network, theta, Adam(1e-3), X, Y, workload.batch_size, alpha=1e-4, n_threads=n_threads)
    trainer.crew = Crew(n_threads, n_threads)
    trainer.crew.sizes = [n_threads]
    costs = trainer.run(rng.permutation(n_samples), 2)
    return hash((theta.tobytes(), costs.tobytes()))


@entry
def take_a_part(state, rank, size, owner, first, last, together, out):
    out[0], out[1] = take(state, 1, rank, size, owner, first, last, together)


if __name__ == "__main__":  # one line for each workload and number of threads
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
    run = subprocess.run(
        [sys.executable, __file__], env=environment, capture_output=True, text=True, check=True, timeout=300
    )
    digests = {}
    for line in run.stdout.splitlines():
        name, _, number = line.rsplit(" ", 2)
        digests.setdefault(name, set()).add(number)
    assert list(digests) == list(WORKLOADS)
    assert {len(numbers) for numbers in digests.values()} == {1}, run.stdout


@pytest.mark.parametrize("together", [1, 2])
def test_owners_and_helpers_take_every_unit_once(together):
    rng, size, out = np.random.default_rng(0), 3, np.zeros(2, np.int64)
    state, parts, taken = new_team(size), [(0, 7), (7, 8), (8, 40)], np.zeros(40, int)
    for _ in range(200):
        rank, owner = rng.integers(size, size=2)
        take_a_part(state, rank, size, owner, *parts[owner], together, out)
        begin, end = out
        assert begin == end or parts[owner][0] <= begin < end <= parts[owner][1]
        assert rank == owner or end - begin <= 1  # a helper leaves the rest to the others
        assert rank != owner or (end - begin) % together == 0 or taken[end : parts[owner][1]].all()
        taken[begin:end] += 1
    np.testing.assert_array_equal(taken, 1)


def test_who_works_alone_takes_all_at_once():
    out = np.zeros(2, np.int64)
    take_a_part(new_team(1), 0, 1, 0, 3, 12, 2, out)
    assert out.tolist() == [3, 12]
