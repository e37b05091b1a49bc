"""Nothing crashes and nothing lies: what does not fit is refused, and weights that a user keeps are his."""

import copy
import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import joblib
import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn import neural_network as theirs
from sklearn.ensemble import BaggingClassifier, BaggingRegressor
from sklearn.exceptions import ConvergenceWarning, NotFittedError

import fastnn
from fastnn import MLPClassifier, MLPRegressor, estimators, functional, reference, training

rng = np.random.default_rng(0)
X = rng.standard_normal((60, 6))
Y = X @ rng.standard_normal((6, 3))
labels = (Y[:, 0] > 0).astype(int)
QUICK = {"hidden_layer_sizes": (8,), "max_iter": 3, "random_state": 0}


def classifier(**parameters):
    return MLPClassifier(**QUICK | parameters).fit(X, labels)


def regressor(**parameters):
    return MLPRegressor(**QUICK | parameters).fit(X, Y)


def state(model):
    """What a user sees of a model."""
    return pickle.dumps({name: value for name, value in vars(model).items() if name.endswith("_")})


def test_nothing_that_does_not_fit_ends_the_process():
    run = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("fuzz_shapes.py")), "60"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (run.returncode, run.stdout.strip()) == (0, "nothing crashed"), run.stderr[-2000:]


@pytest.mark.parametrize("batch_size", [1, 2, 20, 60])  # each way of doing a step
@pytest.mark.parametrize("how", ["fit", "partial_fit"])
@pytest.mark.parametrize(("first", "second"), [(3, 1), (1, 3), (3, 2)])
def test_another_number_of_targets_is_refused_and_leaves_the_model(batch_size, how, first, second):
    model = MLPRegressor(**QUICK | {"warm_start": True, "batch_size": batch_size}).fit(X, Y[:, :first].squeeze())
    before, expected = state(model), model.predict(X)
    with pytest.raises(ValueError, match=f"y takes {second} outputs?, but this MLPRegressor has {first}"):
        getattr(model, how)(X, Y[:, :second].squeeze())
    assert state(model) == before
    np.testing.assert_array_equal(model.predict(X), expected)


def test_several_labels_are_refused_where_there_were_classes():
    model = MLPClassifier(**QUICK).fit(X, np.arange(60) % 3)
    for y in ((Y > 0).astype(int), csr_array((Y > 0).astype(int))):
        with pytest.raises(ValueError, match="not fitted with multilabel input"):
            model.partial_fit(X, y)


def test_another_number_of_labels_is_refused():
    model = MLPClassifier(**QUICK).fit(X, (Y > 0).astype(int))
    with pytest.raises(ValueError, match=r"mismatch with the labels \[0 1\]"):
        model.partial_fit(X, (Y[:, :2] > 0).astype(int))


@pytest.mark.parametrize(
    ("refused", "message"),
    [
        ({"X": np.ones((60, 5))}, "X has 5 features, but MLPClassifier is expecting 6 features"),
        ({"y": np.arange(60) % 3}, "same classes as in the previous call"),
        ({"X": np.full((60, 6), np.nan)}, "Input X contains NaN"),
        ({"y": labels[:-1]}, "inconsistent numbers of samples"),
        ({"sample_weight": -np.ones(60)}, "Negative values in data passed to `sample_weight`"),
        ({"sample_weight": np.ones(59)}, "sample_weight"),
    ],
)
def test_a_refused_fit_leaves_the_model_as_it_was(refused, message):
    model = classifier(warm_start=True)
    before = state(model)
    with pytest.raises(ValueError, match=message):
        model.fit(**{"X": X, "y": labels, **refused})
    assert state(model) == before


def test_a_refused_first_partial_fit_leaves_no_classes_behind():
    model = MLPClassifier(**QUICK)
    with pytest.raises(ValueError, match="NaN"):
        model.partial_fit(np.full((2, 6), np.nan), [0, 1], classes=[0, 1])
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        model.partial_fit(X, labels)


