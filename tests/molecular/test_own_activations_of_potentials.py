"""A user's activation in a potential: each place has its width, and every parameter an owner."""

from __future__ import annotations

from pathlib import Path

import molecular_specs
import pytest
import torch

from suites.molecular.models.hooks import activation_sites

_FAULTS = "activation=faults.activations"
_MODELS = ("schnet:8x1", "painn:8x1", "so3net:8x1", "field-schnet:8x1", "cgcnn:8x1", "forcenet:8x1")


@pytest.mark.parametrize("model", _MODELS)
def test_each_place_gets_its_width_and_trains_it(model: str) -> None:
    task = molecular_specs.task(model, f"{_FAULTS}:PerNeuron", "--scope", "all")
    sites = activation_sites(task.net)
    before = {path: site.activation.a.detach().clone() for path, site in sites.items()}
    task.step()
    moved = [path for path in sites if not torch.equal(sites[path].activation.a, before[path])]
    assert sites and moved == list(sites)


def test_where_one_module_has_several_widths_the_run_says_so(tmp_path: Path) -> None:
    pytest.importorskip("torch_geometric")
    arm = f"{_FAULTS}:PerNeuron"
    record = molecular_specs.run(tmp_path / "all", "dimenet++:8x1", arm, "--scope", "all")
    assert record.status == "failed"
    assert "takes the width, and this network applies one module" in (record.reason or "")
    assert molecular_specs.run(tmp_path / "published", "dimenet++:8x1", arm).status == "done"


def test_a_frozen_parameter_is_no_reason_to_fail(tmp_path: Path) -> None:
    record = molecular_specs.run(tmp_path, "schnet:8x1", f"{_FAULTS}:Untrained")
    assert record.status == "done"
    assert not any("diagnosis failed" in warning for warning in record.warnings)


def test_a_parameter_that_no_optimiser_owns_ends_the_run(tmp_path: Path) -> None:
    record = molecular_specs.run(tmp_path, "schnet:8x1", f"{_FAULTS}:InTraining", "--steps", "150")
    assert record.status == "failed"
    assert "UnownedParameter: parameter 'representation." in (record.reason or "")


@pytest.mark.parametrize(
    ("model", "arm", "places"),
    [("schnet:8x1", "relu", "3 of 3"), ("cgcnn:8x1", "relu", "3 of 5"), ("schnet:8x1", "elu", "")],
)
def test_piecewise_linear_energies_are_told(model: str, arm: str, places: str) -> None:
    warnings = molecular_specs.task(model, arm).diagnose().warnings
    found = [one for one in warnings if "piecewise linear" in one]
    assert bool(found) == bool(places)
    assert all(f"activation ReLU is piecewise linear at {places} places" in one for one in found)
