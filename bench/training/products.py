"""Which library computes torch's float32 matrix products on this CPU.

MKL takes its AVX2 path on a processor of AMD, oneDNN the core's AVX-512. That is faster from Zen 5
on, whose registers are as wide as its arithmetic; Zen 4 computes AVX-512 in two halves, and MKL is
faster there, as on Intel's.

oneDNN gets the products by torch's setting ``medium``, which lets them be computed in bfloat16. Its
operands stay float32 on a core without AMX, where no instruction would be faster in bfloat16.

Decided from the CPU's description and never from a timing: the library changes the last digits of a
result, and the same spec on the same machine must give the same.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

#: The family of Zen 5.
_ZEN_5 = 26


@dataclass(frozen=True)
class CPU:
    """What decides.

    Attributes:
        vendor: As ``/proc/cpuinfo`` gives it, for instance ``AuthenticAMD``; empty if unknown.
        family: The same; 0 if unknown.
        flags: Names of its instruction sets.
    """

    vendor: str = ""
    family: int = 0
    flags: frozenset[str] = frozenset()


def described(cpuinfo: str) -> CPU:
    """The first core that a text in the form of ``/proc/cpuinfo`` describes."""
    fields: dict[str, str] = {}
    for line in cpuinfo.split("\n\n")[0].splitlines():
        name, _, value = line.partition(":")
        fields[name.strip()] = value.strip()
    family = fields.get("cpu family", "")
    return CPU(
        fields.get("vendor_id", ""),
        int(family) if family.isdecimal() else 0,
        frozenset(fields.get("flags", "").split()),
    )


def product_library(cpu: CPU) -> str:
    """``onednn`` or ``mkl``: the faster one on a CPU, of those that give float32's accuracy."""
    wide = cpu.vendor == "AuthenticAMD" and cpu.family >= _ZEN_5 and "avx512f" in cpu.flags
    rounds = any(flag.startswith("amx") for flag in cpu.flags)
    return "onednn" if wide and not rounds else "mkl"


@functools.cache
def own_product_library() -> str:
    """`product_library` of this machine; torch's own choice, ``mkl``, where it is unknown."""
    try:
        return product_library(described(Path("/proc/cpuinfo").read_text()))
    except OSError:
        return "mkl"


@contextlib.contextmanager
def products_by(library: str) -> Iterator[None]:
    """Let a library compute torch's float32 products on the CPU inside the context.

    Products are not rounded inside, whatever a user or another library has set. Torch's own
    function for it sets both of torch's settings, the older and the newer: if they disagree,
    whoever asks for the older gets an error.

    Args:
        library: ``mkl``, which is torch's default, or ``onednn``, which is for a run on the CPU: on
            CUDA, the setting is TensorFloat32.
    """
    newer: list[Any] = [
        torch.backends.mkldnn.matmul,  # type: ignore[attr-defined]
        torch.backends.cuda.matmul,
    ]
    before = [setting.fp32_precision for setting in newer]
    try:
        older = torch.get_float32_matmul_precision()
    except RuntimeError:  # somebody has set the newer alone
        older = "highest"
    torch.set_float32_matmul_precision("medium" if library == "onednn" else "highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(older)
        for setting, precision in zip(newer, before, strict=True):
            setting.fp32_precision = precision
