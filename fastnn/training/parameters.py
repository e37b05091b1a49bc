"""Between theta and an estimator's coefs and intercepts.

Theta holds W (n_out, n_in) of each layer; where X is sparse, `by_inputs`, it holds W_1^T (n_in, n_out), as coefs do.
Where columns have pieces, coefs begin with V when they are brought to theta; what comes back is V W_1^T.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fastnn.network import Array, Network, aligned
from fastnn.training import passes
from fastnn.training.calls import examples


def pack(
    network: Network,
    coefs: Sequence[Array],
    intercepts: Sequence[Array],
    dtype: npt.DTypeLike,
    out: Array | None = None,
    by_inputs: bool = False,
) -> Array:
    """A theta (n_params,), new or `out`, with the numbers of coefs (n_in, n_out) and intercepts (n_out,)."""
    V, coefs = coefs[: bool(network.n_pieces)], coefs[bool(network.n_pieces) :]
    shapes = [(*intercept.shape, len(coef)) for coef, intercept in zip(coefs, intercepts, strict=True)]
    if shapes != network.shapes or [coef.shape[::-1] for coef in coefs] != shapes:
        raise ValueError(
            f"the shapes of coefs_ are {[coef.shape for coef in coefs]}, but a network of "
            f"{network.layer_sizes} units is wanted"
        )
    theta = aligned(network.n_params, dtype) if out is None else out
    views = network.views(theta)
    for l, (coef, intercept) in enumerate(zip(coefs, intercepts, strict=True), 1):
        if l == 1 and by_inputs:
            views["W1"].reshape(coef.shape)[:] = coef
        else:
            passes.transpose(theta.dtype, examples(coef, dtype), views[f"W{l}"])
        views[f"b{l}"][:] = intercept
    if network.n_pieces:
        views["V"][:] = V[0]
    return theta


def unpack(network: Network, theta: Array, by_inputs: bool = False) -> tuple[list[Array], list[Array]]:
    """New coefs and intercepts, C-contiguous, with the numbers of theta."""
    coefs, intercepts, views = [], [], network.views(theta)
    for l, (n_out, n_in) in enumerate(network.shapes, 1):
        if l == 1 and by_inputs:
            coefs.append(views["W1"].reshape(n_in, n_out).copy())
        else:
            coefs.append(np.empty((n_in, n_out), theta.dtype))
            passes.transpose(theta.dtype, examples(views[f"W{l}"], theta.dtype), coefs[-1])
        intercepts.append(views[f"b{l}"].copy())
    if network.n_pieces:
        coefs[0] = _of_pieces(network, coefs[0], views["V"])
    return coefs, intercepts


def _of_pieces(network: Network, coef: Array, V: Array) -> Array:
    """The first coef by the numbers, then their pieces (n + sum of n_pieces, n_1), of that by inputs (n_0, n_1)."""
    width, n_embedded = network.width, network.width * len(network.n_pieces)
    ends = np.cumsum(network.n_pieces)
    of_pieces = [
        V[end - n : end] @ coef[c * width : (c + 1) * width]
        for c, (n, end) in enumerate(zip(network.n_pieces, ends, strict=True))
    ]
    return np.concatenate([coef[n_embedded:], *of_pieces])


def moments_by(network: Network, moments: Array, n_moments: int, from_inputs: bool, to_inputs: bool) -> Array:
    """A copy of moments (n_moments * n_params,), of which each is laid out as theta, in one layout or the other."""
    if from_inputs == to_inputs:
        return moments.copy()
    return np.concatenate(
        [
            pack(network, *unpack(network, moment, from_inputs), moment.dtype, by_inputs=to_inputs)
            for moment in moments.reshape(n_moments, -1)
        ]
    )
