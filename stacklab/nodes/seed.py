"""A node's seed: its identity as a plain tar on its second disk. Pure.

stacklab-seed, in every base image, unpacks it once before the network starts. The
first member's name holds the digest of the rest: a changed seed is taken at the
next boot, the same one never twice.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from stacklab.installers.facts import directories, name_nic
from stacklab.model.lab import NIC, Lab, NetworkMode, NetworkStyle, Node
from stacklab.nodes import access
from stacklab.nodes.access import Keys

_USER = "stack"
_HOME = "home/stack"
_SYSTEMS = (
    "/etc/pip.conf",
    "/etc/gitconfig",
    "/etc/apt",
    "/etc/profile.d",
    "/usr/local/share",
)  # everybody reads them
_MTIME = 1  # not 0: some tars warn of an "implausibly old time stamp"
_BLOCK = 1024 * 1024  # a disk's size; QEMU wants whole sectors


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A file, or with text None a directory, on the node; `mode` as for chmod."""

    text: str | None
    mode: int = 0o644
    owner: str = "root"


def entries(
    lab: Lab, node: Node, keys: Keys, style: NetworkStyle, answers: Mapping[PurePosixPath, str]
) -> Mapping[str, Entry]:
    """Everything the seed puts on a node, by path without the leading slash, parents first."""
    found: dict[str, Entry] = {
        "etc/hostname": Entry(text=f"{node.name}\n"),
        "etc/hosts": Entry(text=_hosts(lab, node)),
        "etc/resolv.conf": Entry(
            text=f"nameserver {lab.network(node.access.network).host_address}\n"
        ),
        "etc/ssh/ssh_host_ed25519_key": Entry(text=keys.hosts[node.name].private, mode=0o600),
        "etc/ssh/ssh_host_ed25519_key.pub": Entry(text=keys.hosts[node.name].public + "\n"),
        f"{_HOME}/.ssh": Entry(text=None, mode=0o700, owner=_USER),
        f"{_HOME}/.ssh/authorized_keys": Entry(
            text=keys.lab.public + "\n", mode=0o600, owner=_USER
        ),
        f"{_HOME}/.ssh/id_ed25519": Entry(text=keys.lab.private, mode=0o600, owner=_USER),
        f"{_HOME}/.ssh/id_ed25519.pub": Entry(text=keys.lab.public + "\n", mode=0o600, owner=_USER),
        f"{_HOME}/.ssh/known_hosts": Entry(
            text=access.known_hosts(lab, keys), mode=0o600, owner=_USER
        ),
    }
    found |= {path: Entry(text=text) for path, text in _network_files(lab, node, style).items()}
    return found | answer_entries(lab, answers)


def answer_entries(lab: Lab, answers: Mapping[PurePosixPath, str]) -> dict[str, Entry]:
    """A node's answer files, `stack`'s, with the directories they lie in; those of the system are root's."""
    found: dict[str, Entry] = {}
    owned = directories(lab)
    for path, text in sorted(answers.items()):
        for parent in reversed(path.parents):
            if any(parent.is_relative_to(root) for root in owned):
                found[str(parent.relative_to("/"))] = Entry(text=None, mode=0o755, owner=_USER)
        is_systems = any(path.is_relative_to(root) for root in _SYSTEMS)
        entry = Entry(text=text) if is_systems else Entry(text=text, mode=0o600, owner=_USER)
        found[str(path.relative_to("/"))] = entry
    return found


def image(content: Mapping[str, Entry]) -> bytes:
    """The disk's bytes: the same content gives the same bytes."""
    body = tar(content)
    mark = f"var/lib/stacklab/seed-{hashlib.sha256(body).hexdigest()[:32]}"
    data = tar({mark: Entry(text=""), **content})
    return data + b"\0" * (-len(data) % _BLOCK)


