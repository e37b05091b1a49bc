"""Every example in the README and in docs/ runs."""
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from sklearn.datasets import load_iris

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.S)
COMMANDS = re.findall(r"^fastnn (?:train|predict|info|warmup|bench)[^\n#]*", README, re.M)


def test_the_python_examples_run_and_print_what_they_say(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for example in EXAMPLES:
        exec(compile(example, "README.md", "exec"), names)
        promised = [float(number) for comment in re.findall(r"print\(.*# ([\d., ]+)$", example, re.M)
                    for number in comment.split(",")]
        printed = capsys.readouterr().out.split()
        if promised:
            assert [float(number) for number in printed] == [pytest.approx(number, abs=0.006) for number in promised]
    assert names["network"].predict(names["model"][0].transform(names["X_test"])).shape == names["y_test"].shape


def test_the_page_on_moving_from_scikit_learn_runs(capsys):
    page = (Path(__file__).parents[1] / "docs" / "from-scikit-learn.md").read_text(encoding="utf-8")
    names: dict = {}
    for example in re.findall(r"```python\n(.*?)```", page, re.S):
        exec(compile(example, "from-scikit-learn.md", "exec"), names)
    assert capsys.readouterr().out.split() == ["1.0", "True"]


def test_functional_and_reference_are_interchangeable_in_the_notes_example(capsys):
    example = next(example for example in EXAMPLES if "forward_propagation" in example).replace("10_000", "100")
    printed = []
    for module in ("functional", "reference"):
        exec(compile(example.replace("import functional", f"import {module}"), "README.md", "exec"), {})
        printed.append([float(number) for number in capsys.readouterr().out.split()])
    assert printed[0] == pytest.approx(printed[1], rel=1e-6)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_run(command, tmp_path_factory):
    folder = tmp_path_factory.getbasetemp() / "readme"          # one folder for all: they build on one another
    folder.mkdir(exist_ok=True)
    iris = load_iris(as_frame=True)
    iris.data.assign(species=pd.Series(iris.target_names[iris.target])).to_csv(folder / "flowers.csv", index=False)
    extra = {"train": ["--max-iter", "3", "--no-compare"],
             "bench": ["--runs", "1", "--seconds", "0.01", "--library", "fastnn"]}.get(command.split()[1], [])
    got = subprocess.run([sys.executable, "-m", "fastnn.cli", *shlex.split(command)[1:], *extra], cwd=folder,
                         capture_output=True, text=True, check=False)
    assert (got.returncode, got.stderr) == (0, "")


def test_the_layout_names_files_that_exist():
    layout = README[README.index("fastnn/        "):README.index("tests/          ")]
    for folder, files in re.findall(r"^(\w+)/ (.*?)(?=^\w|\Z)", layout, re.M | re.S):
        for file in re.findall(r"(?:^ {4}| )(\w+\.py)\b", files):
            assert (Path(__file__).parents[1] / folder / file).exists(), file
