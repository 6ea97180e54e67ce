from __future__ import annotations

import dataclasses
import functools
import os
from pathlib import Path

import pytest

from stacklab.doctor import resources
from stacklab.doctor.machine import Machine
from stacklab.doctor.result import ProbeArea, ProbeStatus
from stacklab.model.lab import Disk, NodeKind, Size
from stacklab.paths import HostPaths
from stacklab.providers.containers.handles import machine_of
from tests.unit.checks.fake_lab import make_lab
from tests.unit.doctor.fake_machine import make_machine

HOST = HostPaths(Path("/var/lib/stacklab"))
probe_memory = functools.partial(resources.probe_memory, host=HOST)
LAB = make_lab(memory_mib=1024)  # with QEMU's own part: 3 * 1174 MiB


@pytest.mark.parametrize(
    ("available", "swap", "status"),
    [
        (3522, 0, ProbeStatus.OK),
        (3521, 0, ProbeStatus.FAILED),
        (3521, 1, ProbeStatus.WARNING),
        (2000, 1000, ProbeStatus.FAILED),
    ],
)
def test_memory_must_hold_all_nodes_with_swap_as_the_last_resort(
    available: int, swap: int, status: ProbeStatus
) -> None:
    result = probe_memory(LAB, make_machine(available_mib=available, swap_mib=swap))
    assert result.status is status
    assert "trio needs 3.4 GiB" in result.sentence
    assert ("labs/trio.yaml" in result.fix) is (status is not ProbeStatus.OK)


def test_containers_need_what_they_use_and_not_their_limit() -> None:
    containers = LAB.all_as(NodeKind.CONTAINER)
    result = probe_memory(containers, make_machine(available_mib=400))
    assert result.status is ProbeStatus.OK
    assert "trio needs 0.2 GiB" in result.sentence


def test_nodes_that_run_already_need_no_more_memory() -> None:
    machine = make_machine(available_mib=1500)
    assert probe_memory(LAB, machine).is_failed
    assert not probe_memory(LAB, machine, starting={"compute2"}).is_failed
    assert not probe_memory(LAB, make_machine(available_mib=0), starting=()).is_failed


def process(name: str, mib: int, *, cmdline: str = "", cgroup: str = "0::/") -> dict[str, str]:
    """The files of /proc of a process."""
    status = f"Name:\t{name}\nRssAnon:\t{mib * 1024} kB\nRssFile:\t9999999 kB\nRssShmem:\t0 kB\n"
    return {"status": status, "cmdline": cmdline, "cgroup": cgroup}


def with_processes(machine: Machine, *processes: dict[str, str]) -> Machine:
    """A machine on which these processes run, from number 1 upward."""
    texts = {
        f"/proc/{number}/{file}": text
        for number, files in enumerate(processes, start=1)
        for file, text in files.items()
    }
    names = ("self", "meminfo", *(str(number + 1) for number in range(len(processes))))
    return dataclasses.replace(
        machine,
        list_dir=lambda path: names if path == Path("/proc") else (),
        read_text=lambda path: texts.get(str(path)) or machine.read_text(path),
    )


def test_who_has_the_memory_is_named_labs_first_then_the_largest_programs() -> None:
    other = dataclasses.replace(make_lab(), name="boxes").all_as(NodeKind.CONTAINER)
    box = machine_of(HOST.lab("boxes").container("compute1"))
    machine = with_processes(
        make_machine(available_mib=100),
        process("qemu-system-x86", 2048, cmdline="qemu\0-name\0guest=solo_node1,debug\0"),
        process("qemu-system-x86", 1024, cmdline="qemu\0-name\0guest=solo_node2,debug\0"),
        process("mariadbd", 512, cgroup=f"1:cpu:/\n0::/stacklab/{box}/run\n"),
        process("chromium", 700),
        process("chromium", 700),
        process("java", 5000),
        process("bash", 63),
        process("nginx", 100),
        process("vim", 80),
    )
    result = probe_memory(LAB, machine, others=(other,))
    assert result.is_failed
    assert result.sentence == (
        "trio needs 3.4 GiB of memory, 0.1 GiB is free; the memory is with lab solo 3.0 GiB, "
        "lab boxes 0.5 GiB, java 4.9 GiB, chromium 1.4 GiB in 2 processes, nginx 0.1 GiB"
    )


