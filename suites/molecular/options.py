"""The options of the molecular suite, and of its comparison with stock SchNetPack."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from bench.spec.options import Doc, Options, one_of
from suites.molecular.data.splits import BLOCKS, KINDS
from suites.molecular.data.stresses import NO_STRESS
from suites.molecular.data.unseen import CHOICES
from suites.molecular.protocols import ERRORS, PROTOCOLS
from suites.molecular.references import REFERENCES
from suites.molecular.units import ENERGY_UNITS, LENGTH_UNITS, PRESSURE_UNITS

#: Whether a step is compiled; ``auto``: where a run is long enough to pay for it.
COMPILE = ("auto", "on", "off")
#: Where an arm's activation goes.
SCOPES = ("published", "all")


class MolecularOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options of a run of this suite, beside arms, model, budget and training."""

    protocol: Annotated[str, one_of(PROTOCOLS)] = "standard"
    scope: Annotated[
        str,
        Doc(
            "where an arm's activation goes; published: where arXiv 2310.01649 put it; all:"
            " representation and read-out, never gates",
            "NAME",
            SCOPES,
        ),
    ] = "published"
    loss: Annotated[
        str | None,
        Doc("the error of energies and of forces, instead of the protocol's", "NAME", ERRORS),
    ] = None
    batch: Annotated[int | None, Doc("frames in a batch", "N", also=("batch-size",))] = None
    ema: Annotated[float | None, Doc("decay of the scored average (0: none)", "X")] = None
    split: Annotated[
        str | None,
        Doc(
            "blocks (parts of the trajectory, apart) or random (as published); without it blocks"
            " for trajectories of enough frames",
            "KIND",
            tuple(KINDS),
        ),
    ] = None
    blocks: Annotated[
        int | None, Doc(f"how many blocks of the trajectory; without it {BLOCKS}", "N")
    ] = None
    gap: Annotated[int | None, Doc("frames left out between blocks", "N")] = None
    n_train: Annotated[int | None, Doc("training frames, of those of the split", "N")] = None
    n_val: Annotated[int | None, Doc("validation frames, of those of the split", "N")] = None
    n_test: Annotated[int | None, Doc("test frames, of those of the split", "N")] = None
    unseen_elements: Annotated[
        str,
        Doc(
            "validation and test frames with elements that no training frame has; refuse: no run;"
            " apart: left out of the scores, and scored as unseen_MAE_F, unseen_MAE_E, …",
            "NAME",
            CHOICES,
        ),
    ] = CHOICES[0]
    data_root: Annotated[
        Path | None, Doc("folder with MD17's and revised MD17's npz files", "DIR")
    ] = None
    download: Annotated[bool, Doc("fetch a missing file of MD17 by SchNetPack")] = False
    energy_unit: Annotated[
        str | None, Doc(f"energy unit of your own file: {', '.join(ENERGY_UNITS)}", "UNIT")
    ] = None
    length_unit: Annotated[
        str | None,
        Doc(
            f"length unit of your own file: {', '.join(LENGTH_UNITS)}; without it the unit that"
            " the file states, or Ang",
            "UNIT",
        ),
    ] = None
    force_unit: Annotated[
        str | None,
        Doc(
            "force unit of your own file, as Hartree/Bohr; without it the energies' unit per"
            " length unit",
            "UNIT",
        ),
    ] = None
    energy_key: Annotated[
        str | None, Doc("where an own file has its energies; without it looked for", "NAME")
    ] = None
    forces_key: Annotated[
        str | None, Doc("where an own file has its forces; without it looked for", "NAME")
    ] = None
    require_labels: Annotated[
        bool, Doc("frames without energy or forces are an error, not left out")
    ] = False
    val_file: Annotated[
        Path | None, Doc("a file of its own with the validation frames", "FILE")
    ] = None
    test_file: Annotated[
        tuple[str, ...],
        Doc(
            "a file of its own with the test frames; several are scored each, the first in the"
            " tables",
            "[NAME=]FILE",
        ),
    ] = ()
    references: Annotated[
        str | None,
        Doc(
            "the energies of elements that an offset removes: of the file's isolated atoms (without"
            " it, where it has them) or fitted to the training frames",
            "KIND",
            REFERENCES,
        ),
    ] = None
    stress_weight: Annotated[
        float | None,
        Doc("weight of the stresses' error in the loss, beside the protocol's; without it 0", "W"),
    ] = None
    stress_key: Annotated[
        str | None,
        Doc(
            "where an own file has its stresses, or virials if the name says so; without it found"
            f" by itself; {NO_STRESS}: leave them out",
            "NAME",
        ),
    ] = None
    stress_unit: Annotated[
        str | None,
        Doc(
            "unit of an own file's stresses; without it the unit that the file states, or that of"
            " its energies per cubed length",
            "UNIT",
            PRESSURE_UNITS,
        ),
    ] = None
    compile: Annotated[
        str,
        Doc("compile a step; auto: where the run is long enough to pay for it", "WHEN", COMPILE),
    ] = COMPILE[0]
    md: Annotated[
        int | None,
        Doc("molecular dynamics of the trained potential from test frames: steps of 0.5 fs", "N"),
    ] = None
    export: Annotated[
        Path | None, Doc("write each trained potential for suites.molecular.calculator", "DIR")
    ] = None


class MolecularSpeedOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which steps are compared with stock SchNetPack's."""

    models: Annotated[tuple[str, ...], Doc("a network", "NAME", flag="model")] = (
        "schnet:128x3",
        "painn:128x3",
    )
    problem: Annotated[str, Doc("a molecule that is shipped", "NAME")] = "xtb-ethanol"
    batches: Annotated[tuple[int, ...], Doc("frames in a batch", "N", flag="batch")] = (10,)
    compile: Annotated[
        str,
        Doc("on: the compiled step, too, which takes a minute to compile", "WHEN", ("on", "off")),
    ] = "on"
