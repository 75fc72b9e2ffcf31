"""Scores of the frames of each ``config_type``."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from suites.molecular.data.md17 import read_npz
from suites.molecular.data.molecules import SHIPPED
from suites.molecular.data.reading import group_names
from suites.molecular.groups import MOST_GROUPS, group_errors


def test_a_group_that_is_called_others_keeps_its_errors() -> None:
    names = ["others"] * 3 + [f"g{k}" for k in range(MOST_GROUPS + 4) for _ in range(2)]
    names = [*names, "others_"]
    frames = read_npz(SHIPPED / "ethanol.npz").select(np.arange(len(names)))
    frames = replace(frames, groups=np.array(names))
    off = np.where(frames.groups == "others", 5.0, 1.0)
    found = group_errors(frames, frames.energies + off, frames.forces)
    np.testing.assert_allclose(found["MAE_E[others]"], 5.0)
    np.testing.assert_allclose(found["MAE_E[others__]"], 1.0)
    assert len(found) == 3 * (MOST_GROUPS + 1)


def test_long_names_with_the_same_beginning_stay_apart() -> None:
    same = "x" * 70
    names = [same + "a", same + "b", "short", same + "a", "x" * 60]
    found = group_names(names)
    assert found is not None
    assert found.tolist() == ["x" * 58 + "~2", "x" * 58 + "~3", "short", "x" * 58 + "~2", "x" * 60]
    assert group_names(["a" * 80, None]).tolist() == ["a" * 60, "none"]  # type: ignore[union-attr]
