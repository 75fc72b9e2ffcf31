"""Records as data frames."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bench.arm import AXES
from bench.report.leaderboard.board import Board
from bench.report.leaderboard.tables import step_ratio
from bench.report.results import Comparison
from bench.report.results import Results as PlanResults
from bench.statistics.effects import ratio
from bench.store.record import Record

_CATEGORIES = (
    "suite",
    "problem",
    "model",
    "arm",
    *AXES,
    "budget",
    "status",
    "device",
    "dtype",
    "schedule",
    "settings",
)


def run_frame(records: Sequence[Record]) -> pd.DataFrame:
    """A row for each run; see `bench.Results.frame`."""
    metrics = list(dict.fromkeys(name for record in records for name in record.metrics))
    rows = []
    for record in records:
        spec, timing = record.spec, record.timing
        row: dict[str, Any] = {
            "run": record.spec_hash,
            "suite": record.suite,
            "problem": record.problem,
            "model": record.model,
            "arm": record.arm,
            **{axis: spec.axes.get(axis) for axis in AXES},
            "seed": record.seed,
            "budget": record.budget,
            "device": spec.device,
            "dtype": spec.dtype,
            "lr": spec.training.lr,
            "schedule": spec.training.schedule,
            "settings": json.dumps(spec.settings, sort_keys=True),
            "status": record.status,
            "reason": record.reason,
            "steps": record.steps_done,
            "train_s": timing.train_s,
            "step_ms": timing.step_ms_median,
            "peak_memory_mb": record.peak_memory_mb,
            "parameters": record.task.get("parameters"),
        }
        for name in metrics:
            value = record.metrics.get(name)
            row[name] = np.nan if value is None or value.final is None else value.final
        rows.append(row)
    frame = pd.DataFrame(rows)
    if rows:
        frame = frame.astype(
            {
                **dict.fromkeys(_CATEGORIES, "category"),
                **dict.fromkeys(("seed", "steps"), "int64"),
                **dict.fromkeys(("train_s", "step_ms", "peak_memory_mb", *metrics), "float64"),
                "parameters": "Int64",
            }
        )
    frame.attrs["units"] = {
        "train_s": "s",
        "step_ms": "ms",
        "peak_memory_mb": "MB",
        **{name: _unit(records, name) for name in metrics},
    }
    return frame


def _unit(records: Iterable[Record], metric: str) -> str | dict[str, str]:
    """The unit of a metric; a dict of units by problem where they differ."""
    by_problem = {
        record.problem: record.units.get(metric, "1")
        for record in records
        if metric in record.metrics
    }
    units = set(by_problem.values())
    return units.pop() if len(units) == 1 else by_problem


def curve_frame(records: Sequence[Record], metrics: Sequence[str]) -> pd.DataFrame:
    """Metrics over the steps in long form; see `bench.Results.curves`."""
    parts = []
    for record in records:
        history = {
            name: np.array([np.nan if value is None else value for value in values], dtype=float)
            for name, values in record.history.items()
        }
        if "step" not in history:
            continue
        chosen = [n for n in history if n not in ("step", "seconds") and n in (metrics or history)]
        for name in chosen:
            part = pd.DataFrame(
                {
                    "step": history["step"].astype("int64"),
                    "seconds": history["seconds"],
                    "value": history[name],
                }
            )
            for column in ("suite", "problem", "model", "arm", "seed"):
                part[column] = getattr(record, column)
            parts.append(part.assign(run=record.spec_hash, metric=name))
    order = [
        "run",
        "suite",
        "problem",
        "model",
        "arm",
        "seed",
        "step",
        "seconds",
        "metric",
        "value",
    ]
    if not parts:
        return pd.DataFrame(columns=order)
    frame = pd.concat(parts, ignore_index=True)[order]
    names = ("run", "suite", "problem", "model", "arm", "metric")
    frame = frame.astype(dict.fromkeys(names, "category"))
    shown = list(frame["metric"].cat.categories)
    frame.attrs["units"] = {"seconds": "s", **{name: _unit(records, name) for name in shown}}
    return frame


def comparison_frame(
    comparisons: Sequence[Comparison], parts: Sequence[PlanResults]
) -> pd.DataFrame:
    """A row for each comparison; see `bench.Results.compare`.

    Args:
        comparisons: The comparisons.
        parts: The results that each comparison belongs to.
    """
    rows = []
    for comparison, part in zip(comparisons, parts, strict=True):
        found = comparison.effect
        rows.append(
            {
                "suite": part.plan.suite,
                "arm": comparison.variant,
                "reference": comparison.reference,
                "metric": comparison.metric,
                "ratio": ratio(found.estimate),
                "low": ratio(found.low),
                "high": ratio(found.high),
                "pairs": found.pairs,
                "problems": found.problems,
                "wins": found.wins,
                "ties": found.ties,
                "losses": found.losses,
                "diverged": found.diverged,
                "verdict": comparison.outcome,
            }
        )
    frame = pd.DataFrame(rows)
    frame.attrs["ratio"] = "error of the arm / error of the reference; below 1 the arm is better"
    return frame


def leaderboard_frame(boards: Sequence[Board]) -> pd.DataFrame:
    """A row for each arm of each leaderboard; see `bench.Results.leaderboard`."""
    rows = []
    for board in boards:
        for comparison in board.comparisons:
            found = comparison.effect
            entry = board.entries[comparison.variant]
            seeds = [len(ratios) for ratios in comparison.by_case.values()]
            rows.append(
                {
                    **board.conditions._asdict(),
                    "arm": entry.arm,
                    "tuned": entry.tuned is not None,
                    "metric": comparison.metric,
                    "verdict": comparison.outcome,
                    "ratio": ratio(found.estimate),
                    "low": ratio(found.low),
                    "high": ratio(found.high),
                    "problems": found.problems,
                    "least_seeds": min(seeds),
                    "most_seeds": max(seeds),
                    "pairs": found.pairs,
                    "wins": found.wins,
                    "ties": found.ties,
                    "losses": found.losses,
                    "diverged": sum(ours for ours, _ in comparison.lost.values()),
                    "step_ratio": step_ratio(board, comparison),
                }
            )
    frame = pd.DataFrame(rows)
    frame.attrs["ratio"] = "error of the arm / error of the baseline; below 1 the arm is better"
    frame.attrs["left_out"] = {str(board.conditions): dict(board.left_out) for board in boards}
    return frame
