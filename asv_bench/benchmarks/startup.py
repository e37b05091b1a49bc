"""What a new process pays before it trains: imports, and the first fit with and without a cache of machine code."""

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
