"""The page that `fastnn train` writes: what it says, that it needs nothing, and that names are text."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_diabetes
from sklearn.inspection import permutation_importance
from sklearn.pipeline import make_pipeline

from fastnn import MLPClassifier, MLPRegressor, TableEncoder, TabularClassifier, TabularRegressor, cli, scores

HOSTILE = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "a&b $x^2$ 漢字 \u202e\x01"]


class Page(HTMLParser):
    """Elements, attributes and visible text of a page."""

    def __init__(self, path):
        super().__init__()
        self.html = path.read_text(encoding="utf-8")
        self.tags, self.attributes, self.words = [], [], []
        self.feed(self.html)
        self.text = " ".join(" ".join(self.words).split())
        self.title = re.search("<title>(.*)</title>", self.html)[1]

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.words.append(data)


def train(folder, frame, target, *options):
    frame.to_csv(folder / "<b>t.csv", index=False)
    quick = ["--hidden-layer-sizes", "16", "--max-iter", "15", "--learning-rate-init", "0.02"]
    with pytest.raises(SystemExit) as end:
        cli.main(["train", str(folder / "<b>t.csv"), "--target", target, "--output", str(folder), *quick, *options])
    assert not end.value.code
    return Page(folder / "report.html"), json.loads((folder / "report.json").read_text())


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    """Three classes, decided by the first column; and the names of things are markup."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.standard_normal((300, 3)), columns=HOSTILE)
    X["kind"] = np.where(rng.random(300) < 0.5, "<u>one</u>", "two")
    labels = np.array(["<b>low", "$mid", "high\x02"])[np.digitize(X[HOSTILE[0]], [-0.5, 0.5])]
    return train(tmp_path_factory.mktemp("classes"), X.assign(**{"<i>y</i>": labels}), "<i>y</i>", "--model", "mlp")


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    frame = load_diabetes(as_frame=True, scaled=False).frame
    return train(tmp_path_factory.mktemp("numbers"), frame, "target", "--no-compare")


@pytest.mark.parametrize("kind", ["classes", "numbers"])
def test_a_page_needs_nothing_and_runs_nothing(kind, request):
    page, _ = request.getfixturevalue(kind)
    assert not {"script", "img", "iframe", "link", "object", "form", "u", "b", "i"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    sources = [value for name, value in page.attributes if name in ("src", "href", "xlink:href")]
    assert all(value.startswith(("#", "data:image/png")) for value in sources)
    assert "url(http" not in page.html
    ids = [value for name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("kind", ["classes", "numbers"])
def test_a_page_has_a_title_a_language_and_words_for_its_figures(kind, request):
    page, _ = request.getfixturevalue(kind)
    assert ("lang", "en") in page.attributes
    assert "&lt;b&gt;t.csv" in page.title
    figures = page.tags.count("svg")
    assert figures == page.tags.count("figure") == page.attributes.count(("role", "img"))
    assert figures == len([value for name, value in page.attributes if name == "aria-label" and value])
    assert "Learning curve of" in page.html


def test_names_show_as_the_text_that_they_are(classes):
    page, _ = classes
    for name in (
        *HOSTILE[:2],
        "a&b $x^2$ 漢字 \ufffd\ufffd",
        "<i>y</i>",
        "<b>low",
        "$mid",
        "high\ufffd",
        "'<u>one</u>'",
    ):
        assert name in page.text, name


def test_the_page_says_what_was_printed_and_what_was_read(classes):
    page, report = classes
    for name, score in report["fastnn"]["scores"].items():
        found = [report[run]["scores"][name] for run in ("scikit_learn", "baseline")]
        assert f"{name} {' '.join(f'{value:.4f}' for value in (score, *found))}" in page.text
    assert f"300 rows, {report['examples']['train']} to train, 60 to test, 24 to validate." in page.text
    assert "kind category '<u>one</u>', 'two'" in page.text
    assert "hidden_layer_sizes [16]" in page.text
    right = np.trace(report["errors"]["confusion_matrix"])
    assert f"Rows of the test, the fainter, the fewer: {right} of 60 are right." in page.text


def test_the_column_that_decides_matters_most(classes):
    page, report = classes
    found = report["importances"]
    assert (found["rows"], found["test_rows"], found["read"]) == (60, 60, 4)
    means = [column["mean"] for column in found["columns"]]
    assert found["columns"][0]["name"] == HOSTILE[0]
    assert means == sorted(means, reverse=True)
    assert means[0] > 0.3 > 0.1 > means[1]
    assert "of 5 times, on 60 of 60 rows of the test" in page.text


def test_a_regression_shows_its_residuals(numbers):
    page, report = numbers
    assert page.tags.count("figure") == 3
    assert f"R² {report['fastnn']['scores']['R^2']:.4f}" in page.text
    assert "Drawn are 89 of 89 rows." in page.text
    assert re.search(r"TabularRegressor: 5 networks of \d+ - 16 - 1 units, [\d,]+ parameters in float32", page.text)
    assert "learning_rate_init 0.02" in page.text
    assert "Means of 5 networks." in page.text
    assert f"between {report['errors']['residuals']['25%']:.4g} and" in page.text


def test_many_classes_and_columns_are_shortened(tmp_path):
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.standard_normal((400, 60)), columns=[f"column {i}" for i in range(60)])
    page, _ = train(tmp_path, X.assign(y=[f"class {i % 100}" for i in range(400)]), "y", "--no-compare")
    assert len(re.findall(r">class \d+<", page.html)) <= 2 * 30 + 2 * 10  # labels, and pairs that are confused
    assert page.html.count('class="bar"') == 20
    assert "60 columns, and how each was read" in page.text
    assert len(page.html) < 300_000


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor, TabularClassifier, TabularRegressor])
def test_importances_are_those_of_the_columns_of_the_table(kind):
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"x": rng.standard_normal(90), "kind": rng.choice(["a", "b", "c"], 90), "z": rng.random(90)})
    y = (X["x"] + (X["kind"] == "b") > 0.5).to_numpy().astype(int)
    encoder = TableEncoder()
    model = kind(hidden_layer_sizes=(8,), max_iter=60, learning_rate_init=0.02, random_state=0)
    if kind in (TabularClassifier, TabularRegressor):
        pipeline = model.fit(X, y)
        encoder, model = model.encoder_, cli.on_matrix(model)
    else:
        pipeline = make_pipeline(encoder, model).fit(X, y)
    expected = permutation_importance(pipeline, X, y, n_repeats=scores.REPEATS, random_state=3)
    got = scores.importances(model, encoder.transform(X), y, [1, 3, 1], seed=3)
    assert sorted(got["positions"]) == [0, 1, 2]
    # Each column is shuffled by a generator of its own, with the same seed: the order of columns does not matter.
    np.testing.assert_allclose(got["mean"], expected.importances_mean[got["positions"]], rtol=1e-6)
    np.testing.assert_allclose(got["std"], expected.importances_std[got["positions"]], rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("kind", [MLPRegressor, TabularRegressor])
def test_importances_of_much_are_those_of_a_part(monkeypatch, kind):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((500, 40)).astype(np.float32)
    model = kind(hidden_layer_sizes=(4,), max_iter=30, learning_rate_init=0.02, random_state=0).fit(X, X[:, 30])
    if kind is TabularRegressor:
        model = cli.on_matrix(model)
    monkeypatch.setattr(scores, "MOST_PRODUCTS", 1e6)
    got = scores.importances(model, X, X[:, 30], [1] * 40, seed=0)
    assert (got["rows"], len(got["mean"]), got["positions"][0]) == (200, 10, 30)
