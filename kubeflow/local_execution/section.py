"""A mapping of a compiled file, read with errors that say where in the file they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.config.errors import UserError

_KINDS = {dict: "a mapping", list: "a list", str: "a text", float: "a number"}


class Section:
    """One mapping of the file.

    Attributes:
        where: its place, for messages.
        content: Entries of the mapping.
    """

    def __init__(self, where: str, content: Any) -> None:
        """Takes what was read.

        Raises:
            UserError: it is no mapping.
        """
        self.where = where
        self.content: Mapping[str, Any] = _checked(where, content, dict)

    def has(self, key: str) -> bool:
        """Returns whether the key is there, whatever its value."""
        return key in self.content

    def section(self, key: str) -> Section:
        """Returns the mapping below a key, empty if there is none."""
        return Section(self._place(key), self.content.get(key, {}))

    def sections(self, key: str) -> dict[str, Section]:
        """Returns the mappings of the mapping below a key, by name."""
        below = self.section(key)
        return {name: below.section(name) for name in below.content}

    def entries(self, key: str) -> list[Section]:
        """Returns the mappings of the list below a key, none if there is no list."""
        where = self._place(key)
        return [Section(where, e) for e in _checked(where, self.content.get(key, []), list)]

    def number(self, key: str, default: float) -> float:
        """Returns the number below a key, or the default if there is none."""
        value = self.content.get(key, default)
        # JSON and YAML write whole numbers without a point.
        number: float = _checked(
            self._place(key), float(value) if type(value) is int else value, float
        )
        return number

    def text(self, key: str) -> str:
        """Returns the text below a key.

        Raises:
            UserError: there is none.
        """
        if key not in self.content:
            raise UserError(f"{self.where}: has no {key}")
        text: str = _checked(self._place(key), self.content[key], str)
        return text

    def texts(self, key: str) -> tuple[str, ...]:
        """Returns the texts of the list below a key, none if there is no list."""
        where = self._place(key)
        return tuple(
            _checked(where, entry, str)
            for entry in _checked(where, self.content.get(key, []), list)
        )

    def _place(self, key: str) -> str:
        return f"{self.where}.{key}"


def _checked(where: str, content: Any, kind: type) -> Any:
    if not isinstance(content, kind):
        found = _KINDS.get(type(content), repr(content))
        raise UserError(f"{where}: {found}; expected {_KINDS[kind]}")
    return content
