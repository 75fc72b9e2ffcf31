"""One unit of runs: claimed, found or trained."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

from bench.spec.spec import Spec
from bench.store.leases import Claim
from bench.store.record import FINAL, Record
from bench.training.policy import RunPolicy
from bench.training.run import Watcher, execute_together
from bench.training.signals import Interruption


class Attempts:
    """Runs units of specs. Other processes that share the store may be training some of them.

    Args:
        policy: Where and how to run.
        watcher: Is told what happens to the runs.
        found: Is called with the record of a run that another process has finished meanwhile.
    """

    def __init__(
        self, policy: RunPolicy, watcher: Watcher, found: Callable[[Record], None]
    ) -> None:
        self._policy = policy
        self._watcher = watcher
        self._found = found
        #: Kept, since a claim learns by being asked that its holder is gone.
        self._refused: dict[str, Claim] = {}

    def run(self, unit: Sequence[Spec], interruption: Interruption) -> list[Spec]:
        """Train what no other process has finished or is training, unless the time is over.

        Returns:
            The specs that other processes are training.

        Raises:
            CannotWrite: The store takes no more data.
        """
        store, held, mine = self._policy.store, [], []
        with contextlib.ExitStack() as claims:
            for spec in unit:
                claim = self._refused.pop(spec.hash, None) or store.claim(spec.hash)
                if not claim.take():
                    self._refused[spec.hash] = claim
                    held.append(spec)
                    continue
                claims.callback(claim.release)
                if self._is_missing(spec):
                    mine.append(spec)
            if mine and not self._policy.over:
                execute_together(mine, self._policy, self._watcher, interruption)
        return held

    def _is_missing(self, spec: Spec) -> bool:
        store, rerun = self._policy.store, self._policy.rerun
        record = store.read(spec.hash)
        if record is not None and (
            self._policy.is_new(record) or (record.status in FINAL and not rerun)
        ):
            self._found(record)
            return False
        store.tidy(spec.hash)
        if rerun:
            store.drop_checkpoint(spec.hash)
        return True
