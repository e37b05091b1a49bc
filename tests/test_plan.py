"""The choice of the way that trains a network."""

import numpy as np
import pytest

from fastnn.comparison.steps import WORKLOADS
from fastnn.network import Network
from fastnn.training import plan
from fastnn.training.ways import columns, linear, online, units


@pytest.mark.parametrize(
    ("layer_sizes", "batch_size", "way"),
    [
        ((20, 1), 200, linear),
        ((200_000, 1), 200, columns),  # every worker would have all the parameters
        ((20, 2), 1, online),
        ((300, 200, 5), 1, online),
        ((4, 32, 32, 1), 32, units),
        ((20, 100, 1), 200, units),
        ((20, 100, 1), 1000, columns),  # does not go through at once
        ((784, 100, 100, 10), 200, columns),
        ((20, 500, 500, 1), 1, online),
    ],
)
def test_the_way_that_trains_a_network(layer_sizes, batch_size, way):
    assert plan.way_of(Network(layer_sizes, "relu", "identity"), batch_size, np.float32) is way


def test_costs_are_those_of_the_workloads():
    """On any processor: what takes more arithmetic is expected to take longer."""
    said = []
    for workload in sorted(WORKLOADS.values(), key=lambda workload: workload.flops_per_step):
        if workload.dtype == "float32":
            network = Network(workload.layer_sizes, workload.activation, "identity")
            said.append(plan.cost(columns, network, workload.batch_size, np.float32))
    assert said == sorted(said)


@pytest.mark.parametrize("way", [columns, units, online])
def test_slow_activations_cost_more(way):
    networks = [Network((5, 300, 2), activation, "identity") for activation in ("relu", "tanh")]
    costs = [plan.cost(way, network, 1, np.float64) for network in networks]
    assert costs[0] < costs[1] or way is online
