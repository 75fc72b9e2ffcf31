"""A batch that is computed in parts, for lack of memory, is the same batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import molecular_specs
import pytest
import torch
from molecular_specs import CPU

from bench.spec.spec import Spec
from bench.store.record import Record
from bench.store.store import Store
from bench.task import Divisible
from bench.training.policy import RunPolicy
from bench.training.run import execute_together
from bench.training.signals import Interruption
from suites.molecular.models.catalogue import ARCHITECTURES
from suites.molecular.task import MolecularTask

#: Batch normalisation in training mode sees a batch at once.
COUPLED = ["cgcnn", "forcenet"]


def gradient(task: MolecularTask) -> list[torch.Tensor]:
    return [
        torch.zeros_like(p) if p.grad is None else p.grad.clone()
        for p in task.optimization.parameters
    ]


@pytest.mark.parametrize("model", sorted(set(ARCHITECTURES) - set(COUPLED)))
@pytest.mark.parametrize("loss", ["MAE", "MSE"])
def test_loss_and_gradient_are_those_of_the_whole(model: str, loss: str) -> None:
    spec = molecular_specs.specify(f"{model}:8x2", "baseline", "--loss", loss)
    found: list[tuple[dict[str, Any], list[torch.Tensor]]] = []
    for parts in (1, 3):
        task = molecular_specs.build(spec, CPU)
        assert isinstance(task, Divisible) and task.most_parts() >= 3
        task.divide(parts)
        terms = {name: float(value) for name, value in task.step().items()}
        found.append((terms, gradient(task)))
    (whole, of_whole), (parts_terms, of_parts) = found
    assert parts_terms == pytest.approx(whole, rel=1e-10)
    scale = max(float(g.abs().max()) for g in of_whole)
    assert scale > 0
    for one, other in zip(of_whole, of_parts, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-10, atol=1e-12 * scale)


@pytest.mark.parametrize("model", COUPLED)
def test_batch_normalisation_is_not_divided(model: str) -> None:
    task = molecular_specs.task(f"{model}:8x2")
    assert task.most_parts() == 1


class Once:
    """Keeps what a run leaves."""

    record: Record

    def anew(self, *what: object) -> None:
        pass

    def began(self, specs: object, limit_s: object) -> None:
        pass

    def progress(self, *what: object) -> None:
        pass

    def ended(self, record: Record) -> None:
        self.record = record


def run(spec: Spec, store: Store, halve: bool) -> Record:
    watcher = Once()
    execute_together([spec], RunPolicy(store, "cpu", halve=halve), watcher, Interruption())
    return watcher.record


def test_a_run_without_the_memory_is_halved_until_it_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = molecular_specs.specify("schnet:8x2", "baseline", "--batch", "8")
    whole = run(spec, Store(tmp_path / "whole"), halve=False)
    losses = MolecularTask.losses

    def in_little_memory(task: MolecularTask, some: dict[str, Any], *share: Any) -> Any:
        if len(some["_n_atoms"]) > 2:
            torch.empty(10**15, device=CPU)
        return losses(task, some, *share)

    monkeypatch.setattr(MolecularTask, "losses", in_little_memory)
    refused = run(spec, Store(tmp_path / "refused"), halve=False)
    assert refused.status == "out-of-memory"
    halved = run(spec, Store(tmp_path / "halved"), halve=True)
    assert halved.status == "done"
    assert halved.spec_hash == whole.spec_hash
    assert any("each batch is computed in 4 parts" in text for text in halved.warnings)
    for name, metric in whole.metrics.items():
        assert halved.metrics[name].final == pytest.approx(metric.final, rel=1e-6)
