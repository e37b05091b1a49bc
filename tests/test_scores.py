"""The scores of a test are what their definitions say, also where a class is missing."""

import numpy as np
import pytest

from fastnn import scores

LABELS = ["ash", "elm", "oak"]


@pytest.fixture
def trees():
    """True labels, predictions and probabilities of 40 trees; most are oaks."""
    rng = np.random.default_rng(0)
    true = rng.choice(LABELS, 40, p=[0.2, 0.2, 0.6])
    P = rng.dirichlet([1, 1, 1], 40) + 0.5 * (true[:, np.newaxis] == LABELS)
    P = (P / P.sum(axis=1, keepdims=True)).astype(np.float32)
    return true, np.array(LABELS)[P.argmax(axis=1)], P


def area(is_label, p):
    """The part of the pairs, one with the label and one without, that p puts in the right order."""
    return np.mean([np.sign(a - b) / 2 + 0.5 for a in p[is_label] for b in p[~is_label]])


def test_scores_of_classes_are_what_their_definitions_say(trees):
    true, predicted, P = trees
    got = scores.of_classes(true, predicted, P, LABELS)
    expected = {
        "accuracy": np.mean(predicted == true),
        "balanced accuracy": np.mean([np.mean(predicted[true == label] == label) for label in LABELS]),
        "log loss": np.mean([-np.log(p[LABELS.index(label)]) for p, label in zip(P, true, strict=True)]),
        "AUC": np.mean([area(true == label, p) for label, p in zip(LABELS, P.T, strict=True)]),
    }
    assert list(got) == list(expected)
    assert got == pytest.approx(expected, rel=1e-5)


def test_scores_of_two_classes_do_not_depend_on_which_is_called_positive(trees):
    true = trees[0] == "oak"
    p = trees[2][:, 2]
    got = scores.of_classes(true, p > 0.5, np.stack([1 - p, p], axis=1), [False, True])
    flipped = scores.of_classes(~true, p <= 0.5, np.stack([p, 1 - p], axis=1), [False, True])
    assert got["AUC"] == pytest.approx(area(true, p))
    assert got == pytest.approx(flipped, rel=1e-6)


def test_a_class_that_the_test_has_not_leaves_the_others_their_scores(trees):
    true, predicted, P = trees
    rows = true != "elm"
    got = scores.of_classes(true[rows], predicted[rows], P[rows], LABELS)
    areas = [area(true[rows] == label, P[rows][:, i]) for i, label in enumerate(LABELS) if label != "elm"]
    assert got["AUC"] == pytest.approx(np.mean(areas))
    assert np.isfinite(list(got.values())).all()


def test_a_class_that_training_had_not_is_a_mistake_with_every_score(trees):
    true, predicted, P = trees
    known = P[:, [0, 2]] / P[:, [0, 2]].sum(axis=1, keepdims=True)
    got = scores.of_classes(true, predicted, known, ["ash", "oak"])
    n_unknown = np.sum(true == "elm")
    assert got["log loss"] > n_unknown / len(true) * 15  # -log of the least float32 above 1, less 1
    assert np.isfinite(list(got.values())).all()


def test_one_class_alone_in_the_test_has_no_auc():
    got = scores.of_classes(np.array([1, 1]), np.array([1, 0]), np.array([[0.4, 0.6], [0.7, 0.3]]), [0, 1])
    assert np.isnan(got.pop("AUC"))
    assert got == pytest.approx({"accuracy": 0.5, "balanced accuracy": 0.5, "log loss": -np.log(0.6 * 0.3) / 2})


def test_scores_of_numbers_are_what_their_definitions_say():
    true, predicted = np.array([1.0, 2, 4, 9]), np.array([2.0, 2, 3, 5])
    got = scores.of_numbers(true, predicted)
    expected = {"R^2": 1 - 18 / ((true - 4) ** 2).sum(), "MAE": 1.5, "RMSE": np.sqrt(4.5)}
    assert list(got) == list(expected)
    assert got == pytest.approx(expected)


def test_the_simplest_guess_of_a_class_is_the_most_frequent_one():
    known, true = np.array(["a"] * 3 + ["b"]), np.array(["a"] * 6 + ["b"] * 2)
    got = scores.of_simplest_guess(known, true, ["a", "b"])
    log_loss = -(6 * np.log(0.75) + 2 * np.log(0.25)) / 8
    assert got == pytest.approx({"accuracy": 0.75, "balanced accuracy": 0.5, "log loss": log_loss, "AUC": 0.5})


def test_the_simplest_guess_of_a_number_is_the_mean_of_what_is_known():
    got = scores.of_simplest_guess(np.array([1.0, 3]), np.array([0.0, 1, 5]), [])
    assert got["MAE"] == pytest.approx(2)
    assert got["R^2"] == pytest.approx(0)


def test_the_confusion_matrix_has_a_row_for_each_true_class_in_order():
    got = scores.errors(np.array(["b", "b", "a"]), np.array(["a", "b", "a"]), ["a", "b", "c"])
    assert got == {"labels": ["a", "b", "c"], "confusion_matrix": [[1, 0, 0], [1, 1, 0], [0, 0, 0]]}


def test_residuals_are_what_was_true_less_what_was_predicted():
    got = scores.errors(np.arange(101.0), np.zeros(101), [])
    assert got == {"residuals": {"0%": 0, "5%": 5, "25%": 25, "50%": 50, "75%": 75, "95%": 95, "100%": 100}}


@pytest.mark.parametrize(
    ("exponent", "shift", "expected"),
    [(2, 0, True), (0.3, 0, False), (2, -1, False)],
    ids=["long tail", "almost even", "not positive"],
)
def test_a_positive_target_with_a_long_tail_is_very_skewed(exponent, shift, expected):
    z = np.random.default_rng(0).standard_normal(500)
    assert scores.is_very_skewed(np.exp(exponent * z) + shift) is expected


def test_a_tail_that_the_logarithm_turns_over_is_not_very_skewed():
    x = np.random.default_rng(0).exponential(size=2000)
    assert not scores.is_very_skewed(np.maximum(x, 1e-12))
