"""Optimisers and learning-rate schedules: Adam, then L-BFGS if asked for."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

from bench.spec.training import SCHEDULES, Training


def constant(progress: float) -> float:
    """1."""
    del progress
    return 1.0


def stable_decay(progress: float) -> float:
    """Constant, then linear to 0 over the last fifth (Hu et al., arXiv 2404.06395)."""
    return min(1.0, 5 * (1 - progress))


def warmup_stable_decay(progress: float) -> float:
    """`stable_decay` after a linear warm-up from 0.01 to 1 over the first twentieth (Hu et al.,
    arXiv 2404.06395; a twentieth as for PINNs by Wang et al., arXiv 2308.08468)."""
    return min(1.0, 0.01 + 19.8 * progress, 5 * (1 - progress))


def cosine(progress: float) -> float:
    """Half a period, from 1 to 0."""
    return 0.5 * (1 + math.cos(math.pi * progress))


def exponential(progress: float) -> float:
    """From 1 to 0.01."""
    return 0.01**progress


Losses = Mapping[str, Tensor]


class Optimization:
    """The optimiser of a task: `Training.steps` of Adam, then `Training.lbfgs_steps` of L-BFGS.

    A step of L-BFGS is one iteration with a strong-Wolfe line search.

    Args:
        parameters: The parameters that are trained.
        training: Learning rate, schedule, eps, weight decay and numbers of steps.
        undecayed: Further parameters that are trained, on which the weight decay does not act: they
            are no weights of a network, and 0 is no better a value of them than another.
    """

    def __init__(
        self,
        parameters: Sequence[nn.Parameter],
        training: Training,
        undecayed: Sequence[nn.Parameter] = (),
    ) -> None:
        self.parameters = [*parameters, *undecayed]
        self.training = training
        self.steps_done = 0
        self._schedule = SCHEDULES[training.schedule]
        # Without decay AdamW is Adam.
        groups: list[dict[str, Any]] = [{"params": list(parameters)}]
        if undecayed:
            groups.append({"params": list(undecayed), "weight_decay": 0.0})
        self._adam = torch.optim.AdamW(
            groups,
            lr=training.lr,
            eps=training.eps,
            weight_decay=training.weight_decay,
            fused=True,
        )
        self._lbfgs = torch.optim.LBFGS(
            self.parameters,
            lr=1.0,
            max_iter=1,
            # The default, 5/4 of max_iter, leaves the line search no evaluation.
            max_eval=26,
            history_size=50,
            line_search_fn="strong_wolfe",
            tolerance_grad=0.0,
            tolerance_change=0.0,
        )

    @property
    def by_adam(self) -> bool:
        """Whether the next step is one of Adam, which needs a single gradient."""
        return self.steps_done < self.training.steps

    def follow(self, gradients: Sequence[Tensor]) -> None:
        """One step of Adam by gradients that are known already, without autograd.

        Args:
            gradients: Of the minimised loss by each of `parameters`; they become theirs.
        """
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient
        self._update()
        self.steps_done += 1

    def step(self, losses: Callable[[], Losses]) -> Losses:
        """One step.

        Args:
            losses: Computes the loss terms with their graph. ``loss`` is the one that is minimised.

        Returns:
            The loss terms before the step, detached.
        """
        done = self._adam_step(losses) if self.by_adam else self._lbfgs_step(losses)
        self.steps_done += 1
        return {name: value.detach() for name, value in done.items()}

    @property
    def _rate(self) -> float:
        """Adam's learning rate of the next step."""
        progress = self.steps_done / self.training.steps
        return self.training.lr * self._schedule(progress)

    def _adam_step(self, losses: Callable[[], Losses]) -> Losses:
        self._adam.zero_grad()
        terms = losses()
        # Only these: points keep their graph for the residual's derivatives, and need no gradient.
        terms["loss"].backward(inputs=self.parameters)
        self._update()
        return terms

    def _update(self) -> None:
        """Adam, by the gradients that the parameters have."""
        groups = self._adam.param_groups
        for group in groups:
            group["lr"] = self._rate
        if all(self._adam.state.get(p) for group in groups for p in group["params"]):
            for group in groups:
                _fused_adam(group, self._adam.state)
        else:  # which makes the moments
            self._adam.step()

    def _lbfgs_step(self, losses: Callable[[], Losses]) -> Losses:
        first: Losses = {}

        def closure() -> Tensor:
            nonlocal first
            self._lbfgs.zero_grad()
            terms = losses()
            terms["loss"].backward(inputs=self.parameters)
            first = first or terms
            return terms["loss"]

        self._lbfgs.step(closure)
        return first

    def state_dict(self) -> dict[str, Any]:
        """Everything but the parameters that the remaining steps depend on."""
        return {
            "steps_done": self.steps_done,
            "adam": self._adam.state_dict(),
            "lbfgs": self._lbfgs.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore `state_dict`'s result."""
        self.steps_done = state["steps_done"]
        self._adam.load_state_dict(state["adam"])
        self._lbfgs.load_state_dict(state["lbfgs"])


@torch.no_grad()
def _fused_adam(group: Mapping[str, Any], state: Mapping[Tensor, Mapping[str, Any]]) -> None:
    """What ``AdamW.step`` does to a group that is ``fused``, without what it prepares.

    A step of a small network is little more than the optimiser's own Python.
    """
    parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
    if not parameters:
        return
    of_each = [state[parameter] for parameter in parameters]
    adamw(
        parameters,
        [parameter.grad for parameter in parameters],
        [moments["exp_avg"] for moments in of_each],
        [moments["exp_avg_sq"] for moments in of_each],
        [],
        [moments["step"] for moments in of_each],
        fused=True,
        amsgrad=False,
        beta1=group["betas"][0],
        beta2=group["betas"][1],
        lr=group["lr"],
        weight_decay=group["weight_decay"],
        eps=group["eps"],
        maximize=False,
    )


class JointOptimization:
    """One step of Adam for several optimisations at once, each as if it had stepped alone.

    Args:
        parts: Optimisations of equal training without L-BFGS that have done equally many steps.
    """

    def __init__(self, parts: Sequence[Optimization]) -> None:
        training = parts[0].training
        self._parts = list(parts)
        self._adam = torch.optim.AdamW(
            [parameter for part in parts for parameter in part.parameters],
            lr=training.lr,
            eps=training.eps,
            weight_decay=training.weight_decay,
            fused=True,
        )

    def step(self, gradients: Sequence[Tensor]) -> None:
        """Update the parameters of all parts, in order, by their gradients."""
        self._adam.param_groups[0]["lr"] = self._parts[0]._rate
        for part in self._parts:
            for parameter in part.parameters:
                # The part's own, so that it is saved with it, and what it loads counts.
                self._adam.state[parameter] = part._adam.state[parameter]
            part.steps_done += 1
        for parameter, gradient in zip(
            self._adam.param_groups[0]["params"], gradients, strict=True
        ):
            parameter.grad = gradient
        self._adam.step()
