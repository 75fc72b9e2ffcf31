"""A training step in JAX: loss, gradient and Adam in one jitted function."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import torch
from jax import Array
from torch import Tensor

from suites.pinn.engine.terms import terms_of
from suites.pinn.peers.derivatives import Form, Layers, network
from suites.pinn.peers.losses import PEERS, Conditions
from suites.pinn.peers.points import peer_points
from suites.pinn.task import PINNTask

#: Adam's, those of torch and DeepXDE.
_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-8


class JAXStep:
    """One step of Adam on a task's loss, from the task's weights.

    Args:
        task: A task of one of `PEERS`; its network is copied.
        form: How derivatives by the inputs are computed.
    """

    def __init__(self, task: PINNTask, form: Form) -> None:
        peer = PEERS[task.spec.problem]
        points = peer_points(terms_of(task.data, task.device))
        self._given: Mapping[str, Any] = {
            "points": _array(points.equations.T),
            "further": _array(points.further.T),
            "targets": [_array(one[:, 0]) for one in points.targets],
            "normals": [_array(one.T) for one in points.normals],
            "weights": _array(task.loss.weights),
        }

        def loss(layers: Layers, given: Mapping[str, Any]) -> Array:
            at = form(layers, given["points"], peer.asked)
            opposite = network(layers, given["further"])
            conditions = Conditions(points.rows, given["targets"], given["normals"], opposite)
            terms = [(error**2).mean() for error in peer.errors(at, conditions)]
            return jnp.stack(terms) @ given["weights"]

        self._loss_and_gradient = jax.jit(jax.value_and_grad(loss))
        self._update = jax.jit(
            partial(_adam, jax.value_and_grad(loss), task.spec.training.lr), donate_argnums=0
        )
        self.layers = [
            (_array(layer.get_parameter("weight")), _array(layer.get_parameter("bias")[:, None]))
            for layer in task.net.linears
        ]
        zeros = jax.tree.map(jnp.zeros_like, self.layers)
        self._state = (
            jax.tree.map(jnp.copy, self.layers),
            zeros,
            jax.tree.map(jnp.copy, zeros),
            jnp.zeros((), jnp.int32),
        )

    def __call__(self) -> None:
        """One step, which has ended on return."""
        self._state = self._update(self._state, self._given)
        self._state[-1].block_until_ready()
        self.layers = self._state[0]

    def loss_and_gradient(self) -> list[Tensor]:
        """The loss and its gradient by each parameter, as torch's modules order and lay them."""
        loss, layers = self._loss_and_gradient(self.layers, self._given)
        found = [one for weight, bias in layers for one in (weight, bias[:, 0])]
        return [torch.tensor(jax.device_get(one)) for one in (loss, *found)]


def _adam(
    loss_and_gradient: Any, lr: float, state: tuple[Any, Any, Any, Array], given: Mapping[str, Any]
) -> tuple[Any, Any, Any, Array]:
    """Parameters, both moments and the number of steps, one step later."""
    layers, first, second, done = state
    done = done + 1
    _, gradient = loss_and_gradient(layers, given)
    first = jax.tree.map(lambda m, g: _BETA_1 * m + (1 - _BETA_1) * g, first, gradient)
    second = jax.tree.map(lambda v, g: _BETA_2 * v + (1 - _BETA_2) * g**2, second, gradient)

    def moved(parameter: Array, m: Array, v: Array) -> Array:
        steps = done.astype(parameter.dtype)
        rate = lr / (1 - _BETA_1**steps)
        return parameter - rate * m / (jnp.sqrt(v / (1 - _BETA_2**steps)) + _EPSILON)

    return jax.tree.map(moved, layers, first, second), first, second, done


def _array(given: Any) -> Array:
    values = given.detach().cpu().numpy() if isinstance(given, Tensor) else given
    return jnp.array(values)
