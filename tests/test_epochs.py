"""Epochs in one call: the order of the examples, the scores of the validation set, when training stops."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, r2_score

from fastnn import MLPClassifier, MLPRegressor
from fastnn.kernels import epochs as kernels
from fastnn.kernels.machine.jit import entry
from fastnn.network import Network
from fastnn.training import SGD, Epochs, Trainer, validation

rng = np.random.default_rng(0)


@entry
def scores(v, out):
    out[0] = kernels.r_squared(v) if v.totals.size else kernels.accuracy(v, 0.5)


def score(Y, predicted, weights, is_classified, n_outputs):
    network = Network((2, n_outputs), "relu", "identity")
    X, theta, out = np.zeros((len(Y), 2), predicted.dtype), np.zeros(network.n_params, predicted.dtype), np.zeros(1)
    v = validation(network, theta, X, Y, weights, is_classified, 1)
    scores(v._replace(out=np.ascontiguousarray(predicted)), out)
    return out[0]


@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
@pytest.mark.parametrize(
    "dtypes", [(np.float64, np.float64), (np.float32, np.float32), (np.int64, np.float32)], ids=str
)
@pytest.mark.parametrize("case", ["one", "three", "constant", "perfect"])
def test_the_score_of_a_regressor_is_r2_score(case, dtypes, weighted):
    Y = 10 * rng.random((50, 3 if case == "three" else 1)).astype(dtypes[0])
    predicted = (Y + rng.random(Y.shape)).astype(dtypes[1])
    Y, predicted = {"constant": (Y * 0, predicted), "perfect": (Y, Y.astype(dtypes[1]))}.get(case, (Y, predicted))
    weights = rng.random(50) if weighted else None
    expected = r2_score(*(array.astype(np.float64) for array in (Y, predicted)), sample_weight=weights)
    assert score(Y, predicted, weights, False, Y.shape[1]) == pytest.approx(expected, rel=1e-13, abs=1e-15)


@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
@pytest.mark.parametrize("case", ["softmax", "binary", "multilabel"])
def test_the_score_of_a_classifier_is_accuracy_score(case, weighted, dtype):
    predicted = rng.random((60, {"softmax": 4, "binary": 1, "multilabel": 3}[case])).astype(dtype).round(1)  # with ties
    labels = predicted.argmax(axis=1)[:, np.newaxis] if case == "softmax" else predicted > 0.5
    Y = np.where(rng.random(labels.shape) < 0.3, rng.integers(0, 2, labels.shape), labels)
    weights = rng.random(60) if weighted else None
    expected = accuracy_score(Y.astype(int), labels.astype(int), sample_weight=weights)
    assert score(Y, predicted, weights, True, predicted.shape[1]) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("is_classified", [True, False])
def test_a_score_of_what_is_no_number_is_none(is_classified):
    Y, predicted = np.ones((4, 1)), np.full((4, 1), np.nan)
    assert not score(Y, predicted, None, is_classified, 1) > 0
    assert np.isnan(score(Y, Y, np.zeros(4), is_classified, 1))


def trainer_of(n, n_threads=None):
    network = Network((2, 3, 1), "tanh", "identity")
    X, Y = rng.random((n, 2)), rng.random((n, 1))
    theta = rng.random(network.n_params)
    return Trainer(network, theta, SGD(0.01), X, Y, 8, n_threads=n_threads)


@pytest.mark.parametrize("n", [1, 2, 3, 64, 65, 1000])
@pytest.mark.parametrize("bits", [np.random.MT19937, np.random.PCG64])
def test_the_order_is_that_of_numpy_and_the_generator_is_left_where_numpy_leaves_it(n, bits):
    ours, theirs = (np.random.RandomState(bits(5)) for _ in range(2))
    order, expected = np.arange(n), np.arange(n)
    trainer_of(n).run(order, 3 * -(-n // 8), random_state=ours)
    for _ in range(3):
        theirs.shuffle(expected)
    np.testing.assert_array_equal(order, expected)
    assert ours.randint(1 << 30) == theirs.randint(1 << 30)


def epochs_of(trainer, n, **options):
    usual = dict(
        scale=1,
        tol=1e-4,
        n_iter_no_change=5,
        validation=None,
        best_loss=np.inf,
        best_score=-np.inf,
        no_improvement_count=0,
    )
    return Epochs(trainer, np.arange(n), np.random.RandomState(0), **(usual | options))


def test_many_epochs_in_a_call_are_the_same_as_one_after_the_other():
    results = []
    for most in (1, 50):
        rng.bit_generator.state = np.random.PCG64(3).state
        trainer, told = trainer_of(50), []
        epochs = epochs_of(trainer, 50, n_iter_no_change=np.inf)
        while len(told) < 50:
            told += epochs.run(min(most, 50 - len(told))).loss.tolist()
        results.append((told, trainer.model.theta, epochs.best_loss, epochs.order))
    for one, many in zip(*results, strict=True):
        np.testing.assert_array_equal(one, many)


def test_training_stops_in_the_epoch_that_is_one_too_many_without_progress():
    trainer = trainer_of(50)
    trainer._first_steps = 1000
    epochs = epochs_of(trainer, 50, tol=1e9)  # which the first epoch improves on, from infinity
    told = epochs.run(100)
    assert told.loss.size == epochs.no_improvement_count + 1 == 7
    theta, again = trainer.model.theta.copy(), trainer_of(50)
    assert not np.array_equal(theta, again.model.theta)
    assert epochs.run(100).loss.size == 1  # who goes on regardless has the next


def test_a_team_does_the_same_epochs():
    results = []
    for threads in (1, 2):
        rng.bit_generator.state = np.random.PCG64(3).state
        trainer = trainer_of(50, threads)
        trainer.crew.sizes, trainer.crew.size = [threads], threads
        epochs, told = epochs_of(trainer, 50, n_iter_no_change=np.inf), []
        while len(told) < 9:
            told += epochs.run(9 - len(told)).loss.tolist()
        results.append((told, trainer.model.theta, epochs.order))
    for alone, together in zip(*results, strict=True):
        np.testing.assert_array_equal(alone, together)


@pytest.mark.parametrize("case", ["two classes", "three classes", "labels", "weighted"])
def test_the_calibrated_loss_is_the_least_over_all_temperatures(case):
    rng = np.random.default_rng(0)
    X, weights = rng.standard_normal((300, 3)), rng.uniform(0, 2, 300) if case == "weighted" else None
    z = X + rng.standard_normal((300, 3))
    y = {"labels": (z > 0).astype(int), "two classes": (z[:, 0] > 0).astype(int)}.get(case, z.argmax(axis=1))
    model = MLPClassifier((8,), early_stopping=True, scoring="calibrated_loss", max_iter=6, random_state=0)
    model.set_params(learning_rate_init=0.1, n_iter_no_change=10)
    model.fit(
        X[:200], y[:200], X_val=X[200:], y_val=y[200:], sample_weight_val=None if weights is None else weights[200:]
    )
    p = model.predict_proba(X[200:]).astype(float)
    p = np.stack([1 - p, p], axis=-1).reshape(300, 2) if case == "labels" else p
    true = y[200:].ravel()

    def loss(sharpness):  # of what it predicts, which is as sure as it should be
        log_p = sharpness * np.log(p)
        log_p -= np.log(np.exp(log_p).sum(axis=1, keepdims=True))
        return np.average(-log_p[np.arange(len(true)), true], weights=None if weights is None else weights[200:])

    n_labels = 3 if case == "labels" else 1
    assert n_labels * loss(1.0) == pytest.approx(-model.best_validation_score_, rel=1e-6)
    assert loss(1.0) == pytest.approx(min(map(loss, np.linspace(0.8, 1.25, 91))), rel=1e-5)


def test_the_calibrated_loss_is_not_for_regressions():
    with pytest.raises(ValueError, match="'scoring' parameter of MLPRegressor"):
        MLPRegressor(early_stopping=True, scoring="calibrated_loss").fit(np.eye(4), np.arange(4.0))
