"""The contract of a family of checks: what it promises, asks nodes and the host for, and judges.

A family is a folder (or a module) with a `FAMILY`, listed in `plan.FAMILIES`. Nothing
else in the house knows a family by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from stacklab.checks.result import Check, CheckResult, Layer
from stacklab.model.lab import Lab, Node
from stacklab.model.stack import NO_MIRRORS, Mirrors
from stacklab.model.state import NodeState
from stacklab.nodes.protocol import Answer, Part
from stacklab.process.command import Runner


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """The host's own connection to a place: the control of what a node must, or must not, reach."""

    address: str = ""  # what its name stands for; "" if the host doesn't know it
    why_not: str = ""  # why the host has no connection to it; "" if it has
    is_timed_out: bool = False  # nothing answered the host in time

    @property
    def is_open(self) -> bool:
        """True if the host got through."""
        return not self.why_not


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """The trials that the host has to make itself before a family's checks can be judged."""

    places: tuple[str, ...] = ()  # to connect to: "NAME:PORT" or "ADDRESS:PORT"
    pings: tuple[str, ...] = ()  # addresses of nodes
    instead: Mapping[str, str] = field(default_factory=dict)  # place -> the host's mirror of it
    needs_package_mirrors: bool = False  # the mirrors of the host's own packages as well
    needs_other_labs: bool = False  # nodes of the host's other labs as well
    # Ports of the host that are closed to nodes, but for these; None: nobody needs any.
    open_ports: frozenset[str] | None = None

    def joined(self, other: Needs) -> Needs:
        """Return the needs of both, each place and address once."""
        return Needs(
            places=tuple(dict.fromkeys((*self.places, *other.places))),
            pings=tuple(dict.fromkeys((*self.pings, *other.pings))),
            instead={**self.instead, **other.instead},
            needs_package_mirrors=self.needs_package_mirrors or other.needs_package_mirrors,
            needs_other_labs=self.needs_other_labs or other.needs_other_labs,
            open_ports=self.open_ports if other.open_ports is None else other.open_ports,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The host's knowledge that nodes are held against; what nobody asked for is empty."""

    # By place, "NAME:PORT" or "ADDRESS:PORT"; a place that is asked for later may be tried then.
    tried: Mapping[str, Tried] = field(default_factory=dict)
    instead: Mapping[str, str] = field(default_factory=dict)  # place -> the host's own mirror of it
    answered_at: float | None = None  # when lab.up last saw all nodes answer
    # Addresses of nodes that answer the host's ping, of those that it had to try.
    alive: frozenset[str] = frozenset()
    # Nodes of the host's other labs whose sshd answers the host: NODE of LAB, by its address.
    other_labs: Mapping[str, str] = field(default_factory=dict)
    host_ports: tuple[int, ...] = ()  # some at which the host listens, and nodes must not be heard
    why_host_open: str = ""  # why lab.up could not close the host to the nodes; "" if it could

    def of(self, place: str) -> Tried | None:
        """Return the host's connection to a place; None if it never tried."""
        try:
            return self.tried[place]
        except KeyError:
            return None


# What to say, and what to type, of a node whose state is this (None: nobody can tell).
AboutState = Callable[[str, NodeState | None], tuple[str, str]]


def about_state(node: str, state: NodeState | None) -> tuple[str, str]:
    """Return the state's own word, for want of a provider that knows more."""
    return (f"is {state}" if state else "its state is not known"), ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """The knowledge of all nodes when their sessions are over."""

    states: Mapping[str, NodeState | None]  # None: nobody can tell
    measured: Mapping[str, float]  # what `Family.measure` found, by node
    due: AbstractSet[Check]  # the checks that this attempt is about
    about_state: AboutState = about_state


def _needs_nothing(lab: Lab, checks: Sequence[Check], mirrors: Mirrors = NO_MIRRORS) -> Needs:
    return Needs()


def _nothing_of_host(lab: Lab, checks: Sequence[Check], runner: Runner) -> Iterable[CheckResult]:
    return ()


def _measures_nothing(lab: Lab, node: Node, answer: Answer) -> float | None:
    return None


def _nothing_together(
    lab: Lab, checks: Sequence[Check], overview: Overview
) -> Iterable[CheckResult]:
    return ()


def _lacks_no_witness(lab: Lab, check: Check, facts: Facts) -> frozenset[str]:
    return frozenset()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Family:
    """Checks that belong together.

    The first four members are what every family has:

    expected  yields every check that the spec promises, in the lab's order
    parts     yields what a node has to run for these checks of its own, and no more
    judge     holds a node's answer against these checks: one result for each

    The rest has a default that does nothing:

    gather    tells what the host has to try beforehand for these checks
    of_host   does and judges the checks that the host does itself (node is HOST)
    measure   takes one number from a node's answer, for `together`: whole answers of
              many nodes would not fit into memory
    together  judges the kinds with the trait `is_together`, after all sessions
    witnesses names the nodes that would have to answer the host before a result with
              a warning can prove anything; the check is tried again when one may do so
    """

    layers: tuple[Layer, ...]
    expected: Callable[[Lab], Iterable[Check]]
    parts: Callable[[Lab, Node, Sequence[Check], Facts], Iterable[Part]]
    judge: Callable[[Lab, Sequence[Check], Answer, Facts], Iterable[CheckResult]]
    gather: Callable[[Lab, Sequence[Check], Mirrors], Needs] = _needs_nothing
    of_host: Callable[[Lab, Sequence[Check], Runner], Iterable[CheckResult]] = _nothing_of_host
    measure: Callable[[Lab, Node, Answer], float | None] = _measures_nothing
    together: Callable[[Lab, Sequence[Check], Overview], Iterable[CheckResult]] = _nothing_together
    witnesses: Callable[[Lab, Check, Facts], frozenset[str]] = _lacks_no_witness
