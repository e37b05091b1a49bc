"""Time of a prediction: one row, as in a service, and many."""

from dataclasses import replace

from fastnn.comparison.steps import LIBRARIES, WORKLOADS, data

from . import THREADS, skip_missing

# torch-compile trains otherwise than torch, but predicts like it.
PREDICTORS = tuple(library for library in LIBRARIES if library != "torch-compile")


class OneRow:
    """`predict` of a regressor, 20-(100)-1, in the double precision that users have without asking."""

    params = (PREDICTORS, tuple(THREADS))
    param_names = ("library", "n_threads")

    def setup(self, library, n_threads):
        skip_missing(library)
        workload = replace(WORKLOADS["defaults-float64"], task="regression", n_samples=1000)
        X, y = data(workload)
        self.rival = LIBRARIES[library](workload, X, y, THREADS[n_threads])
        self.rival.run(1)
        self.row = X[:1]
        self.rival.predict(self.row)

    def time_one_row(self, library, n_threads):
        self.rival.predict(self.row)


class Batch:
    """10 000 rows at once."""

    params = (PREDICTORS, ("defaults", "bench-mnist", "wide"), tuple(THREADS))
    param_names = ("library", "workload", "n_threads")

    def setup(self, library, workload, n_threads):
        skip_missing(library)
        workload = replace(WORKLOADS[workload], n_samples=10_000)
        self.X, y = data(workload)
        self.rival = LIBRARIES[library](workload, self.X, y, THREADS[n_threads])
        self.rival.run(1)
        self.rival.predict(self.X)

    def time_batch(self, library, workload, n_threads):
        self.rival.predict(self.X)
