"""The page that ``fastnn train`` writes: one HTML file that needs no other, no network and no script."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterable, Sequence
from html import escape
from string import Template
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np

import fastnn

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from .displays import LearningCurveDisplay

SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
#: What XML has no place for, and what turns around the text that follows.
NO_TEXT = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
MOST_LABELS = 30  # that are written beside a confusion matrix, and numbers in a row of it
MOST_POINTS = 1000
LONGEST = 120  # letters of a name, or what else is in a table
MOST_BARS = 20
INTERRUPTED = "Their computation was interrupted."
MOST_ROWS = 30  # of a table that is not folded

PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>$title</title>
<style>
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 62rem; margin: 0 auto; padding: 1rem; overflow-wrap: anywhere; }
h1 { margin: 0; line-height: 1.2; }
h2 { margin: 2.5rem 0 .5rem; font-size: 1.25rem; }
table { border-collapse: collapse; margin: .5rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .75rem .25rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid #8884; }
th, td { max-width: min(16rem, 40vw); overflow-wrap: break-word; }
th { font-weight: 600; }
tbody th { font-weight: 400; }
.numbers :is(th, td):not(:first-child) { padding: .25rem 0 .25rem clamp(.75rem, 2vw, 1.5rem); text-align: right; }
.bars td { white-space: nowrap; }
.bars td:last-child { width: 50%; }
.bar { display: block; height: .8rem; margin-top: .35rem; background: #4a86c5; }
.scroll { overflow-x: auto; }
.figures { display: flex; flex-wrap: wrap; gap: 1rem; }
figure { max-width: 100%; margin: 0; }
figure svg { max-width: 100%; height: auto; }
figcaption, .small { font-size: .875rem; opacity: .8; }
summary { cursor: pointer; }
@media (prefers-color-scheme: dark) { figure svg { filter: invert(1) hue-rotate(180deg); } }
</style>
</head>
<body>
<main>
$body
</main>
</body>
</html>
""")


def page(
    report: dict[str, Any],
    results: list[list[str]],
    curve: LearningCurveDisplay,
    true: NDArray[Any],
    predicted: NDArray[Any],
) -> str:
    """Write a report for people.

    Parameters
    ----------
    report : dict
        What `report.json` holds.
    results : list of list of str
        Scores and times, the headings first: "in the test", the libraries, the simplest guess.
    curve : LearningCurveDisplay
        Of the training.
    true, predicted : arrays of shape (n_rows,)
        The target in the test.

    Returns
    -------
    str
        HTML. What came with the data, such as names of columns, shows as the text that it is.
    """
    data, metric = report["data"], report["metric"].replace("R^2", "R²")
    name, target = data["name"], data["target"]
    kinds = f"{len(data['classes'])} classes" if data["classes"] else "a number"
    first_score = dict(zip(results[0][1:], results[1][1:], strict=False))
    about = f"{name}: {kinds}" if target is None else f"{target} of {name}: {kinds}"
    guess = report["baseline"]["guess"]
    run, network, system = report["fastnn"], report["network"], report["system"]
    examples = [f"{n:,} to {'validate' if part == 'validation' else part}" for part, n in report["examples"].items()]
    compiled = f", after {run['compile_seconds']:.3g} s of compilation" if run["compile_seconds"] else ""
    body = [
        f"<h1>{text(metric)} {text(first_score['fastnn'])}</h1>",
        paragraph(
            f"{about}. In {report['examples']['test']:,} rows put aside for the test, where always guessing the "
            f"{guess} reaches {first_score[guess]}."
        ),
        paragraph("The training was interrupted: this is the model as it was then.") if run["interrupted"] else "",
        paragraph(f"N{report['without_validation'][1:]}.") if report["without_validation"] else "",
        heading("Scores"),
        table([[cell.replace("R^2", "R²") for cell in row] for row in results], "numbers"),
        paragraph(
            f"The last column is what always guessing the {guess} would reach. fastnn had {run['threads']} threads of "
            f"{system['cpu']}{compiled}.",
            "small",
        ),
        heading("Training"),
        figures(
            (
                learning_curve(curve),
                curve_in_words(report, metric),
                f"Means of {network['networks']} networks." if network["networks"] > 1 else "",
            )
        ),
        heading("Mistakes" if data["classes"] else "Residuals"),
        mistakes(report["errors"]) if data["classes"] else residuals(true, predicted, report["errors"]),
        heading("Columns that matter"),
        *(importances(report["importances"], metric) if report["importances"] else [paragraph(INTERRUPTED)]),
        heading("Data"),
        paragraph(f"{name}: {sum(report['examples'].values()):,} rows, {', '.join(examples)}."),
        items(data["notes"]),
        columns(report),
        heading("Settings"),
        paragraph(
            f"{report['model']}: {described_networks(report)}"
            + f"{' - '.join(map(str, network['units']))} units, {network['parameters']:,} parameters in "
            f"{network['dtype']}."
        ),
        *settings(report),
        paragraph(f"fastnn {fastnn.__version__}; all numbers are in report.json.", "small"),
    ]
    return PAGE.substitute(title=text(f"{about} - fastnn"), body="\n".join(filter(None, body)))


