"""Arms and comparisons that several suites' studies are made of."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from bench.arm import BASELINE

#: Denormalisation and rescaling: none, each, both.
SEPARATE = [BASELINE, "denorm", "rescale", "denorm+rescale"]
#: Each integrated activation, and what it integrates.
INTEGRATED = {"irelu": "relu", "ielu": "elu", "igelu": "gelu", "isilu": "silu"}
#: The paper's three techniques.
THREE = ["irelu", "denorm", "rescale"]
#: Adam's eps without effect.
TINY_EPS = "--eps 1e-20"

Pairs = list[tuple[str, str]]


def combinations(tokens: Sequence[str]) -> list[str]:
    """Every combination of the tokens; that of none is the baseline."""
    chosen = product((False, True), repeat=len(tokens))
    sums = ["+".join(t for t, on in zip(tokens, row, strict=True) if on) for row in chosen]
    return [text or BASELINE for text in sums]


def joined(activation: str, *tokens: str) -> str:
    """The arm of an activation, or of none, and further techniques."""
    return "+".join(token for token in (activation, *tokens) if token) or BASELINE


def integrated(*common: tuple[str, ...]) -> tuple[list[str], Pairs]:
    """Integrated activations and their originals, each with the same other techniques.

    Returns:
        Arms, and the pairs to compare.
    """
    arms: list[str] = []
    pairs: Pairs = []
    for tokens in common:
        arms.append(joined("", *tokens))
        for one, original in INTEGRATED.items():
            arms += [joined(one, *tokens), joined(original, *tokens)]
            pairs += [(joined(one, *tokens), joined(other, *tokens)) for other in ("", original)]
        pairs += [
            (joined("irelu", *tokens), joined(other, *tokens))
            for other in ("ielu", "igelu", "isilu")
        ]
    return arms, pairs


def under_initializations(
    activations: Sequence[str], initializations: Sequence[str]
) -> tuple[list[str], Pairs]:
    """Activations, and none, under the published initialisation and under others.

    They are compared under equal ones, and each with itself as published.

    Returns:
        Arms, and the pairs to compare.
    """
    arms = ["", *activations]
    pairs = [(a, BASELINE) for a in activations]
    for start in initializations:
        pairs += [(joined(a, start), start) for a in activations]
        pairs += [(joined(a, start), joined(a)) for a in arms]
    return [joined(a, start) for start in ("", *initializations) for a in arms], pairs


def rescalings(scales: Sequence[str], *common: str) -> tuple[list[str], Pairs]:
    """Changes of units, each beside the loss weights that it brings.

    A rescaling is compared with none, and with its weights at C = 1: what it does beyond them.

    Args:
        scales: What stands after ``rescale=``; an empty one is the bare token.
        common: Other techniques of every arm.

    Returns:
        Arms, and the pairs to compare.
    """
    plain = joined("", *common)
    arms, pairs = [plain], []
    for scale in scales:
        value = f"={scale}" if scale else ""
        units_, weights = (
            joined("", *common, f"{name}{value}") for name in ("rescale", "rescale-weights")
        )
        arms += [units_, weights]
        pairs += [(units_, plain), (weights, plain), (units_, weights)]
    return arms, pairs


def units(
    scales: Sequence[str], options: Sequence[str], controls: Sequence[tuple[str, str]] = ()
) -> tuple[list[str], Pairs]:
    """Scales under every combination of options.

    Each is compared with the baseline of the same options, with itself without one of them, and
    with its control.

    Args:
        scales: Rescalings.
        options: Words of the suite's command line.
        controls: Pairs of a rescaling and what it is to be told apart from.

    Returns:
        Arms, and the pairs to compare.
    """
    arms: list[str] = []
    pairs: Pairs = []
    for row in product((False, True), repeat=len(options)):
        given = [option for option, on in zip(options, row, strict=True) if on]
        arms += [" ".join([arm, *given]) for arm in (BASELINE, *scales)]
        pairs += [
            (" ".join([arm, *given]), " ".join([other, *given]))
            for arm, other in [*((arm, BASELINE) for arm in scales), *controls]
        ]
        for option in given:
            rest = [other for other in given if other != option]
            pairs += [
                (" ".join([arm, *given]), " ".join([arm, *rest])) for arm in (BASELINE, *scales)
            ]
    return arms, pairs
