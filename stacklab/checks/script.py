"""The one script that a node runs for all of its checks, and the reading of its answer.

An emulated node is ten times slower than its host, so the script is plain sh that
forks only for the programs whose answer it needs. Every line of the answer begins
with a marker that no banner or profile prints.
"""

from __future__ import annotations

import ipaddress
import re
import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from stacklab.checks.result import Check, CheckKind, CheckResult, CheckStatus, outcome
from stacklab.model import NIC, Lab, Node
from stacklab.tools import fping, ssh

# sshd drops connections at random beyond ten that are not logged in yet (MaxStartups 10:30:100).
_AT_ONCE = 4
_PEER_CONNECT_S = 10
_PEER_LIMIT_S = 20
_BASE_LIMIT_S = 40.0
_OUTPUT_MAX = 2000
_NOT_FOUND = 127
_TIMED_OUT = 124

_SSH_LINE = (
    f"ssh -T -o BatchMode=yes -o StrictHostKeyChecking=yes -o LogLevel=ERROR -o ConnectTimeout={_PEER_CONNECT_S}"
)

# `set -- $out` folds an answer of many lines into one, without a fork: one write carries it whole.
_FUNCTIONS = f"""\
set -f
lookup() {{
  out=$(getent ahostsv4 "$1" 2>&1); rc=$?; peer=$1; set -- $out
  printf '%s\\n' "$m name $peer $rc $*"
}}
reach() {{
  out=$(timeout {_PEER_LIMIT_S} {_SSH_LINE} "{ssh.USER}@$1" true 2>&1); rc=$?; peer=$1; set -- $out
  printf '%s\\n' "$m ssh $peer $rc $*"
}}
"""


def expected(lab: Lab, kinds: Collection[CheckKind] | None = None) -> tuple[Check, ...]:
    """List every check that the spec promises, in the lab's order; login is always among them."""
    wanted = set(CheckKind if kinds is None else kinds) | {CheckKind.LOGIN}
    checks = [check for node in lab.nodes for check in _of_node(lab, node)]
    return tuple(check for check in checks if check.kind in wanted)


def _of_node(lab: Lab, node: Node) -> list[Check]:
    peers = [peer for peer in lab.nodes if peer.name != node.name]
    checks = [_check(kind, node, node, node.access) for kind in (CheckKind.LOGIN, CheckKind.HOSTNAME)]
    checks += [_check(CheckKind.NAME, node, peer, lab.name_nic(peer)) for peer in peers]
    for nic in node.nics:
        checks += [
            Check(
                kind=CheckKind.PING,
                node=node.name,
                target=peer.name,
                network=nic.network,
                address=str(theirs.address.ip),
                device=nic.device,
            )
            for peer, theirs in lab.members(nic.network)
            if peer.name != node.name
        ]
    return checks + [_check(CheckKind.SSH, node, peer, lab.name_nic(peer)) for peer in peers]


def _check(kind: CheckKind, node: Node, target: Node, theirs: NIC) -> Check:
    """A check of a name, which stands for an address of the target's; asked of the NIC on the same network."""
    return Check(
        kind=kind,
        node=node.name,
        target=target.name,
        network=theirs.network,
        address=str(theirs.address.ip),
        device=(node.nic_on(theirs.network) or node.access).device,
    )


