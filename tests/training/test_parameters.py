"""A network's parameters as one vector."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from bench.training.ownership import UnownedParameter, check_owned
from bench.training.parameters import FlatParameters


class Net(nn.Module):
    """With parameters of no, one and two axes, and a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(2, 3), nn.Linear(3, 1, bias=False)
        self.slope = nn.Parameter(torch.rand(()))
        self.register_buffer("shift", torch.ones(3))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.second(torch.tanh(self.slope * self.first(x)) + self.shift)
        return y


@pytest.fixture
def net() -> Net:
    torch.manual_seed(0)
    return Net().double()


def named(net: nn.Module) -> dict[str, Tensor]:
    return {name: parameter.detach().clone() for name, parameter in net.named_parameters()}


def assert_views(flat: FlatParameters, net: nn.Module) -> None:
    """The network is what the vector says, before and after it is moved."""
    for _ in range(2):
        for name, part in flat.split(flat.vector.detach()).items():
            assert torch.equal(part, net.get_parameter(name)), name
        with torch.no_grad():
            flat.vector.add_(1.5)


def test_moving_changes_no_value_and_no_name(net: Net) -> None:
    before, kept = named(net), list(net.parameters())
    flat = FlatParameters(net)
    assert flat.vector.shape == (6 + 3 + 3 + 1,)
    after = named(net)
    assert list(after) == list(before)
    assert all(torch.equal(after[name], value) for name, value in before.items())
    for mine, other, parameter in zip(net.parameters(), flat.parameters, kept, strict=True):
        assert mine is other is parameter


def test_an_update_of_the_vector_moves_the_network(net: Net) -> None:
    flat, x = FlatParameters(net), torch.randn(5, 2).double()
    assert_views(flat, net)
    before = net(x)
    flat.vector.grad = torch.ones_like(flat.vector)
    torch.optim.SGD([flat.vector], lr=0.1).step()
    assert not torch.equal(net(x), before)
    assert_views(flat, net)


def test_an_update_of_a_parameter_moves_the_vector(net: Net) -> None:
    flat = FlatParameters(net)
    with torch.no_grad():
        net.second.weight.fill_(7.0)
    assert int((flat.vector == 7).sum()) == 3


def test_loaded_weights_are_in_the_vector(net: Net) -> None:
    flat, other = FlatParameters(net), Net().double()
    net.load_state_dict(other.state_dict())
    assert torch.equal(flat.vector, flat.join(list(other.parameters())))
    assert_views(flat, net)


def test_a_copy_of_the_weights_is_one(net: Net) -> None:
    """What a checkpoint keeps can be loaded into a network that has no vector."""
    flat = FlatParameters(net)
    state = {name: value.clone() for name, value in net.state_dict().items()}
    with torch.no_grad():
        flat.vector.zero_()
    other = Net().double()
    other.load_state_dict(state)
    assert all(bool(parameter.any()) for parameter in other.parameters())


@pytest.mark.parametrize("lead", [(), (4,), (2, 3)])
def test_join_is_the_opposite_of_split(net: Net, lead: tuple[int, ...]) -> None:
    flat = FlatParameters(net)
    vector = torch.randn(*lead, flat.vector.numel())
    parts = flat.split(vector)
    shapes = {name: tuple(part.shape) for name, part in parts.items()}
    assert shapes == {name: (*lead, *value.shape) for name, value in named(net).items()}
    assert torch.equal(flat.join(list(parts.values())), vector)


def test_split_gives_views_and_join_a_tensor_of_its_own(net: Net) -> None:
    flat = FlatParameters(net)
    vector = torch.zeros(2, flat.vector.numel())
    flat.split(vector)["slope"][1] = 3.0
    assert float(vector.sum()) == 3.0
    joined = flat.join(list(flat.split(vector).values()))
    joined.zero_()
    assert float(vector.sum()) == 3.0


def test_the_slices_of_a_stack_are_networks_of_their_own(net: Net) -> None:
    nets = [net, Net().double()]
    values = [named(own) for own in nets]
    flats = [FlatParameters(own) for own in nets]
    stack = torch.stack([flat.vector.detach() for flat in flats])
    for flat, row in zip(flats, stack, strict=True):
        flat.move_to(row)
    for own, wanted in zip(nets, values, strict=True):
        assert all(torch.equal(value, wanted[name]) for name, value in named(own).items())
    with torch.no_grad():
        stack[1].zero_()
    assert not any(bool(parameter.any()) for parameter in nets[1].parameters())
    assert all(torch.equal(value, values[0][name]) for name, value in named(nets[0]).items())
    for flat, own in zip(flats, nets, strict=True):
        assert_views(flat, own)


def test_the_vector_itself_is_moved(net: Net) -> None:
    flat = FlatParameters(net)
    vector = flat.vector
    target = vector.detach().clone()
    flat.move_to(target)
    assert flat.vector is vector
    target.fill_(2.0)
    assert bool((flat.vector == 2).all()) and bool((net.first.bias == 2).all())


def test_gradients_of_the_network_are_the_parameters_own(net: Net) -> None:
    flat = FlatParameters(net)
    net(torch.randn(5, 2).double()).sum().backward()
    gradient = flat.join([p.grad for p in flat.parameters if p.grad is not None])
    assert gradient.shape == flat.vector.shape and not gradient.requires_grad


def test_it_holds_what_an_update_of_the_vector_reaches(net: Net) -> None:
    flat = FlatParameters(net)
    assert all(flat.holds(parameter) for parameter in net.parameters())
    assert not flat.holds(nn.Parameter(net.slope.detach()))
    flat.move_to(flat.vector.detach().clone())
    check_owned(net, flat)
    net.slope.data = net.slope.data.clamp(0, 1)
    assert not flat.holds(net.slope)
    with pytest.raises(UnownedParameter, match=r"'slope' \(of Net\).*in place"):
        check_owned(net, flat)
