"""What a law computes, as an expression of elementary operations: written once, as Python, it can be written elsewhere.

A law is a plain function of numbers (see `kernels.laws`, and `fastnn.activation` for a user's own).  It is called with
a symbol in place of a number, once for each way that its branches may take; what they come to is joined by "where".
"""

from __future__ import annotations

import builtins
import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from types import BuiltinFunctionType, CellType, FunctionType, ModuleType
from typing import Any, TypeAlias

import numpy as np

#: How many ways through its branches a law may have.
MOST_WAYS = 256


class LawError(ValueError):
    """A law that is no expression of elementary operations."""


class BranchError(TypeError):
    """A branch that depends on a number, where none is expected."""


@dataclass(frozen=True, eq=False)
class Symbol:
    """An operation on symbols, or one of the leaves: "arg" (the name of an argument), "const" (a float).

    Within a law, == is a branch, as < is; elsewhere, it says whether two expressions are the same.

    Parameters
    ----------
    op : str
        One of `OPERATIONS`, "arg" or "const".
    args : tuple
        Symbols; of a leaf, its name or its value.
    """

    op: str
    args: tuple[Any, ...]

    def __add__(self, other: Number) -> Symbol:
        return _apply("add", self, other)

    def __radd__(self, other: Number) -> Symbol:
        return _apply("add", other, self)

    def __sub__(self, other: Number) -> Symbol:
        return _apply("sub", self, other)

    def __rsub__(self, other: Number) -> Symbol:
        return _apply("sub", other, self)

    def __mul__(self, other: Number) -> Symbol:
        return _apply("mul", self, other)

    def __rmul__(self, other: Number) -> Symbol:
        return _apply("mul", other, self)

    def __truediv__(self, other: Number) -> Symbol:
        return _apply("div", self, other)

    def __rtruediv__(self, other: Number) -> Symbol:
        return _apply("div", other, self)

    def __pow__(self, other: Number) -> Symbol:
        if isinstance(other, int) and 0 < other <= 16:
            power: Symbol = self
            for _ in range(other - 1):
                power = power * self
            return power
        return _apply("pow", self, other)

    def __rpow__(self, other: Number) -> Symbol:
        return _apply("pow", other, self)

    def __neg__(self) -> Symbol:
        return _apply("neg", self)

    def __pos__(self) -> Symbol:
        return self

    def __abs__(self) -> Symbol:
        return _apply("abs", self)

    def __lt__(self, other: Number) -> Symbol:
        return _apply("lt", self, other)

    def __le__(self, other: Number) -> Symbol:
        return _apply("le", self, other)

    def __gt__(self, other: Number) -> Symbol:
        return _apply("lt", other, self)

    def __ge__(self, other: Number) -> Symbol:
        return _apply("le", other, self)

    def __eq__(self, other: object) -> bool:
        if _ways and isinstance(other, Symbol | float | int):
            return bool(self <= other) and bool(self >= other)
        return isinstance(other, Symbol) and _are_the_same(self, other)

    def __hash__(self) -> int:
        return hash((self.op, self.args))

    def __bool__(self) -> bool:
        if not _ways:
            raise BranchError("a symbol is neither true nor false")
        return _ways[-1].choose(self)

    def __float__(self) -> float:
        raise BranchError("a symbol is no number")


Number: TypeAlias = Symbol | float | int
#: What an expression consists of: the operation, and how many symbols it takes.  "where" takes a condition, which is
#: one of "lt" and "le", and the values where it is true and where it is not.
OPERATIONS = {
    "add": 2,
    "sub": 2,
    "mul": 2,
    "div": 2,
    "pow": 2,
    "min": 2,
    "max": 2,
    "lt": 2,
    "le": 2,
    "where": 3,
    "neg": 1,
    "abs": 1,
    "exp": 1,
    "log": 1,
    "sqrt": 1,
    "tanh": 1,
    "sin": 1,
    "cos": 1,
    "atan": 1,
    "erf": 1,
}
_OF_NUMBERS: dict[str, Callable[..., float]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "pow": operator.pow,
    "min": min,
    "max": max,
    "neg": operator.neg,
    "abs": abs,
    **{name: getattr(math, name) for name in ("exp", "log", "sqrt", "tanh", "sin", "cos", "atan", "erf")},
}


