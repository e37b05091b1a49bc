"""First weights of a network, by the laws that the field knows."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn.network import Array

Draw = Callable[[np.random.RandomState, int, int], Array]


def he(random_state: np.random.RandomState, n_in: int, n_out: int) -> Array:
    """Normal, of variance 2 / n_in: for relu and its kin (He et al. 2015)."""
    return random_state.standard_normal((n_in, n_out)) * np.sqrt(2 / n_in)


def lecun(random_state: np.random.RandomState, n_in: int, n_out: int) -> Array:
    """Normal, of variance 1 / n_in: for selu, and tanh (LeCun et al. 1998)."""
    return random_state.standard_normal((n_in, n_out)) * np.sqrt(1 / n_in)


def orthogonal(random_state: np.random.RandomState, n_in: int, n_out: int) -> Array:
    """Orthonormal columns, or rows if there are fewer of them, in any direction alike (Saxe et al. 2014)."""
    Q, R = np.linalg.qr(random_state.standard_normal((max(n_in, n_out), min(n_in, n_out))))
    Q *= np.where(np.diag(R) < 0, -1, 1)  # or some directions would be more likely (Mezzadri 2007)
    return np.ascontiguousarray(Q if n_in >= n_out else Q.T)


#: Those whose biases begin at zero, by their names.
INITIALIZERS: dict[str, Draw] = {law.__name__: law for law in (he, lecun, orthogonal)}


def draw(
    init: str, layer_sizes: list[int], laws: list[Any], random_state: np.random.RandomState, dtype: npt.DTypeLike
) -> tuple[list[Array], list[Array]]:
    """Coefs (n_in, n_out) and intercepts (n_out,) of each layer.

    Parameters
    ----------
    init : str
        A name in the table, or "glorot": uniform, of variance 2 / (n_in + n_out), a third of it before logistic units
        (Glorot & Bengio 2010), intercepts too, drawn as scikit-learn does.
    layer_sizes : list of int
    laws : list of str or Activation
        The activation of each hidden layer; that of the last counts for the outputs.
    random_state : RandomState
    dtype : float32 or float64
    """
    coefs: list[Array] = []
    intercepts: list[Array] = []
    for n_in, n_out in pairwise(layer_sizes):
        if init == "glorot":
            bound = np.sqrt((2 if laws[min(len(coefs), len(laws) - 1)] == "logistic" else 6) / (n_in + n_out))
            coef: Array = random_state.uniform(-bound, bound, (n_in, n_out))
            intercept: Array = random_state.uniform(-bound, bound, n_out)
        else:
            coef, intercept = INITIALIZERS[init](random_state, n_in, n_out), np.zeros(n_out)
        coefs.append(coef.astype(dtype, copy=False))
        intercepts.append(intercept.astype(dtype, copy=False))
    return coefs, intercepts


def of_pieces(
    random_state: np.random.RandomState, n_pieces: tuple[int, ...], width: int, dtype: npt.DTypeLike
) -> Array:
    """V (sum of n_pieces, width), by which the pieces of each column become that many inputs.

    Normal: each input begins as some multiple of where a number lies among its edges, (p / n - 1/2), and as a rough
    curve of a fifth of that about it.  Where it begins as a rough curve alone, errors on tables are 2 to 4 % larger.

    Parameters
    ----------
    random_state : RandomState
    n_pieces : tuple of int
        How many pieces each column has.
    width : int
    dtype : float32 or float64
    """

    def of_column(n: int) -> Array:
        slopes, rough = random_state.standard_normal((1, width)), random_state.standard_normal((n, width))
        return slopes / n + 0.2 * rough / np.sqrt(n)

    return np.concatenate([of_column(n) for n in n_pieces]).astype(dtype)


def given(init: Any, layer_sizes: list[int], dtype: npt.DTypeLike) -> tuple[list[Array], list[Array]]:
    """Copies of the coefs and intercepts that a user gives; a ValueError where they are not those of the network."""
    n_layers = len(layer_sizes) - 1
    if len(init) != 2 or any(not isinstance(arrays, list | tuple) or len(arrays) != n_layers for arrays in init):
        raise ValueError(f"init must be (coefs, intercepts), {n_layers} arrays of each for the layers {layer_sizes}")
    copies: tuple[list[Array], list[Array]] = [], []
    for l, (n_in, n_out) in enumerate(pairwise(layer_sizes)):
        for k, (name, shape) in enumerate((("coefs", (n_in, n_out)), ("intercepts", (n_out,)))):
            array = np.asarray(init[k][l])
            if array.shape != shape or array.dtype.kind not in "fiu":
                raise ValueError(
                    f"{name}[{l}] of init must hold finite numbers of shape {shape}, got {array.dtype} of {array.shape}"
                )
            if not np.isfinite(array).all():
                raise ValueError(f"{name}[{l}] of init holds NaN or infinity")
            copies[k].append(np.array(array, dtype, order="C"))
    return copies


def output_intercepts(out_activation: str, Y: Array, n_outputs: int, weights: Array | None) -> Array | None:
    """What predicts the mean of the targets: itself, or the z for which g(z) is; None where that is infinite.

    Parameters
    ----------
    out_activation : {"logistic", "softmax", "identity", "exp"}
    Y : array (n_samples, n_outputs) or, of softmax, (n_samples, 1)
        Targets, or numbers of classes.
    n_outputs : int
    weights : array (n_samples,) or None
    """
    if weights is not None and not weights.sum():
        return None
    if out_activation == "softmax" and Y.shape[1] < n_outputs:
        mean = np.bincount(Y[:, 0].astype(np.intp), weights, n_outputs) / (len(Y) if weights is None else weights.sum())
    else:
        mean = np.average(Y.astype(np.float64), axis=0, weights=weights)
    if out_activation != "identity":
        with np.errstate(divide="ignore"):
            mean = np.log(mean) - (np.log1p(-mean) if out_activation == "logistic" else 0)
    return mean if np.isfinite(mean).all() else None
