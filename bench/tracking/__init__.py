"""Tracking regressions across commits with asv: the parts of `bench.nightly`."""
