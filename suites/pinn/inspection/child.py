"""What the child process does: import a user's problem, build it, check it, digest it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bench.spec.randomness import global_numpy_stream
from bench.spec.source_files import find_source
from bench.spec.user_code import source_files
from bench.spec.user_frames import in_place
from bench.text.errors import BadInput, typed
from suites.pinn.adaptive import check_adaptive
from suites.pinn.backend import quiet, set_dtype
from suites.pinn.budgets import SMOKE_POINTS
from suites.pinn.declared_unknowns import check_unknowns
from suites.pinn.inspection.content import built, held, is_steady
from suites.pinn.inspection.files import ABSENT
from suites.pinn.inspection.kept import PRECISION
from suites.pinn.inspection.opened import Opened
from suites.pinn.inspection.points import check_points
from suites.pinn.inspection.shapes import check_truth
from suites.pinn.inspection.start import faults
from suites.pinn.problems.catalogue import get_problem, problem_reference
from suites.pinn.problems.problem import Points, Problem
from suites.pinn.problems.truth import Truth

_OTHER = {"float32": "float64", "float64": "float32"}


class _Build(NamedTuple):
    truth: Truth | None
    data: Any


class _Content(NamedTuple):
    built: Mapping[str, str]
    held: Mapping[str, str]


def look(name: str, data_root: str | None, sample: int, dtype: str) -> dict[str, Any]:
    """Check a user's problem, and tell what it is built of.

    It is built twice with one seed, in the other precision where it only works there, and once
    more with another seed and other numbers of points.

    Args:
        name: As on the command line.
        data_root: Folder with PDEBench's files, if the truth is from there.
        sample: Of such a file.
        dtype: ``float32`` or ``float64``.

    Returns:
        The fields of `suites.pinn.inspection.kept.Inspection`.

    Raises:
        BadInput: The problem cannot be imported or built, or trains on something else than it says.
    """
    opened = Opened(_own_folder(name))
    with opened:
        problem = get_problem(name)
        build = _builder(problem, data_root, sample)
        try:
            found = _looked_at(problem, name, dtype, build)
        except Exception as error:
            # Unknowns that its module holds have a precision, and are converted in a run.
            try:
                found = _looked_at(problem, name, _OTHER[dtype], build)
            except Exception:
                raise error from None
        set_dtype(dtype)
        steady = _steady(problem, name, build)
    files = opened.files()
    # A spec has the digest of these already.
    sources = source_files(str(problem_reference(name)))
    read = sorted(
        (Path(path).name, digest)
        for path, digest in files.items()
        if digest != ABSENT and Path(path).resolve() not in sources
    )
    content = json.dumps([found["content"], read], sort_keys=True)
    return {
        "digest": hashlib.sha256(content.encode()).hexdigest()[:16],
        "built": {PRECISION: dtype, **steady},
        "files": files,
        "surroundings": opened.surroundings(),
        "all_seen": opened.all_seen,
        "warnings": found["warnings"] + _of_written(name, opened.written()),
        "unfit": found["unfit"],
        "not_adaptive": found["not_adaptive"],
    }


def _of_written(name: str, paths: set[str]) -> list[str]:
    if not paths:
        return []
    names = ", ".join(sorted(Path(path).name for path in paths))
    return [
        f"problem {name!r} writes files that it reads ({names}): what they hold is no part of what"
        " its runs are known by"
    ]


def _own_folder(name: str) -> Path | None:
    """The package or the module of a problem."""
    module = str(problem_reference(name)).partition(":")[0]
    source = find_source(module.partition(".")[0])
    if source is None:
        return None
    return source.resolve().parent if source.name == "__init__.py" else source.resolve()


def _builder(
    problem: Problem, data_root: str | None, sample: int
) -> Callable[[int, Points], _Build]:
    """What builds the problem with a seed on so many points."""

    def build(seed: int, points: Points) -> _Build:
        with quiet(), global_numpy_stream(seed, "truth"):
            truth = problem.truth(Path(data_root) if data_root else None, sample, False)
        with quiet(), global_numpy_stream(seed, "points"):
            return _Build(truth, problem.data(truth, points, None))

    return build


def _steady(problem: Problem, name: str, build: Callable[[int, Points], _Build]) -> dict[str, str]:
    """Digests of what is built alike with another seed and other numbers of points."""
    published = problem.published.points

    def build_other() -> _Build:
        try:
            return build(1, SMOKE_POINTS)
        except Exception:  # it may need more points, which the run with fewer is told
            return build(1, published)

    one = built(problem, *_in_users_code(name, lambda: build(0, published)))
    other = built(problem, *_in_users_code(name, build_other))
    return {key: value for key, value in _same(one, other).items() if is_steady(key)}


def _looked_at(
    problem: Problem, name: str, dtype: str, asked: Callable[[int, Points], _Build]
) -> dict[str, Any]:
    set_dtype(dtype)

    def build() -> _Build:
        return asked(0, problem.published.points)

    truth, data = first = _in_users_code(name, build)
    check_points(problem, data)
    if truth is not None:
        check_truth(problem, truth, np.asarray(data.train_x).shape[1])
    unfit = faults(problem, data)
    check_unknowns(problem)
    again = _in_users_code(name, build)
    made, other = (_content(problem, one) for one in (first, again))
    changed = [key for key, value in made.built.items() if other.built.get(key) != value]
    if not np.array_equal(data.train_x_all, again.data.train_x_all):
        changed.append("points")
    warnings = []
    if changed:
        warnings.append(
            f"problem {name!r} draws other numbers each time it is built with the same seed"
            f" ({', '.join(changed)}), so its runs cannot be repeated: draw from NumPy's global"
            " generator, which is seeded"
        )
    # What differs is left out: a counter, or what a function remembers, is no data.
    content = [_same(made.built, other.built), _same(made.held, other.held)]
    return {
        "content": content,
        "warnings": warnings,
        "unfit": unfit,
        "not_adaptive": _not_adaptive(data, problem.name),
    }


def _not_adaptive(data: Any, name: str) -> str | None:
    try:
        check_adaptive(data, name)
    except BadInput as error:
        return str(error)
    return None


def _same(one: Mapping[str, str], other: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in one.items() if other.get(key) == value}


def _in_users_code(name: str, build: Callable[[], _Build]) -> _Build:
    try:
        return build()
    except (BadInput, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise BadInput(
            f"problem {name!r} cannot be built: {typed(error)}{in_place(error)}"
        ) from error


def _content(problem: Problem, build: _Build) -> _Content:
    return _Content(built(problem, *build), held(problem, build.data))
