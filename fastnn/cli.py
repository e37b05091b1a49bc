"""The command `fastnn`: train a network on a table, predict with it, and say what this machine has."""

from __future__ import annotations

import errno
import io
import json
import math
import os
import re
import shlex
import shutil
import sys
import tempfile
import textwrap
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn, TextIO, TypeAlias

import fastnn
from fastnn.kernels.laws.activations import ACTIVATIONS
from fastnn.kernels.laws.losses import LOSSES

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from .displays import LearningCurveDisplay
    from .model_files import Model, Network
    from .tables import TableEncoder

INTERRUPTED = 130  # what a shell calls the end by Ctrl-C
MOST_PARAMETERS = 10**12  # some terabytes: no use to try
MOST_TOLD = 40  # inputs of an exported model, which may have thousands
LEFT_OUT = "left out"  # the kind of a column that is not read
EXTRA = ("typer", "rich", "pandas", "matplotlib", "clevercsv")


def fail(message: object) -> NoReturn:
    """Say in one line on stderr what was wrong, and end with exit status 2."""
    print("fastnn:", " ".join(str(message).split()), file=sys.stderr)
    raise SystemExit(2)


def option_of(parameter: str) -> str:
    return "--" + parameter.replace("_", "-")


def fail_interrupted() -> NoReturn:
    print("fastnn: interrupted", file=sys.stderr)
    raise SystemExit(INTERRUPTED)


def fail_without(module: str | None) -> NoReturn:
    fail(f'{module} is not installed, but the command needs it: pip install "fastnn-mlp[cli]"')


try:
    import typer
except ModuleNotFoundError as missing:
    fail_without(missing.name)
except KeyboardInterrupt:
    fail_interrupted()

if TYPE_CHECKING:
    OneOfTheActivations: TypeAlias = str
    OneOfTheLosses: TypeAlias = str
else:
    OneOfTheActivations = Literal[tuple(ACTIVATIONS)]
    OneOfTheLosses = Literal[*dict.fromkeys(name for name, _ in LOSSES if name != "log_loss")]

DATA = "CSV or Parquet file; - is standard input."
SEPARATOR = "Between the columns of a CSV file, such as ; or tab; found, if not given."


def column_option(what: str) -> Any:
    return typer.Option(metavar="COLUMN", help=f"{what} May be given again.", show_default=False)


# Plain help: in boxes on 80 columns, names of options are cut off.
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


