"""What a contract asks of a suite: short runs on the CPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.api.arguments import sort_arguments
from bench.arm import BASELINE, Arm
from bench.plugins import load_suite
from bench.spec.options import Options
from bench.spec.spec import Spec
from bench.spec.user_code import is_reference, load
from bench.task import Request, Suite

#: Steps that are taken, and of the whole training that they are the first half of.
STEPS, WHOLE = 6, 12


class Requests:
    """The runs that the contracts of a suite are tested on.

    Attributes:
        problem: The suite's first default if it is ``None``.
        model: Likewise.
        budget: ``smoke`` if it is ``None``; the suite's first where there is none of that name.
        arms: Further arms that are trained, too.
        absent: Columns of the tables that these runs have no metric for.
        options: Of training and of the suite.
    """

    problem: str | None = None
    model: str | None = None
    budget: str | None = None
    arms: Sequence[str] = ()
    absent: Sequence[str] = ()
    options: Mapping[str, Any] = {}

    def request(
        self, suite: Suite, arm: str = BASELINE, seed: int = 0, dtype: str = "float32"
    ) -> Request:
        """A request for a short training."""
        budgets = suite.budgets
        budget = self.budget or ("smoke" if "smoke" in budgets else next(iter(budgets)))
        given = {"steps": WHOLE, "evaluations": 2, **self.options}
        sorted_ = sort_arguments(suite, given)
        return Request(
            self.problem or suite.default_problems()[0],
            self.model or suite.default_models(budget)[0],
            Arm.parse(arm),
            seed,
            budget,
            "cpu",
            dtype,
            sorted_.training,
            sorted_.suite,
        )

    def spec(self, suite: Suite, **asked: Any) -> Spec:
        return suite.specify(self.request(suite, **asked))


def suite_of(token: str) -> Suite:
    """The suite that a name or ``module:attribute`` names.

    Raises:
        BadInput: There is none, or it does not import.
    """
    if not is_reference(token):
        return load_suite(token)
    suite: Suite = load(token)
    assert issubclass(suite.options, Options), (
        f"suite {token!r}: its options are no bench.spec.options.Options"
    )
    return suite
