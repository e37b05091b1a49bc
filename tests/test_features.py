"""What users asked scikit-learn's MLPs for: losses, weights of classes, validation sets of their own, time limits."""

import time

import numpy as np
import pytest
from conftest import call_steps_by
from sklearn.datasets import load_breast_cancer, load_wine, make_regression
from sklearn.linear_model import GammaRegressor, HuberRegressor, LogisticRegression, QuantileRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_sample_weight

import fastnn
from fastnn import MLPClassifier, MLPRegressor
from fastnn.kernels.laws.optimizers import RATE

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
rng = np.random.default_rng(0)
LINEAR = {"hidden_layer_sizes": (), "solver": "lbfgs", "alpha": 0.0, "max_iter": 2000, "tol": 1e-9, "random_state": 0}
X = rng.standard_normal((300, 3))
y = X @ [1.0, -2.0, 0.5] + 3 + rng.standard_t(2, 300)  # with outliers


def test_huber_without_a_hidden_layer_is_hubers_regression():
    expected = HuberRegressor(epsilon=1.35, alpha=0, tol=1e-10).fit(X, y)
    model = MLPRegressor(loss="huber", delta=1.35 * expected.scale_, **LINEAR).fit(X, y)
    np.testing.assert_allclose(model.coefs_[0][:, 0], expected.coef_, rtol=1e-3)


def test_gamma_without_a_hidden_layer_is_gamma_regression():
    positive = np.exp(0.3 * y.clip(-5, 5))
    expected = GammaRegressor(alpha=0, tol=1e-10, max_iter=1000).fit(X, positive)
    model = MLPRegressor(loss="gamma", **LINEAR).fit(X, positive)
    np.testing.assert_allclose(model.predict(X), expected.predict(X), rtol=1e-4)


def test_quantiles_hold_as_many_examples_as_they_say_and_do_not_cross():
    quantiles = [0.1, 0.5, 0.9]
    model = MLPRegressor(
        loss="quantile",
        quantile=quantiles,
        hidden_layer_sizes=(16,),
        max_iter=400,
        learning_rate_init=0.01,
        random_state=0,
    ).fit(X, y)
    predicted = model.predict(X)
    assert predicted.shape == (300, 3)
    assert (np.diff(predicted, axis=1) >= 0).all()
    np.testing.assert_allclose((y[:, np.newaxis] <= predicted).mean(axis=0), quantiles, atol=0.06)


def test_one_quantile_without_a_hidden_layer_is_quantile_regression():
    expected = QuantileRegressor(quantile=0.8, alpha=0).fit(X, y)
    options = {**LINEAR, "solver": "adam", "max_iter": 3000, "tol": 0, "n_iter_no_change": 3000}
    model = MLPRegressor(loss="quantile", quantile=0.8, learning_rate_init=3e-3, **options).fit(X, y)
    np.testing.assert_allclose(model.coefs_[0][:, 0], expected.coef_, atol=0.05)
    np.testing.assert_allclose(model.intercepts_[0], expected.intercept_, atol=0.05)


@pytest.mark.parametrize("loss", ["absolute_error", "log_cosh", "huber"])
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_outliers_count_less_than_to_the_squared_error(loss, solver):
    X, y = make_regression(200, 4, noise=1, random_state=0)
    scaled = y / y.std()
    spoilt = scaled.copy()
    spoilt[::20] += 50
    options = {"hidden_layer_sizes": (20,), "solver": solver, "learning_rate_init": 0.01, "random_state": 0}
    errors = [
        np.abs(MLPRegressor(loss=name, max_iter=150, **options).fit(X, spoilt).predict(X) - scaled).mean()
        for name in (loss, "squared_error")
    ]
    assert errors[0] < errors[1] / 2


@pytest.mark.parametrize(
    ("parameters", "y", "message"),
    [
        ({"loss": "gamma"}, [0.0, 1.0], "loss='gamma' requires positive y, got 0"),
        ({"loss": "poisson"}, [-1.0, 1.0], "loss='poisson' requires non-negative y, got -1"),
        ({"loss": "quantile", "quantile": (0.5, 0.1)}, [0.0, 1.0], "in rising order"),
        ({"loss": "quantile", "quantile": (0.5, 1.0)}, [0.0, 1.0], "between 0 and 1"),
        ({"loss": "quantile", "quantile": ()}, [0.0, 1.0], "between 0 and 1"),
        ({"loss": "quantile", "quantile": [0.1, 0.9]}, [[0.0, 1.0], [1.0, 0.0]], "several quantiles are of one target"),
        ({"loss": "huber", "delta": 0.0}, [0.0, 1.0], "'delta' parameter"),
        ({"loss": "hubert"}, [0.0, 1.0], "'loss' parameter.*huber"),
        ({"max_time": 0.0}, [0.0, 1.0], "'max_time' parameter"),
    ],
    ids=str,
)
def test_what_a_loss_does_not_take_is_refused(parameters, y, message):
    for fit in "fit", "partial_fit":
        with pytest.raises(ValueError, match=message):
            getattr(MLPRegressor(**parameters), fit)(np.eye(2), y)


