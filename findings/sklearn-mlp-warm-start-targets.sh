#!/usr/bin/env bash
# scikit-learn 1.9.1: MLPRegressor(warm_start=True) refitted with fewer targets trains on, and says two things at once.
#
# Fitted with two targets, then with one, it raises nothing: the target of one column is spread over the two outputs that are
# still there (NumPy's broadcasting in the loss), n_outputs_ says 1, and predict answers two columns.  With more targets than
# at first, other than by broadcasting, it fails with NumPy's words about shapes.
#
#   two targets, then one           n_outputs_ 1, predict (1, 2)
#   two targets, then three         ValueError: operands could not be broadcast together ...
#
# Ends with status 1 if either does something else.
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
from sklearn.neural_network import MLPRegressor

warnings.simplefilter("ignore")
print("scikit-learn", sklearn.__version__)
X = np.random.default_rng(0).normal(size=(100, 4))
Y = X @ np.arange(12.0).reshape(4, 3)


def refitted(n_targets):
    model = MLPRegressor(hidden_layer_sizes=(5,), warm_start=True, max_iter=3, random_state=0).fit(X, Y[:, :2])
    try:
        model.fit(X, Y[:, :n_targets].squeeze())
    except ValueError as error:
        return f"ValueError: {error}"
    return f"n_outputs_ {model.n_outputs_}, predict {model.predict(X[:1]).shape}"


one, three = refitted(1), refitted(3)
print("two targets, then one          ", one)
print("two targets, then three        ", three)
sys.exit(not (one == "n_outputs_ 1, predict (1, 2)" and three.startswith("ValueError: operands could not be broadcast")))
PYTHON
