"""The loop above the kernels: optimizers, and epochs of steps on one thread or on a team."""
import ctypes
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from math import inf
from operator import is_
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba.np.ufunc import parallel as numba_threads
from scipy.sparse import issparse

from fastnn import progress, workspace
from fastnn.kernels import epoch, few, linear, optimizers, passes, small
from fastnn.kernels import predict as prediction
from fastnn.kernels import shuffle as shuffling
from fastnn.kernels.jit import address_of
from fastnn.kernels.team import new_team
from fastnn.network import Array, Network, aligned, common_dtype, layer_sizes_of_coefs
from fastnn.system import get_n_threads

#: Seconds between two returns to Python: how soon an interrupt is heard.
SLICE = 0.1
#: Seconds of training that decide whether another number of threads is faster; and of one of the calls in which they
#: are measured.
TRIAL, CALL = 0.03, 0.002
#: Seconds until a larger number is tried again: soon at first, later seldom; and how many times as long until a smaller
#: one is, which lets cores fall asleep.
SOON, SELDOM, SMALLER = 0.2, 1.0, 5
#: How much slower the larger of two teams may seem after a trial, and still take the next turn; and after that.  A
#: virtual core that is busy for a while gets a better place, which nobody notices who leaves it idle.
DOUBT, SURE = 1.15, 1.03
#: Arithmetic of a step (floating point operations) below which one thread is the first guess: a step of 0.24e6 took
#: 6.1 us alone, and 4.8 together on cores that share a cache, 8.4 on others; one of 2.6e6 took 33, 22 and 26.
SERIAL_BELOW = 1e6
#: The same of a prediction, which enters a parallel region for itself: that takes up to 100 us.  One of 9e6 took 80 us
#: alone and 120 together, one of 45e6 310 and 250.
PREDICT_SERIAL_BELOW = 2e7
#: Up to so many rows are predicted by coefs and intercepts where they are; for more, theta is made of them.
FEW = 1024
#: How many numbers of a sparse matrix are made dense at a time.
DENSE = 1 << 22
#: Seconds below which a call keeps the GIL: a busy thread gives it back after as long as this.
BRIEF = sys.getswitchinterval()
#: Two teams at once crowd the cores: whoever comes second works alone.
_region = threading.Lock()
#: Whether this process may start a region: a child of a process that had threads has none, and OpenMP would abort it.
_alone = False
#: Where the machine code of a kernel for a dtype is.
_addresses: dict[tuple[Any, np.dtype[Any]], int] = {}

progress.report_compilations()


def _after_fork() -> None:
    """In a forked child: a lock that a thread of the parent held stays locked for ever, and its threads are gone."""
    global _alone, _region
    _region, _alone = threading.Lock(), _alone or numba_threads._is_initialized


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class _Kernel(NamedTuple):
    """A kernel and the ways to call it: with the GIL let go, or kept for a brief call; alone, or by a team."""

    serial: Any
    briefly: Any
    team: Any
    team_briefly: Any

    def __call__(self, wanted: int, seconds: float, model: epoch.Model, *args: Any) -> None:
        """Call it on up to `wanted` threads, if a region can be had, for about so many seconds."""
        brief, key = seconds < BRIEF, (self.serial, model.theta.dtype)
        alone = (1, new_team(1), model, *args)
        if key not in _addresses:
            _addresses[key] = address_of(self.serial, *alone)
        if wanted > 1 and not _alone and _region.acquire(blocking=False):
            try:
                if numba_threads.threading_layer() == "workqueue":
                    self._with_helpers(wanted, new_team(wanted), model, *args)
                else:
                    region = self.team_briefly if brief else self.team
                    region(_addresses[key], wanted, new_team(wanted), model, *args)
            finally:
                _region.release()
        elif brief:
            self.briefly(_addresses[key], *alone)
        else:
            self.serial(*alone)

    def _with_helpers(self, wanted: int, *args: Any) -> None:
        """The same call by this thread and threads of our own.

        Numba's layer "workqueue" aborts the process where two threads enter a region at once, and the other may be
        anybody's.  It takes 60 us to enter one; to call the helpers takes about as long.  Who comes late, because
        a busy thread has the GIL, finds the team closed (see `team.roll_call`).
        """
        calls: list[Future[None]] = []
        try:
            with suppress(RuntimeError):         # at the end of the interpreter there are no new threads
                for _ in range(wanted - 1):
                    calls.append(_helpers().submit(self.serial, wanted, *args))
            self.serial(wanted, *args)
        finally:
            wait([call for call in calls if not call.cancel()])


