"""Networks in compiled code: a row at a time in a user's loop, beside `model.predict` called from Python."""

import numpy as np
from numba import njit

import fastnn

NETWORKS = ("20-100-1", "784-100-100-10")
N_ROWS = 1000


def trained(network, dtype):
    """A regressor, or a classifier of ten classes, that has seen its examples once; and these."""
    n_x, *hidden, n_y = map(int, network.split("-"))
    rng = np.random.default_rng(0)
    X = rng.standard_normal((N_ROWS, n_x)).astype(dtype)
    if n_y == 1:
        model = fastnn.MLPRegressor(hidden_layer_sizes=hidden, random_state=0)
        return model.partial_fit(X, X[:, 0]), X, np.ascontiguousarray(X[:, :1])
    classes = np.arange(N_ROWS) % n_y
    model = fastnn.MLPClassifier(hidden_layer_sizes=hidden, random_state=0)
    return model.partial_fit(X, classes, classes=range(n_y)), X, classes[:, np.newaxis].astype(dtype)


@njit
def predict_rows(net, X, out):
    for i in range(len(X)):
        fastnn.predict_one(net, X[i], out)


@njit
def derive_rows(net, X, out):
    for i in range(len(X)):
        fastnn.input_gradient(net, X[i], out)


@njit
def train_rows(net, X, Y):
    for i in range(len(X)):
        fastnn.train_step(net, X[i], Y[i])


def in_compiled_loop(model, X, Y):
    net = model.jit()
    out = np.empty(net.n_outputs, net.dtype)
    return lambda: predict_rows(net, X, out)


def gradients_in_compiled_loop(model, X, Y):
    net = model.jit()
    out = np.empty((net.n_outputs, net.n_features), net.dtype)
    return lambda: derive_rows(net, X, out)


def steps_in_compiled_loop(model, X, Y):
    net = model.jit(batch_size=1)
    return lambda: train_rows(net, X, Y)


def from_python(model, X, Y):
    predict = getattr(model, "predict_proba", model.predict)
    return lambda: [predict(X[i : i + 1]) for i in range(len(X))]


def at_once(model, X, Y):
    predict = getattr(model, "predict_proba", model.predict)
    return lambda: predict(X)


def gradients_at_once(model, X, Y):
    return lambda: model.input_gradient(X)


WAYS = {
    "predict_one": in_compiled_loop,
    "model.predict, a row": from_python,
    "model.predict, all rows": at_once,
    "input_gradient": gradients_in_compiled_loop,
    "model.input_gradient, all rows": gradients_at_once,
    "train_step": steps_in_compiled_loop,
}


class ThousandRows:
    """So many rows, one after the other where nothing else is said: microseconds for all are nanoseconds for one."""

    params = (tuple(WAYS), NETWORKS, ("float32", "float64"))
    param_names = ("way", "network", "dtype")

    def setup(self, way, network, dtype):
        self.call = WAYS[way](*trained(network, dtype))
        self.call()

    def time_rows(self, way, network, dtype):
        self.call()


class ExpectedGradients:
    """Ten rows against a background of a hundred, of 200 samples each."""

    params = (NETWORKS, ("float32", "float64"))
    param_names = ("network", "dtype")

    def setup(self, network, dtype):
        self.model, self.X, _ = trained(network, dtype)
        self.time_explanation(network, dtype)

    def time_explanation(self, network, dtype):
        fastnn.expected_gradients(self.model, self.X[:10], self.X[:100], random_state=0)


class ToCompiledCode:
    """What `model.jit()` takes, when the kernels are compiled."""

    params = (NETWORKS, ("to predict", "to train"))
    param_names = ("network", "use")

    def setup(self, network, use):
        self.model, _, _ = trained(network, "float32")
        self.time_jit(network, use)

    def time_jit(self, network, use):
        self.model.jit(batch_size=1 if use == "to train" else None)
