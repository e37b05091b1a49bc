"""Model files: a trained model, with what belongs to it, in one file that holds data and no code.

The container is NumPy's .npz, read without pickle. Its entries:

    header            JSON: format, class, parameters, the small attributes, and whatever the caller adds;
                      of a Pipeline also the names of its steps and the state of its encoder
    coefs_0, ...      weights of each layer
    intercepts_0, ... biases of each layer
    classes           labels of a classifier

and of a TabularClassifier or TabularRegressor

    header            besides, the state of its own encoder, and for each member what the header of a network has
    member_0_coefs_0, ...  and so on: the layers of each member, in the place of coefs_0 ...
    center, scale     of the embedding
    edges, n_edges    those of all columns, one after another, and how many each has
    y_mean, ...       y_scale, y_min and y_max: of a regressor

Format 1, of fastnn 0.1.0, had no Pipeline: the command kept its encoder of tables beside the network.
"""

from __future__ import annotations

import errno
import json
import operator
import os
import secrets
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from .inference import sizes_of_members
from .network import check_activations, common_dtype, layer_sizes_of_coefs

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

    from .estimators import MLPClassifier, MLPRegressor
    from .tables import TableEncoder
    from .tabular import TabularClassifier, TabularRegressor

    Network: TypeAlias = MLPClassifier | MLPRegressor
    Tabular: TypeAlias = TabularClassifier | TabularRegressor
    Model: TypeAlias = Network | Tabular | Pipeline

FORMAT = 2  # grows when an older fastnn could not read what a newer one writes; all up to it are read
NETWORKS = ("MLPClassifier", "MLPRegressor")
TABULAR = ("TabularClassifier", "TabularRegressor")
ATTRIBUTES = (
    "n_features_in_ out_activation_ n_layers_ n_outputs_ n_iter_ t_ "
    "loss_ loss_curve_ best_loss_ validation_scores_ best_validation_score_ history_"
).split()
UNITS = "y_mean", "y_scale", "y_min", "y_max"  # of a TabularRegressor


class ModelFileError(ValueError):
    """A file that cannot be read as a fastnn model."""


def save(model: Model, path: str | os.PathLike[str], **extra: Any) -> Path:
    """Write a fitted model into one file.

    The file appears under its name only when it is complete. The state of the optimizer and of the random
    generator is not kept, nor are first weights that were given as arrays.

    Parameters
    ----------
    model : MLPClassifier, MLPRegressor, TabularClassifier, TabularRegressor or sklearn.pipeline.Pipeline
        A fitted estimator of fastnn or of scikit-learn, or a fitted Pipeline of a `TableEncoder` and such an estimator;
        before a `TabularClassifier` or a `TabularRegressor`, which have one of their own, it may be missing.
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

    steps, encoder, estimator = _parts(model)
    n_features = None
    if encoder:
        check_is_fitted(encoder)
        n_features = len(encoder.get_feature_names_out())
    described, arrays = (_tabular_entries if _is_tabular(estimator) else _network_entries)(estimator, n_features)
    header = {"format": FORMAT, **described, "steps": steps, "extra": extra}
    if encoder:
        header["encoder"] = encoder.to_state()
        header["feature_names"] = []  # behind an encoder the names are the encoder's
    if hasattr(estimator, "classes_"):
        classes = np.asarray(estimator.classes_)
        header["objects"] = classes.dtype == object  # text, in an array of Python strings
        if header["objects"] and not all(isinstance(label, str) for label in classes):
            raise TypeError(f"the classes are {classes}, but only str, int, float or bool can be saved")
        arrays["classes"] = classes.astype(str) if header["objects"] else classes
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
    except OSError as error:  # which would name the temporary file, or none
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
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
    MLPClassifier, MLPRegressor, TabularClassifier, TabularRegressor or sklearn.pipeline.Pipeline
        What was saved. A model that the command trained on a table takes the table as a DataFrame.

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


def read(path: str | os.PathLike[str], to_predict: bool = False) -> tuple[Any, dict[str, Any]]:
    """As `load`, with the dict of what `save` was given besides the model.

    With `to_predict`, model and encoder are those of `inference` and `tables.encoding`, which predict the same and no
    more, and need no scikit-learn.  What they do not ask for, the parameters of training and of finding out what the
    columns are, is not looked at then.
    """
    typed, path = path, _with_extension(path)
    try:
        file = path.open("rb")
    except (FileNotFoundError, IsADirectoryError) as error:
        if Path(typed).is_dir():
            inside = Path(typed) / "model.fastnn"  # as `fastnn train` calls it
            meant = f" (meant: {inside}?)" if inside.is_file() else ""
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR) + meant, str(typed)) from None
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
                extra = dict(header["extra"])
                if version == 1 and extra.get("table"):
                    header |= {"encoder": extra.pop("table"), "steps": ["encoder", "network"]}
                return _model(header, arrays, _kinds(to_predict)), extra
        except Exception as error:  # zip, NumPy, JSON and scikit-learn each complain in their own way
            reason = " ".join(str(error).split())
            raise ModelFileError(f"{path} is damaged or cut short ({reason})") from error
    if version > FORMAT:
        raise ModelFileError(f"{path} has format {version}, but this fastnn reads {FORMAT}: a newer one is needed")
    raise ModelFileError(f"{path} is not a fastnn model file")


def _parts(model: Any) -> tuple[list[str], TableEncoder | None, Any]:
    """Names of the steps, encoder and estimator of a Pipeline; no names and no encoder, where one stands alone."""
    one = "an MLPClassifier, MLPRegressor, TabularClassifier or TabularRegressor"
    kind = type(model).__name__
    if _is_network(model) or _is_tabular(model):
        return [], None, model
    if kind != "Pipeline":
        raise TypeError(f"model is a {kind}, but {one}, or a Pipeline that ends with one, can be saved")
    from .tables import TableEncoder

    wanted = f"a Pipeline that can be saved has a TableEncoder and then {one}"
    if len(model.steps) == 1 and _is_tabular(model[0]):
        return [model.steps[0][0]], None, model[0]
    for i, (name, step) in enumerate(model.steps):
        kind = step if isinstance(step, str) else type(step).__name__
        if i > 1 or not (_is_network(step) or _is_tabular(step) if i else type(step) is TableEncoder):
            raise TypeError(f"step {name!r} is {kind}, but {wanted}")
    if len(model.steps) == 1:
        raise TypeError(f"the Pipeline has one step only, but {wanted}")
    (first, encoder), (last, estimator) = model.steps
    return [first, last], encoder, estimator


def _is_network(model: Any) -> bool:
    """Whether it is one of fastnn's or scikit-learn's own: a subclass may do what no file can hold."""
    kind = type(model)
    return kind.__name__ in NETWORKS and kind.__module__.partition(".")[0] in ("fastnn", "sklearn")


def _is_tabular(model: Any) -> bool:
    """Whether it is one of fastnn's own."""
    kind = type(model)
    return kind.__name__ in TABULAR and kind.__module__.partition(".")[0] == "fastnn"


