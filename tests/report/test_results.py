"""Records of a plan, arranged for comparison, and what is said of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from sample_study import ARMS, COLUMNS, PROBLEMS, constant, plan, records, results

from bench.report.answer import MOST_LISTED, headline, lines, ranking
from bench.report.findings import limits
from bench.report.histories import curve, loss_curve
from bench.report.pictures import effects_picture, heat_map_picture
from bench.report.ratios import main_ratio
from bench.report.results import Case, Results
from bench.report.study_tables import NAMES, study_tables
from bench.report.tabulation import render
from bench.report.terminal import print_findings
from bench.store.record import Metric
from bench.store.store import Store
from bench.studies.plan import save
from bench.task import Columns
from bench.text.formatting import times_text
from suites.pinn.suite import SUITE

CASE = Case(PROBLEMS[0], "fnn:40x6")
PLAIN = constant({"baseline": 0.4, "irelu": 0.2, "lsuv": 0.4, "irelu+lsuv": 0.6})
DIVERGING = constant({"baseline": 0.4, "irelu": None, "lsuv": 0.4, "irelu+lsuv": 0.6})


def test_effects_are_paired_by_problem_and_seed() -> None:
    found = results(PLAIN).comparisons[0]
    assert (found.variant, found.reference, found.metric) == ("irelu", "baseline", "L2RE")
    assert (found.effect.pairs, found.effect.problems) == (9, 3)
    assert math.exp(found.effect.estimate) == pytest.approx(0.5, rel=0.1)
    assert found.claim.verdict == "better"


def test_a_run_that_did_not_see_its_equation_supports_no_claim() -> None:
    made = plan()
    there = records(made, PLAIN)
    blind = next(run.spec.hash for run in made.runs if run.spec.arm == "baseline")
    ratio = {"residual_ratio": 1.0, "start": {"residual_ratio": 3e-31}}
    there[blind] = msgspec.structs.replace(there[blind], diagnostics=ratio)
    found, before = Results(made, there), results(PLAIN)
    assert before.comparisons[0].outcome == "better"
    for comparison, claimed in zip(found.comparisons, before.comparisons, strict=True):
        assert comparison.effect.ratios == claimed.effect.ratios  # the figures stay
        assert (comparison.claim.verdict, comparison.outcome) == ("undecided", "no claim")
        assert comparison.claim.seeds_needed is None
    assert all("baseline did not see the equation" in f.remarks for f in ranking(found))
    (said,) = [text for text in limits(found) if text.startswith("No comparison with baseline")]
    assert "3e-31 at the start" in said
    # What has no such run on either side is claimed.
    assert found.compare("irelu", "lsuv").outcome == before.compare("irelu", "lsuv").outcome


def test_a_factorial_with_such_a_run_claims_nothing() -> None:
    made = plan(["baseline", "irelu"], factors=["irelu"], cells=["baseline", "irelu"])
    there = records(made, PLAIN)
    assert Results(made, there).factorial[0].verdict == "better"
    one = made.runs[-1].spec.hash
    there[one] = msgspec.structs.replace(there[one], diagnostics={"residual_ratio": 0.0})
    assert Results(made, there).factorial[0].verdict == "undecided"


def test_scores_are_shown_and_not_compared() -> None:
    found = results(PLAIN)
    assert "skill" in found.metrics
    assert "skill" not in found.errors_shown
    assert found.metrics == ["L2RE", "skill", "Lf"]  # of which there are records


def test_what_is_not_converged_is_said_beside_the_answer() -> None:
    found = results(PLAIN)
    assert "not converged" not in headline(results(constant(dict.fromkeys(ARMS, 0.05))))
    assert "Not converged:" in headline(found)
    assert all(f"{problem} (skill 0." in headline(found) for problem in PROBLEMS)
    (said,) = (text for text in limits(found) if "not converged" in text)
    assert "skill of baseline is below 0.9" in said
    # The others' errors do not matter: the reference is what must have learned something.
    ahead = constant({**dict.fromkeys(ARMS, 0.4), "baseline": 0.05})
    assert "onverged" not in headline(results(ahead))
    lost = results(constant({**dict.fromkeys(ARMS, 0.4), "baseline": None}))
    assert "onverged" not in headline(lost)


def test_an_arm_that_diverges_everywhere_is_worse_and_has_no_ratio() -> None:
    found = results(DIVERGING)
    assert found.values(CASE, "irelu", "L2RE") == dict.fromkeys(range(3), math.inf)
    assert found.values(CASE, "irelu", "skill") == dict.fromkeys(range(3), -math.inf)
    assert found.comparisons[0].claim.verdict == "worse"
    assert found.comparisons[0].effect.diverged == 9
    assert main_ratio(found.comparisons[0]) == "9 of 9 diverged"
    assert "diverges on 3" in ranking(found)[-1].remarks
    assert found.diverged(CASE, "irelu") == 3


@pytest.mark.parametrize("status", ["failed", "timeout", "interrupted", "waiting"])
def test_a_run_that_is_no_result_is_left_out_and_said(status: str) -> None:
    found = results(lambda p, a, s: status if (a, s) == ("irelu", 0) else PLAIN(p, a, s))
    assert sorted(found.values(CASE, "irelu", "L2RE")) == [1, 2]
    assert found.comparisons[0].effect.pairs == 6
    assert any(f"left out: 3 {status}" in text for text in limits(found))


def test_a_metric_that_a_run_does_not_have_makes_no_pair() -> None:
    made = plan()
    there = records(made, PLAIN)
    for name, record in there.items():
        if record.arm == "irelu":
            there[name] = msgspec.structs.replace(
                record, metrics={k: v for k, v in record.metrics.items() if k != "Lf"}
            )
    found = Results(made, there)
    assert found.compare("irelu", "baseline", "Lf").effect.pairs == 0
    assert found.compare("irelu", "baseline").effect.pairs == 9


def test_a_final_error_of_a_diverged_run_does_not_count() -> None:
    made = plan()
    there = records(made, PLAIN)
    one = made.runs[1].spec
    there[one.hash] = msgspec.structs.replace(there[one.hash], status="diverged")
    found = Results(made, there)
    assert found.values(CASE, one.arm, "L2RE")[0] == math.inf


def test_the_worst_value_of_a_part_of_a_score_is_the_lowest() -> None:
    made = plan()
    there = records(made, DIVERGING)
    for name, record in there.items():
        parts = {f"skill{end}": record.metrics["skill"] for end in ("@far", "[slab]")}
        there[name] = msgspec.structs.replace(record, metrics={**record.metrics, **parts})
    found = Results(made, there)
    for metric in ("skill@far", "skill[slab]"):
        assert found.values(CASE, "irelu", metric) == dict.fromkeys(range(3), -math.inf)
        assert metric not in found.errors_shown
    assert found.values(CASE, "irelu", "L2RE") == dict.fromkeys(range(3), math.inf)


def test_a_run_that_is_done_without_a_number_has_not_diverged() -> None:
    made = plan(["baseline", "irelu"])
    there = records(made, PLAIN)
    for name, record in there.items():
        if record.arm == "irelu":
            metrics = {**record.metrics, "Lf": Metric(None, None)}
            there[name] = msgspec.structs.replace(record, metrics=metrics)
    found = Results(made, there)
    assert found.values(CASE, "irelu", "Lf") == {}
    of_it = found.compare("irelu", "baseline", "Lf")
    assert (of_it.effect.pairs, dict(of_it.lost)) == (0, {})
    for name, record in there.items():
        if record.arm == "irelu":
            metrics = {**record.metrics, "L2RE": Metric(None, None)}
            there[name] = msgspec.structs.replace(record, metrics=metrics)
    of_it = Results(made, there).compare("irelu", "baseline")
    assert set(of_it.lost.values()) == {(0, 0)}
    assert (main_ratio(of_it), of_it.claim.verdict) == ("not finite", "worse")


def test_two_diverged_runs_tie() -> None:
    errors = constant(dict.fromkeys(ARMS, None))
    found = results(errors).comparisons[0]
    assert (found.effect.ties, found.claim.verdict) == (9, "undecided")


def test_runs_that_are_missing_make_no_pairs() -> None:
    def some(problem: str, arm: str, seed: int) -> float | str | None:
        waits = (arm == "irelu" and seed == 0) or (arm == "baseline" and seed == 1)
        return "waiting" if waits else PLAIN(problem, arm, seed)

    found = results(some)
    assert found.comparisons[0].effect.pairs == 3
    assert found.statuses == {"done": 30, "waiting": 6}
    assert "So far (6 runs are missing)" in headline(found)
    assert "on 3 problems × 1 to 2 seeds, of 3" in headline(found)
    assert any("left out: 6 waiting" in text for text in limits(found))


def test_an_arm_that_is_the_same_run_is_left_out() -> None:
    made = plan(["baseline", "denorm"])
    same = {run.place[0]: run.spec for run in made.runs if run.spec.arm == "baseline"}
    runs = [
        msgspec.structs.replace(
            run,
            spec=msgspec.structs.replace(run.spec, axes=same[run.spec.problem].axes)
            if run.spec.problem != PROBLEMS[0]
            else run.spec,
        )
        for run in made.runs
    ]
    errors = constant({"baseline": 0.4, "denorm": 0.2})
    found = results(errors, msgspec.structs.replace(made, runs=runs))
    (comparison,) = found.comparisons
    assert list(comparison.by_case) == [CASE]
    assert [case.problem for case in comparison.noops] == list(PROBLEMS[1:])
    assert any("denorm is the same run as baseline on" in text for text in limits(found))


def test_the_factorial_is_over_cases_with_a_run_for_each_cell() -> None:
    made = plan(factors=["irelu", "lsuv"], cells=["baseline", "lsuv", "irelu", "irelu+lsuv"])
    found = results(
        constant({"baseline": 0.4, "irelu": 0.2, "lsuv": 0.4, "irelu+lsuv": 0.8}, 0), made
    )
    effects = {term.factors: math.exp(term.effect.estimate) for term in found.factorial}
    assert effects == pytest.approx({("irelu",): 1, ("lsuv",): 2, ("irelu", "lsuv"): 4})


# What is said.


def test_the_answer_is_ranked_with_the_verdict_first() -> None:
    found = results(PLAIN, plan(seeds=range(5)))
    first, *ranked = lines(found)
    assert first.startswith("On 3 problems × 5 seeds, of 3 comparisons 1 better, ")
    assert [line.split(":")[0] for line in ranked] == ["better", "equivalent", "worse"]
    assert ranked[0].startswith("better: irelu vs baseline, 0.")
    assert "times the L2RE (95 % interval" in ranked[0]
    assert "; for problems like these 0." in ranked[0]
    assert ranked[0].endswith("), 15 pairs; better on 3")
    assert not any("\n" in line for line in lines(found))


def test_within_a_verdict_the_smallest_ratio_comes_first() -> None:
    errors = constant({"baseline": 0.4, "irelu": 0.2, "lsuv": 0.1, "irelu+lsuv": 0.3})
    names = [found.comparison for found in ranking(results(errors, plan(seeds=range(5))))]
    assert names == ["lsuv vs baseline", "irelu vs baseline", "irelu+lsuv vs baseline"]


def test_an_answer_of_many_comparisons_says_how_many_more_there_are() -> None:
    pairs = [(one, other) for one in ARMS for other in ARMS if one != other]
    found = lines(results(PLAIN, plan(comparisons=[*pairs, pairs[0]])))
    assert "of 13 comparisons" in found[0]
    assert len(found) == 1 + MOST_LISTED + 1
    assert found[-1] == "and 1 more comparison"


def test_a_reference_that_learned_nothing_is_flagged_in_the_answer() -> None:
    """However large the arm's gain over it is."""
    errors: dict[str, float | str | None] = {
        "baseline": 0.95,
        "irelu": 0.2,
        "lsuv": 0.4,
        "irelu+lsuv": 0.6,
    }
    found = results(constant(errors, 0.01), plan(comparisons=[("irelu", "baseline")]))
    (finding,) = ranking(found)
    assert finding.verdict == "better"
    assert "baseline learned nothing on 3 of 3 problems" in finding.remarks
    assert "In 1 of 1 the reference learned nothing on some problem." in headline(found)
    said = [text for text in limits(found) if text.startswith("baseline learned nothing on")]
    assert all(f"{problem} (skill " in said[0] for problem in PROBLEMS)
    assert ") (" not in said[0]
    table = study_tables(found, SUITE, ["effects"])["effects"]
    assert "learned nothing" in str(table.rows[0][-1])
    able = constant({**errors, "baseline": 0.4})
    assert "learned nothing" not in "".join(lines(results(able)) + limits(results(able)))


