"""The answers of a healthy node to the parts of layer `pairs`, for `simulate`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from stacklab.checks.pairs.read import KEY, is_address
from stacklab.installers import name_nic
from stacklab.model.lab import Lab, Node

_FPING = re.compile(r"^out=\$\((fping .*) 2>&1\); rc=\$\?$", re.MULTILINE)


def pings(lab: Lab, node: Node, shell: str) -> Iterator[str]:
    """Yield that everybody answers what has the declared size at most."""
    asked = _FPING.search(shell)
    assert asked is not None, "a part of pairs_shell.ping_part"
    yield from (f"{word} : 0.5 1.25 0.4" for word in asked[1].split() if is_address(word))
    for line in re.findall(r"^mtu .*$", shell, re.MULTILINE):
        _, size, *addresses = line.split()
        yield f"size {size}"
        yield from (f"{address} : 0.6" for address in addresses)
        yield f"size {int(size) + 1}"
        yield from (
            f"{address}: error while sending ping: Message too long" for address in addresses
        )
        yield from (f"{address} is unreachable" for address in addresses)


def sources(lab: Lab, node: Node, shell: str) -> Iterator[str]:
    """Yield that each network is reached from the NIC on it."""
    ways: dict[str, str] = {}
    for nic in node.nics:
        for _, other in lab.members(nic.network):
            ways[str(other.address.ip)] = f"dev {nic.device} src {nic.address.ip}"
    for address in re.findall(r"^route get (\S+)$", shell, re.MULTILINE):
        yield f"{address} {ways[address]} uid 1000 \\    cache"


def names(lab: Lab, node: Node, shell: str) -> Iterator[str]:
    """Yield that each name has its address, and back."""
    by_name = {peer.name: str(name_nic(lab, peer).address.ip) for peer in lab.nodes}
    for numbers, addresses, asked in re.findall(
        r"^names '(.*?)' '(.*?)' (.*) &$", shell, re.MULTILINE
    ):
        keys = asked.split()
        for mark, name in zip(keys[::2], keys[1::2], strict=True):
            yield from _known_lines(mark, mark)
            yield from _known_lines(by_name[name], name)
        yield "back"
        yield from (
            f"{address:15} {name}"
            for address, name in zip(addresses.split(), keys[1::2], strict=True)
        )
        yield f"codes 0 0 {numbers}"


def _known_lines(address: str, name: str) -> Iterator[str]:
    yield f"{address:15} STREAM {name}"
    yield from (f"{address:15} {kind:6} " for kind in ("DGRAM", "RAW"))


def logins(lab: Lab, node: Node, shell: str) -> Iterator[str]:
    """Yield that everybody lets `stack` in; each sshd shows the key that the node knows."""
    owners: dict[str, str] = {}
    yield "known"
    for peer in lab.nodes:
        addresses = [str(nic.address.ip) for nic in peer.nics]
        owners |= dict.fromkeys(addresses, peer.name)
        yield f"{','.join([peer.name, *addresses])} {KEY} AAAA{peer.name}"
    yield "shown"
    for name, address in re.findall(r"^reach (\S+) (\S+) &$", shell, re.MULTILINE):
        yield f"login {name} 0 reached {node.access.address.ip} 40000 {address} 22"
    for address in re.findall(r"^scan (\S+) &$", shell, re.MULTILINE):
        yield f"# {address}:22 SSH-2.0-OpenSSH_9.2p1"
        yield f"{address} {KEY} AAAA{owners[address]}"
