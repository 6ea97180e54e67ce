"""Checks of layer `isolation`: what must not be reached is not.

That nothing answers proves little: what is tried must be known to answer somebody else.
The host is that somebody (checks.host gathers it beforehand); where it gets no answer
either, a check says so and does not pass.
"""

from __future__ import annotations

import errno
import math
import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from stacklab.checks.family import Facts
from stacklab.checks.impairments import ways
from stacklab.checks.reach import outside
from stacklab.checks.result import HOST, Check, CheckKind, CheckResult, CheckStatus
from stacklab.model.lab import NIC, Lab, Network, NetworkMode, Node
from stacklab.nodes.protocol import NOT_FOUND, Answer, Part
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
_REFUSED_AT_ONCE = (
    4  # a kernel refuses six packets of one sender's, then one each second (icmp_ratelimit)
)
_DIAL_S = 3.0  # waited out only where nothing is refused

_UNABLE = {
    "missing": "is not there",
    "down": "is down",
    "unplugged": "has no carrier",
    "bare": "lacks its address",
}
# What a host has to say that lets nothing through. One's own kernel says EHOSTUNREACH of a host that is not there.
_REFUSALS = frozenset({errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EACCES})
_NO_ARP = ("FAILED", "INCOMPLETE")  # states of a neighbour that has not answered
_UNSENT = "no packet could be sent by way of the host"
# Collects the words of each NIC that can send, and says of any other why it can't; of each in turn the device that has
# its address: itself, or what was made of it and has its MAC (br-ex, vhost0). Both must be up. The kernel does not tell
# the carrier of one that is down.
_ABLE = """\
words= devices=
held=$(ip -o -4 addr show) || return
look() {
  on=$1 why=
  if [ ! -e "/sys/class/net/$1" ]; then why=missing
  elif ! { read -r carrier <"/sys/class/net/$1/carrier"; } 2>/dev/null; then why=down
  elif [ "$carrier" = 0 ]; then why=unplugged
  fi
  [ -z "$why" ]
}
hold() {
  while read -r _ name _ address _; do
    name=${name%%@*}
    if [ "${address%%/*}" != "$2" ]; then continue; fi
    if [ "$name" = "$1" ]; then holder=$name; return; fi
    if read -r mac <"/sys/class/net/$name/address" && [ "$mac" = "$3" ]; then holder=$name; fi
  done <<EOF
$held
EOF
}
able() {
  nic=$1 holder=
  hold "$@"
  devices="$devices ${holder:-$nic}"
  shift 3
  if look "$nic" && [ -z "$holder" ]; then why=bare
  elif [ -z "$why" ] && [ "$holder" != "$nic" ]; then
    printf 'by %s %s\\n' "$nic" "$holder"
    look "$holder"
  fi
  if [ -n "$why" ]; then printf 'nic %s %s %s\\n' "$nic" "$why" "$on"; return; fi
  words="$words $*"
}
"""
# Root's shell: routes for packets from one address to one other, so that nobody else's are touched; gone when it ends.
# One `ip` for all of it, since each costs an emulated node 20 ms; the last one says whether the hosts answered ARP.
# What a killed one left is in the way of nothing. Its first arguments are the devices, NIC by NIC.
_TRANSIT = """\
exec 9>/run/stacklab-transit.lock && flock -w 8 9 || exit 75
undo() {{ ip -force -batch - <<EOF
{undo}
EOF
}}
trap 'undo 2>/dev/null' EXIT
trap 'exit 1' HUP INT TERM PIPE
ip -force -batch - <<EOF
{do}
EOF
shift {count}
python3 -I -S -c {dial} {limit:g} "$@"
"""
# What fails at once was never sent. `_socket` itself, and no site: a fifth of the start of python3 with both.
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
        print("unsent", word, code)
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
            yield Check(
                kind=CheckKind.HOST_APART, node=HOST, network=network.name, device=network.bridge
            )
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
                _Target(
                    goal.name,
                    str(theirs.address.ip),
                    "22",
                    f"{peer.name} {theirs.address.ip}:22 on {goal.name}",
                )
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
    own = [
        nic
        for c in checks
        if c.kind is CheckKind.NO_TRANSIT
        for nic in node.nics
        if nic.network == c.network
    ]
    pairs = [(nic, target) for nic in own for target in _targets(lab, node, nic, facts)[0]]
    if pairs:
        nics = [nic for nic in own if any(each is nic for each, _ in pairs)]
        words = [[target.word(nic) for each, target in pairs if each is nic] for nic in nics]
        able = "\n".join(
            f"able {nic.device} {nic.address.ip} {nic.mac.lower()} {' '.join(each)}"
            for nic, each in zip(nics, words, strict=True)
        )
        root = f"sudo -n sh -c {shlex.quote(_transit_script(lab, nics, pairs))} transit $devices $words"
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
    hosts = [lab.network(nic.network).host_address for nic in nics]
    do = [
        f"route replace default via {host} dev ${{{number}}} table {table}"
        for number, (host, table) in enumerate(zip(hosts, tables.values(), strict=True), start=1)
    ]
    do += [
        f"rule add from {nic.address.ip} to {target.address} pref {_PREFERENCE} lookup {tables[nic.device]}"
        for nic, target in pairs
    ]
    do += [f"route get {target.address} from {nic.address.ip}" for nic, target in pairs]
    undo = [f"rule del pref {_PREFERENCE}"] * (len(pairs) + _LEFT)
    undo += [f"route flush table {table}" for table in tables.values()]
    undo += [f"neigh show to {host} nud all" for host in hosts]
    limit = _DIAL_S + ways.slower_s(lab)
    return _TRANSIT.format(
        do="\n".join(do),
        undo="\n".join(undo),
        count=len(nics),
        dial=shlex.quote(_DIAL),
        limit=limit,
    )


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
        return ended(
            CheckStatus.FAILED, f"reached, though it has no NIC there: {names}{more}", said.text
        )
    if said.code == NOT_FOUND:
        return ended(CheckStatus.ERROR, f"fping is not installed on {check.node}", said.text)
    if said.code is None or any(each not in pings for each in addresses):
        why = answer.missing(SEPARATE) or f"fping gave no result (exit code {said.code})"
        return ended(CheckStatus.ERROR, why, said.text)
    if lab.network(check.network).has_host and not facts.alive & addresses.keys():
        return ended(
            CheckStatus.WARNED,
            f"nothing is proved: none of {len(addresses)} answers the host either",
        )
    return ended(CheckStatus.PASSED, f"none of {len(addresses)} answers")


