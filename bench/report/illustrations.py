"""What a report draws of a trained run: predicted against reference."""

from __future__ import annotations

import hashlib
import io
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import msgspec
import numpy as np

from bench.files.atomic import write_atomically
from bench.files.npz import read_npz_arrays
from bench.files.untrusted import require_file, shortened
from bench.spec.spec import Spec
from bench.spec.user_code import source_digest
from bench.spec.versions import redefinitions
from bench.store.record import Record
from bench.store.store import Store
from bench.task import Suite, load_suite
from bench.text.errors import BadInput

if TYPE_CHECKING:
    import torch
    from torch import Tensor

#: Values that are kept of a field along each axis, and of a parity.
MOST_ALONG_AXIS = 128
MOST_PAIRS = 20_000

#: Largest ``weights.pt`` that is drawn of, which is read without torch: it may be kept already.
MAX_WEIGHTS_BYTES = 4 * 1024**3
#: Largest ``illustration.npz`` that is read; that of ten fields has 1.3 MiB.
MAX_BYTES = 64 * 1024**2

#: Of the file; another one's is made anew.
_LAYOUT = 1
#: The entry of the file that describes the others.
_CONTENT = "content"


@dataclass(frozen=True)
class Field:
    """A scalar on a two-dimensional cut of the domain.

    Attributes:
        name: Of the output, for instance ``u``.
        axes: Labels of the horizontal and the vertical axis, for instance ``("x", "t")``.
        extent: Coordinates of the first and last column, then of the first and last row: left,
            right, bottom, top.
        at: Where the cut is, for instance ``t = 5``; empty if the domain has no further axis.
        reference: Shape ``(vertical, horizontal)``, evenly spaced, the first row at the bottom.
        predicted: Likewise.
    """

    name: str
    axes: tuple[str, str]
    extent: tuple[float, float, float, float]
    at: str
    reference: np.ndarray
    predicted: np.ndarray


@dataclass(frozen=True)
class Parity:
    """Predicted against reference values of one quantity on the test set.

    Attributes:
        name: Of the quantity, for instance ``energy``.
        unit: Of the values.
        reference: Shape ``(n,)``, float64.
        predicted: Likewise.
    """

    name: str
    unit: str
    reference: np.ndarray
    predicted: np.ndarray


Illustration = Field | Parity


@runtime_checkable
class Illustrated(Protocol):
    """What a `bench.task.Suite` also has whose runs can be drawn."""

    def illustrate(
        self, spec: Spec, weights: Mapping[str, Tensor], device: torch.device
    ) -> Sequence[Illustration]:
        """What can be drawn of a trained run, in full resolution; called as `Suite.build` is.

        Args:
            spec: Of the run.
            weights: What `bench.task.Task.weights` gave at its end.
            device: Where to predict.
        """


class _Item(msgspec.Struct):
    """One illustration: a union cannot have two dataclasses."""

    field: Field | None = None
    parity: Parity | None = None


class _Content(msgspec.Struct):
    """What the file says; arrays are names of its other entries.

    Attributes:
        layout: `_LAYOUT` of whoever wrote it.
        weights: Digest of the weights' file.
        items: The illustrations.
    """

    layout: int
    weights: str
    items: list[_Item]


def illustrations(record: Record, store: Store) -> list[Illustration]:
    """What is drawn of a run, in at most `MOST_ALONG_AXIS` and `MOST_PAIRS` values.

    It is predicted from the stored weights on the CPU once and then kept in the run's directory,
    until the weights are others.

    Returns:
        Nothing where the suite draws nothing, the run is not ``done`` or its weights are not there;
        also where they are unreadable or predicting fails, which is said on stderr.
    """
    if record.status != "done":
        return []
    path = store.weights(record.spec_hash)
    if not path.exists():
        return []
    try:
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
        _check_definitions(suite, spec)
        return [_reduced(drawn) for drawn in _predict(suite, spec, path, weights)]
    except Exception as error:  # whatever a suite or a user's technique raises: the report goes on
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        print(f"bench: not drawing {spec.title}: {reason}", file=sys.stderr)
        return None


def _check_definitions(suite: Suite, spec: Spec) -> None:
    """Weights mean nothing to other definitions than those that they were trained with."""
    for redefined in redefinitions(spec, suite.versions(spec)):
        raise BadInput(redefined)
    for name, digest in spec.sources.items():
        if source_digest(name) != digest:
            raise BadInput(f"{name} has changed since")


def _predict(suite: Illustrated, spec: Spec, path: Path, content: bytes) -> Sequence[Illustration]:
    import torch

    from bench.files.tensors import read_tensors
    from bench.spec.randomness import global_streams
    from bench.training.device import deterministic

    try:
        weights = read_tensors(content)
    except ValueError as error:
        raise BadInput(f"{path} is unreadable ({shortened(error)})") from error
    device = torch.device("cpu")
    with deterministic(device), global_streams(spec.seed, device):
        return suite.illustrate(spec, weights, device)


def _reduced(drawn: Illustration) -> Illustration:
    """At most so many values, evenly strided from the first, of the type that is kept."""
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
    """The coordinate of the last of `count` that the stride meets."""
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
    """What was kept, if it is whole, of this layout, and of the weights with that digest."""
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
