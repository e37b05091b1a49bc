"""PyTorch: modules that say what the model says, and models of modules; safetensors files of the same parameters."""

import builtins
import copy
import io
import json
import pickle
import sys
from math import exp, expm1

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPRegressor as SklearnRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

import fastnn
from fastnn import (
    MLPClassifier,
    MLPRegressor,
    TableEncoder,
    TabularClassifier,
    TabularRegressor,
    from_torch,
    to_torch,
)
from fastnn.kernels.laws.activations import ACTIVATIONS
from fastnn.kernels.laws.losses import OUT_ACTIVATIONS
from fastnn.network import law_of

torch = pytest.importorskip("torch")
nn = torch.nn

X, y = load_iris(return_X_y=True)
QUICK = {"hidden_layer_sizes": (5, 4), "max_iter": 3, "random_state": 0}

pytestmark = pytest.mark.filterwarnings("ignore:Stochastic Optimizer")


def bent(z):
    return z if z > 0 else expm1(z)


def bent_slope(z):
    return 1.0 if z > 0 else exp(z)


OWN = {
    "bent": fastnn.activation(bent, bent_slope),
    "softsign": fastnn.activation(lambda z: z / (1 + abs(z)), lambda z: 1 / (1 + abs(z)) ** 2),
}
LAWS = {**ACTIVATIONS, **OWN}


def said(module, rows, dtype):
    with torch.no_grad():
        return module(torch.tensor(np.asarray(rows), dtype=getattr(torch, dtype.name))).numpy()


def assert_same(got, expected, dtype):
    """Of up to four layers, of sums of a few numbers about 10, in another order."""
    tolerance = 300 * np.finfo(dtype).eps
    np.testing.assert_allclose(got, np.reshape(expected, got.shape), rtol=tolerance, atol=tolerance)


@pytest.fixture(scope="module")
def regressor():
    return {dtype: MLPRegressor(**QUICK).fit(X.astype(dtype), X[:, :2]) for dtype in (np.float32, np.float64)}


@pytest.fixture(scope="module")
def classifier():
    return MLPClassifier(**QUICK).fit(X, np.array(["a", "b", "c"])[y])


# ---- to PyTorch ----


@pytest.mark.parametrize("name", LAWS)
def test_every_law_has_its_module(regressor, name, dtype):
    model = copy.deepcopy(regressor[dtype.type]).set_params(activation=name if name in ACTIVATIONS else LAWS[name])
    module = to_torch(model)
    assert_same(said(module, X, dtype), model.predict(X.astype(dtype)), dtype)
    z = torch.linspace(-30, 30, 200, dtype=getattr(torch, dtype.name), requires_grad=True)
    module[1](z).sum().backward()
    slopes = [LAWS[name].slope(float(number)) for number in z.detach()]
    np.testing.assert_allclose(z.grad, slopes, rtol=1e-4, atol=10 * np.finfo(dtype).eps)


@pytest.mark.parametrize("name", OUT_ACTIVATIONS)
def test_every_output_activation_has_its_module(regressor, name, dtype):
    model = copy.deepcopy(regressor[dtype.type])
    model.out_activation_ = name
    assert_same(said(to_torch(model), X, dtype), model.predict(X.astype(dtype)), dtype)


@pytest.mark.parametrize(
    "target", [y, y > 0, 0 * y, np.stack([y > 0, y > 1, y == 0], axis=1).astype(int)], ids=["3", "2", "1", "labels"]
)
def test_probabilities_are_those_of_predict_proba(target, dtype):
    model = MLPClassifier(**QUICK).fit(X.astype(dtype), target)
    assert_same(said(to_torch(model), X, dtype), model.predict_proba(X.astype(dtype)), dtype)


def test_quantiles_do_not_cross():
    model = MLPRegressor(loss="quantile", quantile=(0.1, 0.5, 0.9), **QUICK).fit(X, y)
    rows = 100 * np.random.default_rng(0).standard_normal((200, 4))
    assert_same(said(to_torch(model), rows, np.dtype(float)), model.predict(rows), np.float64)


