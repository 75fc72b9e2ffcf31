"""Random streams: every source of randomness is derived from (seed, name of the stream).

Two arms with the same seed so share data and points and differ only in the technique.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

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
def global_numpy_stream(seed: int, stream: str) -> Iterator[None]:
    """NumPy's global generator seeded for code that draws from it, and restored afterwards."""
    before = np.random.get_state()
    np.random.seed(stream_seed(seed, stream))
    try:
        yield
    finally:
        np.random.set_state(before)
