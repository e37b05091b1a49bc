"""Pictures of a training, as scikit-learn's displays are: ``plot`` draws, ``from_estimator`` makes and draws."""

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import is_classifier
from sklearn.pipeline import Pipeline
from sklearn.utils._optional_dependencies import check_matplotlib_support
from sklearn.utils.validation import check_is_fitted

from fastnn.estimators import MLPClassifier, MLPRegressor


def _score_name(model: MLPClassifier | MLPRegressor) -> str:
    if model.scoring in (None, "loss", "calibrated_loss"):
        return "accuracy" if is_classifier(model) else "R²"
    return model.scoring if isinstance(model.scoring, str) else "score"


class LearningCurveDisplay:
    """How a training went, epoch by epoch: loss, validation score and learning rate, one above the other.

    `from_estimator` makes one of a fitted model. All parameters are kept as attributes.

    Parameters
    ----------
    loss : array-like of shape (n_epochs,)
        The mean over each epoch, penalty included.
    validation_loss : array-like of shape (n_epochs,), default=None
        Drawn beside it. Values that are nan leave a gap, here and below.
    validation_score : array-like of shape (n_epochs,), default=None
        Such as accuracy or R².
    learning_rate : array-like of shape (n_epochs,), default=None
        Drawn where it changes.
    best_iteration : int, default=None
        The epoch, counted from 1, whose weights were the best.
    score_name : str, default=None
        What the validation score is; "score", if None.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes
        From top to bottom: of the loss, of the score if there is one, of the learning rate if it changes.
    ax_ : matplotlib Axes
        The first of them.
    figure_ : matplotlib Figure
        What they are in.
    lines_ : list of matplotlib Line2D
        In the order of the parameters; their labels are "training", "validation", the name of the score and
        "learning rate".
    best_vlines_ : list of matplotlib Line2D or None
        The best epoch in each of the axes.

    See Also
    --------
    sklearn.model_selection.LearningCurveDisplay : Scores by the number of examples, of many trainings.

    Examples
    --------
    >>> from fastnn import LearningCurveDisplay
    >>> display = LearningCurveDisplay(
    ...     loss=[0.9, 0.5, 0.4], validation_score=[0.6, 0.8, 0.7], best_iteration=2, score_name="accuracy"
    ... )
    >>> _ = display.plot()
    >>> [line.get_label() for line in display.lines_]
    ['training', 'accuracy']
    """

    def __init__(
        self,
        *,
        loss: npt.ArrayLike,
        validation_loss: npt.ArrayLike | None = None,
        validation_score: npt.ArrayLike | None = None,
        learning_rate: npt.ArrayLike | None = None,
        best_iteration: int | None = None,
        score_name: str | None = None,
    ) -> None:
        self.loss = loss
        self.validation_loss = validation_loss
        self.validation_score = validation_score
        self.learning_rate = learning_rate
        self.best_iteration = best_iteration
        self.score_name = score_name

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, ax: Any = None, score_name: str | None = None, line_kw: dict[str, Any] | None = None
    ) -> Self:
        """Draw the training of a fitted model.

        Parameters
        ----------
        estimator : MLPClassifier, MLPRegressor or Pipeline
            A fitted one; of a Pipeline, the last step is such a model.
        ax : matplotlib Axes or array-like of Axes, default=None
            As for `plot`.
        score_name : str, default=None
            What the validation score is. None: `scoring`, or accuracy of a classifier, R² of a regressor.
        line_kw : dict, default=None
            As for `plot`.

        Returns
        -------
        LearningCurveDisplay
            Which has been drawn.

        Raises
        ------
        TypeError
            The estimator is another one.
        sklearn.exceptions.NotFittedError
            It was not fitted, or only got its weights, from a file or from scikit-learn's model.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        model = estimator
        while isinstance(model, Pipeline):
            model = model[-1]
        if not isinstance(model, MLPClassifier | MLPRegressor):
            found = type(model).__name__ if model is estimator else f"Pipeline that ends with {type(model).__name__}"
            raise TypeError(
                f"estimator is a {found}, but fastnn's MLPClassifier or MLPRegressor, or a Pipeline that ends "
                "with one, is wanted"
            )
        check_is_fitted(model)
        check_is_fitted(model, "history_", msg="This %(name)s has no history_: its weights come from elsewhere")
        history = model.history_
        display = cls(
            loss=history["loss"],
            validation_loss=history.get("validation_loss"),
            validation_score=history.get("validation_score"),
            learning_rate=history.get("learning_rate"),
            best_iteration=getattr(model, "best_iteration_", None),
            score_name=score_name or _score_name(model),
        )
        return display.plot(ax, line_kw=line_kw)

    def plot(self, ax: Any = None, *, line_kw: dict[str, Any] | None = None) -> Self:
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes or array-like of Axes, default=None
            An Axes of a grid, such as `subplots` returns, is divided; several are drawn on, those of another display's
            `axes_`, for example, to compare. None: a new figure.
        line_kw : dict, default=None
            For each curve, what matplotlib's `plot` may be told, such as ``{"linewidth": 1}``.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            The number of axes is not that of the curves to draw, or a single one is not of a grid.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        from matplotlib.ticker import MaxNLocator

        score_name = self.score_name or "score"
        panels = [("loss", [("training", self.loss, "C0"), ("validation", self.validation_loss, "C1")])]
        if self.validation_score is not None:
            panels.append((f"validation {score_name}", [(score_name, self.validation_score, "C1")]))
        if self.learning_rate is not None and np.unique(self.learning_rate).size > 1:
            panels.append(("learning rate", [("learning rate", self.learning_rate, "C2")]))
        self.axes_ = self._axes(ax, [label for label, _ in panels])
        self.ax_, self.figure_ = self.axes_[0], self.axes_[0].figure
        self.lines_: list[Any] = []
        self.best_vlines_: list[Any] | None = None if self.best_iteration is None else []
        for i, (panel, (label, curves)) in enumerate(zip(self.axes_, panels, strict=True)):
            drawn = []
            for name, values, color in curves:
                if values is not None:
                    y = np.asarray(values, float)
                    style = {"color": color, "label": name, "marker": "." if y.size < 30 else None} | (line_kw or {})
                    drawn += panel.plot(np.arange(1, y.size + 1), y, **style)
            self.lines_ += drawn
            explained = drawn if len(drawn) > 1 else []
            if self.best_vlines_ is not None:
                best = panel.axvline(self.best_iteration, color="0.5", linestyle="--", linewidth=1)
                self.best_vlines_.append(best)
                if i == min(1, len(panels) - 1):  # once is enough
                    best.set_label(f"best: epoch {self.best_iteration}")
                    explained = [*explained, best]
            if explained:
                panel.legend(handles=explained, frameon=False)
            panel.set_ylabel(label.replace(" ", "\n", 1))
            panel.grid(alpha=0.3)
            panel.spines[["top", "right"]].set_visible(False)
            if curves[0][0] != score_name and _spans_decades(np.concatenate([line.get_ydata() for line in drawn])):
                panel.set_yscale("log")
        self.figure_.align_ylabels(self.axes_)
        self.axes_[-1].set_xlabel("epoch")
        self.axes_[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
        return self

    def _axes(self, ax: Any, labels: list[str]) -> npt.NDArray[Any]:
        """As many axes as there are labels, one above the other, in place of one; or those that were given."""
        if ax is None:
            from matplotlib import pyplot

            ax = pyplot.figure(layout="constrained").add_subplot()
        given = np.ravel(ax)
        if len(given) == len(labels):
            return given
        if len(given) > 1:
            raise ValueError(f"ax has {len(given)} axes, but {len(labels)} are wanted: of {', '.join(labels)}")
        ax = given[0]
        if ax.get_subplotspec() is None:
            raise ValueError(f"ax is not of a grid, and cannot be divided: pass {len(labels)} axes")
        ax.set_axis_off()
        ratios = [1 if label == "learning rate" else 2 for label in labels]
        grid = ax.get_subplotspec().subgridspec(len(labels), 1, height_ratios=ratios)
        first = ax.figure.add_subplot(grid[0])
        axes = [first, *(ax.figure.add_subplot(part, sharex=first) for part in list(grid)[1:])]
        for upper in axes[:-1]:
            upper.tick_params(labelbottom=False)
        return np.array(axes)


def _spans_decades(values: npt.NDArray[Any]) -> bool:
    """Whether a logarithmic axis shows more."""
    finite = values[np.isfinite(values)]
    return bool(finite.size and 0 < 10 * finite.min() < finite.max())
