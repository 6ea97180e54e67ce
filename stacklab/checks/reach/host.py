"""What the host does itself: it tries beforehand what nodes are held against, and keeps off networks.

A failure of the host's is no failure of the lab's, so `gather` raises nothing and takes
some 5 s at most, or as much longer as the lab declares delays.
"""

from __future__ import annotations

import contextlib
import functools
import math
import queue
import re
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from stacklab.checks.family import Facts, Tried
from stacklab.checks.impairments import ways
from stacklab.checks.reach import isolation, outside
from stacklab.checks.result import Check, CheckKind, CheckResult, CheckStatus
from stacklab.errors import ToolError
from stacklab.model.lab import Lab
from stacklab.model.stack import NO_MIRRORS, Mirrors
from stacklab.nodes.protocol import OUTPUT_MAX
from stacklab.process import Command, Runner
from stacklab.tools import fping

_LIMIT_S = 3.0
_SOURCES = (
    "etc/apt/sources.list",
    "etc/apt/sources.list.d/*.list",
    "etc/apt/sources.list.d/*.sources",
)
_MIRROR = re.compile(r"^(?:deb|URIs:)[^#\n]*?(https?://[^\s]+)", re.MULTILINE)
_PATIENCE_MS = 800
Dial = Callable[[Iterable[str]], Mapping[str, Tried]]


def gather(
    lab: Lab,
    checks: Sequence[Check],
    runner: Runner,
    mirrors: Mirrors = NO_MIRRORS,
    *,
    dial: Dial | None = None,
    root: Path = Path("/"),
) -> Facts:
    """Try what these checks need to be held against, all at once, and nothing that they don't need."""
    dial = dial or functools.partial(dial_all, limit_s=_LIMIT_S + ways.slower_s(lab))
    kinds = {check.kind for check in checks}
    instead = outside.instead(lab, mirrors)
    alive = _alive(lab, checks, runner) if CheckKind.SEPARATE in kinds else frozenset()
    if not kinds & {CheckKind.REACH, CheckKind.DNS, CheckKind.CLOSED, CheckKind.NO_TRANSIT}:
        return Facts(alive=alive)
    wanted = [
        place
        for node in lab.nodes
        for place in outside.places(lab, node)
        if place != outside.PACKAGES
    ]
    wanted = [*package_mirrors(root), *(instead.get(place, place) for place in wanted)]
    if CheckKind.NO_TRANSIT in kinds:
        wanted += isolation.candidates(lab)
    return Facts(tried=_Places(dial(dict.fromkeys(wanted)), dial), instead=instead, alive=alive)


class _Places(dict[str, Tried]):
    """Places with how they were found. One that nobody thought of is tried when it is asked for, and not listed.

    The image may name a mirror of packages that the host has not.
    """

    def __init__(self, found: Mapping[str, Tried], dial: Dial) -> None:
        super().__init__(found)
        self._dial = dial
        self._later: dict[str, Tried] = {}

    def __missing__(self, place: str) -> Tried:
        if place not in self._later:
            self._later.update(self._dial([place]))
        return self._later[place]


def package_mirrors(root: Path = Path("/")) -> tuple[str, ...]:
    """Where the host's own packages come from; an image of the same distribution was made from there."""
    found = []
    for pattern in _SOURCES:
        for path in sorted(root.glob(pattern)):
            try:
                found += [
                    outside.place_of(url)
                    for url in _MIRROR.findall(path.read_text(errors="replace"))
                ]
            except OSError:
                continue
    return tuple(dict.fromkeys(filter(None, found)))


def dial_all(places: Iterable[str], limit_s: float = _LIMIT_S) -> Mapping[str, Tried]:
    """Connect to all of them at once; what has no answer in time timed out.

    Daemon threads: a name server that is silent can't be cut short.
    """
    wanted = tuple(places)
    addresses: dict[str, str] = {}
    done: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()

    def dial(place: str) -> None:
        name, _, port = place.rpartition(":")
        try:
            found = socket.getaddrinfo(name, int(port), socket.AF_INET, socket.SOCK_STREAM)
            addresses[place] = str(found[0][4][0])
            socket.create_connection((addresses[place], int(port)), timeout=limit_s).close()
            done.put((place, ""))
        except (OSError, ValueError) as error:
            done.put((place, _why(error)))

    for place in wanted:
        threading.Thread(target=dial, args=(place,), name=f"dial {place}", daemon=True).start()
    why_not: dict[str, str] = {}
    deadline = time.monotonic() + limit_s
    with contextlib.suppress(queue.Empty):
        while len(why_not) < len(wanted):
            place, why = done.get(timeout=max(0.0, deadline - time.monotonic()))
            why_not[place] = why
    return {
        place: Tried(address=addresses.get(place, ""), why_not=why_not.get(place, "timed out"))
        for place in wanted
    }


