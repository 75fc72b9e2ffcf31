"""What evaluates the loss terms of a PINN, and DeepXDE's own way to do it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from suites.pinn.backend import dde, quiet
from suites.pinn.engine.unknowns import Unknowns
from suites.pinn.problems.dde_data import keep_for


class LossEvaluation(Protocol):
    """The loss terms of one set of points.

    Attributes:
        path: ``taylor``, ``reverse`` or ``deepxde``.
        data: ``dde.data.PDE`` that has drawn its points.
    """

    path: str
    data: Any

    def __call__(self, training: bool) -> Tensor:
        """Mean squared residual of each equation, then of each condition.

        Args:
            training: Evaluate the network in training mode (batch norm uses the points' own
                statistics) or as it predicts.

        Returns:
            Shape ``(n_terms,)``, in the problem's units, with the graph to the parameters.
        """

    def describe(self) -> Mapping[str, Any]:
        """A description for the record."""

    def redrawn(self) -> LossEvaluation:
        """The same for the points that the data have now."""


class _TrainingLosses:
    """Data whose losses are always those of the training points.

    For an integral or fractional equation ``losses_test`` is of other rows, its conditions are 0.
    """

    def __init__(self, data: Any) -> None:
        self._data = data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._data, "losses_train" if name == "losses_test" else name)


class StockEvaluation:
    """DeepXDE's own evaluation, as `dde.Model.train` does it.

    Every row goes through the network, and every derivative is taken on all rows; conditions and
    equations then take their own rows.

    Args:
        data: ``dde.data.PDE`` that has drawn its points.
        net: The network.
        device: Device of the network.
        reason: Why no faster evaluation is used.
        unknowns: Of an inverse problem.
    """

    path = "deepxde"

    def __init__(
        self,
        data: Any,
        net: torch.nn.Module,
        device: torch.device,
        reason: str = "asked for",
        unknowns: Unknowns | None = None,
    ) -> None:
        self.data = data
        self._reason = reason
        self._unknowns = unknowns or Unknowns()
        self._rest = net, device, reason, self._unknowns
        self._model = dde.Model(_TrainingLosses(data), net)
        with quiet():
            self._model.compile("adam", lr=1e-3, verbose=0)
        for condition in data.bcs:
            keep_for(condition, data.train_x)
        self._inputs = torch.as_tensor(data.train_x, device=device)
        self._aux = data.train_aux_vars

    def __call__(self, training: bool) -> Tensor:
        # A failure in the middle of a step would leave derivatives of old weights in the cache.
        dde.grad.clear()
        evaluate = self._model.outputs_losses_train if training else self._model.outputs_losses_test
        # A fractional equation says that it makes its matrix.
        with quiet(), self._unknowns.using():
            losses: Tensor = evaluate(self._inputs, None, self._aux)[1]
        return losses

    def describe(self) -> Mapping[str, Any]:
        """The reason why DeepXDE evaluates the terms, for the record."""
        return {"path": self.path, "reason": self._reason, "rows": len(self._inputs)}

    def redrawn(self) -> StockEvaluation:
        """The same for the points that the data have now."""
        return StockEvaluation(self.data, *self._rest)
