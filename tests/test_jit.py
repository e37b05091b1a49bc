"""Machine code: kept between processes, never stale, never in the way; and what is in it."""
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest

import fastnn
from fastnn import reference, training, workspace
from fastnn.kernels import epoch, few, jit, layers, linear, optimizers, passes, peak, predict, shuffle, small, team
from fastnn.network import Network

ROOT = Path(fastnn.__file__).parents[1]

#: A kernel that compiles in a moment, and says whether it had to.
PROGRAM = """
import numpy as np
from fastnn.kernels import passes
passes.row_sums(np.ones((2, 16)), out := np.zeros((1, 2)))
assert (out == 16).all()
stats = passes.row_sums.stats
print(sum(stats.cache_hits.values()), sum(stats.cache_misses.values()))
"""


def hits_and_misses(cache, package=ROOT, **environment):
    """Run the program in a process of its own."""
    got = subprocess.run([sys.executable, "-c", PROGRAM], cwd="/", capture_output=True, text=True, check=True,
                         env={**os.environ, "PYTHONPATH": str(package), "NUMBA_CACHE_DIR": str(cache), **environment})
    return got.stdout.strip()


@pytest.fixture
def package(tmp_path):
    """A copy of the package, to be changed."""
    shutil.copytree(ROOT / "fastnn", tmp_path / "package" / "fastnn", symlinks=False)
    return tmp_path / "package"


def test_a_second_process_does_not_compile(tmp_path):
    assert hits_and_misses(tmp_path) == "0 1"
    assert hits_and_misses(tmp_path) == "1 0"


def test_a_change_in_any_kernel_file_is_other_machine_code(tmp_path, package):
    assert hits_and_misses(tmp_path, package) == "0 1"
    with (package / "fastnn" / "kernels" / "losses.py").open("a") as file:
        file.write("# a file that row_sums does not even import\n")
    assert hits_and_misses(tmp_path, package) == "0 1"


def test_every_kernel_file_counts(package):
    files = sorted((package / "fastnn" / "kernels").glob("*.py"))
    program = f"""
from pathlib import Path
from fastnn.kernels import cache
print(cache.source_hash())
for file in map(Path, {[str(file) for file in files]!r}):
    text = file.read_text()
    file.write_text(text + "#")
    print(cache.source_hash())
    file.write_text(text)
"""
    got = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd="/",
                         env={**os.environ, "PYTHONPATH": str(package)})
    hashes = got.stdout.split()
    assert len(hashes) == len(set(hashes)) == len(files) + 1


