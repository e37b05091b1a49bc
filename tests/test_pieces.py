"""Columns with pieces beside them, mapped to a few numbers each: the steps of the reference, in factors."""

import numpy as np
import pytest
from conftest import examples

from fastnn import MLPClassifier, MLPRegressor, reference
from fastnn.network import Network
from fastnn.pieces import PieceMatrix
from fastnn.training import SGD, Adam, AdamW, Trainer, pack, unpack

N_PIECES = (1, 48, 5)
#: Layer sizes but for the inputs, activation, output activation.
NETWORKS = [((1,), "identity", "identity"), ((65, 10), "relu", "softmax"), ((18, 7, 2), "tanh", "logistic")]


def pieces(m, dtype, n=4, n_pieces=N_PIECES, seed=0):
    """Columns, three of which have pieces: numbers before the first edge, at edges, and after the last."""
    rng = np.random.default_rng(seed)
    positions = np.clip(rng.uniform(-0.2, 1.2, (m, len(n_pieces))), 0, 1) * n_pieces
    positions[::3] = np.round(positions[::3])
    return PieceMatrix(rng.standard_normal((m, n)).astype(dtype), positions.astype(dtype), n_pieces)


def network_for(X, case, **more):
    sizes, activation, out_activation = case
    return Network((X.n_inputs(16), *sizes), activation, out_activation, n_pieces=X.n_pieces, **more)


def first_theta(net, dtype):
    return np.random.default_rng(3).normal(0, 0.3, net.n_params).astype(dtype)


def reference_gradient(net, theta, X, Y):
    """Cost and gradient by the reference on the whole matrix, whose first weights are products: then the chain rule."""
    coefs, intercepts = unpack(net, theta)
    parameters = {}
    for l, (coef, intercept) in enumerate(zip(coefs, intercepts, strict=True), 1):
        parameters |= {f"W{l}": coef.T, f"b{l}": intercept[:, np.newaxis]}
    inputs = X.toarray().T
    A, cache = reference.forward_propagation(inputs, parameters, net.activation, net.out_activation)
    found = reference.backward_propagation(parameters, cache, inputs, Y, net.activation, net.out_activation, net.loss)
    views, gradient = net.views(theta), np.empty_like(theta)
    of = net.views(gradient)
    for name, view in of.items():
        if name not in ("V", "W1"):
            view[:] = found[f"d{name}"].reshape(view.shape)
    n, at, k = X.numbers.shape[1], 0, len(X.n_pieces)
    of["W1"][:, 16 * k :] = found["dW1"][:, :n]
    for c, n_c in enumerate(X.n_pieces):
        dW, here, V = found["dW1"][:, n + at : n + at + n_c], slice(16 * c, 16 * c + 16), slice(at, at + n_c)
        of["W1"][:, here], of["V"][V] = dW @ views["V"][V], dW.T @ views["W1"][:, here]
        at += n_c
    return reference.compute_cost(A, Y, net.out_activation, net.loss), gradient


def trained(net, X, Y, optimizer, batch_size, n_steps, n_threads=None, **more):
    theta = first_theta(net, X.dtype)
    trainer = Trainer(net, theta, optimizer, X, Y.T, batch_size, n_threads=n_threads, **more)
    if n_threads:
        trainer.crew.sizes, trainer.crew.size = [n_threads], n_threads
    return theta, trainer.run(np.arange(len(X)), n_steps)


