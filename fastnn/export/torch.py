"""A fitted model as a PyTorch module, and as a safetensors file of its parameters."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from fastnn.export.description import Description, Member, Pieces, Scaling, describe
from fastnn.export.expressions import OPERATIONS, Symbol, expression
from fastnn.kernels.laws.activations import ACTIVATIONS, Activation
from fastnn.kernels.laws.losses import OUT_ACTIVATIONS
from fastnn.network import Array, common_dtype

#: PyTorch's own layers for laws, and what they are made with.  Its softplus is z from a threshold on: from 40 on, that
#: is right in float64 as well.
LAYERS: dict[str, tuple[str, dict[str, Any]]] = {
    "identity": ("Identity", {}),
    "logistic": ("Sigmoid", {}),
    "tanh": ("Tanh", {}),
    "relu": ("ReLU", {}),
    "leaky_relu": ("LeakyReLU", {"negative_slope": 0.01}),
    "elu": ("ELU", {"alpha": 1.0}),
    "selu": ("SELU", {}),
    "softplus": ("Softplus", {"beta": 1.0, "threshold": 40.0}),
    "silu": ("SiLU", {}),
    "mish": ("Mish", {}),
    "gelu": ("GELU", {"approximate": "none"}),
    "gelu_tanh": ("GELU", {"approximate": "tanh"}),
}
#: Modules that PyTorch does not have: see `_modules`.
OWN = ("Law", "Scale", "Embedding", "Mean", "BothClasses", "Sort")


def to_torch(model: Any, *, logits: bool = False) -> Any:
    """A fitted model as a ``torch.nn.Sequential``, whose outputs are those of `predict_proba`, or of `predict`.

    Its layers are Linear and PyTorch's own activations, where it has them; laws of your own, scalers, the probabilities
    of two classes and sorted quantiles are small modules beside them.  It can be trained, moved, compiled, saved.

    No tensor holds a table.  What a tabular model becomes takes the matrix that its encoder makes of one,
    ``model.encoder_.transform(table)``; its outputs are of float32, also where the mean of the targets is large.

    Parameters
    ----------
    model : MLPClassifier, MLPRegressor, TabularClassifier, TabularRegressor or Pipeline
        A fitted estimator of fastnn or of scikit-learn; or a Pipeline that ends with an MLP, after a StandardScaler,
        MinMaxScaler, MaxAbsScaler or RobustScaler, or several of these.
    logits : bool, default False
        Whether the outputs are what comes before the output activation, as PyTorch's losses want it: (n, n_classes) for
        CrossEntropyLoss; of two classes (n, 1), and of several labels (n, n_labels), for BCEWithLogitsLoss; of counts,
        the logarithm.  Of a mean of probabilities there are none.

    Returns
    -------
    torch.nn.Sequential
        Of float32 or float64, as the parameters are.  It takes (n, n_features) and returns (n, n_outputs).

    Raises
    ------
    ImportError
        PyTorch is not installed.
    TypeError
        The model is something else, or begins with a `TableEncoder`, whose table no tensor can hold.
    ValueError
        A law of your own is no expression of elementary operations, or logits of several members are wanted.
    sklearn.exceptions.NotFittedError
        The model is not fitted.

    Examples
    --------
    >>> import fastnn
    >>> model = fastnn.MLPRegressor(hidden_layer_sizes=(3,), max_iter=5, tol=9).fit([[0.0], [1.0]], [0.0, 1.0])
    >>> module = fastnn.to_torch(model)  # doctest: +SKIP
    >>> module(torch.tensor([[0.5]], dtype=torch.float64))  # doctest: +SKIP
    """
    torch = _torch()
    layers = _layers(_description(model), logits)
    module = _sequential(layers)
    module.load_state_dict({name: torch.tensor(array) for name, array in _state(layers).items()})
    return module


def to_safetensors(model: Any, path: str | os.PathLike[str]) -> Path:
    """Write the parameters of a fitted model into a safetensors file, under the names that `to_torch` gives them.

    A plain ``torch.nn.Sequential(Linear, activation, Linear ...)`` takes them by ``load_state_dict``.  The metadata say
    in JSON what it consists of: layer_sizes, n_members, activations, out_activation, task, classes and feature_names.
    PyTorch is not needed.

    Parameters
    ----------
    model : MLPClassifier, MLPRegressor, TabularClassifier, TabularRegressor or Pipeline
        As for `to_torch`.
    path : path
        Without an extension, ``.safetensors`` is added.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    ImportError
        safetensors is not installed.
    TypeError
        The model is something else, or begins with a `TableEncoder`.
    sklearn.exceptions.NotFittedError
        The model is not fitted.

    Examples
    --------
    >>> fastnn.to_safetensors(model, "model.safetensors")  # doctest: +SKIP
    """
    try:
        from safetensors.numpy import save
    except ImportError as error:
        raise ImportError("to_safetensors needs safetensors: pip install safetensors") from error
    description = _description(model)
    metadata = {
        "layer_sizes": [description.coefs[0].shape[0], *(coef.shape[1] for coef in description.coefs)],
        "n_members": len(description.members),
        "activations": [law.name for law in description.activations],
        "out_activation": description.out_activation,
        "task": description.task,
        "classes": None if description.classes is None else description.classes.tolist(),
        "feature_names": description.names,
    }
    contents = save(
        _state(_layers(description)), {"format": "pt", **{name: json.dumps(value) for name, value in metadata.items()}}
    )
    path = Path(path)
    path = path if path.suffix else path.with_suffix(".safetensors")
    path.write_bytes(contents)
    return path


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise ImportError("this needs PyTorch: pip install torch") from error
    return torch


def _description(model: Any) -> Description:
    """What the model computes, of a matrix."""
    description = describe(model)
    if description.columns is None:
        return description
    if description.pieces is None:
        raise TypeError(
            "the model begins with a TableEncoder, but a tensor holds numbers alone: export what follows it, model[1:],"
            " and give that model[0].transform(table)"
        )
    names = [name for _, column in description.columns for name in column.outputs]
    return replace(description, columns=None, names=names, n_features_in=len(names))


@dataclass
class _Layer:
    """A module: its class, what that is called with, its parameters and buffers; and what modules it holds."""

    kind: str
    arguments: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, Array] = field(default_factory=dict)
    parts: list[list[_Layer]] = field(default_factory=list)

    def made(self) -> Any:
        """The module, whose parameters have their shapes and types, but any values."""
        torch = _torch()
        if self.kind == "Linear":  # no random numbers are drawn
            dtype = torch.float32 if self.arrays["weight"].dtype == np.float32 else torch.float64
            return torch.nn.utils.skip_init(torch.nn.Linear, **self.arguments, dtype=dtype)
        if self.kind in ("Scale", "Embedding"):
            return _modules()[self.kind](**{name: torch.tensor(array) for name, array in self.arrays.items()})
        if self.kind == "Mean":
            return _modules()["Mean"](_sequential(part) for part in self.parts)
        return (_modules()[self.kind] if self.kind in OWN else getattr(torch.nn, self.kind))(**self.arguments)


def _sequential(layers: list[_Layer]) -> Any:
    return _torch().nn.Sequential(*(layer.made() for layer in layers))


def _layers(model: Description, logits: bool = False) -> list[_Layer]:
    """The modules, in their order."""
    dtype = common_dtype(*model.coefs, *model.intercepts)
    layers = [_scale(scaling, dtype) for scaling in model.scalings]
    if model.pieces:
        layers.append(_embedding(model.pieces, dtype))
    members = [_layers_of(member, model, dtype, logits) for member in model.members]
    if len(members) == 1:
        layers += members[0]
    elif logits and model.task != "numbers":
        raise ValueError(
            f"logits=True is for one network, but the model is the mean of what {len(members)} say, which are "
            "probabilities: take their logarithm, or n_members=1"
        )
    else:
        layers.append(_Layer("Mean", parts=members))
    if model.outcome:
        nothing = np.zeros_like(model.outcome.mean)
        outcome = model.outcome
        layers.append(_scale(Scaling(nothing, 1 / outcome.scale, outcome.mean, outcome.low, outcome.high), dtype))
    if model.is_sorted and not logits:
        layers.append(_Layer("Sort"))
    return layers


def _layers_of(member: Member, model: Description, dtype: np.dtype[Any], logits: bool) -> list[_Layer]:
    """The modules of a member, in their order."""
    layers = []
    for l, (coef, intercept) in enumerate(zip(member.coefs, member.intercepts, strict=True)):
        n_in, n_out = coef.shape
        arrays = {"weight": np.ascontiguousarray(coef.T, dtype), "bias": np.ascontiguousarray(intercept, dtype)}
        layers.append(_Layer("Linear", {"in_features": n_in, "out_features": n_out}, arrays))
        if l < len(model.activations):
            layers.append(_activation(model.activations[l]))
    if logits or model.out_activation == "identity":
        return layers
    if model.task == "classes" and model.out_activation == "logistic":
        layers.append(_Layer("BothClasses"))
    elif model.out_activation == "softmax":
        layers.append(_Layer("Softmax", {"dim": -1}))
    elif model.out_activation in LAYERS:
        layers.append(_activation(ACTIVATIONS[model.out_activation]))
    else:
        value = OUT_ACTIVATIONS[model.out_activation]
        layers.append(_Layer("Law", {"name": model.out_activation, "value": value}))
    return layers


def _activation(law: Activation) -> _Layer:
    """PyTorch's own layer, or one that evaluates what the law says."""
    if law.name in LAYERS and ACTIVATIONS.get(law.name) == law:
        return _Layer(*LAYERS[law.name])
    return _Layer("Law", {"name": law.name, "value": law.value, "slope": law.slope})


