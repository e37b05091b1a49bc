"""A run of steps: the table of layers, what is told of a step, and what the loop takes: see `kernels.run`."""

from typing import NamedTuple

import numpy as np

#: The fields of a layer in the table.  Of every way: its sizes; the law of its activation, the address of its unit and
#: the form of its slope; where its W and b are; where the activations that it takes are, those that it makes, dZ, and
#: what tells the slope: all of these are offsets into theta or the workspace; and which part of its inputs is DROPPED,
#: in 2^-32: see `products.dropout`.  Then those of some ways, which say what they are.
(
    N_IN,
    N_OUT,
    VALUE,
    FORM,
    W,
    B,
    A_IN,
    A_OUT,
    DZ,
    SLOPE,
    A_T,
    W_T,
    W_ROWS,
    ROW,
    A_ROW,
    ROWS_AT_ONCE,
    PARTS,
    DROPPED,
    FIELDS,
) = range(19)
#: What is told of a step: mean loss, penalty, and norm of the gradient if it is clipped.
LOSS, PENALTY, NORM, COSTS = range(4)


class Model(NamedTuple):
    """The network and its parameters."""

    theta: np.ndarray  # (n_params,)
    layers: np.ndarray  # (L, FIELDS), int64
    output: int  # the address of the output activation, 0 for the identity
    loss: int  # and of the loss
    constants: np.ndarray  # (any,): what the loss takes besides
    is_softmax: bool


class Batches(NamedTuple):
    """Which examples the steps take: batch_size at a time in this order, again and again from its start."""

    X: np.ndarray  # (n_samples, n_x)
    Y: np.ndarray  # (n_samples, n_y); or (n_samples, 1) with more outputs: the number of its class
    weights: np.ndarray  # (n_samples,); or (0,), for weights of one
    order: np.ndarray  # (n_samples,), int64
    first_step: int
    batch_size: int
    begin: int  # the examples of each batch that this call takes: all, from 0 to batch_size; or, in a
    end: int  # step that takes long, some chunks, and the call with the last of them ends the step
    seed: int  # of what is random in a step,
    number: int  # and the number of the first one, of all


class Rule(NamedTuple):
    """The optimizer."""

    update: int  # the address of its unit
    advance: int  # and of that for several steps at once, which `ways.sparse` takes
    numbers: np.ndarray  # (n_steps, any): one step for each; what they are, `laws.optimizers` says
    constants: np.ndarray  # what the rule needs besides
    moments: np.ndarray  # up to three of them, (n_params) each, in one flat vector
    clip_norm: float  # the norm that the gradient of the mean loss has at most, 0 for any: of the dtype of theta,
    max_norm: float  # and that the weights have that come into a hidden unit, too


class Run(NamedTuple):
    """What is the same for all workers, in all steps."""

    model: Model
    batches: Batches
    room: NamedTuple  # the workspace, of the way's own kind: among others `chunk`, how many examples go
    rule: Rule  # through at a time, and `squares` (any,), the sums of which are twice the penalty; where the


#: How many parts p is given in: a random number has 32 bits.
WHOLE = 2**32
