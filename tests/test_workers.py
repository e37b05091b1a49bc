"""Units: compiled by other processes or by this one, loaded before whoever calls them; and no process left behind."""

import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import fastnn
from fastnn.kernels.machine import cache, jit, workers
from fastnn.kernels.machine.kinds import kind_of

ROOT = Path(fastnn.__file__).parents[1]

row_sums = jit.find("fastnn.kernels.products.columns.row_sums")

#: A worker is started, and asked for one unit; `now` is what happens then.
PROGRAM = """
import os, time
import joblib
joblib.cpu_count = lambda: 2
from fastnn.kernels.machine import cache, code, jit, workers
name = "fastnn.kernels.products.columns.row_sums"
args = "float64[:,::1]", "float64[:,::1]", "int64", "int64", "int64", "bool"
symbol, pool = cache.symbol(name, args), workers.WORKERS
compilation = pool.at_work()
compilation.__enter__()
pool.ask_for(name, args)
(worker,) = pool.workers
print(worker.process.pid, flush=True)
def wait_until(done):
    until = time.monotonic() + 60
    while not done() and time.monotonic() < until:
        time.sleep(0.01)
    assert done()
{now}
"""


def run(now, folder):
    got = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(now=now)],
        cwd="/",
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": str(folder)},
        check=False,
    )
    assert got.returncode == 0, got.stderr
    pid, *printed = got.stdout.split()
    return int(pid), printed


def is_alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no /proc to look for processes")


def test_what_a_worker_has_compiled_is_loaded(tmp_path):
    _, printed = run(
        """
wait_until(lambda: pool.jobs[name, args] == workers.DONE)
pool.finish([(name, args)], jit._have)
print(symbol in code.MADE, code.load(name, args).address > 0)
""",
        tmp_path,
    )
    assert printed == ["False", "True"]


def test_what_no_worker_has_begun_is_compiled_here(tmp_path):
    _, printed = run(
        """
pool.finish([(name, args)], jit._have)
print(pool.jobs[name, args] == workers.DONE, symbol in code.MADE or cache.read(symbol) is not None)
""",
        tmp_path,
    )
    assert printed == ["True", "True"]


def test_the_work_of_a_worker_that_dies_is_done_here(tmp_path):
    _, printed = run(
        """
wait_until(lambda: pool.jobs[name, args] == workers.RUNNING)
worker.process.kill()
pool.finish([(name, args)], jit._have)
wait_until(lambda: not pool.workers)
print(symbol in code.MADE)
""",
        tmp_path,
    )
    assert printed == ["True"]


@needs_proc
@pytest.mark.parametrize(
    "now",
    [
        "",
        "wait_until(lambda: pool.jobs[name, args] == workers.RUNNING)",
        "compilation.__exit__(None, None, None)\nwait_until(lambda: not pool.workers)",
        "os._exit(0)",
    ],
    ids=["at once", "while it compiles", "idle", "without farewell"],
)
def test_no_worker_is_left_behind(tmp_path, now):
    pid, _ = run(now, tmp_path)
    until = time.monotonic() + 30
    while is_alive(pid) and time.monotonic() < until:
        time.sleep(0.05)
    assert not is_alive(pid)


@pytest.mark.parametrize("reason", ["one core", "nowhere to write", "frozen", "no interpreter", "a daemon", "a worker"])
def test_none_is_started_where_it_could_not_help(monkeypatch, reason):
    monkeypatch.setattr("joblib.cpu_count", lambda: 1 if reason == "one core" else 3)
    monkeypatch.setattr(cache, "CAN_WRITE", reason != "nowhere to write")
    monkeypatch.setattr(sys, "frozen", reason == "frozen", raising=False)
    monkeypatch.setattr(sys, "executable", "" if reason == "no interpreter" else sys.executable)
    monkeypatch.setitem(multiprocessing.current_process()._config, "daemon", reason == "a daemon")
    monkeypatch.setenv("FASTNN_WORKER", "1" if reason == "a worker" else "")
    assert workers._n_workers() == 0


def test_where_it_can_one_is_started_for_each_other_core(monkeypatch):
    monkeypatch.setattr("joblib.cpu_count", lambda: 3)
    monkeypatch.setattr(cache, "CAN_WRITE", True)
    assert workers._n_workers() == 2


@pytest.mark.parametrize("error", [OSError("no more processes"), RuntimeError("can't start new thread")])
def test_where_none_can_be_started_everything_is_compiled_here(monkeypatch, error):
    def refuse(*_, **__):
        raise error

    monkeypatch.setattr(workers, "_n_workers", lambda: 1)
    monkeypatch.setattr(workers.subprocess, "Popen", refuse)
    pool, loaded = workers.Workers(), []
    with pool.at_work():
        pool.ask_for("a", ())
        pool.finish([("a", ())], lambda name, args: loaded.append(name))
    assert (set(loaded), pool.workers, pool.are_useless) == ({"a"}, [], True)


def test_a_unit_is_one_for_all_whole_numbers_and_constants(monkeypatch):
    asked = set()
    monkeypatch.setattr(jit.WORKERS, "ask_for", lambda name, args: asked.add((name, args)))
    dZ, db = np.ones((2, 16)), np.zeros((1, 2))

    def twice(dZ, db, m):
        row_sums(dZ, db, np.uint32(0), 2, m, False)
        row_sums(dZ, db, 0, np.int8(2), 16, True)

    entry = jit.entry(twice)
    entry(dZ, db, 16)
    np.testing.assert_array_equal(db, 32)
    with jit._compiling():
        types = tuple(jit.type_of(kind_of(value)) for value in (dZ, db, 16))
        jit.COMPILED[entry.full_name]._compiler.compile(types, None)
    assert [name for name, _ in asked] == ["fastnn.kernels.products.columns.row_sums"]
