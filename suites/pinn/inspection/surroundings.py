"""What a user's code asks of its surroundings: folders, files, environment variables."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple
from unittest import mock

from suites.pinn.inspection.callers import called_by_user

#: Variables that this suite sets for itself.
_OURS = ("DDE_BACKEND",)
#: What Python itself adds to a folder.
_OF_PYTHON = "__pycache__"


class Asked(NamedTuple):
    """Something of the surroundings: a ``folder`` or a ``path`` by its absolute path, or a
    ``variable``."""

    kind: str
    name: str

    @classmethod
    def parse(cls, text: str) -> Asked:
        """The inverse of ``str``."""
        kind, _, name = text.partition(" ")
        return cls(kind, name)

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"

    @property
    def state(self) -> str:
        """Digest of the names in a folder or of a variable's value; ``present`` or ``absent``."""
        if self.kind == "variable":
            value = os.environ.get(self.name)
            return "absent" if value is None else _digest([value])
        if self.kind == "path" or not Path(self.name).is_dir():
            return "present" if os.path.lexists(self.name) else "absent"
        try:
            return _digest(sorted({path.name for path in Path(self.name).iterdir()} - {_OF_PYTHON}))
        except OSError:
            return "absent"


class Surroundings:
    """Records what a user's code asks for while it is entered.

    Python tells of every folder that is listed (`glob` does that); ``os.stat``, by which files are
    looked for, and ``os.environ`` are replaced meanwhile.
    """

    def __init__(self) -> None:
        self._first: dict[Asked, str] = {}
        kind = type(os.environ)
        stat, item = os.stat, kind.__getitem__

        def heard_stat(path: Any, *arguments: Any, **more: Any) -> Any:
            self._hear("path", path)
            return stat(path, *arguments, **more)

        def heard_item(environment: Any, name: Any) -> Any:
            if isinstance(name, str | bytes):
                self._hear("variable", name)
            return item(environment, name)

        self._patches = (
            mock.patch.object(os, "stat", heard_stat),
            mock.patch.object(kind, "__getitem__", heard_item),
        )
        self._active = False
        self._variables: dict[str, str] = {}

    def __enter__(self) -> Surroundings:
        self._variables = dict(os.environ)
        for patch in self._patches:
            patch.start()
        self._active = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._active = False
        for patch in self._patches:
            patch.stop()

    def hear_folder(self, path: Any) -> None:
        """Take note of a folder that is listed; ``None`` is the working directory."""
        self._hear("folder", "." if path is None else path)

    def asked(self) -> dict[Asked, str]:
        """What was asked for, and its state at that time; without variables that were set since
        `Surroundings` was entered, as libraries do."""
        return {
            one: state
            for one, state in self._first.items()
            if one.kind != "variable" or self._variables.get(one.name) == os.environ.get(one.name)
        }

    def _hear(self, kind: str, name: Any) -> None:
        if not self._active or isinstance(name, int):
            return
        # What follows asks, too.
        self._active = False
        try:
            if not called_by_user():
                return
            text = os.fsdecode(name)
            if kind == "variable":
                if text in _OURS:
                    return
            else:
                text = str(Path(text).absolute())
            one = Asked(kind, text)
            if one not in self._first:
                self._first[one] = one.state
        finally:
            self._active = True


def _digest(names: list[str]) -> str:
    content = "\0".join(names).encode(errors="surrogateescape")
    return hashlib.sha256(content).hexdigest()[:16]
