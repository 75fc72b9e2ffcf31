"""What the nightly job knows of its machine, with an nvidia-smi that says what a test wants."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bench.text.errors import BadInput
from bench.tracking import machine as module
from bench.tracking import nvidia_smi
from bench.tracking.machine import Machine, examine, require_gpu
from bench.tracking.nvidia_smi import GPU

UUID = "GPU-4e0b1e8c-52d1-9d4d-0c4f-5a1e0c1f8a11"
#: Answers to nvidia-smi's fields, as an idle H100 gives them.
H100 = {
    "uuid": UUID,
    "name": "NVIDIA H100 80GB HBM3",
    "driver_version": "570.133.20",
    "clocks.sm": "345",
    "clocks.max.sm": "1980",
    "memory.total": "81559",
    "memory.used": "1",
    "utilization.gpu": "0",
    "temperature.gpu": "31",
    "persistence_mode": "Enabled",
    "clocks_event_reasons.active": "0x0000000000000001",
}
OLDER_DRIVER = {
    **{field: value for field, value in H100.items() if "reasons" not in field},
    "driver_version": "470.256.02",
    "clocks_throttle_reasons.active": "0x0000000000000024",
}

_SCRIPT = """#!{python}
import json, sys
gpus, apps = json.loads({content!r})
assert "--format=csv,noheader,nounits" in sys.argv
for word in sys.argv[1:]:
    if word.startswith("--query-gpu="):
        fields = word.partition("=")[2].split(",")
        for field in fields:
            if any(field not in gpu for gpu in gpus):
                print(f'Field "{{field}}" is not a valid field to query.')
                sys.exit(2)
        for gpu in gpus:
            print(", ".join(gpu[field] for field in fields))
    if word == "--query-compute-apps=gpu_uuid,pid":
        print("\\n".join(apps))
"""


class FakeSmi:
    """An nvidia-smi that is first on PATH."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def script(self, text: str) -> None:
        self.path.write_text(text)
        self.path.chmod(0o755)

    def has(self, *gpus: dict[str, str], apps: tuple[str, ...] = ()) -> None:
        self.script(_SCRIPT.format(python=sys.executable, content=json.dumps([gpus, apps])))

    def says(self, output: str, code: int) -> None:
        self.script(f"#!{sys.executable}\nprint({output!r})\nraise SystemExit({code})\n")


@pytest.fixture
def fake_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSmi:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    return FakeSmi(folder / "nvidia-smi")


def machine(**changes: Any) -> Machine:
    facts = {
        "cpu": "AMD EPYC 9654",
        "cores": 8,
        "memory": 2**37,
        "kernel": "6.8.0-60-generic",
        "load": 0.1,
        "governor": "performance",
        "gpus": (gpu(),),
    }
    return Machine(**{**facts, **changes})


def gpu(**changes: Any) -> GPU:
    idle = GPU(
        name="NVIDIA H100 80GB HBM3",
        driver="570.133.20",
        sm_clock=345,
        max_sm_clock=1980,
        memory=81559,
        memory_used=1,
        utilisation=0,
        temperature=31,
        persistence=True,
        throttle=1,
        processes=0,
    )
    return dataclasses.replace(idle, **changes)


# nvidia-smi's answers.


def test_an_idle_gpu_is_read_and_gives_no_warning(fake_smi: FakeSmi) -> None:
    fake_smi.has(H100)
    found = examine()
    assert found.gpus == (gpu(),)
    assert found.gpu_problem is None
    assert dataclasses.replace(found, load=0.0, governor=None).warnings() == []
    require_gpu(found)


def test_other_processes_are_counted_by_gpu_and_this_one_is_not(fake_smi: FakeSmi) -> None:
    second = {**H100, "uuid": "GPU-second", "utilization.gpu": "97", "memory.used": "40000"}
    apps = (f"{UUID}, {os.getpid()}", "GPU-second, 1", "GPU-second, 2")
    fake_smi.has(H100, second, apps=apps)
    first, busy = examine().gpus
    assert (first.processes, busy.processes) == (0, 2)
    assert (busy.utilisation, busy.memory_used) == (97, 40000)


def test_older_drivers_name_the_reasons_otherwise(fake_smi: FakeSmi) -> None:
    fake_smi.has(OLDER_DRIVER)
    (found,) = examine().gpus
    assert (found.driver, found.throttle) == ("470.256.02", 0x24)


def test_what_nvidia_smi_does_not_know_is_none_and_no_warning(fake_smi: FakeSmi) -> None:
    words = ["[N/A]", "[Not Supported]", "N/A", "[Unknown Error]", "[Insufficient Permissions]"]
    unknown = {field: words[i % len(words)] for i, field in enumerate(H100)}
    fake_smi.has({**unknown, "uuid": UUID, "name": "NVIDIA GB10"}, apps=("[Not Supported]",))
    (found,) = examine().gpus
    assert found == GPU("NVIDIA GB10", *[None] * (len(dataclasses.fields(GPU)) - 1))
    assert machine(gpus=(found,)).warnings() == []


@pytest.mark.parametrize(
    ("output", "code", "problem"),
    [
        (
            "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\nMake…",
            9,
            "nvidia-smi ended with 9: NVIDIA-SMI has failed because it couldn't communicate with"
            " the NVIDIA driver",
        ),
        ("", 255, "nvidia-smi ended with 255"),
        ("No devices were found", 0, "nvidia-smi answers 'No devices were found'"),
    ],
)
def test_a_failing_nvidia_smi_is_a_problem_and_no_crash(
    fake_smi: FakeSmi, output: str, code: int, problem: str
) -> None:
    fake_smi.says(output, code)
    found = examine()
    assert found.gpus == ()
    assert found.gpu_problem == problem
    assert any(problem in warning for warning in found.warnings())
    with pytest.raises(BadInput) as error:
        require_gpu(found)
    assert problem in str(error.value) and "\n" not in str(error.value)


