"""The suite keeps the contract of one, with and without an average and batch norm."""

from __future__ import annotations

from bench.testing import suite_contract
from suites.molecular.suite import SUITE

#: No stress is in these frames, no dynamics is asked for, and no element is unseen.
ELSEWHERE = ("MAE_stress", "MAE_stress_GPa", "MD_drift", "MD_stable_steps")
ELSEWHERE += ("unseen_MAE_E", "unseen_MAE_F")
#: Errors are given in the labels' own unit, and in the other one besides.
OTHER_THAN_KCAL = ("MAE_E_kcal", "MAE_F_kcal", *ELSEWHERE)
OTHER_THAN_EV = ("MAE_E_eV", "MAE_F_eV", *ELSEWHERE)

TestSchNet = suite_contract("molecular", model="schnet:8x1", absent=OTHER_THAN_KCAL)
TestPaiNN = suite_contract(
    "molecular", model="painn:8x1", arms=["rescale=10"], absent=OTHER_THAN_KCAL, ema=0.9
)
TestBatchNorm = suite_contract(
    "molecular", model="cgcnn:8x2", absent=OTHER_THAN_KCAL, ema=0.9, batch=30
)
TestWithoutAverage = suite_contract(
    "molecular", model="cgcnn:8x2", arms=["irelu"], absent=OTHER_THAN_KCAL, ema=0.0
)
TestOxides = suite_contract(
    "molecular", problem="xtb-oxides", model="schnet:4x1", arms=["irelu"], absent=OTHER_THAN_EV
)


def test_arms_are_compared_by_their_forces() -> None:
    assert SUITE.columns("xtb-ethanol").main[0] == "MAE_F"
