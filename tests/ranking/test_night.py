"""Rankings of arms of which it is known what they are worth."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
import rank_suite
from rank_suite import FLOOR, LR, make_session, night, rank

from bench.execution.find_or_run import find_or_run
from bench.execution.options import ExecutionOptions
from bench.ranking.night import _left_s, go_on
from bench.ranking.outdated import Today, without_outdated
from bench.ranking.ranking import SHARES, TRIAL_SEEDS, Contestant, Length, Ranking, find, save
from bench.report.results import Results
from bench.spec.spec import Spec
from bench.spec.user_code import source_digest
from bench.store.record import decode_result
from bench.store.store import Store
from bench.text.errors import BadInput

BETTER = f"baseline --floor {FLOOR / 2}"
OTHER_RATE = f"baseline --stretch {1 / 9}"
DIVERGES = f"baseline --floor {FLOOR / 2} --diverge-on far"
EQUAL = "irelu"


@pytest.fixture(scope="module", autouse=True)
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """The suite can be found, as workers do."""
    import torch._dynamo  # as the first optimiser does

    gc.freeze()  # or each run would look through all of torch for garbage
    with pytest.MonkeyPatch.context() as patch:
        rank_suite.use(tmp_path_factory.mktemp("suite"), patch)
        yield torch


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ranking") / "store"


@pytest.fixture(scope="module")
def ranking(store: Path, installed: object) -> Ranking:
    """All four candidates against the baseline."""
    return rank(store, BETTER, OTHER_RATE, DIVERGES, EQUAL, seeds=5)


@pytest.fixture(scope="module")
def verdicts(ranking: Ranking, store: Path) -> Mapping[str, str]:
    results = Results.read(ranking.plan(), Store(store))
    return {comparison.variant: comparison.outcome for comparison in results.comparisons}


def setting(ranking: Ranking, problem: str, arm: str) -> Mapping[str, float | str]:
    (choice,) = (c for c in ranking.choices if (c.problem, c.arm) == (problem, arm))
    return choice.setting


def test_a_handicap_that_tuning_cannot_remove_is_found(verdicts: Mapping[str, str]) -> None:
    assert verdicts[BETTER] == "better"


def test_an_arm_that_only_wants_another_rate_is_not_called_better(
    ranking: Ranking, store: Path, verdicts: Mapping[str, str]
) -> None:
    assert verdicts[OTHER_RATE] not in ("better", "worse")
    # Untuned it would have been: its steps are a ninth as long.
    untuned = {
        (trial.spec.problem, trial.spec.arm, trial.spec.seed): error(store, trial.spec.hash)
        for trial in ranking.trials
        if trial.setting == {"lr": LR} and trial.spec.arm in ("baseline", OTHER_RATE)
    }
    for seed in TRIAL_SEEDS:
        assert untuned["far", OTHER_RATE, seed] > 2 * untuned["far", "baseline", seed]
    for problem in ("near", "far"):
        rates = [setting(ranking, problem, arm)["lr"] for arm in ("baseline", OTHER_RATE)]
        assert 9 * float(rates[0]) == pytest.approx(rates[1], rel=1e-2)


def test_an_arm_that_diverges_on_one_problem_is_mixed(
    ranking: Ranking, verdicts: Mapping[str, str]
) -> None:
    assert verdicts[DIVERGES] == "mixed"
    # The search went down as far as it may.
    assert setting(ranking, "far", DIVERGES)["lr"] == pytest.approx(LR / 3**5, rel=1e-3)


def test_equal_arms_are_equivalent(verdicts: Mapping[str, str]) -> None:
    assert verdicts[EQUAL] == "equivalent"


def test_every_arm_is_tuned_by_the_same_rule(ranking: Ranking) -> None:
    tried: dict[tuple[str, str], list[float]] = {}
    for trial in ranking.trials:
        assert trial.spec.seed in TRIAL_SEEDS and trial.spec.training.lr == trial.setting["lr"]
        place = (trial.spec.problem, trial.spec.arm)
        if trial.spec.seed == TRIAL_SEEDS[0]:
            tried.setdefault(place, []).append(float(trial.setting["lr"]))
    assert len(tried) == 2 * 5
    for (problem, arm), rates in tried.items():
        rungs = [round(math.log(rate / LR, 3)) for rate in rates]
        assert rungs[:3] == [0, -1, 1] and sorted(rungs) == [*range(min(rungs), max(rungs) + 1)]
        assert rates == pytest.approx([LR * 3.0**rung for rung in rungs], rel=1e-3)
        best = float(setting(ranking, problem, arm)["lr"])
        if (problem, arm) != ("far", DIVERGES):
            assert min(rates) < best < max(rates)
    assert {c.arm: c.untuned for c in ranking.choices} == {
        one.arm: {"lr": LR} for one in ranking.arms
    }


def test_trial_seeds_are_never_scored_and_scored_seeds_never_tried(ranking: Ranking) -> None:
    scored = {run.spec.seed for run in ranking.runs_of(1.0)}
    assert scored == set(range(5)) and not scored & set(TRIAL_SEEDS)
    assert {trial.spec.seed for trial in ranking.trials} == set(TRIAL_SEEDS)


def test_trials_and_scored_runs_are_plain_runs(ranking: Ranking, store: Path) -> None:
    """The same spec as of a run of the suite, and a command that says so."""
    trial = next(t for t in ranking.trials if t.setting["lr"] != LR and t.spec.arm == BETTER)
    assert trial.spec.arm == BETTER
    assert f"--seed {trial.spec.seed}" in trial.command and "--arm baseline" in trial.command
    assert f"--lr {trial.setting['lr']} --floor {FLOOR / 2}" in trial.command
    assert Store(store).read(trial.spec.hash) is not None


def test_a_store_with_all_runs_makes_no_new_ones(
    ranking: Ranking, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK_JOURNAL", str(tmp_path / "journal"))
    again = rank(store, BETTER, OTHER_RATE, DIVERGES, EQUAL, seeds=5)
    assert not (tmp_path / "journal").exists()
    assert same(again) == same(ranking)
    assert again.times.begun == ranking.times.begun
    assert again.times.taken_s > ranking.times.taken_s


def test_a_shorter_night_keeps_what_a_longer_one_had(ranking: Ranking, store: Path) -> None:
    shorter = rank(store, BETTER, OTHER_RATE, DIVERGES, EQUAL, problems=["near"], seeds=3)
    assert same(shorter) == same(ranking)


def test_test_errors_decide_nothing(ranking: Ranking, store: Path, tmp_path: Path) -> None:
    """With the test errors of all trials turned around, the choices are the same."""
    there, changed = Store(store), Store(tmp_path / "changed")
    for trial in ranking.trials:
        record = there.read(trial.spec.hash)
        assert record is not None
        worse = {
            name: msgspec.structs.replace(metric, final=1 / metric.final)
            if name == "error" and metric.final
            else metric
            for name, metric in record.metrics.items()
        }
        changed.write(msgspec.structs.replace(record, metrics=worse))
    again = make_session(changed.root, BETTER, OTHER_RATE, DIVERGES, EQUAL)
    assert again.tuned.choices() == ranking.choices


def test_trials_without_a_selection_are_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = rank(tmp_path, EQUAL, problems=["near"])
    store = Store(tmp_path)
    old = {trial.spec.hash for trial in first.trials if trial.spec.arm == EQUAL}
    for name in old:
        record = store.read(name)
        assert record is not None
        del record.metrics["selection"]
        store.write(record)
    monkeypatch.setenv("RANK_JOURNAL", str(tmp_path / "journal"))
    assert same(rank(tmp_path, EQUAL, problems=["near"])) == same(first)
    assert set((tmp_path / "journal").read_text().splitlines()) == old
    assert "without 'selection'" in capsys.readouterr().err


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, installed: object) -> tuple[Path, Ranking]:
    """A night that nobody interrupts."""
    path = tmp_path_factory.mktemp("whole")
    return path, rank(path, EQUAL, problems=["near"], seeds=3, length_seeds=1)


@pytest.mark.parametrize("runs", [1, 13, 20])
def test_interrupted_and_continued_is_uninterrupted(
    runs: int,
    whole: tuple[Path, Ranking],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path, uninterrupted = whole
    monkeypatch.setenv("RANK_JOURNAL", str(tmp_path / "journal"))
    monkeypatch.setenv("RANK_INTERRUPT", str(runs))
    session = make_session(tmp_path / "parts", EQUAL, problems=["near"], seeds=3, length_seeds=1)
    (before,), stopped = night(session)
    assert stopped == "signal" and same(before) != same(uninterrupted)
    assert find(Store(tmp_path / "parts"), before.key) == before
    monkeypatch.delenv("RANK_INTERRUPT")
    after = rank(tmp_path / "parts", EQUAL, problems=["near"], seeds=3, length_seeds=1)
    assert same(after) == same(uninterrupted)
    errors = [
        [error(store, run.spec.hash) for run in after.runs_of(1.0)]
        for store in (path, tmp_path / "parts")
    ]
    assert errors[0] == errors[1]


def test_other_lengths_have_their_own_steps(whole: tuple[Path, Ranking]) -> None:
    _, found = whole
    steps = {
        length.share: {run.spec.training.steps for run in length.runs} for length in found.lengths
    }
    assert steps == {share: {round(share * rank_suite.STEPS)} for share in SHARES}
    seeds = {length.share: {run.spec.seed for run in length.runs} for length in found.lengths}
    assert seeds == {1.0: {0, 1, 2}, 0.25: {0}, 0.5: {0}, 2.0: {0}}


def test_a_setting_of_which_a_run_fails_is_not_chosen(tmp_path: Path) -> None:
    found = rank(tmp_path, f"baseline --fail-above {LR / 2}", problems=["near"])
    arm = found.arms[1].arm
    assert float(setting(found, "near", arm)["lr"]) <= LR / 2
    assert float(setting(found, "near", "baseline")["lr"]) > LR


def test_a_loss_below_zero_is_refused(tmp_path: Path) -> None:
    found = rank(tmp_path, EQUAL, problems=["near"])
    store = Store(tmp_path)
    record = store.read(found.trials[0].spec.hash)
    assert record is not None
    record.metrics["selection"] = msgspec.structs.replace(record.metrics["selection"], final=-1.0)
    store.write(record)
    with pytest.raises(BadInput, match="must be 0 or more"):
        make_session(tmp_path, EQUAL, problems=["near"])


def test_two_rankings_take_turns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """So that each has an answer when the time is over."""
    sessions = [
        make_session(tmp_path, arm, problems=["near"], seeds=3, most_seeds=4)
        for arm in ("irelu", "ielu")
    ]
    ranked, stopped = night(*sessions)
    assert stopped is None and len({one.key for one in ranked}) == 2
    titles = [line for line in capsys.readouterr().err.splitlines() if "ranked: " in line]
    names = [line.split(": ")[2] for line in titles]
    assert names[:2] == ["trials of the first settings"] * 2
    assert [name for name in names if "scored" in name] == [
        *["scored seeds up to 3"] * 2,
        *["scored seeds up to 4"] * 2,
    ]
    assert "in the time that is left" in titles[-1]


def test_what_is_planned_of_all_comes_before_what_fills_the_time_of_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short = make_session(tmp_path, "irelu", problems=["near"], seeds=1, most_seeds=6)
    long = make_session(tmp_path, "ielu", problems=["near"], seeds=6, length_seeds=1, most_seeds=6)
    begun = time.monotonic()
    ranked, _ = night(short, long)
    passed_s = time.monotonic() - begun
    said = [line for line in capsys.readouterr().err.splitlines() if "ranked: " in line]
    spare = ["in the time that is left" in line for line in said]
    assert spare == sorted(spare) and spare.count(True) == 3  # up to 3, 5 and 6
    # A session's time is that of its own rounds.
    assert 0 < sum(one.times.taken_s for one in ranked) < passed_s


def test_where_the_time_of_one_does_not_suffice_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_time_for(arm: str) -> Callable[..., Any]:
        def run(suite: Any, specs: Sequence[Spec], **given: Any) -> Any:
            late = any(spec.arm == arm for spec in specs)
            return ([], "time") if late else find_or_run(suite, specs, **given | {"until": None})

        return run

    monkeypatch.setattr("bench.ranking.night.find_or_run", no_time_for("irelu"))
    sessions = [make_session(tmp_path, arm, problems=["near"]) for arm in ("irelu", "ielu")]
    where = ExecutionOptions(device="cpu", jobs="1", store=tmp_path)
    ranked, stopped = go_on(sessions, "cpu", where, time.time() + 900, progress=False)
    assert stopped == "time"
    assert [len(one.choices) for one in ranked] == [0, 2] and len(ranked[1].runs_of(1.0)) >= 6


def test_one_that_cannot_go_on_is_refused_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def negative(suite: Any, specs: Sequence[Spec], **given: Any) -> Any:
        records, stopped = find_or_run(suite, specs, **given)
        for record in records:
            if record.spec.arm == "irelu":
                metric = record.metrics["selection"]
                record.metrics["selection"] = msgspec.structs.replace(metric, final=-1.0)
        return records, stopped

    monkeypatch.setattr("bench.ranking.night.find_or_run", negative)
    sessions = [make_session(tmp_path, arm, problems=["near"]) for arm in ("irelu", "ielu")]
    (one,), stopped = night(*sessions)
    assert stopped is None and len(one.runs_of(1.0)) == 6
    assert "must be 0 or more" in str(sessions[0].refused) and sessions[1].refused is None
    said = capsys.readouterr().err.splitlines()
    refused = next(k for k, line in enumerate(said) if "must be 0 or more" in line)
    # When it is seen: before the second round of either.
    assert sum("runs to do" in line for line in said[:refused]) == 1
    alone = make_session(tmp_path / "alone", "irelu", problems=["near"])
    with pytest.raises(BadInput, match="must be 0 or more"):
        night(alone)


def test_after_the_first_trials_it_is_planned_again_by_what_they_took(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    session = make_session(tmp_path, EQUAL, seeds=5, length_seeds=3, most_seeds=20)
    before = session.night
    session.plan_again(1.0)
    assert session.night is before  # nothing has been measured
    (first,) = session.first_rounds()
    where = ExecutionOptions(device="cpu", jobs="1", store=tmp_path)
    records, _ = find_or_run(rank_suite.RANKED, first.specs, "cpu", where, progress=False)
    session.found.add(records)
    session.plan_again(1e6)
    assert (session.night.seeds, len(session.night.cases)) == (20, 2)
    session.plan_again(0.001)
    assert (session.night.seeds, len(session.night.cases)) == (3, 1)
    assert all(run.problem in dict(session.night.cases) for run in session._score([(1.0, 0)]))
    said = capsys.readouterr().err
    assert "20 seeds instead of 5" in said and "with point given up; 3 seeds instead of 20" in said
    assert any("given up" in note for note in session.ranking().times.notes)


def test_the_hours_of_a_session_that_took_more_are_missed_by_all() -> None:
    sessions = [make_session(Path("none"), arm, problems=["near"]) for arm in ("irelu", "ielu")]
    sessions[0].worked_s = 2700.0
    assert list(_left_s(sessions, 2250.0).values()) == [450.0, 1800.0]
    sessions[1].worked_s = 4000.0
    assert list(_left_s(sessions, 100.0).values()) == [100.0, 0.0]


OTHERWISE: list[dict[str, Any]] = [
    {"versions": {"problem": 2}},
    {"settings": {"floor": 0.5}},
    {"sources": {"mine:Problem": "of another day"}},
    {"dtype": "float64"},
]


@pytest.mark.parametrize("change", OTHERWISE, ids=lambda change: next(iter(change)))
@pytest.mark.parametrize("asked", [["near", "far"], ["far"]], ids=len)
def test_runs_that_would_be_others_today_are_left_out(
    ranking: Ranking, tmp_path: Path, change: dict[str, Any], asked: list[str]
) -> None:
    """Whether or not their problem is asked for today."""

    def old(spec: Spec) -> Spec:
        return msgspec.structs.replace(spec, **change) if spec.problem == "near" else spec

    def made(runs: Sequence[Any]) -> list[Any]:
        return [msgspec.structs.replace(run, spec=old(run.spec)) for run in runs]

    lengths = [Length(length.share, made(length.runs)) for length in ranking.lengths]
    before = msgspec.structs.replace(ranking, trials=made(ranking.trials), lengths=lengths)
    session = make_session(tmp_path, BETTER, OTHER_RATE, DIVERGES, EQUAL, problems=asked)
    today = Today(session.planned.runs, ranking.arms)
    assert without_outdated(ranking, today) == (ranking, [])
    left, cases = without_outdated(before, today)
    assert cases == [("near", "point")] and set(left.columns) == {"far"}
    assert left.trials == [t for t in ranking.trials if t.spec.problem == "far"]
    assert left.choices == [c for c in ranking.choices if c.problem == "far"]
    assert left.runs_of(1.0) == [r for r in ranking.runs_of(1.0) if r.spec.problem == "far"]


def test_what_is_left_out_is_said_and_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = rank(tmp_path, EQUAL, problems=["near"])
    trial = found.trials[0]
    spec = msgspec.structs.replace(trial.spec, versions={"problem": 2})
    other = msgspec.structs.replace(trial, spec=spec)
    save(msgspec.structs.replace(found, trials=[other, *found.trials[1:]]), Store(tmp_path))
    (again,), _ = night(make_session(tmp_path, EQUAL, problems=["far"]))
    said = "runs are left out on near with point: settings, data or definitions have changed since"
    assert capsys.readouterr().err.count(said) == 1 and said in again.times.notes[-1]
    assert {one.problem for one in again.choices if one.arm == "baseline"} == {"far"}
    assert not any(one.spec.versions for one in again.trials)


def test_a_ranking_is_another_by_dtype_device_and_sources(ranking: Ranking) -> None:
    assert (ranking.dtype, ranking.device, ranking.sources) == ("float32", "cpu", {})
    others: list[dict[str, Any]] = [
        {"dtype": "float64"},
        {"device": "cuda"},
        {"sources": {"mine:Snake": "a"}},
        {"sources": {"mine:Snake": "b"}},
        {"problems": ["near"]},
        {"models": ["near"]},
        {"problems": ["near"], "models": ["point"]},
    ]
    keys = {msgspec.structs.replace(ranking, **change).key for change in others}
    assert len(keys | {ranking.key}) == 8
    # As written before there were these fields.
    plain = msgspec.structs.replace(
        ranking, arms=[Contestant("baseline")], options="", dtype="", device="", sources={}
    )
    assert plain.key == "test-ranked-quick-21e5c154"


def test_an_edited_candidate_is_another_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    text = "import torch\nclass Own(torch.nn.Tanh):\n    pass\n"
    (tmp_path / "edited_candidate.py").write_text(text)
    session = make_session(tmp_path / "s", "activation=edited_candidate:Own")
    digest = source_digest("edited_candidate:Own")
    assert session.ranking().sources == {"edited_candidate:Own": digest}


def error(store: Path, name: str) -> float:
    record = Store(store).read(name, decode_result)
    assert record is not None
    value = record.metrics["error"].final
    assert value is not None
    return value


def same(ranking: Ranking) -> object:
    """All of a ranking but its times."""
    return msgspec.structs.replace(
        ranking,
        times=msgspec.structs.replace(ranking.times, begun="", ended=None, taken_s=0, planned_s=0),
    )
