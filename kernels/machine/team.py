"""Threads: helpers that wait for a job, a roll call at its start, and inside, a barrier and queues.

To enter a parallel region of OpenMP takes 1 to 100 us, as long as many a call takes in all.  So the helpers are threads
of our own: for some time after a job each looks for the next, and begins it within a microsecond.  Then it goes to
sleep, and whoever comes does not wait for it: see `training.calls`.

The system may let a helper wait although it has a job.  Hence the closing roll call: the first to arrive waits for a
bounded time, then closes the team; whoever comes later goes home.

No two cores are equally fast for long, and a barrier waits for the slowest.  So work is shared out in equal parts, and
a thread that has finished its part takes units from the end of another's.
"""

import platform
import sys

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastnn.kernels.machine.jit import entry, kernel, run_frame
from fastnn.kernels.machine.words import (
    ARRIVED,
    ASLEEP,
    AT_WORK,
    CALLED,
    CLAIMED,
    CLOSED,
    FRAME,
    FRONT,
    FUNCTION,
    GENERATION,
    HOW,
    LINE,
    N_SETS,
    QUEUES,
    READY,
    SIZE,
    WAITING,
)

INT64 = ir.IntType(64)
#: Pauses before a waiting thread lets another have its core: 50-100 us.
SPINS = 2000
#: How often a helper that is READY looks before it goes to sleep: for some tenths of a millisecond.
LOOKS = 4 * SPINS


@kernel
def clear(state):
    """Make it fresh."""
    for word in range(state.size):
        state[word] = 0


def _word(context, builder, sig, args):
    array = context.make_array(sig.args[0])(context, builder, args[0])
    index = context.cast(builder, args[1], sig.args[1], types.intp)
    return builder.gep(array.data, [index], source_etype=INT64)


@intrinsic
def fetch_add(typingctx, state, word, value):
    """state[word] += value, at once; returns the old value."""

    def codegen(context, builder, sig, args):
        value = context.cast(builder, args[2], sig.args[2], types.int64)
        return builder.atomic_rmw("add", _word(context, builder, sig, args), value, "acq_rel")

    return types.int64(state, word, value), codegen


@intrinsic
def exchange(typingctx, state, word, value):
    """state[word] = value, at once; returns the old value."""

    def codegen(context, builder, sig, args):
        value = context.cast(builder, args[2], sig.args[2], types.int64)
        return builder.atomic_rmw("xchg", _word(context, builder, sig, args), value, "acq_rel")

    return types.int64(state, word, value), codegen


@intrinsic
def compare_exchange(typingctx, state, word, expected, value):
    """state[word] = value if it is as expected, at once; whether it was."""

    def codegen(context, builder, sig, args):
        expected, value = (context.cast(builder, args[i], sig.args[i], types.int64) for i in (2, 3))
        place = _word(context, builder, sig, args)
        return builder.extract_value(builder.cmpxchg(place, expected, value, "acq_rel", "acquire"), 1)

    return types.boolean(state, word, expected, value), codegen


@intrinsic
def load_acquire(typingctx, state, word):
    """state[word]; what its writer wrote before is visible after."""

    def codegen(context, builder, sig, args):
        return builder.load_atomic(_word(context, builder, sig, args), "acquire", 8)

    return types.int64(state, word), codegen


@intrinsic
def store_release(typingctx, state, word, value):
    """state[word] = value; what was written before is visible to whoever reads it."""

    def codegen(context, builder, sig, args):
        value = context.cast(builder, args[2], sig.args[2], types.int64)
        builder.store_atomic(value, _word(context, builder, sig, args), "release", 8)
        return context.get_dummy_value()

    return types.void(state, word, value), codegen


@intrinsic
def pause(typingctx):
    """Tell the core that this is a spin loop."""

    def codegen(context, builder, sig, args):
        if platform.machine().lower() in ("x86_64", "amd64"):
            name, arguments = "llvm.x86.sse2.pause", []
        else:
            name, arguments = "llvm.aarch64.hint", [ir.Constant(ir.IntType(32), 1)]
        function = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(ir.VoidType(), [a.type for a in arguments]), name
        )
        builder.call(function, arguments)
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def yield_core(typingctx):
    """Let another thread have the core (libc's sched_yield; SwitchToThread on Windows)."""

    def codegen(context, builder, sig, args):
        name = "SwitchToThread" if sys.platform == "win32" else "sched_yield"
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(ir.IntType(32), []), name)
        builder.call(function, [])
        return context.get_dummy_value()

    return types.void(), codegen


@kernel
def wait(spins):
    if spins < SPINS:
        pause()
    else:
        yield_core()


