"""The parts that a node runs for the checks of layer `pairs`; `pairs.read` reads their lines."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence

from stacklab.nodes.protocol import Part, Phase
from stacklab.tools import ssh
from stacklab.tools.network import fping

PINGS, SOURCES, NAMES, LOGINS = "pairs.ping", "pairs.source", "pairs.names", "pairs.logins"

# sshd drops connections at random beyond ten that are not logged in yet (MaxStartups 10:30:100).
_AT_ONCE = 4
# An emulated sshd under load takes its time. Where its node answers pings no more, the wait ends.
_LOGIN_S = 20
_ASLEEP_S = 3  # from then on its pulse is felt
KILLED = 143  # 128 + SIGTERM
_WHY_S = 2
_SAID_MAX = 2000  # bytes of a login's words, which make one line
_NAMES_AT_ONCE = 8
NAMES_LIMIT_S = 8
_TRIPS = 12  # round trips of a login, which a declared delay makes slower
_MOST_SOUGHT = 16  # beyond so many failures their cause is the same
# What tunnels, PPP and jumbo frames leave of a packet; tried where the declared size does not pass.
_SMALLER: tuple[int, ...] = (9000, 8950, 8000, 4000, 1500, 1492, 1480, 1476)
_SMALLER += (1472, 1458, 1450, 1442, 1430, 1400, 1280, 576)

# `found` is what `answered` found, `alive` the addresses with a reply, at their own size.
_MTU = f"""\
answered() {{
  found=; address=
  for word in $1; do
    case $word in
    *.*.*.*) address=$word ;;
    [0-9]*) found="$found $address"; address= ;;
    esac
  done
}}
among() {{
  some=; these=$1; wanted=$2; shift 2
  for each; do
    case " $these " in
    *" $each "*) [ "$wanted" = no ] || some="$some $each" ;;
    *) [ "$wanted" = yes ] || some="$some $each" ;;
    esac
  done
}}
size() {{
  sized "$@"
  shift
  printf 'size %s\\n%s\\n' "$1" "$out"
}}
one_more() {{ # to whom `bytes` passed, one byte more; leaves the others in `some`
  answered "$out"; passed=$found
  among "$passed" yes "$@"
  if [ -n "$some" ]; then
    over $((bytes + 1)) $some
    printf 'size %s\\n%s\\n' $((bytes + 1)) "$out"
  fi
  among "$passed" no "$@"
}}
mtu() {{
  bytes=$1; shift
  among "$alive" yes "$@"; set -- $some
  [ $# -gt 0 ] || return 0
  size 1 "$bytes" "$@"
  one_more "$@"; set -- $some
  [ $# -gt 0 ] || return 0
  size "$tries" "$bytes" "$@" # a packet may be lost by chance
  one_more "$@"; set -- $some
  [ $# -gt 0 ] || return 0
  [ $# -le {_MOST_SOUGHT} ] || return 0
  for smaller in {" ".join(map(str, _SMALLER))}; do
    [ "$smaller" -ge "$bytes" ] || size 1 "$smaller" "$@" &
  done
  wait
}}
"""


_MACS = """\
set +f
for each in /sys/class/net/*; do
  if read -r mac <"$each/address"; then printf '%s\\n' "mac ${each##*/} $mac"; fi
done 2>/dev/null
set -f
"""


def ping_part(
    addresses: Sequence[str],
    sizes: Mapping[int, Sequence[str]],
    slower_ms: float,
    count: int = fping.COUNT,
) -> Part:
    """Ping them all at once; then, by the size that must pass whole, those of each that answered.

    Writes fping's lines; those of packets of another size come after `size BYTES`.
    """
    line = fping.shell_line(addresses, count=count, slower_ms=slower_ms)
    lines = [f"out=$({line} 2>&1); rc=$?", "printf '%s\\n' \"$out\""]
    limit = 1 + fping.longest_s(len(addresses), count=count, slower_ms=slower_ms)
    if sizes:
        functions = (
            fping.sized_function("sized", slower_ms=slower_ms),
            fping.over_function("over", slower_ms=slower_ms),
        )
        lines = ["".join(functions) + _MTU + lines[0], *lines[1:]]
        lines += [f'answered "$out"; alive=$found; tries={count}']
        lines += [f"mtu {size} {shlex.join(peers)}" for size, peers in sizes.items()]
        for peers in sizes.values():
            # At most five runs, one after the other: both sizes, twice, and all smaller ones.
            limit += 5 * fping.longest_s(len(peers), count=count, slower_ms=slower_ms)
    lines.append("return $rc")
    return Part(tag=PINGS, shell="\n".join(lines), phase=Phase.PINGS, limit_s=limit)


def source_part(addresses: Sequence[str]) -> Part:
    """Ask the kernel by which way it would send to each.

    Writes `mac DEVICE MAC` of each device, then iproute2's own lines.
    """
    asked = "\n".join(f"route get {address}" for address in addresses)
    shell = f"{_MACS}ip -4 -o -force -batch - <<'END'\n{asked}\nEND"
    return Part(tag=SOURCES, shell=shell, phase=Phase.FACTS, limit_s=10)


def name_part(peers: Sequence[tuple[int, str, str]]) -> Part:
    """Look up each name forward, and each address backward; the peers have numbers.

    getent takes many keys at once, but leaves out those that it does not know: 0.0.X.Y
    stands before the name with that number. `back` stands before the lines of addresses.
    After each handful comes `codes FORWARD BACKWARD NUMBER...`.
    """
    function = f"""\
names() {{
  numbers=$1; addresses=$2; shift 2
  there=$(timeout {NAMES_LIMIT_S} getent ahostsv4 "$@" 2>&1); forward=$?
  back=$(timeout {NAMES_LIMIT_S} getent hosts $addresses 2>&1); backward=$?
  printf '%s\\nback\\n%s\\ncodes %s\\n' "$there" "$back" "$forward $backward $numbers"
}}
"""
    calls = []
    for first in range(0, len(peers), _NAMES_AT_ONCE):
        some = peers[first : first + _NAMES_AT_ONCE]
        numbers = " ".join(str(number) for number, _, _ in some)
        addresses = " ".join(address for _, _, address in some)
        keys: list[str] = []
        for number, name, _ in some:
            keys += [f"0.0.{number // 256}.{number % 256}", name]
        calls.append(f"names '{numbers}' '{addresses}' {shlex.join(keys)}")
    shell = function + "\n".join(_in_turns(calls))
    return Part(
        tag=NAMES, shell=shell, limit_s=(2 * NAMES_LIMIT_S + 2) * -(-len(calls) // _AT_ONCE)
    )


def _in_turns(calls: Sequence[str]) -> list[str]:
    """Return a script that makes these calls side by side, a few at a time."""
    lines = []
    for first in range(0, len(calls), _AT_ONCE):
        lines += [*(f"{call} &" for call in calls[first : first + _AT_ONCE]), "wait"]
    return lines


def ssh_line(slower_ms: float = 0.0) -> str:
    """Return the command by which one node logs in on another."""
    patience = _LOGIN_S + _slower_s(slower_ms)
    options = "-T -o BatchMode=yes -o StrictHostKeyChecking=yes -o LogLevel=ERROR"
    return f"ssh {options} -o ConnectTimeout={patience}"


def login_part(
    peers: Sequence[tuple[str, str]],
    addresses: Sequence[str],
    slower_ms: float,
    pings: int = fping.COUNT,
) -> Part:
    """Log in on each peer by name as `stack`; sshds at other addresses have to show their keys.

    Writes `known` and the node's own list of keys, then `shown`. A login is `login PEER CODE`
    with `reached` and what sshd there has for $SSH_CONNECTION, or why not. Where a login did
    not reach the address that the name stands for, the sshd there has to show its key, too.
    Keys are ssh-keyscan's lines; an sshd without one is `silent ADDRESS CODE why`.
    """
    patience = _LOGIN_S + _slower_s(slower_ms)
    line = f"{ssh_line(slower_ms)} {ssh.USER}@\"$1\" 'echo reached $SSH_CONNECTION'"
    functions = _watched_function(patience, slower_ms, pings)
    functions += _login_functions(line, patience, _WHY_S + _slower_s(slower_ms))
    calls = [f"reach {shlex.join(peer)}" for peer in peers] + [
        f"scan {address}" for address in addresses
    ]
    limit = (2 * patience + 10) * -(-len(calls) // _AT_ONCE)
    return Part(tag=LOGINS, shell=functions + "\n".join(_in_turns(calls)), limit_s=limit)


def _login_functions(line: str, patience_s: int, why_s: int) -> str:
    """Return the shell functions that log in on a peer, and ask an sshd for its key."""
    return f"""\
scan() {{
  out=$(watched "$1" ssh-keyscan -T {patience_s} -t ed25519 "$1" 2>&1); rc=$?; peer=$1
  case $out in
  # its greeting; old ones leave out the port
  *"# $1 "* | *"# $1:"*) printf '%s\\n' "$out"; return 0 ;;
  esac
  if [ $rc != {KILLED} ] && [ $rc != 127 ]; then
    if gone "$1"; then return 0; fi
    # bash connects with no program more
    out=$(timeout {why_s} bash -c ": </dev/tcp/$1/22" 2>&1); rc=$?
  fi
  set -- $out
  printf '%s\\n' "silent $peer $rc $*"
}}
gone() {{ # nobody there answers ARP: what waited for it is not to wait once more
  case $(ip -4 neigh show to "$1" 2>/dev/null) in
  *FAILED* | *INCOMPLETE*)
    printf '%s\\n' "silent $1 1 Host is unreachable: it does not answer ARP" ;;
  *) return 1 ;;
  esac
}}
reach() {{
  out=$(watched "$2" {line} 2>&1); rc=$?; peer=$1; address=$2
  # `reached` comes last, behind whatever the peer's profile has to say
  [ ${{#out}} -le {_SAID_MAX} ] || out=$(printf '%s' "$out" | tail -c {_SAID_MAX})
  set -- $out
  printf '%s\\n' "login $peer $rc $*"
  case "$rc $* " in
  *" $address 22 "*) ;;
  {KILLED}*) printf '%s\\n' "silent $address $rc" ;;
  *"ssh: connect to host "*) gone "$address" || scan "$address" ;;
  *) scan "$address" ;;
  esac
}}
echo known
cat ~/.ssh/known_hosts /etc/ssh/ssh_known_hosts 2>/dev/null
echo shown
"""


def _watched_function(patience_s: int, slower_ms: float, pings: int) -> str:
    """Return a shell function that runs a program for as long as its peer answers pings."""
    return f"""\
watched() {{
  peer=$1; shift
  "$@" &
  it=$!
  (
    sleep {_ASLEEP_S + _slower_s(slower_ms)}; left={patience_s // 2}
    while [ $left -gt 0 ]; do
      fping -q -r {pings - 2} -t {math.ceil(1000 + slower_ms)} "$peer"
      [ $? != 1 ] || break
      sleep 2; left=$((left - 1))
    done
    kill $it
  ) >/dev/null 2>&1 &
  dog=$!
  wait $it; code=$?
  kill $dog 2>/dev/null
  return $code
}}
"""


def _slower_s(slower_ms: float) -> int:
    """Return how much longer a login may take, in whole seconds."""
    return math.ceil(_TRIPS * slower_ms / 1000)
