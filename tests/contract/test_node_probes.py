"""What a node is asked about itself, by real shells on this machine and in network namespaces of
our own.
"""

from __future__ import annotations

import dataclasses
import os
import re
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from ipaddress import IPv4Interface
from pathlib import Path

import pytest

from stacklab.checks.family import Facts
from stacklab.checks.nodes import family as nodes
from stacklab.checks.nodes import look as nodes_look
from stacklab.checks.nodes import network as nodes_network
from stacklab.checks.nodes.look import Look, parse
from stacklab.checks.result import Check, CheckKind, CheckStatus, Reason, Verdict
from stacklab.model.lab import Lab, Node
from stacklab.nodes import protocol
from stacklab.nodes.protocol import Answer
from stacklab.workflow.nodes import clocks
from tests.unit.checks.fake_lab import make_lab

MARK = "stacklab-contract"
SHELLS = [
    pytest.param(name, marks=pytest.mark.skipif(shutil.which(name) is None, reason=f"no {name}"))
    for name in ("sh", "bash", "dash")
]
LAB = make_lab()
NODE = LAB.node("controller")
ALL = [
    check
    for check in nodes.expected(LAB)
    if check.node == NODE.name and check.kind is not CheckKind.USER
]


def ask(
    *before: str, path: str = os.environ["PATH"], lab: Lab = LAB, checks: list[Check] = ALL
) -> Answer:
    """Run a node's script by that shell."""
    script = protocol.render(list(nodes.parts(lab, lab.node("controller"), checks, Facts())), MARK)
    done = subprocess.run(
        [*before, "-s"],
        input=script,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PATH": path},
        cwd="/",
    )
    assert done.stderr == ""
    return protocol.read(done.stdout, MARK)


def look(*before: str) -> Look:
    answer = ask(*before)
    assert not answer.missing("nodes.look")
    return parse(answer.of("nodes.look").lines)


def nics_here() -> set[str]:
    return {path.name for path in Path("/sys/class/net").iterdir() if (path / "address").exists()}


@pytest.mark.parametrize("shell", SHELLS)
def test_a_machine_tells_of_itself_what_python_sees(shell: str) -> None:
    before = nics_here()
    found = look(shell)
    after = nics_here()
    assert (
        before & after <= set(found.devices()) <= before | after
    )  # other tests' and labs' come and go
    assert abs(float(found.first("uptime")) - time.clock_gettime(time.CLOCK_BOOTTIME)) < 60
    online = Path("/sys/devices/system/cpu/online").read_text().strip()
    assert found.first("online") == online
    total = re.search(r"MemTotal: +(\d+)", Path("/proc/meminfo").read_text())
    assert total is not None
    assert found.number("MemTotal:") == int(total[1])
    assert found.number("SwapTotal:") is not None
    root, held, real = found.root(), found.file_system(), os.statvfs("/")
    assert root is not None
    assert held is not None
    assert (held.bytes, held.inodes) == (real.f_frsize * real.f_blocks, real.f_files)
    assert "ro" not in root.options or real.f_flag & os.ST_RDONLY
    addresses = found.addresses()
    assert addresses is not None
    assert IPv4Interface("127.0.0.1/8") in addresses["lo"]
    assert found.routes() is not None


@pytest.mark.parametrize("shell", SHELLS)
def test_a_machine_tells_what_a_container_is_judged_by(shell: str) -> None:
    found = look(shell)
    status = Path("/proc/self/status").read_text()
    allowed = re.search(r"Cpus_allowed_list:\s*(\S+)", status)
    assert allowed is not None
    assert found.first("allowed") == allowed[1]
    present = Path("/sys/devices/system/cpu/present").read_text().strip()
    assert found.first("present") == present
    # The 22nd word, counted as proc(5) does: the second is a name in brackets.
    stat = Path("/proc/1/stat").read_text()
    assert found.number("began") == int(stat.rpartition(") ")[2].split()[19])


def test_every_block_device_is_told_with_what_it_lies_on() -> None:
    told = {words[0]: words for words in look("sh").words.get("block", [])}
    real = {path.name: path for path in Path("/sys/class/block").iterdir()}
    wanted = {name for name in real if not re.match(r"loop|ram|nbd|sr|fd", name)}
    assert set(told) == wanted
    for name in wanted:
        _, dev, size, parent, *_ = told[name]
        assert dev == (real[name] / "dev").read_text().strip()
        assert size == (real[name] / "size").read_text().strip()
        if (real[name] / "partition").exists():
            assert parent == (real[name].resolve().parent / "dev").read_text().strip()
        else:
            assert parent == "-"


