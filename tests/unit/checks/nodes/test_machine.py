from __future__ import annotations

import dataclasses

import pytest

from stacklab.checks.nodes import look as nodes_look
from stacklab.checks.nodes.machine import amount, judge_memory
from stacklab.checks.result import CheckKind, CheckStatus, Reason
from stacklab.model.lab import Size
from tests.unit.checks.nodes.said import (
    ERROR,
    FAILED,
    LAB,
    NODE,
    PASSED,
    WARNED,
    Changes,
    answer_of,
    judged,
    said,
)

# CPUs, memory, disk, swap


@pytest.mark.parametrize(
    ("declared", "found", "present", "expected"),
    [
        (2, "0-1", "0-1", (PASSED, Reason.OK)),
        (2, "0", "0-1", (FAILED, Reason.TOO_FEW)),
        (2, "0-3", "0-3", (FAILED, Reason.TOO_MANY)),
        (3, "0,2-3", "0-3", (PASSED, Reason.OK)),
        (3, "0,2", "0-3", (FAILED, Reason.TOO_FEW)),
    ],
)
def test_cpus(
    declared: int, found: str, present: str, expected: tuple[CheckStatus, Reason]
) -> None:
    lab = dataclasses.replace(
        LAB, nodes=tuple(dataclasses.replace(node, cpus=declared) for node in LAB.nodes)
    )
    lines = [f"online {found}", f"present {present}"]
    result = judged(answer_of(lines), lab)[CheckKind.CPUS, ""]
    assert (result.status, result.reason) == expected


# MemTotal as real kernels say it: Debian 12 of 512 MiB, 1.5 and 2.5 GiB; one with a crash kernel;
# one above 4 GiB
@pytest.mark.parametrize(
    ("declared", "total_kib", "crash", "status"),
    [
        (512, 481276, 0, PASSED),
        (512, 481276 - 48 * 1024, 0, FAILED),
        (1024, 524288, 0, FAILED),
        (1024, 1024 * 1024 + 1, 0, FAILED),
        (2048, 1843000, 0, FAILED),
        (2048, 1843000, 168 << 20, PASSED),
        (8192, 8192 * 1024 - 380 * 1024, 0, PASSED),
        (8192, 8192 * 1024 - 390 * 1024, 0, FAILED),
    ],
)
def test_memory(declared: int, total_kib: int, crash: int, status: CheckStatus) -> None:
    node = dataclasses.replace(NODE, memory=Size(declared))
    look = nodes_look.parse([f"MemTotal: {total_kib} kB", f"kexec_crash_size {crash}"])
    assert judge_memory(node, look).status is status


def test_memory_that_is_missing_is_said_with_both_numbers() -> None:
    assert said(CheckKind.MEMORY, {"MemTotal: 1015808": "MemTotal: 500000"}) == (
        FAILED,
        Reason.TOO_FEW,
    )
    assert said(CheckKind.MEMORY, {"MemTotal: 1015808": "MemTotal: 2000000"}) == (
        FAILED,
        Reason.TOO_MANY,
    )


def test_a_disk_of_another_size() -> None:
    assert said(CheckKind.DISK, {"block vda 254:0 41943040": "block vda 254:0 20971520"}) == (
        FAILED,
        Reason.TOO_FEW,
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"254:1 rw": "254:0 rw", "/dev/vda1": "/dev/vda"},  # no partition
        {"254:1 rw": "0:35 rw", "ext4": "btrfs"},  # btrfs, by its source
        {
            "mount 254:1": "mount 253:0",
            "block vda ": "block dm-0 253:0 9 - vda1\nblock vda ",
        },  # LVM
        {
            "mount 254:1": "mount 0:1 rw - rootfs rootfs rw\nmount 254:1"
        },  # what an initramfs leaves below
    ],
)
def test_the_disk_is_found_below_whatever_holds_the_root_file_system(changes: Changes) -> None:
    assert said(CheckKind.DISK, changes) == (PASSED, Reason.OK)


def test_a_root_on_no_disk_that_is_known_is_an_error() -> None:
    odd = {"mount 254:1": "mount 0:42", "/dev/vda1": "overlay"}
    assert said(CheckKind.DISK, odd) == (ERROR, Reason.UNREADABLE)
    assert said(CheckKind.ROOT, odd)[0] is ERROR


@pytest.mark.parametrize(
    "line", ["mount", "mount 254:9", "mount 254:9 rw", "mount 254:9 rw - ext4 /dev/x"]
)
def test_a_mount_that_is_half_told_is_passed_over(line: str) -> None:
    assert said(CheckKind.DISK, {"@end 0\nblock vda ": f"{line}\n@end 0\nblock vda "}) == (
        PASSED,
        Reason.OK,
    )


FS = f"fs 4096 {5242880 * 98 // 100} {5242880 * 95 // 100} {5242880 * 90 // 100} 3145728 3135535"


@pytest.mark.parametrize(
    ("fs", "status", "reason"),
    [
        ("fs 4096 5138022 0 0 3145728 3135535", FAILED, Reason.FULL),
        (
            "fs 4096 5138022 262144 0 3145728 3135535",
            FAILED,
            Reason.FULL,
        ),
        ("fs 4096 5138022 4980736 4718592 3145728 0", FAILED, Reason.FULL),
        ("fs 4096 5138022 504000 250000 3145728 3135535", WARNED, Reason.NEARLY_FULL),
        ("fs 4096 5138022 4980736 4718592 3145728 10", WARNED, Reason.NEARLY_FULL),
        (
            "fs 4096 5138022 4980736 4718592 0 0",
            PASSED,
            Reason.OK,
        ),  # btrfs has no table of inodes
        (
            "fs 4096 2621440 2500000 2400000 3145728 3135535",
            FAILED,
            Reason.NOT_GROWN,
        ),
    ],
)
def test_a_root_file_system(fs: str, status: CheckStatus, reason: Reason) -> None:
    assert said(CheckKind.ROOT, {FS: fs}) == (status, reason)


@pytest.mark.parametrize("changes", [{"rw,noatime": "ro,noatime"}, {"rw,discard": "ro,discard"}])
def test_a_root_file_system_that_cannot_be_written_to(changes: Changes) -> None:
    assert said(CheckKind.ROOT, changes) == (FAILED, Reason.READ_ONLY)


@pytest.mark.parametrize(
    ("total", "free", "status", "reason"),
    [
        (0, 0, FAILED, Reason.NO_SWAP),
        (2097148, 2097148, FAILED, Reason.TOO_MANY),
        (524284, 524284, FAILED, Reason.TOO_FEW),
        (1048576, 1038576, PASSED, Reason.OK),
    ],
)
def test_swap(total: int, free: int, status: CheckStatus, reason: Reason) -> None:
    changes = {
        "SwapTotal: 1048572": f"SwapTotal: {total}",
        "SwapFree: 1048572": f"SwapFree: {free}",
    }
    assert said(CheckKind.SWAP, changes) == (status, reason)


def test_amounts() -> None:
    assert [amount(n) for n in (0, 1, 2048, 5 << 20, 3 << 29)] == [
        "0 B",
        "1 B",
        "2 KiB",
        "5 MiB",
        "1.5 GiB",
    ]
