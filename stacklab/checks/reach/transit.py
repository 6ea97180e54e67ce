"""The part by which a node tries its ways through the host, and the reader of its lines."""

from __future__ import annotations

import errno
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stacklab.checks.impairments import ways
from stacklab.checks.reach.isolation import Target
from stacklab.model.lab import NIC, Lab, Network
from stacklab.nodes.protocol import Part

TRANSIT = "isolation.transit"  # the part

# Numbers of our own in the node's policy routing, far from those of /etc/iproute2.
_PREFERENCE = 20454
_TABLE = 20454
_LEFT = 4  # rules that a killed script may have left
DIAL_S = 3.0  # of DIAL; waited out only where nothing is refused

# Why a NIC can't send, in the words of the script below.
UNABLE = {
    "missing": "is not there",
    "down": "is down",
    "unplugged": "has no carrier",
    "bare": "lacks its address",
}
_NO_ARP = ("FAILED", "INCOMPLETE")  # states of a neighbour that has not answered
SILENT = "silent"  # in place of an errno: no answer within the time
# Collects the words of each NIC that can send, and says of any other why it can't. The device
# that has the NIC's address is the NIC itself, or what a cloud made of it and has its MAC (br-ex,
# vhost0): both must be up. The kernel does not tell the carrier of a device that is down.
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
# Root's shell. Its routes are for packets from one address to one other, so that no other packet
# is touched, and they are gone when it ends; what a killed script leaves is in nobody's way.
# One `ip` does all of it, since each costs an emulated node 20 ms; the last one says whether the
# hosts answered ARP. The first arguments are the devices, NIC by NIC.
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
# Of nodes that try where packets get to: SOURCE,ADDRESS,PORT each.
# What fails at once was never sent. It imports `_socket` itself and no site: with both, python3
# takes five times as long to start.
DIAL = """\
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


_DIALLED = re.compile(r"(dial|unsent) (\S{1,64}) (\d{1,3}|silent)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Dialled:
    """How each connection that DIAL tried has ended, by its word: an errno, or SILENT."""

    codes: Mapping[str, str]
    unsent: Mapping[str, str]  # no packet of these left the node


def read_dialled(lines: Sequence[str]) -> Dialled:
    """Read DIAL's lines; any other line, and a number that is not an errno, says nothing."""
    codes: dict[str, str] = {}
    unsent: dict[str, str] = {}
    for line in lines:
        # By its groups: str.split parts words at more characters than \S excludes.
        match = _DIALLED.fullmatch(line)
        if match:
            ended = codes if match[1] == "dial" else unsent
            ended[match[2]] = match[3]
    return Dialled(codes, unsent)


def error_text(code: str) -> str:
    """Return the system's words for an errno of DIAL's: `connection refused`."""
    return os.strerror(int(code)).lower()


def transit_part(lab: Lab, ways_out: Sequence[tuple[NIC, Target]]) -> Part:
    """Return the part that tries these ways, each out of its NIC through that network's host."""
    devices = {nic.device: nic for nic, _ in ways_out}
    nics = list(devices.values())
    lines = []
    for nic in nics:
        words = [target.word(nic) for source, target in ways_out if source is nic]
        lines.append(f"able {nic.device} {nic.address.ip} {nic.mac.lower()} {' '.join(words)}")
    able = "\n".join(lines)
    script = shlex.quote(_root_script(lab, nics, ways_out))
    # Unquoted variables: each device and each word is an argument of its own.
    root = f"sudo -n sh -c {script} transit $devices $words"
    shell = f'{_ABLE}{able}\n[ -z "$words" ] || {root}'
    return Part(tag=TRANSIT, shell=shell, limit_s=20.0 + ways.slower_s(lab))


