"""The command `fastnn`: train a network on a table, predict with it, and say what this machine has."""

from __future__ import annotations

import csv
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
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
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
    from .model_files import Model, Network, Tabular
    from .tables import TableEncoder

INTERRUPTED = 130  # what a shell calls the end by Ctrl-C
MOST_PARAMETERS = 10**12  # some terabytes: no use to try
MOST_TOLD = 40  # inputs of an exported model, which may have thousands
#: Options of `fastnn train` that one model has and the other has not.
OWN_OPTIONS = {
    "tabular": {"preset", "n_members", "n_bins"},
    "mlp": {
        *("solver", "l1_ratio", "input_dropout", "clip_norm", "max_norm", "average", "init", "loss", "schedule"),
        *("warmup", "early_stopping", "compare"),
    },
}
LEFT_OUT = "left out"  # the kind of a column that is not read
#: Options that L-BFGS, which has no batches and no learning rate, would not look at.
WITHOUT_LBFGS = {"schedule", "warmup", "batch_size", "learning_rate_init", "early_stopping", "scoring"}
#: Scores of scikit-learn that are of numbers; the others are of classes.
OF_NUMBERS = re.compile(r"r2|explained_variance|neg_.*_(error|deviance)\w*|max_error|d2_absolute_error_score")
#: Options that are parameters of another name.
OPTIONS = {"random_state": "--seed", "learning_rate": "--schedule", "encoder": "what the columns are"}
COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".zip", ".tar")  # what pandas writes compressed
EXTRA = ("typer", "rich", "pandas", "matplotlib", "clevercsv")


def fail(message: object) -> NoReturn:
    """Say in one line on stderr what was wrong, and end with exit status 2."""
    print("fastnn:", " ".join(str(message).split()), file=sys.stderr)
    raise SystemExit(2)


def option_of(parameter: str) -> str:
    return OPTIONS.get(parameter) or "--" + parameter.replace("_", "-")


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
        if re.search("[Uu]se pip|pip install", str(error)):
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
        fail(re.sub(r"The '(\w+)' parameter of (?:MLP|Tabular)\w+", lambda match: option_of(match[1]), str(error)))
    except Exception as error:
        if hasattr(error, "format_message"):  # the command line itself was wrong
            message, option = error.format_message(), getattr(error, "param", None)
            got = value_of(getattr(option, "opts", []), sys.argv[1:] if argv is None else argv)
            fail(message if got is None or repr(got) in message else f"{message}, but it is {got!r}")
        raise


