"""The contracts need pytest, which whoever only trains does not have."""

from __future__ import annotations

import subprocess
import sys


def test_a_missing_pytest_is_said() -> None:
    code = "import sys; sys.modules['pytest'] = None; import bench.testing"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.endswith(
        "bench.testing makes tests for pytest, which is not installed: pip install pytest"
    )