def _scale(scaling: Scaling, dtype: np.dtype[Any]) -> _Layer:
    """The shift is in two parts, or what is small beside it would be lost in float32."""
    with np.errstate(over="ignore", invalid="ignore"):
        arrays = {name: np.asarray(array, dtype) for name, array in vars(scaling).items()}
        arrays["rest"] = (scaling.shift - arrays["shift"]).astype(dtype)
    if not all(np.isfinite(arrays[name]).all() for name in ("shift", "rest", "divisor", "offset")):
        raise ValueError(f"the model scales by numbers that no {dtype} can hold")
    return _Layer("Scale", {}, arrays)


def _embedding(pieces: Pieces, dtype: np.dtype[Any]) -> _Layer:
    """Centers and the starts of pieces are in two parts, as the shift of a scaling."""
    n_pieces = [max(len(edges) - 1, 0) for edges in pieces.edges]
    starts = np.concatenate([edges[:-1] for edges in pieces.edges])
    arrays = {
        "center": pieces.center,
        "scale": pieces.scale,
        "start": starts,
        "width": np.concatenate([np.diff(edges) for edges in pieces.edges]),
    }
    with np.errstate(over="ignore"):
        held = {name: np.asarray(array, dtype) for name, array in arrays.items()}
    for name in "center", "start":
        held[f"{name}_rest"] = (arrays[name] - held[name]).astype(dtype)
    if not all(np.isfinite(array).all() for array in held.values()) or not held["width"].all():
        raise ValueError(f"the embedding scales by numbers that no {dtype} can hold")
    held["column"] = np.repeat(np.arange(len(n_pieces)), n_pieces)
    return _Layer("Embedding", {}, held)


