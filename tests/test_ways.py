"""Runs of steps: trajectories against the reference, and the same bits for any team."""

import numpy as np
import pytest
from conftest import NETWORKS, examples, go, reference_steps

from fastnn import reference
from fastnn.kernels.layouts import run
from fastnn.kernels.layouts.columns import NONE
from fastnn.kernels.machine.jit import entry
from fastnn.kernels.machine.team import share
from fastnn.network import Network
from fastnn.training import SGD, Adam, Trainer, calls
from fastnn.training.crew import Crew
from fastnn.training.ways import columns, linear, units

OPTIMIZERS = {
    "adam": lambda: Adam(0.01),
    "sgd": lambda: SGD(0.002, momentum=0.9, nesterovs_momentum=False),
    "nesterov": lambda: SGD(0.002, momentum=0.9),
    "plain": lambda: SGD(0.01, momentum=0.0),
}


@pytest.mark.parametrize("batch_size", [25, 1, 2, 3])
@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_ten_shuffled_minibatch_steps_follow_the_reference(network, optimizer, batch_size, way):
    net = Network(*network)
    X, Y = examples(network, 100, np.float64)
    start = net.from_dict(reference.initialize_parameters(net.layer_sizes, rng=1), np.float64)
    order = np.random.default_rng(2).permutation(100)
    expected, expected_costs = reference_steps(net, start, X, Y, order, batch_size, 10, optimizer(), alpha=0.1)
    theta = start.copy()
    costs = Trainer(net, theta, optimizer(), X.T, Y.T, batch_size, alpha=0.1).run(order, 10)
    np.testing.assert_allclose(costs, expected_costs, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(theta, expected, rtol=1e-7, atol=1e-9)  # Adam divides small numbers by small ones


@pytest.mark.parametrize(
    "network",
    [
        ((20, 100, 1), "relu", "logistic"),
        ((4, 300, 2), "tanh", "softmax"),
        ((8, 48, 33, 15, 2), "logistic", "identity"),
        ((40, 2), "relu", "identity"),
    ],
    ids=["one", "two", "deep", "lines"],
)
def test_shards_of_a_small_network(network, monkeypatch):
    net = Network(*network)
    X, Y = examples(network, 401, np.float64)
    start = net.from_dict(reference.initialize_parameters(net.layer_sizes, rng=1), np.float64)
    order = np.random.default_rng(2).permutation(401)
    expected, expected_costs = reference_steps(net, start, X, Y, order, 200, 7, Adam(0.01), alpha=0.1)
    go(monkeypatch, units)
    trainer = Trainer(net, start, Adam(0.01), X.T, Y.T, 200, alpha=0.1)
    assert len(trainer.room.work) > 1  # and the last batch, of one example, has none for some of them
    np.testing.assert_allclose(trainer.run(order, 7), expected_costs, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(start, expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("n_x", [1, 4, 5, 11, 12, 23, 24, 40])  # rows of sums: a low tile, one, and some
@pytest.mark.parametrize(("n_units", "batch_size"), [(1, 4), (7, 5), (70, 29)])
def test_a_network_of_which_signs_are_kept(n_x, n_units, batch_size, dtype, monkeypatch):
    go(monkeypatch, units)
    network = (n_x, n_units, 1), "relu", "logistic"
    net, (X, Y) = Network(*network), examples(network, 100, dtype)
    start = net.from_dict(reference.initialize_parameters(net.layer_sizes, rng=1), dtype)
    expected, expected_costs = reference_steps(
        net, start.astype(np.float64), X.astype(np.float64), Y, np.arange(100), batch_size, 9, SGD(0.1), alpha=0.1
    )
    trainer = Trainer(net, start, SGD(0.1), X.T, Y.T, batch_size, alpha=0.1)
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(trainer.run(np.arange(100), 9), expected_costs, rtol=1000 * eps)
    np.testing.assert_allclose(start, expected, rtol=1000 * eps, atol=100 * eps)


def assert_any_team_follows_the_reference(network, batch_size, dtype):
    """Nine steps: the last batch of three is of a few examples, and some shards have none."""
    n_samples, eps = 2 * batch_size + 1, np.finfo(dtype).eps
    net, (X, Y) = Network(*network), examples(network, n_samples, dtype)
    start = net.from_dict(reference.initialize_parameters(net.layer_sizes, rng=1), dtype)
    order = np.random.default_rng(2).permutation(n_samples)
    expected, expected_costs = reference_steps(
        net, start.astype(np.float64), X.astype(np.float64), Y, order, batch_size, 9, SGD(0.1), alpha=0.1
    )
    results = []
    for threads in (1, 2, 3, 4):
        theta = start.copy()
        trainer = Trainer(net, theta, SGD(0.1), X.T, Y.T, batch_size, alpha=0.1, n_threads=threads)
        trainer.crew = crew_of(threads)
        costs = trainer.run(order, 9)
        np.testing.assert_allclose(costs, expected_costs, rtol=1000 * eps, atol=100 * eps)
        np.testing.assert_allclose(theta, expected, rtol=1000 * eps, atol=100 * eps)
        results.append((theta, costs))
    for theta, costs in results[1:]:
        np.testing.assert_array_equal(theta, results[0][0])
        np.testing.assert_array_equal(costs, results[0][1])
    return trainer


@pytest.mark.parametrize("n_x", [1, 15, 33, 300])  # a part of a vector, and strips of them
@pytest.mark.parametrize(("batch_size", "read"), [(1, 2**17), (7, 2**17), (700, 2**17), (700, 1)])
def test_a_network_without_a_hidden_layer(n_x, batch_size, read, dtype, monkeypatch):
    monkeypatch.setattr(linear, "READ", read)  # in blocks, of a vector of examples or more
    go(monkeypatch, linear)
    assert_any_team_follows_the_reference(((n_x, 1), "relu", "logistic"), batch_size, dtype)


@pytest.mark.parametrize(
    "network",
    [
        ((50, 1, 9), "relu", "softmax"),
        ((300, 2, 33, 1), "tanh", "logistic"),
        ((16, 3, 2), "logistic", "identity"),
        ((130, 3), "relu", "softmax"),
    ],
    ids=["one", "two", "three", "lines"],
)
@pytest.mark.parametrize("batch_size", [7, 65, 600])  # one of several chunks, too
def test_a_first_layer_of_a_few_units(network, batch_size, dtype, monkeypatch):
    go(monkeypatch, columns)
    trainer = assert_any_team_follows_the_reference(network, batch_size, dtype)
    assert trainer.model.layers[0, run.A_IN] == NONE


@pytest.mark.parametrize("by_layers", [False, True])
def test_steps_with_transposed_copies_of_the_weights_are_the_same(network, by_layers, dtype, monkeypatch):
    go(monkeypatch, columns)
    monkeypatch.setattr(columns, "goes_by_layers", lambda network, chunk, dtype: by_layers)
    net = Network(*network)
    X, Y = examples(network, 96, dtype)  # of whole vectors: a few more are summed in another order
    results = []
    for fits in (2**20, 0):
        monkeypatch.setattr(columns, "FITS", fits)
        theta = net.from_dict(reference.initialize_parameters(net.layer_sizes, rng=1), dtype)
        trainer = Trainer(net, theta, Adam(0.01), X.T, Y.T, 32, alpha=0.1)
        trainer.run(np.arange(96), 5)
        theta += dtype.type(0.01)  # what others write between two runs counts
        results.append((theta, trainer.run(np.arange(96), 5)[:, 0]))
    assert (trainer.model.layers[1:, run.W_T] != NONE).all()
    np.testing.assert_array_equal(*(theta for theta, _ in results))
    np.testing.assert_array_equal(*(costs for _, costs in results))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("batch_size", [1, 3, 25])
def test_gradients_that_are_used_up_where_they_are_formed(batch_size, threads, way):
    network = (30, 300, 100, 3), "tanh", "softmax"
    net, (X, Y) = Network(*network), examples(network, 50, np.float64)
    theta = net.from_dict(reference.initialize_parameters(net.layer_sizes, rng=1), np.float64)
    expected, expected_costs = reference_steps(net, theta, X, Y, np.arange(50), batch_size, 5, Adam(0.01), alpha=0.1)
    trainer = Trainer(net, theta, Adam(0.01), X.T, Y.T, batch_size, alpha=0.1)
    trainer.crew = crew_of(threads)
    costs = trainer.run(np.arange(50), 5)
    if trainer.way is not units:
        assert trainer.room.G.shape[1] < net.n_params
    np.testing.assert_allclose(costs, expected_costs, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(theta, expected, rtol=1e-7, atol=1e-9)


@entry
def longest_shard(n, n_shards):
    longest = 0
    for s in range(n_shards):
        first, last = share(n, s, n_shards)
        longest = max(longest, last - first)
    return longest


def test_the_arrays_of_a_shard_have_a_column_for_each_of_its_examples(dtype):
    network = Network((4, 40, 1), "relu", "identity")
    theta = np.zeros(network.n_params, dtype)
    numbers = set()
    for m in range(4, 600):
        _, room = columns.room(network, theta, m, 1)
        n_shards = len(room.work)
        numbers.add(n_shards)
        assert longest_shard(room.chunk, n_shards) <= room.width, m
    assert numbers == {1, 2, 4}


def test_float32_follows_float64(network, way):
    net = Network(*network)
    results = []
    for dtype in (np.float64, np.float32):
        X, Y = examples(network, 100, dtype)
        theta = net.from_dict(reference.initialize_parameters(net.layer_sizes, rng=1), dtype)
        trainer = Trainer(net, theta, SGD(0.01), X.T, Y.T, 30)
        results.append(trainer.run(np.arange(100), 8)[:, 0])
        assert theta.dtype == trainer.optimizer.moments.dtype == dtype
    np.testing.assert_allclose(results[1], results[0], rtol=1e-4)


@pytest.mark.parametrize("batch_size", [2, 25])
def test_classes_are_what_rows_of_zeros_and_a_one_are(batch_size, dtype, way):
    net, rng = Network((5, 7, 4), "tanh", "softmax"), np.random.default_rng(0)
    X, classes = rng.standard_normal((60, 5)), rng.integers(0, 4, 60)
    results = []
    for targets in (classes[:, np.newaxis], np.eye(4)[classes]):
        theta = net.from_dict(reference.initialize_parameters(net.layer_sizes, rng=1), dtype)
        trainer = Trainer(net, theta, Adam(0.01), X, targets, batch_size, sample_weight=np.linspace(0.5, 2, 60))
        results.append((theta, trainer.run(np.arange(60), 6)))
    np.testing.assert_array_equal(results[0][0], results[1][0])
    np.testing.assert_array_equal(results[0][1], results[1][1])


def crew_of(n_threads):
    crew = Crew(n_threads, n_threads)
    crew.sizes = [n_threads]
    return crew


@pytest.mark.parametrize(
    "network", [NETWORKS[2], NETWORKS[4], ((30, 300, 100, 3), "tanh", "softmax")], ids=["small", "odd", "wide"]
)
@pytest.mark.parametrize(("batch_size", "fits"), [(1, 2**20), (4, 2**20), (50, 2**20), (600, 2**20), (50, 0)])
def test_same_bits_for_any_number_of_threads(network, batch_size, fits, dtype, way, monkeypatch):
    monkeypatch.setattr(columns, "FITS", fits)
    net = Network(*network)
    X, Y = examples(network, 620, dtype)
    order = np.random.default_rng(2).permutation(620)
    start = net.from_dict(reference.initialize_parameters(net.layer_sizes, rng=1), dtype)
    results = []
    for threads in (1, 2, 3, 4):
        theta = start.copy()
        trainer = Trainer(net, theta, Adam(0.01), X.T, Y.T, batch_size, alpha=0.01, n_threads=threads)
        trainer.crew = crew_of(threads)
        results.append((theta, trainer.run(order, 6)))
    for theta, costs in results[1:]:
        np.testing.assert_array_equal(theta, results[0][0])
        np.testing.assert_array_equal(costs, results[0][1])


def test_a_run_in_slices_is_the_same_run(way):
    network = NETWORKS[2]
    net = Network(*network)
    X, Y = examples(network, 90, np.float64)
    results = []
    for n_steps in (30, 1):
        theta = net.from_dict(reference.initialize_parameters(net.layer_sizes, rng=1), np.float64)
        trainer = Trainer(net, theta, Adam(0.01), X.T, Y.T, 20)
        trainer._first_steps = n_steps
        trainer.run(np.arange(90), 30)
        results.append(theta)
    np.testing.assert_array_equal(*results)


def test_a_second_thread_trains_alone_while_the_helpers_are_taken(way):
    net = Network(*NETWORKS[2])
    X, Y = examples(NETWORKS[2], 90, np.float64)
    results = []
    for busy in (False, True):
        theta = net.from_dict(reference.initialize_parameters(net.layer_sizes, rng=1), np.float64)
        trainer = Trainer(net, theta, Adam(0.01), X.T, Y.T, 20, n_threads=2)
        trainer.crew = crew_of(2)
        if busy:
            with calls.team_of(2, 0.0):
                trainer.run(np.arange(90), 10)
        else:
            trainer.run(np.arange(90), 10)
        results.append(theta)
    np.testing.assert_array_equal(*results)


def test_weights_of_a_few_examples_are_those_of_a_batch(network, dtype):
    net = Network(*network)
    X, Y = examples(network, 3, dtype)
    results = []
    for copies in (1, 2):  # an example of weight 2, and the same example twice
        theta = net.from_dict(reference.initialize_parameters(net.layer_sizes, rng=1), dtype)
        order, weights = np.repeat(np.arange(3), [copies, 1, 1]), np.array([3 - copies, 0.5, 1], dtype)
        trainer = Trainer(net, theta, SGD(0.1), X.T, Y.T, order.size, sample_weight=weights)
        trainer.run(order, 3)
        results.append(theta)
    np.testing.assert_allclose(*results, rtol=1e-4, atol=32 * np.finfo(dtype).eps)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("batch_size", [1, 8])
@pytest.mark.parametrize("n_y", [1, 2])
def test_subnormal_moments_become_zeros_there_and_nowhere_else(n_y, batch_size, threads, dtype):
    net, subnormal = Network((3, n_y), "identity", "logistic"), np.finfo(dtype).tiny / 4
    theta, optimizer = np.zeros(net.n_params, dtype), Adam(0.01)
    optimizer.moments = np.full(2 * net.n_params, subnormal, dtype)
    trainer = Trainer(net, theta, optimizer, np.zeros((8, 3)), np.ones((8, n_y)), batch_size, n_threads=threads)
    trainer.crew = crew_of(threads)
    trainer.run(np.arange(8), 1)
    m, v = optimizer.moments.reshape(2, -1)
    assert (m[:-n_y] == 0).all()
    assert (v[:-n_y] == 0).all()
    assert (m[-n_y:] != 0).all()
    assert np.array(subnormal, dtype) * dtype.type(1) > 0


@pytest.mark.parametrize(
    "paces",
    [{1: 3e-5, 2: 2e-5, 4: 4e-5}, {1: 1e-5, 2: 2e-5, 4: 3e-5}, {1: 4e-5, 2: 3e-5, 4: 2e-5}],
    ids=["two", "one", "all"],
)
@pytest.mark.parametrize("guess", [1, 4])
def test_most_of_the_time_goes_to_the_fastest_number_of_threads(paces, guess):
    crew, spent = Crew(4, guess), dict.fromkeys(paces, 0.0)
    while sum(spent.values()) < 20:
        n_steps, size = crew.steps() or 100, crew.size
        crew.note(n_steps, n_steps * paces[size])
        spent[size] += n_steps * paces[size]
    assert spent[min(paces, key=paces.get)] > 0.95 * sum(spent.values())


def test_another_number_of_threads_takes_over_when_the_machine_changes():
    crew, seconds, spent, paces = Crew(2, 2), 0.0, {1: 0.0, 2: 0.0}, {1: 3e-5, 2: 2e-5}
    while seconds < 20:
        if seconds > 10:
            paces[2] = 2e-4  # somebody else has taken a core
        n_steps, size = crew.steps() or 100, crew.size
        crew.note(n_steps, n_steps * paces[size])
        seconds += n_steps * paces[size]
        if seconds > 10:
            spent[size] += n_steps * paces[size]
    assert spent[1] > 4 * spent[2]


def test_a_larger_team_that_seems_no_slower_in_a_trial_gets_a_turn():
    crew, turns = Crew(2, 1), 0
    for _ in range(2000):
        n_steps = crew.steps() or 100
        turns += crew.size == 2 and n_steps * 2.2e-5 > 0.05
        crew.note(n_steps, n_steps * (2.2e-5 if crew.size == 2 else 2e-5))
    assert turns > 1
    assert crew.seconds_per_step[1] == pytest.approx(2e-5)


def test_a_crew_is_never_larger_than_allowed():
    assert Crew(1, 1).sizes == [1]
    assert Crew(6, 6).sizes == [1, 2, 4, 6]


def test_a_long_step_in_pieces_is_the_same_step(dtype, monkeypatch):
    monkeypatch.setattr(columns, "CHUNK", 32)
    go(monkeypatch, columns)
    network = NETWORKS[4]
    net = Network(*network)
    X, Y = examples(network, 300, dtype)
    results = []
    for piece in (300, 32, 96):
        theta = net.from_dict(reference.initialize_parameters(net.layer_sizes, rng=1), dtype)
        trainer = Trainer(net, theta, Adam(0.01), X.T, Y.T, 200, alpha=0.1)
        trainer._piece = piece
        results.append((theta, trainer.run(np.arange(300), 5)))
    for theta, costs in results[1:]:
        np.testing.assert_array_equal(theta, results[0][0])
        np.testing.assert_allclose(costs, results[0][1], rtol=8 * np.finfo(dtype).eps)
