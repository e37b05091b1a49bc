"""Ensembles: the mean of networks that differ in their random numbers, and how far they are from one another."""

import pickle

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastnn import EnsembleClassifier, EnsembleRegressor, MLPClassifier, MLPRegressor, TableEncoder
from fastnn.ensembles import mean_and_std

X, y = load_iris(return_X_y=True)
Y = np.stack([y > 0, y == 1], axis=1).astype(int)
SMALL = {"hidden_layer_sizes": (8,), "max_iter": 30, "learning_rate_init": 0.01}
#: Sums of a few members, in another order.
CLOSE = {"rtol": 1e-12, "atol": 1e-12}


def classifier(n_estimators=3, **parameters):
    return EnsembleClassifier(MLPClassifier(**SMALL), n_estimators, random_state=0, **parameters)


def regressor(n_estimators=3, **parameters):
    return EnsembleRegressor(MLPRegressor(**SMALL), n_estimators, random_state=0, **parameters)


def test_the_mean_of_the_probabilities_predicts():
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    ensemble = classifier().fit(X, names)
    of_members = np.stack([member.predict_proba(X) for member in ensemble.estimators_])
    mean, std = ensemble.predict_proba(X, return_std=True)
    np.testing.assert_allclose(mean, of_members.mean(axis=0), **CLOSE)
    np.testing.assert_allclose(std, of_members.std(axis=0), **CLOSE)
    np.testing.assert_array_equal(ensemble.predict(X), ensemble.classes_[mean.argmax(axis=1)])
    np.testing.assert_array_equal(ensemble.predict_proba(X), mean)
    np.testing.assert_array_equal(ensemble.predict_log_proba(X), np.log(mean))
    assert list(ensemble.classes_) == ["setosa", "versicolor", "virginica"]
    assert len({member.coefs_[0][0, 0] for member in ensemble.estimators_}) == 3


@pytest.mark.parametrize("targets", [X[:, 3], X[:, 2:]], ids=["one", "two"])
def test_the_mean_of_the_predictions_predicts(targets):
    ensemble = regressor().fit(X[:, :2], targets)
    of_members = np.stack([member.predict(X[:, :2]) for member in ensemble.estimators_])
    mean, std = ensemble.predict(X[:, :2], return_std=True)
    np.testing.assert_allclose(mean, of_members.mean(axis=0), **CLOSE)
    np.testing.assert_allclose(std, of_members.std(axis=0), **CLOSE)
    np.testing.assert_array_equal(ensemble.predict(X[:, :2]), mean)
    assert mean.shape == targets.shape


def test_several_labels_at_once():
    ensemble = classifier().fit(X, Y)
    mean, std = ensemble.predict_proba(X, return_std=True)
    assert mean.shape == std.shape == Y.shape
    np.testing.assert_array_equal(ensemble.predict(X), mean > 0.5)
    np.testing.assert_array_equal(classifier().fit(X, csr_matrix(Y)).predict(X), ensemble.predict(X))


def test_members_are_those_of_their_seeds():
    ensemble = classifier(sample := 4).fit(X, y)
    seeds = np.random.RandomState(0).randint(np.iinfo(np.int32).max, size=sample)
    for seed, member in zip(seeds, ensemble.estimators_, strict=True):
        expected = MLPClassifier(**SMALL, random_state=int(seed)).fit(X, y)
        np.testing.assert_array_equal(member.coefs_[0], expected.coefs_[0])


@pytest.mark.parametrize("parameters", [{}, {"bootstrap": True}, {"max_samples": 0.5}], ids=str)
def test_an_ensemble_is_the_same_on_any_number_of_threads(parameters):
    one, three = (regressor(n_jobs=n, **parameters).fit(X, y).predict(X) for n in (1, 3))
    np.testing.assert_array_equal(one, three)


@pytest.mark.parametrize(
    ("parameters", "n_rows", "n_different"),
    [
        ({}, 150, 150),
        ({"bootstrap": True}, 150, None),
        ({"bootstrap": True, "max_samples": 100}, 100, None),
        ({"max_samples": 0.2}, 30, 30),
        ({"max_samples": 1}, 1, 1),
    ],
    ids=str,
)
def test_each_learns_from_so_many_examples(parameters, n_rows, n_different):
    numbers = np.arange(150.0)
    ensemble = EnsembleRegressor(_Remembers(), 3, random_state=0, **parameters).fit(numbers[:, np.newaxis], numbers)
    rows = [member.seen_ for member in ensemble.estimators_]
    assert [len(each) for each in rows] == [n_rows] * 3
    for each in rows:
        different = len(set(each))
        assert different == n_different or (n_different is None and different < n_rows)
    assert (sorted(rows[0]) == sorted(rows[1])) == (parameters == {})


class _Remembers(Ridge):
    """What it was fitted with; without a seed of its own in use."""

    def fit(self, X, y, sample_weight=None):
        self.seen_ = X[:, 0].tolist()
        return super().fit(X, y, sample_weight)


def test_classes_that_a_member_has_not_met_are_improbable_to_it():
    ensemble = classifier(12, bootstrap=True, max_samples=2).fit(X, y)
    known = [len(member.classes_) for member in ensemble.estimators_]
    assert {1, 2} <= set(known)  # of two examples
    probabilities = ensemble.predict_proba(X)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-12)
    (one,) = [member for member in ensemble.estimators_ if len(member.classes_) == 1][:1]
    np.testing.assert_array_equal(ensemble._in_order(one, one.predict_proba(X)), np.eye(3)[[one.classes_[0]] * 150])


