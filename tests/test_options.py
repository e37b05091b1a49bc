"""Options of training: dropout, norms, penalties, averages, first weights, histories, scorers, callbacks."""

import io
from contextlib import redirect_stdout

import numpy as np
import pytest
from conftest import reference_steps
from scipy.sparse import csr_matrix
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_iris, load_wine
from sklearn.metrics import balanced_accuracy_score, log_loss, make_scorer
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastnn
from fastnn import MLPClassifier, MLPRegressor, reference
from fastnn.callbacks import EpochCallback
from fastnn.network import Network
from fastnn.training import SGD, Adam, AdamW, Average, NAdam, RMSprop, Trainer, pack, unpack
from fastnn.training.ways import columns, linear, units

rng = np.random.default_rng(0)
#: Networks whose steps go by units, by columns in one part, by layers, in shards, with rows where they are.
SIZES = [(7, 9, 1), (7, 1), (40, 33, 20, 3), (20, 300, 200, 2), (600, 2, 1)]
OPTIONS = {
    "clipped": {"clip_norm": 0.05},
    "dropout": {"dropout": 0.3},
    "input dropout": {"input_dropout": 0.2},
    "max norm": {"max_norm": 0.4},
    "all": {"clip_norm": 0.02, "max_norm": 0.3, "dropout": 0.25, "input_dropout": 0.25},
}


def case_of(sizes, dropout=0.0, input_dropout=0.0, activation="relu"):
    net = Network(sizes, activation, "identity", "squared_error", dropout, input_dropout)
    n = 700 if sizes[-1] == 3 else 60
    X, Y, theta = (
        rng.standard_normal((n, sizes[0])),
        rng.standard_normal((n, sizes[-1])),
        0.2 * rng.standard_normal(net.n_params),
    )
    return net, X, Y, theta, rng.permutation(n), 300 if n == 700 else 20


def seeded(optimizer, **attributes):
    for name, value in {"seed": 12345678901, **attributes}.items():
        setattr(optimizer, name, value)
    return optimizer


ALL = {"clip_norm": 0.1, "dropout": 0.5, "input_dropout": 0.2}


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_steps_follow_the_reference_by_every_way_and_have_the_same_bits_on_two_threads(sizes, options, activation):
    norms = {name: value for name, value in options.items() if name.endswith("norm")}
    rates = {name: value for name, value in options.items() if name.endswith("dropout")}
    net, X, Y, start, order, batch_size = case_of(sizes, **rates, activation=activation)
    more = {"alpha": 0.1, "seed": 12345678901, **norms}
    expected, expected_costs = reference_steps(net, start, X.T, Y.T, order, batch_size, 7, SGD(0.01), **more)
    for way in (columns, units, linear):
        if way.can(net, batch_size, np.dtype(float)):
            got = []
            for n_threads in (1, 2):
                theta = start.copy()
                trainer = Trainer(
                    net, theta, seeded(SGD(0.01)), X, Y, batch_size, 0.1, n_threads=n_threads, way=way, **norms
                )
                trainer.crew.size = n_threads
                costs = trainer.run(order, 7)
                np.testing.assert_allclose(theta, expected, rtol=1e-9, atol=1e-10)
                np.testing.assert_allclose(costs, expected_costs, rtol=1e-9)
                got.append(theta)
            np.testing.assert_array_equal(*got)