def value_of(names: list[str], argv: list[str]) -> str | None:
    """What a command line gives an option of these names, if it is given."""
    for word, following in pairwise([*argv, ""]):
        name, is_joined, value = word.partition("=")
        if name.startswith("-") and name in names:  # an argument has a name as well
            return value if is_joined else following
    return None


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
    targets: Annotated[
        list[str] | None, typer.Option("--target", help="The column to predict.", show_default=False)
    ] = None,
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
    model: Annotated[
        Literal["tabular", "mlp"] | None,
        typer.Option(
            help="tabular: several networks that need no tuning; mlp: one plain network.",
            show_default="tabular for a table, mlp for the digits",
        ),
    ] = None,
    preset: Annotated[
        Literal["accurate", "fast"] | None,
        typer.Option(
            help="Of tabular: fast takes about a fifth of the time for a few percent more error.",
            show_default="accurate",
        ),
    ] = None,
    n_members: Annotated[
        int | None, typer.Option(help="Of tabular: networks whose mean predicts.", show_default="5; fast: 2")
    ] = None,
    n_bins: Annotated[int | None, typer.Option(help="Of tabular: pieces of each number.", show_default="48")] = None,
    hidden_layer_sizes: Annotated[
        str | None,
        typer.Option(help='Such as "100", "64,32" or "none".', show_default="128,128,128; mlp: 256,128"),
    ] = None,
    activation: Annotated[
        OneOfTheActivations | None, typer.Option(help="Of the hidden layers.", show_default="mish; mlp: relu")
    ] = None,
    solver: Annotated[
        Literal["adam", "adamw", "nadam", "rmsprop", "sgd", "lbfgs"] | None,
        typer.Option(help="Of mlp: how the weights follow the gradient.", show_default="adam"),
    ] = None,
    alpha: Annotated[
        float | None,
        typer.Option(
            help="Strength of the penalty; of tabular, of the decay of the weights.",
            show_default="0.02; mlp: 0.0001",
        ),
    ] = None,
    l1_ratio: Annotated[
        float | None,
        typer.Option(help="Of mlp: which part of the penalty is L1; the rest is L2.", show_default="0"),
    ] = None,
    dropout: Annotated[
        float | None,
        typer.Option(help="Part of the hidden units that is left out in each step.", show_default="0"),
    ] = None,
    input_dropout: Annotated[
        float | None, typer.Option(help="Of mlp: part of the inputs that is left out.", show_default="0")
    ] = None,
    clip_norm: Annotated[
        float | None, typer.Option(help="Of mlp: norm of the gradient at most.", show_default=False)
    ] = None,
    max_norm: Annotated[
        float | None, typer.Option(help="Of mlp: norm of the weights of a hidden unit at most.", show_default=False)
    ] = None,
    average: Annotated[
        Literal["ema", "swa"] | None,
        typer.Option(help="Of mlp: keep an average of the weights: exponential, or of the last quarter of the steps."),
    ] = None,
    init: Annotated[
        Literal["glorot", "he", "lecun", "orthogonal"] | None,
        typer.Option(help="Of mlp: first weights.", show_default="glorot"),
    ] = None,
    batch_size: Annotated[
        str | None,
        typer.Option(
            help="Examples in a step. auto: 64 to 1024, as there are rows; mlp: 200, or all if there are fewer.",
            show_default="auto",
        ),
    ] = None,
    learning_rate_init: Annotated[
        float | None, typer.Option(help="Learning rate, the largest.", show_default="0.003; mlp: 0.001")
    ] = None,
    loss: Annotated[
        OneOfTheLosses | None,
        typer.Option(
            help="Of mlp: of a regression, or focal of a classification.", show_default="squared_error, log_loss"
        ),
    ] = None,
    schedule: Annotated[
        Literal["constant", "plateau", "cosine", "one_cycle", "step", "coslog4"] | None,
        typer.Option(help="Of mlp: what becomes of the learning rate.", show_default="constant"),
    ] = None,
    warmup: Annotated[
        float | None,
        typer.Option(help="Of mlp: part of the steps in which the learning rate rises.", show_default="0"),
    ] = None,
    class_weight: Annotated[
        Literal["balanced"] | None, typer.Option(help="Of a classification: rare classes count for more.")
    ] = None,
    label_smoothing: Annotated[
        float | None, typer.Option(help="Of a classification: what a label may be wrong by.", show_default="0")
    ] = None,
    max_iter: Annotated[
        int | None, typer.Option(help="Epochs at most.", show_default="128; fast: 64; mlp: 200")
    ] = None,
    max_time: Annotated[float | None, typer.Option(help="Seconds of training at most.", show_default=False)] = None,
    early_stopping: Annotated[
        bool | None,
        typer.Option(
            "--early-stopping/--no-early-stopping",
            help="Of mlp: stop when the validation score improves no more, and keep the best weights.",
            show_default="for a regression",
        ),
    ] = None,
    scoring: Annotated[
        str | None,
        typer.Option(
            help="What chooses the epoch whose weights are kept: loss, calibrated_loss (of classes), or a score of "
            "scikit-learn; of mlp, what --early-stopping goes by.",
            show_default="calibrated_loss, loss; mlp: accuracy, R^2",
        ),
    ] = None,
    validation_fraction: Annotated[
        float | None,
        typer.Option(
            help="Part of the training examples, to validate; of tabular, none of fewer than 50, where a class has "
            "one, or where there are too few for all classes: then --scoring has no effect either.",
            show_default="0.1",
        ),
    ] = None,
    test_fraction: Annotated[float, typer.Option(help="Part of all examples, for the test.")] = 0.2,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="For the split, the weights, the order.")] = 0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the training that was interrupted in this folder.")
    ] = False,
    compare: Annotated[
        bool | None,
        typer.Option(
            "--compare/--no-compare",
            help="Of mlp: do the same with scikit-learn's network, and compare; tabular never does.",
            show_default="compare",
        ),
    ] = None,
) -> None:
    """Train networks, test them, and write model, learning curve and reports into a folder.

    What each column is, a number, a category or a date, is found out, printed and kept with the model, and so is how it
    is scaled and what stands for a missing value. The task follows from the target.

    A table is learned by a TabularClassifier or TabularRegressor; with --model mlp, and without DATA, by an
    MLPClassifier or MLPRegressor. Options whose description begins with "Of mlp" or "Of tabular" are for that model
    alone; where several defaults stand, the first is that of tabular.
    """
    from sklearn.metrics import get_scorer_names

    from . import checkpoints, scores
    from .report import page
    from .report import parameters as parameters_of

    if targets and len(targets) > 1:
        raise ValueError(f"--target is given more than once ({', '.join(targets)}), but one column is predicted")
    target = targets[0] if targets else None
    kind = model or ("tabular" if data else "mlp")
    given: dict[str, Any] = {
        "preset": preset,
        "n_members": n_members,
        "n_bins": n_bins,
        "hidden_layer_sizes": None if hidden_layer_sizes is None else parse_sizes(hidden_layer_sizes),
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
        "batch_size": None if batch_size is None else parse_batch_size(batch_size),
        "learning_rate_init": learning_rate_init,
        "loss": loss,
        "schedule": schedule,
        "warmup": warmup,
        "class_weight": class_weight,
        "label_smoothing": label_smoothing,
        "max_iter": max_iter,
        "max_time": max_time,
        "early_stopping": early_stopping,
        "scoring": scoring,
        "validation_fraction": validation_fraction,
        "compare": compare or None,  # that it does not is true of the other model as well
    }
    parameters = {name: value for name, value in given.items() if value is not None}
    if early_stopping is False and kind == "tabular":
        raise ValueError("--no-early-stopping is for --model mlp, but this is --model tabular: leave it out")
    check_model(kind, bool(data), parameters)
    if scoring is not None and scoring not in ("loss", "calibrated_loss", *get_scorer_names()):
        raise ValueError(
            f"--scoring is {scoring!r}, but loss, calibrated_loss, or a score of scikit-learn such as f1_macro, "
            "is wanted"
        )
    compare = parameters.pop("compare", compare is None and kind == "mlp")
    if kind == "mlp":
        parameters = {"hidden_layer_sizes": [256, 128], "validation_fraction": 0.1} | parameters
    if "schedule" in parameters:
        parameters["learning_rate"] = parameters.pop("schedule")
    parameters["random_state"] = seed
    fractions = {"test": test_fraction}
    if "validation_fraction" in parameters:
        fractions["validation"] = parameters["validation_fraction"]
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
    check_task(source.task, parameters)
    if kind == "mlp":
        vain = [name for name in given if given[name] and name in WITHOUT_LBFGS]
        if parameters.get("solver") == "lbfgs" and vain:
            raise ValueError(f"{option_of(vain[0])} has no effect with --solver lbfgs: leave it out")
        if early_stopping is None:
            # The accuracy of a few validation rows moves in steps, and stalls long before the network has learned.
            early_stopping = source.task == "regression"
        if scoring is not None and not early_stopping:
            raise ValueError(f"--scoring {scoring} is what --early-stopping goes by, which is wanted too")
        parameters["early_stopping"] = early_stopping
    if kind == "tabular" or early_stopping:
        fractions.pop("validation", None)  # the estimator takes its own
    problem = prepare(source, fractions, seed, kind)
    X, y, classes = problem.X, problem.y, problem.classes
    if kind == "mlp" and early_stopping:
        check_validation(y["train"], classes, parameters["validation_fraction"])
    estimator = new_estimator(kind, problem, parameters)
    without_validation = None
    if kind == "tabular":
        without_validation = why_without_validation(len(y["train"]))
        if not without_validation:
            check_fraction(len(y["train"]), estimator.validation_fraction)

    n_outputs = len(classes) if len(classes) > 2 else 1
    units = [n_features(estimator, problem), *estimator.hidden_layer_sizes, n_outputs]
    parameters_at_most = sum((n_in + 1) * n_out for n_in, n_out in pairwise(units))
    if parameters_at_most > MOST_PARAMETERS:
        raise MemoryError(f"the network would have {parameters_at_most:,} parameters")
    say("data", f"{source.name}: " + (f"{len(classes)} classes" if classes else f"{target}, a number"))
    say("", ", ".join(f"{len(rows):,} {part}" for part, rows in X.items()) + " examples")
    if source.encoder:
        say("columns", described_columns(source.encoder))
    for note in first(source.notes):
        say("note", note)
    if classes and (alone := sorted(set(problem.targets("test").tolist()) - set(classes))):
        say("note", f"in the test alone, and so never predicted: {shortened([str(label) for label in alone])}")
    if kind == "mlp":
        shape = " - ".join(map(str, units))
        say("network", f"{shape} units, {estimator.activation}; {parameters_at_most:,} parameters in float32")
    else:
        shape, n = " - ".join(map(str, units[1:-1])), n_networks(estimator)
        layers = f"of {shape} units, {estimator.activation}" if shape else "without hidden units"
        has_pieces = estimator.n_bins and any(kind in ("number", "date") for _, kind, _ in source.summary())
        say("networks", f"{n} {layers}" + ", on pieces of the numbers" * bool(has_pieces))
    if without_validation:
        vain = [option_of(name) for name in ("scoring", "validation_fraction") if name in parameters]
        effect = f"; {' and '.join(vain)} {'has' if len(vain) == 1 else 'have'} no effect" if vain else ""
        say("note", without_validation + effect)

    compile_seconds = compile_kernels(estimator, problem)
    places = {"mlp": output / "checkpoint.safetensors", "tabular": output / "checkpoint"}
    checkpoint = places[kind]
    if not resume:
        if any([checkpoints.remove(place) for place in places.values()]):
            say("note", "removed: the state of a training interrupted here, from which --resume would have gone on")
    elif not checkpoints.exists(checkpoint):
        for other, place in places.items():
            if checkpoints.exists(place):
                raise FileNotFoundError(
                    f"--resume with --model {kind}, but the training that was interrupted in {output} is of "
                    f"--model {other}"
                )
        raise FileNotFoundError(f"--resume, but no training was interrupted in {output}: there is no {checkpoint.name}")
    if parameters.get("solver") != "lbfgs":
        estimator.checkpoint = checkpoint
    try:
        run = fit(estimator, problem, checkpoints.n_epochs(checkpoint) if estimator.checkpoint else 0)
    except checkpoints.CheckpointError as error:
        # Other options have made other examples, too.
        others = [option_of(name) for name in error.others if "examples" not in name] or error.others
        if not others:
            raise
        raise ValueError(
            f"--resume, but {checkpoint} is the checkpoint of a training with other {' and other '.join(others)}"
        ) from error
    estimator.checkpoint = None
    if not run.epochs:
        raise KeyboardInterrupt  # it came before the end of the first epoch: there is nothing to save
    system = fastnn.system_info()
    run.scores, run.threads = problem.scores(estimator), system["threads"]
    guess = scores.of_simplest_guess(problem.targets("train"), problem.targets("test"), classes)
    predicted = problem.predict(estimator)
    errors = scores.errors(problem.targets("test"), predicted, classes)
    networks = [estimator]
    if kind == "tabular":
        networks = estimator.estimators_
        units = [coef.shape[0] for coef in networks[0].coefs_] + [n_outputs]
    else:
        problem.to_given_units(estimator)
    fastnn.save(source.model(estimator), output / "model.fastnn", target=target, task=source.task)
    if not run.interrupted:
        checkpoints.remove(checkpoint)  # now: until the model was saved, it was all that was left of the training
    say("trained", f"{run.described_epochs} in {run.seconds:.3g} s, {run.examples_per_second:,.0f} examples/s")
    say("", f"loss {run.history['loss'][-1]:.4f}, {problem.metric} {run.test_score:.4f} in the test")
    if run.interrupted:
        kept = "the model trained so far is kept"
        if run.networks < n_networks(estimator):
            kept = f"{run.networks} of {n_networks(estimator)} networks, as far as they are trained, are kept"
        say("", f"interrupted: {kept}" + ", and --resume goes on" * checkpoints.exists(checkpoint))

    curve = learning_curve(run, estimator, problem)
    draw(curve, f"{source.name}: {problem.metric} {run.test_score:.4f} in the test", output / "learning_curve.png")
    report = {
        "data": {"name": source.name, "target": target, "task": source.task, "classes": classes, "notes": source.notes},
        "columns": source.columns(),
        "features": problem.features,
        "examples": {part: len(rows) for part, rows in X.items()},
        "model": type(estimator).__name__,
        "network": {
            "networks": len(networks),
            "units": units,
            "parameters": sum(array.size for network in networks for array in network.coefs_ + network.intercepts_),
            "dtype": "float32",
        },
        "parameters": {
            name: value
            for name, value in parameters_of(estimator).items()
            if not (without_validation and name in ("scoring", "validation_fraction"))
        },
        "without_validation": without_validation,
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
    foreign = compare and not run.interrupted and foreign_to_scikit_learn(estimator)
    if foreign:
        say("note", f"not compared with scikit-learn, which has no {foreign}")
    elif compare and not run.interrupted:
        try:
            runs["scikit-learn"] = fit_scikit_learn(estimator, problem, run)
            report["scikit_learn"] = runs["scikit-learn"].report()
            write_json(report, output / "report.json")
        except KeyboardInterrupt:
            say("", "comparison interrupted")
    results = tabulated(runs, problem.guess, guess)
    print_results(results, len(guess))
    try:
        report["importances"] = problem.importances(estimator, seed)
    except KeyboardInterrupt:
        report["importances"] = None
        say("", "interrupted: the report is without the columns that matter")
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
    from .tables.encoding import Unusual

    model, extra = read(model_file, to_predict=True)
    encoder, network = encoder_and_network(model)
    unusual = Unusual(encoder) if encoder else None
    wanted = getattr(network, "feature_names_in_", network.n_features_in_)
    name = f"predicted_{extra['target']}" if extra.get("target") else "prediction"
    if output is None:
        output = Path(f"{data.stem}-predictions.csv") if data.is_file() else Path("-")
    refuse_to_write_over(output, model_file, data)
    decimal = encoder.decimal if encoder else None
    notes: list[str] = []
    names: list[str] = []
    n = 0
    with complete_file(output) as file, row_counter(file) as show:
        for piece in tables.pieces(data, separator=named_separator(separator), decimal=decimal):
            try:
                X = unusual.transform(piece.data) if unusual else tables.matrix(piece.data, wanted)
                predictions = predicted(network, X, name)
            except ValueError as error:
                if not n:
                    raise
                raise ValueError(f"rows {n + 1:,} to {n + len(piece):,}: {error}") from None
            rows = csv.writer(file, lineterminator=os.linesep)
            if not n:
                rows.writerow(predictions)
            rows.writerows(zip(*map(written, predictions.values()), strict=True))
            file.flush()
            notes, names, n = piece.notes, [*predictions], n + len(piece)
            show(n)
    for note in first(notes + (unusual.sentences() if unusual else [])):
        print("fastnn: note:", note, file=sys.stderr)
    if output != Path("-"):
        print(f"{output}: {n} {plural('row', n)} of {', '.join(names)}")


def encoder_and_network(model: Any) -> tuple[Any, Any]:
    """The encoder of a table, and what takes the matrix that it makes; no encoder, where a network takes a matrix."""
    *before, network = [step for _, step in model.steps] if hasattr(model, "steps") else [model]
    if before:
        return before[0], network
    return (network.encoder_, on_matrix(network)) if hasattr(network, "encoder_") else (None, network)


def on_matrix(model: Any) -> Any:
    """A tabular model that takes the matrix of its encoder in place of a table."""
    model = copy(model)
    model.encoder_ = None
    return model


def predicted(network: Any, X: Any, name: str) -> dict[str, NDArray[Any]]:
    """What a network says of the rows of X, in columns of this name and of the classes."""
    y = network.predict(X)
    columns = {name: y} if y.ndim == 1 else {f"{name}_{i}": column for i, column in enumerate(y.T)}
    if hasattr(network, "predict_proba"):
        probabilities = network.predict_proba(X).T
        columns |= {f"probability_{label}": p for label, p in zip(network.classes_, probabilities, strict=True)}
    return columns


def written(values: NDArray[Any]) -> list[str]:
    """Predictions as texts: of numbers the digits that tell one from others of its type, and nothing for nan."""
    texts: list[str] = values.astype(str).tolist()
    return ["" if text == "nan" else text for text in texts] if values.dtype.kind == "f" else texts


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
    test = f"int {name}_test(void)"
    declared = [f"{line}, with #define {name.upper()}_TEST" if line == test else line for line in declared]
    return text.encode(), [*zip(["functions", *[""] * len(declared)], declared, strict=False)]


def safetensors_file(model: Model) -> tuple[bytes, list[tuple[str, str]]]:
    """A safetensors file, and what is in it: labels and lines."""
    if encoder_and_network(model)[0] and not hasattr(model, "encoder_") and not hasattr(model[-1], "encoder_"):
        raise ValueError(
            "a tensor holds numbers alone, but this model takes a table: --to safetensors is for what train --model "
            "tabular has learned, and for models of a matrix"
        )
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
    to: Annotated[
        OneOfTheFormats,
        typer.Option("--to", help="What to write; safetensors not of a table that train --model mlp has learned."),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="File to write; - is standard output.", show_default="MODEL's name, with its ending"
        ),
    ] = None,
    dtype: Annotated[
        Literal["float32", "float64"] | None,
        typer.Option(help="Of onnx: what the network is computed in.", show_default="that of its parameters"),
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
    refuse_to_write_over(output, model_file)
    try:
        data, lines = format_.make(model, **options)
    except TypeError as error:  # a table, or labels, for which the format has no place
        raise ValueError(str(error)) from error
    except ValueError as error:
        raise ValueError(re.sub(rf"^({'|'.join(given)}) is ", r"--\1 is ", str(error))) from error
    with complete_file(output, is_text=False) as file:
        file.write(data)
    if output != Path("-"):
        say("written", str(output))
        for label, text in lines:
            say(label, text)


def refuse_to_write_over(output: Path, model_file: Path, data: Path | None = None) -> None:
    """Raise a ValueError where the file to write is one that is read: there would be no way back."""
    model_file = model_file if model_file.is_file() else Path(f"{model_file}.fastnn")
    for what, path in ("model", model_file), ("table", data):
        if path and output.is_file() and path.is_file() and output.samefile(path):
            raise ValueError(f"{output} is the {what} itself: --output has to be another file")


@contextmanager
def complete_file(path: Path, is_text: bool = True) -> Iterator[Any]:
    """A file to write, which stands under its name once it is complete; - is standard output."""
    if path == Path("-"):
        if sys.stdout is None:
            raise ValueError("--output is -, but standard output is closed")
        if is_text and isinstance(sys.stdout, io.TextIOWrapper):  # a file, whatever the terminal speaks
            sys.stdout.reconfigure(encoding="utf-8", newline="")
        yield sys.stdout if is_text else sys.stdout.buffer
        return
    try:
        with file_of(path, is_text) as file:
            yield file
    except OSError as error:
        if error.errno != errno.ENOSPC or error.filename:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


@contextmanager
def file_of(path: Path, is_text: bool) -> Iterator[Any]:
    """The same, of a path."""
    target = path.resolve()  # a link stays one
    if path.exists() and not path.is_file():  # a device or a pipe; or a folder, which is refused
        with opened(path, is_text) as file:
            yield file
        return
    if not target.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path.parent))
    with tempfile.TemporaryDirectory(prefix=".fastnn-", dir=target.parent) as folder:
        part = Path(folder) / target.name
        with opened(part, is_text, target.name.lower().endswith(COMPRESSED)) as file:
            yield file
        os.replace(part, target)


