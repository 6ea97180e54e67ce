"""Sources and scopes: a file's text, and what is known about the file besides."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from stacklab.lint.finding import Finding
from stacklab.model.lab import Lab, Node
from stacklab.model.release import Release

if TYPE_CHECKING:  # whoever renders files imports the scopes, and waits for no rule
    from stacklab.lint.era import Era


@dataclass(frozen=True, kw_only=True)
class Source:
    """A text file that was read; `name` is how messages call it."""

    name: str
    text: str

    @cached_property
    def lines(self) -> tuple[str, ...]:
        """Return its lines without their ends; a carriage return stays, for a rule to find."""
        return tuple(self.text.removesuffix("\n").split("\n")) if self.text else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The lab, node and release that a file is for; all unknown for a file of somebody else's."""

    release: Release | None = None
    era: Era | None = None  # of the release, where a file rather than a lab has to tell it
    lab: Lab | None = None
    node: Node | None = None
    siblings: tuple[str, ...] = ()  # names of the files in the same directory

    @property
    def is_controller(self) -> bool | None:
        """Return True if the node is the lab's controller; None if no lab is known."""
        if self.lab is None or self.node is None:
            return None
        return self.node.name == self.lab.controller.name


Linter = Callable[[Source, Scope], Iterator[Finding]]
