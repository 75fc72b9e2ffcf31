"""What a night found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.tracking.comparison import Change


@dataclass(frozen=True)
class Judgement:
    """A commit, compared with one that is good.

    Attributes:
        base: Full hash of the good commit; ``None``: there was nothing to compare with.
        distance: Number of commits from the base to the commit.
        changes: Changes of all benchmarks against the base.
        worse: The changes that make the verdict red.
        refuted: Names of suspected times that a second measurement did not confirm.
        first_bad: Short hash of the first measured commit that has a regression, by its name.
        notes: Sentences about the comparison.
    """

    worse: Sequence[Change]
    base: str | None = None
    distance: int = 0
    changes: Sequence[Change] = ()
    refuted: Sequence[str] = ()
    first_bad: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Creeping:
    """Changes over several nights, in steps too small to be seen.

    Attributes:
        worse: The changes from the oldest good values.
        since: Short hash of the commit that has the oldest good value, by name.
    """

    worse: Sequence[Change] = ()
    since: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Findings:
    """Everything that the summary says.

    Attributes:
        title: Short hash and subject of the commit that was judged.
        commit: Full hash of that commit.
        base_title: Short hash and subject of the base, if there is one.
        profile: Profile of the measurement.
        machine: asv's name of the machine.
        judgement: The comparison with the base.
        creeping: The comparison with the oldest good values.
        measured: Number of values that the commit has.
        notes: Sentences about the machine and the measurement.
        reasons: Last lines of the output of failed benchmarks.
        logs: Folder with asv's output.
        pages: Folder with the pages, if there are any.
        config: asv's configuration that finds the results.
        accept: Command that accepts the commit as it is.
    """

    title: str
    commit: str
    base_title: str | None
    profile: str
    machine: str
    judgement: Judgement
    creeping: Creeping
    measured: int
    notes: Sequence[str]
    reasons: Sequence[str]
    logs: Path
    pages: Path | None
    config: Path
    accept: str

    @property
    def worse(self) -> list[Change]:
        """Everything that got worse, at once or in small steps."""
        return [*self.judgement.worse, *self.creeping.worse]

    @property
    def red(self) -> bool:
        """Whether something got worse."""
        return bool(self.worse)
