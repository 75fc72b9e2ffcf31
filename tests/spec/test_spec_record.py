"""What names a run, and what survives in its record."""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec
import pytest
from sample_records import SPEC, record

from bench.spec.spec import Spec
from bench.spec.training import Training
from bench.store.record import SCHEMA, Metric, decode, encode
from bench.text.errors import BadInput

# The hash.


def test_the_hash_is_16_hexadecimal_digits() -> None:
    assert len(SPEC.hash) == 16
    assert int(SPEC.hash, 16) >= 0


@pytest.mark.parametrize(
    "label",
    [
        {"arm": "denorm"},
        {"budget": "quick"},
        {"paths": {"data_root": "/elsewhere"}},
        {"checks": ["engine"]},
        {"noops": ["denorm"]},
    ],
    ids=lambda label: next(iter(label)),
)
def test_labels_are_not_in_the_hash(label: dict[str, Any]) -> None:
    assert msgspec.structs.replace(SPEC, **label).hash == SPEC.hash


CHANGES: dict[str, Any] = {
    "suite": "molecular",
    "problem": "shallow-water-2d",
    "model": "fnn:41x6",
    "axes": {"activation": "irelu", "normalization": "denorm"},
    "seed": 1,
    "training": Training(steps=12),
    "settings": {"points": {"domain": 64, "boundary": 33}, "sample": 0},
    "device": "cuda",
    "dtype": "float64",
    "sources": {"m:A": "0123456789abcdef"},
    "versions": {"model": 2},
}
TRAINING_CHANGES: dict[str, Any] = {
    "steps": 11,
    "lbfgs_steps": 1,
    "lr": 2e-3,
    "schedule": "cosine",
    "eps": 1e-7,
    "weight_decay": 0.01,
    "evaluations": 21,
}


def test_every_field_is_either_a_label_or_changed_below() -> None:
    labels = {"arm", "budget", "noops", "paths", "checks"}
    assert set(Spec.__struct_fields__) == labels | CHANGES.keys()
    assert set(Training.__struct_fields__) == TRAINING_CHANGES.keys()


def test_the_hash_depends_on_every_other_field() -> None:
    changed = [msgspec.structs.replace(SPEC, **{name: to}) for name, to in CHANGES.items()]
    changed += [
        msgspec.structs.replace(
            SPEC, training=msgspec.structs.replace(SPEC.training, **{name: value})
        )
        for name, value in TRAINING_CHANGES.items()
    ]
    hashes = [SPEC.hash, *(spec.hash for spec in changed)]
    assert len(set(hashes)) == len(hashes)


def test_which_axis_has_a_choice_matters() -> None:
    swapped = {"activation": "denorm", "normalization": "tanh"}
    assert msgspec.structs.replace(SPEC, axes=swapped).hash != SPEC.hash


def test_the_order_of_dictionaries_does_not_matter() -> None:
    other = msgspec.structs.replace(
        SPEC,
        axes=dict(reversed(SPEC.axes.items())),
        settings={"sample": 0, "points": {"boundary": 32, "domain": 64}},
    )
    assert list(other.axes) != list(SPEC.axes)
    assert other.hash == SPEC.hash


def test_the_hash_survives_json() -> None:
    spec = msgspec.structs.replace(SPEC, training=Training(steps=3, lr=1e-3 / 3, eps=5e-324))
    assert msgspec.json.decode(msgspec.json.encode(spec), type=Spec).hash == spec.hash


def test_an_unknown_field_of_a_spec_is_refused() -> None:
    content = json.loads(msgspec.json.encode(SPEC))
    with pytest.raises(msgspec.ValidationError, match="surplus"):
        msgspec.convert({**content, "surplus": 1}, Spec)


@pytest.mark.parametrize(
    ("training", "named"),
    [
        (Training(steps=-1), "-1"),
        (Training(steps=0), "nothing to train"),
        (Training(steps=1, lbfgs_steps=-2), "lbfgs_steps.*-2"),
        (Training(steps=1, lr=math.nan), "lr.*nan"),
        (Training(steps=1, lr=-1e-3), "lr.*-0.001"),
        (Training(steps=1, lr=math.inf), "lr.*inf"),
        (Training(steps=1, eps=0.0), "eps.*0.0"),
        (Training(steps=1, weight_decay=-0.5), "weight_decay.*-0.5"),
        (Training(steps=1, evaluations=0), "evaluations.*0"),
        (Training(steps=1, schedule="cosin"), "'cosin'; did you mean 'cosine'"),
    ],
)
def test_training_that_makes_no_sense(training: Training, named: str) -> None:
    with pytest.raises(BadInput, match=named):
        training.check()


