"""What a suite says to the user beside its results: one line on stderr, once a process."""

from __future__ import annotations

import functools
import sys

from bench.text.errors import one_line


@functools.cache
def say_once(text: str) -> None:
    """Print a line on stderr, unless this process has printed it: a study asks for many runs."""
    print(f"bench: {one_line(text)}", file=sys.stderr)
