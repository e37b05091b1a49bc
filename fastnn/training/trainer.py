"""Steps of one network over one set of examples: what the kernels are called with, and for how long."""

import time
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import issparse

from fastnn.kernels import run as kernels
from fastnn.kernels.laws.units import address_of, update_unit
from fastnn.network import Array, Network, aligned
from fastnn.system import get_n_threads
from fastnn.training.calls import examples
from fastnn.training.crew import CALL, SLICE, Crew
from fastnn.training.memory import around_steps_wished_for, laws_wished_for, with_laws
from fastnn.training.optimizers import SGD, Adam, NoStep
from fastnn.training.plan import way_of
from fastnn.training.ways import columns

#: Arithmetic of a step (floating point operations) below which one thread is the first guess: a step of 0.24e6 took
#: 6.1 us alone, and 4.8 together on cores that share a cache, 8.4 on others; one of 2.6e6 took 33, 22 and 26.
SERIAL_BELOW = 1e6
#: How many numbers of a sparse matrix are made dense at a time.
DENSE = 1 << 22


class Prepared:
    """What steps of a network need besides data and parameters: a way, its room, machine code, and how many threads.

    Parameters
    ----------
    network : Network
    theta : array (n_params,)
        Only its dtype, and how it lies in memory, count.
    batch_size, n_threads : int
        Examples of a step, and threads at most.
    way : module or None
        See `Trainer`.
    """

    def __init__(
        self, network: Network, theta: Array, batch_size: int, n_threads: int, way: ModuleType | None = None
    ) -> None:
        self.of = network, theta.dtype, batch_size, n_threads, way
        self.network, self.way = network, way or way_of(network, batch_size, theta.dtype)
        # `warmup` has a team on one core as well.
        self.model, self.room = self.way.room(network, theta, batch_size, max(n_threads, 2))
        flops = self.flops(batch_size)
        self.crew = Crew(n_threads, n_threads if flops >= SERIAL_BELOW else 1)
        self.has_laws = False

    def flops(self, n_examples: int) -> int:
        """Floating point operations of a step over so many examples."""
        return int(6 * self.network.n_params - 2 * np.prod(self.network.shapes[0])) * n_examples

    def is_for(self, *case: Any) -> bool:
        """Whether it is that of this network, dtype, batch size, number of threads and way."""
        return self.of == case


