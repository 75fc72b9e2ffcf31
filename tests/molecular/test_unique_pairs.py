"""SchNet and PaiNN on unique pairs: all that their own modules compute, and their symmetries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from molecular_specs import scrambled, task
from potential_frames import KINDS, labelled
from row_coupling import Clip
from schnetpack.nn import BesselRBF
from schnetpack.representation import PaiNN, SchNet
from torch import Tensor, nn

from bench.training.stock_speed import TOLERANCE, relative_difference
from suites.molecular.data.batches import FrameTensors
from suites.molecular.data.frames import Frames
from suites.molecular.data.neighbors import neighbor_pairs
from suites.molecular.data.static_batches import UNIQUE, StaticBatch, StaticFrames
from suites.molecular.engine.prediction import Predicted
from suites.molecular.engine.step import StepFunction
from suites.molecular.engine.unique_pairs.pair_algebra import PairTable, pair_product, pair_sum
from suites.molecular.engine.unique_pairs.potential import UniquePairPotential, unique_pair_form
from suites.molecular.engine.unique_pairs.row_operators import row_sums, scale_rows
from suites.molecular.loss import EnergyForceLoss
from suites.molecular.models.potential import ENERGY, FORCES
from suites.molecular.stress import STRESS, predict_with_stress
from suites.molecular.task import MolecularTask
from suites.molecular.testing.geometries import BRASS, FRAMES, LONELY, WATER, frames_of

CPU = torch.device("cpu")
ROWS = np.array([7, 2, 11, 3])
MODELS = ("schnet", "painn")


def form_of(net: nn.Module) -> UniquePairPotential:
    form = unique_pair_form(net)
    assert not isinstance(form, str), form
    return form


def both(frames: Frames, cutoff: float, rows: np.ndarray) -> tuple[dict[str, Tensor], StaticBatch]:
    """The frames `rows` as a plain batch and as a padded one."""
    pairs = neighbor_pairs(frames, cutoff)
    labels = frames.energies, frames.forces
    plain = FrameTensors(frames, pairs, *labels, CPU, torch.float64, frames.stresses)
    static = StaticFrames(
        frames, pairs, *labels, cutoff, CPU, torch.float64, frames.stresses, needs=(UNIQUE,)
    )
    return plain.batch(rows), static.batch(rows)


def predicted(model: str, structures: list[Atoms]) -> Predicted:
    """On unique pairs, in evaluation mode, of structures in one batch."""
    built = scrambled(f"{model}:8x3")
    built.net.eval()
    frames = frames_of(structures)
    _, batch = both(frames, built.model.size.cutoff, np.arange(len(frames)))
    return form_of(built.net)(batch)


def compare(built: MolecularTask, frames: Frames, rows: np.ndarray, error: str = "MSE") -> None:
    """Loss, gradients and running statistics are those of the modules' plain batch."""
    plain, batch = both(frames, built.model.size.cutoff, rows)
    stress_weight = 0.0 if frames.stresses is None else 0.7
    built.loss = EnergyForceLoss(built.protocol, error, 1.0, 1.0, "eV", stress_weight)
    parameters = list(built.net.parameters())
    step = StepFunction(built.net, built.parameters, built.loss, form_of(built.net))
    found = step(batch)
    loss = built.losses(plain)["loss"]
    gradients = torch.autograd.grad(loss, parameters, materialize_grads=True)
    assert float(torch.stack([g.norm() for g in gradients]).max()) > 1e-3
    of_parameters = built.parameters.split(found.gradient).values()
    assert (
        relative_difference([found.terms["loss"], *of_parameters], [loss.detach(), *gradients])
        < TOLERANCE
    )
    running = [
        buffer
        for norm in built.net.modules()
        if isinstance(norm, nn.BatchNorm1d)
        for buffer in (norm.running_mean, norm.running_var)
    ]
    for kept, buffer in zip(found.statistics, running, strict=True):
        torch.testing.assert_close(kept, buffer, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("model", MODELS)
def test_loss_and_gradients_are_the_modules_own(model: str, kind: str) -> None:
    compare(scrambled(f"{model}:8x3"), labelled(kind), ROWS)


@pytest.mark.parametrize(
    "arm", ["irelu+denorm+rescale", "igelu", "relu", "layernorm", "frozenbn", "batchnorm"]
)
@pytest.mark.parametrize("model", MODELS)
def test_of_every_arm(model: str, arm: str) -> None:
    compare(scrambled(f"{model}:8x3", arm), labelled("mixture"), ROWS, "MAE")


@pytest.mark.parametrize("problem", ["xtb-ethanol", "xtb-oxides"])
@pytest.mark.parametrize("model", MODELS)
def test_of_data_that_come_with_the_suite(model: str, problem: str) -> None:
    built = task(f"{model}:8x2", "baseline", "--compile", "on", problem=problem)
    assert built.compiled is not None
    rows = np.arange(4)
    loss = built.losses(built.training.batch(rows))["loss"]
    parameters = list(built.net.parameters())
    expected = torch.autograd.grad(loss, parameters, materialize_grads=True)
    found = built.compiled.loss_and_gradients(rows)
    assert relative_difference(found, [loss.detach(), *expected]) < TOLERANCE


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    "structures",
    [(BRASS,), (bulk("Cu", a=3.0),), (*FRAMES, LONELY), (LONELY, LONELY)],
    ids=["small cell", "one atom", "mixture", "no pairs"],
)
def test_energies_forces_and_stresses_are_the_modules_own(
    model: str, structures: tuple[Atoms, ...]
) -> None:
    """Also where an atom meets its own images, and another through several."""
    built = scrambled(f"{model}:8x3")
    plain, batch = both(frames_of(structures), built.model.size.cutoff, np.arange(len(structures)))
    built.net.eval()
    expected = predict_with_stress(built.net, plain)
    found = form_of(built.net)(batch, stressed=True)
    real = batch.tensors["atom_mask"] == 1
    for ours, theirs in (
        (found.energies, expected[ENERGY]),
        (found.forces[real], expected[FORCES]),
        (found.stresses, expected[STRESS]),
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12, equal_nan=True)
    assert not found.forces[~real].any()


