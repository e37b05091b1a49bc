"""The laws: exp, log, tanh and each of the tables, against the truth over the whole range; and those of users."""

import enum
import functools
import math
import operator
import pickle
import re
import types
from collections import namedtuple
from dataclasses import replace

import numpy as np
import pytest
from conftest import examples, reference_steps
from sklearn.base import clone
from test_jit import program_of

import fastnn
from fastnn import MLPRegressor, activation, functional, laws, loss, reference
from fastnn.kernels.laws import elementary, units
from fastnn.kernels.laws.activations import ACTIVATIONS, KEPT, RELU, Activation
from fastnn.kernels.laws.addresses import address_of, unit_and_kinds
from fastnn.kernels.laws.fingerprints import fingerprint
from fastnn.kernels.laws.losses import LOSSES, Loss
from fastnn.kernels.laws.optimizers import RULES
from fastnn.kernels.laws.translation import kernel_of
from fastnn.kernels.machine.jit import call, entry
from fastnn.laws import POINTS
from fastnn.network import Network
from fastnn.training import SGD, Predictor, Trainer, unpack

logistic_of = kernel_of(ACTIVATIONS["logistic"].value)


@entry
def pass_over(address, Z, D):
    units.activate(address, Z, D, 0, Z.shape[1])


@entry
def update(address, theta, G, moments, constants, squares, ranges, mean_factor, clip, numbers):
    call(address, theta, G, moments, constants, squares, ranges, 0, 2, mean_factor, clip, numbers, False)


@entry
def exp(x, y):
    for i in range(x.size):
        y[i] = elementary.exp(x[i])


@entry
def log(x, y):
    for i in range(x.size):
        y[i] = elementary.log(x[i])


@entry
def logistic(x, y):
    for i in range(x.size):
        y[i] = logistic_of(x[i])


@entry
def tanh(x, y):
    for i in range(x.size):
        y[i] = elementary.tanh(x[i])


def true_logistic(x):
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


#: Function, truth (in extended precision), bound in ulp.
LAWS = [(exp, np.exp, 1.1), (log, np.log, 2.0), (logistic, true_logistic, 3.0), (tanh, np.tanh, 6.0)]


#: Where selu ends below.
SELU_LIMIT = 1.0507009873554805 * 1.6732632423543772


def arguments(function, dtype):
    """Every magnitude that the dtype has, the range where the function lives, and the neighbourhood of 0 and 1."""
    info, n = np.finfo(dtype), 100_000
    rng = np.random.default_rng(0)
    magnitudes = np.exp(np.linspace(np.log(float(info.tiny)), np.log(float(info.max)) - 1, n))
    live = np.linspace(np.log(float(info.smallest_subnormal)), np.log(float(info.max)), n)
    near = rng.standard_normal(n)
    x = np.concatenate([magnitudes, live, near, 1 + near / 100, -magnitudes]).astype(dtype)
    return x[x > 0] if function is log else x


@pytest.mark.parametrize(("function", "truth", "bound"), LAWS, ids=["exp", "log", "logistic", "tanh"])
def test_error_in_ulp(function, truth, bound, dtype):
    x = arguments(function, dtype)
    got = np.empty_like(x)
    function(x, got)
    with np.errstate(over="ignore", under="ignore"):
        expected = truth(x.astype(np.longdouble))
        rounded = expected.astype(dtype)
    finite = np.isfinite(rounded)
    np.testing.assert_array_equal(got[~finite], rounded[~finite])
    ulp = np.abs(got[finite] - expected[finite]) / np.spacing(np.abs(rounded[finite]))
    assert ulp.max() <= bound, f"{ulp.max()} ulp at {x[finite][ulp.argmax()]!r}"


@pytest.mark.parametrize(
    ("function", "at"),
    [
        (exp, {np.nan: np.nan, np.inf: np.inf, -np.inf: 0, 0: 1}),
        (log, {np.nan: np.nan, np.inf: np.inf, -1: np.nan, 0: -np.inf, 1: 0}),
        (logistic, {np.nan: np.nan, np.inf: 1, -np.inf: 0, 0: 0.5}),
        (tanh, {np.nan: np.nan, np.inf: 1, -np.inf: -1, 0: 0}),
    ],
    ids=["exp", "log", "logistic", "tanh"],
)
def test_special_values(function, at, dtype):
    got = np.empty(len(at), dtype)
    function(np.array(list(at), dtype), got)
    np.testing.assert_array_equal(got, np.array(list(at.values()), dtype))


