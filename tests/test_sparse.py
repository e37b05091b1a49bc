"""Sparse X: the numbers of scikit-learn and of the reference, nothing dense, and every kind of matrix."""

import warnings

import numpy as np
import pytest
from conftest import examples, reference_steps
from scipy import sparse
from sklearn import neural_network
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import HashingVectorizer, TfidfVectorizer
from sklearn.pipeline import make_pipeline

import fastnn
from fastnn import MLPClassifier, MLPRegressor, reference
from fastnn.network import Network
from fastnn.training import SGD, Adam, AdamW, Trainer, pack, unpack
from fastnn.training.calls import rows_of
from fastnn.training.ways import sparse as way

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
TEXTS = ["the cat sat", "a dog sat on the mat", "rain again", "the rain on the cat", "sun", "a sun after rain"] * 8
TOPICS = ["animal", "animal", "weather", "weather", "weather", "weather"] * 8


def mostly_zeros(n_x, m, dtype, seed=0):
    """X (n_x, m) with an example without any number, and a feature that never occurs."""
    rng = np.random.default_rng(seed)
    X = np.where(rng.random((n_x, m)) < 0.2, rng.standard_normal((n_x, m)), 0).astype(dtype)
    X[:, 3] = 0
    X[0] = 0
    return X


def trained(network, X, Y, order, optimizer, batch_size, n_steps, n_threads=None, **options):
    """The parameters, as coefs and intercepts in one, and the costs."""
    start = network.from_dict(reference.initialize_parameters(network.layer_sizes, rng=1), X.dtype)
    theta = pack(network, *unpack(network, start), X.dtype, by_inputs=True)
    trainer = Trainer(
        network, theta, optimizer, sparse.csr_matrix(X.T), Y.T, batch_size, n_threads=n_threads, **options
    )
    if n_threads:
        trainer.crew.sizes, trainer.crew.size = [n_threads], n_threads
    costs = trainer.run(order, n_steps)
    return pack(network, *unpack(network, theta, True), X.dtype), costs