@pytest.mark.parametrize("parameters", [{}, {"solver": "sgd", "learning_rate": "invscaling"}], ids=str)
def test_a_fit_that_diverges_leaves_the_model_as_it_was(parameters):
    model = regressor(**parameters)
    before, expected = model.predict(X), copy.deepcopy(model).partial_fit(X, Y).predict(X)
    with pytest.raises(ValueError, match="Solver produced non-finite parameter weights"):
        model.partial_fit(X, 1e200 * Y)
    np.testing.assert_array_equal(model.predict(X), before)
    np.testing.assert_array_equal(model.partial_fit(X, Y).predict(X), expected)


def test_a_copy_shares_nothing_that_training_changes():
    model = regressor()
    expected = copy.deepcopy(model).partial_fit(X, Y).predict(X)
    copy.copy(model).partial_fit(X, -Y)
    np.testing.assert_array_equal(model.partial_fit(X, Y).predict(X), expected)


@pytest.mark.parametrize(
    "change",
    [
        lambda model: setattr(model._optimizer, "learning_rate_init", np.full(4000, 0.001)),
        lambda model: setattr(model._optimizer, "beta_1", [0.9]),
        lambda model: setattr(model._optimizer, "learning_rate", [0.1] * 3),
        lambda model: setattr(model._optimizer, "moments", np.zeros(5)),
    ],
)
def test_an_optimizer_that_makes_no_sense_is_refused(change):
    model = regressor()
    change(model)
    before = state(model)
    with pytest.raises((ValueError, TypeError)):
        model.partial_fit(X, Y)
    assert state(model) == before


@pytest.mark.parametrize(
    "parameter",
    [
        {"alpha": "1"},
        {"tol": None},
        {"solver": "foo"},
        {"n_threads": 0},
        {"learning_rate_init": [0.1, 0.2]},
        {"batch_size": 2.5},
    ],
    ids=str,
)
def test_partial_fit_validates_parameters_that_were_set_since(parameter):
    model = regressor().partial_fit(X, Y)
    before = state(model)
    with pytest.raises(ValueError, match=f"The '{next(iter(parameter))}' parameter of MLPRegressor must be"):
        model.set_params(**parameter).partial_fit(X, Y)
    assert state(model) == before


def test_a_fit_within_a_fit_has_moments_of_its_own():
    big, done = rng.standard_normal((600, 40)), []
    model = MLPRegressor(hidden_layer_sizes=(60, 60), max_iter=4, batch_size=100, random_state=0)

    def interfere(epoch):
        if epoch.n_iter == 2 and not done:
            done.append(True)
            model.coefs_ = [coef.astype(np.float32) for coef in model.coefs_]
            model.intercepts_ = [intercept.astype(np.float32) for intercept in model.intercepts_]
            model.partial_fit(big.astype(np.float32), big[:, 0])

    with fastnn.watch(interfere):
        model.fit(big, big[:, 0])
    assert model.coefs_[0].dtype == np.float64
    assert np.isfinite(model.predict(big)).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda model: model.coefs_.pop(), "coefs_ has 1 arrays and intercepts_ 2"),
        (lambda model: model.coefs_.__setitem__(1, np.ones((9, 1))), r"coefs_\[1\] has shape \(9, 1\).*\(8, n_units"),
        (lambda model: model.intercepts_.__setitem__(0, np.ones(7)), r"intercepts_\[0\] has shape \(7,\).*\(6, 8\)"),
        (lambda model: model.coefs_.__setitem__(0, np.ones((5, 8))), r"X has (shape \(60, 6\)|6 features).* expect.*5"),
        (lambda model: model.coefs_.__setitem__(0, [[1.0]]), r"coefs_\[0\] is a list, but an array of numbers"),
        (
            lambda model: model.coefs_.__setitem__(0, model.coefs_[0].astype(object)),
            r"coefs_\[0\] is a ndarray of object",
        ),
        (lambda model: setattr(model, "out_activation_", "gelu"), "'gelu'|are to be logistic"),
    ],
)
@pytest.mark.parametrize(
    "use", [lambda model: model.predict(X), lambda model: model.partial_fit(X, labels)], ids=["predict", "partial_fit"]
)
def test_parameters_that_do_not_fit_are_refused_by_name(change, message, use):
    model = classifier()
    model.predict(X)
    change(model)
    with pytest.raises(ValueError, match=message):
        use(model)


