"""The grammar of arms, and what is said about a wrong one."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from bench.arm import AXES, Arm
from bench.text.errors import BadInput

OwnModule = Callable[[str, str], None]

#: Every usable token and the axis that it is on.
TOKENS = [
    (axis, token)
    for axis, registry in AXES.items()
    for token in [
        *registry.names(),
        *(["rescale=auto", "rescale=1e6", "rescale=0.0025"] if axis == "rescaling" else []),
        f"{axis}=package.module:attribute",
    ]
]
PAIRS = [
    (first, second) for first, second in itertools.combinations(TOKENS, 2) if first[0] != second[0]
]


def message(text: str) -> str:
    with pytest.raises(BadInput) as raised:
        Arm.parse(text)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_the_tokens_are_all_axes_and_enough() -> None:
    assert {axis for axis, _ in TOKENS} == set(AXES)
    assert len(PAIRS) > 200


def test_every_pair_of_tokens_round_trips_in_either_order() -> None:
    for (axis_1, token_1), (axis_2, token_2) in PAIRS:
        arm = Arm.parse(f"{token_1}+{token_2}")
        assert set(arm.choices()) == {axis_1, axis_2}
        assert Arm.parse(str(arm)) == arm
        swapped = Arm.parse(f"{token_2}+{token_1}")
        assert swapped == arm and hash(swapped) == hash(arm) and str(swapped) == str(arm)


def test_every_single_token_round_trips_under_its_own_name() -> None:
    for axis, token in TOKENS:
        arm = Arm.parse(token)
        assert str(arm) == token
        assert list(arm.choices()) == [axis]


def test_the_canonical_name_is_in_the_order_of_the_axes() -> None:
    assert str(Arm.parse("lsuv+rescale=1e6+denorm+irelu")) == "irelu+denorm+rescale=1e6+lsuv"
    assert Arm.parse("rescale+irelu+denorm") == Arm("irelu", "denorm", "rescale")


def test_the_baseline() -> None:
    assert Arm.parse("baseline") == Arm()
    assert str(Arm()) == "baseline"
    assert Arm().choices() == {}


@pytest.mark.parametrize(
    ("spellings", "name"),
    [
        (["1e6", "1000000", "1000000.0", "1e+06", "1E6", "10e5"], "rescale=1e6"),
        (["1e-3", "0.001", "1e-03", "10e-4"], "rescale=0.001"),
        (["1", "1.0", "1e0", "1e+0"], "rescale=1"),
        (["1234567.5", "1.2345675e6"], "rescale=1234567.5"),
        (["1e100", "1e+100"], "rescale=1e100"),
    ],
)
def test_equal_values_are_one_arm(spellings: list[str], name: str) -> None:
    arms = {Arm.parse(f"irelu+rescale={spelling}+lsuv") for spelling in spellings}
    assert [str(arm) for arm in arms] == [f"irelu+{name}+lsuv"]


@pytest.mark.parametrize(
    ("spellings", "name"),
    [
        (["1,0.4", "1.0,0.40", "+1,4e-1", "1e0,.4"], "featurewise=1,0.4"),
        (["0,1", "-0,1", "0.0,1e+0"], "featurewise=0,1"),
        (["-1.25,1e1", "-125e-2,10.0"], "featurewise=-1.25,10"),
    ],
)
def test_equal_means_and_deviations_are_one_arm(spellings: list[str], name: str) -> None:
    arms = {Arm.parse(f"featurewise={spelling}+irelu") for spelling in spellings}
    assert [str(arm) for arm in arms] == [f"irelu+{name}"]
    assert Arm.parse(f"irelu+{name}") in arms


@pytest.mark.parametrize(
    "value", ["", "1", "1,0", "1,-1", "1,0.4,2", "a,b", "nan,1", "0,inf", "1;2", "1000,1", ","]
)
def test_a_mean_and_a_deviation_that_cannot_be_are_refused(value: str) -> None:
    with pytest.raises(BadInput) as raised:
        Arm.parse(f"irelu+featurewise={value}")
    text = str(raised.value)
    assert repr(value) in text and "featurewise=1,0.4" in text and "\n" not in text


def test_a_misspelt_name_with_a_value_gets_the_nearest() -> None:
    with pytest.raises(BadInput, match=r"'featurewis'; did you mean 'featurewise'\?"):
        Arm.parse("featurewis=1,0.4")


@pytest.mark.parametrize("value", [1 / 3, 123456789.123, 5e-324, 1.7976931348623157e308, 1e16])
def test_a_value_is_not_rounded(value: float) -> None:
    arm = Arm.parse(f"rescale={value!r}")
    assert arm.rescaling is not None
    assert float(arm.rescaling.partition("=")[2]) == value
    assert Arm.parse(str(arm)) == arm


def test_different_values_are_different_arms() -> None:
    assert Arm.parse("rescale=1000000") != Arm.parse("rescale=1000001")
    assert Arm.parse("rescale=0.1") != Arm.parse("rescale=0.10000000000000002")


def test_an_axis_in_front_of_a_built_in_name_changes_nothing() -> None:
    assert Arm.parse("activation=irelu+rescaling=rescale=1e6") == Arm.parse("irelu+rescale=1e6")


def test_references_on_every_axis() -> None:
    text = "activation=a.b:C+normalization=m:N.inner+rescaling=r:f+initialization=i.j:k"
    arm = Arm.parse(text)
    assert arm == Arm("a.b:C", "m:N.inner", "r:f", "i.j:k")
    assert str(arm) == text


# What is refused.


@pytest.mark.parametrize(
    ("text", "bad", "near"),
    [
        ("irleu", "irleu", "irelu"),
        ("irelu+denrom", "denrom", "denorm"),
        ("rescal=1e6", "rescal", "rescale"),
        ("baselin", "baselin", "baseline"),
        ("irelu+lsuvv", "lsuvv", "lsuv"),
    ],
)
def test_an_unknown_token_is_named_with_the_nearest_match(text: str, bad: str, near: str) -> None:
    said = message(text)
    assert repr(bad) in said and repr(text) in said
    assert f"did you mean {near!r}?" in said
    assert "baseline, batchnorm" in said  # and what is allowed


def test_nothing_near_is_not_guessed_at() -> None:
    said = message("zzzzqq")
    assert "did you mean" not in said and "irelu" in said


def test_an_axis_with_an_unknown_choice() -> None:
    said = message("activation=irleu")
    assert "activation 'irleu'" in said and "did you mean 'irelu'" in said
    assert "lsuv" not in said  # only what is allowed on that axis


@pytest.mark.parametrize(
    ("text", "first", "second", "axis"),
    [
        ("tanh+irelu", "tanh", "irelu", "activation"),
        ("irelu+irelu", "irelu", "irelu", "activation"),
        ("batchnorm+irelu+denorm", "batchnorm", "denorm", "normalization"),
        ("rescale=1e6+rescale=1e7", "rescale=1e6", "rescale=1e7", "rescaling"),
        ("irelu+activation=a:B", "irelu", "a:B", "activation"),
        ("glorot+lsuv", "glorot", "lsuv", "initialization"),
    ],
)
def test_contradicting_tokens_are_both_named(text: str, first: str, second: str, axis: str) -> None:
    said = message(text)
    assert f"{first!r} and {second!r}" in said and axis in said


@pytest.mark.parametrize("text", ["", "+irelu", "irelu+", "irelu++denorm", "+"])
def test_an_empty_token(text: str) -> None:
    said = message(text)
    assert "empty" in said and repr(text) in said


@pytest.mark.parametrize("text", ["baseline+irelu", "irelu+baseline"])
def test_the_baseline_stands_alone(text: str) -> None:
    assert "stands alone" in message(text)


@pytest.mark.parametrize("text", ["irelu=3", "denorm=1", "lsuv=2+irelu", "irelu="])
def test_a_value_where_none_is_taken(text: str) -> None:
    token = next(token for token in text.split("+") if "=" in token)
    said = message(text)
    assert "takes no value" in said and repr(token) in said


@pytest.mark.parametrize(
    "value",
    ["-1", "0", "-0.0", "nan", "-nan", "inf", "-inf", "infinity", "1e999", "-1e6", "abc", "", "1e"],
)
def test_a_rescaling_by_no_positive_finite_number(value: str) -> None:
    said = message(f"rescale={value}")
    assert "positive" in said and repr(value) in said


def test_a_bare_reference_is_on_no_axis() -> None:
    said = message("irelu+my.module:Thing")
    for axis in AXES:
        assert f"{axis}=my.module:Thing" in said


def test_a_name_of_an_axis_and_of_a_choice() -> None:
    assert Arm.parse("offset=m:f") == Arm(offset="m:f")
    assert "unknown offset '1' (allowed: no-offset, offset, " in message("offset=1")


def test_an_unknown_axis() -> None:
    said = message("activaton=irelu")
    assert "'activaton'" in said


# override, on


def test_override_sets_a_free_axis_and_leaves_the_arm_alone() -> None:
    arm = Arm.parse("denorm")
    changed = arm.override("activation", "irelu")
    assert str(changed) == "irelu+denorm"
    assert str(arm) == "denorm"
    assert arm.override("rescaling", "rescale=1000000") == Arm.parse("denorm+rescale=1e6")
    assert str(Arm().override("activation", "m:A")) == "activation=m:A"


def test_override_of_an_axis_that_is_set_is_refused() -> None:
    with pytest.raises(BadInput, match="--activation tanh: the arm 'irelu' already has 'irelu'"):
        Arm.parse("irelu").override("activation", "tanh")


@pytest.mark.parametrize(
    ("axis", "choice"),
    [
        ("activation", "irleu"),
        ("activation", "lsuv"),
        ("rescaling", "rescale=-1"),
        ("activation", ""),
    ],
)
def test_override_with_no_choice_of_the_axis(axis: str, choice: str) -> None:
    with pytest.raises(BadInput) as raised:
        Arm().override(axis, choice)
    assert repr(choice.partition("=")[2] or choice) in str(raised.value)


def test_a_name_of_several_techniques_is_what_it_stands_for() -> None:
    arm = Arm.parse("irelu+standardize")
    assert arm == Arm.parse("rescale=auto+irelu+offset")
    assert str(arm) == "irelu+offset+rescale=auto"
    assert "both choices of rescaling" in message("standardize+rescale=1e6")
    assert "both choices of offset" in message("no-offset+standardize")
    assert "did you mean 'standardize'?" in message("standardise")


def test_a_later_axis_is_left_out_where_it_is_the_model_s_own() -> None:
    published = {axis: f"published {axis}" for axis in AXES}
    for offset in ("offset", "no-offset"):
        own = {**published, "offset": offset}
        other = "no-offset" if offset == "offset" else "offset"
        assert "offset" not in Arm().on(own) and "offset" not in Arm(offset=offset).on(own)
        assert Arm(offset=other).on(own)["offset"] == other
        assert Arm(offset=offset).noops(own) == [offset]
    # A suite that says nothing about it predicts the labels as they are.
    del published["offset"]
    assert Arm.parse("no-offset").on(published) == published
    assert Arm.parse("offset").on(published) == {**published, "offset": "offset"}


def test_on_a_model_the_published_choices_fill_the_rest() -> None:
    published = {
        "activation": "tanh",
        "normalization": "batchnorm",
        "rescaling": "rescale=1",
        "initialization": "glorot",
    }
    before = dict(published)
    assert Arm().on(published) == published
    assert Arm.parse("irelu+denorm").on(published) == {
        **published,
        "activation": "irelu",
        "normalization": "denorm",
    }
    assert published == before


# The user's own objects.

OWN = """
import torch
from bench.techniques.rescaling import Scale