def test_what_a_look_leaves_behind_does_not_reach_the_next_part() -> None:
    answer = ask("sh")
    assert answer.of("nodes.hostname").text == Path("/proc/sys/kernel/hostname").read_text().strip()
    assert abs(float(answer.of("nodes.clock").text) - time.time()) < 30
    assert answer.is_complete


@pytest.fixture
def poor_path(tmp_path: Path) -> str:
    """A PATH with sed and nothing else."""
    sed = shutil.which("sed")
    assert sed is not None
    (tmp_path / "sed").symlink_to(sed)
    return str(tmp_path)


def test_a_missing_program_is_said_and_spoils_nothing_else(poor_path: str) -> None:
    # render() adds /usr/sbin and /sbin, where ip may be: a function hides it
    script = protocol.render(list(nodes.parts(LAB, NODE, ALL, Facts())), MARK)
    hidden = "ip() { return 127; }\nstat() { return 127; }\n"
    done = subprocess.run(
        [shutil.which("sh") or "sh", "-s"],
        input=hidden + script,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PATH": poor_path},
    )
    answer = protocol.read(done.stdout, MARK)
    results = {result.check.kind: result for result in nodes.judge(LAB, ALL, answer, Facts())}
    for kind in (CheckKind.NIC, CheckKind.ROUTES):
        assert (results[kind].reason, results[kind].about) == (Reason.PROGRAM_MISSING, "ip")
    # Without stat, or in a container, whose root is on no disk.
    assert results[CheckKind.ROOT].reason in (Reason.PROGRAM_MISSING, Reason.UNREADABLE)
    assert results[CheckKind.UPTIME].status is CheckStatus.PASSED
    assert results[CheckKind.MEMORY].status is not CheckStatus.ERROR


@pytest.mark.parametrize("offset", [0.548, -17.0, 86400.25])
def test_date_understands_by_how_much_a_clock_is_to_be_moved(offset: float) -> None:
    line = clocks.shell_line(offset)
    assert line.startswith("sudo -n date -s ")
    # As it would be set: the same words, shown.
    shown = line.removeprefix("sudo -n ").replace("date -s", "date +%s.%N -d")
    done = subprocess.run(
        ["sh", "-c", shown.removesuffix(" >/dev/null")],
        capture_output=True,
        text=True,
        check=True,
        timeout=10,
    )
    assert abs(float(done.stdout.strip()) - (time.time() - offset)) < 5


# In a network namespace of our own, with a node's NICs.


def run(line: str) -> None:
    subprocess.run(["sh", "-c", line], check=True, capture_output=True, timeout=20)


@pytest.fixture
def namespace() -> Iterator[str]:
    """A namespace with the controller's NICs, healthy.

    Its other ends are up, so that there is a carrier.
    """
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("needs root and ip, to make a network namespace")
    name = f"sl-{secrets.token_hex(4)}"
    if (
        subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False).returncode
        != 0
    ):
        pytest.skip("this machine allows no network namespaces")
    try:
        for nic in NODE.nics:
            run(
                f"ip -n {name} link add {nic.device} address {nic.mac} mtu {nic.mtu} type veth"
                f" peer name p{nic.device}"
                f" && ip -n {name} link set p{nic.device} up && ip -n {name} link set"
                f" {nic.device} up"
                f" && ip -n {name} addr add {nic.address} dev {nic.device}"
            )
        run(f"ip -n {name} route add default via {LAB.networks[0].host_address} dev eth0")
        yield name
    finally:
        subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


def judged(namespace: str, node: Node = NODE) -> dict[str, Verdict]:
    """The verdict of each check of a NIC and of the routes that fails."""
    found = look("ip", "netns", "exec", namespace, "sh")
    verdicts = {nic.device: nodes_network.judge_nic(nic, found) for nic in node.nics}
    verdicts["routes"] = nodes_network.judge_routes(LAB, node, found)
    assert CheckStatus.ERROR not in {verdict.status for verdict in verdicts.values()}
    return {
        name: verdict for name, verdict in verdicts.items() if verdict.status is CheckStatus.FAILED
    }


def test_declared_nics_and_routes_pass(namespace: str) -> None:
    assert judged(namespace) == {}


