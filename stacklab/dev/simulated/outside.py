"""For `simulate`: what healthy nodes say of the outside and of networks not theirs, and what the host knows."""

from __future__ import annotations

import errno
import re
from collections.abc import Sequence

from stacklab.checks.family import Facts, Tried
from stacklab.checks.reach import isolation, outside
from stacklab.model.lab import Lab, Node

_ADDRESS = "203.0.113.80"
_PACKAGES = "packages.example.org:80"


def facts(lab: Lab) -> Facts:
    """What checks.host gathers on a host that reaches everything."""
    places = {place for node in lab.nodes for place in outside.places(lab, node)} - {
        outside.PACKAGES
    }
    tried = {place: Tried(address=_ADDRESS) for place in (_PACKAGES, *sorted(places))}
    tried |= {place: Tried(address=outside.name_of(place)) for place in isolation.candidates(lab)}
    return Facts(
        tried=tried, alive=frozenset(str(nic.address.ip) for node in lab.nodes for nic in node.nics)
    )


def separate(lab: Lab, node: Node, shell: str) -> Sequence[str]:
    """Nobody answers."""
    return [f"{address} : - -" for address in re.findall(r" (\d+\.\d+\.\d+\.\d+)\b", shell)]


def transit(lab: Lab, node: Node, shell: str) -> Sequence[str]:
    """The host refuses all of it."""
    lines = []
    for source, target, port in re.findall(r"\b([\d.]+),([\d.]+),(\d+)", shell):
        nic = next(nic for nic in node.nics if str(nic.address.ip) == source)
        gateway = lab.network(nic.network).host_address
        lines.append(f"{target} from {source} via {gateway} dev {nic.device} table 20454 uid 0")
        lines.append(f"dial {source},{target},{port} {errno.ECONNREFUSED}")
    return lines


def dials(lab: Lab, node: Node, shell: str) -> Sequence[str]:
    """All that is wanted answers, and nothing of what must not."""
    tcp, closed = (
        re.findall(r"^dial tcp (\S+) &$", shell, re.MULTILINE),
        re.findall(r"dial closed (\S+) &", shell),
    )
    lines = [f"try {place}" for place in closed]
    lines += [f"closed {place} 1 bash: connect: Network is unreachable" for place in closed]
    names = re.findall(r"^look (\S+) (?:&|\|\|)", shell, re.MULTILINE)
    if "/etc/apt" in shell:
        lines.append(f"packages {_PACKAGES}")
        tcp.append(_PACKAGES)
    names = [outside.name_of(_PACKAGES) if name.startswith('"') else name for name in names]
    code = 2 if closed else 0
    lines += [f"try {each}" for each in (*tcp, *names)]
    lines += [f"tcp {place} 0" for place in tcp]
    lines += [f"dns {name} {code} {'' if code else f'{_ADDRESS} STREAM {name}'}" for name in names]
    return lines
