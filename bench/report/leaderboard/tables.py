"""The tables of a leaderboard: its arms, the best arm of each problem, published figures."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import replace

from bench.arm import BASELINE
from bench.plugins import load_suite
from bench.report.answer import remarks
from bench.report.findings import mixture
from bench.report.leaderboard.board import Board, Entry
from bench.report.ratios import interval, main_ratio
from bench.report.results import Case, Comparison
from bench.report.step_times import Pair, alike, ratio_of, step_ms
from bench.report.tabulation import Cell, Table
from bench.report.whole_store import said_left_out
from bench.statistics.claims import LEAST_SEEDS_ALONE
from bench.task import PublishedFigures

_HEADER = (
    "arm",
    "verdict",
    "error ratio",
    "low",
    "high",
    "low (problems like these)",
    "high (problems like these)",
    "problems",
    "seeds",
    "wins",
    "ties",
    "losses",
    "diverged",
    "ms/step ×",
    "rate",
    "tuning",
    "note",
)

_NOTE = (
    "error ratio: geometric mean over the problems, with each model, of the arm's error over the"
    " baseline's of the same seed; below 1 the arm's error is smaller. low, high: 95 % interval for"
    " other seeds on these problems, and for other problems like these. All arms of the table are"
    f" one family: with {LEAST_SEEDS_ALONE} seeds on each of its problems an arm may claim, by p"
    " values corrected for the number of arms (Holm). diverged: runs of the arm, of all that have a"
    " baseline. ms/step ×: against the baseline's, where both ran on the same device beside equally"
    " many runs. tuning: “tuned” is an arm at the setting that a ranking chose for it, against the"
    " baseline at its own; “one rate” is both at the same."
)


def board_tables(board: Board) -> list[Table]:
    """The tables of a leaderboard that have rows: ``arms``, ``problems`` and ``published``."""
    tables = (_arms(board), _problems(board), _published(board))
    return [table for table in tables if table.rows]


def sentences(board: Board) -> list[str]:
    """What a reader must know beside the tables: what was left out, and mixed machines or code."""
    said = []
    without = [comparison for comparison in board.every if not comparison.effect.pairs]
    for why, names in (
        ("The same run as the baseline", [one.variant for one in without if one.noops]),
        ("No baseline with an equal seed", [one.variant for one in without if not one.noops]),
    ):
        if names:
            said.append(f"{why}, so not in the table: {', '.join(names)}.")
    if board.left_out:
        said.append(f"Left out: {said_left_out(board.left_out)}.")
    used = {spec.hash for spec in board.results.plan.specs}
    return [*said, *mixture([board.results.records[name] for name in sorted(used)])]


def _arms(board: Board) -> Table:
    rows: list[list[Cell]] = [_row(board, comparison) for comparison in board.comparisons]
    title = f"Arms against the baseline ({board.results.main_metric})" if rows else "Arms"
    return Table("arms", title, _HEADER, rows, _NOTE)


def _row(board: Board, comparison: Comparison) -> list[Cell]:
    results, found = board.results, comparison.effect
    entry = board.entries[comparison.variant]
    counts = [len(ratios) for ratios in comparison.by_case.values()]
    lost = sum(ours for ours, _ in comparison.lost.values())
    edge = f", {entry.at_edge} at an edge" if entry.at_edge else ""
    return [
        entry.name,
        comparison.outcome,
        main_ratio(comparison),
        *interval(comparison),
        *interval(comparison, like=True),
        f"{found.problems} of {len(results.cases)}",
        _range(counts),
        found.wins,
        found.ties,
        found.losses,
        f"{lost} of {found.pairs}",
        step_ratio(board, comparison),
        _rates(board, entry),
        "one rate" if entry.tuned is None else f"tuned{edge}",
        "; ".join(remarks(results, comparison)),
    ]


def _range(counts: Sequence[int]) -> Cell:
    least, most = min(counts), max(counts)
    return least if least == most else f"{least} to {most}"


def step_ratio(board: Board, comparison: Comparison) -> float | None:
    """How many times as long as the baseline's a step takes; ``None`` where it cannot be told.

    It is the geometric mean over the cases of the seeds' geometric mean, of the pairs whose two
    runs were on the same device beside equally many.
    """
    logs = []
    for case in comparison.by_case:
        ours = board.results.of(case, comparison.variant)
        theirs = board.results.of(case, comparison.reference)
        pairs: list[Pair] = [(ours[seed], theirs[seed]) for seed in sorted(ours.keys() & theirs)]
        found = ratio_of([pair for pair in pairs if alike(pair)], step_ms)
        logs += [] if found is None else [math.log(found)]
    return math.exp(statistics.fmean(logs)) if logs else None


def _rates(board: Board, entry: Entry) -> str:
    """``0.001``, or the least and the greatest over the problems."""
    rates = sorted({s.training.lr for s in board.results.plan.specs if s.arm == entry.name})
    return " to ".join(f"{rate:g}" for rate in dict.fromkeys((rates[0], rates[-1])))


def _problems(board: Board) -> Table:
    """Of each case the arm with the least median error, and the baselines."""
    results = board.results
    rows: list[list[Cell]] = []
    for case in results.cases:
        shown = [name for name in board.entries if results.of(case, name)]
        medians = {name: _median(board, case, name) for name in shown}
        finite = [name for name in shown if math.isfinite(medians[name])]
        best = min(finite, key=lambda name: medians[name], default=None)
        baselines = [name for name in shown if board.entries[name].arm == BASELINE]
        for what, names in (("best", [best] if best else []), ("baseline", baselines)):
            for name in names:
                entry = board.entries[name]
                rows.append(
                    [
                        case.problem,
                        case.model,
                        what,
                        entry.arm,
                        results.metric(case),
                        medians[name],
                        results.unit(results.metric(case), case),
                        entry.setting(case, results),
                        "one rate" if entry.tuned is None else "tuned",
                        len(results.of(case, name)),
                    ]
                )
    header = ["problem", "model", "what", "arm", "metric", "median", "unit", "setting", "tuning"]
    return Table(
        "problems",
        "The best arm of each problem",
        [*header, "seeds"],
        rows,
        "best: the least of all arms' median errors over seeds, of which nothing is claimed: the"
        " more arms there are, the luckier is the best. A run that diverged has the largest error.",
    )


def _median(board: Board, case: Case, name: str) -> float:
    found = board.results.median(case, name, board.results.metric(case))
    return math.inf if found is None else found


def _published(board: Board) -> Table:
    """Published figures of the baseline; they are shown, and no claim has them in it."""
    suite = load_suite(board.conditions.suite)
    rows: list[list[Cell]] = []
    source = ""
    if isinstance(suite, PublishedFigures):
        source = suite.published_source
        for case in board.results.cases:
            runs = board.results.runs(case, BASELINE) or board.results.runs(
                case, f"{BASELINE} (tuned)"
            )
            for run in list(runs.values())[:1]:
                for figure in suite.published(run.spec):
                    what = (case.problem, case.model, f"{BASELINE}, published", figure.metric)
                    rows.append([*what, figure.value, figure.unit, figure.data])
    return Table(
        "published",
        "Published figures of the baseline",
        ["problem", "model", "arm", "metric", "published", "unit", "published for"],
        rows,
        f"{source} They are part of no claim: data, widths and training lengths differ from those"
        " here.",
    )


def titled(board: Board, tables: Sequence[Table]) -> list[Table]:
    """The tables with the conditions in their titles, where several boards stand together."""
    return [replace(table, title=f"{board.conditions}: {table.title}") for table in tables]
