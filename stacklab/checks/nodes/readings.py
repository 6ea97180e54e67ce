"""What a node says of its devices, routes and file systems, and the readers of single words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv4Network
from itertools import pairwise


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkDevice:
    """A NIC as the node has it."""

    mac: str
    mtu: int
    is_up: bool
    has_carrier: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRoute:
    """A route of the main table; more than one device or gateway when it has several hops."""

    prefix: IPv4Network
    devices: tuple[str, ...]
    gateways: tuple[str, ...]
    source: str

    def __str__(self) -> str:
        via = "".join(f" via {gateway}" for gateway in self.gateways)
        return f"{via} dev {', '.join(self.devices)}".strip()

    @property
    def is_default(self) -> bool:
        """True if it leads to everywhere else."""
        return self.prefix.prefixlen == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskReading:
    """A block device, or what it lies on."""

    name: str
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RootMount:
    """What is mounted on /."""

    number: str  # the device's, MAJOR:MINOR
    source: str  # the device's path, as far as the kernel knows one
    options: frozenset[str]  # the mount's and the file system's


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSystem:
    """The root file system by stat -f; `available` is what `stack` may still write."""

    bytes: int
    free: int
    available: int
    inodes: int  # 0: it does not count them
    free_inodes: int


def parse_route(words: Sequence[str]) -> NodeRoute | None:
    """Return a line of `ip route` as a route; None for what leads nowhere."""
    if not words:
        return None
    prefix = "0.0.0.0/0" if words[0] == "default" else words[0]
    try:
        network = IPv4Network(prefix)
    except ValueError:
        # What leads nowhere begins with a word of its own: `unreachable 10.0.0.0/8`.
        return None
    # A route with several hops has `via` and `dev` once for each of them.
    after: dict[str, list[str]] = {"dev": [], "via": [], "src": []}
    for word, value in pairwise(words):
        if word in after:
            after[word].append(value)
    return NodeRoute(
        prefix=network,
        devices=tuple(dict.fromkeys(after["dev"])),
        gateways=tuple(after["via"]),
        source=next(iter(after["src"]), ""),
    )


def parse_mount(words: Sequence[str]) -> RootMount | None:
    """Return a mount by its line of /proc/self/mountinfo; None for a line that is cut off.

    The line is without the mount's own numbers: `254:1 rw,noatime shared:1 - ext4 /dev/vda1 rw`.
    """
    # proc(5): a "-" ends the fields of which there may be any number.
    end = words.index("-") if "-" in words else len(words)
    if len(words) < end + 4:
        return None
    _kind, source, options = words[end + 1 : end + 4]
    mount_options = words[1]
    return RootMount(
        number=words[0],
        source=source,
        options=frozenset([*mount_options.split(","), *options.split(",")]),
    )


def parse_file_system(words: Sequence[str]) -> FileSystem | None:
    """Return a file system by the numbers that `stat -f` wrote; None where one is missing."""
    numbers = [number for number in map(parse_whole, words) if number is not None]
    if len(words) != 6 or len(numbers) != 6:
        return None
    block, blocks, free, available, inodes, free_inodes = numbers
    return FileSystem(
        bytes=block * blocks,
        free=block * free,
        available=block * available,
        inodes=inodes,
        free_inodes=free_inodes,
    )


def parse_whole(word: str) -> int | None:
    """Return a number of at most 20 digits: of more, int() would take its time, or refuse."""
    if re.fullmatch(r"\d{1,20}", word, re.ASCII):
        return int(word)
    return None


def parse_hexadecimal(word: str) -> int:
    """Return a number as /sys writes its flags; 0 for anything else."""
    if re.fullmatch(r"0x[0-9a-f]{1,16}", word, re.ASCII):
        return int(word, 16)
    return 0


def parse_interface(word: str) -> IPv4Interface | None:
    """Return an address with its prefix; None for anything else."""
    try:
        return IPv4Interface(word)
    except ValueError:
        return None
