"""A few kills at random moments; ``python tests/kill_at_random.py`` does any number."""

from __future__ import annotations

from pathlib import Path

import pytest
from kill_at_random import attack


@pytest.mark.slow
@pytest.mark.parametrize(("suite", "name"), [("pinn", "KILL"), ("molecular", "TERM")])
def test_every_run_is_there_once_and_as_if_nothing_had_been(
    tmp_path: Path, suite: str, name: str
) -> None:
    assert attack(suite, tmp_path / suite, times=2, name=name).kills == 2
