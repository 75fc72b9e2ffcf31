"""Molecular dynamics as a test: what conserves energy drifts by nothing, what does not is found."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk, molecule
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from molecular_specs import alloys, run, specify, task

from bench.spec.randomness import numpy_generator
from bench.suite import main
from bench.text.errors import BadInput
from suites.molecular.calculator import PotentialCalculator
from suites.molecular.molecular_dynamics import (
    FEWEST_STEPS,
    LARGEST_GAIN,
    TIME_STEP,
    Bonds,
    Trajectory,
    molecular_dynamics,
    scores,
    simulate,
)
from suites.molecular.simulated import structures
from suites.molecular.suite import SUITE

LEARNING = ("--steps", "60", "--lr", "1e-2", "--ema", "0.9", "--evaluations", "2")


def copper() -> Atoms:
    """Eight atoms, out of their places."""
    atoms = bulk("Cu", a=3.6, cubic=True).repeat((2, 1, 1))
    atoms.rattle(0.05, seed=0)
    return atoms


class Springs(Calculator):
    """A spring of 30 eV/Å² from the first atom to the second, and a force that nothing explains.

    Args:
        length: Of the spring at rest, in Å.
        curl: Force, in eV/Å, on the second atom, across its direction from the first.
    """

    implemented_properties = ["energy", "forces"]  # noqa: RUF012

    def __init__(self, length: float, curl: float = 0.0) -> None:
        super().__init__()
        self._length, self._curl = length, curl

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Any = ("energy",),
        system_changes: Any = all_changes,
    ) -> None:
        super().calculate(atoms, properties, system_changes)
        assert self.atoms is not None
        vector = self.atoms.positions[1] - self.atoms.positions[0]
        distance = np.linalg.norm(vector)
        change = distance - self._length
        pull = -30.0 * change * vector / distance
        across = self._curl * np.cross([0.0, 0.0, 1.0], vector / distance)
        self.results = {
            "energy": 15.0 * change**2,
            "forces": np.array([-pull - across, pull + across]),
        }


def test_a_conservative_potential_keeps_its_energy() -> None:
    (found,) = molecular_dynamics([copper()], EMT(), 400)
    assert found.broken is None
    assert found.stable_steps == 400
    assert len(found.energies) == 401
    assert abs(found.drift) < 1.0
    assert np.ptp(found.energies) < 1e-3


@pytest.mark.parametrize("make", [EMT, lambda: LennardJones(sigma=2.3, epsilon=0.4, rc=7.0)])
def test_the_fluctuation_of_the_energy_falls_with_the_square_of_the_step(make: Any) -> None:
    """Velocity Verlet is of second order (W. Swope et al., J. Chem. Phys. 76, 637 (1982))."""
    sizes = []
    for step in (2.0, 1.0):
        random = numpy_generator(0, "velocities")
        found = simulate(copper(), make(), round(200 / step), random, step)
        assert found.broken is None
        sizes.append(np.std(found.energies))
    assert sizes[0] / sizes[1] == pytest.approx(4.0, rel=0.1)


def test_the_drift_is_in_mev_per_atom_and_ps() -> None:
    """A pair that is turned by a force of its own gains what that force works."""
    atoms = Atoms("N2", [[0, 0, 0], [1.42, 0, 0]])
    still = simulate(atoms, Springs(1.42), 400, np.random.default_rng(0))
    turned = simulate(atoms, Springs(1.42, 0.02), 400, np.random.default_rng(0))
    assert abs(still.drift) < 0.5
    slope = (turned.energies[-1] - turned.energies[0]) / (turned.stable_steps * TIME_STEP)
    # eV/fs to meV/ps.
    assert turned.drift == pytest.approx(slope * 1e6, rel=0.3)
    assert abs(turned.drift) > 50 * abs(still.drift)


def test_a_force_without_an_energy_ends_the_trajectory() -> None:
    atoms = Atoms("N2", [[0, 0, 0], [1.42, 0, 0]])
    found = simulate(atoms, Springs(1.42, 1.0), 2000, np.random.default_rng(0))
    assert found.stable_steps < 2000
    assert "total energy changed" in str(found.broken)
    assert np.abs(found.energies - found.energies[0]).max() <= LARGEST_GAIN


def test_a_bond_that_is_pulled_apart_ends_the_trajectory() -> None:
    """The spring's rest is far beyond the bond; the energy is conserved."""
    atoms = Atoms("N2", [[0, 0, 0], [1.2, 0, 0]])
    found = simulate(atoms, Springs(2.4), 500, np.random.default_rng(0))
    assert 0 < found.stable_steps < 100
    assert str(found.broken).startswith("the bond N0-N1 went from 1.20 to 1.9")


