"""What a lab must and must not do while faults are made in it: `lab.check --expect`. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from stacklab.checks.impairments.family import loss_of
from stacklab.checks.result import HOST, Check, CheckKind, CheckResult, CheckStatus, Layer
from stacklab.model.lab import Lab


class FaultKind(StrEnum):
    """What can be made to fail; the word for `lab.fault`."""

    LINK_DOWN = "link-down"  # the NIC's cable is out
    UNPLUG = "unplug"  # the NIC itself is
    PAUSE = "pause"  # the node stands still
    POWER_OFF = "power-off"
    PARTITION = (
        "partition"  # groups of nodes do not hear each other on a network; the host hears all
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault of a lab. What does not apply is ""; `at` is when it was there (time.time())."""

    kind: FaultKind
    node: str = ""
    device: str = ""
    network: str = ""  # of the NIC, or the one that is partitioned
    groups: tuple[tuple[str, ...], ...] = ()  # every node of the network is in one of them
    at: float = 0.0
    interface: str = ""  # what the provider needs to plug the NIC in again

    def __str__(self) -> str:
        words = [self.node, self.device] if self.kind is not FaultKind.PARTITION else [self.network]
        words += [",".join(group) for group in self.groups]
        return " ".join([self.kind, *(word for word in words if word)])

    @property
    def stops_node(self) -> bool:
        """Whether the whole node stands still."""
        return self.kind in (FaultKind.PAUSE, FaultKind.POWER_OFF)


class Effect(StrEnum):
    """What a fault does to a check."""

    NONE = "none"  # it must pass
    CUT = "cut"  # it must not
    EITHER = "either"  # nobody can say: it depends on what the node makes of it


# What goes from a node to another on a network, and comes back.
_PAIRS = frozenset(
    {
        CheckKind.PING,
        CheckKind.MTU,
        CheckKind.PORT,
        CheckKind.SSH,
        CheckKind.DELAY,
        CheckKind.LOSS,
    }
)
# What a node may see otherwise when one of its NICs has no carrier: some systems take the addresses away, some don't.
_OWN_NICS = frozenset(
    {
        CheckKind.ROUTES,
        CheckKind.NIC,
        CheckKind.DNS,
        CheckKind.REACH,
        CheckKind.CLOSED,
        CheckKind.SEPARATE,
        CheckKind.NO_TRANSIT,
        CheckKind.SOURCE,
    }
)
_TO_SOMEWHERE = frozenset(
    {CheckKind.RATE, CheckKind.TCP, CheckKind.HTTP, CheckKind.SEPARATE, CheckKind.NO_TRANSIT}
)
# How what a fault turned round says so; views tell such results apart by it.
CUT_HEAD = "cut, as lab.fault "
EITHER_HEAD = "may be, while there is "
STILL_HEAD = "still works ("
_NO_CUT = ("HOST KEY MISMATCH", "permission denied")  # somebody answered


