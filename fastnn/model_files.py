"""Model files: a trained network, with what belongs to it, in one file that holds data and no code.

The container is NumPy's .npz, read without pickle. Its entries:

    header            JSON: format, class, parameters, the small attributes, and whatever the caller adds;
                      of a Pipeline also the names of its steps and the state of its encoder
    coefs_0, ...      weights of each layer
    intercepts_0, ... biases of each layer
    classes           labels of a classifier

Format 1, of fastnn 0.1.0, had no Pipeline: the command kept its encoder of tables beside the network.
"""

from __future__ import annotations

import errno
import json
import operator
import os
import secrets
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from .network import check_activations, common_dtype, layer_sizes_of_coefs

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

    from .estimators import MLPClassifier, MLPRegressor
    from .tables import TableEncoder

    Network: TypeAlias = MLPClassifier | MLPRegressor
    Model: TypeAlias = Network | Pipeline

FORMAT = 2  # grows when an older fastnn could not read what a newer one writes; all up to it are read
NETWORKS = ("MLPClassifier", "MLPRegressor")
ATTRIBUTES = (
    "n_features_in_ out_activation_ n_layers_ n_outputs_ n_iter_ t_ "
    "loss_ loss_curve_ best_loss_ validation_scores_ best_validation_score_ history_"
).split()


class ModelFileError(ValueError):
    """A file that cannot be read as a fastnn model."""


def save(model: Model, path: str | os.PathLike[str], **extra: Any) -> Path:
    """Write a fitted model into one file.

    The file appears under its name only when it is complete. The state of the optimizer and of the random
    generator is not kept, nor are first weights that were given as arrays.

    Parameters
    ----------
    model : MLPClassifier, MLPRegressor or sklearn.pipeline.Pipeline
        A fitted estimator of fastnn or of scikit-learn, or a fitted Pipeline of a `TableEncoder` and such an estimator.
    path : path
        Without an extension, ``.fastnn`` is added.
    **extra
        Anything that JSON can hold; `read` returns it.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    TypeError
        The model is something else, or a Pipeline has another step (which the message names); or `extra`, a class, or
        a law of your own, is nothing that the file can hold.
    ValueError
        The arrays of the model do not fit one another.
    sklearn.exceptions.NotFittedError
        The model is not fitted.

    Examples
    --------
    >>> fastnn.save(model, "model.fastnn")  # doctest: +SKIP
    >>> fastnn.load("model.fastnn").predict(X)  # doctest: +SKIP
    """
    from sklearn.utils.validation import check_is_fitted

    steps, encoder, network = _parts(model)
    check_is_fitted(network, "coefs_")
    parameters = network.get_params()
    for name in "activation", "loss":
        laws = parameters.get(name, "")
        if any(not isinstance(law, str) for law in (laws if isinstance(laws, list | tuple) else [laws])):
            raise TypeError(
                f"{name} is a law of your own, whose functions a file cannot hold: pickle can, if they can be imported"
            )
    for name in "learning_rate", "scoring":
        if callable(parameters.get(name)):
            raise TypeError(f"{name} is a function, which a file cannot hold: pickle can, if it can be imported")
    if not isinstance(parameters.get("init", "glorot"), str):
        parameters["init"] = "glorot"  # arrays as large as the weights
    if parameters.get("checkpoint") is not None:
        parameters["checkpoint"] = os.fsdecode(parameters["checkpoint"])
    if isinstance(parameters.get("class_weight"), dict):  # in the order of the classes: JSON has no keys but text
        weights = parameters["class_weight"]
        parameters["class_weight"] = {"weights": [float(weights.get(label, 1)) for label in network.classes_]}
    if not isinstance(parameters["random_state"], int | np.integer):
        parameters["random_state"] = None
    sizes, n_features = layer_sizes_of_coefs(network.coefs_, network.intercepts_), network.n_features_in_
    if encoder:
        check_is_fitted(encoder)
        n_features = len(encoder.get_feature_names_out())
    if (sizes[0], sizes[-1]) != (n_features, network.n_outputs_):
        raise ValueError(
            f"coefs_ are those of {sizes[0]} features and {sizes[-1]} outputs, but {n_features} and "
            f"{network.n_outputs_} are what the model has"
        )
    dtype = common_dtype(*network.coefs_, *network.intercepts_)
    arrays = {f"coefs_{i}": np.ascontiguousarray(coef, dtype) for i, coef in enumerate(network.coefs_)}
    arrays |= {f"intercepts_{i}": np.asarray(intercept, dtype) for i, intercept in enumerate(network.intercepts_)}
    header = {
        "format": FORMAT,
        "class": type(network).__name__,
        "parameters": parameters,
        "attributes": {name: getattr(network, name) for name in ATTRIBUTES if hasattr(network, name)},
        # Behind an encoder the names are the encoder's.
        "feature_names": [] if encoder else list(getattr(network, "feature_names_in_", [])),
        "steps": steps,
        "extra": extra,
    }
    if encoder:
        header["encoder"] = encoder.to_state()
    if hasattr(network, "classes_"):
        classes = np.asarray(network.classes_)
        header["objects"] = classes.dtype == object  # text, in an array of Python strings
        if header["objects"] and not all(isinstance(label, str) for label in classes):
            raise TypeError(f"the classes are {classes}, but only str, int, float or bool can be saved")
        arrays["classes"] = classes.astype(str) if header["objects"] else classes
        header["multilabel"] = network._label_binarizer.y_type_ == "multilabel-indicator"
    text = json.dumps(header, default=_plain)
    path = _with_extension(path)
    target = path.resolve()  # a link stays one
    if not target.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path.parent))
    temporary = target.with_name(f".{secrets.token_hex(8)}")
    try:
        with temporary.open("xb") as file:
            np.savez(file, header=np.frombuffer(text.encode(), np.uint8), **arrays)  # type: ignore[arg-type]
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def load(path: str | os.PathLike[str]) -> Model:
    """Read the model that `save`, or the command, wrote. It predicts the same bits as the one that was saved.

    Parameters
    ----------
    path : path
        Without an extension, ``.fastnn`` is added.

    Returns
    -------
    MLPClassifier, MLPRegressor or sklearn.pipeline.Pipeline
        What was saved. A model that the command trained on a table is a Pipeline, which takes the table as a DataFrame.

    Raises
    ------
    ModelFileError
        The file is cut short, damaged, from a newer fastnn, or no fastnn model at all.
    OSError
        The file cannot be opened.

    Examples
    --------
    >>> model = fastnn.load("fastnn-run/model.fastnn")  # doctest: +SKIP
    >>> model.predict(pd.read_csv("flowers.csv"))  # doctest: +SKIP
    """
    return read(path)[0]


