"""TabularClassifier and TabularRegressor: any table in, without tuning."""

import pickle

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import load_iris, make_friedman1
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastnn import MLPRegressor, PiecewiseLinearEncoder, TableEncoder, TabularClassifier, TabularRegressor

SMALL = dict(hidden_layer_sizes=(16,), n_members=2, n_bins=8, max_iter=20, learning_rate_init=0.03, random_state=0)
#: Of members, each sets another part of the rows aside: weights of 2 are not the same draw as rows that come twice.
EXPECTED = {"check_sample_weight_equivalence_on_dense_data": "each member draws the rows that it sets aside"}
RNG = np.random.default_rng(0)


@parametrize_with_checks(
    [TabularRegressor(**SMALL), TabularClassifier(**SMALL), PiecewiseLinearEncoder(8)],
    expected_failed_checks=lambda estimator: {} if isinstance(estimator, PiecewiseLinearEncoder) else EXPECTED,
)
def test_scikit_learns_checks(estimator, check):
    check(estimator)


def a_table(n=120):
    x = RNG.normal(size=n)
    table = pd.DataFrame(
        {
            "number": np.where(RNG.random(n) < 0.1, np.nan, x),
            "colour": RNG.choice(["red", "green", "blue", None], n),
            "day": pd.Timestamp("2024-01-01") + pd.to_timedelta(RNG.integers(0, 400, n), "D"),
            "flag": RNG.random(n) < 0.5,
            "constant": 7,
        }
    )
    return table, np.nan_to_num(table["number"]) + table["flag"].to_numpy()


def test_a_table_of_all_kinds_is_learned():
    table, y = a_table()
    model = TabularRegressor(**{**SMALL, "max_iter": 60}).fit(table, y)
    assert model.score(table, y) > 0.8
    other = table.copy()
    other.loc[0, "colour"], other.loc[1, "number"], other.loc[2, "number"] = "violet", np.inf, 1e12
    assert np.isfinite(model.predict(other)).all()
    assert list(model.feature_names_in_) == list(table.columns)


@pytest.mark.parametrize("frame", [pl.from_pandas, lambda table: table.to_numpy()])
def test_other_tables_say_the_same(frame):
    table, y = a_table()
    table = table[["number", "flag"]].astype(float)
    expected = TabularRegressor(**SMALL).fit(table, y).predict(table)
    got = TabularRegressor(**SMALL).fit(frame(table), y).predict(frame(table))
    np.testing.assert_array_equal(got, expected)


def test_two_threads_train_what_one_does():
    X, y = make_friedman1(200, random_state=0)
    one, two = (TabularRegressor(**SMALL, n_threads=n).fit(X, y).predict(X) for n in (1, 2))
    np.testing.assert_array_equal(one, two)


def test_a_prediction_is_the_mean_of_the_members():
    X, y = load_iris(return_X_y=True)
    model = TabularClassifier(**SMALL).fit(X, y)
    matrix = model.embedding_.transform(model.encoder_.transform(X))
    expected = np.mean([network.predict_proba(matrix) for network in model.estimators_], axis=0)
    np.testing.assert_allclose(model.predict_proba(X), expected, rtol=1e-6)
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1, rtol=1e-6)
    assert model.score(X, y) > 0.9


@pytest.mark.parametrize("n", [2, 10])
def test_few_rows_are_no_error(n):
    X, y = RNG.normal(size=(n, 3)), np.arange(n) % 2
    assert np.isfinite(TabularRegressor(**SMALL).fit(X, y).predict(X)).all()
    assert TabularClassifier(**SMALL).fit(X, y).predict(X).shape == (n,)


def test_a_class_of_one_row_is_no_error():
    X, y = RNG.normal(size=(80, 3)), np.array(["a"] * 40 + ["b"] * 39 + ["c"])
    model = TabularClassifier(**SMALL).fit(X, y)
    assert model.predict_proba(X).shape == (80, 3)