def test_a_reference_whose_forces_are_no_better_than_zero_learned_nothing() -> None:
    """Potentials have no skill: their diagnosis says it."""
    bare = Columns(["L2RE"], [], [], [])
    made = plan(ARMS[:2], problems=PROBLEMS[:1], columns={PROBLEMS[0]: bare})
    there = records(made, PLAIN)

    def remarks(collapsed: int) -> str:
        found = {
            name: msgspec.structs.replace(record, diagnostics={"collapsed": True})
            if record.arm == "baseline" and record.seed < collapsed
            else record
            for name, record in there.items()
        }
        return "; ".join(ranking(Results(made, found))[0].remarks)

    assert "learned nothing" not in remarks(1)
    assert "baseline learned nothing on advection-1d (2 of 3 collapsed)" in remarks(2)


def test_without_pairs_there_is_no_answer() -> None:
    assert headline(results(constant(dict.fromkeys(ARMS, "waiting")))).startswith("No answer yet")


def test_divergence_is_said_where_the_answer_is() -> None:
    said = limits(results(DIVERGING))
    assert any("irelu: 9 diverged of 9" in text for text in said)
    assert not any("differs between problems" in text for text in said)


def test_a_technique_that_a_model_already_has_is_said() -> None:
    made = plan(["baseline", "denorm"])
    runs = [
        msgspec.structs.replace(run, spec=msgspec.structs.replace(run.spec, noops=["denorm"]))
        if run.spec.arm == "denorm"
        else run
        for run in made.runs
    ]
    errors = constant({"baseline": 0.4, "denorm": 0.2})
    said = limits(results(errors, msgspec.structs.replace(made, runs=runs)))
    assert any(text.startswith("denorm changes nothing on fnn:40x6") for text in said)


