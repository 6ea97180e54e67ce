"""Checks of layer `isolation`: what must not be reached is not.

That nothing answers proves little: what is tried must be known to answer somebody else.
The host is that somebody (checks.host gathers it beforehand); where it gets no answer
either, a check says so and does not pass.
"""

from __future__ import annotations

import math
import os
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from stacklab.checks import outside, ways
from stacklab.checks.family import Facts
from stacklab.checks.protocol import NOT_FOUND, Answer, Part
from stacklab.checks.result import HOST, Check, CheckKind, CheckResult, CheckStatus
from stacklab.model import NIC, Lab, Network, NetworkMode, Node
from stacklab.tools import fping

OUTSIDE = "the outside"  # a goal beside the lab's other networks
SEPARATE, TRANSIT = "isolation.separate", "isolation.transit"  # parts
_CANDIDATES = 3  # nodes per network whose sshd the host tries: the first that answers is the target
_NAMED = 3
# Longer than any round trip under load, shorter than fping's usual: it is waited for in vain on every healthy lab.
_PATIENCE_MS = 1000

# Numbers of our own in the node's policy routing; /etc/iproute2 has none near them.
_PREFERENCE = 20454
_TABLE = 20454
_LEFT = 4  # rules that a killed script may have left
_REFUSED_AT_ONCE = 4  # a kernel refuses six packets of one sender's, then one each second (icmp_ratelimit)
_DIAL_S = 3.0  # waited out only where nothing is refused

_UNABLE = {"missing": "is not there", "down": "is down", "unplugged": "has no carrier"}
# Collects the words of each NIC that can send, and says of any other why it can't. The kernel does not tell the
# carrier of one that is down.
_ABLE = """\
words=
able() {
  nic=/sys/class/net/$1; why=
  if [ ! -e "$nic" ]; then why=missing
  elif ! { read -r carrier <"$nic/carrier"; } 2>/dev/null; then why=down
  elif [ "$carrier" = 0 ]; then why=unplugged
  fi
  if [ -n "$why" ]; then printf 'nic %s %s\\n' "$1" "$why"; return; fi
  shift
  words="$words $*"
}
"""
# Root's shell: routes for packets from one address to one other, so that nobody else's are touched; gone when it ends.
# One `ip` for all of it, since each costs an emulated node 20 ms. What a killed one left is in the way of nothing.
_TRANSIT = """\
exec 9>/run/stacklab-transit.lock && flock -w 8 9 || exit 75
undo() {{ ip -force -batch - <<EOF
{undo}
EOF
}}
trap 'undo >/dev/null 2>&1' EXIT
trap 'exit 1' HUP INT TERM PIPE
ip -force -batch - <<EOF
{do}
EOF
python3 -I -S -c {dial} {limit:g} "$@"
"""
# `_socket` itself, and no site: a fifth of the start of python3 with both.
_DIAL = """\
import sys, _socket as s, select, time
poll, left = select.poll(), {}
for word in sys.argv[2:]:
    source, address, port = word.split(",")
    each = s.socket(s.AF_INET, s.SOCK_STREAM | s.SOCK_NONBLOCK)
    try:
        each.bind((source, 0))
        code = each.connect_ex((address, int(port)))
    except OSError as error:
        code = error.errno
    if code == 115:
        poll.register(each.fileno(), select.POLLOUT)
        left[each.fileno()] = word, each
    else:
        print("dial", word, code)
end = time.time() + float(sys.argv[1])
is_over = False
while left and not is_over:
    is_over = time.time() > end  # what came while the node stood still is heard all the same
    for fd, _ in poll.poll(0 if is_over else 100):
        poll.unregister(fd)
        word, each = left.pop(fd)
        print("dial", word, each.getsockopt(s.SOL_SOCKET, s.SO_ERROR))
for word, each in left.values():
    print("dial", word, "silent")
"""


