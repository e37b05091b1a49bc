"""The three products, and what moves numbers about, against NumPy on awkward shapes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastnn.kernels import passes
from fastnn.kernels.laws.activations import LINEAR, RELU
from fastnn.kernels.machine import host
from fastnn.kernels.machine.jit import entry
from fastnn.kernels.products import columns as products
from fastnn.network import aligned
from fastnn.training.memory import line
from fastnn.training.ways.columns import panels as panels_shape

#: n_out, n_in, m: one, less than a vector, tiles with every remainder of rows, a vector and one, several blocks.
SHAPES = [(1, 1, 1), (7, 5, 3), (3, 257, 65), (11, 16, 64), (6, 33, 81), (100, 20, 200), (2, 130, 16)]


@entry
def gather(X, rows, A, A_T, m, kept, streamed):
    products.gather(X, rows, A, A_T, 0, m, kept, streamed)


@entry
def panels(A, A_T, streamed):
    products.panels(A, A_T, 0, A.shape[0], 0, A.shape[1], streamed)


@entry
def add_outer(dZ, A, A_T, dW, m, first, last):
    products.panels(A, A_T, 0, A.shape[0], 0, A.shape[1], False)
    products.outer(dZ, A_T, dW, dW, passes.NOTHING, first, last, m, True)


@entry
def add_inner(dZ, A, dW, db, m, first, last):
    products.inner(dZ, A, dW, db, first, last, m, True)


@entry
def affine_part(W, b, A, Z, first, last):
    products.affine(W, b, A, Z, first, last, False)


@entry
def backproject_part(W, flipped, dZ, rest, A, dA, first, last, activation):
    products.backproject(W, flipped, dZ, rest, A, dA, first, last, activation)


def random(dtype, *shapes):
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def columns(array):
    """The array with zeros up to a whole cache line of columns: the room that the kernels want."""
    return np.pad(array, ((0, 0), (0, -array.shape[1] % line(array.dtype))))


def room_for_panels(n, m, dtype):
    return aligned(panels_shape(n, -(-m // line(dtype)) * line(dtype), dtype), dtype)


def transposed(A_T, n, m):
    """What the panels hold of the transpose of an array (n, m)."""
    return np.hstack(np.split(A_T, -(-n // A_T.shape[1])))[:m, :n]


def assert_product(got, X, Y, bias=0.0):
    """A sum of N products is right to N eps sum |terms|, in any order."""
    X, Y = X.astype(np.float64), Y.astype(np.float64)
    error = (X.shape[1] + 1) * np.finfo(got.dtype).eps * (np.abs(X) @ np.abs(Y) + np.abs(bias))
    assert (np.abs(got - (X @ Y + bias)) <= error).all()


@pytest.mark.parametrize(("n_out", "n_in", "m"), SHAPES)
def test_products(n_out, n_in, m, dtype):
    assert_products(n_out, n_in, m, dtype)


@given(st.integers(1, 40), st.integers(1, 150), st.integers(1, 150), st.sampled_from([np.float32, np.float64]))
@settings(max_examples=60, deadline=None)
def test_products_of_any_shape(n_out, n_in, m, dtype):
    assert_products(n_out, n_in, m, dtype)


def assert_products(n_out, n_in, m, dtype):
    W, b, A, dZ = random(dtype, (n_out, n_in), n_out, (n_in, m), (n_out, m))
    wide_A, wide_dZ = columns(A), columns(dZ)
    Z, dA = np.full((n_out, wide_A.shape[1]), np.nan, dtype), np.full(wide_A.shape, np.nan, dtype)
    dW, dW_inner, (db, db_inner) = np.empty_like(W), np.empty_like(W), np.empty((2, 1, n_out), dtype)
    passes.affine(W, b, wide_A, Z, Z[:0], False, 0)
    passes.backproject(W, wide_dZ, wide_A, dA, 0)
    passes.outer(wide_dZ, wide_A, room_for_panels(n_in, m, dtype), dW)
    passes.inner(wide_dZ, wide_A, dW_inner, db_inner)
    passes.row_sums(wide_dZ, db)
    assert_product(Z[:, :m], W, A, b[:, np.newaxis])
    assert_product(dA[:, :m], W.T, dZ)
    assert_product(dW, dZ, A.T)
    assert_product(dW_inner, dZ, A.T)
    assert_product(db.T, dZ, np.ones((m, 1)))
    assert_product(db_inner.T, dZ, np.ones((m, 1)))


def test_gradients_of_a_second_chunk_are_added(dtype):
    dZ, A, start = random(dtype, (7, 30), (20, 30), (7, 20))
    got, got_inner, db = start.copy(), start.copy(), np.ones((1, 7), dtype)
    add_outer(columns(dZ), columns(A), room_for_panels(20, 30, dtype), got, 30, 0, 7)
    add_inner(columns(dZ), columns(A), got_inner, db, 30, 0, 7)
    assert_product(got, dZ, A.T, start)
    assert_product(got_inner, dZ, A.T, start)
    assert_product(db.T, dZ, np.ones((30, 1)), np.ones((7, 1)))


def test_outer_takes_no_more_examples_than_it_is_told(dtype):
    dZ, A, start = random(dtype, (7, 48), (20, 48), (7, 20))
    got = start.copy()
    add_outer(dZ, A, room_for_panels(20, 48, dtype), got, 33, 0, 7)
    assert_product(got, dZ[:, :33], A[:, :33].T, start)


def test_only_the_rows_and_columns_asked_for_are_written(dtype):
    W, b, A, dZ = random(dtype, (20, 9), 20, (9, 112), (20, 112))
    Z = np.full((20, 112), np.nan, dtype)
    affine_part(W, b, A, Z, 32, 80)
    assert np.isfinite(Z[:, 32:80]).all()
    assert np.isnan(np.delete(Z, np.s_[32:80], axis=1)).all()
    db = np.zeros((20, 1), dtype)
    for add in (
        lambda dZ, A, dW, *rest: add_inner(dZ, A, dW, db.T, *rest),
        lambda dZ, A, *rest: add_outer(dZ, A, room_for_panels(9, 112, dtype), *rest),
    ):
        dW = np.zeros((20, 9), dtype)
        add(dZ, A, dW, 112, 3, 11)
        for written in (dW, db):
            assert (written[3:11] != 0).all()
            assert (np.delete(written, np.s_[3:11], axis=0) == 0).all()


@pytest.mark.parametrize(("n_out", "n_in", "m"), SHAPES)
def test_backproject_takes_a_transposed_copy_with_longer_rows(n_out, n_in, m, dtype):
    W, A, dZ = random(dtype, (n_out, n_in), (n_in, m), (n_out, m))
    W_T, got = np.ascontiguousarray(np.pad(W.T, ((0, 0), (0, 3)))), columns(A)
    backproject_part(W_T, True, columns(dZ), dZ[:0], columns(A), got, 0, m, LINEAR)
    assert_product(got[:, :m], W.T, dZ)


@pytest.mark.parametrize(("n_out", "n_in", "m"), SHAPES)
def test_backproject_adds_the_rest_before_the_activation(n_out, n_in, m, dtype):
    W, A, dZ, rest = random(dtype, (n_out, n_in), (n_in, m), (n_out, m), (n_in, m))
    dA, with_relu = columns(A), columns(A)
    for out, activation in ((dA, LINEAR), (with_relu, RELU)):
        backproject_part(W, False, columns(dZ), columns(rest), columns(A), out, 0, m, activation)
    assert_product(dA[:, :m], W.T, dZ, rest)
    np.testing.assert_array_equal(with_relu[:, :m], np.where(A > 0, dA[:, :m], 0))


@pytest.mark.parametrize("n_out", [*range(1, 15), 25])
def test_a_column_is_the_same_in_a_strip_of_any_width(n_out, dtype):
    W, b, A = random(dtype, (n_out, 40), n_out, (40, 128))
    expected, got = np.empty((n_out, 128), dtype), np.empty((n_out, 128), dtype)
    affine_part(W, b, A, expected, 0, 128)
    lanes = host.REGISTER_BYTES // dtype.itemsize
    for i in range(0, 128, lanes):
        affine_part(W, b, A, got, i, i + lanes)
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("m", [1, 7, 9, 16])
def test_zeros_beyond_the_last_example_stay_zeros(m, dtype):
    W, A = random(dtype, (5, 9), (9, 16))
    dZ = columns(random(dtype, (5, m))[0])
    dA = np.full((9, 16), np.nan, dtype)
    backproject_part(W, False, dZ, dZ[:0], A, dA, 0, m, LINEAR)
    lanes = host.REGISTER_BYTES // dtype.itemsize
    whole = -(-m // lanes) * lanes
    assert (dA[:, m:whole] == 0).all()
    assert np.isnan(dA[:, whole:]).all()


@pytest.mark.parametrize(("n", "m"), [(1, 1), (5, 3), (17, 40), (70, 33)])
@pytest.mark.parametrize("streamed", [False, True])
def test_gather_turns_chosen_rows_into_columns_and_keeps_them(n, m, streamed, dtype):
    (X,) = random(dtype, (50, n))
    rows = np.random.default_rng(1).integers(0, 50, m)
    A, A_T = columns(np.full((n, m), np.nan, dtype)), room_for_panels(n, m, dtype)
    gather(X, rows, A, A_T, m, True, streamed)
    np.testing.assert_array_equal(A[:, :m], X[rows].T)
    np.testing.assert_array_equal(transposed(A_T, n, m), X[rows])
    assert np.isfinite(A).all()
    A_T[:] = np.nan
    gather(X, rows, A, A_T, m, False, streamed)
    assert np.isnan(A_T).all()


@pytest.mark.parametrize(("n", "m"), [(1, 1), (5, 3), (17, 40), (64, 33)])
@pytest.mark.parametrize("streamed", [False, True])
def test_panels_hold_the_transpose(n, m, streamed, dtype):
    (A,) = random(dtype, (n, m))
    A_T = room_for_panels(n, m, dtype)
    panels(columns(A), A_T, streamed)
    np.testing.assert_array_equal(transposed(A_T, n, m), A.T)


@pytest.mark.parametrize(("n", "m"), [(1, 1), (5, 3), (17, 40), (64, 33)])
def test_transpose(n, m, dtype):
    (A,) = random(dtype, (n, m))
    A_T = np.full((m, n), np.nan, dtype)
    passes.transpose(A, A_T)
    np.testing.assert_array_equal(A_T, A.T)