def test_the_only_class_is_predicted():
    X = RNG.normal(size=(60, 2))
    for seed in range(4):  # whose probability may be less than a half
        model = TabularClassifier(**SMALL | {"max_iter": 1, "random_state": seed}).fit(X, np.full(60, "a"))
        assert set(model.predict(X)) == {"a"}


def test_what_is_predicted_stays_between_the_targets():
    X = RNG.normal(size=(100, 1))
    model = TabularRegressor(**SMALL).fit(X, X[:, 0])
    got = model.predict([[-1e9], [1e9]])
    assert X.min() <= got.min() <= got.max() <= X.max()


def test_a_target_that_never_changes_is_predicted():
    X = RNG.normal(size=(60, 2))
    np.testing.assert_array_equal(TabularRegressor(**SMALL).fit(X, np.full(60, 1e6)).predict(X), 1e6)


def test_several_targets_in_units_of_their_own():
    X, y = make_friedman1(200, random_state=0)
    Y = np.stack([y, 1e6 - 1e3 * y], axis=1)
    model = TabularRegressor(**{**SMALL, "max_iter": 100}).fit(X, Y)
    assert model.predict(X).shape == (200, 2)
    assert model.score(X, Y) > 0.8


def test_rows_of_weight_zero_are_not_learned_from():
    X, y = make_friedman1(200, random_state=0)
    wrong = np.where(np.arange(200) < 100, y, 1e9)
    model = TabularRegressor(**{**SMALL, "max_iter": 60}).fit(X, wrong, sample_weight=np.arange(200) < 100)
    assert model.y_max_ == y[:100].max()
    assert np.corrcoef(model.predict(X[:100]), y[:100])[0, 1] > 0.8


def test_validation_rows_of_ones_own_choose_the_epoch():
    X, y = make_friedman1(300, random_state=0)
    model = TabularRegressor(**SMALL).fit(X[:200], y[:200], X_val=X[200:], y_val=y[200:])
    assert all(len(history["validation_loss"]) == 20 for history in model.history_)
    classes = TabularClassifier(**SMALL).fit(X[:200], y[:200] > 14, X_val=X[200:], y_val=y[200:] > 14)
    assert classes.n_iter_ == 20


def test_it_can_be_searched_cloned_and_pickled():
    X, y = make_friedman1(100, random_state=0)
    search = GridSearchCV(TabularRegressor(**SMALL), {"n_bins": [4, 8]}, cv=2).fit(X, y)
    model = search.best_estimator_
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), model.predict(X))
    assert clone(model).get_params() == model.get_params()
    with pytest.raises(NotFittedError):
        clone(model).predict(X)
    assert len(cross_val_score(TabularClassifier(**SMALL), X, y > 14, cv=2)) == 2


def test_joblib_keeps_it(tmp_path):
    X, y = load_iris(return_X_y=True, as_frame=True)
    model = TabularClassifier(**SMALL).fit(X, y)
    joblib.dump(model, tmp_path / "model.joblib")
    got = joblib.load(tmp_path / "model.joblib")
    np.testing.assert_array_equal(got.predict_proba(X), model.predict_proba(X))
    assert (got.history_, list(got.feature_names_in_)) == (model.history_, list(X.columns))


def test_encoders_may_make_data_frames():
    table, y = a_table()
    expected = TabularRegressor(**SMALL).fit(table, y).predict(table)
    encoder = TableEncoder().set_output(transform="pandas")
    np.testing.assert_array_equal(TabularRegressor(**SMALL, encoder=encoder).fit(table, y).predict(table), expected)
    with config_context(transform_output="pandas"):
        model = TabularRegressor(**SMALL).fit(table, y)
        np.testing.assert_array_equal(model.predict(table), expected)
    np.testing.assert_array_equal(model.predict(table), expected)


