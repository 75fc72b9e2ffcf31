"""The contract of a potential passes good ones, and names the fault of each bad one."""

from __future__ import annotations

from pathlib import Path

import pytest
from contract_runs import Fault, Outcomes, run_contracts, run_faults

IMPORTS = "from suites.molecular.testing import potential_contract"
FORCES = "forces_are_minus_the_gradient_of_the_energy"
ROTATION = "rotation_and_reflection"
BATCH = "a_frame_alone_is_the_frame_in_a_batch"
PARAMETERS = "every_parameter_has_a_finite_gradient"
CUTOFF = "pairs_count_up_to_the_cutoff_and_not_beyond"
SYMMETRIC = "gradients_are_finite_where_atoms_are_in_symmetric_places"
DTYPE, STATE = "single_precision_agrees_with_double", "round_trip_through_a_file"


def fault(name: str, test: str, message: str) -> Fault:
    return Fault(f'potential_contract("faults.potentials:{name}")', test, message)


FAULTS = [
    fault("Missing", FORCES, "unknown attribute in"),
    fault("CUTOFF", FORCES, "potential 'faults.potentials:CUTOFF' cannot be made"),
    fault("LargeForces", FORCES, "and −∂E/∂R is "),
    fault("Anchored", "translation", "a translation changes its energies, by "),
    fault("Directed", ROTATION, "a rotation of atoms and forces changes its energies, by "),
    fault("Directed", ROTATION, "a reflection of atoms and forces changes its energies, by "),
    fault("Ordered", "permutation", "the order of the atoms changes its energies, by "),
    fault("Batched", BATCH, "the rest of the batch changes its energies, by "),
    fault("Windy", "an_atom_without_neighbours_feels_no_force", "the force on a lonely atom is [["),
    fault("Mean", "repeated_cell", "describing a crystal by 2 cells, of an extensive energy,"),
    fault("Compressed", "atoms_may_lie_in_any_cell", "moving atoms by whole cells changes its"),
    fault(
        "Abrupt",
        "energy_and_forces_are_continuous_at_the_cutoff",
        "a pair that crosses the cutoff of 3.5 Å by 2e-07 Å changes its energies, by ",
    ),
    fault("ShortSighted", CUTOFF, "pairs of 3 Å do not count, its cutoff is 3.5 Å"),
    fault("FarSighted", CUTOFF, "being given the pairs beyond its cutoff of 3.5 Å changes its"),
    fault("Unused", PARAMETERS, "nothing depends on more"),
    fault("Vanishing", PARAMETERS, "the gradient of a loss on forces by more vanishes"),
    fault(
        "DetachedForces",
        "gradients_are_central_differences_of_the_loss",
        "along a direction of the parameters, and ",
    ),
    fault("Rooted", SYMMETRIC, "a loss on atoms in a line or plane is nan"),
    fault("Infinite", SYMMETRIC, "the gradient by more is not finite where atoms are in a line"),
    fault("Infinite", PARAMETERS, "the gradient of a loss on forces by more is not finite"),
    fault("Single", DTYPE, "energy of float64 are torch.float32"),
    fault("Stuck", DTYPE, "['table'] stay in another precision than torch.float64"),
    fault("Cancelling", DTYPE, "in single precision its energy are off by "),
    fault("Forgetful", STATE, "restoring it by its state changes its energies, by "),
    fault("Constant", STATE, "with weights of another seed, has the same energies"),
]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    return run_faults(tmp_path_factory.mktemp("potentials"), IMPORTS, FAULTS)


@pytest.mark.parametrize("number", range(len(FAULTS)), ids=[one.call for one in FAULTS])
def test_a_fault_is_named(outcomes: Outcomes, number: int) -> None:
    outcomes.expect_failure(number, FAULTS[number].message)


@pytest.mark.parametrize(("name", "more"), [("Pairs", ""), ("trained", ", draw_weights=False")])
def test_good_ones_pass(tmp_path: Path, name: str, more: str) -> None:
    line = f'potential_contract("faults.potentials:{name}"{more})'
    run_contracts(tmp_path, IMPORTS, [(line, None)]).expect_passes(17)


def test_what_is_promised_less_is_not_asked_for(tmp_path: Path) -> None:
    calls = [
        ('potential_contract("faults.potentials:Mean", extensive=False)', "test_repeated_cell"),
        ('potential_contract("faults.potentials:Unused", unused=["more"])', f"test_{PARAMETERS}"),
        (
            'potential_contract("faults.potentials:Vanishing", irrelevant=["more"])',
            f"test_{PARAMETERS}",
        ),
    ]
    run_contracts(tmp_path, IMPORTS, calls).expect_passes(2)
