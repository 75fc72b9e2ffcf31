"""The final tables: what they show, and what they do not hide."""

from __future__ import annotations

import io
import math

import msgspec
import pytest
from rich.console import Console
from sample_records import SPEC, of, record

from bench.report.tables import print_tables
from bench.store.record import Metric, Record
from bench.task import Columns
from bench.text.formatting import number

NOW = {"versions": {"torch": "2.11"}}


def printed(records: list[Record], further: list[str] | None = None, width: int = 200) -> list[str]:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    print_tables(
        records,
        lambda problem: Columns(["L2RE", "skill"], further or [], ["skill"], ["skill"]),
        lambda spec: NOW,
        console,
    )
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


def row(lines: list[str], arm: str) -> list[str]:
    (found,) = (line.split() for line in lines if line.split()[:1] == [arm])
    return found


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0231, "2.31e-2"),
        (0.4123, "0.412"),
        (12.34, "12.3"),
        (123456.0, "1.23e5"),
        (-0.001, "-1.00e-3"),
        (0.0, "0"),
        (math.inf, "–"),
        (math.nan, "–"),
        (None, "–"),
    ],
)
def test_numbers_are_short(value: float | None, text: str) -> None:
    assert number(value) == text


def test_an_arm_is_compared_with_the_baseline_of_the_same_seed() -> None:
    runs = [
        of("baseline", 0, 0.1),
        of("baseline", 1, 0.4),
        of("irelu", 0, 0.2),
        of("irelu", 1, 0.2),
    ]
    lines = printed(runs)
    # Ratios 2 and ½: their geometric mean is 1, whereas the medians' ratio would be 0.8.
    assert row(lines, "irelu")[:6] == ["irelu", "0.2", "0.2", "…", "0.2", "×1"]
    assert row(lines, "baseline")[:5] == ["baseline", "0.25", "0.1", "…", "0.4"]
    assert "medians over 2 seeds" in lines[0]


def test_a_diverged_run_counts_as_infinitely_wrong_and_is_counted() -> None:
    runs = [of("baseline", seed, 0.1) for seed in range(3)]
    runs += [of("irelu", 0, 0.01), of("irelu", 1, 0.05), of("irelu", 2, None, "diverged")]
    line = row(printed(runs), "irelu")
    # The median is the middle one of the three, the largest is none, and there is no ratio.
    assert line[1:9] == ["5.00e-2", "1.00e-2", "…", "–", "1", "of", "3", "diverged"]
    assert line[-4:] == ["1", "diverged,", "2", "done"]


def test_a_run_that_did_not_end_well_has_no_error_even_if_its_record_has() -> None:
    lines = printed([of("baseline", 0, 0.1), of("irelu", 0, 0.01, "failed", reason="it broke")])
    assert row(lines, "irelu")[1:3] == ["–", "–"]
    assert "  irelu: it broke" in lines


def test_collapse_and_warnings_are_shown_once_with_their_arms() -> None:
    collapsed = {"diagnostics": {"collapsed": True}, "warnings": ["collapsed: no signal", "old"]}
    runs = [of("baseline", 0, 0.1, warnings=["old"]), of("irelu", 0, 1.0, **collapsed)]
    lines = printed(runs)
    assert row(lines, "irelu")[-2:] == ["done,", "collapsed"]
    assert "  irelu: collapsed: no signal" in lines
    assert "  all runs: old" in lines


def test_a_no_op_is_named_and_its_notes_are_not_repeated() -> None:
    one = record(warnings=["look"])
    asked = msgspec.structs.replace(SPEC, arm="denorm", noops=["denorm"])
    lines = printed([one, one.labelled(asked)])
    assert "  denorm: denorm is a no-op on fnn:40x6, the same run as baseline" in lines
    assert [line for line in lines if "look" in line] == ["  baseline: look"]


def test_further_columns_have_a_table_of_their_own() -> None:
    metrics = {"L2RE": Metric(0.1, 0.1), "LICp": Metric(0.5, 0.5)}
    lines = printed([of("baseline", 0, 0.1, metrics=metrics)], ["LICp"])
    assert [line.split() for line in lines if line.startswith(" baseline")][1] == [
        "baseline",
        "0.5",
    ]


def test_a_run_of_other_code_is_marked() -> None:
    old = of("irelu", 0, 0.2, environment={"versions": {"torch": "2.10"}, "jobs": 1})
    lines = printed([of("baseline", 0, 0.1), old])
    assert row(lines, "irelu")[-4:] == ["done,", "of", "other", "code"]
    assert row(lines, "baseline")[-1] == "done"


def test_a_baseline_of_another_definition_is_not_compared_with() -> None:
    runs = [of("baseline", 0, 0.1), of("irelu", 0, 0.2)]
    assert row(printed(runs), "irelu")[2] == "×2"
    spec = msgspec.structs.replace(runs[1].spec, versions={"model": 2})
    runs[1] = msgspec.structs.replace(runs[1], spec=spec, spec_hash=spec.hash)
    assert row(printed(runs), "irelu")[2] == "–"


@pytest.mark.parametrize(
    ("jobs", "header"),
    [((1, 1), "ms/step "), ((2, 2), "ms/step (2 jobs)"), ((1, 2), "ms/step (mixed jobs)")],
)
def test_step_times_say_how_many_runs_ran_side_by_side(jobs: tuple[int, int], header: str) -> None:
    runs = [
        of(arm, 0, 0.1, environment={**NOW, "jobs": n})
        for arm, n in zip(("baseline", "irelu"), jobs, strict=True)
    ]
    assert header in "\n".join(printed(runs))


@pytest.mark.parametrize(
    ("jobs", "together", "header"),
    [
        (1, (5, 5), "ms/step (5 seeds together)"),
        (2, (5, 5), "ms/step (2 jobs, 5 seeds together)"),
        (1, (5, 1), "ms/step (mixed seeds together)"),
    ],
)
def test_step_times_say_how_many_seeds_were_trained_together(
    jobs: int, together: tuple[int, int], header: str
) -> None:
    runs = [
        of(arm, 0, 0.1, environment={**NOW, "jobs": jobs, "seeds_together": n})
        for arm, n in zip(("baseline", "irelu"), together, strict=True)
    ]
    assert header in "\n".join(printed(runs))


def test_columns_that_no_run_has_are_left_out() -> None:
    assert "skill" not in "\n".join(printed([of("baseline", 0, 0.1)]))


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_a_narrow_terminal_gets_more_tables_and_no_shortened_number(width: int) -> None:
    names = [f"LIC{k}" for k in range(12)]
    metrics = {name: Metric(0.0123 * (k + 1), 0.0) for k, name in enumerate(["L2RE", *names])}
    lines = printed([of("baseline", 0, 0.1, metrics=metrics)], names, width)
    text = "\n".join(lines)
    for name, metric in metrics.items():
        assert name in text and number(metric.final) in text.split()
    assert all(len(line.rstrip()) <= width for line in lines if "LIC" in line or "e-2" in line)


def test_problems_have_tables_of_their_own() -> None:
    other = msgspec.structs.replace(SPEC, problem="shallow-water-2d")
    lines = printed([of("baseline", 0, 0.1), record(other)])
    assert [line.split()[0] for line in lines if "smoke, 10 steps" in line] == [
        "advection-1d",
        "shallow-water-2d",
    ]
