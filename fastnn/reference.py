"""Gradient descent for neural networks in plain NumPy: the specification of everything else.

Written to be believed, not to be fast.  The equations are those of the notes on gradient descent, on
arrays of shape (n, m) with one example a column, for any number of layers:

    Z_l = W_l A_{l-1} + b_l      A_l = g_l(Z_l)      A_0 = X      J = (1/m) sum_i L(a_i, y_i)

`fastnn.functional` has the same functions on the kernels: ``from fastnn import functional as nn`` and
``from fastnn import reference as nn`` are interchangeable in a program.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from fastnn.kernels.laws.activations import Activation
from fastnn.kernels.laws.losses import LOSSES as TABLE
from fastnn.kernels.laws.losses import Loss
from fastnn.network import (
    Activations,
    Array,
    Parameters,
    activation_of,
    as_array,
    check_activations,
    check_cache,
    check_examples,
    check_gradients,
    check_layer_sizes,
    check_learning_rate,
    common_dtype,
    layer_sizes_of,
    loss_law,
)

Function = Callable[[Array], Array]

#: The constants of selu (Klambauer et al. 2017).
SELU = 1.0507009873554805, 1.6732632423543772


def _logistic(Z: Array) -> Array:
    return 1 / (1 + np.exp(-Z))


def _phi(Z: Array) -> Array:
    return ndtr(Z if Z.dtype.char in "fd" else Z.astype(np.float64))


def _gelu_argument(Z: Array) -> Array:
    return np.sqrt(2 / np.pi) * (Z + 0.044715 * Z**3)


#: g(Z) of the hidden layers, g'(Z), and what that is written in: A = g(Z), or Z.
ACTIVATIONS: dict[str, tuple[Function, Function, str]] = {
    "identity": (lambda Z: Z, lambda A: np.ones_like(A), "A"),
    "logistic": (lambda Z: 1 / (1 + np.exp(-Z)), lambda A: A * (1 - A), "A"),
    "tanh": (np.tanh, lambda A: 1 - A**2, "A"),
    "relu": (lambda Z: np.maximum(Z, 0), lambda A: (A > 0).astype(A.dtype), "A"),
    "leaky_relu": (lambda Z: np.where(Z > 0, Z, 0.01 * Z), lambda Z: np.where(Z > 0, 1, 0.01), "Z"),
    "elu": (lambda Z: np.where(Z > 0, Z, np.expm1(Z)), lambda Z: np.where(Z > 0, 1, np.exp(Z)), "Z"),
    "selu": (
        lambda Z: SELU[0] * np.where(Z > 0, Z, SELU[1] * np.expm1(Z)),
        lambda Z: SELU[0] * np.where(Z > 0, 1, SELU[1] * np.exp(Z)),
        "Z",
    ),
    "softplus": (lambda Z: np.logaddexp(Z, 0), lambda Z: _logistic(Z), "Z"),
    "silu": (lambda Z: Z * _logistic(Z), lambda Z: _logistic(Z) * (1 + Z * _logistic(-Z)), "Z"),
    "mish": (
        lambda Z: Z * np.tanh(np.logaddexp(Z, 0)),
        lambda Z: np.tanh(np.logaddexp(Z, 0)) + Z * _logistic(Z) / np.cosh(np.logaddexp(Z, 0)) ** 2,
        "Z",
    ),
    "gelu": (lambda Z: Z * _phi(Z), lambda Z: _phi(Z) + Z * np.exp(-(Z**2) / 2) / np.sqrt(2 * np.pi), "Z"),
    "gelu_tanh": (
        lambda Z: Z * _logistic(2 * _gelu_argument(Z)),
        lambda Z: (
            _logistic(2 * _gelu_argument(Z))
            * (1 + 2 * Z * _logistic(-2 * _gelu_argument(Z)) * np.sqrt(2 / np.pi) * (1 + 3 * 0.044715 * Z**2))
        ),
        "Z",
    ),
}


def _of(activation: str | Activation) -> tuple[Function, Function, str]:
    """A law of the table; or a user's own, number by number."""
    if isinstance(activation, Activation):
        return np.vectorize(activation.value, "d"), np.vectorize(activation.slope, "d"), "Z"
    return ACTIVATIONS[activation]


