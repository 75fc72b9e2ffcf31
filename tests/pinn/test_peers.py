"""The hand-written steps in JAX: DeepXDE's loss and gradient, torch's Adam, one thread."""

from __future__ import annotations

import os

import pytest
import torch

from bench.arm import Arm
from bench.plugins import load_suite
from bench.training.stock_speed import relative_difference
from suites.pinn.check import stock_loss_and_gradient
from suites.pinn.peers.availability import (
    PROBLEMS,
    PeerUnavailable,
    check_peer,
    cpus_of_xla,
    import_jax,
)
from suites.pinn.stock_speed import Asked, StockStep, specify
from suites.pinn.task import PINNTask, build

# Compiling takes the time here, and optimising does not change what is computed.
import_jax().config.update("jax_disable_most_optimizations", True)

from suites.pinn.peers.derivatives import FORMS  # noqa: E402
from suites.pinn.peers.losses import PEERS  # noqa: E402
from suites.pinn.peers.step import JAXStep  # noqa: E402

CPU = torch.device("cpu")


def task_of(problem: str, arm: str = "baseline", model: str = "fnn:5x2") -> PINNTask:
    asked = Asked([], [], model, False, 1, "float64")
    return build(
        specify(load_suite("pinn"), asked, problem, 60, Arm.parse(arm), 0, "float64", CPU), CPU
    )


def test_xla_runs_on_one_cpu_and_the_process_on_all() -> None:
    before = os.sched_getaffinity(0)
    assert import_jax() is not None
    assert len(cpus_of_xla()) == 1
    assert os.sched_getaffinity(0) == before


def test_every_problem_that_is_said_to_have_a_peer_has_one() -> None:
    assert set(PROBLEMS) == set(PEERS)


#: XLA takes longest for them; diffusion-reaction is a system, too, and in two dimensions.
DEAR = ("compressible-flow-1d", "shallow-water-2d")


@pytest.mark.parametrize(
    "problem",
    [pytest.param(p, marks=pytest.mark.slow if p in DEAR else []) for p in PROBLEMS],
)
def test_loss_and_gradient_are_deepxdes(problem: str) -> None:
    task = task_of(problem)
    check_peer(task)
    theirs = stock_loss_and_gradient(task)
    for form in FORMS.values():
        assert relative_difference(JAXStep(task, form).loss_and_gradient(), theirs) < 1e-10


def test_steps_are_those_of_deepxdes_adam() -> None:
    task = task_of("diffusion-sorption-1d")
    stock, peer = StockStep(task), JAXStep(task, FORMS["taylor"])
    for _ in range(5):
        stock()
        peer()
    theirs = [p.detach() for p in stock.net.parameters()]
    ours = [
        torch.tensor(one.tolist(), dtype=torch.float64).reshape(other.shape)
        for one, other in zip((a for layer in peer.layers for a in layer), theirs, strict=True)
    ]
    moved = [p.detach() for p in task.net.parameters()]
    assert relative_difference(moved, theirs) > 1e-3
    assert relative_difference(ours, theirs) < 1e-9


@pytest.mark.parametrize(
    ("problem", "arm", "model", "named"),
    [
        ("advection-1d", "irelu", "fnn:9x2", "tanh alone"),
        ("advection-1d", "baseline", "fnn-ln:9x2", "tanh alone"),
        ("compressible-flow-1d", "rescale", "fnn:9x2", "neither inputs nor labels"),
        ("diffusion-sorption-1d-relu", "baseline", "fnn:9x2", "diffusion-sorption-1d-relu"),
    ],
)
def test_what_has_no_peer_says_why(problem: str, arm: str, model: str, named: str) -> None:
    with pytest.raises(PeerUnavailable, match=named):
        check_peer(task_of(problem, arm, model))
