"""The contract of a rescaling passes a good one, and names the fault of each bad one."""

from __future__ import annotations

from pathlib import Path

import pytest
from contract_runs import Fault, Outcomes, run_contracts, run_faults

IMPORTS = "from bench.testing import rescaling_contract"


def fault(name: str, test: str, message: str) -> Fault:
    return Fault(f'rescaling_contract("faults.rescalings:{name}")', test, message)


FAULTS = [
    fault("missing", "can_be_chosen_in_an_arm", "'missing'"),
    fault(
        "unguarded",
        "gives_a_usable_scale",
        "Scale(factor=0.0, offset=0.0, loss_unit=None), not a factor",
    ),
    fault("centring", "gives_a_usable_scale", "an offset is a choice on the axis 'offset'"),
    fault("inverse", "gives_a_usable_scale", "fails on labels of mean 0, deviation 0 and"),
    fault("drawn", "statistics_decide", "is random: labels of mean 0.3"),
    fault("huge", "single_precision_holds_the_rescaled_labels", "which float32 does not hold"),
]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    return run_faults(tmp_path_factory.mktemp("rescalings"), IMPORTS, FAULTS)


@pytest.mark.parametrize("number", range(len(FAULTS)), ids=[one.call for one in FAULTS])
def test_a_fault_is_named(outcomes: Outcomes, number: int) -> None:
    outcomes.expect_failure(number, FAULTS[number].message)


def test_a_good_one_passes(tmp_path: Path) -> None:
    line = 'rescaling_contract("faults.rescalings:by_deviation")'
    run_contracts(tmp_path, IMPORTS, [(line, None)]).expect_passes(25)
