"""The library of products: decided from a description, with float32's accuracy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path

import pinn_specs
import pytest
import torch

from bench.training import group, run
from bench.training.products import described, product_library, products_by
from suites.pinn.suite import SUITE
from suites.pinn.task import PINNTask

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


SETTING = torch.backends.mkldnn.matmul


@pytest.fixture(params=["untouched", "older", "newer", "newer of all"])
def before(request: pytest.FixtureRequest) -> Iterator[object]:
    """Torch's settings, as a process may have left them; and again after the test."""
    if request.param == "older":
        torch.set_float32_matmul_precision("medium")
    elif request.param == "newer":
        SETTING.fp32_precision = "bf16"
    elif request.param == "newer of all":
        torch.backends.mkldnn.fp32_precision = "bf16"
    yield settings()
    torch.set_float32_matmul_precision("highest")
    for setting in (torch.backends.mkldnn, SETTING, torch.backends.cuda.matmul):
        setting.fp32_precision = "none"


def settings() -> tuple[object, ...]:
    """All that is read of torch's settings."""
    try:
        older = torch.get_float32_matmul_precision()
    except RuntimeError:
        older = "it disagrees with the newer"
    return older, SETTING.fp32_precision, torch.backends.cuda.matmul.fp32_precision


def test_what_was_set_before_decides_nothing_and_is_put_back(before: object) -> None:
    generator = torch.Generator().manual_seed(0)
    x, w = (torch.randn(n, 64, generator=generator) for n in (300, 64))
    exact = x.double() @ w.double()
    for library, precision in (("mkl", "ieee"), ("onednn", "bf16")):
        with pytest.raises(RuntimeError, match="inside"), products_by(library):
            assert SETTING.fp32_precision == precision
            # bfloat16 would be at 4e-3.
            assert AMX or float((x @ w - exact).norm() / exact.norm()) < 1e-6
            raise RuntimeError("inside")
    assert settings() == before


def test_torch_can_be_asked_inside(before: object) -> None:
    with products_by("onednn"):
        assert torch.get_float32_matmul_precision() == "medium"
        assert torch.backends.cuda.matmul.allow_tf32
    with products_by("mkl"):
        assert torch.get_float32_matmul_precision() == "highest"
        assert not torch.backends.cuda.matmul.allow_tf32


def test_the_inner_of_two_libraries_computes() -> None:
    with products_by("onednn"):
        with products_by("mkl"):
            assert SETTING.fp32_precision == "ieee"
        assert SETTING.fp32_precision == "bf16"


@pytest.mark.parametrize("library", ["mkl", "onednn"])
def test_a_run_on_the_cpu_is_computed_by_the_chosen_library_and_says_so(
    library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (group, run):
        monkeypatch.setattr(module, "own_product_library", lambda: library)
    found = set()
    step = PINNTask.step

    def watched(task: PINNTask) -> Mapping[str, torch.Tensor]:
        found.add(SETTING.fp32_precision)
        return step(task)

    monkeypatch.setattr(PINNTask, "step", watched)
    before = SETTING.fp32_precision
    record = pinn_specs.run(tmp_path, "advection-1d", steps=2, compile="off")
    assert record.status == "done"
    assert record.environment["products"] == library
    assert found == {"bf16" if library == "onednn" else "ieee"}
    assert SETTING.fp32_precision == before


def test_products_on_a_gpu_are_never_rounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group, "own_product_library", lambda: "onednn")
    monkeypatch.setattr(group, "deterministic", lambda device: nullcontext())
    monkeypatch.setattr(group, "global_streams", lambda seed, device: nullcontext())
    spec, device = pinn_specs.specify(), torch.device("cuda")
    torch.set_float32_matmul_precision("medium")
    try:
        with group.Group(SUITE, [spec], device):
            assert torch.backends.cuda.matmul.fp32_precision == "ieee"
    finally:
        torch.set_float32_matmul_precision("highest")
        SETTING.fp32_precision = torch.backends.cuda.matmul.fp32_precision = "none"
