"""Files that mean harm, small on disk, and what refusing them is: for tests of the readers."""

from __future__ import annotations

import io
import json
import os
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


def safetensors(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    """The content of a safetensors file.

    Args:
        header: A value for JSON, or the text.
        data: What follows it.
        length: What the file says of the header's; its own by default.
    """
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def _tensor(start: int = 0, end: int = 8, dtype: str = "F32", shape: Any = (2,)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


_WHOLE = safetensors({"a": _tensor()}, bytes(8))
_EMPTY = _tensor(0, 0, shape=(0,))
_CONTENTS = {
    "nothing": (b"", "header too small"),
    "half a length": (_WHOLE[:5], "header too small"),
    "half a header": (_WHOLE[:30], "invalid header length"),
    "half a tensor": (_WHOLE[:-1], "not fully covered"),
    "more than tensors": (_WHOLE + b"\0", "not fully covered"),
    "a header of 2^63 bytes": (safetensors({}, length=1 << 63), "at most 4194304 are read"),
    "a header beyond the end": (safetensors({}, length=4 << 20), "invalid header length"),
    "tensors without end": (
        safetensors({str(k): _EMPTY for k in range(100_000)}),
        "at most 4194304 are read",
    ),
    "no JSON": (safetensors(b"{'a'}"), "invalid JSON"),
    "lists without end": (safetensors(b"[" * 1_000_000), "invalid JSON"),
    "tensors without end within": (safetensors(b'{"a":' * 700_000), "invalid JSON"),
    "no text": (safetensors({"__metadata__": {"potential": 1}}), "invalid JSON"),
    "overlapping tensors": (
        safetensors({"a": _tensor(), "b": _tensor(4, 12)}, bytes(12)),
        "invalid offset",
    ),
    "a gap": (safetensors({"a": _tensor(), "b": _tensor(9, 17)}, bytes(17)), "invalid offset"),
    "a tensor beyond the end": (
        safetensors({"a": _tensor(0, 1 << 40, shape=(1 << 38,))}, bytes(8)),
        "not fully covered",
    ),
    "offsets in reverse": (safetensors({"a": _tensor(8, 0)}, bytes(8)), "invalid offset"),
    "a negative offset": (safetensors({"a": _tensor(-8, 0)}, bytes(8)), "invalid JSON"),
    "another shape": (safetensors({"a": _tensor(shape=(3,))}, bytes(8)), "invalid shape"),
    "a shape without end": (safetensors({"a": _tensor(shape=(1 << 63, 4))}, bytes(8)), "overflow"),
    "an unknown type": (safetensors({"a": _tensor(dtype="F31")}, bytes(8)), "unknown variant"),
    "a type that torch has not": (
        safetensors({"a": _tensor(dtype="F4", shape=(16,))}, bytes(8)),
        "KeyError: 'F4'",
    ),
    "a name for the terminal": (safetensors({"\x1b[2J": _tensor(4, 12)}, bytes(12)), "x1b[2J"),
    "a file of torch's": (b"PK\3\4" + bytes(100), "at most 4194304 are read"),
}
#: What is no safetensors file that can be read: what writes it at a path, and what is said of it.
SAFETENSORS: Mapping[str, tuple[Callable[[Path], object], str]] = {
    **{
        name: (lambda path, content=content: path.write_bytes(content), said)
        for name, (content, said) in _CONTENTS.items()
    },
    "a sparse file": (lambda path: sparse(path, 1 << 40), "more than"),
}
#: What at a path is no regular file, by what makes it.
NO_FILES: Mapping[str, Callable[[Path], object]] = {
    "a pipe": os.mkfifo,
    "a folder": lambda path: path.mkdir(),
}