def main(argv: list[str] | None = None) -> NoReturn:
    """Run the command; what the user can mend is told in one line, without a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a heading that the terminal has no letters for
    try:
        status = app(args=argv, prog_name="fastnn", standalone_mode=False)
        if status == INTERRUPTED:
            raise KeyboardInterrupt
        sys.exit(status)
    except ImportError as error:
        if error.name in EXTRA:
            fail_without(error.name)
        if "pip install" in str(error):
            fail(error)
        raise
    except (KeyboardInterrupt, typer.Abort):
        fail_interrupted()
    except BrokenPipeError:  # whoever reads, such as `head`, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is flushed at the end
        sys.exit(1)
    except MemoryError as error:
        fail(f"not enough memory: {error}" if str(error) else "not enough memory")
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}" if error.filename else error.strerror or error)
    except ValueError as error:  # a parameter of the estimator is an option here
        fail(re.sub(r"The '(\w+)' parameter of MLP\w+", lambda match: option_of(match[1]), str(error)))
    except Exception as error:
        if hasattr(error, "format_message"):  # the command line itself was wrong
            fail(error.format_message())
        raise


@app.callback(invoke_without_command=True)
def command(
    context: typer.Context, version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False
) -> None:
    """Multilayer perceptrons, trained on the CPU."""
    if version:
        print(f"fastnn {fastnn.__version__}")
    elif context.invoked_subcommand is None:
        print(context.get_help())


@app.command()
def train(
    data: Annotated[
        Path | None,
        typer.Argument(metavar="DATA", help=f"{DATA} Without it: scikit-learn's digits.", show_default=False),
    ] = None,
    target: Annotated[str | None, typer.Option(help="The column to predict.", show_default=False)] = None,
    task: Annotated[
        Literal["auto", "classification", "regression"], typer.Option(help="auto: as the target suggests.")
    ] = "auto",
    categorical: Annotated[list[str] | None, column_option("A column of categories.")] = None,
    numeric: Annotated[list[str] | None, column_option("A column of numbers.")] = None,
    date: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN=ORDER",
            help="A column of dates, and how they are written: dmy, mdy or ymd. May be given again.",
            show_default=False,
        ),
    ] = None,
    ignore: Annotated[list[str] | None, column_option("A column to leave out.")] = None,
    separator: Annotated[str | None, typer.Option(help=SEPARATOR, show_default=False)] = None,
    decimal: Annotated[
        Literal[".", ","] | None, typer.Option(help="What stands before the decimals; found, if not given.")
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder for model, picture and reports.")] = Path("fastnn-run"),
    hidden_layer_sizes: Annotated[str, typer.Option(help='Such as "100", "64,32" or "none".')] = "256,128",
    activation: Annotated[OneOfTheActivations, typer.Option(help="Of the hidden layers.")] = "relu",
    solver: Annotated[
        Literal["adam", "adamw", "nadam", "rmsprop", "sgd", "lbfgs"],
        typer.Option(help="How the weights follow the gradient."),
    ] = "adam",
    alpha: Annotated[float, typer.Option(help="Strength of the penalty.")] = 1e-4,
    l1_ratio: Annotated[float, typer.Option(help="Which part of the penalty is L1; the rest is L2.")] = 0.0,
    dropout: Annotated[float, typer.Option(help="Part of the hidden units that is left out in each step.")] = 0.0,
    input_dropout: Annotated[float, typer.Option(help="And of the inputs.")] = 0.0,
    clip_norm: Annotated[float | None, typer.Option(help="Norm of the gradient at most.", show_default=False)] = None,
    max_norm: Annotated[
        float | None, typer.Option(help="Norm of the weights of a hidden unit at most.", show_default=False)
    ] = None,
    average: Annotated[
        Literal["ema", "swa"] | None,
        typer.Option(help="Keep an average of the weights: exponential, or of the last quarter of the steps."),
    ] = None,
    init: Annotated[Literal["glorot", "he", "lecun", "orthogonal"], typer.Option(help="First weights.")] = "glorot",
    batch_size: Annotated[str, typer.Option(help="Examples in a step. auto: 200, or all if there are fewer.")] = "auto",
    learning_rate_init: Annotated[float, typer.Option(help="Learning rate.")] = 1e-3,
    loss: Annotated[
        OneOfTheLosses | None,
        typer.Option(help="Of a regression, or focal of a classification.", show_default="squared_error, log_loss"),
    ] = None,
    schedule: Annotated[
        Literal["constant", "plateau", "cosine", "one_cycle", "step", "coslog4"],
        typer.Option(help="What becomes of the learning rate."),
    ] = "constant",
    warmup: Annotated[float, typer.Option(help="Part of the steps in which the learning rate rises.")] = 0.0,
    class_weight: Annotated[
        Literal["balanced"] | None, typer.Option(help="Of a classification: rare classes count for more.")
    ] = None,
    label_smoothing: Annotated[
        float | None, typer.Option(help="Of a classification: what a label may be wrong by.", show_default="0")
    ] = None,
    max_iter: Annotated[int, typer.Option(help="Epochs at most.")] = 200,
    max_time: Annotated[float | None, typer.Option(help="Seconds at most.", show_default=False)] = None,
    early_stopping: Annotated[
        bool | None,
        typer.Option(
            "--early-stopping/--no-early-stopping",
            help="Stop when the validation score improves no more, and keep the best weights.",
            show_default="for a regression",
        ),
    ] = None,
    scoring: Annotated[
        str | None,
        typer.Option(
            help="What --early-stopping goes by: loss, or a score of scikit-learn.", show_default="accuracy, R^2"
        ),
    ] = None,
    validation_fraction: Annotated[float, typer.Option(help="Part of the training examples, to validate.")] = 0.1,
    test_fraction: Annotated[float, typer.Option(help="Part of all examples, for the test.")] = 0.2,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="For the split, the weights, the order.")] = 0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the training that was interrupted in this folder.")
    ] = False,
    compare: Annotated[bool, typer.Option(help="Do the same with scikit-learn's network, and compare.")] = True,
) -> None:
    """Train a network, test it, and write model, learning curve and reports into a folder.

    What each column is, a number, a category or a date, is found out, printed and kept with the model, and so is how it
    is scaled and what stands for a missing value. The task follows from the target.
    """
    from . import scores
    from .report import page

    parameters: dict[str, Any] = {
        "hidden_layer_sizes": parse_sizes(hidden_layer_sizes),
        "activation": activation,
        "solver": solver,
        "alpha": alpha,
        "l1_ratio": l1_ratio,
        "dropout": dropout,
        "input_dropout": input_dropout,
        "clip_norm": clip_norm,
        "max_norm": max_norm,
        "average": average,
        "init": init,
        "scoring": scoring,
        "batch_size": parse_batch_size(batch_size),
        "learning_rate_init": learning_rate_init,
        "learning_rate": schedule,
        "warmup": warmup,
        "max_iter": max_iter,
        "max_time": max_time,
        "validation_fraction": validation_fraction,
        "random_state": seed,
    }
    fractions = {"test": test_fraction, "validation": validation_fraction}
    for part, fraction in fractions.items():
        if not 0 < fraction < 1:
            raise ValueError(f"--{part}-fraction is {fraction:g}, but a number between 0 and 1 is wanted")
    make_folder(output)
    dates = parse_dates(date or [])
    columns = {"categorical": categorical or [], "numeric": numeric or [], "date": [*dates], "ignore": ignore or []}
    if data:
        source = read_table(data, target, task, columns, dates, separator, decimal)
    elif any([target, task == "regression", separator, decimal, *columns.values()]):
        raise ValueError("options that say what a table holds need DATA: without it, the digits are ten classes")
    else:
        source = digits()
    own: dict[str, dict[str, Any]] = {
        "classification": {
            "class_weight": class_weight,
            "label_smoothing": label_smoothing,
            "loss": loss if loss in ("focal",) else None,
        },
        "regression": {"loss": None if loss in ("focal",) else loss},
    }
    for kind, options in own.items():
        given = {name: value for name, value in options.items() if value is not None}
        if source.task == kind:
            parameters |= given
        elif given:
            raise ValueError(f"{option_of(next(iter(given)))} is for a {kind}, but this is a {source.task}")
    if early_stopping is None:
        # The accuracy of a few validation rows moves in steps, and stalls long before the network has learned.
        early_stopping = source.task == "regression"
    if scoring is not None and not early_stopping:
        raise ValueError(f"--scoring {scoring} is what --early-stopping goes by, which is wanted too")
    parameters["early_stopping"] = early_stopping
    if early_stopping:
        del fractions["validation"]  # the estimator takes its own
    problem = prepare(source, fractions, seed)
    X, y, classes = problem.X, problem.y, problem.classes
    if early_stopping:
        check_validation(y["train"], classes, validation_fraction)

    units = [X["train"].shape[1], *parameters["hidden_layer_sizes"], len(classes) if len(classes) > 2 else 1]
    n_parameters = sum((n_in + 1) * n_out for n_in, n_out in pairwise(units))
    if n_parameters > MOST_PARAMETERS:
        raise MemoryError(f"the network would have {n_parameters:,} parameters")
    say("data", f"{source.name}: " + (f"{len(classes)} classes" if classes else f"{target}, a number"))
    say("", ", ".join(f"{len(rows):,} {part}" for part, rows in X.items()) + " examples")
    if source.encoder:
        say("columns", described_columns(source.encoder))
    for note in first(source.notes):
        say("note", note)
    say("network", f"{' - '.join(map(str, units))} units, {activation}; {n_parameters:,} parameters in float32")

    model = (fastnn.MLPClassifier if classes else fastnn.MLPRegressor)(**parameters)
    compile_seconds = compile_kernels(model, problem)
    checkpoint = output / "checkpoint.safetensors"
    if resume and not checkpoint.exists():
        raise FileNotFoundError(f"--resume, but no training was interrupted in {output}: there is no {checkpoint.name}")
    if solver != "lbfgs":
        if not resume:
            checkpoint.unlink(missing_ok=True)
        model.checkpoint = checkpoint
    run = fit(model, problem)
    model.checkpoint = None
    if not run.interrupted:
        checkpoint.unlink(missing_ok=True)
    if not run.epochs:
        raise KeyboardInterrupt  # it came before the end of the first epoch: there is nothing to save
    system = fastnn.system_info()
    run.scores, run.threads = problem.scores(model), system["threads"]
    guess = scores.of_simplest_guess(problem.targets("train"), problem.targets("test"), classes)
    predicted = problem.predict(model)
    errors = scores.errors(problem.targets("test"), predicted, classes)
    problem.to_given_units(model)
    fastnn.save(source.model(model), output / "model.fastnn", target=target, task=source.task)
    say("trained", f"{run.epochs} epochs in {run.seconds:.3g} s, {run.examples_per_second:,.0f} examples/s")
    say("", f"loss {run.history['loss'][-1]:.4f}, {problem.metric} {run.test_score:.4f} in the test")
    if run.interrupted:
        say("", "interrupted: the model trained so far is kept" + ", and --resume goes on" * checkpoint.exists())

    curve = learning_curve(run, model, problem)
    draw(curve, f"{source.name}: {problem.metric} {run.test_score:.4f} in the test", output / "learning_curve.png")
    report = {
        "data": {"name": source.name, "target": target, "task": source.task, "classes": classes, "notes": source.notes},
        "columns": source.columns(),
        "features": problem.features,
        "examples": {part: len(rows) for part, rows in X.items()},
        "network": {"units": units, "parameters": n_parameters, "dtype": str(X["train"].dtype)},
        "parameters": model.get_params(),
        "metric": problem.metric,
        "fastnn": run.report() | {"compile_seconds": compile_seconds},
        "scikit_learn": None,
        "baseline": {"guess": problem.guess, "scores": guess},
        "errors": errors,
        "history": [
            {"epoch": i, **dict(zip(run.history, row, strict=True))}
            for i, row in enumerate(zip(*run.history.values(), strict=True), 1)
        ],
        "system": system,
    }
    write_json(report, output / "report.json")  # now: the comparison, which may take long, comes on top
    runs = {"fastnn": run}
    foreign = compare and not run.interrupted and foreign_to_scikit_learn(model)
    if foreign:
        say("note", f"not compared with scikit-learn, which has no {foreign}")
    elif compare and not run.interrupted:
        try:
            runs["scikit-learn"] = fit_scikit_learn(model, problem, run)
            report["scikit_learn"] = runs["scikit-learn"].report()
            write_json(report, output / "report.json")
        except KeyboardInterrupt:
            say("", "comparison interrupted")
    results = tabulated(runs, problem.guess, guess)
    print_results(results, len(guess))
    report["importances"] = problem.importances(model, seed)
    write_json(report, output / "report.json")
    html = page(report, results, curve, problem.targets("test"), predicted)
    (output / "report.html").write_text(html, encoding="utf-8")
    say("written", str(output / "report.html"))
    say("", "and beside it model.fastnn, learning_curve.png, report.json")


@app.command()
def predict(
    model_file: Annotated[Path, typer.Argument(metavar="MODEL", help="Model file that fastnn wrote.")],
    data: Annotated[Path, typer.Argument(metavar="DATA", help=DATA)],
    separator: Annotated[str | None, typer.Option(help=SEPARATOR, show_default=False)] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            help="CSV file to write; - is standard output.",
            show_default="DATA's name, -predictions.csv; standard output if DATA is a pipe",
        ),
    ] = None,
) -> None:
    """Predict the rows of a table; a classifier gives the probability of each class as well.

    A column is what it was when the model was trained. What is unusual in the table is told on standard error.

    The table may be larger than memory: it is gone through first, for what all rows decide, then read, predicted and
    written some thousand rows at a time. A large pipe is copied to a temporary file (TMPDIR says where). The file to
    write gets its name when it is complete.
    """
    from . import tables
    from .model_files import read
    from .tables.encoder import Unusual

    model, extra = read(model_file)
    encoder, network = (None, model) if not hasattr(model, "steps") else (model[0], model[-1])
    unusual = Unusual(encoder) if encoder else None
    wanted = getattr(network, "feature_names_in_", network.n_features_in_)
    name = f"predicted_{extra['target']}" if extra.get("target") else "prediction"
    if output is None:
        output = Path(f"{data.stem}-predictions.csv") if data.is_file() else Path("-")
    decimal = encoder.decimal if encoder else None
    notes: list[str] = []
    names: list[str] = []
    n = 0
    with complete_file(output) as file, row_counter(file) as show:
        for piece in tables.pieces(data, separator=named_separator(separator), decimal=decimal):
            try:
                X = unusual.transform(piece.frame) if unusual else tables.matrix(piece.frame, wanted)
                predictions = predicted(network, X, name)
            except ValueError as error:
                if not n:
                    raise
                raise ValueError(f"rows {n + 1:,} to {n + len(piece.frame):,}: {error}") from None
            predictions.to_csv(file, index=False, header=not n)
            file.flush()
            notes, names, n = piece.notes, [*map(str, predictions)], n + len(predictions)
            show(n)
    for note in first(notes + (unusual.sentences() if unusual else [])):
        print("fastnn: note:", note, file=sys.stderr)
    if output != Path("-"):
        print(f"{output}: {n} rows of {', '.join(names)}")


def predicted(network: Network, X: Any, name: str) -> pd.DataFrame:
    """What a network says of the rows of X, in columns of this name and of the classes."""
    import pandas as pd

    y = network.predict(X)
    columns = {name: y} if y.ndim == 1 else {f"{name}_{i}": column for i, column in enumerate(y.T)}
    if hasattr(network, "predict_proba"):
        probabilities = network.predict_proba(X).T
        columns |= {f"probability_{label}": p for label, p in zip(network.classes_, probabilities, strict=True)}
    return pd.DataFrame(columns)


def onnx_file(model: Model, **options: Any) -> tuple[bytes, list[tuple[str, str]]]:
    """An ONNX file, and what there is to know of it: labels and lines."""
    made = fastnn.to_onnx(model, **options)

    from onnx import TensorProto  # now: `to_onnx` says what to install

    def described(value: Any) -> str:
        of = value.type.tensor_type
        shape = ", ".join(dim.dim_param or str(dim.dim_value) for dim in of.shape.dim)
        return f"{value.name} ({shape}), {TensorProto.DataType.Name(of.elem_type).lower()}: {value.doc_string}"

    lines = [("", f"ONNX, opset {made.opset_import[0].version}: {made.doc_string}")]
    for label, values in ("inputs", made.graph.input), ("outputs", made.graph.output):
        told = [*map(described, values[:MOST_TOLD])]
        told += [f"and {len(values) - MOST_TOLD:,} more"] * (len(values) > MOST_TOLD)
        lines += zip([label, *[""] * len(told)], told, strict=False)
    return made.SerializeToString(), lines


def c_file(model: Model, name: str = "network") -> tuple[bytes, list[tuple[str, str]]]:
    """A header of C, and how it is used: labels and lines."""
    text = fastnn.to_c(model, name)
    declared = re.findall(
        rf"^static inline (.*\b{name}_(?:predict|predict_proba|encode|forward|test)\(.*\))", text, re.M
    )
    return text.encode(), [*zip(["functions", *[""] * len(declared)], declared, strict=False)]


def safetensors_file(model: Model) -> tuple[bytes, list[tuple[str, str]]]:
    """A safetensors file, and what is in it: labels and lines."""
    with tempfile.TemporaryDirectory() as folder:
        path = fastnn.to_safetensors(model, Path(folder) / "model.safetensors")
        data = path.read_bytes()

    from safetensors.numpy import load  # now: `to_safetensors` says what to install

    told = [f"{name} {array.shape}, {array.dtype}" for name, array in sorted(load(data).items())]
    return data, [*zip(["arrays", *[""] * len(told)], told, strict=False)]


@dataclass(frozen=True)
class Format:
    """What `fastnn export` writes.

    Parameters
    ----------
    ending : str
        Of its files.
    make : callable
        What makes the bytes of a file of a model, and lines (label, text) about it.
    options : tuple of str
        What that takes besides.
    """

    ending: str
    make: Callable[..., tuple[bytes, list[tuple[str, str]]]]
    options: tuple[str, ...] = ()


FORMATS = {
    "onnx": Format(".onnx", onnx_file, ("dtype", "opset")),
    "c": Format(".h", c_file, ("name",)),
    "safetensors": Format(".safetensors", safetensors_file),
}
if TYPE_CHECKING:
    OneOfTheFormats: TypeAlias = str
else:
    OneOfTheFormats = Literal[tuple(FORMATS)]


@app.command()
def export(
    model_file: Annotated[Path, typer.Argument(metavar="MODEL", help="Model file that fastnn wrote.")],
    to: Annotated[OneOfTheFormats, typer.Option("--to", help="What to write.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="File to write; - is standard output.", show_default="MODEL's name, with its ending"
        ),
    ] = None,
    dtype: Annotated[
        Literal["float32", "float64"] | None,
        typer.Option(help="What the network is computed in.", show_default="that of its parameters"),
    ] = None,
    opset: Annotated[int | None, typer.Option(help="Of onnx: the version of the operators.", show_default="18")] = None,
    name: Annotated[
        str | None, typer.Option(help="Of c: what all names in it begin with.", show_default="network")
    ] = None,
) -> None:
    """Write a model as other programs read it, and say what it takes and gives there."""
    from .model_files import read

    format_ = FORMATS[to]
    given = {"dtype": dtype, "opset": opset, "name": name}
    options = {option: value for option, value in given.items() if value is not None}
    if foreign := [option for option in options if option not in format_.options]:
        raise ValueError(f"{option_of(foreign[0])} is not for --to {to}")
    model, _ = read(model_file)
    if output is None:
        output = Path(f"{model_file.stem}{format_.ending}")
    read_from = model_file if model_file.is_file() else Path(f"{model_file}.fastnn")
    if output.is_file() and output.samefile(read_from):
        raise ValueError(f"{output} is the model itself: --output has to be another file")
    try:
        data, lines = format_.make(model, **options)
    except TypeError as error:  # a table, or labels, for which the format has no place
        raise ValueError(str(error)) from error
    with complete_file(output, is_text=False) as file:
        file.write(data)
    if output != Path("-"):
        say("written", str(output))
        for label, text in lines:
            say(label, text)


@contextmanager
def complete_file(path: Path, is_text: bool = True) -> Iterator[Any]:
    """A file to write, which stands under its name once it is complete; - is standard output."""
    from pandas.io.common import get_handle  # which compresses a file called .gz

    if path == Path("-"):
        if is_text and isinstance(sys.stdout, io.TextIOWrapper):  # a file, whatever the terminal speaks
            sys.stdout.reconfigure(encoding="utf-8", newline="")
        yield sys.stdout if is_text else sys.stdout.buffer
        return
    mode = "w" if is_text else "wb"
    target = path.resolve()  # a link stays one
    if path.exists() and not path.is_file():  # a device or a pipe; or a folder, which is refused
        with get_handle(path, mode, encoding="utf-8", is_text=is_text) as opened:
            yield opened.handle
        return
    if not target.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path.parent))
    with tempfile.TemporaryDirectory(prefix=".fastnn-", dir=target.parent) as folder:
        part = Path(folder) / target.name
        with get_handle(part, mode, encoding="utf-8", compression="infer", is_text=is_text) as opened:
            yield opened.handle
        os.replace(part, target)


@contextmanager
def row_counter(file: TextIO) -> Iterator[Callable[[int], None]]:
    """Tell on a terminal how many rows there are so far, unless they are written on it."""
    if not sys.stderr.isatty() or file.isatty():
        yield lambda n: None
        return

    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False) as bar:
        task = bar.add_task("going through the table")
        yield lambda n: bar.update(task, description=f"{n:,} rows")


@app.command()
def info() -> None:
    """Print versions, processor, SIMD width, threads, threading layer and cache folder."""
    facts = fastnn.system_info()
    for name, fact in facts.items():
        print(f"{name:{max(map(len, facts))}}  {fact}")


@app.command()
def warmup() -> None:
    """Compile all kernels now, so that no program has to wait for them later."""
    start = time.perf_counter()
    with fastnn.compilation(lambda name: say("compiling", name)):
        fastnn.warmup()
    say("ready", f"after {time.perf_counter() - start:.1f} s")


@app.command()
def bench(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME",
            help="Such as defaults or bench-mnist, with --calls fit-iris, with --options dropout; all, if none.",
            show_default=False,
        ),
    ] = None,
    calls: Annotated[bool, typer.Option("--calls", help="Time whole calls, such as fit and predict.")] = False,
    options: Annotated[
        bool, typer.Option("--options", help="Time what options of training cost a step, such as dropout.")
    ] = False,
    libraries: Annotated[
        list[str] | None, typer.Option("--library", help="One of those to compare; all installed.", show_default=False)
    ] = None,
    runs: Annotated[int, typer.Option(min=1, help="Interleaved runs of each.")] = 7,
    seconds: Annotated[
        float | None, typer.Option(help="Length of a run.", show_default="0.2; with --calls 0.02")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="A picture to write.", show_default=False)] = None,
) -> None:
    """Time training steps, or calls, beside other libraries, as far as they are installed, in one run."""
    if seconds is not None and not (math.isfinite(seconds) and seconds > 0):
        raise ValueError(f"--seconds is {seconds}, but a positive number is wanted")
    if options:
        if calls:
            raise ValueError("--options and --calls are two benchmarks: one of them is wanted")
        medians = bench_options(names, libraries, runs, 0.2 if seconds is None else seconds)
    elif calls:
        medians = bench_calls(names, libraries, runs, 0.02 if seconds is None else seconds)
    else:
        medians = bench_steps(names, libraries, runs, 0.2 if seconds is None else seconds)
    if output:
        draw_bench(medians, "call (of full batches: a step)" if calls else "training step", output)
        say("written", str(output))


def bench_steps(
    workloads: list[str] | None, libraries: list[str] | None, runs: int, seconds: float
) -> dict[str, dict[str, float]]:
    """Microseconds a step of each workload, for each library, printed as they come."""
    from .comparison import steps

    check_known("workload", workloads, list(steps.WORKLOADS))
    check_known("library", libraries, steps.installed())
    say_machine()
    say("", "microseconds a step, median of interleaved runs; in brackets the threads used, the best number")
    names = libraries or steps.installed()
    medians: dict[str, dict[str, float]] = {}
    for name in workloads or steps.WORKLOADS:
        workload = steps.WORKLOADS[name]
        timings = steps.measure([*names, "peak"], workload, n_runs=runs, seconds=seconds)
        best = steps.fastest(timing for timing in timings if timing.library != "peak")
        medians[name] = {library: best[library].median for library in names}
        row = [f"{library} {timing.median:,.1f} ({timing.n_used})" for library, timing in best.items()]
        if "fastnn" in best:
            ours = best["fastnn"]
            rivals = [median for library, median in medians[name].items() if library != "fastnn"]
            row.append(f"{steps.efficiency(ours, timings):.0%} of the peak")
            row += [f"{min(rivals) / ours.median:.2f} x the best other"] if rivals else []
        say(name if len(name) < 11 else name + " ", ", ".join(row))
    return medians


def bench_calls(
    names: list[str] | None, libraries: list[str] | None, runs: int, seconds: float
) -> dict[str, dict[str, float]]:
    """Microseconds of each call, for each library that knows it, printed as they come."""
    from .comparison import calls

    check_known("call", names, list(calls.CALLS))
    check_known("library", libraries, calls.installed())
    wanted = libraries or calls.installed()
    rows = {name: [library for library in calls.CALLS[name].libraries if library in wanted] for name in calls.CALLS}
    for name in names or []:
        if not rows[name]:
            raise ValueError(f"{name} is a call of {', '.join(calls.CALLS[name].libraries)}")
    say_machine()
    say("", "time of a call, median of interleaved runs; in brackets, how many times as long as fastnn")
    width = max(map(len, calls.CALLS))
    medians: dict[str, dict[str, float]] = {}
    slower = []
    for name in names or [name for name, known in rows.items() if known]:
        times = medians[name] = calls.measure(calls.CALLS[name], rows[name], runs, seconds=seconds)
        ours = times.get("fastnn")
        row = [
            f"{library} {duration(time)}" + (f" ({time / ours:.3g} x)" if ours and library != "fastnn" else "")
            for library, time in times.items()
        ]
        if ours and min(times.values()) < ours:
            slower.append(name)
            row.append("fastnn is slower")
        say(f"{name:{width}} ", ", ".join(row))
    if any(len(times) > 1 for times in medians.values()):
        say("slower", ", ".join(slower) or "nowhere")
    return medians


def bench_options(
    names: list[str] | None, libraries: list[str] | None, runs: int, seconds: float
) -> dict[str, dict[str, float]]:
    """Microseconds of a step without each option, with it, and with PyTorch's, printed as they come."""
    from .comparison import options
    from .comparison.steps import WORKLOADS

    check_known("option", names, list(options.OPTIONS))
    check_known("library", libraries, options.installed())
    say_machine()
    say("", "microseconds a step, median of interleaved runs; in brackets, more than without the option")
    medians: dict[str, dict[str, float]] = {}
    for name in names or options.OPTIONS:
        for workload in options.USUAL:
            option = options.OPTIONS[name]
            if WORKLOADS[workload].task in option.tasks:
                wanted = libraries or options.installed()
                times = options.measure(option, WORKLOADS[workload], wanted, n_runs=runs, seconds=seconds)
                row = [f"fastnn {times['fastnn']:,.1f} ({times['fastnn'] / times['plain'] - 1:+.0%})"]
                if "torch" in times:
                    row.append(f"torch {times['torch']:,.1f} ({times['torch'] / times['fastnn']:.3g} x)")
                say(f"{name}, {workload}: ", ", ".join(row))
                medians[f"{name}, {workload}"] = times
    return medians