@pytest.mark.parametrize("options", [{"clip_norm": 0.05}, {"dropout": 0.3}, {"input_dropout": 0.3}, ALL], ids=str)
def test_sparse_steps_follow_the_reference(options):
    rates = {name: value for name, value in options.items() if name.endswith("dropout")}
    net, X, Y, start, order, batch_size = case_of((70, 33, 20, 3), **rates)
    X[rng.random(X.shape) < 0.8] = 0
    norms = {"clip_norm": options.get("clip_norm", 0.0)}
    more = {"alpha": 0.1, "seed": 12345678901, **norms}
    expected, costs = reference_steps(net, start, X.T, Y.T, order, batch_size, 7, SGD(0.01), **more)
    for n_threads in (1, 2):
        theta = np.zeros(net.n_params)
        pack(net, *unpack(net, start), theta.dtype, theta, True)
        optimizer = seeded(SGD(0.01), by_inputs=True)
        trainer = Trainer(net, theta, optimizer, csr_matrix(X), Y, batch_size, 0.1, n_threads=n_threads, **norms)
        trainer.crew.size = n_threads
        np.testing.assert_allclose(trainer.run(order, 7), costs, rtol=1e-9)
        got = pack(net, *unpack(net, theta, True), theta.dtype)
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("is_sparse", [False, True], ids=["dense", "sparse"])
@pytest.mark.parametrize("l1_ratio", [0.0, 0.6])
@pytest.mark.parametrize("optimizer", [NAdam, RMSprop, Adam, AdamW, SGD])
def test_every_optimizer_follows_the_reference_with_an_l1_penalty_and_an_average(optimizer, l1_ratio, is_sparse):
    net, X, Y, start, order, batch_size = case_of((7, 9, 1))
    X[rng.random(X.shape) < 0.5] = 0
    theta, average, alpha = start, None, 0.1
    options = {"alpha": alpha * (1 - l1_ratio), "l1": alpha * l1_ratio}
    expected, costs = reference_steps(net, start, X.T, Y.T, order, batch_size, 8, optimizer(0.01), **options)
    for t in range(1, 9):
        theta = reference_steps(net, start, X.T, Y.T, order, batch_size, t, optimizer(0.01), **options)[0]
        part = 1 if t == 1 else max(0.45, 9 / (9 + t))
        average = theta if average is None else (1 - part) * average + part * theta
    ours, got = optimizer(0.01), np.zeros(net.n_params)
    ours.l1_ratio, ours.average, ours.by_inputs = l1_ratio, Average("ema", 0.55, 0, 8), is_sparse
    pack(net, *unpack(net, start), got.dtype, got, is_sparse)
    trainer = Trainer(net, got, ours, csr_matrix(X) if is_sparse else X, Y, batch_size, alpha)
    np.testing.assert_allclose(trainer.run(order, 8), costs, rtol=1e-7)
    for result, wanted in (got, expected), (ours.moments[-got.size :], average):
        result = pack(net, *unpack(net, np.ascontiguousarray(result), is_sparse), got.dtype)
        np.testing.assert_allclose(result, wanted, rtol=1e-6, atol=1e-8)


def test_what_is_dropped_is_a_part_of_it_and_another_in_each_step_layer_row_and_unit():
    rows, p = np.arange(5000), 0.3
    masks = [reference.dropout_mask(seed, step, layer, rows, 50, p) for seed, step, layer in np.ndindex(2, 2, 2)]
    n, keep = 250_000, 1 - p
    for i, mask in enumerate(masks):
        assert np.unique(mask).tolist() == pytest.approx([0, 1 / keep], rel=1e-9)
        assert abs(mask.mean() - 1) < 5 * np.sqrt(p / keep / n)
        for line in mask.mean(axis=0), mask.mean(axis=1):  # no row and no unit is dropped more than others
            assert line.var() == pytest.approx(p / keep / (n / line.size), rel=0.5)
        for other in masks[i + 1 :]:
            assert abs(((mask - 1) * (other - 1)).mean()) < 5 * p / keep / np.sqrt(n)


def test_weights_of_adamw_become_zero_by_an_l1_penalty():
    X, y = rng.standard_normal((300, 10)), rng.standard_normal(300)
    X[:, 0] = y + 0.1 * X[:, 0]
    options = {"hidden_layer_sizes": (), "solver": "adamw", "batch_size": 20, "max_iter": 100, "alpha": 0.7}
    more = {"learning_rate_init": 0.01, "learning_rate": "cosine", "n_iter_no_change": 100}
    model = MLPRegressor(l1_ratio=1.0, random_state=0, **options, **more).fit(X, y)
    assert model.coefs_[0][0] > 0.2
    assert (model.coefs_[0][1:] == 0).all()


