"""Between theta and an estimator's coefs and intercepts."""

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
        passes.transpose(examples(coef, dtype), views[f"W{l}"])
        views[f"b{l}"][:] = intercept
    return theta


def unpack(network: Network, theta: Array) -> tuple[list[Array], list[Array]]:
    """New coefs and intercepts, C-contiguous, with the numbers of theta."""
    coefs, intercepts, views = [], [], network.views(theta)
    for l, (n_out, n_in) in enumerate(network.shapes, 1):
        coefs.append(np.empty((n_in, n_out), theta.dtype))
        passes.transpose(examples(views[f"W{l}"], theta.dtype), coefs[-1])
        intercepts.append(views[f"b{l}"].copy())
    return coefs, intercepts