@contextmanager
def opened(path: Path, is_text: bool, is_compressed: bool = False) -> Iterator[Any]:
    """A path to write, compressed as its name says, if it is to be."""
    if not is_compressed:
        with path.open("w", encoding="utf-8", newline="") if is_text else path.open("wb") as file:
            yield file
        return

    from pandas.io.common import get_handle

    mode = "w" if is_text else "wb"
    with get_handle(path, mode, encoding="utf-8", compression="infer", is_text=is_text) as handles:
        yield handles.handle


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
            help="Such as defaults or bench-mnist, with --calls fit-iris, with --options dropout, with --start load; "
            "all, if none.",
            show_default=False,
        ),
    ] = None,
    calls: Annotated[bool, typer.Option("--calls", help="Time whole calls, such as fit and predict.")] = False,
    options: Annotated[
        bool, typer.Option("--options", help="Time what options of training cost a step, such as dropout.")
    ] = False,
    start: Annotated[
        bool, typer.Option("--start", help="Measure what a new process pays before its first answer.")
    ] = False,
    libraries: Annotated[
        list[str] | None, typer.Option("--library", help="One of those to compare; all installed.", show_default=False)
    ] = None,
    runs: Annotated[
        int | None, typer.Option(min=1, help="Interleaved runs of each.", show_default="7; with --start 5")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(help="Length of a run.", show_default="0.2; with --calls 0.02")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="A picture to write.", show_default=False)] = None,
) -> None:
    """Time training steps, calls, or new processes beside other libraries, as far as they are installed, in one run."""
    if seconds is not None and not (math.isfinite(seconds) and seconds > 0):
        raise ValueError(f"--seconds is {seconds}, but a positive number is wanted")
    kinds = [kind for kind, is_given in (("options", options), ("calls", calls), ("start", start)) if is_given]
    if len(kinds) > 1:
        several = ", ".join(f"--{kind}" for kind in kinds)
        raise ValueError(f"{several} are {len(kinds)} benchmarks: one of them is wanted")
    if start:
        for option, value in ("--seconds", seconds), ("--output", output):
            if value is not None:
                raise ValueError(f"{option} is for steps and calls, but this is --start")
        bench_start(names, libraries, runs or 5)
        return
    runs = runs or 7
    if options:
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

    known = {name: call.libraries for name, call in calls.CALLS.items()}
    rows = choose_rows("call", names, known, libraries, calls.installed())
    say_machine()
    say("", "time of a call, median of interleaved runs; in brackets, how many times as long as fastnn")
    width = max(map(len, known))
    medians: dict[str, dict[str, float]] = {}
    slower = []
    for name, known_by in rows.items():
        times = medians[name] = calls.measure(calls.CALLS[name], known_by, runs, seconds=seconds)
        if say_beside(f"{name:{width}} ", times, duration, "slower"):
            slower.append(name)
    if any(len(times) > 1 for times in medians.values()):
        say("slower", ", ".join(slower) or "nowhere")
    return medians


