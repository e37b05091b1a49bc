"""What options of training cost a step: `fastnn bench --options`, one library at a time."""

from fastnn.comparison.options import OPTIONS, USUAL, installed, measure
from fastnn.comparison.steps import WORKLOADS

from . import skip_missing


class Option:
    """Microseconds a step, median of some runs, with the warm-up excluded; "plain" is ours without the option."""

    params = (("plain", "fastnn", "torch"), tuple(OPTIONS), USUAL)
    param_names = ("library", "option", "workload")
    unit = "us"
    timeout = 600

    def setup(self, library, option, workload):
        if library == "torch":
            skip_missing(library, installed)
        if WORKLOADS[workload].task not in OPTIONS[option].tasks:
            raise NotImplementedError(f"{workload} has no {option}")

    def track_step(self, library, option, workload):
        wanted = ["torch"] if library == "torch" else []
        return measure(OPTIONS[option], WORKLOADS[workload], wanted, n_runs=3, seconds=0.1)[library]
