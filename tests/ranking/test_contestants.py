"""The arms of a ranking, from the command line and from files."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.arm import KNOWN, NAMED
from bench.ranking.alike import sentences, tuned_alike
from bench.ranking.contestants import contestants
from bench.ranking.ranking import Contestant
from bench.ranking.tunable import tuned_arm, tuned_values
from bench.studies.definition import Variant
from bench.text.errors import BadInput

FILE = """
[[candidate]]
arm = "rescale=100+irelu"
name = "mine"
tune = { lr = [1e-3, 0.01], rescale = [100, 1e4] }

[[candidate]]
arm = "denorm --eps 1e-14"

[[against]]
arm = "baseline"
tune = { schedule = ["constant", "cosine"] }
"""


def written(folder: Path, text: str) -> str:
    path = folder / "mine.toml"
    path.write_text(text)
    return str(path)


def test_the_baseline_comes_first_then_candidates_then_the_others() -> None:
    arms = contestants(["lsuv+irelu --eps 1e-14", "irelu"], ["denorm", "irelu"])
    assert [one.arm for one in arms] == ["baseline", "irelu+lsuv --eps 1e-14", "irelu", "denorm"]
    assert [one.candidate for one in arms] == [False, True, True, False]


def test_without_others_the_known_arms_are_taken_each_once() -> None:
    arms = [one.arm for one in contestants(["featurewise+irelu"], [])]
    assert sorted(arms) == sorted(KNOWN) and arms[:2] == ["baseline", "irelu+featurewise"]
    assert set(KNOWN) <= set(NAMED)


def test_a_file_says_names_and_what_to_tune(tmp_path: Path) -> None:
    file = written(tmp_path, FILE)
    shared = {"schedule": ["constant", "cosine"], "lr": [1e-3, 0.01]}
    assert contestants([file], [file]) == [
        Contestant("baseline", tune=shared),
        Contestant("irelu+rescale=100", "mine", {**shared, "rescale": [100, 1e4]}, candidate=True),
        Contestant("denorm --eps 1e-14", tune=shared, candidate=True),
    ]


def test_values_are_canonical_and_each_is_tried_once() -> None:
    arm = Contestant("irelu+featurewise", tune={"featurewise": ["1,0.40", "1.0,0.4", "default"]})
    assert tuned_values(arm) == {"featurewise": ["1,0.4", "default"]}
    plain = Variant.parse(arm.arm).arm
    assert str(tuned_arm(plain, {"featurewise": "1,0.4"})) == "irelu+featurewise=1,0.4"
    assert tuned_arm(plain, {"featurewise": "default", "lr": 1.0}) == plain


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[candidate]]\narm = 'irelu'\ntunes = {}", "did you mean 'tune'"),
        ("[[candidates]]\narm = 'irelu'", "did you mean 'candidate'"),
        ("[[candidate]]\nname = 'a'", "arm"),
        ("[[candidate]]\narm = 'irelo'", "did you mean 'irelu'"),
        ("[[candidate]]\narm = 'irelu'\ntune = { lrs = [1] }", "did you mean 'lr'"),
        ("[[candidate]]\narm = 'irelu'\ntune = { rescale = [1] }", "'rescale'"),
        ("[[candidate]]\narm = 'irelu'\ntune = { steps = [1, 2] }", "'steps'"),
        ("[[candidate]]\narm = 'irelu'\ntune = { lr = [] }", "no values"),
        ("[[candidate]]\narm = 'irelu'\ntune = { lr = [-1] }", "lr must be positive"),
        ("[[candidate]]\narm = 'irelu'\ntune = { lr = ['x'] }", "lr must be a number"),
        ("[[candidate]]\narm = 'irelu'\ntune = { schedule = ['cosin'] }", "did you mean 'cosine'"),
        ("[[candidate]]\narm = 'rescale'\ntune = { rescale = ['x'] }", "rescale"),
        (
            "[[candidate]]\narm = 'irelu'\ntune = { eps = [1e-8, 1e-9, 1e-10, 1e-11, 1e-12] }\n"
            "[[candidate]]\narm = 'ielu'\ntune = { weight_decay = [0, 1, 2, 3, 4] }",
            "'baseline': 75 settings (allowed: at most 64); options of training that one arm",
        ),
        (
            f"[[candidate]]\narm = 'irelu'\ntune = {{ eps = {[0.1 + k for k in range(22)]} }}",
            "66 settings (allowed: at most 64)",
        ),
        (
            "[[candidate]]\narm = 'irelu'\nname = 'a'\n[[candidate]]\narm = 'ielu'\nname = 'a'",
            "'a' is of 'irelu' and of 'ielu'",
        ),
        ("[[candidate]]\narm = 'irelu'\nname = 'denorm'", "is itself an arm"),
        (
            "[[candidate]]\narm = 'irelu'\ntune = { lr = [1] }\n"
            "[[candidate]]\narm = 'irelu'\ntune = { lr = [2] }",
            "named twice",
        ),
        ("[[against]]\narm = 'irelu'", "has no [[candidate]]"),
        ("candidate = 3", "Expected `array`"),
        ("[[candidate", "mine.toml"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput) as error:
        contestants([written(tmp_path, text)], [])
    assert said in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("candidates", "said"),
    [
        ([], "needs a --candidate"),
        (["baseline"], "what others are ranked by"),
        (["no-such-file.toml"], "cannot read 'no-such-file.toml'"),
        (["activation=no_such_module:Thing"], "no_such_module"),
        (["ireluu"], "did you mean 'irelu'"),
    ],
)
def test_wrong_candidates_are_refused(candidates: list[str], said: str) -> None:
    with pytest.raises(BadInput) as error:
        contestants(candidates, [])
    assert said in str(error.value)


@pytest.mark.parametrize(
    "value", ["1+relu", "relu", "1+rescale=2", "x y", "", "nan", "-1", "default+1"]
)
@pytest.mark.parametrize("name", ["rescale", "featurewise"])
def test_a_value_of_a_technique_is_one_value(name: str, value: str) -> None:
    """Nothing of another technique can come in by a value."""
    arm = Contestant(name, tune={name: [value]})
    with pytest.raises(BadInput) as error:
        tuned_values(arm)
    assert "\n" not in str(error.value)


def test_what_of_the_training_one_arm_tunes_all_do() -> None:
    fixed = Contestant("irelu --schedule cosine --eps=1e-9", tune={"weight_decay": [0.1]})
    one = Contestant("rescale", tune={"schedule": ["cosine"], "rescale": [10.0], "eps": [1e-9]})
    other = Contestant("ielu", tune={"schedule": ["constant", "cosine"]})
    arms = tuned_alike([Contestant("baseline"), fixed, one, other])
    shared = {"weight_decay": [0.1], "schedule": ["cosine", "constant"], "eps": [1e-9]}
    assert [arm.tune for arm in arms] == [
        shared,
        {"weight_decay": [0.1]},
        {**shared, "rescale": [10.0]},
        shared,
    ]
    assert tuned_alike(arms) == arms
    assert sentences(arms) == [
        "weight_decay is tuned for all arms alike, since an arm asks for it: 0.1",
        "schedule is tuned for all arms alike, since an arm asks for it: cosine, constant;"
        " 'irelu --schedule cosine --eps=1e-9' fixes its own",
        "eps is tuned for all arms alike, since an arm asks for it: 1e-09;"
        " 'irelu --schedule cosine --eps=1e-9' fixes its own",
    ]
    assert sentences([Contestant("baseline"), Contestant("rescale", tune={"rescale": [2.0]})]) == []
