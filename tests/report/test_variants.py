"""Metrics of parts of the data stand behind those of the whole."""

from __future__ import annotations

from bench.report.variants import with_variants


def test_variants_follow_their_metric() -> None:
    there = ["MAE_F[slab]", "MAE_F", "MAE_F@far", "MAE_F_eV", "MAE_E[slab]", "EFwT", "MAE_E"]
    shown = with_variants(["MAE_E", "MAE_F", "cos_F"], there)
    assert shown == ["MAE_E", "MAE_E[slab]", "MAE_F", "MAE_F[slab]", "MAE_F@far"]
