"""States of tasks, compared bit by bit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch


def bits(state: Any) -> dict[str, Any]:
    """The parts of a state by their paths, such as ``net.0.weight``, in a form that compares
    bitwise.

    Tensors are copied, so that later steps do not change what is returned.
    """
    if isinstance(state, torch.Tensor):
        flat = state.detach().cpu().reshape(-1)
        return {"": (state.dtype, tuple(state.shape), flat.view(torch.uint8).numpy().tobytes())}
    if isinstance(state, np.ndarray):
        return {"": (state.dtype, state.shape, state.tobytes())}
    if isinstance(state, Mapping):
        parts = [(str(name), part) for name, part in state.items()]
    elif isinstance(state, list | tuple):
        parts = [(str(k), part) for k, part in enumerate(state)]
    else:
        return {"": repr(state)}
    return {
        f"{name}.{path}".removesuffix("."): value
        for name, part in parts
        for path, value in bits(part).items()
    }


def differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> str:
    """The names at which two mappings differ, as text; empty where they do not."""
    missing = object()
    names = [n for n in {**first, **second} if first.get(n, missing) != second.get(n, missing)]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
