"""`RankingResults`: what a ranking found, as Python sees it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from bench.api.frames import curve_frame
from bench.ranking.ranking import Ranking
from bench.report.ranking.cells import cases_of_ratio
from bench.report.ranking.document import write_ranking
from bench.report.ranking.findings import Findings, Standing
from bench.report.ranking.headline import headline
from bench.report.ranking.limits import limits
from bench.report.ranking.ranked import Ranked
from bench.report.ranking.targets import RelativeTime
from bench.report.ranking.tuning import tuning
from bench.report.ratios import interval, main_ratio
from bench.statistics.effects import ratio
from bench.store.store import Store
from bench.text.errors import BadInput

if TYPE_CHECKING:
    from bench.store.record import Record

_CATEGORIES = ("suite", "problem", "model", "arm", "verdict")


class RankingResults:
    """What a ranking found, on one suite or several.

    Args:
        store: The store that keeps its runs.
        rankings: The ranking on each suite.
    """

    def __init__(self, store: Store, rankings: Sequence[Ranking]) -> None:
        self._store = store
        self.rankings = list(rankings)

    @cached_property
    def parts(self) -> list[Findings]:
        """The findings on each suite, as the store had them when they were first asked for."""
        return [Findings(Ranked.read(one, self._store)) for one in self.rankings]

    @property
    def answer(self) -> str:
        """Where each candidate ranks, and what limits that, in sentences."""
        return "\n\n".join("\n".join([*headline(part), *limits(part)]) for part in self.parts)

    def frame(self) -> pd.DataFrame:
        """A row for each arm on each suite, in the order of its rank.

        Returns:
            ``ratio`` is the error over the reference's, below 1 if it is better, with ``low`` and
            ``high``, the ends of its 95 % interval; it is of ``cases_of_ratio`` of the ``cases``.
            ``rank_low`` and ``rank_high`` are the best and the worst rank that the data allow.
            ``better_on`` and ``worse_on`` are NaN where nothing may be claimed. ``steps_to_1`` is
            the time to the reference's median error over the reference's own, and so on for its
            multiples, with a 95 % interval for other seeds in ``steps_to_1_low`` and
            ``steps_to_1_high``: where it is not known exactly on some problem it is NaN, and these
            are bounds of it on those that have a target. Missing figures are NaN.
        """
        rows = [
            {"suite": part.ranked.ranking.suite, **_row(part, one)}
            for part in self.parts
            for one in part.standings
        ]
        frame = _with_categories(pd.DataFrame(rows))
        frame.attrs["ratio"] = "error of the arm / error of the reference"
        return frame

    def tuning(self) -> pd.DataFrame:
        """A row for each trial that has a result.

        Returns:
            ``selection`` is the loss on held-out data by which a setting is chosen, within an arm;
            ``error`` is the test error, which decides nothing. Both are infinite where the run
            diverged. What is tuned has a column for each name.
        """
        rows = [
            {
                "suite": part.ranked.ranking.suite,
                "problem": case.problem,
                "model": case.model,
                "arm": one.arm,
                **one.setting,
                "seed": seed,
                "selection": selection,
                "error": one.errors.get(seed, math.nan),
                "chosen": one.chosen,
                "untuned": one.untuned,
                "at_edge": one.at_edge,
            }
            for part in self.parts
            for case in part.ranked.cases
            for one in tuning(part.ranked, case)
            for seed, selection in one.selections.items()
        ]
        return _with_categories(pd.DataFrame(rows))

    def curves(self, *metrics: str) -> pd.DataFrame:
        """Metrics over the steps of the scored runs of the whole length; see
        `bench.Results.curves`."""
        found: list[Record] = []
        for part in self.parts:
            scored = part.ranked.scored
            for case, arm in scored.ended:
                for record in scored.of(case, arm).values():
                    whole = self._store.read(record.spec_hash) or record
                    found.append(whole.labelled(scored.runs(case, arm)[record.seed].spec))
        return curve_frame(found, metrics)

    def report(self, path: Path | str) -> Path:
        """Write the ranking's page: one file that needs nothing else.

        Args:
            path: The HTML file.

        Returns:
            The same path.

        Raises:
            BadInput: The ranking is of several suites, each of which has a page of its own.
        """
        if len(self.parts) != 1:
            suites = ", ".join(one.suite for one in self.rankings)
            raise BadInput(f"a page is of one suite, and this ranking has {suites}: name one")
        return write_ranking(self.parts[0], self._store, Path(path))

    def __repr__(self) -> str:
        return self.answer


def _row(part: Findings, one: Standing) -> dict[str, Any]:
    rank, compared, better = one.rank, one.comparison, one.improvement
    pairs = compared is not None and bool(compared.effect.pairs)
    row: dict[str, Any] = {
        "arm": one.arm,
        "candidate": one.candidate,
        "verdict": one.verdict,
        "rank": math.nan if rank is None else rank.rank,
        "rank_low": math.nan if rank is None else rank.low,
        "rank_high": math.nan if rank is None else rank.high,
    }
    low: float | None
    high: float | None
    if compared is None:
        row["ratio"], low, high = 1.0, None, None
    else:
        found = main_ratio(compared) if pairs else math.nan
        row["ratio"] = found if isinstance(found, float) else found.rank
        low, high = interval(compared) if pairs else (None, None)
    row |= {
        "low": _number(low),
        "high": _number(high),
        "better_on": _number(one.on("better")),
        "undecided_on": _number(one.on("undecided")),
        "worse_on": _number(one.on("worse")),
        "diverges_on": _number(one.diverges),
        "no_result_on": _number(one.on("no result")),
        "cases": one.cases,
        "cases_of_ratio": one.cases if compared is None else cases_of_ratio(compared),
    }
    for kind, by_factor in (("steps", one.steps), ("seconds", one.seconds)):
        for factor, time in by_factor.items():
            row |= _time(f"{kind}_to_{factor:g}", time)
    untuned = part.untuned.get(one.arm)
    return row | {
        "ratio_at_equal_seconds": ratio(one.equal_seconds.effect.estimate),
        "ratio_untuned": math.nan if untuned is None else ratio(untuned.effect.estimate),
        "improvement": better.probability,
        "improvement_low": better.low,
        "improvement_high": better.high,
        "step_ms": _number(one.cost.step_ms),
        "step_ratio": _number(one.cost.step_ratio),
        "memory_ratio": _number(one.cost.memory_ratio),
        "trials": one.cost.trials,
        "tuning_s": one.cost.tuning_s,
    }


def _time(name: str, found: RelativeTime) -> dict[str, float]:
    if found.whole:
        return {name: found.ratio.estimate, f"{name}_low": found.low, f"{name}_high": found.high}
    return {name: math.nan, f"{name}_low": found.ratio.low, f"{name}_high": found.ratio.high}


def _number(value: float | int | None) -> float:
    return math.nan if value is None else float(value)


def _with_categories(frame: pd.DataFrame) -> pd.DataFrame:
    there = [name for name in _CATEGORIES if name in frame]
    return frame.astype(dict.fromkeys(there, "category"))
