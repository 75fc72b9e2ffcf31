"""Pages: one HTML file each, which needs nothing else."""

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

#: The parts of the page's script, in their order.
_SCRIPTS = ("page.js", "arms.js", "values.js", "save.js")
#: With which each begins.
_STRICT = '"use strict";\n'
_VERDICTS = (
    "better",
    "worse",
    "equivalent",
    "mixed",
    "undecided",
    "no claim",
    "help each other",
    "hinder each other",
)
#: Headers of the columns that have them.
_OF_VERDICTS = ("verdict", "in A", "in B")


def page(template: str, **values: Any) -> str:
    """The text of a page.

    Args:
        template: Name of a template in ``bench/report/page`` that extends ``base.html``.
        values: What the template shows.
    """
    script = _STRICT + "".join(_resource(name).removeprefix(_STRICT) for name in _SCRIPTS)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return str(
        _environment()
        .get_template(template)
        .render(
            **values,
            style=Markup(_resource("page.css")),
            script=Markup(script),
            script_digest=digest,
            made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        )
    )


def write_page(path: Path, text: str) -> Path:
    """Write a page.

    Raises:
        BadInput: It cannot be written.
    """
    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise BadInput(f"cannot write {str(path)!r}: {error.strerror}") from error
    return path


def _svg(picture: Picture) -> Markup:
    """A figure as it is: what comes from outside was escaped when it was drawn."""
    return Markup(picture.svg)


def _verdict_class(cell: Cell, header: str = "verdict") -> str:
    """The class of a cell; of a verdict only in its columns: an arm may be called ``worse``."""
    if isinstance(cell, Lost):
        return "lost"
    return str(cell).split()[0] if header in _OF_VERDICTS and cell in _VERDICTS else ""


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
    environment = Environment(
        loader=PackageLoader("bench.report", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        svg=_svg,
        shown=shown,
        sort_key=_sort_key,
        is_number=lambda cell: isinstance(cell, float | int),
        is_numeric=is_numeric,
        verdict=_verdict_class,
    )
    return environment
