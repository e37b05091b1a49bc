#!/usr/bin/env bash
# Numba 0.68.1: a function with cache=True that is first compiled while its module is not in sys.modules poisons its cache.
#
# runpy.run_path("user.py"), or importlib.util.spec_from_file_location without an entry in sys.modules (as test runners and
# plugin loaders do), compiles the function and keeps it under the module name "<dynamic>".  From then on every program that
# imports the file in the usual way, and calls the function, fails until somebody deletes the files of the cache:
#
#   run by path   2
#   imported      ModuleNotFoundError: No module named '<dynamic>'
#   imported, after the cache was deleted   2
#
# Ends with status 1 if it does anything else.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet numba==0.68.1 numpy==2.4.6
cd "$work"
cat > user.py <<'PYTHON'
from numba import njit


@njit(cache=True)
def f(x):
    return x + 1
PYTHON
expect() {  # name, wanted, got
    printf '%-40s%s\n' "$1" "$3"
    [ "$2" = "$3" ] || { echo "expected: $2"; exit 1; }
}
imported='import user
try:
    print(user.f(1))
except Exception as error:
    print(f"{type(error).__name__}: {error}")'
expect "run by path" 2 "$(venv/bin/python -c 'import runpy; print(runpy.run_path("user.py")["f"](1))')"
expect "imported" "ModuleNotFoundError: No module named '<dynamic>'" "$(venv/bin/python -c "$imported")"
rm -r __pycache__
expect "imported, after the cache was deleted" 2 "$(venv/bin/python -c "$imported")"
