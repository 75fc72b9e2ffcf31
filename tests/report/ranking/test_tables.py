"""The tables of a ranking, each in four forms."""

from __future__ import annotations

import csv
import io
import math

import numpy as np
import pytest
from sample_ranking import at_rate, falling, ranking, write
from sample_study import PROBLEMS

from bench.plugins import load_suite
from bench.report.ranking.cells import bounds_text, effect_cell, time_text
from bench.report.ranking.findings import Findings
from bench.report.ranking.ranked import Ranked
from bench.report.ranking.tables import (
    NAMES,
    SUMMARIES,
    every_name,
    ranking_tables,
)
from bench.report.ranking.targets import RelativeTime
from bench.report.tabulation import Table, render
from bench.statistics.effects import effect
from bench.statistics.targets import Time, time_ratio
from bench.store.store import Store

INF, NAN = math.inf, math.nan
ERRORS = {"baseline": 0.4, "irelu": 0.2, "lsuv": None}


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Table]:
    store = Store(tmp_path_factory.mktemp("store"))
    best = {"baseline": 3e-3, "irelu": 1e-3, "lsuv": 3e-3}
    made = write(ranking(), store, falling(ERRORS, spread=0.0), at_rate(best))
    findings = Findings(Ranked.read(made, store))
    return ranking_tables(findings, load_suite("pinn"), [*SUMMARIES, "runs"])


def rows(table: Table) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(render([table], "csv"))))


def test_a_ranking_has_all_its_tables_and_those_of_its_scored_runs(
    tables: dict[str, Table],
) -> None:
    assert set(NAMES) <= tables.keys() <= set(every_name())
    assert {"errors", "effects", "values", "runs"} <= tables.keys()


@pytest.mark.parametrize("kind", ["md", "latex"])
def test_tables_are_text(tables: dict[str, Table], kind: str) -> None:
    text = render(list(tables.values()), kind)
    assert all(table.title in text for table in tables.values())


def test_every_row_has_a_cell_for_each_column(tables: dict[str, Table]) -> None:
    for table in tables.values():
        assert {len(row) for row in table.rows} == {len(table.header)}, table.name


def test_the_standings_begin_with_the_best(tables: dict[str, Table]) -> None:
    first, second, last = rows(tables["standings"])
    assert (first["arm"], first["verdict"], first["rank"]) == ("irelu", "better", "1")
    assert float(first["error ratio"]) == pytest.approx(0.5)
    assert first["steps to 1×"] == "0.50 [0.50, 0.50]"
    assert (second["arm"], second["error ratio"]) == ("baseline", "1.0")
    assert (last["arm"], last["diverges on"]) == ("lsuv", "3")
    assert last["error ratio"] == "15 of 15 diverged" and last["steps to 1×"] == "> 2.0"


def test_untuned_ratios_are_no_claim(tables: dict[str, Table]) -> None:
    table = tables["untuned"]
    assert "2 seeds, no claim" in table.title
    whole = next(row for row in rows(table) if (row["problem"], row["arm"]) == ("all", "irelu"))
    assert float(whole["untuned"]) < 1 < float(whole["tuned"])


def test_every_run_is_in_the_runs_with_its_command(tables: dict[str, Table]) -> None:
    # 3 problems × 3 arms × (5 + 3 × 3 seeds, and 3 rates × 2 seeds).
    assert len(tables["runs"].rows) == 9 * (5 + 9 + 6)


def test_lengths_have_a_row_for_each(tables: dict[str, Table]) -> None:
    found = [
        row
        for row in rows(tables["lengths"])
        if (row["problem"], row["arm"]) == (PROBLEMS[0], "irelu")
    ]
    assert [row["steps"] for row in found] == ["250", "500", "1000", "2000"]
    assert [float(row["median"]) for row in found] == pytest.approx([0.8, 0.4, 0.2, 0.1])


@pytest.mark.parametrize(
    ("time", "said"),
    [
        (Time(500.0, 500.0), "500"),
        (Time(2000.0, float("inf")), "> 2000"),
        (Time(0.0, 250.0), "< 250"),
        (Time(250.0, 500.0), "250 to 500"),
        (Time(0.0, float("inf")), "–"),
    ],
)
def test_what_is_known_of_a_time(time: Time, said: str) -> None:
    assert bounds_text(time) == said


def of_times(*pairs: tuple[Time, Time], low: float = 0.4, high: float = 0.6) -> RelativeTime:
    found = time_ratio([one for one, _ in pairs], [other for _, other in pairs])
    return RelativeTime(found, low, high, 3)


EXACT = (Time(2.0, 2.0), Time(4.0, 4.0))
BEYOND = (Time(8.0, INF), Time(4.0, 4.0))
EARLY = (Time(0.0, 1.0), Time(4.0, 4.0))
EASY = (Time(0.0, 1.0), Time(0.0, 1.0))
NEITHER = (Time(8.0, INF), Time(8.0, INF))


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        ([EXACT] * 3, "0.50 [0.40, 0.60]"),
        # A mix prints the bounds of all and the ratio of some, which contradict each other here.
        ([EXACT, BEYOND, BEYOND], "> 1.3; 0.50 [0.40, 0.60] on 1 of 3"),
        ([EXACT, EXACT, EARLY], "< 0.40; 0.50 [0.40, 0.60] on 2 of 3"),
        ([EXACT, EARLY, BEYOND], "0.50 [0.40, 0.60] on 1 of 3"),
        # No target, or no run, on the third.
        ([EXACT, EXACT], "0.50 [0.40, 0.60] on 2 of 3"),
        ([BEYOND] * 3, "> 2.0"),
        ([EARLY] * 3, "< 0.25"),
        ([EASY] * 3, "both at the shortest"),
        ([NEITHER] * 3, "neither reaches it"),
        ([], ""),
    ],
)
def test_a_ratio_of_times_says_what_it_is_of(pairs: list[tuple[Time, Time]], said: str) -> None:
    assert time_text(of_times(*pairs)) == said


def test_a_ratio_of_times_without_an_interval_says_so() -> None:
    assert time_text(of_times(EXACT, EXACT, EXACT, low=NAN, high=NAN)) == "0.50, no interval"


@pytest.mark.parametrize(
    ("log_ratios", "said"),
    [
        ([[0.0, 0.0]], 1.0),
        ([[0.0, 0.0], [INF, INF]], "1.00, 2 of 4 diverged"),
        ([[0.0, 0.0, 0.0, NAN]], "1.00, 1 of 4 diverged, reference: 1 of 4"),
        ([[0.0, 0.0, 0.0, -INF]], "1.00, reference: 1 of 4 diverged"),
        ([[INF, INF]], "2 of 2 diverged"),
        ([], None),
    ],
)
def test_an_effect_never_hides_divergence(log_ratios: list[list[float]], said: object) -> None:
    assert effect_cell(effect([np.array(of) for of in log_ratios])) == said


def test_the_targets_count_who_reaches_them(tables: dict[str, Table]) -> None:
    found = rows(tables["targets"])
    beside = {(row["problem"], row["×"], row["arm"]): row["beside the reference"] for row in found}
    assert beside["all", "1.0", "irelu"] == "both 3"
    assert beside["all", "1.0", "lsuv"] == "reference alone 3"
    assert beside[PROBLEMS[0], "1.0", "irelu"] == "both"
    assert beside[PROBLEMS[0], "1.0", "baseline"] == ""