def test_tanh_stays_within_one(dtype):
    x = np.concatenate([np.linspace(-25, 25, 200_001), arguments(tanh, dtype)]).astype(dtype)
    got = np.empty_like(x)
    tanh(x, got)
    assert np.abs(got).max() == 1


@pytest.mark.parametrize("law", ACTIVATIONS.values(), ids=ACTIVATIONS)
def test_an_activation_is_the_references(law, dtype):
    x = arguments(None, dtype)
    got, kept = x[np.newaxis].copy(), np.empty((1, x.size), dtype)
    if law.form != RELU:
        pass_over(address_of("activate", law, dtype), got, kept[: law.form == KEPT])
        with np.errstate(over="ignore", under="ignore"):
            truth = reference.ACTIVATIONS[law.name][0](x.astype(np.longdouble))
        tiny = np.finfo(dtype).tiny
        is_normal = np.abs(truth) >= tiny  # what is smaller has lost places, or is 0
        error = np.abs(got[0] - truth) / np.spacing(np.abs(truth.astype(dtype)))
        assert error[is_normal].max() <= law.ulps
        assert (np.abs(got[0] - truth)[~is_normal] < tiny).all()
    ends = np.array([-np.inf, np.inf, np.nan], dtype)
    if law.form != RELU:
        pass_over(address_of("activate", law, dtype), block := ends[np.newaxis].copy(), block[:0])
        bounded = {
            "identity": -np.inf,
            "logistic": 0,
            "tanh": -1,
            "leaky_relu": -np.inf,
            "elu": -1,
            "selu": -SELU_LIMIT,
        }
        assert block[0, 0] == pytest.approx(bounded.get(law.name, 0), rel=1e-6)
        assert block[0, 1] == (1 if law.name in ("logistic", "tanh") else np.inf)
        assert np.isnan(block[0, 2])
    slopes = [law.slope(z) for z in POINTS]
    np.testing.assert_allclose(slopes, [(law.value(z + 1e-6) - law.value(z - 1e-6)) / 2e-6 for z in POINTS], rtol=1e-6)
    written_in = np.array([law.value(z) if reference.ACTIVATIONS[law.name][2] == "A" else z for z in POINTS])
    np.testing.assert_allclose(reference.ACTIVATIONS[law.name][1](written_in), slopes, rtol=1e-12)


@pytest.mark.parametrize("law", LOSSES.values(), ids=map(" ".join, LOSSES))
def test_a_loss_is_the_references_and_has_the_slope_that_it_says(law, monkeypatch):
    if law.name == "gamma":  # has no targets of 0
        monkeypatch.setitem(laws.TARGETS, "exp", (0.5, 1.0, 3.0))
    functions = [lambda a, y, of=of: of(a, y, *law.constants) for of in (law.value, law.slope)]
    if law.is_coupled:  # here there is one output: u - a u
        value, u = functions
        functions = value, lambda a, y: u(a, y) * (1 - a)
    else:
        loss(*functions, law.out_activation)  # refuses a wrong one
    A, Y = np.array([[0.1, 0.5, 0.9]]), np.array([[0.0, 1.0, 1.0]])
    Y = Y + 0.5 if law.name == "gamma" else Y
    for got, expected in zip(functions, reference.LOSSES[law.name, law.out_activation], strict=True):
        np.testing.assert_allclose(expected(A, Y, *law.constants), np.vectorize(got)(A, Y), rtol=1e-12)


