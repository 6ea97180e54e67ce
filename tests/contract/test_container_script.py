"""The script that prepares a container for DevStack, run by sh with programs that record calls."""

from __future__ import annotations

import subprocess
from pathlib import Path, PurePosixPath

import pytest

from stacklab.installers import rendering as answers
from stacklab.model.lab import NodeKind
from stacklab.workflow.lab import kinds
from tests.unit.doctor.fake_machine import make_machine
from tests.unit.installers.devstack import devstack_labs as labs

FOLDER = PurePosixPath("/opt/stack/container")
QEMU = "usr/bin/qemu-system-x86_64"
NICS = "proc/sys/net/ipv4/conf"
MOVED = ("/opt/stack", "/etc/systemd", "/usr/bin/qemu", "/usr/local/sbin", "/proc/sys")
STUBS = {
    "systemctl": 'echo "systemctl $*" >> "$WORLD/calls"; case "$*" in "restart stacklab-bridges"*)'
    ' sh "$WORLD/usr/local/sbin/stacklab-bridges" ;; esac',
    "apt-get": 'echo "apt-get $*" >> "$WORLD/calls"',
    "ovs-vsctl": 'echo "ovs-vsctl $*" >> "$WORLD/calls"; case "$*" in "br-exists "*)'
    ' test -e "$WORLD/br-ex" ;; esac',
    # As the real one: it moves what is there, and so does the package that comes later.
    "dpkg-divert": 'echo "divert" >> "$WORLD/calls"; touch "$WORLD/usr/bin/'
    'qemu-system-x86_64.distrib"',
    "ip": 'echo "ip $*" >> "$WORLD/calls"; case "$*" in *"route show"*)'
    ' cat "$WORLD/routes" ;; esac',
}


class World:
    """A node's directories below another root, and a PATH of those programs."""

    def __init__(
        self, root: Path, *, has_module: bool, node: str = "compute1", external_network: str = ""
    ) -> None:
        self.root = root
        nics = [f"{NICS}/eth{number}" for number in range(3)]
        for name in ("bin", "usr/bin", "usr/local/sbin", "spec", *nics):
            (root / name).mkdir(parents=True)
        for name, body in STUBS.items():
            (root / "bin" / name).write_text(f"#!/bin/sh\n{body}\n")
            (root / "bin" / name).chmod(0o755)
        (root / "routes").write_text("")
        stack = {"external_network": external_network} if external_network else {}
        lab = labs.load(root / "spec", **stack).all_as(NodeKind.CONTAINER)
        config = "CONFIG_OPENVSWITCH=y\n" if has_module else "CONFIG_X=y\n"
        lab = kinds.fitted(lab, make_machine(kernel_config=config))
        for path, text in answers.render(lab, labs.SECRETS)[node].items():
            if path.parent == FOLDER:
                place = root / str(path).lstrip("/")
                place.parent.mkdir(parents=True, exist_ok=True)
                for folder in MOVED:
                    text = text.replace(folder, f"{root}{folder}")
                place.write_text(text)

    def run(self) -> list[str]:
        """What it called."""
        (self.root / "calls").write_text("")
        subprocess.run(
            ["sh", str(self.root / str(FOLDER).lstrip("/") / "prepare.sh")],
            env={"PATH": f"{self.root}/bin:/usr/bin:/bin", "WORLD": str(self.root)},
            check=True,
            timeout=20,
        )
        return (self.root / "calls").read_text().splitlines()


def test_units_get_their_drop_ins_and_systemd_reads_them(tmp_path: Path) -> None:
    world = World(tmp_path, has_module=True)
    assert world.run() == ["systemctl daemon-reload"]
    units = tmp_path / "etc/systemd/system"
    assert "LimitNOFILE=20000" in (units / "devstack@.service.d/nofile.conf").read_text()
    assert "ExecStart=/bin/true" in (units / "iscsid.service.d/container.conf").read_text()
    assert not (tmp_path / QEMU).exists()


def test_qemu_is_wrapped_before_its_package_is_there_and_once(tmp_path: Path) -> None:
    world = World(tmp_path, has_module=False)
    assert world.run().count("divert") == 1
    assert "csum=off" in (tmp_path / QEMU).read_text()
    assert world.run().count("divert") == 0
    assert "csum=off" in (tmp_path / QEMU).read_text()


@pytest.mark.parametrize("route", ["", "default via 10.170.0.1 dev eth1"])
def test_the_tunnels_bridge_takes_the_nic_s_address_and_way_out(tmp_path: Path, route: str) -> None:
    world = World(tmp_path, has_module=False)
    (tmp_path / "routes").write_text(f"{route}\n" if route else "")
    calls = world.run()
    assert "ip address flush dev eth1" in calls
    assert any(call.startswith("ip address replace 10.170.0.") for call in calls)
    restored = "ip route replace default via 10.170.0.1 dev br-tunnel" in calls
    assert restored is bool(route)
    # The switch has to know before OVN asks it.
    br_int = "ovs-vsctl set open . external-ids:ovn-bridge-datapath-type=netdev"
    assert calls.index("apt-get -qy install openvswitch-switch") < calls.index(br_int)


def test_the_bridges_are_set_up_at_each_start_of_the_switch(tmp_path: Path) -> None:
    world = World(tmp_path, has_module=False)
    calls = world.run()
    assert calls.index("systemctl enable stacklab-bridges.service") < calls.index(
        "systemctl restart stacklab-bridges.service"
    )
    unit = (tmp_path / "etc/systemd/system/stacklab-bridges.service").read_text().splitlines()
    assert "WantedBy=ovs-vswitchd.service" in unit
    # A restart of the switch is one of this, too; and OVN finds what this has set.
    assert "Requires=ovs-vswitchd.service" in unit
    assert "Before=ovn-controller.service" in unit


@pytest.mark.parametrize("has_bridge", [False, True])
def test_a_nic_that_stack_sh_gave_to_br_ex_stays_there(tmp_path: Path, *, has_bridge: bool) -> None:
    world = World(tmp_path, has_module=False, node="controller", external_network="outside")
    if has_bridge:
        (tmp_path / "br-ex").touch()
    moved = [call for call in world.run() if call.endswith(" dev br-ex")]
    # Before stack.sh has made the bridge, the NIC keeps its address: stack.sh looks for it there.
    assert bool(moved) is has_bridge


def test_the_kernel_does_not_answer_what_comes_to_the_bridge_s_nic(tmp_path: Path) -> None:
    """Each ping had four replies: two kernels took each packet from the NIC and from the bridge."""
    World(tmp_path, has_module=False).run()
    for name in ("rp_filter", "arp_ignore"):
        assert (tmp_path / NICS / "eth1" / name).read_text() == "1\n"
        assert not (tmp_path / NICS / "eth0" / name).exists()
