"""Faults, planted in this process: each must change a fingerprint that names what is wrong.

`test_fault_injection` plants faults in commits, and has asv measure them.
"""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from bench.asv_benchmarks.fingerprint import Fingerprint, fingerprint, fingerprints
from bench.techniques import initializers, integrated, norm_layers, offset, rescaling, slopes
from bench.tracking.comparison import Change, Verdict, compare
from bench.tracking.configuration import Configuration
from bench.tracking.results import Value
from bench.training import optimization
from suites.molecular import averaging, budgets
from suites.molecular import metrics as molecular_metrics
from suites.molecular.data import neighbors
from suites.molecular.engine import prediction
from suites.molecular.engine.rows import Rows
from suites.molecular.engine.unique_pairs import pair_algebra
from suites.pinn import resampling
from suites.pinn.engine import kernel, taylor
from suites.pinn.engine.taylor import Jet
from suites.pinn.problems.advection import Advection1D

THRESHOLDS = Configuration.load(Path(__file__).resolve().parents[2]).thresholds

REACTION = "diffusion-reaction-2d fnn"
ADVECTION = "advection-1d fnn baseline"
ETHANOL = "xtb-ethanol cgcnn"
OXIDES = "xtb-oxides cgcnn baseline n_train=24 unseen_elements=apart"

Patch = pytest.MonkeyPatch


# What is planted.


def third_derivative_of_tanh(patch: Patch) -> None:
    """1 % too large: only the gradient of a residual with second derivatives has it."""
    correct = slopes._Tanh.slopes

    def wrong(self: Any, x: Tensor, y: Tensor, order: int) -> list[Tensor | None]:
        first, *more = correct(self, x, y, order)
        if order > 2 and more[1] is not None:
            more[1] = 1.01 * more[1]
        return [first, *more]

    patch.setattr(slopes._Tanh, "slopes", wrong)


def constant_layer_statistics(patch: Patch) -> None:
    """Derivatives by the input take mean and deviation of layer norm for constants."""
    correct = taylor._layer_norm

    def wrong(jet: Jet, state: Any, at: Any, eps: float) -> Jet:
        variance = jet.values.var(-1, correction=0, keepdim=True)[..., : at.rows, :]
        factor = torch.rsqrt(variance + eps) * state["weight"].unsqueeze(-2)
        return Jet(correct(jet, state, at, eps).values, jet.streams * factor.unsqueeze(-3))

    patch.setattr(taylor, "_layer_norm", wrong)


def batch_norm_of_torch(patch: Patch) -> None:
    """torch's own operator, whose third derivative is wrong."""
    patch.setattr(norm_layers.BatchNorm1d, "forward", nn.BatchNorm1d.forward)


def faster_average(patch: Patch) -> None:
    correct = averaging.warmed_up
    patch.setattr(averaging, "warmed_up", lambda decay, steps: 0.9 * correct(decay, steps))


def smaller_cutoff(patch: Patch) -> None:
    correct = budgets.BUDGETS["smoke"]

    def wrong(architecture: Any, share: float) -> budgets.Budget:
        budget = correct(architecture, share)
        size = dataclasses.replace(budget.size, cutoff=0.97 * budget.size.cutoff)
        return dataclasses.replace(budget, size=size)

    patch.setitem(budgets.BUDGETS, "smoke", wrong)


def lost_pair(patch: Patch) -> None:
    correct = neighbors.pairs_of

    def wrong(*arguments: Any) -> Any:
        return tuple(array[:-1] for array in correct(*arguments))

    patch.setattr(neighbors, "pairs_of", wrong)


def larger_irelu(patch: Patch) -> None:
    correct = integrated.IReLU.forward
    patch.setattr(integrated.IReLU, "forward", lambda self, x: 1.0001 * correct(self, x))


def offset_mean(patch: Patch) -> None:
    patch.setattr(offset, "mean_label", lambda labels: 1.001 * labels.mean)