def _plain_parameters(model: Any) -> dict[str, Any]:
    """The parameters of an estimator as a file holds them; TypeError for those that it cannot hold."""
    parameters = model.get_params(deep=False)
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
        parameters["class_weight"] = {"weights": [float(weights.get(label, 1)) for label in model.classes_]}
    if not isinstance(parameters["random_state"], int | np.integer):
        parameters["random_state"] = None
    return parameters


def _own_parameters(parameters: dict[str, Any], classes: Any = None) -> dict[str, Any]:
    """The parameters of an estimator, of what `_plain_parameters` made of them."""
    for name in "hidden_layer_sizes", "activation", "quantile":
        if isinstance(parameters.get(name), list):
            parameters[name] = tuple(parameters[name])
    if isinstance(parameters.get("class_weight"), dict):
        weights = parameters["class_weight"]["weights"]
        parameters["class_weight"] = dict(zip(classes.tolist(), map(float, weights), strict=True))
    return parameters


def _network_entries(network: Network, n_features: int | None) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What a file holds of a network: its part of the header, and arrays."""
    from sklearn.utils.validation import check_is_fitted

    check_is_fitted(network, "coefs_")
    sizes = layer_sizes_of_coefs(network.coefs_, network.intercepts_)
    n_features = network.n_features_in_ if n_features is None else n_features
    if (sizes[0], sizes[-1]) != (n_features, network.n_outputs_):
        raise ValueError(
            f"coefs_ are those of {sizes[0]} features and {sizes[-1]} outputs, but {n_features} and "
            f"{network.n_outputs_} are what the model has"
        )
    dtype = common_dtype(*network.coefs_, *network.intercepts_)
    arrays = {f"coefs_{i}": np.ascontiguousarray(coef, dtype) for i, coef in enumerate(network.coefs_)}
    arrays |= {f"intercepts_{i}": np.asarray(intercept, dtype) for i, intercept in enumerate(network.intercepts_)}
    header = {
        "class": type(network).__name__,
        "parameters": _plain_parameters(network),
        "attributes": {name: getattr(network, name) for name in ATTRIBUTES if hasattr(network, name)},
        "feature_names": list(getattr(network, "feature_names_in_", [])),
    }
    if hasattr(network, "classes_"):
        header["multilabel"] = network._label_binarizer.y_type_ == "multilabel-indicator"
    return header, arrays


def _encoder_parameters(encoder: TableEncoder) -> dict[str, Any]:
    """Those that are not as usual, as JSON holds them."""
    given = encoder.get_params()
    for name in "categorical", "numeric", "dates", "ignore":
        value = given[name]
        if not isinstance(value, str):
            given[name] = dict(value) if isinstance(value, Mapping) else list(map(str, value))
    usual = type(encoder)().get_params()
    return {name: value for name, value in given.items() if value not in (usual[name], [])}


def _tabular_entries(model: Tabular, n_features: int | None) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What a file holds of a TabularClassifier or TabularRegressor: its part of the header, and arrays."""
    from sklearn.utils.validation import check_is_fitted

    from .export.description import describe
    from .tables import TableEncoder

    check_is_fitted(model, "estimators_")
    describe(model)  # which says what does not fit
    if n_features not in (None, model.n_features_in_):
        raise ValueError(f"n_features_in_ is {model.n_features_in_}, but the encoder before it makes {n_features}")
    parameters, embedding = _plain_parameters(model), model.embedding_
    if type(model.encoder_) is not TableEncoder:
        raise TypeError(f"encoder is a {type(model.encoder_).__name__}, but a TableEncoder can be saved")
    if (encoder := parameters["encoder"]) is not None:
        is_frozen = not isinstance(encoder, TableEncoder)
        parameters["encoder"] = {
            "is_frozen": is_frozen,
            "parameters": {} if is_frozen else _encoder_parameters(encoder),
        }
    header: dict[str, Any] = {
        "class": type(model).__name__,
        "parameters": parameters,
        "attributes": {"encoder_": model.encoder_.to_state(), "n_bins": embedding.n_bins},
        "members": [],
    }
    arrays = {
        "center": embedding.center_,
        "scale": embedding.scale_,
        "edges": np.concatenate([np.empty(0), *embedding.edges_]),
        "n_edges": np.array([len(edges) for edges in embedding.edges_], np.int64),
    }
    for i, member in enumerate(model.estimators_):
        described, layers = _network_entries(member, None)
        header["members"].append(described | {"feature_names": []})
        arrays |= {f"member_{i}_{name}": array for name, array in layers.items()}
    arrays |= {name: np.asarray(getattr(model, f"{name}_"), np.float64) for name in UNITS if hasattr(model, f"{name}_")}
    return header, arrays


