"""What is said and checked of a user's own file before a run of it is accepted."""

from __future__ import annotations

from bench.spec.spec import Spec
from bench.techniques.offset import label_choices
from bench.text.notices import say_once
from suites.molecular.data.frames import Frames
from suites.molecular.data.splits import split_of
from suites.molecular.labels import label_scale
from suites.molecular.protocols import get_protocol


def check_own_file(frames: Frames, spec: Spec) -> None:
    """Say what the frames' warnings are, once, if the labels can be scaled as the spec wants it.

    Args:
        frames: Of the file.
        spec: Of the run.

    Raises:
        BadInput: The offset or the rescaling cannot be used with the training frames.
    """
    split = split_of(frames, spec.seed, spec.settings["split"])
    choices = label_choices(spec.axes, get_protocol(spec.settings["protocol"]).offset)
    label_scale(*choices, frames.select(split.train))
    for text in frames.warnings:
        say_once(f"{frames.source}: {text}")
