"""Every fault is made, listed and undone whole."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from stacklab import record
from stacklab.checks.expect import Fault, FaultKind
from stacklab.errors import (
    AlreadyRunning,
    CommandFailed,
    LabError,
    ProviderError,
)
from stacklab.model.lab import Impairment
from stacklab.model.state import NodeState
from stacklab.workflow.faults import faults
from tests.unit.nodes import fake_session
from tests.unit.workflow.fake_host import FakeHost
from tests.unit.workflow.faults.faulty_lab import EVERY, LAB, Up


@pytest.mark.parametrize("words", EVERY)
def test_every_fault_is_made_listed_and_undone_whole(up: Up, words: str) -> None:
    assert up.is_healthy
    up.apply(*words.split())
    assert up.listed == [str(faults.parse(LAB, words.split()))]
    assert not up.is_healthy
    assert up.undo(*words.split()) == (str(faults.parse(LAB, words.split())),)
    assert up.is_healthy


def test_all_at_once_are_undone_whole(up: Up) -> None:
    for words in (
        "partition net1 compute2",
        "unplug compute1 eth1",
        "unplug compute2 eth1",
        "link-down compute2 eth0",
        "pause compute1",
        "power-off controller",
    ):
        up.apply(*words.split())
    assert len(up.listed) == 6
    assert len(up.undo()) == 6
    assert up.is_healthy


def test_nics_are_plugged_in_in_the_order_of_their_names_which_the_node_gives_anew(up: Up) -> None:
    for device in ("eth0", "eth1"):
        up.apply("unplug", "compute1", device)
    up.undo()
    assert [mac for mac, _, _ in up.libvirt.nics[up.uuid("compute1")]] == [
        nic.mac for nic in LAB.nodes[1].nics
    ]


def test_it_is_on_the_list_before_it_is_done(up: Up) -> None:
    seen: list[list[str]] = []
    real = up.libvirt.pause

    def look(uuid: str) -> None:
        seen.append(up.listed)
        real(uuid)

    up.libvirt.pause = look  # type: ignore[method-assign]
    up.apply("pause", "compute1")
    assert seen == [["pause compute1"]]


@pytest.mark.parametrize(
    ("words", "call"),
    [
        ("pause compute1", "pause"),
        ("unplug compute1 eth1", "unplug"),
        ("link-down compute1 eth1", "update_nic"),
    ],
)
def test_what_could_not_be_done_is_not_on_the_list(up: Up, words: str, call: str) -> None:
    up.libvirt.fails = call
    with pytest.raises(ProviderError, match="libvirt says: no"):
        up.apply(*words.split())
    up.libvirt.fails = ""
    if call != "update_nic":  # there undoing needs the call that failed: it stays on the list
        assert up.is_healthy
    up.undo()
    assert up.is_healthy


def test_a_node_that_does_not_let_go_of_its_nic_is_named(up: Up) -> None:
    up.libvirt.holds_on = True
    with pytest.raises(ProviderError, match="compute1 does not let go of eth1 within"):
        up.apply("unplug", "compute1", "eth1")
    assert up.is_healthy


def test_undoing_what_was_undone_by_hand_is_no_error(up: Up) -> None:
    for words in ("pause compute1", "unplug compute2 eth1", "partition net1 compute2"):
        up.apply(*words.split())
    up.libvirt.states[up.uuid("compute1")] = NodeState.RUNNING
    up.libvirt.wire(up.kept, LAB)
    up.tables.rules = {"FORWARD": []}
    up.libvirt.calls.clear()
    up.undo()
    assert up.is_healthy
    assert up.libvirt.calls == []


def test_undoing_with_a_domain_that_is_gone_is_no_error(up: Up) -> None:
    for words in ("unplug compute2 eth1", "link-down compute1 eth1"):
        up.apply(*words.split())
    up.libvirt.states.clear()
    assert len(up.undo()) == 2


def test_the_same_again_is_refused(up: Up) -> None:
    up.apply("pause", "compute1")
    with pytest.raises(LabError, match="has pause compute1 already") as caught:
        up.apply("pause", "compute1")
    assert caught.value.hint == "./invoke lab.fault trio --undo pause compute1"


@pytest.mark.parametrize("words", ["link-down compute1 eth1", "unplug compute1 eth1"])
def test_a_node_that_stands_still_takes_no_further_fault(up: Up, words: str) -> None:
    up.apply("pause", "compute1")
    with pytest.raises(LabError, match="compute1 is paused"):
        up.apply(*words.split())
    assert up.listed == ["pause compute1"]


def test_a_fault_that_is_not_there_can_t_be_undone(up: Up) -> None:
    up.apply("pause", "compute1")
    with pytest.raises(
        LabError, match=r"pause compute2 is not a fault of lab trio \(it has: pause compute1"
    ):
        up.undo("pause", "compute2")
    assert up.undo() == ("pause compute1",)
    assert up.undo() == ()


def test_faults_are_undone_by_the_first_of_their_words(up: Up) -> None:
    for words in (
        "pause compute1",
        "pause compute2",
        "partition net1 controller",
        "partition net0 controller",
    ):
        up.apply(*words.split())
    assert up.undo("partition", "net1") == ("partition net1 controller compute1,compute2",)
    assert set(up.undo("pause")) == {"pause compute1", "pause compute2"}
    assert up.listed == ["partition net0 controller compute1,compute2"]
    with pytest.raises(LabError, match=r"^part.* is not a fault of lab trio"):
        up.undo("part")


@pytest.mark.parametrize(
    ("words", "closes"),
    [
        ("pause compute1", True),
        ("link-down compute1 eth0", True),
        ("link-down compute1 eth1", False),
    ],
)
def test_a_shared_connection_to_a_node_that_is_cut_off_is_closed(
    up: Up, words: str, closes: bool
) -> None:
    (up.host.lab().sockets / "compute1").touch()
    up.apply(*words.split())
    assert any("exit" in command.argv for command in up.host.ran("ssh")) is closes


@pytest.mark.parametrize("words", ["pause compute1", "power-off compute1", "unplug compute1 eth1"])
def test_a_node_that_stood_still_or_booted_has_its_clock_set(up: Up, words: str) -> None:
    up.apply(*words.split())
    up.undo()
    assert up.clocks == [[] if words.startswith("unplug") else ["compute1"]]


def test_a_nic_that_is_back_is_taken_up(up: Up) -> None:
    up.apply("unplug", "compute1", "eth1")
    up.undo()
    (command,) = [command for command in up.host.ran("ssh") if command.stdin]
    assert b"ifup eth1" in (command.stdin or b"")
    assert "compute1" in command.argv


def test_a_nic_that_is_back_and_not_taken_up_is_told_with_the_node_s_words(up: Up) -> None:
    up.apply("unplug", "compute1", "eth1")
    said = "ifup: unknown interface\x1b[2J eth1\n::error::forged"
    up.host.runner.on("ssh", answer=fake_session.answering({"faults.take-up": (said, 1)}))
    with pytest.raises(CommandFailed) as caught:
        up.undo()
    assert "compute1 has eth1 again" in caught.value.message
    assert caught.value.message.endswith("ifup: unknown interface eth1\n    : :error::forged")


def test_another_checkout_s_lab_is_left_alone(up: Up, tmp_path: Path) -> None:
    (tmp_path / "tasks.py").touch()
    record.write(up.host.lab(), dataclasses.replace(up.kept, checkout=tmp_path))
    with pytest.raises(AlreadyRunning):
        up.apply("pause", "compute1")
    with pytest.raises(AlreadyRunning):
        up.undo()
    assert up.libvirt.calls == []


def test_a_lab_that_is_not_up_has_nothing_to_fail(host: FakeHost) -> None:
    with pytest.raises(LabError, match="lab trio is not up"):
        faults.apply(host.context, LAB, host.lab(), Fault(kind=FaultKind.PAUSE, node="compute1"))


@pytest.mark.parametrize(
    "text", ["{", "[1]", '[{"kind": "fire", "groups": []}]', '{"a": 1}', "[{}]"]
)
def test_a_list_that_can_t_be_read_is_told(up: Up, text: str) -> None:
    (up.host.lab().root / "faults.json").write_text(text)
    with pytest.raises(LabError, match="the faults of lab trio can't be read"):
        up.undo()


def test_a_nic_s_impairments_come_back_with_it(up: Up) -> None:
    slow = Impairment(delay_ms=20)
    nodes = tuple(
        dataclasses.replace(n, nics=(n.nics[0], dataclasses.replace(n.nics[1], impairment=slow)))
        for n in LAB.nodes
    )
    lab = dataclasses.replace(LAB, nodes=nodes)
    said = "qdisc netem 51ab: dev eth1 root refcnt 2 limit 9 delay 20ms"
    up.host.runner.on("ssh", answer=fake_session.answering({"impair.show": said}))
    faults.apply(
        up.host.context, lab, up.host.lab(), faults.parse(lab, ["unplug", "compute1", "eth1"])
    )
    faults.undo(up.host.context, lab, up.host.lab())
    given = [command for command in up.host.ran("ssh") if b"netem" in (command.stdin or b"")]
    assert [command.argv[command.argv.index("--") + 1] for command in given] == ["compute1"]
