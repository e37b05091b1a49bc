"""The limit that the products are held against: nothing but multiply-adds in registers."""

from fastnn.kernels.machine.host import COLS, ROWS
from fastnn.kernels.machine.jit import entry
from fastnn.kernels.machine.simd import fma, lanes, load, store, tile


@entry
def peak(turns, A):
    """ROWS x COLS x lanes multiply-adds, `turns` times over.  A (ROWS, COLS * lanes): where they begin and end."""
    x, z = load(A, 0, 0), tile(A, ROWS, COLS)
    for r in range(ROWS):
        for c in range(COLS):
            z[r, c] = x
    for _ in range(turns):
        for r in range(ROWS):
            for c in range(COLS):
                z[r, c] = fma(z[r, c], x, x)
    for r in range(ROWS):
        for c in range(COLS):
            store(A, r, c * lanes(A), z[r, c])
