"""The activations of the C++ header, compiled into a library and called on tensors."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

import torch
from torch import Tensor

HEADERS = Path(__file__).parents[1] / "suites" / "pinn" / "engine" / "native"
SOURCE = Path(__file__).parent / "activation_library.cpp"
FLAGS = ["-std=c++17", "-O3", "-march=native", "-mprefer-vector-width=512", "-ffp-contract=fast"]
#: Elements that every vector's lanes divide, and bytes that its alignment divides.
_LANES = 16
_ALIGNMENT = 64


class NativeActivations:
    """The library, built in a folder."""

    def __init__(self, folder: Path) -> None:
        path = folder / "libactivations.so"
        command = ["g++", *FLAGS, "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
        subprocess.run([*command, f"-I{HEADERS}", str(SOURCE), "-o", str(path)], check=True)
        self._library = ctypes.CDLL(str(path))

    def __call__(self, name: str, x: Tensor, order: int) -> Tensor:
        """Rows of σ and its derivatives at points ``(n,)``: ``(order + 1, n)``."""
        count = -(-len(x) // _LANES) * _LANES
        given, found = aligned(count, x.dtype), aligned((order + 1) * count, x.dtype)
        given.zero_()[: len(x)] = x
        self.run(name, given, found, order)
        return found.reshape(order + 1, count)[:, : len(x)].clone()

    def run(self, name: str, given: Tensor, found: Tensor, order: int) -> None:
        """The same on tensors of `aligned`."""
        precision = {torch.float32: "float", torch.float64: "double"}[given.dtype]
        function = getattr(self._library, f"{name}_{precision}")
        pointers = [ctypes.c_void_p(tensor.data_ptr()) for tensor in (given, found)]
        function(*pointers, ctypes.c_long(len(given)), ctypes.c_int(order))


def aligned(count: int, dtype: torch.dtype) -> Tensor:
    """Zeros ``(count,)`` that vectors can be loaded from."""
    raw = torch.zeros(count + _ALIGNMENT, dtype=dtype)
    offset = -raw.data_ptr() % _ALIGNMENT // raw.element_size()
    return raw[offset : offset + count]
