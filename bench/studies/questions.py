"""The questions of the paper, and those that it left open, by the names of their studies.

A suite says what it runs to answer one by entry points of the group ``bench.studies``.
"""

from __future__ import annotations

from collections.abc import Mapping

QUESTIONS: Mapping[str, str] = {
    "paper": "Does the paper's combination of IReLU, denormalisation and label rescaling reduce the"
    " error, and which of its cells does?",
    "denormalization": "What does removing the normalisation layers do when nothing else is"
    " changed, and what does freezing their statistics?",
    "label-rescaling": "Does rescaling the labels help a network without normalisation layers,"
    " beyond the loss weights that it brings?",
    "separate": "What do denormalisation and label rescaling do alone, and what together?",
    "integrated-activations": "Is IReLU better than other integrated activations, and are these"
    " better than the activations that they integrate?",
    "initialization": "How much of what integrated activations do is their initialisation?",
    "units": "How much of what label rescaling does is done by Adam's eps and by the loss?",
    "factorial": "What do activation, normalisation and rescaling do, alone and to each other?",
}
