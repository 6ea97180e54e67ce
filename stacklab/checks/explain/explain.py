"""Why checks failed: the nodes at both ends and this host are looked at once more, within seconds.

A cause is told only where it is certain, in the same words for all that it explains, so
that one cause stands once in a report.
"""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from stacklab.checks.expect import STILL_HEAD, Effect, Fault, Outage
from stacklab.checks.explain import scene
from stacklab.checks.explain.scene import UNSEEN, Scene
from stacklab.checks.result import HOST, Check, CheckKind, CheckResult, CheckStatus
from stacklab.model.lab import NIC, Lab, Node
from stacklab.paths import LabPaths
from stacklab.process import Conversing
from stacklab.providers import evidence
from stacklab.providers.contract import Looker
from stacklab.providers.evidence import View

_MOST_NODES = 12  # are looked at: with more, the causes are few all the same
_TCP = (CheckKind.SSH, CheckKind.PORT)
_PACKETS = (CheckKind.PING, CheckKind.MTU, CheckKind.SOURCE, *_TCP)
_OF_NICS = (CheckKind.NIC, CheckKind.ROUTES, CheckKind.NO_TRANSIT)
_MEASURED = (CheckKind.DELAY, CheckKind.LOSS, CheckKind.RATE)
_ONLY_MTU = re.compile(r"has MTU \d+, not \d+")  # judge_nic's words, and no other ones
# ssh got an answer of these: no network is to blame.
_TOLD = ("HOST KEY", "permission denied", "name not known", "not installed")


def explain(
    lab: Lab,
    paths: LabPaths,
    runner: Conversing,
    results: Sequence[CheckResult],
    host: Looker | None,
    faults: Iterable[Fault] = (),
) -> tuple[CheckResult, ...]:
    """The same results; those that failed have evidence, and their cause where it is certain.

    `host` looks at the host's side; without it the nodes alone are asked. `faults` are
    those that lab.fault has made, which need no other explanation. Takes up to
    10 s, and no time where all passed; never raises.
    """
    bad = [result for result in results if not result.is_passed]
    if not bad:
        return tuple(results)
    site = _Site(lab, paths, runner, bad, host, Outage(lab, faults))
    return tuple(result if result.is_passed else site.explained(result) for result in results)


