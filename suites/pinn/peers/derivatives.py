"""Values and derivatives of a tanh network at points: by reverse, forward and Taylor mode.

Features are the first axis and points the last: XLA's products on a CPU are then the faster.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

#: Weights, shape ``(n_out, n_in)``, and biases, shape ``(n_out, 1)``, of every layer.
Layers = Sequence[tuple[Array, Array]]

#: A direction in the space of the inputs: a number for each of them.
Direction = tuple[float, ...]


class Asked(NamedTuple):
    """The derivatives that a problem needs.

    Attributes:
        directions: Of the first derivatives.
        laplacians: Sums of second derivatives, each over some of the directions, by their
            positions.
    """

    directions: tuple[Direction, ...]
    laplacians: tuple[tuple[int, ...], ...] = ()


class Derivatives(NamedTuple):
    """Of all outputs at the points.

    Attributes:
        values: Shape ``(n_outputs, n)``.
        first: For each direction, of the same shape.
        second: For each sum of second derivatives, of the same shape.
    """

    values: Array
    first: list[Array]
    second: list[Array]


#: From layers, points of shape ``(n_inputs, n)`` and what is asked for to the derivatives.
Form = Callable[[Layers, Array, Asked], Derivatives]


def network(layers: Layers, points: Array) -> Array:
    """Outputs, shape ``(n_outputs, n)``."""
    x = points
    for weight, bias in layers[:-1]:
        x = jnp.tanh(weight @ x + bias)
    weight, bias = layers[-1]
    return weight @ x + bias


def reverse(layers: Layers, points: Array, asked: Asked) -> Derivatives:
    """A backward pass for each output, and through it one for each second derivative."""
    outputs = range(len(layers[-1][1]))

    def output(x: Array, k: int) -> Array:
        return network(layers, x)[k].sum()

    def slope(x: Array, k: int, direction: Array) -> Array:
        return direction @ jax.grad(output)(x, k)

    def curvature(x: Array, k: int, direction: Array) -> Array:
        return direction @ jax.grad(lambda at: slope(at, k, direction).sum())(x)

    directions = [jnp.asarray(one, points.dtype) for one in asked.directions]
    first = [jnp.stack([slope(points, k, one) for k in outputs]) for one in directions]
    second = [
        jnp.stack([_sum(curvature(points, k, directions[j]) for j in group) for k in outputs])
        for group in asked.laplacians
    ]
    return Derivatives(network(layers, points), first, second)


def forward(layers: Layers, points: Array, asked: Asked) -> Derivatives:
    """A pass along each direction, and one along it again for a second derivative."""

    def along(function: Callable[[Array], Array], direction: Direction) -> Callable[[Array], Array]:
        def derivative(x: Array) -> Array:
            tangent = jnp.broadcast_to(_column(direction, x), x.shape)
            found: Array = jax.jvp(function, (x,), (tangent,))[1]
            return found

        return derivative

    def outputs(x: Array) -> Array:
        return network(layers, x)

    slopes = [along(outputs, direction) for direction in asked.directions]
    second = [
        _sum(along(slopes[j], asked.directions[j])(points) for j in group)
        for group in asked.laplacians
    ]
    return Derivatives(outputs(points), [slope(points) for slope in slopes], second)


def taylor(layers: Layers, points: Array, asked: Asked) -> Derivatives:
    """All derivatives in one pass, layer by layer; a sum of second derivatives is one stream."""
    (weight, bias), *rest = layers
    # Before the first activation a first derivative is the same at every point, and a second is 0.
    values = weight @ points + bias
    first = [weight @ _column(direction, points) for direction in asked.directions]
    second = [jnp.zeros((), points.dtype) for _ in asked.laplacians]
    for weight, bias in rest:
        values = jnp.tanh(values)
        slope = 1 - values**2
        second = [
            slope * (own - 2 * values * _sum(first[j] ** 2 for j in group))
            for own, group in zip(second, asked.laplacians, strict=True)
        ]
        first = [slope * one for one in first]
        values = weight @ values + bias
        first = [weight @ one for one in first]
        second = [weight @ one for one in second]
    return Derivatives(values, first, second)


def _column(direction: Direction, like: Array) -> Array:
    return jnp.asarray(direction, like.dtype)[:, None]


def _sum(arrays: Iterable[Array]) -> Array:
    return functools.reduce(jnp.add, arrays)


FORMS: Mapping[str, Form] = {"reverse": reverse, "forward": forward, "taylor": taylor}
