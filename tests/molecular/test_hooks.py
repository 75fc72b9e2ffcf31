"""The hooks replace what they should, nothing else, and the record names what executed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from molecular_specs import task
from schnetpack import properties
from schnetpack.atomistic import Atomwise, Forces, PairwiseDistances, StaticExternalFields
from schnetpack.model import NeuralNetworkPotential
from schnetpack.nn import CosineCutoff, GaussianRBF
from schnetpack.nn.activations import shifted_softplus
from schnetpack.representation import FieldSchNet, PaiNN, SchNet, SO3net
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from bench.spec.randomness import global_streams
from bench.techniques.norm_layers import FrozenBatchNorm, measure_frozen_statistics
from suites.molecular.models.catalogue import ARCHITECTURES, Model, Size
from suites.molecular.models.hooks import ForwardTrace, activation_sites, trace_forward
from suites.molecular.models.potential import (
    ENERGY,
    FORCES,
    build_potential,
    predict_energies,
)
from suites.molecular.task import MolecularTask
from suites.molecular.testing.geometries import CPU, FRAMES, batch_of
from suites.molecular.testing.subjects import draw_weights, evaluate, relative_change

CUTOFF = 3.5
SIZE = Size(8, 2, n_rbf=6, cutoff=CUTOFF, n_filters=12)

#: Operation of the published activation, how often a forward pass of `SIZE` applies it, and how
#: often where arXiv 2310.01649 replaced it; counted by hand in the models' source.
APPLIED = {
    "schnet": ("softplus", 5, 5),
    "painn": ("silu", 5, 5),
    "so3net": ("silu", 1, 1),
    "field-schnet": ("softplus", 11, 11),
    "cgcnn": ("softplus", 7, 3),
    "forcenet": ("silu", 8, 8),
    "dimenet++": ("silu", 33, 9),
}
#: Sigmoids of gates, one for each interaction.
GATED = {"so3net": 2, "cgcnn": 2}
#: Normalisation is inserted here: nothing is published, and layers own their activations.
INSERTED = ("schnet", "painn", "so3net", "field-schnet")
NORMALIZED = ("cgcnn", "forcenet")

every_model = pytest.mark.parametrize("name", ARCHITECTURES)


def build(
    name: str,
    activation: str | None = None,
    normalization: str | None = None,
    scope: str = "all",
) -> NeuralNetworkPotential:
    """A small potential, as published where nothing is chosen."""
    published = ARCHITECTURES[name]
    with global_streams(0, CPU):
        return build_potential(
            Model(name, SIZE, choices={}),
            activation or published.activation,
            normalization or published.normalization,
            scope,
            torch.float64,
        )


def lively(
    name: str, activation: str | None = None, normalization: str | None = None
) -> NeuralNetworkPotential:
    """The same with weights that give every layer an effect."""
    potential = build(name, activation, normalization)
    draw_weights(potential, FRAMES, CUTOFF)
    measure_frozen_statistics(potential, lambda: energies(potential))
    return potential


def energies(potential: NeuralNetworkPotential) -> Tensor:
    with torch.no_grad():
        found: Tensor = predict_energies(potential, batch_of(FRAMES, CUTOFF))
    return found


class Operations(TorchDispatchMode):
    """Counts the tensor operations that really run, whoever asks for them."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        self.counts[func.overloadpacket.__name__] += 1
        return func(*args, **(kwargs or {}))


def operations(potential: NeuralNetworkPotential) -> Counter[str]:
    """The operations of one forward pass."""
    with Operations() as run:
        energies(potential)
    return run.counts


def executed(potential: NeuralNetworkPotential) -> ForwardTrace:
    """What the suite says of one forward pass."""
    with trace_forward(potential) as found:
        energies(potential)
    return found


# --- activations ------------------------------------------------------------------------------


@every_model
def test_baseline_applies_the_published_activation(name: str) -> None:
    published, count, _ = APPLIED[name]
    ran = operations(build(name))

    assert ran[published] == count
    assert ran["sigmoid"] == GATED.get(name, 0)
    assert not {"silu", "softplus", "relu"} - {published} & ran.keys()


@every_model
def test_scope_all_leaves_no_published_activation(name: str) -> None:
    _, count, _ = APPLIED[name]
    potential = build(name, "irelu")
    ran = operations(potential)

    # IReLU is made of one ReLU.
    assert ran["relu"] == count
    assert not {"silu", "softplus", "tanh", "elu", "gelu"} & ran.keys()
    assert ran["sigmoid"] == GATED.get(name, 0)
    assert set(executed(potential).activations) == {"IReLU"}


