"""The nights' verdicts, and which commit the next night is compared with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.errors import BadInput
from bench.tracking.commits import spread
from bench.tracking.journal import Journal, Night
from bench.tracking.machine import examine

#: Newest first.
LINEAGE = ["e", "d", "c", "b", "a"]


def journal(folder: Path, **verdicts: str) -> Journal:
    written = Journal(folder)
    for commit, verdict in verdicts.items():
        written.add(night(commit, verdict))
    return Journal(folder)


def night(commit: str, verdict: Any, profile: str = "fast", machine: str = "here") -> Night:
    return Night(commit, verdict, profile, machine, "2026-01-01T00:00:00+00:00")


def test_the_last_good_is_the_newest_that_is_not_bad(tmp_path: Path) -> None:
    found = journal(tmp_path, a="good", b="good", c="bad").last_good(LINEAGE, "fast", "here")
    assert found is not None and found.commit == "b"


def test_a_later_verdict_stands_above_an_earlier(tmp_path: Path) -> None:
    written = journal(tmp_path, a="good", b="bad")
    written.add(night("b", "accepted"))
    found = Journal(tmp_path).last_good(LINEAGE, "fast", "here")
    assert found is not None and (found.commit, found.verdict) == ("b", "accepted")
    written.add(night("b", "bad"))
    found = Journal(tmp_path).last_good(LINEAGE, "fast", "here")
    assert found is not None and found.commit == "a"


def test_other_profiles_machines_and_branches_have_their_own(tmp_path: Path) -> None:
    written = journal(tmp_path, a="good")
    written.add(night("b", "good", profile="nightly"))
    written.add(night("c", "good", machine="elsewhere"))
    written.add(night("another branch", "good"))
    found = written.last_good(LINEAGE, "fast", "here")
    assert found is not None and found.commit == "a"
    assert written.last_good(LINEAGE, "smoke", "here") is None


def test_the_reference_is_the_first_good_or_the_last_accepted(tmp_path: Path) -> None:
    written = journal(tmp_path, a="good", b="good", c="bad", d="good")
    found = written.reference(LINEAGE, "fast", "here")
    assert found is not None and found.commit == "a"
    written.add(night("c", "accepted"))
    found = written.reference(LINEAGE, "fast", "here")
    assert found is not None and found.commit == "c"


def test_what_was_measured_on_is_kept(tmp_path: Path) -> None:
    here = examine()
    Journal(tmp_path).add(
        Night("a", "bad", "fast", "here", "now", base="b", facts=here, worse=["slow"])
    )
    found = Journal(tmp_path).find("a", "fast", "here")
    assert found is not None
    assert (found.facts, found.base, found.worse) == (here, "b", ["slow"])


def test_a_damaged_journal_is_refused_and_left_alone(tmp_path: Path) -> None:
    journal(tmp_path, a="good", b="good")
    path = tmp_path / "nights.jsonl"
    half = path.read_bytes()[:-10]
    path.write_bytes(half)
    with pytest.raises(BadInput, match=r"nights\.jsonl, line 2: "):
        Journal(tmp_path)
    assert path.read_bytes() == half


@pytest.mark.parametrize(
    ("count", "expected"),
    [(1, [9]), (2, [4, 9]), (3, [2, 5, 9]), (10, list(range(10))), (99, list(range(10)))],
)
def test_commits_are_spread_evenly_up_to_the_last(count: int, expected: list[int]) -> None:
    commits = [str(k) for k in range(10)]
    assert spread(commits, count) == [str(k) for k in expected]
