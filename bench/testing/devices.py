"""The devices that a contract is tested on."""

from __future__ import annotations

import torch


def devices() -> list[torch.device]:
    """The CPU, and the first GPU where there is one."""
    found = [torch.device("cpu")]
    if torch.cuda.is_available():
        found.append(torch.device("cuda", 0))
    return found
