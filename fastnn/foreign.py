"""Networks of other libraries as fitted estimators."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn.chains import chain
from fastnn.estimators import MLPClassifier, MLPRegressor
from fastnn.export.onnx import OF_LOSS
from fastnn.export.torch import LAYERS
from fastnn.kernels.laws.activations import ACTIVATIONS, Activation
from fastnn.kernels.laws.losses import LOSSES, OUT_ACTIVATIONS
from fastnn.network import Array, common_dtype, layer_sizes_of_coefs

#: Layers of PyTorch that do nothing to a row, once training is over.
_NOTHING = ("Identity", "Dropout", "AlphaDropout", "FeatureAlphaDropout")


def from_onnx(source: Any, *, classes: npt.ArrayLike | None = None) -> MLPClassifier | MLPRegressor:
    """The network of an ONNX file as a fitted estimator, which predicts the same and may be trained further.

    What is read are chains of Gemm, MatMul and Add with the activations that fastnn has, as nodes or as what other
    programs write for them: files of `to_onnx`, of skl2onnx (scikit-learn's MLPs) and of PyTorch (nn.Sequential).  What
    scales the columns before the first layer becomes a part of it.  Nothing of the file is run.

    Parameters
    ----------
    source : path, bytes or onnx.ModelProto
        Data that lie beside a file are read from its folder.
    classes : array-like (n_classes,) or None, default None
        The labels, in the order of the outputs; None for those of the file, or 0, 1 ... where it has none.  If the
        outputs are neither of softmax nor of sigmoid, but there are labels, they are taken for the logits of these.

    Returns
    -------
    MLPClassifier or MLPRegressor
        A classifier, where the outputs are probabilities.  Its `classes_` are sorted, and so are the columns of
        `predict_proba`.  What a file does not hold, such as `solver`, is as by default.

    Raises
    ------
    ImportError
        onnx is not installed.
    TypeError
        The classes are of several types.
    ValueError
        It is no ONNX model, or holds something else than such a network: the message names the node.
    OSError
        The file cannot be opened.

    Examples
    --------
    >>> import fastnn
    >>> model = fastnn.MLPClassifier((5,), max_iter=1, tol=10, n_iter_no_change=1).fit([[0.0], [1.0]], ["no", "yes"])
    >>> again = fastnn.from_onnx(fastnn.to_onnx(model))
    >>> again.classes_.tolist()
    ['no', 'yes']
    """
    found = chain(source)
    labels = found.labels if classes is None else classes
    are_logits = found.out_activation == "identity" and labels is not None
    return _estimator(
        found.coefs,
        found.intercepts,
        [ACTIVATIONS[name] for name in found.activations],
        "logits" if are_logits else found.out_activation,
        labels,
        found.feature_names,
        found.parameters,
    )


def from_torch(module: Any, *, classes: npt.ArrayLike | None = None) -> MLPClassifier | MLPRegressor:
    """A network of PyTorch as a fitted estimator, which predicts the same and may be trained further.

    Parameters
    ----------
    module : torch.nn.Module
        A Sequential, of others too, of Linear and the activations that fastnn has: ReLU, LeakyReLU(0.01), Sigmoid,
        Tanh, ELU, SELU, SiLU, Mish, GELU, Softplus; or what `to_torch` has made.  Dropout, Identity and a Flatten of
        the inputs are left out.  At its end, Sigmoid, Softmax or LogSoftmax make it a classifier; it is one as well
        where `classes` are given: then the outputs are the logits.  All else is a regressor.
    classes : array-like (n_classes,) or None, default None
        The labels, in the order of the outputs (of one logistic output, what 0 and 1 mean).  None: 0, 1 ...

    Returns
    -------
    MLPClassifier or MLPRegressor
        Of float64 where a parameter is, else of float32.  `partial_fit` goes on training it, and so does
        ``set_params(warm_start=True).fit(X, y)``.

    Raises
    ------
    ImportError
        PyTorch is not installed.
    TypeError
        It is no module, or the classes are of several types.
    ValueError
        It has other modules, which the message names, or as many outputs as no such classes have.

    Examples
    --------
    >>> from torch import nn  # doctest: +SKIP
    >>> module = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))  # doctest: +SKIP
    >>> fastnn.from_torch(module, classes=["setosa", "versicolor", "virginica"]).predict(X)  # doctest: +SKIP
    """
    try:
        import torch
    except ImportError as error:
        raise ImportError("from_torch needs PyTorch: pip install torch") from error
    if not isinstance(module, torch.nn.Module):
        raise TypeError(f"module is a {type(module).__name__}, but a torch.nn.Module is wanted")
    coefs, intercepts, activations = list[Array](), list[Array](), list[Activation]()
    tail: list[tuple[str, Any]] = []  # what comes after the last Linear
    for place, layer in _leaves(module):
        if type(layer) is torch.nn.Linear:
            if coefs or tail:
                activations.append(_activation(*tail[0]) if tail else ACTIVATIONS["identity"])
            if len(tail) > bool(coefs):
                raise ValueError(f"{tail[-1][0]} stands where a Linear is wanted: one activation comes after each")
            coef, intercept = _parameters(place, layer)
            if coefs and len(coef) != coefs[-1].shape[1]:
                raise ValueError(f"{place} takes {len(coef)} inputs, but {coefs[-1].shape[1]} come out before it")
            coefs.append(coef)
            intercepts.append(intercept)
            tail = []
        else:
            _check_known(place, layer)
            tail.append((place, layer))
    if not coefs:
        raise ValueError("the module has no Linear, of which a network consists")
    return _estimator(coefs, intercepts, activations, _out_activation(tail, classes is not None), classes)


def _leaves(module: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """The modules that do something, in their order, with their names; those of a Sequential in its place."""
    import torch

    name = f"module {place!r} ({type(module).__name__})" if place else f"the module ({type(module).__name__})"
    if module._forward_hooks or module._forward_pre_hooks:
        raise ValueError(f"{name} has hooks, which may change what it computes: remove them first")
    if isinstance(module, torch.nn.Sequential) and type(module).forward is torch.nn.Sequential.forward:
        for part, child in module._modules.items():  # children() leaves out those that come a second time
            yield from _leaves(child, f"{place}.{part}" if place else part)
    elif type(module) is torch.nn.Flatten and (module.start_dim, module.end_dim) == (1, -1):
        pass  # rows are flat
    elif type(module) not in [getattr(torch.nn, kind) for kind in _NOTHING]:
        yield name, module


def _check_known(place: str, layer: Any) -> None:
    """Raise a ValueError for a module that computes something else."""
    import torch

    from fastnn.export import torch as ours

    kinds = sorted({*(kind for kind, _ in LAYERS.values()), "LogSoftmax", "Softmax"})
    if type(layer) not in [*(getattr(torch.nn, kind) for kind in kinds), *(getattr(ours, kind) for kind in ours.OWN)]:
        read = ", ".join(["Linear", *kinds, *(kind for kind in _NOTHING if kind not in kinds)])
        raise ValueError(f"{place} is none of what can be read: Sequential, {read}")


def _parameters(place: str, layer: Any) -> tuple[Array, Array]:
    """coef and intercept of a Linear."""
    import torch

    arrays = []
    for tensor in (layer.weight.T, torch.zeros(layer.out_features) if layer.bias is None else layer.bias):
        if tensor.is_meta or not tensor.is_floating_point():
            raise ValueError(f"{place} has parameters of {tensor.dtype} on {tensor.device}, but numbers are wanted")
        kind = torch.float64 if layer.weight.dtype == torch.float64 else torch.float32
        arrays.append(np.array(tensor.detach().to("cpu", kind), order="C"))
    return arrays[0], arrays[1]


def _activation(place: str, layer: Any) -> Activation:
    """What an activation of PyTorch is called here."""
    import torch

    from fastnn.export import torch as ours

    if type(layer) is ours.Law:
        known = ACTIVATIONS.get(layer.name)
        if known and known.value is layer.value:
            return known
        if layer.slope is not None:
            return Activation(layer.name, layer.value, layer.slope)
    if type(layer) is ours.Scale:
        raise ValueError(f"{place} scales the inputs: take what follows, module[1:], and give that numbers scaled so")
    wanted = []
    for name, (kind, parameters) in LAYERS.items():
        if type(layer) is getattr(torch.nn, kind):
            found = {parameter: getattr(layer, parameter) for parameter in parameters}
            if kind == "Softplus" and found["threshold"] >= 20:  # from there on, it is z but for the last digits
                found["threshold"] = parameters["threshold"]
            if found == parameters:
                return ACTIVATIONS[name]
            wanted.append(f"{kind}({', '.join(f'{key}={value!r}' for key, value in parameters.items())})")
    if wanted:
        raise ValueError(f"{place} is {layer}, but {' or '.join(wanted)} is wanted")
    raise ValueError(f"{place} is no activation of a hidden layer")


def _out_activation(tail: list[tuple[str, Any]], are_logits: bool) -> str:
    """What the modules after the last Linear do."""
    import torch

    from fastnn.export import torch as ours

    if len(tail) > 1:
        raise ValueError(f"{tail[1][0]} stands after the output activation, {tail[0][0]}")
    if not tail:
        return "logits" if are_logits else "identity"
    ((place, layer),) = tail
    if type(layer) in (torch.nn.Softmax, torch.nn.LogSoftmax):
        if layer.dim not in (1, -1, None):
            raise ValueError(f"{place} has dim={layer.dim}, but dim=1 is wanted: each example is a row")
        return "softmax"
    if type(layer) in (torch.nn.Sigmoid, ours.BothClasses):
        return "logistic"
    if type(layer) is ours.Law and OUT_ACTIVATIONS.get(layer.name) is layer.value:
        return str(layer.name)
    if type(layer) is ours.Sort:
        raise ValueError(f"{place} sorts the outputs, but which quantiles they are is not known here")
    raise ValueError(
        f"{place} is at the end, but Sigmoid, Softmax, LogSoftmax or nothing is wanted after the last Linear"
    )


def _estimator(
    coefs: list[Array],
    intercepts: list[Array],
    activations: Sequence[Activation],
    out_activation: str,
    classes: npt.ArrayLike | None,
    feature_names: Sequence[str] = (),
    told: Mapping[str, Any] | None = None,
) -> MLPClassifier | MLPRegressor:
    """A fitted estimator with these parameters.

    Parameters
    ----------
    coefs, intercepts : list of arrays (n_in, n_out), (n_out,)
    activations : sequence of Activation
        Of the hidden layers.
    out_activation : {"logistic", "softmax", "identity", "exp", "logits"}
        "logits": those of the classes, of one output or of as many as there are classes.
    classes : array-like (n_classes,) or None
        In the order of the outputs; None: 0, 1 ...
    feature_names : sequence of str
    told : mapping or None
        What the network was trained for: its loss, and the parameters of that; forgotten, if it has no such outputs.
    """
    sizes, dtype = layer_sizes_of_coefs(coefs, intercepts), common_dtype(*coefs, *intercepts)
    coefs = [np.ascontiguousarray(coef, dtype) for coef in coefs]
    intercepts = [np.ascontiguousarray(intercept, dtype) for intercept in intercepts]
    if not all(np.isfinite(array).all() for array in (*coefs, *intercepts)):
        raise ValueError("the network holds NaN or infinity, but numbers are wanted")
    names = [law.name if ACTIVATIONS.get(law.name) == law else law for law in activations]
    parameters: dict[str, Any] = {"hidden_layer_sizes": sizes[1:-1]}
    if names:
        parameters["activation"] = names[0] if len(set(names)) == 1 else tuple(names)
    model: MLPClassifier | MLPRegressor
    if out_activation in ("identity", "exp"):
        if classes is not None:
            raise ValueError(f"classes are given, but the outputs are numbers ({out_activation})")
        model = MLPRegressor("poisson" if out_activation == "exp" else "squared_error", **parameters)
    else:
        model = MLPClassifier(**parameters)
        coefs[-1], intercepts[-1] = _of_classes(model, coefs[-1], intercepts[-1], out_activation, classes)
        out_activation = model._out_activation()
    if told and (told.get("loss"), out_activation) in LOSSES:
        known = {name: value for name, value in told.items() if name in ("loss", *OF_LOSS)}
        model.set_params(**{name: tuple(value) if isinstance(value, list) else value for name, value in known.items()})
        model._validate_params()
        if isinstance(model, MLPRegressor) and len(model._quantiles()) not in (0, sizes[-1]):
            raise ValueError(f"there are {len(model._quantiles())} quantiles, but {sizes[-1]} outputs")
    model.coefs_, model.intercepts_, model.out_activation_ = coefs, intercepts, out_activation
    model.n_features_in_, model.n_outputs_, model.n_layers_ = sizes[0], coefs[-1].shape[1], len(sizes)
    model.n_iter_ = model.t_ = model._no_improvement_count = 0
    model._kept = {}
    if feature_names:
        model.feature_names_in_ = np.array(feature_names, object)
    return model


def _of_classes(
    model: MLPClassifier, coef: Array, intercept: Array, out_activation: str, classes: npt.ArrayLike | None
) -> tuple[Array, Array]:
    """The last layer as a classifier has it, whose classes are sorted and which has one output for two of them."""
    from sklearn.preprocessing import LabelBinarizer

    n_outputs = len(intercept)
    is_multilabel = out_activation == "logistic" and n_outputs > 1
    n_classes = 2 if n_outputs == 1 else n_outputs
    if n_outputs == 1 and out_activation == "softmax":
        raise ValueError("a softmax of one output is always 1: two or more are wanted")
    labels: npt.NDArray[Any] = np.arange(n_classes) if classes is None else np.asarray(classes)
    if is_multilabel:
        if classes is not None:
            raise ValueError(
                f"classes are given, but of {n_outputs} logistic outputs each is a label, of which an example may have "
                "several"
            )
        labels = np.eye(n_outputs, dtype=int)
    elif labels.shape == (1,) == (n_outputs,):
        pass  # of one class, which is always predicted
    elif labels.shape != (n_classes,) or len(set(labels.tolist())) != n_classes:
        raise ValueError(f"classes are {labels.tolist()}, but {n_outputs} outputs take {n_classes} different ones")
    elif len({isinstance(label, str) for label in np.asarray(classes, object).flat}) > 1:
        raise TypeError(f"classes are {classes!r}, but labels of one type are wanted")
    model._label_binarizer = LabelBinarizer().fit(labels)
    model.classes_ = model._label_binarizer.classes_
    if is_multilabel:
        return coef, intercept
    order = np.argsort(labels)
    if n_outputs == 1:
        sign = 1 if order[0] == 0 else -1
        return sign * coef, sign * intercept
    coef, intercept = np.ascontiguousarray(coef[:, order]), intercept[order]
    return (coef[:, 1:] - coef[:, :1], intercept[1:] - intercept[:1]) if n_outputs == 2 else (coef, intercept)
