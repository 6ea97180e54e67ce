"""Every fault of a container, and of a VM beside it, is made, seen by the host, and undone."""

from __future__ import annotations

import dataclasses
import shutil

import pytest

from stacklab.errors import LabError, ProviderError
from stacklab.model.lab import NodeKind
from stacklab.model.state import NodeState
from stacklab.providers.libvirt import faults as libvirt_faults
from stacklab.workflow.faults import faults, settling
from stacklab.workflow.lab import ending
from tests.unit.nodes import fake_session
from tests.unit.providers.containers.fake_machines import MIXED, Site
from tests.unit.workflow.faults.faulty_lab import FaultyLibvirt, Tables


@dataclasses.dataclass
class Up:
    """A mixed lab that is up; `clocks` are the nodes whose clocks were set after faults."""

    site: Site
    libvirt: FaultyLibvirt
    tables: Tables
    clocks: list[list[str]]

    def apply(self, words: str) -> str:
        host = self.site.host
        return str(
            faults.apply(host.context, MIXED, host.lab(), faults.parse(MIXED, words.split()))
        )

    def undo(self, words: str = "") -> list[str]:
        host = self.site.host
        return list(map(str, faults.undo(host.context, MIXED, host.lab(), words.split())))

    def end(self, index: int) -> str:
        return self.site.container().end(index)

    @property
    def flags(self) -> list[str]:
        links = self.site.machines.links
        return [(links / end / "flags").read_text().strip() for end in self.site.machines.ends]

    @property
    def is_healthy(self) -> bool:
        nics = self.libvirt.nics.values()
        return (
            set(self.site.states.values()) == {NodeState.RUNNING}
            and self.site.machines.ends == [self.end(0), self.end(1)]
            and self.flags == ["0x1003", "0x1003"]
            and [len(each) for each in nics] == [2, 2]
            and not self.libvirt.down
            and self.tables.is_clean
            and not self.site.host.lab().faults.exists()
        )


@pytest.fixture
def lab(site: Site, monkeypatch: pytest.MonkeyPatch) -> Up:
    host, libvirt, tables = site.host, FaultyLibvirt(), Tables()
    host.connect(libvirt)
    site.connect()
    site.up()
    vms = dataclasses.replace(MIXED, nodes=MIXED.of_kind(NodeKind.VM))
    libvirt.wire(site.record, vms)
    for prefix in (("ebtables",), ("sudo", "-n", "ebtables")):
        host.runner.on(*prefix, answer=tables.run)
    for prefix in (("chmod",), ("sudo", "-n", "chmod")):
        host.runner.on(*prefix)
    made = Up(site, libvirt, tables, [])
    monkeypatch.setattr(
        settling, "set_clocks", lambda _r, _p, nodes: made.clocks.append([n.name for n in nodes])
    )
    monkeypatch.setattr(libvirt_faults, "_POLL_S", 0.001)
    monkeypatch.setattr(settling, "_POLL_S", 0.001)
    site.machines.calls.clear()
    libvirt.calls.clear()
    host.runner.commands.clear()
    assert made.is_healthy
    return made


@pytest.mark.parametrize("node", ["controller", "compute1"])
@pytest.mark.parametrize(
    "fault",
    [
        "link-down {} eth1",
        "link-down {} eth0",
        "unplug {} eth1",
        "unplug {} eth0",
        "pause {}",
        "power-off {}",
    ],
)
def test_each_fault_of_each_kind_of_node_is_made_and_undone_whole(
    lab: Up, fault: str, node: str
) -> None:
    lab.apply(fault.format(node))
    assert not lab.is_healthy
    assert lab.undo() == [fault.format(node)]
    assert lab.is_healthy


def test_a_fault_of_a_container_asks_nothing_of_libvirt_and_the_other_way_round(lab: Up) -> None:
    for words in ("link-down controller eth1", "pause controller", "power-off controller"):
        lab.apply(words)
    assert not [c for c in lab.libvirt.calls if c[0] in ("pause", "power_off", "update_nic")]
    lab.undo()
    lab.site.machines.calls.clear()
    for words in ("link-down compute1 eth1", "pause compute1"):
        lab.apply(words)
    assert lab.site.machines.calls == []


@pytest.mark.parametrize(
    ("words", "calls", "undone"),
    [
        ("link-down controller eth1", ["link-down"], ["link-up"]),
        ("unplug controller eth1", ["unplug"], ["plug"]),
        ("pause controller", ["freeze"], ["thaw"]),
        ("power-off controller", ["kill"], ["start"]),
    ],
)
def test_a_container_s_fault_is_an_action_of_machine_sh(
    lab: Up, words: str, calls: list[str], undone: list[str]
) -> None:
    lab.apply(words)
    assert lab.site.machines.actions("controller") == calls
    lab.undo()
    assert lab.site.machines.actions("controller") == calls + undone


def test_a_container_s_state_is_that_of_its_fault(lab: Up) -> None:
    lab.apply("pause controller")
    assert lab.site.states["controller"] is NodeState.PAUSED
    lab.apply("power-off controller")
    assert lab.site.states["controller"] is NodeState.OFF
    assert lab.site.states["compute1"] is NodeState.RUNNING


