"""Between theta and an estimator's coefs and intercepts.

Theta holds W (n_out, n_in) of each layer; where X is sparse, `by_inputs`, it holds W_1^T (n_in, n_out), as coefs do.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fastnn.kernels import passes
from fastnn.network import Array, Network, aligned
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
            passes.transpose(examples(coef, dtype), views[f"W{l}"])
        views[f"b{l}"][:] = intercept
    return theta


def unpack(network: Network, theta: Array, by_inputs: bool = False) -> tuple[list[Array], list[Array]]:
    """New coefs and intercepts, C-contiguous, with the numbers of theta."""
    coefs, intercepts, views = [], [], network.views(theta)
    for l, (n_out, n_in) in enumerate(network.shapes, 1):
        if l == 1 and by_inputs:
            coefs.append(views["W1"].reshape(n_in, n_out).copy())
        else:
            coefs.append(np.empty((n_in, n_out), theta.dtype))
            passes.transpose(examples(views[f"W{l}"], theta.dtype), coefs[-1])
        intercepts.append(views[f"b{l}"].copy())
    return coefs, intercepts


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