def bench_start(names: list[str] | None, libraries: list[str] | None, runs: int) -> None:
    """Print what new processes take, of each library, as it comes."""
    from .comparison import start

    known = {name: program.libraries for name, program in start.ROWS.items()}
    rows = choose_rows("row", names, known, libraries, list(start.LIBRARIES))
    say_machine()
    say("", "what a new process takes, median of interleaved runs; in brackets, how many times as much as fastnn")
    width = max(map(len, known))
    measured: dict[start.Program, dict[str, dict[str, float]]] = {}
    for name, known_by in rows.items():
        program = start.ROWS[name]
        if not program.is_installed:
            say(f"{name:{width}} ", f"needs {' and '.join(program.needs)}")
            continue
        if program not in measured:  # which may have been run for another row
            measured[program] = start.measure(program, known_by, runs)
        amounts = measured[program][name]
        if name == "memory":
            say_beside(f"{name:{width}} ", amounts, lambda megabytes: f"{megabytes:,.1f} MiB", "larger")
        else:
            say_beside(f"{name:{width}} ", amounts, lambda seconds: duration(1e6 * seconds), "slower")


def choose_rows(
    kind: str, names: list[str] | None, known: dict[str, tuple[str, ...]], wanted: list[str] | None, there: list[str]
) -> dict[str, list[str]]:
    """Return which libraries each row is measured with: the rows that are named, or all; the libraries likewise."""
    check_known(kind, names, list(known))
    check_known("library", wanted, there)
    rows = {name: [library for library in known[name] if library in (wanted or there)] for name in names or known}
    for name in names or []:
        if not rows[name]:
            raise ValueError(f"{name} is a {kind} of {', '.join(known[name])}")
    return {name: libraries for name, libraries in rows.items() if libraries}