class Trainer:
    """Steps of one network over one set of examples.

    Parameters
    ----------
    network : Network
    theta : array (n_params,)
        Trained in place.
    optimizer : SGD, Adam or NoStep
        Its moments are made here, unless it has some.
    X, Y : array (n_samples, n_x), (n_samples, n_y)
        Not copied if C-contiguous and of the dtype of theta.  X may be sparse: the examples of some steps at a time
        become dense.  With softmax outputs, Y may be the number of the class of each example, (n_samples, 1).
    batch_size : int
    alpha : float
        Strength of the L2 penalty on the weights, alpha / (2 m) sum W^2.
    sample_weight : array (n_samples,) or None
        What each example counts for; m is then the sum over the batch.
    n_threads : int or None
        At most so many; None for the limit of the process.
    way : module or None
        Of `training.ways`, which must be able to train the network; None for the plan's.
    prepared : Prepared or None
        That of a trainer of the past: if it suits this one, nothing is prepared anew.

    Raises
    ------
    ValueError
        Where one of them does not fit the others: the kernels check nothing, so this is where all training passes.
    """

    def __init__(
        self,
        network: Network,
        theta: Array,
        optimizer: SGD | Adam | NoStep,
        X: Any,
        Y: Array,
        batch_size: int,
        alpha: float = 0.0,
        sample_weight: Array | None = None,
        n_threads: int | None = None,
        way: ModuleType | None = None,
        prepared: Prepared | None = None,
    ) -> None:
        number = theta.dtype.type
        self.X: Any = X.tocsr() if issparse(X) else examples(X, theta.dtype)
        self.Y = examples(Y, theta.dtype)
        self.weights = examples([] if sample_weight is None else sample_weight, theta.dtype)
        self.optimizer, self.batch_size = optimizer, batch_size
        if optimizer.moments is None:
            optimizer.moments = aligned(optimizer.n_moments * theta.size, theta.dtype)
        else:  # a model in memory that may only be read, weights of another dtype
            optimizer.moments = np.require(optimizer.moments, theta.dtype, ["C", "A", "W"])
        self.moments: Array = optimizer.moments
        self.alpha, self.constants = number(float(alpha)), np.array(optimizer.constants(), theta.dtype)
        self._order: npt.NDArray[np.int64] | None = None  # the last one, whose rows are known to be in range
        self._check(network, theta)
        most = get_n_threads(n_threads)
        if prepared is None or not prepared.is_for(network, theta.dtype, batch_size, most, way):
            prepared = Prepared(network, theta, batch_size, most, way)
        self.prepared, self.crew, self.room = prepared, prepared.crew, prepared.room
        self.network, self.way = network, prepared.way
        self.model, self._update = prepared.model._replace(theta=theta), 0
        examples_of_step = min(batch_size, X.shape[0])
        flops = prepared.flops(examples_of_step)
        # A step that may take longer than SLICE is taken in pieces, of whole chunks.
        chunk = self.room.chunk
        self._piece = max(1, int(SLICE * 1e10 / flops * examples_of_step / chunk)) * chunk
        self._first_steps = max(1, int(CALL * 1e10 / flops))  # before anything is measured: at 10 GFLOP/s

    def _check(self, network: Network, theta: Array) -> None:
        (n_x, *_, n_y), n_samples = network.layer_sizes, self.X.shape[0]
        kind, moments = type(self.optimizer), self.moments
        if kind not in (SGD, Adam, NoStep) or self.optimizer.n_moments != kind.n_moments:
            raise ValueError(f"optimizer must be an SGD, Adam or NoStep, got {self.optimizer!r}")
        if self.constants.ndim != 1 or any(
            np.ndim(value) for name, value in vars(self.optimizer).items() if name != "moments"
        ):
            raise ValueError(f"the parameters of an optimizer must be numbers, got {self.optimizer!r}")
        if theta.shape != (network.n_params,) or not theta.flags.writeable or theta.dtype.char not in "fd":
            raise ValueError(
                f"theta is {theta.dtype} of shape {theta.shape}, but this network expects "
                f"({network.n_params},) numbers, to be written to"
            )
        if self.X.ndim != 2 or self.X.shape[1] != n_x or not n_samples:
            raise ValueError(f"X has shape {self.X.shape}, but this network expects (n_samples, {n_x})")
        has_classes = network.out_activation == "softmax" and self.Y.shape == (n_samples, 1)
        if self.Y.shape != (n_samples, n_y) and not has_classes:
            raise ValueError(f"Y has shape {self.Y.shape}, but this network expects ({n_samples}, {n_y})")
        if has_classes and n_y > 1 and not (self.Y.min() >= 0 and self.Y.max() < n_y):
            raise ValueError(f"Y holds the classes {self.Y.min():g} to {self.Y.max():g}, but there are {n_y} outputs")
        if self.weights.shape not in ((0,), (n_samples,)):
            raise ValueError(f"sample_weight has shape {self.weights.shape}, but {(n_samples,)} is wanted")
        if moments.shape != (self.optimizer.n_moments * theta.size,):
            raise ValueError(
                f"the optimizer has moments of shape {moments.shape}, but this network expects "
                f"{(self.optimizer.n_moments * theta.size,)}: it belongs to another network"
            )
        if not 1 <= self.batch_size:
            raise ValueError(f"batch_size must be a positive number, got {self.batch_size}")

    def run(self, order: npt.NDArray[np.int64], n_steps: int, first_step: int = 0) -> npt.NDArray[np.float64]:
        """That many steps over the examples in this order, from that step of it on, again and again.

        Returns the mean loss and the penalty of each step (n_steps, 2), before its update.
        """
        if order is not self._order:  # an order that is shuffled keeps its rows
            order = np.require(order, np.int64, ["C", "A"])
            if order.ndim != 1 or not order.size or order.min() < 0 or order.max() >= self.X.shape[0]:
                raise ValueError(f"order must hold numbers of rows from 0 to {self.X.shape[0] - 1}, got {order}")
            self._order = order
        self.compile()
        costs, done = np.empty((n_steps, 2), self.Y.dtype), 0
        while done < n_steps:
            part = costs[done : done + (self.crew.steps() or self._first_steps)]
            if self._piece < self.batch_size:
                part = part[:1]
            if issparse(self.X):
                part, batches = self._dense(order, first_step + done, part)
            else:
                batches = kernels.Batches(self.X, self.Y, self.weights, order, first_step + done, self.batch_size, 0, 0)
            rates = self.optimizer.rates(len(part)).astype(self.Y.dtype)
            if rates.shape != (len(part),):
                raise ValueError(f"the learning rate must be a number, got {self.optimizer!r}")
            run = self._run_of(batches, rates)
            start = time.perf_counter()
            for begin in range(0, self.batch_size, self._piece):
                piece = run._replace(batches=batches._replace(begin=begin, end=begin + self._piece))
                self.way.TRAIN(self.crew.size, len(part) * self.crew.fastest, self.model.theta.dtype, piece, part)
            self.crew.note(len(part), time.perf_counter() - start)
            done += len(part)
        return costs.astype(np.float64)

    def compile(self) -> None:
        """Have the machine code that steps need.  Other processes help, also with what comes around the steps."""
        if self._update:
            return
        dtype, prepared = self.model.theta.dtype, self.prepared
        if not self.way.TRAIN.is_compiled(dtype):
            X = examples(np.zeros((1, self.X.shape[1])), dtype) if issparse(self.X) else self.X
            batches = kernels.Batches(X, self.Y, self.weights, np.zeros(1, np.int64), 0, self.batch_size, 0, 0)
            with laws_wished_for(self.network, self.optimizer.rule, dtype), around_steps_wished_for(dtype):
                self.way.TRAIN.compile(dtype, self._run_of(batches, np.zeros(1, dtype)), np.empty((1, 2), dtype))
        if not prepared.has_laws:
            prepared.model, prepared.has_laws = with_laws(prepared.model, self.network), True
        self.model = prepared.model._replace(theta=self.model.theta)
        self._update = address_of(update_unit(self.optimizer.rule), dtype)

    def _run_of(self, batches: kernels.Batches, rates: Array) -> kernels.Run:
        """What the kernel is called with."""
        room = self.room
        if self.crew.size == 1 and self.way is columns:  # what goes past the caches is for other cores
            room = room._replace(A_T_streamed=False, theta_streamed=False)
        run = kernels.Run(
            self.model, batches, room, kernels.Rule(self._update, self.alpha, rates, self.constants, self.moments)
        )
        return run

    def _dense(self, order: npt.NDArray[np.int64], step: int, part: Array) -> tuple[Array, kernels.Batches]:
        """As many of the next steps as have room when dense, none beyond the end of the order; and their examples."""
        first = step % -(-order.size // self.batch_size) * self.batch_size
        most = max(1, DENSE // (self.batch_size * self.X.shape[1]))
        part = part[: min(most, -(-(order.size - first) // self.batch_size))]
        rows = order[first : first + len(part) * self.batch_size]
        return part, kernels.Batches(
            examples(self.X[rows].toarray(), self.Y.dtype),
            examples(self.Y[rows], self.Y.dtype),
            examples(self.weights[rows] if self.weights.size else self.weights, self.Y.dtype),
            np.arange(rows.size),
            0,
            self.batch_size,
            0,
            0,
        )

    def epoch(self, order: npt.NDArray[np.int64]) -> tuple[float, float]:
        """One pass over the examples in this order; returns the means of loss and of penalty over the examples."""
        n_steps = -(-order.size // self.batch_size)
        examples = np.full(n_steps, self.batch_size)
        examples[-1] += order.size - n_steps * self.batch_size
        loss, penalty = examples @ self.run(order, n_steps) / order.size
        return float(loss), float(penalty)
