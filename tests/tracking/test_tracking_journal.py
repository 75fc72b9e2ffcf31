"""The nights' verdicts, and which commit the next night is compared with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.text.errors import BadInput
from bench.tracking.commits import spread
from bench.tracking.journal import Journal, Night, since_acceptance
from bench.tracking.machine import examine

#: Newest first.
ANCESTORS = ["e", "d", "c", "b", "a"]


def journal(folder: Path, profile: str = "fast", machine: str = "here", **verdicts: Any) -> Journal:
    written = Journal(folder, machine, profile)
    for commit, verdict in verdicts.items():
        written.add(Night(commit, verdict, profile, "2026-01-01T00:00:00+00:00"))
    return Journal(folder, machine, profile)


def commits(nights: list[Night]) -> list[str]:
    return [night.commit for night in nights]


def test_good_are_those_that_are_not_bad_the_newest_first(tmp_path: Path) -> None:
    found = journal(tmp_path, a="good", b="accepted", c="bad", d="good").good(ANCESTORS)
    assert commits(found) == ["d", "b", "a"]


def test_a_later_verdict_stands_above_an_earlier(tmp_path: Path) -> None:
    journal(tmp_path, a="good", b="bad")
    assert commits(journal(tmp_path, b="accepted").good(ANCESTORS)) == ["b", "a"]
    assert commits(journal(tmp_path, b="bad").good(ANCESTORS)) == ["a"]


def test_other_profiles_machines_and_branches_have_their_own(tmp_path: Path) -> None:
    journal(tmp_path, a="good")
    journal(tmp_path, profile="nightly", b="good")
    journal(tmp_path, machine="elsewhere", c="good")
    written = journal(tmp_path, another_branch="good")
    assert commits(written.good(ANCESTORS)) == ["a"]
    assert journal(tmp_path, profile="smoke").good(ANCESTORS) == []


def test_two_that_write_the_same_file_lose_nothing(tmp_path: Path) -> None:
    """A branch is brought up to date between two verdicts."""
    first, second = journal(tmp_path), journal(tmp_path)
    second.add(Night("a", "good", "fast", "now"))
    first.add(Night("b", "accepted", "fast", "now"))
    assert commits(second.good(ANCESTORS)) == ["b", "a"]


def test_good_commits_of_another_history_are_known(tmp_path: Path) -> None:
    written = journal(tmp_path, rewritten="good", head="good")
    assert written.good(ANCESTORS) == [] and written.knows_good(besides="head")
    assert not journal(tmp_path / "other", head="good", x="bad").knows_good(besides="head")


def test_steps_are_added_up_from_the_last_acceptance_on(tmp_path: Path) -> None:
    nights = journal(tmp_path, a="good", b="good", c="bad", d="good").good(ANCESTORS)
    assert commits(since_acceptance(nights)) == ["a", "b", "d"]
    nights = journal(tmp_path, b="accepted", c="accepted").good(ANCESTORS)
    assert commits(since_acceptance(nights)) == ["c", "d"]
    assert since_acceptance([]) == []


def test_what_was_measured_on_is_kept(tmp_path: Path) -> None:
    here = examine()
    Journal(tmp_path, "here", "fast").add(
        Night("a", "bad", "fast", "now", base="b", facts=here, worse=["slow"])
    )
    found = Journal(tmp_path, "here", "fast").find("a")
    assert found is not None
    assert (found.facts, found.base, found.worse) == (here, "b", ["slow"])


def test_a_damaged_journal_is_refused_and_left_alone(tmp_path: Path) -> None:
    journal(tmp_path, a="good", b="good")
    path = tmp_path / "nights-here.jsonl"
    half = path.read_bytes()[:-10]
    path.write_bytes(half)
    with pytest.raises(BadInput, match=r"nights-here\.jsonl, line 2: "):
        Journal(tmp_path, "here", "fast")
    assert path.read_bytes() == half


@pytest.mark.parametrize(
    ("count", "expected"),
    [(1, [9]), (2, [4, 9]), (3, [2, 5, 9]), (10, list(range(10))), (99, list(range(10)))],
)
def test_commits_are_spread_evenly_up_to_the_last(count: int, expected: list[int]) -> None:
    assert spread([str(k) for k in range(10)], count) == [str(k) for k in expected]


# Which commit the next night is compared with.


def last_good(written: Journal, head: str) -> str | None:
    ancestors = ANCESTORS[ANCESTORS.index(head) :]
    night = written.last_good(written.good(ancestors), head)
    return night.commit if night else None


def test_head_is_compared_with_the_newest_good_commit_before_it(tmp_path: Path) -> None:
    written = journal(tmp_path, a="accepted", b="good", c="bad", d="good")
    assert [last_good(written, head) for head in "edcb"] == ["d", "b", "b", "a"]


def test_an_accepted_head_is_compared_with_itself(tmp_path: Path) -> None:
    assert last_good(journal(tmp_path, a="good", b="accepted"), "b") == "b"


def test_the_first_commit_is_compared_with_nothing(tmp_path: Path) -> None:
    assert last_good(journal(tmp_path), "e") is None
    assert last_good(journal(tmp_path, c="bad", e="good"), "e") is None


def test_a_rewritten_history_is_compared_with_nothing_by_itself(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"^e builds on none of the commits that are known to be"):
        last_good(journal(tmp_path, rewritten="good"), "e")
