"""NICs that a spec has got since come to nodes that go on."""

from __future__ import annotations

import dataclasses
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from stacklab import record
from stacklab.errors import CommandFailed, ProviderError
from stacklab.model.lab import NetworkMode
from stacklab.model.state import NodeState
from stacklab.process import Command, Result
from stacklab.providers.contract import HostServices
from stacklab.record import RecordDamaged
from stacklab.workflow.context import last_resolved
from stacklab.workflow.lab.changes import nics
from stacklab.workflow.lab.changes.change import Cost
from stacklab.workflow.lab.changes.refusing import SpecChanged
from stacklab.workflow.lab.plan import changes_of, plan
from tests.unit.nodes import fake_session
from tests.unit.providers.fake.tin import Tin
from tests.unit.providers.libvirt.fake_libvirt import TCG
from tests.unit.workflow.fake_host import FakeHost
from tests.unit.workflow.lab.changing import APART, LAB, NODES, WIDE, with_network, with_node
from tests.unit.workflow.lab.test_following import (
    YES,
    assert_follows,
    is_precious,
    kept,
    placed,
    up,
    uuids,
)

__all__ = ["up"]

TAKE_UP = "nics.take-up"
Q35 = "pc-q35-7.2"


def taken_up(host: FakeHost) -> list[tuple[str, str]]:
    """The nodes that were asked to take up a NIC, in order, and the shell that does it."""
    shells = []
    for command in host.ran("ssh"):
        parts = fake_session.parts_of(command)
        if TAKE_UP in parts:
            shells.append((command.argv[-2], parts[TAKE_UP]))
    return shells


def added(host: FakeHost) -> list[tuple[str, str]]:
    """The nodes to which libvirt added NICs, in order, with the NICs' MACs."""
    nodes = {uuid: name for name, uuid in uuids(host).items()}
    return [(nodes[call[1]], call[2]) for call in host.libvirt.calls if call[0] == "add_nic"]


def macs(network: str) -> list[tuple[str, str]]:
    return [(node.name, nic.mac) for node, nic in WIDE.members(network)]


def test_a_new_network_and_its_nics_come_while_all_nodes_go_on(up: FakeHost) -> None:
    before = kept(up)
    up.up(WIDE)
    assert_follows(up, WIDE)
    assert up.ups == []
    assert all(is_precious(up, node) for node in NODES)
    assert kept(up).nodes == before.nodes
    assert added(up) == macs("net2")
    shells = dict(taken_up(up))
    assert list(shells) == list(NODES)
    assert "10-eth2.network" in shells["compute1"]
    assert "Address=10.30.0.12/24" in shells["compute1"]
    assert "eth1" not in shells["compute1"], "what an installer made of other NICs stays"
    assert set(placed(up, "names")) == set(NODES)
    assert not [command for command in up.ran("ssh") if "exit" in command.argv], "no one is cut off"
    calls = [call[:2] for call in up.libvirt.calls]
    assert calls.index(("ensure_network", "trio_net2")) < [c[0] for c in calls].index("add_nic")


def test_once_plugged_in_nothing_is_left_to_do(up: FakeHost) -> None:
    up.up(WIDE)
    up.libvirt.calls.clear()
    up.runner.commands.clear()
    up.up(WIDE)
    assert added(up) == []
    assert taken_up(up) == []


def test_only_the_node_that_gets_a_nic_is_touched(host: FakeHost) -> None:
    host.up(APART)
    host.up(LAB)
    assert_follows(host, LAB)
    assert added(host) == [("compute1", LAB.node("compute1").nics[1].mac)]
    assert [node for node, _shell in taken_up(host)] == ["compute1"]
    assert host.ups == [NODES]


