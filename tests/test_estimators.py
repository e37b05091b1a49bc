"""MLPClassifier and MLPRegressor beside scikit-learn's: the same contract, the same numbers, scores no worse."""

import pickle
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix
from sklearn import neural_network as theirs
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import LabelBinarizer, StandardScaler

import fastnn
from fastnn import MLPClassifier, MLPRegressor, TableEncoder
from fastnn.training import calls, prediction, trainer

rng = np.random.default_rng(0)
iris, wine, cancer, diabetes = (
    load(return_X_y=True) for load in (load_iris, load_wine, load_breast_cancer, load_diabetes)
)


def scaled(data):
    X, y = data
    return StandardScaler().fit_transform(X), y


@pytest.mark.parametrize(
    ("ours", "their", "data", "parameters"),
    [
        (MLPClassifier, theirs.MLPClassifier, wine, {}),
        (MLPClassifier, theirs.MLPClassifier, cancer, {"activation": "tanh", "alpha": 0.1, "batch_size": 33}),
        (MLPClassifier, theirs.MLPClassifier, iris, {"solver": "sgd", "activation": "logistic"}),
        (
            MLPClassifier,
            theirs.MLPClassifier,
            cancer,
            {"solver": "sgd", "learning_rate": "invscaling", "nesterovs_momentum": False, "hidden_layer_sizes": ()},
        ),
        (MLPClassifier, theirs.MLPClassifier, wine, {"early_stopping": True, "hidden_layer_sizes": (20, 10)}),
        (MLPRegressor, theirs.MLPRegressor, diabetes, {"hidden_layer_sizes": 17, "shuffle": False}),
        (
            MLPRegressor,
            theirs.MLPRegressor,
            diabetes,
            {
                "solver": "sgd",
                "learning_rate": "adaptive",
                "momentum": 0.5,
                "learning_rate_init": 1e-5,
                "tol": 1e3,
                "n_iter_no_change": 2,
            },
        ),
        (MLPRegressor, theirs.MLPRegressor, (iris[0], iris[0][:, :2]), {"activation": "identity"}),
    ],
    ids=str,
)
def test_training_follows_scikit_learn_epoch_by_epoch(ours, their, data, parameters):
    X, y = scaled(data)
    model, expected = (kind(random_state=1, max_iter=20, **parameters).fit(X, y) for kind in (ours, their))
    np.testing.assert_allclose(model.loss_curve_, expected.loss_curve_, rtol=1e-9)
    for got, wanted in zip((*model.coefs_, *model.intercepts_), (*expected.coefs_, *expected.intercepts_), strict=True):
        assert got.shape == wanted.shape
        np.testing.assert_allclose(got, wanted, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(model.predict(X), expected.predict(X), rtol=1e-6)
    if ours is MLPClassifier:
        np.testing.assert_allclose(model.predict_proba(X), expected.predict_proba(X), rtol=1e-6, atol=1e-12)
    for name in (
        "n_iter_",
        "t_",
        "n_layers_",
        "n_outputs_",
        "out_activation_",
        "n_features_in_",
        "validation_scores_",
        "best_validation_score_",
    ):
        assert getattr(model, name) == getattr(expected, name), name


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("MLPClassifier", (load_digits(return_X_y=True)[0] / 16, load_digits(return_X_y=True)[1])),
        ("MLPClassifier", scaled(cancer)),
        ("MLPClassifier", scaled(iris)),
        ("MLPClassifier", scaled(wine)),
        ("MLPRegressor", (scaled(diabetes)[0], (diabetes[1] - diabetes[1].mean()) / diabetes[1].std())),
    ],
    ids=["digits", "cancer", "iris", "wine", "diabetes"],
)
def test_scores_are_no_worse_than_scikit_learns(kind, data):
    X_train, X_test, y_train, y_test = train_test_split(*data, random_state=0)
    scores = {
        library: [
            getattr(library, kind)(hidden_layer_sizes=(30,), max_iter=60, random_state=seed)
            .fit(X_train.astype(np.float32), y_train)
            .score(X_test.astype(np.float32), y_test)
            for seed in range(3)
        ]
        for library in (fastnn, theirs)
    }
    # float32 rounds differently in the two libraries, so single examples may fall on the other side.
    assert np.mean(scores[fastnn]) >= np.mean(scores[theirs]) - 1 / len(y_test)


