"""`package.module:attribute` references to a user's own objects."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from bench.errors import BadInput, unknown

_REFERENCE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def is_reference(text: str) -> bool:
    """Whether `text` has the form ``package.module:attribute``."""
    return _REFERENCE.fullmatch(text) is not None


def _module(reference: str) -> ModuleType:
    name = reference.partition(":")[0]
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        # stdout is for results alone.
        with contextlib.redirect_stdout(sys.stderr):
            return importlib.import_module(name)
    except (Exception, SystemExit) as error:  # a module may fail in any way while it is imported
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise BadInput(f"cannot import {name!r} of {reference!r}: {reason}") from error


def load(reference: str) -> Any:
    """The object that ``package.module:attribute`` names.

    Raises:
        BadInput: The form is wrong, the module does not import, or has no such attribute.
    """
    if not is_reference(reference):
        raise BadInput(f"{reference!r} is not of the form package.module:attribute")
    found: Any = _module(reference)
    for attribute in reference.partition(":")[2].split("."):
        try:
            found = getattr(found, attribute)
        except AttributeError:
            raise unknown(
                f"attribute in {reference!r}:",
                attribute,
                [name for name in dir(found) if not name.startswith("_")],
            ) from None
    return found


def source_digest(reference: str) -> str:
    """Digest of the source file behind a reference, so that an edited file is a new spec.

    It covers the file that is named and not what that imports.

    Returns:
        16 hexadecimal digits; for a module without a source file, of its name and version.
    """
    module = _module(reference)
    path = getattr(module, "__file__", None)
    content = Path(path).read_bytes() if path else module.__name__.encode()
    return hashlib.sha256(content).hexdigest()[:16]
