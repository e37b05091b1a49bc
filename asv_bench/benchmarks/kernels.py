"""Kernel by kernel, beside NumPy's line for the same equation."""

from typing import ClassVar

import numpy as np

from fastnn import reference
from fastnn.kernels import passes
from fastnn.kernels.laws import activations
from fastnn.kernels.laws.addresses import address_of
from fastnn.kernels.laws.losses import LOSSES
from fastnn.training.ways.columns import panels

N_OUT, N_IN, M = 100, 100, 208


def cases(dtype):
    """Name of the kernel: the call of it, and the same in NumPy."""
    rng = np.random.default_rng(0)
    W, A, dZ = (rng.standard_normal(shape).astype(dtype) for shape in ((N_OUT, N_IN), (N_IN, M), (N_OUT, M)))
    b, db = np.zeros(N_OUT, dtype), np.empty((1, N_OUT), dtype)
    Z, dA, dW = np.empty((N_OUT, M), dtype), np.empty((N_IN, M), dtype), np.empty((N_OUT, N_IN), dtype)
    A_T, Y = np.empty(panels(N_IN, M, dtype), dtype), (dZ > 0).astype(dtype)
    rate, cost = dtype.type(1e-3), np.empty(M, dtype)
    theta, gradient = dW.copy().ravel(), W.ravel()
    softmax, softmax_address = reference.OUT_ACTIVATIONS["softmax"], address_of("output", "softmax", dtype)
    squared_error = address_of("loss", LOSSES["squared_error", "identity"], dtype)
    return {
        "affine": (
            lambda: passes.affine(W, b, A, Z, Z[:0], True, 0),
            lambda: np.maximum(W @ A + b[:, np.newaxis], 0),
        ),
        "backproject": (lambda: passes.backproject(W, dZ, A, dA, activations.TANH), lambda: W.T @ dZ * (1 - A**2)),
        "outer": (lambda: passes.outer(dZ, A, A_T, dW), lambda: dZ @ A.T),
        "inner": (lambda: passes.inner(dZ, A, dW, db), lambda: (dZ @ A.T, dZ.sum(axis=1))),
        "row_sums": (lambda: passes.row_sums(dZ, db), lambda: dZ.sum(axis=1)),
        "output": (lambda: passes.output(Z, softmax_address), lambda: softmax(Z)),
        "loss_and_dZ": (
            lambda: passes.loss_and_dZ(Z, Y, cost, cost[:0], squared_error),
            lambda: (((Z - Y) ** 2).sum(axis=0) / 2, Z - Y),
        ),
        "transpose": (lambda: passes.transpose(W, dW), lambda: np.ascontiguousarray(W.T)),
        "sgd": (lambda: passes.sgd(theta, gradient, rate), lambda: theta - rate * gradient),
    }


class Kernels:
    params: ClassVar = [list(cases(np.dtype(np.float32))), ["float32", "float64"], ["fastnn", "numpy"]]
    param_names: ClassVar = ["kernel", "dtype", "library"]

    def setup(self, kernel, dtype, library):
        self.call = cases(np.dtype(dtype))[kernel][library == "numpy"]
        self.call()

    def time_kernel(self, kernel, dtype, library):
        self.call()