def test_a_nic_on_a_bridge_of_the_host_is_plugged_into_that(
    up: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stacklab.doctor.preflight", lambda *_args, **_kwargs: ())
    lab = with_network(WIDE, "net2", mode=NetworkMode.BRIDGED, bridge="br0")
    up.up(lab)
    assert_follows(up, lab)


def test_a_node_that_is_off_has_its_nic_when_it_boots(up: FakeHost) -> None:
    up.libvirt.states[uuids(up)["compute1"]] = NodeState.OFF
    up.up(WIDE)
    assert_follows(up, WIDE)
    assert up.ups == [("compute1",)]
    assert is_precious(up, "compute1")
    assert [name for name, _mac in added(up)] == ["compute1", "controller", "compute2"]
    assert [name for name, _shell in taken_up(up)] == ["controller", "compute2"]
    with tarfile.open(up.lab().seed("compute1")) as seed:
        assert "etc/systemd/network/10-eth2.network" in seed.getnames()


def test_a_node_that_is_paused_gets_it_once_it_goes_on(up: FakeHost) -> None:
    paused = uuids(up)["compute1"]
    up.libvirt.states[paused] = NodeState.PAUSED
    up.up(WIDE)
    assert_follows(up, WIDE)
    calls = up.libvirt.calls
    mac = dict(macs("net2"))["compute1"]
    assert calls.index(("resume", paused)) < calls.index(("add_nic", paused, mac))


def failing_on(node: str) -> Callable[[Command], Result]:
    """Nodes of which this one does not take up what was plugged into it."""

    def answer(command: Command) -> Result:
        said: dict[str, fake_session.Said] = {}
        if command.argv[-2] == node:
            said[TAKE_UP] = ("no eth2\x1b[2J has appeared", 1)
        return fake_session.answering(said)(command)

    return answer


def test_a_node_that_does_not_take_it_up_is_told_and_asked_again(up: FakeHost) -> None:
    up.runner.on("ssh", answer=failing_on("compute1"))
    with pytest.raises(
        CommandFailed, match=r"compute1 has got eth2, but can.t .* no eth2"
    ) as caught:
        up.up(WIDE)
    assert "\x1b" not in caught.value.message
    assert "lab.rebuild trio --node compute1" in str(caught.value.hint)
    assert [node.has_nics for node in kept(up).nodes] == [0, 2, 2]
    up.runner.on("ssh", answer=fake_session.healthy)
    up.runner.commands.clear()
    up.up(WIDE)
    assert_follows(up, WIDE)
    assert [name for name, _shell in taken_up(up)] == ["compute1", "compute2"]


def test_nics_of_two_changes_come_where_the_first_was_cut_short(host: FakeHost) -> None:
    host.up(APART)
    host.runner.on("ssh", answer=failing_on("compute1"))
    with pytest.raises(CommandFailed):
        host.up(LAB)
    host.runner.on("ssh", answer=fake_session.healthy)
    host.runner.commands.clear()
    host.up(WIDE)
    assert_follows(host, WIDE)
    assert [name for name, _shell in taken_up(host)] == [
        "controller", "compute1", "compute1", "compute2"
    ]  # fmt: skip


# --- where it can't be done


def test_a_machine_that_takes_nothing_in_boots_again_from_its_disk(up: FakeHost) -> None:
    up.libvirt.machine = Q35
    lines = changes_of(up.context, WIDE).lines
    assert {line.cost for line in lines} == {Cost.NEW, Cost.REBOOT}
    assert all(Q35 in line.why for line in lines if line.cost is Cost.REBOOT)
    with pytest.raises(SpecChanged, match="would interrupt it"):
        up.up(WIDE)
    up.up(WIDE, consent=YES)
    assert_follows(up, WIDE)
    assert added(up) == []
    assert up.ups == [NODES]
    assert all(is_precious(up, node) for node in NODES)


def test_a_machine_that_was_changed_meanwhile_is_left_alone(up: FakeHost) -> None:
    lab_record = kept(up)
    for node in lab_record.nodes:
        lab_record = lab_record.with_node(dataclasses.replace(node, has_nics=2))
    record.write(up.lab(), lab_record)
    up.libvirt.machine = Q35
    with pytest.raises(ProviderError, match="eth2 can't be plugged into controller") as caught:
        nics.plug_into_off(up.context, WIDE, lab_record, WIDE.nodes)
    assert "lab.rebuild trio --node controller" in str(caught.value.hint)
    assert added(up) == []


def test_a_provider_that_plugs_nothing_in_says_so(up: FakeHost) -> None:
    site = HostServices(
        host=up.paths,
        runner=up.runner,
        progress=up.context.progress,
        accelerator=lambda: TCG,
    )
    up.context.providers["libvirt"] = Tin(site)
    whys = nics.whys_no_plug(up.context, LAB, WIDE, kept(up))
    assert whys == dict.fromkeys(NODES, "the provider tin can't plug it in")


def test_a_plan_starts_nothing_to_find_out(up: FakeHost) -> None:
    lab_record = kept(up)
    up.connect(None)
    assert nics.whys_no_plug(up.context, LAB, WIDE, lab_record) == {}


def test_nobody_is_asked_where_no_node_gets_a_nic(
    up: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(up.context, "provider", lambda *_args, **_kwargs: pytest.fail("asked"))
    lab_record = kept(up)
    fewer = with_node(LAB, "compute1", cpus=7)
    assert nics.whys_no_plug(up.context, LAB, fewer, lab_record) == {}
    assert nics.whys_no_plug(up.context, None, WIDE, lab_record) == {}
    assert nics.whys_no_plug(up.context, LAB, WIDE, None) == {}


# --- the plan, the record


def test_the_plan_has_a_line_for_each_nic_and_touches_nothing(up: FakeHost) -> None:
    found = [(line.about, line.text, line.cost, line.why) for line in changes_of(up.context, WIDE)]
    assert found[:2] == [
        ("network net2", "10.30.0.0/24 nat", Cost.NEW, ""),
        (
            "node controller",
            "NIC on net2 nothing -> eth2 10.30.0.11",
            Cost.LIVE,
            "it is plugged in",
        ),
    ]
    rows = {what: action for what, action, _why in plan(up.context, WIDE)}
    assert rows["node compute1"] == "plug NICs in"
    assert rows["network net2"] == "make"
    up.libvirt.states[uuids(up)["compute1"]] = NodeState.OFF
    rows = {what: action for what, action, _why in plan(up.context, WIDE)}
    assert rows["node compute1"] == "start"
    assert last_resolved(up.lab()) == LAB
    assert up.libvirt.calls == []
    assert up.runner.commands == []


@pytest.mark.parametrize("wrong", ['"two"', "-1", "null"])
def test_a_record_with_an_odd_number_of_nics_is_damaged(up: FakeHost, wrong: str) -> None:
    path: Path = up.lab().record
    text = path.read_text()
    assert "has_nics" not in text, "a checkout of before does not know the field"
    path.write_text(
        text.replace('"is_created": true', f'"is_created": true, "has_nics": {wrong}', 1)
    )
    with pytest.raises(RecordDamaged, match="has_nics of controller"):
        record.read(up.lab())
