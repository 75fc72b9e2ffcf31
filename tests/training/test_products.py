"""The library of products: decided from a description, with float32's accuracy."""

from __future__ import annotations

import pytest
import torch

from bench.training.device import deterministic
from bench.training.products import (
    described,
    own_product_library,
    product_library,
    products_by,
)

AMX = torch.cpu._is_amx_tile_supported()


def cpuinfo(vendor: str, family: int, flags: str) -> str:
    core = f"processor\t: 0\nvendor_id\t: {vendor}\ncpu family\t: {family}\nflags\t\t: {flags}\n"
    return f"{core}\n{core}"


@pytest.mark.parametrize(
    ("vendor", "family", "flags", "library"),
    [
        ("AuthenticAMD", 26, "fpu avx2 avx512f", "onednn"),
        ("AuthenticAMD", 27, "avx512f", "onednn"),
        ("AuthenticAMD", 26, "fpu avx2", "mkl"),
        ("AuthenticAMD", 26, "avx512f amx_tile", "mkl"),
        ("AuthenticAMD", 25, "fpu avx2 avx512f", "mkl"),
        ("GenuineIntel", 26, "fpu avx2 avx512f", "mkl"),
    ],
)
def test_it_follows_from_the_description(
    vendor: str, family: int, flags: str, library: str
) -> None:
    assert product_library(described(cpuinfo(vendor, family, flags))) == library


@pytest.mark.parametrize("text", ["", "Hardware : something\n\nmore", "cpu family : unknown"])
def test_an_unknown_cpu_has_torchs_own(text: str) -> None:
    assert product_library(described(text)) == "mkl"


@pytest.mark.skipif(AMX, reason="rounds to bfloat16 here, so it is never chosen")
@pytest.mark.parametrize("library", ["mkl", "onednn"])
def test_products_have_the_accuracy_of_float32(library: str) -> None:
    generator = torch.Generator().manual_seed(0)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    x, w, b, g = drawn(700, 40), drawn(40, 40), drawn(40), drawn(700, 40)
    with products_by(library):
        found = [torch.addmm(b, x, w.mT), g @ w, g.mT @ x]
    exact = [torch.addmm(b.double(), x.double(), w.double().mT), g.double() @ w.double()]
    exact.append(g.double().mT @ x.double())
    for ours, theirs in zip(found, exact, strict=True):
        assert ours.dtype == torch.float32
        # bfloat16 would be at 4e-3.
        assert float((ours - theirs).norm() / theirs.norm()) < 1e-6


def test_the_setting_is_put_back() -> None:
    before = torch.backends.mkldnn.matmul.fp32_precision
    with pytest.raises(RuntimeError, match="inside"), products_by("onednn"):
        assert torch.backends.mkldnn.matmul.fp32_precision == "bf16"
        raise RuntimeError("inside")
    assert torch.backends.mkldnn.matmul.fp32_precision == before


def test_only_training_chooses() -> None:
    before = torch.backends.mkldnn.matmul.fp32_precision
    with deterministic(torch.device("cpu")):
        assert torch.backends.mkldnn.matmul.fp32_precision == before
    assert own_product_library() in ("mkl", "onednn")


def test_the_inner_of_two_libraries_computes() -> None:
    setting = torch.backends.mkldnn.matmul
    before = setting.fp32_precision
    with products_by("onednn"):
        chosen = setting.fp32_precision
        with products_by("mkl"):
            assert setting.fp32_precision == before != chosen
        assert setting.fp32_precision == chosen
    assert setting.fp32_precision == before
