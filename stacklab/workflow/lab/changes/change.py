"""A difference between a lab as it was brought up and its spec of today, and what it costs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from stacklab.codec import Codec

# A line of `lab.plan`: a thing, what `lab.up` does with it, and why.
Row = tuple[str, str, str]


class Cost(StrEnum):
    """What following a change takes; of two, the later one is the dearer."""

    LIVE = "live"  # nodes go on
    NEW = "new"  # something is made, all others go on
    REBOOT = "reboot"  # the node boots again, from its own disk
    REBUILD = "rebuild"  # it is made anew: what was on its disk is lost
    REMOVE = "remove"  # it goes, with its disk
    REFUSED = "refused"  # can't be followed

    @property
    def is_disruptive(self) -> bool:
        """Return True if a node is interrupted or lost."""
        return self in (Cost.REBOOT, Cost.REBUILD, Cost.REMOVE)

    @property
    def rank(self) -> int:
        """Return a number by which costs sort."""
        return list(Cost).index(self)


class Subject(StrEnum):
    """Kinds of things that change."""

    IMAGE = "image"
    NETWORK = "network"
    NODE = "node"
    ANSWERS = "answers"
    CHECKS = "checks"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One difference; `name` is that of the node or network, "" where the whole lab is meant."""

    subject: Subject
    name: str = ""
    what: str = ""  # the part of it that differs: memory; "": all of it
    before: str = ""
    after: str = ""
    cost: Cost
    why: str = ""  # what the cost follows from, or what is not done
    adds_nic: bool = False  # to a node that goes on: unlike what else is live, only lab.up does it

    @property
    def about(self) -> str:
        """Return what changed: `node compute1`."""
        return f"{self.subject} {self.name}".rstrip()

    @property
    def text(self) -> str:
        """Return how it changed: `memory 1GiB -> 2GiB`."""
        if not self.before and not self.after:
            return self.what
        values = " -> ".join((self.before or "nothing", self.after or "nothing"))
        return f"{self.what} {values}".lstrip()

    def __str__(self) -> str:
        text = f"{self.about}: {self.text or self.cost}"
        return f"{text} ({self.why})" if self.why else text


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """All differences, in the order in which people read them."""

    lines: tuple[Change, ...] = ()
    notes: tuple[str, ...] = ()  # what `lab.up` leaves to people

    def __iter__(self) -> Iterator[Change]:
        return iter(self.lines)

    def costing(self, *costs: Cost) -> tuple[Change, ...]:
        """Return those that cost one of these."""
        return tuple(change for change in self.lines if change.cost in costs)

    def names(self, subject: Subject, *costs: Cost) -> tuple[str, ...]:
        """Return the nodes, or networks, whose dearest change costs one of these, sorted."""
        dearest: dict[str, Cost] = {}
        for change in self.lines:
            if change.subject is subject:
                known = dearest.get(change.name, Cost.LIVE)
                dearest[change.name] = max(known, change.cost, key=lambda cost: cost.rank)
        return tuple(sorted(name for name, cost in dearest.items() if cost in costs))

    @property
    def nodes_with_more_nics(self) -> tuple[str, ...]:
        """Return the nodes that get NICs while they go on, sorted."""
        getting = {change.name for change in self.lines if change.adds_nic}
        return tuple(name for name in self.names(Subject.NODE, Cost.LIVE) if name in getting)

    @property
    def needs_other_image(self) -> bool:
        """Return True if all nodes are made anew, on another base image."""
        return any(
            change.subject is Subject.IMAGE and change.cost is Cost.REBUILD for change in self.lines
        )

    @property
    def is_disruptive(self) -> bool:
        """Return True if a node, or a network with its nodes, is interrupted or lost."""
        return any(change.cost.is_disruptive for change in self.lines)


NO_CHANGES = Changes()
CODEC = Codec(Change)
