"""Arms: named combinations of techniques, one choice per axis."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from importlib import import_module

from bench.spec.user_code import is_reference, spelled_as_reference, users_code
from bench.techniques.activation import ACTIVATIONS, make_activation
from bench.techniques.initialization import INITIALIZATIONS
from bench.techniques.normalization import NORMALIZATIONS, make_normalization
from bench.techniques.offset import NO_OFFSET, OFFSETS, make_offset
from bench.techniques.registry import Registry
from bench.techniques.rescaling import RESCALINGS, LabelStatistics, make_scale
from bench.text.errors import BadInput, unknown
from bench.text.numbers import parse_real

AXES: dict[str, Registry] = {
    "activation": ACTIVATIONS,
    "normalization": NORMALIZATIONS,
    "offset": OFFSETS,
    "rescaling": RESCALINGS,
    "initialization": INITIALIZATIONS,
}


def _try_activation(token: str) -> None:
    import torch

    from bench.techniques.trial import check_derivatives

    width = 2
    module = make_activation(token, width)
    at = torch.linspace(-1, 1, 6).reshape(3, 2).requires_grad_()
    # As of the next layer: with it a derivative has a gradient even where the activation is linear.
    weight = torch.ones(3, 2, requires_grad=True)
    # A copy: what works in place must not meet a leaf.
    (slope,) = torch.autograd.grad((weight * module(at.clone())).sum(), at, create_graph=True)
    # A residual or a force is a first derivative, and its loss needs the gradients of that.
    slope.sum().backward()
    check_derivatives(token, make_activation(token, width), width)


def _try_initialization(token: str) -> None:
    import torch

    net = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))
    with torch.no_grad():
        INITIALIZATIONS.get(token)(
            [net[0], net[2]], lambda: net(torch.ones(3, 2)), torch.Generator().manual_seed(0)
        )


_LABELS = LabelStatistics(0.5, 1.0, 1.1, 8, "1")

#: Uses a choice once, so that what cannot be used is refused before a run begins.
_TRIALS: dict[str, Callable[[str], object]] = {
    "activation": _try_activation,
    "normalization": lambda token: make_normalization(token, 4),
    "offset": lambda token: make_offset(token, _LABELS),
    "rescaling": lambda token: make_scale(token, _LABELS),
    "initialization": _try_initialization,
}

BASELINE = "baseline"

#: Arms that the literature compares; any other combination of techniques is an arm as well.
NAMED = {
    BASELINE: "the model as published",
    "irelu": "integrated ReLU alone",
    "denorm": "normalisation layers removed, nothing else",
    "rescale": "labels in other units, nothing else",
    "rescale-weights": "the loss weights of rescale without its change of units",
    "standardize": "offset+rescale=auto: mean removed, divided by the deviation",
    "denorm+rescale": "the paper's two changes of scale",
    "irelu+denorm+rescale": "the paper's three techniques together",
    "featurewise": "the activation's own initialisation: what irelu+featurewise is compared with",
    "irelu+featurewise": "integrated ReLU where its quadratic growth is held in every row",
    "lsuv": "unit variance of each layer alone: what irelu+lsuv is to be compared with",
    "irelu+lsuv": "integrated ReLU where its pooled variance is held, and its rows are not",
}

#: What a candidate is ranked against where nothing else is named.
KNOWN = (
    BASELINE,
    "featurewise",
    "irelu+featurewise",
    "denorm",
    "rescale",
    "irelu+denorm+rescale",
)

#: Names of several techniques; an arm prints as what they stand for.
ALIASES = {"standardize": "offset+rescale=auto"}

#: Axes that came later, with what a model does that says nothing about them. A spec has them only
#: where the choice is not the model's own, so that runs of before keep their names.
LATER_AXES = {"offset": NO_OFFSET}

# A '+' before a digit belongs to a number such as 1e+06.
_SEPARATOR = re.compile(r"\+(?![0-9])")


@dataclass(frozen=True, order=True)
class Arm:
    """A choice on each axis, or ``None`` for what the model's publication uses.

    An arm is frozen, hashable, prints as its own name, and parses back from it.

    Attributes:
        activation: For instance ``"irelu"``, or ``"package.module:attribute"``.
        normalization: For instance ``"denorm"``.
        offset: For instance ``"no-offset"``.
        rescaling: For instance ``"rescale=1e6"``.
        initialization: For instance ``"featurewise"``.
    """

    activation: str | None = None
    normalization: str | None = None
    offset: str | None = field(default=None, kw_only=True)
    rescaling: str | None = None
    initialization: str | None = None

    @classmethod
    def parse(cls, text: str) -> Arm:
        """The arm that ``a+b+c`` names, in any order of the tokens.

        A token is a technique's name (``irelu``), a name with a value (``rescale=1e6``), an axis
        with a reference to one's own object (``activation=package.module:attribute``), or one of
        `ALIASES`.

        Raises:
            BadInput: A token is unknown (with the nearest match), empty, or contradicts another.
        """
        if text == BASELINE:
            return cls()
        chosen: dict[str, str] = {}
        for token in _tokens(text):
            axis, choice = _resolve(token, text)
            if axis in chosen:
                raise BadInput(
                    f"arm {text!r}: {chosen[axis]!r} and {choice!r} are both choices of {axis};"
                    " an arm has one choice per axis"
                )
            chosen[axis] = choice
        return cls(**chosen)

    def __str__(self) -> str:
        tokens = [
            f"{axis}={choice}" if is_reference(choice) else choice
            for axis, choice in self.choices().items()
        ]
        return "+".join(tokens) or BASELINE

    def choices(self) -> dict[str, str]:
        """The axes that this arm sets, in the order of `AXES`."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {axis: choice for axis, choice in values.items() if choice is not None}

    def override(self, axis: str, choice: str) -> Arm:
        """This arm with a choice on one more axis.

        Raises:
            BadInput: The arm already has a choice there, or `choice` is not one of the axis.
        """
        mine = getattr(self, axis)
        if mine is not None:
            raise BadInput(f"--{axis} {choice}: the arm {str(self)!r} already has {mine!r} there")
        AXES[axis].check(choice)
        return replace(self, **{axis: _canonical(choice)})

    def check_own(self) -> None:
        """Try the objects of the arm that are not built in, before anything is run.

        Raises:
            BadInput: One does not import, or is not what its axis needs.
        """
        for axis, choice in self.choices().items():
            if AXES[axis].reference(choice) is not None:
                # Before the user's module does, which may draw from its generator.
                import_module("torch")
                with users_code(f"{axis} {choice!r} cannot be used"):
                    _TRIALS[axis](choice)

    def noops(self, published: Mapping[str, str]) -> list[str]:
        """The choices that a model already has."""
        whole = {**LATER_AXES, **published}
        return [choice for axis, choice in self.choices().items() if whole[axis] == choice]

    def on(self, published: Mapping[str, str]) -> dict[str, str]:
        """What the arm means on a model: its own choices, else the model's published ones.

        One of `LATER_AXES` is left out where it is as published.
        """
        default = {**LATER_AXES, **published}
        whole = {**default, **self.choices()}
        return {
            axis: whole[axis]
            for axis in AXES
            if axis not in LATER_AXES or whole[axis] != default[axis]
        }


