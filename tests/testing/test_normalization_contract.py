"""The contract of a normalisation passes good ones, and names the fault of each bad one."""

from __future__ import annotations

from pathlib import Path

import pytest
from contract_runs import Fault, Outcomes, run_contracts, run_faults

IMPORTS = "from bench.testing import normalization_contract"
DERIVATIVES = "derivatives_are_those_of_the_function"


def call(name: str, more: str = "") -> str:
    return f'normalization_contract("{name}"{more})'


def fault(name: str, test: str, message: str, more: str = "") -> Fault:
    return Fault(call(f"faults.normalizations:{name}", more), test, message)


FAULTS = [
    fault("Missing", "can_be_chosen_in_an_arm", "'Missing'"),
    fault("Double", "keeps_shape_dtype_and_device", "maps torch.float32 to torch.float64"),
    fault("Single", "keeps_shape_dtype_and_device", "the dtype torch.float64 to torch.float32"),
    fault("InPlace", "leaves_its_input_as_it_is", "changes its input in place in training"),
    fault("Random", "draws_nothing", "is random in training"),
    fault("Running", "rows_are_coupled_as_declared", "couples the rows of a batch in training"),
    fault(
        "RootMeanSquare",
        "rows_are_coupled_as_declared",
        "leave out coupled=True",
        ", coupled=True",
    ),
    fault(
        "CoupledInEvaluation",
        "rows_are_apart_in_evaluation",
        "couples the rows of a batch in evaluation",
        ", coupled=True",
    ),
    fault("ChangedByEvaluation", "evaluation_leaves_its_state", "evaluation changes 'mean'"),
    fault("Detached", DERIVATIVES, "its first derivative in training, along a direction"),
    fault("Constant", DERIVATIVES, "by automatic differentiation"),
    fault(
        "TorchsLayerNorm",
        "a_loss_on_derivatives_has_its_gradient",
        "a loss on second derivatives by a weight of the network",
    ),
    fault("Singular", "is_finite_where_nothing_varies", "its value is not finite in training"),
    fault("Forgetful", "copies_and_states_are_whole", "is not restored by its state_dict"),
    fault("Untrained", "own_parameters_are_trained", "'weight' is not trained"),
    fault("Unused", "own_parameters_are_trained", "its parameter 'bias' gets no gradient"),
]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    return run_faults(tmp_path_factory.mktemp("normalizations"), IMPORTS, FAULTS)


@pytest.mark.parametrize("number", range(len(FAULTS)), ids=[one.call for one in FAULTS])
def test_a_fault_is_named(outcomes: Outcomes, number: int) -> None:
    outcomes.expect_failure(number, FAULTS[number].message)


@pytest.mark.parametrize(("name", "more"), [("RootMeanSquare", ""), ("Running", ", coupled=True")])
def test_good_ones_pass(tmp_path: Path, name: str, more: str) -> None:
    line = call(f"faults.normalizations:{name}", more)
    run_contracts(tmp_path, IMPORTS, [(line, None)]).expect_passes(20)