def _softmax(Z: Array) -> Array:
    e = np.exp(Z - Z.max(axis=0))
    return e / e.sum(axis=0)


#: g(Z) of the output layer.
OUT_ACTIVATIONS: dict[str, Function] = {
    "logistic": ACTIVATIONS["logistic"][0],
    "softmax": _softmax,
    "identity": ACTIVATIONS["identity"][0],
    "exp": np.exp,
}


def _clipped(A: Array) -> Array:
    """Probabilities, kept eps away from 0 and 1."""
    eps = np.finfo(common_dtype(A)).eps
    return np.clip(A, eps, 1 - eps)


def _difference(A: Array, Y: Array) -> Array:
    return A - Y


def _focal(A: Array, gamma: Array) -> Array:
    """-(1 - a)^gamma log a (Lin et al. 2017)."""
    return np.asarray(-((1 - _clipped(A)) ** gamma) * np.log(_clipped(A)))


def _focal_slope(A: Array, gamma: Array) -> Array:
    """a times its derivative by a."""
    A = _clipped(A)
    return np.asarray((1 - A) ** gamma * (gamma * A * np.log(A) / (1 - A) - 1))


#: L(a, y) of each output, and its derivative by z: by the name of the loss and the output activation.
LOSSES: dict[tuple[str, str], tuple[Callable[..., Array], Callable[..., Array]]] = {
    ("log_loss", "logistic"): (lambda A, Y: -Y * np.log(_clipped(A)) - (1 - Y) * np.log(1 - _clipped(A)), _difference),
    ("log_loss", "softmax"): (lambda A, Y: -Y * np.log(_clipped(A)), _difference),
    ("focal", "logistic"): (
        lambda A, Y, gamma: Y * _focal(A, gamma) + (1 - Y) * _focal(1 - A, gamma),
        lambda A, Y, gamma: Y * (1 - A) * _focal_slope(A, gamma) - (1 - Y) * A * _focal_slope(1 - A, gamma),
    ),
    ("focal", "softmax"): (
        lambda A, Y, gamma: Y * _focal(A, gamma),
        lambda A, Y, gamma: (U := Y * _focal_slope(A, gamma)) - A * U.sum(axis=0),
    ),
    ("squared_error", "identity"): (lambda A, Y: (A - Y) ** 2 / 2, _difference),
    ("absolute_error", "identity"): (lambda A, Y: abs(A - Y), lambda A, Y: np.sign(A - Y)),
    ("huber", "identity"): (
        lambda A, Y, delta: np.where(abs(A - Y) <= delta, (A - Y) ** 2 / 2, delta * (abs(A - Y) - delta / 2)),
        lambda A, Y, delta: np.clip(A - Y, -delta, delta),
    ),
    ("log_cosh", "identity"): (
        lambda A, Y: np.logaddexp(A - Y, Y - A) - np.log(2),
        lambda A, Y: np.tanh(A - Y),
    ),
    ("quantile", "identity"): (
        lambda A, Y, q: np.maximum(q * (Y - A), (q - 1) * (Y - A)),
        lambda A, Y, q: np.where(A > Y, 1 - q, np.where(A < Y, -q, 0)),
    ),
    ("gamma", "exp"): (lambda A, Y: Y / A - np.log(Y / A) - 1, lambda A, Y: 1 - Y / A),
    ("poisson", "exp"): (lambda A, Y: np.where(Y > 0, Y * np.log(np.where(Y > 0, Y, 1) / A), 0) - Y + A, _difference),
}


