"""Where a run ran: machine, versions, commit."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.task import Suite

_PACKAGES = ("torch", "numpy", "scipy")


def _git(*arguments: str) -> str | None:
    root = Path(__file__).resolve().parents[2]
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def cpu_model() -> str:
    """The processor's name as the kernel gives it; empty where it gives none."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((x.partition(":")[2].strip() for x in lines if x.startswith("model name")), "")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


#: Parts of the harness that show or compare results and do not make them.
_PRESENTATION = (
    "asv_benchmarks",
    "cli",
    "nightly.py",
    "report",
    "statistics",
    "studies",
    "suite.py",
    "tracking",
)


@functools.cache
def code_digest(*packages: str) -> str:
    """Digest of the Python sources of packages, so that results of other code can be told."""
    digest = hashlib.sha256()
    for package in packages:
        spec = find_spec(package)
        if spec and spec.origin and not spec.submodule_search_locations:
            digest.update(Path(spec.origin).read_bytes())
        for location in (spec and spec.submodule_search_locations) or []:
            for path in sorted(Path(location).rglob("*.py")):
                name = path.relative_to(location)
                if package != "bench" or name.parts[0] not in _PRESENTATION:
                    digest.update(str(name).encode())
                    digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


@functools.cache
def machine() -> dict[str, Any]:
    """Machine and commit; the same for every run of a process."""
    commit = _git("rev-parse", "HEAD")
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "commit": commit,
        "dirty": bool(_git("status", "--porcelain")) if commit else None,
    }


def provenance(suite: Suite) -> dict[str, Any]:
    """What a result of a suite depends on beside its spec.

    Returns:
        ``code``: digest of the harness's and the suite's sources; ``versions``: of the packages.
    """
    package = type(suite).__module__.rpartition(".")[0] or type(suite).__module__
    return {
        "code": code_digest("bench", package),
        "versions": {name: _version(name) for name in (*_PACKAGES, *suite.packages)},
    }


def environment(suite: Suite, device: str, jobs: int) -> dict[str, Any]:
    """The record's `environment`.

    Args:
        suite: The suite.
        device: For instance ``cpu`` or ``cuda:0``.
        jobs: How many processes ran side by side; step times are comparable only with one.
    """
    found = {**machine(), **provenance(suite), "jobs": jobs}
    if device.startswith("cuda"):
        import torch

        found["gpu"] = torch.cuda.get_device_name(torch.device(device))
        found["cuda"] = torch.version.cuda
    return found
