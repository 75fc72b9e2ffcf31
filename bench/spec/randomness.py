"""Random streams: every source of randomness is derived from (seed, name of the stream).

Two arms with the same seed so share data and points and differ only in the technique.
"""

from __future__ import annotations

import hashlib
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch


def stream_seed(seed: int, stream: str) -> int:
    """A 32-bit seed for the stream of that name."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{stream}".encode()).digest()[:4], "big")


def torch_generator(seed: int, stream: str) -> torch.Generator:
    """A seeded generator on the CPU, whatever the device, so that draws do not depend on it."""
    import torch

    return torch.Generator("cpu").manual_seed(stream_seed(seed, stream))


def numpy_generator(seed: int, stream: str) -> np.random.Generator:
    """A seeded NumPy generator."""
    return np.random.default_rng(stream_seed(seed, stream))


@contextmanager
def global_streams(seed: int, device: torch.device) -> Iterator[None]:
    """The global generators of torch and NumPy seeded, and restored afterwards.

    Nothing here draws from them in training; a user's own module (dropout) may.
    """
    import torch

    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices), global_numpy_stream(seed, "training"):
        torch.manual_seed(stream_seed(seed, "training"))
        yield


def global_state(device: torch.device) -> dict[str, Any]:
    """State of the global generators, for a checkpoint."""
    import torch

    _, key, position, has_gauss, gauss = np.random.get_state(legacy=True)
    state = {
        "torch": torch.get_rng_state(),
        # As int64: a checkpoint is read without pickle, which knows no uint32.
        "numpy": [torch.from_numpy(key.astype(np.int64)), position, has_gauss, gauss],
    }
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def set_global_state(state: dict[str, Any], device: torch.device) -> None:
    """Restore `global_state`'s result."""
    import torch

    torch.set_rng_state(state["torch"])
    key, position, has_gauss, gauss = state["numpy"]
    np.random.set_state(("MT19937", key.numpy().astype(np.uint32), position, has_gauss, gauss))
    if device.type == "cuda":
        torch.cuda.set_rng_state(state["cuda"], device)


@contextmanager
def global_numpy_stream(seed: int, stream: str) -> Iterator[None]:
    """NumPy's global generator seeded for code that draws from it, and restored afterwards."""
    before = np.random.get_state()
    np.random.seed(stream_seed(seed, stream))
    try:
        yield
    finally:
        np.random.set_state(before)


@contextmanager
def seeded_generators(stream: str) -> Iterator[None]:
    """The global generators of Python, NumPy and torch seeded for a user's code, whatever the seed
    of the run, and restored afterwards."""
    before = random.getstate()
    with _seeded_torch(stream), global_numpy_stream(0, stream):
        random.seed(stream_seed(0, stream))
        try:
            yield
        finally:
            random.setstate(before)


@contextmanager
def _seeded_torch(stream: str) -> Iterator[None]:
    """Torch's generators, if it is imported, which takes seconds: whoever runs code that may draw
    from them imports it before."""
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(stream_seed(0, stream))
        yield
