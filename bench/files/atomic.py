"""Files of the store: whole or absent, whatever kills the writer, and not larger than sensible."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from pathlib import Path


class CannotWrite(OSError):
    """A file could not be written: no space, a quota, a file system that is read-only or gone."""

    @classmethod
    def of(cls, path: Path, error: OSError) -> CannotWrite:
        """The same error with the name of the file that was to be written."""
        return cls(error.errno or errno.EIO, error.strerror or str(error), str(path))

    def __str__(self) -> str:
        return f"cannot write {self.filename}: {self.strerror}"


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` to a temporary name beside `path`, then rename it.

    Raises:
        CannotWrite: The system refuses; what was at `path` still is.
    """
    # Not the process's number: two hosts that share the directory may have the same.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise CannotWrite.of(path, error) from error


def remove_leftovers(path: Path) -> None:
    """Remove what writers of `path` that were killed have left; nobody may be writing it.

    Raises:
        CannotWrite: The system refuses.
    """
    for temporary in path.parent.glob(f".{path.name}.*.tmp"):
        try:
            temporary.unlink(missing_ok=True)
        except OSError as error:
            raise CannotWrite.of(temporary, error) from error


def read_bounded(path: Path, most_bytes: int) -> bytes:
    """The content of a regular file.

    Raises:
        OSError: As of any reading.
        ValueError: It is something else, on which reading might wait for ever, or is larger.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise ValueError("it is no regular file")
    if found.st_size > most_bytes:
        raise ValueError(f"it has {found.st_size} bytes, more than {most_bytes}")
    return path.read_bytes()
