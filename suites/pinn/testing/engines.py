"""Whether the suite's fast engine gives DeepXDE's losses and gradients."""

from __future__ import annotations

import pytest
import torch

from bench.arm import Arm
from bench.spec.training_options import TrainingOptions
from bench.task import Request
from bench.training.stock_speed import TOLERANCE
from suites.pinn.check import difference_from_deepxde
from suites.pinn.engine.stock import StockEvaluation
from suites.pinn.options import PINNOptions
from suites.pinn.suite import SUITE
from suites.pinn.task import build
from suites.pinn.testing.subjects import Subject


class EngineContract:
    """Both agree to rounding, under every arm; what the engine leaves to DeepXDE is skipped."""

    model: str
    arms: tuple[str, ...]

    def test_the_engine_is_deepxde(self, subject: Subject) -> None:
        reasons = []
        for arm in self.arms:
            request = Request(
                subject.token,
                self.model,
                Arm.parse(arm),
                0,
                "smoke",
                "cpu",
                "float64",
                TrainingOptions(),
                PINNOptions(),
            )
            task = build(SUITE.specify(request), torch.device("cpu"))
            if task.evaluation.path == StockEvaluation.path:
                reasons.append(task.evaluation.describe()["reason"])
                continue
            difference = difference_from_deepxde(task)
            assert difference < TOLERANCE, (
                f"{subject}: under the arm {arm!r} the suite's engine ({task.evaluation.path})"
                f" differs from DeepXDE by {difference:.0e}: does a residual depend on other rows?"
            )
        if len(reasons) == len(self.arms):
            pytest.skip(f"{subject} is left to DeepXDE: {reasons[0]}")
