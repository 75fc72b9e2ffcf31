"""The arms of a ranking: the reference, the candidates, and what they are ranked against."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from bench.arm import BASELINE, KNOWN
from bench.ranking.alike import tuned_alike
from bench.ranking.file import read_entries
from bench.ranking.ranking import Contestant
from bench.ranking.tunable import checked_tune
from bench.studies.definition import Variant
from bench.studies.names import checked_names
from bench.text.errors import BadInput


def contestants(candidates: Sequence[str], against: Sequence[str]) -> list[Contestant]:
    """The arms of a ranking, each once: the reference, the candidates in their order, the others.

    The reference is the baseline, which is always there. A candidate that is also among the others
    is one arm. What one tunes of the training, all do (`tuned_alike`). Objects of one's own are
    tried here.

    Args:
        candidates: Variants (an arm, then options), or files with ``[[candidate]]``.
        against: Likewise, with ``[[against]]``; the `KNOWN` arms where there are none.

    Raises:
        BadInput: There is no candidate, or one is the baseline; a text is no variant and no file; a
            name is not unique; an arm is to be tuned in two ways, or in what it has not.
    """
    asked = _entries("candidate", candidates)
    if not asked:
        raise BadInput("rank needs a --candidate: an arm, or a FILE.toml with [[candidate]]")
    others = _entries("against", against or KNOWN)
    found: dict[str, Contestant] = {BASELINE: Contestant(BASELINE)}
    for one in [*asked, *others]:
        if one.candidate and one.arm == BASELINE:
            raise BadInput(f"--candidate {BASELINE!r}: the baseline is what others are ranked by")
        found[one.arm] = _joined(found[one.arm], one) if one.arm in found else one
    arms = list(found.values())
    checked_names({one.name: one.arm for one in arms if one.name}, list(found), "the ranking")
    _distinct_names(arms)
    for one in arms:
        Variant.parse(one.arm).arm.check_own()
        checked_tune(one)
    arms = tuned_alike(arms)
    for one in arms:
        checked_tune(one)
    return [
        arms[0],
        *(one for one in arms[1:] if one.candidate),
        *(one for one in arms[1:] if not one.candidate),
    ]


def _entries(kind: str, texts: Sequence[str]) -> list[Contestant]:
    """The arms that texts name, in canonical spelling."""
    found: list[Contestant] = []
    for text in texts:
        is_file = text.endswith(".toml")
        entries = read_entries(Path(text), kind) if is_file else [Contestant(text)]
        found += [
            msgspec.structs.replace(
                entry, arm=str(Variant.parse(entry.arm)), candidate=kind == "candidate"
            )
            for entry in entries
        ]
    return found


def _joined(first: Contestant, second: Contestant) -> Contestant:
    """One arm that was named twice.

    Raises:
        BadInput: It has two names, or is to be tuned in two ways.
    """
    for word in ("name", "tune"):
        ours, theirs = getattr(first, word), getattr(second, word)
        if ours and theirs and ours != theirs:
            raise BadInput(f"arm {first.arm!r} is named twice, with {word} {ours!r} and {theirs!r}")
    return msgspec.structs.replace(
        first,
        name=first.name or second.name,
        tune=first.tune or second.tune,
        candidate=first.candidate or second.candidate,
    )


def _distinct_names(arms: Sequence[Contestant]) -> None:
    """Refuse a short name of two arms."""
    arm_of: dict[str, str] = {}
    for one in arms:
        if one.name and arm_of.setdefault(one.name, one.arm) != one.arm:
            raise BadInput(
                f"names of the ranking: {one.name!r} is of {arm_of[one.name]!r} and of {one.arm!r}"
            )
