"""What a night measures: commits without results, and values that need a second look."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable, Sequence

from bench.tracking.asv_commands import Asv
from bench.tracking.commits import Repository, spread
from bench.tracking.machine_results import MachineResults
from bench.tracking.result_files import restore
from bench.tracking.results import NOISY, is_number


def unmeasured(repository: Repository, kept: MachineResults, base: str, most: int) -> list[str]:
    """The commits after a base to measure, oldest first, HEAD last.

    Args:
        repository: The checkout.
        kept: What has been measured.
        base: Full hash of the commit before them.
        most: At most so many, HEAD among them.
    """
    head = repository.head
    absent = [
        commit
        for commit in repository.between(base, head)
        if commit != head and not kept.is_complete(commit)
    ]
    return spread([*absent, head], most)


class Measuring:
    """Runs asv, and never loses a value that there was.

    Args:
        asv: asv with the configuration that keeps its results in `kept`.
        kept: The results that last.
        again: asv with a results folder of its own, which is emptied before each use.
        save: Called after each part of a measurement with what it was.
    """

    def __init__(
        self, asv: Asv, kept: MachineResults, again: Asv, save: Callable[[str], None]
    ) -> None:
        self._asv = asv
        self._kept = kept
        self._again = again
        self._save = save

    def complete(self, commit: str) -> list[str]:
        """Run what has no result yet, module by module, so that a kill loses little.

        Args:
            commit: Full hash.

        Returns:
            A sentence for each module whose old values are kept, because a new run failed.
        """
        notes = []
        for regex in self._parts(self._kept.missing(commit)):
            before = self._kept.files(commit)
            had = _measured(self._kept, commit)
            self._asv.measure(commit, regex)
            lost = had - _measured(self._kept, commit)
            if lost:
                # A benchmark with new parameters runs whole.
                restore(before)
                names = ", ".join(sorted(lost))
                notes.append(f"{commit[:10]}: failed when run again, old values kept: {names}")
            self._save(f"{commit[:10]}: {regex}")
        return notes

    def _parts(self, names: Iterable[str]) -> list[str]:
        """Regular expressions for the benchmarks to run, each with all its parameters: asv notes
        parameters that a run leaves out as skipped.
        """
        if self._kept.regexes:
            benchmarks = sorted({name.partition("(")[0] for name in names})
            return [f"^{re.escape(name)}(\\(|$)" for name in benchmarks]
        return [f"^{module}\\." for module in sorted({name.partition(".")[0] for name in names})]

    def in_turn(self, commits: Sequence[str], names: set[str], rounds: int) -> set[str]:
        """Measure values again, all commits in each round, and take over what succeeded.

        Args:
            commits: Full hashes.
            names: Names of the values.
            rounds: Number of rounds.

        Returns:
            The names of the values that were measured again for all commits; others stay.
        """
        scratch = MachineResults(self._again.results_dir, self._kept.machine)
        shutil.rmtree(scratch.folder, ignore_errors=True)
        self._again.measure_in_turn(commits, sorted(names), rounds)
        done = names.intersection(*(_measured(scratch, commit) for commit in commits))
        for commit in commits:
            self._kept.adopt(scratch, commit, done)
        return done

    def on_changed_machine(self, base: str, head: str, changed: Sequence[str]) -> str:
        """Measure what depends on the machine again, for both commits.

        Args:
            base: Full hash of the older commit, which was measured before the change.
            head: Full hash of the newer commit.
            changed: What changed, in words.

        Returns:
            A sentence about it.
        """
        moved = {
            name
            for name, value in self._kept.values(base).items()
            # A fingerprint's last digits depend on the CPU's instructions, and 32-bit draws too.
            if value.kind in NOISY or value.two_sided or name.startswith("gpu.")
            if is_number(value)
        }
        done = self.in_turn([base, head], moved, 1) if moved else set()
        return (
            f"the machine changed ({'; '.join(changed)}): {len(done)} of {len(moved)} values that"
            f" depend on it were measured anew for {base[:10]} too"
        )


def _measured(kept: MachineResults, commit: str) -> set[str]:
    """Names of the values of a commit that are numbers."""
    return {name for name, value in kept.values(commit).items() if is_number(value)}
