"""The measuring machine: facts that times on it depend on, and what disturbs them now."""

from __future__ import annotations

import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

from bench.store.environment import cpu_model
from bench.text.errors import BadInput
from bench.tracking import nvidia_smi
from bench.tracking.nvidia_smi import GPU, NoAnswer

_GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
#: Is there where the kernel module of the NVIDIA driver is loaded.
_DRIVER = Path("/proc/driver/nvidia/version")

#: Reasons that make times incomparable; idling and clocks that the user has set are none.
_THROTTLES = {
    0x04: "power cap",
    0x08: "hardware slowdown",
    0x20: "thermal slowdown by the driver",
    0x40: "thermal slowdown by the hardware",
    0x80: "power brake",
}

_LOAD_PER_CORE = 0.5
_UTILISATION = 5


@dataclass(frozen=True)
class Machine:
    """Facts about a machine, all of them JSON values.

    Attributes:
        cpu: Model of the processor.
        cores: Number of cores that this process may use.
        memory: Main memory, bytes.
        kernel: Release of the kernel.
        load: Load average of the last minute.
        governor: Governor of the CPU's frequency; None if the kernel shows none, as in most
            containers.
        gpus: The GPUs, in nvidia-smi's order.
        gpu_problem: Why nothing is known about GPUs although nvidia-smi or a driver is there.
    """

    cpu: str
    cores: int
    memory: int
    kernel: str
    load: float
    governor: str | None
    gpus: tuple[GPU, ...] = ()
    gpu_problem: str | None = None

    def warnings(self) -> list[str]:
        """What disturbs times now: a sentence for each, with what to do.

        Unlocked clocks of a GPU are not among them, because nvidia-smi does not show that.
        """
        found = []
        if self.load > _LOAD_PER_CORE * self.cores:
            found.append(
                f"The load was {self.load:.1f} on {self.cores} cores before the start: end other"
                " programs, or run when the machine is idle."
            )
        if self.governor is not None and self.governor != "performance":
            found.append(
                f"The CPU's frequency governor is {self.governor!r}: set it with"
                " `cpupower frequency-set --governor performance`."
            )
        if self.gpu_problem:
            found.append(f"Nothing is known of GPUs: {self.gpu_problem}. Repair the driver.")
        for index, gpu in enumerate(self.gpus):
            found.extend(_warnings(index, gpu))
        return found

    def differs_from(self, before: Machine) -> list[str]:
        """Facts that make times of two machines, or of one machine over time, incomparable.

        Neither the kernel nor the size of the memory is among them: times hardly depend on them,
        and kernels change often.

        Args:
            before: The other machine, or an earlier state.

        Returns:
            For instance ``["driver 570.1 → 580.2"]``, `before` on the left; empty if times compare.
        """
        pairs = {
            "CPU": (before.cpu, self.cpu),
            "cores": (str(before.cores), str(self.cores)),
            "CPU frequency governor": (before.governor or "unknown", self.governor or "unknown"),
            "GPU": (_names(before.gpus), _names(self.gpus)),
        }
        if before.gpus and self.gpus:
            pairs["driver"] = (_drivers(before.gpus), _drivers(self.gpus))
        return [f"{fact} {old} → {new}" for fact, (old, new) in pairs.items() if old != new]


def examine() -> Machine:
    """The machine that this process runs on, as it is now."""
    gpus: tuple[GPU, ...] = ()
    problem = None
    if shutil.which("nvidia-smi"):
        try:
            gpus = nvidia_smi.gpus()
        except NoAnswer as failure:
            problem = str(failure)
    elif _DRIVER.exists():
        problem = "there is an NVIDIA driver but no nvidia-smi on PATH"
    return Machine(
        cpu=cpu_model(),
        cores=len(os.sched_getaffinity(0)),
        memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        kernel=platform.release(),
        load=os.getloadavg()[0],
        governor=_GOVERNOR.read_text().strip() if _GOVERNOR.exists() else None,
        gpus=gpus,
        gpu_problem=problem,
    )


def require_gpu(machine: Machine) -> None:
    """Check that there is a GPU to measure on.

    Raises:
        BadInput: There is none, or nvidia-smi fails.
    """
    if machine.gpu_problem:
        raise BadInput(f"no GPU can be used: {machine.gpu_problem}")
    if not machine.gpus:
        raise BadInput("there is no NVIDIA GPU here: nvidia-smi is not on PATH, or lists none")


def _warnings(index: int, gpu: GPU) -> list[str]:
    name = f"GPU {index} ({gpu.name})"
    found = []
    if gpu.processes:
        found.append(
            f"{name} is in use by {gpu.processes} other"
            f" {'process' if gpu.processes == 1 else 'processes'}: end them (`nvidia-smi` lists"
            " them)."
        )
    if gpu.utilisation is not None and gpu.utilisation > _UTILISATION:
        found.append(
            f"{name} was {gpu.utilisation} % busy before the start: wait until it is idle."
        )
    reasons = [text for bit, text in _THROTTLES.items() if (gpu.throttle or 0) & bit]
    if reasons:
        temperature = "" if gpu.temperature is None else f" at {gpu.temperature} °C"
        found.append(
            f"{name} runs slower than it could{temperature} ({', '.join(reasons)}): look at"
            " cooling, power supply and power limit (`nvidia-smi -q -d PERFORMANCE`)."
        )
    if gpu.persistence is False:
        found.append(
            f"{name} is not in persistence mode: switch it on with `nvidia-smi -i {index} -pm 1`."
        )
    return found


def _names(gpus: tuple[GPU, ...]) -> str:
    return ", ".join(gpu.name for gpu in gpus) or "none"


def _drivers(gpus: tuple[GPU, ...]) -> str:
    return ", ".join(sorted({gpu.driver or "unknown" for gpu in gpus}))
