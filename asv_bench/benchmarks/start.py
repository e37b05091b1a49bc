"""What a new process pays before its first answer: `fastnn bench --start`, one library at a time.

Beside it stand all libraries: imports, and the first fit with and without a cache of machine code.
"""

from fastnn.comparison.start import ROWS, measure
from fastnn.comparison.steps import LIBRARIES, WORKLOADS, data

from . import skip_missing

IMPORTS = {
    "fastnn": "from fastnn import MLPClassifier",
    "sklearn": "from sklearn.neural_network import MLPClassifier",
    "torch": "import torch",
    "torch-compile": "import torch",
    "jax": "import jax",
}

# Before anything is imported: no machine code from earlier processes.
EMPTY_CACHE = """
import os, tempfile
folder = tempfile.TemporaryDirectory()
os.environ["NUMBA_CACHE_DIR"] = os.environ["TORCHINDUCTOR_CACHE_DIR"] = folder.name
"""


def first_fit(library):
    """Return what is timed, and what comes before it in the new process: a hundred steps, and all they need."""
    before = f"""
{IMPORTS[library]}
from fastnn.comparison.steps import LIBRARIES, WORKLOADS, data
workload = WORKLOADS["defaults"]
X, y = data(workload)
"""
    return f'LIBRARIES["{library}"](workload, X, y, n_threads=1).run(100)', before


def skip_unknown(library, row):
    """Skip what cannot be measured, or not with this library."""
    if not ROWS[row].is_installed:
        raise NotImplementedError(f"{row} needs {' and '.join(ROWS[row].needs)}")
    if library not in ROWS[row].libraries:
        raise NotImplementedError(f"{row} is not measured with {library}")


class Start:
    """Seconds, median of some processes, after one that is not counted."""

    params = (("fastnn", "sklearn"), tuple(row for row in ROWS if row != "memory"))
    param_names = ("library", "row")
    unit = "s"
    timeout = 600

    def setup(self, library, row):
        skip_unknown(library, row)

    def track_start(self, library, row):
        return measure(ROWS[row], [library], n_runs=3)[row][library]


class Memory:
    """MiB that the first fit adds to NumPy and scikit-learn."""

    params = ("fastnn", "sklearn")
    param_names = ("library",)
    unit = "MiB"
    timeout = 600

    def track_memory(self, library):
        return measure(ROWS["memory"], [library], n_runs=3)["memory"][library]


class Import:
    params = ("numpy", "fastnn", "sklearn", "torch", "jax")
    param_names = ("library",)
    number = 1
    repeat = 5

    def setup(self, library):
        if library != "numpy":
            skip_missing(library)

    def timeraw_import(self, library):
        return IMPORTS.get(library, "import numpy")


class WarmFirstFit:
    params = tuple(LIBRARIES)
    param_names = ("library",)
    number = 1
    repeat = 3
    timeout = 300

    def setup(self, library):
        skip_missing(library)
        workload = WORKLOADS["defaults"]
        LIBRARIES[library](workload, *data(workload), n_threads=1).run(1)  # fills the cache

    def timeraw_first_fit(self, library):
        return first_fit(library)


class ColdFirstFit:
    params = ("fastnn", "torch-compile")  # the others keep no machine code
    param_names = ("library",)
    number = 1
    repeat = 1
    timeout = 300

    def setup(self, library):
        skip_missing(library)

    def timeraw_first_fit(self, library):
        statement, before = first_fit(library)
        return statement, EMPTY_CACHE + before
