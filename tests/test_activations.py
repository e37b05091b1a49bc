"""exp, log, logistic and tanh: error in ulp over the whole range, and special values."""
import numpy as np
import pytest

from fastnn.kernels import activations
from fastnn.kernels.jit import entry


@entry
def exp(x, y):
    for i in range(x.size):
        y[i] = activations.exp(x[i])


@entry
def log(x, y):
    for i in range(x.size):
        y[i] = activations.log(x[i])


@entry
def logistic(x, y):
    for i in range(x.size):
        y[i] = activations.logistic(x[i])


@entry
def tanh(x, y):
    for i in range(x.size):
        y[i] = activations.tanh(x[i])


def true_logistic(x):
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


#: Function, truth (in extended precision), bound in ulp.
LAWS = [(exp, np.exp, 1.1), (log, np.log, 2.0), (logistic, true_logistic, 3.0), (tanh, np.tanh, 6.0)]


def arguments(function, dtype):
    """Every magnitude that the dtype has, the range where the function lives, and the neighbourhood of 0 and 1."""
    info, n = np.finfo(dtype), 100_000
    rng = np.random.default_rng(0)
    magnitudes = np.exp(np.linspace(np.log(float(info.tiny)), np.log(float(info.max)) - 1, n))
    live = np.linspace(np.log(float(info.smallest_subnormal)), np.log(float(info.max)), n)
    near = rng.standard_normal(n)
    x = np.concatenate([magnitudes, live, near, 1 + near / 100, -magnitudes]).astype(dtype)
    return x[x > 0] if function is log else x


@pytest.mark.parametrize(("function", "truth", "bound"), LAWS, ids=["exp", "log", "logistic", "tanh"])
def test_error_in_ulp(function, truth, bound, dtype):
    x = arguments(function, dtype)
    got = np.empty_like(x)
    function(x, got)
    with np.errstate(over="ignore", under="ignore"):
        expected = truth(x.astype(np.longdouble))
        rounded = expected.astype(dtype)
    finite = np.isfinite(rounded)
    np.testing.assert_array_equal(got[~finite], rounded[~finite])
    ulp = np.abs(got[finite] - expected[finite]) / np.spacing(np.abs(rounded[finite]))
    assert ulp.max() <= bound, f"{ulp.max()} ulp at {x[finite][ulp.argmax()]!r}"


@pytest.mark.parametrize(("function", "at"), [
    (exp, {np.nan: np.nan, np.inf: np.inf, -np.inf: 0, 0: 1}),
    (log, {np.nan: np.nan, np.inf: np.inf, -1: np.nan, 0: -np.inf, 1: 0}),
    (logistic, {np.nan: np.nan, np.inf: 1, -np.inf: 0, 0: 0.5}),
    (tanh, {np.nan: np.nan, np.inf: 1, -np.inf: -1, 0: 0}),
], ids=["exp", "log", "logistic", "tanh"])
def test_special_values(function, at, dtype):
    got = np.empty(len(at), dtype)
    function(np.array(list(at), dtype), got)
    np.testing.assert_array_equal(got, np.array(list(at.values()), dtype))


def test_tanh_stays_within_one(dtype):
    x = np.concatenate([np.linspace(-25, 25, 200_001), arguments(tanh, dtype)]).astype(dtype)
    got = np.empty_like(x)
    tanh(x, got)
    assert np.abs(got).max() == 1
