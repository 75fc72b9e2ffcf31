"""From a question to the rankings of a night, with made-up times."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import rank_suite

from bench.execution.options import ExecutionOptions
from bench.ranking import planning
from bench.ranking.options import RankOptions
from bench.ranking.ranking import Contestant
from bench.ranking.session import Session
from bench.spec.spec import Spec
from bench.spec.training_options import TrainingOptions
from bench.store.record import Record
from bench.store.store import Store
from bench.text.errors import BadInput


@pytest.fixture(autouse=True)
def minutes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A run takes a minute under the budget ``quick``, half of it under ``short``."""

    def seconds_of(specs: Iterable[Spec], *given: Any, **options: Any) -> dict[str, float]:
        return {spec.hash: 1.5 * spec.training.total_steps for spec in specs}

    rank_suite.use(tmp_path, monkeypatch)
    monkeypatch.setattr(planning, "seconds_of", seconds_of)
    monkeypatch.setattr("bench.ranking.schedule.START_S", 0.0)
    yield


def planned(store: Path, hours: float, *candidates: str, **options: Any) -> Session:
    given = RankOptions(
        candidates=candidates or ("irelu",),
        suite=("ranked",),
        hours=str(hours),
        **{"problems": ("near",), "against": ("baseline",), **options},
    )
    where = ExecutionOptions(device="cpu", jobs="1", store=store)
    (session,) = planning.plan_sessions(given, TrainingOptions(), where, lambda text: None)
    return session


def test_a_ranking_stays_with_the_budget_that_it_was_begun_with(tmp_path: Path) -> None:
    evening = planned(tmp_path, 0.45)
    assert evening.night.budget == "short"
    assert planned(tmp_path, 2).night.budget == "quick"
    evening.store.prepare()
    evening.save()
    later = planned(tmp_path, 2)
    assert later.key == evening.key and later.night.seeds > evening.night.seeds
    assert later.notes[0].startswith("the budget 'short' stays")
    assert planned(tmp_path, 2, budget="quick").night.budget == "quick"
    assert planned(tmp_path, 2, "ielu").night.budget == "quick"  # another question


def test_problems_and_models_that_are_named_make_another_ranking(tmp_path: Path) -> None:
    named: list[dict[str, Any]] = [
        {"problems": ()},
        {"problems": ("near",)},
        {"problems": ("far",)},
        {"problems": ("near", "far")},
        {"problems": (), "models": ("point",)},
        {"models": ("point",)},
    ]
    keys = [planned(tmp_path, 2, budget="quick", **each).key for each in named]
    assert len(set(keys)) == len(named)
    backwards = planned(tmp_path, 2, budget="quick", problems=("far", "near"))
    assert backwards.key == keys[3]


@pytest.mark.parametrize("candidates", [("denorm",), ("irelu", "denorm"), ("denorm", "irelu")])
def test_a_candidate_that_changes_nothing_is_refused(
    candidates: tuple[str, ...], tmp_path: Path
) -> None:
    with pytest.raises(BadInput) as error:
        planned(tmp_path / "none", 2, *candidates, problems=())
    assert str(error.value) == (
        "denorm changes nothing on near, far: it is the same run as baseline"
    )
    assert not (tmp_path / "none").exists()


def test_a_candidate_that_changes_something_once_it_is_tuned_is_no_baseline(
    tmp_path: Path,
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[[candidate]]\narm = 'rescale=1'\ntune = { rescale = [1, 2] }")
    assert planned(tmp_path, 2, str(file), budget="quick").planned.arms[1].arm == "rescale=1"


def test_arms_divide_equal_steps(tmp_path: Path) -> None:
    chain = "baseline --steps 10 --lbfgs-steps 30"
    session = planned(tmp_path, 2, chain)
    assert session.night.budget == "quick"
    assert session.notes[0].startswith("a budget is left out: arm 'baseline --steps 10")
    runs, (reference, arm) = session.planned.runs, session.planned.arms
    for share in (0.25, 0.5, 1.0, 2.0):
        ours, theirs = (
            runs.run(("near", "point"), one, {}, 0, share).spec.training for one in (arm, reference)
        )
        assert ours.total_steps == theirs.total_steps and ours.lbfgs_steps > 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--steps 160", "'baseline --steps 160' trains for 160 steps, 'baseline' for 40 on near"),
        ("--lbfgs-steps 7", "trains for 47 steps, 'baseline' for 40"),
        ("--steps 39", "trains for 39 steps"),
        ("--evaluations 3", "is evaluated 3 times, 'baseline' 1 times"),
    ],
)
def test_an_arm_that_trains_otherwise_is_refused(options: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput) as error:
        planned(tmp_path / "none", 2, f"baseline {options}", budget="quick")
    assert said in str(error.value) and "\n" not in str(error.value)
    assert not (tmp_path / "none").exists()


def test_of_lbfgs_alone_no_rate_is_tuned(tmp_path: Path) -> None:
    alone = "irelu --steps 0 --lbfgs-steps 40"
    file = tmp_path / "mine.toml"
    file.write_text(
        f"[[candidate]]\narm = '{alone}'\nname = 'LBFGS'\ntune = {{ eps = [1e-9] }}\n"
        "[[candidate]]\narm = 'rescale'\ntune = { rescale = [1, 2] }"
    )
    session = planned(tmp_path, 2, str(file), budget="quick")
    runs, (_, arm, other) = session.planned.runs, session.planned.arms
    case = ("near", "point")
    assert runs.search(case, arm).first() == [{"lr": rank_suite.LR}]
    assert len(runs.search(case, other).first()) == 1 + 3 * 2
    tried = Contestant("rescale --steps 0 --lbfgs-steps 40", tune={"rescale": [1, 2]})
    assert len(runs.search(case, tried).first()) == 2
    assert (
        "no rate is tuned of 'LBFGS': without a step of Adam there is only that of L-BFGS, which is"
        " fixed" in session.notes
    )
    assert any(note.startswith("eps is tuned for all arms alike") for note in session.notes)


def test_a_device_that_is_asked_for_is_in_the_command(tmp_path: Path) -> None:
    assert planned(tmp_path, 2).planned.command.endswith("--hours 2 --device cpu")


def test_several_suites_read_the_store_once_and_say_what_the_whole_call_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Store] = []

    def records(store: Store, decode: object) -> Iterator[Record]:
        read.append(store)
        return iter(())

    monkeypatch.setattr(planning, "_suites", lambda given: [rank_suite.RANKED] * 2)
    monkeypatch.setattr(Store, "records", records)
    given = RankOptions(candidates=("irelu",), against=("baseline",), problems=("near",))
    where = ExecutionOptions(device="cpu", jobs="1", store=tmp_path)

    def plan(hours: str) -> list[Session]:
        asked = msgspec.structs.replace(given, hours=hours, budget="quick")
        return planning.plan_sessions(asked, TrainingOptions(), where, lambda text: None)

    assert len(plan("1")) == 2 and len(read) == 1
    with pytest.raises(BadInput, match=r"^0\.4 hours are too short") as error:
        plan("0.4")
    # Eight trials and three seeds of two arms on each suite, a minute each.
    assert "needs about 0.74 hours of the whole call, which 2 suites share" in str(error.value)
    assert plan("0.74")[0].planned.suites == 2
