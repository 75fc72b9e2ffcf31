"""On a CUDA device: the same commands, everything resident there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import molecular_specs
import pytest
import torch
from pinn_specs import specify

from bench.store.store import Store
from bench.suite import main
from bench.training.device import StepTimer, deterministic, resolve
from bench.training.run import execute
from bench.training.signals import Interruption
from suites.molecular.models.catalogue import ARCHITECTURES
from suites.pinn.batch import Batched, build_together
from suites.pinn.problems.catalogue import BUILT_IN
from suites.pinn.task import build

pytestmark = pytest.mark.gpu

ARMS = ["baseline", "irelu+lsuv", "isilu+rescale+lsuv", "frozenbn"]


@pytest.mark.parametrize("problem", BUILT_IN)
@pytest.mark.parametrize("arm", ARMS)
def test_losses_are_those_of_the_cpu(problem: str, arm: str) -> None:
    spec = specify(problem, arm)
    found = {}
    for device in (torch.device("cpu"), resolve("cuda")):
        with deterministic(device):
            task = build(spec, device)
            found[device.type] = [float(task.step()["loss"]) for _ in range(3)]
            assert all(p.device.type == device.type for p in task.net.parameters())
    assert found["cuda"] == pytest.approx(found["cpu"], rel=1e-8)


@pytest.mark.parametrize("problem", BUILT_IN)
def test_a_step_is_captured_once_and_replayed(problem: str) -> None:
    device = resolve("cuda")
    with deterministic(device):
        task = build(specify(problem, "irelu+lsuv"), device)
        losses = [task.step()["loss"] for _ in range(4)]
        assert task.description["engine"]["executed"] == "eager, CUDA graph"
        # A replay writes over no result that was given out.
        assert len({float(loss) for loss in losses}) == 4


@pytest.mark.parametrize("problem", BUILT_IN)
def test_seeds_together_are_each_as_alone(problem: str) -> None:
    device = resolve("cuda")
    specs = [specify(problem, "irelu+lsuv", seed=seed, supervised=0.02) for seed in range(4)]
    with deterministic(device):
        batch, alone = build_together(specs, device), [build(spec, device) for spec in specs]
        assert isinstance(batch, Batched)
        for _ in range(4):
            together, apart = batch.step(), [task.step() for task in alone]
        assert together["loss"].tolist() == pytest.approx([float(o["loss"]) for o in apart])


@pytest.mark.parametrize("problem", BUILT_IN)
def test_a_run_on_the_gpu_ends_as_a_run_does(problem: str, tmp_path: Path) -> None:
    spec = specify(problem, "irelu+lsuv", dtype="float32")
    device = resolve("cuda")
    record = execute(spec, Store(tmp_path), device, 1, lambda *_: None, Interruption())
    assert record.status == "done", record.reason
    assert record.peak_memory_mb is not None and record.peak_memory_mb > 0
    assert record.timing.step_ms_median is not None and record.timing.step_ms_median > 0
    assert "gpu" in record.environment


def test_the_timer_measures_the_device_and_not_the_launch() -> None:
    device = resolve("cuda")
    timer = StepTimer(device)
    a = torch.randn(4096, 4096, device=device)
    for _ in range(3):
        with timer.step():
            for _ in range(20):
                a @ a
    assert min(timer.flush()) > 20 * 2 * 4096**3 / 1e15


@pytest.mark.parametrize("model", ARCHITECTURES)
@pytest.mark.parametrize("arm", ["baseline", "irelu+denorm+rescale"])
def test_potentials_train_as_on_the_cpu(model: str, arm: str) -> None:
    spec = molecular_specs.specify(f"{model}:8x2", arm)
    found = {}
    for device in (torch.device("cpu"), resolve("cuda")):
        with deterministic(device):
            task = molecular_specs.build(spec, device)
            losses = [float(task.step()["loss"]) for _ in range(3)]
            found[device.type] = [*losses, task.evaluate().selection]
            assert all(p.device.type == device.type for p in task.net.parameters())
    assert found["cuda"] == pytest.approx(found["cpu"], rel=1e-7)


def test_a_step_of_a_potential_is_stocks_on_the_gpu_too(
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = "speed molecular --model schnet:16x2 --batch 4 --rounds 1 --steps 1 --device cuda"
    assert main(command.split()) == 0
    assert "schnet:16x2" in capsys.readouterr().out


# Faults.

PINN = ["pinn", "--problem", "advection-1d", "--budget", "smoke", "--device", "cuda"]

OWN = """
import torch

class Outside(torch.nn.Module):
    def forward(self, x):
        return x + x[torch.full((1,), 10**9, device=x.device)] if x.is_cuda else x.sin()
"""


@pytest.fixture
def little_memory() -> Iterator[None]:
    """0.3 GB of the device: less than parameters and Adam's state of 64 seeds."""
    device = resolve("cuda")
    whole = torch.cuda.get_device_properties(device).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(0.3e9 / whole, device)
    yield
    torch.cuda.set_per_process_memory_fraction(1.0, device)


@pytest.mark.usefixtures("little_memory")
def test_seeds_that_do_not_fit_are_out_of_memory_or_halved(tmp_path: Path) -> None:
    together = ["--seeds", "64", "--seeds-together", "on", "--model", "fnn:256x6", "--jobs", "1"]
    command = [*PINN, *together, "--out", str(tmp_path / "store")]
    assert main(command) == 1
    store = Store(tmp_path / "store")
    refused = list(store.records())
    assert {record.status for record in refused} == {"out-of-memory"} and len(refused) == 64
    assert all("OutOfMemoryError" in (record.reason or "") for record in refused)
    assert main([*command, "--halve-on-oom"]) == 0
    assert {record.status for record in store.records()} == {"done"}
    assert 1 < max(record.seeds_together for record in store.records()) <= 32


def test_an_illegal_access_costs_its_own_run_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It leaves a CUDA context that fails whatever comes after: the process is replaced."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_outside.py").write_text(OWN)
    arms = ["--arm", "activation=own_outside:Outside", "--arm", "sin"]
    assert main([*PINN, *arms, "--out", "store"]) == 1
    found = {record.arm: record for record in Store(tmp_path / "store").records()}
    assert {arm: record.status for arm, record in found.items()} == {
        "baseline": "done",
        "activation=own_outside:Outside": "failed",
        "sin": "done",
    }


def test_a_run_on_the_gpu_that_was_interrupted_goes_on(tmp_path: Path) -> None:
    spec = specify("advection-1d", "irelu+lsuv", steps=200)
    device, flag = resolve("cuda"), Interruption()

    def stop(*_: object) -> None:
        flag.signal = 15

    whole = execute(spec, Store(tmp_path / "a"), device, 1, lambda *_: None, Interruption())
    cut = execute(spec, Store(tmp_path / "b"), device, 1, stop, flag)
    last = execute(spec, Store(tmp_path / "b"), device, 1, lambda *_: None, Interruption())
    assert (cut.status, last.status, last.resumed) == ("interrupted", "done", 1)
    for name, metric in whole.metrics.items():
        assert last.metrics[name].final == pytest.approx(metric.final, rel=1e-6), name
