"""Checkpoints: a training that is killed goes on to the same bits."""

import json
import os
import shutil
import subprocess
import sys
from itertools import count
from pathlib import Path
from threading import Event, Lock, get_ident

import numpy as np
import pytest
from conftest import call_steps_by
from sklearn.datasets import load_digits

from fastnn import (
    MLPClassifier,
    MLPRegressor,
    TableEncoder,
    TabularClassifier,
    TabularRegressor,
    activation,
    checkpoints,
    watch,
)

pytest.importorskip("safetensors")
X, y = load_digits(return_X_y=True)
X = X[:300] / 16
y = y[:300]
#: Trainings with all that is to be kept: moments, rates, the order, random numbers, the best parameters, averages.
TRAININGS = {
    "adam": {},
    "sgd": {"solver": "sgd", "learning_rate": "invscaling"},
    "plateau": {"learning_rate": "plateau", "tol": 0.05, "n_iter_no_change": 2},
    "nadam": {"solver": "nadam", "learning_rate": "cosine", "warmup": 0.2},
    "dropout": {"dropout": 0.3, "clip_norm": 0.5},
    "ema": {"average": "ema", "average_decay": 0.9},
    "early stopping": {"early_stopping": True, "n_iter_no_change": 30},
    "scorer": {"early_stopping": True, "n_iter_no_change": 30, "scoring": "f1_macro"},
}


def model_of(path, **options):
    usual = {"hidden_layer_sizes": (30,), "max_iter": 30, "random_state": 0, "batch_size": 64}
    return MLPClassifier(checkpoint=path, **{**usual, **options})


class Killed(BaseException):
    pass


def kill_after(n):
    def look(epoch):
        if epoch.n_iter == n:
            raise Killed

    return look


def same(model, expected):
    for name in "coefs_", "intercepts_":
        for got, wanted in zip(getattr(model, name), getattr(expected, name), strict=True):
            np.testing.assert_array_equal(got, wanted)
    for name in "loss_curve_", "validation_scores_", "n_iter_", "t_", "loss_", "best_loss_", "best_validation_score_":
        assert getattr(model, name) == getattr(expected, name), name
    for name in expected.history_.keys() - {"seconds"}:
        np.testing.assert_array_equal(model.history_[name], expected.history_[name])


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("options", TRAININGS.values(), ids=TRAININGS)
def test_a_training_that_was_killed_goes_on_to_the_same_bits(tmp_path, options, n_threads):
    expected = model_of(None, **options).fit(X, y)
    path = tmp_path / "training"
    for n in 7, 19:
        with pytest.raises(Killed):
            model_of(path, checkpoint_interval=0, **options).set_callbacks(kill_after(n)).fit(X, y)
    model = model_of(path, n_threads=n_threads, **options).fit(X, y)
    same(model, expected)
    same(model_of(path, **options).fit(X, y), expected)  # it is over


def test_a_random_training_goes_on_as_it_began(tmp_path):
    path, options = tmp_path / "training", {"random_state": None, "early_stopping": True, "n_iter_no_change": 40}
    with pytest.raises(Killed):
        model_of(path, checkpoint_interval=0, **options).set_callbacks(kill_after(7)).fit(X, y)
    kept, results = path.read_bytes(), []
    for _ in range(2):
        path.write_bytes(kept)
        results.append(model_of(path, **options).fit(X, y))
    same(*results)


def test_more_epochs_may_follow(tmp_path):
    path = tmp_path / "training"
    model_of(path, max_iter=9, n_iter_no_change=50).fit(X, y)
    same(model_of(path, n_iter_no_change=50).fit(X, y), model_of(None, n_iter_no_change=50).fit(X, y))


def test_a_training_that_is_interrupted_goes_on(tmp_path):
    def interrupt(epoch):
        if epoch.n_iter == 5:
            raise KeyboardInterrupt

    path = tmp_path / "training"
    with pytest.warns(UserWarning, match="interrupted"):
        model = model_of(path).set_callbacks(interrupt).fit(X, y)
    assert model.n_iter_ == 5
    same(model.set_callbacks().fit(X, y), model_of(None).fit(X, y))