def test_the_average_of_swa_is_the_mean_over_the_last_steps():
    X, y = rng.standard_normal((40, 3)), rng.standard_normal(40)
    options = {"hidden_layer_sizes": (5,), "batch_size": 10, "max_iter": 8, "random_state": 0, "n_iter_no_change": 8}
    net, seen = Network((3, 5, 1), "relu", "identity"), []
    model = MLPRegressor(**options)
    start = MLPRegressor(**{**options, "max_iter": 1, "learning_rate_init": 1e-300}).fit(X, y)
    theta = pack(net, start.coefs_, start.intercepts_, np.float64)
    trainer = Trainer(net, theta, Adam(0.001), X, y[:, np.newaxis], 10, 1e-4)
    order, random_state = np.arange(40), np.random.RandomState(0)
    for n_in, n_out in (3, 5), (5, 1):  # as the estimator draws its first weights
        random_state.uniform(size=(n_in, n_out)), random_state.uniform(size=n_out)
    for step in range(32):
        trainer.run(order, 1, step, random_state)
        seen.append(theta.copy())
    model.set_params(average="swa", average_start=0.5).fit(X, y)
    got = pack(net, model.coefs_, model.intercepts_, np.float64)
    np.testing.assert_allclose(got, np.mean(seen[16:], axis=0), rtol=1e-9)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("data", [load_breast_cancer, load_wine])
def test_the_focal_loss_without_an_exponent_is_the_log_loss_and_with_one_it_is_less_sure(data, solver):
    X, y = data(return_X_y=True)
    X, sure = StandardScaler().fit_transform(X), []
    options = {"hidden_layer_sizes": (8,), "max_iter": 150, "random_state": 0, "solver": solver}
    plain = MLPClassifier(**options).fit(X, y).predict_proba(X)
    np.testing.assert_allclose(
        MLPClassifier(loss="focal", gamma=0.0, **options).fit(X, y).predict_proba(X), plain, atol=1e-6
    )
    for gamma in 0.5, 2.0:
        model = MLPClassifier(loss="focal", gamma=gamma, **options).fit(X, y)
        assert model.score(X, y) > 0.85
        sure.append(model.predict_proba(X).max(axis=1).mean())
    assert plain.max(axis=1).mean() > sure[0] > sure[1]


@pytest.mark.parametrize(("out_activation", "n_y"), [("logistic", 2), ("softmax", 4)])
def test_the_slope_of_the_focal_loss_is_that_of_its_cost(out_activation, n_y):
    X, Y = rng.standard_normal((3, 20)), np.eye(n_y)[:, rng.integers(n_y, size=20)]
    Y = 0.9 * Y + 0.1 / n_y
    parameters = reference.initialize_parameters((3, 5, n_y), 0)

    def cost(W):
        A = reference.forward_propagation(X, {**parameters, "W1": W}, "tanh", out_activation)[0]
        return reference.compute_cost(A, Y, out_activation, "focal")

    for nn in reference, fastnn.functional:
        A, cache = nn.forward_propagation(X, parameters, "tanh", out_activation)
        assert nn.compute_cost(A, Y, out_activation, "focal") == pytest.approx(cost(parameters["W1"]))
        got = nn.backward_propagation(parameters, cache, X, Y, "tanh", out_activation, "focal")["dW1"]
        for place in np.ndindex(5, 3):
            step = np.zeros((5, 3))
            step[place] = 1e-5
            difference = (cost(parameters["W1"] + step) - cost(parameters["W1"] - step)) / 2e-5
            assert got[place] == pytest.approx(difference, rel=1e-4, abs=1e-7)


