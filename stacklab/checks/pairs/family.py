"""Checks of layer `pairs`: each node reaches each other on every network they share."""

from __future__ import annotations

import itertools
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from stacklab.checks.family import Facts
from stacklab.checks.impairments import ways
from stacklab.checks.pairs import read
from stacklab.checks.pairs import shell as script
from stacklab.checks.result import Check, CheckKind, CheckResult, CheckStatus
from stacklab.installers.facts import name_nic
from stacklab.model.lab import NIC, Lab, Node
from stacklab.nodes.protocol import NOT_FOUND, OUTPUT_MAX, TIMED_OUT, Answer, Part
from stacklab.tools import fping, ssh

_OWN_KEY = "sshd answers with its own key"

_Job = TypeVar("_Job")


def expected(lab: Lab) -> Iterator[Check]:
    """See Family.expected; nothing is promised of ways that are declared to lose most."""
    # One string per address, however many checks name it.
    addresses = {
        (node.name, nic.network): str(nic.address.ip) for node in lab.nodes for nic in node.nics
    }
    members = {network.name: lab.members(network.name) for network in lab.networks}
    names = {node.name: name_nic(lab, node) for node in lab.nodes}
    for node in lab.nodes:
        by_name = [
            (peer.name, names[peer.name], node.nic_on(names[peer.name].network) or node.access)
            for peer in lab.nodes
            if peer is not node
        ]
        for peer, theirs, own in by_name:
            yield _check(CheckKind.NAME, node, own, peer, theirs.network, addresses)
        for own in node.nics:
            for other, theirs in members[own.network]:
                if other is not node and not ways.is_cut(own.impairment, theirs.impairment):
                    for kind in (CheckKind.PING, CheckKind.MTU, CheckKind.SOURCE, CheckKind.PORT):
                        yield _check(kind, node, own, other.name, own.network, addresses)
        for peer, theirs, own in by_name:
            if not ways.is_cut(own.impairment, theirs.impairment):
                yield _check(CheckKind.SSH, node, own, peer, theirs.network, addresses)


def _check(
    kind: CheckKind,
    node: Node,
    own: NIC,
    peer: str,
    network: str,
    addresses: Mapping[tuple[str, str], str],
) -> Check:
    """A check of a path, or of a name, which stands for the peer's address on that network."""
    return Check(
        kind=kind,
        node=node.name,
        target=peer,
        network=network,
        address=addresses[peer, network],
        device=own.device,
    )


def parts(lab: Lab, node: Node, checks: Sequence[Check], facts: Facts) -> Iterator[Part]:
    """See Family.parts."""
    of: dict[CheckKind, list[Check]] = {kind: [] for kind in CheckKind}
    for check in checks:
        of[check.kind].append(check)
    # Nodes that start together do not all knock at the same one.
    turn = [each.name for each in lab.nodes].index(node.name)
    slower_ms, count = ways.slower_ms(lab), ways.tries(lab, fping.COUNT)
    addresses = _unique(
        check.address for kind in (CheckKind.PING, CheckKind.MTU) for check in of[kind]
    )
    if addresses:
        sizes: dict[int, list[str]] = {}
        for check in of[CheckKind.MTU]:
            sizes.setdefault(lab.network(check.network).mtu, []).append(check.address)
        yield script.pings(addresses, sizes, slower_ms, count)
    if of[CheckKind.SOURCE]:
        yield script.sources(_unique(check.address for check in of[CheckKind.SOURCE]))
    if of[CheckKind.NAME]:
        numbers = _numbers(lab)
        yield script.names(
            [(numbers[check.target], check.target, check.address) for check in of[CheckKind.NAME]]
        )
    peers = {check.target: check.address for check in of[CheckKind.SSH]}
    # A login proves the port, and a key exchange more takes an emulated node half a second.
    others = _unique(c.address for c in of[CheckKind.PORT] if peers.get(c.target) != c.address)
    if peers or others:
        yield script.logins(
            _rotated([*peers.items()], turn), _rotated(others, turn), slower_ms, count
        )