@every_model
def test_scope_published_replaces_where_the_paper_did(name: str) -> None:
    published, count, replaced = APPLIED[name]
    potential = build(name, "irelu", scope="published")
    ran = operations(potential)

    assert ran["relu"] == replaced
    assert ran[published] == count - replaced
    found = executed(potential).activations
    if replaced < count:
        assert all(path.startswith("output_modules.0.") for path in found["IReLU"])
        (kept,) = found.keys() - {"IReLU"}
        assert all(path.startswith("representation.") for path in found[kept])
    else:
        assert found.keys() == {"IReLU"}


@pytest.mark.parametrize("name", GATED)
@pytest.mark.parametrize("activation", [None, "irelu"])
def test_gates_still_have_an_effect(
    name: str, activation: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    potential = lively(name, activation)
    gated = energies(potential)
    monkeypatch.setattr(torch, "sigmoid", torch.ones_like)

    assert not torch.allclose(energies(potential), gated, rtol=1e-3)


def test_an_activation_that_is_stored_and_never_used_is_not_reported() -> None:
    potential = build("so3net")

    assert potential.representation.activation is functional.silu
    assert executed(potential).activations == {"silu": ["output_modules.0.outnet.0"]}
    replaced = build("so3net", "irelu")
    assert executed(replaced).activations == {"IReLU": ["output_modules.0.outnet.0"]}


@every_model
def test_a_users_activation_has_its_own_parameters_at_every_site(
    name: str, own_module: Callable[[str, str], None]
) -> None:
    own_module(
        "own_activation",
        """
import torch

class Scaled(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.factor = torch.nn.Parameter(torch.tensor(1.0))

    def forward(self, x):
        return self.factor * torch.nn.functional.softplus(x)
""",
    )
    potential = lively(name, "own_activation:Scaled")
    sites = activation_sites(potential)
    factors = [module.activation.factor for module in sites.values()]
    predicted = potential.train()(batch_of(FRAMES, CUTOFF))
    loss = predicted[ENERGY].square().sum() + predicted[FORCES].square().sum()

    assert len(factors) >= 1
    assert len({id(factor) for factor in factors}) == len(factors)
    assert {id(factor) for factor in factors} <= {id(p) for p in potential.parameters()}
    assert all(factor.dtype == torch.float64 for factor in factors)
    for path, gradient in zip(sites, torch.autograd.grad(loss, factors), strict=True):
        assert gradient.abs() > 0, path
    found = executed(potential).activations
    assert found.keys() == {"Scaled"}
    assert set(found["Scaled"]) == set(sites)


# --- the published models ---------------------------------------------------------------------


def by_hand(name: str) -> NeuralNetworkPotential:
    """What a user of SchNetPack writes."""
    basis: dict[str, Any] = {
        "radial_basis": GaussianRBF(n_rbf=6, cutoff=CUTOFF),
        "cutoff_fn": CosineCutoff(CUTOFF),
    }
    before: list[nn.Module] = [PairwiseDistances()]
    activation: Callable[[Tensor], Tensor] = functional.silu
    if name == "schnet":
        representation: nn.Module = SchNet(8, 2, n_filters=12, **basis)
        activation = shifted_softplus
    elif name == "painn":
        representation = PaiNN(8, 2, **basis)
    elif name == "so3net":
        representation = SO3net(8, 2, lmax=2, **basis)
    else:
        fields = [properties.electric_field]
        representation = FieldSchNet(8, 2, external_fields=fields, n_filters=12, **basis)
        activation = shifted_softplus
        before.append(StaticExternalFields(fields))
    return NeuralNetworkPotential(
        representation,
        input_modules=before,
        output_modules=[Atomwise(8, activation=activation, output_key="energy"), Forces()],
        input_dtype_str="float64",
    ).double()


@pytest.mark.parametrize("name", ["schnet", "painn", "so3net", "field-schnet"])
def test_baseline_is_schnetpacks_own_model(name: str) -> None:
    # Whatever was built before: the hooks change objects, never classes or functions.
    build(name, "irelu", "layernorm")
    ours, theirs = lively(name), by_hand(name).eval()

    assert list(ours.state_dict()) == list(theirs.state_dict())
    theirs.load_state_dict(ours.state_dict())
    for found, expected in zip(
        evaluate(ours, FRAMES, CUTOFF), evaluate(theirs, FRAMES, CUTOFF), strict=True
    ):
        assert torch.equal(found, expected)
    assert {type(module) for module in ours.modules()} == {
        type(module) for module in theirs.modules()
    }


# --- normalisation ----------------------------------------------------------------------------


def norms(potential: nn.Module, kind: type[nn.Module]) -> list[str]:
    return [path for path, module in potential.named_modules() if isinstance(module, kind)]


#: Where batch norm is published.
PLACES = {
    "cgcnn": [f"representation.interactions.{block}.norm" for block in (0, 1)],
    "forcenet": [
        *(f"representation.interactions.{block}.node_network.norm" for block in (0, 1)),
        "output_modules.0.network.norm",
    ],
}
#: CGCNN's layer norm is no part of the axis.
KEPT = {
    "cgcnn": [f"representation.interactions.{block}.layer_norm" for block in (0, 1)],
    "forcenet": [],
}


@pytest.mark.parametrize("name", NORMALIZED)
def test_denorm_removes_batch_norm_and_keeps_the_layer_norm(name: str) -> None:
    published, removed = build(name), build(name, normalization="denorm")

    assert norms(published, nn.BatchNorm1d) == PLACES[name]
    # What a batch norm in training computes, and nothing else here does.
    assert operations(published.train())["rsqrt"] == len(PLACES[name])
    assert norms(removed, nn.BatchNorm1d) == []
    assert "rsqrt" not in operations(removed.train())
    assert norms(removed, nn.LayerNorm) == KEPT[name]
    assert operations(removed)["native_layer_norm"] == len(KEPT[name])
    expected = {"LayerNorm": KEPT[name]} if KEPT[name] else {}
    assert executed(removed).normalizations == expected


@pytest.mark.parametrize("name", NORMALIZED)
@pytest.mark.parametrize(
    ("token", "kind"), [("layernorm", nn.LayerNorm), ("frozenbn", FrozenBatchNorm)]
)
def test_a_normalisation_replaces_batch_norm(name: str, token: str, kind: type[nn.Module]) -> None:
    potential = build(name, normalization=token)

    assert norms(potential, nn.BatchNorm1d) == []
    assert set(PLACES[name]) <= set(norms(potential, kind))
    assert set(PLACES[name]) <= set(executed(potential).normalizations[kind.__name__])


@pytest.mark.parametrize("name", INSERTED)
def test_insertion_is_before_each_activation_of_atoms_and_at_no_other(name: str) -> None:
    potential = build(name, normalization="layernorm")
    n_atoms = sum(len(atoms) for atoms in FRAMES)
    rows: dict[str, int] = {}
    for path, site in activation_sites(potential).items():
        site.register_forward_pre_hook(
            lambda _, inputs, path=path: rows.__setitem__(path, len(inputs[0]))
        )
    energies(potential)

    assert len(batch_of(FRAMES, CUTOFF)[properties.idx_i]) != n_atoms
    of_atoms = {
        path
        for path, count in rows.items()
        # Its rows are atoms, but alike until the model has learnt.
        if count == n_atoms and "dipole_interaction" not in path
    }
    inserted = {path.removesuffix(".activation.norm") for path in norms(potential, nn.LayerNorm)}
    assert inserted == of_atoms


@pytest.mark.parametrize("name", INSERTED)
@pytest.mark.parametrize("activation", [None, "irelu"])
def test_inserted_normalisation_is_applied(name: str, activation: str | None) -> None:
    plain = lively(name, activation)
    potential = build(name, activation, "layernorm").eval()
    missing, unexpected = potential.load_state_dict(plain.state_dict(), strict=False)
    layers = norms(potential, nn.LayerNorm)

    assert not unexpected
    assert {key.rpartition(".")[0] for key in missing} == set(layers)
    applied = operations(potential)["rsqrt"] - operations(plain)["rsqrt"]
    assert applied == len(layers) > 0
    assert set(executed(potential).normalizations["LayerNorm"]) == set(layers)
    assert executed(potential).activations.keys() == executed(plain).activations.keys()
    assert not torch.allclose(energies(potential), energies(plain), rtol=1e-3)

    # Before the activation: a layer norm that maps everything to b makes it a constant.
    site = activation_sites(potential)["output_modules.0.outnet.0"]
    with torch.no_grad():
        site.activation.norm.weight.zero_()
        site.activation.norm.bias.fill_(0.7)
        last = potential.output_modules[0].outnet[1]
        bias = torch.full((1, site.out_features), 0.7, dtype=torch.float64)
        of_atom = last(activation_sites(plain)["output_modules.0.outnet.0"].activation(bias))
    counts = torch.tensor([len(atoms) for atoms in FRAMES])
    assert relative_change(energies(potential), counts * of_atom.squeeze()) <= 1e-10


@pytest.mark.parametrize("name", [*INSERTED, *NORMALIZED])
def test_statistics_of_frozen_batch_norm_are_measured(name: str) -> None:
    potential = lively(name, normalization="frozenbn").train()
    layers = {p: m for p, m in potential.named_modules() if isinstance(m, FrozenBatchNorm)}
    inputs: dict[str, Tensor] = {}
    for path, layer in layers.items():
        layer.register_forward_pre_hook(
            lambda _, given, path=path: inputs.__setitem__(path, given[0])
        )
    energies(potential)

    assert inputs.keys() == layers.keys()
    for path, layer in layers.items():
        assert relative_change(layer.mean, inputs[path].mean(0)) <= 1e-10
        assert relative_change(layer.var, inputs[path].var(0, correction=0)) <= 1e-10


# --- tasks ------------------------------------------------------------------------------------


def linear_outputs(built: MolecularTask) -> list[Tensor]:
    """What each linear layer gives before its activation, in order of execution."""
    found: list[Tensor] = []

    def note(layer: nn.Linear, inputs: tuple[Tensor, ...]) -> None:
        found.append(functional.linear(inputs[0], layer.weight, layer.bias))

    handles = [
        layer.register_forward_pre_hook(note)
        for layer in built.net.modules()
        if isinstance(layer, nn.Linear)
    ]
    with torch.no_grad():
        predict_energies(built.net, built.probe())
    for handle in handles:
        handle.remove()
    return found


@pytest.mark.parametrize("model", ["schnet:8x2", "painn:8x2"])
@pytest.mark.parametrize("arm", ["lsuv", "irelu+lsuv"])
def test_lsuv_gives_linear_outputs_unit_variance(model: str, arm: str) -> None:
    outputs = linear_outputs(task(model, arm))

    assert len(outputs) > 8
    for output in outputs[:-1]:
        assert float(output.std(correction=0)) == pytest.approx(1, abs=1e-2)


def test_a_task_measures_frozen_statistics_after_its_initialisation() -> None:
    built = task("schnet:8x2", "frozenbn+lsuv")
    layers = [m for m in built.net.modules() if isinstance(m, FrozenBatchNorm)]
    seen: list[tuple[FrozenBatchNorm, Tensor]] = []
    for layer in layers:
        layer.register_forward_pre_hook(lambda owner, given: seen.append((owner, given[0])))
    with torch.no_grad():
        predict_energies(built.net, built.probe())

    assert len(seen) == len(layers) == 3
    for layer, rows in seen:
        assert relative_change(layer.mean, rows.mean(0)) <= 1e-10
        assert relative_change(layer.var, rows.var(0, correction=0)) <= 1e-10


def test_the_record_names_what_executed() -> None:
    published = task("cgcnn:8x2").description
    assert published["activations"].keys() == {"softplus"}
    assert published["normalizations"] == {
        "BatchNorm1d": PLACES["cgcnn"],
        "LayerNorm": KEPT["cgcnn"],
    }

    changed = task("cgcnn:8x2", "irelu+denorm").description
    assert changed["activations"]["IReLU"] == [f"output_modules.0.hidden.{i}" for i in range(3)]
    assert len(changed["activations"]["softplus"]) == 4
    assert changed["normalizations"] == {"LayerNorm": KEPT["cgcnn"]}

    inserted = task("painn:8x1", "tanh+layernorm").description
    assert inserted["activations"].keys() == {"Tanh"}
    assert inserted["normalizations"] == {
        "LayerNorm": [f"{path}.activation.norm" for path in inserted["activations"]["Tanh"]]
    }


def test_a_task_says_where_a_hook_found_no_place() -> None:
    warnings = task("dimenet++:8x1", "irelu+layernorm").diagnose().warnings
    assert any("layernorm found no place in dimenet++" in warning for warning in warnings)
    assert any("irelu is only in the read-out" in w and "--scope all" in w for w in warnings)

    for model in ("so3net:8x1", "schnet:8x1"):
        warnings = task(model, "irelu+layernorm").diagnose().warnings
        assert not any("found no place" in warning for warning in warnings)
        only = [warning for warning in warnings if "only in the read-out" in warning]
        assert len(only) == (model == "so3net:8x1")
