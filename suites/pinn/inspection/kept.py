"""A user's problem is looked at once; what was found is kept until its files change."""

from __future__ import annotations

import hashlib
import importlib.metadata
import sys
from pathlib import Path
from typing import Any

import msgspec

from bench.files.atomic import write_atomically
from bench.spec.source_files import find_source
from bench.spec.spec import Spec
from bench.spec.user_code import see_working_directory
from bench.text.errors import BadInput
from suites.pinn.inspection.files import file_digest
from suites.pinn.inspection.surroundings import Asked
from suites.pinn.problems.catalogue import get_problem, problem_reference
from suites.pinn.problems.problem import Problem
from suites.pinn.problems.truth import Truth
from suites.pinn.reference.cache import cache_directory

#: Of what is kept, and of what the digest covers: a new number gives the runs of users' problems
#: new names.
_VERSION = 2
#: The name of the precision among the digests of what is built.
PRECISION = "precision"
#: How long a problem may take to be imported and built a few times.
SECONDS = 300.0
#: Kept of one problem: it may go to and fro between two states of its data.
_MOST = 8
_MAX_BYTES = 16 * 1024**2


class Inspection(msgspec.Struct, frozen=True):
    """What was found about a problem in one precision.

    Attributes:
        digest: Of what it is built of: truth, labels, anchors, arrays in its functions, files.
        built: Digests of truth, labels and anchors that are the same with every seed.
        files: Path and digest of each file that it reads: what is found holds while they stay.
        surroundings: State of what else it asks for, `suites.pinn.inspection.surroundings.Asked`,
            by name: it is looked at again when one changes.
        all_seen: Whether these are all.
        warnings: For stderr.
        unfit: Why the problem cannot be trained, by the kind of the network's inputs, ``raw`` or
            ``scaled``.
        not_adaptive: Why no points can be drawn by the residual; ``None`` where they can.
    """

    digest: str
    built: dict[str, str]
    files: dict[str, str]
    surroundings: dict[str, str]
    all_seen: bool
    warnings: list[str]
    unfit: dict[str, str]
    not_adaptive: str | None = None

    @property
    def changed(self) -> list[str]:
        """Names of files that are not what they were."""
        return [Path(p).name for p, digest in self.files.items() if file_digest(p) != digest]

    @property
    def holds(self) -> bool:
        """Whether nothing of what the problem asks for has changed."""
        states = ((Asked.parse(name).state, state) for name, state in self.surroundings.items())
        return not self.changed and all(now == before for now, before in states)

    def check_fit(self, inputs: str) -> None:
        """Refuse to train where the loss is not finite before the first step.

        Args:
            inputs: What the network gets: ``raw`` or ``scaled``.

        Raises:
            BadInput: It is not.
        """
        if fault := self.unfit.get(inputs):
            raise BadInput(fault)


class _Kept(msgspec.Struct):
    versions: list[str]
    found: list[Inspection]


#: Those of this process.
_mine: dict[str, list[Inspection]] = {}


def inspect_problem(
    name: str, data_root: Path | None, sample: int, dtype: str
) -> Inspection | None:
    """What a child process finds about a user's problem, or has found before.

    Args:
        name: As on the command line.
        data_root: Folder with PDEBench's files, if the truth is from there.
        sample: Of such a file.
        dtype: ``float32`` or ``float64``, in which it is built.

    Returns:
        ``None`` of a problem that is built in, and of a name that no problem has.

    Raises:
        BadInput: It cannot be imported or built, takes too long, or trains on something else than
            it says; or its data have changed since this process has imported it.
    """
    reference = problem_reference(name)
    if reference is None:
        return None
    see_working_directory()
    if find_source(reference.partition(":")[0]) is None:
        # There is no such module, most likely, which is said sooner here.
        get_problem(name)
    root = None if data_root is None else str(data_root.resolve())
    key = _key(name, root, sample, dtype)
    before = _mine.get(key, [])
    current = next((one for one in before if one.holds), None)
    if current is None:
        current = _kept_or_new(key, name, root, sample, dtype)
        for warning in current.warnings:
            print(f"dcbench: {warning}", file=sys.stderr)
    if before and before[0].digest != current.digest:
        raise BadInput(
            f"the data of problem {name!r} have changed since this process imported it: start it"
            " anew"
        )
    _mine[key] = [current]
    return current


