"""A real sh runs parts of packer/openstack, on roots of their own and with stand-in programs."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from stacklab.paths.project import PROJECT

BAKE = PROJECT / "packer" / "openstack"
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="setpriv needs root")


# --- steps


def run_steps(directory: Path, commands: str) -> subprocess.CompletedProcess[str]:
    """Run commands behind what in-root.sh defines before its first part."""
    text = (BAKE / "in-root.sh").read_text()
    head, _, _ = text.partition("# configure USER")
    script = head.replace("cd /bake\n", f"cd {directory}\n") + commands
    return subprocess.run(
        ["sh"], input=script, capture_output=True, text=True, timeout=60, check=False
    )


@needs_root
def test_a_step_that_succeeds_tells_how_long_it_took(tmp_path: Path) -> None:
    done = run_steps(tmp_path, "step tables 10 root echo many words\nfail_if_failed\necho end\n")
    first, last = done.stdout.splitlines()
    assert first.startswith("bake: tables took ")
    assert (last, done.returncode) == ("end", 0)


@needs_root
def test_a_step_that_fails_ends_the_bake_with_its_last_lines(tmp_path: Path) -> None:
    done = run_steps(
        tmp_path,
        "step tables 10 root sh -c 'seq 20; echo no space >&2; exit 3' || fail_if_failed\n"
        "echo never\n",
    )
    lines = done.stdout.splitlines()
    assert lines[0] == "bake: step tables failed with exit code 3; it ends with:"
    assert lines[1:] == [f"bake:   {number}" for number in range(14, 21)] + ["bake:   no space"]
    assert done.returncode == 1


@needs_root
def test_of_several_steps_at_once_the_first_that_failed_is_told(tmp_path: Path) -> None:
    done = run_steps(
        tmp_path,
        "first() {\n step one 10 root false\n step never 10 root true\n}\n"
        "first &\nwait $! || :\nstep two 10 root false || :\nfail_if_failed\n",
    )
    assert done.stdout.splitlines() == [
        "bake: step one failed with exit code 1; it ends with:",
    ]
    assert done.returncode == 1


@needs_root
def test_a_step_has_an_end(tmp_path: Path) -> None:
    done = run_steps(tmp_path, "step slow 1 root sleep 50 || fail_if_failed\n")
    assert done.stdout.splitlines() == [
        "bake: step slow failed with exit code 124; it ends with:",
        "bake:   it had no end after 1 s",
    ]


# --- seal


class Root:
    """A root directory, to which the absolute paths of seal.sh are led."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def write(self, path: str) -> Path:
        target = self.directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("content")
        return target

    def enable(self, *links: str) -> None:
        for link in links:
            target = self.directory / link
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to("/lib/systemd/system/it")

    def left(self, *directories: str) -> list[str]:
        return sorted(
            str(path.relative_to(self.directory))
            for directory in directories
            for path in (self.directory / directory).rglob("*")
            if path.is_symlink() or path.is_file()
        )

    def seal(self) -> None:
        text = (BAKE / "seal.sh").read_text()
        text, _, _ = text.partition("# their locks")  # whose users are not on this machine
        for top in ("etc", "var", "run"):
            text = text.replace(f" /{top}/", f" {self.directory}/{top}/")
        assert " /etc" not in text
        subprocess.run(["sh"], input=text, text=True, timeout=30, check=True)


@pytest.fixture
def root(tmp_path: Path) -> Root:
    for directory in ("var/log", "var/lib/mysql"):
        (tmp_path / directory).mkdir(parents=True)
    return Root(tmp_path)


def test_only_what_makes_a_machine_a_node_stays_enabled(root: Root) -> None:
    wants = "etc/systemd/system/multi-user.target.wants"
    kept = (
        f"{wants}/ssh.service",
        f"{wants}/systemd-networkd.service",
        "etc/rc2.d/S01ssh",
        "etc/rc2.d/K01glance-api",  # stops it, which starts nothing
        "etc/systemd/system/sshd.service",
    )
    root.enable(*kept)
    root.enable(
        f"{wants}/nova-compute.service",
        f"{wants}/mariadb.service",
        "etc/systemd/system/sockets.target.wants/libvirtd.socket",
        "etc/systemd/system/some.service.requires/other.service",
        "etc/rc2.d/S01neutron-api",
    )
    root.seal()
    assert root.left("etc") == sorted(kept)


def test_logs_and_what_is_one_machines_own_are_removed(root: Root) -> None:
    for path in ("var/log/nova/nova-manage.log", "var/log/wtmp", "var/lib/rabbitmq/.erlang.cookie"):
        root.write(path)
    root.write("etc/iscsi/initiatorname.iscsi")
    root.write("var/lib/mysql/nova/instances.ibd")
    root.seal()
    assert root.left("var", "etc") == ["var/lib/mysql/nova/instances.ibd"]
    assert (root.directory / "var/log/nova").is_dir()


# --- the tenant's VM


def run_udhcpc(directory: Path, event: str, given: Mapping[str, str]) -> list[str]:
    """Return the calls of `ip` that the DHCP client's script makes."""
    called = directory / "called"
    ip = directory / "ip"
    ip.write_text(f'#!/bin/sh\necho "$*" >> {called}\n')
    ip.chmod(0o755)
    text = (BAKE / "tenant-udhcpc").read_text().replace("/etc/resolv", f"{directory}/resolv")
    environment = {**given, "PATH": f"{directory}:{os.environ['PATH']}"}
    subprocess.run(
        ["sh", "-s", event], input=text, text=True, env=environment, timeout=30, check=True
    )
    return called.read_text().splitlines() if called.exists() else []


LEASE = {
    "interface": "eth0",
    "ip": "10.0.0.5",
    "mask": "26",
    "router": "10.0.0.1",
    "dns": "9.9.9.9 8.8.8.8",
    "mtu": "1442",
}
ADDRESS = ["addr flush dev eth0", "addr add 10.0.0.5/26 dev eth0", "link set eth0 mtu 1442"]


def test_an_address_by_dhcp_is_set_with_its_router(tmp_path: Path) -> None:
    assert run_udhcpc(tmp_path, "bound", LEASE) == [*ADDRESS, "route add default via 10.0.0.1"]
    assert (tmp_path / "resolv.conf").read_text() == "nameserver 9.9.9.9\nnameserver 8.8.8.8\n"


def test_routes_of_option_121_take_the_place_of_the_router(tmp_path: Path) -> None:
    routes = "169.254.169.254/32 10.0.0.2 192.168.0.0/16 0.0.0.0 0.0.0.0/0 10.0.0.1"
    assert run_udhcpc(tmp_path, "renew", {**LEASE, "staticroutes": routes}) == [
        *ADDRESS,
        "route add 169.254.169.254/32 via 10.0.0.2 dev eth0",
        "route add 192.168.0.0/16 dev eth0",
        "route add 0.0.0.0/0 via 10.0.0.1 dev eth0",
    ]


def test_a_client_that_begins_changes_nothing(tmp_path: Path) -> None:
    assert run_udhcpc(tmp_path, "deconfig", LEASE) == []
