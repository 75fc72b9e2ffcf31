"""What must hold for any input, on examples that hypothesis makes up."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sample_study
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from sample_records import SPEC, record

from bench.arm import AXES, LATER_AXES, Arm
from bench.spec.spec import Spec
from bench.spec.training import SCHEDULE_NAMES, Training
from bench.store.record import Metric, Record, decode, encode
from bench.store.store import Store
from bench.studies.catalogue import get_study
from bench.studies.definition import Variant, split_words
from bench.studies.plan import plans, save
from bench.text.errors import BadInput
from suites.molecular.models.catalogue import ARCHITECTURES
from suites.molecular.models.catalogue import parse_model as parse_molecular
from suites.pinn.models.catalogue import MODELS
from suites.pinn.models.catalogue import parse_model as parse_pinn

# The same examples everywhere and every time, so that no change fails by chance.
settings.register_profile(
    "deterministic",
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("deterministic")

#: Longer messages would fill a terminal.
BOUND = 2000


@contextmanager
def nothing_but_bad_input() -> Iterator[None]:
    """The body works, or raises `BadInput` with one bounded line."""
    try:
        yield
    except BadInput as error:
        said = str(error)
        assert said.isprintable()
        assert 0 < len(said) <= BOUND


def refused(call: Callable[[], object]) -> bool:
    """Whether a call raises `BadInput`; nothing else may be raised."""
    try:
        call()
    except BadInput:
        return True
    return False


# Arms.

NAMES = {axis: sorted(registry.names()) for axis, registry in AXES.items()}
REFERENCES = st.from_regex(r"[a-z_]\w{0,5}(\.[a-z_]\w{0,5}){0,2}:[A-Za-z_]\w{0,5}", fullmatch=True)
POSITIVE = st.floats(
    min_value=0, exclude_min=True, allow_infinity=False, allow_nan=False, allow_subnormal=True
)


def choices(axis: str) -> st.SearchStrategy[str | None]:
    """Tokens of an axis, or none."""
    named = st.sampled_from(NAMES[axis])
    tokens = [named, REFERENCES.map(lambda text: f"{axis}={text}")]
    if axis == "rescaling":
        tokens.append(POSITIVE.map(lambda number: f"rescale={number!r}"))
    return st.none() | st.one_of(tokens)


TOKENS = st.tuples(*(choices(axis) for axis in AXES)).map(
    lambda found: [token for token in found if token is not None]
)


@given(TOKENS, st.randoms())
def test_an_arm_parses_back_from_its_name_in_any_order(tokens: list[str], random: Any) -> None:
    assume(tokens)
    arm = Arm.parse("+".join(tokens))
    assert Arm.parse(str(arm)) == arm
    assert str(Arm.parse(str(arm))) == str(arm)
    assert len(arm.choices()) == len(tokens)
    random.shuffle(tokens)
    assert Arm.parse("+".join(tokens)) == arm


@given(POSITIVE)
def test_equal_numbers_are_one_arm_however_they_are_spelled(number: float) -> None:
    spellings = {repr(number), f"{number:.17g}", f"{number:.17e}", f"+{number!r}"}
    spellings |= {f"{number:.17E}", f"00{number!r}", f"{number:.400f}"}
    same = {text for text in spellings if float(text) == number}
    arms = {Arm.parse(f"rescale={text}") for text in same}
    assert len(arms) == 1
    (arm,) = arms
    assert arm.rescaling is not None
    assert float(arm.rescaling.partition("=")[2]) == number
    other = math.nextafter(number, math.inf)
    if math.isfinite(other):
        assert Arm.parse(f"rescale={other!r}") not in arms


WORDS_OF_ARMS = ["irelu", "rescale", "activation", "baseline", "auto", "+", "=", ":", ".", "_", "é"]
NUMERALS = ["1e", "400", "nan", "inf", "-", "0", "9" * 5000]
UNPRINTABLE = [" ", "\n", "\x00", "\x1b[31m", "\u2028", "\udcff"]
PIECES = st.sampled_from([*WORDS_OF_ARMS, *NUMERALS, *UNPRINTABLE])
HOSTILE = st.one_of(
    st.text(max_size=60),
    st.text(st.characters(categories=["Cc", "Cs", "Cf", "Nd", "Zl"]), max_size=20),
    st.lists(PIECES, max_size=8).map("".join),
    st.sampled_from(["irelu", "+", "é", "\x07"]).map(lambda text: text * 20_000),
)


@given(HOSTILE)
@example("rescale=1e400")
@example("rescale=" + "9" * 5000)
@example("rescale=1e-400+irelu")
@example("rescale=١")
@example("activation=" + "a" * 100_000 + ":b")
def test_any_text_is_an_arm_or_bad_input(text: str) -> None:
    for hostile in (text, f"irelu+{text}", f"rescale={text}", f"activation={text}"):
        with nothing_but_bad_input():
            arm = Arm.parse(hostile)
            assert Arm.parse(str(arm)) == arm


@given(TOKENS, st.sampled_from(sorted(AXES)), HOSTILE | REFERENCES)
def test_override_sets_one_axis_or_is_bad_input(tokens: list[str], axis: str, choice: str) -> None:
    arm = Arm.parse("+".join(tokens) or "baseline")
    with nothing_but_bad_input():
        changed = arm.override(axis, choice)
        assert getattr(arm, axis) is None
        assert changed.choices().keys() == {*arm.choices(), axis}
        assert Arm.parse(str(changed)) == changed


@given(TOKENS)
def test_on_a_model_every_axis_has_the_arms_choice_or_the_published_one(tokens: list[str]) -> None:
    arm = Arm.parse("+".join(tokens) or "baseline")
    published = {axis: f"published {axis}" for axis in AXES}
    found = arm.on(published)
    own = {axis for axis in LATER_AXES if getattr(arm, axis) is None}
    assert found.keys() == published.keys() - own
    for axis, choice in found.items():
        assert choice == (getattr(arm, axis) or published[axis])
    assert arm.noops({**published, **found}) == list(arm.choices().values())


# Words and variants of studies.


@given(HOSTILE)
def test_any_text_is_words_or_bad_input(text: str) -> None:
    with nothing_but_bad_input():
        words = split_words(text)
        assert split_words(shlex.join(words)) == words


WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)


@given(TOKENS, st.lists(st.tuples(st.sampled_from(["--eps", "--loss"]), WORDS), max_size=3))
def test_a_variant_parses_back_from_its_name(
    tokens: list[str], options: list[tuple[str, str]]
) -> None:
    words = tuple(word for option in options for word in option)
    variant = Variant(Arm.parse("+".join(tokens) or "baseline"), words)
    assert Variant.parse(str(variant)) == variant
    assert variant.parts >= set(variant.arm.choices().values())


@given(HOSTILE)
def test_any_text_is_a_variant_or_bad_input(text: str) -> None:
    with nothing_but_bad_input():
        variant = Variant.parse(text)
        assert Variant.parse(str(variant)) == variant


# Specs.

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
WHOLE = st.integers(-(2**63), 2**63 - 1)
JSON = st.recursive(
    st.none() | st.booleans() | WHOLE | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
SETTINGS = st.dictionaries(TEXT, JSON, max_size=4)
TRAININGS = st.builds(
    Training,
    steps=st.integers(0, 2**40),
    lbfgs_steps=st.integers(0, 2**40),
    # Whole numbers, too: a suite may write lr=1.
    lr=NUMBERS | st.integers(-5, 5),
    eps=NUMBERS,
    weight_decay=NUMBERS | st.just(-0.0) | st.just(0),
    schedule=st.sampled_from(SCHEDULE_NAMES),
    evaluations=st.integers(0, 2**40),
)
LABELS: dict[str, st.SearchStrategy[Any]] = {
    "arm": TEXT,
    "budget": TEXT,
    "noops": st.lists(TEXT, max_size=2),
    "paths": st.dictionaries(TEXT, TEXT, max_size=2),
    "checks": st.lists(TEXT, max_size=2),
}
MEANING: dict[str, st.SearchStrategy[Any]] = {
    "suite": TEXT,
    "problem": TEXT,
    "model": TEXT,
    "axes": st.dictionaries(TEXT, TEXT, max_size=4),
    "seed": WHOLE,
    "training": TRAININGS,
    "settings": SETTINGS,
    "device": TEXT,
    "dtype": TEXT,
    "sources": st.dictionaries(TEXT, TEXT, max_size=2),
}
SPECS = st.builds(Spec, **LABELS, **MEANING)


def backwards(value: Any) -> Any:
    """The same JSON value with the keys of every object in the opposite order."""
    if isinstance(value, dict):
        return {key: backwards(value[key]) for key in reversed(value)}
    if isinstance(value, list):
        return [backwards(item) for item in value]
    return value


@given(SPECS, st.fixed_dictionaries(LABELS))
def test_neither_labels_nor_the_order_of_keys_change_a_hash(
    spec: Spec, labels: dict[str, Any]
) -> None:
    assert msgspec.structs.replace(spec, **labels).hash == spec.hash
    turned = {name: backwards(getattr(spec, name)) for name in ("axes", "settings", "sources")}
    assert msgspec.structs.replace(spec, **turned).hash == spec.hash


@given(SPECS)
def test_a_hash_survives_json(spec: Spec) -> None:
    again = msgspec.json.decode(msgspec.json.encode(spec), type=Spec)
    assert again == spec
    assert again.hash == spec.hash


@given(SPECS, st.sampled_from(sorted(MEANING)), st.data())
def test_any_other_field_changes_a_hash(spec: Spec, name: str, data: st.DataObject) -> None:
    other = msgspec.structs.replace(spec, **{name: data.draw(MEANING[name])})
    # As JSON, where False is not 0.
    same = msgspec.json.encode(getattr(other, name), order="sorted") == msgspec.json.encode(
        getattr(spec, name), order="sorted"
    )
    assume(not same and getattr(other, name) != getattr(spec, name))
    assert other.hash != spec.hash


@given(st.integers(1, 2**52))
def test_a_number_of_the_training_is_one_however_it_is_written(number: int) -> None:
    written = [float(number), number, float(f"{number:.17e}"), float(f"{number}.0")]
    hashes = {
        msgspec.structs.replace(SPEC, training=Training(steps=1, lr=lr, weight_decay=lr)).hash
        for lr in written
    }
    assert len(hashes) == 1
    zeros = {
        msgspec.structs.replace(SPEC, training=Training(steps=1, weight_decay=zero)).hash
        for zero in (0.0, -0.0, 0)
    }
    assert len(zeros) == 1


ANY_FLOAT = st.floats() | st.integers(-(2**80), 2**80)
ANY_WHOLE = st.integers(-(2**80), 2**80) | st.integers(-2, 10)


@given(
    ANY_WHOLE, ANY_WHOLE, ANY_FLOAT, ANY_FLOAT, ANY_FLOAT, ANY_WHOLE, HOSTILE | st.just("cosine")
)
def test_a_training_that_passes_makes_sense(
    steps: int,
    lbfgs_steps: int,
    lr: float,
    eps: float,
    weight_decay: float,
    evaluations: int,
    schedule: str,
) -> None:
    training = Training(steps, lbfgs_steps, lr, schedule, eps, weight_decay, evaluations)
    with nothing_but_bad_input():
        training.check()
        assert 1 <= training.total_steps <= 2 * 10**9
        assert 1 <= evaluations <= 10**6
        assert 0 < lr < math.inf and 0 < eps < math.inf and 0 <= weight_decay < math.inf
        assert schedule in SCHEDULE_NAMES


# Records.

VALUES = st.none() | NUMBERS
CURVES = st.dictionaries(TEXT, st.lists(VALUES, max_size=4), max_size=3)
RECORDS = st.builds(
    record,
    SPECS,
    metrics=st.dictionaries(TEXT, st.builds(Metric, VALUES, VALUES), max_size=3),
    units=st.dictionaries(TEXT, TEXT, max_size=2),
    losses=CURVES,
    history=CURVES,
    diagnostics=SETTINGS,
    environment=SETTINGS,
    task=SETTINGS,
    reason=st.none() | TEXT,
    peak_memory_mb=VALUES,
    warnings=st.lists(TEXT, max_size=2),
    status=st.sampled_from(["done", "diverged", "failed", "timeout", "interrupted"]),
)


@given(RECORDS)
def test_a_record_comes_back_equal(original: Record) -> None:
    assert decode(encode(original)) == original


@given(st.lists(st.floats(), min_size=1, max_size=5))
def test_what_is_not_finite_becomes_null(values: list[float]) -> None:
    back = decode(
        encode(
            record(
                losses={"loss": list(values)},
                metrics={"L2RE": Metric(values[0], values[-1])},
                diagnostics={"deep": [{"values": list(values)}]},
            )
        )
    )
    finite = [value if math.isfinite(value) else None for value in values]
    assert back.losses["loss"] == finite
    assert back.metrics["L2RE"] == Metric(finite[0], finite[-1])
    assert back.diagnostics["deep"][0]["values"] == finite


@given(RECORDS, SPECS)
def test_a_record_of_another_spec_is_refused(original: Record, spec: Spec) -> None:
    assume(spec.hash != original.spec_hash)
    with pytest.raises(ValueError, match=original.spec_hash):
        decode(encode(msgspec.structs.replace(original, spec=spec)))


def decoded(content: bytes) -> Record | None:
    """The record that a file holds; ``None`` if it is refused by ``ValueError``."""
    try:
        return decode(content)
    except ValueError:
        return None


WRITTEN = encode(record())


def test_a_record_that_was_cut_anywhere_is_refused() -> None:
    for end in range(len(WRITTEN)):
        with pytest.raises(ValueError):
            decode(WRITTEN[:end])


@given(st.integers(0, len(WRITTEN) - 1), st.integers(0, 255))
def test_a_record_with_one_other_byte_is_valid_or_refused(position: int, byte: int) -> None:
    found = decoded(WRITTEN[:position] + bytes([byte]) + WRITTEN[position + 1 :])
    assert found is None or found.spec.hash == found.spec_hash


@given(st.binary(max_size=40) | HOSTILE.map(lambda text: text.encode(errors="replace")))
def test_what_is_no_record_is_refused(content: bytes) -> None:
    assume(content.strip())
    with pytest.raises(ValueError):
        decode(content)


# Names of models.

SIZES = st.integers(-2, 5000)


@given(st.sampled_from(sorted(MODELS)), SIZES, SIZES)
def test_a_network_parses_back_from_its_name(name: str, width: int, depth: int) -> None:
    text = f"{name}:{width}x{depth}"
    fits = 1 <= width <= 4096 and 1 <= depth <= 4096 and width * width * depth <= 10**9
    assert refused(lambda: parse_pinn(text)) is not fits
    if fits:
        assert str(parse_pinn(text)) == text
        assert parse_pinn(f"{name}:0{width}x00{depth}") == parse_pinn(text)


@given(st.sampled_from(sorted(ARCHITECTURES)), SIZES, SIZES)
def test_a_potential_parses_back_from_its_name(name: str, features: int, blocks: int) -> None:
    text = f"{name}:{features}x{blocks}"
    size = ARCHITECTURES[name].quick
    fits = 1 <= features <= 4096 and 1 <= blocks <= 4096 and features * features * blocks <= 10**9
    assert refused(lambda: parse_molecular(text, size, "offset")) is not fits
    if fits:
        model = parse_molecular(text, size, "offset")
        assert str(model) == text
        assert (model.size.n_rbf, model.size.cutoff) == (size.n_rbf, size.cutoff)


@given(HOSTILE)
@example("9" * 5000 + "x1")
@example("٤٠x٦")
@example("40x6\n")
def test_any_text_is_a_model_or_bad_input(text: str) -> None:
    for hostile in (text, f"fnn:{text}", f"fnn{text}"):
        with nothing_but_bad_input():
            assert parse_pinn(str(parse_pinn(hostile))) == parse_pinn(hostile)
    size = ARCHITECTURES["schnet"].quick
    for hostile in (text, f"schnet:{text}"):
        with nothing_but_bad_input():
            model = parse_molecular(hostile, size, "offset")
            assert parse_molecular(str(model), size, "offset") == model


# Files of studies.

STUDY = """question = "Does it help?"

