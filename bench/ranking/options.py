"""The options that say what is ranked."""

from __future__ import annotations

import shlex
from typing import Annotated

import msgspec

from bench.execution.options import ExecutionOptions
from bench.spec.options import Doc, Options
from bench.spec.training_options import TrainingOptions
from bench.studies.definition import split_words
from bench.text.errors import BadInput
from bench.text.hours import parse_hours

#: The budget that is chosen by the time there is.
AUTO = "auto"
_MOST_SEEDS = 10_000


class RankOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is ranked, against what, on what, and in how much time."""

    candidates: Annotated[
        tuple[str, ...],
        Doc(
            "what is to be ranked: an arm, 'ARM --OPTION …', or a FILE.toml with [[candidate]]",
            "ARM",
            flag="candidate",
            also=("arm", "arms"),
        ),
    ] = ()
    against: Annotated[
        tuple[str, ...],
        Doc(
            "what it is ranked against, written alike ([[against]] in a file); without it the known"
            " arms. The baseline is always there",
            "ARM",
            also=("reference",),
        ),
    ] = ()
    suite: Annotated[tuple[str, ...], Doc("a suite; without it all", "NAME")] = ()
    problems: Annotated[
        tuple[str, ...],
        Doc("a problem; without it the suite's default ones that fit", "NAME", flag="problem"),
    ] = ()
    models: Annotated[
        tuple[str, ...],
        Doc("a network; without it the suite's default", "NAME", flag="model"),
    ] = ()
    budget: Annotated[
        str,
        Doc(
            "how long to train; auto: quick, or short where that does not fit, or the one that the"
            " store has this ranking under",
            "NAME",
        ),
    ] = AUTO
    hours: Annotated[
        str, Doc("how long all of it may take, for instance 8, 0.5 or 90min", "TIME")
    ] = "8"
    seeds: Annotated[
        int, Doc("the most scored seeds of an arm", "N", also=("n-seeds", "repeats"))
    ] = 20
    options: Annotated[
        str,
        Doc(
            "options of the suite for every run, as one word: --options '--protocol paper'",
            "'--NAME …'",
        ),
    ] = ""

    def check(self) -> None:
        """Refuse numbers that are out of their range.

        Raises:
            BadInput: ``hours`` or ``seeds`` is.
        """
        parse_hours(self.hours)
        if not 1 <= self.seeds <= _MOST_SEEDS:
            raise BadInput(f"--seeds must be from 1 to {_MOST_SEEDS}, got {self.seeds}")

    @property
    def seconds(self) -> float:
        """How long all of it may take.

        Raises:
            BadInput: ``hours`` is out of its range.
        """
        return 3600 * parse_hours(self.hours)

    def words_of_runs(self, training: TrainingOptions) -> list[str]:
        """Options of training and of the suite for every run, as on a command line.

        Raises:
            BadInput: The suite's options are no command line.
        """
        return [*training.words(), *split_words(self.options)]

    def command(self, suite: str, training: TrainingOptions, where: ExecutionOptions) -> str:
        """The command that leads to the same ranking.

        Args:
            suite: The suite of the ranking.
            training: Changes of the budget's training.
            where: Where runs are carried out: the dtype and a device that is asked for change the
                question.
        """
        words = [*msgspec.structs.replace(self, suite=(suite,)).words(), *training.words()]
        if where.dtype != "float32":
            words += ["--dtype", where.dtype]
        if where.device != "auto":
            words += ["--device", where.device.partition(":")[0]]
        return shlex.join(["python", "-m", "bench.suite", "rank", *words])
