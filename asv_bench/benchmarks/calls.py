"""Whole calls beside what they stand beside: `fastnn bench --calls`, one library at a time."""

from fastnn.comparison.calls import CALLS, LIBRARIES, installed, measure

from . import skip_missing


class Call:
    """Microseconds a call (of the full batch: a step), median of some runs, with the warm-up excluded."""

    params = (tuple(LIBRARIES), tuple(CALLS))
    param_names = ("library", "call")
    unit = "us"
    timeout = 600

    def setup(self, library, call):
        skip_missing(library, installed)
        if library not in CALLS[call].libraries:
            raise NotImplementedError(f"{library} does not know this call")

    def track_call(self, library, call):
        return measure(CALLS[call], [library], n_runs=3)[library]


class HashedText:
    """Largest memory of a process that fits the hashed text: the difference from "nothing" is what the fit needs."""

    params = ("nothing", "fastnn", "sklearn")
    param_names = ("library",)
    timeout = 600

    def setup(self, library):
        if library != "nothing":
            skip_missing(library)

    def peakmem_fit(self, library):
        call = CALLS["text-hashed"]
        if library == "nothing":
            import fastnn.estimators
            import fastnn.training  # noqa: F401

            call.data()
        else:
            call.prepare(library)()
