"""Sources and scopes: a file's text, and what is known about the file besides."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property

from stacklab.lint.finding import Finding
from stacklab.model.lab import Lab, Node
from stacklab.model.release import Release


@dataclass(frozen=True, kw_only=True)
class Source:
    """A text file that was read; `name` is how messages call it."""

    name: str
    text: str

    @cached_property
    def lines(self) -> tuple[str, ...]:
        """Return its lines without their ends; a carriage return stays, for a rule to find."""
        return tuple(self.text.removesuffix("\n").split("\n")) if self.text else ()


class Ground(StrEnum):
    """What an era is known by, the surest first."""

    LAB = "lab"  # its spec
    REQUEST = "request"  # --release
    NAME = "name"  # a branch, a tag or a version in the file
    MARKS = "marks"  # names that only some releases know
    ASSUMED = "assumed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Era:
    """The release that a file is judged by, and all that it may be for."""

    title: str  # the installer, as people know it
    release: str
    ground: Ground
    why: str  # what in the file, or outside of it, tells the release
    possible: tuple[str, ...]  # releases, the one that it is judged by among them
    row: Release | None = None  # of the release; None if little more than names is known of it
    is_in_table: bool = True  # False: nothing is known of the release, so names are not checked

    @property
    def is_certain(self) -> bool:
        """Return True if the file is surely for that release."""
        return len(self.possible) <= 1

    def among(self, possible: tuple[str, ...]) -> Era:
        """Return the same era, where the file may be for several releases."""
        return replace(self, possible=possible)

    def __str__(self) -> str:
        """Return a sentence: the release, and why."""
        sentence = f"judged as {self.title} {self.release}: {self.why}"
        if not self.is_in_table:
            return f"{sentence}, which is not in the table: its names are not checked"
        if self.is_certain:
            return sentence
        return f"{sentence}; --release NAME if it is for another one"


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