def check_known(kind: str, wanted: list[str] | None, known: list[str]) -> None:
    if unknown := set(wanted or []) - set(known):
        raise ValueError(f"no {kind} {', '.join(sorted(unknown))}: there are {', '.join(known)}")


def say_machine() -> None:
    system = fastnn.system_info()
    say("machine", f"{system['cpu']}, {system['threads']} threads, {system['simd_bits']} bits")


def duration(microseconds: float) -> str:
    """Return a time in the unit that suits it."""
    for unit, length in ("us", 1.0), ("ms", 1e3):
        if microseconds < 999.5 * length:
            return f"{microseconds / length:.3g} {unit}"
    return f"{microseconds / 1e6:.3g} s"


@dataclass
class Source:
    """What is to be learned, as it was read: a table or a matrix, and its target.

    X has the rows whose target is missing, too: they show what a column is.
    """

    name: str
    task: str
    X: Any
    y: NDArray[Any]
    at: NDArray[np.intp]  # the row of X that each of y belongs to
    X_scale: float = 1.0
    encoder: TableEncoder | None = None  # of a table
    notes: list[str] = field(default_factory=list)

    def model(self, network: Network) -> Model:
        """A network with what stands before it: what takes X as it was given."""
        from sklearn.pipeline import Pipeline

        return Pipeline([("encoder", self.encoder), ("network", network)]) if self.encoder else network

    def columns(self) -> list[dict[str, str]]:
        """What each column of a table was taken for, for the report; empty for a matrix."""
        summary = self.encoder.summary() if self.encoder else []
        return [{"name": name, "kind": kind, "detail": detail} for name, kind, detail in summary]


