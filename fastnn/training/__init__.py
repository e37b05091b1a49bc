"""Training above the kernels: optimizers, threads, the choice of a way, workspaces, and prediction."""

from fastnn.training.epochs import Epochs, validation
from fastnn.training.objective import Objective
from fastnn.training.optimizers import OPTIMIZERS, SGD, Adam, AdamW, NAdam, NoStep, RMSprop
from fastnn.training.parameters import moments_by, pack, unpack
from fastnn.training.prediction import Predictor, predict
from fastnn.training.schedules import Average, Schedule
from fastnn.training.trainer import Trainer

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
