"""Training steps of several libraries, side by side: the workloads and the libraries.

Every library gets its best: data in memory, no data loader, the optimizer's state carried from run to run, warm-up
not counted, and the number of threads that suits it. All run Adam with its usual constants on shuffled minibatches.
The last, smaller minibatch of an epoch is left out, because compiled programs have fixed shapes.
"""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from importlib.util import find_spec
from itertools import islice, pairwise
from math import ceil
from statistics import mode
from typing import Any, ClassVar

import numpy as np
from joblib import cpu_count
from numpy.typing import NDArray

from .clock import interleaved

# The usual constants of Adam, for the libraries in which we write it ourselves.
LEARNING_RATE, BETA_1, BETA_2, EPSILON = 1e-3, 0.9, 0.999, 1e-8


@dataclass(frozen=True)
class Workload:
    """A network, its data and its minibatch.

    Parameters
    ----------
    name : str
        How the command line and the benchmarks call it.
    n_features, n_samples, batch_size : int
        Columns and rows of X, examples in a step.
    hidden_layer_sizes : tuple of int
        Units of each hidden layer.
    n_outputs : int
        Units of the last layer: 1 for "binary", the number of classes for "multiclass", of targets for "regression".
    activation : {"relu", "tanh"}
        Of the hidden units.
    task : {"binary", "multiclass", "regression"}
        Log loss for the first two, squared error for the last.
    dtype : {"float32", "float64"}
        Of X and of the arithmetic.
    why : str
        Whom it stands for.
    """

    name: str
    n_features: int
    hidden_layer_sizes: tuple[int, ...]
    n_outputs: int
    activation: str
    task: str
    n_samples: int
    batch_size: int
    dtype: str
    why: str

    @property
    def layer_sizes(self) -> tuple[int, ...]:
        """Units of all layers, from the features to the outputs."""
        return (self.n_features, *self.hidden_layer_sizes, self.n_outputs)

    @property
    def steps_per_epoch(self) -> int:
        """Whole minibatches in the data."""
        return self.n_samples // self.batch_size

    @property
    def flops_per_step(self) -> int:
        """Floating-point operations of the matrix products: the least that a step needs.

        Z, dW and dA take 2 operations each, for each weight and example; the first layer needs no dA.
        """
        first, *others = (n_in * n_out for n_in, n_out in pairwise(self.layer_sizes))
        return (6 * (first + sum(others)) - 2 * first) * self.batch_size


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload(
            "defaults",
            20,
            (100,),
            1,
            "relu",
            "binary",
            20_000,
            200,
            "float32",
            "everyone's first call to scikit-learn",
        ),
        Workload(
            "sklearnex-1104",
            8,
            (128, 32),
            1,
            "relu",
            "binary",
            200_000,
            70,
            "float32",
            "the user who asked Intel's accelerator for an MLP",
        ),
        Workload(
            "skorch-1100",
            4,
            (500,),
            1,
            "relu",
            "regression",
            1_000_000,
            200,
            "float32",
            "the user who found a wrapper 10x slower than PyTorch",
        ),
        Workload(
            "small-tanh",
            4,
            (32, 32),
            1,
            "tanh",
            "regression",
            10_000,
            32,
            "float32",
            "surrogates and control",
        ),
        Workload(
            "bench-mnist",
            784,
            (100, 100),
            10,
            "relu",
            "multiclass",
            60_000,
            200,
            "float32",
            "scikit-learn's own benchmark",
        ),
        Workload(
            "sciml",
            32,
            (256,) * 6,
            10,
            "relu",
            "multiclass",
            20_000,
            128,
            "float32",
            "SciMLBenchmarks' simple_networks",
        ),
        Workload(
            "higgs",
            28,
            (300,) * 5,
            1,
            "tanh",
            "binary",
            200_000,
            100,
            "float32",
            "OpenNN against PyTorch",
        ),
        Workload(
            "wide",
            784,
            (512, 512),
            10,
            "relu",
            "multiclass",
            60_000,
            256,
            "float32",
            "where BLAS is at its best",
        ),
        Workload(
            "defaults-float64",
            20,
            (100,),
            1,
            "relu",
            "binary",
            20_000,
            200,
            "float64",
            "what scikit-learn users get without asking",
        ),
        Workload(
            "bench-mnist-float64",
            784,
            (100, 100),
            10,
            "relu",
            "multiclass",
            60_000,
            200,
            "float64",
            "what scikit-learn users get without asking",
        ),
    )
}


