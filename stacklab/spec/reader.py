"""Parsed JSON, whose values are asked for by type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"


class Reader:
    """A mapping whose values are asked for by type."""

    def __init__(self, mapping: object) -> None:
        if not isinstance(mapping, Mapping):
            raise TypeError(f"{mapping!r} is no mapping")
        self._mapping = mapping

    def text(self, key: str) -> str:
        """Text; raises KeyError or TypeError, as the others do."""
        value = self._mapping[key]
        if not isinstance(value, str):
            raise TypeError(f"{key} is no text")
        return value

    def whole(self, key: str) -> int:
        """A whole number."""
        value = self._mapping[key]
        if not isinstance(value, int) or isinstance(value, bool):
            raise TypeError(f"{key} is no whole number")
        return value

    def number(self, key: str) -> float:
        """Any number."""
        value = self._mapping[key]
        return value if isinstance(value, float) else float(self.whole(key))

    def flag(self, key: str) -> bool:
        """True or false."""
        value = self._mapping[key]
        if not isinstance(value, bool):
            raise TypeError(f"{key} is neither true nor false")
        return value

    def has(self, key: str) -> bool:
        """Whether there is a value that is not null."""
        return self._mapping.get(key) is not None

    def items(self, key: str) -> list[object]:
        """A list."""
        value = self._mapping[key]
        if not isinstance(value, list):
            raise TypeError(f"{key} is no list")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts."""
        return tuple(str(item) for item in self.items(key))

    def inner(self, key: str) -> Reader:
        """A mapping."""
        return Reader(self._mapping[key])

    def inners(self, key: str) -> list[Reader]:
        """A list of mappings."""
        return [Reader(item) for item in self.items(key)]