@pytest.mark.parametrize("data", [load_breast_cancer, load_wine])
def test_label_smoothing_is_training_on_labels_that_are_less_sure(data):
    X, y = data(return_X_y=True)
    X, sure = StandardScaler().fit_transform(X), {}
    for smoothing in (0.0, 0.2):
        model = MLPClassifier(label_smoothing=smoothing, max_iter=300, random_state=0).fit(X, y)
        sure[smoothing] = model.predict_proba(X).max(axis=1).mean()
        assert model.score(X, y) > 0.97
    n_classes = len(np.unique(y))
    assert sure[0.0] > 0.97
    assert sure[0.2] == pytest.approx(1 - 0.2 + 0.2 / n_classes, abs=0.05)


@pytest.mark.parametrize("data", [load_breast_cancer, load_wine])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_weights_of_classes_are_weights_of_their_examples(data, solver):
    X, y = data(return_X_y=True)
    X, names = StandardScaler().fit_transform(X), np.array(["a", "b", "c"])[y]
    options, own = {"max_iter": 10, "random_state": 0, "solver": solver}, rng.random(len(y))
    for class_weight in "balanced", {"a": 3.0, "b": 0.5, "c": 1.0} if y.max() == 2 else {"a": 3.0, "b": 0.5}:
        weights = compute_sample_weight(class_weight, names)
        for sample_weight, total in (None, weights), (own, own * weights):
            model = MLPClassifier(class_weight=class_weight, **options).fit(X, names, sample_weight)
            expected = MLPClassifier(**options).fit(X, names, total)
            np.testing.assert_array_equal(model.predict_proba(X), expected.predict_proba(X))


def test_balanced_weights_find_the_rare_class():
    X = np.concatenate([rng.normal(0, 1, (950, 2)), rng.normal(1.5, 1, (50, 2))])
    y = np.repeat([0, 1], [950, 50])
    options = {"hidden_layer_sizes": (), "max_iter": 300, "learning_rate_init": 0.01, "random_state": 0}
    recalls = [MLPClassifier(class_weight=w, **options).fit(X, y).predict(X)[y == 1].mean() for w in (None, "balanced")]
    assert recalls[1] > 0.75 > 0.5 > recalls[0]
    expected = LogisticRegression(class_weight="balanced", C=np.inf).fit(X, y).predict(X)
    model = MLPClassifier(class_weight="balanced", **options).fit(X, y)
    assert (model.predict(X) == expected).mean() > 0.97


@pytest.mark.parametrize(
    ("class_weight", "message"),
    [
        ({5: 1.0}, r"names \[5\], but the classes are \[0 1\]"),
        ({0: -1.0, 1: 1.0}, "not negative"),
        ("all", "'class_weight'"),
    ],
)
def test_wrong_weights_of_classes_are_refused(class_weight, message):
    with pytest.raises(ValueError, match=message):
        MLPClassifier(class_weight=class_weight).fit(np.eye(4), [0, 1, 0, 1])


def test_partial_fit_takes_weights_of_classes_but_cannot_balance():
    X, y = rng.random((20, 3)), np.arange(20) % 2
    weights = {0: 2.0, 1: 0.5}
    models = [MLPClassifier(class_weight=w, random_state=0) for w in (weights, None)]
    for _ in range(3):
        models[0].partial_fit(X, y, classes=[0, 1])
        models[1].partial_fit(X, y, sample_weight=np.where(y == 0, 2.0, 0.5), classes=[0, 1])
    np.testing.assert_array_equal(models[0].predict_proba(X), models[1].predict_proba(X))
    with pytest.raises(ValueError, match="needs all the data at once"):
        MLPClassifier(class_weight="balanced").partial_fit(X, y, classes=[0, 1])


@pytest.mark.parametrize("kind", ["classifier", "regressor"])
def test_a_validation_set_of_ones_own_decides(kind):
    X, y = rng.random((120, 4)), rng.integers(0, 3, 120)
    new = (lambda **p: MLPClassifier(**p)) if kind == "classifier" else (lambda **p: MLPRegressor(**p))
    own, own_y, weights = X[100:], y[100:], rng.random(20)
    model = new(early_stopping=True, max_iter=30, random_state=0, n_iter_no_change=40)
    seen = []
    with fastnn.watch(lambda epoch: seen.append((epoch.validation_score, model.score(own, own_y, weights)))):
        model.fit(X[:100], y[:100], X_val=own, y_val=own_y, sample_weight_val=weights)
    np.testing.assert_allclose(*zip(*seen, strict=True), rtol=1e-9)
    assert model.best_validation_score_ == max(model.validation_scores_)
    assert model.score(own, own_y, weights) == pytest.approx(model.best_validation_score_)  # the best weights are kept
    assert model.t_ == 30 * 100  # and all of X was trained on


