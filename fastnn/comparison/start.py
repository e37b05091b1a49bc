"""What a new process pays before its first answer: imports, machine code that is read, processes that it starts.

Every number comes from a process of its own, which runs a program as a user writes it, here kept as text: fastnn and
its rival in turn, once each process has been run without being counted, so that machine code is compiled and kept, and
the files lie in memory. Settings are the same, threads those that each library takes by itself.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from statistics import median
from tempfile import TemporaryDirectory

#: The libraries, and the modules that have what is compared.
LIBRARIES = {"fastnn": "fastnn", "sklearn": "sklearn.neural_network", "numpy": "numpy"}

# scikit-learn is there before the clock starts: whoever needs a network has it for other things already.
BEGIN = """
import json, pickle, sys, time
from importlib import import_module
from pathlib import Path
import numpy as np
import sklearn.neural_network

home, folder = sys.argv[1], Path(sys.argv[2])
X = np.random.default_rng(0).standard_normal((500, 20))
y = (X[:, 0] > X[:, 1]).astype(int)
"""

FIRST = """
def resident():
    "MiB of memory that the process has; the most that it has had, where the system does not say."
    try:
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) / 2**10 for line in status if line.startswith("VmRSS"))
    except OSError:
        try:
            import resource
        except ImportError:
            return float("nan")
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2 ** (20 if sys.platform == "darwin" else 10)

before = resident()
start = time.perf_counter()
model = import_module(home).MLPClassifier(max_iter=2, random_state=0).fit(X, y)
fit = time.perf_counter() - start
memory = resident() - before
start = time.perf_counter()
model.predict(X)
print(json.dumps([fit, time.perf_counter() - start, memory]))
"""

KEEP = """
model = import_module(home).MLPClassifier(max_iter=2, random_state=0).fit(X, y)
(folder / f"{home}.pickle").write_bytes(pickle.dumps(model))
"""

LOAD = """
start = time.perf_counter()
with open(folder / f"{home}.pickle", "rb") as file:
    model = pickle.load(file)
model.predict(X[:100])
print(json.dumps([time.perf_counter() - start]))
"""

SEARCH = """
from sklearn.datasets import load_wine
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import StandardScaler

X, y = load_wine(return_X_y=True)
X = StandardScaler().fit_transform(X)
model = import_module(home).MLPClassifier(max_iter=50, random_state=0)
candidates = {"hidden_layer_sizes": [(50,), (100,)], "alpha": [1e-4, 1e-3, 1e-2]}
start = time.perf_counter()
GridSearchCV(model, candidates, cv=3, n_jobs=2).fit(X, y)
print(json.dumps([time.perf_counter() - start]))
"""

# Each process waits for the other before it takes a fit, or one of them would do both.
POOL = """
from multiprocessing import get_context

model = import_module(home).MLPClassifier(max_iter=20, random_state=0)
spawn = get_context("spawn")
both = spawn.Barrier(2)
start = time.perf_counter()
with spawn.Pool(2, initializer=both.wait) as pool:
    pool.starmap(model.fit, [(X, y), (X, y)], chunksize=1)
print(json.dumps([time.perf_counter() - start]))
"""

# Nothing else is imported before, because what a library imports is a part of what its import takes.
IMPORT = """
import sys, time
start = time.perf_counter()
__import__(sys.argv[1])
seconds = time.perf_counter() - start
import json
print(json.dumps([seconds]))
"""


def command(arguments: str) -> str:
    """The program that times a whole command, from the start of its process to the end."""
    return f"""
import json, subprocess, sys, time
home, folder = sys.argv[1:]
{arguments}
start = time.perf_counter()
subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
print(json.dumps([time.perf_counter() - start]))
"""


HELP = 'arguments = ["-m", "fastnn.cli", "--help"]'

PREDICT = """
arguments = {
    "fastnn": ["-m", "fastnn.cli", "predict", f"{folder}/model.fastnn"],
    "sklearn.neural_network": [f"{folder}/predict.py", f"{folder}/model.joblib"],
}[home] + [f"{folder}/table.csv", "--output", f"{folder}/predictions.csv"]
"""

# The class and the probability of each, as `fastnn predict` writes them.
SCRIPT = """
import sys
import joblib
import pandas as pd

model, data, _, output = sys.argv[1:]
model, table = joblib.load(model), pd.read_csv(data)
predictions = pd.DataFrame(model.predict_proba(table), columns=[f"probability {name}" for name in model.classes_])
predictions.insert(0, "prediction", model.predict(table))
predictions.to_csv(output, index=False)
"""

TRAIN = """
import pandas as pd

