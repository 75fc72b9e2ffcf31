"""JAX on one thread, as torch runs here."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from types import ModuleType


class PeerUnavailable(Exception):
    """A step has no peer; the message says why."""


@functools.cache
def import_jax() -> ModuleType:
    """Import JAX and start XLA on one CPU, once.

    XLA makes as many threads as its process may use CPUs when it starts, and these keep the CPUs
    of that moment. So it is started while this thread may use one CPU alone: whatever runs
    in parallel has to share it. The caller's own CPUs are restored.

    Raises:
        PeerUnavailable: JAX is not installed, or was started before with more threads.
    """
    try:
        import jax
    except ImportError as error:
        raise PeerUnavailable(f"JAX cannot be imported ({error}): install the extra jax") from error
    jax.config.update("jax_enable_x64", True)  # float32 stays float32
    if hasattr(os, "sched_setaffinity"):
        allowed = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {max(allowed)})
        try:
            jax.devices("cpu")
        finally:
            os.sched_setaffinity(0, allowed)
    if len(cpus_of_xla()) != 1:
        raise PeerUnavailable("XLA cannot be held on one CPU here, or was started before")
    return jax


def cpus_of_xla() -> set[int]:
    """The CPUs that XLA's threads in this process may use (Linux; elsewhere none are found)."""
    found: set[int] = set()
    for thread in Path("/proc/self/task").glob("*"):
        if "XLA" in (thread / "comm").read_text():
            found |= os.sched_getaffinity(int(thread.name))
    return found
