"""Checkpoints: the state of a run between two steps, written atomically, read without pickle."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from bench.files.atomic import write_atomically
from bench.files.tensors import read_tensors
from bench.files.untrusted import shortened


def save(path: Path, state: dict[str, Any]) -> None:
    """Write `state` (tensors, numbers, strings, lists, dicts)."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomically(path, buffer.getvalue())


def load(
    path: Path, spec_hash: str, made_by: Mapping[str, Any]
) -> tuple[dict[str, Any] | None, str | None]:
    """The state to continue from.

    Args:
        path: The checkpoint file.
        spec_hash: The run's; a checkpoint of another is refused.
        made_by: The present ``code`` and ``versions``; a checkpoint of others is refused, since the
            run would be a mixture of two.

    Returns:
        The state or ``None``, and a sentence that says why there is none although there is a file.
    """
    if not path.exists():
        return None, None
    try:
        state = read_tensors(path)
    except (OSError, ValueError) as error:
        return None, _refused(f"is damaged ({shortened(error)})")
    if not isinstance(state, dict) or state.get("spec_hash") != spec_hash:
        return None, _refused("is of another spec")
    log = state.get("log")
    step = log.get("step") if isinstance(log, dict) else None
    at = f" at step {step}" if type(step) is int else ""
    before = state.get("made_by")
    if before != made_by:
        # Earlier code wrote both as one string.
        parts = before if isinstance(before, dict) else {}
        others = [name for name, value in made_by.items() if parts.get(name) != value]
        return None, _refused(f"is of other {' and '.join(others)}", at)
    if not at:
        return None, _refused("is damaged (it has no log)")
    return state, None


def _refused(why: str, at: str = "") -> str:
    return f"the checkpoint{at} {why}: starting anew"