def test_masks_of_the_functions_are_the_references():
    X, parameters = rng.standard_normal((3, 20)), reference.initialize_parameters((3, 5, 4, 2), 0)
    masks = {f"A{l}": reference.dropout_mask(0, 0, l, np.arange(20), n, 0.5) for l, n in ((1, 5), (2, 4))}
    for activation in "tanh", "relu", "gelu":
        results = []
        for nn in reference, fastnn.functional:
            A, cache = nn.forward_propagation(X, parameters, activation, "identity", masks)
            results.append({"A": A, **nn.backward_propagation(parameters, cache, X, A - 1, activation, "identity")})
        for name, expected in results[0].items():
            np.testing.assert_allclose(results[1][name], expected, rtol=1e-9, atol=1e-12)


X_iris, y_iris = load_iris(return_X_y=True)
X_train, X_val, y_train, y_val = train_test_split(StandardScaler().fit_transform(X_iris), y_iris, random_state=0)
HELD_OUT = {"X_val": X_val, "y_val": y_val}


def test_the_history_has_what_every_epoch_came_to():
    options = {"max_iter": 12, "random_state": 0, "learning_rate": "cosine", "clip_norm": 0.01}
    model = MLPClassifier(**options).fit(X_train, y_train, **HELD_OUT)
    history = model.history_
    assert {len(column) for column in history.values()} == {12}
    assert sorted(history) == [
        "gradient_norm",
        "learning_rate",
        "loss",
        "seconds",
        "validation_loss",
        "validation_score",
    ]
    assert history["loss"] == model.loss_curve_
    assert history["validation_score"][-1] == model.score(X_val, y_val)
    assert history["validation_loss"][-1] == pytest.approx(log_loss(y_val, model.predict_proba(X_val)))
    assert model.validation_scores_ is None  # they are watched, and decide nothing
    assert min(history["gradient_norm"]) > 0.01
    assert (np.diff(history["learning_rate"]) < 0).all()
    assert min(history["seconds"]) > 0
    again = MLPClassifier(**options).fit(X_train, y_train)
    assert again.history_["loss"] == history["loss"]
    assert "validation_loss" not in again.history_


def test_a_history_goes_on_with_warm_starts_and_partial_fits():
    model = MLPClassifier(max_iter=3, warm_start=True).fit(X_train, y_train).fit(X_train, y_train, **HELD_OUT)
    assert len(model.history_["loss"]) == 6
    assert np.isnan(model.history_["validation_loss"]).tolist() == [True] * 3 + [False] * 3
    model = MLPClassifier()
    for _ in range(3):
        model.partial_fit(X_train, y_train, classes=[0, 1, 2])
    assert len(model.history_["learning_rate"]) == len(model.history_["loss"]) == 3
    model.fit(X_train, y_train)
    assert len(model.history_["loss"]) == model.n_iter_


def test_a_refused_fit_leaves_the_history_as_it_was():
    model = MLPRegressor(solver="sgd", random_state=0).partial_fit([[0.0], [1.0]], [0.0, 1.0])
    before = {name: [*column] for name, column in model.history_.items()}
    with pytest.raises(ValueError, match="non-finite"):
        model.partial_fit([[1e200], [-1e200]], [1e300, -1e300])
    assert model.history_ == before


def test_a_model_file_keeps_the_history_and_no_functions(tmp_path):
    first = MLPClassifier(random_state=0).fit(X_train, y_train)
    model = MLPClassifier(init=(first.coefs_, first.intercepts_), max_iter=3).fit(X_train, y_train, **HELD_OUT)
    model.checkpoint = tmp_path
    loaded = fastnn.load(fastnn.save(model, tmp_path / "model"))
    assert loaded.history_ == model.history_
    assert (loaded.init, loaded.checkpoint) == ("glorot", str(tmp_path))
    with pytest.raises(TypeError, match="scoring is a function"):
        fastnn.save(model.set_params(scoring=BALANCED), tmp_path / "model")


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_lbfgs_has_a_history_as_well(solver):
    model = MLPRegressor(solver=solver, max_iter=5).fit(X_train, y_train)
    assert len(model.history_["loss"]) == len(model.history_["seconds"]) == 5


BALANCED = make_scorer(balanced_accuracy_score)