@dataclass(frozen=True, slots=True)
class _Trial:
    """What a node heard on its ways by the host; those that packets did not go are in `lost`."""

    device: str  # the NIC's, or what has its address
    codes: Mapping[_Target, str]  # an errno, or "silent"
    lost: tuple[_Target, ...]
    is_mute: bool  # the host did not answer ARP


def _trial(network: Network, nic: NIC, targets: Sequence[_Target], lines: Sequence[str]) -> _Trial:
    words = [line.split() for line in lines]
    device = next(
        (each[2] for each in words if each[:2] == ["by", nic.device] and len(each) == 3), nic.device
    )
    way = f"from {nic.address.ip} via {network.host_address} dev {device} "
    routed = {line.split()[0] for line in lines if way in line}
    state = next(
        (each[-1] for each in words if each[:3] == [str(network.host_address), "dev", device]), ""
    )
    dials = dict(
        line.split()[1:3]
        for line in lines
        if re.fullmatch(r"dial \S+ (\d+|silent)", line, re.ASCII)
    )
    codes = {target: dials[target.word(nic)] for target in targets if target.word(nic) in dials}
    if state in ("", *_NO_ARP):
        codes = {
            target: "silent" if code == str(errno.EHOSTUNREACH) else code
            for target, code in codes.items()
        }
    lost = tuple(
        target for target in targets if target not in codes or target.address not in routed
    )
    return _Trial(device, codes, lost, state in _NO_ARP)


