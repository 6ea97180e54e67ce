"""fping: the line to run on a node, and what its answer means."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

COUNT = 3
# An interval under 10 ms and a period under 100 ms are refused to users other than root by older fpings.
_INTERVAL_MS = 10
_PERIOD_MS = 200
_TIMEOUT_MS = 2000  # an emulated node under load answers late, not never
_HEADERS = 28  # IPv4's 20 bytes and ICMP's 8
TOO_LONG = "Message too l"  # EMSGSIZE: `long` by glibc, `large` by musl
_NO_SUCH_OPTION = "nvalid option"  # fping before 4 has no -M, and says so in its libc's words

# `10.0.0.2 : 0.18 - 0.01`; a duplicate reply's line ("10.0.0.2 : duplicate for [0], ...") does not match.
_LINE = re.compile(
    r"(?P<target>\S{1,255})\s+:(?P<replies>(?:[ \t]+(?:-|\d{1,9}(?:\.\d{1,9})?))+)[ \t]*", re.ASCII
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ping:
    """What one target answered: a round trip in ms per packet, None where it was lost."""

    target: str
    rtts_ms: tuple[float | None, ...]

    @property
    def sent(self) -> int:
        """How many packets went out."""
        return len(self.rtts_ms)

    @property
    def received(self) -> int:
        """How many came back."""
        return sum(rtt is not None for rtt in self.rtts_ms)

    @property
    def worst_ms(self) -> float | None:
        """The slowest round trip; None when nothing came back."""
        return max((rtt for rtt in self.rtts_ms if rtt is not None), default=None)


def shell_line(addresses: Sequence[str], *, count: int = COUNT, slower_ms: float = 0.0) -> str:
    """One fping to all of them; it answers on stderr. `slower_ms` is added to how long it waits for a reply."""
    return f"fping {_options(count, slower_ms)} {shlex.join(addresses)}"


def longest_s(targets: int, *, count: int = COUNT, slower_ms: float = 0.0) -> float:
    """How long it takes if none of so many answers."""
    return (count * max(_PERIOD_MS, targets * _INTERVAL_MS) + _TIMEOUT_MS + slower_ms) / 1000


def sized_line(size: int, addresses: Sequence[str]) -> str:
    """One fping with IPv4 packets of that many bytes that nobody may cut up; needs fping 4."""
    return f"fping -M {_options(1, 0.0)} -b {size - _HEADERS} {shlex.join(addresses)}"


def sized_function(name: str, *, slower_ms: float = 0.0) -> str:
    """A shell function `NAME COUNT SIZE ADDRESS...` that sets `out` to what fping -q -C says of such packets.

    Where fping has no -M, ping asks each of them once, and a reply's time is put down as 0.
    """
    wait_s = math.ceil((_TIMEOUT_MS + slower_ms) / 1000)
    return f"""\
{name}_by_ping() {{
  command -v ping >/dev/null || return 0
  if ping -n -q -c 1 -W {wait_s} -M do -s "$1" "$2" >/dev/null 2>&1; then echo "$2 : 0"; else echo "$2 : -"; fi
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
    """A shell function `NAME SIZE ADDRESS...` that sets `out` to what becomes of a packet that nobody may cut up.

    With -C fping keeps to itself why a packet was not even sent. So it is asked without: `ADDRESS is alive`,
    `ADDRESS is unreachable`, `ADDRESS: error while sending ping: WHY`. Where it has no -M, ping is
    asked, and put into the same words.
    """
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
  out=$(fping -M -r 0 -i {_INTERVAL_MS} -t {math.ceil(_TIMEOUT_MS + slower_ms)} -b "$payload" "$@" 2>&1)
  case $out in
  *"{_NO_SUCH_OPTION}"*) out=$(for each; do {name}_by_ping "$payload" "$each" & done; wait) ;;
  esac
}}
"""


def _options(count: int | str, slower_ms: float) -> str:
    return (
        f"-q -C {count} -i {_INTERVAL_MS} -p {_PERIOD_MS} -t {math.ceil(_TIMEOUT_MS + slower_ms)}"
    )


def parse(text: str) -> dict[str, Ping]:
    """Read the lines of `fping -q -C`; whatever is no such line is passed over.

    A name that does not resolve gets no line, so it is absent. A target that was
    given twice gets two lines, which are put together.
    """
    found: dict[str, Ping] = {}
    for line in text.splitlines():
        if ping := parse_line(line):
            before = found[ping.target].rtts_ms if ping.target in found else ()
            found[ping.target] = Ping(target=ping.target, rtts_ms=before + ping.rtts_ms)
    return found


def parse_line(line: str) -> Ping | None:
    """Read one line of `fping -q -C`; None if it is something else."""
    match = _LINE.fullmatch(line.strip())
    if match is None:
        return None
    rtts = tuple(None if word == "-" else float(word) for word in match["replies"].split())
    return Ping(target=match["target"], rtts_ms=rtts)
