"""The workloads and calls are what they say, and every library does exactly what it is timed for."""

from collections import Counter
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from sklearn.neural_network import MLPClassifier

from fastnn.comparison import calls, clock, options, start, steps
from fastnn.comparison.calls import CALLS, FullBatch, Many, Predict, Search, Text
from fastnn.comparison.steps import LIBRARIES, WORKLOADS, Timing, Workload, data, fastest, measure, minibatches, pieces

TASKS = {"binary": 1, "multiclass": 3, "regression": 1}

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")


def tiny(task="binary", **changes):
    return replace(Workload("tiny", 5, (8, 6), TASKS[task], "tanh", task, 200, 20, "float64", "tests"), **changes)


def rival(library, workload, X, y):
    pytest.importorskip(LIBRARIES[library].package)
    if not LIBRARIES[library].installed():
        pytest.skip("no C++ compiler")
    return LIBRARIES[library](workload, X, y, n_threads=1)


def test_the_ten_workloads():
    assert list(WORKLOADS) == [
        "defaults",
        "sklearnex-1104",
        "skorch-1100",
        "small-tanh",
        "bench-mnist",
        "sciml",
        "higgs",
        "wide",
        "defaults-float64",
        "bench-mnist-float64",
    ]
    assert WORKLOADS["sciml"].layer_sizes == (32, 256, 256, 256, 256, 256, 256, 10)


def test_arithmetic_of_a_network_worked_by_hand():
    # 20-(100)-1 has 2000 + 100 weights. Z and dW take 2 * 2 operations for each weight and example; dA takes 2, but
    # only of the 100 weights of the second layer.
    assert WORKLOADS["defaults"].flops_per_step == 200 * (4 * 2000 + 6 * 100)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_data_have_the_promised_shape_and_dtype(task, dtype):
    workload = tiny(task, dtype=dtype)
    X, y = data(workload)
    assert X.shape == (200, 5)
    assert X.dtype == dtype
    assert X.flags.c_contiguous
    assert y.shape == (200,)
    if task == "regression":
        assert y.dtype == dtype
    else:
        assert set(y) == set(range(max(2, workload.n_outputs)))
    np.testing.assert_array_equal(X, data(workload)[0])
    assert not np.array_equal(X, data(workload, seed=1)[0])


def test_minibatches_are_whole_and_reshuffled_each_epoch():
    workload = tiny(n_samples=50)  # two minibatches an epoch; ten examples are left out
    batches = list(islice(minibatches(workload, np.random.default_rng(0).permutation), 4))
    assert [len(batch) for batch in batches] == [20] * 4
    for epoch in (batches[:2], batches[2:]):
        assert len(set(np.concatenate(epoch))) == 40
    assert set(batches[0]) != set(batches[2])


def test_pieces_end_where_the_epoch_ends():
    assert list(pieces(tiny(), 7, 15)) == [(7, 10), (0, 10), (0, 2)]


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("task", TASKS)
def test_loss_decreases(library, task):
    trained = rival(library, tiny(task), *data(tiny(task)))
    trained.run(1)
    before = trained.loss()
    trained.run(100)
    assert trained.loss() < 0.9 * before
    assert trained.predict(trained.X[:7]).shape == (7, TASKS[task])


@pytest.mark.parametrize("library", LIBRARIES)
def test_several_targets_are_learned(library):
    workload = tiny("regression", n_outputs=3)
    X, y = data(workload)
    assert y.shape == (200, 3)
    trained = rival(library, workload, X, y)
    trained.run(1)
    before = trained.loss()
    trained.run(100)
    assert trained.loss() < 0.9 * before