def _loss(
    loss: str | Loss, out_activation: str
) -> tuple[Callable[[Array, Array], Array], Callable[[Array, Array], Array]]:
    """A loss of the table, with its constants, each a column of one for all outputs or for each; or a user's own."""
    law = loss_law(loss, out_activation)
    in_table = TABLE.get((law.name, out_activation))
    if in_table is not None and law.value is in_table.value:
        constants = np.array([*law.constants, *law.constants_of_others]).reshape(-1, max(len(law.constants), 1)).T
        columns = [column[:, np.newaxis] for column in constants] if law.constants else []
        value, slope = LOSSES[law.name, out_activation]
        return lambda A, Y: value(A, Y, *columns), lambda A, Y: slope(A, Y, *columns)
    return (
        np.vectorize(lambda a, y: law.value(a, y, *law.constants), "d"),
        np.vectorize(lambda a, y: law.slope(a, y, *law.constants), "d"),
    )


def initialize_parameters(
    layer_sizes: tuple[int, ...], rng: np.random.Generator | int | None = None, *, dtype: npt.DTypeLike = np.float64
) -> dict[str, Array]:
    """Random weights, as breaking the symmetry demands, and biases of zero.

    Parameters
    ----------
    layer_sizes : sequence of int
        n_x, the widths of the hidden layers, n_y.  Two sizes: no hidden layer.
    rng : numpy.random.Generator, int or None
        The source of the random numbers, or its seed.
    dtype : float64 or float32
        Of the parameters.

    Returns
    -------
    dict
        W1 (n_1, n_x), b1 (n_1, 1), W2 ..., with W_l uniform in +-sqrt(6 / (n_{l-1} + n_l)) (Glorot & Bengio 2010).

    Examples
    --------
    >>> from fastnn import reference as nn
    >>> {name: array.shape for name, array in nn.initialize_parameters((2, 4, 1), rng=0).items()}
    {'W1': (4, 2), 'b1': (4, 1), 'W2': (1, 4), 'b2': (1, 1)}
    """
    check_layer_sizes(layer_sizes)
    rng = np.random.default_rng(rng)
    parameters = {}
    for l in range(1, len(layer_sizes)):
        n_in, n_out = layer_sizes[l - 1], layer_sizes[l]
        bound = np.sqrt(6 / (n_in + n_out))
        parameters[f"W{l}"] = rng.uniform(-bound, bound, (n_out, n_in)).astype(dtype)
        parameters[f"b{l}"] = np.zeros((n_out, 1), dtype)
    return parameters


def forward_propagation(
    X: Array,
    parameters: Parameters,
    activation: Activations = "tanh",
    out_activation: str = "logistic",
    masks: Parameters | None = None,
) -> tuple[Array, dict[str, Array]]:
    """Z_l = W_l A_{l-1} + b_l, A_l = g_l(Z_l): "Forward propagation" in the notes.

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
        What A1, A2 ... of the hidden layers are multiplied by: see `dropout_mask`.

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
    >>> from fastnn import reference as nn
    >>> parameters = {"W1": np.array([[1.0, -1.0]]), "b1": np.array([[0.0]])}
    >>> X = np.array([[2.0, 0.0], [2.0, 3.0]])
    >>> A, cache = nn.forward_propagation(X, parameters, out_activation="exp")
    >>> A.round(3)
    array([[1.  , 0.05]])
    """
    sizes = layer_sizes_of(parameters)
    check_activations(activation, out_activation, len(sizes) - 2)
    A = as_array("X", X).astype(common_dtype(X, *parameters.values()), copy=False)
    check_examples("X", A, sizes[0])
    cache = {}
    for l in range(1, len(sizes)):
        Z = parameters[f"W{l}"] @ A + parameters[f"b{l}"]
        if l == len(sizes) - 1:
            A = OUT_ACTIVATIONS[out_activation](Z)
        else:
            g, slope, written_in = _of(activation_of(activation, l))
            A = g(Z).astype(Z.dtype, copy=False)
            if written_in == "Z":
                cache[f"D{l}"] = slope(Z).astype(Z.dtype, copy=False)
            if masks:
                cache[f"D{l}"] = (slope(A) if written_in == "A" else cache[f"D{l}"]) * masks[f"A{l}"]
                A = A * masks[f"A{l}"]
        cache[f"A{l}"] = A
    return A, cache


