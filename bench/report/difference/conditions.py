"""What differs between two sides beside the results: spec, code, versions and machine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from bench.report.difference.matching import Pair
from bench.spec.spec import Spec
from bench.spec.versions import definitions_used
from bench.store.record import Record

#: Values of one side that are named; of more there is a number.
_NAMED = 3
#: Definitions with other code that are named.
_DEFINITIONS = 3
_DIGITS = 8
_MACHINE = ("cpu", "gpu", "cuda", "cores", "platform", "python", "jobs", "seeds_together", "dirty")
_WORDS = {
    "lr": "learning rate",
    "seeds_together": "seeds trained together",
    "jobs": "runs side by side",
    "dirty": "uncommitted changes",
}
_MISSING = "–"


class Condition(NamedTuple):
    """Something in which runs of the two sides differ.

    Attributes:
        kind: ``spec``, ``definition``, ``units``, ``code``, ``versions`` or ``machine``.
        what: Its name.
        a: The values that the runs of A have, of the pairs that differ.
        b: Those of B.
        pairs: Number of pairs that differ.
    """

    kind: str
    what: str
    a: str
    b: str
    pairs: int


def conditions(pairs: Sequence[Pair]) -> list[Condition]:
    """All in which the runs of some pairs differ, what belongs together side by side."""
    found: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for pair in pairs:
        for key, values in _of_pair(pair):
            found.setdefault(key, []).append(values)
    said = [
        Condition(kind, what, _said(v[0] for v in values), _said(v[1] for v in values), len(values))
        for (kind, what), values in found.items()
    ]
    kinds = ("spec", "definition", "units", "code", "versions", "machine")
    return sorted([*said, *_code(pairs)], key=lambda one: (kinds.index(one.kind), one.what))


def _of_pair(pair: Pair) -> Iterable[tuple[tuple[str, str], tuple[str, str]]]:
    if pair.a.spec_hash != pair.b.spec_hash:
        a, b = pair.a.spec, pair.b.spec
        # What one of them does not use is a difference of their specs.
        of_a, of_b = _definitions(a), _definitions(b)
        both = {name: version for name, version in of_b.items() if name in of_a}
        found = [
            *_differing("spec", _spec(a), _spec(b)),
            *_differing("definition", {name: of_a[name] for name in both}, both),
        ]
        # Two specs may say one thing in two ways, as 1 and 1.0.
        yield from found or [(("spec", "way in which it is written"), (a.hash, b.hash))]
    metrics = [name for name in pair.a.metrics if name in pair.b.metrics]
    units = [{f"unit of {m}": unit_of(record, m) for m in metrics} for record in pair]
    yield from _differing("units", *units)
    yield from _differing("versions", _versions(pair.a), _versions(pair.b))
    yield from _differing("machine", _machine(pair.a), _machine(pair.b))


def _differing(
    kind: str, a: Mapping[str, str], b: Mapping[str, str]
) -> Iterable[tuple[tuple[str, str], tuple[str, str]]]:
    for name in dict.fromkeys((*a, *b)):
        values = a.get(name, _MISSING), b.get(name, _MISSING)
        if values[0] != values[1]:
            yield (kind, name), values


def _spec(spec: Spec) -> dict[str, str]:
    """What the hash of a spec depends on, by name, but for definition versions."""
    training = _flat(msgspec.to_builtins(spec.training))
    found = {_WORDS.get(name, name): value for name, value in training.items()}
    found |= _flat(spec.settings)
    found |= {"device": spec.device, "dtype": spec.dtype}
    found |= spec.axes
    return found | {f"file of {name}": digest[:_DIGITS] for name, digest in spec.sources.items()}


def _definitions(spec: Spec) -> dict[str, str]:
    found = definitions_used(spec)
    return {f"version of {kind} {name}": str(version) for (kind, name), version in found.items()}


def _versions(record: Record) -> dict[str, str]:
    versions = record.environment.get("versions")
    return _flat(versions) if isinstance(versions, dict) else {}


def _machine(record: Record) -> dict[str, str]:
    found = record.environment
    return {_WORDS.get(name, name): _text(found[name]) for name in _MACHINE if name in found}


def _code(pairs: Sequence[Pair]) -> list[Condition]:
    """One line about code: the commits, and which definitions are not the same."""
    differing: dict[str, None] = {}
    commits: list[tuple[str, str]] = []
    for pair in pairs:
        digests = [_digests(record) for record in pair]
        names = [n for n in dict.fromkeys((*digests[0], *digests[1])) if _differ(n, digests)]
        if names:
            differing |= dict.fromkeys(names)
            commits.append((_commit(pair.a), _commit(pair.b)))
    if not commits:
        return []
    named = [name or "all" for name in differing]
    more = f", … ({len(named)} in all)" if len(named) > _DEFINITIONS else ""
    what = f"code of {', '.join(named[:_DEFINITIONS])}{more}"
    a, b = (_said(commit[k] for commit in commits) for k in (0, 1))
    return [Condition("code", what, f"commit {a}", f"commit {b}", len(commits))]


def _differ(name: str, digests: Sequence[Mapping[str, str]]) -> bool:
    """Whether a definition that both runs begin at is other code; what one lacks is of its spec."""
    a, b = (of.get(name) for of in digests)
    whole = any("" in of for of in digests)
    return a != b and (whole or (a is not None and b is not None))


def _digests(record: Record) -> dict[str, str]:
    code = record.environment.get("code")
    if isinstance(code, dict):
        return {str(name): str(digest) for name, digest in code.items()}
    # Earlier code had one digest for all that there is.
    return {} if code is None else {"": str(code)}


def _commit(record: Record) -> str:
    return str(record.environment.get("commit"))[:_DIGITS]


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested settings by dotted names."""
    found: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = _text(value)
    return found


def _text(value: Any) -> str:
    """A value as no other one is written: ``–`` is what is not there, and no value."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, float):
        short = f"{value:g}"
        return short if float(short) == value else repr(value)
    return str(value)


def unit_of(record: Record, metric: str) -> str:
    """The unit of a run's metric; ``1`` where it has none."""
    return record.units.get(metric, "1")


def _said(values: Iterable[str]) -> str:
    """The different values, or some of them and how many there are."""
    found = sorted(set(values))
    more = f", … ({len(found)} values)" if len(found) > _NAMED else ""
    return f"{', '.join(found[:_NAMED])}{more}"
