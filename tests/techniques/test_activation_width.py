"""Activations that take the width, that are built late, and that share what they train."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from bench.arm import Arm
from bench.techniques.activation import make_activation, make_activations
from bench.techniques.featurewise import of_one_feature
from bench.techniques.pre_activations import by_mean_field
from bench.techniques.sites import acts_by_feature, find_sites
from bench.text.errors import BadInput

OwnModule = Callable[[str, str], None]

OWN = """
import functools
import torch
from torch import nn
from torch.nn.modules.lazy import LazyModuleMixin

class Scaled(nn.Module):
    def __init__(self, {name}):
        super().__init__()
        self.a = nn.Parameter(torch.ones({name}))
    def forward(self, x):
        return torch.tanh(self.a * x)

class Lazy(LazyModuleMixin, nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.UninitializedParameter()
    def initialize_parameters(self, x):
        if self.has_uninitialized_params():
            self.a.materialize(x.shape[-1:])
            nn.init.ones_(self.a)
    def forward(self, x):
        return torch.tanh(self.a * x)

def with_default(width=4): return Scaled(width)
def of_a_tensor(features): return torch.tanh(features)
def of_a_size(size): return torch.zeros(size)
cached = functools.cache(Scaled)
"""


@pytest.fixture
def own(own_module: OwnModule) -> str:
    own_module("own_wide", OWN.format(name="width"))
    return "own_wide"


@pytest.mark.parametrize("name", ["width", "num_features", "num_parameters", "dim", "size"])
def test_one_whose_argument_is_the_width_gets_it(own_module: OwnModule, name: str) -> None:
    own_module(f"own_by_{name}", OWN.format(name=name))
    module = make_activation(f"own_by_{name}:Scaled", 6)
    assert [tuple(p.shape) for p in module.parameters()] == [(6,)]
    Arm.parse(f"activation=own_by_{name}:Scaled").check_own()


@pytest.mark.parametrize("name", ["Scaled", "Lazy", "cached"])
def test_each_place_has_its_own_width(own: str, name: str) -> None:
    modules = make_activations(f"{own}:{name}", [3, 7, 1])
    assert [m(torch.zeros(2, k)).shape[-1] for m, k in zip(modules, (3, 7, 1), strict=True)]
    assert [sum(p.numel() for p in m.parameters()) for m in modules] == [3, 7, 1]


def test_an_argument_that_need_not_be_given_is_not(own: str) -> None:
    assert [p.numel() for p in make_activation(f"{own}:with_default", 4).parameters()] == [4]
    with pytest.raises(RuntimeError):  # what it was made for is not what it gets
        make_activation(f"{own}:with_default", 6)


@pytest.mark.parametrize("name", ["Scaled", "Lazy"])
def test_where_there_are_several_widths_it_is_refused(own: str, name: str) -> None:
    with pytest.raises(BadInput, match="tensors of several widths"):
        make_activation(f"{own}:{name}", None)
    assert isinstance(make_activation("faults.activations:Snake", None), nn.Module)


@pytest.mark.parametrize("name", ["of_a_tensor", "of_a_size"])
def test_a_function_of_a_tensor_is_none_of_a_width(own: str, name: str) -> None:
    with pytest.raises(BadInput, match="is a function of a tensor, and must be what makes"):
        make_activation(f"{own}:{name}", 4)


def test_one_module_for_all_places_is_tied_there_and_nowhere_else() -> None:
    from faults import activations

    token = "faults.activations:one_module"
    before = activations._MODULE.a.detach().clone()
    first, second = (make_activations(token, [4, 4]) for _ in range(2))
    assert first[0].a is first[1].a and first[0].a is not second[0].a
    with torch.no_grad():
        first[0].a.add_(1)
    assert torch.equal(activations._MODULE.a, before)
    assert torch.equal(make_activation(token, 4).a, before)


def test_a_wide_activation_is_a_site_and_a_wide_scale_is_none() -> None:
    """A norm's scale by feature is affine, and stays what stands before the activation."""

    class Scale(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight, self.bias = nn.Parameter(torch.ones(6)), nn.Parameter(torch.zeros(6))

        def forward(self, x: Tensor) -> Tensor:
            return x * self.weight + self.bias

    activation = make_activation("faults.activations:PerNeuron", 6)
    assert acts_by_feature(activation, 6) and not acts_by_feature(activation, 5)
    assert not acts_by_feature(Scale(), 6) and not acts_by_feature(nn.LayerNorm(6), 6)
    first = nn.Linear(2, 6)
    scale = Scale()
    net = nn.Sequential(first, scale, activation, nn.Linear(6, 1))
    with torch.no_grad():
        (site,) = find_sites([first, net[3]], lambda: net(torch.randn(20, 2)))
    assert site.activation is activation and site.norm is scale


def test_equal_neurons_follow_the_rule_of_one() -> None:
    wide = make_activation("faults.activations:PerNeuron", 6).double()
    one = make_activation("faults.activations:Snake").double()
    assert by_mean_field(of_one_feature(wide, 6), 3) == by_mean_field(one, 3)
    uneven = make_activation("faults.activations:Uneven", 6).double()
    with pytest.raises(BadInput, match="begin with different parameters, so no one mean"):
        of_one_feature(uneven, 6)
