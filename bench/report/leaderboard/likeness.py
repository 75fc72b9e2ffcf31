"""Which runs of a store are alike, so that a leaderboard may compare them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from bench.arm import BASELINE
from bench.report.results import Case
from bench.report.whole_store import said_earlier
from bench.spec.own_files import earlier_files, newest_files
from bench.spec.spec import Spec
from bench.spec.versions import differs, newest_versions
from bench.store.record import FINAL, Record

#: What of the training two runs that are alike may differ in: it is what is tuned.
_TUNED = ("lr", "schedule", "eps", "weight_decay")


class Conditions(NamedTuple):
    """What all runs of one table have in common.

    Attributes:
        suite: Name of the suite.
        budget: Name of the budget.
        protocol: Name of the protocol; empty where the suite has none.
        device: Kind of the device.
        dtype: Of the networks.
    """

    suite: str
    budget: str
    protocol: str
    device: str
    dtype: str

    @classmethod
    def of(cls, record: Record) -> Conditions:
        """Those of a run."""
        spec = record.spec
        protocol = str(spec.settings.get("protocol", ""))
        return cls(record.suite, record.budget, protocol, spec.device, spec.dtype)

    def __str__(self) -> str:
        protocol = f" · protocol {self.protocol}" if self.protocol else ""
        return f"{self.suite} · budget {self.budget}{protocol} · {self.device} · {self.dtype}"


def case_of(record: Record) -> Case:
    """Problem and model of a run."""
    return Case(record.problem, record.model)


def kind(spec: Spec) -> bytes:
    """The same for runs of a problem and model that differ in what is tuned alone.

    Where an activation goes is the activation's matter.
    """
    training = msgspec.to_builtins(spec.training)
    kept = {name: value for name, value in training.items() if name not in _TUNED}
    settings = {name: value for name, value in spec.settings.items() if name != "scope"}
    return msgspec.json.encode((kept, settings), order="sorted")


def rate(spec: Spec) -> bytes:
    """The same for runs with equal learning rate, schedule, eps and weight decay."""
    tuned = [getattr(spec.training, name) for name in _TUNED]
    return msgspec.json.encode([float(v) if isinstance(v, int) else v for v in tuned])


def comparable(records: Sequence[Record], left_out: dict[str, str]) -> list[Record]:
    """The results of one table: on each problem and model those of the kind that most runs have.

    Args:
        records: Of runs with equal conditions.
        left_out: Where the others go: by the hash of each what such runs are called.
    """
    ended, unfinished = _split(records, [record.status in FINAL for record in records])
    _leave(unfinished, "runs that did not end", left_out)
    versions = newest_versions(record.spec for record in ended)
    current, old = _split(ended, [not differs(record.spec, versions) for record in ended])
    _leave(old, "runs of definitions that have been redefined since", left_out)
    files = newest_files((record.started, record.spec) for record in current)
    current, edited = _split(current, [not earlier_files(r.spec, files) for r in current])
    for record in edited:
        _leave([record], said_earlier(earlier_files(record.spec, files)), left_out)
    kinds: dict[Case, Counter[bytes]] = {}
    of_records = [kind(record.spec) for record in current]
    for record, of_record in zip(current, of_records, strict=True):
        kinds.setdefault(case_of(record), Counter())[of_record] += 1
    chosen = {case: max(counts, key=lambda k: (counts[k], k)) for case, counts in kinds.items()}
    pairs = zip(current, of_records, strict=True)
    alike, others = _split(current, [k == chosen[case_of(record)] for record, k in pairs])
    _leave(others, "runs with other settings or steps", left_out)
    return alike


def at_one_rate(records: Iterable[Record], left_out: dict[str, str]) -> list[Record]:
    """On each problem and model the runs of one rate, at most one for each arm and seed.

    It is the rate at which most runs have a baseline of the same seed; of an arm and seed the run
    that was started last is taken (the others are of other code).

    Args:
        records: As `comparable` gives them.
        left_out: Where the others go, likewise.
    """
    by_case: dict[Case, dict[bytes, list[Record]]] = {}
    for record in records:
        by_case.setdefault(case_of(record), {}).setdefault(rate(record.spec), []).append(record)
    found: list[Record] = []
    for by_rate in by_case.values():
        best = max(by_rate, key=lambda one: (_paired(by_rate[one]), len(by_rate[one]), one))
        others = [record for one, of_rate in by_rate.items() if one != best for record in of_rate]
        _leave(others, "runs at another rate", left_out)
        newest: dict[tuple[str, int], Record] = {}
        for record in sorted(by_rate[best], key=lambda r: (r.started, r.spec_hash)):
            newest[record.arm, record.seed] = record
        replaced = [r for r in by_rate[best] if newest[r.arm, r.seed] is not r]
        _leave(replaced, "runs that a later one of the same arm and seed replaces", left_out)
        found += newest.values()
    return found


def _paired(records: Sequence[Record]) -> int:
    """How many runs of other arms have a baseline of the same seed."""
    seeds = {record.seed for record in records if record.arm == BASELINE}
    return sum(record.arm != BASELINE and record.seed in seeds for record in records)


def _split(records: Sequence[Record], kept: Sequence[bool]) -> tuple[list[Record], list[Record]]:
    pairs = list(zip(records, kept, strict=True))
    return [record for record, keep in pairs if keep], [r for r, keep in pairs if not keep]


def _leave(records: Iterable[Record], why: str, left_out: dict[str, str]) -> None:
    left_out.update((record.spec_hash, why) for record in records)
