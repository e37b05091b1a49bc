"""Teams: who helps, with fewer threads than asked for, and on fewer cores than threads."""

import time

import numpy as np
import pytest

from fastnn.comparison.steps import WORKLOADS
from fastnn.kernels.machine import team
from fastnn.kernels.machine.jit import entry
from fastnn.kernels.machine.team import claim, dismiss, take
from fastnn.kernels.machine.words import new_team
from fastnn.network import Network, aligned
from fastnn.training import Adam, Trainer, calls
from fastnn.training.crew import Crew

OUT_ACTIVATIONS = {"binary": "logistic", "multiclass": "softmax", "regression": "identity"}


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


@pytest.mark.parametrize("name", WORKLOADS)
def test_same_bits_for_any_number_of_threads_on_every_workload(name):
    assert len({digest(name, n_threads) for n_threads in (1, 2, 3, 4)}) == 1


@entry
def sizes_of_teams(helpers, wanted, sizes):
    """How large the teams are that get together for one job after the other."""
    for i in range(sizes.size):
        sizes[i] = claim(helpers, wanted)
        dismiss(helpers, sizes[i])


def size_of_team(helpers, wanted):
    sizes = np.zeros(1, np.int64)
    sizes_of_teams(helpers.words, wanted, sizes)
    return int(sizes[0])


@pytest.fixture
def helpers(monkeypatch):
    monkeypatch.setattr(calls.system, "most_threads", lambda: 2)
    helpers = calls.Helpers()
    yield helpers
    helpers.close()


def until(condition):
    end = time.monotonic() + 30
    while not condition() and time.monotonic() < end:
        time.sleep(0.001)
    return condition()


def test_helpers_come_when_they_are_called_and_go_to_sleep(helpers):
    assert size_of_team(helpers, 3) == 1
    helpers.call(2, 1.0)
    assert until(lambda: (helpers.call(2, 1.0), size_of_team(helpers, 3))[1] == 2)
    assert until(lambda: (helpers.call(8, 1.0), size_of_team(helpers, 8))[1] == 3)  # there is room for no more
    assert until(lambda: (helpers.words[team.HOW :: team.LINE] == team.ASLEEP).all())
    assert size_of_team(helpers, 3) == 1


def test_nobody_is_woken_for_a_short_call_that_comes_alone(helpers, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(calls.time, "perf_counter", lambda: now[0])
    for now[0], woken in (1.0, False), (2.0, False), (2.0005, True):
        helpers.call(2, 1e-4)
        assert (helpers.words[team.HOW] != team.ASLEEP) == woken


def test_at_the_end_nobody_is_left_and_nobody_is_started(helpers, monkeypatch):
    helpers.call(3, 1.0)
    helpers.close()
    assert not any(thread.is_alive() for thread in helpers._threads)
    helpers.call(3, 1.0)
    assert size_of_team(helpers, 3) == 1


def test_where_no_thread_can_be_started_all_is_done_alone(helpers, monkeypatch):
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("threading.Thread.start", refuse)
    helpers.call(3, 1.0)
    assert size_of_team(helpers, 3) == 1


def test_who_is_claimed_by_one_is_not_by_another(helpers):
    assert until(lambda: (helpers.call(3, 1.0), size_of_team(helpers, 3))[1] == 3)
    helpers.words[team.HOW :: team.LINE] = team.CLAIMED
    assert size_of_team(helpers, 3) == 1
    helpers.words[team.HOW :: team.LINE] = team.READY


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


def test_helpers_whose_holder_was_interrupted_are_free_again(helpers, monkeypatch):
    monkeypatch.setattr(calls, "_helpers", helpers)

    def interrupt(self, wanted, seconds):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(calls.Helpers, "call", interrupt)
        with pytest.raises(KeyboardInterrupt), calls.team_of(2, 0.0):
            pass
    with calls.team_of(2, 0.0) as (most, _):
        assert most == 2
        with calls.team_of(2, 0.0) as (others, _):
            assert others == 1
    with calls.team_of(2, 0.0) as (most, _):
        assert most == 2