def test_moments_of_another_network_are_refused():
    model = regressor()
    model._optimizer.moments = np.zeros(5)
    with pytest.raises(ValueError, match=r"moments of shape \(5,\), but this network expects \(166,\)"):
        model.partial_fit(X, Y)


def test_an_array_whose_memory_has_moved_is_read_where_it_is():
    model = MLPRegressor(hidden_layer_sizes=(300,), max_iter=1, random_state=0).fit(X, Y)
    model.predict(X)
    coef = model.coefs_[0]
    old = coef.copy()
    coef.resize((4000, 3000), refcheck=False)
    coef.resize(old.shape, refcheck=False)
    coef[:] = 2 * old
    del old
    junk = [np.full((6, 300), 7.0) for _ in range(50)]
    np.testing.assert_allclose(model.predict(X), model.to_sklearn().predict(X), rtol=1e-12)
    del junk


def test_an_array_that_was_resized_in_place_is_refused():
    model = regressor()
    model.predict(X)
    model.coefs_[0].resize((2, 2), refcheck=False)
    with pytest.raises(ValueError, match=r"has shape"):
        model.predict(X)


def test_class_numbers_out_of_range_are_refused():
    model = MLPClassifier(**QUICK).fit(X, np.arange(60) % 3)
    model.classes_ = np.array([0, 2])  # 1 would be the second of three, 2 the third
    with pytest.raises(ValueError, match="outputs"):
        model.partial_fit(X, 2 * (np.arange(60) % 2))
    network = fastnn.network.Network((6, 3), "relu", "softmax")
    with pytest.raises(ValueError, match="Y holds the classes 0 to 3, but there are 3 outputs"):
        training.Trainer(network, np.zeros(21), training.SGD(0.1), X, np.arange(60)[:, None] % 4.0, 10)


@pytest.mark.parametrize("order", [np.array([0, 60]), np.array([-1, 0]), np.zeros((2, 2), int), np.zeros(0, int)])
def test_rows_out_of_range_are_refused(order):
    network = fastnn.network.Network((6, 1), "relu", "identity")
    trainer = training.Trainer(network, np.zeros(7), training.SGD(0.1), X, Y[:, :1], 10)
    with pytest.raises(ValueError, match="numbers of rows from 0 to 59"):
        trainer.run(order, 1)


@pytest.mark.parametrize("module", [functional, reference])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"A1": np.ones((3, 60))}, r"A1 of cache has shape \(3, 60\), but this network expects \(4, 60\)"),
        ({"A2": np.ones((1, 59))}, r"A2 of cache has shape \(1, 59\), but this network expects \(1, 60\)"),
        ({"A2": None}, "A2 of cache has shape"),
    ],
)
def test_a_cache_of_another_network_is_refused(module, change, message):
    parameters = module.initialize_parameters((6, 4, 1), 0)
    cache = module.forward_propagation(X.T, parameters)[1]
    with pytest.raises(ValueError, match=message):
        module.backward_propagation(parameters, cache | change, X.T, labels[None])


@pytest.mark.parametrize("module", [functional, reference])
def test_gradients_of_other_shapes_are_refused(module):
    parameters = module.initialize_parameters((6, 1), 0)
    with pytest.raises(ValueError, match=r"dW1 has shape \(1, 5\), but W1 has \(1, 6\)"):
        module.update_parameters(parameters, {"dW1": np.ones((1, 5)), "db1": np.ones((1, 1))}, 0.1)
    with pytest.raises(ValueError, match="db1 is wanted as well"):
        module.update_parameters(parameters, {"dW1": np.ones((1, 6))}, 0.1)


