"""The network: DeepXDE's own one with pluggable parts, its models, and how it starts."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pinn_specs
import pytest
import scipy.stats
import torch
from torch import Tensor, nn

from bench.techniques.integrated import IntegratedSiLU, IReLU
from bench.text.errors import BadInput
from suites.pinn.backend import dde, quiet, set_dtype
from suites.pinn.models.catalogue import parse_model
from suites.pinn.models.network import FNN
from suites.pinn.task import PINNTask, build

CPU = torch.device("cpu")


specify = partial(pinn_specs.specify, supervised=0.0)
task = partial(pinn_specs.task, supervised=0.0)


def inputs_of(built: PINNTask) -> Tensor:
    return torch.tensor(built.data.train_x)


def signals(net: FNN, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """What goes into each linear layer, and what comes out of it."""
    before: list[Tensor] = []
    after: list[Tensor] = []

    def remember(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        before.append(inputs[0].detach())
        after.append(output.detach())

    handles = [layer.register_forward_hook(remember) for layer in net.linears]
    with torch.no_grad():
        net(x)
    for handle in handles:
        handle.remove()
    return before, after


# --- the same network as DeepXDE's ------------------------------------------------------------


def deepxde_network(net: FNN, width: int, depth: int) -> Any:
    """``dde.nn.FNN`` with the weights of `net`."""
    n_in, n_out = net.linears[0].in_features, net.linears[-1].out_features
    other = dde.nn.FNN([n_in, *[width] * depth, n_out], "tanh", "Glorot normal")
    with torch.no_grad():
        for mine, theirs in zip(net.linears, other.linears, strict=True):
            theirs.weight.copy_(mine.weight)
            theirs.bias.copy_(mine.bias)
    return other


@pytest.mark.parametrize("problem", ["advection-1d", "compressible-flow-1d", "shallow-water-2d"])
def test_outputs_and_losses_are_deepxde_s(problem: str) -> None:
    built = task(problem)
    with torch.no_grad():
        for layer in built.net.linears:
            layer.bias.normal_()
    other = deepxde_network(built.net, 8, 3)
    x = inputs_of(built)
    with torch.no_grad():
        torch.testing.assert_close(built.net(x), other(x), rtol=1e-14, atol=1e-14)
    data = built.data
    model = dde.Model(data, other)
    with quiet():
        model.compile("adam", lr=1e-3, verbose=0)
    wanted = model.outputs_losses_train(data.train_x, None, None)[1]
    found = built.evaluation(training=True)
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=0)
    names = [term.name for term in built.problem.terms]
    metrics = built.evaluate().metrics
    assert [metrics[name] for name in names] == pytest.approx(wanted.tolist(), rel=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_network_computes_in_the_dtype_that_is_asked_for(dtype: str) -> None:
    built = task(arm="batchnorm", dtype=dtype)
    wanted = getattr(torch, dtype)
    assert {p.dtype for p in built.net.parameters()} == {wanted}
    assert built.net(inputs_of(built)).dtype == wanted
    assert all(value.dtype == wanted for value in built.step().values())


# --- models -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "width", "depth"), [("fnn", 40, 6), ("fnn:8x3", 8, 3), ("fnn-bn:5x1", 5, 1)]
)
def test_model_sizes(text: str, width: int, depth: int) -> None:
    model = parse_model(text)
    assert (model.width, model.depth) == (width, depth)
    assert parse_model(str(model)) == model
    net = task(model=text).net
    assert [layer.out_features for layer in net.linears] == [*[width] * depth, 1]


@pytest.mark.parametrize(
    "text",
    ["fnn:", "fnn:40", "fnn:40x", "fnn:0x3", "fnn:3x0", "fnn:5000x2", "fnn:-1x2", "fnn:4x2 "],
)
def test_wrong_sizes_are_refused_with_an_example(text: str) -> None:
    with pytest.raises(BadInput, match="fnn:40x6") as caught:
        parse_model(text)
    assert "\n" not in str(caught.value)


def test_unknown_models_are_refused_with_the_nearest_name() -> None:
    with pytest.raises(BadInput, match="did you mean 'fnn'"):
        parse_model("fn:40x6")
    with pytest.raises(BadInput, match="fnn-bn"):
        parse_model("")


# --- normalisation ----------------------------------------------------------------------------


@pytest.mark.parametrize("norm", ["batchnorm", "pointwise-batchnorm", "layernorm", "frozenbn"])
def test_norm_layers_are_trained(norm: str) -> None:
    built = task(arm=norm)
    names = dict(built.net.named_parameters())
    found = [name for name in names if name.startswith("norms.")]
    assert len(found) == 2 * 3
    before = {name: parameter.detach().clone() for name, parameter in names.items()}
    built.step()
    gradients = built.parameters.split(built.parameters.vector.grad)
    for name in found:
        assert gradients[name].abs().max() > 0, name
        assert not torch.equal(names[name], before[name]), name
    assert set(found) <= set(built.weights())


def normalized(signal: Tensor) -> Tensor:
    """By the statistics of its rows."""
    var, mean = torch.var_mean(signal, dim=0, correction=0)
    return (signal - mean) / torch.sqrt(var + 1e-5)


@pytest.mark.parametrize(
    ("model", "norm", "layer"),
    [
        ("fnn-bn", "pointwise-batchnorm", lambda z: torch.tanh(normalized(z))),
        ("fnn-ln", "layernorm", lambda z: torch.tanh(nn.functional.layer_norm(z, z.shape[1:]))),
        ("fnn-bn-published", "batchnorm", lambda z: normalized(torch.tanh(z))),
    ],
)
def test_where_and_how_a_model_normalises(model: str, norm: str, layer: Any) -> None:
    spec = specify(model=f"{model}:8x3")
    assert spec.axes["normalization"] == norm
    built = build(spec, CPU)
    before, after = signals(built.net.train(), inputs_of(built))
    for k in range(3):
        torch.testing.assert_close(before[k + 1], layer(after[k]), rtol=1e-9, atol=1e-9)


def test_denorm_takes_the_norms_away() -> None:
    built = task(arm="denorm", model="fnn-bn:8x3")
    plain = task(model="fnn:8x3")
    x = inputs_of(built)
    torch.testing.assert_close(built.net(x), plain.net(x), rtol=0, atol=0)
    assert set(built.weights()) == set(plain.weights())
    # On a model without any it means what the model is: one run.
    assert specify(arm="denorm").hash == specify().hash
    assert specify(arm="denorm", model="fnn-bn:8x3").hash != specify(model="fnn-bn:8x3").hash


def test_layer_norm_normalises_each_row() -> None:
    built = task(arm="layernorm", model="fnn-bn-published:8x3")
    before, _ = signals(built.net, inputs_of(built))
    for signal in before[1:]:
        torch.testing.assert_close(signal.mean(dim=1), torch.zeros(len(signal)).double())
        assert (signal.var(dim=1, correction=0) > 0.9).double().mean() > 0.5


def test_frozen_batch_norm_starts_like_batch_norm_and_keeps_its_statistics() -> None:
    built = task(arm="frozenbn", model="fnn-bn-published:8x3")
    x = inputs_of(built)
    for mode in (built.net.train(), built.net.eval()):
        before, _ = signals(mode, x)
        for signal in before[1:]:
            var, mean = torch.var_mean(signal, dim=0, correction=0)
            torch.testing.assert_close(mean, torch.zeros_like(mean), atol=1e-10, rtol=0)
            torch.testing.assert_close(var, torch.ones_like(var), atol=1e-2, rtol=0)
    kept = {name: value.clone() for name, value in built.net.named_buffers() if "norms" in name}
    assert len(kept) == 2 * 3
    for _ in range(3):
        built.step()
    built.evaluate()
    for name, value in built.net.named_buffers():
        assert name not in kept or torch.equal(value, kept[name])


@pytest.mark.parametrize(
    ("norm", "pointwise"),
    [
        ("denorm", True),
        ("layernorm", True),
        ("frozenbn", True),
        ("pointwise-batchnorm", True),
        ("batchnorm", False),
    ],
)
def test_only_batch_norm_couples_the_points(norm: str, pointwise: bool) -> None:
    built = task(arm=norm)
    x = inputs_of(built)[:20].requires_grad_()
    (gradient,) = torch.autograd.grad(built.net.train()(x)[0, 0], x)
    assert gradient[0].abs().max() > 0
    assert bool((gradient[1:] == 0).all()) is pointwise


@pytest.mark.parametrize("look", ["evaluate", "diagnose"])
@pytest.mark.parametrize("norm", ["batchnorm", "pointwise-batchnorm", "frozenbn"])
def test_looking_at_a_task_changes_nothing(norm: str, look: str) -> None:
    """Batch norm's statistics, above all."""
    built, other = task(arm=norm), task(arm=norm)
    for _ in range(3):
        built.step(), other.step()
    getattr(built, look)()
    for name, value in built.weights().items():
        assert torch.equal(value, other.weights()[name]), name
    mine, wanted = built.step(), other.step()
    assert {k: float(v) for k, v in mine.items()} == {k: float(v) for k, v in wanted.items()}


