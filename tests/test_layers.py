"""The three products, and what moves numbers about, against NumPy on awkward shapes."""
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastnn.kernels import layers, passes
from fastnn.kernels.jit import entry
from fastnn.network import aligned

#: n_out, n_in, m: one, less than a vector, tiles with every remainder of rows, a vector and one, several blocks.
SHAPES = [(1, 1, 1), (7, 5, 3), (3, 257, 65), (11, 16, 64), (6, 33, 81), (100, 20, 200), (2, 130, 16)]


@entry
def gather(X, rows, A, first, last):
    layers.gather(X, rows, A, first, last)


@entry
def transpose(A, A_T, first, last, streamed):
    layers.transpose(A, A_T, first, last, streamed)


@entry
def add_outer(dZ, A_T, rows, dW, first, last):
    layers.outer(dZ, A_T, rows, dW, first, last, 0, rows.size, True)


@entry
def add_inner(dZ, A, dW, first, last):
    layers.inner(dZ, A, dW, first, last, 0, A.shape[1], True)


@entry
def affine_part(W, b, A, Z, first, last):
    layers.affine(W, b, A, Z, first, last, 0)


def random(dtype, *shapes):
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


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
    Z, dA = np.full((n_out, m), np.nan, dtype), np.full((n_in, m), np.nan, dtype)
    dW, dW_inner, db = np.empty_like(W), np.empty_like(W), np.empty((1, n_out), dtype)
    passes.affine(W, b, A, Z, 0)
    passes.backproject(W, dZ, A, dA, 0)
    passes.outer(dZ, np.ascontiguousarray(A.T), np.arange(m), dW)
    passes.inner(dZ, A, dW_inner)
    passes.row_sums(dZ, db)
    assert_product(Z, W, A, b[:, np.newaxis])
    assert_product(dA, W.T, dZ)
    assert_product(dW, dZ, A.T)
    assert_product(dW_inner, dZ, A.T)
    assert_product(db.T, dZ, np.ones((m, 1)))


def test_gradients_of_a_second_chunk_are_added(dtype):
    dZ, A, start = random(dtype, (7, 30), (20, 30), (7, 20))
    got, got_inner = start.copy(), start.copy()
    add_outer(dZ, np.ascontiguousarray(A.T), np.arange(30), got, 0, 7)
    add_inner(dZ, A, got_inner, 0, 7)
    assert_product(got, dZ, A.T, start)
    assert_product(got_inner, dZ, A.T, start)


def test_only_the_rows_and_columns_asked_for_are_written(dtype):
    W, b, A, dZ = random(dtype, (20, 9), 20, (9, 100), (20, 100))
    Z = np.full((20, 100), np.nan, dtype)
    affine_part(W, b, A, Z, 32, 83)
    assert np.isfinite(Z[:, 32:83]).all()
    assert np.isnan(np.delete(Z, np.s_[32:83], axis=1)).all()
    dW = np.zeros((20, 9), dtype)
    add_inner(dZ, A, dW, 3, 11)
    assert (dW[3:11] != 0).all()
    assert (np.delete(dW, np.s_[3:11], axis=0) == 0).all()


@pytest.mark.parametrize(("n", "m"), [(1, 1), (5, 3), (17, 40), (64, 33)])
def test_gather_turns_chosen_rows_into_columns(n, m, dtype):
    X, = random(dtype, (50, n))
    rows = np.random.default_rng(1).integers(0, 50, m)
    A = np.full((n, m + 2), np.nan, dtype)
    gather(X, rows, A, 0, m)
    np.testing.assert_array_equal(A[:, :m], X[rows].T)
    assert np.isnan(A[:, m:]).all()


@pytest.mark.parametrize(("n", "m"), [(1, 1), (5, 3), (17, 40), (64, 33)])
def test_transpose(n, m, dtype):
    A, = random(dtype, (n, m))
    A_T = np.full((m, n), np.nan, dtype)
    transpose(A, A_T, 0, m, False)
    np.testing.assert_array_equal(A_T, A.T)
    A_T = aligned((m, -(-n // 16) * 16), dtype)
    transpose(A, A_T, 0, m, True)
    np.testing.assert_array_equal(A_T[:, :n], A.T)


def test_outer_takes_the_rows_it_is_told(dtype):
    X, dZ = random(dtype, (50, 33), (7, 20))
    rows = np.random.default_rng(1).integers(0, 50, 20)
    dW = np.empty((7, 33), dtype)
    passes.outer(dZ, X, rows, dW)
    assert_product(dW, dZ, X[rows])
