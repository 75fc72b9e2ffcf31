"""The choices on one axis: built-in names, entry points, and references to a user's own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import entry_points
from typing import Any

from bench.spec.user_code import is_reference, load, spelled_as_reference
from bench.text.errors import BadInput, unknown


@dataclass(frozen=True)
class Choice:
    """One named choice: where it is defined, and what it is in a few words.

    Attributes:
        target: ``package.module:attribute``, imported when the choice is first used, so that
            names can be listed without importing torch.
        summary: One line for ``list``.
        takes_value: The target is a factory that is called with the text after ``=`` in
            ``name=value``, or with ``None`` for the bare name.
        version: Of the definition. Whoever changes what the choice means raises it, so that runs of
            the old meaning are neither found nor compared.
    """

    target: str
    summary: str
    takes_value: bool = False
    version: int = 1


class Registry:
    """The choices on one axis.

    Args:
        axis: ``activation``, ``normalization``, ``rescaling`` or ``initialization``.
        choices: The built-in choices by name. Installed packages add choices by entry points of the
            group ``bench.<axis>s`` (name = ``package.module:attribute``).
    """

    def __init__(self, axis: str, choices: Mapping[str, Choice]) -> None:
        self.axis = axis
        self._builtin = dict(choices)

    @cached_property
    def choices(self) -> dict[str, Choice]:
        """Every named choice, built-in ones first; those cannot be shadowed."""
        found = dict(self._builtin)
        for point in entry_points(group=f"bench.{self.axis}s"):
            found.setdefault(point.name, Choice(point.value, f"entry point {point.value}"))
        return found

    def names(self) -> Iterable[str]:
        """The names that can be used in an arm."""
        return self.choices.keys()

    def check(self, token: str) -> None:
        """Refuse a token that is neither a name, a ``name=value`` nor a reference.

        Raises:
            BadInput: It is none of these; the message has the nearest match.
        """
        name, given, value = token.partition("=")
        if is_reference(token):
            return
        if name not in self.choices:
            if (meant := spelled_as_reference(token)) is not None:
                raise BadInput(
                    f"{self.axis} {token!r}: one's own is written module:attribute, {meant!r}"
                )
            raise unknown(self.axis, name, [*self.names(), "package.module:attribute"])
        if given and not self.choices[name].takes_value:
            raise BadInput(f"{self.axis} {name!r} takes no value, got {token!r}")
        if given:
            load(self.choices[name].target)(value)

    def reference(self, token: str) -> str | None:
        """Where a choice that is not built in is defined: ``package.module:attribute``."""
        if is_reference(token):
            return token
        name = token.partition("=")[0]
        return None if name in self._builtin else self.choices[name].target

    def definition(self, token: str) -> str | None:
        """Where a built-in choice is defined; ``None`` of any other, and where torch defines it."""
        choice = self._builtin.get(token.partition("=")[0])
        return choice.target if choice and choice.target.startswith("bench.") else None

    def version(self, token: str) -> int:
        """The definition version of a choice; 1 of what is not built in."""
        choice = self._builtin.get(token.partition("=")[0])
        return choice.version if choice else 1

    def get(self, token: str) -> Any:
        """The object behind a token.

        Raises:
            BadInput: The token is unknown or what it names cannot be used.
        """
        if is_reference(token):
            found = load(token)
            if not callable(found):
                raise BadInput(f"{self.axis} {token!r} is not callable")
            return found
        self.check(token)
        name, _, value = token.partition("=")
        choice = self.choices[name]
        target = load(choice.target)
        return target(value or None) if choice.takes_value else target