def test_batch_norm_predicts_each_point_alone() -> None:
    """A prediction must not depend on what else is predicted."""
    built = task(arm="batchnorm")
    for _ in range(5):
        built.step()
    whole = built.predict()
    built.net.eval()
    grid = torch.tensor(built.truth.reference.points())
    with torch.no_grad():
        alone = torch.cat([built.net(row[None]) for row in grid[:50]])
    np.testing.assert_allclose(whole[:50], alone.numpy(), rtol=1e-12)


# --- activations ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("token", "function"),
    [
        ("baseline", torch.tanh),
        ("irelu", IReLU()),
        ("isilu", IntegratedSiLU()),
        ("sin", torch.sin),
        ("relu", torch.relu),
    ],
)
@pytest.mark.parametrize("model", ["fnn:8x3", "fnn-bn:8x3"])
def test_an_activation_replaces_every_hidden_one(token: str, function: Any, model: str) -> None:
    arm = "denorm" if token == "baseline" else f"{token}+denorm"
    built = task(arm=arm, model=model)
    before, after = signals(built.net, inputs_of(built))
    for k in range(3):
        torch.testing.assert_close(before[k + 1], function(after[k]), rtol=1e-14, atol=0)
    with torch.no_grad():
        torch.testing.assert_close(built.net(inputs_of(built)), after[-1], rtol=0, atol=0)
    if token != "baseline":
        assert not any(isinstance(module, nn.Tanh) for module in built.net.modules())


