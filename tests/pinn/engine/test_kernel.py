"""The native kernel, against the same derivatives by torch."""

from __future__ import annotations

import dataclasses
import resource
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from bench.techniques.activation import ACTIVATIONS
from bench.techniques.norm_layers import FrozenBatchNorm
from bench.training.native import CompileFailed, NoCompiler
from suites.pinn.backend import set_dtype
from suites.pinn.engine import kernel
from suites.pinn.engine.kernel import KernelNetwork
from suites.pinn.engine.native_activations import native_name
from suites.pinn.engine.operators import Operator
from suites.pinn.engine.taylor import Jet, TaylorNetwork, Unsupported
from suites.pinn.models.network import FNN

INPUTS, OUTPUTS = 3, 2

FIRST = (Operator((1.0, 0.0, 0.0)), Operator((0.0, 1.0, 0.0)), Operator((0.3, -1.2, 0.5)))
SECOND = [Operator((0.0,) * 3, ((a, b, 1.0),)) for a in range(3) for b in range(a, 3)]
LAPLACIAN = Operator((0.0, 0.0, 0.0), ((0, 0, 1.0), (1, 1, 1.0)))
GENERAL = Operator((0.2, 0.0, -1.5), ((0, 0, 0.7), (0, 1, -0.4), (1, 2, 2.1), (0, 2, -0.9)))
MIXED = SECOND[1]
OPERATORS: dict[str, Sequence[Operator]] = {
    "none": (),
    "one": FIRST[:1],
    "two": FIRST[:2],
    "three": FIRST,
    "Laplacian": (*FIRST[:2], LAPLACIAN),
    "four": (*FIRST, MIXED),
    "five": (*FIRST, LAPLACIAN, MIXED),
    "six": (*FIRST, LAPLACIAN, MIXED, GENERAL),
    "seven of first order": (*FIRST, *FIRST, FIRST[0]),
    "nine": (*FIRST, *SECOND),
}
#: Those that differ in what the kernel does: the value gives the slopes, the third derivative is 0,
#: and all slopes are taken anew. Each takes seconds to compile; the others are slow.
QUICK = ("tanh", "irelu", "isilu")
KNOWN = [name for name in ACTIVATIONS.names() if native_name(ACTIVATIONS.get(name)())]


@pytest.fixture(autouse=True)
def double_precision() -> Iterator[None]:
    set_dtype("float64")
    torch.manual_seed(0)
    yield
    set_dtype("float32")


@dataclasses.dataclass
class Case:
    """A network, its inputs, and a gradient by its outputs.

    Attributes:
        rows: With derivatives.
    """

    net: FNN
    operators: Sequence[Operator]
    inputs: Jet
    rows: int
    by: Jet

    @property
    def state(self) -> dict[str, Tensor]:
        return {**dict(self.net.named_parameters()), **dict(self.net.named_buffers())}

    def by_kernel(self) -> KernelNetwork:
        return KernelNetwork(self.net, self.operators, self.inputs, self.rows)

    def by_torch(self) -> tuple[Jet, dict[str, Tensor]]:
        """Outputs and the parameters' gradients."""
        network = TaylorNetwork(self.net, self.operators, self.rows)
        return self.differentiated(network(self.state, self.inputs))

    def differentiated(self, found: Jet) -> tuple[Jet, dict[str, Tensor]]:
        named = dict(self.net.named_parameters())
        gradients = torch.autograd.grad(
            [found.values, found.streams],
            list(named.values()),
            [self.by.values, self.by.streams],
            materialize_grads=True,
        )
        return found, dict(zip(named, gradients, strict=True))

    def to(self, dtype: torch.dtype) -> Case:
        """The same with other elements; the network's are changed in place."""
        inputs, by = (Jet(j.values.to(dtype), j.streams.to(dtype)) for j in (self.inputs, self.by))
        return dataclasses.replace(self, net=self.net.to(dtype), inputs=inputs, by=by)