def check_built(spec: Spec, problem: Problem, truth: Truth | None, data: Any) -> None:
    """Refuse to train on other data than those by whose digests the run is known.

    It compares what is the same with every seed, and so needs nothing that is kept.

    Args:
        spec: Of the run.
        problem: Its problem, as this process has imported it.
        truth: As built.
        data: As built.

    Raises:
        BadInput: Truth, labels or anchors are others.
    """
    expected: dict[str, str] = spec.settings.get("problem_built", {})
    if truth is not None and problem.has_fine_truth and spec.settings["fine_truth"]:
        # It is another one than that which was looked at, and the data may be made of it.
        return
    if expected.get(PRECISION) != spec.dtype:
        # Built in, or a run whose engine is checked in double precision.
        return
    # Imported here: runs are specified without torch.
    from suites.pinn.inspection.content import built

    found = {PRECISION: spec.dtype, **built(problem, truth, data)}
    others = [name for name, digest in expected.items() if found.get(name) != digest]
    if others:
        raise BadInput(
            f"the data of problem {spec.problem!r} are not those that the run was asked for"
            f" ({', '.join(others)}): they have changed since, or its module draws them from a"
            " generator of its own without a seed when it is imported"
        )


def check_unchanged(spec: Spec) -> None:
    """Refuse to build a run after files have changed that its problem reads, as far as it is known
    here which.

    Args:
        spec: Of the run.

    Raises:
        BadInput: They have changed since the spec was made.
    """
    digest = spec.settings.get("problem_data")
    if digest is None:
        return
    sample = spec.settings.get("sample", 0)
    dtype = spec.settings.get("problem_built", {}).get(PRECISION, spec.dtype)
    key = _key(spec.problem, spec.paths.get("data_root"), sample, dtype)
    known = [*_mine.get(key, []), *_read(key)]
    of_spec = [one for one in known if one.digest == digest]
    if any(not one.changed for one in of_spec):
        return
    others = [one for one in known if one.digest != digest and not one.changed]
    if of_spec or others:
        names = ", ".join(of_spec[0].changed if of_spec else [])
        raise BadInput(
            f"the data of problem {spec.problem!r} have changed since the run was asked for"
            f"{f' ({names})' if names else ''}"
        )


def _kept_or_new(key: str, name: str, root: str | None, sample: int, dtype: str) -> Inspection:
    from bench.execution.limited_child import ChildFailed, limited_call

    kept = _read(key)
    for one in kept:
        if one.all_seen and one.holds:
            return one
    try:
        answer = limited_call(
            "suites.pinn.inspection.child:look", [name, root, sample, dtype], seconds=SECONDS
        )
    except ChildFailed as error:
        raise BadInput(
            f"problem {name!r} cannot be looked at before training, because {error}"
        ) from error
    found = msgspec.convert(answer, Inspection)
    _write(key, [found, *(one for one in kept if one.digest != found.digest)][:_MOST])
    return found


def _key(name: str, root: str | None, sample: int, dtype: str) -> str:
    """Name of the file in which what was found is kept."""
    reference = str(problem_reference(name))
    source = find_source(reference.partition(":")[0])
    place = [str(source.resolve()) if source else None, str(Path.cwd())]
    content = msgspec.json.encode([reference, place, root, sample if root else 0, dtype])
    return hashlib.sha256(content).hexdigest()[:32]


def _path(key: str) -> Path:
    return cache_directory() / "problems" / f"{key}.json"


def _versions() -> list[str]:
    packages = ("deepxde", "numpy", "torch")
    return [str(_VERSION), sys.version, *map(importlib.metadata.version, packages)]


def _read(key: str) -> list[Inspection]:
    """What is kept; nothing if it cannot be read, or is of other versions."""
    try:
        content = _path(key).read_bytes()
        kept = msgspec.json.decode(content[:_MAX_BYTES], type=_Kept)
    except (OSError, msgspec.DecodeError):
        return []
    return kept.found if kept.versions == _versions() else []


def _write(key: str, found: list[Inspection]) -> None:
    path = _path(key)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, msgspec.json.encode(_Kept(_versions(), found)))
    except OSError as error:
        print(f"dcbench: the cache {path.parent} cannot be used: {error}", file=sys.stderr)