@dataclass
class Problem:
    """What is to be learned, as a network takes it: X and y of each part ("train", "test" ...), scaled."""

    source: Source
    X: dict[str, NDArray[Any]]
    y: dict[str, NDArray[Any]]
    rows: dict[str, NDArray[Any]]  # of the source
    features: list[str]
    classes: list[Any]  # to train with, in their order; none in a regression
    y_mean: float = 0.0  # y is (target - y_mean) / y_scale
    y_scale: float = 1.0

    @property
    def metric(self) -> str:
        return "accuracy" if self.classes else "R^2"

    @property
    def guess(self) -> str:
        """What a network should be better than."""
        return "most frequent class" if self.classes else "mean"

    def targets(self, part: str) -> NDArray[Any]:
        """The targets as they were given."""
        return self.source.y[self.rows[part]]

    def predict(self, model: Any) -> NDArray[Any]:
        """What a model that was trained on this problem says of the test, as the targets were given."""
        predicted = model.predict(self.X["test"])
        return predicted if self.classes else predicted.astype(float) * self.y_scale + self.y_mean

    def scores(self, model: Any) -> dict[str, float]:
        """How good that is."""
        from . import scores

        true, predicted = self.targets("test"), self.predict(model)
        if not self.classes:
            return scores.of_numbers(true, predicted)
        return scores.of_classes(true, predicted, model.predict_proba(self.X["test"]), self.classes)

    def importances(self, model: Network, seed: int) -> dict[str, Any]:
        """Which columns of the source matter in the test, to a model in given units."""
        from . import scores

        encoder = self.source.encoder
        names = [column.name for column in encoder.columns_] if encoder else self.features
        widths = [len(column.outputs) for column in encoder.columns_] if encoder else [1] * len(names)
        found = scores.importances(model, self.X["test"] * self.source.X_scale, self.targets("test"), widths, seed)
        columns = [
            {"name": names[i], "mean": mean, "std": std}
            for i, mean, std in zip(found.pop("positions"), found.pop("mean"), found.pop("std"), strict=True)
        ]
        return found | {"test_rows": len(self.X["test"]), "read": len(names), "columns": columns}

    def to_given_units(self, model: Network) -> None:
        """Move the scales into the weights: the model then takes X as given, and answers in the target's unit."""
        model.coefs_[0] /= self.source.X_scale
        if not self.classes:  # the output is linear
            if abs(self.y_mean) > 1e3 * self.y_scale or not 1e-20 < self.y_scale < 1e20:
                # float32 has seven digits: it would round what was learned about 1.7e9 to hundreds.
                model.coefs_ = [coef.astype(float) for coef in model.coefs_]
                model.intercepts_ = [intercept.astype(float) for intercept in model.intercepts_]
            model.coefs_[-1] *= self.y_scale
            model.intercepts_[-1] *= self.y_scale
            model.intercepts_[-1] += self.y_mean