class Outage:
    """What a lab's faults do to its checks."""

    def __init__(self, lab: Lab, faults: Iterable[Fault]) -> None:
        self._lab = lab
        self.faults = tuple(faults)
        self._stopped: dict[str, Fault] = {}
        self._down: dict[tuple[str, str], Fault] = {}  # (node, network)
        self._groups: list[tuple[Fault, Mapping[str, int]]] = []
        for fault in self.faults:
            if fault.stops_node:
                self._stopped.setdefault(fault.node, fault)
                for nic in lab.node(fault.node).nics:
                    self._down.setdefault((fault.node, nic.network), fault)
            elif fault.kind is FaultKind.PARTITION:
                self._groups.append(
                    (fault, {n: i for i, group in enumerate(fault.groups) for n in group})
                )
            else:
                self._down.setdefault((fault.node, fault.network), fault)
        self._access = {node.name: node.access.network for node in lab.nodes}
        self._hurt = {node: fault for (node, _), fault in self._down.items()}

    def effect(self, check: Check) -> tuple[Effect, Fault | None]:
        """What becomes of a check, and by which fault."""
        if not self.faults or check.node == HOST:
            return Effect.NONE, None
        if check.kind is CheckKind.STATE:
            stopped = self._stopped.get(check.node)
            return (Effect.CUT, stopped) if stopped else (Effect.NONE, None)
        if unreached := self.why_unreached(check.node):
            return Effect.CUT, unreached
        if check.kind in _PAIRS:
            return self._of_pair(check)
        return self._of_one(check)

    def why_unreached(self, node: str) -> Fault | None:
        """The fault that keeps the host from logging in on a node; None if it still can."""
        return self._down.get((node, self._access.get(node, "")))

    def of_nic(self, node: str, network: str) -> Fault | None:
        """The fault that took a node's NIC away, or the whole node."""
        return self._down.get((node, network))

    def _of_pair(self, check: Check) -> tuple[Effect, Fault | None]:
        fault = next(self._between(check), None)
        if fault is None:
            return Effect.NONE, None
        ours, theirs = (
            self._lab.node(name).nic_on(check.network) for name in (check.node, check.target)
        )
        if ours and theirs and loss_of(ours.impairment, theirs.impairment) >= 1:
            return Effect.EITHER, fault  # it was cut before
        return Effect.CUT, fault

    def _between(self, check: Check) -> Iterator[Fault]:
        """The faults on the way of a check from one node to another on its network."""
        for node in (check.node, check.target):
            if fault := self._down.get((node, check.network)):
                yield fault
        for fault, group in self._groups:
            if fault.network == check.network and group.get(check.node) != group.get(check.target):
                yield fault

    def _of_one(self, check: Check) -> tuple[Effect, Fault | None]:
        own = self._hurt.get(check.node)
        if check.kind is CheckKind.NIC and check.network:
            fault = self._down.get((check.node, check.network))
            if fault is None:
                return Effect.NONE, None
            return (Effect.CUT if fault.kind is FaultKind.UNPLUG else Effect.EITHER), fault
        if check.kind in _OWN_NICS and own:
            return Effect.EITHER, own
        if check.kind in _TO_SOMEWHERE:
            fault = own or self._hurt.get(check.target) or next(self._between(check), None)
            if fault is None and check.kind in (CheckKind.TCP, CheckKind.HTTP):
                fault = self.faults[0]  # nothing tells by which network it goes
            return (Effect.EITHER, fault) if fault else (Effect.NONE, None)
        if check.kind.layer in (Layer.SERVICES, Layer.CLOUD):
            return Effect.EITHER, self.faults[0]
        return Effect.NONE, None

    def as_expected(self, result: CheckResult) -> CheckResult:
        """The result, turned round where a fault cuts it: what must be cut passes if it is."""
        effect, fault = self.effect(result.check)
        if effect is Effect.NONE:
            return result
        if effect is Effect.EITHER:
            if result.is_passed:
                return result
            detail = f"{EITHER_HEAD}{fault}: {result.detail}"
            return CheckResult(check=result.check, status=CheckStatus.PASSED, detail=detail)
        if result.is_passed:
            detail = f"{STILL_HEAD}{result.detail}), {fault} was to cut it"
            return dataclasses.replace(result, status=CheckStatus.FAILED, detail=detail)
        if not self._is_cut(result):
            return result
        detail = f"{CUT_HEAD}{fault} did: {result.detail}"
        return CheckResult(check=result.check, status=CheckStatus.PASSED, detail=detail)

    def _is_cut(self, result: CheckResult) -> bool:
        """Whether it failed for want of a way; what could not be tried on a node that answers proves nothing."""
        if result.detail.startswith(_NO_CUT):
            return False
        return (
            result.status is CheckStatus.FAILED or self.why_unreached(result.check.node) is not None
        )

    @property
    def since(self) -> float:
        """When the last of the faults was there."""
        return max((fault.at for fault in self.faults), default=0.0)


def cut(lab: Lab, faults: Sequence[Fault], check: Check) -> bool:
    """Whether these faults cut what a check tries."""
    return Outage(lab, faults).effect(check)[0] is Effect.CUT


def told(outage: Outage, results: Sequence[CheckResult], now: float) -> str:
    """How a lab stands with its faults, in one line; `now` is when the last check had its answer."""
    names = ", ".join(str(fault) for fault in outage.faults) or "no fault"
    effects = [outage.effect(result.check)[0] for result in results]
    counts = f"{effects.count(Effect.CUT)} checks cut, {effects.count(Effect.NONE)} must still work"
    wrong = sum(not result.is_passed for result in results)
    if wrong:
        return f"{names}: {counts}; {wrong} not as expected"
    when = f" {now - outage.since:.1f} s after the fault at the latest" if outage.faults else ""
    return f"{names}: {counts}; all as expected{when}"
