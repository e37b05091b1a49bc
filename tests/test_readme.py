"""Every example in the README, in docs/ and in the docstrings runs."""

import doctest
import importlib
import pkgutil
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris

import fastnn

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {"README.md": README, **{path.name: path.read_text(encoding="utf-8") for path in ROOT.glob("docs/*.md")}}


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", page, re.S)


COMMANDS = dict.fromkeys(
    command.strip()
    for page in PAGES.values()
    for block in blocks(page, "sh")
    for command in re.findall(r"^fastnn [^\n#]*", block, re.M)
)


def docstrings():
    """The public and private docstrings that have examples; the kernels have none."""
    names = [
        module.name
        for module in pkgutil.walk_packages(fastnn.__path__, "fastnn.")
        if not module.name.startswith("fastnn.kernels")
    ]
    for name in names:
        for example in doctest.DocTestFinder().find(importlib.import_module(name), name):
            if example.examples:
                yield pytest.param(example, id=example.name)


def make_tables(folder):
    """The tables that the examples read."""
    iris = load_iris(as_frame=True)
    iris.data.assign(species=pd.Series(iris.target_names[iris.target])).to_csv(folder / "flowers.csv", index=False)
    rng = np.random.default_rng(0)
    houses = pd.DataFrame(
        {
            "area": rng.uniform(40, 200, 60).round(1),
            "rooms": rng.integers(1, 7, 60),
            "heating": rng.choice(["gas", "oil", "wood"], 60),
        }
    )
    houses["price"] = (2000 * houses["area"] + rng.normal(0, 1e4, 60)).round(2)
    houses.to_csv(folder / "houses.csv", index=False)


def same(printed, promised):
    try:
        return float(printed) == pytest.approx(float(promised), abs=0.006)
    except ValueError:
        return printed == promised


@pytest.mark.parametrize("name", [name for name, page in PAGES.items() if blocks(page, "python")])
def test_the_python_examples_of_a_page_run_and_print_what_they_say(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    make_tables(tmp_path)
    names: dict = {}
    for example in blocks(PAGES[name], "python"):
        exec(compile(example, name, "exec"), names)
        promised = [word for comment in re.findall(r"print\(.*# (.+)$", example, re.M) for word in comment.split(", ")]
        printed = capsys.readouterr().out.split()
        if promised:
            assert len(printed) == len(promised)
            assert all(map(same, printed, promised)), (printed, promised)
    if name == "README.md":
        assert names["network"].predict(names["model"][0].transform(names["X_test"])).shape == names["y_test"].shape


@pytest.mark.parametrize(("name", "example"), [(name, py) for name, page in PAGES.items() for py in blocks(page, "py")])
def test_the_examples_for_other_packages_run_where_those_are(name, example, tmp_path, monkeypatch):
    for package in re.findall(r"^(?:import|from) (\w+)", example, re.M):
        pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for block in [*blocks(PAGES[name], "python"), example]:
        exec(compile(block, name, "exec"), names)


@pytest.mark.parametrize("example", docstrings())
def test_the_examples_of_a_docstring_run_and_print_what_they_say(example, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told: list[str] = []
    assert doctest.DocTestRunner().run(example, out=told.append).failed == 0, "".join(told)


def test_functional_and_reference_are_interchangeable_in_the_notes_example(capsys):
    example = next(example for example in blocks(README, "python") if "forward_propagation" in example)
    example = example.replace("10_000", "100")
    printed = []
    for module in ("functional", "reference"):
        exec(compile(example.replace("import functional", f"import {module}"), "README.md", "exec"), {})
        printed.append([float(number) for number in capsys.readouterr().out.split()])
    assert printed[0] == pytest.approx(printed[1], rel=1e-6)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_run(command, tmp_path_factory):
    folder = tmp_path_factory.getbasetemp() / "readme"  # one folder for all: they build on one another
    folder.mkdir(exist_ok=True)
    make_tables(folder)
    extra = {
        "train": ["--max-iter", "3", "--no-compare"],
        "bench": ["--runs", "1", "--library", "fastnn", *([] if "--start" in command else ["--seconds", "0.01"])],
    }.get(command.split()[1], [])
    got = subprocess.run(
        [sys.executable, "-m", "fastnn.cli", *shlex.split(command)[1:], *extra],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (got.returncode, got.stderr) == (0, "")


def test_the_layout_names_files_that_exist():
    layout, root = README[README.index("fastnn/        ") : README.index("tests/          ")], Path(__file__).parents[1]
    for folder, lines in re.findall(r"^(\w+)/ (.*?)(?=^\w|\Z)", layout, re.M | re.S):
        for line in lines.splitlines():
            names = re.findall(r"\b(\w+(?:\.py|/))(?=[ ,:;]|$)", line)
            inside = names[0] if names and names[0].endswith("/") else ""
            for name in names:
                assert any((root / folder / part / name).exists() for part in ("", inside, "training")), name
