"""Files of `torch.save` that come from elsewhere: tensors and plain values, never code."""

from __future__ import annotations

import io
import pickletools
import zipfile
from pathlib import Path
from typing import IO, Any

import torch

from bench.files.untrusted import gib

#: Largest file that is read; a checkpoint of a network of 8 million parameters has 0.1 GiB.
MAX_BYTES = 8 * 1024**3

# Optimisers share one (their betas) between groups of parameters.
_MOST_SHARED_TUPLES = 32

# What a file may name beside tensors. torch would also call bytearray, with any length, and any
# codec again and again.
_PLAIN = {
    "collections OrderedDict",
    "__builtin__ set",
    "__builtin__ complex",
    "torch Size",
    "torch device",
    "torch.nn.parameter Parameter",
}


def read_tensors(file: Path | bytes) -> Any:
    """What `torch.save` has written, on the CPU.

    It takes no more memory than the file has bytes, since torch itself never compresses, and
    runs no code of the file's.

    Args:
        file: The file or its content.

    Raises:
        ValueError: It is no such file, damaged, larger than `MAX_BYTES`, compressed, or holds
            anything but tensors and plain values.
        OSError: It cannot be opened or is no regular file.
    """
    if isinstance(file, Path):
        if not file.is_file():
            raise FileNotFoundError(f"{file} is no regular file")
        size = file.stat().st_size
    else:
        size = len(file)
    if size > MAX_BYTES:
        raise ValueError(f"{gib(size)} GiB, more than the limit of {gib(MAX_BYTES)} GiB")
    with io.BytesIO(file) if isinstance(file, bytes) else file.open("rb") as stream:
        try:
            _check_archive(stream, size)
            stream.seek(0)
            return torch.load(stream, map_location="cpu", weights_only=True)  # noqa: TID251
        except Exception as error:  # a damaged file fails in many ways
            raise ValueError(f"{type(error).__name__}: {error}") from error


def _check_archive(stream: IO[bytes], size: int) -> None:
    """Refuses what torch does not write and what takes more memory than `size` bytes."""
    with zipfile.ZipFile(stream) as archive:
        entries = archive.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise ValueError("the archive is compressed")
        if sum(entry.file_size for entry in entries) > size:
            raise ValueError("the archive claims to be larger than the file")
        for entry in entries:
            if entry.filename.endswith("data.pkl"):
                _check_pickle(archive.read(entry))


def _check_pickle(content: bytes) -> None:
    """Refuses names that neither are of a tensor nor plain, and tuples within tuples without end.

    Nothing is unpickled. A tuple that is fetched again and again, into another one, is hashed
    once for each path to it as the key of a dictionary.
    """
    tuples: set[int] = set()
    fetched = 0
    is_tuple = False
    for operation, argument, _ in pickletools.genops(content):
        if "GLOBAL" in operation.name:
            name = str(argument or operation.name)
            module, _, attribute = name.partition(" ")
            of_tensor = module == "torch._utils" or (
                module in ("torch", "torch.storage") and not attribute.endswith("Tensor")
            )
            if not of_tensor and name not in _PLAIN:
                raise ValueError(f"it names {name!r}, which is no tensor and no plain value")
        elif "PUT" in operation.name and is_tuple:
            tuples.add(int(argument or 0))
        elif "GET" in operation.name and argument in tuples:
            fetched += 1
        if "PUT" not in operation.name:
            is_tuple = operation.name.startswith("TUPLE") or (
                "GET" in operation.name and argument in tuples
            )
    if fetched > _MOST_SHARED_TUPLES:
        raise ValueError(f"{fetched} references to tuples, at most {_MOST_SHARED_TUPLES} are read")
