"""What to say of an option of a suite that a command for several suites is given."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from bench.task import Suite


def hint_of(suites: Iterable[Suite]) -> Callable[[str], str | None]:
    """A function from an unknown flag to how it is given, if it is a suite's own.

    Args:
        suites: All suites.
    """
    known = {option.flag: suite.name for suite in suites for option in suite.options.declared()}

    def hint(flag: str) -> str | None:
        if flag in known:
            return f"of the suite {known[flag]!r}, so give it as --options '{flag} …'"
        return None

    return hint
