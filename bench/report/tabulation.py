"""Tables as data, and as Markdown, CSV and LaTeX."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from tabulate import tabulate

from bench.text.formatting import number, times_text

Cell = str | float | int | None

#: A text that begins with a number: ``×0.81``, ``> 2000``, ``3 of 5``, ``1 (1–2)``.
_NUMBER_FIRST = re.compile(
    r"[<>≤≥]? ?×?(?P<number>[-−]?(?:\d+(?:\.\d*)?(?:e[-+]?\d+)?|∞))(?=$|[\s,;(])"
)


class Keyed(str):
    """A text that has its place among numbers.

    Attributes:
        key: The number.
        exact: Whether the text is that number, so that a file of data has the number with all its
            digits; else it has the text.
    """

    __slots__ = ("exact", "key")
    key: float
    exact: bool

    def __new__(cls, text: str, key: float, exact: bool = False) -> Keyed:
        made = super().__new__(cls, text)
        made.key, made.exact = key, exact
        return made


def factor(value: float) -> Keyed:
    """A ratio as ``×0.81``, with all its digits in a file of data."""
    return Keyed(times_text(value), value, exact=True)


def keyed_rows(table: Table) -> list[list[Cell]]:
    """The rows, in which every cell of a column of numbers has its place among numbers.

    That is a column with a number, or of which most texts begin with one. What is no number is last
    there, as a missing one is.
    """
    numeric = [_is_of_numbers(table, column) for column in range(len(table.header))]
    return [
        [_keyed(cell) if of else cell for cell, of in zip(row, numeric, strict=True)]
        for row in table.rows
    ]


def _is_of_numbers(table: Table, column: int) -> bool:
    cells = [row[column] for row in table.rows]
    if any(isinstance(cell, float | int | Keyed) for cell in cells):
        return True
    texts = [cell for cell in cells if isinstance(cell, str) and cell]
    return 2 * sum(_first_number(text) is not None for text in texts) > len(texts)


def _keyed(cell: Cell) -> Cell:
    if not isinstance(cell, str) or isinstance(cell, Keyed) or not cell:
        return cell
    found = _first_number(cell)
    return Keyed(cell, math.nan if found is None else found)


def _first_number(text: str) -> float | None:
    found = _NUMBER_FIRST.match(text)
    return None if found is None else float(found["number"].replace("−", "-").replace("∞", "inf"))


#: Formats of `render`.
FORMATS = ("md", "csv", "latex")


@dataclass(frozen=True)
class Table:
    """Rows under a header.

    Attributes:
        name: The name by which a table is asked for.
        title: Title for people.
        header: Names of the columns.
        rows: A cell for each column. A float is shown with three digits, infinity as ``∞``.
        note: What a reader must know about the table.
    """

    name: str
    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""


def shown(cell: Cell) -> str:
    """A cell as people read it."""
    if isinstance(cell, float):
        if math.isinf(cell):
            return "∞" if cell > 0 else "−∞"
        return number(cell)
    return "" if cell is None else str(cell)


def render(tables: Sequence[Table], kind: str) -> str:
    """Tables as text.

    Args:
        tables: The tables; exactly one for CSV.
        kind: One of `FORMATS`. CSV has numbers with all digits, and empty cells for missing ones.
    """
    if kind == "csv":
        (table,) = tables
        return _csv(table)
    return "\n\n".join(_latex(table) if kind == "latex" else _markdown(table) for table in tables)


def escaped(text: str) -> str:
    """A sentence as Markdown, without what would be markup: names come from outside."""
    return text.replace("\\", "\\\\").replace("<", "&lt;").replace("|", "\\|")


def _csv(table: Table) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.header)
    for row in table.rows:
        writer.writerow([_plain(cell) for cell in row])
    return text.getvalue()


def _plain(cell: Cell) -> str:
    if isinstance(cell, Keyed) and cell.exact:
        cell = cell.key
    if isinstance(cell, float) and math.isnan(cell):
        return ""
    if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@"):
        # Spreadsheets would run it as a formula.
        return f"'{cell}"
    return "" if cell is None else str(cell)


def _strings(table: Table) -> list[list[str]]:
    return [[shown(cell) for cell in row] for row in table.rows]


def is_numeric(table: Table, column: int) -> bool:
    """Whether a column has numbers."""
    return any(isinstance(row[column], float | int) for row in table.rows)


def _alignment(table: Table) -> list[str]:
    """The alignment of each column: numbers to the right."""
    return ["right" if is_numeric(table, k) else "left" for k in range(len(table.header))]


def _markdown(table: Table) -> str:
    def cell(text: str) -> str:
        return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")

    body = tabulate(
        [[cell(text) for text in row] for row in _strings(table)],
        [cell(text) for text in table.header],
        tablefmt="pipe",
        disable_numparse=True,
        colalign=_alignment(table),
    )
    note = f"\n\n{table.note}" if table.note else ""
    return f"### {table.title}\n\n{body}{note}\n"


#: What LaTeX's text fonts lack.
_LATEX = {
    "×": r"$\times$",
    "∞": r"$\infty$",
    "−": r"$-$",
    "·": r"$\cdot$",
    "–": "--",
    "Å": r"\AA{}",
}


def _latex(table: Table) -> str:
    body = tabulate(
        _strings(table),
        table.header,
        tablefmt="latex_booktabs",
        disable_numparse=True,
        colalign=_alignment(table),
    )
    for character, command in _LATEX.items():
        body = body.replace(character, command)
    return f"% {table.title}\n{body}\n"
