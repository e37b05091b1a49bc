"""What each part of the recipe for tables brings, by training parts alone: what `docs/tabular.md` shows.

    python ablation.py FOLDER RESULTS.jsonl [VARIANT ...]

FOLDER is that of `tabular.py`.  Of the training part of split 0 of each set, each of three seeds puts a quarter aside
to test, and takes 2000 other rows at most to train.  Errors, RMSE or log loss, are added to the file, one line for each
set, seed and variant; what is there already is not done again.  In the end there is a table: the geometric mean of each
variant's errors over those of "recipe", which comes first; by kinds of sets, and by seeds.  The test parts are not
looked at.
"""

import json
import sys
import time
import warnings
from pathlib import Path

import numpy as np
from tabular import errors, sets

from fastnn import TabularClassifier, TabularRegressor

warnings.simplefilter("ignore")

MOST, SEEDS = 2000, (0, 1, 2)
#: What is other than in the recipe.
VARIANTS = {
    "recipe": {},
    "24 pieces": {"n_bins": 24},
    "16 pieces": {"n_bins": 16},
    "96 pieces": {"n_bins": 96},
    "no pieces": {"n_bins": 0},
    "64 epochs": {"max_iter": 64},
    "256 epochs": {"max_iter": 256},
    "one member": {"n_members": 1},
    "three members": {"n_members": 3},
    "eight members": {"n_members": 8},
    "128-128 units": {"hidden_layer_sizes": (128, 128)},
    "64-64-64 units": {"hidden_layer_sizes": (64, 64, 64)},
    "256-256-256 units": {"hidden_layer_sizes": (256, 256, 256)},
    "256-256 units": {"hidden_layer_sizes": (256, 256)},
    "relu": {"activation": "relu"},
    "selu": {"activation": "selu"},
    "silu": {"activation": "silu"},
    "gelu": {"activation": "gelu"},
    "step size 0.002": {"learning_rate_init": 0.002},
    "step size 0.005": {"learning_rate_init": 0.005},
    "no decay": {"alpha": 0.0},
    "decay 0.01": {"alpha": 0.01},
    "decay 0.05": {"alpha": 0.05},
    "decay 0.1": {"alpha": 0.1},
    "decay 0.2": {"alpha": 0.2},
    "dropout 0.05": {"dropout": 0.05},
    "dropout 0.15": {"dropout": 0.15},
    "batches of 64": {"batch_size": 64},
    "batches of 256": {"batch_size": 256},
    "0.15 set aside": {"validation_fraction": 0.15},
    "a fifth set aside": {"validation_fraction": 0.2},
    "fast": {"preset": "fast"},
    "fast, three members": {"preset": "fast", "n_members": 3},
    "epochs by the log loss": {"scoring": "loss"},
}


def parts(load, seed):
    """The training part of split 0, cut in two."""
    X, y = load(0)[:2]
    order = np.random.RandomState(1000 + seed).permutation(len(y))
    test, train = order[: len(y) // 4], order[len(y) // 4 :][:MOST]
    return X.iloc[train].reset_index(drop=True), y[train], X.iloc[test].reset_index(drop=True), y[test]


def measured(load, seed, parameters):
    """Error and seconds."""
    X, y, X_test, y_test = parts(load, seed)
    is_classification = y.dtype.kind == "O" or (y.dtype.kind in "iub" and len(np.unique(y)) <= 30)
    model = (TabularClassifier if is_classification else TabularRegressor)(random_state=seed, **parameters)
    start = time.perf_counter()
    model.fit(X, y)
    seconds = time.perf_counter() - start
    found = [*errors(model, X_test, y_test, is_classification)]
    return {
        "kind": "classes" if is_classification else "numbers",
        "error": found[is_classification],
        "seconds": seconds,
    }


def main(folder, file, *names):
    names, path = ["recipe", *names], Path(file)
    done = {}
    if path.exists():
        for line in map(json.loads, path.read_text().splitlines()):
            done[line["variant"], line["set"], line["seed"]] = line
    for name in names:
        for of, load in sets(Path(folder)):
            for seed in SEEDS:
                if (name, of, seed) not in done:
                    line = {"variant": name, "set": of, "seed": seed, **measured(load, seed, VARIANTS[name])}
                    done[name, of, seed] = line
                    with path.open("a") as out:
                        print(json.dumps(line), file=out)
    print(f"{'':24} {'all':>7} {'numbers':>7} {'classes':>7} {'seconds':>7}   by seeds; by sets")
    for name in names[1:]:
        logs = {}
        for (variant, of, seed), line in done.items():
            base = done.get(("recipe", of, seed))
            if variant == name and base:
                seconds = np.log(line["seconds"] / base["seconds"])
                logs[of, seed] = line["kind"], np.log(line["error"] / base["error"]), seconds

        def mean(choose, logs=logs, place=1):
            chosen = [values[place] for key, values in logs.items() if choose(*key, values[0])]
            return np.exp(np.mean(chosen))

        kinds = [
            mean(lambda of, seed, kind, want=want: want in ("all", kind)) for want in ("all", "numbers", "classes")
        ]
        spent = mean(lambda of, seed, kind: True, place=2)
        seeds = " ".join(f"{mean(lambda of, s, kind, seed=seed: s == seed):.3f}" for seed in SEEDS)
        each = " ".join(
            f"{name_of} {mean(lambda of, s, kind, name_of=name_of: of == name_of):.3f}"
            for name_of in dict.fromkeys(of for of, _ in logs)
        )
        print(f"{name:24} " + " ".join(f"{value:7.3f}" for value in (*kinds, spent)) + f"   {seeds}; {each}")


if __name__ == "__main__":
    main(*sys.argv[1:])
