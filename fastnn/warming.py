"""All kernels compiled ahead of time."""

from math import inf
from types import ModuleType

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from fastnn import functional as nn
from fastnn.embedded import CompiledNetwork, input_gradient, predict_one, train_step, trainer_of
from fastnn.estimators import MLPRegressor
from fastnn.export.description import describe
from fastnn.kernels.laws.activations import ACTIVATIONS
from fastnn.kernels.laws.addresses import address_of
from fastnn.kernels.laws.losses import LOSSES, OUT_ACTIVATIONS
from fastnn.kernels.laws.optimizers import RULES
from fastnn.kernels.machine.workers import WORKERS
from fastnn.network import Array, Network, aligned
from fastnn.pieces import PieceMatrix
from fastnn.training import Adam, Trainer, unpack
from fastnn.training.calls import examples, rows_of, team_of
from fastnn.training.prediction import (
    PREDICT,
    PREDICT_PIECES,
    PREDICT_SPARSE,
    Few,
    few_at_once,
    few_on_team,
    room_for_many,
    room_for_pieces,
    room_for_sparse,
)
from fastnn.training.ways import columns, linear, online, units


def warmup() -> None:
    """Compile the kernels, for float32 and float64, so that no later call has to wait for them.

    What an average of the weights, an L1 penalty or dropout need besides is compiled when they are first used.

    The machine code is kept on this machine's disk: once is enough.

    Examples
    --------
    >>> import fastnn
    >>> fastnn.warmup()
    """
    with WORKERS.call_elsewhere("from fastnn import warming; warming.compile_all('float64')"):
        compile_all("float32")
    compile_all("float64")  # which is read then, unless there was no other process


def compile_all(dtype: npt.DTypeLike) -> None:
    """All kernels for a dtype.

    Parameters
    ----------
    dtype : float32 or float64
        Of the arrays.
    """
    dtype = np.dtype(dtype)
    X, Y, network = np.ones((40, 3), dtype), np.ones((1, 3), dtype), Network((40, 9, 1), "tanh", "logistic")
    parameters = nn.initialize_parameters(network.layer_sizes, 0, dtype=dtype)
    A_L, cache = nn.forward_propagation(X, parameters)
    nn.compute_cost(A_L, Y)
    nn.update_parameters(parameters, nn.backward_propagation(parameters, cache, X, Y), 0.1)
    theta, line = network.from_dict(parameters, dtype), Network((40, 1), "tanh", "logistic")
    coefs, intercepts = unpack(network, theta)
    for wanted, seconds in (1, 0.0), (1, inf), (2, 0.0), (2, inf):
        for way, net, x in (
            (columns, network, X.T),
            (units, network, X.T),
            (online, network, X.T),
            (linear, line, X.T),
            (None, network, csr_matrix(X.T)),
        ):
            trainer = Trainer(net, theta[: net.n_params].copy(), Adam(0.001), x, Y.T, 1, way=way)
            trainer.crew.size, trainer.crew.fastest = wanted, seconds
            trainer.run(np.arange(3), 1)
        for kernel, (model, room), x in (
            (PREDICT, room_for_many(network, theta, 40, wanted), examples(X.T, dtype)),
            (
                PREDICT_SPARSE,
                room_for_sparse(network, coefs[0], theta[360:], 40, wanted),
                rows_of(csr_matrix(X.T), dtype),
            ),
        ):
            out, refused = np.empty((3, 1), dtype), np.zeros(wanted, np.bool_)
            kernel(wanted, seconds, dtype, model, x, room, out, refused)
        few = Few(network, coefs, intercepts, wanted)
        few_examples = few.address, examples(X.T, dtype), out
        few_at_once(dtype)(*few_examples)
        with team_of(wanted, seconds) as (most, helpers):
            address, predict_few_team = few_on_team(dtype)
            predict_few_team(address, True, most, helpers, *few_examples)
        if dtype == np.float32:  # that of all tabular estimators
            _with_pieces(wanted, seconds)
    model = MLPRegressor(hidden_layer_sizes=(9,), alpha=0.0).partial_fit(X.T, Y[0])
    for way in (columns, units, online):
        _embedded(model, X.T, Y.T, way)
    _embedded(MLPRegressor(hidden_layer_sizes=(), alpha=0.0).partial_fit(X.T, Y[0]), X.T, Y.T, linear)
    for sort, table in (
        ("activate", ACTIVATIONS.values()),
        ("output", OUT_ACTIVATIONS),
        ("loss", LOSSES.values()),
        ("update", RULES.values()),
        ("advance", RULES.values()),
    ):
        for law in table:
            address_of(sort, law, dtype)


def _with_pieces(wanted: int, seconds: float) -> None:
    """Steps and predictions where columns have pieces beside them."""
    X = PieceMatrix(np.ones((3, 1), np.float32), np.ones((3, 1), np.float32), (2,))
    network, Y = Network((17, 9, 1), "tanh", "identity", n_pieces=(2,)), np.ones((3, 1), np.float32)
    trainer = Trainer(network, aligned(network.n_params, np.float32), Adam(0.001), X, Y, 1)
    trainer.crew.size, trainer.crew.fastest = wanted, seconds
    trainer.run(np.arange(3), 1)
    model, room = room_for_pieces(network, trainer.model.theta, 3, wanted)
    out, refused = np.empty((3, 1), np.float32), np.zeros(wanted, np.bool_)
    PREDICT_PIECES(wanted, seconds, out.dtype, model, trainer.X, room, out, refused)


def _embedded(model: MLPRegressor, X: Array, Y: Array, way: ModuleType) -> None:
    """All that a network in compiled code does."""
    net = CompiledNetwork(describe(model), X.dtype, trainer_of(model, X.dtype, 1, way))
    x, y, out = np.ascontiguousarray(X[0]), np.ascontiguousarray(Y[0]), np.empty(1, X.dtype)
    predict_one(net, x, out)
    input_gradient(net, x, np.empty_like(x))
    train_step(net, x, y)
    net.cfunc()
