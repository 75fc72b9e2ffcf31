"""A potential: SchNetPack's chain of distances, representation, read-out and forces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from schnetpack import properties
from schnetpack.atomistic import Atomwise, Forces, PairwiseDistances, StaticExternalFields
from schnetpack.model import NeuralNetworkPotential
from schnetpack.nn import CosineCutoff, GaussianRBF
from schnetpack.nn.activations import shifted_softplus
from schnetpack.representation import FieldSchNet, PaiNN, SchNet, SO3net
from torch import nn

from bench.spec.user_code import load
from bench.techniques.normalization import make_normalization
from suites.molecular.models.catalogue import Model, Size
from suites.molecular.models.cgcnn import CGCNN, CGCNNReadout
from suites.molecular.models.dimenet import DimeNetPlusPlus, DimeNetReadout
from suites.molecular.models.forcenet import ForceNet, ForceNetDecoder
from suites.molecular.models.hooks import insert_normalization, replace_activations

ENERGY = properties.energy
FORCES = properties.forces

_Normalization = Callable[[int], nn.Module]
#: Representation, read-out, and modules that come before both.
_Parts = tuple[nn.Module, nn.Module, list[nn.Module]]
#: Makes the parts of an architecture, which names it.
Builder = Callable[[Size, _Normalization], _Parts]

_LMAX = 2
#: Width of CGCNN's fully connected layers in the Open Catalyst Project's configuration.
_CGCNN_HIDDEN = 128


def _basis(size: Size) -> dict[str, Any]:
    return {
        "radial_basis": GaussianRBF(n_rbf=size.n_rbf, cutoff=size.cutoff),
        "cutoff_fn": CosineCutoff(size.cutoff),
    }


def build_schnet(size: Size, normalization: _Normalization) -> _Parts:
    """SchNet and its read-out."""
    del normalization
    representation = SchNet(
        size.features, size.interactions, n_filters=size.n_filters or None, **_basis(size)
    )
    # SchNet's publication has the shifted softplus in the read-out as well.
    return representation, _atomwise(size, shifted_softplus), []


def build_painn(size: Size, normalization: _Normalization) -> _Parts:
    """PaiNN and a read-out with its activation."""
    del normalization
    representation = PaiNN(size.features, size.interactions, **_basis(size))
    return representation, _atomwise(size, nn.functional.silu), []


def build_so3net(size: Size, normalization: _Normalization) -> _Parts:
    """SO3net and a read-out with its activation."""
    del normalization
    representation = SO3net(size.features, size.interactions, lmax=_LMAX, **_basis(size))
    return representation, _atomwise(size, nn.functional.silu), []


def build_field_schnet(size: Size, normalization: _Normalization) -> _Parts:
    """FieldSchNet at zero electric field, and SchNet's read-out."""
    del normalization
    fields = [properties.electric_field]
    representation = FieldSchNet(
        size.features,
        size.interactions,
        external_fields=fields,
        n_filters=size.n_filters or None,
        **_basis(size),
    )
    # The field is 0; the dipole features that would couple to it still interact.
    return representation, _atomwise(size, shifted_softplus), [StaticExternalFields(fields)]


def build_cgcnn(size: Size, normalization: _Normalization) -> _Parts:
    """CGCNN with a normalisation in its convolutions, and its read-out."""
    representation = CGCNN(
        size.features,
        size.interactions,
        radial_basis=GaussianRBF(n_rbf=size.n_rbf, cutoff=size.cutoff),
        cutoff=size.cutoff,
        normalization=normalization,
    )
    hidden = min(size.features, _CGCNN_HIDDEN)
    return representation, CGCNNReadout(size.features, hidden, output_key=ENERGY), []


def build_forcenet(size: Size, normalization: _Normalization) -> _Parts:
    """ForceNet with a normalisation in its blocks, and its decoder."""
    representation = ForceNet(
        size.features, size.interactions, normalization=normalization, **_basis(size)
    )
    return representation, ForceNetDecoder(size.features, normalization, output_key=ENERGY), []


def build_dimenet(size: Size, normalization: _Normalization) -> _Parts:
    """DimeNet++ and its read-outs, one a block."""
    del normalization
    representation = DimeNetPlusPlus(
        size.features, size.interactions, size.cutoff, num_radial=size.n_rbf
    )
    read_out = DimeNetReadout(
        size.features, size.interactions, num_radial=size.n_rbf, output_key=ENERGY
    )
    return representation, read_out, []


def _atomwise(size: Size, activation: Callable[[torch.Tensor], torch.Tensor]) -> Atomwise:
    return Atomwise(size.features, activation=activation, output_key=ENERGY)


def build_potential(
    model: Model, activation: str, normalization: str, scope: str, dtype: torch.dtype
) -> NeuralNetworkPotential:
    """A potential under an arm, initialised from torch's global generator.

    Args:
        model: Architecture and size.
        activation: Choice of activation; the published one leaves the functions as they are.
        normalization: Choice of normalisation. It replaces the published layers (``denorm``: by
            nothing); without any, it is inserted before atom-wise activations.
        scope: ``published``: activations are replaced where arXiv 2310.01649 replaced them.
            ``all``: in the representation and in the read-out. Gates are never changed.
        dtype: Type of parameters and inputs.

    Returns:
        A module that maps SchNetPack's batch to ``energy`` (frames,) and ``forces`` (atoms, 3),
        −∂(ΣE)/∂R.

    Raises:
        BadInput: A choice cannot be used.
    """
    architecture = model.architecture
    make_parts: Builder = load(architecture.builder)

    def make_norm(num_features: int) -> nn.Module:
        return make_normalization(normalization, num_features)

    default = torch.get_default_dtype()
    # SchNetPack's tables are made of float32, which a caller's default must not contradict.
    torch.set_default_dtype(torch.float32)
    try:
        representation, read_out, before = make_parts(model.size, make_norm)
    finally:
        torch.set_default_dtype(default)
    potential = NeuralNetworkPotential(
        representation,
        input_modules=[*before, PairwiseDistances()],
        output_modules=[read_out, Forces(energy_key=ENERGY, force_key=FORCES)],
        postprocessors=[],
        input_dtype_str=str(dtype).removeprefix("torch."),
    )
    if activation != architecture.activation:
        within = architecture.replaced if scope == "published" else ()
        replace_activations(potential, activation, within)
    if architecture.normalization == "denorm" and normalization != "denorm":
        insert_normalization(potential, normalization, architecture.unnormalized)
    return potential.to(dtype)


def predict_energies(potential: NeuralNetworkPotential, batch: dict[str, torch.Tensor]) -> Any:
    """Energies, (frames,), of a batch without its forces; works under ``torch.no_grad``."""
    for module in (*potential.input_modules, potential.representation):
        batch = module(batch)
    return potential.output_modules[0](batch)[ENERGY]
