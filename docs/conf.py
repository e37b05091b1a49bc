"""The documentation as a site: `sphinx-build -W --keep-going docs build/docs`; any warning ends it with an error.

Whoever reads the site needs no network: the theme brings its scripts and styles, and formulas are MathML, which
browsers draw themselves, in a font that is copied.
"""

from importlib.resources import files
from typing import Any

import typer
from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator
from typer.cli import get_docs_for_click

import fastnn
import fastnn.cli

project = html_title = "fastnn"
release = version = fastnn.__version__
copyright = "the fastnn developers"

extensions = ["myst_parser", "numpydoc", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.viewcode"]
exclude_patterns = ["_build"]
nitpicky = True  # a name in a cross-reference that nobody documents is a warning
nitpick_ignore_regex = [  # what others document, on sites of their own
    ("py:.*", r"(numba|numpy|pandas|scipy|sklearn)\..*"),
    ("std:ref", "(accuracy|r2)_score"),
]
smartquotes = False  # "relu" is typed so
pygments_dark_style = "monokai"
default_role = "autolink"  # `name` in a docstring: a link where there is such a thing, else a word

myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3  # links to a heading of a page, as they work in the repository

autodoc_member_order = "groupwise"
autodoc_typehints = "none"  # the docstrings tell types and shapes
numpydoc_show_class_members = False  # autodoc does
numpydoc_validation_checks = {
    "GL05",
    "GL06",
    "GL07",
    "GL08",  # sections: known ones, in their order, and there is a docstring at all
    "PR01",
    "PR02",
    "PR03",
    "PR04",  # the parameters of the signature, all, in its order, with their types
    "RT01",
    "SS01",  # what is returned, and a summary
}

numpydoc_validation_exclude = {
    r"fastnn\.Epoch$",  # a record: its attributes are its parameters
    r"fastnn\.embedded\.CompiledNetwork$",  # jit() makes it
    r"fastnn\.reference\.(as_array|check_|common_dtype|layer_sizes_of|loss_law)",  # imported there, not on its page
    r"fastnn\.reference\.[A-Z_]+$",  # tables, no functions
}

html_theme = "furo"
html_static_path = ["_static", str(files("ziamath") / "fonts" / "STIXTwoMath-Regular.ttf")]
html_css_files = ["site.css"]
html_math_renderer = "mathml"
html_show_sphinx = html_copy_source = False


def formula(self: HTML5Translator, node: nodes.math | nodes.math_block) -> None:
    """Write a formula as MathML: no script, no picture."""
    block = isinstance(node, nodes.math_block)
    mathml = tex2mathml(node.astext(), as_block=block)
    self.body.append(f'<div class="math">{mathml}</div>' if block else mathml)
    raise nodes.SkipNode


def options(app: Sphinx, docname: str, source: list[str]) -> None:
    """Have the program itself say what its options are."""
    if docname == "command":
        command = typer.main.get_command(fastnn.cli.app)
        context = command.make_context("fastnn", [], resilient_parsing=True)
        text = get_docs_for_click(obj=command, ctx=context, name="fastnn")
        source[0] += text[text.index("\n## ") :]


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_html_math_renderer("mathml", inline_renderers=(formula, None), block_renderers=(formula, None))
    app.connect("source-read", options)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
