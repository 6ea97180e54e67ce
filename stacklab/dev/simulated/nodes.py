"""The answers of healthy nodes about themselves, for `simulate`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from string import ascii_lowercase

from stacklab.model.lab import Lab, NetworkMode, Node, NodeKind
from stacklab.tools import ssh

# The host of simulated containers, which see its processors, memory, disk and boot time.
_HOSTS_CPUS = 64
_HOSTS_MEMORY_KIB = 128 * 1024 * 1024
_HOSTS_DISK_BYTES = 1024 * 1024**3


def look(lab: Lab, node: Node, shell: str) -> Sequence[str]:
    """Return all lines of `nodes.look`, whichever pieces of it were asked for."""
    machine = _container_lines(node) if node.kind is NodeKind.CONTAINER else _vm_lines(node)
    return [
        *machine,
        "nic lo 00:00:00:00:00:00 65536 0x9 1",
        *(f"nic {nic.device} {nic.mac} {nic.mtu} 0x1003 1" for nic in node.nics),
        "@begin addr",
        *_address_lines(node),
        "@end 0",
        "@begin route",
        *_route_lines(lab, node),
        "@end 0",
    ]


def _vm_lines(node: Node) -> list[str]:
    """Return what a VM says of its own processors, memory and disk."""
    sectors = node.disk.bytes // 512
    blocks = node.disk.bytes // 4096
    taken_kib = node.memory.mib * 1024 // 32  # by the kernel, for itself
    cpus = _cpu_list(node.cpus)
    return [
        "uptime 4000.25 7000.5",
        "began 5",
        f"online {cpus}",
        f"present {cpus}",
        f"allowed {cpus}",
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
        *_file_system_lines(blocks),
        *_further_disk_lines(node),
    ]


def _further_disk_lines(node: Node) -> Iterator[str]:
    """Yield what a VM says of the disks that it has beside vda and vdb."""
    for index, disk in enumerate(node.disks):
        name = f"vd{ascii_lowercase[2 + index]}"
        yield f"block {name} 254:{32 + 16 * index} {disk.size.bytes // 512} -"
        yield f"serial {name} {disk.serial}"


def _container_lines(node: Node) -> list[str]:
    """Return what a container says: most of it is the host's."""
    cpus = _cpu_list(_HOSTS_CPUS)
    return [
        "uptime 94000.25 7000.5",
        "began 9000000",
        f"online {cpus}",
        f"present {cpus}",
        f"allowed {_cpu_list(node.cpus)}",
        "kexec_crash_size 0",
        "@begin proc",
        f"MemTotal: {_HOSTS_MEMORY_KIB} kB",
        "SwapTotal: 0 kB",
        "SwapFree: 0 kB",
        "mount 0:52 rw,relatime - overlay sl0a1b2c3d rw,lowerdir=layer:base,upperdir=upper",
        "@end 0",
        f"block sda 8:0 {_HOSTS_DISK_BYTES // 512} -",
        *_file_system_lines(_HOSTS_DISK_BYTES // 4096),
    ]


def _cpu_list(count: int) -> str:
    """Return processors as /sys lists them."""
    return f"0-{count - 1}" if count > 1 else "0"


def _file_system_lines(blocks: int) -> list[str]:
    """Return what `stat -f` writes of a disk with so many blocks, of which few are used."""
    return [
        "@begin fs",
        f"fs 4096 {blocks * 98 // 100} {blocks * 95 // 100} {blocks * 90 // 100} 3145728 3135535",
        "@end 0",
    ]


def user(lab: Lab, node: Node, shell: str) -> Sequence[str]:
    """Return the lines of `nodes.user`."""
    return [ssh.USER, "sudo 0"]


def units(lab: Lab, node: Node, shell: str) -> Sequence[str]:
    """Return what systemctl shows of the units that it is asked for: all of them run."""
    lines: list[str] = []
    for unit in re.findall(r"[\w@-]+\.(?:service|socket)", shell):
        lines += ["NRestarts=0", f"Id={unit}", "ActiveState=active", "SubState=running"]
    return lines


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
