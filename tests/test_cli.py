"""The command: what it prints and writes, and its one line where something is wrong."""

import contextlib
import gzip
import io
import json
import lzma
import re
import signal
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_diabetes, load_digits, load_iris
from sklearn.pipeline import make_pipeline

import fastnn
from fastnn import cli, tables
from fastnn.comparison import calls

QUICK = ["--hidden-layer-sizes", "8", "--max-iter", "4"]
FAST = ["--preset", "fast", "--hidden-layer-sizes", "16,16", "--max-iter", "20", "--learning-rate-init", "0.01"]


def run(*arguments):
    """The command in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as exit_:
        cli.main([str(argument) for argument in arguments])
    return SimpleNamespace(code=exit_.value.code or 0, out=out.getvalue(), err=err.getvalue())


def start(*arguments, **options):
    """The command in a process of its own."""
    command = [sys.executable, "-m", "fastnn.cli", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


@pytest.fixture(scope="module")
def flowers():
    """150 flowers: numbers, a category with gaps, a name for each row, and a target that is once missing."""
    iris = load_iris(as_frame=True)
    frame = iris.data.copy()
    frame["colour"] = np.where(np.arange(150) % 3 == 0, None, np.where(np.arange(150) % 2, "red", "blue"))
    frame["name"] = [f"flower {i}" for i in range(150)]
    frame["species"] = iris.target_names[iris.target].astype(object)
    frame.iloc[7, 0] = None
    frame.loc[5, "species"] = None
    return frame


@pytest.fixture(scope="module")
def folder(tmp_path_factory, flowers):
    """A folder with flowers.csv and, in run/, what training a plain network on it wrote."""
    folder = tmp_path_factory.mktemp("flowers")
    flowers.to_csv(folder / "flowers.csv", index=False)
    arguments = ["--target", "species", "--output", folder / "run", "--hidden-layer-sizes", "16", "--model", "mlp"]
    result = run("train", folder / "flowers.csv", *arguments, "--max-iter", 40, "--learning-rate-init", 0.02)
    assert result.code == 0, result.err
    (folder / "printed").write_text(result.out)
    return folder


@pytest.fixture(scope="module")
def tabular(folder):
    """The same folder with, in tabular/, what training on it with the usual model wrote."""
    result = run("train", folder / "flowers.csv", "--target", "species", "--output", folder / "tabular", *FAST)
    assert result.code == 0, result.err
    (folder / "printed-tabular").write_text(result.out)
    return folder


def test_digits_reach_97_percent_and_everything_is_written(tmp_path):
    command = start("train", cwd=tmp_path)
    out, err = command.communicate()
    assert (command.returncode, err) == (0, "")
    for word in ("1,293 train, 360 test, 144 validation", "64 - 256 - 128 - 10", "validation accuracy", "examples/s"):
        assert word in out
    table = out[out.index("in the test   ") :].splitlines()
    assert table[0].split() == ["in", "the", "test", "fastnn", "scikit-learn", "most", "frequent", "class"]
    assert [line[:20].strip() for line in table[2:6]] == ["accuracy", "balanced accuracy", "log loss", "AUC"]
    assert all(re.search(r"( +\d\.\d{4}){3} *$", line) for line in table[2:6])
    assert max(map(len, out.splitlines())) <= 80
    got = {path.name for path in (tmp_path / "fastnn-run").iterdir()}
    assert got == {"model.fastnn", "learning_curve.png", "report.html", "report.json"}
    report = json.loads((tmp_path / "fastnn-run/report.json").read_text())
    assert report["fastnn"]["test_score"] >= 0.97
    assert report["fastnn"]["epochs"] == report["scikit_learn"]["epochs"] == len(report["history"])


def test_a_model_of_digits_takes_pixels_as_scikit_learn_gives_them(tmp_path):
    assert run("train", "--output", tmp_path, "--max-iter", 20, "--no-compare").code == 0
    X, y = load_digits(return_X_y=True)
    assert fastnn.load(tmp_path / "model.fastnn").score(X, y) > 0.95
    pd.DataFrame(X[:5]).to_csv(tmp_path / "five.csv", index=False)
    got = run("predict", tmp_path / "model.fastnn", tmp_path / "five.csv", "--output", "-")
    expected = ["prediction", *(f"probability_{digit}" for digit in range(10))]
    assert list(pd.read_csv(io.StringIO(got.out))) == expected
    pd.DataFrame(X[:5, :3]).to_csv(tmp_path / "three.csv", index=False)
    got = run("predict", tmp_path / "model.fastnn", tmp_path / "three.csv")
    assert (got.code, got.err) == (2, "fastnn: the table has 3 columns, but this network expects 64\n")


def test_training_on_a_table_says_what_was_left_out_and_what_came_out(folder):
    printed = (folder / "printed").read_text()
    assert "flowers.csv: 3 classes" in printed
    assert re.search(r"^columns    4 numbers, 1 category \(colour\); left out: name \(.*\)$", printed, re.M)
    assert "note       rows left out because species is missing: 1\n" in printed
    assert "note       missing values, for which the median stands: sepal length (cm) (1)\n" in printed
    assert re.search(r"accuracy \d\.\d+ in the test", printed)


def test_the_report_holds_everything(folder):
    report = json.loads((folder / "run/report.json").read_text())
    assert report["data"]["classes"] == ["setosa", "versicolor", "virginica"]
    assert report["features"][-3:] == ["colour=blue", "colour=red", "colour=(missing)"]
    assert sum(report["examples"].values()) == 149
    assert report["parameters"]["max_iter"] == 40
    assert report["network"]["dtype"] == "float32"
    assert {"test_score", "seconds", "epoch_seconds", "compile_seconds", "examples_per_second"} <= set(report["fastnn"])
    columns = {"epoch", "loss", "validation_loss", "validation_score", "learning_rate", "seconds"}
    assert columns == set(report["history"][0])
    assert report["fastnn"]["test_score"] > 0.8


def test_the_report_has_all_scores_beside_those_of_the_most_frequent_class(folder):
    report = json.loads((folder / "run/report.json").read_text())
    expected = ["accuracy", "balanced accuracy", "log loss", "AUC"]
    assert all(list(report[name]["scores"]) == expected for name in ("fastnn", "scikit_learn", "baseline"))
    assert report["fastnn"]["test_score"] == report["fastnn"]["scores"]["accuracy"]
    assert report["baseline"]["guess"] == "most frequent class"
    assert report["baseline"]["scores"]["AUC"] == 0.5
    labels, counts = report["errors"]["labels"], np.array(report["errors"]["confusion_matrix"])
    assert labels == ["setosa", "versicolor", "virginica"]
    assert counts.sum() == report["examples"]["test"]
    assert np.trace(counts) / counts.sum() == pytest.approx(report["fastnn"]["test_score"])


def test_the_report_says_what_each_column_is(folder):
    columns = json.loads((folder / "run/report.json").read_text())["columns"]
    kinds = {column["name"]: column["kind"] for column in columns}
    assert kinds == dict.fromkeys(load_iris().feature_names, "number") | {"colour": "category", "name": "left out"}


def test_a_model_of_a_table_says_in_python_what_the_command_says(folder, flowers):
    model = fastnn.load(folder / "run/model.fastnn")
    assert list(model.named_steps) == ["encoder", "network"]
    got = run("predict", folder / "run/model.fastnn", folder / "flowers.csv", "--output", "-")
    printed = pd.read_csv(io.StringIO(got.out))
    for frame in (flowers, pd.read_csv(folder / "flowers.csv"), tables.read(folder / "flowers.csv").frame):
        assert model.predict(frame).tolist() == printed["predicted_species"].tolist()
        np.testing.assert_allclose(model.predict_proba(frame), printed.filter(like="probability"), rtol=1e-6)


def test_a_table_is_learned_by_a_tabular_model(tabular, flowers):
    printed, report = (
        (tabular / "printed-tabular").read_text(),
        json.loads((tabular / "tabular/report.json").read_text()),
    )
    assert "networks   2 of 16 - 16 units, mish, on pieces of the numbers\n" in printed
    assert re.search(r"^epoch      40/40  loss \d\.\d+  validation accuracy \d\.\d+$", printed, re.M)
    assert re.search(r"^trained    2 networks, 40 epochs in all, in [\d.]+ s, [\d,]+ examples/s$", printed, re.M)
    assert "scikit-learn" not in printed
    assert report["model"] == "TabularClassifier"
    assert (report["parameters"]["preset"], report["parameters"]["max_iter"]) == ("fast", 20)
    assert (report["fastnn"]["networks"], report["fastnn"]["epochs"], len(report["history"])) == (2, 40, 20)
    assert report["fastnn"]["test_score"] > 0.8
    assert {"loss", "validation_loss", "validation_score"} <= set(report["history"][0])
    model = fastnn.load(tabular / "tabular/model.fastnn")
    assert type(model) is fastnn.TabularClassifier
    n_inputs = len(model.embedding_.get_feature_names_out())
    assert report["network"] | {"networks": 2, "units": [n_inputs, 16, 16, 3]} == report["network"]
    for member in model.estimators_:
        assert report["network"]["parameters"] == 2 * sum(a.size for a in member.coefs_ + member.intercepts_)


def test_a_tabular_model_says_in_python_what_the_command_says(tabular, flowers):
    model = fastnn.load(tabular / "tabular/model.fastnn")
    got = run("predict", tabular / "tabular/model.fastnn", tabular / "flowers.csv", "--output", "-")
    assert (got.code, got.err) == (0, "")
    printed = pd.read_csv(io.StringIO(got.out))
    for frame in (flowers, pd.read_csv(tabular / "flowers.csv"), tables.read(tabular / "flowers.csv").frame):
        assert model.predict(frame).tolist() == printed["predicted_species"].tolist()
        np.testing.assert_allclose(model.predict_proba(frame), printed.filter(like="probability"), rtol=1e-6)


@pytest.mark.parametrize("before", [[], [fastnn.TableEncoder()]])
def test_a_tabular_model_of_python_predicts_at_the_command(tmp_path, flowers, before):
    X, y = flowers.drop(columns=["species", "name"]), flowers["petal width (cm)"].fillna(0)
    model = make_pipeline(*before, fastnn.TabularRegressor((8,), preset="fast", max_iter=2, random_state=0)).fit(X, y)
    fastnn.save(model, tmp_path / "m.fastnn")
    X.to_csv(tmp_path / "t.csv", index=False)
    got = run("predict", tmp_path / "m.fastnn", tmp_path / "t.csv", "--output", "-")
    assert (got.code, got.err) == (0, "")
    np.testing.assert_allclose(pd.read_csv(io.StringIO(got.out))["prediction"], model.predict(X), rtol=1e-6)


def test_the_picture_is_a_picture(folder):
    assert (folder / "run/learning_curve.png").read_bytes().startswith(b"\x89PNG")


def test_predictions_carry_the_name_of_the_target_and_a_probability_for_each_class(folder, flowers, monkeypatch):
    monkeypatch.chdir(folder)
    shuffled = flowers.drop(columns=["species", "name"])[["colour", *flowers.columns[:4]]].assign(other=1)
    shuffled.to_csv("new.csv", index=False)
    got = run("predict", "run/model.fastnn", "new.csv")
    assert (got.code, got.err) == (0, "")
    predictions = pd.read_csv("new-predictions.csv")
    classes = ("setosa", "versicolor", "virginica")
    assert list(predictions) == ["predicted_species", *(f"probability_{name}" for name in classes)]
    assert (predictions["predicted_species"] == flowers["species"]).mean() > 0.8
    np.testing.assert_allclose(predictions.iloc[:, 1:].sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("options", [["--preset", "fast"], ["--model", "mlp"]], ids=["tabular", "mlp"])
def test_a_regression_predicts_in_the_unit_of_its_target(tmp_path, options):
    diabetes = load_diabetes(as_frame=True, scaled=False).frame
    diabetes.to_csv(tmp_path / "d.csv", index=False)
    got = run("train", tmp_path / "d.csv", "--target", "target", "--output", tmp_path, "--no-compare", *options)
    assert "R^2" in got.out
    assert run("predict", tmp_path / "model.fastnn", tmp_path / "d.csv", "--output", tmp_path / "p.csv").code == 0
    predicted = pd.read_csv(tmp_path / "p.csv")["predicted_target"]
    assert abs(predicted.mean() - diabetes["target"].mean()) < 15
    assert np.corrcoef(predicted, diabetes["target"])[0, 1] > 0.6
    np.testing.assert_allclose(fastnn.load(tmp_path / "model.fastnn").predict(diabetes), predicted, rtol=1e-6)
    report = json.loads((tmp_path / "report.json").read_text())
    assert list(report["fastnn"]["scores"]) == list(report["baseline"]["scores"]) == ["R^2", "MAE", "RMSE"]
    assert report["baseline"]["guess"] == "mean"
    assert 20 < report["fastnn"]["scores"]["MAE"] < report["baseline"]["scores"]["MAE"] < 100  # of 25 to 346
    assert report["errors"]["residuals"]["0%"] < report["errors"]["residuals"]["50%"] < 100


@pytest.mark.parametrize("model", ["tabular", "mlp"])
@pytest.mark.parametrize(("mean", "spread"), [(1.7e9, 100), (0, 1e-30), (0, 1e60)])
def test_a_target_far_from_one_is_predicted_as_well_as_any(tmp_path, mean, spread, model):
    x = np.linspace(-1, 1, 200)
    pd.DataFrame({"x": x, "y": mean + spread * np.sin(2 * x)}).to_csv(tmp_path / "t.csv", index=False)
    arguments = ["--target", "y", "--output", tmp_path, "--no-compare", "--hidden-layer-sizes", 16]
    got = run("train", tmp_path / "t.csv", *arguments, "--learning-rate-init", 0.01, "--model", model)
    assert (got.code, got.err) == (0, "")
    score = json.loads((tmp_path / "report.json").read_text())["fastnn"]["test_score"]
    got = run("predict", tmp_path / "model.fastnn", tmp_path / "t.csv", "--output", "-")
    predicted = pd.read_csv(io.StringIO(got.out))["predicted_y"]
    residuals = (predicted - mean) / spread - np.sin(2 * x)
    assert score > 0.9
    assert 1 - residuals.var() / np.sin(2 * x).var() > 0.9
    assert len(set(predicted)) > 150


def test_a_model_saved_in_python_predicts_by_the_names_of_its_features(tmp_path):
    diabetes = load_diabetes(as_frame=True).data[["age", "bmi", "bp"]]
    model = fastnn.MLPRegressor(hidden_layer_sizes=(4,), max_iter=2, random_state=0)
    model.fit(diabetes, diabetes[["age", "bp"]])
    fastnn.save(model, tmp_path / "m")
    diabetes[["bp", "bmi", "age"]].assign(other="x").to_csv(tmp_path / "d.csv", index=False)
    got = run("predict", tmp_path / "m.fastnn", tmp_path / "d.csv", "--output", "-")
    assert (got.code, got.err) == (0, "")
    predicted = pd.read_csv(io.StringIO(got.out))
    assert list(predicted) == ["prediction_0", "prediction_1"]
    np.testing.assert_allclose(predicted, model.predict(diabetes), rtol=1e-6)


def test_a_user_decides_what_a_column_is(folder, tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"zone": rng.integers(1, 4, 200), "x": rng.random(200), "secret": rng.random(200)})
    frame.assign(y=frame["zone"] % 2).to_csv(tmp_path / "t.csv", index=False)
    arguments = ["--target", "y", "--output", tmp_path, "--no-compare", "--categorical", "zone", "--ignore", "secret"]
    got = run("train", tmp_path / "t.csv", *arguments, *QUICK)
    assert "1 category (zone), 1 number; left out: secret" in got.out
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["features"] == ["zone=1", "zone=2", "zone=3", "x"]
    assert [column["kind"] for column in report["columns"]] == ["category", "number", "left out"]


def test_a_user_decides_in_which_order_dates_are_written(tmp_path):
    rows = "".join(f"0{1 + i % 9}/0{1 + i % 7}/2024,{i % 2}\n" for i in range(60))
    (tmp_path / "t.csv").write_text("since,y\n" + rows)
    arguments = ["train", tmp_path / "t.csv", "--target", "y", "--output", tmp_path, "--no-compare", *QUICK]
    got = run(*arguments)
    assert got.code == 2
    assert "no value tells whether" in got.err
    assert "--date 'since=dmy'" in got.err
    assert "1 date (since)" in run(*arguments, "--date", "since=mdy").out
    assert fastnn.load(tmp_path / "model.fastnn").encoder_.columns_[0].form == "mdy"
    got = run(*arguments, "--date", "since")
    assert (got.code, got.err) == (
        2,
        "fastnn: --date is 'since', but a column and dmy, mdy or ymd is wanted, such as \"since=dmy\"\n",
    )


@pytest.mark.parametrize("separator", ["tab", "\\t", "\t", ";"])
def test_a_separator_that_is_given_is_used(tmp_path, separator):
    character = ";" if separator == ";" else "\t"
    rows = "".join(f"{i},{i % 7}{character}{i % 2}\n" for i in range(60))
    (tmp_path / "t.csv").write_text(f"a,b{character}y\n{rows}")
    got = run(
        "train",
        tmp_path / "t.csv",
        "--target",
        "y",
        "--separator",
        separator,
        "--decimal",
        ",",
        "--output",
        tmp_path,
        "--no-compare",
        *QUICK,
    )
    assert (got.code, got.err) == (0, "")
    assert json.loads((tmp_path / "report.json").read_text())["features"] == ["a,b"]
    got = run("predict", tmp_path / "model.fastnn", tmp_path / "t.csv", "--separator", separator, "--output", "-")
    assert (got.code, len(got.out.splitlines())) == (0, 61)


@pytest.mark.parametrize("model", ["run", "tabular"])
def test_predict_tells_what_is_unusual_on_standard_error(tabular, tmp_path, flowers, model):
    flowers.assign(**{"petal width (cm)": 1e6, "colour": "green"}).head(3).to_csv(tmp_path / "odd.csv", index=False)
    got = run("predict", tabular / model / "model.fastnn", tmp_path / "odd.csv", "--output", "-")
    assert got.code == 0
    assert len(pd.read_csv(io.StringIO(got.out))) == 3
    assert all(line.startswith("fastnn: note: ") for line in got.err.splitlines())
    assert "petal width (cm)" in got.err
    assert "green" in got.err


#: What takes long to import, and more besides.
HEAVY = ["sklearn", "scipy", "joblib", "threadpoolctl", "pandas", "pyarrow", "narwhals", "clevercsv", "rich"]


def test_predict_imports_nothing_that_it_does_not_need(tmp_path, flowers):
    table = flowers.drop(columns=["name", "species"])
    matrix = table.drop(columns="colour").fillna(0)
    kinds, width = flowers["species"].fillna("setosa"), matrix["petal width (cm)"]
    few = {"hidden_layer_sizes": (8,), "max_iter": 3, "random_state": 0}
    encoder, fast = fastnn.TableEncoder(), few | {"preset": "fast"}
    models = {
        "encoder": make_pipeline(encoder, fastnn.MLPClassifier(**few)).fit(table, kinds),
        "tabular-classes": fastnn.TabularClassifier(**fast).fit(table, kinds),
        "tabular-numbers": fastnn.TabularRegressor(**fast).fit(table, width),
        "matrix": fastnn.MLPRegressor(**few).fit(matrix.to_numpy(), width),
        "names": fastnn.MLPClassifier(**few).fit(matrix[::-1], kinds),
    }
    given = dict.fromkeys(models, table) | {"matrix": matrix, "names": matrix}
    calls = []
    for name, model in models.items():
        fastnn.save(model, tmp_path / name)
        given[name].head(20).to_csv(tmp_path / f"{name}.csv", index=False)
        files = [tmp_path / f"{name}{end}" for end in (".fastnn", ".csv", "-out.csv")]
        calls.append(["predict", str(files[0]), str(files[1]), "--output", str(files[2])])
    program = f"""
