"""What diagnoses of both suites are made of."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from bench.training.gradients import eps_warning, gradient_rms, rms, training_mode


def normalized() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1)).double()


def data() -> torch.Tensor:
    return torch.randn(16, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_training_mode_is_that_of_batch_norm_and_leaves_no_trace() -> None:
    net, x = normalized().eval(), data()
    evaluated = net(x)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with training_mode(net):
        trained = net(x)
        assert net.training and net[1].training
        assert not torch.equal(net[1].running_mean, before["1.running_mean"])
        assert int(net[1].num_batches_tracked) == 1
    assert not torch.allclose(trained, evaluated)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_the_buffers_are_restored_after_an_error() -> None:
    net = normalized()
    with pytest.raises(RuntimeError, match="mine"), training_mode(net):
        net(data())
        raise RuntimeError("mine")
    assert int(net[1].num_batches_tracked) == 0
    assert torch.equal(net[1].running_mean, torch.zeros(4, dtype=torch.float64))


def test_gradients_are_those_of_backward_and_nothing_accumulates() -> None:
    net, x = normalized(), data()
    layers = {"first": net[0].weight, "last": net[2].weight}
    total, of_layers = gradient_rms(net(x).square().mean(), list(net.parameters()), layers)
    assert all(parameter.grad is None for parameter in net.parameters())
    net(x).square().mean().backward()
    flat = torch.cat([parameter.grad.flatten() for parameter in net.parameters()])
    assert total == pytest.approx(math.sqrt(float((flat**2).mean())), rel=1e-12)
    assert of_layers["last"] == pytest.approx(rms(net[2].weight.grad), rel=1e-12)
    # In front of batch norm a gradient is not 0 for the weight, and is for the bias.
    assert of_layers["first"] > 0


def test_what_the_loss_does_not_depend_on_counts_as_zero() -> None:
    used, unused = (nn.Parameter(torch.full((2,), 3.0)) for _ in range(2))
    loss = used.square().sum()
    total, of_layers = gradient_rms(loss, [used, unused], {"used": used, "unused": unused})
    assert of_layers == {"used": 6.0, "unused": 0.0}
    assert total == pytest.approx(6 / math.sqrt(2))


def test_small_float32_gradients_do_not_underflow() -> None:
    """A square of 1e-25 is none of float32's numbers."""
    assert rms(torch.full((5,), 1e-25)) == pytest.approx(1e-25, rel=1e-5)


@pytest.mark.parametrize(
    ("gradient", "eps", "warned"),
    [
        (5e-8, 1e-8, True),
        (9.9e-8, 1e-8, True),
        (1.1e-7, 1e-8, False),
        (3e-2, 1e-8, False),
        (3e-2, 1.0, True),
        (5e-8, 1e-20, False),
        # No gradient at all is another matter than a small one.
        (0.0, 1e-8, False),
        (math.nan, 1e-8, False),
    ],
)
def test_eps_dominates_gradients_less_than_ten_times_as_large(
    gradient: float, eps: float, warned: bool
) -> None:
    found = eps_warning(gradient, eps)
    assert len(found) == warned
    assert all("--eps" in text and f"{eps:g}" in text for text in found)