def read(path: str | os.PathLike[str]) -> tuple[Model, dict[str, Any]]:
    """As `load`, with the dict of what `save` was given besides the model."""
    typed, path = path, _with_extension(path)
    try:
        file = path.open("rb")
    except FileNotFoundError as error:
        nor = "" if path == Path(typed) else f", nor {path}"
        raise FileNotFoundError(errno.ENOENT, f"{error.strerror}{nor}", str(typed)) from None
    with file:
        if file.read(4) != b"PK\3\4":
            raise ModelFileError(f"{path} is not a fastnn model file")
        file.seek(0)
        try:
            with np.load(file, allow_pickle=False) as entries:
                arrays = {name: entries[name] for name in entries.files}
            header = json.loads(arrays["header"].tobytes()) if "header" in arrays else {}
            version = int(header.get("format", 0))
            if 1 <= version <= FORMAT:
                extra = header["extra"]
                if version == 1 and extra.get("table"):
                    header |= {"encoder": extra.pop("table"), "steps": ["encoder", "network"]}
                return _model(header, arrays), extra
        except Exception as error:  # zip, NumPy, JSON and scikit-learn each complain in their own way
            reason = " ".join(str(error).split())
            raise ModelFileError(f"{path} is damaged or cut short ({reason})") from error
    if version > FORMAT:
        raise ModelFileError(f"{path} has format {version}, but this fastnn reads {FORMAT}: a newer one is needed")
    raise ModelFileError(f"{path} is not a fastnn model file")


def _parts(model: Any) -> tuple[list[str], TableEncoder | None, Network]:
    """Names of the steps, encoder and network of a Pipeline; no names and no encoder, where a network stands alone."""
    wanted = "an MLPClassifier or an MLPRegressor"
    kind = type(model).__name__
    if _is_network(model):
        return [], None, model
    if kind != "Pipeline":
        raise TypeError(f"model is a {kind}, but {wanted}, or a Pipeline that ends with one, can be saved")
    from .tables import TableEncoder

    wanted = f"a Pipeline that can be saved has a TableEncoder and then {wanted}"
    for i, (name, step) in enumerate(model.steps):
        kind = step if isinstance(step, str) else type(step).__name__
        if i > 1 or not (_is_network(step) if i else type(step) is TableEncoder):
            raise TypeError(f"step {name!r} is {kind}, but {wanted}")
    if len(model.steps) == 1:
        raise TypeError(f"the Pipeline has one step only, but {wanted}")
    (first, encoder), (last, network) = model.steps
    return [first, last], encoder, network