class RandomSlope(nn.Module):
    """A user's activation with a random parameter of its own, used as ``activation=…``."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.rand(()))

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.slope * x)


# --- how it starts ----------------------------------------------------------------------------


def linears(built: PINNTask) -> list[Tensor]:
    return [p.detach().clone() for layer in built.net.linears for p in layer.parameters()]


@pytest.mark.parametrize("arm", ["irelu", "batchnorm", "rescale=10", "standardize", "glorot"])
def test_arms_share_their_first_weights(arm: str) -> None:
    for mine, other in zip(linears(task(arm=arm)), linears(task()), strict=True):
        assert torch.equal(mine, other)


@pytest.mark.parametrize("arm", ["lsuv", "he", "orthogonal"])
def test_another_initialisation_starts_elsewhere(arm: str) -> None:
    mine, other = linears(task(arm=arm)), linears(task())
    assert not torch.equal(mine[2], other[2])


def test_weights_depend_on_the_seed() -> None:
    mine, other = linears(task(seed=1)), linears(task())
    assert not any(torch.equal(a, b) for a, b in zip(mine[::2], other[::2], strict=True))


@pytest.mark.parametrize("arm", ["baseline", "batchnorm", f"activation={__name__}:RandomSlope"])
def test_torch_s_global_seed_does_not_matter(arm: str) -> None:
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        found.append(task(arm=arm).weights())
    assert all(torch.equal(value, found[1][name]) for name, value in found[0].items())


def test_glorot_is_deepxde_s_glorot_normal() -> None:
    net = task(model="fnn:100x3").net
    weight = net.linears[1].weight.detach().flatten().numpy()
    deviation = (2 / (100 + 100)) ** 0.5
    assert scipy.stats.kstest(weight / deviation, "norm").pvalue > 1e-3
    set_dtype("float64")
    torch.manual_seed(0)
    theirs = dde.nn.FNN([2, 100, 100, 100, 1], "tanh", "Glorot normal").linears
    for mine, other in zip(net.linears, theirs, strict=True):
        samples = (layer.weight.detach().flatten().numpy() for layer in (mine, other))
        assert scipy.stats.ks_2samp(*samples).pvalue > 1e-3
        assert not mine.bias.any() and not other.bias.any()


def test_lsuv_gives_unit_variance_before_every_activation() -> None:
    built = task(arm="irelu+lsuv", model="fnn:20x5")
    _, after = signals(built.net, inputs_of(built))
    assert [float(s.std(correction=0)) for s in after[:-1]] == pytest.approx([1] * 5, abs=2e-3)


@pytest.mark.parametrize(
    ("model", "arm", "noops"),
    [
        ("fnn:8x3", "denorm", ["denorm"]),
        ("fnn:8x3", "tanh+glorot", ["tanh", "glorot"]),
        ("fnn:8x3", "irelu+denorm", ["denorm"]),
        ("fnn-bn:8x3", "denorm", []),
        ("fnn-bn:8x3", "pointwise-batchnorm+lsuv", ["pointwise-batchnorm"]),
        ("fnn-bn-published:8x3", "batchnorm+lsuv", ["batchnorm"]),
    ],
)
def test_an_arm_that_changes_nothing_says_so_and_is_the_same_run(
    model: str, arm: str, noops: list[str]
) -> None:
    spec = specify(arm=arm, model=model)
    assert spec.noops == noops
    rest = "+".join(token for token in arm.split("+") if token not in noops) or "baseline"
    assert spec.hash == specify(arm=rest, model=model).hash


def test_coupling_of_points_by_batch_norm_is_measured() -> None:
    coupled = task(model="fnn-bn-published:8x3").diagnose()
    assert coupled.measurements["batch_coupling"] > 1e-3
    assert any("frozenbn" in text for text in coupled.warnings)
    for arm in ("baseline", "frozenbn", "layernorm", "denorm"):
        pointwise = task(arm=arm, model="fnn-bn:8x3").diagnose()
        assert pointwise.measurements["batch_coupling"] is None
        assert not any("frozenbn" in text for text in pointwise.warnings)


def test_coupling_is_what_autograd_adds_to_a_points_own_derivative() -> None:
    built = task(model="fnn-bn-published:8x2")
    built.net.train()
    x = inputs_of(built).requires_grad_()
    y = built.net(x)[:, 0]
    rows = torch.linspace(0, len(x) - 1, 16).long()
    jacobian = torch.stack([torch.autograd.grad(v, x, retain_graph=True)[0] for v in y])
    own = torch.stack([jacobian[row, row] for row in rows])
    added = jacobian.sum(dim=0)[rows] - own
    wanted = float(added.norm() / own.norm())
    assert built.diagnose().measurements["batch_coupling"] == pytest.approx(wanted, rel=1e-9)