def _numbers(lab: Lab) -> dict[str, int]:
    return {node.name: number for number, node in enumerate(lab.nodes, start=1)}


def _rotated(words: Sequence[_Job], turn: int) -> list[_Job]:
    start = turn % (len(words) or 1)
    return [*words[start:], *words[:start]]


def _unique(words: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(words))


def judge(lab: Lab, checks: Sequence[Check], answer: Answer, facts: Facts) -> Iterator[CheckResult]:
    """See Family.judge."""
    if not checks:
        return
    reading = _Reading.of(lab, lab.node(checks[0].node), answer)
    judges = {
        CheckKind.PING: _judge_ping,
        CheckKind.MTU: _judge_mtu,
        CheckKind.SOURCE: _judge_source,
        CheckKind.NAME: _judge_name,
        CheckKind.PORT: _judge_port,
        CheckKind.SSH: _judge_login,
    }
    for check in checks:
        yield judges[check.kind](check, reading)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """All that a node said about its peers."""

    lab: Lab
    answer: Answer
    numbers: Mapping[str, int]
    mtus: Mapping[str, int]
    nics: Mapping[str, NIC]  # by network
    pings: read.Pings
    sources: Mapping[str, str]
    macs: Mapping[str, str]
    names: read.Names
    logins: read.Logins

    @classmethod
    def of(cls, lab: Lab, node: Node, answer: Answer) -> _Reading:
        return cls(
            lab=lab,
            answer=answer,
            numbers=_numbers(lab),
            mtus={network.name: network.mtu for network in lab.networks},
            nics={nic.network: nic for nic in node.nics},
            pings=read.Pings.read(answer.of(script.PINGS).lines),
            sources=read.sources(answer.of(script.SOURCES).lines),
            macs=read.macs(answer.of(script.SOURCES).lines),
            names=read.Names.read(answer.of(script.NAMES).lines),
            logins=read.Logins.read(answer.of(script.LOGINS).lines),
        )

    def none(
        self, check: Check, tag: str, program: str, *, is_missing: bool = False
    ) -> CheckResult:
        """What to say where a part said nothing of a check."""
        said = self.answer.of(tag)
        if is_missing or said.code == NOT_FOUND:
            return _of(
                check, CheckStatus.ERROR, f"{program} is not installed on {check.node}", said.text
            )
        why = self.answer.missing(tag) or f"{program} gave no result (exit code {said.code})"
        return _of(check, CheckStatus.ERROR, why, said.text)


def command_line(check: Check) -> str:
    """What to type on the node to try one check again."""
    name, address = shlex.quote(check.target), shlex.quote(check.address)
    match check.kind:
        case CheckKind.NAME:
            return f"getent ahostsv4 {name}; getent hosts {address}"
        case CheckKind.SSH:
            return f"{script.ssh_line()} {shlex.quote(f'{ssh.USER}@{check.target}')} true"
        case CheckKind.SOURCE:
            return f"ip -4 route get {address}"
        case CheckKind.PORT:
            return f"ssh-keyscan -t ed25519 {address}; grep -F {address} ~/.ssh/known_hosts"
        case _:
            return fping.shell_line([check.address])


def _of(
    check: Check,
    status: CheckStatus,
    detail: str,
    output: str = "",
    *,
    rtt_ms: float | None = None,
    command: str = "",
) -> CheckResult:
    if status is CheckStatus.PASSED:
        # One string for all that say the same: a large lab has hundreds of thousands of results.
        return CheckResult(check=check, status=status, detail=sys.intern(detail), rtt_ms=rtt_ms)
    return CheckResult(
        check=check,
        status=status,
        detail=detail,
        command=command or command_line(check),
        output=output[-OUTPUT_MAX:],
        rtt_ms=rtt_ms,
    )


