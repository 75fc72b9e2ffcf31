"""Named definitions, each loaded where it is used."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping

from bench.text.errors import unknown


class Table[T](Mapping[str, T]):
    """Definitions by name, each as the reference ``package.module:attribute`` of where it stands.

    So an entry is code of those runs alone that use it (`bench.spec.code_digest`), and naming one
    imports nothing.

    Args:
        references: By name. Written as a dictionary at the top level of a module.
    """

    def __init__(self, references: Mapping[str, str]) -> None:
        self.references = references

    def __getitem__(self, name: str) -> T:
        module, _, attribute = self.references[name].partition(":")
        found: T = getattr(importlib.import_module(module), attribute)
        return found

    def find(self, kind: str, name: str) -> T:
        """The definition of that name.

        Args:
            kind: What the name should be, for the message: ``protocol``.
            name: The name.

        Raises:
            BadInput: There is none.
        """
        if name not in self.references:
            raise unknown(kind, name, self.references)
        return self[name]

    def __contains__(self, name: object) -> bool:
        return name in self.references

    def __iter__(self) -> Iterator[str]:
        return iter(self.references)

    def __len__(self) -> int:
        return len(self.references)
