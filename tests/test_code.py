"""Machine code that is loaded: without Numba, whole or not at all, beside everything that a process may do."""

import os
import subprocess
import sys
from pathlib import Path

import llvmlite.binding as llvm
import numpy as np
import pytest

import fastnn
from fastnn.kernels.machine import cache, code, host, kinds
from fastnn.training import passes

ROOT = Path(fastnn.__file__).parents[1]
WITHOUT_NUMBA = pytest.mark.skipif(
    not (sys.platform == "linux" and host.KNOWN.match(host.numba_version())), reason="Numba is needed to load code here"
)
FORKS = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
BEGIN = """
import sys, warnings; warnings.simplefilter("ignore")
import numpy as np
X = np.random.default_rng(0).random((80, 5))
y = (X[:, 0] > 0.5).astype(int)
"""


def output(program, check=True, **environment):
    """What a program prints, in a process of its own."""
    settings = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
    got = subprocess.run(
        [sys.executable, "-c", BEGIN + program],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        env={**settings, "PYTHONPATH": str(ROOT), **environment},
    )
    assert got.returncode == 0 or not check, got.stderr
    return got.stdout.strip()


FIT = "import fastnn; model = fastnn.MLPClassifier((6,), max_iter=3, random_state=0).fit(X, y)\n"
PROGRAMS = {
    "a fit and predictions": FIT + "model.predict(X), model.predict(X[:1]), model.predict_proba(X[:3])",
    "a validation set": "import fastnn\n"
    "fastnn.MLPRegressor(hidden_layer_sizes=(6,), max_iter=3, early_stopping=True).fit(X, X[:, 0])",
    "steps one by one": "import fastnn; fastnn.MLPClassifier((6,)).partial_fit(X, y, classes=[0, 1])",
    "texts": "import fastnn; from scipy.sparse import csr_matrix\n"
    "fastnn.MLPClassifier((6,), max_iter=3).fit(csr_matrix(X), y).predict(csr_matrix(X))",
    "a table": "import fastnn; fastnn.TabularClassifier(n_members=2, max_iter=3).fit(X, y).predict(X)",
    "L-BFGS": "import fastnn; fastnn.MLPClassifier((6,), solver='lbfgs', max_iter=3).fit(X, y)",
    "many fits": "import fastnn; fastnn.fit_many(fastnn.MLPClassifier((6,), max_iter=3), X, y, seeds=range(3))",
    "the notes' functions": "from fastnn import functional as nn\n"
    "nn.gradient_descent(X.T, y[np.newaxis], layer_sizes=(5, 4, 1), num_iterations=3)",
    "a model that was pickled": FIT + "import pickle; pickle.loads(pickle.dumps(model)).predict(X)",
    "a law of ones own": "import fastnn, math\n"
    "sine = fastnn.activation(lambda z: math.sin(z), lambda z: math.cos(z))\n"
    "fastnn.MLPClassifier((6,), activation=sine, max_iter=3).fit(X, y)",
    "derivatives by the inputs": FIT + "model.input_gradient(X); fastnn.expected_gradients(model, X[:2], X)",
    "a network for compiled code, in Python": FIT + "fastnn.predict_one(model.jit(), X[0], np.empty(2))",
    "what is told of the system": "import fastnn; fastnn.system_info(); fastnn.get_n_threads()",
}


@WITHOUT_NUMBA
@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_where_nothing_is_compiled_numba_is_not_imported(program):
    output(program)  # compiles, where that was not done yet
    assert output(program + "\nprint(sorted({name.partition('.')[0] for name in sys.modules} & {'numba'}))") == "[]"


@WITHOUT_NUMBA
def test_where_nothing_is_compiled_numba_need_not_be_there():
    program = "sys.modules['numba'] = None\n" + FIT + "print(model.predict(X).shape)"
    assert output(FIT + program) == output(program) == "(80,)"


def test_an_interrupt_while_numba_is_imported_leaves_it_whole(tmp_path):
    program = """
import threading
from fastnn.kernels.machine import code
join, row_sums = threading.Thread.join, code.entry("passes.row_sums")
def interrupted(thread):
    threading.Thread.join = join
    raise KeyboardInterrupt
threading.Thread.join = interrupted
try:
    row_sums(np.ones((2, 16)), np.zeros((1, 2)))
except KeyboardInterrupt:
    print("interrupted")
row_sums(np.ones((2, 16)), out := np.zeros((1, 2)))
print(out.sum())
"""
    assert output(program, NUMBA_CACHE_DIR=str(tmp_path)) == "interrupted\n32.0"


