"""What tests of several files of the tracking look at, and none changes."""

from __future__ import annotations

import pytest
from asv_checkout import measured

from bench.tracking.configuration import Configuration


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Configuration, str]:
    """A real run of asv: the configuration, the commit."""
    return measured(tmp_path_factory.mktemp("run"))
