"""Steps of one network over one set of examples: what the kernels are called with, and for how long."""

import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn.kernels.laws.addresses import address_of
from fastnn.kernels.laws.losses import difference
from fastnn.kernels.laws.optimizers import RATE
from fastnn.kernels.layouts import run as kernels
from fastnn.kernels.layouts.epochs import TAKEN, Epochs, N
from fastnn.kernels.machine.words import new_team
from fastnn.network import Array, Network, aligned, issparse
from fastnn.pieces import PieceMatrix
from fastnn.system import get_n_threads
from fastnn.training import passes
from fastnn.training.calls import examples, here, taken, team_of
from fastnn.training.crew import CALL, SLICE, Crew
from fastnn.training.memory import laws_of, no_epochs, with_laws
from fastnn.training.optimizers import OPTIMIZERS, NoStep, Optimizer
from fastnn.training.order import is_mersenne_twister, words_of
from fastnn.training.plan import way_of
from fastnn.training.ways import columns, pieces, sparse

#: Arithmetic of a step (floating point operations) below which one thread is the first guess: a step of 0.24e6 took
#: 6.1 us alone, and 4.8 together on cores that share a cache, 8.4 on others; one of 2.6e6 took 33, 22 and 26.
SERIAL_BELOW = 1e6


class Prepared:
    """What steps of a network need besides data and parameters: a way, its room, machine code, and how many threads.

    Parameters
    ----------
    theta : array (n_params,)
        How it lies in memory counts.
    case : tuple
        The network; the dtype of theta; the examples of a step; how many threads there are at most; the way, of
        `training.ways`; of a sparse X, how many numbers a batch has at most; whether gradients are clipped.
    flops : float
        Of a step.
    """

    def __init__(
        self, theta: Array, case: tuple[Network, np.dtype[Any], int, int, ModuleType, int, bool], flops: float
    ) -> None:
        self.of = case
        network, _, batch_size, n_threads, way, n_numbers, is_clipped = case
        # `warmup` has a team on one core as well.
        room = network, theta, batch_size, max(n_threads, 2)
        more = {sparse: (n_numbers,), columns: (is_clipped,)}.get(way, ())
        self.model, self.room = way.room(*room, *more)
        self.crew = Crew(n_threads, n_threads if flops >= SERIAL_BELOW else 1)
        self.has_laws = False

    def is_for(self, *case: Any) -> bool:
        """Whether it is that of this case."""
        return self.of == case


def flops_per_example(network: Network, X: Any) -> float:
    """The floating point operations that a step takes for each example."""
    n_x, n_1 = network.layer_sizes[:2]
    n_first = X.nnz / X.shape[0] if issparse(X) else n_x
    return 6.0 * (network.n_params - n_x * n_1) + 4.0 * n_first * n_1


