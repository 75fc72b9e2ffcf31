"""Tracking regressions across commits with asv: what `bench.nightly` is made of."""