def render(checks: Sequence[Check], marker: str, *, turn: int = 0) -> str:
    """Write the script for one node's checks.

    `turn` rotates the order of the ssh peers, so that nodes that start together do
    not all knock at the same one. The work stands in a function: a script that is
    cut short on its way does nothing, and nothing reads the rest of it as its stdin.
    """
    lines = [f"m={shlex.quote(marker)}", _FUNCTIONS.rstrip(), "session() {", "printf '%s\\n' \"$m begin\""]
    targets = {kind: _unique(check.target for check in checks if check.kind is kind) for kind in CheckKind}
    if targets[CheckKind.HOSTNAME]:
        lines += ["read -r name < /proc/sys/kernel/hostname", "printf '%s\\n' \"$m hostname $name\""]
    if addresses := _unique(check.address for check in checks if check.kind is CheckKind.PING):
        # Before the logins: they would share the CPU with it and spoil its times.
        lines += [f"{fping.shell_line(addresses)} 2>&1", "printf '%s\\n' \"$m fping $?\""]
    lines += [f"lookup {shlex.quote(name)} &" for name in targets[CheckKind.NAME]]
    peers = targets[CheckKind.SSH]
    start = turn % len(peers) if peers else 0
    for number, peer in enumerate(peers[start:] + peers[:start], start=1):
        lines.append(f"reach {shlex.quote(peer)} &")
        if number % _AT_ONCE == 0:
            lines.append("wait")
    lines += ["wait", "printf '%s\\n' \"$m end\"", "}", "session </dev/null", ""]
    return "\n".join(lines)


