"""A user's own activations and losses, of scalar Python functions."""

from collections.abc import Callable
from functools import partial
from inspect import signature
from math import exp, isfinite
from types import BuiltinFunctionType, FunctionType
from typing import Any

import numpy as np

from fastnn.kernels.laws.activations import Activation, logistic
from fastnn.kernels.laws.losses import OUT_ACTIVATIONS, Loss

#: Where a slope is held against central differences: away from 0, 1 and -1, where laws have their kinks.
POINTS = (-3.1, -1.7, -0.6, 0.3, 0.8, 1.4, 2.9)
#: Half the distance of the two values of a central difference, and how far a slope may be from it.
STEP, TOLERANCE = 1e-5, 1e-4
#: Targets that suit the outputs, for the losses.
TARGETS = {"identity": (-1.2, 0.4, 2.5), "logistic": (0.0, 1.0), "softmax": (0.0, 1.0), "exp": (0.0, 1.0, 3.0)}


def activation(g: Callable[[float], float], dg: Callable[[float], float] | None = None) -> Activation:
    """An activation of your own, for `activation=` of the estimators: as fast as a built-in one.

    Parameters
    ----------
    g, dg : callable
        The value and the slope at z: Python functions of one number, which may branch, and call functions of Python's
        math, NumPy's functions of one number such as np.exp, and other functions like these.  They are compiled into
        the kernels, with the constants that they refer to at that time.  Where Python raises, as in an overflow, the
        kernels go on with infinity or NaN; a function that raises an exception of its own is refused.

    Returns
    -------
    Activation
        It can be pickled if the functions can be imported.

    Raises
    ------
    ValueError
        Where there is no slope, or it is not that of g at some points.

    Examples
    --------
    >>> import math
    >>> import fastnn
    >>> softsign = fastnn.activation(lambda z: z / (1 + abs(z)), lambda z: 1 / (1 + abs(z)) ** 2)
    >>> fastnn.activation(math.sin, math.sin)
    Traceback (most recent call last):
    ...
    ValueError: dg is not the slope of g: at z = -3.1 it is -0.0415807, but g changes by -0.999135 for each unit of z
    """
    _check_functions(1, g=g, dg=dg)
    for z in POINTS:
        difference = _difference(partial(_number, "g", g), z)
        _compare("dg", "g", _number("dg", dg, z), difference, f"z = {z}")
    return Activation(_name(g), g, dg)


def loss(
    L: Callable[[float, float], float],
    dL: Callable[[float, float], float] | None = None,
    out_activation: str = "identity",
) -> Loss:
    """A loss of your own, for `loss=` of `MLPRegressor`: as fast as a built-in one.

    Parameters
    ----------
    L, dL : callable
        The loss of one output a and its target y, and its derivative by z, where a = g(z) is the output activation:
        Python functions of two numbers, as for `activation`.  With softmax, each sees its own output alone.
    out_activation : {"identity", "logistic", "softmax", "exp"}
        g of the output layer.

    Returns
    -------
    Loss
        It can be pickled if the functions can be imported.

    Raises
    ------
    ValueError
        Where there is no slope, or it is not that of L at some points, or the output activation is unknown.

    Examples
    --------
    >>> import math
    >>> import fastnn
    >>> log_cosh = fastnn.loss(lambda a, y: math.log(math.cosh(a - y)), lambda a, y: math.tanh(a - y))
    """
    _check_functions(2, L=L, dL=dL)
    if out_activation not in OUT_ACTIVATIONS:
        raise ValueError(f"out_activation must be one of {tuple(OUT_ACTIVATIONS)}, got {out_activation!r}")
    for y in TARGETS[out_activation]:
        for z in POINTS:
            # With softmax, another output, and its target, which make the probabilities and the classes whole.
            others = [(0.5, 1 - y)] if out_activation == "softmax" else []

            def total(z: float, y: float = y, others: list[tuple[float, float]] = others) -> float:
                a, *rest = _outputs([z, *(z for z, _ in others)], out_activation)
                return _number("L", L, a, y) + sum(
                    _number("L", L, b, t) for b, (_, t) in zip(rest, others, strict=True)
                )

            a = _outputs([z, *(z for z, _ in others)], out_activation)[0]
            _compare("dL", "L", _number("dL", dL, a, y), _difference(total, z), f"z = {z}, a = {a:.6g}, y = {y}")
    return Loss(_name(L), out_activation, L, dL)


def _check_functions(n_args: int, **functions: Any) -> None:
    for name, function in functions.items():
        if function is None:
            raise ValueError(f"{name} must be a function, the slope of the other; there is none")
        function = getattr(function, "py_func", function)
        if not isinstance(function, (FunctionType, BuiltinFunctionType, np.ufunc)):
            advice = f": write a function that calls it, with `def` or `lambda`{', of numbers' * callable(function)}"
            raise ValueError(f"{name} must be a function, got {function!r}{advice if callable(function) else ''}")
        if isinstance(function, FunctionType):
            try:
                signature(function).bind(*n_args * [0.0])
            except TypeError as error:
                raise ValueError(f"{name} must take {n_args} number{'s' * (n_args > 1)}: {error}") from None


def _name(function: Any) -> str:
    return getattr(function, "__name__", type(function).__name__).strip("<>")


def _number(name: str, function: Any, *args: float) -> float:
    """What the function says there, which must be a number."""
    at = ", ".join(f"{arg:.6g}" for arg in args)
    try:
        value = float(function(*args))
    except Exception as error:
        raise ValueError(f"{name}({at}) raises {error!r}") from error
    if not isfinite(value):
        raise ValueError(f"{name}({at}) is {value}")
    return value


def _outputs(Z: list[float], out_activation: str) -> list[float]:
    """The outputs of one example."""
    if out_activation == "softmax":
        powers = [exp(z) for z in Z]
        return [power / sum(powers) for power in powers]
    return [{"identity": float, "logistic": logistic, "exp": exp}[out_activation](z) for z in Z]


def _difference(function: Callable[[float], float], z: float) -> float:
    return (function(z + STEP) - function(z - STEP)) / (2 * STEP)


def _compare(slope_name: str, name: str, slope: float, difference: float, at: str) -> None:
    if not np.isclose(slope, difference, rtol=TOLERANCE, atol=TOLERANCE):
        raise ValueError(
            f"{slope_name} is not the slope of {name}: at {at} it is {slope:.6g}, but {name} changes by "
            f"{difference:.6g} for each unit of z"
        )