@pytest.mark.parametrize("has_more", [False, True], ids=["", "L1 and average"])
@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_a_rule_is_what_its_unit_does(rule, has_more, dtype):
    rng, n = np.random.default_rng(0), 37
    theta, G = rng.standard_normal((1, n)).astype(dtype), rng.standard_normal((2, n)).astype(dtype)
    rates = [0.01, 0.02][: rule.n_rates]
    moments, constants = rng.random((rule.n_moments + 1, n)).astype(dtype), rng.random(rule.n_constants).astype(dtype)
    squares, ranges = np.zeros(2, dtype), np.array([[3, 30, 1], [31, 37, 0]])
    got, got_moments = theta.copy(), moments.copy()
    rule = replace(rule, has_l1=has_more, is_averaged=has_more)
    update(
        address_of("update", rule, dtype),
        got,
        G,
        got_moments,
        constants,
        squares,
        ranges,
        dtype.type(0.5),
        dtype.type(0.8),
        np.array([0.1, 0.03, 0.3, *rates], dtype),
    )
    l1 = 0.03 if has_more else 0
    for first, last, decay in ranges:
        part, w = np.s_[first:last], theta[0, first:last].astype(float)
        g = 0.5 * (0.8 * G[:, part].astype(float).sum(axis=0) + decay * (0.1 * w + l1 * np.sign(w)))
        if rule.is_decoupled:
            g, w = 0.4 * G[:, part].astype(float).sum(axis=0), w * (1 - 0.1 * decay)
        old = moments[:, part].astype(float)
        new, *new_moments = np.vectorize(rule.step)(w, g, *rates, *old[: rule.n_moments], *constants.astype(float))
        new -= decay * rule.is_decoupled * np.clip(new, -l1, l1)
        new_moments.append(old[-1] + 0.3 * (new - old[-1]) if has_more else old[-1])
        np.testing.assert_allclose(got[0, part], new, rtol=50 * np.finfo(dtype).eps)
        # The average is a difference of numbers of about 1, and as exact as these.
        atol = 4 * np.finfo(dtype).eps if has_more else 0
        np.testing.assert_allclose(got_moments[:, part], new_moments, rtol=50 * np.finfo(dtype).eps, atol=atol)
    old = theta[0, 3:30].astype(float)
    penalty = 0 if rule.is_decoupled else 0.1 * (old**2).sum() + 2 * l1 * abs(old).sum()
    np.testing.assert_allclose(squares, [penalty, 0], rtol=1e-5)
    np.testing.assert_array_equal(np.delete(got, [*range(3, 30), *range(31, 37)]), theta[0, [*range(3), 30]])


def gelu(z):
    return z * (1 + math.tanh(SLOPE * (z + CUBE * z**3))) / 2


def gelu_slope(z):
    t = math.tanh(SLOPE * (z + CUBE * z**3))
    return (1 + t) / 2 + z * (1 - t * t) / 2 * SLOPE * (1 + 3 * CUBE * z**2)


def huber(a, y, delta):
    r = abs(a - y)
    return r * r / 2 if r < delta else delta * (r - delta / 2)


def huber_slope(a, y, delta):
    return min(max(a - y, -delta), delta)


SLOPE, CUBE = math.sqrt(2 / math.pi), 0.044715


@pytest.fixture
def new_laws(monkeypatch):
    """GELU and Huber's loss, each added to its table, and its line to the reference: nothing else."""
    monkeypatch.setitem(ACTIVATIONS, "gelu", Activation("gelu", gelu, gelu_slope))
    monkeypatch.setitem(LOSSES, ("huber", "identity"), Loss("huber", "identity", huber, huber_slope, constants=(0.5,)))
    monkeypatch.setitem(
        reference.ACTIVATIONS,
        "gelu",
        (lambda Z: Z * (1 + np.tanh(SLOPE * (Z + CUBE * Z**3))) / 2, np.vectorize(gelu_slope), "Z"),
    )
    monkeypatch.setitem(
        reference.LOSSES,
        ("huber", "identity"),
        (
            lambda A, Y, delta: np.where(abs(A - Y) < delta, (A - Y) ** 2 / 2, delta * (abs(A - Y) - delta / 2)),
            lambda A, Y, delta: np.clip(A - Y, -delta, delta),
        ),
    )