def data(workload: Workload, seed: int = 0) -> tuple[NDArray[Any], NDArray[Any]]:
    """Random examples whose answers a small network of tanh units gives, so that there is something to learn.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features), C order
        Of the workload's dtype, with mean 0 and variance 1.
    y : ndarray of shape (n_samples,), or (n_samples, n_outputs) for several targets
        Labels 0, 1, ... (int64), or values of variance 1 in the workload's dtype.
    """
    rng = np.random.default_rng(seed)
    dtype: Any = np.dtype(workload.dtype)
    X = rng.standard_normal((workload.n_samples, workload.n_features), dtype)
    W1 = rng.standard_normal((workload.n_features, 16), dtype) / dtype.type(np.sqrt(workload.n_features))
    W2 = rng.standard_normal((16, workload.n_outputs), dtype)
    Z2 = np.tanh(X @ W1) @ W2
    if workload.task == "multiclass":
        return X, Z2.argmax(axis=1)
    if workload.task == "binary":
        return X, (Z2[:, 0] > 0).astype(np.int64)
    Y = Z2 / Z2.std()
    return X, Y[:, 0] if workload.n_outputs == 1 else Y


class Rival:
    """One library at work on one workload: the constructor prepares, `run` trains, and only `run` is timed.

    Parameters
    ----------
    workload : Workload
    X, y : ndarray
        What `data(workload)` returned.
    n_threads : int
        Threads that the library may use.
    """

    package: ClassVar[str]

    def __init__(self, workload: Workload, X: NDArray[Any], y: NDArray[Any], n_threads: int) -> None:
        self.workload, self.X, self.y, self.n_threads = workload, X, y, n_threads

    @classmethod
    def installed(cls) -> bool:
        """Whether the library can be used here."""
        return find_spec(cls.package) is not None

    @property
    def n_used(self) -> int:
        """Threads that the library uses."""
        return self.n_threads

    def run(self, n_steps: int) -> None:
        """Train for exactly n_steps minibatches, going on where the last run ended; return when they are done."""
        raise NotImplementedError

    def predict(self, X: NDArray[Any]) -> NDArray[Any]:
        """Return what the last layer says, (n_samples, n_outputs): probabilities, or values.

        It runs with the number of threads of the rival made or run last: to set it takes longer than one row.
        """
        raise NotImplementedError

    def loss(self) -> float:
        """Mean log loss, or half the mean squared error, of the first 10 000 examples: the same in all libraries."""
        y = self.y[:10_000]
        A = self.predict(self.X[:10_000]).astype(np.float64)
        if self.workload.task == "regression":
            return float(np.mean((A.reshape(y.shape) - y) ** 2) / 2)
        likelihood = A[np.arange(len(y)), y] if A.shape[1] > 1 else np.abs(1 - y - A[:, 0])
        return float(-np.mean(np.log(np.maximum(likelihood, np.finfo(self.workload.dtype).eps))))


def minibatches(workload: Workload, reshuffle: Callable[[Any], Any]) -> Iterator[Any]:
    """Row numbers of one minibatch after another without end; `reshuffle` makes each epoch's order from the last."""
    shape = workload.steps_per_epoch, workload.batch_size
    order: Any = np.arange(workload.n_samples)
    while True:
        order = reshuffle(order)
        yield from order[: shape[0] * shape[1]].reshape(shape)


def pieces(workload: Workload, n_done: int, n_steps: int) -> Iterator[tuple[int, int]]:
    """Cut n_steps, after n_done earlier ones, where epochs end: (first, last) step of each piece in its epoch."""
    n_end = n_done + n_steps
    while n_done < n_end:
        first = n_done % workload.steps_per_epoch
        last = min(first + n_end - n_done, workload.steps_per_epoch)
        n_done += last - first
        yield first, last


