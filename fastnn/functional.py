"""Gradient descent for neural networks on the kernels: the functions of `fastnn.reference`, many times as fast.

The same names, arguments, results and errors; there stand the equations and the full descriptions.  Arrays
are (n, m) with one example a column, float32 where everything is float32, else float64.  X needs no copy
when it is the transpose of scikit-learn's C-contiguous (n_samples, n_features).
"""

from dataclasses import replace

import numpy as np

from fastnn.kernels.laws.activations import KEPT, LINEAR, RELU
from fastnn.kernels.laws.addresses import address_of
from fastnn.kernels.laws.losses import Loss
from fastnn.network import (
    Activations,
    Array,
    Network,
    Parameters,
    as_array,
    check_activations,
    check_cache,
    check_examples,
    check_gradients,
    check_learning_rate,
    common_dtype,
    hashable,
    law_of,
    layer_sizes_of,
    loss_law,
)
from fastnn.reference import initialize_parameters
from fastnn.training import SGD, Trainer, passes
from fastnn.training.memory import line
from fastnn.training.ways.columns import is_narrow, panels

__all__ = [
    "backward_propagation",
    "compute_cost",
    "forward_propagation",
    "gradient_descent",
    "initialize_parameters",
    "update_parameters",
]


def forward_propagation(
    X: Array,
    parameters: Parameters,
    activation: Activations = "tanh",
    out_activation: str = "logistic",
    masks: Parameters | None = None,
) -> tuple[Array, dict[str, Array]]:
    """Z_l = W_l A_{l-1} + b_l, A_l = g_l(Z_l); see `fastnn.reference.forward_propagation`.

    Parameters
    ----------
    X : array (n_x, m)
        One example a column.
    parameters : dict
        W1, b1, W2, b2 ...
    activation : str or Activation, or a sequence of these
        g of the hidden layers, or of each: see `MLPClassifier`; of your own, by `fastnn.activation`.
    out_activation : {"logistic", "softmax", "identity", "exp"}
        g of the output layer.
    masks : dict or None
        What A1, A2 ... of the hidden layers are multiplied by: see `fastnn.reference.dropout_mask`.

    Returns
    -------
    A_L : array (n_y, m)
        The predictions.
    cache : dict
        A1, A2 ... A_L, for `backward_propagation`; and D_l = g'(Z_l), where that is not written in A_l, times its mask.

    Raises
    ------
    ValueError
        If a shape does not fit, or an activation is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import functional as nn
    >>> parameters = {"W1": np.array([[1.0, -1.0]]), "b1": np.array([[0.0]])}
    >>> X = np.array([[2.0, 0.0], [2.0, 3.0]])
    >>> A, cache = nn.forward_propagation(X, parameters, out_activation="exp")
    >>> A.round(3)
    array([[1.  , 0.05]])
    """
    sizes, X = layer_sizes_of(parameters), as_array("X", X)
    check_activations(activation, out_activation, len(sizes) - 2)
    dtype = common_dtype(X, *parameters.values())
    check_examples("X", X, sizes[0])
    A, m, cache = _whole(dtype, X), X.shape[1], {}
    for l, n_out in enumerate(sizes[1:], 1):
        Z, law = np.empty((n_out, A.shape[1]), dtype), law_of(activation if l < len(sizes) - 1 else "identity", l)
        mask = masks[f"A{l}"] if masks and l < len(sizes) - 1 else None
        if mask is not None:
            law = replace(law, form=KEPT)
        D = np.empty_like(Z) if law.form == KEPT else Z[:0]
        address = 0 if law.form in (LINEAR, RELU) else address_of("activate", law, dtype)
        passes.affine(
            dtype,
            _of(dtype, parameters[f"W{l}"]),
            _of(dtype, parameters[f"b{l}"]).reshape(-1),
            A,
            Z,
            D,
            law.form == RELU,
            address,
        )
        A, cache[f"A{l}"] = Z, Z[:, :m]
        if law.form == KEPT:
            cache[f"D{l}"] = D[:, :m]
        if mask is not None:
            cache[f"A{l}"] *= mask
            cache[f"D{l}"] *= mask
    passes.output(dtype, A, address_of("output", out_activation, dtype))
    return A[:, :m], cache


