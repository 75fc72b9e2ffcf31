"""The options of training that every suite has."""

from __future__ import annotations

from typing import Annotated

import msgspec

from bench.spec.options import Doc, Options
from bench.spec.training import SCHEDULE_NAMES, Training


class TrainingOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to train, where that of the budget and the protocol is not wanted."""

    steps: Annotated[
        int | None,
        Doc("Adam steps, for instance 2000", "N", also=("epochs", "iterations", "max-steps")),
    ] = None
    lbfgs_steps: Annotated[int | None, Doc("L-BFGS steps after Adam", "N", also=("lbfgs",))] = None
    lr: Annotated[
        float | None, Doc("learning rate of Adam, for instance 1e-3", "X", also=("learning-rate",))
    ] = None
    schedule: Annotated[str | None, Doc(f"one of {', '.join(SCHEDULE_NAMES)}", "NAME")] = None
    eps: Annotated[float | None, Doc("Adam's eps, for instance 1e-12", "X")] = None
    weight_decay: Annotated[float | None, Doc("decoupled weight decay (AdamW)", "X")] = None
    evaluations: Annotated[
        int | None, Doc("how many times the metrics are evaluated", "N", also=("eval-every",))
    ] = None

    def override(self, training: Training) -> Training:
        """The training of a budget and a protocol with what these options change.

        Raises:
            BadInput: A value is out of its range.
        """
        given = {k: v for k, v in msgspec.structs.asdict(self).items() if v is not None}
        changed = msgspec.structs.replace(training, **given)
        changed.check()
        return changed
