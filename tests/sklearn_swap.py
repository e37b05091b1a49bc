"""A pytest plugin that lets scikit-learn's own tests of its MLPs run against fastnn's:

pytest -p sklearn_swap --pyargs sklearn.neural_network.tests.test_mlp
"""

import pytest
from sklearn import neural_network

import fastnn

#: What reaches so far into scikit-learn's own machinery that it says nothing about another one, and why.
PRIVATE = {
    "test_gradient": "calls _loss_grad_lbfgs with lists that scikit-learn's backpropagation fills; here central "
    "differences prove the reference, and the reference the kernels",
}


def pytest_configure(config):
    neural_network.MLPClassifier, neural_network.MLPRegressor = fastnn.MLPClassifier, fastnn.MLPRegressor


def pytest_collection_modifyitems(items):
    for item in items:
        for name in ("MLPClassifier", "MLPRegressor"):
            if getattr(item.module, name) is not getattr(fastnn, name):
                raise pytest.UsageError(f"{item.module.__name__} does not test fastnn.{name}")
        if item.originalname in PRIVATE:
            item.add_marker(pytest.mark.skip(reason=PRIVATE[item.originalname]))
