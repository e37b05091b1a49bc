"""What a network is: layer sizes, activations, theta and its views; and the usual dict of parameters."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from math import prod
from numbers import Real
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from fastnn.kernels.laws.activations import ACTIVATIONS, KEPT, Activation
from fastnn.kernels.laws.losses import LOSSES, OUT_ACTIVATIONS, Loss

Array = npt.NDArray[np.floating[Any]]
Parameters = Mapping[str, Array]
#: The activation of all hidden layers, or of each.
Activations: TypeAlias = str | Activation | Sequence[str | Activation]


def aligned(shape: int | tuple[int, ...], dtype: npt.DTypeLike, boundary: int = 64) -> Array:
    """Zeros that start on a multiple of `boundary` bytes, by default a cache line."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    buffer = bytearray(size + boundary)
    return np.ndarray(shape, dtype, buffer, -np.frombuffer(buffer, np.uint8).ctypes.data % boundary)


class Block(NamedTuple):
    """A stretch of theta: the weights of a layer, or its biases; or V, before the first layer."""

    name: str  # as in the notes: W1, b1, W2 ...; V
    layer: int  # from 1; V has 0
    shape: tuple[int, ...]  # W (n_out, n_in), b (n_out,)
    start: int  # where it begins in theta
    is_penalised: bool  # whether the L2 penalty is on it

    @property
    def end(self) -> int:
        """Where it ends in theta."""
        return self.start + prod(self.shape)


@dataclass(frozen=True)
class Network:
    """A multilayer perceptron without its parameters.

    Parameters
    ----------
    layer_sizes : tuple of int
        n_0 (features), the widths of the hidden layers, n_L (outputs).  Two sizes: no hidden layer.
    activation : str or Activation, or tuple of these
        g of the hidden layers, or of each: a name in the table of activations, or a law.
    out_activation : {"logistic", "softmax", "identity", "exp"}
        g of the output layer.
    loss : str or Loss
        What training minimises: a name in the table of losses, or a law; "" for the first that belongs to the output
        activation.
    dropout, input_dropout : float
        Which part of the hidden units, and of the inputs, is left out in a step of training.
    n_pieces : tuple of int
        Of columns that have pieces beside them, how many: theta then ends with V (sum of n_pieces, width), by which
        those of a column become `width` inputs, and all these are before the numbers: see `kernels.products.pieces`.
    width : int
        A multiple of 16.

    Raises
    ------
    ValueError
        Where one of them is unknown, or the loss has no such outputs.
    """

    layer_sizes: tuple[int, ...]
    activation: str | Activation | tuple[str | Activation, ...]
    out_activation: str
    loss: str | Loss = ""
    dropout: float = 0.0
    input_dropout: float = 0.0
    n_pieces: tuple[int, ...] = ()
    width: int = 16

    def __post_init__(self) -> None:
        check_layer_sizes(self.layer_sizes)
        check_activations(self.activation, self.out_activation, len(self.layer_sizes) - 2)
        object.__setattr__(self, "loss", self.loss or self.loss_law.name)
        loss_law(self.loss, self.out_activation)  # raises where there is none

    @cached_property
    def hidden_laws(self) -> tuple[Activation, ...]:
        """The activation of each hidden layer, as a law: with dropout, one whose slope is kept, to be dropped too."""
        laws = tuple(law_of(self.activation, l) for l in range(1, len(self.layer_sizes) - 1))
        return tuple(replace(law, form=KEPT) for law in laws) if self.dropout else laws

    @property
    def loss_law(self) -> Loss:
        """The loss, as a law."""
        return loss_law(self.loss, self.out_activation)

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """What theta consists of, in its order: W_1, b_1, W_2 ..."""
        blocks: list[Block] = []
        for l, (n_in, n_out) in enumerate(pairwise(self.layer_sizes), 1):
            for name, shape, is_penalised in (f"W{l}", (n_out, n_in), True), (f"b{l}", (n_out,), False):
                blocks.append(Block(name, l, shape, blocks[-1].end if blocks else 0, is_penalised))
        if self.n_pieces:
            blocks.append(Block("V", 0, (sum(self.n_pieces), self.width), blocks[-1].end, True))
        return tuple(blocks)

    @cached_property
    def shapes(self) -> list[tuple[int, int]]:
        """(n_out, n_in) of every W."""
        return [(n_out, n_in) for n_in, n_out in pairwise(self.layer_sizes)]

    @cached_property
    def n_params(self) -> int:
        """How many weights and biases there are."""
        return self.blocks[-1].end

    def views(self, theta: Array) -> dict[str, Array]:
        """The blocks of theta (n_params,) by their names, in their shapes, as views."""
        return {block.name: theta[block.start : block.end].reshape(block.shape) for block in self.blocks}

    def as_dict(self, theta: Array) -> dict[str, Array]:
        """The same as the notes have them: b_l is a column (n_out, 1)."""
        return {name: view[:, np.newaxis] if view.ndim == 1 else view for name, view in self.views(theta).items()}

    def from_dict(self, parameters: Parameters, dtype: npt.DTypeLike) -> Array:
        """A new theta (n_params,) with the numbers of a dict of parameters, as `as_dict` makes it."""
        theta = aligned(self.n_params, dtype)
        for name, view in self.as_dict(theta).items():
            view[:] = parameters[name]
        return theta