def described_networks(report: dict[str, Any]) -> str:
    """How many networks there are, of how many that were wanted, if there are several."""
    n, wanted = report["network"]["networks"], report["parameters"].get("n_members", 1)
    if n < wanted:
        return f"{n} of {wanted} networks, of "
    return f"{n} networks of " if n > 1 else ""


def parameters(model: Any) -> dict[str, Any]:
    """The parameters of an estimator as they are in effect: in place of None, of what a preset decides, its values.

    Parameters
    ----------
    model : MLPClassifier, MLPRegressor, TabularClassifier or TabularRegressor

    Returns
    -------
    dict
    """
    found = model.get_params(deep=False)
    if "preset" in found:
        from .tabular import PRESETS

        found |= {name: value for name, value in PRESETS[found["preset"]].items() if found[name] is None}
    found.pop("encoder", None)  # of which the report has the columns
    return dict(found)


def clean(value: object, longest: int | None = None) -> str:
    """What can be shown of a text, in one line."""
    line = NO_TEXT.sub("\ufffd", " ".join(str(value).split()))
    return line if longest is None or len(line) <= longest else line[: longest - 1] + "…"


def text(value: object, longest: int | None = None) -> str:
    return escape(clean(value, longest))


def heading(title: str) -> str:
    return f"<h2>{text(title)}</h2>"


def paragraph(words: str, kind: str = "") -> str:
    return f'<p class="{kind}">{text(words)}</p>' if kind else f"<p>{text(words)}</p>"


def items(sentences: Sequence[str]) -> str:
    """A list, the end of a long one folded."""
    written = [f"<li>{text(sentence)}</li>" for sentence in sentences]
    shown, rest = written[:MOST_ROWS], written[MOST_ROWS:]
    more = [folded(f"{len(rest):,} notes more", "<ul>" + "".join(rest) + "</ul>")] if rest else []
    return "\n".join(["<ul>", *shown, "</ul>", *more]) if written else ""


def table(rows: Iterable[Sequence[object]], kind: str = "") -> str:
    """A table of texts; the first row and the first column are headings."""
    head, *body = [[text(cell, LONGEST) for cell in row] for row in rows]
    lines = [f'<div class="scroll"><table class="{kind}">', "<thead><tr>"]
    lines += [f'<th scope="col">{cell}</th>' for cell in head]
    lines += ["</tr></thead>", "<tbody>"]
    for first, *others in body:
        lines.append(f'<tr><th scope="row">{first}</th>' + "".join(f"<td>{cell}</td>" for cell in others) + "</tr>")
    return "\n".join([*lines, "</tbody></table></div>"])


