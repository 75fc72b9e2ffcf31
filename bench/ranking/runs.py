"""The runs of a ranking: what the suite makes of an arm at a setting, a seed and a length."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from bench.ranking.ranking import Contestant, Setting, Trial
from bench.ranking.schedule import Case
from bench.ranking.tunable import search_of, tuned_arm, tuned_training
from bench.ranking.tuning import Key, Search, key_of
from bench.spec.spec import Spec
from bench.studies.definition import Variant
from bench.studies.plan import PlannedRun, parse_options, planned_run
from bench.task import Request, Suite
from bench.text.errors import BadInput


@dataclass(frozen=True)
class Runs:
    """Makes the runs of a ranking on one suite.

    Args:
        suite: The suite.
        budget: Name of the budget.
        device: Resolved name of the device.
        dtype: Of the networks.
        words: Options of training and of the suite for every run, as on a command line.
        problems: As they were asked for.
        models: As they were asked for.
    """

    suite: Suite
    budget: str
    device: str
    dtype: str
    words: Sequence[str]
    problems: Sequence[str]
    models: Sequence[str]
    _made: dict[tuple[Case, str, Key, int, float], PlannedRun] = field(default_factory=dict)

    @property
    def kind_of_device(self) -> str:
        """``cpu`` or ``cuda``."""
        return self.device.partition(":")[0]

    @functools.cached_property
    def asked(self) -> Mapping[Case, tuple[str, str]]:
        """Problem and model as they were asked for, by what specs call them, in that order.

        Raises:
            BadInput: A name is wrong, or two problems have one name.
        """
        found: dict[Case, tuple[str, str]] = {}
        for problem in dict.fromkeys(self.problems):
            for model in dict.fromkeys(self.models):
                spec = self._run((problem, model), Contestant("baseline"), {}, 0, 1.0).spec
                if found.setdefault((spec.problem, spec.model), (problem, model))[0] != problem:
                    raise BadInput(f"two problems are called {spec.problem!r}: rank on one of them")
        return found

    def run(
        self, case: Case, contestant: Contestant, setting: Setting, seed: int, share: float = 1.0
    ) -> PlannedRun:
        """One run.

        Args:
            case: Problem and model, as specs call them.
            contestant: The arm.
            setting: What differs from the arm without tuning; empty: nothing.
            seed: The seed.
            share: Length in shares of the budget's steps.

        Raises:
            BadInput: The suite cannot do this.
        """
        key = (case, contestant.arm, key_of(setting), seed, share)
        if key not in self._made:
            self._made[key] = self._run(self.asked[case], contestant, setting, seed, share)
        return self._made[key]

    def trial(self, case: Case, contestant: Contestant, setting: Setting, seed: int) -> Trial:
        """A trial of a setting, at full length."""
        run = self.run(case, contestant, setting, seed)
        return Trial(run.spec, run.command, setting)

    def plain(self, case: Case, contestant: Contestant) -> Spec:
        """The first run of an arm without tuning."""
        return self.run(case, contestant, {}, 0).spec

    def search(self, case: Case, contestant: Contestant) -> Search:
        """The settings that an arm tries on a problem and model."""
        return search_of(contestant, self.plain(case, contestant))

    def sources(self, arms: Sequence[Contestant]) -> dict[str, str]:
        """Digest of the source file of each own object of the arms; those of problems left out.

        Args:
            arms: The reference, which has none, then the others.
        """
        found: dict[str, str] = {}
        for case in self.asked:
            of_problem = self.plain(case, arms[0]).sources
            for arm in arms[1:]:
                found |= self.plain(case, arm).sources
            found = {name: digest for name, digest in found.items() if name not in of_problem}
        return dict(sorted(found.items()))

    def _run(
        self,
        asked: tuple[str, str],
        contestant: Contestant,
        setting: Setting,
        seed: int,
        share: float,
    ) -> PlannedRun:
        variant = Variant.parse(contestant.arm)
        training, options = parse_options(
            self.suite, contestant.label, [*self.words, *variant.options]
        )
        problem, model = asked
        request = Request(
            problem=problem,
            model=model,
            arm=tuned_arm(variant.arm, setting),
            seed=seed,
            budget=self.budget,
            device=self.kind_of_device,
            dtype=self.dtype,
            training=tuned_training(training, setting),
            options=options,
        )
        made = self._planned(request, contestant)
        if share == 1.0:
            return made
        whole = made.spec.training
        steps = _part(whole.steps, share)
        # So that arms that divide equal steps otherwise have equal ones at each length.
        rest = _part(whole.total_steps, share) - steps
        shorter = msgspec.structs.replace(
            request.training, steps=steps, lbfgs_steps=max(rest, 1) if whole.lbfgs_steps else 0
        )
        return self._planned(
            Request(**{**vars(request), "training": shorter}),
            contestant,
        )

    def _planned(self, request: Request, contestant: Contestant) -> PlannedRun:
        words = [*request.training.words(), *request.options.words()]
        return planned_run(self.suite, request, words, contestant.arm)


def _part(steps: int, share: float) -> int:
    """A share of some steps, at least one where there are any."""
    return max(1, round(steps * share)) if steps else 0
