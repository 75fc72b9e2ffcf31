"""Git commands that ask nobody and run no hooks."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from bench.text.errors import BadInput

#: Set by git for its hooks; they would name another repository than ours.
_LOCATIONS = {
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_WORK_TREE",
}

_NOTHING: Mapping[str, str] = MappingProxyType({})


class Git:
    """Runs git.

    The methods raise `BadInput` if there is no git.

    Args:
        root: Folder where commands run if none is named.
        settings: Settings that stand above those of files, by name.
    """

    def __init__(self, root: Path, settings: Mapping[str, str] = _NOTHING) -> None:
        self._root = root
        # No hooks: they are meant for the code.
        ours = {"core.hooksPath": os.devnull, "commit.gpgSign": "false", **settings}
        self._settings = [word for name in ours for word in ("-c", f"{name}={ours[name]}")]

    def output(
        self, *arguments: str, folder: Path | None = None, environment: Mapping[str, str] = _NOTHING
    ) -> str:
        """What a git command prints.

        Args:
            arguments: The command and its arguments.
            folder: Folder where it runs.
            environment: Further environment variables.

        Raises:
            BadInput: It failed.
        """
        done = self.run(*arguments, folder=folder, environment=environment)
        if done.returncode:
            lines = done.stderr.splitlines() or done.stdout.splitlines() or ["no message"]
            marks = ("fatal:", "error:", " ! [")
            line = next((line for line in lines if line.startswith(marks)), lines[-1])
            raise BadInput(f"git {' '.join(arguments)}: {line.strip()}")
        return done.stdout.strip()

    def succeeds(self, *arguments: str, folder: Path | None = None) -> bool:
        """Whether a git command ends with 0."""
        return self.run(*arguments, folder=folder).returncode == 0

    def run(
        self, *arguments: str, folder: Path | None = None, environment: Mapping[str, str] = _NOTHING
    ) -> subprocess.CompletedProcess[str]:
        """How a git command ends, and what it says; see `output`."""
        inherited = {name: value for name, value in os.environ.items() if name not in _LOCATIONS}
        # No questions: nobody is there to answer.
        quiet = {**inherited, "GIT_TERMINAL_PROMPT": "0", **environment}
        try:
            return subprocess.run(
                ["git", "-C", str(folder or self._root), *self._settings, *arguments],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                env=quiet,
            )
        except FileNotFoundError:
            raise BadInput("git is not on PATH") from None
