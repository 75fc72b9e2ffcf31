"""One training step on a CUDA device: its time, its memory, its kernels.

A machine without an NVIDIA driver skips the benchmarks. If there is a driver and PyTorch finds no
device, they fail: a nightly job that lost its GPU must not look as if nothing had changed.
"""

from __future__ import annotations

import functools
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from .describe import describe
from .profile import cases
from .tasks import built

if TYPE_CHECKING:
    from bench.task import Task

#: One of them exists if the driver is loaded; in a container perhaps only the second.
DRIVER_FILES = (Path("/proc/driver/nvidia/version"), Path("/dev/nvidiactl"))

#: Steps of a timed sample: one alone would be dominated by waiting for the device.
_STEPS = 10
#: Steps of which the peak memory is taken.
_PEAK_STEPS = 3


def require_device() -> None:
    """Make sure that there is a CUDA device.

    Raises:
        NotImplementedError: This machine has no NVIDIA driver: asv skips the benchmark.
        RuntimeError: It has one, and PyTorch finds no device.
    """
    if not any(path.exists() for path in DRIVER_FILES):
        raise NotImplementedError("no NVIDIA driver on this machine")
    import torch

    if not torch.cuda.is_available():
        raise RuntimeError(
            "this machine has an NVIDIA driver, but PyTorch finds no CUDA device"
            f" (torch {torch.__version__}, CUDA {torch.version.cuda})"
        )


@functools.cache
def _warm(suite: str, problem: str, network: str) -> Task:
    """A task after steps that load kernels and fill the allocator's cache."""
    task = built(suite, problem, network, "cuda")
    _steps(task, _STEPS)
    return task


def _steps(task: Task, steps: int) -> None:
    """Train for some steps, and wait for the device."""
    import torch

    for _ in range(steps):
        task.step()
    torch.cuda.synchronize()


def _peak_memory(task: Task) -> int:
    """Most memory allocated on the device during some steps, in bytes."""
    import torch

    torch.cuda.reset_peak_memory_stats()
    _steps(task, _PEAK_STEPS)
    return torch.cuda.max_memory_allocated()


def kernels_in(trace: Path) -> int:
    """Number of kernels in a trace that PyTorch's profiler exported, without copies and fills.

    Raises:
        RuntimeError: There is none: the profiler has not seen the device.
    """
    events = json.loads(trace.read_text())["traceEvents"]
    kernels = sum(event.get("cat") == "kernel" for event in events)
    if not kernels:
        raise RuntimeError("PyTorch's profiler saw no kernel in a training step")
    return kernels


def _kernels(task: Task) -> int:
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiler:
        _steps(task, 1)
    with tempfile.TemporaryDirectory() as directory:
        trace = Path(directory) / "trace.json"
        profiler.export_chrome_trace(str(trace))
        return kernels_in(trace)


class _Step:
    """A task on the device; a subclass says which."""

    version = "1"
    timeout = 300
    warmup_time = 1.0
    repeat = (10, 200, 5.0)
    rounds = len(cases([0], [], [1]))
    param_names = ["problem", "network"]
    suite = ""

    def setup(self, problem: str, network: str) -> None:
        require_device()
        self.task = _warm(self.suite, problem, network)


class PINN(_Step):
    """Training steps of a PINN, budget ``quick``."""

    params = [
        cases(
            ["advection-1d"],
            ["compressible-flow-1d"],
            ["diffusion-reaction-2d", "diffusion-sorption-1d", "shallow-water-2d"],
        ),
        cases(["fnn baseline"], [], ["fnn irelu", "fnn-bn baseline"]),
    ]
    suite = "pinn"

    @describe("GPU, PINN: time of 10 training steps")
    def time_step(self, problem: str, network: str) -> None:
        """Ten steps one after the other, until the device has finished the last."""
        _steps(self.task, _STEPS)

    @describe("GPU, PINN: peak device memory of a training step", "bytes")
    def track_peak_memory(self, problem: str, network: str) -> int:
        """Most memory allocated on the device at any time of three steps."""
        return _peak_memory(self.task)

    @describe("GPU, PINN: CUDA kernels of a training step", "kernels")
    def track_kernels(self, problem: str, network: str) -> int:
        """Kernels launched, without copies and fills of memory."""
        return _kernels(self.task)


class Molecular(_Step):
    """Training steps of a potential, budget ``quick``; since version 2 they are captured."""

    version = "2"
    params = [
        cases(["xtb-ethanol"], [], ["xtb-oxides"]),
        cases(["schnet baseline"], ["painn baseline"], ["schnet irelu"]),
    ]
    suite = "molecular"

    @describe("GPU, potentials: time of 10 training steps")
    def time_step(self, problem: str, network: str) -> None:
        """Ten steps one after the other, until the device has finished the last."""
        _steps(self.task, _STEPS)

    @describe("GPU, potentials: peak device memory of a training step", "bytes")
    def track_peak_memory(self, problem: str, network: str) -> int:
        """Most memory allocated on the device at any time of three steps."""
        return _peak_memory(self.task)

    @describe("GPU, potentials: CUDA kernels of a training step", "kernels")
    def track_kernels(self, problem: str, network: str) -> int:
        """Kernels launched, without copies and fills of memory."""
        return _kernels(self.task)
