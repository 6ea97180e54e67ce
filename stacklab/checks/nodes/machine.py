"""A node's CPUs, memory, disk and swap held against the spec. Pure."""

from __future__ import annotations

import re

from stacklab.checks.nodes.look import FileSystem, Look
from stacklab.checks.result import CheckStatus
from stacklab.model.lab import Node, Size

Verdict = tuple[CheckStatus, str]

SWAP = Size(1024)  # what packer/scripts/20-node.sh makes, and no more: the mission's row 1
_LEAST_OF_DISK = (
    0.9  # what is not the root file system is a boot partition and the file system's own tables
)
_MOST_USED = 0.9
_LATE = "sudo /usr/local/sbin/stacklab-late"  # packer/files: grows the root file system, switches swap on

# A kernel keeps 64 of each 4096 bytes for its page table (1/64), older ones and the
# hash tables as much again; its own image, per CPU areas and firmware are below 64 MiB.
_OF_EACH_PAGE = 1 / 32
_OF_EACH_KERNEL = 64 << 20
# From 2.75 GiB on QEMU puts memory above 4 GiB, and the kernel takes 64 MiB below for disks that reach no higher.
_HIGH_FROM = Size(2816)
_SWIOTLB = 64 << 20


def amount(size: int) -> str:
    """A size for people: `0 B`, `940 MiB`, `47.1 GiB`."""
    for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}" if unit == 1 << 30 else f"{size / unit:.0f} {name}"
    return f"{size} B"


def _unknown(why: str) -> Verdict:
    return CheckStatus.ERROR, why


def judge_cpus(node: Node, look: Look) -> Verdict:
    """All declared processors are there and online."""
    online, present = _count(look.first("online")), _count(look.first("present"))
    if online is None:
        return _unknown("the node did not tell which CPUs are online")
    if online == node.cpus:
        return CheckStatus.PASSED, f"{online} online"
    has_more = present is not None and present > online
    return (
        CheckStatus.FAILED,
        f"{online}{f' of {present}' if has_more else ''} online, not {node.cpus}",
    )


def _count(ranges: str) -> int | None:
    """How many the kernel means by `0-1,3`."""
    total = 0
    for each in ranges.split(","):
        match = re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?", each, re.ASCII)
        if match is None:
            return None
        total += int(match[2] or match[1]) - int(match[1]) + 1
    return total


def judge_memory(node: Node, look: Look) -> Verdict:
    """The kernel has what was declared, but for what a kernel takes for itself."""
    total_kib = look.number("MemTotal:")
    if total_kib is None:
        return _unknown(look.why_not("proc"))
    declared = node.memory.bytes
    found = total_kib * 1024 + (look.number("kexec_crash_size") or 0)
    taken = (
        int(declared * _OF_EACH_PAGE)
        + _OF_EACH_KERNEL
        + (_SWIOTLB if node.memory >= _HIGH_FROM else 0)
    )
    said = f"{found >> 20} MiB of {node.memory.mib} MiB"
    if found > declared:
        return (
            CheckStatus.FAILED,
            f"has {found >> 20} MiB, more than the declared {node.memory.mib} MiB",
        )
    if found < declared - taken:
        return CheckStatus.FAILED, f"has {said}: a kernel takes {taken >> 20} MiB at most"
    return CheckStatus.PASSED, said


def judge_disk(node: Node, look: Look) -> Verdict:
    """The disk under the root file system has its declared size."""
    disk = look.root_disk()
    if disk is None:
        root = look.root()
        return _unknown(
            f"no disk of / was found: {root[1]}, {root[0]}" if root else look.why_not("proc")
        )
    if disk.bytes == node.disk.bytes:
        return CheckStatus.PASSED, f"{disk.name} has {node.disk}"
    exact = "" if disk.bytes % (1 << 20) else f" ({disk.bytes >> 20} MiB)"
    return CheckStatus.FAILED, f"{disk.name} has {amount(disk.bytes)}{exact}, not {node.disk}"


def judge_root(node: Node, look: Look) -> Verdict:
    """The root file system fills its disk, can be written to, and has room."""
    root, held, disk = look.root(), look.file_system(), look.root_disk()
    if root is None or held is None:
        return _unknown(look.why_not("proc", "fs"))
    if disk is None:
        return _unknown(f"no disk of / was found: {root[1]}, {root[0]}")
    wrong = []
    if "ro" in root[3]:
        wrong.append("is mounted read-only")
    if held.bytes < disk.bytes * _LEAST_OF_DISK:
        size = f"{amount(held.bytes)} of {disk.name}'s {amount(disk.bytes)}"
        wrong.append(f"fills {size} ({held.bytes * 100 // disk.bytes} %): {_LATE} grows it")
    if held.available == 0:
        kept = f" for stack, {amount(held.free)} for root alone" if held.free else ""
        wrong.append(f"full: 0 B free{kept}")
    if held.inodes and held.free_inodes == 0:
        wrong.append("full: no inode is free")
    if wrong:
        return CheckStatus.FAILED, "; ".join(wrong)
    used, inodes = _used(held)
    if used > _MOST_USED:
        return CheckStatus.WARNED, f"{used:.0%} used, {amount(held.available)} free"
    if inodes > _MOST_USED:
        return CheckStatus.WARNED, f"{inodes:.0%} of its inodes used, {held.free_inodes} free"
    return CheckStatus.PASSED, f"{amount(held.bytes)}, {used:.0%} used"


def _used(held: FileSystem) -> tuple[float, float]:
    """Which part of its blocks and of its inodes is used, as df counts: what root alone may use is neither."""
    used = held.bytes - held.free
    all_ = used + held.available
    inodes = (held.inodes - held.free_inodes) / held.inodes if held.inodes else 0.0
    return used / all_ if all_ else 1.0, inodes


def judge_swap(node: Node, look: Look) -> Verdict:
    """There is 1 GiB of swap: with less a small node dies, with more it crawls."""
    total, free = look.number("SwapTotal:"), look.number("SwapFree:")
    if total is None:
        return _unknown(look.why_not("proc"))
    if total == 0:
        return CheckStatus.FAILED, f"is off: {_LATE} switches it on"
    size = total * 1024
    if size > SWAP.bytes:
        return CheckStatus.FAILED, f"{amount(size)}, more than {SWAP}"
    if size < SWAP.bytes - (1 << 20):  # mkswap keeps a page or more of it
        return CheckStatus.FAILED, f"{amount(size)}, not {SWAP}"
    used = "" if free is None else f", {amount((total - free) * 1024)} used"
    return CheckStatus.PASSED, f"{SWAP}{used}"
