"""The products of examples that are rows, with the lanes along the units of a layer.

    affine        z = W a + b         inner products of the rows of W with a, of any number of examples
    backproject   dA = W^T dz         a sum of the rows of W, of one example
    gradient      dW = dz a^T         of one example

Rows of A and dZ have room for whole vectors, and in A zeros beyond its units.
"""

from fastnn.kernels.laws.elementary import exp
from fastnn.kernels.laws.units import sum_first
from fastnn.kernels.machine.jit import inline, kernel, unit
from fastnn.kernels.machine.simd import (
    fma,
    lane,
    lanes,
    load,
    load_first,
    matrix,
    maximum,
    splat,
    square,
    store,
    store_first,
    sum_rows,
    tile,
    zero,
)
from fastnn.kernels.products.slopes import times_slope


@unit
def affine(W, b, A, Z, begin, end, is_relu):
    """Z = W A + b, or relu of it, example by example, by the rows of W from begin to end.

    W (n_out, n_in), b (n_out), or (0) for none, A (m, n_in), Z (m, n_out).
    """
    n_in, full = W.shape[1], lanes(W)
    whole, z = n_in - n_in % full, square(W)
    for i in range(A.shape[0]):
        for j in range(begin, end, full):
            for r in range(full):
                z[r, 0] = zero(W)
            for k in range(0, whole, full):
                a = load(A, i, k)
                for r in range(full):
                    z[r, 0] = fma(load(W, min(j + r, end - 1), k), a, z[r, 0])
            if whole < n_in:
                a = load(A, i, whole)
                for r in range(full):
                    z[r, 0] = fma(load_first(W, min(j + r, end - 1), whole, n_in - whole), a, z[r, 0])
            count = min(full, end - j)
            g = sum_rows(z)
            if b.size:
                g = g + load_first(matrix(b, 0, 1, b.size), 0, j, count)
            g = maximum(g, zero(W)) if is_relu else g
            if count == full:  # a mask takes long
                store(Z, i, j, g)
            else:
                store_first(Z, i, j, count, g)


@inline
def _backproject_tile(W, dZ, dA, begin, end, k, count, cols):
    d = tile(W, 1, 4)
    for c in range(cols):
        d[0, c] = zero(W)
    for j in range(begin, end):
        dz = splat(W, dZ[0, j])
        for c in range(cols):
            w = load(W, j, k + c * lanes(W)) if cols > 1 else load_first(W, j, k, count)
            d[0, c] = fma(dz, w, d[0, c])
    for c in range(cols):
        store(dA, 0, k + c * lanes(W), d[0, c])


@unit
def backproject(W, dZ, dA, begin, end):
    """dA = W^T dZ, of the rows from begin to end.  W (n_out, n_in), dZ (1, n_out), dA (1, n_in)."""
    n_in, full = W.shape[1], lanes(W)
    width = 4 * full
    if n_in < width:
        for k in range(0, n_in, full):
            _backproject_tile(W, dZ, dA, begin, end, k, n_in - k, 1)
    else:
        for k in range(0, n_in, width):  # the last one may come again, to be whole
            _backproject_tile(W, dZ, dA, begin, end, min(k, n_in - width), width, 4)


@unit
def join(dA, slope, dZ, begin, end, form):
    """dZ = the sum of the rows of dA, * g'(Z), of the units from begin to end.  dA (parts, n), slope, dZ (1, n)."""
    for k in range(begin, end, lanes(dA)):
        da = load(dA, 0, k)
        for p in range(1, dA.shape[0]):
            da = da + load(dA, p, k)
        store_first(dZ, 0, k, end - k, times_slope(da, load(slope, 0, k), form))


@unit
def gradient(dZ, A, dW, db, begin, end):
    """dW = dZ A^T, and db = dZ, in the rows from begin to end.

    dZ (1, n_out), A (1, n_in), dW (n_out, n_in), db (1, n_out).
    The end of a row may run into the next one, which comes after.
    """
    n_in, full = dW.shape[1], lanes(dW)
    for j in range(begin, end):
        dz = splat(dW, dZ[0, j])
        whole = n_in - n_in % full if (j + 1) * n_in + -n_in % full > end * n_in else n_in
        for k in range(0, whole, full):
            store(dW, j, k, dz * load(A, 0, k))
        if whole < n_in:
            store_first(dW, j, whole, n_in - whole, dz * load(A, 0, whole))
        db[0, j] = dZ[0, j]


@kernel
def largest(a, n):
    """The largest of the first n numbers of a (1, any)."""
    most, full = a[0, 0], lanes(a)
    if n < full:
        for j in range(1, n):
            most = max(most, a[0, j])
        return most
    g = load(a, 0, 0)
    for j in range(full, n, full):  # the last one may come again, to be whole
        g = maximum(g, load(a, 0, min(j, n - full)))
    for r in range(full):
        most = max(most, lane(g, r))
    return most


@kernel
def softmax(Z):
    """Z = e^(z - max) / sum e^(z - max), of one example.  Z (1, n_L)."""
    z, most = Z[0], largest(Z, Z.shape[1])
    for j in range(z.size):
        z[j] = exp(z[j] - most)
    scale = z.dtype.type(1) / sum_first(Z, z.size)
    for j in range(z.size):
        z[j] *= scale
