"""Which run of one side is compared with which of the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from bench.report.difference.sides import Side
from bench.report.whole_store import kind_of
from bench.spec.own_files import earlier_files, newest_files
from bench.spec.versions import differs, newest_versions
from bench.store.record import FINAL, Record
from bench.text.errors import BadInput


class Pair(NamedTuple):
    """A run of each side at one place: equal suite, budget, problem, model, arm and seed."""

    a: Record
    b: Record


class Place(NamedTuple):
    """Where a run of each side may be."""

    suite: str
    budget: str
    problem: str
    model: str
    arm: str
    seed: int


@dataclass(frozen=True)
class Matched:
    """The runs of two sides, side by side.

    Attributes:
        pairs: In the order of their places.
        left_out: Of A and of B how many runs have no partner, by the reason.
    """

    pairs: Sequence[Pair]
    left_out: Mapping[str, tuple[int, int]]


def place_of(record: Record) -> Place:
    """The place of a run."""
    spec = record.spec
    return Place(spec.suite, spec.budget, spec.problem, spec.model, spec.arm, spec.seed)


def match(a: Side, b: Side) -> Matched:
    """The runs that both sides have.

    The specs of two runs need not be equal: what differs in them may be the question. Within a side
    definitions count in their highest version, and a user's own files in the state of the run that
    was started last. Where a store has runs of several kinds (training, settings, device, dtype) of
    a problem and model, those of the kind are taken that the other side has, too, and else of the
    one that most runs have. Where several have the same arm and seed (other code), that one is
    taken whose spec the other side has, and else the one that was started last.

    Raises:
        BadInput: No run has a partner.
    """
    _refuse_disjoint(a, b, "suite")
    _refuse_disjoint(a, b, "budget")
    ended = [[record for record in side.records if record.status in FINAL] for side in (a, b)]
    reasons = {"did not end": _fewer([a.records, b.records], ended)}
    defined = [_newest_definitions(of_side) for of_side in ended]
    reasons["of a definition that has been redefined since"] = _fewer(ended, defined)
    current = []
    for k, of_side in enumerate(defined):
        files = newest_files((record.started, record.spec) for record in of_side)
        current.append([r for r in of_side if not earlier_files(r.spec, files)])
        for record in of_side:
            if names := earlier_files(record.spec, files):
                why = f"with an earlier file of {' and '.join(names)}"
                reasons.setdefault(why, [0, 0])[k] += 1
    kept = _of_one_kind((a, b), current)
    reasons["of other settings"] = _fewer(current, kept)
    hashes = [{record.spec_hash for record in of_side} for of_side in kept]
    at = [_at_places(kept[0], hashes[1]), _at_places(kept[1], hashes[0])]
    reasons["replaced by a later one"] = _fewer(kept, at)
    both = sorted(at[0].keys() & at[1].keys())
    reasons["not on the other side"] = [len(of_side) - len(both) for of_side in at]
    if not both:
        raise BadInput(
            f"no run of {a.name!r} has the problem, model, arm, seed and budget of one of"
            f" {b.name!r}"
        )
    left_out = {why: (counts[0], counts[1]) for why, counts in reasons.items() if any(counts)}
    return Matched([Pair(at[0][place], at[1][place]) for place in both], left_out)


def _refuse_disjoint(a: Side, b: Side, field: str) -> None:
    there = [sorted({getattr(record, field) for record in side.records}) for side in (a, b)]
    if not set(there[0]) & set(there[1]):
        said = [", ".join(of_side) or "no run" for of_side in there]
        raise BadInput(
            f"{a.name!r} and {b.name!r} have no {field} in common: {said[0]} against {said[1]}"
        )


def _fewer(before: Sequence[Sequence[Record]], after: Sequence[Iterable[object]]) -> list[int]:
    return [len(one) - len(list(other)) for one, other in zip(before, after, strict=True)]


def _newest_definitions(records: Sequence[Record]) -> list[Record]:
    versions = newest_versions(record.spec for record in records)
    return [record for record in records if not differs(record.spec, versions)]


def _of_one_kind(sides: Sequence[Side], records: Sequence[list[Record]]) -> list[list[Record]]:
    """Of each store and case the runs of one kind."""
    kinds = [[kind_of(record.spec) for record in of_side] for of_side in records]
    counts: list[dict[Place, Counter[bytes]]] = [{}, {}]
    for k, of_side in enumerate(records):
        for record, kind in zip(of_side, kinds[k], strict=True):
            counts[k].setdefault(_case(record), Counter())[kind] += 1
    kept = []
    for k, side in enumerate(sides):
        if side.chosen:
            kept.append(list(records[k]))
            continue
        chosen = {
            case: _kind_of_case(own, counts[1 - k].get(case, Counter()))
            for case, own in counts[k].items()
        }
        pairs = zip(records[k], kinds[k], strict=True)
        kept.append([record for record, kind in pairs if kind == chosen[_case(record)]])
    return kept


def _kind_of_case(own: Counter[bytes], others: Counter[bytes]) -> bytes:
    """The kind with the most runs on both sides; of those that one side has, the most of its."""
    return max(own, key=lambda kind: (min(own[kind], others[kind]), own[kind], kind))


def _case(record: Record) -> Place:
    return place_of(record)._replace(arm="", seed=0)


def _at_places(records: Sequence[Record], others: set[str]) -> dict[Place, Record]:
    """One run for each place."""
    order = sorted(records, key=lambda r: (r.spec_hash in others, r.started, r.spec_hash))
    return {place_of(record): record for record in order}
