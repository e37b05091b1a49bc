"""To scikit-learn's own estimators and back, with the state of the optimizer."""
from copy import deepcopy
from typing import Any

import numpy as np

from fastnn.network import Array

#: What is not copied as it is: views of theta, and what is made of them.
_OWN = ("coefs_", "intercepts_", "_theta", "_kept", "_optimizer", "_best_coefs", "_best_intercepts")


def _state(model: Any) -> dict[str, Any]:
    """Everything that training has left in the model, but parameters of the network and of the constructor."""
    return {name: deepcopy(value) for name, value in vars(model).items()
            if name not in _OWN and name not in model.get_params(deep=False)}


def to_sklearn(model: Any, kind: type) -> Any:
    """The fastnn estimator `model` as one of scikit-learn's class `kind`."""
    from sklearn.neural_network._stochastic_optimizers import AdamOptimizer, SGDOptimizer

    parameters = model.get_params(deep=False)
    del parameters["n_threads"]
    theirs = kind(**deepcopy(parameters))
    vars(theirs).update(_state(model))
    if not hasattr(model, "coefs_"):
        return theirs
    theirs.coefs_ = [np.array(coef, order="C") for coef in model.coefs_]
    theirs.intercepts_ = [np.array(intercept) for intercept in model.intercepts_]
    theirs._best_coefs, theirs._best_intercepts = deepcopy(theirs.coefs_), deepcopy(theirs.intercepts_)
    ours = getattr(model, "_optimizer", None)
    if ours is None:
        return theirs
    params = theirs.coefs_ + theirs.intercepts_
    moments = [[np.zeros_like(array) for array in params] for _ in range(ours.n_moments)]
    if ours.moments is not None:
        moments = [_as_list(model, moment) for moment in ours.moments.reshape(ours.n_moments, -1)]
    if ours.n_moments == 2:
        optimizer = AdamOptimizer(params, ours.learning_rate_init, ours.beta_1, ours.beta_2, ours.epsilon)
        optimizer.t, (optimizer.ms, optimizer.vs) = ours.t, moments
    else:
        optimizer = SGDOptimizer(params, ours.learning_rate_init, ours.lr_schedule, ours.momentum,
                                 ours.nesterovs_momentum, ours.power_t)
        (optimizer.velocities,) = moments
    optimizer.learning_rate = ours.learning_rate
    theirs._optimizer = optimizer
    return theirs


def from_sklearn(model: Any, kind: type) -> Any:
    """scikit-learn's estimator `model` as one of the fastnn class `kind`."""
    ours = kind(**deepcopy(model.get_params(deep=False)))
    vars(ours).update(_state(model))
    if not hasattr(model, "coefs_"):
        return ours
    ours.coefs_, ours.intercepts_ = model.coefs_, model.intercepts_
    ours._own_parameters()
    theirs = getattr(model, "_optimizer", None)
    if theirs is not None:
        from fastnn.training import SGD, Adam

        if hasattr(theirs, "ms"):
            ours._optimizer = Adam(theirs.learning_rate_init, theirs.beta_1, theirs.beta_2, theirs.epsilon, theirs.t)
            moments = [theirs.ms, theirs.vs]
        else:
            ours._optimizer = SGD(theirs.learning_rate_init, theirs.momentum, theirs.nesterov, theirs.lr_schedule,
                                  theirs.power_t)
            ours._optimizer.learning_rate = theirs.learning_rate
            moments = [theirs.velocities]
        ours._optimizer.moments = np.concatenate([_as_vector(ours, moment) for moment in moments])
    return ours


def _as_list(model: Any, vector: Array) -> list[Array]:
    """A vector in the order of theta, as scikit-learn's list: weights of all layers, then biases of all layers."""
    views = model._network().views(vector)
    return [np.array(W.T, order="C") for W, _ in views] + [np.array(b) for _, b in views]


def _as_vector(model: Any, arrays: list[Array]) -> Array:
    """The opposite."""
    vector = np.empty(sum(array.size for array in arrays), arrays[0].dtype)
    views = model._network().views(vector)
    for (W, b), weights, biases in zip(views, arrays[:len(views)], arrays[len(views):], strict=True):
        W[:], b[:] = weights.T, biases
    return vector
