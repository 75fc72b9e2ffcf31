"""A training step against stock SchNetPack: its database, loader and ``AtomisticTask``."""

from __future__ import annotations

import contextlib
import copy
import logging
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchmetrics
from ase import Atoms
from msgspec.structs import replace
from schnetpack.data import AtomsDataFormat, AtomsLoader, create_dataset
from schnetpack.model import NeuralNetworkPotential
from schnetpack.task import AtomisticTask, ModelOutput
from schnetpack.transform import (
    CastTo32,
    CastTo64,
    MatScipyNeighborList,
    RemoveOffsets,
    SubtractCenterOfMass,
)
from torch import Tensor

from bench.arm import Arm
from bench.spec.spec import Spec
from bench.spec.training_options import TrainingOptions
from bench.task import Contender, Request, SpeedCase, Suite
from bench.text.errors import typed
from bench.training.stock_speed import relative_difference
from suites.molecular.data.frames import Frames
from suites.molecular.models.potential import ENERGY, FORCES
from suites.molecular.options import MolecularOptions, MolecularSpeedOptions
from suites.molecular.task import MolecularTask, build

#: Rows of SchNetPack's tables by atomic number.
_ELEMENTS = 100


def speed_cases(
    suite: Suite, options: MolecularSpeedOptions, dtype: str, device: torch.device
) -> Iterator[SpeedCase]:
    """A case for each model and batch size, under the protocol ``standard``.

    Args:
        suite: The molecular suite.
        options: What is compared.
        dtype: Of the timed steps.
        device: Where to run.
    """
    for model in options.models:
        for batch in options.batches:
            exact, timed = (
                _specify(suite, options.problem, model, batch, one, device)
                for one in ("float64", dtype)
            )
            with tempfile.TemporaryDirectory() as directory:
                yield _case(exact, timed, device, Path(directory), options.compile == "on")


def _case(
    double: Spec, timed: Spec, device: torch.device, directory: Path, compiled: bool
) -> SpeedCase:
    """Compared in double precision, then timed."""
    exact = build(double, device)
    theirs = StockStep(exact, directory / "exact", device).loss_and_gradients()
    difference = relative_difference(_loss_and_gradients(exact), theirs)
    task = build(timed, device)
    model = timed.model
    contenders = [Contender("preloaded", task.step, difference)]
    stock = StockStep(task, directory / "timed", device)
    # On a GPU the step is captured either way.
    ways = [] if device.type == "cpu" else ["auto"]
    left_out: dict[str, str] = {}
    for way in [*ways, *(["on"] if compiled else [])]:
        try:
            contenders.append(_compiled(double, timed, theirs, device, way))
        except Exception as error:  # no compiler, a module that cannot be traced
            left_out["captured" if way == "auto" else "compiled"] = typed(error)
    return SpeedCase(
        f"{model} {timed.problem} b{timed.settings['batch']}",
        stock,
        contenders,
        {"problem": timed.problem, "model": model, "arm": timed.arm},
        left_out=left_out,
    )


def _compiled(
    double: Spec, timed: Spec, theirs: Sequence[Tensor], device: torch.device, way: str
) -> Contender:
    """The compiled or captured step, in double precision as well.

    Raises:
        Exception: Whatever tracing or the compiler raises.
    """
    exact = _asking(way, double, device)
    assert exact.compiled is not None
    found = exact.compiled.executed_loss_and_gradients(_first_rows(exact))
    difference = relative_difference(found, theirs)
    task = _asking(way, timed, device)
    assert task.compiled is not None
    start = time.perf_counter()
    task.step()
    setup = time.perf_counter() - start
    return Contender(task.compiled.how["executed"], task.step, difference, setup_s=setup)


def _asking(way: str, spec: Spec, device: torch.device) -> MolecularTask:
    return build(replace(spec, settings={**spec.settings, "compile": way}), device)


def _specify(
    suite: Suite, problem: str, model: str, batch: int, dtype: str, device: torch.device
) -> Spec:
    return suite.specify(
        Request(
            problem=problem,
            model=model,
            arm=Arm(),
            seed=0,
            budget="quick",
            device=device.type,
            dtype=dtype,
            training=TrainingOptions(),
            options=MolecularOptions(batch=batch, compile="off"),
        )
    )


def _first_rows(task: MolecularTask) -> np.ndarray:
    return np.arange(task.spec.settings["batch"])


def _loss_and_gradients(task: MolecularTask) -> list[Tensor]:
    loss = task.losses(task.training.batch(_first_rows(task)))["loss"]
    parameters = list(task.net.parameters())
    return [loss.detach(), *torch.autograd.grad(loss, parameters, materialize_grads=True)]


