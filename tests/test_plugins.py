"""Plug-ins that do not work: a warning each, an error only where one is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import toy_suite

from bench.plugins import _warn, load_suite
from bench.studies.catalogue import named_studies
from bench.suite import main
from bench.text.errors import BadInput

BROKEN = {
    "a syntax error": "def broken(:",
    "an import that is not there": "import no_such_package",
    "an exception": "raise ValueError('not today')",
    "an exit": "import sys; sys.exit(3)",
    "no such attribute": "OTHER = 1",
    "no suite": "SUITE = 3",
}


@pytest.fixture(params=BROKEN)
def broken(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toy_suite.use(tmp_path, monkeypatch)
    (tmp_path / "installed" / "broken_suite.py").write_text(BROKEN[request.param])
    points = tmp_path / "installed" / "toy-1.dist-info" / "entry_points.txt"
    points.write_text(
        points.read_text()
        + "broken = broken_suite:SUITE\n[bench.studies]\nbroken = broken_suite:STUDIES\n"
    )
    monkeypatch.chdir(tmp_path)
    _warn.cache_clear()
    named_studies.cache_clear()
    monkeypatch.delitem(__import__("sys").modules, "broken_suite", raising=False)


WORKING: list[tuple[list[str], int]] = [
    (["list"], 0),
    (["list", "--json"], 0),
    (["study", "--list"], 0),
    (["lone", "--jobs", "1", "--steps", "5", "--out", "store"], 0),
    (["show", "zz", "--out", "store"], 2),
    (["report", "--out", "nowhere"], 2),
    (["runs", "--out", "nowhere"], 2),
]


@pytest.mark.usefixtures("broken")
@pytest.mark.parametrize(("command", "code"), WORKING, ids=str)
def test_the_others_go_on(
    command: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command) == code
    err = capsys.readouterr().err
    warnings = [line for line in err.splitlines() if "broken" in line]
    assert all("the others go on" in line for line in warnings)
    assert 1 <= len(warnings) <= 2  # of the suite, and of its studies
    assert "Traceback" not in err


@pytest.mark.usefixtures("broken")
def test_one_that_is_named_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["broken", "--steps", "3"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "suite 'broken' does not import" in err
    with pytest.raises(BadInput, match="does not import"):
        load_suite("broken")


def test_a_broken_technique_is_an_error_only_where_it_is_named(
    own_module: Callable[[str, str], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from bench.techniques.activation import ACTIVATIONS

    own_module("broken_activation", "def broken(:")
    folder = tmp_path / "techniques-1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: techniques\nVersion: 1\n")
    (folder / "entry_points.txt").write_text(
        "[bench.activations]\nbroken = broken_activation:Broken\n"
    )
    monkeypatch.delitem(vars(ACTIVATIONS), "choices", raising=False)
    try:
        assert main(["list"]) == 0
        assert "broken_activation:Broken" in capsys.readouterr().out
        smoke = ["pinn", "--problem", "advection-1d", "--budget", "smoke", "--device", "cpu"]
        assert main([*smoke, "--arm", "broken", "--out", "out"]) == 2
        err = capsys.readouterr().err
        assert err.count("\n") == 1 and "cannot import 'broken_activation'" in err
    finally:
        vars(ACTIVATIONS).pop("choices", None)
