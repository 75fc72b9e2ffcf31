"""The molecular suite as the harness sees it.

Imports neither torch nor SchNetPack until a task is built.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from bench.arm import definition_versions, technique_definitions
from bench.spec.options import Options
from bench.spec.spec import Spec
from bench.spec.training import Training
from bench.spec.training_options import TrainingOptions
from bench.task import Columns, Request, Task, TrainedRun
from bench.techniques.normalization import NORMALIZATIONS
from bench.text.errors import BadInput, unknown
from bench.text.notices import say_once
from suites.molecular.budgets import BUDGETS, SUMMARIES, Budget
from suites.molecular.models.catalogue import ARCHITECTURES, MODELS, architecture_of, parse_model
from suites.molecular.options import SCOPES, MolecularOptions, MolecularSpeedOptions
from suites.molecular.problems.catalogue import PROBLEMS, get_problem
from suites.molecular.protocols import PROTOCOLS, Protocol, get_protocol
from suites.molecular.settings import check_labels, run_settings
from suites.molecular.sources import part_paths

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench.task import Figure, Illustration, SpeedCase
    from suites.molecular.trained import Potential

#: The normalisation that a network trained on batches cannot have.
_OF_ALL_ROWS = "pointwise-batchnorm"


class MolecularSuite:
    """Implements `bench.task.Suite`."""

    name = "molecular"
    summary = "interatomic potentials of SchNetPack on energies and forces"
    packages: Sequence[str] = ("schnetpack", "ase", "vesin", "torch_geometric")
    options: type[Options] = MolecularOptions
    speed_options: type[Options] = MolecularSpeedOptions

    @property
    def problems(self) -> Mapping[str, str]:
        """Name and one-line summary of each problem."""
        return {name: problem.summary for name, problem in PROBLEMS.items()}

    @property
    def models(self) -> Mapping[str, str]:
        """Name and one-line summary of each model."""
        return MODELS

    @property
    def budgets(self) -> Mapping[str, str]:
        """Name and one-line summary of each budget."""
        return SUMMARIES

    def default_problems(self) -> Sequence[str]:
        """The smallest molecule of those that are shipped."""
        return ["xtb-ethanol"]

    def default_models(self, budget: str) -> Sequence[str]:
        """SchNet; under ``smoke`` all."""
        return list(MODELS) if budget == "smoke" else ["schnet"]

    def specify(self, request: Request) -> Spec:
        """The spec of one run.

        Raises:
            BadInput: A name, a size, an option or a data file is wrong.
        """
        options: MolecularOptions = request.options
        if options.export is not None:
            _check_folder(options.export)
        problem = get_problem(request.problem)
        protocol = get_protocol(options.protocol)
        if request.budget not in BUDGETS:
            raise unknown("budget", request.budget, BUDGETS)
        budget = BUDGETS[request.budget](architecture_of(request.model), problem.quick_share)
        model = parse_model(request.model, budget.size, protocol.offset)
        if request.arm.normalization == _OF_ALL_ROWS:
            others = [token for token in NORMALIZATIONS.names() if token != _OF_ALL_ROWS]
            raise BadInput(
                f"normalization {_OF_ALL_ROWS!r} takes the statistics of all training rows in each"
                f" step, and this suite trains on batches (allowed: {', '.join(others)}; the"
                " nearest is 'frozenbn')"
            )
        paths = {}
        if options.data_root is not None:
            paths["data_root"] = str(options.data_root.resolve())
        if request.problem not in PROBLEMS:
            paths["data"] = str(Path(request.problem).resolve())
        paths |= part_paths(options)
        settings, training, said = run_settings(problem, budget, request)
        activation = request.arm.on(model.choices)["activation"]
        replaced = activation != model.choices["activation"]
        # Elsewhere every scope means the same.
        scoped = replaced and bool(model.architecture.replaced)
        settings["scope"] = options.scope if scoped else SCOPES[0]
        settings["size"] = asdict(model.size)
        spec = request.spec(
            self.name,
            problem=problem.name,
            model=str(model),
            published=model.choices,
            rescale=protocol.rescale or problem.rescale,
            training=_training(protocol, budget, settings, request.training),
            settings=settings,
            paths=paths,
        )
        if training is not None:
            check_labels(training, spec)
        for text in said:
            say_once(text)
        return replace(spec, versions=dict(self.versions(spec)))

    def definitions(self, spec: Spec) -> Sequence[str]:
        """See `bench.task.Suite.definitions`."""
        found = [
            f"{type(self).__module__}:{type(self).__name__}.build",
            ARCHITECTURES.references[spec.model.partition(":")[0]],
            PROTOCOLS.references[spec.settings["protocol"]],
        ]
        if spec.problem in PROBLEMS:
            found.append(PROBLEMS.references[spec.problem])
        axes = {"offset": get_protocol(spec.settings["protocol"]).offset, **spec.axes}
        return [*found, *technique_definitions(axes)]

    def versions(self, spec: Spec) -> Mapping[str, int]:
        """See `bench.task.Suite.versions`."""
        return definition_versions(
            spec.axes,
            model=architecture_of(spec.model).version,
            problem=PROBLEMS[spec.problem].version if spec.problem in PROBLEMS else 1,
            protocol=get_protocol(spec.settings["protocol"]).version,
        )

    def build(self, spec: Spec, device: torch.device) -> Task:
        """Build the task of a spec."""
        from suites.molecular.task import build

        return build(spec, device)

    def illustrate(
        self, spec: Spec, weights: Mapping[str, Tensor], device: torch.device
    ) -> Sequence[Illustration]:
        """Energies and forces of the test frames; see `bench.report.illustrations.Illustrated`."""
        from suites.molecular.illustration import illustrate

        return illustrate(spec, weights, device)

    def network(
        self, run: TrainedRun, weights: Mapping[str, Tensor], device: torch.device
    ) -> Potential:
        """The potential as a function of `ase.Atoms`; see `bench.task.Loadable`."""
        from suites.molecular.trained import potential

        return potential(run, weights, device)

    def finish(self, runs: Sequence[TrainedRun], options: MolecularOptions) -> None:
        """Write the trained potentials if ``--export`` asks for them."""
        if options.export is not None:
            from suites.molecular.export import export_runs

            export_runs(runs, options.export)

    @property
    def published_source(self) -> str:
        """Where the figures of `published` are from."""
        from suites.molecular.published import SOURCE

        return SOURCE

    def published(self, spec: Spec) -> Sequence[Figure]:
        """The paper's figures, see `bench.task.PublishedFigures`."""
        from suites.molecular.published import figures

        return figures(spec)

    def speed_cases(
        self, options: MolecularSpeedOptions, dtype: str, device: torch.device
    ) -> Iterable[SpeedCase]:
        """SchNet's and PaiNN's training step unless others are named.

        Raises:
            BadInput: A name or a number is wrong.
        """
        from suites.molecular.stock_speed import speed_cases

        if options.problem not in PROBLEMS or "md17" in options.problem:
            shipped = [name for name in PROBLEMS if "md17" not in name]
            raise unknown("problem", options.problem, shipped)
        return speed_cases(self, options, dtype, device)

    def columns(self, problem: str) -> Columns:
        """Errors on the test frames; then on the others.

        The tables put those of each ``config_type`` and each further test set behind them.
        """
        del problem
        main = ["MAE_F", "MAE_E", "EFwT", "cos_F"]
        further = ["RMSE_F", "RMSE_E", "MAE_F_eV", "MAE_E_eV", "MAE_F_kcal", "MAE_E_kcal"]
        further += ["MAE_stress", "MAE_stress_GPa", "MD_drift", "MD_stable_steps"]
        further += ["MAE_E_atom", "val_MAE_F", "val_MAE_E", "train_MAE_F"]
        further += ["unseen_MAE_F", "unseen_MAE_E"]
        # 0 for a good potential, so that no ratio of it means anything.
        shares = ["MD_broken"]
        return Columns(main, further, ["EFwT", "cos_F", "MD_stable_steps"], values=shares)


def _check_folder(path: Path) -> None:
    there = next(folder for folder in (path, *path.parents) if folder.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        what = "no directory" if there == path else f"below {str(there)!r}, which is none"
        raise BadInput(f"--export {str(path)!r} is {what} that can be written to")


def _training(
    protocol: Protocol, budget: Budget, settings: Mapping[str, Any], asked: TrainingOptions
) -> Training:
    """How long and how to train, with the number of steps that the epochs are."""
    if asked.lbfgs_steps:
        raise BadInput(
            f"--lbfgs-steps {asked.lbfgs_steps}: L-BFGS needs the same loss at every step, and"
            " this suite trains on batches"
        )
    training = Training(
        steps=budget.steps or budget.epochs * (settings["split"]["n_train"] // settings["batch"]),
        lr=protocol.lr,
        schedule=protocol.schedule,
        weight_decay=protocol.weight_decay,
        evaluations=budget.evaluations,
    )
    return asked.override(training)


SUITE = MolecularSuite()
