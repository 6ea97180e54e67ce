"""The answers of a healthy node to the parts of layer `pairs`, for `simulate`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from stacklab.checks.pairs.read import KEY, is_address
from stacklab.installers import name_nic
from stacklab.model.lab import Lab, Node

# The calls in the scripts of checks.pairs.shell.
_FPING = re.compile(r"^out=\$\((fping .*) 2>&1\); rc=\$\?$", re.MULTILINE)
_NAMES = re.compile(r"^names '(.*?)' '(.*?)' (.*) &$", re.MULTILINE)


def pings(lab: Lab, node: Node, shell: str) -> Iterator[str]:
    """Yield that everybody answers what has the declared size at most."""
    asked = _FPING.search(shell)
    assert asked is not None, "a part of pairs_shell.ping_part"
    for word in asked[1].split():
        if is_address(word):
            yield f"{word} : 0.5 1.25 0.4"
    for line in re.findall(r"^mtu .*$", shell, re.MULTILINE):
        _, size, *addresses = line.split()
        yield from _size_lines(int(size), addresses)


def _size_lines(size: int, addresses: Sequence[str]) -> Iterator[str]:
    """Yield that packets of a size pass, and that the kernel refuses one byte more."""
    yield f"size {size}"
    for address in addresses:
        yield f"{address} : 0.6"
    yield f"size {size + 1}"
    # fping complains of all at first, and says in the end who did not answer.
    for address in addresses:
        yield f"{address}: error while sending ping: Message too long"
    for address in addresses:
        yield f"{address} is unreachable"


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
    for numbers, addresses, asked in _NAMES.findall(shell):
        # Before each name stands the mark that says its number.
        keys = asked.split()
        marks, peers = keys[::2], keys[1::2]
        for mark, name in zip(marks, peers, strict=True):
            yield from _known_lines(mark, mark)
            yield from _known_lines(by_name[name], name)
        yield "back"
        for address, name in zip(addresses.split(), peers, strict=True):
            yield f"{address:15} {name}"
        yield f"codes 0 0 {numbers}"


def _known_lines(address: str, name: str) -> Iterator[str]:
    """Yield getent's lines on a name: one for each kind of socket."""
    yield f"{address:15} STREAM {name}"
    for kind in ("DGRAM", "RAW"):
        yield f"{address:15} {kind:6} "


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
