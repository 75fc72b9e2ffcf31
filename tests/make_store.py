"""Make a store of many runs that were never trained, to measure what reads it.

python tests/make_store.py DIR --like STORE --runs 20000 --arms 5

DIR is a new store; the arms, problems and seeds of its records are those of a study, whose plan is
in it and whose file is DIR/scale.toml. All else of a record is that of one of STORE's, with other
figures, so that a record is as large as those are.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from itertools import cycle, islice, product
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from bench.arm import BASELINE
from bench.plugins import load_suite
from bench.spec.spec import Spec
from bench.store.record import Metric, Record
from bench.store.store import Store
from bench.studies.catalogue import get_study
from bench.studies.plan import Asked, Plan, make_plan, save

#: One run of so many diverged.
_DIVERGED = 50

_PROBLEMS = ("advection-1d", "compressible-flow-1d", "diffusion-sorption-1d", "shallow-water-2d")


def make_store(
    root: Path, templates: Sequence[Record], runs: int, arms: int, budget: str = "quick"
) -> Plan:
    """Write the records of a study, and its plan.

    Args:
        root: The store.
        templates: Records that the new ones are like: those of a problem are like one, in turn.
        runs: How many records: a multiple of the arms times the problems, of which there are four.
        arms: How many arms, the baseline among them.
        budget: Of all runs.
    """
    seeds, rest = divmod(runs, arms * len(_PROBLEMS))
    if rest:
        raise ValueError(f"{runs} runs are no multiple of {arms} arms x {len(_PROBLEMS)} problems")
    root.mkdir(parents=True, exist_ok=True)
    file = root / "scale.toml"
    file.write_text(_study(arms))
    study = get_study(str(file))
    asked = Asked(seeds=range(seeds), budget=budget)
    plan = make_plan(study, study.part[0], load_suite("pinn"), asked, command="")
    store = Store(root)
    store.prepare()
    of_problem = dict(zip(_PROBLEMS, cycle(templates), strict=False))
    for number, spec in enumerate(plan.specs):
        store.write(_record(spec, of_problem[spec.problem], number))
    return save(plan, store)


def _study(arms: int) -> str:
    """A study's file: activations and initialisations, and as many scales as needed."""
    names = [BASELINE, "irelu", "lsuv", "irelu+lsuv"]
    parts = product(range(1, 1 + arms // 4), ("", "irelu+", "lsuv+", "irelu+lsuv+"))
    names += [f"{part}rescale={2**scale}" for scale, part in parts]
    return "\n".join(
        [
            'question = "Does what is read stay fast?"',
            "[[part]]",
            'suite = "pinn"',
            f"arms = {json.dumps(list(islice(names, arms)))}",
            f"problems = {json.dumps(_PROBLEMS)}",
            "",
        ]
    )


def _record(spec: Spec, template: Record, number: int) -> Record:
    """The template as if it were of a spec, with figures of its own."""
    rng = np.random.default_rng(number)
    factor = float(np.exp(0.3 * rng.standard_normal()))
    diverged = number % _DIVERGED == _DIVERGED - 1

    def other(values: list[float | None]) -> list[float | None]:
        noise = np.exp(0.1 * rng.standard_normal(len(values))).tolist()
        return [None if v is None else v * factor * n for v, n in zip(values, noise, strict=True)]

    def others(lists: dict[str, list[float | None]]) -> dict[str, list[float | None]]:
        return {k: v if k in ("step", "seconds") else other(v) for k, v in lists.items()}

    def metric(value: Metric) -> Metric:
        (best,) = other([value.best])
        (final,) = other([value.final])
        return Metric(None if diverged else final, best)

    changes: dict[str, Any] = {"status": "diverged", "reason": "the loss was nan"}
    return msgspec.structs.replace(
        template,
        spec=spec,
        spec_hash=spec.hash,
        problem=spec.problem,
        model=spec.model,
        arm=spec.arm,
        seed=spec.seed,
        budget=spec.budget,
        metrics={name: metric(value) for name, value in template.metrics.items()},
        losses=others(template.losses),
        history=others(template.history),
        **(changes if diverged else {}),
    )


def main() -> None:
    """Make a store as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path, metavar="DIR")
    parser.add_argument("--like", type=Path, required=True, metavar="STORE")
    parser.add_argument("--runs", type=int, default=20_000, metavar="N")
    parser.add_argument("--arms", type=int, default=5, metavar="N")
    options = parser.parse_args()
    templates = list(Store(options.like).records())
    plan = make_store(options.root, templates, options.runs, options.arms)
    print(f"{len(plan.runs)} runs in {options.root}; their study: {options.root / 'scale.toml'}")


if __name__ == "__main__":
    main()
