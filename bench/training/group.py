"""Runs that are built and trained as one: all of the harness that makes their numbers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch

from bench.spec.randomness import global_state, global_streams
from bench.spec.spec import Spec
from bench.task import Batch, Batchable, Divisible, Suite, Task
from bench.training.device import deterministic
from bench.training.loop import Alone, Lockstep, Progress, Stop, Trainer
from bench.training.memory_pages import keep_pages
from bench.training.products import own_product_library, products_by


class Group:
    """Specs whose tasks are built and trained as one model; a context manager around all of it.

    What the digest of a run's code covers of the harness begins here (`bench.store.environment`).
    So records, stores and claims on them are not known here: they make no number.

    Args:
        suite: Of the specs.
        specs: One, or several of a suite that takes them together.
        device: Where.
    """

    def __init__(self, suite: Suite, specs: Sequence[Spec], device: torch.device) -> None:
        self._suite = suite
        self._specs = specs
        self._device = device
        self._batch: Batch | None = None
        self._contexts = contextlib.ExitStack()

    def __enter__(self) -> Group:
        keep_pages()
        self._contexts.enter_context(deterministic(self._device))
        library = own_product_library() if self._device.type == "cpu" else "mkl"
        self._contexts.enter_context(products_by(library))
        self._contexts.enter_context(global_streams(self._specs[0].seed, self._device))
        return self

    def __exit__(self, *raised: Any) -> None:
        self._contexts.__exit__(*raised)

    def build(self) -> Sequence[Task]:
        """The tasks of the specs, in order; raises whatever the suite does."""
        if len(self._specs) == 1:
            self._batch = Alone(self._suite.build(self._specs[0], self._device))
        else:
            assert isinstance(self._suite, Batchable)
            self._batch = self._suite.build_together(self._specs, self._device)
        return self._batch.tasks

    def trainer(
        self,
        task: Task,
        spec: Spec,
        state: Mapping[str, Any] | None,
        parts: int,
        save: Callable[[dict[str, Any]], None],
        progress: Progress,
    ) -> Trainer:
        """The trainer of a task that was built, at the step where its run goes on.

        Args:
            task: The task.
            spec: Its spec.
            state: Of a checkpoint; ``None`` at the first step.
            parts: In how many a step computes its batch.
            save: See `Trainer`.
            progress: See `Trainer`.
        """
        if parts > 1:
            assert isinstance(task, Divisible)
            task.divide(parts)
        trainer = Trainer(task, spec.training, self._device, save, progress)
        if len(self._specs) > 1:
            with global_streams(spec.seed, self._device):
                trainer.generators = global_state(self._device)
        if state is not None:
            trainer.resume(state)
        return trainer

    def train(self, trainers: Sequence[Trainer], stops: Sequence[Stop]) -> Iterator[Trainer]:
        """Train until each run has ended, or all until one of `stops`; see `Lockstep.run`."""
        assert self._batch is not None
        return Lockstep(self._batch, trainers).run(*stops)