def time_limit_s(checks: Sequence[Check]) -> float:
    """How long a session with these checks may take, every one of them hanging."""
    peers = sum(check.kind is CheckKind.SSH for check in checks)
    return ssh.CONNECT_TIMEOUT_S + _BASE_LIMIT_S + _PEER_LIMIT_S * -(-peers // _AT_ONCE)


def command_line(check: Check) -> str:
    """What to type on the node to try one check again."""
    match check.kind:
        case CheckKind.HOSTNAME:
            return "cat /proc/sys/kernel/hostname"
        case CheckKind.NAME:
            return f"getent ahostsv4 {shlex.quote(check.target)}"
        case CheckKind.PING:
            return fping.shell_line([check.address])
        case CheckKind.SSH:
            return f"{_SSH_LINE} {shlex.quote(f'{ssh.USER}@{check.target}')} true"
        case CheckKind.LOGIN:
            return "true"


def _unique(words: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(words))


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a node's script wrote, taken apart; whatever was cut off is missing here."""

    is_begun: bool = False
    is_complete: bool = False
    hostname: str | None = None
    names: Mapping[str, tuple[int, str]] = field(default_factory=dict)  # exit code, what it wrote
    logins: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    fping_code: int | None = None
    fping_text: str = ""


def read(text: str, marker: str) -> Answer:
    """Take an answer apart; never raises, whatever it is given."""
    marked = re.escape(marker)
    names: dict[str, tuple[int, str]] = {}
    logins: dict[str, tuple[int, str]] = {}
    for match in re.finditer(rf"^{marked} (name|ssh) (\S+) (\d{{1,3}})(?: (.*))?\n", text, re.MULTILINE | re.ASCII):
        into = names if match[1] == "name" else logins
        into[match[2]] = (int(match[3]), (match[4] or "").strip()[:_OUTPUT_MAX])
    begun = re.search(rf"^{marked} begin\n", text, re.MULTILINE)
    hostname = re.search(rf"^{marked} hostname (.*)\n", text, re.MULTILINE)
    pinged = re.search(rf"^{marked} fping (\d{{1,3}})\n", text, re.MULTILINE | re.ASCII)
    return Answer(
        is_begun=begun is not None,
        is_complete=re.search(rf"^{marked} end$", text, re.MULTILINE) is not None,
        hostname=hostname[1].strip() if hostname else None,
        names=names,
        logins=logins,
        fping_code=int(pinged[1]) if pinged else None,
        fping_text=text[begun.end() : pinged.start()] if begun and pinged else "",
    )


def judge(checks: Sequence[Check], answer: Answer, *, ended: str = "") -> tuple[CheckResult, ...]:
    """Hold the answer against what was expected; `ended` says why the session ended, if it is known.

    For every kind but login, which the session itself answers.
    """
    pings = fping.parse(answer.fping_text)
    missing = "no answer" if answer.is_complete else "the session ended before this check" + (ended and f": {ended}")
    results = []
    for check in checks:
        match check.kind:
            case CheckKind.HOSTNAME:
                results.append(_judge_hostname(check, answer.hostname, missing))
            case CheckKind.NAME:
                results.append(_judge_name(check, answer.names.get(check.target), missing))
            case CheckKind.PING:
                results.append(_judge_ping(check, answer, pings.get(check.address), missing))
            case CheckKind.SSH:
                results.append(_judge_ssh(check, answer.logins.get(check.target), missing))
            case CheckKind.LOGIN:
                continue
    return tuple(results)


def _of(check: Check, status: CheckStatus, detail: str, output: str = "", rtt_ms: float | None = None) -> CheckResult:
    return outcome(check, status, detail, command=command_line(check), output=output, rtt_ms=rtt_ms)


def _judge_hostname(check: Check, name: str | None, missing: str) -> CheckResult:
    if name is None:
        return _of(check, CheckStatus.ERROR, missing)
    if name.partition(".")[0] != check.node:
        return _of(check, CheckStatus.FAILED, f"calls itself {name!r}", name)
    return _of(check, CheckStatus.PASSED, name, name)


def _judge_name(check: Check, said: tuple[int, str] | None, missing: str) -> CheckResult:
    if said is None:
        return _of(check, CheckStatus.ERROR, missing)
    code, text = said
    if code == _NOT_FOUND:
        return _of(check, CheckStatus.ERROR, f"getent is not installed on {check.node}", text)
    addresses = _unique(word for word in text.split() if _is_address(word))
    if not addresses:
        return _of(check, CheckStatus.FAILED, f"{check.target} is not known on {check.node}", text)
    if addresses[0] != check.address:
        return _of(check, CheckStatus.FAILED, f"is {', '.join(addresses)} there, not {check.address}", text)
    return _of(check, CheckStatus.PASSED, addresses[0], text)


def _judge_ping(check: Check, answer: Answer, ping: fping.Ping | None, missing: str) -> CheckResult:
    if answer.fping_code is None:
        return _of(check, CheckStatus.ERROR, missing)
    if answer.fping_code == _NOT_FOUND:
        return _of(check, CheckStatus.ERROR, f"fping is not installed on {check.node}", _tail(answer.fping_text))
    if ping is None:
        detail = f"fping gave no result (exit code {answer.fping_code})"
        return _of(check, CheckStatus.ERROR, detail, _tail(answer.fping_text))
    shown = f"{ping.target} : {' '.join('-' if rtt is None else f'{rtt:g}' for rtt in ping.rtts_ms)}"
    if ping.received == 0:
        return _of(check, CheckStatus.FAILED, f"no reply to {ping.sent} pings", shown)
    if ping.received < ping.sent:
        detail = f"{ping.received} replies to {ping.sent} pings"
        return _of(check, CheckStatus.FAILED, detail, shown, ping.worst_ms)
    return _of(check, CheckStatus.PASSED, f"{ping.worst_ms:.1f} ms", shown, ping.worst_ms)


def _judge_ssh(check: Check, said: tuple[int, str] | None, missing: str) -> CheckResult:
    if said is None:
        return _of(check, CheckStatus.ERROR, missing)
    code, text = said
    if code == 0:
        return _of(check, CheckStatus.PASSED, "logged in", text)
    if code == _NOT_FOUND:
        return _of(check, CheckStatus.ERROR, f"ssh is not installed on {check.node}", text)
    known = f"timed out after {_PEER_LIMIT_S} s" if code == _TIMED_OUT else ssh.classify(text)
    return _of(check, CheckStatus.FAILED, known or f"ended with {code}", text)


def _tail(text: str) -> str:
    return text[-_OUTPUT_MAX:]


def _is_address(word: str) -> bool:
    try:
        ipaddress.IPv4Address(word)
    except ValueError:
        return False
    return True