def tar(content: Mapping[str, Entry]) -> bytes:
    """A ustar archive with names, not numbers, for owners: a system gives `stack` what uid it likes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path, entry in content.items():
            member = tarfile.TarInfo(path)
            member.mode, member.mtime = entry.mode, _MTIME
            member.uname = member.gname = entry.owner
            # where the name is unknown, the number counts: 1000 is every cloud's first user
            member.uid = member.gid = 0 if entry.owner == "root" else 1000
            if entry.text is None:
                member.type = tarfile.DIRTYPE
                archive.addfile(member)
                continue
            data = entry.text.encode()
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def _hosts(lab: Lab, node: Node) -> str:
    """Every node by name at the address that it stands for, and as NODE-NETWORK at its others."""
    lines = ["127.0.0.1 localhost", "::1 localhost ip6-localhost ip6-loopback"]
    for other in lab.nodes:
        # Its own name too is a real address, not 127.0.1.1: services that listen there must be reachable.
        lines += [f"{nic.address.ip} {_name(lab, other, nic)}" for nic in other.nics]
    return "".join(f"{line}\n" for line in (f"# lab {lab.name}, node {node.name}", *lines))


def _name(lab: Lab, node: Node, nic: NIC) -> str:
    return node.name if nic is name_nic(lab, node) else f"{node.name}-{nic.network}"


def _network_files(lab: Lab, node: Node, style: NetworkStyle) -> Mapping[str, str]:
    """The access NIC asks by DHCP, since Vagrant wants to see a lease; its address is fixed all the same."""
    match style:
        case NetworkStyle.NETWORKD:
            return {
                f"etc/systemd/network/10-{nic.device}.network": _networkd(nic, nic is node.access)
                for nic in node.nics
            }
        case NetworkStyle.IFUPDOWN:
            stanzas = [_ifupdown(nic, nic is node.access) for nic in node.nics]
            return {
                "etc/network/interfaces": "".join(["auto lo\niface lo inet loopback\n", *stanzas])
            }
        case NetworkStyle.IFCFG:
            has_gateway = lab.network(node.access.network).mode is NetworkMode.NAT
            return {
                f"etc/sysconfig/network-scripts/ifcfg-{nic.device}": _ifcfg(
                    nic, nic is node.access, has_gateway
                )
                for nic in node.nics
            }


def _networkd(nic: NIC, is_access: bool) -> str:
    lines = ["[Match]", f"Name={nic.device}", "", "[Link]", f"MTUBytes={nic.mtu}", "", "[Network]"]
    lines += [
        "DHCP=ipv4" if is_access else f"Address={nic.address}",
        "LinkLocalAddressing=no",
        "IPv6AcceptRA=no",
    ]
    if is_access:
        lines += ["", "[DHCPv4]", "ClientIdentifier=mac", "UseMTU=no", "UseDNS=no"]
    return "".join(f"{line}\n" for line in lines)


def _ifupdown(nic: NIC, is_access: bool) -> str:
    device = nic.device
    if is_access:
        return f"\nauto {device}\niface {device} inet dhcp\n    post-up ip link set {device} mtu {nic.mtu}\n"
    return (
        f"\nauto {device}\niface {device} inet static\n    address {nic.address.ip}\n"
        f"    netmask {nic.address.netmask}\n    mtu {nic.mtu}\n"
    )


def _ifcfg(nic: NIC, is_access: bool, has_gateway: bool) -> str:
    lines = [
        f"DEVICE={nic.device}",
        f"HWADDR={nic.mac}",
        "ONBOOT=yes",
        f"MTU={nic.mtu}",
        "PEERDNS=no",
        "IPV6INIT=no",
    ]
    if is_access:
        lines += ["BOOTPROTO=dhcp", f"DEFROUTE={'yes' if has_gateway else 'no'}"]
    else:
        prefix = nic.address.network.prefixlen
        lines += ["BOOTPROTO=none", f"IPADDR={nic.address.ip}", f"PREFIX={prefix}", "DEFROUTE=no"]
    return "".join(f"{line}\n" for line in lines)
