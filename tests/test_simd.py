"""The vocabulary: registers of every width that it knows, and the kernels' contract with it."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastnn
from fastnn.kernels.machine.jit import entry
from fastnn.kernels.machine.simd import (
    folds,
    lanes,
    load,
    load_first,
    load_folded,
    maximum,
    splat,
    splat_folded,
    sqrt,
    square,
    store,
    store_first,
    sum_lanes,
    transpose_square,
    unfold,
    where_positive,
    zero,
)


@entry
def how_many_lanes(A):
    return lanes(A)


@entry
def copy_first(A, B, count):
    store_first(B, 0, 1, count, load_first(A, 1, 2, count))


@entry
def how_many_folds(A):
    return folds(A)


@entry
def multiply_folded(W, A, B, count):
    few, w = lanes(A) // folds(A), splat_folded(W, 1, 2, count)
    store(B, 0, 0, unfold(w * load_folded(A, 3, 5, count), w * load_folded(A, 3, 5 + few, count)))


@entry
def arithmetic(A, B):
    a, b, three = load(A, 0, 0), load(A, 1, 0), splat(A, A[2, 0])
    store(B, 0, 0, a + b)
    store(B, 1, 0, a - b)
    store(B, 2, 0, a * three)
    store(B, 3, 0, a / b)
    store(B, 4, 0, sqrt(maximum(a, zero(A))))
    store(B, 5, 0, where_positive(a, b))
    B[6, 0] = sum_lanes(a)


@entry
def transposed(A, B):
    t = square(A)
    for r in range(lanes(A)):
        t[r, 0] = load(A, r, 0)
    transpose_square(t)
    for r in range(lanes(A)):
        store(B, r, 0, t[r, 0])


def test_a_masked_load_and_store_touch_only_their_lanes(dtype):
    A = np.arange(200, dtype=dtype).reshape(2, 100)
    n = how_many_lanes(A)
    for count in range(n + 1):
        B = np.full((1, n + 2), -1, dtype)
        copy_first(A, B, count)
        np.testing.assert_array_equal(B[0], [-1, *A[1, 2 : 2 + count], *[-1] * (n + 1 - count)])


def test_arithmetic_is_lane_by_lane(dtype):
    n = how_many_lanes(np.empty((1, 1), dtype))
    A = np.random.default_rng(0).standard_normal((3, n)).astype(dtype)
    B = np.zeros((7, n), dtype)
    arithmetic(A, B)
    a, b = A[:2]
    expected = [a + b, a - b, a * A[2, 0], a / b, np.sqrt(np.maximum(a, 0)), np.where(a > 0, b, 0)]
    np.testing.assert_array_equal(B[:6], expected)
    np.testing.assert_allclose(B[6, 0], a.sum(), rtol=n * np.finfo(dtype).eps, atol=n * np.finfo(dtype).eps)


def test_a_square_tile_is_transposed_in_registers(dtype):
    n = how_many_lanes(np.empty((1, 1), dtype))
    A = np.arange(n * n, dtype=dtype).reshape(n, n)
    B = np.empty_like(A)
    transposed(A, B)
    np.testing.assert_array_equal(B, A.T)


def test_few_columns_are_summed_in_one_vector(dtype):
    A, W = np.random.default_rng(0).integers(-9, 9, (2, 8, 40)).astype(dtype)
    n, deep = how_many_lanes(A), how_many_folds(A)
    few = n // deep
    for count in range(1, deep + 1):
        B = np.full((1, n), np.nan, dtype)
        multiply_folded(W, A, B, count)
        expected = W[1, 2 : 2 + count] @ A[3 : 3 + count, 5 : 5 + 2 * few]
        np.testing.assert_array_equal(B[0], [*expected, *np.zeros(n - 2 * few)])


#: The products on this processor; prints the register width and the columns of a tile.
PROGRAM = """
import numpy as np
from fastnn.kernels.laws.addresses import address_of
from fastnn.kernels.laws.activations import ACTIVATIONS
from fastnn.training.ways.columns import panels
from fastnn.kernels import passes
from fastnn.kernels.machine import host
rng = np.random.default_rng(0)
for dtype in (np.float32, np.float64):
    W, b, A, dZ = (rng.standard_normal(shape).astype(dtype) for shape in ((13, 21), 13, (21, 80), (13, 80)))
    Z, dW = np.empty((13, 80), dtype), np.empty((13, 21), dtype)
    tanh = address_of('activate', ACTIVATIONS['tanh'], np.dtype(dtype))
    passes.affine(W, b, A, Z, Z[:0], False, tanh)
    passes.outer(dZ, A, np.empty(panels(21, 80, dtype), dtype), dW)
    tolerance = 100 * np.finfo(dtype).eps
    np.testing.assert_allclose(Z, np.tanh(W @ A + b[:, None]), rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(dW, dZ @ A.T, rtol=tolerance, atol=tolerance)
    passes.inner(dZ, A, dW, db := np.empty((1, 13), dtype))
    np.testing.assert_allclose(dW, dZ @ A.T, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(db[0], dZ.sum(axis=1), rtol=tolerance, atol=tolerance)
print(8 * host.REGISTER_BYTES, host.COLS)
"""
PROCESSORS = [
    ("haswell", "+sse2,+sse3,+ssse3,+sse4.1,+sse4.2,+avx,+avx2,+fma", "256 2"),
    ("nehalem", "+sse2,+sse3,+ssse3,+sse4.1,+sse4.2", "128 2"),
]


@pytest.mark.skipif("how_many_lanes(np.empty((1, 1))) < 4", reason="this processor has no AVX2")
@pytest.mark.parametrize(("name", "features", "expected"), PROCESSORS, ids=["AVX2", "SSE"])
def test_other_processors_get_other_registers_and_the_same_numbers(name, features, expected):
    got = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env={
            **os.environ,
            "NUMBA_CPU_NAME": name,
            "NUMBA_CPU_FEATURES": features,
            "PYTHONPATH": str(Path(fastnn.__file__).parents[1]),
        },
    )
    assert got.stdout.strip() == expected, got.stderr
