"""Verdicts on two commits, and thresholds that mean what asv's pages mean."""

from __future__ import annotations

import math
import re
from types import SimpleNamespace
from typing import Any

import pytest
from asv.plugins.regressions import _GraphDataFilter

from bench.text.errors import BadInput
from bench.tracking.comparison import Change, Verdict, compare, worse
from bench.tracking.results import Value
from bench.tracking.thresholds import Thresholds

NAN = math.nan
ABSENT = "absent"
NAME = "metrics.PINN.track_L2RE"


def value(number: float | None, **changes: Any) -> Value:
    fields: dict[str, Any] = {
        **{"benchmark": NAME, "parameters": (), "value": number, "low": None, "high": None},
        **{"version": "1", "unit": "1", "kind": "track"},
    }
    return Value(**{**fields, **changes})


def time(number: float, low: float, high: float) -> Value:
    return value(number, low=low, high=high, unit="seconds", kind="time")


def change(base: Value | None, new: Value | None, threshold: float = 0.05) -> Change:
    """The one change between two commits of one value."""
    sides = [{} if one is None else {one.name: one} for one in (base, new)]
    (found,) = compare(*sides, Thresholds({"": threshold}))
    assert (found.base, found.new, found.threshold) == (base, new, threshold)
    return found


# Names and thresholds.


def test_a_value_is_named_as_asv_names_it() -> None:
    assert value(1.0).name == NAME
    parameters = ("'advection-1d'", "'fnn baseline'")
    assert value(1.0, parameters=parameters).name == f"{NAME}('advection-1d', 'fnn baseline')"


NAMES = [
    "metrics.PINN.track_L2RE('advection-1d', 'fnn baseline')",
    "metrics.PINNSinglePrecision.track_MSE('advection-1d')",
    "steps.PINNStep.time_step('advection-1d', 'fnn irelu+lsuv')",
    "steps.PINNStep.peakmem_step('advection-1d', 'fnn irelu+lsuv')",
    "plain.time_import",
]
PATTERNS: list[dict[str, Any]] = [
    {},
    {"metrics": 0.001},
    {"metrics": 0.001, "metrics.PINNSingle": 0.3, ".*": 0.0001},
    {"metrics.PINN\\.": 0.01, "steps\\..*\\.time_": "0.2", "PINN": 9},
    {"time": 0.5, ".*time": 0.25, ".*irelu\\+lsuv": 1},
    {".*\\)$": 0.7, ".*\\)@main$": 0.02, ".*@": 0.01},
    {".*": 0, "^plain": math.inf},
]


@pytest.mark.parametrize("patterns", PATTERNS)
@pytest.mark.parametrize("branch", ["", "main"])
def test_thresholds_are_those_of_asvs_pages(patterns: dict[str, Any], branch: str) -> None:
    configuration = SimpleNamespace(regressions_thresholds=patterns)
    asv = _GraphDataFilter(configuration, None, {})
    graph = SimpleNamespace(params={"branch": branch} if branch else {})
    thresholds = Thresholds.parse(patterns, branch)
    of_asv = [asv._get_threshold(graph, {}, name) for name in NAMES]
    assert [thresholds.of(name) for name in NAMES] == of_asv


def test_the_largest_threshold_that_matches_from_the_start_counts() -> None:
    thresholds = Thresholds.parse({"a": 0.1, "ab": 0.02, "b": 3})
    assert [thresholds.of(name) for name in ("abc", "b.a", "cab")] == [0.1, 3.0, 0.05]


@pytest.mark.parametrize("number", ["much", None, True, [], -0.1, NAN, "nan"])
def test_a_threshold_is_a_number_of_at_least_0(number: Any) -> None:
    with pytest.raises(BadInput, match=f"{re.escape(repr(number))} of 'time'"):
        Thresholds.parse({"metrics": 0.1, "time": number})


def test_a_pattern_is_a_regular_expression() -> None:
    with pytest.raises(BadInput, match=r"bad pattern 'a\('"):
        Thresholds.parse({"a(": 0.1})
    with pytest.raises(BadInput, match="not pattern: number"):
        Thresholds.parse([0.1])


# Verdicts.


@pytest.mark.parametrize(
    ("base", "new", "verdict"),
    [
        (1.0, 1.06, Verdict.REGRESSION),
        (1.0, 1.04, Verdict.SAME),
        (1.0, 0.96, Verdict.SAME),
        (1.0, 0.95, Verdict.IMPROVEMENT),
        (1.0, None, Verdict.FAILED),
        (NAN, None, Verdict.FAILED),
        (ABSENT, None, Verdict.FAILED),
        (None, None, Verdict.STILL_FAILED),
        (None, 1.0, Verdict.FIXED),
        (NAN, NAN, Verdict.SKIPPED),
        (ABSENT, NAN, Verdict.SKIPPED),
        (None, NAN, Verdict.SKIPPED),
        (NAN, ABSENT, Verdict.SKIPPED),
        (1.0, NAN, Verdict.VANISHED),
        (1.0, ABSENT, Verdict.VANISHED),
        (None, ABSENT, Verdict.VANISHED),
        (ABSENT, 1.0, Verdict.ADDED),
        (NAN, 1.0, Verdict.ADDED),
    ],
)
def test_verdicts(base: Any, new: Any, verdict: Verdict) -> None:
    sides = [None if one == ABSENT else value(one) for one in (base, new)]
    found = change(*sides)
    assert found.verdict is verdict
    if isinstance(base, float) and isinstance(new, float) and not math.isnan(base + new):
        assert found.ratio == new / base
    else:
        assert found.ratio is None


