"""Files that come from elsewhere: a regular file of a sensible size, or `BadInput`."""

from __future__ import annotations

import stat
from pathlib import Path

from bench.text.errors import BadInput


def require_file(path: Path, most_bytes: int) -> int:
    """The size of a regular file that can be opened and has at most `most_bytes`, in bytes.

    Opening a pipe would wait for its writer for ever.

    Raises:
        BadInput: It is something else, cannot be opened, or is larger.
    """
    try:
        found = path.stat()
        if stat.S_ISDIR(found.st_mode):
            raise BadInput(f"{path}: cannot be opened: Is a directory")
        if not stat.S_ISREG(found.st_mode):
            raise BadInput(f"{path}: cannot be opened: not a regular file")
        with path.open("rb"):
            pass
    except OSError as error:
        raise BadInput(f"{path}: cannot be opened: {error.strerror}") from error
    if found.st_size > most_bytes:
        raise BadInput(
            f"{path}: has {gib(found.st_size)} GiB, more than the limit of {gib(most_bytes)} GiB"
        )
    return found.st_size


def gib(size: int) -> str:
    """A number of bytes in GiB, for a message."""
    return f"{size / 1024**3:.3g}"


def shortened(text: object, most: int = 200) -> str:
    """`text` on one line of at most `most` characters, for a message."""
    line = " ".join(str(text)[: 10 * most].split())
    return line if len(line) <= most else f"{line[: most - 1]}…"