def _are_the_same(a: Any, b: Any) -> bool:
    """Whether two symbols, or what leaves hold, are the same."""
    if not (isinstance(a, Symbol) and isinstance(b, Symbol)):
        return type(a) is type(b) and bool(a == b)
    return a is b or (a.op == b.op and all(map(_are_the_same, a.args, b.args)))


def constant(value: float) -> Symbol:
    """A number as a symbol."""
    return Symbol("const", (float(value),))


def symbol(value: Any) -> Symbol:
    """A number or a symbol as a symbol."""
    return value if isinstance(value, Symbol) else constant(value)


def _apply(op: str, *args: Number) -> Symbol:
    symbols = tuple(map(symbol, args))
    if op in _OF_NUMBERS and all(arg.op == "const" for arg in symbols):
        return constant(_OF_NUMBERS[op](*(arg.args[0] for arg in symbols)))
    return Symbol(op, symbols)


def _function(op: str, of_numbers: Callable[..., Any]) -> Callable[..., Any]:
    def apply(*args: Any) -> Any:
        if not any(isinstance(arg, Symbol) for arg in args):
            return of_numbers(*args)
        if len(args) != OPERATIONS[op]:
            raise TypeError(f"{op} of {len(args)} numbers, but {OPERATIONS[op]} are wanted")
        return _apply(op, *args)

    return apply


def _composed(of_numbers: Callable[..., Any], of_symbols: Callable[[Any], Any]) -> Callable[..., Any]:
    return lambda x: of_symbols(x) if isinstance(x, Symbol) else of_numbers(x)


def _tan(x: Any) -> Any:
    return _apply("div", _apply("sin", x), _apply("cos", x))


def _sinh(x: Any) -> Any:
    e = _apply("exp", x)
    return (e - 1 / e) / 2


def _cosh(x: Any) -> Any:
    e = _apply("exp", abs(x))
    return (e + 1 / e) / 2


def _expm1(x: Any) -> Any:
    """2 t / (1 - t) with t = tanh(x / 2), where that is not near 1: of small x nothing is lost."""
    t = _apply("tanh", _apply("min", x, 1.0) / 2)
    return _apply("where", x < 1, 2 * t / (1 - t), _apply("exp", x) - 1)


def _log1p(x: Any) -> Any:
    """log w * x / (w - 1) with w = 1 + x (Kahan's way)."""
    w = 1 + x
    is_small = _apply("le", abs(w - 1), 0.0)
    return _apply("where", is_small, x, _apply("log", w) * (x / _apply("where", is_small, 1.0, w - 1)))


def _both(*names: str) -> list[Any]:
    return [getattr(module, name) for module in (math, np) for name in names if hasattr(module, name)]


#: What becomes of the functions that a law calls.
_FUNCTIONS: dict[Any, Callable[..., Any]] = {
    **{f: _function(op, f) for op in ("exp", "log", "sqrt", "tanh", "sin", "cos", "erf") for f in _both(op)},
    **{f: _function("atan", f) for f in _both("atan", "arctan")},
    **{f: _function("abs", f) for f in (abs, *_both("fabs"), np.abs)},
    **{f: _function("min", f) for f in (min, np.minimum)},
    **{f: _function("max", f) for f in (max, np.maximum)},
    **{f: _function("pow", f) for f in (pow, *_both("pow"), np.power)},
    **{f: _composed(f, of) for name, of in (("tan", _tan), ("sinh", _sinh), ("cosh", _cosh)) for f in _both(name)},
    **{f: _composed(f, of) for name, of in (("expm1", _expm1), ("log1p", _log1p)) for f in _both(name)},
    float: lambda x: x if isinstance(x, Symbol) else float(x),
}


class _Way:
    """One way through the branches of a law: the conditions that it met, and what was chosen for each."""

    def __init__(self, chosen: list[bool]) -> None:
        self.chosen, self.met = chosen, list[Symbol]()

    def choose(self, condition: Symbol) -> bool:
        for met, chosen in zip(self.met, self.chosen, strict=False):
            if _are_the_same(met, condition):
                return chosen
        self.met.append(condition)
        if len(self.met) > len(self.chosen):
            self.chosen.append(True)
        return self.chosen[len(self.met) - 1]