def hashable(activation: Activations) -> str | Activation | tuple[str | Activation, ...]:
    """A sequence as a tuple."""
    return activation if isinstance(activation, str | Activation) else tuple(activation)


def activation_of(activation: Activations, l: int) -> str | Activation:
    """The activation of one hidden layer.

    Parameters
    ----------
    activation : str or Activation, or a sequence of these
        Of all hidden layers, or of each.
    l : int
        Which, from 1.

    Returns
    -------
    str or Activation
        Its name, or itself.
    """
    return activation if isinstance(activation, str | Activation) else activation[l - 1]


def law_of(activation: Activations, l: int = 1) -> Activation:
    """The activation of hidden layer l, as a law: by its name or itself."""
    named = activation_of(activation, l)
    return named if isinstance(named, Activation) else ACTIVATIONS[named]


def loss_law(loss: str | Loss, out_activation: str) -> Loss:
    """A loss, by its name or itself; "" for the one that belongs to the output activation.

    Parameters
    ----------
    loss : str or Loss
    out_activation : str

    Raises
    ------
    ValueError
        Where it is unknown, or has other outputs.
    """
    if isinstance(loss, Loss):
        if loss.out_activation != out_activation:
            raise ValueError(f"the loss {loss.name!r} has {loss.out_activation!r} outputs, got {out_activation!r}")
        return loss
    if not loss:
        return next(law for law in LOSSES.values() if law.out_activation == out_activation)
    if (loss, out_activation) not in LOSSES:
        raise ValueError(
            f"loss must be one of {sorted({name for name, _ in LOSSES})}, with outputs that it has, "
            f"got {loss!r} with {out_activation!r} outputs"
        )
    return LOSSES[loss, out_activation]


def check_layer_sizes(layer_sizes: Sequence[int]) -> None:
    """Raise a ValueError unless there are two sizes or more, all of them positive integers."""
    if len(layer_sizes) < 2 or not all(isinstance(n, (int, np.integer)) and n > 0 for n in layer_sizes):
        raise ValueError(
            f"layer_sizes must be two positive integers or more (features, hidden layers, outputs), "
            f"got {tuple(layer_sizes)}"
        )


def check_activations(activation: Activations, out_activation: str, n_hidden: int) -> None:
    """Raise a ValueError that names the choices, unless all are known, and as many as there are hidden layers."""
    named = [activation] if isinstance(activation, str | Activation) else activation
    for one in named:
        if not isinstance(one, Activation) and one not in ACTIVATIONS:
            raise ValueError(f"activation must be one of {tuple(ACTIVATIONS)}, got {one!r}")
    if named is activation and len(named) != n_hidden:
        raise ValueError(f"activation has {len(named)} laws, {activation!r}, but there are {n_hidden} hidden layers")
    if out_activation not in OUT_ACTIVATIONS:
        raise ValueError(f"out_activation must be one of {tuple(OUT_ACTIVATIONS)}, got {out_activation!r}")


def layer_sizes_of(parameters: Parameters) -> tuple[int, ...]:
    """The layer sizes of a dict W1, b1, W2, b2 ...; a ValueError where its shapes do not fit one another."""
    n_layers = sum(name.startswith("W") for name in parameters)
    wanted = [f"{kind}{l}" for l in range(1, n_layers + 1) for kind in "Wb"]
    if n_layers == 0 or sorted(parameters) != sorted(wanted):
        raise ValueError(f"parameters must be W1, b1, W2, b2 ... without a gap, got {', '.join(parameters) or 'none'}")
    sizes: list[int] = []
    for l in range(1, n_layers + 1):
        W, b = np.shape(parameters[f"W{l}"]), np.shape(parameters[f"b{l}"])
        if len(W) != 2 or (sizes and W[1] != sizes[-1]):
            columns = sizes[-1] if sizes else "n_x"
            raise ValueError(f"W{l} has shape {W}, but this network expects (n_{l}, {columns})")
        if b != (W[0], 1):
            raise ValueError(f"b{l} has shape {b}, but W{l} of shape {W} expects ({W[0]}, 1)")
        sizes += [W[0]] if sizes else [W[1], W[0]]
    return tuple(sizes)


