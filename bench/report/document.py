"""A study's report as one HTML file that needs nothing else."""

from __future__ import annotations

from pathlib import Path

from bench.plugins import load_suite
from bench.report.answer import MOST_LISTED, headline, ranking
from bench.report.figures.style import Palette
from bench.report.findings import limits
from bench.report.pictures import (
    curve_pictures,
    effects_picture,
    factorial_picture,
    heat_map_picture,
    pareto_picture,
    prediction_pictures,
)
from bench.report.rendering import write_page
from bench.report.results import Results
from bench.report.room import fitted
from bench.report.run_table import environments, run_table
from bench.report.shortening import MOST_CASES, shortened, shown_of, words_of
from bench.report.study_tables import SUMMARIES, study_tables
from bench.store.gc_pause import uncollected
from bench.store.store import Store


def write_html(results: Results, store: Store, path: Path | None) -> Path:
    """Write the report.

    Args:
        results: The results of the study.
        store: The store that has the trained networks' weights, for the predictions.
        path: The file; ``None``: ``reports/<plan>.html`` in the store.

    Returns:
        The file.

    Raises:
        BadInput: It cannot be written.
    """
    path = path or store.root / "reports" / f"{results.plan.key}.html"
    return write_page(path, html(results, store))


@uncollected()
def html(results: Results, store: Store) -> str:
    """The report's text."""
    suite = load_suite(results.plan.suite)
    words = words_of(results.plan)
    whole = study_tables(results, suite, SUMMARIES)
    tables = {name: shortened(table, words, store) for name, table in whole.items()}
    drawn = shown_of("problems in figures", min(len(results.cases), MOST_CASES), len(results.cases))
    palette = Palette(results.variants)
    ranked = ranking(results)
    return fitted(
        "study.html",
        prediction_pictures(results, store, palette),
        plan=results.plan,
        headline=headline(results),
        ranking=ranked[:MOST_LISTED],
        unlisted=len(ranked) - MOST_LISTED,
        limits=[*limits(results), *filter(None, [drawn.strip()]), given(results)],
        first=effects_picture(results),
        factorial=factorial_picture(results),
        heat_map=heat_map_picture(results),
        curves=list(curve_pictures(results, palette)),
        pareto=pareto_picture(results, palette),
        tables=tables,
        runs=shortened(run_table(results), words, store),
        statuses=results.statuses,
        environments=environments(results),
    )


def given(results: Results) -> str:
    """What every answer takes as given."""
    return (
        "The problems and models are taken as given: intervals are about other seeds on these, not"
        f" about other problems. Budget {results.plan.budget}: other training lengths can rank arms"
        " differently."
    )