@dataclass
class Run:
    """One training: what it took and what came out."""

    epochs: int = 0
    n_samples: int = 0  # of an epoch
    seconds: float = 0.0  # of `fit`: epochs and early stopping's validation, but neither compilation nor display
    scores: dict[str, float] = field(default_factory=dict)  # in the test
    threads: int = 0  # that it may use
    interrupted: bool = False
    history: dict[str, list[float]] = field(default_factory=dict)  # see `MLPClassifier.history_`
    best_epoch: int | None = None  # the one whose weights early stopping has kept

    @property
    def examples_per_second(self) -> float:
        return self.n_samples * self.epochs / self.seconds

    @property
    def test_score(self) -> float:
        """The one that stands first, accuracy or R^2."""
        return next(iter(self.scores.values()))

    def report(self) -> dict[str, Any]:
        report = asdict(self) | {"test_score": self.test_score, "examples_per_second": self.examples_per_second}
        history = report.pop("history")
        return report | ({"epoch_seconds": sum(history["seconds"])} if history else {})


def parse_sizes(text: str) -> list[int]:
    sizes = [] if text == "none" else text.split(",")
    if not all(size.strip().isdecimal() and int(size) > 0 for size in sizes):
        raise ValueError(f'--hidden-layer-sizes is {text!r}, but sizes are wanted such as "100" or "64,32", or "none"')
    return [int(size) for size in sizes]


