"""What this host tells of a container that does not answer."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from stacklab.model.cause import CauseKind
from stacklab.model.host_network import Lease
from stacklab.model.state import NodeState
from stacklab.paths import HostPaths
from stacklab.providers import evidence, registry
from stacklab.providers.containers import links, plans
from stacklab.providers.containers.evidence import ContainersLooker
from stacklab.providers.containers.handles import container_of
from stacklab.providers.containers.machines import Machines
from stacklab.providers.node_view import NodeEvidence
from stacklab.tools.host import cgroups
from stacklab.tools.network.knock import Door, Knock
from tests.conftest import FakeRunner
from tests.unit.providers.containers.fake_machines import DOWN, MIXED, UP, FakeMachines
from tests.unit.providers.libvirt.fake_libvirt import FakeLibvirt

ADDRESS, MAC, MAC1 = "10.10.0.11", "52:54:00:00:00:00", "52:54:00:00:01:00"


class Lab:
    """The mixed lab's controller, well but for its sshd; each test breaks one thing."""

    def __init__(self, root: Path) -> None:
        self.node = MIXED.node("controller")
        self.paths = HostPaths(root / "h").lab("trio")
        self.record = registry.new_record(
            MIXED, self.paths, image="x", passed_over={}, now=0, provider="containers"
        )
        self.libvirt: FakeLibvirt | None = FakeLibvirt()
        for node in self.record.nodes[1:]:
            self.libvirt.add(node.handle["uuid"], node.handle["domain"], NodeState.RUNNING)
        self.kernel = FakeMachines(root / "kernel")
        recorded = self.record.node("controller")
        assert recorded is not None
        self.container = container_of(self.paths, recorded)
        self.container.directory.mkdir(parents=True)
        self.group = self.kernel.cgroups / "stacklab" / self.container.machine
        self.kernel.write_group(self.group, keeper=True, net=True, run=True)
        self.paths.root.mkdir(parents=True)
        for path, text in plans.render(MIXED, self.paths, self.record, has_kvm=False).items():
            path.write_text(text)
        self.taps = [self.container.end(0), self.container.end(1)]
        for tap in self.taps:
            (self.kernel.links / tap).mkdir(parents=True)
            (self.kernel.links / tap / "flags").write_text(UP)
        self.paths.logs.mkdir()
        self.paths.console("controller").write_text("Started foo\n")

    def shows(self, tap: str, bridge: str) -> dict[str, object]:
        """What `ip` says of the end of a NIC, or of a bridge."""
        file = self.kernel.links / tap / "flags"
        is_up = not file.exists() or file.read_text() == UP
        return {
            "ifname": tap,
            "flags": ["UP", "LOWER_UP"] if is_up else [],
            "address": "fe:54:00:00:00:00",
            "stats64": {"rx": {"packets": 20}, "tx": {"packets": 30}},
            **({"master": bridge} if bridge else {}),
        }

    def looker(self) -> ContainersLooker:
        interfaces = [self.shows("sl-trio0", ""), self.shows("sl-trio1", "")]
        for number, tap in enumerate(self.taps):
            if (self.kernel.links / tap).exists():
                interfaces.append(self.shows(tap, f"sl-trio{number}"))
        neighbour = {"dst": ADDRESS, "dev": "sl-trio0", "lladdr": MAC, "state": ["REACHABLE"]}
        route = {"dst": ADDRESS, "dev": "sl-trio0", "prefsrc": "10.10.0.1"}
        runner = FakeRunner()
        runner.on("ip", "-json", "-s", "link", stdout=json.dumps(interfaces))
        runner.on("ip", "-json", "-4", "neigh", stdout=json.dumps([neighbour]))
        runner.on("ip", "-json", "-4", "route", stdout=json.dumps([route]))
        runner.on("iptables-save").on("sudo", "-n", "iptables-save")
        return ContainersLooker(
            self.libvirt,  # type: ignore[arg-type]
            runner,
            self.paths,
            self.record,
            machines=Machines(runner, self.paths, self.kernel.cgroups),
            knocker=lambda _address: Knock(door=Door.REFUSED, said="Connection refused"),
        )

    def kind(self) -> CauseKind | None:
        found = evidence.cause(self.looker().view(self.node))
        return found.kind if found else None

    def look(self) -> NodeEvidence:
        return self.looker().evidence(self.node)


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    made = Lab(tmp_path)
    monkeypatch.setattr(links, "_LINKS", made.kernel.links)
    return made


