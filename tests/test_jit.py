"""How kernels are compiled, and what is in their machine code."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

import fastnn
from fastnn import training
from fastnn.kernels import embedded, epochs, passes, predict, shuffle
from fastnn.kernels.laws import addresses
from fastnn.kernels.laws import units as laws
from fastnn.kernels.laws.activations import ACTIVATIONS
from fastnn.kernels.layouts import run
from fastnn.kernels.layouts.examples import Pieces, Rows
from fastnn.kernels.machine import cache, code, jit, peak, team
from fastnn.kernels.machine.kinds import kind_of
from fastnn.kernels.machine.words import new_team
from fastnn.kernels.products import columns as products
from fastnn.network import Network
from fastnn.training import prediction
from fastnn.training.ways import columns, linear, online, pieces, sparse, units

ROOT = Path(fastnn.__file__).parents[1]


def test_a_kernel_called_from_python_says_so():
    with pytest.raises(TypeError, match="affine can be called by compiled code only"):
        products.affine(1, 2, 3)


def test_an_object_file_has_no_name_for_others_but_its_symbol():
    """Of two functions of one name, which processes have numbered alike, the linker would take the first for both."""
    for law in "elu", "leaky_relu":
        unit, kinds = addresses.unit_and_kinds("activate", ACTIVATIONS[law], np.dtype("f4"))
        jit.have(unit, kinds)
        name = cache.symbol(unit, kinds)
        defined, _ = code.names_of(code._parts(code.MADE.get(name) or cache.read(name))[1])
        assert defined == {name, f"{name}.env"}


#: Switches Numba off in {way}, fits on one thread and on a team, and says what became of functions of the user's.
SWITCHED_OFF = """
import numba
{way}
import threading, warnings; warnings.simplefilter("ignore")
import numpy as np
import fastnn
from fastnn.training import trainer

def theirs(x):
    return x

def defined_meanwhile(name):
    thread = threading.Thread(target=lambda: defined.append(numba.njit(theirs)))
    thread.start(), thread.join()

trainer.SERIAL_BELOW, defined, before = 0, [], numba.config.DISABLE_JIT
X = np.random.default_rng(0).random((40, 3))
with fastnn.compilation(defined_meanwhile):
    models = [fastnn.MLPRegressor(hidden_layer_sizes=(5,), max_iter=2, random_state=0, n_threads=n).fit(X, X[:, 0])
              for n in (1, 2)]