@pytest.mark.parametrize("first", ["numba", "fastnn"])
@pytest.mark.parametrize("layer", ["workqueue", "omp", "tbb"])
def test_numba_may_be_imported_before_or_after(first, layer):
    theirs = """
import numba
@numba.njit(parallel=True)
def total(x):
    s = 0.0
    for i in numba.prange(x.size):
        s += x[i]
    return s
try:
    assert total(np.ones(1000)) == 1000
    print(numba.threading_layer())
except ValueError:  # this layer is not installed
    print("none")
"""
    print_score = "print(model.loss_, (model.predict_proba(X) == model.predict_proba(X)).all())\n"
    parts = [theirs, FIT + print_score]
    printed = output("\n".join(parts if first == "numba" else parts[::-1]), NUMBA_THREADING_LAYER=layer).splitlines()
    alone = output(FIT + print_score)
    assert sorted(printed) in (sorted([alone, layer]), sorted([alone, "none"]))


def test_numbas_limit_of_threads_counts():
    program = FIT + "import numba; numba.set_num_threads(1)\nprint(fastnn.get_n_threads(), fastnn.get_n_threads(3))"
    assert output(program, NUMBA_NUM_THREADS="3") == "1 1"
    program = FIT + "print(fastnn.get_n_threads(3))"
    assert output(program, NUMBA_NUM_THREADS="2") == "2"


def test_one_thread_needs_no_others():
    program = (
        "import threading, fastnn; fastnn.set_n_threads(1)\n"
        "fastnn.MLPClassifier((100,), max_iter=3).fit(np.repeat(X, 40, 0), np.repeat(y, 40)).predict(X)\n"
        "print(len(threading.enumerate()))"
    )
    assert output(program) == "1"


@FORKS
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_fork_before_or_after_loading(when):
    in_child = """
import os
def in_child():
    if not (child := os.fork()):
        try:
            assert fastnn.MLPClassifier((6,), max_iter=3, random_state=0).fit(X, y).loss_ > 0
            os._exit(0)
        finally:
            os._exit(1)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    program = in_child + "import fastnn\n" + ("in_child()\n" + FIT if when == "before" else FIT + "in_child()\n")
    assert output(program) == "0"


@FORKS
def test_a_fork_while_another_thread_loads():
    program = """
import os, threading
from fastnn.kernels.machine import code
row_sums = code.entry("passes.row_sums")
row_sums(np.ones((2, 16)), np.zeros((1, 2)))
loads, may_go_on = threading.Event(), threading.Event()
llvm, finalize = code.llvm, code.llvm.ExecutionEngine.finalize_object
def slowly(engine):
    loads.set(); may_go_on.wait(0.5)
    finalize(engine)
llvm.ExecutionEngine.finalize_object = slowly
thread = threading.Thread(target=lambda: row_sums(np.ones((2, 16), "f4"), np.zeros((1, 2), "f4")))
thread.start(); loads.wait()
if not (child := os.fork()):
    row_sums(np.ones((2, 16), "f4"), out := np.zeros((1, 2), "f4"))
    os._exit(0 if (out == 16).all() else 1)
thread.join()
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert output(program) == "0"


def test_sixteen_threads_at_first_use(tmp_path):
    """Both where there is nothing yet, and where all is kept."""
    program = """
import threading
from fastnn.kernels.machine import code
code.WATCHERS.append((compiled := []).append)
row_sums, together, outs = code.entry("passes.row_sums"), threading.Barrier(16), [np.zeros((1, 2)) for _ in range(16)]
def go(out):
    together.wait()
    row_sums(np.ones((2, 16)), out)
threads = [threading.Thread(target=go, args=(out,)) for out in outs]
[thread.start() for thread in threads], [thread.join() for thread in threads]
assert (np.array(outs) == 16).all()
print(len(compiled), len(code._loaded))
"""
    assert output(program, NUMBA_CACHE_DIR=str(tmp_path)) == "1 2"
    assert output(program, NUMBA_CACHE_DIR=str(tmp_path)) == "0 2"


KINDS = "const float64[:,::1]", "float64[:,::1]"


@pytest.fixture
def fresh(monkeypatch):
    """Nothing is loaded yet."""
    passes.row_sums(np.dtype("f8"), np.ones((2, 16)), np.zeros((1, 2)))  # compiles, where that was not done yet
    monkeypatch.setattr(code, "_loaded", {})
    monkeypatch.setattr(code, "_engines", [])
    return "fastnn.kernels.passes.row_sums", KINDS


def sums(loaded):
    loaded.call(np.ones((2, 16)), out := np.zeros((1, 2)))
    return out.tolist()


