"""Studies: variants, parts, the named ones, and one's own files."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.arm import Arm
from bench.studies.catalogue import get_study, named_studies
from bench.studies.definition import Part, Variant, factorial_cells
from bench.studies.questions import QUESTIONS
from bench.text.errors import BadInput

GOOD = """
question = "Does it help?"

[[part]]
suite = "pinn"
arms = ["baseline", "lsuv", "irelu+lsuv --eps 1e-14"]
compare = [["irelu+lsuv --eps 1e-14", "lsuv"]]
"""


def written(folder: Path, text: str, name: str = "mine.toml") -> str:
    path = folder / name
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("baseline", "baseline"),
        ("lsuv+irelu", "irelu+lsuv"),
        ("rescale=1000000  --eps   1e-14", "rescale=1e6 --eps 1e-14"),
        ("irelu --activation-note 'two words'", "irelu --activation-note 'two words'"),
    ],
)
def test_a_variant_parses_back_from_its_name(text: str, canonical: str) -> None:
    variant = Variant.parse(text)
    assert str(variant) == canonical
    assert Variant.parse(str(variant)) == variant


def test_parts_of_a_variant_keep_options_with_their_values() -> None:
    variant = Variant.parse("irelu+rescale=1e6 --eps 1e-14 --loss MSE")
    assert variant.parts == {"irelu", "rescale=1e6", "--eps 1e-14", "--loss MSE"}


@pytest.mark.parametrize("text", ["", "irelu 'open", "ireluu --eps 1"])
def test_what_is_no_variant_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        Variant.parse(text)


@pytest.mark.parametrize("name", QUESTIONS)
def test_the_named_studies_are_whole(name: str) -> None:
    for part in named_studies()[name].part:
        part.check()


@pytest.mark.parametrize("name", ["initialization", "integrated-activations", "factorial"])
def test_activations_are_compared_under_equal_initialisation(name: str) -> None:
    for part in named_studies()[name].part:
        for one, other in part.comparisons():
            arms = [Variant.parse(text).arm for text in (one, other)]
            if arms[0].activation != arms[1].activation:
                assert arms[0].initialization == arms[1].initialization


def test_cells_of_a_factorial_are_the_variants_with_exactly_those_factors() -> None:
    names = ["baseline", "irelu", "lsuv", "irelu+lsuv", "ielu+lsuv", "irelu+lsuv --eps 1e-9"]
    variants = [Variant.parse(name) for name in names]
    assert factorial_cells(variants, ["irelu", "lsuv"]) == {
        (False, False): "baseline",
        (False, True): "lsuv",
        (True, False): "irelu",
        (True, True): "irelu+lsuv",
    }
    with pytest.raises(BadInput, match="no arm has exactly"):
        factorial_cells(variants, ["irelu", "denorm"])


def test_options_can_be_factors() -> None:
    names = ["baseline", "rescale=1e6", "baseline --eps 1e-20", "rescale=1e6 --eps 1e-20"]
    cells = factorial_cells([Variant.parse(n) for n in names], ["rescale=1e6", "--eps 1e-20"])
    assert cells[True, True] == "rescale=1e6 --eps 1e-20"
    assert cells[False, True] == "baseline --eps 1e-20"


def test_without_pairs_each_variant_is_compared_with_the_first() -> None:
    part = Part("pinn", ["lsuv", "irelu+lsuv", "lsuv", "ielu+lsuv"])
    assert part.comparisons() == [("irelu+lsuv", "lsuv"), ("ielu+lsuv", "lsuv")]


def test_a_file_is_a_study_called_by_its_stem(tmp_path: Path) -> None:
    study = get_study(written(tmp_path, GOOD))
    assert study.name == "mine"
    assert study.on("pinn")[0].variants()[2] == Variant(
        Arm("irelu", initialization="lsuv"), ("--eps", "1e-14")
    )


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("suite = ", "siute = "), "siute"),
        (('"lsuv",', '"lsuvv",'), "did you mean 'lsuv'"),
        (('[["irelu+lsuv --eps 1e-14", "lsuv"]]', '[["irelu", "lsuv"]]'), "arm in compare"),
        (('[["irelu+lsuv --eps 1e-14", "lsuv"]]', '[["lsuv", "lsuv"]]'), "with itself"),
        (('arms = ["baseline", "lsuv", "irelu+lsuv --eps 1e-14"]', 'arms = ["lsuv"]'), "1 arms"),
        (('question = "Does it help?"', ""), "question"),
        (('question = "Does it help?"', "question = 3"), "question"),
        (("[[part]]", "[[part"), "study"),
        (('question = "Does it help?"', 'question = "x"\nname = "y"'), "its name is that"),
    ],
)
def test_a_bad_file_is_refused_in_words(tmp_path: Path, change: tuple[str, str], says: str) -> None:
    text = GOOD.replace(*change)
    assert text != GOOD
    with pytest.raises(BadInput, match=says):
        get_study(written(tmp_path, text))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("seperate", "did you mean 'separate'"),
        ("none.toml", "cannot read"),
        ("Big Name.toml", "small letters"),
        ("separate.toml", "already means something"),
        ("all.toml", "already means something"),
    ],
)
def test_a_name_that_is_no_study_is_refused(tmp_path: Path, name: str, says: str) -> None:
    if name != "none.toml" and name.endswith("toml"):
        name = written(tmp_path, GOOD, name)
    with pytest.raises(BadInput, match=says):
        get_study(name)


@pytest.mark.parametrize(
    ("names", "says"),
    [
        ('{Best = "lsuvv"}', "did you mean 'lsuv'"),
        ('{Best = "irelu"}', "unknown arm in names of the part on 'pinn': 'irelu'"),
        ('{lsuv = "baseline"}', "'lsuv' is itself an arm"),
        ('{irelu = "lsuv"}', "'irelu' is itself an arm"),
        ('{A = "lsuv", B = "lsuv"}', "'lsuv' has two, 'A' and 'B'"),
        ('{" A" = "lsuv"}', "without blanks"),
        ('{"" = "lsuv"}', "without blanks"),
        (f'{{{"x" * 41} = "lsuv"}}', "41 characters"),
        ("{A = 3}", "names"),
        ('["A"]', "names"),
    ],
)
def test_a_wrong_name_is_refused(tmp_path: Path, names: str, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        get_study(written(tmp_path, f"{GOOD}\nnames = {names}\n"))


def test_names_are_of_arms_however_these_are_spelled(tmp_path: Path) -> None:
    names = '{Best = "lsuv+irelu --eps 1e-14", Short = "lsuv"}'
    (part,) = get_study(written(tmp_path, f"{GOOD}\nnames = {names}\n")).on("pinn")
    assert part.named() == {"Best": "irelu+lsuv --eps 1e-14", "Short": "lsuv"}


def test_two_parts_on_one_suite_are_refused(tmp_path: Path) -> None:
    part = GOOD[GOOD.index("[[part]]") :]
    with pytest.raises(BadInput, match="one \\[\\[part\\]\\] for each suite"):
        get_study(written(tmp_path, GOOD + part))
