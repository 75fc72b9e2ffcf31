"""A ranking's report as one HTML file that needs nothing else."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

from bench.plugins import load_suite
from bench.ranking.ranking import Ranking
from bench.report.document import given
from bench.report.figures.style import Palette
from bench.report.pictures import (
    curve_pictures,
    heat_map_picture,
    pareto_picture,
    prediction_pictures,
)
from bench.report.ranking.findings import Findings
from bench.report.ranking.headline import headline
from bench.report.ranking.limits import limits
from bench.report.ranking.method import method
from bench.report.ranking.pictures import (
    lengths_picture,
    profiles_picture,
    ranks_picture,
    tuning_pictures,
)
from bench.report.ranking.ranked import Ranked
from bench.report.ranking.rates import rates_text
from bench.report.ranking.short_table import short_table
from bench.report.ranking.tables import SUMMARIES, ranking_tables
from bench.report.rendering import write_page
from bench.report.room import fitted
from bench.report.run_table import environments, run_table
from bench.report.shortening import MOST_CASES, shortened, shown_of
from bench.report.tabulation import Table
from bench.store.gc_pause import uncollected
from bench.store.store import Store, out_option

#: Cells of a table, and of that of the runs.
_MOST_CELLS, _MOST_RUN_CELLS = 2_500, 5_000


def write_ranking(findings: Findings, store: Store, path: Path | None) -> Path:
    """Write the report of a ranking.

    Args:
        findings: What the ranking found.
        store: The store that has the trained networks' weights, for the predictions.
        path: The file; ``None``: ``reports/<key>.html`` in the store.

    Returns:
        The file.

    Raises:
        BadInput: It cannot be written.
    """
    path = path or store.root / "reports" / f"{findings.ranked.ranking.key}.html"
    return write_page(path, html(findings, store))


def report_command(ranking: Ranking, store: Store) -> str:
    """The command that makes the page from what the store has."""
    words = ["python", "-m", "bench.suite", "report", "--ranking", ranking.key]
    return f"{shlex.join(words)}{out_option(store.root)}"


@uncollected()
def html(findings: Findings, store: Store) -> str:
    """The report's text."""
    ranked = findings.ranked
    ranking, scored = ranked.ranking, ranked.scored
    palette = Palette(ranked.arms)
    words = ["--ranking", ranking.key]
    tables = ranking_tables(findings, load_suite(ranking.suite), SUMMARIES)
    tables = {name: shortened(table, words, store, _MOST_CELLS) for name, table in tables.items()}
    profiles, lengths = profiles_picture(findings, palette), lengths_picture(findings, palette)
    return fitted(
        "ranking.html",
        prediction_pictures(scored, store, palette),
        title=f"{ranking.name} · {ranking.suite}",
        kind=_kind(ranked),
        question=_question([one.label for one in ranking.arms if one.candidate]),
        headline=headline(findings),
        names={one.name: one.arm for one in ranking.arms if one.name},
        first=ranks_picture(findings),
        ranked=short_table(findings),
        rates=rates_text(ranked),
        limits=[*limits(findings), *_drawn(len(ranked.cases)), given(ranked.scored)],
        profiles=[profiles] if profiles else [],
        lengths=[lengths] if lengths else [],
        tuning=list(tuning_pictures(findings, palette)),
        curves=list(curve_pictures(scored, palette)),
        heat_map=heat_map_picture(scored),
        pareto=pareto_picture(scored, palette),
        tables=tables,
        runs=shortened(
            _runs(ranked, report_command(ranking, store)), words, store, _MOST_RUN_CELLS
        ),
        method=method(ranking),
        command=ranking.command,
        again=report_command(ranking, store),
        environments=environments(ranked.every_run),
    )


def _drawn(cases: int) -> list[str]:
    """A sentence on what the figures leave out, if anything."""
    said = shown_of("problems in figures", min(cases, MOST_CASES), cases)
    return [said.strip()] if said else []


def _runs(ranked: Ranked, command: str) -> Table:
    """The runs of the whole length, and where the others are; all as long as none is scored."""
    if not ranked.scored.plan.runs:
        return run_table(ranked.every_run)
    note = f"Runs of the whole length; with the others: {command} --format csv --table runs"
    return replace(run_table(ranked.scored), note=note)


def _question(candidates: list[str]) -> str:
    if len(candidates) < 2:
        return f"Where does {candidates[0]} rank?" if candidates else "How do the arms rank?"
    return f"Where do {', '.join(candidates[:-1])} and {candidates[-1]} rank?"


def _kind(ranked: Ranked) -> str:
    """What is ranked, how far it has got, and the time that was planned and taken."""
    ranking = ranked.ranking
    statuses = ", ".join(f"{n} {status}" for status, n in sorted(ranked.every_run.statuses.items()))
    times = ranking.times
    parts = [
        f"Ranking {ranking.name}",
        f"suite {ranking.suite}",
        f"budget {ranking.budget}",
        *([ranking.options] if ranking.options else []),
        statuses or "no runs yet",
        f"planned {_hours(times.planned_s)} h of {times.hours:g} h",
        f"taken {_hours(times.taken_s)} h",
    ]
    return " · ".join(parts)


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.3g}"
