"""Exponential moving average of a network's weights and buffers.

A constant decay d leaves d^n of the starting weights in the average after n steps: 0.995 still
holds 61 % of them after 100. So the decay grows from a small one: after n averaged steps it is
min(d, (1 + n) / (10 + n)), the warm-up of TensorFlow's ``ExponentialMovingAverage`` (argument
``num_updates``). The average is then one over about the last tenth of the steps, until (1 + n) /
(10 + n) reaches d.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from bench.training.parameters import FlatParameters

#: Of the averaged network's names in a state.
_PREFIX = "module."


class Averaging:
    """Scores a moving average of a network instead of the network, if asked to.

    Buffers are averaged as well: running statistics of batch norm that do not belong to the
    averaged weights would spoil them.

    Args:
        module: The network that is trained.
        parameters: Its trained parameters. All others are as in the network when this is made.
        decay: Of the average, for each step, once it has warmed up; 0: none.
    """

    def __init__(self, module: nn.Module, parameters: FlatParameters, decay: float) -> None:
        self._module = module
        self._decay = decay
        self._vector = parameters.vector
        self._buffers = _Buffers(module)
        self._average: _Average | None = None
        if decay:
            self._average = _Average(copy.deepcopy(module))

    @property
    def scored(self) -> nn.Module:
        """The network that is evaluated and kept."""
        return self._module if self._average is None else self._average.module

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights after a step."""
        average = self._average
        if average is None:
            return
        # The first average is the network, since any decay would keep some of its start.
        weight = 1 - warmed_up(self._decay, average.steps) if average.steps else 1.0
        average.vector.lerp_(self._vector.detach(), weight)
        for mean, now in zip(average.buffers(), self._buffers(), strict=True):
            if now.is_floating_point():
                mean.lerp_(now, weight)
            else:
                mean.copy_(mean * (1 - weight) + now * weight)
        average.steps += 1

    def state_dict(self) -> dict[str, Any]:
        """The average and its number of steps; empty if there is none."""
        if self._average is None:
            return {}
        tensors = self._average.module.state_dict()
        return {
            "n_averaged": torch.tensor(self._average.steps),
            **{f"{_PREFIX}{name}": tensor.clone() for name, tensor in tensors.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore `state_dict`'s result."""
        if self._average is None:
            return
        tensors = {n.removeprefix(_PREFIX): t for n, t in state.items() if n.startswith(_PREFIX)}
        self._average.module.load_state_dict(tensors)
        self._average.steps = int(state["n_averaged"])


class _Average:
    """An averaged network.

    Args:
        module: The network whose tensors become the average.

    Attributes:
        module: The same.
        vector: Its parameters.
        buffers: Its buffers.
        steps: How many were taken in.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.vector = FlatParameters(module).vector.detach()
        self.buffers = _Buffers(module)
        self.steps = 0


class _Buffers:
    """The buffers of a network as they are at a call, each once, without a walk over its modules.

    Args:
        module: The network. It may put other tensors in their places.
    """

    def __init__(self, module: nn.Module) -> None:
        places = {
            id(buffer): (part._buffers, name)
            for part in module.modules()
            for name, buffer in part._buffers.items()
            if buffer is not None
        }
        self._places = list(places.values())

    def __call__(self) -> list[Tensor]:
        return [buffers[name] for buffers, name in self._places]  # type: ignore[misc]


def warmed_up(decay: float, steps: int) -> float:
    """The decay that is used after `steps` averaged steps, min(decay, (1 + n) / (10 + n))."""
    return min(decay, (1 + steps) / (10 + steps))
