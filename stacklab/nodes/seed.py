"""Give a node its identity by a seed: a plain tar on its second disk. Pure; see archive.py."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from stacklab.installers import directories, name_nic
from stacklab.model.lab import NIC, Lab, NetworkMode, NetworkStyle, Node
from stacklab.nodes import access, disk_drivers
from stacklab.nodes.access import Keys
from stacklab.nodes.archive import Entry

_USER = "stack"
_HOME = "home/stack"
_INTERFACES = "etc/network/interfaces"
# Every user of a node reads these; all other answers are for `stack` alone.
_SYSTEM_PATHS = (
    "/etc/pip.conf",
    "/etc/gitconfig",
    "/etc/apt",
    "/etc/profile.d",
    "/usr/local/share",
)


def entries(
    lab: Lab, node: Node, keys: Keys, style: NetworkStyle, answers: Mapping[PurePosixPath, str]
) -> Mapping[str, Entry]:
    """Return all that the seed puts on a node, by path without the leading slash, parents first."""
    identity = {
        "etc/hostname": Entry(text=f"{node.name}\n"),
        "etc/resolv.conf": Entry(text=_render_resolver(lab, node)),
        "etc/ssh/ssh_host_ed25519_key": Entry(text=keys.hosts[node.name].private, mode=0o600),
        "etc/ssh/ssh_host_ed25519_key.pub": Entry(text=keys.hosts[node.name].public + "\n"),
        f"{_HOME}/.ssh": Entry(text=None, mode=0o700, owner=_USER),
        f"{_HOME}/.ssh/authorized_keys": _private_entry(keys.lab.public + "\n"),
        f"{_HOME}/.ssh/id_ed25519": _private_entry(keys.lab.private),
        f"{_HOME}/.ssh/id_ed25519.pub": _private_entry(keys.lab.public + "\n"),
    }
    files = _render_network_files(lab, node, style)
    network = {path: Entry(text=text) for path, text in files.items()}
    own = identity | name_entries(lab, node, keys) | network | answer_entries(lab, answers)
    return own | dict(disk_drivers.entries(node))


def name_entries(lab: Lab, node: Node, keys: Keys) -> dict[str, Entry]:
    """Return what changes on a node when others are added, removed or get other addresses."""
    return {
        "etc/hosts": Entry(text=hosts_file(lab, node)),
        f"{_HOME}/.ssh/known_hosts": _private_entry(access.known_hosts(lab, keys)),
    }


def _private_entry(text: str) -> Entry:
    """Return a file that only `stack` may read."""
    return Entry(text=text, mode=0o600, owner=_USER)


def answer_entries(lab: Lab, answers: Mapping[PurePosixPath, str]) -> dict[str, Entry]:
    """Return a node's answer files and their directories: those of `stack`, and root's in /etc."""
    packed: dict[str, Entry] = {}
    owned = directories(lab)
    for path, text in sorted(answers.items()):
        for parent in reversed(path.parents):
            # tar would make a missing parent root's, and the installer could not write there.
            if _is_below(parent, owned):
                packed[str(parent.relative_to("/"))] = Entry(text=None, mode=0o755, owner=_USER)
        is_for_all = _is_below(path, _SYSTEM_PATHS)
        entry = Entry(text=text) if is_for_all else _private_entry(text)
        packed[str(path.relative_to("/"))] = entry
    return packed


def _is_below(path: PurePosixPath, roots: Iterable[str | PurePosixPath]) -> bool:
    return any(path.is_relative_to(root) for root in roots)


def hosts_file(lab: Lab, node: Node) -> str:
    """Render /etc/hosts: each node's name has one address, NODE-NETWORK each of its others."""
    lines = [
        f"# lab {lab.name}, node {node.name}",
        "127.0.0.1 localhost",
        "::1 localhost ip6-localhost ip6-loopback",
    ]
    for other in lab.nodes:
        # The node's own name, too, has a real address and not 127.0.1.1: services listen on it.
        lines += [f"{nic.address.ip} {_name_of_address(lab, other, nic)}" for nic in other.nics]
    return _join_lines(lines)


