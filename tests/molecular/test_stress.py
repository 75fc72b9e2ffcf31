"""Stresses of potentials: the derivative of the energy, in training, in scores and in ASE."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
import torch
from ase import Atoms, units
from ase.build import bulk, fcc111, molecule
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS
from ase.stress import voigt_6_to_full_3x3_stress
from molecular_specs import CPU, run, specify, task
from schnetpack.model import NeuralNetworkPotential
from scipy.spatial.transform import Rotation
from strained import strained_cells, with_labels, write_strained

from bench.spec.randomness import global_streams
from bench.store.record import Record
from bench.store.store import Store
from bench.store.weights import load_weights
from bench.suite import main
from bench.task import TrainedRun
from bench.text.errors import BadInput
from suites.molecular.calculator import PotentialCalculator
from suites.molecular.models.catalogue import ARCHITECTURES, Model, Size
from suites.molecular.models.potential import ENERGY, FORCES, build_potential
from suites.molecular.stress import STRESS, predict_with_stress
from suites.molecular.stress_check import factor_warning
from suites.molecular.testing.geometries import BRASS, METHANOL, batch_of, rattled
from suites.molecular.testing.subjects import draw_weights
from suites.molecular.trained import potential as trained_potential

CUTOFF = 4.0
#: Low symmetry, and more than one atom of a kind.
CRYSTAL = rattled(bulk("NaCl", "rocksalt", a=5.0), "crystal")
FRAMES = (BRASS, METHANOL, CRYSTAL)

LEARNING = ("--steps", "200", "--lr", "5e-3", "--ema", "0.9", "--evaluations", "2")
OWN = ("--energy-unit", "eV", "--split", "random", *LEARNING)


def lively(name: str) -> NeuralNetworkPotential:
    """A small model in float64 whose layers all matter."""
    published = ARCHITECTURES[name]
    size = Size(features=16, interactions=2, n_rbf=6, cutoff=CUTOFF, n_filters=8)
    with global_streams(0, CPU):
        net = build_potential(
            Model(name, size, choices={}),
            published.activation,
            published.normalization,
            "all",
            torch.float64,
        )
    draw_weights(net, FRAMES, CUTOFF)
    return net


def stress_of(net: NeuralNetworkPotential, *frames: Atoms) -> torch.Tensor:
    return predict_with_stress(net, batch_of(frames, CUTOFF))[STRESS].detach()


def energy(net: NeuralNetworkPotential, atoms: Atoms) -> float:
    return float(net(batch_of([atoms], CUTOFF))[ENERGY].detach())


# --- the derivative ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_stress_is_the_derivative_of_the_energy_with_respect_to_the_cell(name: str) -> None:
    net, step = lively(name), 1e-5
    for atoms in (BRASS, CRYSTAL):
        expected = np.zeros((3, 3))
        for i, j in ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)):
            sums = []
            for sign in (1, -1):
                strain = np.zeros((3, 3))
                strain[i, j] += sign * step / 2
                strain[j, i] += sign * step / 2
                strained = atoms.copy()
                strained.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
                sums.append(energy(net, strained))
            expected[i, j] = expected[j, i] = (sums[0] - sums[1]) / (2 * step * atoms.get_volume())
        found = stress_of(net, atoms)[0].numpy()
        assert np.abs(expected).max() > 1e-6
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_energies_and_forces_are_those_without_a_stress(name: str) -> None:
    net = lively(name)
    alone = net(batch_of(FRAMES, CUTOFF))
    found = predict_with_stress(net, batch_of(FRAMES, CUTOFF))
    for key in (ENERGY, FORCES):
        assert torch.equal(found[key], alone[key]), key


def test_a_batch_gives_the_stress_of_each_frame_and_none_to_a_molecule() -> None:
    net = lively("painn")
    together = stress_of(net, *FRAMES)
    assert together[1].isnan().all()
    for k, atoms in ((0, BRASS), (2, CRYSTAL)):
        torch.testing.assert_close(together[k], stress_of(net, atoms)[0], rtol=1e-10, atol=1e-14)


def test_a_slab_has_no_stress() -> None:
    slab = fcc111("Cu", (1, 1, 2), vacuum=5.0)
    assert slab.pbc.tolist() == [True, True, False]
    assert stress_of(lively("schnet"), slab).isnan().all()


def test_the_stress_turns_with_the_crystal_and_is_the_same_in_a_left_handed_cell() -> None:
    net = lively("dimenet++")
    stress = stress_of(net, CRYSTAL)[0].numpy()
    matrix = Rotation.random(random_state=np.random.RandomState(0)).as_matrix()
    for sign in (1, -1):
        turned = CRYSTAL.copy()
        turned.set_cell(CRYSTAL.cell.array @ (sign * matrix.T))
        turned.positions = CRYSTAL.positions @ (sign * matrix.T)
        np.testing.assert_allclose(
            stress_of(net, turned)[0], matrix @ stress @ matrix.T, rtol=1e-6, atol=1e-9
        )


# --- training and scores ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_strained(tmp_path_factory.mktemp("data") / "cu.extxyz"))


def test_training_on_stresses_lowers_their_error(file: str, tmp_path: Path) -> None:
    plain, trained = (
        run(tmp_path, "schnet:16x2", "baseline", *OWN, *more, problem=file)
        for more in ((), ("--stress-weight", "10"))
    )
    assert (plain.status, trained.status) == ("done", "done")
    before, after = (r.metrics["MAE_stress"].final or 0.0 for r in (plain, trained))
    assert 0 < after < 0.5 * before
    assert after < 0.5 * trained.task["trivial"]["MAE_stress"]
    assert trained.units["MAE_stress"] == "eV/Å³"
    assert trained.metrics["MAE_stress_GPa"].final == pytest.approx(after / units.GPa)
    assert "MSE_stress_batch" in trained.losses
    assert "MSE_stress_batch" not in plain.losses
    assert any("--stress-weight" in note for note in plain.task["notes"])
    assert "notes" not in trained.task


@pytest.mark.parametrize("arm", ["baseline", "rescale=0.25", "rescale=1000"])
def test_the_rescaling_divides_stresses_like_energies(file: str, arm: str) -> None:
    built = task("schnet:8x2", arm, *OWN, "--stress-weight", "1", problem=file)
    rows = np.arange(len(built.training))
    labels = built.training.batch(rows)[STRESS] * built.scale.factor
    true = built.training_frames.stresses
    assert true is not None
    np.testing.assert_allclose(labels, true, rtol=1e-12)


def test_the_loss_is_the_weighted_sum_also_in_parts(file: str) -> None:
    built = task("schnet:8x2", "baseline", *OWN, "--stress-weight", "7", problem=file)
    rows = np.arange(6)
    batch = built.training.batch(rows)
    stress, labels = predict_with_stress(built.net, dict(batch))[STRESS], batch[STRESS]
    whole = built.losses(batch)
    term = float((stress - labels).detach().square().mean()) * built.scale.factor**2
    assert float(whole["MSE_stress_batch"]) == pytest.approx(term)
    without = 0.01 * whole["MSE_E_batch"] + 0.99 * whole["MSE_F_batch"]
    unit = built.scale.unit**2
    assert float(whole["loss"]) * unit == pytest.approx(float(without) + 7 * term)
    built.divide(3)
    parts = built._in_parts(rows).terms
    for name, value in whole.items():
        assert float(parts[name]) == pytest.approx(float(value)), name


def test_frames_without_a_stress_count_as_none(tmp_path: Path) -> None:
    """Their labels are NaN, which must reach neither the loss nor its gradient."""
    frames = strained_cells(20)
    for atoms in frames[::2]:
        del atoms.calc.results["stress"]
    frames += [with_labels(molecule("CO")) for _ in range(4)]
    path = tmp_path / "some.extxyz"
    ase.io.write(path, frames, format="extxyz")
    built = task("schnet:8x2", "baseline", *OWN, "--stress-weight", "7", problem=str(path))
    known = built.training_frames.stressed
    assert 0 < known.sum() < len(known)
    for _ in range(3):
        assert torch.isfinite(built.step()["loss"])
    assert all(p.isfinite().all() for p in built.net.parameters())
    batch = built.training.batch(np.arange(len(known)))
    labels = batch[STRESS][torch.tensor(known)]
    stress = predict_with_stress(built.net, dict(batch))[STRESS][torch.tensor(known)]
    term = float((stress - labels).detach().square().mean()) * built.scale.factor**2
    assert float(built.losses(batch)["MSE_stress_batch"]) == pytest.approx(term)
    assert np.isfinite(built.evaluate().selection)


def test_a_resumed_training_on_stresses_is_the_uninterrupted_one(file: str) -> None:
    more = (*OWN, "--stress-weight", "10")
    straight, first, second = (task("schnet:8x2", "baseline", *more, problem=file) for _ in "abc")
    for _ in range(6):
        straight.step()
    for _ in range(3):
        first.step()
    second.load_state_dict(first.state_dict())
    for _ in range(3):
        second.step()
    for name, tensor in straight.weights().items():
        assert torch.equal(tensor, second.weights()[name]), name


def test_a_weight_of_0_is_none(file: str) -> None:
    plain = specify("schnet:8x2", "baseline", *OWN, problem=file)
    zero = specify("schnet:8x2", "baseline", *OWN, "--stress-weight", "0", problem=file)
    assert zero.hash == plain.hash
    assert not {"stress_weight", "md"} & plain.settings.keys()
    assert not {"stress_key", "stress_unit"} & plain.settings["file"].keys()


@pytest.mark.parametrize("weight", ["-1", "nan", "inf"])
def test_a_wrong_weight_is_refused(file: str, weight: str) -> None:
    with pytest.raises(BadInput, match="--stress-weight"):
        specify("schnet:8x2", "baseline", *OWN, f"--stress-weight={weight}", problem=file)


def test_a_weight_without_stresses_is_refused_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    code = main(["molecular", "--budget", "smoke", "--stress-weight", "1", "--out", str(out)])
    assert code == 2
    assert "no training frame of" in capsys.readouterr().err
    assert not out.exists()


# --- the calculator ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def calculator(file: str, tmp_path_factory: pytest.TempPathFactory) -> PotentialCalculator:
    """Of a potential that was trained on stresses."""
    folder = tmp_path_factory.mktemp("relaxed")
    record = run(folder, "schnet:16x2", "baseline", *OWN, "--stress-weight", "10", problem=file)
    return _calculator(folder, record)


def _calculator(folder: Path, record: Record) -> PotentialCalculator:
    path = Store(folder).weights(record.spec_hash)
    ended = TrainedRun(record.spec, record.status, record.task, path)
    return trained_potential(ended, load_weights(path), CPU).calculator


def test_the_calculator_gives_stress_and_free_energy(calculator: PotentialCalculator) -> None:
    atoms = strained_cells(1)[0]
    labels = atoms.calc.results
    atoms.calc = calculator
    assert atoms.get_potential_energy(force_consistent=True) == atoms.get_potential_energy()
    found = voigt_6_to_full_3x3_stress(atoms.get_stress())
    true = voigt_6_to_full_3x3_stress(labels["stress"])
    assert np.abs(found - true).max() < 0.3 * np.abs(true).max()
    # Of the energies that the calculator gives itself; single precision.
    step, energies = 1e-3, []
    for sign in (1, -1):
        strained = atoms.copy()
        strained.set_cell(atoms.cell.array * (1 + sign * step), scale_atoms=True)
        strained.calc = calculator
        energies.append(strained.get_potential_energy())
    pressure = (energies[0] - energies[1]) / (2 * step * 3 * atoms.get_volume())
    assert np.trace(found) / 3 == pytest.approx(pressure, rel=1e-3, abs=1e-5)


def test_a_structure_that_is_not_periodic_has_no_stress(calculator: PotentialCalculator) -> None:
    from ase.calculators.calculator import PropertyNotImplementedError

    atoms = Atoms("Cu2", [[0, 0, 0], [2.5, 0, 0]], calculator=calculator)
    assert np.isfinite(atoms.get_potential_energy())
    with pytest.raises(PropertyNotImplementedError):
        atoms.get_stress()


def test_atoms_and_cell_relax_together(calculator: PotentialCalculator) -> None:
    atoms = strained_cells(3)[2]
    atoms.calc = calculator
    fmax = 0.02
    # ASE's own annotation does not know its filters.
    cell: Any = FrechetCellFilter(atoms)
    assert BFGS(cell, logfile=None).run(fmax=fmax, steps=200)
    assert np.abs(atoms.get_forces()).max() < fmax
    # ASE's filter divides the virial by the number of atoms.
    assert np.abs(atoms.get_stress()).max() < len(atoms) * fmax / atoms.get_volume()
    # EMT's own lattice constant is 3.59 Å.
    assert atoms.get_volume() == pytest.approx(3.59**3, rel=0.05)


# --- another unit or sign ---------------------------------------------------------------------


@pytest.mark.parametrize(("factor", "said"), [(1 / units.GPa, "160"), (-1.0, "-1."), (1.0, "")])
def test_stresses_that_are_not_those_of_the_energies_are_a_warning(
    factor: float, said: str, tmp_path: Path
) -> None:
    frames = strained_cells(40)
    for atoms in frames:
        atoms.calc.results["stress"] = factor * atoms.calc.results["stress"]
    path = tmp_path / "cu.extxyz"
    ase.io.write(path, frames, format="extxyz")
    record = run(tmp_path, "schnet:16x2", "baseline", *OWN, problem=str(path))
    found = [text for text in record.warnings if text.startswith("the stresses of the training")]
    assert len(found) == bool(said)
    if said:
        # The potential has not seen a stress, and its own is not exact.
        value = float(found[0].split("are ")[1].split(" times")[0])
        assert value == pytest.approx(factor, rel=0.5)


def test_a_factor_needs_a_correlation() -> None:
    random = np.random.default_rng(0)
    labels, other = random.normal(size=(2, 20, 3, 3))
    # A common pressure is no sign of a common cause.
    pressure = 100 * np.eye(3)
    assert factor_warning(labels + pressure, -other - pressure) == []
    assert factor_warning(labels, np.full_like(labels, np.nan)) == []
    assert factor_warning(labels[:4], -labels[:4]) == []
    (text,) = factor_warning(160 * labels, labels + 0.1 * other)
    assert "correlation 0.99" in text or "correlation 1.00" in text
