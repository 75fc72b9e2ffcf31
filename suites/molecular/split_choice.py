"""Which split a run gets: as asked, or what suits the frames, with a sentence that says so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from bench.text.errors import BadInput
from suites.molecular.budgets import Budget
from suites.molecular.data.frames import Frames
from suites.molecular.data.order import find_order
from suites.molecular.data.parts import PartFiles
from suites.molecular.data.splits import BLOCKS, FILES, split_of
from suites.molecular.options import MolecularOptions
from suites.molecular.problems.problem import Problem

#: Of fewer frames a tenth is one frame, whose scores say little.
_FEW = 10
#: One to train on, and one for each other part.
_FEWEST = 3
_PARTS = {"n_train": "training", "n_val": "validation", "n_test": "test"}


class Chosen(NamedTuple):
    """Arguments of `PartFiles.split`, and what a user should know of them, in sentences."""

    settings: dict[str, Any]
    said: list[str]


def choose_split(
    problem: Problem,
    frames: Frames,
    files: PartFiles,
    budget: Budget,
    options: MolecularOptions,
    seed: int,
    own: bool,
) -> Chosen:
    """The split of a run.

    The frames of a shipped problem are a trajectory or not by its definition; those of an own file
    if `find_order` finds that they are. Without ``--split`` a trajectory with enough frames is cut
    into blocks, and anything else is split at random. What nobody gave (the number of blocks, the
    gap) becomes smaller where it does not fit; what was given does not.

    Args:
        problem: The data set.
        frames: Frames of the training file.
        files: Frames of other files.
        budget: How many frames are used at most.
        options: What was asked for.
        seed: Root of the random numbers.
        own: The problem is an own file.

    Raises:
        BadInput: The split that was asked for does not suit the frames, or there are too few.
    """
    said: list[str] = []
    different = len(frames) if frames.copies is None else len(np.unique(frames.copies))
    if files.held and different < _FEWEST:
        raise BadInput(
            f"{frames.source}: a split needs at least {_FEWEST} different frames, got {different};"
            " --val-file and --test-file take the others' from files of their own"
        )
    if files.held:
        kind, apart = _kind(problem, frames, options, own, said, len(frames))
    else:
        for name in ("split", "blocks", "gap"):
            if getattr(options, name) is not None:
                raise BadInput(
                    f"--{name} {getattr(options, name)}: validation and test frames have files of"
                    " their own, and nothing is split"
                )
        kind, apart = FILES, {}
    if files.held and frames.copies is not None and (frames.copies != range(len(frames))).any():
        apart = {**apart, "copies": True}
    whole = split_of(frames, seed, {"kind": kind, **apart}, files.held).summary()
    for part in files.held:
        if not whole[f"n_{part}"]:
            raise BadInput(
                f"--split {kind}: {frames.source} has no {_PARTS[f'n_{part}']} frame left, as all"
                " copies of a frame are in one part; --split random leaves some"
            )
    most = {name: [whole[name]] for name in _PARTS}
    if files.val is not None:
        most["n_val"] = [len(files.val)]
    if files.tests:
        most["n_test"] = [len(test) for test in files.tests.values()]
    sizes = {}
    for (name, part), limit in zip(_PARTS.items(), budget.frames, strict=True):
        asked = getattr(options, name)
        if asked is None:
            sizes[name] = min(limit or max(most[name]), max(most[name]))
        elif 1 <= asked <= min(most[name]):
            sizes[name] = asked
        else:
            raise BadInput(
                f"--{name.replace('_', '-')} {asked}: there are {min(most[name])} {part} frames"
                f" ({len(frames)} in {problem.name}); from 1 to {min(most[name])}"
            )
    if own and files.held and len(frames) < _FEW:
        said.append(
            f"{frames.source}: of {len(frames)} frames one is held out for each of"
            f" {' and '.join(_PARTS[f'n_{part}'] for part in files.held)}, whose scores say little"
        )
    return Chosen({"kind": kind, **apart, **sizes}, said)


def _kind(
    problem: Problem,
    frames: Frames,
    options: MolecularOptions,
    own: bool,
    said: list[str],
    count: int,
) -> tuple[str, Mapping[str, Any]]:
    """The kind of split, with its blocks and gap."""
    of_blocks = [name for name in ("blocks", "gap") if getattr(options, name) is not None]
    asked = options.split
    if asked == "random":
        if of_blocks:
            raise BadInput(f"--{of_blocks[0]}: a random split has no blocks")
        return "random", {}
    if own:
        trajectory, why = find_order(frames)
    else:
        trajectory, why = frames.sequential, "its frames have no order"
    if not trajectory:
        if asked or of_blocks:
            option = "--split blocks" if asked else f"--{of_blocks[0]}"
            raise BadInput(
                f"{option}: {problem.name} is no trajectory: {why}; --split random splits it"
            )
        if own:
            said.append(f"{frames.source}: a random split: it is no trajectory: {why}")
        return "random", {}
    enough = BLOCKS * (2 * problem.gap + 1)
    if own and asked is None and not of_blocks and count < enough:
        said.append(
            f"{frames.source}: a random split, though it is a trajectory ({why}): {count} frames"
            f" are less than the {enough} of {BLOCKS} blocks {problem.gap} apart; test frames are"
            " like their neighbours, on which it trains; --split blocks makes do with smaller gaps"
        )
        return "random", {}
    if own and asked is None:
        said.append(f"{frames.source}: a split by blocks: it is a trajectory: {why}")
    return "blocks", _fitting(problem, count, options, said)


def _fitting(
    problem: Problem, count: int, options: MolecularOptions, said: list[str]
) -> dict[str, int]:
    """Blocks and gap: those that were given, and the default for the other where it fits."""
    blocks = BLOCKS if options.blocks is None else options.blocks
    gap = problem.gap if options.gap is None else options.gap
    if options.blocks is None:
        # With a gap that nobody gave, a frame a block is enough.
        least = 1 if options.gap is None else 2 * max(gap, 0) + 1
        blocks = max(3, min(BLOCKS, count // least))
    if options.gap is None and blocks > 0:
        gap = max(0, min(gap, (count // blocks - 1) // 2))
    if options.gap is not None and count // 3 <= 2 * gap:
        raise BadInput(
            f"--gap {gap}: {problem.name} has {count} frames, which are at least 3 blocks with a"
            f" frame between two gaps; at most {max(0, (count // 3 - 1) // 2)}"
        )
    changed = []
    if options.blocks is None and blocks != BLOCKS:
        changed.append(f"{blocks} blocks instead of {BLOCKS}")
    if options.gap is None and gap != problem.gap:
        changed.append(f"{gap} frames left out between blocks instead of {problem.gap}")
    if changed:
        said.append(f"{problem.name}: {' and '.join(changed)}, which suits its {count} frames")
    return {"blocks": blocks, "gap": gap}
