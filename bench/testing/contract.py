"""How a contract becomes a class of tests: one that is run for each of some plug-ins."""

from __future__ import annotations

from typing import Any

import pytest


def contract_of[C](kind: type[C], plugins: tuple[str, ...], **given: Any) -> type[C]:
    """The tests of a contract for some plug-ins, as a class that pytest collects.

    Args:
        kind: The contract; each of its tests takes the plug-in's name as ``token``.
        plugins: As on the command line: a name, or ``module:attribute``.
        given: Attributes of the contract.

    Raises:
        TypeError: No plug-in is named, or something else than a name is given.
    """
    if not plugins:
        raise TypeError(f"{kind.__name__}: name what is to be tested, for instance 'mine:Snake'")
    for plugin in plugins:
        if not isinstance(plugin, str):
            raise TypeError(
                f"{kind.__name__}: a plug-in is named as on the command line, 'module:attribute',"
                f" and this is {plugin!r}"
            )
    described = {"__doc__": kind.__doc__, "__module__": kind.__module__}
    tests = type(kind.__name__, (kind,), {**described, **given})
    return pytest.mark.parametrize("token", plugins)(tests)