@pytest.mark.parametrize("library", LIBRARIES)
def test_steps_are_exactly_as_many_as_asked_for(library):
    # Constant examples make shuffling and minibatches irrelevant: only the number of steps decides where Adam arrives.
    workload = tiny()
    X, y = data(workload)
    X[:], y[:] = X[0], y[0]
    got, expected, one_more = (rival(library, workload, X, y) for _ in range(3))
    for n_steps in (3, 9, 1, 12):  # over the ends of epochs
        got.run(n_steps)
    expected.run(25)
    one_more.run(26)
    assert got.loss() == pytest.approx(expected.loss(), rel=1e-12)
    assert got.loss() != pytest.approx(one_more.loss(), rel=1e-6)


def test_scikit_learn_does_what_its_fit_does():
    workload = tiny("multiclass")
    X, y = data(workload)
    expected = MLPClassifier((8, 6), activation="tanh", batch_size=20, max_iter=3, random_state=0)
    with pytest.warns(match="Maximum iterations"):
        expected.fit(X, y)
    got = rival("sklearn", workload, X, y)
    got.run(3 * workload.steps_per_epoch)
    np.testing.assert_array_equal(got.predict(X), expected.predict_proba(X))


def test_runs_are_interleaved(monkeypatch):
    calls = []

    class Fake(steps.Rival):
        def run(self, n_steps):
            calls.append((type(self).__name__, self.n_threads))

    monkeypatch.setitem(LIBRARIES, "a", type("A", (Fake,), {}))
    monkeypatch.setitem(LIBRARIES, "b", type("B", (Fake,), {}))
    monkeypatch.setattr(clock, "timed", lambda run, n: run(n) or 1e-3 * run.__self__.n_threads)
    timings = measure(["a", "b"], tiny(), [1, 2], n_runs=3, pause=0)
    turns = [("A", 1), ("A", 2), ("B", 1), ("B", 2)]
    assert calls[-24:] == [turn for turn in turns for _ in range(2)] * 3  # each turn wakes its threads, then is timed
    assert min(Counter(calls).values()) > 8  # and before that it compiles and warms up
    assert [(timing.library, timing.n_threads, timing.median) for timing in timings] == [
        ("a", 1, 1e3),
        ("a", 2, 2e3),
        ("b", 1, 1e3),
        ("b", 2, 2e3),
    ]


def test_measured_times_are_times_of_a_step():
    (timing,) = measure(["sklearn"], tiny(), [1], n_runs=2, seconds=0.01, pause=0)
    assert len(timing.microseconds) == 2
    assert 10 < timing.median < 1e5


def test_the_fastest_number_of_threads_counts():
    one, two = (Timing(tiny(), "a", n, n, (100.0 / n, 300.0 / n, 200.0 / n)) for n in (1, 2))
    assert one.quartiles == (150, 200, 250)
    assert fastest([one, two]) == {"a": two}


def test_the_peak_does_the_arithmetic_of_the_steps_on_all_threads():
    workload, done = tiny(), []
    peak = steps.Peak(workload, *data(workload), n_threads=2)
    peak.kernel = lambda turns, A: done.append(2 * turns * A.size)
    peak.run(1000)
    assert len(done) == 2
    assert 1000 * workload.flops_per_step <= sum(done) < 1001 * workload.flops_per_step


def test_efficiency_is_the_share_of_the_peak_of_the_threads_that_are_used(monkeypatch):
    limits = [Timing(tiny(), "peak", n, n, (10.0 / n,)) for n in (1, 2)]
    assert steps.efficiency(Timing(tiny(), "fastnn", 2, 1, (40.0,)), limits) == 0.25
    assert steps.efficiency(Timing(tiny(), "fastnn", 2, 2, (40.0,)), limits) == 0.125
    monkeypatch.setattr(
        steps,
        "measure",
        lambda libraries, workload, n_threads: [Timing(workload, *libraries, *n_threads, *n_threads, (4.0,))],
    )
    assert steps.efficiency(Timing(tiny(), "fastnn", 3, 3, (40.0,)), limits) == 0.1  # timed now


def test_installed_names_libraries():
    assert "sklearn" in steps.installed()
    assert set(steps.installed()) <= set(LIBRARIES)


