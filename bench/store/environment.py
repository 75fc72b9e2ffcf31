"""Where a run ran: machine, versions, commit."""

from __future__ import annotations

import functools
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.spec.code_digest import code_digests
from bench.spec.spec import Spec
from bench.spec.training import SCHEDULES
from bench.spec.user_code import imported_names

if TYPE_CHECKING:
    from bench.task import Suite

_PACKAGES = ("torch", "numpy", "scipy")
#: Where the harness begins to make numbers.
_HARNESS = "bench.training.group:Group"


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


@functools.cache
def _versions(packages: tuple[str, ...]) -> dict[str, str | None]:
    return {name: _version(name) for name in packages}


def provenance(suite: Suite, spec: Spec) -> dict[str, Any]:
    """What a result depends on beside its spec.

    Returns:
        ``code``: a digest by the name of each definition that the run begins at, of the harness, of
        the suite, of what the spec names, and of what a user's own modules import of these, see
        `bench.spec.code_digest`; ``versions``: of the packages.

    Raises:
        LookupError: The suite names a definition that there is not.
    """
    roots = [_HARNESS, SCHEDULES.references[spec.training.schedule], *suite.definitions(spec)]
    packages = {root.partition(".")[0].partition(":")[0] for root in roots}
    for reference, digest in spec.sources.items():
        imported = imported_names(reference, digest)
        roots += [name for name in imported if name.partition(".")[0] in packages]
    return {"code": code_digests(roots), "versions": _versions((*_PACKAGES, *suite.packages))}


def environment(suite: Suite, spec: Spec, device: str, jobs: int) -> dict[str, Any]:
    """The record's `environment`.

    Args:
        suite: The suite.
        spec: Of the run.
        device: For instance ``cpu`` or ``cuda:0``.
        jobs: How many processes ran side by side; step times are comparable only with one.
    """
    found = {**machine(), **provenance(suite, spec), "jobs": jobs}
    if device.startswith("cuda"):
        import torch

        found["gpu"] = torch.cuda.get_device_name(torch.device(device))
        found["cuda"] = torch.version.cuda
    return found
