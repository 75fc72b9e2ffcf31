"""Whether a call comes from a user's code."""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from types import FrameType

from bench.spec.user_frames import is_own

#: Of a long process; `is_own` asks for the installed suites each time.
is_users_code = functools.lru_cache(maxsize=4096)(is_own)
#: What has called the user's code, and whatever has called that.
_CHILD = str(Path(__file__).with_name("child.py"))


def called_by_user() -> bool:
    """Whether a user's own code is among the callers, up to the import that they are part of.

    What a library does while it is imported is its own affair, also where a user imports it.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if name == _CHILD or name.startswith("<frozen importlib"):
            return False
        if is_users_code(name):
            return True
        frame = frame.f_back
    return False
