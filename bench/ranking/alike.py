"""What one arm tunes of the training, all do: else a schedule would pass for a technique."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from bench.ranking.ranking import Contestant
from bench.ranking.tunable import OPTIONS, tuned_values
from bench.spec.training_options import TrainingOptions
from bench.studies.definition import Variant


def tuned_alike(arms: Sequence[Contestant]) -> list[Contestant]:
    """The arms, each with the union of the values that any of them tries of an option of training.

    Techniques stay the arm's own, and so do options that the arm itself fixes (``--eps 1e-14``).

    Args:
        arms: All arms of a ranking, with values that `bench.ranking.tunable.checked_tune` allows.
    """
    union = _union(arms)
    return [
        msgspec.structs.replace(
            arm,
            tune={
                **arm.tune,
                **{name: values for name, values in union.items() if name not in fixed(arm)},
            },
        )
        for arm in arms
    ]


def sentences(arms: Sequence[Contestant]) -> list[str]:
    """What is tuned for all arms alike, and for which it is not, one sentence for each option.

    Args:
        arms: As `tuned_alike` returns them.
    """
    found = []
    for name, values in _union(arms).items():
        without = [repr(arm.label) for arm in arms if name in fixed(arm)]
        but = f"; {', '.join(without)} fixes its own" if without else ""
        each = ", ".join(v if isinstance(v, str) else f"{v:g}" for v in values)
        found.append(f"{name} is tuned for all arms alike, since an arm asks for it: {each}{but}")
    return found


def fixed(arm: Contestant) -> set[str]:
    """The options of training that an arm fixes by words of its own."""
    flags = {word.partition("=")[0] for word in Variant.parse(arm.arm).options}
    return {option.name for option in TrainingOptions.declared() if option.flag in flags}


def _union(arms: Sequence[Contestant]) -> dict[str, list[float | str]]:
    """The values of each option of training that an arm may share, in the order of the arms."""
    found: dict[str, dict[float | str, None]] = {}
    for arm in arms:
        own = fixed(arm)
        for name, values in tuned_values(arm).items():
            if name in OPTIONS and name not in own:
                found.setdefault(name, {}).update(dict.fromkeys(values))
    return {name: list(values) for name, values in found.items()}
