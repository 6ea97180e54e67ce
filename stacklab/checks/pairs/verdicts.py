"""Verdicts on what a node said about its peers."""

from __future__ import annotations

import itertools
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from stacklab.checks import answers
from stacklab.checks.pairs import read
from stacklab.checks.pairs import shell as script
from stacklab.checks.result import Check, CheckKind, CheckResult, Reason, Verdict
from stacklab.model.lab import NIC, Lab, Node
from stacklab.nodes.holder import is_made_of
from stacklab.nodes.protocol import NOT_FOUND, TIMED_OUT, Answer
from stacklab.tools import ssh
from stacklab.tools.network import fping


def judge(lab: Lab, checks: Sequence[Check], answer: Answer) -> Iterator[CheckResult]:
    """Judge the checks of one node."""
    if not checks:
        return
    reading = _PeerAnswers.of(lab, lab.node(checks[0].node), answer)
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


def numbers(lab: Lab) -> dict[str, int]:
    """Return the number by which a node is asked for each name."""
    return {node.name: number for number, node in enumerate(lab.nodes, start=1)}


@dataclass(frozen=True, slots=True, kw_only=True)
class _PeerAnswers:
    """All that a node said about its peers."""

    lab: Lab
    answer: Answer
    numbers: Mapping[str, int]
    mtus: Mapping[str, int]
    nics: Mapping[str, NIC]  # by network
    pings: read.PingAnswers
    sources: Mapping[str, str]
    macs: Mapping[str, str]
    names: read.NameAnswers
    logins: read.LoginAnswers

    @classmethod
    def of(cls, lab: Lab, node: Node, answer: Answer) -> _PeerAnswers:
        return cls(
            lab=lab,
            answer=answer,
            numbers=numbers(lab),
            mtus={network.name: network.mtu for network in lab.networks},
            nics={nic.network: nic for nic in node.nics},
            pings=read.PingAnswers.read(answer.of(script.PINGS).lines),
            sources=read.read_sources(answer.of(script.SOURCES).lines),
            macs=read.read_macs(answer.of(script.SOURCES).lines),
            names=read.NameAnswers.read(answer.of(script.NAMES).lines),
            logins=read.LoginAnswers.read(answer.of(script.LOGINS).lines),
        )

    def without_answer(
        self, check: Check, tag: str, program: str, *, is_missing: bool = False
    ) -> CheckResult:
        """Return the result where a part said nothing of a check."""
        if is_missing:
            verdict = answers.not_installed(program, check.node)
        else:
            verdict = answers.without_result(self.answer, tag, program, check.node)
        return _result_of_verdict(check, verdict, self.answer.of(tag).text)


def command_line(check: Check) -> str:
    """Return what to type on the node to try one check again."""
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


def _passed_result(check: Check, detail: str, rtt_ms: float | None = None) -> CheckResult:
    """Return the result of a check that passed."""
    # One string for all that say the same: a large lab has hundreds of thousands of results.
    return Verdict.passed(sys.intern(detail)).of(check, rtt_ms=rtt_ms)


def _failed_result(
    check: Check,
    reason: Reason,
    detail: str,
    output: str = "",
    *,
    rtt_ms: float | None = None,
    command: str = "",
) -> CheckResult:
    """Return a failure, with what to type to see it again."""
    verdict = Verdict.failed(reason, detail)
    command = command or command_line(check)
    return verdict.of(check, command=command, output=output, rtt_ms=rtt_ms)


def _result_of_verdict(check: Check, verdict: Verdict, output: str) -> CheckResult:
    """Return the result of a verdict, with what to type to see it again."""
    return verdict.of(check, command=command_line(check), output=output)


def _judge_ping(check: Check, reading: _PeerAnswers) -> CheckResult:
    """Judge that every ping came back, or some where loss is declared."""
    ping = reading.pings.own.get(check.address)
    if ping is None:
        return reading.without_answer(check, script.PINGS, "fping")
    trips = ["-" if rtt is None else f"{rtt:g}" for rtt in ping.rtts_ms]
    shown = f"{ping.target} : {' '.join(trips)}"
    if ping.received == 0:
        return _failed_result(check, Reason.NO_REPLY, f"no reply to {ping.sent} pings", shown)
    if ping.received == ping.sent:
        return _passed_result(check, f"{ping.worst_ms:.1f} ms", ping.worst_ms)
    detail = f"{ping.received} replies to {ping.sent} pings"
    if _loses_packets(reading.lab, check):
        return _passed_result(check, f"{detail}, loss is declared", ping.worst_ms)
    return _failed_result(check, Reason.SOME_LOST, detail, shown, rtt_ms=ping.worst_ms)


