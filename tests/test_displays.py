"""Pictures: the curves of a training are those of the model, and scikit-learn's displays take our models."""

import subprocess
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.inspection import DecisionBoundaryDisplay
from sklearn.neural_network import MLPClassifier as TheirMLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastnn import LearningCurveDisplay, MLPClassifier, MLPRegressor

plt.switch_backend("agg")
X, y = load_iris(return_X_y=True)


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.fixture
def model():
    """Six epochs with everything that may be watched."""
    options = {"early_stopping": True, "scoring": "loss", "learning_rate": "cosine", "max_iter": 6, "random_state": 0}
    return MLPClassifier(hidden_layer_sizes=(4,), **options).fit(X, y)


def axes():
    return Figure(layout="constrained").add_subplot()


def test_the_curves_are_those_of_the_model(model):
    display = LearningCurveDisplay.from_estimator(model, ax=axes(), line_kw={"linewidth": 3})
    assert [line.get_label() for line in display.lines_] == ["training", "validation", "accuracy", "learning rate"]
    names = ("loss", "validation_loss", "validation_score", "learning_rate")
    for line, name in zip(display.lines_, names, strict=True):
        np.testing.assert_array_equal(line.get_xdata(), range(1, 7))
        np.testing.assert_array_equal(line.get_ydata(), model.history_[name])
        assert line.get_linewidth() == 3
    assert [line.axes for line in display.lines_] == [display.axes_[i] for i in (0, 0, 1, 2)]
    assert [list(line.get_xdata()) for line in display.best_vlines_] == [2 * [model.best_iteration_]] * 3
    assert [ax.get_ylabel() for ax in display.axes_] == ["loss", "validation\naccuracy", "learning\nrate"]
    assert [ax.get_yscale() for ax in display.axes_] == ["linear", "linear", "log"]
    assert display.axes_[-1].get_xlabel() == "epoch"
    assert display.ax_ is display.axes_[0]
    assert display.figure_ is display.ax_.figure


def test_a_constant_learning_rate_and_what_was_not_watched_are_not_drawn(model):
    model.set_params(early_stopping=False, learning_rate="constant").fit(X, y)
    display = LearningCurveDisplay.from_estimator(model, ax=axes())
    assert [line.get_label() for line in display.lines_] == ["training"]
    assert (len(display.axes_), display.best_vlines_) == (1, None)


def test_lbfgs_has_a_loss_and_the_score_of_a_regressor_is_R2():
    model = MLPRegressor(hidden_layer_sizes=(4,), solver="lbfgs", max_iter=3, random_state=0).fit(X, y)
    display = LearningCurveDisplay.from_estimator(model, ax=axes())
    np.testing.assert_array_equal(display.lines_[0].get_ydata(), model.history_["loss"])
    model.set_params(solver="adam", warm_start=True).fit(X, y).fit(X, y, X_val=X, y_val=y)
    display = LearningCurveDisplay.from_estimator(model, ax=axes())
    assert [line.get_label() for line in display.lines_] == ["training", "validation", "R²", "learning rate"]
    np.testing.assert_array_equal(display.lines_[2].get_ydata()[:6], 6 * [np.nan])


def test_without_axes_a_figure_is_made_and_a_second_display_may_use_its_axes(model):
    first = LearningCurveDisplay.from_estimator(make_pipeline(StandardScaler(), model))
    assert first.figure_.number in plt.get_fignums()
    second = LearningCurveDisplay.from_estimator(model, ax=first.axes_, score_name="right")
    assert second.lines_[2].get_label() == "right"
    assert [len(ax.lines) for ax in first.axes_] == [6, 4, 4]  # with the best epochs


def test_axes_that_do_not_fit_are_refused(model):
    with pytest.raises(ValueError, match=r"ax has 2 axes, but 3 are wanted: of loss, validation accuracy, learning"):
        LearningCurveDisplay.from_estimator(model, ax=Figure().subplots(2))
    with pytest.raises(ValueError, match="cannot be divided: pass 3 axes"):
        LearningCurveDisplay.from_estimator(model, ax=Figure().add_axes((0, 0, 1, 1)))


def test_other_estimators_are_refused_by_name(model):
    with pytest.raises(TypeError, match="estimator is a StandardScaler, but fastnn's MLPClassifier or MLPRegressor"):
        LearningCurveDisplay.from_estimator(StandardScaler())
    with pytest.raises(TypeError, match="estimator is a Pipeline that ends with MLPClassifier, but fastnn's"):
        LearningCurveDisplay.from_estimator(make_pipeline(StandardScaler(), TheirMLPClassifier()))
    with pytest.raises(NotFittedError, match="This MLPRegressor instance is not fitted yet"):
        LearningCurveDisplay.from_estimator(make_pipeline(StandardScaler(), MLPRegressor()))
    del model.history_
    with pytest.raises(NotFittedError, match="This MLPClassifier has no history_"):
        LearningCurveDisplay.from_estimator(model)


def test_matplotlib_is_imported_for_drawing_only():
    code = "import sys, fastnn; fastnn.LearningCurveDisplay(loss=[1.0]); assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_scikit_learn_draws_what_our_models_decide(kind):
    model = kind(hidden_layer_sizes=(8,), max_iter=20, random_state=0).fit(X[:, :2], y)
    display = DecisionBoundaryDisplay.from_estimator(model, X[:, :2], grid_resolution=10, response_method="predict")
    grid = np.column_stack([display.xx0.ravel(), display.xx1.ravel()])
    np.testing.assert_array_equal(display.response.ravel(), model.predict(grid))
