"""Runs with an object or settings of their own, which may decide how long a step lasts."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping

import msgspec

from bench.spec.spec import Spec
from bench.studies.measurement import Late
from bench.studies.timings import kind_of


class Own:
    """Tells runs with something of their own from those that are usual for their kind.

    Usual for a problem, model and normalisation is the run with the fewest objects of one's own, of
    equal ones the first. Others have their own where their objects or settings differ from it.

    Args:
        specs: Of all runs that are looked at together.
    """

    def __init__(self, specs: Iterable[Spec]) -> None:
        self._usual: dict[bytes, Spec] = {}
        for spec in specs:
            before = self._usual.setdefault(kind_of(spec, exact=False), spec)
            if len(spec.sources) < len(before.sources):
                self._usual[kind_of(spec, exact=False)] = spec

    def usual(self, spec: Spec) -> Spec:
        """What is usual for the kind of a run; it may be the run itself."""
        return self._usual[kind_of(spec, exact=False)]

    def has(self, spec: Spec) -> bool:
        """Whether a run has something of its own."""
        usual = self.usual(spec)
        return (spec.sources, spec.settings) != (usual.sources, usual.settings)

    def kind(self, spec: Spec) -> bytes:
        """The same for runs on one problem and model with the same of their own."""
        return kind_of(spec, exact=False) + self.identity(spec)

    def identity(self, spec: Spec) -> bytes:
        """The same for runs on one model with the same of their own, on whatever problem."""
        usual = self.usual(spec)
        objects = [item for item in spec.sources.items() if item not in usual.sources.items()]
        names = spec.settings.keys() | usual.settings.keys()
        settings = {
            name: spec.settings.get(name)
            for name in names
            if spec.settings.get(name) != usual.settings.get(name)
        }
        what = (spec.suite, spec.model, objects, settings, spec.device, spec.dtype)
        return msgspec.json.encode(what, order="sorted")

    def once_first(self, specs: Iterable[Spec]) -> dict[bytes, Spec]:
        """A run of each kind; first one of each identity, so that none waits for all of another."""
        kinds: dict[bytes, Spec] = {}
        for spec in specs:
            kinds.setdefault(self.kind(spec), spec)
        once: dict[bytes, bytes] = {}
        for key, spec in kinds.items():
            once.setdefault(self.identity(spec), key)
        return {key: kinds[key] for key in once.values()} | kinds

    def filled(
        self, own: Mapping[str, Spec], seconds: Mapping[str, float | str]
    ) -> dict[str, float | str]:
        """The seconds of runs with something of their own, those that came too `Late` included.

        They are expected to be as much slower than what is usual as where that was measured.

        Args:
            own: Their specs, by hash.
            seconds: Of these runs and of what is usual for them, by hash, or why they are unknown.
        """
        factors: dict[bytes, list[float]] = {}
        for name, spec in own.items():
            ours, theirs = seconds[name], seconds[self.usual(spec).hash]
            if not isinstance(ours, str) and not isinstance(theirs, str) and theirs > 0:
                factors.setdefault(self.identity(spec), []).append(ours / theirs)
        found: dict[str, float | str] = {}
        for name, spec in own.items():
            ours, theirs = seconds[name], seconds[self.usual(spec).hash]
            if isinstance(ours, Late) and not isinstance(theirs, str):
                ours = theirs * statistics.median(factors.get(self.identity(spec), [1.0]))
            found[name] = ours
        return found