@pytest.mark.parametrize(
    ("base", "new", "threshold", "verdict"),
    [
        (2.0, 3.0, 0.5, Verdict.SAME),
        (2.0, 3.0001, 0.5, Verdict.REGRESSION),
        (3.0, 2.0, 0.5, Verdict.SAME),
        (3.0, 1.9999, 0.5, Verdict.IMPROVEMENT),
        (1.0, 1.0, 0.0, Verdict.SAME),
        (1.0, math.nextafter(1.0, 2), 0.0, Verdict.REGRESSION),
        (1.0, 1e9, math.inf, Verdict.SAME),
        (1e9, 1.0, math.inf, Verdict.SAME),
    ],
)
def test_the_threshold_divides_verdicts(
    base: float, new: float, threshold: float, verdict: Verdict
) -> None:
    assert change(value(base), value(new), threshold).verdict is verdict


def test_each_value_has_the_threshold_of_its_name() -> None:
    sides = [{n: value(number, benchmark=n) for n in ("a", "b", "c")} for number in (1.0, 1.1)]
    changes = compare(*sides, Thresholds({"a": 0.2, "b": 0.01}))
    assert [(c.name, c.threshold, c.verdict) for c in changes] == [
        ("a", 0.2, Verdict.SAME),
        ("b", 0.01, Verdict.REGRESSION),
        ("c", 0.05, Verdict.REGRESSION),
    ]


def test_a_base_of_zero() -> None:
    grown = change(value(0.0), value(1e-300), 1e9)
    assert grown.verdict is Verdict.REGRESSION and grown.ratio == math.inf
    still = change(value(0.0), value(0.0))
    assert still.verdict is Verdict.SAME and still.ratio == 1.0
    gone = change(value(1.0), value(0.0))
    assert gone.verdict is Verdict.IMPROVEMENT and gone.ratio == 0.0


@pytest.mark.parametrize("broken", [-1.0, -1e-12, math.inf, -math.inf])
def test_what_no_measurement_can_give_is_a_failure(broken: float) -> None:
    assert change(value(1.0), value(broken)).verdict is Verdict.FAILED
    assert change(value(broken), value(None)).verdict is Verdict.STILL_FAILED
    assert change(value(broken), value(broken)).verdict is Verdict.STILL_FAILED
    assert change(value(broken), value(1.0)).verdict is Verdict.FIXED


@pytest.mark.parametrize(
    ("base", "new", "verdict"),
    [
        (time(1.0, 0.9, 1.2), time(1.5, 1.1, 1.6), Verdict.SAME),
        (time(1.0, 0.9, 1.2), time(1.5, 1.2, 1.6), Verdict.SAME),
        (time(1.0, 0.9, 1.2), time(1.5, 1.21, 1.6), Verdict.REGRESSION),
        (time(1.5, 1.1, 1.6), time(1.0, 0.9, 1.2), Verdict.SAME),
        (time(1.5, 1.21, 1.6), time(1.0, 0.9, 1.2), Verdict.IMPROVEMENT),
        (time(1.0, 0.5, 2.0), time(1.5, 1.4, 1.6), Verdict.SAME),
        (time(1.0, 1.0, 1.0), time(1.04, 1.04, 1.04), Verdict.SAME),
        (time(0.0, 0.0, 0.0), time(1e-9, 0.0, 1e-9), Verdict.SAME),
    ],
)
def test_times_with_intervals_that_overlap_are_the_same(
    base: Value, new: Value, verdict: Verdict
) -> None:
    assert change(base, new).verdict is verdict


def test_without_both_intervals_the_threshold_decides() -> None:
    wide, bare = time(1.0, 0.1, 9.0), value(1.5, unit="seconds", kind="time")
    assert change(wide, bare).verdict is Verdict.REGRESSION
    assert change(bare, wide).verdict is Verdict.IMPROVEMENT


def test_versions_matter_between_two_measured_values_only() -> None:
    new = value(9.0, version="2")
    found = change(value(1.0), new)
    assert found.verdict is Verdict.INCOMPARABLE and found.ratio is None
    assert change(value(1.0, version=None), new).verdict is Verdict.REGRESSION
    assert change(value(1.0), value(None, version="2")).verdict is Verdict.FAILED
    assert change(value(1.0), value(NAN, version="2")).verdict is Verdict.VANISHED
    assert change(value(None), new).verdict is Verdict.FIXED


