"""Kernels of plain Python functions of numbers: what makes machine code of a law, the user's own as well.

Three things are changed before Numba finds out the types.  Constants take the kind of the arguments, or one of them
would make a float32 law a float64 one; whole numbers stay where they are exponents, indices or bounds.  Functions of
`math` and NumPy become ours, which LLVM turns into vectors.  And plain functions that a law calls are translated as
well.
"""

import math
import operator
from functools import cache
from types import BuiltinFunctionType, FunctionType, ModuleType

import numpy as np
from numba import types
from numba.core import ir
from numba.core.compiler_machinery import FunctionPass, register_pass
from numba.core.errors import NumbaError, TypingError
from numba.core.registry import CPUDispatcher
from numba.core.untyped_passes import IRProcessing
from numba.extending import overload

from fastnn.kernels.laws import elementary, losses
from fastnn.kernels.laws.fingerprints import identity_of
from fastnn.kernels.machine import simd
from fastnn.kernels.machine.jit import _FragmentCompiler, _inner

#: What becomes of functions that a law calls; those of vectors, beside.
OURS = {
    math.exp: elementary.exp,
    np.exp: elementary.exp,
    math.log: elementary.log,
    np.log: elementary.log,
    math.tanh: elementary.tanh,
    np.tanh: elementary.tanh,
}
OURS_OF_VECTORS = {math.sqrt: simd.sqrt, np.sqrt: simd.sqrt}


@overload(losses.eps)
def _eps(x):
    number = np.float32 if x == types.float32 else np.float64
    smallest = number(np.finfo(number).eps)
    return lambda x: smallest


def _translated(value, kind, stays_whole=False):
    """What a constant, a function or another value that a law refers to is in a kernel for arguments of this type."""
    number = np.float32 if getattr(kind, "dtype", kind) == types.float32 else np.float64
    if type(value) is int and stays_whole:
        return value
    if type(value) in (int, float) or isinstance(value, np.floating):
        return number(value)
    if type(value) is tuple:
        return tuple(number(each) if isinstance(each, (float, np.floating)) else each for each in value)
    if isinstance(kind, simd.VectorType) and value in OURS_OF_VECTORS:
        return OURS_OF_VECTORS[value]
    if isinstance(value, (BuiltinFunctionType, np.ufunc)):
        return OURS.get(value, value)
    if (isinstance(value, FunctionType) and value is not losses.eps) or type(value) is CPUDispatcher:
        return kernel_of(value)
    return value


def _whole_numbers(expressions, ranges):
    """The names of the variables that are exponents, indices or bounds of `range`."""
    names = set()
    for expression in expressions:
        if expression.op in ("binop", "inplace_binop") and expression.fn in (operator.pow, operator.ipow):
            names.add(expression.rhs.name)
        elif expression.op == "getitem":
            names.add(expression.index.name)
        elif expression.op == "call" and expression.func.name in ranges:
            names |= {arg.name for arg in expression.args}
    return names


@register_pass(mutates_CFG=False, analysis_only=False)
class _Translation(FunctionPass):
    _name = "translation_of_a_law"

    def __init__(self):
        FunctionPass.__init__(self)

    def run_pass(self, state):
        kind = state.args[0]
        if any(isinstance(statement, ir.Raise) for block in state.func_ir.blocks.values() for statement in block.body):
            raise TypingError("it may raise an exception, which a kernel cannot")
        statements = [
            statement
            for block in state.func_ir.blocks.values()
            for statement in block.body
            if isinstance(statement, ir.Assign)
        ]
        whole = _whole_numbers(
            [statement.value for statement in statements if isinstance(statement.value, ir.Expr)],
            {
                statement.target.name
                for statement in statements
                if isinstance(statement.value, ir.Global) and statement.value.value is range
            },
        )
        modules = {}
        for statement in statements:
            value, target = statement.value, statement.target.name
            if isinstance(value, (ir.Const, ir.Global, ir.FreeVar)):
                if isinstance(value.value, ModuleType):
                    modules[target] = value.value
                value.value = _translated(value.value, kind, target in whole)
            elif isinstance(value, ir.Expr) and value.op == "getattr" and value.value.name in modules:
                found = getattr(modules[value.value.name], value.attr, None)
                if isinstance(found, ModuleType):
                    modules[target] = found
                elif (other := _translated(found, kind)) is not found:
                    statement.value = ir.Global(value.attr, other, value.loc)
        return True


class _LawCompiler(_FragmentCompiler):
    def define_pipelines(self):
        (passes,) = super().define_pipelines()
        passes.add_pass_after(_Translation, IRProcessing)
        passes.finalize()
        return [passes]


def kernel_of(function, n_args=None):
    """The kernel of a function of numbers: plain Python, compiled by Numba, or one of `math` or NumPy.

    It is called with so many arguments; where there are defaults for more, these are constants.
    """
    function = getattr(function, "py_func", function)
    try:
        return _kernel_of(function, n_args, identity_of(function))
    except ValueError:  # what it refers to has no description: it is taken as it is now
        return _make_kernel(function, n_args)


@cache
def _kernel_of(function, n_args, identity):
    return _make_kernel(function, n_args)


def _make_kernel(function, n_args):
    if isinstance(function, FunctionType) and (n_args is None or function.__code__.co_argcount == n_args):
        return _inner(_LawCompiler, forceinline=True)(function)
    constants = ()
    if isinstance(function, FunctionType):
        constants = (function.__defaults__ or ())[n_args - function.__code__.co_argcount :]
        function = FunctionType(function.__code__, function.__globals__, function.__name__, None, function.__closure__)

    def of_one(z):
        return function(z, *constants)

    def of_two(a, y):
        return function(a, y, *constants)

    return _inner(_LawCompiler, forceinline=True)(of_two if n_args == 2 else of_one)


def reason(error):
    """What Numba has against a law, in one line."""
    if not isinstance(error, NumbaError):
        return repr(error)
    lines = [line.strip() for line in str(error).splitlines()]
    lines = [line for line in lines if line and not line.startswith(("Failed in", "During", "File ", "- Resolution"))]
    return " ".join(lines[:2] if lines[0].endswith(":") else lines[:1])