def test_float32_stays_float32():
    X, y = scaled(wine)
    model = MLPClassifier(random_state=0, max_iter=5).fit(X.astype(np.float32), y)
    assert {array.dtype for array in (*model.coefs_, *model.intercepts_)} == {np.dtype(np.float32)}
    assert model.predict_proba(X.astype(np.float32)).dtype == np.float32


def test_pipeline_grid_search_and_cross_validation():
    search = GridSearchCV(
        make_pipeline(StandardScaler(), MLPClassifier(max_iter=50, learning_rate_init=0.01)),
        {"mlpclassifier__hidden_layer_sizes": [(5,), (20, 10)]},
        cv=3,
    ).fit(*wine)
    assert search.best_score_ > 0.9
    assert cross_val_score(make_pipeline(StandardScaler(), MLPRegressor(max_iter=30)), *diabetes, cv=3).shape == (3,)


def test_partial_fit_goes_on_where_it_ended():
    X, y = scaled(wine)
    ours, expected = MLPClassifier(random_state=1), theirs.MLPClassifier(random_state=1)
    for model in (ours, expected):
        for _ in range(5):
            model.partial_fit(X, y, classes=[0, 1, 2])
    np.testing.assert_allclose(ours.loss_curve_, expected.loss_curve_, rtol=1e-9)
    assert ours.t_ == 5 * len(X)


def test_warm_start_goes_on_from_the_last_solution():
    X, y = scaled(wine)
    ours, expected = (
        kind(random_state=1, max_iter=4, warm_start=True).fit(X, y).fit(X, y)
        for kind in (MLPClassifier, theirs.MLPClassifier)
    )
    assert len(ours.loss_curve_) == 8
    np.testing.assert_allclose(ours.loss_curve_, expected.loss_curve_, rtol=1e-9)


def test_labels_may_be_strings_and_several_at_once():
    X, y = scaled(wine)
    names = np.array(["red", "rose", "white"])[y]
    assert set(MLPClassifier(max_iter=40, random_state=0).fit(X, names).predict(X)) == set(names)
    labels = np.eye(3, dtype=int)[y] + np.eye(3, dtype=int)[(y + 1) % 3]
    model = MLPClassifier(max_iter=200, random_state=0).fit(X, labels)
    assert model.out_activation_ == "logistic"
    assert (model.predict(X) == labels).mean() > 0.95


def test_binary_probabilities_have_two_columns_that_sum_to_one():
    X, y = scaled(cancer)
    model = MLPClassifier(max_iter=10, random_state=0).fit(X, y)
    proba = model.predict_proba(X)
    assert proba.shape == (len(X), 2)
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    np.testing.assert_array_equal(model.predict(X), proba.argmax(axis=1))
    np.testing.assert_array_equal(model.predict_log_proba(X), np.log(proba))


@pytest.mark.parametrize(
    "layout",
    [np.asfortranarray, lambda X: np.repeat(X, 2, axis=0)[::2], lambda X: X.tolist()],
    ids=["Fortran", "strided", "list"],
)
def test_any_layout_of_X_gives_the_same(layout):
    X, y = scaled(wine)
    expected = MLPClassifier(max_iter=3, random_state=0).fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(
        MLPClassifier(max_iter=3, random_state=0).fit(layout(X), y).predict_proba(layout(X)), expected
    )


def test_read_only_data_and_parameters():
    X, y = scaled(wine)
    X.flags.writeable = False
    model = MLPClassifier(max_iter=3, random_state=0).fit(X, y)
    expected = model.predict_proba(X)
    for array in (*model.coefs_, *model.intercepts_):
        array.flags.writeable = False
    np.testing.assert_array_equal(model.predict_proba(X), expected)


def test_data_are_not_written_to():
    X, y = scaled(wine)
    X_before, y_before = X.copy(), y.copy()
    MLPClassifier(max_iter=3).fit(X, y).predict(X)
    np.testing.assert_array_equal(X, X_before)
    np.testing.assert_array_equal(y, y_before)


