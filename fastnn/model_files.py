"""Model files: a trained network, with what belongs to it, in one file that holds data and no code.

The container is NumPy's .npz, read without pickle. Its entries:

    header            JSON: format, class, parameters, the small attributes, and whatever the caller adds
    coefs_0, ...      weights of each layer
    intercepts_0, ... biases of each layer
    classes           labels of a classifier
"""

from __future__ import annotations

import json
import os
import secrets
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from .estimators import MLPClassifier, MLPRegressor

    Model: TypeAlias = MLPClassifier | MLPRegressor

FORMAT = 1  # grows when an older fastnn could not read what a newer one writes
ATTRIBUTES = (
    "n_features_in_ out_activation_ n_layers_ n_outputs_ n_iter_ t_ "
    "loss_ loss_curve_ best_loss_ validation_scores_ best_validation_score_"
).split()


class ModelFileError(ValueError):
    """A file that cannot be read as a fastnn model."""


def save(model: Model, path: str | os.PathLike[str], **extra: Any) -> Path:
    """Write a fitted estimator into one file.

    The file appears under its name only when it is complete. The state of the optimizer and of the random
    generator is not kept.

    Parameters
    ----------
    model : MLPClassifier or MLPRegressor
        A fitted estimator of fastnn or of scikit-learn.
    path : path
        Without an extension, `.fastnn` is added.
    **extra
        Anything that JSON can hold; `read` returns it.

    Returns
    -------
    pathlib.Path
        The file.

    Examples
    --------
    >>> fastnn.save(model, "model.fastnn")  # doctest: +SKIP
    >>> fastnn.load("model.fastnn").predict(X)  # doctest: +SKIP
    """
    from sklearn.utils.validation import check_is_fitted

    kind = type(model).__name__
    if kind not in ("MLPClassifier", "MLPRegressor"):
        raise TypeError(f"model is a {kind}, but an MLPClassifier or an MLPRegressor can be saved")
    check_is_fitted(model, "coefs_")
    parameters = model.get_params()
    if not isinstance(parameters["random_state"], int | np.integer):
        parameters["random_state"] = None
    arrays = {f"coefs_{i}": coef for i, coef in enumerate(model.coefs_)}
    arrays |= {f"intercepts_{i}": intercept for i, intercept in enumerate(model.intercepts_)}
    header = {
        "format": FORMAT,
        "class": kind,
        "parameters": parameters,
        "attributes": {name: getattr(model, name) for name in ATTRIBUTES if hasattr(model, name)},
        "feature_names": list(getattr(model, "feature_names_in_", [])),
        "extra": extra,
    }
    if kind == "MLPClassifier":
        classes = np.asarray(model.classes_)
        header["objects"] = classes.dtype == object  # text, in an array of Python strings
        if header["objects"] and not all(isinstance(label, str) for label in classes):
            raise TypeError(f"the classes are {classes}, but only str, int, float or bool can be saved")
        arrays["classes"] = classes.astype(str) if header["objects"] else classes
        header["multilabel"] = model._label_binarizer.y_type_ == "multilabel-indicator"
    text = json.dumps(header, default=_plain)
    path = _with_extension(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with temporary.open("xb") as file:
            np.savez(file, header=np.frombuffer(text.encode(), np.uint8), **arrays)  # type: ignore[arg-type]
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def load(path: str | os.PathLike[str]) -> Model:
    """Read the estimator that `save` wrote. It predicts the same bits as the one that was saved.

    Raises
    ------
    ModelFileError
        The file is cut short, damaged, from a newer fastnn, or no fastnn model at all.
    OSError
        The file cannot be opened.
    """
    return read(path)[0]


def read(path: str | os.PathLike[str]) -> tuple[Model, dict[str, Any]]:
    """As `load`, with the dict of what `save` was given besides the model."""
    path = _with_extension(path)
    with path.open("rb") as file:
        if file.read(4) != b"PK\3\4":
            raise ModelFileError(f"{path} is not a fastnn model file")
        file.seek(0)
        try:
            with np.load(file, allow_pickle=False) as entries:
                arrays = {name: entries[name] for name in entries.files}
            header = json.loads(arrays["header"].tobytes()) if "header" in arrays else {}
            version = header.get("format", 0)
            if version == FORMAT:
                return _model(header, arrays), header["extra"]
        except Exception as error:  # zip, NumPy, JSON and scikit-learn each complain in their own way
            raise ModelFileError(f"{path} is damaged or cut short ({error})") from error
    if version:
        raise ModelFileError(f"{path} has format {version}, but this fastnn reads {FORMAT}: a newer one is needed")
    raise ModelFileError(f"{path} is not a fastnn model file")


def _model(header: dict[str, Any], arrays: dict[str, np.ndarray]) -> Model:
    """The estimator that a header and arrays describe; ValueError unless they fit together."""
    from sklearn.preprocessing import LabelBinarizer

    from .estimators import MLPClassifier, MLPRegressor

    parameters, attributes = header["parameters"], header["attributes"]
    if isinstance(parameters["hidden_layer_sizes"], list):
        parameters["hidden_layer_sizes"] = tuple(parameters["hidden_layer_sizes"])
    kind = {"MLPClassifier": MLPClassifier, "MLPRegressor": MLPRegressor}[header["class"]]
    model = kind(**parameters)
    for name in ATTRIBUTES:
        if name in attributes:
            setattr(model, name, attributes[name])
    layers = range(model.n_layers_ - 1)
    model.coefs_ = [arrays[f"coefs_{i}"] for i in layers]
    model.intercepts_ = [arrays[f"intercepts_{i}"] for i in layers]
    model._no_improvement_count = 0
    if header["feature_names"]:
        model.feature_names_in_ = np.array(header["feature_names"], object)
    n_outputs = model.n_outputs_
    if isinstance(model, MLPClassifier):
        classes = arrays["classes"].astype(object) if header["objects"] else arrays["classes"]
        model.classes_ = classes
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
    return model


def _with_extension(path: str | os.PathLike[str]) -> Path:
    path = Path(path)
    return path if path.suffix else path.with_suffix(".fastnn")


def _plain(value: Any) -> Any:
    """What JSON writes for numbers and arrays of NumPy."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"{value!r} is a {type(value).__name__}, which a model file cannot hold")
