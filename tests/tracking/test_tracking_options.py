"""The nightly's options: the help, and the command that accepts a commit."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from bench.nightly import parser
from bench.tracking.options import (
    AcceptanceOptions,
    MeasuringOptions,
    PublishingOptions,
    ResultsOptions,
    acceptance_command,
)


def test_the_help_has_groups_defaults_and_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "what to measure: --base REV" in text
    assert "[--results DIR | --branch NAME]" in text
    assert "smoke, fast, nightly (default: nightly)" in text
    _, _, examples = text.partition("examples: ")
    for example in examples.split("python -m bench.nightly")[1:]:
        parser().parse_args(shlex.split(example))


@pytest.mark.parametrize(
    ("where", "publishing"),
    [
        (ResultsOptions(), PublishingOptions()),
        (ResultsOptions(results=Path("a folder")), PublishingOptions(no_publish=True)),
        (ResultsOptions(branch="asv-results"), PublishingOptions(push=True)),
    ],
)
def test_the_command_that_accepts_a_commit_finds_its_results(
    where: ResultsOptions, publishing: PublishingOptions
) -> None:
    what = MeasuringOptions(profile="fast", commits=2, machine=None)
    command = acceptance_command("0123456789abcdef", "here", what, where, publishing)
    words = shlex.split(command)
    assert words[:3] == ["python", "-m", "bench.nightly"]
    namespace = parser().parse_args(words[3:])
    assert AcceptanceOptions.read(namespace).accept == "0123456789"
    assert ResultsOptions.read(namespace) == where
    assert PublishingOptions.read(namespace).push == publishing.push
    assert MeasuringOptions.read(namespace) == MeasuringOptions(profile="fast", machine="here")
