"""Estimators, functions and files driven with what does not fit: `python tests/fuzz_shapes.py 2000`.

Each example makes a model and does some things to it, of which some make no sense.  Whatever they are, there is an
answer, or an exception that says what was wrong; a refused fit leaves the model as it was.  `test_safety.py` runs this
in a process of its own, because what it looks for would end the process.
"""

import pickle
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

import fastnn
from fastnn import MLPClassifier, MLPRegressor, functional
from fastnn.training import prediction, trainer

REFUSED = (ValueError, TypeError, AttributeError)
sizes = st.sampled_from([1, 2, 3, 7, 20, 65])
rows = st.sampled_from([1, 2, 5, 40, 300])
dtypes = st.sampled_from([np.float32, np.float64])
rng = np.random.default_rng(0)


def numbers(shape, dtype=np.float64):
    return rng.standard_normal(shape).astype(dtype)


def targets(draw, model, n):
    if isinstance(model, MLPRegressor):
        return 1e4 * numbers((n, draw(sizes)) if draw(st.booleans()) else n)
    if draw(st.booleans()):
        return rng.integers(0, 2, (n, draw(st.sampled_from([2, 3, 8]))))
    return np.arange(n) % draw(st.sampled_from([2, 3, 30]))


@st.composite
def an_array(draw):
    dtype = draw(st.sampled_from([np.float32, np.float64, np.float16, np.int64, object]))
    array = numbers(tuple(draw(st.lists(sizes, max_size=3))), dtype)
    how = draw(st.sampled_from([None, "F", "strided", "read-only", "list", "none"]))
    if how == "F":
        array = np.asfortranarray(array)
    elif how == "strided" and array.ndim:
        array = np.repeat(array, 2, axis=0)[::2]
    elif how == "read-only":
        array.flags.writeable = False
    return array.tolist() if how == "list" else None if how == "none" else array


def a_fit(draw, model, n_features, dtype):
    n = draw(rows)
    X = numbers((n, draw(sizes) if draw(st.booleans()) else n_features), dtype)
    y = targets(draw, model, n if draw(st.integers(0, 5)) else n + 1)
    weight = draw(st.sampled_from([None, np.ones(n), np.zeros(n), np.ones(n + 1), -np.ones(n)]))
    if draw(st.integers(0, 5)) == 0:
        X = csr_array(X)
    before = {name: value for name, value in vars(model).items() if name not in ("_kept", "_optimizer")}
    kept = pickle.dumps([before.get("coefs_"), before.get("intercepts_")])
    try:
        if draw(st.booleans()) and hasattr(model, "partial_fit"):
            model.partial_fit(X, y, sample_weight=weight)
        else:
            model.fit(X, y, sample_weight=weight)
    except REFUSED:
        after = {name: value for name, value in vars(model).items() if name not in ("_kept", "_optimizer")}
        assert after.keys() == before.keys()
        assert pickle.dumps([after.get("coefs_"), after.get("intercepts_")]) == kept


def a_prediction(draw, model, n_features, dtype):
    X = numbers((draw(rows), draw(sizes) if draw(st.booleans()) else n_features), dtype)
    getattr(model, draw(st.sampled_from(["predict", "predict_proba"])))(csr_array(X) if draw(st.booleans()) else X)


def a_change(draw, model, n_features, dtype):
    arrays = getattr(model, draw(st.sampled_from(["coefs_", "intercepts_"])))
    place = draw(st.integers(0, len(arrays) - 1))
    how = draw(st.sampled_from(["replace", "replace", "append", "remove", "resize", "reshape", "transpose", "cast"]))
    if how == "replace":
        arrays[place] = draw(an_array())
    elif how == "append":
        arrays.append(draw(an_array()))
    elif how == "remove":
        del arrays[place]
    elif how == "resize":
        arrays[place].resize(draw(sizes), refcheck=False)
    elif how == "reshape":
        arrays[place].shape = draw(st.sampled_from([(-1, 1), (1, -1), (-1,)]))
    elif how == "transpose":
        arrays[place] = arrays[place].T
    else:
        arrays[:] = [array.astype(draw(st.sampled_from([np.float32, np.float64]))) for array in arrays]