def test_a_word_in_place_of_a_number_is_a_problem(fake_smi: FakeSmi) -> None:
    fake_smi.has({**H100, "clocks.sm": "fast"})
    assert "'fast'" in str(examine().gpu_problem)


def test_an_nvidia_smi_that_hangs_is_given_up(
    fake_smi: FakeSmi, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_smi.script("#!/bin/sh\nexec sleep 20\n")
    monkeypatch.setattr(nvidia_smi, "_TIMEOUT", 0.2)
    start = time.monotonic()
    found = examine()
    assert time.monotonic() - start < 10
    assert found.gpu_problem == "nvidia-smi did not answer within 0.2 s"


def test_an_nvidia_smi_that_does_not_start(fake_smi: FakeSmi) -> None:
    fake_smi.script("#!/no/such/interpreter\n")
    assert str(examine().gpu_problem).startswith("nvidia-smi does not start: ")


# Without nvidia-smi.


@pytest.mark.parametrize("driver", [False, True])
def test_without_nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, driver: bool) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(module, "_DRIVER", tmp_path / "version")
    if driver:
        (tmp_path / "version").write_text("NVRM version: …")
    found = examine()
    assert found.gpus == ()
    assert (found.gpu_problem is not None) == driver
    message = "there is an NVIDIA driver but no" if driver else "there is no NVIDIA GPU here"
    with pytest.raises(BadInput, match=message):
        require_gpu(found)


def test_the_machine_that_the_tests_run_on() -> None:
    found = examine()
    assert found.kernel == platform.release()
    assert found.cores == len(os.sched_getaffinity(0))
    assert 2**28 < found.memory < 2**50
    assert found.load >= 0
    assert msgspec.json.decode(msgspec.json.encode(found), type=Machine) == found


@pytest.mark.gpu
def test_the_gpu_that_the_tests_run_on() -> None:
    import torch

    found = examine()
    require_gpu(found)
    assert torch.cuda.get_device_name(0) in [gpu.name for gpu in found.gpus]
    assert all(gpu.driver and gpu.memory for gpu in found.gpus)


@pytest.mark.parametrize("governor", ["powersave", None])
def test_the_governor_is_read_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, governor: str | None
) -> None:
    path = tmp_path / "scaling_governor"
    if governor:
        path.write_text(f"{governor}\n")
    monkeypatch.setattr(module, "_GOVERNOR", path)
    assert examine().governor == governor


# Warnings.


@pytest.mark.parametrize(
    ("disturbed", "expected"),
    [
        (machine(load=4.1), ["The load was 4.1 on 8 cores", "end other programs"]),
        (machine(governor="powersave"), ["'powersave'", "cpupower frequency-set"]),
        (machine(gpus=(gpu(processes=1),)), ["by 1 other process:", "end them"]),
        (machine(gpus=(gpu(processes=3),)), ["by 3 other processes:", "end them"]),
        (machine(gpus=(gpu(utilisation=6),)), ["6 % busy", "wait"]),
        (machine(gpus=(gpu(throttle=0x44),)), ["power cap, thermal slowdown by the hardware"]),
        (machine(gpus=(gpu(throttle=0x80, temperature=90),)), ["at 90 °C (power brake)", "cool"]),
        (machine(gpus=(gpu(), gpu(persistence=False))), ["GPU 1", "nvidia-smi -i 1 -pm 1"]),
    ],
)
def test_a_disturbance_gives_one_sentence_with_what_to_do(
    disturbed: Machine, expected: list[str]
) -> None:
    (warning,) = disturbed.warnings()
    assert all(part in warning for part in expected), warning
    assert warning.endswith(".") and "\n" not in warning


@pytest.mark.parametrize(
    "quiet",
    [
        machine(load=4.0),
        machine(governor=None),
        machine(gpus=()),
        machine(gpus=(gpu(utilisation=5),)),
        machine(gpus=(gpu(throttle=0x113),)),
    ],
)
def test_a_quiet_machine_gives_no_warning(quiet: Machine) -> None:
    assert quiet.warnings() == []


# Comparing.


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"cpu": "Xeon"}, ["CPU AMD EPYC 9654 → Xeon"]),
        ({"cores": 4}, ["cores 8 → 4"]),
        ({"governor": None}, ["CPU frequency governor performance → unknown"]),
        ({"gpus": (gpu(driver="580.2"),)}, ["driver 570.133.20 → 580.2"]),
        ({"gpus": ()}, ["GPU NVIDIA H100 80GB HBM3 → none"]),
        (
            {"gpus": (gpu(name="NVIDIA A100", driver="580.2"),)},
            ["GPU NVIDIA H100 80GB HBM3 → NVIDIA A100", "driver 570.133.20 → 580.2"],
        ),
        ({"load": 9.0, "kernel": "6.9", "memory": 1, "gpus": (gpu(sm_clock=9, processes=4),)}, []),
    ],
)
def test_differences_that_make_times_incomparable(
    changes: dict[str, Any], expected: list[str]
) -> None:
    assert machine(**changes).differs_from(machine()) == expected


# JSON.


def test_facts_survive_json() -> None:
    original = machine(gpus=(gpu(), gpu(driver=None, throttle=None)), gpu_problem="none")
    content = msgspec.json.encode(original)
    assert msgspec.json.decode(content, type=Machine) == original
    assert json.loads(content)["gpus"][1]["driver"] is None