def _judge_ping(check: Check, reading: _Reading) -> CheckResult:
    ping = reading.pings.own.get(check.address)
    if ping is None:
        return reading.none(check, script.PINGS, "fping")
    shown = (
        f"{ping.target} : {' '.join('-' if rtt is None else f'{rtt:g}' for rtt in ping.rtts_ms)}"
    )
    if ping.received == 0:
        return _of(check, CheckStatus.FAILED, f"no reply to {ping.sent} pings", shown)
    if ping.received == ping.sent:
        return _of(check, CheckStatus.PASSED, f"{ping.worst_ms:.1f} ms", rtt_ms=ping.worst_ms)
    detail = f"{ping.received} replies to {ping.sent} pings"
    if _loses(reading.lab, check):
        return _of(check, CheckStatus.PASSED, f"{detail}, loss is declared", rtt_ms=ping.worst_ms)
    return _of(check, CheckStatus.FAILED, detail, shown, rtt_ms=ping.worst_ms)


def _loses(lab: Lab, check: Check) -> bool:
    nics = (lab.node(name).nic_on(check.network) for name in (check.node, check.target))
    return any(nic is not None and nic.impairment.loss_percent > 0 for nic in nics)


def _judge_mtu(check: Check, reading: _Reading) -> CheckResult:
    pings, address = reading.pings, check.address
    size = reading.mtus[check.network]
    own = pings.own.get(address)
    if own is not None and not own.received:
        return _of(check, CheckStatus.FAILED, "no reply to pings of any size")
    if address not in pings.tried.get(size, ()):
        return reading.none(check, script.PINGS, "fping")
    if address not in pings.passed.get(size, ()):
        if reading.answer.missing(script.PINGS):  # it would have been tried again
            return reading.none(check, script.PINGS, "fping")
        smaller = max(
            (each for each, passed in pings.passed.items() if each < size and address in passed),
            default=0,
        )
        detail = (
            f"{size} bytes do not pass, {smaller} do" if smaller else f"{size} bytes do not pass"
        )
        return _of(check, CheckStatus.FAILED, detail, command=fping.sized_line(size, [address]))
    if address not in pings.tried.get(size + 1, ()):
        return reading.none(check, script.PINGS, "fping")
    why = pings.unsent.get((size + 1, address), "")
    if not why:  # no answer is no proof: the node itself must not let out what somebody on the way may only drop
        became = (
            "pass whole" if address in pings.passed.get(size + 1, ()) else "are sent and get lost"
        )
        detail = f"{size + 1} bytes {became}, {size} is the MTU that the lab declares"
        return _of(check, CheckStatus.FAILED, detail, command=fping.sized_line(size + 1, [address]))
    if not why.startswith(fping.TOO_LONG):
        return _of(check, CheckStatus.ERROR, f"{size + 1} bytes were not sent: {why}")
    return _of(check, CheckStatus.PASSED, f"{size} bytes pass, {size + 1} do not")


def _judge_source(check: Check, reading: _Reading) -> CheckResult:
    line = reading.sources.get(check.address)
    if line is None:
        said = reading.answer.of(script.SOURCES)
        if said.code is None or said.code == NOT_FOUND:
            return reading.none(check, script.SOURCES, "ip")
        return _of(
            check, CheckStatus.FAILED, f"{check.node} has no route to {check.address}", said.text
        )
    words = line.split()
    way = dict(itertools.pairwise(words))
    nic = reading.nics[check.network]
    wanted = (nic.device, str(nic.address.ip))
    found = (way.get("dev", "?"), way.get("src", "?"))
    if found == wanted and "via" not in way:
        return _of(check, CheckStatus.PASSED, f"{found[0]} {found[1]}")
    # A bridge or a vrouter that a cloud made of the NIC (br-ex, vhost0) has its address and its MAC.
    if found[1] == wanted[1] and "via" not in way and reading.macs.get(found[0]) == nic.mac.lower():
        return _of(
            check, CheckStatus.PASSED, f"{found[0]} {found[1]}, which has {nic.device}'s MAC"
        )
    via = f" via {way['via']}" if "via" in way else ""
    detail = f"would leave by {found[0]} from {found[1]}{via}, not by {wanted[0]} from {wanted[1]}"
    return _of(check, CheckStatus.FAILED, detail, line)