@cache
def _helpers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(numba_threads.NUM_THREADS, "fastnn")


TRAIN = _Kernel(epoch.train, epoch.train_briefly, epoch.train_team, epoch.train_team_briefly)
TRAIN_FEW, TRAIN_SMALL, TRAIN_LINEAR = (TRAIN._replace(serial=way.train) for way in (few, small, linear))
PREDICT = _Kernel(prediction.predict, prediction.predict_briefly, prediction.predict_team, prediction.predict_team)
PREDICT_FEW = PREDICT._replace(serial=prediction.predict_few)


def examples(array: npt.ArrayLike, dtype: npt.DTypeLike) -> Array:
    """The array as the kernels read it: C-contiguous, of this dtype, and read-only; copied only where it has to be.

    Read-only always, because to Numba that is another type: memory maps would need other machine code.
    """
    if isinstance(array, np.ndarray) and array.dtype == dtype and array.flags.c_contiguous and array.flags.aligned:
        view: Array = array.view()               # what `require` would find out, but sooner
    else:
        view = np.require(array, dtype, ["C", "A"]).view()
    view.flags.writeable = False
    return view


@dataclass
class SGD:
    """Stochastic gradient descent with momentum.

    Parameters
    ----------
    learning_rate_init, momentum : float
        Step size and decay of the velocity.
    nesterovs_momentum : bool
        Whether the gradient counts from where the velocity leads (Sutskever et al. 2013).
    lr_schedule : {"constant", "invscaling", "adaptive"}
        What becomes of the learning rate: nothing; divided by t^power_t at the end of an epoch, with t the examples
        seen; divided by 5 where training would stop, until it is below 1e-6.
    power_t : float
        Exponent of "invscaling".
    """

    learning_rate_init: float
    momentum: float = 0.9
    nesterovs_momentum: bool = True
    lr_schedule: str = "constant"
    power_t: float = 0.5
    learning_rate: float = field(init=False)
    moments: Array | None = field(init=False, default=None, repr=False)

    code = optimizers.SGD
    n_moments = 1

    def __post_init__(self) -> None:
        self.learning_rate = float(self.learning_rate_init)

    def constants(self) -> list[float]:
        return [self.momentum, float(self.nesterovs_momentum)]

    def rates(self, n_steps: int) -> npt.NDArray[np.float64]:
        """The learning rate of each of the next steps."""
        return np.full(n_steps, self.learning_rate)

    def iteration_ends(self, time_step: int) -> None:
        """What an epoch's end does, after `time_step` examples in all."""
        if self.lr_schedule == "invscaling":
            self.learning_rate = float(self.learning_rate_init) / (time_step + 1) ** self.power_t

    def trigger_stopping(self, message: str, verbose: bool) -> bool:
        """Whether to stop when there is no progress any more."""
        if self.lr_schedule != "adaptive":
            if verbose:
                print(message + " Stopping.")
            return True
        if self.learning_rate <= 1e-6:
            if verbose:
                print(message + " Learning rate too small. Stopping.")
            return True
        self.learning_rate /= 5.0
        if verbose:
            print(f"{message} Setting learning rate to {self.learning_rate:f}")
        return False