def test_a_process_with_a_hostile_name_moves_no_cursor() -> None:
    machine = with_processes(make_machine(available_mib=100), process("a\x1b[2Jb", 500))
    assert "is with ab 0.5 GiB" in probe_memory(LAB, machine).sentence


def test_nobody_is_named_where_the_nodes_fit() -> None:
    machine = with_processes(make_machine(available_mib=9000), process("java", 5000))
    assert "java" not in probe_memory(LAB, machine).sentence


@pytest.mark.parametrize(
    ("available", "swap", "status"),
    [
        (2348, 0, ProbeStatus.WARNING),  # 1.5 * 2348 is 3522
        (1348, 1000, ProbeStatus.WARNING),
        (2347, 0, ProbeStatus.FAILED),
    ],
)
def test_memory_may_be_overcommitted_on_request_and_the_risk_is_said(
    available: int, swap: int, status: ProbeStatus
) -> None:
    machine = make_machine(available_mib=available, swap_mib=swap)
    result = probe_memory(LAB, machine, overcommit=1.5)
    assert result.status is status
    if status is ProbeStatus.WARNING:
        assert result.is_said
        assert "overcommit allows 1.5 times that" in result.sentence
        assert "kills processes" in result.sentence


def test_overcommit_is_not_advised_where_it_could_not_help() -> None:
    assert "overcommit" in probe_memory(LAB, make_machine(available_mib=1000)).fix
    assert "overcommit" not in probe_memory(LAB, make_machine(available_mib=100)).fix


def test_a_lab_that_is_larger_than_the_host_is_not_told_to_stop_others() -> None:
    small = make_machine(files={"/proc/meminfo": "MemTotal: 2097152 kB\nMemAvailable: 9 kB\n"})
    assert "stop another lab" not in probe_memory(LAB, small).fix
    assert "a larger host" in probe_memory(LAB, small).fix
    assert "stop another lab" in probe_memory(LAB, make_machine(available_mib=9)).fix


@pytest.mark.parametrize("text", ["", "MemAvailable: lots\n", "MemAvailableX: 12 kB"])
def test_an_unreadable_meminfo_is_a_warning(text: str) -> None:
    result = probe_memory(LAB, make_machine(files={"/proc/meminfo": text}))
    assert result.status is ProbeStatus.WARNING


@pytest.mark.parametrize(
    ("free", "status"),
    [
        (7168, ProbeStatus.OK),
        (7167, ProbeStatus.WARNING),
        (1536, ProbeStatus.WARNING),
        (1535, ProbeStatus.FAILED),
    ],
)
def test_disk_is_wanted_for_an_image_and_every_node(free: int, status: ProbeStatus) -> None:
    machine = dataclasses.replace(make_machine(), free_mib=lambda path: free)
    assert resources.probe_disk(LAB, HOST, machine).status is status


def test_further_disks_count_by_what_is_likely_written_and_shared_ones_once() -> None:
    large = Disk(name="disk1", size=Size.parse("1TiB"), serial="a")
    small = Disk(name="disk2", size=Size(512), serial="b")
    shared = Disk(name="quorum", size=Size(512), serial="c", is_shared=True)
    nodes = tuple(dataclasses.replace(node, disks=(large, small, shared)) for node in LAB.nodes)
    lab = dataclasses.replace(LAB, nodes=nodes)
    machine = dataclasses.replace(make_machine(), free_mib=lambda path: 10**9)
    before, after = (resources.probe_disk(one, HOST, machine).sentence for one in (LAB, lab))
    needs = [float(text.split(" may need ")[1].split(" GiB")[0]) for text in (before, after)]
    assert needs[1] - needs[0] == 2.5 * len(LAB.nodes) + 0.5


def test_disk_without_a_lab_is_for_one_node() -> None:
    machine = dataclasses.replace(make_machine(), free_mib=lambda path: 3072)
    assert resources.probe_disk(None, HOST, machine).status is ProbeStatus.OK


def test_a_home_that_cannot_be_written_fails_with_its_fix() -> None:
    machine = dataclasses.replace(make_machine(), is_writable=lambda path: False)
    result = resources.probe_root(HOST, machine)
    assert result.is_failed
    assert "sudo install -d -o me /var/lib/stacklab" in result.fix


