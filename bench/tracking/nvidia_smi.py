"""The GPUs of this machine, as nvidia-smi shows them."""

from __future__ import annotations

import contextlib
import csv
import os
import subprocess
import tempfile
from collections import Counter
from dataclasses import dataclass

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


class NoAnswer(Exception):
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


def gpus() -> tuple[GPU, ...]:
    """All GPUs.

    Raises:
        NoAnswer: nvidia-smi has no answer.
    """
    newer, older = _THROTTLE_FIELDS
    try:
        rows = _query("gpu", *_FIELDS, newer)
    except NoAnswer as failure:
        if "not a valid field" not in str(failure):
            raise
        rows = _query("gpu", *_FIELDS, older)
    try:
        uses = _query("compute-apps", "gpu_uuid", "pid")
    except NoAnswer:
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
        NoAnswer: It is neither a number nor a word for "unknown".
    """
    if not _known(value):
        return None
    try:
        return int(value, 0)
    except ValueError:
        raise NoAnswer(f"nvidia-smi answers {value!r} where a number is expected") from None


def _query(what: str, *fields: str) -> list[list[str]]:
    """The rows of a query of nvidia-smi, with a value for each field.

    Raises:
        NoAnswer: It ended with an error, did not answer in time or answered something else.
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
            raise NoAnswer(f"nvidia-smi does not start: {error.strerror}") from None
        try:
            code = process.wait(_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(1)
            raise NoAnswer(f"nvidia-smi did not answer within {_TIMEOUT:g} s") from None
        output.seek(0)
        text = output.read().strip()
    first = text.partition("\n")[0]
    if code:
        raise NoAnswer(f"nvidia-smi ended with {code}: {first}".rstrip(". :"))
    rows = [row for row in csv.reader(text.splitlines(), skipinitialspace=True) if row]
    if any(len(row) != len(fields) for row in rows):
        raise NoAnswer(f"nvidia-smi answers {first!r}")
    return [[value.strip() for value in row] for row in rows]