class Broken(Calculator):
    """Forces that are not finite, or a refusal, after some calls."""

    implemented_properties = ["energy", "forces"]  # noqa: RUF012

    def __init__(self, good: int, refuse: bool) -> None:
        super().__init__()
        self._good, self._refuse = good, refuse

    def calculate(self, atoms: Any = None, properties: Any = (), system_changes: Any = ()) -> None:
        super().calculate(atoms, properties, system_changes)
        self._good -= 1
        if self._good < 0 and self._refuse:
            raise BadInput("the atoms are spread over 1e5 Å")
        energy = 0.0 if self._good >= 0 else np.nan
        self.results = {"energy": energy, "forces": np.full((len(atoms), 3), energy)}


@pytest.mark.parametrize(
    ("refuse", "text"), [(False, "the energy is not finite"), (True, "the atoms are spread")]
)
def test_what_is_not_finite_or_refused_ends_the_trajectory(refuse: bool, text: str) -> None:
    found = simulate(molecule("H2O"), Broken(11, refuse), 50, np.random.default_rng(0))
    assert found.stable_steps == 10
    assert text in str(found.broken)


def test_a_structure_that_the_calculator_refuses_is_no_broken_trajectory() -> None:
    with pytest.raises(BadInput, match="spread"):
        molecular_dynamics([molecule("H2O")], Broken(0, refuse=True), FEWEST_STEPS)


def test_bonds_cross_the_cell() -> None:
    atoms = Atoms("H2", [[0, 0, 0.1], [0, 0, 4.5]], cell=[5, 5, 5], pbc=True)
    bonds = Bonds(atoms)
    assert bonds.broken(atoms.positions) is None
    # Moving together, or around the cell's edge, is no change; 0.62 Å is twice the radius of H.
    assert bonds.broken(atoms.positions + 3.0) is None
    assert bonds.broken(atoms.positions - [[0, 0, 0], [0, 0, 0.51]]) is None
    assert "H0-H1 went from 0.60 to 1.15" in str(
        bonds.broken(atoms.positions - [[0, 0, 0], [0, 0, 0.55]])
    )
    assert "to 0.05" in str(bonds.broken(atoms.positions - [[0, 0, 0], [0, 0, -0.55]]))


def test_velocities_depend_on_the_seed_alone() -> None:
    one, again, other = (molecular_dynamics([copper()], EMT(), 100, seed)[0] for seed in (0, 0, 1))
    assert one.energies.tolist() == again.energies.tolist()
    assert one.energies[0] != other.energies[0]
    kinetic = one.energies[0] - copper_energy()
    # Of eight atoms one draw is within a factor of two.
    assert 0.5 < kinetic / (1.5 * units.kB * 300) < 2.0


def copper_energy() -> float:
    atoms = copper()
    atoms.calc = EMT()
    return float(atoms.get_potential_energy()) / len(atoms)


def test_constraints_of_a_structure_do_not_hold_its_atoms() -> None:
    from ase.constraints import FixAtoms

    atoms = copper()
    free = molecular_dynamics([atoms], EMT(), 100)[0]
    atoms.set_constraint(FixAtoms([0, 1, 2]))
    assert molecular_dynamics([atoms], EMT(), 100)[0].energies.tolist() == free.energies.tolist()


def test_scores_of_no_trajectory_are_unknown() -> None:
    assert all(np.isnan(value) for value in scores([]).values())


# --- of a run ---------------------------------------------------------------------------------


def test_a_run_is_simulated_after_its_last_step(tmp_path: Path) -> None:
    record = run(tmp_path, "schnet:16x2", "baseline", *LEARNING, "--md", "100", dtype="float32")
    assert record.status == "done", record.reason
    for name, unit in (("MD_drift", "meV/atom/ps"), ("MD_stable_steps", "steps")):
        *early, last = record.history[name]
        assert early
        assert set(early) == {None}
        assert last is not None
        assert record.metrics[name].final == last
        assert record.units[name] == unit
    final = {name: metric.final or 0.0 for name, metric in record.metrics.items()}
    assert 0 < final["MD_stable_steps"] <= 100
    assert any(note.startswith("MD_...: 100 steps") for note in record.task["notes"])
    assert (final["MD_broken"] > 0) == any("trajectories broke" in text for text in record.warnings)