def small(call):
    """The same call at a size that takes no time."""
    sizes = {
        Predict: {"n_rows": 2, "layer_sizes": (3, 5, 4)},
        Search: {"max_iter": 1, "n_jobs": 1},
        Many: {"max_iter": 1, "n_networks": 2},
        Text: {"n_rows": 30, "n_columns": 200, "n_per_row": 6, "n_hidden": 3},
        FullBatch: {"n_samples": 50, "n_steps": 3},
        calls.Fit: {"max_iter": 2},
    }
    return replace(call, **sizes.get(type(call), {}))


@pytest.mark.parametrize("name", options.OPTIONS)
def test_an_option_is_one_of_both_libraries_and_both_learn_with_it(name):
    option = options.OPTIONS[name]
    workload = replace(steps.WORKLOADS["defaults"], n_samples=2000)
    if workload.task not in option.tasks:
        workload = replace(workload, task="regression")
    X, y = steps.data(workload)
    rivals = [steps.Fastnn(workload, X, y, 1, **option.parameters)]
    if steps.Torch.installed():
        rivals.append(options.TorchWith(workload, X, y, 1, option))
    for rival in rivals:
        rival.run(1)
        before = rival.loss()
        rival.run(100)
        assert rival.loss() < before


@pytest.mark.skipif(not steps.Torch.installed(), reason="PyTorch is not installed")
@pytest.mark.parametrize(
    "name",
    ["rmsprop", "clip_norm", "ema", "label_smoothing", "focal", "gelu", "gelu_tanh", "silu", "mish", "elu"],
)
def test_the_formulas_of_an_option_are_those_of_pytorch(name):
    """Ten steps on the same examples from the same weights."""
    import torch

    option, workload = options.OPTIONS[name], replace(steps.WORKLOADS["defaults-float64"], n_samples=200)
    X, y = steps.data(workload)
    ours = steps.Fastnn(workload, X, y, 1, alpha=0.0, **option.parameters)
    theirs = options.TorchWith(workload, X, y, 1, option)
    with torch.no_grad():
        for layer, coef, intercept in zip(theirs.network[::2], ours.model.coefs_, ours.model.intercepts_, strict=True):
            layer.weight.copy_(torch.from_numpy(coef.T.copy()))
            layer.bias.copy_(torch.from_numpy(intercept.copy()))
    ours.run(10), theirs.run(10)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-3)


def test_calls_have_names_and_say_what_they_are():
    assert {"partial_fit-classifier-1", "predict-wide-100", "fit-iris-lbfgs", "text-hashed"} <= set(CALLS)
    assert all(name == call.name and call.what for name, call in CALLS.items())
    assert all(set(call.libraries) <= set(calls.LIBRARIES) for call in CALLS.values())


@pytest.mark.parametrize("name", CALLS)
def test_every_call_can_be_called_again(name):
    call = small(CALLS[name]).prepare("fastnn")
    call()
    call()


# A call of each kind: what is said to the rivals of one is said to those of all.
@pytest.mark.parametrize(
    "name",
    [
        "partial_fit-classifier-1",
        "partial_fit-regressor-200",
        "predict-classifier-1",
        "predict-wide-100",
        "fit-iris-early",
        "search-digits-1",
        "search-digits-threads",
        "many-8",
        "text-hashed",
        "text-4000-predict",
        "full-batch",
    ],
)
def test_a_call_is_measured_with_each_library(name):
    call = small(CALLS[name])
    libraries = [library for library in call.libraries if library in calls.installed()]
    times = calls.measure(call, libraries, n_runs=1, seconds=0, pause=0)
    assert list(times) == libraries
    assert all(1 < microseconds < 1e7 for microseconds in times.values())


