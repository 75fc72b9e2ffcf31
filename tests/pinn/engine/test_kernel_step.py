"""A step by the native kernel: the numbers of DeepXDE, every decision on the record."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pinn_specs
import pytest
import torch
from torch import Tensor

from bench.training import traced
from bench.training.stock_speed import relative_difference
from suites.pinn import wrap
from suites.pinn.backend import dde
from suites.pinn.check import build_checked, difference_from_deepxde
from suites.pinn.engine import choose, evaluation, gradients
from suites.pinn.engine.choose import Length, choose_way
from suites.pinn.engine.evaluation import TaylorEvaluation, by_kernel
from suites.pinn.problems.catalogue import BUILT_IN

CPU = torch.device("cpu")

EXACT = 1e-10

#: Streams that each problem's equations need: values come on top.
STREAMS = {
    "advection-1d": 1,  # along (1, β)
    "compressible-flow-1d": 2,  # t, x
    "diffusion-reaction-2d": 4,  # t, x, y, and the Laplacian
    "diffusion-sorption-1d": 3,  # t, x, xx
    "shallow-water-2d": 3,  # t, x, y
}


@pytest.fixture
def kernel_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel pays for any run, compiling a loss for none."""
    monkeypatch.setattr(choose, "_KERNEL_SECONDS", 0.0)
    monkeypatch.setattr(choose, "_LOSS_SECONDS", math.inf)


# --- equal to DeepXDE ---------------------------------------------------------------------------


@pytest.mark.parametrize("problem", BUILT_IN)
def test_every_problem_is_deepxde_to_rounding(problem: str, kernel_pays: None) -> None:
    for arm in ("baseline", "irelu+lsuv+rescale", "frozenbn"):
        task = pinn_specs.task(problem, arm, supervised=0.05)
        for _ in range(3):
            task.step()
        assert task.gradient.how["executed"] == "kernel"
        assert difference_from_deepxde(task) < EXACT, arm


@pytest.mark.parametrize(
    "problem",
    ["diffusion-sorption-1d", *(pytest.param(p, marks=pytest.mark.slow) for p in BUILT_IN)],
)
def test_a_compiled_loss_is_deepxde_to_rounding(problem: str) -> None:
    task = pinn_specs.task(problem, supervised=0.02, compile="on")
    assert difference_from_deepxde(task) < EXACT
    for _ in range(3):
        task.step()
    assert difference_from_deepxde(task) < EXACT
    assert task.gradient.how["executed"] == "kernel+inductor"
    assert task.gradient.how["setup_s"] > 0


