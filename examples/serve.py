"""A web service of one process and many threads: POST /predict with rows returns the probabilities of their classes.

    pip install fastapi uvicorn
    FASTNN_MODEL=model.fastnn python examples/serve.py      # without FASTNN_MODEL: a model of the irises
    curl localhost:8000/predict -H "Content-Type: application/json" -d '{"rows": [[5.1, 3.5, 1.4, 0.2]]}'

The handler is a plain `def`, which FastAPI calls in a thread of its pool: any number of them may predict at once.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from statistics import median
from time import perf_counter

import numpy as np
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel
from sklearn.datasets import load_iris

import fastnn


def trained():
    iris = load_iris()
    return fastnn.MLPClassifier(max_iter=500, random_state=0).fit(iris.data, iris.target_names[iris.target])


class Rows(BaseModel):
    rows: list[list[float]]


path = os.environ.get("FASTNN_MODEL")  # what fastnn.save has written: it is only data, so loading it runs no code
model = fastnn.load(path) if path else trained()
app = FastAPI()


@app.post("/predict")
def predict(body: Rows) -> dict[str, list]:
    try:
        probabilities = model.predict_proba(np.array(body.rows))
    except ValueError as error:
        raise HTTPException(422, str(error)) from None
    return {"classes": model.classes_.tolist(), "probabilities": probabilities.tolist()}


def measure(n_calls=2000, n_threads=16):
    """The microseconds that one row takes here, without the web; and whether many threads at once are all right."""
    X = np.random.default_rng(0).normal(size=(n_calls, model.n_features_in_))
    took, expected = [], []
    for row in X:
        began = perf_counter()
        expected.append(model.predict_proba(row[np.newaxis]))
        took.append(perf_counter() - began)
    with ThreadPoolExecutor(n_threads) as pool:
        got = list(pool.map(lambda row: predict(Rows(rows=[row.tolist()]))["probabilities"], X))
    are_right = np.allclose(got, expected, rtol=1e-12, atol=0)
    print(f"predict_proba of one row: {1e6 * median(took):.1f} us; {n_threads} threads at once are right: {are_right}")
    return are_right


if __name__ == "__main__":
    measure()
    if find_spec("uvicorn"):
        import uvicorn

        uvicorn.run(app)
    else:
        print("pip install uvicorn, and this script serves at http://localhost:8000/docs")
