"""A kernel is found by its name in four places: kernels/, reference.py, its test, its benchmark."""

from pathlib import Path

import pytest

from fastnn import reference
from fastnn.kernels import passes
from fastnn.kernels.machine import code

ROOT = Path(__file__).parents[1]

#: The twin of each pass in reference.py: a function, or the equation within one.
TWINS = {
    "affine": "forward_propagation",
    "output": "OUT_ACTIVATIONS",
    "loss_and_dZ": "compute_cost",
    "backproject": "backward_propagation",
    "outer": "backward_propagation",
    "inner": "backward_propagation",
    "row_sums": "backward_propagation",
    "transpose": "backward_propagation",
    "sgd": "update_parameters",
}
PASSES = sorted(entry.__name__ for entry in code.ENTRIES.values() if entry.__module__ == passes.__name__)


def test_the_table_of_twins_is_whole():
    assert sorted(TWINS) == PASSES


@pytest.mark.parametrize("name", PASSES)
def test_every_pass_has_a_twin_a_test_and_a_benchmark(name):
    assert hasattr(reference, TWINS[name])
    assert (
        f"passes.{name}("
        in "".join(file.read_text() for file in (ROOT / "tests").glob("*.py"))
        + (ROOT / "fastnn" / "functional.py").read_text()
    )
    assert f'"{name}":' in (ROOT / "asv_bench" / "benchmarks" / "kernels.py").read_text()
