"""A suite for tests of rankings: what each arm can reach, and at which rate, is known.

A point is moved to a target by Adam. The error at the end is the root of the floor, which no
setting removes, and of what is left of the distance: a run that is too slow does not arrive, and
one that is too fast swings around the target.
"""

from __future__ import annotations

import os
import signal
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from bench.arm import definition_versions, technique_definitions
from bench.execution.options import ExecutionOptions
from bench.ranking.contestants import contestants
from bench.ranking.night import go_on
from bench.ranking.ranking import Ranking
from bench.ranking.runs import Runs
from bench.ranking.schedule import Costs, Night
from bench.ranking.session import Planned, Session
from bench.spec.options import Doc, Options
from bench.spec.spec import Spec
from bench.spec.training import Training
from bench.store.store import Store
from bench.task import Columns, Diagnosis, Evaluation, Request

if TYPE_CHECKING:
    import pytest

STEPS = 40
LR = 0.1
#: Of the error that no setting removes.
FLOOR = 0.3
_PUBLISHED = {
    "activation": "tanh",
    "normalization": "denorm",
    "rescaling": "rescale=1",
    "initialization": "glorot",
}


def use(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Install the suite below a folder, for this process and for subprocesses."""
    distribution = folder / "installed" / "ranked-1.dist-info"
    distribution.mkdir(parents=True)
    (distribution / "METADATA").write_text("Metadata-Version: 2.1\nName: ranked\nVersion: 1\n")
    (distribution / "entry_points.txt").write_text("[bench.suites]\nranked = rank_suite:RANKED\n")
    patch.syspath_prepend(str(distribution.parent))
    patch.setenv("PYTHONPATH", f"{distribution.parent}:{Path(__file__).parent}")


class RankedOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What distinguishes arms."""

    floor: Annotated[float, Doc("of the error", "X")] = FLOOR
    stretch: Annotated[float, Doc("by which a step is longer", "X")] = 1.0
    diverge_on: Annotated[str, Doc("a problem on which the loss is NaN", "NAME")] = ""
    fail_above: Annotated[float | None, Doc("a rate above which a step raises", "X")] = None


class RankedSuite:
    """Implements `bench.task.Suite`."""

    name = "ranked"
    summary = "points that are moved"
    packages: Sequence[str] = ()
    options: type[Options] = RankedOptions
    problems: Mapping[str, str] = {"near": "a near target", "far": "a far target"}
    models: Mapping[str, str] = {"point": "a point"}
    budgets: Mapping[str, str] = {"quick": f"{STEPS} steps", "short": f"{STEPS // 2} steps"}

    def default_problems(self) -> Sequence[str]:
        return list(self.problems)

    def default_models(self, budget: str) -> Sequence[str]:
        return list(self.models)

    def specify(self, request: Request) -> Spec:
        steps = STEPS if request.budget == "quick" else STEPS // 2
        return request.spec(
            self.name,
            problem=request.problem,
            model=request.model,
            published=_PUBLISHED,
            rescale="rescale=1",
            training=request.training.override(_training(steps)),
            settings=msgspec.to_builtins(request.options),
        )

    def build(self, spec: Spec, device: Any) -> Any:
        if journal := os.environ.get("RANK_JOURNAL"):
            path = Path(journal)
            built = path.read_text().splitlines() if path.exists() else []
            path.write_text("\n".join([*built, spec.hash]))
            if str(len(built)) == os.environ.get("RANK_INTERRUPT"):
                os.kill(os.getpid(), signal.SIGINT)
        return _task(spec)

    def definitions(self, spec: Spec) -> Sequence[str]:
        return [f"rank_suite:{type(self).__name__}.build", *technique_definitions(spec.axes)]

    def versions(self, spec: Spec) -> Mapping[str, int]:
        return definition_versions(spec.axes)

    def finish(self, runs: Any, options: Any) -> None:
        pass

    def columns(self, problem: str) -> Columns:
        return Columns(["error"], [])


def _training(steps: int) -> Training:
    return Training(steps=steps, lr=LR, schedule="cosine", evaluations=1)


def _task(spec: Spec) -> Any:
    import torch

    from bench.training.optimization import Optimization

    # Equal for one seed, so that pairs differ by their arms; and a little by the run itself.
    generator = torch.Generator().manual_seed(spec.seed)
    distance = {"near": 1.0, "far": 2.0}[spec.problem]
    target = distance * torch.randn(2, generator=generator).sign()
    own = zlib.crc32(msgspec.json.encode((spec.settings, spec.axes, spec.seed), order="sorted"))
    noise = 0.02 * float(torch.randn((), generator=torch.Generator().manual_seed(own)))
    floor = spec.settings["floor"] * torch.tensor(noise).exp()

    class Task:
        """Implements `bench.task.Task`."""

        description: Mapping[str, Any] = {}

        def __init__(self) -> None:
            self.point = torch.nn.Parameter(torch.zeros(2))
            self.optimization = Optimization([self.point], spec.training)

        def unit(self, metric: str) -> str:
            return "1"

        def _loss(self) -> Any:
            away = spec.settings["stretch"] * self.point - target
            return floor**2 + away.square().mean()

        def step(self) -> Mapping[str, Any]:
            above = spec.settings["fail_above"]
            if above is not None and spec.training.lr > above:
                raise RuntimeError("too fast")
            broken = spec.settings["diverge_on"] == spec.problem

            def losses() -> dict[str, Any]:
                loss = self._loss() * (float("nan") if broken else 1.0)
                return {"loss": loss}

            return self.optimization.step(losses)

        def evaluate(self) -> Evaluation:
            with torch.no_grad():
                loss = self._loss().item()
            return Evaluation({"error": loss**0.5}, loss)

        def diagnose(self) -> Diagnosis:
            return Diagnosis({}, [])

        def state_dict(self) -> dict[str, Any]:
            return {"point": self.point.detach(), "optimization": self.optimization.state_dict()}

        def load_state_dict(self, state: dict[str, Any]) -> None:
            with torch.no_grad():
                self.point.copy_(state["point"])
            self.optimization.load_state_dict(state["optimization"])

        def weights(self) -> dict[str, Any]:
            return {"point": self.point.detach()}

    return Task()


RANKED = RankedSuite()


def make_session(
    store: Path,
    *candidates: str,
    against: Sequence[str] = ("baseline",),
    problems: Sequence[str] = ("near", "far"),
    seeds: int = 3,
    length_seeds: int = 0,
    most_seeds: int | None = None,
    words: Sequence[str] = (),
) -> Session:
    """A session on the suite, without measuring what fits."""
    arms = contestants(candidates, against)
    runs = Runs(RANKED, "quick", "cpu", "float32", list(words), list(problems), ["point"])
    keys = {(problem, "point", one.arm): 1.0 for problem in problems for one in arms}
    night = Night("quick", list(runs.asked), seeds, length_seeds, 60.0, [])
    planned = Planned(
        runs=runs,
        arms=arms,
        night=night,
        costs=Costs(keys, dict.fromkeys(keys, 3)),
        name="test",
        options=" ".join(words),
        command="",
        most_seeds=most_seeds or seeds,
        hours=1.0,
        jobs=1,
    )
    return Session(planned, Store(store))


def rank(store: Path, *candidates: str, **options: Any) -> Ranking:
    """The ranking of a night in this process."""
    session = make_session(store, *candidates, **options)
    (ranking,), stopped = night(session)
    assert stopped is None
    return ranking


def night(*sessions: Session) -> tuple[list[Ranking], Any]:
    """Work on sessions in this process until all has been run."""
    where = ExecutionOptions(device="cpu", jobs="1", store=sessions[0].store.root)
    return go_on(sessions, "cpu", where, None, progress=False, embedded=True)
