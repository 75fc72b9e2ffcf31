"""What a potential's diagnosis finds: eps, collapse, coupled frames, hooks without effect."""

from __future__ import annotations

from pathlib import Path

import ase.io
import numpy as np
import pytest
import torch
from molecular_specs import alloys, task
from torch import nn

from suites.molecular import diagnosis
from suites.molecular.models.potential import predict_energies
from suites.molecular.task import MolecularTask


def warnings(built: MolecularTask, about: str) -> list[str]:
    return [text for text in built.diagnose().warnings if about in text]


def in_large_units(*arguments: str) -> MolecularTask:
    """A network that has learnt how small its labels are, and no more: raw energies and C = 1e6."""
    built = task("schnet:8x2", "rescale=1e6", *arguments, "--ema", "0", dtype="float32")
    energies = built.training.batch(np.arange(len(built.training)))["energy"]
    last = built.trace.linears[-1]
    with torch.no_grad():
        last.weight.div_(1e6)
        last.bias.fill_(energies.mean() / 9)  # atoms
    return built


def test_a_squared_loss_in_large_units_meets_adam_s_eps() -> None:
    built = in_large_units()
    (text,) = warnings(built, "Adam's eps")
    assert "--eps" in text
    assert 0 < built.diagnose().measurements["gradient_rms"] < 1e-7
    assert built.diagnose().measurements["adam_eps"] == 1e-8
    assert warnings(in_large_units("--eps", "1e-20"), "Adam's eps") == []


def test_the_paper_s_loss_does_not() -> None:
    built = in_large_units("--protocol", "paper")
    assert warnings(built, "Adam's eps") == []
    assert built.diagnose().measurements["gradient_rms"] > 1e-3


def test_the_gradient_is_that_of_the_loss() -> None:
    built = task("schnet:8x1", "baseline", "--n-train", "40", "--batch", "40")
    found = built.diagnose().measurements
    built.step()
    flat = built.parameters.vector.grad
    assert flat is not None
    gradients = built.parameters.split(flat)
    assert found["gradient_rms"] == pytest.approx(float(flat.square().mean().sqrt()), rel=1e-9)
    layers = found["layer_gradient_rms"]
    assert "output_modules.0.outnet.1" in layers
    for name, value in layers.items():
        weight = gradients[f"{name}.weight"]
        assert value == pytest.approx(float(weight.square().mean().sqrt()), rel=1e-9)


@pytest.mark.parametrize("factor", [0.0, 1e-9])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_forces_that_vanish_are_called_collapsed(dtype: str, factor: float) -> None:
    built = task("schnet:8x2", "baseline", "--ema", "0", dtype=dtype)
    assert built.diagnose().measurements["collapsed"] is False
    with torch.no_grad():
        built.trace.linears[-1].weight.mul_(factor)
    diagnosis = built.diagnose()
    assert diagnosis.measurements["collapsed"] is True
    assert diagnosis.measurements["force_spread"] < 1e-6
    (text,) = (text for text in diagnosis.warnings if text.startswith("collapsed"))
    assert "featurewise" in text
    assert not any("no better" in text for text in diagnosis.warnings)


def test_batch_norm_couples_frames_and_its_frozen_form_does_not() -> None:
    coupled = task("cgcnn:8x2")
    assert coupled.diagnose().measurements["frame_coupling"] > 0.01
    (text,) = warnings(coupled, "couples the frames")
    assert "frozenbn" in text
    for arm in ("frozenbn", "denorm"):
        apart = task("cgcnn:8x2", arm)
        assert not apart.diagnose().measurements["frame_coupling"], arm
        assert warnings(apart, "couples the frames") == []
    assert task("schnet:8x2").diagnose().measurements["frame_coupling"] is None