@pytest.mark.parametrize("scoring", ["loss", "balanced_accuracy", BALANCED], ids=["loss", "name", "scorer"])
@pytest.mark.parametrize("own", [False, True])
def test_early_stopping_goes_by_the_scorer(scoring, own):
    options = {"early_stopping": True, "max_iter": 40, "random_state": 0, "learning_rate_init": 0.03, "tol": 0}
    model = MLPClassifier(scoring=scoring, **options).fit(X_train, y_train, **(HELD_OUT if own else {}))
    assert len(model.validation_scores_) == model.n_iter_
    assert model.best_validation_score_ == max(model.validation_scores_)
    assert model.validation_scores_[model.best_iteration_ - 1] == model.best_validation_score_
    if own and scoring == "loss":
        assert -model.best_validation_score_ == pytest.approx(log_loss(y_val, model.predict_proba(X_val)))
    elif own:
        assert model.best_validation_score_ == balanced_accuracy_score(y_val, model.predict(X_val))


@pytest.mark.parametrize("scoring", [None, "accuracy"])
def test_the_first_or_the_last_of_the_best_epochs_is_kept(scoring):
    models = [
        MLPClassifier(early_stopping=True, max_iter=30, random_state=0, best_epoch=which, scoring=scoring).fit(
            X_train, y_train, **HELD_OUT
        )
        for which in ("first", "last")
    ]
    scores = np.array(models[0].validation_scores_)
    assert models[1].validation_scores_ == models[0].validation_scores_
    best = np.flatnonzero(scores == scores.max()) + 1
    assert [model.best_iteration_ for model in models] == [best[0], best[-1]]
    assert len(best) > 1
    for model in models:
        shorter = MLPClassifier(max_iter=model.best_iteration_, random_state=0).fit(X_train, y_train, **HELD_OUT)
        np.testing.assert_array_equal(model.predict_proba(X_val), shorter.predict_proba(X_val))


def test_a_plain_function_is_told_of_epochs_and_stops_them():
    seen = []

    def look(epoch):
        seen.append((epoch.n_iter, epoch.loss, epoch.validation_score, epoch.validation_loss, epoch.learning_rate))
        return epoch.n_iter == 4

    model = MLPClassifier(random_state=0).set_callbacks(look).fit(X_train, y_train, **HELD_OUT)
    history = model.history_
    columns = (history[name] for name in ("loss", "validation_score", "validation_loss", "learning_rate"))
    assert seen == list(zip(range(1, 5), *columns, strict=True))
    assert model.n_iter_ == 4
    model.set_callbacks().fit(X_train[:20], y_train[:20])
    assert len(seen) == 4


@pytest.mark.parametrize("solver", ["sgd", "lbfgs"])
def test_a_callback_stops_every_solver_without_a_warning(solver):
    model = MLPRegressor(solver=solver, random_state=0).set_callbacks(lambda epoch: epoch.n_iter == 2)
    assert model.fit(X_train, y_train).n_iter_ == 2


def test_what_is_no_callback_is_refused():
    for wrong in "print", 3, int, EpochCallback:
        with pytest.raises(TypeError, match="functions of an Epoch"):
            MLPRegressor().set_callbacks(wrong)


def test_scikit_learns_callbacks_work_in_searches_and_pipelines():
    callback = pytest.importorskip("sklearn.callback")  # of scikit-learn 1.9
    monitor = callback.ScoringMonitor(scoring="accuracy")
    model = MLPClassifier(max_iter=4, random_state=0).set_callbacks(monitor)
    scores = model.fit(X_train, y_train).score(X_train, y_train)
    logged = monitor.get_logs().data_as_pandas
    assert logged["task_name"].tolist() == ["fit"] + 4 * ["epoch"]
    assert logged["accuracy"].iloc[0] == logged["accuracy"].iloc[-1] == scores
    model.fit(X_train[:, :2], y_train)  # it knows the classes of the new fit, and its features
    search = GridSearchCV(model, {"alpha": [1e-4, 1e-2]}, cv=2).fit(X_train, y_train)
    assert search.best_estimator_._skl_callbacks == [monitor]
    pipeline = make_pipeline(StandardScaler(), MLPClassifier(max_iter=4))
    search = GridSearchCV(pipeline, {"mlpclassifier__alpha": [1e-4, 1e-2]}, cv=2)
    with redirect_stdout(io.StringIO()) as drawn:
        search.set_callbacks(callback.ProgressBar(max_propagation_depth=None)).fit(X_train, y_train)
    assert "MLPClassifier" in drawn.getvalue()
    assert not hasattr(search.best_estimator_[-1], "_skl_callbacks")