def make_case(
    operators: str = "six",
    activation: str = "tanh",
    norm: str = "denorm",
    *,
    norm_last: bool = False,
    width: int = 5,
    depth: int = 3,
    points: int = 70,
    rows: int = 40,
    own_streams: bool = False,
) -> Case:
    chosen = OPERATORS[operators]
    net = FNN(INPUTS, OUTPUTS, width, depth, activation, norm, norm_last)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.normal_(std=0.7 * (INPUTS / max(INPUTS, width)) ** 0.5)
        for norm_layer in net.norms:
            if isinstance(norm_layer, FrozenBatchNorm):
                for buffer in norm_layer.buffers():
                    buffer.uniform_(0.5, 1.5)
    streams = torch.tensor([operator.linear for operator in chosen]).reshape(-1, 1, INPUTS)
    if own_streams:
        streams = torch.randn(len(chosen), rows, INPUTS)
    by = Jet(torch.randn(points, OUTPUTS), torch.randn(len(chosen), rows, OUTPUTS))
    return Case(net, chosen, Jet(torch.randn(points, INPUTS), streams), rows, by)


def assert_close(mine: Tensor, other: Tensor) -> None:
    """To 1e-12 of the largest."""
    assert mine.shape == other.shape
    scale = float(other.detach().abs().max()) if other.numel() else 0.0
    torch.testing.assert_close(mine, other, rtol=0, atol=1e-12 * max(scale, 1e-9))


def assert_equal(case: Case) -> None:
    """The kernel gives torch's values, streams and gradients, with a graph and without."""
    other, wanted = case.by_torch()
    network = case.by_kernel()
    mine = network.forward(case.state)
    assert not mine.values.requires_grad
    gradients = network.backward(case.state, case.by)
    assert gradients.keys() == wanted.keys()
    graph, of_graph = case.differentiated(network(case.state))
    for found, named in ((mine, gradients), (graph, of_graph)):
        assert_close(found.values, other.values)
        assert_close(found.streams, other.streams)
        for name, gradient in named.items():
            assert_close(gradient, wanted[name])


# --- against torch ------------------------------------------------------------------------------


@pytest.mark.parametrize("own_streams", [False, True])
@pytest.mark.parametrize("activation", ["tanh", "irelu"])
@pytest.mark.parametrize("operators", OPERATORS)
def test_operators(operators: str, activation: str, own_streams: bool) -> None:
    assert_equal(make_case(operators, activation, own_streams=own_streams))


@pytest.mark.parametrize("operators", ["none", "two", "six"])
@pytest.mark.parametrize(
    "activation",
    [pytest.param(n, marks=[] if n in QUICK else pytest.mark.slow) for n in KNOWN],
)
def test_activations(activation: str, operators: str) -> None:
    assert_equal(make_case(operators, activation))


def test_every_activation_of_the_suite_has_a_native_form() -> None:
    assert set(KNOWN) == set(ACTIVATIONS.names())


@pytest.mark.parametrize("norm_last", [False, True])
@pytest.mark.parametrize("operators", ["none", "six"])
def test_affine_norms(operators: str, norm_last: bool) -> None:
    assert_equal(make_case(operators, norm="frozenbn", norm_last=norm_last))


@pytest.mark.parametrize("width", [1, 3, 17, 40, 128])
@pytest.mark.parametrize("depth", [1, 2, 6])
def test_sizes(width: int, depth: int) -> None:
    assert_equal(make_case(width=width, depth=depth))


def test_layers_of_different_widths() -> None:
    case = make_case(depth=2)
    case.net.linears = nn.ModuleList(
        nn.Linear(i, o) for i, o in [(INPUTS, 23), (23, 4), (4, OUTPUTS)]
    )
    assert_equal(case)


@pytest.mark.parametrize(
    ("points", "rows"), [(1, 0), (1, 1), (31, 31), (32, 32), (64, 33), (1000, 0), (1000, 517)]
)
@pytest.mark.parametrize("own_streams", [False, True])
def test_numbers_of_rows(points: int, rows: int, own_streams: bool) -> None:
    assert_equal(make_case(points=points, rows=rows, own_streams=own_streams and rows > 1))


@pytest.mark.parametrize("own_streams", [False, True])
def test_without_room_for_the_tape(monkeypatch: pytest.MonkeyPatch, own_streams: bool) -> None:
    monkeypatch.setattr(kernel, "_TAPE", 0)
    assert_equal(make_case(points=700, rows=300, own_streams=own_streams))


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads Linux's /proc")
def test_an_evaluation_that_is_not_differentiated_has_no_tape() -> None:
    case = make_case("none", width=64, depth=4, points=40_000, rows=0)
    tape = 64 * 3 * 8 * len(case.inputs.values)
    for taped in (False, True):
        network = KernelNetwork(case.net, case.operators, case.inputs, case.rows, taped)
        before = resident_bytes()
        network.prepare()
        assert (resident_bytes() - before > 0.7 * tape) is taped


