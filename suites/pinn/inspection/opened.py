"""Which files a user's code reads, and what else of its surroundings it asks for."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any
from unittest import mock

from h5py import h5f

from suites.pinn.inspection.files import file_digest, is_cache
from suites.pinn.inspection.surroundings import Asked, Surroundings
from suites.pinn.reference.cache import cache_directory

#: Before it is replaced by one that is heard.
_stat = os.stat
#: Of the system and not of a problem.
_SYSTEM = ("/dev", "/etc", "/proc", "/run", "/sys", "/usr/bin", "/usr/lib", "/usr/share")
#: Libraries that open files without Python, h5py apart.
_UNSEEN = ("duckdb", "netCDF4", "polars", "pyarrow", "sqlite3", "tables", "vtk")
#: Data may come from another program, or from the network.
_ELSEWHERE = ("os.system", "socket.connect", "sqlite3.connect", "subprocess.Popen")


class Opened:
    """Records what is opened and asked for while it is entered.

    Python tells of every file that it opens, and h5py is asked. What other libraries open in C is
    not seen; where one of them is loaded, `all_seen` is false.

    Args:
        own: A package or a module that is looked at wherever it lies, also where packages are
            installed.
    """

    def __init__(self, own: Path | None) -> None:
        self._own = own
        self._active = False
        #: With size and time of change when they were first opened for reading.
        self._paths: dict[str, tuple[int, int] | None] = {}
        self._made: set[str] = set()
        self._surroundings = Surroundings()
        self._elsewhere = False
        self._hdf5 = mock.patch.object(h5f, "open", self._hears_hdf5(h5f.open))
        sys.addaudithook(self._hear)

    def __enter__(self) -> Opened:
        self._hdf5.start()
        self._surroundings.__enter__()
        self._active = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._active = False
        self._surroundings.__exit__(kind, error, trace)
        self._hdf5.stop()

    @property
    def all_seen(self) -> bool:
        """Whether files and surroundings are all that the code depends on, as far as that can be
        said: not where it changes some of them itself."""
        return not (
            self._elsewhere
            or any(name in sys.modules for name in _UNSEEN)
            or self.written()
            or any(
                one.state != state or self._is_written_to(one)
                for one, state in self._asked().items()
            )
        )

    def files(self) -> dict[str, str]:
        """Path and `file_digest` of every file that was read, but for those of Python, of installed
        packages, of the suite and of the system, for caches, and for those that were `written`."""
        written = self.written()
        return {path: digest for path, digest in self._read().items() if path not in written}

    def written(self) -> set[str]:
        """Those of the files that were also written, or have changed since they were read."""
        return {
            path
            for path in self._read()
            if path in self._made or (path in self._paths and self._paths[path] != _about(path))
        }

    def surroundings(self) -> dict[str, str]:
        """State of all else that was asked for, by name, without folders that were written to."""
        return {str(one): one.state for one in self._asked() if not self._is_written_to(one)}

    def _asked(self) -> dict[Asked, str]:
        return {
            one: state
            for one, state in self._surroundings.asked().items()
            if one.kind == "variable" or (self._is_own(one.name) and not is_cache(one.name))
        }

    def _is_written_to(self, one: Asked) -> bool:
        """Whether it is a folder in which the code makes files: its names may always differ."""
        return one.kind == "folder" and any(
            str(Path(path).parent) == one.name for path in self._made
        )

    def _read(self) -> dict[str, str]:
        found = {}
        for name in sorted(self._paths):
            path = _source_of(name)
            # The import system asks each folder of its path whether it is an archive.
            if (
                path not in sys.path
                and self._is_own(path)
                and not is_cache(path)
                and (digest := file_digest(path)) is not None
            ):
                found[path] = digest
        return found

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._active:
            return
        if event in _ELSEWHERE:
            self._elsewhere = True
        elif event == "open":
            path, _, flags = arguments
            if isinstance(path, str | bytes):
                self._take(path, flags & os.O_ACCMODE == os.O_RDONLY)
        elif event == "os.rename":
            self._take(arguments[1], False)
        elif event in ("os.listdir", "os.scandir") and not isinstance(arguments[0], int):
            self._surroundings.hear_folder(arguments[0])

    def _take(self, name: Any, reads: bool) -> None:
        path = str(Path(os.fsdecode(name)).absolute())
        if reads:
            self._paths.setdefault(path, _about(path))
        else:
            self._made.add(path)

    def _hears_hdf5(self, opens: Callable[..., Any]) -> Callable[..., Any]:
        def heard(name: Any, *arguments: Any, **more: Any) -> Any:
            self._take(name, True)
            return opens(name, *arguments, **more)

        return heard

    def _is_own(self, path: str) -> bool:
        real = Path(path).resolve()
        if self._own is not None and (real == self._own or self._own in real.parents):
            return True
        return not _is_known(real)


def _is_known(path: Path) -> bool:
    return not _known_folders().isdisjoint(path.parents)


@functools.cache
def _known_folders() -> frozenset[Path]:
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    suite = Path(__file__).resolve().parents[2]
    harness = Path(importlib.import_module("bench").__file__ or "").resolve().parent
    folders = [*(Path(sysconfig.get_path(name)) for name in names), *map(Path, _SYSTEM)]
    return frozenset(f.resolve() for f in (*folders, suite, harness, cache_directory()))


def _about(path: str) -> tuple[int, int] | None:
    """Size and time of change; nothing where there is no file."""
    try:
        about = _stat(path)
    except OSError:
        return None
    return about.st_size, about.st_mtime_ns


def _source_of(path: str) -> str:
    """The source of a compiled module, and every other file itself."""
    if path.endswith(".pyc"):
        try:
            return importlib.util.source_from_cache(path)
        except ValueError:
            return path
    return path