class _Site:
    """The nodes that have to do with the failures, as they and the host see them."""

    def __init__(
        self,
        lab: Lab,
        paths: LabPaths,
        runner: Conversing,
        bad: Sequence[CheckResult],
        host: Looker | None,
        outage: Outage,
    ) -> None:
        self._lab = lab
        self._outage = outage
        self._nodes = {node.name: node for node in lab.nodes}
        self._unreached = {
            r.check.node for r in bad if r.check.kind is CheckKind.LOGIN or _is_cut_off(r)
        }
        asked: dict[str, list[str]] = {}
        count: Counter[str] = Counter()
        for check in (result.check for result in bad):
            if check.kind in (*_PACKETS, *_OF_NICS, *_MEASURED, CheckKind.LOGIN):
                count.update({check.node, check.target} & self._nodes.keys())
                asked.setdefault(check.node, []).append(check.address)
        # Who could not be logged in on comes first: its failure may explain most others.
        chosen = sorted(count, key=lambda name: (name not in self._unreached, -count[name]))[
            :_MOST_NODES
        ]
        self._views: dict[str, View] = {}
        self._scenes: dict[str, Scene] = {}
        if not chosen:
            return

        def view(name: str) -> View | None:
            return (
                host.view(self._nodes[name], shot, is_knocking=name in self._unreached)
                if host
                else None
            )

        def ask(name: str) -> Scene:
            if name in self._unreached:
                return UNSEEN
            return scene.ask(
                paths, runner, name, list(dict.fromkeys(filter(None, asked.get(name, ()))))
            )

        with ThreadPoolExecutor(max_workers=2 * len(chosen)) as pool:
            scenes = pool.map(ask, chosen)
            shot = host.snapshot() if host else None
            views = pool.map(view, chosen)
            self._views = {
                name: found for name, found in zip(chosen, views, strict=True) if found is not None
            }
            self._scenes = dict(zip(chosen, scenes, strict=True))

    def explained(self, result: CheckResult) -> CheckResult:
        """The result with what was found out."""
        check = result.check
        if (
            check.node == HOST
            or check.node not in self._nodes
            or result.detail.startswith(STILL_HEAD)
        ):
            return result
        if check.kind is CheckKind.LOGIN:
            return self._login(result)
        if check.kind in _PACKETS and check.node not in self._unreached:
            return self._packets(result)
        cause, view = self._fault(check), self._views.get(check.node)
        if not cause:
            cause = next(
                filter(None, (self._of_nic(node, nic) for node, nic in self._needed(result))), ""
            )
        if not cause and check.kind is CheckKind.NIC and _ONLY_MTU.fullmatch(result.detail):
            node, nic = self._nodes[check.node], _nic(self._nodes, check)
            cause = _wrong_mtu(self._scenes.get(check.node, UNSEEN), node, nic) if nic else ""
        if not cause and view and check.node in self._unreached:
            cause = evidence.cause(view)
        if not cause and view and check.kind is CheckKind.STATE:
            cause = evidence.state_cause(view)
        return _with(result, cause, []) if cause else result

    def _fault(self, check: Check) -> str:
        """The fault of lab.fault's that cuts a check off."""
        effect, fault = self._outage.effect(check)
        return f"lab.fault {fault}" if effect is Effect.CUT else ""

    def _login(self, result: CheckResult) -> CheckResult:
        view = self._views.get(result.check.node)
        if view is None:
            return result
        cause = self._fault(result.check) or evidence.cause(view)
        if any(word in result.detail for word in _TOLD):
            cause = ""
        lines = evidence.lines(view)
        return _with(result, cause, lines, is_told=not result.detail.startswith("the node is"))

    def _packets(self, result: CheckResult) -> CheckResult:
        """A check of something that went from a node to another on a network."""
        check = result.check
        source, target = self._nodes[check.node], self._nodes.get(check.target)
        mine, theirs = _nic(self._nodes, check), target.nic_on(check.network) if target else None
        if target is None or mine is None or theirs is None:
            return result
        cause = ""
        if not any(word in result.detail for word in _TOLD):
            is_silent = result.detail.startswith("no reply")
            cause = next(
                filter(
                    None, self._causes(check, source, mine, target, theirs, is_silent=is_silent)
                ),
                "",
            )
        lines = [*self._end(source, mine), *self._way(source, theirs), *self._end(target, theirs)]
        if check.kind in _TCP:
            lines += self._sshd(target)
        return _with(result, cause, lines, is_told=True)

    def _causes(
        self, check: Check, source: Node, mine: NIC, target: Node, theirs: NIC, *, is_silent: bool
    ) -> Iterator[str]:
        """What may be to blame, the surest first; `is_silent` is whether nothing at all came back."""
        yield self._fault(check)
        here, there = self._scenes.get(source.name, UNSEEN), self._scenes.get(target.name, UNSEEN)
        address = str(theirs.address.ip)
        ends = ((target, theirs), (source, mine))
        for node, _ in ends:
            yield evidence.state_cause(self._views[node.name]) if node.name in self._views else ""
        for node, nic in ends:
            yield self._of_nic(node, nic)
        if check.kind is CheckKind.MTU and not is_silent:
            for node, nic in ends:
                yield _wrong_mtu(self._scenes.get(node.name, UNSEEN), node, nic)
        route = here.routes.get(address, "")
        if route and not any(
            f" dev {way} " in f" {route} " for way in (mine.device, here.holder(mine))
        ):
            yield f"{source.name} sends to {address} wrongly: {route}"
        mac, state = here.neighbours.get(address, ("", ""))
        if mac and mac.lower() != theirs.mac:
            yield f"another machine has {address}: {mac} answers, not {target.name}'s {theirs.mac}"
        view = self._views.get(target.name)
        if view and target.name in self._unreached and (check.kind in _TCP or not mac):
            told = evidence.cause(view)
            # An sshd that is down is so on all networks; all else is about the one that the host comes by.
            is_down = check.kind in _TCP and told.endswith("sshd is not up")
            yield told if is_down or check.network == target.access.network else ""
        if check.kind in _TCP and there.listens is False:
            yield f"sshd is not up on {target.name}: nothing listens on TCP 22"
        if check.kind in (CheckKind.PING, CheckKind.MTU) and there.ignores_pings:
            yield f"{target.name} ignores pings (icmp_echo_ignore_all)"
        word = "tcp" if check.kind in _TCP else "icmp"
        at_target, at_source = (
            (target, there, theirs, str(mine.address.ip)),
            (source, here, mine, address),
        )
        for (node, found, nic, peer), hook, is_reply in (
            (at_target, "input", False),
            (at_source, "output", False),
            (at_target, "output", True),
            (at_source, "input", True),
        ):
            rule = found.drops(hook, word, nic, peer, is_reply=is_reply)
            yield rule and f"a firewall rule of {node.name} refuses it: {rule}"
        for node, nic in ends:
            device = self._scenes.get(node.name, UNSEEN).devices.get(nic.device)
            if device and device.loss_percent:
                yield f"{nic.device} of {node.name} loses {device.loss_percent:g} % of what it sends (netem)"
        if state in ("FAILED", "INCOMPLETE") and not mac:
            yield f"{target.name} does not answer ARP for {address}"

    def _of_nic(self, node: Node, nic: NIC | None) -> str:
        """What is wrong with a NIC itself, seen from this host or from its node."""
        if nic is None:
            return ""
        if fault := self._outage.of_nic(node.name, nic.network):
            return f"lab.fault {fault}"
        view, found = self._views.get(node.name), self._scenes.get(node.name, UNSEEN)
        at = view.on(nic.network) if view else None
        if view and at and (cause := evidence.nic_cause(view, at)):
            return cause
        if not found.is_seen:
            return ""
        device = found.devices.get(nic.device)
        if device is None:
            return f"{node.name} has no {nic.device}"
        holder = found.holder(nic)
        for name in (nic.device, holder):
            if (state := found.devices[name].state) != "up":
                return f"{name} {'is down' if state == 'down' else 'has no carrier'} on {node.name}"
        if str(nic.address) not in found.devices[holder].addresses:
            has = ", ".join(device.addresses) or "no address"
            return f"{nic.device} of {node.name} has {has}, not {nic.address}"
        return ""

    def _needed(self, result: CheckResult) -> Iterator[tuple[Node, NIC | None]]:
        """The NICs without which a check that is no packet's comes to nothing."""
        check = result.check
        node, target = self._nodes[check.node], self._nodes.get(check.target)
        if check.kind is CheckKind.ROUTES:
            yield node, self._unrouted(result)
        elif check.kind is CheckKind.NO_TRANSIT and result.status is not CheckStatus.ERROR:
            return  # packets went out
        elif check.kind in (*_OF_NICS, *_MEASURED):
            yield node, _nic(self._nodes, check)
            if target and check.kind in _MEASURED:
                yield target, target.nic_on(check.network)

    def _unrouted(self, result: CheckResult) -> NIC | None:
        """The NIC that a route is missing for, where that is all that is wrong."""
        nics = self._nodes[result.check.node].nics
        says = "there is no route to {} out of {}".format
        return next(
            (nic for nic in nics if result.detail == says(nic.address.network, nic.device)), None
        )

    def _end(self, node: Node, nic: NIC) -> Iterator[str]:
        """One end of a failed check: the NIC by the node's words, then its tap."""
        found, view = self._scenes.get(node.name, UNSEEN), self._views.get(node.name)
        if found.is_seen:
            for name in dict.fromkeys((nic.device, found.holder(nic))):
                device = found.devices.get(name)
                has = device and (", ".join(device.addresses) or "no address")
                yield f"{node.name}: {name} is {f'{device.state}, {has}' if device else 'missing'}"
        if view and (at := view.on(nic.network)):
            yield f"{node.name}, from the host: {evidence.nic_line(at)}"

    def _way(self, source: Node, theirs: NIC) -> Iterator[str]:
        found, address = self._scenes.get(source.name, UNSEEN), str(theirs.address.ip)
        if found.is_seen:
            mac, state = found.neighbours.get(address, ("", "not asked for"))
            yield f"{source.name}: route: {found.routes.get(address, '-')}"
            yield f"{source.name}: ARP for {address}: {mac or 'nobody answers'} ({state.lower()})"

    def _sshd(self, target: Node) -> Iterator[str]:
        found = self._scenes.get(target.name, UNSEEN)
        if found.listens is not None:
            yield f"{target.name}: TCP 22: {'something' if found.listens else 'nothing'} listens"
        yield from (f"{target.name}: sshd: {line}" for line in found.journal)


def _is_cut_off(result: CheckResult) -> bool:
    """Whether its node went off in mid-session: its login had passed."""
    return result.status is CheckStatus.ERROR and ": the node is " in result.detail


def _nic(nodes: Mapping[str, Node], check: Check) -> NIC | None:
    """The NIC by which a node does a check."""
    node = nodes[check.node]
    by_device = (nic for nic in node.nics if nic.device == check.device)
    return (node.nic_on(check.network) if check.network else None) or next(by_device, None)


def _wrong_mtu(found: Scene, node: Node, nic: NIC) -> str:
    device = found.devices.get(nic.device)
    if device is None or device.mtu == nic.mtu:
        return ""
    return f"{nic.device} of {node.name} has an MTU of {device.mtu}, not {nic.mtu}"


def _with(
    result: CheckResult, cause: str, lines: Iterable[str], *, is_told: bool = False
) -> CheckResult:
    """The result with its evidence; `is_told` puts the cause into its detail, unless it stands there."""
    detail = (
        f"{result.detail}: {cause}"
        if cause and is_told and cause not in result.detail
        else result.detail
    )
    return dataclasses.replace(result.explained(cause, lines), detail=detail)