def _kinds(to_predict: bool) -> dict[str, Any]:
    """The classes that a model consists of, by their names."""
    if to_predict:
        from . import inference
        from .tables.encoding import Encoding

        return {**vars(inference), "TableEncoder": Encoding}
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import LabelBinarizer

    from .estimators import MLPClassifier, MLPRegressor
    from .tables import TableEncoder
    from .tabular import PiecewiseLinearEncoder, TabularClassifier, TabularRegressor

    used = MLPClassifier, MLPRegressor, TabularClassifier, TabularRegressor, PiecewiseLinearEncoder, TableEncoder
    return {kind.__name__: kind for kind in (*used, Pipeline, LabelBinarizer)}


def _model(header: dict[str, Any], arrays: dict[str, np.ndarray], kinds: dict[str, Any]) -> Any:
    """The model that a header and arrays describe; ValueError unless they fit together."""
    estimator = (_tabular if header["class"] in TABULAR else _network)(header, arrays, kinds)
    if not header.get("steps"):
        if "encoder" in header:
            raise ValueError("it has an encoder, but no steps")
        return estimator
    if "encoder" not in header and header["class"] in TABULAR:
        return kinds["Pipeline"](list(zip(header["steps"], [estimator], strict=True)))
    encoder = kinds["TableEncoder"].from_state(header["encoder"])
    row = encoder.transform(np.full((1, encoder.n_features_in_), None))  # with no value in it: any encoder takes that
    if row.shape[1] != estimator.n_features_in_:
        raise ValueError("its encoder and its network do not fit together")
    if not np.isfinite(row).all():
        raise ValueError("its encoder makes no numbers")
    return kinds["Pipeline"](list(zip(header["steps"], (encoder, estimator), strict=True)))


def _classes(header: dict[str, Any], arrays: dict[str, np.ndarray]) -> Any:
    """The labels of a classifier; None of a regressor."""
    if "classes" not in arrays:
        return None
    classes = arrays["classes"]
    is_text = classes.dtype.kind == "U"
    are_whole = classes.dtype.kind in "biu" or (classes.dtype.kind == "f" and (classes == np.floor(classes)).all())
    if classes.ndim != 1 or not (is_text or are_whole) or len(set(classes.tolist())) != len(classes):
        raise ValueError(f"its classes are {classes}, but different labels are wanted, each once")
    return classes.astype(object) if header["objects"] else classes


