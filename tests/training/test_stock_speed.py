"""The comparison with a stock library: order, medians, differences, the command."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch

from bench.suite import main
from bench.task import Contender, Floor, SpeedCase
from bench.training.other_load import OtherLoad
from bench.training.product_floor import product_floor
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


def test_the_fastest_peer_the_floor_and_tuned_stock_are_timed_in_the_same_rounds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = 0.0
    calls: list[str] = []

    def side(name: str, seconds: float) -> Callable[[], None]:
        def step() -> None:
            nonlocal clock
            clock += seconds
            calls.append(name)

        return step

    monkeypatch.setattr("bench.training.stock_speed.time.perf_counter", lambda: clock)

    def stock() -> None:
        nonlocal clock
        clock += 0.006 if torch.backends.mkldnn.matmul.fp32_precision != "bf16" else 0.005

    monkeypatch.setattr("bench.training.products.own_product_library", lambda: "onednn")
    peers = [
        Contender("JAX slow", side("slow", 0.008), 1e-15),
        Contender("JAX close", side("close", 0.0041), 1e-15),
        Contender("JAX best", side("best", 0.004), 1e-14),
    ]
    case = SpeedCase(
        "case",
        stock,
        [Contender("ours", side("ours", 0.002), 1e-15)],
        floor=Floor(side("floor", 0.001), "forward MKL"),
        peers=peers,
    )
    (found,) = measure(case, rounds=4, steps=1, device=CPU, suite="suite")
    assert (found.suite, found.peer, found.floor_by) == ("suite", "JAX best", "forward MKL")
    assert found.peer_ms == pytest.approx(4.0) and found.peer_ratio == pytest.approx(2.0)
    assert found.floor_ms == pytest.approx(1.0) and found.floor_ratio == pytest.approx(2.0)
    assert found.tuned_stock_ms == pytest.approx(5.0) and found.tuned_ratio == pytest.approx(2.5)
    assert found.ratio == pytest.approx(3.0)
    # What cannot be the fastest form is timed in no round; the others in each, as all sides are.
    assert found.peer_forms == pytest.approx({"JAX close": 4.1, "JAX best": 4.0})
    assert calls.count("slow") == 3 and calls.count("best") == 8 and calls.count("floor") == 5


def test_a_peer_that_computes_something_else_is_a_difference() -> None:
    def step() -> None:
        time.sleep(0.001)

    for difference, agrees in ((1e-15, True), (1e-3, False), (math.nan, False)):
        peers = [Contender("JAX", step, difference)]
        case = SpeedCase("case", step, [Contender("path", step, 0.0)], peers=peers)
        assert measure(case, rounds=1, steps=1, device=CPU)[0].agrees is agrees


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_floor_is_no_slower_than_torchs_own_products(dtype: torch.dtype) -> None:
    rows, n = 3000, 40
    floor = product_floor([(n, n), (n, n), (n, 2)], rows, dtype, CPU)
    assert all(kind in floor.by for kind in ("forward", "by input", "by weight"))
    x, weight = torch.ones(rows, n, dtype=dtype), torch.ones(n, n, dtype=dtype)

    def products() -> None:
        for _ in range(2):
            x @ weight.mT, x @ weight, x.mT @ x

    times: dict[str, list[float]] = {"floor": [], "torch": []}
    for _ in range(30):
        for name, step in (("floor", floor.step), ("torch", products)):
            start = time.thread_time()
            step()
            times[name].append(time.thread_time() - start)
    # It has a third layer, small; and half of this is what no library could save.
    assert 0 < min(times["floor"]) < 1.5 * min(times["torch"])
    assert min(times["floor"]) > 0.2 * min(times["torch"])


def test_other_load_is_that_of_others_alone() -> None:
    with OtherLoad() as short:
        pass
    assert short.cores is None
    with OtherLoad() as own:
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            pass
    assert own.cores is None or own.cores >= 0


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
        assert 0 < speed["floor_ms"] < speed["ours_ms"]
        assert "tanh alone" in speed["without_peer"] and speed["peer_ms"] is None


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


def test_without_a_compiler_the_other_ways_are_timed_and_the_reason_is_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: object) -> None:
        raise RuntimeError("no working C++ compiler")

    monkeypatch.setattr("suites.molecular.engine.step.compile_traced", none)
    command = "speed molecular --model schnet:8x2 --rounds 1 --steps 1 --device cpu --compile on"
    assert main(command.split()) == 0
    shown = capsys.readouterr().out
    assert "preloaded" in shown
    assert "without compiled: RuntimeError: no working C++ compiler" in shown


def test_the_difference_of_the_compiled_step_is_its_own(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def compiled(function: Callable[..., list[torch.Tensor]], *_: object) -> object:
        return lambda *given: [1.001 * tensor for tensor in function(*given)]

    monkeypatch.setattr("suites.molecular.engine.step.compile_traced", compiled)
    command = "speed molecular --model schnet:8x2 --rounds 1 --steps 1 --device cpu --json"
    assert main([*command.split(), "--compile", "on"]) == 1
    plain, other = json.loads(capsys.readouterr().out)
    assert plain["difference"] < 1e-10 and other["path"] == "compiled"
    assert other["difference"] == pytest.approx(1e-3)


def test_results_are_shown_and_drawn_again_without_timing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = "speed --rounds 2 pinn --problem advection-1d --model fnn:8x2 --initial 50"
    options = "--compile off --steps 1 --device cpu --json"
    assert main([*command.split(), *options.split()]) == 0
    text = capsys.readouterr().out
    (speed,) = json.loads(text)
    assert speed["rounds"] == 2 and speed["suite"] == "pinn" and speed["machine"]
    assert speed["peer"].startswith("JAX") and speed["peer_difference"] < 1e-10
    assert speed["peer_ms"] > 0 and speed["peer_ratio"] > 0
    kept, figure = tmp_path / "speed.json", tmp_path / "speed.svg"
    kept.write_text(text)
    monkeypatch.setattr("bench.cli.speed.measure", None)
    assert main(["speed", "--load", str(kept), "--figure", str(figure)]) == 0
    shown = capsys.readouterr().out
    for number in ("ours_ms", "stock_ms", "peer_ms", "floor_ms"):
        assert f"{speed[number]:.2f}" in shown
    root = ElementTree.parse(figure).getroot()
    words = " ".join(root.itertext())
    assert "advection-1d baseline i50" in words and "taylor eager" in words and "JAX" in words
    assert main(["speed", "--load", str(kept), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(text)


def test_without_a_suite_all_are_compared(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def cases(suite: object, options: object, dtype: str, device: object) -> list[SpeedCase]:
        del options, device
        name = f"{type(suite).__name__} {dtype}"
        step = lambda: time.sleep(0.001)  # noqa: E731
        return [SpeedCase(name, step, [Contender("path", step, 0.0)])]

    monkeypatch.setattr("suites.pinn.suite.PINNSuite.speed_cases", cases)
    monkeypatch.setattr("suites.molecular.suite.MolecularSuite.speed_cases", cases)
    command = "speed --rounds 1 --steps 1 --device cpu --dtype float64 --json"
    assert main(command.split()) == 0
    found = json.loads(capsys.readouterr().out)
    names = {(speed["suite"], speed["name"]) for speed in found}
    assert {("pinn", "PINNSuite float64"), ("molecular", "MolecularSuite float64")} <= names


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("[]", "no comparisons"),
        ("{", "is not what speed --json prints"),
        ('{"a": 1}', "is not what speed --json prints"),
        ('[{"name": "n"}]', "missing required field"),
    ],
)
def test_a_file_that_is_something_else_is_refused(
    content: str, named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "speed.json"
    kept.write_text(content)
    assert main(["speed", "--load", str(kept)]) == 2
    assert named in capsys.readouterr().err


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
        ("speed --rounds -2", "--rounds must be at least 1, got -2"),
        ("speed --figure speed.png", "--figure is an SVG file"),
        ("speed --load no-such.json", "no-such.json"),
        ("speed --load no-such.json pinn", "leave the suite 'pinn' out"),
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