def expected(lab: Lab) -> Iterator[Check]:
    """See Family.expected."""
    used = {nic.network for node in lab.nodes for nic in node.nics}
    ours = [network for network in lab.networks if network.is_made_by_us and network.name in used]
    for network in ours:
        if not network.has_host:
            yield Check(kind=CheckKind.HOST_APART, node=HOST, network=network.name, device=network.bridge)
    isolated = {network.name for network in ours if network.mode is NetworkMode.ISOLATED}
    for node in lab.nodes:
        own = {nic.network for nic in node.nics}
        yield from (
            Check(kind=CheckKind.SEPARATE, node=node.name, network=network.name)
            for network in ours
            if network.name not in own
        )
        yield from (
            Check(kind=CheckKind.NO_TRANSIT, node=node.name, network=nic.network, device=nic.device)
            for nic in node.nics
            if nic.network in isolated
        )


@dataclass(frozen=True, slots=True)
class _Target:
    """Something that answers the host, and that a node must not reach through it."""

    goal: str  # a network's name, or OUTSIDE
    address: str
    port: str
    title: str

    def word(self, nic: NIC) -> str:
        """As the node gets it, and says it again."""
        return f"{nic.address.ip},{self.address},{self.port}"


def candidates(lab: Lab) -> tuple[str, ...]:
    """Places whose sshd the host has to try: for each isolated network some nodes of each other one."""
    isolated = [network for network in lab.networks if network.mode is NetworkMode.ISOLATED]
    found = (
        f"{nic.address.ip}:22"
        for network in isolated
        for goal in _goals(lab, network.name)
        for _, nic in _members(lab, network.name, goal)[:_CANDIDATES]
    )
    return tuple(dict.fromkeys(found))


def _goals(lab: Lab, network: str) -> list[Network]:
    """The networks that the host could let packets of `network` through to: it must be on them itself."""
    return [each for each in lab.networks if each.name != network and each.has_host]


def _members(lab: Lab, network: str, goal: Network) -> list[tuple[Node, NIC]]:
    """Who is on the goal. A node that is not on `network` as well comes first: its answer has but one way back."""
    return sorted(lab.members(goal.name), key=lambda each: each[0].nic_on(network) is not None)


def _targets(lab: Lab, node: Node, nic: NIC, facts: Facts) -> tuple[list[_Target], list[str]]:
    """What to try from that NIC, and the goals of which nothing answers the host."""
    found, untried = [], []
    for goal in _goals(lab, nic.network):
        others = [each for each in _members(lab, nic.network, goal) if each[0].name != node.name]
        target = next(
            (
                _Target(goal.name, str(theirs.address.ip), "22", f"{peer.name} {theirs.address.ip}:22 on {goal.name}")
                for peer, theirs in others[:_CANDIDATES]
                if (tried := facts.tried.get(f"{theirs.address.ip}:22")) and tried.is_open
            ),
            None,
        )
        if target:
            found.append(target)
        elif others:
            untried.append(goal.name)
    place = next(iter(outside.controls(lab, facts)), "")
    if place:
        address, _, port = place.rpartition(":")
        found.append(_Target(OUTSIDE, address, port, f"{place} outside"))
    else:
        untried.append(OUTSIDE)
    return found, untried


def parts(lab: Lab, node: Node, checks: Sequence[Check], facts: Facts) -> Iterator[Part]:
    """See Family.parts."""
    separate = [c.network for c in checks if c.kind is CheckKind.SEPARATE]
    if addresses := [address for network in separate for address in _addresses(lab, network)]:
        limit = 10 + 0.03 * len(addresses) + ways.slower_s(lab)
        yield Part(tag=SEPARATE, shell=_ping_line(lab, addresses), limit_s=limit)
    nics = [nic for c in checks if c.kind is CheckKind.NO_TRANSIT for nic in node.nics if nic.network == c.network]
    pairs = [(nic, target) for nic in nics for target in _targets(lab, node, nic, facts)[0]]
    if pairs:
        words = [[nic.device, *(target.word(nic) for each, target in pairs if each is nic)] for nic in nics]
        able = "\n".join(f"able {' '.join(each)}" for each in words if len(each) > 1)
        root = f"sudo -n sh -c {shlex.quote(_transit_script(lab, nics, pairs))} transit $words"
        shell = f'{_ABLE}{able}\n[ -z "$words" ] || {root}'
        yield Part(tag=TRANSIT, shell=shell, limit_s=20.0 + ways.slower_s(lab))


