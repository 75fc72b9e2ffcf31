"""What people are told of a night: lines on a terminal, a summary in Markdown, pages."""

from __future__ import annotations

import os
from pathlib import Path

from bench.text.errors import BadInput
from bench.tracking.asv_commands import Asv
from bench.tracking.findings import Findings
from bench.tracking.summary import lines, markdown


class Publisher:
    """Tells people what a night found.

    Args:
        asv: asv with the results.
        summary: File that the summary is appended to; by default that of
            ``$GITHUB_STEP_SUMMARY``, if it is set.
        pages: Whether to write asv's pages.
    """

    def __init__(self, asv: Asv, summary: Path | None, pages: bool) -> None:
        self._asv = asv
        self._summary = summary
        self._pages = pages

    def not_measured(self, error: BadInput) -> None:
        """Say in the summary why there are no findings."""
        self._append(f"# Not measured\n\n{error}\n")

    def publish(self, found: Findings) -> str | None:
        """Print the findings, append the summary, write the pages.

        Returns:
            Why the pages could not be written, if so.
        """
        print("\n".join(lines(found)), flush=True)
        self._append(markdown(found))
        if self._pages:
            try:
                self._asv.publish()
            except BadInput as error:
                return str(error)
        return None

    def _append(self, text: str) -> None:
        target = self._summary or os.environ.get("GITHUB_STEP_SUMMARY")
        if target:
            with Path(target).open("a") as file:
                file.write(text)
