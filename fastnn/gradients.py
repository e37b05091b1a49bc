"""Derivatives of what a model predicts by its inputs, and explanations by them."""

from concurrent.futures import ThreadPoolExecutor
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils import check_array, check_random_state
from sklearn.utils.validation import check_scalar

from fastnn.embedded import CompiledNetwork, jit
from fastnn.network import Array, common_dtype, issparse
from fastnn.system import get_n_threads
from fastnn.tables.columns import Number

#: Arithmetic (floating point operations) below which one thread does it all.
SERIAL_BELOW = 1e7
#: Gradients that `expected_gradients` keeps at a time, in numbers.
AT_ONCE = 1 << 20


def _network(model: Any, X: Any) -> tuple[CompiledNetwork, Array]:
    """The model compiled for the wider dtype of X and the parameters, and X as that takes it."""
    if issparse(X):
        raise TypeError(f"X is a {type(X).__name__}, but an array is wanted: X.toarray() is one")
    net = jit(model)
    rows = X
    if net._description.columns is not None:
        rows = net.rows(X)
    elif hasattr(model, "_validated"):
        rows = model._validated(X)
    rows = check_array(rows, dtype="numeric", ensure_all_finite=net._description.columns is None, input_name="X")
    dtype = common_dtype(rows.dtype, net.dtype)
    if dtype != net.dtype:
        net = jit(model, dtype=dtype)
    if rows.shape[1] != net.n_features:
        raise ValueError(f"X has {rows.shape[1]} features, but this network expects {net.n_features}")
    return net, np.ascontiguousarray(rows, dtype)