def test_a_bar_is_drawn():
    pytest.importorskip("rich")
    with redirect_stdout(io.StringIO()) as drawn:
        MLPClassifier(max_iter=5, verbose="bar").fit(X_train, y_train)
    assert "5/5" in drawn.getvalue()
    assert "loss" in drawn.getvalue()
    assert "Iteration" not in drawn.getvalue()


@pytest.mark.parametrize(("init", "variance"), [("he", 2 / 400), ("lecun", 1 / 400)])
def test_first_weights_have_the_variance_of_their_law(init, variance):
    X, y = rng.standard_normal((10, 400)), rng.standard_normal(10)
    options = {"hidden_layer_sizes": (100,), "max_iter": 1, "learning_rate_init": 1e-300, "random_state": 0}
    model = MLPRegressor(init=init, **options).fit(X, y)
    assert model.coefs_[0].var() == pytest.approx(variance, rel=0.03)
    assert abs(model.intercepts_[0]).max() < 1e-100
    model = MLPRegressor(init="orthogonal", **options).fit(X, y)
    np.testing.assert_allclose(model.coefs_[0].T @ model.coefs_[0], np.eye(100), atol=1e-12)
    given = MLPRegressor(init=(model.coefs_, model.intercepts_), **options).fit(X, y)
    assert given.coefs_[0] is not model.coefs_[0]
    np.testing.assert_array_equal(given.coefs_[0], model.coefs_[0])


def test_first_weights_that_do_not_fit_are_refused():
    model = MLPRegressor(init=([np.ones((2, 3)), np.ones((3, 1))], [np.ones(3), np.ones(2)]), hidden_layer_sizes=3)
    with pytest.raises(ValueError, match=r"intercepts\[1\] of init must hold finite numbers of shape \(1,\)"):
        model.fit(np.eye(2), [0.0, 1.0])
    with pytest.raises(ValueError, match="2 arrays of each"):
        model.set_params(init=([np.ones((2, 3))], [np.ones(3)])).fit(np.eye(2), [0.0, 1.0])


@pytest.mark.parametrize("kind", ["identity", "exp", "logistic", "softmax"])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_first_intercepts_of_the_outputs_predict_the_mean(kind, weighted):
    y = {"identity": y_train + 5.0, "exp": y_train + 1.0, "logistic": y_train == 0, "softmax": y_train}[kind]
    weights = rng.random(len(y)) + 0.1 if weighted else np.ones(len(y))
    options = {"max_iter": 1, "learning_rate_init": 1e-300, "output_intercepts": "mean", "random_state": 0}
    zeros = [np.zeros((4, 3)), np.zeros((3, 3 if kind == "softmax" else 1))], [np.zeros(3), np.zeros(zeros_of(kind))]
    model = MLPClassifier(init=zeros, hidden_layer_sizes=3, **options)
    if kind in ("identity", "exp"):
        loss = "poisson" if kind == "exp" else "squared_error"
        model = MLPRegressor(loss=loss, init=zeros, hidden_layer_sizes=3, **options)
    model.fit(X_train, y, weights)
    got = model.predict(X_val)[0] if kind in ("identity", "exp") else model.predict_proba(X_val)[0]
    onehot = y if kind in ("identity", "exp") else (y[:, np.newaxis] == model.classes_)
    np.testing.assert_allclose(got, np.average(onehot, axis=0, weights=weights), rtol=1e-9)