def parse_dates(texts: list[str]) -> dict[str, str]:
    dates = {}
    for text in texts:
        name, _, order = text.rpartition("=")
        if not name or order not in ("dmy", "mdy", "ymd"):
            raise ValueError(f'--date is {text!r}, but a column and dmy, mdy or ymd is wanted, such as "since=dmy"')
        dates[name] = order
    return dates


def parse_batch_size(text: str) -> str | int:
    if text != "auto" and not text.isdecimal():
        raise ValueError(f"--batch-size is {text!r}, but a number or auto is wanted")
    return text if text == "auto" else int(text)


def make_folder(path: Path) -> None:
    """Make the folder for the results, and find out whether it can be written before work is spent."""
    path.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=path):
        pass


def described_columns(encoder: TableEncoder) -> str:
    """How many columns are of which kind, the names of the few that are no numbers, and what is left out and why."""
    names: dict[str, list[str]] = {}
    for name, kind, detail in encoder.summary():
        names.setdefault(kind, []).append(f"{name} ({detail})" if kind == LEFT_OUT else name)
    left_out = names.pop(LEFT_OUT, [])
    parts = [
        f"{len(of_kind):,} {plural(kind, len(of_kind))}" + ("" if kind == "number" else f" ({shortened(of_kind)})")
        for kind, of_kind in names.items()
    ]
    return ", ".join(parts) + (f"; left out: {shortened(left_out)}" if left_out else "")


def plural(kind: str, n: int) -> str:
    return kind if n == 1 else kind[:-1] + "ies" if kind.endswith("y") else kind + "s"


def shortened(names: list[str], limit: int = 6) -> str:
    return ", ".join(names[:limit]) + (f" and {len(names) - limit:,} more" if len(names) > limit else "")


def first(notes: list[str], limit: int = 12) -> list[str]:
    """Not more than one can read: a table may have thousands of columns, and each something to be said of."""
    return notes if len(notes) <= limit else [*notes[: limit - 1], f"and {len(notes) - limit + 1:,} notes more"]


def named_separator(separator: str | None) -> str | None:
    """A tab is hard to type."""
    return "\t" if separator in ("tab", "\\t") else separator


def digits() -> Source:
    """scikit-learn's pictures of handwritten digits, 8 x 8 pixels from 0 to 16."""
    import numpy as np
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    return Source("scikit-learn's handwritten digits", "classification", X, y, np.arange(len(y)), X_scale=16)


def read_table(
    path: Path,
    target: str | None,
    task: str,
    columns: dict[str, list[str]],
    dates: dict[str, str],
    separator: str | None,
    decimal: str | None,
) -> Source:
    """A table and its target; `columns` are those that the user has decided about."""
    import numpy as np

    from . import scores, tables

    table = tables.read(path, separator=named_separator(separator), decimal=decimal)
    frame = table.frame
    if target is None:
        raise ValueError(f"which column is to be predicted? --target may be {tables.listed(frame.columns)}")
    tables.check_columns(frame, [target])
    if target in {*table.same_names, *table.same_names.values()}:
        raise ValueError(f"several columns are called {table.same_names.get(target, target)!r}, the target: keep one")
    for option, names in columns.items():
        tables.check_columns(frame, names)
        if target in names:
            advice = {"categorical": ": try --task classification", "numeric": ": try --task regression"}
            raise ValueError(f"--{option} {target!r} is the target{advice.get(option, '')}")
    if frame.shape[1] == 1:
        raise ValueError(f"no column to learn from: {path} has the target {target!r} only")
    told = {*columns["categorical"], *columns["ignore"], target}  # their marks are of no numbers
    numbers = frame[[column for column in frame if column not in told]]
    answer = tables.target(frame[target], task, decimal, others=numbers)
    name = "standard input" if path == Path("-") else str(path)
    source = Source(name, answer.task, frame.drop(columns=target), answer.y, np.flatnonzero(answer.rows))
    source.encoder = tables.TableEncoder(
        categorical=columns["categorical"],
        numeric=columns["numeric"],
        dates=dates,
        ignore=columns["ignore"],
        decimal=decimal,
    )
    source.notes = table.notes + answer.notes
    if n_left_out := int((~answer.rows).sum()):
        source.notes.append(f"rows left out because {target} is missing: {n_left_out:,}")
    if source.task == "regression" and scores.is_very_skewed(source.y):
        n_times = source.y.max() / np.median(source.y)
        source.notes.append(
            f"{target} is very skewed, the largest being {n_times:,.3g} times the median: its "
            f"logarithm may be easier to predict. Add a column with it, train on that with "
            f"--ignore {shlex.quote(target)}, and take the exponential of the predictions."
        )
    return source


