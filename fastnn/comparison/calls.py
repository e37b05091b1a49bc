"""Calls as people make them, side by side: whole fits, `partial_fit`, predictions, searches, text.

Where `steps` times the step of the training alone, here is all that a call does: checks, conversions, validation,
stopping rules. Both sides have the same settings, the defaults unless said, and as many threads as they want; data and
models are made before the clock starts. Where a rival is faster with another number of threads, it has that one.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from importlib.util import find_spec
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from sklearn import datasets
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import StandardScaler, normalize
from sklearn.utils.parallel import Parallel, delayed

from . import steps
from .clock import interleaved

#: What must be installed for each library.
LIBRARIES = {
    "fastnn": ("fastnn",),
    "sklearn": ("sklearn",),
    "onnxruntime": ("onnx", "onnxruntime"),
    "jax": ("jax",),
    "torch": ("torch",),
}


def installed() -> list[str]:
    """Names of the libraries that can be used here."""
    return [name for name, packages in LIBRARIES.items() if all(map(find_spec, packages))]


@dataclass(frozen=True)
class Call:
    """One call, as each of the libraries that know it does it.

    Parameters
    ----------
    name : str
        How the command line and the benchmarks call it.
    what : str
        What it is, in a line.
    libraries : tuple of str
        Keys of `LIBRARIES`.
    """

    name: str
    what: str
    libraries: tuple[str, ...] = field(default=("fastnn", "sklearn"), kw_only=True)

    @property
    def n_parts(self) -> int:
        """What the time is divided by: 1, or the number of steps in a call whose steps are of interest."""
        return 1

    def prepare(self, library: str) -> Callable[[], object]:
        """Make data and model, and return what is to be timed, which may be called many times.

        Parameters
        ----------
        library : str
            One of `libraries`.
        """
        raise NotImplementedError


def estimator(library: str, kind: str) -> Any:
    """Return the class of a library's classifier or regressor."""
    module = {"fastnn": "fastnn", "sklearn": "sklearn.neural_network"}[library]
    return getattr(import_module(module), {"classifier": "MLPClassifier", "regressor": "MLPRegressor"}[kind])


def examples(kind: str, n_rows: int, n_features: int, dtype: str = "float64") -> tuple[NDArray[Any], NDArray[Any]]:
    """Random examples, of two classes or with one target: at least so many that the target varies."""
    n_rows = max(n_rows, 200)
    task = {"classifier": "binary", "regressor": "regression"}[kind]
    return steps.data(steps.Workload("", n_features, (), 1, "relu", task, n_rows, n_rows, dtype, ""))


def table(name: str) -> tuple[NDArray[Any], NDArray[Any], str]:
    """Return X, standardised, y and the kind of estimator of one of scikit-learn's data sets."""
    X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    return StandardScaler().fit_transform(X), y, "regressor" if name == "diabetes" else "classifier"


def quiet(call: Callable[[], object]) -> Callable[[], object]:
    """Return the call without the warning that it might have gone on: it is short by intention."""

    def without_warnings() -> object:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return call()

    return without_warnings


@dataclass(frozen=True)
class PartialFit(Call):
    """`partial_fit` of the same rows again and again, on a model that has been through one call."""

    kind: str
    n_rows: int
    n_features: int = 20

    def prepare(self, library: str) -> Callable[[], object]:
        X, y = (array[: self.n_rows] for array in examples(self.kind, self.n_rows, self.n_features))
        model = estimator(library, self.kind)(random_state=0)
        if self.kind == "classifier":
            model.partial_fit(X, y, classes=[0, 1])
        else:
            model.partial_fit(X, y)
        return lambda: model.partial_fit(X, y)


@dataclass(frozen=True)
class Predict(Call):
    """`predict`, checks included; or what onnxruntime makes of the same network."""

    kind: str
    layer_sizes: tuple[int, ...]  # the outputs are left out: they are one
    n_rows: int
    dtype: str = "float64"

    def prepare(self, library: str) -> Callable[[], object]:
        n_features, *hidden = self.layer_sizes
        X, y = examples(self.kind, self.n_rows, n_features, self.dtype)
        model = estimator("fastnn" if library == "onnxruntime" else library, self.kind)(
            hidden_layer_sizes=hidden, max_iter=1, random_state=0
        )
        quiet(lambda: model.fit(X[:200], y[:200]))()
        rows = X[: self.n_rows]
        return onnxruntime_session(model, rows) if library == "onnxruntime" else lambda: model.predict(rows)


