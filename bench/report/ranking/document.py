"""A ranking's report as one HTML file that needs nothing else."""

from __future__ import annotations

import shlex
from pathlib import Path

from bench.plugins import load_suite
from bench.ranking.ranking import Ranking
from bench.report.figures.style import Palette
from bench.report.html import rendered, write_page
from bench.report.pictures import (
    curve_pictures,
    heat_map_picture,
    pareto_picture,
    prediction_pictures,
)
from bench.report.ranking.findings import Findings
from bench.report.ranking.headline import headline
from bench.report.ranking.limits import limits
from bench.report.ranking.pictures import (
    lengths_picture,
    profiles_picture,
    ranks_picture,
    tuning_pictures,
)
from bench.report.ranking.tables import SUMMARIES, ranking_tables
from bench.report.run_table import environments, run_table
from bench.report.shortening import MOST_CASES, shortened, shown_of
from bench.store.gc_pause import uncollected
from bench.store.store import Store, out_option


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
    drawn = shown_of("problems in figures", min(len(ranked.cases), MOST_CASES), len(ranked.cases))
    return rendered(
        "ranking.html",
        ranking=ranking,
        plan=scored.plan,
        headline=headline(findings),
        limits=[*limits(findings), *filter(None, [drawn.strip()])],
        names={one.name: one.arm for one in ranking.arms if one.name},
        first=ranks_picture(findings),
        profiles=profiles_picture(findings, palette),
        lengths=lengths_picture(findings, palette),
        tuning=list(tuning_pictures(findings, palette)),
        heat_map=heat_map_picture(scored),
        curves=list(curve_pictures(scored, palette)),
        pareto=pareto_picture(scored, palette),
        predictions=list(prediction_pictures(scored, store, palette)),
        tables={name: shortened(table, words, store) for name, table in tables.items()},
        runs=shortened(run_table(ranked.every_run), words, store),
        statuses=ranked.every_run.statuses,
        environments=environments(ranked.every_run),
        command=report_command(ranking, store),
    )