def _judge_name(check: Check, reading: _Reading) -> CheckResult:
    number, names = reading.numbers[check.target], reading.names
    codes = names.codes.get(number)
    if codes is None:
        return reading.none(check, script.NAMES, "getent")
    if NOT_FOUND in codes:
        return _of(
            check,
            CheckStatus.ERROR,
            f"getent is not installed on {check.node}",
            "\n".join(names.others),
        )
    addresses, back = names.forward.get(number, []), names.backward.get(check.address, [])
    shown = f"{check.target}: {' '.join(addresses)}\n{check.address}: {' '.join(back)}"
    limit = f" (no answer in {script.NAMES_LIMIT_S} s)"
    if not addresses:
        why = limit if codes[0] == TIMED_OUT else ""
        return _of(
            check, CheckStatus.FAILED, f"{check.target} is not known on {check.node}{why}", shown
        )
    if addresses[0] != check.address:
        return _of(
            check,
            CheckStatus.FAILED,
            f"is {', '.join(addresses)} there, not {check.address}",
            shown,
        )
    if not back:
        why = limit if codes[1] == TIMED_OUT else ""
        return _of(
            check, CheckStatus.FAILED, f"{check.address} has no name on {check.node}{why}", shown
        )
    if check.target not in (word.partition(".")[0] for word in back):
        detail = f"{check.address} is {', '.join(back)} there, not {check.target}"
        return _of(check, CheckStatus.FAILED, detail, shown)
    return _of(check, CheckStatus.PASSED, f"{check.address}, and back")


def _judge_port(check: Check, reading: _Reading) -> CheckResult:
    logins, address = reading.logins, check.address
    shown = logins.shown.get(address)
    if shown is not None:
        return _judge_key(check, logins, shown)
    if logins.reached(check.target) == address:
        return _of(check, CheckStatus.PASSED, _OWN_KEY)
    if address in logins.greeted and not reading.answer.missing(script.LOGINS):
        return _of(check, CheckStatus.FAILED, f"sshd there shows no {read.KEY} key")
    code, text = logins.silent.get(address, (NOT_FOUND, ""))
    if code == NOT_FOUND:
        return reading.none(
            check, script.LOGINS, "ssh-keyscan", is_missing=address in logins.silent
        )
    if code == 0:
        return _of(check, CheckStatus.FAILED, "TCP/22 is open, and no sshd answers")
    why = "timed out" if code in (TIMED_OUT, script.KILLED) else ssh.classify(text)
    return _of(check, CheckStatus.FAILED, why or f"no connection (exit code {code})", text)


def _judge_key(check: Check, logins: read.Logins, shown: str) -> CheckResult:
    known = logins.known.get(check.address, set())
    if shown in known:
        return _of(check, CheckStatus.PASSED, _OWN_KEY)
    said = f"{check.address} {read.KEY} {shown}"
    if not known:
        where = f"in known_hosts on {check.node}"
        return _of(
            check,
            CheckStatus.FAILED,
            f"HOST KEY MISMATCH: {check.address} has no key {where}",
            said,
        )
    owner = next(
        (
            names
            for names, keys in logins.known.items()
            if shown in keys and not read.is_address(names)
        ),
        "",
    )
    whose = f"the key of {owner}" if owner else "an unknown key"
    return _of(check, CheckStatus.FAILED, f"HOST KEY MISMATCH: shows {whose}", said)


def _judge_login(check: Check, reading: _Reading) -> CheckResult:
    said = reading.logins.logins.get(check.target)
    if said is None or said[0] == NOT_FOUND:
        return reading.none(check, script.LOGINS, "ssh", is_missing=said is not None)
    code, text = said
    reached = reading.logins.reached(check.target)
    if code == 0 and reached not in ("", check.address):
        return _of(check, CheckStatus.FAILED, f"reached {reached}, not {check.address}", text)
    if code == 0:
        return _of(check, CheckStatus.PASSED, "logged in")
    # ssh that is ended while it has a session says so and ends with 255
    is_killed = code == script.KILLED or "Killed by signal" in text
    known = "timed out" if is_killed else ssh.classify(text)
    return _of(check, CheckStatus.FAILED, known or f"ended with {code}", text)
