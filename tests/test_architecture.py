"""What docs/architecture.md says of the code: who imports whom, and places that exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

#: Each imports from those before it, or from its own kind.
ORDER = [
    "fastnn.kernels.machine",
    "fastnn.kernels.layouts",
    "fastnn.kernels.laws",
    "fastnn.kernels.products",
    "fastnn.kernels.run",
    "fastnn.kernels.ways",
    "fastnn.kernels",
    "fastnn.network",
    "fastnn.pieces",
    "fastnn.system",
    "fastnn.progress",
    "fastnn.laws",
    "fastnn.reference",
    "fastnn.training",
    "fastnn.functional",
    "fastnn.conversion",
    "fastnn.initialization",
    "fastnn.tables",
    "fastnn.inference",
    "fastnn.export",
    "fastnn.graphs",
    "fastnn.chains",
    "fastnn.embedded",
    "fastnn.gradients",
    "fastnn.callbacks",
    "fastnn.checkpoints",
    "fastnn.estimators",
    "fastnn.foreign",
    "fastnn.many",
    "fastnn.tabular",
    "fastnn.ensembles",
    "fastnn.searches",
    "fastnn.displays",
    "fastnn.scores",
    "fastnn.model_files",
    "fastnn.warming",
    "fastnn.comparison",
    "fastnn.report",
    "fastnn.cli",
]


def place(name):
    """Where a module stands: that of the longest name in the order that it begins with."""
    kinds = [kind for kind in ORDER if name == kind or name.startswith(f"{kind}.")]
    return ORDER.index(max(kinds, key=len)) if kinds else None


def modules():
    for folder, package in (ROOT / "kernels", "fastnn.kernels"), (ROOT / "fastnn", "fastnn"):
        for file in sorted(folder.rglob("*.py")):
            parts = file.relative_to(folder).with_suffix("").parts
            if package == "fastnn" and parts[0] == "kernels":
                continue
            yield file, ".".join([package, *(part for part in parts if part != "__init__")])


def imported(file, module):
    """The modules of the package that a file imports, also within functions; not for types alone."""
    tree = ast.parse(file.read_text())
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.rsplit(".", node.level - 1)[0] if node.level else ""
            name = ".".join(part for part in (base, node.module) if part)
            yield from (f"{name}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize(("file", "module"), modules(), ids=lambda case: str(case) if isinstance(case, str) else "")
def test_imports_go_one_way(file, module):
    here = place(module)
    if here is None:
        assert module == "fastnn"  # which imports everything, when it is first used
        return
    above = [name for name in imported(file, module) if (other := place(name)) is not None and other > here]
    assert above == []


def test_the_places_that_the_page_names_exist():
    page = (ROOT / "docs" / "architecture.md").read_text()
    named = [name for name in re.findall(r"`([\w/.]+)`", page) if "/" in name and "NAME" not in name]
    assert len(named) > 15
    for name in named:
        assert (ROOT / name).exists(), name


def test_each_sort_of_law_is_named_in_its_table_alone():
    """Names of laws stand in kernels/laws, and where what users say is turned into defaults: nowhere else below."""
    for file, module in modules():
        if module.startswith(("fastnn.kernels.products", "fastnn.kernels.ways", "fastnn.kernels.run")):
            assert not re.search(r'"(relu|tanh|logistic|softmax|poisson|adam)"', file.read_text()), file
