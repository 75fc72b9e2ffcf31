"""What a worker process tells its parent: JSON, so that nothing is unpickled."""

from __future__ import annotations

import msgspec

from bench.store.record import Record


class Anew(msgspec.Struct, tag=True):
    """A run begins at the first step although it has a checkpoint, for a reason."""

    run: str
    why: str


class Began(msgspec.Struct, tag=True):
    """These runs, by their hashes, are trained from now on within a time limit in seconds."""

    runs: list[str]
    limit_s: float | None


class Progressed(msgspec.Struct, tag=True):
    """A block of steps was done."""

    run: str
    step: int
    total: int
    loss: float


class Ended(msgspec.Struct, tag=True):
    """A run has ended, or was found."""

    record: Record
    reused: bool


class Idle(msgspec.Struct, tag=True):
    """The unit is through, but for runs that other processes hold.

    Attributes:
        held: Those, by their hashes.
        usable: Whether the worker can take another unit; else it ends.
    """

    held: list[str]
    usable: bool


class Full(msgspec.Struct, tag=True):
    """The store takes no more; the worker ends."""

    errno: int
    reason: str
    path: str


Message = Anew | Began | Progressed | Ended | Idle | Full

DECODER = msgspec.json.Decoder(Message)