def test_an_interrupt_in_the_middle_of_an_epoch_is_where_it_goes_on(tmp_path, monkeypatch):
    from fastnn.training import Trainer

    calls = []

    def interrupted(train, *args):
        done = train(*args)
        calls.append(done)
        if len(calls) == 6:  # as if Ctrl-C had come in the call
            raise KeyboardInterrupt
        return done

    options, path = {"n_iter_no_change": 40, "dropout": 0.2, "average": "ema"}, tmp_path / "training"
    monkeypatch.setattr(Trainer, "most_steps", lambda self: 3)
    expected = model_of(None, **options).fit(X, y)
    with monkeypatch.context() as patch:
        call_steps_by(patch, interrupted)
        with pytest.warns(UserWarning, match="interrupted"):
            model_of(path, **options).fit(X, y)
    assert sum(calls) == 18  # of epochs of five steps
    same(model_of(path, **options).fit(X, y), expected)


def test_functions_are_known_by_what_they_do(tmp_path):
    import math

    path = tmp_path / "training"

    def law(factor):
        return activation(lambda z: factor * math.tanh(z), lambda z: factor * (1 - math.tanh(z) ** 2))

    model_of(path, activation=law(1.0), max_iter=3).fit(X, y)
    model_of(path, activation=law(1.0), max_iter=4).fit(X, y)  # another object
    with pytest.raises(checkpoints.CheckpointError, match="other activation"):
        model_of(path, activation=law(1.1), max_iter=4).fit(X, y)
    path.unlink()
    model_of(path, learning_rate=lambda t: 1 - t, hidden_layer_sizes=[8], alpha=np.float64(1e-4)).fit(X, y)
    model_of(path, learning_rate=lambda t: 1 - t, hidden_layer_sizes=(8,)).fit(X, y)
    with pytest.raises(checkpoints.CheckpointError, match="other learning_rate"):
        model_of(path, learning_rate=lambda t: 5.0, hidden_layer_sizes=(8,)).fit(X, y)


