"""Illustrations of a trained run for a report: predicted against reference."""

from __future__ import annotations

import hashlib
import io
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from bench.files.atomic import write_atomically
from bench.files.npz import read_npz_arrays
from bench.files.untrusted import require_file, shortened
from bench.plugins import load_suite
from bench.spec.spec import Spec
from bench.spec.user_code import check_sources
from bench.spec.versions import redefinitions
from bench.store.record import Record
from bench.store.store import MAX_WEIGHTS_BYTES, Store
from bench.task import Field, Illustrated, Illustration, Parity, Suite
from bench.text.errors import BadInput, typed

#: Values that are kept of a field along each axis, and of a parity.
MOST_ALONG_AXIS = 128
MOST_PAIRS = 20_000

#: Largest ``illustration.npz`` that is read; that of ten fields has 1.3 MiB.
MAX_BYTES = 64 * 1024**2

#: Of the file; another one's is made anew.
_LAYOUT = 1
#: The entry of the file that describes the others.
_CONTENT = "content"


class _Item(msgspec.Struct):
    """One illustration: a union cannot have two dataclasses."""

    field: Field | None = None
    parity: Parity | None = None


class _Content(msgspec.Struct):
    """The head of the file; an array is named here and stored in an entry of its own.

    Attributes:
        layout: `_LAYOUT` of the code that wrote the file.
        weights: Digest of the file of weights.
        items: The illustrations.
    """

    layout: int
    weights: str
    items: list[_Item]


def illustrations(record: Record, store: Store) -> list[Illustration]:
    """The illustrations of a run, with at most `MOST_ALONG_AXIS` and `MOST_PAIRS` values.

    The stored weights predict them once, on the CPU. They are then kept in the run's directory, and
    made again only when the weights change.

    Returns:
        Nothing if the suite draws nothing, the run is not ``done``, or its weights are missing.
        Also nothing if the weights are unreadable or the prediction fails; stderr then says so.
    """
    if record.status != "done":
        return []
    path = store.find_weights(record.spec_hash)
    if path is None:
        return []
    try:
        # Without torch: what is drawn of them may be kept already.
        require_file(path, MAX_WEIGHTS_BYTES)
        weights = path.read_bytes()
    except (OSError, BadInput) as error:
        print(f"bench: ignoring {path}: {error}", file=sys.stderr)
        return []
    digest = hashlib.sha256(weights).hexdigest()
    kept = store.directory(record.spec_hash) / "illustration.npz"
    found = _read(kept, digest)
    if found is None:
        found = _draw(record.spec, path, weights)
        if found is None:
            return []
        try:
            write_atomically(kept, _encode(found, digest))
        except OSError as error:  # a store that can be read alone can be drawn, too
            print(f"bench: cannot keep {kept}: {error}", file=sys.stderr)
    return found


def _draw(spec: Spec, path: Path, weights: bytes) -> list[Illustration] | None:
    """The illustrations, reduced to what is kept; ``None`` if there cannot be any."""
    try:
        suite = load_suite(spec.suite)
        if not isinstance(suite, Illustrated):
            return None
        check_definitions(suite, spec)
        return [_reduced(drawn) for drawn in _predict(suite, spec, path, weights)]
    except Exception as error:  # whatever a suite or a user's technique raises: the report goes on
        print(f"bench: not drawing {spec.title}: {typed(error, whole=True)}", file=sys.stderr)
        return None


def check_definitions(suite: Suite, spec: Spec) -> None:
    """Refuse weights that were trained with other definitions: they mean nothing to these.

    Raises:
        BadInput: One has another version, or a user's own code has changed.
    """
    for redefined in redefinitions(spec, suite.versions(spec)):
        raise BadInput(redefined)
    check_sources(spec.sources)


def _predict(suite: Illustrated, spec: Spec, path: Path, content: bytes) -> Sequence[Illustration]:
    import torch

    from bench.spec.randomness import global_streams
    from bench.store.weights import decode_weights
    from bench.training.device import deterministic

    try:
        weights = decode_weights(path, content)
    except ValueError as error:
        raise BadInput(f"{path} is unreadable ({shortened(error)})") from error
    device = torch.device("cpu")
    with deterministic(device), global_streams(spec.seed, device):
        return suite.illustrate(spec, weights, device)


def _reduced(drawn: Illustration) -> Illustration:
    """An illustration with fewer values: evenly strided from the first, in the kept type."""
    if isinstance(drawn, Parity):
        every = slice(None, None, _stride(len(drawn.reference), MOST_PAIRS))
        return replace(
            drawn,
            reference=drawn.reference[every].astype(np.float64),
            predicted=drawn.predicted[every].astype(np.float64),
        )
    rows, columns = drawn.reference.shape
    down, along = _stride(rows, MOST_ALONG_AXIS), _stride(columns, MOST_ALONG_AXIS)
    left, right, bottom, top = drawn.extent
    with np.errstate(over="ignore"):
        return replace(
            drawn,
            extent=(
                left,
                _last(left, right, columns, along),
                bottom,
                _last(bottom, top, rows, down),
            ),
            reference=drawn.reference[::down, ::along].astype(np.float32),
            predicted=drawn.predicted[::down, ::along].astype(np.float32),
        )


def _stride(count: int, most: int) -> int:
    return max(-(-count // most), 1)


def _last(first: float, last: float, count: int, stride: int) -> float:
    """The last coordinate that a stride over `count` values meets."""
    left_out = (count - 1) % stride
    return float(last - (last - first) * left_out / (count - 1)) if left_out else float(last)


def _encode(drawn: Sequence[Illustration], digest: str) -> bytes:
    entries: dict[str, Any] = {}

    def name(array: Any) -> str:
        key = f"array_{len(entries)}"
        entries[key] = array
        return key

    items = [_Item(field=one) if isinstance(one, Field) else _Item(parity=one) for one in drawn]
    content = msgspec.json.encode(_Content(_LAYOUT, digest, items), enc_hook=name)
    entries[_CONTENT] = np.frombuffer(content, np.uint8)
    file = io.BytesIO()
    np.savez_compressed(file, **entries)
    return file.getvalue()


def _read(path: Path, digest: str) -> list[Illustration] | None:
    """The kept illustrations, if the file is whole, has this layout, and belongs to the weights."""
    if not path.exists():
        return None
    try:
        _, arrays = read_npz_arrays(path, MAX_BYTES)
        content = msgspec.json.decode(
            arrays[_CONTENT].tobytes(), type=_Content, dec_hook=lambda _, name: arrays[name]
        )
    except Exception:  # a damaged file fails in many ways
        return None
    if (content.layout, content.weights) != (_LAYOUT, digest):
        return None
    return [one for item in content.items for one in (item.field, item.parity) if one is not None]