@pytest.mark.parametrize(
    ("broken", "expected"),
    [
        (
            "ip link set eth1 down",
            {"eth1": (Reason.NIC_DOWN, "eth1"), "routes": (Reason.NO_ROUTE, "eth1")},
        ),
        ("ip link set peth1 down", {"eth1": (Reason.NO_CARRIER, "eth1")}),
        ("ip link set eth1 mtu 1400", {"eth1": (Reason.WRONG_MTU, "1400")}),
        (
            "ip link set eth1 address 02:00:00:00:00:01",
            {"eth1": (Reason.WRONG_MAC, "02:00:00:00:00:01")},
        ),
        (
            "ip addr flush dev eth1; ip addr add 10.20.0.99/24 dev eth1",
            {
                "eth1": (Reason.WRONG_ADDRESS, "has 10.20.0.99/24, not"),
                "routes": (Reason.WRONG_ROUTE, "from 10.20.0.99, not"),
            },
        ),
        (
            "ip addr flush dev eth1",
            {"eth1": (Reason.WRONG_ADDRESS, "no address"), "routes": (Reason.NO_ROUTE, "eth1")},
        ),
        (
            "ip link set eth1 down; ip link set eth1 name foo; ip link set foo up",
            {"eth1": (Reason.NIC_MISSING, "on foo"), "routes": (Reason.SEVERAL, "out of foo")},
        ),
        (
            "ip route add default via 10.20.0.1 dev eth1 metric 50",
            {"routes": (Reason.WRONG_ROUTE, "beside via 10.10.0.1 dev eth0")},
        ),
        (
            "ip route replace default"
            " nexthop via 10.10.0.1 dev eth0 nexthop via 10.20.0.1 dev eth1",
            {"routes": (Reason.WRONG_ROUTE, "via 10.10.0.1 via 10.20.0.1")},
        ),
        ("ip route del default", {"routes": (Reason.WRONG_ROUTE, "missing")}),
        (
            "ip addr add 10.20.0.11/24 dev eth0",
            {
                "eth1": (Reason.WRONG_ADDRESS, "on eth0 as well"),
                "routes": (Reason.WRONG_ROUTE, "out of eth0 as well"),
            },
        ),
        (
            "ip link add docker0 type bridge; ip addr add 172.17.0.1/16 dev docker0;"
            " ip link set docker0 up",
            {},
        ),
    ],
)
def test_what_is_broken_is_found(
    namespace: str, broken: str, expected: dict[str, tuple[Reason, str]]
) -> None:
    for line in broken.split("; "):
        run(f"ip -n {namespace} {line.removeprefix('ip ')}")
    verdicts = judged(namespace)
    assert {name: verdict.reason for name, verdict in verdicts.items()} == {
        name: reason for name, (reason, _word) in expected.items()
    }
    # One reason stands for several mistakes: the word tells which of them it is.
    for name, (_reason, word) in expected.items():
        assert word in verdicts[name].detail


def test_a_bridge_made_of_a_nic_may_have_its_address(namespace: str) -> None:
    ip = f"ip -n {namespace}"
    for line in (
        "link add br-ex type bridge",
        f"link set br-ex address {NODE.nics[1].mac}",
        "link set br-ex up",
        "addr flush dev eth1",
        "link set eth1 master br-ex",
        "addr add 10.20.0.11/24 dev br-ex",
    ):
        run(f"{ip} {line}")
    assert judged(namespace) == {}


def test_a_nic_that_the_spec_does_not_have_is_missed(namespace: str) -> None:
    more = dataclasses.replace(NODE.nics[1], device="eth2", mac="52:54:00:00:00:77")
    node = dataclasses.replace(NODE, nics=(*NODE.nics, more))
    assert judged(namespace, node)["eth2"].reason is Reason.NIC_MISSING


@pytest.mark.parametrize("shell", SHELLS)
def test_the_serials_of_disks_are_read_as_kernels_tell_them(tmp_path: Path, shell: str) -> None:
    disks = tmp_path / "class" / "block"
    texts = {"vda/serial": b"", "vdb/serial": b"disk1", "hda/device/model": b"QEMU HARDDISK"}
    # SCSI's page begins with its own number and length; ATA fills the serial up with blanks.
    texts |= {
        "sda/device/vpd_pg80": b"\x00\x80\x00\x03J_1",
        "sdb/device/vpd_pg80": b"\x00\x80\x00\x140815                ",
        "sdb1/partition": b"1",
        "nvme0n1/serial": b"none of ours",
    }
    for name, content in texts.items():
        (disks / name).parent.mkdir(parents=True, exist_ok=True)
        (disks / name).write_bytes(content)
    script = nodes_look.shell({CheckKind.FURTHER_DISK}).replace("/sys/class", f"{tmp_path}/class")
    done = subprocess.run(
        [shell, "-c", script.replace("\nblocks\n", "\n")],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    lines = [line.rstrip() for line in done.stdout.splitlines()]
    assert lines == [
        "serial hda",
        "serial sda J_1",
        "serial sdb 0815",
        "serial vda",
        "serial vdb disk1",
    ]
