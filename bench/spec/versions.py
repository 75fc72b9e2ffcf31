"""Which definitions a spec uses, and in which version."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bench.spec.own_files import files_differ
from bench.spec.spec import Spec

#: Kind (an axis, ``model``, ``problem``, ``protocol``) and name.
Definition = tuple[str, str]


def definitions_used(spec: Spec) -> dict[Definition, int]:
    """The version of each technique, model, problem and protocol of a spec.

    A technique with a value (``rescale=1e6``) is one definition for all values.
    """
    names = {axis: choice.partition("=")[0] for axis, choice in spec.axes.items()}
    names["model"] = spec.model.partition(":")[0]
    names["problem"] = spec.problem
    names["protocol"] = str(spec.settings.get("protocol"))
    return {(kind, name): spec.versions.get(kind, 1) for kind, name in names.items()}


def newest_versions(specs: Iterable[Spec]) -> dict[Definition, int]:
    """The highest version of each definition that specs use."""
    found: dict[Definition, int] = {}
    for spec in specs:
        for definition, version in definitions_used(spec).items():
            found[definition] = max(version, found.get(definition, 1))
    return found


def differs(spec: Spec, versions: Mapping[Definition, int]) -> bool:
    """Whether a spec uses one of some definitions in another version."""
    used = definitions_used(spec)
    return any(used[definition] != versions[definition] for definition in used.keys() & versions)


def redefinitions(spec: Spec, now: Mapping[str, int]) -> list[str]:
    """What a spec uses in another version than `now`, of `bench.task.Suite.versions`, in words."""
    kinds = sorted({*spec.versions, *now})
    versions = ((kind, spec.versions.get(kind, 1), now.get(kind, 1)) for kind in kinds)
    return [
        f"its {kind} has been redefined (version {then}, now {today})"
        for kind, then, today in versions
        if then != today
    ]


def conflict(one: Spec, other: Spec) -> bool:
    """Whether two specs use a definition in different versions, or a user's own file in different
    states: their runs are not comparable."""
    if files_differ(one, other):
        return True
    # Nearly always; this is asked of every pair.
    if not one.versions and not other.versions:
        return False
    return differs(one, definitions_used(other))
