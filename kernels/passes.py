"""One equation of the notes on whole arrays in one call: what `fastnn.functional` is made of.

A (n, m) and the like are C-contiguous, examples in columns, whole vectors of them; those that fill the last vector up
must be zero in dZ, and finite in A (see `layers`).
"""
import numpy as np

from fastnn.kernels import layers, losses
from fastnn.kernels.jit import entry

#: No rows that come soon: see `layers.outer`.
NOTHING = np.zeros(0, np.int64)


@entry
def affine(W, b, A, Z, activation):
    """Z = g(W A + b).  W (n_out, n_in), b (n_out), A (n_in, m), Z (n_out, m)."""
    layers.affine(W, b, A, Z, 0, A.shape[1], activation)


@entry
def output(A, loss):
    """A_L = g(Z_L), in place.  A (n_L, m)."""
    losses.output(A, 0, A.shape[1], loss)


@entry
def loss_and_dZ(A, Y, cost, loss):
    """The loss of each example, and dZ_L = A_L - Y in the place of A_L.  A, Y (n_L, m), cost (m)."""
    losses.loss_and_dZ(A, Y, cost, 0, A.shape[1], loss)


@entry
def backproject(W, dZ, A, dA, activation):
    """dA = W^T dZ * g'(A).  W (n_out, n_in), dZ (n_out, m), A, dA (n_in, m)."""
    layers.backproject(W, False, dZ, dZ[:0], A, dA, 0, A.shape[1], activation)


@entry
def outer(dZ, A, A_T, dW):
    """dW = dZ A^T by outer products of columns.  dZ (n_out, m), A (n_in, m), dW (n_out, n_in); A_T: see `panels`."""
    layers.panels(A, A_T, 0, A.shape[0], 0, A.shape[1], False)
    layers.outer(dZ, A_T, dW, dW, NOTHING, 0, dW.shape[0], A.shape[1], False)


@entry
def inner(dZ, A, dW, db):
    """dW = dZ A^T by inner products of rows, and db, the sums of the rows of dZ.

    dZ (n_out, m), A (n_in, m), dW (n_out, n_in), db (1, n_out).
    """
    layers.inner(dZ, A, dW, db, 0, dW.shape[0], A.shape[1], False)


@entry
def row_sums(dZ, db):
    """db = the sums of the rows of dZ.  dZ (n_out, m), db (1, n_out)."""
    layers.row_sums(dZ, db, 0, dZ.shape[0], dZ.shape[1], False)


@entry
def transpose(A, A_T):
    """A_T = A^T.  A (n, m), A_T (m, n)."""
    layers.transpose(A, A_T, 0, A.shape[1])


@entry
def sgd(theta, gradient, rate):
    """theta = theta - rate * gradient."""
    for p in range(theta.size):
        theta[p] -= rate * gradient[p]