@pytest.mark.parametrize("module", [functional, reference])
@pytest.mark.parametrize(
    "change",
    [np.asfortranarray, lambda W: W.astype(int), lambda W: np.repeat(W, 2, axis=1)[:, ::2]],
    ids=["Fortran", "integers", "strided"],
)
def test_parameters_of_any_layout_are_updated(module, change):
    W = change(np.arange(12.0).reshape(3, 4))
    got = module.update_parameters({"W1": W}, {"dW1": np.ones((3, 4))}, 0.5)
    np.testing.assert_array_equal(got["W1"], np.arange(12.0).reshape(3, 4) - 0.5)


# Weights that a user keeps are his.


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_coefs_are_contiguous_as_scikit_learns(solver):
    model = regressor(solver=solver)
    assert [(coef.shape, coef.flags.c_contiguous, coef.flags.owndata) for coef in model.coefs_] == [
        ((6, 8), True, True),
        ((8, 3), True, True),
    ]


@pytest.mark.parametrize(
    "again",
    [
        lambda model: model.fit(X, -Y),
        lambda model: model.partial_fit(X, -Y),
        lambda model: model.set_params(warm_start=True).fit(X, -Y),
        lambda model: model.set_params(solver="lbfgs", warm_start=True).fit(X, -Y),
    ],
    ids=["fit", "partial_fit", "warm_start", "lbfgs"],
)
def test_kept_weights_do_not_change_in_a_later_fit(again):
    model = regressor()
    kept = [*model.coefs_, *model.intercepts_]
    before = [array.copy() for array in kept]
    again(model)
    for array, copied, now in zip(kept, before, [*model.coefs_, *model.intercepts_], strict=True):
        np.testing.assert_array_equal(array, copied)
        assert not np.array_equal(array, now)


def test_weights_changed_in_place_count_also_after_a_prediction():
    model = regressor()
    for rows in (X[:1], X[:7], np.tile(X, (30, 1))):
        model.predict(rows)
        model.coefs_[1][:] *= 2
        model.intercepts_[0][3] = 5
        np.testing.assert_allclose(model.predict(rows), model.to_sklearn().predict(rows), rtol=1e-12)


def test_who_looks_on_sees_the_weights_of_the_epoch():
    seen = []
    model = MLPRegressor(**QUICK)
    with fastnn.watch(lambda epoch: seen.append(model.predict(X))):
        model.fit(X, Y)
    for n_epochs, got in enumerate(seen, 1):
        np.testing.assert_array_equal(got, MLPRegressor(**QUICK | {"max_iter": n_epochs}).fit(X, Y).predict(X))


def test_a_model_in_memory_that_may_only_be_read_trains_on(tmp_path):
    model = classifier(hidden_layer_sizes=(30, 20))
    joblib.dump(model, tmp_path / "model")
    expected = copy.deepcopy(model).partial_fit(X, labels).predict_proba(X)
    mapped = joblib.load(tmp_path / "model", mmap_mode="r")
    np.testing.assert_array_equal(mapped.partial_fit(X, labels).predict_proba(X), expected)

    views: list = []
    head = pickle.dumps(model, 5, buffer_callback=views.append)
    store = [bytes(view.raw()) for view in views]
    before = [bytes(bytearray(part)) for part in store]
    shared = pickle.loads(head, buffers=store)
    np.testing.assert_array_equal(shared.partial_fit(X, labels).predict_proba(X), expected)
    assert store == before


@pytest.mark.parametrize(("first", "second"), [("f4", "f8"), ("f8", "f4")])
@pytest.mark.parametrize("batch_size", [2, 20, 60])
def test_weights_cast_to_the_other_float_train_on_as_scikit_learns(first, second, batch_size):
    losses = []
    for module in (theirs, fastnn):
        model = module.MLPClassifier(**QUICK | {"batch_size": batch_size}).fit(X.astype(first), labels)
        model.coefs_ = [coef.astype(second) for coef in model.coefs_]
        model.intercepts_ = [intercept.astype(second) for intercept in model.intercepts_]
        losses.append(model.partial_fit(X.astype(second), labels).loss_)
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)


