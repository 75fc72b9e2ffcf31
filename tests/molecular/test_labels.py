"""Labels: offsets go in float64, rescaling changes the network's unit and nothing reported."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import molecular_specs
import numpy as np
import pytest
import torch
from molecular_specs import task

from bench.text.errors import BadInput
from suites.molecular.data.frames import Frames
from suites.molecular.data.md17 import read_npz
from suites.molecular.data.molecules import SHIPPED
from suites.molecular.labels import (
    TOTAL_ENERGY_KCAL_MOL,
    LabelScale,
    label_scale,
    with_total_energies,
)
from suites.molecular.task import MolecularTask

ETHANOL = SHIPPED / "ethanol.npz"


def frames_of(compositions: Sequence[Sequence[int]], energies: Sequence[float]) -> Frames:
    """Frames of these atomic numbers, somewhere, without forces."""
    numbers = np.concatenate([np.asarray(frame) for frame in compositions])
    count = len(compositions)
    return Frames(
        numbers=numbers.astype(np.int64),
        positions=np.random.default_rng(0).normal(size=(len(numbers), 3)),
        energies=np.asarray(energies, dtype=float),
        forces=np.zeros((len(numbers), 3)),
        first=np.concatenate([[0], np.cumsum([len(frame) for frame in compositions])]),
        cells=np.zeros((count, 3, 3)),
        pbc=np.zeros((count, 3), dtype=bool),
        energy_unit="eV",
        sequential=False,
        source="made up",
        digest="",
    ).check()


def mixed(noise: float = 0.0, count: int = 40) -> tuple[Frames, dict[int, float]]:
    """Compositions that vary, and the energies of their elements; noise with the mean 0."""
    random = np.random.default_rng(1)
    true = {1: -13.5, 8: -432.0, 12: -46.0}
    compositions = [random.choice([1, 8, 12], size=random.integers(3, 9)) for _ in range(count)]
    energies = [sum(true[int(z)] for z in frame) for frame in compositions]
    return frames_of(compositions, energies + noise * random.normal(size=count)), true


# --- the scale --------------------------------------------------------------------------------


@pytest.mark.parametrize("rescaling", ["rescale=1", "rescale-weights=3", "rescale=1e6"])
def test_the_energies_of_elements_are_recovered(rescaling: str) -> None:
    frames, true = mixed()
    scale = label_scale("offset", rescaling, frames)
    assert scale.elements == pytest.approx(true, rel=1e-10)
    np.testing.assert_allclose(scale.reference(frames), frames.energies, atol=1e-9)


@pytest.mark.parametrize("rescaling", ["rescale=auto", "rescale-weights=auto"])
@pytest.mark.parametrize("stored", ["double", "single", "six decimals"])
def test_auto_does_not_divide_by_the_rounding_of_what_references_explain(
    rescaling: str, stored: str
) -> None:
    frames, _ = mixed()
    exact = frames.energies + 1 / 3 * frames.n_atoms
    energies = {
        "double": exact,
        "single": exact.astype(np.float32).astype(float),
        "six decimals": np.round(exact, 6),
    }[stored]
    with pytest.raises(BadInput, match=r"3 elements explain those of 40 .*rescale=1$"):
        label_scale("offset", rescaling, replace(frames, energies=energies))
    # Without the references there is a size to divide by.
    assert label_scale("no-offset", rescaling, frames).unit > 1


@pytest.mark.parametrize("spread", [1e-6, 1e-3])
def test_a_small_spread_is_a_spread(spread: float) -> None:
    frames, _ = mixed(noise=spread)
    factor = label_scale("offset", "rescale=auto", frames).factor
    assert factor == pytest.approx(spread, rel=0.3)


def test_the_fit_is_that_of_least_squares() -> None:
    frames, _ = mixed(noise=2.0)
    scale = label_scale("offset", "rescale=1", frames)
    elements, counts = frames.composition()
    left = frames.energies - counts @ [scale.elements[int(z)] for z in elements]
    # The normal equations: what is left is orthogonal to the compositions.
    np.testing.assert_allclose(counts.T @ left, 0.0, atol=1e-8)
    # What is left of a mixture has a mean, which would not grow with a frame's size.
    assert abs(left.mean()) > 1e-6 and scale.offset == 0
    assert scale.factor == 1.0


def test_one_composition_has_its_mean() -> None:
    energies = np.random.default_rng(0).normal(-406_000.0, 5.0, size=50)
    frames = frames_of([[6, 1, 1, 8]] * 50, energies)
    scale = label_scale("offset", "rescale=1", frames)
    np.testing.assert_allclose(scale.reference(frames), energies.mean(), rtol=1e-14)
    # The same for frames that were not in the fit.
    np.testing.assert_allclose(scale.reference(frames.select(np.array([3]))), energies.mean())


def test_what_each_rescaling_does() -> None:
    frames, true = mixed(noise=2.0)
    energies = frames.energies
    for token, factor in (
        ("rescale=1", 1.0),
        ("rescale=250", 250.0),
        ("rescale=auto", np.sqrt(np.mean(energies**2))),
    ):
        scale = label_scale("no-offset", token, frames)
        assert scale == LabelScale(pytest.approx(factor, rel=1e-12), 0.0, {})
        np.testing.assert_array_equal(scale.reference(frames), 0.0)
        # The offset is what it is without a rescaling.
        assert label_scale("offset", token, frames).elements.keys() == true.keys()
        np.testing.assert_array_equal(
            label_scale("offset", token, frames).reference(frames),
            label_scale("offset", "rescale=1", frames).reference(frames),
        )
    standard = label_scale("offset", "rescale=auto", frames)
    left = energies - standard.reference(frames)
    # Of what the elements leave, not of the raw energies, which compositions dominate.
    assert standard.factor == pytest.approx(np.sqrt(np.mean(left**2)), rel=1e-9)
    assert standard.factor < 0.01 * energies.std()


def test_a_scale_survives_the_record() -> None:
    for rescaling in ("rescale=auto", "rescale-weights=20"):
        scale = label_scale("offset", rescaling, mixed(noise=1.0)[0])
        assert LabelScale.read(json.loads(json.dumps(scale.describe()))) == scale


# --- precision --------------------------------------------------------------------------------


def heavy(path: Path, shift: float = -406_000.0) -> Path:
    """The shipped frames of ethanol, brought to aspirin's total energy in MD17."""
    with np.load(ETHANOL) as file:
        arrays = {key: file[key] for key in ("R", "E", "F")}
        energies = arrays["E"] - arrays["E"].mean()
        np.savez(path, **{**arrays, "E": energies + shift}, z=file["z"], e_unit=file["e_unit"])
    return path


