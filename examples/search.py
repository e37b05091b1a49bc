"""A network for the digits, and eight like it: which sizes and rates, and which images they do not agree on.

18 candidates in three folds are searched on all cores of one process, and the weak ones stop early.
"""

import warnings

from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastnn import EnsembleClassifier, GridSearchCV, MLPClassifier

GRID = {
    "mlpclassifier__hidden_layer_sizes": [(50,), (100,)],
    "mlpclassifier__learning_rate_init": [0.0001, 0.001, 0.01],
    "mlpclassifier__dropout": [0.0, 0.1, 0.3],
}


def main(n_rows=None, max_iter=40):
    warnings.simplefilter("ignore", ConvergenceWarning)  # so many epochs are enough
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X[:n_rows], y[:n_rows], random_state=0)
    model = make_pipeline(StandardScaler(), MLPClassifier(max_iter=max_iter, random_state=0))
    search = GridSearchCV(model, GRID, cv=3, stop_weak=4).fit(X_train, y_train)
    results = search.cv_results_
    print("stopped after  score  parameters")
    for i in results["rank_test_score"].argsort(kind="stable"):
        after = results["stopped_epoch"][i] or "-"
        parameters = {name.split("__")[1]: value for name, value in results["params"][i].items()}
        print(f"{after:>13}  {results['mean_test_score'][i]:.3f}  {parameters}")

    ensemble = EnsembleClassifier(search.best_estimator_, n_estimators=8, random_state=0).fit(X_train, y_train)
    scores = search.score(X_test, y_test), ensemble.score(X_test, y_test)
    print(f"\nthe best network, in the test: {scores[0]:.3f}")
    print(f"eight like it, in the test:    {scores[1]:.3f}")
    _, spread = ensemble.predict_proba(X_test, return_std=True)
    unsure = spread.max(axis=1).argmax()
    said = [int(member.predict(X_test[[unsure]])[0]) for member in ensemble.estimators_]
    print(f"of image {unsure}, a {y_test[unsure]}, they say {said}")
    return search, ensemble, scores


if __name__ == "__main__":
    main()
