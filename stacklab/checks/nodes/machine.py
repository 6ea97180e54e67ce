"""A node's CPUs, memory, disk and swap held against the spec. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from stacklab.checks.nodes import clocks
from stacklab.checks.nodes.look import Look
from stacklab.checks.nodes.readings import DiskReading, FileSystem
from stacklab.checks.result import Reason, Verdict
from stacklab.model.lab import Disk, DiskBus, Node, NodeKind, Size

Defect = tuple[Reason, str]  # one thing that is wrong: the word and the sentence

SWAP = Size(1024)  # what packer/scripts/20-node.sh makes, and no more: the mission's row 1
# The rest is a boot partition and the file system's own tables.
_LEAST_OF_DISK = 0.9
_TICKS = 100  # a second, in /proc/PID/stat: fixed by the kernel's interface
_MOST_USED = 0.9
# packer/files: grows the root file system, switches swap on
_LATE = "sudo /usr/local/sbin/stacklab-late"

# A kernel keeps 64 of each 4096 bytes for its page table (1/64), older ones and the
# hash tables as much again; its own image, per CPU areas and firmware are below 64 MiB.
_OF_EACH_PAGE = 1 / 32
_OF_EACH_KERNEL = 64 << 20
# From 2.75 GiB on QEMU puts memory above 4 GiB, and the kernel takes 64 MiB below for disks that
# reach no higher.
_HIGH_FROM = Size(2816)
_SWIOTLB = 64 << 20


def amount(size: int) -> str:
    """Return a size for people: `0 B`, `940 MiB`, `47.1 GiB`."""
    if size >= 1 << 30:
        return f"{size / (1 << 30):.1f} GiB"
    if size >= 1 << 20:
        return f"{size / (1 << 20):.0f} MiB"
    if size >= 1 << 10:
        return f"{size / (1 << 10):.0f} KiB"
    return f"{size} B"


def verdict_on_all(defects: Sequence[Defect]) -> Verdict:
    """Return one verdict on all that is wrong; its reason is SEVERAL where the reasons differ."""
    reasons = {reason for reason, _ in defects}
    reason = reasons.pop() if len(reasons) == 1 else Reason.SEVERAL
    detail = "; ".join(text for _, text in defects)
    return Verdict.failed(reason, detail)


def uptime_s(node: Node, look: Look) -> float | None:
    """Return for how long a node is up, in seconds; None where it did not tell.

    A container's /proc/uptime is the host's: there, its first process tells.
    """
    up_s = clocks.seconds(look.first("uptime"))
    if node.kind is NodeKind.VM or up_s is None:
        return up_s
    started_s = clocks.seconds(look.first("began"))
    return None if started_s is None else up_s - started_s / _TICKS


def judge_cpus(node: Node, look: Look) -> Verdict:
    """Judge that all declared processors are there and online."""
    if node.kind is NodeKind.CONTAINER:
        return _judge_allowed_cpus(node, look)
    online = _count_processors(look.first("online"))
    present = _count_processors(look.first("present"))
    if online is None:
        return Verdict.error(Reason.NO_ANSWER, "the node did not tell which CPUs are online")
    if online == node.cpus:
        return Verdict.passed(f"{online} online")
    of_all = ""
    if present is not None and present > online:
        of_all = f" of {present}"
    detail = f"{online}{of_all} online, not {node.cpus}"
    return Verdict.failed(_too_few_or_many(online, node.cpus), detail)


def _judge_allowed_cpus(node: Node, look: Look) -> Verdict:
    """Judge of how many of the host's processors a container may use: /sys shows it all of them."""
    allowed = _count_processors(look.first("allowed"))
    present = _count_processors(look.first("present"))
    if allowed is None or present is None:
        return Verdict.error(Reason.NO_ANSWER, "the node did not tell which CPUs it may use")
    if allowed == node.cpus:
        return Verdict.passed(f"may use {allowed}")
    detail = f"may use {allowed} of the host's {present}, not {node.cpus}"
    if allowed == present < node.cpus:
        return Verdict.warned(Reason.TOO_FEW, detail)
    return Verdict.failed(_too_few_or_many(allowed, node.cpus), detail)


def _too_few_or_many(seen: int, declared: int) -> Reason:
    """Return the reason for a number that is not the declared one."""
    return Reason.TOO_FEW if seen < declared else Reason.TOO_MANY


def _count_processors(ranges: str) -> int | None:
    """Return how many processors the kernel means by `0-1,3`; None if it is something else."""
    total = 0
    for part in ranges.split(","):
        match = re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?", part, re.ASCII)
        if match is None:
            return None
        first = int(match[1])
        last = int(match[2] or match[1])
        total += last - first + 1
    return total


def judge_memory(node: Node, look: Look) -> Verdict:
    """Judge that the kernel has what was declared, but for what a kernel takes for itself."""
    total_kib = look.number("MemTotal:")
    if total_kib is None:
        return look.unknown("proc")
    # What is kept for a crash kernel is not in MemTotal.
    crash_size = look.number("kexec_crash_size") or 0
    seen = total_kib * 1024 + crash_size
    declared = node.memory.bytes
    taken = int(declared * _OF_EACH_PAGE) + _OF_EACH_KERNEL
    if node.memory >= _HIGH_FROM:
        taken += _SWIOTLB
    seen_mib = seen >> 20
    if seen > declared:
        detail = f"has {seen_mib} MiB, more than the declared {node.memory.mib} MiB"
        return Verdict.failed(Reason.TOO_MANY, detail)
    summary = f"{seen_mib} MiB of {node.memory.mib} MiB"
    if seen < declared - taken:
        detail = f"has {summary}: a kernel takes {taken >> 20} MiB at most"
        return Verdict.failed(Reason.TOO_FEW, detail)
    return Verdict.passed(summary)


