"""Words of memory that threads share: see `team`."""

import numpy as np

# Words of the shared state, each on cache lines of its own: LINE words.  After them come the queues, for each worker
# one in every set: how much of his part was taken from its front (high half of the word) and from its end (low half).
LINE = 16
ARRIVED, WAITING, GENERATION, SIZE, QUEUES = range(0, 5 * LINE, LINE)
N_SETS, FRONT = 2, 32
CLOSED = 1 << 40
# What is known of a helper: its words, on cache lines of its own, are how it is, and its job.  ASLEEP, it waits in
# Python; CALLED, it will come; READY, it looks for a job; CLAIMED, it will get one; or it is AT_WORK.
HOW, FUNCTION, FRAME = range(3)
ASLEEP, CALLED, READY, CLAIMED, AT_WORK = range(5)


def new_team(wanted):
    """The shared state of a team of up to `wanted` threads; every job needs a fresh one."""
    return np.zeros(QUEUES + wanted * N_SETS * LINE, np.int64)