@kernel
def claim(helpers, wanted):
    """Have up to wanted - 1 helpers that are READY for what comes; how large a team that makes."""
    size, helper = 1, 0
    while size < wanted and helper < helpers.size:
        size += compare_exchange(helpers, helper + HOW, READY, CLAIMED)
        helper += LINE
    return size


@kernel
def run_together(helpers, size, function, frame):
    """Run the frame (see `jit.packed`) here and by size - 1 helpers that are CLAIMED, each its own part of the work."""
    wanted, helper = size - 1, 0
    while wanted > 0 and helper < helpers.size:
        if load_acquire(helpers, helper + HOW) == CLAIMED:
            helpers[helper + FUNCTION], helpers[helper + FRAME] = function, frame
            store_release(helpers, helper + HOW, AT_WORK)
            wanted -= 1
        helper += LINE
    run_frame(function, frame)
    if size > 1:
        for helper in range(0, helpers.size, LINE):
            spins = 0
            while load_acquire(helpers, helper + HOW) == AT_WORK:
                wait(spins)
                spins += 1


@kernel
def dismiss(helpers, size):
    """Those that are CLAIMED are READY for others."""
    if size > 1:
        for helper in range(0, helpers.size, LINE):
            if load_acquire(helpers, helper + HOW) == CLAIMED:
                store_release(helpers, helper + HOW, READY)


@entry
def serve(helpers, helper):
    """What a helper does, until there is nothing to do for some time.  helper: where its words are.

    It has let go of the GIL when it says that it is READY: whoever claims it may keep that, and waits for it.
    """
    compare_exchange(helpers, helper + HOW, CALLED, READY)
    looks = 0
    while True:
        how = load_acquire(helpers, helper + HOW)
        if how == AT_WORK:
            run_frame(helpers[helper + FUNCTION], helpers[helper + FRAME])
            store_release(helpers, helper + HOW, CLAIMED)
            looks = 0
        elif how == READY and looks > LOOKS and compare_exchange(helpers, helper + HOW, READY, ASLEEP):
            return
        else:
            wait(looks)
            looks += 1


@kernel
def roll_call(state, wanted):
    """(rank, size) of this thread in the team; rank >= size means: too late, go home."""
    if wanted == 1:
        return 0, 1
    rank = fetch_add(state, ARRIVED, 1)
    if rank == 0:
        spins = 0
        while load_acquire(state, ARRIVED) < wanted and spins < 20 * SPINS:
            wait(spins)
            spins += 1
        size = exchange(state, ARRIVED, CLOSED)
        store_release(state, SIZE, size)
        return 0, size
    if rank >= CLOSED:
        return rank, 0
    spins = 0
    while load_acquire(state, SIZE) == 0:
        wait(spins)
        spins += 1
    return rank, load_acquire(state, SIZE)


@kernel
def barrier(state, size):
    """Wait until all workers of the team are here."""
    if size == 1:
        return
    generation = load_acquire(state, GENERATION)
    if fetch_add(state, WAITING, 1) == size - 1:
        store_release(state, WAITING, 0)
        store_release(state, GENERATION, generation + 1)
    else:
        spins = 0
        while load_acquire(state, GENERATION) == generation:
            wait(spins)
            spins += 1


@kernel
def share(n, rank, size):
    """The part of range(n) that is this worker's: (first, last)."""
    return n * rank // size, n * (rank + 1) // size


@kernel
def _queue(worker, queues):
    return QUEUES + (worker * N_SETS + queues) * LINE


@kernel
def new_queue(state, queues, rank):
    """Make this worker's queue of the set anew: in between, a barrier, so that nobody is still at the old one."""
    store_release(state, _queue(rank, queues), 0)


@kernel
def take(state, queues, rank, size, owner, first, last, together):
    """Some of the owner's part, from first to last, that nobody has taken yet: (begin, end), equal if none is left.

    The owner takes half of what is left from the front, and always a multiple of `together`; others one from the end.
    """
    queue = _queue(owner, queues)
    taken = load_acquire(state, queue)
    left = last - first - (taken >> FRONT) - (taken & (1 << FRONT) - 1)
    if left <= 0:
        return last, last
    n = 1
    if rank == owner:
        n = (left + 1) // 2 if size > 1 else left
        n += -n % together
    taken = fetch_add(state, queue, n << FRONT if rank == owner else 1)
    front, end = first + (taken >> FRONT), last - (taken & (1 << FRONT) - 1)
    if front >= end:
        return last, last
    if rank == owner:
        return front, min(front + n, end)
    return end - 1, end
