"""Checkpoints: the state of a run between two steps, written atomically, read without pickle."""

from __future__ import annotations

import io
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


def load(path: Path, spec_hash: str, made_by: str) -> tuple[dict[str, Any] | None, str | None]:
    """The state to continue from.

    Args:
        path: The checkpoint file.
        spec_hash: The run's; a checkpoint of another is refused.
        made_by: The present code and versions; a checkpoint of others is refused, since the run
            would be a mixture of two.

    Returns:
        The state or ``None``, and why there is none although there is a file.
    """
    if not path.exists():
        return None, None
    try:
        state = read_tensors(path)
    except (OSError, ValueError) as error:
        return None, f"checkpoint unreadable ({shortened(error)}), started again"
    if not isinstance(state, dict) or state.get("spec_hash") != spec_hash:
        return None, "checkpoint of another spec, started again"
    if state.get("made_by") != made_by:
        return None, "checkpoint written by other code or versions, started again"
    log = state.get("log")
    if not isinstance(log, dict) or type(log.get("step")) is not int:
        return None, "checkpoint without its log, started again"
    return state, None