import sys
sys.modules.update(dict.fromkeys({HEAVY}))  # to import one of them is an error
from fastnn.cli import main
for call in {calls}:
    try:
        main(call)
    except SystemExit as ended:
        assert not ended.code
"""
    got = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (got.returncode, got.stderr) == (0, "")
    for name, model in models.items():
        told = pd.read_csv(tmp_path / f"{name}-out.csv")
        rows = given[name].head(20)
        rows = rows.to_numpy() if name == "matrix" else rows
        assert told.iloc[:, 0].tolist() == model.predict(rows).tolist()
        if hasattr(model, "predict_proba"):
            expected = model.predict_proba(rows)
            np.testing.assert_array_equal(told.iloc[:, 1:].to_numpy().astype(expected.dtype), expected)


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "CSV.XZ"])
def test_predictions_are_written_as_pandas_writes_them(tmp_path, ending):
    X = np.random.default_rng(0).normal(size=(300, 3)).astype(np.float32)
    y = np.array(['a "b", c', "d\ne", "", "nan", "é"])[np.arange(300) % 5]
    model = fastnn.MLPClassifier(hidden_layer_sizes=(8,), max_iter=50, random_state=0).fit(X, y)
    fastnn.save(model, tmp_path / "m")
    pd.DataFrame(X).to_csv(tmp_path / "t.csv", index=False)
    assert run("predict", tmp_path / "m.fastnn", tmp_path / "t.csv", "--output", tmp_path / f"got.{ending}").code == 0
    rows = X.astype(str).astype(float)
    columns = {"prediction": model.predict(rows)}
    columns |= {f"probability_{k}": p for k, p in zip(model.classes_, model.predict_proba(rows).T, strict=True)}
    pd.DataFrame(columns).to_csv(tmp_path / f"expected.{ending}", index=False)
    assert len(set(columns["prediction"])) > 2
    packed = {"gz": gzip.decompress, "XZ": lzma.decompress}.get(ending.rpartition(".")[2], bytes)
    got, expected = (packed((tmp_path / f"{name}.{ending}").read_bytes()) for name in ("got", "expected"))
    assert got == expected


def test_tables_come_through_pipes(folder, tmp_path):
    text = (folder / "flowers.csv").read_text()
    arguments = ["--target", "species", "--output", tmp_path, "--no-compare", *QUICK]
    command = start("train", "-", *arguments, stdin=subprocess.PIPE)
    out, err = command.communicate(text)
    assert (command.returncode, err) == (0, "")
    assert "standard input: 3 classes" in out
    command = start("predict", tmp_path / "model.fastnn", "/dev/stdin", stdin=subprocess.PIPE)
    out, err = command.communicate(text)
    assert (command.returncode, err) == (0, "")
    expected = run("predict", tmp_path / "model.fastnn", folder / "flowers.csv", "--output", "-")
    assert out == expected.out


def test_a_reader_that_has_enough_ends_predict_without_a_word(tmp_path, folder, flowers):
    pd.concat([flowers] * 300).to_csv(tmp_path / "many.csv", index=False)
    with start("predict", folder / "run/model.fastnn", tmp_path / "many.csv", "--output", "-") as command:
        assert command.stdout.readline().startswith("predicted_species,")
        command.stdout.close()
        assert command.stderr.read() == ""
    assert command.returncode == 1


def test_a_target_with_a_long_tail_gets_a_hint(tmp_path):
    rng = np.random.default_rng(0)
    z = rng.standard_normal(200)
    for name, y in (("wide", np.exp(2 * z)), ("even", z)):
        pd.DataFrame({"x": z + rng.random(200), "y": y}).to_csv(tmp_path / f"{name}.csv", index=False)
    hints = [
        re.findall(
            "^note .*logarithm.*--ignore y",
            run("train", tmp_path / f"{name}.csv", "--target", "y", "--output", tmp_path, "--no-compare", *QUICK).out,
            re.M,
        )
        for name in ("wide", "even")
    ]
    assert [len(found) for found in hints] == [1, 0]


def test_headings_in_any_alphabet_are_printed_where_the_terminal_has_none(tmp_path, monkeypatch):
    rows = "".join(f"{i},{i * 7 % 5},{'да' if i % 2 else 'нет'}\n" for i in range(60))
    (tmp_path / "t.csv").write_text("длина,größe,ответ\n" + rows, encoding="utf-8")
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    command = start("train", tmp_path / "t.csv", "--target", "ответ", "--output", tmp_path, "--no-compare", *QUICK)
    assert command.communicate()[1] == ""
    assert command.returncode == 0
    command = start("predict", tmp_path / "model.fastnn", tmp_path / "t.csv", "--output", "-", encoding="utf-8")
    out, err = command.communicate()
    assert (command.returncode, err) == (0, "")
    assert list(pd.read_csv(io.StringIO(out))) == ["predicted_ответ", "probability_да", "probability_нет"]


@pytest.mark.parametrize("option", ["--early-stopping", "--no-early-stopping"])
def test_there_is_a_validation_score_with_and_without_early_stopping(folder, tmp_path, option):
    arguments = ["--target", "species", "--output", tmp_path, "--model", "mlp", "--no-compare", option]
    assert run("train", folder / "flowers.csv", *arguments, *QUICK).code == 0
    history = json.loads((tmp_path / "report.json").read_text())["history"]
    assert [epoch["epoch"] for epoch in history] == [1, 2, 3, 4]
    assert all(0 <= epoch["validation_score"] <= 1 for epoch in history)


@pytest.mark.parametrize(
    ("target", "options", "parameters", "foreign"),
    [
        ("species", "--activation gelu", {"activation": "gelu"}, "activation='gelu'"),
        (
            "species",
            "--class-weight balanced --label-smoothing 0.1",
            {"label_smoothing": 0.1},
            "class_weight='balanced'",
        ),
        (
            "species",
            "--schedule cosine --warmup 0.1",
            {"learning_rate": "cosine", "warmup": 0.1},
            "learning_rate='cosine'",
        ),
        ("petal width (cm)", "--loss huber --max-time 60", {"loss": "huber", "max_time": 60}, "loss='huber'"),
    ],
    ids=str,
)
def test_what_scikit_learn_has_not_is_trained_and_not_compared(folder, tmp_path, target, options, parameters, foreign):
    arguments = ["--target", target, "--output", tmp_path, "--model", "mlp", *options.split(), *QUICK]
    got = run("train", folder / "flowers.csv", *arguments)
    assert got.code == 0, got.err
    assert f"not compared with scikit-learn, which has no {foreign}" in " ".join(got.out.split())
    kept = json.loads((tmp_path / "report.json").read_text())["parameters"]
    assert kept | parameters == kept
    assert fastnn.load(tmp_path / "model.fastnn")["network"].get_params().items() >= parameters.items()


def test_options_of_the_other_task_are_refused(folder, tmp_path):
    arguments = ["train", folder / "flowers.csv", "--output", tmp_path, "--target"]
    got = run(*arguments, "species", "--loss", "huber", "--model", "mlp")
    assert (got.code, got.err) == (2, "fastnn: --loss huber is for a regression, but this is a classification\n")
    for model in "mlp", "tabular":
        got = run(*arguments, "petal width (cm)", "--class-weight", "balanced", "--model", model)
        assert (got.code, got.err) == (2, "fastnn: --class-weight is for a classification, but this is a regression\n")


@pytest.mark.parametrize("model", cli.OWN_OPTIONS)
def test_options_of_the_other_model_are_refused(folder, tmp_path, model):
    values = {"solver": "sgd", "average": "ema", "init": "he", "loss": "huber", "schedule": "cosine", "preset": "fast"}
    values |= {"early_stopping": None, "compare": None}
    (other,) = cli.OWN_OPTIONS.keys() - {model}
    arguments = ["train", folder / "flowers.csv", "--target", "species", "--output", tmp_path / "run", "--model", model]
    for name in cli.OWN_OPTIONS[other]:
        value = values.get(name, "1")
        got = run(*arguments, cli.option_of(name), *([] if value is None else [value]))
        assert got.code == 2
        assert got.err.startswith(
            f"fastnn: {cli.option_of(name)} is for --model {other}, but this is --model {model}: "
        )
    assert not (tmp_path / "run").exists()


def test_help_says_which_model_an_option_is_of():
    described = " ".join(run("train", "--help").out.split())
    for model, names in cli.OWN_OPTIONS.items():
        for name in names:
            words = described.partition(f" {cli.option_of(name)} ")[2]
            words = words.partition(f" --no-{name.replace('_', '-')} ")[2] if words.startswith("/") else words
            assert re.match(rf"(<[\w|]+> )?Of {model}: ", words), (name, words[:80])


def test_a_preset_the_command_knows_is_one():
    from fastnn.tabular import PRESETS

    described = " ".join(run("train", "--help").out.split())
    assert f"--preset <{'|'.join(PRESETS)}> " in described


@pytest.mark.parametrize("model", ["tabular", "mlp"])
def test_the_same_seed_gives_the_same_model(folder, tmp_path, flowers, model):
    arguments = ["train", folder / "flowers.csv", "--target", "species", "--no-compare", "--model", model, *QUICK]
    for name in "ab":
        run(*arguments, "--output", tmp_path / name)
    a, b = (fastnn.load(tmp_path / name / "model.fastnn").predict_proba(flowers) for name in "ab")
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("model", "epochs"), [("tabular", "20/20"), ("mlp", "4/4")])
def test_a_terminal_gets_a_progress_bar(folder, tmp_path, monkeypatch, model, epochs):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    arguments = ["train", str(folder / "flowers.csv"), "--target", "species", "--output", str(tmp_path)]
    with contextlib.redirect_stdout(Terminal()) as terminal, pytest.raises(SystemExit):
        cli.main([*arguments, "--model", model, *QUICK])
    assert re.search(rf" {epochs}.*━.*loss .*validation accuracy", terminal.getvalue())


def test_an_interrupt_keeps_the_model_trained_so_far(tmp_path):
    command = start("train", "--hidden-layer-sizes", "800,800", "--output", tmp_path)
    for line in command.stdout:
        if line.startswith("epoch"):
            break
    command.send_signal(signal.SIGINT)
    out, err = command.communicate()
    assert (command.returncode, err) == (0, "")
    assert "interrupted: the model trained so far is kept" in out
    assert fastnn.load(tmp_path / "model.fastnn").n_features_in_ == 64
    assert json.loads((tmp_path / "report.json").read_text())["fastnn"]["interrupted"]


def test_an_interrupted_training_is_resumed(tmp_path):
    options = ["train", "--hidden-layer-sizes", "300,300", "--max-iter", "40", "--dropout", "0.1", "--no-compare"]
    assert run(*options, "--output", tmp_path / "whole").code == 0
    command = start(*options, "--output", tmp_path / "twice")
    for line in command.stdout:
        if line.startswith("epoch"):
            break
    command.send_signal(signal.SIGINT)
    out, _ = command.communicate()
    assert "the model trained so far is kept, and --resume goes on" in out
    other = run(*options, "--output", tmp_path / "twice", "--resume", "--alpha", "1")
    assert (other.code, "checkpoint of a training with other --alpha" in other.err) == (2, True)
    assert run(*options, "--output", tmp_path / "twice", "--resume").code == 0
    models = [fastnn.load(tmp_path / name / "model.fastnn") for name in ("whole", "twice")]
    for one, other in zip(*(model.coefs_ for model in models), strict=True):
        np.testing.assert_array_equal(one, other)
    reports = [json.loads((tmp_path / name / "report.json").read_text()) for name in ("whole", "twice")]
    assert len(reports[1]["history"]) == len(reports[0]["history"]) == 40
    assert not (tmp_path / "twice" / "checkpoint.safetensors").exists()
    again = run(*options, "--output", tmp_path / "twice", "--resume")
    assert (again.code, "no training was interrupted" in again.err) == (2, True)


def test_a_training_that_cannot_be_saved_is_not_lost(folder, tmp_path):
    options = ["train", folder / "flowers.csv", "--target", "species", "--output", tmp_path, *QUICK]
    (tmp_path / "model.fastnn").mkdir()
    got = run(*options)
    assert (got.code, got.err) == (2, f"fastnn: {tmp_path}/model.fastnn: Is a directory\n")
    (tmp_path / "model.fastnn").rmdir()
    assert run(*options, "--resume").code == 0
    assert (tmp_path / "model.fastnn").is_file()
    assert not (tmp_path / "checkpoint").exists()


@pytest.mark.parametrize("name", ["checkpoint", "checkpoint.safetensors"])
def test_a_file_of_the_user_that_is_called_as_a_checkpoint_is_not_removed(folder, tmp_path, name):
    (tmp_path / name).write_text("mine")
    model = "mlp" if name == "checkpoint" else "tabular"
    options = ["--target", "species", "--output", tmp_path, "--model", model, *QUICK]
    assert run("train", folder / "flowers.csv", *options).code == 0
    assert (tmp_path / name).read_text() == "mine"


def test_an_interrupted_training_on_a_table_is_resumed(folder, tmp_path):
    options = ["train", folder / "flowers.csv", "--target", "species", "--n-members", "3", "--max-iter", "300"]
    options = [*options, "--preset", "fast", "--dropout", "0.1"]
    assert run(*options, "--output", tmp_path / "whole").code == 0
    (tmp_path / "twice" / "checkpoint").mkdir(parents=True)
    (tmp_path / "twice" / "checkpoint" / "mine").touch()
    command = start(*options, "--output", tmp_path / "twice")
    for line in command.stdout:
        if line.startswith("epoch"):
            break
    command.send_signal(signal.SIGINT)
    out, err = command.communicate()
    assert (command.returncode, err) == (0, "")
    assert re.search(
        r"interrupted: (\d of 3 networks, as .*, are kept|the model .* is kept), and --resume goes on", out
    )
    assert json.loads((tmp_path / "twice/report.json").read_text())["fastnn"]["interrupted"]
    other = run(*options, "--output", tmp_path / "twice", "--resume", "--alpha", "1")
    assert (other.code, "checkpoint of a training with other --alpha" in other.err) == (2, True)
    other = run(*options[:4], "--model", "mlp", "--output", tmp_path / "twice", "--resume")
    assert (other.code, "but the training that was interrupted in" in other.err) == (2, True)
    assert "is of --model tabular" in other.err
    for option in ["--preset", "accurate"], ["--seed", "1"]:
        other = run(*options, "--output", tmp_path / "twice", "--resume", *option)
        assert (other.code, other.err.endswith(f"a training with other {option[0]}\n")) == (2, True)
    assert run(*options, "--output", tmp_path / "twice", "--resume").code == 0
    models = [fastnn.load(tmp_path / name / "model.fastnn") for name in ("whole", "twice")]
    for one, other in zip(*(model.estimators_ for model in models), strict=True):
        for coef, other_coef in zip(one.coefs_, other.coefs_, strict=True):
            np.testing.assert_array_equal(coef, other_coef)
    assert [path.name for path in (tmp_path / "twice/checkpoint").iterdir()] == ["mine"]
    again = run(*options, "--output", tmp_path / "twice", "--resume")
    assert (again.code, "no training was interrupted" in again.err) == (2, True)


def test_a_training_without_validation_says_so_and_why(tmp_path):
    labels = ["u", "v"] * 20
    pd.DataFrame({"a": range(40), "b": np.arange(40) % 7 / 3, "y": labels}).to_csv(tmp_path / "t.csv", index=False)
    got = run(
        "train", tmp_path / "t.csv", "--target", "y", "--output", tmp_path, "--scoring", "loss", "--seed", 1, *QUICK
    )
    assert (got.code, got.err) == (0, "")
    why = "there are 32, but 50 are the least"
    sentence = f"no rows to train are set aside to validate, because {why}: the last epoch counts"
    assert f"note       {sentence}; --scoring has no effect\n" in got.out
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["without_validation"] == sentence
    assert not {"scoring", "validation_fraction"} & set(report["parameters"])
    assert "validation_score" not in report["history"][0]
    assert f"<p>N{sentence[1:]}.</p>" in (tmp_path / "report.html").read_text()


def test_the_report_has_what_the_preset_decides(tabular):
    report = json.loads((tabular / "tabular/report.json").read_text())
    assert report["parameters"] | {"n_members": 2, "n_bins": 48, "max_iter": 20} == report["parameters"]
    assert report["without_validation"] is None
    page = (tabular / "tabular/report.html").read_text()
    assert '<th scope="row">n_bins</th><td>48</td>' in page
    assert '<th scope="row">n_members</th><td>2</td>' in page


def test_an_interrupted_page_says_how_many_networks_were_wanted():
    from fastnn.report import described_networks

    assert described_networks({"network": {"networks": 2}, "parameters": {"n_members": 3}}) == "2 of 3 networks, of "
    assert described_networks({"network": {"networks": 3}, "parameters": {"n_members": 3}}) == "3 networks of "
    assert described_networks({"network": {"networks": 1}, "parameters": {}}) == ""


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--n-bins", "0"], "2 of 8 units, mish"),
        (["--hidden-layer-sizes", "none"], "2 without hidden units, on pieces of the numbers"),
        (["--ignore", "a"], "2 of 8 units, mish"),
    ],
    ids=["no-pieces", "no-hidden", "no-numbers"],
)
def test_networks_are_described_as_they_are(tmp_path, options, line):
    pd.DataFrame({"a": np.arange(60) % 7 / 3, "c": ["u", "v", "w"] * 20, "y": ["p", "n"] * 30}).to_csv(
        tmp_path / "t.csv", index=False
    )
    arguments = ["--target", "y", "--output", tmp_path, "--preset", "fast", *QUICK, *options]
    assert f"networks   {line}\n" in run("train", tmp_path / "t.csv", *arguments).out


def test_an_interrupt_while_importances_are_computed_leaves_the_model_and_a_report(folder, tmp_path, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.Problem, "importances", interrupted)
    (tmp_path / "report.html").write_text("an older one")
    got = run("train", folder / "flowers.csv", "--target", "species", "--output", tmp_path, *QUICK)
    assert (got.code, got.err) == (0, "")
    assert "interrupted: the report is without the columns that matter" in got.out
    assert fastnn.load(tmp_path / "model.fastnn").classes_.tolist() == ["setosa", "versicolor", "virginica"]
    assert "Their computation was interrupted." in (tmp_path / "report.html").read_text()
    assert json.loads((tmp_path / "report.json").read_text())["importances"] is None


def test_classes_of_the_test_alone_are_told(tmp_path):
    labels = ["u"] * 60 + ["v"] * 60 + ["w"]
    pd.DataFrame({"a": np.arange(121) % 7 / 3, "y": labels}).to_csv(tmp_path / "t.csv", index=False)
    arguments = ["train", tmp_path / "t.csv", "--target", "y", "--output", tmp_path, *QUICK]
    note = "note       in the test alone, and so never predicted: w\n"
    assert note in run(*arguments, "--seed", 0).out
    assert note not in run(*arguments, "--seed", 1).out  # which has it in the part to train


def test_a_narrow_terminal_gets_all_scores(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "40")
    rows = [["in the test", "fastnn", "scikit-learn", "most frequent class"]]
    rows += [["balanced accuracy", "0.9123", "0.8456", "0.5789"], ["examples/s", "1,234,567", "345,678", ""]]
    cli.print_results(rows, 1)
    printed = capsys.readouterr().out
    assert all(cell in printed for row in rows[1:] for cell in row[1:])
    assert max(map(len, printed.splitlines())) <= 40


@pytest.mark.parametrize(("width", "words"), [(40, "loss 0.1235"), (120, "loss 0.1235  validation accuracy 0.5000")])
def test_a_progress_bar_of_any_width_counts(monkeypatch, width, words):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", str(width))
    epoch = SimpleNamespace(loss=0.12345678, validation_score=0.5)
    with contextlib.redirect_stdout(Terminal()) as terminal, cli.progress(640, "accuracy") as show:
        show(epoch, 640)
    assert re.search(f"epoch +640/640.*{words} .*0:00:00", terminal.getvalue())


def test_one_is_told_of_as_one(tmp_path):
    pd.DataFrame({"a": np.arange(60) % 7 / 3, "on": "True", "y": ["p", "n"] * 30}).to_csv(
        tmp_path / "t.csv", index=False
    )
    arguments = ["--target", "y", "--output", tmp_path, "--model", "mlp", "--no-compare", "--max-iter", 1]
    printed = run("train", tmp_path / "t.csv", *arguments).out
    assert "trained    1 epoch in " in printed
    assert "left out: on (always True)" in printed
    pd.DataFrame({"a": [1], "on": "True"}).to_csv(tmp_path / "one.csv", index=False)
    got = run("predict", tmp_path / "model.fastnn", tmp_path / "one.csv", "--output", tmp_path / "p.csv")
    assert ": 1 row of predicted_y, " in got.out


def test_a_training_that_begins_anew_says_what_it_removes(folder, tmp_path):
    model = fastnn.MLPClassifier((3,), max_iter=1, checkpoint=tmp_path / "checkpoint.safetensors")
    with pytest.warns(Warning, match="reached"):
        model.fit(np.eye(4), [0, 1, 0, 1])
    options = ["train", folder / "flowers.csv", "--target", "species", "--output", tmp_path, *QUICK]
    note = "note       removed: the state of a training interrupted here"
    assert note in run(*options).out
    assert note not in run(*options).out


def test_bench_prints_a_row_and_draws_a_picture(tmp_path):
    got = run(
        "bench",
        "small-tanh",
        "--library",
        "fastnn",
        "--library",
        "sklearn",
        "--runs",
        "1",
        "--seconds",
        "0.01",
        "--output",
        f"{tmp_path}/b.png",
    )
    assert (got.code, got.err) == (0, "")
    assert all(words in got.out for words in ("small-tanh", "fastnn ", "sklearn ", "of the peak", "x the best other"))
    assert (tmp_path / "b.png").stat().st_size > 1000


def test_bench_names_what_there_is():
    got = run("bench", "tiny")
    assert got.code == 2
    assert got.err.startswith("fastnn: no workload tiny: there are defaults, ")


def test_bench_of_calls_prints_a_row_and_draws_a_picture(tmp_path):
    options = [
        "--library",
        "fastnn",
        "--library",
        "sklearn",
        "--runs",
        1,
        "--seconds",
        0.001,
        "--output",
        tmp_path / "b.png",
    ]
    got = run("bench", "--calls", "fit-iris-1", "predict-wide-1", *options)
    assert (got.code, got.err) == (0, "")
    assert re.search(r"^fit-iris-1 +fastnn [\d.]+ \w+, sklearn [\d.]+ \w+ \([\d.]+ x\)", got.out, re.M)
    assert re.search(r"^predict-wide-1 +fastnn [\d.]+ \w+$", got.out, re.M)
    assert (tmp_path / "b.png").stat().st_size > 1000


def test_bench_of_calls_says_where_fastnn_is_slower(monkeypatch):
    times = {"fit-iris": {"fastnn": 1000.0, "sklearn": 5200.0}, "fit-digits": {"fastnn": 2e6, "sklearn": 1e6}}
    monkeypatch.setattr(calls, "measure", lambda call, libraries, n_runs, seconds: times[call.name])
    *_, iris, digits, slower = run("bench", "--calls", *times).out.splitlines()
    assert iris.split(maxsplit=1) == ["fit-iris", "fastnn 1 ms, sklearn 5.2 ms (5.2 x)"]
    assert digits.split(maxsplit=1) == ["fit-digits", "fastnn 2 s, sklearn 1 s (0.5 x), fastnn is slower"]
    assert slower.split() == ["slower", "fit-digits"]


def test_bench_of_calls_names_what_there_is():
    got = run("bench", "--calls", "defaults")
    assert got.code == 2
    assert got.err.startswith("fastnn: no call defaults: there are partial_fit-classifier-1, ")
    got = run("bench", "--calls", "predict-wide-1", "--library", "sklearn")
    assert got.code == 2
    assert got.err == "fastnn: predict-wide-1 is a call of fastnn, onnxruntime\n"


def test_bench_of_starts_prints_a_row():
    got = run("bench", "--start", "import", "help", "--runs", 1)
    assert (got.code, got.err) == (0, "")
    assert re.search(r"^import +fastnn [\d.]+ \w+, numpy [\d.]+ \w+ \([\d.]+ x\)", got.out, re.M)
    assert re.search(r"^help +fastnn [\d.]+ \w+$", got.out, re.M)


def test_bench_of_starts_has_a_unit_for_each_row_and_runs_a_program_once(monkeypatch):
    amounts = {"fit": {"fastnn": 0.5, "sklearn": 0.01}, "memory": {"fastnn": 40.0, "sklearn": 2.0}}
    measured = []

    def measure(program, libraries, n_runs):
        measured.append((libraries, n_runs))
        return amounts

    monkeypatch.setattr("fastnn.comparison.start.measure", measure)
    *_, memory, fit = run("bench", "--start", "memory", "fit").out.splitlines()
    assert memory.split(maxsplit=1) == ["memory", "fastnn 40.0 MiB, sklearn 2.0 MiB (0.05 x), fastnn is larger"]
    assert fit.split(maxsplit=1) == ["fit", "fastnn 500 ms, sklearn 10 ms (0.02 x), fastnn is slower"]
    assert measured == [(["fastnn", "sklearn"], 5)]


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such shell")
@pytest.mark.parametrize(
    ("closed", "said"),
    [(">&-", "--output is -, but standard output is closed"), ("<&-", "the table is -, but standard input is closed")],
)
def test_closed_streams_are_named(folder, tmp_path, closed, said):
    model = fastnn.save(fastnn.MLPRegressor(max_iter=1).fit(np.eye(4), np.arange(4.0)), tmp_path / "model.fastnn")
    table = "-" if closed == "<&-" else folder / "flowers.csv"
    got = subprocess.run(
        f'"{sys.executable}" -m fastnn.cli predict "{model}" "{table}" --output - {closed}',
        shell=True,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (got.returncode, got.stderr.strip()) == (2, f"fastnn: {said}")


def test_warmup_leaves_nothing_to_compile():
    assert run("warmup").code == 0
    assert "compiling" not in run("warmup").out
    program = (
        "import fastnn; from fastnn.kernels.machine import code; fastnn.warmup()\n"
        "of_one_kind = {'serve', 'number_for_c_single', 'number_for_c_double'}  # the others: float32, float64,\n"
        "of_one_kind |= {'train_pieces', 'predict_pieces'}  # but for those of tables, which are float32\n"
        "print([entry.__name__ for entry in code.ENTRIES.values()\n"
        "       if len(entry._codes) < (1 if entry.__name__ in of_one_kind else 2)])"
    )
    got = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert got.stdout.strip() == "[]"


def test_info_and_version_are_printed():
    assert len(run("info").out.splitlines()) >= 5
    assert run("--version").out == f"fastnn {fastnn.__version__}\n"


def test_without_arguments_the_commands_are_listed():
    got = run()
    assert got.code == 0
    assert all(name in got.out for name in ("train", "predict", "info"))


TABLES = {
    "good.csv": "a,b,y\n" + "".join(f"{i},{i % 5},{'uv'[i % 2]}\n" for i in range(40)),
    "empty.csv": "",
    "header.csv": "a,y\n",
    "twice.csv": "a,y,y\n" + "1,u,u\n2,v,v\n" * 10,
    "ragged.csv": "a,y\n1,2\n1,2,3\n",
    "binary.csv": "a,y\n\x00\x01,\x02\n",
    "one.csv": "a,y\n" + "1,u\n" * 20,
    "missing.csv": "a,y\n" + "1,\n" * 20,
    "infinite.csv": "a,y\n" + "1,2.5\n2,3.5\n" * 10 + "inf,0.5\n" * 20,
    "infinite-target.csv": "a,y\n" + "1,2.5\n" * 10 + "1,inf\n",
    "constant.csv": "a,y\n" + "1,2.5\n" * 10,
    "large.csv": "a,y\n" + "".join(f"{i % 7},{i}e300\n" for i in range(40)),
    "tiny.csv": "a,y\n1,u\n2,v\n3,u\n",
    "target-only.csv": "y\n" + "u\nv\n" * 10,
    "rare.csv": "a,y\n" + "1,u\n" * 20 + "2,v\n" + "3,w\n" * 20,
    "wide.csv": "a,y\n" + "".join(f"{i % 7},{i / 4}\n" for i in range(120)),
    "dates.csv": "d,y\n" + "1970-10-13,u\n1970-10-14,v\n" * 10,
    "lopsided.csv": "a,y\n" + "1,u\n" * 20 + "2,v\n",
}


@pytest.fixture(scope="module")
def bad(tmp_path_factory, folder):
    """A folder of tables and models that are no good, or good for what is asked of them."""
    bad = tmp_path_factory.mktemp("bad")
    for name, text in TABLES.items():
        (bad / name).write_text(text)
    (bad / "flowers.csv").write_text((folder / "flowers.csv").read_text())
    (bad / "folder").mkdir()
    (bad / "folder/model.fastnn").touch()
    pd.read_csv(bad / "good.csv").to_parquet(bad / "good.parquet")
    (bad / "noise.parquet").write_bytes(b"PAR1 and noise")
    model = (folder / "run/model.fastnn").read_bytes()
    (bad / "good.fastnn").write_bytes(model)
    (bad / "cut.fastnn").write_bytes(model[:-100])
    (bad / "text.fastnn").write_text("hello")
    return bad


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("train none.csv --target y", "no such file: none.csv"),
        ("train . --target y", ". is a folder, but a file is wanted"),
        ("train good.csv", "which column is to be predicted? --target may be 'a', 'b', 'y'"),
        ("train good.csv --target Y", "no column 'Y' (meant: 'y'?); the columns are 'a', 'b', 'y'"),
        ("train good.csv --target y --task regression", "target 'y' should hold numbers, but row 1 holds 'u'"),
        ("train infinite.csv --target y --task classification", "target 'y' holds 2.5, which is no class"),
        ("train empty.csv --target y", "empty.csv is empty"),
        ("train header.csv --target y", "header.csv has no rows"),
        ("train ragged.csv --target y", "ragged.csv, line 3: 3 fields"),
        ("train noise.parquet --target y", "noise.parquet cannot be read"),
        ("train binary.csv --target y", "binary.csv is no text"),
        ("train twice.csv --target y", "several columns are called 'y', the target: keep one"),
        ("train twice.csv --target y.1", "several columns are called 'y', the target: keep one"),
        ("train one.csv --target y", "target 'y' has one class only, u"),
        ("train missing.csv --target y", "target 'y' is missing in every row"),
        ("train infinite-target.csv --target y", "target 'y' is 2.5 in every row"),
        ("train constant.csv --target y", "target 'y' is 2.5 in every row"),
        ("train large.csv --target y", "too large to compute with"),
        ("train tiny.csv --target y", "3 usable rows are too few"),
        ("train target-only.csv --target y", "no column to learn from"),
        ("train rare.csv --target y --model mlp --early-stopping", "try --no-early-stopping"),
        ("train lopsided.csv --target y", "rows to train hold u: there is nothing to learn"),
        ("train --target y", "options that say what a table holds need DATA"),
        ("train --ignore y", "options that say what a table holds need DATA"),
        ("train good.csv --target y --ignore x", "no column 'x'; the columns are 'a', 'b', 'y'"),
        ("train good.csv --target y --ignore y", "--ignore 'y' is the target"),
        ("train good.csv --target y --numeric y", "--numeric 'y' is the target: try --task regression"),
        ("train good.csv --target y --categorical a --numeric a", "column 'a'"),
        ("train good.csv --target y --ignore a --ignore b", "no column to learn from"),
        ("train good.csv --target y --decimal x", "--decimal"),
        ("train --hidden-layer-sizes abc", "--hidden-layer-sizes is 'abc'"),
        ("train --hidden-layer-sizes 5,0", "--hidden-layer-sizes is '5,0'"),
        ("train --batch-size few", "--batch-size is 'few'"),
        ("train --batch-size 0", "--batch-size must be"),
        ("train --alpha -1", "--alpha must be"),
        ("train good.csv --target y --alpha -1", "--alpha must be"),
        ("train good.csv --target y --batch-size 0", "--batch-size must be"),
        ("train good.csv --target y --max-iter 0", "--max-iter must be"),
        ("train good.csv --target y --validation-fraction 2", "--validation-fraction is 2"),
        ("train good.csv --target y --scoring f2", "--scoring is 'f2', but loss, calibrated_loss, or a score"),
        ("train good.csv --target y --hidden-layer-sizes 99999999,99999999", "not enough memory: the network"),
        ("train good.csv --target y --preset best", "'best' is not one of 'accurate', 'fast'"),
        ("train good.csv --target y --model forest", "'forest' is not one of 'tabular', 'mlp'"),
        ("train good.csv --target y --model mlp --scoring f1", "--scoring f1 is what --early-stopping goes by"),
        ("train --model tabular", "--model tabular needs a table, DATA"),
        ("train --preset fast", "--preset is for --model tabular, but this is --model mlp"),
        ("train --alpha nan", "--alpha must be"),
        ("train --learning-rate-init 1e30 --solver sgd --max-iter 3", "non-finite"),
        ("train --max-iter 0", "--max-iter must be"),
        ("train --test-fraction 1", "--test-fraction is 1, but a number between 0 and 1 is wanted"),
        ("train --validation-fraction nan", "--validation-fraction is nan"),
        ("train --seed -1", "--seed"),
        ("train --activation glue", "--activation"),
        ("bench --calls fit-iris --seconds inf", "--seconds is inf, but a positive number is wanted"),
        ("bench defaults --seconds 0", "--seconds is 0.0, but a positive number is wanted"),
        ("bench --start --calls", "--calls, --start are 2 benchmarks: one of them is wanted"),
        ("bench --start --output a.png", "--output is for steps and calls, but this is --start"),
        ("bench --start --seconds 1", "--seconds is for steps and calls, but this is --start"),
        ("bench --start fit-iris", "no row fit-iris: there are fit, predict, memory, load, "),
        ("bench --start help --library sklearn", "help is a row of fastnn"),
        ("train --colour red", "--colour"),
        ("train --output good.csv", "good.csv: a file, but --output is to be a folder"),
        ("train --output good.csv/run", "good.csv/run: Not a directory"),
        ("train --hidden-layer-sizes 99999999999999999999", "not enough memory: the network would have 7,499,"),
        ("train --hidden-layer-sizes 99999999,99999999", "not enough memory: the network"),
        ("predict . good.csv", ".: Is a directory"),
        ("predict none.fastnn good.csv", "none.fastnn: No such file or directory"),
        ("predict none good.csv", "none: No such file or directory, nor none.fastnn"),
        ("predict cut.fastnn good.csv", "cut.fastnn is damaged or cut short"),
        ("predict text.fastnn good.csv", "text.fastnn is not a fastnn model file"),
        ("predict good.csv good.csv", "good.csv is not a fastnn model file"),
        ("predict good.fastnn none.csv", "no such file: none.csv"),
        ("predict good.fastnn good.csv", "no column 'sepal length (cm)', 'sepal width (cm)'"),
        ("predict good.fastnn", "Missing argument 'DATA'"),
        ("predict data", "Missing argument 'DATA'."),
        ("export none.fastnn --to onnx", "none.fastnn: No such file or directory"),
        ("export good.csv --to onnx", "good.csv is not a fastnn model file"),
        ("export good.fastnn", "Missing option '--to'"),
        ("export good.fastnn --to coreml", "'coreml' is not one of"),
        ("export good.fastnn --to onnx --dtype float16", "'float16' is not one of 'float32', 'float64'"),
        ("export good.fastnn --to onnx --opset 3", "--opset is 3, but a number from 13 to"),
        ("export good.fastnn --to onnx -o none/m.onnx", "none: No such file or directory"),
        ("export good.fastnn --to onnx -o .", ".: Is a directory"),
        ("export good.fastnn --to safetensors", "is for what train --model tabular has learned"),
        ("export good.fastnn --to onnx -o ./good.fastnn", "good.fastnn is the model itself"),
        ("export good --to c -o good.fastnn", "good.fastnn is the model itself"),
        ("predict good.fastnn good.csv --output ./good.csv", "good.csv is the table itself"),
        ("predict good good.csv --output good.fastnn", "good.fastnn is the model itself"),
        ("train good.csv --target y --no-early-stopping", "--no-early-stopping is for --model mlp"),
        ("train good.csv --target y --scoring r2", "--scoring r2 is for a regression, but this is a classification"),
        ("train wide.csv --target y --scoring accuracy", "--scoring accuracy is for a classification, but this is a r"),
        ("train wide.csv --target y --model mlp --loss focal", "--loss focal is for a classification, but this is a r"),
        (
            "train wide.csv --target y --validation-fraction 0.001",
            "--validation-fraction 0.001 sets aside 1 of 96 rows",
        ),
        ("train wide.csv --target y --validation-fraction 0.999", "--validation-fraction 0.999 sets aside 96 of 96"),
        ("train wide.csv --target y --model mlp --validation-fraction 0.999", "sets aside 96 of 96"),
        ("train good.csv --target y --target a", "--target is given more than once (y, a)"),
        ("train good.parquet --target y --separator ;", "good.parquet is a Parquet file, which has no separator"),
        ("predict folder good.csv", "folder: Is a directory (meant: folder/model.fastnn?)"),
        ("export folder --to onnx", "folder: Is a directory (meant: folder/model.fastnn?)"),
        ("train --seed -1", "greater than or equal to 0, but it is '-1'"),
        ("train good.csv --target y --n-members=two", "Invalid value for '--n-members': "),
        ("train good.csv --target y --n-members=two", ", but it is 'two'"),
        (
            "train dates.csv --target y --date d=dmy",
            "of the order dmy, but '1970-10-13', '1970-10-14' (row 1): that is the order ymd",
        ),
        ("predict good.fastnn flowers.csv --output /dev/full", "/dev/full: No space left on device"),
        (
            "export good.fastnn --to c --name int",
            "--name is 'int', but an identifier of C is wanted, and that word means",
        ),
        ("train --solver lbfgs --schedule cosine", "--schedule has no effect with --solver lbfgs: leave it out"),
        ("train --solver lbfgs --early-stopping", "--early-stopping has no effect with --solver lbfgs: leave it out"),
        ("teach", "No such command 'teach'"),
    ],
)
def test_bad_input_gets_one_line_and_status_2(bad, monkeypatch, arguments, message):
    monkeypatch.chdir(bad)
    if arguments.startswith("train") and "--output" not in arguments:
        arguments += " --output run --no-compare"
    got = run(*arguments.split())
    assert got.code == 2
    assert got.err.startswith("fastnn: ")
    assert got.err.count("\n") == 1
    assert message.lower() in got.err.lower()
    assert "but it is ''" not in got.err


def test_a_model_is_exported_and_told_what_it_takes_and_gives(folder, flowers, tmp_path, monkeypatch):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.onnx").write_text("what is there is written over")
    got = run("export", folder / "run/model.fastnn", "--to", "onnx", "--opset", 17)
    assert (got.code, got.err) == (0, "")
    assert got.out.splitlines() == [
        "written    model.onnx",
        "           ONNX, opset 17: a multilayer perceptron of 7 - 16 - 3 units",
        "inputs     sepal length (cm) (n_samples, 1), double: a number; NaN where it is missing",
        "           sepal width (cm) (n_samples, 1), double: a number; NaN where it is missing",
        "           petal length (cm) (n_samples, 1), double: a number; NaN where it is missing",
        "           petal width (cm) (n_samples, 1), double: a number; NaN where it is missing",
        "           colour (n_samples, 1), string: a text; '' where it is missing",
        "outputs    label (n_samples), string: the class",
        "           probabilities (n_samples, 3), float: of each class",
    ]
    session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
    feeds = {
        column.name: flowers[[column.name]].fillna("").to_numpy(object)
        if column.type == "tensor(string)"
        else flowers[[column.name]].to_numpy(float)
        for column in session.get_inputs()
    }
    expected = fastnn.load(folder / "run/model.fastnn").predict(flowers)
    assert session.run(["label"], feeds)[0].tolist() == expected.tolist()


def test_an_export_to_standard_output_is_the_file_and_nothing_else(folder, tmp_path):
    onnx = pytest.importorskip("onnx")
    arguments = ["export", str(folder / "run/model.fastnn"), "--to", "onnx", "--dtype", "float64", "--output"]
    command = [sys.executable, "-m", "fastnn.cli", *arguments]
    got = subprocess.run([*command, "-"], capture_output=True, check=True)
    assert subprocess.run([*command, tmp_path / "m.onnx"], check=False, capture_output=True).returncode == 0
    assert got.stdout == (tmp_path / "m.onnx").read_bytes()
    onnx.checker.check_model(onnx.load_model_from_string(got.stdout))


def test_a_model_is_exported_to_c(folder, tmp_path):
    got = run("export", folder / "run/model.fastnn", "--to", "c", "--name", "flower", "--output", tmp_path / "flower.h")
    assert (got.code, got.err) == (0, "")
    assert "int flower_predict(const flower_row *" in got.out
    assert "int flower_test(void), with #define FLOWER_TEST\n" in got.out
    assert (tmp_path / "flower.h").read_text().count("flower_predict_proba(") > 1
    got = run("export", folder / "run/model.fastnn", "--to", "c", "--name", "1x", "--output", tmp_path / "x.h")
    assert (got.code, got.err.split(",")[0]) == (2, "fastnn: --name is '1x'")


def test_every_format_takes_a_tabular_model(flowers):
    pytest.importorskip("onnx")
    pytest.importorskip("safetensors")
    model = fastnn.TabularRegressor((5,), n_members=2, n_bins=4, max_iter=2).fit(
        flowers.drop(columns="name"), range(150)
    )
    told = {name: format_.make(model)[1] for name, format_ in cli.FORMATS.items()}
    assert told["onnx"][0][1].startswith("ONNX, opset 18: the mean of 2 multilayer perceptrons of ")
    assert any("void network_predict(const network_row *row, double *out)" in line for _, line in told["c"])
    assert ("", "1.1.2.weight (1, 5), float32") in told["safetensors"]


def test_a_model_is_exported_to_safetensors(tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy")
    model = fastnn.MLPRegressor(hidden_layer_sizes=(4,)).partial_fit(np.eye(3), np.arange(3.0))
    fastnn.save(model, tmp_path / "model.fastnn")
    file = tmp_path / "model.safetensors"
    got = run("export", tmp_path / "model.fastnn", "--to", "safetensors", "--output", file)
    assert got.out.splitlines()[1:3] == ["arrays     0.bias (4,), float64", "           0.weight (4, 3), float64"]
    np.testing.assert_array_equal(safetensors.load_file(file)["0.weight"], model.coefs_[0].T)
    got = run("export", tmp_path / "model.fastnn", "--to", "safetensors", "--opset", 18, "--output", file)
    assert (got.code, got.err) == (2, "fastnn: --opset is not for --to safetensors\n")


def test_an_export_without_onnx_says_what_to_install(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    got = run("export", folder / "run/model.fastnn", "--to", "onnx", "--output", tmp_path / "m.onnx")
    assert (got.code, got.err) == (2, 'fastnn: onnx is not installed: pip install "fastnn-mlp[onnx]"\n')
    assert not (tmp_path / "m.onnx").exists()


def test_a_missing_extra_is_named_with_what_installs_it(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    got = run("train", folder / "flowers.csv", "--target", "species", "--output", folder / "again")
    assert got.code == 2
    assert 'pip install "fastnn-mlp[cli]"' in got.err


def test_without_typer_the_command_says_what_to_install():
    code = "import sys; sys.modules['typer'] = None; import fastnn.cli"
    got = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert got.returncode == 2
    assert got.stderr.startswith("fastnn: typer is not installed")
    assert got.stderr.count("\n") == 1


def test_a_process_of_its_own_ends_with_status_2_and_no_traceback(tmp_path):
    command = start("train", tmp_path / "none.csv", "--target", "y", "--output", tmp_path / "run")
    out, err = command.communicate()
    assert (command.returncode, out) == (2, "")
    assert err == f"fastnn: no such file: {tmp_path / 'none.csv'}\n"


def test_what_a_column_is_does_not_depend_on_the_seed(tmp_path):
    random = np.random.RandomState(0)
    x = ["3,512", "4,512"] * 29 + ["3,512", "2,5"]
    frame = pd.DataFrame({"row": range(60), "x": x, "z": random.rand(60), "y": random.rand(60)})
    frame.loc[59, "y"] = None  # the row that shows the decimal mark has no target
    frame.to_csv(tmp_path / "t.csv", index=False)
    columns = []
    for seed in range(3):
        arguments = ["--target", "y", "--output", tmp_path / "run", "--seed", seed, "--no-compare", *QUICK]
        result = run("train", tmp_path / "t.csv", *arguments)
        assert result.code == 0, result.err
        columns.append(json.loads((tmp_path / "run/report.json").read_text())["columns"])
        assert "numbers with a decimal comma, such as 3,512, are in 'x'" in result.out
    assert [{c["name"]: c["kind"] for c in of_seed} for of_seed in columns] == [
        {"row": "left out", "x": "number", "z": "number"}
    ] * 3
