"""Forward propagation of rows, few and many, against the reference."""

from itertools import pairwise

import numpy as np
import pytest
from conftest import examples

from fastnn import reference, training
from fastnn.network import Network
from fastnn.training import prediction


@pytest.fixture(params=[0, 10**9], ids=["by theta", "by coefs"])
def way(request, monkeypatch):
    """Both ways of a prediction, whatever the number of rows."""
    monkeypatch.setattr(prediction, "FEW", request.param)


def predictor(network, dtype):
    net = Network(*network)
    theta = net.from_dict(reference.initialize_parameters(network[0], 3), dtype)
    coefs, intercepts = training.unpack(net, theta)
    for intercept in intercepts:
        intercept[:] = np.linspace(-1, 1, len(intercept))
    parameters = net.as_dict(training.pack(net, coefs, intercepts, dtype))
    return training.Predictor(net, coefs, intercepts, "network"), parameters


@pytest.mark.parametrize("m", [1, 3, 4, 7, 33, 130])
def test_predictions_are_the_references(network, m, dtype, way):
    predict, parameters = predictor(network, dtype)
    X, _ = examples(network, m, dtype)
    expected, _ = reference.forward_propagation(X, parameters, *network[1:])
    eps = np.finfo(dtype).eps  # of each of the sums, through up to four layers
    np.testing.assert_allclose(predict(np.ascontiguousarray(X.T)), expected.T, rtol=200 * eps, atol=20 * eps)


def test_predictions_are_the_same_bits_for_any_number_of_threads(network, dtype, way, monkeypatch):
    monkeypatch.setattr(prediction, "PREDICT_SERIAL_BELOW", 0)
    monkeypatch.setattr(prediction, "get_n_threads", lambda n: n)
    predict, _ = predictor(network, dtype)
    X = np.ascontiguousarray(examples(network, 75, dtype)[0].T)
    expected = predict(X, 1)
    for n_threads in (2, 3, 4):
        np.testing.assert_array_equal(predict(X, n_threads), expected)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [(0, 0), (5, 16), (32, 8)])
def test_what_is_not_finite_is_refused_wherever_it_stands(value, place, dtype, way):
    predict, _ = predictor(((17, 65, 10), "relu", "softmax"), dtype)
    X = np.ones((33, 17), dtype)
    X[place] = value
    with pytest.raises(ValueError, match="Input X contains"):
        predict(X)


@pytest.mark.parametrize("change", [np.asfortranarray, lambda array: array.astype(int), lambda array: array[::1, ::-1]])
def test_coefs_that_cannot_be_read_where_they_are_are_copied(change, way):
    net, X = Network((6, 4, 2), "tanh", "identity"), np.ones((3, 6))
    rng = np.random.default_rng(0)
    coefs = [change(10 * rng.standard_normal(shape)) for shape in ((6, 4), (4, 2))]
    intercepts = [np.zeros(4), np.zeros(2)]
    predict = training.Predictor(net, coefs, intercepts, "network")
    np.testing.assert_allclose(predict(X), np.tanh(X @ coefs[0]) @ coefs[1], rtol=1e-12)
    assert not predict.is_of(coefs, intercepts, "tanh", "identity")


@pytest.mark.parametrize(
    ("layer_sizes", "n_samples"),
    [
        ((10_000, 40, 1), 1),
        ((3000, 300, 24, 1), 1),
        ((64, 1030, 1030, 1), 13),
        ((6000, 400, 1), 5),
        ((784, 512, 9, 3), 1),
    ],
    ids=str,
)
def test_few_rows_are_the_same_for_any_number_of_threads(layer_sizes, n_samples, dtype, monkeypatch):
    monkeypatch.setattr(prediction, "ROW_SERIAL_BELOW", 0)
    monkeypatch.setattr(prediction, "FEW_SERIAL_BELOW", 0)
    rng = np.random.default_rng(0)
    X, network = (
        rng.standard_normal((n_samples, layer_sizes[0])).astype(dtype),
        Network(layer_sizes, "relu", "identity"),
    )
    shapes = list(pairwise(layer_sizes))
    coefs = [rng.standard_normal(shape).astype(dtype) for shape in shapes]
    intercepts = [rng.standard_normal(n_out).astype(dtype) for _, n_out in shapes]
    predict = training.Predictor(network, coefs, intercepts, "it")
    expected = predict(X, 1)
    for n_threads in (2, 3, 4):
        for _ in range(50):
            np.testing.assert_array_equal(predict(X, n_threads), expected)
