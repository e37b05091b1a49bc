"""Largest memory of a process that makes data and fits; "data" only makes them, so the difference is the fit."""

from fastnn.comparison import LIBRARIES, WORKLOADS, data

from . import THREADS, skip_missing


class Fit:
    """One epoch of bench-mnist."""

    params = ("data", *LIBRARIES)
    param_names = ("library",)
    timeout = 300

    def setup(self, library):
        if library != "data":
            skip_missing(library)

    def peakmem_fit(self, library):
        workload = WORKLOADS["bench-mnist"]
        X, y = data(workload)
        if library != "data":
            LIBRARIES[library](workload, X, y, THREADS["all"]).run(workload.steps_per_epoch)
