"""Errors and times on tables, of fastnn's tabular estimators beside others': what `docs/tabular.md` shows.

    python tabular.py [FOLDER] [SPLITS] [SET ...]

FOLDER holds CSV files (also .gz) with a column `target`, of which split s puts the first fifth of
numpy.random.RandomState(s).permutation(n) aside to test; or folders with data.txt, index_features.txt,
index_target.txt, index_train_s.txt and index_test_s.txt, as those of the UCI splits for dropout have them.  Without a
FOLDER it takes three sets of scikit-learn.  LightGBM, XGBoost, CatBoost and pytabkit take part where they are
installed.  All have their defaults, and columns of texts as categories where they take these.

For numbers the error is RMSE; for classes, the part that is wrong, log loss and 1 - AUC.  Errors are means over the
splits, seconds are medians.
"""

import sys
import time
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn import datasets
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastnn import TableEncoder, TabularClassifier, TabularRegressor

warnings.simplefilter("ignore")


def sets(folder):
    """Names of the sets, and for each a function that gives the training and test parts of a split."""
    if folder is None:
        for name in ("diabetes", "breast_cancer", "digits"):
            frame = getattr(datasets, f"load_{name}")(as_frame=True)
            yield name, lambda s, frame=frame: shuffled(frame.data, frame.target.to_numpy(), s)
        return
    for path in sorted(folder.iterdir()):
        if path.is_dir() and (path / "data.txt").exists():
            yield path.name, lambda s, path=path: uci(path, s)
        elif ".csv" in path.suffixes:
            yield path.name.partition(".")[0], lambda s, path=path: csv(path, s)


def csv(path, split):
    table = pd.read_csv(path)
    y = table.pop("target").to_numpy()
    return shuffled(table, y, split)