def label_error(built: MolecularTask) -> float:
    """Largest error of the network's energy labels, back in kcal/mol."""
    frames, scale = built.training_frames, built.scale
    batch = built.training.batch(np.arange(len(frames)))
    seen = batch["energy"].double().numpy() * scale.factor
    return float(np.abs(seen - (frames.energies - scale.reference(frames))).max())


@pytest.mark.parametrize("arm", ["baseline", "standardize"])
def test_float32_labels_keep_their_digits_if_the_offset_is_removed(
    arm: str, tmp_path: Path
) -> None:
    path = heavy(tmp_path / "heavy.npz")
    built = task("schnet:8x2", arm, problem=str(path), dtype="float32")
    assert built.training.batch(np.array([0]))["energy"].dtype == torch.float32
    assert label_error(built) < 1e-4


@pytest.mark.parametrize("arm", ["no-offset", "no-offset+rescale=1e6", "no-offset+rescale=auto"])
def test_raw_float32_labels_lose_them(arm: str, tmp_path: Path) -> None:
    built = task("schnet:8x2", arm, problem=str(heavy(tmp_path / "heavy.npz")), dtype="float32")
    # Neighbouring float32 numbers are 0.03 apart at 400 000, whatever they are divided by.
    assert 5e-3 < label_error(built) < 0.05


