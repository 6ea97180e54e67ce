"""Each check of layer nodes: what a healthy node says passes, and each thing that differs is said."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Interface

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stacklab.checks import plan
from stacklab.checks.family import Facts
from stacklab.checks.nodes import clocks as node_clocks
from stacklab.checks.nodes import family as nodes
from stacklab.checks.nodes import look as nodes_look
from stacklab.checks.nodes.machine import amount, judge_memory
from stacklab.checks.result import Check, CheckKind, CheckResult, CheckStatus, Layer, Reason
from stacklab.dev.simulated import nodes as nodes_simulated
from stacklab.model.lab import Lab, NetworkMode, Size
from stacklab.nodes.protocol import Answer, Said
from tests.unit.checks.fake_lab import make_lab

LAB = make_lab()
NODE = LAB.node("controller")
NOW = 1_800_000_000.0
PASSED, WARNED, FAILED, ERROR = (
    CheckStatus.PASSED,
    CheckStatus.WARNED,
    CheckStatus.FAILED,
    CheckStatus.ERROR,
)
MAC0, MAC1 = (nic.mac for nic in NODE.nics)

# text that a healthy node says -> what this one says instead
Changes = Mapping[str, str]


def lines_of(lab: Lab = LAB, changes: Changes | None = None) -> list[str]:
    """What the controller says; every change must change something."""
    text = "\n".join(nodes_simulated.look(lab, lab.node("controller"), ""))
    for old, new in (changes or {}).items():
        assert old in text, old
        text = text.replace(old, new)
    return text.splitlines()


def answer_of(lines: Sequence[str], code: int | None = 0, **more: Said) -> Answer:
    said = {"nodes.look": Said(lines=tuple(lines), code=code, heard_at=NOW)}
    return Answer(is_begun=True, is_complete=code is not None, said=said | more)


def judged(answer: Answer, lab: Lab = LAB) -> dict[tuple[CheckKind, str], CheckResult]:
    checks = [check for check in nodes.expected(lab) if check.node == "controller"]
    return {(r.check.kind, r.check.device): r for r in nodes.judge(lab, checks, answer, Facts())}


def said(
    kind: CheckKind, changes: Changes, device: str = "", lab: Lab = LAB
) -> tuple[CheckStatus, str]:
    result = judged(answer_of(lines_of(lab, changes)), lab)[kind, device]
    assert bool(result.command) == (result.status is not PASSED), (
        "a failure says what to type again, a pass nothing"
    )
    assert bool(result.output) <= (result.status is not PASSED), "a pass keeps no output"
    return result.status, result.detail


def nic(changes: Changes, device: str = "eth1") -> tuple[CheckStatus, str]:
    return said(CheckKind.NIC, changes, device)


def routes(changes: Changes, lab: Lab = LAB) -> tuple[CheckStatus, str]:
    return said(CheckKind.ROUTES, changes, lab=lab)


def isolated() -> Lab:
    return make_lab(mode=NetworkMode.ISOLATED)


# what is asked


def test_every_kind_of_the_layer_is_promised_of_every_node_and_a_nic_check_per_nic() -> None:
    for node in LAB.nodes:
        kinds = [check.kind for check in nodes.expected(LAB) if check.node == node.name]
        assert {kind for kind in CheckKind if kind.layer is Layer.NODES} == set(kinds)
        assert kinds.count(CheckKind.NIC) == 2
        assert len(kinds) == len(set(kinds)) + 1
    nics = [check for check in nodes.expected(LAB) if check.kind is CheckKind.NIC]
    assert nics[1].title == "controller eth1 10.20.0.11 (net1): nic"


def test_each_check_of_a_node_has_one_result_but_those_that_the_mesh_judges() -> None:
    of_the_mesh = {CheckKind.STATE, CheckKind.LOGIN, CheckKind.CLOCK}
    checks = [
        c for c in nodes.expected(LAB) if c.node == "controller" and c.kind not in of_the_mesh
    ]
    found = [r.check for r in nodes.judge(LAB, checks, Answer(), Facts())]
    assert found == checks


@pytest.mark.parametrize(
    ("kind", "has", "lacks"),
    [
        (CheckKind.UPTIME, "show /proc/uptime", "run "),
        (CheckKind.SWAP, "run proc", "run addr"),
        (CheckKind.ROOT, "run fs", "run addr"),
        (CheckKind.NIC, "run addr", "run route"),
        (CheckKind.ROUTES, "run route", "run fs"),
    ],
)
def test_a_node_runs_no_more_than_the_wanted_checks_need(
    kind: CheckKind, has: str, lacks: str
) -> None:
    (part,) = nodes.parts(LAB, NODE, [Check(kind=kind, node="controller")], Facts())
    calls = part.shell[part.shell.rindex("}") :]
    assert has in calls
    assert lacks not in calls


def test_without_checks_there_is_nothing_to_run() -> None:
    assert list(nodes.parts(LAB, NODE, [], Facts())) == []


def test_the_clock_is_read_after_all_other_looks() -> None:
    checks = [
        check
        for check in plan.expected(LAB)
        if check.node == "controller" and check.kind.layer is Layer.NODES
    ]
    tags = [part.tag for part in nodes.parts(LAB, NODE, checks, Facts()) if part.phase == 0]
    assert tags == ["nodes.look", "nodes.hostname", "nodes.user", "nodes.clock"]


# what is said


def test_a_healthy_node_passes_all_of_it() -> None:
    user, name = Said(lines=("stack", "sudo 0"), code=0), Said(lines=("controller",), code=0)
    results = judged(answer_of(lines_of(), **{"nodes.user": user, "nodes.hostname": name}))
    assert {result.status for result in results.values()} == {PASSED}
    assert {
        kind: result.detail for (kind, device), result in results.items() if device != "eth0"
    } == {
        CheckKind.USER: "stack, with sudo",
        CheckKind.HOSTNAME: "controller",
        CheckKind.UPTIME: "up since 2027-01-15 06:53:19 UTC",
        CheckKind.CPUS: "1 online",
        CheckKind.MEMORY: "992 MiB of 1024 MiB",
        CheckKind.DISK: "vda has 20GiB",
        CheckKind.ROOT: "19.6 GiB, 3% used",
        CheckKind.SWAP: "1GiB, 0 B used",
        CheckKind.NIC: f"10.20.0.11/24, {MAC1}, MTU 1500",
        CheckKind.ROUTES: "default via 10.10.0.1 dev eth0, 2 connected",
    }


def test_what_was_cut_off_is_no_answer_though_a_part_of_it_came() -> None:
    results = judged(answer_of(lines_of()[:-5], code=None))
    assert {result.status for result in results.values()} == {ERROR}
    assert results[CheckKind.CPUS, ""].detail == "the session ended before this check"


@given(st.integers(0, 40), st.integers(0, 60), st.text())
def test_whatever_a_node_says_each_check_has_one_result(begin: int, end: int, garbage: str) -> None:
    lines = [*lines_of()[begin:end], *garbage.splitlines(), *lines_of()[end:begin]]
    assert len(judged(answer_of(lines))) == 11


@given(
    st.lists(
        st.sampled_from([word for line in lines_of() for word in line.split(" ")]), max_size=60
    )
)
def test_words_in_any_order_break_no_judge(words: list[str]) -> None:
    lines = re.split(r"(?=@begin|@end|block|nic|fs|mount|uptime)", " ".join(words))
    assert len(judged(answer_of([line.strip() for line in lines]))) == 11


@pytest.mark.parametrize(
    ("lines", "kind", "detail"),
    [
        (["@begin addr", "sh: 1: ip: not found", "@end 127"], CheckKind.NIC, "ip is not installed"),
        (
            ["@begin route", "Cannot open netlink", "@end 1"],
            CheckKind.ROUTES,
            "ip ended with 1: Cannot open netlink",
        ),
        (["@begin fs", "stat: not found", "@end 127"], CheckKind.ROOT, "stat is not installed"),
        (["@begin proc", "sed: not found", "@end 127"], CheckKind.MEMORY, "sed is not installed"),
        (["@begin addr", "@end 0"], CheckKind.NIC, "the node did not tell"),
        (["nic eth1 52:54:00:00:00:01 1500 0x1003 1"], CheckKind.NIC, "the node did not tell"),
        ([], CheckKind.SWAP, "the node did not tell"),
        ([], CheckKind.CPUS, "the node did not tell which CPUs are online"),
        ([], CheckKind.UPTIME, "the node did not tell how long it is up"),
    ],
)
def test_a_look_that_failed_is_an_error_not_a_failure(
    lines: list[str], kind: CheckKind, detail: str
) -> None:
    device = "eth1" if kind is CheckKind.NIC else ""
    result = judged(answer_of(lines))[kind, device]
    assert (result.status, result.detail) == (ERROR, detail)


# uptime


def test_a_node_that_booted_after_lab_up_saw_it_answer_is_warned_of() -> None:
    look = nodes_look.parse(["uptime 100.00 50.00"])
    assert nodes.judge_uptime(look, NOW, answered_at=NOW - 60).status is PASSED
    assert nodes.judge_uptime(look, NOW, answered_at=NOW - 101).status is PASSED
    again = nodes.judge_uptime(look, NOW, answered_at=NOW - 3700)
    assert (again.status, again.reason) == (WARNED, Reason.BOOTED_AGAIN)
    assert "lab.up saw it answer at 2027-01-15 06:58:20 UTC" in again.detail


# CPUs, memory, disk, swap


@pytest.mark.parametrize(
    ("declared", "found", "present", "expected"),
    [
        (2, "0-1", "0-1", (PASSED, "2 online")),
        (2, "0", "0-1", (FAILED, "1 of 2 online, not 2")),
        (2, "0-3", "0-3", (FAILED, "4 online, not 2")),
        (3, "0,2-3", "0-3", (PASSED, "3 online")),
        (3, "0,2", "0-3", (FAILED, "2 of 4 online, not 3")),
    ],
)
def test_cpus(declared: int, found: str, present: str, expected: tuple[CheckStatus, str]) -> None:
    lab = dataclasses.replace(
        LAB, nodes=tuple(dataclasses.replace(node, cpus=declared) for node in LAB.nodes)
    )
    lines = [f"online {found}", f"present {present}"]
    result = judged(answer_of(lines), lab)[CheckKind.CPUS, ""]
    assert (result.status, result.detail) == expected


# MemTotal as real kernels say it: Debian 12 of 512 MiB, 1.5 and 2.5 GiB; one with a crash kernel; one above 4 GiB
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
        "has 488 MiB of 1024 MiB: a kernel takes 96 MiB at most",
    )
    assert said(CheckKind.MEMORY, {"MemTotal: 1015808": "MemTotal: 2000000"}) == (
        FAILED,
        "has 1953 MiB, more than the declared 1024 MiB",
    )


def test_a_disk_of_another_size() -> None:
    assert said(CheckKind.DISK, {"block vda 254:0 41943040": "block vda 254:0 20971520"}) == (
        FAILED,
        "vda has 10.0 GiB (10240 MiB), not 20GiB",
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
    assert said(CheckKind.DISK, changes) == (PASSED, "vda has 20GiB")


def test_a_root_on_no_disk_that_is_known_is_an_error() -> None:
    odd = {"mount 254:1": "mount 0:42", "/dev/vda1": "overlay"}
    assert said(CheckKind.DISK, odd) == (ERROR, "no disk of / was found: overlay, 0:42")
    assert said(CheckKind.ROOT, odd)[0] is ERROR


@pytest.mark.parametrize(
    "line", ["mount", "mount 254:9", "mount 254:9 rw", "mount 254:9 rw - ext4 /dev/x"]
)
def test_a_mount_that_is_half_told_is_passed_over(line: str) -> None:
    assert said(CheckKind.DISK, {"@end 0\nblock vda ": f"{line}\n@end 0\nblock vda "}) == (
        PASSED,
        "vda has 20GiB",
    )


FS = f"fs 4096 {5242880 * 98 // 100} {5242880 * 95 // 100} {5242880 * 90 // 100} 3145728 3135535"


@pytest.mark.parametrize(
    ("fs", "status", "detail"),
    [
        ("fs 4096 5138022 0 0 3145728 3135535", FAILED, "full: 0 B free"),
        (
            "fs 4096 5138022 262144 0 3145728 3135535",
            FAILED,
            "full: 0 B free for stack, 1.0 GiB for root alone",
        ),
        ("fs 4096 5138022 4980736 4718592 3145728 0", FAILED, "full: no inode is free"),
        ("fs 4096 5138022 504000 250000 3145728 3135535", WARNED, "95% used, 977 MiB free"),
        ("fs 4096 5138022 4980736 4718592 3145728 10", WARNED, "100% of its inodes used, 10 free"),
        (
            "fs 4096 5138022 4980736 4718592 0 0",
            PASSED,
            "19.6 GiB, 3% used",
        ),  # btrfs has no table of inodes
        (
            "fs 4096 2621440 2500000 2400000 3145728 3135535",
            FAILED,
            "fills 10.0 GiB of vda's 20.0 GiB (50 %): sudo /usr/local/sbin/stacklab-late grows it",
        ),
    ],
)
def test_a_root_file_system(fs: str, status: CheckStatus, detail: str) -> None:
    assert said(CheckKind.ROOT, {FS: fs}) == (status, detail)


@pytest.mark.parametrize("changes", [{"rw,noatime": "ro,noatime"}, {"rw,discard": "ro,discard"}])
def test_a_root_file_system_that_cannot_be_written_to(changes: Changes) -> None:
    assert said(CheckKind.ROOT, changes) == (FAILED, "is mounted read-only")


@pytest.mark.parametrize(
    ("total", "free", "status", "detail"),
    [
        (0, 0, FAILED, "is off: sudo /usr/local/sbin/stacklab-late switches it on"),
        (2097148, 2097148, FAILED, "2.0 GiB, more than 1GiB"),
        (524284, 524284, FAILED, "512 MiB, not 1GiB"),
        (1048576, 1038576, PASSED, "1GiB, 10 MiB used"),
    ],
)
def test_swap(total: int, free: int, status: CheckStatus, detail: str) -> None:
    changes = {
        "SwapTotal: 1048572": f"SwapTotal: {total}",
        "SwapFree: 1048572": f"SwapFree: {free}",
    }
    assert said(CheckKind.SWAP, changes) == (status, detail)


def test_amounts() -> None:
    assert [amount(n) for n in (0, 1, 2048, 5 << 20, 3 << 29)] == [
        "0 B",
        "1 B",
        "2 KiB",
        "5 MiB",
        "1.5 GiB",
    ]


# NICs


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"nic eth1": "nic foo"}, f"eth1 is missing: its MAC {MAC1} is on foo"),
        (
            {f"nic eth1 {MAC1}": "nic foo 02:00:00:00:00:01"},
            f"eth1 is missing: no NIC has its MAC {MAC1}",
        ),
        ({f"{MAC1} 1500 0x1003 1": f"{MAC1} 1500 0x1002 -"}, "eth1 is down"),
        (
            {f"{MAC1} 1500 0x1003 1": f"{MAC1} 1500 0x1003 0"},
            "eth1 has no carrier: it is unplugged",
        ),
        ({f"{MAC1} 1500": f"{MAC1} 1400"}, "has MTU 1400, not 1500"),
        ({"inet 10.20.0.11/24": "inet 10.20.0.99/24"}, "has 10.20.0.99/24, not 10.20.0.11/24"),
        ({"inet 10.20.0.11/24": "inet 10.20.0.11/16"}, "has 10.20.0.11/16, not 10.20.0.11/24"),
        (
            {"3: eth1    inet 10.20.0.11/24": "3: eth1    inet6 fe80::1/64"},
            "has no address, not 10.20.0.11/24",
        ),
        ({"3: eth1 ": "3: eth0 "}, "10.20.0.11/24 is on eth0"),
        (
            {"3: eth1 ": "3: eth1    inet 10.20.0.11/24 x\n4: dummy0 "},
            "10.20.0.11/24 is on dummy0 as well",
        ),
        (
            {"3: eth1 ": "3: eth1    inet 10.9.9.9/8 x\n4: dummy0 "},
            "has 10.9.9.9/8, and 10.20.0.11/24 is on dummy0",
        ),
        (
            {MAC0: "X", MAC1: MAC0, "X": MAC1},
            f"eth1 has MAC {MAC0}, not {MAC1}: that is on eth0",
        ),
        ({MAC1: "02:00:00:00:00:01"}, f"eth1 has MAC 02:00:00:00:00:01, not {MAC1}"),
        (
            {
                f"{MAC1} 1500 0x1003 1": f"{MAC1} 9000 0x1002 -",
                "inet 10.20.0.11/24": "inet 10.20.0.12/24",
            },
            "eth1 is down; has MTU 9000, not 1500; has 10.20.0.12/24, not 10.20.0.11/24",
        ),
    ],
)
def test_a_nic_says_all_that_differs(changes: Changes, detail: str) -> None:
    assert nic(changes) == (FAILED, detail)


@pytest.mark.parametrize("name", ["br-ex", "vhost0"])
def test_what_a_cloud_makes_of_a_nic_may_have_its_address(name: str) -> None:
    made = f"nic eth1 {MAC1} 1500 0x1003 1\nnic {name} {MAC1} 1500 0x1003 1"
    moved = {
        f"nic eth1 {MAC1} 1500 0x1003 1": made,
        "3: eth1 ": f"9: {name} ",
        "dev eth1": f"dev {name}",
    }
    assert nic(moved) == (PASSED, f"10.20.0.11/24 on {name}, which has its MAC, {MAC1}, MTU 1500")
    assert routes(moved)[0] is PASSED


def test_a_second_address_on_a_nic_is_nobodys_business() -> None:
    more = "3: eth1    inet 10.20.0.250/32 scope global eth1\n3: eth1 "
    assert nic({"3: eth1 ": more})[0] is PASSED


def test_a_nics_failure_keeps_what_ip_said() -> None:
    result = judged(answer_of(lines_of(LAB, {"inet 10.20.0.11/24": "inet 10.20.0.99/24"})))[
        CheckKind.NIC, "eth1"
    ]
    assert "inet 10.20.0.99/24" in result.output
    assert result.command == "ip addr"


# routes


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        (
            {"default via": "198.51.100.0/24 via"},
            "the default route is missing: it should be via 10.10.0.1 dev eth0",
        ),
        (
            {"default via": "default via 10.20.0.1 dev eth1 \ndefault via"},
            "default via 10.20.0.1 dev eth1 beside via 10.10.0.1 dev eth0",
        ),
        (
            {"default via 10.10.0.1 dev eth0": "default via 10.20.0.1 dev eth1"},
            "default via 10.20.0.1 dev eth1 instead of via 10.10.0.1 dev eth0",
        ),
        (
            {"default via 10.10.0.1 dev eth0": "default via 10.10.0.254 dev eth0"},
            "default via 10.10.0.254 dev eth0 instead of via 10.10.0.1 dev eth0",
        ),
        (
            {
                "default via 10.10.0.1 dev eth0": "default \\\tnexthop via 10.10.0.1 dev eth0 weight 1 "
                "\\\tnexthop via 10.20.0.1 dev eth1 weight 1"
            },
            "default via 10.10.0.1 via 10.20.0.1 dev eth0, eth1 instead of via 10.10.0.1 dev eth0",
        ),
        (
            {"10.20.0.0/24 dev": "10.21.0.0/24 dev"},
            "the route to 10.20.0.0/24 out of eth1 is missing",
        ),
        (
            {"10.20.0.0/24 dev": "unreachable 10.20.0.0/24 dev"},
            "the route to 10.20.0.0/24 out of eth1 is missing",
        ),
        (
            {"src 10.20.0.11": "src 10.20.0.99"},
            "10.20.0.0/24 goes out of eth1 from 10.20.0.99, not 10.20.0.11",
        ),
        (
            {"10.20.0.0/24 dev": "10.20.0.0/24 via 10.20.0.1 dev"},
            "10.20.0.0/24 goes via 10.20.0.1 dev eth1, and eth1 is on it",
        ),
        (
            {"10.20.0.0/24 dev": "10.20.0.0/24 dev virbr0 scope link\n10.20.0.0/24 dev"},
            "10.20.0.0/24 goes out of virbr0 as well",
        ),
        (
            {"10.20.0.0/24 dev eth1": "10.20.0.0/24 dev eth0"},
            "the route to 10.20.0.0/24 out of eth1 is missing; 10.20.0.0/24 goes out of eth0 as well",
        ),
    ],
)
def test_routes_that_differ(changes: Changes, detail: str) -> None:
    assert routes(changes) == (FAILED, detail)


def test_routes_that_a_cloud_adds_are_its_own() -> None:
    assert (
        routes({"10.20.0.0/24 dev": "172.17.0.0/16 dev docker0 scope link\n10.20.0.0/24 dev"})[0]
        is PASSED
    )


def test_a_node_without_nat_has_no_default_route() -> None:
    assert routes({}, isolated()) == (PASSED, "no default route, 2 connected")
    wrong = {"10.20.0.0/24 dev": "default via 10.10.0.1 dev eth0\n10.20.0.0/24 dev"}
    assert routes(wrong, isolated()) == (
        FAILED,
        "default via 10.10.0.1 dev eth0, where none should be: net0 is isolated",
    )


def test_a_renamed_nic_fails_its_routes_too() -> None:
    renamed = {"nic eth1": "nic foo", "3: eth1 ": "3: foo ", "dev eth1": "dev foo"}
    assert routes(renamed) == (
        FAILED,
        "the route to 10.20.0.0/24 out of eth1 is missing; 10.20.0.0/24 goes out of foo as well",
    )


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            r"2: eth0    inet 10.1.2.3/24 brd 10.1.2.255 scope global eth0\ valid_lft forever",
            {"eth0": ["10.1.2.3/24"]},
        ),
        ("7: tun0    inet 10.8.0.6 peer 10.8.0.5/32 scope global tun0", {"tun0": ["10.8.0.6/32"]}),
        ("5: veth1@if4    inet 10.1.0.1/8 scope global veth1", {"veth1": ["10.1.0.1/8"]}),
        ("2: eth0    inet 999.1.2.3/24 scope global eth0", {}),
        ("2: eth0    inet6 fe80::1/64 scope link", {}),
    ],
)
def test_lines_of_ip_addr(line: str, expected: dict[str, list[str]]) -> None:
    look = nodes_look.parse(["@begin addr", line, "@end 0"])
    assert look.addresses() == {
        name: [IPv4Interface(each) for each in held] for name, held in expected.items()
    }


# user, host name


def one(kind: CheckKind, tag: str, *lines: str, code: int | None = 0) -> tuple[CheckStatus, str]:
    answer = Answer(is_begun=True, said={tag: Said(lines=lines, code=code)})
    (result,) = nodes.judge(LAB, [Check(kind=kind, node="controller")], answer, Facts())
    return result.status, result.detail


@pytest.mark.parametrize(
    ("lines", "status", "detail"),
    [
        (("stack", "sudo 0"), PASSED, "stack, with sudo"),
        (("root", "sudo 0"), FAILED, "the session is root's, not stack's"),
        (
            ("stack", "sudo: a password is required", "sudo 1"),
            FAILED,
            "sudo -n true: sudo: a password is required",
        ),
        (("stack", "sudo 1"), FAILED, "sudo -n true: ended with 1"),
        (
            ("stack", "timeout: failed to run command 'sudo'", "sudo 127"),
            FAILED,
            "sudo is not installed",
        ),
        (("stack", "sudo 124"), FAILED, "sudo did not end in 8 s"),
        ((), FAILED, "the session is nobody's, not stack's"),
    ],
)
def test_the_user(lines: tuple[str, ...], status: CheckStatus, detail: str) -> None:
    assert one(CheckKind.USER, "nodes.user", *lines) == (status, detail)


def test_sudo_may_complain_of_a_name_that_does_not_resolve_and_work_all_the_same() -> None:
    said = ("stack", "sudo: unable to resolve host controller: Name or service not known", "sudo 0")
    assert one(CheckKind.USER, "nodes.user", *said)[0] is PASSED


def test_a_user_that_was_cut_off_is_an_error() -> None:
    assert one(CheckKind.USER, "nodes.user", "stack", code=None)[0] is ERROR


@pytest.mark.parametrize(
    ("name", "status"),
    [("controller", PASSED), ("controller.example.org", PASSED), ("debian", FAILED)],
)
def test_the_host_name(name: str, status: CheckStatus) -> None:
    assert one(CheckKind.HOSTNAME, "nodes.hostname", name)[0] is status


# clocks


def clocks(offsets: Mapping[str, float]) -> dict[str, tuple[CheckStatus, str]]:
    checks = [Check(kind=CheckKind.CLOCK, node=node.name) for node in LAB.nodes]
    return {r.check.node: (r.status, r.detail) for r in node_clocks.judge(checks, offsets)}


def test_clocks_that_agree() -> None:
    assert clocks({"controller": 0.1, "compute1": -0.1, "compute2": 0.35}) == {
        "controller": (PASSED, "within 0.25 s of the others'"),
        "compute1": (PASSED, "within 0.45 s of the others'"),
        "compute2": (PASSED, "within 0.45 s of the others'"),
    }


def test_the_one_clock_that_is_off_fails_and_the_others_do_not() -> None:
    assert clocks({"controller": 0.0, "compute1": -5.0, "compute2": 0.02}) == {
        "controller": (PASSED, "within 0.02 s of the others'"),
        "compute1": (FAILED, "5.0 s behind compute2's: lab.up sets it"),
        "compute2": (PASSED, "within 0.02 s of the others'"),
    }


def test_of_two_clocks_the_host_tells_which_is_off() -> None:
    found = clocks({"controller": 0.1, "compute1": 3.0})
    assert found["compute1"] == (FAILED, "2.9 s ahead of controller's: lab.up sets it")
    assert found["controller"] == (PASSED, "within 0.00 s of the others'")
    assert found["compute2"] == (ERROR, "its clock was not read")


def test_nodes_that_agree_pass_though_the_host_is_off() -> None:
    assert {
        status
        for status, _ in clocks(
            dict.fromkeys(("controller", "compute1", "compute2"), 90.0)
        ).values()
    } == {PASSED}


def test_a_host_that_is_off_does_not_blame_the_wrong_node() -> None:
    found = clocks({"controller": 90.0, "compute1": 90.1, "compute2": 94.0})
    assert {name: status for name, (status, _) in found.items()} == {
        "controller": PASSED,
        "compute1": PASSED,
        "compute2": FAILED,
    }


def test_a_node_asked_alone_is_held_against_the_host() -> None:
    assert clocks({"compute1": -0.2})["compute1"] == (PASSED, "within 0.20 s of the host's")
    assert clocks({"compute1": -4.0})["compute1"] == (WARNED, "4.0 s behind the host's")


@given(
    st.dictionaries(
        st.sampled_from(["controller", "compute1", "compute2"]), st.floats(-9, 9), min_size=2
    )
)
def test_of_any_two_clocks_too_far_apart_one_fails(offsets: dict[str, float]) -> None:
    found = clocks(offsets)
    names = sorted(offsets)
    for first in names:
        for second in names:
            if abs(offsets[first] - offsets[second]) >= node_clocks.MOST_SKEW_S:
                assert FAILED in (found[first][0], found[second][0])


@given(
    st.dictionaries(
        st.sampled_from(["controller", "compute1", "compute2"]), st.floats(-0.24, 0.24), min_size=2
    )
)
def test_clocks_that_are_near_each_other_never_fail(offsets: dict[str, float]) -> None:
    assert FAILED not in {status for status, _ in clocks(offsets).values()}


@pytest.mark.parametrize(
    ("lines", "offset"),
    [
        (("1800000000.25",), 0.25),
        (("date: invalid",), None),
        ((), None),
        (("nan",), None),
        (("inf",), None),
    ],
)
def test_an_offset_is_what_the_node_said_less_when_it_came(
    lines: tuple[str, ...], offset: float | None
) -> None:
    answer = Answer(said={"nodes.clock": Said(lines=lines, code=0, heard_at=NOW)})
    assert node_clocks.offset_s(answer) == offset


@pytest.mark.parametrize(("first_late", "later_late"), [(0.9, 0.02), (0.02, 0.9)])
def test_of_two_looks_at_a_clock_the_one_that_came_fastest_counts(
    first_late: float, later_late: float
) -> None:
    def look_at(ahead: float, late: float) -> Said:
        return Said(lines=(str(NOW + ahead),), code=0, heard_at=NOW + late)

    for ahead in (0.0, -5.0, 5.0):
        said = {
            "nodes.clock": look_at(ahead, first_late),
            "nodes.clock.later": look_at(ahead, later_late),
        }
        assert node_clocks.offset_s(Answer(said=said)) == pytest.approx(ahead - 0.02, abs=1e-3)