[[part]]
suite = "pinn"
arms = ["baseline", "lsuv", "irelu", "irelu+lsuv", "irelu+lsuv --eps 1e-14"]
models = ["fnn"]
options = "--steps 5"
compare = [["irelu+lsuv", "lsuv"]]
factors = ["irelu", "lsuv"]
"""


def mutated(content: bytes) -> st.SearchStrategy[bytes]:
    """Content with a piece replaced, or lines of it in another order."""

    def replaced(where: tuple[int, int, bytes]) -> bytes:
        start, length, piece = where
        return content[:start] + piece + content[start + length :]

    pieces = st.binary(max_size=6) | st.sampled_from(
        [b"[", b'"', b"\n", b"\\u0000", b"99999999999999999999", b"{}", b"null", b"-1", b"[[", b"="]
    )
    cut = st.tuples(st.integers(0, len(content)), st.integers(0, 40), pieces).map(replaced)
    return cut | st.permutations(content.splitlines(keepends=True)).map(b"".join)


@given(
    content=mutated(STUDY.encode())
    | st.binary(max_size=60)
    | HOSTILE.map(lambda t: t.encode("utf-16", "replace"))
)
@example(content=b"question = " + b"[" * 3000)
@example(content=STUDY.replace('"irelu", "lsuv"]', '"lsuv", ' * 64 + "]").encode())
def test_any_file_is_a_study_or_bad_input(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(content)
    with nothing_but_bad_input():
        study = get_study(str(path))
        assert study.name == "mine" and study.question.isprintable()
        for part in study.part:
            assert len(part.variants()) >= 2 and part.comparisons()


def test_the_study_that_is_mutated_is_one(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(STUDY)
    assert len(get_study(str(tmp_path / "mine.toml")).part[0].variants()) == 5


@given(HOSTILE.filter(lambda text: "\x00" not in text))
def test_any_name_is_a_study_or_bad_input(text: str) -> None:
    for name in (text, f"{text}.toml", f"../{text}", f"/{text}.toml"):
        with nothing_but_bad_input():
            assert get_study(name).part


# Plans.

PLAN = msgspec.json.encode(sample_study.plan(arms=("baseline", "irelu"), seeds=(0,)))


@given(content=mutated(msgspec.json.format(PLAN, indent=1)) | st.binary(max_size=60))
@example(content=b'{"schema":1,"study":' + b"[" * 100_000)
@example(content=json.dumps({**json.loads(PLAN), "runs": []}).encode())
@example(content=json.dumps({**json.loads(PLAN), "columns": {}}).encode())
def test_any_plan_in_a_store_is_read_or_ignored(
    tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(tmp_path)
    path = tmp_path / "studies" / f"{sample_study.plan().key}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    found = plans(store)
    said = capsys.readouterr().err
    assert (len(found), said.count("\n")) in ((1, 0), (0, 1))
    for plan in found:
        assert plan.key == path.stem
        assert all(plan.columns[run.spec.problem].main for run in plan.runs) and plan.runs
    assert path.read_bytes() == content


def test_a_plan_comes_back_equal(tmp_path: Path) -> None:
    made = sample_study.plan()
    save(made, Store(tmp_path))
    assert plans(Store(tmp_path)) == [made]