def test_all_values_of_both_commits_are_compared() -> None:
    base = {name: value(1.0, benchmark=name) for name in ("c", "a")}
    new = {name: value(1.0, benchmark=name, kind="time") for name in ("b", "c")}
    changes = compare(base, new, Thresholds({}))
    assert [(c.name, c.verdict, c.kind) for c in changes] == [
        ("a", Verdict.VANISHED, "track"),
        ("b", Verdict.ADDED, "time"),
        ("c", Verdict.SAME, "time"),
    ]
    assert compare({}, {}, Thresholds({})) == []


def test_the_worst_come_first_and_nothing_else_is_worse() -> None:
    pairs: dict[str, tuple[float | None, float | None]] = {
        **{"old failure": (None, None), "b much": (1.0, 3.0), "a little": (1.0, 1.1)},
        **{"gone": (1.0, NAN), "failure": (1.0, None), "from 0": (0.0, 1.0), "c much": (2.0, 6.0)},
        **{"same": (1.0, 1.0), "better": (2.0, 1.0), "fixed": (None, 1.0)},
        **{"skipped": (NAN, NAN), "new": (NAN, 1.0)},
    }
    sides = [{n: value(pair[i], benchmark=n) for n, pair in pairs.items()} for i in (0, 1)]
    sides[0]["other"], sides[1]["other"] = value(1.0, version="0"), value(9.0)
    changes = compare(*sides, Thresholds({}))
    assert len(changes) == len(pairs) + 1
    assert [found.name for found in worse(changes)] == [
        *("failure", "gone", "from 0", "b much", "c much", "a little", "old failure")
    ]


# In words.


@pytest.mark.parametrize(
    ("base", "new", "line"),
    [
        (
            value(0.012345678, unit="kcal/mol"),
            value(0.025, unit="kcal/mol"),
            "regression: N: 0.0123457 kcal/mol → 0.025 kcal/mol (+103 %, threshold 5 %)",
        ),
        (
            time(0.0123, 0.012, 0.0125),
            time(0.0062, 0.006, 0.0065),
            "improvement: N: 12.3ms → 6.20ms (-49.6 %, threshold 5 %)",
        ),
        (
            time(0.01, 0.009, 0.012),
            time(0.011, 0.01, 0.013),
            "same: N: 10.0ms → 11.0ms (+10 %, threshold 5 %, 99 % intervals overlap)",
        ),
        (
            value(250e6, unit="bytes"),
            value(251e6, unit="bytes"),
            "same: N: 250M → 251M (+0.4 %, threshold 5 %)",
        ),
        (
            value(123456789.0, unit="FLOP"),
            value(123456790.0, unit="FLOP"),
            "same: N: 123456789 FLOP → 123456790 FLOP (+8.1e-07 %, threshold 5 %)",
        ),
        (value(0.0), value(0.5), "regression: N: 0 → 0.5 (from 0, threshold 5 %)"),
        (value(1.0), value(None), "failed: N: 1 → failed"),
        (value(1.0), value(math.inf), "failed: N: 1 → failed with inf"),
        (value(1.0), value(-2.5), "failed: N: 1 → failed with -2.5"),
        (value(1.0), value(NAN), "vanished: N: 1 → skipped"),
        (None, value(1.0), "added: N: absent → 1"),
        (value(1.0), None, "vanished: N: 1 → absent"),
        (value(None), value(None), "still failed: N: failed → failed"),
        (
            value(1.0),
            value(2.0, version="2"),
            "incomparable: N: 1 → 2 (version 1 → 2)",
        ),
    ],
)
def test_a_change_in_one_line(base: Value | None, new: Value | None, line: str) -> None:
    assert change(base, new).describe() == line.replace("N", NAME, 1)


# Fingerprints.


@pytest.mark.parametrize("factor", [0.5, 1 - 2e-8, 1 + 2e-8, 2.0])
def test_a_fingerprint_may_change_in_neither_direction(factor: float) -> None:
    name = "fingerprints.PINN.track_loss"
    found = change(value(3.0, benchmark=name), value(3.0 * factor, benchmark=name), 1e-8)
    assert found.verdict is Verdict.CHANGED
    assert worse([found]) == [found]
    assert found.describe().startswith(f"changed: {name}: 3 → ")


def test_last_digits_of_a_fingerprint_may_change() -> None:
    name = "fingerprints.PINN.track_loss"
    found = change(value(3.0, benchmark=name), value(3.0 * (1 + 1e-12), benchmark=name), 1e-8)
    assert found.verdict is Verdict.SAME


def test_the_largest_change_of_a_fingerprint_comes_first_in_either_direction() -> None:
    names = [f"fingerprints.PINN.track_{k}" for k in "abc"]
    found = [
        change(value(1.0, benchmark=name), value(number, benchmark=name))
        for name, number in zip(names, (1.5, 0.1, 4.0), strict=True)
    ]
    assert [one.new.value for one in worse(found) if one.new] == [0.1, 4.0, 1.5]
