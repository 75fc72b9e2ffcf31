"""Keyword arguments of Python calls, sorted into the structs of options that they belong to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from bench.spec.options import Options, unknown_option
from bench.spec.training_options import TrainingOptions
from bench.task import Suite


class Sorted(NamedTuple):
    """Arguments of a call.

    Attributes:
        training: What of the budget's training is changed.
        suite: The suite's own options.
        rest: Those of further structs, by the struct.
    """

    training: TrainingOptions
    suite: Options
    rest: Mapping[type[Options], dict[str, Any]]


def sort_arguments(
    suite: Suite, given: Mapping[str, Any], further: Sequence[type[Options]] = ()
) -> Sorted:
    """The options that keyword arguments name.

    Args:
        suite: Whose own options may be among them.
        given: Names and values.
        further: Structs whose fields may be named, too.

    Raises:
        BadInput: A name is unknown (with the nearest match), or a value is none of its option.
    """
    kinds: list[type[Options]] = [TrainingOptions, suite.options, *further]
    homes = {option.name: kind for kind in kinds for option in kind.declared()}
    of_kind: dict[type[Options], dict[str, Any]] = {kind: {} for kind in kinds}
    for name, value in given.items():
        if name not in homes:
            known = [option for kind in kinds for option in kind.declared()]
            raise unknown_option(name, known, "argument")
        of_kind[homes[name]][name] = value
    return Sorted(
        TrainingOptions.of(of_kind.pop(TrainingOptions)),
        suite.options.of(of_kind.pop(suite.options)),
        of_kind,
    )


def seed_arguments(seeds: int | Sequence[int]) -> dict[str, Any]:
    """``seeds`` of a Python call, a number of seeds or a list of them, as the options name them."""
    if isinstance(seeds, int):
        return {"seeds": seeds}
    return {"seed": tuple(seeds)}
