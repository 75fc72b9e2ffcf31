"""Which state of a user's own files specs use: an edited file is another definition."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bench.spec.spec import Spec


def newest_files(started: Iterable[tuple[str, Spec]]) -> dict[str, str]:
    """Of each reference to a user's own object the digest of the run that was started last.

    Args:
        started: When each run was started (ISO 8601), and its spec.
    """
    last: dict[str, tuple[str, str]] = {}
    for when, spec in started:
        for reference, digest in spec.sources.items():
            last[reference] = max(last.get(reference, ("", "")), (when, digest))
    return {reference: digest for reference, (_, digest) in last.items()}


def earlier_files(spec: Spec, newest: Mapping[str, str]) -> list[str]:
    """The references whose file a spec has in another state than the newest."""
    return [name for name, digest in spec.sources.items() if newest.get(name, digest) != digest]


def files_differ(one: Spec, other: Spec) -> bool:
    """Whether two specs use the same object of a user from different states of its file."""
    return bool(earlier_files(one, other.sources))
