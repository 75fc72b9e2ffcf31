"""What fits into a night, and what is said of the rest."""

from __future__ import annotations

import re

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_records import SPEC

from bench.ranking.schedule import (
    FULL_LENGTH_SEEDS,
    FULL_SEEDS,
    LEAST_SEEDS,
    Costs,
    Done,
    Key,
    Night,
    changes,
    costs_of,
    plan_again,
    plan_night,
    remaining_s,
)
from bench.spec.spec import Spec
from bench.studies.estimate import START_S
from bench.text.errors import BadInput

HOUR = 3600.0
UNITS = {"s": 1.0, "min": 60.0, "h": HOUR, "days": 24 * HOUR}
exhaustive = settings(derandomize=True, deadline=None, database=None, max_examples=200)


def costs(*of_cases: float, arms: int = 2, settings: int = 3) -> Costs:
    """Each arm of case k takes ``of_cases[k]`` seconds a run."""
    keys = [(f"p{k}", "net", f"a{arm}") for k in range(len(of_cases)) for arm in range(arms)]
    return Costs(
        {key: of_cases[int(key[0][1:])] for key in keys}, dict.fromkeys(keys, settings), {}
    )


def plan(
    seconds: float, *budgets: Costs, jobs: int = 1, most: int = 20, several: bool = False
) -> Night:
    names = ("quick", "short", "smoke")
    return plan_night(list(zip(names, budgets, strict=False)), jobs, seconds, most, several)


lengths = st.floats(0.1, 5000)
many_costs = st.builds(
    lambda of_cases, arms, settings: costs(*of_cases, arms=arms, settings=settings),
    st.lists(lengths, min_size=1, max_size=6),
    st.integers(1, 5),
    st.integers(1, 4),
)
all_costs = st.lists(many_costs, min_size=1, max_size=3)
# Of every order: a fault at one size is rarely met by an even draw.
all_seconds = st.floats(0, 6).map(lambda order: 10.0**order)
all_jobs = st.integers(1, 16)


def no_less(more: Night, less: Night) -> None:
    """A better budget, or at least as much of everything under the same."""
    order = ("quick", "short", "smoke")
    assert order.index(more.budget) <= order.index(less.budget)
    if more.budget == less.budget:
        assert {*less.cases} <= {*more.cases}
        assert less.seeds <= more.seeds
        assert less.length_seeds <= more.length_seeds


@exhaustive
@given(all_costs, all_seconds, all_seconds, all_jobs, st.integers(1, 30))
def test_more_hours_never_give_less(
    budgets: list[Costs], seconds: float, extra: float, jobs: int, most: int
) -> None:
    try:
        less = plan(seconds, *budgets, jobs=jobs, most=most)
    except BadInput:
        return
    no_less(plan(seconds + extra, *budgets, jobs=jobs, most=most), less)


@exhaustive
@given(all_costs, all_seconds, all_jobs, all_jobs)
def test_more_runs_side_by_side_never_give_less(
    budgets: list[Costs], seconds: float, jobs: int, extra: int
) -> None:
    try:
        less = plan(seconds, *budgets, jobs=jobs)
    except BadInput:
        return
    no_less(plan(seconds, *budgets, jobs=jobs + extra), less)


@exhaustive
@given(all_costs, all_seconds, all_jobs, st.integers(1, 30))
def test_a_plan_fits_and_its_order_is_that_of_preference(
    budgets: list[Costs], seconds: float, jobs: int, most: int
) -> None:
    try:
        night = plan(seconds, *budgets, jobs=jobs, most=most)
    except BadInput:
        return
    assert 0 < night.seconds <= seconds
    assert min(LEAST_SEEDS, most) <= night.seeds <= most
    assert night.length_seeds <= night.seeds
    assert night.cases == sorted(night.cases)
    of_budget = budgets[("quick", "short", "smoke").index(night.budget)]
    assert remaining_s(night, of_budget, jobs, {}) == night.seconds


def figure(note: str) -> float:
    """Seconds in ``… about 40 min more``."""
    found = re.search(r"about ([\d.]+) (s|min|h|days) more", note)
    assert found
    return float(found[1]) * UNITS[found[2]]


def complete(night: Night, budget: Costs, note: str) -> bool:
    """Whether a plan has what a note of another says is missing."""
    if "budget" in note:
        return night.budget == "quick"
    if "does not fit" in note:
        return tuple(note.split(" does")[0].split(" with ")) in night.cases
    if "instead of" in note:
        return night.seeds >= FULL_SEEDS and night.cases == budget.cases
    assert "other lengths" in note
    return night.length_seeds >= FULL_LENGTH_SEEDS


