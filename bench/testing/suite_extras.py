"""What a suite may have besides: seeds that are trained together, a batch in parts."""

from __future__ import annotations

import pytest

from bench.spec.randomness import global_streams
from bench.task import Batchable, Divisible
from bench.testing.suite_requests import STEPS, Requests, suite_of
from bench.testing.suite_trace import CPU, Trace, built, evaluated, steps, trained
from bench.training.device import deterministic


class ExtrasContract(Requests):
    """Both are a matter of speed and memory, and change results by their rounding alone."""

    def test_seeds_together_are_seeds_alone(self, token: str) -> None:
        suite = suite_of(token)
        if not isinstance(suite, Batchable):
            pytest.skip(f"suite {token!r} trains no seeds together")
        specs = [self.spec(suite, seed=seed, dtype="float64") for seed in (0, 1)]
        if not suite.together(specs):
            pytest.skip(f"suite {token!r} does not train these seeds together")
        alone = [trained(suite, spec, STEPS) for spec in specs]
        with deterministic(CPU), global_streams(0, CPU):
            batch = suite.build_together(specs, CPU)
            losses = [batch.step() for _ in range(STEPS)]
            metrics = [dict(evaluated(task).metrics) for task in batch.tasks]
            states = [task.state_dict() for task in batch.tasks]
        for k, trace in enumerate(alone):
            found = [float(loss["loss"][k]) for loss in losses]
            wanted = [loss["loss"] for loss in trace.losses]
            assert found == pytest.approx(wanted, rel=1e-8), (
                f"suite {token!r}: seed {k} trained together has the losses {found}, alone {wanted}"
            )
            assert metrics[k] == pytest.approx(trace.metrics, rel=1e-6, abs=1e-12, nan_ok=True), (
                f"suite {token!r}: seed {k} trained together scores differently"
            )
            with built(suite, specs[k]) as task:
                task.load_state_dict(states[k])
                assert dict(evaluated(task).metrics) == pytest.approx(
                    metrics[k], rel=1e-8, abs=1e-12, nan_ok=True
                ), f"suite {token!r}: the state of a seed trained together is none of one alone"

    def test_a_divided_batch_is_the_whole_one(self, token: str) -> None:
        suite = suite_of(token)
        spec = self.spec(suite, dtype="float64")
        with built(suite, spec) as task:
            if not isinstance(task, Divisible) or task.most_parts() < 2:
                pytest.skip(f"suite {token!r} does not divide its batch")
            task.divide(2)
            divided = Trace()
            steps(task, STEPS, divided)
        whole = trained(suite, spec, STEPS)
        found = [loss["loss"] for loss in divided.losses]
        wanted = [loss["loss"] for loss in whole.losses]
        assert found == pytest.approx(wanted, rel=1e-8), (
            f"suite {token!r}: in two parts a batch has the losses {found}, as a whole {wanted}"
        )