# Estimators in odd states.


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_early_stopping_can_be_switched_off_and_on_again(kind):
    y = labels if kind is MLPClassifier else Y[:, 0]
    model = kind(**QUICK, early_stopping=True).fit(X, y)
    with pytest.raises(ValueError, match="partial_fit does not support early_stopping=True"):
        model.partial_fit(X, y)
    model.set_params(early_stopping=False).partial_fit(X, y)
    assert model.best_loss_ == model.loss_
    assert model.validation_scores_ is None
    model.set_params(early_stopping=True, warm_start=True).fit(X, y)
    assert model.best_validation_score_ == max(model.validation_scores_)
    assert model.best_loss_ is None


def test_curves_that_a_user_kept_do_not_grow():
    model = classifier(warm_start=True, early_stopping=True)
    losses, scores = model.loss_curve_, model.validation_scores_
    model.fit(X, labels)
    assert (len(losses), len(scores), len(model.loss_curve_), len(model.validation_scores_)) == (3, 3, 6, 6)


def test_another_solver_has_its_own_optimizer():
    model = regressor()
    model.set_params(solver="sgd").partial_fit(X, Y)
    assert isinstance(model._optimizer, training.SGD)


def test_adam_goes_on_from_lbfgs():
    model = regressor(solver="lbfgs")
    before = model.loss_
    model.set_params(solver="adam").partial_fit(X, Y)
    assert model.loss_curve_ == [model.loss_]
    assert model.loss_ < 10 * before  # of these weights, not of new ones


def test_a_validation_that_weighs_nothing_is_no_progress_and_no_error(monkeypatch):
    monkeypatch.setattr(estimators, "train_test_split", lambda order, **_: (order[:50], order[50:]))
    model = MLPRegressor(**QUICK | {"max_iter": 50}, early_stopping=True, n_iter_no_change=4)
    model.fit(X, Y, sample_weight=np.arange(60) < 50)
    assert model.n_iter_ == 5
    assert np.isnan(model.validation_scores_).all()
    expected = MLPRegressor(**QUICK | {"max_iter": 5}).fit(X[:50], Y[:50])  # the last weights: none is the best
    np.testing.assert_array_equal(model.predict(X), expected.predict(X))


@pytest.mark.parametrize("parameters", [{"early_stopping": True}, {"batch_size": 1}], ids=str)
def test_bagging_draws_may_leave_weights_of_zero(parameters):
    quick = {"max_iter": 4, **parameters}
    bag = BaggingRegressor(MLPRegressor(**quick), n_estimators=25, random_state=0).fit(X[:20], Y[:20, 0])
    assert np.isfinite(bag.predict(X)).all()
    bag = BaggingClassifier(MLPClassifier(**quick), n_estimators=25, random_state=0).fit(X[:20], labels[:20])
    assert set(bag.predict(X)) == {0, 1}


def test_poisson_refuses_negative_targets_as_scikit_learns_other_models():
    with pytest.raises(ValueError, match=r"valid range of the loss 'HalfPoissonLoss'.*requires non-negative y, got -"):
        MLPRegressor("poisson", **QUICK).fit(X, Y)


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize(("x", "y"), [(1.0, 1e300), (1e30, 1.0), (1.0, 1e30)])
def test_what_overflows_float32_is_refused(solver, x, y):
    model = MLPRegressor(**QUICK, solver=solver)
    with pytest.raises(ValueError, match="Solver produced non-finite parameter weights"), np.errstate(all="ignore"):
        model.fit((x * X).astype(np.float32), y * Y)
    with pytest.raises(NotFittedError):
        model.predict(X)


def test_the_first_position_of_a_regressor_is_explained():
    with pytest.raises(ValueError, match=r"'loss' parameter .*write MLPRegressor\(hidden_layer_sizes=\(100,\)\)"):
        MLPRegressor((100,)).fit(X, Y)


