"""Training above the kernels: optimizers, threads, the choice of a way, workspaces, and prediction."""

from fastnn.training.objective import Objective
from fastnn.training.optimizers import SGD, Adam, NoStep
from fastnn.training.order import shuffle
from fastnn.training.parameters import pack, unpack
from fastnn.training.prediction import Predictor, predict
from fastnn.training.trainer import Trainer

__all__ = ["SGD", "Adam", "NoStep", "Objective", "Predictor", "Trainer", "pack", "predict", "shuffle", "unpack"]
