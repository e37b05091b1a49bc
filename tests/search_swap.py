"""A pytest plugin that lets scikit-learn's own tests of its searches run against fastnn's:

pytest -p search_swap --pyargs sklearn.model_selection.tests.test_search
"""

import pytest
from sklearn import model_selection
from sklearn.model_selection import _search

import fastnn

#: What says nothing about a search on other threads, and why.
PRIVATE = {
    "test_multi_metric_search_forwards_metadata": "looks for `fit` among the callers of the scorer, in its own thread",
}
#: Of what is not in a search, but below or beside it.
ELSEWHERE = ("array_api", "halving", "callbacks", "_sampler", "parameter_grid")


def pytest_configure(config):
    for module in model_selection, _search:
        module.GridSearchCV, module.RandomizedSearchCV = fastnn.GridSearchCV, fastnn.RandomizedSearchCV


def pytest_collection_modifyitems(items):
    items[:] = [item for item in items if not any(word in item.originalname for word in ELSEWHERE)]
    for item in items:
        if item.module.GridSearchCV is not fastnn.GridSearchCV:
            raise pytest.UsageError(f"{item.module.__name__} does not test fastnn.GridSearchCV")
        if item.originalname in PRIVATE:
            item.add_marker(pytest.mark.skip(reason=PRIVATE[item.originalname]))
