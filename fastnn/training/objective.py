"""The cost over all the examples and its gradient, for an optimizer from elsewhere."""

from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn.network import Array, Network
from fastnn.training.crew import SLICE
from fastnn.training.memory import CHUNK
from fastnn.training.optimizers import NoStep
from fastnn.training.trainer import Trainer, flops_per_example


class Objective:
    """The cost over all the examples and its gradient, for an optimizer from elsewhere.

    Parameters
    ----------
    network, X, Y, alpha, sample_weight, n_threads
        As in `Trainer`.
    dtype : float32 or float64
        Of the arithmetic.
    """

    def __init__(
        self,
        network: Network,
        X: Any,
        Y: Array,
        alpha: float,
        sample_weight: Array | None,
        n_threads: int | None,
        dtype: npt.DTypeLike,
    ) -> None:
        # In slices, so that Ctrl-C is heard between them; their sums are put together here, in float64.
        size = max(CHUNK, int(SLICE * 1e10 / flops_per_example(network, X)))
        self.order = np.arange(X.shape[0])
        weights = np.ones(X.shape[0]) if sample_weight is None else np.asarray(sample_weight, np.float64)
        self.totals = np.add.reduceat(weights, np.arange(0, X.shape[0], size))
        self.theta, self.gradient = np.empty(network.n_params, dtype), NoStep()
        self.trainer = Trainer(
            network,
            self.theta,
            self.gradient,
            X,
            Y,
            min(size, X.shape[0]),
            alpha / len(self.totals),
            sample_weight,
            n_threads,
        )
        self._steps = [self.trainer.again(self.order, i) for i in range(len(self.totals))]

    def __call__(self, theta: Array) -> tuple[float, Array]:
        """The cost, penalty included, and its gradient (n_params,), at theta (n_params,)."""
        self.theta[:] = theta
        cost, gradient = 0.0, np.zeros(theta.size)
        for step, total in zip(self._steps, self.totals, strict=True):
            cost += total * step().astype(np.float64).sum()
            gradient += total * self.gradient.moments
        return cost / self.totals.sum(), gradient / self.totals.sum()
