"""DeepXDE, imported when it is first used, on PyTorch, without its chatter.

Problems write ``from suites.pinn.backend import dde`` where a DeepXDE script writes
``import deepxde as dde``, so that they can be listed without importing DeepXDE and torch.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import warnings
from collections.abc import Iterator
from types import ModuleType
from typing import Any
from unittest import mock

from suites.pinn.deepxde_faults import mend


@functools.cache
def import_deepxde() -> ModuleType:
    """Import DeepXDE with the PyTorch backend, once.

    DeepXDE announces its backend, and makes CUDA torch's default device where there is one, which
    must not happen: the harness places tensors itself. Known faults of its geometries are mended.
    """
    os.environ["DDE_BACKEND"] = "pytorch"
    silent = io.StringIO()
    with (
        contextlib.redirect_stdout(silent),
        contextlib.redirect_stderr(silent),
        warnings.catch_warnings(),
        mock.patch("torch.set_default_device"),
    ):
        warnings.simplefilter("ignore")
        import deepxde
    mend(deepxde)
    return deepxde


class _DeepXDE:
    """Stands for the module until an attribute is asked for."""

    def __getattr__(self, name: str) -> Any:
        return getattr(import_deepxde(), name)


dde: Any = _DeepXDE()


@contextlib.contextmanager
def quiet() -> Any:
    """Keep DeepXDE's progress messages off stdout."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield


def set_dtype(dtype: str) -> None:
    """Make DeepXDE and torch compute in ``float32`` or ``float64``."""
    with quiet():
        dde.config.set_default_float(dtype)


@contextlib.contextmanager
def in_precision(dtype: str) -> Iterator[None]:
    """DeepXDE and torch computing in ``float32`` or ``float64``, and as before afterwards."""
    before = f"float{dde.config.real.precision}"
    set_dtype(dtype)
    try:
        yield
    finally:
        set_dtype(before)