@pytest.mark.parametrize("own_streams", [False, True])
def test_without_a_tape_the_bits_are_the_same(own_streams: bool) -> None:
    case = make_case(own_streams=own_streams)
    found = []
    for taped in (False, True):
        network = KernelNetwork(case.net, case.operators, case.inputs, case.rows, taped)
        jet = network.forward(case.state)
        found.append([jet.values, jet.streams, *network.backward(case.state, case.by).values()])
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


@pytest.mark.parametrize("own_streams", [False, True])
@pytest.mark.parametrize(("points", "rows"), [(70, 70), (70, 40), (200, 130), (130, 64)])
def test_rows_that_are_not_there_overflow_nowhere(
    points: int, rows: int, own_streams: bool
) -> None:
    set_dtype("float32")
    net = FNN(2, 1, 16, 6, "irelu", "denorm", False)
    with torch.no_grad():
        for k, linear in enumerate(net.linears):
            linear.weight.normal_(std=0.5)
            linear.bias.zero_()
            if k == 0:  # centred at 30, so that at 0 it is infinite
                linear.bias.copy_(-30 * linear.weight.sum(1))
    operators = Operator((1.0, 0.0)), Operator((0.0, 1.0))
    streams = torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]])
    if own_streams:
        streams = streams.expand(2, rows, 2).contiguous()
    inputs = Jet(29 + 2 * torch.rand(points, 2), streams)
    by = Jet(torch.ones(points, 1), torch.ones(2, rows, 1))
    case = Case(net, operators, inputs, rows, by)
    _, expected = case.by_torch()
    found = case.by_kernel().backward(case.state, by)
    for name, gradient in expected.items():
        assert torch.allclose(found[name], gradient, rtol=1e-3, atol=1e-3 * gradient.abs().max())