#: Kills a child that trains, twenty times at any moment, and says which epoch the file is of each time.
PROGRAM = """
import os, random, signal, sys, time
from pathlib import Path
from sklearn.datasets import load_digits
from fastnn import MLPRegressor, checkpoints
X, y = load_digits(return_X_y=True)

def train(path, interval=0, max_iter=150):
    model = MLPRegressor(hidden_layer_sizes=(100,), max_iter=max_iter, tol=0, n_iter_no_change=300, random_state=0,
                         early_stopping=True, dropout=0.1, checkpoint=path, checkpoint_interval=interval)
    return model.set_callbacks(lambda epoch: None).fit(X / 16, y / 9)

path = Path(sys.argv[1])
expected = train(path.with_name("once"), 1e9)
for i in range(20):
    child = os.fork()
    if not child:
        train(path)
        os._exit(0)
    time.sleep(0.02 + random.random() * 0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    print(len(checkpoints.read(path)[1]["record"]["loss_curve_"]) if path.exists() else 0)
assert (train(path).coefs_[0] == expected.coefs_[0]).all()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_process_is_killed_twenty_times_and_leaves_a_good_file_each_time(tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, str(tmp_path / "training")],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )
    epochs = [*map(int, done.stdout.split())]
    assert epochs == sorted(epochs)
    assert len(epochs) == 20
    assert 0 < epochs[-1] <= 150


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda data: data[:-7], "cut off"),
        (lambda data: data[:40], "cut off"),
        (lambda data: b"", "no checkpoint"),
        (lambda data: b"no such thing" * 30, "no checkpoint"),
        (lambda data: data[:-9] + bytes([data[-9] ^ 1]) + data[-8:], "altered"),
        (lambda data: data.replace(b'n_iter_\\": 3', b'n_iter_\\": 4'), "altered"),
        (lambda data: data.replace(checkpoints.FORMAT.encode(), b"fastnn training 0"), "fastnn training 0"),
    ],
    ids=["end", "header", "empty", "foreign", "byte", "setting", "format"],
)
def test_a_spoilt_file_is_refused(tmp_path, spoil, message):
    path = tmp_path / "training"
    model_of(path, max_iter=3).fit(X, y)
    spoilt = spoil(path.read_bytes())
    assert spoilt != path.read_bytes()
    path.write_bytes(spoilt)
    with pytest.raises(checkpoints.CheckpointError, match=message):
        model_of(path, max_iter=3).fit(X, y)
    assert path.read_bytes() == spoilt


def test_another_training_is_refused_by_what_is_other(tmp_path):
    path = tmp_path / "training"
    model_of(path, max_iter=3).fit(X, y)
    for change, message in (
        (lambda: model_of(path, alpha=1.0).fit(X, y), "other alpha"),
        (lambda: model_of(path).fit(X + 1, y), "other examples"),
        (lambda: model_of(path).fit(X.astype(np.float32), y), "other examples"),
        (
            lambda: model_of(path, max_iter=9, learning_rate="cosine").fit(X, y),
            "other learning_rate and other max_iter",
        ),
        (lambda: model_of(path).fit(X, y, X_val=X, y_val=y), "other validation examples"),
    ):
        with pytest.raises(checkpoints.CheckpointError, match=message):
            change()


def test_where_there_can_be_no_checkpoint_the_fit_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        model_of(tmp_path / "missing" / "training").fit(X, y)
    with pytest.raises(ValueError, match="checkpoint is for fit"):
        model_of(tmp_path / "training").partial_fit(X, y, classes=range(10))
    with pytest.raises(ValueError, match="for solvers that take minibatches"):
        MLPRegressor(solver="lbfgs", checkpoint=tmp_path / "training").fit(X, y)
    with pytest.raises(IsADirectoryError, match="is a folder"):
        model_of(tmp_path).fit(X, y)
    with pytest.raises(ValueError, match="warm_start"):
        model_of(tmp_path / "training", warm_start=True).fit(X, y)


def test_the_file_holds_data_alone(tmp_path):
    from safetensors.numpy import load_file

    path = tmp_path / "training"
    model_of(path, max_iter=3, early_stopping=True).fit(X, y)
    arrays = load_file(path)
    assert arrays["theta"].shape == (64 * 30 + 30 + 30 * 10 + 10,)
    assert len(arrays["rows"]) == 30
    length = int.from_bytes(path.read_bytes()[:8], "little")
    state = json.loads(json.loads(path.read_bytes()[8 : 8 + length])["__metadata__"]["state"])
    assert state["record"]["n_iter_"] == 3


#: Three members on two threads: one begins when others are finished.
TABULAR = {"hidden_layer_sizes": (16,), "n_members": 3, "n_bins": 4, "max_iter": 12, "random_state": 0, "n_threads": 2}


def tabular_of(path, kind=TabularClassifier, **options):
    return kind(**{**TABULAR, "checkpoint": path, "checkpoint_interval": 0, **options})


def same_members(model, expected):
    assert len(model.estimators_) == len(expected.estimators_)
    for one, other in zip(model.estimators_, expected.estimators_, strict=True):
        same(one, other)
    np.testing.assert_array_equal(model.predict(X), expected.predict(X))


def raise_in_epoch(error, n):
    """Watch, and raise an error in the so-and-so-many-th epoch, of whichever member."""
    numbers, lock = count(1), Lock()

    def look(epoch):
        with lock:
            if next(numbers) == n:
                raise error

    return watch(look)


@pytest.mark.parametrize("kind", [TabularClassifier, TabularRegressor])
@pytest.mark.parametrize("options", [{}, {"dropout": 0.2}], ids=["usual", "dropout"])
def test_members_of_a_tabular_model_go_on_to_the_same_bits(tmp_path, kind, options):
    path = tmp_path / "training"
    for n in 5, 20:
        with pytest.raises(Killed), raise_in_epoch(Killed, n):
            tabular_of(path, kind, **options).fit(X, y)
    model = tabular_of(path, kind, **options).fit(X, y)
    same_members(model, tabular_of(None, kind, **options).fit(X, y))
    assert {member.checkpoint for member in model.estimators_} == {None}


#: Trains three members, and is gone in the twentieth epoch, without another word.
GONE = """
import os, sys
from itertools import count
from fastnn import watch
from test_checkpoints import X, tabular_of, y
numbers = count(1)
with watch(lambda epoch: next(numbers) == 20 and os._exit(9)):
    tabular_of(sys.argv[1]).fit(X, y)
