"""The contract of a problem passes good ones, and names the fault of each bad one."""

from __future__ import annotations

from pathlib import Path

import pytest
from contract_runs import Fault, Outcomes, run_contracts, run_faults

IMPORTS = "from suites.pinn.testing import problem_contract"
COUNTS, NAMES = "names_are_as_many_as_losses", "names_are_of_their_kind_and_output"
TRANSFORMS, SEEDS = "transforms_keep_rows_and_outputs", "points_depend_on_the_seed_alone"
RESIDUALS, ERRORS = "residuals_are_columns", "errors_of_conditions_are_columns"
OUTPUTS, TRUTH = "conditions_compare_their_own_output", "truth_belongs_to_the_problem"
INITIAL = "initial_conditions_are_those_of_the_truth"
EQUATIONS, CONDITIONS = "truth_satisfies_the_equations", "truth_satisfies_the_conditions"


def fault(name: str, test: str, message: str) -> Fault:
    return Fault(f'problem_contract("faults.problems:{name}")', test, message)


FAULTS = [
    fault("MISSING", COUNTS, "unknown attribute in"),
    fault("BROKEN", COUNTS, "its data cannot be made: ZeroDivisionError"),
    fault("FAILING", TRUTH, "its truth cannot be made: ZeroDivisionError"),
    fault("TOO_FEW", COUNTS, "names 1 conditions (LIC) but has 2"),
    fault("TOO_MANY", COUNTS, "names 2 equations (Lf_1, Lf_2) but has 1"),
    fault("DISORDERED", COUNTS, "names a condition before an equation"),
    fault("TWICE", COUNTS, "has two terms called 'LIC'"),
    fault("MISNAMED", NAMES, "'LBC_0' is a loss of the kind 'initial', and called as one of"),
    fault("NOWHERE", NAMES, "'LIC' is of output 3, and there are 1"),
    fault("Misdeclared", NAMES, "'LICv' is declared for the output 'u'"),
    fault("ROWLESS", TRANSFORMS, "its input transform makes (2,) of "),
    fault("SHAPELESS", TRANSFORMS, "its output transform makes ("),
    fault("UNITLESS", "residuals_have_a_unit_each", "declares the units [2.0, -1.0] for its 1"),
    fault("OUTSIDE", "points_lie_in_the_domain", "outside its domain, for instance [2.0, 0.1]"),
    fault("HAMMERSLEY", SEEDS, "the same points for every seed, held-out ones included"),
    fault("UNSEEDED", SEEDS, "draws other points for the same seed"),
    fault("Unlabelled", "labels_are_taken", "is given labels of 2 outputs, and makes 0 conditions"),
    fault("CrossedLabels", "labels_are_taken", "the labels of 'Ldatau' are not those of its"),
    fault("BROADCAST", RESIDUALS, ": something in it is broadcast"),
    fault("NAN", RESIDUALS, "the residual 'Lf' of a smooth state is not finite"),
    fault("STATELESS", "equations_are_of_the_state", "'Lf' does not depend on the outputs"),
    fault("FLAT_LABELS", ERRORS, "the condition 'LIC' has an error of the shape (20, 20) on 20"),
    fault("NAN_LABELS", ERRORS, "the error of the condition 'LIC' is not finite"),
    fault("NO_POINTS", ERRORS, "the condition 'LBC' has no points"),
    fault("Crossed", OUTPUTS, "'LICu' does not change with the output 'u', but with ['v']"),
    fault("Both", OUTPUTS, "'LBCv' changes with ['u', 'v'], and is one of 'v'"),
    fault("OtherStart", INITIAL, "is off by "),
    fault("FlatStart", INITIAL, "its initial state has the shape (48,), not (48, 1)"),
    fault("TRANSPOSED", TRUTH, "its truth cannot be made: BadInput: problem 'heat': exact returns"),
    fault("TWO_COLUMNS", TRUTH, "2) for 10"),
    fault("LATER", TRUTH, "its truth has points outside the domain, for instance [0.5, 0.9]"),
    fault("SWAPPED", EQUATIONS, "its truth leaves "),
    fault("FASTER", EQUATIONS, "of the equation 'Lf' that a wrong state leaves"),
    fault("Faster", EQUATIONS, "and declares a relative error of 0.001"),
    fault("LARGER", CONDITIONS, "of the condition 'LIC' that a wrong state leaves"),
    fault("ROWS_TOGETHER", "the_engine_is_deepxde", "does a residual depend on other rows?"),
]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    return run_faults(tmp_path_factory.mktemp("problems"), IMPORTS, FAULTS)


@pytest.mark.parametrize("number", range(len(FAULTS)), ids=[one.call for one in FAULTS])
def test_a_fault_is_named(outcomes: Outcomes, number: int) -> None:
    outcomes.expect_failure(number, FAULTS[number].message)


@pytest.mark.parametrize(
    ("name", "passes"),
    [("HEAT", 14), ("FLAT", 14), ("NO_TRUTH", 11), ("BY_HAND", 13), ("Waves", 15)],
)
def test_good_ones_pass(tmp_path: Path, name: str, passes: int) -> None:
    """Without a truth, or left to DeepXDE, some tests are skipped."""
    line = f'problem_contract("faults.problems:{name}")'
    run_contracts(tmp_path, IMPORTS, [(line, None)]).expect_passes(passes)
