"""Differences as text, on the terminal, and as a page."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

from bench.report.difference.results import Difference
from bench.report.difference.tables import SUMMARIES, difference_tables, lines, notes
from bench.report.sheet import Section, write_sheet
from bench.report.tables import print_table, render_console
from bench.report.tabulation import escaped, render

#: Of text: longer lines are hard to read, however wide the terminal is.
_WIDEST = 100


def sides_line(found: Difference) -> str:
    """Which is A and which is B."""
    return f"A: {found.a} · B: {found.b} · {found.suite} · budget {found.budget}"


def print_difference(found: Difference) -> None:
    """Print what differs beside the results, and then in them."""
    console = render_console()
    width = min(console.width, _WIDEST)
    print(f"\n{sides_line(found)}\n")
    tables = difference_tables(found, SUMMARIES)
    if "conditions" in tables:
        print(tables["conditions"].title)
        print_table(tables["conditions"], console)
        print()
    for text in lines(found):
        print(textwrap.fill(text, width))
    print()
    for name, table in tables.items():
        if name != "conditions":
            print(table.title)
            print_table(table, console)
            print()
    for text in notes(found):
        print(textwrap.fill(text, width, initial_indent="  ", subsequent_indent="    "))


def text_of(found: Difference, kind: str, table: str | None) -> str:
    """Tables as text; with Markdown, if no table is named, the sentences too.

    Args:
        found: The difference.
        kind: One of `bench.report.tabulation.FORMATS`.
        table: Name of one table; ``None``: all that say something of more than a run.

    Returns:
        The text; empty if the table has no rows.
    """
    tables = difference_tables(found, SUMMARIES if table is None else [table])
    if kind != "md" or table is not None:
        return render(list(tables.values()), kind) if tables else ""
    first = [one] if (one := tables.pop("conditions", None)) else []
    said = "\n".join(f"* {escaped(text)}" for text in [*lines(found), *notes(found)])
    parts = [f"## {sides_line(found)}", render(first, kind), said, render([*tables.values()], kind)]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def write_page(found: Sequence[Difference], path: Path) -> Path:
    """Write a page.

    Raises:
        BadInput: It cannot be written.
    """
    sections = []
    for one in found:
        tables = difference_tables(one, SUMMARIES)
        first = [table] if (table := tables.pop("conditions", None)) else []
        title = f"{one.suite} · budget {one.budget}"
        if first:
            sections.append(Section(f"{title}: conditions", [], first))
            title += ": results"
        sections.append(Section(title, lines(one), list(tables.values()), notes(one)))
    names = [f"A: {found[0].a}", f"B: {found[0].b}"]
    return write_sheet(path, "B against A", names, sections)