def test_a_pickled_model_predicts_the_same_and_trains_on():
    X, y = scaled(wine)
    model = MLPClassifier(max_iter=3, random_state=0).fit(X, y)
    copy = pickle.loads(pickle.dumps(model))
    assert all(coef.flags.c_contiguous for coef in copy.coefs_)
    np.testing.assert_array_equal(copy.predict_proba(X), model.predict_proba(X))
    np.testing.assert_array_equal(copy.partial_fit(X, y).predict_proba(X), model.partial_fit(X, y).predict_proba(X))


@pytest.mark.parametrize("solver", ["adam", "adamw", "nadam", "rmsprop", "sgd"])
@pytest.mark.parametrize(
    "more", [{}, {"average": "ema", "learning_rate": "cosine", "warmup": 0.1}], ids=["", "average"]
)
def test_a_pickle_holds_the_optimizer_as_data(solver, more):
    X, y = scaled(wine)
    model = MLPClassifier(max_iter=3, random_state=0, solver=solver, **more).fit(X, y)
    expected, state = model._optimizer, model.__getstate__()["_optimizer"]
    assert {type(value) for value in state.values()} <= {int, float, bool, str, type(None), np.ndarray, dict}
    got = pickle.loads(pickle.dumps(model))._optimizer
    assert type(got) is type(expected)
    assert got.state() == expected.state()
    np.testing.assert_array_equal(got.moments, expected.moments)
    np.testing.assert_array_equal(got.numbers(0.1, 3), expected.numbers(0.1, 3))  # of its schedule and average


def test_a_pickle_of_an_older_fastnn_has_the_optimizer_itself():
    X, y = scaled(wine)
    model = MLPClassifier(max_iter=3, random_state=0).fit(X, y)
    older = MLPClassifier()
    older.__setstate__({**model.__getstate__(), "_optimizer": model._optimizer})
    np.testing.assert_array_equal(older.partial_fit(X, y).coefs_[0], model.partial_fit(X, y).coefs_[0])


@pytest.mark.filterwarnings("ignore:Unexpected keyword")
def test_skops_has_nothing_to_trust_but_the_estimators():
    sio = pytest.importorskip("skops.io")
    X, y = scaled(wine)
    table = pd.DataFrame(X).assign(kind=np.array(["a", "b", "c"])[y])
    pipeline = make_pipeline(TableEncoder(), MLPRegressor(max_iter=3, average="swa", random_state=0)).fit(table, y)
    models = {
        "MLPClassifier": MLPClassifier(max_iter=3, early_stopping=True, random_state=0).fit(X, y),
        "MLPRegressor": MLPRegressor(max_iter=3, solver="sgd", random_state=0).partial_fit(X, y),
    }
    for name, model in models.items():
        data = sio.dumps(model)
        assert sio.get_untrusted_types(data=data) == [f"fastnn.estimators.{name}"]
        again = sio.loads(data, trusted=[f"fastnn.estimators.{name}"])
        np.testing.assert_array_equal(again.predict(X), model.predict(X))
        if name == "MLPRegressor":
            np.testing.assert_array_equal(again.partial_fit(X, y).predict(X), model.partial_fit(X, y).predict(X))
    data, trusted = sio.dumps(pipeline), ["fastnn.estimators.MLPRegressor", "fastnn.tables.encoder.TableEncoder"]
    assert sio.get_untrusted_types(data=data) == trusted
    np.testing.assert_array_equal(sio.loads(data, trusted=trusted).predict(table), pipeline.predict(table))


def test_parameters_put_in_by_hand_count():
    X, y = scaled(diabetes)
    model = MLPRegressor(hidden_layer_sizes=(5,), max_iter=3, random_state=0).fit(X, y)
    model.coefs_ = [np.zeros_like(coef) for coef in model.coefs_]
    model.intercepts_ = [np.zeros(5), np.array([7.0])]
    np.testing.assert_array_equal(model.predict(X), 7)


def test_a_row_is_predicted_with_the_parameters_of_today():
    X, target = scaled(diabetes)
    model = MLPRegressor(hidden_layer_sizes=(9,), max_iter=3, random_state=0).fit(X, target)
    rows = [X[:1], X[:1].astype(np.float32), X[:20]]
    changes = [
        lambda: None,
        lambda: model.partial_fit(X, target),
        lambda: model.set_params(activation="tanh"),
        lambda: model.fit(X, -target),
        lambda: setattr(model, "coefs_", [-coef for coef in model.coefs_]),
        lambda: model.coefs_[0].__imul__(2),
        lambda: model.fit(X.astype(np.float32), target),
    ]
    for change in changes:
        change()
        for row in rows:
            got = model.predict(row)
            np.testing.assert_allclose(got, model.to_sklearn().predict(row), rtol=1e-4)
            assert got.dtype == np.result_type(row, model.coefs_[0])


