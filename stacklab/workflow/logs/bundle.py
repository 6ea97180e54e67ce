"""A bundle of `lab.logs`: its files, and those that could not be collected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A file of the bundle; with `why_not`, one that could not be collected (its `size` is 0)."""

    section: str  # host, a node's name, answers, requests
    path: str
    title: str
    size: int = 0
    why_not: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """The collected files, and the state of each node where the provider could be asked."""

    lab: str
    taken_at: float
    states: Mapping[str, str]
    items: tuple[Item, ...]

    @property
    def missing(self) -> tuple[Item, ...]:
        """Return the items that could not be collected."""
        return tuple(item for item in self.items if item.why_not)
