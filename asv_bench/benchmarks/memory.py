"""Largest memory of a process that imports a library, makes data and fits.

"nothing" imports fastnn and makes the data, but does not fit: the difference from it is what fastnn's fit needs.
"""

from fastnn.comparison.steps import LIBRARIES, WORKLOADS, data

from . import THREADS, skip_missing


class Fit:
    """One epoch of bench-mnist."""

    params = ("nothing", *LIBRARIES)
    param_names = ("library",)
    timeout = 300

    def setup(self, library):
        if library != "nothing":
            skip_missing(library)

    def peakmem_fit(self, library):
        workload = WORKLOADS["bench-mnist"]
        X, y = data(workload)
        if library == "nothing":
            import fastnn.estimators
            import fastnn.training  # noqa: F401
        else:
            LIBRARIES[library](workload, X, y, THREADS["all"]).run(workload.steps_per_epoch)
