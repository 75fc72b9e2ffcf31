"""Derivatives of a network by its inputs, carried forward beside its values.

A linear layer maps the derivative Dh of its input to W·Dh. An elementwise activation y = σ(z) maps
a first-order operator D, and a second-order one L = Σⱼ lⱼ∂ⱼ + Σ c·D_a D_b whatever its linear part,
to

    D y = σ′(z) D z,        L y = σ′(z) L z + σ″(z) Σ c·D_a z·D_b z,

so one stream per operator runs through the network (Taylor-mode differentiation, Griewank and
Walther, *Evaluating Derivatives*, 2008, chapter 13; for a Laplacian as one stream, Li et al.,
*Forward Laplacian*, arXiv 2307.08214). The result is an ordinary function of the parameters, whose
gradient takes one reverse pass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from bench.techniques.norm_layers import FrozenBatchNorm, LayerNorm, PointwiseBatchNorm
from bench.techniques.slopes import Slopes, slopes_of
from suites.pinn.engine.batched_product import batched_product
from suites.pinn.engine.operators import Operator
from suites.pinn.models.network import FNN

#: Per stream, the products of first-order streams that it is made of.
Products = tuple[tuple[tuple[int, int, float], ...], ...]


class _Activation(torch.autograd.Function):
    """One activation on values and streams; differentiable once, by everything before it.

    Few passes over few new tensors: on a CPU each costs as much as a tenth of a matrix product.
    """

    @staticmethod
    def forward(
        ctx: Any, z: Tensor, streams: Tensor, rows: int, products: Products, sigma: Slopes
    ) -> tuple[Tensor, Tensor]:
        y = sigma.value(z)
        first, *more = sigma.slopes(z[..., :rows, :], y[..., :rows, :], 1 + any(products))
        assert first is not None
        out = first.unsqueeze(-3) * streams
        if more and more[0] is not None:
            parts, outs = streams.unbind(-3), out.unbind(-3)
            for k, of_stream in enumerate(products):
                if of_stream:
                    outs[k].addcmul_(more[0], _combine(parts, of_stream))
        ctx.save_for_backward(z, y, streams)
        ctx.rest = rows, products, sigma
        return y, out

    @staticmethod
    def backward(ctx: Any, gy: Tensor, gout: Tensor) -> tuple[Tensor | None, ...]:
        z, y, streams = ctx.saved_tensors
        rows, products, sigma = ctx.rest
        first, second, *more = sigma.slopes(z[..., :rows, :], y[..., :rows, :], 2 + any(products))
        everywhere = first if rows == z.shape[-2] else sigma.slopes(z, y, 1)[0]
        gz, gstreams = gy * everywhere, gout * first.unsqueeze(-3)
        if products and second is not None:
            inner = gz[..., :rows, :]
            parts, gouts, gparts = streams.unbind(-3), gout.unbind(-3), gstreams.unbind(-3)
            inner.addcmul_(second, _inner_product(gouts, parts))
            for k, of_stream in enumerate(products):
                if not of_stream:
                    continue
                weighted = gouts[k] * second
                for a, b, c in of_stream:
                    if a == b:
                        gparts[a].addcmul_(weighted, parts[a], value=2 * c)
                    else:
                        gparts[a].addcmul_(weighted, parts[b], value=c)
                        gparts[b].addcmul_(weighted, parts[a], value=c)
                if more[0] is not None:
                    inner.addcmul_(more[0], _combine(parts, of_stream) * gouts[k])
        if streams.shape[-2] == 1 != rows:
            gstreams = gstreams.sum(-2, keepdim=True)
        return gz, gstreams, None, None, None


def _combine(parts: Sequence[Tensor], products: Sequence[tuple[int, int, float]]) -> Tensor:
    """Σ c·D_a z·D_b z."""
    (a, b, c), *others = products
    total = parts[a] * parts[b]
    if c != 1:
        total.mul_(c)
    for a, b, c in others:
        total.addcmul_(parts[a], parts[b], value=c)
    return total


def _inner_product(a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
    """Σ over streams of a·b."""
    total = a[0] * b[0]
    for x, y in zip(a[1:], b[1:], strict=True):
        total.addcmul_(x, y)
    return total


@dataclass(frozen=True)
class Jet:
    """Values at all rows, and derivatives at the first of them.

    Attributes:
        values: Shape ``(…, rows, features)``; a leading axis, if any, counts networks.
        streams: ``(…, n_operators, derivative rows, features)``; if all rows are the same, one row
            stands for them.
    """

    values: Tensor
    streams: Tensor


class _At(NamedTuple):
    """Where a normalisation maps a jet.

    Attributes:
        products: Of the streams.
        rows: Number of rows that have derivatives.
        weights: See `TaylorNetwork.__call__`.
    """

    products: Products
    rows: int
    weights: Tensor | None


class TaylorNetwork:
    """An `FNN` that carries operators beside its values.

    Args:
        net: The network; each call gives its parameters anew.
        operators: The operators, those of first order first.
        rows: Number of rows, at the beginning, at which the operators are wanted.
        product_rows: Of several networks: rows of a part of a weight's gradient, see
            `batched_product`.

    Raises:
        Unsupported: The network has a part whose derivatives have no rule here.
    """

    def __init__(
        self,
        net: FNN,
        operators: Sequence[Operator],
        rows: int,
        product_rows: int | None = None,
    ) -> None:
        self._products: Products = tuple(operator.products for operator in operators)
        self._rows = rows
        self._sigmas = [_slopes(activation) for activation in net.activations]
        self._norms = [_norm_rule(norm) for norm in net.norms]
        self._norm_last = net.norm_last
        self._product_rows = product_rows

    def __call__(
        self,
        state: Mapping[str, Tensor],
        inputs: Jet,
        blocks: int = 1,
        weights: Tensor | None = None,
    ) -> Jet:
        """The outputs of the network before its output transform.

        Args:
            state: Parameters and buffers of the network by name; with a leading axis, of several
                networks.
            inputs: Features after the input transform.
            blocks: Number of parts that the rows are divided into, so that one fits a CPU's cache.
            weights: Of the rows in the statistics of pointwise batch norm, ``(…, rows, 1)``, with
                the sum 1; ``None``: in evaluation, by the statistics that it has kept. With weights
                there is one block, since its statistics are those of all rows.
        """
        if blocks == 1:
            return self._forward(state, inputs, self._rows, weights)
        bounds = [self._rows * k // blocks for k in range(blocks)]
        found = []
        for begin, end in pairwise([*bounds, inputs.values.shape[-2]]):
            rows = min(end, self._rows) - begin
            streams = inputs.streams
            if streams.shape[-2] > 1:
                streams = streams[..., begin : begin + rows, :]
            found.append(self._forward(state, Jet(inputs.values[..., begin:end, :], streams), rows))
        values, derivatives = zip(*((jet.values, jet.streams) for jet in found), strict=True)
        return Jet(torch.cat(values, -2), torch.cat(derivatives, -2))

    def _forward(
        self, state: Mapping[str, Tensor], inputs: Jet, rows: int, weights: Tensor | None = None
    ) -> Jet:
        at = _At(self._products, rows, weights)
        jet = self._linear(state, 0, inputs)
        for k, norm in enumerate(self._norms):
            of_norm = _part(state, f"norms.{k}.")
            if self._norm_last:
                jet = norm(self._activation(k, jet, rows), of_norm, at)
            else:
                jet = self._activation(k, norm(jet, of_norm, at), rows)
            jet = self._linear(state, k + 1, jet)
        return jet

    def _activation(self, k: int, jet: Jet, rows: int) -> Jet:
        return Jet(
            *_Activation.apply(jet.values, jet.streams, rows, self._products, self._sigmas[k])
        )

    def _linear(self, state: Mapping[str, Tensor], k: int, jet: Jet) -> Jet:
        weight, bias = state[f"linears.{k}.weight"].mT, state[f"linears.{k}.bias"]
        *lead, count, rows, features = jet.streams.shape
        # Products of matrices: a batched product of the same would be slower.
        streams = jet.streams.reshape(*lead, count * rows, features)
        if self._product_rows is not None:
            streams = batched_product(streams, weight, self._product_rows)
            values = batched_product(jet.values, weight, self._product_rows) + bias.unsqueeze(-2)
        else:
            streams = streams @ weight
            product = torch.addmm if bias.ndim == 1 else torch.baddbmm
            values = product(bias.unsqueeze(-2), jet.values, weight)
        return Jet(values, streams.reshape(*lead, count, rows, weight.shape[-1]))


class Unsupported(Exception):
    """This way of evaluation has no rule for something; the message says for what."""


def _slopes(activation: nn.Module) -> Slopes:
    found = slopes_of(activation)
    if found is None:
        raise Unsupported(
            f"activation {type(activation).__name__} is no fixed elementwise function"
        )
    return found


def _part(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): t for n, t in state.items() if n.startswith(prefix)}


def _norm_rule(norm: nn.Module) -> Any:
    """The rule by which a normalisation maps a jet, given its parameters and buffers."""
    if type(norm) is nn.Identity:
        return lambda jet, state, at: jet
    if type(norm) is FrozenBatchNorm:
        eps = norm.eps
        return lambda jet, state, at: _affine(jet, state, eps)
    if type(norm) is PointwiseBatchNorm:
        eps = norm.eps
        return lambda jet, state, at: _pointwise(jet, state, at, eps)
    if type(norm) is LayerNorm:
        eps = norm.eps
        return lambda jet, state, at: _layer_norm(jet, state, at, eps)
    raise Unsupported(f"normalisation {type(norm).__name__} has no rule for derivatives")


def _affine(jet: Jet, state: Mapping[str, Tensor], eps: float) -> Jet:
    """`FrozenBatchNorm`: (x − mean)·w/√(var + eps) + b."""
    factor = (torch.rsqrt(state["var"] + eps) * state["weight"]).unsqueeze(-2)
    mean, bias = state["mean"].unsqueeze(-2), state["bias"].unsqueeze(-2)
    return Jet((jet.values - mean) * factor + bias, jet.streams * factor.unsqueeze(-3))


def _pointwise(jet: Jet, state: Mapping[str, Tensor], at: _At, eps: float) -> Jet:
    """`PointwiseBatchNorm`: affine, by statistics that the gradient goes through."""
    if at.weights is None:
        return _affine(jet, state, eps)
    weights = at.weights.mT
    mean = weights @ jet.values
    var = weights @ (jet.values - mean).square()
    return _affine(jet, {**state, "mean": mean.squeeze(-2), "var": var.squeeze(-2)}, eps)


def _layer_norm(jet: Jet, state: Mapping[str, Tensor], at: _At, eps: float) -> Jet:
    """Layer norm c·r with the deviation c = h − mean(h) and r = (mean(c²) + eps)^(−½).

    With v = mean(c²): Dv = 2 mean(c·Dc) and Lv = 2 mean(c·Lc) + 2 Σ mean(D_a c·D_b c), and the same
    rules for r(v) and for the product.
    """
    center = jet.values - jet.values.mean(-1, keepdim=True)
    r = torch.rsqrt(center.square().mean(-1, keepdim=True) + eps)
    values = center * r
    c, r = center[..., : at.rows, :], r[..., : at.rows, :]
    deviations = [s - s.mean(-1, keepdim=True) for s in jet.streams.unbind(-3)]
    cube = r**3
    of_r: list[Tensor] = []
    streams: list[Tensor] = []
    for deviation, of_stream in zip(deviations, at.products, strict=True):
        half_v = (c * deviation).mean(-1, keepdim=True)
        for a, b, weight in of_stream:
            half_v = half_v + weight * (deviations[a] * deviations[b]).mean(-1, keepdim=True)
        d_r = -cube * half_v
        for a, b, weight in of_stream:
            # r″ D_a v D_b v, with r″ = ¾ r⁵ and D v = −2 D r / r³.
            d_r = d_r + 3 * weight * of_r[a] * of_r[b] / r
        stream = deviation * r + c * d_r
        for a, b, weight in of_stream:
            stream = stream + weight * (deviations[a] * of_r[b] + deviations[b] * of_r[a])
        of_r.append(d_r)
        streams.append(stream)
    derivatives = torch.stack(streams, -3) if streams else jet.streams
    if "weight" in state:
        gain = state["weight"].unsqueeze(-2)
        values, derivatives = values * gain, derivatives * gain.unsqueeze(-3)
    if "bias" in state:
        values = values + state["bias"].unsqueeze(-2)
    return Jet(values, derivatives)
