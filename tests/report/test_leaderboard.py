"""Leaderboards: like against like, tuned or at one rate."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest
import stored_runs
from molecular_specs import specify
from stored_runs import PROBLEMS, factors, fill, filled, made, ranked, spec, specs, timed

from bench.plugins import load_suite
from bench.ranking.ranking import Length, save
from bench.report.leaderboard.board import Board, read_boards
from bench.report.leaderboard.page import markdown, write_page
from bench.report.leaderboard.tables import board_tables, sentences
from bench.report.tabulation import Table
from bench.spec.spec import Spec
from bench.store.record import Metric
from bench.store.store import Store
from bench.studies.plan import PlannedRun
from bench.task import PublishedFigures

ARMS = ("baseline", "irelu", "lsuv", "worse")
ERRORS = factors({"baseline": 1.0, "irelu": 0.5, "lsuv": 0.8, "worse": 1.7})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return filled(tmp_path / "store", specs(ARMS), ERRORS)


def board_of(store: Store) -> Board:
    (board,) = read_boards(store)
    return board


def table(board: Board, name: str) -> Table:
    return next(table for table in board_tables(board) if table.name == name)


def column(of: Table, name: str) -> list[object]:
    return [row[list(of.header).index(name)] for row in of.rows]


def test_arms_are_ranked_by_verdict_and_then_by_ratio(store: Store) -> None:
    arms = table(board_of(store), "arms")
    assert column(arms, "arm") == ["irelu", "lsuv", "worse"]
    assert column(arms, "verdict") == ["better", "better", "worse"]
    assert column(arms, "error ratio") == pytest.approx([0.5, 0.8, 1.7], rel=0.05)
    assert column(arms, "problems") == ["3 of 3"] * 3
    assert column(arms, "tuning") == ["one rate"] * 3
    assert column(arms, "rate") == ["0.001"] * 3
    assert [c.claim.family for c in board_of(store).comparisons] == [3, 3, 3]


def test_the_same_store_gives_the_same_markdown(store: Store, tmp_path: Path) -> None:
    backwards = filled(tmp_path / "other", specs(ARMS)[::-1], ERRORS)
    assert markdown(read_boards(store)) == markdown(read_boards(backwards))
    assert str(tmp_path) not in markdown(read_boards(store))


def test_only_runs_of_equal_conditions_meet(store: Store) -> None:
    others = {
        "float64": specs(["irelu"], dtype="float64"),
        "cuda": specs(["irelu"], device="cuda"),
        "paper": specs(["irelu"], settings={"protocol": "paper"}),
        "short": specs(["irelu"], budget="short", steps=10),
    }
    before = markdown(read_boards(store))
    for of in others.values():
        fill(store, of, lambda _: 1e-9)
    boards = read_boards(store)
    assert len(boards) == 5
    assert [len(board.comparisons) for board in boards].count(3) == 1
    # An arm without a baseline is said, and not compared.
    alone = next(board for board in boards if board.conditions.protocol == "paper")
    assert sentences(alone)[0].endswith("not in the table: irelu.")
    assert before.split("\n", 2)[2] in markdown(boards)


def test_other_settings_and_steps_are_left_out_and_counted(store: Store) -> None:
    extra = specs(["irelu"], 2, PROBLEMS[:1], settings={"protocol": "standard", "points": 9})
    fill(store, [*extra, *specs(["irelu"], 1, PROBLEMS[:1], steps=70)], lambda _: 1e-9)
    board = board_of(store)
    assert board.left_out == {"runs with other settings or steps": 3}
    assert column(table(board, "arms"), "error ratio")[0] == pytest.approx(0.5, rel=0.05)


def test_one_rate_is_that_of_most_pairs(store: Store) -> None:
    fill(store, specs(["irelu", "lsuv"], 8, lr=3e-3), lambda _: 1e-9)
    board = board_of(store)
    assert board.left_out == {"runs at another rate": 48}
    assert column(table(board, "arms"), "rate") == ["0.001"] * 3


def test_old_definitions_and_failed_runs_are_left_out(store: Store) -> None:
    redefined = msgspec.structs.replace(spec("irelu", 9), versions={"activation": 2})
    store.write(made(redefined, 1e-9))
    store.write(made(spec("lsuv", 9), 0.1, status="failed"))
    board = board_of(store)
    assert board.left_out == {
        "runs of definitions that have been redefined since": 15,
        "runs that did not end": 1,
    }
    assert "irelu" not in column(table(board, "arms"), "arm")


def test_the_run_that_was_started_last_stands_for_its_arm_and_seed(store: Store) -> None:
    edited = [msgspec.structs.replace(one, sources={"mine:X": "ab"}) for one in specs(["irelu"])]
    fill(store, edited, lambda _: 0.2, started="2026-02-02")
    board = board_of(store)
    assert board.left_out == {"runs that a later one of the same arm and seed replaces": 15}
    assert column(table(board, "arms"), "arm")[-1] == "irelu"


def test_divergence_is_counted_and_is_no_number(tmp_path: Path) -> None:
    errors = factors({"baseline": 1.0, "irelu": 0.5, "lsuv": None})
    store = filled(tmp_path / "s", specs(["baseline", "irelu", "lsuv"]), errors)
    arms = table(board_of(store), "arms")
    place = column(arms, "arm").index("lsuv")
    assert column(arms, "diverged") == ["0 of 15", "15 of 15"]
    assert column(arms, "error ratio")[place] == "15 of 15 diverged"
    assert column(table(board_of(store), "problems"), "arm") == ["irelu", "baseline"] * 3


def test_few_seeds_claim_nothing_and_spoil_nothing(store: Store) -> None:
    errors = factors({"few": 0.1})
    fill(store, specs(["few"], 2), errors)
    arms = table(board_of(store), "arms")
    assert column(arms, "verdict") == ["better", "better", "undecided", "worse"]
    assert column(arms, "seeds") == [5, 5, 2, 5]
    assert str(column(arms, "note")[2]).startswith("exploratory")


def test_tuned_arms_meet_the_tuned_baseline(store: Store) -> None:
    def error(of: Spec) -> float | None:
        # At its own rate the baseline is twice as good, and irelu as good as that.
        return 0.05 if of.training.lr == 3e-3 else ERRORS(of)

    ranked(store, {"baseline": 3e-3, "irelu": 1e-3}, error)
    board = board_of(store)
    arms = table(board, "arms")
    rows = {(row[0], row[-2]): row for row in arms.rows}
    assert rows.keys() == {
        ("irelu (tuned)", "tuned"),
        ("irelu", "one rate"),
        ("lsuv", "one rate"),
        ("worse", "one rate"),
    }
    # It only wanted another rate than the baseline.
    assert rows["irelu", "one rate"][1:3] == ["better", pytest.approx(0.5, rel=0.05)]
    assert rows["irelu (tuned)", "tuned"][2] == pytest.approx(1.0, rel=0.05)
    assert board.left_out["tuning trials"] == 24
    assert board.left_out["runs of another length"] == 30


def test_an_arm_whose_runs_are_all_tuned_stands_once(tmp_path: Path) -> None:
    store = filled(tmp_path / "s", [], ERRORS)
    ranked(store, {"baseline": 1e-3, "irelu": 1e-3, "lsuv": 3e-3}, ERRORS)
    arms = table(board_of(store), "arms")
    assert column(arms, "arm") == ["irelu (tuned)", "lsuv (tuned)"]
    assert column(arms, "tuning") == ["tuned", "tuned, 3 at an edge"]
    assert column(arms, "rate") == ["0.001", "0.003"]
    settings = column(table(board_of(store), "problems"), "setting")
    assert settings == ["lr 0.001", "lr 0.001"] * 3


def test_a_second_ranking_joins_only_with_the_same_tuned_baseline(tmp_path: Path) -> None:
    store = filled(tmp_path / "s", [], ERRORS)
    ranked(store, {"baseline": 1e-3, "irelu": 3e-3}, ERRORS)
    ranked(store, {"baseline": 1e-3, "lsuv": 3e-3}, ERRORS, name="second")
    ranked(store, {"baseline": 3e-3, "worse": 3e-3}, ERRORS, name="third", seeds=3)
    board = board_of(store)
    tuned = [name for name, entry in board.entries.items() if entry.tuned is not None]
    assert tuned == ["baseline (tuned)", "irelu (tuned)", "lsuv (tuned)"]


def test_an_arm_that_is_the_baseline_is_said_to_be(tmp_path: Path) -> None:
    store = filled(tmp_path / "s", [], ERRORS)
    ranking = ranked(store, {"baseline": 1e-3, "irelu": 1e-3, "lsuv": 1e-3}, ERRORS)
    runs = [
        PlannedRun(
            msgspec.structs.replace(
                run.spec, axes={"activation": run.spec.arm.replace("lsuv", "baseline")}
            ),
            "",
        )
        for run in ranking.runs_of(1.0)
    ]
    save(msgspec.structs.replace(ranking, lengths=[Length(1.0, runs), *ranking.lengths[1:]]), store)
    board = board_of(store)
    # What the arm was before is in the store as well.
    assert column(table(board, "arms"), "arm") == ["irelu (tuned)", "lsuv"]
    assert sentences(board)[0] == "The same run as the baseline, so not in the table: lsuv (tuned)."


def test_step_times_compare_on_one_machine_alone(tmp_path: Path) -> None:
    store = filled(tmp_path / "s", specs(["baseline"]), ERRORS, timing=timed(2.0))
    fill(store, specs(["irelu"]), ERRORS, timing=timed(3.0))
    fill(store, specs(["lsuv"]), ERRORS, timing=timed(9.0), environment={"cpu": "another"})
    board = board_of(store)
    arms = table(board, "arms")
    assert column(arms, "ms/step ×") == [pytest.approx(1.5), None]
    assert any("on different devices" in text for text in sentences(board))


def test_published_figures_stand_apart(tmp_path: Path) -> None:
    of = specify("cgcnn", "baseline", "--protocol", "paper", problem="xtb-ethanol")
    store = Store(tmp_path / "s")
    store.prepare()
    metrics = {"MAE_F": Metric(0.1, 0.1)}
    store.write(made(of, 0.1, metrics=metrics, units={"MAE_F": "kcal/mol/Å"}))
    board = board_of(store)
    rows = table(board, "published").rows
    assert {row[2] for row in rows} == {"baseline, published"}
    suite = load_suite("molecular")
    assert isinstance(suite, PublishedFigures)
    figures = {figure.metric: figure.value for figure in suite.published(of)}
    assert {row[3]: row[4] for row in rows} == figures
    assert not board.comparisons


def test_names_with_markup_are_text(tmp_path: Path) -> None:
    arm = "activation=<b>x|y</b>"
    errors = factors({"baseline": 1.0, arm: 0.5})
    store = filled(tmp_path / "s", specs(["baseline", arm]), errors)
    boards = read_boards(store)
    lines = [line for line in markdown(boards).splitlines() if "x\\|y" in line]
    assert lines
    page = write_page(boards, tmp_path / "page.html").read_text()
    assert "<b>x" not in page
    assert "&lt;b&gt;x|y" in page
    assert not re.search(r"(src|href)=\"https?:", page)


def sourced(of: list[Spec], reference: str, digest: str) -> list[Spec]:
    return [msgspec.structs.replace(one, sources={reference: digest}) for one in of]


@pytest.mark.parametrize("seeds", [(0, 1, 2, 3, 4), (3, 4)])
def test_an_edited_technique_is_not_pooled_with_what_it_was(
    tmp_path: Path, seeds: tuple[int, ...]
) -> None:
    errors = factors({"baseline": 1.0, "mine": 0.5})
    old = sourced(specs(["mine"], 4), "mine:Act", "old")
    store = filled(tmp_path / "s", [*specs(["baseline"]), *old], errors)
    new = [one for one in sourced(specs(["mine"]), "mine:Act", "new") if one.seed in seeds]
    fill(store, new, factors({"mine": 0.9}), started="2026-02-02")
    board = board_of(store)
    assert board.left_out == {"runs of an earlier file of mine:Act": 12}
    assert column(table(board, "arms"), "error ratio") == pytest.approx([0.9], rel=0.05)
    assert column(table(board, "arms"), "seeds") == [len(seeds)]


def test_an_edited_problem_has_no_baseline_of_before(tmp_path: Path) -> None:
    errors = factors({"baseline": 1.0, "irelu": 0.5})
    old = sourced(specs(["baseline"]), "mine:Heat", "old")
    store = filled(tmp_path / "s", old, errors)
    fill(store, sourced(specs(["irelu"]), "mine:Heat", "new"), errors, started="2026-02-02")
    board = board_of(store)
    assert board.left_out == {"runs of an earlier file of mine:Heat": 15}
    assert not board.comparisons
    assert sentences(board)[0].endswith("not in the table: irelu.")


def test_a_tuned_arm_is_of_one_state_of_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = filled(tmp_path / "s", [], ERRORS)
    make = stored_runs.spec
    for digest, problems in (("old", PROBLEMS[:1]), ("sold", PROBLEMS[1:])):
        monkeypatch.setattr(
            stored_runs,
            "spec",
            lambda arm="baseline", *given, digest=digest, **how: make(
                arm, *given, **how, sources={"mine:Act": digest} if arm == "irelu" else {}
            ),
        )
        ranked(store, {"baseline": 1e-3, "irelu": 3e-3}, ERRORS, problems=problems, name=digest)
    board = board_of(store)
    assert board.left_out["runs of an earlier file of mine:Act"] == 5
    assert column(table(board, "arms"), "problems") == ["2 of 3"]


@pytest.mark.parametrize("arm", ["baseline", "irelu"])
def test_a_run_without_a_partner_changes_no_claim(tmp_path: Path, arm: str) -> None:
    store = filled(tmp_path / "s", [], ERRORS)
    ranked(store, dict.fromkeys(ARMS, 1e-3), ERRORS)
    before = table(board_of(store), "arms")
    fill(store, [spec(arm, 7)], ERRORS)
    board = board_of(store)
    assert table(board, "arms").rows == before.rows
    assert [c.claim.family for c in board.comparisons] == [3, 3, 3]
    assert board.left_out["runs without a partner of the same seed"] == 1


def test_a_further_pair_is_a_further_comparison(tmp_path: Path) -> None:
    store = filled(tmp_path / "s", [], ERRORS)
    ranked(store, dict.fromkeys(ARMS, 1e-3), ERRORS)
    fill(store, [spec("baseline", 7), spec("irelu", 7)], ERRORS)
    arms = column(table(board_of(store), "arms"), "arm")
    assert sorted(map(str, arms)) == ["irelu", "irelu (tuned)", "lsuv (tuned)", "worse (tuned)"]


def test_package_versions_that_differ_in_a_row_are_said(tmp_path: Path) -> None:
    def of(torch: str) -> dict[str, object]:
        return {"cpu": "c", "code": {"x": "1"}, "versions": {"torch": torch, "numpy": "2.1"}}

    store = filled(tmp_path / "s", specs(["baseline"]), ERRORS, environment=of("2.4"))
    fill(store, specs(["irelu"]), ERRORS, environment=of("2.9"))
    assert sentences(board_of(store)) == [
        "The runs were made with different versions of packages: torch 2.4 (15 runs), 2.9 (15"
        " runs)."
    ]
