"""Metrics of parts of the data: of a group (``MAE_F[slab]``), of a further set (``MAE_F@far``)."""

from __future__ import annotations

from collections.abc import Collection, Iterable

#: What follows the name of the metric that they are a part's of.
_MARKS = ("[", "@")


def with_variants(names: Iterable[str], there: Collection[str]) -> list[str]:
    """The names that are there, each followed by those of its parts, in their order.

    Args:
        names: Metrics to show.
        there: All metrics of some records.
    """
    found: list[str] = []
    for name in names:
        starts = tuple(name + mark for mark in _MARKS)
        found += [name] if name in there else []
        found += [other for other in there if other.startswith(starts)]
    return found