def shuffled(table, y, split):
    order = np.random.RandomState(split).permutation(len(y))
    test, train = order[: len(y) // 5], order[len(y) // 5 :]
    return table.iloc[train].reset_index(drop=True), y[train], table.iloc[test].reset_index(drop=True), y[test]


def uci(path, split):
    numbers = np.loadtxt(path / "data.txt")
    features = np.loadtxt(path / "index_features.txt").astype(int)
    target = int(np.loadtxt(path / "index_target.txt"))
    parts = []
    for part in ("train", "test"):
        rows = numbers[np.loadtxt(path / f"index_{part}_{split}.txt").astype(int)]
        parts += [pd.DataFrame(rows[:, features], columns=[f"x{j}" for j in features]), rows[:, target]]
    return parts


def with_categories(table, known=None):
    """Columns of texts as categories, how LightGBM, XGBoost and others want them; what is not known as "missing"."""
    table, kinds = table.copy(), {}
    for name in table.columns[[not pd.api.types.is_numeric_dtype(kind) for kind in table.dtypes]]:
        texts = table[name].astype(str).fillna("missing")
        kinds[name] = sorted({*texts, "missing"}) if known is None else known[name]
        table[name] = pd.Categorical(texts.where(texts.isin(kinds[name]), "missing"), kinds[name])
    return table, kinds


class OfCategories:
    """A rival that takes categories as they are."""

    def __init__(self, make):
        self.make = make

    def fit(self, X, y):
        X, self.categories = with_categories(X)
        self.model = self.make(list(self.categories)).fit(X, y)
        self.classes_ = getattr(self.model, "classes_", None)
        return self

    def _table(self, X):
        return with_categories(X, self.categories)[0]

    def predict(self, X):
        return self.model.predict(self._table(X))

    def predict_proba(self, X):
        return self.model.predict_proba(self._table(X))


def rivals(is_classification):
    """Names and estimators; scikit-learn's MLP takes the matrix of a TableEncoder, and its targets standardised."""
    kind = "Classifier" if is_classification else "Regressor"
    tabular = TabularClassifier if is_classification else TabularRegressor
    yield "fastnn", tabular(random_state=0)
    yield "fastnn, fast", tabular(preset="fast", random_state=0)
    if is_classification:
        yield "sklearn MLP", make_pipeline(TableEncoder(), MLPClassifier(random_state=0))
    else:
        mlp = make_pipeline(TableEncoder(), MLPRegressor(random_state=0))
        yield "sklearn MLP", TransformedTargetRegressor(mlp, transformer=StandardScaler())
    hgb = HistGradientBoostingClassifier if is_classification else HistGradientBoostingRegressor
    yield "sklearn HGB", OfCategories(lambda names: hgb(random_state=0))
    if find_spec("lightgbm"):
        import lightgbm

        yield "LightGBM", OfCategories(lambda names: getattr(lightgbm, f"LGBM{kind}")(random_state=0, verbose=-1))
    if find_spec("xgboost"):
        import xgboost

        yield (
            "XGBoost",
            OfCategories(lambda names: getattr(xgboost, f"XGB{kind}")(random_state=0, enable_categorical=True)),
        )
    if find_spec("catboost"):
        import catboost

        yield (
            "CatBoost",
            OfCategories(
                lambda names: getattr(catboost, f"CatBoost{kind}")(
                    random_state=0, verbose=0, cat_features=names, allow_writing_files=False
                )
            ),
        )
    if find_spec("pytabkit"):
        import pytabkit

        yield (
            "RealMLP",
            OfCategories(lambda names: getattr(pytabkit, f"RealMLP_TD_{kind}")(random_state=0, device="cpu")),
        )


def errors(model, X, y, is_classification) -> Iterator[float]:
    if not is_classification:
        yield float(np.sqrt(np.mean((np.ravel(model.predict(X)) - y) ** 2)))
        return
    p = np.clip(np.asarray(model.predict_proba(X), float), 1e-7, 1)
    p /= p.sum(axis=1, keepdims=True)
    classes = model.classes_
    yield float(np.mean(np.asarray(classes)[p.argmax(axis=1)] != y))
    yield float(log_loss(y, p, labels=classes))
    more = {} if len(classes) == 2 else {"multi_class": "ovr", "labels": classes}
    yield 1 - float(roc_auc_score(y, p[:, 1] if len(classes) == 2 else p, **more))


def main(folder=None, splits="2", *names):
    all_errors = {}
    for name, split_of in sets(folder and Path(folder)):
        if names and name not in names:
            continue
        _, y, _, y_test = split_of(0)
        labels = np.unique(np.concatenate([y, y_test]))
        is_classification = y.dtype.kind == "O" or (y.dtype.kind in "iub" and len(labels) <= 30)
        print(f"{name}: {'error, log loss, 1 - AUC' if is_classification else 'RMSE'}; seconds to fit, to predict")
        for rival, model in rivals(is_classification):
            rows = []
            for split in range(int(splits)):
                X, y, X_test, y_test = split_of(split)
                if is_classification:  # numbers from 0 on: XGBoost takes no others
                    y, y_test = np.searchsorted(labels, y), np.searchsorted(labels, y_test)
                start = time.perf_counter()
                model.fit(X, y)
                fitted = time.perf_counter()
                found = list(errors(model, X_test, y_test, is_classification))
                rows.append([*found, fitted - start, time.perf_counter() - fitted])
            means = [*np.mean(rows, axis=0)[:-2], *np.median(rows, axis=0)[-2:]]
            all_errors.setdefault(rival, {})[name] = means[1 if is_classification else 0]
            print(f"  {rival:14}" + "".join(f"{mean:10.4g}" for mean in means), flush=True)
    print("geometric mean of RMSE or log loss, over that of fastnn")
    ours = all_errors["fastnn"]
    for rival, theirs in all_errors.items():
        print(f"  {rival:14}{np.exp(np.mean([np.log(theirs[name] / ours[name]) for name in ours])):10.4f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