def test_text_is_not_taken_for_numbers():
    for model, use in ((regressor(), "predict"), (classifier(), "predict_proba")):
        with pytest.raises(ValueError, match="bytes/strings"):
            getattr(model, use)(X.astype(str))
    with pytest.raises(ValueError, match=r"y holds <U.*expects numbers"):
        MLPRegressor(**QUICK).fit(X, Y.astype(str))


def test_dates_are_not_taken_for_numbers():
    with pytest.raises(ValueError, match=r"X holds datetime64.*expects numbers"):
        regressor().predict(np.full((2, 6), "2020-01-01", "M8[D]"))


@pytest.mark.parametrize("dtype", [bool, np.float16, np.int8])
def test_narrow_numbers_leave_a_float32_model_float32(dtype):
    model = MLPRegressor(**QUICK).fit(X.astype(np.float32), Y)
    assert model.predict(np.ones((3, 6), dtype)).dtype == np.float32


@pytest.mark.parametrize("module", [functional, reference])
def test_functions_refuse_what_is_no_real_number(module):
    parameters = module.initialize_parameters((6, 4, 1), 0)
    cache = module.forward_propagation(X.T, parameters)[1]
    gradients = module.backward_propagation(parameters, cache, X.T, labels[None])
    for call, message in (
        (
            lambda: module.backward_propagation(parameters, cache | {"A1": 1j * cache["A1"]}, X.T, labels[None]),
            "real numbers are wanted",
        ),
        (
            lambda: module.update_parameters(parameters, gradients | {"dW1": 1j * gradients["dW1"]}, 0.1),
            "real numbers are wanted",
        ),
        (lambda: module.update_parameters(parameters, gradients, None), "learning_rate must be a number"),
        (lambda: module.update_parameters(parameters, gradients, [0.1]), "learning_rate must be a number"),
        (lambda: module.forward_propagation(np.ma.masked_greater(X.T, 1), parameters), "masked"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


@pytest.mark.parametrize("module", [functional, reference])
def test_an_update_has_the_wider_type(module):
    got = module.update_parameters({"W1": np.ones((2, 3), np.float32)}, {"dW1": np.full((2, 3), 1e60)}, 0.1)
    assert got["W1"].dtype == np.float64
    np.testing.assert_allclose(got["W1"], -1e59)


def test_numbers_under_a_mask_are_missing():
    masked = np.ma.masked_greater(X, 1)
    for call in (
        lambda: MLPRegressor(**QUICK).fit(masked, Y),
        lambda: regressor().predict(masked),
        lambda: MLPRegressor(**QUICK).fit(X, np.ma.masked_less(Y, 0)),
    ):
        with pytest.raises(ValueError, match="contains masked values"):
            call()


def test_losses_are_of_scikit_learns_types():
    assert MLPClassifier().loss == theirs.MLPClassifier().loss == "log_loss"
    for ours, their in (
        (regressor(), theirs.MLPRegressor(**QUICK).fit(X, Y)),
        (regressor(solver="lbfgs"), theirs.MLPRegressor(**QUICK, solver="lbfgs").fit(X, Y)),
    ):
        assert type(ours.loss_) is np.float64
        for name in ("loss_", "best_loss_"):
            assert isinstance(getattr(ours, name, None), type(getattr(their, name, None)))
    assert {type(loss) for loss in regressor().loss_curve_} == {np.float64}


def test_warnings_can_be_told_by_the_module():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.filterwarnings("ignore", category=ConvergenceWarning, module=r"fastnn\.")
        classifier()
    assert caught == []


def test_other_hidden_layers_are_refused_where_the_model_goes_on():
    model = classifier()
    with pytest.raises(ValueError, match=r"hidden_layer_sizes is \[9\], .* has hidden layers of \[8\]"):
        model.set_params(hidden_layer_sizes=(9,)).partial_fit(X, labels)
