"""Checkpoints: the state of a training in one file, from which it goes on to the same bits.

The arrays are in the format safetensors, which holds data and no code; the rest is JSON in its header, with a digest of
all of it.  The file appears under its name when it is complete: whoever is killed while it is written leaves the one
before.  A model of several networks has a folder of such files, one for each.
"""

import hashlib
import json
import os
import time
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn.kernels.laws.activations import Activation
from fastnn.kernels.laws.losses import Loss
from fastnn.pieces import PieceMatrix

FORMAT = "fastnn training 1"
#: The file of a folder that says what training it is of.
OF_ALL = "training.safetensors"
Arrays = dict[str, npt.NDArray[Any]]


class CheckpointError(ValueError):
    """A file that holds no training, or that of another one.

    Parameters
    ----------
    message : str
    others : list of str, default ()
        What is other in that: "examples", "validation examples", names of parameters.
    """

    def __init__(self, message: str, others: Collection[str] = ()) -> None:
        super().__init__(message)
        self.others = list(others)


def _safetensors() -> Any:
    try:
        import safetensors.numpy
    except ImportError as error:
        raise ImportError("checkpoint=... needs safetensors: install fastnn-mlp[cli]") from error
    return safetensors.numpy


def _digest(arrays: Arrays, state: str) -> str:
    digest = hashlib.sha256(state.encode())
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype} {arrays[name].shape}".encode())
        digest.update(np.ascontiguousarray(arrays[name]).data)
    return digest.hexdigest()


def write(path: Path, arrays: Arrays, state: dict[str, Any]) -> None:
    """Put a file in the place of the last one, at once.

    Parameters
    ----------
    path : Path
    arrays : dict
        Of numbers.
    state : dict
        Anything that JSON can hold.
    """
    text = json.dumps(state)
    metadata = {"format": FORMAT, "state": text, "digest": _digest(arrays, text)}
    contents = _safetensors().save({name: np.ascontiguousarray(array) for name, array in arrays.items()}, metadata)
    unfinished = path.with_name(f".{path.name}.unfinished")  # whoever is killed leaves one, not one each time
    with open(unfinished, "wb") as file:
        file.write(contents)
        file.flush()
        os.fsync(file.fileno())
    os.replace(unfinished, path)


def read(path: Path) -> tuple[Arrays, dict[str, Any]]:
    """What `write` has written.

    Parameters
    ----------
    path : Path

    Raises
    ------
    CheckpointError
        The file is something else, cut off or altered.
    """
    from safetensors import SafetensorError, safe_open

    _safetensors()
    try:
        with safe_open(path, "np") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}
    except SafetensorError as error:
        raise CheckpointError(f"{path} is no checkpoint of fastnn, or is cut off: {error}") from None
    if metadata.get("format") != FORMAT:
        raise CheckpointError(f"{path} is no checkpoint of this fastnn: it says {metadata.get('format')!r}")
    if metadata.get("digest") != _digest(arrays, metadata.get("state", "")):
        raise CheckpointError(f"{path} was altered after it was written: the digest of its contents is another")
    return arrays, json.loads(metadata["state"])


