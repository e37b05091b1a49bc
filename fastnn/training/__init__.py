"""Training above the kernels: optimizers, threads, the choice of a way, workspaces, and prediction.

A module is imported when something in it is first used: who predicts does not wait for what trains.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastnn.training.epochs import Epochs, validation
    from fastnn.training.objective import Objective
    from fastnn.training.optimizers import OPTIMIZERS, SGD, Adam, AdamW, NAdam, NoStep, RMSprop
    from fastnn.training.parameters import moments_by, pack, unpack
    from fastnn.training.prediction import Predictor, predict
    from fastnn.training.schedules import Average, Schedule
    from fastnn.training.trainer import Trainer

#: The module of each name.
_HOME = {
    "OPTIMIZERS": "optimizers",
    "SGD": "optimizers",
    "Adam": "optimizers",
    "AdamW": "optimizers",
    "Average": "schedules",
    "Epochs": "epochs",
    "NAdam": "optimizers",
    "NoStep": "optimizers",
    "Objective": "objective",
    "Predictor": "prediction",
    "RMSprop": "optimizers",
    "Schedule": "schedules",
    "Trainer": "trainer",
    "moments_by": "parameters",
    "pack": "parameters",
    "predict": "prediction",
    "unpack": "parameters",
    "validation": "epochs",
}
__all__ = [
    "OPTIMIZERS",
    "SGD",
    "Adam",
    "AdamW",
    "Average",
    "Epochs",
    "NAdam",
    "NoStep",
    "Objective",
    "Predictor",
    "RMSprop",
    "Schedule",
    "Trainer",
    "moments_by",
    "pack",
    "predict",
    "unpack",
    "validation",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = globals()[name] = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
