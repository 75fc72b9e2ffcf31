"""The captured step of a potential: with the stand-in's graph, the numbers of an eager one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from cuda_graph_stand_in import Device, stand_in
from molecular_specs import specify, task
from potential_frames import labelled
from torch import Tensor

from bench.techniques.networks import drawing_modules
from bench.training.parameters import FlatParameters
from suites.molecular.data.neighbors import neighbor_pairs
from suites.molecular.data.static_batches import TRIPLETS, StaticFrames
from suites.molecular.engine import choose
from suites.molecular.engine.captured import CapturedFunction
from suites.molecular.engine.step import Result, StepFunction
from suites.molecular.loss import EnergyForceLoss
from suites.molecular.models.catalogue import ARCHITECTURES
from suites.molecular.models.of_spec import spec_model
from suites.molecular.models.potential import build_potential
from suites.molecular.protocols import get_protocol

CPU = torch.device("cpu")


@pytest.fixture
def device() -> Iterator[Device]:
    with stand_in() as found:
        yield found


def built(
    model: str, kind: str, normalization: str | None = None
) -> tuple[StepFunction, StaticFrames]:
    """A potential's step function, and frames."""
    frames = labelled(kind)
    spec = specify(f"{model}:8x2", normalization or "baseline")
    size = spec_model(spec)
    with drawing_modules(0):
        axes = spec.axes["activation"], spec.axes["normalization"]
        net = build_potential(size, *axes, "all", torch.float64)
    loss = EnergyForceLoss(get_protocol("standard"), "MSE", 1.0, 1.0, "eV")
    needs = (TRIPLETS,) if model == "dimenet++" else ()
    static = StaticFrames(
        frames,
        neighbor_pairs(frames, size.size.cutoff),
        frames.energies,
        frames.forces,
        size.size.cutoff,
        CPU,
        torch.float64,
        needs=needs,
    )
    return StepFunction(net, FlatParameters(net), loss), static


def agree(found: Result, wanted: Result, rel: float = 1e-12) -> None:
    def parts(result: Result) -> list[Tensor]:
        return [*result.terms.values(), result.gradient, *result.statistics]

    for mine, theirs in zip(parts(found), parts(wanted), strict=True):
        assert float((mine - theirs).norm()) <= rel * max(float(theirs.norm()), 1e-6)


ROWS = [np.array(rows) for rows in ([0, 1, 2, 3], [9, 4, 7, 5], [3, 2, 1, 0])]


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        *((model, "molecule") for model in ARCHITECTURES),
        ("schnet", "mixture"),
        ("cgcnn", "periodic"),
        *(
            pytest.param(model, kind, marks=pytest.mark.slow)
            for model in ARCHITECTURES
            for kind in ("mixture", "periodic")
        ),
    ],
)
def test_a_replay_computes_what_the_eager_step_does(model: str, kind: str, device: Device) -> None:
    function, frames = built(model, kind)
    captured = CapturedFunction(function, compiled=False)
    for rows in ROWS:
        batch = frames.batch(rows)
        agree(captured(batch), function(batch))
    layouts = {frames.layout(rows) for rows in ROWS}
    assert captured.how["executed"] == "static, CUDA graph", captured.how
    assert captured.how["shapes"] == len(device.graphs) == len(layouts)


def test_it_computes_with_the_parameters_as_they_are(device: Device) -> None:
    function, frames = built("schnet", "molecule")
    captured, batch = CapturedFunction(function, compiled=False), frames.batch(ROWS[0])
    before = captured(batch)
    kept = before.gradient.clone()
    with torch.no_grad():
        function._parameters.vector.mul_(1.1)
    agree(captured(batch), function(batch))
    assert torch.equal(before.gradient, kept)


def test_running_statistics_move_once_a_step(device: Device) -> None:
    """Not in the steps that a capture is warmed up with."""
    function, frames = built("cgcnn", "molecule", "batchnorm")
    buffers = dict(function._potential.net.named_buffers())
    before = {name: buffer.clone() for name, buffer in buffers.items()}
    captured = CapturedFunction(function, compiled=False)
    result = captured(frames.batch(ROWS[0]))
    assert result.statistics
    for name, buffer in buffers.items():
        assert torch.equal(buffer, before[name]), name
    agree(result, function(frames.batch(ROWS[0])))


def test_a_user_s_own_buffers_are_changed_once_a_step(device: Device) -> None:
    function, frames = built("schnet", "molecule", "activation=row_coupling:Running")
    captured = CapturedFunction(function, compiled=False)
    seen = [buffer for name, buffer in function.net.named_buffers() if name.endswith("seen")]
    for step in (1, 2):
        captured(frames.batch(ROWS[0]))
        assert seen and all(float(count) == step for count in seen)


def test_what_cannot_be_captured_is_run_as_it_is_and_says_so(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    function, frames = built("schnet", "molecule")
    correct = function._losses
    monkeypatch.setattr(
        function,
        "_losses",
        lambda batch: {k: v * float(torch.ones(1)) for k, v in correct(batch).items()},
    )
    captured, batch = CapturedFunction(function, compiled=False), frames.batch(ROWS[0])
    agree(captured(batch), function(batch))
    assert captured.how["executed"] == "static"
    assert "not permitted when stream is capturing" in captured.how["not_captured"]


@pytest.mark.parametrize("arm", ["baseline", "batchnorm"])
def test_a_run_is_captured_and_trains_as_a_plain_one(
    arm: str, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choose, "can_capture", lambda _: True)
    settings = ("--n-train", "12", "--n-val", "4", "--n-test", "4", "--batch", "4")
    model = "cgcnn:8x2" if arm == "batchnorm" else "schnet:8x2"
    captured, plain = (task(model, arm, *settings, "--compile", asked) for asked in ("auto", "off"))
    assert plain.compiled is None and captured.compiled is not None
    for _ in range(5):
        found, wanted = captured.step(), plain.step()
        assert {k: float(v) for k, v in found.items()} == pytest.approx(
            {k: float(v) for k, v in wanted.items()}, rel=1e-9
        )
    for mine, theirs in zip(captured.net.buffers(), plain.net.buffers(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-12)
    assert captured.compiled.how["executed"] == "static, CUDA graph"
    assert sum(graph.replays for graph in device.graphs) >= 5
    assert captured.evaluate().metrics == pytest.approx(plain.evaluate().metrics, rel=1e-7)


def test_a_run_that_cannot_be_captured_steps_as_a_plain_one(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choose, "can_capture", lambda _: True)
    run, plain = (task("schnet:8x2", "baseline", "--compile", way) for way in ("auto", "off"))
    correct = EnergyForceLoss.__call__
    monkeypatch.setattr(
        EnergyForceLoss,
        "__call__",
        lambda self, *given: {
            k: v * float(torch.ones(1)) for k, v in correct(self, *given).items()
        },
    )
    for _ in range(2):
        assert float(run.step()["loss"]) == pytest.approx(float(plain.step()["loss"]), rel=1e-10)
    how = run.compiled.how
    assert how["executed"] == "eager" and "stream is capturing" in how["not_captured"]
