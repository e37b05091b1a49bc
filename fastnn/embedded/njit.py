"""What Numba knows of a `CompiledNetwork`: its type, and `predict_one` and its kin in a user's own `@njit` functions.

Imported when Numba meets a network for the first time: who calls them from Python needs no Numba.
"""

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import typeof, types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.core.imputils import lower_constant
from numba.extending import (
    NativeValue,
    box,
    models,
    overload,
    overload_attribute,
    register_model,
    typeof_impl,
    unbox,
)

from fastnn.embedded import (
    ABI,
    TOO_WIDE,
    WRONG_BATCH,
    WRONG_CLASS,
    WRONG_JACOBIAN,
    WRONG_OUT,
    WRONG_ROWS,
    WRONG_X,
    WRONG_Y,
    CompiledNetwork,
    _network_at,
    input_gradient,
    predict_batch,
    predict_one,
    train_step,
)
from fastnn.kernels.embedded import as_block, as_blocks, on_stack, word
from fastnn.kernels.layouts import embedded as kernels
from fastnn.kernels.machine.jit import call


class NetworkType(types.Type):
    """A `CompiledNetwork` of one dtype; what is kept of a user's function names this class, which stays here."""

    def __init__(self, dtype: types.Type, abi: int) -> None:
        self.dtype = dtype
        super().__init__(name=f"fastnn.CompiledNetwork({dtype}, {abi})")


NetworkType.__module__ = "fastnn.embedded"  # where what is kept of users' functions looks for it


@register_model(NetworkType)
class _NetworkModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: NetworkType) -> None:
        super().__init__(dmm, fe_type, dmm.lookup(types.int64).get_value_type())


@cache
def type_of(dtype: npt.DTypeLike) -> NetworkType:
    """The type of a network: one for each dtype, because Numba asks in every call, and to make one takes 6 us."""
    return NetworkType(types.float32 if dtype == np.float32 else types.float64, ABI)


@typeof_impl.register(CompiledNetwork)
def _typeof(network: CompiledNetwork, context: Any) -> NetworkType:
    return type_of(network.dtype)


@unbox(NetworkType)
def _unbox(kind: NetworkType, network: Any, c: Any) -> NativeValue:
    address = c.pyapi.object_getattr_string(network, "_address")
    value = c.pyapi.long_as_longlong(address)
    c.pyapi.decref(address)
    return NativeValue(value, is_error=cgutils.is_not_null(c.builder, c.pyapi.err_occurred()))


@box(NetworkType)
def _box(kind: NetworkType, address: Any, c: Any) -> Any:
    find, number = c.pyapi.unserialize(c.pyapi.serialize_object(_network_at)), c.pyapi.long_from_longlong(address)
    network = c.pyapi.call_function_objargs(find, [number])
    c.pyapi.decref(find)
    c.pyapi.decref(number)
    return network


#: Networks that compiled functions refer to as globals: their addresses are in the machine code.
_pinned: list[CompiledNetwork] = []


@lower_constant(NetworkType)
def _constant(context: Any, builder: Any, kind: NetworkType, network: CompiledNetwork) -> Any:
    _pinned.append(network)
    address = context.add_dynamic_addr(builder, network._address, info="a fastnn network")  # so it is not cached
    return builder.ptrtoint(address, context.get_value_type(types.int64))


@overload_attribute(NetworkType, "n_features")
def _n_features(net):  # type: ignore[no-untyped-def]
    return lambda net: word(net, kernels.N_FEATURES)


@overload_attribute(NetworkType, "n_outputs")
def _n_outputs(net):  # type: ignore[no-untyped-def]
    return lambda net: word(net, kernels.N_OUTPUTS)


@overload_attribute(NetworkType, "n_targets")
def _n_targets(net):  # type: ignore[no-untyped-def]
    return lambda net: word(net, kernels.N_TARGETS)


@overload_attribute(NetworkType, "batch_size")
def _batch_size(net):  # type: ignore[no-untyped-def]
    return lambda net: word(net, kernels.MOST_ROWS)


def _check_types(name: str, network: Any, read: dict[str, Any], written: dict[str, Any]) -> None:
    """Raise a TypingError, which a user reads when his function is compiled, unless these are types of such arrays."""
    if not isinstance(network, NetworkType):
        raise TypingError(f"{name} takes a network, as model.jit() makes it, first, got {network}")
    for argument, (kind, dimensions) in {**read, **written}.items():
        wanted = f"a C-contiguous array of {network.dtype} with {' or '.join(map(str, dimensions))} dimensions"
        if not isinstance(kind, types.Array) or kind.ndim not in dimensions:
            raise TypingError(f"{name} takes {wanted} for {argument}, got {kind}")
        if kind.dtype != network.dtype:
            advice = f": model.jit(dtype={str(kind.dtype)!r}) makes a network for it"
            is_one_of_two = kind.dtype in (types.float32, types.float64)
            raise TypingError(f"{name} takes {wanted} for {argument}, got {kind}{advice if is_one_of_two else ''}")
        if kind.layout != "C":
            advice = ": np.ascontiguousarray makes one" if argument in read else ""
            raise TypingError(f"{name} takes {wanted} for {argument}, got {kind}{advice}")
        if argument in written and not kind.mutable:
            raise TypingError(f"{name} writes to {argument}, but it is read-only")


