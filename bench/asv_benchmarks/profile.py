"""What is measured: the environment variable ``DCBENCH_PROFILE``.

``smoke``
    One case of each benchmark, to see that everything runs.
``fast``
    For pull requests; the default.
``nightly``
    Everything.

A profile chooses cases and never changes a value: what two profiles measure is comparable.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

VARIABLE = "DCBENCH_PROFILE"
PROFILES = ("smoke", "fast", "nightly")
DEFAULT = "fast"


def profile() -> str:
    """The profile in force.

    Raises:
        ValueError: The variable names none.
    """
    name = os.environ.get(VARIABLE, DEFAULT)
    if name not in PROFILES:
        raise ValueError(f"unknown {VARIABLE} {name!r} (allowed: {', '.join(PROFILES)})")
    return name


def cases[T](smoke: Sequence[T], fast: Sequence[T], nightly: Sequence[T]) -> list[T]:
    """The cases of the profile in force, each once.

    Args:
        smoke: Cases of every profile.
        fast: Cases that ``fast`` and ``nightly`` add.
        nightly: Cases that only ``nightly`` adds.
    """
    parts = (smoke, fast, nightly)
    chosen = [case for part in parts[: PROFILES.index(profile()) + 1] for case in part]
    return list(dict.fromkeys(chosen))
