"""The kernels against the specification, function by function: `functional` and `reference` are interchangeable."""

import inspect
import subprocess
import sys

import numpy as np
import pytest
from conftest import examples

from fastnn import functional, reference

FUNCTIONS = [
    "initialize_parameters",
    "forward_propagation",
    "compute_cost",
    "backward_propagation",
    "update_parameters",
    "gradient_descent",
]
#: Examples: one, less than a vector, more than a tile, and more than the trainer takes in one turn.
M = [1, 7, 65, 600]


def tolerance(network, dtype):
    """Rounding: each of n terms of a sum costs at most eps, and a layer hands its error on to the next."""
    return 4 * len(network[0]) * max(network[0]) * float(np.finfo(dtype).eps)


def test_scikit_learn_is_not_imported():
    program = "import sys, fastnn.functional; print({'sklearn', 'scipy.sparse', 'joblib'} & set(sys.modules))"
    got = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert got.stdout == "set()\n"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_signatures_are_the_same(name):
    assert inspect.signature(getattr(functional, name)) == inspect.signature(getattr(reference, name))


@pytest.mark.parametrize("m", M)
def test_forward_backward_and_cost_agree_with_the_reference(network, dtype, m):
    sizes, *activations = network
    X, Y = examples(network, m, dtype)
    parameters = reference.initialize_parameters(sizes, rng=1, dtype=dtype)
    results = []
    for nn in (reference, functional):
        A_L, cache = nn.forward_propagation(X, parameters, *activations)
        gradients = nn.backward_propagation(parameters, cache, X, Y, *activations)
        results.append((cache, gradients, nn.compute_cost(A_L, Y, activations[1])))
    (cache, gradients, cost), (got_cache, got_gradients, got_cost) = results
    rtol = tolerance(network, dtype)
    assert got_cost == pytest.approx(cost, rel=rtol, abs=rtol)
    for expected, got in ((cache, got_cache), (gradients, got_gradients)):
        assert list(got) == list(expected)
        for name in expected:
            assert got[name].dtype == dtype
            scale = np.abs(expected[name]).max() + 1
            np.testing.assert_allclose(got[name], expected[name], rtol=rtol, atol=rtol * scale, err_msg=name)


def test_ten_iterations_follow_the_reference(network, dtype):
    sizes, activation, out_activation = network
    X, Y = examples(network, 65, dtype)
    arguments = {
        "layer_sizes": sizes,
        "learning_rate": 0.05,
        "num_iterations": 10,
        "rng": 3,
        "activation": activation,
        "out_activation": out_activation,
    }
    expected, expected_costs = reference.gradient_descent(X, Y, **arguments)
    got, got_costs = functional.gradient_descent(X, Y, **arguments)
    rtol = 10 * tolerance(network, dtype)
    np.testing.assert_allclose(got_costs, expected_costs, rtol=rtol)
    for name in expected:
        assert got[name].dtype == dtype
        np.testing.assert_allclose(got[name], expected[name], rtol=rtol, atol=rtol, err_msg=name)


def test_a_batch_larger_than_the_workspace_goes_through_in_turns(dtype):
    network = ((20, 30, 10), "relu", "softmax")
    X, Y = examples(network, 1300, dtype)
    arguments = {
        "layer_sizes": network[0],
        "num_iterations": 3,
        "rng": 0,
        "activation": "relu",
        "out_activation": "softmax",
    }
    expected, _ = reference.gradient_descent(X, Y, **arguments)
    got, _ = functional.gradient_descent(X, Y, **arguments)
    for name in expected:
        np.testing.assert_allclose(got[name], expected[name], rtol=1e-4 if dtype == np.float32 else 1e-12, atol=1e-6)


def test_any_layout_of_the_arrays_gives_the_same(dtype):
    network = ((5, 4, 3), "tanh", "softmax")
    X, _ = examples(network, 20, dtype)
    parameters = reference.initialize_parameters(network[0], rng=0, dtype=dtype)
    expected, _ = functional.forward_propagation(X, parameters)
    read_only = X.copy()
    read_only.flags.writeable = False
    strided = np.repeat(X, 2, axis=1)[:, ::2]
    for layout in (np.asfortranarray(X), strided, read_only):
        got, _ = functional.forward_propagation(layout, {k: np.asfortranarray(v) for k, v in parameters.items()})
        np.testing.assert_array_equal(got, expected)


