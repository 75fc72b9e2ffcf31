"""The record of a run: the row that it leaves behind."""

from __future__ import annotations

import datetime
import functools
from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec

from bench.spec.spec import Spec

#: 2: the status ``out-of-memory``.
SCHEMA = 2

Status = Literal["done", "diverged", "failed", "out-of-memory", "timeout", "interrupted"]

#: A run with one of these is a result, and is not repeated unless asked for.
FINAL: tuple[Status, ...] = ("done", "diverged")


class Metric(msgspec.Struct, frozen=True):
    """One metric's value at the end, and where the metric ``selection`` was lowest.

    ``None`` stands for a value that is not finite or was never reached.
    """

    final: float | None
    best: float | None


class Timing(msgspec.Struct, frozen=True):
    """Seconds, except the step times, which are milliseconds after warm-up.

    Seeds that were trained together were also built and stepped together. The record of each then
    has the times of all of them at once, not divided by their number.

    Attributes:
        build_s: Building the task: network, points, ground truth.
        train_s: Optimisation steps alone.
        evaluate_s: Evaluations, outside the training clock.
        step_ms_median: Median time of one step.
        step_ms_p10: 10 % quantile of the step times.
        step_ms_p90: 90 % quantile of the step times.
        steps_timed: Number of steps that were timed.
    """

    build_s: float
    train_s: float
    evaluate_s: float
    step_ms_median: float | None
    step_ms_p10: float | None
    step_ms_p90: float | None
    steps_timed: int


class Record(msgspec.Struct, frozen=True):
    """The row that a run leaves behind. Plain JSON; see `Spec` for the fields it repeats.

    Attributes:
        schema: Version of this layout.
        spec: What was run.
        status: How it ended.
        reason: Why the status is not ``done``.
        steps_done: Optimisation steps done.
        best_step: Step at which ``selection`` was lowest.
        metrics: Metrics by name, in the labels' own units, whatever the rescaling, and the held-out
            loss ``selection``, by which the best state and a setting are chosen
            (`bench.task.Evaluation`); records of before it had a name lack it.
        units: Unit of each metric.
        losses: Training loss terms by name at the steps ``step``.
        history: Metrics by name at the steps ``step`` and training seconds ``seconds``.
        timing: Where the time went.
        peak_memory_mb: Peak resident memory of the process on a CPU, peak allocated memory of the
            device on CUDA, in MB of 1e6 bytes. Seeds that were trained together have the peak of
            all of them.
        diagnostics: What the task measured of itself: gradient size, signal sizes, scales, …
        task: What was built: numbers of points and parameters, engine, ground truth.
        warnings: What a reader of the metrics must know, in sentences.
        environment: Machine, versions and commit; ``code``, a digest of each definition that the
            run begins at (`bench.store.environment.provenance`); ``jobs``, the number of processes
            side by side; ``seeds_together``, the number of seeds that were trained as one model;
            ``parts``, the number of parts in which a batch was computed for lack of memory, if more
            than one.
        started: UTC time, ISO 8601.
        resumed: How many times the run was continued from a checkpoint.
    """

    schema: int
    spec_hash: str
    suite: str
    problem: str
    model: str
    arm: str
    seed: int
    budget: str
    status: Status
    metrics: dict[str, Metric]
    units: dict[str, str]
    timing: Timing
    environment: dict[str, Any]
    spec: Spec
    reason: str | None = None
    steps_done: int = 0
    best_step: int | None = None
    losses: dict[str, list[float | None]] = {}
    history: dict[str, list[float | None]] = {}
    peak_memory_mb: float | None = None
    diagnostics: dict[str, Any] = {}
    task: dict[str, Any] = {}
    warnings: list[str] = []
    started: str = ""
    resumed: int = 0

    def is_older_than(self, now: Mapping[str, Any]) -> bool:
        """Whether other code or versions made it than `now`, from `environment.provenance`."""
        return any(self.environment.get(name) != value for name, value in now.items())

    @property
    def seeds_together(self) -> int:
        """How many seeds were trained as one model; the record of each has the times of all."""
        together: int = self.environment.get("seeds_together", 1)
        return together

    def labelled(self, spec: Spec) -> Record:
        """The same run under the names by which an equivalent spec asked for it."""
        return msgspec.structs.replace(self, arm=spec.arm, budget=spec.budget, spec=spec)


def timestamp() -> str:
    """The present time as records write it."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")


class _Header(msgspec.Struct):
    """The field that tells whether this code can read the others."""

    schema: int


_HEADER = msgspec.json.Decoder(_Header)
_DECODER = msgspec.json.Decoder(Record)


def encode(record: Record) -> bytes:
    """JSON of a record; values that are not finite become null."""
    return msgspec.json.format(msgspec.json.encode(record), indent=1)


def decode(content: bytes) -> Record:
    """The record in JSON `content`.

    Raises:
        ValueError: It is not JSON, not a record, written by a newer schema, or its hash is not
            that of its own spec.
    """
    try:
        schema = _HEADER.decode(content).schema
        if schema > SCHEMA:
            raise ValueError(f"schema {schema} is newer than {SCHEMA}, which this code reads")
        record = _DECODER.decode(content)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if (fault := _fault(record)) is not None:
        raise ValueError(fault)
    return record


def _fault(record: Record) -> str | None:
    """What is wrong with a record although each of its fields has its type."""
    if record.spec.hash != record.spec_hash:
        return f"the spec hashes to {record.spec.hash}, not to {record.spec_hash}"
    together = record.environment.get("seeds_together", 1)
    if type(together) is not int or together < 1:
        return f"seeds_together is {together!r}, no whole number"
    return None


def _part(**changed: Any) -> msgspec.json.Decoder[Any]:
    """A decoder of a record without losses and history, and of `changed` with these types."""
    fields: list[Any] = []
    for field in msgspec.structs.fields(Record):
        if field.name in changed or field.name not in ("losses", "history"):
            missing: Any = {"default": field.default, "default_factory": field.default_factory}
            kind = changed.get(field.name, field.type)
            fields.append((field.name, kind, msgspec.field(**missing)))
    return msgspec.json.Decoder(msgspec.defstruct("Record", fields))


def _lists(*names: str) -> type[msgspec.Struct]:
    """The type of an object of which only the entries with these names are read."""
    fields: list[Any] = [
        (f"entry_{k}", list[float | None], msgspec.field(default_factory=list, name=name))
        for k, name in enumerate(dict.fromkeys(names))
    ]
    return msgspec.defstruct("Lists", fields)


_RESULT = _part()


def decode_result(content: bytes) -> Record:
    """Like `decode`, but without losses and history, which are most of a record."""
    return _decode_part(content, _RESULT)


@functools.cache
def decode_drawn(metric: str) -> Callable[[bytes], Record]:
    """Like `decode`, but of the losses only the minimised one, and of the history only a metric."""
    decoder = _part(losses=_lists("step", "loss"), history=_lists("step", "seconds", metric))
    return functools.partial(_decode_part, decoder=decoder)


def _decode_part(content: bytes, decoder: msgspec.json.Decoder[Any]) -> Record:
    try:
        fields = msgspec.structs.asdict(decoder.decode(content))
    except (ValueError, RecursionError):
        return decode(content)  # says what is wrong
    for name in fields.keys() & {"losses", "history"}:
        fields[name] = msgspec.to_builtins(fields[name])
    record = Record(**fields)
    sound = record.schema <= SCHEMA and _fault(record) is None
    return record if sound else decode(content)
