"""DeepXDE, imported when it is first used, on PyTorch, without its chatter.

Problems write ``from suites.pinn.backend import dde`` where a DeepXDE script writes
``import deepxde as dde``, so that they can be listed without importing DeepXDE and torch.
"""

from __future__ import annotations

import contextlib
import io
import os
import warnings
from types import ModuleType
from typing import Any


def import_deepxde() -> ModuleType:
    """Import DeepXDE with the PyTorch backend.

    DeepXDE announces its backend, and makes CUDA torch's default device where there is one; the
    harness places tensors itself, so the default is put back.
    """
    os.environ["DDE_BACKEND"] = "pytorch"
    import torch

    before = torch.get_default_device()
    silent = io.StringIO()
    with (
        contextlib.redirect_stdout(silent),
        contextlib.redirect_stderr(silent),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        import deepxde
    torch.set_default_device(None if before.type == "cpu" else before)
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
