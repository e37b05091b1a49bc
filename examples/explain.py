"""What predictions are due to: gradients and expected gradients of a model of the diabetes table.

Where shap is installed (pip install shap), its values stand beside them. They are those of Shapley, of columns that
come one by one, where expected gradients are of all columns that come together, bit by bit: near to one another where
the model is smooth.
"""

from importlib.util import find_spec
from time import perf_counter

import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import scale

import fastnn


def timed(name, explain):
    explain()  # compiles
    began = perf_counter()
    values = explain()
    print(f"{name:24} {1e3 * (perf_counter() - began):6.1f} ms")
    return values


def by_shap(predict, X, background):
    import shap

    exact, permutations = shap.ExactExplainer(predict, background), shap.PermutationExplainer(predict, background)
    return {
        "shap, exact": timed("shap, exact", lambda: exact(X).values),
        "shap, permutations": timed("shap, permutations", lambda: permutations(X, silent=True).values),
    }


def main(n_rows=20, n_samples=1000):
    table = load_diabetes(as_frame=True)
    X_train, X, y_train, _ = train_test_split(scale(table.data), table.target, random_state=0)
    model = fastnn.MLPRegressor(activation="tanh", learning_rate_init=0.03, early_stopping=True, random_state=0)
    model.fit(X_train, y_train)
    X, background = X[:n_rows], X_train[:100]
    options = dict(n_samples=n_samples, random_state=0)
    slopes = timed("input_gradient", lambda: model.input_gradient(X))
    phi = timed("expected_gradients", lambda: fastnn.expected_gradients(model, X, background, **options))
    theirs = by_shap(model.predict, X, background) if find_spec("shap") else {}
    for name, values in theirs.items():
        r, difference = np.corrcoef(values.ravel(), phi.ravel())[0, 1], abs(values - phi).mean()
        print(f"{name}: correlation {r:.4f}, mean difference {difference:.2f} of {abs(values).mean():.2f}")

    expected = model.predict(X) - model.predict(background).mean()
    print(
        f"\nfor {n_rows} patients, contributions add up to the prediction within {abs(phi.sum(1) - expected).max():.1f}"
    )
    print("column   mean contribution, of either sign   mean gradient")
    for j in np.argsort(-abs(phi).mean(axis=0)):
        print(f"{table.feature_names[j]:6} {abs(phi[:, j]).mean():20.1f} {slopes[:, j].mean():25.1f}")
    return phi, expected, theirs


if __name__ == "__main__":
    main()