def test_a_time_is_that_of_a_call_or_of_its_step(monkeypatch):
    monkeypatch.setattr(calls, "medians", lambda prepared, *options: [3e-6 for _ in prepared])
    assert calls.measure(small(CALLS["fit-iris"]), ["fastnn", "sklearn"]) == {"fastnn": 3.0, "sklearn": 3.0}
    assert calls.measure(small(CALLS["full-batch"]), ["fastnn"]) == {"fastnn": 1.0}  # of three steps


def test_both_libraries_fit_the_same_model():
    for name in "fit-iris", "fit-diabetes", "text-hashed":
        ours, theirs = (small(CALLS[name]).prepare(library)() for library in ("fastnn", "sklearn"))
        np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-9)


def test_both_libraries_search_and_fit_many_with_the_same_result():
    ours, theirs = (small(CALLS["search-digits-threads"]).prepare(library)() for library in ("fastnn", "sklearn"))
    assert type(ours).__module__ == "fastnn.searches"
    np.testing.assert_allclose(ours.cv_results_["mean_test_score"], theirs.cv_results_["mean_test_score"])
    ours, theirs = (small(CALLS["many-8"]).prepare(library)() for library in ("fastnn", "sklearn"))
    np.testing.assert_allclose([each.loss_ for each in ours], [each.loss_ for each in theirs], rtol=1e-9)


def test_onnxruntime_predicts_what_fastnn_predicts():
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    ours, theirs = (small(CALLS["predict-wide-100"]).prepare(library)() for library in ("fastnn", "onnxruntime"))
    np.testing.assert_allclose(ours, theirs.ravel(), rtol=1e-5)


def test_text_is_sparse_as_a_vectorizer_makes_it():
    X, y = small(CALLS["text-11000"]).data()
    assert X.shape == (30, 200)
    assert (np.diff(X.indptr) == 6).all()
    assert X.has_canonical_format
    assert X.indices.dtype == np.int32
    assert (X.data > 0).all()
    np.testing.assert_allclose((X.multiply(X)).sum(axis=1), 1)
    assert len(set(y)) > 2


def test_the_quickest_of_several_ways_is_taken(monkeypatch):
    monkeypatch.setattr(calls, "medians", lambda ways, **options: [3.0, 1.0, 2.0])
    assert calls.quickest("abc") == "b"


def test_a_start_is_counted_in_turn_after_one_that_is_not(monkeypatch):
    counted = [[1.0, 5.0], [2.0, 3.0], [3.0, 6.0], [4.0, 4.0], [2.0, 7.0], [3.0, 5.0]]
    answers, runs = iter([[9.0, 8.0], [9.0, 8.0], *counted]), []

    def python(text, library, folder):
        runs.append((text, library))
        return f"a word of another\n{next(answers)}\n" if text == "run" else ""

    monkeypatch.setattr(start, "python", python)
    program = start.Program(("fit", "memory"), "run", before="train")
    got = start.measure(program, ["fastnn", "sklearn"], n_runs=3)
    modules = ["fastnn", "sklearn.neural_network"]
    assert runs[:4] == [(text, module) for module in modules for text in ("train", "run")]
    assert runs[4:] == [("run", module) for module in modules] * 3
    assert got == {"fit": {"fastnn": 2.0, "sklearn": 3.0}, "memory": {"fastnn": 6.0, "sklearn": 4.0}}


def test_an_import_is_measured_in_new_processes():
    got = start.measure(start.ROWS["import"], ["fastnn", "numpy"], n_runs=1)
    assert list(got) == ["import"]
    assert list(got["import"]) == ["fastnn", "numpy"]
    assert all(seconds > 0 for seconds in got["import"].values())


@pytest.mark.parametrize("row", start.ROWS)
def test_what_new_processes_run_is_python(row):
    program = start.ROWS[row]
    for text in program.text, program.before:
        compile(text, row, "exec")


def test_a_process_that_fails_says_why():
    with pytest.raises(ChildProcessError, match=r"a process of fastnn ended with 1: (?s:.*)no such thing"):
        start.python("raise ValueError('no such thing')", "fastnn")
