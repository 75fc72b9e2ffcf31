"""The tables of a ranking's report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from bench.ranking.ranking import TRIAL_SEEDS
from bench.report.ranking.cells import bounds_text, cases_of_ratio, effect_cell, time_text
from bench.report.ranking.findings import Findings, Standing
from bench.report.ranking.targets import ToTarget, target
from bench.report.ranking.tuning import setting_text, tuning
from bench.report.ratios import interval, main_ratio
from bench.report.results import Case
from bench.report.study_tables import NAMES as STUDY_NAMES
from bench.report.study_tables import SUMMARIES as STUDY_SUMMARIES
from bench.report.study_tables import study_tables
from bench.report.tabulation import Cell, Table
from bench.statistics.summaries import CONFIDENCE
from bench.statistics.targets import Time, time_ratio
from bench.store.gc_pause import uncollected
from bench.task import Suite

#: Builders by the name of their table; one that has no rows is left out of a report.
Builder = Callable[[Findings], Table]


@uncollected()
def ranking_tables(findings: Findings, suite: Suite, names: Iterable[str]) -> dict[str, Table]:
    """The tables among `every_name` that are asked for and have rows, by name.

    Those of a study are of the scored runs at the whole length, but ``runs`` has all, the trials
    too.
    """
    asked, ranked = set(names), findings.ranked
    builders = zip(NAMES, BUILDERS, strict=True)
    own = [builder(findings) for name, builder in builders if name in asked]
    found = {table.name: table for table in own if table.rows}
    if ranked.scored.plan.runs:
        found |= study_tables(ranked.scored, suite, asked - {"runs"})
    return found | study_tables(ranked.every_run, suite, asked & {"runs"})


def every_name() -> tuple[str, ...]:
    """The tables that `ranking_tables` can have."""
    return (*NAMES, *STUDY_NAMES)


def standings_table(findings: Findings) -> Table:
    """Every arm in the order of its rank."""
    factors = list(findings.targets)
    rows = [_standing_row(one, factors) for one in findings.standings if one.rank is not None]
    noted = any(row[-1] for row in rows)
    return Table(
        "standings",
        f"Ranking by {findings.ranked.scored.main_metric}",
        [
            "arm",
            "verdict",
            "rank",
            "best rank",
            "worst rank",
            "error ratio",
            "of",
            "low",
            "high",
            "low (problems like these)",
            "high (problems like these)",
            "better on",
            "undecided on",
            "worse on",
            "diverges on",
            "the same run on",
            "no result on",
            *(f"steps to {factor:g}×" for factor in factors),
            *(f"seconds to {factor:g}×" for factor in factors),
            "ratio at equal seconds",
            "probability of improvement",
            "low (probability)",
            "high (probability)",
            "ms/step ×",
            "memory ×",
            *(["note"] if noted else []),
        ],
        rows if noted else [row[:-1] for row in rows],
        "error ratio: geometric mean over the problems, with each model, of the arm's error over"
        f" the reference's ({findings.ranked.reference}), 1 where both are the same run; below 1"
        " the arm's error is smaller. of: how many of them it is of; it is not of those on which"
        f" one side diverges or has no result. low, high: {CONFIDENCE:.0%} interval for other seeds"
        " on these problems and other trials by which the settings are chosen, and for problems"
        " like these. better, worse and undecided on: empty"
        " where nothing may be claimed. rank: by final error; best and worst rank hold for all arms"
        " at once. steps, seconds: to a multiple of the reference's median error, over the"
        f" reference's, from runs of several lengths, with a {CONFIDENCE:.0%} interval for other"
        " seeds; > and <: only a bound is known of the mean over all problems. seconds: from step"
        " times of runs that were made alike. ratio at equal seconds: at the length that takes the"
        " reference's seconds. probability of improvement: that a run's error is smaller than one"
        " of the reference. ms/step, memory: medians of paired ratios.",
    )


def _standing_row(one: Standing, factors: list[float]) -> list[Cell]:
    rank, compared = one.rank, one.comparison
    head: list[Cell] = [one.arm, one.verdict]
    head += [rank.rank, rank.low, rank.high] if rank is not None else [None] * 3
    if compared is None:
        counts = [*[None] * 8, one.diverges]
        return [*head, 1.0, *counts, *[None] * (2 + 2 * len(factors) + 6), ""]
    if not compared.effect.pairs:
        return [*head, *[None] * (12 + 2 * len(factors) + 6), ""]
    better = one.improvement
    return [
        *head,
        main_ratio(compared),
        f"{cases_of_ratio(compared)} of {one.cases}",
        *interval(compared),
        *interval(compared, like=True),
        *(one.on("better"), one.on("undecided"), one.on("worse"), one.diverges),
        *(one.on("the same run"), one.on("no result")),
        *(time_text(one.steps[factor]) for factor in factors),
        *(time_text(one.seconds[factor]) for factor in factors),
        effect_cell(one.equal_seconds.effect),
        *(better.probability, better.low, better.high),
        one.cost.step_ratio,
        one.cost.memory_ratio,
        f"the reference learned nothing on {', '.join(one.nothing)}" if one.nothing else "",
    ]


def targets_table(findings: Findings) -> Table:
    """Steps and seconds of each arm to each target on each case, and over all of them."""
    ranked = findings.ranked
    rows: list[list[Cell]] = []
    for factor, by_arm in findings.targets.items():
        rows += [
            [
                *("all", "", factor, None, arm, None, None, None, None),
                _beside(found, by_arm[ranked.reference], list(found.steps), counted=True),
            ]
            for arm, found in by_arm.items()
            if arm != ranked.reference and found.steps
        ]
    for case in ranked.scored.cases:
        for factor, by_arm in findings.targets.items():
            for arm, found in by_arm.items():
                if not found.steps.get(case):
                    continue
                known = [time for time in found.steps[case] if time.kind != "unknown"]
                rows.append(
                    [
                        case.problem,
                        case.model,
                        factor,
                        target(ranked, case, factor),
                        arm,
                        _steps_cell(found.median_steps(case)),
                        _time_cell(found.median_seconds(case)),
                        sum(time.reached for time in known),
                        len(known),
                        _beside(found, by_arm[ranked.reference], [case]),
                    ]
                )
    return Table(
        "targets",
        "Steps and seconds to a target",
        [
            *("problem", "model", "×", "target", "arm", "steps", "seconds", "reached", "seeds"),
            "beside the reference",
        ],
        rows,
        "×: multiples of the reference's median error at the whole length. Medians over the seeds"
        " of the length of the shortest schedule that reaches it, interpolated between runs that"
        " each have their own decay of the learning rate. >: not reached at the longest; <: already"
        " reached at the shortest. reached: by how many of the seeds that have a result. seconds:"
        " as where most of the reference's runs were made; none where no two runs of both were made"
        " alike. beside the"
        " reference: which of the two medians reaches it, and for all problems on how many.",
    )


def _beside(
    arm: ToTarget, reference: ToTarget, cases: Sequence[Case], counted: bool = False
) -> str:
    """Which of the two reach the target: ``both``; ``both 2, reference alone 1``."""
    if arm.arm == reference.arm:
        return ""
    found = time_ratio(
        [arm.median_steps(case) for case in cases], [reference.median_steps(case) for case in cases]
    )
    counts = {
        "both": found.both,
        "alone": found.alone,
        "reference alone": found.reference_alone,
        "neither": found.neither,
        "unknown": found.unknown,
    }
    said = [f"{word} {count}" if counted else word for word, count in counts.items() if count]
    return ", ".join(said)


def _steps_cell(time: Time) -> Cell:
    return round(time.low) if time.kind == "exact" else bounds_text(time)


def _time_cell(time: Time) -> Cell:
    return time.low if time.kind == "exact" else bounds_text(time)


def lengths_table(findings: Findings) -> Table:
    """Final errors of each arm at each length."""
    ranked = findings.ranked
    rows: list[list[Cell]] = []
    for case in ranked.scored.cases:
        for share, results in ranked.by_length.items():
            for arm in ranked.arms:
                runs = results.runs(case, arm)
                if not results.of(case, arm):
                    continue
                found = results.summary(case, arm, ranked.metric(case))
                steps = next(iter(runs.values())).spec.training.total_steps
                rows.append(
                    [
                        *(case.problem, case.model, arm, share, steps),
                        *(found.median, found.low, found.high, found.seeds, found.diverged),
                    ]
                )
    return Table(
        "lengths",
        "Final errors at each length",
        [
            *("problem", "model", "arm", "length", "steps"),
            *("median", "low", "high", "seeds", "diverged"),
        ],
        rows,
        "length: in shares of the budget's steps; every run decays its learning rate over its own"
        " length. low, high: as in the table of errors.",
    )


def tuning_table(findings: Findings) -> Table:
    """Every setting that was tried."""
    ranked = findings.ranked
    rows: list[list[Cell]] = []
    for case in ranked.cases:
        for one in tuning(ranked, case):
            marks = [
                *(["chosen"] if one.chosen else []),
                *(["at the edge"] if one.at_edge else []),
                *(["untuned"] if one.untuned else []),
            ]
            rows.append(
                [
                    *(case.problem, case.model, one.arm, setting_text(one.setting)),
                    ", ".join(marks),
                    *(one.selections.get(seed) for seed in TRIAL_SEEDS),
                    *(one.selection, one.error, one.diverged, one.failed, one.missing),
                ]
            )
    return Table(
        "tuning",
        "Settings that were tried",
        [
            *("problem", "model", "arm", "setting", "mark"),
            *(f"selection, seed {k + 1}" for k in range(len(TRIAL_SEEDS))),
            *("selection", "test error", "diverged", "failed", "missing"),
        ],
        rows,
        "Trials have the whole length and seeds that are not scored. selection: the loss on"
        " held-out data by which a setting is chosen, within an arm only; geometric mean over the"
        " seeds. The test error decides nothing.",
    )


def sensitivity_table(findings: Findings) -> Table:
    """The rank of each arm by each criterion."""
    arms = [one.arm for one in findings.standings]
    return Table(
        "sensitivity",
        "Ranks by other criteria",
        ["criterion", *arms],
        [[one.name, *(one.ranks.get(arm) for arm in arms)] for one in findings.criteria],
        "Ranks without an interval, among the arms that have a value on every problem; the verdicts"
        " are those of the final error alone.",
    )


def cost_table(findings: Findings) -> Table:
    """What each arm costs."""
    return Table(
        "cost",
        "Cost",
        ["arm", "ms/step", "ms/step ×", "peak MB", "memory ×", "trials", "tuning s"],
        [
            [
                *(one.arm, one.step_ms, one.step_ratio, one.memory_mb, one.memory_ratio),
                *(one.trials, one.tuning_s),
            ]
            for one in findings.costs.values()
        ],
        "Medians; ×: of paired ratios to the reference. tuning s: seconds of all trials of an arm.",
    )


def untuned_table(findings: Findings) -> Table:
    """The error ratios without tuning."""
    ranked = findings.ranked
    rows: list[list[Cell]] = []
    for one in findings.untuned.values():
        if not one.untuned:
            continue
        rows.append(["all", "", one.arm, effect_cell(one.effect), effect_cell(one.tuned_effect)])
        rows += [
            [case.problem, case.model, one.arm, *(effect_cell(e) for e in one.on(case))]
            for case in one.untuned
        ]
    return Table(
        "untuned",
        f"Error ratios without tuning ({len(TRIAL_SEEDS)} seeds, no claim)",
        ["problem", "model", "arm", "untuned", "tuned"],
        rows,
        f"Test error over that of {ranked.reference}, both at the setting that they have without"
        " tuning, and both at the chosen one, on the seeds of the trials.",
    )


#: The tables of a ranking itself.
BUILDERS: tuple[Builder, ...] = (
    standings_table,
    targets_table,
    lengths_table,
    tuning_table,
    sensitivity_table,
    cost_table,
    untuned_table,
)

#: Their names, and those of a report's tables that say something of more than a run.
NAMES = tuple(builder.__name__.removesuffix("_table") for builder in BUILDERS)
SUMMARIES = (*NAMES, *STUDY_SUMMARIES)
