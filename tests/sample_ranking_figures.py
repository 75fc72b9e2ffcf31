"""The figures and the page of a ranking, from made-up numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from sample_study import constant, plan, records

from bench.report.figures.curves import Series
from bench.report.figures.lengths import LengthPanel, lengths
from bench.report.figures.profiles import Profile, profiles
from bench.report.figures.ranks import RankRow, ranks
from bench.report.figures.style import Palette
from bench.report.figures.tuning import Tried, TuningPanel, tuning
from bench.report.pictures import Picture, curve_pictures, heat_map_picture, pareto_picture
from bench.report.rendering import page
from bench.report.results import Results
from bench.report.run_table import environments, run_table
from bench.report.study_tables import SUMMARIES, study_tables
from bench.report.tabulation import Table
from bench.store.record import Timing

NAN, INF = math.nan, math.inf
VERDICTS = ("better", "worse", "equivalent", "mixed", "undecided", "no claim")
RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
STEPS = (3750.0, 7500.0, 15000.0, 30000.0)
TARGETS = [(0.1 * factor, f"×{factor:g}") for factor in (0.5, 1.0, 2.0, 5.0)]


def rank_rows(arms: Sequence[str], seed: int = 0) -> list[RankRow]:
    """The first arm is the reference; some diverge, some never get to the target."""
    rng = np.random.default_rng(seed)
    rows = [RankRow(arms[0], "reference", 3, 2, 5, 1, NAN, NAN, 1)]
    for k, arm in enumerate(arms[1:]):
        ratio, time = np.exp(rng.normal(scale=0.8, size=2)).tolist()
        bound = "more" if k % 4 == 1 else "less" if k % 4 == 2 else ""
        row = RankRow(arm, VERDICTS[k % len(VERDICTS)], k + 1, max(1, k - 1), k + 3, ratio,
                      0.7 * ratio, 1.4 * ratio, time, bound, k % 7, k % 3, k % 2)  # fmt: skip
        if k % 5 == 4:
            row = lost_row(arm)
        rows.append(row)
    return rows


def lost_row(arm: str) -> RankRow:
    """An arm that diverged everywhere."""
    return RankRow(
        arm, "worse", NAN, NAN, NAN, INF, NAN, NAN, NAN, diverged=3, lost="9 of 9 diverged"
    )


def profile(arm: str, seed: int = 0, problems: int = 12) -> Profile:
    """Of an arm that is within some factor of the best on every problem."""
    rng = np.random.default_rng([seed, len(arm)])
    tau = np.concatenate([[1.0], np.sort(np.exp(rng.exponential(1, problems - 1))), [100.0]])
    share = np.append(np.arange(1, problems + 1) / problems, 1.0)
    return Profile(arm, tau, share, np.clip(share - 0.1, 0, 1), np.clip(share + 0.1, 0, 1))


def tried(seed: int = 0) -> list[Tried]:
    """A bowl over the rates; at the largest one or both seeds diverge."""
    rng = np.random.default_rng(seed)
    best = int(rng.integers(1, 4))
    found = []
    for k, rate in enumerate(RATES):
        scores = (0.1 * np.exp(0.3 * (k - best) ** 2 + rng.normal(scale=0.1, size=2))).tolist()
        if k == len(RATES) - 1:
            scores = [scores[0] if seed % 2 else INF, INF]
        found.append(Tried(rate, scores, k == best))
    return found


def tuning_panels(title: str, arms: Sequence[str]) -> list[TuningPanel]:
    """Test error and selection."""
    return [
        TuningPanel(f"{title}: {score}", "learning rate", score,
                    [(arm, tried(7 * k + len(score))) for k, arm in enumerate(arms)])
        for score in ("L2RE", "selection")
    ]  # fmt: skip


def length_panel(title: str, arms: Sequence[str]) -> LengthPanel:
    """Errors that fall with the steps."""
    rng = np.random.default_rng(len(title))
    steps = np.array(STEPS)
    series = []
    for arm in arms:
        middle = 0.3 * np.exp(rng.normal(scale=0.4)) * (steps / STEPS[0]) ** -0.7
        series.append(Series(arm, steps, middle, 0.8 * middle, 1.25 * middle))
    return LengthPanel(title, "L2RE", series, TARGETS)


def ranking_values(results: Results) -> dict[str, Any]:
    """What ``ranking.html`` shows, of a study's results and of figures from made-up numbers."""
    arms, palette = list(results.variants), Palette(results.variants)
    tables = study_tables(results, _suite(), SUMMARIES)
    titles = [results.title(case) for case in results.cases]
    heat_map, pareto = heat_map_picture(results), pareto_picture(results, palette)
    assert heat_map and pareto
    profile_panels = [
        (target, [profile(arm, k) for arm in arms])
        for k, target in enumerate(("final error", "steps to the target", "steps to half of it"))
    ]
    rows = rank_rows(arms)
    return {
        "title": "sample · pinn",
        "kind": "Ranking sample · suite pinn",
        "question": "Where does it rank?",
        "headline": ["Better on 3 problems, undecided on 1."],
        "names": results.plan.names,
        "first": Picture("Ranking", ranks(rows, "L2RE", "ranks"), "Best first."),
        "ranked": Table("ranks", "Ranking", ["arm", "verdict", "rank", "ratio"],
                        [[row.label, row.verdict, row.rank, row.ratio] for row in rows]),
        "limits": ["Three seeds."],
        "rates": "rates: baseline 3e-3 everywhere",
        "profiles": [Picture("Profiles", profiles(profile_panels, palette, 3, "profiles"), "τ.")],
        "lengths": [Picture("Lengths", lengths([length_panel(title, arms) for title in titles],
                                               palette, 2, "lengths"), "Final errors.")],
        "tuning": [Picture(f"Tuning: {title}", tuning(tuning_panels(title, arms), palette, 2,
                                                      f"tuning-{k}"), "Two seeds.")
                   for k, title in enumerate(titles)],
        "curves": list(curve_pictures(results, palette)),
        "pareto": pareto,
        "heat_map": heat_map,
        "predictions": [],
        "tables": {name: table for name, table in tables.items() if name in ("errors", "values")},
        "runs": run_table(results),
        "command": results.plan.command,
        "again": "python -m bench.suite report --ranking sample",
        "method": ["Equal tuning."],
        "environments": environments(results),
    }  # fmt: skip


