"""Whether a file is what it was."""

from __future__ import annotations

import functools
import hashlib
import os
import stat
from pathlib import Path

#: A larger file is known by its size and time of change.
_MAX_BYTES = 1024**3
#: What stands for a file that was asked for and is not there.
ABSENT = "absent"


def is_cache(path: str) -> bool:
    """Whether a file is one that programs keep for themselves and make anew: a list of fonts."""
    home = Path.home()
    folders = (
        os.environ.get("XDG_CACHE_HOME") or home / ".cache",
        os.environ.get("XDG_CONFIG_HOME") or home / ".config",
    )
    return any(Path(folder) in Path(path).parents for folder in folders)


def file_digest(path: str) -> str | None:
    """What tells a file from what it was before.

    Its content is read once in a process, and again when the file has changed.

    Returns:
        16 hexadecimal digits of the content; size and time of change of a file above 1 GiB;
        `ABSENT` where there is none; ``None`` for what is no regular file.
    """
    try:
        about = Path(path).stat()
        if not stat.S_ISREG(about.st_mode):
            return None
        return _digest(path, about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino)
    except OSError:
        return ABSENT


@functools.lru_cache(maxsize=4096)
def _digest(path: str, size: int, modified: int, changed: int, inode: int) -> str:
    del changed, inode
    if size > _MAX_BYTES:
        return f"{size} bytes of {modified}"
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
