"""The order of an epoch is NumPy's."""

import numpy as np
import pytest

from fastnn.training import shuffle


@pytest.mark.parametrize("n", [0, 1, 2, 3, 64, 65, 1000])
@pytest.mark.parametrize("bits", [np.random.MT19937, np.random.PCG64])
def test_shuffle_is_that_of_numpy_and_leaves_the_generator_where_numpy_does(n, bits):
    ours, theirs = (np.random.RandomState(bits(5)) for _ in range(2))
    order, expected = np.arange(n), np.arange(n)
    for _ in range(3):
        shuffle(order, ours)
        theirs.shuffle(expected)
        np.testing.assert_array_equal(order, expected)
    assert ours.randint(1 << 30) == theirs.randint(1 << 30)
