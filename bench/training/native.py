"""C++ sources of the suites, compiled at their first use and loaded.

A source has a plain C interface and includes nothing of torch, so it compiles in seconds. The
compiler is the one that inductor takes: ``CXX``, or else ``g++``. What it made is kept on disk, in
``TORCHINDUCTOR_CACHE_DIR`` if that is set, or else in the user's cache folder, for every process
with the same sources, compiler and CPU.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.files.atomic import CannotWrite, read_bounded, write_atomically

#: No -ffast-math: it would break the reduction of arguments in exp.
_FLAGS = (
    "-O3",
    "-march=native",
    "-std=c++17",
    "-ffp-contract=fast",
    "-fvisibility=hidden",
    "-shared",
    "-fPIC",
)

#: Seconds that a compilation may take, and bytes of what it makes.
_LONGEST, _LARGEST = 300, 64 << 20


class NoLibrary(Exception):
    """A native library could not be had; the message says why."""


class NoCompiler(NoLibrary):
    """There is no C++ compiler."""


class CompileFailed(NoLibrary):
    """The compiler refused a source, or what it made cannot be kept or loaded."""


def load_library(source: Path, macros: Sequence[str] = ()) -> ctypes.CDLL:
    """The library of a source, compiled unless that was done before.

    Args:
        source: A ``.cpp`` file; headers that it includes lie beside it as ``.h``.
        macros: Each ``NAME=value``.

    Raises:
        NoCompiler: There is none.
        CompileFailed: It failed.
    """
    found = _loaded(source, tuple(macros), os.environ.get("CXX", "g++"), cache_folder())
    if isinstance(found, NoLibrary):
        raise found
    return found


def cache_folder() -> Path:
    """Where libraries are kept."""
    inductor = os.environ.get("TORCHINDUCTOR_CACHE_DIR")
    if inductor:
        return Path(inductor).absolute() / "native"
    user = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(user) / "dcbench" / "native"


@functools.cache
def _loaded(
    source: Path, macros: tuple[str, ...], compiler: str, folder: Path
) -> ctypes.CDLL | NoLibrary:
    """The library, or why there is none, which does not change in a process."""
    try:
        command = [*_command(compiler), *_FLAGS, *(f"-D{macro}" for macro in macros)]
        library = folder / f"{source.stem}-{_key(source, command)}.so"
        return _kept(library) or _built(command, source, library)
    except NoLibrary as reason:
        return reason


def _command(compiler: str) -> list[str]:
    command = shlex.split(compiler)
    if not command or shutil.which(command[0]) is None:
        raise NoCompiler(f"no C++ compiler: {compiler or 'CXX'!r} is not there")
    return command


def _key(source: Path, command: Sequence[str]) -> str:
    """Of everything that decides what the compiler makes."""
    digest = hashlib.sha256()
    for path in (source, *sorted(source.parent.glob("*.h"))):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    for text in (*command, _version(command[0]), _cpu()):
        digest.update(text.encode() + b"\0")
    return digest.hexdigest()[:24]


@functools.cache
def _version(compiler: str) -> str:
    return _run([compiler, "--version"]).stdout


def _cpu() -> str:
    """What ``-march=native`` depends on: kind and instructions of the CPU."""
    try:
        first = Path("/proc/cpuinfo").read_text().split("\n\n")[0]
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    kinds = ("vendor_id", "cpu family", "model", "flags", "CPU ", "Features")
    return "\n".join(line for line in first.splitlines() if line.startswith(kinds))


def _kept(library: Path) -> ctypes.CDLL | None:
    """What is kept on disk; ``None`` if there is nothing that can be used.

    A file ends with the digest of what comes before: a loader may crash on one that was cut short.
    """
    try:
        content = read_bounded(library, _LARGEST)
        if content[-32:] == hashlib.sha256(content[:-32]).digest():
            return ctypes.CDLL(str(library))
    except (OSError, ValueError):
        pass
    return None


def _built(command: Sequence[str], source: Path, library: Path) -> ctypes.CDLL:
    with tempfile.TemporaryDirectory(prefix="native-") as folder:
        output = Path(folder) / "library.so"
        done = _run([*command, str(source), "-o", str(output)])
        if done.returncode or not output.is_file():
            lines = [x for x in done.stderr.splitlines() if "error" in x] or [done.stderr.strip()]
            raise CompileFailed(f"{command[0]} failed on {source.name}: {lines[0][:500]}")
        content = output.read_bytes()
    try:
        write_atomically(library, content + hashlib.sha256(content).digest())
        return ctypes.CDLL(str(library))
    except (CannotWrite, OSError) as error:
        raise CompileFailed(f"{source.name} was compiled, but cannot be used: {error}") from error


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_LONGEST
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CompileFailed(f"{command[0]} cannot be run: {error}") from error