def test_damaged_machine_code_is_compiled_anew(tmp_path):
    hits_and_misses(tmp_path)
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert files
    for damage in (lambda data: data[:len(data) // 2], lambda data: b"", lambda data: b"garbage" + data):
        for file in files:
            file.write_bytes(damage(file.read_bytes()))
        assert hits_and_misses(tmp_path) == "0 1"
    assert hits_and_misses(tmp_path) == "1 0"


def test_nowhere_to_write_costs_a_compilation_and_no_error(tmp_path):
    file = tmp_path / "file"
    file.touch()                                       # no folder can be made below a file, not even by root
    nowhere = {"NUMBA_CACHE_DIR": str(file), "XDG_CACHE_HOME": str(file), "HOME": str(file), "TMPDIR": str(file),
               "LOCALAPPDATA": str(file)}
    program = PROGRAM.replace("import numpy", f"import tempfile; tempfile.tempdir = {str(file)!r}\nimport numpy", 1)
    got = subprocess.run([sys.executable, "-c", program + "from fastnn.kernels import cache; print(cache.FOLDERS)"],
                         cwd="/", capture_output=True, text=True, check=True,
                         env={**os.environ, "PYTHONPATH": str(ROOT), **nowhere})
    assert got.stdout.split() == ["0", "1", "[]"]


def test_a_kernel_called_from_python_says_so():
    with pytest.raises(TypeError, match="affine can be called by compiled code only"):
        layers.affine(1, 2, 3)


def test_compilation_is_reported_when_it_happens(tmp_path):
    program = PROGRAM.replace("passes.row_sums(", "import fastnn; names = []\n"
                              "with fastnn.compilation(names.append): passes.row_sums(", 1) + "print(names)"
    for expected in ("0 1\n['row_sums']", "1 0\n[]"):
        got = subprocess.run([sys.executable, "-c", program], cwd="/", capture_output=True, text=True, check=True,
                             env={**os.environ, "PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": str(tmp_path)})
        assert got.stdout.strip() == expected


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_a_compilation_says_so_on_a_terminal_once(tmp_path):
    import pty

    program = ("import numpy as np, fastnn.training\nfrom fastnn.kernels import passes\n"
               "for n in (np.float32, np.float64): passes.row_sums(np.ones((2, 3), n), np.zeros((1, 2), n))")
    said = []
    for _ in range(2):
        ours, theirs = pty.openpty()
        subprocess.run([sys.executable, "-c", program], cwd="/", stdout=subprocess.DEVNULL, stderr=theirs, check=True,
                       env={**os.environ, "PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": str(tmp_path)})
        os.close(theirs)
        try:
            said.append(os.read(ours, 10_000).decode())
        except OSError:                     # Linux's way to say that nobody wrote anything
            said.append("")
        os.close(ours)
    assert said[0].count("compiling the kernels") == 1
    assert said[1] == ""


@pytest.fixture(scope="module")
def float32_programs():
    """LLVM's text of all that the entries make of float32 arrays."""
    network = Network((20, 30, 3), "tanh", "softmax")
    theta = network.from_dict(reference.initialize_parameters((20, 30, 3), 0), np.float32)
    model, room = workspace.for_training(network, theta, 10, 1)
    X, Y = np.zeros((10, 20), np.float32), np.zeros((10, 3), np.float32)
    rule = epoch.Rule(optimizers.ADAM, np.float32(0), np.ones(1, np.float32), np.ones(5, np.float32),
                      np.zeros(2 * theta.size, np.float32))
    batches = epoch.Batches(X, Y, np.ones(10, np.float32), np.arange(10), 0, 10, 0, 10)
    steps = (1, team.new_team(1), model, batches, room, rule, np.zeros((1, 2), np.float32))
    model, room = workspace.for_prediction(network, theta, 10, 1)
    prediction = (1, team.new_team(1), model, X, room, Y, np.zeros(1, np.bool_))
    coefs, intercepts = training.unpack(network, theta)
    model, room = workspace.for_prediction_of_few(network, coefs, intercepts, 1)
    prediction_of_few = (1, team.new_team(1), model, X, room, Y, np.zeros(1, np.bool_))
    A, b = np.zeros((4, 4), np.float32), np.zeros(4, np.float32)
    words = np.zeros(shuffle.N + 1, np.uint32)
    calls = [*((way.train, steps) for way in (epoch, few, small, linear)), (predict.predict, prediction),
             (predict.predict_few, prediction_of_few), (passes.transpose, (A, A)),
             (shuffle.shuffle, (np.arange(4), words, words)), (passes.affine, (A, b, A, A, 0)),
             (passes.backproject, (A, A, A, A, 0)), (passes.outer, (A, A, A, A)), (passes.inner, (A, A, A, A)),
             (passes.row_sums, (A, A)), (passes.output, (A, 0)), (passes.loss_and_dZ, (A, A, b, 0)),
             (passes.sgd, (b, b, np.float32(1))),
             (peak.peak, (1, np.zeros((6, 64), np.float32)))]
    by_address = {epoch.train_briefly, epoch.train_team, epoch.train_team_briefly,
                  predict.predict_briefly, predict.predict_team}
    assert {call for call, _ in calls} | by_address == {
        entry for entry in jit.ENTRIES if entry.__module__.startswith("fastnn.kernels")}
    programs = {}
    for entry, arguments in calls:
        fresh = numba.njit(**jit.OPTIONS)(entry.py_func)
        fresh.compile(tuple(numba.typeof(argument) for argument in arguments))
        program = "\n".join(fresh.inspect_llvm().values())
        # The wrapper for Python turns its float objects into numbers: that is not in the kernel.
        program = re.sub(r"^define[^\n]*@_ZN7cpython.*?^}", "", program, flags=re.M | re.S)
        programs[f"{entry.__module__}.{entry.__name__}"] = program
    return programs


def test_float32_kernels_hold_no_float64_arithmetic(float32_programs):
    for name, program in float32_programs.items():
        found = re.findall(r"^.*= (?:fadd|fsub|fmul|fdiv|fpext|fptrunc|[us]itofp)[^,]*\bdouble\b.*$", program, re.M)
        assert found == [], name


def test_kernels_allocate_nothing(float32_programs):
    for name, program in float32_programs.items():
        assert not re.search(r"call.*@NRT_(MemInfo_alloc|Allocate)", program), name
