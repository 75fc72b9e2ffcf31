"""What a network has learnt besides its weights: slopes of activations, scales of norms, …"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

#: Values that are kept of a parameter; of a longer one its mean and range.
_MOST_VALUES = 4


def learned_parameters(net: nn.Module) -> dict[str, Any]:
    """Trained parameters that belong to no linear layer and no embedding, by their paths.

    Returns:
        A list of the values of a small one, else ``mean``, ``least``, ``most`` and ``count``.
    """
    found: dict[str, Any] = {}
    for path, module in net.named_modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            continue
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.requires_grad:
                found[f"{path}.{name}".lstrip(".")] = _summary(parameter.detach())
    return found


def _summary(values: torch.Tensor) -> Any:
    flat = values.double().flatten()
    if flat.numel() <= _MOST_VALUES:
        return flat.tolist()
    return {
        "mean": float(flat.mean()),
        "least": float(flat.min()),
        "most": float(flat.max()),
        "count": flat.numel(),
    }