def test_a_small_probability_keeps_its_digits():
    model = MLPClassifier(**QUICK | {"hidden_layer_sizes": ()}).fit(X, y > 0)
    model.coefs_[0] *= 20 / abs(X @ model.coefs_[0]).max()
    p = said(to_torch(model), X, np.dtype(float))
    z = (X @ model.coefs_[0] + model.intercepts_[0])[:, 0]
    np.testing.assert_allclose(p, np.exp(-np.logaddexp(0, np.stack([z, -z], axis=1))), rtol=1e-13)


def test_logits_are_what_losses_of_pytorch_take(classifier):
    module, rows = to_torch(classifier, logits=True), torch.tensor(X)
    got = nn.CrossEntropyLoss()(module(rows), torch.tensor(y)).item()
    assert got == pytest.approx(-np.log(classifier.predict_proba(X)[np.arange(len(X)), y]).mean())
    two = MLPClassifier(**QUICK).fit(X, y > 0)
    target = torch.tensor(y[:, np.newaxis] > 0, dtype=torch.float64)
    got = nn.BCEWithLogitsLoss()(to_torch(two, logits=True)(rows), target).item()
    assert got == pytest.approx(-np.log(two.predict_proba(X)[np.arange(len(X)), (y > 0).astype(int)]).mean())


def test_a_plain_network_is_a_plain_sequential(classifier):
    module = to_torch(classifier)
    assert [type(layer) for layer in module] == [nn.Linear, nn.ReLU, nn.Linear, nn.ReLU, nn.Linear, nn.Softmax]
    assert list(module.state_dict()) == [f"{place}.{kind}" for place in (0, 2, 4) for kind in ("weight", "bias")]
    plain = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3), nn.Softmax(-1))
    plain.double().load_state_dict(module.state_dict())
    np.testing.assert_array_equal(said(plain, X, np.dtype(float)), said(module, X, np.dtype(float)))


@pytest.mark.parametrize("scaler", [StandardScaler(), MinMaxScaler(clip=True)])
def test_scalers_are_a_part_of_the_module(scaler):
    model = make_pipeline(scaler, MLPClassifier(**QUICK)).fit(X[:100], y[:100])
    assert_same(said(to_torch(model), X, np.dtype(float)), model.predict_proba(X), np.float64)


def test_what_is_small_beside_the_mean_is_kept():
    rng = np.random.default_rng(0)
    rows = (1e6 + 0.3 * rng.standard_normal((50, 4))).astype(np.float32)
    model = make_pipeline(StandardScaler(), MLPRegressor(**QUICK)).fit(rows.astype(float), rows[:, 0] - 1e6)
    model[-1].coefs_ = [coef.astype(np.float32) for coef in model[-1].coefs_]
    model[-1].intercepts_ = [intercept.astype(np.float32) for intercept in model[-1].intercepts_]
    module, expected = to_torch(model), model.predict(rows.astype(float))
    for given in rows, rows.astype(float):
        got = module(torch.tensor(given))
        assert got.dtype == torch.float32
        np.testing.assert_allclose(got.detach()[:, 0], expected, atol=16 * np.finfo(np.float32).eps)


def test_a_model_of_scikit_learn_is_exported_as_well():
    model = SklearnRegressor(**QUICK).fit(X, y)
    assert_same(said(to_torch(model), X, np.dtype(float)), model.predict(X), np.float64)


def test_the_module_shares_nothing_with_the_model_and_draws_no_numbers(classifier):
    state = torch.random.get_rng_state()
    module, before = to_torch(classifier), classifier.coefs_[0].copy()
    assert torch.equal(torch.random.get_rng_state(), state)
    with torch.no_grad():
        for parameter in module.parameters():
            assert parameter.requires_grad
            parameter.zero_()
    np.testing.assert_array_equal(classifier.coefs_[0], before)


def test_the_module_can_be_trained_with_a_law_of_ones_own(regressor):
    """Of what is not taken, e^z - 1 of a large z, autograd alone would make NaN."""
    model = copy.deepcopy(regressor[np.float32]).set_params(activation=OWN["bent"])
    module, rows = to_torch(model), torch.tensor(100 * X, dtype=torch.float32)
    optimizer = torch.optim.Adam(module.parameters())
    losses = []
    for _ in range(5):
        optimizer.zero_grad()
        loss = (module(rows) - 1).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("name", ["bent", "relu"])
