"""The contract of a suite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.testing.contract import contract_of
from bench.testing.suite_extras import ExtrasContract
from bench.testing.suite_listing import ListingContract
from bench.testing.suite_specs import SpecContract
from bench.testing.suite_training import TrainingContract


# pytest begins with the last.
class SuiteContract(ExtrasContract, TrainingContract, SpecContract, ListingContract):
    """What a suite must be; see `suite_contract`."""


def suite_contract(
    name: str,
    *,
    problem: str | None = None,
    model: str | None = None,
    budget: str | None = None,
    arms: Sequence[str] = ("irelu", "denorm", "rescale=2", "lsuv"),
    absent: Sequence[str] = (),
    **options: Any,
) -> type[SuiteContract]:
    """Tests of a suite: ``TestMine = suite_contract("mine.suite:SUITE", problem="small")``.

    It is listed without torch, its options are flags, keys and arguments alike, names that there
    are not are refused. The spec decides on a run bitwise, seeds give other ones, evaluating and
    diagnosing are not seen in training, and a run that was stopped goes on as if it had not been.
    Losses and metrics are numbers with units, the tables' columns are among them, and weights,
    states and descriptions can be written. Seeds together, and parts of a batch, are tested where
    the suite has them.

    Every test trains some steps on the CPU: name a problem and a model that take little time.

    Args:
        name: Of an installed suite, or ``module:attribute``.
        problem: The suite's first default unless it is given.
        model: Likewise.
        budget: ``smoke`` unless it is given; the suite's first where there is none of that name.
        arms: Those that are trained, too.
        absent: Columns of the tables that a run of this problem has no metric for.
        options: Of training and of the suite, as in `bench.run`.
    """
    return contract_of(
        SuiteContract,
        (name,),
        problem=problem,
        model=model,
        budget=budget,
        arms=tuple(arms),
        absent=tuple(absent),
        options=options,
    )