def larger_unit(patch: Patch) -> None:
    correct = rescaling._factor

    def wrong(name: str, value: str | None) -> Callable[[Any], float]:
        factor = correct(name, value)
        # An arm that does not rescale has the factor 1.
        return factor if value == "1" else lambda labels: 1.001 * factor(labels)

    patch.setattr(rescaling, "_factor", wrong)


def larger_weights(patch: Patch) -> None:
    correct = initializers.orthogonal

    def wrong(layers: Any, forward: Any, generator: Any) -> None:
        correct(layers, forward, generator)
        with torch.no_grad():
            for layer in layers:
                layer.weight.mul_(1.0001)

    patch.setattr(initializers, "orthogonal", wrong)


def faster_moments(patch: Patch) -> None:
    correct = optimization.Optimization.__init__

    def wrong(self: Any, *arguments: Any) -> None:
        correct(self, *arguments)
        for group in self._adam.param_groups:
            group["betas"] = (0.9, 0.99)

    patch.setattr(optimization.Optimization, "__init__", wrong)


def lower_cosine(patch: Patch) -> None:
    correct = optimization.SCHEDULES["cosine"]
    changed = {"cosine": lambda progress: 0.99 * correct(progress)}
    names = ("constant", "exponential")
    others = {name: optimization.SCHEDULES[name] for name in names}
    patch.setattr(optimization, "SCHEDULES", {**others, **changed})


def sharper_density(patch: Patch) -> None:
    correct = resampling.density
    patch.setattr(resampling, "density", lambda sizes, k, c: correct(sizes, 2 * k, c))


def wrong_truth(patch: Patch) -> None:
    correct = Advection1D.own_truth

    def wrong(self: Any, fine: bool) -> Any:
        truth = correct(self, fine)
        values = truth.reference.values * 1.001
        return dataclasses.replace(
            truth, reference=dataclasses.replace(truth.reference, values=values)
        )

    patch.setattr(Advection1D, "own_truth", wrong)


def wrong_kilocalories(patch: Patch) -> None:
    correct = molecular_metrics.convert
    patch.setattr(
        molecular_metrics,
        "convert",
        lambda source, target: correct(source, target) * (1.001 if source != target else 1),
    )


def native_derivative_of_tanh(patch: Patch) -> None:
    """As `third_derivative_of_tanh`, in a copy of the kernel's source."""
    folder = Path(tempfile.mkdtemp())
    shutil.copytree(kernel._SOURCE.parent, folder, dirs_exist_ok=True)
    header = folder / "activations.h"
    correct = "s[3] = s[1] * (E(6) * y * y - E(2));"
    assert header.read_text().count(correct) == 1
    wrong = correct.replace("= s[1]", "= E(1.01) * s[1]")
    header.write_text(header.read_text().replace(correct, wrong))
    patch.setattr(kernel, "_SOURCE", folder / kernel._SOURCE.name)


def padding_in_batch_norm(patch: Patch) -> None:
    """Rows of padding count in the statistics."""
    correct = prediction.apart_statistics
    patch.setattr(prediction, "apart_statistics", lambda norms, weights: correct(norms, {}))


def dropped_slot(patch: Patch) -> None:
    """A sum over the pairs of an atom leaves out the last."""
    correct = Rows._summed

    def wrong(self: Rows, y: Tensor) -> Tensor:
        total = correct(self, y)
        if self.dim or self.consecutive:
            return total
        last = y.index_select(0, self.slots[:, -1])
        if self.slot_mask is not None:
            last = last * self.slot_mask[:, -1].view(-1, *[1] * (last.ndim - 1))
        return total - last

    patch.setattr(Rows, "_summed", wrong)


