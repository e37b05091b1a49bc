"""fastnn: train multilayer perceptrons on a CPU, faster than anything else does.

``MLPClassifier`` and ``MLPRegressor`` take the place of scikit-learn's; ``functional`` has the equations of
gradient descent on the kernels, ``reference`` the same in plain NumPy.  Everything is imported when it is
first used, so that ``import fastnn`` costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastnn import functional, reference
    from fastnn.displays import LearningCurveDisplay
    from fastnn.embedded import input_gradient, jit, predict_batch, predict_one, train_step
    from fastnn.ensembles import EnsembleClassifier, EnsembleRegressor
    from fastnn.estimators import MLPClassifier, MLPRegressor
    from fastnn.export.c import to_c
    from fastnn.export.onnx import to_onnx
    from fastnn.export.torch import to_safetensors, to_torch
    from fastnn.foreign import from_onnx, from_torch
    from fastnn.gradients import expected_gradients
    from fastnn.laws import activation, loss
    from fastnn.many import fit_many
    from fastnn.model_files import load, save
    from fastnn.progress import Epoch, compilation, watch
    from fastnn.searches import GridSearchCV, RandomizedSearchCV
    from fastnn.system import get_n_threads, set_n_threads, system_info
    from fastnn.tables import TableEncoder
    from fastnn.tabular import PiecewiseLinearEncoder, TabularClassifier, TabularRegressor
    from fastnn.warming import warmup

__version__ = "0.1.0"

__all__ = [
    "EnsembleClassifier",
    "EnsembleRegressor",
    "Epoch",
    "GridSearchCV",
    "LearningCurveDisplay",
    "MLPClassifier",
    "MLPRegressor",
    "PiecewiseLinearEncoder",
    "RandomizedSearchCV",
    "TableEncoder",
    "TabularClassifier",
    "TabularRegressor",
    "activation",
    "compilation",
    "expected_gradients",
    "fit_many",
    "from_onnx",
    "from_torch",
    "functional",
    "get_n_threads",
    "input_gradient",
    "jit",
    "load",
    "loss",
    "predict_batch",
    "predict_one",
    "reference",
    "save",
    "set_n_threads",
    "system_info",
    "to_c",
    "to_onnx",
    "to_safetensors",
    "to_torch",
    "train_step",
    "warmup",
    "watch",
]

_HOME = {
    "LearningCurveDisplay": "displays",
    "expected_gradients": "gradients",
    "input_gradient": "embedded",
    "jit": "embedded",
    "predict_batch": "embedded",
    "predict_one": "embedded",
    "train_step": "embedded",
    "EnsembleClassifier": "ensembles",
    "EnsembleRegressor": "ensembles",
    "MLPClassifier": "estimators",
    "MLPRegressor": "estimators",
    "activation": "laws",
    "loss": "laws",
    "PiecewiseLinearEncoder": "tabular",
    "fit_many": "many",
    "GridSearchCV": "searches",
    "RandomizedSearchCV": "searches",
    "TableEncoder": "tables.encoder",
    "TabularClassifier": "tabular",
    "TabularRegressor": "tabular",
    "from_onnx": "foreign",
    "from_torch": "foreign",
    "to_c": "export.c",
    "to_onnx": "export.onnx",
    "to_safetensors": "export.torch",
    "to_torch": "export.torch",
    "save": "model_files",
    "load": "model_files",
    "Epoch": "progress",
    "watch": "progress",
    "compilation": "progress",
    "get_n_threads": "system",
    "set_n_threads": "system",
    "system_info": "system",
    "warmup": "warming",
}


def __getattr__(name: str) -> Any:
    if name in ("functional", "reference"):
        return import_module(f"fastnn.{name}")
    if name in _HOME:
        value = globals()[name] = getattr(import_module(f"fastnn.{_HOME[name]}"), name)
        return value
    raise AttributeError(f"module 'fastnn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