def open_to_all(path: Path) -> Machine:
    """A machine on which every user may write to that path."""
    return dataclasses.replace(make_machine(), is_open_to_all=lambda asked: asked == path)


@pytest.mark.parametrize("path", [HOST.root, HOST.labs, HOST.images, HOST.lab("trio").root])
def test_a_directory_that_everybody_may_write_to_fails_with_its_fix(path: Path) -> None:
    """Whoever replaces a lab's ssh_config or Vagrantfile runs commands as root."""
    result = resources.probe_root(HOST, open_to_all(path), LAB)
    assert result.is_failed
    assert result.sentence == f"every user of this host may write to {path}"
    assert result.fix == f"chmod o-w {path}"


def test_a_lab_that_does_not_start_now_is_not_looked_at() -> None:
    assert not resources.probe_root(HOST, open_to_all(HOST.lab("trio").root)).is_failed


def test_a_home_whose_name_is_not_utf_8_fails_with_its_fix() -> None:
    host = HostPaths(Path(os.fsdecode(b"/home/m\xfcller")))
    result = resources.probe_root(host, make_machine())
    assert result.is_failed
    assert "/home/m\\udcfcller is not UTF-8" in result.sentence
    disk = resources.probe_disk(None, host, make_machine())
    (result.sentence + result.fix + disk.sentence).encode()  # what a terminal does with it


@pytest.mark.parametrize("name", ["a\nb", "a\tb", "a\x1bb", "a\x7f"])
def test_a_home_with_a_control_character_is_refused_before_ssh_reads_it(name: str) -> None:
    result = resources.probe_root(HostPaths(Path("/h") / name), make_machine())
    assert result.is_failed
    assert "control character" in result.sentence
    assert name not in result.sentence
    assert result.fix == "set STACKLAB_HOME to a directory with another name"


SOCKET = "Failed to connect socket to '/var/run/libvirt/libvirt-sock'"


@pytest.mark.parametrize(
    ("problem", "comm", "sentence", "fix"),
    [
        (
            f"{SOCKET}: No such file or directory",
            "systemd",
            "is not running",
            "sudo systemctl start libvirtd",
        ),
        (
            f"{SOCKET}: No such file or directory",
            "bash",
            "is not running",
            "virtlogd -d; libvirtd -d",
        ),
        (
            f"{SOCKET}: Connection refused",
            "systemd",
            "is not running",
            "sudo systemctl start libvirtd",
        ),
        (f"{SOCKET}: Permission denied", "systemd", "does not let me in", "usermod -aG libvirt me"),
        (
            "authentication unavailable: no polkit agent",
            "systemd",
            "does not let me in",
            "log in again",
        ),
        ("internal error: client socket is closed", "systemd", "does not answer", "virsh"),
        (
            "internal error: Unable to get system bus connection: "
            "Could not connect: No such file or directory",
            "init",
            "can't tell who",
            "sudo systemctl start dbus polkit",
        ),
    ],
)
def test_what_libvirt_says_leads_to_its_fix(
    problem: str, comm: str, sentence: str, fix: str
) -> None:
    result = resources.probe_libvirt(problem, make_machine(files={"/proc/1/comm": comm + "\n"}))
    assert result.is_failed
    assert result.area is ProbeArea.PROVIDER
    assert sentence in result.sentence
    assert problem in result.sentence
    assert fix in result.fix


def test_a_connection_to_libvirt_is_all_well() -> None:
    assert resources.probe_libvirt(None, make_machine()).status is ProbeStatus.OK


def test_emulation_is_a_warning_with_its_reason() -> None:
    result = resources.probe_accelerator("tcg", "no kernel boots under /dev/kvm within 5 s")
    assert result.status is ProbeStatus.WARNING
    assert "no kernel boots" in result.sentence
    assert resources.probe_accelerator("kvm").status is ProbeStatus.OK


def test_a_source_out_of_reach_is_a_warning_by_name() -> None:
    good, bad = resources.probe_sources({"debian-12": None, "ubuntu-14.04": "404 Not Found"})
    assert good.status is ProbeStatus.OK
    assert bad.status is ProbeStatus.WARNING
    assert bad.sentence == "ubuntu-14.04 cannot be reached: 404 Not Found"
