"""Files that mean harm, small on disk, and what refusing them is: for tests of the readers."""

from __future__ import annotations

import io
import resource
import signal
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from bench.suite import main
from bench.text.errors import BadInput

#: What a bomb unpacks to, a multiple of `_UNIT`; more than any test process may have.
BOMB = 12 * 1024**3
_UNIT = 64 * 1024**2

#: A molecular command, up to the problem.
SMALL = ["molecular", "--budget", "smoke", "--model", "schnet:4x1", "--steps", "1"]


class Executed:
    """Unpickling it makes an empty file, the marker."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.marker,)


@cache
def deflated_zeros(size: int, head: bytes = b"", wbits: int = -zlib.MAX_WBITS) -> bytes:
    """A deflate stream of `head` and `size` zeros, without compressing that many.

    Args:
        size: A multiple of 64 MiB.
        head: What the zeros follow.
        wbits: As of `zlib.compressobj`; of a format with a checksum, the checksum is wrong.
    """
    packer = zlib.compressobj(9, wbits=wbits)
    first = packer.compress(head) + packer.flush(zlib.Z_FULL_FLUSH)
    # After a full flush nothing before it is referred to, so what follows may be repeated.
    unit = packer.compress(bytes(_UNIT)) + packer.flush(zlib.Z_FULL_FLUSH)
    return first + unit * (size // _UNIT) + packer.flush()


def npy_header(shape: tuple[int, ...], dtype: str = "<f8") -> bytes:
    """What precedes the values of an array in an npy file."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": dtype, "fortran_order": False, "shape": shape}
    )
    return file.getvalue()


def npy(array: Any) -> bytes:
    """An array as an npy file."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def write_zip(
    path: Path,
    members: Mapping[str, bytes],
    bombs: Mapping[str, tuple[bytes, int]] = MappingProxyType({}),
) -> Path:
    """A zip archive.

    Args:
        path: The file.
        members: Contents by name, stored.
        bombs: By name a head and how many zeros follow it, deflated.
    """
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
        for name, (head, size) in bombs.items():
            entry = zipfile.ZipInfo(name)
            archive.writestr(entry, deflated_zeros(size, head))
            # Said to be deflated afterwards, because zipfile would deflate it again.
            entry.compress_type, entry.file_size = zipfile.ZIP_DEFLATED, len(head) + size
    content = bytearray(path.read_bytes())
    for name in bombs:
        start = content.index(name.encode()) - 30  # the local header, written before
        content[start + 8 : start + 10] = struct.pack("<H", zipfile.ZIP_DEFLATED)
    path.write_bytes(content)
    return path


def refusal(read: Callable[[], object]) -> str:
    """The one line of the `BadInput` with which `read` ends, soon and in little memory.

    2 GiB of address space more than there are now, where a bomb would take `BOMB`, and 20 s.
    """
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limits = resource.getrlimit(resource.RLIMIT_AS)
    more = pages * resource.getpagesize() + 2 * 1024**3

    def late(*_: object) -> None:
        raise TimeoutError("not refused within 20 s")

    before = signal.signal(signal.SIGALRM, late)
    resource.setrlimit(resource.RLIMIT_AS, (more, limits[1]))
    signal.alarm(20)
    try:
        with warnings.catch_warnings():
            # A warning would be a second line on stderr.
            warnings.simplefilter("error")
            warnings.simplefilter("ignore", DeprecationWarning)  # not shown
            with pytest.raises(BadInput) as caught:
                read()
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        resource.setrlimit(resource.RLIMIT_AS, limits)
    text = str(caught.value)
    assert text.isprintable() and len(text) < 2500
    return text


def refused_by_the_program(
    arguments: list[str], out: Path, capsys: pytest.CaptureFixture[str]
) -> str:
    """What the command line says in one line, with exit code 2 and without a store at `out`."""
    capsys.readouterr()
    assert main([*arguments, "--out", str(out), "--device", "cpu", "--jobs", "1"]) == 2
    written, said = capsys.readouterr()
    assert written == ""
    assert said.startswith("bench: ") and said.count("\n") == 1 and said[:-1].isprintable()
    assert not out.exists()
    return said


def arrays(count: int = 4) -> dict[str, Any]:
    """An honest file's of so many frames of water, as MD17 names them."""
    random = np.random.default_rng(0)
    shape = (count, 3, 3)
    numbers = np.array([8, 1, 1], dtype=np.uint8)
    return {
        "E": random.normal(size=count),
        "F": random.normal(size=shape),
        "R": random.normal(size=shape),
        "z": numbers,
    }


def sparse(path: Path, size: int) -> None:
    with path.open("wb") as file:
        file.truncate(size)