def judge_disk(node: Node, look: Look) -> Verdict:
    """Judge that the disk under the root file system has its declared size."""
    disk = look.root_disk()
    if disk is None:
        return _unknown_disk(look)
    if disk.bytes == node.disk.bytes:
        return Verdict.passed(f"{disk.name} has {node.disk}")
    return _wrong_size(disk, node.disk)


def judge_further_disk(declared: Disk, look: Look) -> Verdict:
    """Judge that a further disk is there, by its serial, with its declared size."""
    if "block" not in look.words:
        return Verdict.error(Reason.NO_ANSWER, "the node did not tell which disks it has")
    disks = look.disks_by_serial()
    disk = disks.get(declared.serial)
    if disk is None:
        known = ", ".join(f"{other.name} has {serial}" for serial, other in disks.items())
        detail = f"no disk has the serial {declared.serial} ({known[:200] or 'none tells one'})"
        if declared.bus is not DiskBus.VIRTIO:
            detail += f"; its kernel may lack a driver of {declared.bus}"
        return Verdict.failed(Reason.DISK_MISSING, detail)
    if disk.bytes == declared.size.bytes:
        return Verdict.passed(f"{disk.name} has {declared.size}")
    return _wrong_size(disk, declared.size)


def _wrong_size(disk: DiskReading, declared: Size) -> Verdict:
    size = amount(disk.bytes)
    # Rounded to GiB it may look like the declared size: then the MiB tell them apart.
    if disk.bytes % (1 << 20) == 0:
        size += f" ({disk.bytes >> 20} MiB)"
    reason = _too_few_or_many(disk.bytes, declared.bytes)
    return Verdict.failed(reason, f"{disk.name} has {size}, not {declared}")


def _unknown_disk(look: Look) -> Verdict:
    """Return why the disk of / is unknown."""
    root = look.root()
    if root is None:
        return look.unknown("proc")
    detail = f"no disk of / was found: {root.source}, {root.number}"
    return Verdict.error(Reason.UNREADABLE, detail)


def judge_root(node: Node, look: Look) -> Verdict:
    """Judge that the root file system fills its disk, can be written to, and has room."""
    root = look.root()
    system = look.file_system()
    if root is None or system is None:
        return look.unknown("proc", "fs")
    disk = look.root_disk()
    # A container's / is a directory of the host's: there is no disk that it would have to fill.
    if disk is None and node.kind is NodeKind.VM:
        return _unknown_disk(look)
    defects = _defects_of_root(system, disk, is_read_only="ro" in root.options)
    if defects:
        return verdict_on_all(defects)
    return _judge_use(system)


def _defects_of_root(
    system: FileSystem, disk: DiskReading | None, *, is_read_only: bool
) -> list[Defect]:
    """Return all that is wrong with the root file system."""
    defects: list[Defect] = []
    if is_read_only:
        defects.append((Reason.READ_ONLY, "is mounted read-only"))
    if disk is not None and system.bytes < disk.bytes * _LEAST_OF_DISK:
        size = f"{amount(system.bytes)} of {disk.name}'s {amount(disk.bytes)}"
        share = system.bytes * 100 // disk.bytes
        defects.append((Reason.NOT_GROWN, f"fills {size} ({share} %): {_LATE} grows it"))
    if system.available == 0:
        detail = "full: 0 B free"
        if system.free:
            detail += f" for stack, {amount(system.free)} for root alone"
        defects.append((Reason.FULL, detail))
    if system.inodes and system.free_inodes == 0:
        defects.append((Reason.FULL, "full: no inode is free"))
    return defects


def _judge_use(system: FileSystem) -> Verdict:
    """Judge how full the root file system is; warn before it is full."""
    used, inodes = _used_shares(system)
    if used > _MOST_USED:
        detail = f"{used:.0%} used, {amount(system.available)} free"
        return Verdict.warned(Reason.NEARLY_FULL, detail)
    if inodes > _MOST_USED:
        detail = f"{inodes:.0%} of its inodes used, {system.free_inodes} free"
        return Verdict.warned(Reason.NEARLY_FULL, detail)
    return Verdict.passed(f"{amount(system.bytes)}, {used:.0%} used")


def _used_shares(system: FileSystem) -> tuple[float, float]:
    """Return the used shares of its blocks and its inodes.

    They are counted as df does: what root alone may use is neither free nor used.
    """
    used = system.bytes - system.free
    total = used + system.available
    share = used / total if total else 1.0
    inodes_share = 0.0
    if system.inodes:
        inodes_share = (system.inodes - system.free_inodes) / system.inodes
    return share, inodes_share


def judge_swap(node: Node, look: Look) -> Verdict:
    """Judge that there is 1 GiB of swap: with less a small node dies, with more it crawls."""
    total_kib = look.number("SwapTotal:")
    free_kib = look.number("SwapFree:")
    if total_kib is None:
        return look.unknown("proc")
    if total_kib == 0:
        return Verdict.failed(Reason.NO_SWAP, f"is off: {_LATE} switches it on")
    size = total_kib * 1024
    if size > SWAP.bytes:
        return Verdict.failed(Reason.TOO_MANY, f"{amount(size)}, more than {SWAP}")
    if size < SWAP.bytes - (1 << 20):  # mkswap keeps a page or more of it
        return Verdict.failed(Reason.TOO_FEW, f"{amount(size)}, not {SWAP}")
    if free_kib is None:
        return Verdict.passed(f"{SWAP}")
    used = amount((total_kib - free_kib) * 1024)
    return Verdict.passed(f"{SWAP}, {used} used")
