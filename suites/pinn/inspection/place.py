"""Where in a user's own file an error was raised."""

from __future__ import annotations

import traceback
from pathlib import Path

from suites.pinn.inspection.opened import is_users_file


def place_of(error: BaseException) -> str:
    """`` (file.py:12)`` of the innermost line that is a user's; empty where there is none."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if is_users_file(f.filename)]
    return f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
