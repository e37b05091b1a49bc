"""The specification, proved by finite differences and by numbers worked by hand."""

import numpy as np
import pytest
from conftest import examples

from fastnn import reference as nn
from fastnn.network import Network


def test_gradients_are_central_differences_over_the_whole_of_theta(network):
    sizes, activation, out_activation = network
    X, Y = examples(network, 6, np.float64)
    net = Network(sizes, activation, out_activation)
    theta = net.from_dict(nn.initialize_parameters(sizes, rng=1), np.float64)
    theta += 0.1 * np.random.default_rng(2).standard_normal(theta.size)  # biases other than zero

    def cost(theta):
        A_L, _ = nn.forward_propagation(X, net.as_dict(theta), activation, out_activation)
        return nn.compute_cost(A_L, Y, out_activation)

    # The error is h^2 J''' / 6 + eps J / h: with h = 1e-5 both are of the order of 1e-10.
    h = 1e-5
    expected = np.array([(cost(theta + h * e) - cost(theta - h * e)) / (2 * h) for e in np.eye(theta.size)])
    parameters = net.as_dict(theta)
    _, cache = nn.forward_propagation(X, parameters, activation, out_activation)
    gradients = nn.backward_propagation(parameters, cache, X, Y, activation, out_activation)
    got = net.from_dict({name[1:]: value for name, value in gradients.items()}, np.float64)
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-8)


def test_a_step_worked_by_hand():
    # One logistic unit, one example: a = 1 / (1 + e^-0) = 1/2, J = log 2, dW = (a - y) x = -1/2 * 2 = -1, db = -1/2.
    X, Y = np.array([[2.0]]), np.array([[1.0]])
    parameters = {"W1": np.zeros((1, 1)), "b1": np.zeros((1, 1))}
    A_L, cache = nn.forward_propagation(X, parameters)
    gradients = nn.backward_propagation(parameters, cache, X, Y)
    updated = nn.update_parameters(parameters, gradients, learning_rate=0.1)
    assert nn.compute_cost(A_L, Y) == pytest.approx(np.log(2))
    assert (gradients["dW1"].item(), gradients["db1"].item()) == (-1, -0.5)
    assert (updated["W1"].item(), updated["b1"].item()) == pytest.approx((0.1, 0.05))


def test_the_cost_sums_over_outputs_and_averages_over_examples():
    A, Y = np.array([[1.0, 2.0], [3.0, 5.0]]), np.array([[0.0, 2.0], [1.0, 5.0]])
    assert nn.compute_cost(A, Y, "identity") == (1 / 2 + 4 / 2) / 2
    A, Y = np.array([[0.25, 0.5], [0.75, 0.5]]), np.array([[0.0, 1.0], [1.0, 0.0]])
    assert nn.compute_cost(A, Y, "softmax") == pytest.approx(-(np.log(0.75) + np.log(0.5)) / 2)
    assert nn.compute_cost(A, Y, "logistic") == pytest.approx(-(2 * np.log(0.75) + 2 * np.log(0.5)) / 2)


def test_gradient_descent_returns_one_falling_cost_an_iteration():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((2, 50))
    Y = (X[:1] * X[1:] > 0).astype(float)
    parameters, costs = nn.gradient_descent(X, Y, layer_sizes=(2, 8, 1), learning_rate=0.5, num_iterations=300, rng=0)
    assert len(costs) == 300
    assert (np.diff(costs) < 0).all()
    A_L, _ = nn.forward_propagation(X, parameters)
    assert ((A_L > 0.5) == Y).mean() > 0.9


def test_adam_takes_a_first_step_of_the_learning_rate():
    gradient = np.array([3.0, -1e-3])
    theta, mean, variance = nn.adam(np.zeros(2), gradient, np.zeros(2), np.zeros(2), t=1, learning_rate=0.01)
    np.testing.assert_allclose(theta, [-0.01, 0.01], rtol=1e-3)
    np.testing.assert_allclose(mean, 0.1 * gradient)
    np.testing.assert_allclose(variance, 0.001 * gradient**2)


def test_nesterov_looks_ahead_by_the_momentum():
    plain, velocity = nn.sgd(np.zeros(1), np.ones(1), np.ones(1), 0.1, momentum=0.5, nesterov=False)
    ahead, _ = nn.sgd(np.zeros(1), np.ones(1), np.ones(1), 0.1, momentum=0.5, nesterov=True)
    assert (plain, velocity) == (pytest.approx(0.4), pytest.approx(0.4))
    assert ahead == pytest.approx(0.5 * 0.4 - 0.1)