@pytest.mark.parametrize(
    "missing",
    [
        "-mno-avx512f",
        pytest.param("-mno-avx -mno-avx2 -mno-avx512f", marks=pytest.mark.slow),
    ],
)
def test_a_cpu_with_narrower_vectors(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", f"g++ {missing}")
    assert_equal(make_case(points=130, width=17))
    set_dtype("float32")
    case = make_case(points=130, width=17)
    _, mine = case.differentiated(case.by_kernel()(case.state))
    _, exact = case.to(torch.float64).by_torch()
    assert error(mine, exact) < 2e-6


# --- against finite differences -----------------------------------------------------------------


@pytest.mark.parametrize("activation", ["tanh", "isilu"])
def test_streams_are_derivatives(activation: str) -> None:
    """Central differences of the kernel's values."""
    case, step = make_case("nine", activation), 1e-4
    network = case.by_kernel()
    found = network.forward(case.state)
    x = case.inputs.values[: case.rows]

    def values(shift: Tensor) -> Tensor:
        moved = Jet(x + shift, torch.empty(0, 1, INPUTS))
        return KernelNetwork(case.net, (), moved, 0).forward(case.state).values

    linear = torch.tensor([operator.linear for operator in FIRST])
    for k, operator in enumerate(case.operators):
        if not operator.products:
            d = linear[k] * step
            wanted = (values(d) - values(-d)) / (2 * step)
        else:
            ((a, b, _),) = operator.products
            p, q = linear[a] * step, linear[b] * step
            corners = values(p + q) - values(p - q) - values(q - p) + values(-p - q)
            wanted = corners / (4 * step**2)
        torch.testing.assert_close(found.streams[k], wanted, rtol=1e-5, atol=1e-5)


def test_gradients_are_derivatives() -> None:
    """Along a random direction of all parameters."""
    case, step = make_case(norm="frozenbn"), 1e-5
    network, state = case.by_kernel(), {n: t.detach() for n, t in case.state.items()}
    gradients = network.backward(state, case.by)
    direction = {name: torch.randn_like(gradient) for name, gradient in gradients.items()}

    def total(size: float) -> Tensor:
        moved = {n: t + size * direction[n] if n in direction else t for n, t in state.items()}
        jet = network.forward(moved)
        return (jet.values * case.by.values).sum() + (jet.streams * case.by.streams).sum()

    slope = sum((gradient * direction[name]).sum() for name, gradient in gradients.items())
    torch.testing.assert_close(slope, (total(step) - total(-step)) / (2 * step), rtol=1e-7, atol=0)


# --- single precision ---------------------------------------------------------------------------


def error(mine: dict[str, Tensor], exact: dict[str, Tensor]) -> float:
    """Relative, of all gradients as one vector."""
    a, b = (torch.cat([g.flatten().double() for g in named.values()]) for named in (mine, exact))
    return float((a - b).norm() / b.norm())


@pytest.mark.parametrize(
    "activation",
    ["tanh", *(pytest.param(n, marks=pytest.mark.slow) for n in ("irelu", "isilu", "gelu"))],
)
def test_single_precision_loses_no_more_than_torch(activation: str) -> None:
    """In most of a few networks."""
    ratios = []
    for seed in range(5):
        set_dtype("float32")
        torch.manual_seed(seed)
        case = make_case("Laplacian", activation, width=40, depth=4, points=1500, rows=1000)
        mine, of_mine = case.differentiated(case.by_kernel()(case.state))
        other, of_other = case.by_torch()
        exact, of_exact = case.to(torch.float64).by_torch()
        ratios.append([error(of_mine, of_exact) / error(of_other, of_exact)])
        for part in ("values", "streams"):
            a, b, c = ({part: getattr(jet, part).detach()} for jet in (mine, other, exact))
            ratios[-1].append(error(a, c) / error(b, c))
    assert max(map(statistics.median, zip(*ratios, strict=True))) < 1.5


# --- calls --------------------------------------------------------------------------------------


def test_calls_do_not_touch_earlier_results() -> None:
    case = make_case()
    network = case.by_kernel()
    first, gradients = network.forward(case.state), network.backward(case.state, case.by)
    before = [first.values.clone(), first.streams.clone(), *(g.clone() for g in gradients.values())]
    other = {name: tensor.detach() * 2 for name, tensor in case.state.items()}
    network.forward(other)
    network.backward(other, case.by)
    for tensor, kept in zip(
        [first.values, first.streams, *gradients.values()], before, strict=True
    ):
        assert torch.equal(tensor, kept)


def test_the_gradient_is_of_the_state_it_is_given() -> None:
    """Whatever the last forward pass was of; parameters may change in place."""
    case = make_case()
    network, state = case.by_kernel(), {n: t.detach().clone() for n, t in case.state.items()}
    network.forward(state)
    for tensor in state.values():
        tensor.mul_(1.1)
    mine = network.backward(state, case.by)
    with torch.no_grad():
        for parameter in case.net.parameters():
            parameter.mul_(1.1)
    _, wanted = case.by_torch()
    for name, gradient in mine.items():
        assert_close(gradient, wanted[name])


def test_two_kernels_interleaved() -> None:
    cases = [make_case(), make_case("nine", "irelu", width=9, points=100)]
    networks = [case.by_kernel() for case in cases]
    jets = [network(case.state) for network, case in zip(networks, cases, strict=True)]
    for case, jet in zip(cases, jets, strict=True):
        _, gradients = case.differentiated(jet)
        _, wanted = case.by_torch()
        for name, gradient in gradients.items():
            assert_close(gradient, wanted[name])


def test_bits_are_the_same() -> None:
    case = make_case(width=40, points=500, rows=300)
    found = []
    for _ in range(2):
        network = case.by_kernel()
        jet = network.forward(case.state)
        for _ in range(2):
            gradients = network.backward(case.state, case.by)
            found.append([jet.values, jet.streams, *gradients.values()])
    for others in found[1:]:
        assert all(map(torch.equal, others, found[0]))


def test_gradients_by_outputs_of_any_layout() -> None:
    case = make_case()
    network = case.by_kernel()
    wanted = network.backward(case.state, case.by)
    values, streams = case.by.values, case.by.streams
    transposed = Jet(
        values.mT.contiguous().mT, streams.permute(2, 1, 0).contiguous().permute(2, 1, 0)
    )
    for name, gradient in network.backward(case.state, transposed).items():
        assert torch.equal(gradient, wanted[name])
    one = values.new_ones(())
    expanded = Jet(one.expand(values.shape), one.expand(streams.shape))
    dense = Jet(torch.ones_like(values), torch.ones_like(streams))
    wanted = network.backward(case.state, dense)
    for name, gradient in network.backward(case.state, expanded).items():
        assert torch.equal(gradient, wanted[name])


def test_gradients_without_norms_are_one_vector_in_the_parameters_order() -> None:
    case = make_case()
    found = case.by_kernel().backward(case.state, case.by)
    assert list(found) == [name for name, _ in case.net.named_parameters()]
    end = 0
    for gradient in found.values():
        assert gradient.storage_offset() == end
        end += gradient.numel()


def test_frozen_parameters_have_no_gradient() -> None:
    case = make_case()
    case.net.linears[1].weight.requires_grad_(False)
    assert "linears.1.weight" not in case.by_kernel().backward(case.state, case.by)


# --- what it cannot do --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("norm", "reason"),
    [
        ("layernorm", "LayerNorm mixes features"),
        ("pointwise-batchnorm", "PointwiseBatchNorm mixes rows"),
        ("batchnorm", "BatchNorm1d has no rule"),
    ],
)
def test_normalisations_that_it_has_not(norm: str, reason: str) -> None:
    with pytest.raises(Unsupported, match=reason):
        make_case(norm=norm).by_kernel()