def test_times_of_seeds_trained_together_are_shares() -> None:
    made = plan(ARMS[:2])
    there = records(made, PLAIN)
    for name, record in there.items():
        if record.arm == "irelu":
            environment = {**record.environment, "seeds_together": 2}
            there[name] = msgspec.structs.replace(record, environment=environment)
    found = Results(made, there)
    alone, shared = (
        curve(list(found.of(CASE, arm).values()), "L2RE") for arm in ("baseline", "irelu")
    )
    assert alone is not None
    assert shared is not None
    assert shared.seconds == pytest.approx(alone.seconds / 2)
    assert any("trained together" in text for text in limits(found))


def test_an_arm_that_is_worse_on_one_problem_is_mixed() -> None:
    def errors(problem: str, arm: str, seed: int) -> float | str | None:
        found = PLAIN(problem, arm, seed)
        assert isinstance(found, float)
        return 3 * found if (problem, arm) == (PROBLEMS[2], "irelu") else found

    problems = (*PROBLEMS, "shallow-water-2d")
    made = plan(problems=problems, seeds=range(5), comparisons=[("irelu", "baseline")])
    found = Results(made, records(made, errors))
    (finding,) = ranking(found)
    assert finding.verdict == "mixed"
    assert "better on 3, worse on 1" in finding.remarks
    (text,) = [text for text in limits(found) if "differs between problems" in text]
    assert f"on {PROBLEMS[2]}" in text


