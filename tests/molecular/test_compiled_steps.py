"""Steps on padded batches: loss, gradients, forces and statistics are the plain batches'."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable

import numpy as np
import pytest
import torch
from molecular_specs import scrambled, specify, task
from potential_frames import KINDS, labelled
from torch import Tensor
from torch.utils._pytree import tree_flatten

from bench.techniques.norm_layers import BatchNorm1d, apart_statistics
from bench.training import traced
from bench.training.optimization import SCHEDULES
from bench.training.ownership import check_owned
from bench.training.parameters import FlatParameters
from bench.training.stock_speed import TOLERANCE, relative_difference
from suites.molecular.data.batches import FrameTensors
from suites.molecular.data.neighbors import neighbor_pairs
from suites.molecular.data.static_batches import TRIPLETS, Layout, StaticBatch, StaticFrames
from suites.molecular.engine.choose import break_even_steps, is_compiled
from suites.molecular.engine.compiled import CompiledStep, LossAndGradient
from suites.molecular.engine.prediction import StaticPotential
from suites.molecular.engine.rows import Rows
from suites.molecular.engine.step import Result, StepFunction
from suites.molecular.loss import EnergyForceLoss
from suites.molecular.models.catalogue import Size
from suites.molecular.models.potential import FORCES
from suites.molecular.stress import STRESS, predict_with_stress
from suites.molecular.task import MolecularTask

CPU = torch.device("cpu")
ROWS = np.array([7, 2, 11, 3])
#: All kinds of the one, and the one kind of all, are what a fast run looks at.
_FAST = ("schnet", "mixture")
#: Of a step of 1e-2: where the gradient is rounding alone, Adam follows that.
_TINY = 1e-8
MODELS = ("schnet", "painn", "cgcnn", "forcenet", "so3net", "field-schnet", "dimenet++")


def loaded(task: MolecularTask, kind: str) -> tuple[FrameTensors, StaticFrames]:
    """The frames of a kind in both forms."""
    frames, cutoff = labelled(kind), task.model.size.cutoff
    pairs = neighbor_pairs(frames, cutoff)
    labels = frames.energies, frames.forces
    needs = (TRIPLETS,) if task.model.name == "dimenet++" else ()
    return (
        FrameTensors(frames, pairs, *labels, CPU, torch.float64, frames.stresses),
        StaticFrames(
            frames, pairs, *labels, cutoff, CPU, torch.float64, frames.stresses, needs=needs
        ),
    )


def both(task: MolecularTask, kind: str, error: str = "MSE") -> tuple[list[Tensor], list[Tensor]]:
    """Loss, gradients and running statistics of padded batches, and of plain ones."""
    plain, static = loaded(task, kind)
    stress_weight = 0.7 if kind == "strained" else 0.0
    task.loss = EnergyForceLoss(task.protocol, error, 1.0, 1.0, "eV", stress_weight)
    function = StepFunction(task.net, task.parameters, task.loss)
    before = copy.deepcopy(task.net.state_dict())
    found = function(static.batch(ROWS))
    for name, tensor in task.net.state_dict().items():
        assert torch.equal(tensor, before[name]), f"{name} was changed"
    function.keep(found)
    kept = statistics(task)
    task.net.load_state_dict(before)
    loss = task.losses(plain.batch(ROWS))["loss"]
    parameters = task.parameters.parameters
    gradients = torch.autograd.grad(loss, parameters, materialize_grads=True)
    return (
        [found.terms["loss"], *task.parameters.split(found.gradient).values(), *kept],
        [loss.detach(), *gradients, *statistics(task)],
    )


def statistics(task: MolecularTask) -> list[Tensor]:
    """The buffers of floating-point numbers."""
    return [b.clone() for b in task.net.buffers() if b.is_floating_point()]


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        pytest.param(model, kind, marks=[] if model in _FAST or kind in _FAST else pytest.mark.slow)
        for model in MODELS
        for kind in KINDS
    ],
)
def test_padded_batches_have_the_same_loss_and_gradients(model: str, kind: str) -> None:
    found, expected = both(scrambled(f"{model}:8x2"), kind)
    assert relative_difference(found, expected) < TOLERANCE


@pytest.mark.parametrize("arm", ["irelu+denorm+rescale", "frozenbn", "layernorm", "batchnorm"])
@pytest.mark.parametrize("model", ["schnet", "cgcnn"])
def test_arms_have_the_same_loss_and_gradients(model: str, arm: str) -> None:
    found, expected = both(scrambled(f"{model}:8x2", arm), "mixture", "MAE")
    assert relative_difference(found, expected) < TOLERANCE


@pytest.mark.parametrize("model", ["schnet", "painn"])
def test_forces_and_stresses_are_the_modules_own(model: str) -> None:
    task = scrambled(f"{model}:8x2")
    plain, static = loaded(task, "strained")
    batch, padded = plain.batch(ROWS), static.batch(ROWS)
    task.net.eval()
    found = StaticPotential(task.net)(padded, stressed=True)
    expected = predict_with_stress(task.net, batch)
    real = padded.tensors["atom_mask"] == 1
    torch.testing.assert_close(found.forces[real], expected[FORCES], rtol=1e-10, atol=1e-12)
    assert not found.forces[~real].any()
    torch.testing.assert_close(found.stresses, expected[STRESS], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("consecutive", [True, False])
def test_gathers_and_sums_are_each_others_derivative(consecutive: bool) -> None:
    index = torch.tensor([0, 0, 1, 1, 2, 2])
    slots = torch.tensor([[0, 1], [2, 3], [4, 0]])
    slot_mask = torch.tensor([[1.0, 1.0], [1.0, 1.0], [1.0, 0.0]], dtype=torch.float64)
    mask = torch.tensor([1.0, 1, 1, 1, 1, 0], dtype=torch.float64)
    rows = Rows(index, slots, slot_mask, mask, consecutive)
    x = torch.randn(3, 2, dtype=torch.float64, requires_grad=True)

    def function(x: Tensor) -> Tensor:
        return rows.sum(rows.take(x).sin() * torch.arange(1.0, 7)[:, None])

    assert torch.autograd.gradcheck(function, x)
    assert torch.autograd.gradgradcheck(function, x)


def test_batch_norm_leaves_padding_out() -> None:
    norm = BatchNorm1d(3).double()
    real = torch.randn(5, 3, dtype=torch.float64)
    padded = torch.cat([real, torch.full((4, 3), 7.0, dtype=torch.float64)])
    weights = torch.tensor([1.0] * 5 + [0.0] * 4, dtype=torch.float64)[:, None]
    with apart_statistics([norm], {9: weights}):
        found = norm(padded)[:5]
    updated = norm.updated
    assert updated is not None and not norm.running_mean.any()
    torch.testing.assert_close(found, norm(real), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(updated[0], norm.running_mean, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(updated[1], norm.running_var, rtol=1e-12, atol=1e-12)


def test_a_choice_follows_from_counts() -> None:
    size = Size(128, 3, n_rbf=20, cutoff=5.0)
    even = break_even_steps(720, size, 1)
    assert 100 < even < break_even_steps(720, size, 3) < 10**5
    assert is_compiled("auto", CPU, 3 * even, even)
    assert not is_compiled("auto", CPU, even, even)
    assert not is_compiled("auto", torch.device("cuda"), 3 * even, even)
    assert is_compiled("on", CPU, 1, even) and not is_compiled("off", CPU, 10**9, even)


def test_the_default_changes_no_spec() -> None:
    plain = specify()
    assert "compile" not in plain.settings
    assert specify("schnet:8x2", "baseline", "--compile", "auto").hash == plain.hash
    assert specify("schnet:8x2", "baseline", "--compile", "on").settings["compile"] == "on"


def test_a_record_says_which_path_ran() -> None:
    engine = task().description["engine"]
    assert engine["executed"] == "eager" and engine["compile"] == "auto"
    assert engine["break_even_steps"] > 100


def test_a_batch_in_parts_is_not_compiled_and_the_record_says_so() -> None:
    built = task("schnet:8x2", "baseline", "--compile", "on")
    built.divide(2)
    built.step()
    engine = built.description["engine"]
    assert engine["executed"] == "eager" and "in parts" in engine["not_compiled"]


def padded(built: MolecularTask) -> CompiledStep:
    """The compiled step of a task, as it falls back, whose functions are not compiled."""
    compiled = built.compiled
    assert compiled is not None
    compiled._insist = False
    compiled._function.knows = lambda batch: batch.layout in seen  # type: ignore[method-assign]
    seen: set[Layout] = set()
    whole = compiled._function.__call__

    def counted(batch: StaticBatch) -> Result:
        found = whole(batch)
        seen.add(batch.layout)
        return found

    compiled._function.compiled = counted  # type: ignore[method-assign]
    return compiled


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_rows_that_see_padding_are_found_out_though_the_loss_is_large(dtype: str) -> None:
    """As the protocol's raw energies make it: loss and gradient have other units."""
    options = ("--compile", "on", "--protocol", "paper")
    arm = "normalization=row_coupling:CenterRows"
    built = task("schnet:8x2", arm, *options, problem="xtb-oxides", dtype=dtype)
    padded(built)
    built.step()
    how = built.description["engine"]
    assert how["executed"] == "eager" and "another" in how["not_compiled"]