class Fastnn(Rival):
    """This library: what the estimators do between validation and the end of an epoch, with any of their parameters."""

    package = "fastnn"

    def __init__(self, workload: Workload, X: NDArray[Any], y: NDArray[Any], n_threads: int, **parameters: Any) -> None:
        super().__init__(workload, X, y, n_threads)
        import fastnn
        from fastnn import training

        self.training = training
        self.model: Any = (fastnn.MLPRegressor if workload.task == "regression" else fastnn.MLPClassifier)(
            **{
                "hidden_layer_sizes": workload.hidden_layer_sizes,
                "activation": workload.activation,
                "batch_size": workload.batch_size,
                "n_threads": n_threads,
                "random_state": 0,
                **parameters,
            }
        )
        X, Y, _ = self.model._checked(X, y, None, incremental=False, classes=None)
        self.network = self.model._trained_network()
        self.theta = training.pack(self.network, self.model.coefs_, self.model.intercepts_, X.dtype)
        epochs = self.model._stochastic(self.network, self.theta, X, Y, y, None, False, None, None)
        self.trainer = epochs.args[1]
        self.order: Any = np.arange(workload.n_samples)
        self.n_done = 0

    @property
    def n_used(self) -> int:
        return self.trainer.crew.size

    def run(self, n_steps: int) -> None:
        for first, last in pieces(self.workload, self.n_done, n_steps):
            self.trainer.run(self.order, last - first, first, self.model._random_state)
        self.n_done += n_steps
        self.is_model_stale = True

    def predict(self, X: NDArray[Any]) -> NDArray[Any]:
        if self.is_model_stale:
            self.model.coefs_, self.model.intercepts_ = self.training.unpack(self.network, self.theta)
            self.is_model_stale = False
        return self.model._outputs(X)


class ScikitLearn(Rival):
    """scikit-learn, doing what `fit` does from the second step on.

    `fit` cannot be stopped after some steps, and `partial_fit` validates its data each time. So `fit` validates,
    converts and initialises, and in place of its loop over the minibatches runs ours, which is the same line by line.
    """

    package = "sklearn"

    def __init__(self, workload: Workload, X: NDArray[Any], y: NDArray[Any], n_threads: int) -> None:
        super().__init__(workload, X, y, n_threads)
        from sklearn.neural_network import MLPClassifier, MLPRegressor
        from sklearn.neural_network._stochastic_optimizers import AdamOptimizer
        from sklearn.utils import shuffle
        from threadpoolctl import ThreadpoolController

        self.model: Any = (MLPRegressor if workload.task == "regression" else MLPClassifier)(
            hidden_layer_sizes=workload.hidden_layer_sizes,
            activation=workload.activation,
            batch_size=workload.batch_size,
            random_state=0,
        )
        self.prepared: list[Any] = []
        self.model._fit_stochastic = lambda *arguments: self.prepared.extend(arguments)
        self.model.fit(X, y)
        self.parameters = self.model.coefs_ + self.model.intercepts_
        self.optimizer = AdamOptimizer(self.parameters)
        self.batches = minibatches(workload, partial(shuffle, random_state=self.model._random_state))
        self.set_threads = partial(ThreadpoolController().limit, limits=n_threads, user_api="blas")
        self.set_threads()

    def run(self, n_steps: int) -> None:
        from sklearn.utils import _safe_indexing

        self.set_threads()
        X, y, _, activations, deltas, coef_grads, intercept_grads, *_ = self.prepared
        for rows in islice(self.batches, n_steps):
            activations[0] = _safe_indexing(X, rows)
            self.model._backprop(activations[0], y[rows], None, activations, deltas, coef_grads, intercept_grads)
            self.optimizer.update_params(self.parameters, coef_grads + intercept_grads)

    def predict(self, X: NDArray[Any]) -> NDArray[Any]:
        if self.workload.task == "regression":
            return self.model.predict(X).reshape(len(X), -1)
        return self.model.predict_proba(X)[:, -self.workload.n_outputs :]


