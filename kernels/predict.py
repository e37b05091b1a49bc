"""Forward propagation of many examples, a chunk at a time."""
from typing import NamedTuple

import numpy as np

from fastnn.kernels.epoch import A_OUT, N_OUT, forward, inputs
from fastnn.kernels.jit import call, entry, packed
from fastnn.kernels.layers import gather, transpose
from fastnn.kernels.losses import output
from fastnn.kernels.simd import lanes, matrix
from fastnn.kernels.team import region, roll_call, share, take


class Room(NamedTuple):
    """The workspace of a prediction by up to n_threads threads; `width` examples have room in each."""

    work: np.ndarray             # (n_threads, any): the activations, at the offsets of the table of layers
    scratch: np.ndarray          # (n_threads, 2, width), for the softmax
    rows: np.ndarray             # 0, 1 ... for as many examples as are taken at a time


@entry
def predict(wanted, team, model, X, room, out):
    """out = A_L^T for the rows of X, as one of `wanted` threads that make this call.  X (m, n_x), out (m, n_y)."""
    rank, size = roll_call(team, wanted)
    if rank < size:
        layers, n_layers, width, work = model.layers, model.layers.shape[0], room.scratch.shape[2], room.work[rank]
        A_0 = inputs(model, work, width, 0)
        A_L = matrix(work, layers[n_layers - 1, A_OUT], layers[n_layers - 1, N_OUT], width)
        vector, block = lanes(X), min(width, room.rows.size)
        for turn in range(size):
            owner = (rank + turn) % size
            first, last = share((X.shape[0] + vector - 1) // vector, owner, size)
            begin, end = take(team, 0, rank, size, owner, first, last)
            while begin < end:
                for i in range(begin * vector, min(end * vector, X.shape[0]), block):
                    m = min(block, min(end * vector, X.shape[0]) - i)
                    gather(X[i:i + m], room.rows, A_0, A_0, 0, m, False, False)
                    for l in range(n_layers):
                        forward(model, inputs(model, work, width, l), work, width, l, 0, layers[l, N_OUT], 0, m)
                    output(A_L, room.scratch[rank, 0], room.scratch[rank, 1], 0, m + -m % vector, model.loss)
                    transpose(A_L, out[i:i + m], 0, m)
                begin, end = take(team, 0, rank, size, owner, first, last)


@entry(nogil=False)
def predict_briefly(address, wanted, team, model, X, room, out):
    """`predict`, by its address, and the GIL is kept: to get it back from a busy thread takes 5 ms."""
    call(address, wanted, team, model, X, room, out)


@entry
def predict_team(address, wanted, team, model, X, room, out):
    """`predict`, by its address, on a team of up to `wanted` threads in one parallel region."""
    function, frame = packed(address, wanted, team, model, X, room, out)
    region(wanted, function, frame)
