"""The option that says how long a ranking may take."""

from __future__ import annotations

from typing import Annotated

from bench.spec.options import Doc, Options
from bench.text.hours import parse_hours


class NightOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long a ranking may take."""

    hours: Annotated[
        str,
        Doc(
            "how long it may take: 8, 0.5, 8h, 90min; what does not fit is left out and said",
            "TIME",
            also=("time", "budget-hours", "time-limit"),
        ),
    ] = "8"

    @property
    def seconds(self) -> float:
        """The hours in seconds.

        Raises:
            BadInput: They are no number of hours, or not positive, finite and at most 10 000.
        """
        return 3600 * parse_hours(self.hours)
