"""The results of one machine, as a night looks at them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from bench.tracking import adoption, result_files, results
from bench.tracking.results import Value


class MachineResults:
    """The results of one machine.

    The methods raise `BadInput` if a file is damaged or benchmarks.json is missing.

    Args:
        folder: asv's folder of results.
        machine: asv's name of the machine.
        regexes: Regular expressions of the chosen benchmarks; all are chosen if there are none.
    """

    def __init__(self, folder: Path, machine: str, regexes: Sequence[str] = ()) -> None:
        self.folder = folder
        self.machine = machine
        self.regexes = regexes

    def values(self, commit: str) -> dict[str, Value]:
        """The values of a commit that are chosen, by name."""
        found = results.read(self.folder, self.machine, commit)
        return {name: value for name, value in found.items() if self._is_chosen(name)}

    def missing(self, commit: str) -> set[str]:
        """Names of the chosen values that a commit has no result for, or a failure."""
        absent = results.missing(self.folder, self.machine, commit)
        return {name for name in absent if self._is_chosen(name)}

    def is_complete(self, commit: str) -> bool:
        """Whether a commit has a result, or a failure, for every value, chosen or not."""
        return not results.missing(self.folder, self.machine, commit, failures=False)

    def names(self) -> set[str]:
        """Names of all values that can be measured."""
        return results.expected(self.folder)

    def removed(self, commit: str) -> dict[str, Value]:
        """The chosen values of a commit that can be measured no more, by name."""
        found = results.removed(self.folder, self.machine, commit)
        return {name: value for name, value in found.items() if self._is_chosen(name)}

    def files(self, commit: str) -> dict[Path, bytes]:
        """The result files of a commit, for `bench.tracking.result_files.restore`."""
        return result_files.files(self.folder, self.machine, commit)

    def adopt(self, other: MachineResults, commit: str, names: set[str]) -> None:
        """Take values of a commit from another folder, whole or not at all.

        Args:
            other: Results of the same machine.
            commit: Full hash.
            names: Names of the values.
        """
        adoption.adopt(self.folder, other.folder, self.machine, commit, names)

    def _is_chosen(self, name: str) -> bool:
        return not self.regexes or any(re.search(regex, name) for regex in self.regexes)
