"""The options on where runs are carried out and kept."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Annotated

from bench.spec.options import Doc, Options
from bench.store.store import DEFAULT_OUT
from bench.text.errors import BadInput

DTYPES = ("float32", "float64")
TOGETHER = ("auto", "on", "off")
#: One of these is there where CUDA is: a server's, a container's, WSL's, Jetson's.
_DRIVERS = ("/proc/driver/nvidia/version", "/dev/nvidiactl", "/dev/dxg", "/dev/nvhost-ctrl")


class ExecutionOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where runs are carried out and kept, and what becomes of finished ones."""

    device: Annotated[
        str, Doc("auto, cpu, cuda, cuda:1 …", "NAME", also=("gpu", "gpus", "accelerator"))
    ] = "auto"
    dtype: Annotated[str, Doc("of the network", "NAME", DTYPES, also=("precision",))] = "float32"
    jobs: Annotated[
        str,
        Doc(
            "runs side by side, each in a process on one core (auto: one per core, or one on a"
            " GPU; 1: in this process, for debuggers)",
            "N",
            also=("workers", "n-jobs", "processes"),
        ),
    ] = "auto"
    timeout: Annotated[
        float | None,
        Doc(
            "time limit of each run, for instance 600; its state is kept, and the same command"
            " continues it",
            "SECONDS",
        ),
    ] = None
    halve_on_oom: Annotated[
        bool,
        Doc("when memory runs out, try again with half the seeds, then half a batch, at a time"),
    ] = False
    seeds_together: Annotated[
        str,
        Doc(
            "train the seeds of an arm as one model, where the suite can (auto: on CUDA devices)",
            "WHEN",
            TOGETHER,
        ),
    ] = "auto"
    store: Annotated[
        Path,
        Doc("the store of results", "DIR", flag="out", also=("output", "output-dir", "store")),
    ] = DEFAULT_OUT
    rerun: Annotated[bool, Doc("repeat finished runs", also=("force", "overwrite"))] = False

    def check(self) -> None:
        """Refuse what can be refused without torch.

        Raises:
            BadInput: ``jobs`` or ``timeout`` is out of range.
        """
        self.jobs_on("cpu")
        if self.timeout is not None and not 0 < self.timeout < math.inf:
            raise BadInput(f"--timeout must be positive and finite, got {self.timeout}")

    def jobs_on(self, device: str) -> int:
        """How many runs side by side on a device, by its resolved name.

        Raises:
            BadInput: ``jobs`` is no number.
        """
        text = self.jobs
        if text == "auto":
            if device != "cpu":
                return 1
            return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
        if not (text.isascii() and text.isdecimal() and len(text) < 10) or int(text) < 1:
            raise BadInput(f"--jobs takes 'auto' or a number of at least 1, got {text!r}")
        return int(text)

    def together_on(self, device: str) -> bool:
        """Whether seeds are trained as one model on a device, where the suite can."""
        return {"auto": device != "cpu", "on": True, "off": False}[self.seeds_together]


def device_name(name: str) -> str:
    """The device's own name. Asks torch, which takes seconds to import, only about CUDA.

    Raises:
        BadInput: The form is wrong, or this machine has no such device.
    """
    kind, _, index = name.partition(":")
    known = kind == "cuda" and (not index or (index.isascii() and index.isdecimal()))
    if name not in ("auto", "cpu") and (not known or name.endswith(":")):
        hint = "; did you mean 'cuda'?" if kind.lower() in ("gpu", "cuda", "nvidia") else ""
        raise BadInput(f"unknown device {name!r}{hint} (allowed: auto, cpu, cuda, cuda:0, …)")
    driver = any(Path(path).exists() for path in _DRIVERS)
    if name == "cpu" or (name == "auto" and not driver):
        return "cpu"
    from bench.training.device import resolve

    return str(resolve(name))