def _loses_packets(lab: Lab, check: Check) -> bool:
    """Return True if loss is declared at either end."""
    for name in (check.node, check.target):
        nic = lab.node(name).nic_on(check.network)
        if nic is not None and nic.impairment.loss_percent > 0:
            return True
    return False


def _judge_mtu(check: Check, reading: _PeerAnswers) -> CheckResult:
    """Judge that the declared size passes whole and one byte more does not leave the node."""
    pings, address = reading.pings, check.address
    size = reading.mtus[check.network]
    ping = pings.own.get(address)
    # Sizes are only tried with who answers at all.
    if ping is not None and not ping.received:
        return _failed_result(check, Reason.NO_REPLY, "no reply to pings of any size")
    if address not in pings.tried.get(size, ()):
        return reading.without_answer(check, script.PINGS, "fping")
    if address not in pings.passed.get(size, ()):
        return _judge_too_long(check, reading, size)
    if address not in pings.tried.get(size + 1, ()):
        return reading.without_answer(check, script.PINGS, "fping")
    return _judge_larger(check, pings, size)


def _judge_larger(check: Check, pings: read.PingAnswers, size: int) -> CheckResult:
    """Judge a packet of one byte more than the declared size: the kernel must refuse it."""
    address, larger = check.address, size + 1
    why = pings.unsent.get((larger, address), "")
    if why.startswith(fping.TOO_LONG):
        return _passed_result(check, f"{size} bytes pass, {larger} do not")
    if why:
        verdict = Verdict.error(Reason.NOT_SENT, f"{larger} bytes were not sent: {why}")
        return _result_of_verdict(check, verdict, output="")
    # No answer is not a proof: the node itself must refuse to send what somebody on the
    # way may only drop.
    is_whole = address in pings.passed.get(larger, ())
    fate = "pass whole" if is_whole else "are sent and get lost"
    detail = f"{larger} bytes {fate}, {size} is the MTU that the lab declares"
    command = fping.sized_line(larger, [address])
    return _failed_result(check, Reason.MTU_LARGER, detail, command=command)


def _judge_too_long(check: Check, reading: _PeerAnswers, size: int) -> CheckResult:
    """Judge a way that packets of the declared size do not pass; name the largest that do."""
    if reading.answer.missing(script.PINGS):  # it would have been tried again
        return reading.without_answer(check, script.PINGS, "fping")
    passing = [
        smaller
        for smaller, addresses in reading.pings.passed.items()
        if smaller < size and check.address in addresses
    ]
    detail = f"{size} bytes do not pass"
    if passing:
        detail += f", {max(passing)} do"
    command = fping.sized_line(size, [check.address])
    return _failed_result(check, Reason.TOO_LONG, detail, command=command)


def _judge_source(check: Check, reading: _PeerAnswers) -> CheckResult:
    """Judge that packets leave directly by the NIC on that network, with its address."""
    line = reading.sources.get(check.address)
    if line is None:
        return _without_source(check, reading)
    # `10.0.0.3 dev eth1 src 10.0.0.2 uid 1000`: each word's value is the word after it.
    way = dict(itertools.pairwise(line.split()))
    nic = reading.nics[check.network]
    address = str(nic.address.ip)
    device, source = way.get("dev", "?"), way.get("src", "?")
    if source == address and "via" not in way:
        if device == nic.device:
            return _passed_result(check, f"{device} {source}")
        # A bridge or a vrouter that a cloud made of the NIC (br-ex, vhost0) has its MAC, too.
        mac = reading.macs.get(device, "")
        if is_made_of(nic, mac):
            return _passed_result(check, f"{device} {source}, which has {nic.device}'s MAC")
    wrong_way = f"{device} from {source}"
    if "via" in way:
        wrong_way += f" via {way['via']}"
    detail = f"would leave by {wrong_way}, not by {nic.device} from {address}"
    return _failed_result(check, Reason.WRONG_WAY, detail, line)


def _without_source(check: Check, reading: _PeerAnswers) -> CheckResult:
    """Return the result where ip named no route to an address."""
    said = reading.answer.of(script.SOURCES)
    if said.code in (None, NOT_FOUND):
        return reading.without_answer(check, script.SOURCES, "ip")
    detail = f"{check.node} lacks a route to {check.address}"
    return _failed_result(check, Reason.NO_ROUTE, detail, said.text)