@pytest.mark.parametrize("layer_sizes", [(7, 1), (5, 9, 1), (20, 33, 17, 3), (4, 600, 3, 2)])
@pytest.mark.parametrize("batch_size", [1, 3, 40])
def test_new_laws_train_by_every_way(layer_sizes, batch_size, way, new_laws, dtype):
    network = layer_sizes, "gelu", "identity"
    net, (X, Y) = Network(*network, "huber"), examples(network, 60, dtype)
    start = net.from_dict(reference.initialize_parameters(layer_sizes, rng=1), dtype)
    expected, expected_costs = reference_steps(
        net, start.astype(np.float64), X.astype(np.float64), Y, np.arange(60), batch_size, 7, SGD(0.1), alpha=0.1
    )
    theta, eps = start.copy(), np.finfo(dtype).eps
    costs = Trainer(net, theta, SGD(0.1), X.T, Y.T, batch_size, alpha=0.1).run(np.arange(60), 7)
    np.testing.assert_allclose(costs, expected_costs, rtol=2000 * eps, atol=100 * eps)
    np.testing.assert_allclose(theta, expected, rtol=2000 * eps, atol=200 * eps)
    coefs, intercepts = unpack(net, theta)
    A_L, _ = reference.forward_propagation(X, net.as_dict(theta), "gelu", "identity")
    for m in (1, 7, 60):
        np.testing.assert_allclose(
            Predictor(net, coefs, intercepts, "network")(X.T[:m]), A_L.T[:m], rtol=2000 * eps, atol=200 * eps
        )


def test_new_laws_are_told_to_users_by_name(new_laws):
    X, y = np.random.default_rng(0).random((40, 3)), np.arange(40.0)
    with pytest.raises(ValueError, match="'gelu'"):
        Network((3, 4, 1), "swish", "identity")
    with pytest.raises(ValueError, match="The 'activation' parameter of MLPRegressor must be a str among"):
        MLPRegressor(activation="swish").fit(X, y)
    A_L, cache = functional.forward_propagation(X.T, functional.initialize_parameters((3, 4, 1), 0), "gelu", "identity")
    assert sorted(cache) == ["A1", "A2", "D1"]
    assert functional.compute_cost(A_L, y[np.newaxis], "identity", "huber") == pytest.approx(
        reference.compute_cost(A_L, y[np.newaxis], "identity", "huber")
    )


LAWS_OF_USERS = [
    (
        "tanh",
        activation(math.tanh, lambda z: 1 - math.tanh(z) ** 2),
        "squared_error",
        loss(lambda a, y: (a - y) ** 2 / 2, lambda a, y: a - y),
    ),
    (
        "relu",
        activation(lambda z: max(z, 0), lambda z: 1 if z > 0 else 0),
        "poisson",
        loss(lambda a, y: a - y * np.log(a), lambda a, y: a - y, "exp"),
    ),
]


@pytest.mark.parametrize(("activation_name", "own_activation", "loss_name", "own_loss"), LAWS_OF_USERS)
def test_a_law_of_a_users_own_is_that_of_the_table(activation_name, own_activation, loss_name, own_loss):
    X, y = np.random.default_rng(0).random((90, 5)), np.random.default_rng(1).integers(1, 4, 90)
    y = y.astype(float)
    settings = dict(hidden_layer_sizes=(9, 8), max_iter=4, random_state=0, batch_size=30)
    expected = MLPRegressor(loss_name, activation=activation_name, **settings).fit(X, y)
    got = MLPRegressor(own_loss, activation=own_activation, **settings).fit(X, y)
    np.testing.assert_allclose(got.predict(X), expected.predict(X), rtol=1e-9)
    lbfgs = [
        MLPRegressor(a_loss, activation=an_activation, **{**settings, "max_iter": 3}, solver="lbfgs").fit(X, y)
        for a_loss, an_activation in ((loss_name, activation_name), (own_loss, own_activation))
    ]
    np.testing.assert_allclose(lbfgs[1].predict(X), lbfgs[0].predict(X), rtol=1e-6)