def _judge_transit(lab: Lab, check: Check, answer: Answer, facts: Facts) -> CheckResult:
    node, network = lab.node(check.node), lab.network(check.network)
    nic = next(each for each in node.nics if each.network == check.network)
    targets, untried = _targets(lab, node, nic, facts)
    said = answer.of(TRANSIT)
    trial = _trial(network, nic, targets, said.lines)

    def ended(
        status: CheckStatus, detail: str, target: _Target | None = None, command: str = ""
    ) -> CheckResult:
        is_fine = status is CheckStatus.PASSED
        command = _retry(network, nic, trial.device, target) if target and not is_fine else command
        return CheckResult(
            check=check,
            status=status,
            detail=detail,
            command=command,
            output="" if is_fine else said.text,
        )

    if not targets:
        return ended(CheckStatus.WARNED, _unproved(untried))
    pattern = rf"nic {re.escape(nic.device)} ({'|'.join(_UNABLE)}) (\S+)"
    if unable := next(filter(None, (re.fullmatch(pattern, line) for line in said.lines)), None):
        detail = f"{unable[2]} {_UNABLE[unable[1]]}: {_UNSENT}"
        return ended(CheckStatus.ERROR, detail, command=f"ip addr show dev {unable[2]}")
    if open_ := [
        target for target, code in trial.codes.items() if code == "0" and target not in trial.lost
    ]:
        names = ", ".join(target.title for target in open_)
        detail = f"gets through the host ({network.host_address}) to {names}"
        return ended(CheckStatus.FAILED, detail, open_[0])
    if trial.lost or said.code is None:
        code = f" (exit code {said.code})" if said.code else ""
        return ended(
            CheckStatus.ERROR,
            answer.missing(TRANSIT) or f"{_UNSENT}{code}",
            next(iter(trial.lost), None),
        )
    return ended(*_judge_closed(network, trial, untried))


def _judge_closed(
    network: Network, trial: _Trial, untried: Sequence[str]
) -> tuple[CheckStatus, str, _Target | None]:
    """Of ways that packets did go, and of which none is open; with the one to try again."""
    known = {"silent", *map(str, _REFUSALS)}
    if odd := next((target for target, code in trial.codes.items() if code not in known), None):
        error = os.strerror(int(trial.codes[odd])).lower()
        return (
            CheckStatus.ERROR,
            f"{error} on the way to {odd.title}: that is no refusal of the host's",
            odd,
        )
    refusals = {os.strerror(int(code)).lower() for code in trial.codes.values() if code != "silent"}
    silent = next((target for target, code in trial.codes.items() if code == "silent"), None)
    if silent and network.has_host and trial.is_mute:
        return (
            CheckStatus.ERROR,
            f"the host ({network.host_address}) does not answer ARP: {_UNSENT}",
            silent,
        )
    if silent and network.has_host and (not refusals or len(trial.codes) <= _REFUSED_AT_ONCE):
        detail = (
            f"neither an answer from {silent.title} nor the host's refusal: packets may get out"
        )
        return CheckStatus.WARNED, detail, silent
    if untried:
        return CheckStatus.WARNED, _unproved(untried), None
    goals = ", ".join(target.goal for target in trial.codes)
    return (
        CheckStatus.PASSED,
        f"no way to {goals}: {', '.join(sorted(refusals)) or 'no answer'}",
        None,
    )


def _unproved(goals: Iterable[str]) -> str:
    return f"nothing is proved of {', '.join(goals)}: there is nothing that answers the host"


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
    return frozenset(
        peer.name for name in lacking for peer, _ in lab.members(name) if peer.name != check.node
    )


def _retry(network: Network, nic: NIC, device: str, target: _Target) -> str:
    """What to type on the node to try one way again."""
    route = f"{target.address} via {network.host_address} dev {device}"
    connect = f"ssh -v -o BatchMode=yes -o ConnectTimeout=3 -b {nic.address.ip} -p {target.port} {target.address} true"
    return f"sudo ip route add {route} && {connect}; sudo ip route del {route}"
