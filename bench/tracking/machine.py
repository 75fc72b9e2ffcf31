"""The measuring machine: facts that times on it depend on, and what disturbs them now."""

from __future__ import annotations

import contextlib
import csv
import os
import platform
import shutil
import subprocess
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from bench.store.environment import cpu_model
from bench.text.errors import BadInput

_GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
#: Is there where the kernel module of the NVIDIA driver is loaded.
_DRIVER = Path("/proc/driver/nvidia/version")
#: Seconds; without persistence mode nvidia-smi starts each GPU first.
_TIMEOUT = 60.0

_FIELDS = (
    "uuid",
    "name",
    "driver_version",
    "clocks.sm",
    "clocks.max.sm",
    "memory.total",
    "memory.used",
    "utilization.gpu",
    "temperature.gpu",
    "persistence_mode",
)
#: Newer drivers say "event", older ones "throttle" for the same bits.
_THROTTLE_FIELDS = ("clocks_event_reasons.active", "clocks_throttle_reasons.active")

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


class _Failed(Exception):
    """nvidia-smi has no answer; the message says why."""


@dataclass(frozen=True)
class GPU:
    """An NVIDIA GPU as nvidia-smi shows it; None stands for what nvidia-smi does not know.

    Attributes:
        name: Name of the model.
        driver: Version of the driver.
        sm_clock: Present clock of the multiprocessors, MHz.
        max_sm_clock: Highest clock of the multiprocessors, MHz.
        memory: Total memory, MiB.
        memory_used: Memory in use now, MiB.
        utilisation: Share of the last moments in which something ran, per cent.
        temperature: °C.
        persistence: Whether the driver stays loaded while nothing uses the GPU.
        throttle: Bits of nvidia-smi's ``clocks_event_reasons.active``.
        processes: Number of other compute processes on the GPU.
    """

    name: str
    driver: str | None
    sm_clock: int | None
    max_sm_clock: int | None
    memory: int | None
    memory_used: int | None
    utilisation: int | None
    temperature: int | None
    persistence: bool | None
    throttle: int | None
    processes: int | None


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
            gpus = _gpus()
        except _Failed as failure:
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


def _gpus() -> tuple[GPU, ...]:
    """All GPUs.

    Raises:
        _Failed: nvidia-smi has no answer.
    """
    newer, older = _THROTTLE_FIELDS
    try:
        rows = _query("gpu", *_FIELDS, newer)
    except _Failed as failure:
        if "not a valid field" not in str(failure):
            raise
        rows = _query("gpu", *_FIELDS, older)
    try:
        uses = _query("compute-apps", "gpu_uuid", "pid")
    except _Failed:
        processes = None  # not every GPU can tell
    else:
        processes = Counter(uuid for uuid, pid in uses if pid != str(os.getpid()))
    return tuple(_gpu(row, processes) for row in rows)


def _gpu(row: list[str], processes: Counter[str] | None) -> GPU:
    uuid, name, driver, clock, max_clock, memory, used, busy, temperature, mode, throttle = row
    return GPU(
        name=name,
        driver=driver if _known(driver) else None,
        sm_clock=_number(clock),
        max_sm_clock=_number(max_clock),
        memory=_number(memory),
        memory_used=_number(used),
        utilisation=_number(busy),
        temperature=_number(temperature),
        persistence={"Enabled": True, "Disabled": False}.get(mode),
        throttle=_number(throttle),
        processes=None if processes is None else processes[uuid],
    )


def _known(value: str) -> bool:
    # "[N/A]", "[Not Supported]", "[Unknown Error]", "[Insufficient Permissions]", "N/A"
    return not value.startswith("[") and value != "N/A"


def _number(value: str) -> int | None:
    """A number, also one like ``0x0000000000000004``.

    Raises:
        _Failed: It is neither a number nor a word for "unknown".
    """
    if not _known(value):
        return None
    try:
        return int(value, 0)
    except ValueError:
        raise _Failed(f"nvidia-smi answers {value!r} where a number is expected") from None


def _query(what: str, *fields: str) -> list[list[str]]:
    """The rows of a query of nvidia-smi, with a value for each field.

    Raises:
        _Failed: It ended with an error, did not answer in time or answered something else.
    """
    command = ["nvidia-smi", f"--query-{what}={','.join(fields)}", "--format=csv,noheader,nounits"]
    # A file instead of a pipe and a bounded wait after the kill: where the driver hangs, so does
    # nvidia-smi, and no signal ends it.
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )
        except OSError as error:
            raise _Failed(f"nvidia-smi does not start: {error.strerror}") from None
        try:
            code = process.wait(_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(1)
            raise _Failed(f"nvidia-smi did not answer within {_TIMEOUT:g} s") from None
        output.seek(0)
        text = output.read().strip()
    first = text.partition("\n")[0]
    if code:
        raise _Failed(f"nvidia-smi ended with {code}: {first}".rstrip(". :"))
    rows = [row for row in csv.reader(text.splitlines(), skipinitialspace=True) if row]
    if any(len(row) != len(fields) for row in rows):
        raise _Failed(f"nvidia-smi answers {first!r}")
    return [[value.strip() for value in row] for row in rows]