def test_with_three_seeds_the_first_comparison_alone_may_claim() -> None:
    found = results(PLAIN)
    assert [c.outcome for c in found.comparisons] == ["better", "undecided", "undecided"]
    assert [c.claim.exploratory for c in found.comparisons] == [False, True, True]
    assert any(text.startswith("Exploratory: lsuv vs baseline, irelu+") for text in limits(found))
    alone = [f.remarks for f in ranking(found) if f.comparison == "irelu+lsuv vs baseline"]
    assert alone == [["exploratory: several comparisons need 5 seeds to claim"]]


def test_a_lost_run_of_another_arm_changes_no_claim() -> None:
    """It took Holm's adjustment away from the first comparison, and its claim from the others."""
    made = plan(seeds=range(5))
    there = records(made, PLAIN)
    whole = Results(made, there).comparisons
    for lost in ("lsuv", "irelu+lsuv"):
        one = next(run.spec.hash for run in made.runs if run.spec.arm == lost)
        found = Results(made, {name: r for name, r in there.items() if name != one}).comparisons
        for now, before in zip(found, whole, strict=True):
            if now.variant == lost:
                assert (now.claim.verdict, now.claim.enough) == ("undecided", False)
            else:
                assert now.claim.verdict == before.claim.verdict
                assert now.claim.family == before.claim.family
    # Nor does one that has no result at all; nor one of the reference make a family a single claim.
    none = {run.spec.hash for run in made.runs if run.spec.arm == "lsuv"}
    found = Results(made, {name: r for name, r in there.items() if name not in none}).comparisons
    assert [c.claim.family for c in found if c.variant != "lsuv"] == [3, 3]
    one = next(run.spec.hash for run in made.runs if run.spec.arm == "baseline")
    found = Results(made, {name: r for name, r in there.items() if name != one}).comparisons
    assert {(c.claim.verdict, c.claim.family) for c in found} == {("undecided", 3)}


