"""To scikit-learn's own estimators and back, with the state of the optimizer."""

from copy import deepcopy
from itertools import chain
from typing import Any

import numpy as np

from fastnn.network import Network, common_dtype, hashable, layer_sizes_of_coefs

#: The laws that scikit-learn has.
SKLEARN_ACTIVATIONS = ("identity", "logistic", "tanh", "relu")
SKLEARN_SCHEDULES = ("constant", "invscaling", "adaptive")
SKLEARN_LOSSES = ("log_loss", "squared_error", "poisson")
#: What is not copied as it is: the parameters, and what is made of them.
_OWN = ("coefs_", "intercepts_", "_kept", "_optimizer", "_best_coefs", "_best_intercepts")


def _state(model: Any) -> dict[str, Any]:
    """Everything that training has left in the model, but parameters of the network and of the constructor."""
    return {
        name: deepcopy(value)
        for name, value in vars(model).items()
        if name not in _OWN and name not in model.get_params(deep=False)
    }


def _network(model: Any) -> Network:
    """The network of a fitted model; a ValueError where its arrays do not fit one another."""
    return Network(
        layer_sizes_of_coefs(model.coefs_, model.intercepts_), hashable(model.activation), model.out_activation_
    )


def to_sklearn(model: Any, kind: type) -> Any:
    """The fastnn estimator `model` as one of scikit-learn's class `kind`."""
    from sklearn.neural_network._stochastic_optimizers import AdamOptimizer, SGDOptimizer

    from fastnn.training import Adam, unpack

    for name, laws in (
        ("activation", SKLEARN_ACTIVATIONS),
        ("loss", SKLEARN_LOSSES),
        ("learning_rate", SKLEARN_SCHEDULES),
        ("solver", ("lbfgs", "sgd", "adam")),
    ):
        if getattr(model, name) not in laws:
            raise ValueError(f"scikit-learn has no {name}={getattr(model, name)!r}")
    known = kind().get_params()  # not n_threads, nor those of a subclass
    theirs = kind(**deepcopy({name: value for name, value in model.get_params(deep=False).items() if name in known}))
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
    n_moments = ours.rule.n_moments  # without the average of the weights, which are those of the model
    moments = [[np.zeros_like(array) for array in params] for _ in range(n_moments)]
    if ours.moments is not None:
        network = _network(model)
        each = ours.moments.reshape(-1, network.n_params)[:n_moments]
        moments = [list(chain(*unpack(network, moment, ours.by_inputs))) for moment in each]
    if isinstance(ours, Adam):
        optimizer = AdamOptimizer(params, ours.learning_rate_init, ours.beta_1, ours.beta_2, ours.epsilon)
        optimizer.t, (optimizer.ms, optimizer.vs) = ours.t, moments
        optimizer.learning_rate = ours.last_rate
    else:
        optimizer = SGDOptimizer(
            params, ours.learning_rate_init, ours.lr_schedule, ours.momentum, ours.nesterovs_momentum, ours.power_t
        )
        (optimizer.velocities,) = moments
        optimizer.learning_rate = ours.learning_rate
    theirs._optimizer = optimizer
    return theirs


def from_sklearn(model: Any, kind: type) -> Any:
    """scikit-learn's estimator `model` as one of the fastnn class `kind`."""
    known = kind().get_params()
    ours = kind(**deepcopy({name: value for name, value in model.get_params(deep=False).items() if name in known}))
    vars(ours).update(_state(model))
    if not hasattr(model, "coefs_"):
        return ours
    ours.coefs_ = [np.array(coef, order="C") for coef in model.coefs_]
    ours.intercepts_ = [np.array(intercept) for intercept in model.intercepts_]
    network = _network(ours)
    theirs = getattr(model, "_optimizer", None)
    if theirs is not None:
        from fastnn.training import SGD, Adam, pack

        if hasattr(theirs, "ms"):
            ours._optimizer = Adam(theirs.learning_rate_init, theirs.beta_1, theirs.beta_2, theirs.epsilon)
            ours._optimizer.t = theirs.t
            moments = [theirs.ms, theirs.vs]
        else:
            ours._optimizer = SGD(
                theirs.learning_rate_init, theirs.momentum, theirs.nesterov, theirs.lr_schedule, theirs.power_t
            )
            ours._optimizer.learning_rate = theirs.learning_rate
            moments = [theirs.velocities]
        n_layers, dtype = len(ours.coefs_), common_dtype(*ours.coefs_)
        ours._optimizer.moments = np.concatenate(
            [pack(network, moment[:n_layers], moment[n_layers:], dtype) for moment in moments]
        )
    return ours
