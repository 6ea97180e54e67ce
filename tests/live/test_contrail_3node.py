"""The main job, end to end on real parts; the tests build on each other, in this order."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from stacklab.paths.project import PROJECT
from tests.live.labs import HOME, LAB, MENDED_S, MINI, NODES, NOT_COPIED, VMS, all_passed, as_kind
from tests.live.remains import bridges, left_of
from tests.live.typed import Run, Stacklab

pytestmark = pytest.mark.live

DIRECTORY = HOME / "labs" / LAB
# What an emulated CPU that starves does now and then, once and on purpose.
PANIC_AT_NEXT_BOOT = """sudo tee /etc/systemd/system/panic-once.service > /dev/null <<'end'
[Unit]
DefaultDependencies=no
After=local-fs.target
Before=sysinit.target
ConditionPathExists=!/panicked
[Service]
Type=oneshot
ExecStart=/bin/sh -c "touch /panicked; sync; echo 1 > /proc/sys/kernel/sysrq; echo c > /proc/sysrq-trigger"
[Install]
WantedBy=sysinit.target
end
sudo systemctl -q enable panic-once && sync"""


def test_the_image_is_thin_large_read_only_and_built_once(stacklab: Stacklab, image: Path) -> None:
    info = json.loads(subprocess.check_output(("qemu-img", "info", "--output=json", str(image))))
    assert info["virtual-size"] == 48 * 1024**3
    assert image.stat().st_size < 600 * 1024**2
    assert image.stat().st_mode & 0o222 == 0
    before = image.stat().st_mtime_ns
    assert stacklab.ok("image.build", "debian-12").elapsed_s < 5
    assert image.stat().st_mtime_ns == before
    stacklab.ok("image.verify")


@pytest.mark.kinds("containers", "vms")
def test_one_command_brings_up_three_nodes_and_checks_them(
    stacklab: Stacklab, lab: Run, kind: str
) -> None:
    assert all_passed(LAB, kind) in lab.out
    assert "ubuntu-14.04" in lab.out, "which image was taken, and which was not, is said"
    for node in NODES:
        assert re.search(
            rf"{node} .*eth0 192\.168\.150\.\d+ .*eth1 10\.150\.0\.\d+ .*lab\.ssh", lab.out
        ), node
    assert stacklab.states(LAB) == dict.fromkeys(NODES, "running")


@pytest.mark.kinds("containers", "vms")
def test_status_is_quick_and_starts_no_vagrant(stacklab: Stacklab, lab: Run) -> None:
    shutil.rmtree(HOME / "no-vagrant", ignore_errors=True)
    (HOME / "no-vagrant").mkdir()
    fake = HOME / "no-vagrant" / "vagrant"
    fake.write_text('#!/bin/sh\ntouch "$(dirname "$0")/called"\n')
    fake.chmod(0o755)
    guarded = Stacklab(
        environment={**stacklab.environment, "PATH": f"{fake.parent}:{os.environ['PATH']}"}
    )
    took = min(guarded.ok("lab.status", LAB).elapsed_s for _ in range(3))
    print(f"lab.status took {took:.2f} s")
    assert not (fake.parent / "called").exists()


@pytest.mark.kinds("containers", "vms")
def test_up_again_leaves_running_nodes_alone(stacklab: Stacklab, lab: Run) -> None:
    before = {node: stacklab.on(LAB, node, "cat /proc/sys/kernel/random/boot_id") for node in NODES}
    stacklab.ok("lab.up", LAB)
    assert {
        node: stacklab.on(LAB, node, "cat /proc/sys/kernel/random/boot_id") for node in NODES
    } == before


@pytest.mark.kinds("vms", only=True)
def test_each_node_is_what_the_spec_says(stacklab: Stacklab, lab: Run, kind: str) -> None:
    for number, node in enumerate(NODES):
        text = stacklab.on(
            LAB,
            node,
            "hostname; id -un; sudo -n id -u; ip -4 -br addr; cat /proc/swaps; df -BG --output=size / | tail -1;"
            "cat /sys/class/net/eth1/mtu; systemctl is-system-running --wait; ls /dev/kvm; cat /proc/cmdline",
        )
        assert text.splitlines()[:3] == [node, "stack", "0"]
        assert f"192.168.150.{10 + number}/24" in text
        assert f"10.150.0.{10 + number}/24" in text
        size = int(re.search(r"^/swapfile\s+file\s+(\d+)", text, re.MULTILINE)[1])  # type: ignore[index]
        assert size <= 1024 * 1024
        assert re.search(r"^\s*4[4-8]G$", text, re.MULTILINE), "the root file system fills the disk"
        assert "console=ttyS0" in text
        assert "/dev/kvm" in text, "nodes can virtualize in turn"


def test_the_answers_are_in_place_and_shut(stacklab: Stacklab, lab: Run) -> None:
    passwords = json.loads((DIRECTORY / "secrets.json").read_text())
    for node in NODES:
        for path in ("/opt/stack/contrail-installer/localrc", "/opt/stack/devstack/localrc"):
            assert stacklab.on(LAB, node, f"stat -c '%U %a' {path}").strip() == "stack 600"
            text = stacklab.on(LAB, node, f"cat {path}")
            assert text == (DIRECTORY / "answers" / node / path.lstrip("/")).read_text()
            assert passwords["rabbit_password"] in text
    grep = "grep ^INSTALL_PROFILE /opt/stack/contrail-installer/localrc"
    profile = {node: stacklab.on(LAB, node, grep) for node in NODES}
    assert profile["controller"].strip() == "INSTALL_PROFILE=ALL"
    assert profile["compute1"].strip() == profile["compute2"].strip() == "INSTALL_PROFILE=COMPUTE"
    assert (DIRECTORY / "secrets.json").stat().st_mode & 0o777 == 0o600
    assert not any(password in lab.out + lab.err for password in passwords.values())


def test_what_somebody_changed_on_a_node_is_shown_and_put_right(
    stacklab: Stacklab, lab: Run
) -> None:
    assert stacklab.ok("answers.diff", LAB).out.strip() == ""
    path = "/opt/stack/devstack/localrc"
    stacklab.on(LAB, "compute1", f"sed -i s/^LOGDAYS=1/LOGDAYS=7/ {path}; echo NEW=1 >> {path}")
    run = stacklab.run("answers.diff", LAB)
    assert run.code == 1
    assert {f"--- compute1:{path}", "-LOGDAYS=7", "+LOGDAYS=1", "-NEW=1"} < set(
        run.out.splitlines()
    )
    passwords = json.loads((DIRECTORY / "secrets.json").read_text())
    assert not any(password in run.out + run.err for password in passwords.values())
    assert f"replaced compute1:{path}" in stacklab.ok("answers.push", LAB).out
    assert stacklab.on(LAB, "compute1", f"stat -c '%U %a' {path}").strip() == "stack 600"
    stacklab.ok("answers.diff", LAB)


def test_no_password_and_no_root_login_opens_a_node(stacklab: Stacklab, lab: Run) -> None:
    effective = stacklab.on(LAB, "compute1", "sudo sshd -T")
    assert "passwordauthentication no" in effective
    assert "permitrootlogin no" in effective
    assert stacklab.on(LAB, "compute1", "sudo awk -F: '$2 !~ /^[!*]/' /etc/shadow") == ""


@pytest.mark.kinds("vms", only=True)
def test_vagrant_itself_works_in_the_labs_directory(
    stacklab: Stacklab, lab: Run, kind: str
) -> None:
    status = subprocess.run(
        ("vagrant", "status"), cwd=DIRECTORY, capture_output=True, text=True, check=True
    )
    assert len(re.findall(r"running \(libvirt\)", status.stdout)) == 3
    argv = ("vagrant", "ssh", "compute1", "-c", "hostname; id -un")
    ssh = subprocess.run(argv, cwd=DIRECTORY, capture_output=True, text=True, check=True)
    assert ssh.stdout.split() == ["compute1", "stack"]


def test_exec_tells_the_nodes_apart_and_returns_their_code(stacklab: Stacklab, lab: Run) -> None:
    run = stacklab.ok("lab.exec", LAB, "--", "hostname")
    assert sorted(run.out.split()) == sorted(word for node in NODES for word in (node, "|", node))
    assert stacklab.run("lab.exec", LAB, "--node", "compute2", "--", "exit 3").code == 3


def test_ssh_runs_the_command_behind_the_dashes_on_one_node(stacklab: Stacklab, lab: Run) -> None:
    assert stacklab.ok("lab.ssh", LAB, "--", "hostname").out.split() == ["controller"]
    run = stacklab.run("lab.ssh", LAB, "--node", "compute1", "--", "hostname; exit 3")
    assert (run.out.split(), run.code) == (["compute1"], 3)


@pytest.mark.kinds("containers", "vms")
def test_the_console_shows_what_a_node_prints(stacklab: Stacklab, lab: Run, kind: str) -> None:
    shown = "Secure Shell server"
    if kind == VMS:  # it may come from a snapshot, and its console begins with that
        shown = "printed by a test"
        stacklab.on(LAB, "compute1", f"echo {shown} | sudo tee /dev/ttyS0 >/dev/null")
    assert shown in stacklab.ok("lab.console", LAB, "--node", "compute1").out


@pytest.mark.kinds("containers", "vms")
def test_check_finds_what_is_broken_and_says_so_in_its_reports(
    stacklab: Stacklab, lab: Run, tmp_path: Path
) -> None:
    junit = tmp_path / "c.xml"
    stacklab.on(LAB, "compute1", "sudo ip link set eth1 down")
    try:
        run = stacklab.run("lab.check", LAB, "--junit", str(junit))
    finally:
        stacklab.on(LAB, "compute1", "sudo ip link set eth1 up")
    assert run.code == 5
    assert re.search(r"cause +eth1 is down on compute1", run.out)
    assert "10.150.0.11/24" in run.out
    assert "on fabric; compute1 <-> controller, compute2" in run.out
    # What the node sends to the host by its other NIC is refused, or lost with the answer.
    assert re.search(r"nic, routes, no-transit(, host-services)? of compute1", run.out)
    failed = [
        case.get("name")
        for case in ET.parse(junit).iter("testcase")
        if case.find("failure") is not None
    ]
    assert "controller eth1 -> compute1 10.150.0.11 (fabric): ping" in failed
    stacklab.check(LAB, "--wait", MENDED_S)


def test_a_bridge_that_took_a_nics_address_is_as_good_as_the_nic(
    stacklab: Stacklab, lab: Run
) -> None:
    """As OVN's br-ex and Contrail's vhost0 do."""
    took = (
        "ip link add br-ex type bridge; ip link set br-ex address $(cat /sys/class/net/eth1/address);"
        "ip addr flush dev eth1; ip link set eth1 master br-ex; ip link set br-ex up;"
        "ip addr add 10.150.0.11/24 dev br-ex"
    )
    stacklab.on(LAB, "compute1", f"sudo sh -c '{took}'")
    try:
        stacklab.check(LAB, "--wait", MENDED_S)
    finally:
        stacklab.on(
            LAB, "compute1", "sudo sh -c 'ip link del br-ex; ip addr add 10.150.0.11/24 dev eth1'"
        )
    stacklab.check(LAB, "--wait", MENDED_S)


def test_a_node_with_another_host_key_is_refused_loudly(stacklab: Stacklab, lab: Run) -> None:
    stacklab.close_connections(LAB, NODES)
    known_hosts = DIRECTORY / "known_hosts"
    text = known_hosts.read_text()
    lines = text.splitlines()
    # compute1 gets compute2's key
    swapped = [lines[0], f"{lines[1].split()[0]} {' '.join(lines[2].split()[1:])}", lines[2]]
    known_hosts.write_text("\n".join(swapped) + "\n")
    try:
        run = stacklab.run("lab.check", LAB)
    finally:
        known_hosts.write_text(text)
    assert run.code == 5
    assert "HOST KEY MISMATCH" in run.out
    assert re.search(
        r"host -> compute1 192\.168\.150\.11 \(mgmt\): login\s+HOST KEY MISMATCH", run.out
    )


@pytest.mark.kinds("containers", "vms")
def test_another_lab_runs_beside_it_and_goes_without_a_trace(
    stacklab: Stacklab, lab: Run, kind: str
) -> None:
    stacklab.ok("lab.up", MINI, *as_kind(kind))
    assert stacklab.states(LAB) == dict.fromkeys(NODES, "running")
    if kind == VMS:
        stacklab.on(MINI, "node2", PANIC_AT_NEXT_BOOT)
    stacklab.ok("lab.down", MINI)
    run = stacklab.ok("lab.up", MINI)
    if kind == VMS:
        assert "node2: its kernel panicked: resetting it, 1 of 2" in run.err
    stacklab.ok("lab.destroy", MINI)
    assert left_of(MINI) == []
    assert stacklab.states(LAB) == dict.fromkeys(NODES, "running")


@pytest.mark.kinds("containers", "vms")
def test_down_keeps_disks_and_turns_nodes_off(stacklab: Stacklab, lab: Run) -> None:
    stacklab.on(LAB, "compute1", "echo kept > /home/stack/kept; sync")
    stacklab.ok("lab.down", LAB)
    assert stacklab.states(LAB) == dict.fromkeys(NODES, "off")


def test_a_base_image_that_was_changed_is_refused_by_name(
    stacklab: Stacklab, lab: Run, image: Path
) -> None:
    stacklab.ok("lab.down", LAB)  # again: it is off already, unless the test before failed
    image.chmod(0o644)
    with image.open("r+b") as stream:
        stream.seek(-1, os.SEEK_END)
        last = stream.read(1)
        stream.seek(-1, os.SEEK_END)
        stream.write(bytes([last[0] ^ 1]))
    run = stacklab.run("lab.up", LAB)
    with image.open("r+b") as stream:
        stream.seek(-1, os.SEEK_END)
        stream.write(last)
    image.chmod(0o444)
    assert run.code == 8
    assert image.stem in run.err
    assert stacklab.states(LAB) == dict.fromkeys(NODES, "off")


@pytest.mark.kinds("containers", "vms")
def test_up_after_down_keeps_disks_keys_and_addresses(
    stacklab: Stacklab, lab: Run, kind: str
) -> None:
    run = stacklab.ok("lab.up", LAB)
    assert all_passed(LAB, kind) in run.out
    assert stacklab.on(LAB, "compute1", "cat /home/stack/kept") == "kept\n"


def test_rebuild_starts_over_with_the_same_passwords_and_addresses(
    stacklab: Stacklab, lab: Run, kind: str
) -> None:
    secrets = (DIRECTORY / "secrets.json").read_text()
    run = stacklab.ok("lab.rebuild", LAB)
    assert all_passed(LAB, kind) in run.out
    assert (DIRECTORY / "secrets.json").read_text() == secrets
    assert stacklab.on(LAB, "compute1", "test -e /home/stack/kept || echo gone") == "gone\n"


def test_another_checkout_is_refused(stacklab: Stacklab, lab: Run, tmp_path: Path) -> None:
    copy = tmp_path / "checkout"
    shutil.copytree(PROJECT, copy, ignore=shutil.ignore_patterns(*NOT_COPIED))
    elsewhere = Stacklab(
        checkout=copy, environment={**stacklab.environment, "PYTHONPATH": str(copy)}
    )
    for task in ("lab.up", "lab.destroy", "lab.down", "lab.rebuild"):
        run = elsewhere.run(task, LAB)
        assert run.code == 4, task
        assert str(PROJECT) in run.err
    assert stacklab.states(LAB) == dict.fromkeys(NODES, "running")


def test_two_commands_on_one_lab_do_not_run_at_once(stacklab: Stacklab, lab: Run) -> None:
    started = [stacklab.start("lab.up", LAB, "--no-checks") for _ in range(3)]
    said = [process.communicate(timeout=180)[1] for process in started]
    assert [process.returncode for process in started] == [0, 0, 0], said


@pytest.mark.kinds("containers", "vms")
def test_destroy_leaves_nothing_behind(stacklab: Stacklab, lab: Run, image: Path) -> None:
    stacklab.ok("lab.destroy", LAB)
    assert left_of(LAB) == []
    assert bridges() == []
    assert image.is_file(), "images are shared: prune removes them, not destroy"
    assert "nothing of lab" in stacklab.ok("lab.destroy", LAB).out
