"""Short names of a study's arms, for its tables and figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.arm import Arm
from bench.text.errors import BadInput, unknown

#: Characters of a name: a longer one is not short.
_LONGEST = 40


def checked_names(names: Mapping[str, str], arms: Sequence[str], of: str) -> dict[str, str]:
    """The names, refusing what would make a table wrong or unclear.

    Args:
        names: The arm of each name, in canonical spelling.
        arms: All arms that can have one, likewise.
        of: Whose names they are, for messages: ``"the part on 'pinn'"``.

    Raises:
        BadInput: A name is blank, long, or what an arm is called; or its arm is not there,
            or has two names.
    """
    where = f"names of {of}"
    named: dict[str, str] = {}
    for name, arm in names.items():
        if not name.strip() or name != name.strip() or not name.isprintable():
            raise BadInput(f"{where}: {name!r} is not one line of text without blanks around it")
        if len(name) > _LONGEST:
            raise BadInput(
                f"{where}: {name!r} has {len(name)} characters (allowed: at most {_LONGEST})"
            )
        if name in arms or _is_arm(name):
            raise BadInput(f"{where}: {name!r} is itself an arm, so it cannot name {arm!r}")
        if arm not in arms:
            raise unknown(f"arm in {where}:", arm, arms)
        if arm in named:
            raise BadInput(f"{where}: {arm!r} has two, {named[arm]!r} and {name!r}")
        named[arm] = name
    return dict(names)


def _is_arm(name: str) -> bool:
    try:
        Arm.parse(name)
    except BadInput:
        return False
    return True
