"""What differs between two sides, as data frames."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from bench.report.difference.page import sides_line, write_page
from bench.report.difference.results import differences
from bench.report.difference.tables import difference_tables, lines, notes
from bench.report.ratios import Lost
from bench.report.tabulation import Cell

if TYPE_CHECKING:
    from bench.report.difference.results import Difference as Part
    from bench.report.difference.sides import Side


class Difference:
    """What differs between two sides, A and B, beside their results and in them.

    Args:
        parts: The differences, one for each suite and budget that both have.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = parts

    @classmethod
    def between(
        cls, a: Side, b: Side, suite: str | None = None, budget: str | None = None
    ) -> Difference:
        """The difference of two sides; see `bench.difference`."""
        return cls(differences(a, b, suite, budget))

    @property
    def answer(self) -> str:
        """How many runs are equal to the last bit, which verdicts differ, and what limits that."""
        return "\n\n".join(
            "\n".join([sides_line(part), *lines(part), *notes(part)]) for part in self.parts
        )

    @property
    def equal(self) -> bool:
        """Whether every run of A has the same results in B, to the last bit."""
        return all(part.equal == len(part.pairs) for part in self.parts)

    def frame(self) -> pd.DataFrame:
        """A row for each arm: the main error of B over that of A.

        Returns:
            ``error ratio`` is below 1 where B's error is smaller; ``low`` and ``high`` are the ends
            of the 95 % interval; ``equal`` is the number of pairs that are equal to the last bit.
        """
        return self._table("arms")

    def conditions(self) -> pd.DataFrame:
        """A row for each thing that differs beside the results: spec, code, versions, machine."""
        return self._table("conditions")

    def verdicts(self) -> pd.DataFrame:
        """A row for each arm: its verdict against the baseline in A, and in B."""
        return self._table("verdicts")

    def runs(self) -> pd.DataFrame:
        """A row for each pair of runs, with the main error of both."""
        return self._table("runs")

    def _table(self, name: str) -> pd.DataFrame:
        rows: list[dict[str, Any]] = []
        for part in self.parts:
            table = difference_tables(part, [name]).get(name)
            if table is None:
                continue
            rows += [
                {
                    "suite": part.suite,
                    "budget": part.budget,
                    **dict(zip(table.header, map(_number_or, row), strict=True)),
                }
                for row in table.rows
            ]
        return pd.DataFrame(rows)

    def report(self, path: Path | str) -> Path:
        """Write a page: one file that needs nothing else.

        Args:
            path: The HTML file.

        Returns:
            The same path.

        Raises:
            BadInput: It cannot be written.
        """
        return write_page(self.parts, Path(path))

    def __repr__(self) -> str:
        return self.answer


def _number_or(cell: Cell) -> Cell:
    """A cell, NaN where diverged runs leave no ratio."""
    return math.nan if isinstance(cell, Lost) else cell
