"""Units compiled by other processes, while this one compiles what calls them.

A worker is a Python that imports nothing but this package: it is told names of units and types of arguments, compiles
them into the folder of machine code, and says when it has done so.  It ends when nobody asks for some time, and when
whoever started it ends.
"""

import atexit
import gc
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress

from fastnn.kernels.machine import cache

#: Seconds without work after which workers are sent home.
IDLE = 1.0
WAITING, RUNNING, DONE = range(3)
#: The units that take longest, the longest last: 0.5 to 2 s each, the others 0.2 to 0.4.
LONG = ("steps_end", "weigh", "gather", "loss_and_dZ", "inner", "outer", "affine", "backproject", "train_epochs")


def _start(call, **pipes):
    """A Python of its own that makes this call, with the modules of this one."""
    return subprocess.Popen(
        [sys.executable, "-c", f"import sys; sys.path[:] = {sys.path!r}; {call}"],
        stderr=subprocess.DEVNULL,
        env={**os.environ, "FASTNN_WORKER": "1"},
        **pipes,
    )


def _length(job):
    """What takes longer to compile: others do that first, and who waits for it does the rest meanwhile."""
    place = job[0].rpartition(".")[2]
    return LONG.index(place) if place in LONG else -1


def _n_workers():
    """How many processes may help: none where they cannot be started, or the machine code could not be handed over."""
    if (
        not cache.CAN_WRITE
        or getattr(sys, "frozen", False)
        or not sys.executable
        or multiprocessing.current_process().daemon
        or os.environ.get("FASTNN_WORKER")
    ):
        return 0
    from joblib import cpu_count

    return cpu_count() - 1


class _Worker:
    def __init__(self, workers):
        self.process = _start(
            "from fastnn.kernels.machine.workers import serve; serve()", stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.thread = threading.Thread(target=self.run, args=(workers,), daemon=True)
        self.thread.start()

    def run(self, workers):
        try:
            if pickle.load(self.process.stdout) != str(cache.FOLDERS[-1]):
                raise ValueError("it would compile something else")
            while (job := workers.next_job(IDLE)) is not None:
                try:
                    pickle.dump(job, self.process.stdin)
                    self.process.stdin.flush()
                    pickle.load(self.process.stdout)
                finally:
                    workers.is_done(job)
        except (OSError, EOFError, ValueError, pickle.UnpicklingError):
            workers.are_useless = True  # whoever needs the units compiles them
        finally:
            workers.goes(self)
            with suppress(OSError):  # a pipe that is broken
                pickle.dump(None, self.process.stdin)  # a forked child may hold the pipe open
                self.process.stdin.close()
            self.process.stdout.close()
            self.process.wait()


class Workers:
    """The other processes, and the units that are asked for."""

    def __init__(self):
        self.jobs, self.workers, self.changed = {}, [], threading.Condition()
        self.compilations = 0  # that are under way here
        self.wishes = []  # what will be needed as well, if there is one
        self.elsewhere = 0  # how many processes are at calls of their own
        self.are_useless = False  # one has died, or would not do for this process

    def _ask_for(self, job):
        if job not in self.jobs:
            self.jobs[job] = WAITING
            self.changed.notify_all()
            try:
                for _ in range(0 if self.are_useless else _n_workers() - self.elsewhere - len(self.workers)):
                    self.workers.append(_Worker(self))
            except (OSError, RuntimeError):  # there may be no more processes, or threads
                self.are_useless = True

    def ask_for(self, name, args):
        """Somebody will need this unit: who has time may compile it."""
        with self.changed:
            if self.compilations:
                self._ask_for((name, args))

    @contextmanager
    def wish_for(self, jobs):
        """If something is compiled meanwhile, these units (name, args) will be needed as well."""
        with self.changed:
            self.wishes = [*self.wishes, *jobs]
        try:
            yield
        finally:
            with self.changed:
                self.wishes = self.wishes[len(jobs) :]

    @contextmanager
    def at_work(self):
        """A compilation: what it needs is asked for, and the workers stay until it ends, and a while longer."""
        with self.changed:
            self.compilations += 1
            for job in self.wishes:
                self._ask_for(job)
        try:
            yield
        finally:
            with self.changed:
                self.compilations -= 1

    @contextmanager
    def call_elsewhere(self, call):
        """Meanwhile, another process makes this call (a line of Python), if there may be one; it ends with it."""
        try:
            call = f"from fastnn.kernels.machine import workers; workers.end_with_parent(); {call}"
            process = _start(call, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) if _n_workers() else None
        except OSError:
            process = None
        self.elsewhere += process is not None
        try:
            yield
            if process:
                process.wait()
        finally:
            if process:
                self.elsewhere -= 1
                process.kill()
                process.wait()
                process.stdin.close()

    def next_job(self, seconds):
        """Take the longest job; None if there is none for so long after the last compilation."""
        with self.changed:
            while True:
                job = max((job for job, state in self.jobs.items() if state == WAITING), key=_length, default=None)
                if job:
                    self.jobs[job] = RUNNING
                    return job
                if not self.changed.wait(seconds) and not self.compilations:
                    return None

    def is_done(self, job):
        with self.changed:
            self.jobs[job] = DONE
            self.changed.notify_all()

    def goes(self, worker):
        with self.changed:
            self.workers.remove(worker)

    def finish(self, units, load):
        """Load these units: compile those that nobody has begun, then wait for the others."""
        units = [(name, tuple(args)) for name, args in units]
        while True:
            with self.changed:
                mine = min((job for job in units if self.jobs.get(job) == WAITING), key=_length, default=None)
                if mine:
                    self.jobs[mine] = RUNNING
                elif any(self.jobs.get(job) == RUNNING for job in units):
                    self.changed.wait()
                    continue
            if mine is None:
                break
            try:
                load(*mine)
            finally:
                self.is_done(mine)
        for job in units:
            load(*job)

    def forget(self):
        """In a forked child: the workers are the parent's."""
        self.__init__()

    def close(self):
        """The interpreter ends."""
        for worker in self.workers:
            worker.process.kill()


WORKERS = Workers()
atexit.register(WORKERS.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=WORKERS.forget)


def end_with_parent():
    """Whoever started this process holds its standard input open: when that ends, it does."""

    def watch():
        sys.stdin.buffer.read()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def serve():
    """What a worker does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever started it
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever is printed is no answer
    gc.disable()  # it would look at all that the compiler has made
    from fastnn.kernels.machine.jit import have

    pickle.dump(str(cache.FOLDERS[-1]) if cache.CAN_WRITE else None, out)
    out.flush()
    while True:
        try:
            job = pickle.load(sys.stdin.buffer)
        except EOFError:
            job = None
        if job is None:
            return
        name, args = job
        try:
            have(name, args)
        except Exception as error:
            pickle.dump(repr(error), out)
        else:
            pickle.dump(None, out)
        out.flush()