def compute_cost(A_L: Array, Y: Array, out_activation: str = "logistic", loss: str | Loss = "") -> float:
    """J = (1/m) sum_i L(a_i, y_i): "Cost function" in the notes, which leave out the sum.

    L(a, y) is sum_j -y_j log a_j - (1 - y_j) log(1 - a_j) for logistic outputs, -sum_j y_j log a_j for softmax,
    sum_j (a_j - y_j)^2 / 2 for identity, sum_j y_j log(y_j / a_j) - y_j + a_j (half the deviance of Poisson's
    distribution) for exp.  Probabilities are kept eps away from 0 and 1.

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
    >>> from fastnn import reference as nn
    >>> nn.compute_cost(np.array([[1.0, 2.0]]), np.array([[3.0, 2.0]]), out_activation="identity")
    1.0
    """
    check_activations("identity", out_activation, 0)
    A, Y = as_array("A_L", A_L), as_array("Y", Y)
    check_examples("Y", Y, A.shape[0], A.shape[1])
    L = _loss(loss, out_activation)[0](A.astype(common_dtype(A, Y), copy=False), Y).sum(axis=0)
    return float(L.mean())


def backward_propagation(
    parameters: Parameters,
    cache: Parameters,
    X: Array,
    Y: Array,
    activation: Activations = "tanh",
    out_activation: str = "logistic",
    loss: str | Loss = "",
) -> dict[str, Array]:
    """The derivatives of the cost by all parameters: equations 1 to 6 of the notes.

    dZ_L = A_L - Y (1), for each of the four outputs with its own loss; then for l = L ... 1
    dW_l = (1/m) dZ_l A_{l-1}^T (2, 5), db_l = (1/m) sum of the columns of dZ_l (3, 6) and
    dZ_{l-1} = W_l^T dZ_l * g'(Z_{l-1}) (4, where the notes have g for g').

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
    >>> from fastnn import reference as nn
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
    gradients = {}
    dZ = _loss(loss, out_activation)[1](cache[f"A{L}"], Y)
    for l in range(L, 0, -1):
        A = cache[f"A{l - 1}"] if l > 1 else X
        gradients[f"dW{l}"] = dZ @ A.T / m
        gradients[f"db{l}"] = dZ.sum(axis=1, keepdims=True) / m
        if l > 1:
            _, slope, _ = _of(activation_of(activation, l - 1))
            dZ = parameters[f"W{l}"].T @ dZ * (cache[f"D{l - 1}"] if f"D{l - 1}" in cache else slope(A))
    return gradients


def update_parameters(parameters: Parameters, gradients: Parameters, learning_rate: float) -> dict[str, Array]:
    """W := W - alpha dW, b := b - alpha db: "Gradient descent" in the notes, which have W for dW on the right.

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
    >>> from fastnn import reference as nn
    >>> nn.update_parameters({"W1": np.array([[2.0]])}, {"dW1": np.array([[4.0]])}, learning_rate=0.25)
    {'W1': array([[1.]])}
    """
    check_gradients(parameters, gradients)
    check_learning_rate(learning_rate)
    return {
        name: value - common_dtype(value).type(learning_rate) * gradients[f"d{name}"]
        for name, value in parameters.items()
    }


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
    """Initialise, then repeat: forward propagation, cost, backpropagation, update, over all the examples.

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
    >>> from fastnn import reference as nn
    >>> X = np.array([[0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.0, 1.0]])
    >>> Y = np.array([[0.0, 1.0, 1.0, 0.0]])
    >>> parameters, costs = nn.gradient_descent(X, Y, layer_sizes=(2, 4, 1), learning_rate=1.0, rng=0)
    >>> A, _ = nn.forward_propagation(X, parameters)
    >>> (A > 0.5).astype(int)
    array([[0, 1, 1, 0]])
    """
    X, Y = as_array("X", X), as_array("Y", Y)
    check_layer_sizes(layer_sizes)
    check_examples("X", X, layer_sizes[0])
    check_examples("Y", Y, layer_sizes[-1], X.shape[1])
    parameters = initialize_parameters(layer_sizes, rng, dtype=common_dtype(X, Y))
    costs = []
    for _ in range(num_iterations):
        A_L, cache = forward_propagation(X, parameters, activation, out_activation)
        costs.append(compute_cost(A_L, Y, out_activation, loss))
        gradients = backward_propagation(parameters, cache, X, Y, activation, out_activation, loss)
        parameters = update_parameters(parameters, gradients, learning_rate)
    return parameters, costs


def sgd(
    theta: Array, gradient: Array, velocity: Array, learning_rate: float, momentum: float = 0.9, nesterov: bool = True
) -> tuple[Array, Array]:
    """v := mu v - alpha g, theta := theta + v; Nesterov: theta + mu v - alpha g (Sutskever et al. 2013).

    Parameters
    ----------
    theta, gradient, velocity : array
        Of any one shape; the first velocity is 0.
    learning_rate, momentum : float
        alpha and mu.
    nesterov : bool
        Which of the two rules.

    Returns
    -------
    theta, velocity : array
        New ones.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import reference as nn
    >>> nn.sgd(np.array([1.0]), np.array([2.0]), np.array([0.0]), learning_rate=0.25, nesterov=False)
    (array([0.5]), array([-0.5]))
    """
    velocity = momentum * velocity - learning_rate * gradient
    return theta + (momentum * velocity - learning_rate * gradient if nesterov else velocity), velocity


def adam(
    theta: Array,
    gradient: Array,
    mean: Array,
    variance: Array,
    t: int,
    learning_rate: float = 0.001,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-8,
) -> tuple[Array, Array, Array]:
    """The algorithm of Kingma & Ba (2015), in the order of their section 2: epsilon is not corrected for the bias.

    Parameters
    ----------
    theta, gradient, mean, variance : array
        Of any one shape; the first mean and variance are 0.
    t : int
        The number of the step, from 1.
    learning_rate, beta_1, beta_2, epsilon : float
        The step size, the decays, and what keeps the division finite.

    Returns
    -------
    theta, mean, variance : array
        New ones.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import reference as nn
    >>> theta, mean, variance = nn.adam(np.array([1.0]), np.array([2.0]), np.zeros(1), np.zeros(1), t=1)
    >>> theta
    array([0.999])
    """
    mean = beta_1 * mean + (1 - beta_1) * gradient
    variance = beta_2 * variance + (1 - beta_2) * gradient**2
    rate = learning_rate * np.sqrt(1 - beta_2**t) / (1 - beta_1**t)
    return theta - rate * mean / (np.sqrt(variance) + epsilon), mean, variance


def nadam(
    theta: Array,
    gradient: Array,
    mean: Array,
    variance: Array,
    t: int,
    learning_rate: float = 0.001,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-8,
) -> tuple[Array, Array, Array]:
    """Adam with Nesterov's momentum, the decay of which grows towards beta_1 (Dozat 2016).

    mu_t = beta_1 (1 - 0.96^(t / 250) / 2) is the decay in step t; epsilon is not corrected for the bias, as in `adam`.

    Parameters
    ----------
    theta, gradient, mean, variance : array
        Of any one shape; the first mean and variance are 0.
    t : int
        The number of the step, from 1.
    learning_rate, beta_1, beta_2, epsilon : float
        The step size, the decays, and what keeps the division finite.

    Returns
    -------
    theta, mean, variance : array
        New ones.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import reference as nn
    >>> theta, mean, variance = nn.nadam(np.array([1.0]), np.array([2.0]), np.zeros(1), np.zeros(1), t=1)
    >>> theta.round(6)
    array([0.998944])
    """
    mu = beta_1 * (1 - 0.5 * 0.96 ** (np.arange(1, t + 2) / 250))
    mean = beta_1 * mean + (1 - beta_1) * gradient
    variance = beta_2 * variance + (1 - beta_2) * gradient**2
    ahead = mu[-1] * mean / (1 - mu.prod()) + (1 - mu[-2]) * gradient / (1 - mu[:-1].prod())
    rate = learning_rate * np.sqrt(1 - beta_2**t)
    return theta - rate * ahead / (np.sqrt(variance) + epsilon), mean, variance


def rmsprop(
    theta: Array,
    gradient: Array,
    variance: Array,
    learning_rate: float = 0.001,
    rho: float = 0.9,
    epsilon: float = 1e-8,
) -> tuple[Array, Array]:
    """v := rho v + (1 - rho) g^2, theta := theta - alpha g / (sqrt(v) + epsilon) (Tieleman & Hinton 2012).

    Parameters
    ----------
    theta, gradient, variance : array
        Of any one shape; the first variance is 0.
    learning_rate, rho, epsilon : float
        The step size alpha, the decay, and what keeps the division finite.

    Returns
    -------
    theta, variance : array
        New ones.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import reference as nn
    >>> theta, variance = nn.rmsprop(np.array([1.0]), np.array([2.0]), np.zeros(1))
    >>> theta.round(6)
    array([0.996838])
    """
    variance = rho * variance + (1 - rho) * gradient**2
    return theta - learning_rate * gradient / (np.sqrt(variance) + epsilon), variance


def dropout_mask(seed: int, step: int, layer: int, rows: npt.NDArray[np.int64], n_units: int, dropout: float) -> Array:
    """0 for a part of the units of a layer, 1 / (1 - p) for the others (Srivastava et al. 2014).

    A unit of an example is dropped where a random number of 32 bits is below p 2^32.  It is a function of the seed, of
    the number of the step and of the layer, which make a key of 64 bits (Steele et al. 2014), and of the example's row
    and the unit: multiples of these, mixed by a permutation of 32 bits (Wellons 2018), in the middle of which the other
    half of the key is added.

    Parameters
    ----------
    seed, step, layer : int
        Which mask: of step 0, 1 ... and A_l.
    rows : array (m,) of int
        The rows of the examples.
    n_units : int
        Of the layer.
    dropout : float
        The part p, from 0 to below 1.

    Returns
    -------
    array (n_units, m)
        What A_l is multiplied by.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import reference as nn
    >>> mask = nn.dropout_mask(0, 0, 1, np.arange(1000), 20, dropout=0.2)
    >>> np.unique(mask).round(3).tolist(), round(float(mask.mean()), 2)
    ([0.0, 1.25], 1.0)
    """
    key = seed % 2**64
    for number in step, layer:
        key = (key + 0x9E3779B97F4A7C15 * (number + 1)) % 2**64
        key = (key ^ key >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        key = (key ^ key >> 27) * 0x94D049BB133111EB % 2**64
        key ^= key >> 31
    low, least = np.uint64(2**32 - 1), int(dropout * 2**32)
    of_units = np.arange(n_units, dtype=np.uint64) * np.uint64(0x85EBCA77)
    x = of_units[:, np.newaxis] + np.asarray(rows, np.uint64) * np.uint64(0x9E3779B1) + np.uint64(key % 2**32) & low
    x = (x ^ x >> np.uint64(16)) * np.uint64(0x21F0AAAD) & low
    x = (x ^ x >> np.uint64(15)) + np.uint64(key >> 32) & low
    x = x * np.uint64(0xD35A2D97) & low
    return np.where(x < least, 0.0, 2**32 / (2**32 - least))
