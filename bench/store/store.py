"""The store: a directory for each run, named by the hash of its spec."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.files.atomic import CannotWrite, read_bounded, remove_leftovers, write_atomically
from bench.store.leases import Claim
from bench.store.record import Record, decode, encode
from bench.text.errors import BadInput, nearest, one_line

#: Where results go unless told otherwise.
DEFAULT_OUT = Path("bench-results")


def out_option(path: Path) -> str:
    """The option that names a store, with a space before it; empty for the default."""
    return "" if path == DEFAULT_OUT else f" --out {shlex.quote(str(path))}"


#: Of a file's content.
Decode = Callable[[bytes], Record]

#: Largest file of weights that is read, in bytes; those of 8 million parameters have 0.03 GiB.
MAX_WEIGHTS_BYTES = 4 * 1024**3

#: Of a record; one of a million losses has 20 MB.
_MOST_BYTES = 256_000_000

_HASH = re.compile(r"[0-9a-f]{16}")


class Store:
    """Runs below a directory, ``<root>/runs/<hash>/``, each with:

    * ``record.json``: the record, written once the run has ended;
    * ``checkpoint.pt``: the state to continue from, while it has not;
    * ``weights.safetensors``: the trained network's ``state_dict``; ``weights.pt``, in torch's
      format, where earlier code wrote it;
    * ``illustration.npz``: what a report draws of it, once one has been made.

    Beside them are ``<root>/studies/``, the plans of studies, and ``<root>/reports/``.

    Every file is written atomically, so a reader sees it whole or not at all.

    Args:
        root: The directory. It is made when the first run is written.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def directory(self, spec_hash: str) -> Path:
        """The directory of the run's files."""
        if not _HASH.fullmatch(spec_hash):
            raise BadInput(f"{spec_hash!r} is no run's name: 16 hexadecimal digits")
        return self.root / "runs" / spec_hash

    def checkpoint(self, spec_hash: str) -> Path:
        """The run's checkpoint file."""
        return self.directory(spec_hash) / "checkpoint.pt"

    def weights(self, spec_hash: str) -> Path:
        """The file into which the trained network's weights are written."""
        return self.directory(spec_hash) / "weights.safetensors"

    def find_weights(self, spec_hash: str) -> Path | None:
        """The file with the trained network's weights; ``None`` where there is none.

        It is an older ``weights.pt`` where there is no other; see `bench.store.weights`.
        """
        places = (self.weights(spec_hash), self._older_weights(spec_hash))
        return next((path for path in places if path.exists()), None)

    def _older_weights(self, spec_hash: str) -> Path:
        return self.directory(spec_hash) / "weights.pt"

    def claim(self, name: str) -> Claim:
        """The claim on a run, by its hash, or on another file."""
        return Claim(self.root / "locks" / f"{name}.lock")

    def prepare(self) -> None:
        """Make the directory.

        Raises:
            BadInput: It cannot be made or written to.
        """
        try:
            (self.root / "runs").mkdir(parents=True, exist_ok=True)
            probe = self.root / "runs" / ".writable"
            probe.touch()
            probe.unlink(missing_ok=True)  # another process may do the same
        except OSError as error:
            raise BadInput(
                f"cannot write results to {str(self.root)!r}: {error.strerror}"
            ) from error

    def drop_checkpoint(self, spec_hash: str) -> None:
        """Remove the checkpoint of a run, if there is one.

        Raises:
            CannotWrite: The system refuses.
        """
        _remove(self.checkpoint(spec_hash))

    def tidy(self, spec_hash: str) -> None:
        """Remove what killed processes left of a run. The caller must have claimed it.

        Raises:
            CannotWrite: The system refuses.
        """
        for path in (
            self.directory(spec_hash) / "record.json",
            self.checkpoint(spec_hash),
            self.weights(spec_hash),
            self._older_weights(spec_hash),
        ):
            remove_leftovers(path)

    def write(self, record: Record) -> None:
        """Write the record of a run that has ended."""
        write_atomically(self.directory(record.spec_hash) / "record.json", encode(record))

    def write_weights(self, spec_hash: str, content: bytes) -> None:
        """Write the file of the trained network's weights, and remove an older one of the run.

        Args:
            spec_hash: Name of the run.
            content: What `bench.store.weights.save_weights` made.

        Raises:
            CannotWrite: The system refuses.
        """
        write_atomically(self.weights(spec_hash), content)
        _remove(self._older_weights(spec_hash))

    def read(self, spec_hash: str, decode: Decode = decode) -> Record | None:
        """The record of a run; ``None`` where there is none.

        A record that cannot be read is reported on stderr and treated as absent.

        Args:
            spec_hash: Name of the run.
            decode: A decoder of `bench.store.record`. One that reads a part is several times
                faster.
        """
        path = self.directory(spec_hash) / "record.json"
        try:
            record = decode(read_bounded(path, _MOST_BYTES))
            if record.spec_hash != spec_hash:
                raise ValueError(f"it is the record of {record.spec_hash}")
            return record
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError) as error:
            print(f"bench: ignoring {path}: {one_line(str(error))}", file=sys.stderr)
            return None

    def names(self) -> list[str]:
        """The hashes of all runs that have a directory, sorted."""
        runs = self.root / "runs"
        if not runs.is_dir():
            return []
        return sorted(path.name for path in runs.iterdir() if _HASH.fullmatch(path.name))

    def records(self, decode: Decode = decode) -> Iterator[Record]:
        """All readable records, in the order of their hashes; `decode` is that of `read`."""
        for name in self.names():
            record = self.read(name, decode)
            if record is not None:
                yield record

    def find(self, prefix: str) -> Record:
        """The one run whose hash begins with `prefix`.

        Raises:
            BadInput: No run or several do.
        """
        names = self.names()
        matches = [name for name in names if name.startswith(prefix)] if prefix else []
        if len(matches) > 1:
            raise BadInput(f"run {prefix!r} is ambiguous: {', '.join(matches)}")
        if not names:
            raise BadInput(f"unknown run {prefix!r}: there are no runs in {str(self.root)!r}")
        if not matches:
            raise BadInput(
                f"unknown run {prefix!r}{nearest(prefix, names)} in {str(self.root)!r}, which has"
                f" {len(names)} runs"
                f" (python -m bench.suite runs{out_option(self.root)} lists them)"
            )
        record = self.read(matches[0])
        if record is None:
            raise BadInput(f"run {matches[0]!r} has not ended, or its record is damaged")
        return record


def _remove(path: Path) -> None:
    """Remove a file, if there is one.

    Raises:
        CannotWrite: The system refuses.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise CannotWrite.of(path, error) from error