@exhaustive
@given(many_costs, many_costs, st.floats(1, 1e5), all_jobs)
def test_every_note_is_true(quick: Costs, short: Costs, seconds: float, jobs: int) -> None:
    try:
        night = plan(seconds, quick, short, jobs=jobs)
    except BadInput:
        return
    of_budget = quick if night.budget == "quick" else short
    for note in night.notes:
        budgets = [quick, short] if "budget" in note else [of_budget]
        assert not complete(night, of_budget, note)
        enough = seconds + 1.2 * figure(note) + 1  # the figure is rounded
        assert complete(plan(enough, *budgets, jobs=jobs), of_budget, note)
        too_little = seconds + max(figure(note) - 1, 0) / 1.2
        if too_little > seconds + 60:
            assert not complete(plan(too_little, *budgets, jobs=jobs), of_budget, note)
    full = night.seeds >= FULL_SEEDS and night.length_seeds >= FULL_LENGTH_SEEDS
    whole = full and night.cases == of_budget.cases and of_budget is quick
    assert whole == (not night.notes)


def test_by_hand() -> None:
    # (3 + 1) settings on 2 seeds, 5 seeds, 3 seeds of lengths that sum to 2.75: 21.25 runs an arm.
    one = costs(100.0)
    # Stages: trials, extensions, seeds up to 3 and up to 5, lengths.
    full = 2 * 21.25 * 100 + 5 * START_S
    night = plan(full, one)
    assert (night.seeds, night.length_seeds, night.seconds, night.notes) == (5, 3, full, [])
    assert plan(full + 2 * 5 * 100 + START_S, one).seeds == 10
    night = plan(full - 1, one)
    assert (night.seeds, night.length_seeds) == (5, 2)
    assert night.notes == [
        "runs at other lengths have 2 seeds, so that time to a target is known less well: 3 seeds"
        " of them would need about 1 s more"
    ]
    assert plan(2 * 12 * 100 + 4 * START_S, one).seeds == 4
    # One setting is not extended.
    assert plan(1e9, costs(100.0, settings=1), most=5).seconds == 2 * (2 + 5 + 5 * 2.75) * 100 + 50


def test_side_by_side_a_stage_ends_with_its_longest_run() -> None:
    one = plan(1e9, costs(100.0), jobs=1000, most=5)
    assert one.seconds == pytest.approx((4 + 2) * 100 + 5 * START_S, rel=0.01)


def test_the_most_expensive_case_goes_first_and_one_stays() -> None:
    three = costs(10.0, 1000.0, 100.0)
    # 8 trials and 3 seeds of two arms.
    assert plan(22 * 110 + 30, three).cases == [("p0", "net"), ("p2", "net")]
    alone = plan(22 * 10 + 30, three)
    assert alone.cases == [("p0", "net")]
    assert alone.notes[0].startswith("p1 with net does not fit: it would need about 6.7 h more")
    with pytest.raises(
        BadInput, match=r"^0\.0666667 hours are too short: .*\(p0 with net, .*"
    ) as no:
        plan(240, three)
    hours = re.search(r"needs about ([\d.]+) hours", str(no.value))
    assert hours
    assert plan(float(hours[1]) * HOUR, three).cases == [("p0", "net")]


def test_a_shorter_budget_before_fewer_seeds() -> None:
    night = plan(HOUR, costs(100.0, 100.0), costs(10.0, 10.0))
    assert (night.budget, night.cases) == ("short", [("p0", "net"), ("p1", "net")])
    assert night.seeds > FULL_SEEDS
    assert night.notes == [
        "the budget 'quick' does not fit: the full answer with it would need about 82 min more"
    ]


def test_several_arms_with_three_seeds_are_told_what_may_claim() -> None:
    seconds = 22 * 100 + 30
    assert not any("claim" in note for note in plan(seconds, costs(100.0)).notes)
    said = "with 3 seeds no comparison but the first may claim anything: several need 5"
    assert said in plan(seconds, costs(100.0), several=True).notes
    assert said in plan(1e9, costs(100.0), several=True, most=3).notes
    assert said not in plan(1e9, costs(100.0), several=True).notes


def test_what_is_in_the_store_costs_nothing_and_a_second_night_adds() -> None:
    one = costs(100.0, 1000.0)
    first = plan(22 * 100 + 30, one)
    assert (first.cases, first.seeds) == ([("p0", "net")], 3)
    done = {key: Done(8.0, True, 3.0) for key in one.run_s if key[0] == "p0"}
    assert remaining_s(first, one, 1, done) == 0
    half = dict.fromkeys(done, Done(4.0, False, 1.5))
    assert remaining_s(first, one, 1, half) == 22 * 50 + 3 * START_S
    later = Costs(one.run_s, one.settings, done)
    assert plan(22 * 1000 + 30, later).cases == one.cases
    # What another case has done is no credit to this one.
    assert plan(21 * 1000 + 30, later).cases == [("p0", "net")]