def test_rows_are_predicted_in_several_threads_at_once():
    X, target = scaled(diabetes)
    models = [MLPRegressor(hidden_layer_sizes=(9,), max_iter=3, random_state=seed).fit(X, target) for seed in range(2)]
    expected = [model.predict(X) for model in models]

    def differences(i):
        return [models[i % 2].predict(X[k : k + 1])[0] - expected[i % 2][k] for k in range(len(X))]

    with ThreadPoolExecutor(8) as pool:
        np.testing.assert_allclose(list(pool.map(differences, range(8))), 0, atol=1e-12)


def test_interrupted_training_leaves_a_usable_model():
    X, y = scaled(wine)

    def interrupt(epoch):
        if epoch.n_iter == 4:
            raise KeyboardInterrupt

    with fastnn.watch(interrupt), pytest.warns(UserWarning, match="Training interrupted by user"):
        model = MLPClassifier(max_iter=100, random_state=0).fit(X, y)
    assert model.n_iter_ == 4
    np.testing.assert_array_equal(
        model.predict_proba(X), MLPClassifier(max_iter=4, random_state=0).fit(X, y).predict_proba(X)
    )


def test_watchers_see_every_epoch_also_within_a_pipeline():
    seen = []
    with fastnn.watch(seen.append):
        model = make_pipeline(StandardScaler(), MLPClassifier(max_iter=5, early_stopping=True)).fit(*wine)
    MLPClassifier(max_iter=1).fit(*wine)
    assert [epoch.n_iter for epoch in seen] == [1, 2, 3, 4, 5]
    assert [epoch.loss for epoch in seen] == model[-1].loss_curve_
    assert [epoch.validation_score for epoch in seen] == model[-1].validation_scores_
    assert all(epoch.n_samples == 160 and epoch.seconds > 0 for epoch in seen)


def test_no_convergence_is_a_warning():
    with pytest.warns(ConvergenceWarning, match=r"Maximum iterations \(2\) reached"):
        MLPClassifier(max_iter=2).fit(*scaled(wine))


def test_clone_has_the_parameters_and_nothing_else():
    model = MLPClassifier(hidden_layer_sizes=(3,), alpha=0.5, max_iter=2).fit(*scaled(wine))
    assert clone(model).get_params() == model.get_params()
    assert not hasattr(clone(model), "coefs_")


def test_signatures_are_scikit_learns_and_more():
    for ours, their, more in (
        (
            MLPClassifier,
            theirs.MLPClassifier,
            {"loss": "log_loss", "gamma": 2.0, "label_smoothing": 0.0, "class_weight": None},
        ),
        (MLPRegressor, theirs.MLPRegressor, {"delta": 1.0, "quantile": 0.5}),
    ):
        assert ours().get_params() == {
            **their().get_params(),
            **more,
            "warmup": 0.0,
            "rho": 0.9,
            "l1_ratio": 0.0,
            "clip_norm": None,
            "max_norm": None,
            "dropout": 0.0,
            "input_dropout": 0.0,
            "average": None,
            "average_decay": 0.999,
            "average_start": 0.75,
            "init": "glorot",
            "output_intercepts": "random",
            "scoring": None,
            "best_epoch": "first",
            "checkpoint": None,
            "checkpoint_interval": 30.0,
            "max_time": None,
            "n_threads": None,
        }


def test_no_more_threads_are_used_than_allowed(monkeypatch):
    sizes = []
    call = calls.Helpers.call
    monkeypatch.setattr(
        calls.Helpers, "call", lambda self, wanted, *args: sizes.append(wanted) or call(self, wanted, *args)
    )
    monkeypatch.setattr(trainer, "SERIAL_BELOW", 0)
    monkeypatch.setattr(prediction, "FEW_SERIAL_BELOW", 0)
    X, y = scaled(wine)
    for limit in (1, 3):
        sizes.clear()
        model = MLPClassifier(max_iter=3, n_threads=limit).fit(X, y)
        model.predict(X)
        assert set(sizes) == ({limit} if limit > 1 else set())
    monkeypatch.setattr("fastnn.system._n_threads", 1)
    sizes.clear()
    MLPClassifier(max_iter=3).fit(X, y).predict(X)
    assert not sizes


