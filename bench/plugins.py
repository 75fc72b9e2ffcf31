"""Installed suites, found by entry point.

A suite that does not import must not disable the others. It is a warning, once, and an error only
where it is named.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint, entry_points

from bench.spec.options import Options
from bench.spec.user_code import users_code
from bench.task import Suite
from bench.text.errors import BadInput, one_line, unknown

_GROUP = "bench.suites"


def suite_names() -> list[str]:
    """Names of the installed suites (entry points of the group ``bench.suites``)."""
    return sorted(_points())


def load_suite(name: str) -> Suite:
    """The suite of that name.

    Raises:
        BadInput: There is no such suite, or it does not import.
    """
    points = _points()
    if name not in points:
        raise unknown("suite", name, sorted(points))
    return _load(points[name])


def _points() -> dict[str, EntryPoint]:
    """All suites; of several with one name, the first on the path."""
    return {point.name: point for point in reversed([*entry_points(group=_GROUP)])}


def _load(point: EntryPoint) -> Suite:
    with users_code(f"suite {point.name!r} does not import"):
        suite: Suite = point.load()
        if not issubclass(suite.options, Options):
            raise TypeError(f"its options are no {Options.__qualname__}")
    return suite


def working_suites() -> Iterator[Suite]:
    """Every installed suite that imports. One that does not is a warning on stderr, once."""
    for _, point in sorted(_points().items()):
        try:
            suite = _load(point)
        except BadInput as error:
            _warn(str(error))
        else:
            yield suite


@functools.cache
def _warn(message: str) -> None:
    print(f"bench: {one_line(message)}; the others go on", file=sys.stderr)


def elsewhere(kind: str, name: str, suite: Suite) -> str | None:
    """The suite that has a problem or a model that a given suite does not have.

    Args:
        kind: ``problem`` or ``model``.
        name: Name of the problem or model.
        suite: The suite that does not have it.
    """
    for other in working_suites():
        if other.name != suite.name and name in getattr(other, f"{kind}s"):
            return other.name
    return None