def layer_sizes_of_coefs(coefs: Sequence[Array], intercepts: Sequence[Array]) -> tuple[int, ...]:
    """The layer sizes of coefs (n_in, n_out) and intercepts (n_out,); a ValueError where they do not fit.

    Parameters
    ----------
    coefs, intercepts : sequence of arrays
        Those of an estimator, in which anybody may have put others.

    Raises
    ------
    ValueError
        Unless there are as many of both, of numbers, in shapes that fit one another.
    """
    for name, arrays in ("coefs_", coefs), ("intercepts_", intercepts):
        if not isinstance(arrays, (list, tuple)):
            raise ValueError(f"{name} is a {type(arrays).__name__}, but a list of arrays is wanted")
    if len(coefs) != len(intercepts) or not len(coefs):
        raise ValueError(
            f"coefs_ has {len(coefs)} arrays and intercepts_ {len(intercepts)}, but one each a layer is wanted"
        )
    sizes: list[int] = []
    for l, (coef, intercept) in enumerate(zip(coefs, intercepts, strict=True)):
        for name, array in ("coefs_", coef), ("intercepts_", intercept):
            if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu" or np.ma.is_masked(array):
                kind = f"a {type(array).__name__}" + (f" of {array.dtype}" if isinstance(array, np.ndarray) else "")
                raise ValueError(f"{name}[{l}] is {kind}, but an array of numbers is wanted")
        if coef.ndim != 2 or 0 in coef.shape or (sizes and coef.shape[0] != sizes[-1]):
            rows = sizes[-1] if sizes else "n_features"
            raise ValueError(f"coefs_[{l}] has shape {coef.shape}, but this network expects ({rows}, n_units)")
        if intercept.shape != coef.shape[1:]:
            raise ValueError(
                f"intercepts_[{l}] has shape {intercept.shape}, but coefs_[{l}] of shape {coef.shape} "
                f"expects {coef.shape[1:]}"
            )
        sizes += [coef.shape[1]] if sizes else [*coef.shape]
    return tuple(sizes)


def issparse(X: Any) -> bool:
    """As SciPy's, which takes long to import: where nobody has done that, there is no sparse matrix."""
    told = getattr(sys.modules.get("scipy.sparse"), "issparse", None)
    return told is not None and bool(told(X))


def as_array(name: str, array: Any) -> Array:
    """As np.asarray; a ValueError for masked values, which that would take for numbers."""
    if np.ma.is_masked(array):
        raise ValueError(f"{name} has masked values, which are missing")
    return np.asarray(array)


def check_examples(name: str, array: Array, rows: int, columns: int | None = None) -> None:
    """Raise a ValueError unless the array is (rows, m), with m = columns where that is given."""
    if array.ndim != 2 or array.shape[0] != rows or (columns is not None and array.shape[1] != columns):
        raise ValueError(
            f"{name} has shape {array.shape}, but this network expects "
            f"({rows}, {'m' if columns is None else columns}): one example a column"
        )
    if array.shape[1] == 0:
        raise ValueError(f"{name} has shape {array.shape}: there is no example in it")


def check_cache(cache: Parameters, layer_sizes: Sequence[int], n_samples: int, activation: Activations) -> None:
    """Raise a ValueError unless a cache has A_l (n_l, m) of every layer, and D_l of those whose laws keep it."""
    wanted = [("A", l, n) for l, n in enumerate(layer_sizes[1:], 1)]
    wanted += [("D", l, n) for l, n in enumerate(layer_sizes[1:-1], 1) if law_of(activation, l).form == KEPT]
    for kind, l, n in wanted:
        name = f"{kind}{l}"
        if name not in cache:
            raise ValueError(f"cache has {', '.join(cache) or 'nothing'}, but this network expects {name} as well")
        array = np.asarray(cache[name])
        check_examples(f"{name} of cache", array, n, n_samples)
        common_dtype(array)


def check_gradients(parameters: Parameters, gradients: Parameters) -> None:
    """Raise a ValueError unless there is a gradient of its shape for every parameter."""
    for name, value in parameters.items():
        if f"d{name}" not in gradients:
            raise ValueError(f"gradients has {', '.join(gradients) or 'nothing'}, but d{name} is wanted as well")
        if np.shape(gradients[f"d{name}"]) != np.shape(value):
            raise ValueError(f"d{name} has shape {np.shape(gradients[f'd{name}'])}, but {name} has {np.shape(value)}")
        common_dtype(value, gradients[f"d{name}"])


def check_learning_rate(learning_rate: float) -> None:
    """Raise a ValueError unless it is a number."""
    if np.ndim(learning_rate) or not isinstance(learning_rate, (Real, np.ndarray)):
        raise ValueError(f"learning_rate must be a number, got {learning_rate!r}")


def common_dtype(*arrays: Any) -> np.dtype[Any]:
    """float32 where everything is float32, else float64; a ValueError for what is no real number."""
    dtype = np.result_type(*arrays)
    if dtype.kind not in "fiub":
        raise ValueError(f"got {dtype}, but real numbers are wanted")
    return np.dtype(np.float32 if dtype == np.float32 else np.float64)
