"""safetensors files: tensors by name, and texts; they cannot hold code."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from safetensors.torch import load, save
from torch import Tensor

from bench.text.errors import typed

# In bytes, enough for 40,000 tensors. safetensors itself reads 100 MB, which can name so many empty
# tensors that they take 20 s and 2 GB.
_LONGEST_HEADER = 4 * 1024**2


class _Header(msgspec.Struct):
    """What of the header safetensors does not return with the tensors."""

    texts: dict[str, str] = msgspec.field(name="__metadata__", default_factory=dict)


def encode_safetensors(
    tensors: Mapping[str, Tensor], texts: Mapping[str, str] | None = None
) -> bytes:
    """The content of a file.

    Args:
        tensors: Dense, on any device; what shares memory is written once for each name.
        texts: By name; of several, safetensors shuffles the order.

    Raises:
        ValueError: A tensor is of a type that safetensors does not know, as complex128.
    """
    # safetensors refuses what shares memory or is not contiguous.
    own = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    try:
        return save(own, dict(texts) if texts else None)
    except KeyError as error:  # of its table of types
        raise ValueError(f"a safetensors file cannot hold {error.args[0]}") from error


def decode_safetensors(content: bytes) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a file, on the CPU and sorted by name, and its texts.

    They take no more memory than the file has bytes.

    Raises:
        ValueError: It is no such file, damaged, or holds a type that torch does not know.
    """
    length = int.from_bytes(content[:8], "little")
    if length > _LONGEST_HEADER:
        raise ValueError(f"a header of {length} bytes, at most {_LONGEST_HEADER} are read")
    try:
        tensors = load(content)
        header = msgspec.json.decode(content[8 : 8 + length], type=_Header)
    except Exception as error:  # a damaged file fails in many ways
        # Names of the file's own are in it.
        raise ValueError(typed(error)) from error
    return dict(sorted(tensors.items())), header.texts