def dropped_neighbour(patch: Patch) -> None:
    """A sum over unique pairs leaves out an atom's last neighbour."""
    correct = pair_algebra._Sum.forward

    def wrong(ctx: Any, table: pair_algebra.PairTable, odd: bool, w: Tensor, x: Tensor) -> Tensor:
        sign = table.slot_sign.clone()
        sign[:, -1] = 0
        return correct(ctx, table._replace(slot_sign=sign, full=False), odd, w, x)

    patch.setattr(pair_algebra._Sum, "forward", staticmethod(wrong))


class Fault(NamedTuple):
    """A fault, the parts of fingerprints that it changes, and a case that does not have it.

    Attributes:
        plant: Plants it.
        suite: The suite of the cases.
        case: What shows it.
        parts: The parts of its fingerprint that change; the others stay.
        untouched: A case that stays as it is, where there is one.
    """

    plant: Callable[[Patch], None]
    suite: str
    case: str
    parts: set[str]
    untouched: str | None


ALL = {"loss", "gradient", "metrics"}

FAULTS = [
    Fault(
        third_derivative_of_tanh,
        "pinn",
        f"{REACTION} tanh",
        {"gradient"},
        f"{REACTION} sin",
    ),
    Fault(constant_layer_statistics, "pinn", f"{REACTION} layernorm", ALL, f"{REACTION} baseline"),
    Fault(
        batch_norm_of_torch,
        "pinn",
        f"{REACTION} batchnorm",
        {"gradient", "metrics"},
        f"{REACTION} frozenbn",
    ),
    Fault(
        faster_average,
        "molecular",
        f"{ETHANOL} baseline scope=all",
        {"metrics"},
        f"{ETHANOL} baseline ema=0",
    ),
    Fault(smaller_cutoff, "molecular", f"{ETHANOL} baseline scope=all", ALL, None),
    Fault(lost_pair, "molecular", f"{ETHANOL} baseline scope=all", ALL, None),
    Fault(
        larger_irelu,
        "molecular",
        f"{ETHANOL} irelu scope=all",
        {"gradient", "metrics"},
        f"{ETHANOL} silu scope=all",
    ),
    Fault(offset_mean, "pinn", f"{REACTION} offset", ALL, f"{REACTION} no-offset"),
    Fault(larger_unit, "pinn", f"{REACTION} rescale=0.5", ALL, f"{REACTION} offset"),
    Fault(larger_weights, "pinn", f"{REACTION} orthogonal", ALL, f"{REACTION} he"),
    Fault(
        faster_moments,
        "pinn",
        f"{ADVECTION} steps=8 schedule=constant",
        {"metrics"},
        f"{ADVECTION} steps=1",
    ),
    Fault(
        lower_cosine,
        "pinn",
        f"{ADVECTION} steps=8 schedule=cosine",
        {"metrics"},
        f"{ADVECTION} steps=8 schedule=exponential",
    ),
    Fault(
        sharper_density,
        "pinn",
        f"{ADVECTION} resample=1 sampler=rad",
        {"metrics"},
        f"{ADVECTION} resample=1",
    ),
    Fault(wrong_truth, "pinn", f"{ADVECTION} resample=1", {"metrics"}, f"{REACTION} baseline"),
    Fault(wrong_kilocalories, "molecular", f"{ETHANOL} baseline scope=all", {"metrics"}, None),
    Fault(
        native_derivative_of_tanh,
        "pinn",
        f"{REACTION} baseline way=kernel",
        {"gradient"},
        f"{REACTION} baseline",
    ),
    Fault(
        padding_in_batch_norm,
        "molecular",
        f"{OXIDES} way=padded",
        ALL,
        OXIDES,
    ),
    Fault(
        dropped_slot,
        "molecular",
        "xtb-ethanol cgcnn baseline scope=all way=padded",
        ALL,
        "xtb-ethanol cgcnn baseline scope=all",
    ),
    Fault(
        dropped_neighbour,
        "molecular",
        "xtb-ethanol schnet baseline scope=all way=padded",
        ALL,
        "xtb-ethanol schnet baseline scope=all",
    ),
]