table = pd.DataFrame(X[:200, :5], columns=list("abcde")).assign(colour=np.where(X[:200, 5] > 0, "red", "blue"))
answers = np.where(y[:200], "yes", "no")
table.to_csv(folder / "table.csv", index=False)
if home == "fastnn":
    from fastnn.cli import main

    examples = str(folder / "examples.csv")
    table.assign(answer=answers).to_csv(examples, index=False)
    main(["train", examples, "--target", "answer", "--output", str(folder), "--max-iter", "2", *options])
else:
    import joblib
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    columns = [("numbers", StandardScaler(), list("abcde")), ("text", OneHotEncoder(), ["colour"])]
    network = sklearn.neural_network.MLPClassifier((256, 128), max_iter=2, random_state=0)  # as --model mlp has
    joblib.dump(make_pipeline(ColumnTransformer(columns), network).fit(table, answers), folder / "model.joblib")
    (folder / "predict.py").write_text(script)
"""


@dataclass(frozen=True)
class Program:
    """What a new process does for each library, and what is learned from it.

    Parameters
    ----------
    rows : tuple of str
        Names of the numbers: seconds, or MiB of "memory".
    text : str
        The program: its arguments are the library's module and a folder, and it prints the numbers as a list of JSON.
    before : str
        A program that is run first, once, for what it writes into the folder.
    libraries : tuple of str
        Keys of `LIBRARIES`.
    needs : tuple of str
        Packages, beside the libraries.
    """

    rows: tuple[str, ...]
    text: str
    before: str = field(default="", kw_only=True)
    libraries: tuple[str, ...] = field(default=("fastnn", "sklearn"), kw_only=True)
    needs: tuple[str, ...] = field(default=(), kw_only=True)

    @property
    def is_installed(self) -> bool:
        """Whether this can be run here."""
        return all(map(find_spec, self.needs))

    def run(self, library: str, folder: str) -> tuple[float, ...]:
        """Run the program in a new process, and return its numbers."""
        return tuple(json.loads(python(self.text, LIBRARIES[library], folder).splitlines()[-1]))


def prediction(row: str, *options: str) -> Program:
    """`fastnn predict`, of what `fastnn train` makes with these options, beside a script that uses scikit-learn."""
    before = f"options, script = {options!r}, {SCRIPT!r}\n{BEGIN}{TRAIN}"
    return Program((row,), command(PREDICT), before=before, needs=("typer", "pandas"))


PROGRAMS = (
    Program(("fit", "predict", "memory"), BEGIN + FIRST),
    Program(("load",), BEGIN + LOAD, before=BEGIN + KEEP),
    prediction("command", "--model", "mlp", "--no-compare"),
    prediction("command-tabular"),
    Program(("search",), BEGIN + SEARCH),
    Program(("pool",), BEGIN + POOL),
    Program(("import",), IMPORT, libraries=("fastnn", "numpy")),
    Program(("help",), command(HELP), libraries=("fastnn",), needs=("typer",)),
)
ROWS = {row: program for program in PROGRAMS for row in program.rows}


def python(program: str, *arguments: str) -> str:
    """Run a program in a new process, without warnings, such as that two epochs are few; return what it prints.

    Raises
    ------
    ChildProcessError
        If it ends with an error.
    """
    # In an installed package there is bytecode, as there is in scikit-learn's: so there must be in a checkout.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    got = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=environment | {"PYTHONWARNINGS": "ignore"},  # which the processes that it starts have as well
        capture_output=True,
        text=True,
        check=False,
    )
    if got.returncode:
        raise ChildProcessError(f"a process of {arguments[0]} ended with {got.returncode}: {got.stderr[-500:]}")
    return got.stdout


def measure(program: Program, libraries: Sequence[str], n_runs: int = 5) -> dict[str, dict[str, float]]:
    """Run a program turn by turn (A B A B ...), so that a change of the machine's speed meets all libraries.

    Parameters
    ----------
    program : Program
    libraries : sequence of str
        Of those that the program is for.
    n_runs : int
        Processes of each that are counted, after one that is not.

    Returns
    -------
    dict
        For each row of the program and each library, the median: seconds, or MiB of "memory".
    """
    with TemporaryDirectory(prefix="fastnn-start-") as folder:
        for library in libraries:
            if program.before:
                python(program.before, LIBRARIES[library], folder)
            program.run(library, folder)
        turns = [[program.run(library, folder) for library in libraries] for _ in range(n_runs)]
    return {
        row: {library: median(turn[j][i] for turn in turns) for j, library in enumerate(libraries)}
        for i, row in enumerate(program.rows)
    }