@pytest.mark.parametrize("bootstrap", [False, True])
def test_weights_count(bootstrap):
    weight = np.repeat([1.0, 0.0], 75)
    ensemble = regressor(bootstrap=bootstrap).fit(X, np.where(weight, y, 1e3), weight)
    assert ensemble.predict(X).max() < 10


def test_a_table_gives_its_names():
    table = pd.DataFrame(X, columns=["a", "b", "c", "d"])
    ensemble = classifier().fit(table, pd.Series(y))
    assert list(ensemble.feature_names_in_) == ["a", "b", "c", "d"]
    np.testing.assert_array_equal(ensemble.predict_proba(table), classifier().fit(X, y).predict_proba(X))
    with pytest.raises(ValueError, match="feature names should match"):
        ensemble.predict(table[["b", "a", "c", "d"]])


def test_members_may_be_pipelines_that_read_tables():
    table = pd.DataFrame(X, columns=["a", "b", "c", "d"]).assign(size=np.where(X[:, 0] > 6, "big", "small"))
    ensemble = EnsembleClassifier(make_pipeline(TableEncoder(), MLPClassifier(**SMALL)), 2, random_state=0)
    assert ensemble.fit(table, y).score(table, y) > 0.8
    assert ensemble.n_features_in_ == 5


def test_members_may_be_of_others():
    assert EnsembleClassifier(LogisticRegression(max_iter=500), 2, bootstrap=True).fit(X, y).score(X, y) > 0.9
    scaled = make_pipeline(StandardScaler(), Ridge(random_state=None))
    assert EnsembleRegressor(scaled, 2).fit(X, y).score(X, y) > 0.9


def test_members_are_networks_with_defaults_unless_said():
    assert type(EnsembleClassifier(n_estimators=1).fit(X, y).estimators_[0]) is MLPClassifier
    diabetes = load_diabetes(return_X_y=True)
    assert type(EnsembleRegressor(n_estimators=1).fit(*diabetes).estimators_[0]) is MLPRegressor


def test_float32_stays_float32():
    mean, std = regressor().fit(X.astype(np.float32), y).predict(X.astype(np.float32), return_std=True)
    assert mean.dtype == std.dtype == np.float32


def test_an_ensemble_is_copied_and_pickled():
    ensemble = classifier().fit(X, y)
    again = pickle.loads(pickle.dumps(ensemble))
    np.testing.assert_array_equal(again.predict_proba(X), ensemble.predict_proba(X))
    assert not hasattr(clone(ensemble), "estimators_")


def test_mean_and_deviation_of_numbers_far_from_zero():
    outputs = 1e8 + np.random.default_rng(0).standard_normal((9, 5))
    mean, std = mean_and_std(iter(outputs))
    np.testing.assert_allclose(mean, outputs.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(std, outputs.std(axis=0), rtol=1e-6)  # eps * 1e8 of numbers near 1


@pytest.mark.parametrize(
    ("parameters", "data", "message"),
    [
        ({"n_estimators": 0}, {}, "'n_estimators' parameter of EnsembleRegressor must be"),
        ({"max_samples": 1.5}, {}, "'max_samples' parameter of EnsembleRegressor must be"),
        ({"max_samples": 151}, {}, "max_samples is 151, but X has 150 examples"),
        ({"estimator": "MLP"}, {}, "'estimator' parameter of EnsembleRegressor must be"),
        ({"estimator": MLPRegressor(alpha=-1)}, {}, "'alpha' parameter of MLPRegressor must be"),
        ({}, {"X": np.ma.masked_less(X, 1)}, "Input X contains masked values"),
        ({}, {"y": np.ma.masked_less(y, 1)}, "Input y contains masked values"),
        ({}, {"y": None}, "requires y to be passed"),
        ({"bootstrap": True}, {"sample_weight": -np.ones(150)}, "Negative values in data passed to `sample_weight`"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused(parameters, data, message):
    with pytest.raises(ValueError, match=message):
        EnsembleRegressor(**{"n_estimators": 2} | parameters).fit(**{"X": X, "y": y} | data)


def test_what_is_not_fitted_does_not_predict():
    for call in (EnsembleClassifier().predict, EnsembleClassifier().predict_proba, EnsembleRegressor().predict):
        with pytest.raises(NotFittedError):
            call(X)


def test_a_refused_fit_leaves_the_members():
    ensemble = regressor().fit(X, y)
    before = ensemble.predict(X)
    with pytest.raises(ValueError, match="max_samples"):
        ensemble.set_params(max_samples=200).fit(X, y)
    np.testing.assert_array_equal(ensemble.predict(X), before)


def not_by_weights(estimator):
    if not estimator.bootstrap:
        return {}
    reason = "examples are drawn, and a weight of two is no second example to be drawn"
    return {f"check_sample_weight_equivalence_on_{kind}_data": reason for kind in ("dense", "sparse")}


CHECKED = [
    EnsembleClassifier(MLPClassifier((20,), learning_rate_init=0.01, max_iter=50), 2),
    EnsembleRegressor(MLPRegressor(hidden_layer_sizes=(20,), learning_rate_init=0.01, max_iter=50), 2, bootstrap=True),
]


@parametrize_with_checks(CHECKED, expected_failed_checks=not_by_weights)
@pytest.mark.filterwarnings("ignore")
def test_scikit_learns_checks_of_estimators(estimator, check):
    check(estimator)
