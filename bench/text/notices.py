"""Sentences about the input, said once."""

from __future__ import annotations

import functools
import sys

from bench.text.errors import one_line


@functools.cache
def say_once(text: str) -> None:
    """Print one line on stderr, unless this process has printed it before."""
    print(f"bench: {one_line(text)}", file=sys.stderr)
