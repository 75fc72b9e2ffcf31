"""Standard output is for results alone."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

_OUT, _ERROR = 1, 2


@contextlib.contextmanager
def kept_for_results() -> Iterator[None]:
    """What is printed in the body goes to stderr, by subprocesses that it starts, too."""
    sys.stdout.flush()
    kept = os.dup(_OUT)
    os.dup2(_ERROR, _OUT)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(kept, _OUT)
        os.close(kept)
