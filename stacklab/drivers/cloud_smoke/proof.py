"""The steps of the proof, in their order.

`checks.cloud.proof` promises what is listed here and `__main__` does it, in a venv that lacks
stacklab's libraries: only the standard library may be imported.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise


class Act(StrEnum):
    """The kinds of step; the value is its title, with the names of up to two VMs."""

    LOG_IN = "log in at keystone"
    SWEEP = "delete what an earlier run left"
    COMPUTES = "computes are up"
    AGENTS = "network agents are alive"
    RATIOS = "the computes have the lab's overcommit"
    IMAGE = "upload the tenant image"
    FLAVORS = "make flavors and key"
    NETWORKS = "make networks and router"
    BOOT = "boot a VM on each compute"
    FLOATING = "give them floating addresses"
    DASHBOARD = "the dashboard lists the VMs"
    HOST_PINGS = "the host pings {one}"
    HOST_LOGS_IN = "the host logs in to {one}"
    PINGS = "{one} pings {other}"
    LOGS_IN = "{one} logs in to {other}"
    METADATA = "{one} reads its metadata"
    VOLUME = "make a volume"
    WRITE = "{one} writes to the volume"
    READ = "{other} reads what {one} wrote"
    MIGRATE = "{one} moves to the compute of {other}, which pings it"
    RESIZE = "{one} is made larger"
    CLEAN = "delete everything again"


@dataclass(frozen=True, slots=True)
class Guest:
    """A VM of the proof, and the compute that it has to be on."""

    name: str
    host: str


@dataclass(frozen=True, slots=True)
class ProofStep:
    """A step, and the VMs that it is about."""

    act: Act
    one: str = ""
    other: str = ""

    @property
    def title(self) -> str:
        """The step as reports name it."""
        return self.act.value.format(one=self.one, other=self.other)


def guests(computes: Sequence[str]) -> tuple[Guest, ...]:
    """Return a VM for each compute, and two for a single one: they have to meet somebody."""
    if len(computes) == 1:
        return (Guest("vm-a", computes[0]), Guest("vm-b", computes[0]))
    return tuple(Guest(f"vm-{host}", host) for host in computes)


def steps(
    computes: Sequence[str], *, has_volumes: bool, can_migrate: bool, has_dashboard: bool
) -> tuple[ProofStep, ...]:
    """Return all steps of the proof of a cloud that has these computes."""
    names = [guest.name for guest in guests(computes)]
    first, second = names[:2]
    listed = [ProofStep(act) for act in _PREPARATIONS]
    if has_dashboard:
        listed.append(ProofStep(Act.DASHBOARD))
    for name in names:
        listed += [ProofStep(Act.HOST_PINGS, name), ProofStep(Act.HOST_LOGS_IN, name)]
    for one, other in _neighbours(names):
        listed += [ProofStep(Act.PINGS, one, other), ProofStep(Act.LOGS_IN, one, other)]
    listed += [ProofStep(Act.METADATA, name) for name in names]
    if has_volumes:
        listed += [
            ProofStep(Act.VOLUME),
            ProofStep(Act.WRITE, first),
            ProofStep(Act.READ, first, second),
        ]
    if can_migrate:
        listed += [ProofStep(Act.MIGRATE, first, second), ProofStep(Act.RESIZE, second)]
    return (*listed, ProofStep(Act.CLEAN))


_PREPARATIONS = (
    Act.LOG_IN,
    Act.SWEEP,
    Act.COMPUTES,
    Act.AGENTS,
    Act.RATIOS,
    Act.IMAGE,
    Act.FLAVORS,
    Act.NETWORKS,
    Act.BOOT,
    Act.FLOATING,
)


def _neighbours(names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield each VM with the next, both ways: all pairs of many computes would take hours."""
    for one, other in pairwise(names):
        yield one, other
        yield other, one
