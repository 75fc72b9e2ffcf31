"""A suite that imports torch at once."""

from __future__ import annotations

import torch
from faults.suites import Sine

DEVICE = torch.device("cpu")
SUITE = Sine()
