"""The order of an epoch: that of `numpy.random.RandomState.shuffle`, number for number, in a quarter of the time.

The generator is the Mersenne Twister (Matsumoto & Nishimura 1998).  Its next N numbers are made at once, in loops
that LLVM turns into vectors; NumPy makes and asks for them one by one.
"""

import numpy as np

from fastnn.kernels.layouts.epochs import M, N
from fastnn.kernels.machine.jit import inline, kernel, unit

#: The first bit of a word, and the others; the last row of the twist's matrix; the masks of the tempering.
UPPER, LOWER = np.uint32(0x80000000), np.uint32(0x7FFFFFFF)
MATRIX, MASK_B, MASK_C = np.uint32(0x9908B0DF), np.uint32(0x9D2C5680), np.uint32(0xEFC60000)


@inline
def _twist(far, this, following):
    y = this & UPPER | following & LOWER
    return far ^ y >> np.uint32(1) ^ (MATRIX if y & np.uint32(1) else np.uint32(0))


@kernel
def twist(words):
    """The next N words of the state, in the place of the last."""
    for k in range(N - M):
        words[k] = _twist(words[k + M], words[k], words[k + 1])
    for k in range(N - M, N - 1):
        words[k] = _twist(words[k + M - N], words[k], words[k + 1])
    words[N - 1] = _twist(words[M - 1], words[N - 1], words[0])


@kernel
def temper(words, numbers):
    """The random numbers that the words of the state stand for."""
    for k in range(N):
        y = words[k]
        y ^= y >> np.uint32(11)
        y ^= y << np.uint32(7) & MASK_B
        y ^= y << np.uint32(15) & MASK_C
        numbers[k] = y ^ y >> np.uint32(18)


@unit
def shuffle(order, state, numbers):
    """Fisher and Yates: each place, from the last down, changes with one that is drawn among those before and itself.

    A draw that is too large is drawn again.  Here it changes the place with itself, and no branch depends on it: one
    that goes wrong a third of the time would cost more than the draw.

    order (n), n at most 2^32; state (N + 1), uint32: the words, and how many of them are used up; numbers (N), uint32:
    room for the random numbers.
    """
    i, mask, used = order.size - 1, 1, int(state[N])
    while mask < i:
        mask = 2 * mask + 1
    while i > 0:
        if used == N:
            twist(state)
            used = 0
        temper(state, numbers)
        while used < N and i > 0:
            j = int(numbers[used]) & mask
            used += 1
            fits = j <= i
            other = j if fits else i
            order[i], order[other] = order[other], order[i]
            i -= fits
            if i <= mask >> 1:
                mask >>= 1
    state[N] = used
