"""What all tests share: four threads whatever the machine has, and the table of networks."""

import os
import signal
from functools import partial

os.environ.setdefault("NUMBA_NUM_THREADS", "4")  # before Numba is imported: a team of four must be possible
os.environ.setdefault("SCIPY_ARRAY_API", "1")  # before SciPy is: one of scikit-learn's checks asks for it

import numpy as np
import pytest

from fastnn import reference
from fastnn.kernels.machine import code
from fastnn.kernels.machine.kinds import kind_of
from fastnn.training import Adam, AdamW, NAdam, RMSprop, trainer
from fastnn.training.ways import columns, linear, online, units


def _fits(kind, value):
    """Whether a value is of the kind that machine code was made for; numbers it takes as Python does."""
    if isinstance(kind, tuple):
        return isinstance(value, kind[0]) and len(value) == len(kind) - 1 and all(map(_fits, kind[1:], value))
    if isinstance(value, np.ndarray):
        return kind.removeprefix("const ") == kind_of(value).removeprefix("const ")
    return kind in ("bool", "int64", "float32", "float64") and np.isscalar(value)


def _load(name, kinds, before=tuple, load=code.load):
    """Machine code looks at nothing that it is called with: in the tests, we do."""
    loaded = load(name, kinds, before)

    def call(*args):
        assert len(args) == len(kinds), name
        assert all(map(_fits, kinds, args)), (name, kinds, args)
        return loaded.call(*args)

    return loaded._replace(call=loaded.call and call)


code.load = _load
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell has its background jobs ignore

#: Layer sizes, activation, output activation: the shapes that hurt.
NETWORKS = [
    ((1, 1), "identity", "identity"),  # nothing but a line
    ((3, 1), "identity", "logistic"),  # logistic regression
    ((20, 7, 1), "tanh", "logistic"),
    ((4, 5, 3), "logistic", "softmax"),
    ((17, 65, 10), "relu", "softmax"),  # one more than a vector, and than a tile
    ((33, 18, 23, 2), "tanh", "identity"),
    ((2, 1, 1, 9), "relu", "logistic"),  # a neck of one unit
    ((40, 16, 8, 16, 40), "identity", "identity"),
    ((5, 9, 2), "tanh", "exp"),  # counts
]


@pytest.fixture(params=[np.float32, np.float64], ids=["float32", "float64"])
def dtype(request):
    return np.dtype(request.param)


@pytest.fixture(params=NETWORKS, ids=lambda case: "-".join(map(str, case[0])) + f" {case[1]} {case[2]}")
def network(request):
    return request.param


def examples(network, m, dtype, seed=0):
    """X (n_x, m) and targets Y (n_y, m) that suit the output activation."""
    (n_x, *_, n_y), _, out_activation = network
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n_x, m))
    if out_activation == "softmax":
        Y = np.eye(n_y)[:, rng.integers(0, n_y, m)]
    elif out_activation == "exp":
        Y = rng.poisson(1.5, (n_y, m))
    elif out_activation == "logistic":
        Y = rng.integers(0, 2, (n_y, m))
    else:
        Y = rng.standard_normal((n_y, m))
    return X.astype(dtype), Y.astype(dtype)


def reference_steps(
    net, theta, X, Y, order, batch_size, n_steps, optimizer, alpha, clip_norm=0.0, max_norm=0.0, seed=0, l1=0.0
):
    """The same steps with the equations of `fastnn.reference`."""
    costs, moments = [], [np.zeros_like(theta), np.zeros_like(theta)]
    weights = np.concatenate([np.full(block.end - block.start, block.is_penalised) for block in net.blocks])
    for t in range(1, n_steps + 1):
        first = (t - 1) % -(-order.size // batch_size) * batch_size
        rows = order[first : first + batch_size]
        parameters = net.as_dict(theta)
        inputs, masks = X[:, rows], None
        if net.input_dropout:
            inputs = inputs * reference.dropout_mask(seed, t - 1, 0, rows, len(X), net.input_dropout)
        if net.dropout:
            masks = {
                f"A{l}": reference.dropout_mask(seed, t - 1, l, rows, n, net.dropout)
                for l, n in enumerate(net.layer_sizes[1:-1], 1)
            }
        A_L, cache = reference.forward_propagation(inputs, parameters, net.activation, net.out_activation, masks)
        penalty = (alpha / 2 * (weights * theta**2).sum() + l1 * (weights * abs(theta)).sum()) / rows.size
        if isinstance(optimizer, AdamW):
            penalty = 0
        costs.append((reference.compute_cost(A_L, Y[:, rows], net.out_activation, net.loss), penalty))
        gradients = reference.backward_propagation(
            parameters, cache, inputs, Y[:, rows], net.activation, net.out_activation, net.loss
        )
        gradient = net.from_dict({name[1:]: value for name, value in gradients.items()}, theta.dtype)
        if clip_norm:
            gradient *= min(1, clip_norm / np.sqrt((gradient**2).sum()))
        if isinstance(optimizer, AdamW):
            theta = theta * (1 - alpha * optimizer.learning_rate_init * weights)
        else:
            gradient += weights * (alpha * theta + l1 * np.sign(theta)) / rows.size
        if isinstance(optimizer, NAdam):
            theta, *moments = reference.nadam(theta, gradient, *moments, t, optimizer.learning_rate_init)
        elif isinstance(optimizer, Adam):
            theta, *moments = reference.adam(theta, gradient, *moments, t, optimizer.learning_rate_init)
            if isinstance(optimizer, AdamW):
                theta -= weights * np.clip(theta, -l1 * optimizer.learning_rate, l1 * optimizer.learning_rate)
        elif isinstance(optimizer, RMSprop):
            theta, moments[0] = reference.rmsprop(theta, gradient, moments[0], optimizer.learning_rate_init)
        else:
            theta, moments[0] = reference.sgd(
                theta,
                gradient,
                moments[0],
                optimizer.learning_rate_init,
                optimizer.momentum,
                optimizer.nesterovs_momentum,
            )
        for block in net.blocks[:-2] if max_norm else ():
            W = theta[block.start : block.end].reshape(block.shape)
            if block.is_penalised:
                W *= np.minimum(1, max_norm / np.sqrt((W**2).sum(axis=1, keepdims=True)))
    return theta, np.array(costs)


def go(monkeypatch, *ways):
    """Have steps be done by the first of these ways that can do them."""
    monkeypatch.setattr(trainer, "way_of", lambda *case: next(way for way in ways if way.can(*case[:3])))


def call_steps_by(monkeypatch, call):
    """Have what trains be called as call(train, *args)."""
    compile = trainer.Trainer.compile

    def compile_and_wrap(self):
        if not self._update:
            compile(self)
            self._train_epochs = partial(call, self._train_epochs)

    monkeypatch.setattr(trainer.Trainer, "compile", compile_and_wrap)


WAYS = {
    "linear or online": (linear, online, columns),
    "by units": (units, columns),
    "by layers": (columns,),
    "by strips": (columns,),
}


@pytest.fixture(params=WAYS)
def way(request, monkeypatch):
    """How steps are done, where that may be; and how a team shares them out."""
    go(monkeypatch, *WAYS[request.param])
    monkeypatch.setattr(columns, "goes_by_layers", lambda network, chunk, dtype: request.param == "by layers")
