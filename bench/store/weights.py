"""Weights of trained networks as files: safetensors, and what earlier code wrote with torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from bench.files.atomic import read_bounded
from bench.files.safetensors_file import decode_safetensors, encode_safetensors
from bench.files.tensors import read_tensors
from bench.store.store import MAX_WEIGHTS_BYTES, Store


def save_weights(store: Store, spec_hash: str, weights: Mapping[str, Tensor]) -> None:
    """Write what `bench.task.Task.weights` gave at the end of a run.

    Raises:
        CannotWrite: The system refuses; the weights that were there still are.
        ValueError: A tensor is of a type that safetensors does not know, as complex128.
    """
    store.write_weights(spec_hash, encode_safetensors(weights))


def load_weights(path: Path) -> dict[str, Tensor]:
    """The ``state_dict`` in a file that `Store.find_weights` named, on the CPU.

    Raises:
        OSError: It cannot be opened.
        ValueError: It is no regular file, damaged, larger than `MAX_WEIGHTS_BYTES`, or holds
            anything but tensors by name.
    """
    return decode_weights(path, read_bounded(path, MAX_WEIGHTS_BYTES))


def decode_weights(path: Path, content: bytes) -> dict[str, Tensor]:
    """Likewise, of a file that has been read: its name says in which format it is.

    Raises:
        ValueError: It is damaged, or holds anything but tensors by name.
    """
    if path.suffix != ".pt":
        return decode_safetensors(content)[0]
    weights = read_tensors(content)
    if not isinstance(weights, dict) or not all(isinstance(t, Tensor) for t in weights.values()):
        raise ValueError("it holds something else than tensors by name")
    return weights
