"""ONNX: a fitted model as one graph, which onnxruntime and other programs compute.

A graph holds what these were found to compute rightly.  Relu, Tanh and Softmax are nodes; all other laws are written by
elementary ones, of which onnxruntime has float64 too, where it has none of Elu, Softplus or Gelu.  Sigmoid is not
written: there it is 0 below -18.  Rows in which a value is NaN have outputs that are NaN.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastnn.export.description import Description, Member, Outcome, Pieces, Scaling, describe
from fastnn.export.expressions import Symbol, constant, evaluate, expression
from fastnn.kernels.laws.activations import normal_distribution, relu
from fastnn.network import Array, common_dtype
from fastnn.tables.columns import FARTHEST, MISSING, Category, Column, Number, value_key

if TYPE_CHECKING:
    from onnx import ModelProto

#: The versions of ONNX's operators that a graph may be of: what is written means the same in all of them.
OPSETS = range(13, 26)
#: What onnxruntime reads since 1.14.
OPSET = 18
#: The domain of the tables of texts, and its version.
ML, ML_OPSET = "ai.onnx.ml", 3
#: The nodes that the operations of an expression are.
OPERATORS = {
    "add": "Add",
    "sub": "Sub",
    "mul": "Mul",
    "div": "Div",
    "pow": "Pow",
    "min": "Min",
    "max": "Max",
    "lt": "Less",
    "le": "LessOrEqual",
    "where": "Where",
    "neg": "Neg",
    "abs": "Abs",
    "exp": "Exp",
    "log": "Log",
    "sqrt": "Sqrt",
    "tanh": "Tanh",
    "sin": "Sin",
    "cos": "Cos",
    "atan": "Atan",
    "erf": "Erf",
}
#: The parameters that say what a network was trained for, and in which losses they count.
OF_LOSS = {"quantile": "quantile", "delta": "huber", "gamma": "focal"}
FLOAT32: np.dtype[Any] = np.dtype(np.float32)
FLOAT64: np.dtype[Any] = np.dtype(np.float64)
INT64, TEXT = np.dtype(np.int64), np.dtype(object)
RELU = expression(relu)


@dataclass(frozen=True)
class Value:
    """What a graph takes, or gives.

    Parameters
    ----------
    name : str
    dtype : dtype
        object for texts.
    n_columns : int or None
        None for a value of one dimension.
    text : str
        What it is.
    """

    name: str
    dtype: np.dtype[Any]
    n_columns: int | None
    text: str = ""


@dataclass(frozen=True)
class Node:
    """An operation of a graph, on values that have names."""

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    domain: str
    attributes: dict[str, Any]


def to_onnx(model: Any, *, dtype: npt.DTypeLike | None = None, opset: int | None = None) -> ModelProto:
    """A fitted model as an ONNX graph, in one piece: no data lie beside it.

    Parameters
    ----------
    model : MLPClassifier, MLPRegressor, TabularClassifier, TabularRegressor or Pipeline
        An estimator of fastnn or of scikit-learn; or a Pipeline that ends with one, after a StandardScaler,
        MinMaxScaler, MaxAbsScaler or RobustScaler, several of these, or (before an MLP) a `TableEncoder`.
    dtype : {"float32", "float64"} or None, default None
        What the networks are computed in; None for the dtype of their parameters.
    opset : int or None, default None
        The version of ONNX's operators, from 13 to 25; None for 18, which onnxruntime reads since 1.14.

    Returns
    -------
    onnx.ModelProto
        Its input is "X" (n_samples, n_features), of that dtype, or float64 where a scaler comes first, because the
        digits count until the mean is subtracted.  With a `TableEncoder`, and of a tabular model, each column of the
        table that is read is an input by its name (n_samples, 1): texts for categories, else float64, dates in seconds
        since 1970 and booleans as 0 and 1; "" or NaN where a value is missing.  The outputs of a classifier are
        "label", what `predict` gives, and "probabilities", what `predict_proba` gives; of a regressor "variable", what
        `predict` gives: that of a `TabularRegressor` in float64, because the digits count when the mean is added.

    Raises
    ------
    TypeError
        The model is something else, or its classes are neither texts nor numbers.
    ValueError
        The opset or the dtype is another, the parameters are too large for it, or an activation of your own is no
        expression of elementary operations.
    sklearn.exceptions.NotFittedError
        The model is not fitted.
    ImportError
        onnx is not installed.

    Examples
    --------
    >>> import fastnn
    >>> model = fastnn.MLPClassifier(max_iter=1, tol=10, n_iter_no_change=1).fit([[0.0], [1.0]], ["no", "yes"])
    >>> graph = fastnn.to_onnx(model).graph
    >>> [value.name for value in [*graph.input, *graph.output]]
    ['X', 'label', 'probabilities']
    """
    from fastnn import __version__

    helper, opset = _onnx().helper, _checked_opset(OPSET if opset is None else opset)
    description, network = describe(model), model[-1] if hasattr(model, "steps") else model
    sizes = " - ".join(map(str, [len(description.coefs[0]), *map(len, description.intercepts)]))
    n_members = len(description.members)
    what = "a multilayer perceptron" if n_members == 1 else f"the mean of {n_members} multilayer perceptrons"
    writer = Writer(_dtype_of(description, dtype))
    inputs, x = _matrix(writer, description)
    outputs = _outputs(writer, description, x)
    named = {value.name: writer.new_name(name) for name, value in outputs.items()}
    graph = helper.make_graph(
        [
            helper.make_node(
                node.op, node.inputs, node.outputs, f"{node.op} {i}", domain=node.domain, **node.attributes
            )
            for i, node in enumerate(writer.with_names(named), 1)
        ],
        type(network).__name__,
        list(map(_value_info, inputs)),
        [_value_info(replace(value, name=named[value.name])) for value in outputs.values()],
        [_tensor(name, array) for name, array in writer.arrays.items()],
    )
    opsets = [helper.make_opsetid("", opset)]
    if any(node.domain == ML for node in writer.nodes):
        opsets.append(helper.make_opsetid(ML, ML_OPSET))
    made = helper.make_model(
        graph,
        opset_imports=opsets,
        ir_version=helper.find_min_ir_version_for(opsets),
        producer_name="fastnn",
        producer_version=__version__,
        doc_string=f"{what} of {sizes} units",
    )
    # What the graph does not say, and a training that goes on has to know.
    told = {"feature_names": description.names, "parameters": parameters_of_loss(network)}
    helper.set_model_props(made, {name: json.dumps(value, default=float) for name, value in told.items()})
    return made


class Writer:
    """The nodes and the arrays of a graph; what is the same is written once.

    Parameters
    ----------
    dtype : dtype
        What the network is computed in.
    new_name : callable, optional
        What makes of a name one that no value has.
    """

    def __init__(self, dtype: np.dtype[Any], new_name: Callable[[str], str] | None = None) -> None:
        self.dtype = dtype
        self.nodes: list[Node] = []
        self.arrays: dict[str, npt.NDArray[Any]] = {}
        self.new_name = new_name or self._unused
        self._names: set[str] = set()
        self._known: dict[Any, str] = {}

    def _unused(self, wanted: str) -> str:
        name, n = wanted, 1
        while name in self._names:
            name, n = f"{wanted}_{n}", n + 1
        self._names.add(name)
        return name

    def array(self, name: str, value: npt.NDArray[Any]) -> str:
        """An array, such as weights."""
        name = self.new_name(name)
        self.arrays[name] = value
        return name

    def number(self, value: npt.ArrayLike, dtype: npt.DTypeLike | None = None) -> str:
        """A constant, or a row of them, in the dtype of the network unless another is told."""
        with np.errstate(over="ignore"):
            number = np.asarray(value).astype(dtype or self.dtype)
        key = number.dtype, number.shape, number.tobytes()
        if key not in self._known:
            self._known[key] = self.array("constant", number)
        return self._known[key]

    def node(self, op: str, *inputs: str, domain: str = "", n_outputs: int = 1, **attributes: Any) -> str:
        """The (first) value that an operation gives."""
        key = op, inputs, domain, repr(attributes)
        if key not in self._known:
            outputs = tuple(self.new_name(op.lower()) for _ in range(n_outputs))
            self.nodes.append(Node(op, inputs, outputs, domain, attributes))
            self._known[key] = outputs[0]
        return self._known[key]

    def with_names(self, names: Mapping[str, str]) -> list[Node]:
        """The nodes, with other names for some values."""

        def named(values: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(names.get(value, value) for value in values)

        return [replace(node, inputs=named(node.inputs), outputs=named(node.outputs)) for node in self.nodes]

    def cast(self, x: str, dtype: npt.DTypeLike) -> str:
        """A value in another dtype."""
        return self.node("Cast", x, to=_elem_type(np.dtype(dtype)))

    def expression(self, symbol: Symbol, **args: str) -> str:
        """An expression of values."""
        known: dict[int, str] = {}

        def written(symbol: Symbol) -> str:
            if symbol.op == "arg":
                return args[symbol.args[0]]
            if symbol.op == "const":
                return self.number(symbol.args[0])
            if id(symbol) not in known:
                inputs = list(map(written, symbol.args))
                replaced = REPLACED.get((symbol.op, self.dtype))
                known[id(symbol)] = replaced(self, *inputs) if replaced else self.node(OPERATORS[symbol.op], *inputs)
            return known[id(symbol)]

        return written(symbol)

    def law(self, g: Callable[[float], float], z: str) -> str:
        """An activation, of a matrix z."""
        symbol = expression(g)
        if symbol == RELU:
            return self.node("Relu", z)
        with np.errstate(all="ignore"):
            keeps_nan = np.isnan(evaluate(symbol, z=FLOAT64.type(np.nan)))
        if not keeps_nan:  # or a row with a missing value would be predicted as any other
            arg = Symbol("arg", ("z",))
            symbol = Symbol("where", (Symbol("le", (arg, constant(np.inf))), symbol, arg))
        return self.expression(symbol, z=z)


def _erf(x: Any) -> Any:
    """erf x: of small x by its series, of others by the normal distribution."""
    if abs(x) < 0.5:
        term = total = x * 1.1283791670955126  # 2 / sqrt(pi)
        for n in range(1, 14):
            term = -term * x * x / n
            total = total + term / (2 * n + 1)
        return total
    tail = 2 * normal_distribution(-1.4142135623730951 * abs(x))
    return 1 - tail if x > 0 else tail - 1


def _erf_of_float32(writer: Writer, x: str) -> str:
    """Of NaN it was 1 in onnxruntime 1.20."""
    return writer.node("Where", writer.node("LessOrEqual", x, writer.number(np.inf)), writer.node("Erf", x), x)


def _erf_of_float64(writer: Writer, x: str) -> str:
    return writer.expression(expression(_erf, args=("x",)), x=x)


def _cos_of_float64(writer: Writer, x: str) -> str:
    """sin(x + pi / 2): as right as x is."""
    return writer.node("Sin", writer.node("Add", x, writer.number(np.pi / 2)))


def _atan_of_float64(writer: Writer, x: str) -> str:
    """By that of float32: atan x = y + atan((x - tan y) / (1 + x tan y)), of which the last is as its argument."""
    x = writer.node("Max", writer.node("Min", x, writer.number(1e300)), writer.number(-1e300))
    y = writer.cast(writer.node("Atan", writer.cast(x, FLOAT32)), FLOAT64)
    step = expression(lambda x, sin, cos: (x * cos - sin) / (cos + x * sin), args=("x", "sin", "cos"))
    sin, cos = writer.node("Sin", y), _cos_of_float64(writer, y)
    return writer.node("Add", y, writer.expression(step, x=x, sin=sin, cos=cos))


#: What is written for operations that onnxruntime has not, or not always, of a dtype.
REPLACED: dict[tuple[str, np.dtype[Any]], Callable[..., str]] = {
    ("erf", FLOAT32): _erf_of_float32,
    ("erf", FLOAT64): _erf_of_float64,
    ("cos", FLOAT64): _cos_of_float64,
    ("atan", FLOAT64): _atan_of_float64,
}


# ---- from the columns of a table to the matrix ----


def _matrix(writer: Writer, description: Description) -> tuple[list[Value], str]:
    """What the graph takes, and the matrix that the network takes."""
    if description.columns is not None:
        inputs = [_input(writer, column) for _, column in description.columns]
    else:
        dtype = FLOAT64 if description.scalings else writer.dtype
        inputs = [Value(writer.new_name("X"), dtype, description.n_features_in, "an example a row")]
    return inputs, _matrix_of(writer, description, [value.name for value in inputs])


def _matrix_of(writer: Writer, description: Description, names: Sequence[str]) -> str:
    """The matrix that the network takes, of the columns of a table, or of one matrix; both as `_matrix` has them."""
    if description.columns is not None:
        x = _encoded(writer, names, [column for _, column in description.columns])
        dtype = FLOAT32  # as the encoder gives it
    else:
        (x,), dtype = names, FLOAT64 if description.scalings else writer.dtype
    if description.scalings or description.pieces:
        x, dtype = x if dtype == FLOAT64 else writer.cast(x, FLOAT64), FLOAT64
    for scaling in description.scalings:
        x = _scaled(writer, x, scaling)
    if description.pieces:
        x, dtype = _embedded(writer, x, description.pieces), FLOAT32
    return x if dtype == writer.dtype else writer.cast(x, writer.dtype)


def _scaled(writer: Writer, x: str, scaling: Scaling) -> str:
    """(x - shift) / divisor + offset in float64: x a + b would lose the digits of a large mean."""
    for op, row, nothing in (
        ("Sub", scaling.shift, 0),
        ("Div", scaling.divisor, 1),
        ("Add", scaling.offset, 0),
        ("Max", scaling.low, -np.inf),
        ("Min", scaling.high, np.inf),
    ):
        if (row != nothing).any():
            x = writer.node(op, x, writer.number(row, FLOAT64))
    return x


def _embedded(writer: Writer, x: str, pieces: Pieces) -> str:
    """What `PiecewiseLinearEncoder` makes of a matrix of float64, by the same operations; in float32."""

    def row(values: npt.ArrayLike) -> str:
        return writer.number(values, FLOAT64)

    z = writer.node("Mul", writer.node("Sub", x, row(pieces.center)), row(pieces.scale))
    third = writer.node("Div", z, row(3))
    root = writer.node("Sqrt", writer.node("Add", writer.node("Mul", third, third), row(1)))
    parts = [writer.node("Div", z, root)]
    if pieces.n_columns > len(pieces.edges):
        n_pieces = [max(len(edges) - 1, 0) for edges in pieces.edges]
        places = writer.number(np.repeat(np.arange(len(n_pieces)), n_pieces), INT64)
        starts = np.concatenate([edges[:-1] for edges in pieces.edges])
        x = writer.node("Sub", writer.node("Gather", x, places, axis=1), row(starts))
        x = writer.node("Div", x, row(np.concatenate([np.diff(edges) for edges in pieces.edges])))
        parts += [writer.node("Sub", writer.node("Min", writer.node("Max", x, row(0)), row(1)), row(0.5))]
    return writer.cast(_side_by_side(writer, parts), FLOAT32)


def _encoded(writer: Writer, names: Sequence[str], columns: Sequence[Column]) -> str:
    """The matrix that `TableEncoder` makes of the columns of a table, in float32."""
    parts: list[str] = []
    for is_text, run in groupby(zip(names, columns, strict=True), lambda pair: isinstance(pair[1], Category)):
        of_run: tuple[Any, ...]
        values, of_run = zip(*run, strict=True)
        parts += map(partial(_one_hot, writer), values, of_run) if is_text else [_numbers(writer, values, of_run)]
    return _side_by_side(writer, parts)


def _input(writer: Writer, column: Column) -> Value:
    """What is to be put into a graph for a column."""
    name = writer.new_name(column.name or "column")
    if isinstance(column, Category):
        return Value(name, TEXT, 1, "a text; '' where it is missing")
    what = {"boolean": "0 or 1", "date": "seconds since 1970 (UTC)"}.get(column.kind, "a number")
    return Value(name, FLOAT64, 1, f"{what}; NaN where it is missing")


def _side_by_side(writer: Writer, parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else writer.node("Concat", *parts, axis=1)


def _numbers(writer: Writer, names: Sequence[str], columns: Sequence[Number]) -> str:
    """What `Number.encode` makes of columns of numbers, by the same operations in the same order."""

    def row(values: Iterable[float]) -> str:
        return writer.number(list(values), FLOAT64)

    x = _side_by_side(writer, names)
    is_known = writer.node("LessOrEqual", writer.node("Abs", x), row([np.finfo(FLOAT64).max]))
    x = writer.node("Where", is_known, x, row(column.median for column in columns))
    low, high = zip(*(column.beyond(FARTHEST) for column in columns), strict=True)
    x = writer.node("Min", writer.node("Max", x, row(low)), row(high))
    x = writer.node("Sub", writer.node("Div", x, row([2])), row(column.mean / 2 for column in columns))
    x = writer.node("Div", x, row(column.scale / 2 for column in columns))
    return writer.cast(writer.node("Min", writer.node("Max", x, row([-1e30])), row([1e30])), FLOAT32)


def _one_hot(writer: Writer, name: str, column: Category) -> str:
    """What `Category.encode` makes of a column of texts, as far as their spellings are known."""
    codes = _spellings(column)
    code = writer.node(
        "LabelEncoder",
        name,
        domain=ML,
        keys_strings=list(codes),
        values_int64s=list(codes.values()),
        default_int64=-1,
    )
    places = writer.number(np.arange(len(column.outputs)), INT64)
    return writer.cast(writer.node("Equal", code, places), FLOAT32)


def _spellings(column: Category) -> dict[str, int]:
    """The category of each text that is known to have one: of 1 also 1.0, and of true also True and TRUE."""
    texts = ["", *sorted(MISSING), *column.categories]
    for text in dict.fromkeys([*column.categories, *map(value_key, column.categories)]):
        texts += [text, f"{text}.0", text.title(), text.upper()]
    codes = {text: column.code(text or None) for text in texts}
    if column.missing:
        codes = {text: len(column.categories) if code == -2 else code for text, code in codes.items()}
    return {text: code for text, code in codes.items() if code >= 0}


# ---- from the matrix to what is predicted ----


def logistic(writer: Writer, z: str) -> str:
    """1 / (1 + e^-z), which is right to its last places also where it is near 0."""
    return writer.expression(expression(lambda z: 1 / (1 + math.exp(-z))), z=z)


def complement(writer: Writer, z: str) -> str:
    """1 minus that, as right."""
    return writer.expression(expression(lambda z: 1 / (1 + math.exp(z))), z=z)


#: g of the output layer.
OUT_ACTIVATIONS: dict[str, Callable[[Writer, str], str]] = {
    "identity": lambda writer, z: z,
    "logistic": logistic,
    "softmax": lambda writer, z: writer.node("Softmax", z, axis=1),
    "exp": lambda writer, z: writer.node("Exp", z),
}


def _outputs(writer: Writer, description: Description, x: str) -> dict[str, Value]:
    """What the graph gives, by names, of a matrix x."""
    last = [_last_sums(writer, description, member, x) for member in description.members]
    k = len(description.intercepts[-1])

    def mean(g: Callable[[Writer, str], str]) -> str:
        outputs = [g(writer, z) for z in last]
        return writer.node("Div", writer.node("Sum", *outputs), writer.number(len(last))) if last[1:] else outputs[0]

    a = mean(OUT_ACTIVATIONS[description.out_activation])
    if description.task == "numbers":
        dtype = writer.dtype
        if description.outcome:
            a, dtype = _outcome(writer, writer.cast(a, FLOAT64), description.outcome), FLOAT64
        if description.is_sorted:
            a = writer.node("TopK", a, writer.number([k], INT64), axis=1, largest=0, n_outputs=2)
        a = _flat(writer, a) if description.is_flat else a
        return {"variable": Value(a, dtype, None if description.is_flat else k, "what is predicted")}
    if description.task == "labels":
        label = writer.cast(writer.node("Greater", a, writer.number(0.5)), INT64)
        return {
            "label": Value(label, INT64, k, "whether the example has each label"),
            "probabilities": Value(a, writer.dtype, k, "of each label"),
        }
    classes = _labels(description.classes)
    if description.out_activation == "logistic" and len(classes) == 2:
        place = writer.cast(writer.node("Greater", _flat(writer, a), writer.number(0.5)), INT64)
    else:  # which of one class is the first
        place = writer.node("ArgMax", a, axis=1, keepdims=0)
    label = writer.node("Gather", writer.array("classes", classes), place)
    if description.out_activation == "logistic":
        a, k = writer.node("Concat", mean(complement), a, axis=1), 2
    return {
        "label": Value(label, classes.dtype, None, "the class"),
        "probabilities": Value(a, writer.dtype, k, "of each class"),
    }


def _last_sums(writer: Writer, description: Description, member: Member, x: str) -> str:
    """What comes before the output activation of a member."""
    laws = [activation.value for activation in description.activations]
    for l, (coef, intercept) in enumerate(zip(member.coefs, member.intercepts, strict=True)):
        W, b = (writer.array(f"{name}_{l}", _of(writer, p)) for name, p in (("coefs", coef), ("intercepts", intercept)))
        z = writer.node("Gemm", x, W, b)
        x = writer.law(laws[l], z) if l < len(laws) else z
    return z


def _outcome(writer: Writer, a: str, outcome: Outcome) -> str:
    """a scale + mean, between low and high, in float64."""
    for op, row in ("Mul", outcome.scale), ("Add", outcome.mean), ("Max", outcome.low), ("Min", outcome.high):
        a = writer.node(op, a, writer.number(row, FLOAT64))
    return a


def parameters_of_loss(network: Any) -> dict[str, Any]:
    """What an estimator was trained for, as its parameters say it; nothing, of a loss of a user's own."""
    loss = getattr(network, "loss", None)
    if not isinstance(loss, str):
        return {}
    return {"loss": loss, **{name: getattr(network, name) for name, of in OF_LOSS.items() if of == loss}}