def fingerprint(parts: Iterable[Any]) -> str:
    """A digest of arrays, sparse ones and matrices of pieces as well, and of anything else by its `repr`.

    Parameters
    ----------
    parts : iterable
        What a training is made of.
    """
    digest = hashlib.sha256()
    for part in parts:
        arrays = [part.data, part.indices, part.indptr] if hasattr(part, "indptr") else [part]
        if isinstance(part, PieceMatrix):
            arrays = [part.numbers, part.positions, np.array(part.n_pieces)]
        if not isinstance(arrays[0], np.ndarray):
            arrays = []
        elif arrays[0].dtype == object:  # whose bytes are addresses
            arrays, part = [], part.tolist()
        for array in arrays:
            digest.update(f"{array.dtype} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
        if not arrays:
            digest.update(repr(part).encode())
    return digest.hexdigest()


def _flat(value: Any) -> list[Any]:
    """A value as a list of what it consists of: arrays apart, functions by what they do, not by where they are."""
    if isinstance(value, list | tuple):
        return ["sequence", *(part for each in value for part in _flat(each))]
    if isinstance(value, Activation | Loss):
        return [value.name, *_flat(value.value), *_flat(value.slope)]
    if isinstance(value, np.random.RandomState):
        return ["RandomState"]
    if hasattr(value, "get_params"):
        return [type(value).__name__, *_flat([*value.get_params().items()])]
    if callable(value):
        from fastnn.kernels.laws.fingerprints import fingerprint as of_function

        try:
            return [of_function(value)]
        except (AttributeError, TypeError, ValueError):  # an object, or it refers to what has no description
            return [getattr(value, "__qualname__", type(value).__name__)]
    return [value.item() if isinstance(value, np.generic) else value]


#: Parameters that make no other training.
WITHOUT = {"n_threads", "verbose", "checkpoint", "checkpoint_interval", "max_time", "warm_start"}
#: What training writes down in the model.
RECORD = (
    "n_iter_ t_ loss_ loss_curve_ history_ best_loss_ validation_scores_ best_validation_score_ _no_improvement_count"
).split()


def _training_of(
    model: Any, examples: Iterable[Any], held_out: Iterable[Any], without: Collection[str]
) -> dict[str, str]:
    """Digests of what a training is made of: of the examples, and of each parameter but those without a part in it."""
    return {
        "examples": fingerprint(examples),
        "validation examples": fingerprint(held_out),
        **{
            name: fingerprint(_flat(value))
            for name, value in model.get_params(deep=False).items()
            if name not in without
        },
    }


def _check_same(path: Path, found: dict[str, str], wanted: dict[str, str], kind: str) -> None:
    """Raise a CheckpointError unless what a file, or a folder, is of is what is trained."""
    others = [name for name, value in wanted.items() if found.get(name) != value]
    if others:
        raise CheckpointError(
            f"{path} is the checkpoint of a training with other {' and other '.join(others)}: remove it, or "
            f"name another {kind}",
            others,
        )


def _place_of(model: Any) -> Path:
    """Where a model is to write; FileNotFoundError where there is no such folder."""
    path = Path(model.checkpoint).expanduser()
    if not path.parent.is_dir():
        raise FileNotFoundError(f"checkpoint={str(path)!r}, but there is no folder {path.parent}")
    _safetensors()
    return path


class Checkpoint:
    """The state of a training, and when and where it is written: of the model, the optimizer, the epochs, and chance.

    Parameters
    ----------
    model : MLPClassifier or MLPRegressor
        Its parameters say where and how often.
    examples, held_out : list
        What is trained on, and what a user has set aside.

    Raises
    ------
    CheckpointError
        The file is that of another training, or none.
    FileNotFoundError
        There is no such folder.
    """

    def __init__(self, model: Any, examples: list[Any], held_out: Any) -> None:
        self._model, self._rows = model, np.empty(0, np.int64)
        self.path = _place_of(model)
        if self.path.is_dir():
            raise IsADirectoryError(f"checkpoint={str(model.checkpoint)!r} is a folder, but a file is wanted")
        without = WITHOUT
        if isinstance(model.learning_rate, str) and model.learning_rate in (
            "constant",
            "invscaling",
            "adaptive",
            "plateau",
        ):
            if not (model.warmup or model.average):
                without = without | {"max_iter"}  # more epochs may follow
        self._training = _training_of(model, examples, held_out, without)
        self._resumed = self._read()
        self._next = time.perf_counter() + model.checkpoint_interval

    def _read(self) -> tuple[Arrays, dict[str, Any]] | None:
        if not self.path.exists():
            return None
        arrays, state = read(self.path)
        _check_same(self.path, state["training"], self._training, "file")
        return arrays, state

    def split(self, order: Any, rows: Any) -> tuple[Any, Any]:
        """The rows that are trained on, and those that are set aside: those of what was read, if that was anything."""
        if self._resumed:
            order, rows = np.sort(self._resumed[0]["order"]), self._resumed[0]["rows"]
        self._rows = rows
        return order, rows

    def is_due(self) -> bool:
        """Whether it is time to write."""
        return time.perf_counter() >= self._next

    def write(self, epochs: Any, is_over: bool) -> None:
        """Write the state; whether training is over, or may go on."""
        generator = self._model._random_state.get_state(legacy=False)
        arrays = {**epochs.state(), "rows": self._rows}
        if generator["bit_generator"] == "MT19937":
            arrays["key"] = generator["state"]["key"]
            generator = {**generator, "state": {"pos": generator["state"]["pos"]}}
        state = {
            "training": self._training,
            "record": {name: self._model.__dict__[name] for name in RECORD if name in self._model.__dict__},
            "optimizer": self._model._optimizer.state(),
            "random": generator,
            "is_over": is_over,
        }
        write(self.path, arrays, state)
        self._next = time.perf_counter() + self._model.checkpoint_interval

    def restore(self, epochs: Any) -> bool:
        """Go on from what was read, if that was anything.  Whether training is over."""
        if self._resumed is None:
            return False
        arrays, state = self._resumed
        epochs.restore(arrays)
        record, generator = state["record"], state["random"]
        for name in "best_loss_", "loss_":  # NumPy's, as training leaves them
            if record.get(name) is not None:
                record[name] = np.float64(record[name])
        record["loss_curve_"] = [*map(np.float64, record["loss_curve_"])]
        self._model.__dict__.update(record)
        self._model._optimizer.__dict__.update(state["optimizer"])
        if "key" in arrays:
            generator["state"]["key"] = arrays["key"]
        self._model._random_state.set_state(generator)
        return bool(state["is_over"])


class CheckpointFolder:
    """Where the members of a model write their states: a folder, and in it a file that says what training that is.

    Parameters
    ----------
    model : TabularClassifier or TabularRegressor
        Its parameters say where.
    examples, held_out : list
        What is trained on, and what a user has set aside.
    seeds : sequence of int
        Of the members, where the training begins here.

    Attributes
    ----------
    path : Path
        The folder, which is made where there is none.
    seeds : list of int
        Of the members: those with which the training began.

    Raises
    ------
    CheckpointError
        The folder is that of another training, or its file is none.
    FileNotFoundError
        There is no folder to make it in.
    """

    def __init__(self, model: Any, examples: list[Any], held_out: list[Any], seeds: Sequence[int]) -> None:
        self.path = _place_of(model)
        if self.path.exists() and not self.path.is_dir():
            raise NotADirectoryError(f"checkpoint={str(model.checkpoint)!r} is a file, but a folder is wanted")
        training, file = _training_of(model, examples, held_out, WITHOUT), self.path / OF_ALL
        if file.exists():
            arrays, state = read(file)
            _check_same(self.path, state["training"], training, "folder")
            seeds = arrays["seeds"].tolist()
        else:
            self.path.mkdir(exist_ok=True)
            write(file, {"seeds": np.array(seeds)}, {"training": training})
        self.seeds = list(seeds)

    def member(self, number: int) -> Path:
        """The file of a member."""
        return self.path / f"member-{number}.safetensors"


def exists(path: Path) -> bool:
    """Whether there is a checkpoint: a file, or a folder with what `CheckpointFolder` writes.

    Parameters
    ----------
    path : Path
    """
    return path.is_file() or (path / OF_ALL).is_file()


def _is_own(path: Path) -> bool:
    """Whether a file says of itself that it is a checkpoint of fastnn, of whatever version."""
    if not path.is_file():
        return False
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as file:
            return str((file.metadata() or {}).get("format")).startswith(FORMAT.rstrip("0123456789"))
    except (OSError, SafetensorError):
        return False


def remove(path: Path) -> bool:
    """Remove a checkpoint, if there is one, and nothing else: no file that is called so, nor others in a folder.

    Parameters
    ----------
    path : Path

    Returns
    -------
    bool
        Whether there was one.
    """
    if _is_own(path):
        path.unlink()
        return True
    if not _is_own(path / OF_ALL):
        return False
    for file in path.glob("member-*.safetensors"):
        if _is_own(file):
            file.unlink()
    for pattern in ".training.safetensors.unfinished", ".member-*.safetensors.unfinished", OF_ALL:
        for file in path.glob(pattern):
            file.unlink()
    if not any(path.iterdir()):
        path.rmdir()
    return True


def n_epochs(path: Path) -> int:
    """How many epochs a checkpoint is of, those of all members together; 0 where there is none.

    Parameters
    ----------
    path : Path
    """
    files = [*path.glob("member-*.safetensors")] if path.is_dir() else [path] * path.is_file()
    return sum(len(read(file)[1]["record"]["loss_curve_"]) for file in files)