@dataclass
class Adam:
    """Adam (Kingma & Ba 2015).

    Parameters
    ----------
    learning_rate_init, beta_1, beta_2, epsilon : float
        Step size, decays of the two moments, and what keeps the division finite.
    """

    learning_rate_init: float
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    t: int = 0
    moments: Array | None = field(init=False, default=None, repr=False)

    code = optimizers.ADAM
    n_moments = 2

    @property
    def learning_rate(self) -> float:
        """The step size of the last step, correction of the bias included."""
        return float(self._rate(max(self.t, 1)))

    def _rate(self, t: Any) -> Any:
        with np.errstate(divide="ignore", under="ignore"):   # of a beta of 0; after many steps
            decays = np.log([self.beta_1, self.beta_2])
            # beta^t = e^(t log beta): a power takes eight times as long, 0.07 us that a short step would feel.
            decay_1, decay_2 = np.exp(t * decays[0]), np.exp(t * decays[1])
        return self.learning_rate_init * np.sqrt(1 - decay_2) / (1 - decay_1)

    def constants(self) -> list[float]:
        return [self.beta_1, 1 - self.beta_1, self.beta_2, 1 - self.beta_2, self.epsilon]

    def rates(self, n_steps: int) -> npt.NDArray[np.float64]:
        """The learning rate of each of the next steps, correction of the bias included."""
        t = np.arange(self.t + 1, self.t + n_steps + 1)
        self.t += n_steps
        return np.asarray(self._rate(t))

    def iteration_ends(self, time_step: int) -> None:
        """Nothing: the moments do it all."""

    def trigger_stopping(self, message: str, verbose: bool) -> bool:
        """Whether to stop when there is no progress any more: always."""
        if verbose:
            print(message + " Stopping.")
        return True


@dataclass
class NoStep:
    """Parameters stay as they are; the gradient of the last step is left in `moments`."""

    moments: Array | None = field(init=False, default=None, repr=False)

    code = optimizers.NO_STEP
    n_moments = 1

    def constants(self) -> list[float]:
        return [0.0]

    def rates(self, n_steps: int) -> npt.NDArray[np.float64]:
        """Of no meaning."""
        return np.zeros(n_steps)