def _why(error: Exception) -> str:
    match error:
        case socket.gaierror():
            return "name not known"
        case TimeoutError():
            return "timed out"
        case ConnectionRefusedError():
            return "refused"
        case _:
            return (getattr(error, "strerror", "") or str(error)).lower()


def _alive(lab: Lab, checks: Sequence[Check], runner: Runner) -> frozenset[str]:
    """Which addresses of networks that some node must not reach answer the host."""
    names = {check.network for check in checks if check.kind is CheckKind.SEPARATE}
    found = [
        str(nic.address.ip)
        for name in sorted(names)
        if lab.network(name).has_host
        for _, nic in lab.members(name)
    ]
    return frozenset(each for each, ping in _ping(lab, found, runner)[0].items() if ping.received)


def _fping(lab: Lab, addresses: Iterable[str]) -> tuple[str, ...]:
    """Twice: a busy node is late with its first answer, which waits for ARP."""
    patience = f"{math.ceil(_PATIENCE_MS + ways.slower_ms(lab))}"
    return ("fping", "-q", "-C", "2", "-p", "400", "-t", patience, "-i", "1", *addresses)


def _ping(
    lab: Lab, addresses: Sequence[str], runner: Runner
) -> tuple[Mapping[str, fping.Ping], str]:
    """What fping on the host says, taken apart; {} and why where it could not be run."""
    if not addresses:
        return {}, ""
    limit = 20 + ways.slower_s(lab)
    command = Command(
        argv=_fping(lab, addresses),
        what="pinging nodes from the host",
        ok_codes=(0, 1, 2),
        timeout_s=limit,
    )
    try:
        return fping.parse(runner.run(command).stderr), ""
    except ToolError as error:
        return {}, error.message


def judge(lab: Lab, checks: Sequence[Check], runner: Runner) -> Iterator[CheckResult]:
    """Do and judge what is the host's; for Mesh.judge_host."""
    apart = [check for check in checks if check.kind is CheckKind.HOST_APART]
    addresses = [str(nic.address.ip) for check in apart for _, nic in lab.members(check.network)]
    pings, why = _ping(lab, addresses, runner)
    for check in apart:
        yield _judge_apart(lab, check, pings, why, runner)


def _judge_apart(
    lab: Lab, check: Check, pings: Mapping[str, fping.Ping], why: str, runner: Runner
) -> CheckResult:
    """The host has no address on the network's bridge, and reaches no node there by any way of the lab's."""
    look = Command(
        argv=("ip", "-o", "addr", "show", "dev", check.device),
        what=f"reading the addresses of {check.device}",
        timeout_s=10,
    )

    def ended(
        status: CheckStatus, detail: str, command: object = "", output: str = ""
    ) -> CheckResult:
        said = output[-OUTPUT_MAX:]
        return CheckResult(
            check=check, status=status, detail=detail, command=str(command), output=said
        )

    try:
        text = runner.run(look).stdout
    except ToolError as error:
        return ended(
            CheckStatus.ERROR, f"the bridge {check.device} can't be looked at", look, error.message
        )
    if own := re.findall(r"\binet6? (\S+)", text):
        detail = f"the host has {', '.join(own)} on {check.device}"
        return ended(CheckStatus.FAILED, detail, look, text)
    members = {str(nic.address.ip): node.name for node, nic in lab.members(check.network)}
    if missing := [address for address in members if address not in pings]:
        detail = f"fping on the host says nothing of {missing[0]}"
        return ended(CheckStatus.ERROR, detail, " ".join(_fping(lab, missing)), why)
    answering = [address for address in members if pings[address].received]
    if not answering:
        return ended(CheckStatus.PASSED, f"no address, no way to {len(members)} nodes")
    address = answering[0]
    device = _device_to(address, runner)
    command = f"ip route get {address}"
    if device in {network.bridge for network in lab.networks}:
        detail = f"the host reaches {members[address]} {address} by {device}"
        return ended(CheckStatus.FAILED, detail, command)
    detail = f"{address} answers the host by {device or 'a way unknown'}, not by the lab: somebody else has it, too"
    return ended(CheckStatus.WARNED, detail, command)


def _device_to(address: str, runner: Runner) -> str:
    """The interface that the host sends to an address by; "" if that can't be told."""
    command = Command(
        argv=("ip", "-o", "route", "get", address),
        what=f"reading the route to {address}",
        timeout_s=10,
    )
    try:
        found = re.search(r"\bdev (\S+)", runner.run(command).stdout)
    except ToolError:
        return ""
    return found[1] if found else ""
