"""Which derivatives the loss terms ask for, found by running them once on made-up numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from suites.pinn.engine.operators import Index
from suites.pinn.engine.serving import Column, Rows, Server
from suites.pinn.engine.terms import Term

#: From a term's inputs and the network's (rescaled) outputs to what the errors are computed from.
Transform = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Recording:
    """What one term asked for.

    Attributes:
        columns: Derivatives of single outputs.
        dependence: Gradients of the errors by the derivatives, shape ``(n, len(indices))``: a row
            for each equation, point and output.
        indices: The derivatives, whatever the output.
    """

    columns: frozenset[Column]
    dependence: np.ndarray
    indices: tuple[Index, ...]


def record(
    terms: Sequence[Term], transform: Transform, outputs: Sequence[Tensor]
) -> list[Recording]:
    """Run each term on random outputs and derivatives.

    Args:
        terms: Of the data.
        transform: The problem's output transform.
        outputs: The network's own at each term's rows, ``(rows, n_outputs)``: a PDE that is only
            defined for some outputs (a power) may be defined for these.
    """
    generator = torch.Generator("cpu").manual_seed(0)
    return [
        _record(term, transform, own, generator) for term, own in zip(terms, outputs, strict=True)
    ]


def _record(
    term: Term, transform: Transform, outputs: Tensor, generator: torch.Generator
) -> Recording:
    columns: set[Column] = set()
    found: list[dict[Index, np.ndarray]] = []

    def draw(like: Tensor) -> Tensor:
        # Of any sign and of very different size, so that no branch of a PDE goes unseen.
        numbers = torch.randn(like.shape, generator=generator, device="cpu", dtype=torch.float64)
        sizes = torch.rand(like.shape, generator=generator, device="cpu", dtype=torch.float64)
        return (numbers * 10 ** (3 * sizes - 2)).to(like.device).requires_grad_()

    inputs = term.inputs.detach().double().requires_grad_()
    for base in (outputs.detach().double().requires_grad_(), draw(outputs)):
        leaves: dict[Index, Tensor] = {}

        def provide(column: Column, base: Tensor = base, leaves: dict = leaves) -> Tensor:
            columns.add(column)
            output, index = column
            if index not in leaves:
                leaves[index] = draw(base)
            return leaves[index][:, output : output + 1]

        server = Server()
        with server.active():
            server.about(rows := Rows(inputs, base, provide))
            errors = term.errors(inputs, transform(inputs, base))
        for error in errors:
            if leaves and error.requires_grad:
                gradients = torch.autograd.grad(
                    error.sum(), list(leaves.values()), retain_graph=True, materialize_grads=True
                )
                found.append(
                    {
                        index: gradient.cpu().numpy()
                        for index, gradient in zip(leaves, gradients, strict=True)
                    }
                )
        del rows
    indices = tuple(sorted({index for _, index in columns}))
    dependence = np.zeros((0, len(indices)))
    if found:
        zero = np.zeros(tuple(outputs.shape))
        dependence = np.concatenate(
            [
                np.stack([of_error.get(index, zero) for index in indices], axis=-1).reshape(
                    -1, len(indices)
                )
                for of_error in found
            ]
        )
    return Recording(frozenset(columns), dependence, indices)
