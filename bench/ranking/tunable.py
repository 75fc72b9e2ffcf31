"""What of an arm can be tuned, and what an arm is under a setting."""

from __future__ import annotations

import math
from dataclasses import replace

import msgspec

from bench.arm import AXES, Arm
from bench.ranking.ranking import Contestant, Setting
from bench.ranking.tuning import MOST_SETTINGS, RATE, Search
from bench.spec.spec import Spec
from bench.spec.training import Training
from bench.spec.training_options import TrainingOptions
from bench.studies.definition import Variant
from bench.text.errors import BadInput, unknown

#: The options of training that can be tuned: those that leave the length of a run alone.
OPTIONS = (RATE, "eps", "weight_decay", "schedule")
#: The value of a technique that stands without one, as ``featurewise``.
BARE = "default"


def checked_tune(contestant: Contestant) -> None:
    """Refuse values to try that make no sense.

    Raises:
        BadInput: A name is not one that the arm has (the message has the nearest match), a list is
            empty, a value does not fit, or there are more than `MOST_SETTINGS` settings.
    """
    values = tuned_values(contestant)
    count = math.prod(map(len, values.values())) * (1 if RATE in values else 3)
    if count > MOST_SETTINGS:
        raise BadInput(
            f"tune of {contestant.label!r}: {count} settings (allowed: at most {MOST_SETTINGS});"
            " options of training that one arm tunes are tuned for all"
        )


def tuned_values(contestant: Contestant) -> dict[str, list[float | str]]:
    """The values to try by name, each once and in canonical spelling.

    Raises:
        BadInput: As of `checked_tune`.
    """
    axes = _axes(Variant.parse(contestant.arm).arm)
    where = f"tune of {contestant.label!r}"
    found: dict[str, list[float | str]] = {}
    for name, values in contestant.tune.items():
        if name not in OPTIONS and name not in axes:
            raise unknown(f"name in {where}:", name, [*OPTIONS, *axes])
        if not values:
            raise BadInput(f"{where}: {name} has no values")
        try:
            each = [_option(name, v) if name in OPTIONS else _token_value(name, v) for v in values]
        except BadInput as error:
            raise BadInput(f"{where}: {error}") from error
        found[name] = list(dict.fromkeys(each))
    return found


def untuned(contestant: Contestant, spec: Spec) -> Setting:
    """The setting of an arm without tuning.

    Args:
        contestant: The arm.
        spec: A run of it without tuning.
    """
    arm = Variant.parse(contestant.arm).arm
    setting: Setting = {RATE: float(spec.training.lr)}
    for name in tuned_values(contestant):
        if name in OPTIONS:
            if not lbfgs_alone(spec):
                setting[name] = getattr(spec.training, name)
        else:
            # What the bare token stands for on this model, where the spec says it.
            axis = _axes(arm)[name]
            setting[name] = _value(spec.axes[axis])
    return setting


def search_of(contestant: Contestant, spec: Spec) -> Search:
    """The settings that an arm tries on a problem and model.

    Args:
        contestant: The arm.
        spec: A run of it without tuning.
    """
    start, values = untuned(contestant, spec), tuned_values(contestant)
    if lbfgs_alone(spec):
        kept = {name: each for name, each in values.items() if name not in OPTIONS}
        values = {RATE: [start[RATE]], **kept}
    return Search(start, values)


def lbfgs_alone(spec: Spec) -> bool:
    """Whether Adam does no step, so that its options (`OPTIONS`) change nothing."""
    return spec.training.steps == 0


def tuned_arm(arm: Arm, setting: Setting) -> Arm:
    """The arm with the techniques of a setting in the place of its own."""
    for name, value in setting.items():
        if name not in OPTIONS:
            axis, token = _resolved(name, value)
            arm = replace(arm, **{axis: token})
    return arm


def tuned_training(training: TrainingOptions, setting: Setting) -> TrainingOptions:
    """The options of training with those of a setting in the place of its own."""
    changed = {name: value for name, value in setting.items() if name in OPTIONS}
    return msgspec.structs.replace(training, **changed)


def _axes(arm: Arm) -> dict[str, str]:
    """The axis of each technique of the arm that takes a value, by the technique's name."""
    named = {choice.partition("=")[0]: axis for axis, choice in arm.choices().items()}
    return {
        name: axis
        for name, axis in named.items()
        if name in AXES[axis].choices and AXES[axis].choices[name].takes_value
    }


def _option(name: str, value: float | str) -> float | str:
    """A value of an option of training, refused where it does not fit."""
    options = TrainingOptions.of({name: value})
    options.override(Training(steps=1))
    checked: float | str = getattr(options, name)
    return checked


def _token_value(name: str, value: float | str) -> float | str:
    return _value(_resolved(name, value)[1])


def _resolved(name: str, value: float | str) -> tuple[str, str]:
    """The axis of a technique with a value, and its canonical spelling."""
    arm = Arm.parse(name if value == BARE else f"{name}={value}")
    choices = [*arm.choices().items()]
    if len(choices) != 1 or choices[0][1].partition("=")[0] != name:
        raise BadInput(
            f"{name} must be one value of {name!r} (allowed also: {BARE}), got {value!r}"
        )
    return choices[0]


def _value(token: str) -> float | str:
    """What stands behind the ``=`` of a token."""
    text = token.partition("=")[2]
    try:
        return float(text)
    except ValueError:
        return text or BARE