def test_each_new_shape_is_checked_and_a_later_failure_is_recorded() -> None:
    options = ("--compile", "on", "--batch", "1")
    built = task("schnet:8x1", "baseline", *options, problem="xtb-oxides", budget="quick")
    compiled = padded(built)
    plain, checked = compiled._plain, []

    def other_after_the_first(rows: np.ndarray) -> LossAndGradient:
        checked.append(compiled._frames.layout(rows))
        terms, gradient = plain(rows)
        return LossAndGradient(terms, gradient * (1 if len(checked) == 1 else 1.01))

    compiled._plain = other_after_the_first
    while compiled._usable:
        built.step()
    assert checked[0] != checked[1]
    engine = built.description["engine"]
    assert engine["executed"] == "compiled, then eager"
    assert engine["batches"] == "padded, then preloaded"
    assert engine["shapes"] == 1 and "another" in engine["not_compiled"]


@pytest.mark.parametrize("arm", ["activation=row_coupling:Running", "batchnorm"])
def test_a_step_changes_buffers_once(arm: str) -> None:
    built, plain = (
        task("cgcnn:8x1", arm, "--compile", way, "--batch", "2") for way in ("on", "off")
    )
    padded(built)
    for _ in range(3):
        built.step()
        plain.step()
    assert built.description["engine"]["executed"] == "compiled"
    expected = plain.net.state_dict()
    for name, buffer in built.net.named_buffers():
        torch.testing.assert_close(buffer, expected[name], rtol=1e-9, atol=1e-12)