def a_setting(draw, model, n_features, dtype):
    name, value = draw(
        st.sampled_from(
            [
                ("n_outputs_", 1),
                ("n_outputs_", 5),
                ("n_features_in_", 3),
                ("n_features_in_", 65),
                ("n_layers_", 9),
                ("out_activation_", "softmax"),
                ("out_activation_", "identity"),
                ("out_activation_", "nothing"),
                ("activation", "tanh"),
                ("activation", "gelu"),
                ("hidden_layer_sizes", (7, 7)),
                ("hidden_layer_sizes", ()),
                ("classes_", np.arange(9)),
                ("classes_", np.arange(1)),
                ("batch_size", 1),
                ("batch_size", 1000),
                ("t_", -1),
                ("warm_start", False),
                ("solver", "sgd"),
                ("solver", "lbfgs"),
                ("loss", "poisson"),
                ("n_threads", 2),
                ("early_stopping", True),
            ]
        )
    )
    setattr(model, name, value)


def an_optimizer(draw, model, n_features, dtype):
    model._optimizer.moments = draw(an_array())


def a_copy(draw, model, n_features, dtype):
    how = draw(st.sampled_from(["pickle", "file", "scikit-learn"]))
    if how == "pickle":
        copy = pickle.loads(pickle.dumps(model))
    elif how == "file":
        with tempfile.TemporaryDirectory() as folder:
            copy = fastnn.load(fastnn.save(model, Path(folder) / "m.fastnn"))
    else:
        theirs = model.to_sklearn()
        if draw(st.booleans()):
            theirs.coefs_[0] = draw(an_array())
        copy = type(model).from_sklearn(theirs)
    copy.predict(numbers((3, n_features), dtype))
    copy.partial_fit(numbers((3, n_features), dtype), np.arange(3) % 2)


@given(st.data())
def estimators(data):
    draw = data.draw
    n_features, dtype = draw(sizes), draw(dtypes)
    model = draw(st.sampled_from([MLPClassifier, MLPRegressor]))(
        hidden_layer_sizes=draw(st.sampled_from([(), (5,), (50,), (9, 33)])),
        max_iter=2,
        batch_size=draw(st.sampled_from([1, 2, 50, 300])),
        solver=draw(st.sampled_from(["adam", "adam", "sgd", "lbfgs"])),
        warm_start=draw(st.booleans()),
        random_state=0,
    )
    a_fit(draw, model, n_features, dtype)
    for action in draw(
        st.lists(
            st.sampled_from([a_fit, a_fit, a_prediction, a_prediction, a_change, a_setting, an_optimizer, a_copy]),
            max_size=6,
        )
    ):
        try:
            action(draw, model, n_features, dtype)
        except REFUSED:
            pass
        except IndexError:
            if action is not a_change:  # it asks for a place that is not there
                raise


@given(st.data())
def functions(data):
    draw = data.draw
    dtype, n_samples = draw(dtypes), draw(rows)
    layer_sizes = tuple(draw(st.lists(sizes, min_size=2, max_size=4)))
    activation = draw(st.sampled_from(["tanh", "relu"]))
    out_activation = draw(st.sampled_from(["logistic", "softmax", "identity", "exp"]))
    parameters = functional.initialize_parameters(layer_sizes, 0, dtype=dtype)
    X, Y = numbers((layer_sizes[0], n_samples), dtype), numbers((layer_sizes[-1], n_samples), dtype) ** 2
    A_L, cache = functional.forward_propagation(X, parameters, activation, out_activation)
    gradients = functional.backward_propagation(parameters, cache, X, Y, activation, out_activation)
    for broken in draw(st.lists(st.sampled_from([parameters, cache, gradients]), max_size=2)):
        if not broken:
            continue
        name = draw(st.sampled_from(sorted(broken)))
        broken[name] = draw(an_array())
        if draw(st.integers(0, 5)) == 0:
            del broken[name]
    X, Y, A_L = (draw(an_array()) if draw(st.integers(0, 3)) == 0 else array for array in (X, Y, A_L))
    for call in (
        lambda: functional.forward_propagation(X, parameters, activation, out_activation),
        lambda: functional.backward_propagation(parameters, cache, X, Y, activation, out_activation),
        lambda: functional.update_parameters(parameters, gradients, 0.1),
        lambda: functional.compute_cost(A_L, Y, out_activation),
        lambda: functional.gradient_descent(
            X, Y, layer_sizes=layer_sizes, num_iterations=2, activation=activation, out_activation=out_activation
        ),
    ):
        try:
            call()
        except REFUSED:
            pass


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    trainer.SERIAL_BELOW = prediction.PREDICT_SERIAL_BELOW = 0  # teams, however small the step
    limits = settings(
        max_examples=int(sys.argv[1]),
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    limits(estimators)()
    limits(functions)()
    print("nothing crashed")
