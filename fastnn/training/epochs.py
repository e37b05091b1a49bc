"""Epochs: how they go on from slice to slice, and the examples that tell when to stop."""

from collections.abc import Callable
from dataclasses import replace
from math import inf
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastnn.kernels.laws.addresses import address_of
from fastnn.kernels.layouts import epochs as kernels
from fastnn.network import Array, Network, aligned, issparse
from fastnn.training.calls import taken
from fastnn.training.memory import no_epochs
from fastnn.training.prediction import (
    PREDICT,
    PREDICT_PIECES,
    PREDICT_SPARSE,
    n_threads_for,
    room_for_many,
    room_for_pieces,
    room_for_sparse,
)
from fastnn.training.trainer import Trainer

#: By what progress is told, as the kernels have it.
DECIDES = {
    "loss": kernels.BY_LOSS,
    "score": kernels.BY_SCORE,
    "validation_loss": kernels.BY_VALIDATION_LOSS,
    "calibrated_loss": kernels.BY_CALIBRATED_LOSS,
}


class Told(NamedTuple):
    """What epochs came to: loss, accuracy or R^2, validation loss, and the mean norm of gradients that are clipped."""

    loss: npt.NDArray[np.float64]
    score: npt.NDArray[np.float64]
    validation_loss: npt.NDArray[np.float64]
    gradient_norm: npt.NDArray[np.float64]