def compute_cost(A_L: Array, Y: Array, out_activation: str = "logistic", loss: str | Loss = "") -> float:
    """J = (1/m) sum_i L(a_i, y_i); see `fastnn.reference.compute_cost`.

    Parameters
    ----------
    A_L, Y : array (n_y, m)
        Predictions and targets.
    out_activation : {"logistic", "softmax", "identity", "exp"}
        Of the outputs.
    loss : str or Loss
        What is minimised; "" for the loss that belongs to the output activation.

    Returns
    -------
    float
        The cost.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import functional as nn
    >>> nn.compute_cost(np.array([[1.0, 2.0]]), np.array([[3.0, 2.0]]), out_activation="identity")
    1.0
    """
    check_activations("identity", out_activation, 0)
    return float(_loss_and_dZ(A_L, Y, out_activation, loss)[0].mean())


def backward_propagation(
    parameters: Parameters,
    cache: Parameters,
    X: Array,
    Y: Array,
    activation: Activations = "tanh",
    out_activation: str = "logistic",
    loss: str | Loss = "",
) -> dict[str, Array]:
    """dW_l, db_l for l = L ... 1, equations 1 to 6; see `fastnn.reference.backward_propagation`.

    Parameters
    ----------
    parameters, cache : dict
        W1, b1 ... and what `forward_propagation` returned.
    X, Y : array (n_x, m), (n_y, m)
        Examples and targets.
    activation, out_activation : str
        As in `forward_propagation`.
    loss : str or Loss
        What is minimised; "" for the loss that belongs to the output activation.

    Returns
    -------
    dict
        dW1 (n_1, n_x), db1 (n_1, 1), dW2 ...

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import functional as nn
    >>> parameters = {"W1": np.array([[2.0]]), "b1": np.array([[0.0]])}
    >>> X, Y = np.array([[1.0, 3.0]]), np.array([[1.0, 5.0]])
    >>> _, cache = nn.forward_propagation(X, parameters, out_activation="identity")
    >>> nn.backward_propagation(parameters, cache, X, Y, out_activation="identity")
    {'dW1': array([[2.]]), 'db1': array([[1.]])}
    """
    sizes = layer_sizes_of(parameters)
    check_activations(activation, out_activation, len(sizes) - 2)
    X, Y = as_array("X", X), as_array("Y", Y)
    check_examples("X", X, sizes[0])
    check_examples("Y", Y, sizes[-1], X.shape[1])
    check_cache(cache, sizes, X.shape[1], activation)
    L, m = len(sizes) - 1, X.shape[1]
    dtype = common_dtype(X, Y, *parameters.values(), *cache.values())
    gradients = {}
    dZ = _loss_and_dZ(_of(dtype, cache[f"A{L}"]), _of(dtype, Y), out_activation, loss)[1]
    for l in range(L, 0, -1):
        A = cache[f"A{l - 1}"] if l > 1 else X
        n_out, n_in = sizes[l], sizes[l - 1]
        dW, db = np.empty((n_out, n_in), dtype), np.empty((1, n_out), dtype)
        A = _whole(dtype, A)
        if is_narrow(n_in, n_out, m, dtype):
            passes.inner(dtype, dZ, A, dW, db)
        else:
            passes.outer(dtype, dZ, A, np.empty(panels(n_in, A.shape[1], dtype), dtype), dW)
            passes.row_sums(dtype, dZ, db)
        gradients[f"dW{l}"], gradients[f"db{l}"] = dW / dtype.type(m), db.T / dtype.type(m)
        if l > 1:
            dA, law = np.empty_like(A), law_of(activation, l - 1)
            is_kept = f"D{l - 1}" in cache
            slope = _whole(dtype, cache[f"D{l - 1}"]) if is_kept else A
            form = KEPT if is_kept else law.form
            passes.backproject(dtype, _of(dtype, parameters[f"W{l}"]), dZ, slope, dA, form)
            dZ = dA
    return gradients


def update_parameters(parameters: Parameters, gradients: Parameters, learning_rate: float) -> dict[str, Array]:
    """W := W - alpha dW, b := b - alpha db; see `fastnn.reference.update_parameters`.

    Parameters
    ----------
    parameters, gradients : dict
        W1, b1 ... and dW1, db1 ...
    learning_rate : float
        alpha.

    Returns
    -------
    dict
        New parameters; the old ones stay as they are.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import functional as nn
    >>> nn.update_parameters({"W1": np.array([[2.0]])}, {"dW1": np.array([[4.0]])}, learning_rate=0.25)
    {'W1': array([[1.]])}
    """
    check_gradients(parameters, gradients)
    check_learning_rate(learning_rate)
    updated = {}
    for name, value in parameters.items():
        dtype = common_dtype(value, gradients[f"d{name}"])
        updated[name] = np.array(value, dtype, order="C")
        gradient = _of(dtype, gradients[f"d{name}"]).reshape(-1)
        passes.sgd(dtype, updated[name].reshape(-1), gradient, dtype.type(learning_rate))
    return updated


