"""Callbacks of a fit: scikit-learn's protocol, which came with its 1.9, and plain functions that are told of epochs."""

from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

try:
    from sklearn.callback import CallbackSupportMixin as CallbackSupport
    from sklearn.callback import FitCallback

    FIT_CALLBACK: tuple[Any, ...] = (FitCallback,)
except ImportError:  # scikit-learn before 1.9
    CallbackSupport, FIT_CALLBACK = type("CallbackSupport", (), {}), ()

from fastnn.progress import Epoch

__all__ = ["CallbackSupport", "EpochCallback", "FitCallbacks", "as_callbacks"]


class EpochCallback:
    """A plain function as a callback of the protocol.

    Parameters
    ----------
    function : callable
        Takes an `Epoch`, and returns whether to stop.
    """

    def __init__(self, function: Callable[[Epoch], object]) -> None:
        self.function = function

    def setup(self, estimator: Any, context: Any) -> None:
        """Nothing."""

    def teardown(self, estimator: Any, context: Any) -> None:
        """Nothing."""

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """Nothing."""

    def on_fit_task_end(self, estimator: Any, context: Any) -> bool:
        """Tell the function of an epoch."""
        return context.task_name == "epoch" and bool(self.function(estimator._epoch))


def as_callbacks(given: Iterable[Any]) -> list[Any]:
    """Those that a user gives, as callbacks of the protocol; a TypeError for anything else."""
    callbacks = []
    for each in given:
        if not isinstance(each, type) and isinstance(each, (EpochCallback, *FIT_CALLBACK)):
            callbacks.append(each)
        elif callable(each) and not isinstance(each, type):
            callbacks.append(EpochCallback(each))
        else:
            raise TypeError(
                "callbacks must be functions of an Epoch, or instances that follow the FitCallback protocol of "
                f"scikit-learn 1.9, got {each!r}"
            )
    return callbacks


class FitCallbacks:
    """The callbacks of one fit: when they are called, and with what.

    Parameters
    ----------
    model : MLPClassifier or MLPRegressor
    X, y, sample_weight : array-like
        As the user gave them.
    """

    def __init__(self, model: Any, X: Any, y: Any, sample_weight: Any) -> None:
        metadata = {} if sample_weight is None else {"metadata": {"sample_weight": sample_weight}}
        self._model, self._data = model, {"estimator": model, "X": X, "y": y, **metadata}
        self._fit: Any = None
        self._epoch: Any = None
        if FIT_CALLBACK:
            n_more = model.solver == "lbfgs"  # which begins an iteration before it knows whether it comes
            self._fit = model._init_callback_context(max_subtasks=model.max_iter + n_more)
            self._fit.call_on_fit_task_begin(**self._data)

    def epoch_begins(self, attributes: Callable[[], dict[str, Any]]) -> None:
        """Before an epoch; `attributes` are those with which a copy of the model predicts."""
        if self._fit:
            self._epoch = self._fit.subcontext(task_name="epoch")
            self._epoch.call_on_fit_task_begin(**self._data, reconstruction_attributes=attributes)

    def epoch_ends(self, attributes: Callable[[], dict[str, Any]]) -> bool:
        """After it.  Whether to stop."""
        if self._epoch:
            return bool(self._epoch.call_on_fit_task_end(**self._data, reconstruction_attributes=attributes))
        context = SimpleNamespace(task_name="epoch")
        return any([callback.on_fit_task_end(self._model, context) for callback in self._model._skl_callbacks])

    def ends(self) -> None:
        """After the fit."""
        if self._fit:
            self._fit.call_on_fit_task_end(**self._data, reconstruction_attributes=dict)