def test_what_is_done_of_one_stage_is_no_credit_to_another() -> None:
    one = costs(100.0)
    night = plan(2 * 21.25 * 100 + 5 * START_S, one)

    def rest(*done: float | bool) -> float:
        of_all = dict.fromkeys(one.run_s, Done(*done))
        return (remaining_s(night, one, 1, of_all) - 5 * START_S) / 200

    assert rest() == 8 + 5 + 8.25
    assert rest(14.0, True) == 5 + 8.25  # the search went on to its limit, and has ended
    assert rest(14.0, False) == 1 + 5 + 8.25  # or has not
    assert rest(4.0, True) == 5 + 8.25  # or needed fewer than expected
    assert rest(8.0, True, 9.0) == 8.25
    assert rest(8.0, True, 3.0, 20.0) == 2


def test_a_plan_that_is_made_again_gives_up_in_the_same_order() -> None:
    first = plan(1e5, costs(10.0, 100.0))
    assert (first.seeds, first.length_seeds) == (20, 5)
    done = dict.fromkeys(costs(10.0, 100.0).run_s, Done(8.0, True))

    def again(seconds: float, *of_cases: float) -> Night:
        now = Costs(costs(*of_cases).run_s, costs(*of_cases).settings, done)
        return plan_again(first, now, 1, seconds, 20, several=False)

    assert changes(first, again(1e5, 10.0, 100.0)) == []
    slower = again(1e4, 40.0, 400.0)
    assert (slower.cases, slower.seeds) == (first.cases, 5)
    assert changes(first, slower) == [
        "5 seeds instead of 20",
        "other lengths on 2 seeds instead of 5",
    ]
    small = again(300.0, 40.0, 4000.0)
    assert changes(first, small)[0] == "p1 with net given up"
    assert changes(small, first)[0] == "p1 with net added"
    assert again(1.0, 40.0, 4000.0).cases == [("p0", "net")]  # its trials have been run


def test_what_is_said_of_time_is_of_all_suites_that_share_it() -> None:
    def shared(seconds: float, suites: int) -> Night:
        return plan_night([("quick", costs(100.0))], 1, seconds, 20, False, suites)

    alone, half = shared(3600, 1).notes, shared(3600, 2).notes
    assert [figure(note) for note in half] == pytest.approx(
        [2 * figure(note) for note in alone], rel=0.06
    )
    assert all("all 2 suites together" in note for note in half)
    with pytest.raises(BadInput, match=r"^0\.5 hours are too short.* needs about") as no:
        shared(900, 2)
    hours = re.search(
        r"needs about ([\d.]+) hours of the whole call, which 2 suites", str(no.value)
    )
    assert hours and shared(float(hours[1]) * HOUR / 2, 2).cases


def test_an_arm_that_is_the_same_run_as_another_costs_nothing() -> None:
    def rates(problem: str, arm: str, activation: str, *of: float) -> list[Spec]:
        base = msgspec.structs.replace(
            SPEC, problem=problem, arm=arm, axes={**SPEC.axes, "activation": activation}
        )
        return [
            msgspec.structs.replace(base, training=msgspec.structs.replace(base.training, lr=lr))
            for lr in of
        ]

    first: dict[Key, list[Spec]] = {
        ("p", "net", "baseline"): rates("p", "baseline", "tanh", 1e-3, 3e-3, 1e-2),
        ("p", "net", "tanh"): rates("p", "tanh", "tanh", 1e-3, 3e-3, 1e-2),
        ("p", "net", "more"): rates("p", "more", "tanh", 1e-2, 3e-2),
        ("p", "net", "sin"): rates("p", "sin", "sin", 1e-3, 3e-3, 1e-2),
    }
    seconds = {spec.hash: 7.0 for specs in first.values() for spec in specs}
    found, notes = costs_of(first, seconds)
    assert notes == []
    assert {key[2]: number for key, number in found.settings.items()} == {
        "baseline": 3,
        "more": 1,
        "sin": 3,
    }
    assert set(found.run_s.values()) == {7.0}


def test_a_case_of_unknown_length_is_left_out_for_all_arms() -> None:
    def spec(problem: str, arm: str) -> Spec:
        return msgspec.structs.replace(SPEC, problem=problem, arm=arm, axes={"activation": arm})

    first = {(p, "net", arm): [spec(p, arm)] for p in ("p", "q") for arm in ("tanh", "sin")}
    seconds: dict[str, float | str] = {one.hash: 5.0 for (one,) in first.values()}
    seconds[first["q", "net", "sin"][0].hash] = "it raised E: x"
    found, notes = costs_of(first, seconds)
    assert found.cases == [("p", "net")]
    assert notes == [
        "q with net is left out for all arms: how long 'sin' takes is unknown, because it raised"
        " E: x"
    ]
    seconds[first["p", "net", "tanh"][0].hash] = "it hangs"
    with pytest.raises(BadInput, match=r"p with net .* because it hangs; q with net"):
        costs_of(first, seconds)