def test_modules_are_saved_pickled_and_copied(regressor, name):
    model = copy.deepcopy(regressor[np.float64]).set_params(activation=LAWS[name])
    module, file = to_torch(make_pipeline(StandardScaler().fit(X), model)), io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    expected = said(module, X, np.dtype(float))
    for again in torch.load(file, weights_only=False), pickle.loads(pickle.dumps(module)), copy.deepcopy(module):
        np.testing.assert_array_equal(said(again, X, np.dtype(float)), expected)


def test_the_module_can_be_traced_and_transformed():
    model = make_pipeline(StandardScaler(), MLPClassifier(**QUICK | {"activation": OWN["bent"]})).fit(X, y > 0)
    module, rows = to_torch(model), torch.tensor(X)
    program = torch.export.export(module, (rows,))
    torch.testing.assert_close(program.module()(rows), module(rows))
    by_row = torch.func.vmap(torch.func.grad(lambda x: module(x[np.newaxis])[0, 1]))(rows)
    rows.requires_grad_()
    module(rows)[:, 1].sum().backward()
    torch.testing.assert_close(by_row, rows.grad)


# ---- tabular models ----

FLOWERS = pd.DataFrame(
    {
        "far": 1e6 + X[:, 0],
        "part": np.where(X[:, 1] > 3, np.nan, X[:, 1]),
        "kind": np.where(X[:, 2] > 4, "long", np.where(X[:, 2] > 2, "short", None)),
        "since": pd.Timestamp("2024-01-01") + pd.to_timedelta(X[:, 3], "D"),
    }
)
#: Tabular models of all kinds: targets, and parameters.
TABULAR = {
    "number": (TabularRegressor, 50 + X[:, 0], {}),
    "numbers": (TabularRegressor, X[:, :2] * [1, -1e3], {"n_bins": 0}),
    "alone": (TabularRegressor, X[:, 0], {"n_members": 1}),
    "constant": (TabularRegressor, np.full(len(X), 0.1), {"hidden_layer_sizes": ()}),
    "two": (TabularClassifier, y > 0, {}),
    "three": (TabularClassifier, np.array(["a", "b", "c"])[y], {}),
    "one": (TabularClassifier, 0 * y, {"n_members": 1}),
}


@pytest.fixture(scope="module")
def tabular():
    return {
        name: kind(**QUICK | {"n_members": 2, "n_bins": 4} | parameters).fit(FLOWERS, target)
        for name, (kind, target, parameters) in TABULAR.items()
    }


@pytest.mark.parametrize("name", TABULAR)
def test_a_tabular_model_takes_what_its_encoder_makes(tabular, name):
    model, rows = tabular[name], FLOWERS.copy()
    rows.loc[0, "kind"], rows.loc[1, "far"], rows.loc[2, "part"] = "none of these", np.nan, 1e12
    module, matrix = to_torch(model), model.encoder_.transform(rows)
    expected = model.predict_proba(rows) if hasattr(model, "predict_proba") else model.predict(rows)
    got = said(module, matrix, np.dtype(np.float32))
    assert got.dtype == np.float32
    # Sums of 30 numbers about 1 in up to three layers: 1e-5 is a hundred roundings.
    np.testing.assert_allclose(got, expected.reshape(got.shape), rtol=1e-5)
    got = said(module.double(), matrix, np.dtype(np.float64))
    np.testing.assert_allclose(got, expected.reshape(got.shape), rtol=1e-5)


def test_a_column_that_never_changed_and_one_far_away_have_finite_slopes(tabular):
    model = copy.deepcopy(tabular["number"])
    model.embedding_.scale_[0] = 0.0
    x = torch.tensor([[1e30, 1e30, -1e30, *[0.0] * (len(model.embedding_.edges_) - 3)]], requires_grad=True)
    a = to_torch(model)[0](x)
    a.sum().backward()
    np.testing.assert_allclose(a.detach()[0, :3], [0, 3, -3], rtol=2 * np.finfo(np.float32).eps)
    assert torch.isfinite(x.grad).all()