def _flat(writer: Writer, x: str) -> str:
    return writer.node("Reshape", x, writer.number([-1], INT64))


def _of(writer: Writer, array: Array) -> Array:
    """Parameters in the dtype of the network."""
    with np.errstate(over="ignore"):
        found = np.ascontiguousarray(array, writer.dtype)
    if (np.isfinite(array) & ~np.isfinite(found)).any():
        raise ValueError(f"the parameters reach {np.nanmax(np.abs(array)):g}, which is too large for {writer.dtype}")
    return found


def _labels(classes: Any) -> npt.NDArray[Any]:
    """The classes in a dtype that ONNX has: texts, int64 (or uint64), float32, float64 or bool."""
    labels = np.asarray(classes)
    kinds = {type(label) for label in labels.tolist()}
    if kinds == {str}:
        return labels.astype(TEXT)
    if labels.dtype.kind in "iu":
        return labels.astype(np.uint64 if labels.max() >= 2**63 else INT64)
    if labels.dtype.kind == "f":
        return labels.astype(FLOAT32 if labels.dtype.itemsize <= 4 else FLOAT64)
    if labels.dtype.kind == "b":
        return labels
    raise TypeError(f"the classes are {classes}, but texts, numbers or booleans are wanted")


# ---- as ONNX has them ----


