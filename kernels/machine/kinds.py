"""What values are to machine code: their kinds, in words that need no compiler, and how records lie in memory.

    "int64"  "float32"  "bool"          a number
    "float32[:,::1]"                    a C-contiguous array of so many dimensions; "const " before it: not written to
    "float32[:,:]"                      one of any strides
    (Class, kind, kind ...)             a NamedTuple, handed over field by field
    ("at", kind)                        the address of one

A kernel is compiled once for arguments of the same kinds.
"""

from collections.abc import Iterable
from functools import cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Kind: TypeAlias = str | tuple[Any, ...]


@cache
def array(dtype: str, n_dimensions: int, is_written: bool = True, is_contiguous: bool = True) -> str:
    """The kind of an array."""
    return f"{'' if is_written else 'const '}{dtype}[{':,' * (n_dimensions - 1)}{'::1' if is_contiguous else ':'}]"


def kind_of(value: Any) -> Kind:
    """The kind of a value."""
    if isinstance(value, np.ndarray):
        if not (value.flags.c_contiguous and value.flags.aligned):
            raise TypeError(f"kernels take C-contiguous arrays, got one of strides {value.strides}")
        return array(value.dtype.name, value.ndim, value.flags.writeable)
    if isinstance(value, tuple):
        return type(value), *map(kind_of, value)
    if isinstance(value, np.generic):
        return value.dtype.name
    return {bool: "bool", int: "int64", float: "float64"}[type(value)]


def text_of(kind: Kind) -> str:
    """A kind in words, which are the same in every process."""
    if isinstance(kind, str):
        return kind
    of, *fields = kind
    name = of if isinstance(of, str) else f"{of.__module__}.{of.__qualname__}"
    return f"{name}({', '.join(map(text_of, fields))})"


def in_memory(contents: tuple[Any, ...]) -> npt.NDArray[np.int64]:
    """A copy of a NamedTuple in words of memory, as LLVM lays it out, for many calls: see `records.kept`.

    Its arrays are kept alive by others.  (A kernel that takes it field by field would be seconds in compiling.)
    """
    parts, _ = _laid_out(contents)
    memory = np.zeros(-(-len(parts) // 8), np.int64)
    memory.view(np.uint8)[: len(parts)] = np.frombuffer(bytes(parts), np.uint8)
    return memory


def _laid_out(value: Any) -> tuple[bytearray, int]:
    """The bytes of a value, and what their address must be a multiple of."""
    if isinstance(value, tuple):
        parts, most = bytearray(), 1
        for each in value:
            part, multiple = _laid_out(each)
            parts += bytes(-len(parts) % multiple) + part
            most = max(most, multiple)
        return parts + bytes(-len(parts) % most), most
    if isinstance(value, np.ndarray):  # meminfo and parent, which nobody looks at; and what it is
        words: Iterable[int] = (0, 0, value.size, value.itemsize, value.ctypes.data, *value.shape, *value.strides)
        return bytearray(np.array(words, np.int64)), 8
    if isinstance(value, int) and not isinstance(value, bool):
        value = np.int64(value)
    scalar = np.asarray(value)
    return bytearray(scalar.tobytes()), scalar.itemsize