def test_the_pages_give_each_problem_its_own_ratio() -> None:
    found = results(DIVERGING, plan(["baseline", "irelu"]))
    picture = heat_map_picture(found)
    assert picture is not None
    assert "3 of 3" in picture.svg


def test_warnings_that_differ_in_their_figures_are_one() -> None:
    made = plan(ARMS[:2])
    there = {
        name: msgspec.structs.replace(
            record,
            warnings=[
                f"Adam's eps 1e-08 dominates gradients of {record.seed}.5e-11 (RMS): try less"
            ]
            if record.arm == "irelu"
            else [],
        )
        for name, record in records(made, PLAIN).items()
    }
    said = [t for t in limits(Results(made, there)) if "eps" in t]
    assert said == ["Runs that say “Adam's eps … dominates gradients of …”: 9 of 9 of irelu."]


def test_warnings_are_in_the_order_in_which_runs_say_them() -> None:
    made = plan(ARMS[:2])
    sentences = [f"{word} happened" for word in ("first", "second", "third", "fourth")]
    there = {
        name: msgspec.structs.replace(record, warnings=sentences)
        for name, record in records(made, PLAIN).items()
    }
    said = [text for text in limits(Results(made, there)) if "happened" in text]
    assert [text.split("“")[1].split()[0] for text in said] == [
        "first",
        "second",
        "third",
        "fourth",
    ]


def test_runs_of_other_code_are_said() -> None:
    made = plan()
    there = records(made, PLAIN)
    first = made.runs[0].spec.hash
    other = {**there[first].environment, "code": "other", "commit": "abcdef0123"}
    there[first] = msgspec.structs.replace(there[first], environment=other)
    found = Results(made, there)
    assert any("different code" in text and "1 by abcdef01" in text for text in limits(found))


def test_code_differs_by_what_several_runs_depend_on() -> None:
    made = plan()

    def differ(code: Callable[[str, int], object]) -> bool:
        there = {
            name: msgspec.structs.replace(
                record, environment={**record.environment, "code": code(record.arm, record.seed)}
            )
            for name, record in records(made, PLAIN).items()
        }
        return any("different code" in text for text in limits(Results(made, there)))

    assert not differ(lambda arm, seed: {"loop": "1", arm: arm})
    assert differ(lambda arm, seed: {"loop": "1" if arm == "irelu" else "2", arm: arm})
    assert differ(lambda arm, seed: {"loop": "1", arm: f"{arm} {seed // 2}"})
    # Of earlier code, which had one digest for all that there was.
    assert not differ(lambda arm, seed: "1")
    assert differ(lambda arm, seed: "1" if arm == "irelu" else "2")
    assert differ(lambda arm, seed: "1" if arm == "irelu" else {"loop": "1"})