def test_a_tabular_module_is_trained_traced_pickled_and_written(tabular, tmp_path):
    safetensors = pytest.importorskip("safetensors")
    from safetensors.torch import load_file

    model = tabular["three"]
    module, rows = to_torch(model), torch.tensor(model.encoder_.transform(FLOWERS))
    assert [type(layer).__name__ for layer in module] == ["Embedding", "Mean"]
    torch.testing.assert_close(torch.export.export(module, (rows,)).module()(rows), module(rows))
    torch.testing.assert_close(pickle.loads(pickle.dumps(module))(rows), module(rows), rtol=0, atol=0)
    path = fastnn.to_safetensors(model, tmp_path / "model")
    again = to_torch(model)
    for parameter in again.parameters():
        nn.init.zeros_(parameter)
    again.load_state_dict(load_file(path))
    torch.testing.assert_close(again(rows), module(rows), rtol=0, atol=0)
    with safetensors.safe_open(path, "pt") as file:
        metadata = {name: json.loads(value) for name, value in file.metadata().items() if name != "format"}
    assert metadata["feature_names"] == model.encoder_.get_feature_names_out().tolist()
    assert (metadata["n_members"], metadata["classes"]) == (2, ["a", "b", "c"])
    loss = nn.NLLLoss()(module(rows).log(), torch.tensor(y))
    loss.backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in module[1][1].parameters())


def test_logits_of_a_mean_of_probabilities_are_refused(tabular):
    with pytest.raises(ValueError, match="logits=True is for one network, but the model is the mean of what 2 say"):
        to_torch(tabular["two"], logits=True)
    rows = tabular["one"].encoder_.transform(FLOWERS)
    assert said(to_torch(tabular["one"], logits=True), rows, np.dtype(np.float32)).shape == (len(X), 1)


def test_targets_that_float32_does_not_hold_are_refused():
    model = TabularRegressor(**QUICK).fit(FLOWERS, 1e-50 * X[:, 0])
    with pytest.raises(ValueError, match="the model scales by numbers that no float32 can hold"):
        to_torch(model)


# ---- safetensors ----


def test_a_safetensors_file_holds_the_state_of_the_module(tmp_path, classifier):
    safetensors = pytest.importorskip("safetensors")
    from safetensors.torch import load_file

    path = fastnn.to_safetensors(classifier, tmp_path / "model")
    assert path == tmp_path / "model.safetensors"
    module = to_torch(classifier)
    for name, tensor in load_file(path).items():
        torch.testing.assert_close(tensor, module.state_dict()[name], rtol=0, atol=0)
    module.load_state_dict(load_file(path))
    with safetensors.safe_open(path, "pt") as file:
        metadata = file.metadata()
    assert metadata.pop("format") == "pt"
    assert {name: json.loads(value) for name, value in metadata.items()} == {
        "layer_sizes": [4, 5, 4, 3],
        "n_members": 1,
        "activations": ["relu", "relu"],
        "out_activation": "softmax",
        "task": "classes",
        "classes": ["a", "b", "c"],
        "feature_names": ["x0", "x1", "x2", "x3"],
    }


def test_a_scaler_is_in_the_file_as_it_is_in_the_module(tmp_path):
    pytest.importorskip("safetensors")
    from safetensors.numpy import load_file

    model = make_pipeline(StandardScaler(), MLPRegressor(**QUICK)).fit(X, y)
    state = to_torch(model).state_dict()
    arrays = load_file(fastnn.to_safetensors(model, str(tmp_path / "model.safetensors")))
    assert arrays.keys() == state.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, state[name])


# ---- back ----


def assert_equal_models(got, expected):
    for array, wanted in zip(got.coefs_ + got.intercepts_, expected.coefs_ + expected.intercepts_, strict=True):
        assert array.dtype == wanted.dtype
        np.testing.assert_array_equal(array, wanted)
    n_hidden = len(got.coefs_) - 1
    for l in range(1, n_hidden + 1):
        assert law_of(got.activation, l) == law_of(expected.activation, l)
    for name in "out_activation_", "n_features_in_", "n_outputs_", "n_layers_":
        assert getattr(got, name) == getattr(expected, name)


@pytest.mark.parametrize("name", LAWS)
def test_there_and_back_is_the_same_model(regressor, name, dtype):
    model = copy.deepcopy(regressor[dtype.type]).set_params(activation=name if name in ACTIVATIONS else LAWS[name])
    got = from_torch(to_torch(model))
    assert_equal_models(got, model)
    np.testing.assert_array_equal(got.predict(X.astype(dtype)), model.predict(X.astype(dtype)))


