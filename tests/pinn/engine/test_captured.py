"""A captured step: as on a device, with the stand-in's graph, the numbers of an eager one."""

from __future__ import annotations

from collections.abc import Iterator

import pinn_specs
import pytest
import torch
from cuda_graph_stand_in import Device, stand_in

from suites.pinn.batch import Batched, build_together
from suites.pinn.engine import gradients
from suites.pinn.problems.catalogue import BUILT_IN

CPU = torch.device("cpu")


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Iterator[Device]:
    monkeypatch.setattr(gradients, "can_capture", lambda _: True)
    with stand_in() as found:
        yield found


@pytest.mark.parametrize("arm", ["irelu+lsuv", "isilu+layernorm+rescale"])
@pytest.mark.parametrize("problem", BUILT_IN)
def test_a_step_is_captured_once_and_replayed(problem: str, arm: str, device: Device) -> None:
    specs = [pinn_specs.specify(problem, arm, compile=way) for way in ("off", "off")]
    captured, eager = (pinn_specs.build(spec, CPU) for spec in specs)
    eager.gradient._run, eager.gradient._ready = None, True
    losses = [captured.step()["loss"] for _ in range(4)]
    wanted = [float(eager.step()["loss"]) for _ in range(4)]
    assert [float(loss) for loss in losses] == pytest.approx(wanted, rel=1e-12)
    torch.testing.assert_close(
        captured.parameters.vector, eager.parameters.vector, rtol=1e-11, atol=1e-13
    )
    assert captured.description["engine"]["executed"] == "eager, CUDA graph"
    assert [graph.replays for graph in device.graphs] == [4]


@pytest.mark.parametrize("problem", BUILT_IN)
def test_seeds_together_are_captured_as_one(problem: str, device: Device) -> None:
    specs = [pinn_specs.specify(problem, "irelu+lsuv", seed=s, supervised=0.02) for s in range(3)]
    batch = build_together(specs, CPU)
    assert isinstance(batch, Batched)
    alone = [pinn_specs.build(spec, CPU) for spec in specs]
    for task in alone:
        task.gradient._ready = True
    for _ in range(3):
        together, apart = batch.step(), [task.step() for task in alone]
        found = together["loss"].tolist()
        assert found == pytest.approx([float(own["loss"]) for own in apart], rel=1e-10)
    assert batch.gradient.how["executed"] == "eager, CUDA graph", batch.gradient.how
    assert [graph.replays for graph in device.graphs] == [3]


def test_a_run_that_cannot_be_captured_says_why(device: Device) -> None:
    task = pinn_specs.task("advection-1d")
    correct = task.evaluation.of
    task.gradient.evaluation = task.evaluation
    task.evaluation.of = lambda *given, **more: correct(*given, **more) * float(torch.ones(1))
    task.step()
    engine = task.description["engine"]
    assert engine["executed"] == "eager"
    assert engine["not_captured"].startswith("RuntimeError: operation not permitted when stream")
