"""What all processes that the harness starts have in common."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def main_module_hidden() -> Iterator[None]:
    """Processes that are started in the body do not run the caller's script again, which so needs
    no ``if __name__ == "__main__"``, nor a notebook."""
    main = sys.modules["__main__"]
    kept: dict[str, Any] = {k: vars(main)[k] for k in ("__spec__", "__file__") if k in vars(main)}
    vars(main).update(dict.fromkeys(kept))
    try:
        yield
    finally:
        vars(main).update(kept)
