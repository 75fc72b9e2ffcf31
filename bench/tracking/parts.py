"""What a night works with, put together from its options."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path

from asv.machine import Machine as AsvMachine

from bench.tracking.asv_commands import Asv
from bench.tracking.branch import ResultsBranch
from bench.tracking.commits import Repository
from bench.tracking.configuration import Configuration
from bench.tracking.journal import Journal
from bench.tracking.judging import Judge
from bench.tracking.keeping import Keeper
from bench.tracking.machine_results import MachineResults
from bench.tracking.measuring import Measuring
from bench.tracking.options import (
    MeasuringOptions,
    PublishingOptions,
    ResultsOptions,
    acceptance_command,
)
from bench.tracking.publishing import Publisher


@dataclass(frozen=True)
class Parts:
    """The parts of a night.

    Attributes:
        repository: The checkout, whose HEAD is judged.
        kept: The results that last.
        asv: Runs asv with these results.
        journal: The verdicts of earlier nights.
        keeper: Keeps results and the verdict of this night.
        measuring: Measures commits.
        judge: Judges HEAD.
        publisher: Tells people.
        pages: Folder of the pages; ``None`` if none are written.
        acceptance: The command line that calls HEAD good.
    """

    repository: Repository
    kept: MachineResults
    asv: Asv
    journal: Journal
    keeper: Keeper
    measuring: Measuring
    judge: Judge
    publisher: Publisher
    pages: Path | None
    acceptance: str

    @classmethod
    def assemble(
        cls,
        what: MeasuringOptions,
        where: ResultsOptions,
        publishing: PublishingOptions,
        repository: Repository,
        branch: ResultsBranch | None,
    ) -> Parts:
        """Put the parts together, check the branch out, and make the folders.

        Args:
            what: What is measured.
            where: Where results are kept.
            publishing: What becomes of them.
            repository: The checkout.
            branch: The branch that results are kept on, if there is one.

        Raises:
            BadInput: The branch cannot be checked out, or asv's configuration or the journal is
                damaged.
        """
        folder = repository.root / ".asv"
        # Of one commit, a profile with fewer parameters would replace the results of another.
        results = where.results or folder / what.profile / "results"
        if branch:
            results = branch.open(folder / "branch") / "results" / what.profile
        configuration = Configuration.load(repository.root, results.resolve())
        configuration.results_dir.mkdir(parents=True, exist_ok=True)
        scratch = Configuration.load(repository.root, folder / "again" / "results")
        machine = what.machine or str(AsvMachine.get_unique_machine_name())
        when = datetime.datetime.now(datetime.UTC)
        logs = folder / "logs" / when.strftime("%Y%m%d-%H%M%S")
        asv = Asv(configuration, what.profile, machine, logs, folder / "nightly.conf.json")
        again = Asv(scratch, what.profile, machine, logs, folder / "again.conf.json")
        journal = Journal(configuration.results_dir, machine, what.profile)
        keeper = Keeper(journal, what.profile, when, branch, publishing.push)
        kept = MachineResults(configuration.results_dir, machine, what.bench)
        measuring = Measuring(asv, kept, again, keeper.save)
        pages = None if publishing.no_publish else configuration.html_dir
        return cls(
            repository=repository,
            kept=kept,
            asv=asv,
            journal=journal,
            keeper=keeper,
            measuring=measuring,
            judge=Judge(repository, kept, measuring, configuration.thresholds, what.rounds),
            publisher=Publisher(asv, publishing.summary, pages is not None),
            pages=pages,
            acceptance=acceptance_command(repository.head, machine, what, where, publishing),
        )
