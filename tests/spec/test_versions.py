"""Definitions that are redefined: their runs are others, and are not compared with the old."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import molecular_specs
import msgspec
import pinn_specs
import pytest
from sample_records import SPEC

from bench.arm import AXES
from bench.spec.spec import Spec
from bench.spec.versions import conflict, definitions_used, newest_versions, redefinitions
from suites.molecular import protocols
from suites.molecular.models import catalogue as potentials
from suites.molecular.problems import xtb
from suites.molecular.suite import SUITE as MOLECULAR
from suites.pinn.models import catalogue as networks
from suites.pinn.problems.advection import Advection1D
from suites.pinn.suite import SUITE as PINN

Redefine = Callable[[pytest.MonkeyPatch], object]
Made = Callable[[], Spec]


def raise_choice(patch: pytest.MonkeyPatch, axis: str, name: str) -> None:
    choice = AXES[axis]._builtin[name]
    patch.setitem(AXES[axis]._builtin, name, replace(choice, version=2))


#: What is raised, the key in the spec, a spec that uses it and one that does not.
RAISED: dict[str, tuple[Redefine, str, Made, Made]] = {
    "activation": (
        lambda patch: raise_choice(patch, "activation", "irelu"),
        "activation",
        lambda: pinn_specs.specify(arm="irelu"),
        lambda: pinn_specs.specify(),
    ),
    "rescaling with a value": (
        lambda patch: raise_choice(patch, "rescaling", "rescale"),
        "rescaling",
        lambda: pinn_specs.specify(arm="rescale=10"),
        lambda: pinn_specs.specify(arm="rescale-weights=10"),
    ),
    "network": (
        lambda patch: patch.setattr(networks, "FNN", replace(networks.FNN, version=2)),
        "model",
        lambda: pinn_specs.specify(model="fnn:8x2"),
        lambda: pinn_specs.specify(model="fnn-bn-published:8x2"),
    ),
    "PDE": (
        lambda patch: patch.setattr(Advection1D, "version", 2),
        "problem",
        lambda: pinn_specs.specify(),
        lambda: pinn_specs.specify("diffusion-sorption-1d"),
    ),
    "potential": (
        lambda patch: patch.setattr(potentials, "SCHNET", replace(potentials.SCHNET, version=2)),
        "model",
        lambda: molecular_specs.specify("schnet:8x2"),
        lambda: molecular_specs.specify("painn:8x2"),
    ),
    "molecule": (
        lambda patch: patch.setattr(xtb, "ETHANOL", replace(xtb.ETHANOL, version=2)),
        "problem",
        lambda: molecular_specs.specify(),
        lambda: molecular_specs.specify(problem="xtb-benzene"),
    ),
    "protocol": (
        lambda patch: patch.setattr(protocols, "PAPER", replace(protocols.PAPER, version=2)),
        "protocol",
        lambda: molecular_specs.specify("schnet:8x2", "baseline", "--protocol", "paper"),
        lambda: molecular_specs.specify(),
    ),
}


@pytest.mark.parametrize(("redefine", "kind", "using", "other"), RAISED.values(), ids=RAISED)
def test_a_raised_version_makes_other_runs_of_what_uses_it(
    redefine: Redefine,
    kind: str,
    using: Made,
    other: Made,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old, apart = using(), other()
    assert kind not in old.versions
    redefine(monkeypatch)
    new = using()
    assert new.versions == {**old.versions, kind: 2}
    assert new.hash != old.hash
    assert msgspec.structs.replace(new, versions=old.versions).hash == old.hash
    assert conflict(old, new) and conflict(new, old)
    assert other().hash == apart.hash
    assert not conflict(new, apart)
    suite = PINN if old.suite == "pinn" else MOLECULAR
    assert redefinitions(new, suite.versions(new)) == []
    (said,) = redefinitions(old, suite.versions(old))
    assert said == f"its {kind} has been redefined (version 1, now 2)"


def of(**changes: object) -> Spec:
    return msgspec.structs.replace(SPEC, **changes)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (of(), of(seed=1), False),
        # The baseline does not use what the arm does.
        (of(), of(axes={"activation": "irelu"}, versions={"activation": 2}), False),
        (of(), of(versions={"activation": 2}), True),
        (of(versions={"activation": 2}), of(versions={"activation": 2}), False),
        (of(versions={"activation": 2}), of(versions={"activation": 3}), True),
        # Width and value are no definitions.
        (of(), of(model="fnn:8x2", versions={"model": 2}), True),
        (of(), of(model="fnn-bn:40x6", versions={"model": 2}), False),
        (
            of(axes={"rescaling": "rescale=1"}),
            of(axes={"rescaling": "rescale=1e6"}, versions={"rescaling": 2}),
            True,
        ),
        (of(), of(problem="other", versions={"problem": 2}), False),
        (
            of(settings={"protocol": "a"}),
            of(settings={"protocol": "a"}, versions={"protocol": 2}),
            True,
        ),
        (
            of(settings={"protocol": "a"}),
            of(settings={"protocol": "b"}, versions={"protocol": 2}),
            False,
        ),
    ],
)
def test_two_specs_are_in_conflict_by_what_both_use(one: Spec, other: Spec, expected: bool) -> None:
    assert conflict(one, other) == conflict(other, one) == expected


def test_the_highest_version_of_each_definition() -> None:
    one = of(versions={"activation": 2})
    other = of(axes={"activation": "tanh"}, versions={"model": 3})
    found = newest_versions([of(), one, other])
    assert found[("activation", "tanh")] == 2 and found[("model", "fnn")] == 3
    assert found[("problem", "advection-1d")] == 1
    assert definitions_used(one)[("normalization", "denorm")] == 1


#: Definitions that were redefined, and why `CHANGELOG.md` says.
REDEFINED = {"cgcnn": 2, "forcenet": 2, "standard": 3, "fnn-bn": 2}


def test_every_other_version_is_1_today() -> None:
    """So that the runs of old stores are found: see `tests/store/test_old_stores.py`."""
    choices = {name: c for registry in AXES.values() for name, c in registry._builtin.items()}
    tables = (networks.ARCHITECTURES, potentials.ARCHITECTURES, protocols.PROTOCOLS)
    entries = choices | {name: entry for table in tables for name, entry in table.items()}
    assert {name: e.version for name, e in entries.items() if e.version > 1} == REDEFINED


@pytest.mark.parametrize(
    ("model", "arm", "versions"),
    [
        ("fnn", "baseline", {}),
        ("fnn", "pointwise-batchnorm", {}),
        ("fnn", "layernorm", {"normalization": 2}),
        ("fnn-bn", "baseline", {"model": 2}),
        ("fnn-bn", "denorm", {"model": 2}),
        ("fnn-bn", "frozenbn", {"model": 2, "normalization": 2}),
        ("fnn-ln", "baseline", {"normalization": 2}),
        ("fnn-bn-published", "baseline", {"normalization": 2}),
        ("fnn-bn-published", "frozenbn", {"normalization": 2}),
    ],
)
def test_a_norm_that_has_moved_before_the_activation_is_another(
    model: str, arm: str, versions: dict[str, int]
) -> None:
    assert pinn_specs.specify(arm=arm, model=f"{model}:8x2").versions == versions


@pytest.mark.parametrize(
    ("token", "definition"),
    [
        ("irelu", "bench.techniques.integrated:IReLU"),
        ("tanh", None),
        ("mine.own:Wave", None),
        ("published", None),
    ],
)
def test_where_an_activation_is_defined(token: str, definition: str | None) -> None:
    assert AXES["activation"].definition(token) == definition
    assert AXES["activation"].version(token) == 1
    assert AXES["rescaling"].definition("rescale=1e6") == "bench.techniques.rescaling:constant"