_ways: list[_Way] = []


class _Module:
    """A module, as a law sees it."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return _as_seen(getattr(self._module, name))


def _as_seen(value: Any) -> Any:
    """What a law refers to, such that it takes symbols."""
    value = getattr(value, "py_func", value)
    if isinstance(value, ModuleType):
        return _Module(value)
    if isinstance(value, FunctionType):
        return _of_symbols(value)
    if isinstance(value, BuiltinFunctionType | np.ufunc | type):
        return _FUNCTIONS.get(value, value)
    return value


@cache
def _of_symbols(function: FunctionType) -> FunctionType:
    names = {name: _as_seen(value) for name, value in vars(builtins).items() if name in ("abs", "min", "max", "float")}
    cells = tuple(CellType(_as_seen(cell.cell_contents)) for cell in function.__closure__ or ()) or None
    copy = FunctionType(function.__code__, names, function.__name__, function.__defaults__, cells)
    copy.__kwdefaults__ = function.__kwdefaults__
    names["__builtins__"] = builtins
    for name, value in function.__globals__.items():
        if name in function.__code__.co_names:
            names[name] = copy if value is function else _as_seen(value)
    return copy


def expression(function: Callable[..., Any], *constants: float, args: tuple[str, ...] = ("z",)) -> Symbol:
    """What a function of numbers computes.

    Parameters
    ----------
    function : callable
        A law: plain Python, which may branch.
    *constants : float
        What it takes besides.
    args : tuple of str, default ("z",)
        The names of its numbers, in the leaves.

    Returns
    -------
    Symbol

    Raises
    ------
    LawError
        Where it does what is no elementary operation, or has too many branches.

    Examples
    --------
    >>> from fastnn.export.expressions import expression
    >>> expression(lambda z: z if z > 0 else 0.01 * z).op
    'where'
    """
    seen, name = _as_seen(function), getattr(function, "__name__", "the law")
    symbols = [Symbol("arg", (arg,)) for arg in args]

    def paths(chosen: list[bool]) -> Symbol:
        if len(chosen) > 16:
            raise LawError(f"{name} has too many branches")
        way = _Way(list(chosen))
        _ways.append(way)
        try:
            value = symbol(seen(*symbols, *constants))
        except LawError:
            raise
        except RecursionError as error:  # as where a loop goes on for as long as z is large
            raise LawError(f"{name} has too many branches, or calls itself without end") from error
        except Exception as error:
            raise LawError(f"{name} is no expression of elementary operations: {error}") from error
        finally:
            _ways.pop()
        count[0] += 1
        if count[0] > MOST_WAYS:
            raise LawError(f"{name} has more than {MOST_WAYS} ways through its branches")
        # The first condition that was not decided before: join what it comes to either way.
        for place in range(len(way.met) - 1, len(chosen) - 1, -1):
            other = paths([*way.chosen[:place], False])
            value = value if value == other else Symbol("where", (way.met[place], value, other))
        return value

    count = [0]
    return paths([])


def evaluate(expression: Symbol, **values: Any) -> Any:
    """The expression in NumPy, for arrays or numbers: what it is written for, to be held against.

    Parameters
    ----------
    expression : Symbol
    **values : array-like
        Of the arguments, by their names.

    Returns
    -------
    array
        In the dtype of the values.
    """
    from scipy.special import erf

    functions: dict[str, Callable[..., Any]] = {
        **_OF_NUMBERS,
        "min": np.minimum,
        "max": np.maximum,
        "abs": np.abs,
        "lt": operator.lt,
        "le": operator.le,
        "where": np.where,
        **{name: getattr(np, name) for name in ("exp", "log", "sqrt", "tanh", "sin", "cos")},
        "atan": np.arctan,
        "erf": erf,
    }
    known: dict[int, Any] = {}

    def value(symbol: Symbol) -> Any:
        if symbol.op == "arg":
            return values[symbol.args[0]]
        if symbol.op == "const":
            return next((np.asarray(value).dtype.type for value in values.values()), float)(symbol.args[0])
        if id(symbol) not in known:
            known[id(symbol)] = functions[symbol.op](*map(value, symbol.args))
        return known[id(symbol)]

    with np.errstate(all="ignore"):
        return value(expression)