def test_what_a_hook_did_not_reach_is_said() -> None:
    (text,) = warnings(task("cgcnn:8x2", "irelu"), "only in the read-out")
    assert text.startswith("irelu")
    assert warnings(task("schnet:8x2", "irelu"), "only in the read-out") == []
    assert warnings(task("schnet:8x2"), "only in the read-out") == []


def test_scores_that_are_the_running_statistics_fault_are_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(diagnosis, "_MISMATCHED", 1.2)
    built = task("cgcnn:8x2", "baseline", "--ema", "0")
    for _ in range(3):
        built.step()
    with torch.no_grad():
        built.trace.linears[-1].weight.mul_(1e5)  # so that an error is the prediction's
    assert warnings(built, "other statistics") == []
    norms = [module for module in built.net.modules() if isinstance(module, nn.BatchNorm1d)]
    for norm in norms:
        norm.running_var.div_(1e4)  # the weights, and so the scores as in training, stay
    (text,) = warnings(built, "other statistics")
    metrics = built.evaluate().metrics
    for name in ("MAE_F", "MAE_F_batch_statistics"):
        assert f"{metrics[name]:.3g}" in text
    assert warnings(task("cgcnn:8x2", "frozenbn"), "other statistics") == []


def test_forces_worth_nothing_after_training_are_called_collapsed() -> None:
    built = task("schnet:8x2")
    built.step()
    diagnosis = built.diagnose()
    assert diagnosis.measurements["collapsed"] is True
    assert any(t.startswith("collapsed: the forces are no better") for t in diagnosis.warnings)


def test_featurewise_says_which_layers_it_leaves() -> None:
    built = task("schnet:8x2", "irelu+featurewise")
    (text,) = warnings(built, "linear layers")
    assert text.startswith("featurewise sets 6 of 12 linear layers")
    found = built.description["initialization"]
    assert (found["layers"], found["left"]) == (6, 6)
    assert warnings(task("schnet:8x2", "irelu"), "linear layers") == []


@pytest.mark.parametrize("model", ["schnet:8x2", "painn:8x2", "cgcnn:8x2", "forcenet:8x2"])
def test_featurewise_sets_the_inputs_of_a_potential_s_activations(model: str) -> None:
    built = task(model, "irelu+featurewise=0.9,0.3")
    layer = next(s for s in built.trace.linears if type(s.activation).__name__ == "IReLU")
    found: list[torch.Tensor] = []
    layer.register_forward_pre_hook(lambda _, inputs: found.append(inputs[0]))
    with torch.no_grad():
        predict_energies(built.net, built.probe())
        pre = torch.nn.functional.linear(found[0], layer.weight, layer.bias).flatten(0, -2)
    assert pre.mean(dim=0).tolist() == pytest.approx([0.9] * pre.shape[1], abs=1e-6)
    assert pre.std(dim=0, correction=0).tolist() == pytest.approx([0.3] * pre.shape[1], abs=1e-6)


def test_the_loss_of_energies_and_forces_of_zero() -> None:
    built = task("schnet:8x2", "baseline", "--ema", "0")
    with torch.no_grad():
        for parameter in built.trace.linears[-1].parameters():
            parameter.zero_()
    assert built.zero_loss() == pytest.approx(float(built.losses(built.probe())["loss"]))


def test_forces_that_are_all_zero_are_no_measure(tmp_path: Path) -> None:
    """Of perfect crystals: no potential is better than zero forces, and that is no collapse."""
    images = alloys(12)
    for atoms in images:
        atoms.calc.results["forces"] = np.zeros((len(atoms), 3))
    path = tmp_path / "still.extxyz"
    ase.io.write(path, images, format="extxyz")
    options = ("--energy-unit", "eV", "--split", "random", "--batch", "2")
    built = task("schnet:4x1", "baseline", *options, problem=str(path))
    built.step()
    found = built.diagnose()
    assert not found.measurements["collapsed"]
    assert any("all forces of the test frames are 0" in text for text in found.warnings)
    assert not any("collapsed" in text for text in found.warnings)
