"""The tasks of `faults.suites`: one without a fault, and others with one each."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from bench.spec.randomness import torch_generator
from bench.spec.spec import Spec
from bench.task import Diagnosis, Evaluation
from bench.techniques.activation import make_activation
from bench.techniques.initialization import INITIALIZATIONS
from bench.training.optimization import Optimization

_ROWS, _BATCH = 32, 8


class SineTask:
    """Implements `bench.task.Task`: batches are drawn from a generator of its own."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        dtype = torch.float64 if spec.dtype == "float64" else torch.float32
        draw = torch_generator(self.seed, "points")
        self.x = torch.rand(_ROWS, 1, generator=draw, dtype=torch.float64).to(dtype)
        self.y = torch.sin(6 * spec.settings.get("waves", 1) * self.x)
        linears = [nn.Linear(1, 8), nn.Linear(8, 1)]
        self.net = nn.Sequential(linears[0], make_activation(spec.axes["activation"]), linears[1])
        self.net = self.net.to(dtype)
        with torch.no_grad():
            INITIALIZATIONS.get(spec.axes["initialization"])(
                linears, lambda: self.net(self.x), torch_generator(self.seed, "initialization")
            )
        self.optimization = Optimization(list(self.net.parameters()), spec.training)
        self.generator = torch_generator(self.seed, "batches")
        self.parts = 1

    @property
    def seed(self) -> int:
        return self.spec.seed

    @property
    def description(self) -> Mapping[str, Any]:
        return {"parameters": sum(p.numel() for p in self.net.parameters())}

    def unit(self, metric: str) -> str:
        return "1"

    def rows(self) -> Tensor:
        return torch.randperm(_ROWS, generator=self.generator)[:_BATCH]

    def loss(self, rows: Tensor) -> dict[str, Tensor]:
        error = (self.net(self.x[rows]) - self.y[rows]).square().mean()
        return {"loss": error, "error": error.detach()}

    def step(self) -> Mapping[str, Tensor]:
        rows = self.rows()
        return self.optimization.step(lambda: self.loss(rows))

    def evaluate(self) -> Evaluation:
        with torch.no_grad():
            off = (self.net(self.x) - self.y).abs()
        metrics = {"error": float(off.square().mean()), "largest": float(off.max())}
        return Evaluation(metrics, metrics["error"])

    def diagnose(self) -> Diagnosis:
        return Diagnosis({"size": float(self.net[0].weight.norm())}, [])

    def state_dict(self) -> dict[str, Any]:
        return {
            "net": self.net.state_dict(),
            "optimization": self.optimization.state_dict(),
            "generator": self.generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.net.load_state_dict(state["net"])
        self.optimization.load_state_dict(state["optimization"])
        self.generator.set_state(state["generator"])

    def weights(self) -> dict[str, Tensor]:
        return {name: tensor.clone() for name, tensor in self.net.state_dict().items()}


class Divided(SineTask):
    """No fault: implements `bench.task.Divisible`, too."""

    def most_parts(self) -> int:
        return _BATCH

    def divide(self, parts: int) -> None:
        self.parts = parts

    def loss(self, rows: Tensor) -> dict[str, Tensor]:
        each = [super(Divided, self).loss(part) for part in rows.chunk(self.parts)]
        return {name: torch.stack([one[name] for one in each]).mean() for name in each[0]}


class DividedTwice(Divided):
    """Each part counts as a whole."""

    def loss(self, rows: Tensor) -> dict[str, Tensor]:
        return {name: self.parts * value for name, value in super().loss(rows).items()}


# Losses, metrics, units.


class Lossless(SineTask):
    def step(self) -> Mapping[str, Tensor]:
        return {"error": super().step()["loss"]}


class Numbers(SineTask):
    def step(self) -> Any:
        return {name: float(value) for name, value in super().step().items()}


class Attached(SineTask):
    def step(self) -> Mapping[str, Tensor]:
        return {**super().step(), "size": self.net[0].weight.norm()}


class Infinite(SineTask):
    def step(self) -> Mapping[str, Tensor]:
        return {**super().step(), "size": torch.tensor(float("inf"))}


class Changing(SineTask):
    def step(self) -> Mapping[str, Tensor]:
        losses = dict(super().step())
        if self.optimization.steps_done > 3:
            losses["late"] = losses["loss"]
        return losses


class Reused(SineTask):
    """As a captured graph of a GPU does it."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.kept = torch.zeros(())

    def step(self) -> Mapping[str, Tensor]:
        self.kept.copy_(super().step()["loss"])
        return {"loss": self.kept}


class TensorMetric(SineTask):
    def evaluate(self) -> Any:
        found = super().evaluate()
        return Evaluation({**found.metrics, "size": self.net[0].weight.norm()}, found.selection)


class Unitless(SineTask):
    def unit(self, metric: str) -> str:
        return "" if metric == "largest" else "1"


class Selectionless(SineTask):
    def unit(self, metric: str) -> str:
        return "" if metric == "selection" else "1"


class Selective(SineTask):
    """Its metric has the name of what the harness records."""

    def evaluate(self) -> Evaluation:
        found = super().evaluate()
        return Evaluation({**found.metrics, "selection": 0.0}, found.selection)


# What decides on a run.


class Drawn(SineTask):
    """Its batches are from Python's own generator, which nobody seeds."""

    def rows(self) -> Tensor:
        return torch.tensor(random.sample(range(_ROWS), _BATCH))


class Still(SineTask):
    def step(self) -> Mapping[str, Tensor]:
        rows = self.rows()
        return {name: value.detach() for name, value in self.loss(rows).items()}


class Seedless(SineTask):
    @property
    def seed(self) -> int:
        return 0


class OneActivation(SineTask):
    def __init__(self, spec: Spec) -> None:
        if spec.axes["activation"] != "tanh":
            raise ValueError("only tanh")
        super().__init__(spec)


class Deaf(SineTask):
    """Under an integrated ReLU nothing is trained."""

    def step(self) -> Mapping[str, Tensor]:
        if self.spec.axes["activation"] == "tanh":
            return super().step()
        everything = torch.arange(_ROWS)
        return {name: value.detach() for name, value in self.loss(everything).items()}


# Looking.


class EvaluatesABatch(SineTask):
    """Its evaluation draws from the generator of the training's batches."""

    def evaluate(self) -> Evaluation:
        self.rows()
        return super().evaluate()


class EvaluatesWithAHiddenDraw(SineTask):
    """The same where the generator is not in the state."""

    def evaluate(self) -> Evaluation:
        self.rows()
        return super().evaluate()

    def state_dict(self) -> dict[str, Any]:
        return {"net": self.net.state_dict(), "optimization": self.optimization.state_dict()}


class Unsteady(SineTask):
    """A score that counts its evaluations."""

    evaluations = 0

    def evaluate(self) -> Evaluation:
        self.evaluations += 1
        found = super().evaluate()
        return Evaluation({**found.metrics, "count": float(self.evaluations)}, found.selection)


class DiagnosesInPlace(SineTask):
    def diagnose(self) -> Diagnosis:
        with torch.no_grad():
            self.net[0].weight.mul_(0.999)
        return super().diagnose()


# States.


class WithoutOptimizer(SineTask):
    """Adam's moments begin anew."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.net.load_state_dict(state["net"])
        self.generator.set_state(state["generator"])


class WithAGenerator(SineTask):
    """The object, and not its state."""

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "generator": self.generator}


class NoJSON(SineTask):
    @property
    def description(self) -> Mapping[str, Any]:
        return {"net": self.net}


class ListOfWeights(SineTask):
    def weights(self) -> Any:
        return {"all": list(super().weights().values())}