def _tabular(header: dict[str, Any], arrays: dict[str, np.ndarray], kinds: dict[str, Any]) -> Any:
    """A TabularClassifier or TabularRegressor."""
    parameters, classes = header["parameters"], _classes(header, arrays)
    encoder = kinds["TableEncoder"].from_state(header["attributes"]["encoder_"])
    kind = kinds[header["class"]]
    if hasattr(kind, "fit") and (given := parameters["encoder"]) is not None:
        from sklearn.frozen import FrozenEstimator

        unfitted = kinds["TableEncoder"](**given["parameters"])
        parameters["encoder"] = FrozenEstimator(encoder) if given["is_frozen"] else unfitted
    model = _with_parameters(kind, _own_parameters(parameters, classes))
    model.encoder_, model.n_features_in_ = encoder, encoder.n_features_in_
    if hasattr(encoder, "feature_names_in_"):
        model.feature_names_in_ = encoder.feature_names_in_
    model.embedding_ = embedding = kinds["PiecewiseLinearEncoder"](operator.index(header["attributes"]["n_bins"]))
    embedding.center_, embedding.scale_ = arrays["center"], arrays["scale"]
    embedding.n_features_in_ = len(embedding.center_)
    embedding.edges_ = [edges.copy() for edges in np.split(arrays["edges"], np.cumsum(arrays["n_edges"])[:-1])]
    is_of_numbers = header["class"] == "TabularRegressor"
    for name in UNITS if is_of_numbers else ():
        setattr(model, f"{name}_", arrays[name][()])
    if not is_of_numbers:
        model.classes_ = classes
    model.estimators_ = []
    for i, described in enumerate(header["members"]):
        prefix = f"member_{i}_"
        layers = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
        if classes is not None:
            layers["classes"] = arrays["classes"]
        model.estimators_.append(_network(described | {"objects": header.get("objects")}, layers, kinds))
    model.history_ = [member.history_ for member in model.estimators_]
    model.n_iter_ = max(member.n_iter_ for member in model.estimators_)
    # What does not fit is an error here, and not where a user predicts.
    n_features = sum(len(column.outputs) for column in encoder.columns_)
    n_outputs = sizes_of_members(model.estimators_, n_features, embedding.edges_)[-1]
    columns = [arrays[name] for name in ("center", "scale", "edges")]
    units = [arrays[name] for name in UNITS if is_of_numbers]
    if (
        {f"Tabular{type(member).__name__.removeprefix('MLP')}" for member in model.estimators_} != {kind.__name__}
        or any(array.dtype != np.float64 or not np.isfinite(array).all() for array in [*columns, *units])
        or any(array.ndim != 1 for array in columns)
        or len(embedding.scale_) != embedding.n_features_in_
        or arrays["n_edges"].sum() != len(arrays["edges"])
        or any((np.diff(edges) <= 0).any() for edges in embedding.edges_)
        or any(array.shape != ((n_outputs,) if n_outputs > 1 else ()) for array in units)
    ):
        raise ValueError("its parts do not fit together")
    nothing = np.full((1, model.n_features_in_), None)  # a row that any encoder takes
    if not np.isfinite(embedding.transform(np.asarray(model.encoder_.transform(nothing)))).all():
        raise ValueError("its encoder makes no numbers")
    return model


def _with_parameters(kind: Any, parameters: dict[str, Any]) -> Any:
    """A model of this kind with these parameters, which an estimator looks at."""
    model = kind(**parameters)
    if hasattr(model, "_validate_params"):
        model._validate_params()
    return model


def _network(header: dict[str, Any], arrays: dict[str, np.ndarray], kinds: dict[str, Any]) -> Any:
    """An MLPClassifier or MLPRegressor."""
    attributes, classes = header["attributes"], _classes(header, arrays)
    kind = {name: kinds[name] for name in NETWORKS}[header["class"]]
    model = _with_parameters(kind, _own_parameters(header["parameters"], classes))
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
    if names := list(map(str, header["feature_names"])):
        if len(names) != model.n_features_in_ or len(set(names)) != len(names):
            raise ValueError(f"its features are called {names}, but {model.n_features_in_} names are wanted, each once")
        model.feature_names_in_ = np.array(names, object)
    n_outputs = model.n_outputs_
    if header["class"] == "MLPClassifier":
        model.classes_ = classes
        labels = np.eye(len(classes), dtype=int) if header["multilabel"] else classes
        model._label_binarizer = kinds["LabelBinarizer"]().fit(labels)
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