def _ping_line(lab: Lab, addresses: Iterable[str]) -> str:
    patience = math.ceil(_PATIENCE_MS + ways.slower_ms(lab))
    return f"fping -q -C 2 -i 10 -p 300 -t {patience} {' '.join(addresses)}"


def _addresses(lab: Lab, network: str) -> dict[str, str]:
    """Of all nodes there, with whose they are."""
    return {str(nic.address.ip): node.name for node, nic in lab.members(network)}


def _transit_script(lab: Lab, nics: Sequence[NIC], pairs: Sequence[tuple[NIC, _Target]]) -> str:
    tables = {nic.device: _TABLE + number for number, nic in enumerate(nics)}
    do = [
        f"route replace default via {lab.network(nic.network).host_address} dev {nic.device} table {tables[nic.device]}"
        for nic in nics
    ]
    do += [
        f"rule add from {nic.address.ip} to {target.address} pref {_PREFERENCE} lookup {tables[nic.device]}"
        for nic, target in pairs
    ]
    do += [f"route get {target.address} from {nic.address.ip}" for nic, target in pairs]
    undo = [f"rule del pref {_PREFERENCE}"] * (len(pairs) + _LEFT)
    undo += [f"route flush table {table}" for table in tables.values()]
    limit = _DIAL_S + ways.slower_s(lab)
    return _TRANSIT.format(do="\n".join(do), undo="\n".join(undo), dial=shlex.quote(_DIAL), limit=limit)


def judge(lab: Lab, checks: Sequence[Check], answer: Answer, facts: Facts) -> Iterator[CheckResult]:
    """See Family.judge; what the host does itself is judged in checks.host."""
    pings = fping.parse("\n".join(answer.of(SEPARATE).lines))
    for check in checks:
        if check.kind is CheckKind.SEPARATE:
            yield _judge_separate(lab, check, answer, pings, facts)
        elif check.kind is CheckKind.NO_TRANSIT:
            yield _judge_transit(lab, check, answer, facts)


def _judge_separate(
    lab: Lab, check: Check, answer: Answer, pings: dict[str, fping.Ping], facts: Facts
) -> CheckResult:
    said, addresses = answer.of(SEPARATE), _addresses(lab, check.network)
    command = _ping_line(lab, addresses)

    def ended(status: CheckStatus, detail: str, output: str = "") -> CheckResult:
        shown = "" if status is CheckStatus.PASSED else command
        return CheckResult(check=check, status=status, detail=detail, command=shown, output=output)

    reached = [each for each in addresses if each in pings and pings[each].received]
    if reached:
        names = ", ".join(f"{addresses[each]} {each}" for each in reached[:_NAMED])
        more = f" and {len(reached) - _NAMED} more" if len(reached) > _NAMED else ""
        return ended(CheckStatus.FAILED, f"reached, though it has no NIC there: {names}{more}", said.text)
    if said.code == NOT_FOUND:
        return ended(CheckStatus.ERROR, f"fping is not installed on {check.node}", said.text)
    if said.code is None or any(each not in pings for each in addresses):
        why = answer.missing(SEPARATE) or f"fping gave no result (exit code {said.code})"
        return ended(CheckStatus.ERROR, why, said.text)
    if lab.network(check.network).has_host and not facts.alive & addresses.keys():
        return ended(CheckStatus.WARNED, f"nothing is proved: none of {len(addresses)} answers the host either")
    return ended(CheckStatus.PASSED, f"none of {len(addresses)} answers")


