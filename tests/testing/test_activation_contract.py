"""The contract of an activation passes a good one, and names the fault of each bad one."""

from __future__ import annotations

from pathlib import Path

import pytest
from contract_runs import Fault, Outcomes, run_contracts, run_faults

from bench.testing import activation_contract

IMPORTS = "from bench.testing import activation_contract"
DERIVATIVES = "derivatives_are_those_of_the_function"


def fault(name: str, test: str, message: str, more: str = "") -> Fault:
    return Fault(f'activation_contract("faults.activations:{name}"{more})', test, message)


FAULTS = [
    fault("Missing", "can_be_chosen_in_an_arm", "unknown attribute in"),
    fault("Shared", "every_layer_has_its_own", "makes modules that share ['slope']"),
    fault("Double", "keeps_shape_dtype_and_device", "maps torch.float32 to torch.float64"),
    fault("Single", "keeps_shape_dtype_and_device", "the dtype torch.float64 to torch.float32"),
    fault("Flat", "keeps_shape_dtype_and_device", "maps the shape () to (1, 1)"),
    fault("Strided", "keeps_shape_dtype_and_device", "other values for a view of a tensor"),
    fault("Centred", "maps_each_element_by_itself", "is not elementwise: at x = "),
    fault("InPlace", "leaves_its_input_as_it_is", "changes its input in place"),
    fault("InPlace", DERIVATIVES, "has no first derivative by automatic differentiation"),
    fault("Random", "is_one_function", "is random: at x = "),
    fault("Moody", "is_one_function", "is another function in evaluation than in training"),
    fault("Jump", "is_continuous", "it jumps from 1 to "),
    fault("WrongFirst", DERIVATIVES, "its first derivative at x = "),
    fault("WrongSecond", DERIVATIVES, "its second derivative at x = "),
    fault("WrongThird", DERIVATIVES, "its third derivative at x = "),
    fault("Once", DERIVATIVES, "is 0 by automatic differentiation, and "),
    fault("Overflow", "is_finite_far_out", "its value at x = -10000 is inf in float64"),
    fault(
        "WrongByParameter",
        "a_loss_on_derivatives_has_its_gradient",
        "a loss on second derivatives by its own parameter is ",
    ),
    fault("Untrained", "own_parameters_are_trained", "'a' is not trained"),
    fault("Unused", "own_parameters_are_trained", "its parameter 'b' gets no gradient"),
    fault("Opaque", "forward_mode_and_batching_agree", "does not work under torch.vmap"),
    fault("WrongForward", "forward_mode_and_batching_agree", "by 1 times torch.func.jvp, and "),
    fault("Branching", "can_be_traced", "cannot be traced by make_fx"),
    fault("Forgetful", "copies_and_states_are_whole", "is not restored by its state_dict"),
    fault("GraphBreak", "can_be_compiled", "cannot be compiled as one graph", ", compiles=True"),
]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    return run_faults(tmp_path_factory.mktemp("activations"), IMPORTS, FAULTS)


@pytest.mark.parametrize("number", range(len(FAULTS)), ids=[one.call for one in FAULTS])
def test_a_fault_is_named(outcomes: Outcomes, number: int) -> None:
    outcomes.expect_failure(number, FAULTS[number].message)


def test_a_good_one_passes(tmp_path: Path) -> None:
    line = 'activation_contract("faults.activations:Snake", compiles=True)'
    run_contracts(tmp_path, IMPORTS, [(line, None)]).expect_passes(18)


def test_fewer_derivatives_may_be_promised(tmp_path: Path) -> None:
    """For forces two are enough."""
    line = 'activation_contract("faults.activations:WrongThird", derivatives=2)'
    run_contracts(tmp_path, IMPORTS, [(line, f"test_{DERIVATIVES}")]).expect_passes(1)


def test_what_is_no_name_is_refused_at_once() -> None:
    with pytest.raises(TypeError, match="'module:attribute', and this is 3"):
        activation_contract(3)
    with pytest.raises(TypeError, match="name what is to be tested"):
        activation_contract()
    with pytest.raises(ValueError, match="2 or 3, not 1"):
        activation_contract("tanh", derivatives=1)