@pytest.mark.parametrize("labels", [["a", "b", "c"], ["no", "yes", "yes"], [1, 2**40, 3], [True, False, False]])
def test_classes_there_and_back_are_the_same(labels):
    model = MLPClassifier(**QUICK).fit(X, np.array(labels)[y])
    got = from_torch(to_torch(model), classes=model.classes_)
    assert_equal_models(got, model)
    assert got.classes_.dtype == model.classes_.dtype
    np.testing.assert_array_equal(got.predict(X), model.predict(X))
    np.testing.assert_array_equal(got.predict_proba(X), model.predict_proba(X))


def test_counts_and_labels_there_and_back_are_the_same():
    counts = MLPRegressor(loss="poisson", **QUICK | {"activation": ("tanh", "selu")}).fit(X, y)
    assert_equal_models(from_torch(to_torch(counts)), counts)
    labels = MLPClassifier(**QUICK).fit(X, np.stack([y > 0, y > 1], axis=1).astype(int))
    got = from_torch(to_torch(labels))
    np.testing.assert_array_equal(got.predict(X), labels.predict(X))


def net(*end, n_out=3, dtype=torch.float32):
    torch.manual_seed(0)
    inner = nn.Sequential(nn.Linear(6, 5, bias=False), nn.Identity(), nn.LeakyReLU())
    layers = [nn.Flatten(), nn.Linear(4, 6), nn.GELU("tanh"), nn.Dropout(0.3), inner, nn.Linear(5, n_out), *end]
    return nn.Sequential(*layers).to(dtype).eval()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_network_of_ones_own_predicts_the_same(dtype):
    module = net(dtype=dtype)
    got = from_torch(module)
    assert (type(got), got.hidden_layer_sizes, got.activation) == (MLPRegressor, (6, 5), ("gelu_tanh", "leaky_relu"))
    assert (got.intercepts_[1] == 0).all()
    kind = np.dtype(str(dtype).removeprefix("torch."))
    assert_same(said(module, X, kind), got.predict(X.astype(kind)), kind)


@pytest.mark.parametrize(
    ("end", "n_out", "classes"),
    [
        ([nn.Softmax(dim=1)], 3, None),
        ([nn.Softmax(dim=-1)], 2, ["b", "a"]),
        ([nn.Sigmoid()], 1, ["b", "a"]),
        ([nn.Softmax(dim=1)], 3, ["c", "a", "b"]),
        ([nn.Dropout(), nn.Softmax(dim=1)], 3, (7, 5, 6)),
    ],
)
def test_probabilities_of_classes_are_the_same_in_any_order(end, n_out, classes):
    module = net(*end, n_out=n_out)
    got, p = from_torch(module, classes=classes), said(module, X, np.dtype(np.float32))
    p = np.hstack([1 - p, p]) if n_out == 1 else p
    labels = np.arange(p.shape[1]) if classes is None else np.array(classes)
    assert_same(p[:, np.argsort(labels)], got.predict_proba(X.astype(np.float32)), np.float32)
    np.testing.assert_array_equal(got.classes_, np.sort(labels))
    np.testing.assert_array_equal(got.predict(X.astype(np.float32)), labels[p.argmax(axis=1)])


@pytest.mark.parametrize(("n_out", "classes"), [(1, [False, True]), (2, [0, 1]), (3, ["x", "y", "z"])])
def test_without_an_output_activation_classes_say_that_it_gives_logits(n_out, classes):
    module = net(n_out=n_out)
    z = said(module, X, np.dtype(np.float32))
    z = np.hstack([np.zeros_like(z), z]) if n_out == 1 else z
    expected = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    assert_same(expected, from_torch(module, classes=classes).predict_proba(X.astype(np.float32)), np.float32)


