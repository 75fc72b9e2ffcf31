"""npz files that come from elsewhere: looked at before anything is allocated, never unpickled."""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import IO

import numpy as np

from bench.files.untrusted import gib, require_file, shortened
from bench.text.errors import BadInput

# Of an array; NumPy's own limit, which it enforces only after it has read the header.
_LONGEST_HEADER = 10_000

# What zipfile and NumPy raise for damaged archives.
_DAMAGE = (
    OSError,
    EOFError,
    ValueError,
    RuntimeError,  # encrypted; NotImplementedError, an unknown compression, is one
    zipfile.BadZipFile,
    zlib.error,
    MemoryError,
)


def read_npz_arrays(
    path: Path, most_bytes: int, wanted: Iterable[str] | None = None
) -> tuple[list[str], dict[str, np.ndarray]]:
    """The keys of an npz file, and those of its arrays that are of use.

    Args:
        path: The file.
        most_bytes: That the arrays may have together, unpacked; also the size of the file.
        wanted: Keys of the arrays to read, where they are there; all of them by default.

    Returns:
        The keys, sorted, and the arrays by key.

    Raises:
        BadInput: The file cannot be read or is no npz file, an array is of Python objects, or the
            arrays are larger than `most_bytes`.
    """
    require_file(path, most_bytes)
    try:
        with zipfile.ZipFile(path) as archive:
            members = {name.removesuffix(".npy"): name for name in archive.namelist()}
            keys = set(members) if wanted is None else members.keys() & set(wanted)
            total = 0
            for key in sorted(keys):
                with archive.open(members[key]) as member:
                    total += _declared_bytes(key, member)
                if total > most_bytes:
                    raise ValueError(
                        f"its arrays take {gib(total)} GiB, more than the limit of"
                        f" {gib(most_bytes)} GiB"
                    )
            arrays = {}
            for key in sorted(keys):
                with archive.open(members[key]) as member:
                    arrays[key] = np.lib.format.read_array(member, allow_pickle=False)  # noqa: TID251
            return sorted(members), arrays
    except _DAMAGE as error:
        reason = shortened(error) or type(error).__name__
        raise BadInput(f"{path}: not a readable npz file: {reason}") from error


def _declared_bytes(key: str, member: IO[bytes]) -> int:
    """Bytes that an array will take by its header, which is all that is read."""
    version = np.lib.format.read_magic(member)
    # The length of the header is a number of 2 or 4 bytes before it.
    start = member.tell()
    length = int.from_bytes(member.read(2 if version == (1, 0) else 4), "little")
    if length > _LONGEST_HEADER:
        raise ValueError(f"{key!r} has a header of {length} bytes")
    member.seek(start)
    read = (
        np.lib.format.read_array_header_1_0
        if version == (1, 0)
        else np.lib.format.read_array_header_2_0
    )
    shape, _, dtype = read(member)
    if dtype.hasobject:
        raise ValueError(f"{key!r} holds pickled objects (allow_pickle=False)")
    return math.prod(shape) * dtype.itemsize
