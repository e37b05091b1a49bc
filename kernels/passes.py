"""One equation of the notes on whole arrays in one call: what `fastnn.functional` is made of.

A (n, m) and the like are C-contiguous, examples in columns, whole vectors of them; those that fill the last vector up
must be zero in dZ, and finite in A (see `layers`).
"""

import numpy as np

from fastnn.kernels.laws import units
from fastnn.kernels.machine.jit import entry
from fastnn.kernels.products import columns

#: No rows that come soon: see `columns.outer`.
NOTHING = np.zeros(0, np.int64)


@entry
def affine(W, b, A, Z, D, is_relu, law):
    """Z = W A + b, or relu of it; or A = g(Z), and D = g'(Z) if it has rows, by the address of a law, 0 for none.

    W (n_out, n_in), b (n_out), A (n_in, m), Z, D (n_out, m).
    """
    columns.affine(W, b, A, Z, 0, A.shape[1], is_relu)
    units.activate(law, Z, D, 0, A.shape[1])


@entry
def output(Z, law):
    """A_L = g(Z_L), in place, by the address of its law.  Z (n_L, m)."""
    units.activate(law, Z, Z[:0], 0, Z.shape[1])


@entry
def loss_and_dZ(A, Y, cost, constants, law):
    """The loss of each example, and dZ_L in the place of A_L, by the address of its law.  A, Y (n_L, m), cost (m)."""
    units.loss_and_dZ(law, A, Y, cost, constants, 0, A.shape[1])


@entry
def backproject(W, dZ, slope, dA, form):
    """dA = W^T dZ * g'(Z), by what tells the slope, in its form.

    W (n_out, n_in), dZ (n_out, m), slope, dA (n_in, m).
    """
    columns.backproject(W, False, dZ, dZ[:0], slope, dA, 0, slope.shape[1], form)


@entry
def outer(dZ, A, A_T, dW):
    """dW = dZ A^T by outer products of columns.  dZ (n_out, m), A (n_in, m), dW (n_out, n_in); A_T: see `panels`."""
    columns.panels(A, A_T, 0, A.shape[0], 0, A.shape[1], False)
    columns.outer(dZ, A_T, dW, dW, NOTHING, 0, dW.shape[0], A.shape[1], False)


@entry
def inner(dZ, A, dW, db):
    """dW = dZ A^T by inner products of rows, and db, the sums of the rows of dZ.

    dZ (n_out, m), A (n_in, m), dW (n_out, n_in), db (1, n_out).
    """
    columns.inner(dZ, A, dW, db, 0, dW.shape[0], A.shape[1], False)


@entry
def row_sums(dZ, db):
    """db = the sums of the rows of dZ.  dZ (n_out, m), db (1, n_out)."""
    columns.row_sums(dZ, db, 0, dZ.shape[0], dZ.shape[1], False)


@entry
def transpose(A, A_T):
    """A_T = A^T.  A (n, m), A_T (m, n)."""
    columns.transpose(A, A_T, 0, A.shape[1])


@entry
def sgd(theta, gradient, rate):
    """theta = theta - rate * gradient."""
    for p in range(theta.size):
        theta[p] -= rate * gradient[p]