def test_two_laws_of_one_line_are_two_laws():
    X, y = np.random.default_rng(0).random((40, 3)), np.arange(40.0)
    twice, thrice = (activation(lambda z: 2 * z, lambda z: 2), activation(lambda z: 3 * z, lambda z: 3))
    predicted = []
    for law in (twice, thrice):
        model = MLPRegressor(activation=law, max_iter=1, random_state=0).fit(X, y)
        parameters = {
            "W1": model.coefs_[0].T,
            "b1": model.intercepts_[0][:, None],
            "W2": model.coefs_[1].T,
            "b2": model.intercepts_[1][:, None],
        }
        expected, _ = reference.forward_propagation(X.T, parameters, law, "identity")
        np.testing.assert_allclose(model.predict(X), expected[0], rtol=1e-9)
        predicted.append(model.predict(X))
    assert not np.allclose(*predicted)


def test_a_fingerprint_tells_constants_names_and_what_a_law_calls_apart():
    def law(constant, function):
        def g(z):
            return function(z) + constant

        return g

    laws = [law(1, math.exp), law(2, math.exp), law(1, math.tanh), law(1, lambda z: z), law(1, lambda z: 2 * z)]
    assert len({fingerprint(each) for each in laws}) == len(laws)
    assert fingerprint(law(1, math.exp)) == fingerprint(law(1, math.exp))
    with pytest.raises(ValueError, match="nothing tells what a dict is"):
        fingerprint(law({}, math.exp))


def test_what_looks_alike_but_is_another_is_told_apart(monkeypatch):
    def law(k, get):
        return lambda z: get(k) * z

    def first(k):
        return k.a

    one, other = namedtuple("Pair", "a b"), namedtuple("Pair", "b a")
    assert fingerprint(law(one(2.0, 3.0), first)) != fingerprint(law(other(2.0, 3.0), first))
    with pytest.raises(ValueError, match=r"nothing tells what a Enum(Type|Meta) is"):
        fingerprint(law(enum.Enum("Kind", "a"), first))
    hashes = set()
    for k in 1.0, 2.0:  # a user's own module in a package of these names
        module = types.ModuleType("scipy.mine")
        module.a = k
        hashes.add(fingerprint(eval("lambda z: module.a * z", {"module": module})))
    assert len(hashes) == 2


def test_a_law_that_refers_to_what_has_no_description_is_compiled_but_not_kept():
    table = np.array([0.5, 2.0])
    law = activation(lambda z: z * table[1], lambda z: table[1])
    assert not units.activation_unit(law).is_kept
    X, y = np.random.default_rng(0).random((40, 3)), np.arange(40.0)
    assert np.isfinite(MLPRegressor(activation=law, max_iter=1).fit(X, y).predict(X)).all()


def swish(z):
    return z / (1 + math.exp(-z))


def swish_slope(z):
    s = 1 / (1 + math.exp(-z))
    return s + z * s * (1 - s)


def test_models_with_laws_of_importable_functions_can_be_pickled_and_cloned():
    X, y = np.random.default_rng(0).random((40, 3)), np.arange(40.0)
    model = MLPRegressor(activation=activation(swish, swish_slope), max_iter=2).fit(X, y)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    assert clone(model).activation == model.activation


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: activation(swish), "dg must be a function, the slope of the other; there is none"),
        (lambda: activation(swish, 3), "dg must be a function, got 3"),
        (
            lambda: activation(swish, swish),
            "dg is not the slope of g: at z = -3.1 it is -0.133632, but g changes by -0.0847",
        ),
        (lambda: activation(functools.partial(swish), swish_slope), "write a function that calls it"),
        (lambda: activation(lambda z, *, k: z, lambda z: 1), "g must take 1 number: missing a required"),
        (lambda: loss(lambda a: a, lambda a, y: 1), "L must take 2 numbers: too many positional arguments"),
        (lambda: activation(math.log, lambda z: 1 / z), r"g\(-3.09999\) raises ValueError"),
        (lambda: activation(lambda z: math.inf, lambda z: 0), r"g\(-3.09999\) is inf"),
        (lambda: loss(lambda a, y: a), "dL must be a function, the slope of the other; there is none"),
        (
            lambda: loss(lambda a, y: (a - y) ** 2, lambda a, y: a - y),
            "dL is not the slope of L: at z = -3.1, a = -3.1, y",
        ),
        (lambda: loss(lambda a, y: a * y, lambda a, y: y, "exp"), "dL is not the slope of L"),
        (lambda: loss(lambda a, y: a, lambda a, y: 1, "sofmax"), "out_activation must be one of .* got 'sofmax'"),
    ],
)
def test_laws_that_are_none_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_numbas_reason_stands_in_one_line():
    law = activation(lambda z: sorted([z])[0] + len(str(z)) * 0, lambda z: 1)
    with pytest.raises(ValueError, match=r"^the activation 'lambda' cannot be compiled: [^\n]+$"):
        MLPRegressor(activation=law, max_iter=1).fit(np.eye(4), np.arange(4.0))