def test_a_validation_set_goes_through_a_pipeline():
    import sklearn

    X, y = load_wine(return_X_y=True)
    with sklearn.config_context(enable_metadata_routing=True):
        network = MLPClassifier(early_stopping=True, max_iter=60, random_state=0).set_fit_request(
            X_val=True, y_val=True
        )
        model = make_pipeline(StandardScaler(), network, transform_input=["X_val"])
        model.fit(X[::2], y[::2], X_val=X[1::2], y_val=y[1::2])
    assert model[-1].best_validation_score_ == model.score(X[1::2], y[1::2]) > 0.9


@pytest.mark.parametrize(
    ("held_out", "message"),
    [
        ({"X_val": np.eye(3)}, "X_val alone"),
        ({"y_val": [1, 0, 1]}, "y_val alone"),
        ({"X_val": np.eye(3), "y_val": [0, 1]}, "X_val has 3 examples, but y_val 2"),
        ({"X_val": np.eye(2), "y_val": [0, 1]}, "expecting 3 features"),
        ({"X_val": np.eye(3), "y_val": [0, 1, 7]}, r"classes that y has not: \[7\]"),
        ({"X_val": np.eye(3)[:1], "y_val": [0]}, "a score needs two"),
        ({"X_val": np.eye(3) * np.nan, "y_val": [0, 1, 0]}, "NaN"),
    ],
    ids=str,
)
def test_wrong_validation_sets_are_refused(held_out, message):
    model = MLPClassifier(early_stopping=True)
    with pytest.raises(ValueError, match=message):
        model.fit(np.eye(3), [0, 1, 0], **held_out)
    assert not hasattr(model, "coefs_")


@pytest.mark.parametrize("parameters", [{}, {"early_stopping": True}, {"solver": "lbfgs"}], ids=str)
def test_training_ends_in_time(parameters):
    X, y = rng.random((500, 10)), rng.random(500)
    options = {"max_iter": 10**6, "tol": 0, "n_iter_no_change": np.inf, "max_fun": 10**9, "hidden_layer_sizes": (64,)}
    MLPRegressor(**{**options, **parameters, "max_iter": 2}).fit(X, y)  # compiles
    start = time.perf_counter()
    model = MLPRegressor(**options, **parameters, max_time=0.3).fit(X, y)
    assert time.perf_counter() - start < 5
    assert 0 < model.n_iter_ < 10**6
    assert np.isfinite(model.predict(X)).all()


@pytest.mark.parametrize(
    "model",
    [
        MLPClassifier(class_weight={"a": 2.0, "b": 0.5}, label_smoothing=0.1, activation=("gelu",), max_iter=3),
        MLPClassifier((4, 3), class_weight="balanced", activation=("silu", "relu"), max_time=10.0, max_iter=3),
        MLPRegressor(loss="quantile", quantile=(0.1, 0.9), max_iter=3),
        MLPRegressor(loss="huber", delta=0.5, max_iter=3),
        MLPRegressor(loss="gamma", max_iter=3),
    ],
    ids=str,
)
def test_a_file_holds_all_of_it(model, tmp_path):
    X, y = rng.random((40, 3)), np.array(["a", "b"] * 20) if isinstance(model, MLPClassifier) else rng.random(40) + 1
    model.fit(X, y)
    fastnn.save(model, tmp_path / "model")
    loaded = fastnn.load(tmp_path / "model.fastnn")
    assert loaded.get_params() == model.get_params()
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    loaded.fit(X, y)


def test_what_scikit_learn_has_not_is_told_or_forgotten():
    X, y = rng.random((20, 3)), np.arange(20) % 2
    model = MLPClassifier(class_weight={0: 2.0, 1: 0.5}, max_iter=3).fit(X, y)
    np.testing.assert_allclose(model.to_sklearn().predict_proba(X), model.predict_proba(X), rtol=1e-7)
    with pytest.raises(ValueError, match="scikit-learn has no loss='huber'"):
        MLPRegressor(loss="huber", max_iter=3).fit(X, y).to_sklearn()


def rates_of(model, X, y, monkeypatch):
    """The learning rates that the steps of a fit took."""
    taken = []

    def noted(train, *args):
        done = train(*args)
        taken.extend(args[5].rule.numbers[:done, RATE].tolist())
        return done

    call_steps_by(monkeypatch, noted)
    model.fit(X, y)
    return np.array(taken)


