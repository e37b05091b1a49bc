"""Checkpoints: the state of a training in one file, from which it goes on to the same bits.

The arrays are in the format safetensors, which holds data and no code; the rest is JSON in its header, with a digest of
all of it.  The file appears under its name when it is complete: whoever is killed while it is written leaves the one
before.
"""

import hashlib
import json
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

FORMAT = "fastnn training 1"
Arrays = dict[str, npt.NDArray[Any]]


class CheckpointError(ValueError):
    """A file that holds no training, or that of another one."""


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
    """A digest of arrays, sparse ones as well, and of anything else by its `repr`.

    Parameters
    ----------
    parts : iterable
        What a training is made of.
    """
    digest = hashlib.sha256()
    for part in parts:
        arrays = [part.data, part.indices, part.indptr] if hasattr(part, "indptr") else [part]
        if not isinstance(arrays[0], np.ndarray):
            arrays = []
        for array in arrays:
            digest.update(f"{array.dtype} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
        if not arrays:
            digest.update(repr(part).encode())
    return digest.hexdigest()


class Checkpoint:
    """When the state of a training is written, and where.

    Parameters
    ----------
    path : path
    interval : float
        Seconds from one time to the next.
    training : dict
        What tells this training from others: a fingerprint each, by names that an error can say.
    """

    def __init__(self, path: str | os.PathLike[str], interval: float, training: dict[str, str]) -> None:
        self.path, self._interval, self._training = Path(path), interval, training
        self._next = time.perf_counter() + interval
        if not self.path.parent.is_dir():
            raise FileNotFoundError(f"checkpoint={str(path)!r}, but there is no folder {self.path.parent}")
        _safetensors()

    def read(self) -> tuple[Arrays, dict[str, Any]] | None:
        """The state to go on from; None where there is no file.

        Raises
        ------
        CheckpointError
            It is that of another training, or no such file.
        """
        if not self.path.exists():
            return None
        arrays, state = read(self.path)
        others = [name for name, value in self._training.items() if state["training"].get(name) != value]
        if others:
            raise CheckpointError(
                f"{self.path} is the checkpoint of a training with other {' and other '.join(others)}: remove it, or "
                "name another file"
            )
        return arrays, state

    def is_due(self) -> bool:
        """Whether it is time to write."""
        return time.perf_counter() >= self._next

    def write(self, arrays: Arrays, state: dict[str, Any]) -> None:
        """Write the state."""
        write(self.path, arrays, {**state, "training": self._training})
        self._next = time.perf_counter() + self._interval