def test_what_has_no_laws_of_a_users_own_says_so(tmp_path):
    model = MLPRegressor(activation=activation(swish, swish_slope), max_iter=1).fit(np.eye(4), np.arange(4.0))
    with pytest.raises(TypeError, match="activation is a law of your own"):
        fastnn.save(model, tmp_path / "model")
    with pytest.raises(ValueError, match="scikit-learn has no activation="):
        model.to_sklearn()


def both(law):
    """What the kernels and the reference make of 2."""
    parameters = {"W1": np.ones((1, 1)), "b1": np.zeros((1, 1)), "W2": np.ones((1, 1)), "b2": np.zeros((1, 1))}
    return [
        each.forward_propagation(np.array([[2.0]]), parameters, law, "identity")[0].item()
        for each in (functional, reference)
    ]


FACTOR = 11.0


def scaled(z):
    return FACTOR * z


def factor(z):
    return FACTOR


def test_constants_are_those_of_the_time(monkeypatch):
    law = activation(scaled, factor)
    assert both(law) == [22, 22]
    monkeypatch.setitem(globals(), "FACTOR", 12.0)
    assert both(law) == both(activation(scaled, factor)) == [24, 24]


def test_what_a_law_reaches_through_a_module_is_a_part_of_it(monkeypatch):
    module = types.ModuleType("laws_of_a_user")
    module.slope, module.g = 2.0, lambda z: 2 * z
    monkeypatch.setitem(globals(), "laws_of_a_user", module)
    assert both(activation(lambda z: laws_of_a_user.g(z), lambda z: laws_of_a_user.slope)) == [4, 4]  # noqa: F821
    module.slope, module.g = 7.0, lambda z: 7 * z
    assert both(activation(lambda z: laws_of_a_user.g(z), lambda z: laws_of_a_user.slope)) == [14, 14]  # noqa: F821


@pytest.mark.parametrize("m", [1, 5, 8])
def test_a_slope_that_is_not_zero_at_zero_is_that_of_the_examples_alone(m):
    quantile = loss(lambda a, y: 0.9 * (y - a) if y > a else 0.1 * (a - y), lambda a, y: -0.9 if y > a else 0.1)
    parameters = reference.initialize_parameters((4, 6, 1), 0)
    X, Y = np.random.default_rng(0).standard_normal((4, m)), np.ones((1, m))
    _, cache = reference.forward_propagation(X, parameters, "tanh", "identity")
    expected, got = (
        each.backward_propagation(parameters, cache, X, Y, "tanh", "identity", quantile)
        for each in (reference, functional)
    )
    for name, value in expected.items():
        np.testing.assert_allclose(got[name], value, rtol=1e-9, atol=1e-12)


def test_a_law_that_may_raise_is_refused():
    def g(z):
        if z > 20:
            raise OverflowError
        return z

    with pytest.raises(ValueError, match="the activation 'g' cannot be compiled: it may raise an exception"):
        both(activation(g, lambda z: 1))


def test_a_loss_of_the_name_of_another_is_itself():
    def squared_error(a, y):
        return 2 * (a - y) ** 2

    law, A, Y = loss(squared_error, lambda a, y: 4 * (a - y)), np.array([[1.0, 3]]), np.array([[0.0, 1]])
    assert functional.compute_cost(A, Y, "identity", law) == reference.compute_cost(A, Y, "identity", law) == 5