def say_beside(label: str, amounts: dict[str, float], told: Callable[[float], str], more: str) -> bool:
    """Print what each library takes, and return whether fastnn takes more than another."""
    ours = amounts.get("fastnn")
    row = [
        f"{library} {told(amount)}" + (f" ({amount / ours:.3g} x)" if ours and library != "fastnn" else "")
        for library, amount in amounts.items()
    ]
    is_more = bool(ours and min(amounts.values()) < ours)
    say(label, ", ".join(row + [f"fastnn is {more}"] * is_more))
    return is_more


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

    def model(self, network: Network | Tabular) -> Model:
        """A network with what stands before it: what takes X as it was given."""
        from sklearn.pipeline import Pipeline

        if self.encoder is None or hasattr(network, "encoder_"):
            return network
        return Pipeline([("encoder", self.encoder), ("network", network)])

    def summary(self) -> list[tuple[str, str, str]]:
        """What each column of a table was taken for; empty for a matrix."""
        return self.encoder.summary() if self.encoder else []

    def columns(self) -> list[dict[str, str]]:
        """The same for the report."""
        return [{"name": name, "kind": kind, "detail": detail} for name, kind, detail in self.summary()]


@dataclass
class Problem:
    """What is to be learned, as a network takes it: X and y of each part ("train", "test" ...), scaled.

    A tabular model scales by itself: X is a part of the table then, and y what it holds.
    """

    source: Source
    X: dict[str, Any]
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

    def importances(self, model: Network | Tabular, seed: int) -> dict[str, Any]:
        """Which columns of the source matter in the test, to a model in given units."""
        from . import scores

        encoder, X = self.source.encoder, self.X["test"]
        if encoder and hasattr(model, "encoder_"):
            X, model = encoder.transform(X), on_matrix(model)
        names = [column.name for column in encoder.columns_] if encoder else self.features
        widths = [len(column.outputs) for column in encoder.columns_] if encoder else [1] * len(names)
        found = scores.importances(model, X * self.source.X_scale, self.targets("test"), widths, seed)
        columns = [
            {"name": names[i], "mean": mean, "std": std}
            for i, mean, std in zip(found.pop("positions"), found.pop("mean"), found.pop("std"), strict=True)
        ]
        return found | {"test_rows": len(X), "read": len(names), "columns": columns}

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

    epochs: int = 0  # of all networks together
    n_samples: int = 0  # of an epoch
    seconds: float = 0.0  # of `fit`: epochs and early stopping's validation, but neither compilation nor display
    scores: dict[str, float] = field(default_factory=dict)  # in the test
    threads: int = 0  # that it may use
    interrupted: bool = False
    history: dict[str, list[float]] = field(default_factory=dict)  # see `MLPClassifier.history_`; of several, the mean
    best_epoch: int | None = None  # the one whose weights early stopping has kept
    networks: int = 1

    @property
    def described_epochs(self) -> str:
        return (
            f"{self.networks} networks, {self.epochs} epochs in all,"
            if self.networks > 1
            else f"{self.epochs} {plural('epoch', self.epochs)}"
        )

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
        return report | ({"epoch_seconds": sum(history["seconds"])} if history and self.networks == 1 else {})


