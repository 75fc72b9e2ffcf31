"""Command-line options of training that every suite has."""

from __future__ import annotations

import argparse

import msgspec

from bench.spec.spec import SCHEDULE_NAMES, Training


def add_training_arguments(parser: argparse._ActionsContainer) -> None:
    """Add the options that change a budget's `Training`."""
    parser.add_argument("--steps", type=int, metavar="N", help="Adam steps instead of the budget's")
    parser.add_argument("--lbfgs-steps", type=int, metavar="N", help="L-BFGS steps after Adam")
    parser.add_argument("--lr", type=float, metavar="X", help="learning rate of Adam")
    parser.add_argument("--schedule", metavar="NAME", help=f"one of {', '.join(SCHEDULE_NAMES)}")
    parser.add_argument("--eps", type=float, metavar="X", help="Adam's eps (default 1e-8)")
    parser.add_argument(
        "--weight-decay", type=float, metavar="X", help="decoupled weight decay (AdamW)"
    )
    parser.add_argument("--evaluations", type=int, metavar="N", help="evaluations of the metrics")


def override(training: Training, options: argparse.Namespace) -> Training:
    """The budget's training with what the options change.

    Raises:
        BadInput: A value is out of its range.
    """
    given = {
        name: getattr(options, name)
        for name in msgspec.structs.asdict(training)
        if getattr(options, name, None) is not None
    }
    changed = msgspec.structs.replace(training, **given)
    changed.check()
    return changed