def validation(
    network: Network,
    theta: Array,
    X: Any,
    y: Array,
    sample_weight: Any,
    is_classified: bool,
    n_threads: int | None,
    is_calibrated: bool = False,
) -> kernels.Validation:
    """Examples that are set aside, and what it takes to score theta on them.

    Parameters
    ----------
    network : Network
    theta : array (n_params,)
        In training.
    X, y : array (n_samples, n_x), (n_samples, n_y)
        X may be sparse, and theta is laid out `by_inputs` then, or a `PieceMatrix`; y may be the number of the class
        (n_samples, 1).
    sample_weight : array (n_samples,) or None
    is_classified : bool
        Whether accuracy is the score, or R^2.
    n_threads : int or None
        At most.
    is_calibrated : bool
        Whether the calibrated loss decides.
    """
    network = replace(network, dropout=0.0, input_dropout=0.0)
    dtype, wanted, n_samples = theta.dtype, n_threads_for(network, X, n_threads), X.shape[0]
    kernel, in_each, y = PREDICT, -(-n_samples // wanted), np.ascontiguousarray(y, np.float64)
    if issparse(X):
        kernel, n_x, n_1 = PREDICT_SPARSE, *network.layer_sizes[:2]
        W_T, rest = theta[: n_x * n_1].reshape(n_x, n_1), theta[n_x * n_1 :]
        model, room = room_for_sparse(network, W_T, rest, in_each, wanted)
    elif network.n_pieces:
        kernel, (model, room) = PREDICT_PIECES, room_for_pieces(network, theta, in_each, wanted)
    else:
        model, room = room_for_many(network, theta, in_each, wanted)
    X = taken(X, dtype)
    weights, totals = np.empty(0) if sample_weight is None else np.asarray(sample_weight, np.float64), np.empty(0)
    if not is_classified:
        w = weights[:, np.newaxis] if weights.size else np.ones((len(y), 1))
        total = w.sum()
        mean = (w * y).sum(axis=0) / total if total else np.full(y.shape[1], np.nan)
        totals = (w * (y - mean) ** 2).sum(axis=0)
    out, refused = np.empty((n_samples, network.layer_sizes[-1]), dtype), np.zeros(wanted, np.bool_)
    address = kernel.code(dtype, model, X, room, out, refused).address
    scratch = aligned((2 * out.shape[1] + 1) * kernels.BLOCK, dtype)
    model = model._replace(loss=address_of("loss", network.loss_law, dtype))
    if is_calibrated:
        model = model._replace(output=0)
    return kernels.Validation(address, wanted, model, X, room, out, refused, y, weights, totals, scratch)


class Epochs:
    """Epochs of a trainer, one after the other, until nothing improves.

    Parameters
    ----------
    trainer : Trainer
    order : array (n_samples,), int64
        The rows of the examples, which is shuffled in place.
    random_state : RandomState or None
        By whose numbers; None for the same order in all epochs.
    scale : float
        What the mean loss is multiplied by before the penalty is added.
    tol, n_iter_no_change : float
        What an epoch must improve the loss (or score) by, and after more than how many without that training stops.
    validation : kernels.Validation or None
        The examples that are set aside.
    best_loss, best_score, no_improvement_count : float
        Where the last training left them.
    decides : {"loss", "score", "validation_loss", "calibrated_loss"}
        By what progress is told.
    takes_last : bool
        Whether of several epochs that are the best, the last one counts.
    kept : array (n_params,) or None
        The parameters that predict; None for theta.
    score : callable or None
        What scores them after each epoch, which is run alone then; None where the kernels do.

    Attributes
    ----------
    best : array (n_params,)
        The parameters after the epoch with the best score.
    is_interrupted : bool
        Whether Ctrl-C has ended the last slice.
    """

    def __init__(
        self,
        trainer: Trainer,
        order: npt.NDArray[np.int64],
        random_state: np.random.RandomState | None,
        scale: float,
        tol: float,
        n_iter_no_change: float,
        validation: kernels.Validation | None,
        best_loss: float,
        best_score: float,
        no_improvement_count: int,
        decides: str = "loss",
        takes_last: bool = False,
        kept: Array | None = None,
        score: Callable[[], float] | None = None,
    ) -> None:
        self.trainer, self.order, self.random_state, self._step = trainer, order, random_state, 0
        theta, nothing = trainer.model.theta, no_epochs(trainer.model.theta.dtype, trainer.kind)
        self.is_interrupted, self.is_validated, self._score = False, validation is not None, score
        self.kept = theta if kept is None else kept
        self.best = self.kept if decides == "loss" else self.kept.copy()
        self._carried = np.zeros(kernels.CARRIED)
        self._carried[[kernels.BEST_LOSS, kernels.BEST_SCORE, kernels.NO_IMPROVEMENT]] = (
            best_loss,
            best_score,
            no_improvement_count,
        )
        self._carried[[kernels.SHARPNESS, kernels.BEST_SHARPNESS]] = 1.0
        self._kernels = nothing._replace(
            carried=self._carried,
            scale=float(scale),
            tol=float(tol),
            n_iter_no_change=inf if score else float(n_iter_no_change),
            decides=kernels.BY_LOSS if score else DECIDES[decides],
            takes_last=takes_last,
            validation=validation or nothing.validation,
            kept=self.kept,
            best=self.best,
        )

    def run(self, n_epochs: int) -> Told:
        """Go on for about a tenth of a second, and for so many epochs at most.

        Returns what is told of each epoch that has ended; scores are NaN without validation.
        """
        self._carried[kernels.ENDED] = 0
        n_before, taken_before = self._carried[kernels.NO_IMPROVEMENT], self._carried[kernels.TAKEN]
        steps_per_epoch = -(-self.order.size // self.trainer.batch_size)
        n_steps = min(n_epochs * steps_per_epoch - self._step, self.trainer.most_steps())
        told = np.empty((n_steps // steps_per_epoch + 1, kernels.TOLD))
        epochs = self._kernels._replace(told=told)
        try:
            self.trainer.slice(self.order, n_steps, self._step, self.random_state, epochs)
        except KeyboardInterrupt:  # what has been trained before it was heard counts
            self.is_interrupted = True
        self._step = (self._step + int(self._carried[kernels.TAKEN] - taken_before)) % steps_per_epoch
        told = told[: int(self._carried[kernels.ENDED])]
        if self._score and len(told):
            told[-1, kernels.SCORE] = score = self._score()
            self._keep_best(score, n_before)
        return Told(*told.T)

    def _keep_best(self, score: float, n_before: float) -> None:
        """As the kernels do, where there were so many epochs without progress."""
        is_progress = score >= self.best_score + self._kernels.tol
        self._carried[kernels.NO_IMPROVEMENT] = 0 if is_progress else n_before + 1
        if score > self.best_score or (self._kernels.takes_last and score == self.best_score):
            self.best[:], self._carried[kernels.BEST_SCORE] = self.kept, score

    def calibrated_best(self) -> Array:
        """The best parameters, their outputs as sure as the calibrated loss wants them."""
        theta, network = self.best.copy(), self.trainer.network
        views, last = network.views(theta), len(network.shapes)
        for name in f"W{last}", f"b{last}":
            views[name] *= theta.dtype.type(self._carried[kernels.BEST_SHARPNESS])
        return theta

    @property
    def is_at_the_start(self) -> bool:
        """Whether the next step is the first of an epoch."""
        return self._step == 0

    def learning_rates(self, n_epochs: int) -> list[float]:
        """The learning rate in the last step of each of the last epochs."""
        optimizer = self.trainer.optimizer
        if not optimizer.schedule:
            return [optimizer.learning_rate] * n_epochs
        steps_per_epoch = -(-self.order.size // self.trainer.batch_size)
        ends = optimizer.t - self._step - 1 - steps_per_epoch * np.arange(n_epochs)[::-1]
        return (optimizer.learning_rate * optimizer.schedule.at(ends)).tolist()

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """All that the next steps depend on, but for the optimizer's numbers and the random state: see `restore`."""
        optimizer, theta = self.trainer.optimizer, self.trainer.model.theta
        return {
            "theta": theta,
            "moments": optimizer.moments,
            "best": self.best,
            "order": self.order,
            "carried": self._carried,
            "step": np.array([self._step]),
        }

    def restore(self, state: dict[str, npt.NDArray[Any]]) -> None:
        """Go on from a state; the best parameters may be the same array as theta, and then are the same."""
        for name, array in self.state().items():
            if name != "step":
                array[...] = state[name]
        self._step = int(state["step"][0])

    @property
    def best_loss(self) -> np.float64:
        """The smallest loss."""
        return self._carried[kernels.BEST_LOSS]

    @best_loss.setter
    def best_loss(self, loss: float) -> None:
        self._carried[kernels.BEST_LOSS] = loss

    @property
    def best_score(self) -> np.float64:
        """The largest score."""
        return self._carried[kernels.BEST_SCORE]

    @property
    def no_improvement_count(self) -> int:
        """How many epochs there were without progress."""
        return int(self._carried[kernels.NO_IMPROVEMENT])

    @no_improvement_count.setter
    def no_improvement_count(self, count: int) -> None:
        self._carried[kernels.NO_IMPROVEMENT] = count
