"""Shapes and memory of padded batches, before they are made."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from molecular_specs import task
from potential_frames import labelled

from suites.molecular.data.neighbors import Pairs, neighbor_pairs
from suites.molecular.data.static_batches import TRIPLETS, UNIQUE, StaticFrames
from suites.molecular.data.table_sizes import table_bytes, usual_shapes

CPU = torch.device("cpu")


@pytest.mark.parametrize("need", [UNIQUE, TRIPLETS])
@pytest.mark.parametrize("kind", ["molecule", "mixture", "periodic"])
def test_usual_shapes_are_those_that_batches_have(kind: str, need: str) -> None:
    frames = labelled(kind)
    pairs = neighbor_pairs(frames, 5.0)
    labels = frames.energies, frames.forces
    static = StaticFrames(frames, pairs, *labels, 5.0, CPU, torch.float64, needs=[need])
    random = np.random.default_rng(1)
    drawn = {static.layout(random.choice(24, 4, replace=False)) for _ in range(400)}
    usual = usual_shapes(frames, pairs, 4, [need])
    assert 0.75 * len(drawn) <= usual <= len(drawn)


def test_tables_hold_small_integers_and_batches_have_torch_s_own() -> None:
    frames = labelled("mixture")
    pairs = neighbor_pairs(frames, 5.0)
    labels = frames.energies, frames.forces
    static = StaticFrames(frames, pairs, *labels, 5.0, CPU, torch.float64, needs=[UNIQUE, TRIPLETS])
    assert static._local["ji_slots"].element_size() <= 2
    tensors = static.batch(np.arange(4)).tensors
    assert {t.dtype for t in tensors.values()} == {torch.float64, torch.int64}


def test_memory_grows_with_frames_and_triplets() -> None:
    frames = labelled("molecule")
    pairs = neighbor_pairs(frames, 5.0)
    plain, unique, angles = (table_bytes(frames, pairs, n) for n in ([], [UNIQUE], [TRIPLETS]))
    assert plain < unique < angles
    twice = dataclasses.replace(
        frames,
        first=np.concatenate([frames.first, frames.first[1:] + frames.first[-1]]),
        **{
            name: np.concatenate([getattr(frames, name)] * 2)
            for name in ("numbers", "positions", "forces", "energies", "cells", "pbc")
        },
    )
    more: Pairs = neighbor_pairs(twice, 5.0)
    assert table_bytes(twice, more, [TRIPLETS]) == pytest.approx(2 * angles)


def test_tables_that_need_too_much_are_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("suites.molecular.task._MOST_BYTES", 10)
    monkeypatch.setattr("suites.molecular.task.StaticFrames", None)
    built = task("dimenet++:8x1", "baseline", "--compile", "on")
    built.step()
    engine = built.description["engine"]
    assert engine["executed"] == "eager" and "tables would need" in engine["not_compiled"]
