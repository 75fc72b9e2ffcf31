"""Pointwise batch norm as a layer: whose statistics it uses, and when."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bench.techniques.norm_layers import (
    PointwiseBatchNorm,
    measuring,
    pointwise_norms,
    statistics_of,
)
from bench.techniques.normalization import make_normalization

ROWS, FEATURES = 7, 4


@pytest.fixture
def layer() -> PointwiseBatchNorm:
    made = make_normalization("pointwise-batchnorm", FEATURES)
    assert isinstance(made, PointwiseBatchNorm) and made.training
    return made.double()


def batch(seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 3 + 2 * torch.randn(ROWS, FEATURES, generator=generator, dtype=torch.float64)


def test_alone_in_training_it_is_refused_and_not_detached(layer: PointwiseBatchNorm) -> None:
    with pytest.raises(RuntimeError, match="statistics of all training rows"):
        layer(batch())


def test_measured_it_is_batch_norm(layer: PointwiseBatchNorm) -> None:
    x = batch()
    with measuring([layer]):
        found = layer(x)
        layer.keep()
    torch.testing.assert_close(found, nn.BatchNorm1d(FEATURES).double()(x), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(layer.mean, x.mean(0))
    torch.testing.assert_close(layer.var, x.var(0, correction=0))
    # In evaluation each row alone is what it was among the others.
    torch.testing.assert_close(layer.eval()(x[:1]), found[:1], rtol=1e-12, atol=1e-12)


def test_other_rows_are_normalised_by_the_statistics_of_the_pass(layer: PointwiseBatchNorm) -> None:
    rows, x = batch(), batch(1)
    with statistics_of([layer], lambda: layer(rows)):
        found = layer(x)
    wanted = (x - rows.mean(0)) * torch.rsqrt(rows.var(0, correction=0) + layer.eps)
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)
    with pytest.raises(RuntimeError):
        layer(x)  # they are of that body alone


def test_a_failure_leaves_no_statistics_behind(layer: PointwiseBatchNorm) -> None:
    def fail() -> None:
        layer(batch())
        raise ValueError

    with pytest.raises(ValueError), statistics_of([layer], fail):
        pass
    assert layer.statistics is None and not layer.measuring


def test_the_layers_of_a_network_are_found() -> None:
    net = nn.Sequential(
        nn.Linear(2, 3), PointwiseBatchNorm(3), nn.Sequential(PointwiseBatchNorm(3))
    )
    assert pointwise_norms(net) == [net[1], net[2][0]]