class Torch(Rival):
    """PyTorch, eager, with its fused Adam."""

    package = "torch"

    def __init__(self, workload: Workload, X: NDArray[Any], y: NDArray[Any], n_threads: int) -> None:
        super().__init__(workload, X, y, n_threads)
        import torch
        from torch import nn

        torch.manual_seed(0)
        torch.set_num_threads(n_threads)
        activation = {"relu": nn.ReLU, "tanh": nn.Tanh}[workload.activation]
        layers: list[nn.Module] = []
        for n_in, n_out in pairwise(workload.layer_sizes):
            layers += [nn.Linear(n_in, n_out, dtype=getattr(torch, workload.dtype)), activation()]
        self.network = nn.Sequential(*layers[:-1])
        self.criterion: Any = {
            "binary": nn.functional.binary_cross_entropy_with_logits,
            "multiclass": nn.functional.cross_entropy,
            "regression": nn.functional.mse_loss,
        }[workload.task]
        self.optimizer = torch.optim.Adam(self.network.parameters(), fused=True)
        self.inputs = torch.from_numpy(X)
        targets = y if workload.task == "multiclass" else y.astype(workload.dtype).reshape(len(y), -1)
        self.targets = torch.from_numpy(targets)
        self.batches = minibatches(workload, lambda order: torch.randperm(len(order)))

    def step(self, rows: Any) -> None:
        """Train with one minibatch."""
        self.learn(self.inputs.index_select(0, rows), self.targets.index_select(0, rows))

    def learn(self, X: Any, y: Any) -> None:
        """Train with all of these examples."""
        self.optimizer.zero_grad()
        self.criterion(self.network(X), y).backward()
        self.optimizer.step()

    def run(self, n_steps: int) -> None:
        import torch

        torch.set_num_threads(self.n_threads)
        for rows in islice(self.batches, n_steps):
            self.step(rows)

    def predict(self, X: NDArray[Any]) -> NDArray[Any]:
        import torch

        with torch.inference_mode():
            Z = self.network(torch.from_numpy(X))
            if self.workload.task == "binary":
                Z = Z.sigmoid()
            elif self.workload.task == "multiclass":
                Z = Z.softmax(dim=1)
            return Z.numpy()


class TorchCompile(Torch):
    """PyTorch with the whole step, Adam included, in one compiled graph.

    Compiling the eager step instead leaves backward() and the optimizer outside of the graph: no faster than eager.
    """

    @classmethod
    def installed(cls) -> bool:
        compilers = (os.environ.get("CXX"), "c++", "g++", "clang++", "cl")
        return super().installed() and any(name and shutil.which(name) for name in compilers)

    def __init__(self, workload: Workload, X: NDArray[Any], y: NDArray[Any], n_threads: int) -> None:
        super().__init__(workload, X, y, n_threads)
        import torch

        # One function may be compiled a few times only, and would quietly stay eager after that.
        torch.compiler.reset()
        theta = {name: parameter.detach() for name, parameter in self.network.named_parameters()}
        m = {name: torch.zeros_like(w) for name, w in theta.items()}
        v = {name: torch.zeros_like(w) for name, w in theta.items()}
        t = torch.zeros(1, dtype=torch.float64)  # an array: PyTorch 2.13 reads a 0-d one before it is incremented

        def cost(theta: Any, X: Any, y: Any) -> Any:
            return self.criterion(torch.func.functional_call(self.network, theta, (X,)), y)

        @torch.compile
        def step(X: Any, y: Any, rows: Any) -> None:
            gradient = torch.func.grad(cost)(theta, X[rows], y[rows])
            t.add_(1)
            rate = (LEARNING_RATE * torch.sqrt(1 - BETA_2**t) / (1 - BETA_1**t)).to(X.dtype)
            for name, g in gradient.items():
                m[name].lerp_(g, 1 - BETA_1)
                v[name].lerp_(g * g, 1 - BETA_2)
                theta[name].sub_(rate * m[name] / (v[name].sqrt() + EPSILON))

        self.compiled = step

    def step(self, rows: Any) -> None:
        self.compiled(self.inputs, self.targets, rows)


@cache
def jax_device(n_threads: int) -> Any:
    """Return a CPU of JAX that computes with n_threads threads.

    JAX starts its threads once and cannot change their number, which is a pity, as it is often fastest with one. A
    second CPU client beside the first can, through jaxlib and the variable that it takes the number from.
    """
    from jaxlib import xla_client

    before = os.environ.get("NPROC")
    os.environ["NPROC"] = str(n_threads)
    try:
        client: Any = xla_client.make_cpu_client()
        return client.local_devices()[0]
    finally:
        del os.environ["NPROC"]
        if before is not None:
            os.environ["NPROC"] = before