def zeros_of(kind):
    return 3 if kind == "softmax" else 1


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"dropout": 1.0}, "'dropout' parameter"),
        ({"clip_norm": 0.0}, "'clip_norm' parameter"),
        ({"l1_ratio": 1.5}, "'l1_ratio' parameter"),
        ({"average": "mean"}, "'average' parameter.*swa"),
        ({"scoring": "accurate"}, "'scoring' parameter"),
        ({"init": "glorotte"}, "'init' parameter.*orthogonal"),
        ({"solver": "lbfgs", "dropout": 0.5}, "dropout=0.5 is for solvers that take minibatches"),
        ({"solver": "lbfgs", "clip_norm": 1.0}, "clip_norm=1.0 is for solvers"),
        ({"verbose": "bars"}, "'verbose' parameter"),
    ],
    ids=str,
)
def test_wrong_options_are_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        MLPRegressor(**parameters).fit(np.eye(2), [0.0, 1.0])


def test_partial_fit_has_no_averages_and_sparse_examples_no_max_norm():
    with pytest.raises(ValueError, match="average='ema' go by the steps of a whole fit"):
        MLPRegressor(average="ema").partial_fit(np.eye(2), [0.0, 1.0])
    with pytest.raises(ValueError, match="max_norm is not for a sparse X"):
        MLPRegressor(max_norm=0.5).fit(csr_matrix(np.eye(2)), [0.0, 1.0])


def test_dropout_goes_on_where_the_last_partial_fit_ended():
    options = {"dropout": 0.4, "shuffle": False, "random_state": 0, "hidden_layer_sizes": (6,)}
    whole = MLPRegressor(max_iter=5, n_iter_no_change=5, **options).fit(X_train, y_train)
    parts = MLPRegressor(**options)
    for _ in range(5):
        parts.partial_fit(X_train, y_train)
    np.testing.assert_array_equal(parts.coefs_[0], whole.coefs_[0])
    assert not np.array_equal(
        MLPRegressor(**{**options, "random_state": 1}).fit(X_train, y_train).coefs_[0], whole.coefs_[0]
    )


@pytest.mark.parametrize("solver", ["adam", "sgd", "nadam", "rmsprop"])
def test_on_a_plateau_the_rate_falls(solver):
    model = MLPRegressor(solver=solver, learning_rate="plateau", tol=1e9, n_iter_no_change=2, max_iter=60).fit(
        X_train, y_train
    )
    rates = np.array(model.history_["learning_rate"])
    assert model.n_iter_ < 60
    np.testing.assert_allclose(np.unique(rates)[::-1], 1e-3 / 5.0 ** np.arange(6))