def _onnx() -> Any:
    try:
        import onnx.defs
        import onnx.helper
        import onnx.numpy_helper
    except ImportError as error:
        raise ImportError('onnx is not installed: pip install "fastnn-mlp[onnx]"') from error
    return onnx


def _elem_type(dtype: np.dtype[Any]) -> int:
    return _onnx().helper.np_dtype_to_tensor_dtype(dtype)


def _value_info(value: Value) -> Any:
    shape = ["n_samples"] if value.n_columns is None else ["n_samples", value.n_columns]
    return _onnx().helper.make_tensor_value_info(value.name, _elem_type(value.dtype), shape, value.text)


def _tensor(name: str, array: npt.NDArray[Any]) -> Any:
    return _onnx().numpy_helper.from_array(array, name)


def _checked_opset(opset: Any) -> int:
    last = min(OPSETS[-1], _onnx().defs.onnx_opset_version())  # an older onnx does not know the newest
    if not isinstance(opset, int | np.integer) or isinstance(opset, bool) or not OPSETS[0] <= opset <= last:
        raise ValueError(f"opset is {opset!r}, but a number from {OPSETS[0]} to {last} is wanted")
    return int(opset)


def _dtype_of(description: Description, dtype: npt.DTypeLike | None) -> np.dtype[Any]:
    """What the network is to be computed in."""
    if dtype is None:
        return common_dtype(*description.coefs, *description.intercepts)
    try:
        found = np.dtype(dtype)
    except TypeError:
        found = TEXT
    if found not in (FLOAT32, FLOAT64):
        raise ValueError(f"dtype is {dtype!r}, but float32 or float64 is wanted")
    return found