def _name_of_address(lab: Lab, node: Node, nic: NIC) -> str:
    if nic is name_nic(lab, node):
        return node.name
    return f"{node.name}-{nic.network}"


def _render_resolver(lab: Lab, node: Node) -> str:
    # The host itself, whose dnsmasq knows the lab's names.
    network = lab.network(node.access.network)
    return f"nameserver {network.host_address}\n"


def _join_lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _render_network_files(lab: Lab, node: Node, style: NetworkStyle) -> Mapping[str, str]:
    """Return the access NIC's lines: DHCP, since Vagrant wants to see a lease of its address."""
    texts: dict[str, str] = {}
    if style is NetworkStyle.IFUPDOWN:
        texts[_INTERFACES] = "auto lo\niface lo inet loopback\n"
    for nic in node.nics:
        path, text = nic_lines(lab, node, nic, style)
        texts[path] = texts.get(path, "") + text
    return texts


def nic_lines(lab: Lab, node: Node, nic: NIC, style: NetworkStyle) -> tuple[str, str]:
    """Return the file in which a node finds a NIC's address, and the NIC's lines in it.

    ifupdown has one file for all NICs, the other styles have one for each.
    """
    is_access = nic is node.access
    match style:
        case NetworkStyle.NETWORKD:
            path = f"etc/systemd/network/10-{nic.device}.network"
            return path, _render_networkd(nic, is_access=is_access)
        case NetworkStyle.IFUPDOWN:
            return _INTERFACES, _render_ifupdown(nic, is_access=is_access)
        case NetworkStyle.IFCFG:
            has_gateway = lab.network(node.access.network).mode is NetworkMode.NAT
            path = f"etc/sysconfig/network-scripts/ifcfg-{nic.device}"
            return path, _render_ifcfg(nic, is_access=is_access, has_gateway=has_gateway)


def _render_networkd(nic: NIC, *, is_access: bool) -> str:
    lines = [
        "[Match]",
        f"Name={nic.device}",
        "",
        "[Link]",
        f"MTUBytes={nic.mtu}",
        "",
        "[Network]",
        "DHCP=ipv4" if is_access else f"Address={nic.address}",
        "LinkLocalAddressing=no",
        "IPv6AcceptRA=no",
    ]
    if is_access:
        # libvirt's leases are fixed by MAC; networkd would send a machine id of its own.
        lines += ["", "[DHCPv4]", "ClientIdentifier=mac", "UseMTU=no", "UseDNS=no"]
    return _join_lines(lines)


def _render_ifupdown(nic: NIC, *, is_access: bool) -> str:
    device = nic.device
    if is_access:
        return (
            f"\nauto {device}\n"
            f"iface {device} inet dhcp\n"
            # dhclient sets the MTU of the server's answer.
            f"    post-up ip link set {device} mtu {nic.mtu}\n"
        )
    return (
        f"\nauto {device}\n"
        f"iface {device} inet static\n"
        f"    address {nic.address.ip}\n"
        f"    netmask {nic.address.netmask}\n"
        f"    mtu {nic.mtu}\n"
    )


def _render_ifcfg(nic: NIC, *, is_access: bool, has_gateway: bool) -> str:
    lines = [
        f"DEVICE={nic.device}",
        f"HWADDR={nic.mac}",
        "ONBOOT=yes",
        f"MTU={nic.mtu}",
        "PEERDNS=no",
        "IPV6INIT=no",
    ]
    if is_access:
        default_route = "yes" if has_gateway else "no"
        lines += ["BOOTPROTO=dhcp", f"DEFROUTE={default_route}"]
    else:
        lines += [
            "BOOTPROTO=none",
            f"IPADDR={nic.address.ip}",
            f"PREFIX={nic.address.network.prefixlen}",
            "DEFROUTE=no",
        ]
    return _join_lines(lines)
