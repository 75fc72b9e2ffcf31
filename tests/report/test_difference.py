"""What differs between two stores, studies or rankings."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from stored_runs import (
    COLUMNS,
    PROBLEMS,
    Error,
    factors,
    fill,
    filled,
    made,
    ranked,
    spec,
    specs,
    timed,
)

from bench.report.difference.page import text_of, write_page
from bench.report.difference.results import Difference, differences
from bench.report.difference.sides import read_side
from bench.report.difference.tables import NAMES, difference_tables, lines, notes
from bench.report.tabulation import Table
from bench.spec.spec import Spec
from bench.store.record import Metric
from bench.store.store import Store
from bench.studies.plan import SCHEMA, Plan, PlannedRun, plans, save
from bench.text.errors import BadInput

ARMS = ("baseline", "irelu")
ERRORS = factors({"baseline": 1.0, "irelu": 0.5})


@pytest.fixture
def one(tmp_path: Path) -> Store:
    return filled(tmp_path / "one", specs(ARMS), ERRORS)


def other(tmp_path: Path, of: Sequence[Spec], error: Error, **changes: Any) -> Store:
    return filled(tmp_path / "other", of, error, **changes)


def between(a: Store, b: Store) -> Difference:
    sides = [read_side(str(store.root), a) for store in (a, b)]
    (found,) = differences(*sides)
    return found


def table(found: Difference, name: str) -> Table:
    return difference_tables(found, [name])[name]


def column(of: Table, name: str) -> list[object]:
    return [row[list(of.header).index(name)] for row in of.rows]


def test_a_copy_is_equal_to_the_last_bit(one: Store, tmp_path: Path) -> None:
    shutil.copytree(one.root, tmp_path / "copy")
    found = between(one, Store(tmp_path / "copy"))
    assert lines(found) == [
        "A and B are equal to the last bit: 30 runs.",
        "Specs, units, code, versions and machine are the same.",
        "No verdict against the baseline differs.",
    ]
    assert not notes(found)
    assert column(table(found, "arms"), "B is") == ["equal to the last bit"] * 2
    assert column(table(found, "arms"), "error ratio") == [1, 1]
    assert "conditions" not in difference_tables(found, NAMES)


def test_the_last_bit_of_one_metric_is_found(one: Store, tmp_path: Path) -> None:
    shutil.copytree(one.root, tmp_path / "copy")
    changed = spec("irelu", 3, PROBLEMS[1])
    value = ERRORS(changed)
    assert value is not None
    metrics = {"L2RE": Metric(value, value), "skill": Metric(1 - value - 2**-53, None)}
    Store(tmp_path / "copy").write(made(changed, value, metrics=metrics))
    found = between(one, Store(tmp_path / "copy"))
    assert found.equal == 29
    assert "equal to the last bit: 29 of 30" in lines(found)[0]
    runs = table(found, "runs")
    (row,) = [row for row in runs.rows if row[-1] == "no"]
    assert list(row[:4]) == [PROBLEMS[1], "fnn:40x6", "irelu", 3]
    assert column(table(found, "arms"), "equal") == [15, 14]


def test_another_rate_is_said_and_compared(one: Store, tmp_path: Path) -> None:
    better = factors({"baseline": 0.7, "irelu": 0.5})
    found = between(one, other(tmp_path, specs(ARMS, lr=3e-3), better))
    assert [list(row) for row in table(found, "conditions").rows] == [
        ["spec", "learning rate", "0.001", "0.003", "30 of 30"]
    ]
    arms = table(found, "arms")
    assert column(arms, "B is") == ["better", "equal to the last bit"]
    assert column(arms, "error ratio") == pytest.approx([0.7, 1], rel=0.05)


def test_a_verdict_that_differs_is_named(one: Store, tmp_path: Path) -> None:
    lost = factors({"baseline": 1.0, "irelu": 1.0}, spread=0.0)

    def noisy(of: Spec) -> float:
        value = lost(of) or 0.0
        return value * (1 + 0.4 * (of.seed % 2) * (of.arm == "irelu"))

    found = between(one, other(tmp_path, specs(ARMS), noisy))
    assert "irelu: better in A, undecided in B" in lines(found)[-1]
    verdicts = table(found, "verdicts")
    assert list(verdicts.rows[0][:2]) == ["irelu", "better"]
    assert column(verdicts, "differs") == ["yes"]


def test_a_redefined_version_is_compared_and_warned_of(one: Store, tmp_path: Path) -> None:
    new = [msgspec.structs.replace(s, versions={"problem": 2}) for s in specs(ARMS)]
    found = between(one, other(tmp_path, new, ERRORS))
    conditions = table(found, "conditions")
    assert column(conditions, "what") == [f"version of problem {name}" for name in PROBLEMS]
    assert column(conditions, "runs") == ["10 of 30"] * 3
    assert notes(found)[0].startswith("Redefined between A and B")
    assert found.equal == 30


def test_code_versions_and_machines_are_told_apart(tmp_path: Path) -> None:
    old = {
        "cpu": "slow",
        "versions": {"torch": "2.10", "numpy": "2.1"},
        "code": {"bench.training.group:Group": "a", "suites.pinn.task:Task": "b"},
        "commit": "1" * 40,
        "jobs": 2,
    }
    new = {
        "cpu": "fast",
        "versions": {"torch": "2.11", "numpy": "2.1"},
        "code": {"bench.training.group:Group": "c", "suites.pinn.task:Task": "b"},
        "commit": "2" * 40,
        "jobs": 2,
    }
    a = filled(tmp_path / "a", specs(ARMS), ERRORS, environment=old, timing=timed(4.0))
    b = other(
        tmp_path, specs(ARMS), ERRORS, environment=new, timing=timed(1.0), peak_memory_mb=10.0
    )
    found = between(a, b)
    assert [list(row[:4]) for row in table(found, "conditions").rows] == [
        ["code", "code of bench.training.group:Group", "commit 11111111", "commit 22222222"],
        ["versions", "torch", "2.10", "2.11"],
        ["machine", "cpu", "slow", "fast"],
    ]
    arms = table(found, "arms")
    assert column(arms, "ms/step ×") == pytest.approx([0.25, 0.25])
    assert column(arms, "memory ×") == [None, None]


def test_what_has_no_partner_is_counted(one: Store, tmp_path: Path) -> None:
    b = other(tmp_path, specs(["irelu", "lsuv"], 3, PROBLEMS[:2]), ERRORS_OF_THREE)
    b.write(made(spec("irelu", 3), 0.1, status="timeout"))
    fill(b, specs(["irelu"], 1, PROBLEMS[:1], lr=1e-2), ERRORS_OF_THREE)
    found = between(one, b)
    assert len(found.pairs) == 6
    assert found.left_out == {
        "did not end": (0, 1),
        "of other settings": (0, 1),
        "not on the other side": (24, 6),
    }
    assert "(not on the other side): 24 of A, 6 of B" in notes(found)[-1]
    # There is no baseline in common.
    assert not found.verdicts


ERRORS_OF_THREE = factors({"baseline": 1.0, "irelu": 0.5, "lsuv": 0.9})


def test_of_several_kinds_the_common_one_is_taken(one: Store, tmp_path: Path) -> None:
    fill(one, specs(ARMS, 9, lr=1e-2), ERRORS)
    found = between(one, other(tmp_path, specs(ARMS), ERRORS))
    assert found.equal == 30
    assert found.left_out == {"of other settings": (54, 0)}


def test_divergence_is_counted_on_either_side(one: Store, tmp_path: Path) -> None:
    def error(of: Spec) -> float | None:
        lost = of.arm == "irelu" and of.problem == PROBLEMS[0]
        return None if lost else ERRORS(of)

    found = between(one, other(tmp_path, specs(ARMS), error))
    arms = table(found, "arms")
    assert column(arms, "diverged in A") == [0, 0]
    assert column(arms, "diverged in B") == [0, 5]
    assert column(arms, "error ratio") == [1, 1]
    row = next(r for r in table(found, "problems").rows if list(r[:3:2]) == [PROBLEMS[0], "irelu"])
    assert row[7] == "5 of 5 diverged"


def test_trials_and_other_lengths_are_no_side_of_a_store(tmp_path: Path) -> None:
    stores = [filled(tmp_path / name, [], ERRORS) for name in ("a", "b")]
    for store in stores:
        ranked(store, {"baseline": 1e-3, "irelu": 1e-3}, ERRORS)
    assert len(between(*stores).pairs) == 30


def test_a_ranking_is_a_side_with_a_rate_for_each_arm(tmp_path: Path) -> None:
    a, b = (filled(tmp_path / name, [], ERRORS) for name in ("a", "b"))
    ranked(a, {"baseline": 1e-3, "irelu": 3e-3}, ERRORS)
    ranked(b, {"baseline": 3e-3, "irelu": 3e-3}, ERRORS, name="later")
    sides = read_side("night", a), read_side(f"{b.root}:later", a)
    (found,) = differences(*sides)
    assert len(found.pairs) == 30
    assert [list(row[1:]) for row in table(found, "conditions").rows] == [
        ["learning rate", "0.001", "0.003", "15 of 30"]
    ]


def studied(
    store: Store, name: str, of: Sequence[Spec], options: str = "", budget: str = "quick"
) -> None:
    plan = Plan(
        schema=SCHEMA,
        study=name,
        suite="pinn",
        budget=budget,
        options=options,
        question="Which?",
        command="",
        comparisons=[("irelu", "baseline")],
        factors=[],
        cells=[],
        columns=dict.fromkeys(PROBLEMS, COLUMNS),
        runs=[PlannedRun(one, "") for one in of],
    )
    save(plan, store)


def test_two_studies_of_one_store(one: Store) -> None:
    paper = specs(ARMS, settings={"protocol": "paper"})
    fill(one, paper, factors({"baseline": 2.0, "irelu": 1.0}))
    studied(one, "standard", specs(ARMS))
    studied(one, "paper", paper)
    (found,) = differences(read_side("standard", one), read_side("paper-pinn-quick", one))
    assert [list(row[1:4]) for row in table(found, "conditions").rows] == [
        ["protocol", "standard", "paper"]
    ]
    assert column(table(found, "arms"), "B is") == ["worse", "worse"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("standart", r"unknown study or ranking in .*: 'standart'; did you mean 'standard'"),
        ("{root}:standart", "did you mean 'standard'"),
        ("{root}x", "there is no store of results in '.*onex'; did you mean 'one'"),
        ("{root}x:standard", "there is no store of results in '.*onex'; did you mean 'one'"),
    ],
)
def test_an_unknown_side_is_refused(one: Store, name: str, said: str) -> None:
    studied(one, "standard", specs(ARMS))
    with pytest.raises(BadInput, match=said):
        read_side(name.format(root=one.root), one)


def test_what_makes_no_sense_is_refused(one: Store, tmp_path: Path) -> None:
    def refused(b: Store, said: str) -> None:
        with pytest.raises(BadInput, match=said):
            between(one, b)
        shutil.rmtree(b.root)

    molecular = [msgspec.structs.replace(s, suite="molecular") for s in specs(ARMS, 1)]
    refused(other(tmp_path, molecular, ERRORS), "no suite in common: pinn against molecular")
    short = specs(ARMS, 1, budget="short")
    refused(other(tmp_path, short, ERRORS), "no budget in common: quick against short")
    lsuv = specs(["lsuv"], 1)
    refused(other(tmp_path, lsuv, ERRORS_OF_THREE), "no run of .* has the problem, model, arm")
    sides = [read_side(str(one.root), one)] * 2
    with pytest.raises(BadInput, match=r"unknown budget .*did you mean 'quick'"):
        differences(*sides, budget="quik")


def test_few_seeds_claim_nothing(tmp_path: Path) -> None:
    a = filled(tmp_path / "a", specs(ARMS, 3), ERRORS)
    found = between(a, other(tmp_path, specs(ARMS, 3), factors({"baseline": 0.1, "irelu": 0.1})))
    arms = table(found, "arms")
    assert column(arms, "B is") == ["undecided", "undecided"]
    assert all("exploratory" in str(note) for note in column(arms, "note"))
    # One arm is one comparison.
    a, b = (filled(tmp_path / n, specs(["irelu"], 3), factors({"irelu": f})) for n, f in CASES)
    assert column(table(between(a, b), "arms"), "B is") == ["better"]


CASES = (("c", 1.0), ("d", 0.1))


def test_names_with_markup_are_text(tmp_path: Path) -> None:
    arm = "activation=<b>x|y[red]</b>"
    errors = factors({"baseline": 1.0, arm: 0.5})
    a = filled(tmp_path / "<i>a", specs(["baseline", arm]), errors)
    found = between(a, other(tmp_path, specs(["baseline", arm], lr=0.1), errors))
    page = write_page([found], tmp_path / "page.html").read_text()
    assert "<b>x" not in page
    assert "<i>a" not in page
    assert "x\\|y[red]" in text_of(found, "md", None)
    assert text_of(found, "csv", "arms").count("\n") == 3
    assert "<b>" not in text_of(found, "latex", "arms")


@pytest.mark.parametrize("named", [False, True])
def test_a_side_is_of_one_state_of_a_users_file(tmp_path: Path, named: bool) -> None:
    """Of a study as of a whole store: it may have been extended after an edit."""
    errors = factors({"baseline": 1.0, "irelu": 0.5})
    old = [msgspec.structs.replace(s, sources={"mine:A": "old"}) for s in specs(["irelu"], 3)]
    new = [msgspec.structs.replace(s, sources={"mine:A": "new"}) for s in specs(["irelu"])]
    new = [one for one in new if one.seed >= 3]
    a = filled(tmp_path / "a", specs(["baseline"]), errors)
    fill(a, old, errors)
    fill(a, new, factors({"irelu": 2.0}), started="2026-02-02")
    studied(a, "night", [*specs(["baseline"]), *old, *new])
    b = other(tmp_path, specs(ARMS), errors)
    side = read_side("night" if named else str(a.root), a)
    (found,) = differences(side, read_side(str(b.root), b))
    assert found.left_out["with an earlier file of mine:A"] == (9, 0)
    assert "Runs without a partner (with an earlier file of mine:A): 9 of A, 0 of B." in notes(
        found
    )
    assert len(found.of_arm("irelu")) == 6
    assert column(table(found, "arms"), "error ratio")[1] == pytest.approx(0.25, rel=0.1)


def test_a_side_is_of_one_version_of_each_definition(one: Store, tmp_path: Path) -> None:
    redefined = msgspec.structs.replace(spec("irelu", 9), versions={"activation": 2})
    b = other(tmp_path, [*specs(ARMS), redefined], ERRORS)
    found = between(one, b)
    assert found.left_out["of a definition that has been redefined since"] == (0, 15)
    assert found.arms == ["baseline"]


def protocols(one: Store) -> None:
    """Two studies of one name, as under two protocols."""
    for protocol in ("paper", "standard"):
        of = specs(ARMS, settings={"protocol": protocol})
        fill(one, of, ERRORS)
        studied(one, "night", of, options=f"--protocol {protocol}")


def test_a_name_of_several_is_refused_with_the_keys(one: Store) -> None:
    protocols(one)
    keys = sorted(plan.key for plan in plans(one))
    said = f"'night' is 2 studies or rankings of pinn at budget quick.*: {', '.join(keys)}"
    with pytest.raises(BadInput, match=said):
        read_side("night", one)
    with pytest.raises(BadInput, match="is 2 studies or rankings"):
        read_side(f"{one.root}:night", one)
    (found,) = differences(*(read_side(key, one) for key in keys))
    assert len(found.pairs) == 30


def test_a_study_and_a_ranking_of_one_name_are_refused(one: Store) -> None:
    studied(one, "night", specs(ARMS))
    ranked(one, {"baseline": 1e-3, "irelu": 3e-3}, ERRORS)
    with pytest.raises(BadInput, match="name one by its key"):
        read_side("night", one)


def test_one_name_at_two_budgets_is_two_differences(one: Store) -> None:
    short = specs(ARMS, budget="short", steps=7)
    fill(one, short, ERRORS)
    studied(one, "night", specs(ARMS))
    studied(one, "night", short, budget="short")
    sides = [read_side("night", one)] * 2
    assert [found.budget for found in differences(*sides)] == ["quick", "short"]


def test_there_is_no_ratio_across_units(tmp_path: Path) -> None:
    a = filled(tmp_path / "a", specs(ARMS), ERRORS, units={"L2RE": "eV"})
    fill(a, specs(ARMS, problems=PROBLEMS[2:]), ERRORS, units={"L2RE": "kcal/mol"})
    b = other(tmp_path, specs(ARMS), ERRORS, units={"L2RE": "kcal/mol"})
    found = between(a, b)
    assert [list(row) for row in table(found, "conditions").rows] == [
        ["units", "unit of L2RE", "eV", "kcal/mol", "20 of 30"]
    ]
    assert found.equal == 10
    assert notes(found) == [
        "Units differ between A and B, and such pairs have no ratio: L2RE (eV, kcal/mol)."
    ]
    assert column(table(found, "arms"), "problems") == [1, 1]
    problems = table(found, "problems")
    assert column(problems, "error ratio") == [None] * 4 + [1, 1]
    assert column(problems, "unit") == ["eV in A, kcal/mol in B"] * 4 + ["kcal/mol"] * 2
    # Where no pair has one unit nothing is claimed.
    all_other = filled(tmp_path / "c", specs(ARMS), ERRORS, units={"L2RE": "meV"})
    arms = table(between(a, all_other), "arms")
    assert column(arms, "B is") == ["no claim"] * 2
    assert column(arms, "note") == ["no pair has equal units"] * 2


@pytest.mark.parametrize(
    ("of_a", "of_b", "what", "values"),
    [
        ({"lr": 1.0000001e-3}, {"lr": 1.0000004e-3}, "learning rate",
         ["0.0010000001", "0.0010000004"]),
        ({"settings": {"most": None}}, {"settings": {}}, "most", ["none", "–"]),
        ({"settings": {"most": None}}, {"settings": {"most": 0.1}}, "most", ["none", "0.1"]),
        ({"settings": {"n": 1}}, {"settings": {"n": 1.0}}, "way in which it is written", None),
        ({"settings": {"n": {}}}, {"settings": {}}, "way in which it is written", None),
        ({"settings": {"n": True}}, {"settings": {"n": "yes"}}, "way in which it is written", None),
    ],
)  # fmt: skip
def test_specs_of_other_hashes_are_never_said_to_be_the_same(
    tmp_path: Path, of_a: Any, of_b: Any, what: str, values: list[str] | None
) -> None:
    a = filled(tmp_path / "a", specs(ARMS, 1, **of_a), ERRORS)
    found = between(a, other(tmp_path, specs(ARMS, 1, **of_b), ERRORS))
    (row,) = table(found, "conditions").rows
    assert list(row[:2]) == ["spec", what]
    assert values is None or list(row[2:4]) == values
    assert not any("the same" in line for line in lines(found))
