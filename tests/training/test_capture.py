"""A captured function: the same results, from where its memory lies, at every call."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from cuda_graph_stand_in import Device, stand_in
from torch import Tensor

from bench.training.capture import NotCaptured, can_capture, capture


@pytest.fixture
def device() -> Iterator[Device]:
    with stand_in() as found:
        yield found


def gradient(x: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    """A loss and its gradient."""
    with torch.enable_grad():
        w = w.detach().requires_grad_()
        loss = torch.tanh(x @ w).square().mean()
        (found,) = torch.autograd.grad(loss, w)
    return loss.detach(), found


def numbers(seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(
        torch.randn(shape, generator=generator, dtype=torch.float64) for shape in ((7, 3), (3, 2))
    )


def test_each_call_computes_on_what_it_is_given(device: Device) -> None:
    captured = capture(gradient, *numbers(0))
    for seed in (1, 2, 1):
        for found, wanted in zip(captured(*numbers(seed)), gradient(*numbers(seed)), strict=True):
            torch.testing.assert_close(found, wanted, rtol=1e-14, atol=0)
    assert [graph.replays for graph in device.graphs] == [3]


def test_results_that_were_given_out_stay(device: Device) -> None:
    captured = capture(gradient, *numbers(0))
    first = captured(*numbers(1))
    kept = [tensor.clone() for tensor in first]
    captured(*numbers(2))
    assert all(torch.equal(a, b) for a, b in zip(first, kept, strict=True))


def test_arguments_are_left_alone(device: Device) -> None:
    examples, later = numbers(0), numbers(1)
    captured = capture(gradient, *examples)
    captured(*later)
    for mine, wanted in zip((*examples, *later), (*numbers(0), *numbers(1)), strict=True):
        assert torch.equal(mine, wanted)


def test_what_is_written_into_the_buffers_is_not_copied(device: Device) -> None:
    captured = capture(gradient, *numbers(0))
    wanted = captured(*numbers(1))
    for buffer, value in zip(captured.buffers, numbers(1), strict=True):
        buffer.copy_(value)
    copied: list[Tensor] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "_foreach_copy_", lambda targets, _: copied.extend(targets))
        found = captured(*captured.buffers)
        assert torch.equal(found[1], wanted[1]) and not copied
        captured(numbers(1)[0], captured.buffers[1])
    assert len(copied) == 1 and copied[0] is captured.buffers[0]


def test_what_a_function_refers_to_is_read_where_it_lies(device: Device) -> None:
    x, w = numbers(0)
    captured = capture(lambda: gradient(x, w))
    w.mul_(3)
    torch.testing.assert_close(captured(), gradient(x, 1.0 * w), rtol=1e-14, atol=0)


def test_other_graphs_of_a_pool_write_over_no_result(device: Device) -> None:
    small, large = numbers(0), tuple(torch.cat([part, part]) for part in (numbers(0)[0],))
    one = capture(gradient, *small, pool="shared")
    other = capture(gradient, large[0], small[1], pool="shared")
    found = one(*small)
    other(large[0], small[1])
    torch.testing.assert_close(found, gradient(*small), rtol=1e-14, atol=0)
    torch.testing.assert_close(one(*small), gradient(*small), rtol=1e-14, atol=0)


def test_what_is_changed_in_place_is_changed_once_a_call(device: Device) -> None:
    mean = torch.zeros(3, dtype=torch.float64)

    def moving(x: Tensor) -> tuple[Tensor]:
        mean.lerp_(x.mean(0), 0.5)
        return (mean.square().sum(),)

    x, _ = numbers(0)
    captured = capture(moving, x, changed=[mean])
    assert torch.equal(mean, torch.zeros_like(mean))
    captured(x)
    torch.testing.assert_close(mean, 0.5 * x.mean(0), rtol=1e-14, atol=0)
    captured(x)
    torch.testing.assert_close(mean, 0.75 * x.mean(0), rtol=1e-14, atol=0)


def test_a_function_that_asks_for_a_value_says_so_and_leaves_no_stream(device: Device) -> None:
    before = torch.cuda.current_stream()
    x, w = numbers(0)
    changed = torch.ones(2)

    def branching(x: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
        changed.add_(1)
        return gradient(x, w) if float(x.sum()) < 1e9 else gradient(2 * x, w)

    with pytest.raises(NotCaptured, match=r"RuntimeError: operation not permitted .* capturing"):
        capture(branching, x, w, changed=[changed])
    assert torch.cuda.current_stream() is before
    assert torch.equal(changed, torch.ones(2))
    assert not device.graphs


def test_arguments_of_another_kind_are_refused(device: Device) -> None:
    x, w = numbers(0)
    captured = capture(gradient, x, w)
    for other in (x[:5], x.float(), x.mT.contiguous().mT):
        with pytest.raises(ValueError, match="captured for"):
            captured(other, w)
    with pytest.raises(ValueError, match="zip"):
        captured(x)


def test_only_a_cuda_device_captures() -> None:
    assert can_capture(torch.device("cuda", 1)) and not can_capture(torch.device("cpu"))


@pytest.mark.gpu
def test_on_the_device_too() -> None:
    where = torch.device("cuda")
    x, w = (tensor.to(where) for tensor in numbers(0))
    mean = torch.zeros(3, dtype=torch.float64, device=where)

    def function(x: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
        mean.lerp_(x.mean(0), 0.5)
        return gradient(x, w)

    captured = capture(function, x, w, changed=[mean])
    assert not bool(mean.any())
    first = captured(x, w)
    kept = [tensor.clone() for tensor in first]
    second = captured(2 * x, w)
    torch.testing.assert_close(first, tuple(kept), rtol=0, atol=0)
    torch.testing.assert_close(second, gradient(2 * x, w), rtol=1e-12, atol=0)
    with pytest.raises(NotCaptured):
        capture(lambda: (x * float(x.sum()),))
    torch.testing.assert_close(captured(x, w), gradient(x, w), rtol=1e-12, atol=0)
