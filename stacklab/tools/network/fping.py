"""fping: shell code that runs it on a node, and a parser of its output."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

COUNT = 3
# An older fping lets only root use an interval below 10 ms or a period below 100 ms.
_INTERVAL_MS = 10
_PERIOD_MS = 200
_TIMEOUT_MS = 2000  # an emulated node under load may answer late
_HEADERS = 28  # 20 bytes of IPv4 and 8 of ICMP
TOO_LONG = "Message too l"  # EMSGSIZE: "long" with glibc, "large" with musl
_NO_SUCH_OPTION = "nvalid option"  # of getopt: fping before 4 does not know -M

# `10.0.0.2 : 0.18 - 0.01`. The line of a duplicate reply does not match:
# `10.0.0.2 : duplicate for [0], ...`.
_LINE = re.compile(
    r"(?P<target>\S{1,255})\s+:(?P<replies>(?:[ \t]+(?:-|\d{1,9}(?:\.\d{1,9})?))+)[ \t]*", re.ASCII
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ping:
    """The answers of one target: the round trip of each packet, None for a lost one."""

    target: str
    rtts_ms: tuple[float | None, ...]

    @property
    def sent(self) -> int:
        """Return how many packets were sent."""
        return len(self.rtts_ms)

    @property
    def received(self) -> int:
        """Return how many were answered."""
        return sum(rtt is not None for rtt in self.rtts_ms)

    @property
    def worst_ms(self) -> float | None:
        """Return the slowest round trip, or None if all packets were lost."""
        answered = [rtt for rtt in self.rtts_ms if rtt is not None]
        return max(answered, default=None)


def shell_line(addresses: Sequence[str], *, count: int = COUNT, slower_ms: float = 0.0) -> str:
    """Return a command that pings all addresses and prints the results to stderr.

    `slower_ms` is added to the time that it waits for a reply.
    """
    return f"fping {_options(count, slower_ms)} {shlex.join(addresses)}"


def longest_s(targets: int, *, count: int = COUNT, slower_ms: float = 0.0) -> float:
    """Return how long it takes if none of the targets answers."""
    # A round over many targets takes longer than the period between two packets to one of them.
    round_ms = max(_PERIOD_MS, targets * _INTERVAL_MS)
    return (count * round_ms + _TIMEOUT_MS + slower_ms) / 1000


def sized_line(size: int, addresses: Sequence[str]) -> str:
    """Return a command that sends packets of `size` bytes with "don't fragment"; needs fping 4."""
    return f"fping -M {_options(1, 0.0)} -b {size - _HEADERS} {shlex.join(addresses)}"


def sized_function(name: str, *, slower_ms: float = 0.0) -> str:
    """Return a shell function `NAME COUNT SIZE ADDRESS...` for packets that are not fragmented.

    It sets `out` to the output of fping -q -C. If fping does not know -M, ping is used, once for
    each address, and prints 0 as the time of a reply.
    """
    wait_s = math.ceil((_TIMEOUT_MS + slower_ms) / 1000)
    return f"""\
{name}_by_ping() {{
  command -v ping >/dev/null || return 0
  if ping -n -q -c 1 -W {wait_s} -M do -s "$1" "$2" >/dev/null 2>&1
  then echo "$2 : 0"
  else echo "$2 : -"
  fi
}}
{name}() {{
  count=$1; payload=$(($2 - {_HEADERS})); shift 2
  out=$(fping -M {_options("$count", slower_ms)} -b "$payload" "$@" 2>&1)
  case $out in
  *"{_NO_SUCH_OPTION}"*) out=$(for each; do {name}_by_ping "$payload" "$each" & done; wait) ;;
  esac
}}
"""


def over_function(name: str, *, slower_ms: float = 0.0) -> str:
    """Return a shell function `NAME SIZE ADDRESS...` that tells why a large packet was not sent.

    It sets `out` to lines `ADDRESS is alive`, `ADDRESS is unreachable` or `ADDRESS: error while
    sending ping: REASON`, which fping prints only without -C. If fping does not know -M, the
    output of ping is translated into the same words.
    """
    wait_ms = math.ceil(_TIMEOUT_MS + slower_ms)
    wait_s = math.ceil((_TIMEOUT_MS + slower_ms) / 1000)
    return f"""\
{name}_by_ping() {{
  command -v ping >/dev/null || return 0
  said=$(ping -n -c 1 -W {wait_s} -M do -s "$1" "$2" 2>&1; echo "ended $?")
  case $said in
  *"ended 0") echo "$2 is alive"; return 0 ;;
  # Kernels before 3.13 answer their own sender as a router would.
  *"essage too l"* | *"Frag needed"*) said="Message too long" ;;
  *sendmsg:*) ;;
  *"1 packets transmitted"*) echo "$2 is unreachable"; return 0 ;;
  esac
  printf '%s: error while sending ping: %.150s\\n' "$2" "$(echo $said)"
}}
{name}() {{
  payload=$(($1 - {_HEADERS})); shift
  out=$(fping -M -r 0 -i {_INTERVAL_MS} -t {wait_ms} -b "$payload" "$@" 2>&1)
  case $out in
  *"{_NO_SUCH_OPTION}"*) out=$(for each; do {name}_by_ping "$payload" "$each" & done; wait) ;;
  esac
}}
"""


def _options(count: int | str, slower_ms: float) -> str:
    timeout_ms = math.ceil(_TIMEOUT_MS + slower_ms)
    return f"-q -C {count} -i {_INTERVAL_MS} -p {_PERIOD_MS} -t {timeout_ms}"


def parse(text: str) -> dict[str, Ping]:
    """Parse the output of `fping -q -C`; other lines are ignored.

    A name that could not be resolved is absent: fping prints nothing for it. The two lines of a
    target that was given twice are joined.
    """
    pings: dict[str, Ping] = {}
    for line in text.splitlines():
        ping = parse_line(line)
        if ping is None:
            continue
        if ping.target in pings:
            rtts_ms = pings[ping.target].rtts_ms + ping.rtts_ms
            ping = Ping(target=ping.target, rtts_ms=rtts_ms)
        pings[ping.target] = ping
    return pings


def parse_line(line: str) -> Ping | None:
    """Parse one line of `fping -q -C`; return None for any other line."""
    match = _LINE.fullmatch(line.strip())
    if match is None:
        return None
    replies = match["replies"].split()
    # `-` is a packet that was lost.
    rtts = [None if word == "-" else float(word) for word in replies]
    return Ping(target=match["target"], rtts_ms=tuple(rtts))