def _root_script(lab: Lab, nics: Sequence[NIC], ways_out: Sequence[tuple[NIC, Target]]) -> str:
    """Return root's shell, with the routes of all ways: a table for each NIC."""
    tables = {nic.device: _TABLE + number for number, nic in enumerate(nics)}
    hosts = [lab.network(nic.network).host_address for nic in nics]
    do: list[str] = []
    for number, (host, nic) in enumerate(zip(hosts, nics, strict=True), start=1):
        # ${1}, ${2}, ...: the device of the NIC, which only the node knows.
        device = f"${{{number}}}"
        do.append(f"route replace default via {host} dev {device} table {tables[nic.device]}")
    for nic, target in ways_out:
        selector = f"from {nic.address.ip} to {target.address}"
        do.append(f"rule add {selector} pref {_PREFERENCE} lookup {tables[nic.device]}")
    # Last, when all rules are there: these lines show which way the kernel takes.
    do += [f"route get {target.address} from {nic.address.ip}" for nic, target in ways_out]
    # One `rule del` removes one rule: as many as were added, and some for what was left before.
    undo = [f"rule del pref {_PREFERENCE}"] * (len(ways_out) + _LEFT)
    undo += [f"route flush table {table}" for table in tables.values()]
    undo += [f"neigh show to {host} nud all" for host in hosts]
    return _TRANSIT.format(
        do="\n".join(do),
        undo="\n".join(undo),
        count=len(nics),
        dial=shlex.quote(DIAL),
        limit=DIAL_S + ways.slower_s(lab),
    )


@dataclass(frozen=True, slots=True)
class Trial:
    """The answers on a node's ways by the host; `lost` are those that packets did not go."""

    device: str  # the NIC's, or what has its address
    codes: Mapping[Target, str]  # an errno, or SILENT
    lost: tuple[Target, ...]
    is_mute: bool  # the host did not answer ARP


def read_trial(
    network: Network, nic: NIC, targets: Sequence[Target], lines: Sequence[str]
) -> Trial:
    """Read the lines of the part as far as they are about one NIC."""
    host = str(network.host_address)
    device = _holding_device(nic, lines)
    state = _neighbour_state(host, device, lines)
    codes = _dial_codes(nic, targets, lines)
    if state in ("", *_NO_ARP):
        _silence_unreachable(codes)
    # What `route get` printed: a packet to any other address did not go this way.
    way = f"from {nic.address.ip} via {host} dev {device} "
    routed = {line.split()[0] for line in lines if way in line}
    lost = [target for target in targets if target not in codes or target.address not in routed]
    return Trial(
        device=device,
        codes=codes,
        lost=tuple(lost),
        is_mute=state in _NO_ARP,
    )


def _silence_unreachable(codes: dict[Target, str]) -> None:
    """Replace EHOSTUNREACH by SILENT, where the host may not have answered ARP.

    Then one's own kernel says EHOSTUNREACH: that is not a refusal of the host.
    """
    for target, code in codes.items():
        if code == str(errno.EHOSTUNREACH):
            codes[target] = SILENT


def _holding_device(nic: NIC, lines: Sequence[str]) -> str:
    """Return the device that has the NIC's address: itself, or what the node named."""
    for line in lines:
        words = line.split()
        if words[:2] == ["by", nic.device] and len(words) == 3:
            return words[2]
    return nic.device


def _neighbour_state(host: str, device: str, lines: Sequence[str]) -> str:
    """Return the kernel's word for how the host answered ARP; "" if the lines don't tell."""
    for line in lines:
        words = line.split()
        if words[:3] == [host, "dev", device]:
            return words[-1]
    return ""


def _dial_codes(nic: NIC, targets: Sequence[Target], lines: Sequence[str]) -> dict[Target, str]:
    """Return how connecting to each target ended; a target without a readable line is left out."""
    code_by_word = read_dialled(lines).codes
    codes: dict[Target, str] = {}
    for target in targets:
        word = target.word(nic)
        if word in code_by_word:
            codes[target] = code_by_word[word]
    return codes


def why_unable(nic: NIC, lines: Sequence[str]) -> tuple[str, str] | None:
    """Return the device that can't send and a key of UNABLE; None where all can."""
    why_words = "|".join(UNABLE)
    pattern = rf"nic {re.escape(nic.device)} ({why_words}) (\S+)"
    for line in lines:
        match = re.fullmatch(pattern, line)
        if match:
            return match[2], match[1]
    return None


def retry_line(network: Network, nic: NIC, device: str, target: Target) -> str:
    """Return what to type on the node to try one way again."""
    route = f"{target.address} via {network.host_address} dev {device}"
    options = f"-v -o BatchMode=yes -o ConnectTimeout=3 -b {nic.address.ip} -p {target.port}"
    connect = f"ssh {options} {target.address} true"
    return f"sudo ip route add {route} && {connect}; sudo ip route del {route}"
