"""The answers of healthy nodes about themselves, for `simulate`."""

from __future__ import annotations

from collections.abc import Sequence

from stacklab.model.lab import Lab, NetworkMode, Node
from stacklab.tools import ssh


def look(lab: Lab, node: Node, shell: str) -> Sequence[str]:
    """Return all lines of `nodes.look`, whichever pieces of it were asked for."""
    sectors = node.disk.bytes // 512
    blocks = node.disk.bytes // 4096
    taken_kib = node.memory.mib * 1024 // 32  # by the kernel, for itself
    last_cpu = node.cpus - 1
    return [
        "uptime 4000.25 7000.5",
        f"online 0-{last_cpu}" if last_cpu else "online 0",
        "kexec_crash_size 0",
        "@begin proc",
        f"MemTotal: {node.memory.mib * 1024 - taken_kib} kB",
        "SwapTotal: 1048572 kB",
        "SwapFree: 1048572 kB",
        "mount 254:1 rw,noatime shared:1 - ext4 /dev/vda1 rw,discard",
        "@end 0",
        f"block vda 254:0 {sectors} -",
        # A partition of it, whose parent is 254:0.
        f"block vda1 254:1 {sectors - 2048} 254:0",
        "@begin fs",
        f"fs 4096 {blocks * 98 // 100} {blocks * 95 // 100} {blocks * 90 // 100} 3145728 3135535",
        "@end 0",
        "nic lo 00:00:00:00:00:00 65536 0x9 1",
        *(f"nic {nic.device} {nic.mac} {nic.mtu} 0x1003 1" for nic in node.nics),
        "@begin addr",
        *_address_lines(node),
        "@end 0",
        "@begin route",
        *_route_lines(lab, node),
        "@end 0",
    ]


def user(lab: Lab, node: Node, shell: str) -> Sequence[str]:
    """Return the lines of `nodes.user`."""
    return [ssh.USER, "sudo 0"]


def _address_lines(node: Node) -> list[str]:
    """Return the lines of `ip -o -4 addr show`."""
    end = "\\       valid_lft forever preferred_lft forever"
    lines = [f"1: lo    inet 127.0.0.1/8 scope host lo{end}"]
    for number, nic in enumerate(node.nics, start=2):
        broadcast = nic.address.network.broadcast_address
        lines.append(
            f"{number}: {nic.device}    inet {nic.address} brd {broadcast}"
            f" scope global {nic.device}{end}"
        )
    return lines


def _route_lines(lab: Lab, node: Node) -> list[str]:
    """Return the lines of `ip -o -4 route show`."""
    access = node.access
    network = lab.network(access.network)
    lines: list[str] = []
    if network.mode is NetworkMode.NAT:
        source = f"src {access.address.ip} metric 1024"
        lines.append(f"default via {network.host_address} dev {access.device} proto dhcp {source}")
    for nic in node.nics:
        lines.append(
            f"{nic.address.network} dev {nic.device} proto kernel scope link src {nic.address.ip}"
        )
    return lines