def test_functions_of_libraries_are_laws():
    assert both(activation(np.tanh, lambda z: 1 - np.tanh(z) ** 2)) == pytest.approx([np.tanh(2)] * 2)
    law, A, Y = loss(lambda a, y: (a - y) ** 2 / 2, operator.sub), np.array([[1.0, 3]]), np.array([[0.0, 1]])
    assert functional.compute_cost(A, Y, "identity", law) == 1.25


def test_defaults_tuples_and_numpys_numbers_are_constants_of_the_kind_of_the_arguments():
    pair, single = (0.5, 2.0), np.float64(0.1)
    law = activation(lambda z, k=0.3: z * k * pair[1] + single * z, lambda z, k=0.3: k * pair[1] + single)
    unit = units.activation_unit(law)
    _, kinds = unit_and_kinds("activate", law, np.dtype("f4"))
    assert "double" not in re.sub(r"(?m)^declare.*|^;.*", "", program_of(unit, kinds))
    assert both(law) == pytest.approx([1.4, 1.4])


def test_a_loss_may_have_many_constants():
    def value(a, y, p, q, r, s):
        return (p + q + r + s) * (a - y) ** 2 / 2

    law = Loss("many", "identity", value, lambda a, y, p, q, r, s: (p + q + r + s) * (a - y), constants=(1, 2, 3, 4))
    A, Y = np.array([[1.0, 3]]), np.array([[0.0, 1]])
    assert functional.compute_cost(A, Y, "identity", law) == reference.compute_cost(A, Y, "identity", law) == 12.5


@pytest.mark.parametrize("batch_size", [1, 7, 60])
def test_each_hidden_layer_may_have_an_activation_of_its_own(batch_size, way):
    for named in ("relu", "gelu", "tanh"), ("mish", "relu", "identity"), ("logistic", "elu", "leaky_relu"):
        net = Network((4, 9, 7, 5, 2), named, "identity")
        X, Y = examples(((4, 2), "", "identity"), 60, np.float64)
        start = net.from_dict(reference.initialize_parameters(net.layer_sizes, rng=1), np.float64)
        expected, expected_costs = reference_steps(net, start, X, Y, np.arange(60), batch_size, 5, SGD(0.1), 0.1)
        theta = start.copy()
        costs = Trainer(net, theta, SGD(0.1), X.T, Y.T, batch_size, alpha=0.1).run(np.arange(60), 5)
        np.testing.assert_allclose(costs, expected_costs, rtol=1e-9)
        np.testing.assert_allclose(theta, expected, rtol=1e-7, atol=1e-12)
        parameters = net.as_dict(theta)
        outputs = [of.forward_propagation(X, parameters, named, "identity") for of in (functional, reference)]
        np.testing.assert_allclose(*(A for A, _ in outputs), rtol=1e-9)
        gradients = [
            of.backward_propagation(parameters, cache, X, Y, named, "identity")
            for of, (_, cache) in zip((functional, reference), outputs, strict=True)
        ]
        for name, gradient in gradients[0].items():
            np.testing.assert_allclose(gradient, gradients[1][name], rtol=1e-7, atol=1e-12)
        for rows in (X.T, X.T[:1]):
            predicted = Predictor(net, *unpack(net, theta), "it")(rows)
            expected = reference.forward_propagation(rows.T, parameters, named, "identity")[0].T
            np.testing.assert_allclose(predicted, expected, rtol=1e-9)


def test_activations_that_do_not_fit_are_refused():
    X, y = np.eye(4), np.arange(4.0)
    for wrong, message in (("relu", "tanh"), "2 laws.*1 hidden layers"), (("reluu",), "must be one of.*'reluu'"):
        with pytest.raises(ValueError, match=message):
            MLPRegressor(hidden_layer_sizes=(3,), activation=wrong).fit(X, y)
        with pytest.raises(ValueError, match=message):
            functional.forward_propagation(X, functional.initialize_parameters((4, 3, 1), 0), wrong)
    model = MLPRegressor(hidden_layer_sizes=(3, 2), activation=["gelu", "selu"], max_iter=2).fit(X, y)
    assert clone(model).activation == ["gelu", "selu"]
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), model.predict(X))
    with pytest.raises(ValueError, match=r"scikit-learn has no activation=\['gelu', 'selu'\]"):
        model.to_sklearn()
