"""Disk cache of ground truths, shared by all processes of a user."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import filelock
import numpy as np

from bench.files.npz import read_npz_arrays
from bench.spec.code_digest import code_digests
from bench.text.errors import typed
from suites.pinn.reference.reference import Reference

#: Largest solution that is read, as large as the largest sample of a file.
MAX_BYTES = 2 * 1024**3
#: What a file holds.
_STORED = "suites.pinn.reference.reference:Reference"


def cache_directory() -> Path:
    """``$DCBENCH_CACHE``, else ``dcbench/references`` under ``$XDG_CACHE_HOME`` or ``~/.cache``."""
    own = os.environ.get("DCBENCH_CACHE")
    if own:
        return Path(own).expanduser()
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "dcbench" / "references"


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"a {type(value).__name__} cannot be part of a cache key: {value!r}")


def cache_key(name: str, parameters: dict[str, Any], definition: str) -> str:
    """Hexadecimal key of a solution: name, parameters, code, versions.

    Args:
        name: Name of the problem.
        parameters: Everything the solution depends on: JSON types and NumPy numbers or arrays.
        definition: Of what asks for the solution (`bench.spec.code_digest`): with that, all that it
            calls is in the key, so that an edited solver is never served stale.

    Raises:
        LookupError: There is no such definition.
        TypeError: A parameter has no canonical form (a function, for instance).
        ValueError: A parameter is NaN or infinite.
    """
    code = code_digests([definition, _STORED])
    text = json.dumps(
        [name, parameters, code, version("numpy"), version("scipy")],
        sort_keys=True,
        allow_nan=False,
        separators=(",", ":"),
        default=_plain,
    )
    return hashlib.sha256(text.encode()).hexdigest()


def _warn(message: str) -> None:
    print(f"dcbench: {message}", file=sys.stderr)


def _read(path: Path, *, warn: bool) -> Reference | None:
    """The stored solution, or None if there is none that can be read."""
    if not path.exists():
        return None
    try:
        _, stored = read_npz_arrays(path, MAX_BYTES)
        reference = Reference(
            axes=tuple(stored[f"axis_{i}"] for i in range(int(stored["n_axes"]))),
            values=stored["values"],
            method=str(stored["method"]),
            error=tuple(stored["error"].tolist()) if "error" in stored else None,
            order=float(stored["order"]) if "order" in stored else None,
        )
        if any(array.dtype != np.float64 for array in (*reference.axes, reference.values)):
            raise ValueError("axes and values must be float64")
        if any(axis.ndim != 1 for axis in reference.axes):
            raise ValueError("axes must have one dimension")
        return reference
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        if warn:
            reason = typed(error)
            _warn(f"the cached ground truth {path} cannot be read, computing it anew ({reason})")
        return None


def _write(path: Path, reference: Reference) -> None:
    arrays: dict[str, Any] = {f"axis_{i}": axis for i, axis in enumerate(reference.axes)}
    arrays |= {
        "n_axes": len(reference.axes),
        "values": reference.values,
        "method": reference.method,
    }
    if reference.error is not None:
        arrays["error"] = np.asarray(reference.error, dtype=float)
    if reference.order is not None:
        arrays["order"] = reference.order
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as stream:
            np.savez_compressed(stream, allow_pickle=False, **arrays)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def cached(
    name: str, parameters: dict[str, Any], definition: str, solve: Callable[[], Reference]
) -> Reference:
    """The ground truth from the cache, or from `solve`, which then fills the cache.

    Processes that ask for the same solution at the same time compute it once. If the cache cannot
    be written to, that costs time and one line on stderr, never the result.

    Args:
        name: Name of the problem, also the start of the file's name.
        parameters: Everything the solution depends on; see `cache_key`.
        definition: Of the caller; see `cache_key`.
        solve: Computes the solution; whatever it raises is passed on and nothing is stored.

    Raises:
        TypeError, ValueError: `parameters` has no canonical form.
        LookupError: There is no such definition.
    """
    path = cache_directory() / f"{name}-{cache_key(name, parameters, definition)[:32]}.npz"
    found = _read(path, warn=False)
    if found is not None:
        return found
    lock = filelock.FileLock(path.with_suffix(".lock"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except (OSError, NotImplementedError) as error:
        _warn(f"the cache {path.parent} cannot be used: {error}")
        return solve()
    try:
        found = _read(path, warn=True)  # another process may have stored it meanwhile
        if found is not None:
            return found
        reference = solve()
        try:
            _write(path, reference)
        except OSError as error:
            _warn(f"the ground truth of {name} is not cached in {path.parent}: {error}")
        return reference
    finally:
        lock.release()