def gradient_descent(
    X: Array,
    Y: Array,
    *,
    layer_sizes: tuple[int, ...],
    learning_rate: float = 0.1,
    num_iterations: int = 1000,
    rng: np.random.Generator | int | None = None,
    activation: Activations = "tanh",
    out_activation: str = "logistic",
    loss: str | Loss = "",
) -> tuple[dict[str, Array], list[float]]:
    """Initialise, then forward, cost, backward, update, in whole runs; see `fastnn.reference.gradient_descent`.

    Parameters
    ----------
    X, Y : array (n_x, m), (n_y, m)
        Examples and targets, one a column; float32 where both are, else float64.
    layer_sizes : sequence of int
        n_x, the widths of the hidden layers, n_y.  Two sizes: logistic (softmax, linear) regression.
    learning_rate : float
        alpha.
    num_iterations : int
        How many updates.
    rng : numpy.random.Generator, int or None
        For the initial parameters.
    activation, out_activation : str
        As in `forward_propagation`.
    loss : str or Loss
        What is minimised; "" for the loss that belongs to the output activation.

    Returns
    -------
    parameters : dict
        W1, b1, W2 ...
    costs : list of float
        The cost before each update.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import functional as nn
    >>> X = np.array([[0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.0, 1.0]])
    >>> Y = np.array([[0.0, 1.0, 1.0, 0.0]])
    >>> parameters, costs = nn.gradient_descent(X, Y, layer_sizes=(2, 4, 1), learning_rate=1.0, rng=0)
    >>> A, _ = nn.forward_propagation(X, parameters)
    >>> (A > 0.5).astype(int)
    array([[0, 1, 1, 0]])
    """
    X, Y = as_array("X", X), as_array("Y", Y)
    network = Network(tuple(layer_sizes), hashable(activation), out_activation, loss)
    check_examples("X", X, layer_sizes[0])
    check_examples("Y", Y, layer_sizes[-1], X.shape[1])
    dtype, m = common_dtype(X, Y), X.shape[1]
    theta = network.from_dict(initialize_parameters(layer_sizes, rng, dtype=dtype), dtype)
    optimizer = SGD(learning_rate, momentum=0.0, nesterovs_momentum=False)
    trainer = Trainer(network, theta, optimizer, X.T, Y.T, m)
    costs = trainer.run(np.arange(m), num_iterations)[:, 0]
    return network.as_dict(theta), costs.tolist()


def _of(dtype: np.dtype, array: Array) -> Array:
    """The array as the kernels take it: C-contiguous, of this dtype; itself if it is so already."""
    return np.ascontiguousarray(array, dtype)


def _whole(dtype: np.dtype, array: Array) -> Array:
    """The same for examples in columns, of which the kernels take whole vectors: zeros fill the last one up."""
    missing = -array.shape[1] % line(dtype)
    return _of(dtype, np.pad(array, ((0, 0), (0, missing))) if missing else array)


def _loss_and_dZ(A_L: Array, Y: Array, out_activation: str, loss: str | Loss) -> tuple[Array, Array]:
    """The loss of each example (m,), and dZ_L, in whole vectors."""
    A_L, Y = as_array("A_L", A_L), as_array("Y", Y)
    dtype = common_dtype(A_L, Y)
    check_examples("A_L", A_L, A_L.shape[0] if A_L.ndim else 0)
    check_examples("Y", Y, *A_L.shape)
    dZ = _whole(dtype, A_L).copy()
    cost = np.empty(dZ.shape[1], dtype)
    law = loss_law(loss, out_activation)
    passes.loss_and_dZ(
        dtype,
        dZ,
        _whole(dtype, Y),
        cost,
        np.array([*law.constants, *law.constants_of_others], dtype),
        address_of("loss", law, dtype),
    )
    dZ[:, A_L.shape[1] :] = 0  # what is summed over the examples is summed over whole vectors
    return cost[: A_L.shape[1]], dZ
