"""The scripts in examples/ compute what they say, here with less of everything."""

import importlib
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
def example(request, monkeypatch):
    """The script that the test is named after, as a module: Numba finds what it has kept of it by that name."""
    monkeypatch.syspath_prepend(EXAMPLES)
    return importlib.import_module(request.node.name.split("[")[0].removeprefix("test_").partition("_says_")[0])


def test_all_scripts_are_here():
    named = {name.removeprefix("test_").partition("_says_")[0] for name in globals() if "_says_" in name}
    assert {file.stem for file in EXAMPLES.glob("*.py")} == named


def test_ode_says_where_the_pendulum_goes(example, capsys):
    truth, solutions = example.main(n_examples=500)
    assert len(solutions) == len(capsys.readouterr().out.splitlines()) >= 2
    for solution in solutions:
        assert abs(solution - truth)[:, 0].max() < 0.05, "of angles up to 2; it learned from 500 examples"
        # The solver is told to be right to 1e-8 a step, and all of them see the same network.
        np.testing.assert_allclose(solution, solutions[0], atol=1e-5)


def test_monte_carlo_says_how_many_break(example, capsys):
    compiled, by_numpy, truth = example.main(n_parts=500)
    assert compiled == by_numpy, "the same draws, the same network"
    assert abs(compiled - truth) <= 5, "one in a hundred parts"
    assert f"{compiled} of 500 parts break" in capsys.readouterr().out


def test_tree_search_says_how_long_the_ways_are(example, capsys):
    (moves_by_tiles, _), (moves, n_seen), shortest = example.main(n_boards=20)
    assert shortest <= moves < shortest + 3
    assert shortest <= moves_by_tiles
    assert n_seen < 1000, "of 181440"
    assert "the shortest ways" in capsys.readouterr().out


def test_search_says_who_was_stopped_and_who_is_best(example, capsys):
    search, ensemble, (alone, together) = example.main(n_rows=400, max_iter=30)
    stopped = search.cv_results_["stopped_epoch"]
    # A third of 18 goes on, then a third of 6; 36 epochs never come.
    assert sorted(stopped) == [0] * 2 + [4] * 12 + [12] * 4
    assert len(ensemble.estimators_) == 8
    assert min(alone, together) > 0.85
    assert f"the best network, in the test: {alone:.3f}" in capsys.readouterr().out


def test_online_control_says_how_far_from_upright(example, capsys):
    angles = example.main(n_steps=300)
    assert np.median(angles[:30]) > np.pi / 2
    assert np.median(angles[-100:]) < np.radians(10)
    assert "300000 predictions" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore")  # of shap, where that is installed
def test_explain_says_what_predictions_are_due_to(example, capsys):
    phi, expected, theirs = example.main(n_rows=10)
    # What is left is the error of the samples: some of a deviation of the predictions.
    np.testing.assert_allclose(phi.sum(axis=1), expected, atol=0.1 * expected.std())
    for values in theirs.values():
        assert np.corrcoef(values.ravel(), phi.ravel())[0, 1] > 0.97
    most_first = [line.split()[0] for line in capsys.readouterr().out.splitlines()[-10:]]
    assert {"bmi", "s5"} < set(most_first[:4]), "what is known of this table"


@pytest.mark.filterwarnings("ignore:Using `httpx`")  # there is a new one, which few have
def test_serve_says_the_probabilities(request, capsys):
    pytest.importorskip("fastapi")
    pytest.importorskip("httpx")
    from fastapi.testclient import TestClient

    example = request.getfixturevalue("example")
    client, X = TestClient(example.app), np.random.default_rng(0).normal(size=(5, 4))
    answer = client.post("/predict", json={"rows": X.tolist()})
    assert answer.status_code == 200
    assert answer.json()["classes"] == ["setosa", "versicolor", "virginica"]
    np.testing.assert_array_equal(answer.json()["probabilities"], example.model.predict_proba(X))
    for rows in [[1, 2]], [[1, 2, 3, 4], [1]], []:
        assert client.post("/predict", json={"rows": rows}).status_code == 422
    assert example.measure(n_calls=100)
    assert "threads at once are right: True" in capsys.readouterr().out