def _state(layers: list[_Layer]) -> dict[str, Array]:
    """The state_dict of the Sequential."""
    state: dict[str, Array] = {}
    for place, layer in enumerate(layers):
        held = dict(layer.arrays)
        for number, part in enumerate(layer.parts):
            held |= {f"{number}.{name}": array for name, array in _state(part).items()}
        state |= {f"{place}.{name}": array for name, array in held.items()}
    return state


def _evaluated(value: Symbol, z: Any) -> Any:
    """An expression of a tensor."""
    torch = _torch()
    functions: dict[str, Callable[..., Any]] = {
        **{name: getattr(torch, name) for name in OPERATIONS if hasattr(torch, name)},
        "min": torch.minimum,
        "max": torch.maximum,
    }
    known: dict[int, Any] = {}

    def of(symbol: Symbol) -> Any:
        if symbol.op == "arg":
            return z
        if id(symbol) not in known:
            if symbol.op == "const":
                known[id(symbol)] = torch.full((), symbol.args[0], dtype=z.dtype, device=z.device)
            else:
                known[id(symbol)] = functions[symbol.op](*map(of, symbol.args))
        return known[id(symbol)]

    return of(value).expand(z.shape)


@cache
def _modules() -> dict[str, Any]:
    """The modules that PyTorch does not have."""
    import torch

    class _Sloped(torch.autograd.Function):
        """A law with the slope that it says: what autograd makes of a branch may be NaN where it is not taken."""

        generate_vmap_rule = True

        @staticmethod
        def forward(z: Any, value: Symbol, slope: Symbol) -> Any:
            return _evaluated(value, z)

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            ctx.save_for_backward(inputs[0])
            ctx.slope = inputs[2]

        @staticmethod
        def backward(ctx: Any, gradient: Any) -> Any:
            return gradient * _evaluated(ctx.slope, *ctx.saved_tensors), None, None

    class Law(torch.nn.Module):
        """An activation of Python functions of numbers, as the kernels compute it.

        Parameters
        ----------
        name : str
        value, slope : callable
            g and g' of one number; without a slope, autograd finds it.
        """

        def __init__(self, name: str, value: Callable[..., float], slope: Callable[..., float] | None = None) -> None:
            super().__init__()
            self.name, self.value, self.slope = name, value, slope
            self._value = expression(value)
            self._slope = None if slope is None else expression(slope)

        def forward(self, z: Any) -> Any:
            if self._slope is not None and z.requires_grad and torch.is_grad_enabled():
                return _Sloped.apply(z, self._value, self._slope)
            return _evaluated(self._value, z)

        def extra_repr(self) -> str:
            return self.name

    class Scale(torch.nn.Module):
        """(x - shift) / divisor + offset, between low and high, of numbers of float32 or float64.

        Parameters
        ----------
        shift, rest, divisor, offset, low, high : Tensor (n_features,)
            The shift is in two parts: what its type does not hold of it is the rest.
        """

        shift: Any
        rest: Any
        divisor: Any
        offset: Any
        low: Any
        high: Any

        def __init__(self, **tensors: Any) -> None:
            super().__init__()
            for name, tensor in tensors.items():
                self.register_buffer(name, tensor)

        def forward(self, x: Any) -> Any:
            z = (x - self.shift - self.rest) / self.divisor + self.offset
            return torch.clamp(z, self.low, self.high).to(self.divisor.dtype)

    class Embedding(torch.nn.Module):
        """Each number of a matrix scaled and clipped smoothly, then its pieces, which rise from -1/2 to 1/2.

        Parameters
        ----------
        center, center_rest, scale : Tensor (n_features,)
            The center is in two parts: what its type does not hold of it is the rest.
        start, start_rest, width : Tensor (n_pieces,)
            Where each piece begins to rise, in two parts, and over which length.
        column : Tensor (n_pieces,)
            Of which number it is: int64.
        """

        center: Any
        center_rest: Any
        scale: Any
        start: Any
        start_rest: Any
        width: Any
        column: Any

        def __init__(self, **tensors: Any) -> None:
            super().__init__()
            for name, tensor in tensors.items():
                self.register_buffer(name, tensor)

        def forward(self, x: Any) -> Any:
            z = (x - self.center - self.center_rest) * self.scale
            z = 3 * z / torch.hypot(z, torch.full_like(z, 3))  # z / sqrt(1 + (z / 3)^2), whose square may be too large
            pieces = (x[..., self.column] - self.start - self.start_rest) / self.width
            return torch.cat([z, torch.clamp(pieces, 0, 1) - 0.5], dim=-1).to(self.scale.dtype)

    class Mean(torch.nn.ModuleList):
        """The mean of what several modules say of the same input."""

        def forward(self, x: Any) -> Any:
            return torch.stack([member(x) for member in self]).mean(dim=0)

    class BothClasses(torch.nn.Module):
        """The probabilities of two classes (n, 2), of the logit of the second (n, 1)."""

        def forward(self, z: Any) -> Any:
            return torch.sigmoid(torch.cat([-z, z], dim=-1))

    class Sort(torch.nn.Module):
        """The outputs of each example in rising order: quantiles do not cross."""

        def forward(self, z: Any) -> Any:
            return torch.sort(z, dim=-1).values

    made = {kind.__name__: kind for kind in (Law, Scale, Embedding, Mean, BothClasses, Sort)}
    for name, kind in made.items():
        kind.__module__, kind.__qualname__ = __name__, name  # where pickle finds it
    return made


def __getattr__(name: str) -> Any:
    if name in OWN:
        return _modules()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