def _jacobians(net: CompiledNetwork, X: Array, raw: bool, n_threads: int | None) -> Array:
    """Derivatives (n_samples, n, n_features) of what is predicted: n is 1, where that is one number for each row."""
    first = net.n_outputs - 1 if net._n_numbers == 1 else 0
    out = np.empty((len(X), net.n_outputs - first, net.n_features), net.dtype)
    flops = 2 * X.size / net.n_features * net._n_products * (1 + out.shape[1])
    wanted = min(get_n_threads(n_threads) if flops >= SERIAL_BELOW else 1, len(X))
    edges = [len(X) * i // wanted for i in range(wanted + 1)]

    def do(begin: int, end: int) -> None:
        net._input_gradient(X[begin:end], first, raw, out[begin:end])

    if wanted == 1:
        do(0, len(X))
    else:
        with ThreadPoolExecutor(wanted) as pool:
            list(pool.map(do, edges[:-1], edges[1:]))
    return out


def input_gradient(model: Any, X: Any, raw: bool = False, n_threads: int | None = None) -> Array:
    """The derivatives of what a model predicts by the numbers of each row of X: see the method of the estimators."""
    net, rows = _network(model, X)
    out = _jacobians(net, rows, raw, n_threads)
    return out[:, 0] if net._n_numbers == 1 else out


def _units(net: CompiledNetwork) -> tuple[Array, Array]:
    """Mean and scale of each number of a row of a table, NaN and 1 for categories; 0 and 1 for those of a matrix."""
    columns = net._description.columns
    if columns is None:
        return np.zeros(net.n_features), np.ones(net.n_features)
    numbers = [(of.mean, of.scale) if isinstance(of, Number) else (np.nan, 1.0) for _, of in columns]
    return np.array([mean for mean, _ in numbers]), np.array([scale for _, scale in numbers])


def hessian_vector_product(model: Any, X: Any, v: Any, raw: bool = False, n_threads: int | None = None) -> Array:
    """The product of each row's Hessian matrix with a vector: see the method of the estimators."""
    net, rows = _network(model, X)
    v = np.asarray(v, np.float64)
    if v.shape not in (rows.shape, rows.shape[1:]):
        raise ValueError(f"v has shape {v.shape}, but {rows.shape[1:]} or {rows.shape} is wanted")
    if not np.isfinite(v).all():
        raise ValueError("v holds NaN or infinity, but a vector of numbers is wanted")
    means, units = _units(net)
    if (v[..., np.isnan(means)] != 0).any():
        raise ValueError("v holds numbers for categories, but along these there are no derivatives: 0 is wanted")
    vectors = np.broadcast_to(v, rows.shape) / units
    # In float64, where the two gradients differ enough for a step that is short enough.
    net = net if net.dtype == np.float64 else jit(model, dtype=np.float64)
    # H v is proportional to v, whose squares are neither to overflow nor to vanish.
    largest = np.abs(vectors).max(axis=1, keepdims=True)
    vectors = vectors / np.where(largest > 0, largest, 1.0)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    sizes = np.maximum(np.linalg.norm(np.nan_to_num((rows - means) / units), axis=1, keepdims=True), 1.0)
    steps = np.finfo(np.float64).eps ** (1 / 3) * sizes / np.where(norms > 0, norms, 1.0)
    ahead, behind = (_jacobians(net, rows + sign * steps * vectors * units, raw, n_threads) for sign in (1, -1))
    out = (ahead - behind) / (2 * steps[:, :, np.newaxis]) * largest[:, :, np.newaxis]
    return out[:, 0] if net._n_numbers == 1 else out


def expected_gradients(
    model: Any,
    X: Any,
    background: Any,
    *,
    n_samples: int = 200,
    raw: bool = False,
    random_state: int | np.random.RandomState | None = None,
    n_threads: int | None = None,
) -> Array:
    """How much each input contributes to what a model predicts, against a background: expected gradients.

        phi_k = E [ (x_k - x'_k) da/dx_k (x' + t (x - x')) ]

    over rows x' of the background and t between 0 and 1 (Erion et al. 2021).  The contributions of a row add up to what
    is predicted for it, less the mean of that over the background, but for the error of the samples; they are the
    Shapley values of Aumann and Shapley, and what shap's GradientExplainer estimates.

    Parameters
    ----------
    model : MLPClassifier, MLPRegressor, TabularClassifier, TabularRegressor or Pipeline
        As `fastnn.jit` takes it; not with categories.
    X : array-like (n_samples, n_features)
        Rows to explain.
    background : array-like (n_background, n_features)
        Rows that stand for what is usual, such as those of training.
    n_samples : int, default 200
        How many pairs (x', t) are drawn for each row: the same rows of the background for all, t from equal parts of
        the range.
    raw : bool, default False
        Whether it is about the outputs before the output activation, such as log odds; of several members, the mean of
        these.
    random_state : int, RandomState or None, default None
        For the pairs.
    n_threads : int or None, default None
        How many threads at most; None for the limit of the process.

    Returns
    -------
    array (n_rows, n_features), or (n_rows, n_outputs, n_features) where several numbers are predicted
        For two classes, of the probability of the second.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> X = np.random.default_rng(0).normal(size=(200, 3))
    >>> model = fastnn.MLPRegressor(hidden_layer_sizes=(), random_state=0).fit(X, X[:, 0])
    >>> phi = fastnn.expected_gradients(model, X[:5], X, random_state=0)
    >>> bool(np.allclose(phi, (X[:5] - X.mean(axis=0)) * model.coefs_[0].T, atol=0.2))
    True
    """
    check_scalar(n_samples, "n_samples", Integral, min_val=1)
    if n_threads is not None:
        check_scalar(n_threads, "n_threads", Integral, min_val=1)
    net, rows = _network(model, X)
    _, others = _network(model, background)
    if net.has_categories or not (np.isfinite(rows).all() and np.isfinite(others).all()):
        raise ValueError("expected_gradients is for numbers, but there are categories or missing values in the table")
    random = check_random_state(random_state)
    which = np.concatenate([random.permutation(len(others)) for _ in range(-(-n_samples // len(others)))])[:n_samples]
    t = (random.permutation(n_samples) + random.uniform(size=n_samples)) / n_samples
    base, n_outputs = others[which], 1 if net._n_numbers == 1 else net.n_outputs
    phi = np.empty((len(rows), n_outputs, net.n_features))
    at_once = max(1, AT_ONCE // (n_samples * n_outputs * net.n_features))
    for begin in range(0, len(rows), at_once):
        some = rows[begin : begin + at_once, np.newaxis]
        distance = some - base
        points = (base + t[:, np.newaxis].astype(net.dtype) * distance).reshape(-1, net.n_features)
        slopes = _jacobians(net, points, raw, n_threads).reshape(len(some), n_samples, n_outputs, -1)
        phi[begin : begin + at_once] = np.einsum("isk,isok->iok", distance, slopes, dtype=np.float64) / n_samples
    return phi[:, 0] if net._n_numbers == 1 else phi
