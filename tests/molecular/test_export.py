"""Exported potentials: written by the command line, read as what they say, run by ASE."""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ase.units
import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule
from ase.calculators.fd import calculate_numerical_forces
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution
from ase.md.verlet import VelocityVerlet
from molecular_specs import CPU, alloys, write_alloys

from bench.execution.find_or_run import trained
from bench.files.safetensors_file import decode_safetensors, encode_safetensors
from bench.store.store import Store
from bench.store.weights import load_weights
from bench.suite import main
from bench.text.errors import BadInput
from suites.molecular.calculator import PotentialCalculator
from suites.molecular.data.frames import Frames
from suites.molecular.data.md17 import read_npz
from suites.molecular.data.molecules import SHIPPED
from suites.molecular.export import FORMAT, TORCH_FORMAT, export_runs, load_potential
from suites.molecular.task import MolecularTask, build

KCAL = ase.units.kcal / ase.units.mol

COMMAND = ["molecular", "--budget", "smoke", "--device", "cpu", "--jobs", "1", "--no-baseline"]
COMMAND += ["--ema", "0.9", "--lr", "1e-2"]


class Session:
    """A store, and the potentials that were exported from it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = Store(folder / "out")

    def train(self, *arguments: str, to: str = "potentials", arm: str = "baseline") -> int:
        where = ["--out", str(self.store.root), "--export", str(self.folder / to)]
        return main([*COMMAND, "--arm", arm, *arguments, *where])

    def exported(self, to: str) -> Path:
        (path,) = (self.folder / to).iterdir()
        return path

    def task(self, path: Path) -> MolecularTask:
        """The trained task behind an exported potential."""
        record = self.store.read(content_of(path)["run"])
        assert record is not None
        built = build(record.spec, CPU)
        weights = load_weights(self.store.weights(record.spec_hash))
        built.averaging.scored.load_state_dict(weights)
        return built


def content_of(path: Path) -> dict[str, Any]:
    """What an exported file says, with its weights."""
    weights, texts = decode_safetensors(path.read_bytes())
    return {**json.loads(texts["potential"]), "weights": weights}


def write(path: Path, content: dict[str, Any]) -> Path:
    """A file of such content, in the format that its suffix says, and its own path."""
    if path.suffix == ".pt":
        torch.save(content, path)
    else:
        plain = {key: value for key, value in content.items() if key != "weights"}
        text = json.dumps(plain)
        path.write_bytes(encode_safetensors(content["weights"], {"potential": text}))
    return path


#: Of files by their suffixes.
FORMATS = {".safetensors": FORMAT, ".pt": TORCH_FORMAT}

ETHANOL = ("--model", "schnet:16x2", "--dtype", "float64", "--steps", "80")
ALLOYS = ("--model", "schnet:8x2", "--dtype", "float64", "--steps", "60", "--energy-unit", "eV")
ALLOYS += ("--split", "random", "--n-train", "40", "--n-val", "6", "--n-test", "6")


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    return Session(tmp_path_factory.mktemp("export"))


@pytest.fixture(scope="module")
def ethanol(session: Session) -> Path:
    assert session.train(*ETHANOL, to="ethanol") == 0
    return session.exported("ethanol")


@pytest.fixture(scope="module")
def periodic(session: Session) -> Path:
    data = write_alloys(session.folder / "alloys.extxyz")
    assert session.train(*ALLOYS, "--problem", str(data), to="alloys") == 0
    return session.exported("alloys")


def atoms_of(frames: Frames, index: int) -> Atoms:
    rows = slice(frames.first[index], frames.first[index + 1])
    return Atoms(
        frames.numbers[rows],
        frames.positions[rows],
        cell=frames.cells[index],
        pbc=frames.pbc[index],
    )


# --- what the command line writes -------------------------------------------------------------


def test_a_finished_run_is_exported_again_without_training(
    session: Session, ethanol: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ethanol.name.startswith("xtb-ethanol-schnet-16x2-baseline-seed0-")
    assert ethanol.suffix == ".safetensors"
    capsys.readouterr()
    assert session.train(*ETHANOL, to="again") == 0
    _, err = capsys.readouterr()
    again = session.exported("again")
    assert "found in the store" in err and f"wrote {again}" in err
    assert again.read_bytes() == ethanol.read_bytes()


def test_each_run_has_its_own_file(session: Session, tmp_path: Path) -> None:
    arms = ["--arm", "irelu", "--arm", "rescale=1e6", "--model", "schnet:4x1"]
    command = [*COMMAND, *arms, "--seeds", "2", "--steps", "1", "--out", str(tmp_path / "out")]
    assert main([*command, "--export", str(tmp_path / "potentials")]) == 0
    names = {path.name.rpartition("-")[0] for path in (tmp_path / "potentials").iterdir()}
    assert names == {
        f"xtb-ethanol-schnet-4x1-{arm}-seed{seed}"
        for arm in ("irelu", "rescale=1e6")
        for seed in (0, 1)
    }


def test_a_diverged_run_is_not_exported_and_that_is_said(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    assert session.train("--model", "schnet:4x1", "--lr", "1e30", to="diverged") == 0
    _, err = capsys.readouterr()
    (line,) = (line for line in err.splitlines() if "not exported" in line)
    assert "is diverged" in line and "schnet:4x1" in line
    assert list((session.folder / "diverged").iterdir()) == []


def test_a_file_in_the_place_of_the_folder(
    session: Session, ethanol: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (session.folder / "occupied").write_text("mine")
    assert session.train(*ETHANOL, to="occupied") == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("bench: --export")
    assert (session.folder / "occupied").read_text() == "mine"


def test_what_a_file_says(session: Session, ethanol: Path) -> None:
    potential = load_potential(ethanol)
    assert potential.elements == [1, 6, 8]
    assert potential.energy_unit == "kcal/mol"
    assert (potential.dtype, potential.cutoff) == (torch.float64, 5.0)
    assert not potential.net.training
    assert "xtb-ethanol schnet:16x2" in potential.title
    trained = session.task(ethanol).averaging.scored.state_dict()
    for name, value in potential.net.state_dict().items():
        assert torch.equal(value, trained[name])


# --- energies and forces ----------------------------------------------------------------------


def assert_predicts_as_the_task(path: Path, built: MolecularTask, frames: Frames) -> None:
    """The calculator's results are the task's predictions, in eV.

    Args:
        path: The potential.
        built: Its trained task.
        frames: The test frames as the file has them.
    """
    calculator = PotentialCalculator(path)
    unit = {"eV": 1.0, "kcal/mol": KCAL}[frames.energy_unit]
    energies, predicted = built.predict("test")
    # Of the frames as the file has them, without the protocol's constant.
    energies = energies + (frames.energies - built.parts["test"].energies)
    for index in (0, 3, len(frames) - 1):
        atoms = atoms_of(frames, index)
        atoms.calc = calculator
        rows = slice(frames.first[index], frames.first[index + 1])
        energy = energies[index] * unit
        assert atoms.get_potential_energy() == pytest.approx(energy, abs=1e-9)
        forces = predicted[rows] * unit
        np.testing.assert_allclose(atoms.get_forces(), forces, atol=1e-9)


def test_the_calculator_predicts_as_the_task(session: Session, ethanol: Path) -> None:
    built = session.task(ethanol)
    assert_predicts_as_the_task(ethanol, built, built.parts["test"])
    metrics = built.evaluate().metrics
    assert metrics["MAE_F"] < 0.9 * built.trivial()["MAE_F"]  # it is a trained network


def test_a_periodic_potential_of_varying_size(session: Session, periodic: Path) -> None:
    built = session.task(periodic)
    frames = built.parts["test"]
    assert len(set(frames.n_atoms.tolist())) == 2 and frames.pbc.all()
    assert_predicts_as_the_task(periodic, built, frames)


@pytest.mark.parametrize("arm", ["baseline", "rescale", "standardize"])
def test_total_energies_are_taken_off_again(session: Session, arm: str) -> None:
    """Protocol ``paper`` trains on other energies than the file has."""
    to = f"paper-{arm}"
    options = ("--protocol", "paper", "--model", "schnet:8x1", "--dtype", "float64")
    assert session.train(*options, to=to, arm=arm) == 0
    path = session.exported(to)
    built = session.task(path)
    shipped = read_npz(SHIPPED / "ethanol.npz").select(built.split.test)
    assert built.parts["test"].energies.mean() == pytest.approx(-97_200, abs=200)
    assert shipped.energies.mean() == pytest.approx(-7_150, abs=100)
    assert_predicts_as_the_task(path, built, shipped)


@pytest.mark.parametrize("arm", ["irelu", "denorm", "batchnorm+irelu"])
@pytest.mark.parametrize("model", ["cgcnn:8x1", "schnet:8x1"])
def test_arms_are_rebuilt(session: Session, model: str, arm: str) -> None:
    to = f"{model}-{arm}"
    options = ("--model", model, "--dtype", "float64", "--scope", "all", "--steps", "5")
    assert session.train(*options, to=to, arm=arm) == 0
    path = session.exported(to)
    built = session.task(path)
    assert_predicts_as_the_task(path, built, built.parts["test"])


def test_the_potential_is_one_of_float32_if_it_was_trained_so(session: Session) -> None:
    assert session.train("--model", "schnet:8x1", "--steps", "2", to="float32") == 0
    path = session.exported("float32")
    assert load_potential(path).dtype == torch.float32
    built = session.task(path)
    atoms = atoms_of(built.parts["test"], 0)
    atoms.calc = PotentialCalculator(path)
    expected = built.predict("test")[0][0]
    assert atoms.get_potential_energy() == pytest.approx(expected * KCAL, abs=1e-4)
    assert atoms.get_forces().dtype == np.float64


def test_forces_are_the_negative_gradient_of_the_energy(ethanol: Path, periodic: Path) -> None:
    molecular = atoms_of(read_npz(SHIPPED / "ethanol.npz"), 5)
    for path, atoms in ((ethanol, molecular), (periodic, alloys(4)[1])):
        atoms.calc = PotentialCalculator(path)
        forces = atoms.get_forces()
        assert np.abs(forces).max() > 0.1
        numerical = calculate_numerical_forces(atoms, eps=1e-4, iatoms=range(4))
        np.testing.assert_allclose(forces[:4], numerical, atol=1e-5)


def test_a_supercell_has_twice_the_energy(periodic: Path) -> None:
    atoms = alloys(4)[0]
    atoms.calc = PotentialCalculator(periodic)
    double = atoms.repeat((1, 2, 1))
    double.calc = PotentialCalculator(periodic)
    # What the elements' energies leave on average belongs to a frame, whatever its size.
    once = load_potential(periodic).scale.offset
    expected = 2 * (atoms.get_potential_energy() - once) + once
    assert double.get_potential_energy() == pytest.approx(expected, abs=1e-9)
    np.testing.assert_allclose(double.get_forces()[:4], atoms.get_forces(), atol=1e-9)


@pytest.mark.parametrize("system", ["ethanol", "alloys"])
def test_molecular_dynamics_conserves_energy(system: str, ethanol: Path, periodic: Path) -> None:
    atoms, path = (
        (atoms_of(read_npz(SHIPPED / "ethanol.npz"), 5), ethanol)
        if system == "ethanol"
        else (alloys(4)[0], periodic)
    )
    atoms.calc = PotentialCalculator(path)
    MaxwellBoltzmannDistribution(atoms, temperature_K=300, rng=np.random.default_rng(0))
    dynamics = VelocityVerlet(atoms, timestep=0.25 * ase.units.fs)
    kinetic, total = [], []
    for _ in range(120):
        dynamics.run(1)
        kinetic.append(atoms.get_kinetic_energy())
        total.append(kinetic[-1] + atoms.get_potential_energy())
    assert np.ptp(kinetic) > 0.02  # eV: something happened
    assert np.ptp(total) < 0.02 * np.ptp(kinetic)
    drift = abs(np.mean(total[-20:]) - np.mean(total[:20])) / len(atoms)
    assert drift < 1e-4  # eV an atom in 30 fs


def test_an_element_that_was_not_trained_on(ethanol: Path) -> None:
    atoms = molecule("CH3SH")
    atoms.calc = PotentialCalculator(ethanol)
    with pytest.raises(BadInput, match=r"\[1, 6, 8\].*\[16\]"):
        atoms.get_potential_energy()
    water = molecule("H2O")
    water.calc = PotentialCalculator(ethanol)
    assert np.isfinite(water.get_potential_energy())


# --- files that are no potential --------------------------------------------------------------


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such file"):
        PotentialCalculator(tmp_path / "none.pt")


@pytest.fixture(params=FORMATS)
def suffix(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.mark.parametrize("kept", [0, 10, 3000])
def test_a_damaged_file(kept: int, suffix: str, ethanol: Path, tmp_path: Path) -> None:
    path = changed(ethanol, tmp_path, suffix)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(BadInput, match=r"changed\.") as caught:
        load_potential(path)
    assert "unreadable" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("other", FORMATS)
def test_a_file_of_the_other_format(other: str, suffix: str, ethanol: Path, tmp_path: Path) -> None:
    path = changed(ethanol, tmp_path, suffix)
    renamed = path.rename(path.with_suffix(other))
    if other == suffix:
        assert load_potential(renamed).elements == [1, 6, 8]
        return
    with pytest.raises(BadInput, match=r"changed\..* is unreadable"):
        load_potential(renamed)


@pytest.mark.parametrize(
    "content", [{"weights": {}}, [1, 2], {"format": TORCH_FORMAT}, torch.zeros(2)]
)
def test_another_file_of_torch(content: Any, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "other.pt")
    with pytest.raises(BadInput, match="no exported potential"):
        load_potential(tmp_path / "other.pt")


def test_the_weights_of_a_run_are_no_potential(session: Session, ethanol: Path) -> None:
    weights = session.store.weights(content_of(ethanol)["run"])
    with pytest.raises(BadInput, match="no exported potential"):
        load_potential(weights)


def test_what_earlier_code_exported(tmp_path: Path) -> None:
    """It and what is exported of that store today are the same potential."""
    stores = Path(__file__).parents[1] / "stores"
    store = Store(stores / "schema-2")
    record = store.read("caa2e54fb12ab782")
    assert record is not None
    export_runs(trained([record], store), tmp_path)
    paths = [*tmp_path.iterdir(), stores / "potential-1.pt"]
    today, earlier = (load_potential(path) for path in paths)
    for name in ("scale", "energy_unit", "elements", "cutoff", "dtype", "title"):
        assert getattr(today, name) == getattr(earlier, name)
    weights = earlier.net.state_dict()
    assert today.net.state_dict().keys() == weights.keys()
    for name, value in today.net.state_dict().items():
        assert torch.equal(value, weights[name])
    energies = []
    for path in paths:
        atoms = molecule("CH3CH2OH")
        atoms.calc = PotentialCalculator(path)
        energies.append(atoms.get_potential_energy())
    assert energies[0] == energies[1]


def changed(path: Path, folder: Path, suffix: str, **items: Any) -> Path:
    """A potential of either format with other content; ``None`` removes a key."""
    content = {**content_of(path), "format": FORMATS[suffix], **items}
    kept = {key: value for key, value in content.items() if value is not None}
    return write(folder / f"changed{suffix}", kept)


def test_a_newer_format(suffix: str, ethanol: Path, tmp_path: Path) -> None:
    assert load_potential(changed(ethanol, tmp_path, suffix)).elements == [1, 6, 8]
    with pytest.raises(BadInput, match=f"{FORMAT + 1}, newer than {FORMAT}"):
        load_potential(changed(ethanol, tmp_path, suffix, format=FORMAT + 1))


def test_a_newer_format_that_no_longer_has_all_keys(
    suffix: str, ethanol: Path, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match=f"{FORMAT + 1}, newer than {FORMAT}"):
        load_potential(changed(ethanol, tmp_path, suffix, format=FORMAT + 1, elements=None))


def test_a_key_that_is_missing(suffix: str, ethanol: Path, tmp_path: Path) -> None:
    # Older files have no compositions.
    for key in content_of(ethanol).keys() - {"weights", "compositions"}:
        with pytest.raises(BadInput, match="no exported potential"):
            load_potential(changed(ethanol, tmp_path, suffix, **{key: None}))


@pytest.mark.parametrize(
    "items",
    [
        {"weights": {}},
        {"model": "painn:16x2"},
        {"model": "unheard-of:16x2"},
        {"size": {"features": 16}},
        {"axes": {}},
        {"axes": "irelu"},
        {"scale": {"factor": 1.0}},
        {"format": "new"},
    ],
    ids=str,
)
def test_content_that_does_not_fit_together(
    items: dict[str, Any], suffix: str, ethanol: Path, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match=r"changed\.|unheard-of"):
        load_potential(changed(ethanol, tmp_path, suffix, **items))


class Malicious:
    """Unpickling it writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.path, "executed")


