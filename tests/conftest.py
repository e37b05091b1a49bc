"""What all tests share: four threads whatever the machine has, and the table of networks."""
import os

os.environ.setdefault("NUMBA_NUM_THREADS", "4")        # before Numba is imported: a team of four must be possible
os.environ.setdefault("SCIPY_ARRAY_API", "1")          # before SciPy is: one of scikit-learn's checks asks for it

import numpy as np
import pytest

#: Layer sizes, activation, output activation: the shapes that hurt.
NETWORKS = [
    ((1, 1), "identity", "identity"),                  # nothing but a line
    ((3, 1), "identity", "logistic"),                  # logistic regression
    ((20, 7, 1), "tanh", "logistic"),
    ((4, 5, 3), "logistic", "softmax"),
    ((17, 65, 10), "relu", "softmax"),                 # one more than a vector, and than a tile
    ((33, 18, 23, 2), "tanh", "identity"),
    ((2, 1, 1, 9), "relu", "logistic"),                # a neck of one unit
    ((40, 16, 8, 16, 40), "identity", "identity"),
    ((5, 9, 2), "tanh", "exp"),                        # counts
]


@pytest.fixture(params=[np.float32, np.float64], ids=["float32", "float64"])
def dtype(request):
    return np.dtype(request.param)


@pytest.fixture(params=NETWORKS, ids=lambda case: "-".join(map(str, case[0])) + f" {case[1]} {case[2]}")
def network(request):
    return request.param


def examples(network, m, dtype, seed=0):
    """X (n_x, m) and targets Y (n_y, m) that suit the output activation."""
    (n_x, *_, n_y), _, out_activation = network
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n_x, m))
    if out_activation == "softmax":
        Y = np.eye(n_y)[:, rng.integers(0, n_y, m)]
    elif out_activation == "exp":
        Y = rng.poisson(1.5, (n_y, m))
    elif out_activation == "logistic":
        Y = rng.integers(0, 2, (n_y, m))
    else:
        Y = rng.standard_normal((n_y, m))
    return X.astype(dtype), Y.astype(dtype)