def test_logarithms_of_probabilities_and_labels_are_the_same():
    module = net(nn.LogSoftmax(dim=1))
    got = from_torch(module).predict_log_proba(X.astype(np.float32))
    assert_same(said(module, X, np.dtype(np.float32)), got, np.float32)
    module = net(nn.Sigmoid())
    got = from_torch(module).predict_proba(X.astype(np.float32))
    assert_same(said(module, X, np.dtype(np.float32)), got, np.float32)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_halves_become_float32(dtype):
    module = net(dtype=dtype)
    got = from_torch(module)
    assert got.coefs_[0].dtype == np.float32
    np.testing.assert_array_equal(got.coefs_[0], module[1].weight.detach().float().T)


def test_one_module_twice_is_two_layers():
    relu, square = nn.ReLU(), nn.Linear(4, 4)
    module = nn.Sequential(square, relu, square, relu, nn.Linear(4, 1))
    assert_same(said(module, X, np.dtype(np.float32)), from_torch(module).predict(X.astype(np.float32)), np.float32)
    assert from_torch(nn.Linear(4, 2)).hidden_layer_sizes == ()


def test_the_estimator_is_trained_further_and_saved(tmp_path):
    module = net(nn.Softmax(dim=1))
    model = from_torch(module, classes=["a", "b", "c"])
    target, expected = np.array(["a", "b", "c"])[y], model.predict_proba(X)
    again = fastnn.load(fastnn.save(model, tmp_path / "m"))
    np.testing.assert_array_equal(again.predict_proba(X), expected)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict_proba(X), expected)
    before = model.score(X, target)
    for _ in range(30):
        model.partial_fit(X.astype(np.float32), target)
    assert model.score(X, target) > before
    again.set_params(warm_start=True, max_iter=30, learning_rate_init=0.01, random_state=0)
    assert again.fit(X.astype(np.float32), target).score(X, target) > before
    assert again.coefs_[0].dtype == np.float32
    assert from_torch(nn.Linear(4, 1)).partial_fit(X, y).n_iter_ == 1


# ---- what is refused ----


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 1))

    def forward(self, x):
        return -self.layers(x)


class Residual(nn.Sequential):
    def forward(self, x):
        return x + super().forward(x)


def hooked():
    layer = nn.Linear(4, 1)
    layer.register_forward_hook(lambda *_: None)
    return layer


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (Net(), r"the module \(Net\) is none of what can be read: Sequential, Linear"),
        (nn.Sequential(Residual(nn.Linear(4, 4))), r"module '0' \(Residual\) is none of"),
        (nn.Sequential(nn.Linear(4, 2), nn.BatchNorm1d(2)), r"module '1' \(BatchNorm1d\) is none of"),
        (nn.Sequential(nn.Sequential(nn.Linear(4, 2), nn.Conv1d(1, 1, 1))), r"module '0.1' \(Conv1d\) is none of"),
        (
            nn.Sequential(nn.Linear(4, 2), nn.LeakyReLU(0.2), nn.Linear(2, 1)),
            r"negative_slope=0.2\), but LeakyReLU\(neg",
        ),
        (nn.Sequential(nn.Linear(4, 2), nn.Softplus(2), nn.Linear(2, 1)), r"beta=2.*, but Softplus\(beta=1"),
        (nn.Sequential(nn.Linear(4, 2), nn.Softplus(1, 5), nn.Linear(2, 1)), r"threshold=5.*, but Softplus\(beta=1"),
        (nn.Sequential(nn.Linear(4, 2), nn.ELU(0.5), nn.Linear(2, 1)), r"alpha=0.5\), but ELU\(alpha=1"),
        (
            nn.Sequential(nn.Linear(4, 2), nn.Softmax(1), nn.Linear(2, 1)),
            r"'1' \(Softmax\) is no activation of a hidden",
        ),
        (nn.Sequential(nn.Linear(4, 2), nn.ReLU()), r"'1' \(ReLU\) is at the end, but Sigmoid, Softmax"),
        (nn.Sequential(nn.Linear(4, 2), nn.ReLU(), nn.Tanh(), nn.Linear(2, 1)), r"'2' \(Tanh\) stands where a Linear"),
        (nn.Sequential(nn.ReLU(), nn.Linear(4, 1)), r"'0' \(ReLU\) stands where a Linear"),
        (nn.Sequential(nn.Linear(4, 2), nn.Sigmoid(), nn.Softmax(1)), r"'2' \(Softmax\) stands after the output"),
        (nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=0)), "dim=0, but dim=1"),
        (nn.Sequential(nn.Linear(4, 1), nn.Softmax(dim=1)), "softmax of one output is always 1"),
        (nn.Sequential(nn.Linear(4, 2), nn.Linear(3, 1)), r"'1' \(Linear\) takes 3 inputs, but 2 come out"),
        (nn.Sequential(nn.Flatten(0), nn.Linear(4, 1)), r"'0' \(Flatten\) is none of"),
        (nn.Sequential(), "has no Linear"),
        (nn.Linear(4, 1, device="meta"), "on meta, but numbers"),
        (hooked(), r"the module \(Linear\) has hooks"),
    ],
)
def test_other_modules_are_named(module, message):
    with pytest.raises(ValueError, match=message):
        from_torch(module)