def onnxruntime_session(model: Any, X: NDArray[Any]) -> Callable[[], object]:
    """Return the prediction of a fitted regressor (float32) by onnxruntime, with the threads that suit it."""
    import onnxruntime

    file = model.to_onnx().SerializeToString()

    # Outputs are named, because unnamed ones are looked up in every call.
    def session(n_threads: int) -> Callable[[], object]:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = n_threads
        run = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"]).run
        return lambda: run(["variable"], {"X": X})[0]

    return quickest([session(n_threads) for n_threads in (0, *steps.thread_counts())])  # 0 is onnxruntime's own choice


@dataclass(frozen=True)
class Fit(Call):
    """`fit` of a new model on one of scikit-learn's data sets, standardised."""

    data: str
    solver: str = "adam"
    early_stopping: bool = False
    max_iter: int = 200

    def prepare(self, library: str) -> Callable[[], object]:
        X, y, kind = table(self.data)
        new = estimator(library, kind)
        parameters = {"solver": self.solver, "early_stopping": self.early_stopping, "max_iter": self.max_iter}
        return quiet(lambda: new(random_state=0, **parameters).fit(X, y))


@dataclass(frozen=True)
class Many(Call):
    """`fit` of regressors that differ in their seeds, each on one core: by `fit_many`, or by joblib's processes."""

    n_networks: int = 8
    max_iter: int = 200

    @property
    def n_parts(self) -> int:
        return self.n_networks

    def prepare(self, library: str) -> Callable[[], object]:
        X, y = examples("regressor", 1000, 20)
        model, seeds = estimator(library, "regressor")(max_iter=self.max_iter), range(self.n_networks)
        if library == "fastnn":
            return quiet(lambda: import_module("fastnn").fit_many(model, X, y, seeds=seeds))

        def fit(seed: int) -> Any:
            return clone(model).set_params(random_state=seed).fit(X, y)

        return quiet(lambda: Parallel(n_jobs=-1)(delayed(fit)(seed) for seed in seeds))


@dataclass(frozen=True)
class Search(Call):
    """`GridSearchCV` of six candidates on the digits, in three folds: scikit-learn's, or fastnn's own for fastnn."""

    n_jobs: int
    max_iter: int = 30
    is_own: bool = False

    def prepare(self, library: str) -> Callable[[], object]:
        X, y, task = table("digits")
        model = estimator(library, task)(max_iter=self.max_iter, random_state=0)
        candidates = {"hidden_layer_sizes": [(50,), (100,)], "alpha": [1e-4, 1e-3, 1e-2]}
        kind = import_module("fastnn").GridSearchCV if self.is_own and library == "fastnn" else GridSearchCV
        search = kind(model, candidates, cv=3, n_jobs=self.n_jobs)
        return quiet(lambda: search.fit(X, y))


