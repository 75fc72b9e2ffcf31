"""Rankings of arms of which it is known what they are worth."""

from __future__ import annotations

import gc
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import pytest
import rank_suite
from rank_suite import FLOOR, LR, make_session, night, rank

from bench.ranking.extending import extended
from bench.ranking.ranking import SHARES, TRIAL_SEEDS, Ranking, find
from bench.report.results import Results
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


def test_of_a_redefined_problem_nothing_old_is_kept(ranking: Ranking) -> None:
    """After a night on two problems, one begins on a problem that has been redefined since."""
    trials = [trial for trial in ranking.trials if trial.spec.problem == "near"]
    now = [msgspec.structs.replace(trial.spec, versions={"problem": 2}) for trial in trials]
    new = msgspec.structs.replace(
        ranking,
        trials=[
            msgspec.structs.replace(trial, spec=spec)
            for trial, spec in zip(trials, now, strict=True)
        ],
        choices=[],
        lengths=[],
    )
    kept = extended(new, ranking)
    far = [trial for trial in ranking.trials if trial.spec.problem == "far"]
    assert kept.trials == [*new.trials, *far]
    assert kept.choices == [choice for choice in ranking.choices if choice.problem == "far"]
    assert kept.runs_of(1.0) == [r for r in ranking.runs_of(1.0) if r.spec.problem == "far"]


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