def test_all_the_evidence_is_told_without_leases(lab: Lab) -> None:
    assert lab.libvirt is not None
    # Somebody else's, and not a container's business: its address is set from outside.
    lab.libvirt.given["trio_net0"] = (Lease(mac=MAC, address="10.10.0.99", hostname="x"),)
    first, second = lab.taps
    traffic = "up, the node sent 20 packets and was sent 30"
    assert list(lab.look().lines) == [
        f"container {lab.container.machine}: running",
        f"NIC eth0: {MAC} on trio_net0, tap {first}, to have 10.10.0.11/24; tap on sl-trio0, "
        + traffic,
        f"NIC eth1: {MAC1} on trio_net1, tap {second}, to have 10.20.0.11/24; tap on sl-trio1, "
        + traffic,
        f"route to {ADDRESS}: by sl-trio0, from 10.10.0.1",
        f"ARP for {ADDRESS}: {MAC} (reachable)",
        f"port 22 of {ADDRESS}: refused (Connection refused)",
        f"console ({lab.paths.console('controller')}) of controller ends with:",
        "  | Started foo",
    ]
    assert lab.kind() is CauseKind.SSHD_DOWN


def test_a_nic_without_its_cable(lab: Lab) -> None:
    (lab.kernel.links / lab.taps[0] / "flags").write_text(DOWN)
    assert lab.kind() is CauseKind.CABLE_PULLED
    assert "its cable is PULLED" in lab.look().lines[1]
    assert "PULLED" not in lab.look().lines[2]


def test_a_nic_that_is_gone(lab: Lab) -> None:
    shutil.rmtree(lab.kernel.links / lab.taps[0])
    assert lab.kind() is CauseKind.NIC_UNPLUGGED
    assert MAC in lab.look().cause
    assert lab.look().lines[1] == (
        f"NIC eth0: {MAC} is MISSING, to have 10.10.0.11/24 on trio_net0"
    )


@pytest.mark.parametrize("state", [NodeState.OFF, NodeState.PAUSED, NodeState.ABSENT])
def test_a_container_that_does_not_run(lab: Lab, state: NodeState) -> None:
    if state is NodeState.PAUSED:
        lab.kernel.write_group(lab.group, keeper=True, net=True, run=True, frozen=True)
    else:
        shutil.rmtree(lab.group)
        shutil.rmtree(lab.kernel.links)
    if state is NodeState.ABSENT:
        lab.container.directory.rmdir()
    assert lab.kind() is CauseKind.NODE_STATE
    assert lab.look().cause == f"controller is {state}"
    assert lab.look().lines[0] == f"container {lab.container.machine}: {state}"


def test_a_container_that_is_off_has_its_nics_but_no_taps(lab: Lab) -> None:
    shutil.rmtree(lab.group)
    shutil.rmtree(lab.kernel.links)
    assert list(lab.look().lines[1:3]) == [
        f"NIC eth0: {MAC} on trio_net0, tap -, to have 10.10.0.11/24",
        f"NIC eth1: {MAC1} on trio_net1, tap -, to have 10.20.0.11/24",
    ]


def test_a_lab_whose_plans_are_lost_tells_why_and_what_is_left(lab: Lab) -> None:
    lab.paths.containers.unlink()
    lines = lab.look().lines
    assert lines[0] == f"container {lab.container.machine}: state unknown"
    assert [line for line in lines if "not looked at" in line and "containers.json" in line]


def test_a_host_without_cgroups_tells_why(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "root", lambda: None)
    looker = lab.looker()
    looker._machines = Machines(FakeRunner(), lab.paths)
    assert [line for line in looker.evidence(lab.node).lines if "no cgroup version 2" in line]


def test_a_libvirtd_that_is_away_hides_no_container(lab: Lab) -> None:
    lab.libvirt = None
    lines = lab.look().lines
    assert lines[0] == f"container {lab.container.machine}: running"
    assert not [line for line in lines if "not looked at" in line]


def test_a_vm_beside_it_is_looked_at_as_ever(lab: Lab) -> None:
    lines = lab.looker().evidence(MIXED.node("compute1")).lines
    assert lines[0] == "domain trio_compute1: running"
    assert any(line.startswith("lease: none on trio_net0") for line in lines)