STEPS = [
    (llvm.ExecutionEngine, "add_object_file", 0),
    (llvm.ExecutionEngine, "add_object_file", 1),
    (llvm.ExecutionEngine, "finalize_object", 0),
    (llvm.ExecutionEngine, "get_function_address", 1),
    (llvm, "add_symbol", 0),
    (llvm, "add_symbol", 1),
    (cache, "read", 1),
]


@pytest.mark.parametrize(("where", "name", "nth"), STEPS, ids=lambda value: getattr(value, "__name__", str(value)))
def test_an_interrupt_while_code_is_loaded_leaves_nothing_behind(monkeypatch, fresh, where, name, nth):
    calls, done = [], getattr(where, name)

    def interrupted(*args):
        calls.append(args)
        if len(calls) == nth + 1:
            raise KeyboardInterrupt
        return done(*args)

    with monkeypatch.context() as patch:
        patch.setattr(where, name, interrupted)
        with pytest.raises(KeyboardInterrupt):
            code.load(*fresh)
    assert not code._loaded
    assert sums(code.load(*fresh)) == [[16, 16]]


def file_of(symbol):
    return cache._path(cache.FOLDERS[-1], symbol)


def object_file(text):
    """What LLVM makes of its own language."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_triple(host.TRIPLE).create_target_machine(codemodel="jitdefault", jit=True)
    return code.together([], machine.emit_object(llvm.parse_assembly(text)))


@pytest.fixture
def kept(monkeypatch, tmp_path, fresh):
    """A folder that has one kernel, of which the file can be changed."""
    symbol, compiled = cache.symbol(*fresh), []
    files = {name: cache.read(name) for name in code._files(symbol)}
    monkeypatch.setattr(cache, "FOLDERS", [tmp_path])
    monkeypatch.setattr(cache, "CAN_WRITE", True)
    for name, data in files.items():
        cache.write(name, data)
    monkeypatch.setattr(code, "WATCHERS", [compiled.append])
    return fresh, symbol, compiled


def test_a_file_that_is_whole_is_not_compiled(kept):
    kernel, _, compiled = kept
    assert sums(code.load(*kernel)) == [[16, 16]]
    assert compiled == []


DAMAGES = {
    "gone": lambda symbol, path, data: path.unlink(),
    "empty": lambda symbol, path, data: path.write_bytes(b""),
    "half of it": lambda symbol, path, data: path.write_bytes(data[: len(data) // 2]),
    "one bit": lambda symbol, path, data: path.write_bytes(data[:-1] + bytes([data[-1] ^ 1])),
    "of an older format": lambda symbol, path, data: path.write_bytes(data.replace(b"code 1", b"code 0", 1)),
    "a folder": lambda symbol, path, data: (path.unlink(), path.mkdir()),
    "another's": lambda symbol, path, data: cache.write(symbol, object_file("define void @other() { ret void }")),
    "half of it, with a right checksum": lambda symbol, path, data: cache.write(symbol, data[45 : len(data) // 2]),
    "its head, with a right checksum": lambda symbol, path, data: cache.write(symbol, data[54:254]),
    "text": lambda symbol, path, data: cache.write(symbol, b"no object code"),
    "nothing in it": lambda symbol, path, data: cache.write(symbol, b""),
    "what it calls nobody knows": lambda symbol, path, data: cache.write(
        symbol,
        object_file(f'declare void @nobody()\ndefine void @"{symbol}"() {{ call void @nobody() ret void }}'),
    ),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_file_that_is_not_as_it_was_written_costs_a_compilation(kept, damage):
    kernel, symbol, compiled = kept
    damage(symbol, file_of(symbol), file_of(symbol).read_bytes())
    assert sums(code.load(*kernel)) == [[16, 16]]
    assert compiled == ["row_sums"]


def test_a_unit_whose_file_is_gone_is_compiled_anew(kept):
    kernel, symbol, _ = kept
    (unit,), _ = code._parts(cache.read(symbol))
    file_of(unit).unlink()
    assert sums(code.load(*kernel)) == [[16, 16]]
    assert cache.read(unit)


def test_files_that_are_removed_before_they_are_loaded_are_made_again(monkeypatch, kept):
    from fastnn.kernels.machine import jit

    kernel, symbol, compiled = kept
    have, turns = jit.have, []

    def have_and_remove(*args):
        have(*args)
        turns.append(args)
        if len(turns) == 1:
            code.MADE.clear()
            for file in cache.FOLDERS[0].iterdir():
                file.unlink()

    monkeypatch.setattr(jit, "have", have_and_remove)
    file_of(symbol).unlink()
    assert sums(code.load(*kernel)) == [[16, 16]]
    assert compiled == ["row_sums", "row_sums"]


def test_machine_code_for_another_processor_is_not_kept(tmp_path):
    """What Numba compiles for may be changed by a program after it is known what this processor is."""
    program = """
