"""A page of sentences and tables: one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bench.files.atomic import write_atomically
from bench.report.document import _STRICT, _resource, _sort_key, _verdict_class
from bench.report.tabulation import Table, is_numeric, shown
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
    environment = Environment(
        loader=PackageLoader("bench.report", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = _resource("page.js") + _resource("save.js").removeprefix(_STRICT)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template("sheet.html").render(
        title=title,
        lines=lines,
        sections=sections,
        style=Markup(_resource("page.css")),
        script=Markup(script),
        script_digest=digest,
        shown=shown,
        sort_key=_sort_key,
        is_number=lambda cell: isinstance(cell, float | int),
        is_numeric=is_numeric,
        verdict=_verdict_class,
    )
