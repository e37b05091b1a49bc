"""Forward propagation of many examples, a chunk at a time."""
from typing import NamedTuple

import numpy as np

from fastnn.kernels.epoch import A_OUT, N_OUT, forward, inputs
from fastnn.kernels.jit import call, entry, kernel, packed
from fastnn.kernels.layers import gather, transpose
from fastnn.kernels.losses import output
from fastnn.kernels.simd import fma, lanes, load, matrix, sum_lanes, tile, zero
from fastnn.kernels.team import region, roll_call, share, take


class Room(NamedTuple):
    """The workspace of a prediction by up to n_threads threads; `width` examples have room in each."""

    work: np.ndarray             # (n_threads, any): the activations, at the offsets of the table of layers
    width: int
    rows: np.ndarray             # 0, 1 ... for as many examples as are taken at a time


@kernel
def is_finite(A, m):
    """Whether none of the numbers of A (n, m or more) is infinite or NaN: for those, 0 times them is NaN."""
    s, full = tile(A, 1, 4), lanes(A)
    wide = m - m % (4 * full)
    for c in range(4):
        s[0, c] = zero(A)
    for k in range(A.shape[0]):
        for i in range(0, wide, 4 * full):
            for c in range(4):
                s[0, c] = fma(load(A, k, i + c * full), zero(A), s[0, c])
        for i in range(wide, m, full):
            s[0, 0] = fma(load(A, k, i), zero(A), s[0, 0])
    return sum_lanes((s[0, 0] + s[0, 1]) + (s[0, 2] + s[0, 3])) == 0


@entry
def predict(wanted, team, model, X, room, out, refused):
    """out = A_L^T for the rows of X, as one of `wanted` threads that make this call.  X (m, n_x), out (m, n_y).

    refused (wanted,), all False, becomes True where a thread meets NaN or infinity in X.
    """
    rank, size = roll_call(team, wanted)
    if rank < size:
        layers, n_layers, width, work = model.layers, model.layers.shape[0], room.width, room.work[rank]
        A_0 = inputs(model, work, width, 0)
        A_L = matrix(work, layers[n_layers - 1, A_OUT], layers[n_layers - 1, N_OUT], width)
        vector, block = lanes(X), min(width, room.rows.size)
        for turn in range(size):
            owner = (rank + turn) % size
            first, last = share((X.shape[0] + vector - 1) // vector, owner, size)
            begin, end = take(team, 0, rank, size, owner, first, last, 1)
            while begin < end:
                for i in range(begin * vector, min(end * vector, X.shape[0]), block):
                    m = min(block, min(end * vector, X.shape[0]) - i)
                    gather(X[i:i + m], room.rows, A_0, A_0, 0, m, False, False)
                    refused[rank] |= not is_finite(A_0, m)   # here, because X comes from memory once, and in parts
                    for l in range(n_layers):
                        forward(model, inputs(model, work, width, l), work, width, l, 0, layers[l, N_OUT], 0, m)
                    output(A_L, 0, m + -m % vector, model.loss)
                    transpose(A_L, out[i:i + m], 0, m)
                begin, end = take(team, 0, rank, size, owner, first, last, 1)


@entry(nogil=False)
def predict_briefly(address, wanted, team, model, X, room, out, refused):
    """`predict`, by its address, and the GIL is kept: to get it back from a busy thread takes 5 ms."""
    call(address, wanted, team, model, X, room, out, refused)


@entry
def predict_team(address, wanted, team, model, X, room, out, refused):
    """`predict`, by its address, on a team of up to `wanted` threads in one parallel region."""
    function, frame = packed(address, wanted, team, model, X, room, out, refused)
    region(wanted, function, frame)