class Trainer:
    """Steps of one network over one set of examples.

    Parameters
    ----------
    network : Network
    theta : array (n_params,)
        Trained in place.
    optimizer : Optimizer
        Its moments are made here, unless it has some.
    X, Y : array (n_samples, n_x), (n_samples, n_y)
        Not copied if C-contiguous and of the dtype of theta.  X may be sparse, and theta is laid out `by_inputs` then:
        see `parameters`; or a `PieceMatrix`, for a network with pieces.  With softmax outputs, Y may be the number of
        the class of each example, (n_samples, 1).
    batch_size : int
    alpha : float
        Strength of the L2 penalty on the weights, alpha / (2 m) sum W^2.
    sample_weight : array (n_samples,) or None
        What each example counts for; m is then the sum over the batch.
    n_threads : int or None
        At most so many; None for the limit of the process.
    way : module or None
        Of `training.ways`, which must be able to train the network; None for the plan's.  A sparse X has its own.
    prepared : Prepared or None
        That of a trainer of the past: if it suits this one, nothing is prepared anew.
    clip_norm, max_norm : float
        The norm that the gradient of the mean loss has at most, and that the weights have that come into a hidden unit;
        0 for any.

    Raises
    ------
    ValueError
        Where one of them does not fit the others: the kernels check nothing, so this is where all training passes.
    """

    def __init__(
        self,
        network: Network,
        theta: Array,
        optimizer: Optimizer,
        X: Any,
        Y: Array,
        batch_size: int,
        alpha: float = 0.0,
        sample_weight: Array | None = None,
        n_threads: int | None = None,
        way: ModuleType | None = None,
        prepared: Prepared | None = None,
        clip_norm: float = 0.0,
        max_norm: float = 0.0,
    ) -> None:
        self.is_sparse, self._shape = issparse(X), X.shape
        if isinstance(X, PieceMatrix):
            self._shape = X.shape[0], X.n_inputs(network.width)
        if (n_pieces := getattr(X, "n_pieces", ())) != network.n_pieces:
            raise ValueError(f"X has columns of {n_pieces} pieces, but this network expects {network.n_pieces}")
        self.X: Any = taken(X, theta.dtype)
        #: An array, `Rows` or `Pieces`.
        self.kind: Any = type(self.X)
        self.Y = examples(Y, theta.dtype)
        self.weights = examples([] if sample_weight is None else sample_weight, theta.dtype)
        if type(optimizer) not in (*OPTIMIZERS.values(), NoStep):
            raise ValueError(
                f"optimizer must be an {', '.join(each.__name__ for each in OPTIMIZERS.values())} or "
                f"NoStep, got {optimizer!r}"
            )
        self.optimizer, self.batch_size, self.rule = optimizer, batch_size, optimizer.rule
        if optimizer.moments is None:
            optimizer.moments = aligned(optimizer.n_moments * theta.size, theta.dtype)
        else:  # a model in memory that may only be read, weights of another dtype
            optimizer.moments = np.require(optimizer.moments, theta.dtype, ["C", "A", "W"])
        self.moments: Array = optimizer.moments
        self.clip_norm, self.max_norm = theta.dtype.type(clip_norm), theta.dtype.type(max_norm)
        self.alpha, self.constants = float(alpha), np.array(optimizer.constants(), theta.dtype)
        self._order: npt.NDArray[np.int64] | None = None  # the last one, whose rows are known to be in range
        self._check(network, theta)
        most, n_numbers, is_clipped = get_n_threads(n_threads), 0, bool(self.clip_norm)
        n_in_step = min(batch_size, X.shape[0])
        flops = flops_per_example(network, X) * n_in_step
        if self.is_sparse:
            counts = np.diff(X.tocsr().indptr)
            largest = counts if n_in_step == len(counts) else np.partition(counts, -n_in_step)[-n_in_step:]
            way, n_numbers = sparse, 1 << int(largest.sum()).bit_length()  # so that it suits others, too
            flops += 30 * network.n_params
        elif network.n_pieces:
            way = pieces
        elif way is None:
            way = way_of(network, batch_size, theta.dtype, is_clipped)
        case = network, theta.dtype, batch_size, most, way, n_numbers, is_clipped
        if prepared is None or not prepared.is_for(*case):
            prepared = Prepared(theta, case, flops)
        self._most, self.prepared, self.crew, self.room = most, prepared, prepared.crew, prepared.room
        if self.is_sparse and network.input_dropout:
            self.room = self.room._replace(**sparse.numbers_after_dropout(X.nnz, theta.dtype))
        self.network, self.way = network, way
        self.model, self._update, self._address = prepared.model._replace(theta=theta), 0, 0
        self._train_epochs: Any = None
        self._advance = 0
        # A step that may take longer than SLICE is taken in pieces, of whole chunks.
        chunk = self.room.chunk
        self._piece = max(1, int(SLICE * 1e10 / flops * n_in_step / chunk)) * chunk
        self._first_steps = max(1, int(CALL * 1e10 / flops))  # before anything is measured: at 10 GFLOP/s

    def take(self, optimizer: Optimizer, X: Array, Y: Array) -> None:
        """Other numbers in place of these, of the same shapes, and a copy of the optimizer."""
        if X.shape != self.X.shape or Y.shape != self.Y.shape or type(optimizer) is not type(self.optimizer):
            raise ValueError(
                f"X and Y have shapes {X.shape} and {Y.shape}, but {self.X.shape} and {self.Y.shape} are wanted"
            )
        self.X, self.Y = examples(X, self.X.dtype), examples(Y, self.Y.dtype)
        self.optimizer, self.moments = optimizer, np.require(optimizer.moments, self.Y.dtype, ["C", "A", "W"])

    def has_as_many_threads(self, n_threads: int | None) -> bool:
        """Whether as many threads may be used as when it was made."""
        return get_n_threads(n_threads) == self._most

    def _check(self, network: Network, theta: Array) -> None:
        (n_x, *_, n_y), n_samples = network.layer_sizes, self._shape[0]
        moments = self.moments
        if self.constants.ndim != 1 or any(
            np.ndim(value) for name, value in vars(self.optimizer).items() if name != "moments"
        ):
            raise ValueError(f"the parameters of an optimizer must be numbers, got {self.optimizer!r}")
        if theta.shape != (network.n_params,) or not theta.flags.writeable or theta.dtype.char not in "fd":
            raise ValueError(
                f"theta is {theta.dtype} of shape {theta.shape}, but this network expects "
                f"({network.n_params},) numbers, to be written to"
            )
        if len(self._shape) != 2 or self._shape[1] != n_x or not n_samples:
            raise ValueError(f"X has shape {self._shape}, but this network expects (n_samples, {n_x})")
        is_of_classes = network.out_activation == "softmax" and network.loss_law.slope is difference
        has_classes = is_of_classes and self.Y.shape == (n_samples, 1)
        if self.Y.shape != (n_samples, n_y) and not has_classes:
            raise ValueError(f"Y has shape {self.Y.shape}, but this network expects ({n_samples}, {n_y})")
        if has_classes and n_y > 1 and not (self.Y.min() >= 0 and self.Y.max() < n_y):
            raise ValueError(f"Y holds the classes {self.Y.min():g} to {self.Y.max():g}, but there are {n_y} outputs")
        if self.weights.shape not in ((0,), (n_samples,)):
            raise ValueError(f"sample_weight has shape {self.weights.shape}, but {(n_samples,)} is wanted")
        n_moments = self.rule.n_moments + self.rule.is_averaged
        if moments.shape != (n_moments * theta.size,):
            raise ValueError(
                f"the optimizer has moments of shape {moments.shape}, but this network expects "
                f"{(n_moments * theta.size,)}: it belongs to another network"
            )
        if not 1 <= self.batch_size:
            raise ValueError(f"batch_size must be a positive number, got {self.batch_size}")

    def run(
        self,
        order: npt.NDArray[np.int64],
        n_steps: int,
        first_step: int = 0,
        random_state: np.random.RandomState | None = None,
    ) -> npt.NDArray[np.float64]:
        """That many steps over the examples in this order, from that step of it on, again and again.

        With a random state, the order is shuffled in place before the first step of it.
        Returns the mean loss and the penalty of each step (n_steps, 2), before its update.
        """
        costs, done, outside = np.empty((n_steps, kernels.COSTS)), 0, no_epochs(self.model.theta.dtype, self.kind)
        while done < n_steps:
            some = self.slice(order, n_steps - done, first_step + done, random_state, outside)
            costs[done : done + len(some)] = some
            done += len(some)
        return costs[:, : kernels.NORM]

    def again(self, order: npt.NDArray[np.int64], step: int) -> Callable[[], Array]:
        """The same step again and again: what is ready for one is for all.  Returns loss and penalty (1, 2).

        The optimizer has one rate, and moments that tell nothing of the last step.
        """
        if self._piece < self.batch_size:
            return lambda: self.run(order, 1, step)
        self._order, costs = order, np.empty((1, kernels.COSTS), self.Y.dtype)
        self.compile()
        run = self._run_of(self._batches(order, step), self.optimizer.numbers(self.alpha, 1))
        outside = no_epochs(self.Y.dtype, self.kind)

        def do() -> Array:
            start, seconds = time.perf_counter(), self.crew.fastest
            here.go_on()
            with team_of(self.crew.size, seconds) as (most, helpers):
                keeps_gil = here.keeps_gil(seconds)
                self._train_epochs(self._address, keeps_gil, most, new_team(most), helpers, run, costs, outside)
            self.crew.note(1, time.perf_counter() - start)
            return costs[:, : kernels.NORM]

        return do

    def most_steps(self) -> int:
        """How many steps the next slice may have."""
        if self._piece < self.batch_size:
            return 1
        n_steps = self.crew.steps() or self._first_steps
        return min(n_steps, sparse.MOST_STEPS) if self.is_sparse else n_steps

    def slice(
        self,
        order: npt.NDArray[np.int64],
        n_steps: int,
        first_step: int,
        random_state: np.random.RandomState | None,
        epochs: Epochs,
    ) -> Array:
        """Up to so many steps, for about SLICE seconds, with what is to be done around them.

        Returns loss and penalty of those that were done.
        """
        if order is not self._order:  # an order that is shuffled keeps its rows
            order = np.require(order, np.int64, ["C", "A", "W"])
            if order.ndim != 1 or not order.size or order.min() < 0 or order.max() >= self._shape[0]:
                raise ValueError(f"order must hold numbers of rows from 0 to {self._shape[0] - 1}, got {order}")
            self._order = order
        here.go_on()
        self.compile()
        steps_per_epoch = -(-order.size // self.batch_size)
        first_step %= steps_per_epoch
        n_steps = min(n_steps, self.most_steps())
        is_known = random_state is None or is_mersenne_twister(random_state)
        if not is_known:  # it shuffles in Python, before an epoch
            n_steps = min(n_steps, steps_per_epoch - first_step)
            if random_state is not None and first_step == 0:
                random_state.shuffle(order)
        costs, numbers = np.empty((n_steps, kernels.COSTS), self.Y.dtype), self.optimizer.numbers(self.alpha, n_steps)
        batches, size, seconds = self._batches(order, first_step), self.crew.size, n_steps * self.crew.fastest
        run = self._run_of(batches, numbers)
        with team_of(size, seconds) as (most, helpers), words_of(random_state if is_known else None) as words:
            around = epochs._replace(words=words, numbers=np.empty(N, np.uint32))
            start, done, before = time.perf_counter(), 0, epochs.carried[TAKEN]
            try:
                for begin in range(0, self.batch_size, self._piece):
                    piece = run._replace(batches=batches._replace(begin=begin, end=begin + self._piece))
                    done = self._train_epochs(
                        self._address, here.keeps_gil(seconds), most, new_team(most), helpers, piece, costs, around
                    )
            except KeyboardInterrupt:  # what was done before it was heard counts
                self.optimizer.steps_end(int(epochs.carried[TAKEN] - before))
                raise
        self.crew.note(done, time.perf_counter() - start)
        self.optimizer.steps_end(done)
        return costs[:done]

    def compile(self) -> None:
        """Have the machine code that steps need.  Other processes help, also with what comes around the steps."""
        if self._update:
            return
        dtype, prepared = self.model.theta.dtype, self.prepared
        train = self.way.TRAIN
        steps: tuple[Any, ...] = ()
        outside: tuple[Any, ...] = ()
        if not train.is_loaded(dtype):
            run = self._run_of(self._batches(np.zeros(1, np.int64), 0), np.zeros((1, RATE + self.rule.n_rates)))
            steps, outside = (run, np.empty((1, kernels.COSTS), dtype)), (no_epochs(dtype, self.kind),)
        self._address = train.code(dtype, *steps, more=outside, before=self._needed_besides).address
        self._train_epochs = train.code_on_team(dtype, *steps, *outside).call
        if not prepared.has_laws:
            prepared.model, prepared.has_laws = with_laws(prepared.model, self.network), True
        self.model = prepared.model._replace(theta=self.model.theta)
        self._update = address_of("update", self.rule, dtype)
        self._advance = address_of("advance", self.rule, dtype) if self.is_sparse else 0

    def _needed_besides(self) -> list[tuple[str, Any]]:
        """What training needs besides its kernel: other processes may compile it meanwhile."""
        dtype = self.model.theta.dtype
        laws = laws_of(self.network, self.rule, dtype, self.is_sparse)
        return [*laws, passes.transpose.wish(dtype)]  # which comes before and after all steps

    def _batches(self, order: npt.NDArray[np.int64], first_step: int) -> kernels.Batches:
        """All the examples of each step, in this order."""
        return kernels.Batches(
            self.X,
            self.Y,
            self.weights,
            order,
            first_step,
            self.batch_size,
            0,
            self.batch_size,
            self.optimizer.seed,
            self.optimizer.t,
        )

    def _run_of(self, batches: kernels.Batches, numbers: npt.NDArray[np.float64]) -> kernels.Run:
        """What the kernel is called with."""
        room = self.room
        if self.crew.size == 1 and self.way is columns:  # what goes past the caches is for other cores
            room = room._replace(A_T_streamed=False, theta_streamed=False)
        in_each = numbers.astype(self.Y.dtype)
        rule = kernels.Rule(
            self._update, self._advance, in_each, self.constants, self.moments, self.clip_norm, self.max_norm
        )
        return kernels.Run(self.model, batches, room, rule)
