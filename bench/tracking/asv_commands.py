"""asv's own commands, as a person would call them, with their output kept."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.text.errors import BadInput
from bench.tracking.configuration import Configuration

#: Benchmarks that only look up what their ``setup_cache`` has computed: a new interpreter for each
#: of their hundreds of values would take longer than all that they compute.
_FORKED = "^fingerprints"


class Asv:
    """Runs asv with one configuration.

    Args:
        configuration: asv's configuration of the checkout.
        profile: How much is measured, see `bench.asv_benchmarks.profile`.
        machine: Name under which results are kept.
        logs: Folder for the outputs; each command has a file of its own.
        config: File that the configuration is written to, for asv.
    """

    def __init__(
        self, configuration: Configuration, profile: str, machine: str, logs: Path, config: Path
    ) -> None:
        self.logs = logs
        self._configuration = configuration
        self._environment = {**os.environ, "DCBENCH_PROFILE": profile}
        self._machine = machine
        self.config = config

    @property
    def results_dir(self) -> Path:
        """Where asv keeps results, absolute."""
        return self._configuration.results_dir

    def introduce_machine(self) -> None:
        """Tell asv about this machine, which it would ask a person for."""
        self._call("machine", "machine", "--yes", "--machine", self._machine)

    def discover(self, commit: str) -> None:
        """List the benchmarks in ``benchmarks.json``."""
        self._call("discover", "run", "--bench", "just-discover", *self._where(f"{commit}^!"))

    def measure(self, commit: str, regex: str) -> None:
        """Run the benchmarks that match and have not succeeded before, and keep their results.

        Args:
            commit: Full hash.
            regex: Regular expression for a benchmark's name with its parameters.
        """
        which = ["--bench", regex, "--skip-existing-successful"]
        if regex.startswith(_FORKED):
            which += ["--launch-method", "forkserver"]
        self._call(f"{commit[:8]} {regex}", "run", *which, *self._where(f"{commit}^!"))

    def measure_in_turn(self, commits: Sequence[str], names: Sequence[str], rounds: int) -> None:
        """Measure benchmarks of several commits anew, all commits in each round.

        A slow phase of the machine then meets all of them.

        Args:
            commits: Full hashes.
            names: Names of the benchmarks, with their parameters.
            rounds: Number of rounds.
        """
        hashes = self.logs / "commits.txt"
        hashes.write_text("\n".join(commits))
        benches = [word for name in names for word in ("--bench", f"^{re.escape(name)}$")]
        rest = ["--interleave-rounds", "--attribute", f"rounds={rounds}"]
        self._call("in turn", "run", *benches, *rest, *self._where(f"HASHFILE:{hashes}"))

    def publish(self) -> None:
        """Write the pages."""
        self._call("publish", "publish", "--no-pull")

    def failures(self) -> list[str]:
        """Last lines of the tracebacks that benchmarks left in the logs, each once."""
        found = {
            line.strip()
            for log in sorted(self.logs.glob("*.log"))
            for line in log.read_text(errors="replace").splitlines()
            if re.match(r"\s*[\w.]+(Error|Exception): |\s*asv: benchmark timed out", line)
        }
        return sorted(found)

    def _where(self, commits: str) -> list[str]:
        return ["--show-stderr", "--no-pull", "--machine", self._machine, commits]

    def _call(self, title: str, *arguments: str) -> None:
        """Run asv; its output goes to a log and, as it comes, to stderr.

        Raises:
            BadInput: asv could not begin. Failed benchmarks (exit code 2) show in their results.
        """
        self._configuration.write(self.config)
        self.logs.mkdir(parents=True, exist_ok=True)
        number = len(list(self.logs.glob("*.log")))
        name = "".join(c if c.isalnum() else "-" for c in title).strip("-")[:60]
        log = self.logs / f"{number:03d}-{name}.log"
        command = [sys.executable, "-m", "asv", "--config", str(self.config), *arguments]
        start = time.monotonic()
        print(f"nightly: {title} …", file=sys.stderr, flush=True)
        with log.open("wb") as output:
            code = _run(command, self._configuration.root, self._environment, output)
        print(f"nightly: {title}: {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)
        if code not in (0, 2):
            lines = log.read_text(errors="replace").strip().splitlines()
            last = lines[-1].strip() if lines else "it said nothing"
            raise BadInput(f"asv {arguments[0]} ended with {code}: {last} (all of it: {log})")


def _run(command: list[str], folder: Path, environment: dict[str, str], output: Any) -> int:
    """Exit code of a command, which does not outlive this process."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        # Ctrl-C on a terminal reaches this process, which passes it on once.
        start_new_session=True,
        preexec_fn=_interrupt_with_parent,
    )
    try:
        return process.wait()
    except BaseException:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
        raise


def _interrupt_with_parent() -> None:
    """Linux: a killed nightly interrupts its asv, which ends its benchmarks."""
    # Ignored in what a script starts in the background, and so in all that this starts.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    set_parent_death_signal = 1
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGINT)
