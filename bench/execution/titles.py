"""What runs are called on the terminal, so that no two are called alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from bench.spec.spec import Spec


def titles(specs: Iterable[Spec]) -> dict[str, str]:
    """The title of each run, by its hash.

    Runs of one problem, model, arm and seed are told apart by what of their training and techniques
    differs among them: ``advection-1d fnn:40x6 baseline seed 0, lr 0.003``.

    Args:
        specs: The runs of a call.
    """
    unique = {spec.hash: spec for spec in specs}
    alike: dict[str, list[Spec]] = {}
    for spec in unique.values():
        alike.setdefault(spec.title, []).append(spec)
    return {
        spec.hash: ", ".join([title, *_differences(spec, group)])
        for title, group in alike.items()
        for spec in group
    }


def _differences(spec: Spec, group: Iterable[Spec]) -> list[str]:
    """What a run has otherwise than others of its title."""
    others = [_varied(other) for other in group]
    return [
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in _varied(spec).items()
        if any(other.get(name) != value for other in others)
    ]


def _varied(spec: Spec) -> Mapping[str, Any]:
    return {**msgspec.structs.asdict(spec.training), **spec.axes}
