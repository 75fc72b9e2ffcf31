"""Whether a step has a peer, and JAX on one thread, as torch runs here."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from types import ModuleType

from suites.pinn.models.network import FNN, RescaledOutput
from suites.pinn.task import PINNTask

#: The problems that have one, by `suites.pinn.peers.losses.PEERS`, which needs JAX.
PROBLEMS = (
    "advection-1d",
    "compressible-flow-1d",
    "diffusion-reaction-2d",
    "diffusion-sorption-1d",
    "shallow-water-2d",
)


class PeerUnavailable(Exception):
    """A step has no peer; the message says why."""


def check_peer(task: PINNTask) -> None:
    """Refuse a task that the hand-written steps do not compute.

    Raises:
        PeerUnavailable: It has another problem, network, device, or labels.
    """
    net, problem, axes = task.net, task.spec.problem, task.spec.axes
    transform = net._output_transform
    plain = transform is None or (isinstance(transform, RescaledOutput) and transform.plain)
    reasons = {
        f"problem {problem} has none": problem not in PROBLEMS,
        "it runs on a CPU": task.device.type != "cpu",
        "it has no labels": task.supervised is not None,
        "its network has tanh alone": type(net) is not FNN
        or (axes["activation"], axes["normalization"]) != ("tanh", "denorm"),
        "it scales neither inputs nor labels": net._input_transform is not None or not plain,
    }
    for reason, given in reasons.items():
        if given:
            raise PeerUnavailable(f"no step in JAX: {reason}")


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
        raise PeerUnavailable(f"no step in JAX: {error}; install the extra jax") from error
    jax.config.update("jax_enable_x64", True)  # float32 stays float32
    if hasattr(os, "sched_setaffinity"):
        allowed = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {max(allowed)})
        try:
            jax.devices("cpu")
        finally:
            os.sched_setaffinity(0, allowed)
    if len(cpus_of_xla()) != 1:
        raise PeerUnavailable(
            "no step in JAX: XLA cannot be held on one CPU, or was started before"
        )
    return jax


def cpus_of_xla() -> set[int]:
    """The CPUs that XLA's threads in this process may use (Linux; elsewhere none are found)."""
    found: set[int] = set()
    for thread in Path("/proc/self/task").glob("*"):
        if "XLA" in (thread / "comm").read_text():
            found |= os.sched_getaffinity(int(thread.name))
    return found