class Crew:
    """How many threads train: the number that is fastest, measured while they do.

    It depends on the network, the machine and what else that does: where another process takes a core, a team of two
    waits for it and is slower than one thread alone.  The result is the same for all, to the bit.

    Parameters
    ----------
    most, guess : int
        The largest number, and the first.
    """

    def __init__(self, most: int, guess: int) -> None:
        self.sizes = sorted({most, *(2**k for k in range(most.bit_length()))})
        self.size = self._settled = guess
        self.seconds_per_step: dict[int, float] = {}
        self.fastest = inf           # seconds a step of the best call
        self._pace = 0.0             # and of the last one
        self._awake = False          # the first call of a team wakes its threads, and the first of all may compile
        self._trial = False
        self._steps, self._seconds = 0, 0.0            # of this turn
        self._paces: list[float] = []                  # of the calls of a trial
        self._now, self._patience = 0.0, SOON          # seconds of training, and until other sizes are tried again
        self._tried: dict[int, float] = {}             # when each was

    def steps(self) -> int | None:
        """How many steps the next call should take; None where nothing is known."""
        if not self._pace:
            return None
        if not self._awake:
            return max(1, int(CALL / 8 / self._pace))      # it may be much slower
        return max(1, int((CALL if self._trial else max(SLICE - self._seconds, CALL)) / self._pace))

    def note(self, n_steps: int, seconds: float) -> None:
        """These steps took so long: decide who takes the next ones."""
        self._pace = seconds / n_steps
        if not self._awake:
            self._awake = True
            return
        self.fastest = min(self.fastest, self._pace)
        self._steps, self._seconds = self._steps + n_steps, self._seconds + seconds
        if self._trial:
            self._paces.append(self._pace)
        hopeless = len(self._paces) > 2 and self._seconds > 2 * self._steps * min(self.seconds_per_step.values())
        if self._seconds < (TRIAL if self._trial else SLICE) and not hopeless:
            return
        # A core that was idle is slow at first.  And a single call in which the system moves a thread says nothing.
        pace = median(self._paces[len(self._paces) // 2:]) if self._trial else self._seconds / self._steps
        self._now += self._seconds
        self._steps, self._seconds, self._paces = 0, 0.0, []
        before, paces = self.size, self.seconds_per_step
        paces[before], self._tried[before] = pace, self._now
        doubt = (DOUBT if self._trial else SURE) * min(paces.values())
        self.size = max(size for size in paces if paces[size] <= doubt)
        if self.size != self._settled:
            self._settled, self._patience = self.size, SOON
        old = [size for size in paces if size != self.size
               and self._now - self._tried[size] > self._patience * (SMALLER if size < self.size else 1)]
        if old:
            self._patience = min(2 * self._patience, SELDOM)
        for size in old:
            del paces[size]
        place = self.sizes.index(self.size)
        untried = set(self.sizes[max(place - 1, 0):place + 2]) - set(paces)
        self._trial = bool(untried)
        self.size = min(untried, default=self.size)
        self._awake = self.size == before


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

    Raises
    ------
    ValueError
        Where one of them does not fit the others: the kernels check nothing, so this is where all training passes.
    """

    def __init__(self, network: Network, theta: Array, optimizer: SGD | Adam | NoStep, X: Any, Y: Array,
                 batch_size: int, alpha: float = 0.0, sample_weight: Array | None = None,
                 n_threads: int | None = None) -> None:
        number = theta.dtype.type
        self.X: Any = X.tocsr() if issparse(X) else examples(X, theta.dtype)
        self.Y = examples(Y, theta.dtype)
        self.weights = examples([] if sample_weight is None else sample_weight, theta.dtype)
        self.optimizer, self.batch_size = optimizer, batch_size
        if optimizer.moments is None:
            optimizer.moments = aligned(optimizer.n_moments * theta.size, theta.dtype)
        else:                                    # a model in memory that may only be read, weights of another dtype
            optimizer.moments = np.require(optimizer.moments, theta.dtype, ["C", "A", "W"])
        self.moments: Array = optimizer.moments
        self.alpha, self.constants = number(float(alpha)), np.array(optimizer.constants(), theta.dtype)
        self._order: npt.NDArray[np.int64] | None = None         # the last one, whose rows are known to be in range
        self._check(network, theta)
        most = get_n_threads(n_threads)
        n_threads = max(most, 2)                             # `warmup` has a team on one core as well
        if workspace.is_linear(network, theta.dtype):
            self._train, (self.model, self.room) = TRAIN_LINEAR, workspace.for_linear(
                network, theta, batch_size, n_threads)
        elif batch_size <= few.MOST:
            self._train, (self.model, self.room) = TRAIN_FEW, workspace.for_few(
                network, theta, batch_size, n_threads)
        elif workspace.is_small(network, batch_size, theta.dtype):
            self._train, (self.model, self.room) = TRAIN_SMALL, workspace.for_small(
                network, theta, batch_size, n_threads)
        else:
            self._train, (self.model, self.room) = TRAIN, workspace.for_training(network, theta, batch_size, n_threads)
        flops = (6 * network.n_params - 2 * np.prod(network.shapes[0])) * min(batch_size, X.shape[0])
        # A step that may take longer than SLICE is taken in pieces, of whole chunks.
        chunk = self.room.chunk
        self._piece = max(1, int(SLICE * 1e10 / flops * min(batch_size, X.shape[0]) / chunk)) * chunk
        self.crew = Crew(most, most if flops >= SERIAL_BELOW else 1)
        self._first_steps = max(1, int(CALL * 1e10 / flops))      # before anything is measured: at 10 GFLOP/s

    def _check(self, network: Network, theta: Array) -> None:
        (n_x, *_, n_y), n_samples = network.layer_sizes, self.X.shape[0]
        rule, moments = type(self.optimizer), self.moments
        if rule not in (SGD, Adam, NoStep) or self.optimizer.n_moments != rule.n_moments or (
                self.optimizer.code != rule.code):
            raise ValueError(f"optimizer must be an SGD, Adam or NoStep, got {self.optimizer!r}")
        if self.constants.ndim != 1 or any(np.ndim(value) for name, value in vars(self.optimizer).items()
                                           if name != "moments"):
            raise ValueError(f"the parameters of an optimizer must be numbers, got {self.optimizer!r}")
        if theta.shape != (network.n_params,) or not theta.flags.writeable or theta.dtype.char not in "fd":
            raise ValueError(f"theta is {theta.dtype} of shape {theta.shape}, but this network expects "
                             f"({network.n_params},) numbers, to be written to")
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
            raise ValueError(f"the optimizer has moments of shape {moments.shape}, but this network expects "
                             f"{(self.optimizer.n_moments * theta.size,)}: it belongs to another network")
        if not 1 <= self.batch_size:
            raise ValueError(f"batch_size must be a positive number, got {self.batch_size}")

    def run(self, order: npt.NDArray[np.int64], n_steps: int, first_step: int = 0) -> npt.NDArray[np.float64]:
        """That many steps over the examples in this order, from that step of it on, again and again.

        Returns the mean loss and the penalty of each step (n_steps, 2), before its update.
        """
        if order is not self._order:             # an order that is shuffled keeps its rows
            order = np.require(order, np.int64, ["C", "A"])
            if order.ndim != 1 or not order.size or order.min() < 0 or order.max() >= self.X.shape[0]:
                raise ValueError(f"order must hold numbers of rows from 0 to {self.X.shape[0] - 1}, got {order}")
            self._order = order
        costs, done = np.empty((n_steps, 2), self.Y.dtype), 0
        while done < n_steps:
            part = costs[done:done + (self.crew.steps() or self._first_steps)]
            if self._piece < self.batch_size:
                part = part[:1]
            if issparse(self.X):
                part, batches = self._dense(order, first_step + done, part)
            else:
                batches = epoch.Batches(self.X, self.Y, self.weights, order, first_step + done, self.batch_size, 0, 0)
            rates = self.optimizer.rates(len(part)).astype(self.Y.dtype)
            if rates.shape != (len(part),):
                raise ValueError(f"the learning rate must be a number, got {self.optimizer!r}")
            rule = epoch.Rule(self.optimizer.code, self.alpha, rates, self.constants, self.moments)
            is_team = self.crew.size > 1
            room = self.room if is_team else self.room._replace(A_T_streamed=False, theta_streamed=False)
            start = time.perf_counter()
            for begin in range(0, self.batch_size, self._piece):
                piece = batches._replace(begin=begin, end=begin + self._piece)
                self._train(self.crew.size, len(part) * self.crew.fastest, self.model, piece, room, rule, part)
            self.crew.note(len(part), time.perf_counter() - start)
            done += len(part)
        return costs.astype(np.float64)

    def _dense(self, order: npt.NDArray[np.int64], step: int, part: Array) -> tuple[Array, epoch.Batches]:
        """As many of the next steps as have room when dense, none beyond the end of the order; and their examples."""
        first = step % -(-order.size // self.batch_size) * self.batch_size
        most = max(1, DENSE // (self.batch_size * self.X.shape[1]))
        part = part[:min(most, -(-(order.size - first) // self.batch_size))]
        rows = order[first:first + len(part) * self.batch_size]
        return part, epoch.Batches(
            examples(self.X[rows].toarray(), self.Y.dtype), examples(self.Y[rows], self.Y.dtype),
            examples(self.weights[rows] if self.weights.size else self.weights, self.Y.dtype),
            np.arange(rows.size), 0, self.batch_size, 0, 0)

    def epoch(self, order: npt.NDArray[np.int64]) -> tuple[float, float]:
        """One pass over the examples in this order; returns the means of loss and of penalty over the examples."""
        n_steps = -(-order.size // self.batch_size)
        examples = np.full(n_steps, self.batch_size)
        examples[-1] += order.size - n_steps * self.batch_size
        loss, penalty = examples @ self.run(order, n_steps) / order.size
        return float(loss), float(penalty)


class Objective:
    """The cost over all the examples and its gradient, for an optimizer from elsewhere.

    Parameters
    ----------
    network, X, Y, alpha, sample_weight, n_threads
        As in `Trainer`.
    dtype : float32 or float64
        Of the arithmetic.
    """

    def __init__(self, network: Network, X: Any, Y: Array, alpha: float, sample_weight: Array | None,
                 n_threads: int | None, dtype: npt.DTypeLike) -> None:
        # In slices, of which a sparse X becomes dense one at a time; their sums are put together here, in float64.
        size = max(workspace.CHUNK, int(SLICE * 1e10 / (6 * network.n_params)))
        self.order = np.arange(X.shape[0])
        weights = np.ones(X.shape[0]) if sample_weight is None else np.asarray(sample_weight, np.float64)
        self.totals = np.add.reduceat(weights, np.arange(0, X.shape[0], size))
        self.theta, self.gradient = np.empty(network.n_params, dtype), NoStep()
        self.trainer = Trainer(network, self.theta, self.gradient, X, Y, min(size, X.shape[0]),
                               alpha / len(self.totals), sample_weight, n_threads)

    def __call__(self, theta: Array) -> tuple[float, Array]:
        """The cost, penalty included, and its gradient (n_params,), at theta (n_params,)."""
        self.theta[:] = theta
        cost, gradient = 0.0, np.zeros(theta.size)
        for i, total in enumerate(self.totals):
            cost += total * self.trainer.run(self.order, 1, i).sum()
            gradient += total * self.gradient.moments
        return cost / self.totals.sum(), gradient / self.totals.sum()


def _state(bits: Any) -> npt.NDArray[np.uint32]:
    """The memory of a Mersenne Twister of NumPy: its words, and how many of them are used up (N + 1,)."""
    memory = (ctypes.c_uint32 * (shuffling.N + 1)).from_address(bits.ctypes.state_address)
    return np.frombuffer(memory, np.uint32)


@cache
def _state_is_known() -> bool:
    """Whether this NumPy keeps the state as others have."""
    bits = np.random.MT19937(0)
    state: Any = bits.state["state"]
    return np.array_equal(_state(bits), [*state["key"], state["pos"]])


def shuffle(order: npt.NDArray[np.int64], random_state: np.random.RandomState) -> None:
    """random_state.shuffle(order), sooner."""
    bits: Any = random_state._bit_generator
    if type(bits) is not np.random.MT19937 or not _state_is_known():
        random_state.shuffle(order)
        return
    with bits.lock:
        shuffling.shuffle(order, _state(bits), np.empty(shuffling.N, np.uint32))


def pack(network: Network, coefs: Sequence[Array], intercepts: Sequence[Array], dtype: npt.DTypeLike) -> Array:
    """A new theta (n_params,) with the numbers of coefs (n_in, n_out) and intercepts (n_out,)."""
    shapes = [(*intercept.shape, len(coef)) for coef, intercept in zip(coefs, intercepts, strict=True)]
    if shapes != network.shapes or [coef.shape[::-1] for coef in coefs] != shapes:
        raise ValueError(f"the shapes of coefs_ are {[coef.shape for coef in coefs]}, but a network of "
                         f"{network.layer_sizes} units is wanted")
    theta = aligned(network.n_params, dtype)
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


def _by_parts(predict: Callable[[Array], Array], X: Any) -> Array:
    """What `predict` says of the rows of a sparse X, of which some at a time become dense."""
    X, rows = X.tocsr(), max(1, DENSE // X.shape[1])
    return np.concatenate([predict(X[first:first + rows].toarray()) for first in range(0, X.shape[0], rows)])


def _refuse(X: Array, refused: npt.NDArray[np.bool_], estimator_name: str) -> None:
    """Raise scikit-learn's ValueError where a kernel has met NaN or infinity."""
    if any(refused.tolist()):                                # NumPy's own takes a microsecond
        from sklearn.utils import assert_all_finite

        assert_all_finite(X, input_name="X", estimator_name=estimator_name)


def predict(network: Network, theta: Array, X: Any, n_threads: int | None, estimator_name: str) -> Array:
    """A_L^T (n_samples, n_outputs) for the rows of X (n_samples, n_x), in the wider dtype of X and theta.

    On up to n_threads threads if it is worth it; X may be sparse.
    Raises scikit-learn's ValueError, in the name of this estimator, if X has NaN or infinity.
    """
    if X.ndim != 2 or X.shape[1] != network.layer_sizes[0] or theta.shape != (network.n_params,):
        raise ValueError(f"X has shape {X.shape} and theta {theta.shape}, but this network expects "
                         f"(n_samples, {network.layer_sizes[0]}) and ({network.n_params},)")
    if issparse(X):
        return _by_parts(lambda part: predict(network, theta, part, n_threads, estimator_name), X)
    dtype = common_dtype(X.dtype, theta.dtype)
    X, theta, flops = examples(X, dtype), theta.astype(dtype, copy=False), 2 * network.n_params * len(X)
    wanted = get_n_threads(n_threads) if flops >= PREDICT_SERIAL_BELOW else 1
    out, refused = np.empty((len(X), network.layer_sizes[-1]), dtype), np.zeros(wanted, np.bool_)
    model, room = workspace.for_prediction(network, theta, -(-len(X) // wanted), wanted)
    PREDICT(wanted, 1e-10 * flops, model, X, room, out, refused)
    _refuse(X, refused, estimator_name)
    return out


class Predictor:
    """Forward propagation through one network, a few rows by coefs and intercepts where they are.

    Where those are C-contiguous and of one dtype, float32 or float64, a change of a number in them counts in the next
    prediction; else, this one is not of them any more (see `is_of`).

    Parameters
    ----------
    network : Network
    coefs, intercepts : list of arrays (n_in, n_out), (n_out,)
    estimator_name : str
        Who does not take NaN and infinity, in the error that says so.
    """

    def __init__(self, network: Network, coefs: list[Array], intercepts: list[Array], estimator_name: str) -> None:
        if layer_sizes_of_coefs(coefs, intercepts) != network.layer_sizes:
            raise ValueError(f"the shapes of coefs_ are {[coef.shape for coef in coefs]}, but a network of "
                             f"{network.layer_sizes} units is wanted")
        self.network, self.estimator_name = network, estimator_name
        self.dtype = common_dtype(*coefs, *intercepts)
        self._given = [*coefs, *intercepts]
        self._kinds = [(array.shape, array.strides, array.dtype) for array in self._given]
        arrays = [examples(array, self.dtype) for array in self._given]
        # Where NumPy keeps the address of an array's numbers: to ask it for one takes a microsecond.
        self._places = [ctypes.c_void_p.from_address(id(array) + object.__basicsize__) for array in self._given]
        self._addresses = [array.ctypes.data for array in self._given]
        self._is_in_place = (all(map(np.may_share_memory, arrays, self._given))
                             and [place.value for place in self._places] == self._addresses)
        self.coefs, self.intercepts = arrays[:len(coefs)], arrays[len(coefs):]
        # A few rows take less than what has to be made ready for them: so it is, once.  One such call at a time uses
        # it, because they keep the GIL.
        self._model, self._room = workspace.for_prediction_of_few(network, self.coefs, self.intercepts, 1)

    def is_of(self, coefs: list[Array], intercepts: list[Array], activation: str, out_activation: str) -> bool:
        """Whether it is that of these arrays, as they are now."""
        arrays = [*coefs, *intercepts]
        return (self._is_in_place and len(arrays) == len(self._given) and all(map(is_, arrays, self._given))
                and [(array.shape, array.strides, array.dtype) for array in arrays] == self._kinds
                and [place.value for place in self._places] == self._addresses
                and activation == self.network.activation and out_activation == self.network.out_activation)

    def __call__(self, X: Any, n_threads: int | None = None) -> Array:
        """A_L^T (n_samples, n_outputs) for the rows of X (n_samples, n_x), in the wider dtype of X and the parameters.

        On up to n_threads threads if it is worth it; X may be sparse.
        Raises scikit-learn's ValueError if X has NaN or infinity.
        """
        if issparse(X):
            return _by_parts(lambda part: self(part, n_threads), X)
        dtype = self.dtype if X.dtype == self.dtype else common_dtype(X.dtype, self.dtype)
        if len(X) > FEW or dtype != self.dtype:
            theta = pack(self.network, self.coefs, self.intercepts, dtype)
            return predict(self.network, theta, X, n_threads, self.estimator_name)
        if X.ndim != 2 or X.shape[1] != self.network.layer_sizes[0]:
            raise ValueError(f"X has shape {X.shape}, but this network expects "
                             f"(n_samples, {self.network.layer_sizes[0]})")
        X, flops = examples(X, dtype), 2 * self.network.n_params * len(X)
        wanted = get_n_threads(n_threads) if flops >= PREDICT_SERIAL_BELOW else 1
        out, refused = np.empty((len(X), self.network.layer_sizes[-1]), dtype), np.zeros(wanted, np.bool_)
        model, room, seconds = self._model, self._room, 1e-10 * flops
        if wanted > 1 or seconds >= BRIEF:
            model, room = workspace.for_prediction_of_few(self.network, self.coefs, self.intercepts, wanted)
        PREDICT_FEW(wanted, seconds, model, X, room, out, refused)
        _refuse(X, refused, self.estimator_name)
        return out


def warmup() -> None:
    """Compile every kernel, for float32 and float64, so that no later call has to wait for it.

    The machine code is kept on this machine's disk: once is enough.

    Examples
    --------
    >>> import fastnn
    >>> fastnn.warmup()
    """
    from fastnn import functional as nn

    for dtype in (np.float32, np.float64):
        X, Y = np.ones((40, 3), dtype), np.ones((1, 3), dtype)
        network = Network((40, 9, 1), "tanh", "logistic")
        parameters = nn.initialize_parameters(network.layer_sizes, 0, dtype=dtype)
        A_L, cache = nn.forward_propagation(X, parameters)
        nn.compute_cost(A_L, Y)
        nn.update_parameters(parameters, nn.backward_propagation(parameters, cache, X, Y), 0.1)
        theta = network.from_dict(parameters, dtype)
        line = Network((40, 1), "tanh", "logistic")
        runs = [(network, theta, 1), (network, theta, few.MOST + 1), (network, theta, workspace.CHUNK + 1),
                (line, theta[:line.n_params].copy(), 1)]                       # few, small, epoch and linear
        for wanted, seconds in product((1, 2), (0.0, inf)):
            for net, start, batch_size in runs:
                trainer = Trainer(net, start, Adam(0.001), X.T, Y.T, batch_size)
                trainer.crew.size, trainer.crew.fastest = wanted, seconds
                trainer.run(np.arange(3), 1)
            coefs, intercepts = unpack(network, theta)
            for kernel, (model, room) in (
                    (PREDICT, workspace.for_prediction(network, theta, 40, wanted)),
                    (PREDICT_FEW, workspace.for_prediction_of_few(network, coefs, intercepts, wanted))):
                kernel(wanted, seconds, model, examples(X.T, dtype), room, np.empty((3, 1), dtype),
                       np.zeros(wanted, np.bool_))
    shuffle(np.arange(3), np.random.RandomState(0))
