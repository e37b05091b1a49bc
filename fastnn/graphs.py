"""ONNX graphs as terms: what each value is computed from.  A graph is looked at, and never run.

A file may come from anybody: no array is made that is larger than what the file holds, and nothing is read outside of
the folder in which it lies.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto

#: Before, Add and Gemm had attributes for what is broadcast, and Dropout one for whether it trains.
FIRST_OPSET = 7
#: The attributes that an operation has where it does not say so.
DEFAULTS: dict[str, dict[str, Any]] = {
    "ArgMax": {"axis": 0, "keepdims": 1, "select_last_index": 0},
    "Celu": {"alpha": 1.0},
    "Elu": {"alpha": 1.0},
    "Flatten": {"axis": 1},
    "Gather": {"axis": 0},
    "Gelu": {"approximate": "none"},
    "Gemm": {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0},
    "LeakyRelu": {"alpha": 0.01},
    "LogSoftmax": {"axis": -1},
    "Selu": {"alpha": 1.67326319217681884765625, "gamma": 1.05070102214813232421875},
    "Softmax": {"axis": -1},
    "Swish": {"alpha": 1.0},
    "TopK": {"axis": -1, "largest": 1, "sorted": 1},
    "ai.onnx.ml.Binarizer": {"threshold": 0.0},
}
#: Where a tensor keeps its numbers, and in which dtype, by the number of that in ONNX.
KEPT: dict[int, tuple[str, np.dtype[Any]]] = {
    1: ("float_data", np.dtype("<f4")),
    6: ("int32_data", np.dtype("<i4")),
    7: ("int64_data", np.dtype("<i8")),
    8: ("string_data", np.dtype(object)),
    9: ("int32_data", np.dtype(bool)),
    11: ("double_data", np.dtype("<f8")),
    13: ("uint64_data", np.dtype("<u8")),
}
FLOATS = (1, 11)
#: How many values operations take, at least and at most, where that is not one.
TAKEN = {
    "Constant": (0, 0),
    "Gemm": (2, 3),
    **dict.fromkeys(("MatMul", "Add", "Sub", "Mul", "Div", "Greater", "Gather", "Reshape", "TopK"), (2, 2)),
    "ai.onnx.ml.ArrayFeatureExtractor": (2, 2),
    "Dropout": (1, 3),
    "Squeeze": (1, 2),
    "Concat": (1, 2**31),
}
#: Operations that are looked into.
KNOWN = {
    *TAKEN,
    *DEFAULTS,
    *("Cast", "Exp", "Identity", "Neg", "Transpose", "ai.onnx.ml.Scaler", "ai.onnx.ml.ZipMap"),
}
#: Of which type attributes are, by ONNX's number of it.
KINDS = {
    **dict.fromkeys(("alpha", "beta", "gamma", "threshold", "value_float"), 1),
    **dict.fromkeys(("axis", "to", "transA", "transB", "allowzero", "keepdims", "select_last_index"), 2),
    **dict.fromkeys(("largest", "sorted", "value_int"), 2),
    "approximate": 3,
    "value": 4,
    **dict.fromkeys(("scale", "offset", "value_floats"), 6),
    **dict.fromkeys(("axes", "perm", "value_ints", "classlabels_int64s"), 7),
    **dict.fromkeys(("classlabels_strings", "value_strings"), 8),
}
#: Operations whose two values may change places.
COMMUTATIVE = ("Add", "Mul", "Max", "Min")
#: How far constants may be from those of a law: they are written in float32, with more digits or less.
TOLERANCE = 1e-6


@dataclass(eq=False)
class Term:
    """A value of a graph: an operation on other values.

    Parameters
    ----------
    op : str
        The operator, with its domain if it is another than ONNX's own; "input", "constant", or "hole", which stands for
        any term in a form.
    args : tuple of Term
    attributes : dict
    label : str
        What a message calls it.
    tensor : TensorProto or array, optional
        Of a constant.
    folder : Path, optional
        Where data of the constant may lie.
    """

    op: str
    args: tuple[Term, ...] = ()
    attributes: dict[str, Any] = field(default_factory=dict)
    label: str = ""
    tensor: Any = None
    folder: Path | None = None

    def get(self, name: str) -> Any:
        """An attribute, or its default; None without one."""
        return self.attributes.get(name, DEFAULTS.get(self.op, {}).get(name))

    @property
    def is_constant(self) -> bool:
        return self.op == "constant"

    @property
    def array(self) -> npt.NDArray[Any]:
        """The values of a constant."""
        return self.tensor if isinstance(self.tensor, np.ndarray) else _array(self.tensor, self.folder, self.label)

    @property
    def number(self) -> float | None:
        """The only value of a constant; None if it has others, or is none."""
        if not self.is_constant:
            return None
        shape = self.tensor.shape if isinstance(self.tensor, np.ndarray) else self.tensor.dims
        if any(n != 1 for n in shape):
            return None
        array = self.array
        return float(array.item()) if array.dtype.kind in "fiub" else None


@dataclass
class Graph:
    """The inputs and outputs of a graph.

    Parameters
    ----------
    inputs, outputs : dict of str to Term
    shapes : dict of str to list, or None
        Of the inputs: numbers, or None where there is none; None where nothing is said.
    metadata : dict of str
    """

    inputs: dict[str, Term]
    outputs: dict[str, Term]
    shapes: dict[str, list[int | None] | None]
    metadata: dict[str, str]

    @classmethod
    def read(cls, source: Any) -> Self:
        """The graph of a file, of its bytes, or of a ModelProto; a ValueError where it is none."""
        model, folder = _model(source)
        graph, opsets = model.graph, {each.domain: each.version for each in model.opset_import}
        opset = opsets.get("", opsets.get("ai.onnx", 0))
        if opset < FIRST_OPSET:
            raise ValueError(f"the operators are of version {opset}, but {FIRST_OPSET} or a later one is wanted")
        functions = {(each.domain, each.name) for each in model.functions}
        known = {"": Term("nothing")}
        for tensor in graph.initializer:
            known[tensor.name] = Term("constant", label=f"initializer {tensor.name!r}", tensor=tensor, folder=folder)
        inputs, shapes = {}, {}
        for value in graph.input:
            if value.name not in known:
                known[value.name] = inputs[value.name] = Term("input", label=f"input {value.name!r}")
                shapes[value.name] = _shape(value)
        for node in graph.node:
            missing = [name for name in node.input if name not in known]
            if missing:
                raise ValueError(f"{_label(node)} takes {missing[0]!r}, which nothing before it gives")
            args = tuple(known[name] for name in node.input)
            term = _term(node, args, opset, (node.domain, node.op_type) in functions, folder)
            for i, name in enumerate(node.output):
                known[name] = term if i == 0 else Term(f"{term.op} (output {i + 1})", label=term.label)
        missing = [value.name for value in graph.output if value.name not in known]
        if missing or not graph.output:
            raise ValueError(
                f"the graph has no value {missing[0]!r}, its output" if missing else "the graph has no output"
            )
        outputs = {value.name: known[value.name] for value in graph.output}
        return cls(inputs, outputs, shapes, {each.key: each.value for each in model.metadata_props})


def match(form: Term, term: Term) -> Term | None:
    """What stands for the hole, where a term is of a form; or None."""
    known: dict[Any, list[Term | None]] = {}

    def holes(form: Term, term: Term, hole: Term | None) -> list[Term | None]:
        """All that may stand for the hole, which may be known by now; none, if the term is of another form."""
        if form.op == "hole":
            return [term] if hole is None or hole is term else []
        key = id(form), id(term), id(hole)
        if key not in known:
            known[key] = found(form, term, hole) if _is_alike(form, term) else []
        return known[key]

    def found(form: Term, term: Term, hole: Term | None) -> list[Term | None]:
        orders = [term.args]
        if form.op in COMMUTATIVE and len(term.args) == 2 and term.args[0] is not term.args[1]:
            orders.append(term.args[::-1])
        together: dict[int, Term | None] = {}
        for args in orders:
            so_far = [hole]
            for part, arg in zip(form.args, args, strict=True):
                so_far = [after for before in so_far for after in holes(part, arg, before)]
            together |= {id(each): each for each in so_far}
        return list(together.values())

    return next(iter(holes(form, term, None)), None)


def _is_alike(form: Term, term: Term) -> bool:
    """Whether two terms are the same, but for what they are computed from."""
    if form.is_constant:
        number, wanted = term.number, form.number
        return number is not None and wanted is not None and math.isclose(number, wanted, rel_tol=TOLERANCE)
    return (
        form.op == term.op
        and len(form.args) == len(term.args)
        and all(_is_same(value, term.get(name)) for name, value in form.attributes.items())
    )


def _is_same(value: Any, other: Any) -> bool:
    if isinstance(value, float):
        return isinstance(other, float) and math.isclose(value, other, rel_tol=TOLERANCE)
    return bool(value == other)


def _model(source: Any) -> tuple[ModelProto, Path | None]:
    """The model, and the folder that it came from."""
    try:
        from google.protobuf.message import DecodeError
        from onnx import ModelProto
    except ImportError as error:
        raise ImportError('onnx is not installed: pip install "fastnn-mlp[onnx]"') from error

    if isinstance(source, ModelProto):
        return source, None
    name, folder = "this", None
    if isinstance(source, str | os.PathLike):
        name, folder = os.fspath(source), Path(source).resolve().parent
        source = Path(source).read_bytes()
    if not isinstance(source, bytes | bytearray | memoryview):
        raise TypeError(f"got a {type(source).__name__}, but a path, bytes or a ModelProto is wanted")
    model = ModelProto()
    try:
        model.ParseFromString(bytes(source))
    except DecodeError as error:
        raise ValueError(f"{name} is no ONNX model: {error}") from None
    if not model.HasField("graph"):
        raise ValueError(f"{name} is no ONNX model: it has no graph")
    return model, folder


def _label(node: NodeProto) -> str:
    return f"node {node.name or (node.output or ['without output'])[0]!r} ({node.op_type})"


def _shape(value: Any) -> list[int | None] | None:
    kind = value.type.tensor_type
    if not kind.HasField("shape"):
        return None
    return [dim.dim_value if dim.HasField("dim_value") else None for dim in kind.shape.dim]


def _term(node: NodeProto, args: tuple[Term, ...], opset: int, is_function: bool, folder: Path | None) -> Term:
    """What a node computes; where that is nothing, what it is given."""
    from onnx.helper import get_attribute_value

    label = _label(node)
    domain = "" if node.domain in ("", "ai.onnx") else f"{node.domain}."
    op = f"{domain}{node.op_type}" if not is_function else f"function {node.op_type}"
    attributes = {}
    for attribute in node.attribute:
        if attribute.ref_attr_name:
            raise ValueError(f"{label} takes an attribute from outside of the graph")
        value: Any = get_attribute_value(attribute)
        attributes[attribute.name] = value.decode(errors="replace") if isinstance(value, bytes) else value
        if op in KNOWN and attribute.type != KINDS.get(attribute.name, attribute.type):
            raise ValueError(f"{label} has an attribute {attribute.name} of another type than such nodes have")
    least, most = TAKEN.get(op, (1, 1) if op in KNOWN else (0, len(args)))
    if not least <= len(args) <= most:
        raise ValueError(f"{label} takes {len(args)} values, but such nodes take {least}")
    if op == "Constant":
        (name, value), *others = [*attributes.items()] or [("nothing", None)]
        if others or name not in KINDS:
            raise ValueError(f"{label} is given by {', '.join(attributes) or name}, which is not known")
        if name == "value":
            return Term("constant", label=label, tensor=value, folder=folder)
        dtype = {"value_float": np.float32, "value_floats": np.float32, "value_strings": object}.get(name, np.int64)
        values = [text.decode() for text in value] if name == "value_strings" else value
        return Term("constant", label=label, tensor=np.array(values, dtype))
    does_nothing = (
        op == "Identity"
        or (op == "Cast" and attributes.get("to") in FLOATS)
        or (op == "Dropout" and (len(args) < 3 or args[2].op == "nothing" or args[2].number == 0))
    )
    if does_nothing:
        return args[0]
    if op == "Transpose" and args[0].is_constant and attributes.get("perm", [1, 0]) == [1, 0]:
        array = args[0].array
        if array.ndim == 2:
            return Term("constant", label=label, tensor=np.ascontiguousarray(array.T))
    if op in ("Softmax", "LogSoftmax") and opset < 13:
        # Until then it was of all that comes from that axis on; of a matrix the same, if it is the last.
        attributes.setdefault("axis", 1)
    return Term(op, args, attributes, label)


def _array(tensor: TensorProto, folder: Path | None, label: str) -> npt.NDArray[Any]:
    """The values of a tensor, whose size is what it says."""
    if tensor.data_type not in KEPT:
        from onnx import TensorProto

        known = TensorProto.DataType.values()
        kind = TensorProto.DataType.Name(tensor.data_type) if tensor.data_type in known else tensor.data_type
        raise ValueError(f"{label} is of type {kind}, which is not known: FLOAT or DOUBLE is wanted")
    name, dtype = KEPT[tensor.data_type]
    shape = tuple(tensor.dims)
    if any(n < 0 for n in shape):
        raise ValueError(f"{label} has shape {shape}")
    n = math.prod(shape)
    if tensor.data_location == tensor.EXTERNAL:
        raw = _external(tensor, folder, n * dtype.itemsize, label)
    elif tensor.HasField("raw_data"):
        raw = tensor.raw_data
    else:
        values = getattr(tensor, name)
        if len(values) != n:
            raise ValueError(f"{label} has shape {shape}, but {len(values)} values")
        if dtype.kind == "O":
            values = [text.decode() for text in values]
        return np.array(values, dtype).reshape(shape)
    if dtype.kind == "O" or len(raw) != n * dtype.itemsize:
        raise ValueError(f"{label} has shape {shape}, but {len(raw)} bytes")
    return np.frombuffer(raw, dtype).reshape(shape)


def _external(tensor: TensorProto, folder: Path | None, n_bytes: int, label: str) -> bytes:
    """What lies in another file of the same folder, if it has that size."""
    told = {each.key: each.value for each in tensor.external_data}
    location = told.get("location", "")
    if folder is None:
        raise ValueError(f"{label} lies in another file, {location!r}: from_onnx finds it where it is given the path")
    path = Path(os.path.normpath(folder / location))
    if not location or folder not in path.parents or path.resolve() != path:
        raise ValueError(f"{label} lies in {location!r}, which is no file in the folder of the model")
    if not path.is_file():
        raise ValueError(f"{label} lies in {location!r}, which is not there")
    try:
        offset, length = int(told.get("offset", 0)), int(told.get("length", n_bytes))
    except ValueError:
        raise ValueError(f"{label} lies at no place of {location!r}") from None
    size = path.stat().st_size
    if offset < 0 or length != n_bytes or offset + length > size:
        raise ValueError(
            f"{label} needs {n_bytes} bytes, but {length} at {offset} of {location!r}, which has {size}, are told"
        )
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(length)