class StockStep:
    """A training step as SchNetPack's own: next batch of its loader, its task, its optimiser.

    Lightning's trainer is left out: it is not what costs, and it would only slow stock down.

    Args:
        task: The suite's task; its frames, labels, weights and settings are copied.
        path: A directory for the database.
        device: Where to run.
    """

    def __init__(self, task: MolecularTask, path: Path, device: torch.device) -> None:
        path.mkdir()
        self._device = device
        protocol = task.protocol
        net: NeuralNetworkPotential = copy.deepcopy(task.net).train()
        metrics = {
            "mae": torchmetrics.regression.MeanAbsoluteError(),
            "rmse": torchmetrics.regression.MeanSquaredError(squared=False),
        }
        weights = {ENERGY: protocol.energy_weight, FORCES: protocol.force_weight}
        with _quiet():
            self._task = AtomisticTask(
                net,
                [
                    ModelOutput(name, torch.nn.MSELoss(), weight, copy.deepcopy(metrics))
                    for name, weight in weights.items()
                ],
                optimizer_cls=torch.optim.AdamW,
                optimizer_args={"lr": protocol.lr, "weight_decay": protocol.weight_decay},
            ).to(device)
            self._optimizer: Any = self._task.configure_optimizers()
        # Its transforms make tensors without naming a device, and theirs is the CPU.
        with torch.device("cpu"):
            self._load(task, path)

    def _load(self, task: MolecularTask, path: Path) -> None:
        """Database, transforms and loader."""
        with _quiet():
            dataset = _database(path, task.training_frames)
        atomrefs = torch.zeros(_ELEMENTS, dtype=torch.float64)
        for number, energy in task.scale.elements.items():
            atomrefs[number] = energy
        offsets = RemoveOffsets(ENERGY, remove_atomrefs=True, atomrefs=atomrefs)
        cast = CastTo64() if task.dtype == torch.float64 else CastTo32()
        dataset.transforms = [
            SubtractCenterOfMass(),
            offsets,
            MatScipyNeighborList(cutoff=task.model.size.cutoff),
            cast,
        ]
        size = task.spec.settings["batch"]
        self._in_order = AtomsLoader(dataset, batch_size=size)
        generator = torch.Generator("cpu").manual_seed(0)
        self._loader = AtomsLoader(
            dataset, batch_size=size, shuffle=True, drop_last=True, generator=generator
        )
        self._batches = self._endless()

    def _endless(self) -> Iterator[dict[str, Tensor]]:
        while True:
            with torch.device("cpu"):  # where the loader's generator is
                batches = iter(self._loader)
            for _ in range(len(self._loader)):
                with torch.device("cpu"):
                    batch = next(batches)
                yield batch

    def _loss(self, batch: dict[str, Tensor]) -> Tensor:
        moved = {name: tensor.to(self._device) for name, tensor in batch.items()}
        loss: Tensor = self._task.training_step(moved, 0)
        return loss

    def loss_and_gradients(self) -> list[Tensor]:
        """Loss on the first frames, and its gradient by each parameter."""
        with _quiet():
            with torch.device("cpu"):
                batch = next(iter(self._in_order))
            loss = self._loss(batch)
        parameters = list(self._task.model.parameters())
        return [loss.detach(), *torch.autograd.grad(loss, parameters, materialize_grads=True)]

    def __call__(self) -> None:
        """One step."""
        with _quiet():
            loss = self._loss(next(self._batches))
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the warnings of a task that has no trainer."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _database(path: Path, frames: Frames) -> Any:
    """SchNetPack's ASE database of the frames."""
    dataset = create_dataset(
        datapath=str(path / "frames.db"),
        format=AtomsDataFormat.ASE,
        distance_unit="Ang",
        property_unit_dict={ENERGY: frames.energy_unit, FORCES: f"{frames.energy_unit}/Ang"},
    )
    systems, labels = [], []
    for k in range(len(frames)):
        atoms = slice(frames.first[k], frames.first[k + 1])
        systems.append(
            Atoms(
                frames.numbers[atoms],
                frames.positions[atoms],
                cell=frames.cells[k],
                pbc=frames.pbc[k],
            )
        )
        labels.append({ENERGY: frames.energies[k : k + 1], FORCES: frames.forces[atoms]})
    with dataset.conn:  # one transaction, not one a frame
        dataset.add_systems(property_list=labels, atoms_list=systems)
    return dataset
