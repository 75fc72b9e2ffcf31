"""A small repository that asv measures, and asv's own command, for tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from asv.machine import MachineCollection

from bench.tracking.configuration import Configuration

MACHINE = {"machine": "box", "os": "", "arch": "", "cpu": "", "num_cpu": "1", "ram": "1"}

BENCHMARKS = """
class Suite:
    version = "3"
    params = [["fnn baseline", "fnn irelu"], [1, 2]]
    param_names = ["network", "order"]

    def setup(self, network, order):
        if (network, order) == ("fnn baseline", 2):
            raise NotImplementedError

    def track_error(self, network, order):
        if (network, order) == ("fnn irelu", 1):
            raise RuntimeError("diverged")
        return 0.25 * order

    track_error.unit = "kcal/mol"


def track_flops():
    return 12345678


def time_sum():
    sum(range(1000))


time_sum.number, time_sum.repeat, time_sum.warmup_time = 1, 12, 0


def peakmem_list():
    return [0] * 1000
"""

#: A plugin that only the checkout has, and that asv can be seen to load.
PLUGIN = """
from pathlib import Path


def setup():
    (Path(__file__).parent / "loaded").write_text(__name__)
"""


def checkout(root: Path, **settings: Any) -> Path:
    """A repository of one commit, with benchmarks and a plugin."""
    for package, modules in {
        "marks": {"__init__.py": "", "suite.py": BENCHMARKS},
        "extra": {"__init__.py": "", "plugin.py": PLUGIN},
    }.items():
        (root / package).mkdir(parents=True)
        for name, text in modules.items():
            (root / package / name).write_text(text)
    content = {
        "version": 1,
        "project": "tiny",
        "repo": ".",
        "branches": ["HEAD"],
        "benchmark_dir": "marks",
        "env_dir": "work/env",
        "results_dir": "work/results",
        "html_dir": "work/html",
        "plugins": [".extra.plugin"],
        "environment_type": "virtualenv",
        "launch_method": "spawn",
        **settings,
    }
    (root / "asv.conf.json").write_text("// A comment.\n" + json.dumps(content))
    git(root, "init", "--quiet")
    git(root, "add", ".")
    git(root, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "-m", "One")
    return root


def git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def asv(*arguments: str, cwd: Path, home: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HOME": str(home), "PYTHONSAFEPATH": "1"}
    environment.pop("PYTHONPATH", None)
    command = [sys.executable, "-m", "asv", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)


def measured(folder: Path) -> tuple[Configuration, str]:
    """asv's run of the checkout's commit, from elsewhere: the configuration, the commit."""
    root = checkout(folder / "checkout")
    configuration = Configuration.load(root, folder / "kept" / "results")
    path = folder / "state" / "asv.json"
    configuration.write(path)
    (folder / "home").mkdir()
    MachineCollection.save("box", dict(MACHINE), _path=str(folder / "home" / ".asv-machine.json"))
    commit = git(root, "rev-parse", "HEAD")
    done = asv(
        *("run", "--config", str(path), "--python=same", "--machine", "box"),
        *("--set-commit-hash", commit),
        cwd=folder,
        home=folder / "home",
    )
    # 2: a benchmark failed, as one of them should.
    assert done.returncode == 2, done.stdout + done.stderr
    return configuration, commit
