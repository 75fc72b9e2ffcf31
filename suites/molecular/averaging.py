"""Exponential moving average of a network's weights and buffers.

A constant decay d leaves d^n of the starting weights in the average after n steps: 0.995 still
holds 61 % of them after 100. So the decay grows from a small one: after n averaged steps it is
min(d, (1 + n) / (10 + n)), the warm-up of TensorFlow's ``ExponentialMovingAverage`` (argument
``num_updates``). The average is then one over about the last tenth of the steps, until (1 + n) /
(10 + n) reaches d.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


class Averaging:
    """Scores a moving average of a network instead of the network, if asked to.

    Buffers are averaged as well: running statistics of batch norm that do not belong to the
    averaged weights would spoil them.

    Args:
        module: The network that is trained.
        decay: Of the average, for each step, once it has warmed up; 0: none.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self._module = module
        self._decay = decay
        self._average: AveragedModel | None = None
        if decay:
            # Its counter is looked at in every step: on a GPU each look would wait for the device.
            with torch.device("cpu"):
                self._average = AveragedModel(module, multi_avg_fn=self._take_in, use_buffers=True)

    @property
    def scored(self) -> nn.Module:
        """The network that is evaluated and kept."""
        return self._module if self._average is None else self._average.module

    def _take_in(self, averaged: Any, current: Any, steps: Any) -> None:
        """Average tensors in place, as `torch.optim.swa_utils` asks for it."""
        # `steps` is on the network's device; the average's own counter is not.
        assert self._average is not None
        decay = warmed_up(self._decay, int(self._average.n_averaged))
        get_ema_multi_avg_fn(decay)(averaged, current, steps)

    def update(self) -> None:
        """Take in the weights after a step."""
        if self._average is not None:
            self._average.update_parameters(self._module)

    def state_dict(self) -> dict[str, Any]:
        """The average; empty if there is none."""
        return {} if self._average is None else self._average.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore `state_dict`'s result."""
        if self._average is not None:
            self._average.load_state_dict(state)


def warmed_up(decay: float, steps: int) -> float:
    """The decay that is used after `steps` averaged steps, min(decay, (1 + n) / (10 + n))."""
    return min(decay, (1 + steps) / (10 + steps))
