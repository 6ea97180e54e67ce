"""The answers of healthy nodes about what is outside, for `simulate`; and the host's facts."""

from __future__ import annotations

import errno
import re
from collections.abc import Sequence

from stacklab.checks.family import Facts, Tried
from stacklab.checks.reach import isolation, outside, outside_places
from stacklab.model.lab import Lab, Node

_ADDRESS = "203.0.113.80"
_OTHER_LAB = "203.0.113.90"
_PACKAGES = "packages.example.org:80"


def facts(lab: Lab) -> Facts:
    """Return what checks.host gathers on a host that reaches everything."""
    places: set[str] = set()
    alive: set[str] = set()
    for node in lab.nodes:
        places.update(outside.places(lab, node))
        alive.update(str(nic.address.ip) for nic in node.nics)
    places.discard(outside_places.PACKAGES)
    # As on a real host, the mirror of its own packages comes first.
    tried = {place: Tried(address=_ADDRESS) for place in (_PACKAGES, *sorted(places))}
    for place in isolation.candidates(lab):
        tried[place] = Tried(address=outside_places.name_of(place))
    others = {_OTHER_LAB: "web of shop"}
    return Facts(tried=tried, alive=frozenset(alive), other_labs=others)


def separate(lab: Lab, node: Node, shell: str) -> Sequence[str]:
    """Return pings that nobody answers."""
    addresses = re.findall(r" (\d+\.\d+\.\d+\.\d+)\b", shell)
    return [f"{address} : - -" for address in addresses]


def transit(lab: Lab, node: Node, shell: str) -> Sequence[str]:
    """Return ways that the host refuses, each of them."""
    nics = {str(nic.address.ip): nic for nic in node.nics}
    lines: list[str] = []
    # The words of the part: SOURCE,ADDRESS,PORT.
    for source, target, port in re.findall(r"\b([\d.]+),([\d.]+),(\d+)", shell):
        nic = nics[source]
        gateway = lab.network(nic.network).host_address
        lines.append(f"{target} from {source} via {gateway} dev {nic.device} table 20454 uid 0")
        lines.append(f"dial {source},{target},{port} {errno.ECONNREFUSED}")
    return lines


def beside(lab: Lab, node: Node, shell: str) -> Sequence[str]:
    """Return that DNS answers, and that nothing else of the host and of other labs does."""
    words = re.findall(r"\b([\d.]+,[\d.]+,(\d+))", shell)
    return [f"dial {word} {0 if port == '53' else errno.EHOSTUNREACH}" for word, port in words]


def dials(lab: Lab, node: Node, shell: str) -> Sequence[str]:
    """Return that all answers that is wanted, and nothing of what must not."""
    tcp = re.findall(r"^dial tcp (\S+) &$", shell, re.MULTILINE)
    closed = re.findall(r"dial closed (\S+) &", shell)
    names = re.findall(r"^look (\S+) (?:&|\|\|)", shell, re.MULTILINE)
    # The mirror's name is in a variable of the script.
    mirror = outside_places.name_of(_PACKAGES)
    names = [mirror if name.startswith('"') else name for name in names]
    lines = [f"try {place}" for place in closed]
    lines += [f"closed {place} 1 bash: connect: Network is unreachable" for place in closed]
    if "/etc/apt" in shell:
        lines.append(f"packages {_PACKAGES}")
        tcp.append(_PACKAGES)
    lines += [f"try {target}" for target in (*tcp, *names)]
    lines += [f"tcp {place} 0" for place in tcp]
    for name in names:
        # A node that must not reach a place must not know a name either: getent ends with 2.
        outcome = "2 " if closed else f"0 {_ADDRESS} STREAM {name}"
        lines.append(f"dns {name} {outcome}")
    return lines
