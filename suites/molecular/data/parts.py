"""Training, validation and test frames that lie in files of their own, as published data do."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.spec.randomness import numpy_generator
from bench.text.errors import BadInput
from suites.molecular.data.duplicates import SAME, first_copies
from suites.molecular.data.frames import Frames
from suites.molecular.data.splits import HELD, Split, split_of

#: Name of the test set if it is the only one and nobody names it.
TEST = "test"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")


@dataclass(frozen=True)
class PartFiles:
    """Validation and test frames beside those of the training file.

    Attributes:
        val: Validation frames, if they have a file.
        tests: Test frames by the name of their set; the first is the one that tables show.
    """

    val: Frames | None = None
    tests: Mapping[str, Frames] = field(default_factory=dict)

    @property
    def held(self) -> tuple[str, ...]:
        """The parts that are still drawn from the training file."""
        without = {"val": self.val is None, "test": not self.tests}
        return tuple(part for part in HELD if without[part])

    def digests(self) -> dict[str, Any]:
        """What the spec says of them: digests of their contents. Nothing without a file."""
        found: dict[str, Any] = {}
        if self.val is not None:
            found["val"] = self.val.digest
        if self.tests:
            found["test"] = [[name, frames.digest] for name, frames in self.tests.items()]
        return found

    def all(self) -> list[Frames]:
        """The validation frames, then those of each test set."""
        return [frames for _, frames in self._files()]

    def split(self, training: Frames, seed: int, settings: Mapping[str, Any]) -> Split:
        """The split of `joined`.

        Args:
            training: Frames of the training file.
            seed: Root of the random numbers.
            settings: As of `split_of`. ``n_val`` and ``n_test`` are also the most
                frames that are drawn of each file.

        Raises:
            BadInput: As `split_of`.
        """
        if self.held == HELD:
            return split_of(training, seed, settings)
        kept = {k: v for k, v in settings.items() if k[2:] in self.held or k[:2] != "n_"}
        split = split_of(training, seed, {**kept, "n_train": settings["n_train"]}, self.held)
        rows, first = {}, len(training)
        for name, frames in self._files():
            most = settings["n_val"] if name == "val" else settings["n_test"]
            order = numpy_generator(seed, f"split/{name}").permutation(len(frames))
            rows[name] = first + np.sort(order[:most])
            first += len(frames)
        val = rows.pop("val", split.val)
        names = list(rows)
        test = rows.pop(names[0]) if names else split.test
        return replace(split, val=val, test=test, further={k[5:]: v for k, v in rows.items()})

    def joined(self, training: Frames, split: Split) -> Frames:
        """The training file's frames, then the validation file's, then those of each test file.

        Their warnings are those of the training file, then those of `warnings`. Their reading is
        that of the training file with those of the others.
        """
        whole = joined([training, *self.all()])
        reading = training.reading
        if reading is not None:
            others = {name: f.reading for name, f in self._files() if f.reading is not None}
            reading = replace(reading, others=others)
        warnings = (*training.warnings, *self.warnings(training, split))
        return replace(whole, warnings=warnings, reading=reading)

    def warnings(self, training: Frames, split: Split) -> tuple[str, ...]:
        """Sentences about the validation and test files, each with the name of its file.

        Beside what was found in each file: how many of its frames that are used are training frames
        too, and how many test frames are validation frames. They stay where they are.

        Args:
            training: Frames of the training file.
            split: Of `split`.
        """
        files = self._files()
        if not files:
            return ()
        found = [f"{frames.source}: {text}" for _, frames in files for text in frames.warnings]
        copies = _first_copies([training, *self.all()])
        first, *_ = (*self.tests, None)
        for name, frames in files:
            part = "validation" if name == "val" else "test"
            rows = split.val
            if part == "test":
                rows = split.test if name == f"test:{first}" else split.further[name[5:]]
            again = np.isin(copies[rows], copies[split.train])
            if again.any():
                found.append(_known(frames, part, again, "training", training))
            chosen = np.isin(copies[rows], copies[split.val]) & ~again
            if part == "test" and chosen.any():
                file = training if self.val is None else self.val
                found.append(_known(frames, part, chosen, "validation", file))
        return tuple(found)

    def _files(self) -> list[tuple[str, Frames]]:
        own = [] if self.val is None else [("val", self.val)]
        return [*own, *((f"test:{name}", frames) for name, frames in self.tests.items())]


#: By what tells the frames of some files, their copies: a study asks for them with each run.
_COPIES: dict[tuple[object, ...], np.ndarray] = {}
_MOST_KEPT = 8


def _first_copies(several: Sequence[Frames]) -> np.ndarray:
    """As `first_copies`, of the frames of several files; looked for once."""
    # The same file may be read with another unit of length, or with other frames left out.
    key = tuple((f.digest, f.energy_unit, len(f), float(f.positions.sum())) for f in several)
    if key not in _COPIES:
        while len(_COPIES) >= _MOST_KEPT:
            del _COPIES[next(iter(_COPIES))]
        _COPIES[key] = first_copies(joined(several))
    return _COPIES[key]


def _known(frames: Frames, part: str, which: np.ndarray, other: str, file: Frames) -> str:
    return (
        f"{frames.source}: {which.sum()} of the {len(which)} {part} frames are also {other} frames,"
        f" of {file.source} (to {SAME:g} Å)"
    )


def joined(several: Sequence[Frames]) -> Frames:
    """Frames of several sources, one after the other; what they are called is the first's.

    Raises:
        BadInput: Their units of energy differ.
    """
    first = several[0]
    if len(several) == 1:
        return first
    for frames in several:
        if frames.energy_unit != first.energy_unit:
            raise BadInput(
                f"{frames.source}: its energies are in {frames.energy_unit}, and those of"
                f" {first.source} in {first.energy_unit}"
            )
    groups = None
    if any(frames.groups is not None for frames in several):
        groups = np.concatenate(
            [np.full(len(f), "none") if f.groups is None else f.groups for f in several]
        )
    stresses = None
    if any(frames.stresses is not None for frames in several):
        stresses = np.concatenate(
            [np.full((len(f), 3, 3), np.nan) if f.stresses is None else f.stresses for f in several]
        )
    ends = np.cumsum([0, *(len(frames.numbers) for frames in several)])
    return replace(
        first,
        numbers=np.concatenate([frames.numbers for frames in several]),
        positions=np.concatenate([frames.positions for frames in several]),
        energies=np.concatenate([frames.energies for frames in several]),
        forces=np.concatenate([frames.forces for frames in several]),
        first=np.concatenate(
            [[0], *(f.first[1:] + end for f, end in zip(several, ends[:-1], strict=True))]
        ),
        cells=np.concatenate([frames.cells for frames in several]),
        pbc=np.concatenate([frames.pbc for frames in several]),
        stresses=stresses,
        groups=groups,
        sequential=False,
        copies=None,
    )


def named_test_files(given: Sequence[str]) -> dict[str, Path]:
    """The test files by the names of their sets, from ``name=path`` or ``path``.

    A path alone is called by its file's name without the ending; the first one, if it is the only
    one, `TEST`.

    Raises:
        BadInput: A name has other characters than letters, digits and ``_.+-``, or is there twice.
    """
    found: dict[str, Path] = {}
    for text in given:
        name, equals, rest = text.partition("=")
        path = Path(rest if equals and "/" not in name else text)
        if not equals or "/" in name:
            name = TEST if len(given) == 1 else path.name.partition(".")[0]
        if not _NAME.fullmatch(name):
            raise BadInput(
                f"--test-file {text}: the name {name!r} must be of letters, digits and _.+-;"
                " NAME=FILE names it"
            )
        if name in found:
            raise BadInput(f"--test-file {text}: two test sets are called {name!r}; NAME=FILE")
        found[name] = path
    return found