@pytest.mark.parametrize("form", ["pickle", "torch", "torch-legacy", "within"])
def test_pickled_code_is_not_executed(form: str, ethanol: Path, tmp_path: Path) -> None:
    path, written = tmp_path / "evil.pt", tmp_path / "written"
    if form == "pickle":
        path.write_bytes(pickle.dumps(Malicious(written)))
    else:
        content = content_of(ethanol) if form == "within" else {}
        torch.save(
            {**content, "weights": Malicious(written)},
            path,
            _use_new_zipfile_serialization=form != "torch-legacy",
        )
    with pytest.raises(BadInput, match=r"evil\.pt") as caught:
        load_potential(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(BadInput):
        load_potential(path, own_code=True)
    assert not written.exists()
    # Whoever unpickles it would have executed it.
    torch.load(path, weights_only=False) if form != "pickle" else pickle.loads(path.read_bytes())
    assert written.read_text() == "executed"


OWN = """
from pathlib import Path
import torch

Path("imported").write_text("yes")

class Wave(torch.nn.Module):
    def forward(self, x):
        return torch.sin(x)
"""


def test_own_code_needs_leave(
    tmp_path: Path, own_module: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    own_module("own_waves", OWN)
    session = Session(tmp_path)
    options = ("--model", "schnet:4x1", "--dtype", "float64", "--activation", "own_waves:Wave")
    assert main([*COMMAND, *options, "--out", str(session.store.root), "--export", "exported"]) == 0
    path = session.exported("exported")
    assert path.name.startswith("xtb-ethanol-schnet-4x1-activation=own_waves-Wave-seed0-")

    monkeypatch.delitem(sys.modules, "own_waves")
    (tmp_path / "imported").unlink()
    for refuse in (load_potential, PotentialCalculator):
        with pytest.raises(BadInput, match=r"own_waves:Wave.*own_code"):
            refuse(path)
    assert not (tmp_path / "imported").exists() and "own_waves" not in sys.modules

    built = session.task(path)
    atoms = atoms_of(built.parts["test"], 0)
    atoms.calc = PotentialCalculator(path, own_code=True)
    expected = built.predict("test")[0][0]
    assert atoms.get_potential_energy() == pytest.approx(expected * KCAL, abs=1e-9)


def test_a_caller_s_default_dtype_does_not_matter(ethanol: Path) -> None:
    wanted = PotentialCalculator(ethanol)
    torch.set_default_dtype(torch.float64)
    found = PotentialCalculator(ethanol)
    for mine, other in zip(
        found.potential.net.parameters(), wanted.potential.net.parameters(), strict=True
    ):
        assert torch.equal(mine, other)
    assert torch.get_default_dtype() == torch.float64
