"""Normalisations: the contract, what frozen statistics are, and torch's own layers."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from bench.techniques.norm_layers import FrozenBatchNorm, measure_frozen_statistics
from bench.techniques.normalization import NORMALIZATIONS, make_normalization
from bench.testing import normalization_contract
from bench.text.errors import BadInput

ROWS, FEATURES = 7, 4

TestPointwise = normalization_contract("denorm", "layernorm", "frozenbn")
TestCoupled = normalization_contract("batchnorm", coupled=True)


@pytest.fixture
def batch() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    spread = torch.tensor([0.1, 1.0, 30.0, 2.0])
    return 3 + spread * torch.randn(ROWS, FEATURES, generator=generator)


def measured(batch: Tensor) -> FrozenBatchNorm:
    layer = FrozenBatchNorm(FEATURES)
    measure_frozen_statistics(layer, lambda: layer(batch))
    return layer


def test_frozen_batch_norm_equals_batch_norm_on_the_batch_it_was_measured_on(
    batch: Tensor,
) -> None:
    reference = nn.BatchNorm1d(FEATURES)
    torch.testing.assert_close(measured(batch)(batch), reference(batch), rtol=1e-5, atol=1e-5)


def test_frozen_statistics_are_those_of_the_batch(batch: Tensor) -> None:
    layer = measured(batch)
    torch.testing.assert_close(layer.mean, batch.mean(0))
    torch.testing.assert_close(layer.var, batch.var(0, correction=0))


def test_before_measurement_it_is_nearly_the_identity(batch: Tensor) -> None:
    torch.testing.assert_close(FrozenBatchNorm(FEATURES)(batch), batch, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("training", [True, False])
def test_other_batches_do_not_change_the_statistics(batch: Tensor, training: bool) -> None:
    layer = measured(batch).train(training)
    before = {key: value.clone() for key, value in layer.state_dict().items()}
    other = layer(10 * batch + 5)
    after = layer.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)
    torch.testing.assert_close(
        other, (10 * batch + 5 - batch.mean(0)) / (batch.var(0, correction=0) + 1e-5).sqrt()
    )


def test_the_statistics_are_in_the_state(batch: Tensor) -> None:
    layer = measured(batch)
    assert {"mean", "var", "weight", "bias"} <= layer.state_dict().keys()
    loaded = FrozenBatchNorm(FEATURES)
    loaded.load_state_dict(layer.state_dict())
    assert torch.equal(loaded(batch), layer(batch))


def test_only_the_affine_part_is_trained(batch: Tensor) -> None:
    layer = measured(batch)
    assert {name for name, _ in layer.named_parameters()} == {"weight", "bias"}
    mean, var = layer.mean.clone(), layer.var.clone()
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    (layer(batch) ** 3).sum().backward()
    optimizer.step()
    assert (layer.weight != 1).all() and (layer.bias != 0).any()
    assert torch.equal(layer.mean, mean) and torch.equal(layer.var, var)


def test_stacked_layers_are_measured_each_on_the_output_of_the_one_before(batch: Tensor) -> None:
    model = nn.Sequential(
        FrozenBatchNorm(FEATURES),
        nn.Tanh(),
        nn.Linear(FEATURES, FEATURES),
        FrozenBatchNorm(FEATURES),
    )
    measure_frozen_statistics(model, lambda: model(batch))
    output = model(batch)
    torch.testing.assert_close(output.mean(0), torch.zeros(FEATURES), atol=1e-5, rtol=0)
    torch.testing.assert_close(output.var(0, correction=0), torch.ones(FEATURES), atol=1e-3, rtol=0)


def test_measuring_ends_even_after_an_error(batch: Tensor) -> None:
    layer = FrozenBatchNorm(FEATURES)

    def failing() -> None:
        raise RuntimeError("no data")

    with pytest.raises(RuntimeError):
        measure_frozen_statistics(layer, failing)
    layer(batch)
    assert torch.equal(layer.mean, torch.zeros(FEATURES))


def test_a_model_without_frozen_layers_is_not_even_run() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    runs: list[int] = []
    measure_frozen_statistics(model, lambda: runs.append(1))
    assert runs == []


def test_measuring_changes_nothing_but_the_statistics(batch: Tensor) -> None:
    model = nn.Sequential(nn.Linear(FEATURES, FEATURES), FrozenBatchNorm(FEATURES))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    measure_frozen_statistics(model, lambda: model(batch))
    changed = {key for key, value in model.state_dict().items() if not value.equal(before[key])}
    assert changed == {"1.mean", "1.var"}
    assert all(parameter.grad is None for parameter in model.parameters())


def test_the_trial_of_a_layer_leaves_no_trace(batch: Tensor) -> None:
    layer = make_normalization("batchnorm", FEATURES)
    layer(batch)
    assert layer.num_batches_tracked == 1


def test_denorm_is_the_identity(batch: Tensor) -> None:
    assert torch.equal(make_normalization("denorm", FEATURES)(batch), batch)


def test_no_choice_is_left_out_of_the_contract() -> None:
    under_contract = {"denorm", "layernorm", "frozenbn", "batchnorm"}
    # No layer by itself: see tests/techniques/test_pointwise_norm.py.
    assert set(NORMALIZATIONS.names()) == under_contract | {"pointwise-batchnorm"}


def test_an_unknown_normalization() -> None:
    with pytest.raises(BadInput, match="'batchnrm'; did you mean 'batchnorm'"):
        make_normalization("batchnrm", FEATURES)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    ("token", "kind"), [("layernorm", nn.LayerNorm), ("batchnorm", nn.BatchNorm1d)]
)
def test_layers_are_torchs_but_for_derivatives(
    batch: Tensor, token: str, kind: type[nn.Module], training: bool
) -> None:
    ours, theirs = make_normalization(token, FEATURES), kind(FEATURES)
    assert isinstance(ours, kind)
    for layer in (ours, theirs):
        layer.train(training)
        with torch.no_grad():
            layer.weight.copy_(torch.linspace(0.5, 2, FEATURES))
            layer.bias.copy_(torch.linspace(-1, 1, FEATURES))
    for scale in (1.0, 3.0):
        torch.testing.assert_close(ours(scale * batch), theirs(scale * batch))
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value)