@pytest.mark.parametrize("early_stopping", [False, True])
def test_the_data_are_not_copied(early_stopping):
    X, y = np.random.default_rng(0).standard_normal((50_000, 50)).astype(np.float32), np.arange(50_000.0)
    model = MLPRegressor(hidden_layer_sizes=1, max_iter=3, early_stopping=early_stopping, tol=1e9, n_iter_no_change=1)
    model.fit(X, y)
    tracemalloc.start()
    model.fit(X, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.4 * X.nbytes


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "2", True])
def test_a_wrong_number_of_threads_is_named(wrong):
    with pytest.raises(ValueError, match=f"positive integer or None, got {wrong!r}"):
        fastnn.set_n_threads(wrong)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"alpha": -1}, r"The 'alpha' parameter of MLPClassifier must be a float in the range \[0.0, inf\). Got -1"),
        ({"activation": "glue"}, "The 'activation' parameter of MLPClassifier must be a str among"),
        ({"hidden_layer_sizes": (3, 0)}, r"hidden_layer_sizes must be > 0, got \[3, 0\]"),
    ],
)
def test_wrong_parameters_are_named(parameters, message):
    with pytest.raises(ValueError, match=message):
        MLPClassifier(**parameters).fit(*wine)


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize(
    ("n_samples", "place"),
    [(1, 0), (3, 2), (77, 0), (77, 63), (77, 64), (77, 76), (3000, 0), (3000, 1499), (3000, 1500), (3000, 2999)],
)
def test_prediction_refuses_what_is_not_finite(n_samples, place, n_threads):
    X = np.random.default_rng(0).normal(size=(3000, 19)).astype(np.float32)
    model = MLPRegressor(hidden_layer_sizes=30, max_iter=1, batch_size=1000, n_threads=n_threads).fit(X, X[:, :2])
    X = X[:n_samples].copy()
    for feature, number, name in ((0, np.nan, "NaN"), (18, np.inf, "infinity"), (7, -np.inf, "infinity")):
        good, X[place, feature] = X[place, feature], number
        with pytest.raises(ValueError, match=f"Input X contains {name}"):
            model.predict(X)
        X[place, feature] = good
        assert np.isfinite(model.predict(X)).all()


def test_numbers_whose_squares_overflow_are_finite():
    X = np.full((9, 4), 1e30, np.float32)
    model = MLPRegressor(hidden_layer_sizes=3, max_iter=1).fit(X / 1e30, X[:, 0] / 1e30)
    np.testing.assert_allclose(model.predict(X), model.predict(X.astype(float)), rtol=1e-5)


def test_wrong_data_are_named():
    X, y = scaled(wine)
    with pytest.raises(NotFittedError):
        MLPClassifier().predict(X)
    with pytest.raises(ValueError, match="Input X contains NaN"):
        MLPClassifier().fit(np.where(X > 2, np.nan, X), y)
    model = MLPClassifier(max_iter=2).fit(X, y)
    with pytest.raises(ValueError, match="X has 2 features, but MLPClassifier is expecting 13 features"):
        model.predict(X[:, :2])
    with pytest.raises(ValueError, match="Input X contains NaN"):
        model.predict(np.where(X > 2, np.nan, X).tolist())
    with pytest.raises(ValueError, match="Found array with 0 sample"):
        model.predict(X[:0])
    with pytest.raises(ValueError, match="Expected 2D array, got 1D array instead"):
        model.predict(X[0])
    with pytest.raises(ValueError, match="classes must be passed on the first call to partial_fit"):
        MLPClassifier().partial_fit(X, y)
    with pytest.raises(ValueError, match=r"`y` has classes not in `self\.classes_`"):
        MLPClassifier().partial_fit(X, y, classes=[0, 1])
    with pytest.raises(ValueError, match="partial_fit does not support early_stopping=True"):
        MLPClassifier(early_stopping=True).partial_fit(X, y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match="non-finite parameter weights"):
        MLPRegressor(solver="sgd", learning_rate_init=1e10, max_iter=9).fit(1e10 * X, 1e10 * y)