def ranking_page(results: Results) -> str:
    """The page."""
    return page("ranking.html", **ranking_values(results))


def _suite() -> Any:
    from bench.plugins import load_suite

    return load_suite("pinn")


def large_results(arms: int, problems: int, seeds: int) -> Results:
    """Of runs whose names, commands and histories are as long as real ones."""
    names = ["baseline", *(f"activation=mine.own:Snake{k}+featurewise" for k in range(arms - 1))]
    made = plan(names, [f"problem-number-{k}" for k in range(problems)], range(seeds))
    command = "python -m bench.suite pinn --problem compressible-flow-1d --model fnn:40x6 --arm {}"
    command += " --seed {} --budget short --protocol standard --learning-rate 0.0003 --device cpu"
    runs = [
        msgspec.structs.replace(run, command=command.format(run.spec.arm, run.spec.seed))
        for run in made.runs
    ]
    made = msgspec.structs.replace(made, runs=runs)
    levels: dict[str, float | str | None] = {arm: 0.1 * 1.3**-k for k, arm in enumerate(names)}
    rng = np.random.default_rng(0)
    there = {}
    for name, record in records(made, constant(levels, 0.3)).items():
        error = record.metrics["L2RE"].final
        assert error is not None
        falling = np.geomspace(1.0, error, 101) * np.exp(rng.normal(scale=0.2, size=101))
        steps = [150.0 * k for k in range(101)]
        seconds = (np.arange(101) * 0.1371 * np.exp(rng.normal(scale=0.02))).tolist()
        there[name] = msgspec.structs.replace(
            record,
            history={"step": steps, "seconds": seconds, "L2RE": falling.tolist()},
            losses={"step": steps, "loss": (0.1 * falling).tolist()},
            timing=Timing(*rng.lognormal(size=6).tolist(), 7),
            peak_memory_mb=float(rng.lognormal(6)),
        )
    return Results(made, there)