def technique_definitions(axes: Mapping[str, str]) -> list[str]:
    """Where the choices on the axes are defined, those of a user's own and of torch left out."""
    found = (AXES[axis].definition(choice) for axis, choice in axes.items())
    return [definition for definition in found if definition is not None]


def definition_versions(axes: Mapping[str, str], **others: int) -> dict[str, int]:
    """`Spec.versions`: those of the choices on the axes, and others, of what was ever redefined.

    Args:
        axes: The choice on each.
        others: By ``model``, ``problem`` and ``protocol``.
    """
    found = {axis: AXES[axis].version(choice) for axis, choice in axes.items()} | others
    return {kind: version for kind, version in found.items() if version > 1}


def _canonical(choice: str) -> str:
    """One spelling for equal values, so that rescale=1e6 and rescale=1000000.0 are one arm."""
    name, given, value = choice.partition("=")
    numbers = _numbers(value)
    return f"{name}{given}{','.join(map(_shortest, numbers))}" if numbers else choice


def _numbers(value: str) -> list[float]:
    """The numbers of a value, which are separated by commas; none if it is anything else."""
    try:
        return [parse_real(part) for part in value.split(",")]
    except ValueError:
        return []


def _shortest(number: float) -> str:
    short = f"{number:g}"
    text = short if float(short) == number else repr(number)
    return re.sub(r"e\+?(-?)0*", r"e\1", text)


def _tokens(text: str) -> list[str]:
    """The tokens of an arm, with what a name of several stands for."""
    given = _SEPARATOR.split(text)
    return [token for one in given for token in _SEPARATOR.split(ALIASES.get(one, one))]


def _resolve(token: str, text: str) -> tuple[str, str]:
    """The axis of a token, and its canonical spelling."""
    if not token:
        raise BadInput(f"arm {text!r} has an empty token; the form is a+b+c")
    if token == BASELINE:
        raise BadInput(f"arm {text!r}: {BASELINE!r} changes nothing and stands alone")
    name, given, value = token.partition("=")
    if given and name in AXES:
        AXES[name].check(value)
        return name, _canonical(value)
    if is_reference(token):
        axes = ", ".join(f"{axis}={token}" for axis in AXES)
        raise BadInput(f"arm {text!r}: say which axis {token!r} is on (one of {axes})")
    for axis, registry in AXES.items():
        if name in registry.choices:
            registry.check(token)
            return axis, _canonical(token)
    if not _numbers(value) and (meant := spelled_as_reference(token)) is not None:
        raise BadInput(
            f"arm {text!r}: one's own technique is written axis=module:attribute, for instance"
            f" activation={meant}"
        )
    raise unknown(
        f"technique in arm {text!r}:",
        name,
        [BASELINE, *ALIASES, *(known for registry in AXES.values() for known in registry.names())],
    )
