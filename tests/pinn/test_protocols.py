"""The protocols of PINNs: scaling of inputs, weights of terms, labels, rate, and their names."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pinn_specs
import pytest
import torch
from torch import Tensor

from bench.arm import Arm
from bench.spec.training_options import TrainingOptions
from bench.task import Request
from bench.text.errors import BadInput
from bench.training.stock_speed import relative_difference
from suites.pinn import wrap
from suites.pinn.backend import dde
from suites.pinn.batch import Batched, build_together
from suites.pinn.check import difference_from_deepxde, loss_and_gradient, stock_loss_and_gradient
from suites.pinn.engine.choose import choose_evaluation
from suites.pinn.engine.evaluation import ReverseEvaluation
from suites.pinn.models.input_scaling import InputScaling, scaling_of
from suites.pinn.options import PINNOptions
from suites.pinn.problems.catalogue import BUILT_IN, get_problem
from suites.pinn.protocols import PROTOCOLS
from suites.pinn.suite import SUITE
from suites.pinn.task import PINNTask
from suites.pinn.trained import solution

CPU = torch.device("cpu")
EXACT = 1e-10


def standard(problem: str = "advection-1d", arm: str = "baseline", **given: Any) -> PINNTask:
    return pinn_specs.task(problem, arm, protocol="standard", **given)


# --- a user's problems --------------------------------------------------------------------------


def decay_data() -> Any:
    """u_t = −u/50 on x ∈ (−3, 5), t ∈ (0, 200)."""
    geometry = dde.geometry.GeometryXTime(
        dde.geometry.Interval(-3, 5), dde.geometry.TimeDomain(0, 200)
    )

    def pde(x: Tensor, u: Tensor) -> Tensor:
        return dde.grad.jacobian(u, x, j=1) + u / 50

    condition = dde.icbc.IC(geometry, lambda x: np.ones((len(x), 1)), lambda _, on: on)
    return dde.data.TimePDE(geometry, pde, [condition], 20, 8, 8, train_distribution="pseudo")


def own_features(x: Tensor) -> Tensor:
    SEEN.append(x.detach().clone())
    return torch.cat([x[:, :1] / 5, x[:, 1:] / 200], dim=1)


SEEN: list[Tensor] = []
DECAY: dict[str, Any] = {"name": "decay", "outputs": ["u"], "losses": ["Lf", "LIC"]}
PLAIN = wrap(decay_data, **DECAY)
FEATURES = wrap(decay_data, **DECAY, input_transform=own_features)
WEIGHTED = wrap(decay_data, **DECAY, loss_weights={"Lf": 2500.0})


def unbounded_data() -> Any:
    data = decay_data()
    data.geom.geometry.bbox = (np.array([-np.inf]), np.array([np.inf]))
    return data


UNBOUNDED = wrap(unbounded_data, **DECAY)
UNBOUNDED_FEATURES = wrap(unbounded_data, **DECAY, input_transform=own_features)


def untrue_data() -> Any:
    data = decay_data()
    data.geom.geometry.bbox = (np.array([-3.0]), np.array([2.0]))
    return data


def boundless_data() -> Any:
    data = decay_data()
    del data.geom.geometry.bbox
    return data


UNTRUE = wrap(untrue_data, **DECAY)
BOUNDLESS = wrap(boundless_data, **DECAY)


# --- scaling ------------------------------------------------------------------------------------


def test_the_domain_is_mapped_to_the_unit_box() -> None:
    data = standard("diffusion-sorption-1d").data
    scaling = scaling_of(data.geom, "sorption", torch.as_tensor(data.train_x))
    corners = torch.tensor([[0.0, 0.0], [1.0, 500.0], [0.25, 250.0]], dtype=torch.float64)
    wanted = torch.tensor([[-1.0, -1.0], [1.0, 1.0], [-0.5, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(scaling.double()(corners), wanted, rtol=0, atol=1e-15)
    assert not list(scaling.parameters())


@pytest.mark.parametrize("problem", BUILT_IN)
def test_training_points_enter_between_minus_one_and_one(problem: str) -> None:
    task = standard(problem)
    scaling = task.net.get_submodule("_input_transform")
    assert isinstance(scaling, InputScaling)
    scaled = scaling(torch.as_tensor(task.data.train_x))
    assert float(scaled.min()) == pytest.approx(-1, abs=1e-6)
    assert float(scaled.max()) == pytest.approx(1, abs=1e-6)


def test_the_network_is_that_of_hand_scaled_coordinates() -> None:
    """And its derivatives are by x and t in their own units, by the chain rule."""
    task = standard(__name__ + ":PLAIN")
    x = torch.tensor([[0.5, 30.0], [-2.0, 170.0]], dtype=torch.float64, requires_grad=True)
    by_hand = torch.stack([(x[:, 0] - 1) / 4, (x[:, 1] - 100) / 100], dim=1).detach()
    by_hand.requires_grad_()
    net = task.net.eval()
    scaled = net(x)
    # Under the raw protocol the same weights see what is fed to them.
    raw = pinn_specs.task(__name__ + ":PLAIN")
    state = {k: v for k, v in net.state_dict().items() if not k.startswith("_input_transform")}
    raw.net.load_state_dict(state)
    fed = raw.net.eval()(by_hand)
    torch.testing.assert_close(scaled, fed, rtol=1e-14, atol=1e-15)
    (by_x,) = torch.autograd.grad(scaled.sum(), x)
    (by_scaled,) = torch.autograd.grad(fed.sum(), by_hand)
    factor = torch.tensor([1 / 4, 1 / 100], dtype=torch.float64)
    torch.testing.assert_close(by_x, by_scaled * factor, rtol=1e-12, atol=1e-16)


@pytest.mark.parametrize("arm", ["baseline", "irelu+lsuv", "isilu+layernorm", "frozenbn+rescale"])
@pytest.mark.parametrize("problem", BUILT_IN)
def test_the_fast_engine_is_deepxde(problem: str, arm: str) -> None:
    """With scaled inputs, weights of its own, and labels."""
    first = get_problem(problem).terms[0].name
    task = standard(problem, arm, weights=[f"{first}=3"], supervised=0.05)
    assert task.evaluation.path == "taylor"
    ours, theirs = loss_and_gradient(task.gradient, task), stock_loss_and_gradient(task)
    assert relative_difference(ours, theirs) < EXACT
    assert difference_from_deepxde(task) < EXACT


def test_the_compiled_engine_is_deepxde() -> None:
    task = standard("diffusion-sorption-1d", compile="on", weights=["LIC=7"])
    assert difference_from_deepxde(task) < EXACT
    assert task.gradient.how["executed"] == "inductor"


def test_reverse_mode_is_deepxde() -> None:
    task = standard("diffusion-sorption-1d")
    found = choose_evaluation(task.data, task.net, CPU, "auto")
    reverse = ReverseEvaluation(
        task.data,
        task.net,
        found.terms,
        found._recordings,
        CPU,  # type: ignore[attr-defined]
    )
    task.gradient = task.gradient.with_(way="eager", evaluation=reverse)
    assert difference_from_deepxde(task) < EXACT


def test_seeds_together_are_each_alone() -> None:
    specs = [
        pinn_specs.specify("diffusion-sorption-1d", protocol="standard", seed=k) for k in range(3)
    ]
    batch = build_together(specs, CPU)
    assert isinstance(batch, Batched)
    alone = [standard("diffusion-sorption-1d", seed=k) for k in range(3)]
    for _ in range(5):
        together, apart = batch.step(), [task.step() for task in alone]
    for name, values in together.items():
        assert values.tolist() == pytest.approx([float(own[name]) for own in apart], rel=1e-9)


def test_a_feature_transform_of_the_problem_gets_raw_coordinates() -> None:
    SEEN.clear()
    task = standard(__name__ + ":FEATURES")
    assert SEEN and max(float(x[:, 1].max()) for x in SEEN) > 100
    assert not any(isinstance(module, InputScaling) for module in task.net.modules())
    assert difference_from_deepxde(task) < EXACT


def test_a_domain_without_bounds_is_refused() -> None:
    with pytest.raises(BadInput, match=r"cannot be scaled.*input_transform.*--protocol paper"):
        standard(__name__ + ":UNBOUNDED")
    standard(__name__ + ":UNBOUNDED_FEATURES")
    pinn_specs.task(__name__ + ":UNBOUNDED")


@pytest.mark.parametrize(
    ("name", "words"), [("UNTRUE", "points lie outside the bounds"), ("BOUNDLESS", "has no bbox")]
)
def test_bounds_that_are_not_the_points_are_refused(name: str, words: str) -> None:
    with pytest.raises(BadInput, match=f"{words}.*input_transform.*--protocol paper"):
        standard(f"{__name__}:{name}")


def test_a_loaded_network_takes_physical_coordinates() -> None:
    task = standard("diffusion-sorption-1d", dtype="float32")
    for _ in range(3):
        task.step()
    weights = task.weights()
    assert weights["_input_transform.factor"].tolist() == pytest.approx([2, 2 / 500])
    points = np.array([[0.3, 20.0], [0.9, 480.0]])
    found = solution(task.spec, weights, CPU)(points)
    with torch.no_grad():
        own = task.net.eval()(torch.as_tensor(points, dtype=torch.float32)).numpy()
    assert found.tolist() == own.tolist()


# --- what a protocol owns -----------------------------------------------------------------------


def test_standard_is_the_default_and_solves_without_labels() -> None:
    spec = SUITE.specify(
        Request(
            "shallow-water-2d",
            "fnn",
            Arm.parse("baseline"),
            0,
            "quick",
            "cpu",
            "float32",
            TrainingOptions(),
            PINNOptions(),
        )
    )
    assert spec.settings["protocol"] == "standard"
    assert spec.settings["supervised"] == {"fraction": 0.0, "most": None}
    assert (spec.training.lr, spec.training.schedule) == (1e-3, "warmup-stable-decay")
    task = standard("shallow-water-2d")
    assert task.supervised is None
    assert [term.kind for term in task.loss.terms].count("data") == 0


def test_paper_is_the_published_set_up_and_keeps_the_names_of_old_runs() -> None:
    spec = pinn_specs.specify("diffusion-sorption-1d", budget="quick")
    assert (spec.training.lr, spec.training.schedule) == (1e-3, "constant")
    assert spec.settings == {
        "points": {"domain": 300, "boundary": 60, "initial": 100},
        "supervised": {"fraction": 0.3, "most": 250, "heldout": 0.2},
        "fine_truth": True,
    }
    task = pinn_specs.task("diffusion-sorption-1d")
    assert task.loss.weights.tolist() == [1.0] * len(task.loss.terms)
    assert task.net._input_transform is None
    # Of tests/stores/schema-2, from before there were protocols.
    old = pinn_specs.specify("advection-1d", "irelu", model="fnn:8x2", dtype="float32")
    assert old.hash == "13b95de094330011"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_explicit_options_come_before_the_protocol(protocol: str) -> None:
    spec = pinn_specs.specify(
        "shallow-water-2d",
        protocol=protocol,
        lr=3e-3,
        schedule="cosine",
        supervised=0.1,
        weights=["LICh=5"],
    )
    assert (spec.training.lr, spec.training.schedule) == (3e-3, "cosine")
    assert spec.settings["supervised"] == {"fraction": 0.1, "most": None, "heldout": 0.2}
    assert spec.settings["weights"] == {"LICh": 5.0}


# --- weights ------------------------------------------------------------------------------------


def test_a_problems_weights_hold_under_standard() -> None:
    """As measured in scaled time: the residual of sorption times 250."""
    task = standard("diffusion-sorption-1d")
    assert task.loss.weights.tolist() == [62500.0, 1.0, 1.0, 1.0]
    assert task.spec.settings["weights"] == {"Lf": 62500.0}
    assert "weights" not in standard("advection-1d").spec.settings
    again = standard("diffusion-sorption-1d", weights=["Lf=1"])
    assert again.loss.weights.tolist() == [1.0] * 4
    assert get_problem("diffusion-sorption-1d-relu").weights == {"Lf": 62500.0}


def test_wraps_weights_and_the_command_lines() -> None:
    name = __name__ + ":WEIGHTED"
    assert standard(name).loss.weights.tolist() == [2500.0, 1.0]
    assert standard(name, weights=["LIC=0.5"]).loss.weights.tolist() == [2500.0, 0.5]
    assert pinn_specs.task(name).loss.weights.tolist() == [1.0, 1.0]
    with pytest.raises(BadInput, match=r"unknown loss term.*'LI'.*did you mean 'LIC'"):
        wrap(decay_data, **DECAY, loss_weights={"LI": 1.0})
    with pytest.raises(BadInput, match="positive and finite, got -1"):
        wrap(decay_data, **DECAY, loss_weights={"LIC": -1})


def test_weights_change_the_loss_and_not_the_metrics() -> None:
    plain, heavy = standard(), standard(weights=["LIC=10"])
    one, other = plain.evaluate().metrics, heavy.evaluate().metrics
    differ = {name for name in one if one[name] != other[name]}
    assert differ == {"loss", "heldout_loss"}
    assert other["loss"] == pytest.approx(one["loss"] + 9 * one["LIC"], rel=1e-12)
    step = heavy.step()
    assert float(step["loss"]) == pytest.approx(other["loss"], rel=1e-12)
    assert float(step["LIC"]) == pytest.approx(one["LIC"], rel=1e-12)


def test_weights_and_units_multiply() -> None:
    plain = standard("advection-1d", "rescale=2")
    heavy = standard("advection-1d", "rescale=2", weights=["LBC=3"])
    assert plain.loss.weights.tolist() == [0.25] * 3
    assert heavy.loss.weights.tolist() == [0.25, 0.25, 0.75]


def test_the_order_and_the_spelling_of_weights_do_not_matter() -> None:
    one = pinn_specs.specify(weights=["Lf=2", "LIC=10"])
    other = pinn_specs.specify(weights=["LIC=1e1", "Lf=2.0", "LBC=1"])
    assert one.hash == other.hash != pinn_specs.specify().hash


def test_the_labels_term_can_be_weighted_where_there_are_labels() -> None:
    task = standard("diffusion-sorption-1d", supervised=0.05, weights=["Ldata=4"])
    assert task.loss.weights.tolist() == [62500.0, 1.0, 1.0, 1.0, 4.0]
    with pytest.raises(BadInput, match="unknown loss term in --weight 'Ldata'"):
        standard("diffusion-sorption-1d", weights=["Ldata=4"])


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        ("LICC=1", "unknown loss term in --weight 'LICC'; did you mean 'LIC'.*LBC, LIC, Lf"),
        ("Lf", "has no weight; the form is TERM=W"),
        ("Lf=much", "'much' is no number"),
        ("Lf=0", "would leave the term out"),
        ("Lf=-1", "positive and finite, got -1.0 for Lf"),
        ("Lf=nan", "positive and finite, got nan for Lf"),
        ("Lf=inf", "positive and finite, got inf for Lf"),
    ],
)
def test_a_wrong_weight_is_refused(weight: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        pinn_specs.specify(weights=[weight])


def test_a_weight_is_given_once() -> None:
    with pytest.raises(BadInput, match="gives Lf twice"):
        pinn_specs.specify(weights=["Lf=1", "Lf=2"])


def test_an_unknown_protocol_is_refused() -> None:
    with pytest.raises(BadInput, match="unknown protocol 'standart'; did you mean 'standard'"):
        pinn_specs.specify(protocol="standart")


def test_gradients_of_the_terms_are_measured_without_their_weights() -> None:
    plain, heavy = standard(), standard(weights=["LIC=10"])
    found = heavy.diagnose().measurements["term_gradient_norms"]
    assert found == plain.diagnose().measurements["term_gradient_norms"]
    terms = plain.evaluation(training=True)
    for (name, norm), term in zip(found.items(), terms.unbind(), strict=True):
        gradient = torch.autograd.grad(
            term, list(plain.net.parameters()), retain_graph=True, materialize_grads=True
        )
        assert norm == pytest.approx(math.sqrt(sum(float((g**2).sum()) for g in gradient))), name
    assert list(found) == ["Lf", "LIC", "LBC"]