def test_an_encoder_that_is_frozen_is_taken_as_it_is():
    table = pd.DataFrame({"code": RNG.integers(0, 5, 100), "x": RNG.normal(size=100)})
    encoder = TableEncoder(categorical=["code"]).fit(table)
    model = TabularRegressor(**SMALL, encoder=FrozenEstimator(encoder)).fit(table[:50], table["x"][:50])
    assert model.encoder_ is encoder
    assert np.isfinite(model.predict(table)).all()
    with pytest.raises(TypeError, match="encoder is a frozen StandardScaler, but a frozen TableEncoder is wanted"):
        TabularRegressor(**SMALL, encoder=FrozenEstimator(StandardScaler())).fit(table, table["x"])


def test_an_encoder_says_what_columns_are():
    table = pd.DataFrame({"code": RNG.integers(0, 5, 100), "x": RNG.normal(size=100)})
    model = TabularRegressor(**SMALL, encoder=TableEncoder(categorical=["code"])).fit(table, table["x"])
    assert [column.kind for column in model.encoder_.columns_] == ["category", "number"]


def test_a_preset_stands_for_what_is_not_given():
    X, y = make_friedman1(60, random_state=0)
    fast = TabularRegressor((8,), preset="fast", random_state=0).fit(X, y)
    assert (len(fast.estimators_), fast.n_iter_) == (2, 64)
    own = TabularRegressor((8,), preset="fast", n_members=1, max_iter=5, random_state=0).fit(X, y)
    assert (len(own.estimators_), own.n_iter_) == (1, 5)
    with pytest.raises(ValueError, match=r"'preset' parameter .* must be a str among"):
        TabularRegressor(preset="slow").fit(X, y)


def test_the_time_may_be_bounded():
    X, y = make_friedman1(400, random_state=0)
    model = TabularRegressor(**{**SMALL, "max_iter": 100_000}, max_time=0.2).fit(X, y)
    assert model.n_iter_ < 100_000


def test_it_is_better_than_a_plain_network_on_jumps():
    """A target that jumps to and fro along some of its columns, as those of tables do."""
    X = RNG.uniform(size=(500, 4))
    y = np.floor(6 * X[:, 0]) % 2 + np.floor(8 * X[:, 1]) % 2
    tabular = TabularRegressor(**{**SMALL, "n_bins": 48, "max_iter": 60}).fit(X[:400], y[:400]).score(X[400:], y[400:])
    plain = MLPRegressor(max_iter=300, random_state=0).fit(X[:400], y[:400]).score(X[400:], y[400:])
    assert tabular > 0.5 > plain


class TestPiecewiseLinearEncoder:
    def test_pieces_are_between_quantiles(self):
        X = np.arange(9.0)[:, np.newaxis]
        got = PiecewiseLinearEncoder(n_bins=4).fit_transform(X)
        expected = np.clip((X - [0, 2, 4, 6]) / 2, 0, 1) - 0.5
        np.testing.assert_allclose(got[:, 1:], expected, atol=1e-7)

    def test_scales_are_those_of_quartiles(self):
        X = np.arange(9.0)[:, np.newaxis]
        z = (X - 4) / 4
        got = PiecewiseLinearEncoder(n_bins=0).fit_transform(X)
        np.testing.assert_allclose(got, z / np.sqrt(1 + (z / 3) ** 2), rtol=1e-6)

    def test_columns_of_few_values_have_no_pieces(self):
        X = np.stack([np.zeros(20), np.arange(20) % 2, np.arange(20)], axis=1).astype(float)
        encoder = PiecewiseLinearEncoder(n_bins=5).fit(X)
        assert encoder.get_feature_names_out().tolist() == ["x0", "x1", "x2", *(f"x2 piece {k}" for k in range(5))]
        assert (encoder.transform(X)[:, 0] == 0).all()

    def test_a_row_of_weight_two_is_two_rows(self):
        X, weights = RNG.normal(size=(30, 2)), RNG.integers(0, 3, 30)
        weighted = PiecewiseLinearEncoder(n_bins=5).fit(X, sample_weight=weights)
        repeated = PiecewiseLinearEncoder(n_bins=5).fit(np.repeat(X, weights, axis=0))
        np.testing.assert_allclose(weighted.center_, repeated.center_, rtol=1e-12)
        np.testing.assert_allclose(weighted.scale_, repeated.scale_, rtol=1e-12)
        np.testing.assert_allclose(np.stack(weighted.edges_), np.stack(repeated.edges_), rtol=1e-12)

    def test_an_outlier_is_clipped(self):
        X = np.append(RNG.normal(size=50), 1e12)[:, np.newaxis]
        got = PiecewiseLinearEncoder().fit_transform(X)
        assert np.abs(got).max() <= 3


