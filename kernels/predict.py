"""Forward propagation of many examples, a chunk at a time."""
from typing import NamedTuple

import numpy as np

from fastnn.kernels.epoch import A_IN, A_OUT, N_IN, N_OUT, forward
from fastnn.kernels.jit import call, entry, packed
from fastnn.kernels.layers import gather, transpose
from fastnn.kernels.losses import output
from fastnn.kernels.simd import lanes, matrix
from fastnn.kernels.team import region, roll_call, share, take


class Room(NamedTuple):
    """The workspace of a prediction by up to n_threads threads; `columns` examples have room in each."""

    work: np.ndarray             # (n_threads, any): the activations, at the offsets of the table of layers
    scratch: np.ndarray          # (n_threads, 2, columns), for the softmax
    chunk: np.ndarray            # (columns,): 0, 1 ...


@entry
def predict(wanted, team, model, X, room, out):
    """out = A_L^T for the rows of X, as one of `wanted` threads that make this call.  X (m, n_x), out (m, n_y)."""
    rank, size = 0, 1
    if wanted > 1:
        rank, size = roll_call(team, wanted)
    if rank < size:
        layers, n_layers, columns, work = model.layers, model.layers.shape[0], room.chunk.size, room.work[rank]
        A_0 = matrix(work, layers[0, A_IN], layers[0, N_IN], columns)
        A_L = matrix(work, layers[n_layers - 1, A_OUT], layers[n_layers - 1, N_OUT], columns)
        vector = lanes(X)
        for turn in range(size):
            owner = (rank + turn) % size
            first, last = share((X.shape[0] + vector - 1) // vector, owner, size)
            begin, end = take(team, 0, rank, size, owner, first, last)
            while begin < end:
                for i in range(begin * vector, min(end * vector, X.shape[0]), columns):
                    m = min(columns, min(end * vector, X.shape[0]) - i)
                    gather(X[i:i + m], room.chunk, A_0, A_0, 0, m, False, False)
                    whole = m + -m % vector
                    for l in range(n_layers):
                        forward(model, work, columns, 0, l, 0, m)
                    output(A_L, room.scratch[rank, 0], room.scratch[rank, 1], 0, whole, model.loss)
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
