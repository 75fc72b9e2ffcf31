"""Devices, dtypes, determinism, synchronised step timers and peak memory."""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from bench.text.errors import BadInput


def resolve(name: str) -> torch.device:
    """The device that ``auto``, ``cpu``, ``cuda`` or ``cuda:i`` names.

    Raises:
        BadInput: The form is wrong, or this machine has no such device.
    """
    count = torch.cuda.device_count()
    if name == "auto":
        return torch.device("cuda", 0) if count else torch.device("cpu")
    kind, given, index = name.partition(":")
    if (
        kind not in ("cpu", "cuda")
        or (kind == "cpu" and given)
        or (given and not (index.isascii() and index.isdecimal() and len(index) < 5))
    ):
        raise BadInput(f"unknown device {name!r} (allowed: auto, cpu, cuda, cuda:0, cuda:1, …)")
    if kind == "cpu":
        return torch.device("cpu")
    if int(index or 0) >= count:
        raise BadInput(f"device {name!r} is not there: this machine has {count} CUDA devices")
    return torch.device("cuda", int(index or 0))


@contextlib.contextmanager
def deterministic(device: torch.device) -> Iterator[None]:
    """One CPU thread and deterministic kernels, so that a result depends only on its spec.

    Inside the context new tensors are made on `device`, on which DeepXDE's conditions rely. They
    are float32 until a suite says otherwise, whatever ran before in the process.
    """
    dtype = torch.get_default_dtype()
    threads = torch.get_num_threads()
    before = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float32)
    # cuBLAS is deterministic only with a workspace of fixed size.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=device.type == "cuda")
    try:
        with _placed_on(device):
            yield
    finally:
        torch.set_default_dtype(dtype)
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(before, warn_only=warn_only)


@contextlib.contextmanager
def _placed_on(device: torch.device) -> Iterator[None]:
    if device.type == "cpu":
        # The default stays as it is: a mode costs time at every operator.
        yield
        return
    # The second makes the device current, for events and streams.
    with torch.device(device), torch.cuda.device(device):
        yield


class StepTimer:
    """Times single steps without waiting for the device after each.

    On CUDA, events are recorded around each step and read in `flush`, which synchronises once.

    Args:
        device: Where the steps run.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._cuda = device.type == "cuda"
        self._pending: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []
        self._seconds: list[float] = []

    @contextlib.contextmanager
    def step(self) -> Iterator[None]:
        """Time the body."""
        if self._cuda:
            begin = torch.cuda.Event(enable_timing=True)
            end = torch.cuda.Event(enable_timing=True)
            begin.record()
            yield
            end.record()
            self._pending.append((begin, end))
        else:
            start = time.perf_counter()
            yield
            self._seconds.append(time.perf_counter() - start)

    def flush(self) -> list[float]:
        """Seconds of each step since the last call."""
        if self._cuda:
            torch.cuda.synchronize(self._device)
            self._seconds = [begin.elapsed_time(end) / 1e3 for begin, end in self._pending]
            self._pending = []
        seconds, self._seconds = self._seconds, []
        return seconds


def reset_peak_memory(device: torch.device) -> None:
    """Start a new measurement of `peak_memory_mb`."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        # Linux: resets VmHWM. Elsewhere the peak is that of the whole process.
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")


def peak_memory_mb(device: torch.device) -> float:
    """Peak allocated memory of a CUDA device, or peak resident memory of the process, in MB."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    # Kilobytes, but bytes on macOS.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


#: What else than exceptions of their own says that memory is at an end: torch's CPU allocator,
#: cuBLAS, and CUDA itself.
_OUT_OF_MEMORY = (
    "can't allocate memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDA error: out of memory",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that the device or the machine has no memory left."""
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or (
        isinstance(error, RuntimeError) and any(text in str(error) for text in _OUT_OF_MEMORY)
    )


def release_memory(device: torch.device) -> None:
    """Give back the memory of a run that ended, before something else is tried."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def works(device: torch.device) -> bool:
    """Whether the device still works: after an illegal access by one run, all that follow fail."""
    if device.type == "cuda":
        try:
            torch.cuda.synchronize(device)
        except RuntimeError:
            return False
    return True