def test_buffers_that_differ_are_found_out() -> None:
    built = task("schnet:8x1", "activation=row_coupling:Counting", "--compile", "on")
    padded(built)
    built.step()
    engine = built.description["engine"]
    assert engine["executed"] == "eager" and "another buffer" in engine["not_compiled"]


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_a_compiled_training_is_the_plain_one(model: str) -> None:
    compiled, plain = (task(f"{model}:8x2", "baseline", "--compile", way) for way in ("on", "off"))
    for _ in range(3):
        found, expected = compiled.step(), plain.step()
        assert found["loss"] == pytest.approx(float(expected["loss"]), rel=1e-9)
    assert compiled.description["engine"]["executed"] == "compiled"
    for name, tensor in plain.net.state_dict().items():
        torch.testing.assert_close(compiled.net.state_dict()[name], tensor, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("shared", ["module", "parameter"])
def test_what_a_network_uses_twice_stays_the_optimiser_s(shared: str) -> None:
    built = scrambled("schnet:8x2")
    representation = built.net.representation
    first, second = representation.interactions
    if shared == "module":
        representation.interactions[1] = first
    else:
        second.in2f.weight = first.in2f.weight
    parameters = FlatParameters(built.net)
    before = dict(built.net.named_parameters(remove_duplicate=False))
    plain, static = loaded(built, "mixture")
    found = StepFunction(built.net, parameters, built.loss)(static.batch(ROWS))
    assert dict(built.net.named_parameters(remove_duplicate=False)).keys() == before.keys()
    for name, parameter in built.net.named_parameters(remove_duplicate=False):
        assert parameter is before[name], name
    check_owned(built.net, parameters)
    loss = built.losses(plain.batch(ROWS))["loss"]
    expected = torch.autograd.grad(loss, parameters.parameters, materialize_grads=True)
    ours = parameters.split(found.gradient).values()
    assert relative_difference(list(ours), expected) < TOLERANCE


@pytest.mark.parametrize("model", ["schnet", "cgcnn"])
def test_one_update_of_a_vector_is_that_of_each_parameter(model: str) -> None:
    """Weights, average and statistics are those of torch's AdamW and moving average."""
    options = ("--ema", "0.5", "--weight-decay", "0.3", "--lr", "1e-2", "--steps", "12")
    built = task(f"{model}:8x2", "batchnorm", *options)
    net, rates = copy.deepcopy(built.net).train(), built.spec.training
    # As it was in the network whose copy this is.
    other = task(f"{model}:8x2", "batchnorm", *options)
    adam = torch.optim.AdamW(net.parameters(), eps=rates.eps, weight_decay=rates.weight_decay)
    average: dict[str, Tensor] = {}
    for step in range(12):
        other.net = net
        loss = other.losses(other.training.batch(other._batches.next()))["loss"]
        adam.zero_grad()
        loss.backward()
        adam.param_groups[0]["lr"] = rates.lr * SCHEDULES[rates.schedule](step / rates.steps)
        adam.step()
        decay = min(0.5, (1 + step) / (10 + step))
        for name, now in net.state_dict().items():
            kept = average.get(name, now)
            average[name] = torch.lerp(kept.double(), now.double(), 1 - decay)
        built.step()
    assert built.parameters.vector.grad is not None
    for name, tensor in built.net.state_dict().items():
        torch.testing.assert_close(tensor, net.state_dict()[name], rtol=1e-8, atol=_TINY)
    for name, tensor in built.averaging.scored.state_dict().items():
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor, average[name], rtol=1e-8, atol=_TINY)


