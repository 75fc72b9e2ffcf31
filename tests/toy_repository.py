"""A small repository with benchmarks that take no time, for tests of the nightly job."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

_BENCHMARKS = """
import math, time
import toy

class Errors:
    version = "1"
    unit = "1"
    params = ["a", "b"]
    param_names = ["case"]

    def track_error(self, case):
        if toy.FAILS:
            raise RuntimeError("training diverged at step 7")
        return toy.ERROR * (2 if case == "b" else 1)
"""

_TIMES = """
import time
import toy

class Times:
    version = "1"
    repeat = 5
    number = 1
    rounds = 1
    warmup_time = 0.0

    def time_call(self):
        time.sleep(toy.seconds())
"""

#: Copying a file stands for building and installing.
_INSTALL = (
    'python -c "import shutil, sysconfig;'
    " shutil.copy(r'{build_dir}/toy.py', sysconfig.get_paths()['purelib'])\""
)


class ToyRepository:
    """A git repository whose one module, `toy`, says what its benchmarks measure.

    Args:
        root: Its folder.
        made: Make it new.
    """

    def __init__(self, root: Path, made: bool = True) -> None:
        self.root = root
        if made:
            self._make()

    def _make(self) -> None:
        root = self.root
        (root / "benchmarks").mkdir(parents=True)
        (root / "benchmarks" / "__init__.py").touch()
        (root / "benchmarks" / "errors.py").write_text(_BENCHMARKS)
        (root / "benchmarks" / "times.py").write_text(_TIMES)
        (root / ".gitignore").write_text(".asv/\n__pycache__/\n")
        self.configure({"errors\\.": 0.01, "times\\.": 0.5})
        self.git("init", "-q", "-b", "main")

    def configure(self, thresholds: dict[str, float]) -> None:
        """Write asv.conf.json."""
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        settings = {
            "version": 1,
            "project": "toy",
            "repo": ".",
            "branches": ["HEAD"],
            "environment_type": "virtualenv",
            "pythons": [version],
            "benchmark_dir": "benchmarks",
            "env_dir": ".asv/env",
            "results_dir": ".asv/results",
            "html_dir": ".asv/html",
            "build_command": [],
            "install_command": [_INSTALL],
            "uninstall_command": [],
            "regressions_thresholds": thresholds,
        }
        (self.root / "asv.conf.json").write_text(json.dumps(settings))

    def git(self, *arguments: str) -> str:
        """Output of a git command in the repository."""
        identity = ["-c", "user.name=t", "-c", "user.email=t@localhost"]
        command = ["git", *identity, "-C", str(self.root), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def commit(self, message: str, error: float = 1.0, fails: bool = False, code: str = "") -> str:
        """Commit what the benchmarks are to measure; the full hash.

        Args:
            message: Of the commit.
            error: What is tracked.
            fails: The training diverges.
            code: Body of the function that says how long the timed call takes.
        """
        lines = [f"ERROR = {error!r}", f"FAILS = {fails}", "", "def seconds():"]
        lines += [f"    {code or 'return 0.01'}", f"# {message}", ""]
        (self.root / "toy.py").write_text("\n".join(lines))
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")


def tracking_environment(home: Path) -> dict[str, str]:
    """Environment variables of a nightly: asv's machine file in `home`, Python's own on PATH."""
    folders = [f"{sys.base_prefix}/bin", str(Path(sys.executable).parent), os.environ["PATH"]]
    kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "GITHUB_STEP_SUMMARY")}
    cache = {"UV_CACHE_DIR": str(Path.home() / ".cache" / "uv")}
    return {**cache, **kept, "HOME": str(home), "PATH": os.pathsep.join(folders)}
