#!/usr/bin/env bash
# scikit-learn 1.9.1: bagging hands its draws on as sample weights, and an MLP that is bagged may then fail at random.
#
# BaggingRegressor and BaggingClassifier do not copy the rows that were drawn where an estimator takes sample weights, as the
# MLPs do since 1.7: each is fitted on all rows, with the number of times that a row was drawn as its weight.  For a third of
# the rows that is zero.  With few rows, now and then all rows of an MLP's validation set (early_stopping) are such ones, or
# all of a minibatch:
#
#   early stopping, regressor       ValueError: Sample weights must contain at least one non-zero number.
#   early stopping, classifier      ValueError: Sample weights must contain at least one non-zero number.
#   batches of one, regressor       ZeroDivisionError: Weights sum to zero, can't be normalized
#   batches of one, classifier      ZeroDivisionError: Weights sum to zero, can't be normalized
#
# Ends with status 1 if any of the four does something else.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet scikit-learn==1.9.1 numpy==2.4.6 scipy==1.17.1
"$work/venv/bin/python" - <<'PYTHON'
import sys
import warnings

import numpy as np
import sklearn
from sklearn.ensemble import BaggingClassifier, BaggingRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor

warnings.simplefilter("ignore")
print("scikit-learn", sklearn.__version__)
rng = np.random.default_rng(0)
X = rng.normal(size=(20, 3))
y = X[:, 0] + 0.1 * rng.normal(size=20)
early, single = {"early_stopping": True, "max_iter": 15}, {"batch_size": 1, "max_iter": 3}
weights, division = "ValueError: Sample weights must contain at least one non-zero number.", "ZeroDivisionError: "
as_seen = True
for name, bag, target, expected in (
        ("early stopping, regressor", BaggingRegressor(MLPRegressor(**early), 40, random_state=0), y, weights),
        ("early stopping, classifier", BaggingClassifier(MLPClassifier(**early), 40, random_state=0), y > 0, weights),
        ("batches of one, regressor", BaggingRegressor(MLPRegressor(**single), 10, random_state=0), y, division),
        ("batches of one, classifier", BaggingClassifier(MLPClassifier(**single), 10, random_state=0), y > 0, division)):
    try:
        bag.fit(X, target)
        seen = "fitted"
    except Exception as error:
        seen = f"{type(error).__name__}: {error}"
    print(f"{name:30s} {seen}")
    as_seen = as_seen and seen.startswith(expected)
sys.exit(not as_seen)
PYTHON