def folded(title: str, content: str) -> str:
    return f"<details><summary>{text(title)}</summary>\n{content}\n</details>"


def figures(*drawn: tuple[Figure, str, str], beside: str = "") -> str:
    """Figures beside one another where there is room; each with what it shows in words, and a caption."""
    written = [
        f"<figure>{svg(figure, words)}" + (f"<figcaption>{text(caption)}</figcaption>" if caption else "") + "</figure>"
        for figure, words, caption in drawn
    ]
    return "\n".join(['<div class="figures">', *written, beside, "</div>"])


def svg(figure: Figure, words: str) -> str:
    """A figure as an element of HTML, narrower where there is no room, with its text as text."""
    import matplotlib

    with warnings.catch_warnings(), matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": words}):
        warnings.simplefilter("ignore")  # a letter that matplotlib's font has not: the browser has another font
        figure.savefig(
            written := io.StringIO(), format="svg", transparent=True, bbox_inches="tight", metadata={"Date": None}
        )
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", XLINK)
    root = ElementTree.fromstring(written.getvalue())
    for group in root.iter(f"{{{SVG}}}g"):
        group.attrib.pop("id", None)  # another figure has the same
    root.remove(root.find(f"{{{SVG}}}metadata"))  # type: ignore[arg-type]
    width = float(root.attrib.pop("width").removesuffix("pt")) / 12  # letters of 10 points are 13 pixels high then
    del root.attrib["height"]
    root.attrib |= {"role": "img", "aria-label": clean(words), "style": f"width: {width:.4g}rem"}
    return ElementTree.tostring(root, encoding="unicode")