@dataclass(frozen=True)
class Text(Call):
    """Two epochs, or the prediction of all rows, of documents in a sparse matrix."""

    n_rows: int
    n_columns: int
    n_per_row: int
    n_hidden: int
    n_classes: int = 2
    predict: bool = False

    def data(self) -> tuple[csr_array, NDArray[np.int64]]:
        """Documents as TfidfVectorizer has them, and their classes.

        Few words are frequent and most are rare, by Zipf's law, and they stand anywhere in the vocabulary.
        """
        rng = np.random.default_rng(0)
        frequency = 1 / np.arange(1, self.n_columns + 1)
        frequency /= frequency.sum()
        ranks = np.searchsorted(np.cumsum(frequency)[:-1], rng.random((self.n_rows, 4 * self.n_per_row)))
        column_of = rng.permutation(self.n_columns)
        # The first so many different words of each document: its indices are sorted, as a vectorizer's are.
        documents = [list(dict.fromkeys(document))[: self.n_per_row] for document in ranks.tolist()]
        columns = [np.sort(column_of[document]) for document in documents]
        indptr = np.cumsum([0, *map(len, columns)], dtype=np.int32)
        indices = np.concatenate(columns).astype(np.int32)
        rarity = np.empty(self.n_columns)
        rarity[column_of] = 1 - np.log(frequency)
        values = rng.uniform(0.5, 1, len(indices)) * rarity[indices]
        X = normalize(csr_array((values, indices, indptr), shape=(self.n_rows, self.n_columns)))
        return X, (X @ rng.standard_normal((self.n_columns, self.n_classes))).argmax(axis=1)

    def prepare(self, library: str) -> Callable[[], object]:
        X, y = self.data()
        new = estimator(library, "classifier")
        parameters = {"hidden_layer_sizes": (self.n_hidden,), "random_state": 0}
        if not self.predict:
            return quiet(lambda: new(max_iter=2, **parameters).fit(X, y))
        model = new(max_iter=1, **parameters)
        quiet(lambda: model.fit(X, y))()
        return lambda: model.predict(X)


@dataclass(frozen=True)
class FullBatch(Call):
    """A step with all examples at once, of many in one call; rivals do not shuffle, which changes nothing but sums."""

    n_threads: int | None = None
    n_samples: int = 10_000
    n_steps: int = 200
    libraries: tuple[str, ...] = field(default=("fastnn", "jax", "torch"), kw_only=True)

    @property
    def n_parts(self) -> int:
        return self.n_steps

    def prepare(self, library: str) -> Callable[[], object]:
        workload = steps.Workload(
            self.name, 4, (32, 16), 4, "tanh", "regression", self.n_samples, self.n_samples, "float32", self.what
        )
        X, y = steps.data(workload)
        if library == "fastnn":
            parameters: dict[str, Any] = {
                "hidden_layer_sizes": workload.hidden_layer_sizes,
                "activation": workload.activation,
                "batch_size": self.n_samples,
                "max_iter": self.n_steps,
                "tol": 0.0,
                "n_iter_no_change": self.n_steps,
                "n_threads": self.n_threads,
            }
            new = estimator("fastnn", "regressor")
            return quiet(lambda: new(random_state=0, **parameters).fit(X, y))
        loop = {"jax": self.jax_loop, "torch": self.torch_loop}[library]
        counts = steps.thread_counts() if self.n_threads is None else [self.n_threads]
        return quickest([loop(steps.LIBRARIES[library](workload, X, y, n_threads)) for n_threads in counts])

    def jax_loop(self, rival: Any) -> Callable[[], object]:
        """All steps in one compiled loop."""
        import jax

        def loop(state: Any, X: Any, y: Any) -> Any:
            return jax.lax.fori_loop(0, self.n_steps, lambda i, state: rival.step(state, X, y), state)

        compiled = jax.jit(loop, donate_argnums=0)

        def run() -> None:
            rival.state = jax.block_until_ready(compiled(rival.state, rival.inputs, rival.targets))

        return run

    def torch_loop(self, rival: Any) -> Callable[[], object]:
        """One eager step after the other."""
        import torch

        def run() -> None:
            torch.set_num_threads(rival.n_threads)
            for _ in range(self.n_steps):
                rival.learn(rival.inputs, rival.targets)

        return run


