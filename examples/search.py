"""Find a network for the digits, then train several like it, on all cores of one process.

A search of 18 candidates in three folds, in which the weak ones stop early, and an ensemble of the best:

python examples/search.py
"""

import warnings

from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastnn import EnsembleClassifier, GridSearchCV, MLPClassifier

warnings.simplefilter("ignore", ConvergenceWarning)  # 40 epochs are enough
X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)

model = make_pipeline(StandardScaler(), MLPClassifier(max_iter=40, random_state=0))
grid = {
    "mlpclassifier__hidden_layer_sizes": [(50,), (100,)],
    "mlpclassifier__learning_rate_init": [0.0001, 0.001, 0.01],
    "mlpclassifier__dropout": [0.0, 0.1, 0.3],
}
search = GridSearchCV(model, grid, cv=3, stop_weak=4).fit(X_train, y_train)

results = search.cv_results_
print("stopped after  score  parameters")
for i in sorted(range(len(results["params"])), key=lambda i: results["rank_test_score"][i]):
    after = results["stopped_epoch"][i] or "-"
    parameters = {name.split("__")[1]: value for name, value in results["params"][i].items()}
    print(f"{after:>13}  {results['mean_test_score'][i]:.3f}  {parameters}")

print(f"\nthe best network, in the test: {search.score(X_test, y_test):.3f}")
ensemble = EnsembleClassifier(search.best_estimator_, n_estimators=8, random_state=0).fit(X_train, y_train)
print(f"eight like it, in the test:    {ensemble.score(X_test, y_test):.3f}")
probabilities, spread = ensemble.predict_proba(X_test, return_std=True)
unsure = spread.max(axis=1).argmax()
print(f"they differ most in image {unsure}, a {y_test[unsure]}: they say {ensemble.predict(X_test[[unsure]])[0]}")