# ---- skl2onnx: within a graph that it writes ----


def register(*kinds: type) -> None:
    """Have skl2onnx convert estimators of fastnn within others, such as a VotingClassifier.

    Those in a Pipeline, a ColumnTransformer or a search it finds by itself.

    Parameters
    ----------
    *kinds : type
        MLPClassifier, MLPRegressor, TabularClassifier or TabularRegressor; the classes that are derived from them by
        now come with them.

    Raises
    ------
    ImportError
        skl2onnx is not installed.

    Examples
    --------
    >>> import fastnn
    >>> from fastnn.export.onnx import register
    >>> register(fastnn.MLPClassifier, fastnn.MLPRegressor)  # doctest: +SKIP
    """
    try:
        from skl2onnx import update_registered_converter
    except ImportError as error:
        raise ImportError("skl2onnx is not installed: pip install skl2onnx") from error
    for kind in kinds:
        options: dict[str, Any] = {}
        if hasattr(kind, "predict_proba"):
            options = {"parser": outputs_of_classifier, "options": {"zipmap": [True, False]}}
        alias = f"{kind.__module__}.{kind.__qualname__}"
        update_registered_converter(kind, alias, infer_types, convert, **options)
        register(*kind.__subclasses__())


def outputs_of_classifier(scope: Any, model: Any, inputs: Any, custom_parsers: Any = None) -> Any:
    """What a classifier gives: arrays always, where skl2onnx has others give lists of dicts unless told not to."""
    from skl2onnx import get_model_alias
    from skl2onnx.common.data_types import FloatTensorType

    operator = scope.declare_local_operator(get_model_alias(type(model)), model)
    operator.inputs = inputs
    for name in "label", "probabilities":
        operator.outputs.append(scope.declare_local_variable(name, FloatTensorType()))  # until the types are inferred
    return operator.outputs