class Good(torch.nn.Module):
    def forward(self, x): return x.sin()
class Widens(torch.nn.Module):
    def forward(self, x): return torch.cat([x, x], -1)
class NeedsArgument(torch.nn.Module):
    def __init__(self, frequency): super().__init__()
class Raises(torch.nn.Module):
    def forward(self, x): raise RuntimeError("cannot do this\\nat all")
class Tuple(torch.nn.Module):
    def forward(self, x): return (x,)
class Norm(torch.nn.Module):
    def __init__(self, n): super().__init__(); self.n = n
    def forward(self, x): return x
class NarrowNorm(Norm):
    def forward(self, x): return x[:, 1:]
def not_a_module(*arguments): return 3.0
def halves(labels): return Scale(factor=0.5)
def nonsense(labels): return -3.0
def centred(labels): return Scale(offset=0.5)
def text(labels): return "0.5"
def raising(labels): raise KeyError("mean")
number = 3
"""


@pytest.fixture
def own(own_module: OwnModule) -> str:
    own_module("own_techniques", OWN)
    return "own_techniques"


def refused(axis: str, reference: str) -> str:
    arm = Arm.parse(f"{axis}={reference}")
    with pytest.raises(BadInput) as raised:
        arm.check_own()
    said = str(raised.value)
    assert "\n" not in said
    assert repr(reference) in said
    return said


def test_usable_objects_pass(own: str) -> None:
    Arm(f"{own}:Good", f"{own}:Norm", f"{own}:halves").check_own()


def test_built_in_choices_need_no_check() -> None:
    Arm.parse("irelu+denorm+rescale+lsuv").check_own()


def test_a_module_that_does_not_exist(own: str) -> None:
    said = refused("activation", "no_such_module_here:Good")
    assert "cannot import" in said and "no module 'no_such_module_here' in" in said


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("def broken(:", "SyntaxError"),
        ("raise RuntimeError('one\\ntwo')", "RuntimeError: one"),
        ("raise SystemExit(0)", "SystemExit"),
    ],
)
def test_a_module_that_fails_while_it_is_imported(
    own_module: OwnModule, source: str, reason: str
) -> None:
    own_module("own_broken", source)
    assert reason in refused("activation", "own_broken:Good")


def test_a_missing_attribute_with_the_nearest_match(own: str) -> None:
    said = refused("activation", f"{own}:Goood")
    assert "'Goood'" in said and "did you mean 'Good'?" in said


@pytest.mark.parametrize("axis", AXES)
def test_an_object_that_is_not_callable(own: str, axis: str) -> None:
    assert "not callable" in refused(axis, f"{own}:number")


@pytest.mark.parametrize("axis", ["activation", "normalization"])
def test_a_factory_that_returns_no_module(own: str, axis: str) -> None:
    assert "returned float, not a torch.nn.Module" in refused(axis, f"{own}:not_a_module")


def test_an_activation_that_changes_the_shape(own: str) -> None:
    assert "(3, 2) to (3, 4)" in refused("activation", f"{own}:Widens")


def test_a_normalization_that_changes_the_shape(own: str) -> None:
    assert "(3, 4) to (3, 3)" in refused("normalization", f"{own}:NarrowNorm")


def test_a_rescaling_that_returns_no_scale(own: str) -> None:
    assert "returned -3.0, not a factor" in refused("rescaling", f"{own}:nonsense")
    assert "a choice on the axis 'offset'" in refused("rescaling", f"{own}:centred")
    assert "not a finite number" in refused("offset", f"{own}:text")


@pytest.mark.parametrize(
    ("axis", "name", "reason"),
    [
        ("activation", "NeedsArgument", "needs 'frequency': it is made without arguments, or with"),
        ("activation", "Raises", "RuntimeError: cannot do this"),
        ("activation", "Tuple", "tuple"),
        ("normalization", "Good", "TypeError"),
        ("rescaling", "raising", "KeyError"),
        ("initialization", "halves", "TypeError"),
    ],
)
def test_an_object_that_raises_when_it_is_tried(
    own: str, axis: str, name: str, reason: str
) -> None:
    assert reason in refused(axis, f"{own}:{name}")