class MyTanh(nn.Tanh):
    """A user's; it may compute anything."""


class MyFrozenBatchNorm(FrozenBatchNorm):
    """A user's."""


@pytest.mark.parametrize("activation", [nn.PReLU(), nn.Softplus(), MyTanh()])
def test_activations_that_it_has_not(activation: nn.Module) -> None:
    case = make_case()
    case.net.activations[1] = activation
    with pytest.raises(Unsupported, match=type(activation).__name__):
        case.by_kernel()


def test_other_things_that_it_has_not() -> None:
    case = make_case()
    case.net.norms[1] = MyFrozenBatchNorm(5)
    with pytest.raises(Unsupported, match="MyFrozenBatchNorm"):
        case.by_kernel()
    case = make_case()
    case.net.activations[1] = nn.ReLU()
    with pytest.raises(Unsupported, match="2 different activations"):
        case.by_kernel()
    with pytest.raises(Unsupported, match="bfloat16"):
        make_case().to(torch.bfloat16).by_kernel()
    case = make_case()
    case.inputs = Jet(case.inputs.values.to("meta"), case.inputs.streams.to("meta"))
    with pytest.raises(Unsupported, match="not on meta"):
        case.by_kernel()
    case = make_case()
    case.inputs = Jet(case.inputs.values[None], case.inputs.streams[None])
    with pytest.raises(Unsupported, match="one network at a time"):
        case.by_kernel()


def test_tensors_of_wrong_shapes() -> None:
    case = make_case()
    network = case.by_kernel()
    with pytest.raises(ValueError, match=r"linears\.1\.weight"):
        network.forward({**case.state, "linears.1.weight": torch.zeros(5, 4)})
    with pytest.raises(ValueError, match=r"linears\.1\.bias.*float32"):
        network.forward({**case.state, "linears.1.bias": torch.zeros(5, dtype=torch.float32)})
    with pytest.raises(ValueError, match="streams"):
        network.backward(case.state, Jet(case.by.values, case.by.streams[:, :1]))
    for inputs in (Jet(case.inputs.values[:20], case.inputs.streams), Jet(*[case.by.values] * 2)):
        with pytest.raises((ValueError, Unsupported)):
            KernelNetwork(case.net, case.operators, inputs, case.rows)
    none = Jet(case.inputs.values[:0], case.inputs.streams)
    with pytest.raises(ValueError, match=r"\(0, 3\)"):
        KernelNetwork(case.net, case.operators, none, 0)


def test_no_second_derivative() -> None:
    case = make_case()
    found = case.by_kernel()(case.state)
    weight = case.state["linears.0.weight"]
    (gradient,) = torch.autograd.grad(found.values.square().sum(), weight, create_graph=True)
    with pytest.raises(RuntimeError, match="differentiate twice"):
        gradient.sum().backward()


def test_without_a_compiler_the_reason_is_given(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(NoCompiler, match="no-such-compiler"):
        make_case().by_kernel().prepare()
    monkeypatch.setenv("CXX", "false")
    with pytest.raises(CompileFailed, match=r"false failed on taylor\.cpp"):
        make_case().by_kernel().prepare()