def test_the_cache_of_one_may_be_given_to_the_other():
    network = ((5, 4, 3), "tanh", "softmax")
    X, Y = examples(network, 20, np.float64)
    parameters = reference.initialize_parameters(network[0], rng=0)
    _, cache = reference.forward_propagation(X, parameters, "tanh", "softmax")
    expected = reference.backward_propagation(parameters, cache, X, Y, "tanh", "softmax")
    got = functional.backward_propagation(parameters, cache, X, Y, "tanh", "softmax")
    for name in expected:
        np.testing.assert_allclose(got[name], expected[name], rtol=1e-12, atol=1e-14)


def test_inputs_stay_as_they_were():
    network = ((5, 4, 3), "tanh", "softmax")
    X, Y = examples(network, 20, np.float64)
    parameters = reference.initialize_parameters(network[0], rng=0)
    before = {name: value.copy() for name, value in parameters.items()}
    A_L, cache = functional.forward_propagation(X, parameters, "tanh", "softmax")
    A_L_before = A_L.copy()
    gradients = functional.backward_propagation(parameters, cache, X, Y, "tanh", "softmax")
    functional.compute_cost(A_L, Y, "softmax")
    updated = functional.update_parameters(parameters, gradients, 0.1)
    np.testing.assert_array_equal(A_L, A_L_before)
    for name in before:
        np.testing.assert_array_equal(parameters[name], before[name])
        assert (updated[name] != parameters[name]).any()


@pytest.mark.parametrize("extreme", [1e4, 1e30])
def test_extreme_inputs_saturate_without_nan(extreme, dtype):
    parameters = {"W1": np.ones((3, 2), dtype), "b1": np.zeros((3, 1), dtype)}
    X = np.array([[extreme, -extreme], [extreme, -extreme]], dtype)
    for out_activation, expected in (("logistic", [[1, 0]] * 3), ("softmax", [[1 / 3] * 2] * 3)):
        A, _ = functional.forward_propagation(X, parameters, out_activation=out_activation)
        np.testing.assert_allclose(A, np.array(expected), rtol=1e-6, atol=1e-30)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_and_inf_are_not_hidden(value, dtype):
    network = ((2, 3, 1), "relu", "identity")
    X, _ = examples(network, 5, dtype)
    X[0, 2] = value
    parameters = reference.initialize_parameters(network[0], rng=0, dtype=dtype)
    with np.errstate(invalid="ignore"):
        expected, _ = reference.forward_propagation(X, parameters, "relu", "identity")
    got, _ = functional.forward_propagation(X, parameters, "relu", "identity")
    np.testing.assert_array_equal(np.isfinite(got), np.isfinite(expected))
    assert not np.isfinite(got[0, 2])


@pytest.mark.parametrize("nn", [reference, functional], ids=["reference", "functional"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"W2": np.zeros((1, 3))}, r"W2 has shape \(1, 3\), but this network expects \(n_2, 4\)"),
        ({"b1": np.zeros(4)}, r"b1 has shape \(4,\), but W1 of shape \(4, 2\) expects \(4, 1\)"),
        ({"W4": np.zeros((1, 1))}, "W1, b1, W2, b2 ... without a gap, got W1, b1, W2, b2, W4"),
    ],
)
def test_parameters_that_do_not_fit_are_named(nn, change, message):
    parameters = {**nn.initialize_parameters((2, 4, 1), rng=0), **change}
    with pytest.raises(ValueError, match=message):
        nn.forward_propagation(np.zeros((2, 3)), parameters)


@pytest.mark.parametrize("nn", [reference, functional], ids=["reference", "functional"])
def test_wrong_calls_are_told_what_came_and_what_was_wanted(nn):
    parameters = nn.initialize_parameters((2, 4, 1), rng=0)
    X, Y = np.zeros((2, 3)), np.zeros((1, 3))
    A_L, cache = nn.forward_propagation(X, parameters)
    for call, message in (
        (lambda: nn.forward_propagation(np.zeros((5, 3)), parameters), r"X has shape \(5, 3\).*\(2, m\)"),
        (lambda: nn.forward_propagation(np.zeros((2, 0)), parameters), "there is no example"),
        (lambda: nn.forward_propagation(X, parameters, "glue"), "activation must be one of .* got 'glue'"),
        (lambda: nn.compute_cost(A_L, np.zeros((1, 4))), r"Y has shape \(1, 4\).*\(1, 3\)"),
        (lambda: nn.backward_propagation(parameters, cache, X, np.zeros((2, 3))), r"Y has shape \(2, 3\)"),
        (lambda: nn.initialize_parameters((3,)), "two positive integers or more"),
        (lambda: nn.gradient_descent(X, Y, layer_sizes=(3, 1)), r"X has shape \(2, 3\).*\(3, m\)"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
