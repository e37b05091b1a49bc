"""All kernels compiled ahead of time."""

from itertools import product
from math import inf

import numpy as np

from fastnn import functional as nn
from fastnn.network import Network
from fastnn.training import Adam, Trainer, shuffle, unpack
from fastnn.training.calls import examples
from fastnn.training.memory import CHUNK
from fastnn.training.prediction import PREDICT, PREDICT_FEW, room_for_few, room_for_many


def warmup() -> None:
    """Compile every kernel, for float32 and float64, so that no later call has to wait for it.

    The machine code is kept on this machine's disk: once is enough.

    Examples
    --------
    >>> import fastnn
    >>> fastnn.warmup()
    """
    for dtype in (np.float32, np.float64):
        X, Y = np.ones((40, 3), dtype), np.ones((1, 3), dtype)
        network = Network((40, 9, 1), "tanh", "logistic")
        parameters = nn.initialize_parameters(network.layer_sizes, 0, dtype=dtype)
        A_L, cache = nn.forward_propagation(X, parameters)
        nn.compute_cost(A_L, Y)
        nn.update_parameters(parameters, nn.backward_propagation(parameters, cache, X, Y), 0.1)
        theta = network.from_dict(parameters, dtype)
        line = Network((40, 1), "tanh", "logistic")
        runs = [
            (network, theta, 1),
            (network, theta, 2),
            (network, theta, CHUNK + 1),
            (line, theta[: line.n_params].copy(), 1),
        ]  # online, by units, by columns, and linear
        for wanted, seconds in product((1, 2), (0.0, inf)):
            for net, start, batch_size in runs:
                trainer = Trainer(net, start, Adam(0.001), X.T, Y.T, batch_size)
                trainer.crew.size, trainer.crew.fastest = wanted, seconds
                trainer.run(np.arange(3), 1)
            coefs, intercepts = unpack(network, theta)
            for kernel, (model, room) in (
                (PREDICT, room_for_many(network, theta, 40, wanted)),
                (PREDICT_FEW, room_for_few(network, coefs, intercepts, wanted)),
            ):
                kernel(
                    wanted,
                    seconds,
                    np.dtype(dtype),
                    model,
                    examples(X.T, dtype),
                    room,
                    np.empty((3, 1), dtype),
                    np.zeros(wanted, np.bool_),
                )
    shuffle(np.arange(3), np.random.RandomState(0))