# How it is judged.


def values(suite: str, found: dict[str, Fingerprint | str]) -> dict[str, Value]:
    """The fingerprints as asv would have them."""
    kept = []
    for case, numbers in found.items():
        assert not isinstance(numbers, str), numbers
        for part, number in numbers._asdict().items():
            benchmark = f"fingerprints.{suite}.track_{part}"
            kept.append(Value(benchmark, (f"'{case}'",), number, None, None, "1", "1", "track"))
    return {value.name: value for value in kept}


def changes(suite: str, before: Any, after: Any) -> list[Change]:
    return compare(values(suite, before), values(suite, after), THRESHOLDS)


def parts_of(found: Iterable[Change], case: str) -> dict[str, Verdict]:
    """The verdict on each part of a case's fingerprint."""
    return {
        change.name.partition(".track_")[2].partition("(")[0]: change.verdict
        for change in found
        if f"'{case}'" in change.name
    }


@pytest.fixture(scope="module")
def correct() -> Callable[[str, list[str]], dict[str, Fingerprint | str]]:
    """Fingerprints without a fault, each computed once."""
    known: dict[tuple[str, str], Fingerprint | str] = {}

    def find(suite: str, cases: list[str]) -> dict[str, Fingerprint | str]:
        new = [case for case in cases if (suite, case) not in known]
        known.update({(suite, c): f for c, f in fingerprints(suite, new).items()})
        return {case: known[suite, case] for case in cases}

    return find


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.plant.__name__)
def test_a_fault_changes_the_fingerprint_of_what_has_it(
    fault: Fault, correct: Any, monkeypatch: Patch
) -> None:
    cases = [fault.case, *([fault.untouched] if fault.untouched else [])]
    before = correct(fault.suite, cases)
    fault.plant(monkeypatch)
    found = changes(fault.suite, before, fingerprints(fault.suite, cases))
    expected = {part: Verdict.CHANGED if part in fault.parts else Verdict.SAME for part in ALL}
    assert parts_of(found, fault.case) == expected
    if fault.untouched:
        assert set(parts_of(found, fault.untouched).values()) == {Verdict.SAME}
    for change in found:
        if change.verdict is Verdict.CHANGED:
            assert f"changed: fingerprints.{fault.suite}.track_" in change.describe()
            assert fault.case in change.describe()


# What a fingerprint is.


def test_a_fingerprint_is_the_same_again() -> None:
    case = f"{REACTION} layernorm"
    assert fingerprint("pinn", case) == fingerprint("pinn", case)


def test_the_gradient_is_that_of_the_loss() -> None:
    """Along the negative gradient g the loss falls by its norm, to first order."""
    from bench.asv_benchmarks import fingerprint as module

    suite, spec = module._specified("pinn", f"{ADVECTION} steps=1 schedule=constant")
    task = suite.build(spec, torch.device("cpu"))
    expected = fingerprint("pinn", f"{ADVECTION} steps=1 schedule=constant")
    (vector,) = task.optimization.parameters
    losses = []
    task.losses()["loss"].backward(inputs=[vector])
    direction = vector.grad / vector.grad.norm()
    start = vector.detach().clone()
    for step in (1e-6, -1e-6):
        with torch.no_grad():
            vector.copy_(start + step * direction)
        losses.append(float(task.losses()["loss"].detach()))
    slope = (losses[0] - losses[1]) / 2e-6
    assert slope == pytest.approx(expected.gradient, rel=1e-6)


def test_a_case_that_fails_fails_alone_and_says_why() -> None:
    found = fingerprints("pinn", ["advection-1d fnn nosuch", f"{ADVECTION} steps=1"])
    failed, fine = found.values()
    assert isinstance(failed, str) and "BadInput" in failed and "nosuch" in failed
    assert isinstance(fine, Fingerprint)
