"""The contract of a suite passes good ones, and names the fault of each bad one."""

from __future__ import annotations

from pathlib import Path

import pytest
from contract_runs import Fault, Outcomes, run_contracts, run_faults

IMPORTS = "from bench.testing import suite_contract"
LOSSES, METRICS = "losses_are_numbers_of_the_step", "metrics_are_numbers_with_units"
WRITTEN = "what_a_run_leaves_can_be_written"


def fault(name: str, test: str, message: str, more: str = "") -> Fault:
    return Fault(f'suite_contract("faults.suites:{name}"{more})', test, message)


FAULTS = [
    Fault(
        'suite_contract("faults.hasty_suite:SUITE")',
        "importing_it_does_not_import_torch",
        "hasty_suite.py:5; import it where a task is built",
    ),
    fault("NAMED", "names_what_it_has", "the summary of 'sine' is no line"),
    fault("EMPTY", "names_what_it_has", "has no models"),
    fault("UNDEFINED", "names_what_it_has", "the default problems ['cosine'] are none of its"),
    fault("CLASHING", "options_are_declared", "cannot be flags beside those of the harness"),
    fault("SILENT", "options_are_declared", "option 'waves' has no line of help"),
    fault("FORGETFUL_OPTIONS", "options_are_declared", "does not give the option 'waves'"),
    fault("ELSEWHERE", "the_spec_names_the_run", "makes a spec of 'cosine'"),
    fault("FICKLE", "the_spec_names_the_run", "another spec of the same request: settings"),
    fault("SEEDLESS", "the_spec_names_the_run", "makes the same run of another seed"),
    fault("TUPLES", "the_spec_names_the_run", "does not survive JSON: settings"),
    fault("PATHS", "the_spec_names_the_run", "its spec is no JSON"),
    fault("AXISLESS", "the_spec_names_the_run", "without a choice of ['rescaling']"),
    fault("ARMLESS", "arms_are_in_the_spec", "under the arm 'irelu' its activation is 'tanh'"),
    fault("LENIENT", "wrong_names_are_refused", "accepts 'no-such-name' as a problem"),
    fault("KEY_ERRORS", "wrong_names_are_refused", "raises KeyError: 'no-such-name'"),
    fault("STRANGE_MAIN", "columns_are_metrics", "['L2RE'], which is none of the metrics"),
    fault("STRANGE_COLUMN", "columns_are_metrics", "no run has the columns ['smallest']"),
    fault("SCORE_FIRST", "columns_are_metrics", "compared by 'error', of which more is better"),
    fault("STRANGE_SCORE", "columns_are_metrics", "the scores ['skill'] are no columns"),
    fault("LOSSLESS", LOSSES, "a step returns ['error'], and no 'loss'"),
    fault("NUMBERS", LOSSES, "the loss term 'loss' of a step is no scalar tensor"),
    fault("ATTACHED", LOSSES, "the loss term 'size' of a step still has its graph"),
    fault("INFINITE", LOSSES, "the loss term 'size' is inf at first"),
    fault("CHANGING", LOSSES, "a later step has other loss terms: ['late']"),
    fault("REUSED", LOSSES, "a later step changes the 'loss' that an earlier one returned"),
    fault("TENSOR_METRIC", METRICS, "the metric 'size' is Tensor, not a float"),
    fault("UNITLESS", METRICS, "'largest' has no unit"),
    fault("SELECTIONLESS", METRICS, "'selection' has no unit"),
    fault("SELECTIVE", METRICS, "the harness itself records ['selection']"),
    fault("DRAWN", "the_spec_decides", "something else than the seed decides"),
    fault("STILL", "training_changes_the_weights", "6 steps change no weight"),
    fault("SEEDLESS_TASK", "seeds_give_other_runs", "seeds 0 and 1 give the same run"),
    fault("ONE_ACTIVATION", "every_arm_trains", "'irelu' cannot be trained: ValueError"),
    fault("DEAF", "every_arm_trains", "under the arm 'irelu' a step does not change the loss"),
    fault("EVALUATES_A_BATCH", "looking_changes_nothing", "evaluate() changes the state: gen"),
    fault(
        "EVALUATES_WITH_A_HIDDEN_DRAW",
        "looking_changes_nothing",
        "evaluating changes what training depends on, perhaps a generator",
    ),
    fault("UNSTEADY", "looking_changes_nothing", "the same state twice gives other metrics: count"),
    fault("DIAGNOSES_IN_PLACE", "looking_changes_nothing", "diagnose() changes the state: net.0.w"),
    fault(
        "WITHOUT_OPTIMIZER",
        "a_continued_run_is_the_uninterrupted_one",
        "its state is not whole (loss, error of step 4: ",
    ),
    fault(
        "WITH_A_GENERATOR",
        "a_continued_run_is_the_uninterrupted_one",
        "its state cannot be kept in a file",
    ),
    fault("NO_JSON", WRITTEN, "the description of a task is no JSON"),
    fault("LIST_OF_WEIGHTS", WRITTEN, "the weights of a task cannot be kept"),
    fault("ONE_SEED_FOR_ALL", "seeds_together_are_seeds_alone", "seed 1 trained together has the"),
    fault("DIVIDED_TWICE", "a_divided_batch_is_the_whole_one", "in two parts a batch has"),
]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    return run_faults(tmp_path_factory.mktemp("suites"), IMPORTS, FAULTS)


@pytest.mark.parametrize("number", range(len(FAULTS)), ids=[one.call for one in FAULTS])
def test_a_fault_is_named(outcomes: Outcomes, number: int) -> None:
    outcomes.expect_failure(number, FAULTS[number].message)


@pytest.mark.parametrize(("name", "passes"), [("SINE", 18), ("TOGETHER", 19), ("DIVIDED", 19)])
def test_good_ones_pass(tmp_path: Path, name: str, passes: int) -> None:
    line = f'suite_contract("faults.suites:{name}", waves=2)'
    run_contracts(tmp_path, IMPORTS, [(line, None)]).expect_passes(passes)