def _judge_name(check: Check, reading: _PeerAnswers) -> CheckResult:
    """Judge that a name leads to the right address first, and the address back to the name."""
    number, names = reading.numbers[check.target], reading.names
    codes = names.codes.get(number)
    if codes is None:
        return reading.without_answer(check, script.NAMES, "getent")
    if NOT_FOUND in codes:
        verdict = answers.not_installed("getent", check.node)
        return _result_of_verdict(check, verdict, "\n".join(names.others))
    forward_code, backward_code = codes
    addresses = names.forward.get(number, [])
    back = names.backward.get(check.address, [])
    short_names = [word.partition(".")[0] for word in back]
    if not addresses:
        reason, limit = _why_unknown(forward_code, Reason.NAME_UNKNOWN)
        detail = f"{check.target} is not known on {check.node}{limit}"
    elif addresses[0] != check.address:
        reason = Reason.WRONG_ADDRESS
        detail = f"is {', '.join(addresses)} there, not {check.address}"
    elif not back:
        reason, limit = _why_unknown(backward_code, Reason.NO_NAME)
        detail = f"{check.address} does not lead to a name on {check.node}{limit}"
    elif check.target not in short_names:
        reason = Reason.WRONG_NAME
        detail = f"{check.address} is {', '.join(back)} there, not {check.target}"
    else:
        return _passed_result(check, f"{check.address}, and back")
    shown = f"{check.target}: {' '.join(addresses)}\n{check.address}: {' '.join(back)}"
    return _failed_result(check, reason, detail, shown)


def _why_unknown(code: int, otherwise: Reason) -> tuple[Reason, str]:
    """Return why a name or an address was not found, and what to add to the sentence."""
    if code == TIMED_OUT:
        return Reason.TIMED_OUT, f" (no answer in {script.NAMES_LIMIT_S} s)"
    return otherwise, ""


def _judge_port(check: Check, reading: _PeerAnswers) -> CheckResult:
    """Judge that the peer's own sshd answers there: by its key, or by a login that got in."""
    logins, address = reading.logins, check.address
    # A key proves most; a login that got in was let in by that very sshd.
    shown = logins.shown.get(address)
    if shown is not None:
        return _judge_key(check, logins, shown)
    if logins.reached(check.target) == address:
        return _own_key_result(check)
    if address in logins.greeted and not reading.answer.missing(script.LOGINS):
        return _failed_result(check, Reason.NOT_SSHD, f"sshd there shows no {read.KEY} key")
    # Nothing about an address and a program that is not installed look alike here.
    code, text = logins.silent.get(address, (NOT_FOUND, ""))
    if code == NOT_FOUND:
        is_missing = address in logins.silent
        return reading.without_answer(check, script.LOGINS, "ssh-keyscan", is_missing=is_missing)
    if code == 0:
        return _failed_result(check, Reason.NOT_SSHD, "TCP/22 is open, and no sshd answers")
    if code in (TIMED_OUT, script.KILLED):
        return _failed_result(check, Reason.TIMED_OUT, "timed out", text)
    why = ssh.classify(text) or f"no connection (exit code {code})"
    return _failed_result(check, answers.connection(text), why, text)


def _own_key_result(check: Check) -> CheckResult:
    """Return the result where an sshd showed the key that is on record."""
    return _passed_result(check, "sshd answers with its own key")


def _judge_key(check: Check, logins: read.LoginAnswers, shown: str) -> CheckResult:
    """Judge the key that an sshd showed by the node's own list; name whose key it is."""
    known = logins.known.get(check.address, set())
    if shown in known:
        return _own_key_result(check)
    output = f"{check.address} {read.KEY} {shown}"
    if not known:
        why = f"known_hosts on {check.node} lacks a key of {check.address}"
        return _failed_result(check, Reason.HOST_KEY, f"HOST KEY MISMATCH: {why}", output)
    whose = "an unknown key"
    # A key is on record by its node's name and by its addresses: the name says more.
    for names, keys in logins.known.items():
        if shown in keys and not read.is_address(names):
            whose = f"the key of {names}"
            break
    return _failed_result(check, Reason.HOST_KEY, f"HOST KEY MISMATCH: shows {whose}", output)


def _judge_login(check: Check, reading: _PeerAnswers) -> CheckResult:
    """Judge that `stack` logged in on the peer that was meant."""
    outcome = reading.logins.logins.get(check.target)
    if outcome is None:
        return reading.without_answer(check, script.LOGINS, "ssh")
    code, text = outcome
    if code == NOT_FOUND:
        return reading.without_answer(check, script.LOGINS, "ssh", is_missing=True)
    if code == 0:
        reached = reading.logins.reached(check.target)
        if reached in ("", check.address):
            return _passed_result(check, "logged in")
        detail = f"reached {reached}, not {check.address}"
        return _failed_result(check, Reason.OTHER_NODE, detail, text)
    # ssh that is ended while it has a session says so and ends with 255.
    if code == script.KILLED or "Killed by signal" in text:
        return _failed_result(check, Reason.TIMED_OUT, "timed out", text)
    why = ssh.classify(text) or f"ended with {code}"
    return _failed_result(check, answers.connection(text), why, text)
