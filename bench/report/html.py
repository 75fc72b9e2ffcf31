"""What every page of the reports shares: its template, script, style and cells."""

from __future__ import annotations

import base64
import hashlib
import math
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bench.files.atomic import write_atomically
from bench.report.pictures import Picture
from bench.report.ratios import Lost
from bench.report.tabulation import Cell, is_numeric, shown
from bench.text.errors import BadInput

#: With which a script begins.
_STRICT = '"use strict";\n'
_VERDICTS = (
    "better",
    "equivalent",
    "mixed",
    "worse",
    "undecided",
    "no claim",
    "help each other",
    "hinder each other",
)


def rendered(template: str, **context: Any) -> str:
    """A page that needs nothing else.

    Args:
        template: File name of the template.
        context: What the template shows, beside style, script and the functions for cells.
    """
    script = _resource("page.js") + _resource("save.js").removeprefix(_STRICT)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    text: str = (
        _environment()
        .get_template(template)
        .render(
            style=Markup(_resource("page.css")),
            script=Markup(script),
            script_digest=digest,
            made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            svg=_svg,
            shown=shown,
            sort_key=_sort_key,
            is_number=lambda cell: isinstance(cell, float | int),
            is_numeric=is_numeric,
            verdict=_verdict_class,
            **context,
        )
    )
    return text


def write_page(path: Path, page: str) -> Path:
    """Write a page.

    Raises:
        BadInput: It cannot be written.
    """
    try:
        write_atomically(path, page.encode())
    except OSError as error:
        raise BadInput(f"cannot write {str(path)!r}: {error.strerror}") from error
    return path


def _svg(picture: Picture) -> Markup:
    """A figure as it is: what comes from outside was escaped when it was drawn."""
    return Markup(picture.svg)


def _verdict_class(cell: Cell) -> str:
    if isinstance(cell, Lost):
        return "lost"
    return str(cell).split()[0] if cell in _VERDICTS else ""


def _sort_key(cell: Cell) -> str:
    """The key that sorts a column: numbers by value, missing cells last."""
    number = cell.rank if isinstance(cell, Lost) else cell
    if isinstance(number, float | int):
        return "" if math.isnan(number) else repr(number).replace("inf", "1e999")
    return "" if cell is None else str(cell)


def _resource(name: str) -> str:
    return files("bench.report").joinpath("page", name).read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("bench.report", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
