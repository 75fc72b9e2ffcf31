"""Networks of the paper start, layer by layer, as the published code does."""

from __future__ import annotations

import math
import re

import pytest
import torch
from molecular_specs import task
from torch import nn

from bench.techniques.networks import drawing_modules
from suites.molecular.models.catalogue import ARCHITECTURES, Size, parse_model
from suites.molecular.models.potential import build_potential
from suites.molecular.models.starts import STARTS, Law, Start

#: Wide enough that a deviation of few layers is known to some per cent.
WIDE = {
    "schnet": Size(128, 2, 40, 5.0, 96),
    "cgcnn": Size(128, 2, 40, 5.0),
    "forcenet": Size(128, 2, 40, 5.0),
    "dimenet++": Size(128, 1, 6, 5.0),
}


def potential(name: str, seed: int = 0) -> nn.Module:
    model = parse_model(name, WIDE[name], "no-offset")
    choices = model.choices
    with drawing_modules(seed):
        return build_potential(
            model, choices["activation"], choices["normalization"], "published", torch.float64
        )


def layers(net: nn.Module) -> dict[str, dict[str, nn.Parameter]]:
    """Paths of modules with parameters of their own, and these."""
    found = {
        path: dict(module.named_parameters(recurse=False)) for path, module in net.named_modules()
    }
    return {path: own for path, own in found.items() if own and not own.keys() & {"freq"}}


def start_of(name: str, path: str) -> Start:
    (start,) = [one for one in STARTS[name] if re.fullmatch(one.layers, path)]
    return start


def expect(law: Law, entries: torch.Tensor, n_in: int, n_out: int) -> None:
    deviation, values = law.deviation(n_in, n_out), entries.detach().flatten()
    if law.shape == "constant":
        assert bool((values == law.mean).all())
        return
    # Five standard errors of the deviation: of a uniform law they are smaller.
    tolerance = 5 / math.sqrt(2 * len(values))
    assert float(values.square().mean().sqrt()) == pytest.approx(deviation, rel=tolerance)
    assert abs(float(values.mean())) < 5 * deviation / math.sqrt(len(values))
    largest = float(values.abs().max()) / deviation
    if law.shape == "uniform":
        # Float32 made the bounds.
        assert largest <= math.sqrt(3) * (1 + 1e-6)
        assert largest > math.sqrt(3) * (1 - 10 / len(values))
    else:
        assert len(values) < 500 or largest > 2
    if law.shape == "orthogonal" and min(entries.shape) > 1:
        rows = entries if entries.shape[0] <= entries.shape[1] else entries.T
        gram = (rows @ rows.T) / rows.square().sum(1).mean()
        torch.testing.assert_close(gram, torch.eye(len(rows), dtype=gram.dtype), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", STARTS)
def test_layers_start_as_published(name: str) -> None:
    found = layers(potential(name))
    for path, own in found.items():
        start = start_of(name, path)
        weight = own.get("weight", own.get("self_weight"))
        n_out, n_in = weight.shape if weight.ndim == 2 else (1, 1)
        expect(start.weight, weight, n_in, n_out)
        assert (start.bias is not None) == ("bias" in own), path
        if start.bias is not None:
            expect(start.bias, own["bias"], n_in, n_out)
    matched = {start_of(name, path).layers for path in found}
    assert matched == {start.layers for start in STARTS[name]}


@pytest.mark.parametrize(("name", "layer"), [("cgcnn", "hidden.0"), ("forcenet", "network.linear")])
def test_the_read_outs_start_with_torch_s_biases(name: str, layer: str) -> None:
    """Glorot's start has none: a mean force error of 45 and not of 14 in the paper's own cell."""
    found = layers(potential(name))[f"output_modules.0.{layer}"]
    assert bool((found["bias"] != 0).all())


def test_an_arm_without_an_initialisation_starts_so_and_one_with_does_not() -> None:
    biases = {
        arm: task("cgcnn:16x1", arm).net.output_modules[0].linear.bias.item()
        for arm in ("baseline", "denorm", "glorot")
    }
    assert biases["baseline"] == biases["denorm"] != 0
    assert biases["glorot"] == 0


@pytest.mark.parametrize("name", ["cgcnn", "forcenet"])
def test_models_of_before_are_others(name: str) -> None:
    assert ARCHITECTURES[name].version == 2
