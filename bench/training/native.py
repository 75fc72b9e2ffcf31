"""C++ sources of the suites, compiled at their first use and loaded.

A source has a plain C interface and includes nothing of torch, so it compiles in seconds. The
compiler is the one that inductor takes: ``CXX``, or else ``g++``. What it made is kept on disk, in
``TORCHINDUCTOR_CACHE_DIR`` if that is set, or else in the user's cache folder, for every process
with the same sources, compiler and CPU. Where it cannot be kept, each process compiles its own.
"""

from __future__ import annotations

import contextlib
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

from bench.files.atomic import read_bounded, write_atomically

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
    """The compiler refused a source, or what it made cannot be loaded."""


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


def cache_folder() -> Path | None:
    """Where libraries are kept; ``None``: nowhere, since the user has no home."""
    given = os.environ.get("TORCHINDUCTOR_CACHE_DIR")
    # Inductor sets it to its own choice, in a folder for temporary files.
    if given and not Path(given).name.startswith("torchinductor_"):
        return Path(given).absolute() / "native"
    user = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not user.is_absolute():  # which XDG's specification tells to ignore
        try:
            user = Path.home() / ".cache"
        except RuntimeError:  # nor a name, as in a container
            return None
    return user / "dcbench" / "native"


@functools.cache
def _loaded(
    source: Path, macros: tuple[str, ...], compiler: str, folder: Path | None
) -> ctypes.CDLL | NoLibrary:
    """The library, or why there is none, which does not change in a process."""
    try:
        words = _command(compiler)
        command = [*words, *_FLAGS, *(f"-D{macro}" for macro in macros)]
        if folder is None:
            return _built(command, source)
        key = _key(source, (*command, _version(words), _cpu()))
        library = folder / f"{source.stem}-{key}.so"
        return _kept(library) or _built(command, source, library)
    except NoLibrary as reason:
        return reason


def _command(compiler: str) -> tuple[str, ...]:
    command = tuple(shlex.split(compiler))
    if not command or shutil.which(command[0]) is None:
        raise NoCompiler(f"no C++ compiler: {compiler or 'CXX'!r} is not there")
    return command


def _key(source: Path, others: Sequence[str]) -> str:
    """Of everything that decides what the compiler makes: a source, its headers, and others."""
    digest = hashlib.sha256()
    for path in (source, *sorted(source.parent.glob("*.h"))):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    for text in others:
        digest.update(text.encode() + b"\0")
    return digest.hexdigest()[:24]


@functools.cache
def _version(command: tuple[str, ...]) -> str:
    # Of all words: the first may be a launcher's, as of ``ccache g++``.
    return _run([*command, "--version"]).stdout


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


def _built(command: Sequence[str], source: Path, library: Path | None = None) -> ctypes.CDLL:
    """What the compiler makes, which is kept as `library` if it can be."""
    with tempfile.TemporaryDirectory(prefix="native-") as folder:
        output = Path(folder) / "library.so"
        done = _run([*command, str(source), "-o", str(output)])
        if done.returncode or not output.is_file():
            lines = [x for x in done.stderr.splitlines() if "error" in x] or [done.stderr.strip()]
            raise CompileFailed(f"{command[0]} failed on {source.name}: {lines[0][:500]}")
        if library is not None:
            content = output.read_bytes()
            # Its folder may be read-only or full, or nothing there may be executed.
            with contextlib.suppress(OSError):
                write_atomically(library, content + hashlib.sha256(content).digest())
                return ctypes.CDLL(str(library))
        try:
            return ctypes.CDLL(str(output))  # it stays loaded when its file is gone
        except OSError as error:
            reason = f"{source.name} was compiled, but cannot be used: {error}"
            raise CompileFailed(reason) from error


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_LONGEST
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CompileFailed(f"{command[0]} cannot be run: {error}") from error
