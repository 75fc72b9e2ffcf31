"""The contract of a rescaling."""

from __future__ import annotations

import numpy as np
import pytest

from bench.arm import Arm
from bench.techniques.rescaling import LabelStatistics, Scale, make_scale
from bench.testing.contract import contract_of

#: Labels as suites have them; in the order of their names, all statistics that may occur.
_LABELS = {
    "ordinary": LabelStatistics(mean=0.3, std=1.2, rms=1.24, count=1000, unit="1"),
    "total energies": LabelStatistics(-97_000.0, 4.0, 97_000.0, 1000, "kcal/mol"),
    "large": LabelStatistics(-4e5, 3e5, 5e5, 1000, "eV"),
    "small": LabelStatistics(1e-6, 2e-6, 2.24e-6, 1000, "1"),
    "one": LabelStatistics(2.0, 0.0, 2.0, 1, "1"),
    "all equal": LabelStatistics(7.0, 0.0, 7.0, 10, "1"),
    "all 0": LabelStatistics(0.0, 0.0, 0.0, 10, "1"),
    "none": LabelStatistics(0.0, 0.0, 0.0, 0, "1"),
}
_EVERY_LABELS = pytest.mark.parametrize("labels", _LABELS)


class RescalingContract:
    """What a rescaling must be; see `rescaling_contract`."""

    def test_can_be_chosen_in_an_arm(self, token: str) -> None:
        arm = Arm(rescaling=token)
        assert Arm.parse(str(arm)) == arm
        arm.check_own()

    @_EVERY_LABELS
    def test_gives_a_usable_scale(self, token: str, labels: str) -> None:
        """Also where labels do not vary, are all 0, or are not known before training."""
        try:
            _scale(token, labels)
        except ArithmeticError as error:
            raise AssertionError(
                f"rescaling {token!r} fails on {_described(labels)}: {error}"
            ) from error

    @_EVERY_LABELS
    def test_statistics_decide(self, token: str, labels: str) -> None:
        first, again = _scale(token, labels), _scale(token, labels)
        assert first == again, (
            f"rescaling {token!r} is random: {_described(labels)} give {first} and then {again}"
        )

    @_EVERY_LABELS
    def test_single_precision_holds_the_rescaled_labels(self, token: str, labels: str) -> None:
        """The network predicts ``label / factor``, in float32."""
        statistics, scale = _LABELS[labels], _scale(token, labels)
        info = np.finfo(np.float32)
        for label in (statistics.mean, statistics.mean + statistics.std, statistics.rms):
            rescaled = label / scale.factor
            size = abs(rescaled)
            assert size == 0 or info.tiny <= size <= info.max, (
                f"rescaling {token!r} maps a label of {label:g} to {rescaled:g} with {scale}, which"
                " float32 does not hold"
            )


def rescaling_contract(*tokens: str) -> type[RescalingContract]:
    """Tests of a rescaling: ``TestMine = rescaling_contract("mine:by_deviation")``.

    It gives a positive, finite factor and no offset for all labels: also for such as do not vary,
    are all 0, or of which none is known before training. The statistics decide, and the rescaled
    labels are numbers that float32 holds.

    Args:
        tokens: Names, with a value where they take one (``rescale=10``), or ``module:attribute``,
            as ``--rescaling`` takes them.
    """
    return contract_of(RescalingContract, tokens)


def _scale(token: str, labels: str) -> Scale:
    return make_scale(token, _LABELS[labels])


def _described(labels: str) -> str:
    known = _LABELS[labels]
    return (
        f"labels of mean {known.mean:g}, deviation {known.std:g} and root mean square"
        f" {known.rms:g} ({labels})"
    )
