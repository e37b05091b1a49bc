"""Errors and times of the estimators for tables, beside scikit-learn's."""

from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

from fastnn import TabularClassifier, TabularRegressor

MODELS = {
    ("diabetes", "fastnn"): TabularRegressor,
    ("diabetes", "sklearn"): HistGradientBoostingRegressor,
    ("cancer", "fastnn"): TabularClassifier,
    ("cancer", "sklearn"): HistGradientBoostingClassifier,
}


class Tables:
    """A fit with defaults, and what is wrong with what it predicts."""

    params = (("diabetes", "cancer"), ("fastnn", "sklearn"))
    param_names = ("data", "library")

    def setup(self, data, library):
        load = load_diabetes if data == "diabetes" else load_breast_cancer
        self.X, self.X_test, self.y, self.y_test = train_test_split(
            *load(return_X_y=True, as_frame=True), random_state=0
        )
        self.model = MODELS[data, library](random_state=0)
        self.model.fit(self.X, self.y)

    def time_fit(self, data, library):
        self.model.fit(self.X, self.y)

    def time_predict(self, data, library):
        self.model.predict(self.X_test)

    def track_error(self, data, library):
        if data == "cancer":
            return log_loss(self.y_test, self.model.predict_proba(self.X_test))
        return 1 - self.model.score(self.X_test, self.y_test)
