"""The optimisers against torch's own, and on problems whose solution is known."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.spec.training import SCHEDULE_NAMES, Training
from bench.training.optimization import SCHEDULES, JointOptimization, Optimization

Losses = Callable[[], dict[str, Tensor]]


def regression(dtype: torch.dtype = torch.float64) -> tuple[nn.Module, Losses]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(32, 3, generator=generator, dtype=dtype)
    y = (x[:, :1] * x[:, 1:2]).sin()
    net = nn.Sequential(nn.Linear(3, 8, dtype=dtype), nn.Tanh(), nn.Linear(8, 1, dtype=dtype))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=dtype) / 2)

    def losses() -> dict[str, Tensor]:
        loss = (net(x) - y).square().mean()
        return {"loss": loss, "twice": 2 * loss.detach()}

    return net, losses


@pytest.mark.parametrize("lr", [1e-3, 0.05])
@pytest.mark.parametrize("eps", [1e-8, 1e-2])
@pytest.mark.parametrize("schedule", SCHEDULE_NAMES)
def test_adam_is_torchs_step_by_step(lr: float, eps: float, schedule: str) -> None:
    steps = 25
    net, losses = regression()
    ours = Optimization(
        list(net.parameters()), Training(steps=steps, lr=lr, eps=eps, schedule=schedule)
    )
    other, other_losses = regression()
    theirs = torch.optim.Adam(other.parameters(), lr=lr, eps=eps, foreach=False, fused=False)
    for step in range(steps):
        theirs.param_groups[0]["lr"] = lr * SCHEDULES[schedule](step / steps)
        theirs.zero_grad()
        expected = other_losses()["loss"]
        expected.backward()
        theirs.step()
        terms = ours.step(losses)
        assert terms["loss"].item() == pytest.approx(expected.item(), rel=1e-12)
        for mine, same in zip(net.parameters(), other.parameters(), strict=True):
            torch.testing.assert_close(mine, same, rtol=1e-10, atol=1e-13)
    assert ours.steps_done == steps


@pytest.mark.parametrize("schedule", SCHEDULE_NAMES)
def test_a_step_has_the_bits_of_torchs_fused_optimiser(schedule: str) -> None:
    net, losses = regression(torch.float32)
    first, *others = net.parameters()
    training = Training(steps=20, lr=0.01, weight_decay=0.1, schedule=schedule)
    ours = Optimization([first], training, others)
    same, same_losses = regression(torch.float32)
    first, *others = same.parameters()
    groups: list[dict[str, Any]] = [{"params": [first]}, {"params": others, "weight_decay": 0.0}]
    theirs = torch.optim.AdamW(groups, lr=0.01, eps=ours.training.eps, weight_decay=0.1, fused=True)
    for step in range(10):
        for group in theirs.param_groups:
            group["lr"] = 0.01 * SCHEDULES[ours.training.schedule](step / 20)
        theirs.zero_grad()
        same_losses()["loss"].backward()
        theirs.step()
        ours.step(losses)
    assert all(map(torch.equal, net.parameters(), same.parameters()))
    state = ours.state_dict()["adam"]["state"]
    assert [float(state[k]["step"]) for k in state] == [10.0] * 4


def test_a_parameter_whose_gradient_comes_later_is_not_waited_for() -> None:
    parameters = [nn.Parameter(torch.ones(3)) for _ in range(2)]
    same = [nn.Parameter(torch.ones(3)) for _ in range(2)]
    ours = Optimization(parameters[:1], Training(steps=20, lr=0.01), parameters[1:])
    theirs = torch.optim.AdamW(same, lr=0.01, eps=ours.training.eps, weight_decay=0.0, fused=True)
    for step in range(6):
        for own in (parameters, same):
            own[0].grad = own[0].detach().clone()
            own[1].grad = own[1].detach().clone() if step > 2 else None
        theirs.param_groups[0]["lr"] = 0.01 * SCHEDULES[ours.training.schedule](step / 20)
        theirs.step()
        ours._update()
        ours.steps_done += 1
    assert all(map(torch.equal, parameters, same))


@pytest.mark.parametrize(("lr", "eps"), [(0.1, 1e-8), (0.1, 1.0), (0.01, 100.0)])
def test_the_first_step_of_adam_is_lr_times_g_over_g_plus_eps(lr: float, eps: float) -> None:
    x = nn.Parameter(torch.tensor([3.0, -0.5], dtype=torch.float64))
    gradient = 2 * x.detach().clone()
    before = x.detach().clone()
    optimization = Optimization([x], Training(steps=5, lr=lr, eps=eps))
    optimization.step(lambda: {"loss": x.square().sum()})
    expected = -lr * gradient / (gradient.abs() + eps)
    torch.testing.assert_close(x.detach() - before, expected, rtol=1e-6, atol=0)


def test_the_terms_are_those_before_the_step_and_have_no_graph() -> None:
    net, losses = regression()
    before = losses()["loss"].item()
    terms = Optimization(list(net.parameters()), Training(steps=5)).step(losses)
    assert terms["loss"].item() == before
    assert terms["twice"].item() == 2 * before
    assert not any(term.requires_grad for term in terms.values())
    assert losses()["loss"].item() < before


def quadratic() -> tuple[nn.Parameter, Tensor, Losses]:
    """½ xᵀAx − bᵀx with the condition number 1e3."""
    generator = torch.Generator().manual_seed(0)
    q, _ = torch.linalg.qr(torch.randn(6, 6, generator=generator, dtype=torch.float64))
    matrix = q @ torch.diag(torch.logspace(0, 3, 6, dtype=torch.float64)) @ q.T
    b = torch.randn(6, generator=generator, dtype=torch.float64)
    x = nn.Parameter(torch.zeros(6, dtype=torch.float64))

    def losses() -> dict[str, Tensor]:
        return {"loss": 0.5 * x @ matrix @ x - b @ x}

    return x, torch.linalg.solve(matrix, b), losses


def test_l_bfgs_reaches_the_minimum_of_a_quadratic() -> None:
    x, minimum, losses = quadratic()
    optimization = Optimization([x], Training(steps=0, lbfgs_steps=60))
    values = [optimization.step(losses)["loss"].item() for _ in range(60)]
    torch.testing.assert_close(x.detach(), minimum, rtol=1e-6, atol=1e-6)
    # Wolfe: never upwards (but by rounding at the minimum).
    assert all(later <= earlier + 1e-12 for earlier, later in itertools.pairwise(values))


def test_l_bfgs_searches_along_a_direction_whose_first_step_is_too_long() -> None:
    """The first trial goes uphill; a step that gives up there would never move."""
    x = nn.Parameter(torch.tensor([1e-3], dtype=torch.float64))
    optimization = Optimization([x], Training(steps=0, lbfgs_steps=5))
    losses = [optimization.step(lambda: {"loss": 1e3 * x.square().sum()}) for _ in range(5)]
    assert losses[1]["loss"] < 0.5 * losses[0]["loss"]
    assert abs(x.item()) < 1e-6


def test_adam_alone_does_not_reach_it() -> None:
    x, minimum, losses = quadratic()
    optimization = Optimization([x], Training(steps=60))
    for _ in range(60):
        optimization.step(losses)
    assert (x.detach() - minimum).norm() > 1e-2 * minimum.norm()


def test_adam_hands_over_to_l_bfgs_after_its_steps() -> None:
    x, minimum, losses = quadratic()
    optimization = Optimization([x], Training(steps=5, lbfgs_steps=60, lr=1e-3))
    for _ in range(5):
        before = x.detach().clone()
        optimization.step(losses)
        assert (x.detach() - before).abs().max() <= 1.1e-3  # Adam's steps are of the size lr
    for _ in range(60):
        optimization.step(losses)
    torch.testing.assert_close(x.detach(), minimum, rtol=1e-6, atol=1e-6)
    assert optimization.steps_done == 65


def test_l_bfgs_terms_are_those_before_the_step() -> None:
    x, _, losses = quadratic()
    optimization = Optimization([x], Training(steps=0, lbfgs_steps=3))
    for _ in range(3):
        before = losses()["loss"].item()
        assert optimization.step(losses)["loss"].item() == before


@pytest.mark.parametrize("at", [1, 4, 5, 6, 12])
def test_a_copy_of_the_state_continues_bitwise(at: int) -> None:
    training = Training(steps=5, lbfgs_steps=10, lr=0.01, schedule="cosine")
    net, losses = regression()
    optimization = Optimization(list(net.parameters()), training)
    for _ in range(at):
        optimization.step(losses)
    weights = copy.deepcopy(net.state_dict())
    state = copy.deepcopy(optimization.state_dict())
    rest = [optimization.step(losses)["loss"].item() for _ in range(15 - at)]

    other, other_losses = regression()
    other.load_state_dict(weights)
    continued = Optimization(list(other.parameters()), training)
    continued.load_state_dict(state)
    assert continued.steps_done == at
    again = [continued.step(other_losses)["loss"].item() for _ in range(15 - at)]
    assert again == rest
    for mine, same in zip(net.parameters(), other.parameters(), strict=True):
        assert torch.equal(mine, same)


def test_schedules() -> None:
    assert tuple(SCHEDULES) == SCHEDULE_NAMES
    assert [SCHEDULES["constant"](p) for p in (0.0, 0.5, 1.0)] == [1.0, 1.0, 1.0]
    decay = [SCHEDULES["stable-decay"](p) for p in (0.0, 0.5, 0.8, 0.9, 1.0)]
    assert decay == pytest.approx([1.0, 1.0, 1.0, 0.5, 0.0])
    warm = [SCHEDULES["warmup-stable-decay"](p) for p in (0.0, 0.025, 0.05, 0.5, 0.8, 0.9, 1.0)]
    assert warm == pytest.approx([0.01, 0.505, 1.0, 1.0, 1.0, 0.5, 0.0])
    assert [SCHEDULES["cosine"](p) for p in (0.0, 0.5, 1.0)] == pytest.approx([1.0, 0.5, 0.0])
    assert SCHEDULES["cosine"](0.25) == pytest.approx((1 + math.sqrt(0.5)) / 2)
    assert [SCHEDULES["exponential"](p) for p in (0.0, 0.5, 1.0)] == pytest.approx([1.0, 0.1, 0.01])


@pytest.mark.parametrize("schedule", SCHEDULE_NAMES)
def test_the_schedule_is_the_size_of_adams_steps(schedule: str) -> None:
    """On a linear loss Adam's step is exactly lr × factor."""
    x = nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimization = Optimization([x], Training(steps=10, lr=0.5, schedule=schedule))
    for step in range(10):
        before = x.item()
        optimization.step(lambda: {"loss": 1e3 * x.sum()})
        assert before - x.item() == pytest.approx(0.5 * SCHEDULES[schedule](step / 10), rel=1e-6)