def test_several_labels_of_a_row_are_refused():
    with pytest.raises(ValueError, match=r"\(60, 2\), but a TabularClassifier learns one class"):
        TabularClassifier().fit(np.ones((60, 3)), np.eye(2, dtype=int)[np.arange(60) % 2])


def test_the_scale_of_weights_makes_no_difference():
    X = np.random.default_rng(0).normal(size=(200, 2))
    weights = np.random.default_rng(1).uniform(0.5, 1.5, 200)
    one = PiecewiseLinearEncoder(8).fit(X, sample_weight=weights / weights.mean())
    other = PiecewiseLinearEncoder(8).fit(X, sample_weight=weights / weights.sum())
    np.testing.assert_allclose(other.center_, one.center_)
    np.testing.assert_allclose(other.edges_, one.edges_)


def test_one_outlier_of_1e12_harms_nobody():
    x = np.random.default_rng(0).normal(size=(200, 1))
    with_outlier = np.vstack([x, [[1e12]]])
    model = TabularRegressor(n_members=1, max_iter=20, random_state=0).fit(with_outlier, [*x[:, 0], 0.0])
    assert model.score(x, x[:, 0]) > 0.95


@pytest.mark.parametrize("unit", [1e-300, 1e-200, 1e200, 1e300])
def test_targets_may_be_of_any_size(unit):
    x = np.random.default_rng(0).normal(size=(100, 1))
    y = x[:, 0] / abs(x).max() * unit
    model = TabularRegressor(n_members=1, max_iter=20, random_state=0).fit(x, y)
    assert np.corrcoef(model.predict(x) / unit, y / unit)[0, 1] > 0.95


def test_numbers_far_out_are_at_the_bound():
    encoder = PiecewiseLinearEncoder(2).fit([[0.0], [1.0], [2.0], [3.0]])
    np.testing.assert_allclose(encoder.transform([[1e160], [-1e308]])[:, 0], [3, -3])


def test_a_fit_that_fails_leaves_the_classes_as_they_were():
    x = np.random.default_rng(0).normal(size=(60, 1))
    model = TabularClassifier(n_members=1, max_iter=5, random_state=0).fit(x, x[:, 0] > 0)
    before = model.predict(x)
    with pytest.raises(ValueError, match="scoring"):
        model.set_params(scoring="r2").fit(x, np.where(x[:, 0] > 0, "a", "b"))
    np.testing.assert_array_equal(model.predict(x), before)


def test_a_fit_that_fails_leaves_the_model_as_it_was():
    x = np.random.default_rng(0).normal(size=(60, 1))
    model = TabularRegressor(n_members=1, max_iter=5, random_state=0).fit(x, x[:, 0])
    before = model.predict(x)
    with pytest.raises(ValueError, match="scoring"):
        model.set_params(scoring="accuracy").fit(100 * x, 100 * x[:, 0])
    np.testing.assert_array_equal(model.predict(x), before)