def resumed_ends(model: str, way: str, compute: Callable[[MolecularTask], None]) -> None:
    """A run that was stopped ends bitwise as one that was not, average and optimiser included."""
    options = ("--compile", way, "--ema", "0.9", "--weight-decay", "0.1", "--lr", "1e-2")
    whole, first, second = (task(f"{model}:8x2", "batchnorm", *options) for _ in range(3))
    for built in (whole, first, second):
        compute(built)
    for _ in range(5):
        whole.step()
    for _ in range(2):
        first.step()
    memory = io.BytesIO()
    torch.save(first.state_dict(), memory)
    memory.seek(0)
    second.load_state_dict(torch.load(memory))
    for _ in range(3):
        second.step()
    found, expected = (tree_flatten(built.state_dict())[0] for built in (second, whole))
    assert len(found) == len(expected) > 50
    for mine, theirs in zip(found, expected, strict=True):
        same = torch.equal(mine, theirs) if isinstance(mine, Tensor) else mine == theirs
        assert same


@pytest.mark.parametrize("model", ["schnet", "cgcnn"])
def test_a_resumed_run_is_an_uninterrupted_one(model: str) -> None:
    resumed_ends(model, "off", lambda built: None)


@pytest.mark.parametrize("model", ["schnet", "cgcnn"])
def test_a_resumed_run_on_padded_batches_is_an_uninterrupted_one(model: str) -> None:
    def pad(built: MolecularTask) -> None:
        assert built.compiled is not None
        built.compiled = built.compiled.uncompiled()

    resumed_ends(model, "on", pad)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["schnet", "cgcnn"])
def test_a_resumed_compiled_run_is_an_uninterrupted_one(model: str) -> None:
    resumed_ends(model, "on", lambda built: None)


def test_what_differs_in_numbers_shares_a_compiled_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seeds, and arms that differ in rescaling, rates, decay and average."""
    compiled: list[traced._Graph] = []

    def interpreted(graph: traced._Graph) -> traced.Function:
        compiled.append(graph)
        return graph.graph

    monkeypatch.setattr(traced._Graph, "compiled", interpreted)
    traced._compiled.cache_clear()
    factors = set()
    options = ("--lr", "1e-2", "--ema", "0", "--weight-decay", "0.1")
    for arm, seed, given in (("baseline", 0, ()), ("rescale", 0, options), ("rescale", 1, ())):
        built = task("schnet:8x2", arm, "--compile", "on", *given, seed=seed)
        plain = task("schnet:8x2", arm, "--compile", "off", *given, seed=seed)
        found, expected = built.step(), plain.step()
        assert float(found["loss"]) == pytest.approx(float(expected["loss"]), rel=1e-10)
        assert built.description["engine"]["executed"] == "compiled"
        factors.add(built.loss.factors)
    assert len(factors) == 3 and len(compiled) == 1
    traced._compiled.cache_clear()


@pytest.mark.slow
def test_compiling_changes_a_user_s_buffers_once_a_step() -> None:
    arm = "activation=row_coupling:Running+normalization=torch.nn:BatchNorm1d"
    options = ("--batch", "2", "--compile")
    compiled, plain = (task("schnet:8x1", arm, *options, way) for way in ("on", "off"))
    for _ in range(3):
        compiled.step()
        plain.step()
    assert compiled.description["engine"]["executed"] == "compiled"
    expected = dict(plain.net.named_buffers())
    for name, buffer in compiled.net.named_buffers():
        torch.testing.assert_close(buffer, expected[name], rtol=1e-6, atol=1e-8)