# --- several at once ----------------------------------------------------------------------------

STEPS = 14
JOINT = Training(steps=STEPS, lr=0.02, schedule="cosine", eps=1e-6, weight_decay=0.1)


class Part:
    """A regression of its own, as one of several."""

    def __init__(self, seed: int, training: Training = JOINT) -> None:
        self.net, self.losses = regression()
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in self.net.parameters():
                parameter.add_(torch.randn(parameter.shape, generator=generator).double())
        self.optimization = Optimization(list(self.net.parameters()), training)

    def gradients(self) -> list[Tensor]:
        return list(torch.autograd.grad(self.losses()["loss"], list(self.net.parameters())))

    def step(self) -> None:
        self.optimization.step(self.losses)

    def weights(self) -> list[Tensor]:
        return [parameter.detach().clone() for parameter in self.net.parameters()]

    def copy_of(self, other: Part) -> None:
        """Go on from another's state, as from a checkpoint."""
        self.net.load_state_dict(copy.deepcopy(other.net.state_dict()))
        self.optimization.load_state_dict(copy.deepcopy(other.optimization.state_dict()))


def parts(count: int = 3, training: Training = JOINT) -> list[Part]:
    return [Part(seed, training) for seed in range(count)]


def joint_steps(together: list[Part], steps: int, joint: JointOptimization | None = None) -> None:
    joint = joint or JointOptimization([part.optimization for part in together])
    for _ in range(steps):
        joint.step([gradient for part in together for gradient in part.gradients()])