def check_model(kind: str, has_table: bool, given: dict[str, Any]) -> None:
    """Refuse what the other model has, before anything is read."""
    if kind == "tabular" and not has_table:
        raise ValueError("--model tabular needs a table, DATA: without it, the digits are learned by --model mlp")
    other = "mlp" if kind == "tabular" else "tabular"
    if foreign := [name for name in given if name in OWN_OPTIONS[other]]:
        advice = "add --model mlp, or leave it out" if kind == "tabular" else "leave it out"
        raise ValueError(f"{option_of(foreign[0])} is for --model {other}, but this is --model {kind}: {advice}")


def check_task(task: str, given: dict[str, Any]) -> None:
    """Refuse what is for the other task."""
    kinds = {"class_weight": "classification", "label_smoothing": "classification"}
    if "loss" in given:
        kinds["loss"] = "classification" if given["loss"] == "focal" else "regression"
    if (scoring := given.get("scoring")) not in (None, "loss"):
        kinds["scoring"] = "regression" if OF_NUMBERS.fullmatch(scoring) else "classification"
    for name, kind in kinds.items():
        if name in given and kind != task:
            which = f" {given[name]}" if name in ("loss", "scoring") else ""
            raise ValueError(f"{option_of(name)}{which} is for a {kind}, but this is a {task}")