def new_figure(width: float = 5, height: float = 4) -> Any:
    """A figure with letters as large as those of the page, and its axes."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained").add_subplot()


def learning_curve(curve: LearningCurveDisplay) -> Figure:
    return curve.plot(new_figure()).figure_


def curve_in_words(report: dict[str, Any], metric: str) -> str:
    history = report["history"]
    words = f"Learning curve of {len(history)} epochs: the loss goes from {history[0]['loss']:.3g} to "
    words += f"{history[-1]['loss']:.3g}"
    score = history[-1].get("validation_score")
    return words + ("." if score is None else f", the validation {metric} is {score:.3g} at the end.")


def mistakes(errors: dict[str, Any]) -> str:
    """Of a classification: the confusion matrix, and which classes are confused most often."""
    from sklearn.metrics import ConfusionMatrixDisplay

    labels, counts = errors["labels"], np.array(errors["confusion_matrix"])
    n, right = len(labels), int(np.trace(counts))
    names = [clean(label, 16).replace("$", r"\$") for label in labels]
    side, shown = min(3 + 0.2 * n, 8), range(0, n, -(-n // MOST_LABELS))
    ax = new_figure(side, side)
    size = np.clip(20 * side / len(shown), 5, 10)
    ConfusionMatrixDisplay(counts, display_labels=names).plot(
        ax=ax,
        include_values=len(shown) == n,
        cmap="Blues",
        colorbar=False,
        values_format="d",
        text_kw={"fontsize": size},
    )
    for axis in ax.xaxis, ax.yaxis:
        axis.set_ticks(shown, [names[i] for i in shown], fontsize=size)
    if max(map(len, names)) * len(shown) > 40:
        ax.tick_params(axis="x", rotation=90)
    words = f"{right:,} of {counts.sum():,} are right."
    confused = counts - np.diag(np.diag(counts))
    order = np.argsort(-confused, axis=None, kind="stable")[:10]
    pairs = [np.unravel_index(i, counts.shape) for i in order if confused.flat[i]]
    rows = [[labels[i], labels[j], f"{counts[i, j]:,}"] for i, j in pairs]
    often = table([["is", "was taken for", "rows"], *rows]) if n > 2 and rows else ""
    drawn = (
        ax.figure,
        f"Confusion matrix of {n} classes: {words}",
        f"Rows of the test, the fainter, the fewer: {words}",
    )
    return figures(drawn, beside=often)


def residuals(true: NDArray[Any], predicted: NDArray[Any], errors: dict[str, Any]) -> str:
    """Of a regression: what was predicted beside what is so."""
    from matplotlib.ticker import MaxNLocator
    from sklearn.metrics import PredictionErrorDisplay

    display = PredictionErrorDisplay(y_true=true[:MOST_POINTS], y_pred=predicted[:MOST_POINTS])
    drawn = []
    kinds = {"actual_vs_predicted": "on the line are those that are right", "residual_vs_predicted": "what is left"}
    for kind, caption in kinds.items():
        ax = new_figure()
        display.plot(ax, kind=kind, scatter_kwargs={"s": 10, "alpha": 0.5})
        for axis in ax.xaxis, ax.yaxis:
            axis.set_major_locator(MaxNLocator(6))
        ax.spines[["top", "right"]].set_visible(False)
        words = f"{kind.replace('_', ' ')}: {caption}.".capitalize()
        drawn.append((ax.figure, words, words))
    shares = errors["residuals"]
    return figures(*drawn) + paragraph(
        f"Drawn are {min(len(true), MOST_POINTS):,} of {len(true):,} rows. Half of the residuals are between "
        f"{shares['25%']:.4g} and {shares['75%']:.4g}, nine of ten between {shares['5%']:.4g} and {shares['95%']:.4g}."
    )


def importances(found: dict[str, Any], metric: str) -> list[str]:
    """Bars of the columns that matter most."""
    rows = found["columns"]
    most = max(rows[0]["mean"], 1e-12)
    lines = [
        '<div class="scroll"><table class="bars">',
        f'<thead><tr><th scope="col">column</th><th scope="col">{text(metric)} lost</th>',
    ]
    lines += ['<th scope="col"><span aria-hidden="true"></span></th></tr></thead>', "<tbody>"]
    for row in rows[:MOST_BARS]:
        width = 100 * max(row["mean"], 0) / most
        lines.append(
            f'<tr><th scope="row">{text(row["name"], LONGEST)}</th><td>{row["mean"]:.4f} ± {row["std"]:.4f}</td>'
            f'<td><span class="bar" style="width: {width:.1f}%"></span></td></tr>'
        )
    said = (
        f"How much lower the {metric} is when the values of a column are shuffled, so that they tell nothing: mean and "
        f"standard deviation of {found['repeats']} times, on {found['rows']:,} of {found['test_rows']:,} rows of the "
        "test. Of columns that say the same, each seems to matter less than both do."
    )
    if found["read"] > len(rows):
        said += f" Computed for the {len(rows):,} of {found['read']:,} columns with the largest weights."
    if len(rows) > MOST_BARS:
        said += f" Shown are the first {MOST_BARS}; the others have {rows[MOST_BARS]['mean']:.4f} or less."
    return ["\n".join([*lines, "</tbody></table></div>"]), paragraph(said, "small")]


def columns(report: dict[str, Any]) -> str:
    """What each column of the table was taken for."""
    rows = [[column["name"], column["kind"], column["detail"]] for column in report["columns"]]
    if not rows:
        return ""
    written = table([["column", "read as", "values"], *rows])
    return written if len(rows) <= MOST_ROWS else folded(f"{len(rows):,} columns, and how each was read", written)


def settings(report: dict[str, Any]) -> list[str]:
    """The parameters of the estimator, those that are not its defaults first."""
    defaults = parameters(getattr(fastnn, report["model"])())
    given, left = [["setting", "value"]], [["setting", "value"]]
    for name, value in report["parameters"].items():
        (left if value == defaults[name] else given).append([name, str(value)])
    return [table(given), folded(f"{len(left) - 1} more are as usual", table(left))]