@pytest.mark.parametrize("model", MODELS)
def test_shared_interactions_and_filters(model: str) -> None:
    """And filters of another width than the atoms' features."""
    built = scrambled(f"{model}:8x3")
    own = built.net.representation
    basis = own.radial_basis, own.cutoff_fn
    if model == "schnet":
        made = SchNet(8, 3, *basis, n_filters=5, shared_interactions=True)
    else:
        made = PaiNN(8, 3, *basis, shared_interactions=True, shared_filters=True)
    built.net.representation = made.double()
    plain, batch = both(labelled("molecule"), built.model.size.cutoff, ROWS)
    found, expected = form_of(built.net)(batch), built.net(plain)
    parameters = list(built.net.parameters())
    ours, theirs = (
        torch.autograd.grad(energies.square().sum() + forces.square().sum(), parameters)
        for energies, forces in (
            (found.energies, found.forces),
            (expected[ENERGY], expected[FORCES]),
        )
    )
    assert relative_difference(ours, theirs) < TOLERANCE


@pytest.mark.parametrize("model", MODELS)
def test_symmetries(model: str) -> None:
    random = np.random.default_rng(0)
    rotation = np.linalg.qr(random.normal(size=(3, 3)))[0]
    order = random.permutation(len(WATER))
    turned, moved, mirrored = WATER.copy(), WATER.copy(), BRASS.copy()
    turned.positions = WATER.positions @ rotation.T
    moved.positions = WATER.positions[order] + [1.0, -2.0, 3.0]
    moved.numbers = WATER.numbers[order]
    mirrored.positions += mirrored.cell[0] * np.array([[1], [0]])
    found = predicted(model, [WATER, turned, moved])
    of_water, of_turned, of_moved = found.forces.split(3)
    torch.testing.assert_close(found.energies, found.energies[:1].expand(3), rtol=1e-11, atol=0)
    matrix = torch.tensor(rotation)
    torch.testing.assert_close(of_turned, of_water @ matrix.T, rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(of_moved, of_water[order], rtol=1e-9, atol=1e-11)
    images = predicted(model, [BRASS, mirrored])
    torch.testing.assert_close(images.energies[0], images.energies[1], rtol=1e-11, atol=0)


@pytest.mark.parametrize("model", MODELS)
def test_forces_are_finite_differences(model: str) -> None:
    step = 1e-4
    shifted = []
    for sign in (1, -1):
        atoms = BRASS.copy()
        atoms.positions[1, 2] += sign * step
        shifted.append(atoms)
    found = predicted(model, [BRASS, *shifted])
    difference = -(found.energies[1] - found.energies[2]) / (2 * step)
    torch.testing.assert_close(found.forces[1, 2], difference, rtol=1e-5, atol=1e-7)


def table_of_three() -> PairTable:
    """Of atoms 0, 1 and 2: pairs (0, 1), (1, 2), and one of atom 2 with its image."""
    return PairTable(
        first=torch.tensor([0, 1, 2]),
        second=torch.tensor([1, 2, 2]),
        slot_pair=torch.tensor([[0, 0, 0], [0, 1, 2], [1, 2, 2]]),
        slot_other=torch.tensor([[1, 0, 0], [0, 2, 1], [1, 2, 2]]),
        slot_sign=torch.tensor([[1.0, 0, 0], [-1, 1, 0], [-1, 1, -1]], dtype=torch.float64),
        full=False,
    )


@pytest.mark.parametrize("odd", [False, True])
@pytest.mark.parametrize("operator", [pair_sum, pair_product])
def test_sums_and_products_have_derivatives(operator: Callable[..., Tensor], odd: bool) -> None:
    table = table_of_three()
    generator = torch.Generator().manual_seed(0)
    a, b = (
        torch.randn(2, 3, 2, generator=generator, dtype=torch.float64, requires_grad=True)
        for _ in range(2)
    )
    function = lambda a, b: operator(table, a, b, odd=odd)  # noqa: E731
    assert torch.autograd.gradcheck(function, (a, b))
    assert torch.autograd.gradgradcheck(function, (a, b))


@pytest.mark.parametrize("odd", [False, True])
def test_sums_are_those_of_their_definition(odd: bool) -> None:
    w, x = torch.randn(3, 2, dtype=torch.float64), torch.randn(3, 2, dtype=torch.float64)
    sign = -1.0 if odd else 1.0
    own = w[2] * x[2]
    expected = torch.stack(
        [
            w[0] * x[1],
            sign * w[0] * x[0] + w[1] * x[2],
            sign * w[1] * x[1] + own + sign * own,
        ]
    )
    torch.testing.assert_close(pair_sum(table_of_three(), w, x, odd=odd), expected)


def test_many_neighbors_are_summed_the_same() -> None:
    """Beyond the number of slots up to which sums are written out."""
    table = table_of_three()
    many = table._replace(
        slot_pair=table.slot_pair.repeat(1, 20),
        slot_other=table.slot_other.repeat(1, 20),
        slot_sign=table.slot_sign.repeat(1, 20),
    )
    w, x = torch.randn(3, 2, dtype=torch.float64), torch.randn(3, 2, dtype=torch.float64)
    for odd in (False, True):
        expected = 20 * pair_sum(table, w, x, odd=odd)
        torch.testing.assert_close(pair_sum(many, w, x, odd=odd), expected)


def test_operators_on_rows_have_derivatives() -> None:
    factors = torch.randn(2, 3, 1, dtype=torch.float64, requires_grad=True)
    x = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    for function, given in ((row_sums, (x,)), (scale_rows, (factors, x))):
        assert torch.autograd.gradcheck(function, given)
        assert torch.autograd.gradgradcheck(function, given)
    torch.testing.assert_close(row_sums(x), x.sum(1, keepdim=True))
    torch.testing.assert_close(scale_rows(factors, x), factors * x)


class _OwnSchNet(SchNet):
    """Anything."""


def _with_basis(net: Any) -> None:
    net.representation.radial_basis = BesselRBF(20, 5.0)


def _with_subclass(net: Any) -> None:
    net.representation.__class__ = _OwnSchNet


def _with_average(net: Any) -> None:
    net.output_modules[0].aggregation_mode = "avg"


def _with_norm_of_pairs(net: Any) -> None:
    net.representation.interactions[1].filter_network[0].activation = nn.BatchNorm1d(16).double()


def _with_softmax(net: Any) -> None:
    net.representation.interactions[1].filter_network[0].activation = nn.Softmax(-1)


def _with_clip(net: Any) -> None:
    net.representation.interactions[1].filter_network[0].activation = Clip()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_with_basis, "BesselRBF"),
        (_with_subclass, "_OwnSchNet"),
        (_with_average, "sum of atoms"),
        (_with_norm_of_pairs, "couples elements"),
        (_with_softmax, "couples elements"),
        (_with_clip, "couples elements"),
    ],
)
def test_what_is_not_known_is_not_available(
    change: Callable[[nn.Module], None], reason: str
) -> None:
    built = scrambled("schnet:8x3")
    change(built.net)
    found = unique_pair_form(built.net)
    assert isinstance(found, str) and reason in found


def test_other_models_are_not_available() -> None:
    assert isinstance(unique_pair_form(task("cgcnn:8x2").net), str)
    assert isinstance(unique_pair_form(nn.Linear(2, 2)), str)


def test_the_record_says_which_pairs() -> None:
    engines = [
        task(f"{model}:8x2", "baseline", "--compile", "on").description["engine"]
        for model in ("painn", "so3net")
    ]
    assert engines[0]["pairs"] == "unique"
    assert engines[1]["pairs"] == "each direction" and "SO3net" in engines[1]["not_unique"]
