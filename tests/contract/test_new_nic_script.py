"""The script by which a node takes up a NIC that was plugged in, by real shells.

The programs that it asks are stubs; a folder stands for the node's root.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from stacklab.model.lab import NetworkStyle
from stacklab.nodes import new_nic, seed
from tests.unit.checks.fake_lab import make_lab

LAB = make_lab()
NODE = LAB.node("compute1")
NIC = NODE.nics[1]  # eth1, 10.20.0.12/24
FILES = {
    NetworkStyle.NETWORKD: "etc/systemd/network/10-eth1.network",
    NetworkStyle.IFUPDOWN: "etc/network/interfaces",
    NetworkStyle.IFCFG: "etc/sysconfig/network-scripts/ifcfg-eth1",
}
BEFORE = "auto eth0\niface eth0 inet dhcp\n\nauto vhost0\niface vhost0 inet static\n"
# It appears at the third look, as in `ip -o link`; its address is there once it was taken up.
IP = f"""\
case "$*" in
    *link*eth1)
        echo look >> "$ROOT/looks"
        [ "$(wc -l < "$ROOT/looks")" -ge 3 ] && [ -e "$ROOT/plugged" ] || exit 1
        echo "3: eth1: <BROADCAST> mtu 1500    link/ether {NIC.mac} brd ff:ff:ff:ff:ff:ff" ;;
    *link*) echo "2: eth0: <BROADCAST>" ;;
    *address*)
        [ -e "$ROOT/taken" ] || exit 1
        echo "3: eth1    inet {NIC.address} brd 10.20.0.255 scope global eth1" ;;
esac
"""
TAKE = 'echo "$(basename "$0") $*" >> "$ROOT/said"; touch "$ROOT/taken"\n'
SHELLS = [name for name in ("dash", "bash", "busybox") if shutil.which(name)]


class FakeNode:
    """A node's files and programs."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for path in FILES.values():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / FILES[NetworkStyle.IFUPDOWN]).write_text(BEFORE)
        (root / "bin").mkdir()
        self.has("ip", IP)
        self.has("sleep", ":\n")
        (root / "plugged").touch()

    def has(self, program: str, body: str) -> None:
        path = self.root / "bin" / program
        path.write_text(f"#!/bin/sh\n{body}")
        path.chmod(0o755)

    def run(self, style: NetworkStyle, shell: str = "bash") -> subprocess.CompletedProcess[str]:
        script = new_nic.script(LAB, NODE, NIC, style, tries=5)
        assert " /etc/" in script
        script = script.replace(" /etc/", f" {self.root}/etc/")
        argv = ("busybox", "sh", "-c", script) if shell == "busybox" else (shell, "-c", script)
        environment = {"PATH": f"{self.root}/bin:{os.environ['PATH']}", "ROOT": str(self.root)}
        return subprocess.run(
            argv, env=environment, capture_output=True, text=True, timeout=60, check=False
        )

    def said(self) -> list[str]:
        said = self.root / "said"
        return said.read_text().splitlines() if said.exists() else []

    def text(self, style: NetworkStyle) -> str:
        return (self.root / FILES[style]).read_text()


@pytest.fixture
def node(tmp_path: Path) -> FakeNode:
    return FakeNode(tmp_path)


@pytest.mark.parametrize("shell", SHELLS)
def test_networkd_is_told_of_the_new_file(node: FakeNode, shell: str) -> None:
    node.has("networkctl", TAKE)
    assert node.run(NetworkStyle.NETWORKD, shell).returncode == 0
    assert node.said() == ["networkctl reload"]
    assert "Address=10.20.0.12/24\n" in node.text(NetworkStyle.NETWORKD)
    assert "MTUBytes=1500\n" in node.text(NetworkStyle.NETWORKD)
    assert (node.root / FILES[NetworkStyle.NETWORKD]).stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("shell", SHELLS)
def test_ifupdown_has_it_behind_the_others_once(node: FakeNode, shell: str) -> None:
    node.has("ifup", TAKE)
    for _ in range(2):
        assert node.run(NetworkStyle.IFUPDOWN, shell).returncode == 0
        (node.root / "taken").unlink()
    assert node.said() == ["ifup eth1"] * 2
    text = node.text(NetworkStyle.IFUPDOWN)
    assert text.startswith(BEFORE)
    assert text.count("iface eth1 inet static") == 1
    assert "    address 10.20.0.12\n" in text


@pytest.mark.parametrize("shell", SHELLS)
def test_network_manager_is_asked_where_it_runs(node: FakeNode, shell: str) -> None:
    node.has("nmcli", f'case "$*" in *general) echo running ;; *) {TAKE.strip()} ;; esac\n')
    assert node.run(NetworkStyle.IFCFG, shell).returncode == 0
    assert node.said() == ["nmcli connection reload", "nmcli connection up System eth1"]
    assert f"HWADDR={NIC.mac}\n" in node.text(NetworkStyle.IFCFG)


def test_without_network_manager_ifup_does_it(node: FakeNode) -> None:
    node.has("nmcli", "exit 8\n")
    node.has("ifup", TAKE)
    assert node.run(NetworkStyle.IFCFG).returncode == 0
    assert node.said() == ["ifup eth1"]


def test_one_that_has_its_address_is_not_interrupted(node: FakeNode) -> None:
    node.has("networkctl", TAKE)
    (node.root / "taken").touch()
    assert node.run(NetworkStyle.NETWORKD).returncode == 0
    assert node.said() == []
    assert "Address=10.20.0.12/24\n" in node.text(NetworkStyle.NETWORKD), "its next boot needs it"


def test_a_nic_that_does_not_appear_is_told_with_what_there_is(node: FakeNode) -> None:
    node.has("networkctl", TAKE)
    (node.root / "plugged").unlink()
    run = node.run(NetworkStyle.NETWORKD)
    assert run.returncode == 1
    assert run.stdout == (
        f"eth1 with the MAC {NIC.mac} has not appeared; there is:\n2: eth0: <BROADCAST>\n"
    )
    assert node.said() == []


def test_another_nic_of_that_name_is_not_taken_for_it(node: FakeNode) -> None:
    node.has("networkctl", TAKE)
    node.has("ip", IP.replace(NIC.mac, "52:54:00:99:99:99"))
    run = node.run(NetworkStyle.NETWORKD)
    assert run.returncode == 1
    assert "has not appeared" in run.stdout
    assert node.said() == []


def test_an_address_that_does_not_come_is_told(node: FakeNode) -> None:
    node.has("networkctl", "echo no such unit; exit 1\n")
    run = node.run(NetworkStyle.NETWORKD)
    assert run.returncode == 1
    assert run.stdout == "no such unit\neth1 does not get its address 10.20.0.12/24\n"


def test_a_file_that_can_t_be_written_is_told(node: FakeNode) -> None:
    node.has("networkctl", TAKE)
    shutil.rmtree((node.root / FILES[NetworkStyle.NETWORKD]).parent)
    run = node.run(NetworkStyle.NETWORKD)
    assert run.returncode == 1
    assert "10-eth1.network" in run.stderr
    assert node.said() == []


@pytest.mark.parametrize("style", list(NetworkStyle))
def test_its_lines_are_those_of_a_first_boot(node: FakeNode, style: NetworkStyle) -> None:
    path, lines = seed.nic_lines(LAB, NODE, NIC, style)
    assert path == FILES[style]
    assert lines in seed._render_network_files(LAB, NODE, style)[path]
    (node.root / "taken").touch()
    assert node.run(style).returncode == 0
    assert node.text(style).endswith(lines)
