"""What a record says of where and by what it was made."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bench.plugins import load_suite
from bench.store.environment import code_digest, provenance


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of somebody's suite."""
    monkeypatch.syspath_prepend(str(tmp_path))
    folder = tmp_path / "somebodys_suite"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "task.py").write_text("x = 1")
    return folder


def digest() -> str:
    code_digest.cache_clear()
    sys.modules.pop("somebodys_suite", None)
    return code_digest("somebodys_suite")


def test_an_edit_changes_the_digest_of_the_code(package: Path) -> None:
    before = digest()
    assert digest() == before
    (package / "task.py").write_text("x = 2")
    edited = digest()
    assert edited != before
    (package / "report.py").write_text("")
    assert digest() != edited


def test_what_only_shows_results_is_not_in_the_digest_of_the_harness() -> None:
    import bench

    read: list[Path] = []
    original = Path.read_bytes

    def remember(path: Path) -> bytes:
        read.append(path)
        return original(path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "read_bytes", remember)
        code_digest.cache_clear()
        code_digest("bench")
    folder = Path(str(bench.__file__)).parent
    assert (
        folder / "training" / "loop.py" in read and folder / "techniques" / "integrated.py" in read
    )
    assert folder / "suite.py" not in read and folder / "report" / "tables.py" not in read


def test_provenance_names_the_versions_of_the_suites_packages() -> None:
    found = provenance(load_suite("pinn"))
    assert {"torch", "numpy", "scipy", "deepxde"} == set(found["versions"])
    assert all(found["versions"].values())
