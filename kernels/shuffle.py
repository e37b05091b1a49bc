"""The order of an epoch: what `numpy.random.RandomState.shuffle` makes of it, number for number, in half the time."""
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from fastnn.kernels.jit import entry

INT64, INT32, POINTER = ir.IntType(64), ir.IntType(32), ir.IntType(8).as_pointer()


@intrinsic
def draw(typingctx, next_uint32, state):
    """32 random bits, by the address of a bit generator's function for them, and that of its state."""
    def codegen(context, builder, sig, args):
        function = builder.inttoptr(args[0], ir.FunctionType(INT32, [POINTER]).as_pointer())
        return builder.zext(builder.call(function, [builder.inttoptr(args[1], POINTER)]), INT64)
    return types.int64(types.int64, types.int64), codegen


@entry
def shuffle(order, next_uint32, state):
    """Fisher and Yates: each place, from the last down, changes with one that is drawn among those before and itself.

    A draw that is too large is drawn again.  Here it changes the place with itself, and no branch depends on it: one
    that goes wrong a third of the time would cost more than the draw.  order (n), n at most 2^32.
    """
    i, mask = order.size - 1, 1
    while mask < i:
        mask = 2 * mask + 1
    while i > 0:
        j = draw(next_uint32, state) & mask
        fits = j <= i
        other = j if fits else i
        order[i], order[other] = order[other], order[i]
        i -= fits
        if i <= mask >> 1:
            mask >>= 1