def test_a_pulled_cable_leaves_the_other_nic_alone(lab: Up) -> None:
    lab.apply("link-down controller eth1")
    assert lab.flags == ["0x1003", "0x1002"]
    assert lab.site.machines.calls == [("controller", "link-down", lab.end(1))]


def test_a_nic_comes_back_as_it_was_made(lab: Up) -> None:
    lab.apply("unplug controller eth1")
    assert lab.site.machines.ends == [lab.end(0)]
    lab.undo()
    (_, _, plugged) = lab.site.machines.calls[-1]
    assert plugged == f"{lab.end(1)},sl-trio1,eth1,52:54:00:00:01:00,1500,10.20.0.11/24,"


def test_a_nic_that_is_gone_can_t_fail_twice(lab: Up) -> None:
    lab.apply("unplug controller eth1")
    with pytest.raises(ProviderError, match=r"eth1 .* of controller is not plugged in now"):
        lab.apply("link-down controller eth1")
    assert lab.undo() == ["unplug controller eth1"]
    assert lab.is_healthy


def test_a_container_that_is_off_can_t_be_paused(lab: Up) -> None:
    lab.apply("power-off controller")
    with pytest.raises(LabError, match="controller is off; pause needs a running node"):
        lab.apply("pause controller")


def test_power_brings_all_nics_and_their_cables_back(lab: Up) -> None:
    for words in ("link-down controller eth0", "unplug controller eth1", "power-off controller"):
        lab.apply(words)
    assert lab.undo("power-off") == [
        "power-off controller",
        "link-down controller eth0",
        "unplug controller eth1",
    ]
    assert lab.is_healthy


def test_the_clocks_of_vms_alone_are_set_afterwards(lab: Up) -> None:
    lab.apply("pause controller")
    lab.apply("pause compute1")
    lab.undo()
    assert lab.clocks == [["compute1"]]


def test_a_container_s_nic_is_not_taken_up_again_from_inside(lab: Up) -> None:
    """It has its address already; `ifdown` would take that away."""
    for node in ("controller", "compute1"):
        lab.apply(f"unplug {node} eth1")
    lab.undo()
    sessions = [c for c in lab.site.host.runner.commands if c.argv[0] == "ssh"]
    taken_up = [c for c in sessions if "faults.take-up" in fake_session.parts_of(c)]
    assert len(taken_up) == 1
    assert "compute1" in taken_up[0].argv


def test_a_partition_is_by_the_ends_of_containers_and_the_taps_of_vms(lab: Up) -> None:
    lab.apply("partition net1 controller,compute1")
    taps = {
        name: next(
            tap
            for _, network, tap in lab.libvirt.nics[lab.site.uuid(name)]
            if network == "trio_net1"
        )
        for name in ("compute1", "compute2")
    }
    rules = [rule for rules in lab.tables.rules.values() for rule in rules]
    for inside in (lab.end(1), taps["compute1"]):
        assert [rule for rule in rules if f"-i {inside} " in rule]
        assert [rule for rule in rules if f"-o {inside} -j DROP" in rule]
    assert [rule for rule in rules if f"-o {taps['compute2']} -j DROP" in rule]
    assert not [rule for rule in rules if lab.end(0) in rule], "its NIC on another network"
    assert lab.undo() == ["partition net1 controller,compute1 compute2"]
    assert lab.is_healthy


def test_a_partition_leaves_out_a_container_that_is_off_until_it_is_back(lab: Up) -> None:
    lab.apply("partition net1 controller")
    lab.apply("power-off controller")
    rules = str(lab.tables.rules)
    assert lab.end(1) not in rules
    lab.undo("power-off")
    assert f"-i {lab.end(1)} " in str(lab.tables.rules)


def test_a_plan_without_the_nic_is_told(lab: Up) -> None:
    file = lab.site.host.lab().containers
    file.write_text(file.read_text().replace("52:54:00:00:01:00", "52:54:00:00:01:99"))
    with pytest.raises(ProviderError, match="not among those that it was made with") as caught:
        lab.apply("unplug controller eth1")
    assert caught.value.hint == "./invoke lab.rebuild trio"


def test_a_container_that_died_is_started_by_undoing_its_power_off(lab: Up) -> None:
    """Its cgroup is gone, as after a reboot of the host."""
    lab.apply("power-off controller")
    shutil.rmtree(lab.site.machines.cgroups, ignore_errors=True)
    lab.undo()
    assert lab.is_healthy


def test_up_undoes_all_faults_of_both_kinds(lab: Up) -> None:
    for words in (
        "partition net1 compute2",
        "unplug controller eth1",
        "link-down compute1 eth1",
        "pause controller",
        "power-off compute2",
    ):
        lab.apply(words)
    lab.site.host.vagrant_up = (  # type: ignore[method-assign]
        lambda *_args, **_named: lab.libvirt.start(lab.site.uuid("compute2"))
    )
    lab.site.up()
    assert lab.site.states["controller"] is NodeState.RUNNING
    assert lab.site.machines.ends == [lab.end(0), lab.end(1)]
    assert lab.tables.is_clean
    assert not lab.libvirt.down


def test_destroy_ends_a_partition_of_containers(lab: Up) -> None:
    lab.apply("partition net1 controller")
    ending.destroy(lab.site.host.context, "trio")
    assert lab.tables.is_clean
    assert lab.site.machines.ends == []
