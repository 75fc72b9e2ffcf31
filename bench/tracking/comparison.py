"""Two commits compared, value by value: what got worse, what got better, what is unknown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from asv import util

from bench.tracking.results import Value
from bench.tracking.thresholds import Thresholds


class Verdict(StrEnum):
    """What became of a value. A failure is also a value below 0 or infinite: see `compare`."""

    REGRESSION = "regression"  # larger than the threshold allows
    CHANGED = "changed"  # larger or smaller, of a value that is to stay as it is
    IMPROVEMENT = "improvement"  # smaller by the same factor
    SAME = "same"  # neither, or not for sure
    FAILED = "failed"  # fails, and did not at the base
    STILL_FAILED = "still failed"  # fails, and did at the base
    FIXED = "fixed"  # measured, and failed at the base
    SKIPPED = "skipped"  # skipped by the benchmark, or was skipped and is not there
    VANISHED = "vanished"  # measured or failed at the base, and now not looked at
    ADDED = "added"  # measured, and not looked at or skipped at the base
    INCOMPARABLE = "incomparable"  # measured by different versions of the benchmark


#: What is worse than nothing: the worst first.
_WORSE = (
    Verdict.FAILED,
    Verdict.VANISHED,
    Verdict.REGRESSION,
    Verdict.CHANGED,
    Verdict.STILL_FAILED,
)


@dataclass(frozen=True)
class Change:
    """What became of one value between two commits.

    Attributes:
        name: Name of the value, with parameters.
        verdict: What became of the value.
        base: Value at the older commit; None if there is none.
        new: Value at the newer commit; None if there is none.
        ratio: New value over base, if the same version of the benchmark measured both; else None.
            Infinite if the base is 0 and the new value is not.
        threshold: Relative increase that is allowed.
        kind: ``time``, ``peakmemory``, ``track``, … as in `Value`.
    """

    name: str
    verdict: Verdict
    base: Value | None
    new: Value | None
    ratio: float | None
    threshold: float
    kind: str

    def describe(self) -> str:
        """The change in one line, for people."""
        line = f"{self.verdict}: {self.name}: {_text(self.base)} → {_text(self.new)}"
        if self.verdict is Verdict.INCOMPARABLE and self.base and self.new:
            return f"{line} (version {self.base.version} → {self.new.version})"
        if self.ratio is None:
            return line
        step = "from 0" if math.isinf(self.ratio) else f"{100 * (self.ratio - 1):+.3g} %"
        details = [step, f"threshold {100 * self.threshold:g} %"]
        if self.verdict is Verdict.SAME and _step(self.ratio, self.threshold) is not Verdict.SAME:
            details.append("99 % intervals overlap")
        return f"{line} ({', '.join(details)})"


def compare(
    base: Mapping[str, Value], new: Mapping[str, Value], thresholds: Thresholds
) -> list[Change]:
    """What became of every value that either commit has.

    A value is a regression if it exceeds the base's by more than its threshold, an improvement if
    it is smaller by the same factor. If asv has confidence intervals of both, as it has for times,
    they must not overlap either. From a base of 0 every increase is a regression.

    A fingerprint (`Value.two_sided`) is to stay as it is: larger or smaller by more than its
    threshold, it has changed.

    Times, memory, counts and errors are finite and not negative. Any other value counts as a
    failure, since nothing can be compared with it.

    Versions of a benchmark matter only where both commits have a measured value.

    Args:
        base: Values of the older commit by name, see `bench.tracking.results.read`.
        new: Values of the newer commit.
        thresholds: How much larger values may get.

    Returns:
        One change for each name, sorted by name.
    """
    return [
        _change(name, base.get(name), new.get(name), thresholds.of(name))
        for name in sorted({*base, *new})
    ]


def worse(changes: Iterable[Change]) -> list[Change]:
    """The changes that need somebody's attention, the worst first.

    New failures, then what is no longer measured, then regressions and changes with the largest
    ratio, in either direction, first, then old failures.
    """
    return sorted(
        (change for change in changes if change.verdict in _WORSE),
        key=lambda change: (_WORSE.index(change.verdict), -_size(change.ratio), change.name),
    )


def _size(ratio: float | None) -> float:
    """How many times larger or smaller a value is; 0 where nobody knows."""
    if ratio is None:
        return 0.0
    return math.inf if ratio == 0 else max(ratio, 1 / ratio)


def _change(name: str, base: Value | None, new: Value | None, threshold: float) -> Change:
    either = new or base
    assert either is not None
    before, after = _number(base), _number(new)
    ratio = None
    if base is None or new is None or before is None or after is None:
        verdict = _VERDICTS[_state(base), _state(new)]
    elif None not in (base.version, new.version) and base.version != new.version:
        verdict = Verdict.INCOMPARABLE
    else:
        ratio = _ratio(before, after)
        verdict = Verdict.SAME if _overlap(base, new) else _step(ratio, threshold)
        if new.two_sided and verdict is not Verdict.SAME:
            verdict = Verdict.CHANGED
    return Change(name, verdict, base, new, ratio, threshold, either.kind)


def _number(value: Value | None) -> float | None:
    """The number that was measured, if one was."""
    return value.value if value is not None and _state(value) == "measured" else None


def _state(value: Value | None) -> str:
    if value is None:
        return "absent"
    if value.value is None or value.value < 0 or math.isinf(value.value):
        return "failed"
    return "skipped" if math.isnan(value.value) else "measured"


#: By the states at the base and at the new commit. Not looking at a failure is no repair of it.
_VERDICTS = {
    ("measured", "failed"): Verdict.FAILED,
    ("skipped", "failed"): Verdict.FAILED,
    ("absent", "failed"): Verdict.FAILED,
    ("failed", "failed"): Verdict.STILL_FAILED,
    ("failed", "measured"): Verdict.FIXED,
    ("skipped", "measured"): Verdict.ADDED,
    ("absent", "measured"): Verdict.ADDED,
    ("measured", "skipped"): Verdict.VANISHED,
    ("failed", "skipped"): Verdict.SKIPPED,
    ("skipped", "skipped"): Verdict.SKIPPED,
    ("absent", "skipped"): Verdict.SKIPPED,
    ("measured", "absent"): Verdict.VANISHED,
    ("failed", "absent"): Verdict.VANISHED,
    ("skipped", "absent"): Verdict.SKIPPED,
}


def _ratio(base: float, new: float) -> float:
    if base == 0:
        return 1.0 if new == 0 else math.inf
    return new / base


def _step(ratio: float, threshold: float) -> Verdict:
    if ratio > 1 + threshold or math.isinf(ratio):
        return Verdict.REGRESSION
    if ratio < 1 / (1 + threshold):
        return Verdict.IMPROVEMENT
    return Verdict.SAME


def _overlap(base: Value, new: Value) -> bool:
    """Whether both have intervals, and these have a point in common."""
    if base.low is None or base.high is None or new.low is None or new.high is None:
        return False
    return base.low <= new.high and new.low <= base.high


def _text(value: Value | None) -> str:
    if value is None:
        return "absent"
    number = value.value
    if number is None:
        return "failed"
    if math.isnan(number):
        return "skipped"
    if _state(value) == "failed":
        return f"failed with {number:g}"
    # Counts in full; of other numbers, what asv does not round to its own units.
    digits = 12 if value.two_sided else 6
    whole = number.is_integer() and number < 1e15
    shown = int(number) if whole else float(f"{number:.{digits}g}")
    text: str = util.human_value(shown, value.unit)
    return text if value.unit in ("", "seconds", "bytes", "1") else f"{text} {value.unit}"