def infer_types(operator: Any) -> None:
    """Tell skl2onnx of which type and shape the outputs are."""
    from skl2onnx.common import data_types

    types = {
        FLOAT32: data_types.FloatTensorType,
        FLOAT64: data_types.DoubleTensorType,
        INT64: data_types.Int64TensorType,
        np.dtype(np.uint64): data_types.UInt64TensorType,
        np.dtype(bool): data_types.BooleanTensorType,
        TEXT: data_types.StringTensorType,
    }
    values = _outputs_within(Writer(_dtype_within(operator)), describe(operator.raw_operator), "X")
    for variable, value in zip(operator.outputs, values, strict=True):
        variable.type = types[value.dtype]([None] if value.n_columns is None else [None, value.n_columns])


def convert(scope: Any, operator: Any, container: Any) -> None:
    """Write a model into the graph."""
    _checked_opset(container.target_opset_onnx)
    dtype, description = _dtype_within(operator), describe(operator.raw_operator)
    writer = Writer(dtype, scope.get_unique_variable_name)
    if description.columns is None:
        x = _side_by_side(writer, [writer.cast(variable.full_name, dtype) for variable in operator.inputs])
    else:
        x = _table_within(writer, operator, description)
    values = _outputs_within(writer, description, x)
    named = {value.name: variable.full_name for value, variable in zip(values, operator.outputs, strict=True)}
    for name, array in writer.arrays.items():
        content = [text.encode() for text in array] if array.dtype == TEXT else array.ravel()
        container.add_initializer(name, _elem_type(array.dtype), array.shape, content)
    for node in writer.with_names(named):
        ends = list(node.inputs), list(node.outputs)
        name = scope.get_unique_operator_name(node.op)
        version = ML_OPSET if node.domain == ML else None  # None for the newest that was asked for
        container.add_node(node.op, *ends, op_domain=node.domain, op_version=version, name=name, **node.attributes)


