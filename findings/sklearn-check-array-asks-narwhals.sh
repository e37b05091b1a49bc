#!/usr/bin/env bash
# scikit-learn 1.9.1 with narwhals 2.29: two thirds of `check_array` of a NumPy array go into asking whether it is a data frame.
#
# Since 1.9, `check_array` asks narwhals whether its argument is a data frame or a series of any library, for plain NumPy
# arrays as well.  narwhals looks whether the object has its protocol by `inspect.getattr_static`, which walks the classes of
# the object in Python, once for each protocol and plugin.  Seen for an array of three rows, ready float64, C-contiguous:
#
#   functions called by one check_array            236
#   of them below the question to narwhals         138
#   calls of inspect.getattr_static                4
#   time without the question / with it            0.34
#
# So each `predict` of one row, and each of the four or five checks of a `fit`, pays some 30 us for that.
#
# Ends with status 1 if less than half of the calls belong to the question.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet scikit-learn==1.9.1 narwhals==2.29.0 numpy==2.4.6 scipy==1.17.1
"$work/venv/bin/python" - <<'PYTHON'
import cProfile
import pstats
import sys
import timeit
from importlib.metadata import version

import numpy as np
import sklearn
from sklearn.utils import check_array, validation

print("scikit-learn", sklearn.__version__, "narwhals", version("narwhals"))
x = np.zeros((3, 2))
check_array(x)


def calls():
    profile = cProfile.Profile()
    profile.runcall(check_array, x)
    stats = pstats.Stats(profile)
    static = sum(n for (_, _, name), (_, n, *_) in stats.stats.items() if name == "getattr_static")
    return stats.total_calls, static


question = validation._nw_into_df_or_series
with_it, static = calls()
seconds = min(timeit.repeat(lambda: check_array(x), number=300, repeat=5))
validation._nw_into_df_or_series = lambda x: False
without, _ = calls()
seconds_without = min(timeit.repeat(lambda: check_array(x), number=300, repeat=5))
validation._nw_into_df_or_series = question
print("functions called by one check_array     ", with_it)
print("of them below the question to narwhals  ", with_it - without)
print("calls of inspect.getattr_static         ", static)
print("time without the question / with it     ", round(seconds_without / seconds, 2))
sys.exit(with_it - without < with_it / 2 or not static)
PYTHON