@pytest.mark.parametrize("options", [{"dropout": 0.5}, {"input_dropout": 0.5}], ids=str)
@pytest.mark.parametrize("hidden", [(), (5,), (64, 64)], ids=str)
def test_steps_of_one_example_drop_as_well(options, hidden):
    rates = options if hidden else {"input_dropout": 0.5}
    net, X, Y, start, order, _ = case_of((7, *hidden, 1), **rates)
    expected = reference_steps(net, start, X.T, Y.T, order, 1, 9, SGD(0.01), alpha=0.1, seed=12345678901)[0]
    theta = start.copy()
    Trainer(net, theta, seeded(SGD(0.01)), X, Y, 1, 0.1).run(order, 9)
    np.testing.assert_allclose(theta, expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("first", [np.asarray, csr_matrix], ids=["dense", "sparse"])
@pytest.mark.parametrize("second", [np.asarray, csr_matrix], ids=["dense", "sparse"])
def test_a_validation_set_may_be_sparse_or_dense_whatever_the_examples_are(first, second):
    model = MLPClassifier(max_iter=5, random_state=0).fit(first(X_train), y_train, X_val=second(X_val), y_val=y_val)
    assert model.history_["validation_score"][-1] == model.score(X_val, y_val)
    assert model.history_["validation_loss"][-1] == pytest.approx(log_loss(y_val, model.predict_proba(X_val)))


@pytest.mark.parametrize("hidden", [(16,), (64, 64), (300, 300)], ids=str)
@pytest.mark.parametrize("average", ["ema", "swa"])
def test_the_average_of_weights_within_a_norm_is_within_it(average, hidden):
    options = {"max_norm": 0.3, "learning_rate_init": 0.05, "max_iter": 20, "random_state": 0, "n_iter_no_change": 20}
    model = MLPClassifier(hidden, average=average, **options).fit(X_train, y_train)
    for coef in model.coefs_[:-1]:
        assert 0.2 < np.linalg.norm(coef, axis=0).max() < 0.3 + 1e-9


def test_lbfgs_may_end_at_its_last_iteration_with_callbacks():
    seen = []
    model = MLPClassifier(solver="lbfgs", max_iter=5, random_state=0)
    model.set_callbacks(lambda epoch: seen.append(epoch.n_iter)).fit(X_train, y_train)
    assert seen == [1, 2, 3, 4, 5]


def test_the_average_is_no_moment_of_scikit_learns_optimizer():
    for solver in "adam", "sgd":
        model = MLPClassifier(solver=solver, average="ema", max_iter=3).fit(X_train, y_train)
        np.testing.assert_allclose(model.to_sklearn().predict_proba(X_val), model.predict_proba(X_val), rtol=1e-9)


def test_a_scorer_without_weights_gets_none():
    def right(model, X, y):
        return model.score(X, y)

    options = {"early_stopping": True, "class_weight": "balanced", "max_iter": 5, "random_state": 0}
    assert MLPClassifier(scoring=right, **options).fit(X_train, y_train).best_validation_score_ > 0


@pytest.mark.parametrize("how", ["callback", "scorer"])
def test_what_raises_in_a_fit_leaves_the_model_as_it_was(how):
    def fail(*_):
        raise ZeroDivisionError

    model = MLPClassifier(random_state=0, max_iter=50).fit(X_train, y_train)
    before = model.predict_proba(X_val), {name: [*column] for name, column in model.history_.items()}
    if how == "callback":
        model.set_callbacks(fail)
    else:
        model.set_params(early_stopping=True, scoring=fail)
    with pytest.raises(ZeroDivisionError):
        model.fit(X_train, y_train)
    np.testing.assert_array_equal(model.predict_proba(X_val), before[0])
    assert model.history_ == before[1]
    assert "_epoch" not in vars(model)


def test_a_scorer_that_does_not_suit_says_so():
    with pytest.raises(ValueError, match="scoring='roc_auc' cannot score this MLPRegressor"):
        MLPRegressor(early_stopping=True, scoring="roc_auc").fit(X_train, y_train)


def test_fits_of_a_warm_start_drop_other_units():
    options = {"dropout": 0.4, "shuffle": False, "random_state": 0, "max_iter": 1, "hidden_layer_sizes": (6,)}
    seeds, model = [], MLPRegressor(warm_start=True, **options)
    for _ in range(3):
        seeds.append(model.fit(X_train, y_train)._optimizer.seed)
    assert len(set(seeds)) == 3


def test_the_best_epoch_counts_those_before_it_was_looked_for():
    model = MLPClassifier(warm_start=True, max_iter=4, random_state=0).fit(X_train, y_train)
    model.set_params(early_stopping=True).fit(X_train, y_train, **HELD_OUT)
    assert model.history_["validation_score"][model.best_iteration_ - 1] == model.best_validation_score_


def test_a_callback_does_not_fit_the_model_that_it_looks_at():
    model = MLPClassifier(max_iter=3, random_state=0)
    expected = MLPClassifier(max_iter=3, random_state=0).fit(X_train, y_train)
    with pytest.raises(RuntimeError, match="is being fitted"):
        model.set_callbacks(lambda epoch: model.fit(X_train, y_train)).fit(X_train, y_train)
    model.set_callbacks(lambda epoch: clone(model).set_callbacks().fit(X_train, y_train).n_iter_ < 3)
    np.testing.assert_array_equal(model.fit(X_train, y_train).coefs_[0], expected.coefs_[0])
