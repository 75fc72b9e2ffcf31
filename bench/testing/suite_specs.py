"""The specs that a suite makes of requests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from bench.arm import AXES, LATER_AXES, Arm
from bench.spec.spec import Spec
from bench.testing.states import differences
from bench.testing.suite_requests import Requests, suite_of
from bench.text.errors import BadInput, typed

_NONSENSE = "no-such-name"


class SpecContract(Requests):
    """A spec names its run, in another process and as JSON too, and wrong names are refused."""

    def test_the_spec_names_the_run(self, token: str) -> None:
        suite = suite_of(token)
        spec, again = self.spec(suite), self.spec(suite)
        assert spec.suite == suite.name, f"suite {token!r} makes a spec of {spec.suite!r}"
        try:
            written = msgspec.json.encode(spec)
        except TypeError as error:
            raise AssertionError(f"suite {token!r}: its spec is no JSON: {error}") from error
        assert spec == again and spec.hash == again.hash, (
            f"suite {token!r} makes another spec of the same request: {_changed(spec, again)}"
        )
        other = self.spec(suite, seed=1)
        assert other.hash != spec.hash, f"suite {token!r} makes the same run of another seed"
        read = msgspec.json.decode(written, type=Spec)
        assert read == spec and read.hash == spec.hash, (
            f"suite {token!r}: a spec or its hash does not survive JSON: {_changed(spec, read)}"
        )
        missing = sorted(set(AXES) - set(LATER_AXES) - set(spec.axes))
        assert not missing, f"suite {token!r} makes a spec without a choice of {missing}"

    def test_arms_are_in_the_spec(self, token: str) -> None:
        suite = suite_of(token)
        plain = self.spec(suite)
        for text in self.arms:
            spec = self.spec(suite, arm=text)
            for axis, choice in Arm.parse(text).choices().items():
                assert spec.axes[axis] == choice, (
                    f"suite {token!r}: under the arm {text!r} its {axis} is {spec.axes[axis]!r}"
                )
            assert spec.hash != plain.hash or spec.axes == plain.axes, (
                f"suite {token!r}: the arm {text!r} is the same run as the baseline"
            )

    @pytest.mark.parametrize("kind", ["problem", "model", "budget"])
    def test_wrong_names_are_refused(self, token: str, kind: str) -> None:
        suite = suite_of(token)
        wrong: dict[str, Any] = {kind: _NONSENSE}
        request = replace(self.request(suite), **wrong)
        try:
            suite.specify(request)
        except BadInput as error:
            assert _NONSENSE in str(error), (
                f"suite {token!r} refuses an unknown {kind} without naming it: {error}"
            )
        except Exception as error:
            raise AssertionError(
                f"suite {token!r} raises {typed(error)} for an unknown {kind}, where BadInput makes"
                " one clear line"
            ) from error
        else:
            raise AssertionError(f"suite {token!r} accepts {_NONSENSE!r} as a {kind}")


def _changed(spec: Spec, other: Spec) -> str:
    return differences(msgspec.structs.asdict(spec), msgspec.structs.asdict(other))
