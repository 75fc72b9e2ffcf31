"""How the loss terms of a PINN, and the derivatives in them, are evaluated.

This is the seam behind which a faster engine can stand: a `LossEvaluation` gives the unweighted
loss terms of a problem for the network's present weights.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from suites.pinn.backend import dde, quiet


class LossEvaluation(Protocol):
    """The loss terms of one set of points.

    Attributes:
        path: Name of the evaluation, for the record.
    """

    path: str

    def __call__(self, training: bool) -> Tensor:
        """Mean squared residual of each equation, then of each condition.

        Args:
            training: Evaluate the network in training mode (batch norm uses the points' own
                statistics) or as it predicts.

        Returns:
            Shape ``(n_terms,)``, in the problem's units, with the graph to the parameters.
        """


class StockEvaluation:
    """DeepXDE's own evaluation, as `dde.Model.train` does it.

    Every row goes through the network, every derivative is taken on all rows, and conditions and
    equations take the rows that are theirs.

    Args:
        data: ``dde.data.PDE`` that has drawn its points.
        net: The network.
        device: Where it is.
    """

    path = "deepxde"

    def __init__(self, data: Any, net: torch.nn.Module, device: torch.device) -> None:
        self.data = data
        self._model = dde.Model(data, net)
        with quiet():
            self._model.compile("adam", lr=1e-3, verbose=0)
        self._inputs = torch.as_tensor(data.train_x, device=device)
        self._aux = data.train_aux_vars

    def __call__(self, training: bool) -> Tensor:
        # A failure in the middle of a step would leave derivatives of old weights in the cache.
        dde.grad.clear()
        evaluate = self._model.outputs_losses_train if training else self._model.outputs_losses_test
        losses: Tensor = evaluate(self._inputs, None, self._aux)[1]
        return losses