@pytest.mark.parametrize(
    ("n_out", "end", "classes", "message"),
    [
        (3, [], ["a", "b"], r"classes are \['a', 'b'\], but 3 outputs take 3 different ones"),
        (3, [], ["a", "a", "b"], "3 outputs take 3 different ones"),
        (1, [], ["a", "b", "c"], "1 outputs take 2 different ones"),
        (3, [nn.Sigmoid()], ["a", "b", "c"], "of 3 logistic outputs each is a label"),
        (3, [], "abc", "3 outputs take 3 different ones"),
    ],
)
def test_classes_that_do_not_fit_are_refused(n_out, end, classes, message):
    with pytest.raises(ValueError, match=message):
        from_torch(net(*end, n_out=n_out), classes=classes)


def test_classes_of_several_types_and_other_objects_are_refused():
    for classes in ["a", 1, 2], ["a", None, "b"]:
        with pytest.raises(TypeError, match="labels of one type"):
            from_torch(net(), classes=classes)
    with pytest.raises(TypeError, match=r"module is a OrderedDict, but a torch.nn.Module"):
        from_torch(net().state_dict())


def test_numbers_that_are_none_are_refused():
    layer = nn.Linear(4, 1)
    with torch.no_grad():
        layer.weight[0, 0] = torch.nan
    with pytest.raises(ValueError, match="holds NaN or infinity"):
        from_torch(layer)


def test_scaled_and_sorted_modules_say_what_to_do():
    with pytest.raises(ValueError, match=r"'0' \(Scale\) scales the inputs: take what follows, module\[1:\]"):
        from_torch(to_torch(make_pipeline(StandardScaler(), MLPRegressor(**QUICK)).fit(X, y)))
    with pytest.raises(ValueError, match=r"\(Sort\) sorts the outputs"):
        from_torch(to_torch(MLPRegressor(loss="quantile", quantile=(0.1, 0.9), **QUICK).fit(X, y)))


def test_what_pytorch_cannot_hold_is_refused(tmp_path):
    table = pd.DataFrame({"a": X[:, 0], "b": np.array(["x", "y", "z"])[y]})
    model = make_pipeline(TableEncoder(), MLPRegressor(**QUICK)).fit(table, y)
    with pytest.raises(TypeError, match=r"begins with a TableEncoder.*export what follows it, model\[1:\]"):
        to_torch(model)
    with pytest.raises(TypeError, match="begins with a TableEncoder"):
        fastnn.to_safetensors(model, tmp_path / "m")
    encoded = model[0].transform(table)
    assert_same(said(to_torch(model[1:]), encoded, np.dtype(np.float32)), model.predict(table), np.float32)
    with pytest.raises(TypeError, match="model is a LogisticRegression"):
        to_torch(LogisticRegression())
    with pytest.raises(TypeError, match="model is a str"):
        to_torch("model")
    with pytest.raises(NotFittedError):
        to_torch(MLPRegressor())


@pytest.mark.parametrize(
    ("package", "call"),
    [
        ("torch", lambda model, path: to_torch(model)),
        ("torch", lambda model, path: from_torch(model)),
        ("safetensors", fastnn.to_safetensors),
    ],
)
def test_a_missing_package_is_named(monkeypatch, tmp_path, classifier, package, call):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.partition(".")[0] == package:
            raise ImportError(name)
        return real(name, *args, **kwargs)

    for name in [name for name in sys.modules if name.partition(".")[0] == "safetensors"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=f"pip install {package}"):
        call(classifier, tmp_path / "m")
