"""The suite keeps the contract of one."""

from __future__ import annotations

from bench.testing import suite_contract

#: Without labels there is nothing that they are wrong by.
NO_LABELS = ("L2RE_unseen", "Ldata")

TestAdvection = suite_contract("pinn", model="fnn:8x2", absent=NO_LABELS)
TestWithLabels = suite_contract(
    "pinn", problem="diffusion-reaction-2d", model="fnn:8x2", supervised=0.05
)
TestNewPoints = suite_contract(
    "pinn",
    problem="compressible-flow-1d",
    model="fnn:8x2",
    absent=(*NO_LABELS, "Ldatad", "Ldatav", "Ldatap"),
    resample=2,
)
TestNormalized = suite_contract(
    "pinn", model="fnn-bn:8x2", arms=["denorm", "frozenbn"], absent=NO_LABELS
)
TestDeepXDE = suite_contract(
    "pinn", model="fnn-bn:8x2", arms=["irelu", "frozenbn"], absent=NO_LABELS, engine="deepxde"
)
