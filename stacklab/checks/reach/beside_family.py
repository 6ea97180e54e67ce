"""Checks of layer `host`: what is beside the lab on its host is closed to its nodes.

Where packets are refused, a node can't tell by whom. So each network's DNS server is its control:
it is open to the network's nodes, and what is not open beside it is closed to them.
"""

from __future__ import annotations

import errno
import shlex
from collections.abc import Iterator, Sequence

from stacklab.checks import answers
from stacklab.checks.family import Facts, Family, Needs
from stacklab.checks.impairments import ways
from stacklab.checks.reach import dials, isolation, outside, transit
from stacklab.checks.reach.transit import Dialled
from stacklab.checks.result import (
    Check,
    CheckKind,
    CheckResult,
    Layer,
    Reason,
    Verdict,
    checks_of_kind,
)
from stacklab.model.lab import NIC, Lab, Node
from stacklab.model.stack import Mirrors
from stacklab.nodes.protocol import Answer, Part

BESIDE = "host.beside"  # the part
# Nothing of a host listens there, and no mirror does: a host that is open says "refused".
_IDLE_PORT = 9
_DNS_PORT = 53  # of libvirt's dnsmasq
_SSH_PORT = 22
# What only the host itself can have sent; its firewall's refusal is another.
_OPEN = frozenset({"0", str(errno.ECONNREFUSED)})
# Without a way to it a node sends nothing, and reaches nothing.
_NO_WAY = frozenset({str(errno.ENETUNREACH), str(errno.EHOSTUNREACH)})


def expected(lab: Lab) -> Iterator[Check]:
    """See Family.expected: per NIC where the host is closed, and one for all other labs."""
    for node in lab.nodes:
        for nic in node.nics:
            if lab.network(nic.network).keeps_host_closed:
                yield Check(
                    kind=CheckKind.HOST_SERVICES,
                    node=node.name,
                    network=nic.network,
                    device=nic.device,
                )
        yield Check(kind=CheckKind.OTHER_LABS, node=node.name)


def gather(lab: Lab, checks: Sequence[Check], mirrors: Mirrors) -> Needs:
    """See Family.gather."""
    ports = None
    if checks_of_kind(checks, CheckKind.HOST_SERVICES):
        places = outside.host_needs(lab, mirrors).places
        ports = frozenset({str(_DNS_PORT), *(place.rpartition(":")[2] for place in places)})
    return Needs(
        needs_other_labs=bool(checks_of_kind(checks, CheckKind.OTHER_LABS)), open_ports=ports
    )


def parts(lab: Lab, node: Node, checks: Sequence[Check], facts: Facts) -> Iterator[Part]:
    """See Family.parts."""
    words: dict[str, None] = {}  # a set that keeps its order
    for check in checks_of_kind(checks, CheckKind.HOST_SERVICES):
        nic = isolation.nic_of(lab, check)
        for port in (_DNS_PORT, *_closed_ports(facts)):
            words[_host_word(lab, nic, port)] = None
    if facts.other_labs and checks_of_kind(checks, CheckKind.OTHER_LABS):
        words[_host_word(lab, node.access, _DNS_PORT)] = None
        for address in facts.other_labs:
            words[_lab_word(node, address)] = None
    if words:
        limit_s = transit.DIAL_S + ways.slower_s(lab)
        dial = shlex.quote(transit.DIAL)
        shell = f"python3 -I -S -c {dial} {limit_s:g} {' '.join(words)}"
        yield Part(tag=BESIDE, shell=shell, limit_s=limit_s + 12.0)


def _closed_ports(facts: Facts) -> tuple[int, ...]:
    """Return the ports to try: some at which the host listens, and one at which it does not."""
    return (*facts.host_ports, _IDLE_PORT)


def _host_word(lab: Lab, nic: NIC, port: int) -> str:
    return f"{nic.address.ip},{lab.network(nic.network).host_address},{port}"


def _lab_word(node: Node, address: str) -> str:
    return f"{node.access.address.ip},{address},{_SSH_PORT}"


def judge(lab: Lab, checks: Sequence[Check], answer: Answer, facts: Facts) -> Iterator[CheckResult]:
    """See Family.judge."""
    tried = transit.read_dialled(answer.of(BESIDE).lines)
    for check in checks:
        node = lab.node(check.node)
        if check.kind is CheckKind.HOST_SERVICES:
            yield _judge_host(lab, node, check, answer, tried, facts)
        elif check.kind is CheckKind.OTHER_LABS:
            yield _judge_labs(lab, node, check, answer, tried, facts)