def prepare(source: Source, fractions: dict[str, float], seed: int) -> Problem:
    """Split and scale: what a column is, all rows decide; how it is scaled, those to train."""
    import numpy as np

    rows = split(source.y, source.task, fractions, seed)
    y = {part: source.y[rows[part]] for part in rows}
    some = y["train"][0]
    alike = y["train"] == some if source.task == "classification" else abs(y["train"] - some) <= 1e-10 * abs(some)
    if alike.all():
        raise ValueError(f"all {len(y['train'])} rows to train hold {some}: there is nothing to learn")
    classes = np.unique(y["train"]).tolist() if source.task == "classification" else []
    if source.encoder is None:
        X = {part: (source.X[rows[part]] / source.X_scale).astype(np.float32) for part in rows}
        return Problem(source, X, y, rows, [f"x{i}" for i in range(source.X.shape[1])], classes)
    encoder = source.encoder.fit(source.X, rows=source.at[rows["train"]])
    source.notes += encoder.notes_
    filled = [column.name for column in encoder.columns_ if column.kind != "category"]
    missing = {name: n_missing(source.X[name]) for name in filled}
    if named := [f"{name} ({n:,})" for name, n in missing.items() if n]:
        source.notes.append(f"missing values, for which the median stands: {shortened(named)}")
    X = {part: encoder.transform(source.X.iloc[source.at[rows[part]]]) for part in rows}
    problem = Problem(source, X, y, rows, encoder.get_feature_names_out().tolist(), classes)
    if not classes:
        mean, scale = float(y["train"].mean()), float(y["train"].std())
        problem.y = {part: ((y[part] - mean) / scale).astype(np.float32) for part in rows}
        problem.y_mean, problem.y_scale = mean, scale
    return problem


def n_missing(column: pd.Series) -> int:
    """How many values a column has not, or has a sign instead that stands for none in every table."""
    from .tables.columns import MISSING

    return int((column.isna() | column.isin(list(MISSING))).sum())


def split(y: NDArray[Any], task: str, fractions: dict[str, float], seed: int) -> dict[str, NDArray[Any]]:
    """Row numbers of "train" and of each part in `fractions`, the classes as evenly as they can be."""
    import numpy as np
    from sklearn.model_selection import train_test_split

    rows = {"train": np.arange(len(y))}
    for part, fraction in fractions.items():
        left = rows["train"]
        counts = np.unique(y[left], return_counts=True)[1]
        n_part = math.ceil(fraction * len(left))
        if min(n_part, len(left) - n_part) < 2:
            least = "two to train, to validate and to test are the least"
            raise ValueError(f"{len(y)} usable rows are too few for these fractions: {least}")
        even = task == "classification" and counts.min() > 1 and len(counts) <= min(n_part, len(left) - n_part)
        rows["train"], rows[part] = train_test_split(
            left, test_size=fraction, random_state=seed, stratify=y[left] if even else None
        )
    return rows


def check_validation(y: NDArray[Any], classes: list[Any], fraction: float) -> None:
    """Early stopping puts some of each class aside: say so in the words of the command line."""
    n_validation = math.ceil(fraction * len(y))
    rare = [label for label in classes if (y == label).sum() < 2]
    advice = "try --no-early-stopping"
    if rare:
        raise ValueError(f"one row only to train for class {rare[0]}, but early stopping needs two: {advice}")
    if n_validation < max(2, len(classes)) or len(y) - n_validation < len(classes):
        raise ValueError(f"{n_validation} of {len(y)} rows are a wrong number to validate early stopping: {advice}")


def say(label: str, text: str) -> None:
    """Print a line under its label; on a terminal, a long one goes on below its beginning."""
    width = shutil.get_terminal_size().columns - 11 if sys.stdout.isatty() else len(text)
    lines = textwrap.wrap(text, max(width, 40), break_long_words=False, break_on_hyphens=False) or [""]
    print(f"{label:<11}" + f"\n{'':<11}".join(lines), flush=True)


def compile_kernels(model: Network, problem: Problem) -> float:
    """Compile what this machine has not compiled yet, for an epoch and a prediction; seconds spent, 0 if none."""
    names: list[str] = []

    def note(name: str) -> None:
        say("" if names else "compiling", name + ("" if names else "   (once per machine)"))
        names.append(name)

    start = time.perf_counter()
    with fastnn.compilation(note):
        warm_up(model, problem, **held_out(model, problem))
    seconds = time.perf_counter() - start
    if names:
        say("", f"{seconds:.1f} s")
    return seconds if names else 0.0


def held_out(model: Network, problem: Problem) -> dict[str, Any]:
    """The examples that are watched in `fit`, besides those that early stopping sets aside."""
    is_watched = "validation" in problem.X and model.solver != "lbfgs"
    return {"X_val": problem.X["validation"], "y_val": problem.y["validation"]} if is_watched else {}


