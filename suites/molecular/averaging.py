"""Exponential moving average of a network's weights and buffers."""

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
        decay: Of the average, for each step; 0: none.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self._module = module
        self._average: AveragedModel | None = None
        if decay:
            # Its counter is looked at in every step: on a GPU each look would wait for the device.
            with torch.device("cpu"):
                self._average = AveragedModel(
                    module, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True
                )

    @property
    def scored(self) -> nn.Module:
        """The network that is evaluated and kept."""
        return self._module if self._average is None else self._average.module

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
