"""Law by law, over a block as steps have them, beside NumPy's line for it."""

from typing import ClassVar

import numpy as np

from fastnn import reference
from fastnn.kernels.laws import units
from fastnn.kernels.laws.activations import ACTIVATIONS, KEPT, LINEAR, RELU
from fastnn.kernels.laws.addresses import address_of
from fastnn.kernels.laws.losses import LOSSES
from fastnn.kernels.machine.jit import entry
from fastnn.kernels.passes import loss_and_dZ

N, M = 100, 208


@entry
def activate(address, Z, D):
    units.activate(address, Z, D, 0, Z.shape[1])


class Activations:
    params: ClassVar = [
        [name for name, law in ACTIVATIONS.items() if law.form not in (LINEAR, RELU)],
        ["float32", "float64"],
        ["fastnn", "numpy"],
    ]
    param_names: ClassVar = ["activation", "dtype", "library"]

    def setup(self, name, dtype, library):
        law = ACTIVATIONS[name]
        Z = np.random.default_rng(0).standard_normal((N, M)).astype(dtype)
        D = np.empty_like(Z) if law.form == KEPT else Z[:0]
        address = address_of("activate", law, np.dtype(dtype))
        of_numpy = reference.ACTIVATIONS[name][0]
        self.call = (lambda: activate(address, Z, D)) if library == "fastnn" else (lambda: of_numpy(Z))
        self.call()

    def time_activation(self, name, dtype, library):
        self.call()


class Losses:
    params: ClassVar = [list(LOSSES), ["float32", "float64"], ["fastnn", "numpy"]]
    param_names: ClassVar = ["loss", "dtype", "library"]

    def setup(self, name, dtype, library):
        law = LOSSES[name]
        A, Y = np.random.default_rng(0).random((2, 10, M)).astype(dtype)
        cost, constants = np.empty(M, dtype), np.array(law.constants, dtype)
        address = address_of("loss", law, np.dtype(dtype))
        value, slope = reference.LOSSES[name]
        # The kernel overwrites A by dZ: it is copied, and NumPy's numbers are as well.
        self.call = (
            (lambda: loss_and_dZ(A.copy(), Y, cost, constants, address))
            if library == "fastnn"
            else (lambda: (value(A.copy(), Y).sum(axis=0), slope(A, Y)))
        )
        self.call()

    def time_loss(self, name, dtype, library):
        self.call()
