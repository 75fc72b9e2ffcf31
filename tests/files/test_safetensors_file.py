"""safetensors files: what is written is read, and nothing else."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from bench.files.safetensors_file import decode_safetensors, encode_safetensors

SHARED = torch.arange(6.0).reshape(2, 3)
TENSORS = {
    "z.float64": torch.tensor([1e-300, torch.inf, torch.nan], dtype=torch.float64),
    "num_batches_tracked": torch.tensor(7),
    "scalar": torch.tensor(0.5),
    "mask": torch.tensor([True, False]),
    "empty": torch.zeros(0, 4),
    "bfloat16": torch.ones(3, dtype=torch.bfloat16),
    "uint8": torch.tensor([255], dtype=torch.uint8),
    "complex64": torch.tensor([1 + 2j]),
    "learnt": torch.nn.Parameter(torch.ones(2)),
    "shared": SHARED,
    "shared once more": SHARED,
    "shared in part": SHARED[1],
    "transposed": SHARED.T,
}


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert type(found[name]) is Tensor
        torch.testing.assert_close(found[name], value.detach(), rtol=0, atol=0, equal_nan=True)


def test_what_is_written_is_read() -> None:
    texts = {"one": '{"a": "Å"}', "two": ""}
    tensors, read = decode_safetensors(encode_safetensors(TENSORS, texts))
    assert_same(tensors, TENSORS)
    assert read == texts
    assert list(tensors) == sorted(TENSORS)
    tensors["shared"].add_(1)  # nobody's but the caller's
    assert torch.equal(tensors["shared once more"], SHARED)


@pytest.mark.parametrize("tensors", [{}, {"a": torch.zeros(2)}], ids=len)
def test_without_texts(tensors: dict[str, Tensor]) -> None:
    found, texts = decode_safetensors(encode_safetensors(tensors))
    assert_same(found, tensors)
    assert texts == {}


def test_the_same_content_gives_the_same_bytes() -> None:
    backwards = dict(reversed(TENSORS.items()))
    assert encode_safetensors(TENSORS, {"a": "b"}) == encode_safetensors(backwards, {"a": "b"})


def test_a_type_that_safetensors_does_not_know() -> None:
    with pytest.raises(ValueError, match=r"cannot hold torch\.complex128"):
        encode_safetensors({"layer": torch.zeros(2, dtype=torch.complex128)})


WHOLE = encode_safetensors(TENSORS, {"one": "text"})


@given(st.data())
def test_a_damaged_file_is_read_or_refused(data: st.DataObject) -> None:
    content = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        tensors, _ = decode_safetensors(bytes(content[: data.draw(st.integers(0, len(content)))]))
    except ValueError as error:
        assert str(error).isprintable()
    else:
        assert all(isinstance(value, Tensor) for value in tensors.values())
