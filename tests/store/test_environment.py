"""What a record says of where and by what it was made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pinn_specs
import pytest
import sample_records
import toy_suite

from bench.spec.user_code import source_digest
from bench.store.environment import environment, provenance
from suites.pinn.suite import SUITE


def test_provenance_names_the_versions_of_the_suites_packages() -> None:
    found = provenance(SUITE, pinn_specs.specify())
    assert {"torch", "numpy", "scipy", "deepxde"} == set(found["versions"])
    assert all(found["versions"].values())


def test_the_code_is_that_of_harness_suite_and_names() -> None:
    found = provenance(SUITE, pinn_specs.specify(arm="irelu", schedule="cosine"))
    assert found["code"].keys() == {
        "bench.techniques.initializers:glorot_normal",
        "bench.techniques.integrated:IReLU",
        "bench.techniques.norm_layers:none",
        "bench.techniques.offset:nothing",
        "bench.techniques.rescaling:constant",
        "suites.pinn.protocols:PAPER",
        "bench.training.group:Group",
        "bench.training.optimization:cosine",
        "suites.pinn.models.catalogue:FNN",
        "suites.pinn.problems.advection:Advection1D",
        "suites.pinn.suite:PINNSuite.build",
        "suites.pinn.engine:native/",
        "suites.pinn.suite:PINNSuite.build_together",
    }
    assert all(len(digest) == 16 for digest in found["code"].values())


def test_seeds_have_the_same_code_and_arms_what_they_share() -> None:
    def code(**given: object) -> dict[str, str]:
        found: dict[str, str] = provenance(SUITE, pinn_specs.specify(**given))["code"]  # type: ignore[arg-type]
        return found

    baseline, other = code(), code(arm="irelu")
    assert code(seed=1) == baseline
    assert baseline != other
    assert all(baseline[name] == other[name] for name in baseline.keys() & other.keys())


def test_the_code_of_a_suite_elsewhere_is_its_own_module() -> None:
    spec = msgspec.structs.replace(sample_records.SPEC, suite="toy", axes={"activation": "irelu"})
    found = environment(toy_suite.TOY, spec, "cpu", 1)
    assert {"toy_suite:ToySuite.build", "bench.techniques.integrated:IReLU"} <= found["code"].keys()


def test_what_a_users_own_module_imports_of_the_harness_counts(
    own_module: Callable[[str, str], None], tmp_path: Path
) -> None:
    """Its own content is in `Spec.sources`."""
    source = """
from bench.techniques.norm_layers import LayerNorm
import own_helper

class Mine(LayerNorm):
    pass
"""
    own_module("own_norm", source)
    own_module("own_helper", "from suites.pinn import wrap as w\nfrom json import dumps\n")
    spec = pinn_specs.specify(arm="normalization=own_norm:Mine")
    assert spec.sources == {"own_norm:Mine": source_digest("own_norm:Mine")}
    found = provenance(SUITE, spec)["code"]
    assert "bench.techniques.norm_layers.LayerNorm" in found and "suites.pinn.wrap" in found
    assert not any("own" in name or "json" in name for name in found)


def test_the_harness_beside_a_users_module_is_not_a_source_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where one works in a clone of this repository: a comment in it is no other spec."""
    (tmp_path / "beside_the_harness.py").write_text("from bench.arm import Arm\nA = Arm\n")
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "arm.py").write_text("# one\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    before = source_digest("beside_the_harness:A")
    (tmp_path / "bench" / "arm.py").write_text("# two\n")
    assert source_digest("beside_the_harness:A") == before


def test_a_definition_that_there_is_not_is_named() -> None:
    class Wrong(toy_suite.LoneSuite):
        def definitions(self, spec: object) -> list[str]:
            return ["toy_suite:Nothing.build"]

    with pytest.raises(LookupError, match=r"'toy_suite:Nothing\.build'"):
        provenance(Wrong(), sample_records.SPEC)
