"""A user's own files: which state of one a spec has, and whether two specs have the same."""

from __future__ import annotations

import msgspec
import pytest
from sample_records import SPEC

from bench.spec.own_files import earlier_files, files_differ, newest_files
from bench.spec.spec import Spec
from bench.spec.versions import conflict


def of(**digests: str) -> Spec:
    return msgspec.structs.replace(SPEC, sources={f"{k}:X": d for k, d in digests.items()})


def test_the_newest_state_is_that_of_the_run_that_was_started_last() -> None:
    runs = [("2026-03-01", of(mine="b")), ("2026-01-01", of(mine="c", other="a")), ("", of())]
    newest = newest_files(runs)
    assert newest == {"mine:X": "b", "other:X": "a"}
    assert newest_files(reversed(runs)) == newest
    assert [earlier_files(spec, newest) for _, spec in runs] == [[], ["mine:X"], []]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (of(), of(mine="a"), False),
        (of(mine="a"), of(other="b"), False),
        (of(mine="a"), of(mine="a", other="b"), False),
        (of(mine="a"), of(mine="b"), True),
        (of(mine="a", problem="a"), of(problem="b"), True),
    ],
)
def test_only_what_both_use_can_differ(one: Spec, other: Spec, expected: bool) -> None:
    assert files_differ(one, other) == files_differ(other, one) == expected
    assert conflict(one, other) == conflict(other, one) == expected
