"""Time of a training step, and what was learnt in it."""

from fastnn.comparison.steps import LIBRARIES, WORKLOADS, data, efficiency, measure

from . import THREADS, skip_missing


class Step:
    """Microseconds a step, median of some runs, with the warm-up excluded."""

    params = (tuple(LIBRARIES), tuple(WORKLOADS), tuple(THREADS))
    param_names = ("library", "workload", "n_threads")
    unit = "us"
    timeout = 300  # torch-compile calls a C++ compiler

    def setup(self, library, workload, n_threads):
        skip_missing(library)

    def track_step(self, library, workload, n_threads):
        (timing,) = measure([library], WORKLOADS[workload], [THREADS[n_threads]], n_runs=5, seconds=0.05)
        return timing.median


class Efficiency:
    """How much of what the processor can do, on the threads that are used, becomes the arithmetic of the step."""

    params = (tuple(WORKLOADS), tuple(THREADS))
    param_names = ("workload", "n_threads")
    unit = "of the peak"

    def track_efficiency(self, workload, n_threads):
        ours, limit = measure(["fastnn", "peak"], WORKLOADS[workload], [THREADS[n_threads]], n_runs=5, seconds=0.05)
        return efficiency(ours, [limit])


class Learning:
    """Training loss after 100 steps: a faster step that learns less is not faster."""

    params = (tuple(LIBRARIES), tuple(WORKLOADS))
    param_names = ("library", "workload")
    unit = "loss"
    timeout = 300

    def setup(self, library, workload):
        skip_missing(library)
        X, y = data(WORKLOADS[workload])
        self.rival = LIBRARIES[library](WORKLOADS[workload], X, y, THREADS["all"])

    def track_final_loss(self, library, workload):
        self.rival.run(100)
        return self.rival.loss()