from fastnn.kernels.machine import code
code.WATCHERS.append((compiled := []).append)
{change}
code.entry("passes.row_sums")(np.ones((2, 16)), out := np.zeros((1, 2)))
print(out.sum(), compiled)
"""
    change = "import numba; numba.config.CPU_NAME = 'generic'; numba.config.CPU_FEATURES = ''"
    for turn in change, "", "":
        expected = "32.0 ['row_sums']" if turn or not list(tmp_path.rglob("*.o")) else "32.0 []"
        assert output(program.format(change=turn), NUMBA_CACHE_DIR=str(tmp_path)) == expected
    assert list(tmp_path.rglob("*.o"))


def test_each_version_has_symbols_of_its_own(monkeypatch):
    """Two may live in one process, one after the other, and LLVM's linker knows them by these names alone."""
    symbol = cache.symbol.__wrapped__
    before = symbol("a", KINDS)
    monkeypatch.setattr(cache, "VERSION", "another")
    assert symbol("a", KINDS) != before


def test_two_versions_in_one_programs_life(tmp_path):
    """An application that brings itself up to date imports the new one in the same process."""
    program = f"""
import shutil, sys
from pathlib import Path
new = Path({str(tmp_path)!r}) / "new"
shutil.copytree(Path({str(ROOT / "fastnn")!r}), new / "fastnn", ignore=shutil.ignore_patterns("__pycache__"))
with (new / "fastnn" / "kernels" / "passes.py").open("a") as file:
    file.write("\\n\\n@entry\\ndef twice(A):\\n    A[0, 0] *= 2\\n")
def row_sums():
    from fastnn.kernels.machine import code
    code.entry("passes.row_sums")(np.ones((2, 16)), out := np.zeros((1, 2)))
    return code, out.tolist()
old, before = row_sums()
for name in [name for name in sys.modules if name.partition(".")[0] == "fastnn"]:
    del sys.modules[name]
sys.path.insert(0, str(new))
code, after = row_sums()
assert code is not old and str(new) in code.__file__
code.entry("passes.twice")(A := np.ones((1, 1)))
assert old.entry("passes.row_sums")(np.ones((2, 16)), out := np.zeros((1, 2))) is None and (out == 16).all()
print(before == after == [[16, 16]], A[0, 0])
"""
    assert output(program) == "True 2.0"


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (np.zeros((2, 3), np.float32), "float32[:,::1]"),
        (np.zeros(3, np.int64), "int64[::1]"),
        (1, "int64"),
        (True, "bool"),
        (0.5, "float64"),
        (np.float32(1), "float32"),
        (np.zeros((0, 1), np.uint32), "uint32[:,::1]"),
    ],
)
def test_the_kind_of_a_value_is_numbas_type(value, kind):
    import numba

    from fastnn.kernels.machine import jit

    assert kinds.kind_of(value) == kind
    assert jit.type_of(kind) == numba.typeof(value)
    assert jit.kind_of(numba.typeof(value)) == kind


def test_an_array_that_is_not_contiguous_is_refused():
    with pytest.raises(TypeError, match="kernels take C-contiguous arrays, got one of strides"):
        kinds.kind_of(np.zeros((4, 4))[:, ::2])


@WITHOUT_NUMBA
@pytest.mark.parametrize(
    ("environment", "is_needed"),
    [
        ({}, False),
        ({"NUMBA_OPT": "2"}, True),
        ({"NUMBA_CPU_NAME": "nocona"}, True),
        ({"NUMBA_NUM_THREADS": "2"}, False),
    ],
)
def test_numba_is_needed_where_its_settings_are_others(environment, is_needed):
    program = "from fastnn.kernels.machine import host; print(host.needs_numba(), 'numba' in sys.modules)"
    assert output(program, **environment) == f"{is_needed} {is_needed}"


@WITHOUT_NUMBA
@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"NUMBA_CPU_NAME": "generic"},
        {"NUMBA_CPU_NAME": "x86-64-v3"},
        {"NUMBA_CPU_NAME": "x86-64-v3", "NUMBA_CPU_FEATURES": "+avx2,+fma"},
        {"NUMBA_CPU_FEATURES": ""},
    ],
    ids=str,
)
def test_the_processor_and_the_version_are_the_same_with_and_without_numba(environment):
    program = "from fastnn.kernels.machine import cache, host; print(*host.PROCESSOR, host.VERSIONS, cache.VERSION)"
    without, with_it = output(program, **environment), output(f"import numba\n{program}", **environment)
    assert without == with_it
    program = "import numba, numba.core.registry as r; print(*r.cpu_target.target_context.codegen().magic_tuple())"
    assert without.startswith(output(program, **environment))