def assert_same(mine: list[Part], other: list[Part]) -> None:
    """Bitwise."""
    for one, same in zip(mine, other, strict=True):
        assert one.optimization.steps_done == same.optimization.steps_done
        for a, b in zip(one.weights(), same.weights(), strict=True):
            assert torch.equal(a, b)


@pytest.mark.parametrize("schedule", SCHEDULE_NAMES)
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_joint_steps_are_bitwise_those_of_each_alone(schedule: str, weight_decay: float) -> None:
    training = Training(steps=STEPS, lr=0.02, schedule=schedule, weight_decay=weight_decay)
    together, alone = parts(training=training), parts(training=training)
    joint = JointOptimization([part.optimization for part in together])
    for _ in range(STEPS):
        joint_steps(together, 1, joint)
        for part in alone:
            part.step()
        assert_same(together, alone)


def test_a_part_goes_on_alone() -> None:
    together, alone = parts(), parts()
    joint_steps(together, 6)
    lone = Part(7)
    lone.copy_of(together[1])
    for _ in range(STEPS - 6):
        lone.step()
    for _ in range(STEPS):
        alone[1].step()
    assert_same([lone], [alone[1]])


def test_lone_ones_go_on_together() -> None:
    alone, together = parts(), [Part(seed) for seed in (7, 8, 9)]
    for part in alone:
        for _ in range(6):
            part.step()
    for own, part in zip(together, alone, strict=True):
        own.copy_of(part)
    joint_steps(together, STEPS - 6)
    for part in alone:
        for _ in range(STEPS - 6):
            part.step()
    assert_same(together, alone)


def test_a_part_that_loads_a_state_between_joint_steps_goes_on_from_it() -> None:
    """All of them go back to where they were, with what joined them."""
    together, kept = parts(), parts()
    joint = JointOptimization([part.optimization for part in together])
    joint_steps(together, 4, joint)
    for own, part in zip(kept, together, strict=True):
        own.copy_of(part)
    joint_steps(together, 5, joint)
    for own, part in zip(together, kept, strict=True):
        own.copy_of(part)
    joint_steps(together, STEPS - 4, joint)
    joint_steps(kept, STEPS - 4)
    assert_same(together, kept)


def test_a_part_may_leave() -> None:
    """The others are joined anew, and go on as if nothing had happened."""
    together, alone = parts(), parts()
    joint_steps(together, 5)
    joint_steps(together[1:], STEPS - 5)
    for part in alone:
        for _ in range(STEPS if part is not alone[0] else 5):
            part.step()
    assert_same(together, alone)