def test_l_bfgs_alone_makes_sense() -> None:
    Training(steps=0, lbfgs_steps=5).check()
    assert Training(steps=3, lbfgs_steps=5).total_steps == 8


# The record.


def test_round_trip() -> None:
    original = record()
    assert decode(encode(original)) == original


def test_the_json_is_plain() -> None:
    content = json.loads(encode(record()))
    assert content["metrics"] == {"L2RE": {"final": 0.25, "best": 0.125}}
    assert content["spec"]["training"]["steps"] == 10
    assert content["spec_hash"] == SPEC.hash


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_values_that_are_not_finite_become_null(value: float) -> None:
    written = encode(
        record(
            metrics={"L2RE": Metric(value, 0.5)},
            losses={"loss": [1.0, value]},
            diagnostics={"gradient": value, "layers": [value, 1.0]},
        )
    )

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    content = json.loads(written, parse_constant=refuse)
    assert content["metrics"]["L2RE"] == {"final": None, "best": 0.5}
    assert content["losses"]["loss"] == [1.0, None]
    assert content["diagnostics"] == {"gradient": None, "layers": [None, 1.0]}
    assert decode(written).metrics["L2RE"] == Metric(None, 0.5)


def test_floats_survive_to_the_last_bit() -> None:
    values = [0.1 + 0.2, 1 / 3, 5e-324, 1.7976931348623157e308]
    back = decode(encode(record(losses={"loss": values})))
    assert back.losses["loss"] == values


def tampered(**changes: Any) -> bytes:
    return json.dumps({**json.loads(encode(record())), **changes}).encode()


def test_a_newer_schema_is_refused() -> None:
    with pytest.raises(ValueError, match=f"schema {SCHEMA + 1} is newer than {SCHEMA}"):
        decode(tampered(schema=SCHEMA + 1))


def test_fields_that_a_later_version_added_within_the_schema_are_ignored() -> None:
    assert decode(tampered(something_new=3)) == record()


def test_a_tampered_spec_is_refused() -> None:
    spec = json.loads(encode(record()))["spec"]
    with pytest.raises(ValueError, match=SPEC.hash):
        decode(tampered(spec={**spec, "seed": 7}))


def test_a_tampered_hash_is_refused() -> None:
    with pytest.raises(ValueError, match="0000000000000000"):
        decode(tampered(spec_hash="0" * 16))


@pytest.mark.parametrize("status", ["finished", "DONE", "", None, 3])
def test_an_unknown_status_is_refused(status: object) -> None:
    with pytest.raises(ValueError, match="status"):
        decode(tampered(status=status))


@pytest.mark.parametrize("status", ["done", "diverged", "failed", "timeout", "interrupted"])
def test_the_known_ones_are_not(status: Any) -> None:
    assert decode(encode(record(status=status))).status == status


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe\x00", b'{"schema": 1}'])
def test_what_is_no_record_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError):
        decode(content)


def test_a_truncated_record_is_refused_wherever_it_ends() -> None:
    content = encode(record())
    for end in range(0, len(content) - 1, 97):
        with pytest.raises(ValueError):
            decode(content[:end])


def test_another_label_for_the_same_run() -> None:
    original = record()
    asked = msgspec.structs.replace(original.spec, arm="denorm", budget="quick", noops=["denorm"])
    other = original.labelled(asked)
    assert (other.arm, other.budget) == ("denorm", "quick")
    assert other.spec == asked
    assert other.spec.hash == other.spec_hash == original.spec_hash
    assert decode(encode(other)) == other
    assert original.labelled(original.spec) == original


def test_a_field_that_came_later_leaves_the_names_of_runs_alone() -> None:
    # The name that this spec had before there was a weight decay.
    assert SPEC.hash == "8fb671d6c72ba057"
