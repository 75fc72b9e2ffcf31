"""The specification of a run: everything that its result depends on, and its hash."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from bench.spec.training import Training


class Spec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One run: problem × model × arm × seed under a budget.

    Attributes:
        suite: Name of the suite.
        problem: Name of the problem.
        model: Name and size of the network, for instance ``fnn:40x6``.
        arm: Name of the arm as asked for. A label: the hash depends on `axes`.
        axes: What the arm means on this model, one choice for every axis; those of
            `bench.arm.LATER_AXES` only where it is not the model's own.
        seed: Root of every random stream of the run.
        budget: Name of the budget. A label: the hash depends on what it stands for.
        training: Optimisation.
        settings: The suite's own settings (numbers of points, data, …); JSON values.
        device: ``cpu`` or ``cuda``.
        dtype: ``float32`` or ``float64``.
        noops: What the arm names and the model already has. A label.
        sources: Digest of the source file of each of a user's own objects.
        versions: Definition versions, by axis and of ``model``, ``problem`` and ``protocol``; those
            that are 1 are left out. The hash has no code in it: whoever redefines one of these
            raises its version where it is defined.
        paths: Where files lie on this machine. Not in the hash: `settings` has their digests.
        checks: What is verified before training. A label.
    """

    suite: str
    problem: str
    model: str
    arm: str
    axes: dict[str, str]
    seed: int
    budget: str
    training: Training
    settings: dict[str, Any]
    device: str = "cpu"
    dtype: str = "float32"
    noops: list[str] = []
    sources: dict[str, str] = {}
    versions: dict[str, int] = {}
    paths: dict[str, str] = {}
    checks: list[str] = []

    @property
    def hash(self) -> str:
        """16 hexadecimal digits that name the run.

        Two arms that mean the same on a model (denorm where nothing is normalised) share it, so
        that they are one run.
        """
        content = msgspec.to_builtins(self)
        for label in ("arm", "budget", "noops", "paths", "checks"):
            del content[label]
        if not self.versions:
            # Runs from before the field existed keep their names, as below.
            del content["versions"]
        for name in ("lr", "eps", "weight_decay"):
            # 1 and 1.0 are one setting, and JSON reads back the latter.
            content["training"][name] = float(content["training"][name])
        if not self.training.weight_decay:
            del content["training"]["weight_decay"]
        canonical = msgspec.json.encode(content, order="sorted")
        return hashlib.sha256(canonical).hexdigest()[:16]

    @property
    def title(self) -> str:
        """For people: problem, model, arm and seed."""
        return f"{self.problem} {self.model} {self.arm} seed {self.seed}"
