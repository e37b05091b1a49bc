"""ONNX graphs as chains of layers: what `foreign` makes estimators of.

It goes from the outputs to the input, and holds each value against the forms that layers and activations have: those
that `to_onnx` writes of the laws, and those of other programs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fastnn.export.onnx import Writer, complement, logistic
from fastnn.graphs import Graph, Term, match
from fastnn.kernels.laws.activations import ACTIVATIONS
from fastnn.network import Array

HOLE = Term("hole")
#: The operations that a layer is, and those that give labels.
PRODUCTS = ("Gemm", "MatMul")
OF_LABELS = ("ArgMax", "Gather", "Greater", "ai.onnx.ml.ArrayFeatureExtractor", "ai.onnx.ml.Binarizer")
COLUMNS = (1, -1)  # the axis of a matrix along which they are
#: How many columns nodes take a matrix to have, by what a message calls them.
Widths: TypeAlias = dict[str, int]


@dataclass
class Chain:
    """A network, as a graph says it.

    Parameters
    ----------
    coefs, intercepts : list of arrays (n_in, n_out), (n_out,)
    activations : list of str
        Of the hidden layers.
    out_activation : {"identity", "logistic", "softmax", "exp"}
    labels : array (n_classes,) or None
        Of the classes, in the order of the outputs; None where the graph has none.
    feature_names : list of str
        Empty where the graph has none.
    parameters : dict
        What it was trained for, as `to_onnx` writes it beside a graph.
    """

    coefs: list[Array]
    intercepts: list[Array]
    activations: list[str]
    out_activation: str
    labels: npt.NDArray[Any] | None
    feature_names: list[str]
    parameters: dict[str, Any]


def chain(source: Any) -> Chain:
    """The network of an ONNX file, of its bytes or of a ModelProto; a ValueError that names what is none."""
    graph = Graph.read(source)
    if len(graph.inputs) != 1:
        raise ValueError(f"the graph takes {_listed(graph.inputs)}, but one matrix is wanted")
    end, labels, widths = _outputs(graph)
    with np.errstate(all="ignore"):  # what is infinite is refused by whoever takes it
        coefs, intercepts, activations = _layers(end.z, widths)
    (shape,), n_features, n_outputs = graph.shapes.values(), len(coefs[0]), len(intercepts[-1])
    if shape is not None and (len(shape) != 2 or shape[1] not in (None, n_features)):
        told = ", ".join("n" if n is None else str(n) for n in shape)
        raise ValueError(f"the graph takes an array ({told}), but a matrix (n, {n_features}) is wanted")
    if end.is_pair and n_outputs > 1:
        raise ValueError(f"the graph gives 1 - p and p side by side of {n_outputs} outputs, but of one is wanted")
    parameters = _from_json(graph.metadata.get("parameters"), dict)
    has_quantiles = parameters.get("loss") == "quantile" and isinstance(parameters.get("quantile"), list)
    if end.is_sorted and not has_quantiles:
        raise ValueError("the outputs are sorted, as quantiles are, but the file does not say of which quantiles")
    if has_quantiles and not end.is_sorted:
        parameters = {}
    names = list(map(str, _from_json(graph.metadata.get("feature_names"), list)))
    if len(names) != n_features or names == [f"x{j}" for j in range(n_features)]:
        names = []
    if labels is not None and labels.dtype == object:
        labels = labels.astype(str)
    return Chain(coefs, intercepts, activations, end.out_activation, labels, names, parameters)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names)) or "nothing"


def _from_json(text: str | None, kind: type) -> Any:
    """What a file says beside its graph; nothing, if it is of another kind."""
    try:
        value = json.loads(text or "")
    except (ValueError, RecursionError):
        return kind()
    return value if isinstance(value, kind) else kind()


@dataclass
class End:
    """What comes after the last layer of a graph.

    Parameters
    ----------
    z : Term
        What the last layer gives.
    out_activation : str
    probability : Term
        What labels are made of: g of that.
    is_pair, is_sorted : bool
        Whether the graph gives 1 - p and p; and whether it sorts the outputs of an example.
    """

    z: Term
    out_activation: str
    probability: Term
    is_pair: bool = False
    is_sorted: bool = False


def _outputs(graph: Graph) -> tuple[End, npt.NDArray[Any] | None, Widths]:
    """How a graph ends, its labels in the order of the outputs, and how many these are taken to be."""
    widths: Widths = {}
    of_labels = [term for term in map(_without_casts, graph.outputs.values()) if term.op in OF_LABELS]
    numbers = [term for term in graph.outputs.values() if _without_casts(term).op not in OF_LABELS]
    if len(numbers) != 1 or len(of_labels) > 1:
        raise ValueError(
            f"the graph gives {_listed(graph.outputs)}, but numbers, or labels and probabilities, are wanted"
        )
    a, labels = _bare(numbers[0], widths), None
    if a.op == "ai.onnx.ml.ZipMap" and a.args:  # dicts by labels
        texts = [text.decode(errors="replace") for text in a.get("classlabels_strings") or []]
        a, labels = _bare(a.args[0], widths), np.array(texts or a.get("classlabels_int64s"))
    end = _end(a, widths)
    for term in of_labels:
        found = _labels(term, a, end)
        labels = found if labels is None else labels
    return end, labels, widths


def _end(a: Term, widths: Widths) -> End:
    """What comes after the last layer, of the numbers that a graph gives."""
    if a.op in ("Softmax", "LogSoftmax", "TopK", "Concat") and a.get("axis") not in COLUMNS:
        raise ValueError(f"{_told(a)} goes along another axis than that of the columns")
    if a.op in ("Softmax", "LogSoftmax"):  # which predict_proba gives, or predict_log_proba
        return End(_bare(a.args[0], widths), "softmax", a)
    if a.op == "Exp":
        return End(_bare(a.args[0], widths), "exp", a)
    if a.op == "TopK" and not a.get("largest") and a.get("sorted") and a.args[1].number:
        widths[a.label] = int(a.args[1].number)
        return End(_bare(a.args[0], widths), "identity", a, is_sorted=True)
    if a.op == "Concat" and len(a.args) == 2:
        q, p = a.args
        z = _matched(p, _forms()["logistic"])
        if z is not None and (match(_op("Sub", 1, HOLE), q) is p or _matched(q, _complements()) is z):
            return End(_bare(z, widths), "logistic", p, is_pair=True)
    z = _matched(a, _forms()["logistic"])
    return End(a, "identity", a) if z is None else End(_bare(z, widths), "logistic", a)


def _labels(term: Term, a: Term, end: End) -> npt.NDArray[Any] | None:
    """The labels that a graph gives, if they are those of its numbers; None where it gives their places."""
    labels, place = None, term
    if term.op in ("Gather", "ai.onnx.ml.ArrayFeatureExtractor") and term.args[0].is_constant and not term.get("axis"):
        labels, place = term.args[0].array, _without_casts(term.args[1])
    of = [_bare(arg, {}) for arg in place.args]
    is_first_of_the_largest = place.get("axis") in COLUMNS and not place.get("select_last_index")
    if not (
        (place.op == "ArgMax" and is_first_of_the_largest and of[0] in (a, end.probability, end.z))
        or (place.op == "Greater" and of[0] is end.probability and of[1].number == 0.5)
        or (place.op == "ai.onnx.ml.Binarizer" and of[0] is end.probability and place.get("threshold") == 0.5)
    ):
        raise ValueError(f"{_told(term)} gives labels, but other ones than those of the largest probabilities")
    return labels


def _layers(term: Term, widths: Widths) -> tuple[list[Array], list[Array], list[str]]:
    """The layers that a term comes from: coefs, intercepts, and the activations between them."""
    coefs: list[Array] = []
    intercepts: list[Array] = []
    activations: list[str] = []
    while True:
        coef, intercept, term = _layer(term, widths)
        coefs, intercepts, widths = [coef, *coefs], [intercept, *intercepts], {}
        if term.op == "input":
            dtype = np.result_type(*coefs)
            return [each.astype(dtype) for each in coefs], [each.astype(dtype) for each in intercepts], activations
        name, term = _activation(term) or ("identity", term)
        activations = [name, *activations]


def _layer(term: Term, widths: Widths) -> tuple[Array, Array, Term]:
    """W and b of a layer, with what is added to columns or multiplies them around it; and what it takes."""
    above, product = _steps(term, widths)
    W, b, below = _product(product)
    dtype, n_in, n_out = W.dtype, *W.shape
    for step in reversed(above):
        scale, shift = _row(step.scale, n_out, step.label), _row(step.shift, n_out, step.label)
        W, b = W * scale, b * scale + shift
    _check_widths(widths, n_out)
    widths = {}
    steps, inner = _steps(below, widths)
    if inner.op in PRODUCTS:
        return W.astype(dtype), b.astype(dtype), below  # these are of the layer before
    for step in steps:
        b = b + _row(step.shift, n_in, step.label) @ W
        W, dtype = W * _row(step.scale, n_in, step.label)[:, np.newaxis], np.dtype(np.float64)  # of large means, too
    _check_widths(widths, n_in)
    return W.astype(dtype), b.astype(dtype), inner


@dataclass
class Step:
    """Columns that are multiplied by scale, and to which shift is added then."""

    scale: npt.ArrayLike
    shift: npt.ArrayLike
    inner: Term
    label: str


def _steps(term: Term, widths: Widths) -> tuple[list[Step], Term]:
    """What is added to columns or multiplies them, the last first; and what of."""
    steps: list[Step] = []
    while True:
        term = _bare(term, widths)
        step = None if _activation(term) else _step(term)
        if step is None:
            return steps, term
        steps.append(step)
        term = step.inner


def _step(term: Term) -> Step | None:
    """What a node adds to columns, or multiplies them by; None, if it does something else."""
    if term.op == "Neg":
        return Step(-1, 0, term.args[0], term.label)
    if term.op == "ai.onnx.ml.Scaler":
        scale, offset = (
            np.array(term.get(name) or value, float) for name, value in (("scale", [1.0]), ("offset", [0.0]))
        )
        return Step(scale, -offset * scale, term.args[0], term.label)
    if term.op not in ("Add", "Sub", "Mul", "Div") or sum(arg.is_constant for arg in term.args) != 1:
        return None
    is_first = term.args[0].is_constant
    x, c = term.args[is_first], term.args[not is_first].array.astype(float)
    if term.op == "Add":
        return Step(1, c, x, term.label)
    if term.op == "Sub":
        return Step(-1, c, x, term.label) if is_first else Step(1, -c, x, term.label)
    if term.op == "Mul":
        return Step(c, 0, x, term.label)
    return None if is_first else Step(1 / c, 0, x, term.label)


def _product(term: Term) -> tuple[Array, Array, Term]:
    """W, in its dtype, and b in float64 of a Gemm or MatMul; and what it takes."""
    if term.op not in PRODUCTS:
        if term.op == "input" or _activation(term):
            raise ValueError(f"{_told(term)} is where a layer is wanted, a {' or '.join(PRODUCTS)}")
        kinds = f"neither a layer ({', '.join(PRODUCTS)}) nor one of the activations {', '.join(ACTIVATIONS)}"
        raise ValueError(f"{_told(term)} is {kinds}")
    x, *constants = (arg for arg in term.args if arg.op != "nothing")
    if not all(arg.is_constant for arg in constants) or term.get("transA"):
        raise ValueError(f"{_told(term)} is no product of a matrix with weights that are constant")
    W, *bias = (arg.array for arg in constants)
    if W.ndim != 2 or W.dtype.kind != "f":
        raise ValueError(
            f"{_told(term)} has weights of shape {W.shape} and {W.dtype}, but a matrix of floats is wanted"
        )
    if term.op == "Gemm":
        W = (W.T if term.get("transB") else W) * W.dtype.type(term.get("alpha"))
        bias = [_row(each, W.shape[1], term.label) * term.get("beta") for each in bias]
    return W, sum(bias, np.zeros(W.shape[1])), x


def _row(values: npt.ArrayLike, width: int, label: str) -> Array:
    """A number for each column, in float64."""
    row = np.asarray(values, np.float64)
    if row.size != 1 and (row.shape[-1], row.size) != (width, width):
        raise ValueError(f"{label} has an array of shape {row.shape} for {width} columns")
    return np.broadcast_to(row.ravel(), (width,))


def _activation(term: Term) -> tuple[str, Term] | None:
    """The activation that a term is, and of what."""
    for name, forms in _forms().items():
        z = _matched(term, forms)
        if z is not None:
            return name, z
    return None


def _matched(term: Term, forms: Iterable[Term]) -> Term | None:
    """What stands for the hole in one of the forms."""
    return next((hole for form in forms if (hole := match(form, term)) is not None), None)


def _form(write: Callable[..., str], dtype: type = np.float64) -> Term:
    """What `to_onnx` writes of a value, for which the hole stands."""
    writer = Writer(np.dtype(dtype))
    result = write(writer, z=writer.new_name("z"))
    known = {"z": HOLE} | {name: Term("constant", tensor=array) for name, array in writer.arrays.items()}
    for node in writer.nodes:
        known[node.outputs[0]] = Term(node.op, tuple(known[name] for name in node.inputs), node.attributes)
    return known[result]


def _op(op: str, *args: Term | float, **attributes: Any) -> Term:
    terms = (arg if isinstance(arg, Term) else Term("constant", tensor=np.array(float(arg))) for arg in args)
    return Term(op, tuple(terms), attributes)


@cache
def _complements() -> list[Term]:
    return [_form(complement)]


@cache
def _forms() -> dict[str, list[Term]]:
    """What activations look like: as `to_onnx` writes them, as nodes that are meant for them, or as PyTorch does."""
    z = HOLE
    forms = {
        name: [_form(partial(Writer.law, g=law.value), dtype) for dtype in (np.float32, np.float64)]
        for name, law in ACTIVATIONS.items()
        if name != "identity"
    }
    softplus, squared = _op("Softplus", z), _op("Mul", z, z)
    others = {
        "logistic": [_op("Sigmoid", z), _form(logistic)],
        "relu": [_op("Max", z, 0)],
        "leaky_relu": [_op("LeakyRelu", z, alpha=0.01)],
        "elu": [_op("Elu", z, alpha=1.0), _op("Celu", z, alpha=1.0)],
        "selu": [_op("Selu", z, alpha=1.6732632423543772, gamma=1.0507009873554805)],
        "softplus": [softplus, _op("Where", _op("Greater", z, 20), z, softplus)],
        "silu": [_op("Mul", z, _op("Sigmoid", z)), _op("Swish", z, alpha=1.0)],
        "mish": [_op("Mish", z), _op("Mul", z, _op("Tanh", softplus))],
        "gelu": [_op("Gelu", z, approximate="none")],
        "gelu_tanh": [_op("Gelu", z, approximate="tanh")],
    }
    distributions = [("gelu", _op("Erf", x)) for x in (_op("Div", z, 2**0.5), _op("Mul", z, 0.5**0.5))]
    for cube in _op("Pow", z, 3), _op("Mul", z, squared):
        u = _op("Mul", _op("Add", z, _op("Mul", cube, 0.044715)), (2 / np.pi) ** 0.5)
        distributions.append(("gelu_tanh", _op("Tanh", u)))
    for name, distribution in distributions:  # z (1 + that) / 2, in any order
        factor = _op("Add", distribution, 1)
        for product in ((z, factor), 0.5), ((z, 0.5), factor), ((factor, 0.5), z):
            others[name].append(_op("Mul", _op("Mul", *product[0]), product[1]))
    return {name: of_law + others.get(name, []) for name, of_law in forms.items()}


def _without_casts(term: Term) -> Term:
    """What labels are computed from."""
    term = _bare(term, {})
    while term.op == "Cast":
        term = _bare(term.args[0], {})
    return term


def _bare(term: Term, widths: Widths) -> Term:
    """A matrix without nodes that change nothing but its shape, which is one of so many columns, as they see it."""
    while True:
        width: int | None = None
        if term.op == "Flatten" and term.get("axis") == 1:
            pass
        elif term.op == "Reshape" and term.args[1].is_constant and not term.get("allowzero"):
            shape = term.args[1].array.ravel().tolist()
            if shape not in ([-1], [0, -1]) and not (len(shape) == 2 and shape[0] in (0, -1) and shape[1] > 0):
                return term
            width = shape[1] if len(shape) == 2 else 1
        elif term.op == "Squeeze" and _axes(term) in ([1], [-1]):
            width = 1
        else:
            return term
        if width is not None and width > 0:
            widths[term.label] = width
        term = term.args[0]


def _axes(term: Term) -> Any:
    """The axes of a node: until version 13, an attribute."""
    return term.args[1].array.tolist() if len(term.args) > 1 and term.args[1].is_constant else term.get("axes")


def _check_widths(widths: Widths, width: int) -> None:
    for label, wanted in widths.items():
        if wanted != width:
            raise ValueError(f"{label} makes a matrix of {wanted} columns of one of {width}: it mixes the examples")


def _told(term: Term) -> str:
    """What a message says of a node."""
    attributes = [f"{name}={value:g}" for name, value in term.attributes.items() if isinstance(value, int | float)]
    return term.label + (f" with {', '.join(attributes)}" if attributes else "")
