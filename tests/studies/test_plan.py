"""Plans: what a study runs, kept in the store and extended."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
import toy_suite

from bench.cli.train import asked as asked_specs
from bench.plugins import load_suite
from bench.store.store import Store
from bench.studies.catalogue import named_studies
from bench.studies.definition import Part, Study, split_words
from bench.studies.plan import Asked, Plan, find_plans, make_plan, plans, save
from bench.studies.questions import QUESTIONS
from bench.suite import parser
from bench.task import Suite
from bench.text.errors import BadInput

ARMS = ["baseline", "irelu", "irelu --lr 0.1"]


def plan(arms: Sequence[str] = ARMS, suite: Suite = toy_suite.LONE, **changes: Any) -> Plan:
    study = Study("Does it help?", [Part(suite.name, list(arms))], "mine")
    command = changes.pop("command", "python -m bench.suite study mine.toml")
    words = split_words(changes.pop("options", ""))
    asked = Asked(**{"seeds": [0, 1], "words": words, **changes})
    return make_plan(study, study.part[0], suite, asked, command)


def places(found: Plan) -> list[tuple[str, str, str, int]]:
    return [run.place for run in found.runs]


def test_whole_comparisons_come_first() -> None:
    found = plan(problems=["sine", "cosine"])
    assert places(found) == [
        (problem, "net", arm, seed)
        for seed in (0, 1)
        for problem in ("sine", "cosine")
        for arm in ARMS
    ]
    assert found.comparisons == [("irelu", "baseline"), ("irelu --lr 0.1", "baseline")]


def test_options_of_a_variant_reach_its_runs_alone() -> None:
    rates = {run.spec.arm: run.spec.training.lr for run in plan().runs}
    assert rates == {"baseline": 1e-2, "irelu": 1e-2, "irelu --lr 0.1": 0.1}
    assert {run.spec.training.steps for run in plan(options="--steps 7").runs} == {7}


def test_a_study_with_options_is_another_plan() -> None:
    assert plan().key == "mine-lone-quick"
    assert plan(options="--steps 7").key != plan(options="--steps 8").key
    assert plan(options="--steps  7").key == plan(options="--steps 7").key


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("--step 7", "did you mean '--steps'"),
        ("--seeds 3", "unknown option '--seeds'"),
        ("--out /tmp", "unknown option '--out'"),
        ("--steps 'x", "no command line"),
        ("--steps 0", "nothing to train"),
    ],
)
def test_options_that_a_run_does_not_have_are_refused(options: str, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        plan(options=options)


def test_more_seeds_extend_a_plan(tmp_path: Path) -> None:
    store = Store(tmp_path)
    save(plan(seeds=[0, 1]), store)
    extended = save(plan(seeds=[2]), store)
    assert places(extended) == places(plan(seeds=[0, 1, 2]))
    assert plans(store) == [extended]


def test_an_arm_that_the_study_no_longer_has_leaves_the_plan(tmp_path: Path) -> None:
    store = Store(tmp_path)
    save(plan(), store)
    changed = save(plan(["baseline", "ielu"], seeds=[0]), store)
    assert {run.place[2:] for run in changed.runs} == {
        ("baseline", 0),
        ("baseline", 1),
        ("ielu", 0),
    }


def test_a_changed_run_takes_the_place_of_the_old(tmp_path: Path) -> None:
    store = Store(tmp_path)
    old = save(plan(), store)
    new = save(plan(seeds=[0]), store)
    assert places(new) == places(old)
    run = new.runs[0]
    other = msgspec.structs.replace(run, spec=msgspec.structs.replace(run.spec, dtype="float64"))
    # The other seed was run in the old way, so it is left out, too.
    (left,) = save(msgspec.structs.replace(new, runs=[other]), store).runs
    assert left.spec.dtype == "float64"


def test_a_plan_is_found_by_what_it_is(tmp_path: Path) -> None:
    store = Store(tmp_path)
    saved = save(plan(), store)
    assert find_plans(store, "mine", None, None) == [saved]
    assert find_plans(store, "mine", "lone", "quick") == [saved]
    other = save(plan(options="--steps 7"), store)
    both = find_plans(store, "mine", None, None)
    assert {found.key for found in both} == {saved.key, other.key}
    assert find_plans(store, other.key, None, None) == [other]
    for wanted, says in (
        (("mein", None, None), "did you mean 'mine'"),
        (("mine", "lona", None), "did you mean 'lone'"),
        (("mine", None, "quik"), "did you mean 'quick'"),
    ):
        with pytest.raises(BadInput, match=says):
            find_plans(store, *wanted)


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"schema": 99}', b"\xff"])
def test_a_damaged_plan_is_named_and_kept(
    tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(tmp_path)
    save(plan(), store)
    (path,) = (tmp_path / "studies").iterdir()
    path.write_bytes(content)
    with pytest.raises(BadInput, match=path.name):
        save(plan(), store)
    assert plans(store) == []
    assert path.name in capsys.readouterr().err
    assert path.read_bytes() == content


def test_a_plan_of_a_newer_schema_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(tmp_path)
    save(plan(), store)
    (path,) = (tmp_path / "studies").iterdir()
    path.write_bytes(path.read_bytes().replace(b'"schema": 1', b'"schema": 2', 1))
    assert plans(store) == []
    assert "schema 2, newer than 1" in capsys.readouterr().err


def test_a_plan_that_claims_another_name_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(tmp_path)
    save(plan(), store)
    (path,) = (tmp_path / "studies").iterdir()
    path.write_bytes(path.read_bytes().replace(b'"study": "mine"', b'"study": "../../mine"'))
    assert plans(store) == []
    assert "has been renamed or edited" in capsys.readouterr().err


@pytest.mark.parametrize("name", QUESTIONS)
@pytest.mark.parametrize("suite", ["pinn", "molecular"])
def test_the_command_of_a_run_is_that_run(name: str, suite: str) -> None:
    """Of one problem, model and seed of every study of the suite."""
    study = named_studies()[name]
    (part,) = study.on(suite)
    asked = Asked(
        problems=(part.problems or load_suite(suite).default_problems())[:1],
        models=part.models[:1],
        seeds=[3],
        budget="smoke",
        dtype="float64",
        words=["--evaluations", "3"],
    )
    found = make_plan(study, part, load_suite(suite), asked, command="")
    assert len(found.runs) == len(part.variants())
    for run in found.runs:
        words = shlex.split(run.command)
        assert words[:3] == ["python", "-m", "bench.suite"]
        options = parser().parse_args(words[3:])
        (spec,) = asked_specs(load_suite(suite), options, "cpu")
        assert spec.hash == run.spec.hash
