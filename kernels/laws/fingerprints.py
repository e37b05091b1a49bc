"""What tells a law from others, the user's own as well: a hash of all that a function does."""

import hashlib
import os
import sys
from types import BuiltinFunctionType, FunctionType, ModuleType

import numpy as np

from fastnn.kernels.machine.cache import contents

#: Packages whose functions are what their names say.
LIBRARIES = {"builtins", "math", "numpy", "scipy", "numba", "operator"}


def _is_of_library(module):
    """Whether a module is one of these packages, or lies in its folder."""
    library = sys.modules.get(module.__name__.partition(".")[0])
    if getattr(library, "__name__", "") not in LIBRARIES:
        return False
    folder, file = os.path.dirname(getattr(library, "__file__", "") or ""), getattr(module, "__file__", "") or ""
    return module is library or bool(folder and file.startswith(folder + os.sep))


def identity_of(function):
    """What tells a law from others: its place in our tables, or the hash of all that it does."""
    if getattr(function, "__module__", "") is not None and getattr(function, "__module__", "").startswith(__package__):
        return function
    return fingerprint(function)


def fingerprint(function):
    """A hash of all that a function does: its code, and the constants and functions that it refers to.

    Raises a ValueError where it refers to what has no such description.
    """
    digest, seen = hashlib.sha256(), set()

    def add_attributes(module, names):
        digest.update(module.__name__.encode())
        if not _is_of_library(module):
            for name in names:
                if hasattr(module, name):
                    digest.update(name.encode())
                    add(getattr(module, name), names)

    def add(value, names=()):
        value = getattr(value, "py_func", value)
        if isinstance(value, FunctionType):
            if value in seen:
                return
            seen.add(value)
            code = value.__code__
            digest.update(repr(contents(code)).encode())
            for name in code.co_names:
                if name in value.__globals__:
                    digest.update(name.encode())
                    add(value.__globals__[name], code.co_names)
            for cell in value.__closure__ or ():
                add(cell.cell_contents, code.co_names)
            for default in value.__defaults__ or ():
                add(default)
        elif isinstance(value, ModuleType):
            add_attributes(value, names)
        elif isinstance(value, tuple):
            digest.update(f"tuple {len(value)} {getattr(value, '_fields', '')}".encode())
            for each in value:
                add(each, names)
        elif isinstance(value, (int, float, str, np.generic, type(None))):
            digest.update(f"{type(value)} {value!r}".encode())
        elif isinstance(value, (BuiltinFunctionType, np.ufunc)) or (
            isinstance(value, type) and value.__module__ in ("builtins", "numpy")  # others have attributes
        ):
            digest.update(repr(value).encode())
        else:
            raise ValueError(f"nothing tells what a {type(value).__name__} is to a law")

    add(function)
    return digest.hexdigest()[:16]
