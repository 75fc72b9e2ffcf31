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
from bench.text.errors import BadInput, typed
from suites.pinn.adaptive import check_adaptive
from suites.pinn.backend import quiet, set_dtype
from suites.pinn.declared_unknowns import check_unknowns
from suites.pinn.inspection.content import built, held
from suites.pinn.inspection.files import ABSENT, is_cache
from suites.pinn.inspection.opened import Opened
from suites.pinn.inspection.place import place_of
from suites.pinn.inspection.points import check_points
from suites.pinn.inspection.shapes import check_truth
from suites.pinn.inspection.start import faults
from suites.pinn.problems.catalogue import get_problem, problem_reference
from suites.pinn.problems.problem import Problem
from suites.pinn.problems.truth import Truth


class _Build(NamedTuple):
    truth: Truth | None
    data: Any


class _Content(NamedTuple):
    built: Mapping[str, str]
    held: Mapping[str, str]


def look(name: str, data_root: str | None, sample: int) -> dict[str, Any]:
    """Check a user's problem, and tell what it is built of.

    It is built twice with one seed, in single precision, or in double precision where it only works
    there.

    Args:
        name: As on the command line.
        data_root: Folder with PDEBench's files, if the truth is from there.
        sample: Of such a file.

    Returns:
        The fields of `suites.pinn.inspection.kept.Inspection`.

    Raises:
        BadInput: The problem cannot be imported or built, or trains on something else than it says.
    """
    opened = Opened(_own_folder(name))
    with opened:
        problem = get_problem(name)
        try:
            found = _looked_at(problem, name, "float32", data_root, sample)
        except Exception as error:
            try:
                found = _looked_at(problem, name, "float64", data_root, sample)
            except Exception:
                raise error from None
    files = opened.files()
    # A spec has the digest of these already.
    sources = source_files(str(problem_reference(name)))
    read = sorted(
        (Path(path).name, digest)
        for path, digest in files.items()
        if digest != ABSENT and not is_cache(path) and Path(path).resolve() not in sources
    )
    content = json.dumps([found["content"], read], sort_keys=True)
    return {
        "digest": hashlib.sha256(content.encode()).hexdigest()[:16],
        "files": files,
        "all_seen": opened.all_seen,
        "warnings": found["warnings"],
        "unfit": found["unfit"],
        "not_adaptive": found["not_adaptive"],
    }


def _own_folder(name: str) -> Path | None:
    """The package or the module of a problem."""
    module = str(problem_reference(name)).partition(":")[0]
    source = find_source(module.partition(".")[0])
    if source is None:
        return None
    return source.resolve().parent if source.name == "__init__.py" else source.resolve()


def _looked_at(
    problem: Problem, name: str, dtype: str, data_root: str | None, sample: int
) -> dict[str, Any]:
    set_dtype(dtype)

    def build() -> _Build:
        with quiet(), global_numpy_stream(0, "truth"):
            truth = problem.truth(Path(data_root) if data_root else None, sample, False)
        with quiet(), global_numpy_stream(0, "points"):
            return _Build(truth, problem.data(truth, problem.published.points, None))

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
            f"problem {name!r} cannot be built: {typed(error)}{place_of(error)}"
        ) from error


def _content(problem: Problem, build: _Build) -> _Content:
    return _Content(built(problem, *build), held(problem, build.data))