@pytest.mark.parametrize("labels", [["a", "b"], ["a", "b", "c"], [0, 1], [3, 5, 9], [False, True]], ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_later_calls_of_partial_fit_take_a_short_way_to_the_same_model(labels, dtype):
    X, y = rng.random((60, 4)).astype(dtype), np.array(labels)[np.arange(60) % len(labels)]
    short, long = (MLPClassifier((8,), random_state=0).partial_fit(X, y, classes=labels) for _ in range(2))
    for first, last in ((0, 60), (0, 1), (5, 9), (9, 10), (0, 60)):
        short.partial_fit(X[first:last], y[first:last])
        long.partial_fit(X[first:last][:, :, np.newaxis][:, :, 0].view(Array), list(y[first:last]))
        np.testing.assert_array_equal(short.predict_proba(X), long.predict_proba(X))
        np.testing.assert_array_equal(short.predict(X), np.array(labels)[short.predict_proba(X).argmax(axis=1)])
    assert short.loss_curve_ == long.loss_curve_
    with pytest.raises(ValueError, match="`y` has classes not in"):
        short.partial_fit(X[:2], np.array([7, 8]) if labels[0] in (0, 3) else np.array(["x", "y"]))
    for wrong, message in ((np.full((2, 4), np.nan, dtype), "contains NaN"), (X[:2, :3], "X has 3 features")):
        with pytest.raises(ValueError, match=message):
            short.partial_fit(wrong, y[:2])
    np.testing.assert_array_equal(short.predict_proba(X), long.predict_proba(X))


class Array(np.ndarray):
    """An array that is looked at as ever."""


def test_a_refused_partial_fit_leaves_the_record_as_it_was():
    X, y = rng.random((20, 3)), rng.random(20)
    model = MLPRegressor(hidden_layer_sizes=(4,), random_state=0).partial_fit(X, y).partial_fit(X, y)
    record, curve = model.loss_curve_, list(model.loss_curve_)
    with pytest.raises(ValueError, match="non-finite"):
        model.partial_fit(X, 1e200 * y)
    assert model.loss_curve_ is record
    assert record == curve


def test_what_partial_fit_keeps_is_for_one_call_at_a_time():
    X, y = rng.random((20, 3)), rng.random(20)
    models = [MLPRegressor(hidden_layer_sizes=(4,), random_state=0).partial_fit(X, y) for _ in range(2)]
    inner = []

    def look(epoch):
        if not inner:
            inner.append(epoch)
            clone(models[0]).partial_fit(X, y)
            models[0].partial_fit(X[:5], y[:5])

    with fastnn.watch(look):
        models[0].partial_fit(X, y)
    models[1].partial_fit(X, y)
    np.testing.assert_array_equal(models[0].predict(X), models[1].predict(X))  # the outer one has the last word


def test_partial_fit_goes_on_with_another_limit_of_threads_and_another_alpha():
    X, y = rng.random((300, 3)), rng.random(300)
    models = [MLPRegressor(hidden_layer_sizes=(40,), random_state=0).partial_fit(X, y) for _ in range(2)]
    for model, limits in zip(models, ((1, 2, 1), (2, 2, 2)), strict=True):
        for alpha, n_threads in zip((0.0, 1.0, 0.1), limits, strict=True):
            model.set_params(alpha=alpha, n_threads=n_threads).partial_fit(X, y)
    np.testing.assert_array_equal(models[0].predict(X), models[1].predict(X))


LABELS = [
    [1, 0, 1, 1],
    [3, 3, 3],
    [2, 5, 9, 5, 2, 9, 9],
    [1, 2, 3],
    [True, False, True],
    ["a", "bb", "a"],
    [1.0, 2.0, 1.0, 2.0],
]


@pytest.mark.parametrize(
    "y",
    [
        *map(np.array, LABELS),
        np.array([2, 5, 9, 5], np.int8),
        np.array([7, 7, 1], np.uint64),
        np.array(["a", "b"], object),
    ],
    ids=lambda y: f"{y.dtype} {y.tolist()}",
)
def test_classes_are_learnt_as_a_label_binarizer_learns_them(y):
    expected = LabelBinarizer().fit(y)
    model = MLPClassifier(hidden_layer_sizes=(2,), max_iter=1).fit(rng.random((len(y), 2)), y)
    assert model.classes_.dtype == expected.classes_.dtype
    got = {**vars(model._label_binarizer), "classes_": model.classes_.tolist()}
    assert got == {**vars(expected), "classes_": expected.classes_.tolist()}


def test_parameters_that_were_right_once_are_not_taken_for_others():
    X, y = rng.random((10, 2)), np.arange(10) % 2
    MLPClassifier(hidden_layer_sizes=(3,), max_iter=1, alpha=1, verbose=False).fit(X, y)
    for wrong in {"hidden_layer_sizes": (3.0,)}, {"max_iter": 1.0}, {"tol": "1"}:
        usual = {"hidden_layer_sizes": (3,), "max_iter": 1, "alpha": 1, "verbose": False}
        for _ in range(2):
            with pytest.raises((ValueError, TypeError)):
                MLPClassifier(**usual | wrong).fit(X, y)


def test_plain_data_of_another_shape_after_a_frame_leave_no_names():
    pandas = pytest.importorskip("pandas")
    model = MLPRegressor(hidden_layer_sizes=(2,), max_iter=1).fit(
        pandas.DataFrame({"a": [1.0, 2], "b": [3, 4]}), [1, 2]
    )
    model.fit(np.ones((4, 3)), np.arange(4))
    assert not hasattr(model, "feature_names_in_")
    assert model.n_features_in_ == 3


def test_partial_fit_shuffles_only_where_it_may():
    X = rng.normal(size=(50, 3))
    ours, their = (
        module.MLPRegressor(hidden_layer_sizes=(5,), shuffle=False, batch_size=7, random_state=0)
        for module in (fastnn, theirs)
    )
    for _ in range(4):
        ours.partial_fit(X, X[:, 0])
        their.partial_fit(X, X[:, 0])
        np.testing.assert_allclose(ours.coefs_[0], their.coefs_[0], rtol=1e-9)


def test_the_validation_score_of_one_class_is_one():
    model = MLPClassifier((3,), early_stopping=True, max_iter=4, random_state=1, learning_rate_init=0.1)
    assert model.fit(rng.random((40, 2)), np.full(40, "a")).validation_scores_ == [1.0] * 4


@pytest.mark.parametrize(
    ("name", "value"),
    [("loss_curve_", ()), ("loss_curve_", None), ("t_", "many"), ("best_loss_", None), ("coefs_", ...), ("t_", ...)],
)
def test_a_record_that_was_changed_is_taken_as_scikit_learn_takes_it_or_changes_nothing(name, value):
    X, y = rng.random((20, 3)), rng.random(20)
    model = MLPRegressor(hidden_layer_sizes=(4,), random_state=0).partial_fit(X, y).partial_fit(X, y)
    if value is ...:
        delattr(model, name)
    else:
        setattr(model, name, value)
    before = [coef.copy() for coef in getattr(model, "coefs_", [])]
    try:
        model.partial_fit(X, y)
    except (TypeError, ValueError):
        for got, expected in zip(model.coefs_, before, strict=True):
            np.testing.assert_array_equal(got, expected)


def test_partial_fit_after_one_that_a_callback_ended():
    X, y = rng.random((20, 3)), rng.random(20)
    model = MLPRegressor(hidden_layer_sizes=(4,), random_state=0).partial_fit(X, y)

    def refuse(epoch):
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"), fastnn.watch(refuse):
        model.partial_fit(X, y)
    model.partial_fit(X, y)


def test_partial_fit_looks_at_the_classes_again():
    X, y = rng.random((20, 3)), np.arange(20) % 2
    model = MLPClassifier((4,), random_state=0).partial_fit(X, y, classes=[0, 1]).partial_fit(X, y)
    model.partial_fit(X, y, classes=[0, 1])
    with pytest.raises(ValueError, match="is not the same as on last call to partial_fit"):
        model.partial_fit(X, y, classes=[0, 1, 2])


def test_a_sparse_target_is_refused():
    with pytest.raises(ValueError, match="y is a csr_matrix, but MLPRegressor expects an array"):
        MLPRegressor().fit(np.eye(3), csr_matrix(np.eye(3)))