def test_a_scorer_sees_targets_as_they_are():
    x = np.random.default_rng(0).normal(size=(80, 1))
    y, seen = 1000 + np.exp(x[:, 0]), []

    def score(estimator, X, y):
        seen.append((y.min(), estimator.predict(X).min()))
        return estimator.score(X, y)

    TabularRegressor(n_members=1, max_iter=3, scoring=score, random_state=0).fit(x, y)
    assert np.min(seen) >= 1000
    TabularRegressor(n_members=1, max_iter=2, scoring="neg_mean_poisson_deviance", random_state=0).fit(x, y)


@pytest.mark.parametrize(
    "more", [{"y_val": [1.0, 2.0]}, {"sample_weight_val": [1.0]}], ids=lambda more: next(iter(more))
)
def test_validation_targets_alone_are_refused(more):
    with pytest.raises(ValueError, match=f"belong together, got {next(iter(more))} alone"):
        TabularRegressor(n_members=1, max_iter=1).fit(np.eye(60), np.arange(60.0), **more)


def test_columns_that_are_left_out_are_told():
    table = pd.DataFrame({"age": np.random.default_rng(0).permutation(np.arange(20, 80)), "b": np.arange(60) / 7})
    with pytest.warns(UserWarning, match="left out are the columns 'age'"):
        TabularRegressor(n_members=1, max_iter=1).fit(table, table["b"])
    assert TabularRegressor(n_members=1, max_iter=1).fit(table.to_numpy(), table["b"]).encoder_.left_out_ == {}


def test_a_column_that_can_not_be_read_any_more_is_told():
    table = pd.DataFrame({"a": np.arange(60) / 7})
    model = TabularRegressor(n_members=1, max_iter=1).fit(table, table["a"])
    with pytest.warns(UserWarning, match="column 'a' held numbers in training, but now no value of it is one: 'x'"):
        model.predict(pd.DataFrame({"a": ["x"] * 20}))


def test_weights_must_count_for_something():
    with pytest.raises(ValueError, match=r"0 for all rows|non-zero"):
        TabularRegressor().fit(np.eye(4), np.arange(4.0), sample_weight=np.zeros(4))
    with pytest.raises(ValueError, match="Negative"):
        TabularRegressor().fit(np.eye(4), np.arange(4.0), sample_weight=-np.ones(4))


def test_members_that_time_has_left_untrained_are_left_out_and_told(monkeypatch):
    X = np.random.default_rng(0).normal(size=(3000, 4))
    with pytest.warns(ConvergenceWarning, match="over before the first epoch of 2 of 2 members was: their weights"):
        TabularRegressor(n_members=2, max_time=1e-9, random_state=0).fit(X, X[:, 0])
    of_class, times = TabularRegressor._member, iter([1e-9, 1000.0, 1e-9])
    monkeypatch.setattr(
        TabularRegressor, "_member", lambda self, **more: of_class(self, **{**more, "max_time": next(times)})
    )
    model = TabularRegressor(n_members=3, max_iter=1, max_time=1000, random_state=0)
    with pytest.warns(ConvergenceWarning, match="of 2 of 3 members was: they are left out"):
        model.fit(X, X[:, 0])
    assert [member.n_iter_ for member in model.estimators_] == [1]


@pytest.mark.parametrize(
    "y", [["a"] * 40 + ["b"] * 39 + ["c"], [*map(str, range(40))] * 2], ids=["one row", "40 classes"]
)
def test_rare_classes_are_trained_on_and_others_set_aside(y):
    X, y = np.random.default_rng(0).normal(size=(80, 3)), np.array(y)
    model = TabularClassifier(n_members=2, max_iter=3, random_state=0).fit(X, y, sample_weight=np.arange(1.0, 81))
    assert all(len(history["validation_loss"]) == 3 for history in model.history_)
    assert model.predict_proba(X).shape == (80, len(set(y)))
    aside = [model._split(y, member.random_state)[1] for member in model.estimators_]
    assert [len(rows) for rows in aside] == [8, 8]
    assert set(aside[0]) != set(aside[1])
    assert 79 not in np.concatenate(aside) or len(set(y)) > 3