def _judge_transit(lab: Lab, check: Check, answer: Answer, facts: Facts) -> CheckResult:
    node, network = lab.node(check.node), lab.network(check.network)
    nic = next(each for each in node.nics if each.network == check.network)
    targets, untried = _targets(lab, node, nic, facts)
    said = answer.of(TRANSIT)

    def ended(status: CheckStatus, detail: str, target: _Target | None = None, command: str = "") -> CheckResult:
        is_fine = status is CheckStatus.PASSED
        command = _retry(network, nic, target) if target and not is_fine else command
        return CheckResult(
            check=check, status=status, detail=detail, command=command, output="" if is_fine else said.text
        )

    nothing = f"nothing is proved of {', '.join(untried)}: there is nothing that answers the host"
    if not targets:
        return ended(CheckStatus.WARNED, nothing)
    if why := next((word for word in _UNABLE if f"nic {nic.device} {word}" in said.lines), ""):
        detail = f"{nic.device} {_UNABLE[why]}: no packet could be sent by way of the host"
        return ended(CheckStatus.ERROR, detail, command=f"ip link show dev {nic.device}")
    dials = dict(line.split()[1:3] for line in said.lines if re.fullmatch(r"dial \S+ (\d+|silent)", line, re.ASCII))
    codes = {target: dials.get(target.word(nic), "") for target in targets}
    way = f"from {nic.address.ip} via {network.host_address} dev {nic.device} "
    routed = {line.split()[0] for line in said.lines if way in line}
    lost = next((target for target in targets if not codes[target] or target.address not in routed), None)
    if open_ := [target for target in targets if codes[target] == "0" and target is not lost]:
        names = ", ".join(target.title for target in open_)
        detail = f"gets through the host ({network.host_address}) to {names}"
        return ended(CheckStatus.FAILED, detail, open_[0])
    if lost or said.code is None:
        code = f" (exit code {said.code})" if said.code else ""
        why = answer.missing(TRANSIT) or f"no packet could be sent by way of the host{code}"
        return ended(CheckStatus.ERROR, why, lost)
    refusals = [os.strerror(int(code)).lower() for code in codes.values() if code.isdigit()]
    silent = [target for target in targets if codes[target] == "silent"]
    if silent and network.has_host and (not refusals or len(targets) <= _REFUSED_AT_ONCE):
        detail = f"neither an answer from {silent[0].title} nor the host's refusal: packets may get out"
        return ended(CheckStatus.WARNED, detail, silent[0])
    if untried:
        return ended(CheckStatus.WARNED, nothing)
    goals, how = ", ".join(target.goal for target in targets), ", ".join(sorted({*refusals})) or "no answer"
    return ended(CheckStatus.PASSED, f"no way to {goals}: {how}")


def witnesses(lab: Lab, check: Check, facts: Facts) -> frozenset[str]:
    """The nodes of which one would have to answer the host for the check to prove anything; none where one does."""
    if check.kind is CheckKind.SEPARATE:
        is_heard = facts.alive & _addresses(lab, check.network).keys()
        lacking = [check.network] if lab.network(check.network).has_host and not is_heard else []
    elif check.kind is CheckKind.NO_TRANSIT:
        node = lab.node(check.node)
        nic = next(each for each in node.nics if each.network == check.network)
        lacking = _targets(lab, node, nic, facts)[1]  # no node is on OUTSIDE
    else:
        return frozenset()
    return frozenset(peer.name for name in lacking for peer, _ in lab.members(name) if peer.name != check.node)


def _retry(network: Network, nic: NIC, target: _Target) -> str:
    """What to type on the node to try one way again."""
    route = f"{target.address} via {network.host_address} dev {nic.device}"
    connect = f"ssh -v -o BatchMode=yes -o ConnectTimeout=3 -b {nic.address.ip} -p {target.port} {target.address} true"
    return f"sudo ip route add {route} && {connect}; sudo ip route del {route}"
