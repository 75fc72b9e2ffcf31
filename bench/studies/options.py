"""The options that say what of a study is run."""

from __future__ import annotations

import shlex
from typing import Annotated

import msgspec

from bench.execution.selection import Seeds
from bench.spec.options import Doc
from bench.spec.training_options import TrainingOptions
from bench.studies.definition import split_words
from bench.studies.plan import Asked

#: The least with which two problems can support a claim.
SEEDS = 5


class StudyOptions(Seeds, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What of a study is run."""

    suite: Annotated[str | None, Doc("one suite; without it all of the study", "NAME")] = None
    problems: Annotated[
        tuple[str, ...], Doc("instead of the study's problems", "NAME", flag="problem")
    ] = ()
    models: Annotated[
        tuple[str, ...], Doc("instead of the study's models", "NAME", flag="model")
    ] = ()
    budget: Annotated[str, Doc("how long to train", "NAME")] = "quick"
    options: Annotated[
        str,
        Doc(
            "options of the suite for every run, as one word: --options '--protocol paper'",
            "'--NAME …'",
        ),
    ] = ""

    def asked(self, training: TrainingOptions, device: str, dtype: str) -> Asked:
        """How the study is to be run.

        Args:
            training: Changes of the budget's training.
            device: Resolved name of the device.
            dtype: The networks' dtype.

        Raises:
            BadInput: A number is out of its range, or the options are no command line.
        """
        return Asked(
            problems=self.problems,
            models=self.models,
            seeds=self.numbers(SEEDS),
            budget=self.budget,
            device=device,
            dtype=dtype,
            words=[*training.words(), *split_words(self.options)],
        )

    def command(self, name: str, suite: str, training: TrainingOptions, dtype: str) -> str:
        """The command that leads to the same plan.

        Args:
            name: Name of the study, or its file.
            suite: The suite of the plan.
            training: Changes of the budget's training.
            dtype: The networks' dtype.
        """
        whole = msgspec.structs.replace(self, suite=suite)
        if not self.seed:
            whole = msgspec.structs.replace(whole, seeds=len(self.numbers(SEEDS)))
        words = [name, *whole.words(), *training.words()]
        if dtype != "float32":
            words += ["--dtype", dtype]
        return shlex.join(["python", "-m", "bench.suite", "study", *words])
