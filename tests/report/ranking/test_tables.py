"""The tables of a ranking, each in four forms."""

from __future__ import annotations

import csv
import io

import pytest
from sample_ranking import at_rate, falling, ranking, write
from sample_study import PROBLEMS

from bench.plugins import load_suite
from bench.report.ranking.findings import Findings
from bench.report.ranking.ranked import Ranked
from bench.report.ranking.tables import (
    NAMES,
    SUMMARIES,
    bounds_text,
    every_name,
    ranking_tables,
    time_ratio_cell,
)
from bench.report.tabulation import Table, render
from bench.statistics.targets import Time, time_ratio
from bench.store.store import Store

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
    assert float(first["steps to 1×"]) == pytest.approx(0.5)
    assert (second["arm"], second["error ratio"]) == ("baseline", "1.0")
    assert (last["arm"], last["diverges on"]) == ("lsuv", "3")
    assert last["error ratio"] == "15 of 15 diverged" and last["steps to 1×"] == "> 2.00"


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


def test_a_ratio_of_some_cases_says_of_how_many() -> None:
    exact, beyond = Time(2.0, 2.0), Time(8.0, float("inf"))
    assert time_ratio_cell(time_ratio([exact], [Time(4.0, 4.0)])) == 0.5
    some = time_ratio([exact, beyond], [Time(4.0, 4.0), Time(4.0, 4.0)])
    assert time_ratio_cell(some) == "0.500 on 1 of 2"
    assert time_ratio_cell(time_ratio([beyond], [beyond])) == "neither reaches it"
    assert time_ratio_cell(time_ratio([], [])) is None
