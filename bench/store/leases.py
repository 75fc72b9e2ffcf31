"""Claims on runs, between the processes and the hosts that share a store."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, LeaseSettingsMismatch, SoftFileLease, Timeout

from bench.files.atomic import CannotWrite

#: A claim of another host is taken over when nothing was heard of it for so long.
LEASE_S = 60.0


class Claim:
    """What one process at a time holds on a run or on another file.

    It is two locks. The first, ``flock``, ends with its holder, but a network file system may keep
    it to one host. The second, a lease, is a file that its holder touches; another host takes it
    over when that has not happened for `LEASE_S` of its own clock, and the same host at once when
    the holder is gone. Should a holder that was only suspended come back, a run is trained twice,
    to the same files: each is whole, and either is right.

    Args:
        path: Of the lock file; the lease is beside it.
        lease_s: As `LEASE_S`; the same for all.
    """

    def __init__(self, path: Path, lease_s: float = LEASE_S) -> None:
        self._path = path
        self._lock = FileLock(path)
        self._lease = SoftFileLease(path.with_suffix(".lease"), lease_duration=lease_s)

    def take(self) -> bool:
        """Take it unless another holds it. To learn that a lease stands still, ask the same object.

        Raises:
            CannotWrite: The system refuses to make the files.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(blocking=False)
            try:
                self._lease.acquire(blocking=False)
            except BaseException:
                self._lock.release()
                raise
        except (Timeout, LeaseSettingsMismatch):  # the second: of code with another `LEASE_S`
            return False
        except OSError as error:
            raise CannotWrite.of(self._path, error) from error
        return True

    def release(self) -> None:
        """Let others take it."""
        try:
            self._lease.release()
        finally:
            self._lock.release()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Wait for it, and hold it in the body.

        Raises:
            CannotWrite: As `take`.
        """
        while not self.take():
            time.sleep(0.05)
        try:
            yield
        finally:
            self.release()