class Jax(Rival):
    """JAX with all steps up to the end of the epoch in one compiled loop, its state donated.

    The bounds of the loop are arguments, so that it is compiled once; a scan over a fixed number of steps took the
    same time.
    """

    package = "jax"

    def __init__(self, workload: Workload, X: NDArray[Any], y: NDArray[Any], n_threads: int) -> None:
        super().__init__(workload, X, y, n_threads)
        import jax
        import jax.numpy as jnp

        jax.config.update("jax_enable_x64", True)  # float32 stays float32: all arrays below have the workload's dtype
        rng = np.random.default_rng(0)
        dtype = np.dtype(workload.dtype)
        self.device = jax_device(n_threads)
        g = {"relu": jax.nn.relu, "tanh": jnp.tanh}[workload.activation]

        def forward(theta: Any, A: Any) -> Any:
            *hidden, (W, b) = theta
            for W_l, b_l in hidden:
                A = g(A @ W_l + b_l)
            return A @ W + b

        def cost(theta: Any, X: Any, y: Any) -> Any:
            Z = forward(theta, X)
            if workload.task == "regression":
                return jnp.mean((Z.reshape(y.shape) - y) ** 2) / 2
            if workload.task == "binary":
                return jnp.mean(jax.nn.softplus(Z[:, 0]) - y * Z[:, 0])
            return -jnp.mean(jnp.sum(jax.nn.one_hot(y, workload.n_outputs, dtype=dtype) * jax.nn.log_softmax(Z), 1))

        def step(state: Any, X: Any, y: Any) -> Any:
            theta, m, v, t = state
            t = t + 1
            gradient = jax.grad(cost)(theta, X, y)
            m = jax.tree.map(lambda m, g: BETA_1 * m + (1 - BETA_1) * g, m, gradient)
            v = jax.tree.map(lambda v, g: BETA_2 * v + (1 - BETA_2) * g * g, v, gradient)
            rate = (LEARNING_RATE * jnp.sqrt(1 - BETA_2**t) / (1 - BETA_1**t)).astype(dtype)
            theta = jax.tree.map(lambda w, m, v: w - rate * m / (jnp.sqrt(v) + EPSILON), theta, m, v)
            return theta, m, v, t

        def steps(state: Any, X: Any, y: Any, order: Any, first: Any, last: Any) -> Any:
            return jax.lax.fori_loop(first, last, lambda i, state: step(state, X[order[i]], y[order[i]]), state)

        def answer(theta: Any, X: Any) -> Any:
            Z = forward(theta, X)
            if workload.task == "binary":
                return jax.nn.sigmoid(Z)
            return jax.nn.softmax(Z) if workload.task == "multiclass" else Z

        def uniform(n_in: int, n_out: int) -> NDArray[Any]:
            bound = np.sqrt(6 / (n_in + n_out))
            return rng.uniform(-bound, bound, (n_in, n_out)).astype(dtype)

        def reshuffled() -> Any:
            order = rng.permutation(workload.n_samples)[: workload.steps_per_epoch * workload.batch_size]
            return self.on_device(order.astype(np.int32).reshape(-1, workload.batch_size))

        theta = [(uniform(*sizes), np.zeros(sizes[1], dtype)) for sizes in pairwise(workload.layer_sizes)]
        zeros = jax.tree.map(np.zeros_like, theta)
        self.state = self.on_device((theta, zeros, jax.tree.map(np.copy, zeros), np.zeros(())))
        targets = y.astype(np.int32 if workload.task == "multiclass" else dtype)
        self.inputs, self.targets = self.on_device((X, targets))
        self.step = step
        self.steps = jax.jit(steps, donate_argnums=0)
        self.answer = jax.jit(answer)
        self.reshuffled = reshuffled
        self.n_done = 0

    def on_device(self, arrays: Any) -> Any:
        """Copy NumPy arrays to where this rival's threads work on them."""
        import jax

        return jax.device_put(arrays, self.device)

    def run(self, n_steps: int) -> None:
        import jax

        for first, last in pieces(self.workload, self.n_done, n_steps):
            if first == 0:
                self.order = self.reshuffled()
            self.state = self.steps(self.state, self.inputs, self.targets, self.order, first, last)
        jax.block_until_ready(self.state)
        self.n_done += n_steps

    def predict(self, X: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(self.answer(self.state[0], X))


LIBRARIES: dict[str, type[Rival]] = {
    "fastnn": Fastnn,
    "sklearn": ScikitLearn,
    "torch": Torch,
    "torch-compile": TorchCompile,
    "jax": Jax,
}


class Peak(Rival):
    """The limit: the arithmetic of the steps, as multiply-adds in registers and nothing else.

    Two threads may do less than twice as much as one: virtual processors can share a core.
    """

    def __init__(self, workload: Workload, X: NDArray[Any], y: NDArray[Any], n_threads: int) -> None:
        super().__init__(workload, X, y, n_threads)
        from fastnn.kernels.machine.host import COLS, REGISTER_BYTES, ROWS
        from fastnn.kernels.machine.peak import peak

        self.kernel: Any = peak
        self.numbers = np.zeros((ROWS, COLS * REGISTER_BYTES // np.dtype(workload.dtype).itemsize), workload.dtype)
        self.threads = ThreadPoolExecutor(n_threads)

    def run(self, n_steps: int) -> None:
        turns = ceil(n_steps * self.workload.flops_per_step / (2 * self.numbers.size * self.n_threads))
        list(self.threads.map(lambda A: self.kernel(turns, A), [self.numbers.copy() for _ in range(self.n_threads)]))


def installed() -> list[str]:
    """Names of the libraries that can be used here."""
    return [name for name, rival in LIBRARIES.items() if rival.installed()]


def thread_counts() -> list[int]:
    """Return one thread, and as many as this process has processors (its affinity and quota are respected)."""
    return sorted({1, cpu_count()})


@dataclass(frozen=True)
class Timing:
    """How long one library took for a step of one workload: `microseconds` holds the mean of each run.

    n_used is the number of threads that it used of the n_threads that it had.
    """

    workload: Workload
    library: str
    n_threads: int
    n_used: int
    microseconds: tuple[float, ...]

    @property
    def quartiles(self) -> tuple[float, float, float]:
        """Lower quartile, median and upper quartile of the runs."""
        low, median, high = np.percentile(self.microseconds, [25, 50, 75])
        return float(low), float(median), float(high)

    @property
    def median(self) -> float:
        """Microseconds a step."""
        return self.quartiles[1]


def measure(
    libraries: Sequence[str],
    workload: Workload,
    n_threads: Sequence[int] | None = None,
    *,
    n_runs: int = 7,
    seconds: float = 0.2,
    pause: float = 0.05,
) -> list[Timing]:
    """Time the libraries turn by turn (A B C A B C ...), so that a change of the machine's speed meets them all.

    Parameters
    ----------
    libraries : sequence of str
        Keys of `LIBRARIES`, and "peak" for `Peak`.
    workload : Workload
    n_threads : sequence of int, default=one, and all that the process may use
        Each library runs with each of these.
    n_runs : int
        Timed runs of each.
    seconds : float
        Length of a run, roughly; at least five steps.
    pause : float
        Seconds of rest before each run: idle threads of the library before may spin for some 25 ms.

    Returns
    -------
    list of Timing
        One for each library and number of threads; `fastest` picks each library's best.
    """
    X, y = data(workload)
    turns = [(library, n) for library in libraries for n in n_threads or thread_counts()]
    rivals = [(LIBRARIES | {"peak": Peak})[library](workload, X, y, n) for library, n in turns]
    runs: list[list[float]] = [[] for _ in turns]
    used: list[list[int]] = [[] for _ in turns]
    clock = interleaved([rival.run for rival in rivals], n_runs=n_runs, seconds=seconds, pause=pause, least=5)
    for turn, step in clock:
        runs[turn].append(1e6 * step)
        used[turn].append(rivals[turn].n_used)
    return [
        Timing(workload, *turn, mode(n_used), tuple(results))
        for turn, n_used, results in zip(turns, used, runs, strict=True)
    ]


def efficiency(ours: Timing, timings: Iterable[Timing]) -> float:
    """Return the share of the peak of the threads used, which was timed among the others, or else is now."""
    limits = [limit for limit in timings if limit.library == "peak" and limit.n_threads == ours.n_used]
    limits = limits or measure(["peak"], ours.workload, [ours.n_used])
    return limits[0].median / ours.median


def fastest(timings: Iterable[Timing]) -> dict[str, Timing]:
    """Return each library's best timing, which names its number of threads."""
    best: dict[str, Timing] = {}
    for timing in sorted(timings, key=lambda timing: timing.median):
        best.setdefault(timing.library, timing)
    return best
