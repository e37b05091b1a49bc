"""A network within other compiled code: its words, and the records that they lead to: see `kernels.embedded`."""

from typing import NamedTuple

import numpy as np

from fastnn.kernels.layouts.predict import Room
from fastnn.kernels.layouts.run import Model, Run

#: The words of a network: addresses of `predict`, `input_gradient` and `train_step`, of `Embedded` and `Trained`; how
#: many numbers an example and a prediction have, and the targets of one; how many examples a step takes at most, 0
#: where there is none; of classes, how many there are if a target is the number of one, else 0; and how many
#: numbers A_L has.
(
    PREDICT,
    GRADIENT,
    TRAIN,
    NETWORK,
    TRAINED,
    N_FEATURES,
    N_OUTPUTS,
    N_TARGETS,
    MOST_ROWS,
    N_CLASSES,
    N_NUMBERS,
    WORDS,
) = range(12)
#: What becomes of a number: the fields of a scaling.  A missing one, NaN, is INSTEAD; and kept between LEAST and MOST
#: before.  The shift comes in two parts, because numbers such as dates are large beside their differences.
(INSTEAD, LEAST, MOST, SHIFT, SHIFT_REST, DIVISOR, OFFSET, LOW, HIGH, SCALING) = range(10)
#: What becomes of a column: the place of its first number in the matrix, and how many categories it has, or 0: then it
#: is a number.  Of a category comes its number, and what is none is in none.
PLACE, N_CATEGORIES, COLUMN = range(3)
#: How g of the outputs is derived.
IDENTITY, LOGISTIC, EXP, SOFTMAX = range(4)
#: What becomes of a mean of outputs: it times BY, and TO, kept between FLOOR and CEILING.
TO, BY, FLOOR, CEILING, OUTCOME = range(5)


class Pieces(NamedTuple):
    """What a `PiecewiseLinearEncoder` makes of the columns of a matrix; of no columns, where there is none."""

    centers: np.ndarray  # (n_columns,): s(x) = z / sqrt(1 + (z / 3)^2)
    scales: np.ndarray  # (n_columns,): with z = scale (x - center)
    knots: np.ndarray  # (n_knots,): those of each column
    ends: np.ndarray  # (n_columns + 1,): from ends[k] to ends[k + 1], two or more, or none
    n_terms: int  # of the sum that is Z_1


class Embedded(NamedTuple):
    """What predictions have in common.

    In the table of layers, W is the address of W^T (n_in, n_out), W_ROWS that of W, B that of b.  A_OUT is where the
    activations of some examples are on the stack; and SLOPE, for gradients, where those of a layer are until the end.
    """

    model: Model  # `layers` are those of all members, one member after another
    n_members: int
    room: Room  # its `work` is on the stack; `rows` are as many as go together
    size: int  # of the stack, in numbers,
    gradient_rows: int  # and the same of gradients
    gradient_size: int
    columns: np.ndarray  # (n_columns, COLUMN); or (0, COLUMN), where a matrix comes
    scalings: np.ndarray  # (n_stages, n_x, SCALING)
    pieces: Pieces
    outcome: np.ndarray  # (OUTCOME, n_y); or (0, n_y), where the outputs are what is predicted
    nothing: np.ndarray  # (1, widest): zeros
    output_form: int  # how g of the outputs is derived
    has_complement: bool  # whether there are two probabilities for the one output
    is_sorted: bool  # whether the outputs are sorted


class Trained(NamedTuple):
    """What steps of training have in common."""

    run: Run
    train: int  # the address of the kernel that trains
    team: np.ndarray  # of one
    order: np.ndarray  # 0, 1 ... for as many examples as a step may have
    numbers: np.ndarray  # (any, k): those of the optimizer in the first steps, and in all after the last of them
    done: np.ndarray  # (1,): how many steps there were
    costs: np.ndarray  # (1, COSTS)
    theta_T: np.ndarray  # (n_params,): W^T and b, where `Embedded` has them, which follow theta
    scale: np.ndarray  # (1,): what the loss is multiplied by when it is told
