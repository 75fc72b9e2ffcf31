"""Which files a user's code reads."""

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

from suites.pinn.inspection.files import file_digest
from suites.pinn.reference.cache import cache_directory

#: Of the system and not of a problem.
_SYSTEM = ("/dev", "/etc", "/proc", "/run", "/sys", "/usr/bin", "/usr/lib", "/usr/share")
#: Libraries that open files without Python, h5py apart.
_UNSEEN = ("duckdb", "netCDF4", "polars", "pyarrow", "sqlite3", "tables", "vtk")
#: Data may come from another program, or from the network.
_ELSEWHERE = ("os.system", "socket.connect", "sqlite3.connect", "subprocess.Popen")


class Opened:
    """Records what is opened for reading while it is entered.

    Python tells of every file that it opens, and h5py is asked. What other libraries open in C is
    not seen; where one of them is loaded, `all_seen` is false.

    Args:
        own: A package or a module that is looked at wherever it lies, also where packages are
            installed.
    """

    def __init__(self, own: Path | None) -> None:
        self._own = own
        self._active = False
        self._paths: set[str] = set()
        self._elsewhere = False
        self._hdf5 = mock.patch.object(h5f, "open", self._hears_hdf5(h5f.open))
        sys.addaudithook(self._hear)

    def __enter__(self) -> Opened:
        self._hdf5.start()
        self._active = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._active = False
        self._hdf5.stop()

    @property
    def all_seen(self) -> bool:
        """Whether the files are all that the code depends on, as far as that can be said."""
        return not self._elsewhere and not any(name in sys.modules for name in _UNSEEN)

    def files(self) -> dict[str, str]:
        """Path and `file_digest` of every file that was read, but for those of Python, of installed
        packages, of the suite and of the system."""
        found = {}
        for name in sorted(self._paths):
            path = _source_of(name)
            # The import system asks each folder of its path whether it is an archive.
            if (
                path not in sys.path
                and self._is_own(path)
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
            if isinstance(path, str | bytes) and flags & os.O_ACCMODE == os.O_RDONLY:
                self._paths.add(str(Path(os.fsdecode(path)).absolute()))

    def _hears_hdf5(self, opens: Callable[..., Any]) -> Callable[..., Any]:
        def heard(name: Any, *arguments: Any, **more: Any) -> Any:
            self._paths.add(str(Path(os.fsdecode(name)).absolute()))
            return opens(name, *arguments, **more)

        return heard

    def _is_own(self, path: str) -> bool:
        real = Path(path).resolve()
        if self._own is not None and (real == self._own or self._own in real.parents):
            return True
        return not _is_known(real)


def is_users_file(path: str) -> bool:
    """Whether a file is none of Python, of an installed package, of the suite or of the system."""
    return not path.startswith("<frozen") and not _is_known(Path(path).resolve())


def _is_known(path: Path) -> bool:
    return not _known_folders().isdisjoint(path.parents)


@functools.cache
def _known_folders() -> frozenset[Path]:
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    suite = Path(__file__).resolve().parents[2]
    harness = Path(importlib.import_module("bench").__file__ or "").resolve().parent
    folders = [*(Path(sysconfig.get_path(name)) for name in names), *map(Path, _SYSTEM)]
    return frozenset(f.resolve() for f in (*folders, suite, harness, cache_directory()))


def _source_of(path: str) -> str:
    """The source of a compiled module, and every other file itself."""
    if path.endswith(".pyc"):
        try:
            return importlib.util.source_from_cache(path)
        except ValueError:
            return path
    return path