def new_estimator(kind: str, problem: Problem, parameters: dict[str, Any]) -> Any:
    """The model to be trained."""
    if kind == "mlp":
        return (fastnn.MLPClassifier if problem.classes else fastnn.MLPRegressor)(**parameters)
    from sklearn.frozen import FrozenEstimator

    # What a column is, all rows have decided: it is not found out anew from those to train.
    encoder = FrozenEstimator(problem.source.encoder)
    return (fastnn.TabularClassifier if problem.classes else fastnn.TabularRegressor)(encoder=encoder, **parameters)


def n_networks(model: Any) -> int:
    """How many networks a model has."""
    return model._wanted("n_members") if hasattr(model, "n_members") else 1


def n_epochs(model: Any) -> int:
    """How many epochs its networks have, at most and together."""
    return n_networks(model) * model._wanted("max_iter") if hasattr(model, "n_members") else model.max_iter


def n_features(model: Any, problem: Problem) -> int:
    """How many inputs a network has; of a tabular model, at most."""
    return len(problem.features) * (model.n_bins + 1 if hasattr(model, "n_bins") else 1)


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
    if path.is_file():
        raise NotADirectoryError(errno.ENOTDIR, "a file, but --output is to be a folder", str(path))
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


def prepare(source: Source, fractions: dict[str, float], seed: int, kind: str) -> Problem:
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
    X = {part: source.X.iloc[source.at[rows[part]]] for part in rows}
    if kind == "mlp":
        X = {part: encoder.transform(table) for part, table in X.items()}
    problem = Problem(source, X, y, rows, encoder.get_feature_names_out().tolist(), classes)
    if kind == "mlp" and not classes:
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
    check_fraction(len(y), fraction)
    if rare:
        raise ValueError(f"one row only to train for class {rare[0]}, but early stopping needs two: {advice}")
    if n_validation < len(classes) or len(y) - n_validation < len(classes):
        raise ValueError(f"{n_validation} of {len(y)} rows are a wrong number to validate early stopping: {advice}")


def check_fraction(n_rows: int, fraction: float) -> None:
    """Two rows at least to train, and two to validate."""
    n_validation = math.ceil(fraction * n_rows)
    if min(n_validation, n_rows - n_validation) < 2:
        raise ValueError(
            f"--validation-fraction {fraction:g} sets aside {n_validation:,} of {n_rows:,} rows to train, but two to "
            "validate and two to train are the least"
        )


def why_without_validation(n_rows: int) -> str | None:
    """Why a tabular model sets no rows aside to choose its epochs by, if it does not."""
    from .tabular import FEWEST_TO_VALIDATE

    if n_rows >= FEWEST_TO_VALIDATE:
        return None
    return (
        f"no rows to train are set aside to validate, because there are {n_rows}, but {FEWEST_TO_VALIDATE} are the "
        "least: the last epoch counts"
    )


def say(label: str, text: str) -> None:
    """Print a line under its label; on a terminal, a long one goes on below its beginning."""
    width = shutil.get_terminal_size().columns - 11 if sys.stdout.isatty() else len(text)
    lines = textwrap.wrap(text, max(width, 40), break_long_words=False, break_on_hyphens=False) or [""]
    print(f"{label:<11}" + f"\n{'':<11}".join(lines), flush=True)


def compile_kernels(model: Any, problem: Problem) -> float:
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