def test_metrics_do_not_depend_on_a_constant(tmp_path: Path) -> None:
    found = []
    for name, shift in (("light.npz", 0.5), ("heavy.npz", -406_000.0)):
        problem = str(heavy(tmp_path / name, shift))
        built = task("schnet:8x2", "baseline", "--ema", "0.5", problem=problem)
        for _ in range(10):
            built.step()
        found.append({**built.evaluate().metrics, **built.trivial()})
    light, heavier = found
    assert heavier == pytest.approx(light, rel=1e-6)


# --- the network's unit and the label's -------------------------------------------------------


@pytest.mark.parametrize("model", ["schnet:8x2", "cgcnn:8x2", "painn:8x1"])
@pytest.mark.parametrize(("protocol", "power"), [("standard", 2), ("paper", 1)])
def test_the_same_physical_potential_is_reported_the_same(
    protocol: str, power: int, model: str
) -> None:
    factor = 1e3
    options = ("--protocol", protocol, "--ema", "0")
    plain = task(model, "rescale=1", *options)
    built = task(model, "rescale=1e3", *options)
    with torch.no_grad():
        for parameter in built.trace.linears[-1].parameters():
            parameter.div_(factor)
    wanted, found = plain.evaluate(), built.evaluate()
    assert found.metrics == pytest.approx(dict(wanted.metrics), rel=1e-9)
    assert found.selection == pytest.approx(wanted.selection, rel=1e-9)
    for mine, other in zip(built.predict("val"), plain.predict("val"), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-9)
    # What is optimised is in the network's unit; the terms that are logged are not.
    mine, other = built.step(), plain.step()
    assert float(mine["loss"]) * factor**power == pytest.approx(float(other["loss"]), rel=1e-9)
    for name in mine.keys() - {"loss"}:
        assert float(mine[name]) == pytest.approx(float(other[name]), rel=1e-9)


