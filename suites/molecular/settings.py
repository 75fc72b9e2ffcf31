"""What the spec of a run says of its data, its split and its training, as it is asked for."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.spec.spec import Spec
from bench.task import Request
from bench.techniques.offset import label_choices
from bench.text.errors import BadInput
from suites.molecular.budgets import Budget
from suites.molecular.data.frames import Frames
from suites.molecular.data.parts import PartFiles
from suites.molecular.data.splits import Split
from suites.molecular.data.unseen import require_seen
from suites.molecular.labels import label_scale
from suites.molecular.options import COMPILE, MolecularOptions
from suites.molecular.problems.catalogue import PROBLEMS, Problem
from suites.molecular.protocols import get_protocol
from suites.molecular.references import given_references
from suites.molecular.sources import (
    asked_frames,
    file_settings,
    references_sentence,
    references_setting,
)
from suites.molecular.split_choice import choose_split

if TYPE_CHECKING:
    import numpy as np


class Asked(NamedTuple):
    """What a run is asked to be.

    Attributes:
        settings: `bench.spec.spec.Spec.settings` without the network's.
        training: The training frames, if they are of a user's own file.
        said: What the user should know of the files and of what was chosen, in sentences.
    """

    settings: dict[str, Any]
    training: Frames | None
    said: list[str]


def run_settings(problem: Problem, budget: Budget, request: Request) -> Asked:
    """Data, split and protocol of a run.

    Raises:
        BadInput: An option or a data file is wrong.
    """
    options: MolecularOptions = request.options
    protocol = get_protocol(options.protocol)
    frames, files = asked_frames(problem, options)
    own = request.problem not in PROBLEMS
    split, said = choose_split(problem, frames, files, budget, options, request.seed, own)
    n_train = split["n_train"]
    batch = min(protocol.batch, n_train) if options.batch is None else options.batch
    if batch < protocol.batch and options.batch is None:
        said.append(
            f"{problem.name}: batches of all {n_train} training frames, which are fewer than"
            f" the {protocol.batch} of protocol {options.protocol!r}"
        )
    ema = protocol.ema if options.ema is None else options.ema
    if not 1 <= batch <= n_train:
        raise BadInput(f"--batch must be from 1 to {n_train}, the training frames, got {batch}")
    if not 0 <= ema < 1:
        raise BadInput(f"--ema must be from 0 to below 1, got {ema}")
    loss = protocol.error if options.loss is None else options.loss
    total_energies = protocol.total_energies and problem.valence_only
    if total_energies and files.digests():
        raise BadInput(
            f"--val-file and --test-file: protocol {options.protocol!r} changes the energies of"
            f" {problem.name}, and cannot those of another file (protocol 'standard' can)"
        )
    references = references_setting(frames, options)
    parts = files.split(frames, request.seed, split)
    # Frames of one molecule have the same elements.
    apart = (problem.formula is None or bool(files.digests())) and require_seen(
        files.joined(frames, parts), parts, options.unseen_elements
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
        "file": file_settings(frames, options),
        "total_energies": total_energies,
        "data": frames.digest,
        **({"files": files.digests()} if files.digests() else {}),
        **references,
        "split": split,
        **({"unseen_elements": "apart"} if apart else {}),
        **_stress_weight(options, frames, parts.train),
        **_dynamics(options),
        # The default decides from counts, and leaves the names of runs as they are.
        **({} if options.compile == COMPILE[0] else {"compile": options.compile}),
    }
    sentences = [
        *_of_files(frames, files, parts, own),
        *references_sentence(frames, references),
        *said,
    ]
    return Asked(settings, frames.select(parts.train) if own else None, sentences)


def check_labels(training: Frames, spec: Spec) -> None:
    """Refuse labels that cannot be scaled as a spec wants it.

    Args:
        training: The training frames.
        spec: Of the run.

    Raises:
        BadInput: The offset or the rescaling cannot be used with these frames.
    """
    choices = label_choices(spec.axes, get_protocol(spec.settings["protocol"]).offset)
    label_scale(*choices, training, given_references(spec.settings))


def _of_files(frames: Frames, files: PartFiles, split: Split, own: bool) -> Iterator[str]:
    """What the user should know of the files."""
    others = files.all()
    for read in [*([frames] if own else []), *others]:
        yield from read.reading.sentences(read.source) if read.reading else []
    for read in others:
        if read.reading is not None and read.reading.isolated:
            count = len(read.reading.isolated)
            yield f"{read.source}: {count} isolated atoms are left out: they are no test frames"
    yield from (f"{frames.source}: {text}" for text in frames.warnings)
    yield from files.warnings(frames, split)


def _stress_weight(
    options: MolecularOptions, frames: Frames, training: np.ndarray
) -> dict[str, float]:
    """The weight of stresses in the loss, if there is one, which the training frames can follow."""
    weight = options.stress_weight
    if weight is None:
        return {}
    if not 0 <= weight < math.inf:
        raise BadInput(f"--stress-weight must be a finite number of at least 0, got {weight}")
    if not weight:
        return {}
    if not frames.stressed[training].any():
        raise BadInput(
            f"--stress-weight {weight:g}: no training frame of {frames.source} has a stress or"
            " virial and is periodic along all three lattice vectors; the nearest is"
            " --stress-weight 0"
        )
    return {"stress_weight": weight}


def _dynamics(options: MolecularOptions) -> dict[str, int]:
    """The steps of the molecular dynamics test, if one is asked for."""
    if options.md is None:
        return {}
    # Imported here because it starts ASE.
    from suites.molecular.molecular_dynamics import require_steps

    require_steps(options.md)
    return {"md": options.md}