def check_value(
    name: str, network: CompiledNetwork, argument: str, value: Any, dimensions: tuple[int, ...], is_read: bool
) -> None:
    """Raise a TypeError for an argument from Python that a user's compiled function would not take either."""
    try:
        kind = typeof(value)
    except (ValueError, TypingError):  # what Numba does not know
        kind = f"an array of {value.dtype}" if isinstance(value, np.ndarray) else type(value).__name__
    wanted = {argument: (kind, dimensions)}
    try:
        _check_types(name, type_of(network.dtype), wanted if is_read else {}, {} if is_read else wanted)
    except TypingError as error:
        raise TypeError(str(error)) from None


@overload(predict_one, strict=False)
def _predict_one(net: Any, x: Any, out: Any) -> Any:
    _check_types("predict_one", net, {"x": (x, (1,))}, {"out": (out, (1,))})

    def implementation(net, x, out):  # type: ignore[no-untyped-def]
        if x.size != word(net, kernels.N_FEATURES):
            raise ValueError(WRONG_X, x.size, word(net, kernels.N_FEATURES))
        if out.size != word(net, kernels.N_OUTPUTS):
            raise ValueError(WRONG_OUT, out.size, word(net, kernels.N_OUTPUTS))
        call(word(net, kernels.PREDICT), word(net, kernels.NETWORK), as_block(x), as_block(out))

    return implementation


@overload(predict_batch, strict=False)
def _predict_batch(net: Any, X: Any, out: Any) -> Any:
    _check_types("predict_batch", net, {"X": (X, (2,))}, {"out": (out, (2,))})

    def implementation(net, X, out):  # type: ignore[no-untyped-def]
        if X.shape[1] != word(net, kernels.N_FEATURES):
            raise ValueError(WRONG_X, X.shape[1], word(net, kernels.N_FEATURES))
        if out.shape[1] != word(net, kernels.N_OUTPUTS):
            raise ValueError(WRONG_OUT, out.shape[1], word(net, kernels.N_OUTPUTS))
        if out.shape[0] != X.shape[0]:
            raise ValueError(WRONG_ROWS, X.shape[0], out.shape[0])
        call(word(net, kernels.PREDICT), word(net, kernels.NETWORK), as_block(X), as_block(out))

    return implementation


@overload(input_gradient, strict=False)
def _input_gradient(net: Any, x: Any, out: Any) -> Any:
    _check_types("input_gradient", net, {"x": (x, (1,))}, {"out": (out, (1, 2))})
    is_one = out.ndim == 1

    def implementation(net, x, out):  # type: ignore[no-untyped-def]
        n_outputs = word(net, kernels.N_OUTPUTS)
        n_rows = 1 if is_one and word(net, kernels.N_NUMBERS) == 1 else n_outputs
        if x.size != word(net, kernels.N_FEATURES):
            raise ValueError(WRONG_X, x.size, word(net, kernels.N_FEATURES))
        if out.shape[-1] != x.size or out.size != n_rows * x.size:
            raise ValueError(WRONG_JACOBIAN, out.size, n_rows * x.size)
        code, network = word(net, kernels.GRADIENT), word(net, kernels.NETWORK)
        if code == 0:
            raise ValueError(TOO_WIDE)
        call(code, network, as_block(x), n_outputs - n_rows, False, as_blocks(out))

    return implementation


@overload(train_step, strict=False)
def _train_step(net: Any, X: Any, Y: Any) -> Any:
    _check_types("train_step", net, {"X": (X, (1, 2)), "Y": (Y, (1, 2))}, {})
    zero = np.dtype(str(net.dtype)).type(0)

    def implementation(net, X, Y):  # type: ignore[no-untyped-def]
        read, target, n_classes = as_block(X), as_block(Y), word(net, kernels.N_CLASSES)
        if read.shape[0] < 1 or read.shape[0] > word(net, kernels.MOST_ROWS):
            raise ValueError(WRONG_BATCH, read.shape[0], word(net, kernels.MOST_ROWS))
        if read.shape[1] != word(net, kernels.N_FEATURES):
            raise ValueError(WRONG_X, read.shape[1], word(net, kernels.N_FEATURES))
        if target.shape[1] != word(net, kernels.N_TARGETS):
            raise ValueError(WRONG_Y, target.shape[1], word(net, kernels.N_TARGETS))
        if target.shape[0] != read.shape[0]:
            raise ValueError(WRONG_ROWS, read.shape[0], target.shape[0])
        if n_classes:
            for i in range(target.shape[0]):
                for k in range(target.shape[1]):
                    y = target[i, k]
                    if not (y >= 0 and y <= n_classes - 1 and (n_classes == 2 or y == np.floor(y))):
                        raise ValueError(WRONG_CLASS, y, n_classes)
        told = on_stack(zero, 1, 1)
        call(word(net, kernels.TRAIN), word(net, kernels.TRAINED), read, target, told)
        return told[0, 0]

    return implementation