def test_an_untrained_potential_is_found_to_break(tmp_path: Path) -> None:
    """Ten times the rate: no potential."""
    more = ("--steps", "5", "--lr", "1", "--ema", "0", "--evaluations", "1")
    record = run(tmp_path, "schnet:16x2", "baseline", *more, "--md", "300", dtype="float32")
    assert record.metrics["MD_broken"].final == 1.0
    assert (record.metrics["MD_stable_steps"].final or 0.0) < 300
    assert any("4 of 4 trajectories broke within 300 steps" in text for text in record.warnings)


def test_a_drift_that_nobody_knows_does_not_hide_the_others() -> None:
    def went(drift: float, broken: str | None = None) -> Trajectory:
        return Trajectory(10, drift, np.zeros(11), broken)

    found = scores([went(-2.0), went(math.nan, "a bond"), went(4.0)])
    assert found["MD_drift"] == 3.0 and found["MD_broken"] == pytest.approx(1 / 3)
    assert math.isnan(scores([went(math.nan, "a bond")])["MD_drift"])


def test_no_ratio_is_made_of_a_share_that_is_0_for_a_good_potential() -> None:
    columns = SUITE.columns("xtb-ethanol")
    assert "MD_stable_steps" in columns.scores
    assert columns.values_of(["MAE_F", "MD_broken"]) == ["MD_broken"]
    assert "MD_broken" not in (*columns.main, *columns.further)


def test_structures_of_frames_are_the_frames() -> None:
    built = task("schnet:8x1", "baseline")
    found = structures(built.parts["test"])
    assert len(found) == len(built.parts["test"])
    assert {str(atoms.symbols) for atoms in found} == {str(found[0].symbols)}
    np.testing.assert_array_equal(
        np.concatenate([atoms.positions for atoms in found]), built.parts["test"].positions
    )


def test_frames_with_an_element_outside_the_training_start_nothing(tmp_path: Path) -> None:
    images = alloys(40)
    for atoms in images:
        atoms.numbers[:] = 29
    options = ("--energy-unit", "eV", "--split", "random", "--unseen-elements", "apart")
    path = tmp_path / "copper.extxyz"
    ase.io.write(path, images, format="extxyz")
    tested = task("schnet:4x1", "baseline", *options, problem=str(path)).split.test
    for row in tested[1:]:
        images[row].numbers[0] = 79
    ase.io.write(path, images, format="extxyz")
    options = (*options, "--md", str(FEWEST_STEPS), "--steps", "2")
    record = run(tmp_path / "out", "schnet:4x1", "baseline", *options, problem=str(path))
    assert record.task["scored"]["test"] == 1 and record.task["scored"]["unseen"] == 3
    # One trajectory, from the one frame whose elements are known.
    assert "from 1 test frames" in " ".join(record.task["notes"])
    assert record.metrics["MD_broken"].final in (0.0, 1.0)


def test_the_option_changes_the_runs_name_only_if_given() -> None:
    plain, tested = specify(), specify("schnet:8x2", "baseline", "--md", "100")
    assert "md" not in plain.settings
    assert tested.settings["md"] == 100
    assert plain.hash != tested.hash


@pytest.mark.parametrize("steps", ["0", "-5", "99"])
def test_too_few_steps_are_refused(
    steps: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["molecular", "--budget", "smoke", f"--md={steps}", "--out", str(out)]) == 2
    assert f"--md must be at least 100 steps (50 fs), got {steps}" in capsys.readouterr().err
    assert not out.exists()


def test_an_exported_potential(tmp_path: Path) -> None:
    command = ["molecular", "--budget", "smoke", "--no-baseline", "--device", "cpu", "--jobs", "1"]
    where = ["--out", str(tmp_path / "out"), "--export", str(tmp_path / "potentials")]
    assert main([*command, "--arm", "baseline", "--model", "schnet:16x2", *LEARNING, *where]) == 0
    (path,) = (tmp_path / "potentials").iterdir()
    ethanol = molecule("CH3CH2OH")
    (found,) = molecular_dynamics([ethanol], PotentialCalculator(path), 100)
    assert found.stable_steps > 0
    assert len(found.energies) == found.stable_steps + 1
