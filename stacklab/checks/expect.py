"""Expectations of a lab while faults are made in it: `lab.check --expect`. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from stacklab.checks.impairments.measuring import loss_of
from stacklab.checks.kinds import Exposure
from stacklab.checks.result import HOST, Check, CheckKind, CheckResult, CheckStatus, Reason, Verdict
from stacklab.model.lab import Lab


class FaultKind(StrEnum):
    """A kind of fault; the word for `lab.fault`."""

    LINK_DOWN = "link-down"  # the NIC's cable is out
    UNPLUG = "unplug"  # the NIC itself is
    PAUSE = "pause"  # the node stands still
    POWER_OFF = "power-off"
    # Groups of nodes do not hear each other on a network; the host hears all.
    PARTITION = "partition"


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
        """Return the words of lab.fault: `link-down compute1 eth1`."""
        where = [self.node, self.device]
        if self.kind is FaultKind.PARTITION:
            where = [self.network]
        groups = [",".join(group) for group in self.groups]
        return " ".join([self.kind, *filter(None, [*where, *groups])])

    @property
    def stops_node(self) -> bool:
        """True if the whole node stands still."""
        return self.kind in (FaultKind.PAUSE, FaultKind.POWER_OFF)


class Effect(StrEnum):
    """The effect of a fault on a check."""

    NONE = "none"  # it must pass
    CUT = "cut"  # it must not
    EITHER = "either"  # nobody can say: it depends on what the node makes of it


# With these reasons somebody answered, so the way was there.
_ANSWERED = (Reason.HOST_KEY, Reason.DENIED)


class Outage:
    """The faults of a lab, and their effects on its checks."""

    def __init__(self, lab: Lab, faults: Iterable[Fault]) -> None:
        self._lab = lab
        self.faults = tuple(faults)
        self._access = {node.name: node.access.network for node in lab.nodes}
        self._stopped: dict[str, Fault] = {}
        self._down: dict[tuple[str, str], Fault] = {}  # (node, network)
        # With each partition the group that a node is in.
        self._groups: list[tuple[Fault, Mapping[str, int]]] = []
        for fault in self.faults:
            self._add_fault(fault)
        self._hurt = {node: fault for (node, _), fault in self._down.items()}

    def _add_fault(self, fault: Fault) -> None:
        """Note what a fault took away; where two took the same, the first one is named."""
        if fault.kind is FaultKind.PARTITION:
            group_of_node: dict[str, int] = {}
            for number, group in enumerate(fault.groups):
                group_of_node.update(dict.fromkeys(group, number))
            self._groups.append((fault, group_of_node))
            return
        networks = [fault.network]
        if fault.stops_node:
            self._stopped.setdefault(fault.node, fault)
            networks = [nic.network for nic in self._lab.node(fault.node).nics]
        for network in networks:
            self._down.setdefault((fault.node, network), fault)

    def effect(self, check: Check) -> tuple[Effect, Fault | None]:
        """Return what becomes of a check, and by which fault."""
        if not self.faults or check.node == HOST:
            return Effect.NONE, None
        if check.kind is CheckKind.STATE:
            # The host asks its provider: no way to the node is needed.
            return _effect_of(self._stopped.get(check.node), Effect.CUT)
        unreached = self.why_unreached(check.node)
        if unreached is not None:
            return Effect.CUT, unreached
        if Exposure.PATH in check.kind.traits.exposure:
            return self._effect_on_pair(check)
        return self._effect_on_node(check)

    def why_unreached(self, node: str) -> Fault | None:
        """Return the fault that keeps the host from logging in on a node; None if it can."""
        return self._down.get((node, self._access.get(node, "")))

    def of_nic(self, node: str, network: str) -> Fault | None:
        """Return the fault that took a node's NIC away, or the whole node."""
        return self._down.get((node, network))

    def _effect_on_pair(self, check: Check) -> tuple[Effect, Fault | None]:
        """Return what becomes of a check that goes to another node and back."""
        fault = self._first_fault_between(check)
        if fault is None:
            return Effect.NONE, None
        ours = self._lab.node(check.node).nic_on(check.network)
        theirs = self._lab.node(check.target).nic_on(check.network)
        if ours and theirs and loss_of(ours.impairment, theirs.impairment) >= 1:
            return Effect.EITHER, fault  # it was cut before
        return Effect.CUT, fault

    def _first_fault_between(self, check: Check) -> Fault | None:
        """Return a fault on the way of a check from one node to another on its network."""
        for node in (check.node, check.target):
            on_nic = self._down.get((node, check.network))
            if on_nic:
                return on_nic
        for fault, group_of_node in self._groups:
            is_together = group_of_node.get(check.node) == group_of_node.get(check.target)
            if fault.network == check.network and not is_together:
                return fault
        return None

    def _effect_on_node(self, check: Check) -> tuple[Effect, Fault | None]:
        """Return what becomes of a check that does not go to a node and back."""
        exposure = check.kind.traits.exposure
        if Exposure.ITS_NIC in exposure and check.network:
            return self._effect_on_nic(check)
        # The surest first: a later one is only named where no earlier one applies.
        suspects: list[Fault | None] = []
        if Exposure.OWN_NICS in exposure or Exposure.OTHER_END in exposure:
            suspects.append(self._hurt.get(check.node))
        if Exposure.OTHER_END in exposure:
            suspects += [self._hurt.get(check.target), self._first_fault_between(check)]
        if Exposure.UNKNOWN_WAY in exposure:
            suspects.append(self.faults[0])
        fault = next(filter(None, suspects), None)
        return _effect_of(fault, Effect.EITHER)

    def _effect_on_nic(self, check: Check) -> tuple[Effect, Fault | None]:
        """Return what becomes of a check that is about one NIC of a node."""
        fault = self._down.get((check.node, check.network))
        if fault is not None and fault.kind is FaultKind.UNPLUG:
            return Effect.CUT, fault
        # Without a cable, systems differ in what they do to the NIC's address.
        return _effect_of(fault, Effect.EITHER)

    def as_expected(self, result: CheckResult) -> CheckResult:
        """Return the result, turned round where a fault cuts it: it passes if it is cut."""
        effect, fault = self.effect(result.check)
        if effect is Effect.NONE:
            return result
        if effect is Effect.EITHER:
            if result.is_passed:
                return result
            detail = f"may be, while there is {fault}: {result.detail}"
            return Verdict(CheckStatus.PASSED, Reason.MAY_FAIL, detail).of(result.check)
        if result.is_passed:
            return dataclasses.replace(
                result,
                status=CheckStatus.FAILED,
                reason=Reason.STILL_WORKS,
                detail=f"still works ({result.detail}), {fault} was to cut it",
            )
        if not self._failed_for_want_of_way(result):
            return result
        detail = f"cut, as lab.fault {fault} did: {result.detail}"
        return Verdict(CheckStatus.PASSED, Reason.CUT, detail).of(result.check)

    def _failed_for_want_of_way(self, result: CheckResult) -> bool:
        """Return True if a check failed for want of a way.

        What could not be tried on a node that answers proves nothing.
        """
        if result.reason in _ANSWERED:
            return False
        if result.status is CheckStatus.FAILED:
            return True
        return self.why_unreached(result.check.node) is not None

    @property
    def since(self) -> float:
        """The time at which the last of the faults was made."""
        return max((fault.at for fault in self.faults), default=0.0)


def _effect_of(fault: Fault | None, effect: Effect) -> tuple[Effect, Fault | None]:
    """Return the effect that a fault has; NONE without a fault."""
    if fault is None:
        return Effect.NONE, None
    return effect, fault


def cut(lab: Lab, faults: Sequence[Fault], check: Check) -> bool:
    """Return True if these faults cut what a check tries."""
    effect, _ = Outage(lab, faults).effect(check)
    return effect is Effect.CUT


def summary(outage: Outage, results: Sequence[CheckResult], now: float) -> str:
    """Sum up a lab with its faults in a line; `now` is when the last check had its answer."""
    names = ", ".join(map(str, outage.faults)) or "no fault"
    effects = [outage.effect(result.check)[0] for result in results]
    counts = f"{effects.count(Effect.CUT)} checks cut, {effects.count(Effect.NONE)} must still work"
    wrong = sum(not result.is_passed for result in results)
    if wrong:
        return f"{names}: {counts}; {wrong} not as expected"
    when = ""
    if outage.faults:
        when = f" {now - outage.since:.1f} s after the fault at the latest"
    return f"{names}: {counts}; all as expected{when}"
