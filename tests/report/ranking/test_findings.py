"""What a ranking found, from records of known errors."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import msgspec
import numpy as np
import pytest
from sample_ranking import ARMS, STEPS, Scores, at_rate, falling, ranking
from sample_study import PROBLEMS

from bench.ranking.ranking import TRIAL_SEEDS, Length, Ranking, Setting
from bench.report.ranking.cells import time_text
from bench.report.ranking.findings import Findings
from bench.report.ranking.headline import headline, sentence
from bench.report.ranking.limits import limits
from bench.report.ranking.short_table import short_table
from bench.report.ranking.tables import targets_table
from bench.report.ranking.targets import target
from bench.report.ranking.tuning import tuning
from bench.spec.spec import Spec
from bench.statistics.effects import ratio
from bench.store.record import Record
from bench.studies.plan import PlannedRun

ERRORS = {"baseline": 0.4, "irelu": 0.2, "lsuv": 0.4}

Find = Callable[..., Findings]


def test_standings_are_the_true_ones(find: Find) -> None:
    # Without spread, so that every figure is known: half the error everywhere.
    found = find(falling(ERRORS, spread=0.0)).standings
    assert [one.arm for one in found] == ["irelu", "baseline", "lsuv"]
    first = found[0]
    assert first.verdict == "better" and first.rank is not None and first.comparison is not None
    assert (first.rank.rank, first.rank.low, first.rank.high) == (1, 1, 1)
    assert ratio(first.comparison.effect.estimate) == pytest.approx(0.5)
    assert (first.on("better"), first.on("worse"), first.on("diverges")) == (3, 0, 0)
    assert first.improvement.probability == 1.0
    # Equal arms share a rank.
    ranks = {one.arm: one.rank.rank for one in found if one.rank is not None}
    assert ranks == {"irelu": 1, "baseline": 2, "lsuv": 2}
    assert {one.arm: one.verdict for one in found}["lsuv"] == "equivalent"


def test_times_to_targets_are_interpolated_and_censored(find: Find) -> None:
    # Errors are inverse to the steps: 0.4 of the baseline at the whole length.
    findings = find(falling(ERRORS, spread=0.0), step_ms={"irelu": 2.0})
    case = findings.ranked.cases[0]
    assert target(findings.ranked, case, 2.0) == pytest.approx(0.8)
    of_baseline = findings.targets[1.0]["baseline"]
    of_irelu = findings.targets[1.0]["irelu"]
    assert of_baseline.median_steps(case).low == pytest.approx(STEPS)
    assert of_irelu.median_steps(case).low == pytest.approx(STEPS / 2)
    # Twice the time a step: as many seconds.
    assert of_irelu.median_seconds(case).low == pytest.approx(of_baseline.median_seconds(case).low)
    (first, *_) = findings.standings
    assert first.steps[1.0].ratio.estimate == pytest.approx(0.5)
    assert first.seconds[1.0].ratio.estimate == pytest.approx(1.0)
    # Five times the error is reached by every arm at the shortest length: no ratio is known.
    assert of_irelu.median_steps(case).kind == "exact"
    easy = findings.targets[5.0]["irelu"].median_steps(case)
    assert (easy.kind, easy.high) == ("at most", STEPS / 4)
    assert math.isnan(first.steps[5.0].ratio.estimate)


def test_a_target_that_is_not_reached_is_a_bound(find: Find) -> None:
    findings = find(falling({"baseline": 0.4, "irelu": 4.0, "lsuv": 0.4}, spread=0.0))
    case = findings.ranked.cases[0]
    time = findings.targets[1.0]["irelu"].median_steps(case)
    assert (time.kind, time.low) == ("more than", 2 * STEPS)
    found = {one.arm: one for one in findings.standings}["irelu"].steps[1.0].ratio
    assert math.isnan(found.estimate) and found.low == pytest.approx(2.0)
    assert (found.both, found.reference_alone) == (0, 3) and math.isinf(found.high)


def test_a_target_that_none_reaches_is_said(find: Find) -> None:
    # Errors do not depend on the length.
    flat: Scores = lambda problem, arm, seed, share: ERRORS[arm] if arm != "irelu" else 0.6  # noqa: E731
    findings = find(flat)
    said = [text for text in limits(findings) if text.startswith("No arm reaches")]
    assert said == [f"No arm reaches 0.5 times the error of baseline on {', '.join(PROBLEMS)}."]


def test_equal_seconds_are_at_the_length_that_takes_them(find: Find) -> None:
    findings = find(falling(ERRORS, spread=0.0), step_ms={"irelu": 2.0})
    found = findings.equal_seconds["irelu"]
    assert set(found.share.values()) == {0.5}
    # Half the steps are twice the error, which is half of the baseline's: equal.
    assert ratio(found.effect.estimate) == pytest.approx(1.0)
    assert ratio(findings.equal_seconds["lsuv"].effect.estimate) == pytest.approx(1.0)


def test_equal_seconds_beyond_what_was_tried_are_absent_with_a_word(find: Find) -> None:
    findings = find(step_ms={"irelu": 10.0})
    found = findings.equal_seconds["irelu"]
    assert not found.by_case and set(found.outside) == set(findings.ranked.cases)
    (said,) = [text for text in limits(findings) if "equal seconds" in text]
    assert said.startswith("irelu has no error at equal seconds on advection-1d")
    assert "0.1 times the steps" in said


def test_an_arm_that_diverges_on_a_case_is_mixed_and_behind(find: Find) -> None:
    def scores(problem: str, arm: str, seed: int, share: float) -> float | None:
        if (problem, arm) == (PROBLEMS[0], "irelu"):
            return None
        found = falling(ERRORS)(problem, arm, seed, share)
        assert isinstance(found, float)
        return found

    findings = find(scores)
    found = {one.arm: one for one in findings.standings}["irelu"]
    assert found.verdict == "mixed"
    assert (found.on("better"), found.on("diverges")) == (2, 1)
    assert found.rank is not None and found.rank.rank == 3
    (said,) = headline(findings)
    assert said.startswith("irelu is mixed: better on 2, diverges on 1 of 3 problems; rank 3")


def test_the_headline_counts_problems_first(find: Find) -> None:
    (said,) = headline(find())
    assert said.startswith("irelu is better: better on 3 of 3 problems; rank 1 (1 to 1) of 3, 0.49")
    assert "times the L2RE (95 % interval" in said


def test_where_nothing_is_scored_there_are_the_trials(find: Find) -> None:
    findings = find(made=msgspec.structs.replace(ranking(), lengths=[]))
    (said,) = headline(findings)
    assert said.startswith("No answer yet") and "54 of 54 trials have a result" in said
    assert limits(findings)[0].startswith("Nothing is scored yet")
    assert all(one.rank is None for one in findings.standings)
    assert len(tuning(findings.ranked, findings.ranked.cases[0])) == 9
    assert findings.untuned["irelu"].untuned


def test_runs_that_are_missing_are_said_and_the_others_compared(find: Find) -> None:
    def scores(problem: str, arm: str, seed: int, share: float) -> float | str | None:
        return "waiting" if seed % 2 else falling(ERRORS)(problem, arm, seed, share)

    findings = find(scores)
    said = headline(findings)
    assert said[-1] == "So far: 18 runs of the whole length are missing."
    assert "exploratory" not in said[0] and "irelu" in said[0]
    assert any("18 waiting" in text for text in limits(findings))
    assert any("at 2 times the steps" in text and "9 waiting" in text for text in limits(findings))


def test_failed_runs_are_no_results(find: Find) -> None:
    findings = find(falling({**ERRORS, "lsuv": "failed"}))
    found = {one.arm: one for one in findings.standings}["lsuv"]
    assert found.rank is None and found.verdict == "no pairs yet"


def test_a_family_of_one_claims_alone(find: Find) -> None:
    findings = find(arms=("baseline", "irelu"), seeds=range(3))
    found = findings.standings[0]
    assert found.comparison is not None and found.comparison.claim.family == 1
    assert found.verdict == "better"


def test_a_family_of_three_seeds_claims_nothing_but_the_first(find: Find) -> None:
    findings = find(falling({**ERRORS, "lsuv": 0.1}), seeds=range(3))
    verdicts = {one.arm: one.verdict for one in findings.standings}
    assert verdicts == {"lsuv": "undecided", "irelu": "better", "baseline": "reference"}
    assert any(text.startswith("Exploratory: lsuv") for text in limits(findings))


def test_tuning_shows_what_was_tried_and_why(find: Find) -> None:
    best = {"baseline": 3e-3, "irelu": 1e-2, "lsuv": 1e-3}
    findings = find(trials=at_rate(best), chosen=3e-3, at_edge=True)
    case = findings.ranked.cases[0]
    of_baseline = [one for one in tuning(findings.ranked, case) if one.arm == "baseline"]
    assert [one.setting["lr"] for one in of_baseline] == [1e-3, 3e-3, 1e-2]
    assert [one.chosen for one in of_baseline] == [False, True, False]
    assert [one.untuned for one in of_baseline] == [True, False, False]
    middle = of_baseline[1]
    assert middle.selections == pytest.approx({TRIAL_SEEDS[0]: 1.0, TRIAL_SEEDS[1]: 1.01})
    assert middle.selection == pytest.approx(math.sqrt(1.01))
    assert middle.error == pytest.approx(10 * math.sqrt(1.01))
    (said, *_) = [text for text in limits(findings) if "at the edge" in text]
    assert "baseline is best at the edge" in said and "lr 3.00e-3" in said


def test_a_setting_that_diverged_is_counted_and_not_averaged(find: Find) -> None:
    def trials(
        problem: str, arm: str, seed: int, setting: Setting
    ) -> tuple[float, float] | str | None:
        if setting["lr"] == 1e-2:
            return None if seed == TRIAL_SEEDS[0] else (2.0, 20.0)
        return "failed" if setting["lr"] == 1e-3 else (1.0, 10.0)

    findings = find(trials=trials)
    low, _, high = tuning(findings.ranked, findings.ranked.cases[0])[:3]
    assert high.diverged == 1 and (high.selection, high.error) == pytest.approx((2.0, 20.0))
    assert (low.failed, low.diverged) == (2, 0) and math.isnan(low.selection)
    assert any(
        text.startswith("Trials that ended without a result: 6 of") for text in limits(findings)
    )


def test_without_tuning_another_would_have_won(find: Find) -> None:
    # At the untuned rate of 1e-3 irelu is at its best and the baseline is far from it.
    best = {"baseline": 3e-3, "irelu": 1e-3, "lsuv": 3e-3}
    findings = find(falling({**ERRORS, "irelu": 0.8}, spread=0.0), at_rate(best))
    found = findings.untuned["irelu"]
    off = math.exp(math.log(3) ** 2)
    assert ratio(found.effect.estimate) == pytest.approx(1 / off)
    assert ratio(found.tuned_effect.estimate) == pytest.approx(off)
    assert findings.changes.startswith("The first places depend on the criterion: by final error")
    assert "by final error without tuning irelu before baseline and lsuv" in findings.changes


def test_where_the_order_holds_nothing_is_said(find: Find) -> None:
    findings = find(falling({**ERRORS, "lsuv": 0.8}, spread=0.0))
    assert findings.changes == ""
    by_name = {one.name: one.ranks for one in findings.criteria}
    assert by_name["error at 2 × the steps"] == {"irelu": 1, "baseline": 2, "lsuv": 3}
    assert by_name["steps to 1 × the reference's error"] == {"irelu": 1, "baseline": 2, "lsuv": 3}


def test_cost_is_of_pairs(find: Find) -> None:
    findings = find(step_ms={"irelu": 1.5}, memory_mb={"irelu": 250.0})
    found = findings.costs["irelu"]
    assert found.step_ratio == pytest.approx(1.5) and found.memory_ratio == pytest.approx(2.5)
    assert found.trials == 18 and found.tuning_s == pytest.approx(18.0)
    assert findings.costs["baseline"].step_ratio is None


def test_seeds_of_one_length_do_not_blur_a_target(find: Find) -> None:
    findings = find(seeds=range(9), length_seeds=range(2))
    case = findings.ranked.cases[0]
    assert len(findings.targets[1.0]["irelu"].steps[case]) == 2


def test_without_other_lengths_times_are_bounds(find: Find) -> None:
    made = ranking()
    whole = [length for length in made.lengths if length.share == 1.0]
    findings = find(made=msgspec.structs.replace(made, lengths=whole))
    (first, *_) = findings.standings
    assert math.isnan(first.steps[1.0].ratio.estimate)
    assert any(text.startswith("No other length was run") for text in limits(findings))


def test_a_short_budget_may_round_lengths_to_the_same(find: Find) -> None:
    made = ranking()
    lengths = [
        Length(
            length.share,
            [
                msgspec.structs.replace(
                    run,
                    spec=msgspec.structs.replace(
                        run.spec,
                        training=msgspec.structs.replace(
                            run.spec.training, steps=max(1, int(length.share * 2))
                        ),
                    ),
                )
                for run in length.runs
            ],
        )
        for length in made.lengths
    ]
    findings = find(made=msgspec.structs.replace(made, lengths=lengths))
    assert findings.standings[0].arm == "irelu" and findings.targets


def test_a_reference_that_diverges_has_no_target(find: Find) -> None:
    findings = find(falling({**ERRORS, "baseline": None}))
    assert all(not of.steps for by in findings.targets.values() for of in by.values())
    assert any(text.startswith("There is no target on") for text in limits(findings))
    assert findings.standings[-1].arm == "baseline"


def test_the_order_of_the_arms_changes_nothing(find: Find) -> None:
    one = find()
    other = find(arms=(ARMS[0], *reversed(ARMS[1:])), candidates=["irelu"])
    assert [s.arm for s in one.standings] == [s.arm for s in other.standings]


def test_a_reference_that_learned_nothing_is_flagged_in_the_answer(find: Find) -> None:
    # The sample's skill is 1 − error / 10.
    (said,) = headline(find(falling({"baseline": 9.5, "irelu": 0.2, "lsuv": 9.5})))
    assert "baseline learned nothing on advection-1d" in said


def test_an_arm_without_a_result_on_some_problems_claims_nothing(find: Find) -> None:
    def scores(problem: str, arm: str, seed: int, share: float) -> float | str | None:
        if arm == "irelu" and problem != PROBLEMS[0]:
            return "out-of-memory"
        return falling(ERRORS)(problem, arm, seed, share)

    findings = find(scores)
    found = {one.arm: one for one in findings.standings}["irelu"]
    assert (found.verdict, found.on("better"), found.on("no result")) == ("no claim", 1, 2)
    said, _ = headline(findings)
    assert said.startswith(
        "No claim is made about irelu: better on 1, no result on 2 of 3 problems; rank 1 (1 to 3)"
    )
    assert "times the L2RE on 1 of 3 (" in said
    row = dict(zip((table := short_table(findings)).header, table.rows[0], strict=True))  # type: ignore[union-attr]
    assert row["rank"] == "1 (1–3) on 1 of 3" and str(row["L2RE"]).endswith(" on 1 of 3")


@pytest.mark.parametrize(
    ("lost", "problems", "seeds", "verdict"),
    [
        # Where nothing may be claimed: another arm of few seeds, a single one, and an unseen
        # equation.
        ("lsuv", PROBLEMS, 3, "undecided"),
        ("lsuv", PROBLEMS[1:], 3, "undecided"),
        ("irelu", PROBLEMS[:2], 3, "undecided"),
        ("irelu", PROBLEMS, 5, "no claim"),
    ],
)
def test_divergence_is_counted_where_nothing_may_be_claimed(
    find: Find, lost: str, problems: Sequence[str], seeds: int, verdict: str
) -> None:
    def scores(problem: str, arm: str, seed: int, share: float) -> float | str | None:
        if arm == lost and problem in problems:
            return None
        return falling(ERRORS)(problem, arm, seed, share)

    def edited(one: Record) -> Record:
        if verdict != "no claim" or one.arm != lost:
            return one
        return msgspec.structs.replace(one, diagnostics={"residual_ratio": 100.0})

    arms = ARMS if lost == "lsuv" else ("baseline", "irelu")
    all_problems = PROBLEMS if len(problems) > 2 or lost == "lsuv" else problems
    findings = find(scores, edited=edited, arms=arms, problems=all_problems, seeds=range(seeds))
    found = {one.arm: one for one in findings.standings}[lost]
    assert (found.verdict, found.diverges) == (verdict, len(problems))
    assert found.on("diverges") == len(problems)
    assert (found.on("better"), found.on("worse")) == (None, None)
    on = f"diverges on {len(problems)} of {len(all_problems)} problems"
    assert on in sentence(findings, found)
    table = short_table(findings)
    assert table is not None
    row = dict(zip(table.header, next(r for r in table.rows if r[0] == lost), strict=True))
    assert (row["better"], row["worse"], row["diverges"]) == (None, None, len(problems))
    assert "diverged" in str(row["L2RE"])


def test_a_few_diverged_runs_stand_beside_the_ratio(find: Find) -> None:
    def scores(problem: str, arm: str, seed: int, share: float) -> float | None:
        found = falling(ERRORS)(problem, arm, seed, share)
        return None if (arm, seed) == ("irelu", 4) else found  # type: ignore[return-value]

    table = short_table(find(scores))
    assert table is not None
    assert table.rows[0][3] == "×0.495, 3 of 15 diverged" and table.rows[0][9] == 0


def test_an_arm_that_saw_no_equation_has_a_whole_sentence(find: Find) -> None:
    def edited(one: Record) -> Record:
        unseen = {"residual_ratio": 100.0} if one.arm == "irelu" else one.diagnostics
        return msgspec.structs.replace(one, diagnostics=unseen)

    (said,) = headline(find(edited=edited))
    assert said.startswith(
        "No claim is made about irelu: rank 1 (1 to 1) of 3, 0.496 times the L2RE"
    )
    assert said.endswith("irelu did not see the equation.")


def models(made: Ranking, of: Mapping[str, tuple[str, str]]) -> Ranking:
    """The ranking with other problems and models in the place of its problems."""
    replace = msgspec.structs.replace

    def spec(one: Spec) -> Spec:
        problem, model = of[one.problem]
        return replace(one, problem=problem, model=model)

    choices = [
        replace(one, problem=of[one.problem][0], model=of[one.problem][1]) for one in made.choices
    ]
    lengths = [
        replace(one, runs=[replace(run, spec=spec(run.spec)) for run in one.runs])
        for one in made.lengths
    ]
    return replace(
        made,
        trials=[replace(one, spec=spec(one.spec)) for one in made.trials],
        choices=choices,
        lengths=lengths,
        columns={problem: made.columns[old] for old, (problem, _) in of.items()},
    )


def test_models_of_one_problem_are_cases_and_no_problems(find: Find) -> None:
    one = {name: (PROBLEMS[0], model) for name, model in zip(PROBLEMS, "abc", strict=True)}
    findings = find(made=models(ranking(), one))
    (said,) = headline(findings)
    assert said.startswith("irelu is better: better on 3 of 3 cases of 1 problem;")
    assert "problems like these" not in said
    # Three seeds are enough for three problems alone.
    few = find(made=models(ranking(arms=ARMS[:2], seeds=range(3)), one))
    assert few.standings[0].verdict == "undecided"
    assert "undecided on 3 of 3 cases of 1 problem" in headline(few)[0]


def test_a_ratio_is_over_the_cases_of_the_rank(find: Find) -> None:
    def scores(problem: str, arm: str, seed: int, share: float) -> float | None:
        errors = {"baseline": 0.5, "irelu": 0.25 if problem == PROBLEMS[0] else 0.5, "lsuv": 0.35}
        same = "baseline" if arm == "irelu" and problem != PROBLEMS[0] else arm
        return falling({same: errors[arm]})(problem, same, seed, share)  # type: ignore[return-value]

    def run(one: PlannedRun) -> PlannedRun:
        if one.spec.arm != "irelu" or one.spec.problem == PROBLEMS[0]:
            return one
        axes = {"activation": "baseline"}
        return msgspec.structs.replace(one, spec=msgspec.structs.replace(one.spec, axes=axes))

    made = ranking()
    lengths = [msgspec.structs.replace(o, runs=[run(r) for r in o.runs]) for o in made.lengths]
    findings = find(scores, made=msgspec.structs.replace(made, lengths=lengths))
    first, second, _ = findings.standings
    assert (first.arm, second.arm, second.on("the same run")) == ("lsuv", "irelu", 2)
    assert first.comparison is not None and second.comparison is not None
    assert second.comparison.effect.estimate > first.comparison.effect.estimate
    alone = findings.ranked.scored.compare("irelu", "baseline").effect
    whole = second.comparison.effect
    assert whole.estimate == pytest.approx(alone.estimate / 3)
    assert (whole.low, whole.high) == pytest.approx((alone.low / 3, alone.high / 3))
    (said,) = headline(findings)
    assert said.startswith("irelu is better: better on 1, the same run on 2 of 3 problems; rank 2")
    assert any("there the ratio is 1" in text for text in limits(findings))


@pytest.mark.parametrize("seed", range(4))
def test_equal_arms_have_no_order_that_depends_on_the_criterion(find: Find, seed: int) -> None:
    rng = np.random.default_rng(seed)
    drawn: dict[object, float] = {}

    def scores(*place: object) -> float:
        return drawn.setdefault(place, 0.5 * math.exp(0.3 * rng.normal()))

    def trials(*place: object) -> tuple[float, float]:
        return 0.1, drawn.setdefault(("trial", str(place)), 0.5 * math.exp(0.3 * rng.normal()))

    said = find(scores, trials).changes
    assert said in ("", "No order of the first places is sure by any criterion.")


def test_a_name_that_ends_with_a_dot_ends_a_sentence(find: Find) -> None:
    def trials(
        problem: str, arm: str, seed: int, setting: Setting
    ) -> tuple[float, float] | str | None:
        return (
            "failed"
            if arm == "lsuv"
            else at_rate(dict.fromkeys(ARMS, 3e-3))(problem, arm, seed, setting)
        )

    def edited(one: Record) -> Record:
        return msgspec.structs.replace(one, warnings=["it was slow"] if one.arm == "lsuv" else [])

    scores = falling({**ERRORS, "irelu": 0.8})
    findings = find(scores, trials, edited, seeds=range(3), names={"lsuv": "f.w."})
    said = "".join([*headline(findings), *limits(findings), findings.changes])
    assert "of f.w." in said and "f.w. vs baseline" in said and ".." not in said


@pytest.mark.parametrize("verdict", ["undecided", "equivalent", "better", "worse", "mixed"])
def test_every_verdict_is_said_in_words(find: Find, verdict: str) -> None:
    def scores(problem: str, arm: str, seed: int, share: float) -> float | None:
        if arm == "irelu" and verdict == "mixed" and problem == PROBLEMS[0]:
            return None
        error = {"better": 0.2, "mixed": 0.2, "worse": 0.8}.get(verdict, 0.4)
        wild = 0.5 if verdict == "undecided" else 0.01
        own = math.exp(wild * math.sin(7 * seed + len(problem))) if arm == "irelu" else 1.0
        return (error if arm == "irelu" else 0.4) * own / share

    (said,) = headline(find(scores))
    opening = {
        "undecided": "Nothing is decided about irelu: ",
        "equivalent": "irelu and baseline are equivalent: ",
    }
    assert said.startswith(opening.get(verdict, f"irelu is {verdict}: "))


@pytest.mark.parametrize(("waiting", "said"), [(1, "1 run of the whole length is"), (2, "2 runs")])
def test_what_is_missing_agrees_with_its_number(find: Find, waiting: int, said: str) -> None:
    def scores(problem: str, arm: str, seed: int, share: float) -> float | str | None:
        lost = arm == "lsuv" and problem == PROBLEMS[0] and seed < waiting and share == 1
        return "waiting" if lost else falling(ERRORS)(problem, arm, seed, share)

    assert headline(find(scores))[-1].startswith(f"So far: {said}")


def test_collapsed_runs_are_said_once(find: Find) -> None:
    def edited(one: Record) -> Record:
        return msgspec.structs.replace(
            one,
            diagnostics={"collapsed": one.arm == "irelu"},
            warnings=["collapsed: the output is constant"] if one.arm == "irelu" else ["old: 3"],
        )

    said = limits(find(edited=edited))
    assert [text for text in said if "collapsed" in text] == [
        "Runs without a usable network: those that diverged are counted apart from the ratios,"
        " those that collapsed count with their error. irelu: 15 collapsed of 15."
    ]
    assert any("“old”" in text for text in said)


def test_what_is_not_converged_is_called_by_its_name(find: Find) -> None:
    def edited(one: Record) -> Record:
        return msgspec.structs.replace(
            one, metrics={**one.metrics, "skill": msgspec.structs.replace(one.metrics["L2RE"],
                                                                          final=0.5)}
        )  # fmt: skip

    (said,) = [text for text in limits(find(edited=edited)) if "not converged" in text]
    assert "the skill of baseline is below 0.9" in said


def test_a_target_that_both_reach_at_the_shortest_length_is_explained(find: Find) -> None:
    # Errors hardly fall with the length, so the shortest reaches what the whole does.
    def scores(problem: str, arm: str, seed: int, share: float) -> float:
        if share == 2 and arm == "irelu":
            return 0.1
        return ERRORS["baseline"] * (1.0 if share == 1 else 0.99)

    findings = find(scores)
    found = {one.arm: one for one in findings.standings}
    assert time_text(found["irelu"].steps[1.0]) == "both at the shortest"
    said = [text for text in limits(findings) if "shortest length" in text]
    assert any(t.startswith("There are no steps and seconds of irelu to") for t in said)
    assert any("of irelu" in t and "apart is 0.5 times" in t for t in said)
    assert any("of lsuv" in t and "no target tells them apart" in t for t in said)


def test_no_arm_reaches_only_what_no_seed_does(find: Find) -> None:
    def scores(problem: str, arm: str, seed: int, share: float) -> float:
        return 0.1 if (arm, seed) == ("irelu", 0) else ERRORS["baseline"]

    (said,) = [text for text in limits(find(scores)) if " 0.5 times the error" in text]
    assert said.startswith("At most half of the seeds of each arm reach 0.5 times")


def test_seeds_of_a_target_are_those_that_have_a_result(find: Find) -> None:
    def scores(problem: str, arm: str, seed: int, share: float) -> float | str | None:
        return "waiting" if seed == 2 else falling(ERRORS)(problem, arm, seed, share)

    table = targets_table(find(scores))
    at = table.header.index("seeds")
    rows = [row for row in table.rows if row[0] != "all"]
    assert rows and {row[at] for row in rows} == {2}


def test_a_rate_beside_one_that_diverges_is_said_to_be_at_the_brink(find: Find) -> None:
    def trials(
        problem: str, arm: str, seed: int, setting: Setting
    ) -> tuple[float, float] | str | None:
        if (problem, arm, seed) == (PROBLEMS[0], "irelu", TRIAL_SEEDS[1]) and setting["lr"] == 1e-2:
            return None
        return at_rate(dict.fromkeys(ARMS, 3e-3))(problem, arm, seed, setting)

    def scores(problem: str, arm: str, seed: int, share: float) -> float | str | None:
        lost = (problem, arm) == (PROBLEMS[0], "irelu") and seed < 2
        return None if lost else falling(ERRORS)(problem, arm, seed, share)

    found = [text for text in limits(find(scores, trials)) if "brink" in text]
    assert found == [
        "irelu is tuned to the brink: at the next larger rate trials diverged on"
        f" {PROBLEMS[0]} (lr 3.00e-3, and of its scored runs 2 of 5 diverged)."
    ]
    # Divergence beyond the next rate says nothing of the chosen one.
    further = find(falling(ERRORS), trials, chosen=1e-3)
    assert not any("brink" in text for text in limits(further))