# Curves.


def test_a_curve_is_the_median_and_the_range() -> None:
    found = results(PLAIN)
    drawn = curve(list(found.of(CASE, "irelu").values()), "L2RE")
    assert drawn is not None
    assert drawn.steps[-1] == 10
    assert np.all((drawn.low <= drawn.middle) & (drawn.middle <= drawn.high))
    finals = sorted(found.values(CASE, "irelu", "L2RE").values())
    assert (drawn.low[-1], drawn.middle[-1], drawn.high[-1]) == pytest.approx(tuple(finals))


def test_a_curve_ends_where_half_of_the_seeds_have_diverged() -> None:
    one = results(lambda p, a, s: None if s == 0 else PLAIN(p, a, s))
    drawn = curve(list(one.of(CASE, "irelu").values()), "L2RE")
    assert drawn is not None
    assert np.isnan(drawn.high[6:]).all()
    assert np.isfinite(drawn.middle).all()
    two = results(lambda p, a, s: None if s < 2 else PLAIN(p, a, s))
    drawn = curve(list(two.of(CASE, "irelu").values()), "L2RE")
    assert drawn is not None
    assert np.isfinite(drawn.middle[:6]).all()
    assert np.isnan(drawn.middle[6:]).all()


def test_what_was_not_recorded_has_no_curve() -> None:
    there = list(results(PLAIN).of(CASE, "irelu").values())
    assert curve(there, "MSE") is None
    assert curve([], "L2RE") is None
    assert loss_curve(there) is not None


# Tables.


def test_every_table_renders_in_every_format() -> None:
    made = plan(factors=["irelu", "lsuv"], cells=["baseline", "lsuv", "irelu", "irelu+lsuv"])
    tables = study_tables(results(DIVERGING, made), SUITE, NAMES)
    assert list(tables) == ["effects", "factorial", "metrics", "errors", "values", "runs"]
    for table in tables.values():
        assert {len(row) for row in table.rows} == {len(table.header)}
        for kind in ("md", "csv", "latex"):
            assert "irelu" in render([table], kind)


def test_the_tables_say_what_the_results_are() -> None:
    tables = study_tables(results(DIVERGING), SUITE, NAMES)
    assert list(tables["effects"].header[:3]) == ["comparison", "verdict", "error ratio"]
    row = dict(zip(tables["effects"].header, tables["effects"].rows[0], strict=True))
    assert (row["comparison"], row["verdict"]) == ("irelu vs baseline", "worse")
    assert (row["error ratio"], row["low"], row["high"]) == ("9 of 9 diverged", None, None)
    assert (row["losses"], row["diverged"]) == (9, 9)
    (irelu,) = [
        dict(zip(tables["errors"].header, row, strict=True))
        for row in tables["errors"].rows
        if row[0] == PROBLEMS[0] and row[2] == "irelu"
    ]
    assert (irelu["median"], irelu["seeds"], irelu["diverged"]) == (math.inf, 3, 3)
    runs = tables["runs"]
    assert len(runs.rows) == len(plan().runs)
    assert runs.rows[0][-1] == plan().runs[0].command