def held_out(model: Any, problem: Problem) -> dict[str, Any]:
    """The examples that are watched in `fit`, besides those that the model sets aside."""
    is_watched = "validation" in problem.X and model.solver != "lbfgs"
    return {"X_val": problem.X["validation"], "y_val": problem.y["validation"]} if is_watched else {}


def warm_up(model: Any, problem: Problem, **watched: Any) -> None:
    """Train for one epoch, so that the clock finds everything loaded."""
    from sklearn.base import clone

    once = clone(model).set_params(max_iter=1, **{"n_members": 1} if hasattr(model, "n_members") else {})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        once.fit(problem.X["train"], problem.y["train"], **watched)
    if interrupted(caught):
        raise KeyboardInterrupt
    once.score(problem.X["test"], problem.y["test"])


def interrupted(caught: list[warnings.WarningMessage]) -> bool:
    """Whether Ctrl-C ended a fit, which returns then with a warning."""
    return any("interrupted by user" in str(warning.message) for warning in caught)


def fit(model: Any, problem: Problem, n_before: int) -> Run:
    """Train with a progress bar, after so many epochs that were trained before."""
    from sklearn.exceptions import ConvergenceWarning

    X, y, run, lock = problem.X, problem.y, Run(), threading.Lock()
    display_seconds = seen_seconds = 0.0
    n_done = n_before

    def observe(epoch: fastnn.Epoch) -> None:
        nonlocal display_seconds, seen_seconds, n_done
        start = time.perf_counter()
        with lock:  # several networks are trained at once
            run.n_samples, n_done, seen_seconds = epoch.n_samples, n_done + 1, seen_seconds + epoch.seconds
            show(epoch, n_done)
        display_seconds += time.perf_counter() - start

    is_one_of_several = n_networks(model) > 1
    with (
        progress(n_epochs(model), score_name(model, problem)) as show,
        fastnn.watch(observe),
        warnings.catch_warnings(record=True) as caught,
    ):
        warnings.simplefilter("always")
        start = time.perf_counter()
        model.fit(X["train"], y["train"], **held_out(model, problem))
        run.seconds = time.perf_counter() - start - (0 if is_one_of_several else display_seconds)
    histories = model.history_ if isinstance(model.history_, list) else [model.history_]
    run.networks, run.epochs = len(histories), sum(len(history["loss"]) for history in histories)
    # Of a training that goes on, what came before: so many networks at a time.
    earlier = sum(sum(history["seconds"]) for history in histories) - seen_seconds
    run.seconds += max(earlier, 0.0) / min(run.networks, fastnn.get_n_threads())
    run.history = mean_history(histories)
    run.n_samples = run.n_samples or len(X["train"])
    is_best_kept = getattr(model, "early_stopping", False) and model.solver != "lbfgs"
    run.best_epoch = model.best_iteration_ if is_best_kept else None
    run.interrupted = interrupted(caught)
    for warning in caught:
        if issubclass(warning.category, ConvergenceWarning):
            say("note", "stopped by --max-iter, before the loss had settled")
        elif not run.interrupted:
            say("note", str(warning.message))
    return run


def mean_history(histories: list[dict[str, list[float]]]) -> dict[str, list[float]]:
    """The mean of what epochs came to, for as many as all networks have."""
    if len(histories) == 1:
        return histories[0]
    names = [name for name in histories[0] if all(name in history for history in histories)]
    return {
        name: [
            math.fsum(values) / len(values) for values in zip(*(history[name] for history in histories), strict=False)
        ]
        for name in names
    }


@contextmanager
def progress(total: int, metric: str) -> Iterator[Callable[[fastnn.Epoch, int], None]]:
    """A progress bar, or ten plain lines where the output is no terminal."""
    if not sys.stdout.isatty():
        every = max(1, total // 10)

        def show(epoch: fastnn.Epoch, n: int) -> None:
            if n == 1 or n % every == 0:
                say("epoch", f"{n:>{len(str(total))}}/{total}  {described(epoch, metric)}")

        yield show
        return

    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    width = shutil.get_terminal_size().columns
    metric = metric if width >= 72 else ""
    bars: list[Any] = [BarColumn()] if width >= 50 else []
    columns = ("epoch      {task.completed}/{task.total}", *bars, "{task.description}", TimeElapsedColumn())
    with Progress(*[TextColumn(c) if isinstance(c, str) else c for c in columns]) as bar:
        task = bar.add_task("", total=total)
        yield lambda epoch, n: bar.update(task, completed=n, description=described(epoch, metric))
        bar.update(task, total=bar.tasks[0].completed)  # full, also where it stopped early


def score_name(model: Any, problem: Problem) -> str:
    """What the validation scores are."""
    return problem.metric if model.scoring in (None, "loss", "calibrated_loss") else str(model.scoring)


def described(epoch: fastnn.Epoch, metric: str) -> str:
    """The loss, and the validation score if there is one, by its name; without one, the loss alone."""
    score = (
        "" if epoch.validation_score is None or not metric else f"  validation {metric} {epoch.validation_score:.4f}"
    )
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
        # Where the terminal is narrow, headings are broken, and not the numbers.
        widest = max(len(row[i]) for row in rows[1:]) if i else None
        table.add_column(heading, justify="right" if i else "left", overflow="fold", min_width=widest)
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


def learning_curve(run: Run, model: Any, problem: Problem) -> LearningCurveDisplay:
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