OPTIMIZERS = {
    "adam": lambda: Adam(0.01),
    "adamw": lambda: AdamW(0.01),
    "nesterov": lambda: SGD(0.01),
    "sgd": lambda: SGD(0.01, 0.5, False),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
@pytest.mark.parametrize("batch_size", [1, 32, 100])
def test_steps_are_those_of_the_reference(network, batch_size, optimizer):
    net, order = Network(*network), np.random.default_rng(2).permutation(100)
    X, Y = mostly_zeros(net.layer_sizes[0], 100, np.float64), examples(network, 100, np.float64)[1]
    start = net.from_dict(reference.initialize_parameters(net.layer_sizes, rng=1), np.float64)
    expected, expected_costs = reference_steps(net, start, X, Y, order, batch_size, 9, optimizer(), 0.1)
    theta, costs = trained(net, X, Y, order, optimizer(), batch_size, 9, alpha=0.1)
    np.testing.assert_allclose(costs, expected_costs, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(theta, expected, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("batch_size", [7, 600])
def test_same_bits_for_any_number_of_threads(batch_size, dtype):
    network = (300, 70, 3), "tanh", "softmax"
    net, X, Y = Network(*network), mostly_zeros(300, 620, dtype), examples(network, 620, dtype)[1]
    order = np.random.default_rng(2).permutation(620)
    one, *others = (
        trained(net, X, Y, order, Adam(0.01), batch_size, 6, n_threads, alpha=0.01) for n_threads in (1, 2, 3, 4)
    )
    for theta, costs in others:
        np.testing.assert_array_equal(theta, one[0])
        np.testing.assert_array_equal(costs, one[1])


def test_steps_in_other_slices_and_pieces_are_the_same(monkeypatch):
    network = (40, 9, 1), "relu", "logistic"
    net, X, Y = Network(*network), mostly_zeros(40, 1300, np.float64), examples(network, 1300, np.float64)[1]
    expected = trained(net, X, Y, np.arange(1300), Adam(0.01), 1100, 9, alpha=0.1)
    for name, value in ("SLICE", 1e-9), ("CALL", 1e-9):  # a chunk, or a step, in each call
        with monkeypatch.context() as patch:
            patch.setattr(f"fastnn.training.trainer.{name}", value)
            got = trained(net, X, Y, np.arange(1300), Adam(0.01), 1100, 9, alpha=0.1)
        np.testing.assert_array_equal(got[0], expected[0])
        np.testing.assert_allclose(got[1], expected[1], rtol=1e-12)


def test_a_call_may_have_as_many_steps_as_there_are_sums_for():
    network = (5, 1), "identity", "identity"
    net, X, Y = Network(*network), mostly_zeros(5, 20, np.float64), examples(network, 20, np.float64)[1]
    n_steps = 2 * way.MOST_STEPS + 3
    start = net.from_dict(reference.initialize_parameters(net.layer_sizes, rng=1), np.float64)
    expected, costs = reference_steps(net, start, X, Y, np.arange(20), 10, n_steps, SGD(0.01), 0.1)
    got = trained(net, X, Y, np.arange(20), SGD(0.01), 10, n_steps, alpha=0.1)
    np.testing.assert_allclose(got[0], expected, rtol=1e-9)
    np.testing.assert_allclose(got[1], costs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
@pytest.mark.parametrize(
    "parameters",
    [{}, {"solver": "sgd", "alpha": 0.1}, {"solver": "lbfgs"}, {"early_stopping": True}, {"shuffle": False}],
    ids=str,
)
@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel", "regression", "targets"])
def test_estimators_say_what_scikit_learns_say(task, parameters, weighted, dtype):
    rng = np.random.default_rng(0)
    X = sparse.csr_matrix(mostly_zeros(130, 150, dtype).T)
    y = {
        "binary": rng.integers(0, 2, 150),
        "multiclass": np.array(["a", "b", "c"])[rng.integers(0, 3, 150)],
        "multilabel": rng.integers(0, 2, (150, 3)),
        "regression": rng.random(150),
        "targets": rng.random((150, 2)),
    }[task]
    if task == "targets" and parameters.get("solver") == "lbfgs":
        pytest.skip("scikit-learn's gradient is not that of its loss there")
    weights = rng.random(150) if weighted else None
    name = "MLPRegressor" if task in ("regression", "targets") else "MLPClassifier"
    usual = {"hidden_layer_sizes": (9,), "batch_size": 20, "max_iter": 8, "random_state": 0, "activation": "tanh"}
    ours, their = (
        getattr(module, name)(**usual | parameters).fit(X, y, sample_weight=weights)
        for module in (fastnn, neural_network)
    )
    tolerance = {np.dtype(np.float64): 1e-9, np.dtype(np.float32): 2e-4}[dtype]
    for got, expected in zip(ours.coefs_ + ours.intercepts_, their.coefs_ + their.intercepts_, strict=True):
        np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)
    for method in ("predict",) if name == "MLPRegressor" else ("predict_proba",):
        expected = getattr(their, method)(X)
        np.testing.assert_allclose(getattr(ours, method)(X), expected, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(ours.loss_, their.loss_, rtol=tolerance)


@pytest.mark.parametrize("container", ["csr_matrix", "csc_array", "coo_matrix", "csr_array", "lil_matrix"])
def test_any_kind_of_matrix_gives_what_a_dense_one_gives(container, dtype):
    X, y = mostly_zeros(50, 90, dtype).T, np.arange(90) % 3
    model = MLPClassifier((30,), max_iter=9, random_state=0)
    dense = model.fit(X, y).predict_proba(X)
    got = model.fit(getattr(sparse, container)(X), y).predict_proba(getattr(sparse, container)(X))
    np.testing.assert_allclose(got, dense, rtol=1e-9 if dtype == np.float64 else 1e-4)
    np.testing.assert_allclose(model.predict_proba(X), got, rtol=1e-9 if dtype == np.float64 else 1e-4)


def test_numbers_out_of_order_twice_and_of_zero_count_as_they_are():
    X = sparse.csr_matrix(([1.0, 2.0, 0.0, 3.0, 4.0], [4, 1, 2, 1, 0], [0, 4, 4, 5]), shape=(3, 5))
    models = [
        MLPRegressor(hidden_layer_sizes=(4,), max_iter=5, random_state=0).fit(data, [1, 2, 3])
        for data in (X, X.toarray())
    ]
    np.testing.assert_allclose(models[0].predict(X), models[1].predict(X.toarray()), rtol=1e-9)


@pytest.mark.parametrize("many", [False, True], ids=["few", "many"])
def test_predictions_in_a_wider_dtype_and_of_no_number(many):
    X = sparse.csr_matrix(mostly_zeros(20, 700 if many else 7, np.float32).T)
    model = MLPRegressor(hidden_layer_sizes=(9, 5), max_iter=3, random_state=0).fit(X, np.arange(X.shape[0]))
    np.testing.assert_allclose(model.predict(X.astype(np.float64)), model.predict(X.toarray().astype(np.float64)))
    np.testing.assert_allclose(model.predict(X * 0), model.predict(X.toarray() * 0), rtol=1e-6)
    model.coefs_[0][1] += 1  # weights are the user's
    np.testing.assert_allclose(model.predict(X), model.predict(X.toarray()), rtol=1e-4)


@pytest.mark.parametrize(
    ("indices", "indptr"),
    [([0, 9], [0, 1, 2]), ([0, -1], [0, 1, 2]), ([0, 1], [0, 3, 2]), ([0, 1], [0, 1, 5]), ([0, 1], [1, 1, 2])],
    ids=str,
)
def test_a_broken_matrix_is_refused(indices, indptr):
    X = sparse.csr_matrix(np.eye(2, 4))
    X.indices, X.indptr = np.array(indices, np.int32), np.array(indptr, np.int32)
    with pytest.raises(ValueError, match="broken"):
        rows_of(X, np.float64)


def test_room_for_more_numbers_is_not_looked_at():
    X = sparse.csr_matrix(np.eye(4))
    X.indices, X.data = np.append(X.indices, [99, -5]).astype(np.int32), np.append(X.data, [np.nan, 1])
    rows = rows_of(X, np.float64)
    assert rows.features.tolist() == [0, 1, 2, 3]
    assert rows.numbers.tolist() == [1, 1, 1, 1]


def test_long_indices_are_taken_and_nothing_is_copied_in_vain():
    X = sparse.csr_matrix(np.eye(5))
    assert np.shares_memory(rows_of(X, np.float64).numbers, X.data)
    assert np.shares_memory(rows_of(X, np.float64).features, X.indices)
    expected = MLPRegressor(hidden_layer_sizes=(3,), max_iter=3, random_state=0).fit(X, np.arange(5)).predict(X)
    X.indices, X.indptr = X.indices.astype(np.int64), X.indptr.astype(np.int64)
    got = MLPRegressor(hidden_layer_sizes=(3,), max_iter=3, random_state=0).fit(X, np.arange(5)).predict(X)
    np.testing.assert_array_equal(got, expected)


def test_partial_fit_takes_dense_and_sparse_by_turns():
    X, y = mostly_zeros(40, 90, np.float64).T, np.arange(90) % 2
    ours, their = (module.MLPClassifier((9,), random_state=0) for module in (fastnn, neural_network))
    for container in (sparse.csr_matrix, np.asarray, sparse.csc_matrix, sparse.csr_matrix, np.asarray):
        for model in (ours, their):
            model.partial_fit(container(X), y, classes=[0, 1])
    for got, expected in zip(ours.coefs_, their.coefs_, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-7)
    again = ours.to_sklearn().partial_fit(X, y)  # and the moments of the optimizer with them
    np.testing.assert_allclose(again.coefs_[0], their.partial_fit(X, y).coefs_[0], rtol=1e-7)
    back = MLPClassifier.from_sklearn(again).partial_fit(sparse.csr_matrix(X), y)
    np.testing.assert_allclose(back.coefs_[0], their.partial_fit(X, y).coefs_[0], rtol=1e-7)


def test_whoever_watches_may_predict():
    X, y = sparse.csr_matrix(mostly_zeros(20, 60, np.float64).T), np.arange(60) % 2
    model, seen = MLPClassifier((5,), max_iter=3, random_state=0), []
    with fastnn.watch(lambda epoch: seen.append(model.score(X, y))):
        model.fit(X, y)
    assert seen[-1] == model.score(X, y)


@pytest.mark.parametrize(
    "vectorizer", [TfidfVectorizer(), HashingVectorizer(n_features=2**14, dtype=np.float32)], ids=str
)
def test_texts_in_a_pipeline(vectorizer):
    ours, their = (
        make_pipeline(vectorizer, module.MLPClassifier((8,), max_iter=30, random_state=0, learning_rate_init=0.05))
        for module in (fastnn, neural_network)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        np.testing.assert_array_equal(ours.fit(TEXTS, TOPICS).predict(TEXTS), their.fit(TEXTS, TOPICS).predict(TEXTS))
    assert ours.score(TEXTS, TOPICS) == 1
    np.testing.assert_allclose(ours.predict_proba(TEXTS), their.predict_proba(TEXTS), rtol=1e-2)
