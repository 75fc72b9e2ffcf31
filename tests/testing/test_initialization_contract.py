"""The contract of an initialisation passes a good one, and names the fault of each bad one."""

from __future__ import annotations

from pathlib import Path

import pytest
from contract_runs import Fault, Outcomes, run_contracts, run_faults

IMPORTS = "from bench.testing import initialization_contract"


def fault(name: str, test: str, message: str) -> Fault:
    return Fault(f'initialization_contract("faults.initializations:{name}")', test, message)


FAULTS = [
    fault("missing", "can_be_chosen_in_an_arm", "'missing'"),
    fault("from_torch", "the_generator_decides", "for the same generator: something else decides"),
    fault("always_alike", "the_generator_decides", "gives the same weights for every seed"),
    fault("from_torch", "global_generators_are_left_alone", "draws from torch's global generator"),
    fault("from_numpy", "global_generators_are_left_alone", "draws from NumPy's global generator"),
    fault("replaced", "layers_are_set_in_place", "something else in the place of layers.0.weight"),
    fault("one_neuron", "neurons_differ", "gives neurons of layer 1 the same weights"),
    fault("unguarded", "weights_are_finite", "where the inputs are 0 times the ordinary"),
    fault("hooked", "the_network_is_otherwise_as_it_was", "leaves a hook on layers.0"),
    fault("evaluating", "the_network_is_otherwise_as_it_was", "leaves layers.0 in another mode"),
    fault("backward", "the_network_is_otherwise_as_it_was", "leaves a gradient on layers.0.weight"),
    fault("unguarded", "an_error_in_the_forward_pass_leaves_no_trace", "leaves a hook on layers.0"),
]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    return run_faults(tmp_path_factory.mktemp("initializations"), IMPORTS, FAULTS)


@pytest.mark.parametrize("number", range(len(FAULTS)), ids=[one.call for one in FAULTS])
def test_a_fault_is_named(outcomes: Outcomes, number: int) -> None:
    outcomes.expect_failure(number, FAULTS[number].message)


def test_a_good_one_passes(tmp_path: Path) -> None:
    line = 'initialization_contract("faults.initializations:uniform")'
    run_contracts(tmp_path, IMPORTS, [(line, None)]).expect_passes(15)