@pytest.mark.parametrize("case", NETWORKS, ids=str)
@pytest.mark.parametrize("batch_size", [1, 30, 600])
def test_steps_are_those_of_the_reference(case, batch_size):
    X = pieces(610, np.float64)
    net, rate, alpha = network_for(X, case), 0.05, 0.1
    Y = examples((net.layer_sizes, *case[1:]), 610, np.float64)[1]
    got, costs = trained(net, X, Y, SGD(rate, 0.0, False), batch_size, 4, alpha=alpha)
    theta, rows = first_theta(net, np.float64), np.arange(610)
    penalised = np.concatenate([np.full(block.end - block.start, block.is_penalised) for block in net.blocks])
    for t in range(4):
        first = t % -(-610 // batch_size) * batch_size
        some = rows[first : first + batch_size]
        cost, gradient = reference_gradient(net, theta, X[some], Y[:, some])
        penalty = alpha / 2 * (penalised * theta**2).sum() / some.size
        np.testing.assert_allclose(costs[t], [cost, penalty], rtol=1e-9)
        theta = theta - rate * (gradient + alpha * penalised * theta / some.size)
    np.testing.assert_allclose(got, theta, rtol=1e-8, atol=1e-11)


def test_the_gradient_is_that_of_central_differences():
    X = pieces(20, np.float64)
    net = network_for(X, NETWORKS[2])
    Y = examples((net.layer_sizes, *NETWORKS[2][1:]), 20, np.float64)[1]
    theta = first_theta(net, np.float64)
    got = (theta - trained(net, X, Y, SGD(1.0, 0.0, False), 20, 1)[0])[net.blocks[-1].start :]
    for p in range(0, got.size, 37):
        costs = []
        for h in (-1e-6, 1e-6):
            moved = theta.copy()
            moved[net.blocks[-1].start + p] += h
            costs.append(reference_gradient(net, moved, X, Y)[0])
        assert got[p] == pytest.approx((costs[1] - costs[0]) / 2e-6, rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("options", [{}, {"clip_norm": 0.1}, {"max_norm": 0.5}], ids=str)
@pytest.mark.parametrize("batch_size", [7, 600])
def test_same_bits_for_any_number_of_threads(batch_size, options, dtype):
    X = pieces(620, dtype)
    net = network_for(X, ((70, 30, 3), "mish", "softmax"), dropout=0.1)
    Y = examples((net.layer_sizes, *NETWORKS[1][1:]), 620, dtype)[1]
    one, *others = (
        trained(net, X, Y, AdamW(0.01), batch_size, 6, n_threads, alpha=0.01, **options) for n_threads in (1, 2, 3, 4)
    )
    for theta, costs in others:
        np.testing.assert_array_equal(theta, one[0])
        np.testing.assert_array_equal(costs, one[1])


def test_the_gradient_is_clipped_with_that_of_the_map():
    X = pieces(40, np.float64)
    net = network_for(X, NETWORKS[2])
    Y = examples((net.layer_sizes, *NETWORKS[2][1:]), 40, np.float64)[1]
    theta = first_theta(net, np.float64)
    gradient = reference_gradient(net, theta, X, Y)[1]
    got = theta - trained(net, X, Y, SGD(1.0, 0.0, False), 40, 1, clip_norm=0.01)[0]
    np.testing.assert_allclose(got, gradient * 0.01 / np.linalg.norm(gradient), rtol=1e-7, atol=1e-14)


def test_float32_steps_are_near_those_in_float64():
    results = []
    for dtype in (np.float32, np.float64):
        X = pieces(100, dtype)
        net = network_for(X, NETWORKS[1])
        results.append(trained(net, X, examples((net.layer_sizes, *NETWORKS[1][1:]), 100, dtype)[1], Adam(0.01), 25, 8))
    np.testing.assert_allclose(results[0][1], results[1][1], rtol=1e-4)


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_an_estimator_is_fitted_in_factors_and_predicts_from_the_whole_matrix(kind):
    X = pieces(300, np.float32)
    whole = X.toarray()
    y = (whole[:, 0] + 2 * whole[:, 30] > 0) if kind is MLPClassifier else whole[:, 0] + 2 * whole[:, 30]
    model = kind(
        hidden_layer_sizes=(20,),
        early_stopping=True,
        scoring="loss",
        batch_size=50,
        random_state=0,
        learning_rate_init=0.01,
    )
    model.fit(X[:200], y[:200], X_val=X[200:], y_val=y[200:])
    assert model.coefs_[0].shape == (whole.shape[1], 20)
    assert model.score(whole[200:], y[200:]) > 0.8
    # The kernel that validates looks pieces up; `predict` multiplies by all of them.
    if kind is MLPRegressor:
        loss = np.mean((model.predict(whole[200:]) - y[200:]) ** 2) / 2
        assert loss == pytest.approx(-model.best_validation_score_, rel=1e-4)


def test_weights_count_as_copies_of_rows():
    X = pieces(60, np.float64)
    net = network_for(X, NETWORKS[2])
    Y = examples((net.layer_sizes, *NETWORKS[2][1:]), 60, np.float64)[1]
    weights = np.random.default_rng(0).integers(0, 3, 60)
    copies = np.repeat(np.arange(60), weights)
    got = trained(net, X, Y, SGD(0.1, 0.0, False), 60, 1, sample_weight=weights)[0]
    expected = trained(net, X[copies], Y[:, copies], SGD(0.1, 0.0, False), len(copies), 1)[0]
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-12)


def test_coefs_come_to_theta_in_factors():
    X = pieces(5, np.float64)
    net = network_for(X, NETWORKS[2])
    theta = first_theta(net, np.float64)
    views = net.views(theta)
    coefs = [views["V"], *(views[f"W{l}"].T for l in (1, 2, 3))]
    np.testing.assert_array_equal(pack(net, coefs, [views[f"b{l}"] for l in (1, 2, 3)], np.float64), theta)


def test_other_pieces_than_those_of_the_network_are_refused():
    X = pieces(20, np.float64)
    net = network_for(X, NETWORKS[0])
    Y = np.zeros((1, 20))
    for other in (pieces(20, np.float64, n_pieces=(1, 48, 6)), np.zeros((20, net.layer_sizes[0]))):
        with pytest.raises(ValueError, match=r"pieces.*\(1, 48, 5\)"):
            trained(net, other, Y, SGD(0.1), 20, 1)