def rows_of_the_table() -> list[Call]:
    """All calls, in their order."""
    calls: list[Call] = []
    for n_rows, rows in (1, "one row"), (200, "200 rows"):
        for kind in "classifier", "regressor":
            what = f"partial_fit of {rows}, {kind} of 20 features"
            calls.append(PartialFit(f"partial_fit-{kind}-{n_rows}", what, kind, n_rows))
    for kind in "classifier", "regressor":
        calls.append(Predict(f"predict-{kind}-1", f"predict of one row, {kind} 20-100-1", kind, (20, 100), 1))
    for size, layers in ("small", (20, 100)), ("medium", (784, 100, 100)), ("wide", (784, 512, 512)):
        for n_rows in 1, 100, 10_000:
            what = f"predict of {n_rows} rows, float32 regressor {'-'.join(map(str, layers))}-1"
            predict = Predict(f"predict-{size}-{n_rows}", what, "regressor", layers, n_rows, "float32")
            calls.append(replace(predict, libraries=("fastnn", "onnxruntime")))
    for name in "iris", "cancer", "diabetes", "digits":
        fit = Fit(f"fit-{name}", f"fit of {name} with defaults", name.replace("cancer", "breast_cancer"))
        calls += [
            fit,
            replace(fit, name=f"{fit.name}-early", what=f"fit of {name}, early_stopping=True", early_stopping=True),
        ]
        if name != "digits":
            calls.append(replace(fit, name=f"{fit.name}-lbfgs", what=f"fit of {name}, solver='lbfgs'", solver="lbfgs"))
        if name in ("iris", "cancer"):
            calls.append(replace(fit, name=f"{fit.name}-1", what=f"fit of {name}, max_iter=1", max_iter=1))
    for n_jobs in 1, 2:
        what = f"GridSearchCV of digits, 6 candidates, 3 folds, 30 epochs, n_jobs={n_jobs}"
        calls.append(Search(f"search-digits-{n_jobs}", what, n_jobs))
    calls.append(Search("search-digits-threads", f"the same by fastnn's own, on {n_jobs} threads", n_jobs, is_own=True))
    calls.append(Many("many-8", "a fit of eight at once, regressors 20-100-1, 1000 rows"))
    for text in (
        Text("text-4000", "4000 x 20 000, 40 words a row, (100,), 2 epochs", 4000, 20_000, 40, 100),
        Text("text-11000", "11 000 x 100 000, 120 words a row, (25,), 2 epochs", 11_000, 100_000, 120, 25, 20),
    ):
        calls += [text, replace(text, name=f"{text.name}-predict", what="prediction of the same", predict=True)]
    calls.append(Text("text-hashed", "600 x 2^20, 30 words a row, (2,), 2 epochs", 600, 2**20, 30, 2))
    full_batch = FullBatch("full-batch", "a step of fit, 10 000 rows at once, 4-32-16-4 tanh, float32")
    return [*calls, full_batch, replace(full_batch, name="full-batch-one-thread", n_threads=1)]


CALLS = {call.name: call for call in rows_of_the_table()}


def medians(calls: Sequence[Callable[[], object]], n_runs: int, seconds: float, pause: float) -> list[float]:
    """Seconds that each of these takes, called turn by turn."""

    def repeated(call: Callable[[], object]) -> Callable[[int], None]:
        def run(n: int) -> None:
            for _ in range(n):
                call()

        return run

    runs: list[list[float]] = [[] for _ in calls]
    clock = interleaved(list(map(repeated, calls)), n_runs=n_runs, seconds=seconds, pause=pause, least=1)
    for turn, took in clock:
        runs[turn].append(took)
    return list(map(median, runs))


def quickest(calls: Sequence[Callable[[], object]]) -> Callable[[], object]:
    """Return the fastest of several ways to do the same."""
    times = medians(calls, n_runs=3, seconds=0.02, pause=0.05)
    return calls[times.index(min(times))]


def measure(
    call: Call, libraries: Sequence[str], n_runs: int = 7, *, seconds: float = 0.02, pause: float = 0.05
) -> dict[str, float]:
    """Time a call turn by turn (A B A B ...), so that a change of the machine's speed meets all libraries.

    Parameters
    ----------
    call : Call
    libraries : sequence of str
        Of those that know the call.
    n_runs : int
        Timed runs of each, after one that is not timed.
    seconds : float
        Length of a run, roughly: short calls are repeated.
    pause : float
        Seconds of rest before each run: idle threads of the library before may spin for some 25 ms.

    Returns
    -------
    dict
        The microseconds of a call, or of a step where the call is for its steps, for each library: the median.
    """
    times = medians([call.prepare(library) for library in libraries], n_runs, seconds, pause)
    return {library: 1e6 * took / call.n_parts for library, took in zip(libraries, times, strict=True)}