assert defined and all(function is theirs for function in defined)
assert numba.njit(theirs) is theirs and numba.config.DISABLE_JIT is before
assert (models[0].predict(X) == models[1].predict(X)).all()
print(models[0].loss_)
"""


@pytest.mark.parametrize("way", ["environment", "program"])
def test_kernels_are_compiled_where_numba_is_switched_off_for_others(tmp_path, way):
    program = SWITCHED_OFF.format(way="numba.config.DISABLE_JIT = True" if way == "program" else "")
    switch = {"NUMBA_DISABLE_JIT": "1"} if way == "environment" else {}
    got = subprocess.run(
        [sys.executable, "-c", program],
        cwd="/",
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **switch, "PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": str(tmp_path)},
    )
    X = np.random.default_rng(0).random((40, 3))
    model = fastnn.MLPRegressor(hidden_layer_sizes=(5,), max_iter=2, random_state=0).fit(X, X[:, 0])
    assert float(got.stdout) == model.loss_


@pytest.fixture(scope="module")
def float32_programs():
    """LLVM's text of all that the entries make of float32 arrays."""
    network, theta = Network((20, 30, 3), "tanh", "softmax"), np.zeros(753, np.float32)
    X, Y = np.zeros((10, 20), np.float32), np.zeros((10, 3), np.float32)
    numbers, constants, moments = np.ones((1, 4), np.float32), np.ones(5, np.float32), np.zeros(1506, np.float32)
    rule = run.Rule(0, 0, numbers, constants, moments, np.float32(0), np.float32(0))
    batches = run.Batches(X, Y, np.ones(10, np.float32), np.arange(10), 0, 10, 0, 10, 0, 0)
    calls = []
    for way in (columns, units, online, linear):
        model, room = way.room(network, theta, 1, 1)
        calls.append(
            (
                way.TRAIN.alone,
                (True, 1, new_team(1), run.Run(model, batches, room, rule), np.zeros((1, 2), np.float32)),
            )
        )
    rows = Rows(X[0], np.zeros(20, np.int32), np.zeros(11, np.int64))
    model, room = sparse.room(network, theta, 1, 1, 20)
    texts = run.Run(model, batches._replace(X=rows), room, rule)
    calls.append((sparse.TRAIN.alone, (True, 1, new_team(1), texts, np.zeros((1, 2), np.float32))))
    with_pieces = Network((33, 30, 3), "tanh", "softmax", n_pieces=(4, 2))
    more = np.zeros(with_pieces.n_params, np.float32)
    positions = Pieces(X[:, :1].copy(), X[:, :2].copy(), np.array([0, 4, 6]))
    model, room = pieces.room(with_pieces, more, 1, 1)
    of_pieces = run.Run(model, batches._replace(X=positions), room, rule)
    calls.append((pieces.TRAIN.alone, (True, 1, new_team(1), of_pieces, np.zeros((1, 2), np.float32))))
    coefs, _ = training.unpack(network, theta)
    rest = theta[coefs[0].size :]
    for kernel, (model, room), x in (
        (predict.predict, prediction.room_for_many(network, theta, 10, 1), X),
        (predict.predict_pieces, prediction.room_for_pieces(with_pieces, more, 10, 1), positions),
        (predict.predict_sparse, prediction.room_for_sparse(network, coefs[0], rest, 10, 1), rows),
    ):
        calls.append((kernel, (True, 1, new_team(1), model, x, room, Y, np.zeros(1, np.bool_))))
    calls += [
        (predict.predict_few, (True, 1, new_team(1), 0, X, Y)),
        (predict.predict_at_once, (0, X, Y)),
    ]
    A, b = np.zeros((4, 4), np.float32), np.zeros(4, np.float32)
    net = fastnn.MLPRegressor(hidden_layer_sizes=(3,)).partial_fit(X, Y[:, 0]).jit(batch_size=10)
    network, trained = (Kind(("at", kind_of(record))) for record in net._kept[::2])
    blocks = np.zeros((1, 4, 4), np.float32)
    calls += [
        (embedded.predict, (network, A, A)),
        (embedded.input_gradient, (network, A, 0, False, blocks)),
        (embedded.train_step, (trained, A, A, A)),
        (embedded.call_predict, (True, 0, 0, A, A)),
        (embedded.call_input_gradient, (True, 0, 0, A, 0, False, blocks)),
        (embedded.call_train_step, (0, 0, A, A, A)),
        (passes.transpose, (A, A)),
        (team.serve, (new_team(1), 0)),
        (passes.affine, (A, b, A, A, A, False, 0)),
        (passes.backproject, (A, A, A, A, 0)),
        (passes.outer, (A, A, A, A)),
        (passes.inner, (A, A, A, A)),
        (passes.row_sums, (A, A)),
        (passes.output, (A, 0)),
        (passes.loss_and_dZ, (A, A, b, b, 0)),
        (passes.sgd, (b, b, np.float32(1))),
        (peak.peak, (1, np.zeros((6, 64), np.float32))),
    ]
    # Who add up in float64, or nothing; and what C calls with double numbers.
    callers = {epochs.train_epochs, predict.predict_team, predict.predict_few_team}
    callers |= {embedded.number_for_c_single, embedded.number_for_c_double}
    assert {call for call, _ in calls} | callers == {
        entry for entry in code.ENTRIES.values() if entry.__module__.startswith("fastnn.kernels")
    }
    programs = {}
    for entry, arguments in calls:
        kinds = (argument.kind if isinstance(argument, Kind) else kind_of(argument) for argument in arguments)
        programs[entry.full_name] = program_of(jit.find(entry.full_name), kinds)
    for name, kinds in list(jit.SYMBOLS.values()):
        if not any("float64" in str(kind) for kind in kinds) and name != epochs.steps_end.full_name:
            programs[name] = program_of(jit.find(name), kinds)
    for name, law in jit.COMPILED.items():
        if name.startswith(laws.__name__) and name not in programs:
            programs[name] = program_of(law, addresses._kinds(law.__name__.partition("_")[0], "float32"))
    around = {epochs.steps_end.full_name, shuffle.shuffle.full_name}
    units_alone = {name for name, dispatcher in jit.COMPILED.items() if isinstance(dispatcher, jit._Unit)}
    assert programs.keys() >= units_alone - around
    return programs


class Kind(NamedTuple):
    """In the place of an argument: what it is."""

    kind: tuple


def program_of(function, kinds):
    """LLVM's text of what is made of it for arguments of these kinds, compiled anew."""
    # The wrapper for Python turns its float objects into numbers: that is not in the kernel.
    fresh = jit._njit(jit._Entry, function.py_func, jit._EntryCompiler, no_cpython_wrapper=True)
    with jit._compiling():
        return fresh._compiler.compile(tuple(map(jit.type_of, kinds)), None).library.get_llvm_str()


def test_float32_kernels_hold_no_float64_arithmetic(float32_programs):
    for name, program in float32_programs.items():
        found = re.findall(r"^.*= (?:fadd|fsub|fmul|fdiv|fpext|fptrunc|[us]itofp)[^,]*\bdouble\b.*$", program, re.M)
        assert found == [], name


def test_kernels_allocate_nothing(float32_programs):
    for name, program in float32_programs.items():
        assert not re.search(r"call.*@NRT_(MemInfo_alloc|Allocate)", program), name