def _judge_host(
    lab: Lab, node: Node, check: Check, answer: Answer, tried: Dialled, facts: Facts
) -> CheckResult:
    """Judge that the host's firewall refuses what a node sends to the host itself."""
    nic = isolation.nic_of(lab, check)
    host = lab.network(check.network).host_address
    words = {_host_word(lab, nic, port): f"{host}:{port}" for port in _closed_ports(facts)}
    # The host's DNS is open to nodes: what refuses that, too, proves nothing of the firewall.
    dns = tried.codes.get(_host_word(lab, nic, _DNS_PORT))
    unsent = ""
    reached: list[str] = []
    silent: list[str] = []
    for word, place in words.items():
        unsent = unsent or tried.unsent.get(word, "")
        code = tried.codes.get(word)
        if code in _OPEN:
            reached.append(place)
        elif code == transit.SILENT:
            silent.append(place)
    shown = next(iter((*reached, *silent, *words.values())))
    if unsent:
        verdict = _unsent(nic, unsent)
    elif reached:
        verdict = _opened(lab, reached, facts)
    elif dns is None or any(word not in tried.codes for word in words):
        verdict = answers.without_result(answer, BESIDE, "python3", node.name)
    elif dns != "0":
        detail = f"nothing is proved: {host}:{_DNS_PORT}, which is open to it, says {_said(dns)}"
        verdict = Verdict.warned(Reason.UNPROVED, detail)
    elif silent and not nic.impairment.loss_percent:
        detail = f"no answer from {silent[0]}, and no refusal of the host's: packets may get there"
        verdict = Verdict.warned(Reason.NOT_REFUSED, detail)
    else:
        verdict = Verdict.passed(f"{host} refuses what it does not have to answer")
    return verdict.of(check, command=dials.retry_line(shown), output=answer.of(BESIDE).text)


def _unsent(nic: NIC, code: str) -> Verdict:
    if code == str(errno.EADDRNOTAVAIL):
        detail = f"{nic.device} lacks its address, {nic.address.ip}: no packet could be sent by it"
    else:
        detail = f"no packet got out by {nic.device}: {_said(code)}"
    return Verdict.error(Reason.NOT_SENT, detail, about=nic.device)


def _opened(lab: Lab, places: Sequence[str], facts: Facts) -> Verdict:
    detail = f"reaches this host itself, at {', '.join(places)}"
    if facts.why_host_open:
        return Verdict.warned(
            Reason.REACHED, f"{detail}, which lab.up could not close: {facts.why_host_open}"
        )
    return Verdict.failed(Reason.REACHED, f"{detail}; ./invoke lab.up {lab.name} closes it")


def _judge_labs(
    lab: Lab, node: Node, check: Check, answer: Answer, tried: Dialled, facts: Facts
) -> CheckResult:
    """Judge that no node of another lab, of those that answer the host, can be reached."""
    others = facts.other_labs
    if not others:
        return Verdict.passed("no other lab of this host answers").of(check)
    words = {address: _lab_word(node, address) for address in others}
    codes = {address: tried.codes.get(word) for address, word in words.items()}
    unsent = [tried.unsent[word] for word in words.values() if word in tried.unsent]
    reached = [address for address, code in codes.items() if code == "0"]
    odd = [code for code in unsent if code not in _NO_WAY]
    is_silent = transit.SILENT in codes.values()
    is_complete = all(word in tried.codes or word in tried.unsent for word in words.values())
    dns = tried.codes.get(_host_word(lab, node.access, _DNS_PORT))
    if reached:
        shown = ", ".join(f"{others[address]} ({address})" for address in reached)
        verdict = Verdict.failed(Reason.REACHED, f"reached, though it is of another lab: {shown}")
    elif odd:
        verdict = _unsent(node.access, odd[0])
    elif not is_complete:
        verdict = answers.without_result(answer, BESIDE, "python3", node.name)
    elif is_silent and dns != "0":
        detail = "nothing is proved: neither they nor the name server beside them answer"
        verdict = Verdict.warned(Reason.UNPROVED, detail)
    else:
        verdict = Verdict.passed(f"reaches none of {', '.join(others.values())}")
    return verdict.of(check, output=answer.of(BESIDE).text)


def _said(code: str) -> str:
    """Return the system's words for an errno: `no route to host`."""
    if code == transit.SILENT:
        return "no answer"
    return transit.error_text(code)


FAMILY = Family(
    layers=(Layer.HOST,),
    expected=expected,
    parts=parts,
    judge=judge,
    gather=gather,
)
