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
from suites.molecular.budgets import BUDGETS, SUMMARIES, Budget
from suites.molecular.data.frames import Frames
from suites.molecular.data.splits import BLOCKS, split_of
from suites.molecular.data.unseen import require_seen
from suites.molecular.models.catalogue import ARCHITECTURES, MODELS, architecture_of, parse_model
from suites.molecular.options import SCOPES, MolecularOptions, MolecularSpeedOptions
from suites.molecular.own_file import check_own_file
from suites.molecular.problems.catalogue import (
    PROBLEMS,
    DataOptions,
    Problem,
    get_problem,
    load_frames,
)
from suites.molecular.protocols import PROTOCOLS, Protocol, get_protocol

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench.task import Figure, Illustration, SpeedCase
    from suites.molecular.trained import Potential

#: Options about an own file, named as the fields of `DataOptions`.
_FILE_OPTIONS = ("energy_unit", "length_unit", "energy_key", "forces_key")
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
        settings, frames = self._settings(problem, budget, request)
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
        if problem.name not in PROBLEMS:
            check_own_file(frames, spec)
        return replace(spec, versions=dict(self.versions(spec)))

    def _settings(
        self, problem: Problem, budget: Budget, request: Request
    ) -> tuple[dict[str, Any], Frames]:
        """Data, split and protocol; and the frames."""
        options: MolecularOptions = request.options
        protocol = get_protocol(options.protocol)
        if options.download and options.data_root is None:
            raise BadInput("--download needs --data-root DIR, where the file is to be kept")
        given = {name: getattr(options, name) for name in (*_FILE_OPTIONS, "force_unit")}
        data = DataOptions(options.data_root, download=options.download, **given).spelled()
        frames = load_frames(problem, data)
        file = {name: getattr(data, name) for name in _FILE_OPTIONS}
        # The unit in force: what a file says itself may be said again without another run.
        file["energy_unit"] = frames.energy_unit
        # Runs from before the option existed keep their names.
        if data.force_unit is not None:
            file["force_unit"] = data.force_unit
        split = _split_settings(problem, frames, budget, request)
        n_train = split["n_train"]
        batch = protocol.batch if options.batch is None else options.batch
        ema = protocol.ema if options.ema is None else options.ema
        if not 1 <= batch <= n_train:
            raise BadInput(f"--batch must be from 1 to {n_train}, the training frames, got {batch}")
        if not 0 <= ema < 1:
            raise BadInput(f"--ema must be from 0 to below 1, got {ema}")
        loss = protocol.error if options.loss is None else options.loss
        # Frames of one molecule have the same elements.
        apart = problem.formula is None and require_seen(
            frames, split_of(frames, request.seed, split), options.unseen_elements
        )
        settings = {
            "protocol": options.protocol,
            # Runs from before the option existed keep their names.
            **({} if loss == protocol.error else {"loss": loss}),
            "batch": batch,
            "ema": ema,
            # Part of the definition of a protocol that has an average; of any other, part of the
            # runs that ask for one.
            **({"ema_warm_up": True} if ema and not protocol.ema else {}),
            "file": file,
            "total_energies": protocol.total_energies and problem.valence_only,
            "data": frames.digest,
            "split": split,
            **({"unseen_elements": "apart"} if apart else {}),
        }
        return settings, frames

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
        """Errors on the test frames; then on the others."""
        del problem
        main = ["MAE_F", "MAE_E", "EFwT", "cos_F"]
        further = ["RMSE_F", "RMSE_E", "MAE_F_eV", "MAE_E_eV", "MAE_F_kcal", "MAE_E_kcal"]
        further += ["MAE_E_atom", "val_MAE_F", "val_MAE_E", "train_MAE_F"]
        further += ["unseen_MAE_F", "unseen_MAE_E"]
        return Columns(main, further, ["EFwT", "cos_F"])


def _check_folder(path: Path) -> None:
    there = next(folder for folder in (path, *path.parents) if folder.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        what = "no directory" if there == path else f"below {str(there)!r}, which is none"
        raise BadInput(f"--export {str(path)!r} is {what} that can be written to")


def _split_settings(
    problem: Problem, frames: Frames, budget: Budget, request: Request
) -> dict[str, Any]:
    """The arguments of `split_frames` but the seed, with how many frames each part has."""
    options: MolecularOptions = request.options
    kind = options.split
    if kind is None:
        kind = "blocks" if frames.sequential else "random"
    if kind == "blocks" and not frames.sequential:
        raise BadInput(f"--split blocks: the frames of {problem.name!r} are no trajectory")
    apart: dict[str, Any] = {
        name: getattr(options, name)
        for name in ("blocks", "gap")
        if getattr(options, name) is not None
    }
    if kind == "blocks":
        apart = {"blocks": BLOCKS, "gap": problem.gap, **apart}
    elif apart:
        raise BadInput(f"--{next(iter(apart))}: a random split has no blocks")
    if frames.copies is not None and (frames.copies != range(len(frames))).any():
        apart["copies"] = True
    whole = split_of(frames, request.seed, {"kind": kind, **apart}).summary()
    sizes = {}
    for name, most in zip(("n_train", "n_val", "n_test"), budget.frames, strict=True):
        asked = getattr(options, name)
        sizes[name] = min(most or whole[name], whole[name]) if asked is None else asked
    settings = {"kind": kind, **apart, **sizes}
    # Refuses more frames than there are.
    split_of(frames, request.seed, settings)
    return settings


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
