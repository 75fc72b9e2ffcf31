"""How much larger a value may get: the thresholds of asv's configuration."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from bench.text.errors import BadInput

#: What asv allows where no threshold is set.
DEFAULT_THRESHOLD = 0.05


@dataclass(frozen=True)
class Thresholds:
    """How much larger a value may get before it is a regression, by the name of the value.

    Patterns mean what they mean on asv's pages. A pattern is matched (`re.match`) against the
    value's name followed by ``@`` and the branch; the largest threshold of those that match counts.

    Attributes:
        patterns: Regular expression → relative increase, at least 0 and possibly infinite.
        branch: The branch that asv publishes, empty for none.
        own: By the name of a value, the threshold that its past gives it, instead of the patterns'.
    """

    patterns: Mapping[str, float]
    branch: str = ""
    own: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def parse(cls, patterns: object, branch: str = "") -> Thresholds:
        """Check what a configuration has under ``regressions_thresholds``.

        Raises:
            BadInput: It is no mapping, a pattern is no regular expression, or a threshold is
                neither a number nor its text, or is negative.
        """
        if not isinstance(patterns, Mapping):
            raise BadInput(f"regressions_thresholds is {patterns!r}, not pattern: number")
        return cls({_pattern(key): _threshold(key, patterns[key]) for key in patterns}, branch)

    def with_own(self, own: Mapping[str, float]) -> Thresholds:
        """These, and thresholds of values with a past, see `bench.tracking.history`."""
        return replace(self, own=own)

    def of(self, name: str) -> float:
        """The threshold of a value, for instance of ``steps.PINNStep.time_step('advection-1d')``.

        0.05 allows an increase by 5 %; that is also the threshold where no pattern matches.
        """
        if name in self.own:
            return self.own[name]
        entry = f"{name}@{self.branch}" if self.branch else name
        matching = [number for key, number in self.patterns.items() if re.match(key, entry)]
        return max(matching, default=DEFAULT_THRESHOLD)


def _pattern(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise BadInput(f"regressions_thresholds: bad pattern {pattern!r}: {error}") from None
    return pattern


def _threshold(pattern: str, value: Any) -> float:
    try:
        if isinstance(value, bool):
            raise ValueError
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    # A NaN would be a threshold that nothing exceeds.
    if math.isnan(number) or number < 0:
        raise BadInput(
            f"regressions_thresholds: {value!r} of {pattern!r} is not a number of at least 0"
        )
    return number
