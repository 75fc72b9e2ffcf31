"""How soon the command line answers."""

from __future__ import annotations

import subprocess
import sys

from .describe import describe
from .profile import cases


def _run(arguments: str, code: int) -> None:
    """Run ``python -m bench.suite`` with these arguments.

    Raises:
        RuntimeError: It did not end with this exit code.
    """
    command = [sys.executable, "-m", "bench.suite", *arguments.split()]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != code:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr}")


class CommandLine:
    """A command that needs no training, from the interpreter's start to its end."""

    version = "1"
    timeout = 120
    warmup_time = 0
    rounds = 1
    repeat = (5, 30, 3.0)
    number = 1
    param_names = ["command"]
    params = [
        cases(["list"], ["pinn --arm nosuch"], ["--help", "molecular --arm nosuch"]),
    ]

    @describe("start: time of a command that trains nothing")
    def time_command(self, command: str) -> None:
        """An answer, or an error's one line where an arm is unknown."""
        _run(command, code=2 if "nosuch" in command else 0)


class Import:
    """What the start loads: the same on every machine."""

    version = "1"
    timeout = 120
    param_names = ["after"]
    params = [["import bench.suite", "import bench.suite; bench.suite.parser()"]]

    @describe("start: modules loaded", "modules")
    def track_modules(self, after: str) -> int:
        """Entries of ``sys.modules`` in a new interpreter; torch alone would add 1000.

        Raises:
            RuntimeError: The interpreter failed.
        """
        script = f"{after}\nimport sys\nprint(len(sys.modules))"
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{after!r} failed: {done.stderr}")
        return int(done.stdout)
