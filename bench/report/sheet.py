"""A page of sentences and tables: one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.files.atomic import write_atomically
from bench.report.rendering import page
from bench.report.tabulation import Table
from bench.text.errors import BadInput


@dataclass(frozen=True)
class Section:
    """A heading with what stands below it.

    Attributes:
        title: The heading.
        lines: Sentences above the tables.
        tables: The tables.
        notes: Sentences below them.
    """

    title: str
    lines: Sequence[str]
    tables: Sequence[Table]
    notes: Sequence[str] = ()


def write_sheet(path: Path, title: str, lines: Sequence[str], sections: Sequence[Section]) -> Path:
    """Write a page.

    Args:
        path: The file.
        title: The heading of the page.
        lines: Sentences below it.
        sections: The rest.

    Returns:
        The file.

    Raises:
        BadInput: It cannot be written.
    """
    try:
        write_atomically(path, sheet(title, lines, sections).encode())
    except OSError as error:
        raise BadInput(f"cannot write {str(path)!r}: {error.strerror}") from error
    return path


def sheet(title: str, lines: Sequence[str], sections: Sequence[Section]) -> str:
    """The page's text; it depends on its arguments alone."""
    return page("sheet.html", title=title, lines=lines, sections=sections)
