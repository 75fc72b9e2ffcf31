"""Freed memory stays in the process."""

from __future__ import annotations

import subprocess
import sys

FAULTS = """
import ctypes, platform, resource, sys
import torch
from bench.training.memory_pages import keep_pages

torch.set_num_threads(1)
kept = keep_pages() if sys.argv[1] == "keep" else platform.libc_ver()[0] == "glibc"

def steps():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        parts = [torch.ones(10_000_000) for _ in range(2)]
        del parts
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

steps()
print(int(kept), steps())
"""


def faults(way: str) -> tuple[bool, int]:
    done = subprocess.run(
        [sys.executable, "-c", FAULTS, way], capture_output=True, text=True, check=True
    )
    kept, count = map(int, done.stdout.split())
    return bool(kept), count


def test_few_page_faults_after_the_first_steps() -> None:
    kept, count = faults("keep")
    glibc, without = faults("leave")
    assert kept == glibc
    if kept:
        assert count < 0.3 * without
