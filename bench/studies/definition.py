"""What a study is: arms × problems × models that answer one question."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import msgspec

from bench.arm import BASELINE, Arm
from bench.studies.names import checked_names
from bench.text.errors import BadInput, unknown


@dataclass(frozen=True, order=True)
class Variant:
    """What a study varies: an arm, and options of the suite.

    Attributes:
        arm: The arm.
        options: Words of the suite's command line, for instance ``("--eps", "1e-14")``.
    """

    arm: Arm
    options: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Variant:
        """The variant of a text such as ``"rescale=1e6 --eps 1e-14"``: an arm, then options.

        Raises:
            BadInput: There is no such arm, or the text is no command line.
        """
        arm, *options = split_words(text) or [""]
        return cls(Arm.parse(arm), tuple(options))

    def __str__(self) -> str:
        return shlex.join([str(self.arm), *self.options]) if self.options else str(self.arm)

    @property
    def parts(self) -> frozenset[str]:
        """The techniques, and the options with their values."""
        options = re.split(r"\s(?=--)", shlex.join(self.options)) if self.options else []
        return frozenset([*self.arm.choices().values(), *options])


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a study runs on one suite.

    Attributes:
        suite: Name of the suite.
        arms: Variants; see `Variant.parse`.
        models: Networks; the suite's default if empty.
        problems: Problems; the suite's default if empty.
        options: Options for every run, as words of the suite's command line.
        compare: Pairs (variant, reference); if empty, each variant with the first.
        factors: Techniques or options whose effects and interactions are estimated: all
            combinations of them are among the arms.
        names: Short names of arms, for tables and figures: ``{Snake = "activation=mine:Snake"}``.
    """

    suite: str
    arms: list[str]
    models: list[str] = []
    problems: list[str] = []
    options: str = ""
    compare: list[tuple[str, str]] = []
    factors: list[str] = []
    names: dict[str, str] = {}

    def variants(self) -> list[Variant]:
        """The variants, each once."""
        return list(dict.fromkeys(Variant.parse(text) for text in self.arms))

    def comparisons(self) -> list[tuple[str, str]]:
        """Pairs (variant, reference) in canonical spelling, each once."""
        names = [str(variant) for variant in self.variants()]
        if not self.compare:
            return [(name, names[0]) for name in names[1:]]
        pairs = [
            (str(Variant.parse(one)), str(Variant.parse(other))) for one, other in self.compare
        ]
        return list(dict.fromkeys(pairs))

    def named(self) -> dict[str, str]:
        """The arm of each short name, in canonical spelling; refuses what `checked_names` does."""
        arms = [str(variant) for variant in self.variants()]
        names = {name: str(Variant.parse(text)) for name, text in self.names.items()}
        return checked_names(names, arms, f"the part on {self.suite!r}")

    def check(self) -> None:
        """Refuse a part that cannot be compared.

        Raises:
            BadInput: There are fewer than two variants, a pair names one that is not run, a
                combination of the factors is missing, or a short name is wrong.
        """
        names = [str(variant) for variant in self.variants()]
        if len(names) < 2:
            raise BadInput(f"the part on {self.suite!r} has {len(names)} arms: nothing to compare")
        for pair in self.comparisons():
            for name in pair:
                if name not in names:
                    raise unknown(f"arm in compare of the part on {self.suite!r}:", name, names)
            if pair[0] == pair[1]:
                raise BadInput(f"compare of the part on {self.suite!r}: {pair[0]!r} with itself")
        factorial_cells(self.variants(), self.factors)
        self.named()


class Study(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A question and what is run to answer it.

    Attributes:
        question: The question in one sentence.
        part: What is run on each suite.
        name: Name of the study; that of a file is the file's stem.
    """

    question: str
    part: list[Part]
    name: str = ""

    def on(self, suite: str | None) -> list[Part]:
        """The parts on one suite, or all parts.

        Raises:
            BadInput: There is none.
        """
        suites = [part.suite for part in self.part]
        if suite is not None and suite not in suites:
            raise unknown(f"suite of the study {self.name!r}:", suite, suites)
        return [part for part in self.part if suite in (None, part.suite)]


def factorial_cells(
    variants: Sequence[Variant], factors: Sequence[str]
) -> dict[tuple[bool, ...], str]:
    """The variant of each combination of factors that are on or off; empty without factors.

    Raises:
        BadInput: A combination has no variant, or a factor is empty or shares a part with another.
    """
    if not factors:
        return {}
    parts = [_factor(text) for text in factors]
    every = frozenset().union(*parts)
    if not all(parts) or len(every) < sum(map(len, parts)):
        raise BadInput(
            f"factors {', '.join(map(repr, factors))}: each is a technique or an option of its own"
        )
    if 2 ** len(factors) > len(variants):
        raise BadInput(
            f"factors {', '.join(factors)} have 2^{len(factors)} combinations, and there are"
            f" {len(variants)} arms"
        )
    cells: dict[tuple[bool, ...], str] = {}
    for on in product((False, True), repeat=len(factors)):
        wanted = frozenset().union(*(part for part, is_on in zip(parts, on, strict=True) if is_on))
        found = [str(v) for v in variants if v.parts & every == wanted and v.parts <= every]
        if not found:
            raise BadInput(
                f"factors {', '.join(factors)}: no arm has exactly {sorted(wanted) or BASELINE}"
            )
        cells[on] = found[0]
    return cells


def _factor(text: str) -> frozenset[str]:
    """The parts of a factor, which may be options alone."""
    return Variant.parse(f"{BASELINE} {text}" if text.startswith("--") else text).parts


def split_words(text: str) -> list[str]:
    """The words of a command line.

    Raises:
        BadInput: A quotation does not end.
    """
    try:
        return shlex.split(text)
    except ValueError as error:
        raise BadInput(f"{text!r} is no command line: {error}") from error
