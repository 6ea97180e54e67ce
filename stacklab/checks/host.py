"""Control measurements from the host: they give a node's own result its meaning.

A failure of the host is not a failure of the lab: `gather` raises nothing, and takes
some 5 s at most, or as much longer as the lab declares delays.
"""

from __future__ import annotations

import contextlib
import functools
import queue
import re
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from stacklab.checks.families import Families
from stacklab.checks.family import Facts, Needs, Tried
from stacklab.checks.impairments import ways
from stacklab.checks.reach import outside_places, pinging
from stacklab.checks.result import Check, CheckResult
from stacklab.installers.kit.ways import place_of
from stacklab.model.lab import Lab
from stacklab.model.stack import NO_MIRRORS, Mirrors
from stacklab.process.command import Runner
from stacklab.tools.host import listening

_LIMIT_S = 3.0  # for all places together
# A kernel refuses six packets of one sender at once, then one each second (icmp_ratelimit).
_MOST_PORTS = 3
# apt's own lists, in both of its formats; `root` stands before them.
_SOURCES = (
    "etc/apt/sources.list",
    "etc/apt/sources.list.d/*.list",
    "etc/apt/sources.list.d/*.sources",
)
_MIRROR = re.compile(r"^(?:deb|URIs:)[^#\n]*?(https?://[^\s]+)", re.MULTILINE)
Dial = Callable[[Iterable[str]], Mapping[str, Tried]]


def gather(
    families: Families,
    lab: Lab,
    checks: Sequence[Check],
    runner: Runner,
    mirrors: Mirrors = NO_MIRRORS,
    *,
    other_labs: Callable[[], Mapping[str, str]] = dict,
    dial: Dial | None = None,
    root: Path = Path("/"),
) -> Facts:
    """Try all that these checks' families need from the host, at once, and nothing else.

    `other_labs` returns nodes of this host's other labs that run, by address: NODE of LAB.
    """
    if dial is None:
        dial = functools.partial(dial_all, limit_s=_LIMIT_S + ways.slower_s(lab))
    needs = Needs()
    for family, family_checks in families.group(checks):
        needs = needs.joined(family.gather(lab, family_checks, mirrors))
    pings, _why_none = pinging.ping_addresses(lab, needs.pings, runner)
    alive = frozenset(address for address, ping in pings.items() if ping.received)
    others: Mapping[str, str] = {}
    if needs.needs_other_labs:
        others = {f"{address}:22": title for address, title in other_labs().items()}
    facts = Facts(alive=alive, host_ports=_closed_ports(needs, root))
    places = needs.places
    if needs.needs_package_mirrors:
        # First: of several places outside, a closed node is tried with the first few.
        places = (*package_mirrors(root), *places)
    elif not places and not others:
        return facts
    tried = dial(dict.fromkeys((*places, *others)))
    # Apart from the others: a lab does not count as a place outside.
    return replace(
        facts,
        tried=_TriedPlaces({place: tried[place] for place in places}, dial),
        instead=needs.instead,
        other_labs={
            outside_places.name_of(place): title
            for place, title in others.items()
            if tried[place].is_open
        },
    )


def _closed_ports(needs: Needs, root: Path) -> tuple[int, ...]:
    """Return a few ports at which this host listens, and which no node of the lab may reach."""
    if needs.open_ports is None:
        return ()
    mirrors = {place.rpartition(":")[2] for place in package_mirrors(root)}
    still_open = needs.open_ports | mirrors
    listening_at = listening.ports_at_all_addresses()
    return tuple(port for port in listening_at if str(port) not in still_open)[:_MOST_PORTS]


def judge(
    families: Families, lab: Lab, checks: Sequence[Check], runner: Runner
) -> Iterator[CheckResult]:
    """Do and judge the checks that the host does itself; for Mesh.judge_host."""
    for family, family_checks in families.group(checks):
        yield from family.of_host(lab, family_checks, runner)


class _TriedPlaces(dict[str, Tried]):
    """Places and how the host fared there.

    A place that nobody needed beforehand is tried when it is asked for, and is not listed:
    the image may name a mirror of packages that the host does not use.
    """

    def __init__(self, tried: Mapping[str, Tried], dial: Dial) -> None:
        super().__init__(tried)
        self._dial = dial
        self._later: dict[str, Tried] = {}

    def __missing__(self, place: str) -> Tried:
        if place not in self._later:
            self._later.update(self._dial([place]))
        return self._later[place]


def package_mirrors(root: Path = Path("/")) -> tuple[str, ...]:
    """Return where the host's own packages come from.

    An image of the same distribution was made from there.
    """
    places: dict[str, None] = {}
    for pattern in _SOURCES:
        for path in sorted(root.glob(pattern)):
            with contextlib.suppress(OSError):
                for url in _MIRROR.findall(path.read_text(errors="replace")):
                    places[place_of(url)] = None
    return tuple(filter(None, places))


def dial_all(places: Iterable[str], limit_s: float = _LIMIT_S) -> Mapping[str, Tried]:
    """Connect to all places at once; a place without an answer in time has timed out.

    Each has a daemon thread: a name server that is silent can't be cut short.
    """
    wanted = tuple(places)
    addresses: dict[str, str] = {}
    done: queue.SimpleQueue[tuple[str, Tried]] = queue.SimpleQueue()

    def dial(place: str) -> None:
        name, _, port = place.rpartition(":")
        try:
            infos = socket.getaddrinfo(name, int(port), socket.AF_INET, socket.SOCK_STREAM)
            address = str(infos[0][4][0])
            # Kept before the connection: one that is late has its address all the same.
            addresses[place] = address
            socket.create_connection((address, int(port)), timeout=limit_s).close()
        except (OSError, ValueError) as error:
            done.put((place, _failed_trial(addresses.get(place, ""), error)))
        else:
            done.put((place, Tried(address=address)))

    for place in wanted:
        threading.Thread(target=dial, args=(place,), name=f"dial {place}", daemon=True).start()
    tried: dict[str, Tried] = {}
    deadline = time.monotonic() + limit_s
    with contextlib.suppress(queue.Empty):
        while len(tried) < len(wanted):
            left_s = max(0.0, deadline - time.monotonic())
            place, outcome = done.get(timeout=left_s)
            tried[place] = outcome
    for place in wanted:
        if place not in tried:
            tried[place] = _failed_trial(addresses.get(place, ""), TimeoutError())
    # In the order of the places, not in that of the answers.
    return {place: tried[place] for place in wanted}


def _failed_trial(address: str, error: Exception) -> Tried:
    """Say in a few words why a connection failed."""
    match error:
        case socket.gaierror():
            why = "name not known"
        case TimeoutError():
            return Tried(address=address, why_not="timed out", is_timed_out=True)
        case ConnectionRefusedError():
            why = "refused"
        case _:
            message = getattr(error, "strerror", "") or str(error)
            why = message.lower()
    return Tried(address=address, why_not=why)
