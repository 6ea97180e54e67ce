"""What a family of checks is: a module of this shape, listed in `plan`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from stacklab.checks.result import Check, CheckResult
from stacklab.model.lab import Lab, Node
from stacklab.nodes.protocol import Answer, Part


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """How the host itself fared with a place: the control of what a node is to reach, or must not."""

    address: str = ""  # what its name stands for; "" if the host doesn't know it
    why_not: str = ""  # why the host has no connection to it; "" if it has

    @property
    def is_open(self) -> bool:
        """Whether the host got through."""
        return not self.why_not


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the host knows and nodes are held against; what nobody asked for is empty."""

    # By place, "NAME:PORT" or "ADDRESS:PORT"; one that is asked for later may be tried then.
    tried: Mapping[str, Tried] = field(default_factory=dict)
    instead: Mapping[str, str] = field(default_factory=dict)  # place -> the host's own mirror of it
    answered_at: float | None = None  # when lab.up last saw all nodes answer
    alive: frozenset[str] = (
        frozenset()
    )  # nodes' addresses that answer the host's ping, of those it had to try

    def of(self, place: str) -> Tried | None:
        """How the host fared there; None if it never tried."""
        try:
            return self.tried[place]
        except KeyError:
            return None


class Family(Protocol):
    """Checks that belong together. `checks` is always of one node, or of what is judged together."""

    def expected(self, lab: Lab) -> Iterable[Check]:
        """Every check that the spec promises, in the lab's order, nodes' and the host's."""
        ...

    def parts(self, lab: Lab, node: Node, checks: Sequence[Check], facts: Facts) -> Iterable[Part]:
        """What the node has to run for these checks of its own: no more than they need."""
        ...

    def judge(
        self, lab: Lab, checks: Sequence[Check], answer: Answer, facts: Facts
    ) -> Iterable[CheckResult]:
        """Hold a node's answer against what was expected: one result per check."""
        ...