def _outputs_within(writer: Writer, description: Description, x: str) -> list[Value]:
    """What an estimator gives that is converted: others expect a matrix of it, in the dtype of what comes in."""
    values = _outputs(writer, replace(description, is_flat=False), x)
    if description.outcome:
        values["variable"] = replace(
            values["variable"], name=writer.cast(values["variable"].name, writer.dtype), dtype=writer.dtype
        )
    return list(values.values())


def _table_within(writer: Writer, operator: Any, description: Description) -> str:
    """The matrix that a network takes, of the columns of a table, which come in side by side or one by one."""
    from skl2onnx.common.data_types import StringTensorType

    name, places = type(operator.raw_operator).__name__, list[tuple[Any, int]]()
    for variable in operator.inputs:
        width = variable.type.shape[1] if len(variable.type.shape) > 1 else 1
        places += [(variable, k) for k in range(width or 0)]
    if len(places) != description.n_features_in:
        raise ValueError(f"{len(places)} columns come in, but {name} expects {description.n_features_in}")
    names = []
    for j, column in description.columns or []:
        variable, k = places[j]
        is_text = isinstance(variable.type, StringTensorType)
        if is_text != isinstance(column, Category):
            kinds = "numbers", "texts"
            raise TypeError(
                f"column {column.name!r} comes in as {kinds[is_text]}, but {name} expects {kinds[not is_text]}"
            )
        x = variable.full_name
        if variable.type.shape[1:] != [1]:
            x = writer.node("Gather", x, writer.number([k], INT64), axis=1)
        names.append(x if is_text else writer.cast(x, FLOAT64))
    return _matrix_of(writer, description, names)


def _dtype_within(operator: Any) -> np.dtype[Any]:
    """float32 where all that comes in is float32."""
    from skl2onnx.common.data_types import FloatTensorType

    return FLOAT32 if all(isinstance(variable.type, FloatTensorType) for variable in operator.inputs) else FLOAT64
