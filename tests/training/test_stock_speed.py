"""The comparison with a stock library: order, medians, differences, the command."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import pytest
import torch

from bench.suite import main
from bench.task import Contender, SpeedCase
from bench.training.stock_speed import measure, relative_difference

CPU = torch.device("cpu")


def test_both_sides_run_in_turn_and_the_first_round_is_not_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = 0.0
    calls: list[str] = []

    def side(name: str, seconds: float, slow_start: float) -> Callable[[], None]:
        def step() -> None:
            nonlocal clock
            clock += seconds if name in calls else slow_start
            calls.append(name)

        return step

    monkeypatch.setattr("bench.training.stock_speed.time.perf_counter", lambda: clock)
    contenders = [
        Contender("slow", side("slow", 0.002, 9.0), 1e-15),
        Contender("fast", side("fast", 0.001, 5.0), 1e-14, setup_s=0.5),
        Contender("four", side("four", 0.004, 5.0), 1e-14, runs=4, setup_s=1.0),
        Contender("late", side("late", 0.003, 5.0), 1e-14, setup_s=1.0),
    ]
    case = SpeedCase("case", side("stock", 0.006, 7.0), contenders)
    found = measure(case, rounds=3, steps=2, device=CPU)
    forward = [name for name in ("slow", "fast", "four", "late", "stock") for _ in range(2)]
    assert calls == [*forward[::-1], *forward, *forward[::-1], *forward]
    assert [speed.path for speed in found] == ["slow", "fast", "four", "late"]
    assert [speed.ours_ms for speed in found] == pytest.approx([2.0, 1.0, 1.0, 3.0])
    assert [speed.stock_ms for speed in found] == pytest.approx([6.0] * 4)
    assert [speed.ratio for speed in found] == pytest.approx([3.0, 6.0, 6.0, 2.0])
    assert all(speed.ratio_low == speed.ratio == speed.ratio_high for speed in found)
    # 0.5 s of set-up are paid for by 1 ms a step; what is slower never pays.
    even = [None, pytest.approx(500, abs=1), pytest.approx(1000, abs=1), None]
    assert [speed.break_even_steps for speed in found] == even


def test_the_ratio_is_the_median_over_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 0.0
    times = {"ours": iter([1.0, 1.0, 1.0, 1.0]), "stock": iter([1.0, 2.0, 3.0, 100.0])}

    def step(name: str) -> None:
        nonlocal clock
        clock += next(times[name])

    monkeypatch.setattr("bench.training.stock_speed.time.perf_counter", lambda: clock)
    ours = [Contender("path", lambda: step("ours"), 0.0)]
    case = SpeedCase("case", lambda: step("stock"), ours)
    assert measure(case, rounds=3, steps=1, device=CPU)[0].ratio == pytest.approx(3.0)


def test_relative_difference_is_the_worst_of_all_tensors() -> None:
    ours = [torch.tensor([1.0, 0.0]), torch.tensor(2.0), torch.zeros(2)]
    stock = [torch.tensor([1.0, 0.0]), torch.tensor(1.0), torch.zeros(2)]
    assert relative_difference(ours, stock) == pytest.approx(1.0)
    assert relative_difference(stock, stock) == 0
    assert relative_difference([torch.ones(1)], [torch.zeros(1)]) == 1
    # Against a large gradient, one that is rounding alone does not count.
    rounding = [torch.tensor(1.0), torch.tensor(1e-16)]
    assert relative_difference(rounding, [torch.tensor(1.0), torch.tensor(-2e-16)]) < 1e-12
    assert math.isnan(relative_difference([torch.tensor(math.nan)], [torch.ones(())]))
    with pytest.raises(ValueError, match=r"shorter|longer"):
        relative_difference(ours, stock[:1])


def test_a_step_of_the_molecular_suite_is_stocks_to_rounding(
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = (
        "speed molecular --model schnet:16x2 --model cgcnn:4x1 --batch 4 --batch 7 --compile off"
    )
    code = main([*command.split(), *["--rounds", "1", "--steps", "1", "--device", "cpu", "--json"]])
    found = json.loads(capsys.readouterr().out)
    assert code == 0
    assert [speed["name"] for speed in found] == [
        f"{model} xtb-ethanol b{batch}"
        for model in ("schnet:16x2", "cgcnn:4x1")
        for batch in (4, 7)
    ]
    for speed in found:
        assert speed["difference"] < 1e-10
        assert speed["ours_ms"] > 0 and speed["stock_ms"] > 0


def test_periodic_frames_of_many_sizes_as_well(capsys: pytest.CaptureFixture[str]) -> None:
    command = "speed molecular --problem xtb-oxides --batch 9 --rounds 1 --compile off"
    models = "--model painn:8x2 --model field-schnet:8x1"
    assert main(f"{command} {models} --steps 1 --device cpu --json".split()) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found) == 2 and all(speed["difference"] < 1e-10 for speed in found)


@pytest.mark.slow
def test_the_compiled_step_of_a_potential_is_compared_as_well(
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = (
        "speed molecular --model schnet:8x2 --batch 4 --rounds 2 --steps 2 --device cpu --json"
    )
    assert main(command.split()) == 0
    plain, compiled = json.loads(capsys.readouterr().out)
    assert (plain["path"], compiled["path"]) == ("preloaded", "compiled")
    assert compiled["difference"] < 1e-10
    assert compiled["setup_s"] > 0 == plain["setup_s"]


@pytest.mark.parametrize("problem", ["diffusion-sorption-1d", "advection-1d"])
def test_a_step_of_the_pinn_suite_is_stocks_to_rounding(
    problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = f"speed pinn --problem {problem} --arm irelu+lsuv --model fnn:8x2 --initial 50"
    options = "--compile off --seeds 2 --rounds 1 --steps 1 --device cpu --json"
    assert main([*command.split(), *options.split()]) == 0
    alone, together = json.loads(capsys.readouterr().out)
    assert (alone["path"], together["path"]) == ("taylor eager", "2 seeds together eager")
    for speed in (alone, together):
        labels = (speed["problem"], speed["arm"], speed["model"])
        assert labels == (problem, "irelu+lsuv", "fnn:8x2")
        assert speed["difference"] < 1e-10
        assert speed["ours_ms"] > 0 and speed["stock_ms"] > 0 and speed["ratio"] > 0
        assert 0 < speed["floor_ms"] < speed["stock_ms"]


def test_what_deepxde_itself_evaluates_is_compared_as_well(
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = "speed pinn --problem advection-1d --model fnn-bn-published:8x2 --initial 50"
    assert main([*command.split(), *["--rounds", "1", "--steps", "1", "--device", "cpu"]]) == 0
    assert "deepxde eager" in capsys.readouterr().out


def test_a_loss_that_differs_is_said_by_the_exit_code(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Stock's loss alone: ours does not use the module.
    monkeypatch.setattr(
        "suites.molecular.stock_speed.torch.nn.MSELoss", lambda: torch.nn.SmoothL1Loss(beta=0.1)
    )
    command = "speed molecular --model schnet:8x2 --rounds 1 --steps 1 --device cpu --compile off"
    assert main(command.split()) == 1
    assert "schnet:8x2" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ("speed molecular --rounds 0", "--rounds must be at least 1, got 0"),
        ("speed molecular --steps -1", "--steps must be at least 1, got -1"),
        ("speed molecular --model schnett", "did you mean 'schnet'"),
        ("speed molecular --batch 0", "--batch must be from 1 to"),
        ("speed molecular --batch 5000", "got 5000"),
        ("speed molecular --problem md17-ethanol", "unknown problem 'md17-ethanol'"),
        ("speed moleculer", "did you mean 'molecular'"),
        ("speed pinn --problem advection-2d", "did you mean 'advection-1d'"),
        ("speed pinn --arm ireluu", "did you mean 'irelu'"),
        ("speed pinn --model fn", "did you mean 'fnn'"),
        ("speed pinn --initial 0", "--initial must be from 1 to"),
        ("speed pinn --seeds 0", "--seeds must be from 1 to"),
        ("speed pinn --compile maybe", "unknown --compile 'maybe'"),
    ],
)
def test_bad_input(arguments: str, named: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments.split()) == 2
    assert named in capsys.readouterr().err
