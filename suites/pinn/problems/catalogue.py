"""The PINN suite's problems: built-in names, entry points, and references to a user's own."""

from __future__ import annotations

import contextlib
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from bench.spec.randomness import seeded_generators
from bench.spec.user_code import is_reference, load, users_code
from bench.text.errors import BadInput, unknown
from suites.pinn.backend import import_deepxde, in_precision
from suites.pinn.problems.problem import Problem

#: Name to (class, summary); classes are imported when a problem is first used.
BUILT_IN = {
    "advection-1d": (
        "suites.pinn.problems.advection:Advection1D",
        "linear advection, β = 0.1, exact solution",
    ),
    "compressible-flow-1d": (
        "suites.pinn.problems.compressible_flow:CompressibleFlow1D",
        "Euler's equations, random smooth periodic state",
    ),
    "diffusion-reaction-2d": (
        "suites.pinn.problems.diffusion_reaction:DiffusionReaction2D",
        "FitzHugh–Nagumo, no-flow, band-limited random initial state",
    ),
    "diffusion-sorption-1d": (
        "suites.pinn.problems.diffusion_sorption:DiffusionSorption1D",
        "diffusion with a Freundlich isotherm",
    ),
    "shallow-water-2d": (
        "suites.pinn.problems.shallow_water:ShallowWater2D",
        "shallow water, radial dam break",
    ),
}

#: As published, where the default differs for a reason: never run unless named.
VARIANTS = {
    "diffusion-sorption-1d-relu": (
        "suites.pinn.problems.diffusion_sorption:DiffusionSorptionReLU1D",
        "the same with the published network's last ReLU, behind which it may die",
    ),
    "diffusion-reaction-2d-noise": (
        "suites.pinn.problems.diffusion_reaction:DiffusionReactionNoise2D",
        "the same from white noise per grid cell, as published",
    ),
}


def problem_summaries() -> dict[str, str]:
    """Name and summary of every named problem."""
    own = {name: summary for name, (_, summary) in {**BUILT_IN, **VARIANTS}.items()}
    added = {point.name: f"entry point {point.value}" for point in _entry_points()}
    return {**added, **own}


def _entry_points() -> Any:
    return entry_points(group="suites.pinn.problems")


def problem_reference(name: str) -> str | None:
    """Where a problem that is not built in is defined: ``package.module:attribute``."""
    if is_reference(name):
        return name
    if name in BUILT_IN or name in VARIANTS:
        return None
    return next((point.value for point in _entry_points() if point.name == name), None)


def problem_definition(name: str) -> str | None:
    """Where a problem that is built in is defined; ``None`` of any other."""
    known = {**BUILT_IN, **VARIANTS}
    return known[name][0] if name in known else None


@cache
def get_problem(name: str) -> Problem:
    """The problem of that name, or that a ``package.module:attribute`` names.

    The attribute may be a `Problem`, as `wrap` returns one, or a class of one.

    Raises:
        BadInput: The name is unknown or what it names is no problem.
    """
    known = {**BUILT_IN, **VARIANTS}
    targets = {point.name: point.value for point in _entry_points()}
    targets |= {key: target for key, (target, _) in known.items()}
    if not is_reference(name) and name not in targets:
        raise unknown("problem", name, targets)
    if is_reference(name):
        # Before the user's module does, and prints on stdout and chooses devices.
        import_deepxde()
    if name in known:
        found = load(targets[name])
    else:
        # Arrays that a user's module makes of DeepXDE's are the same in each process.
        with in_precision("float32"):
            found = load(targets.get(name, name))
    seeded = contextlib.nullcontext() if name in known else seeded_generators("problem")
    with users_code(f"problem {name!r} cannot be made"), seeded:
        problem = found() if isinstance(found, type) else found
    if not isinstance(problem, Problem):
        raise BadInput(
            f"problem {name!r} is {type(problem).__name__}, not a suites.pinn.Problem;"
            " suites.pinn.wrap makes one of a DeepXDE problem"
        )
    return problem