LAWS = {
    "constant": lambda t: 1,
    "cosine": lambda t: (1 + np.cos(np.pi * t)) / 2,
    "step": lambda t: 10.0 ** -(int(t >= 0.5) + int(t >= 0.75)),
    "coslog4": lambda t: (1 - np.cos(2 * np.pi * np.log2(1 + 15 * t))) / 2,
    "one_cycle": lambda t: (
        1 / 25 + (1 - 1 / 25) * (1 - np.cos(np.pi * t / 0.3)) / 2
        if t < 0.3
        else 4e-6 + (1 - 4e-6) * (1 + np.cos(np.pi * (t - 0.3) / 0.7)) / 2
    ),
    "own": lambda t: 1 - t / 2,
}


@pytest.mark.parametrize("warmup", [0.0, 0.2])
@pytest.mark.parametrize("solver", ["adam", "sgd"])
@pytest.mark.parametrize("name", LAWS)
def test_the_learning_rate_follows_its_schedule(name, solver, warmup, monkeypatch):
    law = LAWS[name] if name == "own" else name
    options = {"hidden_layer_sizes": (4,), "batch_size": 10, "max_iter": 20, "n_iter_no_change": 20}
    model = MLPRegressor(solver=solver, learning_rate=law, warmup=warmup, **options)
    got = rates_of(model, rng.random((40, 2)), rng.random(40), monkeypatch)
    t = (np.arange(80) + 0.5) / 80
    expected = 0.001 * np.array([LAWS[name](at) * (min(at / warmup, 1) if warmup else 1) for at in t])
    if solver == "adam":
        steps = np.arange(1, 81)
        expected *= np.sqrt(1 - 0.999**steps) / (1 - 0.9**steps)
    np.testing.assert_allclose(got, expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"learning_rate": "cosinus"}, "'learning_rate' parameter.*coslog4"),
        ({"warmup": 1.0}, "'warmup' parameter"),
        ({"learning_rate": lambda t: -1}, "not negative"),
    ],
    ids=["name", "warmup", "negative"],
)
def test_wrong_schedules_are_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        MLPRegressor(**parameters).fit(np.eye(4), np.arange(4.0))
    with pytest.raises(ValueError, match="partial_fit does not know"):
        MLPRegressor(learning_rate="cosine").partial_fit(np.eye(4), np.arange(4.0))
    model = MLPRegressor(learning_rate="cosine", max_iter=2).fit(np.eye(4), np.arange(4.0))
    with pytest.raises(ValueError, match="scikit-learn has no learning_rate='cosine'"):
        model.to_sklearn()


def test_a_schedule_is_the_same_for_whoever_watches():
    X, y = rng.random((200, 3)), rng.random(200)
    models = [MLPRegressor(learning_rate="one_cycle", warmup=0.1, max_iter=20, random_state=0) for _ in range(2)]
    with fastnn.watch(lambda epoch: None):
        models[0].fit(X, y)
    np.testing.assert_array_equal(models[0].predict(X), models[1].fit(X, y).predict(X))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_adamw_is_adam_whose_weights_shrink(dtype):
    X, y = rng.random((40, 3)).astype(dtype), rng.random(40).astype(dtype)
    options = {"hidden_layer_sizes": (5,), "shuffle": False, "batch_size": 40, "random_state": 0, "alpha": 0.0}
    model = MLPRegressor(solver="adamw", **options).set_params(alpha=20.0).partial_fit(X, y)
    expected = MLPRegressor(solver="adam", **options).partial_fit(X, y)
    start = MLPRegressor(solver="sgd", learning_rate_init=1e-30, **options).partial_fit(X, y)
    for got, of_adam, before in zip(model.coefs_, expected.coefs_, start.coefs_, strict=True):
        np.testing.assert_allclose(got, of_adam - 20 * 0.001 * before, rtol=1e-4, atol=1e-6)
    for got, of_adam in zip(model.intercepts_, expected.intercepts_, strict=True):  # which do not shrink
        np.testing.assert_allclose(got, of_adam, rtol=1e-5)
    with pytest.raises(ValueError, match="scikit-learn has no solver='adamw'"):
        model.to_sklearn()


def test_adamw_goes_on_in_partial_fit_and_with_a_schedule():
    X, y = rng.random((40, 3)), rng.random(40)
    options = {"hidden_layer_sizes": (5,), "solver": "adamw", "random_state": 0, "batch_size": 40, "alpha": 1.0}
    model = MLPRegressor(**options, max_iter=6, shuffle=False).fit(X, y)
    other = MLPRegressor(**options, shuffle=False)
    for _ in range(6):
        other.partial_fit(X, y)
    np.testing.assert_allclose(model.predict(X), other.predict(X), rtol=1e-12)
    assert MLPRegressor(**options, learning_rate="cosine", max_iter=50).fit(X, y).loss_ < model.loss_