"""


def test_a_tabular_training_whose_process_is_killed_goes_on_to_the_same_bits(tmp_path):
    path = tmp_path / "training"
    folders = os.pathsep.join([str(Path(__file__).parents[1]), str(Path(__file__).parent)])
    command = [sys.executable, "-c", GONE, str(path)]
    assert subprocess.run(command, env={**os.environ, "PYTHONPATH": folders}, check=False).returncode == 9
    assert 10 <= checkpoints.n_epochs(path) <= 22
    same_members(tabular_of(path).fit(X, y), tabular_of(None).fit(X, y))
    checkpoints.remove(path)
    assert not path.exists()


def test_a_random_tabular_training_goes_on_as_it_began(tmp_path):
    path, kept = tmp_path / "training", tmp_path / "kept"
    with pytest.raises(Killed), raise_in_epoch(Killed, 5):
        tabular_of(path, random_state=None).fit(X, y)
    shutil.copytree(path, kept)
    models = [tabular_of(folder, random_state=None).fit(X, y) for folder in (path, kept)]
    same_members(*models)


def test_members_that_are_finished_are_not_trained_again(tmp_path):
    with pytest.raises(Killed), raise_in_epoch(Killed, 30):  # of 36
        tabular_of(tmp_path / "training", n_threads=1).fit(X, y)
    epochs = []
    with watch(epochs.append):
        tabular_of(tmp_path / "training").fit(X, y)
    assert 1 <= len(epochs) <= 7
    assert epochs[-1].n_iter == 12


def test_an_interrupted_tabular_training_predicts_and_goes_on(tmp_path):
    path = tmp_path / "training"
    model = tabular_of(path, n_threads=3)
    at_work, begun = set(), Event()

    def interrupt(epoch):
        at_work.add(get_ident())
        if len(at_work) == 3:
            begun.set()
        begun.wait(60)
        if epoch.n_iter == 4:
            raise KeyboardInterrupt

    with watch(interrupt), pytest.warns(UserWarning, match="interrupted by user: 3 of 3 members have begun"):
        model.fit(X, y)
    assert 1 <= model.n_iter_ <= 5
    assert model.predict_proba(X).shape == (300, 10)
    same_members(model.fit(X, y), tabular_of(None).fit(X, y))


def test_an_interrupt_keeps_the_members_that_have_begun():
    with raise_in_epoch(KeyboardInterrupt, 14), pytest.warns(UserWarning, match="2 of 3 members have begun"):
        model = tabular_of(None, n_threads=1).fit(X, y)
    assert [member.n_iter_ for member in model.estimators_] == [12, 2]
    whole = tabular_of(None, n_members=1).fit(X, y)
    np.testing.assert_array_equal(model.estimators_[0].coefs_[0], whole.estimators_[0].coefs_[0])


def test_another_tabular_training_is_refused_by_what_is_other(tmp_path):
    path = tmp_path / "training"
    tabular_of(path, max_iter=2).fit(X, y)
    words = np.array([f"digit {digit}" for digit in y], object)
    for change, message in (
        (lambda: tabular_of(path, max_iter=2, alpha=1.0).fit(X, y), "other alpha: remove it, or name another folder"),
        (lambda: tabular_of(path, max_iter=2, encoder=TableEncoder()).fit(X, y), "other encoder"),
        (lambda: tabular_of(path, max_iter=3, n_members=2).fit(X, y), "other max_iter and other n_members"),
        (lambda: tabular_of(path, max_iter=2).fit(X**2, y), "other examples"),
        (lambda: tabular_of(path, max_iter=2).fit(X, words), "other examples"),
        (lambda: tabular_of(path, max_iter=2).fit(X, y, X_val=X, y_val=y), "other validation examples"),
    ):
        with pytest.raises(checkpoints.CheckpointError, match=message):
            change()
    tabular_of(tmp_path / "words", max_iter=2).fit(X, words)
    tabular_of(tmp_path / "words", max_iter=2).fit(X, words.copy())
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        tabular_of(tmp_path / "missing" / "training").fit(X, y)
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="is a file, but a folder is wanted"):
        tabular_of(tmp_path / "file").fit(X, y)


def test_a_tabular_training_that_ended_by_time_goes_on(tmp_path):
    path, options = tmp_path / "training", {"max_iter": 300}
    model = tabular_of(path, max_time=1e-3, **options).fit(X, y)
    assert model.n_iter_ < 300
    same_members(tabular_of(path, **options).fit(X, y), tabular_of(None, **options).fit(X, y))
