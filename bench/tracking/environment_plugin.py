"""asv plugin: the environment type ``uv``, also where uv is not on PATH.

asv looks for uv on PATH, but `make` installs it beside asv. Where a machine has no uv at all,
environments are made with virtualenv, which asv depends on.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from asv.console import log
from asv.plugins.uv import Uv
from asv.plugins.virtualenv import Virtualenv


class UvByVirtualenv(Virtualenv):
    """virtualenv under the name of uv's environments, so that results stay in the same graphs."""

    tool_name: str | None = None


def setup() -> None:
    """Called by asv when it loads the plugin."""
    if shutil.which("uv"):
        return
    beside = str(Path(sys.executable).parent)
    if shutil.which("uv", path=beside):
        os.environ["PATH"] = f"{os.environ.get('PATH', os.defpath)}{os.pathsep}{beside}"
        return
    log.warning("uv is not there: environments are made with virtualenv")
    Uv.tool_name = None
    UvByVirtualenv.tool_name = "uv"