def _texts(found: Results, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """All that says ratios: tables in each format, the answer, the terminal, figures."""
    tables = study_tables(found, SUITE, ["effects", "metrics"])
    texts = {
        f"{kind} {name}": render([table], kind)
        for name, table in tables.items()
        for kind in ("md", "csv", "latex")
    }
    print_findings(found)
    texts |= {"terminal": capsys.readouterr().out, "answer": "\n".join(lines(found))}
    for picture in (effects_picture(found), heat_map_picture(found)):
        assert picture is not None
        texts[picture.title] = picture.svg
    return texts


@pytest.mark.parametrize(
    ("arm", "reference", "said"),
    [
        (None, 0.4, "9 of 9 diverged"),
        (0.4, None, "reference: 9 of 9 diverged"),
        (None, None, "9 of 9 diverged, reference: 9 of 9"),
    ],
)
def test_where_runs_diverged_their_number_stands_for_the_ratio(
    arm: float | None,
    reference: float | None,
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    made = plan(["baseline", "irelu"])
    found = results(constant({"baseline": reference, "irelu": arm}), made)
    for where, text in _texts(found, capsys).items():
        assert "∞" not in text and r"\infty" not in text, where
        assert "[0" not in text and "×0" not in text.replace("×0.", ""), where
        assert "1.00 [" not in text and "×1.00" not in text, where
        if where == "Problem by problem":
            assert ">3 of 3<" in text and ">diverged<" in text
        else:
            assert said in text, where
    assert found.comparisons[0].effect.diverged == (9 if reference and not arm else 0)


def test_an_error_of_zero_is_no_divergence() -> None:
    found = results(constant({"baseline": 0.4, "irelu": 0.0}), plan(["baseline", "irelu"]))
    assert 0 < main_ratio(found.comparisons[0]) < 1e-300  # type: ignore[operator]
    assert "diverged" not in "".join(lines(found))


def test_a_ratio_of_runs_that_went_astray_has_no_digits() -> None:
    found = results(constant({"baseline": 0.4, "irelu": 4e17}), plan(["baseline", "irelu"]))
    assert ">1e6 times the L2RE (95 % interval >1e6 to >1e6;" in lines(found)[1]
    assert [times_text(value) for value in (0.5, 1e18, 1e-18, 0.0)] == [
        "×0.500",
        ">×1e6",
        "<×1e-6",
        "×0",
    ]


def test_short_names_are_shown_and_change_no_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arm = "activation=mine:Snake"
    made = plan(["baseline", arm], names={"Snake": arm}, factors=[arm], cells=["baseline", arm])
    store = Store(tmp_path)
    store.prepare()
    there = records(made, constant({"baseline": 0.4, arm: 0.2}))
    for record in there.values():
        store.write(record)
    found = Results.read(save(made, store), store)
    assert [spec.hash for spec in found.plan.specs] == [spec.hash for spec in made.specs]
    assert len(found.records) == len(made.runs)
    texts = _texts(found, capsys)
    assert all("Snake" in text for text in texts.values())
    assert [where for where, text in texts.items() if arm in text] == ["terminal"]
    assert f"Snake is {arm}" in texts["terminal"]
    (row,) = study_tables(found, SUITE, ["names"])["names"].rows
    assert row == ["Snake", arm]
    assert found.factorial[0].factors == ("Snake",)


def test_values_are_listed_and_not_compared() -> None:
    columns = COLUMNS._replace(values=["unknown "])
    made = plan(columns=dict.fromkeys(PROBLEMS, columns))
    found = {
        name: msgspec.structs.replace(
            record, metrics={**record.metrics, "unknown C": Metric(final=-0.5, best=-0.5)}
        )
        for name, record in records(made, constant(dict.fromkeys(ARMS, 0.1))).items()
    }
    of = Results(made, found)
    assert of.values_shown(of.cases[0]) == ["unknown C"]
    assert of.metrics == ["L2RE", "skill", "Lf", "unknown C"]
    assert of.errors_shown == ["L2RE", "Lf"]
    assert of.median(of.cases[0], "baseline", "unknown C") == -0.5


def test_problems_with_different_errors_are_said_by_name() -> None:
    """The L2RE of one problem stood under the name of another's error."""
    own = Columns(["error C"], [], [], [])
    made = plan(ARMS[:2], columns={**dict.fromkeys(PROBLEMS, COLUMNS), PROBLEMS[2]: own})
    there = {
        name: msgspec.structs.replace(
            record, metrics={**record.metrics, "error C": Metric(final=0.3, best=0.3)}
        )
        for name, record in records(made, PLAIN).items()
    }
    found = Results(made, there)
    assert found.main_metric == f"L2RE; error C on {PROBLEMS[2]}"
    assert f"error C on {PROBLEMS[2]}" in lines(found)[1]
    titles = [table.title for table in study_tables(found, SUITE, ["errors", "effects"]).values()]
    assert all(f"L2RE; error C on {PROBLEMS[2]}" in title for title in titles)