@pytest.mark.parametrize("offset", ["offset", "no-offset"])
@pytest.mark.parametrize("arm", ["rescale=1", "rescale=1e6", "rescale=auto"])
def test_the_network_is_trained_in_units_of_c(arm: str, offset: str) -> None:
    built = task("schnet:8x2", f"{offset}+{arm}")
    frames = built.training_frames
    mean = frames.energies.mean() if offset == "offset" else 0.0
    predicted = frames.energies - mean
    factor = {"rescale=1": 1.0, "rescale=1e6": 1e6}.get(arm, np.sqrt(np.mean(predicted**2)))
    batch = built.training.batch(np.arange(len(frames)))
    np.testing.assert_allclose(batch["energy"] * factor, predicted, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(batch["forces"] * factor, frames.forces, rtol=1e-13, atol=1e-14)


def zeroed(arm: str, *arguments: str, **given: Any) -> MolecularTask:
    """A task whose network predicts 0."""
    built = task("schnet:8x2", arm, "--ema", "0", *arguments, **given)
    with torch.no_grad():
        for parameter in built.trace.linears[-1].parameters():
            parameter.zero_()
    return built


@pytest.mark.parametrize("arm", ["offset", "standardize"])
def test_a_network_of_zeros_predicts_the_reference_energies(arm: str, tmp_path: Path) -> None:
    path = molecular_specs.write_alloys(tmp_path / "alloys.extxyz")
    options = ("--energy-unit", "eV", "--split", "random", "--n-train", "40", "--n-val", "6")
    built = zeroed(arm, *options, "--n-test", "6", problem=str(path))
    train, test = built.training_frames, built.parts["test"]
    counts, others = (frames.composition()[1] for frames in (train, test))
    fitted = np.linalg.lstsq(counts, train.energies)[0]
    expected = np.abs(test.energies - others @ fitted).mean()
    metrics, trivial = built.evaluate().metrics, built.trivial()
    assert metrics["MAE_E"] == pytest.approx(expected, rel=1e-9)
    assert trivial["MAE_E"] == pytest.approx(expected, rel=1e-9)
    assert metrics["MAE_F"] == pytest.approx(np.abs(test.forces).mean(), rel=1e-9)
    assert trivial["MAE_F"] == pytest.approx(metrics["MAE_F"], rel=1e-9)
    assert set(built.scale.elements) == {29, 79}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("arm", ["offset", "standardize", "rescale=1e6"])
def test_forces_that_are_zero_point_nowhere(arm: str, dtype: str) -> None:
    """The rounding of the labels must not pass for a direction."""
    assert zeroed(arm, dtype=dtype).evaluate().metrics["cos_F"] == 0.0


def test_a_network_of_zeros_on_raw_energies_is_off_by_all_of_them() -> None:
    built = zeroed("no-offset+rescale=1e6")
    metrics = built.evaluate().metrics
    assert metrics["MAE_E"] == pytest.approx(np.abs(built.parts["test"].energies).mean(), rel=1e-9)
    assert metrics["train_MAE_E"] > 7000


# --- total energies ---------------------------------------------------------------------------


def test_total_energies_add_a_constant_of_the_composition_and_leave_the_forces() -> None:
    frames = read_npz(ETHANOL)
    total = with_total_energies(frames)
    constant = sum(count * TOTAL_ENERGY_KCAL_MOL[z] for z, count in ((6, 2), (1, 6), (8, 1)))
    np.testing.assert_allclose(total.energies - frames.energies, constant, rtol=1e-12)
    assert total.energies.mean() == pytest.approx(-97_200, abs=200)
    assert total.energies.std() == pytest.approx(frames.energies.std(), rel=1e-6)
    assert replace(total, energies=frames.energies) == frames


@pytest.mark.parametrize(("protocol", "mean"), [("standard", -7_150), ("paper", -97_200)])
def test_protocol_paper_has_md17_s_magnitude(protocol: str, mean: float) -> None:
    shipped = read_npz(ETHANOL)
    built = task("schnet:8x2", "baseline", "--protocol", protocol)
    frames = built.training_frames
    assert frames.energies.mean() == pytest.approx(mean, abs=200)
    np.testing.assert_array_equal(frames.forces, shipped.select(built.split.train).forces)
    assert built.scale.factor == 1.0
    labels = built.training.batch(np.arange(len(frames)))["energy"]
    assert float(labels.mean()) == pytest.approx(0.0 if protocol == "standard" else mean, abs=200)


def test_one_s_own_files_are_total_already(tmp_path: Path) -> None:
    path = heavy(tmp_path / "heavy.npz", -7_150.0)
    built = task("schnet:8x2", "baseline", "--protocol", "paper", problem=str(path))
    assert built.training_frames.energies.mean() == pytest.approx(-7_150.0, abs=5)


def test_a_user_s_own_offset_is_the_contract_s(
    own_module: Callable[[str, str], None],
) -> None:
    own_module(
        "own_offset",
        "def constant(labels):\n    return -7000.0\n"
        "def above(labels):\n    return labels.mean + 5\n",
    )
    energies = np.random.default_rng(0).normal(-7100.0, 5.0, size=50)
    frames = frames_of([[6, 1, 1, 8]] * 50, energies)
    constant = label_scale("own_offset:constant", "rescale=1", frames)
    np.testing.assert_allclose(constant.reference(frames), -7000.0, rtol=1e-12)
    above = label_scale("own_offset:above", "rescale=auto", frames)
    np.testing.assert_allclose(above.reference(frames), energies.mean() + 5, rtol=1e-12)
    assert above.factor == pytest.approx(np.hypot(energies.std(), 5), rel=1e-9)


# --- a change of units, and nothing else ------------------------------------------------------


def gradient(built: MolecularTask) -> tuple[float, torch.Tensor]:
    """The minimised loss of the probe and its gradient by all parameters but the read-out's."""
    loss = built.losses(built.probe())["loss"]
    last = set(built.trace.linears[-1].parameters())
    others = [one for one in built.net.parameters() if one not in last]
    found = torch.autograd.grad(loss, others)
    return float(loss.detach()), torch.cat([one.flatten() for one in found])


@pytest.mark.parametrize("model", ["schnet:8x2", "cgcnn:8x2"])
@pytest.mark.parametrize("protocol", ["standard", "paper"])
@pytest.mark.parametrize("c", [1e-2, 1e4])
def test_a_rescaling_is_an_output_transform_with_loss_weights(
    c: float, protocol: str, model: str
) -> None:
    """The same function has the loss and gradients of C = 1 under the weights of C, at float64."""
    options = ("--protocol", protocol, "--ema", "0")
    scaled = task(model, f"rescale={c:g}", *options)
    weighted = task(model, f"rescale-weights={c:g}", *options)
    plain = task(model, "baseline", *options)
    # The offset is the protocol's in all three.
    assert scaled.scale.elements == weighted.scale.elements == plain.scale.elements
    assert bool(plain.scale.elements) == (protocol == "standard")
    with torch.no_grad():
        for parameter in scaled.trace.linears[-1].parameters():
            parameter.div_(c)
    power = 2 if protocol == "standard" else 1
    (loss, of_scaled), (other, of_weighted) = gradient(scaled), gradient(weighted)
    unweighted, of_plain = gradient(plain)
    assert loss == pytest.approx(other, rel=1e-10)
    assert other * c**power == pytest.approx(unweighted, rel=1e-10)
    assert float((of_scaled - of_weighted).norm() / of_weighted.norm()) < 1e-10
    assert float((of_weighted * c**power - of_plain).norm() / of_plain.norm()) < 1e-10
    mine, wanted = scaled.evaluate(), plain.evaluate()
    assert mine.metrics == pytest.approx(dict(wanted.metrics), rel=1e-9)
    assert weighted.evaluate() == wanted
    # Terms are logged in the labels' own units.
    steps = [built.step() for built in (scaled, weighted, plain)]
    for name in steps[2].keys() - {"loss"}:
        for step in steps[:2]:
            assert float(step[name]) == pytest.approx(float(steps[2][name]), rel=1e-9)


@pytest.mark.parametrize(
    ("protocol", "c"), [("standard", "rescale=auto"), ("paper", "rescale=1e6")]
)
def test_bare_rescale_has_one_meaning_a_protocol(protocol: str, c: str) -> None:
    options = ("--protocol", protocol)
    bare = molecular_specs.specify("schnet:8x2", "rescale", *options)
    assert bare.axes["rescaling"] == c and "offset" not in bare.axes
    assert bare.hash == molecular_specs.specify("schnet:8x2", c, *options).hash
    control = molecular_specs.specify("schnet:8x2", "rescale-weights", *options)
    assert control.axes["rescaling"] == c.replace("rescale", "rescale-weights")


def test_the_offset_is_in_the_spec_where_it_is_not_the_protocol_s() -> None:
    for protocol, own, other in (
        ("standard", "offset", "no-offset"),
        ("paper", "no-offset", "offset"),
    ):
        options = ("--protocol", protocol)
        baseline = molecular_specs.specify("schnet:8x2", "baseline", *options)
        same = molecular_specs.specify("schnet:8x2", own, *options)
        assert "offset" not in baseline.axes
        assert same.hash == baseline.hash and same.noops == [own]
        changed = molecular_specs.specify("schnet:8x2", other, *options)
        assert changed.axes["offset"] == other and changed.hash != baseline.hash


def test_standardize_is_offset_and_auto() -> None:
    one, other = (
        molecular_specs.specify("schnet:8x2", arm) for arm in ("standardize", "offset+rescale=auto")
    )
    assert one == other and one.arm == "offset+rescale=auto"
    assert one.hash == molecular_specs.specify("schnet:8x2", "rescale").hash


def test_runs_of_a_rescaling_in_place_of_the_offset_are_others() -> None:
    assert molecular_specs.specify().versions["protocol"] >= 2
    paper = molecular_specs.specify("schnet:8x2", "rescale", "--protocol", "paper")
    assert "protocol" not in paper.versions