def warm_up(model: Any, problem: Problem, **watched: Any) -> None:
    """Train for one epoch, so that the clock finds everything loaded."""
    from sklearn.base import clone

    once = clone(model).set_params(max_iter=1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        once.fit(problem.X["train"], problem.y["train"], **watched)
    if interrupted(caught):
        raise KeyboardInterrupt
    once.score(problem.X["test"], problem.y["test"])


def interrupted(caught: list[warnings.WarningMessage]) -> bool:
    """Whether Ctrl-C ended a fit, which returns then with a warning."""
    return any("interrupted by user" in str(warning.message) for warning in caught)


def fit(model: Network, problem: Problem) -> Run:
    """Train with a progress bar."""
    from sklearn.exceptions import ConvergenceWarning

    X, y, run = problem.X, problem.y, Run()
    display_seconds, n_epochs = 0.0, 0

    def observe(epoch: fastnn.Epoch) -> None:
        nonlocal display_seconds, n_epochs
        start = time.perf_counter()
        run.n_samples, n_epochs = epoch.n_samples, n_epochs + 1
        show(epoch)
        display_seconds += time.perf_counter() - start

    with (
        progress(model.max_iter, score_name(model, problem)) as show,
        fastnn.watch(observe),
        warnings.catch_warnings(record=True) as caught,
    ):
        warnings.simplefilter("always")
        start = time.perf_counter()
        model.fit(X["train"], y["train"], **held_out(model, problem))
        run.seconds = time.perf_counter() - start - display_seconds
    run.history, run.epochs = model.history_, len(model.history_["loss"])
    run.seconds += sum(run.history["seconds"][: run.epochs - n_epochs])  # of a training that goes on
    run.n_samples = run.n_samples or len(X["train"])
    run.best_epoch = model.best_iteration_ if model.early_stopping and model.solver != "lbfgs" else None
    run.interrupted = interrupted(caught)
    for warning in caught:
        if issubclass(warning.category, ConvergenceWarning):
            say("note", "stopped by --max-iter, before the loss had settled")
        elif not run.interrupted:
            say("note", str(warning.message))
    return run


@contextmanager
def progress(max_iter: int, metric: str) -> Iterator[Callable[[fastnn.Epoch], None]]:
    """A progress bar, or ten plain lines where the output is no terminal."""
    if not sys.stdout.isatty():
        every = max(1, max_iter // 10)

        def show(epoch: fastnn.Epoch) -> None:
            if epoch.n_iter == 1 or epoch.n_iter % every == 0:
                say("epoch", f"{epoch.n_iter:>{len(str(max_iter))}}/{max_iter}  {described(epoch, metric)}")

        yield show
        return

    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = ("epoch      {task.completed}/{task.total}", BarColumn(), "{task.description}", TimeElapsedColumn())
    with Progress(*[TextColumn(c) if isinstance(c, str) else c for c in columns]) as bar:
        task = bar.add_task("", total=max_iter)
        yield lambda epoch: bar.update(task, completed=epoch.n_iter, description=described(epoch, metric))
        bar.update(task, total=bar.tasks[0].completed)  # full, also where it stopped early


def score_name(model: Network, problem: Problem) -> str:
    """What the validation scores are."""
    return problem.metric if model.scoring in (None, "loss") else str(model.scoring)


def described(epoch: fastnn.Epoch, metric: str) -> str:
    score = "" if epoch.validation_score is None else f"  validation {metric} {epoch.validation_score:.4f}"
    return f"loss {epoch.loss:.4f}{score}"


def fit_scikit_learn(model: Network, problem: Problem, run: Run) -> Run:
    """Give scikit-learn's network the same data, parameters and number of epochs, and the threads that suit it."""
    from sklearn import neural_network
    from threadpoolctl import threadpool_info, threadpool_limits

    rival = getattr(neural_network, type(model).__name__)()
    parameters = {name: value for name, value in model.get_params().items() if name in rival.get_params()}
    rival.set_params(**parameters | {"max_iter": run.epochs, "n_iter_no_change": run.epochs})
    warm_up(rival, problem)

    def seconds_of_an_epoch(threads: int) -> float:
        seconds = []
        with threadpool_limits(threads, "blas"):
            for _ in range(3):
                start = time.perf_counter()
                warm_up(rival, problem)
                seconds.append(time.perf_counter() - start)
        return min(seconds)

    most = max((library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"), default=1)
    threads = min({most, 1}, key=seconds_of_an_epoch)  # small products are often faster on one
    say("comparing", f"scikit-learn, the same {run.epochs} epochs, threads: {threads} (--no-compare skips it)")
    with warnings.catch_warnings(record=True) as caught, threadpool_limits(threads, "blas"):
        warnings.simplefilter("always")
        start = time.perf_counter()
        rival.fit(problem.X["train"], problem.y["train"])
        seconds = time.perf_counter() - start
    if not rival.n_iter_:
        raise KeyboardInterrupt
    return Run(rival.n_iter_, run.n_samples, seconds, problem.scores(rival), threads, interrupted(caught))


def foreign_to_scikit_learn(model: Network) -> str | None:
    """What the network has that scikit-learn's would have to do without."""
    try:
        model.to_sklearn()
    except ValueError as error:
        return str(error).removeprefix("scikit-learn has no ")
    known = {"n_threads", "max_time", *model.to_sklearn().get_params()}
    for name, usual in type(model)().get_params().items():
        if name not in known and getattr(model, name) != usual:
            return f"{name}={getattr(model, name)!r}"
    return None


def tabulated(runs: dict[str, Run], guess: str, scores_of_guess: dict[str, float]) -> list[list[str]]:
    """Scores beside those of the simplest guess, then times; a column for each, headings first."""
    rows = [["in the test", *runs, guess]]
    for name in scores_of_guess:
        results = [run.scores[name] for run in runs.values()] + [scores_of_guess[name]]
        rows.append([name, *(readable(name, score) for score in results)])
    times: dict[str, Callable[[Run], str]] = {
        "epochs": lambda run: f"{run.epochs}",
        "seconds": lambda run: f"{run.seconds:.3g}",
        "ms/epoch": lambda run: f"{1e3 * run.seconds / run.epochs:.3g}",
        "examples/s": lambda run: f"{run.examples_per_second:,.0f}",
    }
    return rows + [[name, *map(of, runs.values()), ""] for name, of in times.items()]


def print_results(rows: list[list[str]], n_scores: int) -> None:
    """Print a table, the scores apart from the times."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    for i, heading in enumerate(rows[0]):
        table.add_column(heading, justify="right" if i else "left", no_wrap=True)
    for i, row in enumerate(rows[1:], start=1):
        table.add_row(*row, end_section=i == n_scores)
    Console().print(table)


def readable(name: str, score: float) -> str:
    """Four digits after the point, or as many as matter in the unit of a target."""
    if math.isnan(score):
        return "-"
    if 1e3 <= abs(score) < 1e7:
        return f"{score:,.1f}"
    tiny = name in ("MAE", "RMSE") and 0 < score < 0.01
    return f"{score:.4g}" if tiny or abs(score) >= 1e7 else f"{score:.4f}"


def learning_curve(run: Run, model: Network, problem: Problem) -> LearningCurveDisplay:
    """Loss and validation score by epoch, and which weights were kept."""
    return fastnn.LearningCurveDisplay(
        loss=run.history["loss"],
        validation_loss=run.history.get("validation_loss"),
        validation_score=run.history.get("validation_score"),
        learning_rate=run.history.get("learning_rate"),
        best_iteration=run.best_epoch,
        score_name=score_name(model, problem).replace("R^2", "R²"),
    )


def draw(curve: LearningCurveDisplay, title: str, path: Path) -> None:
    """Write a picture of the curves."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 6), layout="constrained")
    figure.suptitle(title.replace("$", r"\$").replace("R^2", "R²"))
    curve.plot(figure.add_subplot())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a letter of the name that the font has not is drawn as a box
        figure.savefig(path, dpi=150)


def draw_bench(medians: dict[str, dict[str, float]], what: str, path: Path) -> None:
    """Draw microseconds, one line of points a row: on a logarithmic axis, bars would have no foot."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 1.5 + 0.4 * len(medians)), layout="constrained")
    ax = figure.subplots()
    for library in dict.fromkeys(library for times in medians.values() for library in times):
        # A library that does not know a call has no point there.
        ax.plot([times.get(library, math.nan) for times in medians.values()], range(len(medians)), "o", label=library)
    ax.set_yticks(range(len(medians)), list(medians))
    ax.set_ylim(-0.5, len(medians) - 0.5)
    ax.grid(alpha=0.3)
    ax.invert_yaxis()
    ax.set_xscale("log")
    ax.set_xlabel(f"microseconds a {what}: less is better")
    ax.spines[["top", "right"]].set_visible(False)
    figure.legend(frameon=False, loc="outside upper center", ncols=5)
    figure.savefig(path, dpi=150)


def write_json(report: dict[str, Any], path: Path) -> None:
    def finite(value: Any) -> Any:
        """JSON has no nan: null."""
        if isinstance(value, dict):
            return {key: finite(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [finite(item) for item in value]
        return None if isinstance(value, float) and not math.isfinite(value) else value

    lines = [f"{json.dumps(key)}: {json.dumps(finite(value))}" for key, value in report.items()]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
