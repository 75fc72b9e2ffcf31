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
    """A claim on a run or on another file, which one process at a time holds.

    It is two locks. The first, ``flock``, ends with its holder, but a network file system may keep
    it to one host. The second, a lease, is a file that its holder touches. Another host takes it
    over when it has not been touched for `LEASE_S` of that host's clock; the same host takes it
    over as soon as the holder is gone. A holder that was only suspended may come back: then the run
    is trained twice, into the same files. Each file is whole, and either result is right.

    Args:
        path: Path of the lock file; the lease is beside it.
        lease_s: Instead of `LEASE_S`; all processes must use the same.
    """

    def __init__(self, path: Path, lease_s: float = LEASE_S) -> None:
        self._path = path
        self._lock = FileLock(path)
        self._lease = SoftFileLease(path.with_suffix(".lease"), lease_duration=lease_s)

    def take(self) -> bool:
        """Take the claim, unless another process holds it.

        Only an object that is asked again notices that a lease stands still.

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
        """Let other processes take it."""
        try:
            self._lease.release()
        finally:
            self._lock.release()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Wait for the claim, and hold it in the body.

        Raises:
            CannotWrite: The system refuses to make the files.
        """
        while not self.take():
            time.sleep(0.05)
        try:
            yield
        finally:
            self.release()
