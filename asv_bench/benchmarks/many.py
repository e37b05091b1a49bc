"""Many small networks in one process, on one core and on all; and what a fit has around its steps."""

from time import perf_counter

from fastnn import MLPClassifier, MLPRegressor, fit_many
from fastnn.comparison.calls import examples, quiet

from . import THREADS

KINDS = {"classifier": MLPClassifier, "regressor": MLPRegressor}


class Networks:
    """20-(100)-1 with defaults on 1000 examples."""

    params = (tuple(KINDS), ("float32", "float64"), tuple(THREADS))
    param_names = ("kind", "dtype", "n_jobs")
    timeout = 300

    def setup(self, kind, dtype, n_jobs):
        X, y = examples(kind, 1000, 20, dtype)
        self.fit = quiet(lambda: fit_many(KINDS[kind](), X, y, seeds=range(64), n_jobs=THREADS[n_jobs]))
        self.fit()

    def track_networks_a_second(self, kind, dtype, n_jobs):
        start = perf_counter()
        self.fit()
        return 64 / (perf_counter() - start)

    track_networks_a_second.unit = "1/s"


class Short:
    """Two epochs of 200 examples: what comes around the steps, of which each thread waits for the others."""

    params = (tuple(THREADS),)
    param_names = ("n_jobs",)

    def setup(self, n_jobs):
        X, y = examples("classifier", 200, 20)
        self.fit = quiet(lambda: fit_many(MLPClassifier(max_iter=2), X, y, seeds=range(64), n_jobs=THREADS[n_jobs]))
        self.fit()

    def time_64(self, n_jobs):
        self.fit()
