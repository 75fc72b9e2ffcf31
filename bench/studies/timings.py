"""How long runs took that are in the store, and what runs take equally long."""

from __future__ import annotations

import functools
import statistics
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from bench.spec.spec import Spec
from bench.spec.training import Training
from bench.store.environment import cpu_model
from bench.store.record import FINAL, Record, Timing


class _Took(NamedTuple):
    """What is kept of a run, of whose record there may be a hundred thousand.

    Attributes:
        training: Its length.
        timing: Of all that were trained as one model.
        together: How many these were.
        settings: Digest of the settings.
    """

    training: Training
    timing: Timing
    together: int
    settings: int

    def scaled_s(self, training: Training) -> float:
        """Seconds of a run of some length; of seeds together, the share of one."""
        its, timing = self.training, self.timing
        steps_s = timing.train_s * training.total_steps / its.total_steps
        evaluations_s = timing.evaluate_s * (training.evaluations + 1) / (its.evaluations + 1)
        return (timing.build_s + steps_s + evaluations_s) / self.together


class Timings:
    """How long runs of each kind took that did all their steps on this processor.

    Args:
        records: Of runs; each is looked at once, and none is kept.
        jobs: How many train side by side; runs with as many are preferred.
        together: Whether seeds are trained as one model; runs that were, are preferred.

    Attributes:
        jobs: As given.
    """

    def __init__(self, records: Iterable[Record], jobs: int, together: bool = False) -> None:
        self.jobs = jobs
        self._found: dict[bytes, dict[int, list[_Took]]] = {}
        for record in records:
            whole = record.steps_done == record.spec.training.total_steps
            shared = record.seeds_together > 1
            if record.status not in FINAL or not whole or (shared and not together):
                continue
            its = record.environment.get("cpu" if record.spec.device == "cpu" else "gpu")
            if its is not None and its != processor(record.spec.device):
                continue
            unlike = 2 * (shared != together) + (record.environment.get("jobs", jobs) != jobs)
            of_kind = self._found.setdefault(kind_of(record.spec, exact=True), {})
            spec = record.spec
            took = _Took(spec.training, record.timing, record.seeds_together, _settings(spec))
            of_kind.setdefault(unlike, []).append(took)

    def seconds(self, spec: Spec, own: bool = False) -> float | None:
        """Seconds of a run; ``None`` where there was none like it.

        Args:
            spec: Of the run.
            own: Whether its settings may decide how long it lasts: those of others tell nothing.
        """
        of_kind = self._found.get(kind_of(spec, exact=True), {})
        if own:
            same = _settings(spec)
            kept = {k: [one for one in took if one.settings == same] for k, took in of_kind.items()}
            of_kind = {unlike: took for unlike, took in kept.items() if took}
        if not of_kind:
            return None
        training = spec.training
        alike = of_kind[min(of_kind)]
        equal = [took for took in alike if _length(took.training) == _length(training)]
        return statistics.median(took.scaled_s(training) for took in equal or alike)


@functools.cache
def processor(device: str) -> str | None:
    """Name of the processor or the GPU of this machine as records have it, if there is one."""
    if device == "cpu":
        return cpu_model()
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def _settings(spec: Spec) -> int:
    return hash(msgspec.json.encode(spec.settings, order="sorted"))


def _length(training: Training) -> tuple[int, int, int]:
    return training.steps, training.lbfgs_steps, training.evaluations


def kind_of(spec: Spec, exact: bool) -> bytes:
    """What runs have in common whose steps and evaluations take equally long.

    A step of L-BFGS takes as long as several of Adam: only runs with the same share of them are of
    one kind, or, where the steps of each are timed apart (not `exact`), those that have any.

    Args:
        spec: Of a run.
        exact: Tell all techniques apart, and the versions of one's own.
    """
    training = spec.training
    axes = (spec.axes, spec.sources) if exact else {"normalization": spec.axes["normalization"]}
    points = {k: v for k, v in spec.settings.items() if k in ("points", "batch", "size", "engine")}
    share = training.lbfgs_steps / training.total_steps
    lbfgs = share if exact else (training.steps > 0, share > 0)
    what = (spec.suite, spec.problem, spec.model, axes, points, spec.device, spec.dtype, lbfgs)
    return msgspec.json.encode(what, order="sorted")