def _is_network(model: Any) -> bool:
    """Whether it is one of fastnn's or scikit-learn's own: a subclass may do what no file can hold."""
    kind = type(model)
    return kind.__name__ in NETWORKS and kind.__module__.partition(".")[0] in ("fastnn", "sklearn")


def _model(header: dict[str, Any], arrays: dict[str, np.ndarray]) -> Model:
    """The model that a header and arrays describe; ValueError unless they fit together."""
    network = _network(header, arrays)
    if not header.get("steps"):
        if "encoder" in header:
            raise ValueError("it has an encoder, but no steps")
        return network
    from sklearn.pipeline import Pipeline

    from .tables import TableEncoder

    encoder = TableEncoder.from_state(header["encoder"])
    row = encoder.transform(np.full((1, encoder.n_features_in_), None))  # with no value in it: any encoder takes that
    if row.shape[1] != network.n_features_in_:
        raise ValueError("its encoder and its network do not fit together")
    if not np.isfinite(row).all():
        raise ValueError("its encoder makes no numbers")
    return Pipeline(list(zip(header["steps"], (encoder, network), strict=True)))


def _network(header: dict[str, Any], arrays: dict[str, np.ndarray]) -> Network:
    """The estimator alone."""
    from sklearn.preprocessing import LabelBinarizer

    from .estimators import MLPClassifier, MLPRegressor

    parameters, attributes = header["parameters"], header["attributes"]
    for name in "hidden_layer_sizes", "activation", "quantile":
        if isinstance(parameters.get(name), list):
            parameters[name] = tuple(parameters[name])
    kind = {"MLPClassifier": MLPClassifier, "MLPRegressor": MLPRegressor}[header["class"]]
    model = kind(**parameters)
    model._validate_params()
    for name in ATTRIBUTES:
        if name in attributes:
            setattr(model, name, attributes[name])
    for name in ("loss_", "best_loss_"):  # NumPy's, as training leaves them
        if getattr(model, name, None) is not None:
            setattr(model, name, np.float64(getattr(model, name)))
    if hasattr(model, "loss_curve_"):
        model.loss_curve_ = list(map(np.float64, model.loss_curve_))
    for name in ("n_features_in_", "n_layers_", "n_outputs_", "n_iter_", "t_"):
        setattr(model, name, operator.index(getattr(model, name)))
    layers = range(model.n_layers_ - 1)
    model.coefs_ = [np.ascontiguousarray(arrays[f"coefs_{i}"]) for i in layers]
    model.intercepts_ = [arrays[f"intercepts_{i}"] for i in layers]
    model._no_improvement_count = 0
    if header["feature_names"]:
        model.feature_names_in_ = np.array(list(map(str, header["feature_names"])), object)
    n_outputs = model.n_outputs_
    if isinstance(model, MLPClassifier):
        classes = arrays["classes"].astype(object) if header["objects"] else arrays["classes"]
        model.classes_ = classes
        if isinstance(model.class_weight, dict):
            model.class_weight = dict(zip(classes.tolist(), map(float, model.class_weight["weights"]), strict=True))
        labels = np.eye(len(classes), dtype=int) if header["multilabel"] else classes
        model._label_binarizer = LabelBinarizer().fit(labels)
        n_outputs = 1 if len(classes) == 2 and not header["multilabel"] else len(classes)
    # The kernels trust the shapes.
    widths = [model.n_features_in_, *(coef.shape[-1] for coef in model.coefs_)]
    shapes = [coef.shape for coef in model.coefs_], [intercept.shape for intercept in model.intercepts_]
    types = {array.dtype for array in model.coefs_ + model.intercepts_}
    if (
        shapes != (list(pairwise(widths)), [(width,) for width in widths[1:]])
        or not widths[-1] == model.n_outputs_ == n_outputs
        or types not in ({np.dtype(np.float32)}, {np.dtype(np.float64)})
    ):
        raise ValueError("its arrays do not fit together")
    check_activations(model.activation, model.out_activation_, len(widths) - 2)
    if model.out_activation_ != model._out_activation():
        raise ValueError(f"its output is {model.out_activation_}, but {model._out_activation()} is what its class has")
    return model


def _with_extension(path: str | os.PathLike[str]) -> Path:
    path = Path(path)
    if path.name in ("", ".."):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    return path if path.suffix else path.with_suffix(".fastnn")


def _plain(value: Any) -> Any:
    """What JSON writes for numbers and arrays of NumPy, and for ranges."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, range):
        return list(value)
    raise TypeError(f"{value!r} is a {type(value).__name__}, which a model file cannot hold")