@pytest.mark.parametrize("problem", [p for p in BUILT_IN if p != "diffusion-sorption-1d"])
def test_seeds_share_a_compiled_loss(problem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not sorption's: how many of its points lie on either side is drawn."""
    graphs: set[Any] = set()

    def uncompiled(graph: Any) -> Any:
        graphs.add(graph)
        return graph.graph

    monkeypatch.setattr(traced, "_compiled", uncompiled)
    for seed in (0, 1):
        task = pinn_specs.task(problem, seed=seed, compile="on")
        task.step()
        assert task.gradient.how["executed"] == "kernel+inductor"
    assert len(graphs) == 1


def test_scaled_inputs_and_own_weights(kernel_pays: None) -> None:
    task = pinn_specs.task("diffusion-sorption-1d", protocol="standard", weights=["LIC=3"])
    assert by_kernel(task.evaluation)
    assert difference_from_deepxde(task) < EXACT


def test_the_held_out_loss_has_no_tape(kernel_pays: None) -> None:
    task = pinn_specs.task()
    training, heldout = task.evaluation, task._heldout
    assert isinstance(training, TaylorEvaluation) and isinstance(heldout, TaylorEvaluation)
    assert training.kernel is not None and heldout.kernel is not None
    assert training.kernel._taped and not heldout.kernel._taped


@pytest.mark.parametrize("name", ["MODULE", "FACTORY", "VECTOR", "ANISOTROPIC", "OUTPUT"])
def test_unknowns_of_an_inverse_problem(name: str, kernel_pays: None) -> None:
    task = pinn_specs.task(f"inverse_problems:{name}")
    assert by_kernel(task.evaluation)
    for _ in range(3):
        task.step()
    for value in task.unknowns.values.values():
        value.data.mul_(-3).add_(0.2)
    assert difference_from_deepxde(task) < EXACT


def features(x: Tensor) -> Tensor:
    return torch.cat([torch.sin(3 * x[:, :1]), torch.cos(x[:, :1] * x[:, 1:]), x[:, 1:] ** 2], 1)


def heat() -> Any:
    def pde(x: Tensor, u: Tensor) -> Tensor:
        u_xx = dde.grad.hessian(u, x, i=0, j=0)
        return dde.grad.jacobian(u, x, i=0, j=1) - 0.1 * u_xx + u**2

    space, time = dde.geometry.Interval(-1, 1), dde.geometry.TimeDomain(0, 1)
    geometry = dde.geometry.GeometryXTime(space, time)
    start = dde.icbc.IC(geometry, lambda x: np.sin(x[:, :1]), lambda _, on_initial: on_initial)
    return dde.data.TimePDE(geometry, pde, [start], num_domain=20, num_initial=9)


TRANSFORMED = wrap(
    heat,
    name="heat",
    outputs=["u"],
    losses=["Lf", "LIC"],
    input_transform=features,
    output_transform=lambda x, u: u * (1 - x[:, :1] ** 2) + x[:, 1:],
)


def test_an_input_and_an_output_transform(kernel_pays: None) -> None:
    task = pinn_specs.task(f"{__name__}:TRANSFORMED")
    assert by_kernel(task.evaluation)
    task.step()
    assert difference_from_deepxde(task) < EXACT


# --- no wasted pass -----------------------------------------------------------------------------


@pytest.mark.parametrize("problem", BUILT_IN)
def test_no_more_streams_than_the_equations_need(problem: str) -> None:
    task = pinn_specs.task(problem)
    assert isinstance(task.evaluation, TaylorEvaluation)
    assert len(task.evaluation.plan.operators) == STREAMS[problem]
    assert task.evaluation.cost == 1 + STREAMS[problem]


# --- runs ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [{}, {"resample": 3}, {"lbfgs_steps": 4}])
def test_a_resumed_run_ends_as_an_uninterrupted_one(more: Any, kernel_pays: None) -> None:
    whole, first, second = (pinn_specs.task("advection-1d", steps=6, **more) for _ in range(3))
    total = whole.spec.training.total_steps
    for _ in range(total):
        whole.step()
    for _ in range(4):
        first.step()
    second.load_state_dict(first.state_dict())
    for _ in range(total - 4):
        second.step()
    assert whole.gradient.how["executed"] == "kernel"
    assert torch.equal(second.parameters.vector, whole.parameters.vector)
    assert second.evaluate() == whole.evaluate()


def test_metrics_are_those_of_plain_torch(kernel_pays: None) -> None:
    task = pinn_specs.task("compressible-flow-1d", supervised=0.05)
    plain = pinn_specs.task("compressible-flow-1d", supervised=0.05, compile="off")
    assert by_kernel(task.evaluation) and by_kernel(task._heldout)
    assert not by_kernel(plain.evaluation) and not by_kernel(plain._heldout)
    ours, theirs = task.evaluate().metrics, plain.evaluate().metrics
    assert ours == {name: pytest.approx(value, rel=1e-9) for name, value in theirs.items()}
    assert task.zero_loss() == pytest.approx(plain.zero_loss(), rel=1e-9)
    found, wanted = task.diagnose().measurements, plain.diagnose().measurements
    assert found["gradient_rms"] == pytest.approx(wanted["gradient_rms"], rel=1e-9)


def test_arms_and_new_points_share_one_compiled_loss() -> None:
    task = pinn_specs.task("advection-1d", compile="on", resample=2, steps=8)
    for _ in range(3):  # on the points that are drawn first, and on others
        task.step()
    before = traced._compiled.cache_info().misses
    for _ in range(4):
        task.step()
    other = pinn_specs.task("advection-1d", "irelu+lsuv", model="fnn:9x2", compile="on")
    other.step()
    assert traced._compiled.cache_info().misses == before
    for one in (task, other):
        assert difference_from_deepxde(one) < EXACT
        assert one.gradient.how["executed"] == "kernel+inductor"


def test_the_check_of_the_engine_checks_the_kernel(kernel_pays: None) -> None:
    task = build_checked(pinn_specs.specify(dtype="float32", check_engine=True), CPU)
    assert task.notes["difference_from_deepxde"] < EXACT
    task.step()
    assert task.description["engine"]["executed"] == "kernel"


@pytest.mark.parametrize("name", ["advection-1d", "inverse_problems:MODULE"])
def test_a_step_is_that_of_autograds_backward(name: str, kernel_pays: None) -> None:
    ours, theirs = (pinn_specs.task(name, steps=6, weight_decay=0.1) for _ in range(2))
    for _ in range(5):
        found, wanted = ours.step(), theirs.optimization.step(theirs.losses)
        assert found.keys() == wanted.keys()
        assert all(torch.equal(found[term], wanted[term]) for term in found)
    assert torch.equal(ours.parameters.vector, theirs.parameters.vector)
    assert ours.optimization.steps_done == theirs.optimization.steps_done == 5
    for one, other in zip(ours.parameters.parts, theirs.parameters.parts, strict=True):
        assert one.grad is not None and other.grad is not None
        assert torch.equal(one.grad, other.grad)


# --- which way, and why -------------------------------------------------------------------------


def test_the_ways_of_each_evaluation() -> None:
    assert pinn_specs.task().gradient.ways == gradients.WAYS
    layer_norm = pinn_specs.task(arm="layernorm").gradient
    assert layer_norm.ways == ("eager", "inductor")
    assert "LayerNorm" in layer_norm.missing["kernel"]
    stock = pinn_specs.task(engine="deepxde").gradient
    assert stock.ways == ("eager",)
    assert "DeepXDE" in stock.missing["kernel+inductor"]


def test_a_run_is_as_fast_as_pays_for_it() -> None:
    def decided(arm: str, steps: float, redraws: float = 0.0) -> str:
        task = pinn_specs.task("advection-1d", arm, compile="off")
        counts = task.parameters.vector.numel(), len(task.loss.terms)
        return choose_way("auto", task.evaluation, counts, CPU, Length(steps, redraws)).way

    assert [decided("baseline", steps) for steps in (10, 6000, 30_000)] == [
        "eager",
        "kernel",
        "kernel+inductor",
    ]
    # Each redraw costs a trace.
    assert decided("baseline", 30_000, redraws=3000) == "kernel"
    assert [decided("layernorm", steps) for steps in (1000, 30_000)] == ["eager", "inductor"]


def test_larger_steps_pay_sooner() -> None:
    length = Length(1000)
    for saved in (choose.saved_by_kernel, choose.saved_by_inductor):
        assert saved(length, 1e9) > saved(length, 1e7) > 0
    assert choose.saved_by_compiled_loss(length, 9) > choose.saved_by_compiled_loss(length, 3)


def broken(*_: object) -> None:
    raise RuntimeError("no working C++ compiler found")


@pytest.mark.parametrize("compiled", [False, True])
def test_without_a_compiler_the_next_way_is_taken_and_the_record_says_why(
    compiled: bool, kernel_pays: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = gradients if compiled else evaluation.KernelNetwork
    if compiled:
        monkeypatch.setattr(choose, "_LOSS_SECONDS", 0.0)
        monkeypatch.setattr("suites.pinn.engine.kernel_step.compile_traced", broken)
    else:
        monkeypatch.setattr(where, "prepare", broken)
    task = pinn_specs.task()
    task.step()
    engine = task.description["engine"]
    assert engine["executed"] == ("kernel" if compiled else "eager")
    reason = engine["not_compiled" if compiled else "not_kernel"]
    assert reason == "RuntimeError: no working C++ compiler found"
    assert "saves about" in engine["why"]
    assert compiled or engine["why"].startswith(f"no kernel: {reason}; compiling saves")
    assert difference_from_deepxde(task) < EXACT


@pytest.mark.parametrize(("seconds", "way"), [(0.0, "inductor"), (math.inf, "eager")])
def test_without_the_kernel_it_is_chosen_anew(
    seconds: float, way: str, kernel_pays: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choose, "_LOSS_SECONDS", 0.0)
    monkeypatch.setattr(choose, "_INDUCTOR_SECONDS", seconds)
    monkeypatch.setattr(evaluation.KernelNetwork, "prepare", broken)
    gradient = pinn_specs.task("advection-1d").gradient
    assert gradient.way == way
    redrawn = gradient.with_(evaluation=gradient.evaluation)
    assert redrawn.way == way
    assert redrawn.how["why"] == gradient.how["why"]
    assert "no kernel: RuntimeError" in gradient.how["why"]


def test_a_way_that_was_asked_for_is_explained() -> None:
    def why(arm: str, asked: str) -> str:
        return str(pinn_specs.task(arm=arm, compile=asked).gradient.how["why"])

    assert why("layernorm", "on").startswith("--compile on; no kernel: normalisation LayerNorm")
    assert why("layernorm", "off") == "--compile off"


def test_a_graph_for_redrawn_points_must_pay_as_well() -> None:
    def decided(arm: str, steps: float, redraws: float) -> str:
        task = pinn_specs.task("advection-1d", arm, compile="off")
        return choose_way("auto", task.evaluation, (1, 3), CPU, Length(steps, redraws)).way

    assert [decided("baseline", 10_000, n) for n in (0, 1)] == ["kernel+inductor", "kernel"]
    assert decided("baseline", 20_000, 1) == "kernel+inductor"
    assert [decided("layernorm", 10_000, n) for n in (0, 1)] == ["inductor", "eager"]
    assert decided("layernorm", 20_000, 1) == "inductor"


def test_without_a_compiler_a_run_that_asks_for_it_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(evaluation.KernelNetwork, "prepare", broken)
    record = pinn_specs.run(tmp_path, "advection-1d", compile="on")
    assert record.status == "failed"
    assert "no working C++ compiler found" in (record.reason or "")


def test_a_way_that_an_evaluation_has_not_is_refused() -> None:
    gradient = pinn_specs.task(arm="layernorm").gradient
    with pytest.raises(Exception, match="LayerNorm"):
        gradient.with_(way="kernel")


def test_the_ways_agree() -> None:
    task = pinn_specs.task("shallow-water-2d", supervised=0.05, compile="off")
    vector = task.parameters.vector.detach()
    eager, kernel = (task.gradient.with_(way=way)(vector) for way in ("eager", "kernel"))
    assert relative_difference(list(kernel), list(eager)) < EXACT
